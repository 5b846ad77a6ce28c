#!/bin/bash
#
# Usage: t/tools/install-deps.sh [build|test|demo|npm|sanitize|fuzz] ...
#
# Installs, on Debian 12 or later, the packages that are missing for the thing
# named; says nothing and is done at once when there are none.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=t/tools/private-apt.sh
. "$top/t/tools/private-apt.sh"

build=(gcc make libc6-dev dpkg-dev nginx nginx-dev
       libcurl4-openssl-dev libcjson-dev libssl-dev)
demo=(curl openssl procps python3 python3-botocore python3-wsproto)
test=("${demo[@]}" perl libtest-nginx-perl python3-pytest
      python3-pytest-timeout python3-h2 faketime chromium
      libnginx-mod-http-js)
npm=(nodejs npm)
sanitize=(valgrind libpcre2-dev zlib1g-dev)
fuzz=(gcc make libc6-dev clang libclang-rt-dev libcjson-dev libssl-dev
      libcurl4-openssl-dev)

# For a page of docs/guide; Debian has it since the release after 13.
case $(. /etc/os-release 2>/dev/null && echo "${ID:-}${VERSION_ID:-}") in
    debian12|debian13) ;;
    debian*) test+=(libnginx-mod-http-auth-jwt) ;;
esac

# The harness is in no suite before this one, and needs nothing of it.
harness=libtest-nginx-perl
harness_suite=forky

main() {
    local wanted=() missing=()

    wanted_of "${@:-build}"

    if ! command -v dpkg-query >/dev/null; then
        echo "$0: not Debian, so nothing is installed; wanted is what" \
            "Debian calls: ${wanted[*]}" >&2
        exit 0
    fi

    [ ${#wanted[@]} -gt 0 ] || exit 0
    missing_of "${wanted[@]}"
    [ ${#missing[@]} -gt 0 ] || exit 0

    become_root
    echo "installing: ${missing[*]}"
    hold_services
    refresh_lists
    install "${missing[@]}"
}

wanted_of() {
    local set

    for set in "$@"; do
        case $set in
            build)    wanted+=("${build[@]}") ;;
            demo)     wanted+=("${build[@]}" "${demo[@]}") ;;
            test)     wanted+=("${build[@]}" "${test[@]}") ;;
            npm)      wanted_npm ;;
            sanitize) wanted+=("${build[@]}" "${test[@]}"
                               "${sanitize[@]}") ;;
            fuzz)     wanted+=("${fuzz[@]}") ;;
            *)        echo "$0: unknown set \"$set\"" >&2; exit 2 ;;
        esac
    done
}

# Node's own packages, which are not Debian's, have npm in them.

wanted_npm() {
    local name

    for name in "${npm[@]}"; do
        command -v "${name/nodejs/node}" >/dev/null || wanted+=("$name")
    done
}

missing_of() {
    local name installed

    # shellcheck disable=SC2016
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" \
        2>/dev/null | sed -n 's/^installed //p') || true

    for name in "$@"; do
        grep -qxF "$name" <<<"$installed" || missing+=("$name")
    done
}

become_root() {
    sudo=()
    [ "$(id -u)" -ne 0 ] || return 0

    if command -v sudo >/dev/null; then
        sudo=(sudo)
        return
    fi

    echo "$0: neither root nor sudo.  Missing, to be installed by root:" >&2
    echo "    apt-get install ${missing[*]}" >&2
    exit 1
}

# nginx's package would start it, on port 80: nothing here needs that, and a
# build should not open a port.  The policy goes away with this script.

hold_services() {
    local policy=/usr/sbin/policy-rc.d

    [ ! -e $policy ] || return 0
    printf '%s\n' "${missing[@]}" | grep -qx nginx || return 0

    trap '"${sudo[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
    "${sudo[@]}" chmod +x $policy
}

# Lists may be old as well as absent; a failed update is no reason to stop
# while old ones still serve.

refresh_lists() {
    quietly "${sudo[@]}" apt-get update -q \
        || echo "$0: apt-get update failed; going on with what is there" >&2
}

install() {
    local all=("$@") name tmp=

    if printf '%s\n' "$@" | grep -qx $harness && ! has_candidate $harness
    then
        # A path given to apt-get is installed, with its dependencies out of
        # the machine's own suite.
        tmp=$(mktemp -d)
        chmod 755 "$tmp"
        private_apt_init "$tmp/apt" deb $harness_suite
        (cd "$tmp" && private_apt apt-get download -q $harness >/dev/null)
        all=()
        for name in "$@"; do
            [ "$name" = $harness ] || all+=("$name")
        done
        all+=("$tmp/$harness"*.deb)
    fi

    quietly "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${all[@]}"

    [ -z "$tmp" ] || rm -rf "$tmp"
}

has_candidate() {
    apt-cache policy "$1" | grep -q 'Candidate: [^(]'
}

# Hundreds of lines that matter only when something failed.

quietly() {
    local log rc=0

    log=$(mktemp)
    "$@" </dev/null >"$log" 2>&1 || rc=$?
    [ $rc -eq 0 ] || tail -n 40 "$log" >&2
    rm -f "$log"
    return $rc
}

main "$@"
