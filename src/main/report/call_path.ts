/**
 * Which functions stand on the JavaScript stack: how a report learns who made an access. One CPU's code may run on top of
 * another's there, so the path ends where the engine, or the delivery of an interrupt, entered the innermost piece.
 */
import { functionOf, moduleOf, PROGRAM } from "./source_of.ts";

interface CallPath {
  /** Method of Memory that made the access: "cmpxchg". */
  readonly method: string;
  /** Kernel functions and named functions of the scenario, outermost first. */
  readonly functions: readonly string[];
}

const MEMORY = `${PROGRAM}shared/mem/`;
const ENGINE = `${PROGRAM}main/explore/`;
const REPORT = `${PROGRAM}main/report/`;
/** What a scenario calls of the explorer. */
const SCENARIO = `${ENGINE}scenario.`;
/** Enters the handler of an interrupt. */
const INTERRUPT = "run_interrupt";
/** Between a caller and what it means to call. */
const PLUMBING = new Set(["invoke", "run_nmi", "run_hardirq", "run_vector"]);
const DEEPEST = 200;

/** The path from the outermost function of the running operation or interrupt down to the access that is being made. */
export function callPath(): CallPath {
  const functions: string[] = [];
  let method = "";
  let inMemory = true;
  for (const site of stack()) {
    const file = moduleOf(site);
    if (file.startsWith(REPORT)) continue;
    const name = functionOf(site);
    inMemory &&= file.startsWith(MEMORY) || (file.startsWith(ENGINE) && !isScenario(file));
    if (inMemory) method = name;
    if (inMemory || isScenario(file)) continue;
    if (name === INTERRUPT || file.startsWith(ENGINE) || isForeign(file)) break;
    // Why the dot: what has no name is called after the places where it is kept, "scenario.cpus".
    if (name !== "" && !name.includes(".") && !PLUMBING.has(name) && name !== functions.at(-1)) functions.push(name);
  }
  return { method, functions: functions.toReversed() };
}

const isScenario = (file: string): boolean => file.startsWith(SCENARIO);
/** Neither our code, which may be an installed package, nor that of a user: the test runner, Node. */
const isForeign = (file: string): boolean =>
  file === "" || file.startsWith("node:") || (file.includes("/node_modules/") && !file.startsWith(PROGRAM));

/** The frames, innermost first. */
function stack(): readonly NodeJS.CallSite[] {
  const { stackTraceLimit } = Error;
  const format = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
  const holder: { stack?: unknown } = {};
  Error.stackTraceLimit = DEEPEST;
  Error.prepareStackTrace = (_error, sites) => sites;
  Error.captureStackTrace(holder);
  const sites = holder.stack as readonly NodeJS.CallSite[]; // Formatted now, while prepareStackTrace is ours.
  Error.stackTraceLimit = stackTraceLimit;
  Reflect.deleteProperty(Error, "prepareStackTrace");
  if (format !== undefined) Object.defineProperty(Error, "prepareStackTrace", format);
  return sites;
}
