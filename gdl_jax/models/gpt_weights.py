"""GPT-2's weights under the names of Hugging Face's files, to and from the parameters of `models.gpt`.

Their dense layers are stored (in, out), as here; queries, keys and values are one matrix in this order. The layers of
ours are stacked along a first axis.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.models.gpt import GPT, Config
from gdl_jax.models.weight_names import match, normalise

OUTSIDE = {"wte.weight": ("tokens", "embedding"), "wpe.weight": ("positions", "embedding")}
DENSE = {"attn.c_attn": "qkv", "attn.c_proj": "attention_out", "mlp.c_fc": "hidden", "mlp.c_proj": "out"}
NORMS = {"ln_1": "attention_norm", "ln_2": "norm"}
OUTPUT = "lm_head.weight"  # the embedding a second time


def _layer_names(layer: int, bias: bool) -> dict[str, tuple[str, str]]:
    """Returns {name in a file: (module, parameter)} of one layer."""
    names = {}
    for table, parameters in (
        (DENSE, {"weight": "kernel", "bias": "bias"}),
        (NORMS, {"weight": "scale", "bias": "bias"}),
    ):
        for theirs, ours in table.items():
            for kind, parameter in parameters.items():
                if bias or kind == "weight":
                    names[f"h.{layer}.{theirs}.{kind}"] = (ours, parameter)
    return names


def hugging_face_config(config: Config, vocabulary_size: int) -> dict[str, Any]:
    """Returns what a file config.json beside the weights says, for Hugging Face's transformers.

    Raises:
      ConfigError: the network has no equivalent there; names attention.
    """
    if config.attention != "causal":
        raise ConfigError("attention", config.attention, "GPT-2 has no such pattern; only causal is exported")
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": vocabulary_size,
        "n_positions": config.context,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "activation_function": {"tanh": "gelu_new", "exact": "gelu"}[config.gelu],
        "layer_norm_epsilon": 1e-5,
        **{f"{place}_pdrop": config.dropout_rate for place in ("embd", "attn", "resid")},
        "bos_token_id": None,
        "eos_token_id": None,
    }


def to_hugging_face(params: Mapping[str, Any], config: Config) -> dict[str, np.ndarray]:
    """Returns {name: array} for a file that Hugging Face's GPT2LMHeadModel and GPT2Model read.

    Biases that the network lacks are not in it; they are 0 there.

    Args:
      params: of `models.gpt.GPT`.
      config: of the network.
    """
    return {name: np.asarray(array) for name, array in _renamed(params, config).items()}


def _renamed(params: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Returns {name in a file: array}."""
    tensors = {name: params[module][kind] for name, (module, kind) in OUTSIDE.items()}
    block = params["layers"]["block"]
    for layer in range(config.layers):
        for name, (module, parameter) in _layer_names(layer, config.bias).items():
            tensors[name] = block[module][parameter][layer]
    return tensors | {name: params["norm"][kind] for name, kind in _last_norm(config.bias).items()}


def _last_norm(bias: bool) -> dict[str, str]:
    """Returns {name in a file: parameter} of the normalisation after the layers."""
    return {"ln_f.weight": "scale"} | ({"ln_f.bias": "bias"} if bias else {})


def from_hugging_face(
    tensors: Mapping[str, np.ndarray], config: Config, vocabulary_size: int, source: str = "weights"
) -> dict[str, Any]:
    """Returns the parameters of `models.gpt.GPT`, float32.

    Args:
      tensors: {name: array}, with or without the prefix "transformer."; masks and the output layer, which is the
        embedding again, are ignored.
      config: of the network; the file must have its sizes.
      vocabulary_size: of the network.
      source: where the tensors are from, for messages.

    Raises:
      UserError: as `weight_names.match`.
    """
    found = normalise(tensors, source)
    wanted = shapes(config, vocabulary_size)
    match(wanted, {name: array.shape for name, array in found.items()}, source, optional=(OUTPUT,))
    found = {name: np.asarray(array, np.float32) for name, array in found.items()}
    block: dict[str, dict[str, np.ndarray]] = {}
    for name, (module, parameter) in _layer_names(0, config.bias).items():
        layers = [found[name.replace("h.0.", f"h.{layer}.", 1)] for layer in range(config.layers)]
        block.setdefault(module, {})[parameter] = np.stack(layers)
    norm = {kind: found[name] for name, kind in _last_norm(config.bias).items()}
    outside = {module: {kind: found[name]} for name, (module, kind) in OUTSIDE.items()}
    return {**outside, "layers": {"block": block}, "norm": norm}


def shapes(config: Config, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """Returns {name in a file: shape} of a network's weights."""
    module, tokens = GPT(config, vocabulary_size), jnp.zeros((1, 1), jnp.int32)
    arrays = jax.eval_shape(
        lambda key: _renamed(module.init(key, tokens, train=False)["params"], config), jax.random.key(0)
    )
    return {name: array.shape for name, array in arrays.items()}
