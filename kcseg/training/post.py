"""Which part this process has in a search: all of it, the chief, or one of the workers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from kcseg.errors import InputError

_ID, _IP, _PORT = (f"KERASTUNER_{name}" for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"))


@dataclass(frozen=True)
class Post:
    """The part this process has; without an address it does all by itself."""

    id: str = "tuner0"
    address: str | None = None

    @property
    def is_chief(self) -> bool:
        """Whether it deals the trials and trains none; keras-tuner tells chiefs by their name."""
        return self.address is not None and "chief" in self.id

    @property
    def is_worker(self) -> bool:
        """Whether it trains what a chief deals."""
        return self.address is not None and "chief" not in self.id


ALONE = Post()


def post_from_environment(environment: Mapping[str, str]) -> Post:
    """Return the part that keras-tuner's own three variables give this process.

    Raises:
        InputError: some of the three are set and others are not, or one cannot be.
    """
    given = {name: environment[name] for name in (_ID, _IP, _PORT) if name in environment}
    if not given:
        return ALONE
    for name in (_ID, _IP, _PORT):
        if not given.get(name):
            raise InputError(
                f"{', '.join(given)} set, but not {name}; several machines need all three, one machine none of them"
            )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", given[_ID]):
        raise InputError(f"{_ID} must be letters, digits, '.', '_' and '-', got {given[_ID]!r}")
    if not given[_PORT].isdecimal() or not 1 <= int(given[_PORT]) <= 65535:
        raise InputError(f"{_PORT} must be a port from 1 to 65535, got {given[_PORT]!r}")
    return Post(given[_ID], f"{given[_IP]}:{given[_PORT]}")


def require_chief(post: Post, timeout_s: float) -> None:
    """Wait until the chief answers at its address.

    Raises:
        InputError: it does not within `timeout_s` seconds.
    """
    with grpc.insecure_channel(post.address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=timeout_s)
        except grpc.FutureTimeoutError as error:
            raise InputError(
                f"worker {post.id} found no chief at {post.address} within {timeout_s:g} s; start the same command "
                f"with {_ID}=chief there, or mend {_IP} and {_PORT}"
            ) from error
