/** T6: T1 with the write of y before the section: the section and all that precedes it are ordered alike. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set } from "../explore/scenario.ts";
import { normal, type Shape } from "./kit_grace_period.ts";
import { waitThenRead, X, Y } from "./kit_store_buffering.ts";
import { registers } from "./kit_words.ts";

export const shape: Shape = {
  id: "T6",
  title: "T1, but y is written before the section that reads x",
  outcome: "r0=0 and r1=0",
  observed: registers(0, 0),
  bound: 1,
  memory: "tso",
  program: (wait) => ({
    cpus: [
      [
        (cpu) => {
          set(cpu, Y, 1);
          rcu_read_lock(cpu);
          result(cpu, 1, get(cpu, X));
          rcu_read_unlock(cpu);
        },
      ],
      [waitThenRead(wait)],
    ],
  }),
};
export default normal(shape);
