# Makes the comment at the top of the header the front page of Doxygen's manual, and documents each part of the version.
1s|^/\*$|/** @file\
The C functions. The @ref index "front page" explains status, ownership, strings, threads and limits. */\
/** @mainpage Send Instagram direct messages from C and C++\
The C functions are in hookmyapp.h, the C++ classes in hookmyapp.hpp.\
@verbatim|
1,/^ \*\/$/{
    s|^ \*/$|@endverbatim */|
    s|^ \* \{0,1\}||
}
s|^#define HMA_VERSION_|/** A part of HMA_VERSION_STRING, as a number. */\
&|
