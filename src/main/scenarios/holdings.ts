/**
 * Objects that a CPU's task keeps from one operation to the next, and objects that it offers to interrupts of all CPUs
 * in its mailbox (src/nmi/traffic.ts, raid_mailbox()).
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { NR_HELD, NR_MAILBOX, TO_NOLOCK, TortureCpu } from "../../shared/layout/torture.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { MAX_OBJECT, object_flags, random_size } from "../../nmi/objects.ts";
import { alloc_stamped, free_stamped } from "../../nmi/ordinary.ts";
import { alloc_nolock, free_nolock } from "../../nmi/traffic.ts";

const { torture: TORTURE } = PerCpu.offset;
const { held: HELD, mailbox: MAILBOX, mailbox_busy: MAILBOX_BUSY } = TortureCpu.offset;

/** More than the slabs that a cache keeps when they are empty. */
const MAX_LARGE_OBJECTS = 48;

/** Frees the object in a random place, or puts a new one there. @context Task */
export function keep_or_free(cpu: Cpu): void {
  const torture = embedded(cpu.home, TORTURE);
  const place = element(HELD, random_below(cpu, NR_HELD));
  const object = cpu.mem.read(torture, place);
  if (object === NULL) {
    cpu.mem.write(torture, place, alloc_any(cpu));
  } else {
    cpu.mem.write(torture, place, NULL);
    free_any(cpu, object);
  }
}
/** Many objects at once: sheaves fill and empty, slabs come and go. @context Task */
export function burst(cpu: Cpu): void {
  const size = random_size(cpu);
  const objects: Ptr<"torture_object">[] = [];
  for (let left = 1 + random_below(cpu, 1 << random_below(cpu, 9)); left > 0; left--) {
    const object = random_below(cpu, 4) === 0 ? alloc_nolock(cpu, size, 0) : alloc_stamped(cpu, size, GFP_KERNEL);
    if (object !== NULL) objects.push(object);
  }
  for (const object of objects) free_any(cpu, object);
}

/** Few of the largest objects fit in a slab: pages are taken and given back, without waiting for the zone's lock. */
export function page_burst(cpu: Cpu): void {
  const objects: Ptr<"torture_object">[] = [];
  for (let left = MAX_LARGE_OBJECTS; left > 0; left--) {
    const object = alloc_nolock(cpu, MAX_OBJECT, 0);
    if (object !== NULL) objects.push(object);
  }
  for (const object of objects) free_nolock(cpu, object, false);
}

function alloc_any(cpu: Cpu): Ptr<"torture_object"> {
  const size = random_size(cpu);
  return random_below(cpu, 2) === 0 ? alloc_nolock(cpu, size, 0) : alloc_stamped(cpu, size, GFP_KERNEL);
}
/** In one of the ways that are allowed for where the object came from. */
function free_any(cpu: Cpu, object: Ptr<"torture_object">): void {
  const nolock = (object_flags(cpu, object) & TO_NOLOCK) !== 0;
  const by_rcu = random_below(cpu, 4) === 0;
  if (nolock && random_below(cpu, 2) === 0) free_nolock(cpu, object, by_rcu);
  else free_stamped(cpu, object, by_rcu);
}

/** Offers an object to interrupts; frees the one that nobody wanted. @context Task */
export function offer_object(cpu: Cpu): void {
  const object = alloc_nolock(cpu, random_size(cpu), 0);
  if (object !== NULL) offer(cpu, object);
}
/** The object will be freed by a nolock function: by an interrupt, by the next offer, or by close_mailbox(). */
export function offer(cpu: Cpu, object: Ptr<"torture_object">): void {
  const place = element(MAILBOX, random_below(cpu, NR_MAILBOX));
  const old = cpu.mem.xchg(embedded(cpu.home, TORTURE), place, object);
  if (old !== NULL) free_nolock(cpu, old, random_below(cpu, 2) === 0);
}
/**
 * Takes back what nobody took, and waits for those who took something: when it returns, the free of each object that
 * was offered has been called, and that call has returned.
 *
 * @context Task, may sleep
 */
export function close_mailbox(cpu: Cpu): void {
  const { mem } = cpu;
  const torture = embedded(cpu.home, TORTURE);
  for (let i = 0; i < NR_MAILBOX; i++) {
    const object = mem.xchg(torture, element(MAILBOX, i), NULL);
    if (object !== NULL) free_nolock(cpu, object, random_below(cpu, 2) === 0);
  }
  // Somebody who comes from now on finds nothing; he may keep us, but not for ever.
  while (mem.read_once(torture, MAILBOX_BUSY) !== 0) {
    cond_resched(cpu);
    mem.relax();
  }
}

/** Gives everything back. @context Task, may sleep */
export function give_back(cpu: Cpu): void {
  const torture = embedded(cpu.home, TORTURE);
  close_mailbox(cpu);
  for (let i = 0; i < NR_HELD; i++) {
    const object = cpu.mem.read(torture, element(HELD, i));
    cpu.mem.write(torture, element(HELD, i), NULL);
    if (object !== NULL) free_any(cpu, object);
  }
}
