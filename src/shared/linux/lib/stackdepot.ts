/**
 * Stack depot: call stacks are stored once and known by a handle that fits into a word. lib/stackdepot.c.
 *
 *   handle   CPU << 16 | offset in words into that CPU's pool; 0: none
 *
 * Each CPU has a pool of its own and takes no step in it, so its interrupts cannot come in between: it needs no lock, and
 * NMIs may use it. Pools only grow. One that is full gives 0 and counts it. When an operation is executed again nothing is
 * recorded: 0 as well, and who stores handles must not do so then (slub/track.ts).
 *
 * Differs: the kernel has one pool under a raw spinlock, which NMIs only try.
 */
import type { MachineMap } from "../../layout/map.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { DEPOT_BUCKETS, DEPOT_HEADER, DEPOT_WORDS, StackDepotCpu, StackPool } from "../../layout/stackdepot.ts";
import type { Memory } from "../../mem/memory.ts";
import { element, embedded, NULL, type Ptr } from "../../mem/struct.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { stack_in_words, stack_key } from "../../cpu/stacktrace.ts";

const { stack_depot: STACK_DEPOT } = PerCpu.offset;
const { pool: POOL, used: USED, dropped: DROPPED } = StackDepotCpu.offset;
const { words: WORDS } = StackPool.offset;

const SYMBOL = 1;
const STACK = 2;
/** The key of a stack, and its handle: what it is in words is found out once. */
const MEMO = 3;
const MEMO_KEY = 2;
/** Words that a new stack may take, its memo and symbols among them. */
const ROOM = 256;

/** A machine as one looks at it, from inside or outside. */
export interface Looked {
  readonly mem: Memory;
  readonly map: MachineMap;
}

/** Has CPU `id` a pool? Without one nothing is recorded there. @context Any. No step. */
export function stack_depot_has_pool(cpu: Cpu, id: number): boolean {
  return cpu.mem.peek(per_cpu_ptr(cpu, STACK_DEPOT, id), POOL) !== NULL;
}
/** Gives CPU `id` its pool: cleared memory that is never taken back. @kernel lib/stackdepot.c, stack_depot_init() @context Task */
export function stack_depot_set_pool(cpu: Cpu, id: number, pool: Ptr): void {
  const depot = per_cpu_ptr(cpu, STACK_DEPOT, id);
  cpu.mem.poke(depot, USED, DEPOT_BUCKETS);
  cpu.mem.poke(depot, POOL, pool as Ptr<"stack_pool">);
}

/**
 * stack_depot_save_here() - the handle of the stack of who calls this.
 * @kernel  lib/stackdepot.c, stack_depot_save() of what stack_trace_save() says
 * @param   above  a function on the stack that is no part of it, nor is what it has called.
 * @returns 0: there is no room for it, or no caller.
 * @context Any, NMI included. No step.
 */
export function stack_depot_save_here(cpu: Cpu, above: (...args: never[]) => unknown = stack_depot_save_here): number {
  const depot = this_cpu_ptr(cpu, STACK_DEPOT);
  if (cpu.mem.rebuilding || cpu.mem.peek(depot, POOL) === NULL) return 0;
  const key = stack_key(above);
  const known = find(cpu, MEMO, key, MEMO_KEY + 1);
  if (known !== 0) return contents(cpu, known)[MEMO_KEY];
  // Why: words take long, and a stack that cannot be stored would be put into words each time.
  if (cpu.mem.peek(depot, USED) > DEPOT_WORDS - ROOM) {
    cpu.mem.count(depot, DROPPED, 1);
    return 0;
  }
  const handle = stack_depot_save(cpu, stack_in_words(key, above));
  add(cpu, MEMO, key, [...key, handle]);
  return handle;
}
/**
 * stack_depot_save() - the handle of a call stack.
 *
 * @kernel  lib/stackdepot.c
 * @param   frames  one line each, innermost first.
 * @returns 0: there is no room for it.
 * @context Any, NMI included. No step.
 */
export function stack_depot_save(cpu: Cpu, frames: readonly string[]): number {
  if (cpu.mem.rebuilding || frames.length === 0) return 0;
  const symbols = frames.map((frame) => intern(cpu, SYMBOL, packed(frame)));
  const handle = symbols.includes(0) ? 0 : intern(cpu, STACK, symbols);
  if (handle === 0) cpu.mem.count(this_cpu_ptr(cpu, STACK_DEPOT), DROPPED, 1);
  return handle;
}
/** The frames of a stack, innermost first; none: no handle. @kernel lib/stackdepot.c @context Any. No step. */
export function stack_depot_fetch(machine: Looked, handle: number): string[] {
  return contents(machine, handle).map((symbol) => unpacked(contents(machine, symbol)));
}
/** The symbol of the innermost frame of a stack: what stands for a return address. 0: no handle. @context Any. No step. */
export function stack_depot_caller(machine: Looked, handle: number): number {
  return contents(machine, handle)[0] ?? 0;
}
/** A symbol in words. @context Any. No step. */
export function symbol_name(machine: Looked, symbol: number): string {
  return unpacked(contents(machine, symbol));
}

/** The record with these contents, a new one if there is none. @returns its handle; 0: the pool is full, or there is none. */
function intern(cpu: Cpu, kind: number, words: readonly number[]): number {
  return find(cpu, kind, words, words.length) || add(cpu, kind, words, words);
}
/** The record that begins with `key` and has `length` words. @returns its handle; 0: there is none. */
function find(cpu: Cpu, kind: number, key: readonly number[], length: number): number {
  const { mem } = cpu;
  const pool = mem.peek(this_cpu_ptr(cpu, STACK_DEPOT), POOL);
  if (pool === NULL) return 0;
  const get = (at: number): number => mem.peek(pool, element(WORDS, at));
  const hash = hash_of(kind, key);
  const info = (kind << 16) | length;
  for (let at = get(hash & (DEPOT_BUCKETS - 1)); at !== 0; at = get(at + 1)) {
    if (get(at) !== hash || get(at + 2) !== info) continue;
    if (key.every((word, i) => get(at + DEPOT_HEADER + i) === word)) return (cpu.id << 16) | at;
  }
  return 0;
}
/** A new record, found by `key`. @returns its handle; 0: there is no room for it. */
function add(cpu: Cpu, kind: number, key: readonly number[], words: readonly number[]): number {
  const { mem } = cpu;
  const depot = this_cpu_ptr(cpu, STACK_DEPOT);
  const pool = mem.peek(depot, POOL);
  const at = mem.peek(depot, USED);
  if (pool === NULL || at + DEPOT_HEADER + words.length > DEPOT_WORDS) return 0;
  const put = (i: number, value: number): void => mem.poke(pool, element(WORDS, i), value);
  const hash = hash_of(kind, key);
  const bucket = hash & (DEPOT_BUCKETS - 1);
  put(at, hash);
  put(at + 1, mem.peek(pool, element(WORDS, bucket)));
  put(at + 2, (kind << 16) | words.length);
  for (const [i, word] of words.entries()) put(at + DEPOT_HEADER + i, word);
  mem.poke(depot, USED, at + DEPOT_HEADER + words.length);
  put(bucket, at); // Last: who looks from outside finds whole records.
  return (cpu.id << 16) | at;
}
function hash_of(kind: number, words: readonly number[]): number {
  let hash = kind;
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193) ^ (hash >>> 15);
  return hash;
}
/** The contents of a record, by its handle. */
function contents({ mem, map }: Looked, handle: number): number[] {
  const id = handle >>> 16;
  const at = handle & 0xffff;
  if (handle === 0 || id >= map.shape.cpus || at >= DEPOT_WORDS) return [];
  const pool = mem.peek(embedded(map.section(id), STACK_DEPOT), POOL);
  if (pool === NULL) return [];
  const length = Math.min(mem.peek(pool, element(WORDS, at + 2)) & 0xffff, DEPOT_WORDS - at - DEPOT_HEADER);
  return Array.from({ length }, (_, i) => mem.peek(pool, element(WORDS, at + DEPOT_HEADER + i)));
}

/** A text as words: its length in bytes, then four bytes each. */
function packed(text: string): number[] {
  const words = [text.length];
  for (let at = 0; at < text.length; at += 4) {
    let word = 0;
    for (let i = at; i < Math.min(at + 4, text.length); i++) word |= (text.charCodeAt(i) & 0x7f) << (8 * (i & 3));
    words.push(word);
  }
  return words;
}
function unpacked([bytes = 0, ...words]: readonly number[]): string {
  const most = Math.min(bytes, 4 * words.length);
  let text = "";
  for (let i = 0; i < most; i++) text += String.fromCharCode((words[i >> 2] >>> (8 * (i & 3))) & 0x7f);
  return text;
}
