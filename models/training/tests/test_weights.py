from __future__ import annotations

import json
import re
import tempfile
import unittest
from pathlib import Path

import training_path  # noqa: F401
import torch
from tiny import TOKENIZER, tiny_model

from config import generation_json, read_config
from folder import load_folder, read_json, write_json, write_settings
from model import Florence2
from weights import SHARED, load_weights, native_name, read_checkpoint, stored_weights, write_safetensors

# The other direction than weights.py, written apart from it: from the native spelling to the original.
TO_ORIGINAL = [
    (r"^model\.language_model\.", "language_model.model."),
    (r"^model\.multi_modal_projector\.image_position_embed\.", "image_pos_embed."),
    (r"^model\.multi_modal_projector\.image_projection\.weight$", "image_projection"),
    (r"^model\.multi_modal_projector\.", ""),
    (r"^model\.", ""),
    (r"(convs\.\d+)\.conv\.", r"\1.proj."),
    (r"(spatial_block\.)norm1\.", r"\1window_attn.norm."),
    (r"(channel_block\.)norm1\.", r"\1channel_attn.norm."),
    (r"\.norm2\.", ".ffn.norm."),
    (r"\.(conv[12])\.(?=weight|bias)", r".\1.fn.dw."),
    (r"_attn\.(qkv|proj)\.", r"_attn.fn.\1."),
    (r"\.ffn\.(fc[12])\.", r".ffn.fn.net.\1."),
]


def original_spelling(model: Florence2) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, tensor in stored_weights(model).items():
        for pattern, replacement in TO_ORIGINAL:
            name = re.sub(pattern, replacement, name)
        tensors[name] = tensor.t() if name == "image_projection" else tensor
    shared = tensors["language_model.model.shared.weight"]
    tensors["language_model.lm_head.weight"] = shared
    tensors["language_model.final_logits_bias"] = torch.zeros(1, shared.shape[0])
    return tensors


class SpellingTest(unittest.TestCase):
    def assert_equal_models(self, first: Florence2, second: Florence2):
        for name, tensor in first.state_dict().items():
            self.assertTrue(torch.equal(tensor, second.state_dict()[name]), name)

    def test_both_spellings_load_the_same_weights(self):
        model, _ = tiny_model(1)
        for tensors in (original_spelling(model), stored_weights(model)):
            other, _ = tiny_model(2)
            load_weights(other, tensors)
            self.assert_equal_models(model, other)

    def test_published_names_are_understood(self):
        block = "vision_tower.blocks.2.8.channel_block"
        for original, native in {
            "vision_tower.convs.1.proj.weight": "model.vision_tower.convs.1.conv.weight",
            f"{block}.conv1.fn.dw.bias": f"model.{block}.conv1.bias",
            f"{block}.channel_attn.norm.weight": f"model.{block}.norm1.weight",
            f"{block}.channel_attn.fn.qkv.weight": f"model.{block}.channel_attn.qkv.weight",
            f"{block}.ffn.norm.bias": f"model.{block}.norm2.bias",
            f"{block}.ffn.fn.net.fc2.weight": f"model.{block}.ffn.fc2.weight",
            "image_pos_embed.row_embeddings.weight": "model.multi_modal_projector.image_position_embed.row_embeddings.weight",
            "language_model.model.encoder.layers.0.fc1.weight": "model.language_model.encoder.layers.0.fc1.weight",
        }.items():
            self.assertEqual(native_name(original), native)
            self.assertEqual(native_name(native), native)

    def test_a_padded_vocabulary_is_cut(self):
        model, _ = tiny_model(1)
        tensors = stored_weights(model)
        tensors[SHARED] = torch.cat([tensors[SHARED], torch.randn(7, 16)])
        other, _ = tiny_model(2)
        load_weights(other, tensors)
        self.assert_equal_models(model, other)

    def test_missing_and_unknown_weights_are_named(self):
        model, _ = tiny_model(1)
        tensors = stored_weights(model)
        tensors["model.vision_tower.more"] = tensors.pop("model.vision_tower.convs.0.conv.weight")
        with self.assertRaisesRegex(ValueError, r"missing \['model.vision_tower.convs.0.conv.weight'\].*vision_tower.more"):
            load_weights(model, tensors)

    def test_an_output_of_its_own_is_refused(self):
        model, _ = tiny_model(1)
        tensors = {**stored_weights(model), "lm_head.weight": torch.zeros(model.config.text.vocab_size, 16)}
        with self.assertRaisesRegex(ValueError, "not tied"):
            load_weights(model, tensors)


class FolderTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.model, _ = tiny_model(1)
        write_settings(self.folder, self.model.config, TOKENIZER, generation_json(3))

    def test_a_saved_folder_loads_again(self):
        write_safetensors(stored_weights(self.model), self.folder / "model.safetensors", "F32")
        loaded, _ = load_folder(self.folder)
        self.assertEqual(loaded.config, self.model.config)
        self.assertTrue(torch.equal(loaded.state_dict()[SHARED], self.model.state_dict()[SHARED]))

    def test_shards_are_read_together(self):
        tensors = stored_weights(self.model)
        shards = {name: f"model-0000{i % 2 + 1}-of-00002.safetensors" for i, name in enumerate(tensors)}
        for shard in set(shards.values()):
            write_safetensors({name: tensors[name] for name in tensors if shards[name] == shard}, self.folder / shard, "F32")
        write_json(self.folder / "model.safetensors.index.json", {"weight_map": shards})
        read = read_checkpoint(self.folder)
        self.assertTrue(all(torch.equal(read[name], tensors[name]) for name in tensors))

    def test_half_precision_is_read(self):
        write_safetensors({"a": torch.tensor([1.5, -2.0])}, self.folder / "model.safetensors", "F16")
        self.assertEqual(read_checkpoint(self.folder)["a"].tolist(), [1.5, -2.0])

    def test_bfloat16_is_read(self):
        header = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
        values = torch.tensor([1.5, -2.0]).bfloat16().view(torch.int16).numpy().tobytes()
        (self.folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + values)
        self.assertEqual(read_checkpoint(self.folder)["a"].tolist(), [1.5, -2.0])

    def test_both_spellings_of_the_config_say_the_same(self):
        native = read_json(self.folder / "config.json")
        vision = dict(native["vision_config"])
        vision["dim_embed"] = vision.pop("embed_dim")
        vision["image_pos_embed"] = {"type": "learned_abs_2d", "max_pos_embeddings": vision.pop("max_position_embeddings")}
        vision["visual_temporal_embedding"] = {"type": "COSINE", "max_temporal_embeddings": vision.pop("max_temporal_embeddings")}
        vocabulary = self.model.config.text.vocab_size
        self.assertEqual(read_config({**native, "vision_config": vision}, 32, vocabulary), read_config(native, 32, vocabulary))


if __name__ == "__main__":
    unittest.main()
