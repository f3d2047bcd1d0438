// What goes wrong, on a real DPDK: each case must give an errno and leave other mempools alone. Prints `Test OK`.
//
//   refusals [EAL arguments] -d librte_mempool_hwpool.so

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>

static const char *configuration;

static void
check(int holds, const char *what)
{
	if (!holds) {
		printf("Test Failed: %s: %s\n", configuration, what);
		exit(1);
	}
}

static struct rte_mempool *
empty(const char *name, unsigned objects, unsigned size, unsigned cache)
{
	struct rte_mempool *pool = rte_mempool_create_empty(name, objects, size, cache, 0, SOCKET_ID_ANY, 0);
	check(pool != NULL, "create_empty");
	check(rte_mempool_set_ops_byname(pool, "hwpool", (void *)(uintptr_t)configuration) == 0, "set_ops_byname");
	return pool;
}

static struct rte_mempool *
make(const char *name, unsigned objects, unsigned cache)
{
	struct rte_mempool *pool = empty(name, objects, 2048, cache);
	check(rte_mempool_populate_default(pool) == (int)objects, "populate");
	return pool;
}

static void
cannot_be_made(const char *address, unsigned objects, unsigned size, int error)
{
	configuration = address;
	struct rte_mempool *pool = empty("bad", objects, size, 0);
	const int got = rte_mempool_populate_default(pool);
	printf("%s, %u of %u bytes: %d\n", address, objects, size, got);
	check(got == -error, "another errno");
	rte_mempool_free(pool);
}

// A refill that fails, and a direct get that fails: what the cache held must be what it holds, or objects are lost.
static void
a_failed_get_leaves_dpdks_cache_whole(void)
{
	enum { N = 63 };
	void *all[N], *more[N];
	struct rte_mempool *pool = make("cached", N, 16);
	for (unsigned at = 0; at < 40; at++)
		check(rte_mempool_get(pool, &all[at]) == 0, "get");
	const unsigned left = rte_mempool_avail_count(pool);
	check(rte_mempool_get_bulk(pool, more, left + 1) < 0, "more than there are");
	for (unsigned at = 40; at < N; at++)
		check(rte_mempool_get(pool, &all[at]) == 0, "what is left");
	check(rte_mempool_get(pool, &more[0]) < 0, "nothing is left");
	for (unsigned at = 0; at < N; at++)
		for (unsigned other = at + 1; other < N; other++)
			check(all[at] != all[other], "one object twice");
	rte_mempool_put_bulk(pool, all, N);
	rte_mempool_free(pool);
}

static void
wrong_frees_and_forks(void)
{
	void *mine[2], *other, *inside;
	struct rte_mempool *pool = make("one", 63, 0), *neighbour = make("two", 63, 0);
	check(rte_mempool_get_bulk(pool, mine, 2) == 0 && rte_mempool_get(neighbour, &other) == 0, "get");
	inside = (char *)mine[0] + 64;
	rte_mempool_put(pool, other);
	rte_mempool_put(pool, inside);
	check(rte_mempool_avail_count(pool) == 61 && rte_mempool_avail_count(neighbour) == 62, "foreign pointers");
	rte_mempool_put_bulk(pool, mine, 2);
	rte_mempool_put(pool, mine[0]);
	check(rte_mempool_avail_count(pool) == 63, "a double free");
	const pid_t child = fork();
	if (child == 0)
		_exit(rte_mempool_get(pool, &other) < 0 ? 0 : 1);
	int status;
	check(waitpid(child, &status, 0) == child && status == 0, "a child is refused");
	check(rte_mempool_get_bulk(pool, mine, 2) == 0, "the parent goes on");
	rte_mempool_put_bulk(pool, mine, 2);
	rte_mempool_free(pool);
	rte_mempool_free(neighbour);
}

int
main(int argc, char **argv)
{
	static const char *const backends[] = {"ring", "stack", "sim:bmu"};
	configuration = "start";
	check(rte_eal_init(argc, argv) >= 0, "rte_eal_init");
	cannot_be_made("nonsense", 63, 2048, EINVAL);
	cannot_be_made("sim:nothing", 63, 2048, EINVAL);
	cannot_be_made("vfio:0000:7f:00.0", 63, 2048, ENODEV);
	cannot_be_made("user:/nowhere/bmu.sock", 63, 2048, ENODEV);
	cannot_be_made("sim:bmu?stride-max=1024", 63, 2048, EINVAL);
	cannot_be_made("sim:bmu?buffers=100", 127, 2048, EINVAL);
	for (unsigned at = 0; at < RTE_DIM(backends); at++) {
		configuration = backends[at];
		a_failed_get_leaves_dpdks_cache_whole();
		wrong_frees_and_forks();
	}
	printf("Test OK\n");
	return 0;
}
