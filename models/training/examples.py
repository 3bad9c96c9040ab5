"""Fine-tuning examples: a JSONL file of {"image", "prompt", "answer"} and a folder of pictures, checked before anything is trained."""
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from config import Config
from locations import BINS, LOCATION, read_boxes
from tokens import Tokenizer

FIELDS = ("image", "prompt", "answer")
MARKER = re.compile(r"</?[a-z_]+\d*>")  # what looks like one of Florence-2's own tokens; <DocVQA> and the like are plain text
REGION = re.compile(r"(?:<loc_\d+>)+")
PROBLEMS_SHOWN = 20


class ExampleError(ValueError):
    """Everything that is wrong with a file of examples, a line each: file, line number, what."""


class Problem(ValueError):
    """What is wrong with one line."""


@dataclass(frozen=True)
class Example:
    image: Path
    prompt: list[int]
    answer: list[int]


def read_examples(file: Path, images: Path, tokenizer: Tokenizer, config: Config) -> list[Example]:
    """The examples of a file. Raises ExampleError with all mistakes at once."""
    examples, problems = [], []
    for number, line in enumerate(file.read_text(encoding="utf8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            examples.append(read_example(line, images, tokenizer, config))
        except Problem as problem:
            problems.append(f"{file}:{number}: {problem}")
    if not examples and not problems:
        problems.append(f"{file}:1: no examples")
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        raise ExampleError("\n".join(problems[:PROBLEMS_SHOWN] + ([f"and {more} more"] if more > 0 else [])))
    return examples


def read_example(line: str, images: Path, tokenizer: Tokenizer, config: Config) -> Example:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise Problem(f"not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(entry, dict) or sorted(entry) != sorted(FIELDS) or not all(isinstance(entry[name], str) for name in FIELDS):
        raise Problem(f"must be an object of three strings: {', '.join(FIELDS)}")
    for name in ("prompt", "answer"):
        check_markers(name, entry[name], tokenizer)
    check_regions(entry["prompt"])
    example = Example(find_image(images, entry["image"]), tokenizer.encode(entry["prompt"]), tokenizer.encode(entry["answer"]))
    check_length("prompt", len(example.prompt) + image_tokens(config), config)
    check_length("answer", len(example.answer), config)
    return example


def find_image(images: Path, name: str) -> Path:
    path = (images / name).resolve()
    if images.resolve() not in path.parents:
        raise Problem(f"image {name!r} is outside {images}")
    try:
        with Image.open(path) as picture:
            picture.verify()
    except FileNotFoundError as error:
        raise Problem(f"no image {path}") from error
    except (OSError, SyntaxError) as error:  # Pillow's verify reports a broken PNG as a SyntaxError
        raise Problem(f"image {path} cannot be read: {error}") from error
    return path


def check_markers(name: str, text: str, tokenizer: Tokenizer) -> None:
    for token in MARKER.findall(text):
        location = LOCATION.fullmatch(token)
        if location and token not in tokenizer.added:
            raise Problem(f"{name}: {token} is outside the image: locations go from <loc_0> to <loc_{BINS - 1}>")
        if token not in tokenizer.added:
            raise Problem(f"{name}: unknown token {token}")


def check_regions(prompt: str) -> None:
    """A region in a prompt is one box, its top-left corner first."""
    for run in REGION.findall(prompt):
        boxes = read_boxes(run)
        if len(LOCATION.findall(run)) != 4:
            raise Problem(f"prompt: region {run} must have four locations: x0, y0, x1, y1")
        x0, y0, x1, y1 = boxes[0]
        if x0 > x1 or y0 > y1:
            raise Problem(f"prompt: region {run} is inside out: its top-left corner comes first")


def check_length(name: str, length: int, config: Config) -> None:
    if length > config.text.max_position_embeddings:
        what = "tokens with the image's" if name == "prompt" else "tokens"
        raise Problem(f"{name}: {length} {what}, and the model takes {config.text.max_position_embeddings}")


def image_tokens(config: Config) -> int:
    """How many positions a picture takes in the encoder: its grid and the mean."""
    side = config.image_size
    for size, stride, padding in zip(config.vision.patch_size, config.vision.patch_stride, config.vision.patch_padding):
        side = (side + 2 * padding - size) // stride + 1
    return side * side + 1
