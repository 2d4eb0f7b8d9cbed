/** T17: T16 with call_rcu(): the callback poisons. */
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../shared/linux/rcu/tree.ts";
import { callbackId, type Operation, type Scenario } from "../explore/scenario.ts";
import { dereference, poisonA, poisonRead, publishA, publishB } from "./kit_remove.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const HEAD = 32;
/** @param remove  poisons, now or later. */
const program = (remove: Operation): Omit<Scenario, "name"> => ({
  setup: publishA,
  callbacks: [poisonA],
  cpus: [
    [dereference],
    [
      (cpu) => {
        publishB(cpu);
        remove(cpu);
      },
      rcu_barrier,
    ],
  ],
});

const litmus: Litmus = {
  title: "unpublish, call_rcu() of a function that poisons: no reader sees the poison",
  ...poisonRead,
  verdict: "F",
  bound: 2,
  scenario: { name: "T17", ...program((cpu) => call_rcu(cpu, at(cpu, HEAD), callbackId(0))) },
  vacuity: { name: "T17+no-op", ...program(poisonA) },
};
export default litmus;
