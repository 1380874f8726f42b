"""An SAE that is read rightly is accepted, and each known mistake is refused with its repair."""

import json
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from featlas.domain import HookPoint, Site
from featlas.engine.language_model import LanguageModel
from featlas.engine.sae import SaeParams
from featlas.engine.self_check import Alternative, Sample, SelfCheck, check_sae, neighbour_hooks
from featlas.engine.sinks import ordinary_rows
from featlas.errors import InputError
from featlas.testing.tiny_models import D_MODEL, N_LAYERS, build_tiny_model

HERE = HookPoint(1, Site.RESID_POST)
CONTEXTS, CTX_LEN = 40, 30


@cache
def sample(n_contexts: int = CONTEXTS) -> Sample:
    """What a tiny model says to contexts of random, unevenly frequent tokens, at the hook point and beside it."""
    model = LanguageModel(build_tiny_model("llama"), name="tiny", device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    ids = (torch.rand(n_contexts, CTX_LEN, generator=generator) ** 3 * 300).long()
    acts = model.activations(ids, [HERE, *neighbour_hooks(HERE, N_LAYERS)])
    return Sample(
        {point: values.flatten(0, 1) for point, values in acts.items()},
        torch.arange(n_contexts).repeat_interleave(CTX_LEN),
    )


def principal_sae(x: Tensor, n: int = 20, *, k: int | None = None) -> SaeParams:
    """Two features for each of the first n principal directions, one each way: what they span is reconstructed."""
    mean = x.mean(0)
    axes = torch.linalg.svd(x - mean, full_matrices=False).Vh[:n]
    directions = torch.cat([axes, -axes])
    activation = "relu" if k is None else "topk"
    return SaeParams(directions.T.contiguous(), torch.zeros(2 * n), directions, mean, activation, k=k)


def checked(
    sae: SaeParams, hook_point: HookPoint = HERE, of: Sample | None = None, ratio: float | None = 10
) -> SelfCheck:
    return check_sae(sae, hook_point, of or sample(), ratio, {})


def right_sae() -> SaeParams:
    return principal_sae(sample().acts[HERE])


@pytest.mark.parametrize("k", [None, 20, 12])
def test_the_right_place_is_accepted(k: int | None) -> None:
    found = checked(principal_sae(sample().acts[HERE], k=k))
    assert not found.is_refused
    assert found.verdict.startswith("fits: explained variance 0.")
    assert found.explained_variance is not None
    assert found.explained_variance > 0.7
    assert found.n_tokens == CONTEXTS * CTX_LEN
    assert not any(alternative.is_better for alternative in found.alternatives)


def test_every_known_mistake_was_tried() -> None:
    tried = [alternative.mistake for alternative in checked(right_sae()).alternatives]
    assert [mistake.split(" by ")[0] for mistake in tried] == [
        *(f"reading {point}" for point in sample().acts if point != HERE),
        "not subtracting b_dec before the encoder",
        "scaling the input",
        "scaling the encoder",
    ]


@pytest.mark.parametrize("wrong", neighbour_hooks(HERE, N_LAYERS))
def test_a_neighbouring_place_is_refused_and_the_right_one_named(wrong: HookPoint) -> None:
    found = checked(right_sae(), wrong)
    assert found.is_refused
    assert found.verdict.startswith(f"refused: reading {HERE} explains the text better than the load at hand")
    assert found.verdict.endswith(f"run with --hook-point {HERE}")


def off_centre() -> Sample:
    """The same, with a mean as large as the spread, as real streams have."""
    shift = 2 * sample().acts[HERE].std(0)
    return Sample({HERE: sample().acts[HERE] + shift}, sample().context)


def test_b_dec_left_in_is_refused() -> None:
    right = principal_sae(off_centre().acts[HERE])
    assert not checked(right, of=off_centre()).is_refused
    found = checked(replace(right, subtract_b_dec=False), of=off_centre())
    assert found.is_refused
    assert "subtracting b_dec before the encoder explains the text better" in found.verdict
    assert found.verdict.endswith("set apply_b_dec_to_input to true in cfg.json")


def test_b_dec_taken_out_twice_is_refused() -> None:
    centred = principal_sae(off_centre().acts[HERE])
    right = replace(centred, subtract_b_dec=False, b_enc=-(centred.b_dec @ centred.W_enc))
    assert not checked(right, of=off_centre()).is_refused
    found = checked(replace(right, subtract_b_dec=True), of=off_centre())
    assert found.is_refused
    assert found.verdict.endswith("set apply_b_dec_to_input to false in cfg.json")


def test_a_transposed_encoder_is_refused() -> None:
    x = sample().acts[HERE]
    axes = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh
    always_on = 1000.0  # so that D_MODEL features are enough for both signs
    b_enc, b_dec = torch.full((D_MODEL,), always_on), -always_on * axes.sum(0)
    right = SaeParams(axes.T.contiguous(), b_enc, axes, b_dec, "relu", subtract_b_dec=False)
    assert not checked(right).is_refused
    found = checked(replace(right, W_enc=right.W_enc.T.contiguous()))
    assert found.is_refused
    assert found.verdict.endswith("transpose W_enc in the weights file")


@pytest.mark.parametrize("k", [None, 20])
@pytest.mark.parametrize(
    ("factor", "is_refused"), [(1.0, False), (1.2, False), (1 / 1.2, False), (3.0, True), (1 / 3, True)]
)
def test_a_scaled_encoder_is_refused_only_when_it_is_far_off(factor: float, is_refused: bool, k: int | None) -> None:
    """Every L1-trained SAE shrinks a little; a factor of three is another matter."""
    right = principal_sae(sample().acts[HERE], k=k)
    found = checked(replace(right, W_enc=right.W_enc * factor))
    assert found.is_refused == is_refused
    if is_refused:
        assert f"scaling the encoder by {0.35 if factor > 1 else 2.8:g} explains" in found.verdict


@pytest.mark.parametrize("k", [None, 20])
def test_an_input_scale_that_was_not_applied_is_refused(k: int | None) -> None:
    """The SAE was trained on activations of mean norm sqrt(d_in), and its files did not say so."""
    acts = off_centre().acts[HERE]
    scale = D_MODEL**0.5 / float(acts.norm(dim=1).mean())
    assert scale < 0.5
    found = checked(principal_sae(scale * acts, k=k), of=off_centre())
    assert found.is_refused
    assert "scaling the input by 0." in found.verdict
    assert found.verdict.endswith("give it in activation_scaler.json")


@pytest.mark.parametrize(("n_contexts", "is_enough"), [(16, False), (17, True)])
def test_too_little_text_is_said_to_be_that(n_contexts: int, is_enough: bool) -> None:
    found = checked(right_sae(), HookPoint(0, Site.RESID_POST), sample(n_contexts))
    assert found.is_refused == is_enough
    if not is_enough:
        assert found.verdict == "too little text to judge: 480 tokens in 16 contexts, expected at least 500 in 2"
        assert (found.l0, found.explained_variance, found.cosine, found.dead_share) == (None, None, None, None)


def test_one_context_judges_nothing() -> None:
    """Its spread is not known, and any gain would be three standard errors of nothing."""
    alone = Sample(sample().acts, torch.zeros_like(sample().context))
    found = checked(right_sae(), HookPoint(0, Site.RESID_POST), alone)
    assert not found.is_refused
    assert found.verdict == "too little text to judge: 1200 tokens in 1 contexts, expected at least 500 in 2"


@pytest.mark.parametrize(("n_long", "n_short"), [(2, 1), (8, 4)])
def test_contexts_of_one_token_do_not_hide_a_mistake(n_long: int, n_short: int) -> None:
    """A draw of them alone has no variance; it must not make the standard error unknown."""
    context = sample().context * n_long // CONTEXTS
    context[-n_short:] = torch.arange(n_long, n_long + n_short)
    found = checked(right_sae(), HookPoint(0, Site.RESID_POST), Sample(sample().acts, context))
    assert found.is_refused
    errors = [alternative["standard_error"] for alternative in found.to_json()["alternatives"]]
    assert all(error is None or error >= 0 for error in errors)


def test_an_unknown_standard_error_is_null_and_refuses_nothing() -> None:
    unknown = Alternative("", "", 0.9, 0.5, float("inf"))
    assert not unknown.is_better
    assert unknown.to_json()["standard_error"] is None


def test_a_place_that_never_changes_is_refused() -> None:
    still = Sample({HERE: torch.ones(1200, D_MODEL)}, sample().context)
    with pytest.raises(InputError, match=r"blocks\.1\.hook_resid_post is the same at all of 1200 positions"):
        checked(right_sae(), of=still)


def with_sinks(factor: float) -> Sample:
    """The first position of every context has an enormous norm in one direction, as real streams have."""
    is_first = torch.arange(CONTEXTS * CTX_LEN) % CTX_LEN == 0
    acts = {point: values.clone() for point, values in sample().acts.items()}
    for values in acts.values():
        values[is_first] = factor * torch.linspace(1, 2, D_MODEL)
    return Sample(acts, sample().context)


@pytest.mark.parametrize("ratio", [10.0, None])
def test_sinks_are_not_judged_by_whatever_the_run_counts(ratio: float | None) -> None:
    """With them a wrong layer would look right: they hold nearly all of the variance at every layer."""
    here = with_sinks(300).acts[HERE]
    sae = principal_sae(here[ordinary_rows(here, 500)])
    found = checked(sae, of=with_sinks(300), ratio=ratio)
    assert (found.n_sinks, found.n_tokens) == (CONTEXTS, CONTEXTS * (CTX_LEN - 1))
    assert (found.sink_norm_limit is None) == (ratio is None)
    assert not found.is_refused
    wrong = checked(sae, HookPoint(0, Site.RESID_POST), with_sinks(300), ratio)
    assert wrong.is_refused
    assert f"run with --hook-point {HERE}" in wrong.verdict


def test_the_tail_of_a_distribution_is_no_sink() -> None:
    tail = torch.exp(torch.linspace(0, 4, CONTEXTS * CTX_LEN) ** 2 / 4)[:, None] * torch.ones(1, D_MODEL)
    found = checked(right_sae(), of=Sample({HERE: tail}, sample().context))
    assert (found.n_sinks, found.sink_norm_limit) == (0, None)


def test_the_figures_are_those_of_the_tokens() -> None:
    x, whole = sample().acts[HERE], right_sae()
    sae = replace(whole, W_enc=torch.cat([whole.W_enc[:, 1:], torch.zeros(D_MODEL, 1)], dim=1))  # the last one is dead
    found = checked(sae)
    made, acts = sae.reconstruct(x).double(), sae.encode(x)
    explained = 1 - (x - made).square().sum() / (x - x.double().mean(0)).square().sum()
    assert found.explained_variance == pytest.approx(float(explained), abs=1e-6)
    assert found.l0 == pytest.approx(float((acts != 0).sum(1).double().mean()))
    assert found.dead_share == pytest.approx(1 / 40)
    assert found.cosine == pytest.approx(float(torch.cosine_similarity(x.double(), made, dim=1).mean()), abs=1e-5)
    assert found.decoder_norms == pytest.approx((1, 1, 1))


def test_an_explained_variance_far_below_the_files_claim_only_warns() -> None:
    found = check_sae(principal_sae(sample().acts[HERE], 12), HERE, sample(), 10.0, {"fvu": 0.01})
    assert not found.is_refused
    assert found.verdict.startswith("fits, with a warning: explained variance 0.")
    assert "far below the 0.990 that the SAE's own files claim" in found.verdict


def test_what_is_found_can_be_kept_as_json() -> None:
    kept = json.loads(json.dumps(checked(right_sae(), HookPoint(0, Site.RESID_POST)).to_json()))
    assert kept["is_refused"]
    assert kept["decoder_norms"].keys() == {"min", "median", "max"}
    assert any(alternative["is_better"] for alternative in kept["alternatives"])


@pytest.mark.parametrize(
    ("gain", "standard_error", "expected"),
    [(0.011, 0.003, True), (0.009, 0.0, False), (0.05, 0.02, False), (-0.1, 0.0, False)],
)
def test_better_means_by_one_hundredth_and_three_standard_errors(
    gain: float, standard_error: float, expected: bool
) -> None:
    assert Alternative("", "", 0.5, gain, standard_error).is_better == expected


def test_the_neighbours_of_a_hook_point() -> None:
    def names(point: str) -> list[str]:
        return [str(hook) for hook in neighbour_hooks(HookPoint.parse(point), 4)]

    others = ["blocks.3.hook_resid_mid", "blocks.3.hook_attn_out", "blocks.3.hook_mlp_out"]
    assert names("blocks.3.hook_resid_post") == ["blocks.2.hook_resid_post", *others]
    assert "blocks.0.hook_resid_pre" in names("blocks.0.hook_resid_post")
    assert names("hook_embed") == ["blocks.0.hook_resid_post"]
