"""One training step by autograd on dense arrays, for the gradients that the trainer writes out by hand."""

from dataclasses import dataclass

import torch
from torch import Tensor

from featlas.engine.trainer import Trainer


@dataclass(frozen=True)
class Expected:
    """The loss of a step and the gradients of its parameters, by name."""

    fvu: float
    gradients: dict[str, Tensor]


def step_by_autograd(trainer: Trainer, x: Tensor, chosen: Tensor, dead: Tensor) -> Expected:
    """What a step on x [batch, d_in] should compute, given which features fire (bool [batch, d_sae])."""
    names = ("W_enc", "b_enc", "W_dec", "b_dec")
    W_enc, b_enc, W_dec, b_dec = parameters = [
        getattr(trainer, name).detach().clone().requires_grad_() for name in names
    ]
    x = (x - trainer.mean) * trainer.scale
    acts = ((x - b_dec) @ W_enc.T + b_enc).relu() * chosen
    error = acts @ W_dec + b_dec - x
    loss = error.square().sum(1).mean() / trainer.total_variance
    penalty = trainer.options.density_penalty * (density_excess(trainer, chosen) * acts).sum(1).mean()
    total = loss + penalty + auxiliary_loss(trainer, (x - b_dec).detach(), error.detach(), dead, (W_enc, b_enc, W_dec))
    total.backward()
    gradients = {name: parameter.grad for name, parameter in zip(names, parameters, strict=True)}
    return Expected(float(loss.detach()), {name: grad for name, grad in gradients.items() if grad is not None})


def density_excess(trainer: Trainer, chosen: Tensor) -> Tensor:
    """How much more often than it may each feature fires on its first batch, in units of what is allowed; at most 2."""
    share = chosen.float().mean(0)
    return (share / trainer.options.max_density - 1).clamp(0, 2)


def auxiliary_loss(
    trainer: Trainer, centered: Tensor, error: Tensor, dead: Tensor, parameters: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Gao et al. 2024, A.2: the d_in / 2 strongest dead features of each token reconstruct what was left over."""
    if len(dead) == 0:
        return torch.zeros(())
    W_enc, b_enc, W_dec = parameters
    scores = centered @ W_enc[dead].T + b_enc[dead]
    values, features = scores.topk(min(trainer.d_in // 2, len(dead)), dim=1)
    acts = torch.zeros_like(scores).scatter(1, features, values.relu())
    left_over = (acts @ W_dec[dead] + error).square().sum(1).mean() / trainer.total_variance
    return trainer.options.aux_coefficient * left_over
