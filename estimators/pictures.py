"""Curves and tables of fits: for matplotlib, and as HTML for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["COLORS", "Sheet", "curves_svg", "html_table", "new_axes", "plot_curves"]

# Of training, validation, the first score and further ones: they differ for all eyes,
# and stand out from white three times at least.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#000000")
_BEST = "#7F7F7F"
_DASHES = ("--", ":", "-.")

# A picture in a notebook.
_WIDTH, _HEIGHT, _EDGE = 480, 160, 8


class Sheet(str):
    """A table as text, which notebooks show as HTML.

    Parameters
    ----------
    text : str
    rows : sequence of sequence of str
        Its cells, those of the header first.
    """

    rows: Sequence[Sequence[str]]

    def __new__(cls, text: str, rows: Sequence[Sequence[str]] = ()):
        made = super().__new__(cls, text)
        made.rows = rows
        return made

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        header, *rows = self.rows
        return html_table(header, rows)


def html_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], best: int | None = None
) -> str:
    """A table of cells, which are escaped; the row number `best` is bold."""
    lines = ["<table>", _html_row(header, "th")]
    for number, row in enumerate(rows):
        strong = ' style="font-weight: bold"' if number == best else ""
        lines.append(_html_row(row, "td", strong))
    return "\n".join([*lines, "</table>"])


def _html_row(cells: Sequence[str], tag: str, style: str = "") -> str:
    inner = "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)
    return f"<tr{style}>{inner}</tr>"


def new_axes(who: str):
    """Axes of a new figure of matplotlib.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{who} needs matplotlib: pip install 'slimlearn[plot]'"
        ) from error
    return plt.subplots()[1]


def plot_curves(history, ax, title: str):
    """Draw a history's losses on `ax`, its scores on axes beside, and the best epoch.

    Returns
    -------
    matplotlib Axes
        `ax`.
    """
    curves = {k: c for k, c in history.curves().items() if k != "learning_rate"}
    epochs = range(1, history.epochs + 1)
    # Scorers named neg_…_loss give scores.
    losses = [n for n in curves if n.endswith("loss") and "neg_" not in n]
    scores = [name for name in curves if name not in losses]
    colors = _colors([*losses, *scores])
    lines = []
    for name in losses:
        lines += ax.plot(epochs, curves[name], label=name, color=colors[name])
    ax.set(xlabel="epoch", ylabel="loss", title=title)
    if scores:
        beside = ax.twinx()
        beside.set_ylabel("score")
        # The legend stands before all curves.
        ax.set_zorder(beside.get_zorder() + 1)
        beside.patch.set_visible(True)
        ax.patch.set_visible(False)
        for number, name in enumerate(scores):
            dashes = _DASHES[min(number // (len(COLORS) - 2), len(_DASHES) - 1)]
            options = {"label": name, "color": colors[name], "linestyle": dashes}
            lines += beside.plot(epochs, curves[name], **options)
    best = history.best_epoch
    label = f"best epoch: {best}"
    lines.append(ax.axvline(best, color=_BEST, linestyle=":", label=label))
    ax.legend(lines, [line.get_label() for line in lines])
    return ax


def _colors(names: Sequence[str]) -> dict[str, str]:
    """The colour of each curve: training, validation, then the others."""
    first = ("loss", "validation_loss")
    rest = [name for name in names if name not in first]
    ordered = [*first, *rest]
    return {
        name: COLORS[i] if i < len(first) else COLORS[2 + (i - 2) % (len(COLORS) - 2)]
        for i, name in enumerate(ordered)
    }


def curves_svg(history) -> str:
    """A picture of the losses and of the best epoch, that stands alone."""
    curves = {
        name: curve
        for name, curve in history.curves().items()
        if name in ("loss", "validation_loss")
    }
    finite = [v for curve in curves.values() for v in curve if math.isfinite(v)]
    if history.epochs < 2 or not finite:
        return ""
    low, high = min(finite), max(finite)
    apart = (high - low) or 1.0

    def x(epoch: int) -> float:
        return _EDGE + (epoch - 1) / (history.epochs - 1) * (_WIDTH - 2 * _EDGE)

    def y(value: float) -> float:
        return _EDGE + (high - value) / apart * (_HEIGHT - 2 * _EDGE)

    parts, names = [], []
    for name, color in _colors(list(curves)).items():
        if name not in curves:
            continue
        points = " ".join(
            f"{x(epoch):.1f},{y(value):.1f}"
            for epoch, value in enumerate(curves[name], start=1)
            if math.isfinite(value)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" '
            'stroke-width="1.5"/>'
        )
        names.append(f'<span style="color: {color}">&#9473; {name}</span>')
    at = x(history.best_epoch)
    parts.append(
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_HEIGHT}" stroke="{_BEST}" '
        'stroke-dasharray="2 3"/>'
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" '
        f'style="background: white">{"".join(parts)}</svg>'
        f"<div>{' '.join(names)}, from {low:.4g} to {high:.4g}; best epoch: "
        f"{history.best_epoch}</div>"
    )
