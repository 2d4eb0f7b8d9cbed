/** T21 with ticks at any time. */
import { withTicks } from "./kit_ticks.ts";
import base from "./rcu_T21_nested.ts";

export default withTicks(base, 3, 400);
