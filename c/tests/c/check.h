/* What the programs of the tests check with. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hwpool.h"

/* Ends the program unless it holds, with what the library said last. */
#define CHECK(holds)                                                                                  \
    do {                                                                                              \
        if (!(holds)) {                                                                               \
            fprintf(stderr, "%s:%d: not so: %s; \"%s\"\n", __FILE__, __LINE__, #holds, hwpool_last_error()); \
            exit(1);                                                                                  \
        }                                                                                             \
    } while (0)

/* Ends the program unless the call answers so. */
#define ANSWERS(status, call)                                                                               \
    do {                                                                                                    \
        int answer_ = (call);                                                                               \
        if (answer_ != (status)) {                                                                          \
            fprintf(stderr, "%s:%d: %s answered %s, not " #status "; \"%s\"\n", __FILE__, __LINE__, #call, \
                    hwpool_status_name(answer_), hwpool_last_error());                                      \
            exit(1);                                                                                        \
        }                                                                                                   \
    } while (0)

/* Ends the program unless the last error has these words. */
#define SAYS(words) CHECK(strstr(hwpool_last_error(), (words)) != NULL)

static inline hwpool_pool *made(const char *backend, uint32_t objects, uint32_t flags)
{
    hwpool_pool_options options;
    hwpool_pool *pool = NULL;

    memset(&options, 0, sizeof options);
    options.name = "tested";
    options.backend = backend;
    options.objects = objects;
    options.size = 1500;
    options.flags = flags;
    ANSWERS(HWPOOL_OK, hwpool_pool_create(&options, sizeof options, &pool));
    return pool;
}

static inline hwpool_worker *attached(hwpool_pool *pool)
{
    hwpool_worker *worker = NULL;

    ANSWERS(HWPOOL_OK, hwpool_worker_attach(pool, "main", &worker));
    return worker;
}

#endif
