/** E5 with ticks at any time: too many schedules to exhaust, so random strategies only. */
import type { Litmus } from "./kit.ts";
import base from "./rcu_E5_two_lists.ts";

const litmus: Litmus = {
  ...base,
  bound: -1,
  random: 600,
  scenario: { ...base.scenario, name: `ticks, ${base.scenario.name}`, ticks: 8 },
};
export default litmus;
