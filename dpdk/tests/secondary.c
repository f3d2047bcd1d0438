// A secondary process of DPDK's has the primary's mempools in software, and makes some; of those on a device it reads and writes
// the objects that it is handed, and is refused all else. Prints `Test OK`. Needs hugepages: processes share memory through them.
//
//   secondary [EAL arguments] -d librte_mempool_hwpool.so

#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_memory.h>
#include <rte_ring.h>

#include "check.h"

#define MARK ((void *)0x77)
#define OBJECTS 63
#define HANDED 20

// Another process's mempool on a device, and one of its own.
static void
is_refused(struct rte_mempool *pool)
{
	void *objects[2] = {MARK, MARK};
	for (unsigned time = 0; time < 1000; time++) {
		check(rte_mempool_ops_dequeue_bulk(pool, objects, 2) == -EINVAL, "get");
		check(rte_mempool_ops_enqueue_bulk(pool, objects, 2) == -EINVAL, "put");
	}
	check(rte_mempool_get(pool, objects) < 0, "a get of an application's");
	check(objects[0] == MARK && objects[1] == MARK, "the array was written to");
	check(rte_mempool_avail_count(pool) == 0, "count");
	rte_mempool_get_ops(pool->ops_index)->free(pool);
	says_once("a secondary process or a child of fork can't use this mempool");
	pool = empty("refused", 63, 2048, 0);
	check(rte_mempool_populate_default(pool) == -ENOTSUP, "a mempool of its own");
	says_once("a secondary process can't have this mempool");
	rte_mempool_free(pool);
}

// Each byte of an object says whose it is.
static void
fill(void **objects, unsigned count, int with)
{
	for (unsigned at = 0; at < count; at++)
		memset(objects[at], with + at, 2048);
}

static void
has(void **objects, unsigned count, int with)
{
	for (unsigned at = 0; at < count; at++)
		for (unsigned byte = 0; byte < 2048; byte++)
			check(((unsigned char *)objects[at])[byte] == with + at, "what another process wrote");
}

// The primary handed objects over a ring: they are read, written to, freed here, and taken again.
static void
shares(struct rte_mempool *pool)
{
	void *objects[OBJECTS + 1], *wrong = (char *)pool + 64;
	struct rte_ring *ring = rte_ring_lookup("handed");
	check(ring != NULL && rte_ring_dequeue_bulk(ring, objects, HANDED, NULL) == HANDED, "what was handed");
	has(objects, HANDED, 1);
	check(rte_mempool_avail_count(pool) == OBJECTS - HANDED, "the others are in");
	rte_mempool_put_bulk(pool, objects, HANDED);
	for (unsigned time = 0; time < 1000; time++) {
		check(rte_mempool_get_bulk(pool, objects, OBJECTS) == 0, "all objects");
		check(rte_mempool_get(pool, &wrong) < 0, "one more");
		rte_mempool_put_bulk(pool, objects, OBJECTS);
	}
	check(rte_mempool_ops_enqueue_bulk(pool, &wrong, 1) == -EINVAL, "a foreign pointer");
	says_once("is no object of this mempool");
	check(rte_mempool_get_bulk(pool, objects, HANDED) == 0, "get");
	fill(objects, HANDED, 100);
	check(rte_ring_enqueue_bulk(ring, objects, HANDED, NULL) == HANDED, "handed back");
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof(name), "of %d", getpid());
	pool = make(name, OBJECTS, 0);
	check(rte_mempool_get_bulk(pool, objects, OBJECTS) == 0, "a mempool of its own");
	rte_mempool_put_bulk(pool, objects, OBJECTS);
}

// Objects of a device, which the primary handed over a ring, are read, written to, and handed back: what is in DPDK's memory
// this process has too. Taking and freeing are the primary's.
static void
reads_and_writes(struct rte_ring *ring)
{
	void *objects[HANDED];
	check(rte_ring_dequeue_bulk(ring, objects, HANDED, NULL) == HANDED, "what was handed");
	has(objects, HANDED, 1);
	fill(objects, HANDED, 100);
	check(rte_ring_enqueue_bulk(ring, objects, HANDED, NULL) == HANDED, "handed back");
}

static int
secondary(void)
{
	struct rte_mempool *pool = rte_mempool_lookup("primary");
	struct rte_ring *of_device = rte_ring_lookup("of a device");
	check(pool != NULL, "the primary's mempool");
	configuration = of_device != NULL ? "sim:bmu" : "ring";
	if (of_device == NULL)
		shares(pool);
	else {
		// Where addresses are physical nothing was handed: the objects are in memory of the primary's alone.
		if (rte_ring_count(of_device) > 0)
			reads_and_writes(of_device);
		is_refused(pool);
	}
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

// Starts a secondary process and waits for it to end well; returns its number.
static pid_t
run(int argc, char **argv)
{
	int status;
	const pid_t child = start(argc, argv);
	check(waitpid(child, &status, 0) == child && status == 0, "the secondary process");
	return child;
}

static void
shared(const char *backend, int argc, char **argv)
{
	void *objects[OBJECTS];
	configuration = backend;
	struct rte_mempool *pool = make("primary", OBJECTS, 0);
	struct rte_ring *ring = rte_ring_create("handed", 64, SOCKET_ID_ANY, 0);
	check(ring != NULL, "a ring");
	check(rte_mempool_get_bulk(pool, objects, HANDED) == 0, "get");
	fill(objects, HANDED, 1);
	check(rte_ring_enqueue_bulk(ring, objects, HANDED, NULL) == HANDED, "hand over");
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof(name), "of %d", run(argc, argv));
	check(rte_ring_dequeue_bulk(ring, objects, HANDED, NULL) == HANDED, "what came back");
	has(objects, HANDED, 100);
	rte_mempool_put_bulk(pool, objects, HANDED);
	struct rte_mempool *other = rte_mempool_lookup(name);
	check(other != NULL && rte_mempool_get_bulk(other, objects, OBJECTS) == 0, "the secondary's mempool");
	rte_mempool_put_bulk(other, objects, OBJECTS);
	check(rte_mempool_avail_count(pool) == OBJECTS && rte_mempool_avail_count(other) == OBJECTS, "all that it had");
	// DPDK's own part would call a function at the address that it had in the secondary.
	rte_mempool_get_ops(other->ops_index)->free(other);
	check(rte_mempool_ops_dequeue_bulk(other, objects, 1) == -EINVAL, "what was freed");
	rte_mempool_free(pool);
	rte_ring_free(ring);
	says_nothing();
}

static void
on_device(int argc, char **argv)
{
	void *objects[OBJECTS];
	configuration = "sim:bmu";
	struct rte_mempool *pool = make("primary", OBJECTS, 0);
	struct rte_ring *ring = rte_ring_create("of a device", 64, SOCKET_ID_ANY, 0);
	check(ring != NULL, "a ring");
	check(rte_mempool_get_bulk(pool, objects, HANDED) == 0, "get");
	const bool is_shared = rte_mem_virt2memseg_list(objects[0]) != NULL;
	check(is_shared == (rte_eal_iova_mode() == RTE_IOVA_VA), "where the objects lie");
	if (is_shared) {
		fill(objects, HANDED, 1);
		check(rte_ring_enqueue_bulk(ring, objects, HANDED, NULL) == HANDED, "hand over");
	}
	run(argc, argv);
	if (is_shared) {
		check(rte_ring_dequeue_bulk(ring, objects, HANDED, NULL) == HANDED, "what came back");
		has(objects, HANDED, 100);
	}
	rte_mempool_put_bulk(pool, objects, HANDED);
	check(rte_mempool_get_bulk(pool, objects, OBJECTS) == 0, "the primary goes on");
	rte_mempool_put_bulk(pool, objects, OBJECTS);
	check(rte_mempool_avail_count(pool) == OBJECTS, "with all that it had");
	rte_mempool_free(pool);
	rte_ring_free(ring);
	says_nothing();
}

int
main(int argc, char **argv)
{
	char *arguments[argc + 1]; // rte_eal_init moves them
	memcpy(arguments, argv, sizeof(arguments));
	listen_to_log();
	check(rte_eal_init(argc, argv) >= 0, "rte_eal_init");
	if (rte_eal_process_type() == RTE_PROC_SECONDARY)
		return secondary();
	shared("ring", argc, arguments);
	shared("stack", argc, arguments);
	on_device(argc, arguments);
	printf("Test OK\n");
	return 0;
}
