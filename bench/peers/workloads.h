/* All workloads that this peer has, by -DPEER_...: those on RCU, or those on an allocator. */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include "peer.h"

#ifdef PEER_URCU
extern const struct workload kfree_rcu_workload, readers_workload, grace_period_workload;

static const struct workload *const workloads[] = {
	&kfree_rcu_workload, &readers_workload, &grace_period_workload, NULL,
};
#else
extern const struct workload pair_workload, batch_workload, random_workload, producer_consumer_workload,
	xmalloc_test_workload, larson_workload, sh6bench_workload, sh8bench_workload, cache_thrash_workload,
	cache_scratch_workload, mstress_workload, rptest_workload, alloc_test_workload, glibc_thread_workload,
	access_load, access_store, access_atomic_load, access_atomic_store, access_atomic_add, access_cas,
	access_llist_push, access_llist_take, access_trylock_plain, access_trylock_cas, access_polled, access_wait;

static const struct workload *const workloads[] = {
	&pair_workload, &batch_workload, &random_workload, &producer_consumer_workload, &xmalloc_test_workload,
	&larson_workload, &sh6bench_workload, &sh8bench_workload, &cache_thrash_workload, &cache_scratch_workload,
	&mstress_workload, &rptest_workload, &alloc_test_workload, &glibc_thread_workload,
	&access_load, &access_store, &access_atomic_load, &access_atomic_store, &access_atomic_add, &access_cas,
	&access_llist_push, &access_llist_take, &access_trylock_plain, &access_trylock_cas, &access_polled,
	&access_wait, NULL,
};
#endif

#endif
