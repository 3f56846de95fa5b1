"""Solvers against closed forms, observed orders, scipy, torchdiffeq and autograd."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import torch
import torchdiffeq

from odenets import solvers
from odenets.solvers import TABLEAUS, SolverError, Stats, odeint, steps
from odenets.solvers.odeint import between

METHODS = list(TABLEAUS)
ADAPTIVE = ["bosh3", "dopri5"]


def mixed(t, y):
    """A field in which time and state do not separate, so that no clock can hide."""
    return torch.sin(3 * t + y) + 0.3 * t * y


def double(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def scipy_solution(f, y0, times):
    """The solution to 13 digits, by another library's method of order 8."""
    solution = scipy.integrate.solve_ivp(
        lambda t, y: f(t, torch.from_numpy(y)).numpy(),
        (times[0], times[-1]),
        y0.numpy(),
        method="DOP853",
        t_eval=times,
        rtol=1e-13,
        atol=1e-14,
    )
    return torch.from_numpy(solution.y.T.copy())


# ------------------------------------------------------------------- the tableaus


@pytest.mark.parametrize("name", METHODS)
def test_a_tableau_knows_its_name_and_its_adaptive_kind(name):
    tableau = TABLEAUS[name]
    assert tableau.name == name
    assert tableau.last_is_next == (name in ADAPTIVE)
    assert (
        (tableau.b_error is None) == (tableau.dense is None) == (name not in ADAPTIVE)
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"b": (0.5, 0.6)}, "b adds up to 1.1, not to 1"),
        ({"c": (0, 0.9)}, "row 1 of a adds up to 1, not to 0.9"),
        ({"a": ((), (0.5, 0.5))}, "row 1 of a holds 2 weights, not 1"),
        ({"b_error": (-0.5, 0.4)}, "b_error adds up to -0.1, not to 0"),
        ({"dense": ((1, -0.5), (0, 0.4))}, "row 1 of dense adds up to 0.4, not to 0.5"),
        ({"c": (0, 1, 1)}, "one entry a stage"),
        ({"b": (1.0,)}, "one entry a stage"),
    ],
)
def test_a_tableau_that_is_not_consistent_is_refused(change, message):
    heun = {"a": ((), (1,)), "b": (0.5, 0.5), "c": (0, 1)}
    with pytest.raises(ValueError, match=message):
        solvers.Tableau(name="mine", order=2, **heun | change)


@pytest.mark.parametrize("name", METHODS)
def test_observed_order_is_the_nominal_one(name):
    y0, times = double(3), (0.0, 1.0)
    exact = scipy_solution(mixed, y0, times)[-1]
    counts = [64, 128, 256] if TABLEAUS[name].order < 5 else [20, 40, 80]
    errors = [
        (odeint(mixed, y0, times, name, options={"n_steps": n})[-1] - exact).norm()
        for n in counts
    ]
    slope = np.polyfit(np.log(counts), np.log([e.item() for e in errors]), 1)[0]
    assert -slope == pytest.approx(TABLEAUS[name].order, abs=0.1)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_embedded_error_and_the_dense_output_have_their_orders(name):
    tableau, y0 = TABLEAUS[name], double(2)
    estimates, middles = [], []
    for h in (0.1, 0.05, 0.025):
        exact = scipy_solution(mixed, y0, (0.2, 0.2 + 0.4 * h))[-1]
        new, slopes = steps.stages(tableau, mixed, 0.2, y0, h)
        estimates.append(steps.weighted_sum(slopes, tableau.b_error, h).norm().item())
        inside = between(tableau, slopes, h, y0, [0.4], new, slopes[-1])[0]
        middles.append((inside - exact).norm().item())
    for errors in (estimates, middles):
        rates = [math.log2(a / b) for a, b in pairwise(errors)]
        assert min(rates) > tableau.order - 0.5  # one below the order, plus one


@pytest.mark.parametrize("name", METHODS)
def test_a_step_solves_the_polynomials_of_its_order(name):
    tableau = TABLEAUS[name]
    for power in range(tableau.order):  # quadrature: y' = t^power
        new = solvers.runge_kutta_step(
            tableau,
            lambda t, y, power=power: torch.full_like(y, t**power),
            1.0,
            double(1) * 0,
            0.5,
        )
        expected = (1.5 ** (power + 1) - 1) / (power + 1)
        assert new.item() == pytest.approx(expected, rel=1e-13)
    # y' = y: the Taylor polynomial of exp up to the order
    new = solvers.runge_kutta_step(
        tableau, lambda t, y: y, 0.0, torch.ones(1).double(), 0.1
    )
    taylor = sum(0.1**k / math.factorial(k) for k in range(tableau.order + 1))
    assert new.item() == pytest.approx(taylor, abs=2e-9 if name == "dopri5" else 1e-14)


def test_euler_is_a_residual_network_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(8, 5, 5, generator=generator)
    y = torch.randn(7, 5, generator=generator)
    solution = odeint(
        lambda t, y: torch.tanh(y @ weights[int(t)]),
        y,
        torch.arange(0.0, 9.0),
        method="euler",
        options={"n_steps": 1},
    )
    for j in range(8):
        assert torch.equal(solution[j], y)
        y = solvers.euler_step(lambda t, y, j=j: torch.tanh(y @ weights[j]), j, y, 1.0)
    half = odeint(mixed, y, (0.0, 0.3), "euler")[-1]
    assert torch.equal(half, y + 0.3 * mixed(0.0, y))


# --------------------------------------------------------------- against references


@pytest.mark.parametrize(
    "name, rtol",
    [("bosh3", 1e-4), ("bosh3", 1e-6), ("bosh3", 1e-8)]
    + [("dopri5", rtol) for rtol in (1e-4, 1e-6, 1e-8, 1e-10)],
)
def test_the_error_follows_the_tolerance(name, rtol):
    y0, times = double(4, seed=1), torch.linspace(0, 3, 16).tolist()
    solution = odeint(mixed, y0, times, name, rtol=rtol, atol=rtol)
    exact = scipy_solution(mixed, y0, times)
    assert (solution - exact).abs().max() < 20 * rtol
    assert torch.equal(solution[0], y0)


@pytest.mark.parametrize("name", METHODS)
def test_closed_form_of_a_rotation_forwards_and_backwards(name):
    matrix = torch.tensor([[0.0, 2.0], [-2.0, 0.0]]).double()
    y0, t = torch.tensor([1.0, 0.5]).double(), torch.tensor([0.0, 0.1, 0.35, 1.0])
    options = None if name in ADAPTIVE else {"n_steps": 2000}
    exact = torch.stack([torch.matrix_exp(s * matrix.T) for s in t.double()]) @ y0
    forwards = odeint(lambda t, y: y @ matrix, y0, t, name, 1e-9, 1e-9, options)
    assert (forwards - exact).abs().max() < (2e-3 if name == "euler" else 2e-6)
    back = odeint(
        lambda t, y: y @ matrix, exact[-1], t.flip(0), name, 1e-9, 1e-9, options
    )
    assert (back.flip(0) - exact).abs().max() < (2e-3 if name == "euler" else 2e-6)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "rk4"])
def test_same_as_torchdiffeq(name):
    y0, t = double(3, 2), torch.tensor([0.0, 0.3, 0.5, 1.1]).double()
    # Its rk4 is the 3/8 rule: the table of names in the README.
    theirs = {"rk4_38": "rk4", "heun": "heun2"}.get(name, name)
    if name in ADAPTIVE:
        ours = odeint(mixed, y0, t, name, rtol=1e-9, atol=1e-9)
        other = torchdiffeq.odeint(mixed, y0, t, method=name, rtol=1e-9, atol=1e-9)
        # It interpolates bosh3 more coarsely than with the cubic of its ends.
        assert torch.allclose(ours, other, rtol=0, atol=1e-6)
    else:
        ours = odeint(mixed, y0, t, name, options={"n_steps": 1})
        other = torchdiffeq.odeint(mixed, y0, t, method=theirs)
        assert torch.allclose(ours, other, rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (0, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes_are_kept(shape, dtype):
    y0 = torch.ones(shape, dtype=dtype)
    for name in METHODS:
        solution = odeint(lambda t, y: -y, y0, [0.0, 0.5, 1.0], name)
        assert solution.shape == (3, *shape)
        assert solution.dtype == dtype
    assert odeint(lambda t, y: -y, y0, [2.0]).shape == (1, *shape)


def test_a_tuple_is_solved_like_its_concatenation():
    y0, z0 = double(3), double(2, 2, seed=1)

    def f(t, state):
        y, z = state
        return torch.sin(z.sum() + t) * y, -z * y.mean()

    def flat(t, state):
        return torch.cat(
            [p.reshape(-1) for p in f(t, (state[:3], state[3:].view(2, 2)))]
        )

    t = torch.linspace(0, 1, 4)
    options = {"n_steps": 3}
    y, z = odeint(f, (y0, z0), t, options=options)
    joined = odeint(flat, torch.cat([y0, z0.reshape(-1)]), t, options=options)
    assert y.shape == (4, 3) and z.shape == (4, 2, 2)
    assert torch.equal(torch.cat([y, z.reshape(4, -1)], dim=1), joined)
    end = solvers.solve(f, (y0, z0), 0.0, 1.0, rtol=1e-9)
    exact = odeint(flat, joined[0], t, rtol=1e-9)
    assert torch.allclose(torch.cat([end[0], end[1].reshape(-1)]), exact[-1], atol=1e-7)


def test_a_large_part_of_a_tuple_does_not_hide_the_error_of_a_small_one():
    def f(t, state):
        return torch.cos(20 * t + state[0]), torch.zeros_like(state[1])

    alone = Stats()
    small, rest = double(2), double(100_000)
    odeint(lambda t, y: f(t, (y, rest))[0], small, [0.0, 3.0], stats=alone)
    both = Stats()
    odeint(f, (small, rest), [0.0, 3.0], stats=both)
    assert both.accepted == pytest.approx(alone.accepted, abs=1)


def test_many_output_times_cost_no_extra_evaluations():
    counts = []
    for n in (2, 100):
        stats = Stats()
        odeint(mixed, double(3), torch.linspace(0, 3, n), stats=stats)
        counts.append(stats.nfe)
    assert counts[0] == counts[1]


def test_pieces_of_time_make_the_whole():
    y0 = double(3)
    whole = odeint(mixed, y0, [0.0, 0.4, 1.5], rtol=1e-10, atol=1e-10)
    middle = solvers.solve(mixed, y0, 0.0, 0.4, rtol=1e-10, atol=1e-10)
    end = solvers.solve(mixed, middle, 0.4, 1.5, rtol=1e-10, atol=1e-10)
    assert torch.allclose(torch.stack([y0, middle, end]), whole, rtol=0, atol=1e-8)


# --------------------------------------------------------- steps, grids and counters


def test_fixed_steps_are_shared_out_and_land_on_every_time():
    seen = []

    def f(t, y):
        assert type(t) is float
        seen.append(t)
        return y

    stats = Stats()
    odeint(
        f,
        torch.ones(1),
        [0.0, 0.5, 0.6],
        "euler",
        options={"step_size": 0.2},
        stats=stats,
    )
    assert seen == pytest.approx([0, 0.5 / 3, 1 / 3, 0.5])
    assert stats.times == pytest.approx([0.5 / 3, 1 / 3, 0.5, 0.6])
    assert (stats.nfe, stats.accepted, stats.rejected) == (4, 4, 0)
    for n in range(1, 200):  # rounding does not add a step
        stats = Stats()
        t = torch.tensor([0.0, 1.0])
        odeint(f, torch.ones(1), t, "euler", options={"step_size": 1 / n}, stats=stats)
        assert stats.accepted == n
    t = torch.linspace(0, 1, 11)  # float32: 0.1 is not 0.1
    odeint(
        f, torch.ones(1), t, "euler", options={"step_size": 0.1}, stats=(s := Stats())
    )
    assert s.accepted == 10


@pytest.mark.parametrize("name, stages", [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_evaluations_are_counted(name, stages):
    f, stats = solvers.count_nfe(mixed), Stats()
    odeint(f, double(2), [0.0, 1.0, 2.0], name, options={"n_steps": 5}, stats=stats)
    assert f.nfe == stats.nfe == 2 * 5 * stages
    f.nfe = 0
    odeint(f, double(2), [0.0, 1.0], stats=stats)
    assert stats.nfe == f.nfe + 10 * stages  # a Stats adds up, the field was reset


def test_an_adaptive_solve_costs_two_evaluations_and_six_a_step():
    stats = Stats()
    odeint(mixed, 10 * double(3), [0.0, 5.0], rtol=1e-5, stats=stats)
    assert stats.nfe == 2 + 6 * (stats.accepted + stats.rejected)
    assert stats.times[-1] == 5.0 and len(stats.times) == stats.accepted
    assert stats.times == sorted(stats.times)
    assert 0 < stats.next_step < 5


def test_a_first_step_that_is_too_long_is_rejected():
    stats = Stats()
    y = odeint(
        lambda t, y: -50 * y,
        torch.ones(1).double(),
        [0.0, 1.0],
        options={"first_step": 1.0},
        stats=stats,
    )
    assert stats.rejected > 0
    assert y[-1].item() == pytest.approx(math.exp(-50), abs=1e-7)


def test_a_solution_at_rest_takes_few_steps():
    stats = Stats()
    y = odeint(lambda t, y: torch.zeros_like(y), torch.ones(2), [0.0, 1e6], stats=stats)
    assert torch.equal(y[-1], torch.ones(2)) and stats.accepted < 15


# ------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("name", METHODS)
def test_gradients_through_the_steps(name):
    y0 = double(2, 2).requires_grad_()
    weight = double(2, 2, seed=1).requires_grad_()

    def end(y0, weight):
        def f(t, y):
            return torch.tanh(y @ weight + t)

        options = {"n_steps": 2}
        return odeint(f, y0, [0.0, 0.3, 0.7], name, options=options)

    assert torch.autograd.gradcheck(end, (y0, weight))


@pytest.mark.parametrize("name", ADAPTIVE)
def test_gradients_through_adaptive_steps(name):
    y0, weight = double(2).requires_grad_(), double(2, 2, seed=1).requires_grad_()
    t = torch.tensor([0.1, 0.4, 1.0]).double().requires_grad_()

    def solution(y0, weight, t):
        return odeint(lambda t, y: torch.tanh(y @ weight + t), y0, t, name, 1e-9, 1e-9)

    assert torch.autograd.gradcheck(
        solution, (y0, weight, t), rtol=1e-4, atol=1e-5, eps=1e-4
    )


def test_gradients_with_respect_to_times_in_closed_form():
    t = torch.tensor([0.5, 2.0]).double().requires_grad_()
    y0 = torch.tensor([3.0]).double()
    y = odeint(lambda t, y: t * y, y0, t, rtol=1e-10, atol=1e-10)
    y[1].backward()  # y = y0 exp((t1^2 - t0^2) / 2)
    end = 3 * math.exp((4 - 0.25) / 2)
    assert t.grad.tolist() == pytest.approx([-0.5 * end, 2 * end], rel=1e-8)
    assert torch.equal(y[0], y0)


def test_no_graph_is_built_where_none_is_wanted():
    weight = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        y = odeint(lambda t, y: weight * y, torch.ones(1), [0.0, 1.0])
    assert not y.requires_grad


def test_the_initial_state_is_left_unchanged():
    y0 = double(3)
    copy = y0.clone()
    for name in METHODS:
        odeint(mixed, y0, [0.0, 1.0], name)
    assert torch.equal(y0, copy)


# --------------------------------------------------------------------- symplectic


def test_verlet_is_reversible_and_of_order_one_with_a_bounded_energy():
    def f(t, z):
        return z

    def g(t, y):
        return -torch.sin(y)

    y, z = torch.tensor([1.0]).double(), torch.tensor([0.2]).double()
    start, energies = (y, z), []
    for _ in range(20_00):
        y, z = solvers.symplectic_euler_step(f, g, 0.0, y, z, 0.1)
        energies.append((z**2 / 2 - torch.cos(y)).item())
    assert max(energies) - min(energies) < 0.1
    for _ in range(20_00):
        y, z = solvers.symplectic_euler_step_back(f, g, 0.0, y, z, 0.1)
    assert torch.allclose(torch.stack([y, z]), torch.stack(start), atol=1e-10)


def test_leapfrog_is_of_order_two():
    errors = []
    for n in (50, 100):
        h = 1 / n
        previous, y = (torch.tensor([math.cos(2 * s)]).double() for s in (0.0, h))
        for _ in range(n - 1):
            y, previous = (
                solvers.leapfrog_step(lambda t, y: -4 * y, 0.0, y, previous, h),
                y,
            )
        errors.append(abs(y.item() - math.cos(2)))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


# ------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"method": "dopri9"}, ValueError, "unknown method 'dopri9'.*dopri5"),
        ({"t": [0.0, 1.0, 0.5]}, ValueError, "turn back at index 2"),
        ({"t": [0.0, 1.0, 1.0]}, ValueError, "repeated at index 2"),
        ({"t": [0.0, math.inf]}, ValueError, "finite"),
        ({"t": []}, ValueError, "one entry"),
        ({"t": torch.zeros(2, 2)}, ValueError, "one axis"),
        ({"t": torch.tensor(1.0)}, ValueError, "one axis"),
        ({"y0": torch.ones(2, dtype=torch.long)}, TypeError, "real floats.*int64"),
        ({"y0": torch.ones(2, dtype=torch.cfloat)}, TypeError, "real floats.*complex"),
        ({"y0": [1.0]}, TypeError, "must be a tensor or a tuple of them, not list"),
        (
            {"y0": (torch.ones(1), torch.ones(1).double())},
            TypeError,
            "share dtype and device",
        ),
        (
            {"f": lambda t, y: y.sum()},
            ValueError,
            r"shape of the state, \(2,\), not \(\)",
        ),
        ({"f": lambda t, y: y.double()}, TypeError, "dtype of the state"),
        ({"rtol": -1.0}, ValueError, "tolerances"),
        ({"rtol": 0.0, "atol": 0.0}, ValueError, "tolerances"),
        ({"options": {"steps": 3}}, ValueError, "unknown options.*'steps'"),
        ({"options": {"n_steps": 3, "step_size": 1.0}}, ValueError, "not both"),
        ({"options": {"n_steps": 0}}, ValueError, "whole number from 1"),
        ({"options": {"step_size": -0.1}}, ValueError, "must be positive"),
        (
            {"method": "rk4", "options": {"first_step": 1}},
            ValueError,
            "unknown options",
        ),
        ({"y0": torch.tensor([1.0, math.nan])}, SolverError, "initial state.*t = 0"),
        ({"options": {"max_steps": 2}, "rtol": 1e-9}, SolverError, "2 steps did not"),
    ],
)
def test_bad_input_gets_its_own_error(arguments, error, message):
    good = {"f": lambda t, y: -y, "y0": torch.ones(2), "t": [0.0, 1.0]}
    with pytest.raises(error, match=message):
        odeint(**(good | arguments))


def test_a_tuple_field_with_wrong_parts_is_refused():
    with pytest.raises(ValueError, match="tuple with the shapes"):
        odeint(lambda t, s: (s[0],), (torch.ones(1), torch.ones(2)), [0.0, 1.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_blow_up_is_reported_where_it_happens(dtype):
    with pytest.raises(SolverError, match=r"t = 1.*h =") as caught:
        odeint(lambda t, y: y * y, torch.ones(1, dtype=dtype), [0.0, 2.0])
    assert caught.value.time == pytest.approx(1, abs=1e-4)
    assert 0 < caught.value.step < 1e-8


@pytest.mark.parametrize("name", METHODS)
def test_nan_is_reported_at_the_time_where_it_appears(name):
    def f(t, y):
        return y * (math.nan if t > 0.5 else 1.0)

    options = None if name in ADAPTIVE else {"n_steps": 10}
    with pytest.raises(SolverError) as caught:
        odeint(f, torch.ones(2), [0.0, 1.0], name, options=options)
    assert caught.value.time == pytest.approx(0.5, abs=0.21)


def test_nan_in_one_part_of_a_tuple_is_reported():
    def f(t, state):
        return state[0], state[1] * (math.nan if t > 0.5 else 1.0)

    with pytest.raises(SolverError) as caught:
        odeint(f, (torch.ones(2), torch.ones(1)), [0.0, 1.0])
    assert caught.value.time == pytest.approx(0.5)


def test_overflow_of_a_fixed_step_names_time_and_step():
    with pytest.raises(
        SolverError, match=r"NaN or infinity.*t = 0.4.*size 0.1"
    ) as caught:
        odeint(
            lambda t, y: 1e12 * y,
            torch.ones(1),
            [0.0, 1.0],
            "euler",
            options={"n_steps": 10},
        )
    assert (caught.value.time, caught.value.step) == pytest.approx((0.4, 0.1))


def test_large_finite_states_are_no_error():
    y0 = torch.full((2,), 3e38)  # their sum overflows, they do not
    assert torch.equal(odeint(lambda t, y: 0 * y, y0, [0.0, 1.0], "euler")[-1], y0)


@pytest.mark.parametrize("name", ["bosh3", "dopri5"])
def test_embedded_step_estimates_the_error(name):
    tableau = solvers.TABLEAUS[name]
    y = torch.tensor([1.0], dtype=torch.float64)
    sizes = []
    for h in (0.2, 0.1):
        new, error = solvers.embedded_step(tableau, lambda t, y: -y * t, 1.0, y, h)
        step = solvers.runge_kutta_step(tableau, lambda t, y: -y * t, 1.0, y, h)
        assert torch.equal(new, step)
        sizes.append(error.abs().item())
    # The lower method has the order p - 1: its local error shrinks with h^p.
    assert math.log2(sizes[0] / sizes[1]) == pytest.approx(tableau.order, abs=0.5)
    with pytest.raises(ValueError, match="rk4"):
        solvers.embedded_step(solvers.TABLEAUS["rk4"], lambda t, y: y, 0.0, y, 0.1)


# ----------------------------------------------------- as in the exercises


def test_observed_order_is_the_slope_that_numpy_fits():
    h, errors = [0.1, 0.07, 0.02], [3e-2, 1.1e-2, 2e-3]
    slope = np.polyfit(np.log(h), np.log(errors), 1)[0]
    assert solvers.observed_order(errors, h) == pytest.approx(slope, rel=1e-12)
    assert type(solvers.observed_order(torch.tensor(errors), torch.tensor(h))) is float


def test_adaptive_solve_keeps_every_step():
    y0 = double(3)
    ts, ys, n_rejected = solvers.adaptive_solve(mixed, y0, 0.2, 3.0, 1e-7, 1e-9)
    assert ts[0] == 0.2 and ts[-1] == 3.0 and (ts.diff() > 0).all()
    assert ts.dtype == torch.float64 and ys.shape == (len(ts), 3)
    assert (ys - scipy_solution(mixed, y0, ts.numpy())).abs().max() < 1e-5
    stats = Stats()
    odeint(mixed, y0, [0.2, 3.0], "bosh3", 1e-7, 1e-9, {"first_step": 0.028}, stats)
    assert (len(ts) - 1, n_rejected) == (stats.accepted, stats.rejected)
