/** T4 with nothing in place of synchronize_rcu(): the outcome must show, or T4 proves nothing. */
import type { Litmus } from "./kit.ts";
import { checkSpan, reader, updater } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Sometimes",
  bound: 2,
  scenario: {
    name: "span without a grace period",
    cpus: [[updater(() => undefined)], [reader()]],
    check: checkSpan,
  },
};
export default litmus;
