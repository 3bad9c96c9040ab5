"""Makes the tiny random models that graph building is tested with, and what PyTorch computes with them.

    python3 make_golden.py --out ../../test/golden/florence2

Weights are exact in float16; results are computed in double precision. The README in the folder tells what a golden holds.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from config import BEGIN, END, PAD, Config, TextConfig, VisionConfig, config_json, generation_json, preprocessor_json
from folder import write_json
from model import Florence2
from weights import stored_weights, write_safetensors

LOCATIONS = 1000
VOCABULARY = 5 + LOCATIONS  # <s>, <pad>, </s>, two words, the locations

Size = tuple[int, int]  # height, width


def vision(**changes) -> VisionConfig:
    return VisionConfig(**{"projection_dim": 8, "max_position_embeddings": 12, "max_temporal_embeddings": 2, **changes})


def text(**changes) -> TextConfig:
    return TextConfig(**{"vocab_size": VOCABULARY, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
                         "decoder_attention_heads": 2, "encoder_ffn_dim": 12, "decoder_ffn_dim": 16, "max_position_embeddings": 80, **changes})


MODELS: dict[str, tuple[Size, VisionConfig, TextConfig]] = {
    # A norm over the picture's own channels; whole windows; groups that are not the heads.
    "one-stage": ((30, 30), vision(embed_dim=[16], depths=[1], num_heads=[2], num_groups=[4], patch_size=[5], patch_stride=[4],
                                   patch_padding=[2], patch_prenorm=[True], window_size=4, mlp_ratio=2.0), text(decoder_layers=2)),
    # As the embedded model, but the windows of the first stage are not whole.
    "two-stages": ((41, 41), vision(embed_dim=[8, 16], depths=[1, 2], num_heads=[2, 2], num_groups=[2, 2], patch_size=[7, 3],
                                    patch_stride=[4, 2], patch_padding=[3, 1], patch_prenorm=[False, True], window_size=3),
                   text(encoder_layers=2)),
    # Wider than high; windows that reach over every edge, in the last stage taller than the grid; an MLP's middle that is cut to 31.
    "three-stages": ((45, 75), vision(embed_dim=[4, 8, 12], depths=[1, 1, 1], num_heads=[1, 2, 3], num_groups=[4, 2, 6],
                                      patch_size=[7, 3, 2], patch_stride=[4, 2, 2], patch_padding=[3, 1, 0],
                                      patch_prenorm=[False, False, True], window_size=4, mlp_ratio=2.6),
                     text(encoder_attention_heads=4)),
    # As the public models; the last grid is 2×2.
    "four-stages": ((64, 64), vision(embed_dim=[4, 8, 8, 16], depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], num_groups=[1, 2, 2, 4],
                                     window_size=5), text(decoder_attention_heads=4)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    for seed, (name, (size, *parts)) in enumerate(MODELS.items()):
        model = random_model(Config(*parts, image_size=size[0]), seed)
        write_model(model, size, out / name)
        write_safetensors(golden(model, size), out / name / "golden.safetensors", "F32")


def random_model(config: Config, seed: int) -> Florence2:
    """A model whose every weight matters and is exact in float16, in double precision."""
    torch.manual_seed(seed)
    model = Florence2(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if weight.dim() == 1:  # a bias, or a norm's
            weight.copy_(torch.randn_like(weight) * 0.2 + (name.endswith("weight") * 1.0))
        elif "embed" in name or "shared" in name:
            weight.copy_(torch.randn_like(weight) * 0.5)
    for name, weight in model.state_dict().items():
        weight.copy_(weight.half())
    return model.double()


def write_model(model: Florence2, size: Size, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(stored_weights(model), folder / "model.safetensors", "F16")
    write_json(folder / "config.json", config_json(model.config))
    write_json(folder / "preprocessor_config.json", {**preprocessor_json(0), "size": {"height": size[0], "width": size[1]}})
    write_json(folder / "generation_config.json", generation_json(0, 1))


def golden(model: Florence2, size: Size) -> dict[str, Tensor]:
    location = VOCABULARY - LOCATIONS
    prompt = torch.tensor([[BEGIN, 3, 4, location, END], [BEGIN, 4, END, PAD, PAD]])
    answer = torch.tensor([[END, BEGIN, location + 7], [END, 3, location + 999]])
    features = model.see(pixels(2, *size))
    memory, seen = model.encode(features, prompt)
    return {"image_features": features, "prompt": prompt, "attention_mask": seen, "last_hidden_state": memory, "decoder_input": answer,
            "logits": model.decode(answer, memory, seen)}


def pixels(batch: int, height: int, width: int) -> Tensor:
    """Numbers from -1 to 1 that look like noise, without a file."""
    i = torch.arange(batch * 3 * height * width)
    return ((i * 37 + i * i * 11) % 509 / 254 - 1).float().double().reshape(batch, 3, height, width)


if __name__ == "__main__":
    main()
