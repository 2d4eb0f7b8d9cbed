/**
 * E3: synchronize_rcu() waits for readers, not for callbacks. The callback is another CPU's: on one and the same list
 * synchronize_rcu()'s own callback comes behind it, since we have no list of waiters besides.
 */
import { call_rcu, synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { callbackId, get, result, set } from "../explore/scenario.ts";
import { at, registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const X = 0;
const Y = 1;
const HEAD = 32;

const litmus: Litmus = {
  title: "a callback is queued, then synchronize_rcu() returns: the callback need not have run",
  outcome: "r0=1 and r1=0",
  verdict: "A",
  observed: registers(1, 0),
  bound: 1,
  scenario: {
    name: "E3",
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
          synchronize_rcu(cpu);
          result(cpu, 1, get(cpu, X));
        },
      ],
    ],
  },
};
export default litmus;
