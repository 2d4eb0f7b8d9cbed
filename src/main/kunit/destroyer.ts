/**
 * The task that destroys caches for test_kfree_rcu_wq_destroy: the main task of CPU 1, which does nothing else until the
 * tests need it no more. On a machine with one CPU the test does it itself.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { wait_event, wake_up } from "../../shared/cpu/sched.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { TortureCpu, TortureGlobals } from "../../shared/layout/torture.ts";
import { kmem_cache_destroy } from "../../shared/linux/api.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";

const { scenario: WORDS, torture: TORTURE } = Globals.offset;
const { sleepers: SLEEPERS } = TortureGlobals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { ops: OPS } = TortureCpu.offset;

/** The cache to destroy; QUIT: there will be none any more; 0: it has been done. */
const CACHE = element(WORDS, 0);
const RESULT = element(WORDS, 1);
const QUIT = 1;

const sleepers = (cpu: Cpu): Ptr<"wait_queue"> => embedded(embedded(cpu.globals, TORTURE), SLEEPERS);
const is_asked = (cpu: Cpu): boolean => cpu.mem.read_once(cpu.globals, CACHE) !== 0;
const is_done = (cpu: Cpu): boolean => cpu.mem.read_once(cpu.globals, CACHE) === 0;

/** @context Task on CPU 1, may sleep */
export function run_destroyer(cpu: Cpu): void {
  const { mem, globals } = cpu;
  for (;;) {
    wait_event(cpu, sleepers(cpu), is_asked, NULL);
    const s = mem.read_once(globals, CACHE);
    if (s === QUIT) return;
    mem.write_once(globals, RESULT, kmem_cache_destroy(cpu, s as Ptr<"kmem_cache">));
    mem.write_once(globals, CACHE, 0);
    mem.count(embedded(cpu.home, TORTURE_CPU), OPS, 1);
    wake_up(cpu, sleepers(cpu));
  }
}
/** @context Task on CPU 0, may sleep */
export function quit_destroyer(cpu: Cpu): void {
  ask(cpu, QUIT);
}

/** Has a cache destroyed. One at a time. @context Task on CPU 0, may sleep */
export function queue_destroy(cpu: Cpu, s: Ptr<"kmem_cache">): void {
  if (cpu.map.shape.cpus > 1) ask(cpu, s);
  else cpu.mem.write_once(cpu.globals, RESULT, kmem_cache_destroy(cpu, s));
}
/** @returns what kmem_cache_destroy() has returned. @context Task on CPU 0, may sleep */
export function wait_for_destroy(cpu: Cpu): number {
  wait_event(cpu, sleepers(cpu), is_done, NULL);
  return cpu.mem.read_once(cpu.globals, RESULT);
}
function ask(cpu: Cpu, what: number): void {
  cpu.mem.write_once(cpu.globals, CACHE, what);
  wake_up(cpu, sleepers(cpu));
}
