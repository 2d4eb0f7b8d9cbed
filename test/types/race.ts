/**
 * Misuse of race() that must not compile. Each line below an "expect-error" is wrong; tsc fails when one is accepted.
 */
import {
  atomic32,
  attachMemory,
  race,
  sharedBuffer,
  struct,
  type Thread,
  type ThreadMemory,
  u32,
} from "../../src/main/kit/index.ts";

const Box = struct("box", { lock: atomic32, value: u32 });
const Other = struct("other", { value: u32 });
const { lock: LOCK, value: VALUE } = Box.offset;

export const good: Thread<"box"> = (mem, box) => {
  mem.write(box, VALUE, 1);
  // @ts-expect-error LOCK is atomic
  mem.write(box, LOCK, 1);
  // @ts-expect-error the field belongs to another struct
  mem.write(box, Other.offset.value, 1);
};
// @ts-expect-error poke() is no step: the explorer would not see it
export const unseen: keyof ThreadMemory = "poke";
// @ts-expect-error a thread waits by relax()
export const waits: keyof ThreadMemory = "wait";
const other: Thread<"other"> = () => undefined;

race({ name: "a", shared: Box, threads: [good, [good, good]] });
// @ts-expect-error a thread of another struct
race({ name: "a", shared: Box, threads: [other] });
// @ts-expect-error no threads
race({ name: "a", shared: Box });
// @ts-expect-error a check says what is wrong in words
race({ name: "a", shared: Box, threads: [good], check: () => false });

const { mem, shared } = attachMemory(Box, sharedBuffer(Box));
good(mem, shared);
// @ts-expect-error the buffer holds a box
other(mem, shared);
