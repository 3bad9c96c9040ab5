"""A model's folder: weights, config.json, tokenizer.json, preprocessor_config.json, generation_config.json.

Public checkpoints of either spelling, runs of train.py (their weights in last.pt) and exported models all have this form.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from config import Config, config_json, preprocessor_json, read_config
from model import Florence2
from tokens import Tokenizer
from weights import load_weights, read_checkpoint, read_safetensors

CHECKPOINT = "last.pt"


def load_folder(folder: Path) -> tuple[Florence2, Tokenizer]:
    """The model, in float32 and ready to answer, and its tokenizer."""
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    model = Florence2(read_config(read_json(folder / "config.json"), read_image_size(folder), tokenizer.size))
    load_weights(model, read_weights(folder))
    return model.eval(), tokenizer


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a folder, a .safetensors file, a state dict or a checkpoint of train.py, in their own spelling."""
    if path.is_dir():
        path = path / CHECKPOINT if (path / CHECKPOINT).exists() else path
    if path.is_dir():
        return read_checkpoint(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    saved = torch.load(path, map_location="cpu")
    return saved.get("model", saved)


def read_image_size(folder: Path) -> int:
    """The side of the square that pictures are squeezed to."""
    spec = read_json(folder / "preprocessor_config.json")
    size = spec.get("crop_size") or spec["size"]
    if size["height"] != size["width"]:
        raise ValueError(f"{folder}/preprocessor_config.json: the size must be a square, not {size}.")
    return size["height"]


def write_settings(folder: Path, config: Config, tokenizer: dict[str, Any], generation: dict[str, Any]) -> None:
    """Everything of a folder but the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config_json(config))
    write_json(folder / "preprocessor_config.json", preprocessor_json(config.image_size))
    write_json(folder / "generation_config.json", generation)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf8")


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf8"))


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
