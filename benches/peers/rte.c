/* DPDK's side of the benchmark: the loops of `ours.rs`, on `rte_mempool`'s inline API. scripts/bench compiles it into
 * a shared object that the benchmark opens if it is there, so that building hwpool needs no DPDK. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <rte_version.h>

#define KEEP 2048
#define PATTERN 256
#define LARGEST 64
#define BATCH 32
#define BERTHS 64

/* What `black_box(&mut objects)` is in Rust: the compiler must believe that the objects are read and written here. */
#define touch(objects) __asm__ volatile("" : : "r"(objects) : "memory")

static inline void take(struct rte_mempool *pool, void **objects, unsigned int n)
{
	if (unlikely(rte_mempool_get_bulk(pool, objects, n) < 0))
		abort();
}

/* ---- the environment and its pools ---- */

int bench_start(int argc, char **argv) { return rte_eal_init(argc, argv); }

const char *bench_version(void) { return rte_version(); }

/* Gives the calling thread the cache that DPDK's own threads have. */
int bench_thread(void) { return rte_thread_register(); }

struct rte_mempool *bench_create(const char *ops, unsigned int objects, unsigned int size, unsigned int cache)
{
	static unsigned int number;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "bench%u", number++);
	pool = rte_mempool_create_empty(name, objects, size, cache, 0, SOCKET_ID_ANY, 0);
	if (pool == NULL)
		return NULL;
	if (rte_mempool_set_ops_byname(pool, ops, NULL) < 0 || rte_mempool_populate_default(pool) < 0) {
		rte_mempool_free(pool);
		return NULL;
	}
	return pool;
}

/* Packet buffers of the usual size: 2048 bytes behind the headroom. */
struct rte_mempool *bench_packets(unsigned int objects, unsigned int cache)
{
	static unsigned int number;
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "packets%u", number++);
	return rte_pktmbuf_pool_create(name, objects, cache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
}

void bench_destroy(struct rte_mempool *pool) { rte_mempool_free(pool); }

/* Bytes that DPDK has allocated, on all its heaps. */
uint64_t bench_allocated(void)
{
	struct rte_malloc_socket_stats stats;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < rte_socket_count(); i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			sum += stats.heap_allocsz_bytes;
	return sum;
}

/* ---- one thread ---- */

/* Where objects lie while they are out: another place in each slice, because places whose addresses end as those of
 * the cache cost several times more, and neither side shall owe anything to that chance. */
#define PLACES 61

#define HOT(n) \
	void bench_hot_##n(struct rte_mempool *pool, uint64_t rounds) \
	{ \
		static struct { void *objects[n] __rte_cache_aligned; } places[PLACES]; \
		static unsigned int slice; \
		void **objects = places[slice++ % PLACES].objects; \
		while (rounds--) { \
			take(pool, objects, n); \
			touch(objects); \
			rte_mempool_put_bulk(pool, objects, n); \
		} \
	}

HOT(1)
HOT(8)
HOT(32)

#define KEEPING(n) \
	void bench_keep_##n(struct rte_mempool *pool, uint64_t rounds) \
	{ \
		static void *objects[KEEP] __rte_cache_aligned; \
		while (rounds--) { \
			for (unsigned int i = 0; i < KEEP; i += n) \
				take(pool, &objects[i], n); \
			touch(objects); \
			for (unsigned int i = KEEP; i > 0; i -= n) \
				rte_mempool_put_bulk(pool, &objects[i - n], n); \
		} \
	}

KEEPING(8)
KEEPING(32)

/* What users do: the first line of each packet is written. */
void bench_first_line_32(struct rte_mempool *pool, uint64_t rounds)
{
	static struct { struct rte_mbuf *packets[BATCH] __rte_cache_aligned; } places[PLACES];
	static unsigned int slice;
	struct rte_mbuf **packets = places[slice++ % PLACES].packets;

	while (rounds--) {
		if (unlikely(rte_pktmbuf_alloc_bulk(pool, packets, BATCH) < 0))
			abort();
		for (unsigned int i = 0; i < BATCH; i++) {
			uint64_t *line = rte_pktmbuf_mtod(packets[i], uint64_t *);
			for (unsigned int word = 0; word < 8; word++)
				line[word] = rounds;
		}
		touch(packets);
		rte_pktmbuf_free_bulk(packets, BATCH);
	}
}

/* One round is the whole pattern. */
void bench_random(struct rte_mempool *pool, uint64_t rounds, const uint32_t *pattern)
{
	static struct { void *objects[LARGEST] __rte_cache_aligned; } places[PLACES];
	static unsigned int slice;
	void **objects = places[slice++ % PLACES].objects;

	while (rounds--) {
		for (unsigned int i = 0; i < PATTERN; i++) {
			take(pool, objects, pattern[i]);
			touch(objects);
			rte_mempool_put_bulk(pool, objects, pattern[i]);
		}
	}
}

/* ---- two threads: batches go through a lane of berths, each full or empty; `Lane` of pair.rs ---- */

static struct berth {
	uint32_t full;
	void *objects[BATCH];
} __rte_cache_aligned lane[BERTHS];

void bench_produce(struct rte_mempool *pool, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		struct berth *berth = &lane[i % BERTHS];
		while (__atomic_load_n(&berth->full, __ATOMIC_ACQUIRE))
			rte_pause();
		take(pool, berth->objects, BATCH);
		__atomic_store_n(&berth->full, 1, __ATOMIC_RELEASE);
	}
}

void bench_consume(struct rte_mempool *pool, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		struct berth *berth = &lane[i % BERTHS];
		while (!__atomic_load_n(&berth->full, __ATOMIC_ACQUIRE))
			rte_pause();
		rte_mempool_put_bulk(pool, berth->objects, BATCH);
		__atomic_store_n(&berth->full, 0, __ATOMIC_RELEASE);
	}
}
