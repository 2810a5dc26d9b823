"""BERT for classification (book chapter 9; Devlin et al. 2019, section 4.1): fine-tuned to label sentences.

    python -m experiments.bert_classifier                            languages of sentences, accuracy 97 %; 2 minutes
    python -m experiments.bert_classifier --config=sst2 --data_dir=D --init=FOLDER --tokenizer=wordpiece:FOLDER
                                                                     SST-2 from the weights of a MiniLM
    python -m experiments.bert_classifier --config=base --data_dir=D --init=FOLDER --tokenizer=wordpiece:FOLDER
                                                                     SST-2 from BERT-base's weights
    python -m experiments.sample --workdir=runs/bert_classifier-small --prompt="das ist ein Satz"
    python -m experiments.export --workdir=runs/bert_classifier-small --out=FOLDER      for Hugging Face's transformers

Minutes are those of two CPU cores; without `--init`, networks are trained from scratch. `--dataset=tsv:PATH` is for
your own sentences. All weights are trained, with dropout, as in the paper; `--trained=head` trains the pooler and the
last layer on the outputs of the frozen encoder, without dropout in it. "majority" always says the commonest label. Adam
corrects its moments' bias, unlike the paper's program.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from experiments.language import bert_tuning, sentence_labels
from experiments.language.bert_tuning import MINILM, SMALL, TINY, TuningConfig
from gdl_jax.core.config_flags import IsPathAfter
from gdl_jax.core.learner import Learner
from gdl_jax.core.loop import Start
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.text import sentences
from gdl_jax.data.text.bert_rows import features
from gdl_jax.data.text.sentences import SentenceData
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.supervised import classifier
from gdl_jax.models.bert_heads import inputs_of
from gdl_jax.runs.experiment import Experiment, Network, Run, Sampler
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(TuningConfig):
    # languages (bundled), sst2 in --data_dir, or tsv:PATH, a file with columns sentence and label or a folder of splits
    dataset: Annotated[str, IsPathAfter(*sentences.PATH_KINDS)] = "languages"


# Three epochs of 67,349 sentences, the first tenth of the updates for warm-up.
SST2 = {"dataset": "sst2", "steps": 6314, "warmup_steps": 631, "eval_every": 1000, "checkpoint_every": 500}
PRESETS = {
    "small": Config(
        **SMALL,
        tokenizer="wordpiece:4000",
        max_length=64,
        learning_rate=1e-3,
        warmup_steps=30,
        steps=300,
        eval_every=100,
    ),
    "sst2": Config(**MINILM, **SST2, unroll=6),
    "base": Config(**SST2, learning_rate=2e-5),
    "tiny": Config(**TINY, max_length=32),
}


def load(config: Config) -> SentenceData:
    """Returns the labelled sentences.

    Raises:
      UserError: as `sentences.load`.
    """
    data = sentences.load(
        config.dataset,
        data_dir=config.data_dir or None,
        tokenizer=config.tokenizer,
        max_length=config.max_length,
    )
    return first_examples(data, config.train_examples)


def spec(config: Config) -> SentenceData | None:
    """Returns one sentence, where the labels and the size of the vocabulary are known."""
    classes = sentences.CLASSES.get(config.dataset)
    tokenizer = bert_tuning.placeholder(config.tokenizer)
    if classes is None or tokenizer is None:
        return None
    rows = {"tokens": np.zeros((1, config.max_length), np.int32)}
    row = ArraySource(rows | {name: np.zeros(1, np.int32) for name in ("length", "label")})
    return SentenceData(
        config.dataset, row, row, row, transform=features, classes=classes, tokenizer=tokenizer, sentences={}
    )


def networks(config: Config, data: SentenceData) -> dict[str, Network]:
    """Returns the network."""
    return bert_tuning.with_inputs(sentence_labels.network(config, data), data)


def build(config: Config, data: SentenceData, axis_name: str | None) -> Learner:
    """Returns the learner."""
    learner = classifier(
        sentence_labels.network(config, data, axis_name),
        bert_tuning.optimizer(config),
        inputs=inputs_of,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def start(config: Config, data: SentenceData) -> Start | None:
    """Returns the function that puts the weights of `init` into a new run's state; as `bert_tuning.start`."""
    return bert_tuning.start(networks(config, data)["network"], config.init)


def preview(run: Run) -> None:
    """Draws held-out sentences with their likeliest labels."""
    sentence_labels.draw_sentences(run, run.figures / f"samples_at_{run.step:07d}.png")


EXPERIMENT = Experiment(
    name="bert_classifier",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    start=start,
    export=sentence_labels.export,
    preview=preview,
    analyse=sentence_labels.measure,
    sampler=Sampler(sample=sentence_labels.sample, options=sentence_labels.Options(), num=8),
    headlines=("test/accuracy", "majority/accuracy", "validation/accuracy", "test/loss"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
