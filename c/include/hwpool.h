/*
 * hwpool: object pools whose free list may lie in a hardware buffer manager, for C and C++.
 *
 *   hwpool_pool *pool;
 *   hwpool_worker *worker;
 *   void *packets[32];
 *   hwpool_pool_options options = { .name = "rx", .objects = 8192, .size = 2048 };
 *
 *   hwpool_pool_create(&options, sizeof options, &pool);
 *   hwpool_worker_attach(pool, "rx-0", &worker);
 *   if (hwpool_take_many(worker, packets, 32) == HWPOOL_OK)
 *       hwpool_give_many(worker, packets, 32);
 *   hwpool_worker_detach(worker);
 *   hwpool_pool_close(pool, NULL, 0);
 *
 * Errors. Whatever can fail returns an int: HWPOOL_OK, HWPOOL_EMPTY, or one of the negative HWPOOL_E_ numbers. The text is
 * that of the thread: hwpool_last_error() and hwpool_last_cause(). So the quick calls have no argument for it and write nothing
 * that nobody reads. A call that fails leaves what it was to fill as it was, unless it says otherwise.
 *
 * Threads. Devices and pools are used by any thread at any time. A worker is used by the thread that attached it, and detached
 * by it before it ends. Objects go from thread to thread as the program likes: who has one may give it by a worker of its own.
 *
 * Handles. Those of devices and pools are numbers that look like pointers: none is used twice in a process, so one that was
 * closed, or never was one, or is of the other kind, is an error for ever. Workers are pointers, since each instruction
 * of a take counts: hwpool_worker_detach and hwpool_worker_flush find out whether one is alive, takes and gives find NULL alone.
 * Undefined, as with free(): to take or give by a worker that was detached or is another thread's; to give an object that is
 * not out (HWPOOL_CHECKED answers HWPOOL_E_NOT_OUT); to use an object that was given.
 *
 * fork. Devices, pools, workers and objects are those of the process that made them. In a child, takes, gives and all that takes
 * a handle answer HWPOOL_E_FORKED and do nothing; the parent notices nothing. The child can open and create its own. A child of
 * vfork calls nothing of this.
 *
 * ABI. Structures may grow at their end. Each call that has one is told its size by the caller, as openat2(2) is: a program
 * that was built with an older header gets what it knows, and one with a newer header is refused only if it asks for
 * something that the library does not know. Zero is the default of every option. Numbers are never used for something else.
 */
#ifndef HWPOOL_H
#define HWPOOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the library ------------------------------------------------------------------------------------------------------ */

/* The ABI of this header: a library works with it whose hwpool_abi() is the same. */
#define HWPOOL_ABI 0

/* Returns the ABI of the library that is loaded. It is in the soname too. */
uint32_t hwpool_abi(void);

/* Returns the version of the library that is loaded, such as "0.1.0". */
const char *hwpool_version(void);

/* ---- errors ----------------------------------------------------------------------------------------------------------- */

/* What calls return. */
enum hwpool_status {
    /* Done. */
    HWPOOL_OK = 0,
    /* There are not as many objects; none was taken. No error: hwpool_last_error() stays as it was. */
    HWPOOL_EMPTY = 1,

    /* NULL where there must be something, a number out of range, a text that is no UTF-8, an unknown flag, backend or device
     * address: a mistake of the program or of its configuration. */
    HWPOOL_E_ARGUMENT = -1,
    /* No handle of this kind. */
    HWPOOL_E_HANDLE = -2,
    /* The handle, or the worker's pool, was closed. */
    HWPOOL_E_CLOSED = -3,
    /* It is the parent's of this process. */
    HWPOOL_E_FORKED = -4,
    /* The worker is another thread's, or the thread has a worker of that pool already. */
    HWPOOL_E_THREAD = -5,
    /* The device can't be opened. */
    HWPOOL_E_DEVICE = -6,
    /* There is no memory as it was asked for. */
    HWPOOL_E_MEMORY = -7,
    /* The backend can't be made, or can't be drained at the end. */
    HWPOOL_E_BACKEND = -8,
    /* As many pools, or names of workers, as there can be. */
    HWPOOL_E_LIMIT = -9,
    /* No object of the worker's pool begins there. */
    HWPOOL_E_FOREIGN = -10,
    /* The object is not out: it was given before, or never taken, or is twice in one call. */
    HWPOOL_E_NOT_OUT = -11,
    /* The backend failed before: nobody knows what it has. Nothing changed; close the pool and create another. */
    HWPOOL_E_POISONED = -12,
    /* The backend refused. Nothing changed. */
    HWPOOL_E_REFUSED = -13,
    /* The backend failed in this give: whether it has the objects is unknown, and they are the caller's no more. */
    HWPOOL_E_LOST = -14,
    /* The pool is closed, but not every object was in, exactly once. */
    HWPOOL_E_UNCLEAN = -15,
    /* A fault in the library itself; what was asked for may be half done. */
    HWPOOL_E_INTERNAL = -16
};

/* Returns the name of a status, such as "HWPOOL_E_FOREIGN"; "?" of a number that is none. */
const char *hwpool_status_name(int status);

/* Returns what failed last on this thread, with its causes behind colons, or "". Valid until the next call that fails on the
 * thread, and until the thread ends. */
const char *hwpool_last_error(void);

/* Returns a link of the chain that hwpool_last_error() has on one line: 0 is what failed, 1 why, 2 why that; NULL after the last.
 * Valid as long. */
const char *hwpool_last_cause(size_t depth);

/* How grave a message is. */
enum hwpool_level {
    HWPOOL_LOG_ERROR = 1,
    /* Something was had in another way than was asked for, or is missing: no hugepages, a model in place of a device. */
    HWPOOL_LOG_WARNING = 2,
    HWPOOL_LOG_INFO = 3,
    HWPOOL_LOG_DEBUG = 4
};

/* Is told a message, one line without its end. By any thread, which may hold locks: it must not call this library. */
typedef void hwpool_log_function(int level, const char *text, void *argument);

/* Has `tell` told what is as grave as `level` or graver, with `argument`; NULL ends it. Without it nobody is told: no call of
 * this library prints anything. A function that was replaced may be in a call still. */
int hwpool_log(int level, hwpool_log_function *tell, void *argument);

/* ---- devices ---------------------------------------------------------------------------------------------------------- */

/* A buffer manager that was opened. */
typedef struct hwpool_device hwpool_device;

/* What a device is. */
typedef struct hwpool_device_info {
    /* The address that it was opened by; a VF token is hidden. Strings are valid until the device is closed. */
    const char *name;
    /* The kind of device, such as "bmu". */
    const char *kind;
    /* One line on that kind, for people. */
    const char *description;
    /* The backend of a pool that is best on this device, such as "bmu". */
    const char *backend;
    /* Objects that one list can hold: a pool's at most. */
    uint64_t capacity;
    /* Bytes from one object to the next: from, to, in steps of 64. */
    uint64_t stride_min;
    uint64_t stride_max;
    /* Longest time that the device may take for anything, in milliseconds. */
    uint64_t timeout_ms;
    /* Lists: a pool has one to itself. */
    uint32_t lists;
    /* Bits of an address that the device keeps. */
    uint32_t address_width;
    /* Its NUMA node; -1 where there is none, or nobody knows. */
    int32_t node;
    /* 1 where strides are powers of two, and the pool rounds them up. */
    uint32_t power_of_two;
    /* Bytes of the pages that its memory must be made of. 0: any. */
    uint64_t page_size;
} hwpool_device_info;

/* Opens the device at an address: "vfio:0000:01:00.0", "user:/run/bmu.sock", or a model in this process, "sim:bmu". Recognises,
 * resets and enables it: may wait for the device, up to its own timeout. */
int hwpool_device_open(const char *address, hwpool_device **device);

/* Fills in what the device is; `size` is sizeof *info. */
int hwpool_device_get_info(const hwpool_device *device, hwpool_device_info *info, size_t size);

/* Closes the handle. The device itself stays open until the last pool on it is gone. NULL is HWPOOL_E_HANDLE. */
int hwpool_device_close(hwpool_device *device);

/* ---- pools ------------------------------------------------------------------------------------------------------------ */

/* Objects of one size in one run of memory. */
typedef struct hwpool_pool hwpool_pool;

/* Flags of a pool. */
enum hwpool_flags {
    /* Remembers who has which object, four bytes each: refuses what is given but not out, and names at the close who has
     * what is missing. Also tells a worker on a wrong thread. Takes and gives are some ten times slower. */
    HWPOOL_CHECKED = 1,
    /* Objects begin an odd number of alignments apart, so that their first bytes don't compete for a few sets of the
     * processor's caches. Costs an alignment an object where the size makes it even. */
    HWPOOL_SPREAD = 2
};

/* For `pages`. */
enum hwpool_pages {
    /* The device's, or the largest that are free and don't waste much. */
    HWPOOL_PAGES_ANY = 0,
    /* The system's ordinary pages, or an error. */
    HWPOOL_PAGES_BASE = 1,
    /* Hugepages of 2 MiB, or an error. */
    HWPOOL_PAGES_2M = 2,
    /* Hugepages of 1 GiB, or an error. */
    HWPOOL_PAGES_1G = 3
};

/* For `cache`: workers keep nothing. */
#define HWPOOL_NO_CACHE UINT32_MAX

/* For `node`: the NUMA node of this number. */
#define HWPOOL_NODE(number) ((uint32_t)(number) + 1)

/* What hwpool_iova says where no device reaches the address. */
#define HWPOOL_NO_IOVA UINT64_MAX

/* What a pool shall be like. Zero is the default of all but the name, `objects` and `size`. */
typedef struct hwpool_pool_options {
    /* The name that its reports have. */
    const char *name;
    /* "ring" or "stack", in software; a way of a device, such as "bmu"; or the address of a device that is the pool's alone.
     * NULL: the best one of `device`, "ring" without a device. A way of a device without `device` runs on a model in this
     * process, with a warning to hwpool_log. */
    const char *backend;
    /* The device that the free list lies in, shared by any number of pools; or NULL. */
    const hwpool_device *device;
    /* How many, 1 to 16777216. */
    uint32_t objects;
    /* Bytes of one, 1 to 1073741824. */
    uint32_t size;
    /* Alignment of each in bytes, a power of two, 64 to 1073741824. 0: 64. */
    uint32_t align;
    /* How many objects each worker keeps at hand, up to 4096. 0: 512, or an eighth of the objects if that is less. */
    uint32_t cache;
    /* HWPOOL_PAGES_ and what follows. */
    uint32_t pages;
    /* HWPOOL_NODE(number). 0: the device's, or any. Where the node has not enough, memory comes from elsewhere, with a warning
     * to hwpool_log. */
    uint32_t node;
    /* HWPOOL_CHECKED and others, or'ed. */
    uint32_t flags;
    /* 0. */
    uint32_t reserved;
} hwpool_pool_options;

/* What a pool is. */
typedef struct hwpool_pool_info {
    /* Its name, and that of its backend. Strings are valid until the pool is closed. */
    const char *name;
    const char *backend;
    /* Object i begins at base + i * stride. */
    void *base;
    /* Where the device finds object 0, and the others at the same distances; HWPOOL_NO_IOVA where no device reaches the pool. */
    uint64_t iova;
    uint64_t stride;
    /* Bytes of one object that are the holder's. */
    uint64_t size;
    /* Bytes of the pages that the memory is made of. */
    uint64_t page_size;
    uint32_t objects;
    /* Most objects that a worker keeps. */
    uint32_t cache;
    /* The NUMA node that was asked for; -1 where none was. */
    int32_t node;
    uint32_t reserved;
} hwpool_pool_info;

/* What a pool did so far. Each number is read at its own moment while threads go on. */
typedef struct hwpool_pool_stats {
    /* Objects in all; free, wherever they are; and of those, in workers' caches. */
    uint32_t objects;
    uint32_t free;
    uint32_t cached;
    uint32_t reserved;
    /* Objects that were taken and given, and that came back after the close. */
    uint64_t taken;
    uint64_t given;
    uint64_t late;
    /* Times that a cache was filled from the backend, and was emptied into it. */
    uint64_t refills;
    uint64_t flushes;
    /* Takes that were answered HWPOOL_EMPTY. */
    uint64_t shortages;
    /* Calls of the backend to take objects in, and to hand them out. */
    uint64_t backend_enqueues;
    uint64_t backend_dequeues;
} hwpool_pool_stats;

/* What a pool had and had not when it closed. It is clean where `lost` and `doubled` are 0. */
typedef struct hwpool_close_report {
    uint32_t objects;
    /* Objects that were in. */
    uint32_t returned;
    /* Objects that were not: out, in the caches of workers that were still attached, or lost by the backend. */
    uint32_t lost;
    /* Of those, in such caches. */
    uint32_t cached;
    /* Times that the backend had an object that it could not have: twice, out of range, or out. */
    uint32_t doubled;
    /* Workers that were still attached. */
    uint32_t workers;
    /* Objects that were taken and given. */
    uint64_t taken;
    uint64_t given;
} hwpool_close_report;

/* Creates a pool; `size` is sizeof *options. */
int hwpool_pool_create(const hwpool_pool_options *options, size_t size, hwpool_pool **pool);

/* Fills in what the pool is; `size` is sizeof *info. */
int hwpool_pool_get_info(const hwpool_pool *pool, hwpool_pool_info *info, size_t size);

/* Fills in what the pool did; `size` is sizeof *stats. */
int hwpool_pool_get_stats(const hwpool_pool *pool, hwpool_pool_stats *stats, size_t size);

/* Closes the pool, and counts what is in. Empties the calling thread's worker first; what is in the caches of others counts
 * as lost, so detach those before. `report` may be NULL; `size` is sizeof *report. HWPOOL_E_UNCLEAN where something is missing
 * or doubled, with the report and, as hwpool_last_error(), its text; HWPOOL_E_BACKEND where the backend can't tell. The pool is closed
 * then as well, and the handle is of no use.
 *
 * The memory stays as long as objects are out: takes answer HWPOOL_E_CLOSED then, gives go on, and the last one frees it.
 * What never comes back keeps its memory, and its device, until the process ends: a device may still write to it. */
int hwpool_pool_close(hwpool_pool *pool, hwpool_close_report *report, size_t size);

/* ---- workers: taking and giving ---------------------------------------------------------------------------------------- */

/* A thread's own handle of a pool, with a cache, so that most takes and gives are a few instructions. */
typedef struct hwpool_worker hwpool_worker;

/* Gives this thread a worker of a pool; one at a time. Reports call its objects by `name`: workers of one role share a name.
 * Of a thread that ends before it detaches its worker, what that keeps is lost to the pool. */
int hwpool_worker_attach(hwpool_pool *pool, const char *name, hwpool_worker **worker);

/* Takes an object, the one given last: its first byte is at *object. What its bytes are is what the last holder left.
 * HWPOOL_EMPTY where there is none. */
int hwpool_take(hwpool_worker *worker, void **object);

/* Takes n objects, or none: HWPOOL_EMPTY where there are not as many, although other workers' caches may have some. */
int hwpool_take_many(hwpool_worker *worker, void **objects, size_t n);

/* Gives an object back, by the address that it was taken at. */
int hwpool_give(hwpool_worker *worker, void *object);

/* Gives n objects back, or none: where one of them begins at no object of the pool it is HWPOOL_E_FOREIGN, and all stay the
 * caller's. */
int hwpool_give_many(hwpool_worker *worker, void *const *objects, size_t n);

/* Returns where devices find an address within the pool's memory, also one in the middle of an object; HWPOOL_NO_IOVA where it
 * is elsewhere, or no device reaches the pool. */
uint64_t hwpool_iova(const hwpool_worker *worker, const void *address);

/* Sends what the worker keeps to the backend, for others to take. */
int hwpool_worker_flush(hwpool_worker *worker);

/* Ends a worker: what it keeps goes to the backend. On its own thread. */
int hwpool_worker_detach(hwpool_worker *worker);

#ifdef __cplusplus
}
#endif

#endif /* HWPOOL_H */
