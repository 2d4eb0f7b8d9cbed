/** The controller: ticks by the clock, interrupts by rate, and silence when the machine comes to rest. */
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HZ } from "../../src/shared/base/limits.ts";
import { P_IRQ, P_KICK, P_NMI, P_STOP, P_TICK } from "../../src/shared/layout/cpu.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import { MachineMap } from "../../src/shared/layout/map.ts";
import { PerCpu } from "../../src/shared/layout/percpu.ts";
import { BareMemory } from "../../src/shared/mem/bare_memory.ts";
import { embedded, type Ptr } from "../../src/shared/mem/struct.ts";
import { Barrier, deadlineAfter } from "../../src/shared/sync/index.ts";
import { Control } from "../../src/workers/control.ts";
import type { ControllerTask } from "../../src/workers/controller.ts";
import { haltMachine, stopMachine } from "../../src/workers/stop.ts";

const { pending: PENDING } = PerCpu.offset;
const { jiffies: JIFFIES } = Globals.offset;
const SHAPE = { bytes: 4 << 20, cpus: 3, nodes: 1 };
const CONTROLLER = fileURLToPath(new URL("../../src/workers/controller.ts", import.meta.url));

let pool: Piscina;
beforeEach(() => {
  pool = new Piscina({ minThreads: 1, maxThreads: 1 });
});
afterEach(() => pool.destroy());

async function start(rates: Pick<ControllerTask, "nmiRate" | "irqRate">) {
  const map = new MachineMap(SHAPE);
  const mem = new BareMemory(new SharedArrayBuffer(SHAPE.bytes), 0);
  const control = Control.create(2);
  const task: ControllerTask = {
    buffer: mem.words.buffer as SharedArrayBuffer,
    control: control.buffer,
    shape: SHAPE,
    seed: 1,
    ...rates,
  };
  const done = pool.run(task, { filename: CONTROLLER }) as Promise<void>;
  expect(await Barrier.waitAsync(control.bootBarrier, 1, deadlineAfter(10_000))).not.toBe("timed-out");
  const pending = (id: number): Ptr<"cpu_pending"> => embedded(map.section(id), PENDING);
  const bits = (): number[] => Array.from({ length: SHAPE.cpus }, (_, id) => Atomics.load(mem.words, pending(id) >> 2));
  const stop = async (): Promise<void> => {
    control.quit();
    await done;
  };
  return { map, mem, control, bits, stop };
}

describe("controller", () => {
  test("raises ticks at all CPUs, HZ a second, and nothing else if nothing else is wanted", async () => {
    const { mem, map, control, bits, stop } = await start({ nmiRate: 0, irqRate: 0 });
    await delay(500);
    await stop();
    const { ticks, nmis, irqs } = control.raised();
    expect([nmis, irqs]).toEqual([0, 0]);
    expect(ticks).toBeLessThanOrEqual(HZ / 2 + 2);
    expect(ticks).toBeGreaterThan(HZ / 8); // A busy computer only makes it fewer.
    expect(mem.peek(map.globals, JIFFIES)).toBe(ticks);
    expect(bits()).toEqual([P_TICK, P_TICK, P_TICK]);
  });
  test("raises NMIs and IRQs at about the rates, at every CPU", async () => {
    const { control, bits, stop } = await start({ nmiRate: 4000, irqRate: 1000 });
    await delay(1000);
    await stop();
    const { nmis, irqs } = control.raised();
    expect(nmis).toBeGreaterThan(500);
    expect(irqs).toBeGreaterThan(100);
    expect(nmis).toBeLessThan(12_000); // Storms come on top.
    expect(irqs).toBeLessThan(6_000);
    for (const each of bits()) expect(each).toBe(P_TICK | P_NMI | P_IRQ);
  });
  test("raises only ticks while the machine stops", async () => {
    const { mem, map, control, bits, stop } = await start({ nmiRate: 4000, irqRate: 4000 });
    await delay(100);
    stopMachine(mem, map);
    await delay(50);
    const before = control.raised();
    await delay(200);
    await stop();
    const after = control.raised();
    expect([after.nmis, after.irqs]).toEqual([before.nmis, before.irqs]);
    expect(after.ticks).toBeGreaterThan(before.ticks);
    for (const each of bits()) expect(each & P_KICK).toBe(P_KICK);
  });
});

test("a machine is halted by one bit in every CPU's word", () => {
  const map = new MachineMap(SHAPE);
  const mem = new BareMemory(new SharedArrayBuffer(SHAPE.bytes), 0);
  haltMachine(mem, map);
  for (let id = 0; id < SHAPE.cpus; id++) expect(mem.words[embedded(map.section(id), PENDING) >> 2]).toBe(P_STOP);
});

describe("Control", () => {
  test("remembers the first failure only", () => {
    const control = Control.create(1);
    expect(control.firstFailure()).toBeUndefined();
    control.fail(0);
    control.fail(2);
    expect(Control.at(control.buffer).firstFailure()).toBe(0);
  });
  test("sleeps no longer than told, and not at all once told to quit", () => {
    const control = Control.create(1);
    const start = performance.now();
    expect(control.sleep(20)).toBe(false);
    expect(performance.now() - start).toBeGreaterThan(10);
    control.quit();
    expect(control.sleep(60_000)).toBe(true);
  });
});
