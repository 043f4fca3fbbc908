"""All that is made of a trained run: scores of the test batch, figures, the report."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kcseg.dataset.batch import evenly, find_batches
from kcseg.files import write_csv
from kcseg.image.listing import list_images
from kcseg.page.figures import disagreement_figure, save_figures, segmentation_figure, training_figure
from kcseg.page.page import Section, settings_section, table, write_sections
from kcseg.phantom.simulate import is_simulated
from kcseg.prediction.predict import predict_files
from kcseg.progress import Tell, silent
from kcseg.serving.runner import Ensemble
from kcseg.study.known import Known, known_test
from kcseg.study.scores import Scores, evaluate, masks_of, score_rows, soft_masks_of
from kcseg.training.fit import read_history
from kcseg.training.run import Run

FIGURES = ("segmentation", "fold_disagreement", "training")
_SCORES = (
    "Dice = 2·|P∩T| / (|P|+|T|), mean over the images. The challenge ranked by the Dice against the references; "
    "the truth is the exact mask, known only where the images are simulated."
)


def segment_test_batches(run: Run, ensemble: Ensemble, challenge: Path, tell: Tell = silent) -> None:
    """Segment every test batch of the challenge into `predictions/<batch>/` inside the run folder."""
    for name, folder in find_batches(challenge, "test").items():
        # with force, since an interrupted call may have left some
        predict_files(ensemble, list_images(folder), run.folder / "predictions" / name, force=True, tell=tell)


def report_run(run: Run, ensemble: Ensemble, challenge: Path, tell: Tell = silent) -> list[dict[str, Any]]:
    """Score a test batch, write `scores.csv` and figures, and the report, which marks the run as finished.

    Returns the rows of `scores.csv`; none where the challenge has no test batch with references.
    """
    sections: list[Section] = []
    drawn: dict[str, tuple[Figure, str]] = {}
    rows: list[dict[str, Any]] = []
    if test := known_test(challenge):
        scores = evaluate(ensemble, test, run.config.ensemble, tell)
        rows = score_rows(scores)
        write_csv(run.folder / "scores.csv", rows)
        sections = [Section("Scores on the test batch", _SCORES, table(rows), strong=len(rows) - 1)]
        drawn = _test_figures(run, ensemble, test, scores["median"])
    histories = {
        f"member {number}": read_history(run.member_folder(number)) for number in run.config.member_numbers
    }
    caption = "Training: held-out Dice and training loss, a line per member."
    drawn["training"] = training_figure(histories), caption
    sections += [
        Section("Members", rows=table(_member_rows(run))),
        Section("Figures", figures=save_figures(run.folder / "figures", drawn)),
        settings_section(run.config),
    ]
    facts = {**described(run, challenge, test), "seed": run.config.seed}
    title = f"Renal cortex: {run.config.members} members and their median"
    write_sections(run.report_path, title, sections, facts)
    return rows


def described(run: Run, challenge: Path, test: Known | None) -> dict[str, object]:
    """Return what a run was trained and scored on, by name."""
    return {
        "images": "simulated challenge" if is_simulated(challenge) else f"challenge folder {challenge.name}",
        "training images": run.training_data()["images"],
        "test images": len(test.batch) if test else "none with references",
    }


def _test_figures(run: Run, ensemble: Ensemble, test: Known, scores: Scores) -> dict[str, tuple[Figure, str]]:
    """Draw the images from the best to the worst score, evenly spaced between: the page must not flatter."""
    chosen = np.argsort(-scores.reference, kind="stable")[evenly(len(test.batch), 6)]
    images, references = ([one[index] for index in chosen] for one in (test.batch.images, test.references))
    soft_masks = [soft_masks_of(ensemble, image) for image in images]
    masks = [masks_of(one, run.config.ensemble.mask_threshold)["median"] for one in soft_masks]
    titles = [f"{test.batch.ids[index]}: Dice {scores.reference[index]:.3f}" for index in chosen]
    caption = "Median ensemble on test images, from the best Dice (left) to the worst (right)."
    drawn = {"segmentation": (segmentation_figure(images, masks, references, titles), caption)}
    if run.config.ensemble.folds >= 3:
        disagreement = disagreement_figure(images, [one[:3] for one in soft_masks], titles)
        caption = "Three fold members in red, green and blue; white where they agree."
        drawn["fold_disagreement"] = disagreement, caption
    return drawn


def _member_rows(run: Run) -> list[dict[str, Any]]:
    images = run.training_data()["images"]
    facts = {number: run.member_facts(number) for number in run.config.member_numbers}
    return [
        {
            "member": f"member-{number}",
            "images": images - len(ids),
            "epochs": facts[number]["epochs"],
            "best_epoch": facts[number]["best_epoch"],
            "dice_held_out": facts[number]["validation_dice"],
        }
        for number, ids in run.held_out().items()
    ]
