"""Fine-tunes a Florence-2 checkpoint on your own pictures, for export.py to make ready for hosting.

    python3 finetune.py --model Florence-2-base-ft --images meters --examples meters/train.jsonl --out runs/meters --lora 16 --device cuda

--examples has a line {"image": "0001.jpg", "prompt": "What is the reading?", "answer": "00417"} for each example; prompts of
Florence-2's own tasks are its sentences ("Locate the objects with category name in the image."), locations are <loc_0> to <loc_999>.
"""
from __future__ import annotations

import argparse
import contextlib
import math
import random
import sys
from pathlib import Path
from typing import Iterable, Iterator

import torch
from torch import Tensor, nn

from batches import padded
from config import generation_json
from examples import Example, ExampleError, read_examples
from folder import load_folder, read_json, write_settings
from lora import add_adapters, merge_adapters
from losses import answer_loss
from model import Florence2, shift_right
from pixels import normalize, read_picture
from run_state import make_optimizer
from weights import stored_weights, write_safetensors

LOG_STEPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a checkpoint, in either spelling")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--examples", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--accumulate", type=int, default=4, help="batches to a step of the optimizer")
    parser.add_argument("--rate", type=float, help="learning rate; 1e-5, or 1e-4 with --lora")
    parser.add_argument("--lora", type=int, metavar="R", help="train adapters of rank R instead of all weights")
    parser.add_argument("--alpha", type=float, help="strength of the adapters; 2 R")
    parser.add_argument("--freeze-vision", action="store_true", help="leave the vision tower as it is")
    parser.add_argument("--no-repeat", type=int, default=3, metavar="N", help="no_repeat_ngram_size of the result; 0 for answers that "
                        "repeat, such as JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    model, tokenizer = load_folder(options.model)
    try:
        examples = read_examples(options.examples, options.images, tokenizer, model.config)
    except ExampleError as error:
        sys.exit(str(error))
    prepare(model, options.lora, options.alpha, options.freeze_vision)
    print(f"{len(examples)} examples, {count(trainable(model)):,} of {count(model.parameters()):,} parameters are trained", flush=True)
    finetune(model.to(options.device), examples, options)
    save(model, options)


def prepare(model: Florence2, r: int | None, alpha: float | None, freeze_vision: bool) -> None:
    """Marks what is trained. Adapters on a frozen tower would stay at zero: it gets none."""
    if r and freeze_vision:
        model.requires_grad_(False)
        for part in (model.model.multi_modal_projector, model.model.language_model):
            add_adapters(part, r, alpha or 2 * r)
    elif r:
        add_adapters(model, r, alpha or 2 * r)
    elif freeze_vision:
        model.model.vision_tower.requires_grad_(False)


def finetune(model: Florence2, examples: list[Example], options: argparse.Namespace) -> list[float]:
    """Trains in place; returns each step's loss. The rate rises over the first 5 % of the steps, then falls as a cosine."""
    rate = options.rate or (1e-4 if options.lora else 1e-5)
    optimizer = make_optimizer(trainable(model), rate)
    losses = []
    groups = [group for epoch in range(options.epochs) for group in epoch_steps(examples, epoch, options)]
    model.train()
    for step, group in enumerate(groups, 1):
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate * schedule(step, len(groups))
        losses.append(train_step(model, optimizer, group, options))
        if step % LOG_STEPS == 0 or step == len(groups):
            print(f"step {step} of {len(groups)}, loss {losses[-1]:.4f}", flush=True)
    return losses


def epoch_steps(examples: list[Example], epoch: int, options: argparse.Namespace) -> Iterator[list[list[Example]]]:
    """The examples in the epoch's own order: steps of `accumulate` batches."""
    order = random.Random(options.seed * 1_000_003 + epoch).sample(examples, len(examples))
    size = options.batch * options.accumulate
    for start in range(0, len(order), size):
        step = order[start:start + size]
        yield [step[i:i + options.batch] for i in range(0, len(step), options.batch)]


def schedule(step: int, steps: int) -> float:
    warmup = max(1, steps // 20)
    return min(step / warmup, 0.5 * (1 + math.cos(math.pi * (step - 1) / steps)))


def train_step(model: Florence2, optimizer: torch.optim.Optimizer, group: list[list[Example]], options: argparse.Namespace) -> float:
    """One step of the optimizer over some batches; every example counts the same. Returns the mean loss."""
    total, mean = sum(map(len, group)), 0.0
    optimizer.zero_grad(set_to_none=True)
    for batch in group:
        loss = batch_loss(model, batch, options.device) * len(batch) / total
        loss.backward()
        mean += loss.item()
    nn.utils.clip_grad_norm_(trainable(model), 1.0)
    optimizer.step()
    return mean


def batch_loss(model: Florence2, batch: list[Example], device: str) -> Tensor:
    images = torch.stack([read_picture(example.image, model.config.image_size) for example in batch]).to(device)
    prompt, answer = (padded([getattr(example, name) for example in batch]).to(device) for name in ("prompt", "answer"))
    with torch.autocast("cuda", torch.bfloat16) if device.startswith("cuda") else contextlib.nullcontext():
        memory, seen = model.encode(model.see(normalize(images)), prompt)
        logits = model.decode(shift_right(answer), memory, seen)
    return answer_loss(logits, answer)


def save(model: Florence2, options: argparse.Namespace) -> None:
    """Writes a checkpoint folder in the transformers-native spelling, adapters merged into the weights."""
    merge_adapters(model)
    write_settings(options.out, model.config, read_json(options.model / "tokenizer.json"), generation_json(options.no_repeat))
    write_safetensors(stored_weights(model), options.out / "model.safetensors", "F32")


def trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


if __name__ == "__main__":
    main()
