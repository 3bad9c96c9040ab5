from __future__ import annotations

import unittest

import training_path  # noqa: F401
import numpy as np
from tiny import TOKENIZER

from scenes import SceneMaker
from tasks import TASKS, ask
from tokens import Tokenizer, words

TOKENS = Tokenizer(TOKENIZER)


class TokenizerTest(unittest.TestCase):
    def test_every_question_and_answer_comes_back(self):
        rng = np.random.default_rng([13, 0, 2])
        scene = SceneMaker().draw(rng)
        for task in TASKS:
            for text in ask(scene, task, rng) or ():
                self.assertEqual(TOKENS.decode(TOKENS.encode(text)), text)

    def test_any_text_comes_back(self):
        for text in ("naïve café, 東京!", "a  b\n\tc ", "don't <loc_5><sep>x_y", "<loc_1000> <nothing>", ""):
            self.assertEqual(TOKENS.decode(TOKENS.encode(text)), text)

    def test_merges_apply_in_their_order(self):
        self.assertEqual([TOKENS._text[i] for i in TOKENS.encode("cat in")], ["<s>", "cat", "Ġin", "</s>"])

    def test_added_tokens_are_never_split(self):
        self.assertEqual(TOKENS.encode("<loc_0><loc_999>")[1:-1], [TOKENS.first_location, TOKENS.first_location + 999])

    def test_words_split_as_gpt2_splits_them(self):
        self.assertEqual(words("it's 42  cats!"), ["it", "'s", "Ġ42", "Ġ", "Ġcats", "!"])


if __name__ == "__main__":
    unittest.main()
