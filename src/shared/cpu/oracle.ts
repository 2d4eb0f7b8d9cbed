/** How kernel code tells the oracle (mem/oracle.ts) what it does. Nothing here is a step; a rebuild reports nothing. */
import type { Ptr } from "../mem/struct.ts";
import { bug } from "./bug.ts";
import type { Cpu } from "./cpu.ts";

/** The object goes from one of the places `from` to the place `to` (O_*). @context Any */
export function oracle_move(cpu: Cpu, object: Ptr, from: number, to: number): void {
  if (cpu.mem.rebuilding) return;
  const wrong = cpu.oracle.move(cpu.id, object, from, to);
  if (wrong !== undefined) bug(cpu, wrong);
}
/** `count` objects of `size` bytes from `base` on change place together: a slab is made or released. */
export function oracle_slab(cpu: Cpu, base: number, size: number, count: number, from: number, to: number): void {
  if (cpu.mem.rebuilding) return;
  const wrong = cpu.oracle.slab(cpu.id, base, size, count, from, to);
  if (wrong !== undefined) bug(cpu, wrong);
}
/** An outermost reader has begun. */
export function oracle_reader_enter(cpu: Cpu): void {
  if (!cpu.mem.rebuilding) cpu.oracle.reader_enter(cpu.id);
}
/** An outermost reader is about to end. */
export function oracle_reader_exit(cpu: Cpu): void {
  if (!cpu.mem.rebuilding) cpu.oracle.reader_exit(cpu.id);
}
/** A grace period has been asked for; `key` (rcu_head, object) names the request. Call it first. */
export function oracle_grace_period_begin(cpu: Cpu, key: Ptr): void {
  if (!cpu.mem.rebuilding) cpu.oracle.grace_period_begin(cpu.id, key);
}
/** The grace period asked for under `key` is said to be over. */
export function oracle_grace_period_end(cpu: Cpu, key: Ptr): void {
  if (cpu.mem.rebuilding) return;
  const wrong = cpu.oracle.grace_period_end(cpu.id, key);
  if (wrong !== undefined) bug(cpu, wrong);
}
