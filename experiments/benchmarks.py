"""Times training steps of ours, Keras and PyTorch on the same networks, in one run.

    python -m experiments.benchmarks                        all cases, about half an hour on two CPU cores
    python -m experiments.benchmarks --cases=cnn-32 --cases=cnn-256
    python -m experiments.bench.style_time                  style transfer's loss and gradient, next to PyTorch's
    python -m experiments.bench.generation_time             tokens a second of text generation
    python -m experiments.bench.compile_time                seconds of compilation, by the number of layers

The peers are Keras 3 on its three backends (`model.fit`) and hand-written PyTorch (channels_last). They are in the
extra [bench]; a missing one is marked in the table. Every number is the median over windows of steps after warm-up, in
a separate process with the same malloc settings. The data are noise of the right shape. PyTorch's transformers use its
fused attention. The share of peak is the rate of the multiplications and additions that a step needs (MULTIPLICATIONS),
relative to the rate of a large matrix product on this machine; masked attention counts like any other. The memory of a
step is not in the table: `python -m experiments.NAME --dry_run` prints it.
"""

import functools
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
from absl import flags

from experiments.bench.peers import timing
from gdl_jax.runs import command
from gdl_jax.runs.tables import as_table

# As set by launch/environment.sh on CPUs; for the peers too, which also profit.
MALLOC = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
}
# Multiplications of each layer's forward pass per example: output pixels x kernel x input channels x output channels;
# input pixels for transposed convolutions. A 5x5 convolution after nearest-neighbour upsampling by 2 equals four 3x3
# convolutions of the smaller image, and is counted as these; so is a 4x4 convolution.
MLP = (3072 * 200, 200 * 150, 150 * 10)
CNN = (1024 * 9 * 3 * 32, 256 * 9 * 32 * 32, 256 * 9 * 32 * 64, 64 * 9 * 64 * 64, 4096 * 128, 128 * 10)
VAE = (
    *(784 * 9 * 1 * 32, 196 * 9 * 32 * 64, 49 * 9 * 64 * 64, 49 * 9 * 64 * 64, 3136 * 4),  # encoder
    *(2 * 3136, 49 * 9 * 64 * 64, 49 * 9 * 64 * 64, 196 * 9 * 64 * 32, 784 * 9 * 32 * 1),  # decoder
)
GAN = (
    (100 * 3136, 4 * 49 * 9 * 64 * 128, 4 * 196 * 9 * 128 * 64, 784 * 25 * 64 * 64, 784 * 25 * 64 * 1),  # generator
    (196 * 25 * 1 * 64, 49 * 25 * 64 * 64, 16 * 25 * 64 * 128, 16 * 25 * 128 * 128, 2048 * 1),  # critic
)
WGAN_GP = (
    (100 * 8192, 16 * 25 * 512 * 256, 64 * 25 * 256 * 128, 256 * 25 * 128 * 64, 1024 * 25 * 64 * 3),  # generator
    (1024 * 25 * 3 * 64, 256 * 25 * 64 * 128, 64 * 25 * 128 * 256, 16 * 25 * 256 * 512, 8192 * 1),  # critic
)
UNET = (
    *(4096 * 16 * 3 * 32, 1024 * 16 * 32 * 64, 256 * 16 * 64 * 128, 64 * 16 * 128 * 256),  # down
    *(4 * 64 * 9 * 256 * 128, 4 * 256 * 9 * 256 * 64, 4 * 1024 * 9 * 128 * 32, 4 * 4096 * 9 * 64 * 3),  # up
)
PIX2PIX_UNET = (
    *(4096 * 16 * 3 * 32, 1024 * 16 * 32 * 64, 256 * 16 * 64 * 128, 64 * 16 * 128 * 256),  # down
    *(16 * 16 * 256 * 256, 4 * 16 * 256 * 256, 1 * 16 * 256 * 256),
    *(1 * 16 * 256 * 256, 4 * 16 * 512 * 256, 16 * 16 * 512 * 256),  # up
    *(64 * 16 * 512 * 128, 256 * 16 * 256 * 64, 1024 * 16 * 128 * 32, 4096 * 16 * 64 * 3),
)
PATCHGAN = (4096 * 16 * 3 * 32, 1024 * 16 * 32 * 64, 256 * 16 * 64 * 128, 256 * 16 * 128 * 256, 256 * 16 * 256 * 1)
CONDITIONAL_PATCHGAN = (2 * PATCHGAN[0], *PATCHGAN[1:])
TEXT_RNN = (timing.TOKENS * 100 * 1024, timing.TOKENS * 256 * 1024, 256 * timing.VOCABULARY)


def gpt_layers(sizes: timing.GPT) -> int:
    """Returns the multiplications of a GPT's forward pass for a window; attention counts all pairs of positions."""
    each = 12 * sizes.width**2 + 2 * sizes.context * sizes.width  # of a token, in a layer
    return sizes.context * (sizes.layers * each + sizes.width * sizes.vocabulary)


def transformer_layers(sizes: timing.Translator) -> int:
    """Returns the multiplications of a transformer's forward pass for a pair of sentences of equal length."""
    width, attention = sizes.width, 4 * sizes.width**2 + 2 * sizes.length * sizes.width
    encoder = attention + 2 * width * sizes.hidden  # of a token, in a layer
    return sizes.length * (sizes.layers * (2 * encoder + attention) + width * sizes.target)


def _update(layers: tuple[int, ...]) -> int:
    """Counts the forward pass, the gradient of each layer's kernel, and that of its input except for the data."""
    return 3 * sum(layers) - layers[0]


def adversarial_step(
    generator: tuple[int, ...], critic: tuple[int, ...], critic_updates: int = 1, penalty: bool = False
) -> int:
    """Returns the multiplications of a GAN's step per example of one batch.

    A critic update counts the generator's forward pass, and the critic's update on generated and on real images, joint
    or separate. A penalty on the critic's gradient with respect to the image adds a forward pass, that gradient, and
    its derivatives with respect to each layer's incoming gradient and kernel. There is no backward pass through the
    forward pass: the gradient depends on it only through the signs of (leaky) ReLU inputs. The generator update goes
    through the critic, whose kernels need no gradient.
    """
    critic_update = sum(generator) + 2 * _update(critic) + (4 * sum(critic) if penalty else 0)
    return critic_updates * critic_update + _update(generator) + 2 * sum(critic)


def cyclegan_step(generator: tuple[int, ...], critic: tuple[int, ...]) -> int:
    """Returns the multiplications of a CycleGAN's step per example of both domains.

    In each direction an image is translated, reconstructed and passed through the generator of its own domain; only
    the second pass needs the gradient of its input. The critics score translations twice, for either side's update.
    """
    generators = 2 * (3 * 3 * sum(generator) - 2 * generator[0])
    return generators + 2 * (2 * sum(critic) + 2 * _update(critic))


# Multiplications of a whole step per example of a batch.
MULTIPLICATIONS = {
    "mlp": _update(MLP),
    "cnn": _update(CNN),
    "vae": _update(VAE),
    "gan": adversarial_step(*GAN),
    "wgan_gp": adversarial_step(*WGAN_GP, critic_updates=timing.BATCHES["wgan_gp"], penalty=True),
    "cyclegan": cyclegan_step(UNET, PATCHGAN),
    # one forward pass of the generator serves both updates
    "pix2pix": adversarial_step(PIX2PIX_UNET, CONDITIONAL_PATCHGAN) - sum(PIX2PIX_UNET),
    "text_rnn": 3 * sum(TEXT_RNN),  # the first layer's input, an embedding, is trained too
    **{name: 3 * gpt_layers(sizes) for name, sizes in timing.GPTS.items()},
    "transformer": 3 * transformer_layers(timing.TRANSFORMER),
}


class Case(NamedTuple):
    """A row of the table.

    Attributes:
      label: in the table.
      model: of the peers.
      experiment, config: the same network here.
      batch_size: examples per batch.
      steps: steps of a window, which should take a second or more.
      flags: more flags of `experiments.bench.step_time`.
    """

    label: str
    model: str
    experiment: str
    config: str
    batch_size: int
    steps: int
    flags: tuple[str, ...] = ()


GATES = ("--recurrent_activation=sigmoid",)  # as in the peers' LSTMs; the book's older Keras has hard_sigmoid
CASES = {
    "mlp-32": Case("MLP, batch 32", "mlp", "classifier", "mlp", 32, 500),
    "cnn-32": Case("CNN, batch 32", "cnn", "classifier", "cnn", 32, 60),
    "cnn-256": Case("CNN, batch 256", "cnn", "classifier", "cnn", 256, 12),
    "vae-32": Case("VAE digits, batch 32", "vae", "vae", "digits", 32, 60),
    "gan-64": Case("GAN, batch 64", "gan", "gan", "camel", 64, 2),
    "wgan_gp-64": Case("WGAN-GP faces, batch 64", "wgan_gp", "wgan_gp", "faces", 64, 1),
    "cyclegan-1": Case("CycleGAN update", "cyclegan", "cyclegan", "apples", 1, 2),
    "pix2pix-1": Case("pix2pix update", "pix2pix", "pix2pix", "facades", 1, 10),
    "text-32": Case("text LSTM, batch 32", "text_rnn", "text_rnn", "aesop", 32, 100, GATES),
    "gpt-12": Case("GPT for CPUs, batch 12", "gpt_cpu", "gpt2", "shakespeare_cpu", 12, 50),
    "gpt-8": Case("GPT of 6 layers, batch 8", "gpt", "gpt2", "shakespeare", 8, 2),
    "transformer-128": Case("transformer, batch 128", "transformer", "transformer", "multi30k", 128, 1),
}
KERAS = ("jax", "torch", "tensorflow")
SEEDS = 3  # trained in one program
OF_SEEDS = ("mlp-32", "vae-32")  # cases timed with several seeds
ABSENT = "not installed"
LIMIT = 600  # seconds for one number; a step of WGAN-GP on Keras's JAX backend takes minutes


def environment() -> dict[str, str]:
    """Returns the environment of a timed process: memory settings, and modules found where they are found here."""
    return MALLOC | os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def _time(module: str, *arguments: str, needs: tuple[str, ...] = ()) -> float | str:
    """Returns the milliseconds per step that `python -m module arguments` prints, or a text if there are none."""
    if any(importlib.util.find_spec(package) is None for package in needs):
        return ABSENT
    command_line = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command_line, env=environment(), capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return f"none in {LIMIT} s"
    if done.returncode:
        sys.stderr.write(f"{' '.join(command_line)} failed:\n{done.stderr[-2000:]}\n")
        return "failed"
    return json.loads(done.stdout.splitlines()[-1])["ms_per_step"]


def _ours(case: Case, windows: int, *more: str) -> float | str:
    return _time(
        "experiments.bench.step_time",
        f"--experiment={case.experiment}",
        f"--config={case.config}",
        f"--batch_size={case.batch_size}",
        f"--steps={case.steps}",
        f"--windows={windows}",
        *case.flags,
        *more,
    )


def measure(case: Case, windows: int) -> dict[str, float | str]:
    """Returns milliseconds per step of ours and of every peer; a text where there is no number."""
    shape = (f"--model={case.model}", f"--batch_size={case.batch_size}", f"--steps={case.steps}")
    arguments = (*shape, f"--windows={windows}")

    def keras(backend):
        return _time(
            "experiments.bench.peers.keras_models", f"--backend={backend}", *arguments, needs=("keras", backend)
        )

    peers = {
        "gdl_jax": lambda: _ours(case, windows),
        **{f"Keras, {backend}": functools.partial(keras, backend) for backend in KERAS},
        "PyTorch": lambda: _time("experiments.bench.peers.torch_models", *arguments, needs=("torch",)),
    }
    times = {}
    for name, time_it in peers.items():
        sys.stderr.write(f"measuring: {case.label}, {name}\n")
        times[name] = time_it()
    return times


def peak_gflops() -> float:
    """Returns the GFLOP/s of a product of two float32 matrices of 2048 x 2048 on this machine; the median of seven."""
    size = 2048
    a = jax.random.normal(jax.random.key(0), (size, size))
    multiply = jax.jit(jnp.dot)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        jax.block_until_ready(multiply(a, a))
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds[1:]) / 1e9


def _ratio(ours: float | str, theirs: list[float | str]) -> str:
    numbers = [value for value in theirs if not isinstance(value, str)]
    return "" if isinstance(ours, str) or not numbers else f"{min(numbers) / ours:.2f}x"


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def row(case: Case, times: dict[str, float | str], peak: float) -> list[str]:
    """Returns the cells of one case: times, speed relative to the best Keras backend and to PyTorch, share of peak."""
    ours = times["gdl_jax"]
    flops = 2 * MULTIPLICATIONS[case.model] * case.batch_size
    share = "" if isinstance(ours, str) else f"{flops / (ours * 1e6) / peak:.0%}"
    keras = [times[f"Keras, {backend}"] for backend in KERAS]
    return [*map(_cell, times.values()), _ratio(ours, keras), _ratio(ours, [times["PyTorch"]]), share]


def _main(values: flags.FlagValues) -> None:
    cases = {name: CASES[name] for name in values.cases or CASES}
    peak = peak_gflops()
    header = [
        "ms per step",
        "gdl_jax",
        *(f"Keras, {b}" for b in KERAS),
        "PyTorch",
        "over Keras",
        "over PyTorch",
        "of peak",
    ]
    rows = []
    for case in cases.values():
        rows.append([case.label, *row(case, measure(case, values.windows), peak)])
    sys.stdout.write(f"{jax.devices()[0].device_kind} x {os.cpu_count()}, peak {peak:.0f} GFLOP/s (float32)\n\n")
    sys.stdout.write(as_table(header, rows))
    rows = []
    for case in (cases[name] for name in OF_SEEDS if name in cases):
        sys.stderr.write(f"measuring: {case.label}, {SEEDS} seeds\n")
        kinds = [_ours(case, values.windows, f"--seeds={SEEDS}", f"--seed_loop={kind}") for kind in ("vmap", "map")]
        rows.append([case.label, *map(_cell, kinds)])
    if rows:
        sys.stdout.write("\n" + as_table([f"ms per step of {SEEDS} seeds", "vmap", "map"], rows))


def main(argv=None) -> None:
    """Runs `python -m experiments.benchmarks`."""
    values = command.new_flags()
    flags.DEFINE_multi_enum("cases", None, list(CASES), "case to time, repeatable [all]", flag_values=values)
    flags.DEFINE_integer("windows", 5, "windows per median", lower_bound=1, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
