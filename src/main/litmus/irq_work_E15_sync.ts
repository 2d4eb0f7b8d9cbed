/**
 * E15: after irq_work_sync() whatever was published and queued before it has been handled. The queueing CPU has IRQs off:
 * a self-IPI that is taken at once would leave nothing to wait for.
 */
import { local_irq_disable, local_irq_enable } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { init_irq_work, irq_work_queue, irq_work_sync } from "../../shared/linux/kernel/irq_work.ts";
import { llist_add, llist_del_all, llist_empty } from "../../shared/linux/lib/llist.ts";
import { callbackId, get, result, resultOf, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const Y = 0;
const HEAD = 32;
const NODE = 40;
const WORK = 64;
const program = (sync: Operation): Omit<Scenario, "name"> => ({
  callbacks: [(cpu: Cpu) => void llist_del_all(cpu, at(cpu, HEAD))],
  setup: (cpu) => init_irq_work(cpu, at(cpu, WORK), callbackId(0)),
  cpus: [
    [
      (cpu) => {
        local_irq_disable(cpu);
        llist_add(cpu, at(cpu, NODE), at(cpu, HEAD));
        irq_work_queue(cpu, at(cpu, WORK));
        set(cpu, Y, 1);
        local_irq_enable(cpu);
      },
    ],
    [
      (cpu) => {
        if (get(cpu, Y) === 0) return;
        sync(cpu);
        result(cpu, 0, llist_empty(cpu, at(cpu, HEAD)) ? 0 : 1);
      },
    ],
  ],
});

const litmus: Litmus = {
  title: "publish, irq_work_queue(), flag; who sees the flag and syncs finds it handled",
  outcome: "a node on the list after irq_work_sync()",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 2,
  scenario: { name: "E15", ...program((cpu) => irq_work_sync(cpu, at(cpu, WORK))) },
  vacuity: { name: "E15+no-op", ...program(() => undefined) },
};
export default litmus;
