/* A parent and its child that have the same process id, each in a pid namespace of its own: they share no connection.
 *
 * Arguments: base URL, CA file, and "fork" or "clone": how the child is made. */
#define _GNU_SOURCE
#include "embedding.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define SENDS 20

static hma_client *client;

static void send_all(const char *who)
{
    char text[64];
    int number;

    for (number = 0; number < SENDS; ++number) {
        sprintf(text, "%s %d", who, number);
        send_accepted(client, text);
    }
}

/* The first process of a new namespace; the C library knows nothing of a clone. */
static pid_t first_process(int is_clone)
{
    CHECK(unshare(CLONE_NEWPID) == 0);
    return is_clone ? (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) : fork();
}

static void run_parent(char **argv, int is_clone)
{
    pid_t child;

    CHECK(getpid() == 1);
    never_hang();
    client = client_for(argv);
    send_all("parent");
    child = first_process(is_clone);
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(getpid() == 1);
        never_hang();
        send_all("child");
        hma_client_free(client);
        _exit(0);
    }
    wait_for_child((long)child);
    send_all("parent again");
    hma_client_free(client);
    _exit(0);
}

int main(int argc, char **argv)
{
    pid_t parent;

    CHECK(argc == 4);
    never_hang();
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
        puts("not permitted");
        return 0;
    }
    parent = fork();
    CHECK(parent >= 0);
    if (parent == 0)
        run_parent(argv, strcmp(argv[3], "clone") == 0);
    wait_for_child((long)parent);
    puts("done");
    return 0;
}
