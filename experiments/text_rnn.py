"""A recurrent network that writes in the manner of a text (book 06_01): one word, or character, after the other.

    python -m experiments.text_rnn                                          a bundled novel, a few minutes
    python -m experiments.text_rnn --config=aesop --data_dir=D              the book's network on Aesop's fables
    python -m experiments.text_rnn --config=aesop --data_dir=D --layers=2   its stacked one
    python -m experiments.text_rnn --dataset=text:my_novel.txt --token_type=character --sequence_length=60
    python -m experiments.sample --workdir=runs/text_rnn-small --prompt="my dear sister" --temperature=0.5 --num=3
    python -m experiments.write --workdir=runs/text_rnn-small               write with its ten likeliest words at hand

The loss is in nats a token, of held-out stories; its exponential, the perplexity, is how many equally likely words the
network seems to choose from. Separators between stories are easily told: the perplexity without them is higher.
"""

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import ArraySource, digest_of, first_examples, first_rows
from gdl_jax.data.text import tokens as text
from gdl_jax.data.text.tokens import SEPARATOR, UNKNOWN, TextData
from gdl_jax.data.text.vocabulary import Vocabulary
from gdl_jax.data.text.windows import Windows
from gdl_jax.evaluation.text import unigram_entropy
from gdl_jax.learners.language import language_model
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.models import text_rnn as networks
from gdl_jax.models.text_rnn import Boldness
from gdl_jax.plots.text import next_tokens, passages
from gdl_jax.runs.experiment import DTYPES, Experiment, Part, RunConfig
from gdl_jax.runs.main import main

AESOP_WORDS = 4169  # printed in the book's code, the unknown one included
EPOCH = 1260  # steps of 32 windows, in the four fifths of the fables that are learnt from
LENGTHS = {"word": 100, "character": 500}  # tokens of a text that is written, at most
TEMPERATURES = (0.2, 0.5, 1.0)
WRITTEN, SHOWN = 16, 3  # stories at each temperature
OFFERED = 10  # tokens that a writer is offered, and that a figure shows
BARS = 4  # contexts of that figure
TITLE = 6  # tokens of each that are shown
CARRIED = 2000  # tokens that are read without stopping
RUN = 8  # tokens, of a run that a text may have in common with what was learnt from


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, networks.Config):
    dataset: str = "lady_susan"  # lady_susan (bundled), aesop in --data_dir, or text:PATH, a text in UTF-8
    token_type: str = "word"  # word or character
    sequence_length: int = 20  # tokens that the network reads to tell the next
    stride: int = 1  # tokens from one window that is learnt from to the next
    unknown_below: int = 1  # tokens that occur fewer times than this count as one, the unknown one; 1: none
    held_out: float = 0.1  # share of the stories that are held out for validation, and as many for testing
    patience: int = 5  # evaluations without a lower held-out loss after which training stops; 0: never
    optimizer: str = "rmsprop"  # by name or package.module:function
    learning_rate: float = 1e-3  # constant, as in the book
    reread: bool = False  # write as the book does, reading sequence_length tokens anew before each

    LEAST = RunConfig.LEAST | dict.fromkeys(
        ("embedding_size", "hidden_units", "layers", "sequence_length", "stride", "unknown_below"), 1
    )
    NEEDS = RunConfig.NEEDS | {"reset_after": "cell=gru"}


PRESETS = {
    "small": Config(
        embedding_size=64,
        hidden_units=128,
        dropout_rate=0.4,
        embedding_dropout_rate=0.2,
        optimizer="adam",
        steps=8000,
        eval_every=500,
    ),
    "aesop": Config(
        dataset="aesop",
        recurrent_activation="hard_sigmoid",
        dropout_rate=0.2,
        steps=100 * EPOCH,
        log_every=EPOCH // 7,
        eval_every=EPOCH // 2,
        checkpoint_every=EPOCH // 2,
    ),
}


def load(config) -> TextData:
    """Windows of sequence_length tokens and the one after them.

    Raises:
      UserError: as `text.load`; too few training examples.
    """
    data = text.load(
        config.dataset,
        data_dir=config.data_dir or None,
        token_type=config.token_type,
        sequence_length=config.sequence_length,
        stride=config.stride,
        unknown_below=config.unknown_below,
        held_out=config.held_out,
    )
    data = first_examples(data, config.train_examples, Windows.first)
    sources = [source for source in (data.train, data.validation, data.test) if source is not None]
    tokens = [source.sequences["tokens"].tobytes() for source in sources]
    return dataclasses.replace(data, digest=digest_of([" ".join(data.vocabulary.words).encode(), *tokens]))


def blank(config):
    """One window, where the vocabulary is known."""
    if (config.dataset, config.token_type, config.unknown_below) != ("aesop", "word", 1):
        return None
    row = ArraySource({"tokens": np.zeros((1, config.sequence_length + 1), np.int32)})
    words = Vocabulary((UNKNOWN, SEPARATOR, *map(str, range(AESOP_WORDS - 2))))
    return TextData(config.dataset, row, row, row, vocabulary=words, token_type="word")


def parts(config, data):
    """The network."""
    module = networks.TextRNN(config, len(data.vocabulary), DTYPES[config.precision])
    return {"network": Part(module, (jax.ShapeDtypeStruct((1, config.sequence_length), jnp.int32),))}


def build(config, data, axis_name):
    """The learner."""
    return language_model(
        parts(config, data)["network"].module.clone(axis_name=axis_name),
        make_optimizer(config.optimizer, config.learning_rate),
        unknown=data.vocabulary.unknown,
        separator=data.vocabulary.index[SEPARATOR],
        reread=config.reread,
        axis_name=axis_name,
    )


def read_prompt(run, prompt: str) -> list[str]:
    """The tokens of a prompt that the model knows; says which it doesn't know and leaves out, and how many it reads.

    Raises:
      UserError: it knows none of them.
    """
    tokens = text.tokenise(prompt, run.data.token_type)
    known = [token for token in tokens if token in run.data.vocabulary.index]
    if tokens and not known:
        raise UserError(f"--prompt={prompt}: the model knows none of these {run.data.token_type}s")
    if unknown := dict.fromkeys(token for token in tokens if token not in run.data.vocabulary.index):
        sys.stderr.write(f"unknown to the model, and left out: {' '.join(unknown)}\n")
    if len(known) > (length := run.config.sequence_length):
        sys.stderr.write(f"of the prompt's {len(known)} {run.data.token_type}s the model reads the last {length}\n")
    return known


def context_of(run, tokens: Sequence[str]) -> np.ndarray:
    """What the network reads before it goes on with a story of these tokens: (sequence_length,)."""
    length = run.config.sequence_length
    return run.data.vocabulary.encode([*[SEPARATOR] * length, *tokens])[-length:]


@partial(jax.jit, static_argnums=0)
def _probabilities(module, params, contexts, unknown, separator):
    logits = module.apply({"params": params}, contexts, False)[:, 0]
    return jax.nn.softmax(networks.writable(logits, contexts[:, -1], unknown, separator))


def next_probabilities(run, contexts: np.ndarray) -> np.ndarray:
    """(N, sequence_length) -> how probable each token is to be written next, (N, V)."""
    module = parts(run.config, run.data)["network"].module
    params = run.state.params["network"]
    vocabulary = run.data.vocabulary
    return np.asarray(_probabilities(module, params, contexts, vocabulary.unknown, vocabulary.index[SEPARATOR]))


def likeliest(run, probabilities: np.ndarray) -> dict[str, float]:
    """The OFFERED likeliest of all tokens (V,), the likeliest first, and how probable each is."""
    numbers = np.argsort(-probabilities, kind="stable")[:OFFERED]
    return dict(zip(run.data.vocabulary.decode(numbers), probabilities[numbers].tolist(), strict=True))


def write(run, num: int, start: Sequence[str], boldness: Boldness) -> np.ndarray:
    """`num` continuations of a story that starts with these tokens: (num, length)."""
    length = LENGTHS[run.config.token_type]
    return np.asarray(run.learner.sample(run.state, run.key, num, context_of(run, start), length, boldness))


def as_text(run, start: Sequence[str], numbers: np.ndarray) -> str:
    """A story's start and its continuation (T,), up to its end."""
    tokens = itertools.takewhile(lambda token: token != SEPARATOR, run.data.vocabulary.decode(numbers))
    return text.join([*start, *tokens], run.data.token_type)


def at_temperatures(run, num: int) -> tuple[np.ndarray, dict[str, list[str]]]:
    """`num` stories at each of TEMPERATURES, from their beginning, as numbers (N, T) and as {heading: texts}."""
    numbers = write(run, num * len(TEMPERATURES), (), Boldness(np.repeat(np.float32(TEMPERATURES), num)))
    texts = [as_text(run, (), row) for row in numbers]
    return numbers, {f"temperature {t}": texts[i * num : (i + 1) * num] for i, t in enumerate(TEMPERATURES)}


def show_next_tokens(run) -> None:
    """What is likely to come next at the beginning of a story and in held-out ones, cautiously and as was learnt."""
    held_out = run.data.train if run.data.test is None else run.data.test
    places = np.linspace(0, len(held_out) - 1, BARS + 1, dtype=np.int64)[1:-1]
    contexts = np.concatenate([context_of(run, ())[None], held_out.take(places)["tokens"][:, :-1]])
    panels = {}
    for context, probabilities in zip(contexts, next_probabilities(run, contexts), strict=True):
        cautious = probabilities ** (1 / TEMPERATURES[0])
        cautious /= cautious.sum()
        offered = likeliest(run, probabilities)
        tokens = [token for token in run.data.vocabulary.decode(context) if token != SEPARATOR][-TITLE:]
        title = f"... {text.join(tokens, run.data.token_type)}" if tokens else "at the beginning"
        panels[title] = {
            token: (share, float(cautious[run.data.vocabulary.index[token]])) for token, share in offered.items()
        }
    series = [f"temperature {t}" for t in (TEMPERATURES[-1], TEMPERATURES[0])]
    next_tokens(panels, series, run.figures / "next_tokens.png")


def held_out_numbers(run, split: str) -> dict[str, float]:
    """Perplexities of one split; nothing where it isn't there."""
    source = getattr(run.data, split)
    if source is None:
        return {}
    losses = run.losses(source)
    in_story = source.take(np.arange(len(source)))["tokens"][:, -1] != run.data.vocabulary.index[SEPARATOR]
    return {
        f"{split}/perplexity": float(np.exp(losses.mean())),
        f"{split}/perplexity without separators": float(np.exp(losses[in_story].mean())),
    }


@partial(jax.jit, static_argnums=0)
def _carried_losses(module, params, tokens):
    """(T,) -> (T - 1,), in nats: each token given all before it."""
    variables = {"params": params}
    nothing = module.apply(variables, 1, method="zero_carry")
    states, _ = module.apply(variables, tokens[None, :-1], nothing, method="read")
    return token_cross_entropy(module.apply(variables, states, method="tell"), tokens[None, 1:])[0]


def carried_numbers(run) -> dict[str, float]:
    """The perplexity where the state is carried on, as when text is written, and never starts from nothing."""
    if run.config.bidirectional or run.data.test is None:
        return {}
    tokens = run.data.test.sequences["tokens"][:CARRIED]
    module = parts(run.config, run.data)["network"].module
    losses = np.asarray(_carried_losses(module, run.state.params["network"], tokens))
    losses = losses[run.config.sequence_length - 1 :]  # of the tokens that windows end with
    read = run.losses(first_rows(run.data.test, len(losses)))
    return {
        f"state carried on/perplexity of {len(losses)} test tokens": float(np.exp(losses.mean())),
        f"windows/perplexity of {len(losses)} test tokens": float(np.exp(read.mean())),
    }


def _runs(tokens: np.ndarray) -> np.ndarray:
    """(..., T) -> (N, RUN), all stretches of RUN tokens."""
    places = np.arange(max(0, tokens.shape[-1] - RUN + 1))[:, None] + np.arange(RUN)
    return tokens[..., places].reshape(-1, RUN)


def share_copied(run, numbers: np.ndarray) -> float:
    """Of all runs of RUN tokens in stories (N, T) up to their ends, the share that stand in what was learnt from."""
    known, written = set(map(tuple, _runs(run.data.train.sequences["tokens"]).tolist())), _runs(numbers)
    ended = np.cumsum(numbers == run.data.vocabulary.index[SEPARATOR], axis=1) > 0
    in_story = ~_runs(ended).any(axis=1)
    return float(np.mean([tuple(row) in known for row in written[in_story].tolist()])) if in_story.any() else 0.0


def preview(run):
    """A story at each temperature, from the same noise at every step."""
    passages(at_temperatures(run, 1)[1], run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run):
    """Stories at several temperatures; what is likely to come next; perplexities."""
    numbers, texts = at_temperatures(run, WRITTEN)
    stories = "\n".join(f"{heading}\n\n" + "\n\n".join(some[:SHOWN]) + "\n" for heading, some in texts.items())
    (run.figures / "samples.txt").write_text(stories, encoding="utf-8")
    show_next_tokens(run)
    results = held_out_numbers(run, "validation") | held_out_numbers(run, "test") | carried_numbers(run)
    if run.data.test is not None:
        told = run.data.test.take(np.arange(len(run.data.test)))["tokens"][:, -1]
        entropy = unigram_entropy(told[told != run.data.vocabulary.index[SEPARATOR]])
        results["test/perplexity of the tokens' shares without separators"] = float(np.exp(entropy))  # knows only these
    for i, temperature in enumerate(TEMPERATURES):
        share = share_copied(run, numbers[i * WRITTEN : (i + 1) * WRITTEN])
        results[f"temperature {temperature}/runs of {RUN} tokens copied from what was learnt"] = share
    return results


def sample(run, request):
    """One text file: continuations of the prompt, or whole stories."""
    start = read_prompt(run, request.prompt)
    boldness = Boldness(request.temperature, request.top_k, request.top_p)
    stories = [as_text(run, start, row) for row in write(run, request.num, start, boldness)]
    path = request.out / "samples.txt"
    path.write_text("\n\n".join(stories) + "\n", encoding="utf-8")
    return [path]


TAKES = ("prompt", "temperature", "top_k", "top_p")
EXPERIMENT = Experiment(
    "text_rnn", Config, PRESETS, build, parts, analyse, preview, sample, load, blank=blank, takes=TAKES
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
