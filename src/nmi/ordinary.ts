/**
 * What IRQ handlers and tasks do with the ordinary allocator functions. Everything here may be called from a task or a
 * hardirq, IRQs on or off, but not from an NMI.
 */
import { bind_callback } from "../shared/cpu/callback_table.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { random_below } from "../shared/cpu/random.ts";
import { CB } from "../shared/layout/callbacks.ts";
import { Globals } from "../shared/layout/globals.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import {
  NR_HANDOFF,
  NR_READABLE,
  TO_NOLOCK,
  TO_SMALL_HEAD,
  TortureCpu,
  TortureGlobals,
  TortureObject,
} from "../shared/layout/torture.ts";
import { call_rcu, kfree, kfree_rcu, kmalloc } from "../shared/linux/api.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../shared/mem/struct.ts";
import { check_object, head_of, object_flags, random_size, stamp_object } from "./objects.ts";
import { free_nolock } from "./traffic.ts";

const { torture: TORTURE } = Globals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { readable: READABLE, handoff: HANDOFF } = TortureGlobals.offset;
const { rcu: RCU } = TortureObject.offset;
const {
  kmalloc_ok: OK,
  kmalloc_failed: FAILED,
  kfree_calls: KFREE_CALLS,
  call_rcu_calls: CALL_RCU_CALLS,
  cbs_queued: CBS_QUEUED,
  cbs_invoked: CBS_INVOKED,
} = TortureCpu.offset;

/** kmalloc() and a stamp. @returns NULL if memory is short. */
export function alloc_stamped(cpu: Cpu, size: number, gfp: number): Ptr<"torture_object"> {
  const object = kmalloc(cpu, size, gfp) as Ptr as Ptr<"torture_object">;
  cpu.mem.count(embedded(cpu.home, TORTURE_CPU), object === NULL ? FAILED : OK, 1);
  if (object !== NULL) stamp_object(cpu, object, size, 0);
  return object;
}
/** Frees an object that nobody else knows by an ordinary function. */
export function free_stamped(cpu: Cpu, object: Ptr<"torture_object">, by_rcu: boolean): void {
  check_object(cpu, object, "owner");
  if (by_rcu) {
    kfree_rcu(cpu, object, head_of(cpu, object));
  } else {
    cpu.mem.count(embedded(cpu.home, TORTURE_CPU), KFREE_CALLS, 1);
    kfree(cpu, object);
  }
}

/** Frees an object by a callback of our own, which checks it once more; if its head has room for a callback. */
export function call_rcu_free(cpu: Cpu, object: Ptr<"torture_object">): void {
  const { mem } = cpu;
  if ((object_flags(cpu, object) & TO_SMALL_HEAD) !== 0) {
    kfree_rcu(cpu, object, head_of(cpu, object));
    return;
  }
  const torture = embedded(cpu.home, TORTURE_CPU);
  mem.count(torture, CALL_RCU_CALLS, 1);
  call_rcu(cpu, embedded(object, RCU), CB.torture_rcu_cb);
  mem.poke(torture, CBS_QUEUED, mem.peek(torture, CBS_QUEUED) + 1); // After the call: what a barrier then waits for.
}
/** @context Softirq */
function torture_rcu_cb(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const { mem } = cpu;
  const object = container_of(head, RCU);
  check_object(cpu, object, "callback");
  kfree(cpu, object);
  const torture = embedded(cpu.home, TORTURE_CPU);
  mem.poke(torture, CBS_INVOKED, mem.peek(torture, CBS_INVOKED) + 1);
}

/** Leaves a new object for some CPU, and frees the one that some CPU left. */
export function exchange(cpu: Cpu, gfp: number): void {
  const object = alloc_stamped(cpu, random_size(cpu), gfp);
  const slot = element(HANDOFF, random_below(cpu, NR_HANDOFF));
  const found = cpu.mem.xchg(embedded(cpu.globals, TORTURE), slot, object);
  if (found !== NULL) free_stamped(cpu, found, random_below(cpu, 4) === 0);
}

/** Replaces an object that readers may be looking at, and frees the old one after them in one of the ways there are. */
export function replace_readable(cpu: Cpu, gfp: number): void {
  const object = alloc_stamped(cpu, random_size(cpu), gfp);
  const slot = element(READABLE, random_below(cpu, NR_READABLE));
  const old = cpu.mem.xchg(embedded(cpu.globals, TORTURE), slot, object);
  if (old !== NULL) retire(cpu, old);
}

/** Frees an object after all readers that may have found it. */
export function retire(cpu: Cpu, object: Ptr<"torture_object">): void {
  const way = random_below(cpu, 4);
  check_object(cpu, object, "updater");
  if (way === 0) call_rcu_free(cpu, object);
  else if (way === 1 && (object_flags(cpu, object) & TO_NOLOCK) !== 0) free_nolock(cpu, object, true);
  else kfree_rcu(cpu, object, head_of(cpu, object));
}

/** Once per thread, before the machine starts. */
export function bind_ordinary(): void {
  bind_callback(CB.torture_rcu_cb, torture_rcu_cb);
}
