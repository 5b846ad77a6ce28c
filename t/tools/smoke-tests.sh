#!/bin/bash
#
# Usage: t/tools/smoke-tests.sh
#
# Prints the smoke set: the few test files that go the module's main ways, for
# runs in which all of them would take too long.  A file is in it by a line
# "# smoke" among its first ten.

set -euo pipefail

cd "$(dirname "$0")/../.."

found=
for file in t/*.t; do
    if head -n 10 "$file" | grep -qx '# smoke'; then
        echo "$file"
        found=yes
    fi
done

# An empty set would let pass what it stands for.
if [ -z "$found" ]; then
    echo "no file in t/ has the line \"# smoke\"" >&2
    exit 1
fi
