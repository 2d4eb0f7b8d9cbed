/**
 * The shadow memory of KASAN: a byte for every 8 bytes of the pages. mm/kasan/shadow.c, generic.c.
 *
 * No lock: who owns an object owns its shadow, and a new slab's belongs to whoever makes the slab. Others only look.
 */
import { PAGE_SIZE } from "../../../base/limits.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { DebugGlobals } from "../../../layout/debug.ts";
import { KASAN_BLOCK_SHIFT, KASAN_GRANULE_SHIFT, KasanState } from "../../../layout/debug_kasan.ts";
import { Globals } from "../../../layout/globals.ts";
import { element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { debug_state_alloc } from "./state.ts";

const { debug: DEBUG } = Globals.offset;
const { kasan: KASAN } = DebugGlobals.offset;
const { shadow: SHADOW } = KasanState.offset;
const KASAN_GRANULE_SIZE = 1 << KASAN_GRANULE_SHIFT;
const BLOCK_SIZE = 1 << KASAN_BLOCK_SHIFT;

/** NULL: KASAN is not on. @context Any */
export function kasan_state(cpu: Cpu): Ptr<"kasan_state"> {
  return cpu.mem.peek(embedded(cpu.globals, DEBUG), KASAN);
}

/** Shadow for all pages, all of it accessible. @context Task, at boot, alone */
export function kasan_init_shadow(cpu: Cpu, state: Ptr<"kasan_state">): void {
  const bytes = cpu.map.nrPages * PAGE_SIZE;
  for (let i = 0; i * BLOCK_SIZE < bytes; i++) {
    const covered = Math.min(BLOCK_SIZE, bytes - i * BLOCK_SIZE);
    const block = debug_state_alloc(cpu, "the shadow of KASAN", covered >> KASAN_GRANULE_SHIFT);
    cpu.mem.init(state, element(SHADOW, i), block as Ptr<"kasan_shadow">);
  }
}

/** Does the address lie in a page of the page allocator? Other memory has no shadow. @context Any */
export function has_shadow(cpu: Cpu, address: number): boolean {
  const offset = address - cpu.map.pages;
  return offset >= 0 && offset < cpu.map.nrPages * PAGE_SIZE;
}
/** Address of the shadow byte of `address`, which has one. @kernel mm/kasan/kasan.h @context Any */
function kasan_mem_to_shadow(cpu: Cpu, address: number): number {
  const offset = address - cpu.map.pages;
  const block = cpu.mem.peek(kasan_state(cpu), element(SHADOW, offset >> KASAN_BLOCK_SHIFT));
  return block + ((offset & (BLOCK_SIZE - 1)) >> KASAN_GRANULE_SHIFT);
}

/** The shadow byte of `address`. @context Any */
export function kasan_shadow_byte(cpu: Cpu, address: number): number {
  return cpu.mem.load_byte(kasan_mem_to_shadow(cpu, address));
}

/** Writes the shadow of whole granules from `address` on. @kernel mm/kasan/shadow.c @context Any, as their owner */
export function kasan_poison(cpu: Cpu, address: number, bytes: number, value: number): void {
  let at = address;
  for (let left = Math.ceil(bytes / KASAN_GRANULE_SIZE) * KASAN_GRANULE_SIZE; left > 0;) {
    const chunk = Math.min(left, BLOCK_SIZE - ((at - cpu.map.pages) & (BLOCK_SIZE - 1))); // As far as the block reaches.
    cpu.mem.fill(kasan_mem_to_shadow(cpu, at), chunk >> KASAN_GRANULE_SHIFT, value);
    at += chunk;
    left -= chunk;
  }
}

/** Makes `bytes` bytes accessible, and none of the rest of the last granule. @kernel mm/kasan/shadow.c @context as above */
export function kasan_unpoison(cpu: Cpu, address: number, bytes: number): void {
  kasan_poison(cpu, address, bytes, 0);
  const rest = bytes & (KASAN_GRANULE_SIZE - 1);
  // Why not store_byte(): others own the bytes beside it, and an explored store buffer holds whole words.
  if (rest !== 0) cpu.mem.fill(kasan_mem_to_shadow(cpu, address + bytes - rest), 1, rest);
}

/** May the byte at `address` be used? @kernel mm/kasan/generic.c @context Any */
export function kasan_byte_accessible(cpu: Cpu, address: number): boolean {
  const shadow = kasan_shadow_byte(cpu, address);
  return shadow === 0 || (address & (KASAN_GRANULE_SIZE - 1)) < signed(shadow);
}
/** Codes from 0x80 on are negative counts. */
const signed = (byte: number): number => (byte << 24) >> 24;

/** First of `bytes` bytes that may not be used; NULL: all may. @kernel mm/kasan/generic.c @context Any */
export function kasan_first_bad(cpu: Cpu, address: number, bytes: number): Ptr {
  const end = address + bytes;
  for (let at = address; at < end; at = (at + KASAN_GRANULE_SIZE) & -KASAN_GRANULE_SIZE) {
    const last = Math.min(end, (at + KASAN_GRANULE_SIZE) & -KASAN_GRANULE_SIZE) - 1;
    if (!kasan_byte_accessible(cpu, last)) return at as Ptr;
  }
  return NULL;
}
