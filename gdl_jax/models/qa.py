"""Answers and questions from a document (book 06_02, figure 6-9), and attention and copying beyond the book.

A bidirectional GRU reads the document and predicts of each word whether it belongs to an answer. A second GRU reads the
first one's states at an answer's words, and from its last state a third one, the decoder, begins, which generates the
question word by word. Its attention, where it has some, is over the document; copying takes words from where that is.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, Needs
from gdl_jax.core.errors import ConfigError
from gdl_jax.models.checks import activation
from gdl_jax.nn import pointer
from gdl_jax.nn.attention import AdditiveAttention
from gdl_jax.nn.beam import IMPOSSIBLE, Beams, beam_search
from gdl_jax.nn.layers import Dense, embedding_uniform
from gdl_jax.nn.recurrent import GRU, RECURRENT_ACTIVATIONS, bidirectional


@dataclass(frozen=True, kw_only=True)
class Config:
    # numbers in a word's vector, where it is learned; GloVe's have their own
    embedding_size: Annotated[int, AtLeast(1)] = 100
    reader_units: Annotated[int, AtLeast(1)] = 100  # of the GRU that reads the document, in each direction
    decoder_units: Annotated[int, AtLeast(1)] = 200  # of the GRU that reads the answer, and of the decoder
    attention: bool = False  # of the decoder, over the document
    # where a state of the decoder and a word of the document meet
    attention_units: Annotated[int, AtLeast(1), Needs("attention")] = 100
    copy: bool = False  # words of the document may be copied to where attention is (See et al. 2017)
    recurrent_activation: str = "sigmoid"  # of the GRUs' gates; the book's Keras had hard_sigmoid
    reset_after: bool = False  # where the GRUs reset their state: after the product (Keras since 2.3) or before (book)


class Special(NamedTuple):
    """Ids of the special tokens."""

    padding: int
    unknown: int
    start: int
    end: int


class Spoken(NamedTuple):
    """The decoder's output at each step.

    Attributes:
      logits: (..., V), of the vocabulary's words.
      attention: (..., D), or None.
      gate_logits: (...), of generating a word rather than copying one; or None.
    """

    logits: jax.Array
    attention: jax.Array | None
    gate_logits: jax.Array | None


class Prediction(NamedTuple):
    """Predictions for a document and a question about it.

    Attributes:
      answer_logits: (B, D, 2), of not belonging to an answer and of belonging to one.
      question: the decoder's output at each of the question's Q steps, (B, Q, ...).
    """

    answer_logits: jax.Array
    question: Spoken


class QuestionAnswerer(nn.Module):
    """Document, answer and the question so far -> tags and next words.

    Attributes:
      config: hyperparameters.
      vocabulary_size: V.
      word_vectors: (V, E), what the word vectors start from; None: `embedding_uniform`.
      dtype: the type in which layers compute.
    """

    config: Config
    vocabulary_size: int
    word_vectors: np.ndarray | None = field(default=None, hash=False, compare=False)
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        config, vectors = self.config, self.word_vectors
        if config.copy and not config.attention:
            raise ConfigError("copy", True, "needs attention: words are copied from where attention is")
        activate = activation(config, "recurrent_", RECURRENT_ACTIVATIONS)

        def gru(units):
            return GRU(units, activate, config.reset_after, self.dtype)

        def start(key, shape, dtype=jnp.float32):
            return embedding_uniform(key, shape, dtype) if vectors is None else jnp.asarray(vectors, dtype)

        size = config.embedding_size if vectors is None else vectors.shape[1]
        self.embedding = nn.Embed(self.vocabulary_size, size, embedding_init=start, dtype=self.dtype)
        self.forward, self.backward = gru(config.reader_units), gru(config.reader_units)
        self.tagger = Dense(2, dtype=self.dtype)
        self.encoder, self.decoder = gru(config.decoder_units), gru(config.decoder_units)
        self.words = Dense(self.vocabulary_size, use_bias=False, dtype=self.dtype)
        if config.attention:
            self.attend = AdditiveAttention(config.attention_units, self.dtype)
            self.combine = Dense(config.decoder_units, dtype=self.dtype)
        if config.copy:
            self.gate = Dense(1, dtype=self.dtype)

    def __call__(
        self,
        document: jax.Array,
        document_mask: jax.Array,
        answer_indices: jax.Array,
        answer_mask: jax.Array,
        question: jax.Array,
        question_mask: jax.Array,
        *,
        train: bool,
    ) -> Prediction:
        """Predicts each word of the question from those before it, which are given ("teacher forcing").

        Args:
          document, document_mask: (B, D), words and where they are.
          answer_indices, answer_mask: (B, A), places of the answer's words in the document.
          question, question_mask: (B, Q), the start mark and all but the question's last word.
          train: changes nothing.
        """
        del train
        chex.assert_rank([document, answer_indices, question], 2)
        chex.assert_type([document, answer_indices, question], int)
        annotations, answer_logits = self.read(document, document_mask)
        state = self.encode(annotations, answer_indices, answer_mask)
        embedded = self.embedding(question)  # (B, Q, 100)
        states, _ = self.decoder(embedded, state, question_mask)  # (B, Q, 200)
        context, weights = None, None
        if self.config.attention:
            context, weights = self._attend_all(states, annotations, document_mask)
        return Prediction(answer_logits, self.speak(embedded, states, context, weights))

    def read(self, document: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(B, D) -> annotations (B, D, 2 reader_units), answer logits (B, D, 2)."""
        annotations, _ = bidirectional(self.forward, self.backward, self.embedding(document), mask)  # (B, D, 200)
        flat = self.tagger(annotations.reshape(-1, annotations.shape[-1]))
        return annotations, flat.reshape(*document.shape, 2).astype(jnp.float32)

    def encode(self, annotations: jax.Array, indices: jax.Array, mask: jax.Array) -> jax.Array:
        """Reads the annotations at an answer's words (B, A): returns the decoder's first state (B, decoder_units)."""
        answer = jnp.take_along_axis(annotations, indices[..., None], axis=1)  # (B, A, 200)
        _, state = self.encoder(answer, self.encoder.zero_carry(answer.shape[0]), mask)
        return state

    def project(self, annotations: jax.Array) -> jax.Array:
        """Returns the attention's projection of the document, which is the same for all words of a question."""
        return self.attend.project(annotations)

    def step(
        self, word: jax.Array, state: jax.Array, memory: tuple[jax.Array, jax.Array, jax.Array] | None
    ) -> tuple[Spoken, jax.Array]:
        """Decodes one step: a word (B,) and the state before it -> the output (B, ...), and the new state.

        `memory` is (annotations, projected, mask) where there is attention.
        """
        embedded = self.embedding(word)  # (B, 100)
        hidden, state = self.decoder.step(embedded, state)
        context, weights = (None, None) if memory is None else self._attend_once(hidden, *memory)
        return self.speak(embedded, hidden, context, weights), state

    def speak(
        self, embedded: jax.Array, states: jax.Array, context: jax.Array | None, weights: jax.Array | None
    ) -> Spoken:
        """Returns the output of input words, decoder states and attended contexts, all (..., features)."""
        shape, flat = states.shape[:-1], lambda x: x.reshape(-1, x.shape[-1])
        said, gate_logits = flat(states), None
        if context is not None:
            said = nn.tanh(self.combine(jnp.concatenate([said, flat(context)], axis=-1)))
        if self.config.copy:
            seen = jnp.concatenate([flat(context), flat(states), flat(embedded)], axis=-1)  # their equation 8
            gate_logits = self.gate(seen).reshape(shape).astype(jnp.float32)
        logits = self.words(said).astype(jnp.float32).reshape(*shape, self.vocabulary_size)
        return Spoken(logits, weights, gate_logits)

    def _attend_once(self, query, annotations, projected, mask):
        return self.attend(query, annotations, mask, projected)

    def _attend_all(self, states, annotations, mask):
        """As `_attend_once` for each of the states (B, Q, units): contexts (B, Q, 200), weights (B, Q, D).

        One after the other, and again for the gradient: all meetings of states and words, (B, Q, D, attention_units),
        would be hundreds of megabytes that no cache holds.
        """
        projected = self.project(annotations)

        def body(module, carry, query):
            return carry, module._attend_once(query, annotations, projected, mask)

        scan = nn.scan(
            nn.remat(body, prevent_cse=False),
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
        )
        return scan(self, (), states)[1]


def log_probabilities(spoken: Spoken, document: jax.Array | None, special: Special) -> jax.Array:
    """Returns log-probabilities (B, W) of the vocabulary's words and, where `document` is given, of its own words.

    Args:
      spoken: (B, ...).
      document: (B, D), numbers below V + D of the words that can be copied; None: nothing can.
      special: padding and the start mark are never generated.

    Returns:
      (B, V), or (B, V + D) as in `nn.pointer`; the probabilities sum to 1, less those that are never
      generated.
    """
    if document is None:
        logs = jax.nn.log_softmax(spoken.logits)
    else:
        logs = pointer.log_probabilities(spoken.logits, spoken.gate_logits, spoken.attention, document)
    return logs.at[:, jnp.array([special.padding, special.start])].set(IMPOSSIBLE)


def answer_probabilities(module: QuestionAnswerer, variables: Any, document: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the probability that a word belongs to an answer: (B, D), (B, D) -> (B, D), 0 on padding."""
    _, logits = module.apply(variables, document, mask, method="read")
    return jnp.where(mask, jax.nn.softmax(logits)[..., 1], 0.0)


def ask(
    module: QuestionAnswerer,
    variables: Any,
    batch: dict[str, jax.Array],
    special: Special,
    *,
    width: int,
    length: int,
) -> Beams:
    """Generates questions about given answers.

    Args:
      module, variables: the network.
      batch: document_tokens, document_mask, document_copy_tokens (B, D), answer_indices, answer_mask (B, A), as in
        `data.questions.QuestionData`.
      special: ids of the special tokens.
      width: beams; 1: greedy.
      length: the most words, the end mark included.

    Returns:
      The questions, whose words from V on are, where there is copying, the document's.
    """
    config = module.config
    document, mask = batch["document_tokens"], batch["document_mask"]
    annotations, _ = module.apply(variables, document, mask, method="read")
    state = module.apply(variables, annotations, batch["answer_indices"], batch["answer_mask"], method="encode")
    memory = None
    if config.attention:
        memory = (annotations, module.apply(variables, annotations, method="project"), mask)
    copied = batch["document_copy_tokens"] if config.copy else None
    fixed = jax.tree.map(lambda x: jnp.repeat(x, width, axis=0), (memory, copied))  # a beam's document never changes

    def step(words, state):
        words = jnp.where(words < module.vocabulary_size, words, special.unknown)
        spoken, state = module.apply(variables, words, state, fixed[0], method="step")
        return log_probabilities(spoken, fixed[1], special), state

    start = jnp.full(len(document), special.start, jnp.int32)
    return beam_search(step, state, start, width=width, length=length, end=special.end)
