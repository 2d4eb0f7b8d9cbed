/* The allocator that is measured, by -DPEER_name; glibc's without one. */
#ifndef ALLOCATOR_H
#define ALLOCATOR_H

#if defined(PEER_MIMALLOC)
#include <mimalloc.h>
#define peer_malloc mi_malloc
#define peer_free mi_free
#else
#include <stdlib.h> /* jemalloc takes these names over. */
#define peer_malloc malloc
#define peer_free free
#endif

/* The RCU library, by -DPEER_URCU_MEMB or -DPEER_URCU_QSBR. */
#if defined(PEER_URCU_MEMB)
#define PEER_URCU
#define _LGPL_SOURCE /* Readers are inlined. */
#define RCU_MEMBARRIER
#include <urcu.h>
#elif defined(PEER_URCU_QSBR)
#define PEER_URCU
#define _LGPL_SOURCE /* Readers are inlined. */
#include <urcu-qsbr.h>
#endif

#ifdef PEER_URCU
#define peer_thread_begins() rcu_register_thread()
#define peer_thread_ends() rcu_unregister_thread()
#else
#define peer_thread_begins() ((void)0)
#define peer_thread_ends() ((void)0)
#endif

/* A quiescent state, between two chunks; and around what blocks. */
#ifdef PEER_URCU_QSBR
#define peer_between() rcu_quiescent_state()
#define peer_blocks() rcu_thread_offline()
#define peer_unblocks() rcu_thread_online()
#else
#define peer_between() ((void)0)
#define peer_blocks() ((void)0)
#define peer_unblocks() ((void)0)
#endif

/* "mimalloc 2.0.9" */
void describe_allocator(char *text, size_t bytes);

#endif
