/**
 * E9: a batch with a slab object waits for grace period n, which has begun. CPU 1 has passed its quiescent state for it,
 * and finds a vmalloc block, in a section. CPU 0 frees that by kvfree_rcu(), and the monitor comes.
 *
 * The mechanism is that a batch of which any list waits is not filled (5da7cb193db3). Without it the block joins the batch,
 * whose vmalloc list is empty, and is freed when n ends.
 */
import { cond_resched } from "../../shared/cpu/sched.ts";
import { KfreeRcuCpu } from "../../shared/layout/kvfree_rcu.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { list_splice_init } from "../../shared/linux/lib/list.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { bulk_head_free_of } from "../../shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { bulk_head_of, krc_lock, krc_unlock, krwp_of } from "../../shared/linux/mm/kvfree_rcu/krc.ts";
import { kvfree_rcu_mightsleep } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { vmalloc } from "../../shared/linux/mm/vmalloc.ts";
import { element, NULL } from "../../shared/mem/struct.ts";
import { resultOf, type Operation, type Scenario } from "../explore/scenario.ts";
import { firstBnode, getCookie, krc, monitor, setCookie } from "./kit_krc.ts";
import { awaitReader, OBJECTS, publish, signallingReader, thing, unpublish, withThings } from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

const { bulk_count: BULK_COUNT } = KfreeRcuCpu.offset;

const program = (lookAfter: Operation): Omit<Scenario, "name"> => ({
  globals: OBJECTS,
  setup: withThings(1, SLAB_NO_SHEAVES, (cpu) => {
    kvfree_rcu_mightsleep(cpu, thing(cpu, 0));
    monitor(cpu);
    publish(cpu, vmalloc(cpu, 64));
  }),
  cpus: [
    [
      (cpu) => {
        awaitReader(cpu);
        kvfree_rcu_mightsleep(cpu, unpublish(cpu));
        lookAfter(cpu);
        __kvfree_rcu_barrier(cpu);
      },
    ],
    [cond_resched, cond_resched, cond_resched, signallingReader],
  ],
});
/** The monitor as it was: looks at the list that it wants to fill. The pages of a batch had no cookies of their own. */
const refill: Operation = (cpu) => {
  const krcp = krc(cpu);
  const krwp = krwp_of(krcp, 0);
  const flags = krc_lock(cpu, krcp);
  const waiting = firstBnode(cpu, bulk_head_free_of(krwp, 0));
  if (waiting !== NULL) {
    setCookie(cpu, firstBnode(cpu, bulk_head_of(krcp, 1)), getCookie(cpu, waiting));
    list_splice_init(cpu, bulk_head_of(krcp, 1), bulk_head_free_of(krwp, 1));
    cpu.mem.write_once(krcp, element(BULK_COUNT, 1), 0);
  }
  krc_unlock(cpu, krcp, flags);
};

const litmus: Litmus = {
  title: "kvfree_rcu() of a vmalloc block that a reader is looking at, while a batch with a slab object waits",
  outcome: "the block is freed in the section",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 2,
  scenario: { name: "E9", ...program(monitor) },
  vacuity: { name: "E9+no-op", ...program(refill) },
};
export default litmus;
