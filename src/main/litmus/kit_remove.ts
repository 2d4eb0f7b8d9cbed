/** The pointer tests T16 and T17: p leads to word A, then to word B, and A is poisoned once nobody can be there. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set, type Operation } from "../explore/scenario.ts";
import { registers } from "./kit_words.ts";

const P = 0;
const A = 8;
const B = 9;
const POISON = 0x6b;

export const publishA: Operation = (cpu) => set(cpu, P, A);
export const publishB: Operation = (cpu) => set(cpu, P, B);
export const poisonA: Operation = (cpu) => set(cpu, A, POISON);
/** RL; deref p -> q; R *q -> r0; RU. */
export const dereference: Operation = (cpu) => {
  rcu_read_lock(cpu);
  result(cpu, 0, get(cpu, get(cpu, P)));
  rcu_read_unlock(cpu);
};
export const poisonRead = { outcome: "r0=POISON", observed: registers(POISON) };
