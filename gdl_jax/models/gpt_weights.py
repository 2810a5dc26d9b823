"""GPT-2's weights under the names of Hugging Face's files, to and from the parameters of `models.gpt`.

Their dense layers are stored (in, out), as here; queries, keys and values are one matrix in this order. The layers of
ours are stacked along a first axis.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdl_jax.models.gpt import Config
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


def to_hugging_face(params: Mapping[str, Any], config: Config) -> dict[str, np.ndarray]:
    """Returns {name: array} for a file that Hugging Face's GPT2LMHeadModel and GPT2Model read.

    Args:
      params: of `models.gpt.GPT`.
      config: of the network.
    """
    tensors = {name: np.asarray(params[module][kind]) for name, (module, kind) in OUTSIDE.items()}
    block = params["layers"]["block"]
    for layer in range(config.layers):
        for name, (module, parameter) in _layer_names(layer, config.bias).items():
            tensors[name] = np.asarray(block[module][parameter][layer])
    tensors["ln_f.weight"] = np.asarray(params["norm"]["scale"])
    if config.bias:
        tensors["ln_f.bias"] = np.asarray(params["norm"]["bias"])
    return tensors


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
    norm = {"scale": found["ln_f.weight"]} | ({"bias": found["ln_f.bias"]} if config.bias else {})
    outside = {module: {kind: found[name]} for name, (module, kind) in OUTSIDE.items()}
    return {**outside, "layers": {"block": block}, "norm": norm}


def shapes(config: Config, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """Returns {name in a file: shape} of a network's weights."""
    width = config.width
    outputs = {"qkv": 3 * width, "attention_out": width, "hidden": 4 * width, "out": width}
    inputs = {"out": 4 * width}
    wanted: dict[str, tuple[int, ...]] = {"wte.weight": (vocabulary_size, width), "wpe.weight": (config.context, width)}
    for layer in range(config.layers):
        for name, (module, parameter) in _layer_names(layer, config.bias).items():
            size = outputs.get(module, width)
            wanted[name] = (inputs.get(module, width), size) if parameter == "kernel" else (size,)
    return wanted | {"ln_f.weight": (width,)} | ({"ln_f.bias": (width,)} if config.bias else {})
