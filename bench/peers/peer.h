/*
 * What the workloads of a native peer are written with. Each runs as its twin in bench/workloads does, with the same
 * parameters and the same random numbers.
 */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>
#include <stdint.h>

#include "allocator.h"

struct thread {
	int id;
	int threads;
	uint32_t random;
};

struct workload {
	const char *name;
	/* Once, before the threads start; NULL: nothing to do. */
	void (*setup)(int threads);
	/* On each thread: what it works with. */
	void *(*start)(struct thread *thread);
	/* After the warm-up; NULL: nothing to do. */
	void (*begin)(void *state);
	/* Some thousand operations. Returns how many objects came and went. */
	size_t (*chunk)(void *state);
	/* What belongs to the work though all has been called: within the measured time. NULL: nothing. */
	void (*settle)(void *state);
	/* Gives back what this thread holds. */
	void (*finish)(void *state);
	/* Gives back what the threads shared, when all have finished; NULL: nothing. */
	void (*clear)(void);
	/* What this thread has measured besides time; called on thread 0 after settle(). NULL: nothing. */
	void (*metrics)(void *state);
};

/* The value of NAME=VALUE on the command line. Ends the process if it is not there. */
long parameter(const char *name);
/* Prints a metric. Called from workload.metrics only. */
void metric(const char *name, double value);
/* Prints two: the median and the 99th percentile. Sorts the samples. */
void metric_percentiles(double *samples, size_t n);
/* Monotonic, in ns. */
double clock_ns(void);
/* Bytes of memory that this process has resident, own_memory() left out. */
double resident_bytes(void);
void die(const char *why);

/* xorshift32, seeded as src/shared/base/random.ts does. */
uint32_t mix_seed(uint32_t seed, uint32_t stream);
static inline uint32_t next_random(struct thread *t)
{
	uint32_t x = t->random;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	t->random = x;
	return x;
}
/* Uniform in 0 .. n-1. */
static inline uint32_t below(struct thread *t, uint32_t n)
{
	return (uint32_t)(((uint64_t)next_random(t) * n) >> 32);
}

/* An allocation that must succeed. */
static inline void *obtain(size_t bytes)
{
	void *object = peer_malloc(bytes);
	if (__builtin_expect(object == NULL, 0))
		die("out of memory");
	return object;
}
/* Writes to an object, so that the compiler cannot leave its allocation out. */
static inline void touch(void *object, uint32_t word)
{
	*(volatile uint32_t *)object = word;
}

/* Memory of the workload itself, zeroed: not from the allocator that is measured, and never given back. */
void *own_memory(size_t bytes);

#endif
