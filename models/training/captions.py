"""What a scene looks like, in words."""
from __future__ import annotations

from catalogue import plural
from scenes import Scene, Thing

NUMBERS = ["no", "one", "two", "three", "four", "five"]


def caption(scene: Scene) -> str:
    """`two cats, a car and the word STOP`"""
    parts = [counted(name, len(things)) for name, things in by_category(scene)]
    if scene.words:
        parts.append(words_phrase(scene))
    return listing(parts)


def detailed_caption(scene: Scene) -> str:
    """One sentence that also tells sizes and places."""
    parts = [f"{article(describe(thing))} {place(thing, scene)}" for thing in scene.things]
    if scene.words:
        parts.append(words_phrase(scene))
    return f"The image shows {listing(parts)}."


def more_detailed_caption(scene: Scene) -> str:
    """A sentence for the count, for each thing and for each word."""
    total = len(scene.things)
    sentences = [f"The image contains {NUMBERS[total]} object{'' if total == 1 else 's'}."]
    sentences += [f"There is {article(describe(thing))} {place(thing, scene)}." for thing in scene.things]
    sentences += [f"The text reads {word.text}." for word in scene.words]
    return " ".join(sentences)


def by_category(scene: Scene) -> list[tuple[str, list[Thing]]]:
    """Things by category, in order of first appearance from left to right."""
    groups: dict[str, list[Thing]] = {}
    for thing in scene.things:
        groups.setdefault(thing.category, []).append(thing)
    return list(groups.items())


def describe(thing: Thing) -> str:
    return f"{thing.size} {thing.category}"


def refer_to(thing: Thing, scene: Scene) -> str:
    """`the cat`, and its place where there are several."""
    alone = sum(other.category == thing.category for other in scene.things) == 1
    return f"the {thing.category}" if alone else f"the {thing.category} {place(thing, scene)}"


def place(thing: Thing, scene: Scene) -> str:
    x0, y0, x1, y1 = thing.box
    x, y = (x0 + x1) / 2 / scene.width, (y0 + y1) / 2 / scene.height
    column = "left" if x < 0.4 else "right" if x > 0.6 else "middle"
    row = "top" if y < 0.4 else "bottom" if y > 0.6 else "middle"
    if column == row == "middle":
        return "in the middle"
    if column == "middle":
        return f"at the {row}"
    if row == "middle":
        return f"on the {column}"
    return f"at the {row} {column}"


def counted(name: str, count: int) -> str:
    return article(name) if count == 1 else f"{NUMBERS[count]} {plural(name)}"


def words_phrase(scene: Scene) -> str:
    return "the word " + " and ".join(word.text for word in scene.words)


def article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def listing(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
