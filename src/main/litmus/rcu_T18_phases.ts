/** T18: a phased change of state. Who does not know that it must be careful never meets the maintenance. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set } from "../explore/scenario.ts";
import { normal } from "./kit_grace_period.ts";
import { registers } from "./kit_words.ts";

const CAREFUL = 0;
const MAINTENANCE = 1;

export default normal({
  id: "T18",
  title: "a grace period before and after a maintenance: who is not careful does not meet it",
  outcome: "r0=0 and r1=1",
  observed: registers(0, 1),
  bound: 2,
  program: (wait) => ({
    cpus: [
      [
        (cpu) => {
          rcu_read_lock(cpu);
          result(cpu, 0, get(cpu, CAREFUL));
          result(cpu, 1, get(cpu, MAINTENANCE));
          rcu_read_unlock(cpu);
        },
      ],
      [
        (cpu) => {
          set(cpu, CAREFUL, 1);
          wait(cpu);
          set(cpu, MAINTENANCE, 1);
          set(cpu, MAINTENANCE, 0);
          wait(cpu);
          set(cpu, CAREFUL, 0);
        },
      ],
    ],
  }),
});
