/**
 * How many schedules per second does each strategy explore? On a litmus test (T2, some hundred steps), on small litmus
 * tests without RCU, and on kfree_rcu_nolock() scenarios; on one thread, and PCT on a worker for each CPU.
 *
 *   node bench/explore_speed.ts [--seconds N] [--strategy NAME] [--json] [NAME ...]
 *
 * CPU time of this thread, so that neither other programs nor the compiler count; the hand-over engine is measured in wall
 * time.
 */
import { parseArgs } from "node:util";
import { findScenarios } from "../src/main/explore/catalogue.ts";
import { injectionsOf, LEARNING } from "../src/main/explore/explore.ts";
import { Fleet } from "../src/main/explore/hand_over/fleet.ts";
import { RandomWalk } from "../src/main/explore/strategies/random_walk.ts";
import { strategyNamed, STRATEGY_NAMES, type StrategyName } from "../src/main/explore/strategy_names.ts";
import { openSubject, type Subject } from "../src/main/explore/subject.ts";

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: "string", default: "1" },
    strategy: { type: "string" },
    json: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const seconds = Number(values.seconds);
const names = positionals.length > 0 ? positionals : ["llist-push-push-drain", "T2", "nolock-on-kfree-rcu"];

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

function measure({ explorer, scenario }: Subject, name: StrategyName): Measured {
  const injections = injectionsOf(scenario);
  const strategy = strategyNamed(name, { seed: 1, preemptions: 3, depth: 3, injections });
  const total = { schedules: 0, steps: 0, points: 0, ms: 0 };
  const start = process.threadCpuUsage();
  while (total.ms < seconds * 1000 && strategy.begin()) {
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

async function measureWorkers(subject: Subject): Promise<Measured> {
  const injections = injectionsOf(subject.scenario);
  const parameters = { seed: 1, preemptions: 2, depth: 3, injections };
  const fleet = new Fleet(subject.explorer.engine.lanes.length);
  try {
    const work = (executions: number) => ({ strategy: "pct" as const, parameters, executions });
    await fleet.run(subject, work(500), false); // Threads start, code is compiled.
    const executions = Math.ceil(5000 * seconds);
    const start = performance.now();
    const executed = await fleet.run(subject, work(executions), false);
    const ms = performance.now() - start;
    return { schedules: executed.length, steps: executed.reduce((sum, { steps }) => sum + steps, 0), points: 0, ms };
  } finally {
    await fleet.close();
  }
}

function line(strategy: string, { schedules, steps, points, ms }: Measured): string {
  const columns = [
    strategy.padEnd(16),
    `${Math.round((schedules / ms) * 1000)}`.padStart(8),
    ((steps / ms) * 1000).toExponential(2).padStart(10),
    `${Math.round(steps / schedules)}`.padStart(8),
    `${Math.round(points / schedules)}`.padStart(8),
    `${Math.round((ms * 1e6) / steps)}`.padStart(8),
  ];
  return columns.join("");
}

const chosen = STRATEGY_NAMES.filter((name) => values.strategy === undefined || name === values.strategy);
if (chosen.length === 0) throw new RangeError(`no strategy '${values.strategy}': ${STRATEGY_NAMES.join(", ")}`);
const speeds: Speed[] = [];
const say = (text: string): void => {
  if (!values.json) console.log(text);
};
say(`Node ${process.versions.node}, ${process.arch}`);
for (const name of names) {
  const [entry] = await findScenarios([name]);
  const subject = openSubject(entry, {});
  const learning = new RandomWalk(1, 0.1, injectionsOf(subject.scenario), true);
  for (let n = 0; n < LEARNING && learning.begin(); n++) subject.explorer.execute(learning);
  say(`\n${name}: ${subject.scenario.cpus.length} CPUs, ${subject.explorer.engine.sharedWords} shared words`);
  say("strategy        schedules/s   steps/s   steps  points ns/step");
  for (const strategy of chosen) {
    const measured = measure(subject, strategy);
    speeds.push({ scenario: name, strategy, perSecond: (measured.schedules / measured.ms) * 1000 });
    say(line(strategy, measured));
  }
  if (values.strategy === undefined) say(line("pct, workers", await measureWorkers(subject)));
}
if (values.json) console.log(JSON.stringify(speeds));
