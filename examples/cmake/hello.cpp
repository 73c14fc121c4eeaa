// Sends "Hello from my app" to one user: hello-cpp RECIPIENT_ID
#include <hookmyapp.hpp>
#include <iostream>

int main(int argc, char **argv)
try {
    if (argc != 2) {
        std::cerr << "usage: hello-cpp RECIPIENT_ID\n";
        return 64;
    }
    hma::client::from_env().send(argv[1], "Hello from my app");
    std::cout << "sent\n";
    return 0;
} catch (const hma::error &failure) {
    std::cerr << failure.what() << '\n';
    return failure.delivery();
}
