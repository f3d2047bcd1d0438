/* What cost.rs measures of the C side: rounds of a take and a give, as a dataplane has them. */
#include <hwpool.h>

/* Takes and gives one; returns the rounds that failed. */
unsigned long one(hwpool_worker *worker, unsigned long rounds)
{
    unsigned long failed = 0;
    void *object;

    for (; rounds > 0; rounds--) {
        failed += hwpool_take(worker, &object) != HWPOOL_OK;
        failed += hwpool_give(worker, object) != HWPOOL_OK;
    }
    return failed;
}

/* Takes and gives n. */
unsigned long many(hwpool_worker *worker, unsigned long rounds, size_t n)
{
    unsigned long failed = 0;
    void *objects[64];

    for (; rounds > 0; rounds--) {
        failed += hwpool_take_many(worker, objects, n) != HWPOOL_OK;
        failed += hwpool_give_many(worker, objects, n) != HWPOOL_OK;
    }
    return failed;
}
