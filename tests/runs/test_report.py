"""Tests of the report: complete contents, and no way for a run's contents to break the page."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.runs.report import player, write_report

RUN = {
    "experiment": "vae",
    "config": "digits",
    "command": "python -m experiments.vae --z_dim=5",
    "flags": {"dataset": "digits", "z_dim": 5, "filters": [32, 64], "steps": 600, "batch_size": 32, "data_dir": ""},
    "defaults": {"dataset": "digits", "z_dim": 2, "filters": [32, 64], "steps": 600, "batch_size": 32, "data_dir": ""},
    "versions": {"jax": "0.10.2"},
    "commit": "abc1234",
    "device": "1 x cpu",
    "started": "2026-01-02T03:04:05+00:00",
    "parameters": 207237,
}
ATTACK = "<script>alert('1')</script>\"&"
VOID = {"meta", "input", "img", "link", "br"}


class Page(HTMLParser):
    """Parser of a page's texts, images and attributes; it fails on unbalanced tags."""

    def __init__(self, path):
        super().__init__()
        self.open, self.text, self.images, self.marked, self.tags, self.attributes = [], [], {}, [], set(), []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag == "img":
            self.images[dict(attrs)["alt"]] = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "mark":
            self.marked.append(data)
        if "style" not in self.open:
            self.text.append(data)

    def __str__(self):
        return " ".join(" ".join(self.text).split())


def _picture(path, size=(30, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)
    return path


def _run(workdir, run=RUN, results=None, rows=()):
    (workdir / "flags.json").write_text(json.dumps(run))
    (workdir / "results.json").write_text(json.dumps(results or {}))
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return workdir


def test_shows_the_command_and_the_results(tmp_path):
    results = {"active units": 2.0, "test/kl_loss": {"mean": 3.19663, "std": 0.12, "values": [3.1, 3.3]}}
    results |= {"test/loss": 56.4742890625, "training_minutes": 1.5}
    page = str(Page(write_report(_run(tmp_path, results=results))))
    for text in (
        "vae digits",
        "207,237 parameters",
        "600 steps of 32",
        "trained in 1:30",
        "python -m experiments.vae --z_dim=5",
        "commit abc1234",
        "jax 0.10.2",
        "1 x cpu",
        "3.197 ± 0.12 KL loss, test",
        "2 Active units",
    ):
        assert text in page
    assert page.index("56.47 Loss, test") < page.index("3.197") < page.index("Active units")


def test_shows_every_result(tmp_path):
    results = {f"metric {i}": 1000.5 + i for i in range(40)}
    page = str(Page(write_report(_run(tmp_path, results=results))))
    assert all(f"Metric {i}" in page for i in range(40))


def test_tabulates_metrics_of_several_kinds(tmp_path):
    results = {f"{kind}/pitch_range": float(i) for i, kind in enumerate(("samples", "real pieces", "shuffled pieces"))}
    results |= {"test/loss": 5.5, "validation/loss": 6.5, "samples/polyphony": 7.5, "steps": 8.5}
    page = Page(write_report(_run(tmp_path, results=results)))
    cells = [text for text in page.text if text.strip()]
    first = cells.index("Real pieces")
    assert cells[first : first + 7] == ["Real pieces", "Samples", "Shuffled pieces", "Pitch range", "1", "0", "2"]
    second = cells.index("Validation")
    assert cells[second - 1 : second + 4] == ["Test", "Validation", "Loss", "5.5", "6.5"]
    assert cells.count("7.5") == cells.count("8.5") == 1  # reported by one kind only


def test_marks_changed_flags_next_to_their_preset_value(tmp_path):
    page = Page(write_report(_run(tmp_path)))
    assert page.marked == ["5"]
    assert "--z_dim 5 preset: 2" in str(page)
    assert "--filters 32,64 " in str(page) and "--data_dir (empty)" in str(page)


def test_embeds_images_byte_for_byte(tmp_path):
    first = _picture(tmp_path / "figures" / "latent_scatter.png")
    second = _picture(tmp_path / "figures" / "walk.gif", (5, 7))
    page = Page(write_report(_run(tmp_path)))
    assert set(page.images) == {"Latent scatter", "Walk"}
    for path, kind, alt in ((first, "png", "Latent scatter"), (second, "gif", "Walk")):
        head, _, data = page.images[alt]["src"].partition(",")
        assert head == f"data:image/{kind};base64" and base64.b64decode(data) == path.read_bytes()
    assert (page.images["Walk"]["width"], page.images["Walk"]["height"]) == ("5", "7")


def test_embeds_audio_with_its_midi_files(tmp_path):
    _picture(tmp_path / "figures" / "piece_score.png")
    files = {name: f"of {name}".encode() for name in ("piece.mp3", "piece_1.mid", "piece_2.mid", "other_1.mid")}
    for name, content in files.items():
        (tmp_path / "figures" / name).write_bytes(content)
    page = Page(write_report(_run(tmp_path)))
    held = [value.partition(",") for name, value in page.attributes if name in ("src", "href")]
    kinds = {base64.b64decode(data): head for head, _, data in held}
    assert kinds[files.pop("piece.mp3")] == "data:audio/mpeg;base64"
    assert files.pop("other_1.mid") not in kinds  # belongs to no audio file
    assert {kinds[content] for content in files.values()} == {"data:audio/midi;base64"}
    assert {value for name, value in page.attributes if name == "download"} == set(files)
    assert set(page.images) == {"Piece score"}


def test_shows_texts_verbatim(tmp_path):
    text = f"<b>a fox</b>\n\n  and the grapes {ATTACK}\n"
    _picture(tmp_path / "figures" / "a.png")
    (tmp_path / "figures" / "written_stories.txt").write_text(text, encoding="utf-8")
    page = Page(write_report(_run(tmp_path)))
    assert text in page.text and "Written stories" in page.text
    assert page.tags.isdisjoint({"b", "script"})


def test_needs_no_script_and_no_other_file(tmp_path):
    _picture(tmp_path / "figures" / "samples.png")
    for name in ("samples.mp3", "samples_1.mid", "samples.txt"):
        (tmp_path / "figures" / name).write_bytes(b"a")
    path = write_report(_run(tmp_path, rows=[{"step": 1, "train/loss": 2.0}]))
    page = Page(path)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object"})
    assert all(value.startswith("data:") for name, value in page.attributes if name in ("src", "href"))
    assert not re.search(r"url\(|@import|https?://", re.sub(r"base64,[^\"]*", "", path.read_text()))


def test_draws_curves_of_the_metrics(tmp_path):
    page = Page(write_report(_run(tmp_path, rows=[{"step": s, "train/loss": 2.0 / s} for s in (1, 2)])))
    assert set(page.images) == {"Curves"}
    assert (tmp_path / "figures" / "curves.png").exists()


def test_shows_a_selection_of_the_previews(tmp_path):
    steps = [100 * i for i in range(1, 51)]
    for step in steps:
        _picture(tmp_path / "figures" / f"samples_at_{step:07d}.png")
    shown = list(Page(write_report(_run(tmp_path))).images)
    assert shown[0] == "Samples at step 100" and shown[-1] == "Samples at step 5,000"
    assert len(shown) == 12


def test_gives_wide_figures_a_whole_row(tmp_path):
    for name, size in (("a_strip", (900, 100)), ("a_little_strip", (90, 10)), ("square", (900, 900))):
        _picture(tmp_path / "figures" / f"{name}.png", size)
    html = write_report(_run(tmp_path)).read_text()
    assert re.findall(r'class="wide"><figcaption>([^<]*)', html) == ["A strip"]


def test_escapes_everything(tmp_path):
    run = {key: ATTACK if isinstance(value, str) else value for key, value in RUN.items()}
    run |= {
        "flags": {"dataset": ATTACK, ATTACK: ATTACK},
        "defaults": {ATTACK: ATTACK + "!"},
        "versions": {ATTACK: ATTACK},
    }
    results = {f"{ATTACK}/{i}": ATTACK for i in range(20)}
    _picture(tmp_path / "figures" / '<script>&".png')
    page = Page(write_report(_run(tmp_path, run, results)))
    assert "script" not in page.tags
    assert str(page).count("alert") > 40 and '<script>&"' in page.images


@pytest.mark.parametrize("missing", ["flags.json", "results.json", "metrics.jsonl", "all"])
def test_skips_missing_files(tmp_path, missing):
    _run(tmp_path, results={"test/loss": 56.4742}, rows=[{"step": 1, "train/loss": 2.0}])
    for name in ("flags.json", "results.json", "metrics.jsonl"):
        if missing in (name, "all"):
            (tmp_path / name).unlink()
    page = Page(write_report(tmp_path))
    assert ("207,237" in str(page)) == (missing not in ("flags.json", "all"))
    assert ("56.47" in str(page)) == (missing not in ("results.json", "all"))
    assert ("Curves" in page.images) == (missing not in ("metrics.jsonl", "all"))
    assert ("vae" if missing not in ("flags.json", "all") else tmp_path.name) in str(page)


def test_shows_non_finite_numbers(tmp_path):
    results = {"a": float("nan"), "b": float("inf"), "c": -409.7818908691406, "d": 10000.0, "e": 1.5e-7}
    page = str(Page(write_report(_run(tmp_path, results=results))))
    for text in ("nan A", "inf B", "-409.8 C", "10,000 D", "1.5e-07 E"):
        assert text in page


@pytest.mark.parametrize("name", ["flags.json", "results.json"])
def test_names_a_damaged_file(tmp_path, name):
    _run(tmp_path)
    (tmp_path / name).write_text('{"test/loss": 1')
    with pytest.raises(UserError, match=name):
        write_report(tmp_path)


def test_names_a_damaged_picture(tmp_path):
    _picture(tmp_path / "figures" / "samples.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"samples\.png"):
        write_report(_run(tmp_path))


def test_names_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match=r"report\.html"):
        write_report(_run(tmp_path))


def test_a_player_embeds_the_whole_file(tmp_path):
    path, score = tmp_path / "a.mp3", tmp_path / "a_1.mid"
    path.write_bytes(b"sound")
    score.write_bytes(b"MThd")
    assert "<a " not in player(path, "Bach")
    html = player(path, "Bach & sons", [score])
    (data,) = re.findall(r'<a download="a_1.mid" href="data:audio/midi;base64,([^"]+)">a_1.mid</a>', html)
    assert base64.b64decode(data) == b"MThd"
    (data,) = re.findall(r'<audio controls[^>]* src="data:audio/mpeg;base64,([^"]+)">', html)
    assert base64.b64decode(data) == b"sound" and "Bach &amp; sons" in html
