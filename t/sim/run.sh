#!/bin/bash
#
# Usage: t/sim/run.sh [OPTIONS]       the table
#        t/sim/run.sh plot FILE.svg   the plot of docs/scaling.md
#
# Builds t/sim/rate_sim.c, which says what the options are, with the module's
# own ngx_ivschat_bucket.c, and runs it, one process for each scenario and
# number of edges.  Needs a C compiler; the plot needs perl.

set -euo pipefail

cd "$(dirname "$0")/../.."

sim=objs/sim/rate_sim

main() {
    build

    if [ "${1:-}" = plot ]; then
        series | t/sim/plot.pl >"${2:?where to}"
        return
    fi

    echo "case      law    edges   used% refuse%   jain minute  back  peak"
    table "$@"
}

build() {
    mkdir -p objs/sim
    ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O2 \
        -ffp-contract=off -Ingx_module -It/sim -o "$sim.$$" \
        t/sim/rate_sim.c t/sim/edges.c t/sim/heap.c t/sim/law.c \
        ngx_module/aws/ngx_ivschat_bucket.c -lm
    mv "$sim.$$" "$sim"
}

# -c and -n say which processes there are, the rest is for each of them.

table() {
    local cases=steady,storm,vanish,join,loud,unlike,calm,restart,leave
    local edges=1,2,4,16,64 rest=() out c n

    cases+=,stop,frozen,die,bare4,bare15,bare60,provider4

    while [ $# -gt 0 ]; do
        case $1 in
            -c) cases=${2:?}; shift 2 ;;
            -n) edges=${2:?}; shift 2 ;;
            *) rest+=("$1"); shift ;;
        esac
    done

    out=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$out'" EXIT

    for c in ${cases//,/ }; do
        for n in ${edges//,/ }; do
            echo "$sim -c $c -n $n ${rest[*]} >$out/$c-$n"
        done
    done | xargs -P "${JOBS:-$(nproc)}" -I{} sh -c '{}'

    for c in ${cases//,/ }; do
        for n in ${edges//,/ }; do
            cat "$out/$c-$n"
        done
    done
}

series() {
    "$sim" -s -c vanish -n 4,64
}

main "$@"
