"""Faults in problem files, run folders and checkpoints: each ends in one line, whatever it is.

`benchmarks/fuzz.py` tries ten thousand of them; these are the first ones.
"""

from collections import Counter

import pytest

from mutations import (
    Folder,
    make_folders,
    page_with_faults,
    read_checkpoint_with_faults,
    read_run_with_faults,
    read_text_with_faults,
    with_comparison,
)

TRIED, PAGES = 100, 25
# Figures that are text or lists, times that are NaN, layers in two precisions: they ended pages in a traceback.
FOUND = (664, 694, 744, 902)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return make_folders(tmp_path_factory.mktemp("runs"))


def test_problem_files():
    found = Counter(read_text_with_faults(seed) for seed in range(TRIED))
    assert found["refused"] > TRIED / 2
    assert found["read"] > 0


def test_run_folders(folders, tmp_path):
    folder = Folder(folders[0], tmp_path / "run")
    found = Counter(read_run_with_faults(seed, folder) for seed in range(TRIED))
    assert found["refused and refused"] > TRIED / 3
    assert found["read and refused"] > TRIED / 10
    assert found["read and read"] > 0


def test_pages(folders, tmp_path):
    folder = Folder(with_comparison(folders[0], tmp_path / "compared"), tmp_path / "run")
    found = Counter(page_with_faults(seed, folder) for seed in (*range(PAGES), *FOUND))
    assert found["refused"] > PAGES / 3
    assert found["read"] > PAGES / 10


def test_checkpoints(folders, tmp_path):
    folder = Folder(folders[1], tmp_path / "run", "checkpoint")
    found = Counter(read_checkpoint_with_faults(seed, folder) for seed in range(TRIED))
    assert found["read and refused"] > TRIED / 3
    assert found["read and read"] > 0
