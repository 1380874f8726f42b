"""Reads activations from a causal language model at hook points, running no layer that is not needed."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from featlas.domain import HookPoint, Site
from featlas.engine.hook_sites import ModuleHook, find_blocks, find_module
from featlas.engine.memory import give_back_memory
from featlas.errors import ExternalError, FeatlasError, InputError, NotFoundError

KERNELS_KEPT = 32  # more than the different products of one forward pass, far fewer than the batches' shapes
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def _bound_kernel_cache() -> None:
    """Keep oneDNN from holding on to kernels of a thousand shapes of batches: what is made anew costs milliseconds."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS_KEPT))  # read at the first matrix product


class _StopForward(Exception):
    """Raised inside the forward pass when the deepest hook point has been read."""


def choose_device(name: str) -> torch.device:
    """The torch device for a setting: `auto` takes CUDA, then MPS, then the CPU; InputError for one not there."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, is_there in has.items() if is_there))
    kind, _, number = name.partition(":")
    is_known = has.get(kind, False) and (not number or number.isdecimal())
    if not is_known or (kind == "cuda" and int(number or 0) >= torch.cuda.device_count()):
        here = ", ".join(kind for kind, is_there in has.items() if is_there)
        raise InputError(f"device {name!r} is not on this machine; expected auto or one of: {here}")
    return torch.device(name)


class LanguageModel:
    """A causal language model opened for reading activations.

    Attributes:
        d_model: width of the residual stream.
        n_layers: number of blocks.
        has_layer_norm: whether its norms subtract the mean over d_model, so that a stream's mean says nothing.
        fingerprint: sha256 of the names, dtypes, shapes and a byte sample of the weights, and the config.
    """

    def __init__(self, model: Any, *, name: str, device: torch.device) -> None:
        self.model = model.eval().requires_grad_(False).to(device)
        self.name = name
        self.device = device
        text_config = model.config.get_text_config()
        self.d_model: int = text_config.hidden_size
        self.n_layers = len(find_blocks(model))
        self.has_layer_norm = any(isinstance(module, nn.LayerNorm) for module in model.modules())
        self.max_positions: int | None = getattr(text_config, "max_position_embeddings", None)
        self.n_vocab: int = model.get_input_embeddings().weight.shape[0]
        self.config: dict[str, Any] = model.config.to_dict()
        self.fingerprint = _fingerprint(model)
        self._understood: set[HookPoint] = set()
        self._require_causal()

    @classmethod
    def load(cls, name: str, *, revision: str = "", dtype: str = "float32", device: str = "auto") -> "LanguageModel":
        """Open a local folder or a hub id.

        Raises:
            NotFoundError: there is no such folder.
            InputError: the folder holds no whole causal language model, or its architecture is unknown.
            ExternalError: the hub could not be reached or does not know the name.
        """
        _bound_kernel_cache()
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # whoever loads a model shows progress in one way of their own
        options: dict[str, Any] = {"dtype": DTYPES[dtype], "output_loading_info": True}
        if revision:
            options["revision"] = revision
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(name, **options)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as cause:
            raise _load_error(name, cause) from cause
        model, report = loaded
        if report["missing_keys"]:
            raise InputError(
                f"model {name!r} lacks weights ({sorted(report['missing_keys'])[0]} and "
                f"{len(report['missing_keys']) - 1} more), which would be random; get the whole model"
            )
        return cls(model, name=name, device=choose_device(device))

    def width(self, hook_point: HookPoint) -> int:
        """Number of values per position at the hook point (found by a one-token forward)."""
        token = torch.zeros(1, 1, dtype=torch.long)
        return int(self.activations(token, [hook_point])[hook_point].shape[-1])

    @torch.no_grad()
    def activations(self, token_ids: Tensor, hook_points: Sequence[HookPoint]) -> dict[HookPoint, Tensor]:
        """Run the model once, to the deepest hook point, and return what each one saw.

        Padding needs no mask when it stands on the right: attention is causal, so no counted position sees it.

        Args:
            token_ids: integer tokens, shape [n_contexts, ctx_len].
            hook_points: places to read.

        Returns:
            For each hook point the module's own output (or input), float32, shape [n_contexts, ctx_len, width].

        Raises:
            InputError: the model has no such layer or site, or adds up its sublayers in a way that is not understood;
                tokens are not in its vocabulary or more than it has positions; activations are not finite.
        """
        self._require_known(token_ids)
        for point in set(hook_points) - self._understood:
            self._require_understood(point)
            self._understood.add(point)
        give_back_memory()  # the last batch was of other lengths
        seen = self._read(token_ids, hook_points)
        for point, acts in seen.items():
            if not bool(torch.isfinite(acts).all()):
                raise InputError(
                    f"model {self.name!r} gives NaN or infinity at {point} in {self.model.dtype}: its numbers outgrow "
                    "that precision, or its weights are damaged; try --lm-dtype bfloat16 or float32"
                )
        return seen

    def require_room(self, ctx_len: int) -> None:
        """Raises InputError where contexts of ctx_len tokens have more positions than the model knows."""
        if self.max_positions is not None and ctx_len > self.max_positions:
            raise InputError(
                f"contexts of {ctx_len} tokens, but model {self.name!r} has {self.max_positions} positions; "
                f"use --ctx-len {self.max_positions} or less"
            )

    def _require_known(self, token_ids: Tensor) -> None:
        """Refuse what an embedding would answer with an error of its own, or not at all."""
        self.require_room(token_ids.shape[1])
        largest = int(token_ids.max())
        if largest >= self.n_vocab:
            raise InputError(
                f"token id {largest}, but model {self.name!r} has {self.n_vocab} ids; its tokenizer does not fit it"
            )

    def _read(self, token_ids: Tensor, hook_points: Sequence[HookPoint]) -> dict[HookPoint, Tensor]:
        seen: dict[HookPoint, Tensor] = {}
        wanted = set(hook_points)
        hooks = [self._attach(point, find_module(self.model, point), seen, wanted) for point in wanted]
        try:
            self.model(input_ids=token_ids.to(self.device), use_cache=False)
        except _StopForward:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        missing = wanted - seen.keys()
        if missing:
            raise InputError(
                f"the model's forward never reached {', '.join(map(str, missing))}; choose another hook point"
            )
        return seen

    @torch.no_grad()
    def _require_causal(self) -> None:
        """Refuse a model in which a position sees later ones: right padding would change its activations."""
        first_block = HookPoint(0, Site.RESID_POST)
        acts = self._read(torch.tensor([[0, 0], [0, self.n_vocab - 1]]), [first_block])[first_block]
        alone, followed = acts[0, 0], acts[1, 0]
        if float((alone - followed).norm()) > 4 * torch.finfo(self.model.dtype).eps * float(alone.norm()):
            raise InputError(
                f"model {self.name!r} ({type(self.model).__name__}) is not causal: a position sees later ones; "
                "Featlas reads decoder-only transformers"
            )

    def _require_understood(self, point: HookPoint) -> None:
        """Refuse the outputs of sublayers where they are not what the residual stream is the sum of."""
        if point.site not in (Site.ATTN_OUT, Site.RESID_MID, Site.MLP_OUT):
            return
        find_module(self.model, point)
        at = {site: HookPoint(point.layer, site) for site in Site}
        wanted = [at[site] for site in (Site.RESID_PRE, Site.ATTN_OUT, Site.MLP_OUT, Site.RESID_POST)]
        if point.site is Site.RESID_MID:
            wanted.append(point)
        acts = self._read(torch.arange(4)[None] % self.n_vocab, wanted)
        before, attn_out, mlp_out, after = (acts[place] for place in wanted[:4])
        adds_up = self._is_sum(before, attn_out + mlp_out, after)
        if point.site is Site.RESID_MID:
            adds_up = adds_up and self._is_sum(before, attn_out, acts[point])
        if not adds_up:
            raise InputError(
                f"hook point {point}: the blocks of {type(self.model).__name__} do not add the attention's and the "
                f"MLP's output to the stream as they are, so this place is not known; "
                f"try blocks.{point.layer}.hook_resid_post"
            )

    def _is_sum(self, stream: Tensor, added: Tensor, result: Tensor) -> bool:
        """Whether stream + added = result at every position, but for the rounding of the forward's precision."""
        error = (result - stream - added).norm(dim=-1)
        rounding = 4 * torch.finfo(self.model.dtype).eps * result.norm(dim=-1)
        return bool((error <= 0.03 * added.norm(dim=-1) + rounding).all())

    def _attach(
        self, point: HookPoint, place: ModuleHook, seen: dict[HookPoint, Tensor], wanted: set[HookPoint]
    ) -> Any:
        def keep(value: Any) -> None:
            tensor = value[0] if isinstance(value, tuple) else value
            seen[point] = tensor.detach().to(torch.float32)
            if seen.keys() == wanted:
                raise _StopForward

        if place.reads_input:
            return place.module.register_forward_pre_hook(
                lambda _module, args, kwargs: keep(args if args else kwargs["hidden_states"]), with_kwargs=True
            )
        return place.module.register_forward_hook(lambda _module, _args, output: keep(output))


def _load_error(name: str, cause: Exception) -> FeatlasError:
    reason = str(cause).strip().split("\n")[0] or type(cause).__name__
    folder = Path(name)
    if folder.is_dir():
        return InputError(f"model folder {name!r} could not be opened as a causal language model: {reason}")
    if folder.is_absolute() or name.startswith((".", "~")):
        return NotFoundError(
            f"model folder {name!r} does not exist; give a folder with config.json and weights, or a hub id"
        )
    return ExternalError(
        f"model {name!r} is no local folder and could not be had from the hub: {reason}; "
        "check the spelling and the network, or download it and give the folder"
    )


def _fingerprint(model: Any) -> str:
    digest = hashlib.sha256(repr(sorted(model.config.to_diff_dict().items(), key=lambda item: item[0])).encode())
    for name, parameter in sorted(model.state_dict().items()):
        digest.update(f"{name}{parameter.dtype}{tuple(parameter.shape)}".encode())
        flat = parameter.detach().flatten()
        sample = flat[:: max(1, flat.numel() // 4096)].to(torch.float32).cpu().numpy()
        digest.update(sample.tobytes())
    return digest.hexdigest()
