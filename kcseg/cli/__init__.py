"""The commands. Each parses, calls one public function, prints."""

import click

import kcseg
from kcseg.cli.audit import audit
from kcseg.cli.check import check
from kcseg.cli.comparison import compare_pretraining
from kcseg.cli.console import ClearErrorsGroup
from kcseg.cli.export import export
from kcseg.cli.pack import pack
from kcseg.cli.predict import predict
from kcseg.cli.pretrain import pretrain
from kcseg.cli.reproduce import reproduce
from kcseg.cli.score import score
from kcseg.cli.serve import serve
from kcseg.cli.simulate import simulate
from kcseg.cli.train import train
from kcseg.cli.tune import tune


@click.group(cls=ClearErrorsGroup)
@click.version_option(kcseg.__version__)
def main() -> None:
    """Find the renal cortex in coronal CT and measure it. Research software, not a medical device."""


for command in (
    train,
    tune,
    pretrain,
    compare_pretraining,
    reproduce,
    audit,
    export,
    pack,
    predict,
    serve,
    score,
    simulate,
    check,
):
    main.add_command(command)
