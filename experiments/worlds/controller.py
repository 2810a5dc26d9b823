"""World models, stage 5 (book chapter 8): a linear controller, optimised by an evolution strategy.

    python -m experiments.worlds.controller --vision=runs/world/vae --memory=runs/world/memory
    python -m experiments.worlds.controller --vision=... --memory=... --config=small_dream
    python -m experiments.worlds.controller --vision=... --memory=... --controller_inputs=z       without memory
    python -m experiments.worlds.controller --vision=... --memory=... --strategy=open_es

A generation is one compiled program: every individual of the population drives on the same `--episodes` new tracks, in
the game or, with `--dream`, in the memory's dream. Evaluations, every `--eval_every` generations and at the end, are in
the game in either case, on separate tracks. `test/return` is the return of the mean of the search distribution,
`test/best_return` that of the individual with the highest training return so far. With `--dream`, `test/dream_return`
is the mean's return in the dream, where a step's reward is 0 or 1; compare it with `test/rewarded`, the number of steps
with a positive reward in the game.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import PartitionSpec

from experiments.worlds import films
from experiments.worlds.agent import Game, Memory, Vision, load_memory, load_vision, make_dream
from experiments.worlds.driving import dream_returns, drive
from experiments.worlds.game import FRAMES
from gdl_jax.core.config_flags import Above, AtLeast, IsPath, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.core.parallel import AXIS, over_devices
from gdl_jax.core.prng import example_keys
from gdl_jax.data.dataset import ArraySource
from gdl_jax.learners.evolution import evolution, mean_parameters
from gdl_jax.learners.evolution_strategies import make_strategy
from gdl_jax.models import controller, mdn_rnn, world_vae
from gdl_jax.models.agent import Agent, AgentParams
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Sampler
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, controller.Config):
    dataset: Annotated[str, OneOf("car_racing")] = "car_racing"  # the game; only this one
    vision: Annotated[str, IsPath(moves=True)] = "runs/world/vae"  # workdir of world_vae
    memory: Annotated[str, IsPath(moves=True)] = "runs/world/memory"  # workdir of world_memory
    dream: bool = False  # train in the memory's dream; evaluations are in the game all the same
    # steps of a dream; the memory should be trained on episodes of about this length
    dream_steps: Annotated[int, AtLeast(1)] = 1000
    temperature: Annotated[float, Above(0)] = 1.0  # of the dream's mixture distribution; above 1: more random
    # in the dream, draw a reward of 1 with the predicted probability; else 1 where that is above 0.5 (book)
    draw_rewards: bool = True
    untrained_memory: bool = False  # use a memory with random initial parameters
    sampled_z: bool = True  # the agent sees a sample of q(z | frame), as in paper and book; else its mean
    frames: Annotated[str, OneOf(*FRAMES)] = "gymnasium"  # kind of frames the vision was trained on: gymnasium or book
    # a name of learners/evolution_strategies.py (open_es, pgpe, ...) or package.module:function
    strategy: str = "cma_es"
    sigma_init: Annotated[float, Above(0)] = 0.1  # initial standard deviation of every parameter
    # population: individuals per generation, over all devices
    batch_size: Annotated[int, AtLeast(2)] = 64
    episodes: Annotated[int, AtLeast(1)] = 16  # tracks driven by each individual in a generation
    max_steps: Annotated[int, AtLeast(1)] = 1000  # most steps of an episode of the game
    evaluation_episodes: Annotated[int, AtLeast(1)] = 100  # tracks of an evaluation
    steps: int = 50  # generations
    log_every: int = 1  # generations between two rows of metrics.jsonl
    eval_every: int = 10  # generations between two evaluations; 0: at the end only
    checkpoint_every: int = 1  # generations between two checkpoints

    def __post_init__(self):
        super().__post_init__()
        if self.train_examples:
            raise ConfigError("train_examples", self.train_examples, "the game has no examples")
        if self.precision != "f32":
            raise ConfigError("precision", self.precision, "not supported; controllers compute in f32")


PRESETS = {
    "small": Config(batch_size=32, episodes=4, steps=30, evaluation_episodes=16, eval_every=5),
    # A high temperature, and dreams not much longer than the memory's training episodes: in longer and cooler dreams
    # (1,000 steps, 1.1), the search exploited the memory's errors after 30 generations: the return in the game fell
    # from 540 to 150.
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
    "tiny": Config(
        batch_size=2,
        episodes=2,
        max_steps=6,
        dream_steps=6,
        evaluation_episodes=2,
        steps=4,
        log_every=2,
        eval_every=2,
        checkpoint_every=2,
    ),
}


def _game(config: Config, encoder: nn.Module, network: mdn_rnn.MDNRNN, params: AgentParams, **trained: Any) -> Game:
    agent = Agent(encoder, network, controller.Controller(config), config.sampled_z)
    train, test = (ArraySource({"episode": np.arange(n)}) for n in (config.batch_size, config.evaluation_episodes))
    return Game(config.dataset, train, test, agent=agent, params=params, **trained)


def spec(config: Config) -> Game:
    """Returns the game for untrained agents of the default sizes."""
    encoder, memory = world_vae.WorldEncoder(world_vae.Config()), mdn_rnn.MDNRNN(mdn_rnn.Config())
    frame = jnp.zeros((1, 64, 64, 3))
    encoder_params = encoder.init(jax.random.key(0), frame, train=False)["params"]
    return _game(config, encoder, memory, AgentParams(encoder_params, _untrained(memory, config.seed)))


def _untrained(memory: mdn_rnn.MDNRNN, seed: int) -> Any:
    sizes = memory.config
    inputs = jnp.zeros((1, 1, sizes.z_dim)), jnp.zeros((1, 1, sizes.action_dim)), jnp.zeros((1, 1))
    return memory.init(jax.random.key(seed), *inputs, memory.zero_carry(1), train=False)["params"]


def _check_fit(config: Config, vision: Vision, memory: Memory) -> None:
    """Checks that vision, memory and controller fit together.

    Raises:
      ConfigError: the memory was trained on another vision's codes, the vision on frames of another kind than `frames`,
        or the memory on actions of another size than the controller's.
    """
    sizes = memory.network.config
    if memory.vision != vision.digest:
        raise ConfigError("memory", config.memory, f"was trained on codes of another vision than {vision.name}")
    if memory.frames != config.frames:
        raise ConfigError("frames", config.frames, f"the vision was trained on frames of kind {memory.frames}")
    if sizes.action_dim != config.action_dim:
        raise ConfigError("action_dim", config.action_dim, f"the memory was trained on {sizes.action_dim} dimensions")


def load(config: Config) -> Game:
    """Returns the game with an agent of trained vision and memory.

    Raises:
      ConfigError: one of them is missing, or they do not fit together.
    """
    vision, memory = load_vision(config.vision), load_memory(config.memory)
    _check_fit(config, vision, memory)
    memory_params = _untrained(memory.network, config.seed) if config.untrained_memory else memory.params
    params = AgentParams(vision.encoder_params, memory_params)
    trained = {"vision": vision, "memory": memory, "digest": f"{vision.digest} {memory.digest}"}
    return _game(config, vision.encoder, memory.network, params, **trained)


def networks(config: Config, data: Game) -> dict[str, Network]:
    """Returns the controller."""
    del config
    sizes = data.agent.memory.config
    shapes = (sizes.z_dim, sizes.hidden_units, sizes.hidden_units)
    known = tuple(jax.ShapeDtypeStruct((1, size), jnp.float32) for size in shapes)
    return {"controller": Network(data.agent.controller, known)}


def build(config: Config, data: Game, axis_name: str | None) -> Learner:
    """Returns the learner: an evolution strategy with the mean return of episodes as fitness."""
    agent, agent_params = data.agent, data.params
    known = [jnp.zeros(shape.shape) for shape in networks(config, data)["controller"].inputs]
    mean = agent.controller.init(jax.random.key(0), *known, train=False)["params"]
    strategy = make_strategy(config.strategy, config.batch_size, mean, config.sigma_init)

    def episode_keys(keys):
        return jax.random.split(keys[0], config.episodes)  # the individuals' keys are all the same

    def in_the_game(population, keys):
        driven = drive(agent, agent_params, population, episode_keys(keys), config.frames, config.max_steps)
        return driven.returns.mean(axis=1)

    def in_the_dream(population, keys):
        return dream_returns(agent, *make_dream(config, data), population, episode_keys(keys)).mean(axis=1)

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
        driven = drive(agent, agent_params, pair, keys, config.frames, config.max_steps)
        metrics = {"return": driven.returns[0], "best_return": driven.returns[1]}
        metrics |= {"tiles": driven.tiles[0], "length": driven.lengths[0], "rewarded": driven.rewarded[0]}
        if config.dream:
            centre = jax.tree.map(lambda leaf: leaf[:1], pair)
            metrics["dream_return"] = dream_returns(agent, *make_dream(config, data), centre, keys)[0]
        return metrics

    return learner._replace(evaluate=evaluate)


EXPERIMENT = Experiment(
    name="world_controller",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=films.preview,
    analyse=films.analyse,
    sampler=Sampler(sample=films.sample, num=4),
    splits=("test",),  # every generation has new tracks, so there is no training set
    headlines=("gymnasium/return",),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
