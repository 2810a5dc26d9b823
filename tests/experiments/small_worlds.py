"""World models by the `tiny` presets: their stages, and the flags that name what a stage needs."""

from experiments import world_models

QUICK = ("--steps=4", "--log_every=2", "--eval_every=4", "--checkpoint_every=2")  # where only the machinery matters


def stage(name, root, *more, flags=()):
    """Runs a stage of the world in `root`: with flags of `world_models`, and with more of the stage's own."""
    world_models.main(["program", "--config=tiny", f"--workdir={root}", f"--stage={name}", *flags, "--", *more])


def agent(root):
    """Trains a vision and a memory for a few steps."""
    stage("rollouts", root)
    stage("vae", root, *QUICK)
    stage("encode", root)
    stage("memory", root, *QUICK)


def parts(root):
    """The flags of a tiny controller for the vision and the memory of a world."""
    return ["--config=tiny", f"--vision={root / 'vae'}", f"--memory={root / 'memory'}"]


FLAGS = {  # of tiny experiments that train on, or with, what there is in a world
    "world_vae": lambda root: ["--config=tiny", f"--dataset=rollouts:{root / 'rollouts'}"],
    "world_memory": lambda root: ["--config=tiny", f"--dataset=latents:{root / 'latents'}"],
    "world_controller": parts,
}
