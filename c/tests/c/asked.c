/* What the library tells of itself, of devices and of pools, and that objects are where it says. */
#include "check.h"

static void of_the_library(void)
{
    CHECK(hwpool_abi() == HWPOOL_ABI);
    CHECK(strcmp(hwpool_version(), VERSION) == 0);
    CHECK(strcmp(hwpool_status_name(HWPOOL_OK), "HWPOOL_OK") == 0);
    CHECK(strcmp(hwpool_status_name(HWPOOL_E_INTERNAL), "HWPOOL_E_INTERNAL") == 0);
    CHECK(strcmp(hwpool_status_name(-1000), "?") == 0);
}

struct told {
    int times;
    int level;
    char text[512];
};

static void listen(int level, const char *text, void *argument)
{
    struct told *told = argument;

    told->times++;
    told->level = level;
    strncpy(told->text, text, sizeof told->text - 1);
}

static void of_what_is_no_error(void)
{
    struct told told = { 0, 0, { 0 } };
    hwpool_pool *pool;

    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_log(0, listen, &told));
    ANSWERS(HWPOOL_E_ARGUMENT, hwpool_log(HWPOOL_LOG_DEBUG + 1, listen, &told));
    ANSWERS(HWPOOL_OK, hwpool_log(HWPOOL_LOG_WARNING, listen, &told));
    pool = made("bmu", 8, 0); /* without a device */
    CHECK(told.times >= 1 && told.level == HWPOOL_LOG_WARNING);
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));

    told.times = 0;
    ANSWERS(HWPOOL_OK, hwpool_log(HWPOOL_LOG_ERROR, listen, &told));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(made("bmu", 8, 0), NULL, 0));
    CHECK(told.times == 0);
    memset(told.text, 0, sizeof told.text);
    ANSWERS(HWPOOL_OK, hwpool_log(HWPOOL_LOG_DEBUG, listen, &told));
    pool = made("bmu", 8, 0);
    CHECK(told.times >= 1);
    ANSWERS(HWPOOL_OK, hwpool_log(HWPOOL_LOG_DEBUG, NULL, NULL));
    told.times = 0;
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(made("bmu", 8, 0), NULL, 0));
    CHECK(told.times == 0);
}

static void of_a_device(void)
{
    hwpool_device *device;
    hwpool_device_info info;
    hwpool_pool_options options = { "on a device", NULL, NULL, 100, 1500, 0, 0, 0, 0, 0, 0 };
    hwpool_pool *pool, *second;
    hwpool_pool_info pool_info;
    hwpool_pool_stats stats;
    hwpool_worker *worker;
    void *objects[100];
    size_t at;

    ANSWERS(HWPOOL_OK, hwpool_device_open("sim:bmu?seed=7", &device));
    ANSWERS(HWPOOL_OK, hwpool_device_get_info(device, &info, sizeof info));
    CHECK(strcmp(info.name, "sim:bmu?seed=7") == 0 && strcmp(info.kind, "bmu") == 0);
    CHECK(strlen(info.description) > 5 && strcmp(info.backend, "bmu") == 0);
    CHECK(info.capacity >= 100 && info.lists >= 2 && info.stride_min <= 1536 && info.stride_max >= 1536);
    CHECK(info.timeout_ms > 0 && info.address_width > 32 && info.node == -1 && info.power_of_two == 0);

    options.device = device;
    ANSWERS(HWPOOL_OK, hwpool_pool_create(&options, sizeof options, &pool));
    options.name = "second";
    options.backend = "bmu-registers";
    ANSWERS(HWPOOL_OK, hwpool_pool_create(&options, sizeof options, &second));
    ANSWERS(HWPOOL_OK, hwpool_device_close(device)); /* the pools keep it */
    ANSWERS(HWPOOL_E_CLOSED, hwpool_device_close(device));

    ANSWERS(HWPOOL_OK, hwpool_pool_get_info(pool, &pool_info, sizeof pool_info));
    CHECK(strcmp(pool_info.name, "on a device") == 0 && strcmp(pool_info.backend, "bmu") == 0);
    CHECK(pool_info.objects == 100 && pool_info.size == 1500 && pool_info.stride == 1536);
    CHECK(pool_info.cache == 12 && pool_info.page_size >= 4096 && pool_info.iova != HWPOOL_NO_IOVA);

    worker = attached(pool);
    ANSWERS(HWPOOL_OK, hwpool_take_many(worker, objects, 50));
    for (at = 50; at < 100; at++)
        ANSWERS(HWPOOL_OK, hwpool_take(worker, &objects[at]));
    for (at = 0; at < 100; at++) {
        uint64_t distance = (uint64_t)((char *)objects[at] - (char *)pool_info.base);

        CHECK(distance % 1536 == 0 && distance / 1536 < 100);
        CHECK(hwpool_iova(worker, objects[at]) == pool_info.iova + distance);
        CHECK(hwpool_iova(worker, (char *)objects[at] + 1535) == pool_info.iova + distance + 1535);
        memset(objects[at], (int)at, 1500);
    }
    CHECK(hwpool_iova(worker, &worker) == HWPOOL_NO_IOVA);
    CHECK(hwpool_iova(worker, (char *)pool_info.base + 153600) == HWPOOL_NO_IOVA);
    for (at = 0; at < 100; at++) /* each has its own memory */
        CHECK(((char *)objects[at])[0] == (char)at && ((char *)objects[at])[1499] == (char)at);
    ANSWERS(HWPOOL_OK, hwpool_pool_get_stats(pool, &stats, sizeof stats));
    CHECK(stats.objects == 100 && stats.free == 0 && stats.cached == 0 && stats.taken == 100 && stats.given == 0);
    CHECK(stats.backend_dequeues > 0 && stats.refills > 0 && stats.shortages == 0 && stats.late == 0);
    ANSWERS(HWPOOL_OK, hwpool_give_many(worker, objects, 100));
    ANSWERS(HWPOOL_OK, hwpool_pool_get_stats(pool, &stats, sizeof stats));
    CHECK(stats.free == 100 && stats.given == 100 && stats.backend_enqueues > 0);
    ANSWERS(HWPOOL_OK, hwpool_take_many(worker, objects, 8));
    ANSWERS(HWPOOL_OK, hwpool_give_many(worker, objects, 8));
    ANSWERS(HWPOOL_OK, hwpool_pool_get_stats(pool, &stats, sizeof stats));
    CHECK(stats.cached > 0);
    ANSWERS(HWPOOL_OK, hwpool_worker_flush(worker));
    ANSWERS(HWPOOL_OK, hwpool_pool_get_stats(pool, &stats, sizeof stats));
    CHECK(stats.cached == 0 && stats.free == 100 && stats.flushes > 0);
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(second, NULL, 0));
}

/* Every number of objects up to beyond a cache, there and back, at any stride. */
static void of_many_at_once(void)
{
    static const uint32_t sizes[] = { 64, 100, 2048, 2176, 65536 };
    static void *objects[600], *again[600];
    size_t kind, n, at;

    for (kind = 0; kind < sizeof sizes / sizeof *sizes; kind++) {
        hwpool_pool_options options = { "many", "ring", NULL, 600, 0, 0, 64, HWPOOL_PAGES_BASE, 0, 0, 0 };
        hwpool_pool *pool;
        hwpool_pool_info info;
        hwpool_worker *worker;
        hwpool_close_report report;

        options.size = sizes[kind];
        ANSWERS(HWPOOL_OK, hwpool_pool_create(&options, sizeof options, &pool));
        ANSWERS(HWPOOL_OK, hwpool_pool_get_info(pool, &info, sizeof info));
        CHECK(info.iova == HWPOOL_NO_IOVA && info.cache == 64);
        worker = attached(pool);
        CHECK(hwpool_iova(worker, info.base) == HWPOOL_NO_IOVA);
        for (n = 1; n <= 600; n += n < 80 ? 1 : 65) {
            unsigned char seen[600] = { 0 };

            ANSWERS(HWPOOL_OK, hwpool_take_many(worker, objects, n));
            for (at = 0; at < n; at++) {
                uint64_t distance = (uint64_t)((char *)objects[at] - (char *)info.base);

                CHECK(distance % info.stride == 0 && distance / info.stride < 600);
                CHECK(!seen[distance / info.stride]++);
            }
            ANSWERS(HWPOOL_OK, hwpool_give_many(worker, objects, n));
            /* What was given last is taken first, and in the order in which it was given. */
            if (n <= 32) {
                ANSWERS(HWPOOL_OK, hwpool_take_many(worker, again, n));
                CHECK(memcmp(objects, again, n * sizeof *objects) == 0);
                ANSWERS(HWPOOL_OK, hwpool_give_many(worker, again, n));
            }
        }
        ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
        ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, &report, sizeof report));
        CHECK(report.objects == 600 && report.returned == 600 && report.lost == 0 && report.doubled == 0);
        CHECK(report.workers == 0 && report.cached == 0 && report.taken == report.given && report.taken > 600);
    }
}

int main(void)
{
    of_the_library();
    of_what_is_no_error();
    of_a_device();
    of_many_at_once();
    puts("done");
    return 0;
}
