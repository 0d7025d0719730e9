"""Axes of a sum of functions of one coordinate each."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genwgp.solvers.frame import joint_axes


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_axes_of_matrices_that_are_diagonal_in_one_basis_are_found(dim, seed):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    axes = joint_axes(np.einsum("ij,nj,kj->nik", basis, rng.normal(size=(12, dim)), basis))
    np.testing.assert_allclose(axes.T @ axes, np.eye(dim), atol=1e-12)
    match = np.abs(axes.T @ basis)
    np.testing.assert_allclose(match.max(0), 1, atol=1e-9)
    assert len(set(match.argmax(0))) == dim


def test_what_is_left_off_the_diagonals_is_least():
    """No rotation of two of the axes makes it less."""
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(8, 4, 4))
    matrices += np.swapaxes(matrices, 1, 2)
    axes = joint_axes(matrices)

    def off(axes):
        turned = axes.T @ matrices @ axes
        return (turned**2).sum() - (np.diagonal(turned, axis1=1, axis2=2) ** 2).sum()

    assert off(axes) < off(np.eye(4))
    for i in range(4):
        for j in range(i):
            turn = np.eye(4)
            turn[[i, j], [i, j]], turn[i, j], turn[j, i] = np.cos(1e-3), -np.sin(1e-3), np.sin(1e-3)
            assert off(axes @ turn) > off(axes)
            assert off(axes @ turn.T) > off(axes)
