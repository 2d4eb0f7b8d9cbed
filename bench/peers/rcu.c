/* Workloads on RCU. Compiled for liburcu only: allocator.h has its flavour. */
#include <time.h>

#include "peer.h"

enum { OBJECTS = 512, READS = 2000, MOST_SAMPLES = 1 << 20 };

/* kfree_rcu: objects are allocated and given to call_rcu(). The time includes that all are freed. */

struct rcu_object {
	struct rcu_head head;
};

static size_t size;

static void setup_kfree_rcu(int threads)
{
	(void)threads;
	size = (size_t)parameter("size");
}
static void free_rcu_object(struct rcu_head *head)
{
	peer_free(head); /* It is the first member. */
}
static void *start_nothing(struct thread *thread)
{
	return thread;
}
static size_t chunk_kfree_rcu(void *state)
{
	(void)state;
	for (int i = 0; i < OBJECTS; i++) {
		struct rcu_object *object = obtain(size);
		touch(object, (uint32_t)i);
		call_rcu(&object->head, free_rcu_object);
	}
	return OBJECTS;
}
static void settle_kfree_rcu(void *state)
{
	(void)state;
	peer_blocks();
	rcu_barrier();
	peer_unblocks();
}
static void finish_nothing(void *state)
{
	(void)state;
}

const struct workload kfree_rcu_workload = {
	.name = "kfree_rcu", .setup = setup_kfree_rcu, .start = start_nothing, .chunk = chunk_kfree_rcu,
	.settle = settle_kfree_rcu, .finish = finish_nothing,
};

/* readers: read sections, one after the other. */

static volatile uint32_t shared_word;

static void read_section(void)
{
	rcu_read_lock();
	(void)shared_word;
	rcu_read_unlock();
}
static size_t chunk_readers(void *state)
{
	(void)state;
	for (int i = 0; i < READS; i++)
		read_section();
	return READS;
}

const struct workload readers_workload = {
	.name = "readers", .start = start_nothing, .chunk = chunk_readers, .finish = finish_nothing,
};

/* grace_period: thread 0 waits for grace periods; the others read (busy=1), or sleep. Metrics p50 and p99: one wait. */

struct waiter {
	struct thread *thread;
	size_t n;
	double samples[MOST_SAMPLES];
};

static long busy;

static void setup_grace_period(int threads)
{
	(void)threads;
	busy = parameter("busy");
}
static void *start_grace_period(struct thread *thread)
{
	struct waiter *w = own_memory(sizeof(*w));
	w->thread = thread;
	return w;
}
static void wait_once(struct waiter *w)
{
	double start = clock_ns();
	peer_blocks();
	synchronize_rcu();
	peer_unblocks();
	if (w->n < MOST_SAMPLES)
		w->samples[w->n++] = clock_ns() - start;
}
static void sleep_ms(void)
{
	peer_blocks();
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	peer_unblocks();
}
static size_t chunk_grace_period(void *state)
{
	struct waiter *w = state;
	if (w->thread->id == 0) {
		wait_once(w);
		return 1;
	}
	if (busy)
		chunk_readers(NULL);
	else
		sleep_ms();
	return 0;
}
static void begin_grace_period(void *state)
{
	struct waiter *w = state;
	w->n = 0;
}
static void metrics_grace_period(void *state)
{
	struct waiter *w = state;
	metric_percentiles(w->samples, w->n);
}

const struct workload grace_period_workload = {
	.name = "grace_period", .setup = setup_grace_period, .start = start_grace_period, .begin = begin_grace_period,
	.chunk = chunk_grace_period, .finish = finish_nothing, .metrics = metrics_grace_period,
};
