"""The standard error of a difference of explained variances is the spread that repeated samples show."""

import pytest
import torch
from torch import Tensor

from featlas.engine.self_check import _Fit, standard_error

N_CONTEXTS, ROWS, D = 60, 10, 4


def simulated(seed: int, *, shared_noise: bool) -> tuple[_Fit, _Fit]:
    """Two reconstructions of clustered activations; with shared noise their errors go together."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    context = torch.arange(N_CONTEXTS).repeat_interleave(ROWS)
    x = draw(N_CONTEXTS, D)[context] + draw(N_CONTEXTS * ROWS, D)
    noise = draw(N_CONTEXTS, 1)[context] * draw(N_CONTEXTS * ROWS, D)
    other = noise if shared_noise else draw(N_CONTEXTS, 1)[context] * draw(N_CONTEXTS * ROWS, D)
    fits = (_Fit.of(x, x + 0.5 * noise, context, N_CONTEXTS), _Fit.of(x, x + 0.45 * other, context, N_CONTEXTS))
    return fits


@pytest.mark.parametrize("shared_noise", [True, False])
def test_it_is_the_spread_over_repeated_samples(shared_noise: bool) -> None:
    fits = [simulated(seed, shared_noise=shared_noise) for seed in range(150)]
    gains = torch.tensor([other.explained_variance() - here.explained_variance() for here, other in fits])
    estimates = torch.tensor([standard_error(*pair) for pair in fits[:15]])
    assert float(estimates.mean()) == pytest.approx(float(gains.std()), rel=0.25)


def test_pairing_takes_out_what_both_share() -> None:
    paired, apart = (standard_error(*simulated(0, shared_noise=shared)) for shared in (True, False))
    assert paired < apart / 2


@pytest.mark.parametrize("missing", [0, 7, N_CONTEXTS - 1])
def test_contexts_stay_paired_where_one_side_lacks_some(missing: int) -> None:
    """Sinks of another place leave out rows, whole contexts too; the rest must still meet its own context."""
    generator = torch.Generator().manual_seed(0)
    context = torch.arange(N_CONTEXTS).repeat_interleave(ROWS)
    x = torch.randn(N_CONTEXTS * ROWS, D, generator=generator)
    noise = (2.0 * torch.rand(N_CONTEXTS, 1, generator=generator) ** 4)[context] * torch.ones(1, D)
    rows = context != missing

    def beside(shift: int) -> float:
        """With the error of each context moved to the one `shift` further on."""
        moved = _Fit.of(x[rows], (x + 0.95 * noise.roll(shift * ROWS, 0))[rows], context[rows], N_CONTEXTS)
        return standard_error(_Fit.of(x, x + noise, context, N_CONTEXTS), moved)

    assert beside(0) < min(beside(1), beside(-1)) / 2


def test_equal_reconstructions_have_no_error() -> None:
    here, _ = simulated(0, shared_noise=True)
    assert standard_error(here, here) == 0


def test_draws_without_variance_are_left_out() -> None:
    context = torch.tensor([0] * 50 + [1])
    x = torch.randn(51, D, generator=torch.Generator().manual_seed(0))
    fits = (_Fit.of(x, 0.5 * x, context, 2), _Fit.of(x, 0.6 * x, context, 2))
    assert 0 <= standard_error(*fits) < 0.1
    none = torch.arange(2)
    assert standard_error(*(_Fit.of(torch.ones(2, D), torch.zeros(2, D), none, 2) for _ in range(2))) == float("inf")
