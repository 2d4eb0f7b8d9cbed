/**
 * Random small programs: everything that a CPU can do between two steps, in no sensible order. Few words, so that CPUs
 * and interrupts meet; results at places that no other program writes. The threads of the hand-over engine find
 * the default exports by file and name.
 */
import { BARE_KERNEL, type Kernel } from "../../../../src/main/explore/kernel.ts";
import { get, type Operation, result, type Scenario, scenario, set } from "../../../../src/main/explore/scenario.ts";
import { Random } from "../../../../src/shared/base/random.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import { local_irq_restore, local_irq_save } from "../../../../src/shared/cpu/context.ts";
import { per_cpu_ptr } from "../../../../src/shared/cpu/cpu.ts";
import { schedule } from "../../../../src/shared/cpu/sched.ts";
import { point } from "../../../../src/shared/cpu/trace.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { P_HRTIMER, P_IRQ, P_IRQ_WORK, P_IRQ_WORK_LATE, P_KICK, P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { POINT } from "../../../../src/shared/layout/points.ts";
import { element, offsetof } from "../../../../src/shared/mem/struct.ts";

const { scenario: WORDS } = Globals.offset;
const { pending: PENDING } = PerCpu.offset;
const SHARED_WORDS = 3;
const ARRIVED = 8;
/** The first of the words that belong to one CPU each. */
const OWN = 20;
const RAISED = [P_IRQ, P_TICK, P_IRQ_WORK, P_KICK, P_IRQ_WORK_LATE, P_IRQ | P_TICK, P_HRTIMER];
/** Results of a CPU: those of its program, then of each handler. */
const RESULTS_OF_CPU = 40;
const RESULTS = 8;

interface Place {
  readonly cpus: number;
  /** The first of the results that only this program writes, on each CPU. */
  readonly results: number;
}
type Action = (random: Random, place: Place) => Operation;

const word = (random: Random): number => random.below(SHARED_WORDS);
const value = (random: Random): number => 1 + random.below(3);

const store: Action = (random) => {
  const [i, v] = [word(random), value(random)];
  return (cpu) => set(cpu, i, v + 4 * cpu.id);
};
const load: Action = (random, { results }) => {
  const [i, to] = [word(random), results + random.below(RESULTS)];
  return (cpu) => result(cpu, cpu.id * RESULTS_OF_CPU + to, get(cpu, i) + 1);
};
const add: Action = (random) => {
  const i = word(random);
  return (cpu) => void cpu.mem.fetch_add(cpu.globals, element(WORDS, i), 1);
};
const raise: Action = (random, { cpus }) => {
  const [id, bits] = [random.below(cpus), RAISED[random.below(RAISED.length)]];
  return (cpu) => cpu.mem.raise(per_cpu_ptr(cpu, PENDING, id), bits);
};
const takeKick: Action = (random, { results }) => {
  const to = results + random.below(RESULTS);
  return (cpu) => result(cpu, cpu.id * RESULTS_OF_CPU + to, cpu.mem.take_pending(P_KICK) + 1);
};
const storeOwn: Action = (random) => {
  const v = value(random);
  return (cpu) => set(cpu, OWN + cpu.id, v);
};
const storeByte: Action = (random) => {
  const [i, byte, v] = [word(random), random.below(4), value(random)];
  return (cpu) => cpu.mem.store_byte(cpu.globals + offsetof(element(WORDS, i)) + byte, v);
};
const masked: Action = (random) => {
  const [i, v] = [word(random), value(random)];
  return (cpu) => {
    const flags = local_irq_save(cpu);
    set(cpu, i, v);
    get(cpu, i);
    local_irq_restore(cpu, flags);
  };
};
const spin: Action = (random) => {
  const i = word(random);
  return (cpu) => {
    for (let turn = 0; turn < 2 && get(cpu, i) === 0; turn++) cpu.mem.relax();
  };
};
const fill: Action = (random) => {
  const [i, v] = [word(random), value(random)];
  return (cpu) => cpu.mem.fill(cpu.globals + offsetof(element(WORDS, i)), 8, v);
};
const named: Action = () => (cpu) => point(cpu, POINT.spin_lock_held);
const sleep: Action = () => schedule;

const ACCESSES = [store, store, store, load, load, load, add, storeOwn, storeByte];
const IN_TASKS = [...ACCESSES, raise, raise, takeKick, masked, spin, named, fill, sleep];

/**
 * The last operation of every CPU. Nothing is injected once all programs have ended. So that whatever a CPU did last, an
 * NMI can still hit others after their programs, there is one step more, at a word that all share.
 */
const arrive: Operation = (cpu) => void cpu.mem.fetch_add(cpu.globals, element(WORDS, ARRIVED), 1);

function program(random: Random, actions: readonly Action[], length: number, place: Place): Operation {
  const operations = Array.from({ length }, () => actions[random.below(actions.length)](random, place));
  return (cpu) => {
    for (const operation of operations) operation(cpu);
  };
}

interface Size {
  readonly cpus: number;
  /** Lengths of the programs of each CPU: as many actions, or up to twice as many less one. */
  readonly programs: readonly number[];
  /** What handlers do. Those that raise interrupts may raise each other for ever. */
  readonly inHandlers: readonly Action[];
  readonly nmis: number;
  readonly ticks: number;
}
const LARGE: Size = { cpus: 3, programs: [4, 2], inHandlers: [...ACCESSES, raise], nmis: 2, ticks: 1 };
const SMALL: Size = { cpus: 2, programs: [2], inHandlers: ACCESSES, nmis: 1, ticks: 0 };

function randomScenario(name: string, seed: number, { cpus, programs, inHandlers, nmis, ticks }: Size): Scenario {
  const random = new Random(seed);
  const handler = (n: number, length: number): Operation =>
    program(random, inHandlers, length, { cpus, results: n * RESULTS });
  const task = (length: number): Operation =>
    program(random, IN_TASKS, length + random.below(length), { cpus, results: 0 });
  const [tick, work, nmi, irq] = [handler(1, 1), handler(2, 2), handler(3, 2), handler(4, 2)];
  const kernel: Kernel = {
    ...BARE_KERNEL,
    bind: () => {
      BARE_KERNEL.bind();
      bind_callback(CB.tick, tick);
      bind_callback(CB.irq_work_run, work);
    },
  };
  return scenario({
    name: `${name}-${seed}`,
    kernel,
    cpus: Array.from({ length: cpus }, () => [...programs.map(task), arrive]),
    irq,
    nmi,
    nmis: random.below(nmis + 1),
    ticks: random.below(ticks + 1),
    steps: 5000,
  });
}
const numbered = (name: string, count: number, size: Size): readonly Scenario[] =>
  Array.from({ length: count }, (_, n) => randomScenario(name, n + 1, size));

/** For random schedules. */
export default numbered("large", 25, LARGE);
/** For exhaustive search, of those that are small enough. */
export const small = numbered("small", 36, SMALL);
