/** vmap_block: pages in order, blocks that go when all their pages are back. */
import { beforeEach, expect, test } from "vitest";
import {
  purge_fragmented_blocks,
  vb_alloc,
  vb_free,
  vb_look_up,
  vb_pass_on,
  vb_walk,
  vmap_block_destroy,
  vmap_block_init,
} from "../../../src/main/workloads/vmap_block.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { NR_VMAP_BLOCKS, VMAP_BBMAP_BITS, VmapGlobals, WorkloadGlobals } from "../../../src/shared/layout/workloads.ts";
import { kvfree_rcu_barrier } from "../../../src/shared/linux/api.ts";
import { element, embedded, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { check_quiescence, take_account } from "../../../src/workers/quiescence.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

let m: TestMachine;
let cpu: Cpu;
const alloc = (count: number): number => vb_alloc(cpu, count, GFP_KERNEL);
const block = (address: number): Ptr<"vmap_block"> => {
  const vmap = embedded(embedded(cpu.globals, Globals.offset.workloads), WorkloadGlobals.offset.vmap);
  return cpu.mem.peek(vmap, element(VmapGlobals.offset.vmap_blocks, ((address - 1) / VMAP_BBMAP_BITS) | 0));
};

beforeEach(() => {
  m = new TestMachine({ cpus: 2 }, { poison_free: 1 });
  [cpu] = m.cpus;
  vmap_block_init(cpu);
});

test("pages come one after the other, from a new block if there are too few", () => {
  const first = alloc(20);
  expect(alloc(8)).toBe(first + 20);
  const other = alloc(8);
  expect(block(other)).not.toBe(block(first));
  expect(alloc(4)).toBe(first + 28);
  vb_walk(cpu, 0);
});
test("each CPU has blocks of its own", () => {
  const first = alloc(1);
  const other = vb_alloc(m.cpus[1], 1, GFP_KERNEL);
  expect(block(other)).not.toBe(block(first));
  vb_free(m.cpus[1], first, 1);
});
test("a block goes with its last page, and waits for its readers", () => {
  const [first, second] = [alloc(16), alloc(16)];
  const vb = block(first);
  vb_free(cpu, first, 16);
  expect(m.placeOf(vb)).toBe("user");
  vb_free(cpu, second, 16);
  expect(block(first)).toBe(NULL);
  expect(m.placeOf(vb)).not.toMatch(/user|freelist|^sheaf/);
  vb_look_up(cpu, first, 1);
  kvfree_rcu_barrier(cpu);
  expect(m.placeOf(vb)).toMatch(/freelist|^sheaf/);
});
test("a block that is taken as a whole is in no queue", () => {
  const [whole, part] = [alloc(VMAP_BBMAP_BITS), alloc(1)];
  expect(block(part)).not.toBe(block(whole));
  vb_free(cpu, whole, VMAP_BBMAP_BITS);
  kvfree_rcu_barrier(cpu);
  vb_walk(cpu, 0); // What lies on the queue is not freed.
});
test("a block without pages in use is purged, one with pages is not", () => {
  const [first, second] = [alloc(8), alloc(8)];
  vb_free(cpu, first, 8);
  purge_fragmented_blocks(cpu, 0);
  expect(block(second)).not.toBe(NULL);
  vb_free(cpu, second, 8);
  purge_fragmented_blocks(cpu, 0);
  expect(block(second)).toBe(NULL);
  vb_walk(cpu, 0);
});
test("pages are given back once, by who has them", () => {
  const first = alloc(8);
  vb_free(cpu, first, 4);
  expect(() => vb_free(cpu, first, 4)).toThrow(/not all of the 4 pages are in use/);
  expect(() => vb_free(cpu, first + VMAP_BBMAP_BITS, 1)).toThrow(/no such block|not all/);
});
test("too many blocks", () => {
  for (let i = 0; i < NR_VMAP_BLOCKS; i++) expect(alloc(VMAP_BBMAP_BITS)).toBeGreaterThan(0);
  expect(alloc(1)).toBe(0);
});
test("destroyed, nothing is left", () => {
  const baseline = take_account(cpu);
  for (let draw = 0; draw < 100; draw++) vb_pass_on(m.cpus[draw & 1], draw, GFP_KERNEL);
  vmap_block_destroy(cpu);
  check_quiescence(cpu, baseline);
  expect(alloc(VMAP_BBMAP_BITS)).toBeGreaterThan(0);
  expect(() => vmap_block_destroy(cpu)).toThrow(/is left/);
});
