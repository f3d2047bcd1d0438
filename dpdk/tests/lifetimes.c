// Mempools that come and go on a real DPDK leave nothing behind, and another device can have their memory. Prints `Test OK`.
//
//   lifetimes [EAL arguments] -d librte_mempool_hwpool.so --vdev=dma_skeleton

#define ALLOW_EXPERIMENTAL_API // rte_dev_dma_map, rte_dma_*

#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_dmadev.h>
#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include "check.h"

// ---- what a process has ------------------------------------------------------------------------

struct holdings {
	long maps, resident, files, threads;
};

static long
entries(const char *directory)
{
	long count = 0;
	DIR *open = opendir(directory);
	check(open != NULL, directory);
	while (readdir(open) != NULL)
		count++;
	closedir(open);
	return count;
}

static struct holdings
held(void)
{
	struct holdings held = {.files = entries("/proc/self/fd"), .threads = entries("/proc/self/task")};
	FILE *maps = fopen("/proc/self/maps", "r"), *sizes = fopen("/proc/self/statm", "r");
	check(maps != NULL && sizes != NULL && fscanf(sizes, "%*d %ld", &held.resident) == 1, "/proc/self");
	for (int byte; (byte = getc(maps)) != EOF;)
		held.maps += byte == '\n';
	fclose(maps);
	fclose(sizes);
	return held;
}

// ---- mempools that come and go -----------------------------------------------------------------

// Ends with objects in its cache and others in its hands.
static void *
leave_with_objects(void *pool)
{
	void *objects[40];
	check(rte_thread_register() == 0, "rte_thread_register");
	check(rte_mempool_default_cache(pool, rte_lcore_id()) != NULL, "a cache of the thread's");
	check(rte_mempool_get_bulk(pool, objects, 40) == 0, "get");
	rte_mempool_put_bulk(pool, objects, 20);
	rte_thread_unregister(); // DPDK has its number back, and leaves the cache as it is
	return NULL;
}

static void
come_and_go(void)
{
	pthread_t thread;
	void *object;
	int status;
	struct rte_mempool *pool = make("short-lived", 255, 32);
	check(pthread_create(&thread, NULL, leave_with_objects, pool) == 0, "a thread");
	check(pthread_join(thread, NULL) == 0, "its end");
	const pid_t child = fork();
	if (child == 0)
		_exit(rte_mempool_get(pool, &object) < 0 && said("child of fork") == 1 ? 0 : 1);
	check(waitpid(child, &status, 0) == child && status == 0, "a child");
	check(rte_mempool_get(pool, &object) == 0, "get");
	rte_mempool_free(pool);
	// Those in the caches of threads, one that is gone among them, are not out.
	says_once("short-lived: 21 objects were still out when the mempool was freed");
}

static void
nothing_is_left(void)
{
	const int cycles = 200;
	// What the first ones leave is for all: arenas of the allocator, stacks of threads, DPDK's tables.
	for (int cycle = 0; cycle < 10; cycle++)
		come_and_go();
	const struct holdings before = held();
	for (int cycle = 0; cycle < cycles; cycle++)
		come_and_go();
	const struct holdings after = held();
	printf("%s: %ld to %ld mappings, %ld to %ld pages, %ld to %ld files, %ld to %ld threads\n", configuration, before.maps,
		after.maps, before.resident, after.resident, before.files, after.files, before.threads, after.threads);
	// One a cycle would be 200; the allocator's own come and go.
	check(after.maps - before.maps < cycles / 10, "mappings");
	check(after.resident - before.resident < cycles * 8, "memory: each mempool has more than 128 pages");
	check(after.files == before.files && after.threads == before.threads, "files and threads");
	says_nothing();
}

// ---- memory for another device -----------------------------------------------------------------

static void
widen(struct rte_mempool *pool, void *range, void *object, unsigned index)
{
	char **ends = range, *begin = (char *)object - pool->header_size;
	ends[0] = index == 0 ? begin : RTE_MIN(ends[0], begin);
	ends[1] = RTE_MAX(ends[1], (char *)object + pool->elt_size + pool->trailer_size);
}

static void
is_known(struct rte_mempool *pool, void *unused, void *object, unsigned index)
{
	const struct rte_memseg *page = rte_mem_virt2memseg(object, NULL);
	check(page != NULL, "memory that DPDK knows");
	check(page->iova + RTE_PTR_DIFF(object, page->addr) == rte_mempool_virt2iova(object), "one address for devices");
	RTE_SET_USED(pool);
	RTE_SET_USED(unused);
	RTE_SET_USED(index);
}

// The device of DPDK's that moves memory as a DMA engine would, in software.
static struct rte_device *
engine(int16_t *id)
{
	struct rte_dev_iterator all;
	struct rte_device *device;
	const struct rte_dma_conf one = {.nb_vchans = 1};
	const struct rte_dma_vchan_conf channel = {.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = 32};
	*id = rte_dma_get_dev_id_by_name("dma_skeleton");
	check(*id >= 0, "--vdev=dma_skeleton");
	check(rte_dma_configure(*id, &one) == 0 && rte_dma_vchan_setup(*id, 0, &channel) == 0, "a channel");
	check(rte_dma_start(*id) == 0, "rte_dma_start");
	RTE_DEV_FOREACH(device, "bus=vdev", &all)
		if (strcmp(rte_dev_name(device), "dma_skeleton") == 0)
			break;
	check(device != NULL, "its device");
	return device;
}

// Has the engine move an object's contents to another object.
static void
moves(int16_t id, struct rte_mempool *pool)
{
	enum { LENGTH = 2048 };
	void *objects[2];
	bool failed = false;
	const uint64_t limit = rte_get_timer_cycles() + 5 * rte_get_timer_hz();
	check(rte_mempool_get_bulk(pool, objects, 2) == 0, "get");
	memset(objects[0], 0x5a, LENGTH);
	memset(objects[1], 0, LENGTH);
	const rte_iova_t from = rte_mempool_virt2iova(objects[0]), to = rte_mempool_virt2iova(objects[1]);
	check(rte_dma_copy(id, 0, from, to, LENGTH, RTE_DMA_OP_FLAG_SUBMIT) >= 0, "rte_dma_copy");
	while (rte_dma_completed(id, 0, 1, NULL, &failed) == 0)
		check(rte_get_timer_cycles() < limit, "the engine does not answer");
	check(!failed && memcmp(objects[0], objects[1], LENGTH) == 0, "what the engine moved");
	rte_mempool_put_bulk(pool, objects, 2);
}

// In DPDK's own memory, which it maps for its devices itself.
static void
another_device_has_the_memory(void)
{
	int16_t id;
	engine(&id);
	struct rte_mempool *pool = make("common", 255, 0);
	rte_mempool_obj_iter(pool, is_known, NULL);
	moves(id, pool);
	check(rte_dma_stop(id) == 0, "rte_dma_stop");
	rte_mempool_free(pool);
	check(named_who_cannot_share == 0, "all can share the memory");
	says_nothing();
}

// A mempool that has a chunk of DPDK's which is too small for the objects of a device: they lie in memory of hwpool's own then,
// and one line says so. The calls of the example, one by one.
static void
another_device_can_have_memory_of_hwpools(void)
{
	const size_t page = 4096;
	char *ends[2] = {NULL, NULL};
	int16_t id;
	struct rte_device *device = engine(&id);
	const struct rte_memzone *zone = rte_memzone_reserve("small", 1 << 16, SOCKET_ID_ANY, 0);
	check(zone != NULL, "a memzone");
	struct rte_mempool *pool = empty("lent", 255, 2048, 0);
	check(rte_mempool_populate_iova(pool, zone->addr, zone->iova, zone->len, NULL, NULL) == 255, "all objects");
	says_nothing();
	check(named_who_cannot_share == 1, "one line says who can't share the memory");
	named_who_cannot_share = 0;
	rte_mempool_obj_iter(pool, widen, ends);
	char *begin = RTE_PTR_ALIGN_FLOOR(ends[0], page);
	const size_t length = (size_t)(RTE_PTR_ALIGN_CEIL(ends[1], page) - begin), pages = length / page;
	rte_iova_t iovas[pages];
	for (size_t at = 0; at < pages; at++)
		iovas[at] = rte_mem_virt2iova(begin + at * page);
	check(rte_mem_virt2memseg_list(begin) == NULL, "the objects lie elsewhere");
	// DPDK gives no device what it does not know.
	check(rte_dev_dma_map(device, begin, iovas[0], length) < 0 && rte_errno == EINVAL, "not mapped before");
	check(rte_extmem_register(begin, length, iovas, pages, page) == 0, "rte_extmem_register");
	rte_mempool_obj_iter(pool, is_known, NULL);
	check(rte_dev_dma_map(device, begin, iovas[0], length) == 0, "rte_dev_dma_map");
	moves(id, pool);
	check(rte_dev_dma_unmap(device, begin, iovas[0], length) == 0, "rte_dev_dma_unmap");
	check(rte_extmem_unregister(begin, length) == 0, "rte_extmem_unregister");
	check(rte_dma_stop(id) == 0, "rte_dma_stop");
	rte_mempool_free(pool);
	rte_memzone_free(zone);
	says_nothing();
}

// ---- memory that DPDK takes back ---------------------------------------------------------------

// Counts the mappings of the file that an address is mapped from.
static long
mappings_of_its_file(const void *address)
{
	unsigned long begin, end, file, found = 0;
	long count = 0;
	char line[512];
	for (int pass = 0; pass < 2; pass++) {
		FILE *maps = fopen("/proc/self/maps", "r");
		check(maps != NULL, "/proc/self/maps");
		while (fgets(line, sizeof(line), maps) != NULL) {
			check(sscanf(line, "%lx-%lx %*s %*s %*s %lu", &begin, &end, &file) == 3, line);
			if (pass == 0 && begin <= (uintptr_t)address && (uintptr_t)address < end)
				found = file;
			count += pass == 1 && file == found;
		}
		fclose(maps);
	}
	check(found != 0, "a file");
	return count;
}

static void
count_mappings(struct rte_mempool_memhdr *chunk, void *count)
{
	*(long *)count = mappings_of_its_file(chunk->addr);
}

// A model in this process maps the file of the chunk beside DPDK's own mapping, until DPDK has the last object off its list,
// whoever has the others; when DPDK takes the chunk back, the device has let go of it.
static void
memory_is_let_go_before_dpdk_takes_it_back(unsigned out)
{
	void *objects[63];
	long at_end = -1;
	const struct rte_memzone *zone = rte_memzone_reserve("chunk", 1 << 18, SOCKET_ID_ANY, 0);
	check(zone != NULL, "a memzone");
	const long before = mappings_of_its_file(zone->addr);
	struct rte_mempool *pool = empty("in a chunk", 63, 2048, 0);
	check(rte_mempool_populate_iova(pool, zone->addr, zone->iova, zone->len, count_mappings, &at_end) == 63, "iova");
	const long meanwhile = mappings_of_its_file(zone->addr);
	check(rte_mempool_get_bulk(pool, objects, out) == 0, "get");
	rte_mempool_free(pool);
	printf("%s: %ld mappings, %ld while it is used, %ld when DPDK takes it back\n", configuration, before, meanwhile, at_end);
	check(meanwhile == before + (strncmp(configuration, "sim:", 4) == 0), "the device maps it");
	check(at_end == before, "the device maps what is DPDK's again");
	rte_memzone_free(zone);
	check(said("objects were still out") == (out > 0), "what was out");
}

int
main(int argc, char **argv)
{
	static const char *const backends[] = {"ring", "stack", "sim:bmu", "sim:bmu?mode=threaded"};
	listen_to_log();
	check(rte_eal_init(argc, argv) >= 0, "rte_eal_init");
	for (unsigned at = 0; at < RTE_DIM(backends); at++) {
		configuration = backends[at];
		another_device_has_the_memory();
		nothing_is_left();
		memory_is_let_go_before_dpdk_takes_it_back(0);
		memory_is_let_go_before_dpdk_takes_it_back(1);
		memory_is_let_go_before_dpdk_takes_it_back(63);
		if (strncmp(configuration, "sim:", 4) == 0)
			another_device_can_have_memory_of_hwpools();
	}
	check(named_who_cannot_share == 0, "all can share the memory");
	printf("Test OK\n");
	return 0;
}
