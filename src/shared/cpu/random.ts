/** cpu_random(): this CPU's seeded generator. Its state is in the slot, so a rebuild draws the same numbers again. */
import { below, xorshift32 } from "../base/random.ts";
import { CpuSlot } from "../layout/cpu.ts";
import { Globals } from "../layout/globals.ts";
import type { Cpu } from "./cpu.ts";

const { random: RANDOM } = CpuSlot.offset;
const { spurious: SPURIOUS } = Globals.offset;

/** 32 random bits. @context Any: an interrupted draw only yields the same number twice. */
export function cpu_random(cpu: Cpu): number {
  const value = xorshift32(cpu.mem.peek(cpu.slot, RANDOM));
  cpu.mem.poke(cpu.slot, RANDOM, value);
  return value;
}
/** Uniform in 0 .. n-1. */
export function random_below(cpu: Cpu, n: number): number {
  return below(cpu_random(cpu), n);
}
/** Should this trylock fail for no reason? Always legal; the only way to some branches (spec slub 2.2). */
export function fails_spuriously(cpu: Cpu): boolean {
  const threshold = cpu.mem.peek(cpu.globals, SPURIOUS);
  return threshold !== 0 && cpu_random(cpu) >>> 0 < threshold >>> 0;
}
