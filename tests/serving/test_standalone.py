"""The exported folder in a process that cannot import kcseg, as in TF Serving."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.measure import label

import kcseg
from kcseg.image.window import window
from kcseg.phantom.case import draw_case

REAL_CROPS = Path(kcseg.__file__).parents[2] / "shared" / "data" / "ct_crops"

# loads the model of the folder given as first argument; each test adds what to do with it
LOAD = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "kcseg":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
assert "kcseg" not in sys.modules
"""

SEGMENT = """
asked = np.load(sys.argv[2])
answers = {
    f"{number}/{name}": value.numpy()
    for number in asked.files
    for name, value in model.signatures["serving_default"](image=tf.constant(asked[number])).items()
}
np.savez(sys.argv[3], **answers)
"""

HOSTILE = """
def answer(signature, **inputs):
    try:
        return {name: value.numpy() for name, value in model.signatures[signature](**inputs).items()}
    except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
        return str(error)

image = tf.random.stateless_uniform((2, 19, 33), (1, 2), -500.0, 500.0)
before = answer("serving_default", image=image)
"""


def run(script: str, *arguments: object) -> str:
    """Run a script in a process of its own, so that an abort fails a test and not the tests."""
    child = subprocess.run(
        [sys.executable, "-I", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, f"exit {child.returncode}: {child.stderr[-2000:]}"
    return child.stdout


def largest_component(soft_mask: np.ndarray) -> np.ndarray:
    labels = label(soft_mask > 0.5, connectivity=2)
    areas = np.bincount(labels.ravel(), minlength=2)[1:]
    return np.where(labels == 1 + np.argmax(areas), soft_mask, 0) if areas.any() else np.zeros_like(soft_mask)


def python_path(trained_run, images: np.ndarray) -> np.ndarray:
    """Masks by the members as trained, with numpy and scikit-image for all that follows them."""
    prepared = window(images, trained_run.config.image.window_hu)[..., np.newaxis]
    soft_masks = [
        [largest_component(soft[..., 0]) for soft in np.asarray(trained_run.load_network(number)(prepared))]
        for number in trained_run.config.member_numbers
    ]
    return np.median(soft_masks, axis=0) > 0.5


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-1000, 1000, shape).astype(np.float32)


def simulated() -> dict[str, np.ndarray]:
    hu = [draw_case(np.random.default_rng(number)).hu for number in range(7)]
    cases = np.stack(hu).astype(np.float32)
    crops = np.concatenate([cases[:, 40:104, row : row + 61] for row in range(0, 100, 10)])[:64]
    return {"seven": cases, "one": cases[:1], "64 crops": crops}


def real() -> dict[str, np.ndarray]:
    paths = [path for path in sorted(REAL_CROPS.glob("*.npy")) if "rough" not in path.name]
    return {"real crops": np.stack([np.load(path) for path in paths]).astype(np.float32)} if paths else {}


@pytest.fixture(scope="module")
def asked() -> dict[str, np.ndarray]:
    """All that is segmented, by one process, which takes longer to start than to answer."""
    shapes = [(1, 1, 1), (7, 1, 1), (7, 191, 193), (1, 512, 512), (2, 1, 40), (64, 5, 3)]
    return {**simulated(), **{f"noise {shape}": noise(*shape) for shape in shapes}, **real()}


@pytest.fixture(scope="module")
def answers(tmp_path_factory, trained_run, asked) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("standalone")
    np.savez(folder / "asked.npz", **asked)
    run(LOAD + SEGMENT, trained_run.export_folder / "1", folder / "asked.npz", folder / "answered.npz")
    with np.load(folder / "answered.npz") as answered:
        return dict(answered)


def check_equal(trained_run, asked, answers, *names: str) -> None:
    assert names
    for name in names:
        mask = answers[f"{name}/mask"]
        assert mask.dtype == np.uint8 and mask.shape == asked[name].shape
        np.testing.assert_array_equal(mask, python_path(trained_run, asked[name]))


def test_equals_the_python_path_on_simulated_images_in_batches_of_1_7_and_64(trained_run, asked, answers):
    check_equal(trained_run, asked, answers, "seven", "one", "64 crops")
    assert 0.01 < answers["seven/mask"].mean() < 0.99  # the comparison is of something


def test_equals_the_python_path_on_odd_sizes(trained_run, asked, answers):
    check_equal(trained_run, asked, answers, *(name for name in asked if name.startswith("noise")))


@pytest.mark.skipif(not REAL_CROPS.is_dir(), reason="needs the real CT crops in ../shared/data")
def test_equals_the_python_path_on_real_crops(trained_run, asked, answers):
    check_equal(trained_run, asked, answers, "real crops")


# each asserts by itself; one process runs them all
HOSTILE_SCRIPTS = {
    "no pixels in, none out": """
for shape in [(0, 192, 192), (0, 0, 0), (3, 0, 20), (3, 20, 0)]:
    for name, value in answer("serving_default", image=tf.zeros(shape)).items():
        assert value.shape == shape, (name, value.shape)
    soft_masks = answer("members", image=tf.zeros(shape))["soft_masks"]
    assert soft_masks.shape == (shape[0], 3, *shape[1:]), soft_masks.shape
""",
    "hostile tensors are answered or refused and change nothing": """
for shape in [(), (33,), (19, 33), (1, 1, 19, 33), (1, 19, 33, 1)]:
    for signature in ("serving_default", "members"):
        assert "shape" in answer(signature, image=tf.zeros(shape)), shape
    assert "shape" in answer("int16", image=tf.zeros(shape, tf.int16)), shape
for dtype in (tf.float64, tf.int32, tf.string, tf.bool):
    assert isinstance(answer("serving_default", image=tf.zeros((1, 2, 2), dtype)), str), dtype
assert "pixels" in answer("serving_default", image=tf.zeros((1, 4097, 4096)))
assert "pixels" in answer("int16", image=tf.zeros((65, 512, 512), tf.int16))
assert isinstance(answer("serving_default"), str)
assert isinstance(answer("serving_default", picture=image), str)
for value in (0.0, 3e38, -3e38, 1e-45, np.inf, -np.inf, np.nan):
    constant = answer("serving_default", image=tf.fill((1, 20, 20), value))
    assert np.isfinite(constant["probability"]).all() and constant["mask"].max() <= 1, value
after = answer("serving_default", image=image)
assert all(np.array_equal(before[name], after[name]) for name in before)
""",
    "NaN counts as air and infinities as the ends of the window": """
strange, plain = image.numpy(), image.numpy()
for column, (odd, meant) in enumerate([(np.nan, -1024), (-np.inf, -150), (np.inf, 200), (3e38, 200)]):
    strange[:, ::3, column::8], plain[:, ::3, column::8] = odd, meant
found, expected = (answer("members", image=tf.constant(x))["soft_masks"] for x in (strange, plain))
assert np.array_equal(found, expected)
assert not np.array_equal(found, answer("members", image=image)["soft_masks"])
""",
}


@pytest.fixture(scope="module")
def outcomes(trained_run) -> dict[str, str]:
    """What became of each of those scripts: its traceback, or nothing."""
    each = """
import json, traceback
outcomes = {}
for name, script in json.loads(sys.argv[2]).items():
    try:
        exec(script, dict(globals()))
        outcomes[name] = ""
    except Exception:
        outcomes[name] = traceback.format_exc()
print(json.dumps(outcomes))
"""
    return json.loads(
        run(LOAD + HOSTILE + each, trained_run.export_folder / "1", json.dumps(HOSTILE_SCRIPTS))
    )


@pytest.mark.parametrize("name", HOSTILE_SCRIPTS)
def test_strange_input(outcomes, name):
    assert not outcomes[name], outcomes[name]
