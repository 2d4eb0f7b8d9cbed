/** struct(): LP64 layout, unions, alignment, arrays; sizes of the structs that lie inside objects. */
import { expect, test } from "vitest";
import { SlabSheaf, Slab } from "../../../src/shared/layout/slab.ts";
import { Page } from "../../../src/shared/layout/page.ts";
import { KvfreeRcuHead, ListHead, LlistNode, RcuHead } from "../../../src/shared/layout/types.ts";
import {
  aligned,
  array,
  atomic32,
  container_of,
  element,
  embedded,
  low_word,
  offsetof,
  overlay,
  ptr,
  struct,
  u32,
  ulong,
  WIDE,
  type Ptr,
} from "../../../src/shared/mem/struct.ts";

test("fields follow each other as a C compiler would lay them out", () => {
  const S = struct("s", { a: u32, p: ptr("x"), b: u32, l: ulong, c: atomic32 });
  expect(S.fields.map((f) => [f.name, f.offset, f.size])).toEqual([
    ["a", 0, 4],
    ["p", 8, 8],
    ["b", 16, 4],
    ["l", 24, 8],
    ["c", 32, 4],
  ]);
  expect([S.size, S.align]).toEqual([40, 8]);
  expect(S.offset.p & WIDE).toBe(WIDE);
  expect(S.offset.a & WIDE).toBe(0);
  expect(offsetof(S.offset.l)).toBe(24);
});

test("embedded structs, arrays, alignment and flexible arrays", () => {
  const Inner = struct("inner", { x: u32, y: ptr("x") });
  const S = struct("s", { a: u32, in: Inner, line: aligned(64, u32), words: array(u32, 3), tail: array(ptr("x"), 0) });
  const p = 4096 as Ptr<"s">;
  expect(embedded(p, S.offset.in)).toBe(4096 + 8);
  expect(container_of(embedded(p, S.offset.in), S.offset.in)).toBe(p);
  expect(S.offset.line).toBe(64);
  expect(element(S.offset.words, 2)).toBe(68 + 8);
  expect(offsetof(element(S.offset.tail, 2))).toBe(offsetof(S.offset.tail) + 16);
  expect(low_word(element(S.offset.tail, 2))).toBe(offsetof(S.offset.tail) + 16);
  expect(S.align).toBe(64);
  expect(S.size).toBe(128);
});

test("a union member lies over its field, adds no size, and must fit", () => {
  const S = struct("s", { head: RcuHead, link: overlay("head", ListHead), n: overlay("head", u32), z: u32 });
  expect([S.offset.link, S.offset.n, S.offset.z]).toEqual([0, 0, 16]);
  expect(() => struct("t", { a: u32, b: overlay("a", ulong) })).toThrow("larger than a");
  expect(() => struct("t", { b: overlay("nothing", u32) })).toThrow("unknown field nothing");
});

test("sizes of what lies inside objects are the kernel's", () => {
  expect(RcuHead.size).toBe(16);
  expect(KvfreeRcuHead.size).toBe(8);
  expect(LlistNode.size).toBe(8);
  expect(ListHead.size).toBe(16);
  expect(SlabSheaf.size).toBe(32);
  expect(Page.size).toBe(64);
});

test("struct slab overlays struct page field by field", () => {
  const at = (fields: typeof Page.fields, name: string): number | undefined =>
    fields.find((f) => f.name === name)?.offset;
  for (const name of ["flags", "type", "slab_cache", "rcu_head", "llnode", "counters", "objects", "order", "node"]) {
    expect(at(Slab.fields, name), name).toBe(at(Page.fields, name));
  }
  expect(at(Slab.fields, "slab_list")).toBe(at(Page.fields, "lru"));
  expect(Slab.size).toBe(Page.size);
});
