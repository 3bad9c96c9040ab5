"""The domain of florence-2-nano: 32 kinds of things, printed words, and the fonts both come from."""
from __future__ import annotations

import glob

# The Noto Color Emoji glyph of each category.
CATEGORIES = {
    "apple": "🍎", "banana": "🍌", "car": "🚗", "bus": "🚌", "bicycle": "🚲", "airplane": "✈️", "boat": "⛵",
    "tree": "🌳", "flower": "🌻", "cat": "🐈", "dog": "🐕", "bird": "🐦", "fish": "🐟", "horse": "🐎", "cow": "🐄",
    "sheep": "🐑", "elephant": "🐘", "house": "🏠", "clock": "🕐", "chair": "🪑", "cup": "☕", "pizza": "🍕",
    "cake": "🎂", "ball": "⚽", "umbrella": "☂️", "book": "📕", "key": "🔑", "guitar": "🎸", "camera": "📷",
    "laptop": "💻", "phone": "📱", "star": "⭐",
}
IRREGULAR_PLURALS = {"bus": "buses", "fish": "fish", "sheep": "sheep"}
WORDS = (
    "STOP OPEN EXIT SALE HELP TAXI CAFE BANK ZOO PARK FREE HOT COLD FAST SLOW LEFT RIGHT NORTH SOUTH EAST WEST "
    "MILK BREAD FISH TEA HOTEL BUS TRAIN SHOP PIZZA BAR GYM POST FIRE WET PAINT DANGER ROOM KEYS MAP NEWS MENU"
).split()

EMOJI_FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
WORD_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans*.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSerif*.ttf",
    "/usr/share/fonts/truetype/liberation/*.ttf",
)


def plural(name: str) -> str:
    """The plural of a category's name."""
    return IRREGULAR_PLURALS.get(name, name + "s")


def word_fonts() -> list[str]:
    """Paths of the fonts that words are printed in, sorted: the same packages give the same scenes."""
    paths = sorted(path for pattern in WORD_FONTS for path in glob.glob(pattern))
    paths = [path for path in paths if not any(style in path for style in ("Mono", "ExtraLight", "Math"))]
    if not paths:
        raise FileNotFoundError("No fonts to print words in. Install Debian's fonts-dejavu-core and fonts-liberation.")
    return paths
