/** llist: two CPUs and an NMI push while a third drains: every node is taken exactly once. */
import { get, result, resultOf, set } from "../../src/main/explore/scenario.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { NULL, type Ptr } from "../../src/shared/mem/struct.ts";
import { llist_add, llist_del_all, llist_next } from "../../src/shared/linux/lib/llist.ts";
import { observed, type Litmus } from "./kit.ts";
import { at } from "./kit_words.ts";

const HEAD = 32;
const NODE = 40; // node of CPU i at NODE + 4 * i; of the NMI at NODE + 12
const node = (cpu: Cpu, i: number): Ptr<"llist_node"> => at(cpu, NODE + 4 * i);
const push = (i: number) => (cpu: Cpu) => void llist_add(cpu, node(cpu, i), at(cpu, HEAD));
/** Takes all and counts each node by its place. */
const drain = (cpu: Cpu): void => {
  let taken = llist_del_all(cpu, at(cpu, HEAD));
  while (taken !== NULL) {
    const next = llist_next(cpu, taken);
    const i = (taken - node(cpu, 0)) >> 4;
    set(cpu, 8 + i, get(cpu, 8 + i) + 1);
    taken = next;
  }
};

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "push, push, NMI push, take all",
    cpus: [[push(0)], [push(1)], [drain]],
    nmi: (cpu) => {
      if (get(cpu, 4) === 0) {
        set(cpu, 4, 1);
        push(3)(cpu);
        set(cpu, 5, 1);
      }
    },
    nmis: 1,
    final: (cpu) => {
      const pushedByNmi = get(cpu, 5); // It may also come later, or be half done.
      drain(cpu);
      for (const i of [0, 1]) if (get(cpu, 8 + i) !== 1) result(cpu, 0, 1);
      if (get(cpu, 8 + 3) < pushedByNmi || get(cpu, 8 + 3) > 1) result(cpu, 0, 1);
    },
    check: (cpu) => observed(resultOf(cpu, 0) === 1, "a node that was taken not exactly once"),
  },
};
export default litmus;
