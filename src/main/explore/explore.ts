/**
 * Explorer: one scenario on one machine, ready to be executed any number of times under any strategy; and explore(), a
 * whole search in one call, for tests. Commands drive an Explorer themselves (search.ts).
 */
import { MachineBug } from "../../shared/base/verdict.ts";
import { init_cpu_slots, init_further_task } from "../../shared/cpu/boot.ts";
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { describe_context } from "../../shared/cpu/context.ts";
import { Cpu, TASK_INDEX_SHIFT } from "../../shared/cpu/cpu.ts";
import { schedule_until_woken } from "../../shared/cpu/sched.ts";
import { cpuhp_should_run, cpuhp_thread_fun } from "../../shared/linux/kernel/cpu.ts";
import { hotplug_is_configured } from "../../shared/linux/sync/cpu_hotplug.ts";
import { do_exit } from "../../shared/cpu/task.ts";
import { run_irq_workd } from "../../shared/linux/kernel/irq_workd.ts";
import { MAX_TASKS, P_KICK } from "../../shared/layout/cpu.ts";
import { Globals, VARIANT_RFC } from "../../shared/layout/globals.ts";
import { MachineMap, type MachineShape, shapeProblem } from "../../shared/layout/map.ts";
import { arm_fault_injection } from "../../shared/linux/lib/fault_inject.ts";
import { BareMemory } from "../../shared/mem/bare_memory.ts";
import { NULL_ORACLE } from "../../shared/mem/oracle.ts";
import { SharedOracle } from "../../shared/mem/shared_oracle.ts";
import { Engine } from "./engine/engine.ts";
import { KERNEL } from "./kernel.ts";
import { MachineMemory } from "./engine/machine_memory.ts";
import { withHistory } from "./engine/oracle_history.ts";
import type { Recorder } from "./recorder.ts";
import { UsageError } from "../errors.ts";
import type { ConfigWord } from "../settings.ts";
import {
  callbackId,
  CB_SCENARIO_IRQ,
  CB_SCENARIO_NMI,
  globalsOf,
  nodesOf,
  type Operation,
  type Scenario,
} from "./scenario.ts";
import type { Limits, Programs } from "./engine/execution.ts";
import { SharedState } from "./engine/state_words.ts";
import type { MemoryModel } from "./engine/store_buffer.ts";
import { Bounded } from "./strategies/bounded.ts";
import { Pct } from "./strategies/pct.ts";
import { RandomWalk } from "./strategies/random_walk.ts";
import { Replay } from "./strategies/replay.ts";
import { atOnce, type Parts } from "./turns.ts";
import { complaintOf, refusePromise, setupFailure } from "./user_code.ts";
import type { Schedule, Strategy } from "./strategy.ts";

const G = Globals.offset;

/** What may be asked of a scenario besides what it says itself. */
export interface ExplorerOptions {
  /** False: every access is a decision point. Default true. */
  readonly filter?: boolean;
  /** When stores reach memory. Default "sc": at once. */
  readonly model?: MemoryModel;
  /** Named points at which alone NMIs are injected; default: as the scenario says. */
  readonly nmiPoints?: readonly number[];
}

export interface Budget {
  readonly seed?: number;
  /** Executions of random walk (p = 0.01 and 0.1) and PCT (d = 2, 3, 4), each. Default 200. */
  readonly random?: number;
  /** Preemption bounds to try: 0 .. bound. Default: none. */
  readonly bound?: number;
  /** Executions that one exhaustive bound may take. Default 100,000. */
  readonly exhaustive?: number;
}
export interface Failure {
  readonly message: string;
  readonly schedule: Schedule;
  readonly strategy: string;
  /** Context stacks of all CPUs at the failure. */
  readonly contexts: readonly string[];
  /** Steps up to the failure. */
  readonly steps: number;
}
export interface Exploration {
  readonly executions: number;
  readonly steps: number;
  readonly sharedWords: number;
  /** Largest preemption bound whose schedules were all tried; -1: none. */
  readonly exhausted: number;
  readonly failure: Failure | undefined;
  /** The search stopped for lack of budget before its bounds were exhausted. */
  readonly incomplete: boolean;
}

/** Executions that learn which words are shared. */
export const LEARNING = 100;

/** NMIs per execution: nothing is injected where nothing would run. */
export function nmisOf({ nmi, nmis = 1 }: Scenario): number {
  return nmi === undefined ? 0 : nmis;
}
/** NMIs and ticks per execution. */
export function injectionsOf(scenario: Scenario): number {
  return nmisOf(scenario) + (scenario.ticks ?? 0);
}
/** CPUs that have a second task, in the order of their lanes. With PREEMPT_RT all have irq_work/N. */
export function furtherOf(scenario: Scenario): readonly number[] {
  const { cpus, tasks = [] } = scenario;
  return isRt(scenario) ? cpus.map((_, cpu) => cpu) : tasks.map(({ cpu }) => cpu);
}
function isRt(scenario: Scenario): boolean {
  return (globalsOf(scenario).rt ?? 0) !== 0;
}
/** The program of each lane: those of the CPUs, then those of their further tasks. */
export function lanePrograms(scenario: Scenario): readonly (readonly Operation[])[] {
  const { cpus, tasks = [] } = scenario;
  return [...cpus, ...furtherOf(scenario).map((id) => tasks.find(({ cpu }) => cpu === id)?.program ?? [])];
}
/**
 * Does the engine with a thread for each task know all that the scenario does? It does not move tasks to other CPUs.
 */
export function runsOnWorkers(scenario: Scenario): boolean {
  return (globalsOf(scenario).migrate ?? 0) === 0;
}
/** Tasks of all CPUs. */
export function lanesOfScenario(scenario: Scenario): number {
  return scenario.cpus.length + furtherOf(scenario).length;
}
function isPreemptible(scenario: Scenario): boolean {
  const { preempt = 0, rt = 0 } = globalsOf(scenario);
  return preempt !== 0 || rt !== 0;
}
/** The oracle knows readers by the number of their task. */
function oracleBlocks(scenario: Scenario): number {
  return isPreemptible(scenario) ? MAX_TASKS << TASK_INDEX_SHIFT : scenario.cpus.length;
}
function shapeOf(scenario: Scenario): MachineShape {
  const { name, bytes = 1 << 20, cpus } = scenario;
  const { nodes, memless } = nodesOf(scenario);
  const shape = { bytes, cpus: cpus.length, nodes, ...(memless && { memless }) };
  const problem = shapeProblem(shape);
  if (problem !== undefined) throw new RangeError(`scenario ${name}: ${problem}`);
  const lanes = lanesOfScenario(scenario);
  if (lanes > 10) throw new RangeError(`scenario ${name}: at most 10 CPUs, further tasks included`);
  const further = (scenario.tasks ?? []).map(({ cpu }) => cpu);
  const isPossible = (cpu: number, i: number): boolean => cpu < cpus.length && further.indexOf(cpu) === i;
  if (!further.every(isPossible)) throw new RangeError(`scenario ${name}: a CPU has two tasks at most`);
  if (isRt(scenario) && globalsOf(scenario).nolock_variant === VARIANT_RFC) {
    throw new RangeError(`scenario ${name}: the RFC variant of kfree_rcu_nolock() refused PREEMPT_RT`);
  }
  if (further.length > 0 && !isPreemptible(scenario)) throw new RangeError(`scenario ${name}: tasks need preempt`);
  return shape;
}
export function limitsOf(
  scenario: Scenario,
  { filter = true, model = "sc", nmiPoints = scenario.nmiPoints }: ExplorerOptions,
): Limits {
  return {
    steps: scenario.steps ?? 100_000,
    nmis: nmisOf(scenario),
    nmiPoints,
    ticks: scenario.ticks ?? 0,
    migrations: globalsOf(scenario).migrate ?? 0,
    filter,
    model,
  };
}
export function programsOf(scenario: Scenario, observer: Cpu): Programs {
  const { name, final, invariant, kernel = KERNEL } = scenario;
  return {
    cpus: lanePrograms(scenario),
    further: furtherOf(scenario),
    ended: isRt(scenario) ? run_irq_workd : task_ended,
    ...(final === undefined ? {} : { final }),
    idle: (cpu) => {
      cpu.mem.take_pending(P_KICK);
      if (hotplug_is_configured(cpu) && cpuhp_should_run(cpu)) cpuhp_thread_fun(cpu);
      else schedule_until_woken(cpu);
    },
    nextTimer: (cpu) => kernel.nextTimer(cpu),
    owes: (cpu) => kernel.owes?.(cpu) === true,
    ...(invariant === undefined ? {} : { invariant: () => complaintOf(name, "invariant", invariant(observer)) }),
    returned: (value) => refusePromise(name, "an operation", value),
  };
}
/** What a further task does when its program has ended. */
function task_ended(cpu: Cpu): void {
  do_exit(cpu, schedule_until_woken);
}
/**
 * Connects every number that the scenario calls through. Several scenarios may live on one thread: the last one holds.
 */
export function bindScenario({ name, nmi, irq, callbacks = [], kernel = KERNEL }: Scenario): void {
  kernel.bind();
  if (nmi !== undefined) bind_callback(CB_SCENARIO_NMI, (cpu) => refusePromise(name, "nmi", nmi(cpu)));
  if (irq !== undefined) bind_callback(CB_SCENARIO_IRQ, (cpu) => refusePromise(name, "irq", irq(cpu)));
  for (const [i, fn] of callbacks.entries()) bind_callback(callbackId(i), fn);
}
/** What is wrong if an execution has thrown this: a broken invariant, or an assertion in the scenario's own code. */
export function violation(e: unknown): string {
  if (e instanceof MachineBug) return `CPU ${e.cpu}: ${e.message}`;
  return e instanceof Error ? `${e.name}: ${e.message}` : String(e);
}
/** CPU 0 of a machine as somebody sees it who only looks. */
export function observerOf(buffer: SharedArrayBuffer, map: MachineMap): Cpu {
  return new Cpu(new BareMemory(buffer, 0), map, 0, 0, NULL_ORACLE);
}

export class Explorer {
  readonly scenario: Scenario;
  readonly options: ExplorerOptions;
  readonly map: MachineMap;
  readonly buffer: SharedArrayBuffer;
  /** Snapshot and dirty marks; for MachineMemory on other threads. */
  readonly memoryState: SharedArrayBuffer;
  readonly state: SharedState;
  readonly engine: Engine;
  readonly oracle: SharedOracle | undefined;
  /** Whose functions the callback numbers of this thread mean. */
  private static bound: Explorer | undefined;
  private executions = 0;
  private steps = 0;

  constructor(scenario: Scenario, options: ExplorerOptions = {}) {
    this.scenario = scenario;
    this.options = options;
    const shape = shapeOf(scenario);
    this.buffer = new SharedArrayBuffer(shape.bytes);
    this.map = new MachineMap(shape);
    const { buffer, map } = this;
    powerOn(scenario, map, new BareMemory(buffer, 0));
    this.memoryState = new SharedArrayBuffer(MachineMemory.sharedBytes(shape.bytes));
    const memory = new MachineMemory(map, buffer, this.memoryState);
    const lanes = lanesOfScenario(scenario);
    this.state = new SharedState(lanes, memory.words.length);
    this.oracle = scenario.oracle === true ? SharedOracle.create(shape.bytes, oracleBlocks(scenario)) : undefined;
    const oracle = this.oracle === undefined ? NULL_ORACLE : withHistory(this.oracle, () => this.engine);
    const programs = programsOf(scenario, observerOf(buffer, map));
    this.engine = new Engine(map, memory, this.state, oracle, programs, limitsOf(scenario, options));
    const cpu = this.engine.cpus[0];
    this.bind();
    (scenario.kernel ?? KERNEL).boot(cpu);
    setUp(scenario, cpu);
    arm_fault_injection(cpu);
    this.oracle?.snapshot();
    memory.takeSnapshot();
  }

  private bind(): void {
    bindScenario(this.scenario);
    Explorer.bound = this;
  }

  /** One execution. @returns the failure, if any. */
  execute(strategy: Strategy, recorder?: Recorder): Failure | undefined {
    const { scenario, engine } = this;
    if (Explorer.bound !== this) this.bind();
    this.oracle?.restore();
    this.executions++;
    let failure: Failure | undefined;
    try {
      const whole = engine.run(strategy, recorder);
      const wrong = whole ? complaintOf(scenario.name, "check", scenario.check?.(engine.cpus[0])) : undefined;
      if (wrong !== undefined) failure = this.failure(wrong, strategy);
    } catch (e) {
      if (e instanceof UsageError) throw e; // Nothing was found: the scenario cannot be run.
      failure = this.failure(violation(e), strategy);
    }
    this.steps += engine.steps;
    strategy.end(engine.points, engine.learned);
    return failure;
  }
  private failure(message: string, strategy: Strategy): Failure {
    const { cpus, picks, steps } = this.engine;
    const main = cpus.filter(({ task_index }) => task_index === 0); // The context is that of whoever runs there.
    const contexts = main.map((cpu) => `CPU ${cpu.id}: ${describe_context(cpu)}`);
    return { message, schedule: picks, strategy: strategy.name, contexts, steps };
  }

  /** Up to `budget` executions of one strategy. */
  private *campaign(strategy: Strategy, budget: number): Parts<Failure | undefined> {
    for (let i = 0; i < budget && strategy.begin(); i++) {
      const failure = this.execute(strategy);
      if (failure !== undefined) return failure;
      yield;
    }
    return undefined;
  }

  /** The whole search. */
  explore(budget: Budget = {}): Exploration {
    return atOnce(this.exploring(budget));
  }
  /** The same, execution by execution. */
  *exploring(budget: Budget = {}): Parts<Exploration> {
    const { seed = 1, random = 200, bound = -1, exhaustive = 100_000 } = budget;
    const injections = injectionsOf(this.scenario);
    let exhausted = -1;
    let incomplete = false;
    const end = (failure: Failure | undefined): Exploration => {
      const { executions, steps } = this;
      return { executions, steps, sharedWords: this.engine.sharedWords, exhausted, failure, incomplete };
    };
    const strategies: [Strategy, number][] = [
      [new RandomWalk(seed, 0.1, injections, true), LEARNING],
      [new RandomWalk(seed + 1, 0.1, injections), random],
      [new RandomWalk(seed + 2, 0.01, injections), random],
      [new Pct(seed + 3, 2, injections), random],
      [new Pct(seed + 4, 3, injections), random],
      [new Pct(seed + 5, 4, injections), random],
    ];
    for (const [strategy, runs] of strategies) {
      const failure = yield* this.campaign(strategy, runs);
      if (failure !== undefined) return end(failure);
    }
    for (let b = 0; b <= bound; b++) {
      const strategy = new Bounded(b, { cache: true });
      const failure = yield* this.campaign(strategy, exhaustive);
      if (failure !== undefined) return end(failure);
      if (!strategy.exhausted) {
        incomplete = true;
        break;
      }
      exhausted = b;
    }
    return end(undefined);
  }

  /** Runs a recorded schedule again. @returns the failure that it shows, if any. */
  replay(schedule: Schedule, recorder?: Recorder): Failure | undefined {
    const strategy = new Replay(schedule);
    strategy.begin();
    return this.execute(strategy, recorder);
  }
}

/** @throws UsageError  it fails */
function setUp({ name, setup }: Scenario, cpu: Cpu): void {
  let returned: unknown;
  try {
    returned = setup?.(cpu);
  } catch (error) {
    throw setupFailure(name, error);
  }
  refusePromise(name, "setup", returned);
}
/** Writes the configuration, and the power-on state of every CPU. */
function powerOn(scenario: Scenario, map: MachineMap, memory: BareMemory): void {
  const { globals } = map;
  memory.poke(globals, G.nr_cpus, map.shape.cpus);
  memory.poke(globals, G.nr_nodes, map.shape.nodes);
  memory.poke(globals, G.seed, 1);
  memory.poke(globals, G.panic_on_warn, 1);
  memory.poke(globals, G.online, (1 << map.shape.cpus) - 1);
  for (const [word, value] of Object.entries(globalsOf(scenario))) {
    memory.poke(globals, G[word as ConfigWord], value);
  }
  if (scenario.nmi !== undefined) memory.poke(globals, G.nmi_handler, CB_SCENARIO_NMI);
  if (scenario.irq !== undefined) memory.poke(globals, G.irq_handler, CB_SCENARIO_IRQ);
  init_cpu_slots(memory, map);
  for (const cpu of furtherOf(scenario)) init_further_task(memory, map, cpu);
}
