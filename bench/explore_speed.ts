/**
 * How many schedules per second does each strategy explore? On a litmus test (T2, some hundred steps), on small litmus
 * tests without RCU, and on kfree_rcu_nolock() scenarios; on one thread, and PCT on a worker for each CPU.
 *
 *   node bench/explore_speed.ts [--seconds N] [--strategy NAME] [--steps N] [--json] [NAME ...]
 *
 * A name may be that of a folder: all its scenarios whose executions take up to --steps steps on average, and how many
 * schedules per second that makes over all of them.
 *
 * CPU time of this thread, so that neither other programs nor the compiler count; the hand-over engine is measured in wall
 * time.
 */
import { parseArgs } from "node:util";
import { UsageError } from "../src/main/errors.ts";
import { type CatalogueEntry, catalogued, findScenarios, type Folder, FOLDERS } from "../src/main/explore/catalogue.ts";
import { injectionsOf, LEARNING } from "../src/main/explore/explore.ts";
import { Fleet } from "../src/main/explore/hand_over/fleet.ts";
import { RandomWalk } from "../src/main/explore/strategies/random_walk.ts";
import { strategyNamed, STRATEGY_NAMES, type StrategyName } from "../src/main/explore/strategy_names.ts";
import { openSubject, type Subject } from "../src/main/explore/subject.ts";
import { parseChoice, parseCount, parseDuration } from "../src/main/values.ts";

const EXIT_USAGE = 2;
const MOST_STEPS = 1_000_000;
/** Without names. */
const DEFAULT_NAMES = ["llist-push-push-drain", "T2", "nolock-on-kfree-rcu"];

interface Options {
  readonly names: readonly string[];
  /** How long each scenario is measured under each strategy, after as long a warm-up. */
  readonly ms: number;
  readonly strategies: readonly StrategyName[];
  /** The hand-over engine too. */
  readonly workers: boolean;
  readonly mostSteps: number;
  readonly json: boolean;
}
/** @throws UsageError */
function parse(): Options {
  const { values, positionals } = parseArgs({
    options: {
      seconds: { type: "string", default: "1" },
      strategy: { type: "string" },
      steps: { type: "string", default: "4000" },
      json: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  const { strategy } = values;
  return {
    names: positionals.length > 0 ? positionals : DEFAULT_NAMES,
    ms: parseDuration("--seconds", values.seconds),
    strategies: strategy === undefined ? STRATEGY_NAMES : [parseChoice("--strategy", strategy, STRATEGY_NAMES)],
    workers: strategy === undefined,
    mostSteps: parseCount("--steps", values.steps, 1, MOST_STEPS),
    json: values.json,
  };
}

/** An element of what `--json` prints. */
export interface Speed {
  readonly scenario: string;
  readonly strategy: string;
  readonly perSecond: number;
}
interface Measured {
  readonly schedules: number;
  readonly steps: number;
  readonly points: number;
  readonly ms: number;
}

function measure({ explorer, scenario }: Subject, name: StrategyName, ms: number): Measured {
  const injections = injectionsOf(scenario);
  const strategy = strategyNamed(name, { seed: 1, preemptions: 3, depth: 3, injections });
  const total = { schedules: 0, steps: 0, points: 0, ms: 0 };
  const start = process.threadCpuUsage();
  while (total.ms < ms && strategy.begin()) {
    explorer.execute(strategy);
    total.schedules++;
    total.steps += explorer.engine.steps;
    total.points += explorer.engine.points;
    if ((total.schedules & 63) === 0) total.ms = cpuMs(start);
  }
  return { ...total, ms: cpuMs(start) };
}
function cpuMs(start: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(start);
  return (user + system) / 1000;
}

async function measureWorkers(subject: Subject, forMs: number): Promise<Measured> {
  const injections = injectionsOf(subject.scenario);
  const parameters = { seed: 1, preemptions: 2, depth: 3, injections };
  const fleet = new Fleet(subject.explorer.engine.lanes.length);
  try {
    const work = (executions: number) => ({ strategy: "pct" as const, parameters, executions });
    await fleet.run(subject, work(500), false); // Threads start, code is compiled.
    const executions = Math.ceil(5 * forMs);
    const start = performance.now();
    const executed = await fleet.run(subject, work(executions), false);
    const ms = performance.now() - start;
    return { schedules: executed.length, steps: executed.reduce((sum, { steps }) => sum + steps, 0), points: 0, ms };
  } finally {
    await fleet.close();
  }
}

const NAME_WIDTH = 31;
const COLUMN_WIDTH = 12;
const row = (name: string, columns: readonly string[]): string =>
  name.padEnd(NAME_WIDTH) + columns.map((column) => column.padStart(COLUMN_WIDTH)).join("");
const HEAD = row("", ["schedules/s", "steps/s", "steps", "points", "ns/step"]);
const perSecond = ({ schedules, ms }: Measured): number => (schedules / ms) * 1000;
function line(name: string, measured: Measured): string {
  const { schedules, steps, points, ms } = measured;
  return row(name, [
    `${Math.round(perSecond(measured))}`,
    ((steps / ms) * 1000).toExponential(2),
    `${Math.round(steps / schedules)}`,
    `${Math.round(points / schedules)}`,
    `${Math.round((ms * 1e6) / steps)}`,
  ]);
}

/** Schedules per second over scenarios of which each is executed as often. */
function overall(speeds: readonly number[]): number {
  return speeds.length / speeds.reduce((sum, each) => sum + 1 / each, 0);
}
function learned(entry: CatalogueEntry): Subject {
  const subject = openSubject(entry, {});
  const learning = new RandomWalk(1, 0.1, injectionsOf(subject.scenario), true);
  for (let n = 0; n < LEARNING && learning.begin(); n++) subject.explorer.execute(learning);
  return subject;
}

type Say = (text: string) => void;

async function measureScenario(name: string, { strategies, ms, workers }: Options, say: Say): Promise<Speed[]> {
  const [entry] = await findScenarios([name]);
  const subject = learned(entry);
  say(`\n${name}: ${subject.scenario.cpus.length} CPUs, ${subject.explorer.engine.sharedWords} shared words`);
  say(HEAD);
  const speeds: Speed[] = [];
  for (const strategy of strategies) {
    measure(subject, strategy, ms);
    const measured = measure(subject, strategy, ms);
    speeds.push({ scenario: name, strategy, perSecond: perSecond(measured) });
    say(line(strategy, measured));
  }
  if (workers) say(line("pct, workers", await measureWorkers(subject, ms)));
  return speeds;
}
/** All that have no more steps than is asked for; the last element is about all of them. */
async function measureFolder(folder: Folder, strategy: StrategyName, options: Options, say: Say): Promise<Speed[]> {
  const { ms, mostSteps } = options;
  say(`\n${folder}, up to ${mostSteps} steps, ${strategy}`);
  say(HEAD);
  const speeds: Speed[] = [];
  for (const entry of await catalogued(folder)) {
    if (entry.happens) continue;
    const subject = learned(entry);
    const { steps, schedules } = measure(subject, strategy, ms);
    if (steps / schedules > mostSteps) continue;
    const measured = measure(subject, strategy, ms);
    speeds.push({ scenario: entry.name, strategy, perSecond: perSecond(measured) });
    say(line(entry.name, measured));
  }
  const all = overall(speeds.map((speed) => speed.perSecond));
  say(`${speeds.length} scenarios, as many schedules of each: ${Math.round(all)} schedules/s`);
  return [...speeds, { scenario: folder, strategy, perSecond: all }];
}

async function run(options: Options): Promise<void> {
  const say: Say = (text) => {
    if (!options.json) console.log(text);
  };
  say(`Node ${process.versions.node}, ${process.arch}`);
  const speeds: Speed[] = [];
  for (const name of options.names) {
    const folder = FOLDERS.find((each) => each === name);
    if (folder === undefined) speeds.push(...(await measureScenario(name, options, say)));
    else for (const each of options.strategies) speeds.push(...(await measureFolder(folder, each, options, say)));
  }
  if (options.json) console.log(JSON.stringify(speeds));
}

try {
  await run(parse());
} catch (error) {
  // parseArgs() throws a TypeError.
  if (!(error instanceof UsageError || (error instanceof TypeError && "code" in error))) throw error;
  console.error(`bench:explore: ${error.message}`);
  process.exitCode = EXIT_USAGE;
}
