/* Receives webhooks and replies to each message once: receiver [PORT]. Built on libmicrohttpd. */
#define _POSIX_C_SOURCE 200809L
#include <hookmyapp.h>

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static const char usage[] =
    "usage: receiver [PORT]\n"
    "\n"
    "Listens on 127.0.0.1, on PORT or, without it or with 0, on a free one, and\n"
    "prints the address. Let a server that speaks https pass HookMyApp's requests on\n"
    "to it.\n"
    "\n"
    "  GET    HookMyApp's verification: answered with VERIFY_TOKEN\n"
    "  POST   a delivery: 401 unless its signature fits, else 200; then each message\n"
    "         and each tap on a button is answered, once\n"
    "\n"
    "SIGTERM and SIGINT end it: it takes no more deliveries, and answers what it has\n"
    "taken.\n"
    "\n"
    "VERIFY_TOKEN, WEBHOOK_HMAC_SECRET and the settings of a send, such as\n"
    "INSTAGRAM_API_URL, are read from the environment.\n"
    "\n"
    "exit code: 0 ended by a signal, 1 cannot start, 64 wrong usage\n";

#define BODY_LIMIT ((size_t)1024 * 1024)
#define KEYS_KEPT 4096
/* How long the last replies may take after a signal, in seconds. */
#define LAST_ANSWERS 90

/* What all connections share. */
struct receiver {
    hma_config *config;
    hma_client *client;
    hma_message *answer;
    const char *secret;
    const char *verify_token;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    size_t deliveries;     /* that are being taken in or answered */
    int is_stopping;       /* no more are taken in */
    char *seen[KEYS_KEPT]; /* the keys of the last events; the oldest is overwritten */
    size_t next_seen;
};

/* One request. */
struct delivery {
    char *body;
    size_t length;
    size_t capacity;
    int too_long;
    hma_events *events;
    char *is_new; /* one for each event */
    int is_counted;
};

/* Accepts a delivery. Returns 0 after a signal, when no more are accepted. */
static int begin_delivery(struct receiver *receiver, struct delivery *delivery)
{
    pthread_mutex_lock(&receiver->lock);
    delivery->is_counted = !receiver->is_stopping;
    receiver->deliveries += (size_t)delivery->is_counted;
    pthread_mutex_unlock(&receiver->lock);
    return delivery->is_counted;
}

static void end_delivery(struct receiver *receiver, const struct delivery *delivery)
{
    pthread_mutex_lock(&receiver->lock);
    receiver->deliveries -= (size_t)delivery->is_counted;
    pthread_cond_signal(&receiver->answered);
    pthread_mutex_unlock(&receiver->lock);
}

/* Rejects new deliveries, and waits until the replies to those that were acknowledged with 200 are sent. */
static void stop(struct receiver *receiver)
{
    struct timespec end;
    size_t unknown;
    int waited = 0;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += LAST_ANSWERS;
    pthread_mutex_lock(&receiver->lock);
    receiver->is_stopping = 1;
    while (receiver->deliveries > 0 && waited == 0)
        waited = pthread_cond_timedwait(&receiver->answered, &receiver->lock, &end);
    pthread_mutex_unlock(&receiver->lock);
    unknown = hma_client_drain(receiver->client, 0);
    if (unknown > 0)
        fprintf(stderr, "%lu answers may have been delivered\n", (unsigned long)unknown);
}

/* Returns whether an event is new, and stores its key. */
static int is_new(struct receiver *receiver, const char *key)
{
    char *copy = strdup(key);
    size_t i;

    pthread_mutex_lock(&receiver->lock);
    for (i = 0; i < KEYS_KEPT && receiver->seen[i] != NULL; i++)
        if (strcmp(receiver->seen[i], key) == 0)
            break;
    if (copy == NULL || (i < KEYS_KEPT && receiver->seen[i] != NULL)) {
        pthread_mutex_unlock(&receiver->lock);
        free(copy);
        return 0;
    }
    free(receiver->seen[receiver->next_seen]);
    receiver->seen[receiver->next_seen] = copy;
    receiver->next_seen = (receiver->next_seen + 1) % KEYS_KEPT;
    pthread_mutex_unlock(&receiver->lock);
    return 1;
}

static int is_for_us(const hma_events *events, size_t i)
{
    const hma_event_kind kind = hma_events_kind(events, i);
    return (kind == HMA_EVENT_MESSAGE || kind == HMA_EVENT_POSTBACK) && hma_events_reply_user_id(events, i) != NULL;
}

/* Verifies a whole delivery and stores its events. Returns the HTTP status of the response. */
static unsigned take_in(struct receiver *receiver, struct delivery *delivery, const char *signature)
{
    char *error = NULL;
    size_t count, i;
    hma_status status;

    if (delivery->too_long)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    if (!begin_delivery(receiver, delivery))
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    status = hma_webhook_verify(receiver->secret, signature, delivery->body, delivery->length, &error);
    if (status == HMA_OK)
        status = hma_events_parse(delivery->body, delivery->length, &delivery->events, &error);
    if (status != HMA_OK) {
        fprintf(stderr, "refused a delivery: %s\n", error);
        hma_string_free(error);
        return status == HMA_ERROR_SIGNATURE ? MHD_HTTP_UNAUTHORIZED : MHD_HTTP_BAD_REQUEST;
    }
    count = hma_events_count(delivery->events);
    delivery->is_new = calloc(count + 1, 1);
    if (delivery->is_new == NULL)
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    for (i = 0; i < count; i++) {
        delivery->is_new[i] = (char)is_new(receiver, hma_events_key(delivery->events, i));
        if (!delivery->is_new[i])
            puts("dropped a repeat");
    }
    return MHD_HTTP_OK;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(body), (void *)body, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result done;

    if (response == NULL)
        return MHD_NO;
    /* The sends after the response block the thread of this connection. */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    done = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return done;
}

/* Stores a part of the body. Returns 0 if memory is exhausted. */
static int append(struct delivery *delivery, const char *part, size_t length)
{
    const size_t needed = delivery->length + length;
    char *larger;

    if (needed > BODY_LIMIT) {
        delivery->too_long = 1;
        return 1;
    }
    if (needed > delivery->capacity) {
        larger = realloc(delivery->body, 2 * needed);
        if (larger == NULL)
            return 0;
        delivery->body = larger;
        delivery->capacity = 2 * needed;
    }
    memcpy(delivery->body + delivery->length, part, length);
    delivery->length = needed;
    return 1;
}

/* Called with the head of a request, then with each part of its body, then once more at its end. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *part, size_t *part_length, void **request)
{
    struct receiver *receiver = context;
    struct delivery *delivery = *request;
    const char *signature;
    size_t length;

    (void)url;
    (void)version;
    if (delivery == NULL) {
        *request = calloc(1, sizeof *delivery);
        return *request != NULL ? MHD_YES : MHD_NO;
    }
    if (*part_length > 0) {
        length = *part_length;
        *part_length = 0;
        return append(delivery, part, length) ? MHD_YES : MHD_NO;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0)
        return respond(connection, MHD_HTTP_OK, receiver->verify_token);
    if (strcmp(method, MHD_HTTP_METHOD_POST) != 0)
        return respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "");
    signature = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-HookMyApp-Signature-256");
    return respond(connection, take_in(receiver, delivery, signature), "");
}

static void answer(const struct receiver *receiver, const hma_events *events, size_t i)
{
    char *error = NULL;

    if (hma_reply(receiver->client, events, i, receiver->answer, NULL, &error) == HMA_OK)
        printf("answered %s\n", hma_events_user_id(events, i));
    else
        fprintf(stderr, "not answered: %s\n", error);
    hma_string_free(error);
}

/* Called when the 200 has been sent. HookMyApp waits 10 seconds for it, but a send may take longer. */
static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how)
{
    struct receiver *receiver = context;
    struct delivery *delivery = *request;
    size_t i;

    (void)connection;
    (void)how; /* an event that is known must be answered now: its repeat will be dropped */
    if (delivery == NULL)
        return;
    for (i = 0; delivery->is_new != NULL && i < hma_events_count(delivery->events); i++)
        if (delivery->is_new[i] && is_for_us(delivery->events, i))
            answer(receiver, delivery->events, i);
    end_delivery(receiver, delivery);
    hma_events_free(delivery->events);
    free(delivery->is_new);
    free(delivery->body);
    free(delivery);
    *request = NULL;
}

static int is_set(const char *value, const char *name)
{
    if (value != NULL && value[0] != '\0')
        return 1;
    fprintf(stderr, "%s is not set\n", name);
    return 0;
}

/* Reads the settings. Returns 0 if something is missing. */
static int prepare(struct receiver *receiver)
{
    char *error = NULL;

    pthread_mutex_init(&receiver->lock, NULL);
    pthread_cond_init(&receiver->answered, NULL);
    receiver->config = hma_config_from_env();
    receiver->secret = hma_config_webhook_secret(receiver->config);
    receiver->verify_token = getenv("VERIFY_TOKEN");
    receiver->answer = hma_message_text("Thank you! We will be with you soon.");
    if (hma_client_new(receiver->config, &receiver->client, &error) != HMA_OK) {
        fprintf(stderr, "%s\n", error);
        hma_string_free(error);
        return 0;
    }
    return is_set(receiver->secret, "WEBHOOK_HMAC_SECRET") && is_set(receiver->verify_token, "VERIFY_TOKEN");
}

static void clean_up(struct receiver *receiver)
{
    size_t i;

    for (i = 0; i < KEYS_KEPT; i++)
        free(receiver->seen[i]);
    hma_message_free(receiver->answer);
    hma_client_free(receiver->client);
    hma_config_free(receiver->config);
    pthread_cond_destroy(&receiver->answered);
    pthread_mutex_destroy(&receiver->lock);
}

static struct MHD_Daemon *start(struct receiver *receiver, unsigned short port)
{
    struct sockaddr_in address;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, port, NULL, NULL,
                            on_request, receiver, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, receiver, MHD_OPTION_CONNECTION_LIMIT, 64u,
                            MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_END);
}

/* Returns the port, or -1 if the text is not a port. */
static long port_of(const char *text)
{
    char *end;
    const long port = strtol(text, &end, 10);
    return end != text && *end == '\0' && port >= 0 && port <= 65535 ? port : -1;
}

int main(int argc, char **argv)
{
    static struct receiver receiver;
    struct MHD_Daemon *daemon;
    sigset_t ending;
    const long port = argc == 2 ? port_of(argv[1]) : 0;
    int signal_number;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0;
    if (argc > 2 || port < 0) {
        fputs(usage, stderr);
        return 64;
    }
    /* Blocked in all threads, so that only sigwait() below receives them. */
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ending, NULL);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);

    if (!prepare(&receiver)) {
        clean_up(&receiver);
        return 1;
    }
    daemon = start(&receiver, (unsigned short)port);
    if (daemon == NULL) {
        fprintf(stderr, "cannot listen on port %ld\n", port);
        clean_up(&receiver);
        return 1;
    }
    printf("listening on http://127.0.0.1:%u\n",
           (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    sigwait(&ending, &signal_number);
    stop(&receiver);
    MHD_stop_daemon(daemon);
    clean_up(&receiver);
    return 0;
}
