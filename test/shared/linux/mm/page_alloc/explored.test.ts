/** The page allocator under the explorer: two CPUs and an NMI at any step; no page is lost, none handed out twice. */
import { expect, test } from "vitest";
import { Explorer } from "../../../../../src/main/explore/explore.ts";
import { get, type Scenario, set } from "../../../../../src/main/explore/scenario.ts";
import { NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import {
  alloc_frozen_pages,
  free_frozen_pages,
  nr_free_pages,
  nr_trylock_free_pages,
  page_alloc_init,
} from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import {
  alloc_frozen_pages_nolock,
  free_frozen_pages_nolock,
} from "../../../../../src/shared/linux/mm/page_alloc/page_alloc_nolock.ts";
import { element, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { BARE_KERNEL } from "../../../../../src/main/explore/kernel.ts";

const explore = (scenario: Scenario, bound = 2): ReturnType<Explorer["explore"]> =>
  new Explorer({ ...scenario, kernel: { ...BARE_KERNEL, boot: page_alloc_init } }).explore({
    bound,
    random: 100,
    exhaustive: 30_000,
  });
const { scenario: WORDS } = Globals.offset;
const page = (cpu: Cpu, word: number): Ptr<"page"> => get(cpu, word) as Ptr<"page">;
const take = (cpu: Cpu, word: number): Ptr<"page"> => cpu.mem.xchg(cpu.globals, element(WORDS, word), 0) as Ptr<"page">;
const alloc = (cpu: Cpu): Ptr<"page"> => alloc_frozen_pages(cpu, 0, NUMA_NO_NODE);
/** Free and waiting pages together, and what the checker says. */
const whole = (cpu: Cpu): string | undefined => {
  const pages = nr_free_pages(cpu) + nr_trylock_free_pages(cpu);
  return [...check_page_allocator(cpu), ...(pages === cpu.map.nrPages ? [] : [`${pages} pages left`])][0];
};

test("two CPUs allocate and free: buddies merge again", () => {
  const program = (cpu: Cpu): void => {
    const mine = alloc(cpu);
    free_frozen_pages(cpu, mine, 0);
  };
  const run = explore({ name: "alloc and free", cpus: [[program], [program]], check: whole });
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("an NMI that allocates and frees at any step: at worst its pages wait for the next normal free", () => {
  let waited = 0;
  const run = explore(
    {
      name: "nolock in NMI",
      cpus: [[(cpu) => free_frozen_pages(cpu, alloc(cpu), 0)], [(cpu) => free_frozen_pages(cpu, page(cpu, 0), 0)]],
      setup: (cpu) => {
        set(cpu, 0, alloc(cpu));
        set(cpu, 1, alloc(cpu));
      },
      nmi: (cpu) => {
        const mine = alloc_frozen_pages_nolock(cpu, 0, NUMA_NO_NODE);
        if (mine !== NULL) free_frozen_pages_nolock(cpu, mine, 0);
        const given = take(cpu, 1);
        if (given !== NULL) free_frozen_pages_nolock(cpu, given, 0);
      },
      nmis: 1,
      final: (cpu) => {
        const given = take(cpu, 1); // Unless an NMI has it, or comes just now.
        if (given !== NULL) free_frozen_pages(cpu, given, 0);
        else free_frozen_pages(cpu, alloc(cpu), 0);
      },
      check: (cpu) => {
        if (nr_trylock_free_pages(cpu) > 0) waited++;
        return whole(cpu);
      },
    },
    1,
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  expect(waited).toBeGreaterThan(0);
});
