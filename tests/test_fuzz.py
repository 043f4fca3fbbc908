import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
QUICK = (
    "npy",
    "png mask",
    "png 16-bit",
    "nii",
    "nii.gz",
    "dicom",
    "coco annotations",
    "coco picture",
    "configuration",
)


def test_no_reader_fails_on_broken_files(tmp_path):
    """The readers that need no TensorFlow, shortly; the whole takes hours."""
    command = [sys.executable, str(FUZZ), "--inputs", "400", "--seed", "1", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
