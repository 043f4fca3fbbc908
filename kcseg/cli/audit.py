"""kcseg audit: which references of the training images are worth a second look."""

from pathlib import Path

import click

from kcseg.cli.console import (
    console,
    device_option,
    main,
    print_line,
    print_table,
    progress_bars,
    quiet_import,
)
from kcseg.cli.settings import PATH, trained_on_option
from kcseg.results import refuse_taken

_SHOWN = 10


@main.command()
@click.argument("run", type=PATH)
@trained_on_option
@click.option("-o", "--out", type=PATH, help="Folder for the results.  [default: RUN/audit]")
@click.option("--force", is_flag=True, help="Write over an earlier audit.")
@device_option
def audit(run: Path, data: Path | None, out: Path | None, force: bool) -> None:
    """Rank the references RUN was trained on by how much the fold members that held them out contradict them.

    Where truth and planted faults are known, as in a simulated challenge, it also measures how well that finds the
    faults.
    """
    with quiet_import():
        from kcseg.study.audit import audit_run
        from kcseg.study.audit_report import RESULTS, measured, write_audit
        from kcseg.study.known import known_training
        from kcseg.training.run import load_run

    trained, out = load_run(run), out or run / "audit"
    refuse_taken(out, RESULTS, force=force)
    known = known_training(trained.challenge(data))
    with progress_bars() as tell:
        found = audit_run(trained, known, tell)
    page = write_audit(out, found)
    print_table(
        [
            {
                "reference": row["id"],
                "score": f"{row['score']:.3f}",
                "Dice": f"{row['dice']:.3f}",
                "surplus, mm²": row["surplus_mm2"],
                "missing, mm²": row["missing_mm2"],
            }
            for row in found.rows[:_SHOWN]
        ]
    )
    for section in measured(found.rows):
        console.print(section.text)
    print_line(f"Look at {page}")
