#!/usr/bin/env bash
# Proves on a real device what the tests prove with stand-ins: builds the engine of a bundle in fp32 and in its planned
# precision, replays the golden vectors at batch 1, 2, 3, opt and max, times everything that can read, prints one table.
#
#   tools/verify_on_jetson.sh BUNDLE TARGET [CACHE]        e.g. tools/verify_on_jetson.sh bundle orin_nx_jp62
#
# Needs python3 with glyphyard (base install), and TensorRT from JetPack. Status 0: all hold; 2: wrong device, bundle or
# target; 4: something does not build or reads otherwise. Set PYTHON for another interpreter.
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//' >&2
    exit 2
fi
bundle=$1 target=$2 cache=${3:-}
python=${PYTHON:-python3}

echo "device   $( (tr -d '\0' < /proc/device-tree/model) 2>/dev/null || uname -m)"
echo "L4T      $( (sed -n 's/^# R\([0-9]*\).*REVISION: \([0-9.]*\).*/\1.\2/p' /etc/nv_tegra_release) 2>/dev/null || echo none)"
echo "power    $(nvpmodel -q 2>/dev/null | sed -n 's/^NV Power Mode: //p' || true)"
echo "python   $("$python" --version 2>&1)"
trtexec=${GLYPHYARD_TRTEXEC:-$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)}
echo "TensorRT $("$python" -c 'import tensorrt; print(tensorrt.__version__)' 2>/dev/null || echo "no Python API"), trtexec $([ -x "$trtexec" ] && echo "$trtexec" || echo none)"
echo
"$python" -m glyphyard.edge verify "$bundle" --target "$target" ${cache:+--cache "$cache"}
