/**
 * test_kmalloc_nolock_and_friends_perf and _kprobe: the foreground allocates and frees small objects by the ordinary
 * functions, while a handler does the same by the nolock ones, in NMI context:
 *
 *   perf    at any step, often: an event that overflows (our own NMI source, and the controller's NMIs)
 *   kprobe  at each visit of slab_attach_kprobe_locked(): exactly where a slab lock is held
 *
 * @kernel lib/tests/slub_kunit.c
 */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { type Cpu, per_cpu_ptr } from "../../shared/cpu/cpu.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { CpuSlot, P_NMI_LOCAL } from "../../shared/layout/cpu.ts";
import { __GFP_ACCOUNT, GFP_KERNEL, GFP_KERNEL_ACCOUNT, NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { POINT } from "../../shared/layout/points.ts";
import { KmemCache } from "../../shared/layout/slab.ts";
import { __CMPXCHG_DOUBLE, SLAB_DEBUG_FLAGS } from "../../shared/layout/slab_flags.ts";
import { TortureCpu } from "../../shared/layout/torture.ts";
import { KvfreeRcuHead, RcuHead } from "../../shared/layout/types.ts";
import { kfree, kfree_nolock, kfree_rcu, kfree_rcu_nolock, kmalloc, kmalloc_nolock } from "../../shared/linux/api.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import { InterruptibleMemory, NO_POINT, type StepSource } from "../../shared/mem/interruptible_memory.ts";
import { element, NULL, overlay, type Ptr, struct } from "../../shared/mem/struct.ts";
import { LocalSource } from "../../nmi/local_source.ts";
import { expect_errors } from "./errors.ts";
import { KUNIT_EXPECT_EQ, KUNIT_EXPECT_NE, kunit_info, kunit_skip, type KunitCase, type KunitTest } from "./test.ts";

const { scenario: WORDS, rt: RT, stopping: STOPPING, unbatched: UNBATCHED } = Globals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { ops: OPS } = TortureCpu.offset;
const { hardirq: HARDIRQ, nmi: NMI } = CpuSlot.offset;

/** struct test_struct: a union of both heads. */
const TestStruct = struct("test_struct", { rcu: RcuHead, kvfree_rcu: overlay("rcu", KvfreeRcuHead) });
type Obj = Ptr<"test_struct">;

const OBJECTS = 1000;
/** Of the visits in a hard interrupt the kprobe takes every fourth. */
const HARDIRQ_EVERY = 4;

/** Scenario words; destroyer.ts has 0 and 1. */
const EVENT = element(WORDS, 2);
const CALLS = element(WORDS, 3);
const SUCCEEDED = element(WORDS, 4);
const FAILED = element(WORDS, 5);
/** 1: the kprobe has been hit, and its handler has not run yet. */
const PROBED = element(WORDS, 6);

/** What the word EVENT says: which event has the handler. */
const NO_EVENT = 0;
const PERF = 1;
const KPROBE = 2;

/** Where kfree_rcu() is call_rcu() it needs both words. */
function head_of(cpu: Cpu): typeof TestStruct.offset.rcu | typeof TestStruct.offset.kvfree_rcu {
  return cpu.mem.peek(cpu.globals, UNBATCHED) !== 0 ? TestStruct.offset.rcu : TestStruct.offset.kvfree_rcu;
}

/** What all NMIs of the machine run. @context NMI */
function overflow_handler(cpu: Cpu): void {
  const { mem, globals } = cpu;
  const event = mem.read_once(globals, EVENT);
  // Other NMIs than those that it has raised are not the kprobe's.
  if (event === NO_EVENT || (event === KPROBE && mem.xchg(globals, PROBED, 0) === 0)) return;
  const counter = mem.fetch_add(globals, CALLS, 1);
  const gfp = counter & 1 ? 0 : __GFP_ACCOUNT;
  const object = kmalloc_nolock(cpu, TestStruct.size, gfp, NUMA_NO_NODE) as Ptr as Obj;
  mem.fetch_add(globals, object === NULL ? FAILED : SUCCEEDED, 1);
  if (counter & 2)
    kfree_rcu_nolock(cpu, object, head_of(cpu)); // A NULL result, too.
  else kfree_nolock(cpu, object);
}

/** @context Task, may sleep */
function foreground(test: KunitTest): void {
  const { cpu } = test;
  for (let round = 0; round < test.options.rounds && cpu.mem.read_once(cpu.globals, STOPPING) === 0; round++) {
    const gfp = round & 1 ? GFP_KERNEL : GFP_KERNEL_ACCOUNT;
    const objects: Obj[] = [];
    for (let i = 0; i < OBJECTS; i++) objects.push(kmalloc(cpu, TestStruct.size, gfp) as Ptr as Obj);
    for (const object of objects) {
      if (object === NULL) continue;
      if (round & 2) kfree_rcu(cpu, object, head_of(cpu));
      else kfree(cpu, object);
    }
    // For the watchdog. The other CPUs have nothing to do meanwhile but to serve interrupts.
    for (let id = 0; id < cpu.map.shape.cpus; id++) cpu.mem.count(per_cpu_ptr(cpu, TORTURE_CPU, id), OPS, 1);
    cond_resched(cpu);
  }
}

/** kmalloc_nolock() in NMI has no objects: no lock is tried there, or slab_lock would be waited for (spec slub 4.2). */
function always_refused(cpu: Cpu): boolean {
  if (cpu.mem.peek(cpu.globals, RT) !== 0) return true;
  const flags = cpu.mem.peek(kmalloc_slab(cpu, TestStruct.size, 0), KmemCache.offset.flags);
  return (flags & (__CMPXCHG_DOUBLE | SLAB_DEBUG_FLAGS)) === 0;
}

/** Runs the foreground with `source` attached to this CPU, and says how often the handler ran. */
function with_event(test: KunitTest, event: number, attach: (mem: InterruptibleMemory) => void): void {
  const { cpu } = test;
  const { mem, globals } = cpu;
  if (!(mem instanceof InterruptibleMemory)) kunit_skip(test, "this CPU takes no NMIs of its own");
  for (const word of [CALLS, SUCCEEDED, FAILED]) mem.write_once(globals, word, 0);
  mem.write_once(globals, EVENT, event);
  attach(mem);
  foreground(test);
  mem.attachSource(SILENT, SILENT.expired(), NO_POINT);
  mem.write_once(globals, EVENT, NO_EVENT);
  const [calls, succeeded, failed] = [CALLS, SUCCEEDED, FAILED].map((word) => mem.read_once(globals, word));
  kunit_info(test, `callback_count=${calls} alloc_ok=${succeeded} alloc_fail=${failed}`);
  KUNIT_EXPECT_NE(test, calls, 0, "the number of callbacks");
  if (always_refused(cpu)) KUNIT_EXPECT_EQ(test, succeeded, 0, "the number of successes where there can be none");
  else KUNIT_EXPECT_NE(test, succeeded, 0, "the number of successes");
  expect_errors(test, 0, "after all rounds");
}

/** No events any more. */
const SILENT: StepSource = { expired: () => 1 << 20, visited: () => NO_POINT };

function test_perf(test: KunitTest): void {
  const { nmis, nmisPerTick, seed } = test.options;
  if (!nmis) kunit_skip(test, "the event cannot be enabled: there are no NMIs");
  with_event(test, PERF, (mem) => new LocalSource(test.cpu, mem, { seed, nmisPerTick, noise: true }).start());
}

/**
 * An NMI at each visit of one point. Those in an NMI are passed over, as a kprobe in its own handler is; and most of those
 * in a hard interrupt: with SLAB_STORE_USER a deferred free visits the point twice, so that it would defer two more.
 */
class Kprobe implements StepSource {
  private inHardirq = 0;
  private readonly cpu: Cpu;
  private readonly mem: InterruptibleMemory;
  constructor(cpu: Cpu, mem: InterruptibleMemory) {
    this.cpu = cpu;
    this.mem = mem;
  }
  expired(): number {
    return SILENT.expired();
  }
  visited(point: number): number {
    const { mem, cpu } = this;
    if (mem.peek(cpu.slot, NMI) !== 0) return point;
    if (mem.peek(cpu.slot, HARDIRQ) !== 0 && this.inHardirq++ % HARDIRQ_EVERY !== 0) return point;
    mem.poke(cpu.globals, PROBED, 1);
    Atomics.or(mem.words, cpu.pending >> 2, P_NMI_LOCAL);
    return point;
  }
}
function test_kprobe(test: KunitTest): void {
  if (test.cpu.map.shape.cpus === 1) kunit_skip(test, "needs more than one CPU");
  with_event(test, KPROBE, (mem) =>
    mem.attachSource(new Kprobe(test.cpu, mem), SILENT.expired(), POINT.slab_attach_kprobe_locked),
  );
}

export const nolock_cases: readonly KunitCase[] = [
  { name: "test_kmalloc_nolock_and_friends_perf", run: test_perf },
  { name: "test_kmalloc_nolock_and_friends_kprobe", run: test_kprobe },
];

/** The machine's NMIs are for these tests only. Once per thread, after the other handlers. */
export function bind_overflow_handler(): void {
  bind_callback(CB.nmi_handler, overflow_handler);
}
