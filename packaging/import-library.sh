#!/bin/sh
# Makes the library with which MSVC links programs to the DLL: import-library.sh DLL LIBRARY, with CC from the Makefile.
# Beside it, hookmyapp.def lists the exported functions, for other linkers.
set -eu

dll=$1 library=$2

. packaging/functions.sh
. packaging/tool.sh
dlltool=$(tool dlltool)

definition=${library%.lib}.def
{
    echo "LIBRARY $dll"
    echo EXPORTS
    header_functions | sed 's/^/    /'
} >"$definition"
"$dlltool" -d "$definition" -l "$library" -D "$dll"
