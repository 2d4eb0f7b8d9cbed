/** The fast paths of a thread: they find what the layout says, and refuse all else. */
import { beforeEach, expect, test } from "vitest";
import { FREED, GRANULE_SHIFT, LARGE, Magazine, RETIRED, TAGS } from "../../../src/main/heap/layout.ts";
import { type Magazines, openMagazines } from "../../../src/main/heap/magazines.ts";
import { element, offsetof } from "../../../src/shared/mem/struct.ts";

const { count: COUNT, objects: OBJECTS } = Magazine.offset;
const PENDING = 1;
const BASE = 16;
const OBJECT = 0x400;
const CLASS = 3;
const LIMIT = 4;
const BYTES = 1 << 16;

let words: Int32Array;
let tags: Uint8Array;
let magazines: Magazines;
beforeEach(() => {
  words = new Int32Array(BYTES >> 2);
  tags = new Uint8Array(BYTES >> GRANULE_SHIFT);
  const limits = new Uint8Array(TAGS);
  limits[CLASS] = LIMIT;
  magazines = openMagazines(words, tags, limits, BASE, PENDING);
});

const wordOf = (c: number, offset: number): number => BASE + ((c * Magazine.size + offset) >> 2);
const countAt = wordOf(CLASS, offsetof(COUNT));
const objectAt = (i: number): number => wordOf(CLASS, offsetof(element(OBJECTS, i)));
const tagAt = (object: number): number => object >> GRANULE_SHIFT;

test.each(["pop", "take"] as const)("%s() hands out the object that came last", (call) => {
  words[countAt] = 2;
  words.set([OBJECT, 0, OBJECT + 64], objectAt(0));
  tags[tagAt(OBJECT + 64)] = FREED;
  expect(magazines[call](CLASS)).toBe(OBJECT + 64);
  expect(tags[tagAt(OBJECT + 64)]).toBe(call === "pop" ? CLASS : FREED);
  expect(words[countAt]).toBe(1);
  expect(magazines[call](CLASS)).toBe(OBJECT);
  expect(magazines[call](CLASS)).toBe(0);
  expect(words[countAt]).toBe(0);
});

test("free() takes objects until there is no more room, and marks them", () => {
  for (let i = 0; i <= LIMIT; i++) {
    const object = OBJECT + 64 * i;
    tags[tagAt(object)] = CLASS;
    expect(magazines.free(object)).toBe(i < LIMIT);
    expect(tags[tagAt(object)]).toBe(i < LIMIT ? FREED : CLASS);
  }
  expect(words[countAt]).toBe(LIMIT);
  for (let i = 0; i < LIMIT; i++) expect(words[objectAt(i)]).toBe(OBJECT + 64 * i);
});

test.each([0, CLASS + 1, LARGE, FREED, RETIRED | CLASS, RETIRED | LARGE])(
  "free() refuses what has the tag %s, and changes nothing",
  (tag) => {
    tags[tagAt(OBJECT)] = tag;
    const before = words.slice();
    expect(magazines.free(OBJECT)).toBe(false);
    expect(words).toEqual(before);
    expect(tags[tagAt(OBJECT)]).toBe(tag);
  },
);

test.each([OBJECT + 1, OBJECT + 4, OBJECT + 0.5, -8, -OBJECT, BYTES, 2 ** 31, 2 ** 32 + OBJECT, NaN, Infinity])(
  "%s is no address",
  (address) => {
    tags.fill(CLASS);
    expect(magazines.free(address)).toBe(false);
    expect(magazines.tag(address)).toBe(0);
    expect(words[countAt]).toBe(0);
  },
);

test.each(["work is announced", "they are closed"])("nothing is found, and nothing taken, when %s", (why) => {
  words[countAt] = 1;
  words[objectAt(0)] = OBJECT;
  tags[tagAt(OBJECT + 64)] = CLASS;
  if (why === "they are closed") magazines.close();
  else words[PENDING] = 1;
  expect([magazines.pop(CLASS), magazines.take(CLASS), magazines.free(OBJECT + 64)]).toEqual([0, 0, false]);
  expect(words[countAt]).toBe(1);
});
