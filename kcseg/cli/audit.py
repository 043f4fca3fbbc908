"""kcseg audit: which references of the training images are worth a second look."""

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from kcseg.cli.console import console, progress_bars, quiet_import
from kcseg.cli.settings import trained_on_option
from kcseg.results import refuse_taken

_SHOWN = 10


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@trained_on_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the results.  [default: RUN/audit]")
@click.option("--force", is_flag=True, help="Write over an earlier audit.")
def audit(run: Path, data: Path | None, out: Path | None, force: bool) -> None:
    """Rank the references RUN was trained on by how much the fold members that held them out contradict them.

    Where truth and planted faults are known, as in a simulated challenge, it also says how well that finds the faults.
    """
    with quiet_import():
        from kcseg.study.audit import RESULTS, audit_run, read_audited, write_audit
        from kcseg.training.run import load_run

    trained, out = load_run(run), out or run / "audit"
    refuse_taken(out, RESULTS, force=force)
    batch, truth, faults = read_audited(trained, data)
    with progress_bars() as tell:
        found = audit_run(trained, batch, truth, faults, tell)
    page = write_audit(out, found, batch)
    table = Table("reference", "score", "Dice", "more, mm²", "less, mm²")
    for row in found.findings[:_SHOWN]:
        table.add_row(
            escape(row.id),
            f"{row.score:.3f}",
            f"{row.dice:.3f}",
            str(row.surplus_mm2),
            str(row.missing_mm2),
        )
    console.print(table)
    if planted := found.faults_found:
        console.print(
            f"Planted faults: {planted.faulty} of {planted.references} references, {planted.precision:.0%} of the "
            f"first {planted.top}; area under the ROC curve {'–' if planted.auc is None else f'{planted.auc:.2f}'}"
        )
    if against := found.against_truth:
        console.print(
            f"Dice against the truth: references {against.reference:.3f}, predictions {against.prediction:.3f}; "
            f"the prediction is closer in {against.closer:.0%} of all, in {against.closer_top:.0%} "
            f"of the first {against.top}"
        )
    console.print(f"Look at {escape(str(page))}", soft_wrap=True)
