"""A model as the public layout's four ONNX graphs: vision_encoder, embed_tokens, encoder_model, decoder_model_merged."""
from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from bart import Cache
from config import TextConfig
from merge import merge_decoders
from model import Florence2

OPSET = 14
PARTS = [(side, part) for side in ("decoder", "encoder") for part in ("key", "value")]  # in the order of Cache

Axes = dict[str, dict[int, str]]


@torch.no_grad()
def write_graphs(model: Florence2, folder: Path) -> None:
    """Writes and checks the graphs. Their batch and lengths are free, the picture's size is the model's."""
    folder.mkdir(parents=True, exist_ok=True)
    language, size = model.model.language_model, model.config.image_size
    write_graph(Vision(model), (torch.zeros(1, 3, size, size),), folder / "vision_encoder.onnx",
                {"pixel_values": {0: "batch_size"}}, {"image_features": {0: "batch_size"}})
    ids = {0: "batch_size", 1: "sequence_length"}
    write_graph(language.shared, (torch.zeros(1, 5, dtype=torch.long),), folder / "embed_tokens.onnx",
                {"input_ids": ids}, {"inputs_embeds": ids})
    states = {0: "batch_size", 1: "encoder_sequence_length"}
    write_graph(EncoderGraph(model), (torch.ones(2, 20, dtype=torch.long), torch.zeros(2, 20, model.config.text.d_model)),
                folder / "encoder_model.onnx", {"attention_mask": states, "inputs_embeds": states}, {"last_hidden_state": states})
    write_decoder(model, folder / "decoder_model_merged.onnx")
    for path in folder.glob("*.onnx"):
        onnx.checker.check_model(str(path), full_check=True)


def write_decoder(model: Florence2, path: Path) -> None:
    """The first step and the later ones, each traced, then merged."""
    c = model.config.text
    states, step = {0: "batch_size", 1: "encoder_sequence_length"}, {0: "batch_size", 1: "decoder_sequence_length"}
    inputs: Axes = {"encoder_attention_mask": states, "encoder_hidden_states": states, "inputs_embeds": step}
    past: Axes = {f"past_key_values.{i}.{side}.{part}": {0: "batch_size", 2: f"{'past_' * (side == 'decoder')}{side}_sequence_length"}
                  for i in range(c.decoder_layers) for side, part in PARTS}
    present: Axes = {name.replace("past_key_values", "present"): {0: "batch_size", 2: "length"} for name in past}
    own = {name: axes for name, axes in present.items() if ".decoder." in name}
    mask, memory = torch.ones(2, 20, dtype=torch.long), torch.zeros(2, 20, c.d_model)
    with tempfile.TemporaryDirectory() as scratch:
        first, later = Path(scratch, "first.onnx"), Path(scratch, "later.onnx")
        write_graph(FirstStep(model), (mask, memory, torch.zeros(2, 3, c.d_model)), first, inputs, {"logits": step, **present})
        write_graph(LaterStep(model), (mask, memory, torch.zeros(2, 1, c.d_model), *empty_past(c)), later,
                    {**inputs, **past}, {"logits": step, **own})
        merged = merge_decoders(onnx.load(str(first)), onnx.load(str(later)), heads=c.decoder_attention_heads,
                                head_width=c.d_model // c.decoder_attention_heads)
        onnx.save(merged, str(path))


def empty_past(c: TextConfig) -> list[Tensor]:
    head = c.d_model // c.decoder_attention_heads
    lengths = {"decoder": 7, "encoder": 20}
    return [torch.zeros(2, c.decoder_attention_heads, lengths[side], head) for _ in range(c.decoder_layers) for side, _ in PARTS]


def write_graph(module: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: Axes, outputs: Axes) -> None:
    torch.onnx.export(module, example, str(path), input_names=list(inputs), output_names=list(outputs),
                      dynamic_axes={**inputs, **outputs}, opset_version=OPSET)


class Vision(nn.Module):
    def __init__(self, model: Florence2):
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.projector(self.tower(pixel_values))


class EncoderGraph(nn.Module):
    def __init__(self, model: Florence2):
        super().__init__()
        self.encoder = model.model.language_model.encoder

    def forward(self, attention_mask: Tensor, inputs_embeds: Tensor) -> Tensor:
        return self.encoder(inputs_embeds, attention_mask > 0)


class FirstStep(nn.Module):
    """Logits and every cache."""

    def __init__(self, model: Florence2):
        super().__init__()
        self.decoder = model.model.language_model.decoder

    def forward(self, encoder_attention_mask: Tensor, encoder_hidden_states: Tensor, inputs_embeds: Tensor) -> tuple[Tensor, ...]:
        logits, caches = self.decoder(inputs_embeds, encoder_hidden_states, encoder_attention_mask > 0)
        return (logits, *(part for cache in caches for part in cache))


class LaterStep(nn.Module):
    """Logits and the answer's own caches: those of the encoder's states never change."""

    def __init__(self, model: Florence2):
        super().__init__()
        self.decoder = model.model.language_model.decoder

    def forward(self, encoder_attention_mask: Tensor, encoder_hidden_states: Tensor, inputs_embeds: Tensor,
                *past: Tensor) -> tuple[Tensor, ...]:
        caches = [Cache(*past[i:i + len(PARTS)]) for i in range(0, len(past), len(PARTS))]
        logits, present = self.decoder(inputs_embeds, encoder_hidden_states, encoder_attention_mask > 0, caches)
        return (logits, *(part for cache in present for part in (cache.key, cache.value)))
