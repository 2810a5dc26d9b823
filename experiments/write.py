"""Writes a story interactively with a run of experiments.text_rnn: pick a likely next word, or type one.

python -m experiments.write --workdir=runs/text_rnn-small
python -m experiments.write --workdir=runs/text_rnn-small --prompt="my dear sister" --temperature=0.5 > letter.txt

In each turn, a number picks the word next to it, typed words are appended, an empty line samples a word, `:undo` takes
back the last turn, and `:quit` or the end of the input ends the session. The menu goes to standard error, the story to
standard output.
"""

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
from absl import flags

from experiments.language.writing import (
    WritingOptions,
    context_of,
    likeliest_tokens,
    next_probabilities,
    read_prompt,
)
from gdl_jax.core import config_flags
from gdl_jax.data.text.tokens import SEPARATOR, join, tokenise
from gdl_jax.nn.sampling import SamplingConfig, sample_logits
from gdl_jax.runs import command
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.restore import restore

UNDO, QUIT = ":undo", ":quit"
NAMES = {SEPARATOR: "(the end)", " ": "(space)"}  # of invisible tokens
LARGEST_SEED = 2**31 - 1
draw = jax.jit(sample_logits)


def menu(offered: Mapping[str, float]) -> str:
    """Returns the offered tokens as numbered lines with probabilities."""
    lines = [f"{i:3}  {share:6.1%}  {NAMES.get(token, token)}" for i, (token, share) in enumerate(offered.items(), 1)]
    return "\n".join(lines) + "\n"


def chosen(run: Run, line: str, offered: Mapping[str, float], drawn: str) -> list[str]:
    """Returns the tokens that a typed line adds: none, with a message on standard error, if one of them is unknown.

    Args:
      run: of text_rnn.
      line: the typed line.
      offered: tokens that numbers pick from.
      drawn: the token that an empty line adds.
    """
    if not line.strip():
        return [drawn]
    numbered = {str(number): token for number, token in enumerate(offered, 1)}
    if line.strip() in numbered:
        return [numbered[line.strip()]]
    tokens = tokenise(line.rstrip("\r\n"), run.data.token_type)
    if unknown := dict.fromkeys(token for token in tokens if token not in run.data.vocabulary.index):
        sys.stderr.write(f"not in the model's vocabulary: {' '.join(unknown)}\n")
        return []
    return tokens


def typed() -> Iterator[str]:
    """Yields the lines of standard input until it ends or Ctrl-C is pressed."""
    try:
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", errors="replace")
    except KeyboardInterrupt:
        sys.stderr.write("\n")


def session(run: Run, start: Iterable[str], sampling: SamplingConfig, lines: Iterable[str]) -> list[str]:
    """Runs a session; returns the tokens of the story.

    Args:
      run: of text_rnn.
      start: the story's first tokens.
      sampling: how the token of an empty line is sampled.
      lines: typed lines, one for each turn.
    """
    story, turns, lines = list(start), [], enumerate(lines)
    while SEPARATOR not in story:
        probabilities = next_probabilities(run, context_of(run, story)[None])[0]
        offered = likeliest_tokens(run, probabilities)
        sys.stderr.write(f"\n{join(story, run.data.token_type)}\n{menu(offered)}> ")
        sys.stderr.flush()
        turn, line = next(lines, (0, QUIT))
        if line.strip() == QUIT:
            break
        if line.strip() == UNDO:
            story = turns.pop() if turns else story
            continue
        number = int(draw(jax.random.fold_in(run.key, turn), jnp.log(probabilities), *sampling))
        added = chosen(run, line, offered, run.data.vocabulary.words[number])
        if added:
            turns.append(story)
            story = story + added
    return [token for token in story if token != SEPARATOR]


def _main(values: flags.FlagValues) -> None:
    options = WritingOptions(**config_flags.chosen(WritingOptions, values))
    workdir = command.workdir(values)
    run = restore(workdir, warn=command.warn, expected="text_rnn").run
    run = dataclasses.replace(run, key=jax.random.key(values.seed))
    story = session(run, read_prompt(run, options.prompt), options.sampling, typed())
    sys.stdout.write(join(story, run.data.token_type) + "\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.write`."""
    values = command.new_flags()
    command.define_path("workdir", None, "the run's directory", values)
    about = "seed of the samples"
    flags.DEFINE_integer("seed", 0, about, lower_bound=0, upper_bound=LARGEST_SEED, flag_values=values)
    config_flags.define(WritingOptions(), values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
