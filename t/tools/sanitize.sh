#!/bin/bash
#
# Usage: t/tools/sanitize.sh [FILE ...]
#
# Runs the tests on the nginx of build-asan.sh.  Fails when a test fails, and
# also when all pass but the sanitizers had something to say: a leak, or an
# error in a process whose end no test looks at, shows only in their reports.
#
#   SANITIZE_BUILD  another build directory, which is there already

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"

build=${SANITIZE_BUILD:-}
if [ -z "$build" ]; then
    t/tools/build-asan.sh
    build=$top/objs/asan/build
fi

logs=$build.logs
rm -rf "$logs"
mkdir -p "$logs"

# Both options name the file: UBSan alone would write to nginx's stderr.
# Commas, since Test::Nginx rewrites log_path with a name for each block.
export ASAN_OPTIONS="detect_leaks=1,fast_unwind_on_malloc=0,\
detect_stack_use_after_return=1,log_path=$logs/san"
export UBSAN_OPTIONS="print_stacktrace=1,log_path=$logs/san"
export LSAN_OPTIONS="suppressions=$top/t/lsan.supp,print_suppressions=0"

# "nginx -t" ends with its whole configuration in hand, which is no leak of
# anybody's, and would fail it.
cat >"$build/nginx-or-test" <<END
#!/bin/sh
for argument; do
    case \$argument in
        -t|-T) ASAN_OPTIONS=\$ASAN_OPTIONS,detect_leaks=0; break ;;
    esac
done
export ASAN_OPTIONS
exec $build/nginx "\$@"
END
chmod +x "$build/nginx-or-test"

export TEST_NGINX_BINARY=$build/nginx-or-test TEST_NGINX_LOAD_MODULES=
export TEST_NGINX_TIMEOUT=${TEST_NGINX_TIMEOUT:-10}

rc=0
t/tools/run-tests.sh "$@" || rc=$?

# A leak counts when one of our functions is on its stack: nginx exits with
# some memory of its own in hand, after a configuration that it refuses.
reports=$(grep -rlE -e 'ERROR: AddressSanitizer|: runtime error:' \
    -e ' in ngx_(http_)?ivschat_' "$logs" || true)

if [ -n "$reports" ]; then
    echo "reports of the sanitizers, in $logs:" >&2
    for report in $reports; do
        echo "--- ${report##*/}" >&2
        head -n 40 "$report" >&2
    done
    exit 1
fi

exit $rc
