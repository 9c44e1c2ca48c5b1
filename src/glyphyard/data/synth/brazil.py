"""Brazil before Mercosul: AAA9999, grey or red, a town above; seen small by road cameras and enlarged."""

from __future__ import annotations

from dataclasses import replace

from glyphyard.data.synth.camera import Camera
from glyphyard.data.synth.style import Style

_TOWNS = (
    "PR-CURITIBA|PR-LONDRINA|PR-MARINGA|PR-CASCAVEL|PR-PONTA GROSSA|PR-PARANAGUA|SC-JOINVILLE|SP-SAO PAULO|"
    "SP-SANTOS|RJ-NITEROI|MG-UBERABA|RS-CANOAS|PR-COLOMBO|PR-PINHAIS|SC-BLUMENAU|SP-CAMPINAS|PR-TOLEDO|"
    "PR-ARAUCARIA"
)
TOWNS = tuple(_TOWNS.split("|"))

PRIVATE = Style(
    name="brazil-private",
    patterns=(("LLL.DDDD", 3), ("LLL-DDDD", 2), ("LLL DDDD", 1)),
    inks=("181a1c", "24282c", "303438"),
    papers=("b8bcbe b4b8ba b0b4b6", "c8cccc c0c4c4 b8bcbc", "a0a4a6 9ca0a2 989c9e"),
    header=TOWNS,
    header_ink=("202428", "303438"),
    dies=("mercosul", "mercosul", "mercosul", "wide", "round", "heavy"),
    logo=0.0,
    stack=0.0,
    vanity=0.0,
    letters="ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    band=(0.34, 0.9),
)

STYLES: tuple[tuple[Style, float], ...] = (
    (PRIVATE, 6.0),
    (
        replace(
            PRIVATE,
            name="brazil-hire",
            inks=("f0f0ec", "e4e0dc"),
            papers=("a04848 984040 903a3a", "b87070 b06868 a86060", "8c3030 842c2c 7c2828", "c49494 bc8c8c b48484"),
            header_ink=("e8e4e0",),
        ),
        5.0,
    ),
    (
        replace(
            PRIVATE,
            name="brazil-official",
            inks=("f0f0ec",),
            papers=("182028 182028 202830", "203c70 1c3868 183060"),
            header_ink=("e8e4e0",),
        ),
        0.7,
    ),
)

CAMERA = Camera(
    width_px=(140, 200),
    aspect=(1.95, 2.7),
    margin=(-0.02, 0.12),
    tilt_deg=4.0,
    shear=0.08,
    keystone=0.02,
    lights=(("day", 0.55), ("night", 0.25), ("ir", 0.2)),
    focus_blur=(0.0, 0.022),
    motion=0.15,
    sensor_width_px=(54, 130),
    noise=(0.0, 10.0),
    jpeg=(40, 95),
    cast=0.18,
)
