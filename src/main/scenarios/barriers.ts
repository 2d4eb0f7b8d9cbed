/**
 * Scenario barriers: little traffic, and every CPU calls barriers most of the time, so that they meet each other and the
 * traffic in every order. Each is checked.
 */
import { cache_loop, checked_kvfree_rcu_barrier } from "./cache_loop.ts";
import {
  bind_checked_barriers,
  checked_flush_work,
  checked_irq_work_sync,
  checked_rcu_barrier,
  init_checked_barriers,
  post_irq_work,
} from "./checked_barriers.ts";
import { keep_or_free, offer_object } from "./holdings.ts";
import { reader } from "./readers.ts";
import { type Mix, run_one_of, type Scenario, totalWeight } from "./scenario.ts";
import { update, update_and_wait, update_with_irqs_off } from "./updaters.ts";

const MIX: Mix = [
  [8, reader],
  [8, update],
  [4, update_with_irqs_off],
  [2, update_and_wait],
  [4, keep_or_free],
  [4, offer_object],
  [4, checked_rcu_barrier],
  [8, checked_irq_work_sync],
  [4, checked_flush_work],
  [4, checked_kvfree_rcu_barrier],
  [4, cache_loop],
];
const TOTAL = totalWeight(MIX);

export const barriers: Scenario = {
  bind: bind_checked_barriers,
  setup: init_checked_barriers,
  operation: (cpu) => run_one_of(cpu, MIX, TOTAL),
  nmi: post_irq_work,
  irq: post_irq_work,
};
