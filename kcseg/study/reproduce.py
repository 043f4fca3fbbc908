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
from kcseg.study.audit import audit_run
from kcseg.study.audit_report import write_audit
from kcseg.study.challenge import run_challenge
from kcseg.study.claims import ENSEMBLE, NO_AUGMENTATION, RANDOM_START, Findings
from kcseg.study.comparison import Comparison, compare
from kcseg.study.known import Known, known_test, known_training
from kcseg.study.paper import paper_figures
from kcseg.study.parts import Members, by_count, combine, edge_share
from kcseg.study.pretraining import pretrained_weights
from kcseg.study.report import described
from kcseg.study.reproduction_report import report_reproduction
from kcseg.study.soft_masks import soft_masks
from kcseg.training.members import train_members
from kcseg.training.run import Run, load_run, open_run
from kcseg.training.space import configure

_SETTINGS = "study.json"
_STILL = {"augmentation.geometry": 0.0, "augmentation.intensity": 0.0}  # images are never changed
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
    settings = {
        "config": to_json(config),
        "data": training and training.batch.fingerprint(),
        "coco": study.coco and sha256(study.coco / "annotations" / "instances_train2017.json"),
        "steps": study.steps,
    }
    require_own(folder / _SETTINGS, settings, "study", *_STAGES)
    with locked(folder):
        write_json(folder / _SETTINGS, settings)
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
        still = configure(config, _STILL)
        arms = {
            RANDOM_START: _train_folds(folder / RANDOM_START, batch, config, None, tell),
            NO_AUGMENTATION: _train_folds(folder / NO_AUGMENTATION, batch, still, weights, tell),
        }
        audit = audit_run(main, training, tell)
        write_audit(folder / "audit", audit)
        members = _members(main, test, tell)
        figures = paper_figures(folder / "figures", main, members, audit=audit, test=test, starts=starts)
        findings = _evaluate(members, arms, test, tell)
        facts = described(main, challenge, test) | _described(folder, study)
        return report_reproduction(folder, config, findings, starts, facts, figures, audit)


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


def _members(run: Run, test: Known, tell: Tell) -> Members:
    found = soft_masks(run, test.batch.images, run.config.member_numbers, within(tell, run.folder.name))
    return Members.of(found, run.config.ensemble)


def _evaluate(ensemble: Members, arms: Mapping[str, Run], test: Known, tell: Tell) -> Findings:
    """Score every network and every way to combine them on the test batch."""
    folds = ensemble.folds()
    others = {name: combine(_members(run, test, tell), test) for name, run in arms.items()}
    return Findings(
        ensemble=combine(ensemble, test),
        arms={ENSEMBLE: combine(folds, test), **others},
        by_count=by_count(ensemble, test, tell),
        edge_share=edge_share(folds, test),
    )


def _described(folder: Path, study: Study) -> dict[str, object]:
    """Return how it was trained, by name."""
    persons = read_facts(folder / "pretraining" / "result.json", images=dict, validation_dice=float)
    config = study.config
    return {
        "members": f"{config.ensemble.folds} on folds, {config.ensemble.full_members} on all images",
        "pre-trained on": f"{persons['images']['train']} images of "
        + ("simulated persons" if study.coco is None else study.coco.name)
        + f", Dice {persons['validation_dice']:.3f} on held-out crops",
        "seed": config.seed,
        "TensorFlow, Keras": ", ".join(map(version, ("tensorflow", "keras"))),
    }
