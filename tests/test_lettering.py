# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Names of classes in pictures and curves: in letters of a font that has them."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from src.evaluation.coco_results import ClassScore, class_table
from src.visual import curves, lettering, pictures

CHINESE = ["猫", "狗"]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Fonts are looked for once in a program; here once in a test."""
    for function in (lettering.fonts_of, lettering._further_fonts, lettering._say_missing):
        function.cache_clear()
    yield
    lettering.fonts_of.cache_clear()
    lettering._further_fonts.cache_clear()


def make_font(path: Path, letters: str) -> str:
    """A font of filled squares, 800 of 1000 units high and wide."""
    pen = TTGlyphPen(None)
    for step, corner in enumerate([(100, 0), (100, 800), (900, 800), (900, 0)]):
        (pen.lineTo if step else pen.moveTo)(corner)
    pen.closePath()
    square, names = pen.glyph(), [".notdef", *(f"u{ord(letter):X}" for letter in letters)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(letter): f"u{ord(letter):X}" for letter in letters})
    font.setupGlyf(dict.fromkeys(names, square))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return str(path)


def give(monkeypatch: pytest.MonkeyPatch, *paths: str) -> None:
    """These are the fonts of the system."""
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(paths))


def test_names_are_drawn_by_a_font_that_has_their_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    other = make_font(tmp_path / "Other.ttf", "é猫")
    bold = make_font(tmp_path / "A Bold.ttf", "猫狗")
    plain = make_font(tmp_path / "Plain.ttf", "猫狗")
    give(monkeypatch, other, bold, plain)
    assert lettering.fonts_of("cat, été")[1:] == ()  # the usual font has them
    assert lettering.fonts_of("猫 狗 cat")[1:] == (plain,)
    assert lettering.shown_names(CHINESE) == CHINESE
    image = np.zeros((480, 640, 3), np.uint8)
    picture = pictures.draw_boxes(image, np.array([[100, 100, 500, 400, 0]]), ["猫猫"])
    label = picture[:100, 100:160]
    is_label = (label == pictures.class_colour(0)).all(axis=2)
    letters = (label == 0).all(axis=2) & (np.arange(60) > 2)
    # Two squares with a gap of a fifth of a letter between them, on the label's colour.
    row = letters[is_label.any(axis=1).nonzero()[0].mean().round().astype(int)]
    first, gap, second = np.diff(np.flatnonzero(np.diff(row.astype(int)))[:4])
    assert first == second > 3 * gap
    assert capsys.readouterr().out == ""


def test_letters_of_several_fonts_stand_in_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cat, dog = make_font(tmp_path / "Cat.ttf", "猫"), make_font(tmp_path / "Dog.ttf", "狗")
    give(monkeypatch, cat, dog)
    assert set(lettering.fonts_of("猫狗")[1:]) == {cat, dog}
    width, height = lettering.text_size("猫a狗", 20)
    assert 40 <= width <= 60 and height >= 20


def test_a_class_whose_letters_no_font_has_is_its_number_which_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    give(monkeypatch)
    for _ in range(3):
        assert lettering.shown_names(["cat", *CHINESE]) == ["cat", "class 1", "class 2"]
    assert capsys.readouterr().out == (
        "note: no font of this system has the letters of 2 class name(s), as '猫', which pictures "
        "call class 1; install one that has them (Debian: fonts-noto-cjk)\n"
    )


@pytest.mark.parametrize("has_font", [True, False])
def test_curves_have_letters_without_a_warning(
    has_font: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    give(monkeypatch, *([make_font(tmp_path / "Squares.ttf", "猫狗")] if has_font else []))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each letter that is missing
        figure = curves.precision_recall_curves(np.full((10, 101, 2), 0.5), CHINESE)
        curves.write_figure(tmp_path / "curves.svg", figure)
    texts = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert texts[0].startswith("猫: AP" if has_font else "class 0: AP")


def test_long_names_are_cut_so_that_they_stay_apart(tmp_path: Path):
    names = [f"{'part of a machine ' * 20}{end}" for end in ("left", "right")]
    first, second = lettering.shown_names(names)
    assert len(first) == len(second) == 40 and first != second
    assert lettering.elided("short", 5) == "short"
    assert lettering.elided("a long one", 6) == "a l…ne"
    narrow = np.zeros((480, 90, 3), np.uint8)
    picture = pictures.draw_boxes(narrow, np.array([[20, 100, 60, 300, 0.5, 0]]), names)
    label = (picture == pictures.class_colour(0)).all(axis=2)[:, 30:50].all(axis=1)
    assert label.sum() > 3  # there is one, also where the picture is narrow
    figure = curves.precision_recall_curves(np.full((10, 101, 2), 0.5), names)
    curves.write_figure(tmp_path / "curves.png", figure)
    assert all(axes.get_position().width > 0.6 for axes in figure.axes)
    table = class_table(dict.fromkeys(names, ClassScore(0.5, 0.5, 1, 1)))
    assert max(map(len, table)) < 80
