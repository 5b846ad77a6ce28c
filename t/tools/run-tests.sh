#!/bin/bash
#
# Usage: t/tools/run-tests.sh [FILE ...]
#
# Runs the test files named, or all of t/*.t and t/*/test_*.py, each as a
# process of its own, on the nginx and the module that the environment names,
# by default the installed one and objs/*.so:
#
#   TEST_NGINX_BINARY        nginx
#   TEST_NGINX_LOAD_MODULES  the module; set but empty when it is built in
#   JOBS                     files at a time
#   RERUN                    not empty: files that fail are run once more,
#                            alone, and count as they do then
#
# Some tests measure times.  RERUN is for machines that others use as well; a
# fault that is there fails twice.
#
# A file prints one line when it ends.  What it has said is in objs/tests/, and
# is shown when it has failed.  A file that breaks off, or runs no test and does
# not say why, counts as one that failed.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"

logs=$top/objs/tests

# They take the longest, so they start first.
long=(t/system/test_soak.py t/system/test_resolve.py
      t/system/test_rotation.py t/system/test_four_edges.py
      t/system/test_profile.py t/system/test_silent.py
      t/browser/test_thousand_clients.py t/system/test_reliability.py)

main() {
    local files failed

    export TEST_NGINX_BINARY TEST_NGINX_LOAD_MODULES

    TEST_NGINX_BINARY=${TEST_NGINX_BINARY:-$(PATH=$PATH:/usr/sbin:/sbin \
        command -v nginx)}
    TEST_NGINX_LOAD_MODULES=$(readlink -f "${TEST_NGINX_LOAD_MODULES-\
objs/ngx_http_ivschat_token_module.so}") || true
    [ -n "$TEST_NGINX_LOAD_MODULES" ] || unset TEST_NGINX_LOAD_MODULES

    files=("$@")
    [ $# -gt 0 ] || all_files

    make -s --no-print-directory unit-binaries
    load_once

    # Ports and directories of its own for each file, so that they can run
    # side by side.
    export TEST_NGINX_RANDOMIZE=1

    export results
    results=$(mktemp -d)
    trap 'rm -rf "$results"' EXIT
    mkdir -p "$logs"

    run "${JOBS:-$(nproc)}" "${files[@]}"

    mapfile -t failed < <(failed_files)
    if [ ${#failed[@]} -gt 0 ] && [ -n "${RERUN:-}" ]; then
        echo "--- what failed, once more and alone:"
        run 1 "${failed[@]}"
    fi

    summary
}

all_files() {
    local file known

    mapfile -t known < <(printf '%s\n' t/*.t t/*/test_*.py)
    for file in "${long[@]}"; do
        [ ! -f "$file" ] || files+=("$file")
    done
    for file in "${known[@]}"; do
        [[ " ${long[*]} " = *" $file "* ]] || files+=("$file")
    done
}

# run JOBS FILE...: by this script itself, with --one.

run() {
    local jobs=$1
    shift

    printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" t/tools/run-tests.sh --one
}

# Runs a file, and leaves "FILE PASSED FAILED SKIPPED" in $results.

run_one() {
    local file=$1 name=${1//\//-} rc=0 word=ok start=$SECONDS
    local log=$logs/$name.log passed=0 failed=0 skipped=0

    case $file in
        *.py) /usr/bin/python3 -m pytest -q --no-header -rfEs "$file" ;;
        *)    prove "$file" ;;
    esac </dev/null >"$log" 2>&1 || rc=$?

    "count_${file##*.}"
    if [ $rc -ne 0 ] || [ $((passed + skipped)) -eq 0 ]; then
        [ "$failed" -gt 0 ] || failed=1
        word=FAILED
    fi
    echo "$file $passed $failed $skipped" >"$results/$name"

    {
        flock 9
        [ $word = ok ] || { cat "$log"; echo "$file: status $rc"; }
        printf '%-6s %-42s %5d tests %4d s\n' $word "$file" \
            $((passed + failed + skipped)) $((SECONDS - start))
        grep -E '^SKIPPED|\.\. skipped: ' "$log" || true
    } 9>"$results/.lock"
}

# What prove and pytest say at their end.

count_t() {
    local tests

    tests=$(sed -n 's/^Files=1, Tests=\([0-9]*\),.*/\1/p' "$log")
    failed=$(sed -n 's/.* Tests: [0-9]* Failed: \([0-9]*\))$/\1/p' "$log")
    failed=${failed:-0}
    passed=$((${tests:-0} - failed))
    skipped=$(grep -c '\.\. skipped: ' "$log") || true
}

count_py() {
    local last number what

    last=$(grep -E '^[0-9]+ [a-z]+.* in [0-9.]+s' "$log" | tail -n 1) || true
    while read -r number what; do
        case $what in
            passed)        passed=$number ;;
            failed|error*) failed=$((failed + number)) ;;
            skipped)       skipped=$number ;;
        esac
    done < <(grep -oE '[0-9]+ [a-z]+' <<<"$last")
}

failed_files() {
    awk '$3 > 0 { print $1 }' "$results"/*
}

summary() {
    local failed

    mapfile -t failed < <(failed_files)
    [ ${#failed[@]} -eq 0 ] || printf 'failed: %s\n' "${failed[@]}"
    echo "files: $(find "$results" -name '*-*' | wc -l), seconds: $SECONDS"

    awk '{ passed += $2; failed += $3; skipped += $4 }
        END {
            printf "%d passed, %d failed", passed, failed
            print skipped ? ", " skipped " skipped" : ""
            exit failed > 0
        }' "$results"/*
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

if [ "${1:-}" = --one ]; then
    run_one "$2"
else
    main "$@"
fi
