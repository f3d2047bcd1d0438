// A mempool by name: creates, takes, gives back, and frees it. The seed of programs that use hwpool through DPDK.
//
//   pool [EAL arguments] -d librte_mempool_hwpool.so -- CONFIGURATION...
//
// A configuration is `ring`, `stack` or the address of a device, as in `sim:bmu` or `vfio:0000:01:00.0`.

#include <stdint.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_mempool.h>

#define OBJECTS 1023
#define BURST 32

static int
failed(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, rte_strerror(rte_errno));
	return -1;
}

struct range {
	uintptr_t begin, end;
};

static void
widen(struct rte_mempool *pool, void *argument, void *object, unsigned index)
{
	struct range *range = argument;
	const uintptr_t begin = (uintptr_t)object - pool->header_size;
	(void)index;
	range->begin = RTE_MIN(range->begin, begin);
	range->end = RTE_MAX(range->end, (uintptr_t)object + pool->elt_size + pool->trailer_size);
}

// The objects lie in memory of hwpool's, which DPDK has not seen. A second device that shall reach them needs these two
// calls, and rte_dev_dma_map() for itself.
static int
tell_dpdk_of_memory(struct rte_mempool *pool)
{
	const size_t page = 4096;
	struct range range = {UINTPTR_MAX, 0};
	rte_mempool_obj_iter(pool, widen, &range);
	range.begin = RTE_ALIGN_FLOOR(range.begin, page);
	const size_t length = RTE_ALIGN_CEIL(range.end - range.begin, page);
	if (rte_extmem_register((void *)range.begin, length, NULL, 0, page) < 0)
		return failed("rte_extmem_register");
	const int known = rte_mem_virt2memseg_list((void *)range.begin) != NULL;
	if (rte_extmem_unregister((void *)range.begin, length) < 0)
		return failed("rte_extmem_unregister");
	return known ? 0 : -1;
}

static int
run(const char *configuration)
{
	void *objects[BURST];
	struct rte_mempool *pool = rte_mempool_create_empty("example", OBJECTS, 2048, 256, 0, SOCKET_ID_ANY, 0);
	if (pool == NULL)
		return failed("rte_mempool_create_empty");
	int status = -1;
	if (rte_mempool_set_ops_byname(pool, "hwpool", (void *)(uintptr_t)configuration) < 0)
		fprintf(stderr, "there is no driver hwpool: -d librte_mempool_hwpool.so?\n");
	else if ((status = rte_mempool_populate_default(pool)) < 0)
		fprintf(stderr, "rte_mempool_populate_default: %s\n", rte_strerror(-status));
	else if ((status = rte_mempool_get_bulk(pool, objects, BURST)) < 0)
		fprintf(stderr, "rte_mempool_get_bulk: %s\n", rte_strerror(-status));
	else {
		rte_mempool_put_bulk(pool, objects, BURST);
		const unsigned in = rte_mempool_avail_count(pool);
		status = in == OBJECTS ? tell_dpdk_of_memory(pool) : -1;
		printf("%s: %u of %u objects are in\n", configuration, in, OBJECTS);
	}
	rte_mempool_free(pool);
	return status < 0 ? -1 : 0;
}

int
main(int argc, char **argv)
{
	const int used = rte_eal_init(argc, argv);
	if (used < 0)
		return -failed("rte_eal_init");
	int status = 0;
	for (int at = used + 1; at < argc; at++)
		status |= run(argv[at]);
	rte_eal_cleanup();
	return status < 0;
}
