"""What the tests of plans share."""

import pytest
from tests.builders import tiny_tokenizers
from tests.builders.plans import make_texts, write_corpus

from featlas.sources.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return Tokenizer.load(tiny_tokenizers.byte_level(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(params=["document", "packed"])
def packing(request):
    return request.param


@pytest.fixture
def corpus_folder(tmp_path):
    return write_corpus(tmp_path / "texts", make_texts())
