"""How alike two images are: PSNR in decibels and SSIM (Wang et al., 2004), image by image."""

from __future__ import annotations

import cv2
import numpy as np

WINDOW_PX, SIGMA_PX = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BEST_PSNR = 100.0  # of two equal images, whose PSNR is infinite and would swallow every mean


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of two uint8 images in dB, `BEST_PSNR` at most."""
    error = float(np.square(one.astype(np.float64) - other.astype(np.float64)).mean())
    return BEST_PSNR if error == 0 else min(BEST_PSNR, float(10 * np.log10(255**2 / error)))


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Return the structural similarity of two uint8 images (H,W) or (H,W,C): Gaussian window, mean over pixels and channels.

    Images smaller than the window are compared with the largest odd window that fits.
    """
    x, y = one.astype(np.float64), other.astype(np.float64)
    window = min(WINDOW_PX, *((side - 1) // 2 * 2 + 1 for side in one.shape[:2]))

    def mean(values: np.ndarray) -> np.ndarray:
        blurred = cv2.GaussianBlur(values, (window, window), SIGMA_PX)
        rim = window // 2  # only where the window lies inside, as in the paper's own code
        return blurred[rim : values.shape[0] - rim, rim : values.shape[1] - rim]

    of_x, of_y = mean(x), mean(y)
    spread_x, spread_y, common = mean(x * x) - of_x**2, mean(y * y) - of_y**2, mean(x * y) - of_x * of_y
    alike = ((2 * of_x * of_y + C1) * (2 * common + C2)) / ((of_x**2 + of_y**2 + C1) * (spread_x + spread_y + C2))
    return float(alike.mean())
