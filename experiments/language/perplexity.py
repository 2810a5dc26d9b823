"""Metrics of a network of experiments.text_rnn: held-out perplexities, and the copied share of generated text."""

from functools import partial

import jax
import numpy as np

from experiments.language.writing import TEMPERATURES, network
from gdl_jax.data.dataset import first_rows
from gdl_jax.data.text.tokens import SEPARATOR
from gdl_jax.evaluation.copying import copied_shares
from gdl_jax.evaluation.text import unigram_entropy
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.runs.experiment import Results, Run

CARRIED = 2000  # tokens read in one pass that carries the state over
COPIED = 8  # length of the n-grams that count as copied


def perplexities(run: Run) -> Results:
    """Returns the perplexities of the held-out splits, and of the test text read in one pass.

    Splits that the data lack are omitted. "unigram" is the baseline of the test split's token frequencies.
    """
    results: Results = _held_out(run, "validation") | _held_out(run, "test")
    if run.data.test is None:
        return results
    if not run.config.bidirectional:
        results |= _with_carried_state(run)
    last = run.data.test.take(np.arange(len(run.data.test)))["tokens"][:, -1]
    entropy = unigram_entropy(last[last != run.data.vocabulary.index[SEPARATOR]])
    return results | {"unigram/perplexity_without_separators": float(np.exp(entropy))}


def _held_out(run: Run, split: str) -> dict[str, float]:
    source = getattr(run.data, split)
    if source is None:
        return {}
    losses = run.losses(source)
    in_story = source.take(np.arange(len(source)))["tokens"][:, -1] != run.data.vocabulary.index[SEPARATOR]
    return {
        f"{split}/perplexity": float(np.exp(losses.mean())),
        f"{split}/perplexity_without_separators": float(np.exp(losses[in_story].mean())),
    }


@partial(jax.jit, static_argnums=0)
def _carried_losses(module, params, tokens):
    """Returns the losses (T - 1,) in nats of tokens (T,), each given all tokens before it."""
    variables = {"params": params}
    zeros = module.apply(variables, 1, method="zero_carry")
    states, _ = module.apply(variables, tokens[None, :-1], zeros, method="read")
    return token_cross_entropy(module.apply(variables, states, method="predict"), tokens[None, 1:])[0]


def _with_carried_state(run: Run) -> Results:
    """Returns the perplexity with the state carried over, as in generation, next to that of windows."""
    tokens = run.data.test.sequences["tokens"][:CARRIED]
    losses = np.asarray(_carried_losses(network(run.config, run.data), run.state.params["network"], tokens))
    losses = losses[run.config.sequence_length - 1 :]  # of the last tokens of windows
    of_windows = run.losses(first_rows(run.data.test, len(losses)))
    count = f"the first {len(losses)} test tokens that end a window"
    return {
        "carried_state/perplexity": float(np.exp(losses.mean())),
        "windows/perplexity": float(np.exp(of_windows.mean())),
        "protocol": {
            "carried_state": f"{count}; each predicted from all tokens before it, in one pass",
            "windows": f"{count}; each predicted from the {run.config.sequence_length} tokens before it",
        },
    }


def copied_stories(run: Run, numbers: np.ndarray) -> Results:
    """Returns the share of n-grams of COPIED tokens that occur in the training text, for stories of each temperature.

    Args:
      run: that generated the stories.
      numbers: (N, T), token ids, equally many stories for each of TEMPERATURES in order. Tokens after a story's end are
        ignored; the share is 0 where no story is long enough.
    """
    separator = run.data.vocabulary.index[SEPARATOR]
    ended = np.logical_or.accumulate(numbers == separator, axis=1)
    stories = np.split(np.where(ended, separator, numbers), len(TEMPERATURES))
    kinds = {f"temperature_{t}".replace(".", "_"): rows for t, rows in zip(TEMPERATURES, stories, strict=True)}
    shares = copied_shares(run.data.train.sequences["tokens"], kinds, length=COPIED, separator=separator)
    how = f"share of {COPIED}-grams of tokens that occur in the training text; {len(stories[0])} stories each"
    values = {f"{kind}/copied_share": 0.0 if np.isnan(share) else share for kind, share in shares.items()}
    return values | {"protocol": {"copied_share": how}}
