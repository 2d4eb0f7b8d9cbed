/**
 * Calls: how a thread runs kernel code. run() takes a slot's owner word, runs the code as that slot's CPU, has the CPU
 * settle what it owes, gives the word back, and then does what the call has raised for other slots, as far as nobody is
 * at it. A thread holds one owner word at a time (but for stopped(), which takes them in order), and none while it waits
 * for readers, so each is soon free.
 *
 * In a call RCU watches the CPU; between calls it is idle, an extended quiescent state. Readers are RCU's business
 * elsewhere: readers.ts.
 *
 * Whatever a call throws has left the kernel in the middle of something: the heap is dead then.
 */
import { MachineStopped } from "../../shared/base/verdict.ts";
import { attachCpu, SPIN_BOUND } from "../../shared/cpu/boot.ts";
import { ct_idle_enter, ct_idle_exit } from "../../shared/cpu/context_tracking.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { pause } from "../../shared/mem/bare_memory.ts";
import { NULL_ORACLE } from "../../shared/mem/oracle.ts";
import { embedded, type Ptr } from "../../shared/mem/struct.ts";
import { HeapUsageError } from "./errors.ts";
import { HeapMemory, LockTimeout, type Waiting } from "./heap_memory.ts";
import { HeapGlobals, type HeapMap, HeapSlot } from "./layout.ts";
import { bump, deadError, isAlive, kill } from "./life.ts";
import { announce_waiter, claim, OWNER_MASK, release, serve } from "./owner.ts";
import { is_unsettled, settle } from "./settle.ts";

const { pending: PENDING } = PerCpu.offset;
const { owner: OWNER, thread: THREAD } = HeapSlot.offset;
const { checkers: CHECKERS } = HeapGlobals.offset;

/** How long a wait for a slot blocks at once. */
const SLICE_MS = 10;
/** More than this does not count between two looks at a slot: a thread that was stopped itself has not seen anything. */
const LOOK_MS = 25;
/** A wait for who checks the whole heap may last so many times longer. */
const CHECK_PATIENCE = 10;

/** How long somebody has waited for one call of another thread. Time in which he did not look does not count. */
class Patience {
  private readonly limitMs: number;
  private spentMs = 0;
  private checkedMs = 0;
  private lookedMs = performance.now();

  constructor(limitMs: number) {
    this.limitMs = limitMs;
  }
  /** @param checked  somebody checks the whole heap: that may take its time */
  isOver(checked: boolean): boolean {
    const now = performance.now();
    const stepMs = Math.min(now - this.lookedMs, LOOK_MS);
    this.lookedMs = now;
    if (checked && this.checkedMs < CHECK_PATIENCE * this.limitMs) {
      this.checkedMs += stepMs;
      this.spentMs = 0;
    } else this.spentMs += stepMs;
    return this.spentMs > this.limitMs;
  }
}
/** A call that somebody was inside of at a try, and still is as long as the owner word stays so. */
export interface Refusal {
  readonly owner: number;
  readonly patience: Patience;
}

export class Calls {
  readonly map: HeapMap;
  readonly mem: HeapMemory;
  /** By slot. */
  readonly cpus: readonly Cpu[];
  private readonly token: number;
  private readonly waiting: Waiting;
  private closed = false;

  constructor(buffer: SharedArrayBuffer, map: HeapMap, token: number, lockTimeoutMs: number) {
    this.map = map;
    this.token = token;
    this.waiting = { raised: 0, since: 0, limitMs: lockTimeoutMs };
    this.mem = new HeapMemory(buffer, 0, map, this.waiting);
    this.cpus = Array.from({ length: map.slots }, (_, id) => {
      const mem = new HeapMemory(buffer, embedded(map.machine.section(id), PENDING), map, this.waiting);
      return attachCpu(mem, map.machine, id, SPIN_BOUND, NULL_ORACLE);
    });
  }

  /** No more calls: slot `id` is somebody else's. Who waits for work in the event loop need not do so any longer. */
  close(id: number): void {
    this.closed = true;
    Atomics.notify(this.mem.words, this.cpus[id].pending >> 2);
  }
  get isClosed(): boolean {
    return this.closed;
  }
  /** @throws HeapUsageError  it is closed */
  checkOpen(): void {
    if (this.closed) throw new HeapUsageError("this heap was detached from: attach again");
  }

  /** Runs `work` as the CPU of slot `id`. @throws HeapDeadError */
  run<T>(id: number, work: (cpu: Cpu) => T): T {
    this.enter(this.map.slot(id));
    const result = this.inside(id, work);
    this.leave(id);
    if (this.waiting.raised !== 0 || this.cpus[id].mem.pending() !== 0) this.serveAll(1 << id);
    return result;
  }
  /**
   * The same if nobody is inside now. @returns false: somebody is, and `work` was not run.
   * @param refusals  of those who are inside, from one try to the next: a call must not last for ever here either
   * @throws HeapDeadError
   */
  tryRun(id: number, work: (cpu: Cpu) => void, refusals: (Refusal | undefined)[]): boolean {
    this.checkOpen();
    const slot = this.map.slot(id);
    if (!claim(this.mem, slot, this.token)) {
      if (!isAlive(this.mem, this.map)) throw deadError(this.mem, this.map);
      refusals[id] = this.refused(slot, refusals[id]);
      return false;
    }
    this.inside(id, work);
    this.leave(id);
    this.serveAll(1 << id);
    return true;
  }
  /** Does what is announced for the slots of the mask, and for all that this raises something for. */
  serveAll(mask: number): void {
    this.waiting.raised |= mask;
    while (this.waiting.raised !== 0) {
      const id = 31 - Math.clz32(this.waiting.raised);
      this.waiting.raised &= ~(1 << id);
      if (id < this.map.slots) this.serve(id);
    }
  }
  /** Does what is announced for a slot, unless somebody is inside: then it is done when that call ends. */
  private serve(id: number): void {
    const { mem } = this.cpus[id];
    serve(
      mem,
      this.map.slot(id),
      this.token,
      () => mem.pending() !== 0,
      () => this.inside(id, () => undefined),
      () => this.leave(id),
    );
  }

  private inside<T>(id: number, work: (cpu: Cpu) => T): T {
    const cpu = this.cpus[id];
    try {
      ct_idle_exit(cpu);
      cpu.mem.poll(0);
      const result = work(cpu);
      if (is_unsettled(cpu) && settle(cpu, this.map)) bump(this.mem, this.map);
      ct_idle_enter(cpu);
      this.waiting.since = 0;
      return result;
    } catch (error) {
      throw this.failed(error);
    }
  }
  /** A call has thrown. It keeps its slot: what the kernel's memory says there is no longer true. */
  private failed(error: unknown): Error {
    if (!(error instanceof MachineStopped)) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      kill(this.mem, this.map, error instanceof LockTimeout ? message : `an invariant is broken: ${name}: ${message}`);
    }
    return deadError(this.mem, this.map, error);
  }

  /** Takes a slot's owner word; waits for it. @throws HeapDeadError */
  enter(slot: Ptr<"heap_slot">): void {
    this.checkOpen();
    for (let turns = SPIN_BOUND; turns > 0; turns--) {
      if (claim(this.mem, slot, this.token)) return;
      pause(); // Not relax(), whose clock is that of a wait for a lock in a call: none has begun.
    }
    const patience = new Patience(this.waiting.limitMs);
    while (!claim(this.mem, slot, this.token)) {
      if (!isAlive(this.mem, this.map)) throw deadError(this.mem, this.map);
      const seen = announce_waiter(this.mem, slot);
      if (seen === 0) continue;
      Atomics.wait(this.mem.words, (slot + OWNER) >> 2, seen, SLICE_MS);
      if (patience.isOver(this.isChecked())) this.giveUp(seen);
    }
  }
  /**
   * Somebody was inside at a try. Whoever is refused marks the call that refuses him, as a waiter would: if the mark is
   * still there at the next try, so is the call. Race: another waiter may have marked a later call of the same thread in
   * between; but not so at every try, and it takes many to give up.
   */
  private refused(slot: Ptr<"heap_slot">, before: Refusal | undefined): Refusal | undefined {
    const found = this.mem.read_once(slot, OWNER);
    const owner = announce_waiter(this.mem, slot);
    if (owner === 0) return undefined; // That call was over just then.
    if (found !== before?.owner) return { owner, patience: new Patience(this.waiting.limitMs) };
    if (before.patience.isOver(this.isChecked())) this.giveUp(found);
    return before;
  }
  private isChecked(): boolean {
    return this.mem.read_once(this.map.globals, CHECKERS) !== 0;
  }
  private giveUp(owner: number): never {
    const slot = (owner & OWNER_MASK) - 1;
    const thread = slot < this.map.slots ? this.mem.read_once(this.map.slot(slot), THREAD) - 1 : -1;
    const who = thread < 0 ? "a thread" : `thread ${thread} (slot ${slot})`;
    kill(
      this.mem,
      this.map,
      `${who} has been inside a call for ${this.waiting.limitMs} ms: it has died, or was stopped`,
    );
    throw deadError(this.mem, this.map);
  }
  /** Takes every slot, so that nobody is inside the kernel while `look` looks at its memory. */
  stopped<T>(look: () => T): T {
    const { mem, map } = this;
    let taken = 0;
    mem.fetch_add(map.globals, CHECKERS, 1);
    try {
      for (; taken < map.slots; taken++) this.enter(map.slot(taken));
      return look();
    } finally {
      for (let id = 0; id < taken; id++) this.leave(id);
      mem.fetch_add(map.globals, CHECKERS, -1);
      if (isAlive(mem, map)) this.serveAll(2 ** taken - 1);
    }
  }
  private leave(id: number): void {
    this.leaveSlot(this.map.slot(id));
  }
  leaveSlot(slot: Ptr<"heap_slot">): void {
    if (release(this.mem, slot)) Atomics.notify(this.mem.words, (slot + OWNER) >> 2);
  }
}
