import pytest

from kcseg.errors import InputError
from kcseg.serving.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host:8501/v1/models/kcseg", Address("http", "host:8501", "kcseg", None)),
        ("http://host:8501/v1/models/other/versions/12/", Address("http", "host:8501", "other", 12)),
        ("http://host:8501", Address("http", "host:8501", "kcseg", None)),
        ("https://host/v1/models/a-b", Address("https", "host", "a-b", None)),
        ("grpc://host:8500/kcseg", Address("grpc", "host:8500", "kcseg", None)),
        ("grpcs://[::1]:8500/kcseg/versions/3", Address("grpcs", "[::1]:8500", "kcseg", 3)),
        ("grpc://host:8500/", Address("grpc", "host:8500", "kcseg", None)),
    ],
)
def test_addresses_are_understood(text, expected):
    assert parse_address(text) == expected
    assert parse_address(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "runs/demo",
        "ftp://host/v1/models/kcseg",
        "http://",
        "http://host:8501/v1/models/kcseg:predict",
        "http://host:8501/v1/models/kcseg/versions/new",
        "http://host:8501/models/kcseg",
        "http://host:99999/v1/models/kcseg",
        "http://[::1/v1/models/kcseg",
        "http://user:secret@host:8501/v1/models/kcseg",
        "grpc://host/kcseg",
        "grpc://host:8500/v1/models/kcseg",
    ],
)
def test_anything_else_is_an_error_that_shows_an_address(text):
    with pytest.raises(InputError, match=r"8501|8500"):
        parse_address(text)
