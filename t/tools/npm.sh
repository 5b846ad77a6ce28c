#!/bin/bash
#
# Usage: t/tools/npm.sh
#
# Puts the packages of t/browser/package-lock.json, AWS's chat SDK among them,
# into objs/npm/node_modules, and before that Debian's npm where there is
# none.  Done at once when they are there.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$top/objs/npm

if cmp -s "$top/t/browser/package-lock.json" "$dir/installed"; then
    exit 0
fi

"$top/t/tools/install-deps.sh" npm

rm -rf "$dir"
mkdir -p "$dir"
cp "$top/t/browser/package.json" "$top/t/browser/package-lock.json" "$dir"
echo "installing, with npm: AWS's chat SDK"

# Node has a list of authorities of its own, and not those that this machine
# may have been given besides.
bundle=/etc/ssl/certs/ca-certificates.crt
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -f $bundle ]; then
    export NODE_EXTRA_CA_CERTS=$bundle
fi

(cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
    </dev/null >npm.log 2>&1) || { cat "$dir/npm.log" >&2; exit 1; }

cp "$dir/package-lock.json" "$dir/installed"
