// What goes wrong, on a real DPDK: each case must give an errno and one line, and leave other mempools alone. Prints
// `Test OK`.
//
//   refusals [EAL arguments] -d librte_mempool_hwpool.so -- HWPOOL DIRECTORY
//
// HWPOOL is the program that serves a device; DIRECTORY is for its socket and for files of faults.

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_memzone.h>

#include "check.h"

// A mistake that an application makes with each packet.
#define OFTEN 1000
// No object: what an output array holds before a get.
#define MARK ((void *)0x77)

static const char *hwpool, *directory;

static void
cannot_be_made(const char *address, unsigned objects, unsigned size, int error, const char *words)
{
	configuration = address;
	struct rte_mempool *pool = empty("bad", objects, size, 0);
	const int got = rte_mempool_populate_default(pool);
	printf("%s, %u of %u bytes: %d\n", address, objects, size, got);
	check(said(words) == 1, "one line");
	check(got == -error, "another errno");
	rte_mempool_free(pool);
	says_nothing();
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
	for (unsigned time = 0; time < OFTEN; time++)
		check(rte_mempool_get_bulk(pool, more, left + 1) < 0, "more than there are");
	for (unsigned at = 40; at < N; at++)
		check(rte_mempool_get(pool, &all[at]) == 0, "what is left");
	check(rte_mempool_get(pool, &more[0]) < 0, "nothing is left");
	for (unsigned at = 0; at < N; at++)
		for (unsigned other = at + 1; other < N; other++)
			check(all[at] != all[other], "one object twice");
	rte_mempool_put_bulk(pool, all, N);
	rte_mempool_free(pool);
	says_nothing();
}

static void
a_get_that_fails_leaves_the_array_alone(void)
{
	void *objects[64];
	struct rte_mempool *pool = make("short", 63, 0);
	for (unsigned at = 0; at < 64; at++)
		objects[at] = MARK;
	for (unsigned time = 0; time < OFTEN; time++)
		check(rte_mempool_ops_dequeue_bulk(pool, objects, 64) == -ENOBUFS, "one more than there are");
	for (unsigned at = 0; at < 64; at++)
		check(objects[at] == MARK, "the array was written to");
	check(rte_mempool_avail_count(pool) == 63, "objects were lost");
	rte_mempool_free(pool);
	says_nothing();
}

static void
wrong_frees(void)
{
	void *mine[2], *other;
	struct rte_mempool *pool = make("one", 63, 0), *neighbour = make("two", 63, 0);
	check(rte_mempool_get_bulk(pool, mine, 2) == 0 && rte_mempool_get(neighbour, &other) == 0, "get");
	void *wrong[] = {other, (char *)mine[0] + 64, (char *)mine[0] + 1, NULL};
	for (unsigned time = 0; time < OFTEN; time++)
		for (unsigned at = 0; at < RTE_DIM(wrong); at++) {
			void *pair[] = {mine[0], wrong[at]};
			check(rte_mempool_ops_enqueue_bulk(pool, pair, 2) == -EINVAL, "a foreign pointer was taken");
		}
	check(rte_mempool_avail_count(pool) == 61 && rte_mempool_avail_count(neighbour) == 62, "foreign pointers");
	says_once("is no object of this mempool; nothing was taken");
	rte_mempool_put_bulk(pool, mine, 2);
	for (unsigned time = 0; time < OFTEN; time++)
		check(rte_mempool_ops_enqueue_bulk(pool, mine, 1) == -EINVAL, "a double free was taken");
	check(rte_mempool_avail_count(pool) == 63, "a double free");
	says_once("freed twice");
	check(rte_mempool_get_bulk(pool, mine, 2) == 0, "it goes on");
	rte_mempool_put_bulk(pool, mine, 2);
	rte_mempool_put(neighbour, other);
	check(rte_mempool_avail_count(neighbour) == 63, "the neighbour goes on");
	rte_mempool_free(pool);
	rte_mempool_free(neighbour);
	says_nothing();
}

// The child's exit status is how many lines it wrote.
static void
a_child_is_refused(void)
{
	void *object;
	struct rte_mempool *pool = make("parent", 63, 0);
	const pid_t child = fork();
	if (child == 0) {
		for (unsigned time = 0; time < OFTEN; time++)
			if (rte_mempool_get(pool, &object) == 0)
				_exit(99);
		rte_mempool_get_ops(pool->ops_index)->free(pool); // DPDK's own part would also free the parent's
		_exit(said("a child of fork can't use this mempool"));
	}
	int status;
	check(waitpid(child, &status, 0) == child, "waitpid");
	check(WIFEXITED(status) && WEXITSTATUS(status) == 1, "a child is refused with one line");
	check(rte_mempool_get(pool, &object) == 0, "the parent goes on");
	rte_mempool_put(pool, object);
	rte_mempool_free(pool);
	says_nothing();
}

// ---- memory that the device can't have ---------------------------------------------------------

static void
count_call(struct rte_mempool_memhdr *chunk, void *calls)
{
	(void)chunk;
	++*(unsigned *)calls;
}

struct range {
	char *begin;
	size_t length;
};

static void
is_within(struct rte_mempool *pool, void *argument, void *object, unsigned index)
{
	const struct range *range = argument;
	(void)pool, (void)index;
	check((char *)object >= range->begin && (char *)object + 2048 <= range->begin + range->length, "it lies elsewhere");
}

// In software objects lie where the application wants them.
static void
memory_from_outside_is_taken(void)
{
	unsigned freed = 0;
	void *objects[63];
	struct range range = {.length = 1 << 20};
	range.begin = mmap(NULL, range.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(range.begin != MAP_FAILED, "mmap");
	memset(range.begin, 0, range.length); // physical addresses need pages
	struct rte_mempool *pool = empty("virt", 63, 2048, 0);
	check(rte_mempool_populate_virt(pool, range.begin, range.length, 4096, count_call, &freed) == 63, "virt");
	check(rte_mempool_obj_iter(pool, is_within, &range) == 63, "obj_iter");
	check(rte_mempool_get_bulk(pool, objects, 63) == 0, "get");
	rte_mempool_put_bulk(pool, objects, 63);
	check(rte_mempool_avail_count(pool) == 63, "put");
	rte_mempool_free(pool);
	check(freed >= 1, "DPDK gave the chunks back");
	munmap(range.begin, range.length);

	const struct rte_memzone *zone = rte_memzone_reserve("zone", 1 << 18, SOCKET_ID_ANY, 0);
	check(zone != NULL, "a memzone");
	range = (struct range){zone->addr, zone->len};
	pool = empty("zone", 63, 2048, 0);
	check(rte_mempool_populate_iova(pool, zone->addr, RTE_BAD_IOVA, zone->len, NULL, NULL) > 0, "iova");
	check(rte_mempool_obj_iter(pool, is_within, &range) == rte_mempool_avail_count(pool), "obj_iter");
	rte_mempool_free(pool);
	rte_memzone_free(zone);
	says_nothing();
}

// Such memory comes page by page, of 4 KiB, where addresses are physical: as many objects are wanted, whatever their size.
static void
memory_of_small_pages_is_taken(void)
{
	static const unsigned sizes[] = {64, 200, 1000, 2048, 3000};
	void *objects[1055];
	for (unsigned at = 0; at < RTE_DIM(sizes); at++) {
		struct rte_mempool *pool = empty("anon", RTE_DIM(objects), sizes[at], 0);
		check(rte_mempool_populate_anon(pool) == RTE_DIM(objects), "anon");
		check(rte_mempool_obj_iter(pool, is_in_a_chunk, NULL) == RTE_DIM(objects), "obj_iter");
		check(rte_mempool_get_bulk(pool, objects, RTE_DIM(objects)) == 0, "get");
		rte_mempool_put_bulk(pool, objects, RTE_DIM(objects));
		check(rte_mempool_avail_count(pool) == RTE_DIM(objects), "put");
		rte_mempool_free(pool);
	}
	says_nothing();
}

static void
memory_from_outside_is_refused(void)
{
	const size_t length = 1 << 20;
	unsigned freed = 0;
	char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(memory != MAP_FAILED, "mmap");
	struct rte_mempool *other = make("other", 63, 0), *pool = empty("virt", 63, 2048, 0);
	for (unsigned time = 0; time < 3; time++)
		check(rte_mempool_populate_virt(pool, memory, length, 4096, count_call, &freed) == -ENOMEM, "virt");
	says_once("bytes at 0x");
	check(rte_mempool_populate_default(pool) == 63 && rte_mempool_avail_count(pool) == 63, "it can be populated still");
	rte_mempool_free(pool);

	pool = empty("iova", 63, 2048, 0);
	check(rte_mempool_populate_iova(pool, memory, RTE_BAD_IOVA, length, count_call, &freed) == -ENOMEM, "iova");
	says_once("1048576 bytes at 0x");
	// DPDK has the chunk in its list in spite of the error, so it populates this mempool with nothing else.
	check(rte_mempool_avail_count(pool) == 0 && rte_mempool_populate_default(pool) == -EEXIST, "an empty mempool");
	rte_mempool_free(pool);
	check(freed >= 1, "DPDK gave the chunks back");

	// Memory of DPDK's own that is too small stands for the driver's: DPDK's tests populate by it. One line tells: that which
	// names who can't reach the memory, or one more where that was known before.
	const unsigned named = named_who_cannot_share, known = rte_eal_iova_mode() != RTE_IOVA_VA;
	const struct rte_memzone *zone = rte_memzone_reserve("zone", 1 << 16, SOCKET_ID_ANY, 0);
	check(zone != NULL, "a memzone");
	pool = empty("zone", 63, 2048, 0);
	check(rte_mempool_populate_iova(pool, zone->addr, zone->iova, zone->len, NULL, NULL) == 63, "all objects");
	check(said("not in the 65536 bytes at") == known, "one line");
	check(named_who_cannot_share == named + 1, "one line names who can't reach the memory");
	rte_mempool_free(pool);
	rte_memzone_free(zone);
	check(rte_mempool_avail_count(other) == 63, "another mempool");
	rte_mempool_free(other);
	munmap(memory, length);
	says_nothing();
}

// Takes all objects of a mempool and gives them back, then frees it.
static void
goes_on(struct rte_mempool *pool, unsigned objects)
{
	void *all[63];
	check(rte_mempool_get_bulk(pool, all, objects) == 0, "another mempool's get");
	rte_mempool_put_bulk(pool, all, objects);
	check(rte_mempool_avail_count(pool) == objects, "another mempool's put");
	rte_mempool_free(pool);
}

// A device that a file describes has one list, of 16 objects: what is too large for it is told by the key of the file, and
// what comes second goes to the next device that is named.
static void
a_described_device_that_is_small(void)
{
	static const char one[] = "sim:describe/devices/pulp-mailbox.toml";
	static const char two[] = "sim:describe/devices/pulp-mailbox.toml sim:describe/devices/pulp-mailbox.toml?seed=2";
	cannot_be_made(one, 17, 2048, EINVAL, "allowed is 1 to 16, which is what a list of the device holds by `depth` of its description");
	configuration = one;
	struct rte_mempool *first = make("first", 16, 0);
	cannot_be_made(one, 16, 2048, EINVAL, "all 1 lists of the device are in use; a mempool takes a list of its own: HWPOOL_BACKEND");
	configuration = two;
	struct rte_mempool *second = make("second", 16, 0);
	cannot_be_made(two, 16, 2048, EINVAL, "in use; sim:describe/devices/pulp-mailbox.toml?seed=2: pool bad:");
	goes_on(second, 16);
	goes_on(first, 16);
	says_nothing();
}

// Two mempools take what the IOMMU holds: the third has an errno, the others go on.
static void
an_iommu_that_is_full(void)
{
	void *object;
	configuration = "sim:bmu?iommu-entries=4";
	struct rte_mempool *first = make("first", 63, 0), *second = make("second", 63, 0);
	cannot_be_made(configuration, 63, 2048, ENOMEM, "all 4 DMA mappings of this device are used");
	check(rte_mempool_get(first, &object) == 0, "the first goes on");
	rte_mempool_put(first, object);
	rte_mempool_free(second);
	second = make("again", 63, 0);
	rte_mempool_free(second);
	rte_mempool_free(first);
	says_nothing();
}

static void
is_elsewhere(struct rte_mempool *pool, void *argument, void *object, unsigned index)
{
	check((rte_mem_virt2memseg_list(object) == NULL) == *(const bool *)argument, "where an object lies");
	(void)pool, (void)index;
}

// Each hugepage of DPDK's is a file of its own, which takes a mapping: where the IOMMU has too few, the objects lie in memory of
// hwpool's, and one line says so. Without hugepages all is one file.
static void
an_iommu_with_too_few_mappings_for_dpdks_pages(void)
{
	void *objects[4095];
	const bool elsewhere = rte_eal_has_hugepages();
	if (rte_eal_iova_mode() != RTE_IOVA_VA)
		return;
	configuration = "sim:bmu?iommu-entries=3";
	said("");
	const unsigned before = named_who_cannot_share;
	struct rte_mempool *pool = make("pieces", 4095, 0);
	said("pages"); // also that memory of hwpool's own has small ones, if no hugepages are left
	check(named_who_cannot_share - before == elsewhere, "one line, where there is something to say");
	check(rte_mempool_obj_iter(pool, is_elsewhere, (void *)(uintptr_t)&elsewhere) == 4095, "obj_iter");
	check(rte_mempool_get_bulk(pool, objects, 4095) == 0, "get");
	rte_mempool_put_bulk(pool, objects, 4095);
	rte_mempool_free(pool);
	says_nothing();
}

// Whether the pages of an object follow each other in physical memory as well.
static void
is_in_one_piece(struct rte_mempool *pool, void *argument, void *object, unsigned index)
{
	const rte_iova_t begin = rte_mempool_virt2iova(object);
	(void)argument, (void)index;
	for (size_t offset = 0; offset < pool->elt_size; offset += 1 << 20)
		check(rte_mem_virt2iova((char *)object + offset) == begin + offset, "an object in two pieces");
}

// In software objects that are larger than a page lie where pages follow each other, if DPDK finds such; with its own
// drivers that is no different.
static void
objects_of_several_pages(void)
{
	configuration = "ring";
	struct rte_mempool *pool = empty("pages", 7, 3 << 20, 0);
	const int got = rte_mempool_populate_default(pool);
	printf("ring, 7 of 3 MiB: %d\n", got);
	check(got == 7 || got == -ENOMEM || got == -ENOBUFS, "all or an errno");
	check(got != 7 || rte_mempool_obj_iter(pool, is_in_one_piece, NULL) == 7, "obj_iter");
	rte_mempool_free(pool);
	says_nothing();
}

// A device's objects that are larger than a page are refused; those that just fit are not. Of smaller ones those on two
// pages are left out, and must not be taken for room.
static void
objects_by_physical_address(void)
{
	void *object;
	if (rte_eal_iova_mode() != RTE_IOVA_PA)
		return;
	cannot_be_made("sim:bmu", 7, 3 << 20, EINVAL, "larger than a page of 2097152");
	objects_of_several_pages();
	configuration = "ring";
	struct rte_mempool *pool = empty("large", 7, 3 << 19, 0);
	check(rte_mempool_populate_default(pool) == 7, "objects of one and a half MiB");
	rte_mempool_free(pool);
	pool = make("many", 4095, 0);
	check(rte_mempool_get(pool, &object) == 0, "get");
	rte_mempool_put(pool, object);
	check(rte_mempool_ops_enqueue_bulk(pool, &object, 1) == -EINVAL, "a double free");
	says_once("freed twice");
	rte_mempool_free(pool);
	says_nothing();
}

// ---- devices that are gone ---------------------------------------------------------------------

// Uses a mempool until it fails.
struct traffic {
	struct rte_mempool *pool;
	unsigned done;
	int error;
	int gets; // whether it failed in a get
	void *objects[8];
};

static void *
use(void *argument)
{
	struct traffic *traffic = argument;
	for (;;) {
		for (unsigned at = 0; at < RTE_DIM(traffic->objects); at++)
			traffic->objects[at] = MARK;
		traffic->error = rte_mempool_ops_dequeue_bulk(traffic->pool, traffic->objects, RTE_DIM(traffic->objects));
		traffic->gets = traffic->error != 0;
		if (!traffic->gets)
			traffic->error = rte_mempool_ops_enqueue_bulk(traffic->pool, traffic->objects, RTE_DIM(traffic->objects));
		if (traffic->error != 0)
			return NULL;
		__atomic_add_fetch(&traffic->done, 1, __ATOMIC_RELEASE);
	}
}

// A mempool that broke answers at once and always the same, and is freed like any other.
static void
is_broken(struct rte_mempool *pool, void *object)
{
	void *objects[8] = {MARK, MARK, MARK, MARK, MARK, MARK, MARK, MARK};
	const uint64_t begin = rte_get_timer_cycles();
	for (unsigned time = 0; time < OFTEN; time++) {
		check(rte_mempool_ops_dequeue_bulk(pool, objects, 8) == -EIO, "a get");
		check(rte_mempool_ops_enqueue_bulk(pool, &object, 1) == -EIO, "a put");
	}
	for (unsigned at = 0; at < 8; at++)
		check(objects[at] == MARK, "the array was written to");
	check(rte_mempool_get(pool, objects) < 0 && objects[0] == MARK, "a get of an application's");
	rte_mempool_put(pool, object);
	check(rte_mempool_avail_count(pool) <= 63, "a count");
	rte_mempool_free(pool);
	check(rte_get_timer_cycles() - begin < 5 * rte_get_timer_hz(), "it hangs");
	says_nothing();
}

// Serves a device until it is killed, with the faults of a file, and an option of the model, if there is one; it
// dies with this program too.
static pid_t
serve(const char *socket, const char *faults, const char *option)
{
	int says[2];
	char line[256];
	check(pipe(says) == 0, "pipe");
	const pid_t server = fork();
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(says[1], 1);
		execl(hwpool, hwpool, "sim", "serve", "--socket", socket, faults ? "--faults" : NULL, faults, "--option",
			option, (char *)NULL);
		_exit(1);
	}
	close(says[1]);
	FILE *from = fdopen(says[0], "r");
	check(server > 0 && from != NULL && fgets(line, sizeof(line), from) != NULL, "the server says that it serves");
	fclose(from);
	return server;
}

static void
end(pid_t server, const char *socket)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	unlink(socket);
}

// Serves a device that has a fault, and sets the configuration to it. The driver itself reads no files of faults.
static pid_t
serve_with(const char *fault, const char *option, const char *socket)
{
	static char address[300];
	char file[256];
	snprintf(file, sizeof(file), "%s/faults.toml", directory);
	snprintf(address, sizeof(address), "user:%s", socket);
	FILE *faults = fopen(file, "w");
	check(faults != NULL && fprintf(faults, "[[fault]]\n%s\n", fault) > 0 && fclose(faults) == 0, file);
	configuration = address;
	return serve(socket, file, option);
}

static void
a_device_that_fails(const char *fault)
{
	configuration = "sim:bmu";
	struct rte_mempool *other = make("other", 63, 0);
	char socket[256];
	snprintf(socket, sizeof(socket), "%s/faulty.sock", directory);
	const pid_t server = serve_with(fault, "ring-max=65536", socket);
	printf("%s\n", fault);
	struct traffic traffic = {.pool = make("faulty", 63, 0)};
	void *object;
	check(rte_mempool_get(traffic.pool, &object) == 0, "the first get");
	use(&traffic);
	check(traffic.error == -EIO, "an errno");
	says_once("the pool is poisoned");
	check(traffic.gets, "it is the get that fails");
	for (unsigned at = 0; at < RTE_DIM(traffic.objects); at++)
		check(traffic.objects[at] == MARK, "the array was written to");
	is_broken(traffic.pool, object);
	goes_on(other, 63);
	says_nothing();
	end(server, socket);
}

// While the mempool is made, while it is populated, which takes many turns with a small ring, or later.
static void
a_device_that_goes_early(void)
{
	unsigned absent = 0, broken = 0, made = 0;
	char socket[256];
	snprintf(socket, sizeof(socket), "%s/early.sock", directory);
	rte_log_set_level(RTE_LOGTYPE_USER1, RTE_LOG_ERR); // not of pages that the memory has
	for (unsigned nth = 1; nth < 700; nth += 14) {
		char fault[64];
		snprintf(fault, sizeof(fault), "kind = \"gone\"\nnth = %u", nth);
		const pid_t server = serve_with(fault, "ring-max=64", socket);
		struct rte_mempool *pool = empty("early", 2047, 2048, 0);
		const int got = rte_mempool_populate_default(pool);
		absent += got == -ENODEV;
		broken += got == -EIO;
		made += got == 2047;
		check(rte_mempool_avail_count(pool) <= 2047, "a count");
		rte_mempool_free(pool);
		const unsigned lines = said("gone");
		check(lines == 1 || (lines == 0 && got == 2047), "one line");
		end(server, socket);
	}
	rte_log_set_level(RTE_LOGTYPE_USER1, RTE_LOG_INFO);
	printf("gone: %u not made, %u not populated, %u made\n", absent, broken, made);
	check(absent > 0 && broken > 0 && made > 0 && absent + broken + made == 50, "an errno");
}

// Kills the server, or stops it, which takes a deadline to find out, while a thread uses the mempool.
static void
a_server_that_is_gone(int signal, const char *words)
{
	char socket[256], address[300];
	void *object;
	pthread_t thread;
	snprintf(socket, sizeof(socket), "%s/bmu.sock", directory);
	snprintf(address, sizeof(address), "user:%s?timeout-ms=300", socket);
	pid_t server = serve(socket, NULL, NULL);
	configuration = "ring";
	struct rte_mempool *other = make("other", 63, 0);
	configuration = address;
	struct rte_mempool *idle = make("idle", 63, 0);
	struct traffic traffic = {.pool = make("served", 63, 0)};
	check(rte_mempool_get(traffic.pool, &object) == 0, "the first get");
	check(pthread_create(&thread, NULL, use, &traffic) == 0, "a thread");
	while (__atomic_load_n(&traffic.done, __ATOMIC_ACQUIRE) < 100)
		check(kill(server, 0) == 0, "the server is there");
	const uint64_t begin = rte_get_timer_cycles();
	check(kill(server, signal) == 0 && pthread_join(thread, NULL) == 0, "the thread ends");
	printf("signal %d after %u rounds: %d in %.2f s\n", signal, traffic.done, traffic.error,
		(double)(rte_get_timer_cycles() - begin) / rte_get_timer_hz());
	check(traffic.error == -EIO, "an errno");
	says_once("the pool is poisoned");
	cannot_be_made(address, 63, 2048, ENODEV, words);
	is_broken(traffic.pool, object);
	rte_mempool_free(idle);
	says_once("is out of use until the device is reset"); // by a get of DPDK's, or when it is emptied
	goes_on(other, 63);
	check(rte_get_timer_cycles() - begin < 10 * rte_get_timer_hz(), "it hangs");
	end(server, socket);
	cannot_be_made(address, 63, 2048, ENODEV, "is a server running there");
	server = serve(socket, NULL, NULL);
	goes_on(make("anew", 63, 0), 63);
	end(server, socket);
	says_nothing();
}

int
main(int argc, char **argv)
{
	static const char *const backends[] = {"ring", "stack", "sim:bmu", "sim:tests/data/described/banks.toml"};
	listen_to_log();
	const int used = rte_eal_init(argc, argv);
	check(used >= 0 && used + 2 < argc, "rte_eal_init, and two arguments");
	hwpool = argv[used + 1];
	directory = argv[used + 2];
	cannot_be_made("nonsense", 63, 2048, EINVAL, "neither ring nor stack");
	cannot_be_made("sim:nothing", 63, 2048, EINVAL, "no model `nothing`");
	cannot_be_made("vfio:0000:7f:00.0", 63, 2048, ENODEV, "0000:7f:00.0");
	cannot_be_made("user:/nowhere/bmu.sock", 63, 2048, ENODEV, "/nowhere/bmu.sock");
	cannot_be_made("sim:bmu?stride-max=1024", 63, 2048, EINVAL, "1024");
	cannot_be_made("sim:bmu?faults=f.toml", 63, 2048, EINVAL, "without its feature `fault-files`");
	cannot_be_made("sim:bmu?buffers=100", 127, 2048, EINVAL, "100");
	for (unsigned at = 0; at < RTE_DIM(backends); at++) {
		configuration = backends[at];
		a_failed_get_leaves_dpdks_cache_whole();
		a_get_that_fails_leaves_the_array_alone();
		wrong_frees();
		a_child_is_refused();
		if (strncmp(configuration, "sim:", 4) == 0)
			memory_from_outside_is_refused();
		else {
			memory_from_outside_is_taken();
			memory_of_small_pages_is_taken();
		}
	}
	an_iommu_that_is_full();
	a_described_device_that_is_small();
	an_iommu_with_too_few_mappings_for_dpdks_pages();
	objects_by_physical_address();
	a_device_that_fails("kind = \"gone\"\nnth = 400");
	a_device_that_fails("kind = \"duplicate-buffer\"\nnth = 9");
	a_device_that_fails("kind = \"out-of-range-buffer\"\nnth = 9");
	a_device_that_fails("kind = \"misaligned-buffer\"\nnth = 9");
	a_device_that_fails("kind = \"lost-entry\"\nnth = 9");
	a_device_that_goes_early();
	a_server_that_is_gone(SIGKILL, "it died, or it was stopped");
	a_server_that_is_gone(SIGSTOP, "did not answer within 300ms");
	printf("Test OK\n");
	return 0;
}
