"""Tests of BERT's pre-training from the command line: its numbers, blanks, vectors of words, weights, clear errors."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest

from experiments import bert, export, sample
from experiments.language import masked_words
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.tensor_files import read_tensors, write_tensors
from gdl_jax.data.text.subword import read_wordpiece
from gdl_jax.runs.main import main
from gdl_jax.runs.restore import restore

SHORT = ["--config=tiny", "--steps=4", "--log_every=2", "--eval_every=4", "--checkpoint_every=2", "--duplicates=1"]
SENTENCES = ("I hope you will [MASK] to [MASK] .", "She had no hope of [MASK] .")


def train(workdir, *flags):
    main(bert.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a tiny run of the bundled novel."""
    workdir = tmp_path_factory.mktemp("bert") / "run"
    train(workdir, "--config=tiny")
    return workdir


@pytest.fixture(scope="module")
def run(finished):
    return restore(finished, warn=pytest.fail, read_data=True).run


def sampled(workdir, *flags):
    out = workdir.parent / "out"
    sample.main(["sample", f"--workdir={workdir}", f"--out={out}", *flags])
    return (out / "fill_in.txt").read_text()


def masked_logits(run, tokens):
    """Returns logits (N, T, V) of rows without padding and of one segment."""
    network, zeros = masked_words.network(run.config, run.data), np.zeros_like(tokens)
    variables = {"params": run.state.params["network"]}
    return network.apply(variables, tokens, zeros, zeros == 0, train=False, method="masked_words")


def test_learns_more_than_an_untrained_network_knows(finished, run):
    results = json.loads((finished / "results.json").read_text())
    assert results["test/word_loss"] < np.log(run.data.tokenizer.size) - 0.5
    assert results["test/loss"] == pytest.approx(results["test/word_loss"] + results["test/next_loss"], abs=0.1)


def test_guesses_without_context_are_reported(finished, run):
    """Of each token to predict that still stands there, the guess is right."""
    results = json.loads((finished / "results.json").read_text())
    rows, right, words, mask = run.data.test.arrays, [], [], run.data.tokenizer.special["[MASK]"]
    for row in range(len(rows["tokens"])):
        for place in np.flatnonzero(rows["weights"][row]):
            words.append(int(rows["targets"][row, place]))
            right.append((int(rows["tokens"][row, rows["positions"][row, place]]), words[-1]))
    commonest = max(set(words), key=words.count)
    wanted = np.mean([target == (commonest if seen == mask else seen) for seen, target in right])
    assert results["unigram/word_accuracy"] == pytest.approx(wanted, rel=1e-4)
    shares = [words.count(word) / len(words) for word in set(words)]
    assert results["unigram/word_loss"] == pytest.approx(-sum(p * np.log(p) for p in shares), rel=1e-4)
    assert 0.5 <= results["unigram/next_accuracy"] <= 1


def test_fills_in_the_likeliest_words(finished, run, tmp_path):
    (tmp_path / "sentences.txt").write_text("\n\n".join(SENTENCES))
    lines = sampled(finished, f"--prompts={tmp_path / 'sentences.txt'}", "--num=3").splitlines()
    assert [line for line in lines if not line.startswith("  ")] == list(SENTENCES)
    assert [line.startswith("  ") for line in lines] == [False, True, True, False, True]
    special = run.data.tokenizer.special
    tokens = [special["[CLS]"]]
    for part in re.split(r"(\[MASK\])", SENTENCES[1]):
        tokens += [special["[MASK]"]] if part == "[MASK]" else run.data.tokenizer.encode(part).tolist()
    tokens = np.array([[*tokens, special["[SEP]"]]])
    logits = np.array(masked_logits(run, tokens)[0, list(tokens[0]).index(special["[MASK]"])])
    shares = np.exp(logits) / np.exp(logits).sum()
    wanted = ", ".join(f"{run.data.tokenizer.tokens[one]} {shares[one]:.0%}" for one in np.argsort(-shares)[:3])
    assert lines[-1] == f"  [MASK]: {wanted}"


def test_held_out_examples_are_filled_in_with_their_words_beside(finished, run):
    text = sampled(finished, "--num=2")
    rows = run.data.test.take(np.arange(2))
    words = {run.data.tokenizer.tokens[one] for one in rows["targets"][rows["weights"] > 0]}
    found = re.findall(r"^  (\S+): ", text, re.MULTILINE)
    assert found and set(found) <= words


def test_a_words_vectors_differ_in_sentences_and_its_embeddings_do_not(run):
    sentences = ("I hope you will come.", "She had no hope of it.", "I hope you will come.")
    found, embedding = map(masked_words.cosines, masked_words.word_vectors(run, "hope", sentences))
    np.testing.assert_allclose(embedding, 1, atol=1e-5)
    np.testing.assert_allclose(found[0, 2], 1, atol=1e-5)
    assert found[0, 1] < 0.999


def test_sampling_compares_a_words_vectors(finished, tmp_path):
    (tmp_path / "sentences.txt").write_text("I hope you will come.\nShe had no hope.\n")
    sampled(finished, f"--prompts={tmp_path / 'sentences.txt'}", "--word=hope")
    assert {path.name for path in (finished.parent / "out").glob("*.png")} >= {"attention.png", "contexts.png"}


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--prompt=no blank"], "prompt"),
        (["--prompt=" + "why [MASK] " * 40], "prompt"),
        (["--prompt=I hope so", "--word=hope"], "word"),
        (["--prompt=a", "--prompts=b"], "prompts"),
    ],
    ids=["no_blank", "long", "one_sentence", "both"],
)
def test_a_bad_prompt_is_one_clear_line(finished, capsys, flags, named):
    with pytest.raises(SystemExit) as exit_:
        sampled(finished, *flags)
    assert exit_.value.code == 2
    assert f"--{named}" in capsys.readouterr().err


def test_a_sentence_without_the_word_is_named(run):
    with pytest.raises(ConfigError, match="word"):
        masked_words.word_vectors(run, "hope", ("I hope so.", "No."))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--heads=3"], "heads"),
        (["--positions=16"], "positions"),
        (["--tokenizer=character"], "tokenizer"),
        (["--max_length=4"], "max_length"),
        (["--dataset=wikitext2"], "dataset"),
    ],
    ids=lambda value: value[0].partition("=")[0] if isinstance(value, list) else value,
)
def test_a_bad_flag_is_one_clear_line(tmp_path, capsys, flags, named):
    with pytest.raises(SystemExit) as exit_:
        train(tmp_path / "run", *SHORT, *flags)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error


@pytest.fixture(scope="module")
def exported(finished):
    """The folder that `export` wrote of the tiny run."""
    folder = finished.parent / "exported"
    export.main(["export", f"--workdir={finished}", f"--out={folder}"])
    return folder


def started(run, folder, **changes):
    """Returns the parameters from which a run with `--init=folder` starts."""
    config = dataclasses.replace(run.config, init=str(folder), **changes)
    make_state = bert.start(config, run.data)
    initial = jax.jit(bert.build(config, run.data, None).init)
    return make_state(initial(jax.random.key(1), run.data.transform(run.data.example()))).params["network"]


def test_an_exported_network_starts_another_run(run, exported):
    jax.tree.map(np.testing.assert_array_equal, started(run, exported), run.state.params["network"])
    assert read_wordpiece(exported) == run.data.tokenizer


def test_heads_that_a_file_lacks_are_told_and_trained_from_scratch(run, exported, tmp_path, capsys):
    encoder = {name.removeprefix("bert."): array for name, array in read_tensors(exported).items() if "cls" not in name}
    write_tensors(tmp_path / "encoder.safetensors", encoder)
    found, trained = started(run, tmp_path / "encoder.safetensors"), run.state.params["network"]
    assert "cls.predictions" in capsys.readouterr().err
    jax.tree.map(np.testing.assert_array_equal, found["bert"], trained["bert"])
    assert np.abs(found["transform"]["kernel"] - trained["transform"]["kernel"]).max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"width": 64}, "of another shape"), ({"layers": 2}, "encoder.layer.1")],
    ids=["width", "layers"],
)
def test_weights_that_do_not_fit_are_refused(run, exported, changes, named):
    with pytest.raises(UserError, match=named):
        started(run, exported, **changes)


def test_hugging_face_reads_an_exported_network(run, exported):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = transformers.BertForPreTraining.from_pretrained(exported).eval()
    tokens = np.arange(32).reshape(2, 16) % run.data.tokenizer.size
    with torch.no_grad():
        wanted = theirs(torch.tensor(tokens)).prediction_logits.numpy()
    np.testing.assert_allclose(masked_logits(run, tokens), wanted, atol=1e-4)


@pytest.mark.slow
def test_bfloat16_and_full_sharding_change_the_loss_little(tmp_path):
    """Losses after the same updates, to the precision of the arithmetic."""
    losses = {}
    for name, flags in {
        "plain": [],
        "sharded": ["--parallel=fsdp"],
        "half": ["--precision=bf16"],
    }.items():
        train(tmp_path / name, *SHORT, *flags)
        losses[name] = json.loads((tmp_path / name / "results.json").read_text())["test/loss"]
    for name, within in {"sharded": 1e-4, "half": 1e-2}.items():
        assert losses[name] == pytest.approx(losses["plain"], rel=within), name
