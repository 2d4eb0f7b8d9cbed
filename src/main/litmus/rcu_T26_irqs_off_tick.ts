/** T26 with ticks at any time. */
import { withTicks } from "./kit_ticks.ts";
import base from "./rcu_T26_irqs_off.ts";

export default withTicks(base, 3, 400);
