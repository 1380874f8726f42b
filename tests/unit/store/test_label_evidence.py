import numpy as np
from tests.builders.stored_runs import fetch_again, make_bands, make_batch, make_run, publish_run, register_inputs

from featlas.store.label_evidence import read_bands, read_position_profiles
from featlas.store.session import Store


def test_bands_and_positions_of_many_features_come_by_feature(store: Store):
    run = make_run(store, register_inputs(store))
    publish_run(store, run)
    snapshot_id = fetch_again(store, run).snapshot_id
    assert snapshot_id is not None
    with store.read() as session:
        bands = read_bands(session, snapshot_id, [0, 1, 3], "uniform")
        positions = read_position_profiles(session, snapshot_id, [0, 3, 99])
    assert sorted(bands) == [0, 3]  # feature 1 is dead
    expected = next(band for band in make_bands(3) if band.band == "uniform")
    assert (bands[3].band, bands[3].n_in_band) == ("uniform", expected.n_in_band)
    np.testing.assert_array_equal(expected.value, bands[3].value)
    assert sorted(positions) == [0, 3]
    np.testing.assert_array_equal(make_batch(0, 6).position_profile[3].ravel(), positions[3])


def test_a_header_keeps_the_positions_that_profiles_are_divided_by(store: Store):
    run = make_run(store, register_inputs(store))
    publish_run(store, run)
    header = fetch_again(store, run).header
    assert header is not None
    assert header.position_n_tokens is not None
    assert header.position_n_tokens.shape == (2, 17)
    assert header.position_n_tokens[0].tolist() == list(range(17))
