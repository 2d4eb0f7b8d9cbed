/** local_trylock: a task, an IRQ and an NMI of one CPU try the same lock: never two inside, always released. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { P_IRQ } from "../../shared/layout/cpu.ts";
import { local_lock_init, local_trylock, local_unlock } from "../../shared/linux/sync/local_lock.ts";
import { LC } from "../../shared/linux/sync/lockdep.ts";
import { get, result, resultOf, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const LOCK = 32;
const INSIDE = 0;
const inside: Operation = (cpu) => {
  if (get(cpu, INSIDE) !== 0) result(cpu, 0, 1);
  set(cpu, INSIDE, 1);
  set(cpu, INSIDE, 0);
};
const locked = (cpu: Cpu): void => {
  if (!local_trylock(cpu, at(cpu, LOCK))) return;
  inside(cpu);
  local_unlock(cpu, at(cpu, LOCK));
};
const program = (enter: Operation): Omit<Scenario, "name"> => ({
  setup: (cpu) => local_lock_init(cpu, at(cpu, LOCK), LC.pcs),
  cpus: [[(cpu) => cpu.mem.raise(cpu.pending, P_IRQ), enter, enter]],
  irq: enter,
  nmi: enter,
  nmis: 2,
  final: (cpu) => {
    if (!local_trylock(cpu, at(cpu, LOCK))) result(cpu, 1, 1);
    else local_unlock(cpu, at(cpu, LOCK));
  },
  check: (cpu) => (resultOf(cpu, 1) === 1 ? "a lock left held" : undefined),
});

const litmus: Litmus = {
  title: "a task, an IRQ and NMIs of one CPU try one local_trylock_t: one at a time is inside",
  outcome: "two holders",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 2,
  scenario: { name: "local_trylock-nesting", ...program(locked) },
  vacuity: { name: "local_trylock-nesting+no-op", ...program(inside) },
};
export default litmus;
