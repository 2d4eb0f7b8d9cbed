/** A heap that is created with debug: who did what, and marks on freed memory; and what check() finds in any heap. */
import { beforeEach, describe, expect, test } from "vitest";
import {
  attachHeap,
  createHeap,
  type Heap,
  type HeapDescriptor,
  HeapStalledError,
} from "../../../src/main/heap/index.ts";
import { FREED, GRANULE_SHIFT, HeapMap, Magazine } from "../../../src/main/heap/layout.ts";
import { offsetof } from "../../../src/shared/mem/struct.ts";

let descriptor: HeapDescriptor;
let heap: Heap;

describe("debug", () => {
  beforeEach(() => {
    descriptor = createHeap({ bytes: 4 << 20, cpus: 2, debug: true });
    heap = attachHeap(descriptor, { stallTimeoutMs: 30 });
  });
  function freeIt(object: number): void {
    heap.free(object);
  }
  function retireIt(object: number): void {
    heap.retire(object);
  }
  test("a second free says where the first one was", () => {
    const object = heap.alloc(100);
    freeIt(object);
    expect(() => heap.free(object)).toThrow(/it was freed at freeIt \(.*debug\.test\.ts:\d+:\d+\)/);
    const other = heap.alloc(9000);
    retireIt(other);
    expect(() => heap.free(other)).toThrow(/it was retired at retireIt/);
  });
  test("freed memory is filled with a pattern, retired memory when its readers have left", () => {
    const freed = heap.alloc(64);
    heap.u8.fill(1, freed, freed + 64);
    heap.free(freed);
    expect(heap.u8[freed + 63]).toBe(0x6b);
    const reader = attachHeap(descriptor);
    reader.readLock();
    const retired = heap.alloc(64);
    heap.u8.fill(1, retired, retired + 64);
    heap.retire(retired);
    expect(reader.u8[retired + 63]).toBe(1);
    reader.readUnlock();
    heap.barrier();
    expect(heap.u8[retired + 63]).toBe(0x6b);
  });
  test("leaks() names who has allocated what is left", () => {
    const keep = (): number => heap.alloc(24);
    const cache = heap.cache({ size: 100 });
    const makeNode = (): number => cache.alloc();
    const objects = [keep(), keep(), keep(), makeNode(), heap.alloc(50_000)];
    heap.free(heap.alloc(8));
    heap.retire(heap.alloc(8));
    const leaks = heap.leaks();
    expect(leaks.map(({ objects: n, bytes }) => [n, bytes])).toEqual([
      [1, 65_536],
      [1, 100],
      [3, 96],
    ]);
    expect(leaks[1].site).toContain("makeNode");
    expect(leaks[2].site).toContain("keep");
    for (const object of objects) heap.free(object);
    expect(heap.leaks()).toEqual([]);
    expect(heap.check()).toEqual([]);
  });
  test("a stall names where the section was entered", () => {
    const reader = attachHeap(descriptor);
    function enterAndForget(): void {
      reader.readLock();
    }
    enterAndForget();
    expect(() => heap.synchronize()).toThrow(HeapStalledError);
    expect(() => heap.synchronize()).toThrow(/entered at enterAndForget/);
    reader.readUnlock();
  });
  test("constructed objects keep their state", () => {
    let constructed = 0;
    const cache = heap.cache({ size: 16, ctor: (object) => void (heap.i32[object >> 2] = ++constructed) });
    for (let i = 0; i < 100; i++) cache.free(cache.alloc());
    expect(heap.i32[cache.alloc() >> 2]).toBeGreaterThan(0);
    expect(constructed).toBeLessThan(3);
  });
});

describe("without debug", () => {
  beforeEach(() => {
    descriptor = createHeap({ bytes: 4 << 20, cpus: 2 });
    heap = attachHeap(descriptor);
  });
  test("leaks() is an error", () => {
    expect(() => heap.leaks()).toThrow("created with debug: true");
  });

  describe("check() finds", () => {
    const words = (): Int32Array => new Int32Array(descriptor.buffer);
    const setTag = (object: number, tag: number): void => {
      new Uint8Array(descriptor.buffer, new HeapMap(descriptor).tags)[object >> GRANULE_SHIFT] = tag;
    };
    test("an object that is allocated and free", () => {
      // Freed by hand behind the heap's back: it goes through the magazine to a sheaf or to its slab.
      const objects = Array.from({ length: 400 }, () => heap.alloc(64));
      for (const object of objects) heap.free(object);
      setTag(objects[0], 6);
      expect(heap.check().join()).toMatch(/allocated: but (in a sheaf|on the freelist of its slab)/);
    });
    test("a tag where no object begins", () => {
      setTag(heap.alloc(64) + 8, 6);
      expect(heap.check().join()).toMatch(/allocated: no object of kmalloc-64/);
    });
    test("a foreign object in a magazine", () => {
      const object = heap.alloc(64);
      heap.free(object);
      const magazine = new HeapMap(descriptor).magazine(heap.slot, 6);
      words()[(magazine + offsetof(Magazine.offset.objects)) >> 2] += 8;
      expect(heap.check().join()).toMatch(/in a magazine: no object of kmalloc-64/);
    });
    test("a freelist that was written into", () => {
      // More objects than sheaves take, all freed: each begins with, or has in its middle, the link to the next.
      const objects = Array.from({ length: 200 }, () => heap.alloc(8192));
      for (const object of objects) heap.free(object);
      for (const object of objects) heap.u8.fill(0x11, object, object + 8192);
      expect(heap.check().join()).toMatch(/kmalloc-8k: slab .* freelist holds/);
    });
    test("nothing in a heap that is well", () => {
      setTag(heap.alloc(64), FREED); // What nobody claims is not missed.
      expect(heap.check()).toEqual([]);
    });
  });
});
