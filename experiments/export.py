"""Writes the network of a run as files that other programs read.

python -m experiments.export --workdir=runs/gpt2-small --out=FOLDER

A run of gpt2, bert, bert_classifier or bert_answers becomes a folder for Hugging Face's transformers:
model.safetensors, config.json, and the files of a tokenizer of parts of words. `--init=FOLDER` starts another run.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.runs import command
from gdl_jax.runs.restore import restore


def _main(values: flags.FlagValues) -> None:
    workdir = command.workdir(values)
    experiment, run, _ = restore(workdir, warn=command.warn)
    if experiment.export is None:
        raise UserError(f"{workdir}: {experiment.name} has no format for other programs")
    out = Path(values.out) if values.out else workdir / "export"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("out", out, f"cannot be created: {error.strerror}") from error
    for path in experiment.export(run, out):
        sys.stdout.write(f"{path}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.export`."""
    values = command.new_flags()
    command.define_path("workdir", None, "the run's directory", values)
    command.define_path("out", None, "output directory [WORKDIR/export]", values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
