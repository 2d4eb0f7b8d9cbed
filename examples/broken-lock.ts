/**
 * A lock that two threads can hold at once: it looks whether the lock is free, and then takes it. Between the two the
 * other thread does the same. `sheaf explore examples/broken-lock.ts` shows how; fixed-lock.ts does both in one access.
 */
import { atomic32, race, struct, type Ptr, type ThreadMemory, u32 } from "../src/main/kit/index.ts";

const Counter = struct("counter", { locked: atomic32, value: u32 });
const { locked: LOCKED, value: VALUE } = Counter.offset;

function lock(mem: ThreadMemory, counter: Ptr<"counter">): void {
  while (mem.read_once(counter, LOCKED) !== 0) mem.relax();
  mem.write_once(counter, LOCKED, 1);
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
  name: "broken-lock",
  summary: "a lock that is looked at and then taken",
  shared: Counter,
  threads: [increment, increment],
  check: (mem, counter) => {
    const value = mem.read(counter, VALUE);
    return value === 2 ? undefined : `two threads were inside: the counter is ${value}`;
  },
});
