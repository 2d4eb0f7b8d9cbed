/**
 * Memory: the one way in which kernel code touches the shared buffer.
 *
 * Each call of the first group is one *step*: an interrupt may come before it, and under the explorer so may any other
 * CPU. Three classes implement it; a thread creates one and never a second (two at a call site cost 3-8x):
 *   BareMemory           no interrupts: the heap facade, the host that looks at a stopped machine, sequential tests
 *   InterruptibleMemory  polls the CPU's pending word before each step: torture
 *   TracedMemory         asks a scheduler before each step: src/main/explore
 *
 * Typed by field (struct.ts): plain methods take plain fields, atomic methods atomic ones. JavaScript atomics are
 * sequentially consistent, so read_once and write_once are acquire and release too.
 */
import type { Access, Field, Ptr } from "./struct.ts";

export interface Memory {
  /** The buffer as words; index = byte address >> 2. Kernel code never uses it: it would bypass the steps. */
  readonly words: Int32Array;
  /** True while an operation is re-executed from its log (explorer): what lies outside the machine must not repeat. */
  readonly rebuilding: boolean;
  /** Does anybody read the trace rings of this machine? (The explorer prints the accesses themselves.) */
  readonly tracing: boolean;
  /**
   * Does the allocator check who calls it, and does it visit points, count, trace, run hooks and poison? Not where it only
   * has to be fast: there it does what a kernel without debugging options does.
   */
  readonly checked: boolean;

  // Plain fields: one owner, or under a lock.
  read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "plain", V>): V;
  write<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "plain", V>, v: NoInfer<V>): void;

  // Atomic fields.
  read_once<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>): V;
  write_once<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>, v: NoInfer<V>): void;
  /** @returns the old value. */
  xchg<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", V>, v: NoInfer<V>): V;
  /** @returns what was found; equal to `expected` if and only if `v` was stored. */
  cmpxchg<S extends string, V extends number>(
    p: Ptr<NoInfer<S>>,
    f: Field<S, "atomic", V>,
    expected: NoInfer<V>,
    v: NoInfer<V>,
  ): V;
  /** fetch_*: @returns the old value. */
  fetch_add<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, n: number): number;
  fetch_or<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number;
  fetch_and<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, "atomic", number>, bits: number): number;
  /** Plain store to a field that nobody else can reach yet. */
  init<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void;
  /** Plain load of a field that others may be changing: an intended race; the caller says why it is harmless. */
  data_race_read<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V;
  /** Full barrier. Nothing to do: every atomic step is one already. Kept where the kernel has it. */
  smp_mb(): void;

  // Object payload: bytes that belong to a user of the allocator.
  load_word(address: number): number;
  store_word(address: number, v: number): void;
  load_byte(address: number): number;
  store_byte(address: number, v: number): void;
  /** memset(): one step. */
  fill(address: number, bytes: number, byte: number): void;
  /** memchr_inv(): one step. @returns address of the first byte that is another one; 0: there is none. */
  scan(address: number, bytes: number, byte: number): number;

  // Words of the CPU's own slot (layout/cpu.ts): no steps, not seen by the scheduler, put back before a rebuild.
  peek<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>): V;
  poke<S extends string, V extends number>(p: Ptr<NoInfer<S>>, f: Field<S, Access, V>, v: NoInfer<V>): void;
  /**
   * Has the switch at `p` been turned on? Nobody turns it off again. No step: where it is off it costs nothing. A rebuild
   * finds it as it was then.
   */
  static_key<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, Access, number>): boolean;
  /** Adds to a statistics word of this CPU: no step, skipped in a rebuild. A count may be lost to an interrupt. */
  count<S extends string>(p: Ptr<NoInfer<S>>, f: Field<S, Access, number>, n: number): void;

  // Interrupts and waiting. `pending` words: layout/cpu.ts.
  /** An interruption point without an access. @param point  its number if it is a named one (points.ts), else 0. */
  poll(point: number): void;
  /** IRQs came on, or an interrupt returned: take at once what may not wait any longer. */
  irqs_enabled(): void;
  /** Sets bits in the pending word at byte address `pending` (any CPU's) and wakes that CPU: one step. */
  raise(pending: Ptr<"cpu_pending">, bits: number): void;
  /** Clears `bits` of the own pending word. @returns those that were set. Not a step. */
  take_pending(bits: number): number;
  /** The own pending word. Not a step. */
  pending(): number;
  /** Blocks until the own pending word differs from `seen`; may return early. The CPU's HLT. */
  wait(seen: number): void;
  /**
   * Several tasks per CPU (cpu/task.ts): wakes the thread that waits for the word at byte address `next`, and waits until the
   * word at `own` is set, which it then clears. 0: does not wait, the task has ended. Not a step.
   */
  switch_to(own: number, next: number): void;
  /**
   * The task may go on on another CPU, if there is one for it. @returns its number, the memory's interrupts being that CPU's
   * from now on; -1: it stays. Whoever had that CPU has got ours.
   * @param inOperation  it stands in the middle of something: that is what makes it worth while.
   */
  migrate(inOperation: boolean): number;
  /** cpu_relax(): one turn of a loop that waits for another CPU. */
  relax(): void;
}

/** What Memory calls when the pending word is not 0 (src/shared/cpu/interrupt.ts). */
export interface InterruptSink {
  deliver(): void;
  /** Throws MachineStopped if the machine has stopped. For a thread whose task does not run: it takes no interrupts. */
  check_stop?(): void;
}
