/**
 * The threads of a race on real workers: one SharedArrayBuffer that holds the struct, and on each worker a memory that
 * accesses it. `mem.relax()` is a pause then, and atomic fields are real atomics.
 */
import { types } from "node:util";
import { CACHE_LINE } from "../../shared/base/limits.ts";
import { BareMemory } from "../../shared/mem/bare_memory.ts";
import type { Ptr, StructDef } from "../../shared/mem/struct.ts";
import { UsageError } from "../errors.ts";
import type { ThreadMemory } from "./race.ts";

/** Address 0 is NULL, so the struct begins at the next cache line. */
const START = CACHE_LINE;

/** A buffer for one struct, all 0. Send it to the workers. */
export function sharedBuffer<S extends string, F>(struct: StructDef<S, F>): SharedArrayBuffer {
  return new SharedArrayBuffer(start(struct) + Math.ceil(struct.size / 4) * 4);
}
/** What a worker gives to its thread function. @throws UsageError  the buffer is not shared, or too small */
export function attachMemory<S extends string, F>(
  struct: StructDef<S, F>,
  buffer: SharedArrayBuffer,
): { readonly mem: ThreadMemory; readonly shared: Ptr<S> } {
  if (!types.isSharedArrayBuffer(buffer)) {
    throw new UsageError(`struct ${struct.name} needs a SharedArrayBuffer: make it by sharedBuffer()`);
  }
  const needed = start(struct) + struct.size;
  if (buffer.byteLength < needed) {
    throw new UsageError(
      `struct ${struct.name} needs a buffer of ${needed} bytes, this one has ${buffer.byteLength}: make it by sharedBuffer()`,
    );
  }
  return { mem: new BareMemory(buffer, 0), shared: start(struct) as Ptr<S> };
}
function start({ align }: { readonly align: number }): number {
  return Math.max(START, align);
}
