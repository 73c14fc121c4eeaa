/* Eight threads share one client and one message; each must get the answers to its own sends. */
#include <hookmyapp.h>
#include <pthread.h>
#include "check.h"

#define THREADS 8
#define ROUNDS 25

static hma_client *client;
static hma_message *message;

/* The first message id that each thread got. */
static char ids[THREADS][256];

static void check_answer(hma_status status, hma_response *response, char *error, const char *recipient)
{
    if (status != HMA_OK)
        fprintf(stderr, "%s: %s\n", recipient, error);
    CHECK(status == HMA_OK);
    CHECK(error == NULL);
    CHECK_TEXT(hma_response_recipient_id(response), recipient);
    CHECK(hma_response_message_id(response) != NULL);
}

static void *send_all(void *argument)
{
    char *id = argument;
    const int number = (int)((id - ids[0]) / (long)sizeof ids[0]);
    char recipient[32];
    int round;

    sprintf(recipient, "812345678901%04d", number);
    for (round = 0; round < ROUNDS; ++round) {
        hma_response *response = NULL;
        char *error = NULL;
        const hma_status status = round % 2 == 0
            ? hma_send(client, recipient, message, &response, &error)
            : hma_send_text(client, recipient, recipient, &response, &error);
        check_answer(status, response, error, recipient);
        if (round == 0)
            strncpy(id, hma_response_message_id(response), sizeof ids[0] - 1);
        else
            CHECK(strcmp(id, hma_response_message_id(response)) != 0);
        hma_response_free(response);
        hma_string_free(error);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int one, other;

    CHECK(hma_client_from_env(&client, NULL) == HMA_OK);
    message = hma_message_text("Shared by all");
    hma_message_add_quick_reply(message, "Yes", "YES");
    for (one = 0; one < THREADS; ++one)
        CHECK(pthread_create(&threads[one], NULL, send_all, ids[one]) == 0);
    for (one = 0; one < THREADS; ++one)
        CHECK(pthread_join(threads[one], NULL) == 0);
    for (one = 0; one < THREADS; ++one)
        for (other = 0; other < one; ++other)
            CHECK(strcmp(ids[one], ids[other]) != 0);
    hma_message_free(message);
    hma_client_free(client);
    printf("%d\n", THREADS * ROUNDS);
    return 0;
}
