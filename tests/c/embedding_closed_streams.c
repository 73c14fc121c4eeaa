/* A daemon that closed its standard streams: sockets get their numbers, and nothing may be printed to them. */
#define _GNU_SOURCE
#include "embedding.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define STREAMS 3
#define SENDS 10

static hma_client *client;

/* What CHECK says goes where standard error was. */
static void close_streams(void)
{
    const int kept = fcntl(2, F_DUPFD_CLOEXEC, 10);

    CHECK(kept >= 10);
    CHECK(close(0) == 0 && close(1) == 0 && close(2) == 0);
    stderr = fdopen(kept, "w");
    if (stderr == NULL)
        _exit(2);
    setvbuf(stderr, NULL, _IONBF, 0);
}

/* The server answers the first sends when there is one on each stream. */
static void *send_some(void *name)
{
    char text[64];
    int number;

    for (number = 0; number < SENDS; ++number) {
        sprintf(text, "%s %d", (const char *)name, number);
        send_accepted(client, text);
    }
    return NULL;
}

static void send_over_all_streams(void)
{
    static char names[STREAMS][2] = {"a", "b", "c"};
    pthread_t senders[STREAMS];
    struct stat stream;
    int number;

    for (number = 0; number < STREAMS; ++number)
        CHECK(pthread_create(&senders[number], NULL, send_some, names[number]) == 0);
    for (number = 0; number < STREAMS; ++number)
        CHECK(pthread_join(senders[number], NULL) == 0);
    for (number = 0; number < STREAMS; ++number)
        CHECK(fstat(number, &stream) == 0 && S_ISSOCK(stream.st_mode));
}

static void fail_at(char **arguments, const char *base_url, hma_status expected)
{
    char *replaced[3];
    hma_client *failing;

    replaced[0] = arguments[0];
    replaced[1] = (char *)base_url;
    replaced[2] = arguments[2];
    failing = client_for(replaced);
    send_fails(failing, "fails", expected);
    hma_client_free(failing);
}

/* The base URLs behind the CA file are those of servers that refuse, that reset, and that are not there. */
static void fail_in_every_way(char **arguments)
{
    hma_config *config = config_for(arguments);
    hma_client *none = NULL;

    hma_config_set_timeout(config, 0);
    CHECK(hma_client_new(config, &none, NULL) == HMA_ERROR_CONFIG);
    hma_config_free(config);
    fail_at(arguments, arguments[3], HMA_ERROR_REJECTED);
    fail_at(arguments, arguments[4], HMA_ERROR_LOST);
    fail_at(arguments, arguments[5], HMA_ERROR_CONNECT);
}

int main(int argc, char **argv)
{
    CHECK(argc == 6);
    never_hang();
    close_streams();
    fail_in_every_way(argv);
    client = client_for(argv);
    send_fails(client, "", HMA_ERROR_ARGUMENT);
    send_over_all_streams();
    fail_in_every_way(argv);
    hma_client_free(client);
    return 0;
}
