"""Trained models: cards, registry, network construction, weights, engines."""

import sys

# `import openvino` starts a client that looks up a host outside and writes an id into the user's home, unless importing
# openvino_telemetry fails: then OpenVINO takes a stub of its own. None makes it fail; nothing is asked or written.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
