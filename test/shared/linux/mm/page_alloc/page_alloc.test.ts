/** Blocks of pages with locks that are waited for: what is handed out, merged, refused. */
import { describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import { Random } from "../../../../../src/shared/base/random.ts";
import { __GFP_THISNODE, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import {
  FreeArea,
  MAX_PAGE_ORDER,
  Page,
  PGTY_frozen,
  PGTY_slab,
  PGTY_tail,
  Zone,
} from "../../../../../src/shared/layout/page.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { bind_callback } from "../../../../../src/shared/cpu/callback_table.ts";
import { irqs_disabled } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { P_IRQ } from "../../../../../src/shared/layout/cpu.ts";
import { free_area_of } from "../../../../../src/shared/linux/mm/page_alloc/buddy.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import {
  alloc_frozen_pages,
  free_frozen_pages,
  nr_free_pages,
  nr_trylock_free_pages,
} from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import {
  get_order,
  node_zone,
  numa_mem_id,
  numa_node_id,
  page_address,
  page_to_nid,
  pfn_to_page,
  virt_to_head_page,
  virt_to_page,
} from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { CB_IRQ, PageMachine } from "../page_machine.ts";

const P = Page.offset;
const alloc = (cpu: Cpu, order: number, node = NUMA_NO_NODE, gfp = 0): Ptr<"page"> =>
  alloc_frozen_pages(cpu, order, node, gfp);

test("get_order: the smallest order that holds so many bytes", () => {
  expect([0, 1, PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE, 8 * PAGE_SIZE, 8 * PAGE_SIZE + 1].map(get_order)).toEqual([
    0, 0, 0, 1, 1, 3, 4,
  ]);
});

test("after boot all pages are free, in as few blocks as possible", () => {
  const { cpus } = new PageMachine({ bytes: 16 << 20 });
  const [cpu] = cpus;
  expect(check_page_allocator(cpu)).toEqual([]);
  expect(nr_free_pages(cpu)).toBe(cpu.map.nrPages);
  const largest = free_area_of(node_zone(cpu, 0), MAX_PAGE_ORDER);
  expect(cpu.mem.peek(largest, FreeArea.offset.nr_free)).toBe(cpu.map.nrPages >> MAX_PAGE_ORDER);
});

test.each([0, 1, 2, 3, 5])("a block of order %i: head, tails, address; and back", (order) => {
  const { cpus } = new PageMachine();
  const [cpu] = cpus;
  const { mem } = cpu;
  const page = alloc(cpu, order);
  expect((page_address(cpu, page) - cpu.map.pages) % (PAGE_SIZE << order)).toBe(0);
  expect(mem.peek(page, P.type)).toBe(PGTY_frozen);
  expect(mem.peek(page, P.order)).toBe(order);
  for (let i = 0; i < 1 << order; i++) {
    const address = (page_address(cpu, page) + i * PAGE_SIZE + 100) as Ptr;
    expect(virt_to_page(cpu, address)).toBe(page + i * Page.size);
    expect(virt_to_head_page(cpu, address)).toBe(page);
    if (i > 0) expect(mem.peek(virt_to_page(cpu, address), P.type)).toBe(PGTY_tail);
  }
  expect(nr_free_pages(cpu)).toBe(cpu.map.nrPages - (1 << order));
  expect(check_page_allocator(cpu)).toEqual([]);
  free_frozen_pages(cpu, page, order);
  expect(nr_free_pages(cpu)).toBe(cpu.map.nrPages);
  expect(check_page_allocator(cpu)).toEqual([]);
});

test("memory runs out with NULL, and everything merges again", () => {
  const { cpus } = new PageMachine();
  const [cpu] = cpus;
  const pages: Ptr<"page">[] = [];
  for (let page = alloc(cpu, 0); page !== NULL; page = alloc(cpu, 0)) pages.push(page);
  expect(pages.length).toBe(cpu.map.nrPages);
  expect(new Set(pages).size).toBe(pages.length);
  expect(alloc(cpu, 3)).toBe(NULL);
  expect(check_page_allocator(cpu)).toEqual([]);
  const random = new Random(7);
  while (pages.length > 0) free_frozen_pages(cpu, pages.splice(random.below(pages.length), 1)[0], 0);
  expect(nr_free_pages(cpu)).toBe(cpu.map.nrPages);
  expect(check_page_allocator(cpu)).toEqual([]);
});

test("random traffic of all orders on two CPUs and three nodes keeps the allocator whole", () => {
  const { cpus } = new PageMachine({ nodes: 3, cpus: 3 });
  const random = new Random(1);
  const blocks: { page: Ptr<"page">; order: number }[] = [];
  for (let i = 0; i < 3000; i++) {
    const cpu = cpus[random.below(3)];
    if (random.chance(0.55)) {
      const order = random.below(6);
      const page = alloc(cpu, order, random.below(4) - 1);
      if (page !== NULL) blocks.push({ page, order });
    } else if (blocks.length > 0) {
      const [block] = blocks.splice(random.below(blocks.length), 1);
      free_frozen_pages(cpu, block.page, block.order);
    }
    if (i % 100 === 0) expect(check_page_allocator(cpu)).toEqual([]);
  }
  for (const block of blocks) free_frozen_pages(cpus[0], block.page, block.order);
  expect(check_page_allocator(cpus[0])).toEqual([]);
  expect(nr_free_pages(cpus[0])).toBe(cpus[0].map.nrPages);
});

describe("nodes", () => {
  test("the CPU's own node first, or the one asked for, then the next ones; with __GFP_THISNODE no other", () => {
    const { cpus } = new PageMachine({ nodes: 2 });
    const [cpu, other] = cpus;
    expect([numa_node_id(cpu), numa_node_id(other)]).toEqual([0, 1]);
    expect(page_to_nid(cpu, alloc(cpu, 0))).toBe(0);
    expect(page_to_nid(cpu, alloc(other, 0))).toBe(1);
    expect(page_to_nid(cpu, alloc(cpu, 0, 1))).toBe(1);
    while (alloc(cpu, 0, 1, __GFP_THISNODE) !== NULL);
    expect(alloc(cpu, 0, 1, __GFP_THISNODE)).toBe(NULL);
    expect(page_to_nid(cpu, alloc(other, 0))).toBe(0);
    expect(check_page_allocator(cpu)).toEqual([]);
  });

  test("the last page of a node does not merge with the next node's first", () => {
    // So many bytes that a node has an odd number of pages: its last one would have its buddy beyond the end.
    const machine = [0, 4, 8, 12]
      .map((pages) => new PageMachine({ nodes: 2, bytes: (2 << 20) + pages * PAGE_SIZE }))
      .find(({ cpus }) => cpus[0].map.pagesPerNode % 2 === 1);
    if (machine === undefined) throw new Error("no machine has an odd number of pages on a node");
    const [cpu] = machine.cpus;
    const { pagesPerNode } = cpu.map;
    const pages: Ptr<"page">[] = [];
    for (let page = alloc(cpu, 0); page !== NULL; page = alloc(cpu, 0)) pages.push(page);
    const free = (pfn: number): void => {
      free_frozen_pages(cpu, pfn_to_page(cpu, pfn), 0);
      expect(check_page_allocator(cpu)).toEqual([]);
    };
    free(pagesPerNode); // The first one of node 1: a block of its own, since its buddy is not free.
    free(pagesPerNode - 1);
    expect(cpu.mem.peek(free_area_of(node_zone(cpu, 0), 0), FreeArea.offset.nr_free)).toBe(1);
    expect(cpu.mem.peek(free_area_of(node_zone(cpu, 1), 0), FreeArea.offset.nr_free)).toBe(1);
  });

  test("a node without memory: its CPUs use the next one", () => {
    const { cpus } = new PageMachine({ nodes: 2 });
    const [cpu, other] = cpus;
    other.mem.poke(node_zone(cpu, 1), Zone.offset.nr_pages, 0);
    other.mem.poke(node_zone(cpu, 1), Zone.offset.nr_free_pages, 0);
    expect([numa_mem_id(cpu), numa_mem_id(other)]).toEqual([0, 0]);
    expect(page_to_nid(other, alloc(other, 0))).toBe(0);
  });
});

describe("a bug", () => {
  test("a page that is free already", () => {
    const { cpus } = new PageMachine();
    const [cpu] = cpus;
    const first = alloc(cpu, 0);
    const second = alloc(cpu, 0);
    free_frozen_pages(cpu, first, 0);
    expect(() => free_frozen_pages(cpu, first, 0)).toThrow(MachineBug);
    free_frozen_pages(cpu, second, 0);
    expect(() => free_frozen_pages(cpu, second, 0)).toThrow(/free already/);
  });
  test("another order, a tail, a page that is still a slab", () => {
    const { cpus } = new PageMachine();
    const [cpu] = cpus;
    const page = alloc(cpu, 2);
    expect(() => free_frozen_pages(cpu, page, 1)).toThrow(/order 2 is freed with order 1/);
    expect(() => free_frozen_pages(cpu, (page + Page.size) as Ptr<"page">, 0)).toThrow(/a tail/);
    cpu.mem.poke(page, P.type, PGTY_slab);
    expect(() => free_frozen_pages(cpu, page, 2)).toThrow(/still in use/);
  });
  test("an address outside the pages", () => {
    const { cpus } = new PageMachine();
    const [cpu] = cpus;
    expect(() => virt_to_page(cpu, 64 as Ptr)).toThrow(/no address in a page/);
    expect(() => virt_to_page(cpu, (cpu.map.pages + cpu.map.nrPages * PAGE_SIZE) as Ptr)).toThrow(MachineBug);
  });
  test("an NMI that waits for zone->lock", () => {
    const machine = new PageMachine();
    const [cpu] = machine.cpus;
    const page = alloc(cpu, 0);
    machine.nmi(cpu, () => {
      expect(() => alloc(cpu, 0)).toThrow(/in task > nmi/);
      expect(() => free_frozen_pages(cpu, page, 0)).toThrow(/in task > nmi/);
    });
  });
});

test("IRQs are off while zone->lock is held: an IRQ comes afterwards", () => {
  const machine = new PageMachine();
  const [cpu] = machine.cpus;
  const order: string[] = [];
  bind_callback(CB_IRQ, () => order.push(`irq, IRQs ${irqs_disabled(cpu) ? "off" : "on"}`));
  machine.at(cpu, POINT.zone_lock_held, () => {
    cpu.mem.raise(cpu.pending, P_IRQ);
    order.push("raised");
  });
  const page = alloc(cpu, 0);
  expect(order).toEqual(["raised", "irq, IRQs off"]);
  expect(irqs_disabled(cpu)).toBe(false);
  free_frozen_pages(cpu, page, 0);
});

describe("the checker sees", () => {
  const broken = (damage: (cpu: Cpu, page: Ptr<"page">, zone: Ptr<"zone">) => void): string => {
    const { cpus } = new PageMachine();
    const [cpu] = cpus;
    const page = alloc(cpu, 1);
    alloc(cpu, 0);
    expect(check_page_allocator(cpu)).toEqual([]);
    damage(cpu, page, node_zone(cpu, 0));
    return check_page_allocator(cpu).join("\n");
  };
  test("a lost page", () => {
    expect(broken((cpu, page) => cpu.mem.poke(page, P.type, 0))).toMatch(/in no block/);
  });
  test("a wrong counter of pages, of blocks, of waiting pages", () => {
    expect(broken((cpu, _, zone) => cpu.mem.poke(zone, Zone.offset.nr_free_pages, 3))).toMatch(/pages free, counter/);
    expect(broken((cpu, _, zone) => cpu.mem.poke(free_area_of(zone, 0), FreeArea.offset.nr_free, 9))).toMatch(
      /free blocks of order 0, counter says 9/,
    );
    expect(broken((cpu, _, zone) => cpu.mem.poke(zone, Zone.offset.nr_trylock_free, 1))).toMatch(/trylock_free_pages/);
  });
  test("a tail that points elsewhere", () => {
    expect(broken((cpu, page) => cpu.mem.poke((page + Page.size) as Ptr<"page">, P.compound_head, NULL))).toMatch(
      /has head 0/,
    );
  });
  test("a block that is said to be free, but is on no list", () => {
    expect(broken((cpu, page) => cpu.mem.poke(page, P.type, 1))).toMatch(/not on the free list/);
  });
  test("nothing when nothing is wrong", () => {
    expect(broken(() => undefined)).toBe("");
    expect(nr_trylock_free_pages(new PageMachine().cpus[0])).toBe(0);
  });
});
