/**
 * Small structs that everything else embeds: lists, RCU heads, locks, wait queues. Sizes of those that lie inside
 * objects are the kernel's: rcu_head 16 bytes, kvfree_rcu_head, rcu_ptr and llist_node 8, list_head 16.
 */
import { atomic32, atomic_ptr, callback, ptr, struct, u32 } from "../mem/struct.ts";

/** struct list_head: circular, doubly linked. */
export const ListHead = struct("list_head", { next: ptr("list_head"), prev: ptr("list_head") });
/** struct list_head of a list that RCU readers walk. */
export const ListHeadRcu = struct("list_head_rcu", { next: atomic_ptr("list_head_rcu"), prev: ptr("list_head_rcu") });
/** struct llist_node: link of a lock-less, singly linked list. */
export const LlistNode = struct("llist_node", { next: ptr("llist_node") });
export const LlistHead = struct("llist_head", { first: atomic_ptr("llist_node") });
/** struct rcu_head: what call_rcu() needs inside an object. */
export const RcuHead = struct("rcu_head", { next: ptr("rcu_head"), func: callback });
/**
 * struct kvfree_rcu_head: what kfree_rcu() needs inside an object; half of an rcu_head.
 *
 * Differs: without CONFIG_KVFREE_RCU_BATCHED the kernel makes it as large as an rcu_head. Here batching is chosen when
 * the machine boots, long after the layout. A struct for both keeps room for both: `rcu: RcuHead`, and over it
 * `head: overlay("rcu", KvfreeRcuHead)`.
 */
export const KvfreeRcuHead = struct("kvfree_rcu_head", { next: ptr("kvfree_rcu_head") });
/** struct rcu_ptr: the same under the name that it had in the series of February 2026. */
export const RcuPtr = struct("rcu_ptr", { next: ptr("rcu_ptr") });

/** spinlock_t and raw_spinlock_t: 0, or owner CPU + 1, or that with LOCK_CONTENDED. */
export const Spinlock = struct("spinlock", {
  val: atomic32,
  /** Lock class (sync/lockdep.ts). */
  cls: u32,
});
export const LOCK_CONTENDED = 0x100;
/** local_trylock_t (and local_lock_t): a plain per-CPU word, see sync/local_lock.ts. */
export const LocalTrylock = struct("local_trylock", { acquired: u32, cls: u32 });
/** Tasks that sleep until something changes: a mask of CPUs (cpu/sched.ts). */
export const WaitQueue = struct("wait_queue", { cpus: atomic32 });
export const Mutex = struct("mutex", { owner: atomic32, cls: u32, waiters: WaitQueue });
/** struct percpu_rw_semaphore: many readers or one writer, see sync/percpu_rwsem.ts. */
export const PercpuRwSemaphore = struct("percpu_rw_semaphore", {
  readers: atomic32,
  cls: u32,
  /** 1: a writer has it, or waits for the readers to leave. */
  block: atomic32,
  /** Readers that wait for the writer. */
  waiters: WaitQueue,
  /** The writer that waits for readers. */
  writer: WaitQueue,
});
export const Completion = struct("completion", { done: atomic32, waiters: WaitQueue });
/** struct rcuwait: one sleeping CPU + 1, or 0. A second waiter overwrites the first. */
export const Rcuwait = struct("rcuwait", { task: atomic32 });
