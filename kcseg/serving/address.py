"""The address of a served ensemble."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from kcseg.errors import InputError

_EXPECTED = (
    "http://HOST:8501/v1/models/NAME or grpc://HOST:8500/NAME, with /versions/N behind for one version"
)
_NAME = r"(?P<name>[^/:]+)(/versions/(?P<version>\d{1,18}))?/?"
_REST_PATH, _GRPC_PATH = re.compile(f"(/v1/models/{_NAME})?/?"), re.compile(f"(/{_NAME})?/?")


@dataclass(frozen=True)
class Address:
    """Where a served ensemble is."""

    scheme: str  # http, https, grpc or grpcs
    host: str  # name or number, with the port where one was given
    name: str  # of the model on its server
    version: int | None  # None means the newest

    @property
    def is_grpc(self) -> bool:
        """Whether the server is asked by gRPC, and not by HTTP and JSON."""
        return self.scheme.startswith("grpc")

    def __str__(self) -> str:
        models = "" if self.is_grpc else "v1/models/"
        version = "" if self.version is None else f"/versions/{self.version}"
        return f"{self.scheme}://{self.host}/{models}{self.name}{version}"


def parse_address(text: str) -> Address:
    """Read an address, `http[s]://HOST[:PORT]/v1/models/NAME` or `grpc[s]://HOST:PORT/NAME`.

    `/versions/N` may follow; without a name, `kcseg` is meant.

    Raises:
        InputError: it is none.
    """
    refused = InputError(f"{text} is no address of a served model; expected {_EXPECTED}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise refused from error
    grpc = parts.scheme in ("grpc", "grpcs")
    match = (_GRPC_PATH if grpc else _REST_PATH).fullmatch(parts.path)
    known = parts.scheme in ("http", "https") or (grpc and port is not None)
    if not (known and match and parts.hostname) or parts.query or parts.fragment or "@" in parts.netloc:
        raise refused
    version = match["version"]
    return Address(parts.scheme, parts.netloc, match["name"] or "kcseg", int(version) if version else None)
