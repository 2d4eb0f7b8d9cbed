/** E4: a callback queues another one. A barrier waits for the first only; a second barrier for both. */
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../shared/linux/rcu/tree.ts";
import { callbackId, get, result, resultOf, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const X = 0;
const HEAD_F = 32;
const HEAD_G = 36;
const program = (second: Operation): Omit<Scenario, "name"> => ({
  callbacks: [(cpu) => call_rcu(cpu, at(cpu, HEAD_G), callbackId(1)), (cpu) => set(cpu, X, 1)],
  cpus: [
    [
      (cpu) => {
        call_rcu(cpu, at(cpu, HEAD_F), callbackId(0));
        rcu_barrier(cpu);
        result(cpu, 0, get(cpu, X));
        second(cpu);
        result(cpu, 1, get(cpu, X));
      },
    ],
    [],
  ],
});

const chained: Litmus = {
  title: "a callback queues another one: the second of two barriers has waited for both",
  outcome: "r1=0",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 1) === 0,
  bound: 1,
  scenario: { name: "E4", ...program(rcu_barrier) },
  vacuity: { name: "E4+no-op", ...program(() => undefined) },
};
const first: Litmus = {
  title: "a callback queues another one: the first of two barriers need not have waited for that",
  outcome: "r0=0",
  verdict: "A",
  observed: (cpu) => resultOf(cpu, 0) === 0,
  bound: 1,
  scenario: { name: "E4-first", ...program(rcu_barrier) },
};
export default [chained, first];
