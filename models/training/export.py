"""Writes a model folder for hosting: settings, weights and the public layout's four ONNX graphs.

    python3 export.py --model runs/nano --out ../florence-2-nano --revision 2026-01-31
    python3 export.py --model runs/meters --out meters --revision 1 --description "Reads meters" --tasks READ_TEXT PROMPT
"""
from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

from folder import load_folder, read_json, write_json, write_settings
from graphs import write_graphs
from weights import stored_weights, write_safetensors

SERVED_TASKS = ["CAPTION", "DETECT_OBJECTS", "DESCRIBE_REGIONS", "PROPOSE_REGIONS", "GROUND_PHRASES", "READ_TEXT", "SEGMENT",
                "DESCRIBE_REGION", "ASK", "PROMPT"]
NANO = ("The embedded 2 M-parameter demonstration model: sees 32 kinds of emoji objects and printed words; for first steps and tests, "
        "not for photographs.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a run of train.py, a fine-tuned or a public checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="the folder's name becomes the model's id")
    parser.add_argument("--revision", default=date.today().isoformat())
    parser.add_argument("--description", default=NANO)
    parser.add_argument("--licence", default="MIT")
    parser.add_argument("--tasks", nargs="+", choices=SERVED_TASKS, default=SERVED_TASKS)
    parser.add_argument("--tokens-max", type=int, default=128)
    options = parser.parse_args()
    model, tokenizer = load_folder(options.model)
    generation = read_json(options.model / "generation_config.json")
    write_settings(options.out, model.config, read_json(options.model / "tokenizer.json"), generation)
    write_safetensors(stored_weights(model), options.out / "model.safetensors", "F16")
    write_graphs(model, options.out / "onnx")
    write_json(options.out / "vedere.json", hosting(options, generation))
    files = sorted(path for path in options.out.rglob("*") if path.is_file())
    for path in files:
        print(f"{path.stat().st_size:>12,}  {path.relative_to(options.out)}")
    print(f"{sum(path.stat().st_size for path in files):>12,}  in all; {tokenizer.size} tokens, {model.config.image_size} px")


def hosting(options: argparse.Namespace, generation: dict[str, Any]) -> dict[str, Any]:
    """vedere.json: how the worker hosts the model."""
    defaults = {"beams": generation["num_beams"], "maxTokens": options.tokens_max, "noRepeatNgramSize": generation["no_repeat_ngram_size"]}
    return {"id": options.out.resolve().name, "description": options.description, "revision": options.revision, "precision": "fp32",
            "licence": options.licence, "tasks": options.tasks, "defaults": defaults}


if __name__ == "__main__":
    main()
