// hookmyapp.hpp - the C++11 API of hookmyapp.h: objects free themselves, failures throw.
//
//     try {
//         auto client = hma::client::from_env();
//         auto sent = client.send("8123456789012345", "Hello from my app");
//         std::cout << sent.message_id << '\n';
//     } catch (const hma::error &error) {
//         std::cerr << error.what() << '\n'; // error.delivery() states whether a retry is safe
//     }
//
// Header only; every call goes through the C functions. hookmyapp.h is their manual: it documents limits, units and the
// meaning of each status. Settings come from the environment, see hma_config_from_env(), or from hma::config.
//
// Texts: const char *, std::string or, since C++17, std::string_view. A text that contains a NUL byte is
// HMA_ERROR_ARGUMENT: nothing is ever truncated.
// Threads: any number of threads may send through one client at once, and call const functions on one object.
// Exceptions: with -fno-exceptions the functions that throw are left out. Those with std::nothrow stay.
// Versions: one program may contain libraries that were built with different versions of this header.
#ifndef HOOKMYAPP_HPP
#define HOOKMYAPP_HPP

#include <hookmyapp.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if __cplusplus >= 201703L || (defined(_MSVC_LANG) && _MSVC_LANG >= 201703L)
#define HMA_HAS_STRING_VIEW
#include <string_view>
#endif

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define HMA_HAS_EXCEPTIONS
#endif

// A shared object catches an exception by its type only if the type is visible, also with -fvisibility=hidden.
#if defined(__GNUC__) && !defined(_WIN32)
#define HMA_VISIBLE __attribute__((visibility("default")))
#else
#define HMA_VISIBLE
#endif

namespace hma {
// The version of the ABI, as in the name of the shared library.
inline namespace v0_1 {

/// The response of the gateway, as plain values. If the response does not contain a value, numbers are 0 or -1, and
/// texts are empty.
struct response {
    int http_status = 0;
    std::string message_id{};
    std::string recipient_id{};
    std::string attachment_id{};
    int meta_code = 0;
    int meta_subcode = 0;
    std::string gateway_code{};
    std::string error_message{};
    std::string user_message{};
    std::string trace_id{};
    int retry_after = -1; ///< seconds
    int usage_percent = -1;
    std::string body{}; ///< unmodified

    response() = default;

    /// Copies a C response. NULL gives an empty response.
    explicit response(const hma_response *raw);
};

#ifdef HMA_HAS_EXCEPTIONS
/// Thrown by every call that does not return HMA_OK. what() is the error string.
class HMA_VISIBLE error : public std::runtime_error {
public:
    error(hma_status status, const std::string &what, hma::response response = hma::response())
        : std::runtime_error(what), status_(status),
          response_(std::make_shared<const hma::response>(std::move(response))) {}

    hma_status status() const noexcept { return status_; }

    /// Returns whether the message may have been delivered: one of the HMA_DELIVERY_* constants. HMA_DELIVERY_NOT_SENT:
    /// a retry is safe.
    hma_delivery delivery() const noexcept { return hma_status_delivery(status_); }

    /// What the failure is about: one of the HMA_SCOPE_* constants.
    hma_scope scope() const noexcept { return hma_status_scope(status_); }

    /// Returns the response of the gateway; empty if none arrived.
    const hma::response &response() const noexcept { return *response_; }

private:
    hma_status status_;
    std::shared_ptr<const hma::response> response_; // so that copying an exception cannot throw
};
#endif

/// The result of a call that does not throw.
struct result {
    hma_status status = HMA_OK;
    hma::response response{};
    std::string error{};

    bool ok() const noexcept { return status == HMA_OK; }
    explicit operator bool() const noexcept { return ok(); }

    /// What a failure is about: one of the HMA_SCOPE_* constants.
    hma_scope scope() const noexcept { return hma_status_scope(status); }
};

namespace detail {

struct deleter {
    void operator()(hma_client *raw) const noexcept { hma_client_free(raw); }
    void operator()(hma_config *raw) const noexcept { hma_config_free(raw); }
    void operator()(hma_events *raw) const noexcept { hma_events_free(raw); }
    void operator()(hma_message *raw) const noexcept { hma_message_free(raw); }
    void operator()(hma_response *raw) const noexcept { hma_response_free(raw); }
    void operator()(char *raw) const noexcept { hma_string_free(raw); }
};

template <typename T> using owner = std::unique_ptr<T, deleter>;

/// A text argument of any accepted type, valid during the call only. A null pointer stays null.
class text_in {
public:
    text_in() noexcept : text_in("") {}
    text_in(const text_in &) = default;
    text_in &operator=(const text_in &) = delete;
    text_in(const char *text) noexcept : borrowed_(text), length_(text ? std::char_traits<char>::length(text) : 0) {}
    text_in(const std::string &text) noexcept : borrowed_(text.c_str()), length_(text.size()) {}
#ifdef HMA_HAS_STRING_VIEW
    text_in(std::string_view text) : owned_(text), is_owned_(true), length_(text.size()) {}
#endif
    /// Anything that converts to a string, such as a path.
    template <typename Text,
              typename = typename std::enable_if<std::is_convertible<const Text &, std::string>::value &&
                                                 !std::is_convertible<const Text &, const char *>::value>::type>
    text_in(const Text &text) : owned_(text), is_owned_(true), length_(owned_.size()) {}

    const char *c_str() const noexcept { return is_owned_ ? owned_.c_str() : borrowed_; }
    std::size_t size() const noexcept { return length_; }
    bool has_nul() const noexcept { return size() != 0 && std::char_traits<char>::find(c_str(), size(), '\0'); }

private:
    const char *borrowed_ = nullptr;
    std::string owned_{};
    bool is_owned_ = false;
    std::size_t length_ = 0;
};

/// Converts arguments to C strings. Stores an error for the first that contains a NUL byte, which C would read as the
/// end.
class c_strings {
public:
    const char *operator()(const char *name, const text_in &text) {
        if (text.has_nul() && first_error_.empty())
            first_error_ = std::string(name) + ": must not hold a NUL byte";
        return text.c_str();
    }
    const char *or_null(const char *name, const text_in &text) {
        return text.size() == 0 ? nullptr : (*this)(name, text);
    }
    const std::string &first_error() const noexcept { return first_error_; }

private:
    std::string first_error_{};
};

/// Returns the result for an invalid argument, instead of a call.
inline result refused(const std::string &reason) {
    result done;
    done.status = HMA_ERROR_ARGUMENT;
    done.error = reason;
    return done;
}

#ifdef HMA_HAS_EXCEPTIONS
template <typename T> T throw_on_error(T done) {
    if (!done.ok())
        throw error(done.status, done.error, std::move(done.response));
    return done;
}
#endif

/// Calls a function that returns a string through an argument, and copies the string to `made`; empty on failure.
template <typename Call> result string_result(std::string &made, Call call) {
    result done;
    char *raw_string = nullptr;
    char *raw_error = nullptr;
    done.status = call(&raw_string, &raw_error);
    owner<char> owned_string(raw_string);
    owner<char> owned_error(raw_error);
    made = raw_string ? raw_string : "";
    if (raw_error)
        done.error = raw_error;
    return done;
}

/// Returns a borrowed text as a string; empty for NULL.
inline std::string to_string(const char *borrowed) { return borrowed ? std::string(borrowed) : std::string(); }

/// Returns whole milliseconds, rounded up. A negative time is 0, and a time that does not fit is the longest one.
template <typename Rep, typename Period> uint32_t milliseconds(std::chrono::duration<Rep, Period> duration) {
    const double exact = std::chrono::duration<double, std::milli>(duration).count();
    if (!(exact > 0))
        return 0;
    if (exact >= 4294967295.0)
        return 4294967295u;
    const uint32_t whole = static_cast<uint32_t>(exact);
    return exact > whole ? whole + 1 : whole;
}

} // namespace detail

inline response::response(const hma_response *raw)
    : http_status(hma_response_http_status(raw)), message_id(detail::to_string(hma_response_message_id(raw))),
      recipient_id(detail::to_string(hma_response_recipient_id(raw))),
      attachment_id(detail::to_string(hma_response_attachment_id(raw))), meta_code(hma_response_meta_code(raw)),
      meta_subcode(hma_response_meta_subcode(raw)), gateway_code(detail::to_string(hma_response_gateway_code(raw))),
      error_message(detail::to_string(hma_response_error_message(raw))),
      user_message(detail::to_string(hma_response_user_message(raw))),
      trace_id(detail::to_string(hma_response_trace_id(raw))), retry_after(hma_response_retry_after(raw)),
      usage_percent(hma_response_usage_percent(raw)),
      body(raw ? std::string(hma_response_body(raw), hma_response_body_length(raw)) : std::string()) {}

/// A message to send. Setters can be chained or called in a loop. The send reports the first error.
class message {
public:
    static message text(const detail::text_in &text) {
        return message([&](detail::c_strings &in) { return hma_message_text(in("text", text)); });
    }
    static message attachment(hma_attachment_kind kind, const detail::text_in &url) {
        return message([&](detail::c_strings &in) { return hma_message_attachment(kind, in("url", url)); });
    }
    static message attachment_id(hma_attachment_kind kind, const detail::text_in &id) {
        return message([&](detail::c_strings &in) { return hma_message_attachment_id(kind, in("attachment_id", id)); });
    }
    static message images() {
        return message([](detail::c_strings &) { return hma_message_images(); });
    }
    static message heart() {
        return message([](detail::c_strings &) { return hma_message_heart(); });
    }
    static message post(const detail::text_in &media_id) {
        return message([&](detail::c_strings &in) { return hma_message_post(in("media_id", media_id)); });
    }
    static message cards() {
        return message([](detail::c_strings &) { return hma_message_cards(); });
    }
    /// Creates a reaction: the word "love" or an emoji.
    static message reaction(const detail::text_in &message_id, const detail::text_in &reaction) {
        return message([&](detail::c_strings &in) {
            const char *id = in("message_id", message_id);
            return hma_message_reaction(id, in("reaction", reaction));
        });
    }
    /// Removes the reaction to a message.
    static message no_reaction(const detail::text_in &message_id) {
        return message(
            [&](detail::c_strings &in) { return hma_message_reaction(in("message_id", message_id), nullptr); });
    }
    static message action(hma_action action) {
        return message([=](detail::c_strings &) { return hma_message_action(action); });
    }

    message &image(const detail::text_in &url) & {
        hma_message_add_image(raw_.get(), c_strings_("url", url));
        return *this;
    }
    message &image_id(const detail::text_in &attachment_id) & {
        hma_message_add_image_id(raw_.get(), c_strings_("attachment_id", attachment_id));
        return *this;
    }
    message &quick_reply(const detail::text_in &title, const detail::text_in &payload) & {
        hma_message_add_quick_reply(raw_.get(), c_strings_("title", title), c_strings_("payload", payload));
        return *this;
    }
    /// An empty title or payload is not sent.
    message &contact_reply(hma_contact_kind kind, const detail::text_in &title = detail::text_in(),
                           const detail::text_in &payload = detail::text_in()) & {
        hma_message_add_contact_reply(raw_.get(), kind, c_strings_.or_null("title", title),
                                      c_strings_.or_null("payload", payload));
        return *this;
    }
    /// An empty subtitle or URL is not sent.
    message &card(const detail::text_in &title, const detail::text_in &subtitle = detail::text_in(),
                  const detail::text_in &image_url = detail::text_in(),
                  const detail::text_in &link_url = detail::text_in()) & {
        hma_message_add_card(raw_.get(), c_strings_("title", title), c_strings_.or_null("subtitle", subtitle),
                             c_strings_.or_null("image_url", image_url), c_strings_.or_null("link_url", link_url));
        return *this;
    }
    message &link_button(const detail::text_in &title, const detail::text_in &url) & {
        hma_message_add_link_button(raw_.get(), c_strings_("title", title), c_strings_("url", url));
        return *this;
    }
    message &postback_button(const detail::text_in &title, const detail::text_in &payload) & {
        hma_message_add_postback_button(raw_.get(), c_strings_("title", title), c_strings_("payload", payload));
        return *this;
    }
    message &tag(const detail::text_in &tag) & {
        hma_message_set_tag(raw_.get(), c_strings_("tag", tag));
        return *this;
    }
    message &messaging_type(const detail::text_in &type) & {
        hma_message_set_messaging_type(raw_.get(), c_strings_("messaging_type", type));
        return *this;
    }
    message &reply_to(const detail::text_in &message_id) & {
        hma_message_set_reply_to(raw_.get(), c_strings_("reply_to", message_id));
        return *this;
    }
    message &reusable() & {
        hma_message_set_reusable(raw_.get());
        return *this;
    }

    // The same setters for temporaries, so that message::text("?").quick_reply("Yes", "YES") can be passed to a
    // function.
    message &&image(const detail::text_in &url) && { return std::move(image(url)); }
    message &&image_id(const detail::text_in &attachment_id) && { return std::move(image_id(attachment_id)); }
    message &&quick_reply(const detail::text_in &title, const detail::text_in &payload) && {
        return std::move(quick_reply(title, payload));
    }
    message &&contact_reply(hma_contact_kind kind, const detail::text_in &title = detail::text_in(),
                            const detail::text_in &payload = detail::text_in()) && {
        return std::move(contact_reply(kind, title, payload));
    }
    message &&card(const detail::text_in &title, const detail::text_in &subtitle = detail::text_in(),
                   const detail::text_in &image_url = detail::text_in(),
                   const detail::text_in &link_url = detail::text_in()) && {
        return std::move(card(title, subtitle, image_url, link_url));
    }
    message &&link_button(const detail::text_in &title, const detail::text_in &url) && {
        return std::move(link_button(title, url));
    }
    message &&postback_button(const detail::text_in &title, const detail::text_in &payload) && {
        return std::move(postback_button(title, payload));
    }
    message &&tag(const detail::text_in &tag) && { return std::move(this->tag(tag)); }
    message &&messaging_type(const detail::text_in &type) && { return std::move(messaging_type(type)); }
    message &&reply_to(const detail::text_in &message_id) && { return std::move(reply_to(message_id)); }
    message &&reusable() && { return std::move(reusable()); }

    /// Returns in `made` the request body that a send to this user would send. This function sends nothing.
    result json(const detail::text_in &recipient_id, std::string &made, const std::nothrow_t &) const {
        return to_json(hma_message_json, "recipient_id", recipient_id, made);
    }
    /// Returns in `made` the request body that a private reply to this comment would send.
    result private_reply_json(const detail::text_in &comment_id, std::string &made, const std::nothrow_t &) const {
        return to_json(hma_message_private_reply_json, "comment_id", comment_id, made);
    }
#ifdef HMA_HAS_EXCEPTIONS
    std::string json(const detail::text_in &recipient_id) const {
        std::string made;
        detail::throw_on_error(json(recipient_id, made, std::nothrow));
        return made;
    }
    std::string private_reply_json(const detail::text_in &comment_id) const {
        std::string made;
        detail::throw_on_error(private_reply_json(comment_id, made, std::nothrow));
        return made;
    }
#endif

    const hma_message *get() const noexcept { return raw_.get(); }

private:
    friend class client;

    template <typename ToJson>
    result to_json(ToJson make, const char *name, const detail::text_in &id, std::string &made) const {
        made.clear();
        detail::c_strings in = c_strings_;
        const char *to = in(name, id);
        if (!in.first_error().empty())
            return detail::refused(in.first_error());
        return detail::string_result(made,
                                     [&](char **json, char **error) { return make(raw_.get(), to, json, error); });
    }

    template <typename Make> explicit message(Make make) : raw_(make(c_strings_)) {}

    detail::c_strings c_strings_{}; // before raw_, which is made with it
    detail::owner<hma_message> raw_{};
};

/// Settings for a client. The constructor of hma::client reports invalid settings.
class config {
public:
    config(const detail::text_in &base_url, const detail::text_in &account_id, const detail::text_in &access_token)
        : raw_(hma_config_new(c_strings_("base_url", base_url), c_strings_("account_id", account_id),
                              c_strings_("access_token", access_token))) {}

    static config from_env() { return config(hma_config_from_env()); }
    static config from_env_file(const detail::text_in &path) {
        detail::c_strings in;
        const char *checked_path = in("path", path);
        config made(hma_config_from_env_file(in.first_error().empty() ? checked_path : nullptr));
        made.c_strings_ = in;
        return made;
    }

    template <typename Rep, typename Period> config &timeout(std::chrono::duration<Rep, Period> whole_send) & {
        hma_config_set_timeout(raw_.get(), detail::milliseconds(whole_send));
        return *this;
    }
    template <typename Rep, typename Period> config &connect_timeout(std::chrono::duration<Rep, Period> connect) & {
        hma_config_set_connect_timeout(raw_.get(), detail::milliseconds(connect));
        return *this;
    }
    template <typename Rep, typename Period> config &keep_alive(std::chrono::duration<Rep, Period> idle) & {
        hma_config_set_keep_alive(raw_.get(), detail::milliseconds(idle));
        return *this;
    }
    config &ca_file(const detail::text_in &path) & {
        ca_file_ = detail::c_strings();
        hma_config_set_ca_file(raw_.get(), ca_file_("ca_file", path));
        return *this;
    }
    /// An empty URL means none.
    config &proxy(const detail::text_in &url) & {
        proxy_ = detail::c_strings();
        hma_config_set_proxy(raw_.get(), proxy_.or_null("proxy", url));
        return *this;
    }
    /// Sets the hosts that are connected to directly, separated by commas. Empty means none.
    config &no_proxy(const detail::text_in &hosts) & {
        no_proxy_ = detail::c_strings();
        hma_config_set_no_proxy(raw_.get(), no_proxy_("no_proxy", hosts));
        return *this;
    }

    template <typename Rep, typename Period> config &&timeout(std::chrono::duration<Rep, Period> whole_send) && {
        return std::move(timeout(whole_send));
    }
    template <typename Rep, typename Period> config &&connect_timeout(std::chrono::duration<Rep, Period> connect) && {
        return std::move(connect_timeout(connect));
    }
    template <typename Rep, typename Period> config &&keep_alive(std::chrono::duration<Rep, Period> idle) && {
        return std::move(keep_alive(idle));
    }
    config &&ca_file(const detail::text_in &path) && { return std::move(ca_file(path)); }
    config &&proxy(const detail::text_in &url) && { return std::move(proxy(url)); }
    config &&no_proxy(const detail::text_in &hosts) && { return std::move(no_proxy(hosts)); }

    /// Returns the URL that a send POSTs to; empty while a setting is missing or invalid.
    std::string url() const {
        return first_error().empty() ? detail::to_string(hma_config_url(raw_.get())) : std::string();
    }

    /// Returns the secret for webhook_verify(): WEBHOOK_HMAC_SECRET, if from_env() or from_env_file() found it; else
    /// empty.
    std::string webhook_secret() const { return detail::to_string(hma_config_webhook_secret(raw_.get())); }

    /// Returns the settings in the environment that are probably unintended, one per line; empty if there are none.
    std::string warnings() const { return detail::to_string(hma_config_warnings(raw_.get())); }

    const hma_config *get() const noexcept { return raw_.get(); }

private:
    friend class client;

    explicit config(hma_config *raw) : raw_(raw) {}

    /// Returns the error of a NUL byte, which the C functions cannot see. Setting the value again clears it.
    const std::string &first_error() const noexcept {
        for (const detail::c_strings *one : {&c_strings_, &ca_file_, &proxy_})
            if (!one->first_error().empty())
                return one->first_error();
        return no_proxy_.first_error();
    }

    detail::c_strings c_strings_{}; // before raw_, which is made with it
    detail::c_strings ca_file_{};
    detail::c_strings proxy_{};
    detail::c_strings no_proxy_{};
    detail::owner<hma_config> raw_{};
};

/// Verifies the X-HookMyApp-Signature-256 header over the unmodified bytes of a webhook's body. Fails with
/// HMA_ERROR_SIGNATURE if it does not match: respond 401. An empty signature means a missing header.
inline result webhook_verify(const detail::text_in &secret, const detail::text_in &signature,
                             const detail::text_in &body, const std::nothrow_t &) {
    detail::c_strings in;
    const char *key = in("secret", secret);
    const char *header = in("signature", signature);
    if (!in.first_error().empty())
        return detail::refused(in.first_error());
    result done;
    char *what = nullptr;
    done.status = hma_webhook_verify(key, header, body.c_str(), body.size(), &what);
    detail::owner<char> owned(what);
    done.error = detail::to_string(what);
    return done;
}
#ifdef HMA_HAS_EXCEPTIONS
inline void webhook_verify(const detail::text_in &secret, const detail::text_in &signature,
                           const detail::text_in &body) {
    detail::throw_on_error(webhook_verify(secret, signature, body, std::nothrow));
}
#endif

/// Returns in `made` the value of the X-HookMyApp-Signature-256 header for a body, for tests of receivers.
inline result webhook_sign(const detail::text_in &secret, const detail::text_in &body, std::string &made,
                           const std::nothrow_t &) {
    made.clear();
    detail::c_strings in;
    const char *key = in("secret", secret);
    if (!in.first_error().empty())
        return detail::refused(in.first_error());
    return detail::string_result(made, [&](char **signature, char **error) {
        return hma_webhook_sign(key, body.c_str(), body.size(), signature, error);
    });
}
#ifdef HMA_HAS_EXCEPTIONS
inline std::string webhook_sign(const detail::text_in &secret, const detail::text_in &body) {
    std::string made;
    detail::throw_on_error(webhook_sign(secret, body, made, std::nothrow));
    return made;
}
#endif

#ifdef HMA_HAS_EXCEPTIONS
/// Splits a long text into parts that each fit one message, see hma_text_part_length(). A text that contains a NUL byte
/// or is not UTF-8 throws hma::error with HMA_ERROR_ARGUMENT.
inline std::vector<std::string> text_parts(const detail::text_in &text) {
    std::vector<std::string> parts;
    if (text.has_nul())
        throw error(HMA_ERROR_ARGUMENT, "text: must not hold a NUL byte");
    const char *rest = text.c_str();
    std::size_t left = text.size();
    while (left > 0) {
        const std::size_t length = hma_text_part_length(rest);
        if (length == 0)
            throw error(HMA_ERROR_ARGUMENT, "text: not UTF-8");
        parts.emplace_back(rest, length);
        rest += length;
        left -= length;
    }
    return parts;
}
#endif

/// One event of a webhook: a view into hma::events, valid as long as they are. A copy copies no text.
///
/// If the delivery does not contain a value, texts are empty and numbers 0 or -1. hookmyapp.h documents each value.
class event {
public:
    hma_event_kind kind() const noexcept { return hma_events_kind(events_, index_); }
    bool is_standby() const noexcept { return hma_events_is_standby(events_, index_) == 1; }
    bool is_echo() const noexcept { return hma_events_is_echo(events_, index_) == 1; }
    bool is_own() const noexcept { return hma_events_is_own(events_, index_) == 1; }
    /// Returns whether this is an echo of this text to this user, at or after `since_ms`: evidence that a send with an
    /// unknown outcome was delivered, see hma_events_echoes().
    bool echoes(const detail::text_in &recipient_id, const detail::text_in &text,
                std::int64_t since_ms) const noexcept {
        return !recipient_id.has_nul() && !text.has_nul() &&
               hma_events_echoes(events_, index_, recipient_id.c_str(), text.c_str(), since_ms) == 1;
    }
    std::string account_id() const { return text(hma_events_account_id); }
    std::string user_id() const { return text(hma_events_user_id); }
    std::string username() const { return text(hma_events_username); }
    /// Returns the recipient of a reply. Both ids are empty if the event allows no reply.
    std::string reply_user_id() const { return text(hma_events_reply_user_id); }
    std::string reply_comment_id() const { return text(hma_events_reply_comment_id); }
    bool can_reply() const noexcept {
        return hma_events_reply_user_id(events_, index_) || hma_events_reply_comment_id(events_, index_);
    }
    std::string message_id() const { return text(hma_events_message_id); }
    std::string target_message_id() const { return text(hma_events_target_message_id); }
    std::string comment_id() const { return text(hma_events_comment_id); }
    std::string parent_id() const { return text(hma_events_parent_id); }
    std::string media_id() const { return text(hma_events_media_id); }
    std::string text() const { return text(hma_events_text); }
    std::string title() const { return text(hma_events_title); }
    std::string payload() const { return text(hma_events_payload); }
    std::size_t attachment_count() const noexcept { return hma_events_attachment_count(events_, index_); }
    std::string attachment_type(std::size_t at) const { return text(hma_events_attachment_type, at); }
    std::string attachment_url(std::size_t at) const { return text(hma_events_attachment_url, at); }
    std::string attachment_media_id(std::size_t at) const { return text(hma_events_attachment_media_id, at); }
    std::string attachment_title(std::size_t at) const { return text(hma_events_attachment_title, at); }
    std::string reply_to_message_id() const { return text(hma_events_reply_to_message_id); }
    std::string story_id() const { return text(hma_events_story_id); }
    std::string story_url() const { return text(hma_events_story_url); }
    std::string story_link_url() const { return text(hma_events_story_link_url); }
    std::string reaction_action() const { return text(hma_events_reaction_action); }
    std::string reaction_name() const { return text(hma_events_reaction_name); }
    std::string reaction_emoji() const { return text(hma_events_reaction_emoji); }
    std::string referral_ref() const { return text(hma_events_referral_ref); }
    std::string referral_source() const { return text(hma_events_referral_source); }
    std::string referral_type() const { return text(hma_events_referral_type); }
    std::string referral_ad_id() const { return text(hma_events_referral_ad_id); }
    std::string referral_product_id() const { return text(hma_events_referral_product_id); }
    int edit_count() const noexcept { return hma_events_edit_count(events_, index_); }
    /// Milliseconds since 1970, or -1.
    int64_t timestamp_ms() const noexcept { return hma_events_timestamp_ms(events_, index_); }
    /// 1 yes, 0 no, -1 if that is not documented.
    int opens_window() const noexcept { return hma_events_opens_window(events_, index_); }
    /// Milliseconds since 1970, or -1.
    int64_t window_closes_at() const noexcept { return hma_events_window_closes_at(events_, index_); }
    /// Returns the deduplication key: the same when the event is delivered again. Store it to discard repeats.
    std::string key() const { return text(hma_events_key); }
    std::string json() const { return text(hma_events_json); }

private:
    friend class client;
    friend class events;

    event(const hma_events *events, std::size_t index) noexcept : events_(events), index_(index) {}

    std::string text(const char *(*get)(const hma_events *, std::size_t)) const {
        return detail::to_string(get(events_, index_));
    }
    std::string text(const char *(*get)(const hma_events *, std::size_t, std::size_t), std::size_t at) const {
        return detail::to_string(get(events_, index_, at));
    }

    const hma_events *events_;
    std::size_t index_;
};

/// The events of one webhook delivery: a range over hma::event.
class events {
public:
    class iterator {
        /// Stores the event during `->`.
        class arrow {
        public:
            explicit arrow(const event &at) noexcept : at_(at) {}
            const event *operator->() const noexcept { return &at_; }

        private:
            event at_;
        };

    public:
        // <string> defines the tag. <iterator> is not included, because it does not compile where `min` is a macro.
        using iterator_category = std::input_iterator_tag;
        using value_type = event;
        using difference_type = std::ptrdiff_t;
        using pointer = arrow;
        using reference = event;

        event operator*() const noexcept { return event(events_, index_); }
        arrow operator->() const noexcept { return arrow(**this); }
        iterator &operator++() noexcept {
            ++index_;
            return *this;
        }
        iterator operator++(int) noexcept {
            iterator before = *this;
            ++index_;
            return before;
        }
        bool operator==(const iterator &other) const noexcept { return index_ == other.index_; }
        bool operator!=(const iterator &other) const noexcept { return index_ != other.index_; }

    private:
        friend class events;
        iterator(const hma_events *events, std::size_t index) noexcept : events_(events), index_(index) {}

        const hma_events *events_;
        std::size_t index_;
    };

#ifdef HMA_HAS_EXCEPTIONS
    /// Parses the body of a delivery. Verify its signature first. Throws hma::error if it is not JSON.
    static events parse(const detail::text_in &body) {
        events made;
        detail::throw_on_error(parse(body, made, std::nothrow));
        return made;
    }
#endif
    /// Does the same without throwing: stores the events in `made`.
    static result parse(const detail::text_in &body, events &made, const std::nothrow_t &) {
        result done;
        hma_events *raw = nullptr;
        char *what = nullptr;
        done.status = hma_events_parse(body.c_str(), body.size(), &raw, &what);
        made.raw_.reset(raw);
        detail::owner<char> owned(what);
        done.error = detail::to_string(what);
        return done;
    }

    /// No events.
    events() = default;

    /// Returns what the delivery is about: "instagram", or for example "whatsapp_business_account", which has no
    /// events.
    std::string object() const { return detail::to_string(hma_events_object(raw_.get())); }

    std::size_t size() const noexcept { return hma_events_count(raw_.get()); }
    bool empty() const noexcept { return size() == 0; }
    /// Returns an event. If the index is out of range, all its values are empty. Deleted for a temporary, which the
    /// event would outlive.
    event operator[](std::size_t index) const &noexcept { return event(raw_.get(), index); }
    event operator[](std::size_t index) const && = delete;
    iterator begin() const noexcept { return iterator(raw_.get(), 0); }
    iterator end() const noexcept { return iterator(raw_.get(), size()); }

    const hma_events *get() const noexcept { return raw_.get(); }

private:
    detail::owner<hma_events> raw_{};
};

/// Sends messages as one Instagram account. Create one and share it.
///
/// Each send returns the response to an accepted message and throws hma::error on failure. The overload with
/// std::nothrow returns hma::result instead.
class client {
public:
    /// No client: every send through it is HMA_ERROR_ARGUMENT.
    client() = default;

    /// Creates a client in `made`. On failure `made` is empty.
    static result make(const config &settings, client &made, const std::nothrow_t &) {
        made.raw_.reset();
        if (!settings.first_error().empty())
            return detail::refused(settings.first_error());
        result done;
        hma_client *raw = nullptr;
        char *what = nullptr;
        done.status = hma_client_new(settings.get(), &raw, &what);
        made.raw_.reset(raw);
        detail::owner<char> owned(what);
        done.error = detail::to_string(what);
        return done;
    }
    static result from_env(client &made, const std::nothrow_t &) {
        return make(config::from_env(), made, std::nothrow);
    }

#ifdef HMA_HAS_EXCEPTIONS
    explicit client(const config &settings) { detail::throw_on_error(make(settings, *this, std::nothrow)); }
    static client from_env() { return client(config::from_env()); }

    response send(const detail::text_in &recipient_id, const detail::text_in &text) const {
        return std::move(detail::throw_on_error(send(recipient_id, text, std::nothrow)).response);
    }
    response send(const detail::text_in &recipient_id, const message &message) const {
        return std::move(detail::throw_on_error(send(recipient_id, message, std::nothrow)).response);
    }
    response send_private_reply(const detail::text_in &comment_id, const message &message) const {
        return std::move(detail::throw_on_error(send_private_reply(comment_id, message, std::nothrow)).response);
    }
    response reply(const event &event, const message &message) const {
        return std::move(detail::throw_on_error(reply(event, message, std::nothrow)).response);
    }
    response send_json(const detail::text_in &body) const {
        return std::move(detail::throw_on_error(send_json(body, std::nothrow)).response);
    }
    response upload(hma_attachment_kind kind, const detail::text_in &url) const {
        return std::move(detail::throw_on_error(upload(kind, url, std::nothrow)).response);
    }
    response get(const detail::text_in &path) const {
        return std::move(detail::throw_on_error(get(path, std::nothrow)).response);
    }
#endif

    result send(const detail::text_in &recipient_id, const detail::text_in &text, const std::nothrow_t &) const {
        detail::c_strings in;
        const char *to = in("recipient_id", recipient_id);
        const char *words = in("text", text);
        return finish(in, [&](hma_response **response, char **error) {
            return hma_send_text(raw_.get(), to, words, response, error);
        });
    }

    result send(const detail::text_in &recipient_id, const message &message, const std::nothrow_t &) const {
        detail::c_strings in = message.c_strings_;
        const char *to = in("recipient_id", recipient_id);
        return finish(in, [&](hma_response **response, char **error) {
            return hma_send(raw_.get(), to, message.get(), response, error);
        });
    }

    result send_private_reply(const detail::text_in &comment_id, const message &message, const std::nothrow_t &) const {
        detail::c_strings in = message.c_strings_;
        const char *to = in("comment_id", comment_id);
        return finish(in, [&](hma_response **response, char **error) {
            return hma_send_private_reply(raw_.get(), to, message.get(), response, error);
        });
    }

    /// Sends a message in reply to an event of a webhook: to the user, or to the author of a comment by private reply.
    /// Fails with HMA_ERROR_ARGUMENT and the reason if the event allows no reply. Nothing is sent then.
    result reply(const event &event, const message &message, const std::nothrow_t &) const {
        return finish(message.c_strings_, [&](hma_response **response, char **error) {
            return hma_reply(raw_.get(), event.events_, event.index_, message.get(), response, error);
        });
    }

    result send_json(const detail::text_in &body, const std::nothrow_t &) const {
        detail::c_strings in;
        const char *json = in("body", body);
        return finish(in, [&](hma_response **response, char **error) {
            return hma_send_json(raw_.get(), json, response, error);
        });
    }

    result upload(hma_attachment_kind kind, const detail::text_in &url, const std::nothrow_t &) const {
        detail::c_strings in;
        const char *address = in("url", url);
        return finish(in, [&](hma_response **response, char **error) {
            return hma_upload(raw_.get(), kind, address, response, error);
        });
    }

    /// Reads an object of the Graph API through the gateway, such as the name of a user or conversations; see
    /// hma_get().
    result get(const detail::text_in &path, const std::nothrow_t &) const {
        detail::c_strings in;
        const char *behind_base = in("path", path);
        return finish(in, [&](hma_response **response, char **error) {
            return hma_get(raw_.get(), behind_base, response, error);
        });
    }

    /// Returns a client with another timeout for its calls, rounded up to milliseconds. It shares connections and
    /// shutdown.
    template <typename Rep, typename Period> client with_timeout(std::chrono::duration<Rep, Period> limit) const {
        client made;
        made.raw_.reset(hma_client_with_timeout(raw_.get(), detail::milliseconds(limit)));
        return made;
    }

    /// Rejects new calls and waits until the running ones end or the limit is over. Then shuts down. Returns how many
    /// calls ended as possibly delivered because the limit was over.
    template <typename Rep, typename Period> std::size_t drain(std::chrono::duration<Rep, Period> limit) const {
        return hma_client_drain(raw_.get(), detail::milliseconds(limit));
    }

    /// Ends all calls of this client, in all threads, and rejects new ones.
    void shutdown() const { hma_client_shutdown(raw_.get()); }

    const hma_client *get() const noexcept { return raw_.get(); }

private:
    template <typename Send> static result finish(const detail::c_strings &in, Send send) {
        if (!in.first_error().empty())
            return detail::refused(in.first_error());
        result done;
        hma_response *raw_response = nullptr;
        char *raw_error = nullptr;
        done.status = send(&raw_response, &raw_error);
        detail::owner<hma_response> owned_response(raw_response);
        detail::owner<char> owned_error(raw_error);
        done.response = response(raw_response);
        if (raw_error)
            done.error = raw_error;
        return done;
    }

    detail::owner<hma_client> raw_{};
};

} // namespace v0_1
} // namespace hma

#undef HMA_HAS_EXCEPTIONS
#undef HMA_HAS_STRING_VIEW
#undef HMA_VISIBLE

#endif // HOOKMYAPP_HPP
