/** T4: no section spans a grace period. The basic read-only test. */
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, reader, updater } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: { name: "span", cpus: [[updater(synchronize_rcu)], [reader()], [reader()]], check: checkSpan },
};
export default litmus;
