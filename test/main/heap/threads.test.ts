/** The heap on real threads: objects that change hands, readers under reuse, idle slots, and threads that die. */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  attachHeap,
  closeHeap,
  createHeap,
  type Heap,
  HeapDeadError,
  type HeapDescriptor,
} from "../../../src/main/heap/index.ts";
import { Barrier } from "../../../src/main/heap/waits.ts";
import { Calls } from "../../../src/main/heap/calls.ts";
import { CLASS_BY_GRANULES, Classes } from "../../../src/main/heap/classes.ts";
import { GRANULE, HeapGlobals, HeapMap, HeapSlot } from "../../../src/main/heap/layout.ts";
import { OWNER_MASK, REAPER_TOKEN } from "../../../src/main/heap/owner.ts";
import { P_KICK } from "../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { Zone } from "../../../src/shared/layout/page.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { Spinlock } from "../../../src/shared/layout/types.ts";
import { take_census } from "../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { embedded, embedded_at } from "../../../src/shared/mem/struct.ts";
import { checkObject, MAGIC, MAILBOX, MAILBOX_WORDS, type ThreadData, type ThreadMessage } from "./thread.ts";

const GO = 0;
let descriptor: HeapDescriptor;
let heap: Heap;
let words: Int32Array;
let threads: Thread[];

class Thread {
  readonly worker: Worker;
  readonly notes: string[] = [];
  slot = -1;
  id = -1;
  /** How the program ended: "" if well. */
  readonly ended: Promise<string>;
  readonly exited: Promise<unknown>;
  private readonly started: Promise<void>;

  constructor(program: ThreadData["program"], seed = 1, count = 0, lockTimeoutMs = 20_000) {
    const workerData: ThreadData = { heap: descriptor, program, words, seed, count, lockTimeoutMs };
    this.worker = new Worker(new URL("./thread.ts", import.meta.url), { workerData });
    this.exited = once(this.worker, "exit");
    const { promise: started, resolve: start } = Promise.withResolvers<void>();
    this.started = started;
    this.ended = new Promise((resolve, reject) => {
      this.worker.once("error", reject);
      this.worker.on("message", (message: ThreadMessage) => {
        if (message.kind === "attached") {
          this.slot = message.slot;
          this.id = message.thread;
          start();
        } else if (message.kind === "note") this.notes.push(message.text);
        else resolve(message.text);
      });
    });
    threads.push(this);
  }
  attached(): Promise<unknown> {
    return Promise.race([this.started, this.ended]);
  }
  async noted(): Promise<string> {
    await until(() => this.notes.length > 0);
    return this.notes[0];
  }
}
/** Polls, for a bounded time. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 3000) throw new Error("it did not come true in time");
    await delay(10);
  }
}
const go = (): void => {
  Atomics.store(words, GO, 1);
  Atomics.notify(words, GO);
};

/** How many objects for `bytes` bytes the kernel has given out, to whomever. */
function givenOut(bytes: number): number {
  const map = new HeapMap(descriptor);
  const { cpus } = new Calls(descriptor.buffer, map, REAPER_TOKEN, 1000);
  const { cache } = new Classes(cpus[0], map, false).get(CLASS_BY_GRANULES[Math.ceil(bytes / GRANULE)]);
  const { inuse, cached } = take_census(cpus[0], cache);
  return inuse - cached.size;
}

function newHeap(cpus: number, debug = false): void {
  descriptor = createHeap({ bytes: 8 << 20, cpus, debug });
  heap = attachHeap(descriptor, { stallTimeoutMs: 20_000 });
}
beforeEach(() => {
  newHeap(4);
  words = new Int32Array(new SharedArrayBuffer(4 * (MAILBOX + MAILBOX_WORDS)));
  threads = [];
});
afterEach(async () => {
  go();
  await Promise.all(threads.map(({ worker }) => worker.terminate()));
});

describe("objects that change hands", () => {
  test("are whole, and none is lost or given out twice; check() finds nothing at any time", async () => {
    const exchangers = [1, 2, 3].map((seed) => new Thread("exchange", seed, 15_000));
    const outcomes = Promise.all(exchangers.map((thread) => thread.ended));
    await Promise.all(exchangers.map((thread) => thread.attached()));
    let checks = 0;
    do {
      expect(heap.check()).toEqual([]);
      checks++;
    } while ((await Promise.race([outcomes, delay(20)])) === undefined);
    expect(checks).toBeGreaterThan(1);
    expect(await outcomes).toEqual(["", "", ""]);
    await Promise.all(exchangers.map((thread) => thread.exited));
    for (let i = MAILBOX; i < MAILBOX + MAILBOX_WORDS; i++) {
      if (words[i] === 0) continue;
      checkObject(heap, words[i]);
      heap.free(words[i]);
    }
    await heap.barrierAsync();
    expect(heap.stats()).toMatchObject({ objects: 0, retired: 0, threads: [{ slot: 0, thread: 0 }] });
    expect(heap.check()).toEqual([]);
  });
});

describe("readers", () => {
  test("never see memory that is used again", async () => {
    const first = heap.alloc(32);
    heap.i32.set([0, MAGIC], first >> 2);
    words[MAILBOX] = first;
    const readers = [new Thread("read"), new Thread("read")];
    await Promise.all(readers.map((thread) => thread.attached()));
    const updater = new Thread("update", 1, 25_000);
    expect(await Promise.all([updater, ...readers].map((thread) => thread.ended))).toEqual(["", "", ""]);
    for (const reader of readers) expect(Number(reader.notes[0])).toBeGreaterThan(0);
    await heap.barrierAsync();
    expect(heap.stats()).toMatchObject({ objects: 1, retired: 0 });
    expect(heap.stats().gracePeriods).toBeGreaterThan(10);
    expect(heap.check()).toEqual([]);
  });
  test("one that does not end is named to a worker that waits, which goes on when it ends", async () => {
    const holder = new Thread("hold");
    expect(await holder.noted()).toBe("reading");
    const waiter = new Thread("synchronize");
    expect(await waiter.noted()).toContain(`slot ${holder.slot} (thread ${holder.id}), which is in a read section`);
    go();
    expect(await waiter.ended).toBe("");
  });
});

describe("a slot whose thread is elsewhere", () => {
  test.each(["compute", "idle"] as const)("(%s) is served by others", async (program) => {
    const thread = new Thread(program, 1, 200);
    await thread.attached();
    await until(() => program === "idle" || thread.notes.length > 0);
    if (program === "idle") expect(await thread.ended).toBe("");
    heap.synchronize();
    heap.barrier();
    expect(heap.stats()).toMatchObject({ objects: 0, retired: 0 });
    await heap.synchronizeAsync();
    expect(heap.check()).toEqual([]);
  });
  test("does itself what somebody announced and did not do", async () => {
    const thread = new Thread("idle");
    expect(await thread.ended).toBe(""); // From now on it makes no calls.
    const pending = embedded(new HeapMap(descriptor).machine.section(thread.slot), PerCpu.offset.pending) >> 2;
    const all = new Int32Array(descriptor.buffer);
    Atomics.or(all, pending, P_KICK);
    Atomics.notify(all, pending);
    await until(() => Atomics.load(all, pending) === 0);
  });
});

describe("slots", () => {
  test("run out with a clear error, and come back when a worker ends", async () => {
    const holders = [new Thread("compute"), new Thread("compute"), new Thread("compute")];
    await Promise.all(holders.map((thread) => thread.attached()));
    expect(await new Thread("idle").ended).toContain("HeapFullError: attachHeap(): all 4 slots are taken, by threads");
    go();
    await Promise.all(holders.map((thread) => thread.exited));
    expect(heap.stats().threads.length).toBe(1);
    expect(await new Thread("synchronize").ended).toBe("");
  });
  test("of a thread that is terminated are emptied, its read section ends, its objects stay", async () => {
    const thread = new Thread("hold");
    await thread.noted();
    const object = heap.alloc(64);
    heap.retire(object);
    const over = heap.synchronizeAsync();
    await thread.worker.terminate();
    await over;
    expect(heap.stats().threads.length).toBe(1);
    heap.barrier();
    expect(heap.stats()).toMatchObject({ objects: 0, retired: 0 });
    expect(heap.check()).toEqual([]);
  });
  test("all that a terminated thread had at hand is given back", async () => {
    const before = givenOut(100);
    const thread = new Thread("compute", 1, 1000);
    await thread.noted();
    expect(givenOut(100)).toBeGreaterThan(before);
    await thread.worker.terminate();
    heap.barrier();
    expect(givenOut(100)).toBe(before);
    expect(heap.stats()).toMatchObject({ objects: 0, retired: 0, threads: [{ slot: 0 }] });
    expect(heap.check()).toEqual([]);
  });
});

describe("never a hang", () => {
  /** Makes the page allocator's lock one that is held by nobody who would ever release it. */
  function takeZoneLock(): void {
    const map = new HeapMap(descriptor);
    const zone = embedded_at(map.machine.globals, Globals.offset.zones, 0, Zone.size);
    const lock = (embedded(zone, Zone.offset.lock) + Spinlock.offset.val) >> 2;
    Atomics.store(new Int32Array(descriptor.buffer), lock, map.readersCpu + 1);
  }
  const ownerIndex = (slot: number): number => (new HeapMap(descriptor).slot(slot) + HeapSlot.offset.owner) >> 2;

  test("a thread that dies inside a call ends the heap for all", async () => {
    takeZoneLock();
    const [victim, other] = [new Thread("allocate", 1, 0, Infinity), new Thread("allocate", 1, 0, Infinity)];
    const all = new Int32Array(descriptor.buffer);
    const isInside = ({ slot }: Thread): boolean => slot >= 0 && Atomics.load(all, ownerIndex(slot)) !== 0;
    await until(() => isInside(victim) && isInside(other));
    await victim.worker.terminate();
    expect(await other.ended).toContain(`HeapDeadError: this heap can no longer be used: thread ${victim.id}`);
    expect(() => heap.alloc(8)).toThrow(HeapDeadError);
    expect(() => heap.alloc(8)).toThrow(`thread ${victim.id} (slot ${victim.slot}) died inside a call`);
    expect(() => attachHeap(descriptor)).toThrow("died inside a call");
    await expect(heap.synchronizeAsync()).rejects.toThrow("died inside a call");
  });
  test("so does a lock that is not released, if nobody has seen its holder die", async () => {
    takeZoneLock();
    expect(await new Thread("allocate", 1, 0, 100).ended).toContain("not released within 100 ms");
    expect(() => heap.alloc(8)).toThrow("not released within 100 ms");
  });
  test("and a call that does not end", async () => {
    const thread = new Thread("exchange", 1, 1e9, 100);
    await thread.attached();
    const all = new Int32Array(descriptor.buffer);
    await until(() => Atomics.compareExchange(all, ownerIndex(thread.slot), 0, heap.slot + 1) === 0);
    expect(await thread.ended).toContain("thread 0 (slot 0) has been inside a call for 100 ms");
  });
  test("but not a check that takes its time", async () => {
    const thread = new Thread("exchange", 1, 20_000, 1000);
    await thread.attached();
    const calls = new Calls(descriptor.buffer, new HeapMap(descriptor), REAPER_TOKEN, 1000);
    calls.stopped(() => Atomics.wait(words, 1, 0, 2500));
    expect(await thread.ended).toBe("");
  });
  describe("a barrier", () => {
    test("ends with the heap", async () => {
      attachHeap(descriptor).readLock();
      heap.retire(heap.alloc(64));
      const pending = heap.barrierAsync();
      closeHeap(descriptor);
      expect(() => heap.alloc(100_000)).toThrow("it was closed"); // This call keeps its slot.
      await expect(pending).rejects.toThrow("it was closed");
      for (let i = 0; i < 4; i++) expect(() => heap.barrier()).toThrow("it was closed"); // Nor does it matter how many do.
      await expect(heap.barrierAsync()).rejects.toThrow("it was closed");
    });
    test("ends when a thread dies inside a call", async () => {
      takeZoneLock();
      const victim = new Thread("allocate", 1, 0, Infinity);
      const all = new Int32Array(descriptor.buffer);
      await until(() => victim.slot >= 0 && Atomics.load(all, ownerIndex(victim.slot)) !== 0);
      const over = expect(heap.barrierAsync()).rejects.toThrow("died inside a call");
      await delay(50);
      await victim.worker.terminate();
      await over;
    });
    test.each(["blocks", "awaits"])("that %s ends when a call does not", async (way) => {
      heap = attachHeap(descriptor, { lockTimeoutMs: 200, stallTimeoutMs: 5000, onStall: () => undefined });
      Atomics.store(new Int32Array(descriptor.buffer), ownerIndex(2), 1); // As if slot 0's thread were in a call there.
      const message = "thread 0 (slot 0) has been inside a call for 200 ms";
      if (way === "blocks") expect(() => heap.barrier()).toThrow(message);
      else await expect(heap.barrierAsync()).rejects.toThrow(message);
    });
    test("does not mind that somebody is inside at each look, in another call each time", () => {
      const map = new HeapMap(descriptor);
      const calls = new Calls(descriptor.buffer, map, REAPER_TOKEN, 200);
      const barrier = new Barrier(calls, new Classes(calls.cpus[0], map, false));
      const all = new Int32Array(descriptor.buffer);
      for (let looks = 0; looks < 60; looks++) {
        Atomics.store(all, ownerIndex(2), 1); // No mark: the call that was refused before is over.
        expect(barrier.advance()).toBe(false);
        Atomics.wait(words, 1, 0, 10);
      }
      Atomics.store(all, ownerIndex(2), 0);
      expect(barrier.advance()).toBe(true);
    });
  });
  test("nor many short waits that are longer together", async () => {
    heap = attachHeap(descriptor, { lockTimeoutMs: 500 });
    const thread = new Thread("check", 1, 0, 500);
    await thread.attached();
    for (const end = performance.now() + 3000; performance.now() < end;) expect(heap.check()).toEqual([]);
    go();
    expect(await thread.ended).toBe("");
  });
  test("a check that cannot take all slots gives back those that it has taken", () => {
    const map = new HeapMap(descriptor);
    const calls = new Calls(descriptor.buffer, map, REAPER_TOKEN, 50);
    const all = new Int32Array(descriptor.buffer);
    Atomics.store(all, ownerIndex(2), 1); // As if the thread of slot 0 were in a call there.
    expect(() => calls.stopped(() => "taken")).toThrow("thread 0 (slot 0) has been inside a call for 50 ms");
    expect([0, 1, 2, 3].map((slot) => Atomics.load(all, ownerIndex(slot)) & OWNER_MASK)).toEqual([0, 0, 1, 0]);
    expect(Atomics.load(all, (map.globals + HeapGlobals.offset.checkers) >> 2)).toBe(0);
  });
});

test.each([false, true])("stats and leaks bear that others free what they count, debug: %s", async (debug) => {
  newHeap(2, debug);
  const thread = new Thread("churn");
  await thread.attached();
  let most = 0;
  for (const end = performance.now() + 2000; performance.now() < end;) {
    const { objects, objectBytes } = heap.stats();
    most = Math.max(most, objects);
    expect(objectBytes).toBeLessThan(descriptor.bytes);
    if (debug) expect(heap.leaks().every(({ site }) => site.includes("thread.ts"))).toBe(true);
  }
  expect(most).toBeGreaterThan(0);
  go();
  expect(await thread.ended).toBe("");
  await heap.barrierAsync();
  expect(heap.stats()).toMatchObject({ objects: 0, objectBytes: 0 });
});

test("leaks are reported by call site, also those of threads that are gone", async () => {
  newHeap(2, true);
  const thread = new Thread("leak");
  expect(await thread.ended).toBe("");
  await thread.worker.terminate();
  heap.alloc(10);
  const [first, second] = heap.leaks();
  expect(first).toMatchObject({ objects: 5, bytes: 5 * 1024 });
  expect(first.site).toMatch(/^leakyFunction \(.*thread\.ts:\d+:\d+\)$/);
  expect(second).toMatchObject({ objects: 1, bytes: 16 });
  expect(second.site).toContain("threads.test.ts");
});
