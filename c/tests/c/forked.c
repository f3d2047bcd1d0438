/* A child of fork is told that what it has is its parent's; the parent notices nothing. On any backend: the first argument. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static hwpool_pool *pool;
static volatile int is_done;

/* Holds whatever locks the library has, time and again, while the process forks. */
static void *asks(void *unused)
{
    hwpool_pool_stats stats;

    while (!is_done)
        ANSWERS(HWPOOL_OK, hwpool_pool_get_stats(pool, &stats, sizeof stats));
    return unused;
}

static void in_child(hwpool_device *device, hwpool_worker *worker, void **objects)
{
    hwpool_pool_info info;
    hwpool_worker *own;
    hwpool_pool *new_pool;
    void *object;

    alarm(20); /* ends a child that waits for ever */
    ANSWERS(HWPOOL_E_FORKED, hwpool_take(worker, &object));
    ANSWERS(HWPOOL_E_FORKED, hwpool_take_many(worker, &object, 1));
    ANSWERS(HWPOOL_E_FORKED, hwpool_give(worker, objects[0]));
    ANSWERS(HWPOOL_E_FORKED, hwpool_give_many(worker, objects, 2));
    ANSWERS(HWPOOL_E_FORKED, hwpool_pool_get_info(pool, &info, sizeof info));
    SAYS("the parent process");
    ANSWERS(HWPOOL_E_FORKED, hwpool_worker_attach(pool, "child", &own));
    ANSWERS(HWPOOL_E_FORKED, hwpool_worker_flush(worker));
    ANSWERS(HWPOOL_E_FORKED, hwpool_worker_detach(worker));
    ANSWERS(HWPOOL_E_FORKED, hwpool_pool_close(pool, NULL, 0));
    ANSWERS(HWPOOL_E_FORKED, hwpool_device_close(device));

    new_pool = made("ring", 16, 0);
    CHECK(new_pool != pool);
    own = attached(new_pool);
    ANSWERS(HWPOOL_OK, hwpool_take(own, &object));
    ANSWERS(HWPOOL_OK, hwpool_give(own, object));
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(own));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(new_pool, NULL, 0));
    ANSWERS(HWPOOL_E_CLOSED, hwpool_pool_close(new_pool, NULL, 0));
    _exit(0);
}

int main(int argc, char **argv)
{
    hwpool_device *device;
    hwpool_worker *worker;
    void *objects[2];
    pthread_t thread;
    int round;

    CHECK(argc == 2);
    ANSWERS(HWPOOL_OK, hwpool_device_open("sim:bmu", &device));
    pool = made(argv[1], 64, 0);
    worker = attached(pool);
    ANSWERS(HWPOOL_OK, hwpool_take_many(worker, objects, 2));
    CHECK(pthread_create(&thread, NULL, asks, NULL) == 0);
    for (round = 0; round < 20; round++) {
        int status = -1;
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0)
            in_child(device, worker, objects);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    is_done = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    ANSWERS(HWPOOL_OK, hwpool_give_many(worker, objects, 2));
    ANSWERS(HWPOOL_OK, hwpool_worker_detach(worker));
    ANSWERS(HWPOOL_OK, hwpool_pool_close(pool, NULL, 0));
    ANSWERS(HWPOOL_OK, hwpool_device_close(device));
    puts("done");
    return 0;
}
