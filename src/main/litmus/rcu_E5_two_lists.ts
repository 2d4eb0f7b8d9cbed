/** E5: callbacks of two CPUs, both before rcu_barrier() on a third: both have run when it returns. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { call_rcu } from "../../shared/linux/rcu/tree.ts";
import { element } from "../../shared/mem/struct.ts";
import { callbackId, get, result, resultOf, type Operation, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Forbidden } from "./litmus.ts";

const INVOKED = 0;
const QUEUED = 1;
const count = (cpu: Cpu, i: number): void =>
  void cpu.mem.fetch_add(cpu.globals, element(Globals.offset.scenario, i), 1);
const enqueue =
  (head: number): Operation =>
  (cpu) => {
    call_rcu(cpu, at(cpu, head), callbackId(0));
    count(cpu, QUEUED);
  };
const program = (barrier: Operation): Omit<Scenario, "name"> => ({
  callbacks: [(cpu) => count(cpu, INVOKED)],
  cpus: [
    [enqueue(32)],
    [enqueue(36)],
    [
      (cpu) => {
        const queued = get(cpu, QUEUED);
        barrier(cpu);
        if (get(cpu, INVOKED) < queued) result(cpu, 0, 1);
      },
    ],
  ],
});

const litmus: Forbidden = {
  title: "rcu_barrier() waits for the callbacks of all CPUs",
  outcome: "fewer callbacks invoked than were queued before the barrier",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 0,
  random: 400,
  scenario: { name: "E5", ...program(rcu_barrier) },
  vacuity: { name: "E5+no-op", ...program(() => undefined) },
};
export default litmus;
