/**
 * What programs and interrupt handlers call: the kernel's public functions in one place. A name that is not here is
 * internal to its subsystem. Each function's docstring says in which contexts it may be called.
 */
export { LC } from "./sync/lockdep.ts";
export { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "./sync/spinlock.ts";
export {
  llist_add,
  llist_add_batch,
  llist_del_all,
  llist_del_first,
  llist_next,
  llist_reverse_order,
} from "./lib/llist.ts";
export { cpu_down, cpu_up } from "./kernel/cpu.ts";
export { cpus_read_lock, cpus_read_unlock } from "./sync/cpu_hotplug.ts";
export { init_irq_work, irq_work_queue, irq_work_queue_on, irq_work_sync } from "./kernel/irq_work.ts";
export { flush_work, init_work, queue_work_on } from "./kernel/workqueue.ts";
export { rcu_read_lock, rcu_read_unlock } from "./rcu/update.ts";
export { call_rcu, synchronize_rcu } from "./rcu/tree.ts";
export { rcu_barrier } from "./rcu/tree_barrier.ts";
export { synchronize_rcu_expedited } from "./rcu/tree_exp.ts";
export {
  cond_synchronize_rcu,
  get_state_synchronize_rcu,
  poll_state_synchronize_rcu,
  start_poll_synchronize_rcu,
} from "./rcu/poll.ts";
export { kasan_check_range } from "./mm/debug/kasan.ts";
export { kcsan_begin_scoped_access, kcsan_end_scoped_access } from "./mm/debug/kcsan.ts";
export { kmsan_check_memory, kmsan_unpoison_memory } from "./mm/debug/kmsan.ts";
export { memcg_offline } from "./mm/debug/memcg.ts";
export {
  kmalloc_token,
  kmem_buckets_alloc,
  kmem_buckets_alloc_track_caller,
  kmem_buckets_create,
  kmem_buckets_destroy,
} from "./mm/buckets.ts";
export { kvrealloc, vrealloc } from "./mm/kvrealloc.ts";
export { memalloc_noreclaim_restore, memalloc_noreclaim_save } from "./mm/page_alloc/watermark.ts";
export { kmem_cache_alloc_bulk } from "./mm/slub/bulk_alloc.ts";
export { kfree_bulk, kmem_cache_free_bulk } from "./mm/slub/bulk_free.ts";
export { kmem_cache_create } from "./mm/slub/cache.ts";
export {
  kmem_cache_alloc_from_sheaf,
  kmem_cache_prefill_sheaf,
  kmem_cache_refill_sheaf,
  kmem_cache_return_sheaf,
  kmem_cache_sheaf_size,
} from "./mm/slub/prefill.ts";
export { kmem_cache_shrink } from "./mm/slub/shrink.ts";
export { kmemdup, krealloc, krealloc_node_align } from "./mm/slub/krealloc.ts";
export {
  kfree,
  kmalloc,
  kmalloc_node,
  kmem_cache_alloc,
  kmem_cache_alloc_for_nolock,
  kmem_cache_free,
  ksize,
  kzalloc,
} from "./mm/slub/kmalloc.ts";
export { kmalloc_size_roundup } from "./mm/slub/size_class.ts";
export { kfree_nolock, kmalloc_nolock } from "./mm/slub/nolock.ts";
export { kvfree, kvmalloc, kvzalloc } from "./mm/util.ts";
export { is_vmalloc_addr, vfree, vmalloc, vzalloc } from "./mm/vmalloc.ts";
export { kfree_rcu, kfree_rcu_mightsleep, kvfree_rcu, kvfree_rcu_mightsleep } from "./mm/kvfree_rcu/kvfree_rcu.ts";
export { kfree_rcu_nolock } from "./mm/kvfree_rcu/nolock.ts";
export { kvfree_rcu_barrier, kvfree_rcu_barrier_on_cache } from "./mm/kvfree_rcu/barrier.ts";
export { shrink_kvfree_rcu } from "./mm/kvfree_rcu/shrinker.ts";
export { kmem_cache_destroy } from "./mm/kvfree_rcu/destroy.ts";
