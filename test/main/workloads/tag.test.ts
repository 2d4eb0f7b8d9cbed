/** Tags: whoever changes an object, or takes its memory, is noticed. */
import { beforeEach, expect, test } from "vitest";
import { check_tag, tag_object } from "../../../src/main/workloads/tag.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { WorkloadTag } from "../../../src/shared/layout/workloads.ts";
import { kfree, kmalloc } from "../../../src/shared/linux/api.ts";
import type { Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

const BYTES = 64;
let cpu: Cpu;
let object: Ptr;
let tag: Ptr<"workload_tag">;
const check = (stamp?: number): number => check_tag(cpu, object, tag, "reader", stamp);

beforeEach(() => {
  [cpu] = new TestMachine({}, { poison_free: 1 }).cpus;
  object = kmalloc(cpu, BYTES, GFP_KERNEL);
  tag = object as Ptr<"workload_tag">;
  tag_object(cpu, object, tag, BYTES);
});

test("a whole object passes, with and without its stamp", () => {
  const stamp = check();
  expect(check(stamp)).toBe(stamp);
  cpu.mem.store_word(object + WorkloadTag.size, 1);
  expect(check(stamp)).toBe(stamp);
});
test.each([
  ["the stamp", 0],
  ["the size", 4],
  ["the end", BYTES - 4],
])("%s is looked at", (_, offset) => {
  cpu.mem.store_word(object + offset, cpu.mem.load_word(object + offset) + 8);
  expect(() => check()).toThrow(/^reader: object 0x[0-9a-f]+ changed under its holder: stamp 0x/);
});
test("a freed object", () => {
  const stamp = check();
  kfree(cpu, object);
  expect(() => check(stamp)).toThrow(/stamp 0x6b6b6b6b, size 1802201963\n.*object \d+ of/);
});
test("an object that has been given out again", () => {
  const stamp = check();
  kfree(cpu, object);
  expect(kmalloc(cpu, BYTES, GFP_KERNEL)).toBe(object);
  tag_object(cpu, object, tag, BYTES);
  expect(check()).not.toBe(stamp);
  expect(() => check(stamp)).toThrow(/changed under its holder/);
});
