"""All that is made of a trained run: scores of the test batch, figures, the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kcseg.dataset.batch import Batch, evenly, read_batch, read_truth, test_batches
from kcseg.files import write_csv
from kcseg.image.listing import list_images
from kcseg.page.figures import disagreement_figure, save_figure, segmentation_figure, training_figure
from kcseg.page.page import Section, number, settings_section, write_sections
from kcseg.phantom.simulate import is_simulated
from kcseg.prediction.predict import predict_files
from kcseg.progress import Tell, silent
from kcseg.serving.runner import Ensemble
from kcseg.study.scores import Scores, evaluate, score_rows
from kcseg.training.fit import read_history
from kcseg.training.run import Run

FIGURES = ("segmentation", "fold_disagreement", "training")
_SCORES = (
    "Dice = 2·|P∩T| / (|P|+|T|), mean over the images. The challenge ranked by the column “reference”; “truth” is the "
    "exact mask, known only where the images are simulated."
)


def segment_test_batches(run: Run, ensemble: Ensemble, challenge: Path, tell: Tell = silent) -> None:
    """Segment every test batch of the challenge into `predictions/<batch>/` inside the run folder."""
    for name, folder in test_batches(challenge).items():
        predict_files(
            ensemble,
            list_images(folder),
            run.folder / "predictions" / name,
            force=True,  # what an interrupted call left
            tell=tell,
        )


def report_run(run: Run, ensemble: Ensemble, challenge: Path, tell: Tell = silent) -> list[dict[str, Any]]:
    """Score a test batch, write `scores.csv` and figures, and the report, which marks the run as finished.

    Returns the rows of `scores.csv`; none where the challenge has no test batch with references.
    """
    figures, rows = [], []
    test = scored_batch(challenge)
    if test is not None:
        scores = evaluate(ensemble, *test, run.config.ensemble, tell)
        rows = score_rows(scores)
        write_csv(run.folder / "scores.csv", rows)
        figures = _test_figures(run, ensemble, test[0], scores["median"])
    histories = {
        f"member {number}": read_history(run.member_folder(number)) for number in run.config.member_numbers
    }
    curves = save_figure(run.folder / "figures" / "training.png", training_figure(histories))
    figures.append((curves, "Training: held-out Dice and training loss, a line per member."))
    write_sections(
        run.report_path,
        f"Renal cortex: {run.config.members} members and their median",
        [
            *([_score_section(rows)] if rows else []),
            Section("Members", rows=_member_rows(run)),
            Section("Figures", figures=figures),
            settings_section(run.config),
        ],
        {
            "images": "simulated challenge"
            if is_simulated(challenge)
            else f"challenge folder {challenge.name}",
            "training images": run.training_data()["images"],
            "test images": len(test[0]) if test else "none with references",
            "seed": run.config.seed,
        },
    )
    return rows


def scored_batch(challenge: Path) -> tuple[Batch, tuple[np.ndarray, ...] | None] | None:
    """Return the first test batch of a challenge folder with references, and its truth where that is known."""
    for folder in test_batches(challenge).values():
        batch = read_batch(folder)
        if batch.masks is not None:
            return batch, read_truth(folder, batch.ids)
    return None


def _test_figures(run: Run, ensemble: Ensemble, batch: Batch, scores: Scores) -> list[tuple[Path, str]]:
    """Draw the images from the best to the worst score, evenly spaced between: the page must not flatter."""
    assert batch.masks is not None
    chosen = np.argsort(-scores.reference, kind="stable")[evenly(len(batch), 6)]
    images = [batch.images[index] for index in chosen]
    soft_masks = [ensemble.soft_masks(image[np.newaxis])[0] for image in images]
    masks = [np.median(one, axis=0) > run.config.ensemble.mask_threshold for one in soft_masks]
    titles = [f"{batch.ids[index]}: Dice {scores.reference[index]:.3f}" for index in chosen]
    segmentation = segmentation_figure(images, masks, [batch.masks[index] for index in chosen], titles)
    drawn = [
        (
            save_figure(run.folder / "figures" / "segmentation.png", segmentation),
            "Median ensemble on test images, from the best Dice (left) to the worst (right).",
        )
    ]
    if run.config.ensemble.folds >= 3:
        disagreement = disagreement_figure(images, [one[:3] for one in soft_masks], titles)
        drawn.append(
            (
                save_figure(run.folder / "figures" / "fold_disagreement.png", disagreement),
                "Three fold members in red, green and blue; white where they agree.",
            )
        )
    return drawn


def _score_section(rows: list[dict[str, Any]]) -> Section:
    shown = [
        {
            "predictor": row["name"],
            "Dice, reference": number(row["dice_reference"]),
            "Dice, truth": number(row["dice_truth"]),
        }
        for row in rows
    ]
    return Section("Scores on the test batch", _SCORES, shown, strong=len(rows) - 1)


def _member_rows(run: Run) -> list[Mapping[str, object]]:
    images = run.training_data()["images"]
    rows = []
    for place, ids in run.held_out().items():
        facts = run.member_facts(place)
        rows.append(
            {
                "member": f"member-{place}",
                "trained on": f"{images - len(ids)} images",
                "epochs": facts["epochs"],
                "best epoch": facts["best_epoch"],
                "Dice, held-out images": number(facts["validation_dice"]),
            }
        )
    return rows
