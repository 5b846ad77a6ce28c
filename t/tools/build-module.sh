#!/bin/bash
#
# Usage: t/tools/build-module.sh
#
# Builds objs/ngx_http_ivschat_token_module.so for the nginx that is installed
# (with Debian's nginx-dev), or for the tree that NGINX_SRC names, configured
# with NGINX_CONFIGURE_ARGS in addition.  Compiles only what changed.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=t/tools/nginx-tree.sh
. "$top/t/tools/nginx-tree.sh"

module=ngx_http_ivschat_token_module.so
debian=/usr/share/nginx/src
source=${NGINX_SRC:-$debian}
objs=$top/objs/module
build=$objs/build

main() {
    if [ ! -d "$source" ]; then
        echo "$source is not there.  Either install the build packages" \
            "(t/tools/install-deps.sh build), or name an nginx source tree:" \
            "make NGINX_SRC=dir" >&2
        exit 1
    fi

    source=$(readlink -f "$source")
    configure_arguments

    nginx_stamp "$objs/stamp" "$(fingerprint)" configure
    nginx_make "$objs/tree" "$build" modules

    # The copy is newer than its sources only when it differs.
    cmp -s "$build/$module" "$top/objs/$module" \
        || install -m 644 "$build/$module" "$top/objs/$module"
}

# Debian's modules are compiled with Debian's flags, and with the options of
# its nginx that change structures; nginx-dev notes those in conf_flags.

configure_arguments() {
    local flags=() extra=()

    if [ -f "$source/conf_flags" ]; then
        # shellcheck source=/dev/null
        . "$source/conf_flags"
        flags=("${NGX_CONF_FLAGS[@]}"
            --with-cc-opt="$(buildflags CFLAGS) $(buildflags CPPFLAGS) -fPIC"
            --with-ld-opt="$(buildflags LDFLAGS) -fPIC")

    else
        flags=(--with-compat --with-http_ssl_module)
    fi

    # Quotes in NGINX_CONFIGURE_ARGS count, as in a shell.
    eval "extra=(${NGINX_CONFIGURE_ARGS:-})"
    arguments=("${flags[@]}" "${extra[@]}" "--add-dynamic-module=$top")
}

buildflags() {
    if command -v dpkg-buildflags >/dev/null; then
        (cd "$top" && dpkg-buildflags --get "$1")
    fi
}

fingerprint() {
    echo "$source"
    printf '%s\n' "${arguments[@]}"
    cksum <"$top/config"
    (cd "$top" && echo ngx_module/*.c ngx_module/*/*.[ch])
    cksum <"$source/src/core/nginx.h"
    cksum <"$top/t/tools/nginx-tree.sh"
    gcc -dumpfullversion 2>/dev/null || true
}

configure() {
    # Another tree, version or option: nothing of the last one is of use.
    rm -rf "$objs"
    mkdir -p "$objs"
    nginx_tree "$source" "$objs/tree"
    nginx_configure "$objs/tree" "$build" "${arguments[@]}"
}

main "$@"
