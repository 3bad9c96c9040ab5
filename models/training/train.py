"""Trains florence-2-nano on synthetic scenes; goes on from the folder's last checkpoint.

    python3 train.py --out runs/nano --minutes 60 --total-minutes 240 --processes 2
    python3 train.py --out runs/gpu --profile gpu --device cuda --workers 14 --minutes 9 --total-minutes 54
"""
from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from batches import Batch, SceneQuestions, load_batches
from bpe import make_tokenizer
from config import generation_json
from evaluate import EVALUATION_SET, evaluate
from folder import read_json, write_settings
from losses import smooth_locations, smoothed_answer_loss
from model import shift_right
from pixels import normalize
from profiles import PROFILES, Profile
from run_state import TrainingRun, open_run
from scenes import SceneMaker
from sight import sight_losses
from tokens import Tokenizer

SPREAD_FIRST, SPREAD_LAST = 4.0, 1.5  # bins: wide to learn that locations are numbers, narrow to become sure of them
SIGHT_WEIGHT, READ_WEIGHT = 0.5, 0.3
WARMUP_STEPS = 500
LOG_STEPS = 100
SAVE_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--profile", choices=PROFILES, default="cpu")
    parser.add_argument("--minutes", type=float, default=60, help="length of this sitting; 0 only writes settings and scores")
    parser.add_argument("--total-minutes", type=float, help="length of the whole schedule, where it takes several sittings")
    parser.add_argument("--init", type=Path, help="weights that a new run starts from: a folder, a .safetensors file or a state dict")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw scenes")
    parser.add_argument("--processes", type=int, default=1, help="CPU processes of one thread each, their gradients averaged: on two "
                        "cores far faster than two threads")
    parser.add_argument("--questions", type=int, default=6, help="asked about each scene")
    parser.add_argument("--max-things", type=int, default=3)
    parser.add_argument("--max-words", type=int, default=2)
    parser.add_argument("--evaluate-minutes", type=float, default=20, help="minutes between evaluations")
    options = parser.parse_args()
    profile = PROFILES[options.profile]
    tokenizer = options.out / "tokenizer.json"
    spec = read_json(tokenizer) if tokenizer.exists() else make_tokenizer(profile.image_size)
    # Without early stopping: with it, three wrong short answers end the search before the right long one is complete.
    generation = generation_json(no_repeat_ngram_size=0, beams=1, early_stopping=False)
    write_settings(options.out, profile.config(Tokenizer(spec).size), spec, generation)
    if options.processes == 1:
        train(0, options)
    else:
        torch.multiprocessing.spawn(train, (options,), nprocs=options.processes)


def train(rank: int, options: argparse.Namespace) -> None:
    """One process of a run: the first also logs, saves and evaluates."""
    if options.processes > 1:
        join_processes(rank, options.processes)
    torch.manual_seed(options.seed)
    profile = PROFILES[options.profile]
    tokenizer = Tokenizer.load(options.out / "tokenizer.json")
    run = open_run(options.out, profile, tokenizer, device=options.device, init=options.init)
    # Two numbers and zeros: held-out scenes have a third (make_evaluation.py). A sitting's step makes it see new scenes.
    entropy = [1000 + run.progress.step + 7919 * rank, 0, options.seed]
    data = SceneQuestions(SceneMaker(options.max_things, options.max_words), tokenizer, image_size=profile.image_size, grid=profile.grid,
                          questions=options.questions, entropy=entropy)
    batches = load_batches(data, max(1, profile.batch // options.questions), options.workers)
    sitting = Sitting(run.progress.minutes, options)
    reporter = Reporter(run, tokenizer, options) if rank == 0 else None
    run.model.train()
    while not sitting.over():
        rate = sitting.learning_rate(profile, run.progress.step)
        targets = smooth_locations(sitting.location_spread(), options.device)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        losses = train_step(run, next(batches).to(options.device), targets, tokenizer.first_location, options)
        if reporter:
            reporter.after_step(losses, rate, sitting.run_minutes)
    if reporter:
        reporter.finish(sitting.run_minutes)


@dataclass
class Losses:
    answer: Tensor
    sight: Tensor
    read: Tensor


def train_step(run: TrainingRun, batch: Batch, targets: Tensor, first_location: int, options: argparse.Namespace) -> Losses:
    """Forward, backward, one step of the optimizer."""
    model = run.model
    half = options.device.startswith("cuda")
    with torch.autocast("cuda", torch.bfloat16) if half else contextlib.nullcontext():
        features = model.see(normalize(batch.images))
        memory, seen = model.encode(features.repeat_interleave(options.questions, 0), batch.prompt)
        logits = model.decode(shift_right(batch.answer), memory, seen)
    losses = Losses(smoothed_answer_loss(logits, batch.answer, first_location, targets), *sight_losses(run.head, features, batch.cells))
    run.optimizer.zero_grad(set_to_none=True)
    (losses.answer + SIGHT_WEIGHT * losses.sight + READ_WEIGHT * losses.read).backward()
    if options.processes > 1:
        average_gradients(run.parameters, options.processes)
    nn.utils.clip_grad_norm_(run.parameters, 1.0)
    run.optimizer.step()
    run.progress.step += 1
    run.progress.samples += len(batch.answer) * options.processes
    return losses


class Sitting:
    """The time of one sitting, the same in every process, and the learning rate that follows from it."""

    def __init__(self, minutes_before: float, options: argparse.Namespace):
        self.start, self.before = time.monotonic(), minutes_before
        self.minutes, self.processes = options.minutes, options.processes
        self.total = options.total_minutes or minutes_before + options.minutes
        self.elapsed = 0.0

    @property
    def run_minutes(self) -> float:
        return self.before + self.elapsed

    def over(self) -> bool:
        """Reads the clock. Every process must leave at the same step, so the first one's clock counts for all."""
        self.elapsed = (time.monotonic() - self.start) / 60
        if self.processes > 1:
            clock = torch.tensor([self.elapsed])
            distributed.broadcast(clock, 0)
            self.elapsed = clock.item()
        return self.elapsed >= self.minutes

    def learning_rate(self, profile: Profile, step: int) -> float:
        """Linear warm-up, then a cosine down to 3 % of the profile's rate."""
        return profile.learning_rate * min(1.0, (step + 1) / WARMUP_STEPS) * (0.03 + 0.97 * self.to_go())

    def location_spread(self) -> float:
        """In bins; it narrows as the learning rate falls."""
        return SPREAD_LAST + (SPREAD_FIRST - SPREAD_LAST) * self.to_go()

    def to_go(self) -> float:
        """From 1 at the schedule's start to 0 at its end, along a cosine."""
        return 0.5 * (1 + math.cos(math.pi * min(1.0, self.run_minutes / self.total)))


class Reporter:
    """Logs, saves and evaluates as the run goes."""

    def __init__(self, run: TrainingRun, tokenizer: Tokenizer, options: argparse.Namespace):
        self.run, self.tokenizer, self.options = run, tokenizer, options
        self.smoothed: float | None = None
        self.logged = self.saved = self.evaluated = time.monotonic()
        self.samples = run.progress.samples
        millions = sum(parameter.numel() for parameter in run.model.parameters()) / 1e6
        print(f"{millions:.2f} M parameters, vocabulary {tokenizer.size}, from {run.progress}", flush=True)

    def after_step(self, losses: Losses, rate: float, minutes: float) -> None:
        now = time.monotonic()
        if self.run.progress.step % LOG_STEPS == 0:
            self.log(losses, rate, minutes)
        if now - self.saved > SAVE_SECONDS:
            self.run.save(self.options.out, minutes)
            self.saved = now
        if now - self.evaluated > self.options.evaluate_minutes * 60:
            self.evaluate()
            self.evaluated = time.monotonic()

    def log(self, losses: Losses, rate: float, minutes: float) -> None:
        value, progress, now = losses.answer.item(), self.run.progress, time.monotonic()
        self.smoothed = value if self.smoothed is None else 0.8 * self.smoothed + 0.2 * value
        speed = (progress.samples - self.samples) / (now - self.logged)
        self.logged, self.samples = now, progress.samples
        print(f"step {progress.step} samples {progress.samples} loss {self.smoothed:.4f} sight {losses.sight.item():.3f} "
              f"read {losses.read.item():.3f} lr {rate:.2e} {speed:.1f}/s {minutes:.1f} min", flush=True)

    def evaluate(self) -> None:
        self.run.model.eval()
        scores = evaluate(self.run.model, self.tokenizer, EVALUATION_SET, device=self.options.device)
        print("evaluation", json.dumps(scores), flush=True)
        self.run.model.train()

    def finish(self, minutes: float) -> None:
        self.run.save(self.options.out, minutes)
        self.evaluate()


def join_processes(rank: int, count: int) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29511")
    distributed.init_process_group("gloo", rank=rank, world_size=count)


def average_gradients(parameters: list[nn.Parameter], processes: int) -> None:
    """Replaces every gradient by its mean over all processes; one flat tensor is exchanged."""
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters])
    distributed.all_reduce(flat)
    flat /= processes
    offset = 0
    for parameter in parameters:
        parameter.grad.copy_(flat[offset:offset + parameter.numel()].view_as(parameter))
        offset += parameter.numel()


if __name__ == "__main__":
    main()
