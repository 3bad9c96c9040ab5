"""Makes the demonstration pictures and their ground truth; the same fonts give the same pictures.

    python3 make_samples.py --out ../samples

They belong to the training domain (at most three things and two words, the same sprites, fonts and kinds of background)
but are composed by hand, and larger.
"""
from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from catalogue import word_fonts
from scenes import LARGE_FROM, Scene, Thing, Word, load_font, paste_thing, print_word
from sprites import render_glyph
from tasks import caption
from truth import scene_truth

JPEG_QUALITY = 88
GRAIN = 1.5  # standard deviation of the noise; it also keeps soft gradients from banding

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class PlacedThing:
    category: str
    edge: float  # longer edge, as a share of the picture's shorter edge
    centre: tuple[float, float]  # as shares of width and height
    mirrored: bool = False


@dataclass(frozen=True)
class PlacedWord:
    text: str
    font: str
    height: float  # font size, as a share of the picture's shorter edge
    centre: tuple[float, float]
    ink: Colour


@dataclass(frozen=True)
class Composition:
    size: tuple[int, int]
    background: list[list[Colour]]  # a coarse grid of colours, blended softly; `striped` keeps its edges
    things: list[PlacedThing]
    words: list[PlacedWord]
    striped: bool = False


COMPOSITIONS = {
    "harbour": Composition(
        (840, 600), [[(164, 208, 232)], [(198, 226, 238)], [(94, 160, 198)]],
        [PlacedThing("boat", 0.58, (0.38, 0.60)),
         PlacedThing("bird", 0.27, (0.74, 0.30)),
         PlacedThing("fish", 0.29, (0.87, 0.76), mirrored=True)],
        [PlacedWord("HOTEL", "DejaVuSans-Bold", 0.15, (0.38, 0.13), (24, 52, 64)),
         PlacedWord("27", "DejaVuSerif-Bold", 0.17, (0.10, 0.86), (16, 40, 60))]),
    "breakfast": Composition(
        (800, 600), [[(246, 226, 196), (240, 208, 176)], [(250, 236, 214), (236, 196, 170)]],
        [PlacedThing("cup", 0.46, (0.23, 0.62)),
         PlacedThing("cake", 0.50, (0.56, 0.60)),
         PlacedThing("apple", 0.30, (0.86, 0.74))],
        [PlacedWord("MENU", "LiberationSerif-Bold", 0.20, (0.31, 0.17), (68, 36, 24)),
         PlacedWord("TEA", "DejaVuSerif-Bold", 0.15, (0.84, 0.24), (60, 44, 30))]),
    "station": Composition(
        (800, 640), [[(58, 70, 108), (84, 92, 134)], [(40, 48, 82), (62, 68, 104)]],
        [PlacedThing("bus", 0.58, (0.30, 0.62)),
         PlacedThing("umbrella", 0.36, (0.72, 0.74)),
         PlacedThing("clock", 0.34, (0.84, 0.28))],
        [PlacedWord("TRAIN", "LiberationSans-Bold", 0.19, (0.33, 0.17), (250, 240, 205))]),
    "desk": Composition(
        (720, 720), [[(214, 196, 226)], [(226, 210, 236)]] * 4,
        [PlacedThing("laptop", 0.55, (0.34, 0.55)),
         PlacedThing("camera", 0.30, (0.76, 0.37)),
         PlacedThing("book", 0.36, (0.82, 0.76))],
        [PlacedWord("NEWS", "DejaVuSans-Bold", 0.17, (0.35, 0.15), (54, 30, 66)),
         PlacedWord("42", "LiberationSans-Bold", 0.15, (0.20, 0.89), (60, 38, 68))],
        striped=True),
    "park": Composition(
        (660, 880), [[(196, 228, 236), (214, 236, 228)], [(186, 220, 176), (158, 206, 146)], [(150, 198, 128), (128, 184, 112)]],
        [PlacedThing("tree", 0.60, (0.34, 0.42)),
         PlacedThing("dog", 0.46, (0.62, 0.81), mirrored=True),
         PlacedThing("ball", 0.25, (0.17, 0.86))],
        [PlacedWord("PARK", "DejaVuSerif-Bold", 0.20, (0.50, 0.10), (20, 58, 42)),
         PlacedWord("FREE", "DejaVuSans", 0.14, (0.79, 0.55), (26, 62, 30))]),
    "farm": Composition(
        (840, 630), [[(252, 214, 170), (248, 190, 160)], [(244, 222, 160), (226, 208, 140)]],
        [PlacedThing("sheep", 0.36, (0.16, 0.76)),
         PlacedThing("sheep", 0.45, (0.48, 0.70), mirrored=True),
         PlacedThing("house", 0.48, (0.80, 0.47))],
        [PlacedWord("MILK", "LiberationSans-Bold", 0.20, (0.27, 0.19), (66, 44, 20))]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    samples = []
    for name, composition in COMPOSITIONS.items():
        scene = compose(composition, np.random.default_rng(0))
        file = f"{name}.jpg"
        Image.fromarray(scene.image).save(out / file, "JPEG", quality=JPEG_QUALITY, optimize=True)
        samples.append({"file": file, "caption": caption(scene), **scene_truth(scene)})
    (out / "samples.json").write_text(json.dumps(samples, indent=1) + "\n")


def compose(composition: Composition, rng: np.random.Generator) -> Scene:
    """Draws a composition at full resolution."""
    canvas = paint(composition, rng)
    things = [place_thing(canvas, thing) for thing in composition.things]
    words = [place_word(canvas, word) for word in composition.words]
    things.sort(key=lambda thing: thing.box[0] + thing.box[2])
    words.sort(key=lambda word: (word.quad[0][1], word.quad[0][0]))
    return Scene(np.asarray(canvas), things, words)


def paint(composition: Composition, rng: np.random.Generator) -> Image.Image:
    width, height = composition.size
    grid = Image.fromarray(np.array(composition.background, np.uint8))
    image = np.asarray(grid.resize(composition.size, Image.NEAREST if composition.striped else Image.BICUBIC), np.float32)
    grain = rng.standard_normal((height, width, 1)) * GRAIN
    return Image.fromarray(np.clip(image + grain, 0, 255).astype(np.uint8))


def place_thing(canvas: Image.Image, placed: PlacedThing) -> Thing:
    glyph = bright(render_glyph(placed.category))
    scale = placed.edge * min(canvas.size) / max(glyph.size)
    sprite = glyph.resize((round(glyph.width * scale), round(glyph.height * scale)), Image.LANCZOS)
    if placed.mirrored:
        sprite = sprite.transpose(Image.FLIP_LEFT_RIGHT)
    corner = centred(canvas, placed.centre, sprite.size)
    return paste_thing(canvas, sprite, corner, placed.category, "large" if placed.edge > LARGE_FROM else "small")


def bright(glyph: Image.Image) -> Image.Image:
    """Pillow draws a glyph with its colours multiplied by alpha, which leaves a dark seam. It cannot be seen in small
    sprites, which are used as drawn; in large pictures it is undone."""
    return Image.frombytes("RGBa", glyph.size, glyph.tobytes()).convert("RGBA")


def place_word(canvas: Image.Image, placed: PlacedWord) -> Word:
    path = next(path for path in word_fonts() if Path(path).stem == placed.font)
    font = load_font(path, round(placed.height * min(canvas.size)))
    left, top, right, bottom = font.getbbox(placed.text)
    corner = centred(canvas, placed.centre, (right - left, bottom - top))
    return print_word(canvas, placed.text, corner, font, placed.ink)


def centred(canvas: Image.Image, centre: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
    """Top-left corner of something of `size` around `centre`."""
    return round(centre[0] * canvas.width - size[0] / 2), round(centre[1] * canvas.height - size[1] / 2)


if __name__ == "__main__":
    main()
