"""Answers from a model: greedy or beam search, on keys and values kept from the tokens before."""
from __future__ import annotations

import torch
from torch import Tensor

from bart import Cache
from config import BEGIN, END, PAD
from model import Florence2

Finished = tuple[float, list[int]]


@torch.no_grad()
def generate(model: Florence2, features: Tensor, prompt: Tensor, tokens_max: int) -> list[list[int]]:
    """Greedy answers' ids for image features (B, N, D) and prompt ids (B, T), without start and end."""
    memory, seen = model.encode(features, prompt)
    language = model.model.language_model
    ids = torch.tensor([[END, BEGIN]], device=prompt.device).repeat(len(prompt), 1)  # start, then the forced first token
    logits, caches = language.decoder(language.shared(ids), memory, seen)
    done = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
    answers: list[Tensor] = []
    while len(answers) < tokens_max:
        token = logits[:, -1].argmax(-1).masked_fill(done, PAD)
        done |= token == END
        answers.append(token)
        if done.all():
            break
        logits, caches = language.decoder(language.shared(token[:, None]), memory, seen, caches)
    rows = torch.stack(answers, 1).tolist()
    return [row[:row.index(END)] if END in row else row for row in rows]


@torch.no_grad()
def beam_search(model: Florence2, features: Tensor, prompt: Tensor, tokens_max: int, beams: int, *, early_stopping: bool) -> list[int]:
    """The best answer's ids for one image (1, N, D) and prompt (1, T): 2 * beams candidates a step, finished hypotheses ranked
    by their summed log-probability over their length, as in the reference. Once `beams` have finished it stops: at once where it
    stops early, else when no live beam ranks above the worst of them."""
    memory, seen = model.encode(features, prompt)
    memory, seen = memory.expand(beams, -1, -1), seen.expand(beams, -1)
    language = model.model.language_model
    ids = torch.tensor([[END, BEGIN]], device=prompt.device).repeat(beams, 1)
    scores = torch.full((beams,), -1e9, device=prompt.device)
    scores[0] = 0.0  # the beams start equal: all but one must not count
    logits, caches = language.decoder(language.shared(ids), memory, seen)
    finished: list[Finished] = []
    for _ in range(tokens_max):
        totals = scores[:, None] + logits[:, -1].float().log_softmax(-1)
        best, flat = totals.flatten().topk(2 * beams)
        kept: list[tuple[float, int, int]] = []
        for rank, (score, position) in enumerate(zip(best.tolist(), flat.tolist())):
            row, token = divmod(position, totals.shape[1])
            if token != END:
                kept.append((score, row, token))
            elif rank < beams:
                finished.append((score / ids.shape[1], ids[row, 2:].tolist()))
        finished = sorted(finished, reverse=True)[:beams]
        if len(finished) == beams and (early_stopping or kept[0][0] / ids.shape[1] <= finished[-1][0]):
            break
        kept = kept[:beams]
        rows = torch.tensor([row for _, row, _ in kept], device=ids.device)
        tokens = torch.tensor([[token] for _, _, token in kept], device=ids.device)
        scores = torch.tensor([score for score, _, _ in kept], device=ids.device)
        ids = torch.cat([ids[rows], tokens], 1)
        caches = [Cache(*(part[rows] for part in cache)) for cache in caches]
        logits, caches = language.decoder(language.shared(tokens), memory, seen, caches)
    else:
        finished += [(score / ids.shape[1], row[2:]) for score, row in zip(scores.tolist(), ids.tolist())]
    return max(finished)[1]
