# shellcheck shell=sh
# Finds the binutils that fit the compiler CC: to be read by other scripts, with CC from the Makefile.

# The compiler's own tool, which may be for another target; else the tool of the system.
tool() {
    found=$($CC -print-prog-name="$1" 2>/dev/null) || found=$1
    command -v "$found" >/dev/null 2>&1 || found=$1
    command -v "$found" >/dev/null 2>&1 || {
        echo "hookmyapp: $1 is missing: install binutils" >&2
        exit 1
    }
    echo "$found"
}
