/* A name lookup that hangs: sends end in time and join it, and freeing the client does not wait for it. */
#define _GNU_SOURCE
#include "embedding.h"
#include "hanging_getaddrinfo.h"

#include <pthread.h>

#define DEADLINE 400
#define LATEST (DEADLINE + 250)
#define SENDERS 8

static hma_client *client;

static hma_client *impatient_client(char **arguments, int is_limit_of_connecting)
{
    hma_config *config = config_for(arguments);

    if (is_limit_of_connecting)
        hma_config_set_connect_timeout(config, DEADLINE);
    else
        hma_config_set_timeout(config, DEADLINE);
    return client_of(config);
}

static long time_of_failing_send(void)
{
    const long began = milliseconds();

    send_fails_with(client, "hanging", HMA_ERROR_CONNECT, "timed out after 400ms; nothing was sent");
    return milliseconds() - began;
}

static void check_deadline(void)
{
    long took, best = LONG_MILLISECONDS;
    int attempt;

    for (attempt = 0; attempt < 3; ++attempt) {
        took = time_of_failing_send();
        CHECK(took >= DEADLINE);
        best = took < best ? took : best;
    }
    if (best > LATEST)
        fprintf(stderr, "back after %ld ms at best\n", best);
    CHECK(best <= LATEST);
}

static void *send_one(void *expected)
{
    send_fails(client, "one of many", *(const hma_status *)expected);
    return NULL;
}

static void start_senders(pthread_t *senders, hma_status *expected)
{
    int number;

    for (number = 0; number < SENDERS; ++number)
        CHECK(pthread_create(&senders[number], NULL, send_one, expected) == 0);
}

static void join_senders(const pthread_t *senders)
{
    int number;

    for (number = 0; number < SENDERS; ++number)
        CHECK(pthread_join(senders[number], NULL) == 0);
}

/* One thread and one lookup, however many sends wait for it and give up. */
static void check_that_sends_join(int before)
{
    static hma_status expected = HMA_ERROR_CONNECT;
    pthread_t senders[SENDERS];

    CHECK(lookups() == before + 1 && threads() == 2);
    start_senders(senders, &expected);
    join_senders(senders);
    CHECK(lookups() == before + 1);
    wait_for_threads(2);
}

/* The lookup ends when nobody is there any more who wanted it. */
static void hang_and_free(char **arguments, int is_limit_of_connecting)
{
    const int before = lookups();

    hold_lookups();
    client = impatient_client(arguments, is_limit_of_connecting);
    check_deadline();
    check_that_sends_join(before);
    hma_client_free(client);
    CHECK(threads() == 2);
    release_lookups();
    wait_for_threads(1);
    CHECK(lookups() == before + 1);
}

/* All who wait get the addresses of one lookup, and those who come after a timeout get those of a new one. */
static void hang_and_answer(char **arguments)
{
    static hma_status expected = HMA_OK;
    const int before = lookups();
    pthread_t senders[SENDERS];

    hold_lookups();
    client = client_for(arguments);
    start_senders(senders, &expected);
    wait_for_sleeping_threads(SENDERS + 1);
    release_lookups();
    join_senders(senders);
    wait_for_threads(1);
    CHECK(lookups() == before + 1);

    hold_lookups();
    send_accepted(client, "kept");
    release_lookups();
    CHECK(lookups() == before + 1);
    hma_client_free(client);
}

static void hang_and_recover(char **arguments)
{
    const int before = lookups();

    hold_lookups();
    client = impatient_client(arguments, 0);
    time_of_failing_send();
    release_lookups();
    wait_for_threads(1);
    send_accepted(client, "recovered");
    CHECK(lookups() == before + 2);
    hma_client_free(client);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    never_hang();
    hang_and_free(argv, 0);
    hang_and_free(argv, 1);
    hang_and_answer(argv);
    hang_and_recover(argv);
    wait_for_threads(1);
    CHECK(most_lookups_at_once() == 1);
    puts("done");
    return 0;
}
