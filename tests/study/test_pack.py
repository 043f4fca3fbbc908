import shutil
from dataclasses import replace

import pytest

from kcseg.config import PRESETS
from kcseg.errors import InputError
from kcseg.files import read_json, sha256, write, write_json
from kcseg.study import pack
from kcseg.study.pack import pack_run
from kcseg.training.run import Run, open_run


@pytest.fixture
def scored_run(tmp_path, challenge_run):
    run = Run(shutil.copytree(challenge_run.folder, tmp_path / "scored"), challenge_run.config)
    write(
        run.folder / "scores.csv", "name,dice_reference,dice_truth\nmember-1,0.8123,\nmedian,0.9234,0.9345\n"
    )
    return run


def test_the_card_states_the_facts_of_the_run(tmp_path, scored_run, ring_challenge):
    packed = pack_run(
        scored_run,
        tmp_path / "weights",
        data=ring_challenge,
        duration="a second",
        notes="Seen on **one** crop.\n",
    )
    text = (packed.folder / "README.md").read_text()
    card = read_json(packed.folder / "card.json")
    for stated in (
        "12 images of the user's",
        "a second",
        "Seen on **one** crop.",
        "Mean Dice on 4 test images",
    ):
        assert stated in text
    assert "kcseg train --config config.json --data DIR" in text and "Apache-2.0" in text
    assert "| median | 0.9234 | 0.9345 | – |" in text
    fold = card["members"]["member-1"]["validation_dice"]
    assert f"| member-1 | 0.8123 | – | {fold:.4f} |" in text
    assert 0.999 <= card["agreement_with_run"] <= 1
    for name, stated in card["files"].items():
        assert sha256(packed.folder / name) == stated and stated in text
    assert set(card["files"]) == {"config.json", "member-1.npz", "member-2.npz", "member-3.npz"}
    assert "simulated" not in text.split("## Limits")[1]


@pytest.mark.parametrize("row", ["median,high,0.9", "median,0.9,0.9,0.9"])
def test_a_damaged_table_of_scores_is_named(tmp_path, scored_run, ring_challenge, row):
    write(scored_run.folder / "scores.csv", f"name,dice_reference,dice_truth\n{row}\n")
    with pytest.raises(InputError, match=r"scores.csv is no table of scores"):
        pack_run(scored_run, tmp_path / "weights", data=ring_challenge)
    assert not (tmp_path / "weights").exists()


def test_a_run_that_was_not_scored_says_so(packed):
    text = (packed / "README.md").read_text()
    assert "was not scored" in text and "Nobody has noted" in text and "not stated" in text


def test_the_command_is_told_from_settings_and_data(tmp_path):
    write_json(tmp_path / "data.json", {"images": 1, "sha256": ""})
    run = Run(tmp_path, PRESETS["thorough"])
    assert pack._command(run, tmp_path / "challenge") == "kcseg train --preset thorough"
    write_json(tmp_path / "data.json", {"images": 1, "sha256": "", "pretrained_sha256": ""})
    other = Run(tmp_path, replace(run.config, seed=1))
    told = "kcseg train --config config.json --pretrained pretrained.npz --data DIR"
    assert pack._command(other, tmp_path / "elsewhere") == told


def test_earlier_weights_are_kept_without_force_and_replaced_as_a_whole_with_it(
    tmp_path, packed, challenge_run, ring_challenge, contents
):
    out = shutil.copytree(packed, tmp_path / "weights")
    kept = contents(packed)
    # of an earlier, larger ensemble
    (out / "member-9.npz").write_bytes(b"weights")
    card = read_json(out / "card.json")
    write_json(out / "card.json", {**card, "files": {**card["files"], "member-9.npz": sha256(b"weights")}})
    before = contents(out)
    with pytest.raises(InputError, match="replace them with 'force'"):
        pack_run(challenge_run, out, data=ring_challenge)
    assert contents(out) == before
    pack_run(challenge_run, out, data=ring_challenge, precision="float32", force=True)
    assert contents(out).keys() == kept.keys()
    assert read_json(out / "card.json")["precision"] == "float32"


@pytest.mark.parametrize("name", ["thesis.txt", ".hidden", "member-9.npz", "folder/thesis.txt"])
@pytest.mark.parametrize("weights_there", [False, True])
def test_foreign_files_are_never_removed(
    tmp_path, packed, challenge_run, ring_challenge, weights_there, name, contents
):
    out = tmp_path / "out"
    if weights_there:
        shutil.copytree(packed, out)
    write(out / name, "years of work")
    before = contents(out)
    with pytest.raises(InputError, match="no file of weights that kcseg wrote"):
        pack_run(challenge_run, out, data=ring_challenge, force=True)
    assert contents(out) == before


@pytest.mark.parametrize("card", ['{"files": {"thesis.txt": ""}}', "[]", "damaged"])
def test_a_foreign_card_protects_its_folder(tmp_path, challenge_run, ring_challenge, card, contents):
    write(tmp_path / "out" / "card.json", card)
    write(tmp_path / "out" / "thesis.txt", "years of work")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"card\.json"):
        pack_run(challenge_run, tmp_path / "out", data=ring_challenge, force=True)
    assert contents(tmp_path) == before


def test_weights_whose_masks_change_are_refused_and_leave_nothing(
    tmp_path, packed, challenge_run, ring_challenge, monkeypatch, contents
):
    out = shutil.copytree(packed, tmp_path / "weights")
    before = contents(out)
    monkeypatch.setattr(pack, "agreement", lambda *_: 0.9985)
    with pytest.raises(InputError, match=r"Dice of 0\.9985, less than 0\.999; .*float32"):
        pack_run(challenge_run, out, data=ring_challenge, force=True)
    assert contents(out) == before and [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_an_unfinished_run_and_foreign_images_are_refused(tmp_path, rings, tiny, challenge_run):
    with pytest.raises(InputError, match="lacks the members 1, 2, 3"):
        pack_run(open_run(tmp_path / "run", rings, tiny), tmp_path / "weights")
    with pytest.raises(InputError, match="name the challenge folder of the training"):
        pack_run(challenge_run, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
