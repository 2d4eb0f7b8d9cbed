/** What the reaper leaves of a slot, and which workers it knows. The dying itself: threads.test.ts. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { Calls } from "../../../src/main/heap/calls.ts";
import { Classes } from "../../../src/main/heap/classes.ts";
import { attachHeap, closeHeap, createHeap, watchWorker } from "../../../src/main/heap/index.ts";
import { HeapMap } from "../../../src/main/heap/layout.ts";
import { magazine_count } from "../../../src/main/heap/magazines.ts";
import { REAPER_TOKEN } from "../../../src/main/heap/owner.ts";
import { SlabSheaf, SlubPercpuSheaves } from "../../../src/shared/layout/slab.ts";
import { has_pcs_used } from "../../../src/shared/linux/mm/slub/flush.ts";
import { per_cpu_sheaves } from "../../../src/shared/linux/mm/slub/pcs.ts";

test("a slot that was given up has nothing at hand, neither in magazines nor in sheaves", () => {
  const descriptor = createHeap({ bytes: 4 << 20, cpus: 2 });
  const heap = attachHeap(descriptor);
  const map = new HeapMap(descriptor);
  const { mem, cpus } = new Calls(descriptor.buffer, map, REAPER_TOKEN, 1000);
  const classes = new Classes(cpus[0], map, false);
  const other = attachHeap(descriptor);
  for (const bytes of [8, 64, 1000, 5000]) {
    const objects = Array.from({ length: 300 }, () => other.alloc(bytes));
    for (const [i, object] of objects.entries()) {
      if (i % 3 === 0) other.retire(object);
      else other.free(object);
    }
  }
  const held = (): number => [...classes.all()].filter((c) => magazine_count(mem, map.magazine(1, c)) > 0).length;
  const used = (): number => [...classes.all()].filter((c) => has_pcs_used(cpus[0], classes.get(c).cache, 1)).length;
  expect([held(), used()]).toEqual([4, 4]);
  other.detach();
  expect(held()).toBe(0);
  // Sheaves that objects come back in are kmalloc objects themselves, and go to sheaves of their size when they are freed.
  for (const c of classes.all()) {
    const pcs = per_cpu_sheaves(cpus[0], classes.get(c).cache, 1);
    const main = mem.peek(pcs, SlubPercpuSheaves.offset.main);
    expect(mem.peek(pcs, SlubPercpuSheaves.offset.rcu_free)).toBe(0);
    expect(mem.peek(main, SlabSheaf.offset.size)).toBeLessThan(10);
  }
  heap.barrier();
  expect(heap.check()).toEqual([]);
});

/** A worker that attaches to the heap it is sent, says so, and waits. */
const ATTACHER = `
  import { parentPort } from "node:worker_threads";
  import { attachHeap } from ${JSON.stringify(new URL("../../../src/main/heap/index.ts", import.meta.url).href)};
  parentPort.once("message", (descriptor) => {
    attachHeap(descriptor).readLock();
    parentPort.postMessage("attached");
    setTimeout(() => undefined, 60_000);
  });`;
const attacher = (): Worker => new Worker(new URL(`data:text/javascript,${encodeURIComponent(ATTACHER)}`));

test("a worker that is older than the heap is watched, too; one of before this module if it is told of", async () => {
  const first = createHeap({ bytes: 1 << 20, cpus: 1 });
  process.removeAllListeners("worker"); // As if this module had come later.
  const worker = attacher();
  watchWorker(worker);
  const second = createHeap({ bytes: 1 << 20, cpus: 1 });
  closeHeap(first);
  worker.postMessage(second, []);
  expect(await once(worker, "message")).toEqual(["attached"]);
  expect(() => attachHeap(second)).toThrow("all 1 slots are taken");
  await worker.terminate();
  const heap = attachHeap(second);
  heap.synchronize();
  expect(heap.check()).toEqual([]);
});
