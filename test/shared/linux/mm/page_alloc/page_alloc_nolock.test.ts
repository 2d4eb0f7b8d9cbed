/** Pages in any context: trylock, one pass, trylock_free_pages. */
import { describe, expect, test } from "vitest";
import { NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { Zone } from "../../../../../src/shared/layout/page.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import {
  alloc_frozen_pages,
  free_frozen_pages,
  nr_free_pages,
  nr_trylock_free_pages,
} from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import {
  alloc_frozen_pages_nolock,
  can_spin_trylock,
  free_frozen_pages_nolock,
} from "../../../../../src/shared/linux/mm/page_alloc/page_alloc_nolock.ts";
import { node_zone, page_to_nid } from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../../../../../src/shared/linux/sync/spinlock.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { PageMachine } from "../page_machine.ts";

/** Does something while `holder` has the zone's lock. */
function withZoneLocked(holder: Cpu, node: number, action: () => void): void {
  const lock = embedded(node_zone(holder, node), Zone.offset.lock);
  const flags = spin_lock_irqsave(holder, lock);
  action();
  spin_unlock_irqrestore(holder, lock, flags);
}
const alloc = (cpu: Cpu, order = 0, node = NUMA_NO_NODE): Ptr<"page"> => alloc_frozen_pages_nolock(cpu, order, node);

test("a free lock: the same as the normal functions, in an NMI too", () => {
  const machine = new PageMachine();
  const [cpu] = machine.cpus;
  expect(can_spin_trylock(cpu)).toBe(true);
  machine.nmi(cpu, () => {
    const page = alloc(cpu, 3);
    expect(page).not.toBe(NULL);
    expect(check_page_allocator(cpu)).toEqual([]);
    free_frozen_pages_nolock(cpu, page, 3);
  });
  expect(nr_free_pages(cpu)).toBe(cpu.map.nrPages);
  expect(check_page_allocator(cpu)).toEqual([]);
});

test("orders that the kernel's per-CPU lists do not hold are refused", () => {
  const { cpus } = new PageMachine();
  expect(alloc(cpus[0], 4)).toBe(NULL);
  expect(alloc(cpus[0], 3)).not.toBe(NULL);
});

describe("a busy lock", () => {
  test("alloc: NULL; another node if there is one", () => {
    const one = new PageMachine().cpus;
    withZoneLocked(one[1], 0, () => expect(alloc(one[0])).toBe(NULL));
    const two = new PageMachine({ nodes: 2 }).cpus;
    withZoneLocked(two[1], 0, () => {
      const page = alloc(two[0], 0, 0);
      expect(page_to_nid(two[0], page)).toBe(1);
    });
  });

  test("alloc in an NMI that hits the holder: NULL, and nothing is damaged", () => {
    const machine = new PageMachine();
    const [cpu] = machine.cpus;
    let got: Ptr<"page"> | undefined;
    machine.nmiAt(cpu, POINT.zone_lock_held, () => (got = alloc(cpu)));
    const page = alloc_frozen_pages(cpu, 0, NUMA_NO_NODE);
    expect(got).toBe(NULL);
    free_frozen_pages(cpu, page, 0);
    expect(check_page_allocator(cpu)).toEqual([]);
  });

  test("free: the block waits on trylock_free_pages until a normal free comes by; a nolock free does not drain", () => {
    const { cpus } = new PageMachine();
    const [cpu, other] = cpus;
    const pages = [alloc(cpu, 0), alloc(cpu, 2), alloc(cpu, 0), alloc(cpu, 0)];
    withZoneLocked(other, 0, () => {
      free_frozen_pages_nolock(cpu, pages[0], 0);
      free_frozen_pages_nolock(cpu, pages[1], 2);
    });
    const waiting = (): number[] => [nr_trylock_free_pages(cpu), cpu.map.nrPages - nr_free_pages(cpu)];
    expect(waiting()).toEqual([5, 7]);
    expect(check_page_allocator(cpu)).toEqual([]);
    free_frozen_pages_nolock(cpu, pages[2], 0);
    expect(waiting()).toEqual([5, 6]);
    alloc_frozen_pages(cpu, 0, 0);
    expect(waiting()).toEqual([5, 7]); // An allocation does not drain either.
    free_frozen_pages(cpu, pages[3], 0);
    expect(waiting()).toEqual([0, 1]);
    expect(check_page_allocator(cpu)).toEqual([]);
  });

  test("what waits cannot be freed again", () => {
    const { cpus } = new PageMachine();
    const [cpu, other] = cpus;
    const page = alloc(cpu, 0);
    withZoneLocked(other, 0, () => free_frozen_pages_nolock(cpu, page, 0));
    expect(() => free_frozen_pages(cpu, page, 0)).toThrow(/free already/);
  });
});

test("spurious trylock failures: allocation may fail, nothing is lost", () => {
  const { cpus } = new PageMachine();
  const [cpu] = cpus;
  cpu.mem.poke(cpu.globals, Globals.offset.spurious, 0x80000000 | 0);
  let failed = 0;
  for (let i = 0; i < 200; i++) {
    const page = alloc(cpu, i & 3);
    if (page === NULL) failed++;
    else free_frozen_pages_nolock(cpu, page, i & 3);
    expect(check_page_allocator(cpu)).toEqual([]);
  }
  expect(failed).toBeGreaterThan(50);
  expect(nr_trylock_free_pages(cpu)).toBeGreaterThan(0);
  expect(nr_free_pages(cpu) + nr_trylock_free_pages(cpu)).toBe(cpu.map.nrPages);
});
