#!/bin/bash
#
# Usage: t/demo/start.sh
#
# Starts the demo: a local IVS Chat service, its messaging edge and, in front
# of them, nginx with the module.  They run until t/demo/stop.sh is called, and
# do not affect another nginx on this machine.
#
#   DEMO_PORT    the page's port on 127.0.0.1 (8080)
#   DEMO_ONCE    if set: prints one token, as JSON on the last line, and stops
#   DEMO_DIR     the directory of the demo's files (objs/demo)
#   NGINX        the nginx binary (from PATH or /usr/sbin)
#   DEMO_NPM     where t/tools/npm.sh has installed AWS's SDK (objs/npm)
#   DEMO_MODULE  the module (objs/*.so); empty if it is built in

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=t/demo/common.sh
. "$top/t/demo/common.sh"

port=${DEMO_PORT:-8080}
nginx=${NGINX:-$(PATH=$PATH:/usr/sbin:/sbin command -v nginx || true)}
module=${DEMO_MODULE-$top/objs/ngx_http_ivschat_token_module.so}
npm=${DEMO_NPM:-$top/objs/npm}
room=arn:aws:ivschat:us-west-2:123456789012:room/AbCdEfGhIjKl
key=AKIDEXAMPLE
secret=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY
wait=30

# Debian's Python, which has botocore.
python=/usr/bin/python3

main() {
    local answer

    check
    demo_stop
    check_port

    # There is something to clean up from here on.
    trap demo_stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP

    start_service
    write_files
    start_nginx
    answer=$(mint bob)

    if [ -n "${DEMO_ONCE:-}" ]; then
        demo_stop
        trap - EXIT
        printf '%s\n' "$answer"
        return
    fi

    trap - EXIT
    explain "$answer"
}

check() {
    case $port in
        *[!0-9]*|0*|??????*) fail "invalid port: DEMO_PORT=$port" ;;
    esac

    [ -x "$python" ] \
        || fail "$python not found; run t/tools/install-deps.sh demo"
    [ -x "$nginx" ] || fail "nginx not found; run t/tools/install-deps.sh demo"
    [ -z "$module" ] || [ -f "$module" ] \
        || fail "$module not found; run make"

    mkdir -p "$dir"
    [ -w "$dir" ] || fail "cannot write to $dir"
}

# Binds the port as nginx does, with SO_REUSEADDR, so that connections being
# closed do not matter.

check_port() {
    local why

    why=$("$python" - "$port" 2>&1 <<'END'
import socket, sys
try:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('127.0.0.1', int(sys.argv[1])))
        s.listen()
except (OSError, OverflowError) as e:
    sys.exit(getattr(e, 'strerror', None) or str(e))
END
    ) || fail "port $port of 127.0.0.1 cannot be used ($why)." \
              "Try another one: DEMO_PORT=8081 make demo"
}

start_service() {
    mkdir -p "$dir/service"

    start_python service ports.json "the local IVS Chat service" \
        --key "$key" --secret "$secret" --room "$room"
    service_port=$(value_of ports.json port)
    control_port=$(value_of ports.json control_port)

    start_python messaging messaging.json "its messaging edge" \
        --service-control "http://127.0.0.1:$control_port"
    messaging_port=$(value_of messaging.json port)
}

# start_python NAME FILE WHAT OPTIONS...: waits until the program has written
# FILE.  It runs in its own session, since it outlives this script.

start_python() {
    local name=$1 file=$dir/service/$2 what=$3 n pid
    local -A program=([service]=ivschat_service [messaging]=messaging_edge)
    shift 3

    rm -f "$file"
    setsid "$python" "$top/t/service/${program[$name]}.py" \
        --dir "$dir/service" "$@" </dev/null >"$dir/$name.log" 2>&1 &
    pid=$!
    echo $pid >"$dir/$name.pid"

    for ((n = 0; n < wait * 20; n++)); do
        [ ! -f "$file" ] || return 0
        kill -0 $pid 2>/dev/null || break
        sleep 0.05
    done

    tail -n 20 "$dir/$name.log" >&2
    fail "$what did not start"
}

value_of() {
    "$python" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' \
        "$2" <"$dir/service/$1"
}

# All files of nginx are in its prefix, as in /etc/nginx, and all paths in the
# configuration are relative to it.

write_files() {
    local demo=$top/t/demo name=ngx_http_ivschat_token_module.so

    rm -rf "$dir/modules" "$dir/html"
    mkdir -p "$dir/modules" "$dir/temp"
    cp -R "$demo/html" "$dir/html"
    cp "$top/docs/client/token-provider.js" "$dir/html"
    copy_sdk
    cp "$demo/chat.htpasswd" "$dir"
    [ -z "$module" ] || cp "$module" "$dir/modules/$name"

    sed 's|^\(proxy_ssl_trusted_certificate\) .*|\1 service/ca.pem;|' \
        "$top/ngx_module/ivschat_params" >"$dir/ivschat_params"

    # "load_module" is deleted if the module is built in.
    sed -e "s/127\.0\.0\.1:8080;/127.0.0.1:$port;/" \
        -e "s/127\.0\.0\.1:8443;/127.0.0.1:$service_port;/" \
        -e "s/127\.0\.0\.1:8444\//127.0.0.1:$messaging_port\//" \
        -e "${module:+#}/^load_module /d" \
        "$demo/nginx.conf" >"$dir/nginx.conf"
}

# Copies the files for the browser; without them the page shows tokens only.

copy_sdk() {
    local from=$npm/node_modules to=$dir/html/sdk

    [ -d "$from/amazon-ivs-chat-messaging" ] || return 0
    mkdir "$to"
    cp -R "$from/amazon-ivs-chat-messaging/dist/esm" \
        "$to/amazon-ivs-chat-messaging"
    cp -R "$from/uuid/dist/esm-browser" "$to/uuid"
}

start_nginx() {
    local user=() n

    # With root, the workers would run as "nobody", which may be unable to
    # read this directory.
    [ "$(id -u)" -ne 0 ] || user=(-g "user root;")

    # Do not use an AWS account of this shell.  nginx would treat the variable
    # NGINX as a list of inherited sockets.
    unset "${!AWS_@}" NGINX

    AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret \
        "$nginx" -p "$dir/" -c "$dir/nginx.conf" -e "$dir/error.log" \
            "${user[@]}" </dev/null >"$dir/nginx.log" 2>&1 || {
        cat "$dir/nginx.log" >&2
        fail "nginx did not start"
    }

    # nginx writes the file after it has become a daemon.
    for ((n = 0; n < wait * 20; n++)); do
        [ ! -s "$dir/nginx.pid" ] || return 0
        sleep 0.05
    done

    fail "nginx did not start"
}

# mint USER: prints the response of the token location, or fails.

mint() {
    curl -sS --fail-with-body --noproxy '*' --max-time 10 \
        -X POST -u "$1:demo" "http://127.0.0.1:$port/chat/token" && return

    echo >&2
    tail -n 5 "$dir/error.log" >&2
    fail "no token was minted"
}

explain() {
    local chat="a chat with AWS's SDK and these tokens"

    [ -d "$dir/html/sdk" ] \
        || chat="tokens only; run t/tools/npm.sh for the chat"

    cat <<END

A chat token for bob, created by nginx:

    curl -u bob:demo -X POST http://127.0.0.1:$port/chat/token

$("$python" -m json.tool --indent 4 <<<"$1")

alice can watch, bob can send, mod can moderate; all passwords are "demo".

    The page           http://127.0.0.1:$port/
                       $chat
    The configuration  $dir/nginx.conf
    The logs           $dir/access.log, error.log
    To cause an error  curl -d '{"fault": "throttling"}' \\
                           http://127.0.0.1:$control_port/faults
    To stop the demo   make demo-stop

END
}

main
