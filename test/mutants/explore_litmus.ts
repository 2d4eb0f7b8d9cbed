/** Explores one litmus test and prints the result as JSON: what a mutant run calls in its mutated copy of the tree. */
import { Explorer } from "../../src/main/explore/explore.ts";
import { scheduleToText } from "../../src/main/explore/strategy.ts";
import type { Litmus } from "../litmus/kit.ts";

const [file = "", random = "1000"] = process.argv.slice(2);
const { default: litmus } = (await import(`../litmus/${file}.ts`)) as { default: Litmus };
const { bound, exhaustive = 20_000 } = litmus;
const run = new Explorer(litmus.scenario).explore({ bound, random: Number(random), exhaustive });
const { failure, executions } = run;
console.log(
  JSON.stringify({
    failed: failure !== undefined,
    message: failure?.message ?? "",
    strategy: failure?.strategy ?? "",
    schedule: scheduleToText(failure?.schedule ?? []),
    executions,
  }),
);
