"""A served model: its newest version, replaced while it serves when a newer one is dropped beside it."""

import logging
import threading
from pathlib import Path

import grpc
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse, ModelVersionStatus

from kcseg.errors import InputError
from kcseg.server.failure import not_found
from kcseg.server.servable import Servable
from kcseg.serving.export import versions
from kcseg.serving.local import find_versions

POLL_S = 1.0  # as TF Serving does
_log = logging.getLogger(__name__)
_Fingerprint = tuple[tuple[str, int, int], ...]


class ServedModel:
    """The newest version that can be loaded.

    A request keeps the version it was given until it is answered; the version's memory is free after the last one.
    """

    def __init__(self, path: Path, name: str):
        """Find the versions in a run folder or an exported model, without loading one.

        Raises:
            InputError: none is there.
        """
        self.name = name
        self._folder = find_versions(path)
        self._current: Servable | None = None
        self._states: dict[int, ModelVersionStatus] = {}
        self._broken: dict[int, _Fingerprint] = {}

    def load(self) -> None:
        """Load the newest version that can be.

        Raises:
            InputError: none of them can.
        """
        self.look_for_versions()
        if self._current is None:
            newest = versions(self._folder)[-1]
            raise InputError(f"no version in {self._folder} can be served: {self._reason(newest)}")

    def servable(self, name: str, version: int | None = None) -> Servable:
        """Return the version that answers; None means the newest.

        Raises:
            Failure: NOT_FOUND, there is no such model, or it serves another version.
        """
        current = self._current
        if current and name == self.name and version in (None, current.version):
            return current
        which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise not_found(f"Servable not found for request: {which}")

    def status(self, name: str, version: int | None = None) -> GetModelStatusResponse:
        """Return the states of all versions met so far, newest first, or of one.

        Raises:
            Failure: NOT_FOUND, there is no such model or version.
        """
        if name != self.name:
            raise not_found(f"Could not find any versions of model {name}")
        states = dict(self._states)
        if version is not None and version not in states:
            raise not_found(f"Could not find version {version} of model {name}")
        wanted = sorted(states, reverse=True) if version is None else [version]
        return GetModelStatusResponse(model_version_status=[states[number] for number in wanted])

    def look_for_versions(self) -> None:
        """Load the newest version on disk, warm it, and let it take over; a broken one is passed over and logged."""
        for version in reversed(versions(self._folder)):
            if self._current and version == self._current.version:
                return
            if self._broken.get(version) != (fingerprint := _fingerprint(self._folder / str(version))):
                try:
                    self._take_over(Servable(version, self._folder / str(version)))
                    return
                except Exception as error:  # whatever a broken model raises, the old one serves on
                    self._broken[version] = fingerprint
                    self._set_state(version, ModelVersionStatus.END, grpc.StatusCode.UNKNOWN, str(error))
                    _log.warning("version %d cannot be served: %s", version, error)

    def watch(self, stop: threading.Event, every_s: float = POLL_S) -> None:
        """Look for versions until told to `stop`."""
        while not stop.wait(every_s):
            try:
                self.look_for_versions()
            except Exception as error:  # e.g. a disk that is away for a while; the watching goes on
                _log.warning("cannot look for versions in %s: %s", self._folder, error)

    def _take_over(self, servable: Servable) -> None:
        old, self._current = self._current, servable
        self._set_state(servable.version, ModelVersionStatus.AVAILABLE)
        self._broken.pop(servable.version, None)
        if old:
            self._set_state(old.version, ModelVersionStatus.END)
        _log.info("version %d of %s is served", servable.version, self.name)

    def _set_state(
        self, version: int, state: int, code: grpc.StatusCode = grpc.StatusCode.OK, reason: str = ""
    ) -> None:
        entry = ModelVersionStatus(version=version, state=state)
        entry.status.error_code, entry.status.error_message = code.value[0], reason
        self._states[version] = entry

    def _reason(self, version: int) -> str:
        return self._states[version].status.error_message


def _fingerprint(folder: Path) -> _Fingerprint:
    """Tell a folder that is still being copied from one that has been tried as it is."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
