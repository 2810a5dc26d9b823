"""World models with the `tiny` presets: their stages, and the flags that name the inputs of a stage."""

from experiments import world_models

QUICK = ("--steps=4", "--log_every=2", "--eval_every=4", "--checkpoint_every=2")  # for tests of the machinery only


def stage(name, root, *more, flags=()):
    """Runs a stage of the world in `root`, with `flags` of `world_models` and `more` flags of the stage."""
    world_models.main(["program", "--config=tiny", f"--workdir={root}", f"--stage={name}", *flags, "--", *more])


def agent(root):
    """Trains vision and memory for a few steps."""
    stage("rollouts", root)
    stage("vae", root, *QUICK)
    stage("encode", root)
    stage("memory", root, *QUICK)


def parts(root):
    """Returns the flags of a tiny controller with the vision and memory of a world."""
    return ["--config=tiny", f"--vision={root / 'vae'}", f"--memory={root / 'memory'}"]


FLAGS = {  # of tiny experiments that need parts of a world
    "world_vae": lambda root: ["--config=tiny", f"--dataset=rollouts:{root / 'rollouts'}"],
    "world_memory": lambda root: ["--config=tiny", f"--dataset=latents:{root / 'latents'}"],
    "world_controller": parts,
}
