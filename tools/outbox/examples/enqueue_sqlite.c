/*
 * Stores an order and its message in one transaction of the application: both are there, or neither is.
 *
 *     cc -o enqueue_sqlite enqueue_sqlite.c -lhookmyapp -lsqlite3
 *     ./enqueue_sqlite shop.db 8123456789012345 1001
 *
 * `hookmyapp-outbox init --queue shop.db` creates the queue in the application's own file, and
 * `hookmyapp-outbox work --queue shop.db` sends.
 */
#include <hookmyapp.h>
#include <sqlite3.h>
#include <stdio.h>

/* Runs a statement with up to three texts. */
static int run(sqlite3 *shop, const char *sql, const char *first, const char *second, const char *third)
{
    const char *texts[] = {first, second, third};
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(shop, sql, -1, &statement, NULL);
    int i;

    for (i = 0; code == SQLITE_OK && i < sqlite3_bind_parameter_count(statement); i++)
        code = sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_STATIC);
    if (code == SQLITE_OK) {
        do
            code = sqlite3_step(statement);
        while (code == SQLITE_ROW);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int store(sqlite3 *shop, const char *user, const char *order, const char *body)
{
    char key[256], recipient[256];
    int code;

    snprintf(key, sizeof key, "order-%s", order);
    snprintf(recipient, sizeof recipient, "user %s", user);
    /* IMMEDIATE waits for the lock here, and not in the middle. */
    code = run(shop, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return code;
    code = run(shop, "INSERT INTO orders VALUES (?, ?)", order, user, NULL);
    if (code == SQLITE_OK)
        code = run(shop, "INSERT INTO outbox (key, recipient, body) VALUES (?, ?, ?)", key, recipient, body);
    if (code == SQLITE_OK)
        code = run(shop, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        fprintf(stderr, "not stored: %s\n", sqlite3_errmsg(shop));
        run(shop, "ROLLBACK", NULL, NULL, NULL);
    }
    return code;
}

int main(int argc, char **argv)
{
    char text[512], *body = NULL, *error = NULL;
    sqlite3 *shop = NULL;
    hma_message *message;
    int code;

    if (argc != 4) {
        fprintf(stderr, "usage: enqueue_sqlite FILE USER ORDER\n");
        return 64;
    }
    /* Every limit of the message is checked here, before anything is stored. */
    snprintf(text, sizeof text, "Thank you! Your order %s has arrived here.", argv[3]);
    message = hma_message_text(text);
    code = hma_message_json(message, argv[2], &body, &error);
    hma_message_free(message);
    if (code != HMA_OK) {
        fprintf(stderr, "%s\n", error);
        hma_string_free(error);
        return 1;
    }
    code = sqlite3_open(argv[1], &shop);
    if (code == SQLITE_OK)
        /* Without it, "database is locked" comes at once when another program writes. */
        code = sqlite3_busy_timeout(shop, 10000);
    if (code == SQLITE_OK)
        /* FULL: what is committed survives a loss of power. The worker does the checkpoints. */
        code = run(shop, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = run(shop, "PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = run(shop, "CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, customer TEXT NOT NULL)", NULL,
                   NULL, NULL);
    if (code == SQLITE_OK)
        code = store(shop, argv[2], argv[3], body);
    else
        fprintf(stderr, "%s: %s\n", argv[1], shop != NULL ? sqlite3_errmsg(shop) : sqlite3_errstr(code));
    hma_string_free(body);
    sqlite3_close(shop);
    if (code == SQLITE_OK)
        printf("order %s is stored, and so is its message\n", argv[3]);
    return code == SQLITE_OK ? 0 : 1;
}
