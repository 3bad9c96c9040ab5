from __future__ import annotations

import argparse
import json
import tempfile
import unittest
from pathlib import Path

import training_path  # noqa: F401
import numpy as np
import torch
from PIL import Image
from tiny import TOKENIZER, tiny_model

from config import generation_json
from examples import ExampleError, read_examples
from finetune import finetune, prepare, save
from folder import load_folder, write_settings
from weights import stored_weights, write_safetensors

REGION = "<loc_10><loc_20><loc_500><loc_600>"


class FinetuneTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.file = self.folder / "train.jsonl"
        self.model, self.tokenizer = tiny_model(5)
        rng = np.random.default_rng(0)
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)).save(self.folder / f"{i}.png")

    def write(self, *lines: dict | str) -> None:
        self.file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")

    def read(self):
        return read_examples(self.file, self.folder, self.tokenizer, self.model.config)

    def options(self, **changes) -> argparse.Namespace:
        return argparse.Namespace(**{"epochs": 25, "batch": 2, "accumulate": 2, "rate": 1e-2, "lora": None, "seed": 0, "device": "cpu",
                                     "model": self.folder / "base", "out": self.folder / "out", "no_repeat": 3, **changes})

    def train(self, options: argparse.Namespace, freeze_vision: bool) -> list[float]:
        self.write(*({"image": f"{i}.png", "prompt": "cat", "answer": "cat in " + "abcd"[i]} for i in range(4)))
        prepare(self.model, options.lora, None, freeze_vision)
        return finetune(self.model, self.read(), options)

    def test_all_weights_learn_four_pictures(self):
        losses = self.train(self.options(), False)
        self.assertLess(losses[-1], 0.7 * losses[0])

    def test_adapters_learn_and_leave_the_base_alone_until_they_are_merged(self):
        with torch.no_grad():  # an untrained output is too flat for its frozen weights to tell anything apart
            self.model.model.language_model.shared.weight.mul_(20)
        before = stored_weights(self.model)["model.language_model.decoder.layers.0.fc1.weight"].clone()
        losses = self.train(self.options(lora=4, rate=2e-2), True)
        self.assertLess(losses[-1], 0.9 * losses[0])
        self.assertTrue(torch.equal(self.model.model.language_model.decoder.layers[0].fc1.base.weight, before))

    def test_a_frozen_tower_stays_as_it_is(self):
        before = {name: tensor.clone() for name, tensor in self.model.model.vision_tower.state_dict().items()}
        self.train(self.options(epochs=2), True)
        self.assertTrue(all(torch.equal(tensor, before[name]) for name, tensor in self.model.model.vision_tower.state_dict().items()))

    def test_a_saved_fine_tune_answers_as_the_trained_model(self):
        options = self.options(lora=4, epochs=2)
        write_settings(options.model, self.model.config, TOKENIZER, generation_json(3))
        write_safetensors(stored_weights(self.model), options.model / "model.safetensors", "F32")
        self.train(options, False)
        pixels = torch.randn(1, 3, 32, 32)
        with torch.no_grad():
            trained = self.model.eval().see(pixels)
            save(self.model, options)
            saved = load_folder(options.out)[0].see(pixels)
        self.assertTrue(torch.allclose(trained, saved, atol=1e-5))

    def test_good_lines_are_read(self):
        self.write({"image": "0.png", "prompt": f"What is the region {REGION}?", "answer": "cat"}, "",
                   {"image": "1.png", "prompt": "<DocVQA>What is it?", "answer": "a < b"})
        self.assertEqual([example.image.name for example in self.read()], ["0.png", "1.png"])

    def test_each_mistake_names_its_file_and_line(self):
        good = {"image": "0.png", "prompt": "cat", "answer": "cat"}
        Path(self.folder, "broken.png").write_bytes(b"no picture")
        for bad, message in (
            ({**good, "image": "none.png"}, "no image .*none.png"),
            ({**good, "image": "broken.png"}, "image .*broken.png cannot be read"),
            ({**good, "image": "../secret.png"}, "image .* is outside"),
            ('{"image": ', "not JSON: .* at column"),
            ({"image": "0.png", "prompt": "cat"}, "must be an object of three strings"),
            ({**good, "answer": "cat<loc_1234>"}, "answer: <loc_1234> is outside the image"),
            ({**good, "prompt": "<region>"}, "prompt: unknown token <region>"),
            ({**good, "prompt": "What is the region <loc_9><loc_9><loc_1><loc_1>?"}, "prompt: region .* is inside out"),
            ({**good, "prompt": "What is the region <loc_9><loc_9>?"}, "prompt: region .* must have four locations"),
            ({**good, "answer": "x" * 100}, "answer: 102 tokens, and the model takes 64"),
        ):
            self.write(good, bad)
            with self.assertRaisesRegex(ExampleError, f"train.jsonl:2: {message}"):
                self.read()

    def test_all_mistakes_are_told_at_once(self):
        self.write("{", "[]")
        with self.assertRaisesRegex(ExampleError, r"(?s)train.jsonl:1: .*train.jsonl:2: "):
            self.read()

    def test_an_empty_file_is_a_mistake(self):
        self.write("")
        with self.assertRaisesRegex(ExampleError, "no examples"):
            self.read()


if __name__ == "__main__":
    unittest.main()
