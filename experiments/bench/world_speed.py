"""Times the world models' game, dreams and vision in steps per second, next to gymnasium's CarRacing-v3.

    python -m experiments.bench.world_speed                       about five minutes on two CPU cores
    python -m experiments.bench.world_speed --out=speed.json

gymnasium plays one episode of 1,000 steps, including its reset, in as many processes as there are CPUs. Ours plays
1,000 steps of `--cars` cars, each on its own track, including the generation and rasterisation of the tracks. Both are
driven by uniform actions held for five steps. Dreams, and drives of the whole agent (frame, codes, memory, controller),
are a generation of `experiments.worlds.controller`: 64 individuals with 16 episodes each, and untrained networks, which
take as long. Each number is the median of `--windows` calls of one compiled program.
"""

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from absl import flags

from experiments.worlds import controller as world_controller
from gdl_jax.core.json_files import write_json
from gdl_jax.envs.car_racing.policies import held_uniform
from gdl_jax.models import world_vae
from gdl_jax.runs import command
from gdl_jax.runs.tables import as_table

if TYPE_CHECKING:
    from gdl_jax.envs.car_racing.env import CarRacing

STEPS = 1000  # of an episode
HOLD = 5  # steps for which an action is held
DREAM_STEPS, DRIVE_STEPS = 300, 50  # of the timed generation
FRAMES = 2048  # frames to encode
NO_PEER = "needs gymnasium[box2d]"
TITLES = {  # name in JSON -> label in the table
    "gymnasium": "gymnasium, 96x96 frames",
    "game_gymnasium_frames": "game, 96x96 frames",
    "game_agent_frames": "game, 64x64 frames",
    "game_no_frames": "game, no frames",
    "agent_in_game": "agent in the game",
    "agent_in_dream": "agent in its dream",
    "encoding_book": "frames encoded, book's encoder",
    "encoding_paper": "frames encoded, paper's encoder",
}


def play(env: "CarRacing", key: jax.Array, cars: int, steps: int) -> tuple[Any, jax.Array]:
    """Plays episodes of `cars` cars, each on its own track, with random actions.

    Returns:
      The final states, and the final observations (cars, ...), so that no observation is optimised away.
    """
    params = env.default_params
    track_key, action_key = jax.random.split(key)
    seen, states = jax.lax.map(lambda key: env.reset_env(key, params), jax.random.split(track_key, cars))
    actions = jax.vmap(lambda key: held_uniform(key, steps, HOLD))(jax.random.split(action_key, cars))

    def advance(carry, action):
        dynamic, _ = carry
        now = states.replace(dynamic=dynamic)
        seen, now, *_ = jax.vmap(env.step_env, in_axes=(None, 0, 0, None))(key, now, action, params)
        return (now.dynamic, seen), None

    return jax.lax.scan(advance, (states.dynamic, seen), actions.swapaxes(0, 1))[0]


def rate(call: Callable[..., Any], arguments: tuple[Any, ...], count: int, windows: int) -> float:
    """Returns the rate per second of a call that processes `count` items: the median over `windows` calls."""
    compiled = jax.jit(call).lower(*arguments).compile()
    seconds = []
    for _ in range(windows + 1):
        began = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - began)
    return count / statistics.median(seconds[1:])


def _generation(windows: int, **changes) -> float:
    config = world_controller.Config(**changes)
    learner = world_controller.build(config, world_controller.spec(config), None)
    state = learner.init(jax.random.key(0), None)
    count = config.batch_size * config.episodes * config.max_steps
    return rate(lambda state, key: learner.step(state, None, key), (state, jax.random.key(1)), count, windows)


def _encoding(windows: int, config: world_vae.Config) -> float:
    encoder = world_vae.WorldEncoder(config)
    frames = jax.random.randint(jax.random.key(0), (FRAMES, 64, 64, 3), 0, 256).astype(jnp.uint8)
    params = encoder.init(jax.random.key(1), jnp.zeros((1, 64, 64, 3)), train=False)["params"]
    encode = lambda params, frames: world_vae.encode_frames(encoder, params, frames)  # noqa: E731
    return rate(encode, (params, frames), FRAMES, windows)


def _gymnasium() -> float | str:
    if importlib.util.find_spec("Box2D") is None:
        return NO_PEER
    from experiments.bench.peers.gymnasium_racing import (
        pixel_steps_per_second,  # optional packages
    )

    return pixel_steps_per_second(os.cpu_count(), STEPS, HOLD)


def measure(cars: int, windows: int) -> dict[str, float | str]:
    """Returns {key of TITLES: rate per second}; a text where there is no number."""
    from gdl_jax.envs.car_racing.env import CarRacing  # needs a package that nothing else here does

    key = jax.random.key(0)

    def game(observation):
        return rate(lambda key: play(CarRacing(observation), key, cars, STEPS), (key,), cars * STEPS, windows)

    tasks = {
        "gymnasium": _gymnasium,
        "game_gymnasium_frames": lambda: game("gymnasium"),
        "game_agent_frames": lambda: game("gymnasium64"),
        "game_no_frames": lambda: game("none"),
        "agent_in_game": lambda: _generation(windows, max_steps=DRIVE_STEPS),
        "agent_in_dream": lambda: _generation(windows, max_steps=DREAM_STEPS, dream=True),
        "encoding_book": lambda: _encoding(windows, world_vae.Config()),
        "encoding_paper": lambda: _encoding(windows, world_vae.PAPER),
    }
    rates = {}
    for name, task in tasks.items():
        sys.stderr.write(f"measuring: {TITLES[name]}\n")
        rates[name] = task()
    return rates


def table(rates: dict[str, float | str]) -> str:
    """Returns a Markdown table of rates, and of their ratios to gymnasium's steps with frames."""
    peer = rates["gymnasium"]
    rows = []
    for name, value in rates.items():
        number = value if isinstance(value, str) else f"{value:,.0f}"
        ratio = "" if isinstance(peer, str) or name == "gymnasium" else f"{value / peer:,.0f}x"
        rows.append([TITLES[name], number, ratio])
    return as_table(["steps or frames per second", "", "relative to gymnasium"], rows)


def _main(values: flags.FlagValues) -> None:
    rates = measure(values.cars, values.windows)
    device = f"{jax.devices()[0].device_kind} x {os.cpu_count()}"
    sys.stdout.write(f"{device}, {values.cars} cars\n\n{table(rates)}")
    if values.out:
        packages = [name for name in ("jax", "gymnasium", "Box2D") if importlib.util.find_spec(name)]
        versions = {name: importlib.metadata.version(name) for name in packages}
        about = {"machine": platform.machine(), "device": device, "versions": versions, "cars": values.cars}
        write_json(Path(values.out), about | {"per_second": rates})


def main(argv=None) -> None:
    """Runs `python -m experiments.bench.world_speed`."""
    values = command.new_flags()
    flags.DEFINE_integer("cars", 256, "cars in parallel, each on its own track", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("windows", 3, "calls of the median", lower_bound=1, flag_values=values)
    command.define_path("out", None, "JSON file to write", values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
