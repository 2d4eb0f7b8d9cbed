/** What one thread has of a heap it is attached to: the parts that all operations work with. */
import type { Calls } from "./calls.ts";
import type { Classes } from "./classes.ts";
import type { HeapDescriptor } from "./descriptor.ts";
import { type HeapMap, LAST_CLASS, LARGE, RETIRED } from "./layout.ts";
import type { Magazines } from "./magazines.ts";
import type { CallSites } from "./sites.ts";

export interface Attachment {
  readonly descriptor: HeapDescriptor;
  readonly map: HeapMap;
  /** The slot that this thread has claimed. */
  readonly slot: number;
  readonly calls: Calls;
  readonly classes: Classes;
  readonly magazines: Magazines;
  /** The tags of the machine's memory, one for each granule (layout.ts). */
  readonly tags: Uint8Array;
  /** While debugging: who called last, for each granule. */
  readonly sites: CallSites | undefined;
}

/** Does a tag say that an object is its user's? */
export function isLive(tag: number): boolean {
  return tag !== 0 && (tag <= LAST_CLASS || tag === LARGE);
}
/** May the object still be looked at: live, or retired, whose memory stays for readers who have found it? */
export function isReadable(tag: number): boolean {
  return isLive(tag) || (tag !== RETIRED && isLive(tag & ~RETIRED));
}
