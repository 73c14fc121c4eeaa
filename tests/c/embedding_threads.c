/* 32 threads on one client: each gets the answers to its own sends. */
#define _GNU_SOURCE
#include "embedding.h"

#include <pthread.h>

#define THREADS 32
#define ROUNDS 25

static hma_client *client;
static int numbers[THREADS];

static void *send_all(void *number)
{
    char text[64];
    int round;

    for (round = 0; round < ROUNDS; ++round) {
        sprintf(text, "thread %d round %d", *(const int *)number, round);
        send_accepted(client, text);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t senders[THREADS];
    int number;

    CHECK(argc == 3);
    never_hang();
    client = client_for(argv);
    for (number = 0; number < THREADS; ++number) {
        numbers[number] = number;
        CHECK(pthread_create(&senders[number], NULL, send_all, &numbers[number]) == 0);
    }
    for (number = 0; number < THREADS; ++number)
        CHECK(pthread_join(senders[number], NULL) == 0);
    hma_client_free(client);
    printf("%d\n", THREADS * ROUNDS);
    return 0;
}
