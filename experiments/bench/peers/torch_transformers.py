"""nanoGPT's networks and the Multi30k transformer in hand-written PyTorch, for `torch_models`.

Attention is `scaled_dot_product_attention`, which PyTorch computes by its fused kernel where there is one: on CPUs, not
with dropout of the attention weights. Queries, keys and values are one product. The optimiser is fused, and gradients
are clipped to a norm of 1, as nanoGPT's are.
"""

import functools

import torch
from torch import nn
from torch.nn import functional

from experiments.bench.peers import timing

PADDING = 0
CLIP = 1.0


class Attention(nn.Module):
    """Attention of a sequence to itself, or to a memory (B, S, W).

    Args:
      width, heads: features, and the heads among which they are divided.
      dropout: rate on the attention weights.
      bias: biases in the dense layers.
      memory: queries come from the sequence, keys and values from the memory.
    """

    def __init__(self, width: int, heads: int, dropout: float, bias: bool = True, memory: bool = False):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.inputs = nn.ModuleList([nn.Linear(width, count * width, bias) for count in ((1, 2) if memory else (3,))])
        self.out = nn.Linear(width, width, bias)

    def forward(self, x, memory=None, mask=None, causal=False):
        features = [layer(given) for layer, given in zip(self.inputs, (x, memory), strict=False)]
        parts = [part for each in features for part in each.split(x.shape[-1], -1)]
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        rate = self.dropout if self.training else 0.0
        y = functional.scaled_dot_product_attention(q, k, v, mask, rate, causal)
        return self.out(y.transpose(1, 2).flatten(2))


class GPTLayer(nn.Module):
    """Layer of nanoGPT, without biases: each sublayer's input is normalised."""

    def __init__(self, sizes: timing.GPT):
        super().__init__()
        width, linear = sizes.width, functools.partial(nn.Linear, bias=False)
        self.attention_norm, self.norm = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, sizes.heads, sizes.dropout, bias=False)
        self.feed_forward = nn.Sequential(linear(width, 4 * width), nn.GELU(), linear(4 * width, width))
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x):
        x = x + self.dropout(self.attention(self.attention_norm(x), causal=True))
        return x + self.dropout(self.feed_forward(self.norm(x)))


class TranslatorLayer(nn.Module):
    """Layer of the encoder, or with `memory` of the decoder: each sublayer's sum with its input is normalised."""

    def __init__(self, sizes: timing.Translator, memory: bool):
        super().__init__()
        width, rate = sizes.width, sizes.dropout
        attention = functools.partial(Attention, width, sizes.heads, rate)
        self.attention, self.to_memory = attention(), attention(memory=True) if memory else None
        self.feed_forward = nn.Sequential(
            nn.Linear(width, sizes.hidden), nn.ReLU(), nn.Dropout(rate), nn.Linear(sizes.hidden, width)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3 if memory else 2)])
        self.dropout = nn.Dropout(rate)

    def forward(self, x, memory, mask):
        """The mask (B, 1, 1, S) is that of the source; later tokens of the target are hidden."""
        if self.to_memory is None:
            sublayers = [lambda x: self.attention(x, mask=mask)]
        else:
            sublayers = [lambda x: self.attention(x, causal=True), lambda x: self.to_memory(x, memory, mask)]
        for norm, sublayer in zip(self.norms, (*sublayers, self.feed_forward), strict=True):
            x = norm(x + self.dropout(sublayer(x)))
        return x


class _Trained(nn.Module):
    """Network with a loss, trained by Adam with clipped gradients."""

    betas, decay = (0.9, 0.999), 0.0

    def prepare(self):
        parameters = [*self.parameters()]
        groups = [
            {"params": [x for x in parameters if x.ndim > 1], "weight_decay": self.decay},
            {"params": [x for x in parameters if x.ndim == 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, 1e-3, self.betas, fused=True)

    def step(self, inputs, targets):
        loss = self.loss(inputs, targets)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), CLIP)
        self.optimizer.step()
        return loss


class GPT(_Trained):
    """nanoGPT's network: predicts the token after each, with the embeddings as its output layer."""

    betas, decay = (0.9, 0.99), 0.1

    def __init__(self, sizes: timing.GPT):
        super().__init__()
        self.tokens, self.positions = (
            nn.Embedding(sizes.vocabulary, sizes.width),
            nn.Embedding(sizes.context, sizes.width),
        )
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        self.layers = nn.ModuleList([GPTLayer(sizes) for _ in range(sizes.layers)])
        self.norm, self.dropout = nn.LayerNorm(sizes.width, bias=False), nn.Dropout(sizes.dropout)

    def forward(self, tokens):
        x = self.dropout(self.tokens(tokens) + self.positions.weight[: tokens.shape[1]])
        for layer in self.layers:
            x = layer(x)
        return functional.linear(self.norm(x), self.tokens.weight)

    def loss(self, tokens, targets):
        return functional.cross_entropy(self(tokens).flatten(0, 1), targets.flatten())


class Translator(_Trained):
    """Encoder-decoder transformer with learned positions; the optimiser is Adam."""

    def __init__(self, sizes: timing.Translator):
        super().__init__()
        width, words = sizes.width, (sizes.source, sizes.target)
        self.embeddings = nn.ModuleList([nn.Embedding(count, width) for count in words])
        self.positions = nn.ModuleList([nn.Embedding(sizes.length + 1, width) for _ in words])
        for embedding in self.embeddings:
            nn.init.normal_(embedding.weight, std=width**-0.5)
        self.encoder, self.decoder = (
            nn.ModuleList([TranslatorLayer(sizes, memory) for _ in range(sizes.layers)]) for memory in (False, True)
        )
        self.words, self.dropout = nn.Linear(width, sizes.target), nn.Dropout(sizes.dropout)

    def forward(self, source, target):
        mask = (source != PADDING)[:, None, None]
        memory = None
        for side, tokens, layers in zip((0, 1), (source, target), (self.encoder, self.decoder), strict=True):
            x = self.embeddings[side](tokens) * self.words.in_features**0.5
            x = self.dropout(x + self.positions[side].weight[: tokens.shape[1]])
            for layer in layers:
                x = layer(x, memory, mask)
            memory = x
        return self.words(x)

    def loss(self, source, target):
        logits = self(source, target[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PADDING)


MODELS = {name: functools.partial(GPT, sizes) for name, sizes in timing.GPTS.items()}
MODELS |= {"transformer": functools.partial(Translator, timing.TRANSFORMER)}


def random_tokens(model: str, count: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns a model's random inputs and targets: windows and the token after each, or pairs of sentences."""
    arrays = timing.random_windows(model, count) if model in timing.GPTS else timing.random_pairs(count)
    inputs, targets = (torch.from_numpy(array).long().to(device) for array in arrays)
    return inputs, targets
