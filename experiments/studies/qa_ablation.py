"""Compares decoders for question generation with error bars: plain, with attention, with attention and copying.

    python -m experiments.studies.qa_ablation                                generated bulletins, minutes
    python -m experiments.studies.qa_ablation --config=squad --data_dir=D    the ledger's run; 60 minutes

Minutes are those of two CPU cores. Each variant trains `--seeds` networks in one program until the validation loss
stops falling; the metrics are those of the best checkpoint. Baselines without a network, and the questions written by
people, are evaluated on the same questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from experiments.qa import EXPERIMENT
from gdl_jax.core.config_flags import AtLeast, IsPath, OneOf
from gdl_jax.runs import study
from gdl_jax.runs.records import read_results
from gdl_jax.runs.study import Study, StudyOptions, Variant

VARIANTS = (
    Variant("plain", "the answer alone (book)", EXPERIMENT, ("--attention=false", "--copy=false")),
    Variant("attention", "attention", EXPERIMENT, ("--attention", "--copy=false")),
    Variant("copy", "attention and copying", EXPERIMENT, ("--attention", "--copy")),
)


@dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    workdir: Annotated[str, IsPath()] = "runs/qa_ablation"
    config: Annotated[str, OneOf(*EXPERIMENT.presets)] = next(iter(EXPERIMENT.presets))  # preset of all runs
    data_dir: Annotated[str, IsPath()] = ""  # folder of data sets that are not bundled
    steps: Annotated[int | None, AtLeast(1)] = None  # most updates of each variant; None: the preset's
    eval_every: Annotated[int | None, AtLeast(0)] = None  # steps between evaluations; None: the preset's


def flags(options: Options, variant: Variant) -> Sequence[str]:
    """Returns the flags of all variants."""
    common = [f"--config={options.config}", f"--data_dir={options.data_dir}", f"--seeds={options.seeds}"]
    budget = {"steps": options.steps, "eval_every": options.eval_every}
    return (*common, *(f"--{name}={value}" for name, value in budget.items() if value is not None))


def measure(workdir: Path) -> dict[str, Any]:
    """Returns the share of questions of a known kind from the results of older runs, which name it "kind_judged"."""
    results = read_results(workdir)
    return {"samples/kind_known": results["samples/kind_judged"]} if "samples/kind_judged" in results else {}


STUDY = Study(
    options=Options(),
    variants=lambda options: VARIANTS,
    flags=flags,
    heading="decoder",
    columns={
        "test/word_loss": "nats per word",
        "samples/answer_f1": "answer F1",
        "samples/answer_f1_at_random": "random words",
        "samples/question_bleu_4": "BLEU-4",
        "samples/question_rouge_l": "ROUGE-L",
        "samples/question_unknown_share": "<UNK>",
        "samples/kind_known": "who, where, when, how many",
        "samples/kind_fits": "kind fits the answer",
        "samples/kind_chance": "fits by chance",
    },
    curves=("validation/word_loss", "samples/answer_f1", "samples/question_bleu_4"),
    measure=measure,
    references={
        "uniform_words": "uniform distribution",
        "unigram": "unigram frequencies",
        "tag_everything": "all words tagged",
        "people": "people",
    },
)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.studies.qa_ablation`."""
    study.main(STUDY, __doc__, argv)


if __name__ == "__main__":
    main()
