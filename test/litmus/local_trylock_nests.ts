/** local_trylock: a task, an IRQ and an NMI of one CPU try the same lock: never two inside, always released. */
import { get, result, resultOf, set } from "../../src/main/explore/scenario.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { P_IRQ } from "../../src/shared/layout/cpu.ts";
import { LC } from "../../src/shared/linux/sync/lockdep.ts";
import { local_lock_init, local_trylock, local_unlock } from "../../src/shared/linux/sync/local_lock.ts";
import { observed, type Litmus } from "./kit.ts";
import { at } from "./kit_words.ts";

const LOCK = 32;
const INSIDE = 0;
const enter = (cpu: Cpu): void => {
  if (!local_trylock(cpu, at(cpu, LOCK))) return;
  if (get(cpu, INSIDE) !== 0) result(cpu, 0, 1);
  set(cpu, INSIDE, 1);
  set(cpu, INSIDE, 0);
  local_unlock(cpu, at(cpu, LOCK));
};

const litmus: Litmus = {
  result: "Never",
  bound: 2,
  scenario: {
    name: "task, IRQ, NMI",
    setup: (cpu) => local_lock_init(cpu, at(cpu, LOCK), LC.pcs),
    cpus: [[(cpu) => cpu.mem.raise(cpu.pending, P_IRQ), enter, enter]],
    irq: enter,
    nmi: enter,
    nmis: 2,
    final: (cpu) => {
      if (!local_trylock(cpu, at(cpu, LOCK))) result(cpu, 0, 2);
      else local_unlock(cpu, at(cpu, LOCK));
    },
    check: (cpu) => observed(resultOf(cpu, 0) !== 0, resultOf(cpu, 0) === 1 ? "two holders" : "a lock left held"),
  },
};
export default litmus;
