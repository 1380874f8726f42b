"""Extractions that cannot be raise the right error with the cause in it, and leave nothing behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text as sql
from tests.builders.breakages import LISTED, OTHERS, Broken, Inputs
from tests.integration.pipeline.conftest import MakeWorkbench
from tests.integration.pipeline.workbench import Workbench

from featlas.errors import FeatlasError
from featlas.testing.planted_sae import Planted


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, make_workbench: MakeWorkbench) -> Workbench:
    return make_workbench(tmp_path_factory.mktemp("refusals"))


@pytest.mark.parametrize("break_it", [*LISTED, *OTHERS])
def test_refused(bench: Workbench, planted: Planted, tmp_path: Path, break_it: Callable[[Inputs], Broken]) -> None:
    inputs = Inputs.of(tmp_path, planted)
    code, words = break_it(inputs)
    with pytest.raises(FeatlasError) as caught:
        bench.extract(**inputs.spec())
    assert code == caught.value.exit_code
    assert [] == [word for word in words if word not in str(caught.value)], str(caught.value)
    assert "\n" not in str(caught.value)
    with bench.store.read() as session:
        assert 0 == session.scalar(sql("SELECT count(*) FROM runs"))
    assert [] == list(bench.folder.glob("artifacts/*"))
