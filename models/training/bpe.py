"""Makes the small tokenizer of florence-2-nano: Florence-2's added tokens around a BPE vocabulary of the tasks' own texts."""
from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

from config import BEGIN, END
from scenes import SceneMaker
from tasks import TASKS, ask
from tokens import BYTE_LETTERS, FRAME, LOCATION_TOKENS, words

# In the ids' order of the public checkpoints; the misspelt region_to_desciption is theirs.
FLORENCE_TOKENS = [
    "<od>", "</od>", "<ocr>", "</ocr>", *LOCATION_TOKENS, "<cap>", "</cap>", "<ncap>", "</ncap>", "<dcap>", "</dcap>", "<grounding>",
    "</grounding>", "<seg>", "</seg>", "<sep>", "<region_cap>", "</region_cap>", "<region_to_desciption>", "</region_to_desciption>",
    "<proposal>", "</proposal>", "<poly>", "</poly>", "<and>",
]
LOCATION_RUN = re.compile(r"(?:<loc_\d+>)+")
CORPUS_SCENES = 1500
MERGES = 700

Word = tuple[str, ...]


def make_tokenizer(image_size: int) -> dict[str, Any]:
    """tokenizer.json of a new model, learned from the texts of scenes."""
    rng = np.random.default_rng(0)
    scenes = SceneMaker()
    corpus: Counter[str] = Counter()
    for _ in range(CORPUS_SCENES):
        scene = scenes.squeezed(rng, image_size)
        for task in TASKS:
            for text in ask(scene, task, rng) or ():
                corpus.update(word for chunk in LOCATION_RUN.split(text) for word in words(chunk))
    return tokenizer_json(learn_merges(corpus, MERGES))


def learn_merges(corpus: Counter[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair encoding of counted words: again and again, the commonest pair becomes one token."""
    counts = Counter({tuple(word): n for word, n in corpus.items() if not is_printed(word)})
    merges = []
    for _ in range(count):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, n in counts.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        merged: Counter[Word] = Counter()
        for word, n in counts.items():
            merged[merge_pair(word, best)] += n
        counts = merged
    return merges


def merge_pair(word: Word, pair: tuple[str, str]) -> Word:
    merged, i = [], 0
    while i < len(word):
        if word[i:i + 2] == pair:
            merged.append("".join(pair))
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return tuple(merged)


def is_printed(word: str) -> bool:
    """Capitals and digits stay letters, so that the model reads printed words letter by letter; a capital may begin a sentence."""
    letters = word.removeprefix(BYTE_LETTERS[ord(" ")])
    return any(letter.isupper() or letter.isdigit() for letter in letters[1:] or letters)


def tokenizer_json(merges: list[tuple[str, str]]) -> dict[str, Any]:
    """A Hugging Face tokenizer.json: the frame, bytes and merges, <mask>, then Florence-2's tokens."""
    vocab = {token: i for i, token in enumerate([*FRAME, *BYTE_LETTERS.values(), *("".join(merge) for merge in merges), "<mask>"])}
    added = {token: vocab[token] for token in (*FRAME, "<mask>")}
    added.update({token: len(vocab) + i for i, token in enumerate(FLORENCE_TOKENS)})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": token, **flags, "lstrip": token == "<mask>"} for token, i in added.items()],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "add_prefix_space": False},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", END], "cls": ["<s>", BEGIN], "trim_offsets": True,
                           "add_prefix_space": False},
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": [" ".join(merge) for merge in merges]},
    }
