// What the tests on a real DPDK share: checks that end the program, mempools of hwpool's, and the lines in DPDK's log.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mempool.h>

// What the next mempools lie on.
static const char *configuration = "start";

#define check(holds, what) check_at((holds), (what), __LINE__)

static inline void
check_at(int holds, const char *what, int line)
{
	if (!holds) {
		printf("Test Failed: line %d: %s: %s\n", line, configuration, what);
		exit(1);
	}
}

static inline struct rte_mempool *
empty(const char *name, unsigned objects, unsigned size, unsigned cache)
{
	struct rte_mempool *pool = rte_mempool_create_empty(name, objects, size, cache, 0, SOCKET_ID_ANY, 0);
	check(pool != NULL, "create_empty");
	check(rte_mempool_set_ops_byname(pool, "hwpool", (void *)(uintptr_t)configuration) == 0, "set_ops_byname");
	return pool;
}

struct place {
	void *object;
	int chunks;
};

static inline void
look_in(struct rte_mempool *pool, void *argument, struct rte_mempool_memhdr *chunk, unsigned index)
{
	struct place *place = argument;
	const uintptr_t offset = (uintptr_t)place->object - (uintptr_t)chunk->addr;
	(void)pool, (void)index;
	place->chunks += offset < chunk->len && rte_mempool_virt2iova(place->object) == chunk->iova + offset;
}

// Drivers map a mempool's list of chunks for their devices.
static inline void
is_in_a_chunk(struct rte_mempool *pool, void *argument, void *object, unsigned index)
{
	struct place place = {object, 0};
	(void)argument, (void)index;
	rte_mempool_mem_iter(pool, look_in, &place);
	check(place.chunks == 1, "an object lies in no chunk");
}

static inline struct rte_mempool *
make(const char *name, unsigned objects, unsigned cache)
{
	struct rte_mempool *pool = empty(name, objects, 2048, cache);
	check(rte_mempool_populate_default(pool) == (int)objects, "populate");
	check(rte_mempool_obj_iter(pool, is_in_a_chunk, NULL) == objects, "obj_iter");
	return pool;
}

// ---- DPDK's log ------------------------------------------------------------------------------

static struct {
	FILE *stream;
	char *text;
	size_t length, seen;
} log_lines;

// Has DPDK write its log where `said` reads it, instead of stderr.
static inline void
listen_to_log(void)
{
	setlinebuf(stdout); // lines of stderr's come between, not within
	log_lines.stream = open_memstream(&log_lines.text, &log_lines.length);
	check(log_lines.stream != NULL && rte_openlog_stream(log_lines.stream) == 0, "the log");
}

static unsigned named_who_cannot_share;

// Counts the driver's lines since the last time, and prints them; each must have `words`. The one that comes with the first
// mempool of each process is counted by itself.
static inline unsigned
said(const char *words)
{
	unsigned count = 0;
	fflush(log_lines.stream);
	char *text = strdup(log_lines.text + log_lines.seen), *rest = text, *line;
	log_lines.seen = log_lines.length;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strstr(line, "HWPOOL") == NULL)
			continue;
		printf("%s\n", line);
		if (strstr(line, "not in DPDK's segments") != NULL) {
			named_who_cannot_share++;
			continue;
		}
		check(strstr(line, words) != NULL, words);
		count++;
	}
	free(text);
	return count;
}

#define says_once(words) check(said(words) == 1, "one line: " words)
#define says_nothing() check(said("nothing at all") == 0, "no line")
