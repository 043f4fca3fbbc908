"""The REST client against servers that are down, slow, busy or something else."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.serving.contract import OUTPUTS
from kcseg.serving.runner import Ensemble

SIGNATURES = {name: {"outputs": dict.fromkeys(outputs)} for name, outputs in OUTPUTS.items()}
METADATA = (200, json.dumps({"metadata": {"signature_def": {"signature_def": SIGNATURES}}}))
IMAGE = np.zeros((1, 2, 2), np.float32)
VALUES = [[[0.5, 0.25], [0.125, 1.0]]]
ANSWER = json.dumps({"outputs": {"mask": [[[1, 0], [0, 1]]], "probability": VALUES, "disagreement": VALUES}})
CUT_OFF = ("X-Cut-Off", "in the middle")  # of an answer that ends there


@pytest.fixture
def stub():
    """A server that gives prepared answers: (status, body), or a number of seconds to say nothing and hang up."""
    answers, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.command, self.path))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if not isinstance(answer, tuple):
                time.sleep(answer)
                return
            self.send_response(answer[0])
            for header in answer[2:]:
                self.send_header(*header)
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            body = answer[1].encode()
            if CUT_OFF in answer:
                body = body[: len(body) // 2]
            for part in [bytes([byte]) for byte in body] if server.pause_s else [body]:
                self.wfile.write(part)
                time.sleep(server.pause_s)

        do_POST = do_GET

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.answers, server.asked, server.pause_s = answers, asked, 0.0
    server.address = f"http://127.0.0.1:{server.server_port}/v1/models/kcseg"
    yield server
    server.shutdown()
    server.server_close()


def test_nobody_there_is_said_after_a_bounded_time():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start = time.perf_counter()
    with pytest.raises(InputError, match=rf"nobody answers at http://127.0.0.1:{port}.*check the address"):
        Ensemble.connect(f"http://127.0.0.1:{port}/v1/models/kcseg")
    assert 1 < time.perf_counter() - start < 20


def test_a_busy_server_is_asked_again(stub):
    busy = (429, '{"error": "full"}')
    stub.answers += [(503, "{}"), METADATA, busy, (200, ANSWER)]
    found = Ensemble.connect(stub.address).segment(IMAGE)
    assert found.mask.tolist() == [[[True, False], [False, True]]] and found.probability.tolist() == VALUES
    assert [method for method, _ in stub.asked] == ["GET", "GET", "POST", "POST"]


def test_a_server_that_stays_busy_is_given_up_with_its_reason(stub):
    stub.answers += [METADATA, (429, '{"error": "the queue is full"}')]
    ensemble = Ensemble.connect(stub.address)
    with pytest.raises(InputError, match=r"overloaded .the queue is full"):
        ensemble.segment(IMAGE)
    assert len(stub.asked) == 1 + 5


def test_a_server_with_every_fault_is_asked_five_times_in_all(stub):
    cut_off, busy = (200, METADATA[1], CUT_OFF), (503, '{"error": "full"}')
    stub.answers += [busy, cut_off, busy, busy, busy, METADATA]
    with pytest.raises(InputError, match="overloaded"):
        Ensemble.connect(stub.address)
    assert len(stub.asked) == 5


def test_a_server_that_hangs_up_is_asked_five_times(stub):
    stub.answers += [0]
    with pytest.raises(InputError, match="nobody answers at"):
        Ensemble.connect(stub.address)
    assert len(stub.asked) == 5


def test_a_busy_server_is_asked_when_we_say_and_not_when_it_does(stub):
    stub.answers += [(503, "{}", ("Retry-After", "100000")), METADATA]
    start = time.perf_counter()
    Ensemble.connect(stub.address)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_that_trickles_is_given_up(stub, status):
    stub.answers += [(status, " " * 1000)]
    stub.pause_s = 0.05
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"did not answer within 0.5 s"):
        Ensemble.connect(stub.address, timeout_s=0.5)
    assert time.perf_counter() - start < 10


def test_a_connection_cut_once_is_made_again(stub):
    stub.answers += [0, METADATA]
    assert Ensemble.connect(stub.address)


def test_a_slow_server_is_said_to_be_slow(stub):
    stub.answers += [METADATA, 1]
    ensemble = Ensemble.connect(stub.address, timeout_s=0.1)
    with pytest.raises(InputError, match=r"did not answer within 0.1 s"):
        ensemble.segment(IMAGE)


@pytest.mark.parametrize(
    "answer",
    [
        (200, "<html>It works!</html>"),
        (404, "<html>Not found</html>"),
        (404, '{"detail": "Not Found"}'),
        (200, "[]"),
        (200, '{"metadata": {}}'),
        (200, "[" * 100_000),
    ],
)
def test_another_kind_of_server_is_told_apart(stub, answer):
    stub.answers.append(answer)
    with pytest.raises(InputError, match="does not answer like TF Serving"):
        Ensemble.connect(stub.address)


def test_another_kind_of_model_is_told_apart(stub):
    other = {"serving_default": {"outputs": {"y": {}}}}
    stub.answers.append((200, json.dumps({"metadata": {"signature_def": {"signature_def": other}}})))
    with pytest.raises(InputError, match=r"lacks disagreement, mask, probability of .*'serving_default'"):
        Ensemble.connect(stub.address)


@pytest.mark.parametrize(
    "body",
    ["{}", '{"outputs": {"mask": 1}}', '{"outputs": {"mask": [[[256]]]}}', '{"outputs": [[1], [1, 2]]}'],
)
def test_an_answer_that_is_none_is_told_apart(stub, body):
    stub.answers += [METADATA, (200, body)]
    with pytest.raises(InputError, match="does not answer like TF Serving"):
        Ensemble.connect(stub.address).segment(IMAGE)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32_are_refused_without_a_warning(stub):
    stub.answers += [METADATA, (200, ANSWER.replace("0.25", "1e308"))]
    with pytest.raises(InputError, match="outside of 0 to 1"):
        Ensemble.connect(stub.address).segment(IMAGE)


def test_a_refusal_comes_with_the_servers_reason(stub):
    stub.answers += [METADATA, (400, '{"error": "too large"}')]
    with pytest.raises(InputError, match=r"refused the request .too large"):
        Ensemble.connect(stub.address).segment(IMAGE)


def test_a_long_refusal_becomes_one_short_line(stub):
    stub.answers += [METADATA, (400, json.dumps({"error": "no\n\x1b[31m" * 100_000}))]
    with pytest.raises(InputError) as caught:
        Ensemble.connect(stub.address).segment(IMAGE)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_float32_survive_json():
    values = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(np.array(json.loads(json.dumps(values.tolist())), np.float32), values)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_images_are_not_sent_on_to_where_a_server_points(stub, status):
    stub.answers[:] = [METADATA, (status, "", ("Location", "/elsewhere"))]
    with pytest.raises(InputError, match="does not answer like TF Serving"):
        Ensemble.connect(stub.address).segment(IMAGE)
    assert not any(path == "/elsewhere" for _, path in stub.asked)


@pytest.mark.parametrize("outputs", ["[[1]]", "5"])
def test_outputs_without_names_are_told_apart(stub, outputs):
    signatures = f'{{"serving_default": {{"outputs": {outputs}}}}}'
    stub.answers.append((200, f'{{"metadata": {{"signature_def": {{"signature_def": {signatures}}}}}}}'))
    with pytest.raises(InputError, match="does not answer like TF Serving"):
        Ensemble.connect(stub.address)


def test_an_answer_cut_off_in_the_middle_is_asked_for_again(stub):
    stub.answers += [METADATA, (200, ANSWER, CUT_OFF), (200, ANSWER)]
    assert Ensemble.connect(stub.address).segment(IMAGE).mask.shape == IMAGE.shape
    stub.answers[:] = [METADATA, (200, ANSWER, CUT_OFF)]
    with pytest.raises(InputError, match="nobody answers at"):
        Ensemble.connect(stub.address).segment(IMAGE)


def test_an_answer_that_trickles_is_given_up(stub):
    stub.answers.append(METADATA)
    stub.pause_s = 0.05
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"did not answer within 0.3 s"):
        Ensemble.connect(stub.address, timeout_s=0.3)
    assert time.perf_counter() - start < 5


def test_an_answer_without_end_is_given_up(stub, monkeypatch):
    for module in ("rest", "contract"):
        monkeypatch.setattr(f"kcseg.serving.{module}.ANSWER_BYTES", 1 << 20)
    stub.answers += [METADATA, (200, "0" * (3 << 20))]
    ensemble = Ensemble.connect(stub.address)
    with pytest.raises(InputError, match="answers with more than 1 MiB"):
        ensemble.segment(IMAGE)
