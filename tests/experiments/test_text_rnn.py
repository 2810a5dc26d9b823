"""A network that writes text through the command line, tiny: what it leaves, and what is measured of it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from experiments import sample, text_rnn
from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.data.dataset import ArraySource
from gdl_jax.data.text.tokens import SEPARATOR
from gdl_jax.data.text.windows import Windows
from gdl_jax.models.text_rnn import TextRNN
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.main import main
from gdl_jax.runs.restore import restore
from gdl_jax.runs.summary import blank_data, count_parameters

TINY = [
    *("--embedding_size=4", "--hidden_units=8", "--sequence_length=6", "--batch_size=8", "--dropout_rate=0"),
    *("--embedding_dropout_rate=0", "--log_every=2", "--eval_every=2", "--checkpoint_every=2"),
]
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
    main(experiment, "about", ["program", f"--workdir={workdir}", *TINY, *flags])


def checksums(workdir, step):
    return json.loads((workdir / "checkpoints" / str(step) / "meta" / "metadata").read_text())["checksums"]


def restored(workdir):
    return restore(workdir, warn=pytest.fail).run


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """The workdir of a short run."""
    workdir = tmp_path_factory.mktemp("text_rnn") / "run"
    train(workdir, dataset, "--steps=6")
    return workdir


def test_it_shows_what_it_writes_and_how_well_it_tells_what_comes_next(finished):
    made = {path.name for path in (finished / "figures").iterdir()}
    assert {*(f"samples_at_{step:07d}.png" for step in (0, 2, 4, 6)), "next_tokens.png"} <= made
    written = (finished / "figures" / "samples.txt").read_text()
    assert [line for line in written.splitlines() if line.startswith("temp")] == [
        f"temperature {t}" for t in text_rnn.TEMPERATURES
    ]
    run, results = restored(finished), json.loads((finished / "results.json").read_text())
    module, variables = TextRNN(run.config, len(run.data.vocabulary)), {"params": run.state.params["network"]}
    for split in ("validation", "test"):
        windows = getattr(run.data, split)
        tokens = windows.take(np.arange(len(windows)))["tokens"]
        logits = np.asarray(module.apply(variables, tokens[:, :-1], False), float)[:, 0]
        losses = -special.log_softmax(logits, axis=1)[np.arange(len(tokens)), tokens[:, -1]]
        in_story = tokens[:, -1] != run.data.vocabulary.index[SEPARATOR]
        assert 0 < in_story.mean() < 1
        assert results[f"{split}/perplexity"] == pytest.approx(np.exp(losses.mean()), rel=1e-4)
        assert results[f"{split}/perplexity without separators"] == pytest.approx(
            np.exp(losses[in_story].mean()), rel=1e-4
        )
    carried = [name for name in results if name.startswith("state carried on/")]
    assert carried == [f"state carried on/perplexity of {len(losses)} test tokens"]
    stream = windows.sequences["tokens"]
    every = TextRNN(dataclasses.replace(run.config, every_position=True), len(run.data.vocabulary))
    logits = np.asarray(every.apply(variables, stream[None, :-1], True, rngs={"dropout": run.key}), float)[0]
    losses = -special.log_softmax(logits, axis=1)[np.arange(len(stream) - 1), stream[1:]]
    assert results[carried[0]] == pytest.approx(np.exp(losses[run.config.sequence_length - 1 :].mean()), rel=1e-4)


def test_killed_it_goes_on_to_the_same_end(finished, dataset, tmp_path):
    def killed(run):
        if run.step == 4:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        train(tmp_path, dataset, "--steps=6", experiment=text_rnn.EXPERIMENT._replace(preview=killed))
    train(tmp_path, dataset, "--steps=6")
    assert checksums(tmp_path, 6) == checksums(finished, 6)


def test_a_run_that_gets_worse_stops_early_and_is_restored_at_its_best(dataset, tmp_path, capsys):
    flags = (dataset, "--steps=40", "--patience=2", "--optimizer=sgd", "--learning_rate=1000")
    train(tmp_path, *flags)
    losses = {
        row["step"]: row["validation/loss"] for row in read_rows(tmp_path / "metrics.jsonl") if "validation/loss" in row
    }
    best = min(losses, key=losses.get)
    assert max(losses) == best + 4 < 40  # two more evaluations
    run, results = restored(tmp_path), json.loads((tmp_path / "results.json").read_text())
    assert run.step == results["best step"] == best and results["steps trained"] == best + 4
    for value in (
        results["validation/perplexity"],
        text_rnn.held_out_numbers(run, "validation")["validation/perplexity"],
    ):
        assert value == pytest.approx(np.exp(losses[best]), rel=1e-4)
    assert losses[max(losses)] > losses[best] + 0.1
    capsys.readouterr()
    train(tmp_path, *flags)
    assert f"resuming from step {best + 4}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train(tmp_path, *flags, "--eval_every=1")  # it is what patience counts in
    assert "--eval_every was 2, is now 1" in capsys.readouterr().err
    assert max(row["step"] for row in read_rows(tmp_path / "metrics.jsonl")) == best + 4


def stories(capsys, workdir, *flags):
    capsys.readouterr()
    sample.main(["program", f"--workdir={workdir}", *flags])
    said = capsys.readouterr()
    return Path(said.out.strip()).read_text(encoding="utf-8").strip("\n").split("\n\n"), said.err


def test_samples_go_on_from_a_prompt_as_boldly_as_asked(finished, capsys):
    texts, said = stories(capsys, finished, "--num=3", "--prompt=The FOX, and the unicorn", "--temperature=0")
    assert said == "unknown to the model, and left out: , unicorn\n"
    assert len(texts) == 3 and set(texts) == {texts[0]} and texts[0].startswith("the fox and the")
    bold, _ = stories(capsys, finished, "--num=3", "--prompt=the fox", "--temperature=2")
    narrow, _ = stories(capsys, finished, "--num=3", "--prompt=the fox", "--temperature=2", "--top_k=1")
    assert len(set(bold)) == 3 and len(set(narrow)) == 1
    likeliest, _ = stories(capsys, finished, "--num=1", "--prompt=the fox", "--temperature=0")
    assert narrow[0] == likeliest[0]


def test_of_a_long_prompt_it_says_how_much_is_read(finished, capsys):
    prompt, end = "the fox and the crow met . the lion and the ox", "the lion and the ox"
    length = restored(finished).config.sequence_length
    (text,), said = stories(capsys, finished, "--num=1", f"--prompt={prompt}", "--temperature=0")
    assert said == f"of the prompt's 12 words the model reads the last {length}\n"
    (other,), said = stories(capsys, finished, "--num=1", f"--prompt=. {end}", "--temperature=0")
    assert said == "" and len(end.split()) + 1 == length
    assert text.partition(end)[2] == other.partition(end)[2]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--prompt=zyx unicorn"], "--prompt=zyx unicorn: the model knows none of these words"),
        (["--temperature=-1"], "--temperature=-1.0: must be at least 0"),
        (["--temperature=nan"], "--temperature=nan"),
        (["--temperature=inf"], "--temperature=inf"),
        (["--top_k=-1"], "--top_k=-1"),
        (["--top_k=3000000000"], "--top_k=3000000000"),
        (["--seed=99999999999999999999"], "--seed"),
        (["--top_p=1.5"], "--top_p=1.5"),
        (["--morph", "--images=."], "means nothing to text_rnn, whose samples take --num, --seed, --prompt"),
    ],
)
def test_bad_requests_are_one_line(finished, capsys, flags, text):
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        sample.main(["program", f"--workdir={finished}", *flags])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and text in line


def test_runs_that_stand_in_what_was_learnt_are_copied():
    """Of the written runs of eight, two are the learnt text's, one is not; none counts that a story's end is before."""
    learnt = np.arange(2, 40)
    written = np.concatenate([learnt[5:14], [40, 1], learnt[20:30]])[None]  # 9 in a row: 2 runs; with 40 one more
    data = dataclasses.replace(
        text_rnn.blank(text_rnn.PRESETS["aesop"]), train=Windows({"tokens": learnt}, np.arange(9), 21)
    )
    run = Run(None, data, None, None, None, 0, None)
    assert text_rnn.share_copied(run, written) == pytest.approx(2 / 3)
    assert text_rnn.share_copied(run, np.ones((2, 20), int)) == 0.0


@pytest.mark.parametrize(
    ("preset", "changes", "count"), [("aesop", {}, 1_853_901), ("aesop", {"layers": 2}, 2_379_213)], ids=str
)
def test_the_books_counts_need_no_data(preset, changes, count):
    config = dataclasses.replace(text_rnn.PRESETS[preset], **changes)
    data = blank_data(text_rnn.EXPERIMENT, config)
    assert isinstance(data.train, ArraySource)
    assert count_parameters(text_rnn.EXPERIMENT.parts(config, data)).total == count
    assert text_rnn.blank(dataclasses.replace(config, unknown_below=2)) is None


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"token_type": "letter"}, "--token_type=letter"),
        ({"sequence_length": 5000}, "--sequence_length=5000"),
        ({"train_examples": 10**6}, "--train_examples=1000000: lady_susan has "),
        ({"dataset": "text:/nowhere.txt"}, "/nowhere.txt"),
    ],
)
def test_bad_data_is_one_line(flags, text):
    with pytest.raises(UserError, match=text):
        text_rnn.load(dataclasses.replace(text_rnn.PRESETS["small"], **flags))


def test_where_lstms_reset_is_no_question(dataset, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path / "run", dataset, "--reset_after=false")
    assert "--reset_after=False: has no effect without --cell=gru" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["image_size", "avatars", "validation_examples"])
def test_a_text_has_no_images(flag):
    with pytest.raises(TypeError, match=flag):
        text_rnn.Config(**{flag: 5})


def test_the_book_s_presets_have_the_gates_of_its_keras():
    gates = {name: preset.recurrent_activation for name, preset in text_rnn.PRESETS.items()}
    assert gates == {"small": "sigmoid", "aesop": "hard_sigmoid"}


def test_patience_needs_evaluations():
    with pytest.raises(UserError, match="--patience=5: needs --eval_every"):
        dataclasses.replace(text_rnn.PRESETS["small"], eval_every=0)


def test_patience_needs_something_held_out(dataset, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path / "run", dataset, "--held_out=0")
    assert "error: --patience=5: text:" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_the_digest_tells_texts_apart(tmp_path):
    digests = set()
    for name, text in (("a", "one two three four five " * 100), ("b", "one two three five four " * 100)):
        (tmp_path / f"{name}.txt").write_text(text)
        config = dataclasses.replace(text_rnn.PRESETS["small"], dataset=f"text:{tmp_path}/{name}.txt")
        digests.add(text_rnn.load(config).digest)
        assert text_rnn.load(config).digest in digests
    assert len(digests) == 2 and "" not in digests
