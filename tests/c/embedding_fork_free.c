/* A forked child frees the client it inherited: descriptors and memory come back, and the parent's connections live.
 *
 * Arguments: base URL, CA file, and "idle" or "busy": whether another thread is inside a send at the fork. */
#define _GNU_SOURCE
#include "embedding.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/types.h>
#include <unistd.h>

#define CONNECTIONS 8
/* Less than the buffers of one connection. */
#define SOME_MEMORY 16384

static hma_client *client;

static int descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        ++count;
    closedir(folder);
    return count;
}

static void *send_warm(void *unused)
{
    (void)unused;
    send_accepted(client, "warm");
    return NULL;
}

static void *send_busy(void *unused)
{
    (void)unused;
    send_accepted(client, "busy");
    return NULL;
}

/* Sends at the same time, so that each needs a connection of its own: the server answers when all are there. */
static void warm_up(void)
{
    pthread_t threads[CONNECTIONS];
    int number;

    for (number = 0; number < CONNECTIONS; ++number)
        CHECK(pthread_create(&threads[number], NULL, send_warm, NULL) == 0);
    for (number = 0; number < CONNECTIONS; ++number)
        CHECK(pthread_join(threads[number], NULL) == 0);
}

static void free_as_child(int is_busy)
{
    const int before = descriptors();
    const size_t memory = mallinfo2().uordblks;

    never_hang();
    hma_client_free(client);
    CHECK(descriptors() == before - (is_busy ? 0 : CONNECTIONS));
    if (!is_busy)
        CHECK(mallinfo2().uordblks + SOME_MEMORY * CONNECTIONS < memory);
    _exit(0);
}

int main(int argc, char **argv)
{
    pthread_t busy;
    pid_t child;
    int is_busy;

    CHECK(argc == 4);
    never_hang();
    /* One heap for all threads, so that it can be counted. */
    CHECK(mallopt(M_ARENA_MAX, 1) == 1);
    is_busy = strcmp(argv[3], "busy") == 0;
    client = client_for(argv);
    warm_up();
    if (is_busy) {
        CHECK(pthread_create(&busy, NULL, send_busy, NULL) == 0);
        wait_for_sleeping_threads(1);
    }
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        free_as_child(is_busy);
    wait_for_child((long)child);
    puts("freed");
    fflush(stdout);
    if (is_busy)
        CHECK(pthread_join(busy, NULL) == 0);
    send_accepted(client, "parent");
    hma_client_free(client);
    puts("done");
    return 0;
}
