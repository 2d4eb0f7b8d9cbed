/** The account of a cache's objects: what it says where all is well, and of an object in no place, or in two. */
import { expect, test } from "vitest";
import { Explorer } from "../../../src/main/explore/explore.ts";
import { get, type Operation } from "../../../src/main/explore/scenario.ts";
import { cache, FIRST_THING, HEAD, makeCache, makeThings, race } from "../../../src/main/races/kit.ts";
import { freeNolock, freeRcu, insideSheafLock } from "../../../src/main/races/kit_frees.ts";
import { NO_GRACE_PERIODS } from "../../../src/main/races/kit_no_grace_periods.ts";
import { account, check_whereabouts } from "../../../src/main/races/kit_whereabouts.ts";
import { local_irq_disable } from "../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { KfreeRcuCpu } from "../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { SLAB_NO_SHEAVES } from "../../../src/shared/layout/slab_flags.ts";
import { take_census } from "../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { embedded, type Ptr } from "../../../src/shared/mem/struct.ts";

/** A machine with three things, of which `free` gives back the first. */
function machine(free?: Operation, flags = 0): { readonly cpu: Cpu; readonly things: readonly Ptr[] } {
  let things: readonly Ptr[] = [];
  const setup = (cpu: Cpu): void => {
    makeThings(cpu, makeCache(cpu, flags), 3);
    things = [0, 1, 2].map((i) => get(cpu, FIRST_THING + i) as Ptr);
    free?.(cpu);
  };
  const explorer = new Explorer(
    race({ name: "whereabouts", setup, cpus: [[() => undefined]], kernel: NO_GRACE_PERIODS }),
  );
  return { cpu: explorer.engine.cpus[0], things };
}
const check = (cpu: Cpu, users: readonly Ptr[]): string[] => check_whereabouts(cpu, cache(cpu), users, HEAD);
const hex = (object: Ptr): string => `object 0x${object.toString(16)}`;

test("objects in use, in sheaves and on freelists are all there are", () => {
  const { cpu, things } = machine();
  expect(check(cpu, things)).toEqual([]);
});
test("who is in use and is not named is nowhere", () => {
  const { cpu, things } = machine();
  expect(check(cpu, things.slice(1))).toEqual(["1 objects are nowhere: not in use, not free, and waiting for nothing"]);
});
test("who is in use, and free, or in use twice", () => {
  const { cpu, things } = machine();
  const { free, cached } = take_census(cpu, cache(cpu));
  const [onFreelist] = free;
  const [inSheaf] = cached;
  expect(check(cpu, [...things, onFreelist, inSheaf, things[0]])).toEqual([
    `${hex(onFreelist)} is in a freelist, and also in use`,
    `${hex(inSheaf)} is in a sheaf, and also in use`,
    `${hex(things[0])} is in use, and also in use`,
  ]);
});

/** It is deferred, and the irq_work that would bring it home has to wait. */
const defer: Operation = (cpu) => {
  local_irq_disable(cpu);
  insideSheafLock(cpu, freeNolock(0));
};
test.for([
  ["krc", freeRcu(0), SLAB_NO_SHEAVES],
  ["objects", defer, 0],
] as const)("who waits is found in its place: %s", ([place, free, flags]) => {
  const { cpu, things } = machine(free, flags);
  expect(check(cpu, things.slice(1))).toEqual([]);
  expect(check(cpu, things)).toEqual([`${hex(things[0])} is in use, and also in ${place}`]);
});

test("the account lets things wait, but not be counted wrongly", () => {
  const { cpu, things } = machine(freeRcu(0), SLAB_NO_SHEAVES);
  expect(account(cpu, cache(cpu), things.slice(1), HEAD)).toEqual([]);
  cpu.mem.poke(embedded(cpu.section, PerCpu.offset.krc), KfreeRcuCpu.offset.head_count, 7);
  expect(account(cpu, cache(cpu), things.slice(1), HEAD)).toEqual(["CPU 0: krc holds 1 objects, but counts 7"]);
});
