/* A small C program that sends with this library. */
#include "contend.h"
#include <hookmyapp.h>

struct sender {
    hma_client *client;
    const char *text;
};

static int send_one(void *argument)
{
    struct sender *sender = argument;
    hma_response *response = NULL;
    char *error = NULL;
    int is_sent = hma_send_text(sender->client, RECIPIENT, sender->text, &response, &error) == HMA_OK &&
                  hma_response_message_id(response) != NULL;

    if (error != NULL)
        fprintf(stderr, "%s\n", error);
    hma_response_free(response);
    hma_string_free(error);
    return is_sent ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct task task;
    struct sender sender = {NULL, task.text};
    hma_config *config;
    char *error = NULL;
    int outcome;

    if (!read_task(&task, argc, argv))
        return 64;
    config = hma_config_new(task.base_url, ACCOUNT, TOKEN);
    hma_config_set_ca_file(config, task.ca_file);
    hma_config_set_keep_alive(config, 600000);
    if (hma_client_new(config, &sender.client, &error) != HMA_OK)
        fprintf(stderr, "%s\n", error);
    hma_config_free(config);
    hma_string_free(error);
    outcome = sender.client == NULL ? 1 : contend(send_one, &sender);
    hma_client_free(sender.client);
    return outcome;
}
