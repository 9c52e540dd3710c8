"""The picture of the rounds: three small charts in one SVG, drawn by hand."""

from collections.abc import Sequence
from pathlib import Path

from lsloop.running.rounds import Line

NAME = "rounds.svg"

WIDTH, HEIGHT, MARGIN = 240, 150, 46  # pixels of one chart, and around each
BAR = 0.6  # of the room that each round has
Bars = Sequence[tuple[int, float | None, str]]
"""Round, value, and how it is written."""

COLOURS = ("#4c72b0", "#dd8452", "#55a868")


def write(path: Path, lines: Sequence[Line]) -> str:
    """Write the picture; where it is."""
    path.write_text(svg(lines), encoding="utf-8")
    return str(path)


def svg(lines: Sequence[Line]) -> str:
    """Draw three charts of the rounds as SVG.

    They show the WER of the model in use, words that people changed, and the share of answers submitted
    unchanged.
    """
    charts: list[tuple[str, Bars]] = [
        (
            "Word error rate on test clips",
            [(one.number, one.value, f"{one.value or 0:.2f}") for one in lines],
        ),
        (
            "Words changed by annotators",
            [(one.number, one.words_changed, f"{one.words_changed}") for one in lines],
        ),
        (
            "Pre-annotations unchanged",
            [(one.number, one.acceptance, f"{one.acceptance or 0:.0%}") for one in lines],
        ),
    ]
    width, height = len(charts) * (WIDTH + MARGIN) + MARGIN, HEIGHT + 2 * MARGIN
    drawn = [_chart(at, *chart) for at, chart in enumerate(charts)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "".join(drawn) + "</svg>\n"
    )


def _chart(at: int, title: str, values: Bars) -> str:
    left, foot = MARGIN + at * (WIDTH + MARGIN), MARGIN + HEIGHT
    most = max((value or 0.0 for _, value, _ in values), default=0.0) or 1.0
    room = WIDTH / max(len(values), 1)
    parts = [f'<text x="{left}" y="{MARGIN - 22}" font-weight="bold">{title}</text>\n']
    for place, (number, value, told) in enumerate(values):
        middle = left + (place + 0.5) * room
        parts.append(f'<text x="{middle:.0f}" y="{foot + 18}" text-anchor="middle">{number}</text>\n')
        if value is not None:
            tall = HEIGHT * value / most
            parts.append(
                f'<rect x="{middle - room * BAR / 2:.1f}" y="{foot - tall:.1f}" width="{room * BAR:.1f}"'
                f' height="{tall:.1f}" fill="{COLOURS[at]}"/>\n'
                f'<text x="{middle:.0f}" y="{foot - tall - 5:.0f}" text-anchor="middle">{told}</text>\n'
            )
    parts.append(f'<line x1="{left}" y1="{foot}" x2="{left + WIDTH}" y2="{foot}" stroke="#333333"/>\n')
    parts.append(f'<text x="{left + WIDTH / 2:.0f}" y="{foot + 36}" text-anchor="middle">round</text>\n')
    return "".join(parts)
