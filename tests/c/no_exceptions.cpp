// The C++ header in a program without exceptions.
#include <hookmyapp.hpp>

#include "check.h"

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#error "compile this with -fno-exceptions"
#endif

int main() {
    hma::client client;
    const hma::result refused = hma::client::make(hma::config("", "", ""), client, std::nothrow);
    CHECK(!refused && refused.status == HMA_ERROR_CONFIG && client.get() == nullptr);
    CHECK(client.send("1", "no client", std::nothrow).status == HMA_ERROR_ARGUMENT);
    CHECK(hma::client::make(hma::config::from_env(), client, std::nothrow).ok());
    CHECK(client.send("1", "made", std::nothrow).ok());
    CHECK(hma::client::from_env(client, std::nothrow).ok());
    CHECK(client.send("1", hma::message::text("from the environment"), std::nothrow).ok());

    hma::events events;
    CHECK(hma::events::parse("[]", events, std::nothrow).ok() && events.empty());
    CHECK(client.reply(events[0], hma::message::heart(), std::nothrow).status == HMA_ERROR_ARGUMENT);
    CHECK(hma::webhook_verify("", "", "", std::nothrow).status == HMA_ERROR_SIGNATURE);
    std::puts("done");
}
