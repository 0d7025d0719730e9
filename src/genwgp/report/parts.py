"""Parts of a page that are text: every value from outside goes through `escape`."""

import html
import itertools
import math
from typing import Any

import numpy as np

from genwgp.io.figures import Named
from genwgp.report.scene import Scene

WORDS = {  # result -> class of its colour, sign, in words
    "converged": ("good", "✓", "converged"),
    "not_converged": ("bad", "✗", "not converged"),
    "unbounded": ("bad", "✗", "unbounded: the density moves away without end"),
    "non_finite": ("bad", "✗", "not finite"),
    "interrupted": ("bad", "✗", "interrupted"),
}
APART = ("problem", "dim", "layers", "result", "message")  # figures that have a place of their own
GAP = Named("gap", "F - F* at the end", lambda v: f"{v:.3g}", "energy", "0 at the equilibrium")
NODE_COLUMNS = (
    ("t", "times"),
    ("s", "arclength"),
    ("F", "free_energy"),
    ("dissipation", "dissipation"),
    ("speed", "speed"),
    ("direction residual", "direction_residual"),
)
SEEN = 1.4  # W2 over its floor, above which a difference is seen
COMPARED = (  # heading, entry of the record, factor
    ("t", "times", 1.0),
    ("s", "arclength", 1.0),
    ("W₂", "wasserstein", 1.0),
    ("its floor", "wasserstein_floor", 1.0),
    ("sliced W₂", "sliced", 1.0),
    ("its floor", "sliced_floor", 1.0),
    ("F", "free_energy", 1.0),
    ("F of the reference", "reference_free_energy", 1.0),
    ("error, % of the drop", "energy_error", 100.0),
    ("L1 of densities", "l1", 1.0),
)


def escape(value: Any) -> str:
    """Text for HTML, in elements and in quoted attributes."""
    return html.escape(str(value), quote=True)


def about(figures: dict[str, Any], run: dict[str, Any] | None) -> str:
    """One line below the title."""
    saved = "" if run is None else f", saved {str(run.get('date', '')).replace('T', ' ')[:16]}"
    many = "dimension" if figures["dim"] == 1 else "dimensions"
    return f"A Wasserstein gradient path in {figures['dim']} {many}, {figures['layers']} layers{saved}"


def verdict(figures: dict[str, Any]) -> str:
    """The result as a sign and words, and the message."""
    kind, sign, words = WORDS.get(figures["result"], ("bad", "✗", figures["result"]))
    badge = f'<span class="badge {kind}"><span aria-hidden="true">{sign}</span> {escape(words)}</span>'
    return f'<p class="verdict">{badge} <span class="message">{escape(figures["message"])}</span></p>'


def cards(rows: list[tuple[Named, Any]], figures: dict[str, Any]) -> str:
    """The figures that there are, each with its unit and note."""
    shown = [(figure, value) for figure, value in rows if figure.key not in APART and not _nan(value)]
    best = figures["equilibrium_free_energy"]
    if best is not None and math.isfinite(best):
        place = [figure.key for figure, _ in shown].index("equilibrium_free_energy") + 1
        shown.insert(place, (GAP, figures["free_energy_end"] - best))
    return "".join(_card(figure, value) for figure, value in shown)


def _nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _card(figure: Named, value: Any) -> str:
    wide = ' class="wide"' if figure.key == "start" else ""
    unit = f' <span class="unit">{escape(figure.unit)}</span>' if figure.unit else ""
    note = f"<dd class='note'>{escape(figure.note)}</dd>" if figure.note else ""
    number = f'<dd data-figure="{figure.key}">{escape(figure.text(value))}{unit}</dd>'
    return f"<div{wide}><dt>{escape(figure.label)}</dt>{number}{note}</div>"


def picture_title(shown: Scene) -> str:
    """What the picture of the path is."""
    count = shown.particles.shape[1]
    if shown.densities is not None:
        return f"Density and {count} of its particles"
    return f"{count} particles as a smoothed histogram, and some of them"


def caption(shown: Scene) -> str:
    """What the colours and marks of the picture are; on a line it has a legend of its own."""
    if len(shown.coordinates) == 1:
        return ""
    dots = '<span class="key dot" aria-hidden="true"></span> the same particles all along, with tracks of some'
    lines = f'<span class="key" aria-hidden="true"></span> {shown.target_name}, at 10, 30, … 90 % of its peak'
    return f'<p class="hint">{dots}; {lines}. Colours go by the square root of the density.</p>'


def pair_choice(shown: Scene) -> str:
    """A list of pairs of coordinates, where there are more than two."""
    count = len(shown.coordinates)
    if count < 3:
        return ""
    options = []
    for a, b in itertools.combinations(range(count), 2):
        chosen = " selected" if (a, b) == shown.pair else ""
        names = " and ".join(f"x{shown.coordinates[i]}" for i in (a, b))
        options.append(f'<option value="{a},{b}"{chosen}>{names}</option>')
    return f'<label>Coordinates <select id="pair">{"".join(options)}</select></label>'


def nodes(path: Any) -> str:
    """The nodes as a table."""
    rows = zip(*(np.asarray(getattr(path, name)).tolist() for _, name in NODE_COLUMNS), strict=True)
    return table(["node", *(name for name, _ in NODE_COLUMNS)], [[str(k), *map(number, r)] for k, r in enumerate(rows)])


def comparison(record: dict[str, Any], dim: int) -> str:
    """The section about a reference: what it is, a place for the curves, the figures, and what is missing."""
    chosen = [(name, key, factor) for name, key, factor in COMPARED if dim > 1 or not key.startswith("sliced")]
    columns = [[number(factor * value) for value in record[key]] for _, key, factor in chosen]
    chosen_names = [name for name, _, _ in chosen]
    bounds = bound_columns(record)
    for place, (name, values) in enumerate(bounds.items(), chosen_names.index("its floor") + 1):
        chosen_names.insert(place, name)
        columns.insert(place, [number(value) for value in values])
    reference = record.get("reference_description") or record.get("reference", "a reference")
    missing = "".join(f"<li>no {escape(name)}: {escape(why)}</li>" for name, why in record["missing"].items())
    floors = f"{record['samples']} samples of each; a distance over its floor is about 1 where nothing can be told."
    return (
        '<section aria-labelledby="compared"><h2 id="compared">Comparison with a reference</h2>'
        f"<p>{escape(reference)}. {escape(floors)}</p>"
        '<div id="ratios" class="plot" role="img" aria-label="Distances over their noise floors along the path"></div>'
        f"{f'<p>{escape(about_bound(record))}</p>' if bounds else ''}"
        f"<details open><summary>The figures</summary>{table(chosen_names, list(zip(*columns, strict=True)))}</details>"
        f"{f'<ul>{missing}</ul>' if missing else ''}</section>"
    )


def bound_columns(record: dict[str, Any]) -> dict[str, list[float]]:
    """The certificate's bound on W2 at the places of the comparison, and how loose it is; empty where there is none."""
    bounds = (record.get("certificate") or {}).get("bound", [])
    if len(bounds) != len(record["times"]):  # none, or of a version that gave it at the nodes
        return {}
    return {
        "bound on W₂": [float(bound) for bound in bounds],
        "bound / W₂": [
            float(bound) / math.sqrt(distance**2 - floor**2) if distance > SEEN * floor else math.nan
            for bound, distance, floor in zip(bounds, record["wasserstein"], record["wasserstein_floor"], strict=True)
        ],
    }


def about_bound(record: dict[str, Any]) -> str:
    """What the bound says, from the record of a comparison with one."""
    found = record["certificate"]
    L, known = found["convexity"], "estimated over particles, so no proof" if found["estimated"] else "given"
    text = (
        f"The bound on W₂ to the true flow comes from the residual of the path alone, for a free energy that is "
        f"L-convex, L = {L:.3g} ({known}). Bound / W₂ is how loose it is, less the floor: a dash where samples see no "
        f"difference."
    )
    if L < 0:
        text += " L is below 0: the bound grows exponentially, soon says nothing, and there is none at the equilibrium."
    return text


def origin(solution: Any, run: dict[str, Any] | None) -> str:
    """Settings, seed, versions, machine and the source of the problem, as far as they are known."""
    run = run or {}
    entries = {"seed": run.get("seed", solution.settings.get("seed")), "precision": run.get("dtype")}
    entries |= _flat("", {name: value for name, value in solution.settings.items() if name != "seed"})
    entries |= {f"version of {name}": version for name, version in (run.get("versions") or {}).items()}
    machine = run.get("platform") or {}
    devices = machine.get("devices")
    listed = ", ".join(map(str, devices)) if isinstance(devices, list) else ""
    entries |= {"system": machine.get("system"), "devices": listed}
    entries |= _flat("stats", solution.stats)
    rows = [
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in entries.items() if value != ""
    ]
    return f'<dl class="origin">{"".join(rows)}</dl>{_source(solution.problem_source)}'


def _source(source: dict[str, Any] | None) -> str:
    if source is None:
        return "<p>The problem was made in Python.</p>"
    lines = "\n".join(f"{name}: {value}" for name, value in _flat("", source).items())
    return f"<details><summary>The problem</summary><pre>{escape(lines)}</pre></details>"


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Nested settings by dotted names."""
    if not isinstance(value, dict):
        return {name: value}
    found = {}
    for key, part in value.items():
        found |= _flat(f"{name}.{key}" if name else str(key), part)
    return found


def table(header: list[str], rows: list[Any]) -> str:
    """A table of numbers, in a box that scrolls where it is too wide."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    scroll = 'class="scroll" tabindex="0" role="region" aria-label="Table of figures"'
    return f"<div {scroll}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def number(value: float) -> str:
    """A number in a table; a dash where there is none."""
    return "-" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.5g}"
