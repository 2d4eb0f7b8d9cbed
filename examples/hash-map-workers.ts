/**
 * The map of hash-map.ts on real threads: `node examples/hash-map-workers.ts`. Two writers set and delete keys, each its
 * own half; two readers look keys up and walk the whole map. Whoever finds something wrong throws. In the end the map must
 * hold exactly what the writers have left there, and the heap nothing else.
 */
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { attachHeap, createHeap, type HeapDescriptor } from "../src/main/heap/index.ts";
import { SharedMap } from "./hash-map.ts";

interface Part {
  readonly descriptor: HeapDescriptor;
  readonly map: number;
  /** Word 0: 1 when the writers have ended. */
  readonly done: Int32Array;
  readonly role: "writer" | "reader";
  readonly number: number;
}
const KEYS = 2_000;
const WRITES = 20_000;
/** What is stored under a key: readers know what they may find. */
const valueOf = (key: number, version: number): number => key * 16 + (version & 15);

function write(map: SharedMap, half: number): Map<number, number> {
  const mine = new Map<number, number>();
  let random = half + 1;
  for (let i = 0; i < WRITES; i++) {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    const key = 2 * ((random >>> 8) % KEYS) + half;
    if (i % 3 === 2) {
      if (map.delete(key) !== mine.delete(key)) throw new Error(`delete(${key})`);
    } else {
      map.set(key, valueOf(key, i));
      mine.set(key, valueOf(key, i));
    }
    if (map.get(key) !== mine.get(key)) throw new Error(`get(${key}) is not what was just written`);
  }
  return mine;
}
function read(map: SharedMap, done: Int32Array): number {
  let lookups = 0;
  const check = (key: number, value: number | undefined): void => {
    if (value !== undefined && value >> 4 !== key) throw new Error(`key ${key} has the value ${value}`);
  };
  while (Atomics.load(done, 0) === 0) {
    for (let i = 0; i < 1000; i++, lookups++) check(lookups % (2 * KEYS), map.get(lookups % (2 * KEYS)));
    map.forEach(check);
  }
  return lookups;
}

function runPart({ descriptor, map: address, done, role, number }: Part): void {
  const map = SharedMap.at(attachHeap(descriptor), address);
  const result = role === "writer" ? write(map, number) : read(map, done);
  parentPort?.postMessage(result, []);
}
async function runAll(): Promise<void> {
  const descriptor = createHeap({ bytes: 8 << 20, cpus: 5 });
  const heap = attachHeap(descriptor);
  const map = SharedMap.create(heap);
  const done = new Int32Array(new SharedArrayBuffer(4));
  const start = (role: Part["role"], number: number): Promise<unknown> => {
    const part: Part = { descriptor, map: map.address, done, role, number };
    // Rejects when the worker throws.
    return once(new Worker(new URL(import.meta.url), { workerData: part }), "message").then(
      ([result]) => result as unknown,
    );
  };
  const readers = [start("reader", 0), start("reader", 1)];
  const halves = (await Promise.all([start("writer", 0), start("writer", 1)])) as Map<number, number>[];
  Atomics.store(done, 0, 1);
  const lookups = await Promise.all(readers);

  const expected = halves.flatMap((half) => [...half]);
  for (const [key, value] of expected) {
    if (map.get(key) !== value) throw new Error(`key ${key} has the value ${map.get(key)}, not ${value}`);
  }
  if (map.size !== expected.length) throw new Error(`${map.size} keys, not ${expected.length}`);
  await heap.barrierAsync();
  const { objects, gracePeriods } = heap.stats();
  if (objects !== expected.length + 2)
    throw new Error(`${objects} objects, for ${expected.length} nodes, a table and a map`);
  map.destroy();
  const problems = heap.check();
  if (problems.length > 0 || heap.stats().objects !== 0) throw new Error(`not all is well: ${problems.join("; ")}`);
  console.log(
    `${2 * WRITES} writes, ${lookups.join(" and ")} lookups, ${gracePeriods} grace periods; nothing was lost`,
  );
}

if (isMainThread) await runAll();
else runPart(workerData as Part);
