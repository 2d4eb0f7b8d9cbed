/** T22: who sees that a CPU has gone idle sees all that it did before. Both are stores, so only pso can break it. */
import { CT_RCU_WATCHING, ct_rcu_watching_cpu } from "../../shared/cpu/context_tracking.ts";
import { get, result, set, type Scenario } from "../explore/scenario.ts";
import { ordered, type Transitions, unordered } from "./kit_idle.ts";
import { registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const X = 0;
const program = ({ enter, exit }: Transitions): Pick<Scenario, "cpus"> => ({
  cpus: [
    [
      (cpu) => {
        set(cpu, X, 1);
        enter(cpu);
        exit(cpu);
      },
    ],
    [
      (cpu) => {
        result(cpu, 0, ct_rcu_watching_cpu(cpu, 0) & CT_RCU_WATCHING);
        result(cpu, 1, get(cpu, X));
      },
    ],
  ],
});

const litmus: Litmus = {
  title: "a CPU writes x and goes idle: who sees it idle sees x",
  outcome: "r0=idle and r1=0",
  verdict: "F",
  observed: registers(0, 0),
  bound: 1,
  memory: "pso",
  scenario: { name: "T22", ...program(ordered) },
  vacuity: { name: "T22+no-op", ...program(unordered) },
};
export default litmus;
