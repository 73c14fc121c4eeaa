#!/bin/sh
# Makes the Debian packages: build.sh FOLDER. What cargo needs from the network is put into the source package first, so
# that the build itself needs none.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "${1:?usage: build.sh FOLDER}"
folder=$(cd "$1" && pwd)
for tool in cargo dpkg-buildpackage; do
    command -v $tool >/dev/null && continue
    echo "hookmyapp: $tool is missing: apt-get install cargo-web dpkg-dev" >&2
    exit 1
done
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
source=$folder/hookmyapp-$version
case $(sed -n '1s/.*(\(.*\)-[^-]*).*/\1/p' "$root/packaging/debian/changelog") in
    "$version") ;;
    *) echo "hookmyapp: packaging/debian/changelog is not about $version" >&2 && exit 1 ;;
esac

rm -rf "$source"
mkdir "$source"
# What cargo puts into the package of the library, and the tools, which are packages of their own.
(cd "$root" && cargo package --list --allow-dirty && find tools -name target -prune -o -type f -print) |
    grep -v -e '^Cargo.toml.orig$' -e '^.cargo_vcs_info.json$' |
    (cd "$root" && tar --create --files-from=-) | tar --extract --directory="$source"
cd "$source"
cargo vendor --locked --quiet vendor >/dev/null
mkdir .cargo
cat >.cargo/config.toml <<'END'
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "vendor"
END
# Nothing but source: import libraries for Windows and objects that were made elsewhere are not used here; dh_clean
# would take away the others.
find vendor \( -name '*.orig' -o -name '*.a' -o -name '*.lib' -o -name '*.o' -o -name '*.dll' -o -name '*.exe' \) -delete
for list in vendor/*/.cargo-checksum.json; do
    sed 's/"files":{[^}]*}/"files":{}/' "$list" >"$list.new"
    mv "$list.new" "$list"
done
tar --create --xz --owner=0 --group=0 --numeric-owner --sort=name \
    --mtime="$(dpkg-parsechangelog --file packaging/debian/changelog --show-field Date)" \
    --file="$folder/hookmyapp_$version.orig.tar.xz" --directory="$folder" "hookmyapp-$version"
cp -R packaging/debian debian
rm debian/build.sh
# In a network of its own, where the system allows that: nothing but this machine can be reached.
alone='unshare --map-root-user --net'
if $alone ip link set lo up 2>/dev/null; then
    $alone sh -c 'ip link set lo up && dpkg-buildpackage --unsigned-source --unsigned-changes'
else
    dpkg-buildpackage --unsigned-source --unsigned-changes
fi
