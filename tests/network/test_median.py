from itertools import product

import numpy as np
import pytest

from kcseg.network.median import exchange_median


@pytest.mark.parametrize("count", range(1, 13))
def test_equals_numpy_bit_for_bit(count):
    members = np.random.default_rng(count).random((count, 50, 40)).astype(np.float32)
    np.testing.assert_array_equal(exchange_median(list(members)), np.median(members, axis=0))


@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_orders_every_input_of_zeros_and_ones(count):
    # a network that orders all zero-one inputs orders all inputs (Knuth's zero-one principle)
    columns = np.array(list(product([0, 1], repeat=count)), np.float32).T
    np.testing.assert_array_equal(exchange_median(list(columns)), np.median(columns, axis=0))
