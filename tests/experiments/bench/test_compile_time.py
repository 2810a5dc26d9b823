"""Tests of the compilation benchmark on a small network."""

import dataclasses

import pytest

from experiments import gpt2
from experiments.bench import compile_time
from gdl_jax.runs.summary import trace_step

SMALL = {"context": 8, "heads": 2, "width": 8, "tokenizer": "bpe:300"}


@pytest.mark.slow
def test_both_times_of_each_case_are_measured(monkeypatch):
    monkeypatch.setitem(gpt2.PRESETS, "gpt2", dataclasses.replace(gpt2.PRESETS["gpt2"], **SMALL))
    results = list(compile_time.measure([(2, 1), (2, 2)], repeats=1))
    assert [(row["layers"], row["unroll"]) for row in results] == [(2, 1), (2, 2)]
    assert all(row["lower_seconds"] > 0 and row["compile_seconds"] > 0 for row in results)


def test_the_loop_s_program_does_not_grow_with_the_layers(monkeypatch):
    monkeypatch.setitem(gpt2.PRESETS, "gpt2", dataclasses.replace(gpt2.PRESETS["gpt2"], **SMALL))
    programs = []

    def trace(experiment, config):
        traced = trace_step(experiment, config)
        programs.append(traced[0].lower().as_text())
        return traced

    monkeypatch.setattr(compile_time, "trace_step", trace)
    for layers, unroll in ((2, 1), (6, 1), (6, 6)):
        compile_time.seconds(layers, unroll)
    two, six, unrolled = (len(program.splitlines()) for program in programs)
    assert two == six < unrolled
