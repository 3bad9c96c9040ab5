from __future__ import annotations

import unittest

import training_path  # noqa: F401
import numpy as np

from geometry import iou
from locations import LOCATION, bin_of, read_boxes, read_points
from metrics import match, score
from scenes import SceneMaker
from tasks import TASKS, ask

MAKER = SceneMaker()


def asked(task: str, count: int = 40):
    """(scene, question) pairs on canvases of any shape."""
    rng = np.random.default_rng([11, 0, 2])
    pairs = [(scene, ask(scene, task, rng)) for scene in (MAKER.draw(rng) for _ in range(count))]
    return [(scene, question) for scene, question in pairs if question]


class TaskTest(unittest.TestCase):
    def test_a_right_answer_scores_one(self):
        for task in TASKS:
            answers = [question.answer for _, question in asked(task)]
            self.assertEqual(set(score(task, answers, answers).values()), {1.0}, task)

    def test_another_scenes_answer_scores_less(self):
        for task in TASKS:
            answers = [question.answer for _, question in asked(task)]
            self.assertTrue(all(value < 0.9 for value in score(task, answers, answers[1:] + answers[:1]).values()), task)

    def test_boxes_come_back_from_their_tokens(self):
        for scene, question in asked("DENSE_REGION_CAPTION"):
            for thing, box in zip(scene.things, read_boxes(question.answer)):
                x0, y0, x1, y1 = (value / 1000 * size for value, size in zip(box, (scene.width, scene.height) * 2))
                self.assertGreater(iou((x0, y0, x1, y1), thing.box), 0.95)

    def test_quads_come_back_from_their_tokens(self):
        for scene, question in asked("OCR_WITH_REGION"):
            given = read_points(question.answer)
            wanted = [point for word in scene.words for point in word.quad]
            for (x, y), (u, v) in zip(given, wanted, strict=True):
                self.assertAlmostEqual(x / 1000 * scene.width, u, delta=scene.width / 999)
                self.assertAlmostEqual(y / 1000 * scene.height, v, delta=scene.height / 999)

    def test_locations_stay_in_their_thousand_bins(self):
        for task in TASKS:
            for _, question in asked(task, 10):
                self.assertTrue(all(0 <= int(number) <= 999 for number in LOCATION.findall(question.prompt + question.answer)))
        self.assertEqual([bin_of(value, 640) for value in (-3, 0, 0.63, 0.64, 639.9, 640, 900)], [0, 0, 0, 1, 999, 999, 999])

    def test_a_caption_names_every_thing_and_word(self):
        for scene, question in asked("DETAILED_CAPTION"):
            for name in [thing.category for thing in scene.things] + [word.text for word in scene.words]:
                self.assertIn(name, question.answer)


class MetricTest(unittest.TestCase):
    def test_one_box_answers_for_one_thing_only(self):
        twins = [("cat", (0, 0, 10, 10)), ("cat", (1, 0, 11, 10))]
        self.assertEqual(match(twins, twins[:1]), [1.0])

    def test_the_best_pair_is_matched_first(self):
        wanted = [("cat", (0, 0, 10, 10)), ("cat", (2, 0, 12, 10))]
        self.assertEqual(match(wanted, [("cat", (2, 0, 12, 10)), ("cat", (0, 0, 10, 10))]), [1.0, 1.0])

    def test_another_label_never_matches(self):
        self.assertEqual(match([("cat", (0, 0, 10, 10))], [("dog", (0, 0, 10, 10))]), [])

    def test_a_region_that_is_said_again_does_not_matter(self):
        self.assertEqual(score("REGION_TO_CATEGORY", ["cat<loc_1><loc_2><loc_3><loc_4>"], ["cat"]), {"exact": 1.0})


if __name__ == "__main__":
    unittest.main()
