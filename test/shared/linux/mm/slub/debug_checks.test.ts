/** Each check of slub debugging: what is spoilt is reported, put right, and does no further harm. Spec slub 10.4. */
import { beforeEach, describe, expect, test } from "vitest";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { FreePointer, Slab, SLAB_FREELIST_SHIFT, SLAB_FROZEN } from "../../../../../src/shared/layout/slab.ts";
import {
  SLAB_ALLOC_DEFAULT,
  SLAB_CONSISTENCY_CHECKS as F,
  SLAB_KMALLOC,
  SLAB_POISON as P,
  SLAB_RED_ZONE as Z,
  SLAB_STORE_USER as U,
  SLAB_TRACE,
} from "../../../../../src/shared/layout/slab_flags.ts";
import { alloc_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { page_address } from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { check_object } from "../../../../../src/shared/linux/mm/slub/debug_object.ts";
import { kfree, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { __slab_free } from "../../../../../src/shared/linux/mm/slub/free.ts";
import { get_metadata_end, size_from_object } from "../../../../../src/shared/linux/mm/slub/slot.ts";
import { slab_address, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { set_freepointer, slab_word, word_inuse } from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { validate_slab_cache } from "../../../../../src/shared/linux/mm/slub/validate.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { type Cache, DebugMachine, type Obj } from "./debug_machine.ts";

let m: DebugMachine;
beforeEach(() => {
  m = new DebugMachine();
});
const free = (s: Cache, object: Ptr): void => kmem_cache_free(m.cpu, s, object);
const slabOf = (object: Ptr): Ptr<"slab"> => virt_to_slab(m.cpu, object);
const inuse = (slab: Ptr<"slab">): number => word_inuse(slab_word(m.cpu, slab));
const NOT_FREED = "Object at ADDRESS not freed";

test("a slot looks as it should, allocated and free", () => {
  const s = m.cache(F | Z | P | U, 60);
  const slot = m.slot(s);
  const object = m.alloc(s);
  expect(new Set(m.bytes(object - slot.red_left_pad, object))).toEqual(new Set([0xcc]));
  expect(new Set(m.bytes(object + 60, object + slot.inuse))).toEqual(new Set([0xcc]));
  free(s, object);
  expect(new Set(m.bytes(object - slot.red_left_pad, object))).toEqual(new Set([0xbb]));
  expect(m.bytes(object, object + 60)).toEqual([...Array.from({ length: 59 }, () => 0x6b), 0xa5]);
  expect(new Set(m.bytes(object + 60, object + slot.inuse))).toEqual(new Set([0xbb]));
  const padding = m.bytes(object + get_metadata_end(slot), object + size_from_object(slot));
  expect(new Set(padding)).toEqual(new Set([0x5a]));
  expect(m.log()).toBe("");
});

describe("an allocated object that is spoilt is not freed", () => {
  test.each([
    { what: "Left Redzone", flags: F | Z, size: 64, at: () => -1 },
    { what: "Right Redzone", flags: F | Z, size: 64, at: () => 64 },
    { what: "Right Redzone", flags: F | Z | P | U, size: 61, at: () => 61 },
    { what: "Alignment padding", flags: F | P, size: 61, at: () => 61 },
  ])("$what, flags $flags", ({ what, flags, size, at }) => {
    const s = m.cache(flags, size);
    const object = m.alloc(s);
    const good = m.byte(object + at());
    m.spoil(object + at());
    free(s, object);
    expect(m.findings()).toEqual(["Object corrupt", `Restoring ${what} RANGE=0x${good.toString(16)}`, NOT_FREED]);
    const place = `0x${(object + at()).toString(16)}`;
    const offset = object + at() - slab_address(m.cpu, slabOf(object));
    expect(m.log()).toContain(
      `[${what} overwritten] ${place}-${place} @offset=${offset}. First byte 0x11 instead of 0x${good.toString(16)}`,
    );
    expect(m.byte(object + at())).toBe(good);
    expect(m.problems(s)).toEqual([]);
    expect(inuse(slabOf(object))).toBe(1);
  });
  test("padding behind the metadata", () => {
    const s = m.cache(F | Z | P | U, 64);
    const object = m.alloc(s);
    m.spoil(object + size_from_object(m.slot(s)) - 1);
    free(s, object);
    expect(m.findings()).toEqual(["Object corrupt", "Restoring Object padding RANGE=0x5a", NOT_FREED]);
  });
  test("its free pointer, where that is no memory of the user's", () => {
    const s = m.cache(F | P, 64);
    const object = m.alloc(s);
    m.cpu.mem.store_word(object + m.slot(s).offset, 0x1234);
    free(s, object);
    expect(m.findings()).toEqual(["Freepointer corrupt", NOT_FREED]);
    expect(m.cpu.mem.load_word(object + m.slot(s).offset)).toBe(NULL);
  });
  test("several at once: one report", () => {
    const s = m.cache(F | Z, 64);
    const object = m.alloc(s);
    m.spoil(object - 3);
    m.spoil(object + 65);
    free(s, object);
    expect(m.findings()).toEqual([
      "Object corrupt",
      "Restoring Left Redzone RANGE=0xcc",
      "Restoring Right Redzone RANGE=0xcc",
      NOT_FREED,
    ]);
    expect(m.log().match(/overwritten\]/g)).toHaveLength(2);
  });
});

describe("a free object that is spoilt is not given away, nor any other of its slab", () => {
  test.each([
    { what: "Poison", flags: F | P, at: 3, value: 0x6b },
    { what: "End Poison", flags: F | P, at: 63, value: 0xa5 },
    { what: "Left Redzone", flags: F | Z, at: -2, value: 0xbb },
    { what: "Right Redzone", flags: F | Z, at: 66, value: 0xbb },
  ])("$what", ({ what, flags, at, value }) => {
    const s = m.cache(flags);
    const [object, other] = [m.alloc(s), m.alloc(s)];
    const slab = slabOf(object);
    free(s, object);
    m.spoil(object + at);
    const next = m.alloc(s);
    expect(m.findings()).toEqual([
      "Object corrupt",
      `Restoring ${what} RANGE=0x${value.toString(16)}`,
      "Marking all objects used",
    ]);
    expect(slabOf(next)).not.toBe(slab);
    expect(slab_word(m.cpu, slab) & SLAB_FROZEN).toBe(SLAB_FROZEN);
    expect(inuse(slab)).toBe(m.cpu.mem.read(slab, Slab.offset.objects));
    expect(m.problems(s)).toEqual([]);
    // It stays out of service.
    free(s, other);
    expect(m.findings().slice(3)).toEqual(["Slab disabled since SLUB metadata consistency check failed", NOT_FREED]);
  });
  test("a free pointer to nowhere", () => {
    const s = m.cache(F | P);
    const object = m.alloc(s);
    free(s, object);
    m.cpu.mem.store_word(object + m.slot(s).offset, 0x1234);
    expect(slabOf(m.alloc(s))).not.toBe(slabOf(object));
    expect(m.findings()).toEqual(["Freepointer corrupt", "Marking all objects used"]);
    expect(m.problems(s)).toEqual([]);
  });
  test("a slab on the list of partial slabs that has no free object", () => {
    const s = m.cache(F, 1024);
    const object = m.alloc(s);
    const slab = slabOf(object);
    m.cpu.mem.write_once(slab, Slab.offset.counters, m.cpu.mem.read(slab, Slab.offset.objects));
    expect(slabOf(m.alloc(s))).not.toBe(slab);
    expect(m.findings()).toEqual(["Freelist Pointer check fails", "Marking all objects used"]);
    expect(m.log()).toContain("Invalid pointer 0x0");
    expect(m.problems(s)).toEqual([]);
  });
  test("without F nobody looks", () => {
    const s = m.cache(P);
    const object = m.alloc(s);
    free(s, object);
    m.spoil(object);
    expect(m.alloc(s)).toBe(object);
    expect(m.log()).toBe("");
  });
});

describe("a free of what is no allocated object of the cache", () => {
  test("one that is free", () => {
    const s = m.cache();
    const [object] = [m.alloc(s), m.alloc(s)];
    free(s, object);
    free(s, object);
    expect(m.findings()).toEqual(["Object already free", NOT_FREED]);
    expect(m.problems(s)).toEqual([]);
    expect(m.alloc(s)).toBe(object);
  });
  test("a pointer into the middle of one", () => {
    const s = m.cache(F);
    const object = m.alloc(s);
    free(s, (object + 8) as Ptr);
    expect(m.findings()).toEqual(["Invalid object pointer ADDRESS", NOT_FREED]);
    expect(m.problems(s)).toEqual([]);
    free(s, object);
    expect(m.findings()).toHaveLength(2);
  });
  test("one of another cache", () => {
    const s = m.cache();
    const other = m.cache(F, 128);
    const object = m.alloc(s);
    __slab_free(m.cpu, other, slabOf(object), object, object, 1);
    expect(m.findings().at(-1)).toBe(NOT_FREED);
    expect(m.findings()).toContainEqual(expect.stringMatching(/page slab pointer corrupt|Invalid object pointer/));
  });
  test("one of another cache of the same geometry", () => {
    const [s, other] = [m.cache(F), m.cache(F)];
    const object = m.alloc(s);
    __slab_free(m.cpu, other, slabOf(object), object, object, 1);
    expect(m.findings()).toEqual(["page slab pointer corrupt.", NOT_FREED]);
  });
  test("one of a slab that has lost its cache", () => {
    const s = m.cache(F);
    const object = m.alloc(s);
    const slab = slabOf(object);
    m.cpu.mem.write(slab, Slab.offset.slab_cache, NULL);
    __slab_free(m.cpu, s, slab, object, object, 1);
    expect(m.findings()).toEqual(["No slab cache for object ADDRESS", NOT_FREED]);
    expect(m.log()).toContain("BUG <unknown> (");
    m.cpu.mem.write(slab, Slab.offset.slab_cache, s);
    __slab_free(m.cpu, s, slab, object, object, 1);
    expect(m.findings()).toHaveLength(2);
  });
  test("one of a page that is no slab", () => {
    const s = m.cache(F);
    const object = m.alloc(s);
    const slab = slabOf(object);
    const type = m.cpu.mem.read(slab, Slab.offset.type);
    m.cpu.mem.write(slab, Slab.offset.type, 0);
    __slab_free(m.cpu, s, slab, object, object, 1);
    expect(m.findings()).toEqual(["Not a valid slab page", NOT_FREED]);
    m.cpu.mem.write(slab, Slab.offset.type, type);
  });
  test("kmem_cache_free() with the wrong cache warns and leaks; so does kfree() of no slab object", () => {
    const [s, other] = [m.cache(), m.cache()];
    const object = m.alloc(s);
    const page = page_address(m.cpu, alloc_frozen_pages(m.cpu, 0, NUMA_NO_NODE));
    m.machine.set("panic_on_warn", 1);
    expect(() => free(other, object)).toThrow(/kmem_cache_free\(test, .*is not from that cache, but from test/);
    expect(m.log()).toMatch(/^Allocated in alloc test\/.*debug_machine\.ts/m);
    expect(() => free(s, page)).toThrow(/is not from that cache, nor from any other/);
    expect(() => kfree(m.cpu, page)).toThrow(/neither a slab object nor a large kmalloc/);
    m.machine.set("panic_on_warn", 0);
    free(other, object);
    kfree(m.cpu, page);
    expect(inuse(slabOf(object))).toBe(1);
    expect(m.problems(s)).toEqual([]);
  });
});

describe("bulk frees", () => {
  const chain = (s: Cache, ...objects: Obj[]): void => {
    for (const [i, object] of objects.entries()) set_freepointer(m.cpu, s, object, objects[i + 1] ?? NULL);
  };
  test("of more objects than are allocated", () => {
    const s = m.cache(F);
    const object = m.alloc(s);
    __slab_free(m.cpu, s, slabOf(object), object, object, 2);
    expect(m.findings()).toEqual(["Slab has 1 allocated objects but 2 are to be freed", NOT_FREED]);
    expect(m.problems(s)).toEqual([]);
  });
  test("whose chain is shorter than said: those that are there are freed", () => {
    const s = m.cache(F);
    const [a, b, c] = [m.alloc(s), m.alloc(s), m.alloc(s)];
    chain(s, a, b);
    __slab_free(m.cpu, s, slabOf(a), a, b, 3);
    expect(m.findings()).toEqual(["Bulk free expected 3 objects but found 2"]);
    expect(inuse(slabOf(c))).toBe(1);
    expect(m.problems(s)).toEqual([]);
  });
  test("whose chain is longer than said: none is freed", () => {
    const s = m.cache(F);
    const [a, b, c] = [m.alloc(s), m.alloc(s), m.alloc(s)];
    chain(s, a, b, c);
    __slab_free(m.cpu, s, slabOf(a), a, c, 2);
    expect(m.findings()).toEqual(["Bulk free expected 2 objects but found 3", NOT_FREED]);
    expect(inuse(slabOf(c))).toBe(3);
    expect(m.problems(s)).toEqual([]);
  });
  test("with one that is free already: none is freed", () => {
    const s = m.cache(F);
    const [a, b, c] = [m.alloc(s), m.alloc(s), m.alloc(s)];
    free(s, b);
    chain(s, a, b);
    __slab_free(m.cpu, s, slabOf(a), a, b, 2);
    expect(m.findings().filter((what) => what === NOT_FREED)).toHaveLength(1);
    expect(m.findings()).toContain("Object already free");
    expect(inuse(slabOf(c))).toBeGreaterThan(0);
  });
});

describe("slabs", () => {
  const spoiled = (flags = F): { s: Cache; object: Obj; slab: Ptr<"slab">; objects: number } => {
    const s = m.cache(flags);
    const object = m.alloc(s);
    const slab = slabOf(object);
    return { s, object, slab, objects: m.cpu.mem.read(slab, Slab.offset.objects) };
  };
  test("too many objects", () => {
    const { s, object, slab, objects } = spoiled();
    m.cpu.mem.write(slab, Slab.offset.objects, objects + 1);
    free(s, object);
    expect(m.findings()).toEqual([`objects ${objects + 1} > max ${objects}`, NOT_FREED]);
    m.cpu.mem.write(slab, Slab.offset.objects, objects);
  });
  test("more in use than there are", () => {
    const { s, object, slab, objects } = spoiled();
    const word = slab_word(m.cpu, slab);
    m.cpu.mem.write_once(slab, Slab.offset.counters, word + objects);
    free(s, object);
    expect(m.findings()).toEqual([`inuse ${objects + 1} > max ${objects}`, NOT_FREED]);
    m.cpu.mem.write_once(slab, Slab.offset.counters, word);
  });
  test("fewer objects than fit", () => {
    const { s, object, slab, objects } = spoiled();
    m.cpu.mem.write(slab, Slab.offset.objects, objects - 1);
    free(s, object);
    // The last one of the chain is none then.
    expect(m.findings().slice(0, 3)).toEqual([
      "Freechain corrupt",
      `Wrong number of objects. Found ${objects - 1} but should be ${objects}`,
      "Number of objects adjusted",
    ]);
    expect(m.cpu.mem.read(slab, Slab.offset.objects)).toBe(objects);
  });
  test("a wrong count", () => {
    const { s, object, slab } = spoiled();
    m.cpu.mem.write_once(slab, Slab.offset.counters, slab_word(m.cpu, slab) + 3);
    free(s, object);
    expect(m.findings()).toEqual(["Wrong object count. Counter is 4 but counted were 1", "Object count adjusted"]);
    expect(m.problems(s)).toEqual([]);
  });
  test("a ring", () => {
    const { s, object, slab, objects } = spoiled(F | U);
    const [a, b] = [m.alloc(s), m.alloc(s)];
    free(s, a);
    free(s, b);
    set_freepointer(m.cpu, s, a, b);
    free(s, object);
    expect(m.findings()).toEqual(["Freelist cycle detected", "Freelist cleared"]);
    // The object itself could be freed.
    expect(inuse(slab)).toBe(objects - 1);
    expect(m.problems(s)).toEqual([]);
    expect(m.alloc(s)).toBe(object);
    expect(m.problems(s)).toEqual([]);
  });
  test.each([F | U, F])("a ring that validation finds: the slab leaves the list, flags %i", (flags) => {
    const { s, object, slab } = spoiled(flags);
    const [a, b] = [m.alloc(s), m.alloc(s)];
    free(s, a);
    free(s, b);
    set_freepointer(m.cpu, s, a, b);
    expect(validate_slab_cache(m.cpu, s)).toBe(1);
    expect(m.findings()).toEqual(["Freelist cycle detected", "Freelist cleared"]);
    expect(m.problems(s)).toEqual([]);
    expect(slabOf(m.alloc(s))).not.toBe(slab);
    free(s, object);
    expect(m.findings()).toHaveLength(2);
    expect(m.problems(s)).toEqual([]);
  });
  test("a head that is no object", () => {
    const { s, object, slab, objects } = spoiled(F | U);
    m.cpu.mem.write_once(slab, Slab.offset.counters, ((objects + 5) << SLAB_FREELIST_SHIFT) | 1);
    free(s, object);
    expect(m.findings()).toEqual(["Freepointer corrupt", "Freelist cleared"]);
    expect(m.problems(s)).toEqual([]);
    m.machine.set("panic_on_warn", 1);
    expect(m.alloc(s)).toBe(object);
  });
  test("a chain that is cut: its rest is lost", () => {
    const { s, object } = spoiled();
    const [a, b] = [m.alloc(s), m.alloc(s)];
    free(s, a);
    free(s, b);
    m.cpu.mem.store_word(a + m.slot(s).offset, 0x77);
    free(s, object);
    expect(m.findings()[0]).toBe("Freechain corrupt");
    expect(m.findings()).toContain("Object count adjusted");
    expect(m.problems(s)).toEqual([]);
  });
  test("its tail", () => {
    const s = m.cache(F | P, 600);
    const object = m.alloc(s);
    const slab = slabOf(object);
    const { size } = m.slot(s);
    const bytes = 4096 << m.cpu.mem.read(slab, Slab.offset.order);
    expect(bytes % size).not.toBe(0);
    m.spoil(slab_address(m.cpu, slab) + bytes - 1);
    free(s, object);
    expect(m.findings()).toEqual([
      `Padding overwritten. RANGE @offset=${bytes - 1}`,
      "Restoring slab padding RANGE=0x5a",
    ]);
    expect(m.problems(s)).toEqual([]);
  });
  test("what goes back to the page allocator is looked at", () => {
    const s = m.cache(F | P, 2000);
    const objects = Array.from({ length: 400 }, () => m.alloc(s));
    const [last] = objects.splice(-1);
    // Fill the list of partial slabs, so that the next empty one goes.
    for (const object of objects) if (slabOf(object) !== slabOf(last)) free(s, object);
    const mates = objects.filter((object) => slabOf(object) === slabOf(last));
    for (const object of mates) free(s, object);
    expect(m.log()).toBe("");
    if (mates.length > 0) m.spoil(mates[0] + 5);
    free(s, last);
    expect(m.findings()).toEqual(mates.length > 0 ? ["Object corrupt", "Restoring Poison RANGE=0x6b"] : []);
    expect(m.problems(s)).toEqual([]);
  });
});

describe("original sizes", () => {
  const kmallocLike = (flags = Z | U | F): Cache => m.cache(flags | SLAB_KMALLOC, 64);
  const kmalloc = (s: Cache, size: number): Obj =>
    ___slab_alloc(m.cpu, s, GFP_KERNEL, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT, size);
  test("what was not asked for is red zone", () => {
    const s = kmallocLike();
    const object = kmalloc(s, 18);
    expect(new Set(m.bytes(object + 18, object + 72))).toEqual(new Set([0xcc]));
    m.spoil(object + 18);
    m.spoil(object + 19);
    free(s, object);
    expect(m.findings()).toEqual(["Object corrupt", "Restoring kmalloc Redzone RANGE=0xcc", NOT_FREED]);
    expect(m.log()).toContain("[kmalloc Redzone overwritten]");
  });
  test("all of it may be used by whoever asked for all", () => {
    const s = kmallocLike();
    const object = kmem_cache_alloc(m.cpu, s, GFP_KERNEL);
    m.spoil(object + 63);
    free(s, object);
    expect(m.log()).toBe("");
  });
});

test("SLAB_TRACE prints each allocation and each free, with bytes and callers", () => {
  const s = m.cache(SLAB_TRACE);
  const object = m.alloc(s);
  free(s, object);
  expect(m.log()).toContain(`TRACE test alloc 0x${object.toString(16)} Slab`);
  expect(m.log()).toContain(`TRACE test free 0x${object.toString(16)} Slab`);
  expect(m.log()).toMatch(/^Object {4}[\da-f]{8}: /m);
  expect(m.log()).toContain("debug_checks.test.ts:");
});

test("check_object() knows where the link of an allocated object is its user's", () => {
  const s = m.cache(F | Z);
  const object = m.alloc(s);
  const slot = m.slot(s);
  m.cpu.mem.write((object + slot.offset) as Ptr<"free_pointer">, FreePointer.offset.next, 0x4321 as Obj);
  expect(check_object(m.cpu, slot, slabOf(object), object, 0xcc)).toBe(true);
  expect(validate_slab_cache(m.cpu, s)).toBe(1);
  expect(m.log()).toBe("");
});
