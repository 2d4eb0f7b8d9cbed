/** T3: message passing. The two writes must trade places before the outcome can show, so the writer is CPU 0. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set } from "../explore/scenario.ts";
import { normal, type Shape } from "./kit_grace_period.ts";
import { registers } from "./kit_words.ts";

const X = 0;
const Y = 1;

export const shape: Shape = {
  id: "T3",
  title: "x is written before a grace period, y after it; a reader sees y and not x",
  outcome: "r0=1 and r1=0",
  observed: registers(1, 0),
  bound: 0,
  memory: "pso",
  program: (wait) => ({
    cpus: [
      [
        (cpu) => {
          set(cpu, X, 1);
          wait(cpu);
          set(cpu, Y, 1);
        },
      ],
      [
        (cpu) => {
          rcu_read_lock(cpu);
          result(cpu, 0, get(cpu, Y));
          result(cpu, 1, get(cpu, X));
          rcu_read_unlock(cpu);
        },
      ],
    ],
  }),
};
export default normal(shape);
