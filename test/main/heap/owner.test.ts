/** Who may run as a slot's CPU: every interleaving of a thread that calls and of others that have work for it. */
import { expect, test } from "vitest";
import { Explorer, race, type Thread, type ThreadMemory } from "../../../src/main/kit/index.ts";
import { HeapSlot } from "../../../src/main/heap/layout.ts";
import { announce_waiter, claim, OWNER_WAITERS, release, serve } from "../../../src/main/heap/owner.ts";
import { atomic32, embedded, type Ptr, struct, u32 } from "../../../src/shared/mem/struct.ts";

const Box = struct("box", { slot: HeapSlot, due: atomic32, inside: u32, served: u32, waits: atomic32 });
const { slot: SLOT, due: DUE, inside: INSIDE, served: SERVED, waits: WAITS } = Box.offset;
type BoxPtr = Ptr<"box">;

/** What whoever has the owner word does: alone. */
function beInside(mem: ThreadMemory, box: BoxPtr, work: () => void): void {
  if (mem.read(box, INSIDE) !== 0) throw new Error("two are inside");
  mem.write(box, INSIDE, 1);
  work();
  mem.write(box, INSIDE, 0);
}
function serveBox(mem: ThreadMemory, box: BoxPtr, token: number): void {
  const slot = embedded(box, SLOT);
  const work = (): void =>
    beInside(mem, box, () => mem.write(box, SERVED, mem.read(box, SERVED) + mem.xchg(box, DUE, 0)));
  serve(
    mem,
    slot,
    token,
    () => mem.read_once(box, DUE) !== 0,
    work,
    () => release(mem, slot),
  );
}
/** A call of the slot's own thread. */
const call: Thread<"box"> = (mem, box) => {
  const slot = embedded(box, SLOT);
  while (!claim(mem, slot, 1)) mem.relax();
  beInside(mem, box, () => undefined);
  release(mem, slot);
  serveBox(mem, box, 1);
};
/** Another thread has one piece of work for it. */
const ask =
  (token: number): Thread<"box"> =>
  (mem, box) => {
    mem.fetch_add(box, DUE, 1);
    serveBox(mem, box, token);
  };

test("one is inside at a time, and no work is left", () => {
  const scenario = race({
    name: "owner",
    shared: Box,
    threads: [[call, call], ask(2), ask(3)],
    check: (mem, box) => {
      const served = mem.read(box, SERVED);
      return served === 2 ? undefined : `${served} of 2 pieces of work were done`;
    },
  });
  expect(new Explorer(scenario).explore({ random: 100, bound: 3 })).toMatchObject({ failure: undefined, exhausted: 3 });
});

test("who waits for the word is told, or finds it free", () => {
  const hold: Thread<"box"> = (mem, box) => {
    const slot = embedded(box, SLOT);
    if (!claim(mem, slot, 1)) return;
    if (release(mem, slot)) mem.write_once(box, WAITS, 0);
  };
  const wait: Thread<"box"> = (mem, box) => {
    mem.write_once(box, WAITS, 1);
    const found = announce_waiter(mem, embedded(box, SLOT));
    if (found !== 0 && found !== (1 | OWNER_WAITERS)) throw new Error(`found ${found}`);
    if (found !== 0) while (mem.read_once(box, WAITS) !== 0) mem.relax(); // A livelock if nobody tells.
  };
  const scenario = race({ name: "waiter", shared: Box, threads: [hold, wait] });
  expect(new Explorer(scenario).explore({ bound: 3 })).toMatchObject({ failure: undefined, exhausted: 3 });
});
