"""TF Serving's REST API as its documentation shows it, request by request, and all that nobody should send."""

import base64
import gzip
import io
import json
import socket
import time

import numpy as np
import PIL.Image
import pytest
import urllib3

from kcseg.config import EXPORT

IMAGE = np.random.default_rng(2).uniform(-200, 300, (2, 3, 4)).astype(np.float32)
MODEL = "/v1/models/kcseg"
PREDICT = MODEL + ":predict"


@pytest.fixture(scope="module")
def ask(server):
    pool = urllib3.PoolManager(retries=False, timeout=60.0)
    root = server.rest_address.removesuffix(MODEL)

    def ask(method, path, body=None, **headers):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        response = pool.request(method, root + path, body=data, headers=headers)
        assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(response.data)

    return ask


AVAILABLE = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
TENSOR = {
    "dtype": "DT_FLOAT",
    "tensor_shape": {"dim": [{"size": "-1", "name": ""}] * 3, "unknown_rank": False},
    "name": "serving_default_image:0",
}


@pytest.mark.parametrize("path", [MODEL, MODEL + "/versions/1"])
def test_status(ask, path):
    assert ask("GET", path) == (200, {"model_version_status": [AVAILABLE]})


@pytest.mark.parametrize("path", [MODEL, MODEL + "/versions/1"])
def test_metadata(ask, path):
    status, answer = ask("GET", path + "/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "kcseg", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"] == {"image": TENSOR}
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert {name: output["dtype"] for name, output in signature["outputs"].items()} == {
        "mask": "DT_UINT8",
        "probability": "DT_FLOAT",
        "disagreement": "DT_FLOAT",
    }


@pytest.mark.parametrize("path", [PREDICT, MODEL + "/versions/1:predict"])
@pytest.mark.parametrize("inputs", [IMAGE.tolist(), {"image": IMAGE.tolist()}])
def test_columns(ask, path, inputs):
    status, answer = ask("POST", path, {"signature_name": "serving_default", "inputs": inputs})
    assert status == 200 and set(answer) == {"outputs"}
    assert set(answer["outputs"]) == {"mask", "probability", "disagreement"}
    assert all(np.shape(output) == IMAGE.shape for output in answer["outputs"].values())
    assert all(isinstance(value, int) for value in answer["outputs"]["mask"][0][0])


@pytest.mark.parametrize(
    "instances", [IMAGE.tolist(), [{"image": image} for image in IMAGE.tolist()]], ids=["values", "named"]
)
def test_rows_say_what_columns_say(ask, instances):
    status, rows = ask("POST", PREDICT, {"instances": instances})
    assert status == 200 and set(rows) == {"predictions"} and len(rows["predictions"]) == 2
    _, columns = ask("POST", PREDICT, {"inputs": IMAGE.tolist()})
    for name, output in columns["outputs"].items():
        assert [row[name] for row in rows["predictions"]] == output


def test_an_only_output_has_no_name(ask):
    _, columns = ask("POST", PREDICT, {"signature_name": "members", "inputs": IMAGE.tolist()})
    assert np.shape(columns["outputs"]) == (2, 3, 3, 4)
    _, rows = ask("POST", PREDICT, {"signature_name": "members", "instances": IMAGE.tolist()})
    assert rows["predictions"] == columns["outputs"]


REFUSED = {
    "unknown model": ("GET", "/v1/models/other", None, 404, "Could not find any versions of model other"),
    "unknown version": ("GET", MODEL + "/versions/7", None, 404, "Could not find version 7 of model kcseg"),
    "metadata, version": ("GET", MODEL + "/versions/7/metadata", None, 404, r"Specific\(kcseg, 7\)"),
    "model": (
        "POST",
        "/v1/models/other:predict",
        {},
        404,
        r"Servable not found for request: Latest\(other\)",
    ),
    "version": ("POST", MODEL + "/versions/7:predict", {}, 404, r"Specific\(kcseg, 7\)"),
    "label": ("POST", MODEL + "/labels/stable:predict", {}, 400, "Malformed request: POST"),
    "method": ("POST", MODEL + ":classify", {}, 501, "classify"),
    "GET for POST": ("GET", PREDICT, None, 400, "Malformed request: GET /v1/models/kcseg:predict"),
    "POST for GET": ("POST", MODEL, {}, 400, "Malformed request: POST /v1/models/kcseg"),
    "long version": ("GET", MODEL + "/versions/" + "9" * 5000, None, 400, "Malformed request"),
    "other path": ("GET", "/", None, 404, "Not Found"),
    "signature": (
        "POST",
        PREDICT,
        {"signature_name": "none", "inputs": 1},
        400,
        'Serving signature name: "none" not found in signature def',
    ),
    "signature's name": (
        "POST",
        PREDICT,
        {"signature_name": 5},
        400,
        "'signature_name' key must be a string value.",
    ),
    "empty body": ("POST", PREDICT, b"", 400, "JSON Parse error"),
    "broken JSON": ("POST", PREDICT, b'{"instances": [[[1.0', 400, "JSON Parse error"),
    "deep JSON": ("POST", PREDICT, b"[" * 1_000_000, 400, "JSON Parse error"),
    "no text": ("POST", PREDICT, b"\xff\xfe\xfd", 400, "JSON Parse error"),
    "long number": ("POST", PREDICT, b'{"inputs": ' + b"9" * 10_000 + b"}", 400, "JSON Parse error"),
    "no object": ("POST", PREDICT, [1], 400, "expected an object"),
    "neither": ("POST", PREDICT, {}, 400, "Missing 'inputs' or 'instances' key"),
    "both": ("POST", PREDICT, {"inputs": [], "instances": []}, 400, "'inputs' or 'instances'"),
    "no list": ("POST", PREDICT, {"instances": 5}, 400, "'instances' to be a list"),
    "no instance": ("POST", PREDICT, {"instances": []}, 400, "at least one instance"),
    "rank 0": (
        "POST",
        PREDICT,
        {"inputs": 5},
        400,
        r"Expected image of shape \(None, None, None\), got \[\]",
    ),
    "rank 1": ("POST", PREDICT, {"inputs": [1.0, 2.0]}, 400, r"got \[2\]"),
    "rank 2": ("POST", PREDICT, {"inputs": [[1.0]]}, 400, r"got \[1, 1\]"),
    "rank 4": ("POST", PREDICT, {"inputs": [[[[1.0]]]]}, 400, r"got \[1, 1, 1, 1\]"),
    "nothing": ("POST", PREDICT, {"inputs": []}, 400, r"got \[0\]"),
    "depth 70": ("POST", PREDICT, b'{"inputs": ' + b"[" * 70 + b"]" * 70 + b"}", 400, "image"),
    "ragged": ("POST", PREDICT, {"inputs": [[[1.0, 2.0], [3.0]]]}, 400, "unequal length"),
    "text": ("POST", PREDICT, {"inputs": [[["1.0"]]]}, 400, "Expected image to be numbers"),
    "truth": ("POST", PREDICT, {"inputs": [[[True]]]}, 400, "Expected image to be numbers"),
    "null": ("POST", PREDICT, {"inputs": [[[None]]]}, 400, "Expected image to be numbers"),
    "base64 for numbers": ("POST", PREDICT, {"instances": [{"b64": "AAAA"}]}, 400, "to be numbers"),
    "beyond float32": ("POST", PREDICT, {"inputs": [[[1e300]]]}, 400, "out of its range"),
    "another input": (
        "POST",
        PREDICT,
        {"inputs": {"picture": [[[1.0]]]}},
        400,
        r"inputs \['image'\], got \['picture'\]",
    ),
    "one more input": (
        "POST",
        PREDICT,
        {"inputs": {"image": [[[1.0]]], "x": 1}},
        400,
        r"got \['image', 'x'\]",
    ),
    "no input": ("POST", PREDICT, {"inputs": {}}, 400, r"inputs \['image'\], got \[\]"),
    "mixed rows": ("POST", PREDICT, {"instances": [{"image": [[1.0]]}, {"x": 1}]}, 400, "in number 1"),
    "too many numbers": (
        "POST",
        PREDICT,
        b'{"inputs": [' + b"0," * (5 << 20) + b"0]}",
        400,
        "at most 4194304 pixels",
    ),
    "too many lists": (
        "POST",
        PREDICT,
        b'{"inputs": [' + b"[]," * (5 << 20) + b"0]}",
        400,
        "at most 4194304",
    ),
    "too many bytes": ("POST", PREDICT, b" " * (101 << 20), 400, "at most 100663296 bytes"),
}


@pytest.mark.parametrize(("method", "path", "body", "status", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_has_tf_servings_body_and_code(ask, method, path, body, status, error):
    import re

    got, answer = ask(method, path, body)
    assert got == status and list(answer) == ["error"] and re.search(error, answer["error"]), answer
    assert ask("POST", PREDICT, {"inputs": IMAGE.tolist()})[0] == 200  # and the server still answers


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -5e4, 1e38])
def test_numbers_no_scanner_writes_are_answered(ask, value):
    status, answer = ask("POST", PREDICT, {"inputs": np.full((1, 20, 24), value).tolist()})
    assert status == 200 and np.isin(answer["outputs"]["mask"], (0, 1)).all()


@pytest.mark.parametrize("shape", [(1, 0), (1, 0, 3)])
def test_images_whose_width_json_cannot_say_are_an_error_and_no_crash(ask, shape):
    status, answer = ask("POST", PREDICT, {"inputs": np.zeros(shape).tolist()})
    assert status == 400 and "error" in answer


def test_images_without_pixels_get_answers_without_pixels(ask):
    status, answer = ask("POST", PREDICT, {"inputs": np.zeros((2, 5, 0)).tolist()})
    assert status == 200 and np.shape(answer["outputs"]["mask"]) == (2, 5, 0)


def png(hu):
    """16-bit grey PNG of an image in HU, as the export's manifest says it is read."""
    written = io.BytesIO()
    PIL.Image.fromarray((hu - EXPORT.hu_offset).astype(np.uint16)).save(written, format="PNG")
    return {"b64": base64.b64encode(written.getvalue()).decode()}


def test_pictures_are_answered_as_their_hu_are(ask):
    hu = np.random.default_rng(0).integers(-1000, 1000, (2, 20, 24))
    _, expected = ask("POST", PREDICT, {"inputs": hu.tolist()})
    for body in ({"instances": [png(image) for image in hu]}, {"inputs": [png(image) for image in hu]}):
        status, answer = ask("POST", PREDICT, {"signature_name": "png", **body})
        assert status == 200, answer
        for name in ("mask", "probability", "disagreement"):
            rows = [row[name] for row in answer.get("predictions", ())]
            np.testing.assert_array_equal(rows or answer["outputs"][name], expected["outputs"][name])
    broken = {"b64": base64.b64encode(b"\x89PNG\r\n\x1a\n no picture").decode()}
    for bad in (broken, {"b64": "no base64!"}, "a word"):
        status, answer = ask("POST", PREDICT, {"signature_name": "png", "instances": [bad]})
        assert status == 400 and "error" in answer


def test_metrics_count_answers_and_refusals(ask, server):
    def count(status):
        text = urllib3.request("GET", root + "/monitoring/prometheus/metrics").data.decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return float(
            lines.get(f':tensorflow:serving:request_count{{model_name="kcseg",status="{status}"}}', 0)
        )

    root = server.rest_address.removesuffix(MODEL)
    good, bad = count("OK"), count("INVALID_ARGUMENT")
    ask("POST", PREDICT, {"inputs": IMAGE.tolist()})
    ask("POST", PREDICT, {"inputs": 5})
    assert (count("OK"), count("INVALID_ARGUMENT")) == (good + 1, bad + 1)


def test_a_client_that_leaves_in_the_middle_hurts_nobody(ask, server):
    host, port = server.rest_address.split("/")[2].split(":")
    for _ in range(30):  # more than there are places in the queue
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode())
    for _ in range(100):
        if ask("POST", PREDICT, {"inputs": IMAGE.tolist()})[0] == 200:
            return
        time.sleep(0.1)
    raise AssertionError("places in the queue were lost")


def test_a_body_may_be_packed(ask):
    body = json.dumps({"inputs": {"image": IMAGE.tolist()}}).encode()
    packed = gzip.compress(body)
    assert ask("POST", PREDICT, packed, **{"Content-Encoding": "gzip"}) == ask("POST", PREDICT, body)


def test_a_packed_body_cannot_grow_without_bound(ask):
    packed = gzip.compress(b" " * (200 << 20))
    status, answer = ask("POST", PREDICT, packed, **{"Content-Encoding": "gzip"})
    assert status == 400 and "at most" in answer["error"]


@pytest.mark.parametrize(("encoding", "expected"), [("gzip", 400), ("br", 415), ("deflate", 415)])
def test_what_cannot_be_unpacked_is_refused(ask, encoding, expected):
    status, answer = ask("POST", PREDICT, b'{"instances": []}', **{"Content-Encoding": encoding})
    assert status == expected and answer["error"]
