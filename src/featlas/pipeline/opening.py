"""Opens what a spec names (model, tokenizer, SAE) and makes sure that they belong together before any work is done."""

from dataclasses import dataclass
from pathlib import Path

from featlas.domain import HookPoint, Site
from featlas.engine.language_model import LanguageModel
from featlas.engine.sae import SaeParams
from featlas.engine.threads import use_threads
from featlas.errors import InputError
from featlas.sources.packaged_model import ALIAS, converted_model
from featlas.sources.sae_files import SaeFile, load_sae
from featlas.sources.tokenizer import Tokenizer
from featlas.specs import CheckSpec, ExtractSpec, ModelSpec, SaeSpec


@dataclass(frozen=True)
class OpenedSae:
    """An SAE on the device that will run it, with its hook point settled.

    mean_centred: whether it reads activations less their mean over d_model.
    """

    file: SaeFile
    params: SaeParams
    hook_point: HookPoint
    fingerprint: str
    mean_centred: bool


def model_place(spec: ModelSpec, cache_path: Path) -> str:
    """The folder or hub id behind a spec's model name."""
    if spec.model == ALIAS:
        return converted_model(cache_path)
    return str(Path(spec.model).expanduser()) if spec.model.startswith("~") else spec.model


def open_tokenizer(spec: ModelSpec, cache_path: Path) -> Tokenizer:
    """The tokenizer that lies beside the model."""
    return Tokenizer.load(model_place(spec, cache_path), revision=spec.model_revision)


def open_model(spec: ModelSpec, cache_path: Path, device: str, threads: int) -> LanguageModel:
    """The language model, on its device; sets torch's CPU threads, which are part of a run's recipe."""
    use_threads(threads)
    place = model_place(spec, cache_path)
    return LanguageModel.load(place, revision=spec.model_revision, dtype=spec.lm_dtype, device=device)


def open_sae(spec: SaeSpec) -> SaeFile:
    """The SAE's files; refused where no hook point is known."""
    file = load_sae(spec.sae)
    if not (spec.hook_point or file.hook_point):
        raise InputError(f"{spec.sae}: the SAE's files name no hook point; give --hook-point blocks.L.hook_resid_post")
    return file


def fit_together(spec: CheckSpec | ExtractSpec, file: SaeFile, model: LanguageModel) -> OpenedSae:
    """Put the SAE on the model's device; InputError where it has another width or contexts are too long."""
    model.require_room(spec.ctx_len)
    hook_point = HookPoint.parse(spec.hook_point or file.hook_point)
    width = model.width(hook_point)
    if width != file.params.d_in:
        raise InputError(
            f"{spec.sae}: the SAE reads vectors of {file.params.d_in}, but {hook_point} of {model.name} has {width}; "
            "the SAE belongs to another model or another hook point"
        )
    # Centred weights are a matter of models whose norms subtract the mean, and of what is written to the stream.
    mean_centred = file.mean_centred and model.has_layer_norm and hook_point.site not in (Site.Z, Site.MLP_IN)
    return OpenedSae(file, file.params.to(model.device), hook_point, file.params.fingerprint(), mean_centred)
