/*
 * Forwards packets from one thread to another: what one takes, the other gives, each by a worker of its own.
 *
 *   forward [DEVICE]       "sim:bmu", "vfio:0000:01:00.0"; software where there is none
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hwpool.h>

enum { PACKETS = 100000, BURST = 32, SLOTS = 256 };

/* A pipe of pointers: the mutex is the example's, a dataplane has a ring of its own. */
struct pipe {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void *slots[SLOTS];
    size_t head, count;
};

static struct pipe pipe_to_tx = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, { NULL }, 0, 0 };
static hwpool_pool *pool;

static void must(int status)
{
    if (status != HWPOOL_OK) {
        fprintf(stderr, "forward: %s: %s\n", hwpool_status_name(status), hwpool_last_error());
        exit(1);
    }
}

static void push(struct pipe *pipe, void **packets, size_t n)
{
    pthread_mutex_lock(&pipe->lock);
    while (SLOTS - pipe->count < n)
        pthread_cond_wait(&pipe->changed, &pipe->lock);
    for (size_t i = 0; i < n; i++)
        pipe->slots[(pipe->head + pipe->count++) % SLOTS] = packets[i];
    pthread_cond_broadcast(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
}

static void pull(struct pipe *pipe, void **packets, size_t n)
{
    pthread_mutex_lock(&pipe->lock);
    while (pipe->count < n)
        pthread_cond_wait(&pipe->changed, &pipe->lock);
    for (size_t i = 0; i < n; i++, pipe->count--)
        packets[i] = pipe->slots[pipe->head++ % SLOTS];
    pthread_cond_broadcast(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
}

/* Stands for a port that sends: adds up what it sees, and gives the buffers back. */
static void *transmit(void *sum)
{
    hwpool_worker *worker;
    void *burst[BURST];

    must(hwpool_worker_attach(pool, "tx", &worker));
    for (int sent = 0; sent < PACKETS; sent += BURST) {
        pull(&pipe_to_tx, burst, BURST);
        for (int i = 0; i < BURST; i++) {
            unsigned number;

            memcpy(&number, burst[i], sizeof number);
            *(unsigned long long *)sum += number;
        }
        must(hwpool_give_many(worker, burst, BURST));
    }
    must(hwpool_worker_detach(worker));
    return NULL;
}

/* Stands for a port that receives: a real one is told hwpool_iova(worker, burst[i]). */
static void receive(void)
{
    hwpool_worker *worker;
    void *burst[BURST];
    unsigned number = 0;

    must(hwpool_worker_attach(pool, "rx", &worker));
    while (number < PACKETS) {
        int status = hwpool_take_many(worker, burst, BURST);

        if (status == HWPOOL_EMPTY)
            continue; /* all are on their way */
        must(status);
        for (int i = 0; i < BURST; i++, number++)
            memcpy(burst[i], &number, sizeof number);
        push(&pipe_to_tx, burst, BURST);
    }
    must(hwpool_worker_detach(worker));
}

int main(int argc, char **argv)
{
    hwpool_pool_options options = { .name = "packets", .objects = 1024, .size = 2048 };
    hwpool_device *device = NULL;
    hwpool_close_report report;
    unsigned long long sum = 0;
    pthread_t tx;

    if (argc > 1) {
        must(hwpool_device_open(argv[1], &device));
        options.device = device;
    }
    must(hwpool_pool_create(&options, sizeof options, &pool));
    if (pthread_create(&tx, NULL, transmit, &sum) != 0)
        return 1;
    receive();
    pthread_join(tx, NULL);
    must(hwpool_pool_close(pool, &report, sizeof report));
    if (device != NULL)
        must(hwpool_device_close(device));
    printf("forwarded %d packets, sum %llu; %u of %u buffers returned\n", PACKETS, sum, report.returned, report.objects);
    return sum == (unsigned long long)PACKETS * (PACKETS - 1) / 2 ? 0 : 1;
}
