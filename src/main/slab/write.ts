/**
 * Writing a file under /sys/kernel/slab of a running machine: the host leaves a request, a CPU serves it between two
 * operations (linux/mm/slub/sysfs.ts).
 */
import { setTimeout as delay } from "node:timers/promises";
import { Globals } from "../../shared/layout/globals.ts";
import { CACHE_NAME_BYTES } from "../../shared/layout/slab.ts";
import {
  SYSFS_DONE,
  SYSFS_IDLE,
  SYSFS_POSTED,
  SYSFS_VALUE_BYTES,
  SYSFS_WRITABLE,
  SysfsWrite,
} from "../../shared/layout/sysfs.ts";
import { write_text } from "../../shared/linux/lib/packed_text.ts";
import { cache_name } from "../../shared/linux/mm/slub/cache_name.ts";
import { embedded } from "../../shared/mem/struct.ts";
import { entriesOf } from "./directory.ts";
import type { Seen } from "./seen.ts";

const { sysfs: SYSFS } = Globals.offset;
const { state: STATE, attribute: ATTRIBUTE, cache: CACHE, value: VALUE, result: RESULT } = SysfsWrite.offset;

/** Between two looks whether a CPU has served the request. */
const LOOK_MS = 5;
const ERRORS: Readonly<Record<number, string>> = { [-2]: "-ENOENT", [-22]: "-EINVAL", [-34]: "-ERANGE" };

/** What a write has come to: "0", "-EINVAL". */
export function resultText(result: number): string {
  return ERRORS[result] ?? String(result);
}

/** The name of a cache in the machine, which does not know of unique ids; of a cache that is not there: the same. */
export function ownName(seen: Seen, name: string): string {
  const entry = entriesOf(seen).find((each) => each.name === name);
  return entry === undefined ? name : cache_name(seen, entry.cache);
}

/** Leaves the request: the next CPU that comes by serves it. One at a time. @param attribute  one of SYSFS_WRITABLE */
export function postWrite({ mem, map }: Seen, cache: string, attribute: string, text: string): void {
  const request = embedded(map.globals, SYSFS);
  if (mem.read_once(request, STATE) !== SYSFS_IDLE) throw new Error("a file is being written already");
  mem.write(request, ATTRIBUTE, SYSFS_WRITABLE.indexOf(attribute));
  write_text(mem, request, CACHE, CACHE_NAME_BYTES, cache);
  write_text(mem, request, VALUE, SYSFS_VALUE_BYTES, text);
  mem.write_once(request, STATE, SYSFS_POSTED);
}
/** What has become of it: 0 or a negative error; undefined: nothing yet. */
export function takeResult({ mem, map }: Seen): number | undefined {
  const request = embedded(map.globals, SYSFS);
  if (mem.read_once(request, STATE) !== SYSFS_DONE) return undefined;
  const result = mem.read(request, RESULT);
  mem.write_once(request, STATE, SYSFS_IDLE);
  return result;
}

/** @returns 0 or a negative error; undefined: the machine has ended before it came to that. */
export async function writeAttribute(
  seen: Seen,
  { cache, attribute, text }: { readonly cache: string; readonly attribute: string; readonly text: string },
  ended: AbortSignal,
): Promise<number | undefined> {
  postWrite(seen, cache, attribute, text);
  for (;;) {
    const result = takeResult(seen);
    if (result !== undefined || ended.aborted) return result;
    await delay(LOOK_MS);
  }
}
