import numpy as np
import pytest
from tests.unit.api.conftest import Served
from tests.unit.api.test_blocks import read_block

from featlas.store.labels import HumanLabel, add_human_label


def test_a_page_lists_features_most_frequent_first_with_what_a_row_shows(served: Served):
    page = served.of_sae("features").json()
    assert [row["feature_index"] for row in page["items"]] == [3, 2, 0, 1]
    assert (page["n_matches"], page["n_features"], page["next"]) == (4, 4, None)
    row = page["items"][1]
    assert (row["n_fires"], row["activation_frequency"], row["max_activation"]) == (12, 12 / 13, 6.0)
    assert [token["token"] for token in row["top_tokens"]] == [" court", r" caf\xc3", "\0"]
    assert row["histogram"] == {"edges": [1.0, 2.0, 4.0, 8.0], "counts": [8, 0, 4]}
    # The strongest of the two top examples: context 1, whose peak is −4.
    assert row["snippet"]["text"] == "<s> café\n"
    assert row["snippet"]["ends"] == [3, 8, 9]
    assert [(mark["segment"], mark["value"]) for mark in row["snippet"]["marks"]] == [(1, -4.0)]
    dead = page["items"][3]
    assert (dead["flags"], dead["snippet"], dead["top_tokens"]) == (["dead"], None, [])


def test_a_label_stands_in_the_row_and_the_query_finds_it(served: Served):
    add_human_label(served.store, served.sae.id, 2, HumanLabel("Court words", "Topic > Law"))
    page = served.of_sae("features", q="label:court").json()
    (row,) = page["items"]
    assert row["label"] == {
        "semantic_label": "Court words",
        "category_label": "Topic > Law",
        "source": "human",
        "review_state": "accepted",
    }


def test_pages_follow_each_other(served: Served):
    found, after = [], None
    while True:
        params = {"limit": 3, "sort": "feature_index"} | ({"after": after} if after else {})
        page = served.of_sae("features", **params).json()
        found += [row["feature_index"] for row in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert found == [0, 1, 2, 3]


def test_a_query_comes_back_part_by_part(served: Served):
    query = served.of_sae("features", q="-is:dead (n_fires:>11 OR is:dense) sort:-max_activation").json()["query"]
    assert [part["text"] for part in query["parts"]] == ["-is:dead", "n_fires:>11 OR is:dense"]
    assert query["parts"][0]["without"] == "(n_fires:>11 OR is:dense) sort:-max_activation"
    assert query["parts"][1]["without"] == "-is:dead sort:-max_activation"
    assert query["sort"] == ["-max_activation"]
    assert (query["parts"][0]["start"], query["parts"][0]["end"]) == (0, 8)


def test_places_in_a_query_count_as_in_javascript(served: Served):
    query = served.of_sae("features", q="label:😀 is:dead").json()["query"]
    assert [(part["start"], part["end"]) for part in query["parts"]] == [(0, 8), (9, 16)]


@pytest.mark.parametrize("path", ["features", "matches", "facets"])
def test_a_query_that_cannot_be_read_says_where_and_what_would_fit(served: Served, path: str):
    answer = served.of_sae(path, q="😀 is:deed")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    problem = answer.json()
    assert problem["error_class"] == "QueryError"
    assert problem["position"] == [6, 10]
    assert "dead" in problem["detail"]
    assert "dead" in problem["expected"]


def test_sort_keys_that_cannot_be_read_are_no_fault_of_the_query(served: Served):
    problem = served.of_sae("features", q="is:dead", sort="-max_activatoin").json()
    assert (problem["status"], problem["error_class"], problem["position"]) == (422, "SortError", None)
    assert problem["detail"].startswith("bad sort at character 1: unknown sort key 'max_activatoin'")
    assert "max_activation" in problem["expected"]


def test_matches_are_all_ids_in_order(served: Served):
    header, columns = read_block(served.of_sae("matches", q="-is:dead", sort="max_activation").content)
    assert columns["feature_index"].tolist() == [0, 2, 3]
    assert columns["feature_index"].dtype.str == "<u4"
    assert (header["n_matches"], header["n_features"]) == (3, 4)
    assert header["query"]["parts"][0]["text"] == "-is:dead"
    assert header["rows"] == []


def test_the_first_matches_come_as_rows_where_they_are_wanted(served: Served):
    header, columns = read_block(served.of_sae("matches", sort="max_activation", rows=2).content)
    assert header["rows"] == served.of_sae("features", sort="max_activation", limit=2).json()["items"]
    assert [row["feature_index"] for row in header["rows"]] == columns["feature_index"].tolist()[:2]
    assert len(read_block(served.of_sae("matches", rows=200).content)[0]["rows"]) == 4
    assert served.of_sae("matches", rows=201).status_code == 422


def test_columns_are_the_stored_numbers_null_features_last(served: Served):
    answer = served.of_sae("columns", names="n_fires,mean_activation,flags,feature_index")
    header, columns = read_block(answer.content)
    assert columns["n_fires"].tolist() == [10, 0, 12, 13, 14, 15]
    assert np.isnan(columns["mean_activation"][1])
    assert columns["flags"][1] == 1
    assert columns["feature_index"].tolist() == list(range(6))
    assert (header["n_features"], header["n_tokens"]) == (4, 13)


def test_columns_are_not_sent_twice(served: Served):
    tag = served.of_sae("columns", names="n_fires").headers["etag"]
    path = f"/api/v1/saes/{served.sae.uid}/columns"
    again = served.client.get(path, params={"names": "n_fires"}, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = served.client.get(path, params={"names": "flags"}, headers={"If-None-Match": tag})
    assert other.status_code == 200


def test_an_unknown_column_is_not_found_with_those_there_are(served: Served):
    answer = served.of_sae("columns", names="n_fires,nonsense")
    assert answer.status_code == 404
    assert "nonsense" in answer.json()["detail"]
    assert "max_activation" in answer.json()["detail"]


def test_rows_come_in_the_order_asked_for(served: Served):
    answer = served.client.post(f"/api/v1/saes/{served.sae.uid}/rows", json={"feature_indices": [3, 0, 2]})
    assert [row["feature_index"] for row in answer.json()["items"]] == [3, 0, 2]


@pytest.mark.parametrize("indices", [[-1], [2**40], list(range(201)), "x"])
def test_impossible_rows_are_refused(served: Served, indices: object):
    answer = served.client.post(f"/api/v1/saes/{served.sae.uid}/rows", json={"feature_indices": indices})
    assert answer.status_code == 422


def test_facets_count_all_matches(served: Served):
    add_human_label(served.store, served.sae.id, 2, HumanLabel("Court", "Topic > Law"))
    add_human_label(served.store, served.sae.id, 3, HumanLabel("Rules", "Topic > Law > Rules"))
    add_human_label(served.store, served.sae.id, 0, HumanLabel("Verbs", "Language"))
    facets = served.of_sae("facets", q="n_fires:>9 max_activation:>4.5").json()
    assert (facets["n_matches"], facets["n_labeled"]) == (2, 2)
    assert facets["categories"] == [
        {"path": ["Topic"], "n": 2},
        {"path": ["Topic", "Law"], "n": 2},
        {"path": ["Topic", "Law", "Rules"], "n": 1},
    ]
    assert (facets["sources"], facets["reviews"]) == ({"human": 2}, {"accepted": 2})
    assert facets["without"] == [2, 3]


def test_facets_of_everything_count_flags(served: Served):
    facets = served.of_sae("facets").json()
    assert (facets["n_matches"], facets["flags"], facets["without"]) == (4, {"dead": 1}, [])
