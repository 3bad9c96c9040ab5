"""Scores a model on the held-out set, task by task.

    python3 evaluate.py --model ../florence-2-nano
    python3 evaluate.py --model runs/nano --beams 3 --json scores.json --answers answers.jsonl

--model is any model folder: exported, a run of train.py, or a public checkpoint.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import torch

from batches import padded
from folder import load_folder, read_json, write_json
from generate import beam_search, generate
from metrics import score
from model import Florence2
from pixels import normalize, read_picture
from tokens import Tokenizer

EVALUATION_SET = Path(__file__).parent.with_name("evaluation")
TOKENS_MAX = 128
BATCH = 32

Scores = dict[str, dict[str, float]]


class Task(NamedTuple):
    image: str
    task: str
    prompt: str
    answer: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--set", type=Path, default=EVALUATION_SET)
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="file to write the scores to")
    parser.add_argument("--answers", type=Path, help="file to write every question with its given answer to")
    options = parser.parse_args()
    model, tokenizer = load_folder(options.model)
    tasks = read_tasks(options.set)
    early_stopping = read_json(options.model / "generation_config.json")["early_stopping"]
    given = answer_all(model.to(options.device), tokenizer, options.set, tasks, beams=options.beams, early_stopping=early_stopping,
                       device=options.device)
    scores = score_all(tasks, given)
    for name, figures in scores.items():
        print(f"{name:<34}" + "  ".join(f"{figure} {value:.3f}" for figure, value in figures.items()))
    if options.json:
        write_json(options.json, {"beams": options.beams, "questions": len(tasks), "tasks": scores})
    if options.answers:
        lines = [json.dumps({**task._asdict(), "given": text}, ensure_ascii=False) for task, text in zip(tasks, given)]
        options.answers.write_text("\n".join(lines) + "\n", encoding="utf8")


def evaluate(model: Florence2, tokenizer: Tokenizer, folder: Path, *, device: str) -> Scores:
    """Greedy scores of a model on a set."""
    tasks = read_tasks(folder)
    return score_all(tasks, answer_all(model, tokenizer, folder, tasks, beams=1, early_stopping=True, device=device))


def read_tasks(folder: Path) -> list[Task]:
    return [Task(**json.loads(line)) for line in (folder / "tasks.jsonl").read_text(encoding="utf8").splitlines()]


@torch.no_grad()
def answer_all(model: Florence2, tokenizer: Tokenizer, folder: Path, tasks: list[Task], *, beams: int, early_stopping: bool,
               device: str) -> list[str]:
    """The model's answers, in the order of the tasks; each picture is encoded once."""
    names = sorted({task.image for task in tasks})
    pictures = torch.stack([read_picture(folder / name, model.config.image_size) for name in names])
    features = torch.cat([model.see(normalize(part.to(device))) for part in pictures.split(BATCH)])
    rows = [names.index(task.image) for task in tasks]
    prompts = [tokenizer.encode(task.prompt) for task in tasks]
    if beams > 1:
        answers = [beam_search(model, features[row][None], padded([prompt]).to(device), TOKENS_MAX, beams,
                               early_stopping=early_stopping)
                   for row, prompt in zip(rows, prompts)]
        return [tokenizer.decode(answer) for answer in answers]
    answers = {}
    order = sorted(range(len(tasks)), key=lambda i: tasks[i].task)  # answers of one task are of one length
    for start in range(0, len(order), BATCH):
        part = order[start:start + BATCH]
        ids = generate(model, features[[rows[i] for i in part]], padded([prompts[i] for i in part]).to(device), TOKENS_MAX)
        answers.update(zip(part, ids))
    return [tokenizer.decode(answers[i]) for i in range(len(tasks))]


def score_all(tasks: list[Task], given: list[str]) -> Scores:
    """Figures by task, in the order in which the tasks first come."""
    by_task: dict[str, tuple[list[str], list[str]]] = {}
    for task, text in zip(tasks, given):
        wanted, answers = by_task.setdefault(task.task, ([], []))
        wanted.append(task.answer)
        answers.append(text)
    return {name: score(name, wanted, answers) for name, (wanted, answers) in by_task.items()}


if __name__ == "__main__":
    main()
