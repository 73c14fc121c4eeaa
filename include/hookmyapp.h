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
 * Status    A call that can fail returns an hma_status. HMA_OK is 0. For every
 *           other status the tens digit states the delivery of the message: 1x
 *           not sent, 2x rejected, 3x possibly delivered. The library never
 *           repeats a send by itself, and neither the gateway nor Meta recognises
 *           a repeated message: see hma_status_delivery().
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
 * send: make one and share it.
 *
 * Threads: any number of threads may send through one client at once.
 */
typedef struct hma_client hma_client;

/**
 * Settings for a client: where to send, as whom, and how long to wait.
 *
 * Constructors never return NULL and setters never fail: what is wrong is
 * remembered and reported by hma_client_new(), and setting the same thing again
 * rightly forgets it. A NULL or a text that is not UTF-8, where a text is
 * needed, is such a mistake (`HMA_ERROR_CONFIG`). Setters do nothing on a NULL
 * configuration.
 *
 * Threads: reading from many threads is fine; setters need it for themselves.
 */
typedef struct hma_config hma_config;

/**
 * The events of one webhook delivery, in the order in which they came.
 *
 * An event is named by its index, from 0 up to hma_events_count(). Every text
 * that this object hands out is good until hma_events_free(). The accessors take
 * NULL and any index, and then return what they return where nothing was said:
 * NULL, 0 or -1. Ids are opaque, of any length.
 *
 * Threads: any number of threads may read the same events at once.
 */
typedef struct hma_events hma_events;

/**
 * Something to send, built once and sent to as many people as wanted.
 *
 * Constructors never return NULL and setters never fail: the first mistake is
 * remembered and reported by the send as `HMA_ERROR_ARGUMENT`, before anything
 * leaves. Limits that Meta documents are checked then too: a text is counted in
 * bytes of UTF-8, a title in characters (Unicode scalar values); nothing is ever
 * cut. A call that does not fit the message, such as a card on a text, is a
 * mistake, and so is a NULL where it is not allowed. Setters do nothing on a
 * NULL message.
 *
 * Threads: any number of threads may send one message at once; setters need it
 * for themselves.
 */
typedef struct hma_message hma_message;

/**
 * What the gateway answered, whether it accepted or refused.
 *
 * Every text that a response hands out is good until hma_response_free(). The
 * accessors take NULL and then return what they return where nothing was said:
 * NULL, 0 or -1.
 *
 * Threads: any number of threads may read one response at once.
 */
typedef struct hma_response hma_response;

/**
 * What became of a call: `HMA_OK` or one of the `HMA_ERROR_*` constants.
 *
 * The tens digit is the answer to "was it sent?", see hma_status_delivery().
 * A later version may return codes that this header does not list; they fall
 * into the same classes. Numbers never change.
 */
typedef int32_t hma_status;

/**
 * What became of the message: one of the `HMA_DELIVERY_*` constants.
 */
typedef int32_t hma_delivery;

/**
 * What a failure is about: one of the `HMA_SCOPE_*` constants.
 */
typedef int32_t hma_scope;

/**
 * What kind of media an attachment is: one of the `HMA_ATTACHMENT_*` constants.
 */
typedef int32_t hma_attachment_kind;

/**
 * Something the account does in a chat (Meta's sender action): one of the
 * `HMA_ACTION_*` constants.
 */
typedef int32_t hma_action;

/**
 * What a contact quick reply offers: one of the `HMA_CONTACT_*` constants.
 */
typedef int32_t hma_contact_kind;

/**
 * What happened: one of the `HMA_EVENT_*` constants.
 *
 * A later version may give kinds that this header does not list. Numbers never
 * change.
 */
typedef int32_t hma_event_kind;

/**
 * The gateway accepted the message.
 */
#define HMA_OK 0

/**
 * Not sent: an argument is NULL, not UTF-8, breaks a rule of the function, or
 * breaks a limit that Meta documents. Correct it.
 */
#define HMA_ERROR_ARGUMENT 10

/**
 * Not sent: a setting is missing or wrong. Correct the configuration.
 */
#define HMA_ERROR_CONFIG 11

/**
 * Not sent: no connection to the gateway (name look-up, TCP, proxy or TLS), or
 * it closed before the first byte of the request. Try again later.
 */
#define HMA_ERROR_CONNECT 12

/**
 * A webhook's signature does not fit its body; no send was involved.
 */
#define HMA_ERROR_SIGNATURE 13

/**
 * Refused for a reason that is not one of those below. Change the message.
 */
#define HMA_ERROR_REJECTED 20

/**
 * Refused: the gateway does not know the access token. Set the current one.
 */
#define HMA_ERROR_AUTH 21

/**
 * Refused: too many messages. Wait first, see hma_response_retry_after().
 */
#define HMA_ERROR_RATE_LIMITED 22

/**
 * Refused: the 24-hour window is closed. The user must write first.
 */
#define HMA_ERROR_WINDOW_CLOSED 23

/**
 * Refused: there is no such user, the user cannot be reached, or is not the
 * sandbox's own user. Check the recipient id.
 */
#define HMA_ERROR_RECIPIENT 24

/**
 * Refused: the account's link to Instagram, its permissions or its standing
 * with Meta must be put right first.
 */
#define HMA_ERROR_ACCOUNT 25

/**
 * Refused: Meta could not fetch or use the media. Check address, type, size.
 */
#define HMA_ERROR_MEDIA 26

/**
 * Refused: what answered is no gateway. Correct the base URL and the account
 * id; the error string names the URL.
 */
#define HMA_ERROR_ENDPOINT 27

/**
 * Unknown: the gateway or Meta failed midway. Do not repeat blindly.
 */
#define HMA_ERROR_SERVER 30

/**
 * Unknown: the request left, but no usable answer came. Do not repeat blindly.
 */
#define HMA_ERROR_LOST 31

/**
 * Unknown: a bug in this library. Please report it with the error string.
 */
#define HMA_ERROR_INTERNAL 32

/**
 * The gateway accepted the message.
 */
#define HMA_DELIVERY_ACCEPTED 0

/**
 * The message surely never reached the gateway: sending it again is safe.
 */
#define HMA_DELIVERY_NOT_SENT 1

/**
 * The message was refused and not delivered.
 */
#define HMA_DELIVERY_REJECTED 2

/**
 * The message may have been delivered: sending it again may deliver it twice.
 */
#define HMA_DELIVERY_UNKNOWN 3

/**
 * There is no failure: the scope of `HMA_OK`.
 */
#define HMA_SCOPE_NONE 0

/**
 * This message: others may well be accepted.
 */
#define HMA_SCOPE_MESSAGE 1

/**
 * This user: other messages to the same user fail too, until something changes
 * on their side.
 */
#define HMA_SCOPE_RECIPIENT 2

/**
 * The account, its token or the settings: nothing is accepted until a person
 * acts. Stop.
 */
#define HMA_SCOPE_ACCOUNT 3

/**
 * The moment: the network, the gateway, Meta or a limit. Wait, then go on with
 * the rest. If it lasts, stop.
 */
#define HMA_SCOPE_MOMENT 4

/**
 * PNG, JPEG or GIF, up to 8 MB.
 */
#define HMA_ATTACHMENT_IMAGE 1

/**
 * MP4, OGG, AVI, MOV or WebM, up to 25 MB, fetched by Meta within 75 seconds.
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
 * The e-mail address of the user's profile.
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
 * Something that this version does not know; hma_events_json() has all of it.
 */
#define HMA_EVENT_OTHER 0

/**
 * The user wrote: a text, media, a tap on a quick reply.
 */
#define HMA_EVENT_MESSAGE 1

/**
 * The account itself wrote, by this program or any other. The message id tells
 * whether a send whose outcome is unknown did arrive.
 */
#define HMA_EVENT_ECHO 2

/**
 * A message was taken back.
 */
#define HMA_EVENT_DELETED 3

/**
 * The user wrote something that Instagram does not hand on.
 */
#define HMA_EVENT_UNSUPPORTED 4

/**
 * The user tapped a button, an ice breaker or an entry of the menu.
 */
#define HMA_EVENT_POSTBACK 5

/**
 * The user reacted to a message or took the reaction back.
 */
#define HMA_EVENT_REACTION 6

/**
 * The user has seen a message.
 */
#define HMA_EVENT_READ 7

/**
 * The user came through an ig.me link into a chat that was there already.
 */
#define HMA_EVENT_REFERRAL 8

/**
 * A message was edited.
 */
#define HMA_EVENT_EDIT 9

/**
 * Somebody commented on a post or a reel.
 */
#define HMA_EVENT_COMMENT 10

/**
 * Somebody commented on a live broadcast.
 */
#define HMA_EVENT_LIVE_COMMENT 11

/**
 * Somebody mentioned the account in a comment or a caption.
 */
#define HMA_EVENT_MENTION 12

/**
 * Returns the version of the library that is running, such as "0.1.0".
 *
 * Compare it with `HMA_VERSION_STRING` to find a header that does not belong to the
 * library. The text is static: do not free it.
 */
const char *hma_version(void);

/**
 * Returns a sentence for people that says what `status` means and what to do.
 *
 * Never NULL, not even for a status that this version does not know. The text
 * is static: do not free it.
 */
const char *hma_status_text(hma_status status);

/**
 * Returns what `status` says about the message: 0 is accepted, 10 to 19 not
 * sent, 20 to 29 refused, and everything else possibly delivered.
 *
 * It judges codes of later versions rightly too.
 */
hma_delivery hma_status_delivery(hma_status status);

/**
 * Returns what a failure with this status is about, so that a run over many
 * messages knows what to do with the rest: skip this one, skip this user, stop,
 * or wait. hma_status_delivery() says what became of this one.
 *
 * A status that this version does not know is about the message if it was not
 * sent or refused, else about the moment.
 */
hma_scope hma_status_scope(hma_status status);

/**
 * Returns one word for logs and databases, such as "WINDOW_CLOSED"; "OK" for
 * `HMA_OK`, and "UNKNOWN" for a status that this version does not know.
 *
 * Never NULL. Names never change. The text is static: do not free it.
 */
const char *hma_status_name(hma_status status);

/**
 * Frees a string that a function of this library handed out through a char **.
 * The text may have been changed meanwhile, within its length. NULL is allowed
 * and does nothing.
 */
void hma_string_free(char *string);

/**
 * Starts a configuration from the three settings that every client needs.
 *
 * `base_url` is the address in front of the account id, with the Graph version,
 * such as "https://gateway.hookmyapp.com/meta/v25.0". Plain http is taken for
 * localhost and loopback addresses only; no query, fragment or user name;
 * trailing slashes are dropped. `account_id` is the id of the Instagram account
 * that sends: letters, digits and - _ . ~. `access_token` is the gateway's token
 * for it, visible ASCII. None may be NULL.
 *
 * Never returns NULL. Free it with hma_config_free().
 */
hma_config *hma_config_new(const char *base_url,
                           const char *account_id,
                           const char *access_token);

/**
 * Starts a configuration from the environment of the process.
 *
 * Reads INSTAGRAM_API_URL, else INSTAGRAM_GRAPH_API_URL; INSTAGRAM_ACCOUNT_ID,
 * else INSTAGRAM_USER_ID; INSTAGRAM_ACCESS_TOKEN; and HTTPS_PROXY or https_proxy
 * with NO_PROXY or no_proxy. WEBHOOK_HMAC_SECRET is kept for
 * hma_config_webhook_secret(). Values are trimmed, and an empty one counts as
 * unset. What is missing is reported by hma_client_new(), all names at once. As
 * with getenv(), no other thread may change the environment meanwhile.
 *
 * Never returns NULL. Free it with hma_config_free().
 */
hma_config *hma_config_from_env(void);

/**
 * Starts a configuration from the file that `hookmyapp sandbox env --write` or
 * `hookmyapp channels env --write` makes.
 *
 * The names are those of hma_config_from_env(); the environment itself is only
 * looked at for the proxy, where the file names none; no other thread may change
 * it meanwhile. `path` must not be NULL. What cannot be read, is no regular file
 * (a pipe, say) or is larger than 1 MiB, is a mistake that names the path and
 * the reason.
 *
 * The file is read as Node's dotenv 16 reads it, with two differences: a #
 * begins a comment only at the start of a value or behind a blank, so that a#b
 * stays whole; and a value begins on the line of its name.
 *
 * Never returns NULL. Free it with hma_config_free().
 */
hma_config *hma_config_from_env_file(const char *path);

/**
 * Limits how long one send may block, from the name look-up to the last byte of
 * the answer. Default: 80000 milliseconds, because Meta may take 75 seconds to
 * fetch a video. 0 is a mistake.
 */
void hma_config_set_timeout(hma_config *config, uint32_t milliseconds);

/**
 * Limits how long a send may take to connect: name look-up, TCP, proxy and TLS.
 * Default: 10000 milliseconds. 0 is a mistake. The limit of the whole send holds
 * as well.
 */
void hma_config_set_connect_timeout(hma_config *config,
                                    uint32_t milliseconds);

/**
 * Limits how long an idle connection is kept for the next send; 0 never reuses
 * a connection.
 *
 * Default: one second less than the gateway announces ("Keep-Alive:
 * timeout=N"), at most 10 minutes, and 4 seconds if it announces nothing. A
 * longer time set here does not outlive an announced one. If nothing is
 * announced, a time longer than the gateway's own makes it likelier that a send
 * meets a connection which is just being closed, and then ends as
 * `HMA_ERROR_LOST`.
 */
void hma_config_set_keep_alive(hma_config *config, uint32_t milliseconds);

/**
 * Trusts exactly the certificates in this PEM file. NULL, the default, trusts
 * Mozilla's set. The file is read by hma_client_new(). One without a
 * certificate, one that is larger than 16 MiB, and what is no regular file (a
 * pipe, say) are mistakes.
 */
void hma_config_set_ca_file(hma_config *config, const char *path);

/**
 * Connects through this HTTP CONNECT proxy: "http://[user:password@]host[:port]"
 * (port 80 unless given), or the same with https (port 443). NULL means none. A
 * gateway on localhost or a loopback address is always connected to directly.
 */
void hma_config_set_proxy(hma_config *config,
                          const char *url);

/**
 * Names the hosts that are connected to directly although a proxy is set, as the
 * NO_PROXY variable does: separated by commas; a name stands for itself and all
 * names below it, an address for itself, each with or without a port; * stands
 * for every host. NULL, the default, names none.
 */
void hma_config_set_no_proxy(hma_config *config,
                             const char *hosts);

/**
 * Returns the URL that a send will POST to, for logs: it holds no secret.
 *
 * NULL while a setting is wrong, and for NULL. Good until the next setter or
 * hma_config_free().
 */
const char *hma_config_url(const hma_config *config);

/**
 * Returns the secret for hma_webhook_verify(): WEBHOOK_HMAC_SECRET, where the
 * configuration was read from the environment or a file. NULL if it was not
 * there, and for NULL. Sending does not need it.
 *
 * Older setups sign with VERIFY_TOKEN. It is never taken instead: a receiver
 * tells it to everybody who asks with a GET, and who knows the key can forge
 * deliveries. Good until hma_config_free().
 */
const char *hma_config_webhook_secret(const hma_config *config);

/**
 * Returns what in the environment is probably not what was meant, one warning a
 * line: both base URLs are set, or both account ids, and they differ.
 *
 * NULL if there is nothing to warn of, and for NULL. Good until
 * hma_config_free().
 */
const char *hma_config_warnings(const hma_config *config);

/**
 * Frees a configuration; clients that were made of it are not touched. NULL is
 * allowed and does nothing.
 */
void hma_config_free(hma_config *config);

/**
 * Makes a client. Nothing is connected yet, and the configuration is copied.
 *
 * On success `*client_out` is yours; free it with hma_client_free(). On failure
 * it is NULL: `HMA_ERROR_CONFIG` names everything that is wrong with the
 * configuration, `HMA_ERROR_ARGUMENT` a NULL `config` or `client_out`.
 *
 * Reads the environment: the HTTP library inside looks at ALL_PROXY,
 * HTTPS_PROXY, HTTP_PROXY and NO_PROXY, also in small letters. What it finds is
 * not used: the proxy is that of the configuration. As with getenv(), no other
 * thread may change the environment meanwhile.
 */
hma_status hma_client_new(const hma_config *config,
                          hma_client **client_out,
                          char **error_out);

/**
 * Makes a client from the environment: hma_config_from_env() and
 * hma_client_new() in one call. As there, no other thread may change the
 * environment meanwhile.
 */
hma_status hma_client_from_env(hma_client **client_out, char **error_out);

/**
 * Ends all sends of this client, in whatever thread they block, and lets none
 * begin: for a daemon that stops. Does nothing on NULL.
 *
 * A send whose request had left ends as `HMA_ERROR_LOST`, every other one as
 * `HMA_ERROR_CONNECT`, as do all later ones. A connection that is being opened
 * ends at once on Linux, and within 250 milliseconds elsewhere. Free the client
 * once the sends have returned.
 */
void hma_client_shutdown(const hma_client *client);

/**
 * Lets no call of this client begin, waits until those under way have ended by
 * themselves, and after this many milliseconds does what hma_client_shutdown()
 * does. For a daemon that stops: with as long a limit as that of a send no
 * verdict is lost. Later calls are `HMA_ERROR_CONNECT`.
 *
 * Do not call it from a signal handler. Let a thread wait for the signal with
 * sigwait(), and call it there:
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
 * Returns how many calls ended as possibly delivered because the limit was over;
 * 0 means that every verdict is known. 0 for NULL.
 */
size_t hma_client_drain(const hma_client *client,
                        uint32_t milliseconds);

/**
 * Makes a client that shares the connections of this one and differs in the
 * limit of its calls alone. Free it with hma_client_free(). The two may be freed
 * in any order.
 *
 * Connecting ends at this limit too, if the connect timeout is longer. With 0
 * every call is `HMA_ERROR_ARGUMENT`. With too short a limit more sends end as
 * `HMA_ERROR_LOST`: Meta may take 75 seconds to fetch a video.
 * hma_client_shutdown() and hma_client_drain() on either act on both. NULL gives
 * NULL, and a send through NULL is `HMA_ERROR_ARGUMENT`.
 */
hma_client *hma_client_with_timeout(const hma_client *client,
                                    uint32_t milliseconds);

/**
 * Frees a client and closes its connections. No other thread may be using it.
 * NULL is allowed and does nothing.
 */
void hma_client_free(hma_client *client);

/**
 * Sends a text to a user and waits for the answer.
 *
 * `recipient_id` is the Instagram-scoped id (IGSID) of the user, the sender.id
 * of a webhook. `text` has 1 to 1000 bytes of UTF-8. Neither may be NULL.
 *
 * Returns `HMA_OK` once the gateway has accepted the message. `*response_out` is
 * what the gateway answered, set whether it accepted or refused; NULL if no
 * answer came. `*error_out` is NULL on success, else a one-line text. Both are
 * yours: free them with hma_response_free() and hma_string_free(). Either
 * argument may be NULL. hma_status_delivery() says what became of the message.
 */
hma_status hma_send_text(const hma_client *client,
                         const char *recipient_id,
                         const char *text,
                         hma_response **response_out,
                         char **error_out);

/**
 * Sends a message to a user and waits for the answer.
 *
 * `recipient_id` is the Instagram-scoped id (IGSID) of the user. No input may be
 * NULL. A mistake that `message` remembers is `HMA_ERROR_ARGUMENT`, and nothing
 * is sent. The message is not changed and may be sent again. Results as with
 * hma_send_text().
 */
hma_status hma_send(const hma_client *client,
                    const char *recipient_id,
                    const hma_message *message,
                    hma_response **response_out,
                    char **error_out);

/**
 * Answers a comment with a message to its author (Meta's private reply) and
 * waits for the answer. Meta allows one for each comment, within 7 days.
 *
 * `comment_id` is the id of the comment; sender actions and reactions need a
 * user and are `HMA_ERROR_ARGUMENT`. No input may be NULL. Results as with
 * hma_send_text().
 */
hma_status hma_send_private_reply(const hma_client *client,
                                  const char *comment_id,
                                  const hma_message *message,
                                  hma_response **response_out,
                                  char **error_out);

/**
 * Sends a request body as it is, byte for byte, for what hma_message does not
 * say, and waits for the answer.
 *
 * `body` is a JSON object; anything else is `HMA_ERROR_ARGUMENT` with line and
 * column. No input may be NULL. Results as with hma_send_text().
 */
hma_status hma_send_json(const hma_client *client,
                         const char *body,
                         hma_response **response_out,
                         char **error_out);

/**
 * Uploads media for later use and waits for the answer:
 * hma_response_attachment_id() then gives the id for
 * hma_message_attachment_id().
 *
 * `url` is absolute, http or https, and must not be NULL; Meta fetches it. Meta
 * documents this call; that the gateway passes it on is not proven. No message
 * is sent: after a 3x status repeating the call is harmless, and at worst Meta
 * keeps the media twice. Results as with hma_send_text().
 */
hma_status hma_upload(const hma_client *client,
                      hma_attachment_kind kind,
                      const char *url,
                      hma_response **response_out,
                      char **error_out);

/**
 * Reads something of Meta's through the gateway, by a GET of the base URL, a
 * slash and `path`, and waits for the answer.
 *
 * Such paths are "me?fields=user_id,username",
 * "8123456789012345?fields=name,username" and
 * "17841450000000017/conversations?platform=instagram&user_id=8123456789012345".
 * The query is part of the path, percent-encoded where it needs to be. A path has
 * 1 to 4096 bytes of visible ASCII, without a leading slash, an empty segment, a
 * backslash, a #, the segments . and .., and the parameter access_token; anything
 * else, and NULL, is `HMA_ERROR_ARGUMENT`.
 *
 * hma_response_body() has the answer's JSON, up to 1 MiB. A GET changes nothing:
 * after any error it may be repeated. Meta documents these paths; of the gateway
 * only the name of a user was seen. Meta allows 2 calls a second for
 * conversations. Results as with hma_send_text().
 */
hma_status hma_get(const hma_client *client,
                   const char *path,
                   hma_response **response_out,
                   char **error_out);

/**
 * Makes a text of 1 to 1000 bytes of UTF-8. With quick replies it asks a
 * question; with buttons it becomes Meta's button template, whose text has at
 * most 640 characters.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_text(const char *text);

/**
 * Makes a message of media that Meta fetches from `url`: absolute, https or
 * http.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_attachment(hma_attachment_kind kind, const char *url);

/**
 * Makes a message of media that were uploaded before, or sent with
 * hma_message_set_reusable().
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_attachment_id(hma_attachment_kind kind,
                                       const char *attachment_id);

/**
 * Makes a message of several images: add 1 to 10 with hma_message_add_image()
 * and hma_message_add_image_id().
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_images(void);

/**
 * Makes the heart sticker.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_heart(void);

/**
 * Makes a message of a post that belongs to the account, by its media id.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_post(const char *media_id);

/**
 * Makes a message of cards side by side (Meta's generic template): add 1 to 10
 * with hma_message_add_card(). Not shown on desktop.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_cards(void);

/**
 * Makes a reaction to the message `message_id`: the word "love" or an emoji.
 * A NULL `reaction_or_null` takes the reaction back; another one replaces it.
 * After a 3x status repeating it is harmless.
 *
 * Never returns NULL. Free it with hma_message_free().
 */
hma_message *hma_message_reaction(const char *message_id,
                                  const char *reaction_or_null);

/**
 * Makes a sender action: typing on, typing off, or mark seen. After a 3x status
 * repeating it is harmless.
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
 * Adds a quick reply to a text without buttons: at most 13, each with a title of
 * 1 to 20 characters. The payload comes back in the webhook when the user taps
 * it; it may be empty, but not NULL.
 */
void hma_message_add_quick_reply(hma_message *message,
                                 const char *title,
                                 const char *payload);

/**
 * Adds a quick reply that offers the user's own phone number or e-mail address;
 * it counts among the 13. Title and payload may be NULL.
 */
void hma_message_add_contact_reply(hma_message *message,
                                   hma_contact_kind kind,
                                   const char *title,
                                   const char *payload);

/**
 * Adds a card to hma_message_cards(). `title` and `subtitle` have at most 80
 * characters each; `link_url` is opened by a tap on the card; both URLs are
 * absolute, https or http. The last three may be NULL, but a card with nothing
 * but a title needs a button.
 */
void hma_message_add_card(hma_message *message,
                          const char *title,
                          const char *subtitle,
                          const char *image_url,
                          const char *link_url);

/**
 * Adds a button that opens `url`, to the text or to the last card: at most 3
 * buttons each. The title is not empty.
 */
void hma_message_add_link_button(hma_message *message,
                                 const char *title,
                                 const char *url);

/**
 * Adds a button whose payload comes back in the webhook, to the text or to the
 * last card: at most 3 buttons each. The title is not empty; the payload may be
 * empty, but not NULL.
 */
void hma_message_add_postback_button(hma_message *message,
                                     const char *title,
                                     const char *payload);

/**
 * Sets Meta's message tag. "HUMAN_AGENT" is the only one on Instagram: a person
 * may answer with it up to 7 days after the user's last message, if the app was
 * granted that. Not for reactions and sender actions.
 */
void hma_message_set_tag(hma_message *message, const char *tag);

/**
 * Sets Meta's messaging type, such as "RESPONSE" or "MESSAGE_TAG". Left out
 * unless set. Not for reactions and sender actions.
 */
void hma_message_set_messaging_type(hma_message *message,
                                    const char *messaging_type);

/**
 * Shows the message as an inline reply to the message `message_id`. Meta
 * documents it for accounts that are connected through Facebook. Not for
 * reactions and sender actions.
 */
void hma_message_set_reply_to(hma_message *message, const char *message_id);

/**
 * Asks Meta to keep an attachment by URL: hma_response_attachment_id() of the
 * answer then gives the id to send it again.
 */
void hma_message_set_reusable(hma_message *message);

/**
 * Frees a message. NULL is allowed and does nothing.
 */
void hma_message_free(hma_message *message);

/**
 * Makes the request body that hma_send() would send to this user: for a queue or
 * a log. It contains neither token nor address. Nothing is sent.
 *
 * On success `*json_out` is yours: free it with hma_string_free(). NULL for
 * `json_out` only checks the message. A mistake is `HMA_ERROR_ARGUMENT` with the
 * text that the send would give. hma_send_json() sends the body later, byte for
 * byte what hma_send() would have sent. A queue must remember which bodies it had
 * begun to send: after a crash those may have been delivered.
 */
hma_status hma_message_json(const hma_message *message,
                            const char *recipient_id,
                            char **json_out,
                            char **error_out);

/**
 * Makes the request body that hma_send_private_reply() would send in answer to
 * this comment; see hma_message_json().
 */
hma_status hma_message_private_reply_json(const hma_message *message,
                                          const char *comment_id,
                                          char **json_out,
                                          char **error_out);

/**
 * Returns how many bytes of a long text fit the first message: 1 to 1000. 0 for
 * NULL, for an empty text and for one that is not UTF-8.
 *
 *     while ((n = hma_text_part_length(text)) > 0) {
 *         memcpy(part, text, n);
 *         part[n] = '\0';
 *         text += n;
 *     }
 *
 * Called again on the rest, it cuts the whole text into parts; the parts, one
 * after the other, are the text. A part ends after a blank line, else after a
 * line break, else after a space, if there is one in its second half. Else it
 * ends between two characters, but not inside an emoji of several characters,
 * inside a flag, or before an accent. Each part is a send of its own: stop at the
 * first that is not accepted.
 */
size_t hma_text_part_length(const char *text);

/**
 * Returns the HTTP status, such as 200, or 0 for NULL.
 */
int32_t hma_response_http_status(const hma_response *response);

/**
 * Returns the id of the message that was sent, or NULL: sender actions,
 * reactions and uploads have none. Opaque, of any length.
 */
const char *hma_response_message_id(const hma_response *response);

/**
 * Returns the id of the user that the message was sent to, or NULL.
 */
const char *hma_response_recipient_id(const hma_response *response);

/**
 * Returns the id under which uploaded or reusable media can be sent again, or
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
 * Returns Meta's or the gateway's own words about an error, or NULL.
 */
const char *hma_response_error_message(const hma_response *response);

/**
 * Returns Meta's words about an error that are meant for people
 * (error_user_msg), or NULL.
 */
const char *hma_response_user_message(const hma_response *response);

/**
 * Returns the id that Meta's support asks for (fbtrace_id), or NULL.
 */
const char *hma_response_trace_id(const hma_response *response);

/**
 * Returns how many seconds to wait before the next call, 0 to INT32_MAX, or -1
 * if nobody said: what Retry-After says, else the longest time that Meta's usage
 * headers name.
 */
int32_t hma_response_retry_after(const hma_response *response);

/**
 * Returns how much of Meta's limits is used up, in percent: the highest figure
 * of all usage headers, or -1 if there is none.
 */
int32_t hma_response_usage_percent(const hma_response *response);

/**
 * Returns the body exactly as it came, with a NUL behind it, or NULL for NULL.
 * It may hold a NUL itself and need not be UTF-8; see
 * hma_response_body_length(). Of a body longer than 64 KiB it is the first 64
 * KiB.
 */
const char *hma_response_body(const hma_response *response);

/**
 * Returns the length of the body in bytes, without the NUL behind it, or 0.
 */
size_t hma_response_body_length(const hma_response *response);

/**
 * Frees a response and every text that it handed out. NULL is allowed and does
 * nothing.
 */
void hma_response_free(hma_response *response);

/**
 * Checks the X-HookMyApp-Signature-256 header of a webhook delivery:
 * HMAC-SHA-256 over the body, byte for byte as it came.
 *
 * `secret` is the value of WEBHOOK_HMAC_SECRET, see
 * hma_config_webhook_secret(). `signature` is the value of the header, or NULL
 * if the delivery has none: 64 hexadecimal digits in either case, with or
 * without sha256= in front. `body` may be NULL if `body_length` is 0.
 *
 * Returns `HMA_OK` if the signature fits. If not, it is `HMA_ERROR_SIGNATURE`,
 * also for a missing or empty secret or header: answer 401 and do not read the
 * body. A NULL `body` with a length, and a secret that is not UTF-8, are
 * `HMA_ERROR_ARGUMENT`. The comparison takes the same time wherever a wrong
 * signature differs. On failure `*error_out` is a one-line text that is yours:
 * free it with hma_string_free(). `error_out` may be NULL.
 */
hma_status hma_webhook_verify(const char *secret,
                              const char *signature,
                              const void *body,
                              size_t body_length,
                              char **error_out);

/**
 * Makes the value of the X-HookMyApp-Signature-256 header for a body: sha256= and
 * 64 hexadecimal digits. For tests of receivers; HookMyApp signs what it delivers.
 *
 * On success `*signature_out` is yours: free it with hma_string_free(). It may be
 * NULL. `body` may be NULL if `body_length` is 0. A NULL or empty `secret`, one
 * that is not UTF-8, and a NULL `body` with a length are `HMA_ERROR_ARGUMENT`.
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
 * `last_inbound_ms` is the time of that message, see hma_events_timestamp_ms().
 * Below zero, for an unknown time, gives -1. This is a plain addition: Instagram
 * has the last word, and a send after the end is `HMA_ERROR_WINDOW_CLOSED`.
 */
int64_t hma_window_closes_at(int64_t last_inbound_ms);

/**
 * Returns when the 7 days end in which a person, not a program, may answer with
 * the tag HUMAN_AGENT, in milliseconds since 1970; see hma_message_set_tag().
 *
 * `last_inbound_ms` is the time of the user's last message. Below zero, for an
 * unknown time, gives -1. Instagram has the last word.
 */
int64_t hma_window_human_agent_closes_at(int64_t last_inbound_ms);

/**
 * Reads the body of a webhook delivery. Check its signature first, see
 * hma_webhook_verify().
 *
 * `body` may be NULL if `body_length` is 0. On success `*events_out` is yours;
 * free it with hma_events_free(). On failure it is NULL: a body that is not JSON
 * is `HMA_ERROR_ARGUMENT` with line and column, and so is a NULL `events_out`.
 * What is not known becomes `HMA_EVENT_OTHER`. A delivery that is not about
 * Instagram gives no events, see hma_events_object(). A message in which no user
 * can be read is left out.
 */
hma_status hma_events_parse(const void *body,
                            size_t body_length,
                            hma_events **events_out,
                            char **error_out);

/**
 * Answers the event at `index` with a message, to the user or to a comment's
 * author by private reply, and waits for the gateway's answer.
 *
 * No input may be NULL. An event that may not be answered, see
 * hma_events_reply_user_id(), is `HMA_ERROR_ARGUMENT` with the reason, and so is
 * an index out of range; nothing is sent then. Results as with hma_send_text().
 */
hma_status hma_reply(const hma_client *client,
                     const hma_events *events,
                     size_t index,
                     const hma_message *message,
                     hma_response **response_out,
                     char **error_out);

/**
 * Returns what the delivery is about: "instagram", or for example
 * "whatsapp_business_account", which gives no events. NULL if it does not say.
 */
const char *hma_events_object(const hma_events *events);

/**
 * Returns how many events there are.
 */
size_t hma_events_count(const hma_events *events);

/**
 * Returns what happened: one of the `HMA_EVENT_*` constants.
 */
hma_event_kind hma_events_kind(const hma_events *events, size_t index);

/**
 * Returns 1 if another app holds the chat (Meta's standby), so that it must not
 * be answered, else 0.
 */
int32_t hma_events_is_standby(const hma_events *events, size_t index);

/**
 * Returns 1 if the account wrote the message, by this program or any other, else
 * 0.
 */
int32_t hma_events_is_echo(const hma_events *events,
                           size_t index);

/**
 * Returns 1 if the account is the user, too: a message to itself, or a comment of
 * its own; else 0.
 *
 * Meta does not mark all own comments: compare hma_events_username() with the
 * account's name where that matters.
 */
int32_t hma_events_is_own(const hma_events *events,
                          size_t index);

/**
 * Returns the id of the Instagram account that it happened to, or NULL.
 */
const char *hma_events_account_id(const hma_events *events, size_t index);

/**
 * Returns the Instagram-scoped id (IGSID) of the user, or NULL.
 *
 * The user is always the other party: the sender, or for an echo the recipient. A
 * comment may come without it.
 */
const char *hma_events_user_id(const hma_events *events,
                               size_t index);

/**
 * Returns the name of a comment's author, without @, or NULL.
 */
const char *hma_events_username(const hma_events *events, size_t index);

/**
 * Returns the id of the user to whom an answer may go, or NULL; see hma_reply().
 *
 * NULL where hma_events_reply_comment_id() says whom to answer, and where nobody
 * may be answered: echoes, the account's own messages and comments, standby,
 * deleted messages, read receipts, mentions, and kinds that are not known.
 */
const char *hma_events_reply_user_id(const hma_events *events,
                                     size_t index);

/**
 * Returns the id of the comment that may be answered by private reply, or NULL;
 * see hma_reply().
 */
const char *hma_events_reply_comment_id(const hma_events *events, size_t index);

/**
 * Returns the id (mid) of the message, of the tapped button's message, or of the
 * edited or deleted message; or NULL.
 */
const char *hma_events_message_id(const hma_events *events,
                                  size_t index);

/**
 * Returns the id (mid) of the message that a reaction or a read receipt is about,
 * or NULL.
 */
const char *hma_events_target_message_id(const hma_events *events,
                                         size_t index);

/**
 * Returns the id of the comment, or NULL.
 */
const char *hma_events_comment_id(const hma_events *events, size_t index);

/**
 * Returns the id of the comment that this comment answers, or NULL.
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
 * Returns the words on the tapped button, or NULL.
 */
const char *hma_events_title(const hma_events *events, size_t index);

/**
 * Returns what the tapped quick reply or button carries, or NULL.
 */
const char *hma_events_payload(const hma_events *events, size_t index);

/**
 * Returns how many attachments a message has.
 */
size_t hma_events_attachment_count(const hma_events *events, size_t index);

/**
 * Returns what an attachment is, in Meta's word, or NULL.
 *
 * Words so far: image, video, audio, file, ig_post, ig_reel, reel, story_mention,
 * ig_story, share, template, ephemeral, like_heart. `attachment_index` counts from
 * 0 up to hma_events_attachment_count().
 */
const char *hma_events_attachment_type(const hma_events *events,
                                       size_t index,
                                       size_t attachment_index);

/**
 * Returns where to fetch an attachment, or NULL: disappearing media and the heart
 * have no address. The link is signed and runs out.
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
 * Returns the title of what was shared, or NULL.
 */
const char *hma_events_attachment_title(const hma_events *events,
                                        size_t index,
                                        size_t attachment_index);

/**
 * Returns the id (mid) of the message that this one answers inline, or NULL.
 */
const char *hma_events_reply_to_message_id(const hma_events *events,
                                           size_t index);

/**
 * Returns the id of the story that the message answers, or NULL.
 */
const char *hma_events_story_id(const hma_events *events, size_t index);

/**
 * Returns where to fetch the picture or film of the story that the message
 * answers, or NULL. The link is signed and runs out.
 */
const char *hma_events_story_url(const hma_events *events, size_t index);

/**
 * Returns where the link sticker of that story leads, or NULL.
 */
const char *hma_events_story_link_url(const hma_events *events, size_t index);

/**
 * Returns "react", or "unreact" where a reaction was taken back, or NULL.
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
 * Returns where the user came from, in Meta's word, such as "ADS" or "IGME", or
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
 * Returns how often the message was edited, or -1.
 */
int32_t hma_events_edit_count(const hma_events *events, size_t index);

/**
 * Returns 1 if the event is an echo of this text to this user, at or after
 * `since_ms`: milliseconds since 1970, the caller's clock just before the send,
 * less what the clocks may differ. Else 0, also for NULL, an index out of range
 * and `since_ms` below zero. Spaces and line breaks at the ends of the texts do
 * not count.
 *
 * It is evidence that a send with an unknown outcome did arrive, not proof: the
 * same text from another program looks the same. That no such echo comes proves
 * nothing. 0 for media and templates, for an edit, and for an echo without a
 * time.
 */
int32_t hma_events_echoes(const hma_events *events,
                          size_t index,
                          const char *recipient_id,
                          const char *text,
                          int64_t since_ms);

/**
 * Returns when it happened, in milliseconds since 1970, or -1.
 *
 * Some senders write seconds: values below 10 to the 11th are taken as such.
 */
int64_t hma_events_timestamp_ms(const hma_events *events, size_t index);

/**
 * Returns 1 if the event opens or renews the 24-hour window, 0 if not, and -1
 * where no source says.
 *
 * A comment does not: it allows one private reply, and the user's answer to that
 * opens the window.
 */
int32_t hma_events_opens_window(const hma_events *events,
                                size_t index);

/**
 * Returns when the 24-hour window closes that this event opens, in milliseconds
 * since 1970, or -1 if it opens none or has no time; see hma_window_closes_at().
 */
int64_t hma_events_window_closes_at(const hma_events *events,
                                    size_t index);

/**
 * Returns what tells this event from every other one, and is the same when it
 * comes again: keep it to drop repeats. NULL for an index out of range.
 *
 * It belongs to the event, not to the delivery, since a repeat may come in another
 * batch. The kinds of events about one message have keys of their own, and so has
 * each reaction. To be compared, not read; of any length.
 */
const char *hma_events_key(const hma_events *events,
                           size_t index);

/**
 * Returns the event's JSON as it came, for what has no accessor: the item of
 * messaging, standby or changes, or the entry where a comment stands in it. NULL
 * for an index out of range.
 */
const char *hma_events_json(const hma_events *events,
                            size_t index);

/**
 * Frees events and every text that they handed out. NULL is allowed and does
 * nothing.
 */
void hma_events_free(hma_events *events);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* HOOKMYAPP_H */
