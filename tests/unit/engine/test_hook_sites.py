"""Every site of every tiny model is what a forward by hand, and the library's own hidden states, say that it is."""

from functools import cache

import pytest
import torch
from tests.oracles.forward import Sites, sites_by_hand
from torch import Tensor
from transformers import (
    BertConfig,
    BertLMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedModel,
)

from featlas.domain import HookPoint, Site
from featlas.engine.hook_sites import find_blocks
from featlas.engine.language_model import LanguageModel
from featlas.errors import InputError
from featlas.testing.tiny_models import ARCHITECTURES, D_MODEL, N_LAYERS, build_tiny_model

IN_BLOCKS = [site for site in Site if site is not Site.EMBED]
SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def opened(model: PreTrainedModel) -> LanguageModel:
    return LanguageModel(model, name=type(model).__name__, device=torch.device("cpu"))


@cache
def tiny(architecture: str) -> LanguageModel:
    return opened(build_tiny_model(architecture))


@cache
def token_ids() -> Tensor:
    return torch.randint(300, (2, 21), generator=torch.Generator().manual_seed(1))


@cache
def by_hand(architecture: str) -> list[Sites]:
    with torch.no_grad():
        return sites_by_hand(architecture, tiny(architecture).model, token_ids())


def read(model: LanguageModel, point: HookPoint, ids: Tensor | None = None) -> Tensor:
    return model.activations(token_ids() if ids is None else ids, [point])[point]


@pytest.mark.parametrize("site", IN_BLOCKS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_site_of_every_layer_equals_the_forward_by_hand(architecture: str, site: Site) -> None:
    for layer in range(N_LAYERS):
        point = HookPoint(layer, site)
        if architecture == "neox" and site is Site.RESID_MID:  # a parallel block has no stream between its sublayers
            with pytest.raises(InputError, match=f"blocks.{layer}.hook_resid_mid.*GPTNeoXLayer.*no such place"):
                read(tiny(architecture), point)
        else:
            expected = by_hand(architecture)[layer][site.value]
            torch.testing.assert_close(read(tiny(architecture), point), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_embedding_is_what_the_tokens_add_to_the_stream(architecture: str) -> None:
    """Gemma's is scaled by sqrt(d_model); GPT-2's lacks the position embedding, as in TransformerLens."""
    found = read(tiny(architecture), HookPoint(0, Site.EMBED))
    torch.testing.assert_close(found, by_hand(architecture)[0]["embed"])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_residual_stream_equals_the_hidden_states_bit_for_bit(architecture: str) -> None:
    model = tiny(architecture)
    hidden = model.model(token_ids(), output_hidden_states=True).hidden_states
    for layer in range(N_LAYERS):
        assert torch.equal(read(model, HookPoint(layer, Site.RESID_PRE)), hidden[layer])
    for layer in range(N_LAYERS - 1):
        assert torch.equal(read(model, HookPoint(layer, Site.RESID_POST)), hidden[layer + 1])
    # The library applies the final norm to the last hidden state; the block's own output is what counts.
    last = read(model, HookPoint(N_LAYERS - 1, Site.RESID_POST))
    final_norm = next(
        m for name, m in model.model.named_modules() if name.endswith(("ln_f", "final_layer_norm", ".norm"))
    )
    assert not torch.allclose(last, hidden[-1])
    torch.testing.assert_close(final_norm(last), hidden[-1])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_several_hook_points_in_one_forward_equal_single_ones(architecture: str) -> None:
    model = tiny(architecture)
    sites = [s for s in Site if (architecture, s) != ("neox", Site.RESID_MID)]
    points = [HookPoint(layer, site) for layer in (0, 2) for site in sites if (layer, site) != (2, Site.EMBED)]
    together = model.activations(token_ids(), points)
    assert together.keys() == set(points)
    for point in points:
        assert torch.equal(together[point], read(model, point)), point


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_forward_stops_at_the_deepest_hook_point(architecture: str) -> None:
    model = opened(build_tiny_model(architecture))
    ran: list[str] = []
    for layer, block in enumerate(find_blocks(model.model)):
        block.register_forward_hook(lambda *_args, name=f"block {layer}": ran.append(name))
    model.model.get_output_embeddings().register_forward_hook(lambda *_args: ran.append("unembedding"))
    expected = {
        Site.EMBED: [],
        Site.RESID_PRE: ["block 0"],
        Site.Z: ["block 0"],
        Site.RESID_POST: ["block 0", "block 1"],
    }
    for site, blocks in expected.items():
        ran.clear()
        read(model, HookPoint(0 if site is Site.EMBED else 1, site))
        assert ran == blocks, site


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_right_padding_changes_nothing_for_real_tokens(architecture: str) -> None:
    model, n = tiny(architecture), 13
    for site in (Site.RESID_POST, Site.Z, Site.MLP_OUT):
        point = HookPoint(N_LAYERS - 1, site)
        alone = read(model, point, token_ids()[:1, :n])
        for padding in (0, 7):
            padded = token_ids().clone()
            padded[0, n:] = padding
            torch.testing.assert_close(read(model, point, padded)[:1, :n], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("architecture", "width"), [("gpt2", D_MODEL), ("gemma2", 64)])
def test_the_width_of_z_is_that_of_all_heads_together(architecture: str, width: int) -> None:
    assert tiny(architecture).width(HookPoint(0, Site.Z)) == width
    assert tiny(architecture).width(HookPoint(0, Site.RESID_MID)) == D_MODEL


def test_an_unknown_layer_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"blocks\.3\.hook_resid_post: there is no layer 3; .* layers 0 … 2"):
        read(tiny("llama"), HookPoint(3, Site.RESID_POST))


OTHER_PLACES = ("blocks.1.attn.hook_in", "blocks.1.hook_in", "blocks.1.mlp.hook_resid_post", "blocks.1.hook_embed")


@pytest.mark.parametrize(
    "text", ["blocks.1.hook_middle", "blocks.x.hook_resid_post", "layer 7", "", "hook_resid_pre", *OTHER_PLACES]
)
def test_an_unknown_hook_point_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match=r"unknown hook point .*blocks\.L\.hook_resid_post") as caught:
        HookPoint.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("site", Site)
def test_a_hook_point_is_read_as_it_is_written(site: Site) -> None:
    point = HookPoint(0 if site is Site.EMBED else 7, site)
    assert HookPoint.parse(str(point)) == point


def test_transformer_lens_spellings_are_read() -> None:
    assert HookPoint.parse("blocks.5.attn.hook_z") == HookPoint(5, Site.Z)
    assert HookPoint.parse("blocks.5.mlp.hook_in") == HookPoint(5, Site.MLP_IN)


def test_a_model_without_attention_blocks_is_refused() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2))
    with pytest.raises(InputError, match="MambaForCausalLM has an unknown architecture"):
        opened(model)


def test_a_model_that_sees_the_future_is_refused() -> None:
    """With it padding would change the activations of real tokens."""
    with pytest.raises(InputError, match=r"BertLMHeadModel.* is not causal"):
        opened(BertLMHeadModel(BertConfig(**SMALL)))


@pytest.mark.parametrize("site", [Site.ATTN_OUT, Site.RESID_MID, Site.MLP_OUT])
def test_sublayers_that_are_scaled_before_they_are_added_are_refused(site: Site) -> None:
    """What Granite's sublayers put out is not what they add to the stream; nothing may be read there in silence."""
    model = opened(GraniteForCausalLM(GraniteConfig(**SMALL, residual_multiplier=0.9)))
    with pytest.raises(InputError, match=f"hook_{site.value}.*GraniteForCausalLM.*try blocks.1.hook_resid_post"):
        model.activations(torch.ones(1, 3, dtype=torch.long), [HookPoint(1, site)])


def test_norms_after_the_sublayers_alone_are_understood() -> None:
    """OLMo 2 has the names of Llama's norms at other places: the stream is normed only on the way out."""
    model = opened(Olmo2ForCausalLM(Olmo2Config(**SMALL)))
    points = {site: HookPoint(1, site) for site in IN_BLOCKS}
    acts = {point.site: values for point, values in model.activations(token_ids() % 50, list(points.values())).items()}
    block = model.model.model.layers[1]
    assert torch.equal(acts[Site.MLP_IN], acts[Site.RESID_MID])
    torch.testing.assert_close(
        acts[Site.ATTN_OUT], block.post_attention_layernorm(block.self_attn.o_proj(acts[Site.Z]))
    )
    torch.testing.assert_close(acts[Site.RESID_MID], acts[Site.RESID_PRE] + acts[Site.ATTN_OUT])
    torch.testing.assert_close(acts[Site.RESID_POST], acts[Site.RESID_MID] + acts[Site.MLP_OUT])


def test_the_blocks_are_found_whatever_else_is_a_list() -> None:
    model = LlamaForCausalLM(LlamaConfig(**SMALL))
    model.extra = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    assert find_blocks(model) is model.model.layers
