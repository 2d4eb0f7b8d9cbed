/** llist: two CPUs and an NMI push while a third drains: every node is taken exactly once. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { llist_next } from "../../shared/linux/lib/llist.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { get, result, resultOf, set, type Scenario } from "../explore/scenario.ts";
import { atomicList, type ListOperations, tornList } from "./kit_llist.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const HEAD = 32;
const NODES = 40; // That of CPU i at 40 + 4 * i, that of the NMI at 52.
const NMI_NODE = 3;
const NMI_BEGUN = 4;
const NMI_ENDED = 5;
const TAKEN = 8; // Word 8 + i: how often node i was taken.

const program = ({ add_batch, del_all }: ListOperations): Omit<Scenario, "name"> => {
  const node = (cpu: Cpu, i: number): Ptr<"llist_node"> => at(cpu, NODES + 4 * i);
  const push = (i: number) => (cpu: Cpu) => add_batch(cpu, node(cpu, i), node(cpu, i), at(cpu, HEAD));
  const drain = (cpu: Cpu): void => {
    for (let taken = del_all(cpu, at(cpu, HEAD)); taken !== NULL; taken = llist_next(cpu, taken)) {
      const word = TAKEN + ((taken - node(cpu, 0)) >> 4);
      set(cpu, word, get(cpu, word) + 1);
    }
  };
  return {
    cpus: [[push(0)], [push(1)], [drain]],
    nmi: (cpu) => {
      if (get(cpu, NMI_BEGUN) !== 0) return;
      set(cpu, NMI_BEGUN, 1);
      push(NMI_NODE)(cpu);
      set(cpu, NMI_ENDED, 1);
    },
    nmis: 1,
    final: (cpu) => {
      const pushed = [1, 1, 0, get(cpu, NMI_ENDED)]; // The NMI may also come later, or be half done.
      drain(cpu);
      const taken = pushed.map((_, i) => get(cpu, TAKEN + i));
      if (taken.some((n, i) => n < pushed[i] || n > 1)) result(cpu, 0, 1);
    },
  };
};

const litmus: Litmus = {
  title: "two CPUs and an NMI push, a third CPU takes all: every node is taken once",
  outcome: "a node taken not exactly once",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 1,
  scenario: { name: "llist-push-push-drain", ...program(atomicList) },
  vacuity: { name: "llist-push-push-drain+no-op", ...program(tornList) },
};
export default litmus;
