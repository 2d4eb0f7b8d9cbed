/**
 * Peterson's lock, from loads and stores alone. `sheaf explore examples/peterson-lock.ts` finds nothing: every access is
 * sequentially consistent, as atomics in JavaScript are. With `--tso` stores wait in a buffer, as on x86, and both threads
 * get in, unless a full barrier stands between "I want in" and the look at the other thread.
 */
import { array, atomic32, element, race, struct, type Ptr, type ThreadMemory, u32 } from "../src/main/kit/index.ts";

const Peterson = struct("peterson", { wants: array(atomic32, 2), turn: atomic32, value: u32 });
const { wants: WANTS, turn: TURN, value: VALUE } = Peterson.offset;

function increment(mem: ThreadMemory, lock: Ptr<"peterson">, me: number, barrier: boolean): void {
  const other = 1 - me;
  mem.write_once(lock, element(WANTS, me), 1);
  mem.write_once(lock, TURN, other);
  if (barrier) mem.smp_mb();
  while (mem.read_once(lock, element(WANTS, other)) === 1 && mem.read_once(lock, TURN) === other) mem.relax();
  mem.write(lock, VALUE, mem.read(lock, VALUE) + 1);
  mem.write_once(lock, element(WANTS, me), 0);
}

export default [true, false].map((barrier) =>
  race({
    name: barrier ? "peterson-with-barrier" : "peterson-without-barrier",
    shared: Peterson,
    threads: [0, 1].map((me) => (mem: ThreadMemory, lock: Ptr<"peterson">) => increment(mem, lock, me, barrier)),
    check: (mem, lock) => {
      const value = mem.read(lock, VALUE);
      return value === 2 ? undefined : `two threads were inside: the counter is ${value}`;
    },
  }),
);
