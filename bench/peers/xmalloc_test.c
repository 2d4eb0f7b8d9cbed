/*
 * xmalloc-test: half of the threads only allocate, the others only free. Objects go over in batches, through places
 * that all threads share. A thread that is alone does both in turn.
 */
#include <stdatomic.h>

#include "peer.h"

enum { PLACES = 32, EMPTY = 0, FULL = 1, BUSY = 2 };

static size_t size, batch;
static _Atomic int *states;
static void **objects;

static void setup(int threads)
{
	(void)threads;
	size = (size_t)parameter("size");
	batch = (size_t)parameter("batch");
	states = own_memory(PLACES * sizeof(*states));
	objects = own_memory(PLACES * batch * sizeof(void *));
}
static void *start(struct thread *thread)
{
	return thread;
}
/* A place in state `from`, now busy; or -1. */
static int take_place(int from)
{
	for (int i = 0; i < PLACES; i++) {
		int expected = from;
		if (atomic_load(&states[i]) == from && atomic_compare_exchange_strong(&states[i], &expected, BUSY))
			return i;
	}
	return -1;
}
static void allocate(void)
{
	int place = take_place(EMPTY);
	if (place < 0)
		return;
	for (size_t i = 0; i < batch; i++) {
		void *object = obtain(size);
		touch(object, (uint32_t)i);
		objects[(size_t)place * batch + i] = object;
	}
	atomic_store(&states[place], FULL);
}
static size_t release(void)
{
	int place = take_place(FULL);
	if (place < 0)
		return 0;
	for (size_t i = 0; i < batch; i++)
		peer_free(objects[(size_t)place * batch + i]);
	atomic_store(&states[place], EMPTY);
	return batch;
}
static size_t chunk(void *state)
{
	struct thread *thread = state;
	int alone = thread->threads == 1;
	if (alone || thread->id % 2 == 0)
		allocate();
	return alone || thread->id % 2 != 0 ? release() : 0;
}
static void finish(void *state)
{
	(void)state;
}
static void clear(void)
{
	while (release() > 0)
		;
}

const struct workload xmalloc_test_workload = {
	.name = "xmalloc-test", .setup = setup, .start = start, .chunk = chunk, .finish = finish, .clear = clear,
};
