/** T15: publication. A reader that gets the new pointer sees what was written before it was published. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set, type Scenario } from "../explore/scenario.ts";
import { registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const P = 0;
const D = 8;
/** rcu_assign_pointer() is a release: here a barrier, then the store. */
const program = (release: boolean): Pick<Scenario, "cpus"> => ({
  cpus: [
    [
      (cpu) => {
        rcu_read_lock(cpu);
        const q = get(cpu, P);
        if (q !== 0) {
          result(cpu, 0, 1);
          result(cpu, 1, get(cpu, q));
        }
        rcu_read_unlock(cpu);
      },
    ],
    [
      (cpu) => {
        set(cpu, D, 1);
        if (release) cpu.mem.smp_mb();
        set(cpu, P, D);
      },
    ],
  ],
});

const litmus: Litmus = {
  title: "what is written before a pointer is published is there for who finds the pointer",
  outcome: "q=&d and r1=0",
  verdict: "F",
  observed: registers(1, 0),
  bound: 2,
  memory: "pso",
  scenario: { name: "T15", ...program(true) },
  vacuity: { name: "T15+no-op", ...program(false) },
};
export default litmus;
