/** T1: store buffering. The reader writes first, so only a store buffer can show the outcome. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set } from "../explore/scenario.ts";
import { normal, type Shape } from "./kit_grace_period.ts";
import { waitThenRead, X, Y } from "./kit_store_buffering.ts";
import { registers } from "./kit_words.ts";

export const shape: Shape = {
  id: "T1",
  title: "a reader writes y, reads x; x is written before a grace period, y read after it",
  outcome: "r0=0 and r1=0",
  observed: registers(0, 0),
  bound: 1,
  memory: "tso",
  program: (wait) => ({
    cpus: [
      [
        (cpu) => {
          rcu_read_lock(cpu);
          set(cpu, Y, 1);
          result(cpu, 1, get(cpu, X));
          rcu_read_unlock(cpu);
        },
      ],
      [waitThenRead(wait)],
    ],
  }),
};
export default normal(shape);
