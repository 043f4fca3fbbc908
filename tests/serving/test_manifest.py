from datetime import date

import kcseg
from kcseg.config import ExportConfig
from kcseg.config_json import from_json
from kcseg.files import read_json
from kcseg.serving.export import export_run


def test_the_manifest_says_what_the_export_is_made_of(trained_run):
    folder = export_run(trained_run, ExportConfig(hu_offset=-2048), created=date(2018, 10, 12))
    facts, first = (
        read_json(export / "assets.extra" / "manifest.json")
        for export in (folder, trained_run.export_folder / "1")
    )
    assert facts["created"] == "2018-10-12" and facts["png_hu_offset"] == -2048
    assert first == facts | {"created": None, "png_hu_offset": -1024}
    assert facts["kcseg"] == kcseg.__version__
    assert facts["precision"] == "float32" and facts["agreement_with_float32"] is None
    assert "not a medical device" in facts["intended_use"] and facts["licence"] == "Apache-2.0"
    assert from_json(facts["config"], "manifest") == trained_run.config
    assert facts["training_data"] == read_json(trained_run.folder / "data.json")
    segmented = {"mask": "uint8", "probability": "float32", "disagreement": "float32"}
    assert facts["signatures"] == {
        "serving_default": {"inputs": {"image": "float32"}, "outputs": segmented},
        "int16": {"inputs": {"image": "int16"}, "outputs": segmented},
        "png": {"inputs": {"image_bytes": "string"}, "outputs": segmented},
        "members": {"inputs": {"image": "float32"}, "outputs": {"soft_masks": "float32"}},
        "raw_members": {"inputs": {"image": "float32"}, "outputs": {"soft_masks": "float32"}},
        "raw": {
            "inputs": {"image": "float32"},
            "outputs": {"probability": "float32", "disagreement": "float32"},
        },
    }


def test_the_manifest_knows_each_members_score_and_weights(trained_run):
    members = read_json(trained_run.export_folder / "1" / "assets.extra" / "manifest.json")["members"]
    assert list(members) == ["member-1", "member-2", "member-3"]
    for name, facts in members.items():
        trained = read_json(trained_run.folder / name / "member.json")
        assert facts == {key: trained[key] for key in ("validation_dice", "sha256")}
    assert members["member-3"]["validation_dice"] is None  # the full member
