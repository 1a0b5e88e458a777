"""The fonts cover what they are said to cover, and what they do not is shown as its code point."""

from pathlib import Path

import pytest

from chargeback_worker.documents.fonts import FONTS, PdfPartMissing, folders, part, showable
from chargeback_worker.documents.templates import template


@pytest.mark.parametrize(
    "script",
    [
        "Latin: Zażółć gęślą jaźń, Đặng Thị, ſœŒß",
        "Кириллица: Ѓѓ Її Ўў",
        "Ελληνικά: ἀρχή",
        "עברית: שָׁלוֹם",
        "العربية: مرحبا ۱۲۳ پژگ",
        "漢字 汉字 かな カナ 한국어 ㄅㄆ 𠮷",
        "देवनागरी",
        "− – — … · × → ≈ € £ ¥ ₹ № ™ ✓ ☃",
    ],
)
def test_the_scripts_that_are_promised_are_covered(script: str) -> None:
    assert showable(script) == script


def test_a_character_that_no_font_has_is_its_code_point() -> None:
    assert showable("ok 😀!") == "ok [U+1F600]!"
    assert showable("\ue000") == "[U+E000]"


def test_the_words_of_the_template_itself_are_covered() -> None:
    words = template("invoice.typ").replace("\n", " ")
    assert showable(words) == words


def test_every_font_is_a_file_of_a_package() -> None:
    for font, folder in zip(FONTS, folders(), strict=True):
        assert (Path(folder) / font.file).is_file(), font


def test_a_missing_part_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(PdfPartMissing, match="'no_such_part'") as caught:
        part("no_such_part.inner")
    assert "pip install 'chargeback-worker[pdf]'" in caught.value.hint
