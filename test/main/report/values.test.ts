/** Values in words, by field. */
import { expect, test } from "vitest";
import { valueName } from "../../../src/main/report/values.ts";
import { CB, FIRST_FREE_CALLBACK } from "../../../src/shared/layout/callbacks.ts";
import { P_KICK, P_NMI_LOCAL } from "../../../src/shared/layout/cpu.ts";
import { CSD_TYPE_IRQ_WORK, IRQ_WORK_CLAIMED } from "../../../src/shared/layout/irq_work.ts";
import { LOCK_CONTENDED } from "../../../src/shared/layout/types.ts";

test.each([
  ["irq_work.flags", "atomic_t", IRQ_WORK_CLAIMED | CSD_TYPE_IRQ_WORK, "PENDING|BUSY"],
  ["irq_work.flags", "atomic_t", CSD_TYPE_IRQ_WORK, "0"],
  ["cpu_pending.bits", "atomic_t", P_KICK | P_NMI_LOCAL, "KICK|NMI"],
  ["spinlock.val", "atomic_t", 0, "free"],
  ["spinlock.val", "atomic_t", 2 | LOCK_CONTENDED, "CPU 1 (contended)"],
  ["mutex.owner", "atomic_t", 3, "CPU 2"],
  ["wait_queue.cpus", "atomic_t", 0b101, "{CPU 0, CPU 2}"],
  ["slab.counters", "atomic_t", (4 << 16) | 2, "(freelist #3, inuse 2)"],
  ["slab.counters", "atomic_t", 5, "(freelist NULL, inuse 5)"],
  ["work_struct.data", "atomic_t", (2 << 8) | 3, "PENDING|PWQ (CPU 1)"],
  ["work_struct.func", "callback", CB.kfree_rcu_work, "kfree_rcu_work"],
  ["irq_work.func", "callback", FIRST_FREE_CALLBACK + 3, "callbacks[1]"],
  ["slab_sheaf.size", "u32", 3, "3"],
  ["rcu_state.gp_seq", "atomic_t", -1200, "-1200"],
  ["", "", 0x6b6b6b6b, "0x6b6b6b6b"],
])("%s (%s) %i", (field, ctype, value, name) => {
  expect(valueName(field, ctype, value)).toBe(name);
});
