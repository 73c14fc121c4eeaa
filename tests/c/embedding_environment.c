/* Prints which variables each call reads. The getenv() of this program replaces that of the C library. */
#define _GNU_SOURCE
#include "embedding.h"

#include <unistd.h>

extern char **environ;

char *getenv(const char *name)
{
    const size_t length = strlen(name);
    char **variable;

    printf(" %s", name);
    for (variable = environ; *variable != NULL; ++variable)
        if (strncmp(*variable, name, length) == 0 && (*variable)[length] == '=')
            return *variable + length + 1;
    return NULL;
}

static void begin(const char *call)
{
    printf("\n%s:", call);
}

int main(int argc, char **argv)
{
    hma_config *config;
    hma_client *client = NULL;
    hma_events *events = NULL;

    CHECK(argc == 3);
    never_hang();
    begin("hma_config_new");
    config = config_for(argv);
    begin("hma_client_new");
    CHECK(hma_client_new(config, &client, NULL) == HMA_OK);
    begin("hma_send_text");
    send_accepted(client, "first");
    send_accepted(client, "kept");
    begin("hma_events_parse");
    CHECK(hma_events_parse("[]", 2, &events, NULL) == HMA_OK);
    begin("hma_config_free");
    hma_events_free(events);
    hma_client_free(client);
    hma_config_free(config);
    begin("hma_config_from_env_file");
    hma_config_free(hma_config_from_env_file(argv[2]));
    begin("hma_config_from_env");
    hma_config_free(hma_config_from_env());
    begin("hma_client_from_env");
    CHECK(hma_client_from_env(&client, NULL) == HMA_ERROR_CONFIG);
    puts("");
    return 0;
}
