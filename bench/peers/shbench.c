/*
 * sh6bench, sh8bench: objects of growing and shrinking sizes, small ones more often. They are written down one by one;
 * when the list is full, all are freed but a fifth, another fifth each time: those before it from the first on, those
 * behind it from the last back. In sh8bench that fifth is exchanged with what other threads have left.
 */
#include <stdatomic.h>

#include "peer.h"

struct state {
	void **slots;
	uint32_t at;
	uint32_t keep_from, keep_to;
	uint32_t base;
	int exchanges;
};

static uint32_t max, nr_slots, kept;
static _Atomic(void *) *transfer;

static void setup(int threads)
{
	(void)threads;
	max = (uint32_t)parameter("max");
	nr_slots = (uint32_t)parameter("slots");
	kept = nr_slots / 5;
	transfer = own_memory(kept * sizeof(*transfer));
}
static struct state *new_state(int exchanges)
{
	struct state *s = own_memory(sizeof(*s));
	s->slots = own_memory(nr_slots * sizeof(void *));
	s->keep_from = s->keep_to = nr_slots;
	s->base = 1;
	s->exchanges = exchanges;
	return s;
}
static void *start_alone(struct thread *thread)
{
	(void)thread;
	return new_state(0);
}
static void *start_exchanging(struct thread *thread)
{
	(void)thread;
	return new_state(1);
}

static void free_slot(void **slot)
{
	if (*slot)
		peer_free(*slot);
	*slot = NULL;
}
static void sweep(struct state *s)
{
	s->keep_from = s->keep_to >= nr_slots ? 0 : s->keep_to;
	s->keep_to = s->keep_from + kept < nr_slots ? s->keep_from + kept : nr_slots;
	for (uint32_t i = 0; i < s->keep_from; i++)
		free_slot(&s->slots[i]);
	for (uint32_t i = nr_slots; i > s->keep_to; i--)
		free_slot(&s->slots[i - 1]);
	if (s->exchanges)
		for (uint32_t i = s->keep_from; i < s->keep_to; i++)
			s->slots[i] = atomic_exchange(&transfer[i - s->keep_from], s->slots[i]);
	s->at = s->keep_from == 0 ? s->keep_to : 0;
}
static void note_down(struct state *s, void *object)
{
	s->slots[s->at++] = object;
	if (s->at == s->keep_from)
		s->at = s->keep_to;
	if (s->at >= nr_slots)
		sweep(s);
}
static uint32_t how_often(uint32_t size)
{
	return size < 100 ? 250 : size < 1000 ? 50 : 10;
}
static size_t chunk(void *state)
{
	struct state *s = state;
	size_t done = 0;
	for (uint32_t size = s->base; size > 0; size /= 2) {
		for (uint32_t n = how_often(size); n > 0; n--) {
			void *object = obtain(size < 4 ? 4 : size);
			touch(object, n);
			note_down(s, object);
			done++;
		}
	}
	s->base = s->base * 3 / 2 + 1;
	if (s->base > max)
		s->base = 1;
	return done;
}
static void finish(void *state)
{
	struct state *s = state;
	for (uint32_t i = 0; i < nr_slots; i++)
		free_slot(&s->slots[i]);
}
static void clear(void)
{
	for (uint32_t i = 0; i < kept; i++) {
		void *object = transfer[i];
		free_slot(&object);
	}
}

const struct workload sh6bench_workload = {
	.name = "sh6bench", .setup = setup, .start = start_alone, .chunk = chunk, .finish = finish,
};
const struct workload sh8bench_workload = {
	.name = "sh8bench", .setup = setup, .start = start_exchanging, .chunk = chunk, .finish = finish, .clear = clear,
};
