/** The heap as one thread sees it; several attachments of one thread stand for several threads. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  attachHeap,
  closeHeap,
  createHeap,
  type Heap,
  HeapDeadError,
  type HeapDescriptor,
  HeapFullError,
  HeapUsageError,
} from "../../../src/main/heap/index.ts";
import { MAGAZINE_SLOTS } from "../../../src/main/heap/layout.ts";
import { Barrier } from "../../../src/main/heap/waits.ts";
import { Random } from "../../../src/shared/base/random.ts";

const MIB = 1 << 20;
let descriptor: HeapDescriptor;
let heap: Heap;
beforeEach(() => {
  descriptor = createHeap({ bytes: 4 * MIB, cpus: 3 });
  heap = attachHeap(descriptor);
});

describe("createHeap()", () => {
  test.each([
    [{ bytes: NaN, cpus: 1 }, "bytes must be"],
    [{ bytes: 0, cpus: 1 }, "bytes must be"],
    [{ bytes: -4096, cpus: 1 }, "bytes must be"],
    [{ bytes: 4096, cpus: 1 }, "too small"],
    [{ bytes: 2 ** 31, cpus: 1 }, "smaller than 2 GiB"],
    [{ bytes: MIB, cpus: 0 }, "cpus must be 1 to 30"],
    [{ bytes: MIB, cpus: 31 }, "cpus must be 1 to 30"],
    [{ bytes: MIB, cpus: 1.5 }, "cpus must be 1 to 30"],
    [{ bytes: MIB, cpus: 30 }, "too few for 30 cpus"],
    [undefined as unknown as { bytes: number; cpus: number }, "bytes must be"],
  ])("%j is an error that says why", (options, message) => {
    expect(() => createHeap(options)).toThrow(HeapUsageError);
    expect(() => createHeap(options)).toThrow(message);
  });
  test("rounds up to pages", () => {
    expect(createHeap({ bytes: MIB + 1, cpus: 1 }).bytes).toBe(MIB + 4096);
  });
  test("returns plain data: a clone is the same heap", () => {
    const other = attachHeap(structuredClone({ nested: descriptor }).nested);
    const object = heap.alloc(8);
    heap.i32[object >> 2] = 42;
    expect(other.i32[object >> 2]).toBe(42);
    other.free(object);
    expect(() => heap.free(object)).toThrow("is free");
  });
});

describe("attachHeap()", () => {
  test("takes one slot each; more threads than slots is an error that says what to do", () => {
    expect([attachHeap(descriptor).slot, attachHeap(descriptor).slot]).toEqual([1, 2]);
    expect(() => attachHeap(descriptor)).toThrow(HeapFullError);
    expect(() => attachHeap(descriptor)).toThrow(
      /all 3 slots are taken, by threads .*: create the heap with more cpus/,
    );
  });
  test("detach() frees the slot; objects stay, the heap object is of no use", () => {
    const other = attachHeap(descriptor);
    const object = other.alloc(100);
    const cache = other.cache({ size: 24 });
    const objects = [cache.alloc(), cache.alloc()];
    other.detach();
    expect(attachHeap(descriptor).slot).toBe(1);
    for (const use of [
      () => other.alloc(8),
      () => other.free(object),
      () => other.retire(object),
      () => other.readLock(),
      () => other.synchronize(),
      () => cache.alloc(),
      () => cache.free(objects[0]),
      () => cache.retire(objects[1]),
      () => other.detach(),
    ]) {
      expect(use).toThrow("attach again");
    }
    for (const each of objects) heap.free(each);
    expect(heap.sizeOf(object)).toBe(128);
    heap.free(object);
    expect(heap.check()).toEqual([]);
  });
  test("what is no descriptor is refused", () => {
    expect(() => attachHeap({} as HeapDescriptor)).toThrow(HeapUsageError);
    expect(() => attachHeap({ ...descriptor, sheafHeap: 99 })).toThrow("by this version");
    expect(() => attachHeap(descriptor, { stallTimeoutMs: NaN })).toThrow(HeapUsageError);
    expect(() => attachHeap(descriptor, { onStall: 5 as unknown as () => void })).toThrow("must be a function");
    expect(() => closeHeap({} as HeapDescriptor)).toThrow("closeHeap() needs what createHeap() returned");
  });
  test("a closed heap throws from every call", () => {
    heap.alloc(8);
    closeHeap(descriptor);
    expect(() => heap.alloc(8)).toThrow(HeapDeadError);
    expect(() => heap.synchronize()).toThrow("it was closed");
    for (let i = 0; i < 4; i++) expect(() => attachHeap(descriptor)).toThrow(HeapDeadError); // It takes no slot.
  });
});

describe("alloc() and free()", () => {
  test.each([NaN, 0, -1, -8, 1.5, Infinity, -Infinity, 2 ** 53, "8", undefined, null, {}])(
    "a size of %s is an error",
    (bytes) => {
      expect(() => heap.alloc(bytes as number)).toThrow(HeapUsageError);
      expect(() => heap.alloc(bytes as number)).toThrow("a size is an integer from 1 up");
    },
  );
  test.each([4 * MIB, 5 * MIB, 2 ** 31, 2 ** 32 + 8, 2 ** 40, 2 ** 44 + 100_000])(
    "%s bytes are too many, and nothing happens",
    (bytes) => {
      const object = heap.alloc(8);
      expect(() => heap.alloc(bytes)).toThrow(HeapFullError);
      expect(() => heap.realloc(object, bytes)).toThrow(HeapFullError);
      expect(heap.sizeOf(object)).toBe(8);
      expect(heap.check()).toEqual([]);
    },
  );
  test.each([
    [NaN, "free(NaN): no object of this heap begins there"],
    [-8, "free(-8): no object"],
    [4.5, "free(4.5): no object"],
    [3, "free(0x3): no object"],
    [2 ** 40, "free(0x10000000000): no object"],
    ["8", "free(8): no object"],
    [4096, "free(0x1000): no object"], // The kernel's own memory.
  ])("free(%s) is an error", (object, message) => {
    expect(() => heap.free(object as number)).toThrow(HeapUsageError);
    expect(() => heap.free(object as number)).toThrow(message);
  });
  test("the inside of an object is no object", () => {
    const object = heap.alloc(64);
    expect(() => heap.free(object + 8)).toThrow("no object of this heap begins there");
    const large = heap.alloc(20_000);
    expect(() => heap.free(large + 4096)).toThrow("no object of this heap begins there");
  });
  test("a second free is an error, from whichever thread", () => {
    const other = attachHeap(descriptor);
    for (const bytes of [8, 5000, 100_000]) {
      const object = heap.alloc(bytes);
      other.free(object);
      expect(() => heap.free(object)).toThrow("that object is free");
      expect(() => other.free(object)).toThrow("that object is free");
      expect(() => heap.retire(object)).toThrow("that object is free");
    }
    expect(heap.check()).toEqual([]);
  });
  test("a block may be larger than the largest one of pages", () => {
    const large = attachHeap(createHeap({ bytes: 64 * MIB, cpus: 1 }));
    const blocks = [large.alloc(4 * MIB), large.alloc(5 * MIB)];
    expect(blocks.map((block) => large.view(block, Float64Array).length)).toEqual([MIB / 2, (5 * MIB) / 8]);
    expect(large.realloc(blocks[1], 3 * MIB)).toBe(blocks[1]);
    expect(() => large.free(blocks[1] + 4096)).toThrow("no object");
    expect(large.stats()).toMatchObject({ objects: 2, objectBytes: 9 * MIB });
    large.free(blocks[0]);
    large.retire(blocks[1]);
    large.barrier();
    expect(large.stats()).toMatchObject({ objects: 0, retired: 0 });
    large.free(large.alloc(5 * MIB));
    expect(large.check()).toEqual([]);
  });
  test("address 0 is nothing", () => {
    heap.free(0);
    heap.retire(0);
    heap.cache({ size: 8 }).free(0);
  });

  test("objects do not overlap, whoever allocates and frees them", () => {
    const heaps = [heap, attachHeap(descriptor), attachHeap(descriptor)];
    const random = new Random(7);
    const live = new Map<number, { bytes: number; pattern: number }>();
    const check = (object: number): void => {
      const { bytes, pattern } = live.get(object) ?? { bytes: 0, pattern: 0 };
      const found = heap.u8.subarray(object, object + bytes);
      expect([found[0], found[bytes >> 1], found[bytes - 1]]).toEqual([pattern, pattern, pattern]);
    };
    for (let step = 0; step < 6000; step++) {
      const who = heaps[random.below(3)];
      if (live.size < 200 && random.chance(0.6)) {
        const bytes = 1 + random.below(random.chance(0.02) ? 40_000 : random.chance(0.2) ? 3000 : 200);
        const object = who.alloc(bytes);
        expect(object % 8).toBe(0);
        expect(live.has(object)).toBe(false);
        heap.u8.fill(step & 0xff, object, object + bytes);
        live.set(object, { bytes, pattern: step & 0xff });
      } else if (live.size > 0) {
        const object = [...live.keys()][random.below(live.size)];
        check(object);
        live.delete(object);
        if (random.chance(0.3)) who.retire(object);
        else who.free(object);
      }
    }
    for (const object of live.keys()) check(object);
    expect(heap.stats().objects).toBe(live.size);
    expect(heap.check()).toEqual([]);
    for (const object of live.keys()) heap.free(object);
    heap.barrier();
    expect(heap.stats()).toMatchObject({ objects: 0, objectBytes: 0, retired: 0 });
    expect(heap.check()).toEqual([]);
  });
});

/** Allocates until there is no memory. */
function fill(alloc: () => number): number[] {
  const objects: number[] = [];
  for (;;) {
    try {
      objects.push(alloc());
    } catch (error) {
      expect(error).toBeInstanceOf(HeapFullError);
      return objects;
    }
  }
}
const freeAll = (objects: readonly number[]): void => {
  for (const object of objects) heap.free(object);
};

describe("memory runs out", () => {
  test("with an error; what is freed is there for other sizes, too", () => {
    const allocLarge = (): number => heap.alloc(16 << 10);
    const large = fill(allocLarge);
    expect(large.length * (16 << 10)).toBeGreaterThan(2 * MIB);
    freeAll(large);
    const small = fill(() => heap.alloc(64));
    expect(small.length * 64).toBeGreaterThan(2 * MIB);
    freeAll(small);
    const again = fill(allocLarge);
    expect(again.length).toBe(large.length);
    freeAll(again);
    expect(heap.check()).toEqual([]);
  });
  test("only when the sheaves of all threads are empty: what another one has at hand is all that is out of reach", () => {
    const alloc = (): number => heap.alloc(64);
    const all = fill(alloc);
    freeAll(all);
    const other = attachHeap(descriptor);
    const objects = Array.from({ length: 500 }, () => other.alloc(64));
    for (const object of objects) other.free(object);
    expect(fill(alloc).length).toBeGreaterThanOrEqual(all.length - MAGAZINE_SLOTS);
  });
  test("not while retired objects can be reclaimed", () => {
    for (let i = 0; i < 200; i++) {
      heap.retire(heap.alloc(100_000)); // 20 MB in all.
      for (let n = 0; n < 10; n++) heap.retire(heap.alloc(4000));
    }
    heap.barrier();
    expect(heap.stats()).toMatchObject({ objects: 0, retired: 0 });
  });
  test("not while readers leave who hold up retired objects", () => {
    const reader = attachHeap(descriptor);
    reader.readLock();
    const sleep = vi.spyOn(Barrier.prototype, "sleep").mockImplementation(() => reader.readUnlock());
    for (let i = 0; sleep.mock.calls.length === 0; i++) {
      expect(i).toBeLessThan(100);
      heap.retire(heap.alloc(100_000));
    }
    sleep.mockRestore();
    expect(heap.check()).toEqual([]);
  });
  test("when retired objects have a reader, until it leaves", () => {
    const reader = attachHeap(descriptor);
    reader.readLock();
    const first = heap.alloc(100_000);
    heap.retire(first);
    expect(() => {
      for (;;) heap.retire(heap.alloc(100_000));
    }).toThrow(HeapFullError);
    expect(reader.sizeOf(first)).toBe(128 << 10);
    reader.readUnlock();
    heap.retire(heap.alloc(100_000));
    expect(heap.check()).toEqual([]);
  });
});

describe("calloc() and realloc()", () => {
  test("calloc() clears what an earlier user has left", () => {
    const objects = Array.from({ length: 50 }, () => heap.alloc(100));
    for (const object of objects) heap.u8.fill(0xff, object, object + heap.sizeOf(object));
    for (const object of objects) heap.free(object);
    for (let i = 0; i < 50; i++) {
      const object = heap.calloc(25, 4);
      expect(heap.u8.subarray(object, object + 100).every((byte) => byte === 0)).toBe(true);
    }
  });
  test.each([1, 7, 8, 9, 100, 255, 256, 257, 1001, 8192, 8193, 100_001])("calloc(1, %s) clears all of it", (bytes) => {
    const object = heap.alloc(bytes);
    heap.u8.fill(0xff, object, object + heap.sizeOf(object));
    heap.free(object);
    expect(heap.calloc(1, bytes)).toBe(object);
    expect(heap.u8.subarray(object, object + bytes).every((byte) => byte === 0)).toBe(true);
  });
  test("calloc() clears nothing else", () => {
    const objects = Array.from({ length: 20 }, () => heap.alloc(8));
    for (const object of objects) heap.u8.fill(0xff, object, object + 8);
    for (const object of objects.splice(0, 10)) heap.free(object);
    for (let i = 0; i < 10; i++) heap.calloc(1, 5);
    for (const object of objects)
      expect(heap.u8.subarray(object, object + 8).every((byte) => byte === 0xff)).toBe(true);
  });
  test.each([
    [0, 8],
    [8, 0],
    [NaN, 8],
    [-1, 8],
    [1.5, 8],
    [2 ** 40, 2 ** 40],
  ])("calloc(%s, %s) is an error", (count, bytes) => {
    expect(() => heap.calloc(count, bytes)).toThrow(HeapUsageError);
  });
  test.each([
    [2 ** 20, 2 ** 10],
    [65_537, 65_537],
  ])("calloc(%s, %s) is more than there is", (count, bytes) => {
    expect(() => heap.calloc(count, bytes)).toThrow(HeapFullError);
  });
  test("realloc() keeps the contents, and stays where it can", () => {
    const object = heap.alloc(50);
    heap.u8.set([1, 2, 3], object);
    expect(heap.realloc(object, 64)).toBe(object);
    expect(heap.realloc(object, 33)).toBe(object);
    const moved = heap.realloc(object, 5000);
    expect([...heap.u8.subarray(moved, moved + 3)]).toEqual([1, 2, 3]);
    expect(() => heap.free(object)).toThrow("is free");
    const large = heap.realloc(moved, 20_000);
    expect(heap.realloc(large, 30_000)).toBe(large);
    const small = heap.realloc(large, 3);
    expect(heap.sizeOf(small)).toBe(8);
    expect([...heap.u8.subarray(small, small + 3)]).toEqual([1, 2, 3]);
    expect(heap.stats().objects).toBe(1);
  });
  test("realloc() of nothing allocates; of anything else it is an error", () => {
    const object = heap.realloc(0, 10);
    expect(heap.sizeOf(object)).toBe(16);
    expect(() => heap.realloc(object, 0)).toThrow("a size is an integer");
    expect(() => heap.realloc(object, NaN)).toThrow("a size is an integer");
    expect(() => heap.realloc(object + 8, 10)).toThrow("no object");
    expect(() => heap.realloc(object, 2 ** 33)).toThrow(HeapFullError);
    expect(heap.sizeOf(object)).toBe(16);
    heap.free(object);
    expect(() => heap.realloc(object, 10)).toThrow("is free");
  });
});

describe("view()", () => {
  test("shows all that may be used, or as many elements as asked for", () => {
    const object = heap.alloc(100);
    const doubles = heap.view(object, Float64Array);
    expect(doubles.length).toBe(16);
    doubles[0] = 1.5;
    expect(heap.f64[object >> 3]).toBe(1.5);
    expect(heap.view(object, Uint16Array, 3).length).toBe(3);
    expect(heap.view(object, DataView).byteLength).toBe(128);
    expect(heap.view(object, BigInt64Array, 0).length).toBe(0);
  });
  test.each([-1, 17, NaN, 1.5, Infinity])("a length of %s is an error", (length) => {
    const object = heap.alloc(128);
    expect(() => heap.view(object, Float64Array, length)).toThrow("there is no room for");
  });
  test("of what is no object is an error", () => {
    expect(() => heap.view(0, Float64Array)).toThrow("no object");
    const object = heap.alloc(8);
    heap.free(object);
    expect(() => heap.view(object, Float64Array)).toThrow("is free");
    expect(() => heap.view(heap.alloc(8), Array as unknown as Float64ArrayConstructor)).toThrow("class of views");
    expect(() => heap.view(heap.alloc(8), undefined as unknown as Float64ArrayConstructor)).toThrow("class of views");
  });
  test("of a retired object is there for its readers", () => {
    const reader = attachHeap(descriptor);
    const object = heap.alloc(64);
    heap.i32[object >> 2] = 5;
    reader.readLock();
    heap.retire(object);
    expect(reader.view(object, Int32Array)[0]).toBe(5);
    reader.readUnlock();
  });
});

describe("cache()", () => {
  test("gives objects of one size, aligned", () => {
    const cache = heap.cache({ size: 40, align: 64 });
    const objects = Array.from({ length: 100 }, () => cache.alloc());
    expect(new Set(objects).size).toBe(100);
    for (const object of objects) expect(object % 64).toBe(0);
    expect(heap.sizeOf(objects[0])).toBe(40);
    cache.free(objects[0]);
    heap.free(objects[1]);
    cache.retire(objects[2]);
    heap.retire(objects[3]);
    expect(() => cache.free(objects[0])).toThrow("is free");
    expect(() => cache.free(heap.alloc(40))).toThrow("is not of the cache");
    expect(() => heap.cache({ size: 40 }).retire(objects[4])).toThrow("is not of the cache");
    expect(() => heap.realloc(objects[4], 41)).toThrow("have one size");
    expect(heap.realloc(objects[4], 8)).toBe(objects[4]);
    expect(heap.check()).toEqual([]);
  });
  test("runs the constructor once in the life of each object's memory, and objects keep their state", () => {
    let constructed = 0;
    const ctor = (object: number): void => {
      constructed++;
      heap.i32.fill(77, object >> 2, (object >> 2) + 4);
    };
    const cache = heap.cache({ size: 16, ctor });
    const objects = Array.from({ length: 500 }, () => cache.alloc());
    expect(constructed).toBe(500);
    for (const object of objects) cache.free(object);
    heap.barrier();
    for (let i = 0; i < 500; i++) {
      const object = cache.alloc();
      expect([...heap.i32.subarray(object >> 2, (object >> 2) + 4)]).toEqual([77, 77, 77, 77]);
      if (i % 2 === 0) cache.retire(object);
    }
    expect(constructed).toBeLessThan(1000);
    expect(heap.check()).toEqual([]);
  });
  test("also when the memory has been something else meanwhile", () => {
    const cache = heap.cache({ size: 64, ctor: (object) => heap.u8.fill(5, object, object + 64) });
    freeAll(fill(() => cache.alloc()));
    const others = fill(() => heap.alloc(64));
    for (const object of others) heap.u8.fill(0xff, object, object + 64);
    freeAll(others);
    for (const object of fill(() => cache.alloc())) {
      expect([heap.u8[object], heap.u8[object + 63]]).toEqual([5, 5]);
    }
  });
  test("a constructor may allocate", () => {
    const parts = heap.cache({ size: 32 });
    const ctor = (object: number): void => void (heap.i32[object >> 2] = parts.alloc());
    const wholes = heap.cache({ size: 16, ctor });
    const objects = Array.from({ length: 200 }, () => wholes.alloc());
    for (const object of objects) parts.free(heap.i32[object >> 2]);
    expect(heap.check()).toEqual([]);
  });
  test("a constructor that throws leaves nothing behind, and runs again", () => {
    let fail = true;
    const ctor = (object: number): void => {
      if (fail) throw new Error("not now");
      heap.i32[object >> 2] = 1;
    };
    const cache = heap.cache({ size: 16, ctor });
    for (let i = 0; i < 3; i++) expect(() => cache.alloc()).toThrow("not now");
    expect(heap.stats().objects).toBe(0);
    fail = false;
    expect(heap.i32[cache.alloc() >> 2]).toBe(1);
    expect(heap.check()).toEqual([]);
  });
  test("a name makes it one cache for all threads", () => {
    const other = attachHeap(descriptor);
    const a = heap.cache({ size: 24, name: "node" });
    const b = other.cache({ size: 24, name: "node" });
    const object = a.alloc();
    b.free(object);
    expect(() => a.free(object)).toThrow("is free");
    expect(() => other.cache({ size: 32, name: "node" })).toThrow("have 24 bytes, not 32");
    expect(() => other.cache({ size: 24, name: "node", ctor: () => undefined })).toThrow("no constructor");
    heap.cache({ size: 24, name: "made", ctor: () => undefined });
    expect(() => other.cache({ size: 24, name: "made" })).toThrow("a constructor: pass one");
    expect(() => other.cache({ size: 24, name: "node", align: 4096 })).toThrow("at multiples of 8, not of 4096");
    heap.cache({ size: 24, name: "page", align: 4096 });
    expect(other.cache({ size: 24, name: "page" }).alloc() % 4096).toBe(0);
  });
  test("what other threads keep at hand makes room for one", () => {
    const other = attachHeap(descriptor);
    const objects: number[] = [];
    for (let bytes = 8192; bytes >= 8; bytes >>= 1) {
      expect(() => {
        for (;;) objects.push(heap.alloc(bytes));
      }).toThrow(HeapFullError);
    }
    expect(() => heap.cache({ size: 100 })).toThrow("no memory for one more");
    for (const object of objects.slice(0, 20)) other.free(object);
    heap.free(heap.cache({ size: 100 }).alloc());
  });
  test.each([
    [{ size: 0 }, "size must be 1 to 8192"],
    [{ size: NaN }, "size must be"],
    [{ size: 8193 }, "size must be"],
    [{ size: 8, align: 24 }, "align must be a power of two"],
    [{ size: 8, align: 4 }, "align must be"],
    [{ size: 8, name: "" }, "a name has 1 to 24"],
    [{ size: 8, name: "x".repeat(25) }, "a name has 1 to 24"],
    [{ size: 8, name: "é" }, "a name has 1 to 24"],
    [{ size: 8, name: "cache-2" }, "a name of caches without one"],
    [undefined as unknown as { size: number }, "size must be"],
    [{ size: 8, ctor: 5 as unknown as () => void }, "ctor must be a function"],
  ])("%j is an error", (options, message) => {
    expect(() => heap.cache(options)).toThrow(message);
  });
  test("there is room for a hundred of them", () => {
    heap.cache({ size: 8, name: "first" });
    expect(() => {
      for (;;) heap.cache({ size: 8 });
    }).toThrow("there are 110 caches already");
    heap.free(heap.cache({ size: 8, name: "first" }).alloc());
  });
});
