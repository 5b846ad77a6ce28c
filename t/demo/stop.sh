#!/bin/bash
#
# Usage: t/demo/stop.sh
#
# Ends what t/demo/start.sh has started; DEMO_DIR as there.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=t/demo/common.sh
. "$top/t/demo/common.sh"

demo_stop
echo "The demo has ended."
