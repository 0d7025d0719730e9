"""The verdict on a path: which figure it names, and when it has none to name."""

import numpy as np
import pytest

from genwgp.diagnostics.verdict import verdict

GOOD = {
    "gap": 1e-4,
    "left": 1e-7,
    "effective_sample_size": 0.999,
    "direction_residual": 0.05,
    "dissipation_error": 0.02,
    "speed_spread": 0.01,
    "rise": 0.0,
    "energy_drop": 1.0,
}
WITHOUT_ENTROPY = {"gap": np.nan, "effective_sample_size": np.nan}


def test_a_good_path_has_no_fault():
    assert verdict(GOOD, terminal=True) is None
    assert verdict(GOOD | WITHOUT_ENTROPY, terminal=True) is None


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"gap": 0.01}, "F is 0.01 D above the equilibrium"),
        ({"gap": np.inf}, "F is inf D above"),
        ({"effective_sample_size": 0.6}, "effective samples are 60 %"),
        ({"left": 0.02, **WITHOUT_ENTROPY}, "2 % of the drop of F is left"),
        ({"direction_residual": 0.5}, "direction residual 0.5"),
        ({"direction_residual": np.nan}, "direction residual nan"),
        ({"dissipation_error": 0.4}, "dissipation differ by 40 %"),
        ({"dissipation_error": np.nan}, "dissipation differ by nan %"),
        ({"speed_spread": 0.2}, "adjacent layers differ by 20 %"),
        ({"rise": 0.01}, "F rises by 1 %"),
    ],
)
def test_each_figure_out_of_its_limits_is_named_with_a_remedy(figures, words):
    text = verdict(GOOD | figures, terminal=True)
    assert text is not None
    assert words in text
    assert "; try more particles" in text


def test_a_path_to_a_horizon_is_not_judged_by_its_distance_from_the_equilibrium():
    far = GOOD | {"gap": 2.0, "effective_sample_size": 0.1, "left": 0.7}
    assert verdict(far, terminal=False) is None
    assert verdict(far | {"direction_residual": 0.5}, terminal=False) is not None


def test_equal_lengths_are_judged_where_they_were_asked_for():
    assert verdict(GOOD | {"speed_spread": 0.2}, terminal=False, equal_lengths=False) is None


def test_a_start_at_the_equilibrium_has_no_direction_to_judge():
    still = GOOD | {"energy_drop": 0.0, "gap": 1e-12, "direction_residual": 1.4, "dissipation_error": 1.0}
    assert verdict(still, terminal=True) is None
    assert verdict(still | {"gap": 0.1}, terminal=True) is not None
