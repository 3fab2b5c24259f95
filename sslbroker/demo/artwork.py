"""The posters of the demo's shop, drawn from a number.

Decides what picture N looks like: a grid of plain shapes in one of a few palettes, as SVG text.
Invariant: the same number gives the same bytes in every server and every run, so a picture that one
server began another can finish. Refuses to hold a file, a font or a reference to anything outside.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import Final

PICTURES: Final = 50
"""Pictures are numbered 1 to this."""

COLUMNS: Final = 4
ROWS: Final = 5
TILE: Final = 60  # SVG user units

PALETTES: Final = (
    ("#f4efe6", "#1d3557", "#e63946", "#f1a208", "#457b9d"),
    ("#f7f3e9", "#22223b", "#c9ada7", "#9a8c98", "#f2704f"),
    ("#eef2ee", "#14342b", "#60935d", "#f3b61f", "#bad29f"),
    ("#fdf6ec", "#2b2d42", "#ef476f", "#06a77d", "#ffd166"),
    ("#eef1f6", "#0b132b", "#3a506b", "#5bc0be", "#ff9f6e"),
    ("#fbf1ee", "#3d1e3f", "#b5446e", "#f0a868", "#7a9e9f"),
)


def _tile(random: Random, x: int, y: int, colours: list[str]) -> str:
    """One square of the grid, its upper left corner at x, y."""
    ground, shape, accent = random.sample(colours, 3)
    side, half = TILE, TILE // 2
    right, bottom = x + side, y + side
    corners = ((x, y, 1), (right, y, 1), (right, bottom, 1), (x, bottom, 1))
    kind = random.randrange(6)
    parts = [f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{ground}"/>']
    if kind == 0:
        parts.append(f'<circle cx="{x + half}" cy="{y + half}" r="{half}" fill="{shape}"/>')
        parts.append(f'<circle cx="{x + half}" cy="{y + half}" r="{half // 2}" fill="{accent}"/>')
    elif kind in (1, 2):
        # A quarter of a disc that fills its tile, and for kind 2 a smaller one on it.
        quarters = (
            f"M{x} {y}h{{r}}a{{r}} {{r}} 0 0 1 -{{r}} {{r}}z",
            f"M{right} {y}v{{r}}a{{r}} {{r}} 0 0 1 -{{r}} -{{r}}z",
            f"M{right} {bottom}h-{{r}}a{{r}} {{r}} 0 0 1 {{r}} -{{r}}z",
            f"M{x} {bottom}v-{{r}}a{{r}} {{r}} 0 0 1 {{r}} {{r}}z",
        )
        path = random.choice(quarters)
        parts.append(f'<path d="{path.format(r=side)}" fill="{shape}"/>')
        if kind == 2:
            parts.append(f'<path d="{path.format(r=half)}" fill="{accent}"/>')
    elif kind == 3:
        points = " ".join(f"{cx},{cy}" for cx, cy, _ in random.sample(corners, 3))
        parts.append(f'<polygon points="{points}" fill="{shape}"/>')
    elif kind == 4:
        parts.append(f'<path d="M{x} {y + half}a{half} {half} 0 0 1 {side} 0z" fill="{shape}"/>')
        parts.append(f'<path d="M{x} {bottom}a{half} {half} 0 0 1 {side} 0z" fill="{accent}"/>')
    else:
        step = side // 5
        for offset in range(0, side, 2 * step):
            parts.append(f'<rect x="{x}" y="{y + offset}" width="{side}" height="{step}" fill="{shape}"/>')
    return "".join(parts)


@lru_cache(maxsize=PICTURES)
def picture(number: int) -> bytes:
    """Picture `number` as an SVG document; `ValueError` when it is not 1 to `PICTURES`."""
    if not 1 <= number <= PICTURES:
        raise ValueError(f"there is no picture {number}: they are numbered 1 to {PICTURES}")
    random = Random(f"poster {number}")
    paper, *colours = PALETTES[number % len(PALETTES)]
    width, height = COLUMNS * TILE, ROWS * TILE
    tiles = "".join(
        _tile(random, column * TILE, row * TILE, [paper, *colours])
        for row in range(ROWS)
        for column in range(COLUMNS)
    )
    margin = TILE // 3
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="-{margin} -{margin} {width + 2 * margin} {height + 2 * margin}">'
        f"<title>Poster {number}</title>"
        f'<rect x="-{margin}" y="-{margin}" width="100%" height="100%" fill="{paper}"/>{tiles}</svg>\n'
    ).encode()
