// What a mempool costs: DPDK's own rings and hwpool's backends in one process, in slices that alternate.
//
//   cost [EAL arguments] -- [slices [case]]
//
// Prints a line a case: the median of the ratios of neighbouring slices, hwpool's time over that of ring_mp_mc, and the
// nanoseconds an object, taken and given back, of both. Clocks drift; ratios of neighbours do not. The last cases are the
// milliseconds of a processor that it takes to make and to free a mempool.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_memcpy.h>
#include <rte_mempool.h>

#define OBJECTS 16383
#define MANY 65535
#define TIMES 15
#define KEEP 2048
#define SLICE_US 200
#define MOST_SLICES 20000

static void *objects[KEEP] __rte_cache_aligned;

static inline __attribute__((always_inline)) int
trip(struct rte_mempool *pool, unsigned keep, unsigned n)
{
	for (unsigned at = 0; at < keep; at += n)
		if (rte_mempool_get_bulk(pool, &objects[at], n) < 0)
			return -1;
	for (unsigned at = 0; at < keep; at += n)
		rte_mempool_put_bulk(pool, &objects[at], n);
	return 0;
}

// Takes `keep` objects `n` at a time and gives them back likewise, until KEEP have been moved. Inlined, so that `n` is a
// constant, as it is in programs whose burst is one.
static inline __attribute__((always_inline)) int
round_of(struct rte_mempool *pool, unsigned keep, unsigned n)
{
	for (unsigned moved = 0; moved < KEEP; moved += keep)
		if (trip(pool, keep, n) < 0)
			return -1;
	return 0;
}

static int keep_2048_by_8(struct rte_mempool *pool) { return round_of(pool, KEEP, 8); }
static int keep_2048_by_32(struct rte_mempool *pool) { return round_of(pool, KEEP, 32); }
static int at_once_32_by_1(struct rte_mempool *pool) { return round_of(pool, 32, 1); }
static int at_once_8(struct rte_mempool *pool) { return round_of(pool, 8, 8); }
static int at_once_32(struct rte_mempool *pool) { return round_of(pool, 32, 32); }

// ---- the limit: a driver that copies pointers to an array and back, for one thread alone ----

static void *shelf[OBJECTS + 1] __rte_cache_aligned;
static unsigned on_shelf;

static int
shelf_alloc(struct rte_mempool *pool)
{
	(void)pool;
	on_shelf = 0;
	return 0;
}

static void shelf_free(struct rte_mempool *pool) { (void)pool; }

static int
shelf_put(struct rte_mempool *pool, void *const *from, unsigned n)
{
	(void)pool;
	rte_memcpy(&shelf[on_shelf], from, n * sizeof(*from));
	on_shelf += n;
	return 0;
}

static int
shelf_get(struct rte_mempool *pool, void **to, unsigned n)
{
	(void)pool;
	if (n > on_shelf)
		return -ENOBUFS;
	on_shelf -= n;
	rte_memcpy(to, &shelf[on_shelf], n * sizeof(*to));
	return 0;
}

static unsigned
shelf_count(const struct rte_mempool *pool)
{
	(void)pool;
	return on_shelf;
}

static struct rte_mempool_ops shelf_ops = {
	.name = "shelf",
	.alloc = shelf_alloc,
	.free = shelf_free,
	.enqueue = shelf_put,
	.dequeue = shelf_get,
	.get_count = shelf_count,
};

RTE_MEMPOOL_REGISTER_OPS(shelf_ops);

struct test {
	const char *name;
	int (*round)(struct rte_mempool *);
	int cached;
	const char *backend;
	double most;
};

static const struct test tests[] = {
	{"cache 512, keep 2048, n 8, ring", keep_2048_by_8, 1, "ring", 0.75},
	{"cache 512, keep 2048, n 32, ring", keep_2048_by_32, 1, "ring", 0.75},
	{"no cache, keep 8, n 8, ring", at_once_8, 0, "ring", 0.95},
	{"no cache, keep 2048, n 8, ring", keep_2048_by_8, 0, "ring", 0},
	{"no cache, keep 32, n 32, ring", at_once_32, 0, "ring", 0.90},
	{"no cache, keep 2048, n 32, ring", keep_2048_by_32, 0, "ring", 0.90},
	{"no cache, keep 32, n 1, ring", at_once_32_by_1, 0, "ring", 0},
	{"cache 512, keep 2048, n 8, the limit", keep_2048_by_8, 1, "shelf", 0}, // a driver that only copies
	{"cache 512, keep 2048, n 32, the limit", keep_2048_by_32, 1, "shelf", 0},
	{"cache 512, keep 8, n 8: never asked", at_once_8, 1, "ring", 0}, // what DPDK's own cache costs, the floor of the first
	{"cache 512, keep 2048, n 32, stack", keep_2048_by_32, 1, "stack", 0},
	{"no cache, keep 32, n 32, stack", at_once_32, 0, "stack", 0},
	{"cache 512, keep 2048, n 32, sim:bmu", keep_2048_by_32, 1, "sim:bmu", 0},
};

static struct rte_mempool *
make_of(unsigned count, const char *ops, const char *backend, int cached)
{
	static int number;
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof(name), "cost%d", number++);
	struct rte_mempool *pool =
		rte_mempool_create_empty(name, count, 2176, cached ? 512 : 0, 0, SOCKET_ID_ANY, 0);
	if (pool == NULL || rte_mempool_set_ops_byname(pool, ops, (void *)(uintptr_t)backend) < 0 ||
	    rte_mempool_populate_default(pool) < 0)
		rte_exit(2, "no mempool by %s %s: %s\n", ops, backend ? backend : "", rte_strerror(rte_errno));
	return pool;
}

static struct rte_mempool *
make(const char *ops, const char *backend, int cached)
{
	return make_of(OBJECTS, ops, backend, cached);
}

// Returns nanoseconds an object over a slice of time.
static double
slice(const struct test *test, struct rte_mempool *pool)
{
	const uint64_t hz = rte_get_tsc_hz(), begin = rte_rdtsc(), end = begin + hz / 1000000 * SLICE_US;
	uint64_t now, rounds = 0;
	do {
		if (test->round(pool) < 0)
			rte_exit(2, "a mempool ran empty\n");
		rounds++;
		now = rte_rdtsc();
	} while (now < end);
	return (double)(now - begin) / hz * 1e9 / (rounds * KEEP);
}

static int
ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double
median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), ascending);
	return values[n / 2];
}

static void
print(const char *name, double most, double *ratios, double *ours, double *peers, unsigned n)
{
	printf("%-38s %6.3f  ", name, median(ratios, n));
	if (most > 0)
		printf("%-8.2f", most);
	else
		printf("%-8s", "-");
	printf("%8.3f %8.3f\n", median(ours, n), median(peers, n));
}

static void
run(const struct test *test, unsigned slices)
{
	static double peers[MOST_SLICES], ours[MOST_SLICES], ratios[MOST_SLICES];
	struct rte_mempool *peer = make("ring_mp_mc", NULL, test->cached);
	const int is_limit = strcmp(test->backend, "shelf") == 0;
	struct rte_mempool *own = make(is_limit ? "shelf" : "hwpool", is_limit ? NULL : test->backend, test->cached);
	slice(test, peer);
	slice(test, own);
	for (unsigned at = 0; at < slices; at++) {
		peers[at] = slice(test, peer);
		ours[at] = slice(test, own);
		ratios[at] = ours[at] / peers[at];
	}
	print(test->name, test->most, ratios, ours, peers, slices);
	rte_mempool_free(peer);
	rte_mempool_free(own);
}

// Returns the milliseconds that this thread has had a processor for: others on a busy machine take whole slices of time, longer
// than it takes to make a mempool, and mostly in the same place.
static double
worked(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

// Makes a mempool and frees it; writes down how many milliseconds each took.
static void
come_and_go(const char *ops, const char *backend, double *making, double *freeing)
{
	const double begin = worked();
	struct rte_mempool *pool = make_of(MANY, ops, backend, 1);
	const double made = worked();
	rte_mempool_free(pool);
	*making = made - begin;
	*freeing = worked() - made;
}

static void
make_and_free(const char *backend)
{
	static double peers[2][TIMES], ours[2][TIMES], ratios[2][TIMES];
	static const char *const what[] = {"making", "freeing"};
	char name[64];
	for (int at = -1; at < TIMES; at++) { // the first of each makes the heap grow
		const int to = at < 0 ? 0 : at;
		come_and_go("ring_mp_mc", NULL, &peers[0][to], &peers[1][to]);
		come_and_go("hwpool", backend, &ours[0][to], &ours[1][to]);
		for (int of = 0; of < 2; of++)
			ratios[of][to] = ours[of][to] / peers[of][to];
	}
	for (int of = 0; of < 2; of++) {
		snprintf(name, sizeof(name), "%s %u objects, %s: ms", what[of], MANY, backend);
		print(name, 0, ratios[of], ours[of], peers[of], TIMES);
	}
}

int
main(int argc, char **argv)
{
	const int used = rte_eal_init(argc, argv);
	if (used < 0)
		rte_exit(2, "DPDK does not start: %s\n", rte_strerror(rte_errno));
	const unsigned slices = argc > used + 1 ? RTE_MIN(atoi(argv[used + 1]), MOST_SLICES) : 1200;
	printf("%-38s %6s  %-8s%8s %8s\n", "case", "ratio", "at most", "ns", "peer's");
	for (unsigned at = 0; at < RTE_DIM(tests); at++)
		if (argc <= used + 2 || at == (unsigned)atoi(argv[used + 2]))
			run(&tests[at], slices);
	if (argc <= used + 2 || atoi(argv[used + 2]) == (int)RTE_DIM(tests)) {
		make_and_free("ring");
		make_and_free("stack");
	}
	return rte_eal_cleanup() < 0;
}
