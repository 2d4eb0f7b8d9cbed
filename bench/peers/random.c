/*
 * random: of `live` objects of each thread a random one is freed, and another allocated in its place.
 * Metric bytes: memory that each object takes, after the warm-up.
 */
#include "peer.h"

enum { OPS = 2000 };

struct state {
	struct thread *thread;
	double bytes;
	void *objects[];
};

static size_t size;
static uint32_t live;
static double used_before;

static void setup(int threads)
{
	(void)threads;
	size = (size_t)parameter("size");
	live = (uint32_t)parameter("live");
	used_before = resident_bytes();
}
static void *start(struct thread *thread)
{
	struct state *s = own_memory(sizeof(*s) + live * sizeof(void *));
	s->thread = thread;
	for (uint32_t i = 0; i < live; i++) {
		s->objects[i] = obtain(size);
		touch(s->objects[i], i);
	}
	return s;
}
static void begin(void *state)
{
	struct state *s = state;
	s->bytes = (resident_bytes() - used_before) / live / s->thread->threads;
}
static size_t chunk(void *state)
{
	struct state *s = state;
	for (int i = 0; i < OPS; i++) {
		void **slot = &s->objects[below(s->thread, live)];
		peer_free(*slot);
		*slot = obtain(size);
		touch(*slot, (uint32_t)i);
	}
	return OPS;
}
static void finish(void *state)
{
	struct state *s = state;
	for (uint32_t i = 0; i < live; i++)
		peer_free(s->objects[i]);
}
static void metrics(void *state)
{
	struct state *s = state;
	metric("bytes", s->bytes);
}

const struct workload random_workload = {
	.name = "random", .setup = setup, .start = start, .begin = begin, .chunk = chunk, .finish = finish, .metrics = metrics,
};
