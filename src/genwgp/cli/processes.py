"""Several processes that solve one problem together: how they find each other, and which of them writes."""

import os

import jax

from genwgp.checks import reason
from genwgp.errors import InputError

ADDRESS, COUNT, NUMBER = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


def join() -> None:
    """Connect this process to the others, before jax is used for anything else.

    Slurm, Open MPI and TPU pods are recognised by jax; elsewhere the variables above say it. InputError where neither
    does, or the others do not answer.
    """
    given = [os.environ.get(name) for name in (ADDRESS, COUNT, NUMBER)]
    if any(given) and not (all(given) and all(text.isdecimal() for text in given[1:])):  # pyright: ignore
        raise InputError("--distributed", given, f"all of {ADDRESS}, {COUNT} and {NUMBER}, or none: host:port, numbers")
    named = {}
    if all(given):
        address, count, number = given
        named = {"coordinator_address": address, "num_processes": int(count), "process_id": int(number)}  # pyright: ignore
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(**named)
    except (ValueError, RuntimeError) as error:
        allowed = f"a launch by Slurm or Open MPI, on a TPU pod, or with {ADDRESS}, {COUNT} and {NUMBER}"
        raise InputError("--distributed", reason(error), allowed) from None


def writes() -> bool:
    """Whether this process is the one that prints and writes."""
    return jax.process_index() == 0
