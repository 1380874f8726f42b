"""Tokenizers small enough to train in a moment, saved as a model's folder holds them."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

TEXTS = ["the cat sat on the mat and the dog sat on the log", "def add(a, b):\n    return a + b\n", "Übermut tut gut"]
CHAT_TOKENS = ["<|endoftext|>", "<|user|>", "<|assistant|>"]


def save(tokenizer: Tokenizer, folder: Path, config: dict, model_config: dict | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if model_config is not None:
        (folder / "config.json").write_text(json.dumps(model_config))
    return folder


def byte_level(folder: Path, *, n_merges: int = 40, model_config: dict | None = None) -> Path:
    """As GPT-2's: bytes as printable characters, merges, a BOS and chat markers as special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(CHAT_TOKENS) + 256 + n_merges,
        special_tokens=CHAT_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return save(tokenizer, folder, {"bos_token": "<|endoftext|>", "model_max_length": 16}, model_config)


def sentencepiece_style(folder: Path) -> Path:
    """As Llama 2's: `▁` for a space, one put in front, single bytes as `<0xNN>`."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"thecaso", "▁t", "he", "▁the"]
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he")]
    vocab = {piece: n for n, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.add_tokens(["▁▁"])
    return save(tokenizer, folder, {"bos_token": {"content": "<s>"}})


def word_level(folder: Path) -> Path:
    """One id per word; spaces are lost."""
    words = ["<unk>", "the", "cat", "sat", "on", "mat"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return save(tokenizer, folder, {})
