/**
 * struct completion: "it is done", counted: each complete() lets one waiter through. kernel/sched/completion.c.
 *
 *   done    low half: completions that nobody has used up, or COMPLETE_ALL; from COMPLETER on: complete() calls that
 *           still have accesses to make
 *
 * A completion usually dies as soon as its waiter returns, so complete() must not touch it any more by then. The kernel
 * has the queue's lock for that; here a waiter does not return before the count of completers is 0. That is a wait for
 * two steps of another CPU.
 */
import { bug } from "../../cpu/bug.ts";
import { in_nmi } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { kick, wait_event } from "../../cpu/sched.ts";
import { Completion, WaitQueue } from "../../layout/types.ts";
import { embedded, type Ptr } from "../../mem/struct.ts";

const { done: DONE, waiters: WAITERS } = Completion.offset;
const { cpus: CPUS } = WaitQueue.offset;
const COMPLETE_ALL = 0x8000;
const COUNT_MASK = 0xffff;
const COMPLETER = 0x10000;

/** Nothing is done yet. @context Any; nobody else can see it */
export function init_completion(cpu: Cpu, x: Ptr<"completion">): void {
  cpu.mem.init(x, DONE, 0);
  cpu.mem.init(embedded(x, WAITERS), CPUS, 0);
}
/** Nothing is done yet, after a complete_all(). @context Any; no waiter, no completer */
export function reinit_completion(cpu: Cpu, x: Ptr<"completion">): void {
  cpu.mem.write_once(x, DONE, 0);
}

/** complete() - let one waiter through. @context Any but NMI. @pairs wait_for_completion() */
export function complete(cpu: Cpu, x: Ptr<"completion">): void {
  if (in_nmi(cpu)) bug(cpu, "complete() in NMI");
  cpu.mem.fetch_add(x, DONE, COMPLETER + 1);
  wake_waiters(cpu, x);
}
/** complete_all() - let everybody through, now and later. @context Any but NMI. @pairs wait_for_completion() */
export function complete_all(cpu: Cpu, x: Ptr<"completion">): void {
  if (in_nmi(cpu)) bug(cpu, "complete_all() in NMI");
  cpu.mem.fetch_add(x, DONE, COMPLETER);
  cpu.mem.fetch_or(x, DONE, COMPLETE_ALL);
  wake_waiters(cpu, x);
}
/** The subtraction is the last access to the completion: from then on it may be gone. */
function wake_waiters(cpu: Cpu, x: Ptr<"completion">): void {
  const waiters = cpu.mem.xchg(embedded(x, WAITERS), CPUS, 0);
  cpu.mem.fetch_add(x, DONE, -COMPLETER);
  for (let mask = waiters; mask !== 0; mask &= mask - 1) kick(cpu, 31 - Math.clz32(mask & -mask));
}

/** wait_for_completion() - sleep until it is done. @context Task, may sleep. @pairs complete() */
export function wait_for_completion(cpu: Cpu, x: Ptr<"completion">): void {
  wait_event(cpu, embedded(x, WAITERS), try_wait_for_completion, x);
  // Whoever let us through may still have steps to make; they do not wait for anything.
  while (cpu.mem.read_once(x, DONE) >= COMPLETER) cpu.mem.relax();
}
/** Uses a completion up if there is one. @context Any but NMI */
export function try_wait_for_completion(cpu: Cpu, x: Ptr<"completion">): boolean {
  let found = cpu.mem.read_once(x, DONE);
  for (;;) {
    if ((found & COUNT_MASK) === 0) return false;
    if (found & COMPLETE_ALL) return true;
    const before = found;
    found = cpu.mem.cmpxchg(x, DONE, before, before - 1);
    if (found === before) return true;
  }
}
/** Is it done, that is, would a waiter not sleep? @context Any */
export function completion_done(cpu: Cpu, x: Ptr<"completion">): boolean {
  return (cpu.mem.read_once(x, DONE) & COUNT_MASK) !== 0;
}
