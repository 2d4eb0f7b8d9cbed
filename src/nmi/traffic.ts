/**
 * What interrupt handlers do with the nolock functions, and tasks too. Everything here may be called anywhere, NMI
 * included: it takes no lock, waits for nobody, and frees only what it took out of a shared word by an atomic exchange.
 */
import type { Cpu } from "../shared/cpu/cpu.ts";
import { per_cpu_ptr } from "../shared/cpu/cpu.ts";
import { random_below } from "../shared/cpu/random.ts";
import { __GFP_ACCOUNT, NUMA_NO_NODE } from "../shared/layout/gfp.ts";
import { Globals } from "../shared/layout/globals.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import {
  NR_HANDOFF,
  NR_MAILBOX,
  NR_READABLE,
  TO_NOLOCK,
  TortureCpu,
  TortureGlobals,
  TortureObject,
} from "../shared/layout/torture.ts";
import { kfree_nolock, kfree_rcu_nolock, kmalloc_nolock, rcu_read_lock, rcu_read_unlock } from "../shared/linux/api.ts";
import { element, embedded, NULL, type Ptr } from "../shared/mem/struct.ts";
import { check_object, check_stamp, head_of, object_flags, random_size, stamp_object } from "./objects.ts";

const { torture: TORTURE } = Globals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { readable: READABLE, handoff_nolock: HANDOFF_NOLOCK } = TortureGlobals.offset;
const { rcu: RCU } = TortureObject.offset;
const { mailbox: MAILBOX, mailbox_busy: MAILBOX_BUSY } = TortureCpu.offset;

/** kmalloc_nolock() and a stamp. @returns NULL if there is nothing to be had without waiting. */
export function alloc_nolock(cpu: Cpu, size: number, gfp: number): Ptr<"torture_object"> {
  const object = kmalloc_nolock(cpu, size, gfp, NUMA_NO_NODE) as Ptr as Ptr<"torture_object">;
  if (object !== NULL) stamp_object(cpu, object, size, TO_NOLOCK);
  return object;
}
/** Frees by either nolock function. NULL is allowed. */
export function free_nolock(cpu: Cpu, object: Ptr<"torture_object">, by_rcu: boolean): void {
  if (by_rcu) kfree_rcu_nolock(cpu, object, object === NULL ? RCU : head_of(cpu, object));
  else kfree_nolock(cpu, object);
}

/**
 * The handler of test_kmalloc_nolock_and_friends_perf: one allocation and one free, in the mix of two bits of a counter.
 *
 * @kernel lib/tests/slub_kunit.c
 */
export function nolock_triple(cpu: Cpu, counter: number, size: number): void {
  const object = alloc_nolock(cpu, size, counter & 1 ? 0 : __GFP_ACCOUNT);
  if (object !== NULL) check_object(cpu, object, "allocator");
  free_nolock(cpu, object, (counter & 2) !== 0); // A NULL result, too.
}

/** Leaves a new object for some CPU, and frees the one that some CPU left. */
export function exchange_nolock(cpu: Cpu): void {
  const object = alloc_nolock(cpu, random_size(cpu), random_below(cpu, 2) === 0 ? 0 : __GFP_ACCOUNT);
  const slot = element(HANDOFF_NOLOCK, random_below(cpu, NR_HANDOFF));
  const found = cpu.mem.xchg(embedded(cpu.globals, TORTURE), slot, object);
  if (found === NULL) return;
  check_object(cpu, found, "finder in handoff_nolock");
  free_nolock(cpu, found, random_below(cpu, 2) === 0);
}

/** Frees an object that a task of some CPU, mostly of this one, offers in its mailbox. */
export function raid_mailbox(cpu: Cpu): void {
  const { mem } = cpu;
  const id = random_below(cpu, 2) === 0 ? cpu.id : random_below(cpu, cpu.map.shape.cpus);
  const torture = per_cpu_ptr(cpu, TORTURE_CPU, id);
  mem.fetch_add(torture, MAILBOX_BUSY, 1); // From before the object is taken until it is freed.
  const object = mem.xchg(torture, element(MAILBOX, random_below(cpu, NR_MAILBOX)), NULL);
  if (object !== NULL) {
    check_object(cpu, object, "finder in mailbox");
    free_nolock(cpu, object, random_below(cpu, 2) === 0);
  }
  mem.fetch_add(torture, MAILBOX_BUSY, -1);
}

/** Replaces an object that readers may be looking at by a new one, and frees the old one after them. */
export function replace_readable_nolock(cpu: Cpu): void {
  const { mem } = cpu;
  const torture = embedded(cpu.globals, TORTURE);
  const slot = element(READABLE, random_below(cpu, NR_READABLE));
  const object = alloc_nolock(cpu, random_size(cpu), 0);
  if (object === NULL) return;
  rcu_read_lock(cpu);
  const old = mem.read_once(torture, slot);
  const replaceable = old === NULL || (object_flags(cpu, old) & TO_NOLOCK) !== 0; // Others are not for nolock callers.
  const replaced = replaceable && mem.cmpxchg(torture, slot, old, object) === old;
  rcu_read_unlock(cpu);
  if (!replaced) free_nolock(cpu, object, false);
  else if (old !== NULL) free_nolock(cpu, old, true);
}

/** A reader: an object that can be found stays what it is until the reader ends. */
export function read_briefly(cpu: Cpu): void {
  rcu_read_lock(cpu);
  const slot = element(READABLE, random_below(cpu, NR_READABLE));
  const object = cpu.mem.read_once(embedded(cpu.globals, TORTURE), slot);
  if (object !== NULL) {
    const stamp = check_object(cpu, object, "reader");
    for (let turns = random_below(cpu, 8); turns > 0; turns--) check_stamp(cpu, object, stamp, "reader");
  }
  rcu_read_unlock(cpu);
}
