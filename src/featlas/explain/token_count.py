"""Estimates how many tokens a provider will count in a text, without the provider's tokenizer, which is not at hand."""

import regex

# What tokenizers of today's models cut text into before they look into their vocabulary (as GPT-4's does).
_PIECES = regex.compile(
    r"'(?:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    regex.IGNORECASE,
)
OVERHEAD = 8
"""Tokens that a provider adds around the messages of a chat."""


def estimate_prompt(system: str, user: str) -> int:
    """About how many tokens a question has that consists of these two texts."""
    return estimate_tokens(system) + estimate_tokens(user) + OVERHEAD


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: within a tenth for English prose, a seventh for code, less sure for others."""
    return round(sum(_of_piece(piece) for piece in _PIECES.findall(text)))


def _of_piece(piece: str) -> float:
    n_bytes, n = len(piece.encode("utf-8", "surrogatepass")), len(piece)
    is_word = piece[-1:].isalpha()
    if n_bytes > n:  # outside ASCII: between two and three bytes to a token, fewer in signs that are rare
        return max(1.0, n_bytes / (2.5 if is_word or max(piece) < _RARE else 1.5))
    if is_word:  # a word after a space is mostly one token; one that is part of a name in code is cut sooner
        most, per_token = (7, 5) if piece[0] == " " else (4, 4)
        return 1.0 + max(0, n - most) / per_token
    if piece.isspace() or piece[-1:].isdigit():
        return 1.0
    return max(1.0, n / 2.5)


_RARE = "\u2100"  # above it are arrows, mathematical brackets, boxes and emoji; below, the marks of ordinary writing
