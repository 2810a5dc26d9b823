"""Classifiers (book chapter 2): MLP, small CNN and CNN on CIFAR-10; a CNN on the bundled digits.

    python -m experiments.classifier                            CNN on bundled digits, accuracy 96 %; 2 minutes
    python -m experiments.classifier --config=mlp --data_dir=D  the book's MLP on CIFAR-10; 3 minutes
    python -m experiments.classifier --config=cnn --data_dir=D  the book's CNN on CIFAR-10; 10 minutes
    python -m experiments.classifier --config=attributes        attributes of the bundled faces; 4 minutes

Minutes are those of two CPU cores. On a JPEG-compressed copy of CIFAR-10, the MLP reaches 48.6 % (book: 48.4 %) and the
CNN 70.9 % (book: 71.8 %).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from gdl_jax.core.config_flags import Needs, OneOf, needing
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import DataSet
from gdl_jax.evaluation.classification import confusion_matrix
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.gradient import apply_eval
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.supervised import attribute_classifier, classifier, make_classification_loss
from gdl_jax.models import cnn, mlp
from gdl_jax.nn.edges import edge_maps
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots import classification, convolution, images
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import DTYPES, ImageConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run
from gdl_jax.runs.images import data_spec, image_batches, image_spec, load_data
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, OptimizerConfig, needing(mlp.Config, "model=mlp"), needing(cnn.Config, "model=cnn")):
    model: Annotated[str, OneOf("cnn", "mlp")] = "cnn"  # cnn or mlp
    target: Annotated[str, OneOf("label", "attributes")] = "label"  # label (one class), or attributes (any number)
    # by name or package.module:function; for target=label
    loss: Annotated[str, Needs("target=label")] = "cross_entropy"
    learning_rate: float = 5e-4  # peak value where there is a schedule; the book's is constant


CIFAR10 = {"dataset": "cifar10", "steps": 15_630, "log_every": 1563, "eval_every": 1563, "checkpoint_every": 1563}
PRESETS = {
    "digits": Config(steps=1250, eval_every=125, checkpoint_every=250),
    "mlp": Config(model="mlp", **CIFAR10),
    "small_cnn": Config(**vars(cnn.SMALL), **CIFAR10),
    "cnn": Config(**CIFAR10),
    "attributes": Config(
        target="attributes",
        dataset="avatars",
        image_size=128,
        filters=(32, 64, 64, 64),
        strides=(2, 2, 2, 2),
        steps=2500,
        eval_every=250,
    ),
    "tiny": Config(
        filters=(8,),
        kernel_sizes=(3,),
        strides=(2,),
        dense_units=16,
        dropout_rate=0.0,
        learning_rate=5e-3,
        steps=40,
        log_every=10,
        eval_every=20,
        checkpoint_every=20,
    ),
}
EXAMPLES_SHOWN = 20
BATCH = 500  # images per call, outside training


def _names(config: Config, data: DataSet) -> tuple[str, ...]:
    """Returns the names of the classes or attributes, one for each logit."""
    return data.classes if config.target == "label" else data.attributes


def spec(config: Config) -> DataSet | None:
    """Returns one image of the data set's shape; None where its classes or attributes are known from the data alone."""
    data = data_spec(config)
    return data if data is not None and _names(config, data) else None


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns the only network, under its model's name.

    Raises:
      ConfigError: the data set has no labels, or no attributes, to predict.
    """
    outputs = len(_names(config, data))
    if not outputs:
        raise ConfigError("target", config.target, f"{config.dataset} has none")
    module = {"mlp": mlp.MLP, "cnn": cnn.CNN}[config.model](config, outputs, DTYPES[config.precision])
    return {config.model: Network(module, (image_spec(data),))}


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner."""
    (network,) = networks(config, data).values()
    module, optimizer = with_axis_name(network.module, axis_name), make_optimizer(config)
    options = {"accumulate": config.accumulate, "axis_name": axis_name}
    if config.target == "attributes":
        learner = attribute_classifier(module, optimizer, **options)
    else:
        learner = classifier(module, optimizer, loss=make_classification_loss(config.loss), **options)
    return moving_average(learner, config.ema_decay)


def predictor(run: Run) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from images (N, H, W, C) in [0, 1] to logits (N, K); it is compiled once."""
    (network,) = networks(run.config, run.data).values()
    apply = jax.jit(lambda pixels: apply_eval(network.module, run.state.params, run.state.batch_stats, pixels))
    return lambda pixels: in_batches(apply, pixels, BATCH)


def predict_test_split(run: Run, predict: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits (N, K) and targets of the whole test split: labels (N,) or attributes (N, K)."""
    batches = image_batches(run.data, run.data.test, BATCH)
    parts = [(predict(pixels), rows[run.config.target]) for rows, pixels in batches]
    logits, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    return logits, targets


def preview(run: Run) -> None:
    """Draws the first test images with their predictions."""
    rows = run.data.test.take(np.arange(min(EXAMPLES_SHOWN, len(run.data.test))))
    pixels = np.asarray(run.data.transform(rows)["image"])
    logits = predictor(run)(pixels)
    if run.config.target == "label":
        true, predicted = rows["label"], logits.argmax(1)
        names = np.array(run.data.classes)
        images.predictions(pixels, names[true], names[predicted], run.figures / "predictions.png")


def analyse(run: Run) -> Results:
    """Draws predictions, confusion matrix and edge filters; of attributes, returns each one's accuracy instead."""
    preview(run)
    logits, targets = predict_test_split(run, predictor(run))
    if run.config.target == "attributes":
        shares = ((logits > 0) == (targets > 0)).mean(0)
        names = (name.lower() for name in run.data.attributes)
        return {f"test/accuracy_{name}": float(share) for name, share in zip(names, shares, strict=True)}
    matrix = confusion_matrix(targets, logits.argmax(1), len(run.data.classes))
    classification.confusion_matrix(matrix, run.data.classes, run.figures / "confusion_matrix.png")
    convolution_demo(run.figures / "convolution_demo.png")
    return {}


def convolution_demo(path: Path) -> None:
    """Draws the book's horizontal and vertical edge filters on a photograph, strides 1 and 2 (02_02)."""
    from skimage import color, data, transform  # slow to import, and used here only

    image = transform.resize(color.rgb2gray(data.coffee()), (64, 64), anti_aliasing=True).astype(np.float32)
    filters = {
        "horizontal": np.array([[1, 1, 1], [0, 0, 0], [-1, -1, -1]], np.float32),
        "vertical": np.array([[-1, 0, 1]] * 3, np.float32),
    }
    maps = {stride: np.asarray(edge_maps(image, np.stack(list(filters.values())), stride)) for stride in (1, 2)}
    convolution.edge_maps(image, filters, maps, path)


EXPERIMENT = Experiment(
    name="classifier",
    module=__name__,
    presets=PRESETS,
    load=load_data,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
