"""BERT for answers (book chapter 9; Devlin et al. 2019, section 4.2): fine-tuned to find them in passages.

    python -m experiments.bert_answers                               generated bulletins, F1 0.61; 3 minutes
    python -m experiments.bert_answers --config=squad --data_dir=D --init=FOLDER --tokenizer=wordpiece:FOLDER
                                                                     SQuAD from the weights of a MiniLM
    python -m experiments.bert_answers --config=base --data_dir=D --init=FOLDER --tokenizer=wordpiece:FOLDER
                                                                     SQuAD from BERT-base's weights
    python -m experiments.sample --workdir=runs/bert_answers-small --prompt="who founded the bakery ?" --passage=FILE
    python -m experiments.export --workdir=runs/bert_answers-small --out=FOLDER         for Hugging Face's transformers

Minutes are those of two CPU cores; without `--init`, networks are trained from scratch. `exact_match` and `f1` are
SQuAD's, between 0 and 1; `token_f1` counts the tokens of all answers together, by their places, as experiments.qa does.
"whole_passage" answers with the passage. All weights are trained, with dropout, as in the paper; `--trained=head`
trains the last layer on the outputs of the frozen encoder, without dropout. Adam corrects its moments' bias, unlike the
paper's program.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from experiments.language import answer_finding, bert_tuning
from experiments.language.bert_tuning import MINILM, SMALL, TINY, TuningConfig
from gdl_jax.core.config_flags import AtLeast, IsPathAfter
from gdl_jax.core.learner import Learner
from gdl_jax.core.loop import Start
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.text import answer_spans
from gdl_jax.data.text.answer_spans import AnswerData, WindowSizes
from gdl_jax.data.text.bert_rows import features
from gdl_jax.learners.answers import answer_finder
from gdl_jax.learners.averaging import moving_average
from gdl_jax.runs.experiment import Experiment, Network, Run, Sampler
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(TuningConfig):
    # bulletins (bundled); squad in --data_dir; or squad:PATH, a JSON in SQuAD's format or a folder of such files
    dataset: Annotated[str, IsPathAfter(*answer_spans.PATH_KINDS)] = "bulletins"
    max_length: int = 384  # tokens of a window with its question
    max_question: Annotated[int, AtLeast(1)] = 64  # tokens of a question; longer ones are cut
    stride: Annotated[int, AtLeast(1)] = 128  # tokens from the beginning of one window to that of the next


SHORT = {"max_length": 128, "max_question": 24, "stride": 64}
# Three epochs of the part of SQuAD in --data_dir, some 6,500 questions, the first tenth of the updates for warm-up.
SQUAD = {"dataset": "squad", "steps": 630, "warmup_steps": 63, "eval_every": 210, "checkpoint_every": 210}
PRESETS = {
    "small": Config(
        **SMALL,
        **SHORT,
        tokenizer="wordpiece:600",
        learning_rate=1e-3,
        warmup_steps=150,
        steps=1500,
        eval_every=300,
    ),
    "squad": Config(**MINILM, **SQUAD, unroll=6),
    "base": Config(**SQUAD),
    "tiny": Config(**TINY, **SHORT),
}


def _sizes(config: Config) -> WindowSizes:
    return WindowSizes(config.max_length, config.max_question, config.stride)


def load(config: Config) -> AnswerData:
    """Returns the windows of passages with their questions.

    Raises:
      UserError: as `answer_spans.load`.
    """
    data = answer_spans.load(
        config.dataset,
        data_dir=config.data_dir or None,
        tokenizer=config.tokenizer,
        sizes=_sizes(config),
    )
    return first_examples(data, config.train_examples)


def spec(config: Config) -> AnswerData | None:
    """Returns one window, where the size of the vocabulary is known."""
    tokenizer = bert_tuning.placeholder(config.tokenizer)
    if tokenizer is None:
        return None
    rows = {name: np.zeros((1, config.max_length), np.int32) for name in ("tokens", "segments")}
    numbers = ("length", "start", "end", "question", "first", "offset")
    row = ArraySource(rows | {name: np.zeros(1, np.int32) for name in numbers})
    return AnswerData(
        config.dataset, row, row, row, transform=features, tokenizer=tokenizer, sizes=_sizes(config), asked={}
    )


def networks(config: Config, data: AnswerData) -> dict[str, Network]:
    """Returns the network."""
    return bert_tuning.with_inputs(answer_finding.network(config, data), data)


def build(config: Config, data: AnswerData, axis_name: str | None) -> Learner:
    """Returns the learner."""
    learner = answer_finder(
        answer_finding.network(config, data, axis_name),
        bert_tuning.optimizer(config),
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def start(config: Config, data: AnswerData) -> Start | None:
    """Returns the function that puts the weights of `init` into a new run's state; as `bert_tuning.start`."""
    return bert_tuning.start(networks(config, data)["network"], config.init, ("network",))


def preview(run: Run) -> None:
    """Draws held-out questions with the answers found in their passages."""
    answer_finding.draw_held_out(run, answer_finding.SHOWN, run.figures / f"samples_at_{run.step:07d}.png")


EXPERIMENT = Experiment(
    name="bert_answers",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    start=start,
    export=answer_finding.export,
    preview=preview,
    analyse=answer_finding.measure,
    sampler=Sampler(sample=answer_finding.sample, options=answer_finding.Options(), num=4),
    headlines=("test/f1", "test/exact_match", "whole_passage/f1", "validation/f1"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
