/** kvrealloc() and vrealloc(): blocks that grow out of kmalloc() and within the vmalloc area. */
import { beforeEach, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../src/shared/base/limits.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { __GFP_ZERO, GFP_KERNEL } from "../../../../src/shared/layout/gfp.ts";
import { kvrealloc, vrealloc } from "../../../../src/shared/linux/mm/kvrealloc.ts";
import { ksize } from "../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { ZERO_SIZE_PTR } from "../../../../src/shared/linux/mm/slub/size_class.ts";
import { kvfree } from "../../../../src/shared/linux/mm/util.ts";
import { is_vmalloc_addr, vmalloc_nr_pages, vmalloc_size } from "../../../../src/shared/linux/mm/vmalloc.ts";
import { NULL, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { TestMachine } from "./kvfree_rcu/machine.ts";
import { exhaustPages } from "./slub/sheaf_state.ts";

const GFP = GFP_KERNEL | __GFP_ZERO;

let m: TestMachine;
let cpu: Cpu;
beforeEach(() => {
  m = new TestMachine({ cpus: 1 });
  [cpu] = m.cpus;
});
const byte = (p: Ptr, i: number): number => cpu.mem.load_byte(p + i);

test("a block grows through kmalloc() into the vmalloc area, and keeps its content", () => {
  let p = kvrealloc(cpu, NULL, 100, GFP);
  cpu.mem.fill(p, 100, 0x11);
  p = kvrealloc(cpu, p, 5000, GFP);
  expect([is_vmalloc_addr(cpu, p), ksize(cpu, p), byte(p, 99), byte(p, 100)]).toEqual([false, 8192, 0x11, 0]);
  exhaustPages(cpu); // No block of pages is left; the vmalloc area has pages of its own.
  const old = p;
  p = kvrealloc(cpu, p, 10_000, GFP);
  expect([is_vmalloc_addr(cpu, p), byte(p, 99), byte(p, 100), byte(p, 9999)]).toEqual([true, 0x11, 0, 0]);
  expect(m.placeOf(old)).not.toBe("user");
  const larger = kvrealloc(cpu, p, 20_000, GFP);
  expect([vmalloc_size(cpu, larger), byte(larger, 99), byte(larger, 19_999)]).toEqual([5 * PAGE_SIZE, 0x11, 0]);
  kvfree(cpu, larger);
  expect(vmalloc_nr_pages(cpu)).toBe(0);
});
test("a vmalloc block shrinks in its place, and shows nothing old when it grows again", () => {
  const p = vrealloc(cpu, NULL, 3 * PAGE_SIZE, GFP);
  cpu.mem.fill(p, 3 * PAGE_SIZE, 0x22);
  expect(kvrealloc(cpu, p, 100, GFP)).toBe(p);
  expect(kvrealloc(cpu, p, 2 * PAGE_SIZE, GFP)).toBe(p);
  expect([99, 100, 2 * PAGE_SIZE - 1].map((i) => byte(p, i))).toEqual([0x22, 0, 0]);
  expect(kvrealloc(cpu, p, 0, GFP)).toBe(NULL);
  expect(vmalloc_nr_pages(cpu)).toBe(0);
});
test("without room the old block stays", () => {
  const p = vrealloc(cpu, NULL, PAGE_SIZE, GFP);
  expect(kvrealloc(cpu, p, 1 << 24, GFP)).toBe(NULL);
  expect(m.placeOf(p)).toBe("user");
  kvfree(cpu, p);
  expect(kvrealloc(cpu, kvrealloc(cpu, NULL, 10, GFP), 0, GFP)).toBe(ZERO_SIZE_PTR);
});
