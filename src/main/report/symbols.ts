/**
 * Addresses in words: "rcu_state.gp_seq", "cpu0.deferred_percpu_work.objects", "mem_map[5].order". What an address of a
 * page means depends on what memory holds at that moment: heap_symbols.ts.
 */
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import { Globals } from "../../shared/layout/globals.ts";
import type { MachineMap } from "../../shared/layout/map.ts";
import { Page } from "../../shared/layout/page.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { VmapArea } from "../../shared/layout/vmalloc.ts";
import { offsetof, type AnyStruct, type FieldInfo } from "../../shared/mem/struct.ts";

/** A word by its name, and the innermost field that it is, if it is one. */
export interface Word {
  readonly name: string;
  /** "irq_work.flags"; "" if the layout does not say. */
  readonly field: string;
  /** C type of the field; "". */
  readonly ctype: string;
}

/** Fields that are all there is to their struct: the struct's name says enough. */
const OBVIOUS = new Set([
  "cpu_pending.bits",
  "llist_head.first",
  "local_trylock.acquired",
  "mutex.owner",
  "rcuwait.task",
  "spinlock.val",
  "wait_queue.cpus",
]);
const SCENARIO = offsetof(Globals.offset.scenario);
const FIRST_RESULT = 128;
const SCENARIO_WORDS = 256;

/**
 * The word at an address; undefined for pages and for what is no address.
 * @param pointee  what a pointer to it points to: the name ends there.
 */
export function wordAt(map: MachineMap, address: number, pointee = ""): Word | undefined {
  const { globals, percpu, percpuStride, memMap, vmapAreas, pages, shape } = map;
  if (address < globals || address >= pages) return undefined;
  if (address < globals + Globals.size) {
    return scenarioWord(address - globals - SCENARIO) ?? fieldAt("", "", Globals, address - globals, pointee);
  }
  const cpu = Math.floor((address - percpu) / percpuStride);
  if (cpu < shape.cpus) return fieldAt(`cpu${cpu}`, ".", PerCpu, address - map.section(cpu), pointee);
  if (address < vmapAreas) return elementAt("mem_map", memMap, Page, address, pointee);
  return elementAt("vmap_areas", vmapAreas, VmapArea, address, pointee);
}

function elementAt(name: string, start: number, struct: AnyStruct, address: number, pointee: string): Word {
  const index = Math.floor((address - start) / struct.size);
  return fieldAt(`${name}[${index}]`, ".", struct, (address - start) % struct.size, pointee);
}

/** x0, x1, ... are the words of get() and set(), r0, r1, ... those of result(). */
function scenarioWord(offset: number): Word | undefined {
  const i = offset >> 2;
  if (offset < 0 || i >= SCENARIO_WORDS) return undefined;
  return { name: i < FIRST_RESULT ? `x${i}` : `r${i - FIRST_RESULT}`, field: "", ctype: "" };
}

/** The path of names from `base` down to the innermost field that holds the offset. */
export function fieldAt(base: string, arrow: string, struct: AnyStruct, offset: number, pointee = ""): Word {
  if (offset === 0 && struct.name === pointee) return { name: base, field: "", ctype: "" };
  const field = struct.fields.find((each) => holds(each, offset)) ?? struct.fields.find(isFlexible);
  if (field === undefined || offset < field.offset) {
    return { name: offset === 0 ? base : `${base} + ${offset}`, field: "", ctype: "" };
  }
  const { count, ctype } = field;
  const bytes = isFlexible(field) ? (ctype === "u32" ? 4 : 8) : field.size / count; // Else pointers.
  const index = Math.floor((offset - field.offset) / bytes);
  const id = `${struct.name}.${field.name}`;
  const name = OBVIOUS.has(id) ? base : `${base}${arrow}${field.name}${count === 1 ? "" : `[${index}]`}`;
  const inside = offset - field.offset - index * bytes;
  return field.struct === undefined ? { name, field: id, ctype } : fieldAt(name, ".", field.struct, inside, pointee);
}
const holds = ({ offset, size }: FieldInfo, at: number): boolean => at >= offset && at < offset + size;
const isFlexible = ({ count }: FieldInfo): boolean => count === 0;

/** An address as a word of its own. Numbers below the first address are shown as numbers. */
export function addressName(map: MachineMap, address: number): string {
  const known = wordAt(map, address)?.name;
  if (known !== undefined) return known;
  return address >= 0 && address < PAGE_SIZE ? String(address) : `0x${(address >>> 0).toString(16)}`;
}
