/*
 * rptest: in a list of `objects` objects some are freed and others allocated, in turn. Sizes are random, large ones
 * rarer. Every `cross`-th time a thread leaves as many objects for others, and frees those that others have left.
 */
#include <stdatomic.h>

#include "peer.h"

enum { PLACES = 16 };

struct state {
	struct thread *thread;
	void **objects;
	uint32_t free_at, alloc_at;
	uint32_t loops;
};

static uint32_t min, max, count, ops, cross;
/* Lists of objects, each linked through the first word of the one before it. */
static _Atomic(void *) *places;

static void setup(int threads)
{
	(void)threads;
	min = (uint32_t)parameter("min");
	max = (uint32_t)parameter("max");
	count = (uint32_t)parameter("objects");
	ops = (uint32_t)parameter("ops");
	cross = (uint32_t)parameter("cross");
	places = own_memory(PLACES * sizeof(*places));
}
static void *alloc_random(struct thread *t)
{
	uint32_t a = below(t, max - min + 1), b = below(t, max - min + 1);
	void *object = obtain(min + (a < b ? a : b));
	touch(object, a);
	return object;
}
static void *start(struct thread *thread)
{
	struct state *s = own_memory(sizeof(*s));
	s->thread = thread;
	s->objects = own_memory(count * sizeof(void *));
	return s;
}
static void free_list(void *first)
{
	while (first) {
		void *next = *(void **)first;
		peer_free(first);
		first = next;
	}
}
static void cross_over(struct thread *t)
{
	void *first = NULL;
	for (uint32_t i = 0; i < ops; i++) {
		void *object = alloc_random(t);
		*(void **)object = first;
		first = object;
	}
	free_list(atomic_exchange(&places[below(t, PLACES)], first));
}
static size_t chunk(void *state)
{
	struct state *s = state;
	for (uint32_t i = 0; i < ops; i++) {
		if (s->objects[s->free_at])
			peer_free(s->objects[s->free_at]);
		s->objects[s->free_at] = NULL;
		s->free_at = (s->free_at + 3) % count;
	}
	for (uint32_t i = 0; i < ops; i++) {
		if (s->objects[s->alloc_at])
			peer_free(s->objects[s->alloc_at]);
		s->objects[s->alloc_at] = alloc_random(s->thread);
		s->alloc_at = (s->alloc_at + 7) % count;
	}
	if (++s->loops % cross != 0)
		return ops;
	cross_over(s->thread);
	return 2 * ops;
}
static void finish(void *state)
{
	struct state *s = state;
	for (uint32_t i = 0; i < count; i++)
		if (s->objects[i])
			peer_free(s->objects[i]);
}
static void clear(void)
{
	for (int i = 0; i < PLACES; i++)
		free_list(places[i]);
}

const struct workload rptest_workload = {
	.name = "rptest", .setup = setup, .start = start, .chunk = chunk, .finish = finish, .clear = clear,
};
