"""Words that BERT fills into blanks, attention in sentences, and vectors of one word in several sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.language.exporting import write_network
from experiments.language.writing import read_prompts
from gdl_jax.core.config_flags import IsPath
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.text.bert_rows import OF_ONE, features, special_ids, to_rows
from gdl_jax.data.text.pretraining import PretrainingData
from gdl_jax.data.text.subword import MASK, PADDING
from gdl_jax.evaluation.text import unigram_entropy
from gdl_jax.models import bert_weights
from gdl_jax.models.bert import BERT, Pretraining
from gdl_jax.plots import attention
from gdl_jax.plots.similarity import cosine_tables
from gdl_jax.plots.text import next_tokens
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Results, Run, SampleOptions, SampleRequest

PANELS, OFFERED, AROUND = 4, 8, 10  # blanks of the figure, words of a panel, characters shown on each side of a blank
EXAMPLES = 32  # held-out examples among which the figure's blanks are chosen
PREVIEWED = 4  # held-out examples of a preview
ATTENDED = 16  # tokens of the figure of attention
# Sentences in two uses of a word. The first is the book's; the second is for networks that do not know it.
USES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "water": {
        "noun": ("The water in the lake is cold.", "She drank a glass of water."),
        "verb": ("You have to water the plants every day.", "They water the garden in summer."),
    },
    "hope": {
        "noun": ("There is no hope of his return.", "It gave her some hope of success."),
        "verb": ("I hope you will come to town.", "We hope to see her at Churchhill."),
    },
}


@dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Options of sampling; `num` is the number of words for a blank."""

    prompt: str = ""  # sentence with one or more [MASK] to fill in; empty: held-out examples
    prompts: Annotated[str, IsPath()] = ""  # a text file with a sentence in each line
    word: str = ""  # a word of all sentences, whose vectors in them are compared; they need no [MASK] then


def network(config: Any, data: PretrainingData) -> Pretraining:
    """Returns the network of a run with this config."""
    return Pretraining(config, data.tokenizer.size, DTYPES[config.precision])


class Blank(NamedTuple):
    """A blank of a text, and what the network offers for it.

    Attributes:
      text: around the blank, "... [MASK] ...".
      offered: {word: probability}, descending.
      right: the text's own word, or "" if it is not known.
    """

    text: str
    offered: dict[str, float]
    right: str = ""


def encode(run: Run, sentences: Sequence[str], field: str) -> dict[str, np.ndarray]:
    """Returns sentences as rows, in which [MASK] is the token of that name; see `bert_rows.to_rows`.

    Raises:
      ConfigError: a sentence is longer than the network's examples; it names the flag `field`.
    """
    tokenizer, most = run.data.tokenizer, run.config.max_length - OF_ONE
    special, ids = special_ids(tokenizer.special), []
    for sentence in sentences:
        parts = [tokenizer.encode(part) for part in sentence.split(MASK)]
        ids.append(np.concatenate([part for one in parts for part in ([special.mask], one)][1:]))
        if len(ids[-1]) > most:
            raise ConfigError(field, sentence, f"has {len(ids[-1])} tokens; the network reads at most {most}")
    return to_rows(ids, None, special, run.config.max_length)


def fill_in(run: Run, rows: Mapping[str, np.ndarray], num: int) -> list[list[Blank]]:
    """Returns the blanks of each row, with the `num` likeliest tokens of each; [PAD] is not offered.

    Args:
      run: of BERT's pre-training.
      rows: with "tokens" (N, T) and "length" (N,); of examples also "positions", "targets" and "weights" (N, P).
      num: tokens of a blank.
    """
    tokenizer = run.data.tokenizer
    blanks = rows["tokens"] == tokenizer.special[MASK]
    count = max(1, int(blanks.sum(axis=1).max()))
    positions = np.argsort(~blanks, axis=1, kind="stable")[:, :count]  # those of blanks first, ascending
    batch = features(rows) | {"positions": jnp.asarray(positions, jnp.int32)}
    probabilities = np.array(run.learner.sample(run.state, run.key, len(positions), batch))
    probabilities[..., tokenizer.special[PADDING]] = 0.0
    found: list[list[Blank]] = []
    for row, tokens in enumerate(rows["tokens"]):
        found.append([])
        for place, position in enumerate(positions[row, : blanks[row].sum()].tolist()):
            shares = probabilities[row, place]
            likeliest = np.argsort(-shares, kind="stable")[:num].tolist()
            offered = {tokenizer.tokens[one]: float(shares[one]) for one in likeliest}
            found[-1].append(Blank(_around(run, tokens, position), offered, _right(run, rows, row, position)))
    return found


def _around(run: Run, tokens: np.ndarray, position: int) -> str:
    """Returns the text around a position of a row."""
    decode, kept = run.data.tokenizer.decode, tokens != run.data.tokenizer.special[PADDING]
    before, after = decode(tokens[:position].tolist()), decode(tokens[position + 1 :][kept[position + 1 :]].tolist())
    return f"{before[-AROUND:]} {MASK} {after[:AROUND]}"


def _right(run: Run, rows: Mapping[str, np.ndarray], row: int, position: int) -> str:
    """Returns the token that an example had at a position, or ""."""
    if "targets" not in rows:
        return ""
    here = (rows["positions"][row] == position) & (rows["weights"][row] > 0)
    return run.data.tokenizer.tokens[int(rows["targets"][row][here][0])] if here.any() else ""


def held_out(run: Run, count: int) -> dict[str, np.ndarray]:
    """Returns the first held-out examples as rows."""
    source = getattr(run.data, run.split)
    return dict(source.take(np.arange(min(count, len(source)))))


def table(sentences: Sequence[str], blanks: Sequence[Sequence[Blank]]) -> dict[str, list[str]]:
    """Returns {sentence: a line for each blank}, such as "on 43%, in 20%", and the right word if it is known."""
    lines: dict[str, list[str]] = {}
    for sentence, some in zip(sentences, blanks, strict=True):
        lines[sentence] = []
        for blank in some:
            words = ", ".join(f"{word} {share:.0%}" for word, share in blank.offered.items())
            lines[sentence].append(f"{blank.right or MASK}: {words}")
    return lines


def preview(run: Run) -> dict[str, list[str]]:
    """Returns the table of held-out examples."""
    rows = held_out(run, PREVIEWED)
    texts = [_text(run, tokens) for tokens in rows["tokens"]]
    return table(texts, fill_in(run, rows, PANELS))


def _text(run: Run, tokens: np.ndarray) -> str:
    return run.data.tokenizer.decode(tokens[tokens != run.data.tokenizer.special[PADDING]].tolist())


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes the words for the blanks, draws the attention in the first sentence, and compares the word's vectors."""
    options, field = request.options, "prompts" if request.options.prompts else "prompt"
    sentences = read_prompts(options, keep=str.strip)
    if options.word and len(sentences) < 2:
        raise ConfigError("word", options.word, "needs prompts, a file of at least two sentences")
    if not options.word and (lacking := [one for one in sentences if MASK not in one]):
        raise ConfigError(field, lacking[0], f"has no {MASK}")
    rows = encode(run, sentences, field) if sentences else held_out(run, request.num)
    texts = sentences or [_text(run, tokens) for tokens in rows["tokens"]]
    lines = [
        text + "".join(f"\n  {line}" for line in some)
        for text, some in table(texts, fill_in(run, rows, request.num)).items()
    ]
    paths = [request.out / "fill_in.txt"]
    paths[0].write_text("\n".join(lines) + "\n", encoding="utf-8")
    if sentences:
        paths.append(request.out / "attention.png")
        draw_attention(run, sentences[0], paths[-1])
    if options.word:
        paths.append(request.out / "contexts.png")
        draw_contexts(run, options.word, sentences, paths[-1])
    return paths


def held_out_text(run: Run) -> str:
    """Returns the beginning of the first held-out example, without its special tokens."""
    special = set(run.data.tokenizer.special.values()) - {run.data.tokenizer.special[MASK]}
    tokens = held_out(run, 1)["tokens"][0]
    return run.data.tokenizer.decode([token for token in tokens.tolist() if token not in special][:ATTENDED])


def draw_blanks(run: Run, path: Path) -> None:
    """Draws the likeliest words for blanks of held-out examples, with the right word in the title.

    Each blank is of another example; those without special tokens nearby come first.
    """
    filled = [some for some in fill_in(run, held_out(run, EXAMPLES), OFFERED) if some]
    best = [min(some, key=_special_tokens) for some in filled]
    panels = {
        f"{blank.text}\n({blank.right})": {word: [share] for word, share in blank.offered.items()}
        for blank in sorted(best, key=_special_tokens)[:PANELS]
    }
    next_tokens(panels, ["probability"], path)


def _special_tokens(blank: Blank) -> int:
    return blank.text.count("[")


@partial(jax.jit, static_argnums=0)
def _read(module, params, batch):
    read = batch["tokens"], batch["segments"], batch["mask"]
    return module.apply({"params": params}, *read, train=False, weights=True, method="read")


def read(run: Run, rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the encoder's outputs (N, T, W) and attention weights (L, N, H, T, T) of rows."""
    encoder = BERT(run.config, run.data.tokenizer.size, DTYPES[run.config.precision])
    states, weights = _read(encoder, run.state.params["network"]["bert"], features(rows))
    return np.asarray(states, np.float32), np.asarray(weights)


def draw_attention(run: Run, sentence: str, path: Path) -> None:
    """Draws which tokens the last layer's heads attend to in a sentence."""
    rows = encode(run, [sentence], "prompt")
    length = int(rows["length"][0])
    names = [run.data.tokenizer.tokens[token] for token in rows["tokens"][0, :length].tolist()]
    attention.heads(read(run, rows)[1][-1, 0, :, :length, :length], names, names, path)


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Returns the cosine of each pair of vectors: (N, W) -> (N, N)."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def word_vectors(run: Run, word: str, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns a word's vectors in sentences, each (N, W): the last layer's outputs, and the input embedding.

    A word of several tokens has the mean of their vectors; its first occurrence counts.

    Raises:
      ConfigError: a sentence lacks the word.
    """
    rows, ids = encode(run, sentences, "prompts"), run.data.tokenizer.encode(word).tolist()
    states, _ = read(run, rows)
    vectors = []
    for sentence, tokens, outputs in zip(sentences, rows["tokens"].tolist(), states, strict=True):
        starts = [at for at in range(len(tokens)) if tokens[at : at + len(ids)] == ids]
        if not (ids and starts):
            raise ConfigError("word", word, f"is not a word of {sentence!r}")
        vectors.append(outputs[starts[0] : starts[0] + len(ids)].mean(axis=0))
    embedding = np.asarray(run.state.params["network"]["bert"]["tokens"]["embedding"])[ids].mean(axis=0)
    return np.array(vectors), np.tile(embedding, (len(sentences), 1))


def draw_contexts(run: Run, word: str, sentences: Sequence[str], path: Path) -> np.ndarray:
    """Draws the cosines of a word's vectors in sentences, beside those of its input embedding; returns the former."""
    found, embedding = map(cosines, word_vectors(run, word, sentences))
    cosine_tables({f"{word}: input embedding": embedding, f"{word}: last layer": found}, sentences, path)
    return found


def example_word(run: Run) -> str | None:
    """Returns the first word of USES that is a token."""
    return next((word for word in USES if word in run.data.tokenizer.tokens), None)


def compare_uses(run: Run, word: str, path: Path) -> Results:
    """Draws a word's vectors in two uses; returns the mean cosine of sentences with the same use, and with others."""
    uses = np.array([use for use, some in USES[word].items() for _ in some])
    found = draw_contexts(run, word, [sentence for some in USES[word].values() for sentence in some], path)
    same = uses[:, None] == uses
    protocol = f"mean cosines of the last layer's vectors of {word!r} in two sentences, as {' and '.join(USES[word])}"
    return {
        "contexts/same_use": float(found[same & ~np.eye(len(uses), dtype=bool)].mean()),
        "contexts/other_use": float(found[~same].mean()),
        "protocol": {"contexts": protocol},
    }


def guesses(run: Run) -> Results:
    """Returns what guesses without context reach on the test split.

    "unigram/word_loss" is of the frequencies of the split's own tokens. "unigram/word_accuracy" is of the commonest
    token for [MASK], and of the token itself where another one stands, which is right if it was kept.
    """
    rows = run.data.test.take(np.arange(len(run.data.test)))
    chosen, share = rows["weights"] > 0, float(rows["is_next"].mean())
    targets, seen = rows["targets"][chosen], np.take_along_axis(rows["tokens"], rows["positions"], axis=1)[chosen]
    commonest = np.bincount(targets).argmax()
    guess = np.where(seen == run.data.tokenizer.special[MASK], commonest, seen)
    return {
        "unigram/word_loss": unigram_entropy(targets),
        "unigram/word_accuracy": float((guess == targets).mean()),
        "unigram/next_accuracy": max(share, 1 - share),
    }


def export(run: Run, folder: Path) -> list[Path]:
    """Writes the network for Hugging Face's transformers; returns the paths.

    Raises:
      UserError: a file cannot be written.
    """
    tokenizer = run.data.tokenizer
    about = bert_weights.hugging_face_config(run.config, tokenizer.size)
    return write_network(folder, bert_weights.to_hugging_face(run.state.params["network"]), about, tokenizer)
