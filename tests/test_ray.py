import sys
import time

import pytest

import kcseg.ray
from kcseg.errors import InputError
from kcseg.ray import Share, joined, worker_share

NODE = {"memory": 1e9, "node:192.0.2.1": 1.0}


def test_without_ray_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'kcseg\[ray\]'"), joined("auto"):
        pass


def test_no_cluster_is_an_error_and_not_a_new_one(monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra kcseg[ray] is not installed")
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with pytest.raises(InputError, match="ray start --head"), joined("auto"):
        pass
    assert not ray.is_initialized()


def test_a_silent_address_is_given_up(monkeypatch):
    pytest.importorskip("ray", reason="the extra kcseg[ray] is not installed")
    monkeypatch.setattr(kcseg.ray, "_ANSWER_WITHIN_S", 3)  # as it is: 30
    started = time.monotonic()
    with pytest.raises(InputError, match="no answer within 3 seconds"), joined("127.0.0.1:1"):
        pass
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("nodes", "share"),
    [
        ([{"CPU": 8.0}, {"CPU": 8.0}], Share(8, 0, workers=2)),
        ([{"CPU": 4.0}, {"CPU": 9.0}, {}], Share(4, 0, workers=3)),
        ([{"CPU": 64.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 32.0, "GPU": 8.0}], Share(4, 1, workers=10)),
    ],
    ids=["alike", "smallest", "gpu"],
)
def test_a_worker_takes_a_gpu_or_a_whole_node(monkeypatch, nodes, share):
    ray = pytest.importorskip("ray", reason="the extra kcseg[ray] is not installed")
    dead = {"Alive": False, "Resources": {"CPU": 1.0}}
    alive = [{"Alive": True, "Resources": NODE | node} for node in nodes]
    monkeypatch.setattr(ray, "nodes", lambda: [dead, *alive])
    assert worker_share() == share


def test_a_cluster_without_cpus_is_refused(monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra kcseg[ray] is not installed")
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": NODE}])
    with pytest.raises(InputError, match="CPU"):
        worker_share()
