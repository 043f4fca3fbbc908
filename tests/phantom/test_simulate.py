import numpy as np
import pytest

from kcseg.config import SimulationConfig
from kcseg.dataset.batch import find_batches, read_batch, read_truth, training_batch
from kcseg.errors import InputError
from kcseg.files import read_json, sha256
from kcseg.phantom.annotator import FaultRates
from kcseg.phantom.simulate import planted_faults, simulate_challenge

SMALL = SimulationConfig(train=(3, 2), test=2, seed=4)


def digests(folder):
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*.npy"))}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "challenge"
    seen = []
    simulate_challenge(folder, SMALL, tell=lambda *told: seen.append(told))
    assert seen[0] == ("simulating", 1, 7) and seen[-1] == ("simulating", 7, 7)
    return folder


def test_batches_can_be_read_and_truth_lies_beside(simulated):
    assert list(find_batches(simulated)) == ["test", "train-1", "train-2"]
    assert training_batch(simulated).ids == (
        "train-1/0001",
        "train-1/0002",
        "train-1/0003",
        "train-2/0001",
        "train-2/0002",
    )
    test = read_batch(simulated / "test")
    truth = read_truth(simulated / "test", test.ids)
    assert all((mask != exact).any() for mask, exact in zip(test.masks, truth, strict=True))
    assert np.load(simulated / "test" / "images" / "0001.npy").dtype == np.int16


def test_faults_and_anatomy_are_recorded_for_audits(simulated):
    facts = read_json(simulated / "simulation.json")
    assert (facts["train"], facts["test"], facts["seed"]) == ([3, 2], 2, 4)
    assert facts["fault_rates"]["vessels_included"] == FaultRates().vessels_included
    assert len(facts["cases"]) == 7
    assert {"side", "phase", "depth_mm", "cortex_hu", "faults"} <= set(facts["cases"]["test/0002"])


def test_counts_and_workers_do_not_change_a_case(tmp_path, simulated):
    simulate_challenge(tmp_path / "more", SimulationConfig(train=(4,), test=3, seed=4), workers=2)
    more, few = digests(tmp_path / "more"), digests(simulated)
    shared = more.keys() & few.keys()
    assert len(shared) == 3 * 5
    assert all(more[name] == few[name] for name in shared)


def test_another_seed_draws_other_cases(tmp_path, simulated):
    simulate_challenge(tmp_path / "other", SimulationConfig(train=(1,), test=0, seed=5))
    assert (
        digests(tmp_path / "other")["train-1/images/0001.npy"]
        != digests(simulated)["train-1/images/0001.npy"]
    )


def test_what_was_cut_off_goes_on_to_the_same_files(tmp_path, simulated):
    class Cut(Exception):
        pass

    def cut(stage, done, total, note=""):
        if done == 3:
            raise Cut

    with pytest.raises(Cut):
        simulate_challenge(tmp_path / "cut", SMALL, tell=cut)
    assert not (tmp_path / "cut" / "simulation.json").exists()
    simulate_challenge(tmp_path / "cut", SMALL)
    assert digests(tmp_path / "cut") == digests(simulated)
    assert (tmp_path / "cut" / "simulation.json").read_text() == (simulated / "simulation.json").read_text()


def test_a_complete_simulation_is_left_as_it_is(simulated):
    before = {path: path.stat().st_mtime_ns for path in simulated.rglob("*")}
    simulate_challenge(simulated, SMALL)
    assert before == {path: path.stat().st_mtime_ns for path in simulated.rglob("*")}


def test_another_simulation_or_foreign_files_are_left_alone(tmp_path, simulated):
    with pytest.raises(InputError, match="holds another simulation"):
        simulate_challenge(simulated, SimulationConfig(train=(3, 2), test=2, seed=5))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        simulate_challenge(tmp_path, SMALL)


def test_planted_faults_are_read_from_the_folder_itself(simulated, tmp_path):
    stated = read_json(simulated / "simulation.json")["cases"]["train-1/0002"]["faults"]
    assert planted_faults(simulated, ["train-1/0002"]) == (tuple(stated),)
    assert planted_faults(tmp_path, ["train-1/0002"]) is None
    (tmp_path / "simulation.json").symlink_to(simulated / "simulation.json")
    assert planted_faults(tmp_path, ["train-1/0002"]) == (tuple(stated),)
