/* Everything that a thread does with the library, on a stack of arguments[4] KiB. */
#define _GNU_SOURCE
#include "embedding.h"

#include <pthread.h>

static const char delivery[] =
    "{\"object\":\"instagram\",\"entry\":[{\"id\":\"17841450000000017\",\"messaging\":["
    "{\"sender\":{\"id\":\"8123456789012345\"},\"timestamp\":1782900000123,\"message\":{\"mid\":\"m1\",\"text\":\"hi\","
    "\"attachments\":[{\"type\":\"image\",\"payload\":{\"url\":\"https://x.example/1\"}}]}}]}]}";

static char **arguments;

static void sends(void)
{
    hma_client *client = client_for(arguments);

    send_accepted(client, "first");
    send_accepted(client, "kept");
    hma_client_free(client);
}

/* As much of an answer as is read; the server says it. */
static void refusals(void)
{
    hma_client *client;

    arguments[1] = arguments[3];
    client = client_for(arguments);
    send_fails_with(client, "refused", HMA_ERROR_REJECTED, "Instagram API error 400");
    hma_client_free(client);
}

static void mistakes(void)
{
    hma_config *config = hma_config_from_env_file("/no/such/file.env");
    hma_client *client = NULL;
    char *error = NULL;

    CHECK(hma_client_new(config, &client, &error) == HMA_ERROR_CONFIG);
    CHECK(client == NULL && strstr(error, "/no/such/file.env") != NULL);
    hma_string_free(error);
    hma_config_free(config);
}

static void webhooks(void)
{
    hma_events *events = NULL;

    CHECK(hma_webhook_verify("secret", "00", delivery, sizeof delivery - 1, NULL) == HMA_ERROR_SIGNATURE);
    CHECK(hma_events_parse(delivery, sizeof delivery - 1, &events, NULL) == HMA_OK);
    CHECK_TEXT(hma_events_attachment_url(events, 0, 0), "https://x.example/1");
    hma_events_free(events);
}

static void *all(void *unused)
{
    mistakes();
    webhooks();
    sends();
    refusals();
    return unused;
}

int main(int argc, char **argv)
{
    pthread_attr_t attributes;
    pthread_t thread;

    CHECK(argc == 5);
    never_hang();
    arguments = argv;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)atoi(argv[4]) * 1024) == 0);
    CHECK(pthread_create(&thread, &attributes, all, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_attr_destroy(&attributes) == 0);
    puts("done");
    return 0;
}
