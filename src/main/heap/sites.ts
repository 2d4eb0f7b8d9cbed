/**
 * Call sites, while debugging: for each granule of the heap the number of the place that last allocated or freed what
 * begins there. The texts lie in shared memory, so any thread can name them, also when the caller is dead. A text's
 * number is its offset + 1. Each thread remembers the numbers that it has met; only a new site takes a lock.
 */
import type { Calls } from "./calls.ts";
import { GRANULE_SHIFT, HeapGlobals } from "./layout.ts";

const { sites_bytes: SITES_BYTES } = HeapGlobals.offset;
/** Of this folder, as stack traces of either kind of module name it. */
const OWN_FILES = [new URL(".", import.meta.url).href, new URL(".", import.meta.url).pathname];
const UNKNOWN_SITE = "an unknown place";
/** A text begins with its length. */
const LENGTH_BYTES = 2;
const MAX_TEXT_BYTES = 1000;

export class CallSites {
  private readonly calls: Calls;
  private readonly numbers = new Map<string, number>();
  private readonly sites: Int32Array;

  constructor(calls: Calls) {
    const { map, mem } = calls;
    this.calls = calls;
    this.sites = new Int32Array(mem.words.buffer, map.sites, (map.siteText - map.sites) >> 2);
  }
  /** The present caller of the heap did something to what begins at `object`. */
  note(object: number): void {
    this.sites[object >> GRANULE_SHIFT] = this.here();
  }
  /** Who did so last, in words. */
  of(object: number): string {
    return this.text(this.sites[object >> GRANULE_SHIFT]);
  }
  /** Number of the place outside this folder from which it has been called; 0: unknown. */
  here(): number {
    const frame = callerFrame();
    return frame === undefined ? 0 : (this.numbers.get(frame) ?? this.learn(frame));
  }
  text(site: number): string {
    return site === 0 ? UNKNOWN_SITE : this.textAt(site - 1);
  }

  /** A place that this thread has not met yet. @returns 0: there is no room for its text. */
  private learn(frame: string): number {
    const { calls } = this;
    const lock = calls.map.slot(calls.map.registrySlot);
    calls.enter(lock);
    const end = calls.mem.read_once(calls.map.globals, SITES_BYTES);
    let at = 0;
    while (at < end && this.textAt(at) !== frame) at += LENGTH_BYTES + this.lengthAt(at);
    const found = at < end || this.append(at, frame);
    calls.leaveSlot(lock);
    if (!found) return 0;
    this.numbers.set(frame, at + 1);
    return at + 1;
  }
  private append(at: number, frame: string): boolean {
    const { mem, map } = this.calls;
    const text = new TextEncoder().encode(frame);
    const end = at + LENGTH_BYTES + text.length;
    if (end > map.siteTextBytes) return false;
    mem.store_byte(map.siteText + at, text.length & 0xff);
    mem.store_byte(map.siteText + at + 1, text.length >> 8);
    mem.bytes.set(text, map.siteText + at + LENGTH_BYTES);
    mem.write_once(map.globals, SITES_BYTES, end);
    return true;
  }
  private lengthAt(at: number): number {
    const { mem, map } = this.calls;
    return mem.load_byte(map.siteText + at) | (mem.load_byte(map.siteText + at + 1) << 8);
  }
  private textAt(at: number): string {
    const { mem, map } = this.calls;
    const start = map.siteText + at + LENGTH_BYTES;
    return new TextDecoder().decode(mem.bytes.slice(start, start + this.lengthAt(at))); // A decoder takes no shared memory.
  }
}

/** "function (file:line:column)" of the innermost frame that is not ours. */
function callerFrame(): string | undefined {
  const holder = { stack: "" };
  Error.captureStackTrace(holder);
  const frames = holder.stack.split("\n").slice(1);
  const frame = frames.find((line) => !OWN_FILES.some((folder) => line.includes(folder)));
  return frame?.trim().replace(/^at /, "").slice(0, MAX_TEXT_BYTES);
}
