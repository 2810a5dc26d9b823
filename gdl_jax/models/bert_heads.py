"""BERT with a head for a task: classes of texts, or answers in passages (Devlin et al. 2019, section 4).

A head is the layers after the encoder. It can be trained alone: the encoder is frozen then, without dropout, and its
outputs are features of the text.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.models.bert import BERT, Config, initial
from gdl_jax.nn.layers import Dense, Dropout
from gdl_jax.nn.transformer import apply_flat

INPUTS = ("tokens", "segments", "mask")


def inputs_of(batch: Mapping[str, jax.Array]) -> tuple[jax.Array, ...]:
    """Returns the networks' inputs, each (B, T), of a batch of `data.text.bert_rows.features`."""
    return tuple(batch[name] for name in INPUTS)


class _Task(nn.Module):
    """Base of both networks.

    Attributes:
      config: hyperparameters.
      vocabulary_size: V.
      outputs: of the last layer.
      frozen: train the head alone.
      dtype: of the computation.
      axis_name: the pmapped axis, or None.
    """

    config: Config
    vocabulary_size: int
    outputs: int = 2
    frozen: bool = False
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    def setup(self):
        self.bert = BERT(self.config, self.vocabulary_size, self.dtype, self.axis_name)

    def states(self, tokens: jax.Array, segments: jax.Array, mask: jax.Array, train: bool) -> jax.Array:
        """Returns the encoder's outputs (B, T, W)."""
        if not self.frozen:
            return self.bert(tokens, segments, mask, train=train)
        return lax.stop_gradient(self.bert(tokens, segments, mask, train=False))

    def last_layer(self) -> Dense:
        """Returns the last layer."""
        return Dense(self.outputs, kernel_init=initial, dtype=self.dtype)


class TextClassifier(_Task):
    """BERT with a linear layer on the pooled vector of [CLS]; the pooler is a part of the head."""

    def setup(self):
        super().setup()
        self.classifier = self.last_layer()
        self.dropout = Dropout(self.config.dropout_rate, self.axis_name)

    def __call__(self, tokens: jax.Array, segments: jax.Array, mask: jax.Array, *, train: bool) -> jax.Array:
        """Returns logits (B, K), float32; arguments are those of `BERT.read`."""
        pooled = self.bert.pool(self.states(tokens, segments, mask, train))
        return self.classifier(self.dropout(pooled, deterministic=not train)).astype(jnp.float32)


class AnswerFinder(_Task):
    """BERT with a linear layer on each token: logits of being the first and the last token of the answer."""

    def setup(self):
        super().setup()
        self.qa_outputs = self.last_layer()

    def __call__(self, tokens: jax.Array, segments: jax.Array, mask: jax.Array, *, train: bool) -> jax.Array:
        """Returns logits (B, 2, T), float32, of the answer's start and end; arguments are those of `BERT.read`."""
        logits = apply_flat(self.qa_outputs, self.states(tokens, segments, mask, train))
        return logits.astype(jnp.float32).swapaxes(1, 2)
