/** T25b: out of idle an IRQ runs the reader of T4, and an NMI begins and ends between its two reads. */
import { P_IRQ } from "../../shared/layout/cpu.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { get, set } from "../explore/scenario.ts";
import { normal, reader, span, updater } from "./kit_grace_period.ts";

const NMIS = 9;

export default normal({
  id: "T25b",
  title: "T4 with the reader in an IRQ out of idle, an NMI at any step",
  ...span,
  bound: 0,
  random: 200,
  program: (wait) => ({
    cpus: [[], [(cpu) => cpu.mem.raise(cpu.map.section(0) as Ptr as Ptr<"cpu_pending">, P_IRQ)], [updater(wait)]],
    irq: reader,
    nmi: (cpu) => set(cpu, NMIS, get(cpu, NMIS) + 1),
    nmis: 1,
  }),
});
