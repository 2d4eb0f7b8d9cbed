/** All litmus tests, in the order of the specification, and how a name on the command line finds them. */
import { UsageError } from "../errors.ts";
import { either } from "../values.ts";
import irqWorkClaim from "./irq_work_claim.ts";
import E14 from "./irq_work_E14_publication.ts";
import E15 from "./irq_work_E15_sync.ts";
import E16 from "./irq_work_E16_two_waiters.ts";
import irqWorkFromNmi from "./irq_work_from_nmi.ts";
import irqWorkSelfIpi from "./irq_work_self_ipi.ts";
import irqWorkSync from "./irq_work_sync_idle.ts";
import type { Litmus } from "./litmus.ts";
import E10 from "./kvfree_E10_newest_record.ts";
import E11 from "./kvfree_E11_lock_holder.ts";
import E12 from "./kvfree_E12_nolock_and_barrier.ts";
import E13 from "./kvfree_E13_sheaf_boundary.ts";
import E20 from "./kvfree_E20_no_memory.ts";
import E22 from "./kvfree_E22_two_barriers.ts";
import E23 from "./kvfree_E23_lock_dropped.ts";
import E24 from "./kvfree_E24_lazy_monitor.ts";
import E25 from "./kvfree_E25_shrinker.ts";
import E26 from "./kvfree_E26_monitor.ts";
import E27 from "./kvfree_E27_rt_deferral.ts";
import E6 from "./kvfree_E6_rcu_barrier.ts";
import E7 from "./kvfree_E7_barrier.ts";
import E8 from "./kvfree_E8_readers.ts";
import E9 from "./kvfree_E9_batch_reuse.ts";
import llistPushPushDrain from "./llist_push_push_drain.ts";
import llistTable from "./llist_table.ts";
import localTrylock from "./local_trylock_nests.ts";
import E1 from "./rcu_E1_barrier.ts";
import E17 from "./rcu_E17_start_window.ts";
import E18 from "./rcu_E18_fresh_cookie.ts";
import E19 from "./rcu_E19_ancient_cookie.ts";
import E2 from "./rcu_E2_barrier_is_no_gp.ts";
import E3 from "./rcu_E3_no_callbacks.ts";
import E4 from "./rcu_E4_chained_callbacks.ts";
import E5 from "./rcu_E5_two_lists.ts";
import E5ticks from "./rcu_E5_two_lists_tick.ts";
import T1 from "./rcu_T1_sb_reader_writes.ts";
import T10 from "./rcu_T10_one_wait_two_readers.ts";
import T11 from "./rcu_T11_two_waits_two_readers.ts";
import T12 from "./rcu_T12_2_plus_2w.ts";
import T15 from "./rcu_T15_publication.ts";
import T16 from "./rcu_T16_remove.ts";
import T17 from "./rcu_T17_call_rcu.ts";
import T18 from "./rcu_T18_phases.ts";
import T19 from "./rcu_T19_phases_release.ts";
import T2 from "./rcu_T2_sb.ts";
import T20 from "./rcu_T20_self_deadlock.ts";
import T21 from "./rcu_T21_nested.ts";
import T21ticks from "./rcu_T21_nested_tick.ts";
import T22 from "./rcu_T22_into_idle.ts";
import T23 from "./rcu_T23_from_idle.ts";
import T24 from "./rcu_T24_after_idle.ts";
import T25 from "./rcu_T25_nmi_from_idle.ts";
import T25b from "./rcu_T25b_nmi_in_irq.ts";
import T26 from "./rcu_T26_irqs_off.ts";
import T26ticks from "./rcu_T26_irqs_off_tick.ts";
import T27 from "./rcu_T27_preempted.ts";
import T28 from "./rcu_T28_expedited.ts";
import T3 from "./rcu_T3_mp.ts";
import T4ticks from "./rcu_T4_long_reader_tick.ts";
import T4 from "./rcu_T4_span.ts";
import T5 from "./rcu_T5_two_waits.ts";
import T6 from "./rcu_T6_sb_before_section.ts";
import T7 from "./rcu_T7_sb_after_section.ts";
import T8 from "./rcu_T8_sb_between_section.ts";
import T9 from "./rcu_T9_no_reader.ts";
import T9b from "./rcu_T9b_section_ends.ts";
import barnExchange from "./slub_barn_exchange.ts";
import E21 from "./slub_E21_destroy.ts";
import slabWord from "./slub_slab_word.ts";
import spinlock from "./spinlock_exclusion.ts";

// prettier-ignore
export const CATALOGUE: readonly Litmus[] = [
  T1, T2, T3, T4, T4ticks, T5, T6, T7, T8, T9, T9b, T10, T11, T12, T15, T16, T17, T18, T19, T20, T21, T21ticks, T22, T23,
  T24, T25, T25b, T26, T26ticks, ...T27, ...T28,
  E1, E2, E3, ...E4, E5, E5ticks, ...E6, ...E7, ...E8, E9, ...E10, ...E11, ...E12, ...E13, E14, E15, E16, E17, E18, E19, ...E20,
  E21, ...E22, E23, E24, ...E25, ...E26, E27,
  irqWorkClaim, irqWorkSelfIpi, irqWorkFromNmi, irqWorkSync,
  ...llistTable, llistPushPushDrain, localTrylock, spinlock, slabWord, barnExchange,
];

export const nameOf = (litmus: Litmus): string => litmus.scenario.name;

/**
 * The tests that the words name: a test, or a family by its first word ("T28", "llist"). All of them without a word.
 * @throws UsageError for a word that names none.
 */
export function select(words: readonly string[]): readonly Litmus[] {
  const unknown = words.find((word) => !CATALOGUE.some((litmus) => isNamedBy(litmus, word)));
  if (unknown !== undefined) throw new UsageError(`unknown litmus test '${unknown}': ${suggestion(unknown)}`);
  return words.length === 0 ? CATALOGUE : CATALOGUE.filter((litmus) => words.some((word) => isNamedBy(litmus, word)));
}
function isNamedBy(litmus: Litmus, word: string): boolean {
  return nameOf(litmus) === word || nameOf(litmus).startsWith(`${word}-`);
}
/** Names that are the same but for capitals, or begin like the word. */
function suggestion(word: string): string {
  const lower = word.toLowerCase();
  const names = CATALOGUE.map(nameOf);
  for (let length = lower.length; length > 0; length--) {
    const near = names.filter((name) => name.toLowerCase().startsWith(lower.slice(0, length)));
    if (near.length > 0 && length > 1) return `did you mean ${either(near.slice(0, 4))}?`;
  }
  return "see 'sheaf litmus --list'";
}
