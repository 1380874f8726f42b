"""Tokens as bytes: joined, they are the text again; whatever does not matter leaves the fingerprint alone."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import tiny_tokenizers

from featlas.errors import ExternalError, InputError, NotFoundError
from featlas.sources.tokenizer import Tokenizer

SCRIPTS = [
    "👩🏽‍🚀🇸🇪",
    "مرحبا بالعالم",
    "你好，世界",
    "e\u0301o\u0308",
    "def f():\r\n\treturn {}",
    "a\x00b\x7f",
    " \u3000\u200b",
    "\ufeff",
]
# Lone surrogates are not characters; read_documents refuses them.
texts_st = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(st.sampled_from([*SCRIPTS, " ", "the cat", "\n"]), max_size=8).map("".join),
)


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
    return Tokenizer.load(tiny_tokenizers.byte_level(tmp_path_factory.mktemp("bytes")))


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory):
    return Tokenizer.load(tiny_tokenizers.sentencepiece_style(tmp_path_factory.mktemp("pieces")))


def bytes_of(tokenizer, token_id):
    start = tokenizer.ends[token_id - 1] if token_id else 0
    return tokenizer.token_bytes[start : tokenizer.ends[token_id]]


@given(st.lists(texts_st, max_size=4))
def test_byte_level_tokens_rebuild_every_text(byte_level, texts):
    encoded = byte_level.encode_batch(texts)
    assert [byte_level.decode_bytes(ids) for ids in encoded] == [text.encode() for text in texts]
    assert all(ids.dtype == np.uint32 for ids in encoded)


@given(texts_st)
def test_sentencepiece_tokens_rebuild_the_text_with_a_space_in_front(sentencepiece, text):
    # `▁` itself is a space to such a vocabulary.
    expected = (" " + text if text else "").replace("▁", " ")
    assert sentencepiece.decode_bytes(sentencepiece.encode_batch([text])[0]).decode() == expected


@given(st.lists(st.integers(0, 300), max_size=20))
def test_decoding_joins_the_bytes_of_each_id(byte_level, ids):
    ids = [i % byte_level.n_vocab for i in ids]
    expected = b"".join(bytes_of(byte_level, i) for i in ids)
    assert byte_level.decode_bytes(np.array(ids, dtype=np.uint32)) == expected


def test_every_byte_has_a_byte_level_token(byte_level):
    tokens = {bytes_of(byte_level, i) for i in range(byte_level.n_vocab)}
    assert {bytes([byte]) for byte in range(256)} <= tokens


def test_chat_markers_in_the_text_become_their_ids_and_nothing_is_added(byte_level):
    ids = byte_level.encode_batch(["<|user|>the<|assistant|>"])[0]
    assert (ids[0], ids[-1]) == (1, 2)
    assert byte_level.decode_bytes(ids) == b"<|user|>the<|assistant|>"
    assert byte_level.special_ids == (0, 1, 2)
    assert byte_level.bos_id == 0
    assert byte_level.encode_batch([""])[0].tolist() == []


def test_texts_beyond_the_model_s_length_are_whole_and_silent(byte_level):
    text = "the cat sat on the mat\n" * 5000
    assert byte_level.decode_bytes(byte_level.encode_batch([text])[0]) == text.encode()


def test_sentencepiece_pieces_are_bytes(sentencepiece):
    vocab = {bytes_of(sentencepiece, i): i for i in range(sentencepiece.n_vocab)}
    assert bytes_of(sentencepiece, 3 + 0x0A) == b"\n"
    assert bytes_of(sentencepiece, 3 + 0xFF) == b"\xff"
    assert {b" the", b"he", b"<s>", b"</s>"} <= vocab.keys()
    assert sentencepiece.bos_id == vocab[b"<s>"]
    assert sentencepiece.encode_batch(["the<s>"])[0].tolist() == [vocab[b" the"], vocab[b"<s>"]]


def test_words_are_their_own_bytes(tmp_path):
    words = Tokenizer.load(tiny_tokenizers.word_level(tmp_path))
    assert words.decode_bytes(words.encode_batch(["the cat sat"])[0]) == b"thecatsat"
    assert words.bos_id is None


def test_a_piece_of_the_vocabulary_among_the_added_tokens_is_a_piece(tmp_path):
    folder = tiny_tokenizers.sentencepiece_style(tmp_path)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    added = content["added_tokens"][-1]
    assert bytes_of(Tokenizer.load(folder), added["id"]) == b"   ", "as normalised: with the space in front"
    added["normalized"] = False
    path.write_text(json.dumps(content))
    assert bytes_of(Tokenizer.load(folder), added["id"]) == "▁▁".encode()
    content["model"]["vocab"]["▁▁"] = added["id"]
    path.write_text(json.dumps(content))
    assert bytes_of(Tokenizer.load(folder), added["id"]) == b"  "


def test_holes_up_to_the_model_s_vocabulary_are_empty(tmp_path):
    folder = tiny_tokenizers.byte_level(tmp_path, model_config={"vocab_size": 400, "bos_token_id": 5})
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.n_vocab == 400
    assert len(tokenizer.token_bytes) == tokenizer.ends[-1]
    assert bytes_of(tokenizer, 399) == b""
    assert tokenizer.bos_id == 0, "the tokenizer's own word goes before the model's"
    assert Tokenizer.load(folder, n_vocab=500).n_vocab == 500


def test_nested_text_models_say_their_vocabulary_and_bos(tmp_path):
    folder = tiny_tokenizers.word_level(tmp_path)
    (folder / "config.json").write_text(json.dumps({"bos_token_id": 2, "text_config": {"vocab_size": 64}}))
    tokenizer = Tokenizer.load(folder)
    assert (tokenizer.n_vocab, tokenizer.bos_id) == (64, 2)


def test_the_fingerprint_follows_what_matters(tmp_path):
    folder = tiny_tokenizers.byte_level(tmp_path / "a")
    fingerprint = Tokenizer.load(folder).fingerprint
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"post_processor": None, **content, "padding": None}, indent=4))
    assert Tokenizer.load(folder).fingerprint == fingerprint
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|user|>"}))
    assert Tokenizer.load(folder).fingerprint != fingerprint
    other = tiny_tokenizers.byte_level(tmp_path / "b", n_merges=39)
    assert Tokenizer.load(other).fingerprint != fingerprint


def test_truncation_and_padding_of_the_file_are_not_used(tmp_path):
    folder = tiny_tokenizers.byte_level(tmp_path)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    padding = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
    content["padding"] = {"strategy": {"Fixed": 9}, **padding}
    path.write_text(json.dumps(content))
    tokenizer = Tokenizer.load(folder)
    assert [tokenizer.decode_bytes(ids) for ids in tokenizer.encode_batch(["a", "a + b * c"])] == [b"a", b"a + b * c"]


def test_older_files_without_tokenizer_json_are_converted(tmp_path):
    folder = tiny_tokenizers.byte_level(tmp_path / "new")
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    old = tmp_path / "old"
    old.mkdir()
    (old / "vocab.json").write_text(json.dumps(model["vocab"]))
    (old / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in model["merges"]))
    (old / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    text = "".join(SCRIPTS) + "the cat"
    ids = [Tokenizer.load(f).encode_batch([text])[0].tolist() for f in (folder, old)]
    assert ids[0] == ids[1]
    assert Tokenizer.load(old).decode_bytes(np.array(ids[1])) == text.encode()


@pytest.mark.parametrize("name", ["/no/such/folder", "./missing", "a/b/c"])
def test_a_missing_folder_is_not_found(name):
    with pytest.raises(NotFoundError, match=f"no folder {name}"):
        Tokenizer.load(name)


def test_a_revision_of_a_local_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a local folder, which has no revision 'v2'"):
        Tokenizer.load(tmp_path, revision="v2")


@pytest.mark.parametrize(
    ("content", "reason"), [("{", "not valid JSON"), ('{"model": 3}', "not a tokenizer"), ("[]", "not a tokenizer")]
)
def test_a_broken_tokenizer_file_is_refused(tmp_path, content, reason):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=rf"tokenizer\.json is {reason}"):
        Tokenizer.load(tmp_path)


def test_a_broken_config_beside_it_is_refused(tmp_path):
    folder = tiny_tokenizers.byte_level(tmp_path)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is not valid JSON"):
        Tokenizer.load(folder)


def test_a_folder_without_any_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_an_empty_vocabulary_is_refused(tmp_path):
    folder = tiny_tokenizers.word_level(tmp_path)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"] = {"type": "WordLevel", "vocab": {}, "unk_token": "x"}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="vocabulary is empty"):
        Tokenizer.load(folder)


def test_an_unreachable_hub_is_external(tmp_path):
    script = "from featlas.sources.tokenizer import Tokenizer\nTokenizer.load('someone/some-model')"
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert f"{ExternalError.__name__}: could not fetch the tokenizer of 'someone/some-model'" in done.stderr


def test_loading_needs_no_torch(tmp_path):
    folder = tiny_tokenizers.byte_level(tmp_path)
    script = "import sys\nfrom featlas.sources.tokenizer import Tokenizer\nTokenizer.load(sys.argv[1])\n"
    script += "sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=120)
