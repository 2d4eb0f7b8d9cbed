/*
 * larson: of `objects` objects of random sizes a random one is replaced, again and again. After so many rounds a thread
 * leaves its objects to whoever comes next, and goes on with those that another has left.
 */
#include <stdatomic.h>

#include "peer.h"

enum { OPS = 2000 };

struct state {
	struct thread *thread;
	void **objects;
	long left;
};

static uint32_t min, max, count;
static long rounds;
static _Atomic(void **) parked;

static void setup(int threads)
{
	(void)threads;
	min = (uint32_t)parameter("min");
	max = (uint32_t)parameter("max");
	count = (uint32_t)parameter("objects");
	rounds = parameter("rounds");
	parked = own_memory(count * sizeof(void *));
}
static void replace(struct state *s, void **slot)
{
	if (*slot)
		peer_free(*slot);
	*slot = obtain(min + below(s->thread, max - min));
	touch(*slot, count);
}
static void *start(struct thread *thread)
{
	struct state *s = own_memory(sizeof(*s));
	s->thread = thread;
	s->objects = own_memory(count * sizeof(void *));
	s->left = rounds * (long)count;
	for (uint32_t i = 0; i < count; i++)
		replace(s, &s->objects[i]);
	return s;
}
static size_t chunk(void *state)
{
	struct state *s = state;
	for (int i = 0; i < OPS; i++)
		replace(s, &s->objects[below(s->thread, count)]);
	s->left -= OPS;
	if (s->left <= 0) {
		s->objects = atomic_exchange(&parked, s->objects);
		s->left = rounds * (long)count;
	}
	return OPS;
}
static void free_all(void **objects)
{
	for (uint32_t i = 0; i < count; i++)
		if (objects[i])
			peer_free(objects[i]);
}
static void finish(void *state)
{
	struct state *s = state;
	free_all(s->objects);
}
static void clear(void)
{
	free_all(parked);
}

const struct workload larson_workload = {
	.name = "larson", .setup = setup, .start = start, .chunk = chunk, .finish = finish, .clear = clear,
};
