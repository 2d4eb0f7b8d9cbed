/** T11: as many grace periods as sections in the cycle: forbidden, although no section meets both ends of one of them. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set, type Operation } from "../explore/scenario.ts";
import { normal, type Shape } from "./kit_grace_period.ts";
import { registers } from "./kit_words.ts";

/** W to=1; wait; R from -> r. */
const update =
  (wait: Operation, to: number, from: number, r: number): Operation =>
  (cpu) => {
    set(cpu, to, 1);
    wait(cpu);
    result(cpu, r, get(cpu, from));
  };
/** RL; R from -> r; W to=1; RU. */
const section =
  (from: number, r: number, to: number): Operation =>
  (cpu) => {
    rcu_read_lock(cpu);
    result(cpu, r, get(cpu, from));
    set(cpu, to, 1);
    rcu_read_unlock(cpu);
  };

export const shape: Shape = {
  id: "T11",
  title: "a cycle of two grace periods and two sections",
  outcome: "r0=0, r1=0, r2=0 and r3=0",
  observed: registers(0, 0, 0, 0),
  bound: 1,
  program: (wait) => ({
    cpus: [[section(0, 3, 3)], [update(wait, 0, 1, 0)], [update(wait, 1, 2, 1)], [section(3, 2, 2)]],
  }),
};
export default normal(shape);
