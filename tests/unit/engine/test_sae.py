"""What an SAE computes equals the formulas of its format, written out token by token."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.saes import KINDS, make_acts, make_sae
from tests.oracles import sae as oracle

from featlas.engine.sae import Gate, SaeParams, tiles
from featlas.errors import InputError

WITHOUT_CHOICE = [kind for kind in KINDS if not kind.startswith("topk")]
TOPK = ["topk", "topk by decoder norm"]
sizes = st.integers(1, 7)


@given(
    kind=st.sampled_from(WITHOUT_CHOICE),
    n=st.integers(0, 5),
    d_in=sizes,
    d_sae=sizes,
    subtract=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_encoding_whole_numbers_is_exact(kind: str, n: int, d_in: int, d_sae: int, subtract: bool, seed: int) -> None:
    """Whole numbers hit thresholds exactly, so ≥ in the place of > would show."""
    sae = make_sae(kind, d_in, d_sae, seed=seed, whole=True, subtract_b_dec=subtract)
    acts = make_acts(n, d_in, seed=seed + 1, whole=True)
    assert np.array_equal(sae.encode(acts).numpy(), oracle.encode(sae, acts.numpy()))


@given(kind=st.sampled_from(TOPK), n=st.integers(0, 5), d_in=sizes, d_sae=sizes, k=sizes, seed=st.integers(0, 10**6))
def test_topk_of_whole_numbers_is_exact_up_to_ties(kind: str, n: int, d_in: int, d_sae: int, k: int, seed: int) -> None:
    sae = replace(make_sae(kind, d_in, d_sae, seed=seed, whole=True), k=min(k, d_sae))
    acts = make_acts(n, d_in, seed=seed + 1, whole=True)
    found, expected = sae.encode(acts).numpy(), oracle.encode(sae, acts.numpy())
    everything = oracle.encode(replace(sae, k=d_sae), acts.numpy())
    assert np.array_equal(np.sort(found), np.sort(expected))  # which of two equal ones is chosen is not promised
    assert np.array_equal(found, np.where(found > 0, everything, 0))


@pytest.mark.parametrize("normalisation", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("kind", KINDS)
def test_encode_and_reconstruct_equal_the_formulas_with_every_normalisation(kind: str, normalisation: Any) -> None:
    sae = make_sae(kind, normalisation=normalisation)
    acts = 7 * make_acts(50)
    np.testing.assert_allclose(sae.encode(acts).numpy(), oracle.encode(sae, acts.numpy()), rtol=1e-4, atol=1e-5)
    expected = oracle.reconstruct(sae, acts.numpy())
    np.testing.assert_allclose(sae.reconstruct(acts).numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_differ(kind: str) -> None:
    """So that an oracle that ignores what makes a kind special would not pass."""
    acts = make_acts(50)
    relu = make_sae("relu").encode(acts)
    is_relu = torch.equal(make_sae(kind).encode(acts), relu)
    assert is_relu == (kind == "relu")


def test_topk_with_fewer_positive_ones_than_k_fires_only_those() -> None:
    sae = SaeParams(
        W_enc=torch.tensor([[1.0, -1.0, 2.0, -2.0]]),
        b_enc=torch.zeros(4),
        W_dec=torch.ones(4, 1),
        b_dec=torch.zeros(1),
        activation="topk",
        k=3,
    )
    assert torch.equal(
        sae.encode(torch.tensor([[5.0], [-5.0], [0.0]])), torch.tensor([[5.0, 0, 10, 0], [0, 5, 0, 10], [0, 0, 0, 0]])
    )


def test_topk_by_decoder_norm_chooses_and_reports_by_it_and_decodes_without() -> None:
    sae = SaeParams(
        W_enc=torch.tensor([[3.0, 2.0]]),
        b_enc=torch.zeros(2),
        W_dec=torch.tensor([[1.0, 0.0], [0.0, 10.0]]),
        b_dec=torch.zeros(2),
        activation="topk",
        k=1,
        subtract_b_dec=False,
        rank_by_dec_norm=True,
        dec_norms=torch.tensor([1.0, 10.0]),
    )
    acts = sae.encode(torch.ones(1, 1))
    assert torch.equal(acts, torch.tensor([[0.0, 20.0]]))
    assert torch.equal(sae.decode(acts), torch.tensor([[0.0, 20.0]]))


def test_a_decoder_row_of_zeros_leaves_the_reconstruction_a_number() -> None:
    sae = make_sae("topk by decoder norm")
    W_dec = sae.W_dec.clone()
    W_dec[0] = 0
    sae = replace(sae, W_dec=W_dec, dec_norms=W_dec.norm(dim=1), k=sae.d_sae)
    assert bool(torch.isfinite(sae.reconstruct(make_acts(5))).all())


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_does_not_depend_on_its_neighbours(kind: str) -> None:
    """Batch top-k, too, is run with the threshold of its training."""
    sae, acts = make_sae(kind, whole=True), make_acts(9, whole=True)
    alone = torch.cat([sae.encode(token[None]) for token in acts])
    assert torch.equal(sae.encode(acts), alone)


@pytest.mark.parametrize("kind", WITHOUT_CHOICE)
def test_tiles_side_by_side_are_the_whole(kind: str) -> None:
    sae, acts = make_sae(kind, whole=True), make_acts(9, whole=True)
    centered = sae.center(acts)
    buffer = torch.full((7, 9), torch.nan)
    parts = [sae.encode_tile(centered, a, b, out=buffer[: b - a]).clone() for a, b in tiles(sae.d_sae, 7)]
    assert torch.equal(torch.cat(parts).T, sae.encode(acts))


def test_encoding_leaves_its_input_alone() -> None:
    for kind in KINDS:
        sae, acts = make_sae(kind, normalisation="layer_norm"), make_acts(9)
        kept = acts.clone()
        sae.reconstruct(acts)
        assert torch.equal(acts, kept)
        assert sae.fingerprint() == make_sae(kind, normalisation="layer_norm").fingerprint()


CHANGES: dict[str, dict[str, Any]] = {
    "W_enc": {"W_enc": torch.ones(6, 20)},
    "b_enc": {"b_enc": torch.ones(20)},
    "W_dec": {"W_dec": torch.ones(20, 6)},
    "b_dec": {"b_dec": torch.ones(6)},
    "threshold": {"threshold": torch.ones(20)},
    "subtract_b_dec": {"subtract_b_dec": False},
    "normalisation": {"normalisation": "layer_norm"},
    "activation": {"activation": "batchtopk"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_changes_with_all_that_changes_the_result(change: str) -> None:
    sae = make_sae("jumprelu")
    assert replace(sae, **CHANGES[change]).fingerprint() != sae.fingerprint()


def test_the_fingerprint_changes_with_k_and_with_the_gate() -> None:
    topk, gated = make_sae("topk"), make_sae("gated")
    assert replace(topk, k=2).fingerprint() != topk.fingerprint()
    other = Gate(torch.ones(20), torch.ones(20), torch.ones(20))
    assert replace(gated, gate=other).fingerprint() != gated.fingerprint()


@pytest.mark.parametrize("kind", KINDS)
def test_moving_to_a_device_changes_nothing(kind: str) -> None:
    sae = make_sae(kind)
    assert sae.to(torch.device("cpu")).fingerprint() == sae.fingerprint()


@pytest.mark.parametrize(
    ("kind", "field", "value", "expected"),
    [
        ("relu", "b_enc", torch.zeros(19), r"b_enc has shape \(19,\), expected \(20,\)"),
        ("relu", "b_dec", torch.zeros(5), r"b_dec has shape \(5,\), expected \(6,\)"),
        ("relu", "W_dec", torch.zeros(19, 6), r"W_dec has shape \(19, 6\), expected \(20, 6\)"),
        ("relu", "W_enc", torch.zeros(6), r"W_enc and W_dec have the shapes \(6,\) and \(20, 6\)"),
        ("jumprelu", "threshold", torch.zeros(3), r"threshold has shape \(3,\)"),
        ("jumprelu", "threshold", torch.full((20,), -0.5), r"negative thresholds \(down to -0\.5\)"),
        ("jumprelu", "threshold", None, "a jumprelu SAE needs a threshold"),
        ("batchtopk", "threshold", None, "a batchtopk SAE needs a threshold"),
        ("relu", "W_enc", torch.full((6, 20), torch.nan), "W_enc holds NaN or infinity"),
        ("relu", "b_dec", torch.full((6,), torch.inf), "b_dec holds NaN or infinity"),
        ("topk", "k", 0, "k between 1 and d_sae = 20, got 0"),
        ("topk", "k", 21, "k between 1 and d_sae = 20, got 21"),
        ("topk", "k", None, "k between 1 and d_sae = 20, got None"),
        ("gated", "gate", None, "needs b_gate, b_mag and r_mag"),
        ("gated", "gate", Gate(torch.zeros(20), torch.zeros(2), torch.zeros(20)), r"b_mag has shape \(2,\)"),
        ("gated", "gate", Gate(*[torch.full((20,), torch.nan)] * 3), "b_gate holds NaN"),
        ("topk by decoder norm", "dec_norms", None, "needs dec_norms"),
    ],
)
def test_what_cannot_be_is_refused_by_name(kind: str, field: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        replace(make_sae(kind), **{field: value})
