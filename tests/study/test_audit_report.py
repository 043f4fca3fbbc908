import numpy as np
import pytest
from scipy.stats import spearmanr

from kcseg.files import read_csv
from kcseg.study.audit import audit_run
from kcseg.study.audit_report import audit_section, fault_rows, measured, write_audit

AREA = "area under the ROC curve"


@pytest.fixture(scope="module")
def audited(trained_run, rings):
    truth = tuple(np.roll(mask, number % 4, axis=1) for number, mask in enumerate(rings.masks))
    faults = tuple(("far_too_wide",) if number % 3 == 0 else () for number in range(len(rings)))
    return audit_run(trained_run, rings, truth, faults)


def test_planted_faults_are_counted_and_their_ranks_measured(audited):
    scores = np.array([row.score for row in audited.findings])
    faulty = np.array([bool(row.faults) for row in audited.findings])
    above = np.mean([a > b for a in scores[faulty] for b in scores[~faulty]])
    rows = {row.pop("planted fault"): row for row in fault_rows(audited.findings)}
    assert rows["any"] == {"references": 4, "of the first 12": 4, AREA: f"{above:.2f}"}
    assert rows["far too wide"] == rows["any"]
    assert rows["sheets joined"] == {"references": 0, "of the first 12": 0, AREA: "–"}
    text = measured(audited.findings)[0].text
    assert "4 of 12 references have planted faults, 33%; of the first 12 in the ranking 33%" in text
    assert f"others: {above:.2f}" in text


def test_references_and_predictions_are_held_against_the_truth(audited):
    reference, prediction = (
        np.array([getattr(row, f"{name}_dice_truth") for row in audited.findings])
        for name in ("reference", "prediction")
    )
    text = measured(audited.findings)[1].text
    assert f"references {reference.mean():.3f}, predictions {prediction.mean():.3f}" in text
    assert f"a difference of {(prediction - reference).mean():+.3f} (" in text
    assert f"closer to the truth in {np.mean(prediction > reference):.0%} of all images" in text
    correlation = spearmanr([row.score for row in audited.findings], 1 - reference).statistic
    assert text.endswith(f"{correlation:.2f}.")


def test_the_page_and_the_table(tmp_path, audited, rings):
    page = write_audit(tmp_path, audited, rings).read_text()
    assert "area under the ROC curve" in page and "closer to the truth" in page
    rows = read_csv(tmp_path / "table.csv")
    assert [row["id"] for row in rows] == [row.id for row in audited.findings]
    assert {row["faults"] for row in rows} == {"far_too_wide", ""}
    first = audited.findings[0]
    assert f"<td>{first.id}</td><td>{first.score:.3f}</td><td>{first.dice:.3f}</td>" in page
    assert page.count("data:image/png;base64,") == 2


def test_the_studys_report_has_the_same_numbers(tmp_path, audited):
    section = audit_section(tmp_path, audited.findings)
    assert all(part.text in section.text for part in measured(audited.findings))
    assert section.rows == fault_rows(audited.findings)
    assert section.figures[0][0] == tmp_path / "figures" / "worst.png"


def test_without_truth_nothing_is_measured(tmp_path, trained_run, rings):
    found = audit_run(trained_run, rings)
    assert measured(found.findings) == [] and fault_rows(found.findings) == []
    page = write_audit(tmp_path, found, rings).read_text()
    assert "planted" not in page.lower() and "truth" not in page
    assert {row["reference_dice_truth"] for row in read_csv(tmp_path / "table.csv")} == {""}
