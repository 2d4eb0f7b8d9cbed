/** spinlock: three CPUs, one by trylock, with an NMI that tries: exclusion, and every waiter gets it. */
import { get, set } from "../../src/main/explore/scenario.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { LC } from "../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_trylock, spin_unlock } from "../../src/shared/linux/sync/spinlock.ts";
import { observed, type Litmus } from "./kit.ts";
import { at } from "./kit_words.ts";

const LOCK = 32;
const COUNT = 0;
const TRIED = 1;
const inside = (cpu: Cpu): void => {
  set(cpu, COUNT, get(cpu, COUNT) + 1);
  spin_unlock(cpu, at(cpu, LOCK));
};
const locked = (cpu: Cpu): void => {
  spin_lock(cpu, at(cpu, LOCK));
  inside(cpu);
};
const tried = (cpu: Cpu): void => {
  if (!spin_trylock(cpu, at(cpu, LOCK))) return;
  set(cpu, TRIED, get(cpu, TRIED) + 1); // Under the lock.
  inside(cpu);
};

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "lock, lock, trylock, NMI trylock",
    setup: (cpu) => spin_lock_init(cpu, at(cpu, LOCK), LC.test),
    cpus: [[locked], [locked], [tried]],
    nmi: tried,
    nmis: 1,
    check: (cpu) => observed(get(cpu, COUNT) !== 2 + get(cpu, TRIED), `count ${get(cpu, COUNT)}`),
  },
};
export default litmus;
