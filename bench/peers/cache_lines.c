/*
 * cache-thrash, cache-scratch: small objects that are written to very often. If an allocator gives parts of one cache
 * line to two threads, they slow each other down. In cache-scratch each thread first frees an object that thread 0 has
 * allocated, and so could get memory next to another's.
 */
#include <stdatomic.h>

#include "peer.h"

enum { OBJECTS = 10 };

struct state {
	struct thread *thread;
	int scratches;
};

static size_t size;
static long repetitions;
/* Objects of thread 0, by the thread that is to free them. */
static _Atomic(void *) *given;
static int nr_given;

static void setup(int threads)
{
	size = (size_t)parameter("size");
	repetitions = parameter("repetitions");
	nr_given = threads;
	given = own_memory((size_t)threads * sizeof(*given));
}
static struct state *new_state(struct thread *thread, int scratches)
{
	struct state *s = own_memory(sizeof(*s));
	s->thread = thread;
	s->scratches = scratches;
	return s;
}
static void *start_thrash(struct thread *thread)
{
	return new_state(thread, 0);
}
static void *start_scratch(struct thread *thread)
{
	return new_state(thread, 1);
}
static void free_given(int id)
{
	void *object = atomic_exchange(&given[id], NULL);
	if (object)
		peer_free(object);
}
static void hand_out(void)
{
	for (int id = 0; id < nr_given; id++)
		if (atomic_load(&given[id]) == NULL)
			atomic_store(&given[id], obtain(size));
}
static void write_often(volatile uint32_t *words)
{
	for (long n = repetitions; n > 0; n--)
		for (size_t i = 0; i < size / 4; i++)
			words[i] = words[i] + 1;
}
static size_t chunk(void *state)
{
	struct state *s = state;
	if (s->scratches) {
		free_given(s->thread->id);
		if (s->thread->id == 0)
			hand_out();
	}
	for (int i = 0; i < OBJECTS; i++) {
		uint32_t *object = obtain(size);
		write_often(object);
		peer_free(object);
	}
	return OBJECTS;
}
static void finish(void *state)
{
	(void)state;
}
static void clear(void)
{
	for (int id = 0; id < nr_given; id++)
		free_given(id);
}

const struct workload cache_thrash_workload = {
	.name = "cache-thrash", .setup = setup, .start = start_thrash, .chunk = chunk, .finish = finish,
};
const struct workload cache_scratch_workload = {
	.name = "cache-scratch", .setup = setup, .start = start_scratch, .chunk = chunk, .finish = finish,
	.clear = clear,
};
