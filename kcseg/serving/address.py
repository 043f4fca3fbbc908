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
    """Where a served ensemble is.

    Attributes:
        scheme: http, https, grpc or grpcs.
        host: name or number, with the port where one was given.
        name: the model's name on its server.
        version: None means the newest.
    """

    scheme: str
    host: str
    name: str
    version: int | None

    @property
    def is_grpc(self) -> bool:
        """Whether the server is asked by gRPC, and not by HTTP and JSON."""
        return self.scheme.startswith("grpc")

    @property
    def path(self) -> str:
        """The model's name with its version, as both kinds of address end."""
        return self.name + (f"/versions/{self.version}" if self.version is not None else "")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}/{'' if self.is_grpc else 'v1/models/'}{self.path}"


def parse_address(text: str) -> Address:
    """Read an address, `http[s]://HOST[:PORT]/v1/models/NAME` or `grpc[s]://HOST:PORT/NAME`.

    `/versions/N` may follow; without a name, `kcseg` is meant.

    Raises:
        InputError: it is none.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{text} is no address ({error}); expected {_EXPECTED}") from error
    grpc = parts.scheme in ("grpc", "grpcs")
    match = (_GRPC_PATH if grpc else _REST_PATH).fullmatch(parts.path)
    known = grpc or parts.scheme in ("http", "https")
    if not (known and match and parts.hostname) or parts.query or parts.fragment or "@" in parts.netloc:
        raise InputError(f"{text} is no address of a served model; expected {_EXPECTED}")
    if grpc and port is None:
        raise InputError(f"{text} names no port; TF Serving's is 8500 for gRPC")
    version = match["version"]
    return Address(parts.scheme, parts.netloc, match["name"] or "kcseg", int(version) if version else None)
