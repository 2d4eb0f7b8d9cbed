/** T25b: out of idle an IRQ runs the reader of T4, and an NMI begins and ends between its two reads. */
import { get, set } from "../../src/main/explore/scenario.ts";
import { P_IRQ } from "../../src/shared/layout/cpu.ts";
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import type { Ptr } from "../../src/shared/mem/struct.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, reader, updater } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Never",
  bound: -1,
  random: 600,
  scenario: {
    name: "IRQ reader out of idle, NMI inside",
    cpus: [
      [updater(synchronize_rcu)],
      [],
      [(cpu) => cpu.mem.raise(cpu.map.section(1) as Ptr as Ptr<"cpu_pending">, P_IRQ)],
    ],
    irq: reader(),
    nmi: (cpu) => set(cpu, 9, get(cpu, 9) + 1),
    nmis: 1,
    check: checkSpan,
  },
};
export default litmus;
