// Passes texts in every form that the C++ standard of the compiler supports, and prints how many were sent.
#include <hookmyapp.hpp>

#include "check.h"

static int sent = 0;

template <typename Text> static void send(const hma::client &client, const char *user, const Text &text) {
    CHECK(client.send(user, text).recipient_id == user);
    CHECK(client.send(std::string(user), hma::message::text(text).tag("HUMAN_AGENT"), std::nothrow).ok());
    sent += 2;
}

// What knows how to become a text, as a path does.
struct turns_into_text {
    operator std::string() const { return "conversion"; }
};

static void texts_of_cpp11(const hma::client &client) {
    char array[] = "array";
    char *changeable = array;
    std::string string("string");
    send(client, "1", "literal");
    send(client, "1", array);
    send(client, "1", changeable);
    send(client, "1", string);
    send(client, "1", std::string("temporary"));
    send(client, "1", turns_into_text());
}

// Neither crashes nor is taken for an empty text.
static void null_pointers(const hma::client &client) {
    const char *none = nullptr;
    const hma::result refused = client.send("1", none, std::nothrow);
    CHECK(refused.status == HMA_ERROR_ARGUMENT && refused.error == "text: must not be NULL");
    CHECK(client.send(none, hma::message::heart(), std::nothrow).error == "recipient_id: must not be NULL");
    CHECK(
        client.send("1", hma::message::text("contact").contact_reply(HMA_CONTACT_PHONE, none, "x"), std::nothrow).ok());
    ++sent;
    CHECK(hma::webhook_verify(none, none, none, std::nothrow).status == HMA_ERROR_SIGNATURE);
}

#if __cplusplus >= 201703L
#include <filesystem>
#include <string_view>

// A view has no NUL behind it, and may hold one.
static void views(const hma::client &client) {
    using namespace std::literals;
    const std::string_view longer = "view of a longer text";
    send(client, "1", longer.substr(0, 4));
    CHECK(client.send("1"sv, std::string_view(), std::nothrow).status == HMA_ERROR_ARGUMENT);
    CHECK(client.send("1"sv, "cut\0here"sv, std::nothrow).error == "text: must not hold a NUL byte");
    CHECK(hma::events::parse("[]and more"sv.substr(0, 2)).empty());
    CHECK(hma::webhook_verify("secret"sv, "00"sv, "{}"sv, std::nothrow).status == HMA_ERROR_SIGNATURE);

    hma::config config("http://127.0.0.1:9/v25.0/x"sv.substr(0, 24), "12"sv.substr(0, 1), "t"sv);
    CHECK(config.url() == "http://127.0.0.1:9/v25.0/1/messages");
    const auto refused = hma::client::make(config.ca_file(std::filesystem::path("/no/such.pem")),
                                           *std::make_unique<hma::client>(), std::nothrow);
    CHECK(refused.error.find("/no/such.pem") != std::string::npos);
}
#else
static void views(const hma::client &) {}
#endif

int main() {
    const hma::client client = hma::client::from_env();
    texts_of_cpp11(client);
    null_pointers(client);
    views(client);
    std::printf("%d\n", sent);
}
