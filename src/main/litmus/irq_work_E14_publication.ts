/**
 * E14: what is put on a list before irq_work_queue() is handled, whatever that returned: at quiescence the list is not
 * left full with no work pending. The handler drains; more producers come while it runs.
 *
 * PENDING is cleared before the handler looks. A producer that asks "is it busy?" instead leaves its node behind.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { init_irq_work, irq_work_is_busy, irq_work_queue, irq_work_sync } from "../../shared/linux/kernel/irq_work.ts";
import { llist_add, llist_del_all, llist_empty, llist_next } from "../../shared/linux/lib/llist.ts";
import { NULL } from "../../shared/mem/struct.ts";
import { callbackId, get, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const HEAD = 32;
const NODES = 40;
const WORK = 64;
const DRAINED = 0;
const NMI_BEGUN = 4;
const NMI_ENDED = 5;

const queue: Operation = (cpu) => void irq_work_queue(cpu, at(cpu, WORK));
const queueUnlessBusy: Operation = (cpu) => {
  if (!irq_work_is_busy(cpu, at(cpu, WORK))) queue(cpu);
};
const drain = (cpu: Cpu): void => {
  for (let n = llist_del_all(cpu, at(cpu, HEAD)); n !== NULL; n = llist_next(cpu, n))
    set(cpu, DRAINED, get(cpu, DRAINED) + 1);
};
const program = (request: Operation): Omit<Scenario, "name"> => {
  const push = (cpu: Cpu, i: number): void => {
    llist_add(cpu, at(cpu, NODES + 4 * i), at(cpu, HEAD));
    request(cpu);
  };
  return {
    callbacks: [drain],
    setup: (cpu) => init_irq_work(cpu, at(cpu, WORK), callbackId(0)),
    cpus: [[(cpu) => push(cpu, 0)], [(cpu) => push(cpu, 1)]],
    nmi: (cpu) => {
      if (get(cpu, NMI_BEGUN) !== 0) return;
      set(cpu, NMI_BEGUN, 1);
      push(cpu, 2);
      set(cpu, NMI_ENDED, 1);
    },
    nmis: 1,
    final: (cpu) => irq_work_sync(cpu, at(cpu, WORK)),
  };
};

const litmus: Litmus = {
  title: "publish, then irq_work_queue(): somebody handles it, whatever that returned",
  outcome: "a node on the list and no work pending",
  verdict: "F",
  observed: (cpu) => {
    if (get(cpu, NMI_BEGUN) !== get(cpu, NMI_ENDED)) return false; // It came at the very end and is half done.
    return !llist_empty(cpu, at(cpu, HEAD)) && !irq_work_is_busy(cpu, at(cpu, WORK));
  },
  bound: 1,
  scenario: { name: "E14", ...program(queue) },
  vacuity: { name: "E14+no-op", ...program(queueUnlessBusy) },
};
export default litmus;
