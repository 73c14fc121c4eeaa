# Makes the man page hookmyapp(3) of the header: awk -v version=VERSION -f manual.awk hookmyapp.h

function roff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    while (match(text, /`[^`]*`/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fP" substr(text, RSTART + RLENGTH)
    if (text ~ /^[.']/)
        text = "\\&" text
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

function example(on) {
    if (on == in_example)
        return
    print on ? ".RS 4\n.nf" : ".fi\n.RE"
    in_example = on
}

BEGIN {
    print ".\\\" Made of hookmyapp.h; change that."
    print ".TH HOOKMYAPP 3 \"\" \"hookmyapp " version "\" \"Library Functions Manual\""
    print ".nh\n.ad l"
    print ".SH NAME"
    in_preface = 1
}

# The preface: one line, an example, and paragraphs that begin with a word of their own.
in_preface && /^\/\*/ { next }
in_preface && /^ \* hookmyapp\.h - / {
    sub(/^ \* hookmyapp\.h - /, "")
    sub(/\.$/, "")
    print "hookmyapp \\- " roff($0)
    print ".SH SYNOPSIS\n.nf\n.B #include <hookmyapp.h>\n.PP\ncc ... $(pkg\\-config \\-\\-cflags \\-\\-libs hookmyapp)\n.fi"
    section("DESCRIPTION")
    next
}
in_preface && /^ \* Generated from / { next }
in_preface && /^ \*\// { in_preface = 0; next }
in_preface && /^ \*     [^ ]/ && !in_paragraph || in_example && /^ \*     / {
    if (!in_example)
        print "A program that sends one message:"
    example(1)
    sub(/^ \*     /, "")
    print roff($0)
    next
}
in_preface && /^ \* [A-Z][a-z]+  +/ {
    example(0)
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

/^#define HMA_VERSION / { lines = 0; next }
/^#define HMA_[A-Z_]+ / && lines {
    section("CONSTANTS")
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
    print ".SH SEE ALSO"
    print "The header files"
    print ".I hookmyapp.h"
    print "and, for C++,"
    print ".IR hookmyapp.hpp ;"
    print ".BR pkg\\-config (1)."
}
