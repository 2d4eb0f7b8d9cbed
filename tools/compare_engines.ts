/**
 * A campaign: random failing schedules of every scenario that can fail, as tokens, replayed on one thread and on a worker
 * for each CPU. Verdict and every step must be the same.
 *
 *   node tools/compare_engines.ts [TOKENS]      default: 1000
 */
import { type CatalogueEntry, catalogued } from "../src/main/explore/catalogue.ts";
import { injectionsOf } from "../src/main/explore/explore.ts";
import { Fleet, STEP_LOG_ENTRIES } from "../src/main/explore/hand_over/fleet.ts";
import { StepLog } from "../src/main/explore/hand_over/step_log.ts";
import { play } from "../src/main/explore/playback.ts";
import { RandomWalk } from "../src/main/explore/strategies/random_walk.ts";
import { openSubject, type Subject, tokenOf } from "../src/main/explore/subject.ts";
import { formatToken, parseToken } from "../src/main/explore/token.ts";
import { EXIT_FAILURE, EXIT_SUCCESS, exitCodeOfError } from "../src/main/exit_code.ts";
import { parseCount } from "../src/main/values.ts";

/** Executions of a scenario in which none fails in a new way before it is left alone. */
const PATIENCE = 3000;

/** Random failing executions of a scenario, each once. */
class Failures {
  readonly name: string;
  readonly subject: Subject;
  private readonly walk: RandomWalk;
  private readonly known = new Set<string>();

  constructor(entry: CatalogueEntry) {
    this.name = entry.name;
    this.subject = openSubject(entry, {});
    this.walk = new RandomWalk(11, 0.05, injectionsOf(this.subject.scenario));
  }
  /** @returns up to `most` further tokens; fewer: there are hardly more. */
  more(most: number): readonly string[] {
    const { subject, walk, known } = this;
    const tokens: string[] = [];
    for (let since = 0; since < PATIENCE && tokens.length < most; since++) {
      walk.begin();
      const failure = subject.explorer.execute(walk);
      if (failure === undefined) continue;
      const token = formatToken(tokenOf(subject, play(subject.explorer, failure.schedule)));
      if (known.has(token)) continue;
      known.add(token);
      tokens.push(token);
      since = 0;
    }
    return tokens;
  }
}

/** @returns how many of the tokens are the same execution on both engines. */
async function compare(fleet: Fleet, { subject }: Failures, tokens: readonly string[]): Promise<number> {
  if (tokens.length === 0) return 0;
  const schedules = tokens.map((token) => parseToken(token).schedule);
  const executed = await fleet.run(subject, { schedules }, true);
  const log = StepLog.of(STEP_LOG_ENTRIES);
  let equal = 0;
  for (const [i, schedule] of schedules.entries()) {
    log.clear();
    const failure = subject.explorer.replay(schedule, log);
    const { message, steps, digest } = executed[i];
    const { steps: own } = subject.explorer.engine;
    if (failure !== undefined && message === failure.message && steps === own && digest === log.digest) equal++;
    else console.log(`DIFFERS: ${tokens[i]}`);
  }
  return equal;
}

/** @returns the exit code: 1 if any differs. */
async function main([wanted = "1000"]: readonly string[]): Promise<number> {
  const most = parseCount("TOKENS", wanted, 1, 1_000_000);
  const entries = [...(await catalogued("races")), ...(await catalogued("litmus"))].filter(({ happens }) => happens);
  const fleet = new Fleet(Math.max(...entries.map(({ scenario }) => scenario.cpus.length)));
  let same = 0;
  let all = 0;
  try {
    // Some fail in few ways: what they leave of their share the others get in the next round.
    let failing = entries.map((entry) => new Failures(entry));
    while (all < most && failing.length > 0) {
      const rich: Failures[] = [];
      for (const [n, failures] of failing.entries()) {
        const share = Math.ceil((most - all) / (failing.length - n));
        const tokens = failures.more(share);
        const equal = await compare(fleet, failures, tokens);
        same += equal;
        all += tokens.length;
        if (tokens.length === share) rich.push(failures);
        console.log(`${failures.name.padEnd(32)} ${equal} of ${tokens.length}`);
      }
      failing = rich;
    }
  } finally {
    await fleet.close();
  }
  console.log(`${same} of ${all} failing tokens are the same execution on both engines`);
  return all > 0 && same === all ? EXIT_SUCCESS : EXIT_FAILURE;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = exitCodeOfError(error, (message) => console.error(`compare-engines: ${message}`));
}
