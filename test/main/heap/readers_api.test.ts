/** Read sections, retire(), synchronize() and barrier(), on one thread: attachments take the parts of several threads. */
import { beforeEach, describe, expect, test } from "vitest";
import {
  attachHeap,
  createHeap,
  type Heap,
  type HeapDescriptor,
  HeapStalledError,
  HeapUsageError,
  type HeapStall,
} from "../../../src/main/heap/index.ts";

let descriptor: HeapDescriptor;
let heap: Heap;
let reader: Heap;
beforeEach(() => {
  descriptor = createHeap({ bytes: 4 << 20, cpus: 4 });
  heap = attachHeap(descriptor, { stallTimeoutMs: 50 });
  reader = attachHeap(descriptor);
});

/** Retires objects and allocates as many, so that reclaimed memory would be used again. @returns what was allocated. */
function churn(bytes: number, count = 500): Set<number> {
  const objects = new Set<number>();
  for (let i = 0; i < count; i++) {
    heap.retire(heap.alloc(bytes));
    objects.add(heap.alloc(bytes));
  }
  return objects;
}

describe("retire()", () => {
  test.each([8, 64, 8192, 100_000])("an object of %s bytes is not used again while somebody reads", (bytes) => {
    const object = heap.alloc(bytes);
    heap.u8.fill(1, object, object + bytes);
    reader.readLock();
    heap.retire(object);
    const others = churn(bytes, bytes > 8192 ? 5 : 200);
    expect(others.has(object)).toBe(false);
    expect(reader.u8[object]).toBe(1);
    expect(reader.u8[object + bytes - 1]).toBe(1);
    reader.readUnlock();
    for (const other of others) heap.free(other);
    heap.barrier();
    expect(heap.stats()).toMatchObject({ objects: 0, retired: 0 });
    expect(heap.check()).toEqual([]);
  });
  test("its memory comes back without barrier() when the readers have left", () => {
    reader.readLock();
    for (let i = 0; i < 1000; i++) heap.retire(heap.alloc(64));
    expect(heap.stats().retired).toBe(1000);
    reader.readUnlock();
    expect(heap.stats().retired).toBeLessThan(100); // What is left has not filled a sheaf yet.
  });
  test("twice, or after free(), or free() after it, is an error", () => {
    const object = heap.alloc(8);
    heap.retire(object);
    expect(() => heap.retire(object)).toThrow(HeapUsageError);
    expect(() => heap.retire(object)).toThrow("it was retired");
    expect(() => reader.free(object)).toThrow("it was retired");
    expect(() => heap.realloc(object, 100)).toThrow("it was retired");
    expect(() => heap.retire(object + 1)).toThrow("no object");
  });
});

describe("synchronize()", () => {
  test("returns at once when nobody reads, and ends a grace period", () => {
    const { gracePeriods } = heap.stats();
    heap.synchronize();
    expect(heap.stats().gracePeriods).toBeGreaterThan(gracePeriods);
  });
  test("is not held up by readers that came later", async () => {
    reader.readLock();
    const over = heap.synchronizeAsync();
    const later = attachHeap(descriptor);
    later.readLock();
    reader.readUnlock();
    await over;
    later.readUnlock();
  });
  test("waits for the outermost section only, and for its very end", async () => {
    reader.readLock();
    reader.readLock();
    let isOver = false;
    const over = heap.synchronizeAsync().then(() => (isOver = true));
    reader.readUnlock();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(isOver).toBe(false);
    reader.readUnlock();
    await over;
  });
  test("of many at once", async () => {
    const heaps = [heap, attachHeap(descriptor), attachHeap(descriptor)];
    reader.readLock();
    const all = Promise.all(heaps.flatMap((each) => [each.synchronizeAsync(), each.barrierAsync()]));
    for (const each of heaps) each.retire(each.alloc(10));
    reader.readUnlock();
    await all;
  });
  test("in a read section is an error", () => {
    heap.readLock();
    expect(() => heap.synchronize()).toThrow("it would wait for itself");
    expect(() => heap.barrier()).toThrow("it would wait for itself");
    heap.readUnlock();
    heap.synchronize();
  });
});

test("barrier() has everything freed that was retired, on whichever slot", async () => {
  const heaps = [heap, reader, attachHeap(descriptor)];
  const cache = reader.cache({ size: 48 });
  for (const each of heaps) {
    for (const bytes of [8, 100, 9000, 600_000]) for (let i = 0; i < 3; i++) each.retire(each.alloc(bytes % 500_000));
  }
  cache.retire(cache.alloc());
  heaps[2].detach(); // Nobody is attached to that slot any more.
  expect(heap.stats().retired).toBeGreaterThan(0);
  await heap.barrierAsync();
  expect(heap.stats()).toMatchObject({ objects: 0, retired: 0 });
  expect(heap.check()).toEqual([]);
});

describe("read()", () => {
  test("returns what the section returns, and ends when it throws", () => {
    expect(heap.read(() => 5)).toBe(5);
    expect(() =>
      heap.read(() => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    heap.synchronize();
  });
  test("an asynchronous section is an error", () => {
    const section = (): Promise<void> => Promise.resolve();
    const read = heap.read.bind(heap) as (section: () => unknown) => unknown; // As it is, it does not compile: test/types.
    expect(() => read(section)).toThrow("must not be asynchronous");
    heap.synchronize();
  });
  test("readUnlock() without readLock(), and detach() inside, are errors", () => {
    expect(() => heap.readUnlock()).toThrow("without readLock()");
    heap.readLock();
    expect(() => heap.detach()).toThrow("in a read section");
    heap.readUnlock();
  });
  test("allocates and frees inside", () => {
    heap.read(() => {
      for (let i = 0; i < 500; i++) heap.free(heap.alloc(3000));
      churn(40, 200);
    });
    expect(heap.check()).toEqual([]);
  });
});

describe("a reader that never ends", () => {
  test("is named, on the main thread by an error", () => {
    reader.readLock();
    // Tests run on their process's main thread, which must not wait for ever.
    expect(() => heap.synchronize()).toThrow(HeapStalledError);
    expect(() => heap.barrier()).not.toThrow(); // Nothing waits for that reader.
    heap.retire(heap.alloc(8));
    expect(() => heap.barrier()).toThrow(
      /barrier\(\) has waited .* for\n {2}slot 1 \(thread 0\), which is in a read section/,
    );
    reader.readUnlock();
    heap.barrier();
  });
  test("is reported to who awaits, and the wait goes on", async () => {
    const stalls: HeapStall[] = [];
    const waiter = attachHeap(descriptor, { stallTimeoutMs: 20, onStall: (stall) => stalls.push(stall) });
    reader.readLock();
    const over = waiter.synchronizeAsync();
    while (stalls.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    reader.readUnlock();
    await over;
    expect(stalls[0]).toMatchObject({
      what: "synchronize()",
      slots: [{ slot: 1, thread: 0, reading: true, inCallOf: undefined, site: undefined }],
    });
    expect(stalls[0].waitedMs).toBeGreaterThanOrEqual(20);
  });
});
