/** The worked example: the map, on one thread against a Map, and its program on real threads. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { SharedMap } from "../../../examples/hash-map.ts";
import { attachHeap, createHeap } from "../../../src/main/heap/index.ts";
import { Random } from "../../../src/shared/base/random.ts";

test("the map does what a Map does, and gives all memory back", () => {
  const heap = attachHeap(createHeap({ bytes: 4 << 20, cpus: 2 }));
  const other = attachHeap(heap.descriptor);
  const maps = [SharedMap.create(heap)];
  maps.push(SharedMap.at(other, maps[0].address));
  const model = new Map<number, number>();
  const random = new Random(3);
  for (let i = 0; i < 5000; i++) {
    const map = maps[random.below(2)];
    const key = random.below(400) - 200;
    if (random.chance(0.3)) {
      expect(map.delete(key)).toBe(model.delete(key));
    } else {
      map.set(key, i);
      model.set(key, i);
    }
    expect(map.get(key)).toBe(model.get(key));
    expect(map.size).toBe(model.size);
  }
  const found = new Map<number, number>();
  maps[0].forEach((key, value) => found.set(key, value));
  expect(found).toEqual(model);
  heap.barrier();
  maps[0].destroy();
  expect(heap.stats()).toMatchObject({ objects: 0, retired: 0 });
  expect(heap.check()).toEqual([]);
});

test("its program ends well", async () => {
  const file = fileURLToPath(new URL("../../../examples/hash-map-workers.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 50_000 });
  expect(stdout).toMatch(/^40000 writes, \d+ and \d+ lookups, \d+ grace periods; nothing was lost\n$/);
});
