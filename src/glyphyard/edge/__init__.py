"""What runs on the device: open a bundle, read crops, build engines. numpy + cv2, and onnxruntime or TensorRT when a model is loaded."""

from glyphyard.edge.bundle import Bundle, BundleManifest, Golden
from glyphyard.edge.engines import EngineRecord, open_engine
from glyphyard.edge.pool import reader_pool
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.session import Session

__all__ = ["Bundle", "BundleManifest", "EngineRecord", "Golden", "Recognizer", "Session", "open_engine", "reader_pool"]
