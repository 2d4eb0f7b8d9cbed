/** Scenario prefill: see workloads/prefill.ts, workloads/typesafe.ts, workloads/kmalloc_kinds.ts. */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { GFP_ATOMIC, GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { NR_TYPESAFE } from "../../shared/layout/workloads.ts";
import {
  grow,
  kmalloc_kinds_destroy,
  kmalloc_kinds_init,
  kmalloc_kinds_teardown,
  use_alias,
  use_buckets,
} from "../workloads/kmalloc_kinds.ts";
import {
  bulk,
  offer_nolock,
  prefill_destroy,
  prefill_init,
  prefill_irq,
  prefill_nmi,
  prefill_teardown,
  shrink_prefill_cache,
  use_sheaf,
} from "../workloads/prefill.ts";
import {
  typesafe_ctor,
  typesafe_destroy,
  typesafe_init,
  typesafe_lookup,
  typesafe_peek,
  typesafe_remove,
  typesafe_replace,
  typesafe_shrink,
} from "../workloads/typesafe.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";

const MAX_LOOKS = 64;

const some = (cpu: Cpu): number => random_below(cpu, NR_TYPESAFE);
const looks = (cpu: Cpu): number => random_below(cpu, MAX_LOOKS);

/** Creating a cache takes a grace period until it is gone again: rare. */
const MIX: Mix = [
  [300, use_sheaf],
  [80, bulk],
  [80, (cpu) => offer_nolock(cpu, GFP_KERNEL)],
  [200, (cpu) => void typesafe_lookup(cpu, some(cpu), looks(cpu))],
  [60, (cpu) => typesafe_peek(cpu, some(cpu), 16 * looks(cpu))],
  [100, (cpu) => void typesafe_replace(cpu, some(cpu), GFP_KERNEL)],
  [100, (cpu) => typesafe_remove(cpu, some(cpu))],
  [60, grow],
  [60, use_buckets],
  [20, typesafe_shrink],
  [4, shrink_prefill_cache],
  [1, use_alias],
];
const TOTAL = totalWeight(MIX);

export const prefill: Scenario = {
  bind: () => bind_callback(CB.typesafe_ctor, typesafe_ctor),
  setup: (cpu) => {
    prefill_init(cpu);
    kmalloc_kinds_init(cpu);
    typesafe_init(cpu, random_below(cpu, 2) === 0 ? SLAB_NO_SHEAVES : 0);
  },
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
  nmi: (cpu) => {
    prefill_nmi(cpu);
    typesafe_peek(cpu, some(cpu), 2);
  },
  irq: (cpu) => {
    if (cpu.rt) return; // There the allocator sleeps.
    prefill_irq(cpu, GFP_ATOMIC);
    offer_nolock(cpu, GFP_ATOMIC);
    typesafe_lookup(cpu, some(cpu), 2);
    if (random_below(cpu, 2) === 0) typesafe_replace(cpu, some(cpu), GFP_ATOMIC);
    else typesafe_remove(cpu, some(cpu));
  },
  teardown: (cpu) => {
    prefill_teardown(cpu);
    kmalloc_kinds_teardown(cpu);
  },
  finish: (cpu) => {
    prefill_destroy(cpu);
    kmalloc_kinds_destroy(cpu);
    typesafe_destroy(cpu);
  },
};
