import json
import socket

import numpy as np
import pytest
import urllib3
from click.testing import CliRunner
from PIL import Image

from kcseg.cli import main
from tests.started import ended, said, start

IMAGE = np.random.default_rng(2).uniform(-200, 300, (1, 32, 32)).astype(np.float32)


def kcseg(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_told_to_stop_it_finishes_what_is_in_flight(tmp_path, exported):
    output = tmp_path / "output"
    process = start(output, "serve", exported, "--port", 0, "--grpc-port", 0)
    address = r"^Loading [\s\S]*http://([\d.]+):(\d+)/v1/models/kcseg and grpc://127.0.0.1:\d+/kcseg"
    try:
        host, port = said(process, output, address).groups()
        assert host == "127.0.0.1"
        body = json.dumps({"inputs": IMAGE.tolist()}).encode()
        with socket.create_connection((host, int(port)), timeout=60) as client:
            assert urllib3.request("GET", f"http://{host}:{port}/v1/models/kcseg").status == 200
            head = f"POST /v1/models/kcseg:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body[:-10])
            process.terminate()
            process.join(1)
            assert process.is_alive()
            client.sendall(body[-10:])
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert ended(process) == 0 and "Stopped" in output.read_text()
        assert "Traceback" not in output.read_text()
    finally:
        process.kill()


def test_predict_writes_the_same_bytes_from_an_address_as_from_the_folder(
    tmp_path, exported, server, ring_challenge
):
    models = {"folder": exported, "rest": server.rest_address, "grpc": server.grpc_address}
    for name, model in models.items():
        result = kcseg("predict", ring_challenge / "test", "--model", model, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
    for path in (tmp_path / "folder").rglob("*.*"):
        for other in ("rest", "grpc"):
            assert (
                tmp_path / other / path.relative_to(tmp_path / "folder")
            ).read_bytes() == path.read_bytes()
    assert Image.open(tmp_path / "rest" / "masks" / "0000.png").size == (32, 32)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("http://127.0.0.1:1/v1/models/kcseg", "nobody answers"),
        ("ftp://127.0.0.1/kcseg", "no address of a served model"),
        ("{rest}/versions/9", "not served"),
        ("{grpc}/versions/9", "not served"),
    ],
)
def test_an_address_that_does_not_answer_leaves_nothing_behind(
    tmp_path, server, ring_challenge, model, message
):
    model = model.format(rest=server.rest_address, grpc=server.grpc_address)
    result = kcseg("predict", ring_challenge / "test", "--model", model, "--out", tmp_path / "out")
    assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output
    assert "Traceback" not in result.output and not (tmp_path / "out").exists()


def test_what_cannot_be_served_is_a_clear_error(tmp_path, exported, server):
    result = kcseg("serve", tmp_path)
    assert result.exit_code == 2 and "no exported ensemble" in result.output
    port = server.rest_address.split("/")[2].split(":")[1]
    result = kcseg("serve", exported, "--port", port)
    assert result.exit_code == 2 and "cannot listen" in result.output
    assert kcseg("serve", exported, "--port", "70000").exit_code == 2


def test_the_help_says_what_production_is():
    assert "stock TF Serving" in " ".join(kcseg("serve", "--help").output.split())
