/*
 * hookmyapp.h - send Instagram direct messages through the HookMyApp gateway.
 *
 *     hma_client *client = NULL;
 *     hma_response *response = NULL;
 *     char *error = NULL;
 *     hma_status status = hma_client_from_env(&client, &error);
 *     if (status == HMA_OK)
 *         status = hma_send_text(client, "8123456789012345", "Hello", &response, &error);
 *     if (status != HMA_OK)
 *         fprintf(stderr, "%s\n", error);
 *     hma_string_free(error);
 *     hma_response_free(response);
 *     hma_client_free(client);
 *
 * Start     Set INSTAGRAM_API_URL, INSTAGRAM_ACCOUNT_ID and
 *           INSTAGRAM_ACCESS_TOKEN in the environment, or use hma_config_new().
 *           A recipient is an Instagram-scoped id (IGSID): the sender.id of a
 *           webhook. Link with $(pkg-config --cflags --libs hookmyapp).
 * Status    A call that can fail returns an hma_status. HMA_OK is 0. For every
 *           other status the tens digit states the delivery of the message. 1x: not
 *           sent, so a retry is safe once the cause is removed. 2x: rejected, not
 *           delivered. 3x: possibly delivered, do not repeat it blindly. Each
 *           HMA_ERROR_* constant below states what failed and what to do;
 *           hma_status_text() returns that as a sentence. The library never
 *           repeats a send by itself, and neither the gateway nor Meta recognises
 *           a repeated message.
 * Memory    You own every object returned through an *_out argument or as a
 *           non-const pointer. Free it once with the function named after its
 *           type; hma_string_free() frees error strings. A returned const char *
 *           belongs to the object it was read from: do not free it. Arguments are
 *           copied before the call returns. Free functions accept NULL.
 * Outputs   Every *_out argument is written on every return, NULL on failure. An
 *           old value is overwritten, not freed. One block of code at the end can
 *           therefore free everything. response_out is also set if the gateway
 *           rejected the message. An unwanted *_out argument may be NULL, except
 *           client_out and events_out.
 * Strings   NUL-terminated UTF-8 that no other thread changes during the call.
 *           An error string is one line of English. It contains neither the access
 *           token nor a proxy's password.
 * Threads   Functions with a const pointer may run on the same object in any
 *           number of threads at once. Functions with a non-const pointer need
 *           exclusive access to the object. Name lookups run on a helper thread,
 *           the only thread that the library starts. It inherits the caller's
 *           signal mask, so a signal handler of the program may run on it.
 *           hma_client_new(), the functions with from_env in their names and the
 *           system's name lookup read the environment: no other thread may change
 *           it at the same time, as with getenv().
 * Stack     A calling thread needs 64 KiB of stack.
 * Fork      A child may use a client of its parent if no other thread was inside a
 *           call at the fork. The child opens its own connections.
 * Limits    Do not cancel a thread that is inside a call, do not longjmp out of a
 *           call, and do not call from a signal handler. The shared library stays
 *           loaded after dlclose(). Running out of memory ends the process. A
 *           panic, which is a bug, prints Rust's message to standard error and is
 *           returned as HMA_ERROR_INTERNAL. Nothing else is ever printed.
 *
 * Generated from src/capi by cbindgen: change the sources, then `make header`.
 */
#ifndef HOOKMYAPP_H
#define HOOKMYAPP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this header; hma_version() is that of the library. */
#define HMA_VERSION_STRING "0.1.0"
#define HMA_VERSION_MAJOR 0
#define HMA_VERSION_MINOR 1
#define HMA_VERSION_PATCH 0


/**
 * Sends messages as one Instagram account, and keeps connections for the next
 * send. Create one and share it.
 *
 * Threads: any number of threads may send through one client at once.
 */
typedef struct hma_client hma_client;

/**
 * Settings for a client: where to send, as whom, and how long to wait.
 *
 * Constructors never return NULL and setters never fail. An invalid setting is
 * stored as an error, which hma_client_new() reports as `HMA_ERROR_CONFIG`. So
 * is a NULL, or a text that is not UTF-8, where a text is required. Setting it
 * again to a valid value clears the error. Setters do nothing on a NULL
 * configuration.
 *
 * Threads: any number of threads may read one configuration at once; setters
 * need exclusive access.
 */
typedef struct hma_config hma_config;

/**
 * The events of one webhook delivery, in its order.
 *
 * An index identifies an event, from 0 to hma_events_count() - 1. Every text
 * that this object returns is valid until hma_events_free(). If the delivery
 * does not contain a value, an accessor returns NULL, 0 or -1, and so it does
 * for NULL and for an index out of range. Ids are opaque, of any length.
 *
 * Threads: any number of threads may read the same events at once.
 */
typedef struct hma_events hma_events;

/**
 * A message, built once and sent to any number of users.
 *
 * Constructors never return NULL and setters never fail. The first error is
 * stored, and the send reports it as `HMA_ERROR_ARGUMENT` before anything is
 * sent. A call that does not match the message is an error, such as a card on
 * a text. So is a NULL where it is not allowed. Setters do nothing on a NULL
 * message.
 *
 * The send also checks the limits that Meta documents. A text is counted in
 * bytes of UTF-8, a title in characters (Unicode scalar values). Nothing is
 * ever truncated.
 *
 * Threads: any number of threads may send one message at once; setters need
 * exclusive access.
 */
typedef struct hma_message hma_message;

/**
 * The response of the gateway, whether it accepted or rejected the message.
 *
 * Every text that a response returns is valid until hma_response_free(). If
 * the response does not contain a value, an accessor returns NULL, 0 or -1,
 * and so it does for NULL.
 *
 * Threads: any number of threads may read one response at once.
 */
typedef struct hma_response hma_response;

/**
 * The result of a call: `HMA_OK` or one of the `HMA_ERROR_*` constants.
 *
 * The tens digit states whether the message was sent, see
 * hma_status_delivery(). A later version may return codes that this header
 * does not list; they fall into the same classes. Numbers never change.
 */
typedef int32_t hma_status;

/**
 * Whether the message was delivered: one of the `HMA_DELIVERY_*` constants.
 */
typedef int32_t hma_delivery;

/**
 * What a failure is about: one of the `HMA_SCOPE_*` constants.
 */
typedef int32_t hma_scope;

/**
 * The kind of media of an attachment: one of the `HMA_ATTACHMENT_*` constants.
 */
typedef int32_t hma_attachment_kind;

/**
 * An action of the account in a chat (Meta's sender action): one of the
 * `HMA_ACTION_*` constants.
 */
typedef int32_t hma_action;

/**
 * The contact data that a quick reply offers: one of the `HMA_CONTACT_*`
 * constants.
 */
typedef int32_t hma_contact_kind;

/**
 * The kind of an event: one of the `HMA_EVENT_*` constants.
 *
 * A later version may return kinds that this header does not list. Numbers
 * never change.
 */
typedef int32_t hma_event_kind;

/**
 * The gateway accepted the message.
 */
#define HMA_OK 0

/**
 * Not sent: an argument is NULL, not UTF-8 or invalid, or exceeds a limit that
 * Meta documents. Correct it.
 */
#define HMA_ERROR_ARGUMENT 10

/**
 * Not sent: a setting is missing or invalid. Correct the configuration.
 */
#define HMA_ERROR_CONFIG 11

/**
 * Not sent: no connection to the gateway (name lookup, TCP, proxy or TLS), or
 * it closed before the first byte of the request. Retry later.
 */
#define HMA_ERROR_CONNECT 12

/**
 * The signature of a webhook does not match its body. No send was involved.
 * Respond 401 and discard the body.
 */
#define HMA_ERROR_SIGNATURE 13

/**
 * Rejected for a reason that is not one of those below. Change the message.
 */
#define HMA_ERROR_REJECTED 20

/**
 * Rejected: the access token is invalid. Set the current one.
 */
#define HMA_ERROR_AUTH 21

/**
 * Rejected: too many messages. Wait before the next send, see
 * hma_response_retry_after().
 */
#define HMA_ERROR_RATE_LIMITED 22

/**
 * Rejected: the 24-hour window is closed. The user must write first.
 */
#define HMA_ERROR_WINDOW_CLOSED 23

/**
 * Rejected: the user does not exist, cannot be reached, or is not the user of
 * the sandbox. Check the recipient id.
 */
#define HMA_ERROR_RECIPIENT 24

/**
 * Rejected: the account may not send. Check its link to Instagram, its
 * permissions and its standing with Meta.
 */
#define HMA_ERROR_ACCOUNT 25

/**
 * Rejected: Meta could not fetch or use the media. Check URL, type and size.
 */
#define HMA_ERROR_MEDIA 26

/**
 * Rejected: not by a gateway. Correct the base URL and the account id, or
 * check what is in between. The error string names the URL.
 */
#define HMA_ERROR_ENDPOINT 27

/**
 * Unknown: the gateway or Meta failed. The message may have been delivered. Do
 * not repeat it blindly.
 */
#define HMA_ERROR_SERVER 30

/**
 * Unknown: the request left, but no usable response arrived. The message may
 * have been delivered. Do not repeat it blindly.
 */
#define HMA_ERROR_LOST 31

/**
 * Unknown: a bug in this library. The message may have been delivered. Please
 * report it with the error string.
 */
#define HMA_ERROR_INTERNAL 32

/**
 * The gateway accepted the message.
 */
#define HMA_DELIVERY_ACCEPTED 0

/**
 * The message never reached the gateway. A retry is safe.
 */
#define HMA_DELIVERY_NOT_SENT 1

/**
 * The gateway or Meta rejected the message. It was not delivered.
 */
#define HMA_DELIVERY_REJECTED 2

/**
 * The message may have been delivered. A retry may deliver it twice.
 */
#define HMA_DELIVERY_UNKNOWN 3

/**
 * The scope of `HMA_OK`: there is no failure.
 */
#define HMA_SCOPE_NONE 0

/**
 * This message. Other messages may be accepted.
 */
#define HMA_SCOPE_MESSAGE 1

/**
 * This user. Other messages to the same user fail too, until something changes
 * on their side.
 */
#define HMA_SCOPE_RECIPIENT 2

/**
 * The account, its token or the settings. No message is accepted until a
 * person corrects this. Stop.
 */
#define HMA_SCOPE_ACCOUNT 3

/**
 * The moment: the network, the gateway, Meta or a limit. Wait, then continue
 * with the rest. If it lasts, stop.
 */
#define HMA_SCOPE_MOMENT 4

/**
 * PNG, JPEG or GIF, up to 8 MB.
 */
#define HMA_ATTACHMENT_IMAGE 1

/**
 * MP4, OGG, AVI, MOV or WebM, up to 25 MB. Meta takes up to 75 seconds to
 * fetch it.
 */
#define HMA_ATTACHMENT_VIDEO 2

/**
 * AAC, M4A, WAV or MP4, up to 25 MB.
 */
#define HMA_ATTACHMENT_AUDIO 3

/**
 * PDF, up to 25 MB.
 */
#define HMA_ATTACHMENT_FILE 4

/**
 * The phone number of the user's profile.
 */
#define HMA_CONTACT_PHONE 1

/**
 * The email address of the user's profile.
 */
#define HMA_CONTACT_EMAIL 2

/**
 * Shows the typing indicator.
 */
#define HMA_ACTION_TYPING_ON 1

/**
 * Hides the typing indicator.
 */
#define HMA_ACTION_TYPING_OFF 2

/**
 * Marks the user's messages as seen.
 */
#define HMA_ACTION_MARK_SEEN 3

/**
 * An event that this version does not support. hma_events_json() returns it.
 */
#define HMA_EVENT_OTHER 0

/**
 * The user sent a message: a text, media, a tap on a quick reply.
 */
#define HMA_EVENT_MESSAGE 1

/**
 * The account itself sent a message, from this program or any other. The
 * message id shows whether a send with an unknown outcome was delivered.
 */
#define HMA_EVENT_ECHO 2

/**
 * A message was deleted by its sender.
 */
#define HMA_EVENT_DELETED 3

/**
 * The user sent a message that Instagram does not forward.
 */
#define HMA_EVENT_UNSUPPORTED 4

/**
 * The user tapped a button, an ice breaker or a menu entry.
 */
#define HMA_EVENT_POSTBACK 5

/**
 * The user reacted to a message or removed the reaction.
 */
#define HMA_EVENT_REACTION 6

/**
 * The user has seen a message.
 */
#define HMA_EVENT_READ 7

/**
 * The user opened an existing chat through an ig.me link.
 */
#define HMA_EVENT_REFERRAL 8

/**
 * A message was edited.
 */
#define HMA_EVENT_EDIT 9

/**
 * A user commented on a post or a reel.
 */
#define HMA_EVENT_COMMENT 10

/**
 * A user commented on a live broadcast.
 */
#define HMA_EVENT_LIVE_COMMENT 11

/**
 * A user mentioned the account in a comment or a caption.
 */
#define HMA_EVENT_MENTION 12

/**
 * Returns the version of the loaded library, such as "0.1.0".
 *
 * Compare it with `HMA_VERSION_STRING` to detect a header of another version.
 * The text is static: do not free it.
 */
const char *hma_version(void);

/**
 * Returns a human-readable sentence that states what `status` means and what
 * to do.
 *
 * Never NULL, also for a status that this version does not list. The text is
 * static: do not free it.
 */
const char *hma_status_text(hma_status status);

/**
 * Returns the delivery of the message for `status`: 0 is accepted, 10 to 19
 * not sent, 20 to 29 rejected, and everything else possibly delivered.
 *
 * The result is correct also for codes of later versions.
 */
hma_delivery hma_status_delivery(hma_status status);

/**
 * Returns what a failure with this status is about, so that a program with
 * many messages can decide about the rest: skip this message, skip this user,
 * stop, or wait. hma_status_delivery() is about this message only.
 *
 * An unknown status is about the message if it was not sent or rejected, else
 * about the moment.
 */
hma_scope hma_status_scope(hma_status status);

/**
 * Returns a name for logs and databases, such as "WINDOW_CLOSED". The name of
 * `HMA_OK` is "OK"; that of an unknown status is "UNKNOWN".
 *
 * Never NULL. Names never change. The text is static: do not free it.
 */
const char *hma_status_name(hma_status status);

/**
 * Frees a string that a function of this library returned through a char **.
 * The program may have overwritten the text within its length. NULL is allowed
 * and does nothing.
 */
void hma_string_free(char *string);

/**
 * Starts a configuration from the three settings that every client needs.
 *
 * `base_url` is the URL before the account id, with the Graph version, such as
 * "https://gateway.hookmyapp.com/meta/v25.0". It must be https. Plain http is
 * accepted only for localhost and loopback addresses. It must not contain a
 * query, a fragment or a user name. Trailing slashes are removed.
 *
 * `account_id` is the id of the Instagram account that sends: letters, digits
 * and
 * - _ . ~. `access_token` is the gateway's token for that account: visible
 *   ASCII. None may be NULL, and each has at most 4096 bytes.
 *
 * Never returns NULL. Free it with hma_config_free().
 */
hma_config *hma_config_new(const char *base_url,
                           const char *account_id,
                           const char *access_token);

/**
 * Starts a configuration from the environment of the process.
 *
 * Reads these variables; where two are named, the first that is set is used:
 *
 *     base URL             INSTAGRAM_API_URL, INSTAGRAM_GRAPH_API_URL
 *     account id           INSTAGRAM_ACCOUNT_ID, INSTAGRAM_USER_ID
 *     token                INSTAGRAM_ACCESS_TOKEN
 *     proxy                HTTPS_PROXY, https_proxy
 *     hosts without proxy  NO_PROXY, no_proxy
 *     webhook secret       WEBHOOK_HMAC_SECRET
 *
 * Values are trimmed, and an empty value counts as unset. hma_client_new()
 * reports all missing variables at once. No other thread may change the
 * environment at the same time, as with getenv().
 *
 * Never returns NULL. Free it with hma_config_free().
 */
hma_config *hma_config_from_env(void);

/**
 * Starts a configuration from the file that `hookmyapp sandbox env --write` or
 * `hookmyapp channels env --write` creates.
 *
 * The names are those of hma_config_from_env(). The environment is read only
 * for proxy variables that the file does not contain; no other thread may
 * change it at the same time. `path` must not be NULL. A file that cannot be
 * read, is not a regular file or is larger than 1 MiB is an error that names
 * the path and the reason.
 *
 * The syntax is that of Node's dotenv 16, with two differences. A # begins a
 * comment only at the start of a value or after a space, so that a#b is kept.
 * A value begins on the line of its name.
 *
 * Never returns NULL. Free it with hma_config_free().
 */
hma_config *hma_config_from_env_file(const char *path);

/**
 * Limits how long one send may block, from the name lookup to the last byte of
 * the response. Default: 80000 milliseconds, because Meta may take 75 seconds
 * to fetch a video. 0 is an error.
 */
void hma_config_set_timeout(hma_config *config, uint32_t milliseconds);

/**
 * Limits how long a send may take to connect: name lookup, TCP, proxy and TLS.
 * Default: 10000 milliseconds. 0 is an error. The limit of the whole send
 * applies as well.
 */
void hma_config_set_connect_timeout(hma_config *config, uint32_t milliseconds);

/**
 * Limits how long an idle connection is kept for the next send, in
 * milliseconds. 0 disables reuse.
 *
 * Default: one second less than the gateway announces ("Keep-Alive:
 * timeout=N"), at most 10 minutes. If it announces nothing, 4 seconds. A time
 * set here never extends an announced one.
 *
 * If the gateway announces nothing, do not set more than its own idle timeout.
 * A send may otherwise meet a connection that is being closed, and then ends
 * as `HMA_ERROR_LOST`.
 */
void hma_config_set_keep_alive(hma_config *config, uint32_t milliseconds);

/**
 * Trusts exactly the certificates in this PEM file. NULL, the default, trusts
 * Mozilla's set. hma_client_new() reads the file. A file that contains no
 * certificate, is larger than 16 MiB or is not a regular file is an error.
 */
void hma_config_set_ca_file(hma_config *config, const char *path);

/**
 * Connects through this HTTP CONNECT proxy:
 * "http://[user:password@]host[:port]" (default port 80), or the same with
 * https (default port 443). NULL means no proxy. A gateway on localhost or a
 * loopback address is always connected to directly.
 */
void hma_config_set_proxy(hma_config *config, const char *url);

/**
 * Sets the hosts that are connected to directly, without the proxy. The syntax
 * is that of the NO_PROXY variable: names and addresses separated by commas,
 * each with or without a port. A name matches itself and all subdomains, an
 * address matches itself, and * matches every host. NULL, the default, matches
 * none.
 */
void hma_config_set_no_proxy(hma_config *config, const char *hosts);

/**
 * Returns the URL that a send POSTs to. It contains no secret, so it can be
 * logged.
 *
 * Returns NULL while a setting is missing or invalid, and for NULL. The text
 * is valid until the next setter or hma_config_free().
 */
const char *hma_config_url(const hma_config *config);

/**
 * Returns the secret for hma_webhook_verify(): the value of
 * WEBHOOK_HMAC_SECRET, if the configuration was read from the environment or a
 * file and contains it. Returns NULL otherwise, and for NULL. A send does not
 * need it.
 *
 * Older setups sign with VERIFY_TOKEN. It is never used as a fallback: a
 * receiver returns it to anyone who sends a GET, and anyone who knows the key
 * can forge deliveries. The text is valid until hma_config_free().
 */
const char *hma_config_webhook_secret(const hma_config *config);

/**
 * Returns the settings in the environment that are probably unintended, one
 * warning per line: both base URLs are set, or both account ids are set and
 * differ.
 *
 * Returns NULL if there is no warning, and for NULL. The text is valid until
 * hma_config_free().
 */
const char *hma_config_warnings(const hma_config *config);

/**
 * Frees a configuration. Clients that were created from it stay valid. NULL is
 * allowed and does nothing.
 */
void hma_config_free(hma_config *config);

/**
 * Creates a client. Opens no connection, and copies the configuration.
 *
 * On success you own `*client_out`; free it with hma_client_free(). On failure
 * it is NULL. `HMA_ERROR_CONFIG` names every setting that is missing or
 * invalid. `HMA_ERROR_ARGUMENT` is a NULL `config` or `client_out`.
 *
 * The HTTP library inside reads the environment variables ALL_PROXY,
 * HTTPS_PROXY, HTTP_PROXY and NO_PROXY, also in lower case. hookmyapp ignores
 * the result and uses the proxy of the configuration. No other thread may
 * change the environment at the same time, as with getenv().
 */
hma_status hma_client_new(const hma_config *config,
                          hma_client **client_out,
                          char **error_out);

/**
 * Creates a client from the environment: hma_config_from_env() and
 * hma_client_new() in one call. No other thread may change the environment at
 * the same time.
 */
hma_status hma_client_from_env(hma_client **client_out, char **error_out);

/**
 * Ends all calls of this client, in all threads, and rejects new ones. For a
 * daemon that stops. Does nothing on NULL.
 *
 * A send whose request had left ends as `HMA_ERROR_LOST`. Every other send
 * ends as `HMA_ERROR_CONNECT`, and so does every later one. A connection that
 * is being opened ends at once on Linux, and within 250 milliseconds
 * elsewhere. Free the client after the sends have returned.
 */
void hma_client_shutdown(const hma_client *client);

/**
 * Rejects new calls of this client and waits until the running ones end. After
 * this many milliseconds it does what hma_client_shutdown() does. For a daemon
 * that stops: with a limit of at least the timeout of a send, the outcome of
 * every send is known. Later calls are `HMA_ERROR_CONNECT`.
 *
 * Do not call it from a signal handler. Instead, let a thread wait for the
 * signal with sigwait() and call it there:
 *
 *     static void *stop_on_sigterm(void *client)
 *     {
 *         sigset_t set;
 *         int number;
 *
 *         sigemptyset(&set);
 *         sigaddset(&set, SIGTERM);
 *         sigwait(&set, &number);
 *         hma_client_drain(client, 80000);
 *         return NULL;
 *     }
 *
 * main() blocks the signal with pthread_sigmask() before it starts any thread.
 *
 * Returns how many calls ended as possibly delivered because the limit was
 * over; 0 means that every outcome is known. Returns 0 for NULL.
 */
size_t hma_client_drain(const hma_client *client, uint32_t milliseconds);

/**
 * Creates a client that differs from this one only in the timeout of its
 * calls. It shares the connections. Free it with hma_client_free(). The two
 * may be freed in any order.
 *
 * The timeout also limits connecting, if the connect timeout is longer. With 0
 * every call is `HMA_ERROR_ARGUMENT`. A short timeout makes more sends end as
 * `HMA_ERROR_LOST`: Meta may take 75 seconds to fetch a video.
 * hma_client_shutdown() and hma_client_drain() on either client apply to both.
 * Returns NULL for NULL; a send through NULL is `HMA_ERROR_ARGUMENT`.
 */
hma_client *hma_client_with_timeout(const hma_client *client,
                                    uint32_t milliseconds);

/**
 * Frees a client and closes its connections. No other thread may use it at the
 * same time. NULL is allowed and does nothing.
 */
void hma_client_free(hma_client *client);

/**
 * Sends a text to a user and waits for the response.
 *
 * `recipient_id` is the Instagram-scoped id (IGSID) of the user: the sender.id
 * of a webhook. `text` has 1 to 1000 bytes of UTF-8; for a longer text see
 * hma_text_part_length(). Neither may be NULL.
 *
 * Returns `HMA_OK` if the gateway has accepted the message. `*response_out` is
 * the response, whether the gateway accepted or rejected the message; NULL if
 * no response arrived. `*error_out` is NULL on success, else a one-line text.
 * You own both: free them with hma_response_free() and hma_string_free().
 * Either argument may be NULL. hma_status_delivery() states whether the
 * message was delivered.
 */
hma_status hma_send_text(const hma_client *client,
                         const char *recipient_id,
                         const char *text,
                         hma_response **response_out,
                         char **error_out);

/**
 * Sends a message to a user and waits for the response.
 *
 * `recipient_id` is the Instagram-scoped id (IGSID) of the user. No input may
 * be NULL. An error stored in `message` is `HMA_ERROR_ARGUMENT`, and nothing
 * is sent. The message is not changed and may be sent again. Results as with
 * hma_send_text().
 */
hma_status hma_send(const hma_client *client,
                    const char *recipient_id,
                    const hma_message *message,
                    hma_response **response_out,
                    char **error_out);

/**
 * Sends a message to the author of a comment (Meta's private reply) and waits
 * for the response. Meta allows one for each comment, within 7 days.
 *
 * `comment_id` is the id of the comment. Sender actions and reactions need a
 * user and are `HMA_ERROR_ARGUMENT`. No input may be NULL. Results as with
 * hma_send_text().
 */
hma_status hma_send_private_reply(const hma_client *client,
                                  const char *comment_id,
                                  const hma_message *message,
                                  hma_response **response_out,
                                  char **error_out);

/**
 * Sends a request body unmodified and waits for the response. For content that
 * hma_message does not support.
 *
 * `body` must be a JSON object. Anything else is `HMA_ERROR_ARGUMENT` with
 * line and column. No input may be NULL. Results as with hma_send_text().
 */
hma_status hma_send_json(const hma_client *client,
                         const char *body,
                         hma_response **response_out,
                         char **error_out);

/**
 * Uploads media for later use and waits for the response.
 * hma_response_attachment_id() then returns the id for
 * hma_message_attachment_id().
 *
 * `url` is absolute, http or https, and must not be NULL. Meta fetches it.
 * Meta documents this call; whether the gateway supports it is not confirmed.
 * The call sends no message, so repeating it after a 3x status is harmless: at
 * worst Meta stores the media twice. Results as with hma_send_text().
 */
hma_status hma_upload(const hma_client *client,
                      hma_attachment_kind kind,
                      const char *url,
                      hma_response **response_out,
                      char **error_out);

/**
 * Reads an object of the Graph API through the gateway and waits for the
 * response. Sends a GET to the base URL, a slash and `path`.
 *
 * Examples: "me?fields=user_id,username",
 * "8123456789012345?fields=name,username" and
 * "17841450000000017/conversations?platform=instagram&user_id=8123456789012345".
 * The path includes the query, percent-encoded where necessary.
 *
 * It has 1 to 4096 bytes of visible ASCII. It must not contain a leading
 * slash, an empty segment, a backslash, a #, the segments . and .., or the
 * parameter access_token. Any other path, and NULL, is `HMA_ERROR_ARGUMENT`.
 *
 * hma_response_body() returns the JSON, up to 1 MiB. A GET changes nothing, so
 * it may be repeated after any error. Meta documents these paths; only the
 * name of a user is confirmed for the gateway. Meta allows 2 calls a second
 * for conversations. Results as with hma_send_text().
 */
hma_status hma_get(const hma_client *client,
                   const char *path,
                   hma_response **response_out,
                   char **error_out);

/**
 * Creates a text of 1 to 1000 bytes of UTF-8. It accepts quick replies or
 * buttons. With buttons it becomes Meta's button template, whose text has at
 * most 640 characters.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_text(const char *text);

/**
 * Creates a message of media that Meta fetches from `url`: absolute, https or
 * http.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_attachment(hma_attachment_kind kind, const char *url);

/**
 * Creates a message of media that were uploaded before, or sent with
 * hma_message_set_reusable().
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_attachment_id(hma_attachment_kind kind,
                                       const char *attachment_id);

/**
 * Creates a message of several images. Add 1 to 10 with
 * hma_message_add_image() and hma_message_add_image_id().
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_images(void);

/**
 * Creates the heart sticker.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_heart(void);

/**
 * Creates a message of a post that belongs to the account, by its media id.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_post(const char *media_id);

/**
 * Creates a message of cards side by side (Meta's generic template). Add 1 to
 * 10 with hma_message_add_card(). Instagram does not show them on desktop.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_cards(void);

/**
 * Creates a reaction to the message `message_id`: the word "love" or an emoji.
 * A NULL `reaction_or_null` removes the reaction; another one replaces it.
 * Repeating it is harmless, also after a 3x status.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_reaction(const char *message_id,
                                  const char *reaction_or_null);

/**
 * Creates a sender action: typing on, typing off, or mark seen. Repeating it
 * is harmless, also after a 3x status.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_action(hma_action action);

/**
 * Adds an image by URL to hma_message_images(). The URL is absolute, https or
 * http.
 */
void hma_message_add_image(hma_message *message, const char *url);

/**
 * Adds an image by attachment id to hma_message_images().
 */
void hma_message_add_image_id(hma_message *message, const char *attachment_id);

/**
 * Adds a quick reply to a text without buttons: at most 13, each with a title
 * of 1 to 20 characters. When the user taps it, the webhook delivers the
 * payload, which may be empty, but not NULL.
 */
void hma_message_add_quick_reply(hma_message *message,
                                 const char *title,
                                 const char *payload);

/**
 * Adds a quick reply that offers the user's own phone number or email address.
 * It counts among the 13. Title and payload may be NULL.
 */
void hma_message_add_contact_reply(hma_message *message,
                                   hma_contact_kind kind,
                                   const char *title,
                                   const char *payload);

/**
 * Adds a card to hma_message_cards(). `title` and `subtitle` have at most 80
 * characters each. A tap on the card opens `link_url`. Both URLs are absolute,
 * https or http. The last three may be NULL, but a card with a title only
 * needs a button.
 */
void hma_message_add_card(hma_message *message,
                          const char *title,
                          const char *subtitle,
                          const char *image_url,
                          const char *link_url);

/**
 * Adds a button that opens `url`, to the text or to the last card: at most 3
 * buttons each. The title must not be empty.
 */
void hma_message_add_link_button(hma_message *message,
                                 const char *title,
                                 const char *url);

/**
 * Adds a button whose payload the webhook delivers, to the text or to the last
 * card: at most 3 buttons each. The title must not be empty. The payload may
 * be empty, but not NULL.
 */
void hma_message_add_postback_button(hma_message *message,
                                     const char *title,
                                     const char *payload);

/**
 * Sets Meta's message tag. "HUMAN_AGENT" is the only one on Instagram: a
 * person may reply with it up to 7 days after the user's last message, if Meta
 * granted that to the app. Not for reactions and sender actions.
 */
void hma_message_set_tag(hma_message *message, const char *tag);

/**
 * Sets Meta's messaging type, such as "RESPONSE" or "MESSAGE_TAG". By default
 * it is not sent. Not for reactions and sender actions.
 */
void hma_message_set_messaging_type(hma_message *message,
                                    const char *messaging_type);

/**
 * Shows the message as an inline reply to the message `message_id`. Meta
 * documents this for accounts that are connected through Facebook. Not for
 * reactions and sender actions.
 */
void hma_message_set_reply_to(hma_message *message, const char *message_id);

/**
 * Asks Meta to store an attachment by URL. hma_response_attachment_id() of the
 * response then returns the id to send it again.
 */
void hma_message_set_reusable(hma_message *message);

/**
 * Frees a message. NULL is allowed and does nothing.
 */
void hma_message_free(hma_message *message);

/**
 * Returns the request body that hma_send() would send to this user: for a
 * queue or a log. The body contains neither token nor URL. This function sends
 * nothing.
 *
 * On success you own `*json_out`: free it with hma_string_free(). A NULL
 * `json_out` only checks the message. An error is `HMA_ERROR_ARGUMENT` with
 * the text of the send.
 *
 * hma_send_json() sends the body later, byte for byte what hma_send() would
 * have sent. A queue must record which bodies it has begun to send: after a
 * crash those may have been delivered.
 */
hma_status hma_message_json(const hma_message *message,
                            const char *recipient_id,
                            char **json_out,
                            char **error_out);

/**
 * Returns the request body that hma_send_private_reply() would send for this
 * comment; see hma_message_json().
 */
hma_status hma_message_private_reply_json(const hma_message *message,
                                          const char *comment_id,
                                          char **json_out,
                                          char **error_out);

/**
 * Returns how many bytes of a long text fit the first message: 1 to 1000.
 * Returns 0 for NULL, for an empty text and for one that is not UTF-8.
 *
 *     while ((n = hma_text_part_length(text)) > 0) {
 *         memcpy(part, text, n);
 *         part[n] = '\0';
 *         text += n;
 *     }
 *
 * Called again on the rest, it splits the whole text into parts; the
 * concatenated parts are the text. A part ends after an empty line, else after
 * a line break, else after a space, if there is one in its second half.
 * Otherwise it ends between two characters, but not inside an emoji of several
 * characters, inside a flag, or before an accent. Each part needs its own
 * send: stop at the first that is not accepted.
 */
size_t hma_text_part_length(const char *text);

/**
 * Returns the HTTP status, such as 200, or 0 for NULL.
 */
int32_t hma_response_http_status(const hma_response *response);

/**
 * Returns the id of the message that was sent, or NULL. Sender actions,
 * reactions and uploads have none. It is opaque and of any length.
 */
const char *hma_response_message_id(const hma_response *response);

/**
 * Returns the id of the user that the message was sent to, or NULL.
 */
const char *hma_response_recipient_id(const hma_response *response);

/**
 * Returns the id with which uploaded or reusable media can be sent again, or
 * NULL.
 */
const char *hma_response_attachment_id(const hma_response *response);

/**
 * Returns Meta's error code, such as 10, or 0.
 */
int32_t hma_response_meta_code(const hma_response *response);

/**
 * Returns Meta's error subcode, such as 2534022, or 0.
 */
int32_t hma_response_meta_subcode(const hma_response *response);

/**
 * Returns the gateway's own error code, such as "SESSION_WINDOW_CLOSED", or
 * NULL.
 */
const char *hma_response_gateway_code(const hma_response *response);

/**
 * Returns Meta's or the gateway's error message, unmodified, or NULL.
 */
const char *hma_response_error_message(const hma_response *response);

/**
 * Returns Meta's human-readable error message (error_user_msg), or NULL.
 */
const char *hma_response_user_message(const hma_response *response);

/**
 * Returns the id that Meta's support asks for (fbtrace_id), or NULL.
 */
const char *hma_response_trace_id(const hma_response *response);

/**
 * Returns how many seconds to wait before the next call, 0 to INT32_MAX: the
 * value of Retry-After, else the longest time in Meta's usage headers. Returns
 * -1 if the response contains neither.
 */
int32_t hma_response_retry_after(const hma_response *response);

/**
 * Returns how much of Meta's limits is used, in percent: the highest value of
 * all usage headers, or -1 if there is none.
 */
int32_t hma_response_usage_percent(const hma_response *response);

/**
 * Returns the body, unmodified and followed by a NUL, or NULL for NULL. It may
 * contain a NUL itself and may not be UTF-8; see hma_response_body_length(). A
 * body longer than 64 KiB, or 1 MiB for hma_get(), is truncated to that
 * length.
 */
const char *hma_response_body(const hma_response *response);

/**
 * Returns the length of the body in bytes, without the final NUL, or 0.
 */
size_t hma_response_body_length(const hma_response *response);

/**
 * Frees a response and every text that it returned. NULL is allowed and does
 * nothing.
 */
void hma_response_free(hma_response *response);

/**
 * Verifies the X-HookMyApp-Signature-256 header of a webhook delivery:
 * HMAC-SHA-256 over the unmodified bytes of the body.
 *
 * `secret` is the value of WEBHOOK_HMAC_SECRET, see
 * hma_config_webhook_secret(). `signature` is the value of the header, or NULL
 * if the delivery has none: 64 hexadecimal digits in either case, with or
 * without the prefix sha256=. `body` may be NULL if `body_length` is 0.
 *
 * Returns `HMA_OK` if the signature matches, else `HMA_ERROR_SIGNATURE`, also
 * for a missing or empty secret or header. Then respond 401 and do not read
 * the body. A NULL `body` with a length, and a secret that is not UTF-8, are
 * `HMA_ERROR_ARGUMENT`.
 *
 * The comparison takes the same time for every invalid signature of valid
 * length. On failure `*error_out` is a one-line text that you own: free it
 * with hma_string_free(). `error_out` may be NULL.
 */
hma_status hma_webhook_verify(const char *secret,
                              const char *signature,
                              const void *body,
                              size_t body_length,
                              char **error_out);

/**
 * Returns the value of the X-HookMyApp-Signature-256 header for a body:
 * sha256= and 64 hexadecimal digits. It is for tests of receivers; HookMyApp
 * signs the real deliveries.
 *
 * On success you own `*signature_out`: free it with hma_string_free(). It may
 * be NULL. `body` may be NULL if `body_length` is 0. A NULL or empty `secret`,
 * one that is not UTF-8, and a NULL `body` with a length are
 * `HMA_ERROR_ARGUMENT`.
 */
hma_status hma_webhook_sign(const char *secret,
                            const void *body,
                            size_t body_length,
                            char **signature_out,
                            char **error_out);

/**
 * Returns when the 24-hour window closes that the user's last message opened, in
 * milliseconds since 1970.
 *
 * `last_inbound_ms` is the time of that message, see
 * hma_events_timestamp_ms(). Returns -1 for a time below zero, which is
 * unknown. The function only adds. Instagram decides, and a send after the end
 * is `HMA_ERROR_WINDOW_CLOSED`.
 */
int64_t hma_window_closes_at(int64_t last_inbound_ms);

/**
 * Returns when the 7 days end in which a person, not a program, may reply with
 * the tag HUMAN_AGENT, in milliseconds since 1970; see hma_message_set_tag().
 *
 * `last_inbound_ms` is the time of the user's last message. Returns -1 for a
 * time below zero, which is unknown. Instagram decides.
 */
int64_t hma_window_human_agent_closes_at(int64_t last_inbound_ms);

/**
 * Parses the body of a webhook delivery. Verify its signature first, see
 * hma_webhook_verify().
 *
 * `body` may be NULL if `body_length` is 0. On success you own `*events_out`;
 * free it with hma_events_free(). On failure it is NULL. A body that is not
 * JSON is `HMA_ERROR_ARGUMENT` with line and column, and so is a NULL
 * `events_out`.
 *
 * An unknown event becomes `HMA_EVENT_OTHER`. A delivery that is not about
 * Instagram contains no events, see hma_events_object(). A message without a
 * readable user is left out.
 */
hma_status hma_events_parse(const void *body,
                            size_t body_length,
                            hma_events **events_out,
                            char **error_out);

/**
 * Sends a message in reply to the event at `index` and waits for the response.
 * The message goes to the user, or to the author of a comment by private
 * reply.
 *
 * No input may be NULL. An event that allows no reply, see
 * hma_events_reply_user_id(), is `HMA_ERROR_ARGUMENT` with the reason, and so
 * is an index out of range. Nothing is sent then. Results as with
 * hma_send_text().
 */
hma_status hma_reply(const hma_client *client,
                     const hma_events *events,
                     size_t index,
                     const hma_message *message,
                     hma_response **response_out,
                     char **error_out);

/**
 * Returns what the delivery is about: "instagram", or for example
 * "whatsapp_business_account", which has no events. Returns NULL if the
 * delivery does not contain it.
 */
const char *hma_events_object(const hma_events *events);

/**
 * Returns the number of events.
 */
size_t hma_events_count(const hma_events *events);

/**
 * Returns the kind of the event: one of the `HMA_EVENT_*` constants.
 */
hma_event_kind hma_events_kind(const hma_events *events, size_t index);

/**
 * Returns 1 if another app controls the chat (Meta's standby), so that the
 * event allows no reply, else 0.
 */
int32_t hma_events_is_standby(const hma_events *events, size_t index);

/**
 * Returns 1 if the account sent the message, from this program or any other,
 * else 0.
 */
int32_t hma_events_is_echo(const hma_events *events, size_t index);

/**
 * Returns 1 if the account is also the user: a message to itself, or its own
 * comment; else 0.
 *
 * Meta does not mark all own comments. If that matters, compare
 * hma_events_username() with the account's name.
 */
int32_t hma_events_is_own(const hma_events *events, size_t index);

/**
 * Returns the id of the Instagram account that received the event, or NULL.
 */
const char *hma_events_account_id(const hma_events *events, size_t index);

/**
 * Returns the Instagram-scoped id (IGSID) of the user, or NULL.
 *
 * The user is always the other party: the sender, or the recipient of an echo.
 * A comment may not contain it.
 */
const char *hma_events_user_id(const hma_events *events, size_t index);

/**
 * Returns the name of a comment's author, without @, or NULL.
 */
const char *hma_events_username(const hma_events *events, size_t index);

/**
 * Returns the id of the user that a reply goes to, or NULL; see hma_reply().
 *
 * Returns NULL if the reply goes to hma_events_reply_comment_id(), and if the
 * event allows no reply: echoes, the account's own messages and comments,
 * standby, deleted messages, read receipts, mentions, and unknown kinds.
 */
const char *hma_events_reply_user_id(const hma_events *events, size_t index);

/**
 * Returns the id of the comment that a private reply goes to, or NULL; see
 * hma_reply().
 */
const char *hma_events_reply_comment_id(const hma_events *events, size_t index);

/**
 * Returns the id (mid) of the message, of the tapped button's message, or of the
 * edited or deleted message; or NULL.
 */
const char *hma_events_message_id(const hma_events *events,
                                  size_t index);

/**
 * Returns the id (mid) of the message that a reaction or a read receipt refers
 * to, or NULL.
 */
const char *hma_events_target_message_id(const hma_events *events,
                                         size_t index);

/**
 * Returns the id of the comment, or NULL.
 */
const char *hma_events_comment_id(const hma_events *events, size_t index);

/**
 * Returns the id of the comment that this comment replies to, or NULL.
 */
const char *hma_events_parent_id(const hma_events *events, size_t index);

/**
 * Returns the id of the post or reel that a comment or mention belongs to, or
 * NULL.
 */
const char *hma_events_media_id(const hma_events *events, size_t index);

/**
 * Returns the text of a message, an edit or a comment, or NULL.
 */
const char *hma_events_text(const hma_events *events, size_t index);

/**
 * Returns the title of the tapped button, or NULL.
 */
const char *hma_events_title(const hma_events *events, size_t index);

/**
 * Returns the payload of the tapped quick reply or button, or NULL.
 */
const char *hma_events_payload(const hma_events *events, size_t index);

/**
 * Returns the number of attachments of a message.
 */
size_t hma_events_attachment_count(const hma_events *events, size_t index);

/**
 * Returns Meta's name of the type of an attachment, or NULL.
 *
 * Names so far: image, video, audio, file, ig_post, ig_reel, reel,
 * story_mention, ig_story, share, template, ephemeral, like_heart.
 * `attachment_index` is from 0 to hma_events_attachment_count() - 1.
 */
const char *hma_events_attachment_type(const hma_events *events,
                                       size_t index,
                                       size_t attachment_index);

/**
 * Returns the URL of an attachment, or NULL: disappearing media and the heart
 * have none. The URL is signed and expires.
 */
const char *hma_events_attachment_url(const hma_events *events,
                                      size_t index,
                                      size_t attachment_index);

/**
 * Returns the id of the post or reel that was shared, or NULL.
 */
const char *hma_events_attachment_media_id(const hma_events *events,
                                           size_t index,
                                           size_t attachment_index);

/**
 * Returns the title of the shared content, or NULL.
 */
const char *hma_events_attachment_title(const hma_events *events,
                                        size_t index,
                                        size_t attachment_index);

/**
 * Returns the id (mid) of the message that this one replies to inline, or
 * NULL.
 */
const char *hma_events_reply_to_message_id(const hma_events *events,
                                           size_t index);

/**
 * Returns the id of the story that the message replies to, or NULL.
 */
const char *hma_events_story_id(const hma_events *events, size_t index);

/**
 * Returns the URL of the image or video of the story that the message replies
 * to, or NULL. The URL is signed and expires.
 */
const char *hma_events_story_url(const hma_events *events, size_t index);

/**
 * Returns the URL of the link sticker of that story, or NULL.
 */
const char *hma_events_story_link_url(const hma_events *events, size_t index);

/**
 * Returns "react", or "unreact" if a reaction was removed, or NULL.
 */
const char *hma_events_reaction_action(const hma_events *events, size_t index);

/**
 * Returns the name of the reaction, "love" or "other", or NULL.
 */
const char *hma_events_reaction_name(const hma_events *events, size_t index);

/**
 * Returns the emoji of the reaction, or NULL.
 */
const char *hma_events_reaction_emoji(const hma_events *events, size_t index);

/**
 * Returns the ref of the link or ad that the user came from, or NULL.
 */
const char *hma_events_referral_ref(const hma_events *events, size_t index);

/**
 * Returns Meta's name of the source of the user, such as "ADS" or "IGME", or
 * NULL.
 */
const char *hma_events_referral_source(const hma_events *events, size_t index);

/**
 * Returns Meta's type of the referral, such as "OPEN_THREAD", or NULL.
 */
const char *hma_events_referral_type(const hma_events *events, size_t index);

/**
 * Returns the id of the ad that the user came from, or NULL.
 */
const char *hma_events_referral_ad_id(const hma_events *events, size_t index);

/**
 * Returns the id of the product that the message is about, or NULL.
 */
const char *hma_events_referral_product_id(const hma_events *events,
                                           size_t index);

/**
 * Returns how many times the message was edited, or -1.
 */
int32_t hma_events_edit_count(const hma_events *events, size_t index);

/**
 * Returns 1 if the event is an echo of this text to this user, at or after
 * `since_ms`. Returns 0 otherwise, also for NULL, an index out of range and a
 * `since_ms` below zero. White space at the ends of the texts is ignored.
 *
 * `since_ms` is in milliseconds since 1970: the caller's clock just before the
 * send, minus the largest expected difference of the clocks.
 *
 * A match is evidence that a send with an unknown outcome was delivered, not
 * proof: another program may have sent the same text. A missing echo proves
 * nothing. Returns 0 for media and templates, for an edit, and for an echo
 * without a time.
 */
int32_t hma_events_echoes(const hma_events *events,
                          size_t index,
                          const char *recipient_id,
                          const char *text,
                          int64_t since_ms);

/**
 * Returns the time of the event, in milliseconds since 1970, or -1.
 *
 * Some senders write seconds: values below 10 to the 11th are read as seconds.
 */
int64_t hma_events_timestamp_ms(const hma_events *events, size_t index);

/**
 * Returns 1 if the event opens or renews the 24-hour window, 0 if not, and -1
 * if that is not documented.
 *
 * A comment does not. It allows one private reply, and the user's reply to
 * that opens the window.
 */
int32_t hma_events_opens_window(const hma_events *events, size_t index);

/**
 * Returns when the 24-hour window closes that this event opens, in milliseconds
 * since 1970, or -1 if it opens none or has no time; see hma_window_closes_at().
 */
int64_t hma_events_window_closes_at(const hma_events *events,
                                    size_t index);

/**
 * Returns the deduplication key: unique to the event, and the same when it is
 * delivered again. Store it to discard repeats. Returns NULL for an index out
 * of range.
 *
 * The key belongs to the event, not to the delivery: a repeat may arrive in
 * another batch. Events of different kinds about one message have different
 * keys, and so has each reaction. Compare keys, do not parse them. They may
 * have any length.
 */
const char *hma_events_key(const hma_events *events, size_t index);

/**
 * Returns the unmodified JSON of the event, for values without an accessor:
 * the item of messaging, standby or changes, or the entry if it is itself the
 * change. Returns NULL for an index out of range.
 */
const char *hma_events_json(const hma_events *events, size_t index);

/**
 * Frees events and every text that they returned. NULL is allowed and does
 * nothing.
 */
void hma_events_free(hma_events *events);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* HOOKMYAPP_H */
