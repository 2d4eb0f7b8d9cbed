/** Variants with ticks at any time. They have too many schedules to exhaust, so random strategies only. */
import type { Forbidden } from "./litmus.ts";

export function withTicks(base: Forbidden, ticks: number, random: number): Forbidden {
  const variant = ({ scenario, vacuity }: Forbidden): Pick<Forbidden, "scenario" | "vacuity"> => ({
    scenario: { ...scenario, name: `${scenario.name}+ticks`, ticks },
    vacuity: { ...vacuity, name: `${vacuity.name}+ticks`, ticks },
  });
  return { ...base, ...variant(base), title: `${base.title}, ticks at any time`, bound: -1, random };
}
