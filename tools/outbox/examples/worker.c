/*
 * A worker for the PostgreSQL queue in C: libpq, this library, and the SQL functions hello, turn and bye.
 *
 *     cc -o worker worker.c $(pkg-config --cflags --libs libpq hookmyapp) -lpthread
 *     PGDATABASE=shop ./worker [--once]
 *
 * The main thread owns the connection. Each turn is one statement, which settles what was sent and claims a message for
 * each free thread, in one transaction: only when its answer is here does a send begin. Set INSTAGRAM_* as for any program
 * of the library. SIGTERM and SIGINT let the sends under way end.
 */
#define _GNU_SOURCE
#include <hookmyapp.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 16, REMEMBERED = 8192, REPORTED_AT_ONCE = 1000, NOT_BEGUN = -1 };
enum state { FREE, CLAIMED, DONE };

/* What a turn returns and takes of one message. */
struct report {
    int64_t id, claim;
    char token[40];
    char *message_id, *error;
    int status, retry_after;
};

/* The main thread gives a claimed message to a slot, its thread sends it, and the main thread settles it. */
struct slot {
    pthread_t thread;
    enum state state;
    int64_t begin_by_ms;
    char *body;
    struct report report;
};

static struct slot slots[THREADS];
static struct report remembered[REMEMBERED]; /* settled: reported again after a failover to a replica that lags */
static int next_remembered;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of all slots */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* a slot is CLAIMED or DONE */
static hma_client *client;
static char account[256], worker[64], timeline[64];
static int64_t turns, answered, lease_ms = 30000; /* the last turn, and the last one whose answer came */
static int session;                               /* how often it has said hello */
static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static int64_t now_ms(void) /* continues while the machine sleeps */
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static char *copy(const char *text)
{
    char *copied = text != NULL ? strdup(text) : NULL;
    if (text != NULL && copied == NULL)
        abort();
    return copied;
}

static void *send_loop(void *argument)
{
    struct slot *slot = argument;

    pthread_mutex_lock(&mutex);
    for (;;) {
        while (slot->state != CLAIMED)
            pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);

        hma_response *response = NULL;
        char *error = NULL;
        /* If this process was stopped for long, others may have given it up: then the message must not begin. */
        int status = now_ms() < slot->begin_by_ms ? hma_send_json(client, slot->body, &response, &error) : NOT_BEGUN;

        slot->report.status = status;
        slot->report.retry_after = status == NOT_BEGUN ? -1 : hma_response_retry_after(response);
        slot->report.message_id = copy(hma_response_message_id(response));
        slot->report.error = copy(error);
        hma_string_free(error);
        hma_response_free(response);

        pthread_mutex_lock(&mutex);
        slot->state = DONE;
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

/* An array as PostgreSQL reads it. */
struct array {
    char *text;
    size_t length;
    FILE *stream;
};

static void begin(struct array *array)
{
    array->stream = open_memstream(&array->text, &array->length);
    if (array->stream == NULL)
        abort();
    putc('{', array->stream);
}

static void add_number(struct array *array, int64_t number)
{
    fprintf(array->stream, "%s%" PRId64, ftell(array->stream) > 1 ? "," : "", number);
}

static void add_text(struct array *array, const char *text)
{
    if (ftell(array->stream) > 1)
        putc(',', array->stream);
    if (text == NULL) {
        fputs("NULL", array->stream);
        return;
    }
    putc('"', array->stream);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', array->stream);
        putc(*text, array->stream);
    }
    putc('"', array->stream);
}

static const char *end(struct array *array)
{
    putc('}', array->stream);
    if (fclose(array->stream) != 0)
        abort();
    return array->text;
}

/* One statement: settles these, and claims. Returns NULL if it failed. */
static PGresult *call_turn(PGconn *database, struct report *const *reports, int count, int want)
{
    struct array ids, tokens, claims, statuses, retry_afters, message_ids, errors;
    struct array *arrays[] = {&ids, &tokens, &claims, &statuses, &retry_afters, &message_ids, &errors};
    char session_text[16], number[24], want_text[16];
    const char *values[11] = {worker, session_text, number, want_text};
    int i;

    snprintf(session_text, sizeof session_text, "%d", session);
    snprintf(number, sizeof number, "%" PRId64, ++turns);
    snprintf(want_text, sizeof want_text, "%d", want);
    for (i = 0; i < 7; i++)
        begin(arrays[i]);
    for (i = 0; i < count; i++) {
        add_number(&ids, reports[i]->id);
        add_text(&tokens, reports[i]->token);
        add_number(&claims, reports[i]->claim);
        add_number(&statuses, reports[i]->status);
        add_number(&retry_afters, reports[i]->retry_after);
        add_text(&message_ids, reports[i]->message_id);
        add_text(&errors, reports[i]->error);
    }
    for (i = 0; i < 7; i++)
        values[i + 4] = end(arrays[i]);
    PGresult *result = PQexecParams(database,
                                    "SELECT id, token, claim, body, wait_ms, pending, unsettled"
                                    " FROM outbox.turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                                    11, NULL, values, NULL, NULL, 0);
    for (i = 0; i < 7; i++)
        free(arrays[i]->text);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fprintf(stderr, "the database: %s", PQerrorMessage(database));
        PQclear(result);
        return NULL;
    }
    answered = turns;
    const char *unsettled = PQgetvalue(result, PQntuples(result) - 1, 6);
    if (strcmp(unsettled, "{}") != 0)
        fprintf(stderr, "not written: messages %s: a failover has forgotten them, or another worker has them, too\n",
                unsettled);
    return result;
}

/* Reports once more what was settled: the server that took over may not know it. */
static bool report_remembered(PGconn *database)
{
    struct report *reports[REPORTED_AT_ONCE];
    int i, count = 0;

    for (i = 0; i < REMEMBERED; i++) {
        if (remembered[i].id != 0)
            reports[count++] = &remembered[i];
        if (count == REPORTED_AT_ONCE || (i == REMEMBERED - 1 && count > 0)) {
            PGresult *result = call_turn(database, reports, count, 0);
            if (result == NULL)
                return false;
            PQclear(result);
            count = 0;
        }
    }
    return true;
}

/* Connects and announces this worker, with what it has in hand. Returns NULL if that has to be tried again. */
static PGconn *hello(void)
{
    const char *names[] = {"application_name", "connect_timeout", "tcp_user_timeout",
                           "client_encoding",  "dbname",          NULL};
    const char *values[] = {"hookmyapp-worker", "5", "10000", "UTF8", getenv("DATABASE_URL"), NULL};
    PGconn *database = PQconnectdbParams(names, values, 1);
    struct array ids, tokens, claims;
    char session_text[16], answered_text[24], label[32];
    bool is_said = false;
    int i;

    begin(&ids);
    begin(&tokens);
    begin(&claims);
    pthread_mutex_lock(&mutex);
    for (i = 0; i < THREADS; i++) {
        if (slots[i].state == FREE)
            continue;
        add_number(&ids, slots[i].report.id);
        add_text(&tokens, slots[i].report.token);
        add_number(&claims, slots[i].report.claim);
    }
    pthread_mutex_unlock(&mutex);
    snprintf(session_text, sizeof session_text, "%d", ++session);
    snprintf(answered_text, sizeof answered_text, "%" PRId64, answered);
    snprintf(label, sizeof label, "worker.c %ld", (long)getpid());
    const char *parameters[] = {account,      label,         worker[0] != '\0' ? worker : NULL,
                                session_text, answered_text, end(&ids),
                                end(&tokens), end(&claims)};
    PGresult *result =
        PQexecParams(database, "SELECT worker, lease_ms, timeline FROM outbox.hello($1, $2, $3, $4, $5, $6, $7, $8)", 8,
                     NULL, parameters, NULL, NULL, 0);
    free(ids.text);
    free(tokens.text);
    free(claims.text);
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        const char *here = PQgetvalue(result, 0, 2);
        snprintf(worker, sizeof worker, "%s", PQgetvalue(result, 0, 0));
        lease_ms = atoll(PQgetvalue(result, 0, 1));
        is_said = timeline[0] == '\0' || strcmp(timeline, here) == 0 || report_remembered(database);
        if (is_said)
            snprintf(timeline, sizeof timeline, "%s", here);
    } else {
        fprintf(stderr, "the database: %s", PQerrorMessage(database));
    }
    PQclear(result);
    if (is_said)
        return database;
    PQfinish(database);
    return NULL;
}

/* Keeps what has reached the gateway, or may have. */
static void remember(struct report *report)
{
    free(report->error);
    report->error = NULL;
    if (report->status != HMA_OK && report->status < 20) {
        free(report->message_id);
        return;
    }
    free(remembered[next_remembered].message_id);
    remembered[next_remembered] = *report;
    remembered[next_remembered].retry_after = -1;
    next_remembered = (next_remembered + 1) % REMEMBERED;
}

/* Settles what is done and claims for the free threads. Returns false if the connection broke: nothing has changed here
 * then, and the same report follows the next hello. Else *idle says whether nothing is queued or being sent anywhere. */
static bool turn(PGconn *database, bool *idle, int64_t *wait_ms)
{
    struct report *reports[THREADS];
    bool reported[THREADS];
    const int64_t asked_ms = now_ms();
    int free_slots = 0, count = 0, i, row, next = 0;

    pthread_mutex_lock(&mutex);
    for (i = 0; i < THREADS; i++) {
        free_slots += slots[i].state != CLAIMED;
        reported[i] = slots[i].state == DONE;
        if (reported[i])
            reports[count++] = &slots[i].report;
    }
    pthread_mutex_unlock(&mutex);
    PGresult *result = call_turn(database, reports, count, stopping ? 0 : free_slots);
    if (result == NULL)
        return false;

    const int last = PQntuples(result) - 1;
    *wait_ms = PQgetisnull(result, last, 4) ? 200 : atoll(PQgetvalue(result, last, 4));
    *idle = strcmp(PQgetvalue(result, last, 5), "f") == 0;
    pthread_mutex_lock(&mutex);
    for (i = 0; i < THREADS; i++) {
        if (!reported[i])
            continue;
        free(slots[i].body);
        remember(&slots[i].report);
        slots[i].state = FREE;
    }
    for (row = 0; row < last; row++) {
        while (slots[next].state != FREE)
            next++;
        struct slot *slot = &slots[next];
        slot->report.id = atoll(PQgetvalue(result, row, 0));
        snprintf(slot->report.token, sizeof slot->report.token, "%s", PQgetvalue(result, row, 1));
        slot->report.claim = atoll(PQgetvalue(result, row, 2));
        slot->body = copy(PQgetvalue(result, row, 3));
        slot->begin_by_ms = asked_ms + lease_ms / 2;
        slot->state = CLAIMED;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    PQclear(result);
    return true;
}

/* Waits until a slot is done, but no longer than this. Returns how many are in hand. */
static int wait_for_slots(int64_t ms)
{
    struct timespec until;
    int i, done, busy;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&mutex);
    do {
        for (done = busy = i = 0; i < THREADS; i++) {
            done += slots[i].state == DONE;
            busy += slots[i].state == CLAIMED;
        }
    } while (done == 0 && pthread_cond_timedwait(&changed, &mutex, &until) == 0);
    pthread_mutex_unlock(&mutex);
    return done + busy;
}

int main(int argc, char **argv)
{
    const bool once = argc > 1 && strcmp(argv[1], "--once") == 0;
    hma_config *config = hma_config_from_env();
    const struct sigaction action = {.sa_handler = stop};
    char *error = NULL;
    int i;

    if (hma_client_new(config, &client, &error) != HMA_OK) {
        fprintf(stderr, "%s\n", error);
        return 78;
    }
    /* The account is in the URL: .../ACCOUNT/messages. */
    const char *last = strrchr(hma_config_url(config), '/'), *first = last;
    while (first[-1] != '/')
        first--;
    snprintf(account, sizeof account, "%.*s", (int)(last - first), first);
    hma_config_free(config);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&slots[i].thread, NULL, send_loop, &slots[i]) != 0)
            return 78;

    PGconn *database = NULL;
    int64_t wait_ms = 0;
    bool idle = false;
    while (wait_for_slots(wait_ms < 500 ? wait_ms : 500) > 0 || !(stopping || (once && idle))) {
        wait_ms = 200;
        if (database == NULL && (database = hello()) == NULL) {
            usleep(200000);
        } else if (!turn(database, &idle, &wait_ms)) {
            PQfinish(database);
            database = NULL;
        }
    }
    if (database != NULL) {
        const char *values[] = {worker};
        PQclear(PQexecParams(database, "SELECT outbox.bye($1)", 1, NULL, values, NULL, NULL, 0));
        PQfinish(database);
    }
    return 0; /* the threads wait for nothing, and end with the process */
}
