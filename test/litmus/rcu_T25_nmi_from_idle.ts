/** T25: CPU 1 is idle; an NMI there runs the reader of T4. Needs ct_nmi_enter(). */
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, reader, updater } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Never",
  bound: 0,
  scenario: {
    name: "NMI reader out of idle",
    cpus: [[updater(synchronize_rcu)], []],
    nmi: reader(),
    nmis: 1,
    check: checkSpan,
  },
};
export default litmus;
