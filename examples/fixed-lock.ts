/** The lock of broken-lock.ts, repaired: one compare-and-exchange both looks and takes. Three threads, no bug. */
import { atomic32, race, struct, type Ptr, type ThreadMemory, u32 } from "../src/main/kit/index.ts";

const Counter = struct("counter", { locked: atomic32, value: u32 });
const { locked: LOCKED, value: VALUE } = Counter.offset;
const THREADS = 3;

function lock(mem: ThreadMemory, counter: Ptr<"counter">): void {
  while (mem.cmpxchg(counter, LOCKED, 0, 1) !== 0) mem.relax();
}
function unlock(mem: ThreadMemory, counter: Ptr<"counter">): void {
  mem.write_once(counter, LOCKED, 0);
}
function increment(mem: ThreadMemory, counter: Ptr<"counter">): void {
  lock(mem, counter);
  mem.write(counter, VALUE, mem.read(counter, VALUE) + 1);
  unlock(mem, counter);
}

export default race({
  name: "fixed-lock",
  summary: "a lock that is taken by compare-and-exchange",
  shared: Counter,
  threads: Array.from({ length: THREADS }, () => increment),
  check: (mem, counter) => {
    const value = mem.read(counter, VALUE);
    return value === THREADS ? undefined : `two threads were inside: the counter is ${value}`;
  },
});
