import numpy as np

from kcseg.data.enhancement import draw_enhancement


def test_phases_run_from_arterial_to_nephrographic():
    drawn = [draw_enhancement(np.random.default_rng(seed)) for seed in range(400)]
    early = [one for one in drawn if one.phase < 0.3]
    late = [one for one in drawn if one.phase > 0.85]
    gap = np.array([one.cortex - one.medulla for one in drawn])
    assert (gap > 0).mean() > 0.99
    assert np.mean([one.cortex - one.medulla for one in early]) > 2 * np.mean(
        [one.cortex - one.medulla for one in late]
    )
    assert np.mean([one.blood for one in early]) > np.mean([one.blood for one in late]) + 60
    assert np.mean([one.liver for one in late]) > np.mean([one.liver for one in early]) + 20
    assert min(one.cortex for one in drawn) > 65 and max(one.cortex for one in drawn) < 250
    assert min(one.medulla for one in drawn) > 25 and max(one.medulla for one in drawn) < 200
    assert (gap > 40).mean() > 0.6  # mostly corticomedullary, as in the challenge
