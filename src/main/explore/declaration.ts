/**
 * What a module exports may be anything: is it something to explore, and can it be run? A scenario is; so is an object
 * with a scenario in it that says by `result` or `verdict` what is expected, as races and litmus tests do.
 */
import { inspect } from "node:util";
import { parseBugs } from "../bugs.ts";
import { parseConfigWords } from "../config_option.ts";
import { UnsupportedError, UsageError } from "../errors.ts";
import type { Litmus } from "../litmus/litmus.ts";
import type { MemoryModel } from "./engine/store_buffer.ts";
import type { Scenario } from "./scenario.ts";

const NAME = /^[A-Za-z0-9_+-]+$/;
/** Properties that are numbers, and their least value. */
const NUMBERS = { nmis: 0, ticks: 0, steps: 1, bytes: 1, nodes: 1 } as const;
/** Properties that are functions. */
const FUNCTIONS = ["setup", "nmi", "irq", "final", "check", "invariant"] as const;

export interface Declaration {
  readonly scenario: Scenario;
  /** It shows what does happen: to find it is no failure. */
  readonly happens: boolean;
  /** The memory model without which it shows nothing. */
  readonly model?: MemoryModel | undefined;
}

/** @returns undefined: it is something else */
export function declaration(value: unknown): Declaration | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("name" in value && "cpus" in value) return { scenario: value as Scenario, happens: false };
  if (!("scenario" in value)) return undefined;
  if ("verdict" in value) return declarationOfLitmus(value as Litmus);
  const inner = declaration(value.scenario);
  return inner && { ...inner, happens: "result" in value && value.result === "Sometimes" };
}
/** The outcome is what its check looks for. */
function declarationOfLitmus(litmus: Litmus): Declaration {
  const { scenario, verdict, memory: model } = litmus;
  if (verdict === "detector") return { scenario, happens: true, model };
  const check: Scenario["check"] = (cpu) =>
    scenario.check?.(cpu) ?? (litmus.observed(cpu) ? `observed ${litmus.outcome}` : undefined);
  return { scenario: { ...scenario, check }, happens: verdict === "A", model };
}

/** @returns what is wrong with it, or undefined. */
export function scenarioProblem(scenario: Scenario): string | undefined {
  const { name, cpus } = scenario as { readonly name: unknown; readonly cpus: unknown };
  if (typeof name !== "string" || !NAME.test(name)) {
    return `a scenario's name is made of letters, digits, '_', '-' and '+', not ${JSON.stringify(name)}`;
  }
  const isProgram = (program: unknown): boolean => Array.isArray(program) && program.every(isFunction);
  if (!Array.isArray(cpus) || cpus.length === 0 || !cpus.every(isProgram)) {
    return `scenario ${name}: cpus must be a list of lists of functions, one list for each CPU`;
  }
  const isTask = (task: unknown): boolean =>
    typeof task === "object" &&
    task !== null &&
    "cpu" in task &&
    Number.isInteger(task.cpu) &&
    "program" in task &&
    isProgram(task.program);
  const { tasks } = scenario as { readonly tasks?: unknown };
  if (tasks !== undefined && !(Array.isArray(tasks) && tasks.every(isTask))) {
    return `scenario ${name}: tasks must be a list of { cpu, program }, a program being a list of functions`;
  }
  const values = scenario as unknown as Readonly<Record<string, unknown>>;
  for (const [property, least] of Object.entries(NUMBERS)) {
    const value = values[property];
    if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= least)) {
      return `scenario ${name}: ${property} must be an integer from ${least} up, not ${inspect(value)}`;
    }
  }
  const words =
    listProblem("config", values["config"], "--config", (config) => parseConfigWords("explore", config)) ??
    listProblem("bugs", values["bugs"], "--bug", (bugs) => bugs.map(parseBugs));
  if (words !== undefined) return `scenario ${name}: ${words}`;
  const wrong = FUNCTIONS.find((property) => values[property] !== undefined && !isFunction(values[property]));
  return wrong === undefined ? undefined : `scenario ${name}: ${wrong} must be a function`;
}

/** What is wrong with the words of an option that a scenario names, if it does. */
function listProblem(
  property: string,
  words: unknown,
  option: string,
  parse: (words: readonly string[]) => unknown,
): string | undefined {
  if (words === undefined) return undefined;
  if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) {
    return `${property} must be a list of words of ${option}`;
  }
  try {
    parse(words);
    return undefined;
  } catch (error) {
    if (error instanceof UsageError || error instanceof UnsupportedError) return error.message;
    throw error;
  }
}
function isFunction(value: unknown): boolean {
  return typeof value === "function";
}
