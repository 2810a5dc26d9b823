"""Tests of translation from the command line."""

import dataclasses
import json

import numpy as np
import pytest

from experiments import sample, transformer
from gdl_jax.runs.main import main

SHORT = ["--config=tiny", "--steps=4", "--log_every=2", "--eval_every=4", "--checkpoint_every=2"]


def train(workdir, *flags):
    main(transformer.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a tiny run on generated sentences."""
    workdir = tmp_path_factory.mktemp("transformer") / "run"
    train(workdir, "--config=tiny")
    return workdir


def translated(workdir, *flags):
    sample.main(["sample", f"--workdir={workdir}", f"--out={workdir.parent / 'out'}", *flags])
    return (workdir.parent / "out" / "translations.txt").read_text()


def test_learns_to_translate(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["test/loss"] < 2.0  # an untrained network's is near log(vocabulary), 5
    assert results["test/bleu"] > 3
    assert "sacre" not in results["protocol"]["bleu"]
    assert "version:" in results["protocol"]["sacre_bleu"]


def test_translates_a_prompt_and_draws_its_attention(finished):
    text = translated(finished, "--prompt=Wir haben am Montag Zeit.")
    assert text.startswith("Wir haben am Montag Zeit.\n  ")
    assert (finished.parent / "out" / "attention.png").stat().st_size > 1000


def test_translates_a_file_of_sentences(finished, tmp_path):
    prompts = tmp_path / "sentences.txt"
    prompts.write_text("Wir haben Zeit.\n\nDas Buch kostet zwei Euro.\n")
    assert len(translated(finished, f"--prompts={prompts}").splitlines()) == 4


@pytest.mark.parametrize(
    ("flags", "named"),
    [(["--prompt=" + "wir " * 300], "prompt"), (["--prompt=a", "--prompts=b"], "prompts")],
)
def test_a_bad_prompt_is_one_clear_line(finished, capsys, flags, named):
    with pytest.raises(SystemExit) as exit_:
        translated(finished, *flags)
    assert exit_.value.code == 2
    assert f"--{named}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "named"), [(["--heads=3"], "heads"), (["--source=fr"], "fr"), (["--tied=all"], "tied")]
)
def test_a_bad_flag_is_one_clear_line(tmp_path, capsys, flags, named):
    with pytest.raises(SystemExit) as exit_:
        train(tmp_path / "run", *SHORT, *flags)
    assert exit_.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.slow
def test_parts_of_words_share_one_vocabulary_and_beams_are_searched(tmp_path):
    train(tmp_path / "run", *SHORT, "--tokens=bpe:400", "--tied=all", "--beams=3", "--length_penalty=0.6")
    assert len(translated(tmp_path / "run", "--prompt=Wir haben Zeit.").splitlines()) == 2


def test_the_numbers_of_multi30k_are_those_of_its_data(data_dir):
    config = dataclasses.replace(transformer.PRESETS["multi30k"], data_dir=str(data_dir))
    data, known = transformer.load(config), transformer.spec(config)
    for each in ("languages", "widths"):
        assert getattr(known, each) == getattr(data, each)
    for each in ("source_tokenizer", "target_tokenizer"):
        assert getattr(known, each).size == getattr(data, each).size
    rows = [{name: (x.dtype, x.shape) for name, x in one.train.take(np.zeros(1, int)).items()} for one in (known, data)]
    assert rows[0] == rows[1]


def test_the_numbers_of_other_data_are_not_known():
    preset = transformer.PRESETS["multi30k"]
    for changes in ({"source": "en", "target": "de"}, {"max_tokens": 30}, {"tokens": "bpe:10000"}):
        assert transformer.spec(dataclasses.replace(preset, **changes)) is None
