/* Sends "Hello from my app" to one user: hello RECIPIENT_ID */
#include <hookmyapp.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    hma_client *client = NULL;
    char *error = NULL;
    hma_status status;

    if (argc != 2) {
        fputs("usage: hello RECIPIENT_ID\n", stderr);
        return 64;
    }
    status = hma_client_from_env(&client, &error);
    if (status == HMA_OK)
        status = hma_send_text(client, argv[1], "Hello from my app", NULL, &error);
    if (status == HMA_OK)
        puts("sent");
    else
        fprintf(stderr, "%s\n", error);
    hma_string_free(error);
    hma_client_free(client);
    return (int)hma_status_delivery(status);
}
