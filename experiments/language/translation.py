"""Translation of sentences by a transformer: beam search, BLEU, and pictures of attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np

from experiments.language.writing import read_prompts
from gdl_jax.core.config_flags import IsPath
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.text.parallel import TranslationData, padded
from gdl_jax.data.text.sentence_tokens import END, PADDING, START
from gdl_jax.evaluation.translation import corpus_bleu, sacre_bleu
from gdl_jax.models.transformer import Transformer
from gdl_jax.nn.transformer import sinusoidal_positions
from gdl_jax.plots import attention
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Results, Run, SampleOptions, SampleRequest

BATCH = 50  # sentences translated at once
SHOWN = 8  # sentences of a preview
DRAWN = 64  # positions and features of the encoding's figure


@dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Options of sampling."""

    prompt: str = ""  # sentence to translate; empty: held-out ones
    prompts: Annotated[str, IsPath()] = ""  # a text file with a sentence in each line


def network(config: Any, data: TranslationData) -> Transformer:
    """Returns the network of a run with this config."""
    length = max(data.widths.source, data.widths.target)
    sizes = data.source_tokenizer.size, data.target_tokenizer.size
    return Transformer(config, *sizes, length, PADDING, DTYPES[config.precision])


def translations(run: Run, source: np.ndarray) -> np.ndarray:
    """Returns the token ids (N, T) of the most probable translations of sentences (N, S)."""
    sample = partial(run.learner.sample, run.state, run.key, BATCH)
    return np.asarray(in_batches(lambda rows: sample(rows).tokens[:, 0], source, BATCH))


def encode(run: Run, sentences: Sequence[str], field: str) -> np.ndarray:
    """Returns sentences as token ids (N, S), padded.

    Raises:
      ConfigError: a sentence is longer than the network's; it names the flag `field`.
    """
    width = run.data.widths.source
    ids = [run.data.source_tokenizer.encode(sentence) for sentence in sentences]
    for sentence, one in zip(sentences, ids, strict=True):
        if len(one) + 2 > width:
            raise ConfigError(field, sentence, f"has {len(one)} tokens; the network reads at most {width - 2}")
    return padded(ids, width)


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes sentences with their translations, and draws the attention of the first."""
    options = request.options
    sentences, field = read_prompts(options, keep=str.strip), "prompts" if options.prompts else "prompt"
    if not sentences:
        sentences = [pair.source for pair in run.data.sentences["test"][: request.num]]
    source = encode(run, sentences, field)
    found = translations(run, source)
    decode = run.data.target_tokenizer.decode
    lines = [f"{sentence}\n  {decode(ids)}" for sentence, ids in zip(sentences, found.tolist(), strict=True)]
    path = request.out / "translations.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    picture = request.out / "attention.png"
    draw_attention(run, source[0], found[0], picture)
    return [path, picture]


def preview(run: Run) -> dict[str, list[str]]:
    """Returns {sentence: its translation and the reference} of the first held-out sentences."""
    found = translations(run, getattr(run.data, run.split).take(np.arange(SHOWN))["source"])
    pairs = run.data.sentences[run.split]
    return {
        pairs[i].source: [run.data.target_tokenizer.decode(ids), f"({pairs[i].target})"]
        for i, ids in enumerate(found.tolist())
    }


@partial(jax.jit, static_argnums=0)
def _attention(module, params, source, target):
    variables = {"params": params}
    memory, mask, of_source = module.apply(variables, source, weights=True, method="encode")
    _, (of_target, of_memory) = module.apply(variables, target, memory, mask, weights=True, method="decode")
    return of_source, of_target, of_memory


def draw_attention(run: Run, source: np.ndarray, target: np.ndarray, path: Path) -> None:
    """Draws which source tokens the last decoder layer's heads attend to, as they write a translation.

    Args:
      run: of a transformer.
      source: (S,), padded.
      target: (T,), the translation, filled with end tokens.
      path: of the PNG.
    """
    length = int((target != END).sum()) + 1
    words = [START, *target[: length - 1].tolist()]
    params = run.state.params["network"]
    _, _, weights = _attention(network(run.config, run.data), params, source[None], np.array([words], np.int32))
    count = int((source != PADDING).sum())
    tokenizers = run.data.source_tokenizer, run.data.target_tokenizer
    keys = [_name(tokenizers[0], token) for token in source[:count].tolist()]
    queries = [_name(tokenizers[1], token) for token in [*words[1:], END]]  # each position predicts the next token
    attention.heads(np.asarray(weights)[-1, 0, :, :, :count], queries, keys, path)


def _name(tokenizer: Any, token: int) -> str:
    named = {number: name for name, number in tokenizer.special.items()}
    return named.get(token) or tokenizer.decode([token]) or str(token)


def draw_positions(run: Run, path: Path) -> None:
    """Draws the first input of the encoder: embeddings, positional encoding and their sum (book figure 9-3)."""
    tokens = run.data.test.take(np.zeros(1, np.int64))["source"][0]
    params, width = run.state.params["network"], run.config.width
    name = "source" if "source" in params else "target"
    embeddings = np.asarray(params[name]["embedding"])[tokens] * width**0.5
    if run.config.positions == "learned":
        positions = np.asarray(params["source_positions"]["embedding"])[: len(tokens)]
    else:
        positions = np.asarray(sinusoidal_positions(np.arange(len(tokens)), width))
    attention.positional_encoding(embeddings, positions, path)


def bleu(run: Run) -> Results:
    """Returns BLEU of the test split's translations: of the tokenizer's words, and of readable text by sacrebleu."""
    pairs = run.data.sentences["test"]
    found = translations(run, run.data.test.take(np.arange(len(run.data.test)))["source"]).tolist()
    tokenizer = run.data.target_tokenizer
    of_words = corpus_bleu([tokenizer.words_of(ids) for ids in found], [tokenizer.words(p.target) for p in pairs])
    of_text = sacre_bleu([tokenizer.decode(ids) for ids in found], [p.target for p in pairs], lower_case=True)
    precisions = "/".join(f"{share:.1f}" for share in of_words.precisions)
    search = f"{run.config.beams} beams, length penalty {run.config.length_penalty:g}"
    return {
        "test/bleu": of_words.score,
        "test/sacre_bleu": of_text.score,
        "protocol": {
            "bleu": f"{len(pairs):,} sentences, {search}; of the tokenizer's words; n-grams {precisions}, "
            f"brevity penalty {of_words.brevity_penalty:.3f}",
            "sacre_bleu": f"the same, of readable text: {of_text.signature}",
        },
    }
