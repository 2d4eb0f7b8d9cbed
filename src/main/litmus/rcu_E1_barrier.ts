/** E1: rcu_barrier() waits for callbacks whose call_rcu() happened before it, on another CPU. */
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../shared/linux/rcu/tree.ts";
import { callbackId, get, result, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at, registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const X = 0;
const Y = 1;
const HEAD = 32;
const program = (barrier: Operation): Omit<Scenario, "name"> => ({
  callbacks: [(cpu) => set(cpu, X, 1)],
  cpus: [
    [
      (cpu) => {
        call_rcu(cpu, at(cpu, HEAD), callbackId(0));
        set(cpu, Y, 1);
      },
    ],
    [
      (cpu) => {
        result(cpu, 0, get(cpu, Y));
        barrier(cpu);
        result(cpu, 1, get(cpu, X));
      },
    ],
  ],
});

const litmus: Litmus = {
  title: "rcu_barrier() waits for a callback that another CPU has queued before it",
  outcome: "r0=1 and r1=0",
  verdict: "F",
  observed: registers(1, 0),
  bound: 1,
  scenario: { name: "E1", ...program(rcu_barrier) },
  vacuity: { name: "E1+no-op", ...program(() => undefined) },
};
export default litmus;
