/*
 * alloc-test: a place of many is drawn, a few places far more often. If it is empty, an object is allocated there and
 * filled; otherwise the object is read and freed. Sizes up to `max`, each power of two half as often as the one before.
 */
#include "peer.h"

enum { OPS = 2000, LEVELS = 3, MIN_POWER = 3 };

struct state {
	struct thread *thread;
	uint32_t sum; /* Of all that was read. */
	uint32_t **objects;
	uint32_t *words; /* Length of each. */
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
	s->objects = own_memory(slots * sizeof(*s->objects));
	s->words = own_memory(slots * sizeof(*s->words));
	return s;
}
/* Four times of five one of the first fifth; there the same again. */
static uint32_t draw_slot(struct thread *t)
{
	uint32_t from = 0, n = slots;
	for (int level = 0; level < LEVELS; level++) {
		uint32_t fifth = n / 5;
		if (below(t, 5) == 0) {
			from += fifth;
			n -= fifth;
			break;
		}
		n = fifth;
	}
	return from + below(t, n);
}
static uint32_t draw_words(struct thread *t)
{
	uint32_t power = MIN_POWER + (uint32_t)__builtin_ctz(next_random(t));
	if (power >= max_power)
		power = max_power - 1;
	return ((1u << power) + below(t, 1u << power)) / 4;
}
static void visit(struct state *s, uint32_t slot)
{
	uint32_t *object = s->objects[slot];
	if (object) {
		for (uint32_t i = 0; i < s->words[slot]; i++)
			s->sum += object[i];
		peer_free(object);
		s->objects[slot] = NULL;
		return;
	}
	uint32_t words = draw_words(s->thread);
	volatile uint32_t *fresh = obtain(words * 4);
	for (uint32_t i = 0; i < words; i++)
		fresh[i] = i;
	s->objects[slot] = (uint32_t *)fresh;
	s->words[slot] = words;
}
static size_t chunk(void *state)
{
	struct state *s = state;
	for (int i = 0; i < OPS; i++)
		visit(s, draw_slot(s->thread));
	return OPS / 2; /* An object takes two visits. */
}
static void finish(void *state)
{
	struct state *s = state;
	for (uint32_t i = 0; i < slots; i++)
		if (s->objects[i])
			peer_free(s->objects[i]);
}

const struct workload alloc_test_workload = {
	.name = "alloc-test", .setup = setup, .start = start, .chunk = chunk, .finish = finish,
};
