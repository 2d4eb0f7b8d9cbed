/**
 * Waits: for a grace period; for all retired objects. Each goes on by short calls, and between them its thread is in none:
 * so it stands in nobody's way, may be killed there, and may as well await.
 *
 * Progress comes from the calls themselves and from readers who leave; both tell who waits (life.ts). Should one of them
 * have died on its way, the next look comes some milliseconds later.
 */
import { HZ } from "../../shared/base/limits.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { RcuData } from "../../shared/layout/rcu.ts";
import { SlubPercpuSheaves } from "../../shared/layout/slab.ts";
import { flush_rcu_sheaf } from "../../shared/linux/mm/kvfree_rcu/rcu_free_sheaf.ts";
import { this_cpu_sheaves } from "../../shared/linux/mm/slub/pcs.ts";
import { cache_has_sheaves } from "../../shared/linux/mm/slub/sheaf.ts";
import { poll_state_synchronize_rcu, start_poll_synchronize_rcu } from "../../shared/linux/rcu/poll.ts";
import { this_rcu_data } from "../../shared/linux/rcu/rcu_node.ts";
import { embedded } from "../../shared/mem/struct.ts";
import type { Calls, Refusal } from "./calls.ts";
import type { Classes } from "./classes.ts";
import { HeapGlobals } from "./layout.ts";

const { jiffies: JIFFIES } = Globals.offset;
const { n_cbs_queued: N_CBS_QUEUED, n_cbs_invoked: N_CBS_INVOKED } = RcuData.offset;
const { flush_work: FLUSH_WORK } = SlubPercpuSheaves.offset;
const { progress: PROGRESS, waiters: WAITERS } = HeapGlobals.offset;
const TICK_MS = 1000 / HZ;

export abstract class Wait {
  abstract readonly what: string;
  protected readonly calls: Calls;
  private readonly startMs = performance.now();
  /** `progress` before the last look. */
  private seen = 0;

  constructor(calls: Calls) {
    this.calls = calls;
  }
  get waitedMs(): number {
    return performance.now() - this.startMs;
  }
  /** Goes on as far as possible. @returns true: that was it. */
  protected abstract goOn(): boolean;

  advance(): boolean {
    const { mem, map } = this.calls;
    this.seen = mem.read_once(map.globals, PROGRESS);
    return this.goOn();
  }
  /** Blocks until something has changed since the last look, for a tick at most. */
  sleep(): void {
    const { mem, map } = this.calls;
    mem.fetch_add(map.globals, WAITERS, 1);
    Atomics.wait(mem.words, (map.globals + PROGRESS) >> 2, this.seen, TICK_MS);
    mem.fetch_add(map.globals, WAITERS, -1);
    this.tick();
  }
  /** The same without blocking. */
  async rest(): Promise<void> {
    const { mem, map } = this.calls;
    mem.fetch_add(map.globals, WAITERS, 1);
    const changed = Atomics.waitAsync(mem.words, (map.globals + PROGRESS) >> 2, this.seen, TICK_MS);
    // A timer of our own, since a waitAsync does not keep its thread's event loop going; and nor does a promise let it go.
    const timer = new Promise((resolve) => setTimeout(resolve, changed.async ? TICK_MS : 0));
    await Promise.race([changed.async ? changed.value : timer, timer]);
    mem.fetch_add(map.globals, WAITERS, -1);
    this.tick();
  }
  /** Time goes by only while somebody waits. It makes the grace-period engine look again at CPUs that hold it up. */
  private tick(): void {
    const { mem, map } = this.calls;
    mem.fetch_add(map.machine.globals, JIFFIES, 1);
  }
}

/** Until all readers of now have left. */
export class GracePeriod extends Wait {
  readonly what = "synchronize()";
  private readonly slot: number;
  private readonly cookie: number;

  constructor(calls: Calls, slot: number) {
    super(calls);
    this.slot = slot;
    this.cookie = calls.run(slot, start_poll_synchronize_rcu);
  }
  protected goOn(): boolean {
    const cpu = this.calls.cpus[this.slot];
    if (poll_state_synchronize_rcu(cpu, this.cookie)) return true;
    this.calls.run(this.slot, () => undefined);
    return poll_state_synchronize_rcu(cpu, this.cookie);
  }
}

/**
 * Until all objects that have been retired are free again. On each CPU: its rcu_free sheaves are submitted, then all
 * callbacks that have been queued by then are invoked. They are invoked in order, so counting them is enough.
 */
export class Barrier extends Wait {
  readonly what = "barrier()";
  private readonly classes: Classes;
  /** By slot: n_cbs_queued when its sheaves had been submitted; undefined: they have not. */
  private readonly targets: (number | undefined)[] = [];
  private readonly left: Set<number>;
  private readonly refusals: (Refusal | undefined)[] = [];

  constructor(calls: Calls, classes: Classes) {
    super(calls);
    this.classes = classes;
    this.left = new Set(calls.cpus.keys());
  }
  protected goOn(): boolean {
    for (const id of this.left) {
      if (this.targets[id] === undefined) this.calls.tryRun(id, (cpu) => this.submit(cpu), this.refusals);
      // Again: what was submitted is settled when the first call has ended, and often over by then.
      this.calls.tryRun(id, (cpu) => this.look(cpu), this.refusals);
    }
    return this.left.size === 0;
  }
  private submit(cpu: Cpu): void {
    for (const c of this.classes.all()) {
      const { cache } = this.classes.get(c);
      if (cache_has_sheaves(cpu, cache)) flush_rcu_sheaf(cpu, embedded(this_cpu_sheaves(cpu, cache), FLUSH_WORK));
    }
    this.targets[cpu.id] = cpu.mem.peek(this_rcu_data(cpu), N_CBS_QUEUED);
  }
  private look(cpu: Cpu): void {
    const target = this.targets[cpu.id];
    if (target === undefined) return;
    if (((cpu.mem.peek(this_rcu_data(cpu), N_CBS_INVOKED) - target) | 0) >= 0) this.left.delete(cpu.id);
  }
}
