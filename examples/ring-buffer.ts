/**
 * Three ways to break the ring buffer of fixed-ring-buffer.ts. All are about order, so they show although atomics in
 * JavaScript are sequentially consistent:
 *
 *   ring-publishes-early   the producer moves `head` before it fills the slot: the consumer takes what was there before
 *   ring-frees-early       the consumer moves `tail` before it reads the slot: the producer writes over the item
 *   ring-two-producers     two threads put: both find the same slot free
 */
import { race, type ThreadMemory } from "../src/main/kit/index.ts";
import {
  consume,
  HEAD,
  ITEMS,
  produce,
  put,
  Ring,
  type RingPtr,
  slot,
  TAIL,
  waitForItem,
  waitForRoom,
} from "./fixed-ring-buffer.ts";

function putEarly(mem: ThreadMemory, ring: RingPtr, item: number): void {
  const head = waitForRoom(mem, ring);
  mem.write_once(ring, HEAD, head + 1);
  mem.write(ring, slot(head), item);
}
function takeEarly(mem: ThreadMemory, ring: RingPtr): number {
  const tail = waitForItem(mem, ring);
  mem.write_once(ring, TAIL, tail + 1);
  return mem.read(ring, slot(tail));
}
function putOne(mem: ThreadMemory, ring: RingPtr): void {
  put(mem, ring, 1);
}

export default [
  race({
    name: "ring-publishes-early",
    shared: Ring,
    threads: [(mem, ring) => produce(mem, ring, ITEMS, putEarly), (mem, ring) => consume(mem, ring, ITEMS)],
  }),
  race({
    name: "ring-frees-early",
    shared: Ring,
    threads: [(mem, ring) => produce(mem, ring, ITEMS), (mem, ring) => consume(mem, ring, ITEMS, takeEarly)],
  }),
  race({
    name: "ring-two-producers",
    shared: Ring,
    threads: [putOne, putOne],
    check: (mem, ring) => {
      const items = mem.read_once(ring, HEAD);
      return items === 2 ? undefined : `two items were put, and the ring has ${items}`;
    },
  }),
];
