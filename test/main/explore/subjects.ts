/** Small scenarios, given to the commands of the explorer as a user's file: some are right and some are wrong. */
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";
import { get, scenario, set } from "../../../src/main/explore/scenario.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { element } from "../../../src/shared/mem/struct.ts";

const COUNTER = 0;
const NOISE = 8;
const { scenario: WORDS } = Globals.offset;

const add = (cpu: Cpu): void => set(cpu, COUNTER, get(cpu, COUNTER) + 1);
const addAtomically = (cpu: Cpu): void => void cpu.mem.fetch_add(cpu.globals, element(WORDS, COUNTER), 1);
/** Touches what others touch, and matters to nobody. */
const noise = (cpu: Cpu): void => set(cpu, NOISE, get(cpu, NOISE) + 1);
const counted =
  (n: number) =>
  (cpu: Cpu): string | undefined =>
    get(cpu, COUNTER) === n ? undefined : `lost update: ${get(cpu, COUNTER)} of ${n}`;

export const lostUpdate = scenario({
  name: "lost-update",
  kernel: BARE_KERNEL,
  cpus: [[add], [add]],
  check: counted(2),
});
/** The same among operations and NMIs that have nothing to do with it. */
export const noisyLostUpdate = scenario({
  name: "noisy-lost-update",
  kernel: BARE_KERNEL,
  cpus: [[noise, add, noise], [noise, add], [noise]],
  nmi: noise,
  nmis: 2,
  check: counted(2),
});
export const atomicCounter = scenario({
  name: "atomic-counter",
  kernel: BARE_KERNEL,
  cpus: [[addAtomically], [addAtomically]],
  check: counted(2),
});
/** Waits without relax() if it is preempted in the right place: each execution that fails is a long one. */
const waitForever = (cpu: Cpu): void => {
  set(cpu, COUNTER, 1);
  while (get(cpu, COUNTER) === 2) noise(cpu);
};
const noises = Array.from({ length: 10 }, () => noise);
export const livelock = scenario({
  name: "livelock",
  kernel: BARE_KERNEL,
  cpus: [
    [...noises, waitForever, ...noises],
    [...noises, (cpu): void => set(cpu, COUNTER, 2), ...noises],
    noises,
    noises,
  ],
  steps: 5_000,
});

let executions = 0;
let moods = 0;
/** Breaks the rule that a scenario keeps nothing in JavaScript. */
export const forgetful = scenario({
  name: "forgetful",
  kernel: BARE_KERNEL,
  cpus: [[add], [add]],
  check: () => (executions++ % 2 === 0 ? "every second execution fails" : undefined),
});
export const moody = scenario({
  name: "moody",
  kernel: BARE_KERNEL,
  cpus: [[add], [add]],
  check: () => (moods++ === 0 ? "the first execution fails" : "others fail otherwise"),
});
