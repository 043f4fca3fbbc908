import pytest

from kcseg.errors import InputError
from kcseg.training.post import ALONE, Post, post_from_environment, require_chief


def environment(name="w1", ip="127.0.0.1", port="8000"):
    return {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": ip, "KERASTUNER_ORACLE_PORT": port}


def test_who_is_who():
    assert post_from_environment({"PATH": "/bin"}) == ALONE and not ALONE.is_chief and not ALONE.is_worker
    assert post_from_environment(environment("chief")).is_chief
    assert post_from_environment(environment()) == Post("w1", "127.0.0.1:8000")
    assert post_from_environment(environment()).is_worker


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"ip": ""}, {"port": "0"}, {"port": "http"}, {"port": "70000"}],
)
def test_an_address_that_cannot_be_is_refused(changes):
    with pytest.raises(InputError, match="KERASTUNER_"):
        post_from_environment(environment(**changes))


def test_a_missing_chief_is_named():
    with pytest.raises(InputError, match=r"no chief at 127\.0\.0\.1:1 within"):
        require_chief(Post("w1", "127.0.0.1:1"), 0.2)
