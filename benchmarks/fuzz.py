"""Ten thousand problem files, run folders and checkpoints with faults in them: each must end in one line.

    python benchmarks/fuzz.py [how many]

writes benchmarks/results/fuzz.md. A failure names the seed that makes the same input again.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from tables import machine, markdown

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import mutations

TABLE = Path(__file__).parent / "results" / "fuzz.md"
COUNT = 10_000
NOTES = """
Faults: bits flipped, parts cut off, removed or doubled, fields removed, of another kind or out of range, arrays of
other shapes, types or values; those in folders with sums that say that they belong there. Run folders are shown and
loaded, and with a comparison in them written as pages; checkpoints are shown and taken up as far as the next step.
`read`: the fault does no harm, or is beyond what a reader can know. `failed`: anything but an answer or an error of one
line.
"""


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        whole, begun = mutations.make_folders(place)
        run, checkpoint = mutations.Folder(whole, place / "run"), mutations.Folder(begun, place / "copy", "checkpoint")
        compared = mutations.Folder(mutations.with_comparison(whole, place / "compared"), place / "page")
        inputs = {
            "problem files": (0.3, mutations.read_text_with_faults),
            "run folders": (0.3, lambda seed: mutations.read_run_with_faults(seed, run)),
            "pages of run folders": (0.1, lambda seed: mutations.page_with_faults(seed, compared)),
            "checkpoints": (0.3, lambda seed: mutations.read_checkpoint_with_faults(seed, checkpoint)),
        }
        rows = [_row(what, round(share * count), read) for what, (share, read) in inputs.items()]
    table = markdown(["inputs", "tried", "endings", "failed", "s"], rows)
    TABLE.write_text(f"# Inputs with faults\n\n{table}\n{NOTES}\nMachine: {machine()}.\n", encoding="utf-8")
    sys.exit(any(row[3] != "0" for row in rows))


def _row(what: str, count: int, read: Callable[[int], str]) -> list[str]:
    began, found = time.perf_counter(), _tried(read, count, what)
    failed = found.pop("failed", 0)
    endings = ", ".join(f"{ending}: {number}" for ending, number in sorted(found.items()))
    row = [what, str(count), endings, str(failed), f"{time.perf_counter() - began:.0f}"]
    print(row, flush=True)
    return row


def _tried(read: Callable[[int], str], count: int, what: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in range(count):
        try:
            found[read(seed)] += 1
        except Exception as error:
            found["failed"] += 1
            _tell(what, seed, error)
    return found


def _tell(what: str, seed: int, error: Any) -> None:
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    print(f"{what}, seed {seed}: {type(error).__name__} at {where}: {str(error)[:200]}", flush=True)


if __name__ == "__main__":
    main()
