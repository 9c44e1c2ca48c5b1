"""From a trained torch module to a checked bundle: one ONNX file that every device can read."""
