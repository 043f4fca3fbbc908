from collections import Counter
from itertools import pairwise

import pytest

from kcseg.config import NetworkConfig
from kcseg.network.unet import build_unet
from kcseg.page.architecture import HEAD, PLAIN, RESIDUAL, architecture_figure, parts

NETWORKS = [
    NetworkConfig(filters=4),
    NetworkConfig(levels=3, filters=4, blocks_per_level=2, skip_convolutions=2, upsampling="nearest"),
    NetworkConfig(levels=2, filters=4, skip_convolutions=0, dropout=0.1, kernel_px=5),
    NetworkConfig(levels=1, filters=4),
]


@pytest.mark.parametrize("config", NETWORKS)
def test_every_block_and_convolution_is_a_box(config):
    found = parts(build_unet(config, seed=0))
    levels, blocks, skips = config.levels, config.blocks_per_level, config.skip_convolutions
    assert Counter(part.kind for part in found) == {
        RESIDUAL: blocks * (2 * levels - 1),
        PLAIN: 1 + (skips + 1) * (levels - 1),
        HEAD: 1,
    }
    for part in found:
        if part.kind != HEAD:
            assert part.filters == config.filters * 2 ** (part.level - 1)
            assert part.kernel_px == config.kernel_px
    assert Counter((part.side, part.level) for part in found)["bottom", levels] == blocks


@pytest.mark.parametrize("config", NETWORKS)
def test_the_figure_states_filters_and_sizes_and_boxes_do_not_overlap(config):
    figure = architecture_figure(build_unet(config, seed=0), size_px=100)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    for level, size in zip(range(config.levels), (100, 50, 25, 13, 7), strict=False):
        assert f"{size} × {size}" in texts
        assert str(config.filters * 2**level) in texts
    boxes = sorted((patch.get_y(), patch.get_x(), patch.get_width()) for patch in axes.patches)
    for (row, left, width), (next_row, next_left, _) in pairwise(boxes):
        assert row != next_row or left + width < next_left
