/* Sends one text: send [--env-file FILE] RECIPIENT_ID TEXT */
#include <hookmyapp.h>
#include <stdio.h>
#include <string.h>
#ifdef _WIN32
#include "windows_arguments.h"
#endif

static const char usage[] =
    "usage: send [--env-file FILE] RECIPIENT_ID TEXT\n"
    "\n"
    "Sends TEXT to the Instagram user with the scoped id RECIPIENT_ID. Where to send\n"
    "and as whom is read from the environment, or from the FILE that\n"
    "`hookmyapp sandbox env --write` makes.\n"
    "\n"
    "exit code: 0 accepted, 1 not sent, 2 refused, 3 possibly delivered, 64 usage\n";

int main(int argc, char **argv)
{
    int with_file;
    hma_config *config;
    hma_client *client = NULL;
    hma_response *response = NULL;
    char *error = NULL;
    const char *id;
    hma_status status;

#ifdef _WIN32
    argv = windows_arguments();
    if (argv == NULL)
        return 1;
#endif
    with_file = argc == 5 && strcmp(argv[1], "--env-file") == 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0;
    if (!with_file && (argc != 3 || strncmp(argv[1], "--", 2) == 0)) {
        fputs(usage, stderr);
        return 64;
    }

    config = with_file ? hma_config_from_env_file(argv[2]) : hma_config_from_env();
    if (hma_config_warnings(config) != NULL)
        fprintf(stderr, "warning: %s\n", hma_config_warnings(config));

    status = hma_client_new(config, &client, &error);
    if (status == HMA_OK)
        status = hma_send_text(client, argv[argc - 2], argv[argc - 1], &response, &error);

    if (status == HMA_OK) {
        id = hma_response_message_id(response);
        printf("sent %s\n", id != NULL ? id : "(the gateway gave no message id)");
    } else {
        fprintf(stderr, "%s\n%s\n", error, hma_status_text(status));
        if (hma_response_retry_after(response) >= 0)
            fprintf(stderr, "wait %d seconds before the next send\n", (int)hma_response_retry_after(response));
    }

    hma_string_free(error);
    hma_response_free(response);
    hma_client_free(client);
    hma_config_free(config);
    return (int)hma_status_delivery(status); /* 0 accepted, 1 not sent, 2 refused, 3 unknown */
}
