"""nanoGPT's networks and the Multi30k transformer in Keras 3, for `keras_models`; imported after the backend is chosen.

Attention is `MultiHeadAttention`. Without dropout of the attention weights it calls `ops.dot_product_attention`, which
takes a fused kernel where the backend has one; with dropout, matrix products. Gradients are clipped to a norm of 1.
"""

import functools

import keras
import numpy as np
from keras import layers, ops

from experiments.bench.peers import timing

PADDING = 0
EPSILON = 1e-5
CLIP = 1.0


def _attention(width: int, heads: int, dropout: float, bias: bool = True) -> layers.MultiHeadAttention:
    return layers.MultiHeadAttention(heads, width // heads, dropout=dropout, use_bias=bias)


def _embedding(count: int, width: int, scale: float) -> layers.Embedding:
    return layers.Embedding(count, width, embeddings_initializer=keras.initializers.RandomNormal(stddev=scale))


class GPTLayer(layers.Layer):
    """Layer of nanoGPT, without biases: each sublayer's input is normalised."""

    def __init__(self, sizes: timing.GPT):
        super().__init__()
        width = sizes.width
        self.attention_norm, self.norm = (layers.LayerNormalization(epsilon=EPSILON, center=False) for _ in range(2))
        self.attention = _attention(width, sizes.heads, sizes.dropout, bias=False)
        self.hidden = layers.Dense(4 * width, activation="gelu", use_bias=False)
        self.out = layers.Dense(width, use_bias=False)
        self.dropout = layers.Dropout(sizes.dropout)

    def call(self, x, training=False):
        normalised = self.attention_norm(x)
        attended = self.attention(normalised, normalised, use_causal_mask=True, training=training)
        x = x + self.dropout(attended, training=training)
        return x + self.dropout(self.out(self.hidden(self.norm(x))), training=training)


class TranslatorLayer(layers.Layer):
    """Layer of the encoder, or with `memory` of the decoder: each sublayer's sum with its input is normalised."""

    def __init__(self, sizes: timing.Translator, memory: bool):
        super().__init__()
        width, rate = sizes.width, sizes.dropout
        self.attention = _attention(width, sizes.heads, rate)
        self.to_memory = _attention(width, sizes.heads, rate) if memory else None
        self.hidden, self.hidden_dropout = layers.Dense(sizes.hidden, activation="relu"), layers.Dropout(rate)
        self.out, self.dropout = layers.Dense(width), layers.Dropout(rate)
        self.norms = [layers.LayerNormalization(epsilon=EPSILON) for _ in range(3 if memory else 2)]

    def call(self, x, memory=None, mask=None, training=False):
        """The mask (B, 1, S) is that of the source; later tokens of the target are hidden."""
        if self.to_memory is None:
            attended = self.attention(x, x, attention_mask=mask, training=training)
        else:
            attended = self.attention(x, x, use_causal_mask=True, training=training)
        x = self.norms[0](x + self.dropout(attended, training=training))
        if self.to_memory is not None:
            attended = self.to_memory(x, memory, attention_mask=mask, training=training)
            x = self.norms[1](x + self.dropout(attended, training=training))
        hidden = self.hidden_dropout(self.hidden(x), training=training)
        return self.norms[-1](x + self.dropout(self.out(hidden), training=training))


class GPT(keras.Model):
    """nanoGPT's network: predicts the token after each, with the embeddings as its output layer."""

    def __init__(self, sizes: timing.GPT):
        super().__init__()
        self.tokens = _embedding(sizes.vocabulary, sizes.width, 0.02)
        self.positions = _embedding(sizes.context, sizes.width, 0.02)
        self.blocks = [GPTLayer(sizes) for _ in range(sizes.layers)]
        self.norm = layers.LayerNormalization(epsilon=EPSILON, center=False)
        self.dropout = layers.Dropout(sizes.dropout)

    def call(self, tokens, training=False):
        x = self.tokens(tokens) + self.positions(ops.arange(tokens.shape[1]))
        x = self.dropout(x, training=training)
        for block in self.blocks:
            x = block(x, training=training)
        return ops.matmul(self.norm(x), ops.transpose(self.tokens.embeddings))


class Translator(keras.Model):
    """Encoder-decoder transformer with learned positions."""

    def __init__(self, sizes: timing.Translator):
        super().__init__()
        width, words = sizes.width, (sizes.source, sizes.target)
        self.scale = width**0.5
        self.token_embeddings = [_embedding(count, width, width**-0.5) for count in words]
        self.positions = [_embedding(sizes.length + 1, width, 1.0) for _ in words]
        self.encoder = [TranslatorLayer(sizes, memory=False) for _ in range(sizes.layers)]
        self.decoder = [TranslatorLayer(sizes, memory=True) for _ in range(sizes.layers)]
        self.words, self.dropout = layers.Dense(sizes.target), layers.Dropout(sizes.dropout)

    def call(self, inputs, training=False):
        mask, memory = ops.expand_dims(ops.not_equal(inputs[0], PADDING), 1), None
        for side, blocks in enumerate((self.encoder, self.decoder)):
            x = self.token_embeddings[side](inputs[side]) * self.scale
            x = x + self.positions[side](ops.arange(inputs[side].shape[1]))
            x = self.dropout(x, training=training)
            for block in blocks:
                x = block(x, memory, mask, training=training)
            memory = x
        return self.words(x)


def gpt(sizes: timing.GPT) -> keras.Model:
    """Returns nanoGPT's network with its optimiser."""
    network = GPT(sizes)
    optimizer = keras.optimizers.AdamW(1e-3, beta_2=0.99, weight_decay=0.1, global_clipnorm=CLIP)
    optimizer.exclude_from_weight_decay(var_names=["gamma"])
    network.compile(optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return network


def transformer(sizes: timing.Translator = timing.TRANSFORMER) -> keras.Model:
    """Returns the Multi30k transformer with its optimiser; padding is not predicted."""
    network = Translator(sizes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)
    network.compile(keras.optimizers.Adam(5e-4, global_clipnorm=CLIP), loss=loss)
    return network


MODELS = {name: functools.partial(gpt, sizes) for name, sizes in timing.GPTS.items()} | {"transformer": transformer}


def random_tokens(model: str, count: int) -> tuple[np.ndarray | tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Returns a model's random inputs, and the token after each: of windows, or of sentences and translations."""
    if model in timing.GPTS:
        return timing.random_windows(model, count)
    source, target = timing.random_pairs(count)
    return (source, target[:, :-1]), target[:, 1:]
