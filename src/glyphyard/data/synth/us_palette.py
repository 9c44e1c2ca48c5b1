"""Names, slogans, inks and papers that US plate styles share."""

from __future__ import annotations

_NAMES = (
    "ALABAMA ALASKA ARIZONA ARKANSAS CALIFORNIA COLORADO CONNECTICUT DELAWARE GEORGIA HAWAII IDAHO ILLINOIS INDIANA "
    "IOWA KANSAS KENTUCKY LOUISIANA MAINE MARYLAND MASSACHUSETTS MICHIGAN MINNESOTA MISSISSIPPI MISSOURI MONTANA "
    "NEBRASKA NEVADA OHIO OKLAHOMA OREGON PENNSYLVANIA TENNESSEE TEXAS UTAH VERMONT VIRGINIA WASHINGTON WISCONSIN "
    "WYOMING "
)
NAMES = tuple(_NAMES.split())
TITLES = tuple(name.title() for name in NAMES)
_SLOGANS = (
    "The Natural State|EVERGREEN STATE|Garden State|ALOHA STATE|THE SILVER STATE|Land of Lincoln|FAMOUS POTATOES|"
    "Great Lakes|Ocean State|America's Dairyland|Constitution State|SPORTSMANS PARADISE|EMPIRE STATE|"
    "VACATIONLAND|Land of Enchantment|10,000 lakes|LONE STAR STATE|LIFE ELEVATED|Wild and Wonderful|"
    "SHOW-ME STATE|www.state.gov|Peace Garden State|Green Mountain State|UNITED WE STAND|NATIVE AMERICA|"
    "Grand Canyon State|FIRST IN FLIGHT|?|?"
)
SLOGANS = tuple(_SLOGANS.split("|"))
_COUNTIES = (
    "POLK|LINN|SCOTT|KENTON|FAYETTE|JACKSON|DOUGLAS|COBB|HINDS|RANKIN|MADISON|KNOX|SHELBY|DAVIDSON|52 - Miami|"
    "29 - Hamilton|MARION|LAKE|CLARK|WASHINGTON|FRANKLIN|MONROE|GREENE|UNION|CLAY|WARREN"
)
COUNTIES = tuple(_COUNTIES.split("|"))

NAVY = ("1c2350", "1a2c6a", "203060", "141c48", "2840a0")
BLACK = ("14161a", "202428", "181818")
RED = ("a81c28", "b02830", "8c1820", "c03038")
GREEN = ("14603c", "1c6c50", "0e5038")
WHITE = ("f2f2ea", "e8e4d0", "f0e8a0")

COMMON = "ABCDEFGHJKLMNPRSTUVWXYZ" * 4 + "IQQQQQQ"
"""Letters of serials; few states issue I, and O is another name of zero here."""

PLAIN = ("f2f2ee f2f2ee f2f2ee", "e8e8e4 e4e4e0 dcdcd8", "f0ece0 eee8dc e8e0d0", "d4d8dc d4d8dc d0d4d8")
SKY = (
    "88b4e0 d0e2f2 f2f4f4", "5c90d0 c4daf0 f4f4f0", "b8d4ec e4eef4 b0cce8", "f0f4f8 d8e6f2 9cc0e4",
    "a8c8e8 a8c8e8 98b8dc",
)  # fmt: skip
WARM = (
    "f8e070 f4d858 f8b040", "e8c850 ecd478 f4ecc8", "f0a040 f4e0b0 e07040", "f4eec8 f0e0a0 e8d080",
    "e0b890 f0e0c8 d89870",
)  # fmt: skip
DUSK = (
    "5878b0 c8ccd8 e8a070", "303c68 a87868 e89050", "e04848 f0e4e4 3c5c98", "c83c50 f0f0f4 88a8d4",
    "90b0d0 e8e0c0 688858",
)  # fmt: skip
COOL = ("b8dcc8 e4f0e8 b0d4c0", "d0e8e0 f0f4f0 d8ece4", "c8c4dc ececf4 b8bcd8", "e4f0e0 c8e0c8 98c8a8")
DEEP = (
    "30a8c8 30a8c8 28a0c0", "2090b8 2090b8 2090b8", "203c88 203c88 203c88", "1c3060 1c3060 182850",
    "0c7040 0c7040 0a6038", "2080b0 2080b0 2080b0", "101010 101010 141414",
)  # fmt: skip
GOLD = ("f0b020 f0b020 e8a418", "e8c848 e8c040 e0b430")
