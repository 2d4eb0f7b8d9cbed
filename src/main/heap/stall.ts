/**
 * Waiting, and what is said when it takes long: who holds it up, in words. Those are readers that do not leave, and calls
 * that do not end.
 */
import { isMainThread } from "node:worker_threads";
import type { Attachment } from "./attachment.ts";
import { HeapStalledError } from "./errors.ts";
import { HeapSlot } from "./layout.ts";
import { OWNER_MASK } from "./owner.ts";
import { READER_INSIDE, READER_WANTED } from "./readers.ts";
import type { Wait } from "./waits.ts";

const { owner: OWNER, reader: READER, reader_site: READER_SITE, thread: THREAD } = HeapSlot.offset;

export interface StalledSlot {
  readonly slot: number;
  /** worker_threads' threadId of the thread that is attached; -1: none is. */
  readonly thread: number;
  /** It is in a read section that the wait waits for. */
  readonly reading: boolean;
  /** Somebody is in a call on it: this thread, or the one given. */
  readonly inCallOf: number | undefined;
  /** Where it entered the section; while debugging. */
  readonly site: string | undefined;
}
export interface HeapStall {
  /** "synchronize()" or "barrier()" */
  readonly what: string;
  readonly waitedMs: number;
  readonly slots: readonly StalledSlot[];
  /** All of that in words, a line for each slot. */
  readonly message: string;
}

export interface StallOptions {
  /** How long a wait for readers may last before it is reported, ms. Default 10,000. */
  readonly stallTimeoutMs: number;
  /** What is told then, and again after three times as long. Default: a process warning. */
  readonly onStall: (stall: HeapStall) => void;
}

/**
 * Blocks until the wait is over.
 * @throws HeapStalledError  it takes long, and this is the main thread: a blocked one learns of no worker's death
 */
export function block(at: Attachment, wait: Wait, options: StallOptions): void {
  const report = reporter(at, wait, options);
  while (!wait.advance()) {
    wait.sleep();
    const stall = report();
    if (stall === undefined) continue;
    if (isMainThread) throw new HeapStalledError(stall.message);
    options.onStall(stall);
  }
}
/** The same without blocking. */
export async function rest(at: Attachment, wait: Wait, options: StallOptions): Promise<void> {
  const report = reporter(at, wait, options);
  while (!wait.advance()) {
    await wait.rest();
    const stall = report();
    if (stall !== undefined) options.onStall(stall);
  }
}
/** @returns what there is to report now, if it is time to. */
function reporter(at: Attachment, wait: Wait, { stallTimeoutMs }: StallOptions): () => HeapStall | undefined {
  let reportMs = stallTimeoutMs;
  return () => {
    const { waitedMs } = wait;
    if (waitedMs < reportMs) return undefined;
    reportMs = waitedMs + 3 * stallTimeoutMs;
    return stallReport(at, wait);
  };
}

/** Race: all is read while the threads go on. */
function stallReport(at: Attachment, wait: Wait): HeapStall {
  const slots: StalledSlot[] = [];
  for (let i = 0; i < at.map.slots; i++) {
    const slot = stalledSlot(at, i);
    if (slot.reading || slot.inCallOf !== undefined) slots.push(slot);
  }
  const { what, waitedMs } = wait;
  const seconds = (waitedMs / 1000).toFixed(1);
  const lines = slots.map(describe);
  if (lines.length === 0) lines.push("  nobody: it should end now");
  return { what, waitedMs, slots, message: [`sheaf/heap: ${what} has waited ${seconds} s, for`, ...lines].join("\n") };
}

function stalledSlot({ calls, map, sites }: Attachment, i: number): StalledSlot {
  const { mem } = calls;
  const slot = map.slot(i);
  const wanted = READER_INSIDE | READER_WANTED;
  const reading = (mem.read_once(slot, READER) & wanted) === wanted;
  const owner = (mem.read_once(slot, OWNER) & OWNER_MASK) - 1;
  return {
    slot: i,
    thread: mem.read_once(slot, THREAD) - 1,
    reading,
    inCallOf: owner < 0 ? undefined : owner < map.slots ? mem.read_once(map.slot(owner), THREAD) - 1 : -1,
    site: reading ? sites?.text(mem.peek(slot, READER_SITE)) : undefined,
  };
}
function describe({ slot, thread, reading, inCallOf, site }: StalledSlot): string {
  const facts: string[] = [];
  if (reading) facts.push(`is in a read section since before that${site === undefined ? "" : `, entered at ${site}`}`);
  if (inCallOf !== undefined) facts.push(`has a call in progress, of thread ${inCallOf}`);
  return `  slot ${slot} (thread ${thread}), which ${facts.join(", and ")}`;
}
