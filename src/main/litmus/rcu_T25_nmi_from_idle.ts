/** T25: CPU 0 is idle; an NMI there runs the reader of T4. Needs ct_nmi_enter(). */
import { normal, reader, span, updater, type Shape } from "./kit_grace_period.ts";

export const shape: Shape = {
  id: "T25",
  title: "T4 with the reader in an NMI out of idle",
  ...span,
  bound: 1,
  program: (wait) => ({ cpus: [[], [updater(wait)]], nmi: reader, nmis: 1 }),
};
export default normal(shape);
