# shellcheck shell=sh
# Lists the functions of the library by the header: to be read by other scripts.

# Prints the name of each function, a line for each.
header_functions() {
    sed -n 's/^[a-z].*[ *]\(hma_[a-z0-9_]*\)(.*/\1/p' include/hookmyapp.h
}
