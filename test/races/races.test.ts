/**
 * Every race of src/main/races under a small budget: those that must be won are, within the preemption bound that is
 * named; those that are there to be lost are lost, and say how. docs/RACES.md has the bounds reached with more time.
 */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Explorer, type Budget } from "../../src/main/explore/explore.ts";
import type { Scenario } from "../../src/main/explore/scenario.ts";
import { Pct } from "../../src/main/explore/strategies/pct.ts";
import type { Loses } from "../../src/main/races/kit.ts";

const folder = new URL("../../src/main/races/", import.meta.url);
const modules = await Promise.all(
  readdirSync(folder).map(
    async (file) => (await import(new URL(file, folder).href)) as { default?: readonly (Scenario | Loses)[] },
  ),
);
const races = modules.flatMap((module) => module.default ?? []);
const won = new Map(races.flatMap((race) => ("scenario" in race ? [] : [[race.name, race]])));
const lost = new Map(races.flatMap((race) => ("scenario" in race ? [[race.scenario.name, race.scenario]] : [])));

/** Preemption bound to exhaust (-1: none), and executions of each random strategy. */
const BUDGETS: Record<string, readonly [bound: number, random: number]> = {
  "refill-no-memory": [2, 20],
  "hardened-refill": [1, 20],
  "shuffle-nmi-alloc": [2, 20],
  "nocmpxchg-irq-free": [1, 20],
  "lowmem-refill": [2, 20],
  "lowmem-mightsleep": [1, 20],
  "lowmem-kfree-rcu": [1, 20],
  memless: [1, 20],
  "memless-without-config": [1, 20],
  "memless-destroy": [1, 5],
  "nolock-alloc-list-lock": [2, 20],
  "irq-free-no-memory": [2, 20],
  "refill-atomic": [2, 20],
  "nolock-free-barn-lock": [2, 20],
  "refill-trylock-fails": [2, 20],
  "kmalloc-sheaves-once": [2, 20],
  "destroy-quarantine": [0, 20],
  "memcg-vector-chain": [2, 20],
  "memcg-charge-fails-nmi": [0, 20],
  "init-on-free-nolock": [2, 20],
  "memcg-offline-nmi": [0, 20],
  "nolock-cpuset-write": [2, 20],
  "irq-work-owner": [0, 20],
  "kfree-rcu-under-pi_lock": [2, 20],
  "cookie-cpu-starts": [0, 50],
  "pfmemalloc-free": [2, 20],
  "bulk-free-remote": [2, 20],
  "refill-remote-locked": [2, 20],
  "destroy-other-cache": [2, 20],
  "bpf-mem-alloc-destroy": [0, 20],
  "rt-nolock-alloc": [0, 20],
  "rt-kfree-rcu-under-pi_lock": [2, 20],
  "debug-full-and-empty": [0, 50],
  "debug-new-slab": [0, 50],
  "debug-validate": [-1, 200], // Bound 0 takes a minute: docs/RACES.md.
  "barrier-remote-sheaf": [1, 20],
  "gp-kfree-rcu-sheaf": [0, 50],
  "rcu-barrier-two-lists": [0, 50],
  "krc-batches-wait": [0, 20],
  "krc-monitor-in-time": [1, 20],
  "krc-lock-dropped": [1, 20],
  "krc-monitor-alloc": [1, 20],
  "krc-page-cache": [-1, 20],
  "hrtimer-two-starts": [1, 20],
  "vfree-irq": [1, 20],
  "memcg-two-vectors": [0, 20],
  "kasan-remove-cache": [0, 20],
  "nolock-on-kmalloc": [1, 20],
  "nolock-on-kfree": [1, 20],
  "nolock-on-kfree-rcu": [1, 20],
  "nolock-on-call-rcu": [1, 20],
  "nolock-on-irq-work": [1, 20],
  "nolock-on-krc-monitor": [0, 50],
  "nolock-on-slab-free": [2, 20],
  "sheaf-alloc-nmi-free": [0, 100],
  "sheaf-free-nmi-alloc": [1, 20],
  "prefill-nmi": [2, 20],
  "prefill-refill-nmi": [2, 20],
  "prefill-barn": [0, 50],
  "prefill-shrink": [0, 50],
  "typesafe-reader": [1, 20],
  "typesafe-destroy": [1, 20],
  "merge-alias": [0, 20],
  "merge-two-destroys": [1, 20],
  "sysfs-claim": [2, 20],
  "sysfs-destroy": [0, 20],
  "refill-remote-free": [2, 20],
  "refill-remote-free-alloc": [2, 20],
  "refill-remote-free-last": [2, 20],
  "drains-full-sheaf-dfdrk-prompt": [0, 20],
  "drains-full-sheaf-dfdrk-late": [0, 20],
  "drains-full-sheaf-dfrk-prompt": [0, 20],
  "drains-full-sheaf-fdrk-prompt": [0, 20],
  "drains-full-sheaf-fdrk-late": [0, 20],
  "drains-deferred-dfdrk-prompt": [0, 20],
  "drains-deferred-dfdrk-late": [0, 20],
  "drains-deferred-dfrk-prompt": [0, 20],
  "drains-deferred-dfrk-late": [0, 20],
  "drains-deferred-fdrk-prompt": [0, 20],
  "full-sheaf-barrier-dfdrk-prompt": [-1, 20],
  "full-sheaf-barrier-dfdrk-late": [-1, 20],
  "full-sheaf-barrier-dfrk-prompt": [-1, 20],
  "full-sheaf-barrier-fdrk-prompt": [-1, 20],
  "barrier-deferred-handler": [2, 20],
  "barrier-kfree-rcu": [0, 20],
  "barrier-krc-monitor": [0, 20],
  "destroy-deferred-objects": [-1, 15],
  "destroy-deferred-objects_by_rcu": [-1, 15],
  "destroy-deferred-rcu_sheaves": [-1, 15],
  "destroy-deferred-callback": [-1, 15],
  "gp-nmi-reader-idle-sync": [0, 50],
  "gp-nmi-reader-idle-tick": [-1, 50],
  "gp-nmi-reader-idle-call-rcu": [0, 50],
  "nested-producer": [1, 20],
  "rcuwait-shared": [1, 20],
  "K-1": [1, 20],
  "K-2": [1, 20],
  "K-3": [0, 50],
  "barrier-shared-krc": [0, 20],
  "barrier-no-sheaves": [0, 20],
  "barrier-all-deferred": [-1, 5],
  "two-barriers": [1, 20],
  "nolock-remote": [0, 20],
  "interop-kfree": [1, 20],
  "interop-kmem_cache_free": [1, 20],
  "interop-kfree_rcu": [0, 20],
  "interop-kfree_nolock": [0, 50],
  "interop-kfree_rcu_nolock": [0, 20],
  "interop-barrier": [-1, 15],
  "list_lru-grow": [1, 20],
  "list_lru-grow-gp": [-1, 50],
  "obj_cgroup-last-put": [1, 20],
  "obj_cgroup-last-put-gp": [-1, 50],
  "shrinker_info-bits": [2, 20],
  "shrinker_info-expand": [1, 20],
  "vmap_block-last-page": [2, 20],
  "vmap_block-purge": [1, 20],
  "maple_tree-store": [2, 20],
  "maple_tree-replace-gp": [0, 50],
  "migrate-alloc-empty": [1, 20],
  "migrate-alloc-some": [1, 20],
  "migrate-alloc-full": [1, 20],
  "migrate-alloc-full-spare": [1, 20],
  "migrate-alloc-empty-spare": [1, 20],
  "migrate-free-empty": [1, 20],
  "migrate-free-some": [1, 20],
  "migrate-free-full": [1, 20],
  "migrate-free-full-spare": [1, 20],
  "migrate-free-empty-spare": [1, 20],
  "migrate-kfree-rcu-empty": [1, 20],
  "migrate-kfree-rcu-some": [1, 20],
  "migrate-kfree-rcu-full": [1, 20],
  "migrate-kfree-rcu-full-spare": [1, 20],
  "migrate-kfree-rcu-empty-spare": [1, 20],
  "hotplug-callbacks": [1, 20],
  "hotplug-rcu-barrier": [0, 20],
  "hotplug-sheaf": [1, 20],
  "hotplug-barrier": [0, 20],
  "hotplug-krc": [1, 20],
  "hotplug-deferred": [0, 20],
  "hotplug-nmi": [0, 20],
  "hotplug-destroy": [0, 20],
  "hotplug-flush": [0, 20],
  "hotplug-stocks": [0, 20],
  "hotplug-gp-sync": [0, 20],
  "hotplug-gp-exp": [0, 20],
  "hotplug-gp": [1, 20],
  "hotplug-work": [0, 20],
  "hotplug-work-back": [1, 20],
  "hotplug-timer": [1, 20],
  "hotplug-two": [1, 20],
  "preempt-alloc-alloc": [1, 20],
  "rt-alloc-alloc": [1, 20],
  "preempt-free-free": [1, 20],
  "rt-free-free": [1, 20],
  "preempt-alloc-free": [1, 20],
  "rt-alloc-free": [1, 20],
  "preempt-kfree-rcu": [1, 20],
  "rt-kfree-rcu": [1, 20],
};
const MISSED = "missed by kvfree_rcu_barrier_on_cache()";
const MESSAGES: Record<string, string> = {
  "hardened-forged-link": "which is no object of it: written after its free",
  "forged-link": "given out twice",
  "drains-full-sheaf-dfrk-late": "an old object is in rcu_sheaves when rcu_barrier() begins",
  "drains-deferred-fdrk-late": "an old object is in rcu_free when rcu_barrier() begins",
  "full-sheaf-barrier-dfrk-late": MISSED,
  "full-sheaf-barrier-fdrk-late": MISSED,
  "typesafe-not": "a reader looks at a thing whose memory is no thing any more",
  "nested-producer-off": "deferred_work_barrier() has missed it",
  "rcuwait-shared-off": "deadlock: no CPU can run",
  "two-barriers-off": "deadlock: no CPU can run",
  "nolock-remote-v3": "an allocation on node 1 gets memory of node 0",
  "K-1-off": "stranded: no monitor is pending",
  "K-2-off": "missed by kvfree_rcu_barrier()",
  "K-3-off": "missed by kvfree_rcu_barrier()",
};

test("each race has its line here", () => {
  expect([...won.keys()].toSorted()).toEqual(Object.keys(BUDGETS).toSorted());
  expect([...lost.keys()].toSorted()).toEqual(Object.keys(MESSAGES).toSorted());
});

describe("won", () => {
  test.each([...won.values()])("$name: $summary", (race) => {
    const [bound, random] = BUDGETS[race.name] ?? [-1, 0];
    const budget: Budget = { bound, random, exhaustive: 40_000 };
    expect(new Explorer(race).explore(budget)).toMatchObject({ failure: undefined, exhausted: bound });
  });
});

describe("lost", () => {
  test.each([...lost.values()])("$name: $summary", (race) => {
    const explorer = new Explorer(race);
    const message = byPct(explorer) ?? explorer.explore({ bound: 1, random: 0, exhaustive: 4_000 }).failure?.message;
    expect(message).toContain(MESSAGES[race.name]);
  });
});
/** Finds what needs an interrupt to wait for long: there it has a priority of its own. */
function byPct(explorer: Explorer): string | undefined {
  const strategy = new Pct(1, 3, 1);
  for (let i = 0; i < 300 && strategy.begin(); i++) {
    const failure = explorer.execute(strategy);
    if (failure !== undefined) return failure.message;
  }
  return undefined;
}
