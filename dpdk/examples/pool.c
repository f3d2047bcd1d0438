// A mempool by name: creates, takes, gives back, and frees it. The seed of programs that use hwpool through DPDK.
//
//   pool [EAL arguments] -d librte_mempool_hwpool.so -- CONFIGURATION...
//
// A configuration is `ring`, `stack` or the address of a device, as in `sim:bmu` or `vfio:0000:01:00.0`.

#define ALLOW_EXPERIMENTAL_API // rte_dev_dma_map

#include <stdint.h>
#include <stdio.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_memory.h>
#include <rte_mempool.h>

#define OBJECTS 1023
#define BURST 32
#define SIZE 2048
// The memory is made of pages of this size or a multiple.
#define PAGE ((size_t)4096)
// Enough for the objects with their headers.
#define PAGES (OBJECTS * 2 * SIZE / PAGE)

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

typedef int dma_call(struct rte_device *device, void *begin, uint64_t iova, size_t length);

// Makes a call for the device of each port, for all of the memory, as its addresses are virtual: with physical ones
// (--iova-mode=pa) it is a call for each page. A bus that has no such call needs none.
static int
for_ports(dma_call *call, const char *name, void *begin, rte_iova_t iova, size_t length)
{
	unsigned port;
	RTE_ETH_FOREACH_DEV(port) {
		struct rte_eth_dev_info info;
		if (rte_eth_dev_info_get(port, &info) < 0)
			return failed("rte_eth_dev_info_get");
		if (call(info.device, begin, iova, length) < 0 && rte_errno != ENOTSUP)
			return failed(name);
	}
	return 0;
}

// Objects lie in DPDK's own memory, which its devices reach; those of a device that can't have it lie in memory of hwpool's, which
// DPDK has not seen. Devices other than the pool's own that shall reach that need these calls, before the first packet and
// after the last.
static int
lend_memory(struct rte_mempool *pool)
{
	static rte_iova_t iovas[PAGES];
	struct range range = {UINTPTR_MAX, 0};
	rte_mempool_obj_iter(pool, widen, &range);
	if (rte_mem_virt2memseg_list((void *)range.begin) != NULL)
		return 0;
	range.begin = RTE_ALIGN_FLOOR(range.begin, PAGE);
	const size_t length = RTE_ALIGN_CEIL(range.end - range.begin, PAGE);
	void *begin = (void *)range.begin;
	for (size_t at = 0; at < length / PAGE; at++)
		iovas[at] = rte_mem_virt2iova((void *)(range.begin + at * PAGE));
	if (rte_extmem_register(begin, length, iovas, length / PAGE, PAGE) < 0)
		return failed("rte_extmem_register");
	int status = for_ports(rte_dev_dma_map, "rte_dev_dma_map", begin, iovas[0], length);
	if (status == 0)
		status = for_ports(rte_dev_dma_unmap, "rte_dev_dma_unmap", begin, iovas[0], length);
	if (rte_extmem_unregister(begin, length) < 0)
		return failed("rte_extmem_unregister");
	return status;
}

static int
run(const char *configuration)
{
	void *objects[BURST];
	struct rte_mempool *pool = rte_mempool_create_empty("example", OBJECTS, SIZE, 256, 0, SOCKET_ID_ANY, 0);
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
		status = in == OBJECTS ? lend_memory(pool) : -1;
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
