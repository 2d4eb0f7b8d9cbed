/** The entry of a CPU's thread under the hand-over engine. Piscina calls it once per piece of work. */
import { MachineMap } from "../../../shared/layout/map.ts";
import { NULL_ORACLE } from "../../../shared/mem/oracle.ts";
import { SharedOracle } from "../../../shared/mem/shared_oracle.ts";
import { scenarioOf } from "../catalogue.ts";
import { bindScenario, lanesOfScenario, limitsOf, observerOf, programsOf, violation } from "../explore.ts";
import { MachineMemory } from "../engine/machine_memory.ts";
import { withOverrides } from "../overrides.ts";
import type { Scenario } from "../scenario.ts";
import { SharedState } from "../engine/state_words.ts";
import { Replay } from "../strategies/replay.ts";
import type { Strategy } from "../strategy.ts";
import { strategyNamed } from "../strategy_names.ts";
import { ABANDONED, Control, DISMISSED, FAILED } from "./control.ts";
import { HandOverEngine } from "./engine.ts";
import { StepLog } from "./step_log.ts";
import type { Executed, ThreadTask, Work } from "./work.ts";

/** @returns what the executions came to, from the thread of lane 0; nothing from the others. */
export default async function thread(task: ThreadTask): Promise<readonly Executed[]> {
  const scenario = withOverrides(await scenarioOf(new URL(task.file), task.scenario), task.overrides);
  bindScenario(scenario);
  const map = new MachineMap(task.shape);
  const memory = new MachineMemory(map, task.buffer, task.memoryState);
  const state = new SharedState(lanesOfScenario(scenario), memory.words.length, task.state);
  const control = new Control(task.control);
  const oracle = task.oracle === undefined ? NULL_ORACLE : new SharedOracle(task.oracle);
  const programs = programsOf(scenario, observerOf(task.buffer, map));
  const limits = limitsOf(scenario, task.options);
  const engine = new HandOverEngine(map, memory, state, oracle, programs, limits, control, task.lane);
  const steps = task.steps === undefined ? undefined : new StepLog(new Int32Array(task.steps));
  const strategyOf = strategies(task.work, new Int32Array(task.strategyState));
  if (task.lane === 0) return lead(task, scenario, engine, control, strategyOf, steps);
  try {
    engine.follow(strategyOf, steps);
  } catch (e) {
    if (e !== DISMISSED) throw e;
  }
  return [];
}

/** The strategy of execution number n: the same on every thread, on words that they share. */
function strategies(work: Work, words: Int32Array): (n: number) => Strategy {
  if ("schedules" in work) return (n) => new Replay(work.schedules[n], words);
  const strategy = strategyNamed(work.strategy, work.parameters, words);
  return () => strategy;
}

function lead(
  { work, oracle, strategyState }: ThreadTask,
  scenario: Scenario,
  engine: HandOverEngine,
  control: Control,
  strategyOf: (n: number) => Strategy,
  steps: StepLog | undefined,
): readonly Executed[] {
  const oracleWords = oracle === undefined ? undefined : new Int32Array(oracle);
  const oracleAtStart = oracleWords?.slice();
  const executed: Executed[] = [];
  const replays = "schedules" in work;
  const executions = replays ? work.schedules.length : work.executions;
  for (let n = 0; n < executions; n++) {
    if (replays) new Int32Array(strategyState).fill(0);
    const strategy = strategyOf(n);
    if (!strategy.begin()) break;
    steps?.clear();
    if (oracleAtStart !== undefined) oracleWords?.set(oracleAtStart);
    const status = engine.lead(n, strategy, steps);
    executed.push({
      message: messageOf(status, scenario, engine, control),
      steps: engine.steps,
      picks: engine.picks,
      digest: steps?.digest ?? "",
    });
    strategy.end(engine.points, engine.learned);
  }
  if (oracleAtStart !== undefined) oracleWords?.set(oracleAtStart); // The Explorer's own oracle knows nothing of us.
  control.dismiss(engine.lanes.length);
  return executed;
}

/** As Explorer.execute() says it. */
function messageOf(status: number, scenario: Scenario, engine: HandOverEngine, control: Control): string | undefined {
  if (status === FAILED) return control.text;
  if (status === ABANDONED) return undefined;
  try {
    return scenario.check?.(engine.cpus[0]);
  } catch (e) {
    return violation(e);
  }
}
