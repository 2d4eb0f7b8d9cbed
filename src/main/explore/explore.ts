/**
 * explore(): searches the interleavings of a scenario. A hundred executions first learn which words are shared; then
 * each strategy gets its share of the budget. The first failure ends the search, with the schedule that shows it again.
 */
import { MachineBug } from "../../shared/base/verdict.ts";
import { describe_context } from "../../shared/cpu/context.ts";
import { init_cpu_slots } from "../../shared/cpu/boot.ts";
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { schedule } from "../../shared/cpu/sched.ts";
import { P_KICK } from "../../shared/layout/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { MachineMap, shapeProblem } from "../../shared/layout/map.ts";
import { BareMemory } from "../../shared/mem/bare_memory.ts";
import { NULL_ORACLE } from "../../shared/mem/oracle.ts";
import { SharedOracle } from "../../shared/mem/shared_oracle.ts";
import { Engine, type Programs } from "./engine.ts";
import { KERNEL } from "./kernel.ts";
import { callbackId, CB_SCENARIO_IRQ, CB_SCENARIO_NMI, type Scenario } from "./scenario.ts";
import { Bounded, Pct, RandomWalk, Replay } from "./strategies.ts";
import type { Schedule, Strategy } from "./strategy.ts";

const G = Globals.offset;

/** What may be asked of a scenario besides what it says itself. */
export interface ExplorerOptions {
  /** False: every access is a decision point. Default true. */
  readonly filter?: boolean;
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

const LEARNING = 100;

/** NMIs per execution: nothing is injected where nothing would run. */
export function nmisOf({ nmi, nmis = 1 }: Scenario): number {
  return nmi === undefined ? 0 : nmis;
}

/** One scenario on one machine, ready to be executed any number of times. */
export class Explorer {
  readonly engine: Engine;
  private readonly scenario: Scenario;
  private readonly oracle: SharedOracle | undefined;
  private executions = 0;
  private steps = 0;

  constructor(scenario: Scenario, { filter = true }: ExplorerOptions = {}) {
    this.scenario = scenario;
    const { kernel = KERNEL } = scenario;
    const shape = {
      bytes: scenario.bytes ?? 1 << 20,
      cpus: scenario.cpus.length,
      nodes: scenario.nodes ?? 1,
    };
    const problem = shapeProblem(shape);
    if (problem !== undefined) throw new RangeError(`scenario ${scenario.name}: ${problem}`);
    if (shape.cpus > 10) throw new RangeError(`scenario ${scenario.name}: at most 10 CPUs`);
    const buffer = new SharedArrayBuffer(shape.bytes);
    const map = new MachineMap(shape);
    const memory = new BareMemory(buffer, 0);
    memory.poke(map.globals, G.nr_cpus, shape.cpus);
    memory.poke(map.globals, G.nr_nodes, shape.nodes);
    memory.poke(map.globals, G.seed, 1);
    memory.poke(map.globals, G.panic_on_warn, 1);
    memory.poke(map.globals, G.online, (1 << shape.cpus) - 1);
    for (const [word, value] of Object.entries(scenario.globals ?? {})) {
      memory.poke(map.globals, G[word as keyof NonNullable<Scenario["globals"]>], value);
    }
    if (scenario.nmi !== undefined) memory.poke(map.globals, G.nmi_handler, CB_SCENARIO_NMI);
    if (scenario.irq !== undefined) memory.poke(map.globals, G.irq_handler, CB_SCENARIO_IRQ);
    init_cpu_slots(memory, map);
    kernel.bind();
    this.oracle = scenario.oracle === true ? SharedOracle.create(shape.bytes, shape.cpus) : undefined;
    const programs: Programs = {
      cpus: scenario.cpus,
      ...(scenario.final === undefined ? {} : { final: scenario.final }),
      idle: (cpu) => {
        cpu.mem.take_pending(P_KICK);
        schedule(cpu);
      },
      nextTimer: (cpu) => kernel.nextTimer(cpu),
    };
    this.engine = new Engine(map, buffer, this.oracle ?? NULL_ORACLE, programs, {
      steps: scenario.steps ?? 100_000,
      nmis: nmisOf(scenario),
      ticks: scenario.ticks ?? 0,
      filter,
    });
    const cpu = this.engine.cpus[0];
    kernel.boot(cpu);
    this.bind();
    scenario.setup?.(cpu);
    this.oracle?.snapshot();
    this.engine.takeSnapshot();
  }

  /** Several explorers may live in one process, and numbers mean what the last one bound. */
  private bind(): void {
    const { nmi, irq, callbacks = [] } = this.scenario;
    if (nmi !== undefined) bind_callback(CB_SCENARIO_NMI, nmi);
    if (irq !== undefined) bind_callback(CB_SCENARIO_IRQ, irq);
    for (const [i, fn] of callbacks.entries()) bind_callback(callbackId(i), fn);
  }

  /** One execution. @returns the failure, if any. */
  execute(strategy: Strategy): Failure | undefined {
    const { scenario } = this;
    this.bind();
    this.oracle?.restore();
    this.executions++;
    try {
      this.engine.run(strategy);
      this.steps += this.engine.steps;
      const wrong = scenario.check?.(this.engine.cpus[0]);
      return wrong === undefined ? undefined : this.failure(wrong, strategy);
    } catch (e) {
      if (!(e instanceof MachineBug)) throw e;
      return this.failure(`CPU ${e.cpu}: ${e.message}`, strategy);
    }
  }
  private failure(message: string, strategy: Strategy): Failure {
    const contexts = this.engine.cpus.map((cpu) => `CPU ${cpu.id}: ${describe_context(cpu)}`);
    return { message, schedule: [...this.engine.picks], strategy: strategy.name, contexts };
  }

  /** Up to `budget` executions of one strategy. */
  private campaign(strategy: Strategy, budget: number): Failure | undefined {
    for (let i = 0; i < budget && strategy.begin(); i++) {
      const failure = this.execute(strategy);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** The whole search. */
  explore(budget: Budget = {}): Exploration {
    const { seed = 1, random = 200, bound = -1, exhaustive = 100_000 } = budget;
    const injections = nmisOf(this.scenario) + (this.scenario.ticks ?? 0);
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
      const failure = this.campaign(strategy, runs);
      if (failure !== undefined) return end(failure);
    }
    for (let b = 0; b <= bound; b++) {
      const strategy = new Bounded(b);
      const failure = this.campaign(strategy, exhaustive);
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
  replay(schedule: Schedule): Failure | undefined {
    const strategy = new Replay(schedule);
    strategy.begin();
    return this.execute(strategy);
  }
}
