"""The paper's study from end to end: pre-training, the ensemble, what it is compared with, and the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.dataset.batch import Batch, training_batch
from kcseg.errors import InputError
from kcseg.files import locked, read_facts, require_own, sha256, write_json
from kcseg.page.page import Section
from kcseg.phantom.simulate import simulate_challenge
from kcseg.progress import Tell, silent, within
from kcseg.serving.runner import Ensemble
from kcseg.study.audit import audit_run, read_audited
from kcseg.study.audit_report import audit_section, write_audit
from kcseg.study.challenge import run_challenge
from kcseg.study.claims import ENSEMBLE, NO_AUGMENTATION, RANDOM_START, Findings
from kcseg.study.comparison import Comparison, History, compare
from kcseg.study.paper import paper_figures
from kcseg.study.parts import Members, by_count, combine, edge_share, without_augmentation
from kcseg.study.pretraining import pretrained_weights
from kcseg.study.report import scored_batch
from kcseg.study.reproduction_report import report_reproduction
from kcseg.study.soft_masks import soft_masks
from kcseg.training.members import train_members
from kcseg.training.run import Run, load_run, open_run

Scored = tuple[Batch, tuple[np.ndarray, ...] | None]  # images with references, and their truth where known

_SETTINGS = "study.json"
_STAGES = ("challenge", "persons", "pretraining", "comparison", ENSEMBLE, RANDOM_START, NO_AUGMENTATION)


@dataclass(frozen=True)
class Study:
    """What is studied.

    Attributes:
        config: of the ensemble; the others differ in one thing each.
        data: challenge folder; None simulates one of `config.simulation`.
        coco: folder in COCO's layout to pre-train on; None simulates persons.
        seeds, steps: of the comparison of pre-trained with random starts.
        created: the day to state in the export.
    """

    config: Config
    data: Path | None = None
    coco: Path | None = None
    seeds: int = 5
    steps: int = 300
    created: date | None = None


def reproduce(folder: Path, study: Study, tell: Tell = silent) -> Path:
    """Run the study in a folder, or go on where it was cut off, and return the report.

    Trains the ensemble, and its fold members twice more: from random weights, and on images that are never changed.

    Raises:
        InputError: unusable data, or the folder holds something else.
    """
    batch = None if study.data is None else training_batch(study.data)
    facts = _facts(study, batch)
    require_own(folder / _SETTINGS, facts, "study", *_STAGES)
    with locked(folder):
        write_json(folder / _SETTINGS, facts)
        challenge = study.data or folder / "challenge"
        if study.data is None:
            simulate_challenge(challenge, study.config.simulation, tell=tell, workers=2)
        test = _test_batch(challenge)
        weights = pretrained_weights(folder, study.coco, study.config, tell)
        batch = batch or training_batch(challenge)
        comparison = Comparison(study.config, seeds=study.seeds, steps=study.steps)
        starts = compare(folder / "comparison", batch, weights, comparison, tell)
        main = _train_ensemble(folder / ENSEMBLE, challenge, weights, study, tell)
        folds = replace(study.config, ensemble=replace(study.config.ensemble, full_members=0))
        arms = {
            RANDOM_START: _train_folds(folder / RANDOM_START, batch, folds, None, tell),
            NO_AUGMENTATION: _train_folds(
                folder / NO_AUGMENTATION, batch, without_augmentation(folds), weights, tell
            ),
        }
        figures, audit = _draw(folder, main, challenge, test, starts, tell)
        findings = _evaluate(main, arms, test, tell)
        return report_reproduction(
            folder, study.config, findings, starts, _described(folder, study, batch, test[0]), figures, audit
        )


def _test_batch(challenge: Path) -> Scored:
    if (scored := scored_batch(challenge)) is None:
        raise InputError(f"no test batch with masks in {challenge}; the study compares scores on one")
    return scored


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
    run = open_run(folder, batch, config, weights)
    train_members(run, batch, config.member_numbers, within(tell, folder.name))
    return run


def _evaluate(main: Run, arms: Mapping[str, Run], test: Scored, tell: Tell) -> Findings:
    """Score every network and every way to combine them on the test batch."""
    batch, truth = test

    def members(run: Run, name: str) -> Members:
        found = soft_masks(run, batch.images, run.config.member_numbers, within(tell, name))
        return Members.of(found, run.config.ensemble)

    ensemble = members(main, ENSEMBLE)
    folds = ensemble.folds()
    return Findings(
        ensemble=combine(ensemble, batch, truth),
        arms={
            ENSEMBLE: combine(folds, batch, truth),
            **{name: combine(members(run, name), batch, truth) for name, run in arms.items()},
        },
        by_count=by_count(ensemble, batch, truth, tell),
        edge_share=edge_share(folds.kept, batch.masks or ()),
    )


def _draw(
    folder: Path,
    main: Run,
    challenge: Path,
    test: Scored,
    starts: Mapping[str, Sequence[History]],
    tell: Tell,
) -> tuple[list[tuple[Path, str]], Section]:
    """Draw the paper's figures and audit the references; return figures with captions, and the audit's section."""
    training = read_audited(main, challenge)
    audit = audit_run(main, *training, tell)
    write_audit(folder / "audit", audit, training[0])
    figures = paper_figures(
        folder / "figures",
        main,
        Ensemble.load(main.folder),
        training=training,
        audit=audit,
        test=test,
        starts=starts,
        tell=tell,
    )
    return figures, audit_section(folder / "audit", audit.findings)


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
        + ("simulated persons" if study.coco is None else f"{study.coco.name}")
        + f", Dice {persons['validation_dice']:.3f} on held-out crops",
        "seed": str(config.seed),
        "TensorFlow, Keras": ", ".join(map(version, ("tensorflow", "keras"))),
    }


def _facts(study: Study, batch: Batch | None) -> dict[str, object]:
    """Return what must not change between calls."""
    return {
        "config": to_json(study.config),
        "data": None if batch is None else batch.fingerprint(),
        "coco": None
        if study.coco is None
        else sha256(study.coco / "annotations" / "instances_train2017.json"),
        "steps": study.steps,
    }
