"""Write together with a run of experiments.text_rnn: it offers its ten likeliest next words, you pick or type one.

python -m experiments.write --workdir=runs/text_rnn-small
python -m experiments.write --workdir=runs/text_rnn-small --prompt="my dear sister" --temperature=0.5 > letter.txt

At each turn: a number picks the word beside it, words are added as they are typed, an empty line lets the model draw
one, `:undo` takes back the last turn, `:quit` or the end of the input ends the session. What is offered goes to
standard error, the story to standard output.
"""

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping

import jax
import jax.numpy as jnp
from absl import flags

from experiments.sample import LARGEST, check_boldness, define_boldness
from experiments.text_rnn import context_of, likeliest, next_probabilities, read_prompt
from gdl_jax.data.text.tokens import SEPARATOR, join, tokenise
from gdl_jax.models.text_rnn import Boldness
from gdl_jax.nn.sampling import sample_logits
from gdl_jax.runs import command
from gdl_jax.runs.restore import restore

UNDO, QUIT = ":undo", ":quit"
NAMES = {SEPARATOR: "(the end)", " ": "(space)"}  # of tokens that can't be read
draw = jax.jit(sample_logits)


def menu(offered: Mapping[str, float]) -> str:
    """What is offered, numbered, with probabilities."""
    lines = [f"{i:3}  {share:6.1%}  {NAMES.get(token, token)}" for i, (token, share) in enumerate(offered.items(), 1)]
    return "\n".join(lines) + "\n"


def chosen(run, line: str, offered: Mapping[str, float], drawn: str) -> list[str]:
    """The tokens that a line adds; none, and a word about it on standard error, where the model doesn't know them.

    Args:
      run: of text_rnn.
      line: what was typed.
      offered: what numbers pick from.
      drawn: the token that an empty line stands for.
    """
    if not line.strip():
        return [drawn]
    numbered = {str(number): token for number, token in enumerate(offered, 1)}
    if line.strip() in numbered:
        return [numbered[line.strip()]]
    tokens = tokenise(line.rstrip("\r\n"), run.data.token_type)
    if unknown := dict.fromkeys(token for token in tokens if token not in run.data.vocabulary.index):
        sys.stderr.write(f"the model does not know {' '.join(unknown)}\n")
        return []
    return tokens


def typed() -> Iterator[str]:
    """The lines of standard input, until it ends or Ctrl-C is pressed."""
    try:
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", errors="replace")
    except KeyboardInterrupt:
        sys.stderr.write("\n")


def session(run, start: Iterable[str], boldness: Boldness, lines: Iterable[str]) -> list[str]:
    """The tokens of the story that was written.

    Args:
      run: of text_rnn.
      start: tokens that it begins with.
      boldness: of the draws.
      lines: what is typed, a line each turn.
    """
    story, turns, lines = list(start), [], enumerate(lines)
    while SEPARATOR not in story:
        probabilities = next_probabilities(run, context_of(run, story)[None])[0]
        offered = likeliest(run, probabilities)
        sys.stderr.write(f"\n{join(story, run.data.token_type)}\n{menu(offered)}> ")
        sys.stderr.flush()
        turn, line = next(lines, (0, QUIT))
        if line.strip() == QUIT:
            break
        if line.strip() == UNDO:
            story = turns.pop() if turns else story
            continue
        number = int(draw(jax.random.fold_in(run.key, turn), jnp.log(probabilities), *boldness))
        added = chosen(run, line, offered, run.data.vocabulary.words[number])
        if added:
            turns.append(story)
            story = story + added
    return [token for token in story if token != SEPARATOR]


def _main(values: flags.FlagValues) -> None:
    check_boldness(values)
    workdir = command.workdir(values)
    run = restore(workdir, warn=command.warn, expected="text_rnn").run
    run = dataclasses.replace(run, key=jax.random.key(values.seed))
    boldness = Boldness(values.temperature, values.top_k, values.top_p)
    story = session(run, read_prompt(run, values.prompt), boldness, typed())
    sys.stdout.write(join(story, run.data.token_type) + "\n")


def main(argv=None) -> None:
    """What `python -m experiments.write` does."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "the run's directory", flag_values=values)
    flags.DEFINE_integer("seed", 0, "decides what is drawn", lower_bound=0, upper_bound=LARGEST, flag_values=values)
    define_boldness(values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
