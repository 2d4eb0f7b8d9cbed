/**
 * Debugged caches, which have no sheaves and do everything under list_lock: tasks allocate and free, an NMI does so by the
 * nolock functions, which may only try that lock. Spec slub 3.2-3.4, 3.6, B2, B3. In the bucket used a slab has two objects,
 * so that it becomes full and empty all the time; and every check finds what the others leave in order.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import { IRQWORK_LATE } from "../../shared/layout/globals.ts";
import { KmemCache } from "../../shared/layout/slab.ts";
import { DEBUG_DEFAULT_FLAGS } from "../../shared/layout/slab_flags.ts";
import { slab_reports } from "../../shared/linux/mm/slub/debug_report.ts";
import { oo_make } from "../../shared/linux/mm/slub/slab.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import { validate_slab_cache } from "../../shared/linux/mm/slub/validate.ts";
import type { Operation } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { cache, makeThings, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeNolock } from "./kit_frees.ts";
import { kfreeThing, kmallocAs, kmallocNolockAs } from "./kit_kmalloc.ts";

const SIZE = 512;
/** Less than an object holds: what is behind it is checked, too. */
const ASKED = SIZE - 5;
const { oo: OO, min: MIN, min_partial: MIN_PARTIAL, size: SLOT } = KmemCache.offset;
const NMI_FREES = 4;
const NMI_GETS = 8;

const allocate = (i: number): Operation => kmallocAs(i, ASKED);
const getNolock = (i: number): Operation => kmallocNolockAs(i, ASKED);
const nmi: Operation = (cpu) => {
  if (cpu.id !== 0) return;
  freeNolock(NMI_FREES)(cpu);
  getNolock(NMI_GETS)(cpu);
};
const validate: Operation = (cpu) => void validate_slab_cache(cpu, cache(cpu));

/** Things 0 to `count` - 1. A slab is one page, and goes as soon as it is empty. */
const things =
  (count: number): Operation =>
  (cpu) => {
    const s = kmalloc_slab(cpu, SIZE, 0);
    for (const geometry of [OO, MIN])
      cpu.mem.poke(s, geometry, oo_make(0, Math.floor(PAGE_SIZE / cpu.mem.peek(s, SLOT))));
    cpu.mem.poke(s, MIN_PARTIAL, 0);
    makeThings(cpu, s, count);
  };
/** The cache's books are in order, and nothing was reported. */
function sound(cpu: Cpu): string | undefined {
  const reports = slab_reports(cpu);
  return reports === 0 ? accounted(cpu) : `${reports} reports`;
}
const common = {
  bytes: 2 << 20,
  globals: { slab_debug: DEBUG_DEFAULT_FLAGS },
  kernel: NO_GRACE_PERIODS,
  check: sound,
};

export default [
  race({
    ...common,
    name: "debug-full-and-empty",
    summary: "allocations and frees of a debugged cache, and nolock ones in an NMI on top of them",
    setup: things(6),
    cpus: [
      [allocate(10), kfreeThing(0)],
      [kfreeThing(1), allocate(11)],
    ],
    nmi,
  }),
  race({
    ...common,
    name: "debug-new-slab",
    summary:
      "a debugged cache gets new slabs, in an NMI too, where list_lock is only tried and the slab may have to go",
    setup: things(2),
    cpus: [[allocate(10), allocate(12)], [allocate(11)]],
    nmi: (cpu) => {
      if (cpu.id !== 0) return;
      getNolock(8)(cpu);
      getNolock(9)(cpu);
    },
  }),
  race({
    ...common,
    name: "debug-validate",
    summary: "validation of a debugged cache against frees that are deferred for a while, and allocations",
    globals: { ...common.globals, irqwork_mode: IRQWORK_LATE },
    setup: things(6),
    cpus: [[validate], [freeNolock(0), freeNolock(1), allocate(10)]],
    nmi,
  }),
];
