/* The system starts no thread: a name lookup is an error; an address still works. */
#define _GNU_SOURCE
#include "embedding.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOBODY 65534

static void *nothing(void *unused)
{
    return unused;
}

static int thread_error(void)
{
    pthread_t thread;
    const int error = pthread_create(&thread, NULL, nothing, NULL);

    if (error == 0)
        CHECK(pthread_join(thread, NULL) == 0);
    return error;
}

static void limit_processes(rlim_t number)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0);
    limit.rlim_cur = number < limit.rlim_max ? number : limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
}

/* arguments[3] is the base URL with a name in it. */
int main(int argc, char **argv)
{
    hma_client *by_address, *by_name;

    CHECK(argc == 4);
    never_hang();
    by_address = client_for(argv);
    argv[1] = argv[3];
    by_name = client_for(argv);
    /* The limit does not hold for the superuser. */
    if (geteuid() == 0)
        CHECK(setuid(NOBODY) == 0);

    limit_processes(0);
    CHECK(thread_error() == EAGAIN);
    send_fails_with(by_name, "no thread", HMA_ERROR_CONNECT, "cannot look up localhost");
    send_accepted(by_address, "address");
    send_fails_with(by_name, "no thread", HMA_ERROR_CONNECT, "nothing was sent");
    limit_processes(RLIM_INFINITY);
    CHECK(thread_error() == 0);
    send_accepted(by_name, "name");

    limit_processes(0);
    send_accepted(by_name, "kept");
    CHECK(thread_error() == EAGAIN);

    hma_client_free(by_name);
    hma_client_free(by_address);
    puts("done");
    return 0;
}
