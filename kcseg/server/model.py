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


class ServedModel:
    """The newest version that can be loaded.

    A request keeps the version it was given until it is answered; the version's memory is free after the last one.
    """

    def __init__(self, path: Path, name: str):
        """Find the versions in a run folder or an exported model, without loading one; an InputError without any."""
        self.name = name
        self._folder = find_versions(path)
        self._current: Servable | None = None
        self._states: dict[int, ModelVersionStatus] = {}
        self._broken: dict[int, set[tuple[str, int, int]]] = {}  # the files of versions that cannot be served

    def load(self) -> None:
        """Load the newest version that can be; raise an InputError where none can."""
        self.look_for_versions()
        if self._current is None:
            reason = self._states[max(self._states)].status.error_message
            raise InputError(f"no version in {self._folder} can be served: {reason}")

    def servable(self, name: str, version: int | None = None) -> Servable:
        """Return the version that answers, for None the newest; a Failure where another is served."""
        current = self._current
        if current and name == self.name and version in (None, current.version):
            return current
        which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise not_found(f"Servable not found for request: {which}")

    def status(self, name: str, version: int | None = None) -> GetModelStatusResponse:
        """Return the states of all versions met so far, newest first, or of one; a Failure where it is unknown."""
        if name != self.name:
            raise not_found(f"Could not find any versions of model {name}")
        states = dict(self._states)  # the watching thread may add one
        if version is not None and version not in states:
            raise not_found(f"Could not find version {version} of model {name}")
        wanted = sorted(states, reverse=True) if version is None else [version]
        return GetModelStatusResponse(model_version_status=[states[number] for number in wanted])

    def look_for_versions(self) -> None:
        """Load the newest version on disk, warm it, and let it take over; a broken one is passed over and logged."""
        for version in reversed(versions(self._folder)):
            if self._current and version == self._current.version:
                return
            if self._broken.get(version) == (files := _files(self._folder / str(version))):
                continue  # a folder that changed may have been a copy not yet finished
            try:
                self._take_over(Servable(version, self._folder / str(version)))
                return
            except Exception as error:  # whatever a broken model raises, the old one serves on
                self._broken[version] = files
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
        if old:
            self._set_state(old.version, ModelVersionStatus.END)
        _log.info("version %d of %s is served", servable.version, self.name)

    def _set_state(
        self, version: int, state: int, code: grpc.StatusCode = grpc.StatusCode.OK, reason: str = ""
    ) -> None:
        entry = ModelVersionStatus(version=version, state=state)
        entry.status.error_code, entry.status.error_message = code.value[0], reason
        self._states[version] = entry


def _files(folder: Path) -> set[tuple[str, int, int]]:
    """Return path, size and time of each file in a folder."""
    found = [(path, path.stat()) for path in folder.rglob("*")]
    return {(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in found}
