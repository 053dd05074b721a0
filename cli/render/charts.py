"""Lines over time as SVG that stands inside a page: pygal draws, the page's variables colour it, nothing is fetched."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

from cli.render.styles import span

# It looks for maps in a way that Python 3.12 has no more, and that warns at every later import before.
sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]

_NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Seconds between two marks of the time axis; beyond, days."""
_MARKS = 8
_WIDTH, _HEIGHT = 960, 260


@dataclass(frozen=True)
class Trace:
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float | None]]
    """Seconds, and a value or a break."""
    colour: str
    """A variable of the page's style sheet."""
    dashes: str = ""
    is_filled: bool = False


@dataclass(frozen=True)
class Axis:
    """The values: from where to where, and how a mark is written."""

    low: float
    high: float
    write: Callable[[float], str]
    marks: tuple[float, ...] = ()


def chart(title: str, traces: Sequence[Trace], axis: Axis, *, seconds: float) -> str:
    """An SVG element."""
    drawn = pygal.XY(
        style=_style(traces),
        width=_WIDTH,
        height=_HEIGHT,
        js=(),
        title=None,
        range=(axis.low, axis.high),
        xrange=(0, seconds),
        value_formatter=axis.write,
        show_dots=False,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(traces),
        legend_box_size=10,
        margin=8,
        allow_interruptions=True,
        show_x_guides=False,
        truncate_legend=-1,
    )
    drawn.x_labels = _times(seconds)
    drawn.x_value_formatter = span
    if axis.marks:
        drawn.y_labels = list(axis.marks)
    for trace in traces:
        stroke = {"width": 2, **({"dasharray": trace.dashes} if trace.dashes else {})}
        drawn.add(trace.name, list(trace.points), stroke_style=stroke, fill=trace.is_filled)
    return _element(title, drawn.render_tree())


def _style(traces: Sequence[Trace]) -> Style:
    return Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--text)",
        foreground_strong="var(--text)",
        foreground_subtle="var(--faint)",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        guide_stroke_dasharray="0",
        major_guide_stroke_dasharray="0",
        opacity=".15",
        stroke_opacity="1",
        stroke_width="2",
        font_family="inherit",
        label_font_size=13,
        major_label_font_size=13,
        legend_font_size=13,
        colors=tuple(f"var({trace.colour})" for trace in traces),
    )


def _times(seconds: float) -> list[float]:
    apart = next((nice for nice in _NICE if seconds / nice <= _MARKS), 86400 * math.ceil(seconds / 86400 / _MARKS))
    return [float(apart * i) for i in range(int(seconds // apart) + 1)]


def _element(title: str, root: ET.Element) -> str:
    """The drawing without scripts and remarks, and with a name for those who don't see it."""
    for parent in root.iter():
        for child in list(parent):
            tag: object = child.tag
            if tag in {"script", ET.Comment}:
                parent.remove(child)
            elif tag == "title":
                child.text = title
    root.set("role", "img")
    root.set("aria-label", title)
    return ET.tostring(root, encoding="unicode")
