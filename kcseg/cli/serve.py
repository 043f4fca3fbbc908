"""kcseg serve: TF Serving's APIs over an ensemble, without Docker."""

import logging
from pathlib import Path

import click

from kcseg.cli.console import device_option, main, print_line, quiet_import
from kcseg.cli.settings import PATH
from kcseg.errors import InputError

_PORT = click.IntRange(0, 65535)


@main.command()
@click.argument("model", type=PATH, required=False)
@click.option("--host", default="127.0.0.1", help="Where to listen; by default this machine alone.")
@click.option("--port", type=_PORT, default=8501, help="For REST; 0 takes a free one.")
@click.option("--grpc-port", type=_PORT, default=8500, help="For gRPC; 0 takes a free one.")
@device_option
def serve(model: Path | None, host: str, port: int, grpc_port: int) -> None:
    """Serve MODEL over the REST and gRPC APIs of TF Serving.

    MODEL is a run folder, an exported model or packed weights; by default the weights that come with kcseg.
    For laptops, notebooks and tests; production is stock TF Serving with the same folder, as in deploy/. A newer
    version dropped beside the old one takes over. SIGTERM and Ctrl-C finish what is in flight. There is no
    encryption and no password: everybody who reaches the port may use it.
    """
    print_line(f"Loading {model or 'the weights that come with kcseg'}")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("kcseg").setLevel(logging.INFO)
    with quiet_import():
        try:
            from kcseg.server.server import Server
        except ImportError as error:
            raise InputError(f"serving needs more libraries ({error}); pip install 'kcseg[serve]'") from error

        from kcseg.serving.bundle import shipped_weights
        from kcseg.serving.export import exported

    with exported(model or shipped_weights()) as folder:
        server = Server(folder, host=host, port=port, grpc_port=grpc_port)
        print_line(f"Serving {server.rest_address} and {server.grpc_address}")
        server.run()
    print_line("Stopped")
