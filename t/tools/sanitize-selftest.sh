#!/bin/bash
#
# Usage: t/tools/sanitize-selftest.sh
#
# Shows that sanitize.sh would notice.  Into a copy of the module, never the
# module, one fault after the other is planted at the top of the content
# handler; the same run as ever, on that copy, must fail for that reason.  It
# has a test file of one request: on a dead nginx Test::Nginx tries each
# further one for a minute.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"

test=t/tools/sanitize-selftest.t
dir=$top/objs/asan-fault

main() {
    t/tools/build-asan.sh

    # nginx's own objects are taken over as they are.
    rm -rf "$dir"
    mkdir -p "$dir/module/ngx_module"
    cp -a "$top/objs/asan/build" "$dir/build"
    rm -rf "$dir/build/addon"
    cp -a config "$dir/module/"

    expect none "1 passed, 0 failed" 'u_char *p = ngx_pnalloc(pool, 7); (void) p;'

    expect overflow "heap-buffer-overflow" \
        'u_char *p = ngx_pnalloc(pool, 7); if (p) { p[7] = 1; }'

    expect undefined "signed integer overflow" \
        'volatile int n = 0x7fffffff; (void) pool; n = n + 1;'

    # The leaking request is answered as ever: no test can see this one.
    expect leak "ngx_ivschat_planted_fault" \
        'void *volatile p = malloc(48); (void) pool; p = NULL; (void) p;'

    rm -rf "$dir"
}

expect() {
    local name=$1 text=$2 fault=$3 rc=0

    cp -a ngx_module/. "$dir/module/ngx_module/"
    plant "$fault"
    t/tools/build-asan.sh "$dir/module" "$dir/build"

    SANITIZE_BUILD=$dir/build TEST_NGINX_TIMEOUT=3 \
        t/tools/sanitize.sh "$test" >"$dir/log" 2>&1 || rc=$?

    # A fault that is none shows that the planting is not what fails.
    if [ "$name" = none ] && [ $rc -ne 0 ] \
        || [ "$name" != none ] && [ $rc -eq 0 ] \
        || ! grep -qF "$text" "$dir/log"
    then
        echo "planted fault \"$name\": status $rc, and \"$text\" expected" >&2
        cat "$dir/log" >&2
        exit 1
    fi

    echo "planted fault: $name ... $(verdict $rc)"
}

verdict() {
    if [ "$1" -eq 0 ]; then
        echo "accepted, as it should be"
    else
        echo "found"
    fi
}

# The function goes below the last include, its call to the handler's top.

plant() {
    local file fault=$1
    local handler='^ngx_ivschat_handler\(ngx_http_request_t \*r\)$'

    file=$(cd "$dir/module/ngx_module" && grep -rlE "$handler" .) || {
        echo "no content handler to plant a fault in" >&2
        exit 1
    }
    file=$dir/module/ngx_module/$file

    awk -v fault="$fault" -v handler="$handler" '
        FNR == NR { if (/^#include/) last = FNR; next }
        { print }
        FNR == last {
            print "static __attribute__((noinline)) void"
            print "ngx_ivschat_planted_fault(ngx_pool_t *pool)"
            print "{ " fault " }"
        }
        $0 ~ handler { at = FNR }
        at && FNR == at + 1 && /^{/ {
            print "ngx_ivschat_planted_fault(r->pool);"
        }' "$file" "$file" >"$file.planted"

    mv "$file.planted" "$file"
    grep -q 'planted_fault(r->pool)' "$file"
}

main
