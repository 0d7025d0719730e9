"""`genwgp report`: the page of a run, its pictures drawn again, and films."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genwgp.cli.progress import Progress, part_event
from genwgp.cli.stored import loaded
from genwgp.errors import InputError
from genwgp.io import read_comparison, read_run
from genwgp.io.derived import PAGE, is_page
from genwgp.report import draw_all
from genwgp.report.animation import animate, check_writer
from genwgp.report.page import write_page
from genwgp.report.scene import STEPS, scene


def report_run(
    folder: str, out: str | None, gif: str | None, mp4: str | None, pictures: str | None, problem: str | None
) -> None:
    """Write the page of a run, then what else is asked for; the names of the files go to stdout."""
    films = [(option, file) for option, file in (("--gif", gif), ("--mp4", mp4)) if file is not None]
    run = read_run(folder)
    target = _page_file(folder, out)
    for option, file in films:
        check_writer(option, file)
        if Path(file).exists():
            raise InputError(option, file, "a file that does not exist yet")
    comparison = read_comparison(folder)
    with loaded(folder, problem) as solution:
        with _progress(solution.problem.name) as tell:
            shown = scene(solution.path, STEPS, tell=tell)
        print(write_page(solution, target, run, comparison, shown))
        for _, file in films:
            print(animate(solution.path, shown, file))
        for file in [] if pictures is None else draw_all(solution, pictures):
            print(file)


def _page_file(folder: str, out: str | None) -> Path:
    """Where the page goes: a page of ours is replaced, another file never."""
    file = Path(folder) / PAGE if out is None else Path(out)
    if file.suffix.lower() not in (".html", ".htm"):
        raise InputError("--out", out, "a file that ends in .html")
    if file.exists() and not is_page(file):
        raise InputError("--out", file, "a file that does not exist yet, or a page of genwgp, which is replaced")
    return file


@contextmanager
def _progress(name: str) -> Iterator[Any]:
    start = time.monotonic()
    with Progress(name) as progress:
        yield lambda done: progress(part_event(done, STEPS + 1, time.monotonic() - start))
