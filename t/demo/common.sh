# shellcheck shell=bash
#
# What t/demo/start.sh and stop.sh share.

# shellcheck disable=SC2154
dir=${DEMO_DIR:-$top/objs/demo}
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac

fail() {
    echo "demo: $*" >&2
    exit 1
}

# nginx first, so that it asks nobody who is gone.

demo_stop() {
    end "$dir/nginx.pid"
    end "$dir/messaging.pid"
    end "$dir/service.pid"
}

# end PIDFILE: ends the process, if it is still ours, and waits until it is
# gone: by force after 5 seconds.

end() {
    local pid n signal=TERM

    [ -f "$1" ] || return 0
    pid=$(cat "$1")

    for ((n = 0; n < 150; n++)); do
        is_ours "$pid" || break
        [ $n -lt 100 ] || signal=KILL
        [ $((n % 100)) -ne 0 ] || kill -$signal "$pid" 2>/dev/null || true
        sleep 0.05
    done

    rm -f "$1"
}

# A number in an old file may be another process's by now; ours have the
# demo's directory in their command line.

is_ours() {
    local line

    [ -n "$1" ] || return 1
    line=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") || return 1

    case "$line " in
        *" $dir/"*) return 0 ;;
        *) return 1 ;;
    esac
}
