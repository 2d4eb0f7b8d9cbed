/** vmalloc(): blocks, their places, who may free them where; and interleaved, that no two blocks meet. */
import { beforeEach, describe, expect, test } from "vitest";
import { Explorer } from "../../../../src/main/explore/explore.ts";
import { get, set, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { raiseIrq } from "../../../../src/main/kit/interrupts.ts";
import { PAGE_SIZE } from "../../../../src/shared/base/limits.ts";
import { bug } from "../../../../src/shared/cpu/bug.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import {
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
} from "../../../../src/shared/cpu/context.ts";
import { per_cpu_ptr, type Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { cond_resched, schedule } from "../../../../src/shared/cpu/sched.ts";
import { FIRST_FREE_CALLBACK } from "../../../../src/shared/layout/callbacks.ts";
import { P_KICK } from "../../../../src/shared/layout/cpu.ts";
import { HOOK_INIT_ON_FREE } from "../../../../src/shared/layout/debug.ts";
import { GFP_KERNEL } from "../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { TortureCpu } from "../../../../src/shared/layout/torture.ts";
import { ListHead, LlistHead } from "../../../../src/shared/layout/types.ts";
import { VfreeDeferred, VmallocGlobals, VmapArea } from "../../../../src/shared/layout/vmalloc.ts";
import { init_work, queue_work } from "../../../../src/shared/linux/kernel/workqueue.ts";
import { kmalloc } from "../../../../src/shared/linux/mm/slub/kmalloc.ts";
import {
  is_vmalloc_addr,
  vfree,
  vmalloc,
  vmalloc_nr_pages,
  vmalloc_size,
  vzalloc,
} from "../../../../src/shared/linux/mm/vmalloc.ts";
import { container_of, embedded, NULL, type CallbackId, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { TestMachine } from "./kvfree_rcu/machine.ts";

const { vmalloc: VMALLOC, scenario: SCENARIO } = Globals.offset;
const { vmap_area_list: AREAS } = VmallocGlobals.offset;
const { va_start: VA_START, va_end: VA_END, list: LIST } = VmapArea.offset;
const { work: TORTURE_WORK } = TortureCpu.offset;
const POISONED = 0x6b6b6b6b;

let m: TestMachine;
let cpu: Cpu;
let other: Cpu;
beforeEach(() => {
  m = new TestMachine({ cpus: 2 });
  [cpu, other] = m.cpus as [Cpu, Cpu];
});
const page = (n: number): Ptr => (cpu.map.vmalloc + n * PAGE_SIZE) as Ptr;
const word = (address: number): number => cpu.mem.load_word(address);

/** What is wrong with the list of blocks and their records; peeks only. */
function check_vmalloc({ mem, globals, map }: Cpu): string | undefined {
  const head = embedded(embedded(globals, VMALLOC), AREAS);
  const listed = new Set<Ptr>();
  let end = map.vmalloc;
  for (let at = mem.peek(head, ListHead.offset.next); at !== head; at = mem.peek(at, ListHead.offset.next)) {
    const va = container_of(at, LIST);
    if (mem.peek(va, VA_START) < end) return "blocks overlap, or are not in order";
    end = mem.peek(va, VA_END);
    listed.add(va);
  }
  if (end > map.vmallocEnd) return "a block ends behind the area";
  for (let i = 0; i < map.nrVmallocPages; i++) {
    const va = (map.vmapAreas + i * VmapArea.size) as Ptr<"vmap_area">;
    if ((mem.peek(va, VA_START) !== 0) !== listed.has(va)) return `the record of page ${i} is wrong`;
  }
  return undefined;
}

describe("a block", () => {
  test.each([
    [1, 1],
    [4096, 1],
    [4097, 2],
    [20_000, 5],
  ])("of %i bytes takes %i whole pages", (bytes, pages) => {
    const block = vmalloc(cpu, bytes);
    expect(block % PAGE_SIZE).toBe(0);
    expect(vmalloc_size(cpu, block)).toBe(pages * PAGE_SIZE);
    expect(vmalloc_nr_pages(cpu)).toBe(pages);
    expect(m.placeOf(block)).toBe("user");
    vfree(cpu, block);
    expect(vmalloc_nr_pages(cpu)).toBe(0);
    expect(m.placeOf(block)).toBe("none");
  });
  test("goes to the first gap that holds it and a guard page", () => {
    const first = vmalloc(cpu, 2 * PAGE_SIZE);
    const second = vmalloc(cpu, 3 * PAGE_SIZE);
    const third = vmalloc(other, 1);
    expect([first, second, third]).toEqual([page(0), page(3), page(7)]);
    vfree(cpu, second);
    expect(vmalloc(cpu, 4 * PAGE_SIZE)).toBe(page(9));
    expect(vmalloc(cpu, 1)).toBe(page(3));
    expect(vmalloc(cpu, 1)).toBe(page(5));
    expect(vmalloc(cpu, 1)).toBe(page(14));
    expect(check_vmalloc(cpu)).toBeUndefined();
  });
  test("is not to be had when the area is full, and again when one is free", () => {
    const blocks: Ptr[] = [];
    for (let block = vmalloc(cpu, 1); block !== NULL; block = vmalloc(cpu, 1)) blocks.push(block);
    expect(blocks).toHaveLength(cpu.map.nrVmallocPages >> 1);
    expect(new Set(blocks).size).toBe(blocks.length);
    vfree(cpu, blocks[7]);
    expect(vmalloc(cpu, PAGE_SIZE + 1)).toBe(NULL);
    expect(vmalloc(cpu, PAGE_SIZE)).toBe(blocks[7]);
    expect(check_vmalloc(cpu)).toBeUndefined();
    for (const block of blocks) vfree(cpu, block);
    expect(vmalloc(cpu, cpu.map.nrVmallocPages * PAGE_SIZE)).toBe(NULL);
    const all = vmalloc(cpu, (cpu.map.nrVmallocPages - 1) * PAGE_SIZE);
    expect(all).toBe(page(0));
    vfree(cpu, all);
    expect(vmalloc_nr_pages(cpu)).toBe(0);
    expect(check_vmalloc(cpu)).toBeUndefined();
  });
  test("is known by its address alone", () => {
    const at = (address: number): boolean => is_vmalloc_addr(cpu, address as Ptr);
    const { vmalloc: start, vmallocEnd: end } = cpu.map;
    expect([0, 16, start - 1, start, start + 5000, end - 1, end].map(at)).toEqual([
      false,
      false,
      false,
      true,
      true,
      true,
      false,
    ]);
    expect(at(kmalloc(cpu, 100_000, GFP_KERNEL))).toBe(false);
    m.nmi(cpu, () => expect(at(start)).toBe(true));
  });
  test("of no bytes is a mistake", () => {
    expect(() => vmalloc(cpu, 0)).toThrow("WARNING: vmalloc(0)");
  });
  test("is zeroed by vzalloc(), and by that only", () => {
    const bytes = 2 * PAGE_SIZE;
    const block = vmalloc(cpu, bytes);
    cpu.mem.fill(block, bytes, 0x11);
    vfree(cpu, block);
    expect(word(vmalloc(cpu, bytes))).toBe(0x11111111);
    vfree(cpu, block);
    expect(vzalloc(cpu, 10)).toBe(block);
    for (let at = 0; at < PAGE_SIZE; at += 4) expect(word(block + at)).toBe(0);
    expect(word(block + PAGE_SIZE)).toBe(0x11111111);
  });
});

describe("vfree", () => {
  test("fills the block with poison, or clears it, as the machine is configured", () => {
    for (const [words, expected] of [
      [{ poison_free: 1 }, POISONED],
      [{ hooks: HOOK_INIT_ON_FREE }, 0],
      [{ hooks: HOOK_INIT_ON_FREE, poison_free: 1 }, 0],
    ] as const) {
      m = new TestMachine({}, words);
      [cpu] = m.cpus as [Cpu];
      const block = vmalloc(cpu, 2 * PAGE_SIZE);
      const behind = block + 2 * PAGE_SIZE;
      cpu.mem.fill(block, 3 * PAGE_SIZE, 0x11);
      vfree(cpu, block);
      for (const at of [block, block + 4, behind - 4]) expect(word(at)).toBe(expected);
      expect(word(behind)).toBe(0x11111111);
    }
  });
  test("ignores NULL", () => {
    vfree(cpu, NULL);
    m.irq(cpu, () => vfree(cpu, NULL));
    expect(vmalloc_nr_pages(cpu)).toBe(0);
  });
  test("reports what is no block, and leaves it", () => {
    const block = vmalloc(cpu, 2 * PAGE_SIZE);
    const at = (offset: number): Ptr => (block + offset) as Ptr;
    for (const wrong of [at(8), at(PAGE_SIZE), at(2 * PAGE_SIZE), at(3 * PAGE_SIZE), kmalloc(cpu, 64, GFP_KERNEL)]) {
      expect(() => vfree(cpu, wrong)).toThrow(`WARNING: vfree(${wrong}): no block begins there`);
      expect(() => m.irq(cpu, () => vfree(cpu, wrong))).toThrow("no block begins there");
      m = new TestMachine();
      [cpu] = m.cpus as [Cpu];
      expect(vmalloc(cpu, 2 * PAGE_SIZE)).toBe(block);
    }
    expect(() => vmalloc_size(cpu, at(8))).toThrow("no block begins there");
  });
  test("twice is a double free", () => {
    const block = vmalloc(cpu, 1);
    vfree(cpu, block);
    expect(() => vfree(other, block)).toThrow("no block begins there");
    m = new TestMachine();
    [cpu] = m.cpus as [Cpu];
    vmalloc(cpu, 1);
    expect(() => {
      m.irq(cpu, () => {
        vfree(cpu, block);
        vfree(cpu, block);
      });
    }).toThrow(/not an object: CPU 0 moves it from user to none/);
  });

  describe("in an interrupt", () => {
    test("leaves the block to a work item", () => {
      const blocks = [vmalloc(cpu, 1), vmalloc(cpu, 1)];
      m.irq(cpu, () => {
        for (const block of blocks) vfree(cpu, block);
      });
      expect(blocks.map((block) => m.placeOf(block))).toEqual(["none", "none"]);
      expect(vmalloc_nr_pages(cpu)).toBe(2);
      expect(vmalloc(other, 1)).toBe(page(4));
      cond_resched(other);
      expect(vmalloc_nr_pages(cpu)).toBe(3);
      cond_resched(cpu);
      expect(vmalloc_nr_pages(cpu)).toBe(1);
      expect(check_vmalloc(cpu)).toBeUndefined();
    });
    test("wipes it all the same, but for the link", () => {
      m = new TestMachine({}, { poison_free: 1 });
      [cpu] = m.cpus as [Cpu];
      const block = vmalloc(cpu, 1);
      m.irq(cpu, () => vfree(cpu, block));
      expect(word(block + 8)).toBe(POISONED);
      expect(word(block + PAGE_SIZE - 4)).toBe(POISONED);
    });
    test("is not allowed in NMI", () => {
      const block = vmalloc(cpu, 1);
      expect(() => m.nmi(cpu, () => vfree(cpu, block))).toThrow("vfree() in task > nmi");
    });
  });
});

describe("contexts of a task", () => {
  test("vmalloc() may sleep", () => {
    expect(() => m.irq(cpu, () => vmalloc(cpu, 1))).toThrow("vmalloc: sleeps in atomic context");
  });
  test("so may vfree(), unless a work item calls it", () => {
    const block = vmalloc(cpu, 1);
    const flags = local_irq_save(cpu);
    expect(() => vfree(cpu, block)).toThrow("vfree: sleeps in atomic context");
    local_irq_restore(cpu, flags);
    preempt_disable(cpu);
    expect(() => vfree(cpu, block)).toThrow("vfree: sleeps in atomic context");
    preempt_enable(cpu);
    const func = (FIRST_FREE_CALLBACK + 40) as CallbackId;
    const work = embedded(per_cpu_ptr(cpu, PerCpu.offset.torture, 0), TORTURE_WORK);
    bind_callback(func, (c) => vfree(c, block));
    init_work(cpu, work, func);
    queue_work(cpu, work);
    cond_resched(cpu);
    expect(vmalloc_nr_pages(cpu)).toBe(0);
    bind_callback(func, (c) => {
      local_irq_save(c);
      vfree(c, block);
    });
    queue_work(cpu, work);
    expect(() => cond_resched(cpu)).toThrow(/vfree\(\) in task > item, IRQs off/);
  });
});

describe("interleaved", () => {
  const OFFERED = 0;
  const TAG_OFFSETS = [8, PAGE_SIZE - 4];
  /** Allocates, marks the block as its own, looks whether it stays so, and frees it or offers it to an interrupt. */
  const use =
    (tag: number, bytes: number, offer: boolean) =>
    (c: Cpu): void => {
      const block = vmalloc(c, bytes);
      if (block === NULL) return;
      for (const at of TAG_OFFSETS) c.mem.store_word(block + at, tag);
      for (const at of TAG_OFFSETS) if (c.mem.load_word(block + at) !== tag) bug(c, "a block has two owners");
      if (!offer) {
        vfree(c, block);
        return;
      }
      set(c, OFFERED, block);
      raiseIrq(c, c.id);
    };
  const scenario: Scenario = {
    name: "vmalloc",
    oracle: true,
    cpus: [
      [use(1, 100, true), use(2, 2 * PAGE_SIZE, false)],
      [use(3, 100, false), use(4, 100, false)],
    ],
    irq: (c) => vfree(c, c.mem.xchg(c.globals, SCENARIO, 0) as Ptr),
    final: (c) => {
      while (vmalloc_nr_pages(c) > 0) {
        c.mem.take_pending(P_KICK);
        schedule(c);
      }
    },
    check: (c) => {
      for (let id = 0; id < 2; id++) {
        const deferred = embedded(per_cpu_ptr(c, PerCpu.offset.vfree_deferred, id), VfreeDeferred.offset.list);
        if (c.mem.peek(deferred, LlistHead.offset.first) !== NULL) return "a block was left behind";
      }
      return check_vmalloc(c) ?? (get(c, OFFERED) === 0 ? undefined : "an interrupt was lost");
    },
  };
  test("tasks allocate and free, and an interrupt frees: no two blocks meet, and all come back", () => {
    const run = new Explorer(scenario).explore({ random: 100, bound: 1, exhaustive: 3000 });
    expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  });
});
