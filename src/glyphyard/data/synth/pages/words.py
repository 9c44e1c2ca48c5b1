# ruff: noqa: SIM905 - lists of words read better as prose
"""What the pages say: plain words, names, dates and sums; enough that a page looks written, no more."""

from __future__ import annotations

from glyphyard.data.synth.dice import Dice

WORDS = (
    "the of and to in is that it was for on are with as his they at be this from have or by one had not but what all were when "
    "we there can an your which their said if do will each about how up out them then she many some so these would other into "
    "has more her two like him see time could no make than first been its who now people my made over did down only way find "
    "use may water long little very after words called just where most know get through back much before go good new write our "
    "used me man too any day same right look think also around another came come work three word must because does part even "
    "place well such here take why things help put years different away again off went old number great tell men say small "
    "every found still between name should home big give air line set own under read last never us left end along while might "
    "next sound below saw something thought both few those always looked show large often together asked house world going want "
    "school important until form food keep children feet land side without boy once animal life enough took sometimes four head "
    "above kind began almost live page got earth need far hand high year mother light country father let night following picture "
    "being study second soon story since white ever paper hard near sentence better best across during today however sure knew "
    "it's try told young sun thing whole hear example heard several change answer room sea against top turned learn point city "
    "play toward five using himself usually money seen didn't car morning I'm body upon family later turn move face door cut "
    "done group true half red fish plants dear friend letter garden winter harbour village evening yesterday tomorrow quietly "
    "weather station journey remember promise gentle autumn window kitchen neighbour meeting quarter signed received delivered"
).split()
NAMES = (
    "Anna Bauer,Johann Keller,Maria Lopez,Peter Novak,Emily Carter,Thomas Wright,Ingrid Larsen,George Hall,Clara Fischer,"
    "Hugo Martin,Olga Petrova,David King,Lena Vogel,Samuel Price,Nina Rossi,Oscar Lind,Ruth Abel,Walter Young,Elsa Brandt,Jack Quinn"
).split(",")
PLACES = "Hamburg,Leeds,Porto,Vienna,Tampa,Lyon,Oslo,Bern,Exeter,Ghent,Krakow,Boston,Zadar,Uppsala,Queens,Jena".split(",")
GOODS = "oak boards,nails,copper wire,paint,rope,lamp oil,glass,timber,screws,canvas,bricks,sand,flour,salt,coal,paper,tin,cloth".split(
    ","
)
LABELS = "Name,First name,Date,Address,Telephone,City,Order no.,Reason,Signature,Amount,Remarks,Department,Received by,Date of birth,Account,Place".split(
    ","
)
TITLES = "INVOICE,APPLICATION FORM,Delivery note,MINUTES OF THE MEETING,Medical report,RECEIPT,Registration,Inspection protocol,Order form,Time sheet".split(
    ","
)


def sentence(dice: Dice, letters: int) -> str:
    """Return words of about `letters` letters in all, at least one word."""
    words = [dice.pick(WORDS)]
    while sum(map(len, words)) + len(words) < letters:
        word = dice.pick(WORDS)
        if dice.chance(0.06):
            word = word.capitalize()
        if dice.chance(0.08):
            word += dice.pick(",.,.!?")
        words.append(word)
    if dice.chance(0.4):
        words[0] = words[0].capitalize()
    return " ".join(words)


def value(dice: Dice, label: str = "") -> str:
    """Return what a person writes into a field of a form."""
    if "ame" in label or "by" in label:
        return dice.pick(NAMES)
    if "ate" in label:
        return date(dice)
    if label in ("City", "Place"):
        return dice.pick(PLACES)
    if label in ("Amount", "Account", "Telephone", "Order no."):
        return number(dice, label)
    return sentence(dice, dice.whole(8, 26))


def date(dice: Dice) -> str:
    """Return a date in one of the ways that people write it."""
    day, month, year = dice.whole(1, 28), dice.whole(1, 12), dice.whole(1920, 2026)
    return dice.pick((f"{day}.{month}.{year}", f"{day}/{month}/{year % 100:02d}", f"{year}-{month:02d}-{day:02d}"))


def number(dice: Dice, label: str = "Amount") -> str:
    """Return a sum of money, or digits."""
    if label == "Amount":
        return f"{dice.whole(1, 4999)}.{dice.whole(0, 99):02d}"
    return " ".join(str(dice.whole(100, 9999)) for _ in range(dice.whole(1, 3)))
