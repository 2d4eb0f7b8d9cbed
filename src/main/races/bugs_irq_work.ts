/**
 * Races that show known bugs around irq_work, the scheduler and RCU (layout/bugs.ts, docs/BUGS.md): each is won, and lost
 * with `--bug NAME`.
 *
 *   nolock-cpuset-write     mems-allowed-seq (B5)
 *   irq-work-owner          irq-work-uaf (B26)
 *   kfree-rcu-under-pi_lock kswapd-wakeup (B31)
 *   rt-kfree-rcu-under-pi_lock rt-rcu-sheaf (B30)
 *   cookie-cpu-starts       root-cookie (B-getstate)
 */
import { bug } from "../../shared/cpu/bug.ts";
import { local_irq_restore, local_irq_save } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { IRQWORK_LATE } from "../../shared/layout/globals.ts";
import { IrqWork } from "../../shared/layout/irq_work.ts";
import { RCU_GP_ONOFF, RcuNode, RcuState } from "../../shared/layout/rcu.ts";
import { set_mems_allowed } from "../../shared/linux/kernel/cpuset.ts";
import { init_irq_work, irq_work_queue, irq_work_sync } from "../../shared/linux/kernel/irq_work.ts";
import { kfree, kmalloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { change_kswapd } from "../../shared/linux/mm/page_alloc/kswapd.ts";
import { get_state_synchronize_rcu_full, poll_state_synchronize_rcu_full } from "../../shared/linux/rcu/poll.ts";
import { per_rcu_data, rcu_cpu_mask, rcu_mynode, rcu_state } from "../../shared/linux/rcu/rcu_node.ts";
import { rcu_seq_state } from "../../shared/linux/rcu/rcu_seq.ts";
import { rcutree_report_cpu_starting } from "../../shared/linux/rcu/tree_hotplug.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { callbackId, get, type Operation, type Scenario, set } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { at, CAPACITY, FIRST_WORD, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { exhaustMemory, fillSheaves, putEmptySheaf } from "./kit_sheaves.ts";
import { freeRcu } from "./kit_frees.ts";
import { kmallocNolockAs, makeOfBucket } from "./kit_kmalloc.ts";

const { gp_seq: GP_SEQ, gp_state: GP_STATE } = RcuState.offset;
const { qsmaskinit: QSMASKINIT, qsmaskinitnext: QSMASKINITNEXT } = RcuNode.offset;

/** Word: the work, in memory that its owner frees. */
const WORK = FIRST_WORD;
const work = (cpu: Cpu): Ptr<"irq_work"> => get(cpu, WORK) as Ptr<"irq_work">;
const SCRIBBLE = 0x6b;
const disown: Operation = (cpu) => {
  const memory = work(cpu);
  irq_work_sync(cpu, memory);
  kfree(cpu, memory);
  cpu.mem.fill(kmalloc(cpu, IrqWork.size, GFP_KERNEL), IrqWork.size, SCRIBBLE); // The same memory, most likely.
};

/** Words: two variables that a reader looks at; where it and who polls are; the cookie. */
const X = FIRST_WORD;
const Y = FIRST_WORD + 1;
const READING = FIRST_WORD + 2;
const POLLED = FIRST_WORD + 3;
const BEFORE = FIRST_WORD + 4;
const COOKIE = FIRST_WORD + 8;
/** As if CPU 1 had not come up yet: no grace period waits for it. */
const beforeCpu1: Operation = (cpu) => {
  const leaf = rcu_mynode(cpu, per_rcu_data(cpu, 1));
  const mask = rcu_cpu_mask(cpu, per_rcu_data(cpu, 1));
  for (const word of [QSMASKINIT, QSMASKINITNEXT]) cpu.mem.poke(leaf, word, cpu.mem.peek(leaf, word) & ~mask);
  set(cpu, BEFORE, cpu.mem.peek(rcu_state(cpu), GP_SEQ));
};
/** Has no grace period begun, or the one that has not decided yet for which CPUs it waits? */
function isUndecided(cpu: Cpu): boolean {
  const gp_seq = cpu.mem.read_once(rcu_state(cpu), GP_SEQ);
  if (gp_seq === get(cpu, BEFORE)) return true;
  return rcu_seq_state(gp_seq) !== 0 && cpu.mem.read_once(rcu_state(cpu), GP_STATE) <= RCU_GP_ONOFF;
}
const comeUp: Operation = (cpu) => {
  while (isUndecided(cpu)) cpu.mem.relax();
  const flags = local_irq_save(cpu);
  rcutree_report_cpu_starting(cpu);
  local_irq_restore(cpu, flags);
};
const readBoth: Operation = (cpu) => {
  rcu_read_lock(cpu);
  const before = get(cpu, Y);
  set(cpu, READING, 1);
  while (get(cpu, POLLED) === 0) cpu.mem.relax();
  if (get(cpu, X) === 1 && before === 0) bug(cpu, "a cookie's grace period is over, and this reader is older than it");
  rcu_read_unlock(cpu);
};
const poll: Operation = (cpu) => {
  while (get(cpu, READING) === 0) cpu.mem.relax();
  set(cpu, Y, 1);
  get_state_synchronize_rcu_full(cpu, at(cpu, COOKIE));
  for (let i = 0; i < 3; i++) {
    if (poll_state_synchronize_rcu_full(cpu, at(cpu, COOKIE))) set(cpu, X, 1);
    cond_resched(cpu);
  }
  set(cpu, POLLED, 1);
};

const underPiLock = {
  name: "kfree-rcu-under-pi_lock",
  summary: "kfree_rcu() by who changes the CPUs of kswapd, without memory for a sheaf",
  setup: (cpu) => {
    fillSheaves(cpu);
    exhaustMemory(cpu);
  },
  cpus: [[(cpu) => change_kswapd(cpu, 0, freeRcu(2 * CAPACITY))]],
  check: accounted,
  kernel: NO_GRACE_PERIODS,
} satisfies Scenario;

export default [
  race({
    name: "nolock-cpuset-write",
    summary: "kmalloc_nolock() in an NMI at every step of a change of the task's own nodes",
    nodes: 2,
    setup: makeOfBucket(0),
    cpus: [[(cpu) => set_mems_allowed(cpu, 1)]],
    nmi: kmallocNolockAs(0),
    check: accounted,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "irq-work-owner",
    summary: "irq_work_sync(), then the work is freed, and its memory used for something else; irq_work late",
    globals: { irqwork_mode: IRQWORK_LATE },
    callbacks: [() => undefined],
    setup: (cpu) => {
      const memory = kmalloc(cpu, IrqWork.size, GFP_KERNEL) as Ptr as Ptr<"irq_work">;
      init_irq_work(cpu, memory, callbackId(0));
      set(cpu, WORK, memory);
      irq_work_queue(cpu, memory);
    },
    cpus: [[], [disown]],
  }),
  race(underPiLock),
  race({
    ...underPiLock,
    name: "rt-kfree-rcu-under-pi_lock",
    summary: "PREEMPT_RT: kfree_rcu() by who changes the CPUs of kswapd, with an empty sheaf in the barn",
    globals: { rt: 1 },
    setup: (cpu) => {
      fillSheaves(cpu);
      putEmptySheaf(cpu);
    },
  }),
  race({
    name: "cookie-cpu-starts",
    summary: "a cookie is taken while a grace period begins, and a CPU comes up that this does not wait for",
    setup: beforeCpu1,
    cpus: [[synchronize_rcu], [comeUp, readBoth], [poll]],
  }),
];
