# Turns the comment at the top of the header into one that Doxygen shows as it is, and gives each part of the version
# the words that stand above the whole.
1s|^/\*$|/** @file\
@verbatim|
1,/^ \*\/$/{
    s|^ \*/$|@endverbatim */|
    s|^ \* \{0,1\}||
}
s|^#define HMA_VERSION_|/** A part of HMA_VERSION_STRING, as a number. */\
&|
