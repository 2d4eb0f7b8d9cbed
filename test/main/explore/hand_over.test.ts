/** The two engines: the same schedules, step by step the same executions, the same verdicts. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { catalogued } from "../../../src/main/explore/catalogue.ts";
import { injectionsOf, lanesOfScenario, runsOnWorkers } from "../../../src/main/explore/explore.ts";
import { Fleet, STEP_LOG_ENTRIES } from "../../../src/main/explore/hand_over/fleet.ts";
import { StepLog } from "../../../src/main/explore/hand_over/step_log.ts";
import type { Schedule } from "../../../src/main/explore/strategy.ts";
import { openSubject, type Subject } from "../../../src/main/explore/subject.ts";
import { RandomWalk } from "../../../src/main/explore/strategies/random_walk.ts";
import silent from "./silent_scenario.ts";
import { Replay } from "../../../src/main/explore/strategies/replay.ts";

const SCHEDULES = 200;
const catalogue = [...(await catalogued("litmus")), ...(await catalogued("races"))];
const entries = catalogue.filter(({ scenario }) => runsOnWorkers(scenario));
const MOST_CPUS = Math.max(...entries.map(({ scenario }) => lanesOfScenario(scenario)));

let fleet: Fleet;
beforeAll(() => {
  fleet = new Fleet(MOST_CPUS);
});
afterAll(() => fleet.close());

interface Recorded {
  readonly schedule: Schedule;
  readonly message: string | undefined;
  readonly steps: number;
  readonly digest: string;
}

/** Random schedules on one thread, with a digest of every step. */
function record({ explorer, scenario }: Subject, log: StepLog): readonly Recorded[] {
  const recorded: Recorded[] = [];
  const walk = new RandomWalk(7, 0.05, injectionsOf(scenario));
  for (let n = 0; n < SCHEDULES; n++) {
    walk.begin();
    log.clear();
    const failure = explorer.execute(walk, log);
    const { picks, steps } = explorer.engine;
    recorded.push({ schedule: picks, message: failure?.message, steps, digest: log.digest });
  }
  return recorded;
}

test.each(entries.map((entry) => [entry.name, entry] as const))(
  `%s: ${SCHEDULES} random schedules`,
  async (_, entry) => {
    const subject = openSubject(entry, {});
    const log = StepLog.of(STEP_LOG_ENTRIES);
    const recorded = record(subject, log);
    const executed = await fleet.run(subject, { schedules: recorded.map(({ schedule }) => schedule) }, true);
    for (const [n, { message, steps, digest }] of executed.entries()) {
      const one = recorded[n];
      if (digest !== one.digest) {
        // Again, this one alone, to say where they part.
        await fleet.run(subject, { schedules: [one.schedule] }, true);
        log.clear();
        const replay = new Replay(one.schedule);
        replay.begin();
        subject.explorer.execute(replay, log);
        const at = log.firstDifference(fleet.steps);
        const [here, there] = [log, fleet.steps].map((each) => each.describe(at));
        expect.fail(`schedule ${n}, step ${at}: one thread: ${here}; a thread for each CPU: ${there}`);
      }
      expect({ message, steps }, `schedule ${n}`).toEqual({ message: one.message, steps: one.steps });
    }
    expect(executed.length).toBe(SCHEDULES);
  },
);

test("threads that take no step are given up", async () => {
  const silentFleet = new Fleet(1, 500);
  try {
    const file = new URL("silent_scenario.ts", import.meta.url);
    const subject = openSubject({ name: "silent", file, scenario: silent, happens: false }, {});
    await expect(silentFleet.run(subject, { schedules: [[]] }, false)).rejects.toThrow(/has taken a step for 0.5 s/);
  } finally {
    await silentFleet.close();
  }
});
