/** Coverage of real executions: a strategy places one interrupt at the point that the test aims at. */
import { expect, test } from "vitest";
import { findScenarios } from "../../../src/main/explore/catalogue.ts";
import { Coverage } from "../../../src/main/explore/coverage.ts";
import { CoverageCounts } from "../../../src/main/explore/coverage_counts.ts";
import { canVisit, coverageJson, coverageTable, neverReached } from "../../../src/main/explore/coverage_report.ts";
import { Explorer } from "../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";
import type { Scenario } from "../../../src/main/explore/scenario.ts";
import { RandomWalk } from "../../../src/main/explore/strategies/random_walk.ts";
import { IRQ, NMI, type DecisionPoint, type Strategy } from "../../../src/main/explore/strategy.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { point } from "../../../src/shared/cpu/trace.ts";
import { CTX_HARDIRQ, CTX_NMI, CTX_TASK, P_IRQ } from "../../../src/shared/layout/cpu.ts";
import { __GFP_NOWARN, GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../src/shared/layout/points.ts";
import {
  get_state_synchronize_rcu,
  kfree,
  kfree_nolock,
  kmalloc,
  kmalloc_nolock,
  synchronize_rcu,
} from "../../../src/shared/linux/api.ts";

const CHOOSE_IRQ = IRQ + Math.log2(P_IRQ);

/** Leaves the default once, where the lane stands at the point; then it is `after` that chooses. */
class Aimed implements Strategy {
  readonly name = "aimed";
  readonly everyAccess = true;
  private readonly at: number;
  private readonly choice: number;
  private readonly after: Strategy | undefined;
  private isDone = false;
  constructor(at: number, choice: number, after?: Strategy) {
    this.at = at;
    this.choice = choice;
    this.after = after;
  }
  begin(): boolean {
    this.isDone = false;
    return this.after?.begin() ?? true;
  }
  choose(decision: DecisionPoint): number {
    if (this.isDone) return this.after?.choose(decision) ?? 0;
    const i = decision.choices.indexOf(this.choice);
    if (decision.point !== this.at || i < 0 || i >= decision.count) return 0;
    this.isDone = true;
    return i;
  }
  end(): void {
    // It has nothing to learn.
  }
}
const NOWHERE = new Aimed(0, NMI);

/** A watched machine. */
class Watched {
  readonly coverage: Coverage;
  private readonly explorer: Explorer;
  constructor(scenario: Omit<Scenario, "name">) {
    this.explorer = new Explorer({ name: "watched", ...scenario });
    this.coverage = new Coverage(this.explorer.engine.cpus, scenario.cpus);
  }
  run(strategy: Strategy = NOWHERE): CoverageCounts {
    strategy.begin();
    this.coverage.begin();
    const failure = this.explorer.execute(strategy, this.coverage);
    this.coverage.end();
    expect(failure).toBeUndefined();
    return this.coverage.counts;
  }
}

const allocate = (cpu: Cpu): void => kfree(cpu, kmalloc(cpu, 64, GFP_KERNEL));
/** kmalloc() and kfree(), under an NMI that leaves no work behind. */
const ALLOCATION: Omit<Scenario, "name"> = {
  cpus: [[allocate]],
  nmi: (cpu) => {
    kmalloc_nolock(cpu, 64, __GFP_NOWARN, 0);
    get_state_synchronize_rcu(cpu);
  },
};
const atLock = (choice: number): Strategy => new Aimed(POINT.local_trylock_acquired, choice);
/** Code without a kernel. */
const bare = (program: (cpu: Cpu) => void, interrupts: Pick<Scenario, "nmi" | "irq"> = {}): Watched =>
  new Watched({ cpus: [[program]], kernel: BARE_KERNEL, ...interrupts });

test("a point counts in the context of its visit, and the NMI that was taken there", () => {
  const counts = new Watched(ALLOCATION).run(atLock(NMI));
  const at = POINT.local_trylock_acquired;
  expect(counts.visits.count(at, CTX_TASK)).toBe(2);
  expect(counts.nmis.count(at, CTX_TASK)).toBe(1);
  expect(counts.visits.count(POINT.slab_read_before_cmpxchg, CTX_NMI)).toBeGreaterThan(0);
  expect(counts.irqs.size).toBe(0);
});

test("a pair names the function that stood there and what the interrupt called, not what that calls", () => {
  const counts = new Watched(ALLOCATION).run(atLock(NMI));
  expect([...counts.interrupts].map(([interrupted, by]) => `${by} in ${interrupted}`)).toEqual([
    "kmalloc_nolock in __local_trylock",
    "get_state_synchronize_rcu in __local_trylock",
  ]);
});

test("an IRQ that runs no kernel code is named by its vector, and an NMI in it belongs to the handler", () => {
  const program = function program(cpu: Cpu): void {
    cpu.mem.raise(cpu.pending, P_IRQ);
    point(cpu, POINT.local_unlock);
  };
  const machine = bare(program, {
    irq: function handler(cpu) {
      point(cpu, POINT.rcu_callback);
    },
    nmi: () => undefined,
  });
  const irq = machine.run(new Aimed(POINT.local_unlock, CHOOSE_IRQ));
  expect([...irq.interrupts]).toEqual([["program", "IRQ", 1]]);
  expect(irq.irqs.count(POINT.local_unlock, CTX_TASK)).toBe(1);
  expect(irq.nmis.size).toBe(0);
  const both = machine.run(new Aimed(POINT.local_unlock, CHOOSE_IRQ, new Aimed(POINT.rcu_callback, NMI)));
  expect(both.nmis.count(POINT.rcu_callback, CTX_HARDIRQ)).toBe(1);
  expect(both.interrupts.count("handler", "NMI")).toBe(1);
});

test("who waits is the function that waits, not the idle loop under it", () => {
  const machine = new Watched({
    cpus: [[(cpu) => synchronize_rcu(cpu)], [allocate]],
    nmi: (cpu) => void kmalloc_nolock(cpu, 64, __GFP_NOWARN, 0),
    nmis: 3,
  });
  const walk = new RandomWalk(1, 0.1, 3, true);
  for (let i = 0; i < 60; i++) machine.run(walk);
  const { interrupts, phases } = machine.coverage.counts;
  const interrupted = new Set([...interrupts].map(([first]) => first));
  expect(interrupted).toContain("wait_for_completion");
  expect([...interrupted].filter((name) => name.startsWith("schedule") || name === "")).toEqual([]);
  expect(interrupts.count("wait_for_completion", "kmalloc_nolock")).toBeGreaterThan(0);
  expect(phases.count("RCU_GP_IDLE", "CPU 0 operation 1")).toBe(60);
  expect(new Set([...phases].map(([phase]) => phase))).toContain("RCU_GP_INIT, in a grace period");
});

test("growth: the same again is nothing new, another place is", () => {
  const machine = new Watched(ALLOCATION);
  machine.run();
  const { counts } = machine.coverage;
  expect([counts.executions, counts.lastNew, counts.stable(1)]).toEqual([1, 1, false]);
  const { pairs } = counts;
  machine.run();
  machine.run();
  expect([counts.pairs, counts.lastNew, counts.stable(2), counts.stable(3)]).toEqual([pairs, 1, true, false]);
  machine.run(atLock(NMI));
  expect([counts.pairs > pairs, counts.lastNew, counts.stable(1)]).toEqual([true, 4, false]);
});

test("an execution that ends in the middle of an interrupt leaves nothing to the next", () => {
  const machine = new Watched({ cpus: [[(cpu) => kfree(cpu, kmalloc(cpu, 64, GFP_KERNEL))]] });
  machine.coverage.interrupt(0, P_IRQ);
  machine.run();
  expect(machine.coverage.counts.interrupts.size).toBe(0);
});

test("a name is looked up once for each place", () => {
  const machine = new Watched(ALLOCATION);
  const hook: unknown = Reflect.get(Error, "prepareStackTrace");
  const { stackTraceLimit } = Error;
  let captures = 0;
  Object.defineProperty(Error, "stackTraceLimit", {
    configurable: true,
    get: () => stackTraceLimit,
    set: () => {
      captures++;
    },
  });
  machine.run(atLock(NMI));
  const first = captures;
  machine.run(atLock(NMI));
  Object.defineProperty(Error, "stackTraceLimit", { configurable: true, writable: true, value: stackTraceLimit });
  expect(first).toBeGreaterThan(0);
  expect(captures).toBe(first);
  expect(Reflect.get(Error, "prepareStackTrace")).toBe(hook);
});

class Forgetful extends Map<number, string> {
  override get(): undefined {
    return undefined;
  }
}
test("remembered names lose next to nothing of what a stack at every access would tell", async () => {
  const [{ scenario }] = await findScenarios(["nolock-on-kmalloc"]);
  const pairsOf = (machine: Watched): Set<string> => {
    const walk = new RandomWalk(1, 0.1, 1, true);
    for (let i = 0; i < 200; i++) machine.run(walk);
    return new Set([...machine.coverage.counts.interrupts].map(([first, second]) => `${first}, ${second}`));
  };
  const remembered = pairsOf(new Watched(scenario));
  const forgetful = new Watched(scenario);
  Object.assign(forgetful.coverage, { standing: new Forgetful(), running: new Forgetful() });
  const exact = pairsOf(forgetful);
  expect(exact.size).toBeGreaterThan(30);
  expect(exact.symmetricDifference(remembered).size).toBeLessThan(exact.size / 20);
});

test("counts of several scenarios add up", () => {
  const counts = (): CoverageCounts => new Watched(ALLOCATION).run(atLock(NMI));
  const [a, b] = [counts(), counts()];
  const sum = new CoverageCounts();
  sum.merge(a);
  expect(coverageJson(sum)).toEqual(coverageJson(a));
  sum.merge(b);
  expect(sum).toMatchObject({ executions: 2, pairs: a.pairs, lastNew: 1 });
  expect(sum.interrupts.count("__local_trylock", "kmalloc_nolock")).toBe(2);
  b.visits.add(POINT.rcu_callback, CTX_TASK);
  sum.merge(b);
  expect(sum).toMatchObject({ executions: 3, pairs: a.pairs + 1, lastNew: 3 });
});

test("the report says what was never reached, and leaves out what cannot be", () => {
  expect(neverReached(new CoverageCounts()).points).toHaveLength(Object.keys(POINT).length);
  const counts = bare((cpu) => {
    point(cpu, POINT.call_rcu_enqueue);
    point(cpu, POINT.local_unlock);
  }).run();
  counts.visits.add(POINT.irq_work_func_done, CTX_HARDIRQ);
  counts.nmis.add(POINT.local_unlock, CTX_TASK);
  const never = neverReached(counts);
  expect(never.points).toContain("rcu_callback");
  expect(never.points).not.toContain("local_unlock");
  expect(never.contexts).toEqual({
    local_unlock: ["item", "softirq", "hardirq", "nmi"],
    call_rcu_enqueue: ["item", "softirq", "hardirq"],
  });
  expect(never.interrupts).toEqual({ irq_work_func_done: ["hardirq"], call_rcu_enqueue: ["task"] });
});

test("no point is visited where the report says that it cannot be", () => {
  const machine = new Watched({
    cpus: [[allocate, (cpu) => synchronize_rcu(cpu)], [allocate]],
    nmi: (cpu) => kfree_nolock(cpu, kmalloc_nolock(cpu, 64, __GFP_NOWARN, 0)),
    ticks: 2,
  });
  const walk = new RandomWalk(3, 0.1, 3, true);
  for (let i = 0; i < 60; i++) machine.run(walk);
  const visits = [...machine.coverage.counts.visits];
  expect(visits.length).toBeGreaterThan(15);
  expect(visits.filter(([at, context]) => !canVisit(at, context))).toEqual([]);
  expect(canVisit(POINT.call_rcu_enqueue, CTX_NMI)).toBe(false);
});

test("the table is plain text of less than 100 columns", () => {
  const counts = new Watched(ALLOCATION).run(atLock(NMI));
  for (let i = 0; i < 40; i++) counts.interrupts.add(`function_number_${i}`, "kfree_nolock", 123_456);
  const lines = coverageTable(counts);
  expect(lines[0]).toMatch(/^coverage: \d+ pairs in 1 executions, the last new one in number 1$/);
  expect(lines.filter((line) => line.length > 99 || /[^ -~]/.test(line))).toEqual([]);
  const text = lines.join("\n");
  expect(text).toContain("function_number_39 123k");
  expect(text).toMatch(/local_trylock_acquired +2\/1\/0 +- +- +- +-/);
});
