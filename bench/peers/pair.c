/* pair: an object is allocated, written to, and freed at once. */
#include "peer.h"

enum { OPS = 2000 };

static size_t size;

static void setup(int threads)
{
	(void)threads;
	size = (size_t)parameter("size");
}
static void *start(struct thread *thread)
{
	return thread;
}
static size_t chunk(void *state)
{
	(void)state;
	for (int i = 0; i < OPS; i++) {
		void *object = obtain(size);
		touch(object, (uint32_t)i);
		peer_free(object);
	}
	return OPS;
}
static void finish(void *state)
{
	(void)state;
}

const struct workload pair_workload = {
	.name = "pair", .setup = setup, .start = start, .chunk = chunk, .finish = finish,
};
