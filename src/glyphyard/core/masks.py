"""Masks of regions: from a small map of probabilities to pixels of the image, and from pixels to an outline."""

from __future__ import annotations

import cv2
import numpy as np

THRESHOLD = 0.5
CORNER_PX = 0.5  # what an outline may leave out


def paste_mask(map_MM: np.ndarray, box_4: np.ndarray, height: int, width: int, threshold: float = THRESHOLD) -> np.ndarray:
    """Return where a map of probabilities that fills its box is above the threshold, (H,W) bool.

    Each pixel takes the map's value at its middle, between the map's own middles linearly; outside the map nothing is.
    """
    x1, y1, x2, y2 = (float(v) for v in box_4)
    mask = np.zeros((height, width), bool)
    left, top = max(int(np.floor(x1)) - 1, 0), max(int(np.floor(y1)) - 1, 0)
    right, bottom = min(int(np.ceil(x2)) + 1, width), min(int(np.ceil(y2)) + 1, height)
    if x2 <= x1 or y2 <= y1 or right <= left or bottom <= top:
        return mask
    down, across = map_MM.shape[0] / (y2 - y1), map_MM.shape[1] / (x2 - x1)
    at = np.array([[across, 0, (left + 0.5 - x1) * across - 0.5], [0, down, (top + 0.5 - y1) * down - 0.5]], np.float64)
    # Linear sampling alone would step over most of the map where a box is smaller than it.
    kernel = (2 * int(max(across, 1) / 2) + 1, 2 * int(max(down, 1) / 2) + 1)
    soft = cv2.blur(map_MM.astype(np.float32), kernel, borderType=cv2.BORDER_REPLICATE)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(soft, at, (right - left, bottom - top), flags=flags, borderMode=cv2.BORDER_CONSTANT)
    mask[top:bottom, left:right] = found > threshold
    return mask


def outline_of(mask_HW: np.ndarray) -> np.ndarray:
    """Return the outline of a mask's largest piece, (P,2) float x, y in pixels; (0,2) of an empty one."""
    contours, _ = cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return np.zeros((0, 2))
    largest = max(contours, key=cv2.contourArea)
    return cv2.approxPolyDP(largest, CORNER_PX, True)[:, 0].astype(np.float64) + 0.5  # a pixel's middle is at half a pixel
