/** E5 with ticks at any time. */
import { withTicks } from "./kit_ticks.ts";
import base from "./rcu_E5_two_lists.ts";

export default withTicks(base, 8, 600);
