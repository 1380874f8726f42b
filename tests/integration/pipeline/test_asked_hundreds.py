"""Hundreds of features and everything that goes wrong; `make prove PART=asking` has thousands."""

from pathlib import Path

import pytest
from tests.integration.pipeline.conftest import MakeWorkbench
from tests.integration.pipeline.everything_wrong import check_that_each_feature_gets_its_answer

from featlas.testing.planted_sae import Planted


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_hundreds_of_features_and_everything_that_goes_wrong(
    provider: str, tmp_path: Path, make_workbench: MakeWorkbench, planted: Planted
) -> None:
    n = check_that_each_feature_gets_its_answer(provider, tmp_path, make_workbench, planted, 500)
    assert n >= 300
