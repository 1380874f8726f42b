"""The exact bytes of every token id, so that text can be shown, cut and searched without the tokenizer.

Three kinds of vocabulary write their tokens in three ways:

* byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM2): a printable character stands for each byte;
* sentencepiece style (Llama 2, Gemma, Mistral): `▁` stands for a space, `<0x0A>` for one byte;
* plain (word level, WordPiece): the text itself; spaces between words are not part of any token.

Added tokens are their own text in all three.
"""

import re
from collections.abc import Callable, Container, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTE_PIECE = re.compile(r"^<0x([0-9A-Fa-f]{2})>$")


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's alphabet, inverted: printable bytes stand for themselves, the others for characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    return alphabet | {chr(0x100 + n): byte for n, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()


def find_vocabulary_kind(tokenizer_json: dict[str, Any]) -> str:
    """`byte_level`, `sentencepiece` or `plain`, from the steps that a tokenizer.json declares."""
    steps = set(_step_types(tokenizer_json))
    if "ByteLevel" in steps:
        return "byte_level"
    if steps & {"Metaspace", "ByteFallback"} or _replaces_space(tokenizer_json):
        return "sentencepiece"
    return "plain"


def _step_types(tokenizer_json: dict[str, Any]) -> Iterator[str]:
    for part in ("pre_tokenizer", "decoder", "normalizer"):
        for step in _steps(tokenizer_json.get(part)):
            yield step.get("type", "")


def _steps(step: Any) -> Iterator[dict[str, Any]]:
    """A step and the steps inside it."""
    if isinstance(step, dict):
        yield step
        for name in ("pretokenizers", "decoders", "normalizers"):
            for inner in step.get(name) or []:
                yield from _steps(inner)


def _replaces_space(tokenizer_json: dict[str, Any]) -> bool:
    return any(
        step.get("type") == "Replace" and step.get("content") == "▁"
        for step in _steps(tokenizer_json.get("normalizer"))
    )


def build_token_bytes(
    tokenizer_json: dict[str, Any], vocab: dict[str, int], n_vocab: int, normalise: Callable[[str], str]
) -> tuple[bytes, NDArray[np.uint32]]:
    """(bytes, ends): token i is `bytes[ends[i − 1]:ends[i]]`; ids without a token are empty.

    `vocab` holds every token, added ones too, as the tokenizer writes them; `normalise` is the tokenizer's normaliser.
    ends is u32 [n_vocab].
    """
    model = tokenizer_json.get("model") or {}
    kind = find_vocabulary_kind(tokenizer_json)
    prefix = model.get("continuing_subword_prefix") or ""
    own = model.get("vocab") or {}
    pieces = own.keys() if isinstance(own, dict) else {piece for piece, _ in own}
    added = {token["id"]: token for token in tokenizer_json.get("added_tokens") or []}
    contents = [b""] * n_vocab
    for token, token_id in vocab.items():
        if token_id in added:
            contents[token_id] = _added_bytes(added[token_id], kind, pieces, normalise)
        else:
            contents[token_id] = _piece_bytes(token, kind, prefix)
    ends = np.cumsum([len(content) for content in contents], dtype=np.uint64)
    if len(ends) and ends[-1] >= 2**32:
        raise ValueError("a vocabulary of more than 4 GiB")
    return b"".join(contents), ends.astype(np.uint32)


def _added_bytes(token: dict[str, Any], kind: str, pieces: Container[str], normalise: Callable[[str], str]) -> bytes:
    """The text that an added token stands for."""
    content = token["content"]
    if token.get("normalized"):  # found in the normalised text, where a space may be `▁` already
        content = normalise(content)
        return content.replace("▁", " ").encode() if kind == "sentencepiece" else content.encode()
    # Gemma lists pieces of its vocabulary such as `▁▁` among the added tokens; those are pieces all the same.
    if kind == "sentencepiece" and not token["special"] and content in pieces:
        return _piece_bytes(content, kind, "")
    return content.encode()


def _piece_bytes(token: str, kind: str, prefix: str) -> bytes:
    if kind == "byte_level":
        if all(character in _BYTE_OF for character in token):
            return bytes(_BYTE_OF[character] for character in token)
        return token.encode()
    if kind == "sentencepiece":
        byte = _BYTE_PIECE.match(token)
        return bytes([int(byte.group(1), 16)]) if byte else token.replace("▁", " ").encode()
    return (token.removeprefix(prefix) if prefix else token).encode()


def gather_bytes(token_bytes: NDArray[np.uint8], ends: NDArray[np.uint32], ids: NDArray[np.integer]) -> bytes:
    """The bytes of the given ids, one after another."""
    stop = ends[ids].astype(np.int64)
    start = np.where(ids > 0, ends[np.maximum(ids, 1) - 1], 0).astype(np.int64)
    n = stop - start
    out_start = np.cumsum(n) - n
    place = np.arange(int(n.sum())) + np.repeat(start - out_start, n)
    return token_bytes[place].tobytes()
