"""Plate texts: serials by pattern and words that people pay for."""

from __future__ import annotations

from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.style import Plan, Style

GAPS = " -.*"

_WORDS = (
    "ACE ALOHA ANGEL APPLE ARTIST AWESOME BABY BANJO BEACH BEAR BIKER BIRD BLISS BLUE BOAT BOOKS BOSS BRAVO BUGGY "
    "BUNNY CABIN CAMPER CANDY CAPTAIN CAT CHEF CLASSY COACH COFFEE COOKIE COOL COWBOY CRAZY CREEK DADDY DAISY DANCER "
    "DESERT DIVER DOCTOR DOG DOLPHIN DREAM DRIVER DUCK EAGLE EARTH ENGINE ESCAPE FAITH FARMER FAST FISHER FLYER "
    "FOREST FOXY FREEDOM FUN GAMER GARDEN GATOR GENIUS GIRL GLORY GOLD GOLFER GRACE GRAMPS GUITAR GYM HAPPY HARLEY "
    "HAWK HEAVEN HERO HIKER HOCKEY HONEY HORSE HUNTER ICE ISLAND JAZZ JEEP JOKER JOY JUDGE JUNGLE KARMA KAYAK KEYS "
    "KING KITTY LADY LAKE LAWYER LEGEND LIBERTY LION LIVE LOVE LUCKY LUNA MAGIC MAMA MAJOR MERCY METAL MIDWAY MOM "
    "MONKEY MOON MOTHER MOUSE MUSIC MYTOY NAVY NINJA NURSE OCEAN OUTLAW PARTY PEACE PILOT PIRATE PIZZA PLAYER POET "
    "POLICE PONY PRINCE QUEEN QUEST QUICK QUILT RACER RADIO RANGER REBEL RIDER RIVER ROCKET ROSE ROYAL RUNNER SAILOR "
    "SALSA SHADOW SHARK SKATE SKIER SMILE SNOW SOCCER SONIC SPEED SPIRIT STAR STORM SUNNY SURFER SWEET SWIMMER TANGO "
    "TEACHER TENNIS TEXAN TIGER TOYS TRAVEL TRUCKER TRUMPET TURBO TURTLE TWINS UNCLE UNIQUE VEGAN VIOLIN VIPER WAGON "
    "WARRIOR WAVES WHALE WILD WINNER WIZARD WOLF XRAY YACHT YANKEE YOGI ZEBRA ZENITH ZIPPY ZOOM "
)
WORDS = tuple(_WORDS.split())
LEET = {"I": "1", "E": "3", "A": "4", "S": "5", "T": "7", "B": "8", "G": "6"}
_PIECES = "4U 2C GR8 L8 B4 1 2 4 8 99 01 76 XX R S N MY IM I GO"
PIECES = tuple(_PIECES.split())
_ONSETS = "B C D F G H J K L M N P Q R S T V W X Y Z BR CH CR DR FL GR KR PL SH SK ST TH TR ZH"
ONSETS = tuple(_ONSETS.split())
_VOWELS = "A E I O U Y A E I O U AI EE OO OU"
VOWELS = tuple(_VOWELS.split())
_CODAS = "B D G K L M N P R S T X Z CK LL NG RK SH ST TZ"
CODAS = (*_CODAS.split(), *("",) * 12)  # most syllables end in their vowel
LONGEST_COINED = 8


def plan_for(style: Style, dice: Dice, text: str | None) -> Plan:
    """Draw what a plate of `style` says; an explicit `text` takes the marks of a pattern that fits it."""
    if text is not None:
        return _fit(style, dice, text)
    if dice.chance(style.vanity):
        return _vanity(style, dice)
    pattern = dice.weighted(style.patterns)
    kinds, marks = read_pattern(pattern)
    return Plan(style, "".join(_draw(kind, style, dice) for kind in kinds), marks, pattern)


def read_pattern(pattern: str) -> tuple[str, tuple[str, ...]]:
    """Return the kind of each character (L, D, #, or itself) and the mark that follows it ('' for none)."""
    kinds, marks = "", list[str]()
    for kind in pattern:
        if kind in GAPS:
            marks[-1] = kind
        else:
            kinds += kind
            marks.append("")
    return kinds, tuple(marks)


def _draw(kind: str, style: Style, dice: Dice) -> str:
    if kind == "L":
        return dice.pick(style.letters)
    if kind == "D":
        return dice.pick("0123456789")
    return dice.pick("123456789") if kind == "#" else kind


def _shape(text: str) -> str:
    """Return D for each digit, L for each letter."""
    return "".join("D" if char.isdigit() else "L" for char in text)


def _kind_shape(kinds: str) -> str:
    """Return the shape of the texts that a pattern's kinds give."""
    return "".join(kind if kind in "LD" else "D" if kind in "#0123456789" else "L" for kind in kinds)


def _fit(style: Style, dice: Dice, text: str) -> Plan:
    shape = _shape(text)
    for pattern, _ in style.patterns:
        kinds, fitting = read_pattern(pattern)
        if _kind_shape(kinds) == shape:
            return Plan(style, text, fitting, pattern)
    marks = [""] * len(text)
    turns = [k for k in range(len(text) - 1) if shape[k] != shape[k + 1]]
    if turns and dice.chance(0.6):
        marks[dice.pick(turns)] = dice.pick(" -.")
    return Plan(style, text, tuple(marks), "EXPLICIT")


def _vanity(style: Style, dice: Dice) -> Plan:
    if style.coined and dice.chance(style.coined):
        return _spaced(style, dice, _coined(dice))
    roll = dice.random()
    if roll < 0.4:
        text = dice.pick(WORDS)
    elif roll < 0.6:
        text = dice.pick(WORDS)[: dice.whole(2, 5)] + dice.pick(PIECES)
    elif roll < 0.7:
        text = dice.pick(PIECES) + dice.pick(WORDS)[: dice.whole(3, 5)]
    elif roll < 0.85:
        text = "".join(LEET.get(char, char) if dice.chance(0.4) else char for char in dice.pick(WORDS))
    else:
        text = "".join(dice.pick(style.letters + "AEOUY0123456789") for _ in range(dice.whole(3, 7)))
    return _spaced(style, dice, text[:7] if style.vanity_o else text[:7].replace("O", "U"))


def _coined(dice: Dice) -> str:
    """Draw what no dictionary holds: words run together with vowels left out, or syllables that name something."""
    if dice.chance(0.5):
        words = dice.pick(WORDS)
        words += dice.pick(WORDS) if len(words) < 6 or dice.chance(0.3) else ""
        text = words[0] + "".join(char for char in words[1:] if char not in "AEIOU" or dice.chance(0.3))
        text = text if len(text) > 2 else words
    else:
        syllables = range(dice.whole(2, 4))
        text = "".join(dice.pick(ONSETS) + dice.pick(VOWELS) + dice.pick(CODAS) for _ in syllables)
    if dice.chance(0.3):
        text = "".join(LEET.get(char, char) if dice.chance(0.5) else char for char in text)
    return text[: dice.whole(4, LONGEST_COINED)]


def _spaced(style: Style, dice: Dice, text: str) -> Plan:
    marks = [""] * len(text)
    if len(text) > 3 and dice.chance(0.35):
        marks[dice.whole(0, len(text) - 2)] = dice.pick("   -.*")
    return Plan(style, text, tuple(marks), "VANITY")
