/** The options that give a machine its shape: how many CPUs, how much memory. */
import { NR_CPUS } from "../shared/base/limits.ts";
import { type MachineShape, shapeProblem } from "../shared/layout/map.ts";
import { UsageError } from "./errors.ts";
import type { Options, OptionSpec } from "./options.ts";
import type { Settings } from "./settings.ts";
import { parseCount, parseSize } from "./values.ts";

export const CPUS_OPTION: OptionSpec = {
  name: "cpus",
  value: "N",
  summary: `CPUs of the machine, 1 to ${NR_CPUS}; each is a thread`,
  default: "4",
};
export const MEMORY_OPTION: OptionSpec = {
  name: "memory",
  value: "SIZE",
  summary: "memory of the machine, such as 16MiB",
  default: "64MiB",
};

/** @throws UsageError  no such machine can be built */
export function parseShape(options: Options, { nodes = 1, memless = false }: Settings): MachineShape {
  const cpus = parseCount("--cpus", options.text(CPUS_OPTION.name) ?? "", 1, NR_CPUS);
  const bytes = parseSize("--memory", options.text(MEMORY_OPTION.name) ?? "");
  const shape = { bytes, cpus, nodes, ...(memless && { memless }) };
  const problem = shapeProblem(shape);
  if (problem !== undefined) throw new UsageError(problem);
  return shape;
}
