"""Weights on disk: safetensors files, and the two spellings of Florence-2's names.

Here as in transformers' own checkpoints the tied embedding is stored once, as model.language_model.shared.weight.
"""
from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
SHARED = "model.language_model.shared.weight"
TIED = ("model.language_model.encoder.embed_tokens.weight", "model.language_model.decoder.embed_tokens.weight", "lm_head.weight")

# From the original spelling (microsoft/*) to the transformers-native one (florence-community/*), applied in this order.
RENAMES = [(re.compile(pattern), replacement) for pattern, replacement in (
    (r"^vision_tower\.", "model.vision_tower."),
    (r"(\.convs\.\d+)\.proj\.", r"\1.conv."),
    (r"\.(spatial_block|channel_block)\.\d+\.", r".\1."),
    (r"\.(conv[12])\.fn\.dw\.", r".\1."),
    (r"\.(?:window_attn|channel_attn)\.norm\.", ".norm1."),
    (r"\.(window_attn|channel_attn)\.fn\.", r".\1."),
    (r"\.ffn\.norm\.", ".norm2."),
    (r"\.ffn\.fn\.net\.(fc[12])\.", r".ffn.\1."),
    (r"^image_projection$", "model.multi_modal_projector.image_projection.weight"),
    (r"^image_proj_norm\.", "model.multi_modal_projector.image_proj_norm."),
    (r"^image_pos_embed\.", "model.multi_modal_projector.image_position_embed."),
    (r"^visual_temporal_embed\.", "model.multi_modal_projector.visual_temporal_embed."),
    (r"^language_model\.model\.", "model.language_model."),
    (r"^language_model\.lm_head\.", "lm_head."),
)]


def load_weights(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Loads weights of either spelling. Every weight must be there, none may be left over or untied; rows of a padded
    vocabulary are cut."""
    native = to_native(tensors)
    if SHARED not in native:
        raise ValueError(f"The weights hold no {SHARED}: not a Florence-2 checkpoint.")
    shared = native[SHARED]
    for name in TIED:
        if name in native and not torch.equal(native.pop(name), shared):
            raise ValueError(f"{name} differs from the embedding: this model's output is not tied, which is not supported.")
    native[SHARED] = shared[:model.get_parameter(SHARED).shape[0]]
    result = model.load_state_dict(native, strict=False)
    missing = [name for name in result.missing_keys if name not in TIED]
    if missing or result.unexpected_keys:
        raise ValueError(f"The weights do not fit config.json: missing {missing[:3]}, not known {result.unexpected_keys[:3]}.")


def to_native(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names and shapes in the transformers-native spelling, whichever spelling they come in."""
    native = {}
    for name, tensor in tensors.items():
        if name == "language_model.final_logits_bias":
            if tensor.any():
                raise ValueError("language_model.final_logits_bias is not zero, which is not supported.")
            continue
        native[native_name(name)] = tensor.t() if name == "image_projection" else tensor
    return native


def native_name(name: str) -> str:
    for pattern, replacement in RENAMES:
        name = pattern.sub(replacement, name)
    return name


def stored_weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights as they are stored: without the tied copies of the embedding."""
    return {name: tensor for name, tensor in model.state_dict().items() if name not in TIED}


def read_checkpoint(folder: Path) -> dict[str, Tensor]:
    """The weights of a folder: one model.safetensors, or the shards that model.safetensors.index.json names."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return read_safetensors(folder / "model.safetensors")
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(json.loads(index.read_text())["weight_map"].values())):
        tensors.update(read_safetensors(folder / shard))
    return tensors


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file by name: an 8-byte header length, a JSON header, then the raw little-endian values."""
    data = np.memmap(path, np.uint8, "c")
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    header = json.loads(data[8:8 + length].tobytes())
    header.pop("__metadata__", None)
    return {name: read_tensor(data[8 + length:], entry, f"{path}: {name}") for name, entry in header.items()}


def read_tensor(values: np.ndarray, entry: dict, where: str) -> Tensor:
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"{where} is stored as {entry['dtype']}; {', '.join(DTYPES)} can be read.")
    start, end = entry["data_offsets"]
    return torch.from_numpy(values[start:end].copy()).view(DTYPES[entry["dtype"]]).reshape(entry["shape"])


def write_safetensors(tensors: dict[str, Tensor], path: Path, dtype: str) -> None:
    """Writes float tensors as F32 or F16, sorted by name: the same weights give the same bytes."""
    arrays = {name: tensors[name].detach().cpu().to(DTYPES[dtype]).contiguous().numpy() for name in sorted(tensors)}
    header: dict[str, dict] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, array in arrays.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    blob = json.dumps(header).encode()
    blob += b" " * (-len(blob) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(blob)) + blob)
        for array in arrays.values():
            file.write(array.tobytes())
