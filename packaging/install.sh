#!/bin/sh
# Installs what `make` has made, removes it, or says what it is: install.sh install|uninstall|print-config, with
# variables from the Makefile.
#
# Each file is first written under a temporary name next to its destination. All are renamed when all are written. So a
# failure leaves nothing behind, and no program sees an incomplete file.
# shellcheck disable=SC2153 # the variables in capitals come from the Makefile
set -eu
umask 022

fail() {
    echo "hookmyapp: $*" >&2
    exit 1
}

# ---- Where everything goes

# Prints an absolute path without a trailing slash. A relative path is relative to $2.
absolute() {
    case $1 in
        /*) path=$1 ;;
        *) path=$2/$1 ;;
    esac
    while [ "$path" != "${path%/}" ]; do path=${path%/}; done
    printf '%s' "$path"
}

prefix=$(absolute "$PREFIX" "$PWD")
libdir=$(absolute "$LIBDIR" "$prefix")
bindir=$(absolute "$BINDIR" "$prefix")
includedir=$(absolute "$INCLUDEDIR" "$prefix")
cmakedir=$(absolute "$CMAKEDIR" "$prefix")
mandir=$(absolute "$MANDIR" "$prefix")
docdir=$(absolute "$DOCDIR" "$prefix")
stage=${DESTDIR:+$(absolute "$DESTDIR" "$PWD")}
# A library with an import library is a DLL.
shareddir=$libdir
[ -z "$IMPORT" ] || shareddir=$bindir

# ---- What the .pc and the CMake files say

# The path to $2 from a file in the folder $1, whose name in that file is $3: relative, so that the installed tree can be
# moved, if both are below the prefix.
relative_path() {
    case $1/ in
        "$prefix"/*) ;;
        *) printf '%s' "$2" && return ;;
    esac
    case $2/ in
        "$prefix"/*) ;;
        *) printf '%s' "$2" && return ;;
    esac
    printf '%s' "$3$(printf '%s' "${1#"$prefix"}" | sed 's,/[^/]*,/..,g')${2#"$prefix"}"
}

# Prints a folder below the prefix in the syntax of a .pc file.
from_prefix() {
    case $1/ in
        "$prefix"/*) printf '%s' "\${prefix}${1#"$prefix"}" ;;
        *) printf '%s' "$1" ;;
    esac
}

# The compiler adds the unwinder (-lgcc_s, or with -static -lgcc_eh) and the C library by itself, whichever is right.
private=''
for word in $PRIVATE_LIBS; do
    case $word in
        -lgcc_s | -lgcc_eh | -lc) ;;
        *) private="$private${private:+ }$word" ;;
    esac
done

# Prints the same libraries as a CMake list.
private_list() {
    list=''
    for word in $private; do
        case $list in
            *-framework) list="$list $word" ;;
            *) list="$list${list:+;}$word" ;;
        esac
    done
    printf '%s' "$list"
}

expand() {
    quoted() { printf '%s' "$1" | sed 's/[\\&|]/\\&/g'; }
    sed -e "s|@VERSION@|$VERSION|g" -e "s|@SERIES@|$SOVERSION|g" \
        -e "s|@PREFIX@|$(quoted "$1")|g" -e "s|@INCLUDEDIR@|$(quoted "$2")|g" -e "s|@LIBDIR@|$(quoted "$3")|g" \
        -e "s|@LIBS@|$(quoted "$4")|g" -e "s|@LIBS_PRIVATE@|$(quoted "$5")|g" \
        -e "s|@SHAREDDIR@|$(quoted "$(relative_path "$cmakedir" "$shareddir" .)")|g" -e "s|@SHARED_NAME@|$SHARED_NAME|g" \
        -e "s|@SHARED_SONAME@|$SHARED_SONAME|g" "$6"
}

# With the shared library, only `pkg-config --static` names the private libraries. Without it, every program needs them.
pkg_config() {
    libs='' libs_private=$private
    if [ -z "$SHARED" ]; then libs=" $private" libs_private=''; fi
    # pkg-config leaves out -I/usr/include and puts a cross compiler's folder in front, if it reads /usr by name.
    case $prefix in
        '' | /usr) pc_prefix=$prefix ;;
        *) pc_prefix=$(relative_path "$libdir/pkgconfig" "$prefix" "\${pcfiledir}") ;;
    esac
    expand "$pc_prefix" "$(from_prefix "$includedir")" "$(from_prefix "$libdir")" "$libs" "$libs_private" \
        packaging/hookmyapp.pc.in
}

cmake_config() {
    expand '' "$(relative_path "$cmakedir" "$includedir" .)" "$(relative_path "$cmakedir" "$libdir" .)" '' \
        "$(private_list)" packaging/cmake/hookmyapp-config.cmake.in
}

cmake_version() {
    expand '' '' '' '' '' packaging/cmake/hookmyapp-config-version.cmake.in
}

man_page() {
    awk -v version="$VERSION" -f packaging/manual.awk include/hookmyapp.h
}

# `man hma_send_text` finds the page, too.
. packaging/functions.sh
functions=$(header_functions)

# ---- Every file of the package: the action, what it is made of, where it goes

each_file() {
    "$1" copy include/hookmyapp.h "$includedir/hookmyapp.h"
    "$1" copy include/hookmyapp.hpp "$includedir/hookmyapp.hpp"
    "$1" copy include/hookmyapp.cdef.h "$includedir/hookmyapp.cdef.h"
    if [ -n "$STATIC" ]; then
        "$1" copy "$STATIC" "$libdir/libhookmyapp.a"
    fi
    if [ -n "$IMPORT" ]; then
        "$1" copy "$SHARED" "$bindir/$SHARED_NAME"
        "$1" copy "$IMPORT" "$libdir/${IMPORT##*/}"
        "$1" copy "$IMPORT_MSVC" "$libdir/${IMPORT_MSVC##*/}"
        "$1" copy "${IMPORT_MSVC%.lib}.def" "$libdir/hookmyapp.def"
    elif [ -n "$SHARED" ]; then
        "$1" copy "$SHARED" "$libdir/$SHARED_NAME"
        "$1" link "$SHARED_NAME" "$libdir/$SHARED_SONAME"
        "$1" link "$SHARED_SONAME" "$libdir/${SHARED##*/}"
    fi
    "$1" text pkg_config "$libdir/pkgconfig/hookmyapp.pc"
    "$1" text cmake_config "$cmakedir/hookmyapp-config.cmake"
    "$1" text cmake_version "$cmakedir/hookmyapp-config-version.cmake"
    "$1" text man_page "$mandir/man3/hookmyapp.3"
    for function in $functions; do
        "$1" link hookmyapp.3 "$mandir/man3/$function.3"
    done
    "$1" copy LICENSE-MIT "$docdir/LICENSE-MIT"
    "$1" copy LICENSE-APACHE "$docdir/LICENSE-APACHE"
    # The licences of what is built in.
    "$1" copy packaging/debian/copyright "$docdir/copyright"
}

# ---- Installing

suffix=.new-$$
made_folders=''
nl='
'

# Creates a folder and its parents, and records those that it created.
make_folder() {
    [ ! -d "$1" ] || return 0
    make_folder "$(dirname "$1")"
    mkdir "$1" 2>/dev/null || [ -d "$1" ] || fail "cannot make the folder $1: choose another PREFIX, or use sudo"
    made_folders="$1$nl$made_folders"
}

write_beside() {
    place=$stage$3
    [ ! -d "$place" ] || fail "$place is a folder, where a file of that name must go"
    make_folder "$(dirname "$place")"
    {
        case $1 in
            copy) cp "$2" "$place$suffix" && chmod 644 "$place$suffix" ;;
            link) ln -s "$2" "$place$suffix" ;;
            text) "$2" >"$place$suffix" ;;
        esac
    } 2>/dev/null || fail "cannot write $place: choose another PREFIX, or use sudo"
}

put_in_place() {
    mv -f "$stage$3$suffix" "$stage$3" || fail "cannot write $stage$3"
}

# Removes everything that was written. Folders that existed before, and those that are not empty, stay.
clean_up() {
    each_file drop_beside
    printf '%s' "$made_folders" | while IFS= read -r folder; do rmdir "$folder" 2>/dev/null || :; done
}

drop_beside() {
    rm -f "$stage$3$suffix" 2>/dev/null || :
}

install_all() {
    for library in "$STATIC" "$SHARED" "$IMPORT" "$IMPORT_MSVC"; do
        [ -z "$library" ] || [ -f "$library" ] || fail "$library is missing: run make first"
    done
    trap clean_up EXIT
    trap 'exit 1' HUP INT TERM
    each_file write_beside
    trap '' HUP INT TERM
    each_file put_in_place
    trap - EXIT
    echo "installed hookmyapp $VERSION into $stage$prefix"
}

# ---- Removing

remove() {
    rm -f "$stage$3" 2>/dev/null || fail "cannot remove $stage$3: use sudo"
}

# Whether to remove an empty folder: its own always, others below the prefix unless they belong to the system.
may_go() {
    case $1 in */hookmyapp) return 0 ;; esac
    if [ -n "$stage" ]; then return 0; fi
    case $prefix in '' | /usr | /usr/local) return 1 ;; esac
    case $1/ in "$prefix"/*) return 0 ;; esac
    return 1
}

prune_around() {
    folder=${3%/*}
    while [ -n "$folder" ] && may_go "$folder" && rmdir "$stage$folder" 2>/dev/null; do folder=${folder%/*}; done
}

uninstall_all() {
    each_file remove
    each_file prune_around
    echo "removed hookmyapp $VERSION from $stage$prefix"
}

case ${1-} in
    install) install_all ;;
    uninstall) uninstall_all ;;
    print-config)
        printf '%s\n' "STATIC=$STATIC" "SHARED=$SHARED" "IMPORT=$IMPORT" "SHARED_SONAME=$SHARED_SONAME" \
            "LIBS=$(private_list)"
        ;;
    *) fail "usage: install.sh install|uninstall|print-config" ;;
esac
