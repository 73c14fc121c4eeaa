#!/bin/sh
# Hides all symbols of a Rust static library but its C functions: hide-symbols.sh ARCHIVE [UNWINDER], with CC from the
# Makefile.
#
# An archive from rustc contains the standard library with global symbols. Two such archives in one program clash as
# soon as one was built with LTO or with another version of Rust. The result contains one object whose only global
# symbols are the functions of hookmyapp.h. Unused code is removed. UNWINDER is a static library that is built in, too.
set -eu

archive=$1
shift
work=$(mktemp -d "$archive.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

. packaging/tool.sh
objcopy=$(tool objcopy)
nm=$(tool nm)
ar=$(tool ar)

# Rust's bitcode, which the linker's plugins cannot read.
"$objcopy" --remove-section=.llvmbc --remove-section=.llvmcmd "$archive" "$work/plain.a"
functions=$("$nm" --defined-only "$work/plain.a" 2>/dev/null | sed -n 's/.* T \(hma_[a-z0-9_]*\)$/-Wl,-u,\1/p')
# shellcheck disable=SC2086 # several words each
$CC -r -nostdlib $functions -Wl,--gc-sections -Wl,--force-group-allocation -o "$work/all.o" "$work/plain.a" "$@"
"$objcopy" --strip-debug --wildcard --keep-global-symbol='hma_*' "$work/all.o" "$work/hookmyapp.o"
"$ar" rcs "$work/hidden.a" "$work/hookmyapp.o"
mv -f "$work/hidden.a" "$archive"
