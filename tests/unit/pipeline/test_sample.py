"""The self-check's sample: hash-chosen whole contexts, just enough of them."""

import numpy as np
import pytest
from tests.builders import tiny_tokenizers
from tests.builders.plans import make_texts, write_corpus

from featlas.core.corpus import CorpusArrays
from featlas.pipeline.check import choose_sample
from featlas.pipeline.plan import make_plan
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.sources.tokenizer import Tokenizer
from featlas.specs import CheckSpec


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> CorpusArrays:
    folder = tmp_path_factory.mktemp("sample")
    tokenizer = Tokenizer.load(tiny_tokenizers.byte_level(folder / "tokenizer"))
    texts = write_corpus(folder / "texts", make_texts())
    spec = CheckSpec(model="m", sae="s", text=(str(texts),), ctx_len=16)
    return make_plan(spec, tokenizer, True, folder / "run", NoProgress(), NeverStop()).corpus()


@pytest.mark.parametrize("n_tokens", [1, 20, 100, 300])
def test_it_holds_enough_tokens_and_no_context_more(corpus: CorpusArrays, n_tokens: int) -> None:
    chosen = choose_sample(corpus, 0, n_tokens)
    sizes = np.asarray(corpus.context_n)[chosen]
    assert sizes.sum() >= n_tokens
    assert sizes.sum() - sizes.max() < n_tokens
    assert np.array_equal(chosen, np.unique(chosen))


def test_a_smaller_corpus_is_taken_whole(corpus: CorpusArrays) -> None:
    assert np.array_equal(choose_sample(corpus, 0, 10**9), np.arange(corpus.n_contexts))


def test_it_grows_from_the_same_beginning_and_depends_on_the_seed(corpus: CorpusArrays) -> None:
    small, large, other = choose_sample(corpus, 0, 100), choose_sample(corpus, 0, 300), choose_sample(corpus, 1, 100)
    assert set(small) < set(large)
    assert set(small) != set(other)
