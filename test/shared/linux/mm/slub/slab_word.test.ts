/** The slab word, free pointers, and objects by number. */
import { describe, expect, test } from "vitest";
import { KmemCache, MAX_OBJS_PER_PAGE, Slab, SL_locked, SLAB_FROZEN } from "../../../../../src/shared/layout/slab.ts";
import { __CMPXCHG_DOUBLE, SLAB_ALLOC_DEFAULT, SLAB_RED_ZONE } from "../../../../../src/shared/layout/slab_flags.ts";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { irqs_disabled, local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { alloc_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { page_address } from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { new_slab } from "../../../../../src/shared/linux/mm/slub/new_slab.ts";
import {
  index_to_obj,
  obj_to_index,
  oo_make,
  oo_objects,
  oo_order,
  slab_address,
  slab_nid,
  virt_to_slab,
} from "../../../../../src/shared/linux/mm/slub/slab.ts";
import {
  __slab_update_freelist,
  checked_link,
  get_freepointer,
  make_word,
  set_freepointer,
  slab_update_freelist,
  slab_word,
  word_freelist,
  word_full,
  word_inuse,
} from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { stat_sum, STAT } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { SlabMachine } from "../slab_machine.ts";

function oneSlab(request: Parameters<SlabMachine["cache"]>[0] = {}): {
  machine: SlabMachine;
  cpu: Cpu;
  s: Ptr<"kmem_cache">;
  slab: Ptr<"slab">;
} {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({ object_size: 64, ...request });
  return { machine, cpu, s, slab: new_slab(cpu, s, GFP_ATOMIC, SLAB_ALLOC_DEFAULT, NUMA_NO_NODE) };
}

test("oo packs order and objects", () => {
  for (const [order, objects] of [
    [0, 1],
    [3, 32767],
    [10, 1],
  ]) {
    const oo = oo_make(order, objects);
    expect([oo_order(oo), oo_objects(oo)]).toEqual([order, objects]);
  }
});

test.each([
  ["plain", {}],
  ["with a left red zone", { flags: SLAB_RED_ZONE, align: 32 }],
  ["of two pages", { object_size: 512 }],
])("objects %s: number and address", (_, request) => {
  const { cpu, s, slab } = oneSlab(request);
  const objects = cpu.mem.peek(slab, Slab.offset.objects);
  const size = cpu.mem.peek(s, KmemCache.offset.size);
  const left = cpu.mem.peek(s, KmemCache.offset.red_left_pad);
  for (let i = 0; i < objects; i++) {
    const object = index_to_obj(cpu, s, slab, i);
    expect(object).toBe(slab_address(cpu, slab) + i * size + left);
    expect(obj_to_index(cpu, s, slab, object)).toBe(i);
    expect(virt_to_slab(cpu, object)).toBe(slab);
  }
  expect(slab_nid(cpu, slab)).toBe(0);
});

test("virt_to_slab: NULL for a page that is no slab", () => {
  const [cpu] = new SlabMachine().cpus;
  expect(virt_to_slab(cpu, page_address(cpu, alloc_frozen_pages(cpu, 1, 0)))).toBe(NULL);
});

describe("the word", () => {
  test("holds freelist and inuse", () => {
    const { cpu, s, slab } = oneSlab();
    for (const [index, inuse] of [
      [0, 0],
      [5, 59],
      [63, 1],
    ]) {
      const object = index_to_obj(cpu, s, slab, index);
      const word = make_word(cpu, s, slab, object, inuse);
      expect([word_freelist(cpu, s, slab, word), word_inuse(word), word_full(word)]).toEqual([object, inuse, false]);
    }
    const full = make_word(cpu, s, slab, NULL, 64);
    expect([word_freelist(cpu, s, slab, full), word_inuse(full), word_full(full)]).toEqual([NULL, 64, true]);
  });
  test("has room for the largest slab; frozen is no part of inuse", () => {
    const word = (MAX_OBJS_PER_PAGE << 16) | MAX_OBJS_PER_PAGE;
    expect(word).toBeGreaterThan(0);
    expect(word_inuse(word | SLAB_FROZEN)).toBe(MAX_OBJS_PER_PAGE);
  });
});

describe("free pointers", () => {
  test("lie at s->offset; both words are written", () => {
    const { cpu, s, slab } = oneSlab();
    const [a, b] = [index_to_obj(cpu, s, slab, 1), index_to_obj(cpu, s, slab, 2)];
    cpu.mem.fill(a, 64, 0x6b);
    set_freepointer(cpu, s, a, b);
    expect(get_freepointer(cpu, s, a)).toBe(b);
    const at = a + cpu.mem.peek(s, KmemCache.offset.offset);
    expect([
      cpu.mem.load_word(at - 4),
      cpu.mem.load_word(at),
      cpu.mem.load_word(at + 4),
      cpu.mem.load_word(at + 8),
    ]).toEqual([0x6b6b6b6b, b, 0, 0x6b6b6b6b]);
    set_freepointer(cpu, s, a, NULL);
    expect(get_freepointer(cpu, s, a)).toBe(NULL);
  });
  test("an object that links to itself is a bug", () => {
    const { cpu, s, slab } = oneSlab();
    const a = index_to_obj(cpu, s, slab, 1);
    expect(() => set_freepointer(cpu, s, a, a)).toThrow(/freed twice/);
  });
});

describe("encoded free pointers", () => {
  const RANDOM = 0x5ee05ee1;
  const encoded = (): ReturnType<typeof oneSlab> => {
    const fixture = oneSlab();
    fixture.cpu.mem.poke(fixture.s, KmemCache.offset.random, RANDOM);
    return fixture;
  };
  test("are XORed with the secret and the address of the slot, bytes swapped", () => {
    const { cpu, s, slab } = encoded();
    const [a, b] = [index_to_obj(cpu, s, slab, 1), index_to_obj(cpu, s, slab, 2)];
    set_freepointer(cpu, s, a, b);
    expect(get_freepointer(cpu, s, a)).toBe(b);
    const slot = a + cpu.mem.peek(s, KmemCache.offset.offset);
    const swapped = Buffer.alloc(4);
    swapped.writeUInt32BE(slot);
    expect(cpu.mem.load_word(slot)).toBe(b ^ RANDOM ^ swapped.readInt32LE());
    set_freepointer(cpu, s, a, NULL);
    expect(get_freepointer(cpu, s, a)).toBe(NULL);
    expect(cpu.mem.load_word(slot)).toBe(RANDOM ^ swapped.readInt32LE());
  });
  test("lie differently in each place: a link that was moved leads nowhere", () => {
    const { cpu, s, slab } = encoded();
    const [a, b, c] = [1, 2, 3].map((i) => index_to_obj(cpu, s, slab, i));
    set_freepointer(cpu, s, a, c);
    const offset = cpu.mem.peek(s, KmemCache.offset.offset);
    cpu.mem.store_word(b + offset, cpu.mem.load_word(a + offset));
    expect(get_freepointer(cpu, s, b)).not.toBe(c);
    expect(() => checked_link(cpu, s, slab, get_freepointer(cpu, s, b))).toThrow(/no object of it/);
  });
  test("are checked when they leave a freelist: objects of the slab, and NULL", () => {
    const { cpu, s, slab } = encoded();
    const objects = cpu.mem.peek(slab, Slab.offset.objects);
    const first = index_to_obj(cpu, s, slab, 0);
    const last = index_to_obj(cpu, s, slab, objects - 1);
    for (const good of [NULL, first, last]) expect(checked_link(cpu, s, slab, good)).toBe(good);
    for (const bad of [first - 64, first + 8, last + 64, -1]) {
      expect(() => checked_link(cpu, s, slab, bad as Ptr<"object">)).toThrow(/written after its free/);
    }
  });
  test("without the secret nothing is checked", () => {
    const { cpu, s, slab } = oneSlab();
    expect(checked_link(cpu, s, slab, 12 as Ptr<"object">)).toBe(12);
  });
});

describe.each([
  ["cmpxchg", true],
  ["slab_lock", false],
])("update by %s", (_, double) => {
  const updatable = (): ReturnType<typeof oneSlab> => {
    const fixture = oneSlab();
    const { cpu, s } = fixture;
    const flags = cpu.mem.peek(s, KmemCache.offset.flags);
    cpu.mem.poke(s, KmemCache.offset.flags, double ? flags : flags & ~__CMPXCHG_DOUBLE);
    return fixture;
  };
  test("succeeds if nobody was faster", () => {
    const { cpu, s, slab } = updatable();
    const old = slab_word(cpu, slab);
    expect(slab_update_freelist(cpu, s, slab, old, old + 1)).toBe(true);
    expect(slab_word(cpu, slab)).toBe(old + 1);
    expect(stat_sum(cpu, s, STAT.CMPXCHG_DOUBLE_FAIL)).toBe(0);
    expect(cpu.mem.peek(slab, Slab.offset.flags) & SL_locked).toBe(0);
  });
  test("fails, and is counted, if somebody was", () => {
    const { machine, cpu, s, slab } = updatable();
    const old = slab_word(cpu, slab);
    machine.at(cpu, POINT.slab_read_before_cmpxchg, () => cpu.mem.poke(slab, Slab.offset.counters, old + 7));
    expect(slab_update_freelist(cpu, s, slab, old, old + 1)).toBe(false);
    expect(slab_word(cpu, slab)).toBe(old + 7);
    expect(stat_sum(cpu, s, STAT.CMPXCHG_DOUBLE_FAIL)).toBe(1);
    expect(cpu.mem.peek(slab, Slab.offset.flags) & SL_locked).toBe(0);
  });
  test("IRQs are off within slab_lock and as before after it", () => {
    const { machine, cpu, s, slab } = updatable();
    let inside: boolean | undefined;
    machine.at(cpu, POINT.slab_read_before_cmpxchg, () => (inside = irqs_disabled(cpu)));
    slab_update_freelist(cpu, s, slab, slab_word(cpu, slab), 1);
    expect([inside, irqs_disabled(cpu)]).toEqual([!double, false]);
  });
  test("__slab_update_freelist wants IRQs off", () => {
    const { cpu, s, slab } = updatable();
    expect(() => __slab_update_freelist(cpu, s, slab, 0, 1)).toThrow(/IRQs on/);
    const flags = local_irq_save(cpu);
    expect(__slab_update_freelist(cpu, s, slab, 0, 1)).toBe(true);
    local_irq_restore(cpu, flags);
  });
});
