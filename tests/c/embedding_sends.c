/* Sends whose system calls are counted, between two calls of getppid(). */
#define _GNU_SOURCE
#include "embedding.h"

#include <unistd.h>

#define WARM 20
#define COUNTED 100

int main(int argc, char **argv)
{
    hma_config *config;
    hma_client *client;
    int number;

    CHECK(argc == 4);
    never_hang();
    config = config_for(argv);
    if (strcmp(argv[3], "fresh") == 0)
        hma_config_set_keep_alive(config, 0);
    client = client_of(config);
    for (number = 0; number < WARM; ++number)
        send_accepted(client, "warm");
    getppid();
    for (number = 0; number < COUNTED; ++number)
        send_accepted(client, "counted");
    getppid();
    hma_client_free(client);
    puts("done");
    return 0;
}
