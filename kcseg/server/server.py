"""The server: one process, two ports."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import uvicorn

from kcseg.errors import InputError
from kcseg.server.limits import RUNNING, STOP_S, WAITING
from kcseg.server.metrics import Metrics
from kcseg.server.model import POLL_S, ServedModel
from kcseg.server.queue import Queue
from kcseg.server.rest import rest_app
from kcseg.server.rpc import grpc_server
from kcseg.training.run import MODEL_NAME


class Server:
    """TF Serving's APIs over the newest version of an exported ensemble.

    Attributes:
        rest_address, grpc_address: what `Ensemble.connect` takes.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = MODEL_NAME,
        host: str = "127.0.0.1",
        port: int = 8501,
        grpc_port: int = 8500,
        running: int = RUNNING,
        waiting: int = WAITING,
        poll_s: float = POLL_S,
    ):
        """Load the model and take the ports, without answering yet.

        Args:
            path: a run folder, or an exported model with its versions.
            name: what clients call the model.
            host: where to listen; the default can be reached from this machine alone.
            port, grpc_port: for REST and for gRPC; 0 takes a free one.
            running, waiting: how many requests may run at once, and wait besides; further ones are refused.
            poll_s: how often to look for a new version.

        Raises:
            InputError: no model that can be served, or a port that cannot be had.
        """
        self._model = ServedModel(path, name)
        self._poll_s = poll_s
        queue, metrics = Queue(running, waiting), Metrics(name)
        shown = f"[{host}]" if ":" in host else host
        with ExitStack() as taken:
            self._socket = taken.enter_context(_bound(host, port))
            self._grpc = grpc_server(self._model, queue, metrics)
            taken.callback(self._grpc.stop, None)
            try:
                grpc_port = self._grpc.add_insecure_port(f"{shown}:{grpc_port}")
            except RuntimeError as error:
                raise InputError(f"cannot listen on {shown}:{grpc_port}; choose another gRPC port") from error
            self._model.load()  # after the ports, for it takes seconds
            self._socket.listen(1024)  # so that who comes before run() waits for it
            taken.pop_all()
        self._rest = uvicorn.Server(
            uvicorn.Config(
                rest_app(self._model, queue, metrics),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(STOP_S),
            )
        )
        self.rest_address = f"http://{shown}:{self._socket.getsockname()[1]}/v1/models/{name}"
        self.grpc_address = f"grpc://{shown}:{grpc_port}/{name}"

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish what is in flight."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt), self._others():  # uvicorn raises the signal again when it is done
            self._rest.run(sockets=[self._socket])

    @contextmanager
    def in_background(self) -> Iterator["Server"]:
        """Serve from a thread of this process, for notebooks and tests; the end of the block stops the server."""
        thread = threading.Thread(target=self._rest.run, kwargs={"sockets": [self._socket]})
        with self._others():
            thread.start()
            try:
                yield self
            finally:
                while not self._rest.started and thread.is_alive():  # it would miss being told to stop
                    time.sleep(0.01)
                self._rest.should_exit = True
                thread.join()

    @contextmanager
    def _others(self) -> Iterator[None]:
        """Run what is not REST: gRPC, and the look-out for versions."""
        stop = threading.Event()
        watcher = threading.Thread(target=self._model.watch, args=(stop, self._poll_s), daemon=True)
        self._grpc.start()
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            self._grpc.stop(STOP_S).wait()
            watcher.join(STOP_S)
            self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server just stopped leaves its port so
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        raise InputError(f"cannot listen on {host}:{port} ({error}); choose another REST port") from error
    return taken
