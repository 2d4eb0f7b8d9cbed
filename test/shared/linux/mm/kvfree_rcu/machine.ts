/**
 * A booted machine whose CPUs all run on this thread, in the order in which the test calls them. A CPU that waits lets
 * the others do what they owe, and time pass. An NMI or IRQ can be aimed at the next visit of a named point.
 */
import { attachCpu, init_cpu_slots } from "../../../../../src/shared/cpu/boot.ts";
import { bind_callback } from "../../../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../../src/shared/cpu/interrupt.ts";
import { cond_resched } from "../../../../../src/shared/cpu/sched.ts";
import { FIRST_FREE_CALLBACK } from "../../../../../src/shared/layout/callbacks.ts";
import { P_IRQ, P_NMI, P_TICK } from "../../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { KvfreeCounters } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { MachineMap, type MachineShape } from "../../../../../src/shared/layout/map.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { STAT_NAMES } from "../../../../../src/shared/layout/slab_stat.ts";
import { KvfreeRcuHead, RcuHead } from "../../../../../src/shared/layout/types.ts";
import { bind_all, start_kernel } from "../../../../../src/shared/linux/init.ts";
import { stat_sum } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { BareMemory } from "../../../../../src/shared/mem/bare_memory.ts";
import {
  array,
  embedded,
  struct,
  u32,
  type CallbackId,
  type Field,
  type Ptr,
} from "../../../../../src/shared/mem/struct.ts";
import { names, SharedOracle } from "../../../../../src/shared/mem/shared_oracle.ts";

const G = Globals.offset;
const CB_NMI = FIRST_FREE_CALLBACK as CallbackId;
const CB_IRQ = (FIRST_FREE_CALLBACK + 1) as CallbackId;
/** Turns of waiting after which a test hangs. */
const MAX_TURNS = 20_000;

/** What the tests free: 64 bytes, with either kind of head. */
export const Thing = struct("thing", {
  value: u32,
  generation: u32,
  head: KvfreeRcuHead,
  rcu: RcuHead,
  rest: array(u32, 8),
});
export type ThingPtr = Ptr<"thing">;

class TestMemory extends BareMemory {
  aimed = 0;
  hit: () => void = () => undefined;
  turn: () => void = () => undefined;
  override poll(point: number): void {
    if (point !== 0 && point === this.aimed) {
      this.aimed = 0;
      this.hit();
      this.raise((this.own << 2) as Ptr<"cpu_pending">, P_NMI);
    }
    super.poll(point);
  }
  override wait(): void {
    this.turn();
  }
}

type GlobalWord = { [K in keyof typeof G]: (typeof G)[K] extends Field<"globals"> ? K : never }[keyof typeof G];

export class TestMachine {
  readonly cpus: readonly Cpu[];
  readonly oracle: SharedOracle;
  private readonly memories: readonly TestMemory[];
  private turns = 0;
  private turning = false;
  private handler: () => void = () => undefined;
  private whenWaiting: () => "no tick" | undefined = () => undefined;

  constructor(shape: Partial<MachineShape> = {}, words: Partial<Record<GlobalWord, number>> = {}, checked = true) {
    const full: MachineShape = { bytes: 4 << 20, cpus: 1, nodes: 1, ...shape };
    const buffer = new SharedArrayBuffer(full.bytes);
    this.oracle = SharedOracle.create(full.bytes, full.cpus);
    const map = new MachineMap(full);
    const boot = new BareMemory(buffer, 0);
    const all = { nr_cpus: full.cpus, nr_nodes: full.nodes, seed: 1, panic_on_warn: 1, ...words };
    for (const [word, value] of Object.entries(all)) boot.poke(map.globals, G[word as GlobalWord], value);
    boot.poke(map.globals, G.online, (1 << full.cpus) - 1);
    init_cpu_slots(boot, map);
    this.memories = Array.from(
      { length: full.cpus },
      (_, id) => new TestMemory(buffer, embedded(map.section(id), PerCpu.offset.pending), checked),
    );
    this.cpus = this.memories.map((memory, id) => attachCpu(memory, map, id, 4, this.oracle));
    for (const [id, memory] of this.memories.entries()) memory.turn = () => this.turn(id);
    bind_all();
    bind_callback(CB_NMI, () => this.handler());
    bind_callback(CB_IRQ, () => this.handler());
    const [cpu] = this.cpus;
    start_kernel(cpu);
    cpu.mem.poke(map.globals, G.nmi_handler, CB_NMI);
    cpu.mem.poke(map.globals, G.irq_handler, CB_IRQ);
  }

  /** Everybody but the CPU that waits does what it owes, and a tick passes. */
  private turn(waiter: number): void {
    if (this.turning) return;
    if (++this.turns > MAX_TURNS) throw new Error(`CPU ${waiter} waits for ever`);
    this.turning = true;
    const ticks = this.whenWaiting() !== "no tick";
    for (const cpu of this.cpus) if (cpu.id !== waiter) cond_resched(cpu);
    if (ticks) this.tick();
    this.turning = false;
  }
  /** `n` ticks on every CPU. CPUs that wait take theirs when they look again. */
  tick(n = 1): void {
    for (let i = 0; i < n; i++) {
      const { globals, mem } = this.cpus[0];
      mem.poke(globals, G.jiffies, mem.peek(globals, G.jiffies) + 1);
      for (const cpu of this.cpus) {
        cpu.mem.raise(cpu.pending, P_TICK);
        cpu.mem.poll(0);
      }
    }
  }
  /** `n` rounds of ticks and of what all CPUs owe: enough of them, and grace periods end. */
  run(n: number): void {
    for (let i = 0; i < n; i++) {
      this.tick();
      for (const cpu of this.cpus) cond_resched(cpu);
    }
  }
  set(word: GlobalWord, value: number): void {
    this.cpus[0].mem.poke(this.cpus[0].globals, G[word], value);
  }

  /** Runs `handler` in an NMI on `cpu`, now. */
  nmi(cpu: Cpu, handler: () => void): void {
    this.handler = handler;
    run_interrupt(cpu, P_NMI);
  }
  /** Runs `handler` in a device interrupt on `cpu`, now. */
  irq(cpu: Cpu, handler: () => void): void {
    this.handler = handler;
    run_interrupt(cpu, P_IRQ);
  }
  /** Runs `handler` in an NMI on `cpu` when it next visits a named point. */
  nmiAt(cpu: Cpu, point: number, handler: () => void): void {
    this.memories[cpu.id].aimed = point;
    this.memories[cpu.id].hit = () => {
      this.handler = handler;
    };
  }

  /** Where an object is, in words. */
  placeOf(object: Ptr): string {
    return names(this.oracle.place(object));
  }
  /** Runs `code` each time when a CPU waits. @param code  its result "no tick" lets no time pass in this turn. */
  onWait(code: () => "no tick" | undefined): void {
    this.whenWaiting = code;
  }

  /** Sum of a counter over all CPUs. */
  count(name: keyof typeof KvfreeCounters.offset): number {
    return this.cpus.reduce(
      (sum, cpu) => sum + cpu.mem.peek(embedded(cpu.section, PerCpu.offset.kvfree), KvfreeCounters.offset[name]),
      0,
    );
  }
  /** Counter of a cache, by its name. */
  stat(s: Ptr<"kmem_cache">, name: (typeof STAT_NAMES)[number]): number {
    return stat_sum(this.cpus[0], s, STAT_NAMES.indexOf(name));
  }
}
