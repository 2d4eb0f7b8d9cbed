/** T2: store buffering, the basic test without store buffers: what the reader reads first belongs to the start. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set } from "../explore/scenario.ts";
import { normal, type Shape } from "./kit_grace_period.ts";
import { waitThenRead, X, Y } from "./kit_store_buffering.ts";
import { registers } from "./kit_words.ts";

export const shape: Shape = {
  id: "T2",
  title: "a reader reads x, writes y; x is written before a grace period, y read after it",
  outcome: "r0=0 and r1=0",
  observed: registers(0, 0),
  bound: 2,
  program: (wait) => ({
    cpus: [
      [
        (cpu) => {
          rcu_read_lock(cpu);
          result(cpu, 1, get(cpu, X));
          set(cpu, Y, 1);
          rcu_read_unlock(cpu);
        },
      ],
      [waitThenRead(wait)],
    ],
  }),
};
export default normal(shape);
