// Uses every function of hookmyapp.hpp against a local gateway: every_function ENV_FILE
#include <hookmyapp.hpp>

#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

#include "check.h"

static const std::string user = "8123456789012345";
static const std::string image_url = "https://cdn.example.net/mug.jpg";
static const std::string cut("cut\0here", 8);

// What the types promise

static_assert(std::is_nothrow_copy_constructible<hma::error>::value, "copying an exception must not throw");
static_assert(std::is_base_of<std::runtime_error, hma::error>::value, "caught as a standard exception");
static_assert(std::is_nothrow_move_constructible<hma::client>::value && !std::is_copy_constructible<hma::client>::value,
              "one owner");
static_assert(std::is_move_assignable<hma::message>::value && !std::is_copy_constructible<hma::message>::value,
              "one owner");
static_assert(std::is_move_assignable<hma::config>::value && !std::is_copy_constructible<hma::config>::value,
              "one owner");
static_assert(std::is_copy_constructible<hma::result>::value && std::is_copy_constructible<hma::response>::value,
              "plain values");
static_assert(!std::is_convertible<hma::result, bool>::value, "never a number by accident");
static_assert(!std::is_convertible<std::string, hma::message>::value, "a text is sent by the overload for it");

template <typename Events> static auto has_index(int) -> decltype(std::declval<Events>()[0], std::true_type());
template <typename Events> static std::false_type has_index(...);
static_assert(decltype(has_index<hma::events &>(0))::value && decltype(has_index<const hma::events &>(0))::value,
              "events have an index");
static_assert(!decltype(has_index<hma::events>(0))::value && !decltype(has_index<const hma::events>(0))::value,
              "an event must not outlive its events");

// Helpers

// The error that a call throws; the program fails if it throws none.
template <typename Call> static hma::error thrown_by(int line, Call call) {
    try {
        call();
    } catch (const hma::error &failure) {
        return failure;
    }
    std::fprintf(stderr, "line %d: nothing was thrown\n", line);
    std::exit(1);
}

#define THROWN(statement) thrown_by(__LINE__, [&] { statement; })

static bool begins_with(const std::string &text, const std::string &beginning) {
    return text.compare(0, beginning.size(), beginning) == 0;
}

static void check_argument(int line, const hma::error &failure, const std::string &argument) {
    if (failure.status() != HMA_ERROR_ARGUMENT || !begins_with(failure.what(), argument + ": ")) {
        std::fprintf(stderr, "line %d: %d %s\n", line, static_cast<int>(failure.status()), failure.what());
        std::exit(1);
    }
    CHECK(failure.delivery() == HMA_DELIVERY_NOT_SENT);
    CHECK(failure.response().http_status == 0 && failure.response().body.empty());
}

#define CHECK_ARGUMENT(statement, argument) check_argument(__LINE__, THROWN(statement), argument)

static hma::config good_config() { return hma::config("http://127.0.0.1:9/v25.0", "17841450000000017", "hmat_x"); }

// Sends

static void throwing_sends(const hma::client &client) {
    const hma::response sent = client.send(user, "Gr\303\274\303\237e");
    CHECK(sent.http_status == 200 && sent.recipient_id == user && sent.message_id.size() > 50);
    CHECK(sent.meta_code == 0 && sent.retry_after == -1 && sent.usage_percent == 1);
    CHECK(sent.body.front() == '{' && sent.body.back() == '}' && sent.gateway_code.empty());
    CHECK(client.send(user, hma::message::heart()).recipient_id == user);
    CHECK(!client.send_private_reply("17900000000000001", hma::message::text("Thanks")).message_id.empty());
    CHECK(client.send_json("{\"recipient\":{\"id\":\"7\"},\"message\":{\"text\":\"raw\"}}").recipient_id == "7");
    CHECK(!client.upload(HMA_ATTACHMENT_IMAGE, image_url).attachment_id.empty());
}

static void sends_that_do_not_throw(const hma::client &client) {
    const hma::message heart = hma::message::heart();
    const hma::result results[] = {
        client.send(user, "Hello", std::nothrow),
        client.send(user, heart, std::nothrow),
        client.send_private_reply("17900000000000001", heart, std::nothrow),
        client.send_json("{\"recipient\":{\"id\":\"7\"},\"message\":{\"text\":\"raw\"}}", std::nothrow),
        client.upload(HMA_ATTACHMENT_FILE, "https://cdn.example.net/mug.pdf", std::nothrow),
    };
    for (const hma::result &done : results) {
        CHECK(done.ok() && done && done.status == HMA_OK && done.error.empty());
        CHECK(done.response.http_status == 200);
    }
    const hma::result refused = client.send("", "Hello", std::nothrow);
    CHECK(!refused.ok() && !refused && refused.status == HMA_ERROR_ARGUMENT);
    CHECK(begins_with(refused.error, "recipient_id") && refused.response.http_status == 0);
}

static void refusals(const hma::client &client) {
    const std::string empty_message = "{\"recipient\":{\"id\":\"7\"},\"message\":{}}";
    const hma::error failure = THROWN(client.send_json(empty_message));
    CHECK(failure.status() == HMA_ERROR_REJECTED && failure.delivery() == HMA_DELIVERY_REJECTED);
    CHECK(begins_with(failure.what(), "Instagram API error 400: {"));
    CHECK(failure.response().http_status == 400 && failure.response().meta_code == 100);
    CHECK(begins_with(failure.response().error_message, "(#100) ") && !failure.response().trace_id.empty());

    const hma::result done = client.send_json(empty_message, std::nothrow);
    CHECK(done.status == failure.status() && begins_with(done.error, "Instagram API error 400: {"));
    CHECK(done.response.meta_code == 100 && done.response.user_message.empty());

    CHECK(THROWN(client.send_json("[]")).status() == HMA_ERROR_ARGUMENT);
    CHECK(THROWN(client.upload(99, image_url)).status() == HMA_ERROR_ARGUMENT);
}

static void errors_outlive_what_threw_them(const hma::client &client) {
    std::vector<hma::error> kept;
    for (const char *body : {"[]", "{\"recipient\":{\"id\":\"7\"},\"message\":{}}"}) {
        try {
            client.send_json(body);
        } catch (const hma::error &failure) {
            kept.push_back(failure);
        }
    }
    CHECK(kept.size() == 2);
    const hma::error copy = kept.back();
    kept.clear();
    CHECK(copy.status() == HMA_ERROR_REJECTED && copy.response().meta_code == 100);
    CHECK(begins_with(copy.what(), "Instagram API error 400: {"));
}

// Messages

static void setters_in_loops(const hma::client &client) {
    hma::message question = hma::message::text("Which size?");
    for (const char *size : {"S", "M", "L"})
        question.quick_reply(size, std::string("SIZE:") + size);
    question.contact_reply(HMA_CONTACT_PHONE).contact_reply(HMA_CONTACT_EMAIL, "Mail", "MAIL");
    client.send(user, question);
    client.send(user, question);

    hma::message album = hma::message::images();
    for (int count = 0; count < 3; ++count)
        album.image(image_url).image_id("208761234567890");
    client.send(user, album);

    hma::message cards = hma::message::cards();
    for (const char *colour : {"Blue", "Red"}) {
        cards.card(std::string(colour) + " mug", "Stoneware", image_url, "https://shop.example.net/mug");
        cards.link_button("Buy", "https://shop.example.net/mug").postback_button("Ask", "ASK");
    }
    client.send(user, cards);

    hma::message answer = hma::message::text("A person answers");
    answer.tag("HUMAN_AGENT").messaging_type("MESSAGE_TAG").reply_to("aWdfZAG1faXRlbToxOk");
    client.send(user, answer);

    hma::message kept = hma::message::attachment(HMA_ATTACHMENT_VIDEO, "https://cdn.example.net/mug.mp4");
    kept.reusable();
    CHECK(!client.send(user, kept).attachment_id.empty());
}

static void chains_of_temporaries(const hma::client &client) {
    const std::string shop = "https://shop.example.net/mug";
    client.send(user, hma::message::text("Track it?").quick_reply("Yes", "YES").contact_reply(HMA_CONTACT_EMAIL));
    client.send(user, hma::message::text("Here").link_button("Open", shop).postback_button("Ask", "").tag("HUMAN_AGENT"));
    client.send(user, hma::message::text("Hi").messaging_type("RESPONSE").reply_to("aWdfZAG1faXRlbToxOk"));
    client.send(user, hma::message::cards().card("Mug", "", image_url).card("Mug", "Blue").card("Mug", "", "", shop));
    client.send(user, hma::message::images().image(image_url).image_id("208761234567890"));
    client.send(user, hma::message::attachment(HMA_ATTACHMENT_IMAGE, image_url).reusable());
    client.send(user, hma::message::attachment_id(HMA_ATTACHMENT_AUDIO, "208761234567890"));
    client.send(user, hma::message::post("17900000000000009"));
    client.send(user, hma::message::reaction("aWdfZAG1faXRlbToxOk", "love"));
    client.send(user, hma::message::no_reaction("aWdfZAG1faXRlbToxOk"));
    client.send(user, hma::message::action(HMA_ACTION_TYPING_ON));
}

// An empty optional text is left out, an empty one that is needed is refused.
static void empty_texts(const hma::client &client) {
    CHECK_ARGUMENT(client.send(user, ""), "text");
    CHECK_ARGUMENT(client.send(user, hma::message::post("")), "media_id");
    client.send(user, hma::message::text("?").contact_reply(HMA_CONTACT_PHONE, "", ""));
}

static void mistakes_of_messages(const hma::client &client) {
    const std::string what = THROWN(client.send(user, hma::message::heart().card("Mug"))).what();
    CHECK(what.find("card") != std::string::npos && what.find("heart") != std::string::npos);
    CHECK(THROWN(client.send(user, hma::message::action(99))).status() == HMA_ERROR_ARGUMENT);
    CHECK_ARGUMENT(client.send(user, hma::message::text("\xff")), "text");
}

// NUL bytes

static void nul_bytes_in_sends(const hma::client &client) {
    CHECK_ARGUMENT(client.send(cut, "Hello"), "recipient_id");
    CHECK_ARGUMENT(client.send(user, cut), "text");
    CHECK_ARGUMENT(client.send(cut, hma::message::heart()), "recipient_id");
    CHECK_ARGUMENT(client.send_private_reply(cut, hma::message::heart()), "comment_id");
    CHECK_ARGUMENT(client.send_json(std::string("{}\0", 3)), "body");
    CHECK_ARGUMENT(client.upload(HMA_ATTACHMENT_IMAGE, image_url + cut), "url");
    const hma::result done = client.send(user, cut, std::nothrow);
    CHECK(done.status == HMA_ERROR_ARGUMENT && begins_with(done.error, "text: "));
}

static void nul_bytes_in_constructors(const hma::client &client) {
    CHECK_ARGUMENT(client.send(user, hma::message::text(cut)), "text");
    CHECK_ARGUMENT(client.send(user, hma::message::attachment(HMA_ATTACHMENT_IMAGE, image_url + cut)), "url");
    CHECK_ARGUMENT(client.send(user, hma::message::attachment_id(HMA_ATTACHMENT_IMAGE, cut)), "attachment_id");
    CHECK_ARGUMENT(client.send(user, hma::message::post(cut)), "media_id");
    CHECK_ARGUMENT(client.send(user, hma::message::reaction(cut, "love")), "message_id");
    CHECK_ARGUMENT(client.send(user, hma::message::reaction("m", cut)), "reaction");
    CHECK_ARGUMENT(client.send(user, hma::message::no_reaction(cut)), "message_id");
}

static void nul_bytes_in_setters(const hma::client &client) {
    const auto text = [] { return hma::message::text("Hello"); };
    const auto cards = [] { return hma::message::cards(); };
    CHECK_ARGUMENT(client.send(user, hma::message::images().image(image_url + cut)), "url");
    CHECK_ARGUMENT(client.send(user, hma::message::images().image_id(cut)), "attachment_id");
    CHECK_ARGUMENT(client.send(user, text().quick_reply(cut, "x")), "title");
    CHECK_ARGUMENT(client.send(user, text().quick_reply("x", cut)), "payload");
    CHECK_ARGUMENT(client.send(user, text().contact_reply(HMA_CONTACT_PHONE, cut, "x")), "title");
    CHECK_ARGUMENT(client.send(user, text().contact_reply(HMA_CONTACT_PHONE, "x", cut)), "payload");
    CHECK_ARGUMENT(client.send(user, cards().card(cut, "x")), "title");
    CHECK_ARGUMENT(client.send(user, cards().card("x", cut)), "subtitle");
    CHECK_ARGUMENT(client.send(user, cards().card("x", "y", image_url + cut)), "image_url");
    CHECK_ARGUMENT(client.send(user, cards().card("x", "y", image_url, image_url + cut)), "link_url");
    CHECK_ARGUMENT(client.send(user, text().link_button(cut, image_url)), "title");
    CHECK_ARGUMENT(client.send(user, text().link_button("x", image_url + cut)), "url");
    CHECK_ARGUMENT(client.send(user, text().postback_button(cut, "x")), "title");
    CHECK_ARGUMENT(client.send(user, text().postback_button("x", cut)), "payload");
    CHECK_ARGUMENT(client.send(user, text().tag(cut)), "tag");
    CHECK_ARGUMENT(client.send(user, text().messaging_type(cut)), "messaging_type");
    CHECK_ARGUMENT(client.send(user, text().reply_to(cut)), "reply_to");
}

// A message keeps its error when it is moved, and the private reply reports it, too.
static void nul_bytes_in_moved_messages(const hma::client &client) {
    hma::message bad = hma::message::text(cut);
    hma::message moved = std::move(bad);
    CHECK_ARGUMENT(client.send(user, moved), "text");
    CHECK_ARGUMENT(client.send_private_reply("17900000000000001", moved), "text");
}

static void nul_bytes_in_configurations() {
    const std::string base = "http://127.0.0.1:9/v25.0";
    CHECK_ARGUMENT(hma::client(hma::config(base + cut, "1", "t")), "base_url");
    CHECK_ARGUMENT(hma::client(hma::config(base, "1" + cut, "t")), "account_id");
    CHECK_ARGUMENT(hma::client(hma::config(base, "1", "t" + cut)), "access_token");
    CHECK_ARGUMENT(hma::client(hma::config::from_env_file(cut)), "path");
    CHECK_ARGUMENT(hma::client(good_config().ca_file(cut)), "ca_file");
    CHECK_ARGUMENT(hma::client(good_config().proxy("http://127.0.0.1:9" + cut)), "proxy");
    CHECK_ARGUMENT(hma::client(good_config().no_proxy("localhost" + cut)), "no_proxy");
    CHECK(hma::config(base + cut, "1", "t").url().empty());
    CHECK(hma::config(base, "1" + cut, "t").url().empty());
}

// Configurations

static void configurations(const std::string &env_file) {
    const hma::config config = hma::config::from_env_file(env_file);
    CHECK(config.url().find("/17841450000000017/messages") != std::string::npos);
    CHECK(config.warnings().find("INSTAGRAM_USER_ID") != std::string::npos);
    CHECK(hma::client(config).send(user, "From a file").http_status == 200);
    CHECK(good_config().warnings().empty());

    hma::config changed = good_config();
    changed.timeout(std::chrono::seconds(0));
    CHECK(changed.url().empty());
    CHECK(THROWN(hma::client client(changed)).status() == HMA_ERROR_CONFIG);
    changed.timeout(std::chrono::seconds(1)).connect_timeout(std::chrono::seconds(1)).keep_alive(std::chrono::hours(1));
    CHECK(changed.url() == "http://127.0.0.1:9/v25.0/17841450000000017/messages");
    CHECK(std::string(THROWN(hma::client client(good_config().ca_file("/no/such/file.pem"))).what()).find("/no/such") !=
          std::string::npos);
    changed.proxy("ftp://x").proxy("").no_proxy("*.example.net").no_proxy("");
    CHECK(hma::client(changed).get() != nullptr);
}

// As with every other error, setting the same thing again correctly forgets it.
static void a_corrected_nul_byte_is_forgotten() {
    hma::config config = good_config();
    config.proxy("http://127.0.0.1:9" + cut).proxy("").no_proxy(cut).no_proxy("").ca_file(cut).ca_file(nullptr);
    CHECK(!config.url().empty());
    CHECK(hma::client(config).get() != nullptr);
}

static void durations() {
    using hma::detail::milliseconds;
    typedef std::chrono::duration<double> seconds;
    const uint32_t longest = 4294967295u;
    CHECK(milliseconds(std::chrono::milliseconds(1)) == 1);
    CHECK(milliseconds(std::chrono::milliseconds(0)) == 0);
    CHECK(milliseconds(std::chrono::milliseconds(-1)) == 0);
    CHECK(milliseconds(std::chrono::nanoseconds(1)) == 1);
    CHECK(milliseconds(std::chrono::microseconds(1001)) == 2);
    CHECK(milliseconds(std::chrono::seconds(80)) == 80000);
    CHECK(milliseconds(std::chrono::milliseconds(4294967294LL)) == longest - 1);
    CHECK(milliseconds(std::chrono::milliseconds(4294967295LL)) == longest);
    CHECK(milliseconds(std::chrono::milliseconds(4294967296LL)) == longest);
    CHECK(milliseconds((std::chrono::hours::max)()) == longest);
    CHECK(milliseconds((std::chrono::hours::min)()) == 0);
    CHECK(milliseconds((std::chrono::nanoseconds::max)()) == longest);
    CHECK(milliseconds(seconds(0.0015)) == 2);
    CHECK(milliseconds(seconds(std::numeric_limits<double>::infinity())) == longest);
    CHECK(milliseconds(seconds(-std::numeric_limits<double>::infinity())) == 0);
    CHECK(milliseconds(seconds(std::numeric_limits<double>::quiet_NaN())) == 0);
    CHECK(milliseconds(seconds(std::numeric_limits<double>::denorm_min())) == 1);
}

static void durations_of_configurations() {
    const auto refused = [](const hma::config &config) {
        return THROWN(hma::client client(config)).status() == HMA_ERROR_CONFIG;
    };
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    CHECK(refused(good_config().timeout(std::chrono::seconds(-1))));
    CHECK(refused(good_config().timeout(nan)));
    CHECK(refused(good_config().connect_timeout(std::chrono::minutes(0))));
    hma::client(good_config().timeout(std::chrono::microseconds(1)).connect_timeout(std::chrono::nanoseconds(1)));
    hma::client(good_config().timeout((std::chrono::hours::max)()).connect_timeout((std::chrono::hours::max)()));
    hma::client(good_config().keep_alive(std::chrono::seconds(-1)).keep_alive(nan).keep_alive((std::chrono::hours::max)()));
}

// Clients

static void clients_that_do_not_throw() {
    hma::client client;
    CHECK(client.get() == nullptr);
    CHECK_ARGUMENT(client.send(user, "Hello"), "client");
    client.shutdown();
    CHECK(hma::client::from_env(client, std::nothrow).ok() && client.send(user, "From the environment").http_status == 200);
    const hma::result refused = hma::client::make(hma::config("", "1", "t"), client, std::nothrow);
    CHECK(refused.status == HMA_ERROR_CONFIG && begins_with(refused.error, "base_url") && client.get() == nullptr);
    CHECK(hma::client::make(good_config(), client, std::nothrow).ok() && client.get() != nullptr);
    const hma::result unread = hma::client::make(good_config().ca_file(cut), client, std::nothrow);
    CHECK(unread.status == HMA_ERROR_ARGUMENT && begins_with(unread.error, "ca_file: ") && client.get() == nullptr);
}

// Moves

static void moves(hma::client &client) {
    hma::client moved = std::move(client);
    CHECK(client.get() == nullptr && moved.get() != nullptr);
    CHECK_ARGUMENT(client.send(user, "Hello"), "client");
    client = std::move(moved);
    client.send(user, "Back again");

    hma::message first = hma::message::text("First");
    hma::message second = hma::message::text("Second");
    second = std::move(first);
    CHECK_ARGUMENT(client.send(user, first), "message");
    first.quick_reply("Does", "nothing");
    client.send(user, second);

    std::vector<hma::message> many;
    for (int count = 0; count < 5; ++count)
        many.push_back(hma::message::text(std::to_string(count)));
    for (const hma::message &message : many)
        client.send(user, message);

    hma::config config = good_config();
    hma::config other = std::move(config);
    CHECK(config.get() == nullptr && config.url().empty() && !other.url().empty());
    CHECK_ARGUMENT(hma::client refused(config), "config");
}

static void threads(const hma::client &client) {
    const hma::message heart = hma::message::heart();
    std::vector<std::thread> running;
    for (int number = 0; number < 4; ++number)
        running.emplace_back([&client, &heart, number] {
            const std::string recipient = "900" + std::to_string(number);
            for (int count = 0; count < 5; ++count)
                CHECK(client.send(recipient, heart).recipient_id == recipient);
        });
    for (std::thread &thread : running)
        thread.join();
}

// Webhooks

static const char *const secret = "whsec_9f2c41d07be84aa6";

static void signatures() {
    const std::string good = "sha256=fee73cb8161efbea630f8ff7a2b0f2ae6d7b4e1990de6b3915fb39ca828bf074";
    hma::webhook_verify(secret, good, "");
    CHECK(hma::webhook_verify(secret, good, "", std::nothrow).ok());
    CHECK(THROWN(hma::webhook_verify(secret, good, "x")).status() == HMA_ERROR_SIGNATURE);
    CHECK(THROWN(hma::webhook_verify(secret, good, std::string(1, '\0'))).status() == HMA_ERROR_SIGNATURE);
    CHECK(THROWN(hma::webhook_verify(secret, "", "")).status() == HMA_ERROR_SIGNATURE);
    CHECK(THROWN(hma::webhook_verify("", good, "")).status() == HMA_ERROR_SIGNATURE);
    const hma::result refused = hma::webhook_verify(secret, "00", "", std::nothrow);
    CHECK(!refused && refused.status == HMA_ERROR_SIGNATURE && begins_with(refused.error, "signature"));
    CHECK_ARGUMENT(hma::webhook_verify(std::string("a\0b", 3), good, ""), "secret");
    CHECK_ARGUMENT(hma::webhook_verify(secret, good + '\0', ""), "signature");
    CHECK(hma::config::from_env().webhook_secret() == secret && good_config().webhook_secret().empty());
}

static std::string delivery(const std::string &items) {
    return "{\"object\":\"instagram\",\"entry\":[{\"id\":\"17841450000000017\",\"messaging\":[" + items + "]}]}";
}

static const char *const two_events =
    "{\"sender\":{\"id\":\"8123456789012345\"},\"timestamp\":1782900000123,\"message\":{\"mid\":\"m1\",\"text\":\"hi\","
    "\"attachments\":[{\"type\":\"image\",\"payload\":{\"url\":\"https://x.example/1\"}}]}},"
    "{\"sender\":{\"id\":\"8123456789012345\"},\"read\":{\"mid\":\"m1\"}}";

static void ranges_of_events() {
    const hma::events events = hma::events::parse(delivery(two_events));
    CHECK(events.size() == 2 && !events.empty() && events.object() == "instagram");
    std::vector<std::string> keys;
    for (const hma::event &event : events)
        keys.push_back(event.key());
    CHECK(keys.size() == 2 && keys[0] != keys[1] && !keys[0].empty());
    const std::vector<hma::event> copies(events.begin(), events.end());
    CHECK(copies.size() == 2 && copies[1].key() == keys[1]);
    hma::events::iterator at = events.begin();
    CHECK(at->key() == keys[0] && events.begin()->attachment_count() == 1);
    CHECK((*at++).key() == keys[0] && (*at).key() == keys[1] && ++at == events.end());
    std::size_t count = 0;
    for (const hma::event &event : hma::events::parse(delivery(two_events)))
        CHECK(event.key() == keys[count++]);
    CHECK(count == 2);
    CHECK(hma::events().empty() && hma::events().begin() == hma::events().end());
}

static void facts_of_events() {
    const hma::events events = hma::events::parse(delivery(two_events));
    const hma::event message = events[0], seen = events[1], nothing = events[2];
    CHECK(message.kind() == HMA_EVENT_MESSAGE && message.text() == "hi" && message.message_id() == "m1");
    CHECK(message.user_id() == user && message.reply_user_id() == user && message.can_reply());
    CHECK(message.account_id() == "17841450000000017" && message.reply_comment_id().empty());
    CHECK(message.timestamp_ms() == 1782900000123 && message.window_closes_at() == 1782986400123);
    CHECK(message.opens_window() == 1 && !message.is_echo() && !message.is_own() && !message.is_standby());
    CHECK(message.attachment_count() == 1 && message.attachment_type(0) == "image");
    CHECK(message.attachment_url(0) == "https://x.example/1" && message.attachment_url(1).empty());
    CHECK(message.attachment_media_id(0).empty() && message.attachment_title(0).empty());
    CHECK(seen.kind() == HMA_EVENT_READ && seen.target_message_id() == "m1" && !seen.can_reply());
    CHECK(seen.timestamp_ms() == -1 && seen.opens_window() == 0 && begins_with(seen.json(), "{\"sender\""));
    CHECK(nothing.kind() == HMA_EVENT_OTHER && nothing.key().empty() && nothing.edit_count() == -1);
    for (const std::string &text :
         {message.username(), message.comment_id(), message.parent_id(), message.media_id(), message.title(),
          message.payload(), message.reply_to_message_id(), message.story_id(), message.story_url(),
          message.story_link_url(), message.reaction_action(), message.reaction_name(), message.reaction_emoji(),
          message.referral_ref(), message.referral_source(), message.referral_type(), message.referral_ad_id(),
          message.referral_product_id()})
        CHECK(text.empty());
}

static void bodies_that_are_no_json() {
    CHECK_ARGUMENT(hma::events::parse("{"), "body");
    CHECK_ARGUMENT(hma::events::parse(std::string()), "body");
    CHECK_ARGUMENT(hma::events::parse(std::string("{}\0", 3)), "body");
    hma::events events = hma::events::parse(delivery(two_events));
    CHECK(!hma::events::parse("{", events, std::nothrow) && events.empty());
    CHECK(hma::events::parse(delivery(two_events), events, std::nothrow) && events.size() == 2);
}

static void replies(const hma::client &client) {
    const hma::events events = hma::events::parse(delivery(two_events));
    CHECK(client.reply(events[0], hma::message::text("Thanks")).recipient_id == user);
    CHECK(client.reply(events[0], hma::message::heart(), std::nothrow).ok());
    CHECK_ARGUMENT(client.reply(events[1], hma::message::heart()), "event");
    CHECK_ARGUMENT(client.reply(events[2], hma::message::heart()), "index");
    const hma::message cut = hma::message::text(std::string("a\0b", 3));
    CHECK(!client.reply(events[0], cut, std::nothrow));
}

static void bodies(const hma::client &client) {
    const hma::message message = hma::message::text("From a queue");
    const std::string json = message.json(user);
    CHECK(json == "{\"recipient\":{\"id\":\"" + user + "\"},\"message\":{\"text\":\"From a queue\"}}");
    CHECK(!client.send_json(json).message_id.empty());
    CHECK(message.private_reply_json("17900000000000001").find("comment_id") != std::string::npos);
    std::string made = "old";
    const hma::result done = hma::message::text("").json(user, made, std::nothrow);
    CHECK(done.status == HMA_ERROR_ARGUMENT && done.scope() == HMA_SCOPE_MESSAGE && made.empty());
    CHECK(message.json(std::string("1\0", 2), made, std::nothrow).status == HMA_ERROR_ARGUMENT);
}

static void text_parts() {
    std::string together;
    for (const std::string &part : hma::text_parts(std::string(2500, 'x'))) {
        CHECK(part.size() <= 1000);
        together += part;
    }
    CHECK(together == std::string(2500, 'x') && hma::text_parts("").empty());
    for (const std::string &bad : {std::string("a\0b", 3), std::string("\377")}) {
        try {
            hma::text_parts(bad);
            CHECK(false);
        } catch (const hma::error &failure) {
            CHECK(failure.status() == HMA_ERROR_ARGUMENT && failure.scope() == HMA_SCOPE_MESSAGE);
        }
    }
}

static void reading(const hma::client &client) {
    CHECK(client.get("me?fields=username").body.find("username") != std::string::npos);
    CHECK(client.get("/me", std::nothrow).status == HMA_ERROR_ARGUMENT);
}

static void other_timeouts() {
    hma::client first = hma::client::from_env();
    const hma::client second = first.with_timeout(std::chrono::seconds(10));
    first = hma::client();
    CHECK(second.send(user, "In ten seconds", std::nothrow).ok());
    CHECK(second.with_timeout(std::chrono::seconds(0)).send(user, "Never", std::nothrow).status == HMA_ERROR_ARGUMENT);
    CHECK(second.drain(std::chrono::seconds(1)) == 0);
    CHECK(second.send(user, "Too late", std::nothrow).status == HMA_ERROR_CONNECT);
    CHECK(first.with_timeout(std::chrono::seconds(1)).send(user, "None", std::nothrow).status == HMA_ERROR_ARGUMENT);
}

static void made_signatures() {
    const std::string body("{}\0", 3);
    CHECK(hma::webhook_verify("secret", hma::webhook_sign("secret", body), body, std::nothrow).ok());
    std::string made = "old";
    CHECK(hma::webhook_sign("", body, made, std::nothrow).status == HMA_ERROR_ARGUMENT && made.empty());
}

static void echoes() {
    const hma::events events = hma::events::parse(
        "{\"object\":\"instagram\",\"entry\":[{\"id\":\"1\",\"messaging\":[{\"sender\":{\"id\":\"1\"},"
        "\"recipient\":{\"id\":\"2\"},\"timestamp\":1764000000000,"
        "\"message\":{\"mid\":\"m\",\"text\":\"Hi\",\"is_echo\":true}}]}]}");
    CHECK(events[0].echoes("2", "Hi", 1764000000000));
    CHECK(!events[0].echoes("2", "Hi", 1764000000001) && !events[0].echoes("2", std::string("Hi\0", 3), 0));
    CHECK(!events[1].echoes("2", "Hi", 0));
}

static void shutdown() {
    const hma::client client = hma::client::from_env();
    client.shutdown();
    CHECK(THROWN(client.send(user, "Too late")).status() == HMA_ERROR_CONNECT);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    hma::client client = hma::client::from_env();
    throwing_sends(client);
    sends_that_do_not_throw(client);
    refusals(client);
    errors_outlive_what_threw_them(client);
    setters_in_loops(client);
    chains_of_temporaries(client);
    empty_texts(client);
    mistakes_of_messages(client);
    nul_bytes_in_sends(client);
    nul_bytes_in_constructors(client);
    nul_bytes_in_setters(client);
    nul_bytes_in_moved_messages(client);
    nul_bytes_in_configurations();
    configurations(argv[1]);
    durations();
    durations_of_configurations();
    clients_that_do_not_throw();
    moves(client);
    threads(client);
    signatures();
    ranges_of_events();
    facts_of_events();
    bodies_that_are_no_json();
    replies(client);
    bodies(client);
    text_parts();
    reading(client);
    other_timeouts();
    made_signatures();
    echoes();
    shutdown();
    a_corrected_nul_byte_is_forgotten();
    std::puts("done");
}
