/*
 * glibc-thread: of `slots` objects a random one is freed, and another allocated in its place. All powers of two up to
 * `max_power` are equally likely, so sizes are the rarer the larger.
 */
#include "peer.h"

enum { OPS = 2000, MIN_POWER = 2 };

struct state {
	struct thread *thread;
	void **objects;
};

static uint32_t slots, max_power;

static void setup(int threads)
{
	(void)threads;
	slots = (uint32_t)parameter("slots");
	max_power = (uint32_t)parameter("max_power");
}
static void *start(struct thread *thread)
{
	struct state *s = own_memory(sizeof(*s));
	s->thread = thread;
	s->objects = own_memory(slots * sizeof(void *));
	return s;
}
static size_t chunk(void *state)
{
	struct state *s = state;
	for (int i = 0; i < OPS; i++) {
		void **slot = &s->objects[below(s->thread, slots)];
		uint32_t power = MIN_POWER + below(s->thread, max_power - MIN_POWER);
		if (*slot)
			peer_free(*slot);
		*slot = obtain((1u << power) + below(s->thread, 1u << power));
		touch(*slot, power);
	}
	return OPS;
}
static void finish(void *state)
{
	struct state *s = state;
	for (uint32_t i = 0; i < slots; i++)
		if (s->objects[i])
			peer_free(s->objects[i]);
}

const struct workload glibc_thread_workload = {
	.name = "glibc-thread", .setup = setup, .start = start, .chunk = chunk, .finish = finish,
};
