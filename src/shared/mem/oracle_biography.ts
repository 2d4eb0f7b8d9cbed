/**
 * Biographies: each CPU keeps its last moves in a ring, and tickets put those of all CPUs in order. Only the CPU itself
 * writes its ring; who reads it while it writes sees an entry that is half another one, in the worst case.
 */
import type { OracleEvent } from "./oracle.ts";
import type { OracleMemory } from "./oracle_memory.ts";
import { C_HEAD, C_RING, ENTRY_WORDS, placeNumber, SLAB_COUNT_BITS } from "./oracle_words.ts";

/** Moves in a biography. */
const BIOGRAPHY = 16;
const COUNT_MASK = (1 << SLAB_COUNT_BITS) - 1;

/** What an entry is about: 0 for one object, or the objects of a slab. */
export function slabOf(size: number, count: number): number {
  return (size << SLAB_COUNT_BITS) | count;
}

export function recordMove(
  mem: OracleMemory,
  cpu: number,
  address: number,
  from: number,
  to: number,
  context: number,
  slab: number,
): void {
  const block = mem.block(cpu);
  const head = mem.words[block + C_HEAD];
  const entry = block + C_RING + (head & (mem.ring - 1)) * ENTRY_WORDS;
  mem.store(entry, address);
  mem.store(entry + 1, placeNumber(from) | (placeNumber(to) << 4) | (context << 8));
  mem.store(entry + 2, mem.draw());
  mem.store(entry + 3, slab);
  mem.store(block + C_HEAD, (head + 1) | 0);
}

/** The last moves of an object, those of its slab included, oldest first. */
export function biographyOf(mem: OracleMemory, object: number): readonly OracleEvent[] {
  const { words, ring } = mem;
  const events: OracleEvent[] = [];
  for (let cpu = 0; cpu < mem.cpus; cpu++) {
    const start = mem.block(cpu) + C_RING;
    for (let at = start; at < start + ring * ENTRY_WORDS; at += ENTRY_WORDS) {
      const slab = words[at + 3];
      if (words[at] === 0 || !covers(words[at], slab, object)) continue;
      const what = words[at + 1];
      const from = 1 << (what & 15);
      const to = 1 << ((what >>> 4) & 15);
      const count = slab === 0 ? 1 : slab & COUNT_MASK;
      events.push({ ticket: words[at + 2], cpu, context: what >>> 8, from, to, count });
    }
  }
  return events.toSorted((a, b) => (a.ticket - b.ticket) | 0).slice(-BIOGRAPHY);
}

/** Is the object what this entry is about, or part of the slab that it is about? */
function covers(address: number, slab: number, object: number): boolean {
  if (slab === 0) return address === object;
  const index = (object - address) / (slab >>> SLAB_COUNT_BITS);
  return Number.isInteger(index) && index >= 0 && index < (slab & COUNT_MASK);
}
