/* A device that goes away in use: the first argument. Prints a line when it may go, and reads one when it has. */
#include "check.h"

int main(int argc, char **argv)
{
    hwpool_device *device;
    hwpool_pool_options options = { "gone", "bmu-registers", NULL, 64, 1500, 0, HWPOOL_NO_CACHE, 0, 0, 0, 0 };
    hwpool_pool *pool;
    hwpool_worker *worker;
    hwpool_close_report report;
    void *objects[4], *none = NULL;

    CHECK(argc == 2);
    ANSWERS(HWPOOL_OK, hwpool_device_open(argv[1], &device));
    options.device = device;
    ANSWERS(HWPOOL_OK, hwpool_pool_create(&options, sizeof options, &pool));
    ANSWERS(HWPOOL_OK, hwpool_worker_attach(pool, "main", &worker));
    ANSWERS(HWPOOL_OK, hwpool_take_many(worker, objects, 4));
    ANSWERS(HWPOOL_OK, hwpool_give(worker, objects[3]));

    puts("ready");
    CHECK(fflush(stdout) == 0 && getchar() == '\n');

    /* The first is lost on the way; from then on nothing changes hands any more. */
    ANSWERS(HWPOOL_E_LOST, hwpool_give(worker, objects[0]));
    CHECK(hwpool_last_cause(1) != NULL);
    ANSWERS(HWPOOL_E_POISONED, hwpool_give(worker, objects[1]));
    ANSWERS(HWPOOL_E_POISONED, hwpool_give_many(worker, objects + 1, 2));
    ANSWERS(HWPOOL_E_POISONED, hwpool_take(worker, &none));
    ANSWERS(HWPOOL_E_POISONED, hwpool_take_many(worker, &none, 1));
    CHECK(none == NULL);
    memset(objects[1], 1, 1500); /* what is out is there still */
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
    memset(&report, 0xff, sizeof report);
    ANSWERS(HWPOOL_E_BACKEND, hwpool_pool_close(pool, &report, sizeof report));
    CHECK(report.objects == 64 && report.returned + report.lost == 64 && report.lost >= 3);
    CHECK(report.taken == 4 && report.workers == 0);
    ANSWERS(HWPOOL_E_CLOSED, hwpool_pool_close(pool, NULL, 0));
    ANSWERS(HWPOOL_OK, hwpool_device_close(device));
    puts("done");
    return 0;
}
