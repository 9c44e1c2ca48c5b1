"""What runs on the device: open a bundle, read crops. numpy + cv2, and onnxruntime when a model is loaded."""

from glyphyard.edge.bundle import Bundle, BundleManifest, Golden
from glyphyard.edge.recognizer import Recognizer

__all__ = ["Bundle", "BundleManifest", "Golden", "Recognizer"]
