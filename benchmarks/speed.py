"""Speed: time, memory and compilation of the kernels of the sweep and of paths, beside what the machine can do.

    python benchmarks/speed.py [--quick] [--out FOLDER] [--only TABLE ...] [--problems NAME ...] [--budget SECONDS]
    python benchmarks/speed.py --against COMMIT [--quick] [--problems NAME ...]
    python benchmarks/speed.py --merge FOLDER/speed.md

writes benchmarks/results/speed.md, or FOLDER/speed.md: one section a device, written anew after each row. --quick takes
fewer particles (on a processor) and no whole solves, and begins nothing after 180 s; --budget sets those seconds.
--against times the kernels of another commit too, in turns. --merge adds the tables of another page.
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # so that peaks of memory are those of the calls

import jax
from timing import against, blocks, growth, kernels, pages, rates, solves, sweeps, work
from timing.cases import FEW, FULL, PROBLEMS, Case, case
from timing.stopwatch import Compiled, first_calls, measured

PAGE = Path(__file__).parent / "results" / "speed.md"
QUICK_BUDGET = 180.0
ABOUT = """
`python benchmarks/speed.py` writes this page: one section a device; tables of `--quick` say so. Times are the least of
several calls that are waited for, in float64 unless a row says 32 bits.

- `floor`: the additions and multiplications that XLA counts in the compiled code (`benchmarks/timing/work.py` has them
  by hand too) over the rate of products of matrices, or the bytes that must be moved over that of memory, whichever
  takes longer, both measured in the same run.
- `with exp`: the same with exponentials and the like on top, at their own measured rate.
- `cores / floor`: seconds of all cores together, over the floor in the same measure: other load on the machine does not
  change it, and hardly any gain is left to more cores where it is the same as `time / floor`.
- `MiB`: memory beyond what was there before the call, of the accelerator where there is one.
- `cold`, `cached`: seconds that the first call takes longer, without and with the persistent cache of compiled code.
"""


class Run:
    """What the tables share: the page, the rates of the machine, the cases, and the time that is left."""

    def __init__(self, page: pages.Page, quick: bool, budget: float, problems: list[str]):
        self.page, self.quick, self.problems = page, quick, problems
        self.end = time.perf_counter() + budget
        self.settings = FEW if quick and not rates.accelerated() else FULL
        self.machine = rates.machine()
        self._cases: dict[str, Case] = {}

    def left(self) -> float:
        return self.end - time.perf_counter()

    def cases(self) -> Iterator[Case]:
        for name in self.problems:
            if self.left() > 0:
                if name not in self._cases:
                    self._cases[name] = case(name, self.settings)
                yield self._cases[name]

    def write(self, title: str, header: list[str], rows: Iterator[list[str]], note: str = "") -> None:
        title = title + (" (quick)" if self.quick else "")
        self.page.table(title, header, self._in_time(rows), f"{note} {self.machine.text()}".strip())

    def _in_time(self, rows: Iterator[list[str]]) -> Iterator[list[str]]:
        while self.left() > 0:
            try:
                yield next(rows)
            except StopIteration:
                return
        print("the time is up", flush=True)


def table_of_rates(run: Run) -> None:
    figures = [f"{a / 1e9:.4g}" for a in run.machine.clock]
    header = ["matmul, float64 (GFLOP/s)", "float32", "exp, float64 (billion/s)", "float32", "memory (GB/s)"]
    run.write("Rates", header, iter([figures]))


def table_of_forward(run: Run) -> None:
    note = "Log-density and score of particles carried along K = 12 layers of 8 Runge-Kutta steps each."
    n = 1000 if run.settings is FEW else 4000
    run.write("Forward pass of a path", growth.FORWARD, growth.forward_rows(run.cases(), run.machine, n), note)


def table_of_kernels(run: Run) -> None:
    note = "A segment of 8 integrator steps; N as the solver has it."
    if run.quick:
        note += " `cold`: the kernels of a problem compiled at the same time."
    run.write("Kernels of a step", kernels.HEADER, _kernel_rows(run), note)


def _kernel_rows(run: Run) -> Iterator[list[str]]:
    for one in run.cases():
        found = list(kernels.kernels(one))
        firsts = first_calls([kernel.call for kernel in found]) if run.quick else []
        for i, kernel in enumerate(found):
            compiled = Compiled(firsts[i], math.nan) if run.quick else Compiled.of(kernel.call)
            timing, size = measured(kernel.call), str(kernel.particles or "")
            figures = run.machine.against_floor(timing, kernel.work)
            yield [one.label, kernel.name, size, str(one.field.size), *figures, *compiled.cells(timing.seconds)]


def table_of_work(run: Run) -> None:
    header = ["problem", "term", "p", "rates: flops", "over by hand", "exp", "tangent: flops", "over by hand", "exp"]
    run.write("Work", header, (row for one in run.cases() for row in work.terms(one)), "Of one particle.")


def table_of_segments(run: Run) -> None:
    count = 3 if run.quick else 6
    note = f"The first {count} segments of a sweep. Phases of the last of them, which compiles little."
    run.write("Segments", sweeps.SEGMENTS, sweeps.segment_rows(run.problems, run.settings, count), note)


def table_of_growth(run: Run) -> None:
    note = "The end of an exact path of Ornstein-Uhlenbeck, particles in streamed parts. `growth`: over the row before."
    curves = growth.points(run.quick).items()
    rows = (row for what, points in curves for row in growth.growth_rows(what, points, run.left))
    run.write("Growth", growth.GROWTH, rows, note)


def table_of_largest(run: Run) -> None:
    header = ["grown", "d", "K", "N in one part", "fits", "s, compilation included"]
    if rates.accelerated():
        run.write("Largest", header, growth.largest_rows(run.left), "Samples and their log-density, without streaming.")


def table_of_blocks(run: Run) -> None:
    if rates.accelerated():
        run.write("Blocks", blocks.HEADER, blocks.rows(run.cases()), "Particles at a time, one segment and 12 layers.")


def table_of_solves(run: Run) -> None:
    if not run.quick:
        solves.tables(run.problems, run.write)


TABLES: dict[str, Callable[[Run], None]] = {
    "rates": table_of_rates,
    "forward": table_of_forward,
    "kernels": table_of_kernels,
    "growth": table_of_growth,
    "largest": table_of_largest,
    "blocks": table_of_blocks,
    "segments": table_of_segments,
    "work": table_of_work,
    "solves": table_of_solves,
}


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer particles on a processor, no whole solves")
    parser.add_argument("--out", type=Path, help="folder to write speed.md to")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--budget", type=float, help="seconds after which nothing more is begun")
    parser.add_argument("--against", metavar="COMMIT", help="time the kernels of this commit too, in turns")
    parser.add_argument("--merge", type=Path, metavar="PAGE", help="add the tables of another page")
    parser.add_argument("--worker", choices=("kernels", "solve"), help=argparse.SUPPRESS)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    given = parser.parse_args()
    target = PAGE if given.out is None else given.out / "speed.md"
    if given.worker == "kernels":
        return against.work_off(FEW if given.quick else FULL, given.problems)
    if given.worker == "solve":
        return solves.work_off(*given.problems)
    if given.merge is not None:
        return pages.merge(given.merge, target, ABOUT)
    page = pages.Page(target, ABOUT)
    if given.against is not None:
        return against.table(page, given.against, given.quick, given.problems)
    budget = given.budget or (QUICK_BUDGET if given.quick else float("inf"))
    run = Run(page, given.quick, budget, given.problems)
    for name in given.only:
        if run.left() > 0:
            TABLES[name](run)


if __name__ == "__main__":
    main()
