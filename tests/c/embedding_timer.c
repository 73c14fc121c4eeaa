/* Sends while an interval timer interrupts every system call that blocks: its handler lacks SA_RESTART. */
#define _GNU_SOURCE
#include "embedding.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#define TICK_MICROSECONDS 5000
#define QUICK 20
#define SLOW 2
#define FRESH 100
#define DEADLINE 400

static volatile sig_atomic_t ticks;

static void tick(int number)
{
    (void)number;
    /* SIGALRM is in use, so that a program which hangs must end itself. */
    if (++ticks > 1000L * LONG_MILLISECONDS / TICK_MICROSECONDS)
        _exit(3);
}

static void start_timer(void)
{
    struct sigaction action;
    struct itimerval interval;

    memset(&action, 0, sizeof action);
    action.sa_handler = tick;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    interval.it_interval.tv_sec = interval.it_value.tv_sec = 0;
    interval.it_interval.tv_usec = interval.it_value.tv_usec = TICK_MICROSECONDS;
    CHECK(setitimer(ITIMER_REAL, &interval, NULL) == 0);
}

static void send_numbered(const hma_client *client, const char *name, int count)
{
    char text[64];
    int number;

    for (number = 0; number < count; ++number) {
        sprintf(text, "%s %d", name, number);
        send_accepted(client, text);
    }
}

/* The server takes the first part of the message, and the rest after a while. */
static void send_large(const hma_client *client)
{
    char *body = large_body("large");
    const long before = ticks;

    CHECK(outcome_of_json(client, "large", body) == HMA_OK);
    CHECK(ticks - before > 20);
    free(body);
}

/* No answer comes: signals must not make the deadline later. */
static void send_in_vain(char **arguments)
{
    hma_config *config = config_for(arguments);
    hma_client *client;
    long best = LONG_MILLISECONDS, began;
    int attempt;

    hma_config_set_timeout(config, DEADLINE);
    client = client_of(config);
    for (attempt = 0; attempt < 3 && best > DEADLINE + 250; ++attempt) {
        began = milliseconds();
        send_fails(client, attempt == 0 ? "silence 0" : attempt == 1 ? "silence 1" : "silence 2", HMA_ERROR_LOST);
        CHECK(milliseconds() - began >= DEADLINE);
        if (milliseconds() - began < best)
            best = milliseconds() - began;
    }
    CHECK(best <= DEADLINE + 250);
    hma_client_free(client);
}

/* The silent server has arguments of its own: program, URL, CA file. */
int main(int argc, char **argv)
{
    hma_client *client;
    hma_config *config;
    long before;

    CHECK(argc == 4);
    start_timer();
    client = client_for(argv);
    send_numbered(client, "quick", QUICK);
    before = ticks;
    send_numbered(client, "slow", SLOW);
    CHECK(ticks - before > 20);
    send_large(client);
    hma_client_free(client);

    config = config_for(argv);
    hma_config_set_keep_alive(config, 0);
    client = client_of(config);
    send_numbered(client, "fresh", FRESH);
    hma_client_free(client);

    argv[1] = argv[3];
    send_in_vain(argv);
    puts("done");
    return 0;
}
