/* No file descriptor is free: nothing is sent, and everything works again once there are some. */
#define _GNU_SOURCE
#include "embedding.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MOST 64

static int taken[MOST];
static int taken_number;

static void take_all_descriptors(void)
{
    int descriptor;

    while ((descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        taken[taken_number++] = descriptor;
    CHECK(errno == EMFILE);
    CHECK(taken_number > 0);
}

static void give_back(int number)
{
    while (number-- > 0 && taken_number > 0)
        CHECK(close(taken[--taken_number]) == 0);
}

static void limit_descriptors(void)
{
    struct rlimit limit;

    limit.rlim_cur = limit.rlim_max = MOST;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void make_no_client(char **arguments)
{
    hma_config *config = config_for(arguments);
    hma_client *client = NULL;
    char *error = NULL;

    CHECK(hma_client_new(config, &client, &error) == HMA_ERROR_CONFIG);
    CHECK(client == NULL);
    CHECK(error != NULL && strstr(error, arguments[2]) != NULL);
    hma_string_free(error);
    hma_config_free(config);
}

/* arguments[3] is the base URL with a name in it. */
int main(int argc, char **argv)
{
    hma_client *cold, *warm, *by_name;

    CHECK(argc == 4);
    never_hang();
    limit_descriptors();
    cold = client_for(argv);
    warm = client_for(argv);
    send_accepted(warm, "warm");
    take_all_descriptors();
    make_no_client(argv);
    send_fails(cold, "no descriptor", HMA_ERROR_CONNECT);
    send_accepted(warm, "kept");
    argv[1] = argv[3];
    give_back(MOST);
    by_name = client_for(argv);
    take_all_descriptors();
    send_fails(by_name, "no descriptor", HMA_ERROR_CONNECT);
    /* Enough for the socket, not for the resolver, or the other way around. */
    give_back(1);
    CHECK(outcome_of(by_name, "one descriptor") != HMA_ERROR_INTERNAL);
    give_back(MOST);
    send_accepted(cold, "again");
    send_accepted(by_name, "again by name");
    hma_client_free(by_name);
    hma_client_free(warm);
    hma_client_free(cold);
    puts("done");
    return 0;
}
