"""A device that is not there, for all tests of the edge."""

from fake_device import fake_tensorrt, soft_bundle

__all__ = ["fake_tensorrt", "soft_bundle"]
