"""Composing with a GPT over musical tokens: samples by composer, their metrics, copies and attribution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np

from experiments.music.render import render_music
from gdl_jax.core.config_flags import Above, AtLeast, Below, IsPath
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.music.musical_tokens import BEGIN, GRID_BEGIN, NOTES, GridTokens
from gdl_jax.data.music.notes import TICKS, in_quarters
from gdl_jax.data.music.performances import INSTRUMENTS, TEMPO, read_midi, to_score, write_midi
from gdl_jax.data.music.token_sets import MusicTokens
from gdl_jax.evaluation import music, token_music
from gdl_jax.evaluation.copying import copied_shares
from gdl_jax.models import gpt
from gdl_jax.nn.sampling import SamplingConfig
from gdl_jax.plots.classification import confusion_matrix
from gdl_jax.plots.music import piano_rolls
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Results, Run, SampleOptions, SampleRequest

SHOWN, PIECES = 4, 32  # pieces drawn, and measured
LENGTH = 400  # tokens of a measured piece
SIXTEENTH, BAR, BARS = TICKS // 4, 16, 4  # ticks; steps of a bar; bars of a measured piece
COPIED = 16  # tokens of an n-gram that counts as copied


@dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Options of sampling."""

    composer: str = ""  # composer of the pieces; empty: each of the training data in turn
    instruments: tuple[str, ...] = ()  # instruments of the pieces; none: those that the composer mostly has
    start: Annotated[str, IsPath()] = ""  # MIDI file to continue
    tokens: Annotated[int, AtLeast(1)] = 1000  # tokens to generate
    temperature: Annotated[float, AtLeast(0)] = 0.8  # divides the logits; 0: always the likeliest token
    top_k: Annotated[int, AtLeast(0), Below(2**31)] = 0  # sample from this many likeliest tokens only; 0: from all
    # sample from the smallest set of likeliest tokens with this total probability; 1: from all
    top_p: Annotated[float, Above(0)] = 0.95

    def __post_init__(self):
        super().__post_init__()
        if self.top_p > 1:
            raise ConfigError("top_p", self.top_p, "must be at most 1")

    @property
    def sampling(self) -> SamplingConfig:
        """Temperature, top_k and top_p."""
        return SamplingConfig(self.temperature, self.top_k, self.top_p)


def network(config: Any, data: MusicTokens) -> gpt.GPT:
    """Returns the network of a run with this config."""
    return gpt.GPT(config, data.tokenizer.size, DTYPES[config.precision])


def compose(
    run: Run, key: jax.Array, prompts: Sequence[np.ndarray], tokens: int, sampling: SamplingConfig
) -> list[np.ndarray]:
    """Returns prompts with their continuations by at most so many tokens: up to where another piece begins."""
    found = np.asarray(run.learner.sample(run.state, key, len(prompts), gpt.padded(prompts), tokens, sampling))
    end = GRID_BEGIN if isinstance(run.data.tokenizer, GridTokens) else BEGIN
    pieces = []
    for prompt, row in zip(prompts, found, strict=True):
        ends = np.flatnonzero(row == end)
        pieces.append(np.concatenate([prompt, row[: ends[0] if len(ends) else len(row)]]))
    return pieces


def headers(run: Run, options: Options, count: int) -> list[np.ndarray]:
    """Returns the beginnings of `count` pieces.

    Raises:
      ConfigError: an unknown composer or instrument, or ones that this run's tokens do not have.
      UserError: the MIDI file to continue cannot be read.
    """
    tokenizer = run.data.tokenizer
    known = tokenizer.composers
    if options.composer and options.composer not in known:
        raise ConfigError("composer", options.composer, f"unknown; the run has {', '.join(known)}")
    if strange := [name for name in options.instruments if name not in INSTRUMENTS]:
        raise ConfigError("instruments", strange[0], f"unknown; choose among {', '.join(INSTRUMENTS)}")
    chosen = [options.composer] if options.composer else known
    names = [chosen[place % len(chosen)] for place in range(count)]
    if isinstance(tokenizer, GridTokens):
        for field in ("instruments", "start"):
            if getattr(options, field):
                raise ConfigError(field, None, "has no effect on tokens of a grid")
        return [tokenizer.usual_header(name) for name in names]
    start = tokenizer.encode(read_midi(Path(options.start))) if options.start else np.zeros(0, np.int32)
    players = [INSTRUMENTS.index(name) for name in options.instruments]
    begins = [tokenizer.header(name, players) if players else tokenizer.usual_header(name) for name in names]
    return [np.concatenate([begin, start]) for begin in begins]


def write_pieces(run: Run, pieces: Sequence[np.ndarray], folder: Path, name: str) -> list[Path]:
    """Writes NAME_1.mid, ... of pieces, and sound, piano roll and score of the first few; returns the paths."""
    performances = [run.data.tokenizer.decode(tokens) for tokens in pieces]
    paths = [folder / f"{name}_{number + 1}.mid" for number in range(len(pieces))]
    for performance, path in zip(performances, paths, strict=True):
        write_midi(performance, path)
    scores = [to_score(performance, SIXTEENTH // 2) for performance in performances]
    return paths + render_music(scores, folder, name, quarters_per_minute=TEMPO, tracks=INSTRUMENTS)


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes MIDI files of pieces, and sound, piano roll and score of the first few."""
    options: Options = request.options
    pieces = compose(run, run.key, headers(run, options, request.num), options.tokens, options.sampling)
    return write_pieces(run, pieces, request.out, "sample")


def draw_rolls(run: Run, path: Path) -> None:
    """Draws the piano rolls of a few new pieces, from the same noise at every step."""
    pieces = compose(run, run.key, headers(run, Options(), SHOWN), LENGTH, Options().sampling)
    scores = [to_score(run.data.tokenizer.decode(tokens), SIXTEENTH // 2) for tokens in pieces]
    piano_rolls({f"piece {number + 1}": in_quarters(notes) for number, notes in enumerate(scores)}, path, INSTRUMENTS)


def _intervals(run: Run, tokens: np.ndarray) -> np.ndarray:
    tokenizer = run.data.tokenizer
    if isinstance(tokenizer, GridTokens):
        return token_music.grid_intervals(tokens, tokenizer.voices)
    return token_music.event_intervals(tokens, NOTES)


def baselines(run: Run) -> Results:
    """Returns the held-out losses of the training tokens' frequencies and, on a grid, of repeating the step before."""
    tokenizer, results = run.data.tokenizer, {}
    training = np.concatenate([tokens for _, tokens in run.data.pieces["train"]])
    for split in ("validation", "test"):
        held_out = np.concatenate([tokens for _, tokens in run.data.pieces[split]])
        results[f"unigram/{split}_loss"] = token_music.unigram_loss(training, held_out, tokenizer.size)
        if isinstance(tokenizer, GridTokens):
            loss = token_music.copy_loss(training, held_out, tokenizer.size, tokenizer.voices)
            results[f"previous_step/{split}_loss"] = loss
    return results


def _excerpts(run: Run, split: str) -> dict[str, list[np.ndarray]]:
    """Returns the beginnings of a split's pieces, at most LENGTH tokens of each, by composer."""
    found: dict[str, list[np.ndarray]] = {}
    for composer, tokens in run.data.pieces[split]:
        found.setdefault(composer, []).append(tokens[:LENGTH])
    return found


def measure(run: Run, folder: Path) -> Results:
    """Composes pieces, writes some to a folder, and returns their metrics next to those of test pieces.

    "share_in_one_scale" and others are as for MuseGAN; "copied_share" is the share of n-grams of intervals that occur
    in the training pieces, in whatever key.
    """
    prompts = headers(run, Options(), PIECES)
    pieces = compose(run, run.key, prompts, LENGTH, Options().sampling)
    write_pieces(run, pieces[:SHOWN], folder, "samples")
    written = [piece[len(prompt) :] for piece, prompt in zip(pieces, prompts, strict=True)]
    real = [tokens for each in _excerpts(run, "test").values() for tokens in each]
    results: dict[str, Any] = {}
    for kind, members in {"samples": written, "real_pieces": real}.items():
        scores = [to_score(run.data.tokenizer.decode(tokens)) for tokens in members if len(tokens)]
        rolls = token_music.piece_rolls(_that_fit(scores), BARS, SIXTEENTH, BAR)
        numbers = music.mean_description(rolls)
        results |= {f"{kind}/{name}": float(value) for name, value in numbers.items() if np.isfinite(value)}
    training = [_intervals(run, tokens) for _, tokens in run.data.pieces["train"]]
    joined = np.concatenate([np.append(piece, -1) for piece in training])
    kinds = {"samples": written, "held_out": real}
    for kind, members in kinds.items():
        rows = np.full((len(members), LENGTH), -1)
        for row, tokens in zip(rows, members, strict=True):
            row[: len(tokens)] = _intervals(run, tokens)
        share = copied_shares(joined, {kind: rows}, length=COPIED, separator=-1)[kind]
        if not np.isnan(share):
            results[f"{kind}/copied_share"] = share
    results |= attribution(run, written, folder)
    metrics = (
        f"{PIECES} pieces of {LENGTH} tokens and {len(real)} beginnings of test pieces; first {BARS} bars of 16 steps"
    )
    copies = f"share of {COPIED}-grams of intervals that occur in the training pieces"
    return results | {"protocol": {"metrics": metrics, "copied_share": copies}}


def _that_fit(scores: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the notes of scores that begin in the measured bars."""
    return [notes[notes[:, 0] < BARS * BAR * SIXTEENTH] for notes in scores]


def attribution(run: Run, written: Sequence[np.ndarray], folder: Path) -> Results:
    """Returns how often a classifier finds the composer of test pieces, and of pieces composed for one.

    It is Naive Bayes on intervals and waits, of training pieces as long; it does not see instruments.
    """
    composers = run.data.tokenizer.composers
    if len(composers) < 2:
        return {}

    def counts(tokens):
        return token_music.style_counts(tokens, NOTES, BEGIN - NOTES)

    training = {name: sum(map(counts, members)) for name, members in _excerpts(run, "train").items()}
    real = [(name, counts(tokens)) for name, members in _excerpts(run, "test").items() for tokens in members]
    composed = [(composers[place % len(composers)], counts(tokens)) for place, tokens in enumerate(written)]
    results = {}
    for kind, pairs in {"real_pieces": real, "samples": composed}.items():
        truth, rows = zip(*pairs, strict=True)
        found = token_music.classify(training, np.stack(rows))
        right = {name: [a == b for a, b in zip(truth, found, strict=True) if a == name] for name in set(truth)}
        results[f"{kind}/composer_found"] = float(np.mean([np.mean(each) for each in right.values()]))
        if kind == "samples":
            matrix = np.zeros((len(composers),) * 2, int)
            for a, b in zip(truth, found, strict=True):
                matrix[composers.index(a), composers.index(b)] += 1
            confusion_matrix(matrix, composers, folder / "composers.png")
    how = f"Naive Bayes on intervals and waits; mean over composers of the share found; chance is 1 of {len(composers)}"
    return results | {"protocol": {"composer_found": how}}


def merged(*results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns results as one, with all their protocols."""
    protocols: dict[str, Any] = {}
    for each in results:
        protocols |= each.get("protocol", {})
    return {name: value for each in results for name, value in each.items()} | {"protocol": protocols}
