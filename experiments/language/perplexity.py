"""What a network of experiments.text_rnn is worth: perplexities of held-out text, and how much of its own is copied."""

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

CARRIED = 2000  # tokens that are read without starting from a state of zeros
COPIED = 8  # tokens of a run that counts as copied


def perplexities(run: Run) -> Results:
    """Returns the perplexities of the held-out splits, and of a test text read in one go.

    Nothing for a split that isn't there. "unigram" knows only how frequent each token of the test split is.
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
    """(T,) -> (T - 1,), the loss of each token but the first given all before it, in nats."""
    variables = {"params": params}
    zeros = module.apply(variables, 1, method="zero_carry")
    states, _ = module.apply(variables, tokens[None, :-1], zeros, method="read")
    return token_cross_entropy(module.apply(variables, states, method="tell"), tokens[None, 1:])[0]


def _with_carried_state(run: Run) -> Results:
    """The perplexity where the state is carried on, as when text is written, and never starts from zeros."""
    tokens = run.data.test.sequences["tokens"][:CARRIED]
    losses = np.asarray(_carried_losses(network(run.config, run.data), run.state.params["network"], tokens))
    losses = losses[run.config.sequence_length - 1 :]  # of the tokens that windows end with
    of_windows = run.losses(first_rows(run.data.test, len(losses)))
    count = f"the first {len(losses)} test tokens that windows end with"
    return {
        "carried_state/perplexity": float(np.exp(losses.mean())),
        "windows/perplexity": float(np.exp(of_windows.mean())),
        "protocol": {
            "carried_state": f"{count}; each is predicted from all tokens before it, read once",
            "windows": f"{count}; each is predicted from the {run.config.sequence_length} tokens before it",
        },
    }


def copied_stories(run: Run, numbers: np.ndarray) -> Results:
    """Returns, at each of TEMPERATURES, the share of runs of COPIED tokens in stories that stand in the training text.

    Args:
      run: that wrote them.
      numbers: as many stories of each temperature, one temperature after the other: (N, T). What follows the end of a
        story doesn't count; 0 where no story has a run.
    """
    separator = run.data.vocabulary.index[SEPARATOR]
    ended = np.logical_or.accumulate(numbers == separator, axis=1)
    stories = np.split(np.where(ended, separator, numbers), len(TEMPERATURES))
    kinds = {f"temperature_{t}".replace(".", "_"): rows for t, rows in zip(TEMPERATURES, stories, strict=True)}
    shares = copied_shares(run.data.train.sequences["tokens"], kinds, length=COPIED, separator=separator)
    how = f"share of runs of {COPIED} tokens that stand in the training text; {len(stories[0])} stories each"
    values = {f"{kind}/copied_share": 0.0 if np.isnan(share) else share for kind, share in shares.items()}
    return values | {"protocol": {"copied_share": how}}
