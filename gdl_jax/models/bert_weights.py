"""BERT's weights under the names of Hugging Face's files, to and from the parameters of `models.bert`.

Their dense layers are stored (out, in), ours (in, out); their queries, keys and values are three layers, ours one, in
this order. The layers of ours are stacked along a first axis.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gdl_jax.core.errors import UserError
from gdl_jax.models.bert import EPSILON, SEGMENTS, Config
from gdl_jax.models.weight_names import match, normalise

EMBEDDINGS = {"word_embeddings": "tokens", "position_embeddings": "positions", "token_type_embeddings": "segments"}
DENSE = {"attention.output.dense": "attention_out", "intermediate.dense": "hidden", "output.dense": "out"}
NORMS = {"attention.output.LayerNorm": "attention_norm", "output.LayerNorm": "norm"}
ENCODER = ("embeddings.", "encoder.", "pooler.")  # beginnings of names that have the prefix "bert." beside heads
WORDS, WORD_BIAS = "embeddings.word_embeddings.weight", "cls.predictions.bias"
# The output layer's weights and biases a second time: {name: the array's own name}.
TIED = {"cls.predictions.decoder.weight": WORDS, "cls.predictions.decoder.bias": WORD_BIAS}
TASKS = ("classifier", "qa_outputs")  # last layers of fine-tuned networks, with the same names here
# A file has each of these whole, or not at all.
HEADS = ("pooler.", "cls.predictions.", "cls.seq_relationship.", *(f"{task}." for task in TASKS))


class _Place(NamedTuple):
    """Where an array of a file is among the parameters.

    Attributes:
      path: of the parameter.
      layer: index along its first axis, or None.
      part: which third of its last axis, or None.
      transposed: it is transposed in the file.
    """

    path: tuple[str, ...]
    layer: int | None = None
    part: int | None = None
    transposed: bool = False

    def of(self, params: Mapping[str, Any]) -> Any:
        """Returns the array as in a file; of NumPy's arrays, a view."""
        array: Any = params
        for name in self.path:
            array = array[name]
        array = array if self.layer is None else array[self.layer]
        if self.part is not None:
            size = array.shape[-1] // 3
            array = array[..., self.part * size : (self.part + 1) * size]
        return array.T if self.transposed else array


def _dense(name: str, *path: str, layer: int | None = None, part: int | None = None) -> Iterator[tuple[str, _Place]]:
    yield f"{name}.weight", _Place((*path, "kernel"), layer, part, transposed=True)
    yield f"{name}.bias", _Place((*path, "bias"), layer, part)


def _norm(name: str, *path: str, layer: int | None = None) -> Iterator[tuple[str, _Place]]:
    yield f"{name}.weight", _Place((*path, "scale"), layer)
    yield f"{name}.bias", _Place((*path, "bias"), layer)


def _encoder(layers: int, *path: str) -> Iterator[tuple[str, _Place]]:
    """Yields the names of the encoder's arrays without pooler, and their places; `path` leads to the encoder."""
    for theirs, ours in EMBEDDINGS.items():
        yield f"embeddings.{theirs}.weight", _Place((*path, ours, "embedding"))
    yield from _norm("embeddings.LayerNorm", *path, "embedding_norm")
    block = (*path, "layers", "block")
    for layer in range(layers):
        for part, kind in enumerate(("query", "key", "value")):
            yield from _dense(f"encoder.layer.{layer}.attention.self.{kind}", *block, "qkv", layer=layer, part=part)
        for theirs, ours in DENSE.items():
            yield from _dense(f"encoder.layer.{layer}.{theirs}", *block, ours, layer=layer)
        for theirs, ours in NORMS.items():
            yield from _norm(f"encoder.layer.{layer}.{theirs}", *block, ours, layer=layer)


def _places(params: Mapping[str, Any]) -> dict[str, _Place]:
    """Returns {name in a file, without the prefix "bert.": place} of a network's parameters or their shapes."""
    path = ("bert",) if "bert" in params else ()
    encoder = params["bert"] if path else params
    places = dict(_encoder(encoder["layers"]["block"]["out"]["bias"].shape[0], *path))
    if "pooler" in encoder:
        places |= _dense("pooler.dense", *path, "pooler")
    if "transform" in params:
        places |= _dense("cls.predictions.transform.dense", "transform")
        places |= _norm("cls.predictions.transform.LayerNorm", "transform_norm")
        places[WORD_BIAS] = _Place(("word_bias",))
    if "next" in params:
        places |= _dense("cls.seq_relationship", "next")
    for task in params.keys() & TASKS:
        places |= _dense(task, task)
    return places


def hugging_face_config(config: Config, vocabulary_size: int) -> dict[str, Any]:
    """Returns what a file config.json beside the weights says, for Hugging Face's transformers."""
    return {
        "model_type": "bert",
        "architectures": ["BertForPreTraining"],
        "vocab_size": vocabulary_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden_units,
        "hidden_act": {"exact": "gelu", "tanh": "gelu_new"}[config.gelu],
        "hidden_dropout_prob": config.dropout_rate,
        "attention_probs_dropout_prob": config.attention_dropout_rate,
        "max_position_embeddings": config.positions,
        "type_vocab_size": SEGMENTS,
        "layer_norm_eps": EPSILON,
    }


def to_hugging_face(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns {name: array} for a file that Hugging Face's BertModel, BertForPreTraining and so on read.

    Args:
      params: of `models.bert.BERT`, `Pretraining`, or a network of `models.bert_heads`.
    """
    prefix = "bert." if "bert" in params else ""
    return {
        prefix + name if name.startswith(ENCODER) else name: np.asarray(place.of(params))
        for name, place in _places(params).items()
    }


class Loaded(NamedTuple):
    """Parameters from a file, float32, without the HEADS of the network that the file lacks; and these."""

    params: dict[str, Any]
    lacking: tuple[str, ...]


def from_hugging_face(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, Any], source: str = "weights") -> Loaded:
    """Returns a network's parameters from a file.

    Args:
      tensors: {name: array}, with or without the prefix "bert.". Heads that the network lacks are ignored.
      shapes: parameters of such a network as for `to_hugging_face`, or their jax.ShapeDtypeStruct; the file must have
        these sizes and all arrays of the encoder.
      source: where the tensors are from, for messages.

    Raises:
      UserError: as `weight_names.match`; or the file's output layer is not the embeddings again.
    """
    found = _without_tied(normalise(tensors, source), source)
    places = _places(shapes)
    lacking = tuple(head for head in HEADS if _has(places, head) and not _has(found, head))
    places = {name: place for name, place in places.items() if not name.startswith(lacking)}
    paths, flat = {place.path for place in places.values()}, flatten_dict(shapes)
    params = unflatten_dict({path: np.zeros(flat[path].shape, np.float32) for path in flat if path in paths})
    expected = {name: place.of(params).shape for name, place in places.items()}
    surplus = [f"{head}*" for head in HEADS if not _has(expected, head)]
    for name in match(expected, {name: array.shape for name, array in found.items()}, source, surplus):
        places[name].of(params)[...] = found[name]
    return Loaded(params, lacking)


def _has(names: Iterable[str], head: str) -> bool:
    return any(name.startswith(head) for name in names)


def _without_tied(found: dict[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """Returns arrays without those that are there twice.

    Raises:
      UserError: the two differ.
    """
    for name, original in TIED.items():
        if name not in found:
            continue
        if not np.array_equal(found[name], found.setdefault(original, found[name])):
            raise UserError(f"{source}: not BERT's: {name} differs from {original}")
        del found[name]
    return found
