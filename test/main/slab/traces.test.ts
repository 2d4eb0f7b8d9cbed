/** alloc_traces and free_traces: objects in use by call site, as the tracks say. */
import { beforeEach, describe, expect, test } from "vitest";
import { type Location, traces, tracesJson, tracesText } from "../../../src/main/slab/traces.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { KmemCache } from "../../../src/shared/layout/slab.ts";
import { SLAB_KMALLOC, SLAB_STORE_USER } from "../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_create } from "../../../src/shared/linux/mm/slub/cache.ts";
import { __kmalloc_cache, kmem_cache_alloc, kmem_cache_free } from "../../../src/shared/linux/mm/slub/kmalloc.ts";
import type { Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

let machine: TestMachine;
let cpu: Cpu;
beforeEach(() => {
  machine = new TestMachine({ cpus: 3, nodes: 2 });
  [cpu] = machine.cpus;
});

type Cache = Ptr<"kmem_cache">;
const create = (flags: number): Cache => kmem_cache_create(cpu, "things", 64, { flags });
// Two call sites.
const here = (on: Cpu, s: Cache): Ptr => kmem_cache_alloc(on, s, GFP_KERNEL);
const there = (on: Cpu, s: Cache): Ptr => kmem_cache_alloc(on, s, GFP_KERNEL);
const see = (s: Cache, name: "alloc_traces" | "free_traces"): readonly Location[] => traces(cpu, s, name) ?? [];
const text = (s: Cache, name: "alloc_traces" | "free_traces"): readonly string[] => tracesText(cpu, see(s, name));

const sorted = (numbers: ReadonlySet<number>): number[] => [...numbers].toSorted((a, b) => a - b);

describe("call sites", () => {
  test("by number of objects, with ages, tasks, CPUs and nodes", () => {
    const s = create(SLAB_STORE_USER);
    there(cpu, s);
    machine.tick(4);
    for (const on of machine.cpus) {
      here(on, s);
      machine.tick(2);
    }
    kmem_cache_free(cpu, s, here(cpu, s)); // Not in use any more.
    const [first, second] = see(s, "alloc_traces");
    expect(first).toMatchObject({ count: 3, minAge: 2, maxAge: 6, sumAge: 12, minPid: 1, maxPid: 3, waste: 0 });
    expect([sorted(first.cpus), sorted(first.nodes)]).toEqual([
      [0, 1, 2],
      [0, 1],
    ]);
    expect(first.symbol).toMatch(/^here .*traces\.test\.ts:\d+$/);
    expect(second).toMatchObject({ count: 1, minAge: 10, maxAge: 10 });
    expect(second.symbol).toMatch(/^there /);
    const lines = text(s, "alloc_traces");
    expect(lines[0]).toMatch(/^ {6}3 here \S+ age=2\/4\/6 pid=1-3 cpus=0-2 nodes=0-1$/);
    expect(lines.filter((line) => /^ {6}1 /.test(line))).toEqual([
      expect.stringMatching(/ age=10 pid=1 cpus=0 nodes=0$/),
    ]);
    for (const line of lines.slice(1)) expect(line).toMatch(/^$| {8}\S|^ {6}1 /);
  });
  test("what was asked for, and what is wasted", () => {
    const s = create(SLAB_STORE_USER | SLAB_KMALLOC);
    for (let i = 0; i < 3; i++) __kmalloc_cache(cpu, s, GFP_KERNEL, 40);
    __kmalloc_cache(cpu, s, GFP_KERNEL, 64);
    expect(see(s, "alloc_traces").map(({ count, waste }) => [count, waste])).toEqual([
      [3, 24],
      [1, 0],
    ]);
    expect(text(s, "alloc_traces")[0]).toMatch(/ waste=72\/24 age=0 pid=1 /);
  });
  test("who freed what is in use again", () => {
    const s = create(SLAB_STORE_USER);
    const object = here(cpu, s);
    expect(text(s, "free_traces")[0]).toMatch(/^ {6}1 <not-available> age=0 pid=0 nodes=0$/);
    const release = (): void => kmem_cache_free(machine.cpus[1], s, object);
    release();
    expect(see(s, "free_traces")).toEqual([]);
    expect(here(cpu, s)).toBe(object);
    expect(text(s, "free_traces")[0]).toMatch(/^ {6}1 release \S+ age=0 pid=2 cpus=1 nodes=0$/);
    expect(tracesJson(see(s, "free_traces"))).toEqual([
      expect.objectContaining({ count: 1, cpus: [1], nodes: [0], minPid: 2 }),
    ]);
  });
});

test("nothing in use: No data", () => {
  const s = create(SLAB_STORE_USER);
  expect(text(s, "alloc_traces")).toEqual(["No data"]);
  kmem_cache_free(cpu, s, here(cpu, s));
  expect(text(s, "alloc_traces")).toEqual(["No data"]);
});
test("a cache without tracks has none", () => {
  expect(traces(cpu, create(0), "alloc_traces")).toBeUndefined();
});
test("a broken freelist ends, and an object on one CPU of one node says neither", () => {
  machine = new TestMachine({ cpus: 1 });
  [cpu] = machine.cpus;
  const s = create(SLAB_STORE_USER);
  const objects = [here(cpu, s), here(cpu, s)];
  for (const object of objects) kmem_cache_free(cpu, s, object);
  here(cpu, s);
  const free = objects[0];
  const link = free + cpu.mem.peek(s, KmemCache.offset.offset);
  const right = cpu.mem.load_word(link);
  for (const wrong of [free, 12345, 0x7fffff00]) {
    cpu.mem.store_word(link, wrong);
    expect(see(s, "alloc_traces").reduce((sum, { count }) => sum + count, 0)).toBeGreaterThanOrEqual(1);
  }
  cpu.mem.store_word(link, right);
  expect(text(s, "alloc_traces")[0]).toMatch(/^ {6}1 here \S+ age=0 pid=1$/);
});
