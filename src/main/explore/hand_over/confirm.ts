/** Does a schedule do on real threads what it does on one? Step by step, and with the same verdict. */
import { runsOnWorkers } from "../explore.ts";
import type { Schedule } from "../strategy.ts";
import type { Subject } from "../subject.ts";
import { Fleet, STEP_LOG_ENTRIES } from "./fleet.ts";
import { StepLog } from "./step_log.ts";

export interface Confirmation {
  readonly threads: number;
  readonly steps: number;
  /** What is not the same, or undefined. */
  readonly difference: string | undefined;
}

/** A thread that dies or does not answer is a difference, too. */
export async function confirmOnWorkers(subject: Subject, schedule: Schedule): Promise<Confirmation> {
  const { explorer } = subject;
  const log = StepLog.of(STEP_LOG_ENTRIES);
  const failure = explorer.replay(schedule, log);
  const { steps } = explorer.engine;
  const threads = explorer.engine.lanes.length;
  if (!runsOnWorkers(subject.scenario)) return { threads, steps, difference: "tasks do not move to other CPUs there" };
  const fleet = new Fleet(threads);
  try {
    const [executed] = await fleet.run(subject, { schedules: [schedule] }, true);
    const at = log.firstDifference(fleet.steps);
    let difference: string | undefined;
    if (at !== -1) difference = `step ${at}: one thread: ${log.describe(at)}; workers: ${fleet.steps.describe(at)}`;
    else if (executed.message !== failure?.message) difference = `the verdict: ${executed.message ?? "clean"}`;
    return { threads, steps, difference };
  } catch (error) {
    return { threads, steps, difference: error instanceof Error ? error.message : String(error) };
  } finally {
    await fleet.close();
  }
}
