"""One thread for torch: the machine's cores are for pytest, and sums come out the same every time."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
