"""Run folders and problem files. Nothing is pickled, and nothing that is read is executed."""

from genwgp.io.checkpoint import Checkpoint as Checkpoint
from genwgp.io.checkpoint import is_begun as is_begun
from genwgp.io.checkpoint import read_about as read_about
from genwgp.io.checkpoint import read_begun as read_begun
from genwgp.io.comparison import comparison_record as comparison_record
from genwgp.io.comparison import read_comparison as read_comparison
from genwgp.io.comparison import write_comparison as write_comparison
from genwgp.io.curves import dataset as dataset
from genwgp.io.curves import read_curves as read_curves
from genwgp.io.expression import Expression as Expression
from genwgp.io.folder import check_new_folder as check_new_folder
from genwgp.io.folder import verify as verify
from genwgp.io.problem_file import ProblemFile as ProblemFile
from genwgp.io.problem_file import SolveSection as SolveSection
from genwgp.io.problem_file import read_problem as read_problem
from genwgp.io.runs import load as load
from genwgp.io.runs import read_run as read_run
from genwgp.io.runs import save as save
from genwgp.io.sources import gallery_source as gallery_source
from genwgp.io.sources import module_source as module_source
from genwgp.io.sources import problem_from_source as problem_from_source
from genwgp.io.sources import toml_source as toml_source
from genwgp.io.summary import summary as summary

__all__ = [
    "Checkpoint",
    "Expression",
    "ProblemFile",
    "SolveSection",
    "check_new_folder",
    "comparison_record",
    "dataset",
    "gallery_source",
    "is_begun",
    "load",
    "module_source",
    "problem_from_source",
    "read_about",
    "read_begun",
    "read_comparison",
    "read_curves",
    "read_problem",
    "read_run",
    "save",
    "summary",
    "toml_source",
    "verify",
    "write_comparison",
]
