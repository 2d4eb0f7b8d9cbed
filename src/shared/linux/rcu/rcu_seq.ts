/**
 * Grace-period sequence numbers. kernel/rcu/rcu.h; spec rcu 4.1.
 *
 * The low two bits are the state (0 idle, 1 in progress), the others count. Numbers wrap, so every comparison looks at
 * the difference: ULONG_CMP_GE(a, b) holds when a is at most half the range ahead of b. They start shortly before the
 * wrap, so each run takes it.
 *
 * A number has one writer at a time (the leader of the grace period, or the holder of a mutex); anybody reads it.
 *
 * Differs: 32 bits. Memory barriers are those of the atomic accesses.
 */
import type { Cpu } from "../../cpu/cpu.ts";
import { warn } from "../../cpu/bug.ts";
import type { Field, Ptr } from "../../mem/struct.ts";

export const RCU_SEQ_CTR_SHIFT = 2;
export const RCU_SEQ_STATE_MASK = (1 << RCU_SEQ_CTR_SHIFT) - 1;
/** 300 grace periods before the wrap. */
export const RCU_INITIAL_GP_SEQ = -300 << RCU_SEQ_CTR_SHIFT;
/** How far a number may lie behind a cookie that is not ancient: see rcu_seq_done_exact(). */
const RCU_SEQ_ANCIENT = 3 * RCU_SEQ_STATE_MASK + 1;

/** a >= b, modulo 2^32. */
export function ULONG_CMP_GE(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}
/** a < b, modulo 2^32. */
export function ULONG_CMP_LT(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}
export function rcu_seq_state(s: number): number {
  return s & RCU_SEQ_STATE_MASK;
}
export function rcu_seq_ctr(s: number): number {
  return s >> RCU_SEQ_CTR_SHIFT;
}
/** What rcu_seq_snap() gives when it finds `s`. */
export function rcu_seq_snap_value(s: number): number {
  return (s + 2 * RCU_SEQ_STATE_MASK + 1) & ~RCU_SEQ_STATE_MASK;
}
/** Has a grace period ended between `old` and `now`? */
export function rcu_seq_completed_gp(old: number, now: number): boolean {
  return ULONG_CMP_LT(old, now & ~RCU_SEQ_STATE_MASK);
}
/** Has a grace period begun between `old` and `now`? */
export function rcu_seq_new_gp(old: number, now: number): boolean {
  return ULONG_CMP_LT((old + RCU_SEQ_STATE_MASK) & ~RCU_SEQ_STATE_MASK, now);
}
/** Has the grace period that ends at `s` begun, as far as the number `now` knows? */
export function rcu_seq_started_value(now: number, s: number): boolean {
  return ULONG_CMP_LT((s - 1) & ~RCU_SEQ_STATE_MASK, now);
}
/**
 * Is `now` at or past the cookie `s`, or so far behind it that `s` must have wrapped? Why the distance: a cookie is made
 * from rcu_state.gp_seq and tested against the root, which may lag by the grace period that has just begun. Then a fresh
 * cookie lies two grace periods, 8, ahead of the root, and must not look ancient.
 */
export function rcu_seq_done_exact_value(now: number, s: number): boolean {
  return ULONG_CMP_GE(now, s) || ULONG_CMP_LT(now, (s - RCU_SEQ_ANCIENT) | 0);
}

/** rcu_seq_start(): a grace period begins. All that it does comes after. @context Any that owns the number */
export function rcu_seq_start<S extends string>(cpu: Cpu, p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>): void {
  const s = cpu.mem.read_once(p, f);
  if (rcu_seq_state(s) !== 0) warn(cpu, `a grace period begins inside another (sequence ${s})`);
  cpu.mem.write_once(p, f, (s + 1) | 0);
  cpu.mem.smp_mb();
}
/** rcu_seq_end(): it is over. All that it did came before. @context Any that owns the number */
export function rcu_seq_end<S extends string>(cpu: Cpu, p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>): void {
  const s = cpu.mem.read_once(p, f);
  if (rcu_seq_state(s) === 0) warn(cpu, `a grace period ends that has not begun (sequence ${s})`);
  cpu.mem.smp_mb();
  cpu.mem.write_once(p, f, rcu_seq_endval(s));
}
/** The number after the end of the grace period in progress. */
export function rcu_seq_endval(s: number): number {
  return ((s | RCU_SEQ_STATE_MASK) + 1) | 0;
}
/**
 * rcu_seq_snap() - the number at which a grace period that begins after now has surely ended. One in progress does not
 * count: its beginning may lie before whatever the caller wants to wait for.
 * @context Any
 */
export function rcu_seq_snap<S extends string>(cpu: Cpu, p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>): number {
  const s = cpu.mem.read_once(p, f);
  cpu.mem.smp_mb(); // What the caller does next is not before its cookie.
  return rcu_seq_snap_value(s);
}
/** rcu_seq_done(): has the number reached `s`? @context Any */
export function rcu_seq_done<S extends string>(
  cpu: Cpu,
  p: Ptr<NoInfer<S>>,
  f: Field<S, "atomic", number>,
  s: number,
): boolean {
  return ULONG_CMP_GE(cpu.mem.read_once(p, f), s);
}
/** rcu_seq_done_exact(): the same for a cookie that may be ancient. @context Any */
export function rcu_seq_done_exact<S extends string>(
  cpu: Cpu,
  p: Ptr<NoInfer<S>>,
  f: Field<S, "atomic", number>,
  s: number,
): boolean {
  return rcu_seq_done_exact_value(cpu.mem.read_once(p, f), s);
}
