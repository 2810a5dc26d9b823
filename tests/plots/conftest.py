"""Fixtures of the tests of plots."""

import pytest

from gdl_jax.plots import figure


@pytest.fixture
def drawn(monkeypatch):
    """Records the matplotlib figures of all saved files, in order."""
    figures = []
    render = figure.render

    def record(canvas):
        figures.append(canvas)
        return render(canvas)

    monkeypatch.setattr(figure, "render", record)
    return figures
