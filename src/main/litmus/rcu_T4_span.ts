/** T4: no section spans a grace period. The basic read-only test. */
import { normal, reader, span, updater, type Shape } from "./kit_grace_period.ts";

export const shape: Shape = {
  id: "T4",
  title: "no section sees both y from before a grace period and x from after it",
  ...span,
  bound: 2,
  program: (wait) => ({ cpus: [[reader], [reader], [updater(wait)]] }),
};
export default normal(shape);
