/** `sheaf layout --compare-heads`: the numbers are those of real caches, and the tables say what the numbers say. */
import { describe, expect, test } from "vitest";
import { main } from "../../src/main/cli.ts";
import { compareHeads, formatComparison, OBJECTS, type Heads, type Placement } from "../../src/main/compare_heads.ts";
import { KmemCache } from "../../src/shared/layout/slab.ts";
import { kmem_cache_create, kmem_cache_destroy } from "../../src/shared/linux/api.ts";
import { KMALLOC_NORMAL, kmalloc_cache, kmalloc_size_index } from "../../src/shared/linux/mm/slub/size_class.ts";
import type { Ptr } from "../../src/shared/mem/struct.ts";
import { TestMachine } from "../shared/linux/mm/kvfree_rcu/machine.ts";

const { size: SIZE, oo: OO } = KmemCache.offset;
const both = ({ kvfree_rcu_head, rcu_head }: Heads): Placement[] => [kvfree_rcu_head, rcu_head];

test("each size from 8 to 256 once, and with the other head 8 bytes more", () => {
  const sizes = compareHeads(4).map(({ kmalloc }) => both(kmalloc).map(({ struct_size }) => struct_size));
  expect(sizes).toEqual(Array.from({ length: 32 }, (_, i) => [8 * i + 8, 8 * i + 16]));
});

test.each([1, 2, 4, 16])("on a machine with %i CPUs the caches are so", (cpus) => {
  const m = new TestMachine({ cpus, bytes: 8 << 20 });
  const [cpu] = m.cpus;
  const found = (s: Ptr<"kmem_cache">): [number, number] => [cpu.mem.peek(s, SIZE), cpu.mem.peek(s, OO)];
  const said = ({ size, order, objects_per_slab }: Placement): [number, number] => [
    size,
    (order << 16) | objects_per_slab,
  ];
  for (const { kmalloc, cache } of compareHeads(cpus)) {
    for (const placement of both(kmalloc)) {
      const bucket = kmalloc_size_index(placement.struct_size);
      expect(said(placement)).toEqual(found(kmalloc_cache(cpu, KMALLOC_NORMAL, bucket)));
    }
    for (const placement of both(cache)) {
      const s = kmem_cache_create(cpu, "compared", placement.struct_size);
      expect(said(placement)).toEqual(found(s));
      kmem_cache_destroy(cpu, s);
    }
  }
});

test("waste and memory follow from the slabs", () => {
  for (const { kmalloc, cache } of compareHeads(4)) {
    for (const { struct_size, objects_per_slab, order, waste, memory } of [...both(kmalloc), ...both(cache)]) {
      expect((struct_size + waste) * objects_per_slab).toBeCloseTo(4096 << order);
      expect(memory).toBeGreaterThanOrEqual(OBJECTS * (struct_size + waste) - 1);
      expect(memory - OBJECTS * (struct_size + waste)).toBeLessThan(4096 << order);
    }
  }
});

test("the smaller head saves half of what kmalloc() takes where it saves a bucket, else nothing", () => {
  const at = (struct_size: number): Heads | undefined =>
    compareHeads(4).find(({ kmalloc }) => kmalloc.kvfree_rcu_head.struct_size === struct_size)?.kmalloc;
  expect(at(32)).toMatchObject({
    kvfree_rcu_head: { size: 32, objects_per_slab: 128, order: 0, waste: 0, memory: 7813 * 4096 },
    rcu_head: { struct_size: 40, size: 64, objects_per_slab: 64, order: 0, waste: 24, memory: 15_625 * 4096 },
  });
  expect(at(40)).toMatchObject({ kvfree_rcu_head: { size: 64 }, rcu_head: { size: 64 } });
  expect(at(256)).toMatchObject({ kvfree_rcu_head: { size: 256, order: 0 }, rcu_head: { size: 512, order: 1 } });
});

describe("the command", () => {
  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const out: string[] = [];
    const err: string[] = [];
    const output = {
      out: (line: string) => void out.push(line),
      err: (line: string) => void err.push(line),
      progress: undefined,
    };
    const code = await main(["layout", ...args], output);
    return { code, out: out.join("\n"), err: err.join("\n") };
  }
  test("prints two tables of 32 rows, as wide as a terminal", async () => {
    const { code, out } = await run("--compare-heads", "--cpus", "2");
    expect(code).toBe(0);
    expect(out).toBe(formatComparison(compareHeads(2), 2));
    const lines = out.split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(lines.filter((line) => /^ *\d+ \|/.test(line))).toHaveLength(64);
    expect(lines.find((line) => line.startsWith("  32 |   40"))).toBe(
      "  32 |   40    32 |   64   128 |   64   0 |  0     0.0 |   24.0      30.5 |   61.0   50 %",
    );
    expect(lines.find((line) => line.startsWith("  40 |   48"))).toMatch(/61\.0 \| +61\.0 +-$/);
    expect(out).toContain("kmalloc(): 8 of 32 sizes take less memory, 15.7 bytes per object on average");
  });
  test("prints the same as JSON", async () => {
    const { out } = await run("--compare-heads", "--json");
    expect(JSON.parse(out)).toEqual({ cpus: 4, objects: OBJECTS, sizes: compareHeads(4) });
  });
  test("takes no struct, and has JSON for nothing else", async () => {
    const usage = async (...args: string[]): Promise<string> => {
      const { code, err } = await run(...args);
      return `${code}: ${err}`;
    };
    expect(await usage("--compare-heads", "page")).toMatch(/^2: .*takes no struct/);
    expect(await usage("--json")).toMatch(/^2: .*goes with --compare-heads/);
  });
});
