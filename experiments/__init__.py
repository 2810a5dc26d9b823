import sys

from gdl_jax.runs import interrupts

if sys.argv[:1] == ["-m"]:  # Python is about to run a module of this package
    interrupts.exit_on_ctrl_c()
