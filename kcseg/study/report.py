"""All that is made of a trained run: scores of the test batch, figures, the report."""

from pathlib import Path

import numpy as np

from kcseg.config_json import to_json
from kcseg.dataset.batch import Batch, evenly, read_batch, read_truth, test_batches
from kcseg.image.listing import list_images
from kcseg.page.figures import disagreement_figure, save_figure, segmentation_figure, training_figure
from kcseg.page.page import flat, write_page
from kcseg.phantom.simulate import is_simulated
from kcseg.prediction.predict import predict_files
from kcseg.progress import Tell, silent
from kcseg.serving.runner import Ensemble
from kcseg.study.evaluation import Evaluation, evaluate, write_scores
from kcseg.training.fit import read_history
from kcseg.training.run import Run

FIGURES = ("segmentation", "fold_disagreement", "training")


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


def report_run(run: Run, ensemble: Ensemble, challenge: Path, tell: Tell = silent) -> Evaluation | None:
    """Score the test batches, draw the figures and write the report, which marks the run as finished.

    Returns the evaluation; None where the challenge has no test batch with references.
    """
    figures = [(_training_curves(run), "Training: held-out Dice and training loss, a line per member.")]
    evaluation = None
    test = scored_batch(challenge)
    if test is not None:
        batch, truth = test
        evaluation = evaluate(ensemble, batch, truth, run.config.ensemble, tell)
        write_scores(run.folder / "scores.csv", evaluation)
        figures = [*_test_figures(run, ensemble, batch, evaluation), *figures]
    write_page(
        run.report_path,
        "run.html",
        title=f"Renal cortex: {run.config.members} members and their median",
        facts=_facts(run, challenge, test[0] if test else None),
        scores=evaluation.rows() if evaluation else [],
        members=_member_rows(run),
        figures=figures,
        config=flat(to_json(run.config)),
    )
    return evaluation


def scored_batch(challenge: Path) -> tuple[Batch, tuple[np.ndarray, ...] | None] | None:
    """Return the first test batch of a challenge folder with references, and its truth where that is known."""
    for folder in test_batches(challenge).values():
        batch = read_batch(folder)
        if batch.masks is not None:
            return batch, read_truth(folder, batch.ids)
    return None


def _test_figures(
    run: Run, ensemble: Ensemble, batch: Batch, evaluation: Evaluation
) -> list[tuple[Path, str]]:
    """Draw the images from the best to the worst score, evenly spaced between: the page must not flatter."""
    scores = evaluation.dice_reference[-1]
    chosen = np.argsort(-scores, kind="stable")[evenly(len(batch), 6)]
    titles = [f"{batch.ids[index]}: Dice {scores[index]:.3f}" for index in chosen]
    images = [batch.images[index] for index in chosen]
    masks = [evaluation.masks[index] for index in chosen]
    assert batch.masks is not None
    results = run.folder / "figures" / "segmentation.png"
    save_figure(
        results,
        segmentation_figure(
            images, [mask[-1] for mask in masks], [batch.masks[index] for index in chosen], titles
        ),
    )
    drawn = [(results, "Median ensemble on test images, from the best Dice (left) to the worst (right).")]
    if run.config.ensemble.folds >= 3:
        disagreement = run.folder / "figures" / "fold_disagreement.png"
        soft_masks = [ensemble.soft_masks(image[np.newaxis])[0, :3] for image in images]
        save_figure(disagreement, disagreement_figure(images, soft_masks, titles))
        drawn.append((disagreement, "Three fold members in red, green and blue; white where they agree."))
    return drawn


def _training_curves(run: Run) -> Path:
    path = run.folder / "figures" / "training.png"
    histories = {
        f"member {number}": read_history(run.member_folder(number)) for number in run.config.member_numbers
    }
    save_figure(path, training_figure(histories))
    return path


def _facts(run: Run, challenge: Path, test: Batch | None) -> dict[str, str]:
    simulated = is_simulated(challenge)
    return {
        "images": "simulated challenge" if simulated else f"challenge folder {challenge.name}",
        "training images": str(run.training_data()["images"]),
        "test images": str(len(test)) if test else "none with references",
        "seed": str(run.config.seed),
    }


def _member_rows(run: Run) -> list[dict[str, object]]:
    images = run.training_data()["images"]
    return [
        {"name": f"member-{number}", "images": images - len(ids), **run.member_facts(number)}
        for number, ids in run.held_out().items()
    ]
