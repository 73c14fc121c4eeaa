/*
 * hookmyapp.cdef.h - the declarations of hookmyapp.h without directives and
 * comments, for foreign function interfaces that have no preprocessor, such as
 * cffi (Python), LuaJIT and PHP FFI. hookmyapp.h documents them.
 *
 * Generated from src/capi by cbindgen: change the sources, then `make header`.
 */

typedef enum {
    HMA_OK = 0,
    HMA_ERROR_ARGUMENT = 10,
    HMA_ERROR_CONFIG = 11,
    HMA_ERROR_CONNECT = 12,
    HMA_ERROR_SIGNATURE = 13,
    HMA_ERROR_REJECTED = 20,
    HMA_ERROR_AUTH = 21,
    HMA_ERROR_RATE_LIMITED = 22,
    HMA_ERROR_WINDOW_CLOSED = 23,
    HMA_ERROR_RECIPIENT = 24,
    HMA_ERROR_ACCOUNT = 25,
    HMA_ERROR_MEDIA = 26,
    HMA_ERROR_ENDPOINT = 27,
    HMA_ERROR_SERVER = 30,
    HMA_ERROR_LOST = 31,
    HMA_ERROR_INTERNAL = 32
} hma_status_constants;

typedef enum {
    HMA_DELIVERY_ACCEPTED = 0,
    HMA_DELIVERY_NOT_SENT = 1,
    HMA_DELIVERY_REJECTED = 2,
    HMA_DELIVERY_UNKNOWN = 3
} hma_delivery_constants;

typedef enum {
    HMA_SCOPE_NONE = 0,
    HMA_SCOPE_MESSAGE = 1,
    HMA_SCOPE_RECIPIENT = 2,
    HMA_SCOPE_ACCOUNT = 3,
    HMA_SCOPE_MOMENT = 4
} hma_scope_constants;

typedef enum {
    HMA_ATTACHMENT_IMAGE = 1,
    HMA_ATTACHMENT_VIDEO = 2,
    HMA_ATTACHMENT_AUDIO = 3,
    HMA_ATTACHMENT_FILE = 4
} hma_attachment_kind_constants;

typedef enum {
    HMA_CONTACT_PHONE = 1,
    HMA_CONTACT_EMAIL = 2
} hma_contact_kind_constants;

typedef enum {
    HMA_ACTION_TYPING_ON = 1,
    HMA_ACTION_TYPING_OFF = 2,
    HMA_ACTION_MARK_SEEN = 3
} hma_action_constants;

typedef enum {
    HMA_EVENT_OTHER = 0,
    HMA_EVENT_MESSAGE = 1,
    HMA_EVENT_ECHO = 2,
    HMA_EVENT_DELETED = 3,
    HMA_EVENT_UNSUPPORTED = 4,
    HMA_EVENT_POSTBACK = 5,
    HMA_EVENT_REACTION = 6,
    HMA_EVENT_READ = 7,
    HMA_EVENT_REFERRAL = 8,
    HMA_EVENT_EDIT = 9,
    HMA_EVENT_COMMENT = 10,
    HMA_EVENT_LIVE_COMMENT = 11,
    HMA_EVENT_MENTION = 12
} hma_event_kind_constants;

typedef struct hma_client hma_client;

typedef struct hma_config hma_config;

typedef struct hma_events hma_events;

typedef struct hma_message hma_message;

typedef struct hma_response hma_response;

typedef int32_t hma_status;

typedef int32_t hma_delivery;

typedef int32_t hma_scope;

typedef int32_t hma_attachment_kind;

typedef int32_t hma_action;

typedef int32_t hma_contact_kind;

typedef int32_t hma_event_kind;

const char *hma_version(void);

const char *hma_status_text(hma_status status);

hma_delivery hma_status_delivery(hma_status status);

hma_scope hma_status_scope(hma_status status);

const char *hma_status_name(hma_status status);

void hma_string_free(char *string);

hma_config *hma_config_new(const char *base_url,
                           const char *account_id,
                           const char *access_token);

hma_config *hma_config_from_env(void);

hma_config *hma_config_from_env_file(const char *path);

void hma_config_set_timeout(hma_config *config, uint32_t milliseconds);

void hma_config_set_connect_timeout(hma_config *config, uint32_t milliseconds);

void hma_config_set_keep_alive(hma_config *config, uint32_t milliseconds);

void hma_config_set_ca_file(hma_config *config, const char *path);

void hma_config_set_proxy(hma_config *config, const char *url);

void hma_config_set_no_proxy(hma_config *config, const char *hosts);

const char *hma_config_url(const hma_config *config);

const char *hma_config_webhook_secret(const hma_config *config);

const char *hma_config_warnings(const hma_config *config);

void hma_config_free(hma_config *config);

hma_status hma_client_new(const hma_config *config,
                          hma_client **client_out,
                          char **error_out);

hma_status hma_client_from_env(hma_client **client_out, char **error_out);

void hma_client_shutdown(const hma_client *client);

size_t hma_client_drain(const hma_client *client, uint32_t milliseconds);

hma_client *hma_client_with_timeout(const hma_client *client,
                                    uint32_t milliseconds);

void hma_client_free(hma_client *client);

hma_status hma_send_text(const hma_client *client,
                         const char *recipient_id,
                         const char *text,
                         hma_response **response_out,
                         char **error_out);

hma_status hma_send(const hma_client *client,
                    const char *recipient_id,
                    const hma_message *message,
                    hma_response **response_out,
                    char **error_out);

hma_status hma_send_private_reply(const hma_client *client,
                                  const char *comment_id,
                                  const hma_message *message,
                                  hma_response **response_out,
                                  char **error_out);

hma_status hma_send_json(const hma_client *client,
                         const char *body,
                         hma_response **response_out,
                         char **error_out);

hma_status hma_upload(const hma_client *client,
                      hma_attachment_kind kind,
                      const char *url,
                      hma_response **response_out,
                      char **error_out);

hma_status hma_get(const hma_client *client,
                   const char *path,
                   hma_response **response_out,
                   char **error_out);

hma_status hma_send_text_fixed(const hma_client *client,
                               const char *recipient_id,
                               size_t recipient_id_length,
                               const char *text,
                               size_t text_length,
                               char *message_id,
                               size_t message_id_size,
                               char *error,
                               size_t error_size);

hma_message *hma_message_text(const char *text);

hma_message *hma_message_attachment(hma_attachment_kind kind, const char *url);

hma_message *hma_message_attachment_id(hma_attachment_kind kind,
                                       const char *attachment_id);

hma_message *hma_message_images(void);

hma_message *hma_message_heart(void);

hma_message *hma_message_post(const char *media_id);

hma_message *hma_message_cards(void);

hma_message *hma_message_reaction(const char *message_id,
                                  const char *reaction_or_null);

hma_message *hma_message_action(hma_action action);

void hma_message_add_image(hma_message *message, const char *url);

void hma_message_add_image_id(hma_message *message, const char *attachment_id);

void hma_message_add_quick_reply(hma_message *message,
                                 const char *title,
                                 const char *payload);

void hma_message_add_contact_reply(hma_message *message,
                                   hma_contact_kind kind,
                                   const char *title,
                                   const char *payload);

void hma_message_add_card(hma_message *message,
                          const char *title,
                          const char *subtitle,
                          const char *image_url,
                          const char *link_url);

void hma_message_add_link_button(hma_message *message,
                                 const char *title,
                                 const char *url);

void hma_message_add_postback_button(hma_message *message,
                                     const char *title,
                                     const char *payload);

void hma_message_set_tag(hma_message *message, const char *tag);

void hma_message_set_messaging_type(hma_message *message,
                                    const char *messaging_type);

void hma_message_set_reply_to(hma_message *message, const char *message_id);

void hma_message_set_reusable(hma_message *message);

void hma_message_free(hma_message *message);

hma_status hma_message_json(const hma_message *message,
                            const char *recipient_id,
                            char **json_out,
                            char **error_out);

hma_status hma_message_private_reply_json(const hma_message *message,
                                          const char *comment_id,
                                          char **json_out,
                                          char **error_out);

size_t hma_text_part_length(const char *text);

int32_t hma_response_http_status(const hma_response *response);

const char *hma_response_message_id(const hma_response *response);

const char *hma_response_recipient_id(const hma_response *response);

const char *hma_response_attachment_id(const hma_response *response);

int32_t hma_response_meta_code(const hma_response *response);

int32_t hma_response_meta_subcode(const hma_response *response);

const char *hma_response_gateway_code(const hma_response *response);

const char *hma_response_error_message(const hma_response *response);

const char *hma_response_user_message(const hma_response *response);

const char *hma_response_trace_id(const hma_response *response);

int32_t hma_response_retry_after(const hma_response *response);

int32_t hma_response_usage_percent(const hma_response *response);

const char *hma_response_body(const hma_response *response);

size_t hma_response_body_length(const hma_response *response);

void hma_response_free(hma_response *response);

hma_status hma_webhook_verify(const char *secret,
                              const char *signature,
                              const void *body,
                              size_t body_length,
                              char **error_out);

hma_status hma_webhook_sign(const char *secret,
                            const void *body,
                            size_t body_length,
                            char **signature_out,
                            char **error_out);

int64_t hma_window_closes_at(int64_t last_inbound_ms);

int64_t hma_window_human_agent_closes_at(int64_t last_inbound_ms);

hma_status hma_events_parse(const void *body,
                            size_t body_length,
                            hma_events **events_out,
                            char **error_out);

hma_status hma_reply(const hma_client *client,
                     const hma_events *events,
                     size_t index,
                     const hma_message *message,
                     hma_response **response_out,
                     char **error_out);

const char *hma_events_object(const hma_events *events);

size_t hma_events_count(const hma_events *events);

hma_event_kind hma_events_kind(const hma_events *events, size_t index);

int32_t hma_events_is_standby(const hma_events *events, size_t index);

int32_t hma_events_is_echo(const hma_events *events, size_t index);

int32_t hma_events_is_own(const hma_events *events, size_t index);

const char *hma_events_account_id(const hma_events *events, size_t index);

const char *hma_events_user_id(const hma_events *events, size_t index);

const char *hma_events_username(const hma_events *events, size_t index);

const char *hma_events_reply_user_id(const hma_events *events, size_t index);

const char *hma_events_reply_comment_id(const hma_events *events, size_t index);

const char *hma_events_message_id(const hma_events *events, size_t index);

const char *hma_events_target_message_id(const hma_events *events,
                                         size_t index);

const char *hma_events_comment_id(const hma_events *events, size_t index);

const char *hma_events_parent_id(const hma_events *events, size_t index);

const char *hma_events_media_id(const hma_events *events, size_t index);

const char *hma_events_text(const hma_events *events, size_t index);

const char *hma_events_title(const hma_events *events, size_t index);

const char *hma_events_payload(const hma_events *events, size_t index);

size_t hma_events_attachment_count(const hma_events *events, size_t index);

const char *hma_events_attachment_type(const hma_events *events,
                                       size_t index,
                                       size_t attachment_index);

const char *hma_events_attachment_url(const hma_events *events,
                                      size_t index,
                                      size_t attachment_index);

const char *hma_events_attachment_media_id(const hma_events *events,
                                           size_t index,
                                           size_t attachment_index);

const char *hma_events_attachment_title(const hma_events *events,
                                        size_t index,
                                        size_t attachment_index);

const char *hma_events_reply_to_message_id(const hma_events *events,
                                           size_t index);

const char *hma_events_story_id(const hma_events *events, size_t index);

const char *hma_events_story_url(const hma_events *events, size_t index);

const char *hma_events_story_link_url(const hma_events *events, size_t index);

const char *hma_events_reaction_action(const hma_events *events, size_t index);

const char *hma_events_reaction_name(const hma_events *events, size_t index);

const char *hma_events_reaction_emoji(const hma_events *events, size_t index);

const char *hma_events_referral_ref(const hma_events *events, size_t index);

const char *hma_events_referral_source(const hma_events *events, size_t index);

const char *hma_events_referral_type(const hma_events *events, size_t index);

const char *hma_events_referral_ad_id(const hma_events *events, size_t index);

const char *hma_events_referral_product_id(const hma_events *events,
                                           size_t index);

int32_t hma_events_edit_count(const hma_events *events, size_t index);

int32_t hma_events_echoes(const hma_events *events,
                          size_t index,
                          const char *recipient_id,
                          const char *text,
                          int64_t since_ms);

int64_t hma_events_timestamp_ms(const hma_events *events, size_t index);

int32_t hma_events_opens_window(const hma_events *events, size_t index);

int64_t hma_events_window_closes_at(const hma_events *events, size_t index);

const char *hma_events_key(const hma_events *events, size_t index);

const char *hma_events_json(const hma_events *events, size_t index);

void hma_events_free(hma_events *events);
