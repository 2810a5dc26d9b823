"""What looking at the document, and copying from it, are worth to questions: error bars, and who knows less beside it.

    python -m experiments.studies.qa_ablation                                made-up bulletins, minutes
    python -m experiments.studies.qa_ablation --config=squad --data_dir=D    the ledger's run

Each variant trains `--seeds` networks in one program from random numbers of their own, each until its held-out loss no
longer falls; numbers are of the best. Below them, on the same questions, are those of guesses that need no network, and
of the people who asked them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from experiments.qa import EXPERIMENT
from gdl_jax.core.config_flags import AtLeast, OneOf
from gdl_jax.runs import study
from gdl_jax.runs.study import Study, StudyOptions, Variant

VARIANTS = (
    Variant("plain", "the answer alone (book)", EXPERIMENT, ("--attention=false", "--copy=false")),
    Variant("attention", "attention", EXPERIMENT, ("--attention", "--copy=false")),
    Variant("copy", "attention and copying", EXPERIMENT, ("--attention", "--copy")),
)


@dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    workdir: str = "runs/qa_ablation"
    config: Annotated[str, OneOf(*EXPERIMENT.presets)] = next(iter(EXPERIMENT.presets))  # preset of all runs
    data_dir: str = ""  # where data sets that are not bundled lie
    steps: Annotated[int | None, AtLeast(1)] = None  # most updates of each; None: the preset's
    eval_every: Annotated[int | None, AtLeast(0)] = None  # steps between two evaluations; None: the preset's


def flags(options: Options, variant: Variant) -> Sequence[str]:
    """Returns what all variants get."""
    common = [f"--config={options.config}", f"--data_dir={options.data_dir}", f"--seeds={options.seeds}"]
    budget = {"steps": options.steps, "eval_every": options.eval_every}
    return (*common, *(f"--{name}={value}" for name, value in budget.items() if value is not None))


STUDY = Study(
    options=Options(),
    variants=lambda options: VARIANTS,
    flags=flags,
    heading="decoder",
    columns={
        "test/word_loss": "nats a word",
        "samples/answer_f1": "answers, F1",
        "samples/answer_f1_at_random": "as many at random",
        "samples/question_bleu_4": "BLEU-4",
        "samples/question_rouge_l": "ROUGE-L",
        "samples/question_unknown_share": "<UNK>",
        "samples/kind_judged": "who, where, when, how many",
        "samples/kind_fits": "kind fits the answer",
        "samples/kind_chance": "by chance",
    },
    curves=("validation/word_loss", "samples/answer_f1", "samples/question_bleu_4"),
    references={
        "uniform_words": "all words equally probable",
        "unigram": "words as frequent as in the test questions",
        "tag_everything": "every word an answer's",
        "people": "people",
    },
)


def main(argv: Sequence[str] | None = None) -> None:
    """Does what `python -m experiments.studies.qa_ablation` does."""
    study.main(STUDY, __doc__, argv)


if __name__ == "__main__":
    main()
