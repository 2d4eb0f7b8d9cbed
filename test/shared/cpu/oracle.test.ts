/** How kernel code reports to the oracle: faults stop the machine with all that is known, and a rebuild says nothing. */
import { expect, test } from "vitest";
import { MachineBug } from "../../../src/shared/base/verdict.ts";
import { push_context } from "../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import {
  oracle_barrier_begin,
  oracle_barrier_end,
  oracle_grace_period_begin,
  oracle_grace_period_end,
  oracle_issued,
  oracle_move,
  oracle_reader_enter,
  oracle_reader_exit,
  oracle_slab,
} from "../../../src/shared/cpu/oracle.ts";
import { describe_object } from "../../../src/shared/cpu/oracle_report.ts";
import { CTX_HARDIRQ, CTX_NMI } from "../../../src/shared/layout/cpu.ts";
import { Page, PGTY_large_kmalloc, PGTY_slab, PGTY_tail } from "../../../src/shared/layout/page.ts";
import { KmemCache, Slab } from "../../../src/shared/layout/slab.ts";
import { VmapArea } from "../../../src/shared/layout/vmalloc.ts";
import { NULL_ORACLE, O_FREELIST, O_KRC, O_NONE, O_SHEAF, O_USER } from "../../../src/shared/mem/oracle.ts";
import { SharedOracle } from "../../../src/shared/mem/shared_oracle.ts";
import { element, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { sequentialMachine } from "../../machine.ts";

const BYTES = 4 << 20;
const SIZE = 64;
const COUNT = 64;

/** Two CPUs, and a slab of order 1 on pages 2 and 3 whose cache is at the start of page 0. */
function machine(): { cpus: readonly Cpu[]; oracle: SharedOracle; cache: Ptr<"kmem_cache">; base: number } {
  const oracle = SharedOracle.create(BYTES, 2);
  const { cpus, map } = sequentialMachine({ bytes: BYTES, cpus: 2 }, oracle);
  const mem = cpus[0].mem;
  const cache = map.pages as Ptr<"kmem_cache">;
  mem.poke(cache, KmemCache.offset.size, SIZE);
  mem.poke(cache, KmemCache.offset.object_size, SIZE - 8);
  mem.poke(cache, KmemCache.offset.name, 0x2d016f66); // "fo", a byte that is no letter, "-"
  mem.poke(cache, element(KmemCache.offset.name, 1), 0x3635);
  makeSlab(cpus[0], 2, cache);
  const base = map.pages + 2 * 4096;
  oracle_slab(cpus[0], base, SIZE, 2 * COUNT, O_NONE, O_FREELIST);
  return { cpus, oracle, cache, base };
}
function makeSlab(cpu: Cpu, index: number, cache: Ptr<"kmem_cache">): void {
  const page = (cpu.map.memMap + index * Page.size) as Ptr<"page">;
  const tail = (page + Page.size) as Ptr<"page">;
  cpu.mem.poke(page, Page.offset.type, PGTY_slab);
  cpu.mem.poke(page, Page.offset.order, 1);
  cpu.mem.poke(page as Ptr as Ptr<"slab">, Slab.offset.slab_cache, cache);
  cpu.mem.poke(page as Ptr as Ptr<"slab">, Slab.offset.objects, 2 * COUNT);
  cpu.mem.poke(tail, Page.offset.type, PGTY_tail);
  cpu.mem.poke(tail, Page.offset.compound_head, page);
}

test("a double free names object, slab, cache and what happened to the object", () => {
  const { cpus, base } = machine();
  const object = (base + 65 * SIZE) as Ptr;
  oracle_move(cpus[1], object, O_FREELIST, O_USER);
  push_context(cpus[0], CTX_HARDIRQ, 0);
  oracle_move(cpus[0], object, O_USER, O_SHEAF);
  push_context(cpus[1], CTX_NMI, 0);
  let message = "";
  try {
    oracle_move(cpus[1], object, O_USER, O_SHEAF);
  } catch (e) {
    expect(e).toBeInstanceOf(MachineBug);
    message = (e as MachineBug).message;
  }
  const hex = (n: number): string => `0x${n.toString(16)}`;
  expect(message.split("\n")).toEqual([
    `object ${hex(object)}: double free: CPU 1 moves it from user to sheaf, but it is in sheaf, where CPU 0 put it`,
    `  object 65 of 128 in the slab at ${hex(base)}, cache fo?-56, 56 bytes`,
    "  ticket 1, CPU 0 in task: none -> freelist, 128 objects of the slab",
    "  ticket 2, CPU 1 in task: freelist -> user",
    "  ticket 3, CPU 0 in hardirq: user -> sheaf",
  ]);
});

test("a slab that is not whole, and a grace period that is too short", () => {
  const { cpus, base } = machine();
  oracle_move(cpus[1], (base + SIZE) as Ptr, O_FREELIST, O_USER);
  expect(() => oracle_slab(cpus[0], base, SIZE, 2 * COUNT, O_FREELIST, O_NONE)).toThrow(/object 1 of 128 in the slab/);
  const key = (base + 5 * SIZE) as Ptr;
  oracle_reader_enter(cpus[1]);
  oracle_grace_period_begin(cpus[0], key);
  expect(() => oracle_grace_period_end(cpus[0], key)).toThrow(/too short on CPU 0.*reader on CPU 1/);
  oracle_reader_exit(cpus[1]);
  oracle_grace_period_end(cpus[0], key);
});

test("barriers: of all caches, and of one", () => {
  const { cpus, oracle, cache, base } = machine();
  const [cpu, other] = cpus;
  const object = (base + 3 * SIZE) as Ptr;
  const otherCache = (cache + 2048) as Ptr<"kmem_cache">;
  oracle_move(cpu, object, O_FREELIST, O_USER);
  oracle_move(cpu, object, O_USER, O_KRC);
  oracle_barrier_begin(other);
  oracle_issued(cpu, object);
  oracle_barrier_end(other, NULL);
  oracle_barrier_begin(other);
  oracle_barrier_begin(cpu);
  oracle_barrier_end(other, otherCache);
  expect(() => oracle_barrier_end(other, cache)).toThrow(/missed by kvfree_rcu_barrier_on_cache\(\) on CPU 1/);
  expect(() => oracle_barrier_end(cpu, NULL)).toThrow(
    /missed by kvfree_rcu_barrier\(\) on CPU 0[^]*object 3 of[^]*-> krc/,
  );
  expect(oracle.move(0, object, O_KRC, O_FREELIST, 0)).toBeUndefined();
  oracle_barrier_end(other, cache);
  oracle_barrier_end(cpu, NULL);
});

test("nothing is reported during a rebuild, nor to NULL_ORACLE", () => {
  const { cpus, oracle, base } = machine();
  const before = new Int32Array(oracle.buffer).slice();
  const mem = Object.create(cpus[0].mem, { rebuilding: { value: true } }) as Cpu["mem"];
  const rebuilt = Object.create(cpus[0], { mem: { value: mem } }) as Cpu;
  const { cpus: unwatched } = sequentialMachine();
  for (const cpu of [rebuilt, unwatched[0]]) {
    const object = base as Ptr;
    oracle_move(cpu, object, O_KRC, O_USER);
    oracle_slab(cpu, base, SIZE, COUNT, O_USER, O_NONE);
    oracle_reader_enter(cpu);
    oracle_grace_period_begin(cpu, object);
    oracle_grace_period_end(cpu, (object + 8) as Ptr);
    oracle_reader_exit(cpu);
    oracle_issued(cpu, object);
    oracle_barrier_begin(cpu);
    oracle_barrier_end(cpu, NULL);
  }
  expect(new Int32Array(oracle.buffer)).toEqual(before);
  expect(NULL_ORACLE.active).toBe(false);
});

test("describe_object() knows slabs, large kmallocs, and what is neither", () => {
  const { cpus, base } = machine();
  const { mem, map } = cpus[0];
  expect(describe_object(mem, map, base + SIZE + 24)).toMatch(/^24 bytes into object 1 of 128 in the slab at/);
  expect(describe_object(mem, map, 64)).toBe("no page: a word of the globals, of a CPU or of mem_map");
  expect(describe_object(mem, map, map.vmallocEnd)).toBe("behind the last page");
  const page = (map.memMap + 8 * Page.size) as Ptr<"page">;
  expect(describe_object(mem, map, map.pages + 8 * 4096)).toMatch(/which is no slab now \(type 0\)/);
  mem.poke(page, Page.offset.type, PGTY_large_kmalloc);
  mem.poke(page, Page.offset.order, 2);
  expect(describe_object(mem, map, map.pages + 8 * 4096)).toMatch(/^large kmalloc of 16384 bytes at 0x/);
});
test("describe_object() knows vmalloc blocks, their guard pages, and what is in no block", () => {
  const { cpus } = machine();
  const { mem, map } = cpus[0];
  const page = (n: number): number => map.vmalloc + n * 4096;
  const va = (map.vmapAreas + 2 * VmapArea.size) as Ptr<"vmap_area">;
  mem.poke(va, VmapArea.offset.va_start, page(2));
  mem.poke(va, VmapArea.offset.va_end, page(5));
  const block = `vmalloc block of 8192 bytes at 0x${page(2).toString(16)}`;
  expect(describe_object(mem, map, page(2))).toBe(block);
  expect(describe_object(mem, map, page(3) + 8)).toBe(`4104 bytes into ${block}`);
  expect(describe_object(mem, map, page(4))).toBe(`in the guard page of ${block}`);
  for (const n of [0, 1, 5, 6]) expect(describe_object(mem, map, page(n))).toBe("in the vmalloc area, in no block");
});
