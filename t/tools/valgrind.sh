#!/bin/bash
#
# Usage: t/tools/valgrind.sh [FILE.t ...]
#
# Runs the smoke set (or the files named, which must use Test::Nginx) with the
# module as it ships, a dynamic one in the installed nginx, under valgrind.
# Unlike the sanitizers it sees reads of memory that was never written.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"

if [ $# -eq 0 ]; then
    smoke=$(t/tools/smoke-tests.sh)
    mapfile -t files <<<"$smoke"
    set -- "${files[@]}"
fi

logs=$top/objs/valgrind
rm -rf "$logs"
mkdir -p "$logs"

# Test::Nginx passes the options on, and ignores what valgrind finds.
export TEST_NGINX_USE_VALGRIND="--leak-check=full --show-possibly-lost=no \
--keep-debuginfo=yes --num-callers=30 --suppressions=$top/t/valgrind.suppress \
--log-file=$logs/vg.%p"
export TEST_NGINX_TIMEOUT=${TEST_NGINX_TIMEOUT:-20}

rc=0
t/tools/run-tests.sh "$@" || rc=$?

if [ -z "$(ls "$logs")" ]; then
    echo "valgrind did not run" >&2
    exit 1
fi

reports=$(grep -lE -e 'are definitely lost|Invalid (read|write|free)' \
    -e 'uninitialised|Mismatched free|overlap' "$logs"/vg.* || true)

if [ -n "$reports" ]; then
    echo "reports of valgrind, in $logs:" >&2
    for report in $reports; do
        echo "--- ${report##*/}" >&2
        head -n 60 "$report" >&2
    done
    exit 1
fi

exit $rc
