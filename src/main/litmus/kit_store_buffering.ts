/** What the store-buffering tests share: the updater of T1 and T2, which writes x, waits, and reads y. */
import { get, result, set, type Operation } from "../explore/scenario.ts";

export const X = 0;
export const Y = 1;
/** W x=1; wait; R y -> r0. */
export const waitThenRead =
  (wait: Operation): Operation =>
  (cpu) => {
    set(cpu, X, 1);
    wait(cpu);
    result(cpu, 0, get(cpu, Y));
  };
