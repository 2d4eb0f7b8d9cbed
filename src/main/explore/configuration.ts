/**
 * The configuration of a scenario: what the meaning of a schedule depends on. A schedule of one configuration names other
 * steps in another, so a token carries a fingerprint of it and is refused elsewhere.
 */
import { fingerprint } from "./code_fingerprint.ts";
import { nmisOf } from "./explore.ts";
import { BARE_KERNEL, KERNEL } from "./kernel.ts";
import { globalsOf, nodesOf, type Scenario } from "./scenario.ts";
import type { MemoryModel } from "./engine/store_buffer.ts";

/** "cpus=1+1 nmis=1 ...": operations of each CPU, then everything else that is not at its default. */
export function describeConfiguration(scenario: Scenario, model: MemoryModel): string {
  const { cpus, ticks = 0, nmiPoints, steps, bytes, oracle = false } = scenario;
  const { nodes, memless } = nodesOf(scenario);
  const words = Object.entries(globalsOf(scenario)).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const parts: readonly (readonly [string, string | number | undefined])[] = [
    ["cpus", cpus.map((program) => program.length).join("+")],
    ["tasks", scenario.tasks?.map(({ cpu, program }) => `${cpu}:${program.length}`).join("+")],
    ["nmis", nmisOf(scenario)],
    ["ticks", ticks],
    ["points", nmiPoints?.join("+")],
    ["model", model],
    ["kernel", kernelName(scenario)],
    ["oracle", oracle ? "yes" : undefined],
    ["final", scenario.final === undefined ? undefined : "yes"],
    ["steps", steps],
    ["bytes", bytes],
    ["nodes", scenario.nodes ?? (nodes === 1 ? undefined : nodes)],
    ["memless", memless ? "yes" : undefined],
    ...words.map(([name, value]) => [name, value === 0 ? undefined : value] as const),
  ];
  return parts
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}
function kernelName({ kernel = KERNEL }: Scenario): string {
  if (kernel === KERNEL) return "full";
  return kernel === BARE_KERNEL ? "bare" : "own";
}

export function configurationFingerprint(scenario: Scenario, model: MemoryModel): string {
  return fingerprint(describeConfiguration(scenario, model));
}
