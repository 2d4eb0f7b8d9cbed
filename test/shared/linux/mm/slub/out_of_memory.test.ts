/** What is printed when there is no memory for a slab: what it says, when it says nothing, and how often. */
import { expect, test } from "vitest";
import { logRecords } from "../../../../../src/main/report/dmesg.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { __GFP_NOWARN, GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { SLAB_ALLOC_DEFAULT } from "../../../../../src/shared/layout/slab_flags.ts";
import { alloc_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { SlabMachine } from "../slab_machine.ts";

/** A cache of 1 KiB objects, and no page left. */
function empty(): { cpu: Cpu; s: Ptr<"kmem_cache"> } {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache();
  while (alloc_frozen_pages(cpu, 0, NUMA_NO_NODE) !== NULL);
  return { cpu, s };
}
const fail = (cpu: Cpu, s: Ptr<"kmem_cache">, gfp = GFP_ATOMIC, node = NUMA_NO_NODE): void =>
  expect(___slab_alloc(cpu, s, gfp, node, SLAB_ALLOC_DEFAULT)).toBe(NULL);
const texts = (cpu: Cpu): string[] => logRecords(cpu.mem, cpu.map).map(({ text }) => text);

test("which cache, on what CPU, from where", () => {
  const { cpu, s } = empty();
  fail(cpu, s);
  fail(cpu, s, GFP_ATOMIC, 0);
  const [any, one] = texts(cpu);
  expect(any).toMatch(/^SLUB: no memory for a slab of .* on CPU 0 \(node 0\)\n {2}from any node, gfp=0x[\da-f]+, /);
  expect(any).toMatch(
    /object size 1024, buffer size 1024\n {2}default order 2, min order 0\n {2}node 0: slabs 0, objects 0$/,
  );
  expect(one).toContain("from node 0,");
});
test("nothing with __GFP_NOWARN", () => {
  const { cpu, s } = empty();
  fail(cpu, s, GFP_ATOMIC | __GFP_NOWARN);
  expect(texts(cpu)).toEqual([]);
});
test("ten times in five seconds", () => {
  const { cpu, s } = empty();
  const often = (): void => {
    for (let i = 0; i < 20; i++) fail(cpu, s);
  };
  often();
  expect(texts(cpu)).toHaveLength(10);
  cpu.mem.poke(cpu.globals, Globals.offset.jiffies, 499);
  often();
  expect(texts(cpu)).toHaveLength(10);
  cpu.mem.poke(cpu.globals, Globals.offset.jiffies, 500);
  often();
  expect(texts(cpu)).toHaveLength(20);
});
