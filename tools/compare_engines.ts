/**
 * A campaign: random failing schedules of every scenario that can fail, as tokens, replayed on one thread and on a worker
 * for each CPU. Verdict and every step must be the same.
 *
 *   node tools/compare_engines.ts [TOKENS]      default: 1000
 */
import { catalogued } from "../src/main/explore/catalogue.ts";
import { injectionsOf } from "../src/main/explore/explore.ts";
import { Fleet, STEP_LOG_ENTRIES } from "../src/main/explore/hand_over/fleet.ts";
import { StepLog } from "../src/main/explore/hand_over/step_log.ts";
import { play } from "../src/main/explore/playback.ts";
import { RandomWalk } from "../src/main/explore/strategies/random_walk.ts";
import { openSubject, type Subject, tokenOf } from "../src/main/explore/subject.ts";
import { formatToken, parseToken } from "../src/main/explore/token.ts";

const wanted = Number(process.argv[2] ?? 1000);
/** Executions of a scenario in which none fails in a new way before it is left alone. */
const PATIENCE = 3000;

/** Up to `most` tokens of random failing executions. */
function failingTokens(subject: Subject, most: number): readonly string[] {
  const tokens = new Set<string>();
  const { explorer, scenario } = subject;
  const walk = new RandomWalk(11, 0.05, injectionsOf(scenario));
  for (let since = 0; since < PATIENCE && tokens.size < most; since++) {
    walk.begin();
    const failure = explorer.execute(walk);
    if (failure === undefined) continue;
    const before = tokens.size;
    tokens.add(formatToken(tokenOf(subject, play(explorer, failure.schedule))));
    if (tokens.size > before) since = 0;
  }
  return [...tokens];
}

const entries = [...(await catalogued("races")), ...(await catalogued("litmus"))].filter(({ happens }) => happens);
const fleet = new Fleet(Math.max(...entries.map(({ scenario }) => scenario.cpus.length)));
const log = StepLog.of(STEP_LOG_ENTRIES);
let same = 0;
let all = 0;
try {
  for (const [n, entry] of entries.entries()) {
    const subject = openSubject(entry, {});
    const tokens = failingTokens(subject, Math.ceil((wanted - all) / (entries.length - n)));
    const schedules = tokens.map((token) => parseToken(token).schedule);
    const executed = schedules.length === 0 ? [] : await fleet.run(subject, { schedules }, true);
    let equal = 0;
    for (const [i, schedule] of schedules.entries()) {
      log.clear();
      const failure = subject.explorer.replay(schedule, log);
      const { message, steps, digest } = executed[i];
      const { steps: own } = subject.explorer.engine;
      if (failure !== undefined && message === failure.message && steps === own && digest === log.digest) equal++;
      else console.log(`DIFFERS: ${tokens[i]}`);
    }
    same += equal;
    all += schedules.length;
    console.log(`${entry.name.padEnd(32)} ${equal} of ${schedules.length}`);
  }
} finally {
  await fleet.close();
}
console.log(`${same} of ${all} failing tokens are the same execution on both engines`);
process.exitCode = all > 0 && same === all ? 0 : 1;
