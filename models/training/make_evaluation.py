"""Makes the held-out set: pictures, their ground truth, and the questions asked of them with their right answers.

    python3 make_evaluation.py --out ../evaluation

A scene's random generator starts from three numbers, of which the last is not zero. train.py's start from [n, worker, 0, seed]:
no scene here was ever trained on.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from captions import caption
from catalogue import CATEGORIES
from geometry import ring_area
from scenes import Scene, SceneMaker
from tasks import TASKS, ask
from truth import scene_truth, tenths

SCENES = 64
HELD_OUT = 1
CANVAS = (192, 448)  # longer edge in pixels; in training 112 to 287
JPEG_QUALITY = 85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    (out / "images").mkdir(parents=True, exist_ok=True)
    maker = SceneMaker(canvas=CANVAS)
    scenes: dict[str, Scene] = {}
    questions = []
    for i in range(SCENES):
        rng = np.random.default_rng([i, 0, HELD_OUT])
        file = f"images/{i:02}.jpg"
        scenes[file] = scene = maker.draw(rng)
        Image.fromarray(scene.image).save(out / file, "JPEG", quality=JPEG_QUALITY, optimize=True)
        for task in TASKS:
            if question := ask(scene, task, rng):
                questions.append({"image": file, "task": task, **question._asdict()})
    (out / "tasks.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    truth = [{"file": file, "caption": caption(scene), **scene_truth(scene)} for file, scene in scenes.items()]
    (out / "scenes.json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in truth) + "\n]\n")
    (out / "annotations.json").write_text(json.dumps(coco(scenes)) + "\n")


def coco(scenes: dict[str, Scene]) -> dict:
    """The things in COCO's form: bbox is x, y, width, height; segmentation is a list of rings x, y, x, y, ...; ids count from 1,
    as 0 means "no match" to COCO's own tools."""
    names = list(CATEGORIES)
    annotations = []
    for image_id, scene in enumerate(scenes.values(), 1):
        for thing in scene.things:
            x0, y0, x1, y1 = thing.box
            annotations.append({
                "id": len(annotations) + 1, "image_id": image_id, "category_id": names.index(thing.category) + 1,
                "bbox": [tenths(value) for value in (x0, y0, x1 - x0, y1 - y0)],
                "segmentation": [[tenths(value) for point in thing.polygon for value in point]],
                "area": tenths(ring_area(thing.polygon)), "iscrowd": 0,
            })
    return {
        "images": [{"id": i, "file_name": file, "width": scene.width, "height": scene.height}
                   for i, (file, scene) in enumerate(scenes.items(), 1)],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
    }


if __name__ == "__main__":
    main()
