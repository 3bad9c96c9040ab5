"""The byte-level BPE tokenizer that a tokenizer.json describes: Florence-2's own, and the small one of florence-2-nano."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Iterable

from config import BEGIN, END
from locations import BINS

# GPT-2's split into words. The standard library's re lacks \p classes: a digit is \d here, which leaves out ² and ½.
WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
FRAME = ("<s>", "<pad>", "</s>", "<unk>")  # tokens that decoded text leaves out
UNMERGED = 1 << 30


class Tokenizer:
    def __init__(self, spec: dict[str, Any]):
        self.added: dict[str, int] = {token["content"]: token["id"] for token in spec["added_tokens"]}
        self.vocab: dict[str, int] = spec["model"]["vocab"]
        self.size = max(*self.vocab.values(), *self.added.values()) + 1
        self.first_location = self.added["<loc_0>"]
        merges = (merge.split(" ") if isinstance(merge, str) else merge for merge in spec["model"]["merges"])
        self._rank = {tuple(merge): rank for rank, merge in enumerate(merges)}
        self._text = {i: token for token, i in {**self.vocab, **self.added}.items()}
        self._byte = {letter: byte for byte, letter in BYTE_LETTERS.items()}
        self._added_pattern = re.compile("(" + "|".join(re.escape(token) for token in sorted(self.added, key=len, reverse=True)) + ")")
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        return cls(json.loads(path.read_text(encoding="utf8")))

    def encode(self, text: str) -> list[int]:
        """Token ids, <s> and </s> around them."""
        ids = [BEGIN]
        for chunk in self.split_added(text):
            if chunk in self.added:
                ids.append(self.added[chunk])
            else:
                for word in words(chunk):
                    ids += self._merge(word)
        return [*ids, END]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids, without <s>, <pad>, </s> and <unk>."""
        text, pending = "", bytearray()
        for i in ids:
            token = self._text[i]
            if token in self.added:
                text += pending.decode("utf8", "replace")
                pending.clear()
                text += "" if token in FRAME else token
            else:
                pending += bytes(self._byte[letter] for letter in token)
        return text + pending.decode("utf8", "replace")

    def split_added(self, text: str) -> list[str]:
        """The text cut at its added tokens, which are pieces of their own."""
        return [chunk for chunk in self._added_pattern.split(text) if chunk]

    def _merge(self, word: str) -> list[int]:
        if word not in self._cache:
            parts = list(word)
            while len(parts) > 1:
                rank, i = min((self._rank.get(pair, UNMERGED), i) for i, pair in enumerate(zip(parts, parts[1:])))
                if rank == UNMERGED:
                    break
                parts[i:i + 2] = [parts[i] + parts[i + 1]]
            self._cache[word] = [self.vocab[part] for part in parts]
        return self._cache[word]


def words(text: str) -> list[str]:
    """GPT-2's words of a text, each byte as its printable letter."""
    return ["".join(BYTE_LETTERS[byte] for byte in word.encode()) for word in WORD.findall(text)]


def byte_letters() -> dict[int, str]:
    """GPT-2's reversible map from bytes to printable letters."""
    table = {byte: chr(byte) for byte in [*range(33, 127), *range(161, 173), *range(174, 256)]}
    spare = (chr(256 + i) for i in range(256))
    return {**table, **{byte: next(spare) for byte in range(256) if byte not in table}}


BYTE_LETTERS = byte_letters()
LOCATION_TOKENS = [f"<loc_{i}>" for i in range(BINS)]
