"""Common parts of the experiments with BERT: hyperparameters of fine-tuning, published weights, and files."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from experiments.language.exporting import write_network
from gdl_jax.core.config_flags import AtLeast, IsPath, IsPathAfter, OneOf
from gdl_jax.core.loop import Start
from gdl_jax.data.tensor_files import read_tensors
from gdl_jax.data.text import tokenizers
from gdl_jax.data.text.subword import WORDPIECE_SPECIAL, WordPieceTokenizer
from gdl_jax.learners.fine_tuning import training_only, with_params
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.models import bert, bert_weights
from gdl_jax.runs.config import DTYPES, RunConfig
from gdl_jax.runs.experiment import Network, Run

HEAD = ("pooler", *bert_weights.TASKS)  # modules after the encoder
SMALL = {"layers": 2, "heads": 4, "width": 128, "hidden_units": 512, "unroll": 2}
MINILM = {"layers": 6, "heads": 12, "width": 384, "hidden_units": 1536}
TINY = {
    **{"layers": 1, "heads": 2, "width": 32, "hidden_units": 64, "tokenizer": "wordpiece:500"},
    **{"dropout_rate": 0.0, "attention_dropout_rate": 0.0, "learning_rate": 3e-3, "steps": 200},
    **{"log_every": 50, "eval_every": 100, "checkpoint_every": 100},
}


@dataclass(frozen=True, kw_only=True)
class TuningConfig(RunConfig, OptimizerConfig, bert.Config):
    """Hyperparameters of fine-tuning; the defaults are those of the paper's program."""

    # wordpiece:SIZE, learned from the training texts, or wordpiece:PATH, a vocab.txt or a folder with it
    tokenizer: Annotated[str, IsPathAfter(*tokenizers.PATH_KINDS, or_number=True)] = "wordpiece:30522"
    max_length: Annotated[int, AtLeast(1)] = 128  # tokens of an example
    # weights to start from: a file *.safetensors with Hugging Face's names, or a folder with model.safetensors
    init: Annotated[str, IsPath()] = ""
    # all, or head: the layers after the encoder, which is frozen and has no dropout then
    trained: Annotated[str, OneOf("all", "head")] = "all"
    learning_rate: float = 5e-5  # learning rate; with a schedule, its peak
    schedule: str = "linear"  # learning-rate schedule: constant, linear, cosine, inverse_sqrt or piecewise
    weight_decay: float = 0.01  # decoupled weight decay, multiplied by the learning rate; not of biases and norms
    clip_norm: float = 1.0  # clip gradients to this global norm; 0: no clipping


def network(kind: Any, config: TuningConfig, data: Any, outputs: int, axis_name: str | None = None) -> nn.Module:
    """Returns the network of a run with this config; `kind` is one of `models.bert_heads`."""
    dtype = DTYPES[config.precision]
    return kind(config, data.tokenizer.size, outputs, config.trained == "head", dtype, axis_name)


def with_inputs(module: nn.Module, data: Any) -> dict[str, Network]:
    """Returns the network with its inputs: tokens, segments and mask."""
    length = data.example()["tokens"].shape[1]
    tokens, mask = (jax.ShapeDtypeStruct((1, length), dtype) for dtype in (jnp.int32, jnp.bool_))
    return {"network": Network(module, (tokens, tokens, mask))}


def optimizer(config: TuningConfig) -> optax.GradientTransformation:
    """Returns the optimiser, of the head alone if the config says so."""
    made = make_optimizer(config)
    return training_only(made, HEAD) if config.trained == "head" else made


def placeholder(tokenizer: str) -> WordPieceTokenizer | None:
    """Returns a tokenizer of the size that a flag says, for `Experiment.spec`; None if the size depends on a file."""
    size = tokenizer.partition(":")[2]
    if not size.isdecimal():
        return None
    names = (f"[unused{number}]" for number in range(int(size) - len(WORDPIECE_SPECIAL)))
    return WordPieceTokenizer((*WORDPIECE_SPECIAL, *names))


def start(found: Network, init: str, path: Sequence[str] = ()) -> Start | None:
    """Returns the function that puts the weights of `init` into a new run's state; says which heads they lack.

    Args:
      found: the network.
      init: the path of the weights; "": there are none.
      path: to the network's parameters in `state.params`.

    Raises:
      UserError: they cannot be read, or are not those of a network of these sizes.
    """
    if not init:
        return None
    module, inputs = found
    shapes = jax.eval_shape(lambda *inputs: module.init(jax.random.key(0), *inputs, train=False), *inputs)["params"]
    loaded = bert_weights.from_hugging_face(read_tensors(Path(init)), shapes, init)
    if loaded.lacking:
        lacking = " and no ".join(name.removesuffix(".") for name in loaded.lacking)
        sys.stderr.write(f"{init}: has no {lacking}: trained from scratch\n")
    params: Any = loaded.params
    for name in reversed(path):
        params = {name: params}
    return partial(with_params, params=params)


def export(run: Run, folder: Path, params: Mapping[str, Any], about: Mapping[str, Any]) -> list[Path]:
    """Writes a network for Hugging Face's transformers; returns the paths.

    Args:
      run: of an experiment that fine-tunes.
      folder: exists.
      params: of the network.
      about: what config.json says besides the encoder's sizes.

    Raises:
      UserError: a file cannot be written.
    """
    sizes = bert_weights.hugging_face_config(run.config, run.data.tokenizer.size)
    return write_network(folder, bert_weights.to_hugging_face(params), {**sizes, **about}, run.data.tokenizer)
