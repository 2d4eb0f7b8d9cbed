/** The CPU layer under the explorer: cross-CPU calls, sleeping and waking, context tracking, with NMIs anywhere. */
import { expect, test } from "vitest";
import { Explorer } from "../../../src/main/explore/explore.ts";
import { get, result, resultOf, set, type Scenario } from "../../../src/main/explore/scenario.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import {
  CT_RCU_WATCHING,
  ct_idle_enter,
  ct_idle_exit,
  ct_nmi_enter,
  ct_nmi_exit,
  ct_rcu_watching_cpu,
  rcu_is_watching,
} from "../../../src/shared/cpu/context_tracking.ts";
import { per_cpu_ptr, type Cpu } from "../../../src/shared/cpu/cpu.ts";
import { wait_event, wake_up } from "../../../src/shared/cpu/sched.ts";
import { smp_call_function_single } from "../../../src/shared/cpu/smp.ts";
import { CB } from "../../../src/shared/layout/callbacks.ts";
import { ContextTracking } from "../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { element, offsetof, type Ptr } from "../../../src/shared/mem/struct.ts";
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";

const explore = (scenario: Scenario, bound = 2): ReturnType<Explorer["explore"]> =>
  new Explorer({ ...scenario, kernel: BARE_KERNEL }).explore({ bound, random: 100 });
const { scenario: WORDS } = Globals.offset;
const queue = (cpu: Cpu): Ptr<"wait_queue"> => (cpu.globals + offsetof(element(WORDS, 4))) as Ptr<"wait_queue">;

test("smp_call_function_single(wait) returns after the function has run there; two may call each other", () => {
  const call = (target: number) => (cpu: Cpu) => {
    smp_call_function_single(cpu, target, CB.ipi_test, true);
    result(cpu, cpu.id, get(cpu, target));
  };
  BARE_KERNEL.bind();
  bind_callback(CB.ipi_test, (cpu) => set(cpu, cpu.id, get(cpu, cpu.id) + 1));
  const run = explore({
    name: "two callers",
    cpus: [[call(1)], [call(0)]],
    check: (cpu) => (resultOf(cpu, 0) === 1 && resultOf(cpu, 1) === 1 ? undefined : "returned before the function ran"),
  });
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("a call that does not wait is served all the same, and requests may share a run", () => {
  bind_callback(CB.ipi_test, (cpu) => set(cpu, 0, get(cpu, 0) + 1));
  const call = (cpu: Cpu): number => smp_call_function_single(cpu, 1, CB.ipi_test, false);
  const seen = new Set<number>();
  const run = explore({
    name: "shared run",
    cpus: [[call], [() => undefined], [call]],
    final: (cpu) => smp_call_function_single(cpu, 1, CB.ipi_test, true),
    check: (cpu) => {
      seen.add(get(cpu, 0));
      return get(cpu, 0) >= 1 && get(cpu, 0) <= 3 ? undefined : `${get(cpu, 0)} runs`;
    },
  });
  expect(run.failure).toBeUndefined();
  expect(seen.size).toBeGreaterThan(1);
});

test("sleep and wake with an NMI at any step: no wake-up is lost", () => {
  const waiter = (cpu: Cpu): void => wait_event(cpu, queue(cpu), (c) => get(c, 0) === 2, queue(cpu));
  const waker = (cpu: Cpu): void => {
    cpu.mem.fetch_add(cpu.globals, element(WORDS, 0), 1);
    wake_up(cpu, queue(cpu));
  };
  const run = explore({
    name: "two wakers, an NMI",
    cpus: [[waiter], [waker], [waker]],
    nmi: (cpu) => set(cpu, 9, 1),
    nmis: 1,
  });
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("context tracking: an NMI at any step of idle and IRQ entry and exit finds RCU watching, and restores it", () => {
  const { state: STATE, nmi_nesting: NMI_NESTING } = ContextTracking.offset;
  const program = (cpu: Cpu): void => {
    ct_idle_enter(cpu);
    ct_nmi_enter(cpu); // an IRQ out of idle
    if (!rcu_is_watching(cpu)) result(cpu, 0, 1);
    ct_nmi_exit(cpu);
    if (rcu_is_watching(cpu)) result(cpu, 0, 2);
    ct_idle_exit(cpu);
  };
  const run = explore({
    name: "nmi into context tracking",
    cpus: [[program]],
    nmi: (cpu) => {
      if (!rcu_is_watching(cpu)) result(cpu, 0, 3);
    },
    nmis: 2,
    check: (cpu) => {
      const ct = per_cpu_ptr(cpu, PerCpu.offset.ct, 0);
      if (cpu.mem.peek(ct, NMI_NESTING) !== 0) return `nmi_nesting ${cpu.mem.peek(ct, NMI_NESTING)}`;
      if ((cpu.mem.peek(ct, STATE) & CT_RCU_WATCHING) === 0) return "RCU does not watch a running CPU";
      return resultOf(cpu, 0) === 0 ? undefined : `case ${resultOf(cpu, 0)}`;
    },
  });
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("T22/T23 shape: who sees a CPU idle sees what it did before, and the other way round", () => {
  const run = explore(
    {
      name: "into and from idle",
      cpus: [
        [
          (cpu) => {
            set(cpu, 0, 1);
            ct_idle_enter(cpu);
            ct_idle_exit(cpu);
            result(cpu, 0, get(cpu, 1));
          },
        ],
        [
          (cpu) => {
            set(cpu, 1, 1);
            const state = ct_rcu_watching_cpu(cpu, 0);
            result(cpu, 1, state === CT_RCU_WATCHING + 1 ? 1 : 0); // In its first idle, not the one after its end.
            result(cpu, 2, get(cpu, 0));
          },
        ],
      ],
      check: (cpu) => {
        const sawIdle = resultOf(cpu, 1) === 1;
        if (sawIdle && resultOf(cpu, 2) === 0) return "saw it idle, but not what it did before";
        if (sawIdle && resultOf(cpu, 0) === 0) return "saw it idle, but it did not see what we did before";
        return undefined;
      },
    },
    4,
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 4 });
});
