"""World models so small that every stage takes seconds."""

from experiments.worlds import encode as world_encode
from experiments.worlds import mdn_rnn as world_memory
from experiments.worlds import rollouts as world_rollouts
from experiments.worlds import vae as world_vae
from gdl_jax.runs.main import main

VISION = (
    *("--encoder_filters=4,4,4,8", "--decoder_units=16", "--decoder_filters=4,4,4,3", "--z_dim=4"),
    *("--batch_size=8", "--log_every=2", "--eval_every=2", "--checkpoint_every=2"),
)
MEMORY = (
    *("--z_dim=4", "--hidden_units=8", "--mixtures=2"),
    *("--batch_size=4", "--log_every=2", "--eval_every=2", "--checkpoint_every=2"),
)
CONTROLLER = (
    *("--batch_size=2", "--episodes=2", "--max_steps=6", "--dream_steps=6", "--evaluation_episodes=2"),
    *("--log_every=2", "--eval_every=2", "--checkpoint_every=2"),
)


def rollouts(root, episodes=20, *flags):
    """A few steps of a few episodes; the flags of a vision that is to be trained on them."""
    shards = (f"--episodes={episodes}", "--shard_episodes=10", "--steps=8")
    shards += ("--policy=held_uniform", "--start_anywhere=false")
    world_rollouts.main(["program", f"--out={root / 'rollouts'}", *shards, *flags])
    return vision(root)


def agent(root):
    """A vision and a memory, each trained for two steps; the flags of a controller for them."""
    main(world_vae.EXPERIMENT, "about", ["program", f"--workdir={root / 'vae'}", *rollouts(root), "--steps=2"])
    places = (f"--rollouts={root / 'rollouts'}", f"--vision={root / 'vae'}", f"--out={root / 'latents'}")
    world_encode.main(["program", *places])
    main(world_memory.EXPERIMENT, "about", ["program", f"--workdir={root / 'memory'}", *memory(root), "--steps=2"])
    return controller(root)


def vision(root):
    """The flags of a vision that is to be trained on the rollouts of a world."""
    return [f"--dataset=rollouts:{root / 'rollouts'}", *VISION]


def memory(root):
    """The flags of a memory that is to be trained on the codes of a world."""
    return [f"--dataset=latents:{root / 'latents'}", *MEMORY]


def controller(root):
    """The flags of a controller for the vision and the memory of a world."""
    return [f"--vision={root / 'vae'}", f"--memory={root / 'memory'}", *CONTROLLER]


FLAGS = {"world_vae": vision, "world_memory": memory, "world_controller": controller}
