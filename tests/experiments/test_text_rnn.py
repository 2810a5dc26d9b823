"""Tests of a tiny text model from the command line: its files, metrics and samples."""

import contextlib
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from experiments import sample, text_rnn
from experiments.language.perplexity import copied_stories, perplexities
from experiments.language.writing import TEMPERATURES
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.data.dataset import ArraySource
from gdl_jax.data.text.tokens import SEPARATOR
from gdl_jax.data.text.windows import Windows
from gdl_jax.models.text_rnn import TextRNN
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.main import main
from gdl_jax.runs.restore import restore
from gdl_jax.runs.summary import count_parameters, spec_or_data

WORDS_OF_A_TEXT = ["--config=tiny", "--token_type=word", "--sequence_length=6"]
SHORT = ["--steps=6", "--log_every=2", "--eval_every=2", "--checkpoint_every=2"]
WORDS = ("fox", "crow", "lion", "ass", "wolf", "lamb", "frog", "ox", "ant", "dove")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Thirty short stories."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("text") / "stories.txt"
    stories = [
        " ".join(f"the {a} and the {b} met . " for a, b in rng.choice(WORDS, (rng.integers(3, 6), 2)))
        for _ in range(30)
    ]
    path.write_text("\n\n\n\n\n\n".join(stories))
    return f"--dataset=text:{path}"


def train(workdir, *flags, experiment=text_rnn.EXPERIMENT):
    main(experiment, "about", ["program", f"--workdir={workdir}", *WORDS_OF_A_TEXT, *SHORT, *flags])


def checksums(workdir, step):
    return json.loads((workdir / "checkpoints" / str(step) / "meta" / "metadata").read_text())["checksums"]


def restored(workdir):
    return restore(workdir, warn=pytest.fail, read_data=True).run


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """The workdir of a short run."""
    workdir = tmp_path_factory.mktemp("text_rnn") / "run"
    train(workdir, dataset)
    return workdir


@pytest.mark.slow
def test_the_tiny_preset_beats_the_unigram_baseline(tmp_path):
    with contextlib.redirect_stderr(io.StringIO()):
        main(text_rnn.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}/run", "--config=tiny"])
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    perplexity, unigram = (results[f"{kind}/perplexity_without_separators"] for kind in ("test", "unigram"))
    assert perplexity < 0.7 * unigram


@pytest.mark.slow
def test_a_run_writes_samples_and_perplexities(finished):
    made = {path.name for path in (finished / "figures").iterdir()}
    assert {*(f"samples_at_{step:07d}.png" for step in (0, 2, 4, 6)), "next_tokens.png"} <= made
    written = (finished / "figures" / "samples.txt").read_text()
    assert [line for line in written.splitlines() if line.startswith("temp")] == [
        f"temperature {t}" for t in TEMPERATURES
    ]
    run, results = restored(finished), json.loads((finished / "results.json").read_text())
    module, variables = TextRNN(run.config, len(run.data.vocabulary)), {"params": run.state.params["network"]}
    for split in ("validation", "test"):
        windows = getattr(run.data, split)
        tokens = windows.take(np.arange(len(windows)))["tokens"]
        logits = np.asarray(module.apply(variables, tokens[:, :-1], train=False), float)[:, 0]
        losses = -special.log_softmax(logits, axis=1)[np.arange(len(tokens)), tokens[:, -1]]
        in_story = tokens[:, -1] != run.data.vocabulary.index[SEPARATOR]
        assert 0 < in_story.mean() < 1
        assert results[f"{split}/perplexity"] == pytest.approx(np.exp(losses.mean()), rel=1e-4)
        assert results[f"{split}/perplexity_without_separators"] == pytest.approx(
            np.exp(losses[in_story].mean()), rel=1e-4
        )
    assert results["windows/perplexity"] == pytest.approx(
        results["test/perplexity"], rel=1e-4
    )  # the whole split is read
    stream = windows.sequences["tokens"]
    every = TextRNN(dataclasses.replace(run.config, every_position=True), len(run.data.vocabulary))
    logits = np.asarray(every.apply(variables, stream[None, :-1], train=True, rngs={"dropout": run.key}), float)[0]
    losses = -special.log_softmax(logits, axis=1)[np.arange(len(stream) - 1), stream[1:]]
    carried = np.exp(losses[run.config.sequence_length - 1 :].mean())
    assert results["carried_state/perplexity"] == pytest.approx(carried, rel=1e-4)


@pytest.mark.slow
def test_a_killed_run_resumes_bit_for_bit(finished, dataset, tmp_path):
    def killed(run):
        if run.step == 4:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        train(tmp_path, dataset, experiment=dataclasses.replace(text_rnn.EXPERIMENT, preview=killed))
    train(tmp_path, dataset)
    assert checksums(tmp_path, 6) == checksums(finished, 6)


@pytest.mark.slow
def test_early_stopping_restores_the_best_checkpoint(dataset, tmp_path, capsys):
    flags = (dataset, "--steps=40", "--patience=2", "--optimizer=sgd", "--learning_rate=1000")
    train(tmp_path, *flags)
    losses = {
        row["step"]: row["validation/loss"] for row in read_rows(tmp_path / "metrics.jsonl") if "validation/loss" in row
    }
    best = min(losses, key=losses.get)
    assert max(losses) == best + 4 < 40  # after two more evaluations
    run, results = restored(tmp_path), json.loads((tmp_path / "results.json").read_text())
    assert run.step == results["best_step"] == best and results["steps_trained"] == best + 4
    for value in (results["validation/perplexity"], perplexities(run)["validation/perplexity"]):
        assert value == pytest.approx(np.exp(losses[best]), rel=1e-4)
    assert losses[max(losses)] > losses[best] + 0.1
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path, *flags, "--eval_every=1")  # the unit of patience
    assert "eval_every" in capsys.readouterr().err
    train(tmp_path, *flags)
    assert max(row["step"] for row in read_rows(tmp_path / "metrics.jsonl")) == best + 4


def stories(capsys, workdir, *flags):
    capsys.readouterr()
    sample.main(["program", f"--workdir={workdir}", *flags])
    said = capsys.readouterr()
    return Path(said.out.strip()).read_text(encoding="utf-8").strip("\n").split("\n\n"), said.err


@pytest.mark.slow
def test_samples_continue_a_prompt_at_a_temperature(finished, capsys):
    texts, said = stories(capsys, finished, "--num=3", "--prompt=The FOX, and the unicorn", "--temperature=0")
    (line,) = said.splitlines()
    assert "unicorn" in line and "fox" not in line
    assert len(texts) == 3 and set(texts) == {texts[0]} and texts[0].startswith("the fox and the")
    hot, _ = stories(capsys, finished, "--num=3", "--prompt=the fox", "--temperature=2")
    narrow, _ = stories(capsys, finished, "--num=3", "--prompt=the fox", "--temperature=2", "--top_k=1")
    assert len(set(hot)) == 3 and len(set(narrow)) == 1
    likeliest, _ = stories(capsys, finished, "--num=1", "--prompt=the fox", "--temperature=0")
    assert narrow[0] == likeliest[0]


@pytest.mark.slow
def test_a_long_prompt_is_truncated_with_a_message(finished, capsys):
    prompt, end = "the fox and the crow met . the lion and the ox", "the lion and the ox"
    length = restored(finished).config.sequence_length
    (text,), said = stories(capsys, finished, "--num=1", f"--prompt={prompt}", "--temperature=0")
    assert "12" in said and str(length) in said
    (other,), said = stories(capsys, finished, "--num=1", f"--prompt=. {end}", "--temperature=0")
    assert said == "" and len(end.split()) + 1 == length
    assert text.partition(end)[2] == other.partition(end)[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "flag",
    [
        *("--prompt=zyx unicorn", "--temperature=-1", "--temperature=nan", "--temperature=inf", "--top_p=1.5"),
        *("--top_p=0", "--top_k=-1", "--top_k=3000000000", "--seed=99999999999999999999", "--morph"),
    ],
)
def test_bad_requests_are_one_line(finished, capsys, flag):
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        sample.main(["program", f"--workdir={finished}", flag])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and flag.partition("=")[0].strip("-") in line


def test_copied_shares_ignore_tokens_after_a_story_s_end():
    """At the first temperature two of three n-grams are copied, at the others none."""
    training = np.arange(2, 40)
    data = dataclasses.replace(
        text_rnn.spec(text_rnn.PRESETS["aesop"]), train=Windows({"tokens": training}, np.arange(9), 21)
    )
    rows = [[*training[5:14], 40, 1, *training[20:30]], [*range(50, 60), 1, *training[20:30]], [1] * 21]
    results = copied_stories(Run(None, data, None, None, None, 0, None), np.array(rows))
    shares = {name: value for name, value in results.items() if name != "protocol"}
    assert list(shares.values()) == [pytest.approx(2 / 3), 0.0, 0.0]
    assert all(kind.startswith("temperature_") for kind in shares)


@pytest.mark.parametrize(
    ("preset", "changes", "count"), [("aesop", {}, 1_853_901), ("aesop", {"layers": 2}, 2_379_213)], ids=str
)
def test_the_books_counts_need_no_data(preset, changes, count):
    config = dataclasses.replace(text_rnn.PRESETS[preset], **changes)
    data = spec_or_data(text_rnn.EXPERIMENT, config)
    assert isinstance(data.train, ArraySource)
    assert count_parameters(text_rnn.EXPERIMENT.networks(config, data)).total == count
    assert text_rnn.spec(dataclasses.replace(config, unknown_below=2)) is None


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"token_type": "letter"}, ["token_type", "letter"]),
        ({"sequence_length": 50_000}, ["sequence_length", "50000"]),
        ({"held_out": 0.5}, ["held_out", "0.5"]),
        ({"train_examples": 10**6}, ["train_examples", "1000000"]),
        ({"dataset": "text:/nowhere.txt"}, ["/nowhere.txt"]),
    ],
)
def test_bad_data_are_named(changes, texts):
    with pytest.raises(UserError) as refused:
        text_rnn.load(dataclasses.replace(text_rnn.PRESETS["tiny"], **changes))
    assert all(text in str(refused.value) for text in texts)


def test_reset_after_is_refused_for_lstms(dataset, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path / "run", dataset, "--reset_after=false")
    error = capsys.readouterr().err
    assert "--reset_after" in error and "cell=gru" in error


@pytest.mark.parametrize("flag", ["image_size", "avatars", "validation_examples"])
def test_text_configs_have_no_image_fields(flag):
    with pytest.raises(TypeError, match=flag):
        text_rnn.Config(**{flag: 5})


def test_the_book_s_preset_has_the_gates_of_its_keras():
    assert text_rnn.PRESETS["aesop"].recurrent_activation == "hard_sigmoid"


def test_patience_needs_evaluations():
    with pytest.raises(ConfigError) as refused:
        dataclasses.replace(text_rnn.PRESETS["small"], eval_every=0)
    assert refused.value.field == "patience" and "eval_every" in refused.value.reason


def test_patience_needs_held_out_data(dataset, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path / "run", dataset, "--held_out=0")
    assert "--patience=5" in capsys.readouterr().err and not (tmp_path / "run" / "flags.json").exists()


def test_different_texts_have_different_digests(tmp_path):
    digests = set()
    for name, text in (("a", "one two three four five " * 100), ("b", "one two three five four " * 100)):
        (tmp_path / f"{name}.txt").write_text(text)
        config = dataclasses.replace(text_rnn.PRESETS["small"], dataset=f"text:{tmp_path}/{name}.txt")
        digests.add(text_rnn.load(config).digest)
        assert text_rnn.load(config).digest in digests
    assert len(digests) == 2 and "" not in digests
