/** The map of the buffer: whatever the shape, its regions do not overlap, hold what they are for, and end in it. */
import { expect, test } from "vitest";
import { PAGE_SIZE } from "../../../src/shared/base/limits.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { MachineMap, shapeProblem } from "../../../src/shared/layout/map.ts";
import { Page } from "../../../src/shared/layout/page.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { VmapArea } from "../../../src/shared/layout/vmalloc.ts";

const MIB = 1 << 20;
const SHAPES = [MIB, 1.5 * MIB, 4 * MIB, 64 * MIB, 2047 * MIB].flatMap((bytes) =>
  [1, 2, 3, 31].flatMap((cpus) => [1, 2, 4].map((nodes) => ({ bytes, cpus, nodes }))),
);

test.each(SHAPES)("$bytes bytes, $cpus CPUs, $nodes nodes", (shape) => {
  if (shapeProblem(shape) !== undefined) {
    expect(shape.bytes).toBeLessThan(2 * MIB);
    return;
  }
  const map = new MachineMap(shape);
  const { bytes, cpus, nodes } = shape;
  const regions: readonly (readonly [start: number, bytes: number, align: number])[] = [
    [map.globals, Globals.size, 64],
    ...Array.from({ length: cpus }, (_, id) => [map.section(id), PerCpu.size, 64] as const),
    [map.memMap, map.nrPages * Page.size, 64],
    [map.vmapAreas, map.nrVmallocPages * VmapArea.size, 64],
    [map.pages, map.nrPages * PAGE_SIZE, PAGE_SIZE],
    [map.vmalloc, map.nrVmallocPages * PAGE_SIZE, PAGE_SIZE],
    [bytes, 0, PAGE_SIZE],
  ];
  let end = PAGE_SIZE;
  for (const [start, size, align] of regions) {
    expect(start).toBeGreaterThanOrEqual(end);
    expect(start % align).toBe(0);
    end = start + size;
  }
  expect(map.vmallocEnd).toBe(map.vmalloc + map.nrVmallocPages * PAGE_SIZE);
  // Nearly all of the rest is pages, and an eighth of these, but at least 16, are for vmalloc().
  const pages = map.nrPages + map.nrVmallocPages;
  expect(bytes - map.memMap - pages * (PAGE_SIZE + Page.size)).toBeLessThan((nodes + 2) * PAGE_SIZE);
  expect(map.nrPages).toBe(nodes * map.pagesPerNode);
  expect(map.nrVmallocPages).toBeGreaterThanOrEqual(16);
  expect(map.nrVmallocPages / pages).toBeCloseTo(1 / 8, 1);
});

test("a last node without memory: the others share the pages", () => {
  const shape = { bytes: 4 * MIB, cpus: 4, nodes: 3 };
  const [all, two] = [new MachineMap(shape), new MachineMap({ ...shape, memless: true })];
  expect(two.nrPages).toBe(2 * two.pagesPerNode);
  expect(two.pagesPerNode).toBeGreaterThan(all.pagesPerNode);
  expect(all.nrPages - two.nrPages).toBeLessThan(3);
  expect([0, 1, 2, 3].map((id) => two.nodeOfCpu(id))).toEqual([0, 1, 2, 0]);
});
test("some node has memory", () => {
  expect(shapeProblem({ bytes: MIB, cpus: 1, nodes: 1, memless: true })).toBe(
    "a node must have memory: give more nodes",
  );
  expect(shapeProblem({ bytes: MIB, cpus: 1, nodes: 2, memless: true })).toBeUndefined();
});

test("a machine needs room for pages beside the vmalloc area", () => {
  expect(shapeProblem({ bytes: MIB / 8, cpus: 1, nodes: 1 })).toMatch(/too small/);
  expect(shapeProblem({ bytes: MIB, cpus: 4, nodes: 2 })).toBeUndefined();
});
