/**
 * E14: what is put on a list before irq_work_queue() is handled, whatever that returned: at quiescence the list is not
 * left full with no work pending. The handler drains; a second producer comes while it runs.
 */
import { callbackId, get, set } from "../../src/main/explore/scenario.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import {
  init_irq_work,
  irq_work_is_busy,
  irq_work_queue,
  irq_work_sync,
} from "../../src/shared/linux/kernel/irq_work.ts";
import { llist_add, llist_del_all, llist_empty, llist_next } from "../../src/shared/linux/lib/llist.ts";
import { NULL } from "../../src/shared/mem/struct.ts";
import { observed, type Litmus } from "./kit.ts";
import { at } from "./kit_words.ts";

const HEAD = 32;
const NODES = 40;
const WORK = 64;
const push = (i: number) => (cpu: Cpu) => {
  llist_add(cpu, at(cpu, NODES + 4 * i), at(cpu, HEAD));
  irq_work_queue(cpu, at(cpu, WORK));
};

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "publish, queue; handler drains",
    callbacks: [
      (cpu) => {
        for (let n = llist_del_all(cpu, at(cpu, HEAD)); n !== NULL; n = llist_next(cpu, n))
          set(cpu, 0, get(cpu, 0) + 1);
      },
    ],
    setup: (cpu) => init_irq_work(cpu, at(cpu, WORK), callbackId(0)),
    cpus: [[push(0)], [push(1)]],
    nmi: (cpu) => {
      if (get(cpu, 4) === 0) {
        set(cpu, 4, 1);
        push(2)(cpu);
        set(cpu, 5, 1);
      }
    },
    nmis: 1,
    final: (cpu) => irq_work_sync(cpu, at(cpu, WORK)),
    check: (cpu) => {
      if (get(cpu, 4) !== get(cpu, 5)) return undefined; // The NMI came at the very end and is half done.
      const stranded = !llist_empty(cpu, at(cpu, HEAD)) && !irq_work_is_busy(cpu, at(cpu, WORK));
      return observed(stranded, "a node on the list and no work pending");
    },
  },
  exhaustive: 100_000,
};
export default litmus;
