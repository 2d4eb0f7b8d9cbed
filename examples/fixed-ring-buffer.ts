/**
 * A ring buffer for one producer and one consumer, as it should be. ring-buffer.ts has what goes wrong with it, and
 * ring-buffer-workers.ts runs these very functions on two real workers.
 */
import {
  array,
  atomic32,
  element,
  type Field,
  race,
  struct,
  type Ptr,
  type ThreadMemory,
  u32,
} from "../src/main/kit/index.ts";

const SLOTS = 2;
export const ITEMS = 3;

/** `head`: items that were put in so far; `tail`: items that were taken out. Each has one writer. */
export const Ring = struct("ring", { head: atomic32, tail: atomic32, slots: array(u32, SLOTS) });
export const { head: HEAD, tail: TAIL } = Ring.offset;
export type RingPtr = Ptr<"ring">;
/** The slot of item number `n`. */
export const slot = (n: number): Field<"ring", "plain"> => element(Ring.offset.slots, n % SLOTS);

/** @returns the number of the next item, once there is room for it. */
export function waitForRoom(mem: ThreadMemory, ring: RingPtr): number {
  const head = mem.read_once(ring, HEAD);
  while (head - mem.read_once(ring, TAIL) === SLOTS) mem.relax();
  return head;
}
export function put(mem: ThreadMemory, ring: RingPtr, item: number): void {
  const head = waitForRoom(mem, ring);
  mem.write(ring, slot(head), item);
  mem.write_once(ring, HEAD, head + 1);
}
/** @returns the number of the oldest item, once there is one. */
export function waitForItem(mem: ThreadMemory, ring: RingPtr): number {
  const tail = mem.read_once(ring, TAIL);
  while (mem.read_once(ring, HEAD) === tail) mem.relax();
  return tail;
}
export function take(mem: ThreadMemory, ring: RingPtr): number {
  const tail = waitForItem(mem, ring);
  const item = mem.read(ring, slot(tail));
  mem.write_once(ring, TAIL, tail + 1);
  return item;
}

/** Puts the numbers from 1 on. */
export function produce(mem: ThreadMemory, ring: RingPtr, count: number, how = put): void {
  for (let item = 1; item <= count; item++) how(mem, ring, item);
}
/** Takes them, and throws unless they come as they were put. */
export function consume(mem: ThreadMemory, ring: RingPtr, count: number, how = take): void {
  for (let expected = 1; expected <= count; expected++) {
    const item = how(mem, ring);
    if (item !== expected) throw new Error(`took ${item} instead of ${expected}`);
  }
}

export default race({
  name: "fixed-ring-buffer",
  summary: "a ring buffer with one producer and one consumer",
  shared: Ring,
  threads: [(mem, ring) => produce(mem, ring, ITEMS), (mem, ring) => consume(mem, ring, ITEMS)],
});
