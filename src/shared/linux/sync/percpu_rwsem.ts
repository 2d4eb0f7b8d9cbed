/**
 * percpu_rw_semaphore: many readers, or one writer, all of whom may sleep. kernel/locking/percpu-rwsem.c.
 *
 * A reader counts itself, then looks whether a writer blocks; a writer blocks, then looks at the count. Both orders are
 * sequentially consistent, so one of them sees the other: a reader that saw no writer is waited for, and a writer that
 * found no reader is waited for. A reader that meets a writer leaves again before it sleeps, or both would wait.
 *
 * Nobody's sleep is missed: who leaves looks for a writer after its subtraction, the writer publishes itself on its queue
 * before it looks at the count (wait_event()); the same holds for `block` and the readers' queue.
 *
 * Differs: one counter for all CPUs. The kernel has one per CPU, summed by the writer, to spare readers the shared line.
 */
import { bug } from "../../cpu/bug.ts";
import { might_sleep } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { wait_event, wake_up } from "../../cpu/sched.ts";
import { PercpuRwSemaphore, WaitQueue } from "../../layout/types.ts";
import { embedded, type Ptr } from "../../mem/struct.ts";
import { lock_acquire, lock_check, lock_release } from "./lockdep.ts";

const { readers: READERS, cls: CLS, block: BLOCK, waiters: WAITERS, writer: WRITER } = PercpuRwSemaphore.offset;
const { cpus: CPUS } = WaitQueue.offset;

type Sem = Ptr<"percpu_rw_semaphore">;

/** A free semaphore of class `cls` (LC). @context Any; nobody else can see it */
export function percpu_init_rwsem(cpu: Cpu, sem: Sem, cls: number): void {
  cpu.mem.init(sem, READERS, 0);
  cpu.mem.init(sem, CLS, cls);
  cpu.mem.init(sem, BLOCK, 0);
  cpu.mem.init(embedded(sem, WAITERS), CPUS, 0);
  cpu.mem.init(embedded(sem, WRITER), CPUS, 0);
}

const not_blocked = (cpu: Cpu, sem: Sem): boolean => cpu.mem.read_once(sem, BLOCK) === 0;
const no_readers = (cpu: Cpu, sem: Sem): boolean => cpu.mem.read_once(sem, READERS) === 0;

/** A reader less, and the last one lets a writer in. */
function leave(cpu: Cpu, sem: Sem): void {
  const before = cpu.mem.fetch_add(sem, READERS, -1);
  if (before <= 0) bug(cpu, `percpu_rw_semaphore ${sem} has ${before} readers, and one leaves`);
  if (before === 1 && cpu.mem.read_once(sem, BLOCK) !== 0) wake_up(cpu, embedded(sem, WRITER));
}

/** percpu_down_read() - keep writers out. @context Task, may sleep. @pairs percpu_down_write() */
export function percpu_down_read(cpu: Cpu, sem: Sem): void {
  might_sleep(cpu, "percpu_down_read");
  const cls = cpu.mem.read(sem, CLS);
  lock_check(cpu, sem, cls);
  cpu.mem.fetch_add(sem, READERS, 1);
  while (!not_blocked(cpu, sem)) {
    leave(cpu, sem);
    wait_event(cpu, embedded(sem, WAITERS), not_blocked, sem);
    cpu.mem.fetch_add(sem, READERS, 1);
  }
  lock_acquire(cpu, sem, cls, true);
}
/** percpu_up_read() @context Task, a reader */
export function percpu_up_read(cpu: Cpu, sem: Sem): void {
  lock_release(cpu, sem);
  leave(cpu, sem);
}
/** percpu_down_write() - keep everybody out. @context Task, may sleep; no other writer. @pairs percpu_down_read() */
export function percpu_down_write(cpu: Cpu, sem: Sem): void {
  might_sleep(cpu, "percpu_down_write");
  const cls = cpu.mem.read(sem, CLS);
  lock_check(cpu, sem, cls);
  if (cpu.mem.xchg(sem, BLOCK, 1) !== 0) bug(cpu, `percpu_rw_semaphore ${sem} has two writers`);
  wait_event(cpu, embedded(sem, WRITER), no_readers, sem);
  lock_acquire(cpu, sem, cls, true);
}
/** percpu_up_write() @context Task, the writer */
export function percpu_up_write(cpu: Cpu, sem: Sem): void {
  lock_release(cpu, sem);
  cpu.mem.write_once(sem, BLOCK, 0);
  wake_up(cpu, embedded(sem, WAITERS));
}
