/**
 * The controller: a thread that is no CPU and raises interrupts at the CPUs, asynchronously to what they do: the tick
 * of machine time, NMIs and device IRQs.
 *
 * Between wake-ups it sleeps at least MIN_SLEEP_MS, so what falls due meanwhile comes as a group: the events of a group
 * go to random CPUs with random short pauses between them, since a second one that meets the same CPU's first would only
 * coalesce with it. Now and then a group grows to a storm at one CPU.
 *
 * Machine time never catches up: a tick that came late is one tick. A thread that lost its processor has not aged.
 */
import { HZ } from "../shared/base/limits.ts";
import { Random } from "../shared/base/random.ts";
import { P_IRQ, P_NMI, P_TICK } from "../shared/layout/cpu.ts";
import { Globals } from "../shared/layout/globals.ts";
import { MachineMap, type MachineShape } from "../shared/layout/map.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { tick_fires } from "../shared/linux/kernel/tick_sched.ts";
import { BareMemory, pause } from "../shared/mem/bare_memory.ts";
import { embedded } from "../shared/mem/struct.ts";
import { Barrier } from "../shared/sync/index.ts";
import { Control } from "./control.ts";

const { pending: PENDING, slot: SLOT } = PerCpu.offset;
const { jiffies: JIFFIES, stopping: STOPPING } = Globals.offset;

const TICK_MS = 1000 / HZ;
const MIN_SLEEP_MS = 0.25;
/** Events of one group; what is due beyond it is dropped, as the machine is not keeping up. */
const MAX_GROUP = 256;
/** One group in so many is a storm. */
const STORM_ONE_IN = 64;
const STORM_EVENTS = 64;
const MAX_PAUSES = 128;
/** The boot barrier's number for this thread: CPUs have 1 to 31. */
const THREAD_ID = 100;

export interface ControllerTask {
  readonly buffer: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly shape: MachineShape;
  readonly seed: number;
  /** Events per second, all CPUs together. */
  readonly nmiRate: number;
  readonly irqRate: number;
}

/** A random process of events: how many fall due until a given time. */
class Source {
  private next: number;
  private readonly intervalMs: number;
  private readonly random: Random;

  constructor(random: Random, perSecond: number, nowMs: number) {
    this.random = random;
    this.intervalMs = perSecond === 0 ? Infinity : 1000 / perSecond;
    this.next = nowMs + this.intervalMs;
  }
  get nextMs(): number {
    return this.next;
  }
  /** Counts and consumes the events up to `nowMs`. Intervals are uniform around their mean: never regular. */
  due(nowMs: number): number {
    let events = 0;
    while (this.next <= nowMs && events < MAX_GROUP) {
      this.next += (this.intervalMs * (1 + this.random.below(1000))) / 500;
      events++;
    }
    if (this.next <= nowMs) this.next = nowMs + this.intervalMs;
    return events;
  }
}

/** Piscina calls it once; it returns when the host says so. */
export default function controller(task: ControllerTask): void {
  const control = Control.at(task.control);
  const map = new MachineMap(task.shape);
  const mem = new BareMemory(task.buffer, 0);
  const random = new Random(task.seed);
  Barrier.wait(control.bootBarrier, THREAD_ID);

  const start = performance.now();
  const nmis = new Source(random, task.nmiRate, start);
  const irqs = new Source(random, task.irqRate, start);
  let nextTick = start + TICK_MS;
  for (;;) {
    const wake = Math.min(nextTick, nmis.nextMs, irqs.nextMs);
    if (control.sleep(Math.max(wake - performance.now(), MIN_SLEEP_MS))) return;
    const now = performance.now();
    if (now >= nextTick) {
      tick(mem, map, control);
      nextTick = Math.max(nextTick + TICK_MS, now + TICK_MS / 2);
    }
    if (mem.read_once(map.globals, STOPPING) !== 0) continue; // Only time goes on while the machine comes to rest.
    raiseGroup(mem, map, control, random, nmis.due(now), irqs.due(now));
  }
}

function tick(mem: BareMemory, map: MachineMap, control: Control): void {
  mem.fetch_add(map.globals, JIFFIES, 1);
  for (let id = 0; id < map.shape.cpus; id++) {
    const section = map.section(id);
    if (tick_fires(mem, map.globals, embedded(section, SLOT))) mem.raise(embedded(section, PENDING), P_TICK);
  }
  control.countRaised(0, 0, 1);
}

function raiseGroup(
  mem: BareMemory,
  map: MachineMap,
  control: Control,
  random: Random,
  nmis: number,
  irqs: number,
): void {
  if (nmis + irqs === 0) return;
  const { cpus } = map.shape;
  const storm = random.below(STORM_ONE_IN) === 0 ? random.below(cpus) : undefined;
  let nmisLeft = storm !== undefined && nmis > 0 ? STORM_EVENTS : nmis;
  let irqsLeft = storm !== undefined && irqs > 0 ? STORM_EVENTS : irqs;
  control.countRaised(nmisLeft, irqsLeft, 0);
  while (nmisLeft + irqsLeft > 0) {
    const target = storm ?? random.below(cpus);
    const isNmi = random.below(nmisLeft + irqsLeft) < nmisLeft;
    if (isNmi) nmisLeft--;
    else irqsLeft--;
    mem.raise(embedded(map.section(target), PENDING), isNmi ? P_NMI : P_IRQ);
    for (let pauses = random.below(MAX_PAUSES); pauses > 0; pauses--) pause();
  }
}
