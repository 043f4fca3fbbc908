import re

import numpy as np

from kcseg.study.preview import write_preview


def images(count, mean_hu, seed=0):
    random = np.random.default_rng(seed)
    return [mean_hu + 15 * random.standard_normal((192, 192)) for _ in range(count)]


def test_the_key_names_the_real_ones_and_nothing_else_tells_them(tmp_path):
    write_preview(tmp_path / "page.html", images(5, 50), images(3, 60))
    page = (tmp_path / "page.html").read_text()
    assert page.index("Real:") > page.index("<h2>Noise</h2>")
    key = re.search(r"Real: ([\d, ]+)\.", page).group(1).split(", ")
    assert len(key) == 3 and all(1 <= int(number) <= 8 for number in key)
    assert "5 simulated and 3 real" in page
    assert page.count("data:image/png;base64,") == 2


def test_without_real_ones_there_is_no_key(tmp_path):
    write_preview(tmp_path / "page.html", images(4, 50))
    assert "The key" not in (tmp_path / "page.html").read_text()


def test_the_order_depends_on_the_seed_alone(tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        write_preview(tmp_path / name, images(6, 50), images(6, 60), seed=seed)
    keys = {
        name: re.search(r"Real: .*", (tmp_path / name).read_text()).group()
        for name in ("one", "again", "other")
    }
    assert keys["one"] == keys["again"] != keys["other"]
