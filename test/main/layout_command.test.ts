/** `sheaf layout`: the pahole view of structs, and the map. */
import { describe, expect, test } from "vitest";
import { main } from "../../src/main/cli.ts";
import { describeMap, describeStruct, STRUCTS } from "../../src/main/layout_command.ts";
import { MachineMap } from "../../src/shared/layout/map.ts";
import { aligned, array, atomic32, overlay, ptr, struct, u32, ulong } from "../../src/shared/mem/struct.ts";

describe("a struct", () => {
  const Example = struct("example", {
    a: u32,
    b: ulong,
    c: ptr("page"),
    over_c: overlay("c", u32),
    d: array(atomic32, 3),
    e: aligned(64, u32),
  });
  const lines = describeStruct(Example).split("\n");
  const line = (name: string): string | undefined =>
    lines.find((each) => each.includes(` ${name}`) || each.includes(`*${name}`));

  test("shows offset and size of each member", () => {
    expect(line("a;")).toMatch(/u32 a;\s+\/\* +0 +4 \*\//);
    expect(line("b;")).toMatch(/unsigned long b;\s+\/\* +8 +8 \*\//);
    expect(line("c;")).toMatch(/page \*c;\s+\/\* +16 +8 \*\//);
    expect(line("over_c;")).toMatch(/\/\* +16 +4 {2}shares \*\//);
    expect(line("d[3];")).toMatch(/\/\* +24 +12 {2}atomic \*\//);
    expect(line("e;")).toMatch(/\/\* +64 +4 \*\//);
  });
  test("shows holes and padding", () => {
    expect(lines).toContain("\t/* XXX 4 bytes hole */");
    expect(lines).toContain("\t/* XXX 28 bytes hole */");
    expect(lines).toContain("\t/* sum holes: 32 */");
    expect(lines).toContain("\t/* padding: 60 */");
    expect(lines).toContain("\t/* size: 128, align: 64, members: 6 */");
  });
});

test("knows every struct once, the per-CPU section and the globals included", () => {
  const names = STRUCTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of ["list_head", "slab", "kmem_cache", "rcu_node", "percpu", "globals"])
    expect(names).toContain(name);
});

test("the map covers the memory without gaps in order", () => {
  const map = new MachineMap({ bytes: 4 << 20, cpus: 2, nodes: 2 });
  const addresses = [...describeMap(map).matchAll(/^ {2}0x([0-9a-f]{8})/gm)].map(([, hex]) => parseInt(hex, 16));
  const { globals, memMap, vmapAreas, vmalloc } = map;
  const before = [0, globals, map.section(0), map.section(1), memMap, vmapAreas];
  expect(addresses).toEqual([...before, ...nodes(map), vmalloc, 4 << 20]);
  expect(addresses).toEqual(addresses.toSorted((a, b) => a - b));
});
function nodes(map: MachineMap): number[] {
  return [0, 1].map((node) => map.pages + node * map.pagesPerNode * 4096);
}

test("prints one struct by name, and all of them with the map", async () => {
  const out: string[] = [];
  const output = { out: (line: string) => void out.push(line), err: () => undefined, progress: undefined };
  expect(await main(["layout", "list_head"], output)).toBe(0);
  expect(out).toHaveLength(1);
  expect(out[0]).toMatch(/^struct list_head \{/);
  expect(await main(["layout", "--cpus", "2", "--memory", "4MiB"], output)).toBe(0);
  expect(out.slice(1)).toHaveLength(STRUCTS.length + 1);
  expect(out.at(-1)).toContain("memory map, 4MiB, 2 CPUs");
});
