/**
 * Random numbers of the kernel. drivers/char/random.c, lib/random32.c; spec slub 1.9.
 *
 *   function               state                  context
 *   get_random_u32_below   per CPU, local lock    any but NMI: an NMI may have hit the holder (slub B6)
 *   prandom_u32_below      a word of the caller   any; an interrupted draw yields the same number twice
 *
 * Differs: both are xorshift from the machine's seed, so that a run can be repeated.
 */
import { bug } from "../../cpu/bug.ts";
import { local_irq_restore, local_irq_save } from "../../cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../cpu/cpu.ts";
import { cpu_random } from "../../cpu/random.ts";
import { below, xorshift32 } from "../../base/random.ts";
import { PerCpu } from "../../layout/percpu.ts";
import { BatchedEntropy } from "../../layout/random.ts";
import type { Field, Ptr } from "../../mem/struct.ts";

const { batched_entropy: BATCHED_ENTROPY } = PerCpu.offset;
const { locked: LOCKED, state: STATE } = BatchedEntropy.offset;

/**
 * get_random_u32_below() - uniform in 0 .. ceil - 1.
 *
 * The batch is a CPU's own, and its local lock is taken with IRQs off: task, softirq and hardirq exclude each other.
 * What can come in between is an NMI.
 *
 * @kernel  drivers/char/random.c
 * @context Hardirq, never NMI.
 */
export function get_random_u32_below(cpu: Cpu, ceil: number): number {
  const { mem } = cpu;
  const batch = this_cpu_ptr(cpu, BATCHED_ENTROPY);
  const flags = local_irq_save(cpu);
  if (mem.read(batch, LOCKED) !== 0) bug(cpu, "get_random_u32() in an NMI that has interrupted it: deadlock (slub B6)");
  mem.write(batch, LOCKED, 1);
  const state = mem.read(batch, STATE);
  const next = state === 0 ? cpu_random(cpu) : xorshift32(state);
  mem.write(batch, STATE, next);
  mem.write(batch, LOCKED, 0);
  local_irq_restore(cpu, flags);
  return below(next, ceil);
}

/**
 * prandom_u32_below() - uniform in 0 .. ceil - 1, from a word that this CPU alone writes.
 * @kernel  lib/random32.c, prandom_u32_state()
 * @context Any. Race: an interrupt between read and write draws the number that we draw, which is as random.
 */
export function prandom_u32_below<T extends string>(
  cpu: Cpu,
  rnd: Ptr<T>,
  state: Field<T, "plain", number>,
  ceil: number,
): number {
  const next = xorshift32(cpu.mem.data_race_read(rnd, state));
  cpu.mem.write(rnd, state, next);
  return below(next, ceil);
}
