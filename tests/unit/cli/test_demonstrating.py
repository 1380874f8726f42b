"""The demo shows what its stated rules choose, and nothing twice."""

from dataclasses import replace

import pytest

from featlas.cli.demonstrating import MIN_FIRES, broad_frequency, choose_features, peak_height, token_f1
from featlas.domain import FeatureFlag, FeatureStats, Histogram, TokenStat

NO_FLAGS = FeatureFlag(0)


def token(precision: float | None, share: float) -> TokenStat:
    """A token on which the feature fires with this share of the token's occurrences and of its own firings."""
    return TokenStat(0, "t", 1, 1, 1.0, 1.0, precision, share)


def feature(
    index: int,
    *tokens: TokenStat,
    frequency: float = 0.001,
    height: float = 1.0,
    n_fires: int = MIN_FIRES,
    flags: FeatureFlag = NO_FLAGS,
) -> FeatureStats:
    return FeatureStats(
        feature_index=index,
        n_fires=n_fires,
        n_tokens=100_000,
        activation_frequency=frequency,
        n_contexts_fired=10,
        context_frequency=0.1,
        mean_activation=1.0,
        std_activation=0.5,
        max_activation=1.0 + 0.5 * height,
        histogram=Histogram((), ()),
        top_tokens=tokens,
        flags=flags,
        n_fires_excluded=0,
        intervals={},
    )


SHARP = feature(3, token(0.9, 0.9))
BROAD = feature(5, token(0.2, 0.1), frequency=0.05)
HIGH = feature(8, token(0.1, 0.5), height=20.0)


def chosen(*features: FeatureStats) -> list[int]:
    return [choice.feature_index for choice in choose_features(features)]


def test_each_rule_chooses_its_best_and_says_so() -> None:
    choices = choose_features([HIGH, feature(1, token(0.3, 0.3)), BROAD, SHARP])
    assert [3, 5, 8] == [choice.feature_index for choice in choices]
    words = ("detector of one token", "without a token above 10%", "standard deviations")
    assert [True, True, True] == [word in choice.rule for word, choice in zip(words, choices, strict=True)]


def test_a_feature_that_is_best_twice_is_shown_once() -> None:
    everything = feature(2, token(0.95, 0.95), height=30.0)
    assert [2, 5, 8] == chosen(SHARP, BROAD, HIGH, everything)


@pytest.mark.parametrize(
    "changes",
    [{"n_fires": MIN_FIRES - 1}, {"flags": FeatureFlag.DENSE}, {"flags": FeatureFlag.DEAD}],
    ids=["rare", "dense", "dead"],
)
def test_what_cannot_be_looked_at_is_not_chosen(changes: dict) -> None:
    best = replace(feature(1, token(1.0, 1.0), frequency=0.5, height=99.0), **changes)
    assert [3, 5, 8] == chosen(best, SHARP, BROAD, HIGH)


def test_fewer_features_are_fewer_choices() -> None:
    assert [3, 8] == chosen(SHARP, HIGH)
    assert [] == chosen(feature(1, n_fires=0))
    assert [] == chosen()


def test_a_detector_is_judged_by_precision_and_recall_together() -> None:
    assert pytest.approx(2 * 0.5 * 0.8 / 1.3) == token_f1(feature(0, token(0.5, 0.8), token(1.0, 0.01)))
    assert 0.0 == token_f1(feature(0, token(None, 0.4)))
    assert 0.0 == token_f1(feature(0))


@pytest.mark.parametrize(("largest", "merit"), [(0.1, 0.05), (0.1001, 0.0)])
def test_a_broad_feature_hangs_on_no_token(largest: float, merit: float) -> None:
    assert merit == broad_frequency(feature(0, token(0.1, 0.02), token(0.1, largest), frequency=0.05))


def test_a_feature_without_tokens_is_not_broad() -> None:
    assert 0.0 == broad_frequency(feature(0, frequency=0.05))


def test_a_peak_stands_so_many_deviations_above_the_mean() -> None:
    assert 20.0 == peak_height(HIGH)


@pytest.mark.parametrize("missing", [{"std_activation": 0.0}, {"std_activation": None}, {"max_activation": None}])
def test_a_peak_without_a_deviation_has_no_height(missing: dict) -> None:
    assert 0.0 == peak_height(replace(HIGH, **missing))
