"""World models, stage 5 (book chapter 8): a linear controller, found by an evolution strategy.

    python -m experiments.worlds.controller --vision=runs/world/vae --memory=runs/world/memory
    python -m experiments.worlds.controller --vision=... --memory=... --config=small_dream
    python -m experiments.worlds.controller --vision=... --memory=... --controller_inputs=z       without memory
    python -m experiments.worlds.controller --vision=... --memory=... --strategy=open_es

One generation is one compiled program: every individual of the population drives every one of `--episodes` new tracks,
the same for all, in the game or, with `--dream`, in what the memory makes of it. The evaluations, every `--eval_every`
generations and at the end, are in the game in either case, on tracks of their own: `test/return` is that of the mean of
the search distribution, `test/best_return` that of the individual that was luckiest so far; with `--dream`,
`test/dream_return` is what the mean gets in the dream: a reward of 1 in a step, or none. What is like it in the game is
`test/rewarded`, the number of steps with a positive reward.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from experiments.worlds.agent import Memory, Vision, load_memory, load_vision
from experiments.worlds.driving import dream_film, dream_returns, drive, film, views
from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.core.parallel import AXIS, over_devices
from gdl_jax.core.prng import example_keys
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.envs.dream.dynamics import Dream
from gdl_jax.envs.dream.dynamics import EnvParams as DreamParams
from gdl_jax.learners.evolution import evolution, mean_parameters
from gdl_jax.learners.evolution_strategies import make_strategy
from gdl_jax.models import controller as networks
from gdl_jax.models import mdn_rnn, world_vae
from gdl_jax.models.agent import Agent, Knowledge
from gdl_jax.plots import images
from gdl_jax.plots.curves import generations
from gdl_jax.runs.experiment import Experiment, Part, Run, RunConfig
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, networks.Config):
    dataset: str = "car_racing"  # the game; there is no other yet
    vision: str = "runs/world/vae"  # workdir of world_vae
    memory: str = "runs/world/memory"  # workdir of world_memory
    dream: bool = False  # learn in the memory's dream; evaluations are in the game all the same
    dream_steps: int = 1000  # of a dream; the memory should have learnt from episodes about as long
    temperature: float = 1.0  # of the dream: above 1 it is less sure of what comes
    draw_rewards: bool = True  # of the dream, with the memory's probability; else where it is above a half (book)
    untrained_memory: bool = False  # the memory has its random first parameters, as if it had learnt nothing
    sampled_z: bool = True  # the agent sees a draw from q(z | frame), as in paper and book; else its mean
    frames: str = "gymnasium"  # what the vision was trained on: gymnasium or book
    strategy: str = "cma_es"  # a name of learners/strategies.py (open_es, pgpe, ...) or package.module:function
    sigma_init: float = 0.1  # standard deviation of every parameter in the first generation
    batch_size: int = 64  # individuals of a generation (the population), over all devices
    episodes: int = 16  # tracks that each individual drives in a generation
    max_steps: int = 1000  # of an episode of the game
    evaluation_episodes: int = 100  # tracks of an evaluation
    steps: int = 50  # generations
    log_every: int = 1  # generations between two rows of metrics.jsonl
    eval_every: int = 10  # generations between two evaluations; 0: at the end only
    checkpoint_every: int = 1  # generations between two checkpoints

    LEAST = RunConfig.LEAST | {
        "episodes": 1,
        "max_steps": 1,
        "dream_steps": 1,
        "evaluation_episodes": 1,
        "batch_size": 2,
    }

    def __post_init__(self):
        super().__post_init__()
        if self.dataset != "car_racing":
            raise UserError(f"--dataset={self.dataset}: the game is car_racing")
        if self.train_examples:
            raise UserError(f"--train_examples={self.train_examples}: the game has no examples")
        if self.precision != "f32":
            raise UserError(f"--precision={self.precision}: a controller computes in f32")
        if not self.temperature > 0:
            raise UserError(f"--temperature={self.temperature}: must be above 0")


PRESETS = {
    "small": Config(batch_size=32, episodes=4, steps=30, evaluation_episodes=16, eval_every=5),
    # Hot and not much longer than what the memory has learnt from: in longer and cooler dreams (1,000 steps, 1.1), the
    # search found what the memory is wrong about after 30 generations, and what was worth 540 in the game fell to 150.
    "small_dream": Config(
        dream=True,
        dream_steps=500,
        temperature=1.3,
        batch_size=48,
        steps=30,
        evaluation_episodes=16,
    ),
    "book": Config(batch_size=32, episodes=4, steps=200, eval_every=25, draw_rewards=False),
    "paper": Config(steps=1800, eval_every=25),
}
SHOWN_EPISODE = 400  # steps of the films
FILM_STRIDE, FRAMES_PER_SECOND, ENLARGED = 2, 25, 2
VIEW = 200, 300  # pixels of the films of episodes
STRIP = 10  # frames of an episode in a preview


@dataclass(frozen=True)
class Game(DataSet):
    """No rows but numbers of individuals and of evaluations; and who plays.

    Attributes:
      agent: its networks.
      knowledge: what vision and memory have learnt.
      vision, memory: as they were trained; None where only shapes matter.
    """

    agent: Agent | None = None
    knowledge: Knowledge | None = None
    vision: Vision | None = None
    memory: Memory | None = None


def _game(config, encoder, network, knowledge, **trained) -> Game:
    agent = Agent(encoder, network, networks.Controller(config), config.sampled_z)
    train, test = (ArraySource({"episode": np.arange(n)}) for n in (config.batch_size, config.evaluation_episodes))
    return Game(config.dataset, train, test, agent=agent, knowledge=knowledge, **trained)


def blank(config):
    """The game for agents of the usual sizes that have learnt nothing, for counting."""
    encoder, memory = world_vae.WorldEncoder(world_vae.Config()), mdn_rnn.MDNRNN(mdn_rnn.Config())
    frame = jnp.zeros((1, 64, 64, 3))
    encoder_params = encoder.init(jax.random.key(0), frame, False)["params"]
    return _game(config, encoder, memory, Knowledge(encoder_params, _untrained(memory, config.seed)))


def _untrained(memory: mdn_rnn.MDNRNN, seed: int) -> Any:
    sizes = memory.config
    inputs = jnp.zeros((1, 1, sizes.z_dim)), jnp.zeros((1, 1, sizes.action_dim)), jnp.zeros((1, 1))
    return memory.init(jax.random.key(seed), *inputs, memory.zero_carry(1))["params"]


def load(config):
    """The game, and the agent that vision and memory make.

    Raises:
      UserError: one of them is missing, the memory remembers another vision's codes, the vision was shown other frames
        than `--frames`, or the memory other actions than the controller's.
    """
    vision, memory = load_vision(config.vision), load_memory(config.memory)
    sizes = memory.network.config
    if memory.vision != vision.digest:
        raise UserError(f"--memory={config.memory}: it learnt from the codes of another vision than {vision.name}")
    if memory.frames != config.frames:
        raise UserError(f"--frames={config.frames}: the vision was trained on frames of the kind {memory.frames}")
    if sizes.action_dim != config.action_dim:
        raise UserError(f"--action_dim={config.action_dim}: the memory knows actions of {sizes.action_dim} numbers")
    params = _untrained(memory.network, config.seed) if config.untrained_memory else memory.params
    knowledge = Knowledge(vision.encoder_params, params)
    digest = f"{vision.digest} {memory.digest}"
    return _game(config, vision.encoder, memory.network, knowledge, vision=vision, memory=memory, digest=digest)


def parts(config, data):
    """The controller."""
    sizes = data.agent.memory.config
    shapes = (sizes.z_dim, sizes.hidden_units, sizes.hidden_units)
    known = tuple(jax.ShapeDtypeStruct((1, size), jnp.float32) for size in shapes)
    return {"controller": Part(data.agent.controller, known)}


def _dream(config, data) -> tuple[Dream, DreamParams]:
    sizes = data.agent.memory.config
    transition = mdn_rnn.transition(data.agent.memory, config.draw_rewards)
    dream = Dream(transition, sizes.z_dim, sizes.hidden_units, can_end=sizes.done_head)
    if data.memory is None:
        first = (jnp.zeros((1, sizes.z_dim)),) * 2
    else:
        first = data.memory.first_mean, data.memory.first_log_var
    params = DreamParams(
        variables={"params": data.knowledge.memory},
        initial_mean=jnp.asarray(first[0]),
        initial_log_var=jnp.asarray(first[1]),
        temperature=config.temperature,
        max_steps_in_episode=config.dream_steps,
    )
    return dream, params


def build(config, data, axis_name):
    """The learner: an evolution strategy whose evaluations are episodes of the game."""
    agent, knowledge = data.agent, data.knowledge
    known = [jnp.zeros(shape.shape) for shape in parts(config, data)["controller"].inputs]
    mean = agent.controller.init(jax.random.key(0), *known)["params"]
    strategy = make_strategy(config.strategy, config.batch_size, mean, config.sigma_init)

    def episode_keys(keys):
        return jax.random.split(keys[0], config.episodes)  # the individuals' keys are all the same

    def in_the_game(population, keys):
        driven = drive(agent, knowledge, population, episode_keys(keys), config.frames, config.max_steps)
        return driven.returns.mean(axis=1)

    def in_the_dream(population, keys):
        return dream_returns(agent, *_dream(config, data), population, episode_keys(keys)).mean(axis=1)

    learner = evolution(
        strategy.algorithm,
        strategy.params,
        in_the_dream if config.dream else in_the_game,
        mean,
        weight_decay=strategy.weight_decay,
        common_random_numbers=True,
        axis_name=axis_name,
    )

    def evaluate(state, batch, key):
        keys = example_keys(key, batch["episode"].shape[0], axis_name)
        if axis_name is None:
            keys = over_devices(keys, PartitionSpec(AXIS))
        pair = jax.tree.map(lambda *x: jnp.stack(x), mean_parameters(strategy.algorithm, state), state.best_parameters)
        driven = drive(agent, knowledge, pair, keys, config.frames, config.max_steps)
        metrics = {"return": driven.returns[0], "best_return": driven.returns[1]}
        metrics |= {"tiles": driven.tiles[0], "length": driven.lengths[0], "rewarded": driven.rewarded[0]}
        if config.dream:
            mean = jax.tree.map(lambda leaf: leaf[:1], pair)
            metrics["dream_return"] = dream_returns(agent, *_dream(config, data), mean, keys)[0]
        return metrics

    return learner._replace(evaluate=evaluate)


_film_compiled = jax.jit(film, static_argnames=("agent", "frames", "steps"))


def mean_controller(run: Run) -> Any:
    """The parameters to drive with: those at the centre of the search."""
    config = run.config
    strategy = make_strategy(config.strategy, config.batch_size, run.state.best_parameters, config.sigma_init)
    return mean_parameters(strategy.algorithm, run.state)


def _dreamt(run: Run, key: jax.Array, steps: int) -> dict[str, np.ndarray]:
    """A dream of the mean controller's, up to its end."""
    dream, params = _dream(run.config, run.data)
    shot = jax.jit(lambda controller: dream_film(run.data.agent, dream, params, controller, key, steps))
    shot = jax.device_get(shot(mean_controller(run)))
    length = int(shot["running"].sum())
    return jax.tree.map(lambda array: array[:length], shot)


def _episode(run: Run, key: jax.Array, steps: int) -> dict[str, np.ndarray]:
    """An episode of the mean controller, up to its end."""
    data, config = run.data, run.config
    shot = jax.device_get(_film_compiled(data.agent, data.knowledge, mean_controller(run), key, config.frames, steps))
    length = int(shot["running"].sum())
    return jax.tree.map(lambda array: array[:length], shot)


def _decoded(run: Run, z: np.ndarray) -> np.ndarray:
    vision = run.data.vision
    return np.asarray(jax.jit(vision.decoder.apply, static_argnums=2)({"params": vision.decoder_params}, z, False))


def preview(run):
    """An episode of the mean controller, the same track at every step: what was seen, and what the agent made of it."""
    shot = _episode(run, run.key, run.config.max_steps)
    rows = np.linspace(0, len(shot["frame"]) - 1, STRIP).astype(int)
    seen, decoded = shot["frame"][rows] / 255.0, _decoded(run, shot["z"][rows])
    path = run.figures / f"samples_at_{run.step:07d}.png"
    images.rows([seen, decoded], ["seen", "imagined"], path, headings=[f"step {row}" for row in rows])


def _enlarged(frames: np.ndarray) -> np.ndarray:
    return frames.repeat(ENLARGED, axis=1).repeat(ENLARGED, axis=2)


def _film(frames: np.ndarray, path: Path, headings: Sequence[str] = ()) -> None:
    """Of frames (T, H, W, 3), uint8 or in [0, 1], every FILM_STRIDE-th of an episode's."""
    scale = np.float32(255 if frames.dtype == np.uint8 else 1)
    images.animation([frame / scale for frame in frames], path, FRAMES_PER_SECOND, headings)


def _large(run: Run, shot: dict[str, Any], key: jax.Array) -> np.ndarray:
    """An episode as one would look at it: every FILM_STRIDE-th frame, uint8."""
    times = np.arange(1, len(shot["reward"]) + 1)
    chosen = jax.tree.map(lambda array: array[::FILM_STRIDE], (shot["car"], times))
    draw = jax.jit(lambda cars, times: views(cars, times, key, run.config.frames, *VIEW))
    return np.asarray(draw(*chosen))


def _dream_film(run: Run, key: jax.Array, path: Path) -> None:
    steps = min(SHOWN_EPISODE, run.config.dream_steps)
    _film(_enlarged(_decoded(run, _dreamt(run, key, steps)["z"][::FILM_STRIDE])), path)


def _has_dreams(run: Run) -> bool:
    return run.data.agent.memory.config.reward_head


def analyse(run):
    """The search; an episode beside its reconstruction and what the memory dreams if the same is done; a dream."""
    generations(read_rows(run.figures.parent / "metrics.jsonl"), run.figures / "generations.png")
    steps = min(SHOWN_EPISODE, run.config.max_steps)
    shot = _episode(run, run.key, steps)
    variables, draws = {"params": run.data.knowledge.memory}, (run.config.temperature, run.config.draw_rewards)
    along = mdn_rnn.dream_along
    dreamt = along(run.data.agent.memory, variables, run.key, shot["z"][0], shot["action"], *draws)
    seen = shot["frame"][::FILM_STRIDE] / np.float32(255)
    imagined = [_decoded(run, np.asarray(z)[::FILM_STRIDE]) for z in (shot["z"], dreamt)]
    beside = _enlarged(np.concatenate([seen, *imagined], axis=2))
    _film(beside, run.figures / "drive.gif", ["seen", "imagined", "dreamt along"])
    if _has_dreams(run):
        _dream_film(run, run.key, run.figures / "dream.gif")
    return {}


def sample(run, request):
    """Films of episodes of the mean controller, and of its dreams."""
    written = []
    for number in progress_bar(range(request.num), unit="episodes"):
        key, steps = jax.random.fold_in(run.key, number), run.config.max_steps
        written.append(request.out / f"drive_{number}.gif")
        _film(_large(run, _episode(run, key, steps), key), written[-1])
        if _has_dreams(run):
            written.append(request.out / f"dream_{number}.gif")
            _dream_film(run, key, written[-1])
    return written


EXPERIMENT = Experiment(
    *("world_controller", Config, PRESETS, build, parts, analyse, preview, sample, load),
    blank=blank,
    splits=("test",),  # every generation drives on tracks of its own
    samples=4,
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
