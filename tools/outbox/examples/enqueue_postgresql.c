/*
 * Stores an order and its message in one transaction of the application: both are there, or neither is.
 *
 *     cc -o enqueue_postgresql enqueue_postgresql.c $(pkg-config --cflags --libs libpq hookmyapp)
 *     ./enqueue_postgresql postgres://localhost/shop 8123456789012345 1001
 *
 * The role needs no more than: GRANT outbox_app TO shop. INSTAGRAM_ACCOUNT_ID names the account that sends.
 */
#include <hookmyapp.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(PGconn *shop, const char *sql, int count, const char *const *values)
{
    PGresult *result = PQexecParams(shop, sql, count, NULL, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fprintf(stderr, "%s", PQerrorMessage(shop));
    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* The message is a question with two answers: what enqueue_text cannot say. Returns what hma_string_free() frees. */
static char *make_body(const char *user, const char *order)
{
    char text[512], *body = NULL, *error = NULL;
    hma_message *message;

    snprintf(text, sizeof text, "Thank you! Your order %s has arrived here. Shall we send it today?", order);
    message = hma_message_text(text);
    hma_message_add_quick_reply(message, "Yes", "TODAY");
    hma_message_add_quick_reply(message, "Wait", "WAIT");
    if (hma_message_json(message, user, &body, &error) != HMA_OK)
        fprintf(stderr, "%s\n", error);
    hma_string_free(error);
    hma_message_free(message);
    return body;
}

int main(int argc, char **argv)
{
    const char *account = getenv("INSTAGRAM_ACCOUNT_ID");
    char key[256], *body;
    PGconn *shop;
    int stored;

    if (argc != 4 || account == NULL) {
        fprintf(stderr, "usage: INSTAGRAM_ACCOUNT_ID=... enqueue_postgresql DATABASE USER ORDER\n");
        return 64;
    }
    body = make_body(argv[2], argv[3]);
    if (body == NULL)
        return 1;
    shop = PQconnectdb(argv[1]);
    snprintf(key, sizeof key, "order-%s", argv[3]);
    {
        const char *order[] = {argv[3], argv[2]};
        const char *message[] = {account, body, key};

        stored =
            run(shop, "CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, customer text NOT NULL)", 0, NULL) &&
            run(shop, "BEGIN", 0, NULL) && run(shop, "INSERT INTO orders VALUES ($1, $2)", 2, order) &&
            run(shop, "SELECT outbox.enqueue($1, $2, key => $3)", 3, message) && run(shop, "COMMIT", 0, NULL);
    }
    hma_string_free(body);
    PQfinish(shop); /* rolls back what is not committed */
    if (stored)
        printf("order %s is stored, and so is its message\n", argv[3]);
    return stored ? 0 : 1;
}
