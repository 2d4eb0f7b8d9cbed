/**
 * The data oracle (rcu spec I-RCU-8): an object's payload is stamped with a generation, and whoever may still use the
 * object, a reader above all, finds the stamp whole. A wrong word says what happened: it decodes to another generation
 * (given out again), to poison (freed), or to neither (somebody writes through a stale or deferred link).
 *
 * Every word is payload: an access to it is a step. The head given to kfree_rcu() is left out, as RCU owns it from then
 * on. The free-pointer slot is not: until the grace period is over readers own that too.
 */
import { mixSeed } from "../base/random.ts";
import type { Ptr } from "../mem/struct.ts";
import type { Cpu } from "./cpu.ts";

/** Words of an object that carry the stamp; in a larger one they lie apart. */
const STAMPED_WORDS = 8;
/** What freed memory is filled with, as a word. */
const POISON = 0x6b6b6b6b;

/** Bytes from one stamped word to the next: all words of a small object, a spread of a large one's. */
function stride(bytes: number): number {
  return Math.max(4, Math.floor(bytes / STAMPED_WORDS) & ~3);
}
/** Different for every word of the machine, and undone by the same xor. */
function mask(address: number): number {
  return mixSeed(address, 0);
}

/**
 * Stamps an object that nobody else can see yet.
 * @param bytes      size that was asked for.
 * @param head       offset of `head_bytes` bytes that belong to RCU (16: rcu_head, 8: kvfree_rcu_head, 0: none).
 * @context Any
 */
export function payload_stamp(
  cpu: Cpu,
  object: Ptr,
  bytes: number,
  head: number,
  head_bytes: number,
  generation: number,
): void {
  const step = stride(bytes);
  for (let at = 0; at + 4 <= bytes; at += step) {
    if (at >= head && at < head + head_bytes) continue;
    cpu.mem.store_word(object + at, mask(object + at) ^ generation);
  }
}

/**
 * Looks at every stamped word.
 * @returns what is wrong, or undefined.
 * @context Any
 */
export function payload_check(
  cpu: Cpu,
  object: Ptr,
  bytes: number,
  head: number,
  head_bytes: number,
  generation: number,
): string | undefined {
  const step = stride(bytes);
  for (let at = 0; at + 4 <= bytes; at += step) {
    if (at >= head && at < head + head_bytes) continue;
    const found = cpu.mem.load_word(object + at);
    if (found === (mask(object + at) ^ generation)) continue;
    return `object 0x${object.toString(16)}: the word at +${at} ${explain(found, object + at, generation)}`;
  }
  return undefined;
}

function explain(found: number, address: number, generation: number): string {
  if (found === POISON) return `is poison: the object of generation ${generation} has been freed`;
  const other = found ^ mask(address);
  // Generations are counted, so one that is far away is no generation.
  if (Math.abs(other - generation) < 1 << 20)
    return `is of generation ${other}, not ${generation}: it was given out again`;
  return `is 0x${(found >>> 0).toString(16)}: the object of generation ${generation} has been overwritten`;
}
