"""Tests of GPT-2 from the command line: its numbers, samples, resuming, and clear errors."""

import io
import json
import shutil
import sys

import jax
import numpy as np
import pytest

from experiments import export, gpt2, sample, write
from experiments.language.continuation import TextWriter, sliding_loss
from gdl_jax.runs.main import main
from gdl_jax.runs.restore import restore

SHORT = ["--config=tiny", "--steps=6", "--log_every=2", "--eval_every=6", "--checkpoint_every=2"]


def train(workdir, *flags):
    main(gpt2.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a tiny run of the bundled novel."""
    workdir = tmp_path_factory.mktemp("gpt2") / "run"
    train(workdir, "--config=tiny")
    return workdir


@pytest.fixture(scope="module")
def run(finished):
    return restore(finished, warn=pytest.fail, read_data=True).run


def continued(workdir, *flags):
    sample.main(["sample", f"--workdir={workdir}", f"--out={workdir.parent / 'out'}", *flags])
    return (workdir.parent / "out" / "samples.txt").read_text()


def test_predicts_better_than_the_characters_frequencies(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["test/loss"] < results["unigram/loss"] - 0.2


def test_perplexities_follow_from_the_loss(finished, run):
    results = json.loads((finished / "results.json").read_text())
    size = run.data.test_size
    nats = results["test/loss"] * size.tokens
    assert results["test/perplexity"] == pytest.approx(np.exp(results["test/loss"]), rel=1e-4)
    assert results["test/bits_per_byte"] == pytest.approx(nats / size.bytes / np.log(2), rel=1e-4)
    assert results["test/word_perplexity"] == pytest.approx(np.exp(nats / size.words), rel=1e-3)


def test_the_sliding_loss_counts_each_token_once(run):
    tokens = run.data.test.sequences["tokens"]
    context, stride = run.config.context, run.config.context // 2
    network = gpt2.networks(run.config, run.data)["network"].module
    losses = {}
    for start in range(0, 10 * stride, stride):
        window = tokens[start : start + context + 1]
        logits = np.array(network.apply({"params": run.state.params["network"]}, window[None, :-1], train=False)[0])
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        for place, target in enumerate(window[1:]):
            losses.setdefault(start + place, -logits[place, target])
    few = gpt2.Windows({"tokens": tokens[: 9 * stride + context + 1]}, np.zeros(1, int), context + 1)
    assert sliding_loss(run, few) == pytest.approx(np.mean(list(losses.values())), rel=1e-4)


def test_continues_prompts_of_unequal_length_in_one_batch(finished, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("My dear\n\nI am\nYour affectionate sister, \n")
    texts = continued(finished, f"--prompts={prompts}", "--num=2", "--tokens=20").split("\n\n----\n\n")
    assert len(texts) == 6
    for text, prompt in zip(texts, ["My dear"] * 2 + ["I am"] * 2 + ["Your affectionate sister, "] * 2, strict=True):
        assert text.startswith(prompt)
        assert len(text.rstrip("\n")) <= len(prompt) + 20
    assert len(set(texts)) > 3


def test_a_batch_of_prompts_continues_each_as_if_alone(finished, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("My dear\nI am\n")
    both = continued(finished, f"--prompts={prompts}", "--num=1", "--tokens=9", "--temperature=0")
    alone = [
        continued(finished, f"--prompt={p}", "--num=1", "--tokens=9", "--temperature=0") for p in ("My dear", "I am")
    ]
    assert both == "\n\n----\n\n".join(text.removesuffix("\n") for text in alone) + "\n"


def test_says_that_a_text_is_longer_than_the_context(finished, capsys):
    continued(finished, "--prompt=I am your affectionate sister", "--tokens=30", "--num=1")
    assert "context" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "named"),
    [(["--prompt=日本"], "prompt"), (["--prompt=a", "--prompts=b.txt"], "prompts"), (["--tokens=0"], "tokens")],
)
def test_a_bad_prompt_is_one_clear_line(finished, capsys, flags, named):
    with pytest.raises(SystemExit) as exit_:
        continued(finished, *flags)
    assert exit_.value.code == 2
    assert f"--{named}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--heads=3"], "heads"),
        (["--tokenizer=bpe:/nowhere"], "nowhere"),
        (["--context=200000"], "dataset"),
        (["--dataset=tinyshakespeare"], "dataset"),
        (["--attention=fixed", "--attention_stride=4", "--attention_summary=5"], "attention_summary"),
    ],
)
def test_a_bad_flag_is_one_clear_line(tmp_path, capsys, flags, named):
    with pytest.raises(SystemExit) as exit_:
        train(tmp_path / "run", *SHORT, *flags)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--tokenizer=bpe:300"], ["--attention=strided", "--attention_stride=4", "--remat"]])
def test_other_tokenizers_and_patterns_train(tmp_path, flags):
    train(tmp_path / "run", *SHORT, *flags)
    assert len(continued(tmp_path / "run", "--num=1", "--tokens=40")) > 10


@pytest.mark.slow
def test_bfloat16_accumulation_and_full_sharding_change_the_loss_little(tmp_path):
    """Losses after the same updates, to the precision of the arithmetic."""
    losses = {}
    for name, flags in {
        "plain": [],
        "sharded": ["--parallel=fsdp"],
        "parts": ["--accumulate=4"],
        "half": ["--precision=bf16"],
    }.items():
        train(tmp_path / name, *SHORT, *flags)
        losses[name] = json.loads((tmp_path / name / "results.json").read_text())["test/loss"]
    assert losses["sharded"] == pytest.approx(losses["plain"], rel=1e-4)
    assert losses["parts"] == pytest.approx(losses["plain"], rel=1e-4)
    assert losses["half"] == pytest.approx(losses["plain"], rel=1e-2)


@pytest.fixture(scope="module")
def exported(finished):
    """The folder that `export` wrote of the tiny run."""
    folder = finished.parent / "exported"
    export.main(["export", f"--workdir={finished}", f"--out={folder}"])
    return folder


def test_an_exported_network_starts_another_run(finished, exported, tmp_path):
    trained = restore(finished, warn=pytest.fail).run.state.params
    train(tmp_path / "run", *SHORT[:1], "--bias", "--steps=1", "--learning_rate=1e-30", f"--init={exported}")
    found = restore(tmp_path / "run", warn=pytest.fail).run.state.params
    jax.tree.map(np.testing.assert_array_equal, found, trained)


def test_an_interrupted_run_resumes_without_the_weights_it_started_from(exported, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    flags = [*SHORT[:1], "--eval_every=0", f"--init={copy}"]
    train(tmp_path / "run", *flags, "--steps=1")
    shutil.rmtree(copy)
    train(tmp_path / "run", *flags, "--steps=2")
    assert restore(tmp_path / "run", warn=pytest.fail).run.step == 2


def test_hugging_face_reads_an_exported_network(finished, exported):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(exported).eval()
    run = restore(finished, warn=pytest.fail).run
    tokens = np.arange(32).reshape(2, 16) % run.data.tokenizer.size
    network = gpt2.networks(run.config, run.data)["network"].module
    ours = network.apply({"params": run.state.params["network"]}, tokens, train=False)
    with torch.no_grad():
        np.testing.assert_allclose(ours, theirs(torch.tensor(tokens)).logits.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--init=nowhere"], "nowhere"),
        (["--width=64"], "h.0.attn.c_attn.bias"),
        (["--layers=1"], "h.1."),
        (["--tokenizer=word"], "wte.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_is_written(exported, tmp_path, capsys, flags, named):
    with pytest.raises(SystemExit) as ended:
        train(tmp_path / "run", "--config=tiny", f"--init={exported}", *flags)
    assert ended.value.code == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "run" / "flags.json").exists()


def test_a_run_without_a_format_for_others_says_so(finished, tmp_path, capsys):
    train(tmp_path / "run", "--config=tiny", "--attention=local", "--attention_stride=4", "--steps=1", "--eval_every=0")
    with pytest.raises(SystemExit):
        export.main(["export", f"--workdir={tmp_path / 'run'}"])
    assert "attention" in capsys.readouterr().err


def test_writes_with_a_user(finished, run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ear\n1\nß\n:undo\n\n".encode())))
    write.main(["write", f"--workdir={finished}", "--prompt=My d", "--temperature=0"])
    said = capsys.readouterr()
    (greedy,) = continued(finished, "--prompt=My dear", "--temperature=0", "--tokens=1", "--num=1").splitlines()
    assert said.out.rstrip("\n") == greedy
    assert ascii("ß") in said.err


def test_the_menu_has_the_probabilities_of_the_network(run):
    writer = TextWriter(run)
    story = run.data.test.take(np.zeros(1, np.int64))["tokens"][0].tolist()
    network = gpt2.networks(run.config, run.data)["network"].module
    for length in (3, len(story)):  # the last is longer than the context
        latest = np.array(story[:length][-run.config.context :])
        logits = np.asarray(network.apply({"params": run.state.params["network"]}, latest[None], train=False))[0, -1]
        expected = np.exp(logits - logits.max())
        np.testing.assert_allclose(writer.probabilities(story[:length]), expected / expected.sum(), atol=1e-5)
