/** The variants of kfree_rcu_nolock(), searched by the explorer with the oracle watching. E24 is in src/main/litmus. */
import { describe, expect, test } from "vitest";
import { get, set } from "../../../../../src/main/explore/scenario.ts";
import { NO_GRACE_PERIODS } from "../../../../../src/main/races/kit_no_grace_periods.ts";
import { check_waiting } from "../../../../../src/main/races/kit_whereabouts.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { per_cpu_ptr } from "../../../../../src/shared/cpu/cpu.ts";
import { IRQWORK_LATE, VARIANT_MERGED, VARIANT_RFC, VARIANT_V3 } from "../../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { kvfree_rcu_barrier_on_cache } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { schedule_delayed_monitor_work } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { cache, exploreMm, object, withObjects } from "../explore_mm.ts";
import { Thing } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const VARIANTS = [
  ["merged", VARIANT_MERGED],
  ["v3", VARIANT_V3],
  ["rfc", VARIANT_RFC],
] as const;
/** Scenario words, besides those of withObjects(): one for each CPU. */
const RETURNED = 1;

const barrier = (cpu: Cpu): void => kvfree_rcu_barrier_on_cache(cpu, cache(cpu));
const stranded = (cpu: Cpu): string | undefined => check_waiting(cpu)[0];

describe("an NMI on top of whoever holds a krc lock, another CPU wants it too (E11)", () => {
  const nmi = (cpu: Cpu): void => {
    if (cpu.id !== 0 || get(cpu, RETURNED) !== 0) return;
    set(cpu, RETURNED, 1);
    kfree_rcu_nolock(cpu, object(cpu, 1), HEAD);
  };
  test.each(VARIANTS)("%s: waits for nobody, and strands nothing", (_, nolock_variant) => {
    const run = exploreMm(
      {
        name: "E11",
        globals: { nolock_variant },
        setup: withObjects(2, SLAB_NO_SHEAVES),
        cpus: [
          [(cpu) => kfree_rcu(cpu, object(cpu, 0), HEAD)],
          [(cpu) => schedule_delayed_monitor_work(cpu, per_cpu_ptr(cpu, PerCpu.offset.krc, 0))],
        ],
        nmi,
        check: stranded,
        kernel: NO_GRACE_PERIODS,
      },
      { random: 40, bound: 1 },
    );
    expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test.each(VARIANTS)("%s: nor is it missed by a barrier, however late the irq_work", (_, nolock_variant) => {
    const run = exploreMm(
      {
        name: "E11+barrier",
        globals: { nolock_variant, irqwork_mode: IRQWORK_LATE },
        setup: withObjects(2, SLAB_NO_SHEAVES),
        cpus: [
          [(cpu) => kfree_rcu(cpu, object(cpu, 0), HEAD)],
          [
            (cpu) => {
              if (get(cpu, RETURNED) === 2) barrier(cpu);
            },
          ],
        ],
        nmi: (cpu) => {
          nmi(cpu);
          if (cpu.id === 0) set(cpu, RETURNED, 2);
        },
      },
      { random: 60 },
    );
    expect(run.failure).toBeUndefined();
  });
  test("rfc: two CPUs' NMIs at once, each for its own krc", () => {
    const run = exploreMm(
      {
        name: "E11+2",
        globals: { nolock_variant: VARIANT_RFC },
        setup: withObjects(4, SLAB_NO_SHEAVES),
        cpus: [[(cpu) => kfree_rcu(cpu, object(cpu, 0), HEAD)], [(cpu) => kfree_rcu(cpu, object(cpu, 1), HEAD)]],
        nmi: (cpu) => {
          if (get(cpu, RETURNED + cpu.id) === 1) return;
          set(cpu, RETURNED + cpu.id, 1);
          kfree_rcu_nolock(cpu, object(cpu, 2 + cpu.id), HEAD);
        },
        nmis: 2,
        check: stranded,
        kernel: NO_GRACE_PERIODS,
      },
      { random: 100 },
    );
    expect(run.failure).toBeUndefined();
  });
});

describe.each(VARIANTS)("%s", (_, nolock_variant) => {
  test.each([
    ["prompt", 0],
    ["late", IRQWORK_LATE],
  ])("an NMI's object is not missed by a barrier that begins after it (E12, %s)", (__, irqwork_mode) => {
    const run = exploreMm(
      {
        name: "E12",
        globals: { nolock_variant, irqwork_mode },
        setup: withObjects(4),
        nmi: (cpu) => {
          if (cpu.id !== 0 || get(cpu, RETURNED) === 1) return;
          kfree_rcu_nolock(cpu, object(cpu, 3), HEAD);
          set(cpu, RETURNED, 1);
        },
        cpus: [
          [0, 1, 2].map((i) => (cpu: Cpu) => kfree_rcu_nolock(cpu, object(cpu, i), HEAD)),
          [
            (cpu) => {
              if (get(cpu, RETURNED) === 1) barrier(cpu);
            },
          ],
        ],
        check: stranded,
      },
      { random: 12 },
    );
    expect(run.failure).toBeUndefined();
  });
});
