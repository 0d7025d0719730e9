"""Settings of every test: float64, strict dtype promotion, shapes and dtypes checked at run time."""

import os
import tempfile

import hypothesis
import jax
import jaxtyping
import pytest

# What one process compiles the others need not: those of xdist and of the command. A cache that is named is kept, which
# makes repeated runs several times faster; else there is one for this run. jax reads the variable itself, also in
# processes that tests start; the threshold is ours: to write and to find what compiles in less takes as long.
if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    _cache = tempfile.TemporaryDirectory(prefix="genwgp-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache.name
# What jax computes outside of compiled functions is compiled as `genwgp.parts` has it: in two thirds of the time. And
# with few optimisations: most of what tests compile runs for less time than those would take. And each function in one
# piece, which takes a fifth less of one core: the others have tests of their own to compile.
FLAGS = (
    "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=1 --xla_cpu_parallel_codegen_split_count=1"
)
os.environ.setdefault("XLA_FLAGS", FLAGS)
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Before anything of genwgp is imported: the hook rewrites modules while they load.
jaxtyping.install_import_hook("genwgp", "runtime_types.check")

# The first example of a law compiles, so a deadline would only measure that.
hypothesis.settings.register_profile("genwgp", deadline=None, max_examples=20, derandomize=True, database=None)
hypothesis.settings.load_profile("genwgp")


@pytest.fixture(autouse=True, scope="module")
def _room():
    """One process compiles more than Linux has memory maps for."""
    from genwgp.parts import make_room

    make_room()
