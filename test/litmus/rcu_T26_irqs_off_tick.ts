/** T26 with ticks at any time: too many schedules to exhaust, so random strategies only. */
import type { Litmus } from "./kit.ts";
import base from "./rcu_T26_irqs_off.ts";

const litmus: Litmus = {
  ...base,
  bound: -1,
  random: 400,
  scenario: { ...base.scenario, name: `ticks, ${base.scenario.name}`, ticks: 3 },
};
export default litmus;
