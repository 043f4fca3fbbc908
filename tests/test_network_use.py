"""Nothing is sent over the network, and nothing fetched."""

import subprocess
import sys

BLOCKED = """
import os, socket, sys
from pathlib import Path

real = socket.socket.connect

def connect(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        print("asked for", address, flush=True)
        os._exit(9)
    return real(self, address)

def resolve(name, *rest, **more):
    print("asked for", name, flush=True)
    os._exit(9)

socket.socket.connect = socket.socket.connect_ex = connect
socket.getaddrinfo = socket.gethostbyname = resolve

import importlib, pkgutil
import kcseg

for module in pkgutil.walk_packages(kcseg.__path__, "kcseg."):
    importlib.import_module(module.name)

from kcseg.cli import main

for command in (["train", "--data", sys.argv[1], "--config", sys.argv[2], "--run", sys.argv[3]],
                ["predict", sys.argv[1] + "/test/images", "--model", sys.argv[3], "--out", sys.argv[3] + "/found"]):
    main(command, standalone_mode=False)
print("done")
"""


def test_neither_imports_nor_training_nor_prediction_use_the_network(tmp_path, ring_challenge, config_path):
    """Any name looked up, and any connection but to this machine, ends the process."""
    arguments = [str(ring_challenge), str(config_path), str(tmp_path / "run")]
    command = [sys.executable, "-c", BLOCKED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stdout + done.stderr[-2000:]
