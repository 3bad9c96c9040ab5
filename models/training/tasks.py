"""The Florence-2 tasks as questions about a scene: a prompt and the one right answer.

Prompts are the sentences that Florence-2 was trained with. A task is a function that picks what it asks about with the
question's random generator; it returns None where the scene has nothing to ask about.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, NamedTuple

import numpy as np

from captions import (NUMBERS, article, by_category, caption, counted, describe, detailed_caption, more_detailed_caption, refer_to,
                      words_phrase)
from catalogue import CATEGORIES, plural
from geometry import Box, Point
from locations import box_tokens, point_tokens
from scenes import Scene, Thing, Word


class Question(NamedTuple):
    prompt: str
    answer: str


@dataclass(frozen=True)
class Subject:
    """A scene, and the thing and the word of it that a question may be about."""
    scene: Scene
    thing: Thing | None
    word: Word | None
    rng: np.random.Generator

    def box(self, box: Box) -> str:
        return box_tokens(box, self.scene.width, self.scene.height)

    def points(self, points: list[Point]) -> str:
        return point_tokens(points, self.scene.width, self.scene.height)

    def boxes(self, things: list[Thing]) -> str:
        return "".join(self.box(thing.box) for thing in things)


def ask(scene: Scene, task: str, rng: np.random.Generator) -> Question | None:
    """A question of one task about a scene; None where the scene has nothing for the task."""
    thing = scene.things[int(rng.integers(len(scene.things)))] if scene.things else None
    word = scene.words[int(rng.integers(len(scene.words)))] if scene.words else None
    return TASKS[task](Subject(scene, thing, word, rng))


def ask_caption(s: Subject) -> Question:
    return Question("What does the image describe?", caption(s.scene))


def ask_detailed_caption(s: Subject) -> Question:
    return Question("Describe in detail what is shown in the image.", detailed_caption(s.scene))


def ask_more_detailed_caption(s: Subject) -> Question:
    return Question("Describe with a paragraph what is shown in the image.", more_detailed_caption(s.scene))


def ask_objects(s: Subject) -> Question:
    answer = "".join(name + s.boxes(things) for name, things in by_category(s.scene))
    return Question("Locate the objects with category name in the image.", answer)


def ask_region_captions(s: Subject) -> Question:
    answer = "".join(describe(thing) + s.box(thing.box) for thing in s.scene.things)
    return Question("Locate the objects in the image, with their descriptions.", answer)


def ask_region_proposals(s: Subject) -> Question:
    answer = s.boxes(s.scene.things) + "".join(s.box(word.box) for word in s.scene.words)
    return Question("Locate the region proposals in the image.", answer)


def ask_grounding(s: Subject) -> Question:
    answer = "".join(counted(name, len(things)) + s.boxes(things) for name, things in by_category(s.scene))
    if s.scene.words:
        answer += words_phrase(s.scene) + "".join(s.box(word.box) for word in s.scene.words)
    return Question(f"Locate the phrases in the caption: {caption(s.scene)}", answer)


def ask_open_vocabulary(s: Subject) -> Question | None:
    if s.thing is None:
        return None
    name = s.thing.category
    return Question(f"Locate {name} in the image.", name + s.boxes([thing for thing in s.scene.things if thing.category == name]))


def ask_referring_segmentation(s: Subject) -> Question | None:
    if s.thing is None:
        return None
    return Question(f"Locate {refer_to(s.thing, s.scene)} in the image with mask", s.points(s.thing.polygon))


def ask_region_segmentation(s: Subject) -> Question | None:
    if s.thing is None:
        return None
    return Question(f"What is the polygon mask of region {s.box(s.thing.box)}", s.points(s.thing.polygon))


def ask_region_category(s: Subject) -> Question | None:
    if s.thing is None:
        return None
    region = s.box(s.thing.box)
    return Question(f"What is the region {region}?", s.thing.category + region)


def ask_region_description(s: Subject) -> Question | None:
    if s.thing is None:
        return None
    region = s.box(s.thing.box)
    return Question(f"What does the region {region} describe?", describe(s.thing) + region)


def ask_text(s: Subject) -> Question:
    return Question("What is the text in the image?", " ".join(word.text for word in s.scene.words))


def ask_text_regions(s: Subject) -> Question:
    answer = "".join(word.text + s.points(word.quad) for word in s.scene.words)
    return Question("What is the text in the image, with regions?", answer)


def ask_region_text(s: Subject) -> Question | None:
    if s.word is None:
        return None
    return Question(f"What text is in the region {s.box(s.word.box)}?", s.word.text)


def ask_question(s: Subject) -> Question:
    about_present = s.thing is not None and s.rng.random() < 0.6
    name = s.thing.category if about_present else str(s.rng.choice(list(CATEGORIES)))
    count = sum(thing.category == name for thing in s.scene.things)
    if s.rng.random() < 0.5:
        return Question(f"How many {plural(name)} are in the image?", NUMBERS[count])
    return Question(f"Is there {article(name)} in the image?", "yes" if count else "no")


TASKS: dict[str, Callable[[Subject], Question | None]] = {
    "CAPTION": ask_caption,
    "DETAILED_CAPTION": ask_detailed_caption,
    "MORE_DETAILED_CAPTION": ask_more_detailed_caption,
    "OD": ask_objects,
    "DENSE_REGION_CAPTION": ask_region_captions,
    "REGION_PROPOSAL": ask_region_proposals,
    "CAPTION_TO_PHRASE_GROUNDING": ask_grounding,
    "OPEN_VOCABULARY_DETECTION": ask_open_vocabulary,
    "REFERRING_EXPRESSION_SEGMENTATION": ask_referring_segmentation,
    "REGION_TO_SEGMENTATION": ask_region_segmentation,
    "REGION_TO_CATEGORY": ask_region_category,
    "REGION_TO_DESCRIPTION": ask_region_description,
    "OCR": ask_text,
    "OCR_WITH_REGION": ask_text_regions,
    "REGION_TO_OCR": ask_region_text,
    "VQA": ask_question,
}
