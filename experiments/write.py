"""Writes a story interactively with a run of text_rnn or gpt2: pick a likely next token, or type some.

python -m experiments.write --workdir=runs/text_rnn-small
python -m experiments.write --workdir=runs/text_rnn-small --prompt="my dear sister" --temperature=0.5 > letter.txt

In each turn, a number picks the token next to it, typed text is appended, an empty line samples a token, `:undo` takes
back the last turn, and `:quit` or the end of the input ends the session. The menu goes to standard error, the story to
standard output.
"""

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.language import continuation, writing
from experiments.language.writing import OFFERED, Writer, WritingOptions
from gdl_jax.core import config_flags
from gdl_jax.core.errors import UserError
from gdl_jax.nn.sampling import SamplingConfig, sample_logits
from gdl_jax.runs import command
from gdl_jax.runs.restore import restore

WRITERS = {"text_rnn": writing.StoryWriter, "gpt2": continuation.TextWriter}  # of a run's experiment
UNDO, QUIT = ":undo", ":quit"
LARGEST_SEED = 2**31 - 1
draw = jax.jit(sample_logits)


def likeliest(writer: Writer, probabilities: np.ndarray) -> dict[Any, float]:
    """Returns the OFFERED likeliest tokens and their probabilities, in descending order; `probabilities` is (V,)."""
    numbers = np.argsort(-probabilities, kind="stable")[:OFFERED]
    return dict(zip(writer.tokens(numbers), probabilities[numbers].tolist(), strict=True))


def menu(writer: Writer, offered: Mapping[Any, float]) -> str:
    """Returns the offered tokens as numbered lines with probabilities."""
    lines = [f"{i:3}  {share:6.1%}  {writer.name(token)}" for i, (token, share) in enumerate(offered.items(), 1)]
    return "\n".join(lines) + "\n"


def chosen(writer: Writer, line: str, offered: Mapping[Any, float], drawn: Any) -> list[Any]:
    """Returns the tokens that a typed line adds: none, with a message on standard error, if one of them is unknown.

    Args:
      writer: reads typed text.
      line: the typed line.
      offered: tokens that numbers pick from.
      drawn: the token that an empty line adds.
    """
    if not line.strip():
        return [drawn]
    numbered = {str(number): token for number, token in enumerate(offered, 1)}
    if line.strip() in numbered:
        return [numbered[line.strip()]]
    try:
        return writer.read(line.rstrip("\r\n"))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return []


def typed() -> Iterator[str]:
    """Yields the lines of standard input until it ends or Ctrl-C is pressed."""
    try:
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", errors="replace")
    except KeyboardInterrupt:
        sys.stderr.write("\n")


def session(
    writer: Writer, key: jax.Array, start: Iterable[Any], sampling: SamplingConfig, lines: Iterable[str]
) -> list[Any]:
    """Runs a session; returns the tokens of the story.

    Args:
      writer: the model.
      key: for the samples.
      start: the story's first tokens.
      sampling: how the token of an empty line is sampled.
      lines: typed lines, one for each turn.
    """
    story, turns, lines = list(start), [], enumerate(lines)
    while writer.end not in story:
        probabilities = writer.probabilities(story)
        offered = likeliest(writer, probabilities)
        sys.stderr.write(f"\n{writer.text(story)}\n{menu(writer, offered)}> ")
        sys.stderr.flush()
        turn, line = next(lines, (0, QUIT))
        if line.strip() == QUIT:
            break
        if line.strip() == UNDO:
            story = turns.pop() if turns else story
            continue
        number = int(draw(jax.random.fold_in(key, turn), jnp.log(probabilities), *sampling))
        added = chosen(writer, line, offered, writer.tokens([number])[0])
        if added:
            turns.append(story)
            story = story + added
    return [token for token in story if token != writer.end]


def _main(values: flags.FlagValues) -> None:
    options = WritingOptions(**config_flags.chosen(WritingOptions, values))
    workdir = command.workdir(values)
    experiment, run, _ = restore(workdir, warn=command.warn, expected=tuple(WRITERS))
    writer = WRITERS[experiment.name](dataclasses.replace(run, key=jax.random.key(values.seed)))
    start = writer.prompt(options.prompt)
    story = session(writer, writer.run.key, start, options.sampling, typed())
    sys.stdout.write(writer.text(story) + "\n")


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
