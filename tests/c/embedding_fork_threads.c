/* Forks while other threads are inside a send: the child never hangs, and gets no answer but its own. */
#define _GNU_SOURCE
#include "embedding.h"

#include <pthread.h>
#include <sys/types.h>
#include <unistd.h>

#define ROUNDS 100
#define SENDERS 2
#define CONNECT_TIMEOUT 1000

static hma_client *client;
static volatile int is_over;
static int is_by_name;

/* A lookup may fail, but no message may be lost or get another's answer. */
static void send_as_child(void)
{
    char text[64];
    hma_status status;

    never_hang();
    sprintf(text, "child %ld", (long)getpid());
    status = outcome_of(client, text);
    CHECK(status == HMA_OK || status == HMA_ERROR_CONNECT);
    CHECK(status == HMA_OK || is_by_name);
    hma_client_free(client);
    _exit(0);
}

static void fork_child(void)
{
    const pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0)
        send_as_child();
    wait_for_child((long)child);
}

static void *send_without_end(void *name)
{
    char text[64];
    long number;

    for (number = 0; !is_over; ++number) {
        sprintf(text, "%s %ld %ld", (const char *)name, (long)getpid(), number);
        send_accepted(client, text);
    }
    return NULL;
}

static void *send_once(void *name)
{
    char text[64];

    sprintf(text, "%s %ld", (const char *)name, (long)getpid());
    send_accepted(client, text);
    return NULL;
}

/* Mode "sending": the other threads are always somewhere inside a send. */
static void fork_while_sending(char **arguments)
{
    static char names[SENDERS][8];
    pthread_t senders[SENDERS];
    int number, round;

    client = client_for(arguments);
    for (number = 0; number < SENDERS; ++number) {
        sprintf(names[number], "sender%d", number);
        CHECK(pthread_create(&senders[number], NULL, send_without_end, names[number]) == 0);
    }
    for (round = 0; round < ROUNDS; ++round)
        fork_child();
    is_over = 1;
    for (number = 0; number < SENDERS; ++number)
        CHECK(pthread_join(senders[number], NULL) == 0);
    hma_client_free(client);
}

static hma_client *impatient_client(char **arguments)
{
    hma_config *config = config_for(arguments);

    hma_config_set_connect_timeout(config, CONNECT_TIMEOUT);
    return client_of(config);
}

/* A process in which nothing was sent yet; the fork comes a little later in each. */
static void fork_during_first_send(char **arguments, int round)
{
    static char name[] = "first";
    pthread_t sender;
    volatile long spin;

    never_hang();
    if (client == NULL)
        client = is_by_name ? impatient_client(arguments) : client_for(arguments);
    CHECK(pthread_create(&sender, NULL, send_once, name) == 0);
    for (spin = 0; spin < round * 2000L; ++spin)
        continue;
    fork_child();
    CHECK(pthread_join(sender, NULL) == 0);
    hma_client_free(client);
    _exit(0);
}

/* Modes "first" and "name": each process makes its client. Mode "heir": all got theirs from this one. */
static void fork_during_first_sends(char **arguments)
{
    int round;

    is_by_name = strcmp(arguments[3], "name") == 0;
    if (strcmp(arguments[3], "heir") == 0)
        client = client_for(arguments);
    for (round = 0; round < ROUNDS; ++round) {
        const pid_t worker = fork();
        CHECK(worker >= 0);
        if (worker == 0)
            fork_during_first_send(arguments, round);
        wait_for_child((long)worker);
    }
    hma_client_free(client);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    never_hang();
    if (strcmp(argv[3], "sending") == 0)
        fork_while_sending(argv);
    else
        fork_during_first_sends(argv);
    puts("done");
    return 0;
}
