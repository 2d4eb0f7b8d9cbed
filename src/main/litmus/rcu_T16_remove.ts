/** T16: unpublish, wait, poison. A reader that still has the old pointer never sees the poison. */
import { normal, type Shape } from "./kit_grace_period.ts";
import { dereference, poisonA, poisonRead, publishA, publishB } from "./kit_remove.ts";

export const shape: Shape = {
  id: "T16",
  title: "unpublish, wait for a grace period, poison: no reader sees the poison",
  ...poisonRead,
  bound: 2,
  program: (wait) => ({
    setup: publishA,
    cpus: [
      [dereference],
      [
        (cpu) => {
          publishB(cpu);
          wait(cpu);
          poisonA(cpu);
        },
      ],
    ],
  }),
};
export default normal(shape);
