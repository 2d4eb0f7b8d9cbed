/** Explores one litmus test and prints the result as JSON: what a mutant run calls in its mutated copy of the tree. */
import type { Litmus } from "../../src/main/litmus/litmus.ts";
import { runLitmus } from "../../src/main/litmus/run.ts";

const [file = "", random = "1000"] = process.argv.slice(2);
const { default: litmus } = (await import(`../../src/main/litmus/${file}.ts`)) as { default: Litmus };
const { verdict, problem, observed, others } = runLitmus(litmus, { random: Number(random), vacuity: false });
console.log(JSON.stringify({ failed: verdict === "failed", message: problem ?? "", executions: observed + others }));
