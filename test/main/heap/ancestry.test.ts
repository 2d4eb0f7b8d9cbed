/** Workers of workers, which die with their parents. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { attachHeap, createHeap, HeapDeadError, type HeapDescriptor } from "../../../src/main/heap/index.ts";
import { HeapMap, HeapSlot } from "../../../src/main/heap/layout.ts";

/** A worker that attaches to the heap it is given, and creates one more of its kind until there are as many as it is told. */
const NESTED = `
  import { parentPort, Worker, workerData } from "node:worker_threads";
  import { attachHeap } from ${JSON.stringify(new URL("../../../src/main/heap/index.ts", import.meta.url).href)};
  const { descriptor, url, depth } = workerData;
  const heap = attachHeap(descriptor);
  if (depth === 1) {
    heap.free(heap.alloc(64));
    heap.readLock();
    parentPort.postMessage("all are there");
  } else {
    if (depth === 2) heap.detach(); // Its slot does not tell of its worker then.
    const worker = new Worker(new URL(url), { workerData: { descriptor, url, depth: depth - 1 } });
    worker.once("message", (message) => parentPort.postMessage(message));
    parentPort.once("message", () => worker.terminate().then(() => parentPort.postMessage("its worker has ended")));
  }
  setTimeout(() => undefined, 60_000);`;

async function nested(descriptor: HeapDescriptor, depth: number): Promise<Worker> {
  const url = `data:text/javascript,${encodeURIComponent(NESTED)}`;
  const worker = new Worker(new URL(url), { workerData: { descriptor, url, depth } });
  expect(await once(worker, "message")).toEqual(["all are there"]);
  return worker;
}

test("with a worker die its workers and theirs: all their slots are freed, and no read section stays", async () => {
  const descriptor = createHeap({ bytes: 4 << 20, cpus: 4 });
  const heap = attachHeap(descriptor);
  const [mortal, other] = [await nested(descriptor, 3), await nested(descriptor, 1)];
  expect(heap.stats().threads.map(({ reading }) => reading)).toEqual([false, false, true, true]);
  await mortal.terminate();
  // Slot 3 is not of its workers.
  expect(heap.stats().threads.map(({ slot }) => slot)).toEqual([0, 3]);
  await other.terminate();
  expect(heap.stats().threads).toEqual([{ slot: 0, thread: 0, reading: false }]);
  heap.synchronize();
  expect(heap.check()).toEqual([]);

  const parent = await nested(descriptor, 3); // Its worker's end, with that of the worker's worker, is seen by itself.
  parent.postMessage("go", []);
  expect(await once(parent, "message")).toEqual(["its worker has ended"]);
  expect(heap.stats().threads.map(({ slot }) => slot)).toEqual([0, 1]);
  await parent.terminate();
});

test("a worker's worker that dies inside a call, on whichever slot, ends the heap", async () => {
  const descriptor = createHeap({ bytes: 4 << 20, cpus: 4 });
  const heap = attachHeap(descriptor);
  const parent = await nested(descriptor, 4);
  const last = heap.stats().threads.findLast(({ reading }) => reading);
  const token = (last?.slot ?? -1) + 1;
  const all = new Int32Array(descriptor.buffer);
  Atomics.store(all, (new HeapMap(descriptor).slot(1) + HeapSlot.offset.owner) >> 2, token); // Slot 1 is `parent`'s.
  await parent.terminate();
  expect(() => heap.alloc(8)).toThrow(HeapDeadError);
  expect(() => heap.alloc(8)).toThrow(`thread ${last?.thread} (slot ${last?.slot}) died inside a call`);
});
