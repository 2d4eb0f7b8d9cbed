/*
 * access-...: what single accesses and the smallest protocols cost. No allocator takes part. Those of two threads count
 * one for each direction; further threads only spin, so that the two have to wait for a processor.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

enum { OPS = 2000, WORDS = 1024, ROUNDS = 100, MOST_WAIT_NS = 100000000, SPINS_PER_CLOCK = 1000 };

static uint32_t words[WORDS];
static _Alignas(64) atomic_uint atomic_words[WORDS];

static void *start(struct thread *thread)
{
	return thread;
}
static void finish(void *state)
{
	(void)state;
}
/* All that was read. */
static volatile uint32_t sink;

static size_t chunk_load(void *state)
{
	(void)state;
	uint32_t sum = 0;
	for (int i = 0; i < OPS; i++)
		sum += *(volatile uint32_t *)&words[i % WORDS];
	sink = sum;
	return OPS;
}
static size_t chunk_store(void *state)
{
	(void)state;
	for (int i = 0; i < OPS; i++)
		*(volatile uint32_t *)&words[i % WORDS] = (uint32_t)i;
	return OPS;
}
static size_t chunk_atomic_load(void *state)
{
	(void)state;
	uint32_t sum = 0;
	for (int i = 0; i < OPS; i++)
		sum += atomic_load(&atomic_words[i % WORDS]);
	sink = sum;
	return OPS;
}
static size_t chunk_atomic_store(void *state)
{
	(void)state;
	for (int i = 0; i < OPS; i++)
		atomic_store(&atomic_words[i % WORDS], (uint32_t)i);
	return OPS;
}
static size_t chunk_atomic_add(void *state)
{
	(void)state;
	for (int i = 0; i < OPS; i++)
		atomic_fetch_add(&atomic_words[i % WORDS], 1);
	return OPS;
}
static size_t chunk_cas(void *state)
{
	(void)state;
	for (int i = 0; i < OPS; i++) {
		uint32_t expected = 0;
		atomic_compare_exchange_strong(&atomic_words[0], &expected, 0);
	}
	return OPS;
}

/* A lock-free list whose nodes are indices of `words`, never 0; its head is atomic_words[0]. */
static void llist_push(uint32_t node)
{
	uint32_t first = atomic_load(&atomic_words[0]);
	do
		words[node] = first;
	while (!atomic_compare_exchange_strong(&atomic_words[0], &first, node));
}
static size_t chunk_llist_push(void *state)
{
	(void)state;
	atomic_store(&atomic_words[0], 0);
	for (int i = 0; i < OPS; i++)
		llist_push(1 + (uint32_t)i % (WORDS - 1));
	return OPS;
}
static size_t chunk_llist_take(void *state)
{
	(void)state;
	uint32_t sum = 0;
	for (int i = 0; i < OPS; i++)
		sum += atomic_exchange(&atomic_words[0], 0);
	sink = sum;
	return OPS;
}

static size_t chunk_trylock_plain(void *state)
{
	(void)state;
	volatile uint32_t *lock = &words[0];
	size_t taken = 0;
	for (int i = 0; i < OPS; i++) {
		if (*lock != 0)
			continue;
		*lock = 1;
		taken++;
		*lock = 0;
	}
	return taken;
}
static size_t chunk_trylock_cas(void *state)
{
	(void)state;
	size_t taken = 0;
	for (int i = 0; i < OPS; i++) {
		uint32_t expected = 0;
		if (!atomic_compare_exchange_strong(&atomic_words[0], &expected, 1))
			continue;
		taken++;
		atomic_store(&atomic_words[0], 0);
	}
	return taken;
}

/* Thread 0 counts up in PING, thread 1 copies that to PONG. */
enum { PING = 0, PONG = 64 };

/* Until the word has the value; or not any longer. Returns whether it has. */
static int spin_for(atomic_uint *word, uint32_t value)
{
	double give_up = clock_ns() + MOST_WAIT_NS;
	while (clock_ns() < give_up)
		for (int i = 0; i < SPINS_PER_CLOCK; i++)
			if (atomic_load_explicit(word, memory_order_acquire) == value)
				return 1;
	return 0;
}
static size_t chunk_polled(void *state)
{
	struct thread *t = state;
	size_t done = 0;
	if (t->id == 0) {
		uint32_t n = atomic_load(&atomic_words[PONG]);
		for (; done < 2 * ROUNDS; done += 2) {
			atomic_store_explicit(&atomic_words[PING], ++n, memory_order_release);
			if (!spin_for(&atomic_words[PONG], n))
				break;
		}
		return done;
	}
	for (int i = 0; i < SPINS_PER_CLOCK; i++) {
		uint32_t n = atomic_load_explicit(&atomic_words[PING], memory_order_acquire);
		if (t->id == 1 && n != atomic_load_explicit(&atomic_words[PONG], memory_order_relaxed))
			atomic_store_explicit(&atomic_words[PONG], n, memory_order_release);
	}
	return 0;
}

static void wait_on(atomic_uint *word, uint32_t seen)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &(struct timespec){ .tv_nsec = MOST_WAIT_NS }, NULL, 0);
}
static void store_and_wake(atomic_uint *word, uint32_t value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
static size_t chunk_wait(void *state)
{
	struct thread *t = state;
	uint32_t pong = atomic_load(&atomic_words[PONG]);
	if (t->id == 0) {
		store_and_wake(&atomic_words[PING], pong + 1);
		wait_on(&atomic_words[PONG], pong);
		return atomic_load(&atomic_words[PONG]) == pong ? 0 : 1;
	}
	wait_on(&atomic_words[PING], pong);
	uint32_t ping = atomic_load(&atomic_words[PING]);
	if (ping != pong)
		store_and_wake(&atomic_words[PONG], ping);
	return 0;
}

#define ACCESS(variable, text)                                                                                         \
	const struct workload access_##variable = {                                                                    \
		.name = "access-" text, .start = start, .chunk = chunk_##variable, .finish = finish,                   \
	}
ACCESS(load, "load");
ACCESS(store, "store");
ACCESS(atomic_load, "atomic-load");
ACCESS(atomic_store, "atomic-store");
ACCESS(atomic_add, "atomic-add");
ACCESS(cas, "atomic-compare-exchange");
ACCESS(llist_push, "llist-push");
ACCESS(llist_take, "llist-take");
ACCESS(trylock_plain, "trylock-plain");
ACCESS(trylock_cas, "trylock-atomic");
ACCESS(polled, "polled");
ACCESS(wait, "wait");
