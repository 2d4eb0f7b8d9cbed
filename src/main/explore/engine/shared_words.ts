/**
 * The shared-word filter: only words that two contexts (CPU x nesting level) touch, one of them writing, can matter to
 * anybody else, so only they are decision points. Learned, and only growing. One byte for each word of memory:
 *   0                 nobody yet
 *   c                 read by context c alone          (c from 1 on, below WRITTEN)
 *   c | WRITTEN       touched by context c alone, written too
 *   READ_BY_MANY      read by several, written by none
 *   SHARED            touched by several, written by one of them
 */
import { WRITES } from "../strategy.ts";

export const WRITTEN = 64;
const READ_BY_MANY = 254;
export const SHARED = 255;

/** Notes an access. @returns the word's new byte. */
export function noteAccess(owner: number, context: number, effect: number): number {
  if (owner === 0) return effect & WRITES ? context | WRITTEN : context;
  if (owner === SHARED) return SHARED;
  if ((owner & ~WRITTEN) === context) return effect & WRITES ? context | WRITTEN : owner;
  if (owner === READ_BY_MANY) return effect & WRITES ? SHARED : READ_BY_MANY;
  return owner & WRITTEN || effect & WRITES ? SHARED : READ_BY_MANY;
}
