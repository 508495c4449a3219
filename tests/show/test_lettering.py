from fastcli.show import lettering


def test_text_in_any_script_is_drawn_or_boxed():
    words, families = lettering.drawable("a\tb\n猫\u200d\ufe0f é \x07 𝒜")
    assert words.startswith("a b ")
    assert "é" in words
    assert "𝒜" in words  # in a font that comes with matplotlib, if not in its first one
    assert len(families) > 1
    assert lettering.drawable("\U000f0000")[0] == lettering.NO_GLYPH
