"""Settings of every test: float64, strict dtype promotion, shapes and dtypes checked at run time."""

import os

import hypothesis
import jax
import jaxtyping
import pytest

# A cache on disk makes repeated runs several times faster; jax reads the variable itself, the threshold is ours.
if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
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
