"""What a prompt may show: the label split alone, strong and weak examples in turn, each context once."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.asked_runs import DEAD, LABEL_OCCURRENCES, Places, band_of, make_asked_run, split_of
from tests.builders.stored_runs import make_run, register_inputs

from featlas.domain import EvidenceOptions, Example, PromptEvidence, Split, TokenCount
from featlas.errors import ConflictError
from featlas.store.artifacts import artifact_name, table_path
from featlas.store.prompt_evidence import PromptEvidenceReader, choose_places
from featlas.store.runs import Run
from featlas.store.session import Store
from featlas.store.token_tables import OCCURRENCES

ALL = EvidenceOptions()


def read(
    store: Store, folder: Path, run: Run, features: list[int], options: EvidenceOptions = ALL
) -> list[PromptEvidence]:
    reader = PromptEvidenceReader(store, run, folder / artifact_name(run.spec_hash, run.job_id))
    return list(reader.read(features, options))


def contexts(examples: tuple[Example, ...]) -> list[int]:
    return [example.context for example in examples]


def test_everything_comes_from_the_label_split(store: Store, tmp_path: Path):
    run = make_asked_run(store, tmp_path)
    (found,) = read(store, tmp_path, run, [3])
    assert contexts(found.top) == [0, 8, 1]
    assert contexts(found.spread) == [9, 2, 3]
    assert contexts(found.near_misses) == [10]
    assert contexts(found.non_firing) == [11]
    shown = (*found.top, *found.spread, *found.near_misses, *found.non_firing)
    assert {split_of(example.context) for example in shown} == {example.split for example in shown} == {Split.LABEL}
    # The token rows of feature 3 have 8, 8 and 1 events, of which 4, 4 and 0 on the score split.
    assert found.tokens == (TokenCount(" court", 4, 72), TokenCount(" caf\\xc3", 4, 73), TokenCount("\x00", 1, 78))
    assert (found.n_fires, found.mean_activation, found.max_activation) == (9, 0.5, 8.0)
    assert found.n_tokens == LABEL_OCCURRENCES.sum()
    assert found.n_contexts_fired == 51
    assert (found.feature_index, found.model, found.hook_point) == (3, run.model, run.hook_point)
    assert (found.promoted, found.suppressed) == (None, None)


def test_the_score_split_may_say_anything(store: Store, tmp_path: Path):
    run = make_asked_run(store, tmp_path / "a")
    other = make_asked_run(store, tmp_path / "b", mark="other", change_score=lambda n: 3 * n + 1)
    features = list(range(6))
    first, second = read(store, tmp_path / "a", run, features), read(store, tmp_path / "b", other, features)
    assert [replace(one, model="") for one in first] == [replace(one, model="") for one in second]


def test_examples_have_their_text_and_their_events(store: Store, tmp_path: Path):
    (found,) = read(store, tmp_path, make_asked_run(store, tmp_path), [0])
    strongest, silent = found.top[0], found.near_misses[0]
    assert (strongest.band, strongest.peak, strongest.positions, strongest.values) == ("top", 1, (1,), (8.0,))
    assert strongest.text.startswith("the court")
    assert (silent.band, silent.max_activation, silent.positions) == ("near_miss", None, ())


def test_a_feature_that_never_fires_has_nothing_to_show(store: Store, tmp_path: Path):
    (found,) = read(store, tmp_path, make_asked_run(store, tmp_path), [DEAD])
    assert (found.n_fires, found.mean_activation, found.max_activation) == (0, None, None)
    assert (found.tokens, found.top, found.spread, found.near_misses, found.non_firing) == ((), (), (), (), ())


def test_a_feature_that_fires_on_the_score_split_only_is_silent(store: Store, tmp_path: Path):
    bands: dict[str, Places] = {"top": [(4, 9.0), (5, 1.0)], "octave:3": [(4, 9.0)], "octave:0": [(5, 1.0)]}
    (found,) = read(store, tmp_path, make_asked_run(store, tmp_path, bands=bands), [0])
    assert (found.top, found.spread, found.max_activation) == ((), (), None)


def test_the_strongest_activation_is_known_where_the_strongest_examples_are_not_shown(store: Store, tmp_path: Path):
    run = make_asked_run(store, tmp_path)
    (found,) = read(store, tmp_path, run, [0], EvidenceOptions(n_top=0))
    assert found.top == ()
    assert found.max_activation == 8.0
    assert contexts(found.spread) == [0, 8, 1, 9, 2, 3]


def test_features_come_in_the_order_that_was_asked_for(store: Store, tmp_path: Path):
    run = make_asked_run(store, tmp_path, n_features=150)
    wanted = [149, 3, *range(10, 140), 3, 0, DEAD]
    found = read(store, tmp_path, run, wanted)
    assert [one.feature_index for one in found] == wanted
    assert [one.n_fires > 0 for one in found] == [feature != DEAD for feature in wanted]
    assert found[1] == found[-3]
    alone = [read(store, tmp_path, run, [feature])[0] for feature in (149, 64, 10)]
    assert alone == [found[wanted.index(feature)] for feature in (149, 64, 10)]


def test_nothing_is_read_for_no_features(store: Store, tmp_path: Path):
    assert read(store, tmp_path, make_asked_run(store, tmp_path), []) == []


def test_numbers_of_the_template_bound_what_is_shown(store: Store, tmp_path: Path):
    run = make_asked_run(store, tmp_path)
    few = EvidenceOptions(n_top=1, n_spread=2, n_near_misses=0, n_non_firing=0, n_tokens=1)
    (found,) = read(store, tmp_path, run, [0], few)
    assert (contexts(found.top), contexts(found.spread)) == ([0], [8, 2])
    assert (found.near_misses, found.non_firing) == ((), ())
    assert [token.token for token in found.tokens] == [" court"]
    assert found.n_fires == 7  # of all tokens


def test_a_run_that_is_not_finished_has_no_evidence(store: Store, tmp_path: Path):
    pending = make_run(store, register_inputs(store, mark="x"), name="pending")
    partial = make_asked_run(store, tmp_path, is_partial=True)
    for run in (pending, partial):
        with pytest.raises(ConflictError, match=f"run '{run.name}' is not finished"):
            PromptEvidenceReader(store, run, tmp_path)


def test_a_run_whose_files_are_gone_says_what_to_do(store: Store, tmp_path: Path):
    run = make_asked_run(store, tmp_path)
    folder = tmp_path / artifact_name(run.spec_hash, run.job_id)
    table_path(folder, OCCURRENCES).unlink()
    for _ in range(2):
        with pytest.raises(ConflictError, match=r"the files of run 'asked' are not in .*extract the run again"):
            PromptEvidenceReader(store, run, folder)
        shutil.rmtree(folder, ignore_errors=True)


# Which examples are chosen


def chosen(bands: dict[str, Places], **options: int) -> tuple[list[int], ...]:
    """The contexts of each kind."""
    found = choose_places({name: band_of(name, places) for name, places in bands.items()}, EvidenceOptions(**options))
    return tuple([int(band.context_index[at]) for band, at in kind] for kind in found)


def test_octaves_take_turns_from_the_strongest():
    octaves: dict[str, Places] = {
        "octave:-1": [(20, 0.6), (21, 0.7)],
        "octave:10": [(30, 1500.0), (31, 1100.0), (32, 1200.0), (33, 1.0)],
        "octave:2": [(40, 4.0)],
    }
    _, spread, _, _ = chosen(octaves, n_spread=50)
    assert spread == [30, 40, 20, 31, 21, 32, 33]
    assert chosen(octaves, n_spread=4)[1] == [30, 40, 20, 31]
    assert chosen(octaves, n_spread=0)[1] == []


def test_what_is_shown_among_the_strongest_is_not_shown_again():
    bands: dict[str, Places] = {"top": [(0, 8.0), (1, 7.0)], "octave:3": [(0, 8.0)], "octave:2": [(1, 7.0), (2, 5.0)]}
    assert chosen(bands)[:2] == ([0, 1], [2])
    assert chosen(bands, n_top=1)[:2] == ([0], [1, 2])


def test_without_bands_nothing_is_chosen():
    assert chosen({}) == ([], [], [], [])


_OCTAVES = st.dictionaries(
    st.integers(-3, 5).map(lambda n: f"octave:{n}"),
    st.lists(st.tuples(st.integers(0, 40), st.floats(1, 9)), max_size=6, unique_by=lambda place: place[0]),
)


@given(
    _OCTAVES,
    st.lists(st.tuples(st.integers(0, 40), st.floats(1, 9)), max_size=8, unique_by=lambda place: place[0]),
    st.integers(0, 8),
    st.integers(0, 20),
)
def test_each_context_is_shown_once_and_none_is_left_out_while_there_is_room(
    octaves: dict[str, Places], top: Places, n_top: int, n_spread: int
):
    strongest, spread, _, _ = chosen({**octaves, "top": top}, n_top=n_top, n_spread=n_spread)
    shown = [*strongest, *spread]
    assert len(shown) == len(set(shown))
    assert all(split_of(context) is Split.LABEL for context in shown)
    assert strongest == [context for context, _ in top if split_of(context) is Split.LABEL][:n_top]
    there = {context for places in octaves.values() for context, _ in places if split_of(context) is Split.LABEL}
    assert len(spread) == min(n_spread, len(there - set(strongest)))
