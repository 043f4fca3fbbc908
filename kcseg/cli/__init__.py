"""The commands. Each parses, calls one public function, prints."""

from kcseg.cli import (  # noqa: F401 - each adds its command to the group
    audit,
    check,
    comparison,
    export,
    pack,
    predict,
    pretrain,
    reproduce,
    score,
    serve,
    simulate,
    train,
    tune,
)
from kcseg.cli.console import main

__all__ = ["main"]
