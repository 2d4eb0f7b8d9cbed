/**
 * Any address in words, by what memory holds at that moment: variables (symbols.ts), parts of caches
 * ("things.cpu0.main->size"), slabs ("slab(page 12).counters"), pages of kfree_rcu() ("bnode(page 9).nr_records") and
 * objects ("things#2+8": 8 bytes into object 2). Memory is read from outside, without steps, in the middle of anything:
 * what makes no sense is shown as a number.
 */
import { PAGE_SHIFT, PAGE_SIZE } from "../../shared/base/limits.ts";
import { KvfreeRcuBulkData } from "../../shared/layout/kvfree_rcu.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import { Page, PGTY_bnode, PGTY_slab, PGTY_tail } from "../../shared/layout/page.ts";
import { KmemCache, Slab, SlabSheaf } from "../../shared/layout/slab.ts";
import { cache_name } from "../../shared/linux/mm/slub/cache_name.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import type { AnyStruct, Ptr } from "../../shared/mem/struct.ts";
import { CacheParts, type HeapObject } from "./cache_parts.ts";
import { fieldAt, type Word, wordAt } from "./symbols.ts";
import { valueName } from "./values.ts";

const { type: TYPE, compound_head: COMPOUND_HEAD } = Page.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const { size: SIZE } = KmemCache.offset;
/** The C type of a pointer names what it points to. */
const POINTER = /^(\w+) \*/;

export class HeapSymbols {
  /** Names of all objects that were asked for, by address. */
  readonly objects = new Map<number, string>();
  readonly mem: Memory;
  private readonly map: MachineMap;
  private readonly shared: AnyStruct | undefined;
  private readonly parts: CacheParts;
  /** The first slab seen of each cache: its objects need no page in their names. */
  private readonly firstSlab = new Map<number, number>();

  /** @param shared  what lies in the first page, if it is no kernel's */
  constructor(map: MachineMap, mem: Memory, shared?: AnyStruct) {
    this.map = map;
    this.shared = shared;
    this.mem = mem;
    this.parts = new CacheParts(map, mem);
  }

  /** The word at an address. @param pointee  what a pointer to it points to: the name ends there. */
  word(address: number, pointee = ""): Word {
    const { shared, map } = this;
    const offset = address - map.pages;
    if (shared !== undefined && offset >= 0 && offset < shared.size)
      return fieldAt(shared.name, ".", shared, offset, pointee);
    const object = this.object(address);
    if (object === undefined) {
      const known = this.slabWord(address) ?? this.bnodeWord(address, pointee) ?? wordAt(this.map, address, pointee);
      return known ?? { name: this.pageName(address), field: "", ctype: "" };
    }
    const part = this.parts.part(object, address);
    if (part !== undefined) return fieldAt(part.name, part.arrow, part.struct, address - part.start, pointee);
    return { name: placeIn(object, address), field: "", ctype: "" };
  }
  /** A pointer by what it points to. @param pointee  the struct that its type names; "". */
  pointer(value: number, pointee: string): string {
    if (value === 0) return "NULL";
    const object = this.object(value);
    const part = object === undefined ? undefined : this.parts.part(object, value);
    // Why not its place for a sheaf: the pointer is that place.
    if (object !== undefined && (part === undefined || part.struct === SlabSheaf)) return placeIn(object, value);
    if (part?.struct === KmemCache && part.start === value) return part.name;
    const { name } = this.word(value, pointee);
    return this.isAddress(value) ? `&${name}` : name;
  }
  /** What a word holds. */
  value({ field, ctype }: Word, value: number): string {
    const pointee = POINTER.exec(ctype)?.[1];
    // Payload of an object has no type: a number that could be an address is taken for one.
    if (pointee !== undefined || (field === "" && this.isAddress(value))) return this.pointer(value, pointee ?? "");
    return valueName(field, ctype, value);
  }

  /** The object of a cache that an address lies in. */
  private object(address: number): HeapObject | undefined {
    const index = (address - this.map.pages) >> PAGE_SHIFT;
    if (index < 0 || index >= this.map.nrPages) return undefined;
    const found = this.page(index);
    const page = this.mem.peek(found, TYPE) === PGTY_tail ? this.mem.peek(found, COMPOUND_HEAD) : found;
    if (this.mem.peek(page, TYPE) !== PGTY_slab) return undefined;
    const cache = this.mem.peek(page as Ptr as Ptr<"slab">, SLAB_CACHE);
    const size = this.isAddress(cache) ? this.mem.peek(cache, SIZE) : 0;
    if (size <= 0) return undefined;
    const head = (page - this.map.memMap) / Page.size;
    const base = this.map.pages + (head << PAGE_SHIFT);
    const number = Math.floor((address - base) / size);
    const start = base + number * size;
    if (!this.firstSlab.has(cache)) this.firstSlab.set(cache, head);
    const where = this.firstSlab.get(cache) === head ? "" : `@page${head}`;
    const name = `${cache_name(this, cache)}#${number}${where}`;
    this.objects.set(start, name);
    return { cache, start, name };
  }
  private isAddress(value: number): boolean {
    return value >= this.map.globals && value < this.map.shape.bytes && (value & 3) === 0;
  }
  private page(index: number): Ptr<"page"> {
    return (this.map.memMap + index * Page.size) as Ptr<"page">;
  }
  /** A word of the struct page of a slab. */
  private slabWord(address: number): Word | undefined {
    const index = Math.floor((address - this.map.memMap) / Page.size);
    if (index < 0 || index >= this.map.nrPages || this.mem.peek(this.page(index), TYPE) !== PGTY_slab) return undefined;
    return fieldAt(`slab(page ${index})`, ".", Slab, address - this.page(index));
  }
  /** A word of a page of pointers that kfree_rcu() fills. */
  private bnodeWord(address: number, pointee: string): Word | undefined {
    const offset = address - this.map.pages;
    const index = offset >> PAGE_SHIFT;
    if (index < 0 || index >= this.map.nrPages || this.mem.peek(this.page(index), TYPE) !== PGTY_bnode)
      return undefined;
    return fieldAt(`bnode(page ${index})`, ".", KvfreeRcuBulkData, offset % PAGE_SIZE, pointee);
  }
  private pageName(address: number): string {
    const { pages, vmalloc, vmallocEnd } = this.map;
    const [name, start] = address < vmalloc ? ["page", pages] : ["vmalloc page", vmalloc];
    if (address < start || address >= vmallocEnd) return `0x${(address >>> 0).toString(16)}`;
    const offset = address - start;
    return `${name} ${offset >> PAGE_SHIFT}+${offset % PAGE_SIZE}`;
  }
}

function placeIn({ name, start }: HeapObject, address: number): string {
  return address === start ? name : `${name}+${address - start}`;
}
