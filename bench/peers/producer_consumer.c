/*
 * producer_consumer: threads in pairs; one allocates, the other frees. A ring for each pair takes the objects over, in
 * groups. Objects are counted where they are freed.
 */
#include <stdatomic.h>

#include "peer.h"

enum { RING = 4096, GROUP = 64, MOST = 2048 };

struct ring {
	_Alignas(64) atomic_uint head; /* Objects ever put in; written by the producer. */
	_Alignas(64) atomic_uint tail; /* Objects ever taken out; written by the consumer. */
	_Alignas(64) void *objects[RING];
};
struct state {
	struct ring *ring;
	int produces;
};

static size_t size;
static struct ring *rings;
static int nr_rings;

static void setup(int threads)
{
	if (threads % 2 != 0)
		die("threads come in pairs");
	size = (size_t)parameter("size");
	nr_rings = threads / 2;
	rings = own_memory((size_t)nr_rings * sizeof(*rings));
}
static void *start(struct thread *thread)
{
	struct state *s = own_memory(sizeof(*s));
	s->ring = &rings[thread->id / 2];
	s->produces = thread->id % 2 == 0;
	return s;
}
static void produce(struct ring *r)
{
	unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed);
	for (unsigned made = 0; made < MOST; made += GROUP) {
		if (head - atomic_load(&r->tail) > RING - GROUP)
			return;
		for (int i = 0; i < GROUP; i++, head++) {
			void *object = obtain(size);
			touch(object, head);
			r->objects[head % RING] = object;
		}
		atomic_store(&r->head, head);
	}
}
static size_t consume(struct ring *r)
{
	unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	size_t freed = 0;
	for (; freed < MOST; freed += GROUP) {
		if (tail == atomic_load(&r->head))
			break;
		for (int i = 0; i < GROUP; i++, tail++)
			peer_free(r->objects[tail % RING]);
		atomic_store(&r->tail, tail);
	}
	return freed;
}
static size_t chunk(void *state)
{
	struct state *s = state;
	if (!s->produces)
		return consume(s->ring);
	produce(s->ring);
	return 0;
}
static void finish(void *state)
{
	(void)state;
}
static void clear(void)
{
	for (int i = 0; i < nr_rings; i++)
		while (consume(&rings[i]) > 0)
			;
}

const struct workload producer_consumer_workload = {
	.name = "producer_consumer", .setup = setup, .start = start, .chunk = chunk, .finish = finish, .clear = clear,
};
