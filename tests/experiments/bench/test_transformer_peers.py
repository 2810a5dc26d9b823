"""The peers' transformers against ours: parameters, multiplications, and losses and gradients of the same weights."""

import dataclasses
import os

import jax
import numpy as np
import pytest

from experiments import benchmarks, gpt2, transformer
from experiments.bench.peers import timing
from gdl_jax.core.flops import count_multiplications
from gdl_jax.learners.gradient import apply_eval
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.models.gpt import GPT
from gdl_jax.models.transformer import Transformer

PRESETS = {"gpt_cpu": (gpt2, "shakespeare_cpu"), "gpt": (gpt2, "shakespeare"), "transformer": (transformer, "multi30k")}
SMALL = {"gpt": timing.GPT(6, 2, 2, 8, 11), "transformer": timing.Translator(2, 2, 8, 12, 13, 11, 6)}
GPT_LAYER = ("attention_norm", "qkv", "attention_out", "norm", "hidden", "out")
ENCODER = ("qkv", "attention_out", "attention_norm", "hidden", "out", "norm")
DECODER = (*ENCODER[:3], "query", "key_value", "memory_out", "memory_norm", *ENCODER[3:])


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras")


def count(name):
    """The number of parameters of our network."""
    experiment, preset = PRESETS[name]
    config = experiment.PRESETS[preset]
    network = experiment.networks(config, experiment.spec(config))["network"]
    shapes = jax.eval_shape(
        lambda *inputs: network.module.init(jax.random.key(0), *inputs, train=False), *network.inputs
    )
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def ours(name):
    """Our small network with random parameters, two examples, their loss, and its gradient."""
    sizes, rng = SMALL[name], np.random.default_rng(0)
    if name == "gpt":
        preset = gpt2.PRESETS["shakespeare"]
        fields = {"context": sizes.context, "layers": sizes.layers, "heads": sizes.heads, "width": sizes.width}
        module = GPT(dataclasses.replace(preset, **fields), sizes.vocabulary)
        tokens = rng.integers(0, sizes.vocabulary, (2, sizes.context + 1)).astype(np.int32)
        batch, inputs, targets = (tokens[:, :-1], tokens[:, 1:]), (tokens[:, :-1],), tokens[:, 1:]
    else:
        preset = transformer.PRESETS["multi30k"]
        fields = {"layers": sizes.layers, "heads": sizes.heads, "width": sizes.width, "hidden_units": sizes.hidden}
        module = Transformer(dataclasses.replace(preset, **fields), sizes.source, sizes.target, sizes.length + 1)
        source, target = (rng.integers(1, 11, (2, sizes.length + extra)).astype(np.int32) for extra in (0, 1))
        source[1, 4:] = target[0, 5:] = 0
        batch, inputs, targets = (source, target), (source, target[:, :-1]), target[:, 1:]
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))["params"]
    params = jax.tree.map(lambda leaf: rng.normal(0.2, 0.3, leaf.shape).astype(np.float32), shapes)

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        losses = token_cross_entropy(apply_eval(module, params, {}, *inputs), targets)
        return losses.mean() if name == "gpt" else (losses * (targets != 0)).sum() / (targets != 0).sum()

    return params, batch, *loss(params)


def tables(name, params):
    """Names and parameters of our layers in the order of the peers'."""

    def stack(layers, names):
        return [(each, {key: x[n] for key, x in layers["block"][each].items()}) for n in range(2) for each in names]

    if name == "gpt":
        first, last = ("tokens", "positions"), "norm"
        layers = stack(params["layers"], GPT_LAYER)
    else:
        first, last = [f"{side}{kind}" for kind in ("", "_positions") for side in ("source", "target")], "words"
        layers = [*stack(params["encoder"], ENCODER), *stack(params["decoder"], DECODER)]
    return [*((each, params[each]) for each in first), *layers, (last, params[last])]


def torch_layers(torch, network):
    """A PyTorch network's layers with parameters, in the order of `tables`."""

    def of(layer):
        if hasattr(layer, "norm"):
            return [layer.attention_norm, *of_attention(layer.attention), layer.norm, *linear(layer.feed_forward)]
        found = [*of_attention(layer.attention), layer.norms[0]]
        if layer.to_memory is not None:
            found += [*of_attention(layer.to_memory), layer.norms[1]]
        return [*found, *linear(layer.feed_forward), layer.norms[-1]]

    def of_attention(attention):
        return [*attention.inputs, attention.out]

    def linear(layers):
        return [layer for layer in layers if isinstance(layer, torch.nn.Linear)]

    if hasattr(network, "layers"):
        return [network.tokens, network.positions, *(part for x in network.layers for part in of(x)), network.norm]
    layers = [part for side in (network.encoder, network.decoder) for layer in side for part in of(layer)]
    return [*network.embeddings, *network.positions, *layers, network.words]


def torch_names(values):
    """{PyTorch's name: our value, transposed where it is a kernel}."""
    kinds = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}
    return {kinds[name]: np.asarray(x).T if name == "kernel" else np.asarray(x) for name, x in values.items()}


@pytest.mark.parametrize("name", SMALL)
def test_pytorch_s_loss_and_gradient_are_ours(torch, name):
    from experiments.bench.peers import torch_transformers

    kind = torch_transformers.GPT if name == "gpt" else torch_transformers.Translator
    network = kind(SMALL[name])
    params, batch, loss, gradient = ours(name)
    layers = torch_layers(torch, network)
    with torch.no_grad():
        for layer, (_, values) in zip(layers, tables(name, params), strict=True):
            assert layer.state_dict().keys() == torch_names(values).keys()
            for key, value in torch_names(values).items():
                getattr(layer, key).copy_(torch.from_numpy(value.copy()))
    found = network.loss(*(torch.from_numpy(array).long() for array in batch))
    found.backward()
    assert found.item() == pytest.approx(float(loss), rel=1e-5)
    for layer, (_, values) in zip(layers, tables(name, gradient), strict=True):
        for key, value in torch_names(values).items():
            np.testing.assert_allclose(getattr(layer, key).grad.numpy(), value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", timing.OF_TOKENS)
def test_pytorch_s_update_has_our_parameters_and_multiplications(torch, name):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from experiments.bench.peers import torch_transformers

    network = torch_transformers.MODELS[name]()
    assert sum(parameter.numel() for parameter in network.parameters()) == count(name)
    network.prepare()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network.step(*torch_transformers.random_tokens(name, 1, "cpu"))
    assert counter.get_total_flops() == 2 * benchmarks.MULTIPLICATIONS[name]


def keras_layers(network):
    """A Keras network's layers with parameters, in the order of `tables`."""

    def of(layer):
        if hasattr(layer, "norm"):
            return [layer.attention_norm, layer.attention, layer.norm, layer.hidden, layer.out]
        to_memory = [] if layer.to_memory is None else [layer.to_memory, layer.norms[1]]
        return [layer.attention, layer.norms[0], *to_memory, layer.hidden, layer.out, layer.norms[-1]]

    if hasattr(network, "blocks"):
        return [network.tokens, network.positions, *(part for x in network.blocks for part in of(x)), network.norm]
    layers = [part for side in (network.encoder, network.decoder) for layer in side for part in of(layer)]
    return [*network.token_embeddings, *network.positions, *layers, network.words]


def keras_arrays(name, values, heads):
    """Arrays of one of our layers in the order and shapes of Keras."""
    arrays = [np.asarray(values[key]) for key in ("embedding", "scale", "kernel", "bias") if key in values]
    parts = {"qkv": 3, "query": 1, "key_value": 2}.get(name)
    if parts:
        split = [np.split(array, parts, axis=-1) for array in arrays]
        return [part.reshape(*part.shape[:-1], heads, -1) for each in zip(*split, strict=True) for part in each]
    if name in ("attention_out", "memory_out"):
        return [arrays[0].reshape(heads, -1, arrays[0].shape[-1]), *arrays[1:]]
    return arrays


@pytest.mark.parametrize("name", SMALL)
def test_keras_loss_is_ours(keras, name):
    from experiments.bench.peers import keras_transformers

    sizes = SMALL[name]
    network = (keras_transformers.gpt if name == "gpt" else keras_transformers.transformer)(sizes)
    params, (inputs, targets), loss, _ = ours(name)
    if name == "transformer":
        inputs, targets = (inputs, targets[:, :-1]), targets[:, 1:]
    network(inputs)
    weights = [weight for layer in keras_layers(network) for weight in layer.weights]
    values = [x for each, given in tables(name, params) for x in keras_arrays(each, given, sizes.heads)]
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)
    found = network.compute_loss(y=targets, y_pred=network(inputs, training=True))
    assert float(found) == pytest.approx(float(loss), rel=1e-4)


@pytest.mark.parametrize("name", timing.OF_TOKENS)
def test_keras_update_has_our_parameters_and_multiplications(keras, name):
    from experiments.bench.peers import keras_transformers

    if keras.backend.backend() != "jax":
        pytest.skip("counts a step of Keras's JAX backend")
    network = keras_transformers.MODELS[name]()
    inputs, targets = keras_transformers.random_tokens(name, 1)
    network(inputs)
    assert sum(weight.size for weight in map(np.asarray, network.trainable_weights)) == count(name)

    def loss(trained, others):
        logits, _ = network.stateless_call(trained, others, inputs, training=True)
        return network.loss(targets, logits)

    values = [[x.value for x in some] for some in (network.trainable_variables, network.non_trainable_variables)]
    cost = count_multiplications(jax.make_jaxpr(jax.grad(loss))(*values).jaxpr)
    assert cost.multiplications == benchmarks.MULTIPLICATIONS[name]
