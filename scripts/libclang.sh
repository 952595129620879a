#!/bin/sh
# Sees to it that bindgen (which the MDBX binding needs) finds libclang.
#
#   scripts/libclang.sh              prints the exports to set, if any are needed
#   scripts/libclang.sh COMMAND ...  runs COMMAND with them set
#
# Search order: LIBCLANG_PATH, the places where bindgen looks by itself (then nothing is exported,
# so that plain `cargo` and `make` share their builds), llvm-config, ldconfig, an earlier local
# copy. If there is none it is installed: by apt-get as root or with passwordless sudo, else
# unpacked under target/libclang without any rights.
#
#   LIBCLANG_FORCE_LOCAL=1   skips the search and uses the copy under target/libclang
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
local_dir=${CARGO_TARGET_DIR:-$root/target}/libclang
paths=$local_dir/usr/lib

say() { echo "libclang: $*" >&2; }

# The first directory of "$@" that holds a libclang which can be loaded at run time.
first_with_library() {
    for dir in "$@"; do
        for file in "$dir"/libclang.so "$dir"/libclang-*.so "$dir"/libclang.so.* \
            "$dir"/libclang-*.so.* "$dir"/libclang.dylib; do
            if [ -e "$file" ]; then
                echo "$dir"
                return 0
            fi
        done
    done
    return 1
}

# clang's own headers (stddef.h and so on) come in another package than the library; gcc's serve
# as well.
clang_headers_present() {
    for file in "$1"/clang/*/include/stddef.h "$1"/../lib/clang/*/include/stddef.h \
        /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib*/clang/*/include/stddef.h; do
        [ -e "$file" ] && return 0
    done
    return 1
}

compiler_include() {
    dir=$("${CC:-cc}" -print-file-name=include 2>/dev/null) || dir=
    [ -e "$dir/stddef.h" ] && echo "$dir"
}

# Sets found (a directory) and standard (1 if bindgen looks there by itself).
search() {
    found= standard=
    if [ "$(uname)" = Darwin ]; then
        # The command line tools bring it, and bindgen asks xcode-select.
        found=/ standard=1
        return 0
    fi
    if [ -n "${LIBCLANG_PATH:-}" ]; then
        found=$LIBCLANG_PATH standard=1
        return 0
    fi
    # shellcheck disable=SC2046,SC2086
    if found=$(first_with_library /usr/lib /usr/lib64 /usr/lib/*-linux-* /usr/lib/llvm*/lib \
        /usr/lib64/llvm*/lib /usr/local/lib /usr/local/llvm*/lib); then
        standard=1
        return 0
    fi
    for config in llvm-config $(ls /usr/bin/llvm-config-* 2>/dev/null); do
        if dir=$("$config" --libdir 2>/dev/null) && found=$(first_with_library "$dir"); then
            return 0
        fi
    done
    for file in $( (ldconfig -p || /sbin/ldconfig -p) 2>/dev/null |
        sed -n 's/.*libclang[-.0-9]*so.* => //p'); do
        found=$(dirname "$file")
        return 0
    done
    found=
    return 1
}

# ---- installing ------------------------------------------------------------------------------

install_as_root() {
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || return 1
        sudo=sudo
    fi
    say "not found; installing libclang-dev with apt-get (once)"
    (
        export DEBIAN_FRONTEND=noninteractive
        $sudo apt-get install -y --no-install-recommends libclang-dev ||
            { $sudo apt-get update && $sudo apt-get install -y --no-install-recommends libclang-dev; }
    ) >&2
}

# apt on lists of our own: an ordinary user may not refresh the system's, which a fresh container
# image does not have at all.
apt_local() {
    tool=$1
    shift
    "$tool" -q -o Dir::State::lists="$local_dir/apt/lists" -o Dir::Cache="$local_dir/apt/cache" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" "$@"
}

# The library and all it needs, but for what every C compiler brings along.
packages() {
    apt_local apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances --no-pre-depends libclang1 |
        grep -E '^[a-z0-9]' | grep -vE '^(libc6|libgcc-s1|libstdc\+\+6|libcrypt1|gcc-.*-base)$' | sort -u
}

unpack_local() {
    say "not found; unpacking it into $local_dir (once)"
    mkdir -p "$local_dir/apt/lists/partial" "$local_dir/apt/cache/archives/partial" "$local_dir/debs"
    apt_local apt-get update >&2 || return 1
    # shellcheck disable=SC2046
    (cd "$local_dir/debs" && apt_local apt-get download $(packages) >&2) || return 1
    for deb in "$local_dir"/debs/*.deb; do
        dpkg -x "$deb" "$local_dir" || return 1
    done
    rm -rf "$local_dir/apt" "$local_dir/debs"
}

local_directory() {
    # shellcheck disable=SC2086
    first_with_library "$paths"/llvm*/lib "$paths"/*-linux-*
}

# Sets found to the local copy and library_path to where its own dependencies lie.
use_local() {
    found=$(local_directory) || return 1
    library_path=$(ls -d "$paths"/*-linux-* "$paths"/llvm*/lib "$local_dir"/lib/*-linux-* \
        2>/dev/null | tr '\n' ':')
    library_path=${library_path%:}
}

give_up() {
    cat >&2 <<'TEXT'
libclang: not found, and could not be installed here. The MDBX binding needs it at build time.
  Debian, Ubuntu    apt-get install libclang-dev
  Fedora            dnf install clang-devel
  Arch              pacman -S clang
  Alpine            apk add clang-dev
or set LIBCLANG_PATH to the directory that holds libclang.so.
TEXT
    exit 1
}

install() {
    if command -v apt-get >/dev/null; then
        if [ -z "${LIBCLANG_FORCE_LOCAL:-}" ] && install_as_root && search; then
            return 0
        fi
        if command -v dpkg >/dev/null && unpack_local && use_local; then
            return 0
        fi
    fi
    give_up
}

# ---- main ------------------------------------------------------------------------------------

library_path= standard= found=
if [ -n "${LIBCLANG_FORCE_LOCAL:-}" ] || ! search; then
    use_local || install
fi

if [ -z "$standard" ]; then
    export LIBCLANG_PATH="$found"
fi
if [ -n "$library_path" ]; then
    export LD_LIBRARY_PATH="$library_path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
if [ -n "$library_path" ] || ! clang_headers_present "$found"; then
    if [ -z "${BINDGEN_EXTRA_CLANG_ARGS:-}" ] && include=$(compiler_include); then
        export BINDGEN_EXTRA_CLANG_ARGS="-isystem $include"
    fi
fi

if [ $# -gt 0 ]; then
    exec "$@"
fi
for name in LIBCLANG_PATH LD_LIBRARY_PATH BINDGEN_EXTRA_CLANG_ARGS; do
    eval "value=\${$name:-}"
    [ -z "$value" ] || echo "export $name='$value'"
done
