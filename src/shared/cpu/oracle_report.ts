/** What is known about an object, in words: where it lies, and its last moves. Reads by peek(): no steps. */
import { PAGE_SHIFT, PAGE_SIZE } from "../base/limits.ts";
import { CONTEXT_NAMES } from "../layout/cpu.ts";
import type { MachineMap } from "../layout/map.ts";
import { Page, PGTY_large_kmalloc, PGTY_slab, PGTY_tail } from "../layout/page.ts";
import { CACHE_NAME_BYTES, KmemCache, Slab } from "../layout/slab.ts";
import { VmapArea } from "../layout/vmalloc.ts";
import type { Memory } from "../mem/memory.ts";
import { O_NAMES, type OracleEvent } from "../mem/oracle.ts";
import { element, NULL, type Ptr } from "../mem/struct.ts";

const { type: TYPE, order: ORDER, compound_head: COMPOUND_HEAD } = Page.offset;
const { slab_cache: SLAB_CACHE, objects: OBJECTS } = Slab.offset;
const { va_start: VA_START, va_end: VA_END } = VmapArea.offset;
const { size: SIZE, object_size: OBJECT_SIZE, name: NAME } = KmemCache.offset;

/** What lies at an address: "object 3 of 32 in the slab at 0x41000, cache kmalloc-128, 128 bytes". */
export function describe_object(mem: Memory, map: MachineMap, address: number): string {
  const index = (address - map.pages) >> PAGE_SHIFT;
  if (address < map.pages) return "no page: a word of the globals, of a CPU or of mem_map";
  if (address >= map.vmallocEnd) return "behind the last page";
  if (address >= map.vmalloc) return describe_vmalloc(mem, map, address);
  const found = (map.memMap + index * Page.size) as Ptr<"page">;
  const page = mem.peek(found, TYPE) === PGTY_tail ? mem.peek(found, COMPOUND_HEAD) : found;
  const base = map.pages + (((page - map.memMap) / Page.size) << PAGE_SHIFT);
  const type = mem.peek(page, TYPE);
  if (type === PGTY_large_kmalloc)
    return `large kmalloc of ${PAGE_SIZE << mem.peek(page, ORDER)} bytes at ${hex(base)}`;
  if (type !== PGTY_slab) return `in the page at ${hex(base)}, which is no slab now (type ${type})`;
  const slab = page as Ptr as Ptr<"slab">;
  const cache = mem.peek(slab, SLAB_CACHE);
  const size = cache === NULL ? 0 : mem.peek(cache, SIZE);
  if (size === 0) return `in the slab at ${hex(base)}, which has no cache`;
  const number = Math.floor((address - base) / size);
  const inside = (address - base) % size === 0 ? "" : `${(address - base) % size} bytes into `;
  const kind = `cache ${name_of_cache(mem, cache)}, ${mem.peek(cache, OBJECT_SIZE)} bytes`;
  return `${inside}object ${number} of ${mem.peek(slab, OBJECTS)} in the slab at ${hex(base)}, ${kind}`;
}
/** The block begins at this page or at one before it. */
function describe_vmalloc(mem: Memory, map: MachineMap, address: number): string {
  for (let index = (address - map.vmalloc) >> PAGE_SHIFT; index >= 0; index--) {
    const va = (map.vmapAreas + index * VmapArea.size) as Ptr<"vmap_area">;
    const start = mem.peek(va, VA_START);
    if (start === 0) continue;
    const end = mem.peek(va, VA_END) - PAGE_SIZE;
    if (address >= end + PAGE_SIZE) break;
    const where = address === start ? "" : address < end ? `${address - start} bytes into ` : "in the guard page of ";
    return `${where}vmalloc block of ${end - start} bytes at ${hex(start)}`;
  }
  return "in the vmalloc area, in no block";
}
/** Also of a cache that is gone: what is no letter reads as "?". */
function name_of_cache(mem: Memory, s: Ptr<"kmem_cache">): string {
  const codes: number[] = [];
  for (let i = 0; i < CACHE_NAME_BYTES; i++) codes.push((mem.peek(s, element(NAME, i >> 2)) >> (8 * (i & 3))) & 0x7f);
  const end = codes.indexOf(0);
  const shown = (end === -1 ? codes : codes.slice(0, end)).map((code) => (code > 32 && code < 127 ? code : 63));
  return shown.length === 0 ? `at ${hex(s)}` : String.fromCharCode(...shown);
}

/** One line per move, oldest first. */
export function describe_biography(events: readonly OracleEvent[]): string[] {
  return events.map(({ ticket, cpu, context, from, to, count }) => {
    const move = `${place(from)} -> ${place(to)}${count === 1 ? "" : `, ${count} objects of the slab`}`;
    return `ticket ${ticket >>> 0}, CPU ${cpu} in ${CONTEXT_NAMES[context]}: ${move}`;
  });
}
const place = (bit: number): string => O_NAMES[31 - Math.clz32(bit)] ?? "?";
const hex = (address: number): string => `0x${address.toString(16)}`;
