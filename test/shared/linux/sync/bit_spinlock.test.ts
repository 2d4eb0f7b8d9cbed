import { expect, test } from "vitest";
import { MachineBug } from "../../../../src/shared/base/verdict.ts";
import { preempt_count } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { bit_spin_lock, bit_spin_trylock, bit_spin_unlock } from "../../../../src/shared/linux/sync/bit_spinlock.ts";
import { element } from "../../../../src/shared/mem/struct.ts";
import { boot, exploreLayer, inHardirq, inNmi, room } from "../layer.ts";

const WORD = element(Globals.offset.scenario, 0);

test("takes one bit and leaves the others alone", () => {
  const [cpu, other] = boot() as [Cpu, Cpu];
  cpu.mem.write_once(cpu.globals, WORD, 0b1010);
  bit_spin_lock(cpu, cpu.globals, WORD, 2);
  expect(cpu.mem.read_once(cpu.globals, WORD)).toBe(0b1110);
  expect(preempt_count(cpu)).toBe(1);
  expect(bit_spin_trylock(other, cpu.globals, WORD, 2)).toBe(false);
  expect(preempt_count(other)).toBe(0);
  expect(bit_spin_trylock(other, cpu.globals, WORD, 0)).toBe(true);
  bit_spin_unlock(cpu, cpu.globals, WORD, 2);
  expect(cpu.mem.read_once(cpu.globals, WORD)).toBe(0b1011);
  expect(preempt_count(cpu)).toBe(0);
  expect(() => bit_spin_unlock(cpu, cpu.globals, WORD, 2)).toThrow("not held");
});
test("contexts", () => {
  const [cpu] = boot(1) as [Cpu];
  inHardirq(cpu, () => {
    bit_spin_lock(cpu, cpu.globals, WORD, 0);
    bit_spin_unlock(cpu, cpu.globals, WORD, 0);
  });
  inNmi(cpu, () => {
    expect(bit_spin_trylock(cpu, cpu.globals, WORD, 0)).toBe(true);
    bit_spin_unlock(cpu, cpu.globals, WORD, 0);
  });
  expect(() => inNmi(cpu, () => bit_spin_lock(cpu, cpu.globals, WORD, 0))).toThrow("spins in NMI");
});
test("spurious failure", () => {
  const [cpu] = boot(1) as [Cpu];
  cpu.mem.poke(cpu.globals, Globals.offset.spurious, -1);
  expect(bit_spin_trylock(cpu, cpu.globals, WORD, 0)).toBe(false);
  expect(preempt_count(cpu)).toBe(0);
});
test("two CPUs exclude each other", () => {
  const section = (cpu: Cpu): void => {
    bit_spin_lock(cpu, cpu.globals, WORD, 0);
    const inside = room(cpu, 0);
    if (cpu.mem.load_word(inside) !== 0) throw new MachineBug(cpu.id, "two inside");
    cpu.mem.store_word(inside, 1);
    cpu.mem.store_word(inside, 0);
    bit_spin_unlock(cpu, cpu.globals, WORD, 0);
  };
  const { failure, exhausted } = exploreLayer(
    { name: "bit lock", cpus: [[section, section], [section]] },
    { bound: 2, exhaustive: 40_000 },
  );
  expect(failure).toBeUndefined();
  expect(exhausted).toBe(2);
});
