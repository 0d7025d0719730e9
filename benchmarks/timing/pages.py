"""The page of results: one section a device, one table a measurement; a run replaces what it has measured."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import jax
from tables import machine, markdown

TITLE = "# Speed"


class Page:
    """Written anew after each row, so that a run that is stopped loses nothing."""

    def __init__(self, path: Path, about: str):
        self.path, self.about = path, about
        self.device = f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores"

    def table(self, title: str, header: list[str], rows: Iterable[list[str]], note: str = "") -> None:
        found: list[list[str]] = []
        for row in rows:
            found.append(row)
            print(f"{title} | " + " | ".join(row), flush=True)
            body = f"{markdown(header, found)}\n\n{note}\n{machine()}.".replace("\n\n\n", "\n\n")
            self._replace(title, body)

    def _replace(self, title: str, body: str) -> None:
        sections = read(self.path)
        sections.setdefault(self.device, {})[title] = body
        write(self.path, self.about, sections)


Sections = dict[str, dict[str, str]]


def read(path: Path) -> Sections:
    """Devices, their tables by title, the text of each."""
    if not path.exists():
        return {}
    sections: Sections = {}
    for section in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        device, *parts = re.split(r"^### ", section, flags=re.MULTILINE)
        tables = [part.split("\n", 1) for part in parts]
        sections[device.strip()] = {title.strip(): body.strip() for title, body in tables}
    return sections


def write(path: Path, about: str, sections: Sections) -> None:
    text = [TITLE, about.strip()]
    for device, tables in sections.items():
        text.append(f"## {device}")
        text += [f"### {title}\n\n{body}" for title, body in tables.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(text) + "\n", encoding="utf-8")


def merge(source: Path, target: Path, about: str) -> None:
    """The tables of another page, as from another machine, beside those that are here."""
    sections = read(target)
    for device, tables in read(source).items():
        sections.setdefault(device, {}).update(tables)
    write(target, about, sections)
