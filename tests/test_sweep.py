"""The causal sweep: collocation, assembly, the way it ends."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.energies import GaussianInteraction, PorousMedium
from genwgp.errors import InputError
from genwgp.initial import Gaussian, Mixture
from genwgp.layers import fields
from genwgp.layers.base import State
from genwgp.problems.ornstein_uhlenbeck import Quadratic
from genwgp.solvers import directed, features, fitting
from genwgp.solvers import run as running
from genwgp.solvers.assembly import CELLS, Way, assemble, lengths
from genwgp.solvers.collocation import weighted_equations
from genwgp.solvers.figures import Figures, energy_gap, rms
from genwgp.solvers.jacobian import jacobian
from genwgp.solvers.mean_field import MeanField
from genwgp.solvers.particles import Choice, Pool, farthest_points, initial_state
from genwgp.solvers.run import Failure, Run
from genwgp.solvers.segment import Segment, advance, constant, grad_mu, velocity
from genwgp.solvers.settings import CausalSweep
from genwgp.solvers.sweep import sweep

SMALL = CausalSweep(pool=2048, train=1024, test=2048)
LEAST = CausalSweep(pool=1024, train=1024, test=1024)  # that of `test_checkpoint`, which compiles the same
RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape))


def metrics(count):
    root = normal(count, 3, 3)
    return root @ jnp.swapaxes(root, 1, 2) / 3 + jnp.eye(3) / 3


def potential(x):
    return jnp.sum(x**4) / 4 - x[0] * x[-1]


def modulated(translates, bumps):
    """V itself, then translates of it, each with its bumps."""
    offset = jnp.concatenate([jnp.zeros((1, 3)), normal(translates, 3)])
    sites = fields.Bumps(normal(bumps, 3), metrics(bumps))
    return fields.ModulatedPotential(fields.Opaque(potential), jnp.asarray(0.3), jnp.asarray(2.0), offset, sites)


TERMS = {
    "quadratic": fields.Quadratic(normal(3)),
    "bumps": fields.Bumps(normal(5, 3), metrics(5)),
    "more bumps": fields.Bumps(normal(8, 3), metrics(8)),
    "waves": fields.Waves(normal(5, 3), normal(5)),
    "potential": modulated(0, 0),
    "modulated": modulated(2, 4),
    "more translates": modulated(4, 2),
    "no translates": modulated(0, 4),
    "mixture": fields.LogMixture(jnp.asarray(-1.3), normal(2), normal(2, 3), normal(2, 3, 3)),
}


def mixed(x, log_density, y):
    """Depends on all that a functional may depend on."""
    return jnp.exp(0.3 * log_density) * jnp.mean(jnp.exp(-0.2 * jnp.sum((x - y) ** 2, 1)))


MOVED = gw.FreeEnergy(
    potential, PorousMedium(1.5, 3.0), GaussianInteraction(2.0, 0.8), functional=gw.Functional(mixed, mixed)
)


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_closed_forms_of_a_term_are_its_derivatives(term):
    c, x, u = 0.3 * normal(term.size), normal(3), normal(3)
    rates = [eqx.filter_jit(kind.rates)(term, c, x, u) for kind in (type(term), fields.AbstractTerm)]
    for found, expected in zip(*rates, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    h, change = 1e-6, normal(term.size)
    everything = eqx.filter_jit(lambda c: (term.value(c, x), *term.rates(c, x, u)))
    ahead, behind = (everything(c + s * h * change) for s in (1, -1))
    for columns, plus, minus in zip(eqx.filter_jit(term.tangent)(c, x, u), ahead, behind, strict=True):
        np.testing.assert_allclose(columns @ change, (plus - minus) / (2 * h), rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def solved():
    """Ornstein-Uhlenbeck: the structured terms carry it exactly."""
    problem = gw.problems.get("ornstein-uhlenbeck")
    seen = []
    return problem, sweep(problem, SMALL, 0, on_segment=seen.append), seen


def test_the_sweep_follows_the_exact_free_energy(solved):
    problem, outcome, seen = solved
    assert outcome.status == "done"
    assert len(seen) == len(outcome.segments) == len(outcome.speeds)
    x = problem.initial.quasi_sample(2, SMALL.test)
    state = initial_state(problem.initial, x)
    noise = float(problem.energy.value(state.x, state.log_density) - problem.reference.free_energy(0.0))
    for figures in seen:
        # The same particles all along: their error at the start is an upper bound of that later on.
        assert abs(figures.free_energy - float(problem.reference.free_energy(figures.time))) < 2 * abs(noise) + 2e-3
    assert seen[-1].gap < SMALL.gap
    assert all(figures.residual < 0.02 for figures in seen if figures.force > 0.1)


def test_more_bumps_are_taken_where_fewer_leave_too_much():
    energy = gw.FreeEnergy(lambda x: jnp.sum(x**4) / 4, gw.Entropy(1.0))
    plane, line = (features.Features(energy, Gaussian(np.zeros(d), 1.0), RNG.normal(size=(64, d))) for d in (2, 1))
    for found in (plane, line):
        assert not found.refined(features.COARSE / 2)
        assert (found.rich, found.fine) == (True, False)
    assert [found.refined(features.COARSE * 2) for found in (plane, line)] == [True, False]
    assert (plane.fine, line.fine) == (True, False)
    assert not plane.refined(features.COARSE * 2)
    field = plane.place(energy, RNG.normal(size=(1500, 2)), None, RNG)
    assert field.terms[-1].size == features.FINER[2][0] > features.FEW[2][0]


@pytest.mark.parametrize(
    ("V", "rough"),
    [
        (lambda x: 4 * (jnp.sqrt(x @ x + 1e-12) - 2) ** 2, True),
        (lambda x: jnp.abs(x[0]) + x[1] ** 2, True),
        (lambda x: jnp.exp((x @ x) ** 2 / 4), False),
        (lambda x: 2 * (x[0] ** 2 - 1) ** 2 + (x[1] - x[0] ** 2 / 2) ** 2, False),
        (lambda x: jnp.cos(3 * x[0]) + x @ x, False),
    ],
    ids=["ring", "kink", "steep", "bent", "waves"],
)
def test_potentials_with_a_kink_are_not_moved_about(V, rough):
    energy = gw.FreeEnergy(V, gw.Entropy(1.0))
    x = np.random.default_rng(3).normal(size=(2000, 2)) * 0.6
    found = features.Features(energy, Gaussian([0.0, 0.0], 0.36), x)
    found.rich = True  # which |x| is not from the start: its Hessian is constant where there is one
    field: Any = found.place(energy, x, None, RNG)
    assert found.rough == rough
    assert len(field.terms[1].offset) == (1 if rough else 1 + features.FEW[2][2])
    with_potential = lambda field: any(isinstance(term, fields.ModulatedPotential) for term in field.terms)
    assert with_potential(found.place(energy, x, None, RNG, time=1e-3))
    if rough:
        found.place(energy, x + 20, None, RNG)
        assert found.rough  # also where no particle is near the kink any more
    assert with_potential(found.place(energy, x, None, RNG, time=1.0)) != rough  # diffusion has made mu smooth
    porous = gw.FreeEnergy(V, gw.PorousMedium(2.0))
    assert with_potential(found.place(porous, x, None, RNG, time=1.0))


def test_a_particle_caught_in_a_point_does_not_stand_for_the_peak():
    """Its log-density grows without end; all others would count as tails of a density as high as that."""
    pool = Pool.create(Gaussian([0.0], 1.0), 2048, 0)
    sound = pool.choose(512, np.random.default_rng(0))
    caught = pool._replace(state=pool.state._replace(log_density=pool.state.log_density.at[7].add(300.0)))
    found = caught.choose(512, np.random.default_rng(0))
    assert len(np.unique(found.index)) == 512
    assert 7 not in found.index
    np.testing.assert_allclose(np.std(found.state.x), np.std(sound.state.x), rtol=0.2)
    alone = pool._replace(alive=np.arange(2048) == 7)
    assert alone.relative_log_density().max() == 0


def test_particles_in_one_point_end_the_sweep_with_a_word(monkeypatch):
    energy = gw.FreeEnergy(lambda x: jnp.sum(x**4) / 4 - x[0], gw.Entropy(1.0))

    def gathered(self, n, rng, choose=Pool.choose):
        found = choose(self, n, rng)
        return found._replace(state=found.state._replace(x=0 * found.state.x))

    monkeypatch.setattr(Pool, "choose", gathered)
    run = Run(gw.Problem(energy, Gaussian([0.5], 0.1)), LEAST, 0, np.inf)
    with pytest.raises(Failure, match="gathered in a point") as failure:
        run.advance()
    assert failure.value.args[0] == "failed"


@pytest.mark.parametrize(
    ("horizon", "residual", "late", "ends"),
    [(np.inf, 0.9, 0.3, True), (1e9, 0.9, 0.3, False), (np.inf, 0.2, 0.3, False), (np.inf, 0.9, 0.1, False)],
)
def test_far_from_the_equilibrium_a_sweep_that_resolves_nothing_ends_where_it_came_nearest(
    horizon, residual, late, ends
):
    """Not one to a horizon, nor one that resolves its force and is slow, nor one that still gets nearer."""
    run = Run(gw.problems.get("ornstein-uhlenbeck", dim=2), LEAST, 0, horizon)
    gaps = [3.0, 1.0, 0.25, *[late] * running.STUCK]
    figures = Figures(1, 1, 1, 1.0, 1.0, 1.0, residual, 0.01, 2, 0, 1.0)
    run.figures = [figures._replace(time=float(i), gap=gap) for i, gap in enumerate(gaps)]
    run.segments, run.speeds = list(range(len(gaps))), [np.ones(4)] * len(gaps)  # pyright: ignore[reportAttributeAccessIssue]
    ended = run.ended()
    assert (ended is not None) == ends
    if ended is not None:
        assert ended == ("stalled", "F - F* stays at 2.5e-01 D: below that the features resolve no more")
        assert len(run.figures) == len(run.speeds) == 3
        assert run.segments == [0, 1, 2]


def test_of_ridges_that_are_nearly_as_good_the_least_or_at_a_kink_the_largest_is_taken():
    errors = np.array([np.nan, 1.01, 1.0, 1.25, 1.4])
    assert fitting._chosen(errors, 0.0, rough=False) == 1
    assert fitting._chosen(errors, 0.0, rough=True) == 3
    assert fitting._chosen(errors, 2.0, rough=True) == 4
    assert fitting._chosen(errors[[3, 2, 1]], 2.0, rough=False) == 0
    assert fitting._chosen(np.full(3, np.inf), 0.0, rough=False) == 0


def test_a_larger_ridge_is_taken_where_its_error_is_tolerated():
    errors = np.array([1.0, 1.25, 1.4, np.nan])
    assert fitting._chosen(errors, 0.0, rough=False, tolerated=1.3) == 1
    assert fitting._chosen(errors, 0.0, rough=False, tolerated=0.9) == 0
    assert fitting._chosen(errors, 0.0, rough=True, tolerated=1.1) == 1


@pytest.mark.parametrize("dim", [2, 4])
def test_values_of_mu_are_trusted_as_far_as_the_noise_of_its_gradient_says(monkeypatch, dim):
    """Where scores are wrong: weights as in generalised least squares, which find the velocity that others do not.

    Up to three dimensions, where bumps resolve the velocity, no more than the scores.
    """
    monkeypatch.setattr(fitting, "MOST_TRUST", 100.0)
    D, noise, wrong = 0.5, 0.5, 0.02
    energy = gw.FreeEnergy(lambda x: x @ x, gw.Entropy(D))
    start = gw.Gaussian(np.ones(dim), 1.0)
    rng = np.random.default_rng(0)
    x = rng.permutation(np.asarray(start.quasi_sample(0, 2048)))
    exact = initial_state(start, x)
    score = np.asarray(exact.score) + noise / D * rng.normal(size=x.shape)
    density = np.asarray(exact.log_density) + wrong / D * rng.normal(size=len(x))
    field = fields.Field((fields.Quadratic(jnp.zeros(dim)),))
    train, hold = (Choice(np.arange(1024), half, np.full(1024, 1 / 1024)) for half in halves(x, density, score))
    fit = lambda trust: fitting.explicit_velocity(
        energy, features.Features(energy, start, x), None, field, train, hold, trust
    )
    off = lambda fit: float(
        np.square(velocity(constant(field, fit.coefficients), 0.0, exact) + grad_mu(energy, exact)).mean()
    )
    plain = trusting = fit(1.0)
    for _ in range(5):
        trusting = fit(trusting.earned)
    if dim <= directed.DENSE:
        assert plain.earned == 1.0
        return
    assert trusting.earned == pytest.approx(noise / wrong, rel=0.1)
    assert off(trusting) < 0.2 * off(plain)
    assert fitting._earned(np.array([0.05, 1e-6]), 1.0, dim, 30.0) == 1.0  # hardly anything of the force is left


def halves(x, density, score):
    return (State(*(jnp.asarray(a[i::2]) for a in (x, density, score))) for i in (0, 1))


@pytest.mark.parametrize(("share", "stands"), [(0.9, False), (0.99, True)])
def test_a_slow_approach_goes_on_where_no_force_is_resolved(solved, share, stands):
    """Modes exchange mass slowly: the gap falls by a tenth in each segment, whatever the residual says."""
    run = Run(solved[0], SMALL, 0, np.inf)
    blank = solved[2][-1]._replace(residual=1.0)
    run.figures = [blank._replace(gap=4e-3 * share**k) for k in range(5)]
    assert run._near()
    assert run._stands() is stands


def test_a_segment_will_do_where_features_placed_afresh_leave_no_less():
    """Of a force that is cubic in part: V and the quadratic leave something of it once the particles have moved."""
    energy = gw.FreeEnergy(lambda x: jnp.sum(x**4) / 4 + x[0] ** 2, gw.Entropy(1.0))
    run = Run(gw.Problem(energy, Gaussian([0.5, 0.0], 0.1)), LEAST, 0, np.inf)
    run.features.rich = False
    all_of = run._choose(512), run._choose(512)
    field, _, explicit = run._fields(*all_of)
    c = explicit.coefficients
    fit = fitting.Fit(Segment(field, c, c, np.array(0.02), np.array(2)), 1e-6, False)
    assert run._limited(fit, 0.01, *all_of)
    assert not run._limited(fit, 2 * running.LIMITED, *all_of)
    assert not run._limited(fit._replace(left=10.0), 0.01, *all_of)
    thrown = fit._replace(segment=fit.segment._replace(first=1e9 * c, second=1e9 * c))
    with np.errstate(all="ignore"):
        assert not run._limited(thrown, 0.01, *all_of)


def test_the_first_step_suits_a_start_that_is_narrow_in_one_direction():
    """A quarter of the time in which the force, of size 1 / width, moves particles by root 2 widths there."""
    width = 0.01
    energy = gw.FreeEnergy(lambda x: x @ x / 2, gw.Entropy(1.0))
    run = Run(gw.Problem(energy, Gaussian([0.0, 0.0], np.diag([1.0, width**2]))), LEAST, 0, np.inf)
    assert run.step == pytest.approx(0.25 * np.sqrt(2) * width**2, rel=0.05)


@pytest.mark.parametrize(("spent", "more"), [(1 - 1e-9, True), (0.0, False)])
def test_more_bumps_are_for_what_is_not_the_last_of_the_drop(monkeypatch, spent, more):
    monkeypatch.setattr(features, "FINER", {1: (70, 8, 0)})
    monkeypatch.setattr(running, "SPENT", spent)
    energy = gw.FreeEnergy(lambda x: jnp.sum(x**4) / 4 - x[0], gw.Entropy(1.0))
    run = Run(gw.Problem(energy, Gaussian([0.5], 0.1)), LEAST, 0, np.inf)
    for coarse in (np.inf, 0.0):
        monkeypatch.setattr(features, "COARSE", coarse)
        run.advance()
    first, second = run.segments
    assert (second.field.size > first.field.size) == more


def test_the_tolerance_is_met_at_the_start_of_the_path_too():
    """There the error of the time step is three times that between the collocation points: it was 0.1 here."""
    energy = gw.FreeEnergy(lambda x: x[0] ** 2 / 2 - jnp.log(jnp.cosh(2.5 * x[0])), gw.Entropy(1.0))
    start = Gaussian([0.1], 2.5)
    (first,) = sweep(gw.Problem(energy, start), replace(LEAST, segments=1), 0).segments
    state = initial_state(start, start.quasi_sample(7, 1024))
    v = velocity(first, 0.0, state)
    assert rms(v + grad_mu(energy, state)) < LEAST.tolerance * rms(v)


@pytest.mark.parametrize("K", [1, 5, 40])
def test_layers_of_equal_length_hold_all_segments(solved, K):
    _, outcome, _ = solved
    layers = assemble(Way(outcome.segments, outcome.speeds), K)
    assert layers.duration.shape[0] == K
    total = sum(float(segment.duration) for segment in outcome.segments)
    np.testing.assert_allclose(layers.duration.sum(), total, rtol=1e-12)
    assert np.all(np.asarray(layers.count) >= 1)


def test_the_path_does_not_depend_on_the_number_of_layers(solved):
    problem, outcome, _ = solved
    x = problem.initial.sample(jax.random.key(3), 20)
    push = jax.jit(jax.vmap(lambda layer, x: layer.forward(x, 1.0)[0], (None, 0)))
    ends = []
    for K in (2, 7):
        layers = assemble(Way(outcome.segments, outcome.speeds), K)
        y = x
        for k in range(K):
            layer = jax.tree.map(lambda a, k=k: a[k], layers)
            y = push(layer, y)
        ends.append(y)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-5)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("some", "others"),
    [
        (("quadratic", "potential", "mixture"), ("quadratic", "modulated", "bumps")),
        (("quadratic", "modulated", "bumps"), ("quadratic", "modulated", "more bumps")),
        (("quadratic", "modulated", "bumps"), ("quadratic", "no translates", "bumps")),
        (("quadratic", "modulated"), ("quadratic", "more translates")),
    ],
    ids=["kinds", "bumps", "translates", "both"],
)
def test_segments_of_different_terms_share_one_layout_and_keep_their_velocities(some, others, order):
    given = [fields.Field(tuple(TERMS[name] for name in names)) for names in (some, others)][::order]
    h = jnp.asarray(0.1)
    segments = [Segment(f, normal(f.size), normal(f.size), h, jnp.asarray(2)) for f in given]
    layers = assemble(Way(segments, [np.ones(4), np.ones(4)]), 2)
    x = normal(3)
    found = eqx.filter_jit(lambda layer: layer.velocity(x, 1.0) / layer.time)
    wanted = eqx.filter_jit(lambda s: s.field.rates(s.coefficients(jnp.asarray(1.0)), x, jnp.zeros(3))[0])
    for k, segment in enumerate(segments):
        layer = jax.tree.map(lambda a, k=k: a[k], layers)
        np.testing.assert_allclose(found(layer), wanted(segment), rtol=1e-9)


def test_a_term_that_has_no_place_in_the_others_is_no_silent_error():
    more = fields.LogMixture(jnp.asarray(-1.3), normal(3), normal(3, 3), normal(3, 3, 3))
    segments = [
        Segment(f, normal(f.size), normal(f.size), jnp.asarray(0.1), jnp.asarray(2))
        for f in (fields.Field((TERMS["mixture"],)), fields.Field((more,)))
    ]
    with pytest.raises(ValueError, match="LogMixture of"):
        assemble(Way(segments, [np.ones(4), np.ones(4)]), 2)


def test_a_horizon_is_met_exactly():
    problem = gw.problems.get("ornstein-uhlenbeck")
    outcome = sweep(problem, SMALL, 0, horizon=0.37)
    assert outcome.status == "done"
    assert outcome.figures[-1].time == pytest.approx(0.37, rel=1e-12)


def test_outliers_that_no_step_is_short_enough_for_do_not_end_the_sweep():
    """A start with five standard deviations of a quartic's tail, where bumps resolve less than in the bulk."""
    problem = gw.problems.get("double-well-1d")
    found = sweep(problem, CausalSweep(), 0, horizon=0.02)
    assert (found.status, found.figures[-1].time) == ("done", pytest.approx(0.02))


def test_particles_far_in_the_tails_on_a_line_keep_their_order():
    """Of ten factors of a product and some thousand particles one is five standard deviations out."""
    problem = gw.problems.get("many-wells", dim=1)
    found = sweep(problem, CausalSweep(), 0, horizon=0.05)
    x = 0.2 + 0.5 * np.linspace(-5.5, 5.5, 45)[:, None]
    state = initial_state(problem.initial, x)
    for segment in found.segments:
        state = advance(segment, 0.0, 1.0, state)
    assert (np.diff(np.asarray(state.x)[:, 0]) > 0).all()


def test_a_flow_without_equilibrium_is_unbounded():
    hill = eqx.tree_at(lambda V: V.A, Quadratic(np.eye(2), np.zeros(2)), -jnp.eye(2))
    energy = gw.FreeEnergy(hill, gw.Entropy(1.0))
    outcome = sweep(gw.Problem(energy, Gaussian([1.0, 0.0], 0.1)), SMALL, 0)
    assert outcome.status == "unbounded"
    assert "no equilibrium in sight" in outcome.message


def test_interruption_keeps_what_was_found():
    def stop(_):
        raise KeyboardInterrupt

    outcome = sweep(gw.problems.get("ornstein-uhlenbeck"), SMALL, 0, on_segment=stop)
    assert outcome.status == "interrupted"
    assert len(outcome.segments) == 1


def test_the_same_seed_gives_the_same_segments(solved):
    problem, outcome, _ = solved
    once = CausalSweep(pool=2048, train=1024, test=2048, segments=1)
    again, other = (sweep(problem, once, seed).segments[0].first for seed in (0, 1))
    np.testing.assert_array_equal(again, outcome.segments[0].first)
    assert not np.array_equal(again, other)


def test_the_gap_is_the_kullback_leibler_divergence():
    """Between N(m, 1) and N(0, 1) it is m^2 / 2."""
    energy = gw.FreeEnergy(lambda x: 0.5 * jnp.sum(x**2), gw.Entropy(1.0))
    density = Gaussian([0.5], 1.0)
    state = initial_state(density, density.quasi_sample(0, 2**14))
    assert energy_gap(energy, state) == pytest.approx(0.125, abs=2e-3)


def test_training_particles_are_weighted_to_the_density():
    density = Mixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], 0.2)
    pool = Pool.create(density, 4096, 0)
    choice = pool.choose(1024, np.random.default_rng(0))
    np.testing.assert_allclose(choice.weight.sum(), 1.0)
    centre = np.asarray(choice.weight) @ np.asarray(choice.state.x)
    assert np.linalg.norm(centre - np.asarray(density.mean)) < 0.3
    np.testing.assert_allclose(choice.state.log_density, density.log_prob(choice.state.x), rtol=1e-12)


def test_farthest_points_are_spread():
    x = RNG.uniform(size=(400, 2))
    chosen = x[farthest_points(x, np.tile(np.eye(2), (400, 1, 1)), 16)]
    gaps = np.linalg.norm(chosen[:, None] - chosen, axis=-1) + np.eye(16)
    assert gaps.min() > 0.15  # 16 random ones would have a pair within 0.05


def test_farthest_points_are_dense_where_the_metric_is_steep():
    x = RNG.uniform(size=(2000, 2))
    chosen = x[farthest_points(x, np.tile(np.diag([1.0, 100.0]), (2000, 1, 1)), 40)]
    # distances along the second axis count ten times: hardly any two lie side by side
    assert len(np.unique(np.round(chosen[:, 1], 2))) > 25


def test_the_jacobian_is_the_derivative_through_the_whole_motion():
    """Against autodiff of the integrator itself, on particles that cross several bumps within the segment, in a mean
    field of others that move too, with an energy of all kinds."""
    rng = np.random.default_rng(1)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape))
    field = fields.Field((TERMS["quadratic"], TERMS["modulated"], TERMS["bumps"]))
    c, change = 0.1 * draw(2, field.size), draw(2, field.size)
    state, weight = initial_state(Gaussian(np.zeros(3), np.eye(3)), draw(20, 3)), jnp.abs(draw(20, 4)) + 0.1
    segment = Segment(field, c[0], c[1], jnp.asarray(0.3), jnp.asarray(8))

    mean_field = MeanField(MOVED, initial_state(Gaussian(np.zeros(3), np.eye(3)), draw(30, 3)))

    def residuals(c, segment):
        segment = segment._replace(first=c[0], second=c[1])
        return weighted_equations(mean_field.at_radau(segment), segment, state, weight)

    def error(substeps):
        trial = segment._replace(substeps=jnp.asarray(substeps))
        exact = jax.jvp(lambda c: residuals(c, trial), (c,), (change,))[1].reshape(20, -1)
        found = jacobian(mean_field, trial, state, weight).times(np.asarray(change).ravel())
        return np.linalg.norm(found - exact) / np.linalg.norm(exact)

    assert error(8) < 1e-3
    assert error(24) < error(8) / 15  # of fourth order, but for the rounding of steps to the Radau points


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"train": 10}, "train"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"gap": np.nan}, "gap"),
        ({"segments": 0}, "segments"),
    ]
    + [({"pool": 1024, "train": 2048}, "train")],
)
def test_settings_are_checked(settings, field):
    with pytest.raises(InputError, match=f"CausalSweep.{field}"):
        CausalSweep(**settings)


def test_the_ridges_between_modes_are_where_the_log_density_says():
    """Scores alone leave errors of 0.05 in the log-density here, where the modes of the start begin to meet."""
    problem, time = gw.problems.get("ornstein-uhlenbeck-mixture"), 0.045
    outcome = sweep(problem, SMALL, 0, horizon=time)
    state = initial_state(problem.initial, problem.initial.quasi_sample(5, 2048))
    for segment in outcome.segments:
        state = advance(segment, 0.0, 1.0, state)
    reference: Any = problem.reference
    error = state.log_density - reference.density(time).log_prob(state.x)
    assert np.quantile(np.abs(error), 0.999) < 5e-3


def test_near_the_equilibrium_no_segment_leads_away_from_it(monkeypatch):
    """With few bumps the end is below what they resolve: the sweep ends at the least divergence that it saw."""
    monkeypatch.setattr(features, "FEW", {1: (12, 8, 0)})
    problem = gw.Problem(gw.FreeEnergy(lambda x: jnp.cos(3 * x[0]) + x[0] ** 2, gw.Entropy(0.7)), Gaussian([0.5], 0.2))
    outcome = sweep(problem, SMALL, 0)
    gaps = np.array([figures.gap for figures in outcome.figures])
    near = gaps[np.argmax(gaps < running.ENOUGH) :]
    assert outcome.status in ("done", "stalled")
    assert near[-1] < running.ENOUGH
    assert (np.diff(near) <= 0).all()


@pytest.mark.parametrize("fall", [0.0, 1.0, np.log(running.FALL)])
def test_lengths_of_speeds_that_decay_are_exact(fall):
    places = np.array([0, 1, 2, 3]) / 3
    ends = np.arange(CELLS + 1) / CELLS
    exact = -np.diff(np.exp(-fall * ends)) / fall if fall else np.diff(ends)
    np.testing.assert_allclose(lengths(np.exp(-fall * places)), exact, rtol=1e-4)
    assert not lengths(np.zeros(4)).any()


def test_layers_are_equally_long_where_segments_of_different_durations_meet():
    """Speed e^-t: the nodes are where 1 - e^-t has equal steps."""
    field = fields.Field((fields.Quadratic(jnp.zeros(1)),))
    durations, layers = np.array([0.4, 1.0, 0.1, 1.2]), 24
    segments = [constant(field, np.zeros(field.size))._replace(duration=np.array(h)) for h in durations]
    start = np.cumsum(durations) - durations
    speeds = [np.exp(-t - h * np.arange(4) / 3) for t, h in zip(start, durations, strict=True)]
    nodes = np.cumsum(np.asarray(assemble(Way(segments, speeds), layers).duration).sum(1))
    share = (1 - np.exp(-nodes)) / (1 - np.exp(-durations.sum()))
    np.testing.assert_allclose(np.diff(share, prepend=0), 1 / layers, rtol=5e-4)


def test_fewer_particles_where_memory_is_short(monkeypatch):
    """A random part of those that were chosen; on many coordinates no more than their matrices have room for."""
    pool = Pool.create(Gaussian(np.zeros(2), 1.0), 2048, 0)
    choice = pool.choose(1024, np.random.default_rng(0))
    few = choice.first(100)
    np.testing.assert_array_equal(few.state.x, choice.state.x[:100])
    np.testing.assert_allclose(few.weight, choice.weight[:100] / choice.weight[:100].sum())
    assert choice.first(5000) is choice
    monkeypatch.setattr(directed, "MEMORY", 2e7)
    for dim, least, most in ((2, 1024, 1024), (60, 100, 300)):
        run = Run(gw.problems.get("ornstein-uhlenbeck", dim=dim), SMALL, 0, np.inf)
        field = fields.Field((fields.Quadratic(jnp.zeros(dim)),))
        (part,) = run._affordable(field, run.pool.choose(1024, run.rng))
        assert least <= len(part.index) <= most
        assert len(part.index) * (dim + 1) >= 4 * field.size - dim
