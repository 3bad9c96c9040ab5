from __future__ import annotations

import itertools
import tempfile
import unittest
from pathlib import Path

import training_path  # noqa: F401
import torch
from tiny import tiny_model

from batches import padded
from config import BEGIN, END
from generate import beam_search, generate
from graphs import write_graphs


class GenerateTest(unittest.TestCase):
    def setUp(self):
        self.model, self.tokenizer = tiny_model(3)
        with torch.no_grad():
            self.features = self.model.see(torch.randn(2, 3, 32, 32))
        self.prompts = [self.tokenizer.encode(text) for text in ("cat", "a much longer prompt")]

    @torch.no_grad()
    def test_kept_keys_and_values_give_what_decoding_anew_gives(self):
        answer = generate(self.model, self.features[:1], padded(self.prompts[:1]), 12)[0]
        memory, seen = self.model.encode(self.features[:1], padded(self.prompts[:1]))
        anew = [END, BEGIN]
        for _ in answer:
            anew.append(self.model.decode(torch.tensor([anew]), memory, seen)[0, -1].argmax().item())
        self.assertEqual(anew[2:], answer)

    def test_an_answer_does_not_depend_on_its_batch(self):
        together = generate(self.model, self.features, padded(self.prompts), 12)
        alone = [generate(self.model, self.features[i:i + 1], padded([prompt]), 12)[0] for i, prompt in enumerate(self.prompts)]
        self.assertEqual(together, alone)

    def test_one_beam_is_greedy(self):
        for i, prompt in enumerate(self.prompts):
            greedy = generate(self.model, self.features[i:i + 1], padded([prompt]), 12)[0]
            self.assertEqual(beam_search(self.model, self.features[i:i + 1], padded([prompt]), 12, 1, early_stopping=True), greedy)

    @torch.no_grad()
    def test_wide_beams_find_the_likeliest_answer_of_two_tokens(self):
        prompt = padded(self.prompts[:1])
        memory, seen = self.model.encode(self.features[:1], prompt)
        beams = self.tokenizer.size
        first = self.model.decode(torch.tensor([[END, BEGIN]]), memory, seen)[0, -1].log_softmax(-1)
        starts = torch.tensor([[END, BEGIN, token] for token in range(beams)])
        second = torch.cat([self.model.decode(part, memory.expand(len(part), -1, -1), seen.expand(len(part), -1))[:, -1].log_softmax(-1)
                            for part in starts.split(256)])
        totals = first[:, None] + second
        totals[END] = totals[:, END] = -1e9  # answers that end early are ranked by another length
        wanted = divmod(int(totals.argmax()), beams)
        found = beam_search(self.model, self.features[:1], prompt, 2, beams, early_stopping=True)
        self.assertIn(tuple(found), [wanted, *itertools.product([wanted[0]])])


class GraphTest(unittest.TestCase):
    """The graphs' numbers are checked where ONNX Runtime is at hand: by the worker's own tests. Here: they are valid."""

    def test_four_valid_graphs_are_written(self):
        model, _ = tiny_model(4)
        with tempfile.TemporaryDirectory() as folder:
            write_graphs(model, Path(folder))
            self.assertEqual(sorted(path.name for path in Path(folder).iterdir()),
                             ["decoder_model_merged.onnx", "embed_tokens.onnx", "encoder_model.onnx", "vision_encoder.onnx"])


if __name__ == "__main__":
    unittest.main()
