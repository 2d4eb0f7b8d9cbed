/** A Cpu whose task moves, and one that is the only one of its thread. */
import { expect, test } from "vitest";
import { attachOnlyCpu } from "../../../src/shared/cpu/boot.ts";
import { Cpu, onlyCpu } from "../../../src/shared/cpu/cpu.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import { FIRST_FREE_CALLBACK } from "../../../src/shared/layout/callbacks.ts";
import { P_IRQ } from "../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { BareMemory } from "../../../src/shared/mem/bare_memory.ts";
import { NULL_ORACLE } from "../../../src/shared/mem/oracle.ts";
import type { CallbackId } from "../../../src/shared/mem/struct.ts";
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";
import { sequentialMachine } from "../../machine.ts";

const IRQ_CB = FIRST_FREE_CALLBACK as CallbackId;

const { buffer, map, cpus } = sequentialMachine();

/** What a Cpu says of itself, but for its memory, of which each has its own. */
function described(cpu: Cpu): readonly (readonly [name: string, value: unknown])[] {
  const names = Object.keys(cpus[0]).filter((name) => !["mem", "home_id", "home"].includes(name));
  return names.map((name) => [name, Reflect.get(cpu, name)]);
}

test("a Cpu that becomes another has all that the other has, but keeps its home", () => {
  const cpu = new Cpu(cpus[0].mem, map, 0, 4, NULL_ORACLE);
  cpu.become(1);
  expect(described(cpu)).toEqual(described(cpus[1]));
  expect([cpu.home_id, cpu.home]).toEqual([0, cpus[0].section]);
});
test("the only Cpu of a thread is as the given one, until it moves; that stays as it was", () => {
  const [first, second] = cpus;
  const cpu = onlyCpu(first);
  for (const [name, value] of Object.entries(first)) expect(Reflect.get(cpu, name), name).toBe(value);
  cpu.become(1);
  expect(described(cpu)).toEqual(described(second));
  expect([first.id, first.sheaves, cpu.home_id]).toEqual([0, 0, 0]);
});
test("it is the one that serves its interrupts", () => {
  const seen: Cpu[] = [];
  BARE_KERNEL.bind();
  bind_callback(IRQ_CB, (served) => void seen.push(served));
  const mem = new BareMemory(buffer, cpus[1].pending);
  const cpu = attachOnlyCpu(mem, map, 1, 4, NULL_ORACLE);
  mem.poke(map.globals, Globals.offset.irq_handler, IRQ_CB);
  mem.raise(cpu.pending, P_IRQ);
  mem.poll(0);
  expect(seen.map((each) => each === cpu)).toEqual([true]); // Not toBe(): it would print all of memory.
});
