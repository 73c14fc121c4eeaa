/* Forks with a warm connection: parent and children each get the answers to their own sends. */
#define _GNU_SOURCE
#include "embedding.h"

#include <sys/types.h>
#include <unistd.h>

#define ROUNDS 100
#define CHILDREN 2
#define SENDS 2

static void send_all(const hma_client *client, const char *who)
{
    char text[64];
    int number;

    for (number = 0; number < SENDS; ++number) {
        sprintf(text, "%s %d", who, number);
        send_accepted(client, text);
    }
}

static pid_t start_child(hma_client *client, int round, int number)
{
    char who[64];
    const pid_t child = fork();

    CHECK(child >= 0);
    if (child > 0)
        return child;
    never_hang();
    sprintf(who, "child %d.%d", round, number);
    send_all(client, who);
    hma_client_free(client);
    _exit(0);
}

int main(int argc, char **argv)
{
    hma_client *client;
    pid_t children[CHILDREN];
    char who[64];
    int round, number;

    CHECK(argc == 3);
    never_hang();
    client = client_for(argv);
    send_accepted(client, "parent warm");
    for (round = 0; round < ROUNDS; ++round) {
        for (number = 0; number < CHILDREN; ++number)
            children[number] = start_child(client, round, number);
        sprintf(who, "parent %d", round);
        send_all(client, who);
        for (number = 0; number < CHILDREN; ++number)
            wait_for_child(children[number]);
    }
    hma_client_free(client);
    puts("done");
    return 0;
}
