// Holds the layout that src/abi.rs declares against DPDK's own headers. Compiling it is the test.

#include <stddef.h>

#include <rte_memory.h>
#include <rte_mempool.h>

#define AT(type, member, offset) _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)

AT(rte_mempool, name, 0);
AT(rte_mempool, pool_data, 32);
AT(rte_mempool, pool_config, 40);
AT(rte_mempool, mz, 48);
AT(rte_mempool, flags, 56);
AT(rte_mempool, socket_id, 60);
AT(rte_mempool, size, 64);
AT(rte_mempool, cache_size, 68);
AT(rte_mempool, elt_size, 72);
AT(rte_mempool, header_size, 76);
AT(rte_mempool, trailer_size, 80);
AT(rte_mempool, private_data_size, 84);
AT(rte_mempool, ops_index, 88);
AT(rte_mempool, populated_size, 104);

AT(rte_memseg, iova, 0);
AT(rte_memseg, addr, 8);
AT(rte_memseg, len, 16);
AT(rte_memseg, hugepage_sz, 24);

AT(rte_mempool_ops, name, 0);
AT(rte_mempool_ops, alloc, 32);
AT(rte_mempool_ops, free, 40);
AT(rte_mempool_ops, enqueue, 48);
AT(rte_mempool_ops, dequeue, 56);
AT(rte_mempool_ops, get_count, 64);
AT(rte_mempool_ops, calc_mem_size, 72);
AT(rte_mempool_ops, populate, 80);
AT(rte_mempool_ops, get_info, 88);
AT(rte_mempool_ops, dequeue_contig_blocks, 96);
SIZE(rte_mempool_ops, 128);
_Static_assert(_Alignof(struct rte_mempool_ops) == 64, "alignment");
SIZE(rte_mempool_info, 64);
_Static_assert(RTE_MEMPOOL_OPS_NAMESIZE == 32, "RTE_MEMPOOL_OPS_NAMESIZE");

_Static_assert(RTE_PROC_PRIMARY == 0 && RTE_IOVA_VA == 2, "rte_eal.h");
_Static_assert(RTE_LOG_ERR == 4 && RTE_LOG_NOTICE == 6 && RTE_LOGTYPE_USER1 == 24, "rte_log.h");
_Static_assert(RTE_BAD_IOVA == UINT64_MAX, "RTE_BAD_IOVA");
