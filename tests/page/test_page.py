from matplotlib.figure import Figure

from kcseg.config import Config
from kcseg.page.page import Section, settings_section, table, to_markdown, write_sections


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
    assert 'class="strong"' not in page and 'class="quiet">seed' not in page


def test_facts_a_row_that_stands_out_and_a_figure_without_a_file(tmp_path):
    rows = [{"": "mean", "Dice": 0.8}, {"": "median", "Dice": 0.9}]
    section = Section(rows=rows, strong=1, figures=[(Figure(), "Empty.")])
    page = write_sections(tmp_path / "page.html", "Title", [section], {"seed": 5, "images": "<3"}).read_text()
    assert '<p class="quiet">seed: 5 · images: &lt;3</p>' in page
    assert '<tr class="strong"><td>median</td>' in page and "<tr><td>mean</td>" in page
    assert "data:image/png;base64,iVBOR" in page and [path.name for path in tmp_path.iterdir()] == [
        "page.html"
    ]


def test_the_same_as_markdown(tmp_path):
    text = to_markdown("Title", sections(tmp_path), beside=tmp_path)
    assert text.startswith("# Title\n\nFirst.\n\nSecond <b>.\n\n## Table\n\n")
    assert "|  | Dice |\n| --- | --- |\n| median | 0.9 |\n" in text
    assert "![A picture.](figures/one.png)" in text


def test_nested_settings_become_one_level():
    rows = settings_section(Config()).rows
    assert {"setting": "network.levels", "value": 5} in rows and {"setting": "seed", "value": 2018} in rows


def test_a_table_has_numbers_of_four_digits_and_no_empty_columns():
    rows = [
        {
            "name": "mean",
            "dice_truth": 0.05,
            "area_mm2": 123456,
            "rate": 0.00123456,
            "faults": "",
            "ms": None,
        },
        {"name": "median", "dice_truth": None, "area_mm2": 0, "rate": 1.0, "faults": "", "ms": None},
    ]
    assert table(rows) == [
        {"name": "mean", "Dice truth": "0.0500", "area mm²": "123456", "rate": "0.001235"},
        {"name": "median", "Dice truth": "–", "area mm²": "0", "rate": "1"},
    ]
