# shellcheck shell=bash
#
# Shared by t/demo/start.sh and stop.sh.

# shellcheck disable=SC2154
dir=${DEMO_DIR:-$top/objs/demo}
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac

fail() {
    echo "demo: $*" >&2
    exit 1
}

# nginx is stopped first, since it uses the others.

demo_stop() {
    end "$dir/nginx.pid"
    end "$dir/messaging.pid"
    end "$dir/service.pid"
}

# end PIDFILE: stops the process, if it is still ours, and waits until it has
# exited.  After 5 seconds it is killed.

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

# The number in an old file may now belong to another process.  Ours have the
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
