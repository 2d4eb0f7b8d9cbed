/**
 * Whether the heap is alive. It dies of three things: a thread that died inside a call, a broken invariant, and being
 * closed. Whoever notices writes down why, once, and stops everybody: threads that wait inside the kernel or for a slot,
 * and those that come later, find the cause and throw it.
 */
import { P_STOP } from "../../shared/layout/cpu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import type { BareMemory } from "../../shared/mem/bare_memory.ts";
import { embedded } from "../../shared/mem/struct.ts";
import { HeapDeadError } from "./errors.ts";
import { CAUSE_BYTES, HEAP_ALIVE, HEAP_DEAD, HEAP_DYING, HeapGlobals, type HeapMap, HeapSlot } from "./layout.ts";

const {
  state: STATE,
  cause: CAUSE,
  cause_length: CAUSE_LENGTH,
  progress: PROGRESS,
  waiters: WAITERS,
} = HeapGlobals.offset;
const { owner: OWNER } = HeapSlot.offset;
const { pending: PENDING } = PerCpu.offset;

export function isAlive(mem: BareMemory, map: HeapMap): boolean {
  return mem.read_once(map.globals, STATE) === HEAP_ALIVE;
}

/** Ends the heap, if nobody has yet. */
export function kill(mem: BareMemory, map: HeapMap, cause: string): void {
  const { globals } = map;
  if (mem.cmpxchg(globals, STATE, HEAP_ALIVE, HEAP_DYING) !== HEAP_ALIVE) return;
  const text = new Uint8Array(CAUSE_BYTES); // An encoder takes no shared memory.
  const { written } = new TextEncoder().encodeInto(cause, text);
  mem.bytes.set(text, globals + CAUSE);
  mem.poke(globals, CAUSE_LENGTH, written);
  mem.write_once(globals, STATE, HEAP_DEAD);
  for (let i = 0; i < map.slots; i++) {
    mem.raise(embedded(map.machine.section(i), PENDING), P_STOP);
    Atomics.notify(mem.words, (map.slot(i) + OWNER) >> 2);
  }
  Atomics.notify(mem.words, (map.slot(map.registrySlot) + OWNER) >> 2);
  bump(mem, map);
}
/**
 * Everybody who waits for something looks again. Waiters count themselves, read `progress`, look at what they wait for, and
 * then wait for `progress` to change: they see what was done before this, or see it change, or are counted here.
 */
export function bump(mem: BareMemory, { globals }: HeapMap): void {
  mem.fetch_add(globals, PROGRESS, 1);
  if (mem.read_once(globals, WAITERS) !== 0) Atomics.notify(mem.words, (globals + PROGRESS) >> 2);
}

/** What a call to a dead heap throws. */
export function deadError(mem: BareMemory, { globals }: HeapMap, cause?: unknown): HeapDeadError {
  let why = "it has just died";
  if (mem.read_once(globals, STATE) === HEAP_DEAD) {
    const start = globals + CAUSE;
    why = new TextDecoder().decode(mem.bytes.slice(start, start + mem.peek(globals, CAUSE_LENGTH)));
  }
  return new HeapDeadError(`this heap can no longer be used: ${why}`, cause === undefined ? {} : { cause });
}
