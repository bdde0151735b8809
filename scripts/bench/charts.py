"""Draw the charts of a benchmark as SVG, by hand: lines over a common axis, nothing to install."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#1b7837", "#222222", "#2166ac", "#b2182b", "#e08214", "#762a83", "#01665e", "#8c510a", "#999999", "#d01c8b")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, KEY = 560, 300, 56, 34, 40, 190


def lines(title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return an SVG of one line for each series; the axis upwards begins at 0."""
    xs = [x for points in series.values() for x, _ in points]
    top = max((y for points in series.values() for _, y in points), default=1.0) * 1.05 or 1.0
    low, high = min(xs), max(xs)
    plot_width, plot_height = WIDTH - LEFT - KEY, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        share = (x - low) / (high - low) if high > low else 0.5
        return round(LEFT + share * plot_width, 1), round(TOP + plot_height * (1.0 - y / top), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="13">{escape(title)}</text>',
        f'<text x="{LEFT + plot_width / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(13 {TOP + plot_height / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    for step in range(5):
        value = top * step / 4
        _, y = at(low, value)
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + plot_width}" y2="{y}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4}" text-anchor="end">{value:.3g}</text>')
    for x in sorted(set(xs)):
        left, base = at(x, 0.0)
        parts.append(f'<text x="{left}" y="{base + 15}" text-anchor="middle">{x:g}</text>')
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x},{y}" for x, y in (at(*point) for point in points))
        wide = 3 if number == 0 else 1.5
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{wide}"/>')
        y = TOP + 12 + 16 * number
        x = LEFT + plot_width + 12
        parts.append(
            f'<line x1="{x}" y1="{y - 4}" x2="{x + 18}" y2="{y - 4}" stroke="{colour}" stroke-width="{wide}"/>'
        )
        parts.append(f'<text x="{x + 24}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
