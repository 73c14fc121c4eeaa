/* Calls every function that takes a pointer with every pointer NULL: a status or a default, never a crash. */
#include <hookmyapp.h>
#include "check.h"

/* Never touched: they only show that every *_out argument is written. */
#define OLD_CLIENT ((hma_client *)1)
#define OLD_RESPONSE ((hma_response *)1)
#define OLD_ERROR ((char *)1)
#define OLD_EVENTS ((hma_events *)1)

static hma_client *client;
static hma_response *response;
static char *error;

static void before_call(void)
{
    client = OLD_CLIENT;
    response = OLD_RESPONSE;
    error = OLD_ERROR;
}

/* The error string is there and tells which argument must not be NULL. */
static void check_error(int line, const char *argument)
{
    if (error == NULL || error == OLD_ERROR || strstr(error, argument) == NULL || strstr(error, "NULL") == NULL) {
        fprintf(stderr, "line %d: no word of %s\n", line, argument);
        exit(1);
    }
    hma_string_free(error);
}

#define REFUSED(call, expected, argument) \
    (before_call(), CHECK((call) == (expected)), check_error(__LINE__, argument))

#define SEND_REFUSED(call, argument) (REFUSED(call, HMA_ERROR_ARGUMENT, argument), CHECK(response == NULL))

static hma_client *good_client(void)
{
    hma_config *config = hma_config_new("http://127.0.0.1:9/v25.0", "17841450000000017", "hmat_live_x");
    hma_client *made = NULL;
    CHECK(hma_client_new(config, &made, NULL) == HMA_OK);
    CHECK(made != NULL);
    hma_config_free(config);
    return made;
}

static void free_functions(void)
{
    hma_string_free(NULL);
    hma_config_free(NULL);
    hma_client_free(NULL);
    hma_message_free(NULL);
    hma_response_free(NULL);
    hma_events_free(NULL);
}

static void setters(void)
{
    hma_config_set_timeout(NULL, 1);
    hma_config_set_connect_timeout(NULL, 1);
    hma_config_set_keep_alive(NULL, 1);
    hma_config_set_ca_file(NULL, NULL);
    hma_config_set_proxy(NULL, NULL);
    hma_config_set_no_proxy(NULL, NULL);
    hma_client_shutdown(NULL);
    hma_message_add_image(NULL, NULL);
    hma_message_add_image_id(NULL, NULL);
    hma_message_add_quick_reply(NULL, NULL, NULL);
    hma_message_add_contact_reply(NULL, HMA_CONTACT_PHONE, NULL, NULL);
    hma_message_add_card(NULL, NULL, NULL, NULL, NULL);
    hma_message_add_link_button(NULL, NULL, NULL);
    hma_message_add_postback_button(NULL, NULL, NULL);
    hma_message_set_tag(NULL, NULL);
    hma_message_set_messaging_type(NULL, NULL);
    hma_message_set_reply_to(NULL, NULL);
    hma_message_set_reusable(NULL);
}

static void accessors(void)
{
    CHECK(hma_config_url(NULL) == NULL);
    CHECK(hma_config_warnings(NULL) == NULL);
    CHECK(hma_response_http_status(NULL) == 0);
    CHECK(hma_response_message_id(NULL) == NULL);
    CHECK(hma_response_recipient_id(NULL) == NULL);
    CHECK(hma_response_attachment_id(NULL) == NULL);
    CHECK(hma_response_meta_code(NULL) == 0);
    CHECK(hma_response_meta_subcode(NULL) == 0);
    CHECK(hma_response_gateway_code(NULL) == NULL);
    CHECK(hma_response_error_message(NULL) == NULL);
    CHECK(hma_response_user_message(NULL) == NULL);
    CHECK(hma_response_trace_id(NULL) == NULL);
    CHECK(hma_response_retry_after(NULL) == -1);
    CHECK(hma_response_usage_percent(NULL) == -1);
    CHECK(hma_response_body(NULL) == NULL);
    CHECK(hma_response_body_length(NULL) == 0);
}

static void facts_of_events(void)
{
    CHECK(hma_config_webhook_secret(NULL) == NULL);
    CHECK(hma_events_object(NULL) == NULL);
    CHECK(hma_events_count(NULL) == 0);
    CHECK(hma_events_kind(NULL, 0) == HMA_EVENT_OTHER);
    CHECK(hma_events_is_standby(NULL, 0) == 0);
    CHECK(hma_events_is_echo(NULL, 0) == 0);
    CHECK(hma_events_is_own(NULL, 0) == 0);
    CHECK(hma_events_account_id(NULL, 0) == NULL);
    CHECK(hma_events_user_id(NULL, 0) == NULL);
    CHECK(hma_events_username(NULL, 0) == NULL);
    CHECK(hma_events_reply_user_id(NULL, 0) == NULL);
    CHECK(hma_events_reply_comment_id(NULL, 0) == NULL);
    CHECK(hma_events_message_id(NULL, 0) == NULL);
    CHECK(hma_events_target_message_id(NULL, 0) == NULL);
    CHECK(hma_events_comment_id(NULL, 0) == NULL);
    CHECK(hma_events_parent_id(NULL, 0) == NULL);
    CHECK(hma_events_media_id(NULL, 0) == NULL);
    CHECK(hma_events_text(NULL, 0) == NULL);
    CHECK(hma_events_title(NULL, 0) == NULL);
    CHECK(hma_events_payload(NULL, 0) == NULL);
    CHECK(hma_events_attachment_count(NULL, 0) == 0);
    CHECK(hma_events_attachment_type(NULL, 0, 0) == NULL);
    CHECK(hma_events_attachment_url(NULL, 0, 0) == NULL);
    CHECK(hma_events_attachment_media_id(NULL, 0, 0) == NULL);
    CHECK(hma_events_attachment_title(NULL, 0, 0) == NULL);
    CHECK(hma_events_reply_to_message_id(NULL, 0) == NULL);
    CHECK(hma_events_story_id(NULL, 0) == NULL);
    CHECK(hma_events_story_url(NULL, 0) == NULL);
    CHECK(hma_events_story_link_url(NULL, 0) == NULL);
    CHECK(hma_events_reaction_action(NULL, 0) == NULL);
    CHECK(hma_events_reaction_name(NULL, 0) == NULL);
    CHECK(hma_events_reaction_emoji(NULL, 0) == NULL);
    CHECK(hma_events_referral_ref(NULL, 0) == NULL);
    CHECK(hma_events_referral_source(NULL, 0) == NULL);
    CHECK(hma_events_referral_type(NULL, 0) == NULL);
    CHECK(hma_events_referral_ad_id(NULL, 0) == NULL);
    CHECK(hma_events_referral_product_id(NULL, 0) == NULL);
    CHECK(hma_events_edit_count(NULL, 0) == -1);
    CHECK(hma_events_timestamp_ms(NULL, 0) == -1);
    CHECK(hma_events_opens_window(NULL, 0) == -1);
    CHECK(hma_events_window_closes_at(NULL, 0) == -1);
    CHECK(hma_events_key(NULL, 0) == NULL);
    CHECK(hma_events_json(NULL, 0) == NULL);
}

static void webhooks(const hma_client *good, const hma_message *message)
{
    hma_events *events = OLD_EVENTS;
    REFUSED(hma_webhook_verify(NULL, NULL, NULL, 1, &error), HMA_ERROR_ARGUMENT, "body");
    CHECK(hma_webhook_verify(NULL, NULL, NULL, 0, NULL) == HMA_ERROR_SIGNATURE);
    REFUSED(hma_events_parse(NULL, 1, &events, &error), HMA_ERROR_ARGUMENT, "body");
    CHECK(events == NULL);
    REFUSED(hma_events_parse("{}", 2, NULL, &error), HMA_ERROR_ARGUMENT, "events_out");
    CHECK(hma_events_parse(NULL, 0, NULL, NULL) == HMA_ERROR_ARGUMENT);
    CHECK(hma_events_parse("[]", 2, &events, NULL) == HMA_OK);
    SEND_REFUSED(hma_reply(NULL, NULL, 0, NULL, &response, &error), "client");
    SEND_REFUSED(hma_reply(good, NULL, 0, message, &response, &error), "events");
    CHECK(hma_reply(good, events, 0, NULL, NULL, NULL) == HMA_ERROR_ARGUMENT);
    hma_events_free(events);
}

/* A configuration is never NULL, and no client is made of it. */
static void check_bad_config(hma_config *config, const char *argument)
{
    CHECK(config != NULL);
    CHECK(hma_config_url(config) == NULL);
    REFUSED(hma_client_new(config, &client, &error), HMA_ERROR_CONFIG, argument);
    CHECK(client == NULL);
    CHECK(hma_client_new(config, NULL, NULL) != HMA_OK);
    hma_config_free(config);
}

static void configurations(void)
{
    hma_config *config = hma_config_from_env();
    CHECK(config != NULL);
    hma_config_free(config);
    check_bad_config(hma_config_new(NULL, NULL, NULL), "base_url");
    check_bad_config(hma_config_new(NULL, NULL, NULL), "account_id");
    check_bad_config(hma_config_new(NULL, NULL, NULL), "access_token");
    check_bad_config(hma_config_from_env_file(NULL), "path");
}

static void clients(void)
{
    REFUSED(hma_client_new(NULL, &client, &error), HMA_ERROR_ARGUMENT, "config");
    CHECK(client == NULL);
    REFUSED(hma_client_new(NULL, NULL, &error), HMA_ERROR_ARGUMENT, "client_out");
    REFUSED(hma_client_from_env(NULL, &error), HMA_ERROR_ARGUMENT, "client_out");
    CHECK(hma_client_new(NULL, NULL, NULL) == HMA_ERROR_ARGUMENT);
    CHECK(hma_client_from_env(NULL, NULL) == HMA_ERROR_ARGUMENT);
}

/* A message is never NULL; what it remembers is reported by the send. */
static void check_bad_message(const hma_client *good, hma_message *message, const char *argument)
{
    CHECK(message != NULL);
    SEND_REFUSED(hma_send(good, "8123456789012345", message, &response, &error), argument);
    CHECK(hma_send(good, "8123456789012345", message, NULL, NULL) == HMA_ERROR_ARGUMENT);
    hma_message_free(message);
}

static void messages(const hma_client *good)
{
    check_bad_message(good, hma_message_text(NULL), "text");
    check_bad_message(good, hma_message_attachment(HMA_ATTACHMENT_IMAGE, NULL), "url");
    check_bad_message(good, hma_message_attachment_id(HMA_ATTACHMENT_IMAGE, NULL), "attachment_id");
    check_bad_message(good, hma_message_post(NULL), "media_id");
    check_bad_message(good, hma_message_reaction(NULL, NULL), "message_id");
}

static void sends(const hma_client *good, const hma_message *message)
{
    SEND_REFUSED(hma_send_text(NULL, NULL, NULL, &response, &error), "client");
    SEND_REFUSED(hma_send_text(good, NULL, NULL, &response, &error), "recipient_id");
    SEND_REFUSED(hma_send_text(good, "1", NULL, &response, &error), "text");
    SEND_REFUSED(hma_send(NULL, NULL, NULL, &response, &error), "client");
    SEND_REFUSED(hma_send(good, NULL, message, &response, &error), "recipient_id");
    SEND_REFUSED(hma_send(good, "1", NULL, &response, &error), "message");
    SEND_REFUSED(hma_send_private_reply(NULL, NULL, NULL, &response, &error), "client");
    SEND_REFUSED(hma_send_private_reply(good, NULL, message, &response, &error), "comment_id");
    SEND_REFUSED(hma_send_private_reply(good, "1", NULL, &response, &error), "message");
    SEND_REFUSED(hma_send_json(NULL, NULL, &response, &error), "client");
    SEND_REFUSED(hma_send_json(good, NULL, &response, &error), "body");
    SEND_REFUSED(hma_upload(NULL, HMA_ATTACHMENT_IMAGE, NULL, &response, &error), "client");
    SEND_REFUSED(hma_upload(good, HMA_ATTACHMENT_IMAGE, NULL, &response, &error), "url");
}

static void sends_without_results(const hma_client *good)
{
    CHECK(hma_send_text(NULL, NULL, NULL, NULL, NULL) == HMA_ERROR_ARGUMENT);
    CHECK(hma_send(NULL, NULL, NULL, NULL, NULL) == HMA_ERROR_ARGUMENT);
    CHECK(hma_send_private_reply(NULL, NULL, NULL, NULL, NULL) == HMA_ERROR_ARGUMENT);
    CHECK(hma_send_json(NULL, NULL, NULL, NULL) == HMA_ERROR_ARGUMENT);
    CHECK(hma_upload(NULL, HMA_ATTACHMENT_IMAGE, NULL, NULL, NULL) == HMA_ERROR_ARGUMENT);
    CHECK(hma_send_text(good, NULL, NULL, NULL, NULL) == HMA_ERROR_ARGUMENT);
}

int main(void)
{
    hma_client *good = good_client();
    hma_message *heart = hma_message_heart();
    free_functions();
    setters();
    accessors();
    facts_of_events();
    configurations();
    clients();
    messages(good);
    sends(good, heart);
    sends_without_results(good);
    webhooks(good, heart);
    hma_message_free(heart);
    hma_client_free(good);
    return 0;
}
