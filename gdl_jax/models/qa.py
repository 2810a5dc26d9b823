"""Generation of questions and answers from a document (book 06_02, figure 6-9), with optional attention and copying.

A bidirectional GRU reads the document and predicts for each word whether it belongs to an answer. A second GRU encodes
the first one's states at an answer's words; its last state starts the decoder, a third GRU, which generates the
question word by word. Beyond the book, the decoder can attend to the document and copy the words it attends to.
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
    # dimensions of a learned word embedding; GloVe vectors have their own size
    embedding_size: Annotated[int, AtLeast(1)] = 100
    reader_units: Annotated[int, AtLeast(1)] = 100  # units of the GRU that reads the document, per direction
    decoder_units: Annotated[int, AtLeast(1)] = 200  # units of the answer's encoder and of the decoder
    attention: bool = False  # let the decoder attend to the document
    # units of the attention's hidden layer
    attention_units: Annotated[int, AtLeast(1), Needs("attention")] = 100
    copy: bool = False  # let the decoder copy the words it attends to (See et al. 2017)
    recurrent_activation: str = "sigmoid"  # activation of the GRUs' gates; the book's Keras had hard_sigmoid
    # GRUs apply the reset gate after the matrix product (Keras since 2.3) instead of before it (book)
    reset_after: bool = False


class SpecialTokens(NamedTuple):
    """Ids of the special tokens."""

    padding: int
    unknown: int
    start: int
    end: int


class DecoderOutput(NamedTuple):
    """Output of the decoder at each step.

    Attributes:
      logits: (..., V), of the vocabulary's words.
      attention: (..., D), weights over the document; None without attention.
      gate_logits: (...), of generating a word rather than copying one; None without copying.
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
    question: DecoderOutput


class QuestionAnswerer(nn.Module):
    """Network from a document, an answer and a question's previous words to answer tags and next words.

    Attributes:
      config: hyperparameters.
      vocabulary_size: V.
      word_vectors: (V, E), initial word embeddings; None: drawn by `embedding_uniform`.
      dtype: of the computation.
    """

    config: Config
    vocabulary_size: int
    word_vectors: np.ndarray | None = field(default=None, hash=False, compare=False)
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        config, vectors = self.config, self.word_vectors
        if config.copy and not config.attention:
            raise ConfigError("copy", True, "needs attention, whose weights choose the copied words")
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
        """Predicts each word of the question from the true words before it (teacher forcing).

        Args:
          document, document_mask: (B, D).
          answer_indices, answer_mask: (B, A), positions of the answer's words in the document.
          question, question_mask: (B, Q), the start token and all but the question's last token.
          train: ignored; the network is the same in both modes.
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
        return Prediction(answer_logits, self.output(embedded, states, context, weights))

    def read(self, document: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encodes a document (B, D): returns annotations (B, D, 2 reader_units) and answer logits (B, D, 2)."""
        annotations, _ = bidirectional(self.forward, self.backward, self.embedding(document), mask)  # (B, D, 200)
        flat = self.tagger(annotations.reshape(-1, annotations.shape[-1]))
        return annotations, flat.reshape(*document.shape, 2).astype(jnp.float32)

    def encode(self, annotations: jax.Array, indices: jax.Array, mask: jax.Array) -> jax.Array:
        """Encodes the annotations at an answer's words (B, A): returns the decoder's first state (B, decoder_units)."""
        answer = jnp.take_along_axis(annotations, indices[..., None], axis=1)  # (B, A, 200)
        _, state = self.encoder(answer, self.encoder.zero_carry(answer.shape[0]), mask)
        return state

    def project(self, annotations: jax.Array) -> jax.Array:
        """Returns the attention's projection of the annotations, which all steps of a question share."""
        return self.attend.project(annotations)

    def step(
        self, word: jax.Array, state: jax.Array, memory: tuple[jax.Array, jax.Array, jax.Array] | None
    ) -> tuple[DecoderOutput, jax.Array]:
        """Decodes one step.

        Args:
          word: (B,), the input.
          state: of the decoder, (B, decoder_units).
          memory: (annotations, projected, mask), attended to; None without attention.

        Returns:
          The output (B, ...) and the new state.
        """
        embedded = self.embedding(word)  # (B, 100)
        hidden, state = self.decoder.step(embedded, state)
        context, weights = (None, None) if memory is None else self._attend_once(hidden, *memory)
        return self.output(embedded, hidden, context, weights), state

    def output(
        self, embedded: jax.Array, states: jax.Array, context: jax.Array | None, weights: jax.Array | None
    ) -> DecoderOutput:
        """Returns the output, given embedded input words, decoder states and contexts, all (..., features)."""
        shape, flat = states.shape[:-1], lambda x: x.reshape(-1, x.shape[-1])
        features, gate_logits = flat(states), None
        if context is not None:
            features = nn.tanh(self.combine(jnp.concatenate([features, flat(context)], axis=-1)))
        if self.config.copy:  # See et al. 2017, equation 8
            gate_inputs = jnp.concatenate([flat(context), flat(states), flat(embedded)], axis=-1)
            gate_logits = self.gate(gate_inputs).reshape(shape).astype(jnp.float32)
        logits = self.words(features).astype(jnp.float32).reshape(*shape, self.vocabulary_size)
        return DecoderOutput(logits, weights, gate_logits)

    def _attend_once(self, query, annotations, projected, mask):
        return self.attend(query, annotations, mask, projected)

    def _attend_all(self, states, annotations, mask):
        """Attends from each of the states (B, Q, units): returns contexts (B, Q, 200) and weights (B, Q, D).

        Sequentially, and rematerialised for the gradient: the hidden layer of all pairs of states and words,
        (B, Q, D, attention_units), would take hundreds of megabytes, more than any cache holds.
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


def log_probabilities(output: DecoderOutput, document: jax.Array | None, special: SpecialTokens) -> jax.Array:
    """Returns log-probabilities of the next word, over the vocabulary and the words that can be copied.

    Args:
      output: (B, ...).
      document: (B, D), extended ids, below V + D, of the words that can be copied; None without copying.
      special: padding and start tokens are never generated: their log-probability is IMPOSSIBLE.

    Returns:
      (B, V), or (B, V + D) as in `nn.pointer`. The probabilities sum to 1 minus those of padding and start.
    """
    if document is None:
        logs = jax.nn.log_softmax(output.logits)
    else:
        logs = pointer.log_probabilities(output.logits, output.gate_logits, output.attention, document)
    return logs.at[:, jnp.array([special.padding, special.start])].set(IMPOSSIBLE)


def answer_probabilities(module: QuestionAnswerer, variables: Any, document: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the probability that each word belongs to an answer: (B, D), (B, D) -> (B, D), 0 on padding."""
    _, logits = module.apply(variables, document, mask, method="read")
    return jnp.where(mask, jax.nn.softmax(logits)[..., 1], 0.0)


def generate_questions(
    module: QuestionAnswerer,
    variables: Any,
    batch: dict[str, jax.Array],
    special: SpecialTokens,
    *,
    width: int,
    length: int,
) -> Beams:
    """Generates questions about given answers by beam search.

    Args:
      module, variables: the network.
      batch: document_tokens, document_mask, document_copy_tokens (B, D), answer_indices, answer_mask (B, A), as in
        `data.text.questions.QuestionData`.
      special: ids of the special tokens.
      width: number of beams; 1: greedy decoding.
      length: maximum number of tokens, the end token included.

    Returns:
      The questions; with copying, ids from V on are the document's own words.
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
        output, state = module.apply(variables, words, state, fixed[0], method="step")
        return log_probabilities(output, fixed[1], special), state

    start = jnp.full(len(document), special.start, jnp.int32)
    return beam_search(step, state, start, width=width, length=length, end=special.end)
