/** T7: T1 with the read of x after the section: what follows a section is ordered as its end is. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set } from "../explore/scenario.ts";
import { normal, type Shape } from "./kit_grace_period.ts";
import { waitThenRead, X, Y } from "./kit_store_buffering.ts";
import { registers } from "./kit_words.ts";

export const shape: Shape = {
  id: "T7",
  title: "T1, but x is read after the section that writes y",
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
          rcu_read_unlock(cpu);
          result(cpu, 1, get(cpu, X));
        },
      ],
      [waitThenRead(wait)],
    ],
  }),
};
export default normal(shape);
