/** maple_tree: copies take the place of nodes, which go alone or with all below them. */
import { beforeEach, expect, test } from "vitest";
import {
  FANOUT,
  indices,
  maple_tree_destroy,
  maple_tree_init,
  mt_free_walk,
  mtree_load,
  mtree_replace,
  mtree_store,
} from "../../../src/main/workloads/maple_tree.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { CB } from "../../../src/shared/layout/callbacks.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { SLAB_NO_SHEAVES } from "../../../src/shared/layout/slab_flags.ts";
import { MapleNode, MapleTree, WorkloadGlobals } from "../../../src/shared/layout/workloads.ts";
import { kmem_cache_create, kvfree_rcu_barrier, rcu_barrier } from "../../../src/shared/linux/api.ts";
import { element, embedded, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";
import { exhaustPages } from "../../shared/linux/mm/slub/sheaf_state.ts";

const HEIGHT = 3;
let m: TestMachine;
let cpu: Cpu;
let other: Cpu;
const { parent, pivot, slot } = MapleNode.offset;
const root = (): Ptr<"maple_node"> => {
  const tree = embedded(embedded(cpu.globals, Globals.offset.workloads), WorkloadGlobals.offset.maple_tree);
  return cpu.mem.peek(tree, MapleTree.offset.ma_root);
};
const child = (node: Ptr<"maple_node">, i: number): Ptr<"maple_node"> => cpu.mem.peek(node, element(slot, i));
const stored = (): number[] => Array.from({ length: indices(HEIGHT) }, (_, i) => mtree_load(cpu, i));
/** This CPU; `code` runs when it first comes to a pivot. */
function readerOvertakenBy(code: () => void): Cpu {
  let isOvertaken = false;
  const data_race_read: Cpu["mem"]["data_race_read"] = (p, f) => {
    if (!isOvertaken) {
      isOvertaken = true;
      code();
    }
    return cpu.mem.data_race_read(p, f);
  };
  const mem = Object.create(cpu.mem, { data_race_read: { value: data_race_read } }) as Cpu["mem"];
  return Object.create(cpu, { mem: { value: mem } }) as Cpu;
}

beforeEach(() => {
  m = new TestMachine({ cpus: 2 }, { poison_free: 1 });
  [cpu, other] = m.cpus as [Cpu, Cpu];
  bind_callback(CB.mt_free_walk, mt_free_walk);
  maple_tree_init(cpu, HEIGHT, SLAB_NO_SHEAVES);
});

test("every index has its value", () => {
  expect(stored()).toEqual(Array<number>(indices(HEIGHT)).fill(0));
});
test("a store replaces one leaf, which is dead, and goes by kfree_rcu()", () => {
  const [before, leaf] = [root(), child(child(root(), 0), 1)];
  mtree_store(cpu, 5, HEIGHT);
  mtree_store(cpu, 5, HEIGHT);
  expect(stored()).toEqual(Array.from({ length: indices(HEIGHT) }, (_, i) => (i === 5 ? 2 : 0)));
  expect(root()).toBe(before);
  expect(cpu.mem.peek(leaf, parent)).toBe(leaf);
  expect(m.placeOf(leaf)).toBe("krc");
  kvfree_rcu_barrier(cpu);
  expect(m.placeOf(leaf)).toBe("freelist");
});
test.each([0, 1, 2])("a node at depth %i goes with all below it, by call_rcu()", (depth) => {
  mtree_store(cpu, 5, HEIGHT);
  const nodes = [root(), child(root(), 0), child(child(root(), 0), 1)];
  const [gone, stays] = [nodes.slice(depth), nodes.slice(0, depth)];
  mtree_replace(cpu, 5, depth, HEIGHT);
  expect(gone.map((node) => m.placeOf(node))).toEqual(gone.map(() => "user"));
  rcu_barrier(cpu);
  expect(gone.map((node) => m.placeOf(node))).toEqual(gone.map(() => "freelist"));
  expect(stays.map((node) => m.placeOf(node))).toEqual(stays.map(() => "user"));
  expect(mtree_load(cpu, 5)).toBe(0);
});
test("a replacement takes its nodes from a sheaf, and gives the rest back", () => {
  maple_tree_destroy(cpu);
  maple_tree_init(cpu, HEIGHT);
  const tree = embedded(embedded(cpu.globals, Globals.offset.workloads), WorkloadGlobals.offset.maple_tree);
  const cache = cpu.mem.peek(tree, MapleTree.offset.node_cache);
  const counts = (): number[] =>
    (["SHEAF_PREFILL_FAST", "SHEAF_PREFILL_SLOW", "SHEAF_RETURN_FAST", "SHEAF_RETURN_SLOW"] as const).map((name) =>
      m.stat(cache, name),
    );
  expect(counts()).toEqual([0, 1, 1, 0]);
  mtree_store(cpu, 5, HEIGHT); // One node: no sheaf.
  mtree_replace(cpu, 5, 1, HEIGHT);
  expect(counts()).toEqual([0, 2, 2, 0]); // kfree_rcu() has made the spare its own.
  expect(stored()).toEqual(Array<number>(indices(HEIGHT)).fill(0));
  maple_tree_destroy(cpu);
});
test("the head lies over pivots: a walk that reads it finds its node dead, and starts again", () => {
  mtree_store(cpu, 5, HEIGHT);
  const old = root();
  const reader = readerOvertakenBy(() => mtree_replace(other, 5, 0, HEIGHT));
  expect(mtree_load(reader, 5)).toBe(0); // Of the new tree, in which nothing was stored.
  expect(root()).not.toBe(old);
  expect(cpu.mem.peek(old, element(pivot, 0))).not.toBe(FANOUT ** 2 - 1);
});
test("a value in the wrong place is noticed", () => {
  const leaf = child(child(root(), 0), 1);
  cpu.mem.poke(leaf, element(slot, 1), child(leaf, 2));
  expect(() => mtree_load(cpu, 5)).toThrow(/mtree_load\(5\): the walk has led to the value of 6/);
});
test("without memory for the cache it says so", () => {
  maple_tree_destroy(cpu);
  exhaustPages(cpu);
  while (kmem_cache_create(cpu, "more", 4096) !== NULL);
  expect(() => maple_tree_init(cpu, HEIGHT)).toThrow("no memory for the cache maple_node");
});
test("destroyed, nothing is left", () => {
  for (let i = 0; i < 10; i++) mtree_store(cpu, i, HEIGHT);
  mtree_replace(cpu, 20, 1, HEIGHT);
  maple_tree_destroy(cpu); // A cache with objects cannot be destroyed.
  expect(root()).toBe(0);
});
