# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Fonts that have the letters of a text, for pictures and curves."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.model_utils.messages import say

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

_LONGEST = 40  # letters of a name in a picture
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
# Parts of the names of fonts that are taken last, as there may be a plain one.
_STYLES = ("bold", "italic", "oblique", "black", "light", "thin", "mono", "cond", "serif")
# Of fonts that cannot be drawn, or have a box for every letter.
_UNFIT = ("emoji", "lastresort")


def printable(text: str) -> str:
    """The text with a question mark for each character that is no letter, sign or space."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def elided(text: str, longest: int = _LONGEST) -> str:
    """The text, or its beginning and its end where it has more letters."""
    if len(text) <= longest:
        return text
    end = longest // 3
    return text[: longest - end - 1] + _ELLIPSIS + text[len(text) - end :]


def shown_names(class_names: Sequence[str]) -> list[str]:
    """The names of the classes as pictures show them: long ones cut, each in letters of some font.

    A class whose letters no font has is called by its number, which is said once.
    """
    names = [elided(printable(name)) for name in class_names]
    missing = [index for index, name in enumerate(names) if fonts_of(name) is None]
    if missing:
        _say_missing(names[missing[0]], missing[0], len(missing))
    return [f"class {i}" if i in missing else name for i, name in enumerate(names)]


@functools.cache
def _say_missing(name: str, index: int, count: int) -> None:
    say(
        f"note: no font of this system has the letters of {count} class name(s), as {name!r}, "
        f"which pictures call class {index}; install one that has them (Debian: fonts-noto-cjk)"
    )


@functools.lru_cache(maxsize=4096)
def fonts_of(text: str) -> tuple[str, ...] | None:
    """Files of fonts that have all letters of a text, the plain one first; None if none have."""
    plain = _plain_font()
    missing = frozenset(map(ord, text)) - _letters(plain)
    further = _further_fonts(missing) if missing else ()
    return None if further is None else (plain, *further)


@functools.cache
def _plain_font() -> str:
    """Matplotlib's own font, so that pictures look the same on every machine."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@functools.cache
def _further_fonts(missing: frozenset[int]) -> tuple[str, ...] | None:
    """Fonts of the system that have these letters: one alone if there is one, else several."""
    from matplotlib import font_manager

    paths = [
        path
        for path in font_manager.findSystemFonts()
        if not any(part in Path(path).name.lower() for part in _UNFIT)
    ]
    paths.sort(key=lambda path: (any(s in Path(path).name.lower() for s in _STYLES), path))
    for path in paths:
        if missing <= _letters(path):
            return (path,)
    several = []
    for path in paths:
        if missing & _letters(path):
            several.append(path)
            missing -= _letters(path)
    return None if missing else tuple(several)


@functools.lru_cache(maxsize=64)
def _letters(path: str) -> frozenset[int]:
    """The code points that a font has; none if it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


def families_of(texts: Sequence[str]) -> list[str]:
    """The families of fonts that have the letters of these texts, as matplotlib takes them."""
    from matplotlib import font_manager

    paths = dict.fromkeys(path for text in texts for path in fonts_of(text) or ())
    families = []
    for path in paths or [_plain_font()]:
        font_manager.fontManager.addfont(path)
        families.append(font_manager.FontProperties(fname=path).get_name())
    return families


@functools.cache
def _font(path: str, size: int) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(path, size)


def _runs(text: str, size: int) -> "list[tuple[str, FreeTypeFont]]":
    """The text in parts, each with the first font that has its letters."""
    paths = fonts_of(text) or (_plain_font(),)
    runs: list[tuple[str, str]] = []
    for sign in text:
        path = next((path for path in paths if ord(sign) in _letters(path)), paths[0])
        if runs and runs[-1][1] == path:
            runs[-1] = runs[-1][0] + sign, path
        else:
            runs.append((sign, path))
    return [(part, _font(path, size)) for part, path in runs]


def text_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels that `draw_text` needs for a line."""
    runs = _runs(text, size)
    plain = sum(_font(_plain_font(), size).getmetrics())
    width = sum(font.getlength(part) for part, font in runs)
    return round(width), max([plain, *(sum(font.getmetrics()) for _, font in runs)])


def draw_text(
    draw: "ImageDraw", place: tuple[int, int], text: str, colour: tuple[int, int, int], size: int
) -> None:
    """Draws a line of text, its left upper corner at `place`."""
    left, top = place
    runs = _runs(text, size)
    fonts = [_font(_plain_font(), size), *(font for _, font in runs)]
    base = top + max(font.getmetrics()[0] for font in fonts)
    for part, font in runs:
        draw.text((left, base), part, colour, font, anchor="ls")
        left += font.getlength(part)
