// A secondary process of DPDK's sees the primary's mempools, and is refused. Prints `Test OK`. Needs hugepages: processes
// share memory through them.
//
//   secondary [EAL arguments] -d librte_mempool_hwpool.so

#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>

#include "check.h"

#define MARK ((void *)0x77)

// Another process's mempool, and one of its own.
static int
is_refused(void)
{
	void *objects[2] = {MARK, MARK};
	configuration = "ring";
	struct rte_mempool *pool = rte_mempool_lookup("primary");
	check(pool != NULL, "the primary's mempool");
	for (unsigned time = 0; time < 1000; time++) {
		check(rte_mempool_ops_dequeue_bulk(pool, objects, 2) == -EINVAL, "get");
		check(rte_mempool_ops_enqueue_bulk(pool, objects, 2) == -EINVAL, "put");
	}
	check(rte_mempool_get(pool, objects) < 0, "a get of an application's");
	check(objects[0] == MARK && objects[1] == MARK, "the array was written to");
	check(rte_mempool_avail_count(pool) == 0, "count");
	rte_mempool_get_ops(pool->ops_index)->free(pool);
	says_once("a secondary process or a child of fork can't use this mempool");
	pool = empty("secondary", 63, 2048, 0);
	check(rte_mempool_populate_default(pool) == -ENOTSUP, "a mempool of its own");
	says_once("a secondary process can't have this mempool");
	rte_mempool_free(pool);
	says_nothing();
	return 0;
}

// Starts this program again, as a secondary process.
static pid_t
start(int argc, char **argv)
{
	char *arguments[argc + 2];
	arguments[0] = argv[0];
	arguments[1] = (char *)(uintptr_t)"--proc-type=secondary";
	for (int at = 1; at <= argc; at++)
		arguments[at + 1] = argv[at];
	const pid_t child = fork();
	if (child == 0) {
		execv("/proc/self/exe", arguments);
		_exit(127);
	}
	return child;
}

int
main(int argc, char **argv)
{
	int status;
	void *objects[63];
	char *arguments[argc + 1]; // rte_eal_init moves them
	memcpy(arguments, argv, sizeof(arguments));
	listen_to_log();
	check(rte_eal_init(argc, argv) >= 0, "rte_eal_init");
	if (rte_eal_process_type() == RTE_PROC_SECONDARY)
		return is_refused();
	static const char *const backends[] = {"ring", "sim:bmu"};
	for (unsigned at = 0; at < RTE_DIM(backends); at++) {
		configuration = backends[at];
		struct rte_mempool *pool = make("primary", 63, 0);
		const pid_t child = start(argc, arguments);
		check(waitpid(child, &status, 0) == child && status == 0, "the secondary process");
		check(rte_mempool_get_bulk(pool, objects, 63) == 0, "the primary goes on");
		rte_mempool_put_bulk(pool, objects, 63);
		check(rte_mempool_avail_count(pool) == 63, "with all that it had");
		rte_mempool_free(pool);
		says_nothing();
	}
	printf("Test OK\n");
	return 0;
}
