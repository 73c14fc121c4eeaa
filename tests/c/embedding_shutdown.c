/* Shuts a client down while eight threads send through it. The last arguments: the status that they must return, and
   what they wait for: "server", which then lets standard input end, and "large" messages likewise; "lookup"; or
   "child", as "server" after a fork. */
#define _GNU_SOURCE
#include "embedding.h"
#include "hanging_getaddrinfo.h"

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#define SENDERS 8
#define SOON 5000

static hma_client *client;
static hma_status expected;
static pthread_barrier_t start;

static void *send_one(void *unused)
{
    pthread_barrier_wait(&start);
    send_fails_with(client, "blocked", expected, "the client was shut down");
    return unused;
}

static void *send_one_large(void *unused)
{
    char *body = large_body("blocked");

    pthread_barrier_wait(&start);
    CHECK(outcome_of_json(client, "blocked", body) == expected);
    free(body);
    return unused;
}

static void wait_for(const char *what)
{
    char byte;

    if (strcmp(what, "lookup") == 0)
        wait_for_sleeping_threads(SENDERS + 1);
    else
        CHECK(read(0, &byte, 1) == 0);
}

static void shut_down_while_sending(const char *what)
{
    void *(*const send)(void *) = strcmp(what, "large") == 0 ? send_one_large : send_one;
    pthread_t senders[SENDERS];
    int number;
    long began;

    CHECK(pthread_barrier_init(&start, NULL, SENDERS) == 0);
    for (number = 0; number < SENDERS; ++number)
        CHECK(pthread_create(&senders[number], NULL, send, NULL) == 0);
    wait_for(what);
    began = milliseconds();
    hma_client_shutdown(client);
    for (number = 0; number < SENDERS; ++number)
        CHECK(pthread_join(senders[number], NULL) == 0);
    CHECK(milliseconds() - began < SOON);
    send_fails_with(client, "later", HMA_ERROR_CONNECT, "the client was shut down; nothing was sent");
    hma_client_shutdown(client);
    send_fails(client, "much later", HMA_ERROR_CONNECT);
    hma_client_free(client);
}

/* The parent's connection must not notice. */
static void shut_down_in_child(void)
{
    pid_t child;

    send_accepted(client, "warm");
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        never_hang();
        shut_down_while_sending("server");
        _exit(0);
    }
    wait_for_child((long)child);
    send_accepted(client, "kept");
    hma_client_free(client);
}

int main(int argc, char **argv)
{
    CHECK(argc == 5);
    never_hang();
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    expected = (hma_status)atoi(argv[3]);
    client = client_for(argv);
    if (strcmp(argv[4], "lookup") == 0)
        hold_lookups();
    if (strcmp(argv[4], "child") == 0)
        shut_down_in_child();
    else
        shut_down_while_sending(argv[4]);
    release_lookups();
    wait_for_threads(1);
    puts("done");
    return 0;
}
