#!/bin/sh
# Makes the archives of a release: dist.sh FOLDER COMMIT TARGET..., with variables from the Makefile.
#
# FOLDER then contains the source archive, one archive for each target, and SHA256SUMS. Each target is built from the
# source archive. The same commit, tools and BUILD folder give the same bytes; RELEASING.md says what the folder changes.
# shellcheck disable=SC2153 # the variables in capitals come from the Makefile
set -eu
umask 022

fail() {
    echo "hookmyapp: $*" >&2
    exit 1
}

folder=$1 commit=$2
shift 2

# ---- Checks, before anything is built

for tool in git tar gzip sha256sum cargo-cyclonedx; do
    command -v "$tool" >/dev/null && continue
    case $tool in
        cargo-cyclonedx) fail "$tool is missing: cargo install --locked cargo-cyclonedx@0.5.9" ;;
        *) fail "$tool is missing" ;;
    esac
done
for target; do
    case $target in
        *-windows-gnu) needed='zip x86_64-w64-mingw32-gcc' ;;
        aarch64-*-linux-*) needed='cargo-zigbuild aarch64-linux-gnu-gcc' ;;
        *-linux-*.*.* | *-linux-musl) needed='cargo-zigbuild' ;;
        *) needed='' ;;
    esac
    for tool in $needed; do
        command -v "$tool" >/dev/null || fail "$tool is missing, which $target needs: see RELEASING.md"
    done
done
standard_library=$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html
[ -e "$standard_library" ] || fail "$standard_library is missing: install Rust with rustup"
git rev-parse --quiet --verify "$commit^{commit}" >/dev/null || fail "there is no commit $commit here"

# cargo-zigbuild chooses the compiler and the linker, unless one of these names them.
unset CC CXX CFLAGS CXXFLAGS LDFLAGS RUSTFLAGS CARGO_BUILD_TARGET TARGET MAKEFLAGS MFLAGS MAKELEVEL || :
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
export SOURCE_DATE_EPOCH
export CARGO_TARGET_DIR="$BUILD/cargo"
# Smaller, and nobody debugs a released library by its symbols.
export CARGO_PROFILE_RELEASE_STRIP=symbols

# ---- The source

version=$(git show "$commit:Cargo.toml" | sed -n 's/^version = "\(.*\)"/\1/p' | head -n 1)
name=hookmyapp-$version
source=$BUILD/$name
mkdir -p "$folder" "$BUILD"
rm -rf "$source"
git archive --format=tar --prefix="$name/" "$commit" | gzip -9n >"$folder/$name.tar.gz"
# With the time of now, because cargo builds again what is newer than its last build.
tar --extract --touch --file="$folder/$name.tar.gz" --directory="$BUILD"

# ---- One target

# Writes the list of what a package contains, without the name of this folder.
write_sbom() {
    package=$1 place=$2 bom=$3
    shift 3
    cargo cyclonedx --quiet --manifest-path "$source/$package/Cargo.toml" --format json --spec-version 1.5 \
        --no-build-deps --target "$triple" --override-filename bom "$@"
    sed "s|$source|/hookmyapp|g" "$source/$package/bom.json" >"$place/$bom.cdx.json"
    find "$source" -name bom.json -delete
}

# Writes the licence texts of all crates in the programs. Those of the library are in the file `copyright`, too.
write_licences() {
    case $target in
        *-linux-musl)
            printf '==== musl: MIT\n\n%s\n%s\n\n' 'Copyright (c) 2005-2020 Rich Felker, et al.' \
                'The text of the licence is that of Expat in the file "copyright".'
            ;;
    esac
    for package in $programs; do
        (cd "$source/tools/$package" && "$CARGO" tree --locked --edges normal --target "$triple" --prefix none \
            --format '{p}|{l}')
    done | sed 's/ (.*)|/|/; s/ (\*)$//' | LC_ALL=C sort -u | while IFS='|' read -r crate licence; do
        crate=$(echo "$crate" | sed 's/ v/-/; s/ .*//')
        printf '==== %s: %s\n\n' "$crate" "$licence"
        for text in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$crate"/*; do
            case ${text##*/} in
                LICEN[CS]E* | COPYING* | COPYRIGHT* | NOTICE* | UNLICENSE*)
                    if [ -f "$text" ]; then cat "$text" && echo; fi
                    ;;
            esac
        done
    done
}

make_archive() {
    target=$1
    triple=$(echo "$target" | sed 's/\.[0-9][0-9.]*$//')
    stage=$BUILD/stage/$name-$target
    rm -rf "$stage"
    cargo=$CARGO shared_flags='' compiler='' programs='simulator outbox'
    case $target in
        *-linux-*.*.* | *-linux-musl) cargo='cargo-zigbuild' ;;
    esac
    case $target in
        aarch64-*-linux-*) compiler=BINUTILS_CC=aarch64-linux-gnu-gcc ;;
        # The outbox needs the signals of Unix.
        *-windows-gnu) compiler=CC=x86_64-w64-mingw32-gcc programs='simulator' ;;
    esac
    case $target in
        # A shared library of musl is linked with the C library of its system, a program is not.
        *-linux-musl) shared_flags='-C target-feature=-crt-static' ;;
    esac
    in_source() {
        "$MAKE" --no-print-directory -C "$source" CARGO="$cargo" TARGET="$target" PREFIX="$stage" POSTGRES= \
            LIBRARIES='static shared' ${compiler:+"$compiler"} "$@"
    }
    echo "hookmyapp: $target"
    in_source all ${shared_flags:+"RUSTFLAGS=$shared_flags"}
    in_source install
    for program in $programs; do
        in_source "$program" "install-$program"
    done

    documents=$stage/share/doc/hookmyapp
    case $target in
        # It has no `man`, and a zip has no links.
        *-windows-*) rm -r "$stage/share/man" && readme=archive-windows.md.in ;;
        *) readme=archive.md.in ;;
    esac
    sed -e "s|@VERSION@|$version|g" -e "s|@TARGET@|$target|g" "$source/packaging/$readme" >"$stage/README.md"
    write_sbom . "$documents" hookmyapp --features capi,quiet
    for program in $programs; do
        write_sbom "tools/$program" "$documents" "hookmyapp-$program"
    done
    write_licences >"$documents/licences-of-programs.txt"
    cp "$standard_library" "$documents/licences-of-the-standard-library.html"
    (cd "$stage" && find . -type f | LC_ALL=C sort | xargs sha256sum) >"$BUILD/sums"
    mv "$BUILD/sums" "$stage/SHA256SUMS"

    find "$stage" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    cd "$BUILD/stage"
    case $target in
        *-windows-*)
            rm -f "$folder/$name-$target.zip"
            find "$name-$target" | LC_ALL=C sort | TZ=UTC zip --quiet -X -9 "$folder/$name-$target.zip" -@
            ;;
        *)
            tar --create --sort=name --format=gnu --owner=0 --group=0 --numeric-owner "$name-$target" |
                gzip -9n >"$folder/$name-$target.tar.gz"
            ;;
    esac
    cd "$OLDPWD"
}

for target; do
    make_archive "$target"
done

cd "$folder"
rm -f SHA256SUMS
find . -maxdepth 1 -name "$name*" | sed 's,^\./,,' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS
echo "made $folder"
