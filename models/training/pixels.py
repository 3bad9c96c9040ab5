"""Pictures as the model takes them: a square, bicubic, aspect ratio lost, ImageNet's mean and deviation."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def read_picture(path: Path, size: int) -> Tensor:
    """(3, size, size) uint8 of an image file, its EXIF orientation applied."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    return from_array(np.asarray(upright.resize((size, size), Image.BICUBIC)))


def from_array(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) uint8."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)


def normalize(images: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 -> float32 as the vision tower takes it."""
    mean, std = MEAN.to(images.device)[:, None, None], STD.to(images.device)[:, None, None]
    return (images.float() / 255 - mean) / std
