#!/bin/bash
#
# Usage: t/tools/run-tests.sh [FILE.t ...]
#
# Runs the tests named, or all of t/*.t, on the nginx and the module that the
# environment names, by default the installed one and objs/*.so:
#
#   TEST_NGINX_BINARY        nginx
#   TEST_NGINX_LOAD_MODULES  the module; set but empty when it is built in
#   JOBS                     files at a time
#   PROVE                    prove, with options
#   RERUN                    not empty: files that fail are run once more,
#                            alone, and count as they do then
#
# Some tests measure times.  RERUN is for machines that others use as well; a
# fault that is there fails twice.
#
# A test is Perl (Test::Nginx), or an executable in another language that
# prints TAP.  Both find the two TEST_NGINX_ variables in their environment;
# the second one is unset when there is nothing to load.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"

main() {
    local rc=0

    export TEST_NGINX_BINARY TEST_NGINX_LOAD_MODULES

    TEST_NGINX_BINARY=${TEST_NGINX_BINARY:-$(PATH=$PATH:/usr/sbin:/sbin \
        command -v nginx)}
    TEST_NGINX_LOAD_MODULES=$(readlink -f "${TEST_NGINX_LOAD_MODULES-\
objs/ngx_http_ivschat_token_module.so}") || true
    [ -n "$TEST_NGINX_LOAD_MODULES" ] || unset TEST_NGINX_LOAD_MODULES

    [ $# -gt 0 ] || set -- t/*.t

    make -s --no-print-directory unit-binaries
    load_once

    # Ports and directories of its own for each file, so that they can run
    # side by side.
    export TEST_NGINX_RANDOMIZE=1
    export PYTHONPATH=$top/t/lib:$top/t/service

    state=$(mktemp)
    trap 'rm -f "$state"' EXIT

    run --state=save -j"${JOBS:-$(nproc)}" "$@" || rc=$?

    # What broke off as a whole (255) has left files out.
    if [ $rc -eq 1 ] && [ -n "${RERUN:-}" ]; then
        echo "--- what failed, once more and alone:"
        rc=0
        run --state=failed -j1 || rc=$?
    fi

    return $rc
}

run() {
    # shellcheck disable=SC2086
    ${PROVE:-prove} --statefile="$state" "$@" </dev/null
}

# Test::Nginx tries for 30 seconds, block after block, to start an nginx that
# cannot start.  A module that does not load is found here instead.

load_once() {
    local dir rc=0

    dir=$(mktemp -d)
    {
        [ -z "${TEST_NGINX_LOAD_MODULES:-}" ] \
            || echo "load_module $TEST_NGINX_LOAD_MODULES;"
        echo "pid nginx.pid; events {}"
    } >"$dir/nginx.conf"

    "$TEST_NGINX_BINARY" -t -q -e stderr -p "$dir" -c "$dir/nginx.conf" \
        >"$dir/log" 2>&1 || rc=$?

    if [ $rc -ne 0 ]; then
        echo "$TEST_NGINX_BINARY does not start with the module:" >&2
        cat "$dir/log" >&2
    fi

    rm -rf "$dir"
    return $rc
}

main "$@"
