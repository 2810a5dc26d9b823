"""Answers and questions from your own text, by a run of experiments.qa.

python -m experiments.ask --workdir=runs/qa-small --file=story.txt
python -m experiments.ask --workdir=runs/qa-small --file=story.txt --beams=5 --figure=story.png
echo "Anna Brown founded a bakery in Oslo in 1999 ." | python -m experiments.ask --workdir=runs/qa-small
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.language import question_answering as answering
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.text.passages import words_of
from gdl_jax.data.text.text_files import decode, read
from gdl_jax.runs import command
from gdl_jax.runs.experiment import Experiment, Run
from gdl_jax.runs.restore import restore


def read_words(file: str | None) -> tuple[str, ...]:
    """Returns the words of a file, or of standard input.

    Raises:
      UserError: it can't be read, is no text in UTF-8, or has no words.
    """
    if file:
        return words_of(read(Path(file).expanduser()))
    return words_of(decode(sys.stdin.buffer.read(), "standard input"))


def with_beams(experiment: Experiment, run: Run, beams: int) -> Run:
    """Returns the run with a beam search of that width for its questions."""
    config = dataclasses.replace(run.config, beams=beams)
    return dataclasses.replace(run, config=config, learner=experiment.build(config, run.data, None))


def _main(values: flags.FlagValues) -> None:
    workdir = command.workdir(values)
    if values.figure and not values.figure.endswith(".png"):
        raise ConfigError("figure", values.figure, "must end in .png")
    words = read_words(values.file)
    experiment, run, _ = restore(workdir, warn=command.warn, expected="qa")
    if values.beams is not None:
        run = with_beams(experiment, run, values.beams)
    length = run.config.document_length
    if len(words) > length:
        sys.stderr.write(f"{len(words)} words; the first {length} are read\n")
        words = words[:length]
    if not any(word.lower() in run.data.vocabulary.index for word in words):
        sys.stderr.write("the model knows none of these words\n")
    threshold = answering.tagging_threshold(run)
    (found,) = answering.generate_questions(run, [words], threshold)
    sys.stdout.write(answering.as_text(words, found.questions))
    if values.figure:
        try:
            answering.draw_document(words, found, None, threshold, Path(values.figure).expanduser())
        except OSError as error:
            raise ConfigError("figure", values.figure, f"cannot be written: {error.strerror}") from error


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.ask`."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "the run's directory", flag_values=values)
    flags.DEFINE_string("file", None, "a text in UTF-8 [standard input]", flag_values=values)
    flags.DEFINE_integer("beams", None, "of the beam search; 1: greedy [the run's own]", flag_values=values)
    flags.DEFINE_string("figure", None, "a PNG of the answers' probabilities and the questions", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
