import numpy as np

from kcseg.image.window import stack, window


def test_the_papers_window_becomes_zero_to_one():
    found = window(np.array([-1024.0, -150.0, 25.0, 200.0, 3000.0]), (-150.0, 200.0))
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1])
    assert found.dtype == np.float32


def test_images_of_many_sizes_are_centred_on_the_fill():
    stacked = stack([np.ones((2, 4)), np.ones((4, 2))], fill=-1)
    assert stacked.shape == (2, 4, 4)
    np.testing.assert_array_equal(stacked[0][1:3], 1)
    np.testing.assert_array_equal(stacked[1][:, [0, 3]], -1)
