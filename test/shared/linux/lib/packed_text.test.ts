/** Texts in words: what is written is read, as far as it fits. */
import { expect, test } from "vitest";
import { KmemCache } from "../../../../src/shared/layout/slab.ts";
import { peek_text, poke_text, read_text, write_text } from "../../../../src/shared/linux/lib/packed_text.ts";
import { sequentialMachine } from "../../../machine.ts";
import { room } from "../layer.ts";

const { name: NAME, alive: ALIVE } = KmemCache.offset;

test.each([
  ["", ""],
  ["abc", "abc"],
  ["kmalloc-rcl-512", "kmalloc-rcl-512"],
  ["exactly-24-characters-xx", "exactly-24-characters-xx"],
  ["more than 24 characters are cut", "more than 24 characters "],
])("%j is read as %j", (text, read) => {
  const [{ mem }, cpu] = sequentialMachine().cpus;
  const s = room<"kmem_cache">(cpu, 0);
  mem.poke(s, ALIVE, 77);
  for (const [write, readBack] of [[poke_text, peek_text] as const, [write_text, read_text] as const]) {
    write(mem, s, NAME, 24, "something longer before 1");
    write(mem, s, NAME, 24, text);
    expect(readBack(mem, s, NAME, 24)).toBe(read);
  }
  expect(mem.peek(s, ALIVE)).toBe(77); // The field behind it.
});
