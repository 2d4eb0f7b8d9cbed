/**
 * The words of SharedOracle: the owner word of an object, and where everything lies in the oracle's buffer.
 *
 * Owner word, one per 8 bytes of machine memory; 0 is "no object":
 *   bits 0-3    place: number of the O_* bit
 *        4-8    CPU that moved the object there
 *        9-13   CPU that issued its deferring free
 *        14-15  ISSUE_*: how far that free is
 *        16-27  epoch in which it returned: barriers begun before it, modulo 4096
 *        28     the nolock functions may free it (Oracle.allow_nolock)
 *        29-31  generation: counts moves
 *
 * The free that defers is part of the word so that one compare-and-swap decides between its caller, who says that it
 * has returned, and whoever moves the object on meanwhile.
 */
import { O_FREELIST, O_KEPT, O_NONE, O_SHEAF, O_USER } from "./oracle.ts";

const ISSUE_NONE = 0;
export const ISSUE_BEGUN = 1 << 14; // its caller is still inside
export const ISSUE_RETURNED = 2 << 14; // barriers have to wait for it
const ISSUE_STATE = 3 << 14;
const ISSUER_SHIFT = 9;
const EPOCH_SHIFT = 16;
export const EPOCH_MASK = 0xfff;
/** Everything about the free. */
export const ISSUE_BITS = (31 << ISSUER_SHIFT) | ISSUE_STATE | (EPOCH_MASK << EPOCH_SHIFT);
const MOVER_SHIFT = 4;
export const NOLOCK = 1 << 28;
const GENERATION = 1 << 29;

/** In these places a free has come to its end. No barrier waits for what a facility keeps. */
const SETTLED = O_NONE | O_FREELIST | O_SHEAF | O_KEPT;

/** The place, as an O_* bit. */
export const placeOf = (word: number): number => 1 << (word & 15);
export const placeNumber = (place: number): number => 31 - Math.clz32(place);
export const moverOf = (word: number): number => (word >>> MOVER_SHIFT) & 31;
export const issuerOf = (word: number): number => (word >>> ISSUER_SHIFT) & 31;
export const issueStateOf = (word: number): number => word & ISSUE_STATE;
export const epochOf = (word: number): number => (word >>> EPOCH_SHIFT) & EPOCH_MASK;

/** The word after a move to `to` by `cpu`. */
export function movedWord(word: number, cpu: number, to: number): number {
  let issue = word & ISSUE_BITS;
  if (to & SETTLED) issue = 0;
  else if (placeOf(word) === O_USER && issueStateOf(word) === ISSUE_NONE) issue = ISSUE_BEGUN | (cpu << ISSUER_SHIFT);
  const generation = (word & ~(GENERATION - 1)) + GENERATION;
  const nolock = to & SETTLED ? 0 : word & NOLOCK; // Of this allocation; the next one starts without.
  return generation | nolock | issue | (cpu << MOVER_SHIFT) | placeNumber(to) | 0;
}
/** Does this move end a free for which barriers wait? */
export function settles(word: number, to: number): boolean {
  return (to & SETTLED) !== 0 && issueStateOf(word) === ISSUE_RETURNED;
}
/** The word after the free has returned in `epoch`. */
export function returnedWord(word: number, epoch: number): number {
  return (word & ~(ISSUE_STATE | (EPOCH_MASK << EPOCH_SHIFT))) | ISSUE_RETURNED | ((epoch & EPOCH_MASK) << EPOCH_SHIFT);
}

// The buffer, in words. What different CPUs write lies on different cache lines.
const LINE = 16;
export const W_BYTES = 0; // of machine memory
export const W_CPUS = 1;
export const W_RING = 2; // entries of a ring, a power of two
export const W_TICKET = LINE;
export const W_EPOCH = 2 * LINE;
export const W_OUTSTANDING = 3 * LINE; // per epoch: frees that have returned and are not done
const W_PER_CPU = W_OUTSTANDING + EPOCH_MASK + 1;

// A CPU's block.
export const C_HEAD = 0; // entries ever written to the ring
export const C_READER = 1; // ticket of the open reader; 0: none
export const C_READER_AGED = 2; // ticket of the last reader during which a grace period ended
export const C_AGES = 3; // readers by age: 0, 1, 2 or more
export const NR_AGES = 3;
export const C_RING = LINE;

/** An entry of a ring: object (or slab), what happened, ticket, size << 15 | count of a slab. */
export const ENTRY_WORDS = 4;
export const SLAB_COUNT_BITS = 15;

export interface OracleLayout {
  readonly cpuStride: number;
  readonly perCpu: number;
  readonly owners: number;
  readonly keys: number;
  readonly words: number;
}
export function oracleLayout(bytes: number, cpus: number, ring: number): OracleLayout {
  const cpuStride = C_RING + ring * ENTRY_WORDS;
  const owners = W_PER_CPU + cpus * cpuStride;
  const keys = owners + (bytes >>> 3);
  return { cpuStride, perCpu: W_PER_CPU, owners, keys, words: keys + (bytes >>> 3) };
}
