"""Pictures of the categories, rendered from the Noto Color Emoji font (SIL Open Font License 1.1).

    python3 sprites.py        # renders sprites.npz anew

sprites.npz is kept beside this file, so that scenes do not change with the version of the font that is installed.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from catalogue import CATEGORIES, EMOJI_FONT

SPRITES = Path(__file__).with_name("sprites.npz")
GLYPH_PX = 109  # the only size the font holds; its bitmaps are 136 x 128
SPRITE_EDGE_MAX = 96


def load_sprites() -> dict[str, Image.Image]:
    """RGBA pictures by category, trimmed to their visible pixels, the longer edge at most 96 px."""
    with np.load(SPRITES) as arrays:
        return {name: Image.fromarray(arrays[name]) for name in CATEGORIES}


def render_glyph(name: str) -> Image.Image:
    """The category's RGBA glyph in the font's own resolution, trimmed to its visible pixels."""
    font = ImageFont.truetype(EMOJI_FONT, GLYPH_PX)
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((10, 10), CATEGORIES[name], font=font, embedded_color=True)
    return canvas.crop(canvas.getchannel("A").getbbox())


def main() -> None:
    sprites = {}
    for name in CATEGORIES:
        glyph = render_glyph(name)
        glyph.thumbnail((SPRITE_EDGE_MAX, SPRITE_EDGE_MAX), Image.LANCZOS)
        sprites[name] = np.asarray(glyph)
    np.savez_compressed(SPRITES, **sprites)


if __name__ == "__main__":
    main()
