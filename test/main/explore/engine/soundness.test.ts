/**
 * What the explorer must not overlook, hide or make up: each test is the smallest scenario in which an engine once did.
 */
import { expect, test } from "vitest";
import { Explorer, type ExplorerOptions } from "../../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../../src/main/explore/kernel.ts";
import { get, type Operation, result, resultOf, type Scenario, set } from "../../../../src/main/explore/scenario.ts";
import { Bounded } from "../../../../src/main/explore/strategies/bounded.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import { local_irq_disable, local_irq_enable } from "../../../../src/shared/cpu/context.ts";
import { type Cpu, per_cpu_ptr } from "../../../../src/shared/cpu/cpu.ts";
import { cpu_random } from "../../../../src/shared/cpu/random.ts";
import { kick } from "../../../../src/shared/cpu/sched.ts";
import { point } from "../../../../src/shared/cpu/trace.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { P_IRQ, P_KICK, P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { POINT } from "../../../../src/shared/layout/points.ts";
import { element, offsetof } from "../../../../src/shared/mem/struct.ts";

const { scenario: WORDS, jiffies: JIFFIES } = Globals.offset;
const { pending: PENDING } = PerCpu.offset;

const bare = (scenario: Omit<Scenario, "name">): Scenario => ({ name: "sound", kernel: BARE_KERNEL, ...scenario });
const addressOf = (cpu: Cpu, i: number): number => cpu.globals + offsetof(element(WORDS, i));
const results = (cpu: Cpu): string => `${resultOf(cpu, 0)} ${resultOf(cpu, 1)}`;

interface Search extends ExplorerOptions {
  readonly bound?: number;
  readonly cache?: boolean;
  /** What is looked at when an execution has ended; default: results 0 and 1. */
  readonly see?: (cpu: Cpu) => string;
}
/** What exhaustive search sees at the ends of all executions. */
function ends(scenario: Omit<Scenario, "name">, { bound = 2, cache = false, see = results, ...options }: Search = {}) {
  const seen = new Set<string>();
  const check = (cpu: Cpu): undefined => void seen.add(see(cpu));
  const explorer = new Explorer(bare({ ...scenario, check }), options);
  const strategy = new Bounded(bound, { cache });
  while (strategy.begin()) {
    const failure = explorer.execute(strategy);
    if (failure !== undefined) seen.add(failure.message);
  }
  return [...seen].toSorted();
}

test("another CPU may look before an interrupt or a kick is raised at it", () => {
  const raises: Operation = (cpu) => {
    set(cpu, 0, 1);
    kick(cpu, 1);
  };
  const looks: Operation = (cpu) => {
    result(cpu, 0, get(cpu, 0));
    result(cpu, 1, cpu.mem.take_pending(P_KICK) === 0 ? 0 : 1);
  };
  expect(ends({ cpus: [[raises], [looks]] })).toEqual(["0 0", "1 0", "1 1"]);
});

test("another CPU may look before a shared word is filled that is not the first", () => {
  const fills: Operation = (cpu) => {
    set(cpu, 1, 1);
    cpu.mem.fill(addressOf(cpu, 0), 8, 2);
  };
  const looks: Operation = (cpu) => result(cpu, 0, get(cpu, 1));
  expect(ends({ cpus: [[fills], [looks]] })).toEqual(["0 0", "1 0", "33686018 0"]); // 0x02020202
});

test("the state cache knows how many numbers an NMI has drawn on a CPU", () => {
  const draws: Operation = (cpu) => {
    if (cpu.id !== 0) return;
    if (get(cpu, 0) === 0) cpu_random(cpu);
    result(cpu, 1, 1 + get(cpu, 6));
  };
  const changes: Operation = (cpu) => {
    set(cpu, 0, 1);
    set(cpu, 0, 0);
    set(cpu, 6, 1);
    result(cpu, 0, cpu_random(cpu));
    set(cpu, 6, 2);
  };
  const scenario = { cpus: [[changes], [(cpu: Cpu) => void get(cpu, 6)]], nmi: draws };
  const plain = ends(scenario, { bound: 0 });
  expect(plain).toHaveLength(5); // In one of them CPU 0 draws the second number.
  expect(ends(scenario, { bound: 0, cache: true })).toEqual(plain);
});

test("a CPU that is rebuilt in an interrupt at the end of a spin loop's turn takes the next one there as well", () => {
  const irq: Operation = (cpu) => {
    get(cpu, 2);
    result(cpu, 0, 1);
  };
  const tick: Operation = (cpu) => result(cpu, 1, 1);
  const raises: Operation = (cpu) => {
    cpu.mem.raise(per_cpu_ptr(cpu, PENDING, 1), P_IRQ | P_TICK);
    set(cpu, 2, 1);
    set(cpu, 0, 1);
  };
  const spins: Operation = (cpu) => {
    while (get(cpu, 0) === 0) {
      cpu.mem.relax();
      if (resultOf(cpu, 0) !== resultOf(cpu, 1)) throw new Error("one interrupt without the other");
    }
  };
  const kernel = {
    ...BARE_KERNEL,
    bind: () => {
      BARE_KERNEL.bind();
      bind_callback(CB.tick, tick);
    },
  };
  expect(ends({ kernel, cpus: [[raises], [spins]], irq }, { see: () => "ended" })).toEqual(["ended"]);
});

test("what a CPU has noted as a result is not noted again when it is rebuilt", () => {
  const first: Operation = (cpu) => {
    result(cpu, 0, 1);
    set(cpu, 0, 1);
    get(cpu, 1);
    get(cpu, 1);
  };
  const second: Operation = (cpu) => {
    if (get(cpu, 0) === 0) return;
    result(cpu, 0, 2);
    result(cpu, 1, 1);
    set(cpu, 1, 1);
  };
  expect(ends({ cpus: [[second], [first]] })).toEqual(["1 0", "2 1"]);
});

test("a deadlock is one although a final operation has not run yet", () => {
  const waits: Operation = (cpu) => {
    while (get(cpu, 1) === 0) cpu.mem.relax();
  };
  const explorer = new Explorer(bare({ cpus: [[(cpu) => void get(cpu, 0)], [waits]], final: () => undefined }));
  expect(explorer.replay([])?.message).toMatch(/deadlock: no CPU can run/);
});

test("a spin loop that reads a store of its own, still on the way to memory, sees what others store", () => {
  const spins: Operation = (cpu) => {
    set(cpu, 0, 1);
    while (get(cpu, 0) + get(cpu, 1) !== 2) cpu.mem.relax();
  };
  const scenario = { cpus: [[spins], [(cpu: Cpu) => set(cpu, 1, 1)]] };
  for (const model of ["sc", "tso", "pso"] as const)
    expect(ends(scenario, { model, bound: 1 }), model).toEqual(["0 0"]);
});

/** No tick was needed to make a spinning CPU look again. */
const timeless = { see: (cpu: Cpu) => `jiffies ${cpu.mem.peek(cpu.globals, JIFFIES)}`, cache: true };

test("a spin loop that stores in each turn sees its word change at once", () => {
  const spins: Operation = (cpu) => {
    while (get(cpu, 0) === 0) {
      set(cpu, 1, get(cpu, 1) + 1);
      cpu.mem.relax();
    }
  };
  const waits: Operation = (cpu) => {
    while (get(cpu, 1) === 0) cpu.mem.relax();
    set(cpu, 0, 1);
  };
  expect(ends({ cpus: [[spins], [waits]] }, timeless)).toEqual(["jiffies 0"]);
});

test("an NMI that stores in the middle of a spin loop's turn makes it overlook nothing", () => {
  const spins: Operation = (cpu) => {
    local_irq_disable(cpu);
    while (get(cpu, 0) + get(cpu, 1) === 0) cpu.mem.relax();
    local_irq_enable(cpu);
  };
  const stores: Operation = (cpu) => {
    if (cpu.id === 0) set(cpu, 9, 1);
  };
  const scenario = { cpus: [[spins], [(cpu: Cpu) => set(cpu, 0, 1)]], nmi: stores };
  expect(ends(scenario, { ...timeless, filter: false })).toEqual(["jiffies 0"]);
});

const storeBuffering = (between: Operation, last: Operation): Operation[][] =>
  [between, last].map((each, mine) => [
    (cpu) => {
      set(cpu, mine, 1);
      each(cpu);
      result(cpu, mine, get(cpu, 1 - mine));
    },
  ]);

test("an interrupt drains the store buffer, as that of x86 does, and with --pso it does not", () => {
  const scenario = {
    cpus: storeBuffering(
      (cpu) => point(cpu, POINT.spin_lock_held),
      (cpu) => cpu.mem.smp_mb(),
    ),
    nmi: (cpu: Cpu) => result(cpu, 2, 1),
    nmiPoints: [POINT.spin_lock_held],
  };
  const see = (cpu: Cpu): string => `${results(cpu)}${resultOf(cpu, 2) === 1 ? " with an NMI between" : ""}`;
  const [tso, pso] = (["tso", "pso"] as const).map((model) => ends(scenario, { model, see, cache: true }));
  expect(tso).toContain("0 0");
  expect(tso).not.toContain("0 0 with an NMI between");
  expect(pso).toContain("0 0 with an NMI between");
});

test("a store of one byte is no barrier", () => {
  const storesByte: Operation = (cpu) => cpu.mem.store_byte(addressOf(cpu, 60 + cpu.id), 1);
  const scenario = { cpus: storeBuffering(storesByte, storesByte) };
  expect(ends(scenario, { model: "sc" })).toEqual(["0 1", "1 0", "1 1"]);
  expect(ends(scenario, { model: "tso", cache: true })).toEqual(["0 0", "0 1", "1 0", "1 1"]);
});
