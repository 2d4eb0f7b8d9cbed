/** spinlock: three CPUs, one by trylock, with an NMI that tries: exclusion, and every waiter gets it. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { LC } from "../../shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_trylock, spin_unlock } from "../../shared/linux/sync/spinlock.ts";
import { get, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const LOCK = 32;
const COUNT = 0;
const TRIED = 1;
const add = (cpu: Cpu): void => set(cpu, COUNT, get(cpu, COUNT) + 1);
const addTried = (cpu: Cpu): void => {
  set(cpu, TRIED, get(cpu, TRIED) + 1); // Under the lock, as the other one.
  add(cpu);
};
const locked: Operation = (cpu) => {
  spin_lock(cpu, at(cpu, LOCK));
  add(cpu);
  spin_unlock(cpu, at(cpu, LOCK));
};
const tried: Operation = (cpu) => {
  if (!spin_trylock(cpu, at(cpu, LOCK))) return;
  addTried(cpu);
  spin_unlock(cpu, at(cpu, LOCK));
};
const program = (lock: Operation, trylock: Operation): Omit<Scenario, "name"> => ({
  setup: (cpu) => spin_lock_init(cpu, at(cpu, LOCK), LC.test),
  cpus: [[lock], [lock], [trylock]],
  nmi: trylock,
  nmis: 1,
});

const litmus: Litmus = {
  title: "three CPUs and an NMI add under one spinlock: no addition is lost",
  outcome: "a lost addition",
  verdict: "F",
  observed: (cpu) => get(cpu, COUNT) !== 2 + get(cpu, TRIED),
  bound: 1,
  scenario: { name: "spinlock", ...program(locked, tried) },
  vacuity: { name: "spinlock+no-op", ...program(add, addTried) },
};
export default litmus;
