/* batch: `count` objects are allocated, then all freed in the same order. */
#include "peer.h"

enum { OPS = 2000 };

static size_t size, count;

static void setup(int threads)
{
	(void)threads;
	size = (size_t)parameter("size");
	count = (size_t)parameter("count");
}
static void *start(struct thread *thread)
{
	(void)thread;
	return own_memory(count * sizeof(void *));
}
static size_t chunk(void *state)
{
	void **objects = state;
	size_t done = 0;
	for (; done < OPS; done += count) {
		for (size_t i = 0; i < count; i++) {
			objects[i] = obtain(size);
			touch(objects[i], (uint32_t)i);
		}
		for (size_t i = 0; i < count; i++)
			peer_free(objects[i]);
	}
	return done;
}
static void finish(void *state)
{
	(void)state;
}

const struct workload batch_workload = {
	.name = "batch", .setup = setup, .start = start, .chunk = chunk, .finish = finish,
};
