#!/bin/bash
#
# Usage: t/demo/stop.sh
#
# Stops what t/demo/start.sh has started; DEMO_DIR has the same meaning.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=t/demo/common.sh
. "$top/t/demo/common.sh"

demo_stop
echo "The demo has been stopped."
