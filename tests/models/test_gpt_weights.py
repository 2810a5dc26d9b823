"""Tests of GPT-2's weights in Hugging Face's names, and of our network beside theirs on the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.models.gpt import GPT, Config, generate
from gdl_jax.models.gpt_weights import from_hugging_face, shapes, to_hugging_face
from gdl_jax.nn.sampling import SamplingConfig

SMALL = Config(context=32, layers=2, heads=4, width=32, dropout_rate=0.0)
WIDE = Config(context=64, layers=2, heads=12, width=768, dropout_rate=0.0)  # GPT-2's width and heads
VOCABULARY = 101


def random_tensors(config, scale=0.1):
    rng = np.random.default_rng(0)
    return {
        name: (
            scale * rng.normal(size=shape) + (name.split(".")[-2].startswith("ln") and name.endswith("weight"))
        ).astype(np.float32)
        for name, shape in shapes(config, VOCABULARY).items()
    }


@pytest.mark.parametrize("bias", [True, False])
def test_weights_survive_the_way_there_and_back(bias):
    config = Config(context=32, layers=2, heads=4, width=32, bias=bias)
    module, tokens = GPT(config, VOCABULARY), jnp.zeros((1, 4), jnp.int32)
    params = module.init(jax.random.key(0), tokens, train=False)["params"]
    tensors = to_hugging_face(params, config)
    assert {name: array.shape for name, array in tensors.items()} == shapes(config, VOCABULARY)
    back = from_hugging_face(tensors, config, VOCABULARY)
    jax.tree.map(np.testing.assert_array_equal, back, dict(params))


def test_prefixes_masks_and_the_output_layer_are_accepted():
    tensors = random_tensors(SMALL)
    newer = {f"transformer.{name}": array for name, array in tensors.items()}
    newer |= {"lm_head.weight": tensors["wte.weight"], "transformer.h.0.attn.bias": np.ones((1, 1, 32, 32))}
    found = from_hugging_face(newer, SMALL, VOCABULARY)
    jax.tree.map(np.testing.assert_array_equal, found, from_hugging_face(tensors, SMALL, VOCABULARY))


@pytest.mark.parametrize("fault", ["missing", "surplus", "shape"])
def test_a_file_that_does_not_fit_is_refused_by_name(fault):
    tensors = random_tensors(SMALL)
    named = {"missing": "h.1.mlp.c_fc.bias", "surplus": "h.2.ln_1.weight", "shape": "wpe.weight"}[fault]
    if fault == "missing":
        del tensors[named]
    else:
        tensors[named] = np.zeros((3, 3))
    with pytest.raises(UserError, match=named):
        from_hugging_face(tensors, SMALL, VOCABULARY)


@pytest.fixture(scope="module")
def both():
    """Our network, its variables, and Hugging Face's with the same weights."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch, of the extra [bench]")
    transformers = pytest.importorskip("transformers", reason="compares with Hugging Face's transformers")
    tensors = random_tensors(WIDE)
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCABULARY, n_positions=64, n_embd=768, n_layer=2, n_head=12, bos_token_id=0, eos_token_id=0
        )
    ).eval()
    missing, unexpected = theirs.transformer.load_state_dict(
        {name: torch.from_numpy(array) for name, array in tensors.items()}, strict=False
    )
    assert not unexpected
    assert all("attn.bias" in name or "masked_bias" in name for name in missing)
    theirs.tie_weights()
    return GPT(WIDE, VOCABULARY), {"params": from_hugging_face(tensors, WIDE, VOCABULARY)}, theirs


def test_logits_equal_hugging_faces(both):
    import torch

    module, variables, theirs = both
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, (2, 64))
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(tokens)).logits.numpy()
    found = np.asarray(module.apply(variables, jnp.asarray(tokens, jnp.int32), train=False))
    assert np.abs(wanted).max() > 5
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_gradients_equal_hugging_faces(both):
    import torch

    module, variables, theirs = both
    tokens = np.random.default_rng(2).integers(0, VOCABULARY, (2, 33))
    logits = theirs(torch.from_numpy(tokens[:, :-1])).logits
    theirs.zero_grad()
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(tokens[:, 1:]).flatten()).backward()
    wanted = {name: p.grad.numpy() for name, p in theirs.transformer.named_parameters()}

    def loss(params):
        predicted = module.apply({"params": params}, jnp.asarray(tokens[:, :-1], jnp.int32), train=False)
        return token_cross_entropy(predicted, jnp.asarray(tokens[:, 1:], jnp.int32)).mean()

    found = to_hugging_face(jax.grad(loss)(variables["params"]), WIDE)
    for name, gradient in wanted.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(found[name], gradient, atol=1e-3 * scale, err_msg=name)


def test_generation_equals_hugging_faces_token_for_token(both):
    import torch

    module, variables, theirs = both
    prompts = np.random.default_rng(3).integers(0, VOCABULARY, (2, 7))
    wanted = theirs.generate(
        torch.from_numpy(prompts), max_new_tokens=30, do_sample=False, eos_token_id=None, pad_token_id=0
    ).numpy()[:, 7:]
    lengths = jnp.full(2, 7, jnp.int32)
    tokens = jnp.asarray(prompts, jnp.int32)
    found = generate(module, variables, jax.random.key(0), tokens, lengths, 30, SamplingConfig(0.0))
    np.testing.assert_array_equal(found, wanted)
