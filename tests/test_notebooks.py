"""The notebooks run from top to bottom, and leave nothing beside them."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel of this interpreter under a name of its own: 'python3' may be another one's."""
    write_kernel_spec(tmp_path / "kernels" / "kcseg-tests")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return "kcseg-tests"


def run(notebook, kernel, folder):
    """Execute a notebook in a folder, and return it with its outputs; a cell that fails raises."""
    folder.mkdir()
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=600, kernel_name=kernel, resources=resources).execute()


def pictures(notebook):
    """Number of pictures that each code cell shows."""
    return [
        sum("image/png" in output.get("data", {}) for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_there_is_a_walkthrough():
    assert "walkthrough" in [path.stem for path in NOTEBOOKS]


def shortened(notebook):
    """Train a small network on few images for two epochs, and ask one of those shipped: worse, and shown the same."""
    small = "    replace(kcseg.QUICK, network=kcseg.NetworkConfig(levels=2, filters=4)),\n"
    changes = {r" +kcseg\.QUICK,\n": small, r"_epochs=\d+": "_epochs=2", r"train=\(\d+,\)": "train=(12,)"}
    changes |= {r"Ensemble\.load\(\)": "Ensemble.load(fast=True)"}
    for pattern, short in changes.items():
        assert any(re.search(pattern, cell.source) for cell in notebook.cells)
        for cell in notebook.cells:
            cell.source = re.sub(pattern, short, cell.source)
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom_and_shows_what_is_stored(path, kernel, tmp_path):
    stored = nbformat.read(path, as_version=4)
    beside = sorted(path.parent.iterdir())
    notebook = shortened(nbformat.read(path, as_version=4))
    notebook.cells.append(nbformat.v4.new_code_cell("import sys; print(sys.executable)"))
    ran = run(notebook, kernel, tmp_path / "work")
    assert sys.executable in ran.cells[-1].outputs[0].text
    assert pictures(ran)[:-1] == pictures(stored) and sum(pictures(stored)) >= 8
    assert sorted(path.parent.iterdir()) == beside and not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_whole_and_in_order(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error" and output.get("name") != "stderr"
        assert "/tmp/" not in str(output.get("text", ""))
