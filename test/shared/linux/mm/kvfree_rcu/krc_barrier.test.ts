/** __kvfree_rcu_barrier(): all krcs, and what it must not do to those that come meanwhile. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import { KB_K1 } from "../../../../../src/shared/layout/globals.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { __kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import {
  kfree_rcu,
  kfree_rcu_mightsleep,
  kvfree_rcu_mightsleep,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { vmalloc } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { krcMachine, monitor } from "./krc_kit.ts";
import { Thing } from "./machine.ts";

const { head: HEAD } = Thing.offset;

test("returns once everything of all CPUs is free, and leaves no work behind", () => {
  const { m, cpu, alloc } = krcMachine(3);
  const objects = m.cpus.flatMap((on) => {
    const [a, b, area] = [alloc(), alloc(), vmalloc(cpu, 100)];
    kfree_rcu(on, a, HEAD);
    kfree_rcu_mightsleep(on, b);
    kvfree_rcu_mightsleep(on, area);
    return [a, b, area];
  });
  __kvfree_rcu_barrier(cpu);
  const places = ["freelist", "freelist", "none"];
  expect(objects.map((object) => m.placeOf(object))).toEqual([...places, ...places, ...places]);
  expect(check_deferred(cpu)).toEqual([]);
});

test("waits for batches when none is free for what is pending", () => {
  const { m, cpu, alloc } = krcMachine();
  const things = [1, 2, 3].map(() => {
    const a = alloc();
    kfree_rcu(cpu, a, HEAD);
    monitor(cpu);
    return a;
  });
  __kvfree_rcu_barrier(cpu);
  expect(things.map((a) => m.placeOf(a))).toEqual(["freelist", "freelist", "freelist"]);
});

test("with nothing to do returns", () => {
  const { cpu } = krcMachine(2);
  __kvfree_rcu_barrier(cpu);
});

test("sleeps, so it is a bug in a reader and with IRQs off", () => {
  const { cpu } = krcMachine();
  rcu_read_lock(cpu);
  expect(() => __kvfree_rcu_barrier(cpu)).toThrow(/atomic/);
  rcu_read_unlock(cpu);
  const flags = local_irq_save(cpu);
  expect(() => __kvfree_rcu_barrier(cpu)).toThrow(/atomic/);
  local_irq_restore(cpu, flags);
});

describe("what another CPU frees after the first pass", () => {
  /** @returns problems once the machine has had much time. */
  function lateFree(kernel_behaviour: number): string[] {
    const { m, cpu, alloc } = krcMachine(2, { kernel_behaviour });
    const [, cpu1] = m.cpus;
    const [a, b] = [alloc(), alloc()];
    kfree_rcu(cpu, a, HEAD);
    m.onWait(() => {
      // The barrier waits for the batch of CPU 0, in its second pass; CPU 1's turn comes next.
      if (m.placeOf(b) === "user") kfree_rcu(cpu1, b, HEAD);
      return undefined;
    });
    __kvfree_rcu_barrier(cpu);
    expect(m.placeOf(a)).toBe("freelist");
    m.run(1000);
    return check_deferred(cpu);
  }
  test("is not stranded", () => {
    expect(lateFree(0)).toEqual([]);
  });
  test("is, as the kernel does it (K-1)", () => {
    expect(lateFree(KB_K1)).toEqual(["CPU 1: 1 in krc, stranded: no monitor is pending"]);
  });
});
