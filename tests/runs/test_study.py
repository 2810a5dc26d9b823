"""Tests of studies: from the command line to the table, and refused options."""

import dataclasses
import json

import pytest

from experiments import naive_bayes
from gdl_jax.core import loop
from gdl_jax.runs.study import Study, StudyOptions, TrainedVariant, Variant, main, table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    seeds: int = 2
    batches: int = 2  # of each run


EXPERIMENT = dataclasses.replace(naive_bayes.EXPERIMENT, preview=lambda run: None, analyse=lambda run: {})  # no figures
VARIANTS = [
    Variant("smooth", "smoothing 1", EXPERIMENT, ("--smoothing=1",)),
    Variant("smoother", "smoothing 10", EXPERIMENT, ("--smoothing=10",), step_size=25),
]
STUDY = Study(
    options=Options(),
    variants=lambda options: VARIANTS,
    flags=lambda options, variant: ("--config=tiny", f"--seeds={options.seeds}", f"--steps={options.batches}"),
    heading="smoothing",
    columns={"test/loss": "nats"},
    curves=("test/loss",),
)


def cells(text):
    """Returns {label: {heading: cell}} of a table in Markdown."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    header, _, *rows = lines
    return {label: dict(zip(header[1:], row, strict=True)) for label, *row in rows}


def run(workdir, *flags, studies=STUDY):
    main(studies, "about", ["program", f"--workdir={workdir}", *flags])


def trained(**results):
    numbers = {name: {"mean": value, "std": 0.5} for name, value in results.items()}
    return TrainedVariant(VARIANTS[0], numbers | {"training_minutes": 1.0}, ())


@pytest.mark.slow
def test_from_the_command_line_to_the_table(tmp_path, capsys):
    run(tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert text in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results) == ["smooth", "smoother"]
    assert results["smooth"]["test/loss"]["mean"] < results["smoother"]["test/loss"]["mean"]
    found = cells(text)
    assert list(found) == ["smoothing 1", "smoothing 10"]
    for cell, result in zip(found.values(), results.values(), strict=True):
        assert cell["nats"] == f"{result['test/loss']['mean']:.3g} ± {result['test/loss']['std']:.2g}"
    assert (tmp_path / "ablation.png").exists()
    flags = json.loads((tmp_path / "smooth" / "flags.json").read_text())["flags"]
    assert (flags["seeds"], flags["steps"], flags["smoothing"]) == (2, 2, 1.0)

    checkpoint = tmp_path / "smooth" / "checkpoints" / "2"
    before = checkpoint.stat().st_mtime_ns
    run(tmp_path)  # nothing is trained again
    assert checkpoint.stat().st_mtime_ns == before
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, "--batches=1")
    assert "--steps" in capsys.readouterr().err


def test_deletes_results_of_fewer_steps_when_training_continues(tmp_path, monkeypatch):
    study = dataclasses.replace(STUDY, variants=lambda options: VARIANTS[:1])
    run(tmp_path, "--batches=1", studies=study)
    assert (tmp_path / "smooth" / "results.json").exists()

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train", killed)
    with pytest.raises(SystemExit, match="130"):
        run(tmp_path, studies=study)
    assert not (tmp_path / "smooth" / "results.json").exists()


@pytest.mark.slow
def test_runs_one_of_several_studies(tmp_path):
    needed = Variant("needed", "needed", EXPERIMENT, ("--config=tiny", "--steps=1"))
    drawn = []
    other = dataclasses.replace(
        STUDY,
        variants=lambda options: VARIANTS[:1],
        prerequisites=lambda options: [needed],
        measure=lambda workdir: {"twice": {"mean": 2.0, "std": 0.0}, "remark": workdir.name},
        columns={"twice": "two"},
        texts=("remark",),
        note=lambda options: f"{options.batches} batches",
        picture=lambda trained, path: drawn.append(path),
    )
    run(tmp_path, "--study=other", studies={"one": STUDY, "other": other})
    assert {path.name for path in (tmp_path / "other").iterdir() if path.is_dir()} == {"needed", "smooth"}
    text = (tmp_path / "other" / "table.md").read_text()
    assert cells(text)["smoothing 1"]["two"] == "2 ± 0"
    assert "smoothing 1: smooth" in text
    assert "2 batches" in text
    assert drawn == [tmp_path / "other" / "ablation.png"]


def test_references_are_rows_and_missing_metrics_no_columns():
    columns = {"samples/fid": "FID", "samples/recall": "recall", "instability": "instability"}
    study = dataclasses.replace(STUDY, columns=columns, references={"real_images": "real images", "people": "people"})
    first = trained(**{"samples/fid": 2.0, "instability": 3.0})
    first.results["real_images/fid"] = 0.25
    found = cells(table(study, [first, trained(**{"samples/fid": 2.0, "samples/recall": 1.0, "instability": 3.0})]))
    assert list(found) == ["smoothing 1", "real images"]
    assert found["smoothing 1"] == {"FID": "2 ± 0.5", "instability": "3 ± 0.5", "minutes": "1.0"}
    assert found["real images"] == {"FID": "0.25", "instability": "", "minutes": ""}


def test_refuses_a_single_seed(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, "--seeds=1")
    assert "--seeds=1" in capsys.readouterr().err
