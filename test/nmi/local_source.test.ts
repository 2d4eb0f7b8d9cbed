/** The local source: interrupts before random steps and at chosen points, never inside an NMI, as many as wanted. */
import { describe, expect, test } from "vitest";
import { LocalSource, type LocalSourceOptions } from "../../src/nmi/local_source.ts";
import { attachCpu, init_cpu_slots } from "../../src/shared/cpu/boot.ts";
import { bind_callback } from "../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { point } from "../../src/shared/cpu/trace.ts";
import { FIRST_FREE_CALLBACK } from "../../src/shared/layout/callbacks.ts";
import { CpuCounters, CpuSlot } from "../../src/shared/layout/cpu.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import { MachineMap } from "../../src/shared/layout/map.ts";
import { PerCpu } from "../../src/shared/layout/percpu.ts";
import { POINT_NAMES } from "../../src/shared/layout/points.ts";
import { InterruptibleMemory } from "../../src/shared/mem/interruptible_memory.ts";
import { NULL_ORACLE } from "../../src/shared/mem/oracle.ts";
import { type CallbackId, element, embedded } from "../../src/shared/mem/struct.ts";

const { pending: PENDING } = PerCpu.offset;
const { nmi_handler: NMI_HANDLER, seed: SEED, jiffies: JIFFIES, stopping: STOPPING } = Globals.offset;
const { nmi: NMI } = CpuSlot.offset;
const { nmis: NMIS, points_hit_local: HIT_LOCAL } = CpuCounters.offset;
const HANDLER = (FIRST_FREE_CALLBACK + 7) as CallbackId;

interface Rig {
  readonly cpu: Cpu;
  readonly mem: InterruptibleMemory;
  /** Steps of the task, one word each. */
  readonly run: (steps: number) => void;
  /** Step numbers, task steps only, before which an NMI came. */
  readonly hits: readonly number[];
  /** NMIs delivered. */
  readonly nmis: () => number;
}

function rig(options: Partial<LocalSourceOptions> = {}, handlerSteps = 0): Rig {
  const map = new MachineMap({ bytes: 4 << 20, cpus: 1, nodes: 1 });
  const mem = new InterruptibleMemory(new SharedArrayBuffer(4 << 20), embedded(map.section(0), PENDING));
  mem.poke(map.globals, SEED, 1);
  mem.poke(map.globals, NMI_HANDLER, HANDLER);
  init_cpu_slots(mem, map);
  const cpu = attachCpu(mem, map, 0, 4, NULL_ORACLE);
  const hits: number[] = [];
  let step = 0;
  let nested = 0;
  bind_callback(HANDLER, () => {
    hits.push(step);
    if (hits.length - hits.indexOf(step) > 100) throw new Error("the interrupted code does not get on");
    expect(++nested).toBe(1);
    for (let i = 0; i < handlerSteps; i++) mem.load_word(map.pages);
    nested--;
  });
  new LocalSource(cpu, mem, { seed: 5, nmisPerTick: 100, noise: false, ...options }).start();
  return {
    cpu,
    mem,
    hits,
    run(steps) {
      for (let i = 0; i < steps; i++, step++) mem.load_word(map.pages);
    },
    nmis: () => mem.peek(cpu.counters, element(NMIS, 1)),
  };
}

describe("LocalSource", () => {
  test("raises NMIs before steps, at gaps from a few steps to many thousands", () => {
    const { run, hits, nmis } = rig();
    run(1_000_000);
    expect(nmis()).toBe(hits.length);
    const gaps = hits.slice(1).map((hit, i) => hit - hits[i]);
    expect(gaps.length).toBeGreaterThan(100);
    expect(Math.min(...gaps)).toBeLessThan(100);
    expect(Math.max(...gaps)).toBeGreaterThan(5_000);
  });
  test("draws everything from the seed", () => {
    const runs = [5, 5, 6].map((seed) => {
      const { run, hits } = rig({ seed });
      run(200_000);
      return hits;
    });
    expect(runs[0]).toEqual(runs[1]);
    expect(runs[0]).not.toEqual(runs[2]);
  });
  test("never raises one inside an NMI, and the interrupted code always gets on", () => {
    const { run, hits } = rig({}, 20_000); // Handlers that are longer than the gaps.
    run(20_000);
    expect(hits.length).toBeGreaterThan(2);
    expect(new Set(hits).size).toBe(hits.length);
  });
  test("makes the gaps longer or shorter until as many come per tick as wanted", () => {
    for (const nmisPerTick of [20, 400]) {
      const { cpu, mem, run, nmis } = rig({ nmisPerTick });
      let before = 0;
      for (let tick = 0; tick < 40; tick++) {
        before = nmis();
        run(100_000);
        mem.write_once(cpu.globals, JIFFIES, tick + 1);
      }
      expect(nmis() - before).toBeGreaterThan(nmisPerTick / 2);
      expect(nmis() - before).toBeLessThan(nmisPerTick * 2);
    }
  });
  test("hits every named point, also next to one that is visited all the time, or never", () => {
    const { cpu, mem } = rig();
    for (let round = 0; round < 30_000; round++) {
      point(cpu, 1);
      point(cpu, 1);
      point(cpu, 2 + (round % (POINT_NAMES.length - 3))); // The last one is never visited.
    }
    const missed = POINT_NAMES.slice(1, -1).filter((_, i) => mem.peek(cpu.counters, element(HIT_LOCAL, i + 1)) === 0);
    expect(missed).toEqual([]);
  });
  test("with a rate of 0 raises nothing; noise alone changes nothing either", () => {
    for (const noise of [false, true]) {
      const { run, nmis } = rig({ nmisPerTick: 0, noise });
      run(100_000);
      expect(nmis()).toBe(0);
    }
  });
  test("falls silent when the machine stops", () => {
    const { cpu, mem, run, nmis } = rig();
    run(100_000);
    expect(nmis()).toBeGreaterThan(0);
    mem.write_once(cpu.globals, STOPPING, 1);
    run(20_000);
    const before = nmis();
    run(500_000);
    expect(nmis()).toBe(before);
    expect(mem.peek(cpu.slot, NMI)).toBe(0);
  });
});
