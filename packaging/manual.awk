# Makes the man page hookmyapp(3) of the header: awk -v version=VERSION -f manual.awk hookmyapp.h

function roff(text,    parts, count, i) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    while (match(text, /`[^`]*`/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fP" substr(text, RSTART + RLENGTH)
    if (text ~ /^[.']/)
        text = "\\&" text
    # A path with a query may be longer than a line, which then breaks before a parameter.
    if (text ~ /[?][^ ]*&/) {
        count = split(text, parts, "&")
        text = parts[1]
        for (i = 2; i <= count; i++)
            text = text "\\:&" parts[i]
    }
    return text
}

# The comment in front of a declaration; an empty line of it becomes `paragraph`.
function say_comment(paragraph,    i) {
    for (i = 1; i <= lines; i++)
        print comment[i] == "" ? paragraph : roff(comment[i])
    lines = 0
}

function section(name) {
    if (name != last_section)
        print ".SH " name
    last_section = name
}

function variable(name, text) {
    print ".TP\n.B " name "\n" roff(text)
}

function example(introduction, lines) {
    printf "%s", ".PP\n" introduction "\n.PP\n.RS 4\n.nf\n" lines ".fi\n.RE\n"
}

BEGIN {
    print ".\\\" Made of hookmyapp.h; change that."
    print ".TH HOOKMYAPP 3 \"\" \"hookmyapp " version "\" \"Library Functions Manual\""
    print ".nh\n.ad l"
    print ".SH NAME"
    in_preface = 1
}

# The preface: one line, an example (shown at the end), and paragraphs that begin with a keyword.
in_preface && /^\/\*/ { next }
in_preface && /^ \* hookmyapp\.h - / {
    sub(/^ \* hookmyapp\.h - /, "")
    sub(/\.$/, "")
    print "hookmyapp \\- " roff($0)
    print ".SH SYNOPSIS\n.nf\n.B #include <hookmyapp.h>\n.PP"
    print "/* the shared library, then the static one */"
    print "cc ... $(pkg\\-config \\-\\-cflags \\-\\-libs hookmyapp)"
    print "cc ... $(pkg\\-config \\-\\-static \\-\\-cflags \\-\\-libs hookmyapp |"
    print "    sed s/\\-lhookmyapp/\\-l:libhookmyapp.a/)\n.fi"
    section("DESCRIPTION")
    next
}
in_preface && /^ \* Generated from / { next }
in_preface && /^ \*\// { in_preface = 0; next }
in_preface && /^ \*     / && !in_paragraph {
    sub(/^ \*     /, "")
    send_example = send_example roff($0) "\n"
    next
}
in_preface && /^ \* [A-Z][a-z]+  +/ {
    in_paragraph = 1
    word = $2
    sub(/^ \* [A-Z][a-z]+  +/, "")
    print ".TP\n.B " word "\n" roff($0)
    next
}
in_preface { sub(/^ \* */, ""); if ($0 != "") print roff($0); next }

# Then declarations, each with a comment in front.
/^\/\*\* .* \*\/$/ { lines = 1; comment[1] = substr($0, 5, length($0) - 7); next }
/^\/\*\*$/ { in_comment = 1; lines = 0; next }
in_comment && /^ \*\/$/ { in_comment = 0; next }
in_comment { sub(/^ \* ?/, ""); comment[++lines] = $0; next }

/^#define HMA_VERSION_STRING / { lines = 0; next }
/^#define HMA_[A-Z_]+ / && lines {
    section($2 ~ /^HMA_(OK|ERROR_)/ ? "ERRORS" : "CONSTANTS")
    print ".TP\n.BR " $2 " \" \" " roff($3)
    say_comment(".IP")
    next
}
/^typedef / && lines {
    section("TYPES")
    sub(/;$/, "")
    print ".TP\n.B " $NF
    say_comment(".IP")
    next
}
/^[a-z].*\(/ && lines { in_function = 1; prototype = "" }
in_function {
    prototype = prototype (prototype == "" ? "" : "\n") roff($0)
    if ($0 !~ /;$/)
        next
    in_function = 0
    section("FUNCTIONS")
    name = prototype
    sub(/\(.*/, "", name)
    sub(/.*[ *]/, "", name)
    print ".SS " name "()\n.nf\n.B\n" prototype "\n.fi\n.PP"
    say_comment(".PP")
}

END {
    print ".SH ENVIRONMENT"
    print "Read by hma_config_from_env() and hma_client_from_env(). hma_config_from_env_file() reads the same names from"
    print "its file, and the proxy from the environment if the file names none."
    variable("INSTAGRAM_API_URL\\fR, else \\fBINSTAGRAM_GRAPH_API_URL", "The base URL, such as https://gateway.hookmyapp.com/meta/v25.0.")
    variable("INSTAGRAM_ACCOUNT_ID\\fR, else \\fBINSTAGRAM_USER_ID", "The id of the Instagram account that sends.")
    variable("INSTAGRAM_ACCESS_TOKEN", "The gateway's token for that account.")
    variable("WEBHOOK_HMAC_SECRET", "The key that signs webhooks, see `hma_webhook_verify()`. Sending does not need it.")
    variable("HTTPS_PROXY\\fR, else \\fBhttps_proxy", "An HTTP CONNECT proxy, see `hma_config_set_proxy()`.")
    variable("NO_PROXY\\fR, else \\fBno_proxy", "The hosts that are connected to directly, see `hma_config_set_no_proxy()`.")
    print ".SH EXAMPLES"
    example("Sends one message:", send_example)
    # The same lines as in docs/webhooks.md; a test compares.
    webhook = "hma_events *events = NULL;\n"
    webhook = webhook "if (hma_webhook_verify(hma_config_webhook_secret(config), header, body, body_length, NULL) != HMA_OK)\n"
    webhook = webhook "    return respond(401);\n"
    webhook = webhook "if (hma_events_parse(body, body_length, &events, NULL) != HMA_OK)\n"
    webhook = webhook "    return respond(400);\n"
    webhook = webhook "respond(200); /* first: a send may take longer than HookMyApp waits */\n"
    webhook = webhook "for (size_t i = 0; i < hma_events_count(events); i++)\n"
    webhook = webhook "    if (hma_events_kind(events, i) == HMA_EVENT_MESSAGE && hma_events_reply_user_id(events, i) != NULL)\n"
    webhook = webhook "        if (hma_reply(client, events, i, thanks, NULL, NULL) != HMA_OK)\n"
    webhook = webhook "            fprintf(stderr, \"not answered\\\\n\");\n"
    webhook = webhook "hma_events_free(events);\n"
    example("Checks and answers a webhook delivery; respond() is a function of the program's HTTP server:", webhook)
    print ".SH SEE ALSO"
    print "The header files"
    print ".I hookmyapp.h"
    print "and, for C++,"
    print ".IR hookmyapp.hpp ;"
    print ".BR pkg\\-config (1)."
}
