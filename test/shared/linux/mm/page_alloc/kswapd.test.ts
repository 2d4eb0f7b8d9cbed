/** Who wakes kswapd: an allocation that finds no page, and says that it may. Not under its pi_lock. */
import { beforeEach, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import {
  __GFP_NOWARN,
  __GFP_THISNODE,
  GFP_ATOMIC,
  GFP_NOWAIT,
  NUMA_NO_NODE,
} from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { Kswapd } from "../../../../../src/shared/layout/vmscan.ts";
import { change_kswapd } from "../../../../../src/shared/linux/mm/page_alloc/kswapd.ts";
import { alloc_frozen_pages, free_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { embedded_at, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { PageMachine } from "../page_machine.ts";

let cpu: Cpu;
let last: Ptr<"page">;
beforeEach(() => {
  [cpu] = new PageMachine({ nodes: 2 }).cpus;
  for (let page = alloc(0); page !== NULL; page = alloc(0)) last = page;
});
const alloc = (gfp: number, node = NUMA_NO_NODE): Ptr<"page"> => alloc_frozen_pages(cpu, 0, node, gfp);
const wakeups = (): number[] =>
  [0, 1].map((node) =>
    cpu.mem.peek(embedded_at(cpu.globals, Globals.offset.kswapd, node, Kswapd.size), Kswapd.offset.wakeups),
  );

test("without memory it is woken, on the node that was asked", () => {
  expect(alloc(GFP_ATOMIC)).toBe(NULL);
  expect(wakeups()).toEqual([1, 0]);
  expect(alloc(GFP_NOWAIT | __GFP_THISNODE, 1)).toBe(NULL);
  expect(wakeups()).toEqual([1, 1]);
});
test("not by who does not say so, nor if there is a page", () => {
  expect(alloc(__GFP_NOWARN)).toBe(NULL);
  free_frozen_pages(cpu, last, 0);
  expect(alloc(GFP_ATOMIC)).toBe(last);
  expect(wakeups()).toEqual([0, 0]);
});
test("under its pi_lock it must not be woken", () => {
  expect(() => change_kswapd(cpu, 0, () => alloc(GFP_NOWAIT))).toThrow(/pi_lock .* is taken twice/);
});
