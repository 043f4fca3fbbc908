"""Versions that come and go, overload, and ports that are taken."""

import json
import shutil
import socket
import threading
import time

import numpy as np
import pytest
import urllib3

from kcseg.errors import InputError
from kcseg.server.server import Server
from kcseg.serving.runner import Ensemble

IMAGE = np.random.default_rng(2).uniform(-200, 300, (1, 32, 32)).astype(np.float32)


def states(server):
    answer = json.loads(urllib3.request("GET", server.rest_address).data)["model_version_status"]
    return {int(entry["version"]): entry["state"] for entry in answer}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def drop(source, folder, version):
    """Copy aside and rename, as kcseg export does."""
    shutil.copytree(source, folder.parent / f"copy-{version}")
    (folder.parent / f"copy-{version}").rename(folder / str(version))


def test_a_new_version_takes_over_without_a_failed_request(tmp_path, exported):
    folder = tmp_path / "kcseg"
    folder.mkdir()
    drop(exported / "1", folder, 1)
    failures, answered, stop = [], [], threading.Event()

    def keep_asking(url):
        pool = urllib3.PoolManager(retries=False)
        while not stop.wait(0.02):
            response = pool.request("POST", url + ":predict", json={"inputs": IMAGE.tolist()})
            (answered if response.status == 200 else failures).append(response.data)

    with Server(folder, port=0, grpc_port=0, poll_s=0.1).in_background() as server:
        expected = Ensemble.connect(server.rest_address).segment(IMAGE)
        threads = [threading.Thread(target=keep_asking, args=[server.rest_address]) for _ in range(2)]
        for thread in threads:
            thread.start()
        drop(exported / "1", folder, 2)
        wait_for(lambda: states(server) == {1: "END", 2: "AVAILABLE"})
        stop.set()
        for thread in threads:
            thread.join()
        assert answered and not failures
        assert len(set(answered)) == 1
        with pytest.raises(InputError, match=r"Specific\(kcseg, 1\)"):
            Ensemble.connect(server.rest_address + "/versions/1")

        (folder / "3").mkdir()
        (folder / "3" / "saved_model.pb").write_bytes(b"broken")
        wait_for(lambda: 3 in states(server))
        assert states(server) == {1: "END", 2: "AVAILABLE", 3: "END"}
        np.testing.assert_array_equal(
            Ensemble.connect(server.rest_address).segment(IMAGE).probability, expected.probability
        )

        # what was broken because it was still being copied is served when it is whole
        shutil.copytree(exported / "1", folder / "3", dirs_exist_ok=True)
        wait_for(lambda: states(server)[3] == "AVAILABLE")

        # who removes the newest version goes back to the one before
        shutil.rmtree(folder / "3")
        wait_for(lambda: states(server)[2] == "AVAILABLE")
        assert Ensemble.connect(server.rest_address + "/versions/2")


def test_a_full_queue_is_answered_and_nothing_in_it_is_lost(exported):
    with Server(exported, port=0, grpc_port=0, running=1, waiting=0).in_background() as server:
        ensemble = Ensemble.connect(server.grpc_address)
        body = json.dumps({"inputs": IMAGE.tolist()}).encode()
        host, port = server.rest_address.split("/")[2].split(":")
        with socket.create_connection((host, int(port))) as slow:
            head = f"POST /v1/models/kcseg:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode() + body[:100])  # takes the only place
            wait_for(lambda: ask(server).status == 429)
            assert json.loads(ask(server).data) == {
                "error": "The queue of 1 requests is full; try again later"
            }
            with pytest.raises(InputError, match=r"is overloaded .The queue of 1 requests is full"):
                ensemble.segment(IMAGE)
            assert states(server) == {1: "AVAILABLE"}  # who asks for health is answered all the same
            slow.sendall(body[100:])
            assert slow.recv(20).startswith(b"HTTP/1.1 200")
        assert ensemble.segment(IMAGE).mask.shape == IMAGE.shape


def ask(server):
    return urllib3.request(
        "POST", server.rest_address + ":predict", json={"inputs": IMAGE.tolist()}, retries=False
    )


def test_clients_at_once_get_their_own_answers(server, rings):
    local = [found.probability for found in Ensemble.connect(server.grpc_address).segment_each(rings.images)]
    wrong = []

    def client(number):
        address = server.rest_address if number % 2 else server.grpc_address
        ensemble = Ensemble.connect(address)
        for index in np.random.default_rng(number).permutation(len(local)):
            found = ensemble.segment(rings.images[index][None])
            if not np.allclose(found.probability[0], local[index], atol=1e-5):
                wrong.append((number, index))

    threads = [threading.Thread(target=client, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_ports_that_are_taken_are_named(exported, server):
    rest, rpc = (
        int(address.split("/")[2].split(":")[1]) for address in (server.rest_address, server.grpc_address)
    )
    with pytest.raises(InputError, match=rf"127.0.0.1:{rest}.*another REST port"):
        Server(exported, port=rest, grpc_port=0)
    with pytest.raises(InputError, match=rf"127.0.0.1:{rpc}.*another gRPC port"):
        Server(exported, port=0, grpc_port=rpc)
    with pytest.raises(InputError, match=r"no.such.host"):
        Server(exported, host="no.such.host.invalid", port=0, grpc_port=0)


def test_a_folder_without_a_version_that_works_is_named(tmp_path, exported):
    with pytest.raises(InputError, match="no exported ensemble"):
        Server(tmp_path)
    with pytest.raises(InputError, match="is one version; name the folder of all versions"):
        Server(exported / "1")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"no version in .* can be served: .*cannot be loaded"):
        Server(tmp_path)


def test_the_end_of_the_block_frees_both_ports(exported):
    with Server(exported, port=0, grpc_port=0).in_background() as server:
        addresses = server.rest_address, server.grpc_address
    for address in addresses:
        host, port = address.split("/")[2].split(":")
        with socket.create_server((host, int(port))):
            pass


def _frame(kind, flags, stream, content=b""):
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def _begun_request():
    """Return what opens an HTTP/2 connection and a call of Predict, but none of its message."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/tensorflow.serving.PredictionService/Predict",
        ":authority": "a",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    # each header as it is: a zero, then name and value behind their lengths
    packed = b"".join(
        b"\0" + b"".join(bytes([len(part)]) + part.encode() for part in pair) for pair in headers.items()
    )
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0) + _frame(4, 1, 0) + _frame(1, 4, 1, packed)


def test_who_never_ends_a_grpc_request_loses_the_place_and_others_notice_nothing(exported, monkeypatch):
    monkeypatch.setattr("kcseg.server.rpc.CONNECTION_S", 1.0)
    monkeypatch.setattr("kcseg.server.rpc.LAST_ANSWERS_S", 1.0)
    with Server(exported, port=0, grpc_port=0).in_background() as server:
        host, port = server.grpc_address.split("/")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=60) as slow:
            slow.sendall(_begun_request())
            ensemble, start = Ensemble.connect(server.grpc_address), time.monotonic()
            expected = ensemble.segment(IMAGE)
            while slow.recv(1 << 16):  # until the server hangs up
                same = ensemble.segment(IMAGE)  # over connections that end every second
                assert np.array_equal(same.probability, expected.probability)
            assert time.monotonic() - start < 50


def test_a_request_whose_body_does_not_come_is_answered_and_its_place_is_free_again(exported, monkeypatch):
    monkeypatch.setattr("kcseg.server.rest.RECEIVE_S", 0.3)
    with Server(exported, port=0, grpc_port=0, running=1, waiting=0).in_background() as server:  # one place
        host, port = server.rest_address.split("/")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=60) as slow:
            slow.sendall(
                b"POST /v1/models/kcseg:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n{"
            )
            assert b" 504 " in slow.recv(1 << 16)
        assert Ensemble.connect(server.rest_address).segment(IMAGE).mask.shape == IMAGE.shape
