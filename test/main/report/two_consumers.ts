/** llist_del_first() with two consumers: the ABA that its contract forbids, as a failure to report. */
import { resultOf, result, scenario } from "../../../src/main/explore/scenario.ts";
import { at } from "../../../src/main/litmus/kit_words.ts";
import { llist_add, llist_del_first, llist_empty } from "../../../src/shared/linux/lib/llist.ts";
import { NULL } from "../../../src/shared/mem/struct.ts";

const HEAD = 32;
const A = 40;
const B = 44;

export const twoConsumers = scenario({
  name: "two-consumers",
  setup: (cpu) => {
    llist_add(cpu, at(cpu, B), at(cpu, HEAD));
    llist_add(cpu, at(cpu, A), at(cpu, HEAD));
  },
  cpus: [
    [(cpu) => void llist_del_first(cpu, at(cpu, HEAD))],
    [
      (cpu) => {
        const a = llist_del_first(cpu, at(cpu, HEAD)); // A
        const b = llist_del_first(cpu, at(cpu, HEAD)); // B: ours from here on
        if (a !== NULL) llist_add(cpu, a, at(cpu, HEAD));
        result(cpu, 1, b === at(cpu, B) ? 1 : 0);
      },
    ],
  ],
  // CPU 1 took B and kept it; it must not be on the list again.
  check: (cpu) => {
    if (resultOf(cpu, 1) !== 1 || llist_empty(cpu, at(cpu, HEAD))) return undefined;
    return llist_del_first(cpu, at(cpu, HEAD)) === at(cpu, B)
      ? "observed a node on the list that somebody owns"
      : undefined;
  },
});
