from kcseg.page.page import Section, flat, to_markdown, write_sections


def sections(tmp_path):
    picture = tmp_path / "figures" / "one.png"
    picture.parent.mkdir()
    picture.write_bytes(b"not looked at")
    return [
        Section("", "First.\n\nSecond <b>."),
        Section("Table", rows=[{"": "median", "Dice": 0.9}], figures=[(picture, "A picture.")]),
    ]


def test_a_page_carries_its_sections(tmp_path):
    write_sections(tmp_path / "page.html", "Title", sections(tmp_path))
    page = (tmp_path / "page.html").read_text()
    assert "<p>First.</p>" in page and "Second &lt;b&gt;." in page
    assert "<th>Dice</th>" in page and "<td>0.9</td>" in page
    assert page.count("data:image/png;base64,") == 1 and "A picture." in page


def test_the_same_as_markdown(tmp_path):
    text = to_markdown("Title", sections(tmp_path), beside=tmp_path)
    assert text.startswith("# Title\n\nFirst.\n\nSecond <b>.\n\n## Table\n\n")
    assert "|  | Dice |\n| --- | --- |\n| median | 0.9 |\n" in text
    assert "![A picture.](figures/one.png)" in text


def test_nested_settings_become_one_level():
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}
