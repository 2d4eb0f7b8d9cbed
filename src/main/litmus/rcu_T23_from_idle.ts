/**
 * T23: a CPU that leaves idle either is seen watching, or sees what was written before it was looked at. It goes idle
 * again when its program ends, so the counter is compared, not only its lowest bit.
 */
import { ct_rcu_watching_cpu } from "../../shared/cpu/context_tracking.ts";
import { get, result, resultOf, set, type Scenario } from "../explore/scenario.ts";
import { ordered, type Transitions, unordered } from "./kit_idle.ts";
import type { Litmus } from "./litmus.ts";

const X = 0;
const program = ({ enter, exit }: Transitions): Pick<Scenario, "cpus"> => ({
  cpus: [
    [
      (cpu) => {
        enter(cpu);
        cpu.mem.smp_mb();
        result(cpu, 2, ct_rcu_watching_cpu(cpu, 0));
        exit(cpu);
        result(cpu, 0, get(cpu, X));
      },
    ],
    [
      (cpu) => {
        set(cpu, X, 1);
        cpu.mem.smp_mb();
        result(cpu, 1, ct_rcu_watching_cpu(cpu, 0));
      },
    ],
  ],
});

const litmus: Litmus = {
  title: "a CPU leaves idle and reads x; another writes x and sees it idle",
  outcome: "r0=0 and r1=idle",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 0 && resultOf(cpu, 1) === resultOf(cpu, 2),
  bound: 1,
  memory: "tso",
  scenario: { name: "T23", ...program(ordered) },
  vacuity: { name: "T23+no-op", ...program(unordered) },
};
export default litmus;
