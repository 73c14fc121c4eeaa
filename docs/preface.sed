# Makes the comment at the top of the header the front page of Doxygen's manual, and documents each part of the version.
1s|^/\*$|/** @file\
@verbatim|
1,/^ \*\/$/{
    s|^ \*/$|@endverbatim */|
    s|^ \* \{0,1\}||
}
s|^#define HMA_VERSION_|/** A part of HMA_VERSION, as a number. */\
&|
