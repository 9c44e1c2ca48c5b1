"""The United States: each state's habits, as many plates that mix them freely, and a steady hand-held camera."""

from __future__ import annotations

from dataclasses import replace

from glyphyard.data.synth.camera import Camera
from glyphyard.data.synth.style import Style
from glyphyard.data.synth.us_palette import (
    BLACK,
    COMMON,
    COOL,
    COUNTIES,
    DEEP,
    DUSK,
    GOLD,
    GREEN,
    NAMES,
    NAVY,
    PLAIN,
    RED,
    SKY,
    SLOGANS,
    TITLES,
    WARM,
    WHITE,
)
from glyphyard.data.synth.us_states import ISSUED

ANYWHERE = Style(
    name="us-any",
    patterns=(
        ("DDD LLL", 9), ("DDD-LLL", 5), ("DDD.LLL", 4), ("DDD*LLL", 4), ("LLL DDD", 6), ("LLL-DDD", 3), ("LLL*DDD", 5),
        ("LLL DDDD", 4), ("LLL-DDDD", 4), ("LLL*DDDD", 3), ("DDDDDD", 3), ("DLLLDDD", 3), ("LLDDDD", 2), ("LL-DDD", 2),
        ("DDDD", 3), ("DDDDD", 2), ("LLL DDL", 2), ("DDDD LL", 2), ("DDDDDDD", 2), ("LDDDDDD", 2), ("DLL DDD", 2),
        ("DDL LDD", 1), ("DLDDDDL", 1), ("LDDDDD", 1), ("LDDLLL", 1), ("LLDDD", 2), ("DDD", 0.3), ("LLDLDL", 1),
    ),
    inks=NAVY + BLACK + RED + GREEN,
    papers=PLAIN + SKY + WARM + DUSK + COOL + GOLD,
    header=tuple(NAMES) + TITLES,
    header_ink=("1c2f7a", "c82028", "14161a", "f4f4f4", "14603c", "f0b030"),
    header_band=("?", "?", "?", "2040a0", "c83038", "1c2c60"),
    footer=SLOGANS + COUNTIES,
    footer_ink=("1c2f7a", "c82028", "14161a", "14603c"),
    footer_band=("?", "?", "?", "?", "f0d040", "e8e8f0"),
    dies=("tall", "tall", "tall", "thin", "heavy", "wide", "square", "serif", "bar1", "face", "round"),
    art=(
        "?", "?", "mountains", "foot_hills", "head_hills", "arch", "shapes", "middle", "outline", "rays", "waves",
        "mountains+shapes",
    ),
    emblem=("blob", "seal", "tall", "speck"),
    stickers="1234",
    letters=COMMON,
    logo=0.18,
    stack=0.2,
    vanity=0.22,
    coined=0.5,
    band=(0.275, 0.785),
    wander=0.1,
)  # fmt: skip

STYLES: tuple[tuple[Style, float], ...] = (
    *ISSUED,
    (ANYWHERE, 38.0),
    (
        replace(
            ANYWHERE,
            name="us-dark",
            inks=WHITE,
            papers=DEEP,
            header_ink=WHITE,
            footer_ink=WHITE,
            header_band=("?",),
            footer_band=("?",),
            art=("?", "panel", "shapes"),
        ),
        7.0,
    ),
)

CAMERA = Camera(
    width_px=(100, 210),
    aspect=(1.85, 2.2),
    margin=(-0.025, 0.025),
    tilt_deg=1.8,
    shear=0.03,
    keystone=0.012,
    sensor_width_px=(80, 200),
)
