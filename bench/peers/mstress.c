/*
 * mstress: each thread allocates blocks of 1 to 128 items, keeps half of them to the end of its phase, and frees others
 * soon. Some it exchanges with blocks of other threads. Threads have work of different sizes. Each block is filled, and
 * checked when it is freed.
 */
#include <stdatomic.h>

#include "peer.h"

enum { STEPS = 1000, TRANSFERS = 1000, MAX_POWER = 5, MAX_KEPT_POWER = 7, COOKIE = 0x1fb5ae23 };

struct state {
	struct thread *thread;
	void **data, **kept;
	long quota; /* Blocks of a phase. */
	long allocs_left, keeps_left;
	uint32_t nr_data, nr_kept;
};

static long scale;
static _Atomic(void *) *transfer;

static void setup(int threads)
{
	(void)threads;
	scale = parameter("scale");
	transfer = own_memory(TRANSFERS * sizeof(*transfer));
}
static void *alloc_items(struct thread *t, uint32_t items)
{
	if (below(t, 100) == 0)
		items *= 100;
	uint64_t *block = obtain(items * sizeof(*block));
	for (uint32_t i = 0; i < items; i++)
		block[i] = (items - i) ^ COOKIE;
	return block;
}
static void free_items(void *block)
{
	if (block == NULL)
		return;
	uint64_t *item = block;
	uint64_t items = item[0] ^ COOKIE;
	for (uint64_t i = 0; i < items; i++)
		if ((item[i] ^ COOKIE) != items - i)
			die("a block has been overwritten");
	peer_free(block);
}
static void begin_phase(struct state *s)
{
	s->allocs_left = s->quota;
	s->keeps_left = s->quota / 2;
	s->nr_data = s->nr_kept = 0;
}
static void *start(struct thread *thread)
{
	struct state *s = own_memory(sizeof(*s));
	s->thread = thread;
	s->quota = 100 * scale * (thread->id % 8 + 1);
	s->data = own_memory((size_t)s->quota * sizeof(void *));
	s->kept = own_memory((size_t)s->quota * sizeof(void *));
	begin_phase(s);
	return s;
}
static void end_phase(struct state *s)
{
	for (uint32_t i = 0; i < s->nr_kept; i++)
		free_items(s->kept[i]);
	for (uint32_t i = 0; i < s->nr_data; i++)
		free_items(s->data[i]);
}
static size_t step(struct state *s)
{
	struct thread *t = s->thread;
	if (s->keeps_left == 0 || (s->allocs_left > 0 && below(t, 2) == 0)) {
		s->allocs_left--;
		s->data[s->nr_data++] = alloc_items(t, 1u << below(t, MAX_POWER));
	} else {
		s->keeps_left--;
		s->kept[s->nr_kept++] = alloc_items(t, 1u << below(t, MAX_KEPT_POWER));
	}
	if (below(t, 100) < 66 && s->nr_data > 0) {
		void **slot = &s->data[below(t, s->nr_data)];
		free_items(*slot);
		*slot = NULL;
	}
	if (below(t, 100) < 25 && s->nr_data > 0) {
		void **slot = &s->data[below(t, s->nr_data)];
		*slot = atomic_exchange(&transfer[below(t, TRANSFERS)], *slot);
	}
	return 1;
}
static size_t chunk(void *state)
{
	struct state *s = state;
	size_t done = 0;
	while (done < STEPS && (s->allocs_left > 0 || s->keeps_left > 0))
		done += step(s);
	if (s->allocs_left == 0 && s->keeps_left == 0) {
		end_phase(s);
		begin_phase(s);
	}
	return done;
}
static void finish(void *state)
{
	end_phase(state);
}
static void clear(void)
{
	for (int i = 0; i < TRANSFERS; i++)
		free_items(transfer[i]);
}

const struct workload mstress_workload = {
	.name = "mstress", .setup = setup, .start = start, .chunk = chunk, .finish = finish, .clear = clear,
};
