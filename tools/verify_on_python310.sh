#!/usr/bin/env bash
# Proves that what a camera runs works on JetPack 6's Python 3.10 with OpenCV 4: builds the wheel, installs it with its runtime
# extra and nothing else, opens bundles there (their golden crops are replayed), and runs the tests of core and edge that need no more.
#
#   tools/verify_on_python310.sh BUNDLE...                        e.g. tools/verify_on_python310.sh runs/*/bundle
#
# Needs `make env` and a python3.10 (PYTHON for one that is not on the path). ONNXRUNTIME asks for a version of it: 1.20.1, say.
set -euo pipefail

if [ $# -lt 1 ]; then
    sed -n '2,7p' "$0" | sed 's/^# \{0,1\}//' >&2
    exit 2
fi
here=$(cd "$(dirname "$0")/.." && pwd)
mapfile -t bundles < <(realpath "$@")
uv=$here/.tools/uv/bin/uv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$uv" build --quiet --wheel --out-dir "$work" "$here"
"$uv" venv --quiet --python "${PYTHON:-python3.10}" "$work/venv"
wheel=$(echo "$work"/*.whl)
runtime=("$wheel[runtime]")
if [ -n "${ONNXRUNTIME:-}" ]; then
    runtime=("$wheel" "onnxruntime==$ONNXRUNTIME" "numpy<2") # older ones know no NumPy 2
fi
"$uv" pip install --quiet --python "$work/venv/bin/python" "${runtime[@]}" "opencv-python-headless<5" onnx pytest pytest-timeout hypothesis
cp -r "$here/tests" "$here/tools" "$here/docs" "$here/pyproject.toml" "$work/"
cd "$work" && mkdir src
python=$work/venv/bin/python
"$python" - "${bundles[@]}" <<'PYTHON'
import sys

import cv2
import onnxruntime

from glyphyard.edge.catalogue import open_bundle

print(f"Python {sys.version.split()[0]}, OpenCV {cv2.__version__}, ONNX Runtime {onnxruntime.__version__}")
for bundle in sys.argv[1:]:
    open_bundle(bundle)  # of any task that reads text
    print(f"golden crops hold: {bundle}")
PYTHON
# These make their bundles with what trains.
"$python" -m pytest tests/core tests/edge --ignore tests/core/test_masks.py --ignore tests/edge/test_detector.py \
    --ignore tests/edge/test_queue.py --ignore tests/edge/test_segmenter.py
