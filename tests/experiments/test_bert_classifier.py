"""Tests of labels by a fine-tuned BERT from the command line: numbers, probabilities, weights, clear errors."""

import json

import jax
import numpy as np
import pytest

from experiments import bert_classifier, export, sample
from experiments.language import sentence_labels
from gdl_jax.data.tensor_files import read_tensors, write_tensors
from gdl_jax.runs.main import main
from gdl_jax.runs.restore import restore

SHORT = ["--config=tiny", "--steps=2", "--log_every=2", "--eval_every=0", "--checkpoint_every=2"]
STAY = [*SHORT, "--learning_rate=1e-30"]  # of which one update changes nothing
SENTENCES = ("Das ist ein Haus, und das ist eine Frau.", "She was very happy to see her sister.")


def train(workdir, *flags):
    main(bert_classifier.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a tiny run on the bundled sentences."""
    workdir = tmp_path_factory.mktemp("labels") / "run"
    train(workdir, "--config=tiny")
    return workdir


@pytest.fixture(scope="module")
def run(finished):
    return restore(finished, warn=pytest.fail, read_data=True).run


@pytest.fixture(scope="module")
def exported(finished):
    """The folder that `export` wrote of the tiny run."""
    folder = finished.parent / "exported"
    export.main(["export", f"--workdir={finished}", f"--out={folder}"])
    return folder


def params_of(workdir):
    return restore(workdir, warn=pytest.fail).run.state.params


def labelled(workdir, *flags):
    out = workdir.parent / "out"
    sample.main(["sample", f"--workdir={workdir}", f"--out={out}", *flags])
    return (out / "labels.txt").read_text().splitlines()


def test_learns_more_than_the_commonest_label(finished, run):
    results = json.loads((finished / "results.json").read_text())
    labels = run.data.test.labels()
    assert results["majority/accuracy"] == pytest.approx(
        (labels == np.bincount(run.data.train.labels()).argmax()).mean()
    )
    assert results["test/accuracy"] > results["majority/accuracy"] + 0.2
    assert results["test/loss"] < np.log(len(run.data.classes)) - 0.4


def test_sampling_writes_the_probabilities_of_the_network(finished, run, tmp_path):
    (tmp_path / "sentences.txt").write_text("\n\n".join(SENTENCES))
    lines = labelled(finished, f"--prompts={tmp_path / 'sentences.txt'}")
    assert [line for line in lines if not line.startswith("  ")] == list(SENTENCES)
    tokenizer = run.data.tokenizer
    special = tokenizer.special
    for text, line in zip(SENTENCES, lines[1::2], strict=True):
        tokens = np.array([[special["[CLS]"], *tokenizer.encode(text)[:30], special["[SEP]"]]])
        module = sentence_labels.network(run.config, run.data)
        variables = {"params": run.state.params}
        logits = np.array(module.apply(variables, tokens, np.zeros_like(tokens), tokens >= 0, train=False)[0])
        shares = np.exp(logits) / np.exp(logits).sum()
        wanted = [f"{run.data.classes[one]} {shares[one]:.0%}" for one in np.argsort(-shares)]
        assert line.strip().split(", ") == wanted


def test_held_out_sentences_have_their_labels_beside_mistakes(finished, run):
    lines = labelled(finished, "--num=20")
    assert len(lines) == 40
    label = dict(zip(run.data.sentences["test"], run.data.test.labels().tolist(), strict=True))
    for text, line in zip(lines[::2], lines[1::2], strict=True):
        right = run.data.classes[label[text]]
        assert line.strip().startswith(right) != line.endswith(f"; right: {right}")


def test_a_long_sentence_is_cut_and_named(finished, capsys):
    labelled(finished, "--prompt=" + "und das ist " * 40)
    assert "only the first 30" in capsys.readouterr().err


def test_an_exported_network_starts_another_run(finished, exported, tmp_path):
    train(tmp_path / "run", *STAY, f"--init={exported}")
    jax.tree.map(np.testing.assert_array_equal, params_of(tmp_path / "run"), params_of(finished))


def test_the_head_alone_is_trained_on_a_frozen_encoder(finished, exported, tmp_path, capsys):
    tensors = {name: x for name, x in read_tensors(exported).items() if not name.startswith("classifier.")}
    write_tensors(tmp_path / "model.safetensors", tensors)
    train(tmp_path / "run", *SHORT, "--trained=head", f"--init={tmp_path}")
    assert "classifier" in capsys.readouterr().err
    before, after = params_of(finished), params_of(tmp_path / "run")
    for name, old in before["bert"].items():
        new = after["bert"][name]
        changed = jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), old, new))
        assert all(changed) if name == "pooler" else not any(changed), name
    assert (before["classifier"]["kernel"] != after["classifier"]["kernel"]).any()


def test_labels_of_a_file_without_a_test_split(tmp_path):
    lines = [
        f"a sentence of kind {number % 2} and number {number}\t{'odd' if number % 2 else 'even'}"
        for number in range(48)
    ]
    for name, part in (("train", lines[:40]), ("dev", lines[40:])):
        (tmp_path / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *part]))
    train(tmp_path / "run", *SHORT, f"--dataset=tsv:{tmp_path}", "--tokenizer=wordpiece:60")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["majority/accuracy"] == 0.5 and "validation/accuracy" in results
    assert "test/accuracy" not in results


def test_hugging_face_reads_an_exported_network(exported, run):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = transformers.BertForSequenceClassification.from_pretrained(exported).eval()
    assert [theirs.config.id2label[number] for number in range(6)] == list(run.data.classes)
    rows = sentence_labels.encode(run, SENTENCES)
    mask = np.arange(rows["tokens"].shape[1]) < rows["length"][:, None]
    with torch.no_grad():
        found = theirs(torch.tensor(rows["tokens"]).long(), attention_mask=torch.tensor(mask).long()).logits
    shares = sentence_labels.probabilities(run, rows)
    np.testing.assert_allclose(shares, torch.softmax(found, 1).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--init=nowhere"], "nowhere"),
        (["--tokenizer=character"], "tokenizer"),
        (["--max_length=2"], "max_length"),
        (["--dataset=sst2"], "sst2"),
        (["--trained=none"], "trained"),
    ],
    ids=["no_weights", "characters", "short", "no_data", "trained"],
)
def test_a_bad_flag_is_one_clear_line(tmp_path, capsys, flags, named):
    with pytest.raises(SystemExit) as ended:
        train(tmp_path / "run", *SHORT, *flags)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("error: ") == 1 and named in error
    assert not (tmp_path / "run" / "flags.json").exists()


@pytest.mark.parametrize("flags", [["--width=64"], ["--layers=2"]], ids=["width", "layers"])
def test_weights_of_other_sizes_are_refused(exported, tmp_path, capsys, flags):
    with pytest.raises(SystemExit):
        train(tmp_path / "run", *SHORT, f"--init={exported}", *flags)
    assert str(exported) in capsys.readouterr().err
