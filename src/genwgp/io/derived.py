"""What is made from a run and lies in its folder: the page, the comparison, pictures. Of another path it is stale."""

from contextlib import suppress
from pathlib import Path

COMPARISON, PAGE, PICTURES = "comparison.json", "report.html", "pictures"
DRAWN = ("density", "trajectories", "free-energy", "layers", "direction-residual", "comparison")  # PNG files
MARK = '<meta name="generator" content="genwgp'  # by which a page of ours is known


def is_page(file: Path) -> bool:
    """Whether a file is a page of ours, which may be replaced."""
    try:
        with file.open("rb") as content:
            return MARK.encode() in content.read(1000)
    except OSError:
        return False


def remove_derived(folder: Path) -> None:
    """Remove what was made from the path that a folder held before; files of a user stay."""
    pictures = folder / PICTURES
    stale = [folder / COMPARISON, *(pictures / f"{name}.png" for name in DRAWN)]
    if is_page(folder / PAGE):
        stale.append(folder / PAGE)
    for file in stale:
        with suppress(OSError):  # where it cannot be removed, neither can the new path be written, which says so
            file.unlink()
    with suppress(OSError):  # anything else in it keeps it
        pictures.rmdir()
