"""Fast style transfer (Johnson et al. 2016): a network that paints any picture in one style, in one pass.

    python -m experiments.fast_style                              bundled faces at 64x64, bundled texture; 3 minutes
    python -m experiments.fast_style --config=photos --dataset=folder:PATH --style=painting.jpg
                                                                  your own photos at 128x128; hours
    python -m experiments.sample --workdir=runs/fast_style-faces --images=photo.jpg,folder

Minutes are those of two CPU cores. The network is CycleGAN's with five residual blocks. It is trained on the
loss that `style_transfer` minimises for one picture, with the same VGG16 and flags. `sample` paints pictures of any
size.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.style import objective
from gdl_jax.core.config_flags import AtLeast, IsPath
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import DataSet, Source, digest_of
from gdl_jax.data.images import photographs
from gdl_jax.data.images.pixels import read_image
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.fast_style import fast_style
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.models import resnet_generator
from gdl_jax.models.resnet_generator import FAST_STYLE, ResNetGenerator
from gdl_jax.plots import images
from gdl_jax.plots import style as plots
from gdl_jax.runs.config import DTYPES, ImageConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.images import data_spec, image_spec, load_data
from gdl_jax.runs.main import main
from gdl_jax.runs.pictures import PictureOptions, picture_files, unused


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, OptimizerConfig, objective.Config, resnet_generator.Config):
    dataset: str = "avatars"  # images to train on, in colour; as for other image models
    # image files or bundled photographs; of several styles, Gram matrices are averaged
    style: Annotated[tuple[str, ...], IsPath(tuple(photographs.BUNDLED), moves=True)] = ("immunohistochemistry",)
    style_shares: Annotated[tuple[float, ...], AtLeast(0)] = ()  # weights of several styles; empty: equal
    style_height: Annotated[int, AtLeast(0)] = 256  # pixels to which style pictures are resized; 0: their own height
    image_size: int = 64  # pixels a side, divisible by 4
    resnet_blocks: int = FAST_STYLE["resnet_blocks"]
    resnet_kernel_size: int = FAST_STYLE["resnet_kernel_size"]
    resnet_norm: str = FAST_STYLE["resnet_norm"]
    resnet_upsampling: str = FAST_STYLE["resnet_upsampling"]
    batch_size: int = 4


# The first gradients are a thousand times as large as the later ones; unclipped, Adam's second moment, which remembers
# them for thousands of updates, would leave next to no learning rate.
BALANCED = {"content_layers": ("block3_conv3",), "style_weight": 1.0, "clip_norm": 1e10}
PRESETS = {
    "faces": Config(**BALANCED, avatars=2000, steps=1000, log_every=20, eval_every=200, checkpoint_every=200),
    "photos": Config(**BALANCED, image_size=128, steps=8000, log_every=100, eval_every=1000, checkpoint_every=1000),
    "tiny": Config(
        avatars=100,
        image_size=32,
        resnet_filters=4,
        resnet_blocks=1,
        resnet_kernel_size=3,
        content_layers=("block2_conv2",),
        style_layers=("block1_conv1", "block2_conv1"),
        style_height=64,
        learning_rate=1e-2,
        steps=20,
        log_every=5,
        eval_every=10,
        checkpoint_every=10,
    ),
}
SHOWN = 8


def _styles(config: Config) -> list[np.ndarray]:
    """Returns the style pictures, (h, w, 3) uint8.

    Raises:
      ConfigError: one is missing or can't be read, or there is none.
    """
    if not config.style:
        raise ConfigError("style", config.style, "names no picture")
    read = (photographs.read_picture("style", name) for name in config.style)
    return [photographs.with_height(picture, config.style_height, "style_height") for picture in read]


def load(config: Config) -> DataSet:
    """Returns the images; their fingerprint is also that of the style pictures.

    Raises:
      UserError: as `load_data`; or a style picture can't be read.
    """
    data = load_data(config)
    styles = (np.ascontiguousarray(picture) for picture in _styles(config))
    return dataclasses.replace(data, digest=digest_of([data.digest.encode(), *styles]))


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns the painting network."""
    image = image_spec(data)
    if image.shape[-1] != 3:
        raise ConfigError("dataset", config.dataset, "has grey images; style transfer needs colours")
    objective.check_size(config, "image_size", *image.shape[1:3])
    return {"painter": Network(ResNetGenerator(config, dtype=DTYPES[config.precision]), (image,))}


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner.

    Raises:
      UserError: VGG16's weights are not installed, a style picture can't be read, or values do not fit together.
    """
    pictures = _styles(config)
    for picture in pictures:
        objective.check_size(config, "style_height" if config.style_height else "style", *picture.shape[:2])
    learner = fast_style(
        networks(config, data)["painter"].module.clone(axis_name=axis_name),
        objective.make_features(config),
        objective.make_weights(config),
        make_optimizer(config),
        [picture[None].astype(np.float32) / 255.0 for picture in pictures],
        shares=objective.shares_of("style_shares", config.style_shares, "style", len(config.style)),
        activation=config.activation,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def _first_images(run: Run, source: Source, count: int) -> np.ndarray:
    return np.asarray(run.data.transform(source.take(np.arange(min(count, len(source)))))["image"])


@lru_cache(maxsize=4)
def _compiled_sample(learner: Learner) -> Callable[..., jax.Array]:
    return jax.jit(lambda state, pictures: learner.sample(state, None, len(pictures), pictures))


def painted(run: Run, pictures: np.ndarray) -> np.ndarray:
    """Returns pictures (N, H, W, 3) in [0, 1] of any size in the style; edges are repeated to a size that fits."""
    height, width = pictures.shape[1:3]
    padding = [(0, -side % resnet_generator.STRIDE) for side in (height, width)]
    fitting = np.pad(pictures, ((0, 0), *padding, (0, 0)), mode="edge").astype(np.float32)
    return np.asarray(_compiled_sample(run.learner)(run.state, fitting))[:, :height, :width]


def preview(run: Run) -> None:
    """Draws test images above their paintings."""
    _draw(run, run.figures / f"paintings_at_{run.step:07d}.png")


def _draw(run: Run, path: Path) -> None:
    shown = _first_images(run, run.data.test or run.data.train, SHOWN)
    images.rows([shown, painted(run, shown)], ["image", "painted"], path)


def analyse(run: Run) -> Results:
    """Draws paintings of test images, and of a bundled photograph next to the style."""
    _draw(run, run.figures / "paintings.png")
    photo = photographs.with_height(photographs.read_picture("style", "chelsea"), 256) / 255.0
    styles = [picture / 255.0 for picture in _styles(run.config)]
    labels = ["photograph", *("style" for _ in styles), "painted"]
    plots.strip([photo, *styles, painted(run, photo[None])[0]], labels, run.figures / "content_style_result.png")
    return {"protocol": {"network": objective.NETWORK, "test": "mean over test images; terms include their weights"}}


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Paints the given pictures at their own sizes; without any, a grid of test images."""
    if not request.options.images:
        path = request.out / "samples.png"
        shown = _first_images(run, run.data.test or run.data.train, request.num)
        images.image_grid(painted(run, shown), path, columns=10)
        return [path]
    written: list[Path] = []
    for file in picture_files(request.options.images):
        written.append(unused(request.out / f"{file.stem}_painted.png", written))
        plots.save(painted(run, read_image(file)[None] / 255.0)[0], written[-1])
    return written


EXPERIMENT = Experiment(
    name="fast_style",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=data_spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample, options=PictureOptions(), num=30),
    headlines=("test/loss", "test/content", "test/style", "test/total_variation"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
