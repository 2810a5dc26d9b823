"""Classifiers (book chapter 2): the MLP, the small CNN and the CNN on CIFAR-10; a CNN on the bundled digits.

    python -m experiments.classifier                            CNN on bundled digits, two minutes, 96 %
    python -m experiments.classifier --config=cnn --data_dir=D  the book's CNN on CIFAR-10: 70.9 % (book: 71.8 %)
    python -m experiments.classifier --config=mlp --data_dir=D  the book's MLP on CIFAR-10: 48.6 % (book: 48.4 %)
    python -m experiments.classifier --config=attributes        which attributes an avatar face has

Minutes are those of two CPU cores.
"""

import dataclasses
from dataclasses import dataclass

import jax
import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.core.lookup import resolve
from gdl_jax.evaluation.classification import confusion_matrix
from gdl_jax.learners.gradient import apply_eval
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.learners.supervised import attribute_classifier, classifier, make_classification_loss
from gdl_jax.models import cnn, mlp
from gdl_jax.nn.edges import edge_maps
from gdl_jax.plots import classification, convolution, images
from gdl_jax.runs.experiment import DTYPES, Experiment, ImageConfig, Part, image_batches, image_spec, load_data
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, mlp.Config, cnn.Config):
    model: str = "cnn"  # cnn, or mlp
    target: str = "label"  # label (one of the classes), or attributes (any of them)
    loss: str = "cross_entropy"  # by name or package.module:function; of --target=label
    optimizer: str = "adam"  # by name or package.module:function
    learning_rate: float = 5e-4  # constant, as in the book

    LEAST = ImageConfig.LEAST | {"hidden_units": 1, "dense_units": 0}
    NEEDS = ImageConfig.NEEDS | {
        **{field.name: "model=cnn" for field in dataclasses.fields(cnn.Config)},
        **{field.name: "model=mlp" for field in dataclasses.fields(mlp.Config)},
        "loss": "target=label",
    }


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
}
EXAMPLES_SHOWN = 20
BATCH = 500


def parts(config, data):
    image = image_spec(data)
    outputs = len(data.classes if config.target == "label" else data.attributes)
    if not outputs:
        raise UserError(f"--target={config.target}: --dataset={config.dataset} has none")
    dtype = DTYPES[config.precision]
    networks = {"mlp": mlp.MLP(config, outputs, dtype), "cnn": cnn.CNN(config, outputs, dtype)}
    return {config.model: Part(resolve("model", config.model, networks), (image,))}


def build(config, data, axis_name):
    (part,) = parts(config, data).values()
    module = part.module.clone(axis_name=axis_name) if config.model == "cnn" else part.module
    optimizer = make_optimizer(config.optimizer, config.learning_rate)
    if config.target == "attributes":
        return attribute_classifier(module, optimizer, axis_name=axis_name)
    return classifier(module, optimizer, loss=make_classification_loss(config.loss), axis_name=axis_name)


def predictor(run):
    """Images (N, H, W, C) in [0, 1] -> logits (N, K), compiled once."""
    (part,) = parts(run.config, run.data).values()
    apply = jax.jit(lambda x: apply_eval(part.module, run.state.params, run.state.batch_stats, x))
    return lambda pixels: np.concatenate([apply(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


def predict_test_split(run, predict):
    """Logits (N, K) and targets, labels (N,) or attributes (N, K), of the whole test split, a batch at a time."""
    logits, targets = [], []
    for rows, pixels in image_batches(run.data, run.data.test, BATCH):
        logits.append(predict(pixels))
        targets.append(rows[run.config.target])
    return np.concatenate(logits), np.concatenate(targets)


def preview(run):
    """Predictions on the first test images."""
    rows = run.data.test.take(np.arange(min(EXAMPLES_SHOWN, len(run.data.test))))
    pixels = np.asarray(run.data.transform(rows)["image"])
    logits = predictor(run)(pixels)
    if run.config.target == "label":
        true, predicted = rows["label"], logits.argmax(1)
        names = np.array(run.data.classes)
        images.predictions(pixels, names[true], names[predicted], run.figures / "predictions.png")


def analyse(run):
    """Predictions and confusion matrix, or each attribute's accuracy; the convolution demo."""
    preview(run)
    logits, targets = predict_test_split(run, predictor(run))
    if run.config.target == "attributes":
        right = (logits > 0) == (targets > 0)
        return {
            f"test/accuracy of {name}": float(r) for name, r in zip(run.data.attributes, right.mean(0), strict=True)
        }
    matrix = confusion_matrix(targets, logits.argmax(1), len(run.data.classes))
    classification.confusion_matrix(matrix, run.data.classes, run.figures / "confusion_matrix.png")
    convolution_demo(run.figures / "convolution_demo.png")
    return {}


def convolution_demo(path):
    """The book's horizontal and vertical edge filters on a photograph, strides 1 and 2 (02_02)."""
    from skimage import color, data, transform  # slow to import, and only this needs it

    image = transform.resize(color.rgb2gray(data.coffee()), (64, 64), anti_aliasing=True).astype(np.float32)
    filters = {
        "horizontal": np.array([[1, 1, 1], [0, 0, 0], [-1, -1, -1]], np.float32),
        "vertical": np.array([[-1, 0, 1]] * 3, np.float32),
    }
    maps = {stride: np.asarray(edge_maps(image, np.stack(list(filters.values())), stride)) for stride in (1, 2)}
    convolution.edge_maps(image, filters, maps, path)


def sample(run, request):
    """Refuses: a classifier makes nothing."""
    return run.learner.sample(run.state, run.key, request.num)


EXPERIMENT = Experiment("classifier", Config, PRESETS, build, parts, analyse, preview, sample, load_data)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
