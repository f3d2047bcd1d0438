/* Mistakes of a program are answered, on any backend: the first argument. */
#include <pthread.h>

#include "check.h"

static const char *backend;

/* What is NULL, or no handle. */
static void wrong_handles(void)
{
    int somewhere = 0;
    void *object = &somewhere;
    hwpool_device *no_device = (hwpool_device *)&somewhere;
    hwpool_pool *no_pool = (hwpool_pool *)&somewhere;
    hwpool_device_info device_info;
    hwpool_pool_info info;
    hwpool_pool_stats stats;
    hwpool_worker *worker;
    hwpool_pool *pool = made(backend, 8, 0);

    ANSWERS(HWPOOL_E_HANDLE, hwpool_device_close(NULL));
    SAYS("a device is NULL");
    ANSWERS(HWPOOL_E_HANDLE, hwpool_device_close(no_device));
    SAYS("is no handle");
    ANSWERS(HWPOOL_E_HANDLE, hwpool_device_close((hwpool_device *)pool));
    SAYS("another kind");
    ANSWERS(HWPOOL_E_HANDLE, hwpool_device_get_info(no_device, &device_info, sizeof device_info));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_pool_close(NULL, NULL, 0));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_pool_close(no_pool, NULL, 0));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_pool_get_info(no_pool, &info, sizeof info));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_pool_get_stats(no_pool, &stats, sizeof stats));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_worker_attach(no_pool, "main", &worker));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_worker_detach(NULL));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_worker_detach((hwpool_worker *)&somewhere));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_worker_flush(NULL));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_take(NULL, &object));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_take_many(NULL, &object, 1));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_give(NULL, object));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_give_many(NULL, &object, 1));
    CHECK(object == &somewhere);
    CHECK(hwpool_iova(NULL, object) == HWPOOL_NO_IOVA);

    worker = attached(pool);
    ANSWERS(HWPOOL_E_HANDLE, hwpool_pool_close((hwpool_pool *)worker, NULL, 0));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_take(worker, NULL));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_take_many(worker, NULL, 2));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_give_many(worker, NULL, 2));
    ANSWERS(HWPOOL_OK, hwpool_take_many(worker, NULL, 0));
    ANSWERS(HWPOOL_OK, hwpool_give_many(worker, NULL, 0));
    ANSWERS(HWPOOL_E_THREAD, hwpool_worker_attach(pool, "again", &worker));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_worker_attach(pool, NULL, &worker));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_worker_attach(pool, "\xff", &worker));
    SAYS("no UTF-8");
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_worker_attach(pool, "main", NULL));
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_worker_detach(worker));
    ANSWERS(HWPOOL_E_HANDLE, hwpool_worker_flush(worker));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
    ANSWERS(HWPOOL_E_CLOSED, hwpool_pool_close(pool, NULL, 0));
    ANSWERS(HWPOOL_E_CLOSED, hwpool_pool_get_info(pool, &info, sizeof info));
    ANSWERS(HWPOOL_E_CLOSED, hwpool_worker_attach(pool, "main", &worker));
}

static void wrong_addresses_of_devices(void)
{
    hwpool_device *device = NULL;

    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_device_open(NULL, &device));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_device_open("sim:bmu", NULL));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_device_open("nonsense", &device));
    SAYS("the device can't be opened: `nonsense` is not a device address");
    CHECK(strcmp(hwpool_last_cause(0), "the device can't be opened") == 0);
    CHECK(strstr(hwpool_last_cause(1), "nonsense") != NULL);
    CHECK(hwpool_last_cause(2) == NULL && hwpool_last_cause((size_t)-1) == NULL);
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_device_open("sim:bmu?colour=red", &device));
    SAYS("colour");
    ANSWERS(HWPOOL_E_DEVICE, hwpool_device_open("user:/nowhere/at/all.sock", &device));
    CHECK(device == NULL);
}

static int created_with(hwpool_pool_options options)
{
    hwpool_pool *pool = NULL;
    int status = hwpool_pool_create(&options, sizeof options, &pool);

    CHECK((status == HWPOOL_OK) == (pool != NULL));
    if (status == HWPOOL_OK)
        ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
    return status;
}

static void wrong_options(void)
{
    struct {
        hwpool_pool_options options;
        unsigned char later[24];
    } newer;
    hwpool_pool_options good, bad;
    hwpool_pool *pool = NULL;
    hwpool_device *device = NULL;

    memset(&good, 0, sizeof good);
    good.name = "options";
    good.backend = backend;
    good.objects = 64;
    good.size = 100;
    ANSWERS(HWPOOL_OK, created_with(good));

#define REFUSES(status, field, value) \
    do {                              \
        bad = good;                   \
        bad.field = (value);          \
        ANSWERS(status, created_with(bad)); \
    } while (0)
    REFUSES(HWPOOL_E_ARGUMENT, name, NULL);
    REFUSES(HWPOOL_E_ARGUMENT, name, "");
    REFUSES(HWPOOL_E_ARGUMENT, name, "\xc3");
    REFUSES(HWPOOL_E_ARGUMENT, backend, "spaghetti");
    REFUSES(HWPOOL_E_BACKEND, backend, "sim:spaghetti");
    REFUSES(HWPOOL_E_ARGUMENT, objects, 0);
    REFUSES(HWPOOL_E_ARGUMENT, objects, 16777217);
    REFUSES(HWPOOL_E_ARGUMENT, size, 0);
    REFUSES(HWPOOL_E_ARGUMENT, size, 1073741825);
    REFUSES(HWPOOL_E_ARGUMENT, size, UINT32_MAX);
    REFUSES(HWPOOL_E_ARGUMENT, align, 3);
    REFUSES(HWPOOL_E_ARGUMENT, align, UINT32_MAX);
    REFUSES(HWPOOL_E_ARGUMENT, cache, 65);
    REFUSES(HWPOOL_E_ARGUMENT, cache, UINT32_MAX - 1);
    REFUSES(HWPOOL_E_ARGUMENT, pages, 4);
    REFUSES(HWPOOL_OK, node, HWPOOL_NODE(0));
    REFUSES(HWPOOL_E_ARGUMENT, flags, 4);
    REFUSES(HWPOOL_E_ARGUMENT, reserved, 1);
    REFUSES(HWPOOL_E_HANDLE, device, (hwpool_device *)&good);
    ANSWERS(HWPOOL_OK, hwpool_device_open("sim:bmu", &device));
    ANSWERS(HWPOOL_OK, hwpool_device_close(device));
    REFUSES(HWPOOL_E_CLOSED, device, device);
    REFUSES(HWPOOL_OK, cache, HWPOOL_NO_CACHE);
    REFUSES(HWPOOL_OK, cache, 64);
    REFUSES(HWPOOL_OK, align, 4096);
    REFUSES(HWPOOL_OK, flags, HWPOOL_CHECKED | HWPOOL_SPREAD);
    REFUSES(HWPOOL_OK, pages, HWPOOL_PAGES_BASE);

    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_create(NULL, sizeof good, &pool));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_create(&good, sizeof good, NULL));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_create(&good, 0, &pool));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_create(&good, sizeof good - 1, &pool));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_create(&good, (size_t)-1, &pool));

    /* A header of the future: refused only where it asks for something. */
    memset(&newer, 0, sizeof newer);
    newer.options = good;
    ANSWERS(HWPOOL_OK, hwpool_pool_create(&newer.options, sizeof newer, &pool));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
    newer.later[20] = 1;
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_create(&newer.options, sizeof newer, &pool));
    SAYS("older than the header");
}

/* What a future header has more is answered with zeros; what is too small for any with an error, and it stays as it was. */
static void sizes_of_answers(void)
{
    struct {
        hwpool_pool_stats stats;
        unsigned char later[40];
    } newer;
    unsigned char small[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };
    hwpool_pool *pool = made(backend, 8, 0);
    size_t at;

    memset(&newer, 0xff, sizeof newer);
    ANSWERS(HWPOOL_OK, hwpool_pool_get_stats(pool, &newer.stats, sizeof newer - 8));
    CHECK(newer.stats.objects == 8 && newer.stats.free == 8);
    for (at = 0; at < sizeof newer.later; at++)
        CHECK(newer.later[at] == (at < 32 ? 0 : 0xff));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_get_stats(pool, (hwpool_pool_stats *)(void *)small, sizeof small));
    CHECK(small[0] == 9 && small[7] == 9);
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_get_stats(pool, NULL, sizeof(hwpool_pool_stats)));
    /* A report that can't be given leaves the pool open. */
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_pool_close(pool, (hwpool_close_report *)(void *)small, sizeof small));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
}

/* Pointers that no object of the pool begins at. */
static void foreign_pointers(void)
{
    hwpool_pool *pool = made(backend, 200, 0), *other = made(backend, 200, 0);
    hwpool_worker *worker = attached(pool), *elsewhere = attached(other);
    void *own[100], *theirs, *kept[100];
    size_t counts[] = { 1, 2, 7, 8, 33, 64, 65, 100 }, at, place;
    int local;

    ANSWERS(HWPOOL_OK, hwpool_take(elsewhere, &theirs));
    ANSWERS(HWPOOL_E_FOREIGN, hwpool_give(worker, theirs));
    SAYS("is not in the memory of pool tested");
    ANSWERS(HWPOOL_E_FOREIGN, hwpool_give(worker, NULL));
    ANSWERS(HWPOOL_E_FOREIGN, hwpool_give(worker, &local));
    for (at = 0; at < sizeof counts / sizeof *counts; at++) {
        size_t n = counts[at];
        void *wrong[4];

        ANSWERS(HWPOOL_OK, hwpool_take_many(worker, own, n));
        wrong[0] = theirs;
        wrong[1] = (char *)own[0] + 64;
        wrong[2] = (char *)own[0] + 1;
        wrong[3] = &local;
        for (place = 0; place < n; place++) {
            hwpool_pool_stats before, after;

            memcpy(kept, own, sizeof kept);
            kept[place] = wrong[place % 4];
            ANSWERS(HWPOOL_OK, hwpool_pool_get_stats(pool, &before, sizeof before));
            ANSWERS(HWPOOL_E_FOREIGN, hwpool_give_many(worker, kept, n));
            ANSWERS(HWPOOL_OK, hwpool_pool_get_stats(pool, &after, sizeof after));
            CHECK(before.given == after.given && before.free == after.free);
        }
        ANSWERS(HWPOOL_OK, hwpool_give_many(worker, own, n));
    }
    ANSWERS(HWPOOL_E_NOT_OUT, hwpool_give_many(worker, own, 201));
    ANSWERS(HWPOOL_E_NOT_OUT, hwpool_give_many(worker, own, (size_t)-1));
    ANSWERS(HWPOOL_OK, hwpool_give(elsewhere, theirs));
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(elsewhere));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(other, NULL, 0));
}

static void *detaches(void *worker)
{
    void *object;

    ANSWERS(HWPOOL_E_THREAD, hwpool_worker_detach(worker));
    ANSWERS(HWPOOL_E_THREAD, hwpool_worker_flush(worker));
    ANSWERS(HWPOOL_E_THREAD, hwpool_take(worker, &object));
    ANSWERS(HWPOOL_E_THREAD, hwpool_take_many(worker, &object, 1));
    return NULL;
}

/* What a checked pool finds. */
static void in_a_checked_pool(void)
{
    hwpool_pool *pool = made(backend, 100, HWPOOL_CHECKED);
    hwpool_worker *worker = attached(pool);
    hwpool_pool_info info;
    void *objects[3];
    pthread_t thread;

    ANSWERS(HWPOOL_OK, hwpool_pool_get_info(pool, &info, sizeof info));
    ANSWERS(HWPOOL_E_NOT_OUT, hwpool_give(worker, (char *)info.base + 5 * info.stride));
    ANSWERS(HWPOOL_OK, hwpool_take_many(worker, objects, 2));
    objects[2] = objects[0];
    ANSWERS(HWPOOL_E_NOT_OUT, hwpool_give_many(worker, objects, 3));
    SAYS("twice in one call");
    ANSWERS(HWPOOL_OK, hwpool_give_many(worker, objects, 2));
    ANSWERS(HWPOOL_E_NOT_OUT, hwpool_give(worker, objects[0]));
    ANSWERS(HWPOOL_E_NOT_OUT, hwpool_give_many(worker, objects, 2));
    CHECK(pthread_create(&thread, NULL, detaches, worker) == 0 && pthread_join(thread, NULL) == 0);

    ANSWERS(HWPOOL_OK, hwpool_take(worker, objects));
    ANSWERS(HWPOOL_E_UNCLEAN, hwpool_pool_close(pool, NULL, 0));
    SAYS("(main)"); /* who has it */
    ANSWERS(HWPOOL_OK, hwpool_give(worker, objects[0]));
    ANSWERS(HWPOOL_E_NOT_OUT, hwpool_give(worker, objects[0]));
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
}

/* A pool that is closed while objects are out, and a worker attached. */
static void closed_too_early(void)
{
    hwpool_pool *pool = made(backend, 100, 0);
    hwpool_worker *worker = attached(pool);
    hwpool_close_report report;
    void *objects[3], *none = &report;

    ANSWERS(HWPOOL_OK, hwpool_take_many(worker, objects, 3));
    memset(&report, 0xff, sizeof report);
    ANSWERS(HWPOOL_E_UNCLEAN, hwpool_pool_close(pool, &report, sizeof report));
    SAYS("pool tested: 97 of 100 objects returned; out: ");
    CHECK(report.objects == 100 && report.returned == 97 && report.lost == 3 && report.doubled == 0);
    CHECK(report.workers == 1 && report.cached == 0 && report.taken == 3 && report.given == 0);
    ANSWERS(HWPOOL_E_CLOSED, hwpool_take(worker, &none));
    ANSWERS(HWPOOL_E_CLOSED, hwpool_take_many(worker, &none, 1));
    CHECK(none == &report);
    memset(objects[0], 1, 1500); /* its memory is there still */
    ANSWERS(HWPOOL_OK, hwpool_give(worker, objects[0]));
    ANSWERS(HWPOOL_OK, hwpool_give_many(worker, objects + 1, 2));
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
}

static void *forgets_its_worker(void *pool)
{
    hwpool_worker *worker = attached(pool);
    void *object;

    ANSWERS(HWPOOL_OK, hwpool_take(worker, &object));
    ANSWERS(HWPOOL_OK, hwpool_give(worker, object));
    return NULL;
}

/* A thread that ends with its worker attached. */
static void never_detached(void)
{
    hwpool_pool *pool = made(backend, 100, 0);
    hwpool_close_report report;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, forgets_its_worker, pool) == 0 && pthread_join(thread, NULL) == 0);
    ANSWERS(HWPOOL_E_UNCLEAN, hwpool_pool_close(pool, &report, sizeof report));
    CHECK(report.workers == 1 && report.cached > 0 && report.cached == report.lost);
    CHECK(report.returned == 100 - report.lost && report.doubled == 0 && report.taken == report.given);
}

/* None is no error, and changes nothing. */
static void nothing_left(void)
{
    hwpool_pool *pool = made(backend, 100, 0);
    hwpool_worker *worker = attached(pool);
    void *objects[100], *one = &one;
    char before[512];

    CHECK(hwpool_device_close(NULL) == HWPOOL_E_HANDLE);
    strncpy(before, hwpool_last_error(), sizeof before - 1);
    before[sizeof before - 1] = 0;
    ANSWERS(HWPOOL_EMPTY, hwpool_take_many(worker, objects, 101));
    ANSWERS(HWPOOL_EMPTY, hwpool_take_many(worker, objects, (size_t)-1));
    ANSWERS(HWPOOL_OK, hwpool_take_many(worker, objects, 100));
    ANSWERS(HWPOOL_EMPTY, hwpool_take(worker, &one));
    ANSWERS(HWPOOL_EMPTY, hwpool_take_many(worker, &one, 1));
    CHECK(one == &one && strcmp(before, hwpool_last_error()) == 0);
    ANSWERS(HWPOOL_OK, hwpool_give_many(worker, objects, 100));
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    CHECK(strcmp(hwpool_last_error(), "") == 0 && hwpool_last_cause(0) == NULL);
    backend = argv[1];
    wrong_handles();
    wrong_addresses_of_devices();
    wrong_options();
    sizes_of_answers();
    foreign_pointers();
    in_a_checked_pool();
    closed_too_early();
    never_detached();
    nothing_left();
    puts("done");
    return 0;
}
