/* Uses every function of the header against a local gateway: every_function ENV_FILE */
#include <hookmyapp.h>
#include "check.h"

#define USER "8123456789012345"
#define COMMENT "17900000000000001"
/* In the webhook: a comment takes one private reply. */
#define OTHER_COMMENT "17900000000000002"
#define IMAGE_URL "https://cdn.example.net/mug.jpg"

static void library(void)
{
    CHECK_TEXT(hma_version(), HMA_VERSION_STRING);
    CHECK_TEXT(hma_status_text(HMA_ERROR_WINDOW_CLOSED), "the 24-hour window is closed: the user must write first");
    CHECK(hma_status_delivery(HMA_OK) == HMA_DELIVERY_ACCEPTED);
    CHECK(hma_status_delivery(HMA_ERROR_CONNECT) == HMA_DELIVERY_NOT_SENT);
    CHECK(hma_status_delivery(HMA_ERROR_MEDIA) == HMA_DELIVERY_REJECTED);
    CHECK(hma_status_delivery(HMA_ERROR_LOST) == HMA_DELIVERY_UNKNOWN);
    CHECK(hma_status_delivery(99) == HMA_DELIVERY_UNKNOWN);
    CHECK_TEXT(hma_status_name(HMA_ERROR_RATE_LIMITED), "RATE_LIMITED");
    CHECK(hma_status_scope(HMA_OK) == HMA_SCOPE_NONE);
    CHECK(hma_status_scope(HMA_ERROR_MEDIA) == HMA_SCOPE_MESSAGE);
    CHECK(hma_status_scope(HMA_ERROR_RECIPIENT) == HMA_SCOPE_RECIPIENT);
    CHECK(hma_status_scope(HMA_ERROR_AUTH) == HMA_SCOPE_ACCOUNT);
    CHECK(hma_status_scope(HMA_ERROR_CONNECT) == HMA_SCOPE_MOMENT);
}

/* A client of the environment that `change` has had its way with. */
static hma_client *client_with(void (*change)(hma_config *))
{
    hma_config *config = hma_config_from_env();
    hma_client *client = NULL;
    char *error = NULL;
    change(config);
    CHECK(hma_client_new(config, &client, &error) == HMA_OK);
    CHECK(client != NULL && error == NULL);
    hma_config_free(config);
    return client;
}

static void set_all(hma_config *config)
{
    CHECK(hma_config_url(config) != NULL);
    hma_config_set_timeout(config, 60000);
    hma_config_set_connect_timeout(config, 20000);
    hma_config_set_keep_alive(config, 4000);
    hma_config_set_ca_file(config, "/no/such/file.pem");
    hma_config_set_ca_file(config, NULL);
    hma_config_set_proxy(config, "http://user:secret@127.0.0.1:9");
    hma_config_set_no_proxy(config, "localhost,.example.net:8443");
    hma_config_set_no_proxy(config, NULL);
    hma_config_set_proxy(config, NULL);
}

static void configurations(const char *env_file)
{
    hma_config *config = hma_config_from_env_file(env_file);
    hma_client *client = NULL;
    char *error = NULL;

    CHECK(strstr(hma_config_url(config), "/17841450000000017/messages") != NULL);
    CHECK(strstr(hma_config_warnings(config), "INSTAGRAM_USER_ID") != NULL);
    CHECK(strchr(hma_config_warnings(config), '\n') == NULL);
    CHECK(hma_client_new(config, &client, NULL) == HMA_OK);
    hma_client_free(client);

    hma_config_set_timeout(config, 0);
    CHECK(hma_config_url(config) == NULL);
    CHECK(hma_client_new(config, &client, &error) == HMA_ERROR_CONFIG);
    CHECK(client == NULL && strstr(error, "timeout") != NULL);
    hma_string_free(error);
    hma_config_set_timeout(config, 1000);
    CHECK(hma_config_url(config) != NULL);

    hma_config_set_ca_file(config, "/no/such/file.pem");
    CHECK(hma_client_new(config, &client, &error) == HMA_ERROR_CONFIG);
    CHECK(client == NULL && strstr(error, "/no/such/file.pem") != NULL);
    hma_string_free(error);
    hma_config_free(config);
}

static void simple_sends(const hma_client *client)
{
    hma_response *response = NULL;
    char *error = NULL;
    char message_id[32], text[40];

    CHECK(hma_send_text(client, USER, "Gr\303\274\303\237e", &response, &error) == HMA_OK);
    CHECK(error == NULL);
    CHECK(hma_response_http_status(response) == 200);
    CHECK(strlen(hma_response_message_id(response)) > 50);
    CHECK_TEXT(hma_response_recipient_id(response), USER);
    CHECK(hma_response_attachment_id(response) == NULL);
    CHECK(hma_response_usage_percent(response) == 1);
    CHECK(hma_response_body_length(response) == strlen(hma_response_body(response)));
    CHECK(hma_response_body(response)[0] == '{');
    hma_response_free(response);

    memset(message_id, '#', sizeof message_id);
    CHECK(hma_send_text_fixed(client, USER "  ", 18, "Fixed     and the next field", 10, message_id, 30, text, 40) ==
          HMA_OK);
    CHECK(memcmp(message_id + 27, "...##", 5) == 0);
    CHECK(memcmp(text, "                                        ", 40) == 0);

    CHECK(hma_send_json(client, "{\"recipient\":{\"id\":\"1\"},\"message\":{\"text\":\"raw\"}}", &response, NULL) == HMA_OK);
    CHECK_TEXT(hma_response_recipient_id(response), "1");
    hma_response_free(response);

    CHECK(hma_send_json(client, "{\n \"recipient\": }", &response, &error) == HMA_ERROR_ARGUMENT);
    CHECK(response == NULL && strstr(error, "line 2") != NULL);
    hma_string_free(error);

    CHECK(hma_upload(client, HMA_ATTACHMENT_VIDEO, "https://cdn.example.net/mug.mp4", &response, &error) == HMA_OK);
    CHECK(hma_response_message_id(response) == NULL);
    CHECK(hma_response_attachment_id(response) != NULL);
    hma_response_free(response);
}

/* Sends a message and frees it. */
static void deliver(const hma_client *client, hma_message *message)
{
    hma_response *response = NULL;
    char *error = NULL;
    const hma_status status = hma_send(client, USER, message, &response, &error);
    if (status != HMA_OK)
        fprintf(stderr, "%s\n", error);
    CHECK(status == HMA_OK);
    CHECK_TEXT(hma_response_recipient_id(response), USER);
    hma_response_free(response);
    hma_message_free(message);
}

static void texts(const hma_client *client)
{
    hma_message *message = hma_message_text("Which size?");
    hma_message_add_quick_reply(message, "S", "SIZE:S");
    hma_message_add_quick_reply(message, "M", "");
    hma_message_add_contact_reply(message, HMA_CONTACT_PHONE, NULL, NULL);
    hma_message_add_contact_reply(message, HMA_CONTACT_EMAIL, "Mail", "MAIL");
    deliver(client, message);

    message = hma_message_text("Here it is");
    hma_message_add_link_button(message, "Open", "https://shop.example.net/mug");
    hma_message_add_postback_button(message, "Ask", "ASK:mug");
    deliver(client, message);

    message = hma_message_text("A person answers");
    hma_message_set_tag(message, "HUMAN_AGENT");
    hma_message_set_messaging_type(message, "MESSAGE_TAG");
    hma_message_set_reply_to(message, "aWdfZAG1faXRlbToxOk");
    deliver(client, message);
}

static void media(const hma_client *client)
{
    hma_message *message = hma_message_attachment(HMA_ATTACHMENT_IMAGE, IMAGE_URL);
    hma_message_set_reusable(message);
    deliver(client, message);
    deliver(client, hma_message_attachment_id(HMA_ATTACHMENT_AUDIO, "208761234567890"));

    message = hma_message_images();
    hma_message_add_image(message, IMAGE_URL);
    hma_message_add_image_id(message, "208761234567890");
    deliver(client, message);

    deliver(client, hma_message_heart());
    deliver(client, hma_message_post("17900000000000009"));
}

static void cards(const hma_client *client)
{
    hma_message *message = hma_message_cards();
    hma_message_add_card(message, "Blue mug", "Stoneware", IMAGE_URL, "https://shop.example.net/mug");
    hma_message_add_link_button(message, "Buy", "https://shop.example.net/mug/buy");
    hma_message_add_card(message, "Red mug", NULL, NULL, NULL);
    hma_message_add_postback_button(message, "Ask", "ASK:red");
    deliver(client, message);
}

static void reactions_and_actions(const hma_client *client)
{
    deliver(client, hma_message_reaction("aWdfZAG1faXRlbToxOk", "love"));
    deliver(client, hma_message_reaction("aWdfZAG1faXRlbToxOk", NULL));
    deliver(client, hma_message_action(HMA_ACTION_TYPING_ON));
    deliver(client, hma_message_action(HMA_ACTION_TYPING_OFF));
    deliver(client, hma_message_action(HMA_ACTION_MARK_SEEN));
}

static void private_reply(const hma_client *client)
{
    hma_message *message = hma_message_text("Thank you for the comment");
    hma_response *response = NULL;
    CHECK(hma_send_private_reply(client, COMMENT, message, &response, NULL) == HMA_OK);
    CHECK(hma_response_message_id(response) != NULL);
    hma_response_free(response);
    hma_message_free(message);
}

/* A message that says nothing. */
static void refusal_by_meta(const hma_client *client)
{
    const char *body = "{\"recipient\":{\"id\":\"1\"},\"message\":{}}";
    hma_response *response = NULL;
    char *error = NULL;
    CHECK(hma_send_json(client, body, &response, &error) == HMA_ERROR_REJECTED);
    CHECK(strncmp(error, "Instagram API error 400: {", 26) == 0);
    CHECK(hma_response_http_status(response) == 400);
    CHECK(hma_response_message_id(response) == NULL);
    CHECK(hma_response_meta_code(response) == 100);
    CHECK(hma_response_meta_subcode(response) >= 0);
    CHECK(hma_response_gateway_code(response) == NULL);
    CHECK(strncmp(hma_response_error_message(response), "(#100) ", 7) == 0);
    CHECK(hma_response_user_message(response) == NULL);
    CHECK(hma_response_trace_id(response) != NULL);
    CHECK(hma_response_retry_after(response) == -1);
    hma_response_free(response);
    hma_string_free(error);
}

static void refusal_by_gateway(const char *base_url)
{
    hma_config *config = hma_config_new(base_url, "17841450000000017", "hmat_live_old");
    hma_client *client = NULL;
    hma_response *response = NULL;
    char *error = NULL;
    CHECK(hma_client_new(config, &client, &error) == HMA_OK);
    CHECK(hma_send_text(client, USER, "Hello", &response, &error) == HMA_ERROR_AUTH);
    CHECK(strstr(error, "hmat_live_old") == NULL);
    CHECK_TEXT(hma_response_gateway_code(response), "UNAUTHORIZED");
    CHECK(hma_response_http_status(response) == 401);
    hma_response_free(response);
    hma_string_free(error);
    hma_client_free(client);
    hma_config_free(config);
}

/* The status alone is enough, and a message may be sent again. */
static void sends_without_results(const hma_client *client)
{
    hma_message *message = hma_message_heart();
    CHECK(hma_send(client, USER, message, NULL, NULL) == HMA_OK);
    CHECK(hma_send(client, USER, message, NULL, NULL) == HMA_OK);
    hma_message_set_tag(message, "");
    CHECK(hma_send(client, USER, message, NULL, NULL) == HMA_ERROR_ARGUMENT);
    hma_message_free(message);
}

#define SECRET "whsec_9f2c41d07be84aa6"
#define SIGNATURE "sha256=fee73cb8161efbea630f8ff7a2b0f2ae6d7b4e1990de6b3915fb39ca828bf074"
#define SIDES "\"sender\":{\"id\":\"8123456789012345\"},\"recipient\":{\"id\":\"17841450000000017\"},"

/* Every kind of event that has facts of its own, in pieces as long as C allows them. */
static const char *const pieces[] = {
    "{\"object\":\"instagram\",\"entry\":[{\"id\":\"17841450000000017\",\"time\":1782900000123,\"messaging\":[",
    "{" SIDES "\"timestamp\":1782900000,\"message\":{\"mid\":\"m1\",\"text\":\"Gr\\u00fc\303\237e\",",
    "\"attachments\":[{\"type\":\"ig_reel\",\"payload\":{\"url\":\"https://x.example/1\",\"reel_video_id\":\"9\",",
    "\"title\":\"A reel\"}},{\"type\":\"like_heart\"}],\"quick_reply\":{\"payload\":\"SIZE:M\"},",
    "\"reply_to\":{\"mid\":\"m0\",\"story\":{\"id\":\"5\",\"url\":\"https://x.example/2\",",
    "\"link_sticker_url\":\"https://x.example/3\"}},\"referral\":{\"ref\":\"spring\",\"source\":\"ADS\",",
    "\"type\":\"OPEN_THREAD\",\"ad_id\":\"6\",\"product\":{\"id\":\"7\"}}}},",
    "{" SIDES "\"postback\":{\"mid\":\"m2\",\"title\":\"Ask\",\"payload\":\"ASK\",\"is_self\":true}},",
    "{" SIDES "\"reaction\":{\"mid\":\"m1\",\"action\":\"react\",\"reaction\":\"love\",\"emoji\":\"*\"}},",
    "{" SIDES "\"message_edit\":{\"mid\":\"m1\",\"text\":\"x\",\"num_edit\":3}}],",
    "\"changes\":[{\"field\":\"comments\",\"value\":{\"id\":\"" OTHER_COMMENT "\",\"parent_id\":\"8\",",
    "\"from\":{\"id\":\"8123456789012345\",\"username\":\"a_customer\"},\"media\":{\"id\":\"10\"}}}]}]}",
};
static char delivery[2048];

static void join_pieces(void)
{
    size_t i;
    delivery[0] = '\0';
    for (i = 0; i < sizeof pieces / sizeof *pieces; i++)
        strcat(delivery, pieces[i]);
}

static void signatures(void)
{
    hma_config *config = hma_config_from_env();
    char *error = NULL;
    CHECK_TEXT(hma_config_webhook_secret(config), SECRET);
    CHECK(hma_webhook_verify(hma_config_webhook_secret(config), SIGNATURE, NULL, 0, &error) == HMA_OK);
    CHECK(error == NULL);
    CHECK(hma_webhook_verify(SECRET, SIGNATURE, delivery, strlen(delivery), &error) == HMA_ERROR_SIGNATURE);
    CHECK(strstr(error, "signature") != NULL && strstr(error, SECRET) == NULL);
    hma_string_free(error);
    hma_config_free(config);
}

static void facts_of_a_message(const hma_events *events)
{
    CHECK(hma_events_kind(events, 0) == HMA_EVENT_MESSAGE);
    CHECK(hma_events_is_standby(events, 0) == 0 && hma_events_is_echo(events, 0) == 0);
    CHECK_TEXT(hma_events_account_id(events, 0), "17841450000000017");
    CHECK_TEXT(hma_events_user_id(events, 0), USER);
    CHECK_TEXT(hma_events_reply_user_id(events, 0), USER);
    CHECK_TEXT(hma_events_message_id(events, 0), "m1");
    CHECK_TEXT(hma_events_text(events, 0), "Gr\303\274\303\237e");
    CHECK_TEXT(hma_events_payload(events, 0), "SIZE:M");
    CHECK(hma_events_attachment_count(events, 0) == 2);
    CHECK_TEXT(hma_events_attachment_type(events, 0, 0), "ig_reel");
    CHECK_TEXT(hma_events_attachment_url(events, 0, 0), "https://x.example/1");
    CHECK_TEXT(hma_events_attachment_media_id(events, 0, 0), "9");
    CHECK_TEXT(hma_events_attachment_title(events, 0, 0), "A reel");
    CHECK_TEXT(hma_events_attachment_type(events, 0, 1), "like_heart");
    CHECK(hma_events_attachment_url(events, 0, 1) == NULL && hma_events_attachment_type(events, 0, 2) == NULL);
    CHECK_TEXT(hma_events_reply_to_message_id(events, 0), "m0");
    CHECK_TEXT(hma_events_story_id(events, 0), "5");
    CHECK_TEXT(hma_events_story_url(events, 0), "https://x.example/2");
    CHECK_TEXT(hma_events_story_link_url(events, 0), "https://x.example/3");
    CHECK_TEXT(hma_events_referral_ref(events, 0), "spring");
    CHECK_TEXT(hma_events_referral_source(events, 0), "ADS");
    CHECK_TEXT(hma_events_referral_type(events, 0), "OPEN_THREAD");
    CHECK_TEXT(hma_events_referral_ad_id(events, 0), "6");
    CHECK_TEXT(hma_events_referral_product_id(events, 0), "7");
    CHECK(hma_events_opens_window(events, 0) == 1);
    CHECK(hma_events_timestamp_ms(events, 0) / 1000 == 1782900000);
    CHECK(hma_events_window_closes_at(events, 0) == hma_window_closes_at(hma_events_timestamp_ms(events, 0)));
    CHECK(hma_events_window_closes_at(events, 0) / 1000 == 1782900000 + 24 * 60 * 60);
    CHECK(hma_window_human_agent_closes_at(0) / 1000 == 7 * 24 * 60 * 60);
    CHECK(strncmp(hma_events_json(events, 0), "{\"sender\":", 10) == 0);
    CHECK(strcmp(hma_events_key(events, 0), hma_events_key(events, 3)) != 0);
}

static void facts_of_other_events(const hma_events *events)
{
    CHECK(hma_events_kind(events, 1) == HMA_EVENT_POSTBACK);
    CHECK_TEXT(hma_events_title(events, 1), "Ask");
    CHECK(hma_events_is_own(events, 1) == 1 && hma_events_reply_user_id(events, 1) == NULL);
    CHECK(hma_events_kind(events, 2) == HMA_EVENT_REACTION);
    CHECK_TEXT(hma_events_target_message_id(events, 2), "m1");
    CHECK_TEXT(hma_events_reaction_action(events, 2), "react");
    CHECK_TEXT(hma_events_reaction_name(events, 2), "love");
    CHECK_TEXT(hma_events_reaction_emoji(events, 2), "*");
    CHECK(hma_events_kind(events, 3) == HMA_EVENT_EDIT);
    CHECK(hma_events_edit_count(events, 3) == 3 && hma_events_edit_count(events, 2) == -1);
    CHECK(hma_events_kind(events, 4) == HMA_EVENT_COMMENT);
    CHECK_TEXT(hma_events_comment_id(events, 4), OTHER_COMMENT);
    CHECK_TEXT(hma_events_reply_comment_id(events, 4), OTHER_COMMENT);
    CHECK_TEXT(hma_events_parent_id(events, 4), "8");
    CHECK_TEXT(hma_events_media_id(events, 4), "10");
    CHECK_TEXT(hma_events_username(events, 4), "a_customer");
}

static void replies(const hma_client *client, const hma_events *events)
{
    hma_message *message = hma_message_text("Thank you for writing");
    hma_response *response = NULL;
    char *error = NULL;
    CHECK(hma_reply(client, events, 0, message, &response, &error) == HMA_OK);
    CHECK_TEXT(hma_response_recipient_id(response), USER);
    CHECK(error == NULL);
    hma_response_free(response);
    CHECK(hma_reply(client, events, 4, message, NULL, NULL) == HMA_OK);
    CHECK(hma_reply(client, events, 1, message, &response, &error) == HMA_ERROR_ARGUMENT);
    CHECK(response == NULL && strstr(error, "allows no reply") != NULL);
    hma_string_free(error);
    hma_message_free(message);
}

static void webhooks(const hma_client *client)
{
    hma_events *events = NULL;
    char *error = NULL;
    join_pieces();
    signatures();
    CHECK(hma_events_parse(delivery, strlen(delivery), &events, &error) == HMA_OK);
    CHECK(error == NULL && hma_events_count(events) == 5);
    CHECK_TEXT(hma_events_object(events), "instagram");
    CHECK(hma_events_echoes(events, 0, USER, "no echo", 0) == 0);
    facts_of_a_message(events);
    facts_of_other_events(events);
    replies(client, events);
    hma_events_free(events);
    CHECK(hma_events_parse("{", 1, &events, &error) == HMA_ERROR_ARGUMENT);
    CHECK(events == NULL && strstr(error, "line 1") != NULL);
    hma_string_free(error);
}

/* The body that a send would send is made, checked and sent. */
static void bodies(const hma_client *client)
{
    hma_message *message = hma_message_text("From a queue");
    hma_message *empty = hma_message_text("");
    char *json = NULL;
    char *error = NULL;

    CHECK(hma_message_json(message, USER, &json, &error) == HMA_OK);
    CHECK_TEXT(json, "{\"recipient\":{\"id\":\"" USER "\"},\"message\":{\"text\":\"From a queue\"}}");
    CHECK(hma_send_json(client, json, NULL, NULL) == HMA_OK);
    hma_string_free(json);
    CHECK(hma_message_private_reply_json(message, COMMENT, &json, NULL) == HMA_OK);
    CHECK(strstr(json, "\"comment_id\":\"" COMMENT "\"") != NULL);
    hma_string_free(json);
    CHECK(hma_message_json(message, USER, NULL, NULL) == HMA_OK);
    CHECK(hma_message_json(empty, USER, &json, &error) == HMA_ERROR_ARGUMENT);
    CHECK(json == NULL && strstr(error, "text") != NULL);
    hma_string_free(error);
    hma_message_free(empty);
    hma_message_free(message);
}

static void text_parts(void)
{
    char text[2501];
    const char *rest = text;
    size_t length, parts = 0;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    while ((length = hma_text_part_length(rest)) > 0) {
        CHECK(length <= 1000);
        rest += length;
        ++parts;
    }
    CHECK(parts == 3 && *rest == '\0');
    CHECK(hma_text_part_length("\377") == 0);
}

static void reading(const hma_client *client)
{
    hma_response *response = NULL;
    char *error = NULL;

    CHECK(hma_get(client, "me?fields=username", &response, NULL) == HMA_OK);
    CHECK(strstr(hma_response_body(response), "username") != NULL);
    hma_response_free(response);
    CHECK(hma_get(client, "/me", &response, &error) == HMA_ERROR_ARGUMENT);
    CHECK(response == NULL && strstr(error, "path: ") != NULL);
    hma_string_free(error);
}

/* Clients that share connections are freed in either order. */
static void other_timeouts(void)
{
    hma_client *first = NULL, *second;

    CHECK(hma_client_from_env(&first, NULL) == HMA_OK);
    second = hma_client_with_timeout(first, 10000);
    CHECK(hma_send_text(second, USER, "In ten seconds", NULL, NULL) == HMA_OK);
    hma_client_free(first);
    CHECK(hma_send_text(second, USER, "The other one is gone", NULL, NULL) == HMA_OK);
    first = hma_client_with_timeout(second, 0);
    CHECK(hma_send_text(first, USER, "Never", NULL, NULL) == HMA_ERROR_ARGUMENT);
    hma_client_free(first);
    CHECK(hma_client_drain(second, 1000) == 0);
    CHECK(hma_send_text(second, USER, "Too late", NULL, NULL) == HMA_ERROR_CONNECT);
    hma_client_free(second);
}

static void signing(void)
{
    char *signature = NULL;

    CHECK(hma_webhook_sign("secret", "{}", 2, &signature, NULL) == HMA_OK);
    CHECK(hma_webhook_verify("secret", signature, "{}", 2, NULL) == HMA_OK);
    hma_string_free(signature);
}

static void shutdown_of_a_client(void)
{
    hma_client *client = NULL;
    char *error = NULL;
    CHECK(hma_client_from_env(&client, &error) == HMA_OK);
    CHECK(hma_send_text(client, USER, "The last one", NULL, NULL) == HMA_OK);
    hma_client_shutdown(client);
    CHECK(hma_send_text(client, USER, "Too late", NULL, &error) == HMA_ERROR_CONNECT);
    CHECK(error != NULL);
    hma_string_free(error);
    hma_client_free(client);
}

int main(int argc, char **argv)
{
    hma_client *client;
    CHECK(argc == 2);
    library();
    configurations(argv[1]);
    client = client_with(set_all);
    simple_sends(client);
    texts(client);
    media(client);
    cards(client);
    reactions_and_actions(client);
    private_reply(client);
    refusal_by_meta(client);
    refusal_by_gateway(getenv("INSTAGRAM_API_URL"));
    sends_without_results(client);
    webhooks(client);
    bodies(client);
    text_parts();
    reading(client);
    other_timeouts();
    signing();
    hma_client_free(client);
    shutdown_of_a_client();
    puts("done");
    return 0;
}
