"""Florida: orange in the middle, green print, county or slogan below; toll cameras see it by day, night and IR.

Florida issues no letter O, so neither serials nor words of this family hold one.
"""

from __future__ import annotations

from dataclasses import replace

from glyphyard.data.synth.camera import Camera
from glyphyard.data.synth.style import Style

_COUNTIES = (
    "ALACHUA BAKER BAY BRADFORD BREVARD BROWARD CITRUS CLAY COLLIER COLUMBIA DESOTO DUVAL ESCAMBIA FLAGLER GADSDEN "
    "HARDEE HERNANDO HIGHLANDS HILLSBOROUGH JACKSON LAKE LEE LEON LEVY MANATEE MARION MARTIN MIAMI-DADE MONROE NASSAU "
    "OKALOOSA ORANGE OSCEOLA PASCO PINELLAS POLK PUTNAM SARASOTA SEMINOLE SUMTER TAYLOR VOLUSIA WAKULLA WALTON "
)
COUNTIES = tuple(_COUNTIES.split())
SLOGANS = ("SUNSHINE STATE", "SUNSHINE STATE", "IN GOD WE TRUST")

STANDARD = Style(
    name="florida",
    patterns=(
        ("LLL*LDD", 4), ("LLLL*DD", 3), ("LLL*DDD", 3), ("DDD*LLL", 3), ("LDD*DLL", 2), ("DDD*DLL", 2), ("LLD*DLL", 2),
        ("DDL*LLL", 2), ("LDDD*LL", 1), ("DDLL*LL", 1), ("LL*LLDD", 1),
    ),
    inks=("0e5a3c", "14603c", "1b6b46", "0c4a34"),
    papers=("f4f6f0 f2f4ee f0f2ea", "f6f8f2 eef6ea d8ecd0", "cfe6d2 f2f6ee f4f6f0", "f0f0ea f2f2ec e8e8e0"),
    header=("FLORIDA", "FLORIDA", "MYFLORIDA.COM", "Florida"),
    footer=SLOGANS + COUNTIES[::3],
    header_ink=("0e5a3c", "1b6b46", "c83820"),
    footer_ink=("0e5a3c", "1b6b46"),
    dies=("florida", "florida", "florida", "tall", "face"),
    art=("?", "?", "?", "shapes", "waves"),
    emblem=("orange",),
    stickers="2",
    logo=0.0,
    stack=0.02,
    vanity=0.06,
    letters="ABCDEFGHIJKLMNPQRSTUVWXYZ",
    vanity_o=False,
    band=(0.27, 0.77),
)  # fmt: skip

STYLES: tuple[tuple[Style, float], ...] = (
    (STANDARD, 6.0),
    (replace(STANDARD, name="florida-county", footer=COUNTIES), 4.0),
    (
        replace(
            STANDARD,
            name="florida-specialty",
            patterns=(("DDLLL", 2), ("LLDDL", 2), ("LDDLL", 1), ("LLLDD", 2), ("DDDLL", 1), ("LLDDD", 1)),
            inks=("14603c", "1a2c60", "101418", "7a1c28"),
            papers=("f2f4f0 eef2ee e8eef0", "8cc8e8 d8eef4 f4e8c8", "f8e8b8 f4f0e0 e8f0f0", "d0e8d0 f0f0e8 c8e0f0"),
            footer=("PROTECT THE PANTHER", "SAVE THE MANATEE", "UNIVERSITY", "SEA TURTLE", "ENDLESS SUMMER", "GATOR"),
            header_ink=("14603c", "1a2c60", "c83820"),
            art=("?", "shapes", "waves", "foot_hills", "rays"),
            logo=0.95,
        ),
        2.0,
    ),
    (
        replace(
            STANDARD,
            name="florida-toll",
            patterns=(("LLLDDL", 1), ("DDDDLL", 1), ("LDDDDL", 1), ("LDDDLL", 1)),
            footer=("RENTAL", "LEASE", "TRUCK", "DEALER", "SUNSHINE STATE"),
            emblem=("orange", "blob"),
        ),
        1.0,
    ),
)

CAMERA = Camera(
    width_px=(80, 240),
    aspect=(1.8, 2.3),
    margin=(-0.03, 0.08),
    tilt_deg=3.5,
    shear=0.05,
    keystone=0.02,
    lights=(("day", 0.6), ("night", 0.22), ("ir", 0.18)),
    weathers=(("clear", 0.6), ("dirt", 0.14), ("shade", 0.15), ("rain", 0.11)),
    focus_blur=(0.0, 0.015),
    motion=0.18,
    glare=0.1,
    sensor_width_px=(56, 220),
    noise=(0.0, 12.0),
    jpeg=(30, 95),
)
