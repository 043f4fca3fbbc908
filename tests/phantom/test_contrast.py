import numpy as np

from kcseg.phantom.contrast import contrast_at, draw_phase


def means(phase: float, *tissues: str) -> list[float]:
    patients = [contrast_at(phase, np.random.default_rng(seed)) for seed in range(60)]
    return [float(np.mean([getattr(patient, tissue) for patient in patients])) for tissue in tissues]


def test_cortex_outshines_medulla_in_every_patient_and_phase():
    random = np.random.default_rng(0)
    for _ in range(300):
        contrast = contrast_at(draw_phase(random), random)
        assert contrast.cortex > contrast.medulla
        assert 70 < contrast.cortex < 300
        assert 20 < contrast.medulla < 230


def test_the_corticomedullary_gap_closes_late():
    gaps = [cortex - medulla for cortex, medulla in (means(t, "cortex", "medulla") for t in (0.3, 0.65, 1.0))]
    assert gaps[0] > 80
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 30


def test_arteries_come_first_and_the_liver_last():
    early, late = means(0.0, "artery", "vein", "liver"), means(0.65, "artery", "vein", "liver")
    assert early[0] > 2 * early[1]
    assert late[2] > early[2] + 25


def test_most_examinations_are_corticomedullary():
    random = np.random.default_rng(0)
    phases = np.array([draw_phase(random) for _ in range(500)])
    assert np.mean((phases > 0.1) & (phases < 0.7)) > 0.8
    assert phases.min() >= 0 and phases.max() <= 1
