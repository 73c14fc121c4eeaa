# Turns the comment at the top of the header into one that Doxygen shows as it is.
1s,^/\*$,/** @file\
@verbatim,
1,/^ \*\/$/s,^ \*/$,@endverbatim */,
