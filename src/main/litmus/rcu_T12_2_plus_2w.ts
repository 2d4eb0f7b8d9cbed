/** T12: T11 with writes only: which of two writes to a word is the last one. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, set, type Operation } from "../explore/scenario.ts";
import { normal } from "./kit_grace_period.ts";

/** W to=2; wait; W next=1. */
const update =
  (wait: Operation, to: number, next: number): Operation =>
  (cpu) => {
    set(cpu, to, 2);
    wait(cpu);
    set(cpu, next, 1);
  };
/** RL; W from=1; W to=2; RU. */
const section =
  (from: number, to: number): Operation =>
  (cpu) => {
    rcu_read_lock(cpu);
    set(cpu, from, 1);
    set(cpu, to, 2);
    rcu_read_unlock(cpu);
  };

export default normal({
  id: "T12",
  title: "two grace periods and two sections, each writes 2 to a word where another one writes 1",
  outcome: "x0=2, x1=2, x2=2 and x3=2",
  observed: (cpu) => [0, 1, 2, 3].every((x) => get(cpu, x) === 2),
  bound: 1,
  program: (wait) => ({
    cpus: [[section(0, 3)], [update(wait, 0, 1)], [update(wait, 1, 2)], [section(3, 2)]],
  }),
});
