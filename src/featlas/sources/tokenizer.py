"""Text becomes token ids here, and nowhere else; loads what lies beside a model, without loading torch."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from numpy.typing import NDArray

from featlas.errors import ExternalError, InputError, NotFoundError
from featlas.sources.token_bytes import build_token_bytes, gather_bytes

_FILES = [
    "tokenizer*",
    "*.model",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "config.json",
]
_FINGERPRINTED = ("model", "normalizer", "pre_tokenizer", "added_tokens")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer and its vocabulary as bytes; token i is `token_bytes[ends[i − 1]:ends[i]]`.

    n_vocab is the model's vocabulary size where that is larger than the tokenizer's; ids without a token are empty.
    The bytes of a text's ids, joined, are the text's UTF-8: exactly for byte-level vocabularies; for sentencepiece
    with the space that it may put in front; in both after the tokenizer's own normaliser, where it has one, and
    without the characters that it has no token for (SmolLM2 drops six control characters). Plain vocabularies (word
    level) drop what stands between words.
    """

    token_bytes: bytes = field(repr=False)
    ends: NDArray[np.uint32] = field(repr=False)  # [n_vocab]
    bos_id: int | None
    special_ids: tuple[int, ...] = field(repr=False)
    fingerprint: str
    _backend: tokenizers.Tokenizer = field(repr=False)

    @classmethod
    def load(cls, name: str | Path, *, revision: str = "", n_vocab: int = 0) -> "Tokenizer":
        """Load from a local folder or a hub id; n_vocab pads the vocabulary beyond what the folder's files say.

        Raises NotFoundError where there is no such folder or repository, InputError where it holds no usable
        tokenizer, ExternalError where the hub cannot be reached.
        """
        folder = _find_folder(str(name), revision)
        backend, content = _load_backend(folder)
        backend.no_truncation()
        backend.no_padding()
        vocab = backend.get_vocab(with_added_tokens=True)
        if not vocab:
            raise InputError(f"{folder}: the tokenizer's vocabulary is empty")
        size = max(max(vocab.values()) + 1, _model_vocab_size(folder), n_vocab)
        token_bytes, ends = build_token_bytes(content, vocab, size, _normaliser(backend))
        special = tuple(sorted(token["id"] for token in content.get("added_tokens") or [] if token["special"]))
        bos_id = _find_bos_id(folder, vocab)
        fingerprint = _fingerprint(content, token_bytes, ends, bos_id)
        return cls(token_bytes, ends, bos_id, special, fingerprint, backend)

    @property
    def n_vocab(self) -> int:
        """Number of ids, those without a token included."""
        return len(self.ends)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """Token ids of each text, of any length; nothing is added, special tokens in the text become their ids."""
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    def decode_bytes(self, ids: NDArray[np.integer]) -> bytes:
        """The bytes of the ids, joined; raises IndexError for an id outside the vocabulary."""
        return gather_bytes(self._bytes_array, self.ends, np.asarray(ids))

    @cached_property
    def _bytes_array(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.token_bytes, dtype=np.uint8)


def _find_folder(name: str, revision: str) -> Path:
    """The local folder, or the hub's files in the local cache."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision:
            raise InputError(f"{name} is a local folder, which has no revision {revision!r}; leave the revision out")
        return folder
    if folder.exists() or folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise NotFoundError(f"no folder {name}; a folder with tokenizer.json or the id of a hub model was expected")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=_FILES))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise NotFoundError(f"no folder and no hub model {name!r}; check the spelling") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ExternalError(
            f"could not fetch the tokenizer of {name!r} ({error}); check the connection, or give a local folder",
            retryable=True,
        ) from error


def _load_backend(folder: Path) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """The tokenizer and its declaration, as in a tokenizer.json."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        backend = _convert(folder)
        return backend, json.loads(backend.to_str())
    try:
        content = json.loads(path.read_bytes())
        return tokenizers.Tokenizer.from_file(str(path)), content
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); copy the tokenizer again") from error
    except Exception as error:  # the library raises plain Exception for whatever it cannot read
        raise InputError(f"{path} is not a tokenizer ({error}); copy the tokenizer again") from error


def _convert(folder: Path) -> tokenizers.Tokenizer:
    """Build the tokenizer from older files (vocab.json, merges.txt, tokenizer.model), as transformers does."""
    from transformers import AutoTokenizer  # slow to import, and seldom needed

    try:
        return AutoTokenizer.from_pretrained(str(folder)).backend_tokenizer
    except (OSError, ValueError, ImportError, AttributeError, KeyError) as error:
        raise InputError(
            f"{folder} has no tokenizer.json, and its other files make no tokenizer ({error}); add tokenizer.json"
        ) from error


def _normaliser(backend: tokenizers.Tokenizer) -> Callable[[str], str]:
    return backend.normalizer.normalize_str if backend.normalizer is not None else str


def _load_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); copy the file again") from error
    return content if isinstance(content, dict) else {}


def _model_vocab_size(folder: Path) -> int:
    """The model's vocabulary size from config.json; 0 where it does not say."""
    config = _load_json(folder / "config.json")
    for part in (config, config.get("text_config") or {}):
        if isinstance(part.get("vocab_size"), int):
            return part["vocab_size"]
    return 0


def _find_bos_id(folder: Path, vocab: dict[str, int]) -> int | None:
    """The BOS by the tokenizer's own files, else by the model's config; None where there is none."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token = _load_json(folder / name).get("bos_token")
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str) and token in vocab:
            return vocab[token]
    bos_id = _load_json(folder / "config.json").get("bos_token_id")
    return bos_id if isinstance(bos_id, int) and bos_id in vocab.values() else None


def _fingerprint(content: dict[str, Any], token_bytes: bytes, ends: NDArray[np.uint32], bos_id: int | None) -> str:
    """sha256 of what decides ids and bytes; truncation, padding and templates, which are not used, do not matter."""
    declared = {part: content.get(part) for part in _FINGERPRINTED}
    digest = hashlib.sha256(json.dumps([declared, bos_id], sort_keys=True, ensure_ascii=True).encode())
    digest.update(len(token_bytes).to_bytes(8, "little") + token_bytes + ends.astype("<u4").tobytes())
    return digest.hexdigest()
