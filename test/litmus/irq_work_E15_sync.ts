/** E15: after irq_work_sync() whatever was published and queued before it has been handled. */
import { callbackId, get, result, resultOf, set } from "../../src/main/explore/scenario.ts";
import { init_irq_work, irq_work_queue, irq_work_sync } from "../../src/shared/linux/kernel/irq_work.ts";
import { llist_add, llist_del_all, llist_empty } from "../../src/shared/linux/lib/llist.ts";
import { observed, type Litmus } from "./kit.ts";
import { at } from "./kit_words.ts";

const Y = 0;
const HEAD = 32;
const NODE = 40;
const WORK = 64;

const litmus: Litmus = {
  result: "Never",
  bound: 2,
  scenario: {
    name: "publish, queue, flag; sync elsewhere",
    callbacks: [(cpu) => void llist_del_all(cpu, at(cpu, HEAD))],
    setup: (cpu) => init_irq_work(cpu, at(cpu, WORK), callbackId(0)),
    cpus: [
      [
        (cpu) => {
          llist_add(cpu, at(cpu, NODE), at(cpu, HEAD));
          irq_work_queue(cpu, at(cpu, WORK));
          set(cpu, Y, 1);
        },
      ],
      [
        (cpu) => {
          if (get(cpu, Y) === 0) return;
          irq_work_sync(cpu, at(cpu, WORK));
          result(cpu, 0, llist_empty(cpu, at(cpu, HEAD)) ? 0 : 1);
        },
      ],
    ],
    check: (cpu) => observed(resultOf(cpu, 0) === 1, "a node still on the list after irq_work_sync()"),
  },
};
export default litmus;
