#!/bin/bash
#
# Usage: t/tools/fuzz.sh SECONDS TARGET ...
#
# Runs each fuzz target (objs/fuzz/NAME_fuzz) for so many seconds, from the
# corpus t/fuzz/corpus/NAME and from what earlier runs have added to
# objs/fuzz/corpus/NAME.  An input that breaks it is left in objs/fuzz/.

set -euo pipefail

cd "$(dirname "$0")/../.."

# Who says what a test of the text means: 0 would be "for ever" to libFuzzer.

main() {
    local seconds=$1 target name seeds rc=0
    shift

    case $seconds in
        ''|*[!0-9]*|0*) echo "$0: SECONDS is a number, 1 or more" >&2
                        exit 2 ;;
    esac
    [ $# -gt 0 ] || { echo "$0: no fuzz targets" >&2; exit 2; }

    for target in "$@"; do
        name=$(basename "$target" _fuzz)
        seeds=t/fuzz/corpus/$name
        [ -d "$seeds" ] || { echo "$0: no corpus $seeds" >&2; exit 2; }
        mkdir -p "objs/fuzz/corpus/$name"

        echo "$name: for $seconds seconds"
        "$target" -max_total_time="$seconds" -max_len=8192 -timeout=5 \
            -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
            -artifact_prefix="objs/fuzz/$name-" \
            "objs/fuzz/corpus/$name" "$seeds" || rc=1
    done

    return $rc
}

main "$@"
