"""One runner, two places: what a served ensemble says equals what its folder says."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from kcseg.config import EXPORT
from kcseg.errors import InputError
from kcseg.server.server import Server
from kcseg.serving.contract import OUTPUTS, REQUIRED, check_signatures
from kcseg.serving.graph import EnsembleGraph
from kcseg.serving.runner import Ensemble


def an_ensemble(answer):
    """Let a function stand in for a model."""
    answer.outputs = OUTPUTS
    return answer


@pytest.fixture(scope="module")
def local(exported):
    return Ensemble.load(exported)


@pytest.fixture(scope="module")
def old(trained_run, tmp_path_factory):
    """An export as release 0.1.0 wrote it, which has no soft masks without components."""
    networks = [trained_run.load_network(number) for number in trained_run.config.member_numbers]
    graph = EnsembleGraph(networks, trained_run.config, EXPORT)
    folder = tmp_path_factory.mktemp("old")
    signatures = {name: graph.signatures[name] for name in ("serving_default", "int16", "png", "members")}
    tf.saved_model.save(graph, str(folder / "1"), signatures=signatures)
    return folder


@pytest.fixture(params=["rest", "grpc"])
def address(request, server):
    return getattr(server, f"{request.param}_address")


def same(one, other):
    for name in ("mask", "probability", "disagreement"):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 37, 51), (7, 32, 32), (0, 32, 40)])
def test_a_server_answers_every_bit_of_what_the_folder_does(local, address, shape):
    images = np.random.default_rng(1).uniform(-1000, 400, shape).astype(np.float32)
    remote = Ensemble.connect(address)
    same(local.segment(images), remote.segment(images))
    np.testing.assert_array_equal(local.soft_masks(images), remote.soft_masks(images))
    raw = remote.soft_masks(images, components=False)
    np.testing.assert_array_equal(local.soft_masks(images, components=False), raw)
    assert raw.shape == (shape[0], 3, *shape[1:]) and raw.dtype == np.float32


def test_an_old_export_answers_all_but_raw_masks(local, old):
    images = np.random.default_rng(1).uniform(-1000, 400, (2, 37, 51)).astype(np.float32)
    with Server(old, port=0, grpc_port=0).in_background() as server:
        addresses = server.rest_address, server.grpc_address
        for ensemble in (Ensemble.load(old), *map(Ensemble.connect, addresses)):
            same(local.segment(images), ensemble.segment(images))
            np.testing.assert_array_equal(local.soft_masks(images), ensemble.soft_masks(images))
            with pytest.raises(InputError, match=r"lacks soft_masks .*'raw_members'; export it anew"):
                ensemble.soft_masks(images, components=False)


def test_values_no_scanner_writes_get_the_same_answer(local, address):
    images = np.full((4, 20, 24), [[[np.nan]], [[np.inf]], [[-np.inf]], [[7.0]]], np.float32)
    same(local.segment(images), Ensemble.connect(address).segment(images))


def test_images_one_by_one_and_of_several_sizes(local, address, rings):
    images = [*rings.images[:3], rings.images[3][:20]]
    for here, there in zip(
        local.segment_each(images), Ensemble.connect(address).segment_each(images), strict=True
    ):
        same(here, there)


def test_other_numbers_are_taken_as_float32(local, address):
    images = np.random.default_rng(1).integers(-1000, 400, (2, 32, 32)).astype(np.int16)
    same(local.segment(images.astype(np.float32)), Ensemble.connect(address).segment(images))


@pytest.mark.parametrize("shape", [(32,), (1, 32, 32, 1), (1, 0, 32), (0, 32), ()])
def test_images_of_another_rank_are_refused_before_anyone_is_asked(local, address, shape):
    for ensemble in (local, Ensemble.connect(address)):
        with pytest.raises(InputError, match="expected images as"):
            ensemble.segment(np.zeros(shape, np.float32))


def test_one_image_is_segmented_as_one_of_a_batch(local, rings):
    alone, among = local.segment(rings.images[0]), local.segment(rings.images[0][None])
    same(alone, among[0])
    assert alone.mask.shape == rings.images[0].shape


def test_batches_are_split_to_the_stated_size_and_joined_in_order():
    asked = []

    @an_ensemble
    def model(signature, images):
        asked.append(images.shape)
        return {"mask": images > 0, "probability": images, "disagreement": images}

    images = np.random.default_rng(0).random((7, 10, 10), np.float32)
    found = Ensemble(model, request_pixels=350).segment(images)
    assert asked == [(3, 10, 10), (3, 10, 10), (1, 10, 10)]
    np.testing.assert_array_equal(found.probability, images)
    asked.clear()
    Ensemble(model, request_pixels=5).segment(images[:2])  # a larger image goes alone
    assert asked == [(1, 10, 10), (1, 10, 10)]


def test_an_answer_of_another_shape_is_refused():
    @an_ensemble
    def model(signature, images):
        return {"mask": images > 0, "probability": images, "disagreement": images[:, 1:]}

    with pytest.raises(InputError, match="disagreement of shape"):
        Ensemble(model).segment(np.zeros((2, 10, 10), np.float32))


def test_a_model_without_our_signatures_is_named_with_what_it_lacks():
    found = {"serving_default": {"mask", "probability", "disagreement"}, "members": {"soft_masks"}}
    check_signatures("here", found, *REQUIRED)
    with pytest.raises(InputError, match=r"at here lacks soft_masks of the signature 'members'"):
        check_signatures("here", found | {"members": {"masks"}}, *REQUIRED)
    with pytest.raises(InputError, match=r"at here lacks soft_masks .*'raw_members'; export it anew"):
        check_signatures("here", found, "raw_members")


def test_asking_over_rest_needs_no_tensorflow_and_no_grpc(server):
    check = (
        "import sys, numpy as np\n"
        "from kcseg.serving.runner import Ensemble\n"
        f"found = Ensemble.connect({server.rest_address!r}).segment(np.zeros((1, 20, 20), np.float32))\n"
        "assert found.mask.shape == (1, 20, 20)\n"
        "sys.exit(bool({'tensorflow', 'keras', 'grpc', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_wrong_name_a_wrong_version_and_the_other_port_are_told_apart(server):
    rest, grpc = server.rest_address, server.grpc_address
    for address in (rest, grpc):
        with pytest.raises(InputError, match=r"not served .*Specific\(kcseg, 9\)"):
            Ensemble.connect(f"{address}/versions/9")
        with pytest.raises(InputError, match=r"not served .*Latest\(kcsec\)"):
            Ensemble.connect(address.replace("kcseg", "kcsec"))
        assert Ensemble.connect(f"{address}/versions/1").segment(np.zeros((1, 9, 9))).mask.shape == (1, 9, 9)


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, np.inf, b"0.5"])
def test_an_answer_that_is_no_share_is_refused(value):
    @an_ensemble
    def model(signature, images):
        return {"mask": images > 0, "probability": images, "disagreement": np.full(images.shape, value)}

    with pytest.raises(InputError, match="disagreement outside of 0 to 1"):
        Ensemble(model).segment(np.zeros((2, 10, 10), np.float32))


@pytest.mark.parametrize("shape", [(1, 10, 10), (1, 10, 1, 10)])
def test_soft_masks_have_a_place_for_members_and_nothing_else_has(shape):
    @an_ensemble
    def model(signature, images):
        share = np.zeros(shape, np.float32)
        return {"soft_masks": share[:, 0], "mask": share, "probability": images, "disagreement": images}

    image = np.zeros((1, 10, 10), np.float32)
    for components in (True, False):
        with pytest.raises(InputError, match="soft_masks of shape"):
            Ensemble(model).soft_masks(image, components=components)
    if len(shape) > 3:
        with pytest.raises(InputError, match="mask of shape"):
            Ensemble(model).segment(image)


def test_a_model_that_changes_between_two_requests_is_refused():
    counts = iter((7, 5))

    @an_ensemble
    def model(signature, images):
        return {"soft_masks": np.zeros((len(images), next(counts), 10, 10), np.float32)}

    with pytest.raises(InputError, match="another number of members"):
        Ensemble(model, request_pixels=100).soft_masks(np.zeros((2, 10, 10), np.float32))
