#!/bin/bash
#
# Usage: t/tools/build-asan.sh [MODULE_DIR BUILD_DIR]
#
# Builds Debian's nginx, the version that is installed, out of its source
# package, with AddressSanitizer and UndefinedBehaviorSanitizer and with the
# module in MODULE_DIR (by default this one) linked in: BUILD_DIR/nginx
# (by default objs/asan/build/nginx).  What is there already is used again:
# a change of the module costs a second.
#
# The module is static, since nginx closes a dynamic one before LeakSanitizer
# looks at it: the stacks of its leaks would have no names.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=t/tools/private-apt.sh
. "$top/t/tools/private-apt.sh"
# shellcheck source=t/tools/nginx-tree.sh
. "$top/t/tools/nginx-tree.sh"

objs=$top/objs/asan
module=$(readlink -f "${1:-$top}")
build=${2:-$objs/build}

# Off, since nginx itself does both in every run: NULL with a length of 0
# (ngx_string.c), and HTTP/2 settings read unaligned (ngx_http_v2.c).
sanitize="-fsanitize=address,undefined"
sanitize+=" -fno-sanitize=nonnull-attribute,alignment"
sanitize+=" -fno-sanitize-recover=undefined -fno-omit-frame-pointer"

# The run-time libraries are linked in, since as two shared ones they do not
# share log_path: UBSan's reports would go to nginx's stderr, and be lost.

# Each allocation from a pool becomes one of the heap, with a red zone.
flags="-O1 -g $sanitize -DNGX_DEBUG_PALLOC=1"

arguments=(
    --prefix="$objs/prefix"
    --with-cc-opt="$flags"
    --with-ld-opt="$sanitize -static-libasan -static-libubsan"
    --with-compat
    --with-debug
    --with-threads
    --with-http_ssl_module
    --with-http_v2_module
    --with-http_addition_module
    --with-http_auth_request_module
    --with-http_realip_module
    --with-http_secure_link_module
    --with-http_slice_module
    --with-http_stub_status_module
    --with-http_sub_module
)

main() {
    local version

    # shellcheck disable=SC2016
    version=$(dpkg-query -W -f '${source:Version}' nginx)

    mkdir -p "$objs"
    nginx_stamp "$objs/version" "$version" get_source "$version"

    nginx_stamp "$build.stamp" "$(fingerprint "$version")" \
        nginx_configure "$objs/nginx" "$build" "${arguments[@]}" \
            --add-module="$module"

    nginx_make "$objs/nginx" "$build" binary
}

fingerprint() {
    echo "$1"
    printf '%s\n' "${arguments[@]}"
    echo "$module"
    cksum <"$module/config"
    (cd "$module" && echo ngx_module/*.c ngx_module/*/*.[ch])
}

# The index may name a version, the one that is installed even, and the mirror
# not have its files any more.  Then the next newest of the same release will
# do, or, of the last resort, the tarball without Debian's patches.

get_source() {
    local version versions patched="" dir=$objs/source

    rm -rf "$dir" "$objs/nginx" "$build" "$build.stamp"
    mkdir -p "$dir/apt"
    private_apt_init "$dir/apt" deb-src

    versions=$(private_apt apt-cache showsrc --only-source nginx \
        | sed -n 's/^Version: //p' | sort -urV)

    for version in "$1" $versions; do
        fetch_source "$version" && break
    done

    if ! compgen -G "$dir/nginx-*/" >/dev/null; then
        for version in $versions; do
            fetch_source "$version" --tar-only && break
        done
        patched=" (without Debian's patches)"
        tar xf "$dir"/nginx_*.orig.tar.gz -C "$dir" || {
            echo "no source of nginx could be fetched" >&2
            cat "$dir/log" >&2
            exit 1
        }
    fi

    echo "nginx under sanitizers: building $version$patched"
    rm -rf "$dir/apt"
    nginx_tree "$(echo "$dir"/nginx-*/)" "$objs/nginx"
}

fetch_source() {
    (cd "$objs/source" \
        && private_apt apt-get source -qq "${@:2}" "nginx=$1") \
        >"$objs/source/log" 2>&1
}

main
