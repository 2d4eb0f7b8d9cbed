/** The two generators: one takes a lock, one does not. */
import { expect, test } from "vitest";
import { raiseIrq } from "../../../../src/main/kit/index.ts";
import { irqs_disabled, local_irq_restore, local_irq_save } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { BatchedEntropy } from "../../../../src/shared/layout/random.ts";
import { SlubCpu } from "../../../../src/shared/layout/slab.ts";
import { get_random_u32_below, prandom_u32_below } from "../../../../src/shared/linux/lib/random.ts";
import { embedded } from "../../../../src/shared/mem/struct.ts";
import { boot, exploreLayer, inHardirq, inNmi } from "../layer.ts";

const { batched_entropy: BATCHED_ENTROPY, slub: SLUB } = PerCpu.offset;
const { prandom: PRANDOM } = SlubCpu.offset;

test("numbers are below the limit, all of them come, and each CPU has a stream of its own", () => {
  const streams = boot(2).map((cpu) => Array.from({ length: 400 }, () => get_random_u32_below(cpu, 10)));
  for (const stream of streams) expect(new Set(stream)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  expect(streams[0]).not.toEqual(streams[1]);
});
test("an interrupt draws, too; an NMI that hits the lock's holder is a bug, one that does not is none", () => {
  const [cpu] = boot(1);
  const batch = embedded(cpu.section, BATCHED_ENTROPY);
  inHardirq(cpu, (c) => get_random_u32_below(c, 10));
  inNmi(cpu, (c) => get_random_u32_below(c, 10));
  cpu.mem.poke(batch, BatchedEntropy.offset.locked, 1);
  expect(() => inNmi(cpu, (c) => get_random_u32_below(c, 10))).toThrow(/get_random_u32\(\) in an NMI/);
});
test("the lock is free again, and IRQs are as before", () => {
  const [cpu] = boot(1);
  const batch = embedded(cpu.section, BATCHED_ENTROPY);
  get_random_u32_below(cpu, 2);
  expect(cpu.mem.peek(batch, BatchedEntropy.offset.locked)).toBe(0);
  expect(irqs_disabled(cpu)).toBe(false);
  const flags = local_irq_save(cpu);
  get_random_u32_below(cpu, 2);
  expect(irqs_disabled(cpu)).toBe(true);
  local_irq_restore(cpu, flags);
});
test("explored: no interrupt comes while the lock is held", () => {
  const draw = (cpu: Cpu): void => void get_random_u32_below(cpu, 10);
  const cpus = [[draw, draw], [(cpu: Cpu): void => raiseIrq(cpu, 0)]];
  const { failure, exhausted } = exploreLayer({ name: "random", cpus, irq: draw }, { bound: 1 });
  expect(failure).toBe(undefined);
  expect(exhausted).toBe(1);
});
test("prandom: an NMI in between draws the same number, nothing else", () => {
  const [cpu] = boot(1);
  const slub = embedded(cpu.section, SLUB);
  const draw = (): number => prandom_u32_below(cpu, slub, PRANDOM, 1000);
  cpu.mem.poke(slub, PRANDOM, 12345);
  const stream = [draw(), draw(), draw()];
  cpu.mem.poke(slub, PRANDOM, 12345);
  expect([draw(), draw(), draw()]).toEqual(stream);
  expect(new Set(stream).size).toBe(3);
});
