"""The pages as a browser shows them: Chromium, where there is one."""

import html
import json
import re
import shutil
import subprocess

import pytest

from kcseg.page.page import Section, write_page, write_sections
from kcseg.prediction.predict import predict_files
from kcseg.prediction.viewer import write_library, write_viewer
from kcseg.scan.result import LABELS
from kcseg.serving.runner import Ensemble
from tests.prediction.test_predict import Kidneys, expecting_by_disagreement, write_kidney
from tests.scan.conftest import Body, axial

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

# Asks a page, in a frame of each width, what a person would notice
LOOK = """
const wait = ms => new Promise(done => setTimeout(done, ms));
const frame = document.querySelector("iframe");
(async () => {
  const said = {overflow: {}, broken: [], order: []};
  for (const width of [360, 768, 1920]) {
    frame.style.width = width + "px"; await wait(150);
    const page = frame.contentDocument.documentElement;
    said.overflow[width] = page.scrollWidth - page.clientWidth;
  }
  const page = frame.contentDocument;
  for (const image of page.images) {
    const picture = new Image();  // another: the page loads its own when they come into view
    await new Promise(done => {
      picture.onload = done;
      picture.onerror = () => done(said.broken.push(image.getAttribute("src").slice(0, 40)));
      picture.src = image.src;
    });
    if (!image.alt) said.broken.push("no alt");
  }
  const cells = () => [...page.querySelectorAll("table.sortable tbody tr")].filter(row => !row.hidden)
    .map(row => row.cells[0].textContent);
  said.order.push(cells());
  for (const name of CLICKS) {
    [...page.querySelectorAll("th button")].find(button => button.textContent === name).click();
    said.order.push(cells());
  }
  const field = page.querySelector("input[type=search]");
  if (field) { field.value = FILTER; field.dispatchEvent(new Event("input")); said.order.push(cells()); }
  document.body.textContent = JSON.stringify(said);
})();
"""


def look(path, clicks=(), text=""):
    """What a browser shows of a page: overflow in px by width, pictures that are missing, rows after each click."""
    script = f"const CLICKS = {json.dumps(clicks)}, FILTER = {json.dumps(text)};{LOOK}"
    frame = f'<iframe src="{path.name}" style="height: 2000px"></iframe>'
    looking = path.with_name("looking.html")
    looking.write_text(
        f"<!doctype html><meta charset=utf-8><body>{frame}<script>onload = () => {{{script}}}</script></body>"
    )
    shown = opened(looking, "--disable-gpu", "--allow-file-access-from-files")
    return json.loads(html.unescape(re.search(r"<body>(.*)</body>", shown, re.DOTALL)[1]))


def opened(path, *options):
    """A page as it stands in the browser after its scripts, none of which may complain."""
    common = ("--headless", "--no-sandbox", "--virtual-time-budget=20000", "--enable-logging=stderr")
    found = subprocess.run(
        [CHROMIUM, *common, *options, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "CONSOLE" not in found.stderr, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    """A page of three images, in a folder that was moved after it was written."""
    folder = tmp_path_factory.mktemp("predictions")
    images = {
        "calm, with a name so long that it needs a line of its own on any telephone": (5, 80.0),
        "noisy": (60, 80.0),
        "alike": (5, 180.0),
    }
    files = {
        name: write_kidney(folder / f"{place}.npy", *drawn)
        for place, (name, drawn) in enumerate(images.items())
    }
    predict_files(Ensemble(Kidneys(), card=expecting_by_disagreement()), files, folder / "out")
    return shutil.move(folder / "out", folder / "moved") / "index.html"


def test_predictions_fit_every_screen_and_can_be_sorted_and_filtered(predictions):
    said = look(predictions, ["contrast, HU", "contrast, HU"], "late phase")
    assert said["overflow"] == {"360": 0, "768": 0, "1920": 0} and not said["broken"]
    first, rising, falling, filtered = (["".join(name[:5]) for name in names] for names in said["order"])
    assert first == ["noisy", "alike", "calm,"]
    assert rising[0] == "alike" and falling == rising[::-1] and filtered == ["alike"]


def test_a_missing_picture_and_a_wide_table_are_noticed(predictions, tmp_path):
    broken = shutil.copytree(predictions.parent, tmp_path / "broken")
    (broken / "overlays" / "noisy.png").unlink()
    text = (broken / "index.html").read_text().replace('class="wide"', 'class="narrow"')
    (broken / "index.html").write_text(text)
    said = look(broken / "index.html")
    assert said["broken"] == ["overlays/noisy.png"] and said["overflow"]["360"] > 0


def test_reports_and_scans_fit_every_screen(tmp_path):
    from matplotlib.figure import Figure

    rows = [{f"a column with number {place}": 0.123456 for place in range(12)}]
    page = write_sections(
        tmp_path / "report.html", "Report", [Section("Table", rows=rows, figures=[(Figure(), "Empty.")])]
    )
    kidney = dict.fromkeys(
        ("cortex_ml", "cortex_low_ml", "cortex_high_ml", "kidney_ml", "parenchyma_ml"), 90.1
    )
    kidney |= dict.fromkeys(("cortex_share", "thickness_mm", "thickness_q1_mm", "thickness_q3_mm"), 0.7)
    kidney |= {
        "side": "right",
        "length_mm": 110.0,
        "contrast_hu": 60.0,
        "note": "kidney cut by the end of the scan",
    }
    (tmp_path / "montages").mkdir()
    Figure(figsize=(12, 4)).savefig(tmp_path / "montages" / "one.png")
    write_page(tmp_path / "scans.html", "scans.html", scans={"one": {"kidneys": [kidney], "notes": []}})
    for path in (page, tmp_path / "scans.html"):
        said = look(path)
        assert said["overflow"] == {"360": 0, "768": 0, "1920": 0} and not said["broken"]


def test_a_scan_is_drawn_in_three_planes_from_disk(tmp_path):
    """With software in place of a graphics card."""
    scan = Body().scan(*axial((3.0, 3.0, 4.0)))
    labels = (scan.hu > 150).astype("uint8") * LABELS["right cortex"]
    write_library(tmp_path)
    write_viewer(tmp_path / "one.html", "one", scan, labels)
    shown = opened(tmp_path / "one.html", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    assert '<body data-shown="2">' in shown  # volumes drawn: the CT and its labels
