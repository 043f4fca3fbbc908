"""The paper's study from end to end: pre-training, the ensemble, what it is compared with, and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.files import locked, read_facts, require_own, sha256, write_json
from kcseg.phantom.simulate import simulate_challenge
from kcseg.progress import Tell, silent, within
from kcseg.serving.runner import Ensemble
from kcseg.study.audit import audit_run
from kcseg.study.audit_report import write_audit
from kcseg.study.challenge import run_challenge
from kcseg.study.claims import ENSEMBLE, NO_AUGMENTATION, RANDOM_START, Findings
from kcseg.study.comparison import Comparison, compare
from kcseg.study.known import Known, known_test, known_training
from kcseg.study.paper import paper_figures
from kcseg.study.parts import Members, by_count, combine, edge_share, without_augmentation
from kcseg.study.pretraining import pretrained_weights
from kcseg.study.reproduction_report import report_reproduction
from kcseg.study.soft_masks import soft_masks
from kcseg.training.members import train_members
from kcseg.training.run import Run, load_run, open_run

_SETTINGS = "study.json"
_STAGES = ("challenge", "persons", "pretraining", "comparison", ENSEMBLE, RANDOM_START, NO_AUGMENTATION)


@dataclass(frozen=True)
class Study:
    """What is studied."""

    config: Config  # of the ensemble; the others differ in one thing each
    data: Path | None = None  # challenge folder; None simulates one of `config.simulation`
    coco: Path | None = None  # folder in COCO's layout to pre-train on; None simulates persons
    seeds: int = 5  # these two of the comparison of pre-trained with random starts
    steps: int = 300
    created: date | None = None  # the day to state in the export


def reproduce(folder: Path, study: Study, tell: Tell = silent) -> Path:
    """Run the study in a folder, or go on where it was cut off, and return the report.

    Trains the ensemble, and its fold members twice more: from random weights, and on images that are never changed.

    Raises:
        InputError: unusable data, or the folder holds something else.
    """
    config = study.config
    training = known_training(study.data) if study.data else None
    facts = _facts(study, training)
    require_own(folder / _SETTINGS, facts, "study", *_STAGES)
    with locked(folder):
        write_json(folder / _SETTINGS, facts)
        challenge = study.data or folder / "challenge"
        if study.data is None:
            simulate_challenge(challenge, config.simulation, tell=tell, workers=2)
        if (test := known_test(challenge)) is None:
            raise InputError(f"no test batch with masks in {challenge}; the study compares scores on one")
        weights = pretrained_weights(folder, study.coco, config, tell)
        training = training or known_training(challenge)
        batch = training.batch
        comparison = Comparison(config, seeds=study.seeds, steps=study.steps)
        starts = compare(folder / "comparison", batch, weights, comparison, tell)
        main = _train_ensemble(folder / ENSEMBLE, challenge, weights, study, tell)
        arms = {
            RANDOM_START: _train_folds(folder / RANDOM_START, batch, config, None, tell),
            NO_AUGMENTATION: _train_folds(
                folder / NO_AUGMENTATION, batch, without_augmentation(config), weights, tell
            ),
        }
        audit = audit_run(main, training, tell)
        write_audit(folder / "audit", audit)
        ensemble = Ensemble.load(main.folder)
        figures = paper_figures(
            folder / "figures", main, ensemble, audit=audit, test=test, starts=starts, tell=tell
        )
        findings = _evaluate(main, arms, test, tell)
        described = _described(folder, study, batch, test.batch)
        return report_reproduction(folder, config, findings, starts, described, figures, audit)


def _train_ensemble(folder: Path, challenge: Path, weights: Path, study: Study, tell: Tell) -> Run:
    """Do the whole challenge with the ensemble, unless an earlier call did."""
    if not (folder / "report.html").exists():
        run_challenge(
            folder,
            study.config,
            data=challenge,
            pretrained=weights,
            created=study.created,
            tell=within(tell, ENSEMBLE),
        )
    return load_run(folder)


def _train_folds(folder: Path, batch: Batch, config: Config, weights: Path | None, tell: Tell) -> Run:
    """Train the fold members alone."""
    run = open_run(folder, batch, replace(config, ensemble=replace(config.ensemble, full_members=0)), weights)
    train_members(run, batch, run.config.member_numbers, within(tell, folder.name))
    return run


def _evaluate(main: Run, arms: Mapping[str, Run], test: Known, tell: Tell) -> Findings:
    """Score every network and every way to combine them on the test batch."""

    def members(run: Run, name: str) -> Members:
        found = soft_masks(run, test.batch.images, run.config.member_numbers, within(tell, name))
        return Members.of(found, run.config.ensemble)

    ensemble = members(main, ENSEMBLE)
    folds = ensemble.folds()
    others = {name: combine(members(run, name), test) for name, run in arms.items()}
    return Findings(
        ensemble=combine(ensemble, test),
        arms={ENSEMBLE: combine(folds, test), **others},
        by_count=by_count(ensemble, test, tell),
        edge_share=edge_share(folds, test),
    )


def _described(folder: Path, study: Study, batch: Batch, test: Batch) -> dict[str, str]:
    """Return what was run, by name."""
    persons = read_facts(folder / "pretraining" / "result.json", images=dict, validation_dice=float)
    config = study.config
    return {
        "images": "simulated challenge" if study.data is None else f"challenge folder {study.data.name}",
        "training images": str(len(batch)),
        "test images": str(len(test)),
        "members": f"{config.ensemble.folds} on folds, {config.ensemble.full_members} on all images",
        "pre-trained on": f"{persons['images']['train']} images of "
        + ("simulated persons" if study.coco is None else study.coco.name)
        + f", Dice {persons['validation_dice']:.3f} on held-out crops",
        "seed": str(config.seed),
        "TensorFlow, Keras": ", ".join(map(version, ("tensorflow", "keras"))),
    }


def _facts(study: Study, training: Known | None) -> dict[str, object]:
    """Return what must not change between calls."""
    return {
        "config": to_json(study.config),
        "data": training and training.batch.fingerprint(),
        "coco": study.coco and sha256(study.coco / "annotations" / "instances_train2017.json"),
        "steps": study.steps,
    }
