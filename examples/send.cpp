// Sends one text: send [--env-file FILE] RECIPIENT_ID TEXT
#include <hookmyapp.hpp>
#include <iostream>
#include <string>
#include <vector>
#ifdef _WIN32
#include "windows_arguments.h"
#endif

static const char usage[] =
    "usage: send [--env-file FILE] RECIPIENT_ID TEXT\n"
    "\n"
    "Sends TEXT to the Instagram user with the scoped id RECIPIENT_ID. Where to send\n"
    "and as whom is read from the environment, or from the FILE that\n"
    "`hookmyapp sandbox env --write` makes.\n"
    "\n"
    "exit code: 0 accepted, 1 not sent, 2 refused, 3 possibly delivered, 64 usage\n";

int main(int argc, char **argv)
try {
#ifdef _WIN32
    argv = windows_arguments();
    if (argv == nullptr)
        return 1;
#endif
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const bool with_file = arguments.size() == 4 && arguments[0] == "--env-file";

    if (arguments.size() == 1 && arguments[0] == "--help") {
        std::cout << usage;
        return 0;
    }
    if (!with_file && (arguments.size() != 2 || arguments[0].compare(0, 2, "--") == 0)) {
        std::cerr << usage;
        return 64;
    }

    const auto config = with_file ? hma::config::from_env_file(arguments[1]) : hma::config::from_env();
    if (!config.warnings().empty())
        std::cerr << "warning: " << config.warnings() << '\n';

    const hma::client client(config);
    const auto sent = client.send(arguments[arguments.size() - 2], arguments.back());
    std::cout << "sent " << (sent.message_id.empty() ? "(the gateway gave no message id)" : sent.message_id) << '\n';
    return 0;
} catch (const hma::error &failure) {
    std::cerr << failure.what() << '\n' << hma_status_text(failure.status()) << '\n';
    if (failure.response().retry_after >= 0)
        std::cerr << "wait " << failure.response().retry_after << " seconds before the next send\n";
    return failure.delivery(); // 1 not sent, 2 refused, 3 unknown
}
