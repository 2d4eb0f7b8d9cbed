/**
 * E23: kfree_rcu_mightsleep() drops the lock of CPU 0's krc to allocate a page. Meanwhile CPU 1 drains that krc, as shrinkers
 * do, and queues its batch.
 *
 * The mechanism is that the same krc is locked again. Without it that of CPU 1 is, as if the task had come there.
 */
import { per_cpu_ptr, type Cpu } from "../../shared/cpu/cpu.ts";
import { KvfreeRcuBulkData } from "../../shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { list_add } from "../../shared/linux/lib/list.ts";
import { add_ptr_to_bulk_krc_lock } from "../../shared/linux/mm/kvfree_rcu/krc_bulk.ts";
import {
  __schedule_delayed_monitor_work,
  bulk_head_of,
  krc_lock,
  krc_unlock,
} from "../../shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu_mightsleep } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { alloc_bnode } from "../../shared/linux/mm/kvfree_rcu/page_cache.ts";
import { embedded, type Ptr } from "../../shared/mem/struct.ts";
import type { Scenario } from "../explore/scenario.ts";
import { account } from "../races/kit_whereabouts.ts";
import { krc, monitor } from "./kit_krc.ts";
import { cache, HEAD, LIST, OBJECTS, thing, withThings, type Way } from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

const { list: LINK, nr_records: NR_RECORDS } = KvfreeRcuBulkData.offset;

/** What kfree_rcu_mightsleep() comes to, with the wrong lock from the allocation on. */
function freeUnderWrongLock(cpu: Cpu, object: Ptr): void {
  const krcp = krc(cpu);
  const wrong = per_cpu_ptr(cpu, PerCpu.offset.krc, 1);
  const bnode = alloc_bnode(cpu);
  const flags = krc_lock(cpu, wrong);
  cpu.mem.write(bnode, NR_RECORDS, 0);
  list_add(cpu, embedded(bnode, LINK), bulk_head_of(krcp, 0));
  add_ptr_to_bulk_krc_lock(cpu, krcp, flags, object, false);
  __schedule_delayed_monitor_work(cpu, krcp);
  krc_unlock(cpu, wrong, flags);
}
const program = (free: Way["free"]): Omit<Scenario, "name"> => ({
  globals: OBJECTS,
  setup: withThings(2, SLAB_NO_SHEAVES, (cpu) => LIST.free(cpu, thing(cpu, 0))),
  cpus: [[(cpu) => free(cpu, thing(cpu, 1))], [monitor]],
});

const litmus: Litmus = {
  title: "kfree_rcu_mightsleep() drops its lock for an allocation; another CPU drains its krc",
  outcome: "a record is lost, or the count is wrong",
  verdict: "F",
  observed: (cpu) => account(cpu, cache(cpu), [], HEAD).length > 0,
  // What the checks of krc say first: two CPUs have changed its lists at once.
  reported: /records, but|are leaked|older cookie|do not point at it/,
  bound: 2,
  scenario: { name: "E23", ...program(kfree_rcu_mightsleep) },
  vacuity: { name: "E23+no-op", ...program(freeUnderWrongLock) },
};
export default litmus;
