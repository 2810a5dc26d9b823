"""Fixtures of the plots' tests."""

import pytest

from gdl_jax.plots import figure


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figures behind the files that are written, in order."""
    figures = []
    render = figure.render

    def record(canvas):
        figures.append(canvas)
        return render(canvas)

    monkeypatch.setattr(figure, "render", record)
    return figures
