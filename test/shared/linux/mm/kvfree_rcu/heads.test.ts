/** The three forms of head that kfree_rcu() takes, in every kind of object, and which bytes of the object it writes. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { oracle_allow_nolock } from "../../../../../src/shared/cpu/oracle.ts";
import { payload_check, payload_stamp } from "../../../../../src/shared/cpu/oracle_payload.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { KvfreeRcuHead, RcuHead, RcuPtr } from "../../../../../src/shared/layout/types.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu, kvfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmalloc, kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { vmalloc } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import { array, overlay, struct, u32, type Inner, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "./machine.ts";

/** Heads of each form at the start, in the middle and at the end of 64 bytes. */
const Three = struct("three", {
  ptr: RcuPtr,
  a: array(u32, 4),
  rcu: RcuHead,
  b: array(u32, 4),
  head: KvfreeRcuHead,
});
const { ptr: PTR, rcu: RCU, head: HEAD } = Three.offset;
type Field = Inner<"three", "rcu_head" | "kvfree_rcu_head" | "rcu_ptr">;
type Free = (cpu: Cpu, ptr: Ptr<"three">, field: Field) => void;

const PATTERN = 0x11111111;
/** Words of the first 64 bytes that no longer hold what the user wrote, as offsets. */
function changed(cpu: Cpu, object: Ptr): number[] {
  const offsets = Array.from({ length: Three.size / 4 }, (_, i) => 4 * i);
  return offsets.filter((offset) => cpu.mem.load_word(object + offset) !== PATTERN);
}
const inside = (offsets: number[], field: number, bytes: number): boolean =>
  offsets.every((offset) => offset >= field && offset < field + bytes);

const FORMS: readonly (readonly [name: string, field: Field])[] = [
  ["rcu_head", RCU],
  ["kvfree_rcu_head", HEAD],
  ["rcu_ptr", PTR],
];
const FREES: readonly (readonly [name: string, free: Free])[] = [
  ["kfree_rcu", kfree_rcu],
  ["kvfree_rcu", kvfree_rcu],
  ["kfree_rcu_nolock", kfree_rcu_nolock],
];
const KINDS: readonly (readonly [name: string, make: (cpu: Cpu) => Ptr])[] = [
  ["a slab object", (cpu) => kmalloc(cpu, Three.size, GFP_KERNEL)],
  [
    "an object without sheaves",
    (cpu) => kmem_cache_alloc(cpu, kmem_cache_create(cpu, "bare", Three.size, { flags: SLAB_NO_SHEAVES }), GFP_KERNEL),
  ],
  ["a large kmalloc", (cpu) => kmalloc(cpu, 20_000, GFP_KERNEL)],
  ["a block of vmalloc()", (cpu) => vmalloc(cpu, 20_000)],
];
const CASES = FORMS.flatMap(([form, field]) =>
  FREES.flatMap(([name, free]) => KINDS.map(([kind, make]) => ({ form, field, name, free, kind, make }))),
);

describe.each([
  ["with pages of pointers at hand", { rcu_min_cached_objs: 5 }],
  ["through the heads alone", { rcu_min_cached_objs: 0 }],
])("batched, %s", (_, words) => {
  test.each(CASES)("$name() of $kind by its $form: 8 bytes are written, and it comes back", ({ field, free, make }) => {
    const m = new TestMachine({}, words);
    const [cpu] = m.cpus;
    const object = make(cpu) as Ptr<"three">;
    cpu.mem.fill(object, Three.size, PATTERN & 0xff);
    oracle_allow_nolock(cpu, object);
    free(cpu, object, field);
    expect(m.placeOf(object)).not.toBe("user");
    expect(changed(cpu, object)).toSatisfy((offsets: number[]) => inside(offsets, field, KvfreeRcuHead.size));
    kvfree_rcu_barrier(cpu);
    expect(["freelist", "none"]).toContain(m.placeOf(object));
  });
});

describe("without batching it is call_rcu(), whose head takes 16 bytes", () => {
  const unbatched = (): TestMachine => new TestMachine({}, { unbatched: 1 });
  const Both = struct("both", { value: u32, rcu: RcuHead, head: overlay("rcu", KvfreeRcuHead), rest: array(u32, 8) });
  test("room for both is kept by an overlay: nothing else is written, and the object comes back", () => {
    const m = unbatched();
    const [cpu] = m.cpus;
    for (const field of [Both.offset.rcu, Both.offset.head]) {
      const object = kmalloc(cpu, Both.size, GFP_KERNEL) as Ptr as Ptr<"both">;
      cpu.mem.fill(object, Three.size, PATTERN & 0xff);
      kfree_rcu(cpu, object, field);
      expect(changed(cpu, object).length).toBeGreaterThan(2);
      expect(inside(changed(cpu, object), field, RcuHead.size)).toBe(true);
      kvfree_rcu_barrier(cpu);
      expect(m.placeOf(object)).toBe("sheaf");
    }
  });
  test("a small head at the end of its object is a bug", () => {
    const m = unbatched();
    const [cpu] = m.cpus;
    const object = kmalloc(cpu, Three.size, GFP_KERNEL) as Ptr as Ptr<"three">;
    expect(() => kfree_rcu(cpu, object, HEAD)).toThrow(
      `without batching a head takes 16 bytes, which do not fit at offset ${HEAD} of 64 bytes`,
    );
  });
  test("a small one before other fields overwrites what follows: who checks his payload notices", () => {
    const m = unbatched();
    const [cpu] = m.cpus;
    const object = kmalloc(cpu, Three.size, GFP_KERNEL) as Ptr as Ptr<"three">;
    payload_stamp(cpu, object, Three.size, PTR, RcuPtr.size, 7);
    kfree_rcu(cpu, object, PTR);
    expect(payload_check(cpu, object, Three.size, PTR, RcuPtr.size, 7)).toMatch(/the word at \+8 .* overwritten/);
    expect(payload_check(cpu, object, Three.size, PTR, RcuHead.size, 7)).toBeUndefined();
  });
});
