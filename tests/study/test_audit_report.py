import numpy as np
import pytest
from scipy.stats import spearmanr

from kcseg.files import read_csv
from kcseg.study.audit import audit_run
from kcseg.study.audit_report import measured, write_audit
from kcseg.study.known import Known

AREA = "area under the ROC curve"


@pytest.fixture(scope="module")
def audit(trained_run, rings):
    truth = tuple(np.roll(mask, number % 4, axis=1) for number, mask in enumerate(rings.masks))
    faults = tuple(("far_too_wide",) if number % 3 == 0 else () for number in range(len(rings)))
    return audit_run(trained_run, Known(rings, truth, faults))


def test_planted_faults_are_counted_and_their_ranks_measured(audit):
    scores = np.array([row["score"] for row in audit.rows])
    faulty = np.array([row["faults"] != "" for row in audit.rows])
    above = np.mean([a > b for a in scores[faulty] for b in scores[~faulty]])
    section = measured(audit.rows)[0]
    rows = {row["planted fault"]: row for row in section.rows}
    for kind in ("any", "far too wide"):
        assert (rows[kind]["references"], rows[kind]["of the first 12"]) == ("4", "4")
        assert float(rows[kind][AREA]) == pytest.approx(above, abs=1e-3)
    assert (rows["sheets joined"]["references"], rows["sheets joined"][AREA]) == ("0", "–")
    assert "4 of 12 references have planted faults, 33%; of the first 12 in the ranking 33%" in section.text


def test_references_and_predictions_are_held_against_the_truth(audit):
    reference, prediction, score = (
        np.array([row[name] for row in audit.rows])
        for name in ("reference_dice_truth", "prediction_dice_truth", "score")
    )
    text = measured(audit.rows)[1].text
    assert f"references {reference.mean():.3f}, predictions {prediction.mean():.3f}" in text
    assert f"a difference of {(prediction - reference).mean():+.3f} (" in text
    assert f"closer to the truth in {np.mean(prediction > reference):.0%} of all images" in text
    assert text.endswith(f"{spearmanr(score, 1 - reference)[0]:.2f}.")


def test_the_page_and_the_table(tmp_path, audit):
    page = write_audit(tmp_path, audit).read_text()
    assert AREA in page and "closer to the truth" in page
    rows = read_csv(tmp_path / "table.csv")
    assert [row["id"] for row in rows] == [row["id"] for row in audit.rows]
    assert {row["faults"] for row in rows} == {"far_too_wide", ""}
    assert float(rows[0]["score"]) == pytest.approx(audit.rows[0]["score"], abs=5.1e-5)
    assert f"<td>1</td><td>{rows[0]['id']}</td>" in page
    assert page.count("data:image/png;base64,") == 2


def test_without_truth_nothing_is_measured(tmp_path, trained_run, rings):
    found = audit_run(trained_run, Known(rings))
    assert measured(found.rows) == []
    page = write_audit(tmp_path, found).read_text()
    assert "planted" not in page.lower() and "truth" not in page
    assert {row["reference_dice_truth"] for row in read_csv(tmp_path / "table.csv")} == {""}
