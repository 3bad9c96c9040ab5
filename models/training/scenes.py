"""Synthetic scenes: emoji things and printed words on varied backgrounds.

A scene is a picture plus everything that is true about it (categories, boxes, polygons, words, quads), so that every
Florence-2 task can be derived from it exactly.
"""
from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from catalogue import WORDS, word_fonts
from geometry import Box, Point, iou, outline
from sprites import load_sprites

LARGE_FROM = 0.42  # a thing is large where its longer edge is more than this share of the picture's shorter edge
PLACE_TRIES = 12


@dataclass(frozen=True)
class Thing:
    category: str
    box: Box
    polygon: list[Point]  # clockwise from the top
    size: str  # small | large


@dataclass(frozen=True)
class Word:
    text: str
    quad: list[Point]  # clockwise from the text's own top-left corner

    @property
    def box(self) -> Box:
        return (*self.quad[0], *self.quad[2])


@dataclass(frozen=True)
class Scene:
    image: np.ndarray  # (H, W, 3) uint8
    things: list[Thing] = field(default_factory=list)  # from left to right
    words: list[Word] = field(default_factory=list)  # from top to bottom

    @property
    def width(self) -> int:
        return self.image.shape[1]

    @property
    def height(self) -> int:
        return self.image.shape[0]


class SceneMaker:
    """Draws scenes from a random generator: the same seed gives the same scene.

    `canvas` holds the bounds of the longer edge in pixels; the aspect ratio goes from 0.70 to 1.42.
    """

    def __init__(self, max_things: int = 3, max_words: int = 2, canvas: tuple[int, int] = (112, 288)):
        self.max_things, self.max_words, self.canvas = max_things, max_words, canvas
        self.sprites = load_sprites()
        self.names = list(self.sprites)
        self.fonts = word_fonts()

    def squeezed(self, rng: np.random.Generator, size: int) -> Scene:
        """A scene as the model gets to see it: sometimes saved as JPEG, resized to size x size, aspect ratio lost."""
        scene = self.draw(rng)
        picture = Image.fromarray(scene.image)
        if rng.random() < 0.4:
            picture = jpeg(picture, quality=int(rng.integers(60, 96)))
        return squeeze(replace(scene, image=np.asarray(picture)), size)

    def draw(self, rng: np.random.Generator) -> Scene:
        """A scene on a canvas of its own width and height, a photograph's shape."""
        canvas = self._canvas(rng)
        taken: list[Box] = []
        things, words = [], []
        count = int(rng.integers(0 if self.max_words and rng.random() < 0.15 else 1, self.max_things + 1))
        favourite = self.names[int(rng.choice(len(self.names), size=2)[0])]  # drawn more often, so that some scenes hold twins
        for _ in range(count):
            name = favourite if rng.random() < 0.3 else self.names[int(rng.integers(len(self.names)))]
            if thing := self._thing(rng, canvas, name, taken):
                things.append(thing)
        for _ in range(int(rng.integers(0 if things else 1, self.max_words + 1))):
            if word := self._word(rng, canvas, taken):
                words.append(word)
        things.sort(key=lambda thing: thing.box[0] + thing.box[2])
        words.sort(key=lambda word: (word.quad[0][1], word.quad[0][0]))
        return Scene(np.asarray(canvas), things, words)

    def _canvas(self, rng: np.random.Generator) -> Image.Image:
        side = int(rng.integers(*self.canvas))
        aspect = float(np.exp(rng.uniform(-0.35, 0.35)))
        width, height = (side, max(32, round(side / aspect))) if aspect >= 1 else (max(32, round(side * aspect)), side)
        return Image.fromarray(background(rng, width, height))

    def _thing(self, rng: np.random.Generator, canvas: Image.Image, name: str, taken: list[Box]) -> Thing | None:
        sprite = self.sprites[name]
        for _ in range(PLACE_TRIES):
            edge = rng.uniform(0.24, 0.6)
            scale = edge * min(canvas.size) / max(sprite.size)
            w, h = max(6, round(sprite.width * scale)), max(6, round(sprite.height * scale))
            x, y = int(rng.integers(0, canvas.width - w + 1)), int(rng.integers(0, canvas.height - h + 1))
            box = (x, y, x + w, y + h)
            if all(iou(box, other) < 0.05 for other in taken):
                break
        else:
            return None
        taken.append(box)
        sprite = sprite.resize((w, h), Image.BICUBIC)
        if rng.random() < 0.5:
            sprite = sprite.transpose(Image.FLIP_LEFT_RIGHT)
        return paste_thing(canvas, sprite, (x, y), name, "large" if edge > LARGE_FROM else "small")

    def _word(self, rng: np.random.Generator, canvas: Image.Image, taken: list[Box]) -> Word | None:
        text = WORDS[int(rng.integers(len(WORDS)))] if rng.random() < 0.7 else str(int(rng.integers(1, 100)))
        path = self.fonts[int(rng.integers(len(self.fonts)))]
        for _ in range(PLACE_TRIES):
            font = load_font(path, int(rng.uniform(0.12, 0.24) * min(canvas.size)))
            left, top, right, bottom = font.getbbox(text)
            w, h = right - left, bottom - top
            if w >= canvas.width - 2:
                continue
            x, y = int(rng.integers(0, canvas.width - w)), int(rng.integers(0, canvas.height - h))
            box = (x - 2, y - 2, x + w + 2, y + h + 2)
            if all(iou(box, other) == 0 for other in taken):
                break
        else:
            return None
        taken.append(box)
        under = float(np.asarray(canvas.crop((x, y, x + w, y + h)).convert("L")).mean())
        ink = rng.integers(0, 70, 3) if under > 127 else rng.integers(185, 256, 3)
        return print_word(canvas, text, (x, y), font, tuple(int(value) for value in ink))


def paste_thing(canvas: Image.Image, sprite: Image.Image, corner: tuple[int, int], category: str, size: str) -> Thing:
    """Puts an RGBA sprite on the canvas, its top-left corner at `corner`."""
    x, y = corner
    canvas.paste(sprite.convert("RGB"), corner, sprite.getchannel("A"))
    polygon = [(min(max(px + x, 0.0), canvas.width), min(max(py + y, 0.0), canvas.height))
               for px, py in outline(np.asarray(sprite.getchannel("A")))]
    return Thing(category, (x, y, x + sprite.width, y + sprite.height), polygon, size)


def print_word(canvas: Image.Image, text: str, corner: tuple[int, int], font: ImageFont.FreeTypeFont, ink: tuple[int, ...]) -> Word:
    """Prints a word, the top-left corner of its ink at `corner`."""
    left, top, right, bottom = font.getbbox(text)
    (x, y), w, h = corner, right - left, bottom - top
    ImageDraw.Draw(canvas).text((x - left, y - top), text, font=font, fill=ink)
    return Word(text, [(x, y), (x + w, y), (x + w, y + h), (x, y + h)])


@lru_cache(maxsize=4096)
def load_font(path: str, px: int) -> ImageFont.FreeTypeFont:
    """A font at a size; fonts are slow to open and the same sizes come up again and again."""
    return ImageFont.truetype(path, px)


def background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: a flat colour, a gradient, stripes, blocks or soft clouds, with noise."""
    a, b = rng.integers(0, 256, (2, 3))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width, y / height
    kind = rng.integers(0, 5)
    if kind == 0:
        t = np.zeros((height, width), np.float32)
    elif kind == 1:
        theta = rng.uniform(0, 2 * math.pi)
        t = (x * math.cos(theta) + y * math.sin(theta) + 1) / 2
    elif kind == 2:
        t = np.floor((x if rng.random() < 0.5 else y) * rng.integers(2, 9)) % 2
    else:
        cells = int(rng.integers(2, 6))
        coarse = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
        t = np.asarray(coarse.resize((width, height), Image.NEAREST if kind == 3 else Image.BICUBIC), np.float32) / 255
    image = a + (b - a) * t[..., None] * rng.uniform(0.2, 0.7)
    noise = rng.standard_normal((height, width, 1), np.float32) * rng.uniform(0, 10)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """The picture as it comes back from a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def squeeze(scene: Scene, size: int) -> Scene:
    """The scene resized to size x size as the engine resizes: bicubic, without keeping the aspect ratio."""
    sx, sy = size / scene.width, size / scene.height

    def move(points: list[Point]) -> list[Point]:
        return [(x * sx, y * sy) for x, y in points]

    def move_thing(thing: Thing) -> Thing:
        x0, y0, x1, y1 = thing.box
        return replace(thing, box=(x0 * sx, y0 * sy, x1 * sx, y1 * sy), polygon=move(thing.polygon))

    picture = Image.fromarray(scene.image).resize((size, size), Image.BICUBIC)
    return Scene(np.asarray(picture), [move_thing(thing) for thing in scene.things],
                 [replace(word, quad=move(word.quad)) for word in scene.words])
