"""The command line: options and their help. What they do is in the other files of this folder."""

from math import inf
from typing import Annotated

import typer

import genwgp
from genwgp import problems
from genwgp.cli.compare import compare_run
from genwgp.cli.group import OneLineGroup
from genwgp.cli.init import write_template
from genwgp.cli.options import SEEDS, choice, not_empty, number, whole, wholes
from genwgp.cli.solve import run_solve
from genwgp.cli.stored import sample_run, show_run
from genwgp.cli.sweep import SweepOptions, run_sweep
from genwgp.cli.task import ACTIONS, METHODS, Options
from genwgp.errors import InputError
from genwgp.io import SolveSection
from genwgp.solvers.solve import MAX_LAYERS

EXIT_CODES = (
    "Exit codes: 0 fine; 2 input that cannot be used, said in one line; 3 not converged (the folder is written); "
    "130 interrupted by Ctrl-C (the best path so far is written)."
)
app = typer.Typer(
    cls=OneLineGroup,
    help="Wasserstein gradient paths: from a start density to the equilibrium of a free energy. " + EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
NEW_FOLDER = "the name of a folder that does not exist yet"
MAX_SAMPLES = 10**8


def _gallery(incomplete: str) -> list[str]:
    """The gallery's names that begin so, for completion in a shell."""
    return [name for name in problems.names() if name.startswith(incomplete)]


# Numbers and names come as text and are read in the commands, so that every mistake is told in the same words.
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A folder that `genwgp solve` has written.")]
ProblemOption = Annotated[
    str | None,
    typer.Option(metavar="module.py:function", help="The problem, for a run whose problem was made in Python."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
PROBLEM = typer.Argument(
    metavar="PROBLEM", help="A gallery name, problem.toml, or module.py:function.", autocompletion=_gallery
)
ProblemArgument = Annotated[str, PROBLEM]
LayersOption = Annotated[str | None, typer.Option(metavar="K", help="Layers of the path [default: 12].")]
ActionOption = Annotated[
    str | None, typer.Option(metavar="|".join(ACTIONS), help="What is minimised [default: geometric].")
]
HorizonOption = Annotated[
    str | None, typer.Option(metavar="T", help="Physical time of a finite-horizon path, length^2/energy.")
]
MethodOption = Annotated[str | None, typer.Option(metavar="|".join(METHODS), help="How it is found [default: sweep].")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print errors only (and the JSON of --json).")]
DevicesOption = Annotated[
    str | None, typer.Option(metavar="N", help="Devices of jax that share the particles [default: one, all its cores].")
]
Float32Option = Annotated[bool, typer.Option("--float32", help="Compute in single precision, not in double.")]


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False) -> None:
    if version:
        print(f"genwgp {genwgp.__version__}")
        raise typer.Exit()


@app.command()
def solve(
    problem: Annotated[str | None, PROBLEM] = None,
    out: Annotated[
        str | None, typer.Option(metavar="RUN", help="A new folder for the results [default: runs/NAME].")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with the solve that was begun in this folder; it says what it was."),
    ] = None,
    layers: LayersOption = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of all randomness [default: 0].")] = None,
    action: ActionOption = None,
    horizon: HorizonOption = None,
    method: MethodOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of the problem, a field of the TOML file (entropy.diffusion=0.5), or method.NAME.",
        ),
    ] = None,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Write no pictures.")] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    float32: Float32Option = False,
    devices: DevicesOption = None,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="One of several processes that solve it together; the first writes.")
    ] = False,
) -> None:
    """Solve a problem and write a run folder: path, curves, log, settings, pictures."""
    chosen = _section(layers, seed, action, horizon, method)
    folder = not_empty("--out", out, NEW_FOLDER)
    again = not_empty("--resume", resume, "a folder that a solve was begun in")
    how = (not no_pictures, quiet, as_json, float32, whole("--devices", devices, 1), distributed)
    options = Options(problem, folder, again, chosen, settings or [], *how)
    raise typer.Exit(run_solve(options))


def _section(layers, seed, action, horizon, method) -> SolveSection:
    """The options that say how to solve, from their texts."""
    return SolveSection(
        layers=whole("--layers", layers, 1, MAX_LAYERS),
        seed=whole("--seed", seed, 0, SEEDS - 1),
        action=choice("--action", action, ACTIONS),  # pyright: ignore[reportArgumentType]
        horizon=number("--horizon", horizon, "a finite number above 0", lambda value: 0 < value < inf),
        method=choice("--method", method, METHODS),  # pyright: ignore[reportArgumentType]
    )


@app.command()
def sweep(
    problem: ProblemArgument,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="A new folder for all runs [default: runs/NAME-sweep].")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE,VALUE,...",
            help="Values of a parameter of the problem or of a field of the TOML file; all combinations are solved. "
            "method.NAME takes one.",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N,N,...", help="Seeds that each is solved with.")] = "0",
    layers: LayersOption = None,
    action: ActionOption = None,
    horizon: HorizonOption = None,
    method: MethodOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    float32: Float32Option = False,
    devices: DevicesOption = None,
) -> None:
    """Solve a problem for values of its parameters and for seeds; print and write a table, with a run folder each.

    Code 3 if a point did not converge or was refused, which its row says; 2 if all were refused.
    """
    chosen = _section(layers, None, action, horizon, method)
    folder = not_empty("--out", out, NEW_FOLDER)
    numbers, how = wholes("--seeds", seeds, 0, SEEDS - 1), (quiet, as_json, not float32)
    options = SweepOptions(problem, folder, chosen, settings or [], numbers, *how, whole("--devices", devices, 1))
    raise typer.Exit(run_sweep(options))


@app.command()
def init(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file; it must not exist.")] = "problem.toml",
) -> None:
    """Write a problem file to begin from: everything that may be in one, explained."""
    write_template(file)


@app.command("list")
def list_problems() -> None:
    """List the gallery: names, what they are, and the parameters that `--set` changes."""
    for name in problems.names():
        summary, parameters, source = problems.describe(name)
        print(f"{name}\n  {summary}")
        for parameter, default in parameters.items():
            print(f"    --set {parameter}={default}")
        print(f"    source: {source}")


@app.command()
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Print what is in a run folder."""
    show_run(run, as_json)


@app.command()
def sample(
    run: RunArgument,
    time: Annotated[str | None, typer.Option(metavar="T", help="Physical time, length^2/energy.")] = None,
    arclength: Annotated[str | None, typer.Option(metavar="S", help="Arclength, length.")] = None,
    node: Annotated[str | None, typer.Option(metavar="K", help="Node, 0 to the number of layers.")] = None,
    equilibrium: Annotated[bool, typer.Option("--equilibrium", help="The last node, with importance weights.")] = False,
    resample: Annotated[
        bool,
        typer.Option("--resample", help="With --equilibrium: samples of exp(-V/D)/Z itself, chosen by those weights."),
    ] = False,
    n: Annotated[str, typer.Option("-n", metavar="N", help="How many samples.")] = "1000",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="x.csv or x.npz [default: CSV on stdout].")
    ] = None,
    seed: Annotated[str, typer.Option(metavar="N", help="Seed of the samples.")] = "0",
    problem: ProblemOption = None,
) -> None:
    """Sample a density of a path: at one of --time, --arclength, --node and --equilibrium."""
    places = {
        "time": number("--time", time, "a number, at least 0", lambda value: value >= 0),
        "arclength": number("--arclength", arclength, "a finite number, at least 0", lambda value: 0 <= value < inf),
        "node": whole("--node", node, 0),
        "equilibrium": equilibrium or None,
    }
    given = {name: value for name, value in places.items() if value is not None}
    if len(given) != 1:
        named = ", ".join(f"--{name}" for name in given) or "nothing"
        raise InputError("place", named, "one of --time, --arclength, --node, --equilibrium")
    if resample and not equilibrium:
        raise InputError("--resample", f"--{next(iter(given))}", "with --equilibrium: elsewhere there are no weights")
    count, chosen_seed = whole("-n", n, 1, MAX_SAMPLES), whole("--seed", seed, 0, SEEDS - 1)
    assert count is not None
    assert chosen_seed is not None
    sample_run(run, given, count, output, chosen_seed, problem, resample)


@app.command()
def report(
    run: RunArgument,
    out: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="Where the page goes [default: RUN/report.html].")
    ] = None,
    gif: Annotated[str | None, typer.Option(metavar="FILE.gif", help="Write a film too, as GIF.")] = None,
    mp4: Annotated[str | None, typer.Option(metavar="FILE.mp4", help="Write a film too, by ffmpeg.")] = None,
    pictures: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Draw the PNG pictures of the run again, into this folder.")
    ] = None,
    problem: ProblemOption = None,
) -> None:
    """Write one HTML page that shows a run: verdict, the path in motion, curves, comparison, settings."""
    from genwgp.cli.report import report_run  # it imports what draws, which no other command needs to wait for

    report_run(
        run,
        not_empty("--out", out, "a file that ends in .html"),
        not_empty("--gif", gif, "a file that ends in .gif"),
        not_empty("--mp4", mp4, "a file that ends in .mp4"),
        not_empty("--pictures", pictures, "the name of a folder"),
        problem,
    )


@app.command()
def compare(
    run: RunArgument,
    samples: Annotated[str, typer.Option(metavar="N", help="Samples of each draw, 2 to 10000.")] = "4000",
    seed: Annotated[str, typer.Option(metavar="N", help="Seed of the samples.")] = "0",
    problem: ProblemOption = None,
    as_json: JsonOption = False,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where comparison.json and the picture go [default: RUN].")
    ] = None,
) -> None:
    """Compare the path of a run with the best reference of its problem; takes minutes in more than one dimension."""
    count, chosen_seed = whole("--samples", samples, 2, 10_000), whole("--seed", seed, 0, SEEDS - 1)
    assert count is not None
    assert chosen_seed is not None
    compare_run(run, count, chosen_seed, problem, as_json, not_empty("--out", out, "the name of a folder"))
