/*
 * A native peer: runs one workload on some threads and prints what it measured as a line of JSON.
 *
 *   peer WORKLOAD THREADS MS WARM-UP-MS NAME=VALUE ...
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "workloads.h"

#define MAX_THREADS 64

struct runner {
	pthread_t pthread;
	struct thread thread;
	double start, end, cpu;
	size_t ops;
};

static struct runner runners[MAX_THREADS];
static const struct workload *workload;
static pthread_barrier_t meeting;
static double ms, warmup_ms;
static char **parameters;
static atomic_size_t own_bytes;
static FILE *metrics;
static char *metrics_text;

void die(const char *why)
{
	fprintf(stderr, "peer: %s\n", why);
	exit(1);
}

long parameter(const char *name)
{
	size_t length = strlen(name);
	for (char **p = parameters; *p; p++)
		if (strncmp(*p, name, length) == 0 && (*p)[length] == '=')
			return strtol(*p + length + 1, NULL, 10);
	die(name);
	return 0;
}

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}
double clock_ns(void)
{
	return now(CLOCK_MONOTONIC);
}

double resident_bytes(void)
{
	long size, resident;
	FILE *file = fopen("/proc/self/statm", "r");
	if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2)
		die("cannot read /proc/self/statm");
	fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) - (double)own_bytes;
}

uint32_t mix_seed(uint32_t seed, uint32_t stream)
{
	uint32_t h = seed ^ (stream + 1) * 0x9e3779b9u;
	h = (h ^ h >> 16) * 0x85ebca6bu;
	h = (h ^ h >> 13) * 0xc2b2ae35u;
	h ^= h >> 16;
	return h == 0 ? 1 : h;
}

void *own_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		die("out of memory");
	own_bytes += bytes;
	return memory;
}

void metric(const char *name, double value)
{
	fprintf(metrics, "%s\"%s\":%.3f", ftell(metrics) > 0 ? "," : "", name, value);
}
static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}
void metric_percentiles(double *samples, size_t n)
{
	if (n == 0)
		die("nothing was measured");
	qsort(samples, n, sizeof(*samples), by_value);
	metric("p50", samples[n / 2]);
	metric("p99", samples[n * 99 / 100]);
}

/* At least one chunk. */
static size_t repeat(void *state, double for_ms)
{
	double deadline = clock_ns() + for_ms * 1e6;
	size_t ops = 0;
	do {
		ops += workload->chunk(state);
		peer_between();
	} while (clock_ns() < deadline);
	return ops;
}

static void meet(void)
{
	peer_blocks();
	pthread_barrier_wait(&meeting);
	peer_unblocks();
}

static void *run(void *argument)
{
	struct runner *r = argument;
	peer_thread_begins();
	void *state = workload->start(&r->thread);
	meet(); /* What one has prepared, another may use. */
	repeat(state, warmup_ms);
	meet();
	if (workload->begin)
		workload->begin(state);
	r->start = clock_ns();
	double cpu = now(CLOCK_THREAD_CPUTIME_ID);
	r->ops = repeat(state, ms);
	if (workload->settle)
		workload->settle(state);
	r->end = clock_ns();
	r->cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
	meet();
	if (workload->metrics && r->thread.id == 0)
		workload->metrics(state);
	workload->finish(state);
	meet();
	if (workload->clear && r->thread.id == 0)
		workload->clear();
	peer_thread_ends();
	return NULL;
}

static void print_result(int threads)
{
	char version[100];
	describe_allocator(version, sizeof(version));
	printf("{\"version\":\"%s\",\"threads\":[", version);
	for (int i = 0; i < threads; i++) {
		struct runner *r = &runners[i];
		printf("%s{\"start\":%.0f,\"end\":%.0f,\"cpu\":%.0f,\"ops\":%zu}", i > 0 ? "," : "", r->start, r->end,
		       r->cpu, r->ops);
	}
	printf("],\"metrics\":{%s}}\n", metrics_text);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		die("usage: peer WORKLOAD THREADS MS WARM-UP-MS NAME=VALUE ...");
	for (const struct workload *const *w = workloads; *w; w++)
		if (strcmp((*w)->name, argv[1]) == 0)
			workload = *w;
	int threads = atoi(argv[2]);
	if (workload == NULL)
		die("there is no such workload");
	if (threads < 1 || threads > MAX_THREADS)
		die("there cannot be so many threads");
	ms = atof(argv[3]);
	warmup_ms = atof(argv[4]);
	parameters = argv + 5;
	size_t length;
	metrics = open_memstream(&metrics_text, &length);
	pthread_barrier_init(&meeting, NULL, (unsigned)threads);
	if (workload->setup)
		workload->setup(threads);
	for (int i = 0; i < threads; i++) {
		struct runner *r = &runners[i];
		r->thread = (struct thread){ .id = i, .threads = threads, .random = mix_seed(1 + (uint32_t)i, 0) };
		pthread_create(&r->pthread, NULL, run, r);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(runners[i].pthread, NULL);
	fclose(metrics);
	print_result(threads);
	return 0;
}
