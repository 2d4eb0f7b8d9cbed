/** T5: store buffering with a wait on both sides; also a test that two requests at once both come to an end. */
import { get, result, set } from "../explore/scenario.ts";
import { normal, type Shape } from "./kit_grace_period.ts";
import { waitThenRead, X, Y } from "./kit_store_buffering.ts";
import { registers } from "./kit_words.ts";

export const shape: Shape = {
  id: "T5",
  title: "two updaters: each writes, waits for a grace period, reads what the other writes",
  outcome: "r0=0 and r1=0",
  observed: registers(0, 0),
  bound: 0,
  memory: "tso",
  program: (wait) => ({
    cpus: [
      [waitThenRead(wait)],
      [
        (cpu) => {
          set(cpu, Y, 1);
          wait(cpu);
          result(cpu, 1, get(cpu, X));
        },
      ],
    ],
  }),
};
export default normal(shape);
