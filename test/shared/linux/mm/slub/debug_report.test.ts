/** What a report says and in which order, what counts instead of being printed, validation, and what a shutdown finds. */
import { beforeEach, describe, expect, test } from "vitest";
import { CpuSlot } from "../../../../../src/shared/layout/cpu.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { KmemCacheNode, Slab, TRACK_ALLOC, TRACK_FREE } from "../../../../../src/shared/layout/slab.ts";
import {
  DEBUG_DEFAULT_FLAGS,
  SLAB_CONSISTENCY_CHECKS as F,
  SLAB_KMALLOC,
  SLAB_POISON as P,
  SLAB_RED_ZONE as Z,
  SLAB_STORE_USER as U,
} from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import {
  slab_errors,
  slab_kunit_begin,
  slab_kunit_end,
  slab_reports,
} from "../../../../../src/shared/linux/mm/slub/debug_report.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { get_node, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { read_track } from "../../../../../src/shared/linux/mm/slub/track.ts";
import { validate_slab_cache } from "../../../../../src/shared/linux/mm/slub/validate.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { type Cache, DebugMachine, type Obj } from "./debug_machine.ts";

let m: DebugMachine;
beforeEach(() => {
  m = new DebugMachine();
});
const free = (s: Cache, object: Ptr): void => kmem_cache_free(m.cpu, s, object);
function first_user(s: Cache): Obj {
  return kmem_cache_alloc(m.cpu, s, GFP_KERNEL);
}
function last_user(s: Cache, object: Obj): void {
  kmem_cache_free(m.cpu, s, object);
}
const warnings = (): number => m.cpu.mem.peek(m.cpu.slot, CpuSlot.offset.warnings);

test("a report: who, where, the bytes, who found it, what was done", () => {
  const s = m.cache();
  const [object] = [first_user(s), first_user(s)];
  m.machine.tick(4);
  last_user(s, object);
  m.machine.tick(2);
  free(s, object);
  const slab = virt_to_slab(m.cpu, object);
  const lines = m.log().split("\n");
  const name = `0x${object.toString(16)}`;
  const patterns = [
    /^={77}$/,
    /^BUG test \(Not tainted\): Object already free$/,
    /^-{77}$/,
    /^$/,
    /^Allocated in first_user test\/shared\/linux\/mm\/slub\/debug_report\.test\.ts:\d+ age=6 cpu=0 pid=\d+$/,
    /^ \(anonymous\) test\/.*debug_report\.test\.ts:\d+$/,
    /^Freed in last_user test\/shared\/linux\/mm\/slub\/debug_report\.test\.ts:\d+ age=2 cpu=0 pid=\d+$/,
    new RegExp(`^Slab 0x${slab.toString(16)} objects=\\d+ used=1 fp=${name} flags=slab\\|partial\\|node=0$`),
    new RegExp(`^Object ${name} @offset=\\d+ fp=0x[\\da-f]+$`),
    /^Redzone {3}[\da-f]{8}: bb bb bb bb /,
    /^Object {4}[\da-f]{8}: 6b 6b 6b 6b .*kkkk/,
    /^Object {4}[\da-f]{8}: .* a5 /,
    /^Redzone {3}[\da-f]{8}: bb bb bb bb bb bb bb bb +\.{8}$/,
    /^Padding {3}[\da-f]{8}: 5a 5a /,
    /^Found by:$/,
    /^ free test\/.*debug_report\.test\.ts:\d+$/,
    new RegExp(`^FIX test: Object at ${name} not freed$`),
  ];
  let at = 0;
  for (const pattern of patterns) {
    const found = lines.findIndex((line, i) => i >= at && pattern.test(line));
    expect(found, `${pattern} in\n${lines.slice(at).join("\n")}`).toBeGreaterThanOrEqual(at);
    at = found + 1;
  }
  expect(at).toBe(lines.length);
});
test("a cache without red zones shows what is before an object instead, and a cache without tracks none", () => {
  const s = m.cache(F | P);
  m.alloc(s);
  const object = m.alloc(s);
  m.cpu.mem.store_word(object + m.slot(s).offset, 0x1234);
  free(s, object);
  expect(m.log()).toMatch(/^Bytes b4 {2}[\da-f]{8}: /m);
  expect(m.log()).not.toMatch(/Redzone|Allocated in/);
});
test("what is spoilt stands before the head of the report; the machine is tainted from then on", () => {
  const s = m.cache(F | Z);
  const object = m.alloc(s);
  m.spoil(object + 64);
  free(s, object);
  m.spoil(object - 1);
  free(s, object);
  const [first, second] = m
    .log()
    .split("\n")
    .filter((line) => /overwritten|^BUG/.test(line))
    .reduce<string[][]>(
      (pairs, line, i) => (i % 2 === 0 ? [...pairs, [line]] : [...pairs.slice(0, -1), [...(pairs.at(-1) ?? []), line]]),
      [],
    );
  expect(first[0]).toMatch(/^\[Right Redzone overwritten\]/);
  expect(first[1]).toBe("BUG test (Not tainted): Object corrupt");
  expect(second[0]).toMatch(/^\[Left Redzone overwritten\]/);
  expect(second[1]).toBe("BUG test (Tainted: B): Object corrupt");
});
test("a report about a large object fits the log, with who found it at its end", () => {
  const s = m.cache(DEBUG_DEFAULT_FLAGS, 4096, { align: 1024 });
  const object = first_user(s);
  m.spoil(object - 1);
  free(s, object);
  expect(m.log().match(/^Object {4}/gm)).toHaveLength(16);
  expect(m.log()).toMatch(/^Redzone {3}[\da-f]{8}: (cc ){15}11 /m);
  expect(m.log()).toMatch(/^Found by:\n free test[^=]*\nFIX test: Restoring Left Redzone/m);
});
test("a report is a warning: counted, or the end of the machine", () => {
  const s = m.cache();
  const [object] = [m.alloc(s), m.alloc(s)];
  free(s, object);
  free(s, object);
  expect(warnings()).toBe(1);
  expect(slab_reports(m.cpu)).toBe(1);
  m.machine.set("panic_on_warn", 1);
  expect(() => free(s, object)).toThrow("WARNING: BUG test: Object already free");
  expect(m.log().match(/^BUG/gm)).toHaveLength(2);
});

describe("tracks", () => {
  test("of who allocated and who freed last, each with CPU, time and callers", () => {
    const s = m.cache(U);
    const object = first_user(s);
    const slot = m.slot(s);
    expect(read_track(m.cpu, slot, object, TRACK_FREE)).toBe(undefined);
    m.machine.tick(3);
    last_user(s, object);
    const [alloc, freed] = [TRACK_ALLOC, TRACK_FREE].map((which) => read_track(m.cpu, slot, object, which));
    expect(alloc).toMatchObject({ cpu: 0, when: 0 });
    expect(freed).toMatchObject({ cpu: 0, when: 3 });
    expect(alloc?.caller).toMatch(/^first_user /);
    expect(freed?.caller).toMatch(/^last_user /);
    expect(freed?.stack[0]).toMatch(/debug_report\.test\.ts/);
  });
  test("not without the flag, nor of objects that nobody had yet", () => {
    const s = m.cache(F);
    const object = m.alloc(s);
    expect(read_track(m.cpu, m.slot(s), object, TRACK_ALLOC)).toBe(undefined);
    const tracked = m.cache(U | P);
    const one = m.alloc(tracked);
    const slot = m.slot(tracked);
    expect(read_track(m.cpu, slot, (one + slot.size) as Obj, TRACK_ALLOC)).toBe(undefined);
  });
});

describe("in a test of the slub suite reports are counted, not printed", () => {
  const errors = (act: () => void): number => {
    slab_kunit_begin(m.cpu);
    act();
    slab_kunit_end(m.cpu);
    return slab_errors(m.cpu);
  };
  beforeEach(() => m.machine.set("panic_on_warn", 1));
  test("test_clobber_zone: a byte behind the object: 2", () => {
    const s = m.cache(Z);
    const object = m.alloc(s);
    m.spoil(object + 64, 0x12);
    expect(errors(() => validate_slab_cache(m.cpu, s))).toBe(2);
    free(s, object);
    expect(kmem_cache_destroy(m.cpu, s)).toBe(0);
    expect(m.log()).toBe("");
  });
  test("test_next_pointer: 3, then 2, then 0", () => {
    const s = m.cache(P);
    const object = m.alloc(s);
    free(s, object);
    const link = object + m.slot(s).offset;
    const good = m.cpu.mem.load_word(link);
    const validate = (): number => errors(() => validate_slab_cache(m.cpu, s));
    m.cpu.mem.store_word(link, good ^ 0x5a5a);
    expect(validate()).toBe(3);
    m.cpu.mem.store_word(link, good);
    expect(validate()).toBe(2);
    expect(validate()).toBe(0);
    expect(kmem_cache_destroy(m.cpu, s)).toBe(0);
  });
  test.each([
    { name: "test_first_word", at: 0 },
    { name: "test_clobber_50th_byte", at: 50 },
  ])("$name: written after its free: 2", ({ at }) => {
    const s = m.cache(P);
    const object = m.alloc(s);
    free(s, object);
    m.spoil(object + at, 0x78);
    expect(errors(() => validate_slab_cache(m.cpu, s))).toBe(2);
    expect(kmem_cache_destroy(m.cpu, s)).toBe(0);
  });
  test("test_clobber_redzone_free: behind the object after its free: 2", () => {
    const s = m.cache(Z);
    const object = m.alloc(s);
    free(s, object);
    m.spoil(object + 64, 0xab);
    expect(errors(() => validate_slab_cache(m.cpu, s))).toBe(2);
    expect(kmem_cache_destroy(m.cpu, s)).toBe(0);
  });
  test("test_kmalloc_redzone_access: behind what was asked for: 2", () => {
    const s = m.cache(U | Z | SLAB_KMALLOC, 32);
    const object = ___slab_alloc(m.cpu, s, GFP_KERNEL, -1, 0, 18);
    m.spoil(object + 18, 0xab);
    m.spoil(object + 19, 0xab);
    expect(errors(() => validate_slab_cache(m.cpu, s))).toBe(2);
  });
  test("test_leak_destroy: 2", () => {
    const s = m.cache(0);
    m.alloc(s);
    expect(errors(() => kmem_cache_destroy(m.cpu, s))).toBe(2);
  });
});

describe("validation", () => {
  test("finds nothing in a sound cache, and says how many slabs it saw", () => {
    const s = m.cache();
    const objects = Array.from({ length: 100 }, () => m.alloc(s));
    for (const object of objects.slice(50)) free(s, object);
    const slabs = new Set(objects.map((object) => virt_to_slab(m.cpu, object)));
    expect(validate_slab_cache(m.cpu, s)).toBe(slabs.size);
    expect(m.log()).toBe("");
  });
  test("is for debugged caches", () => {
    expect(validate_slab_cache(m.cpu, m.cache(0))).toBe(-22);
  });
  test.each([
    { what: "an allocated object's red zone", at: 64, freed: false, finding: "Restoring Right Redzone RANGE=0xcc" },
    { what: "a free object", at: 9, freed: true, finding: "Restoring Poison RANGE=0x6b" },
  ])("finds $what", ({ at, freed, finding }) => {
    const s = m.cache();
    const object = m.alloc(s);
    if (freed) free(s, object);
    m.spoil(object + at);
    validate_slab_cache(m.cpu, s);
    expect(m.findings()).toEqual(["Object corrupt", finding]);
    validate_slab_cache(m.cpu, s);
    expect(m.findings()).toHaveLength(2);
  });
  test("looks at full slabs only with U", () => {
    for (const flags of [DEBUG_DEFAULT_FLAGS, F | Z]) {
      const s = m.cache(flags, 1024);
      const object = m.alloc(s);
      const slab = virt_to_slab(m.cpu, object);
      for (let n = m.cpu.mem.read(slab, Slab.offset.objects); n > 1; n--) m.alloc(s);
      m.spoil(object + 1024);
      expect(validate_slab_cache(m.cpu, s)).toBe(flags & U ? 1 : 0);
    }
    expect(m.findings()).toHaveLength(2);
  });
  test("counts slabs", () => {
    const s = m.cache();
    m.alloc(s);
    const n = get_node(m.cpu, s, 0);
    m.cpu.mem.write(n, KmemCacheNode.offset.nr_partial, 5);
    m.cpu.mem.write_once(n, KmemCacheNode.offset.nr_slabs, 7);
    validate_slab_cache(m.cpu, s);
    expect(m.log()).toBe("SLUB test: 1 partial slabs counted but counter=5\nSLUB: test 1 slabs counted but counter=7");
  });
  test("does not take the link of a deferred object for a broken one", () => {
    const s = m.cache(DEBUG_DEFAULT_FLAGS);
    const object = m.alloc(s);
    m.cpu.mem.store_word(object + m.slot(s).offset, m.cpu.globals);
    validate_slab_cache(m.cpu, s);
    expect(m.log()).toBe("");
  });
});

test("a shutdown lists the objects that are left, with who allocated them", () => {
  const s = m.cache();
  const [object, other] = [first_user(s), first_user(s)];
  free(s, other);
  expect(kmem_cache_destroy(m.cpu, s)).toBe(-16);
  const log = m.log();
  expect(log).toMatch(/BUG test \(Not tainted\): Objects remaining on __kmem_cache_shutdown\(\): 1 in slab 0x/);
  expect(log).toMatch(new RegExp(`^Object 0x${object.toString(16)} @offset=\\d+\\nAllocated in first_user `, "m"));
  expect(log).not.toContain(`Object 0x${other.toString(16)} `);
  expect(m.cpu.mem.peek(m.cpu.globals, Globals.offset.tainted)).not.toBe(0);
});
