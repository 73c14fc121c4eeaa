/* SIGPIPE at its default while the server resets connections in the middle of sends. */
#define _GNU_SOURCE
#include "embedding.h"

#include <signal.h>

#define ROUNDS 12
#define SIGNALS 32

static void remember(struct sigaction *actions)
{
    int number;

    memset(actions, 0, SIGNALS * sizeof *actions);
    for (number = 1; number < SIGNALS; ++number)
        CHECK(sigaction(number, NULL, &actions[number]) == 0);
}

static void check_untouched(const struct sigaction *before)
{
    struct sigaction now[SIGNALS];
    sigset_t mask, pending;
    int number;

    remember(now);
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
    CHECK(sigpending(&pending) == 0);
    for (number = 1; number < SIGNALS; ++number) {
        CHECK(now[number].sa_handler == before[number].sa_handler);
        CHECK(now[number].sa_flags == before[number].sa_flags);
        CHECK(sigismember(&mask, number) == 0 && sigismember(&pending, number) == 0);
    }
}

static void send_to_resetting_server(const hma_client *client)
{
    char *body = large_body("large");
    int round;

    for (round = 0; round < ROUNDS; ++round) {
        send_fails(client, "small", HMA_ERROR_LOST);
        CHECK(outcome_of_json(client, "large", body) == HMA_ERROR_LOST);
    }
    free(body);
}

int main(int argc, char **argv)
{
    struct sigaction before[SIGNALS];
    hma_client *client;

    CHECK(argc == 3);
    never_hang();
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    remember(before);
    client = client_for(argv);
    send_to_resetting_server(client);
    hma_client_free(client);
    check_untouched(before);
    puts("alive");
    return 0;
}
