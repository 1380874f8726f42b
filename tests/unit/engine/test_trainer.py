"""The trainer's hand-written step is the gradient of its loss, and it finds the directions that were planted."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.oracles.training import step_by_autograd
from torch import Tensor

from featlas.engine.trainer import StepReport, Trainer, TrainOptions
from featlas.errors import InputError

D_IN, D_SAE, K, BATCH = 16, 48, 4, 64
ARCHITECTURES = ["topk", "batchtopk"]
OPTIONS = TrainOptions(
    architecture="topk",
    d_sae=D_SAE,
    k=K,
    tokens=100_000,
    sae_batch=BATCH,
    learning_rate=1e-3,
    aux_coefficient=1 / 32,
    dead_after_tokens=1000,
    seed=0,
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Held(Trainer):
    """A trainer that computes its gradients and stops there, keeping which features it chose."""

    chosen: Tensor

    def _select(self, pre: Tensor) -> Tensor:
        pattern = super()._select(pre)
        self.chosen = torch.zeros(pre.shape, dtype=torch.bool)
        rows = torch.arange(len(pre)).repeat_interleave(pattern.crow_indices().diff())
        self.chosen[rows, pattern.col_indices()] = True
        return pattern

    def _update(self) -> None:
        pass


def held_trainer(x: Tensor, **changes: Any) -> Held:
    """In the middle of training: no parameter is what it began as."""
    trainer = Held(x, replace(OPTIONS, **changes))
    for seed, parameter in enumerate((trainer.W_enc, trainer.b_enc, trainer.W_dec, trainer.b_dec)):
        parameter.add_(0.1 * draw(*parameter.shape, seed=seed))
    return trainer


@pytest.mark.parametrize("n_dead", [0, 3, 20])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_are_those_of_autograd(architecture: str, n_dead: int) -> None:
    """20 dead features are more than the d_in / 2 that the auxiliary loss takes per token, 3 are fewer."""
    x = 3 * draw(BATCH, D_IN, seed=9) + 1
    trainer = held_trainer(x, architecture=architecture)
    dead = torch.arange(5, 5 + n_dead)
    trainer.silent_tokens[dead] = 1000
    report = trainer.step(x)
    expected = step_by_autograd(trainer, x, trainer.chosen, dead)
    assert report.n_dead == n_dead
    assert report.fvu == pytest.approx(expected.fvu, rel=1e-4)
    for name, gradient in expected.gradients.items():
        found = getattr(trainer, name).grad
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6 * float(gradient.abs().max()), msg=name)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_of_the_density_penalty_are_those_of_autograd(architecture: str) -> None:
    x = 3 * draw(BATCH, D_IN, seed=9) + 1
    trainer = held_trainer(x, architecture=architecture, density_penalty=0.3, max_density=0.04)
    trainer.step(x)
    expected = step_by_autograd(trainer, x, trainer.chosen, torch.arange(0))
    share = trainer.chosen.float().mean(0)
    assert 0 < int((share > 0.04).sum()) < D_SAE
    assert int((share > 0.12).sum()) > 0  # beyond which the penalty grows no more
    for name, gradient in expected.gradients.items():
        found = getattr(trainer, name).grad
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6 * float(gradient.abs().max()), msg=name)


def test_the_density_penalty_leaves_fewer_dense_features() -> None:
    def n_dense(penalty: float) -> int:
        options = replace(OPTIONS, k=2, density_penalty=penalty, max_density=0.08, learning_rate=1e-2)
        trainer = Trainer(planted(2000, seed=0)[0], replace(options, tokens=BATCH * 300))
        for step in range(300):
            trainer.step(planted(BATCH, seed=step)[0])
        acts = trainer.to_params().encode(planted(2000, seed=999)[0])
        return int(((acts > 0).float().mean(0) > 0.16).sum())

    assert n_dense(0.3) < n_dense(0.0)


def test_training_goes_on_from_an_sae_as_it_was_saved(trained: tuple[Trainer, list[StepReport]]) -> None:
    before, reports = trained
    x = planted(4096, seed=7)[0]
    trainer = Trainer(x, before.options)
    trainer.start_from(before.to_params())
    torch.testing.assert_close(trainer.W_dec, before.W_dec)
    found = trainer.to_params()
    torch.testing.assert_close(found.W_enc, before.to_params().W_enc)
    torch.testing.assert_close(found.b_enc, before.to_params().b_enc, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.b_dec, before.to_params().b_dec, rtol=1e-4, atol=1e-4)
    assert trainer.step(x[:128]).fvu < 2 * reports[-1].fvu
    with pytest.raises(InputError, match="cannot begin with an SAE of 60 features"):
        Trainer(x, replace(before.options, d_sae=50)).start_from(before.to_params())


def test_without_its_coefficient_the_auxiliary_loss_is_none() -> None:
    x = draw(BATCH, D_IN)
    trainer = held_trainer(x, aux_coefficient=0.0)
    trainer.silent_tokens[:10] = 1000
    assert trainer.step(x).n_dead == 10
    expected = step_by_autograd(trainer, x, trainer.chosen, torch.arange(0))
    torch.testing.assert_close(trainer.W_enc.grad, expected.gradients["W_enc"], rtol=1e-4, atol=1e-6)


def test_topk_chooses_the_k_largest_of_each_token() -> None:
    trainer, pre = held_trainer(draw(BATCH, D_IN)), draw(BATCH, D_SAE)
    trainer._select(pre)
    expected = torch.zeros_like(pre, dtype=torch.bool).scatter(1, pre.topk(K, dim=1).indices, True)
    assert torch.equal(trainer.chosen, expected & (pre > 0))


def test_batchtopk_chooses_the_largest_of_the_whole_batch() -> None:
    trainer = held_trainer(draw(BATCH, D_IN), architecture="batchtopk")
    for seed in range(4):  # the second time on, the cut of the batch before narrows the search
        pre = (1 + seed % 2) * draw(BATCH, D_SAE, seed=seed)
        trainer._select(pre)
        cut = pre.flatten().topk(K * BATCH).values.min()
        assert torch.equal(trainer.chosen, pre >= cut)


def test_fewer_positive_ones_than_wanted_are_all_taken() -> None:
    for architecture in ARCHITECTURES:
        trainer, pre = held_trainer(draw(BATCH, D_IN), architecture=architecture), -draw(BATCH, D_SAE).abs()
        pre[:, 3] = 1.0
        trainer._select(pre)
        assert torch.equal(trainer.chosen, pre > 0)


N_PLANTED, PLANTED_D_SAE = 40, 60


def planted(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n activations [n, 32] that are sums of 2 planted unit directions on average, and the directions [40, 32]."""
    directions = torch.nn.functional.normalize(draw(N_PLANTED, 32, seed=1000), dim=1)
    generator = torch.Generator().manual_seed(seed)
    fires = torch.rand(n, N_PLANTED, generator=generator) < 2 / N_PLANTED
    strength = 1 + torch.rand(n, N_PLANTED, generator=generator)
    return 5 * (fires * strength) @ directions + 2, directions


@pytest.fixture(scope="module", params=ARCHITECTURES)
def trained(request: pytest.FixtureRequest) -> tuple[Trainer, list[StepReport]]:
    size = {"d_sae": PLANTED_D_SAE, "k": 2, "tokens": 600 * 128, "sae_batch": 128}
    rates = {"learning_rate": 2e-2, "dead_after_tokens": 5000}
    trainer = Trainer(planted(4096, seed=0)[0], replace(OPTIONS, architecture=request.param, **size, **rates))
    return trainer, [trainer.step(planted(128, seed=step)[0]) for step in range(1, 601)]


def test_planted_directions_are_found(trained: tuple[Trainer, list[StepReport]]) -> None:
    trainer, reports = trained
    found = trainer.to_params().W_dec
    closest = (planted(1, seed=0)[1] @ found.T).max(dim=1).values
    assert float((closest > 0.9).float().mean()) >= 0.8
    assert reports[-1].fvu < 0.3 * reports[0].fvu


def test_what_is_saved_encodes_as_the_trainer_does(trained: tuple[Trainer, list[StepReport]]) -> None:
    """In the model's own units, with about k features per token on activations it has not seen."""
    trainer, reports = trained
    sae, x = trainer.to_params(), planted(4000, seed=5000)[0]
    acts = sae.encode(x)
    assert float((acts > 0).float().sum(1).mean()) == pytest.approx(2, rel=0.2)
    fvu = float((x - sae.reconstruct(x)).square().sum() / (x - x.mean(0)).square().sum())
    late = sum(report.fvu for report in reports[-50:]) / 50
    assert fvu == pytest.approx(late, rel=0.2)
    inside = (x - trainer.mean) * trainer.scale - trainer.b_dec
    by_hand = (inside @ trainer.W_enc.T + trainer.b_enc) / trainer.scale
    torch.testing.assert_close(acts[acts > 0], by_hand[acts > 0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(PLANTED_D_SAE))


def test_a_feature_is_dead_after_so_many_silent_tokens() -> None:
    trainer = Trainer(draw(1000, D_IN), replace(OPTIONS, dead_after_tokens=3 * BATCH, k=1, d_sae=400))
    n_dead = [trainer.step(draw(BATCH, D_IN, seed=seed)).n_dead for seed in range(6)]
    assert n_dead[:3] == [0, 0, 0]
    assert n_dead[3] > 0


def test_the_auxiliary_loss_revives_the_dead() -> None:
    """Features that point away from everything never fire by themselves."""

    def n_dead_at_the_end(aux_coefficient: float) -> int:
        options = replace(OPTIONS, aux_coefficient=aux_coefficient, learning_rate=1e-2, tokens=BATCH * 150)
        trainer = Trainer(planted(2000, seed=0)[0], options)
        trainer.b_enc[:20] = -3
        return [trainer.step(planted(BATCH, seed=step)[0]).n_dead for step in range(150)][-1]

    assert n_dead_at_the_end(0.0) > 10
    assert n_dead_at_the_end(1 / 4) < 5


def test_the_seed_decides() -> None:
    def weights(seed: int) -> Tensor:
        trainer = Trainer(planted(2000, seed=0)[0], replace(OPTIONS, seed=seed))
        for step in range(5):
            trainer.step(planted(BATCH, seed=step)[0])
        return trainer.to_params().W_enc

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_the_learning_rate_warms_up_and_ends_at_nothing() -> None:
    options = replace(OPTIONS, tokens=1000 * BATCH)
    trainer = Trainer(draw(500, D_IN), options)
    rates = []
    for n_steps in (0, 149, 299, 700, 875, 999):
        trainer.n_steps = n_steps
        trainer.step(draw(BATCH, D_IN))
        rates.append(trainer.optimiser.param_groups[0]["lr"] / options.learning_rate)
    assert rates == pytest.approx([1 / 300, 0.5, 1, 1, 0.5, 0.004])


def test_decoder_rows_stay_on_the_unit_sphere() -> None:
    trainer = Trainer(planted(2000, seed=0)[0], replace(OPTIONS, learning_rate=0.1))
    for step in range(20):
        trainer.step(planted(BATCH, seed=step)[0])
    torch.testing.assert_close(trainer.W_dec.norm(dim=1), torch.ones(D_SAE))


def test_more_features_at_once_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match=r"k is 49, more than the 48 features \(d_sae\)"):
        Trainer(draw(100, D_IN), replace(OPTIONS, k=D_SAE + 1))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_activations_without_a_spread_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="nothing can be learnt"):
        Trainer(torch.full((100, D_IN), value), OPTIONS)
