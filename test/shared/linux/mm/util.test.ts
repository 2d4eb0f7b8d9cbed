/** kvmalloc() and kvfree(): which allocator serves what, and that each gets its own back. */
import { beforeEach, describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../src/shared/base/limits.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { GFP_ATOMIC, GFP_KERNEL } from "../../../../src/shared/layout/gfp.ts";
import { alloc_frozen_pages } from "../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { ZERO_SIZE_PTR } from "../../../../src/shared/linux/mm/slub/size_class.ts";
import { kvfree, kvmalloc, kvzalloc } from "../../../../src/shared/linux/mm/util.ts";
import { is_vmalloc_addr, vmalloc, vmalloc_nr_pages } from "../../../../src/shared/linux/mm/vmalloc.ts";
import { NULL } from "../../../../src/shared/mem/struct.ts";
import { TestMachine } from "./kvfree_rcu/machine.ts";

let m: TestMachine;
let cpu: Cpu;
beforeEach(() => {
  m = new TestMachine({ bytes: 2 << 20 });
  [cpu] = m.cpus;
});
/** Takes every block of this order and of larger ones. */
function exhaust(order: number): void {
  while (alloc_frozen_pages(cpu, order, 0) !== NULL);
}

describe("kvmalloc", () => {
  test.each([8, PAGE_SIZE, 40_000])("takes %i bytes from kmalloc() as long as that has some", (bytes) => {
    const object = kvmalloc(cpu, bytes, GFP_KERNEL);
    expect(object).not.toBe(NULL);
    expect(is_vmalloc_addr(cpu, object)).toBe(false);
    expect(m.placeOf(object)).toBe("user");
    kvfree(cpu, object);
    expect(m.placeOf(object)).not.toBe("user");
  });
  test("takes more than a page from vmalloc() where no block is large enough", () => {
    exhaust(2);
    const object = kvmalloc(cpu, 3 * PAGE_SIZE, GFP_KERNEL);
    expect(is_vmalloc_addr(cpu, object)).toBe(true);
    expect(vmalloc_nr_pages(cpu)).toBe(3);
    kvfree(cpu, object);
    expect(vmalloc_nr_pages(cpu)).toBe(0);
  });
  test("and no more than a page never, nor where it may not sleep", () => {
    exhaust(0);
    expect(kvmalloc(cpu, PAGE_SIZE, GFP_KERNEL)).toBe(NULL);
    m.irq(cpu, () => expect(kvmalloc(cpu, 3 * PAGE_SIZE, GFP_ATOMIC)).toBe(NULL));
    expect(kvmalloc(cpu, 3 * PAGE_SIZE, GFP_ATOMIC)).toBe(NULL);
    expect(kvmalloc(cpu, cpu.map.shape.bytes, GFP_KERNEL)).toBe(NULL);
  });
  test("of no bytes is what kmalloc() says it is", () => {
    const object = kvmalloc(cpu, 0, GFP_KERNEL);
    expect(object).toBe(ZERO_SIZE_PTR);
    kvfree(cpu, object);
  });
});

test("kvzalloc() zeroes, wherever the memory comes from", () => {
  const bytes = 3 * PAGE_SIZE;
  const words = (object: number): Set<number> =>
    new Set(Array.from({ length: bytes / 4 }, (_, i) => cpu.mem.load_word(object + 4 * i)));
  for (const exhausted of [false, true]) {
    if (exhausted) exhaust(2);
    const first = kvmalloc(cpu, bytes, GFP_KERNEL);
    expect(is_vmalloc_addr(cpu, first)).toBe(exhausted);
    cpu.mem.fill(first, bytes, 0x11);
    kvfree(cpu, first);
    const second = kvzalloc(cpu, bytes, GFP_KERNEL);
    expect(second).toBe(first);
    expect([...words(second)]).toEqual([0]);
  }
});

test("kvfree() takes what vmalloc() and kmalloc() returned, in an interrupt too; NULL is ignored", () => {
  kvfree(cpu, NULL);
  const objects = [vmalloc(cpu, 1), kvmalloc(cpu, 64, GFP_KERNEL), kvmalloc(cpu, 20_000, GFP_KERNEL)];
  m.irq(cpu, () => {
    for (const object of objects) kvfree(cpu, object);
  });
  expect(objects.map((object) => m.placeOf(object))).toEqual(["none", "sheaf", "none"]);
  for (const object of [vmalloc(cpu, 1), kvmalloc(cpu, 64, GFP_KERNEL)]) {
    expect(() => m.nmi(cpu, () => kvfree(cpu, object))).toThrow(/free\(\) in .*nmi/i);
  }
});
