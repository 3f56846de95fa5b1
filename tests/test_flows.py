"""Normalizing flows against closed forms, autograd and numerical integration."""

import math

import pytest
import torch
from torch import nn

from odenets import adjoint, solvers
from odenets.data import toy
from odenets.nets import flows
from odenets.studies import flows as study

BOX = (-7.0, 7.0, -7.0, 7.0)
A = torch.tensor([[0.3, -1.0], [0.7, -0.6]], dtype=torch.float64)


def rng(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def curved(z):  # its Jacobian is full, not symmetric, and depends on z
    x, y = z[..., 0], z[..., 1]
    return torch.stack([torch.sin(x * y) + y**2, x**2 * y - torch.cos(y)], dim=-1)


def curved_divergence(z):
    x, y = z[..., 0], z[..., 1]
    return y * torch.cos(x * y) + x**2 + torch.sin(y)


@pytest.fixture
def field():
    """A planar field with strong, time-dependent weights, in double precision."""
    torch.manual_seed(3)
    field = flows.PlanarField(2, 6).double()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.mul_(2.0)
    return field


def planar(depth, seed=0, copies=()):
    torch.manual_seed(seed)
    flow = flows.PlanarFlow(2, depth, copies).double()
    with torch.no_grad():
        flow.u.mul_(8.0)  # far from the identity
    return flow


# ------------------------------------------------------------------ base densities


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_the_gaussian_is_that_of_torch(dim):
    reference = torch.distributions.MultivariateNormal(
        torch.zeros(dim, dtype=torch.float64),
        0.49 * torch.eye(dim, dtype=torch.float64),
    )
    z = randn(7, dim)
    torch.testing.assert_close(
        flows.Gaussian(dim, 0.7).log_prob(z), reference.log_prob(z)
    )


def test_the_gaussian_draws_from_itself():
    z = flows.Gaussian(3, 0.5).sample((4, 5000), rng(1), torch.float64)
    assert z.shape == (4, 5000, 3)
    n = 4 * 5000
    cov = z.reshape(n, 3).T.cov()
    assert (z.mean((0, 1)).abs() < 4 * 0.5 / math.sqrt(n)).all()
    assert (cov - 0.25 * torch.eye(3)).abs().max() < 4 * 0.25 * math.sqrt(2 / n)


@pytest.mark.parametrize(
    "base",
    [
        flows.Gaussian(3),
        torch.distributions.Normal(0.0, 1.0),
        torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3)),
        torch.distributions.MultivariateNormal(torch.zeros(1), torch.eye(1)),
    ],
    ids=["three dimensions", "one value a coordinate", "torch, three", "torch, one"],
)
def test_a_base_of_another_dimension_is_refused(base):
    with pytest.raises(ValueError, match="2 dimensions"):
        flows.CNF(flows.PlanarField(2, 3), base)
    with pytest.raises(ValueError, match="2 dimensions"):
        flows.cnf_log_prob(lambda t, z: z, torch.zeros(4, 2), base, 0, 1, solvers.solve)


def test_a_base_of_torch_serves():
    base = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    torch.manual_seed(0)
    field, x = flows.PlanarField(2, 3), torch.randn(5, 2)
    torch.testing.assert_close(
        flows.CNF(field, base).log_prob(x),
        flows.CNF(field, flows.Gaussian(2)).log_prob(x),
    )


def test_samples_of_another_dimension_are_refused():
    flow = flows.CNF(flows.PlanarField(2, 3), flows.Gaussian(2))
    with pytest.raises(ValueError, match="2 dimensions"):
        flow.log_prob(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="2 dimensions"):
        flows.Gaussian(2).log_prob(torch.zeros(4, 3))


def test_any_base_with_the_two_methods_can_be_sampled(field):
    normal = torch.distributions.MultivariateNormal(
        torch.tensor([1.0, -2.0]), torch.tensor([[0.5, 0.1], [0.1, 0.3]])
    )
    flow = flows.CNF(lambda t, z: 0 * z, normal)  # the identity
    before = torch.get_rng_state()
    x = flow.sample((4000,), rng(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(x, flow.sample((4000,), rng(0)))
    assert not torch.equal(x, flow.sample((4000,), rng(1)))
    torch.testing.assert_close(x.mean(0), normal.loc, rtol=0, atol=0.04)
    torch.testing.assert_close(x.T.cov(), normal.covariance_matrix, rtol=0, atol=0.04)
    assert flow.sample((3, 5)).shape == (3, 5, 2)


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_no_graph_is_built_where_none_is_wanted(trace):
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh())
    net.append(torch.nn.Linear(8, 2)).double()
    flow = flows.CNF(lambda t, z: net(z), flows.Gaussian(2), trace=trace)
    x, noise = randn(6, 2), randn(6, 2)
    kept = flow.log_prob(x, noise)
    with torch.no_grad():
        value = flow.log_prob(x, noise)
        assert not flows.divergence(net, x).requires_grad
    torch.testing.assert_close(value, kept.detach(), rtol=1e-14, atol=0)
    # With a graph of the gradients there are twice as many.
    with adjoint.saved_bytes() as twice:
        flows.divergence(net, x)
    with torch.no_grad(), adjoint.saved_bytes() as once:
        flows.divergence(net, x)
    assert once.total < 0.7 * twice.total


# ------------------------------------------------------------------ planar flows


@pytest.mark.parametrize("seed", range(5))
def test_the_planar_map_and_its_determinant(seed):
    z, w, u = randn(6, 3, seed=seed), randn(3, seed=seed + 10), 4 * randn(3, seed=seed)
    b = randn(1, seed=seed)[0]
    z_new, log_det = flows.planar_flow(z, w, u, b)
    m = -1 + math.log1p(math.exp(w @ u))
    u_hat = u + (m - w @ u) * w / (w @ w)
    expected = z + torch.tanh(z @ w + b)[:, None] * u_hat
    torch.testing.assert_close(z_new, expected)

    def one(y):
        return flows.planar_flow(y[None], w, u, b)[0][0]

    jacobians = torch.stack([torch.autograd.functional.jacobian(one, y) for y in z])
    sign, reference = torch.linalg.slogdet(jacobians)
    assert (sign > 0).all()
    torch.testing.assert_close(log_det, reference)


def test_the_constraint_holds_where_it_is_needed():
    w = torch.tensor([1.0, 2.0], dtype=torch.float64)
    u = torch.tensor([-3.0, -1.0], dtype=torch.float64)  # w.u = -5
    assert w @ flows.invertible_u(w, u) > -1
    line = torch.linspace(-4, 4, 801, dtype=torch.float64)[:, None] * w / w.norm()
    unconstrained = line + torch.tanh(line @ w)[:, None] * u
    assert ((unconstrained @ w).diff() < 0).any(), "folds without the constraint"
    z_new, log_det = flows.planar_flow(line, w, u, torch.zeros(()).double())
    assert ((z_new @ w).diff() > 0).all()
    assert torch.isfinite(log_det).all()


@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-9)]
)
def test_planar_layers_are_undone(dtype, tolerance):
    flow = planar(12).to(dtype)
    z = 2 * randn(500, 2).to(dtype)
    with torch.no_grad():
        x, _ = flow(z)
        assert (x - z).abs().max() > 1, "the flow does something"
        assert (flow.inverse(x) - z).abs().max() < tolerance


def test_the_inverse_of_some_layers():
    flow, z = planar(6), randn(10, 2)
    half, first = flow(z, range(3))
    whole, second = flow(half, range(3, 6))
    torch.testing.assert_close(whole, flow(z)[0])
    torch.testing.assert_close(first + second, flow(z)[1])
    torch.testing.assert_close(flow.inverse(whole, range(3, 6)), half)


def test_a_planar_density_integrates_to_one():
    flow = planar(8)
    _, _, points = flows.grid((-14, 14, -14, 14), 250, torch.float64)
    with torch.no_grad():
        z = flow.inverse(points)
        log_q = flows.Gaussian(2).log_prob(z) - flow(z)[1]
    mass = flows.integrate(log_q.exp(), (-14, 14, -14, 14))
    assert abs(mass - 1) < 0.01


def test_flows_side_by_side_are_flows_of_their_own():
    flow, z = planar(4, copies=(3,)), randn(3, 20, 2)
    x, log_det = flow(z)
    for i in range(3):
        alone = flows.PlanarFlow(2, 4).double()
        alone.load_state_dict({k: v[i] for k, v in flow.state_dict().items()})
        for together, single in zip((x[i], log_det[i]), alone(z[i])):
            torch.testing.assert_close(together, single)
    torch.testing.assert_close(flow.inverse(x), z)


# ------------------------------------------------------------------ divergences


def test_the_divergence_is_the_trace_of_the_jacobian():
    z = randn(9, 2)
    torch.testing.assert_close(flows.divergence(curved, z), curved_divergence(z))
    torch.testing.assert_close(
        flows.divergence(curved, z.reshape(3, 3, 2)), curved_divergence(z).reshape(3, 3)
    )


def test_the_divergence_of_simple_fields():
    z = randn(5, 3)
    assert (flows.divergence(lambda y: torch.ones_like(y), z) == 0).all()
    assert (flows.divergence(lambda y: 2 * y, z) == 6).all()
    assert (flows.divergence(lambda y: y.flip(-1) * 0 + 1.0, z) == 0).all()


@pytest.mark.parametrize("kind", ["exact", "hutchinson"])
def test_divergences_carry_gradients_and_leave_their_input_alone(kind):
    z, scale = randn(4, 2), torch.tensor(1.5, dtype=torch.float64, requires_grad=True)

    def measure(f, y):
        if kind == "exact":
            return flows.divergence(f, y)
        return flows.hutchinson_divergence(f, y, randn(4, 2, seed=5))

    (slope,) = torch.autograd.grad(measure(lambda y: curved(scale * y), z).sum(), scale)
    h = 1e-5
    up, down = (
        measure(lambda y, s=s: curved(s * y), z).sum() for s in (1.5 + h, 1.5 - h)
    )
    torch.testing.assert_close(slope, (up - down) / (2 * h), rtol=1e-7, atol=1e-7)
    assert not z.requires_grad and z.grad is None
    moving = z.clone().requires_grad_()
    value = measure(curved, moving)
    (by_z,) = torch.autograd.grad(value.sum(), moving)
    shifted = z.clone()
    shifted[2, 1] += h
    change = (measure(curved, shifted) - measure(curved, z)).sum() / h
    torch.testing.assert_close(by_z[2, 1], change, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(measure(curved, z), value)


def test_hutchinson_is_a_quadratic_form_in_the_noise():
    z, noise = randn(6, 2), randn(6, 2, seed=1)
    jacobians = torch.stack([torch.autograd.functional.jacobian(curved, y) for y in z])
    expected = torch.einsum("si,sij,sj->s", noise, jacobians, noise)
    torch.testing.assert_close(flows.hutchinson_divergence(curved, z, noise), expected)


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
@pytest.mark.parametrize("seed", range(3))
def test_hutchinson_is_unbiased(kind, seed):
    n = 20_000
    z = randn(1, 2, seed=4).expand(n, 2)
    if kind == "rademacher":
        noise = flows.rademacher((n, 2), rng(seed), torch.float64)
    else:
        noise = randn(n, 2, seed=seed)
    estimates = flows.hutchinson_divergence(curved, z, noise)
    score = (estimates.mean() - curved_divergence(z[:1])[0]) / estimates.std() * n**0.5
    assert abs(score) < 4
    # The spread is known too: twice the squares of the symmetric part, for Rademacher
    # noise without its diagonal.
    J = torch.autograd.functional.jacobian(curved, z[0])
    S = (J + J.T) / 2
    S = S - torch.diag(torch.diag(S)) if kind == "rademacher" else S
    spread = math.sqrt(2 * S.square().sum())
    assert abs(estimates.std() / spread - 1) < 0.05


def test_rademacher_noise():
    noise = flows.rademacher((10_000,), rng(0))
    assert set(noise.tolist()) == {-1.0, 1.0}
    assert noise.dtype == torch.float32 and abs(noise.mean()) < 0.04


# ------------------------------------------------------------------ fields


@pytest.mark.parametrize("n_steps", [0, -1, 1.5])
def test_a_number_of_steps_that_is_none_is_refused(n_steps):
    flow = flows.CNF(
        flows.PlanarField(2, 4),
        flows.Gaussian(2),
        method="rk4",
        options={"n_steps": n_steps},
    )
    with pytest.raises(ValueError, match="whole number from 1"):
        flow.log_prob(torch.zeros(3, 2))


def test_the_planar_field_and_its_trace(field):
    z, t = randn(7, 2), 0.37
    w, b, u = (part[0] for part in field.weights(torch.tensor([t]).double()))
    expected = sum(torch.tanh(z @ w[:, k] + b[0, k])[:, None] * u[k] for k in range(6))
    torch.testing.assert_close(field(t, z), expected)
    value, trace = field.with_divergence(t, z)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(trace, flows.divergence(lambda y: field(t, y), z))
    assert (field(0.9, z) - value).abs().max() > 1e-3, "the weights move"


def test_the_gates_are_between_zero_and_one(field):
    d, m = 2, 6
    times = torch.linspace(0, 1, 9).double()
    rows = field.hypernetwork(times[:, None])
    _, _, u = field.weights(times)
    ungated = rows[:, d * m : 2 * d * m].reshape(9, m, d)
    gates = (u / ungated)[..., 0]
    assert (gates > 0).all() and (gates < 1).all()


def test_the_gain_makes_a_field_that_moves_more():
    fields = []
    for gain in (1.0, 3.0):
        torch.manual_seed(0)
        fields.append(flows.PlanarField(2, 64, gain=gain))
    z = torch.randn(50, 2, generator=rng(0))
    still, lively = (f(0.5, z).norm(dim=1).mean() for f in fields)
    assert lively > 3 * still
    still, lively = ((f(1.0, z) - f(0.0, z)).norm(dim=1).mean() for f in fields)
    assert lively > 3 * still


def test_a_tabulated_field_is_the_same_field(field):
    z, table = randn(5, 2), field.tabulate(1.0, 0.0, 9)
    for t in (k / 8 for k in range(9)):
        for one, other in zip(table.with_divergence(t, z), field.with_divergence(t, z)):
            torch.testing.assert_close(one, other)
    for t in (0.03, 1.2):
        with pytest.raises(ValueError, match="not in the table"):
            table.with_divergence(t, z)


# ------------------------------------------------------------------ continuous flows


class Linear(nn.Module):
    """f(t, z) = c(t) A z, with c(t) = 2 t so that its integral over [0, 1] is 1."""

    def forward(self, t, z):
        return 2 * t * z @ A.T


def gaussian_after(matrix):
    return torch.distributions.MultivariateNormal(
        torch.zeros(2, dtype=torch.float64), matrix @ matrix.T
    )


@pytest.mark.parametrize(
    "settings", [{}, {"method": "rk4", "options": {"n_steps": 40}}]
)
def test_a_linear_flow_makes_the_gaussian_of_the_matrix_exponential(settings):
    tight = {"rtol": 1e-9, "atol": 1e-9} if not settings else settings
    flow, x = flows.CNF(Linear(), flows.Gaussian(2), **tight), randn(8, 2)
    expected = gaussian_after(torch.linalg.matrix_exp(A)).log_prob(x)
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=1e-6, atol=1e-6)

    def solve(f, y0, t0, t1):
        return solvers.solve(f, y0, t0, t1, rtol=1e-9, atol=1e-9)

    alone = flows.cnf_log_prob(Linear(), x, flows.Gaussian(2), 0.0, 1.0, solve)
    torch.testing.assert_close(alone, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        flow.inverse(x), x @ torch.linalg.matrix_exp(-A).T, rtol=1e-6, atol=1e-6
    )


def test_the_density_follows_torchdiffeq(field):
    torchdiffeq = pytest.importorskip("torchdiffeq")
    x = randn(6, 2)

    def augmented(t, state):
        return flows.cnf_dynamics(field, t, state)

    times = torch.tensor([1.0, 0.0]).double()
    start = (x, torch.zeros(6).double())
    z, delta = torchdiffeq.odeint(augmented, start, times, rtol=1e-8, atol=1e-8)
    expected = flows.Gaussian(2).log_prob(z[-1]) - delta[-1]
    flow = flows.CNF(field, flows.Gaussian(2), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=1e-6, atol=1e-6)


def test_a_continuous_density_integrates_to_one(field):
    flow = flows.CNF(field, flows.Gaussian(2))
    _, _, points = flows.grid(BOX, 150, torch.float64)
    with torch.no_grad():
        density = flow.log_prob(points).exp()
    assert abs(flows.integrate(density, BOX) - 1) < 0.01
    plain = flows.Gaussian(2).log_prob(points).exp()
    assert flows.integrate((density - plain).abs(), BOX) > 0.3, "it is another density"


def test_both_directions_agree(field):
    flow = flows.CNF(field, flows.Gaussian(2)).float()
    z = torch.randn(200, 2, generator=rng(1))
    with torch.no_grad():
        x, log_p = flow(z)
        assert (flow.inverse(x) - z).abs().max() < 1e-4
        torch.testing.assert_close(log_p, flow.log_prob(x), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(flow.path(z, 3)[-1], x, rtol=1e-4, atol=1e-4)


def test_the_inverse_returns_samples_after_training():
    torch.manual_seed(0)
    flow = study.planar_cnf(8, (2,), n_steps=8)
    data = study.circles_and_moons(500, 0)
    study.fit_densities(flow, data, 40, energy=0.02, epochs=2)
    flow.solver = {"method": "dopri5", "rtol": 1e-6, "atol": 1e-6}
    with torch.no_grad():
        x = flow.sample((2, 300), rng(2))
        back = flow.path(flow.inverse(x), 2)[-1]
        assert (back - x).abs().max() < 1e-4
        _, _, points = flows.grid(BOX, 100)
        mass = flows.integrate(flow.log_prob(points.expand(2, -1, 2)).exp(), BOX)
    assert (mass - 1).abs().max() < 0.01


@pytest.mark.parametrize("family", ["cnf", "nf"])
def test_samples_have_the_moments_of_the_density(field, family):
    n = 20_000
    box = (-14.0, 14.0, -14.0, 14.0)
    _, _, points = flows.grid(box, 280, torch.float64)
    with torch.no_grad():
        z = flows.Gaussian(2).sample((n,), rng(5), torch.float64)
        if family == "cnf":
            flow = flows.CNF(field, flows.Gaussian(2), rtol=1e-4, atol=1e-4)
            x, density = flow(z)[0], flow.log_prob(points).exp()
        else:
            flow = planar(8)
            x, back = flow(z)[0], flow.inverse(points)
            density = (flows.Gaussian(2).log_prob(back) - flow(back)[1]).exp()
    for moment in (lambda y: y[:, 0], lambda y: y[:, 1], lambda y: y[:, 0] * y[:, 1]):
        exact = flows.integrate(moment(points) * density, box)
        drawn = moment(x)
        assert abs(drawn.mean() - exact) < 4 * drawn.std() / math.sqrt(n) + 1e-3


def test_fixed_steps_use_the_table_and_change_nothing(field, monkeypatch):
    x, calls = randn(5, 2), []
    weights = field.weights
    monkeypatch.setattr(
        field, "weights", lambda t: [calls.append(t.numel()), weights(t)][1]
    )
    settings = {"method": "rk4", "options": {"n_steps": 7}}
    tabulated = flows.CNF(field, flows.Gaussian(2), **settings).log_prob(x)
    assert calls == [15], "one call of the hypernetwork for all times"
    monkeypatch.setattr(flows.PlanarField, "tabulate", None)
    monkeypatch.delattr(flows.PlanarField, "tabulate")
    plain = flows.CNF(field, flows.Gaussian(2), **settings).log_prob(x)
    torch.testing.assert_close(tabulated, plain)


def test_the_energy_is_the_integral_of_the_squared_speed():
    flow = flows.CNF(Linear(), flows.Gaussian(2), rtol=1e-8, atol=1e-8)
    z = randn(4, 2)
    path = flow.path(z, 2001)
    t = torch.linspace(0, 1, 2001).double()
    speed = (2 * t[:, None, None] * path @ A.T).square().sum(-1)
    expected = torch.trapezoid(speed, t, dim=0)
    energy = flow.log_prob_and_energy(path[-1])[1]
    torch.testing.assert_close(energy, expected, rtol=1e-4, atol=1e-5)


def test_gradients_of_the_likelihood():
    torch.manual_seed(0)
    field = flows.PlanarField(2, 3, hidden=4).double()
    flow = flows.CNF(field, flows.Gaussian(2), method="rk4", options={"n_steps": 8})
    x = randn(3, 2)
    flow.log_prob(x).sum().backward()
    weight = field.hypernetwork[0].weight
    slope, h = weight.grad[0, 1].item(), 1e-6
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[0, 1] += sign * h
            values.append(flow.log_prob(x).sum().item())
            weight[0, 1] -= sign * h
    assert slope == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-4)


# ------------------------------------------------------------------ noise in a solve


def test_the_noise_is_drawn_once_per_solve(field, monkeypatch):
    draws, rademacher = [], flows.rademacher

    def counted(*args, **kwargs):
        draws.append(args)
        return rademacher(*args, **kwargs)

    monkeypatch.setattr(flows, "rademacher", counted)
    flow = flows.CNF(field, flows.Gaussian(2), trace="hutchinson")
    stats = solvers.Stats()
    flow.solver["stats"] = stats
    flow.log_prob(randn(4, 2))
    assert len(draws) == 1 and stats.nfe > 10
    flow.log_prob(randn(4, 2), noise=torch.ones(4, 2).double())
    assert len(draws) == 1


def test_fixed_noise_gives_a_function_that_can_be_undone(field):
    settings = {"rtol": 1e-8, "atol": 1e-8}
    flow = flows.CNF(field, flows.Gaussian(2), trace="hutchinson", **settings)
    z, noise = randn(5, 2), flows.rademacher((5, 2), rng(0), torch.float64)
    x, there, _ = flow.transport(z, 0.0, 1.0, noise)
    back, again, _ = flow.transport(x, 1.0, 0.0, noise)
    torch.testing.assert_close(back, z, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(there, -again, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(2))
def test_the_estimated_log_density_is_unbiased(field, seed):
    n = 2000
    x = randn(1, 2, seed=8).expand(n, 2)
    settings = {"rtol": 1e-6, "atol": 1e-6}
    exact = flows.CNF(field, flows.Gaussian(2), **settings).log_prob(x[:1])[0]
    flow = flows.CNF(field, flows.Gaussian(2), trace="hutchinson", **settings)
    with torch.no_grad():
        noise = flows.rademacher((n, 2), rng(seed), torch.float64)
        estimates = flow.log_prob(x, noise)
    assert estimates.std() > 1e-3
    assert abs((estimates.mean() - exact) / estimates.std() * n**0.5) < 4


def test_an_unknown_trace_is_refused(field):
    with pytest.raises(ValueError, match="hutchinson"):
        flows.CNF(field, flows.Gaussian(2), trace="guess")


# ------------------------------------------------------------------ what may go wrong


class BlowUp(nn.Module):
    """dz/dt = z^2: not Lipschitz; z(t) = z0 / (1 - z0 t) is infinite at t = 1 / z0."""

    def forward(self, t, z):
        return z.square()


def test_a_blow_up_stops_with_time_and_step():
    flow = flows.CNF(BlowUp(), flows.Gaussian(2))
    z = torch.tensor([[2.0, 0.1]], dtype=torch.float64)
    with pytest.raises(solvers.SolverError, match=r"t = 0\.5") as stopped:
        flow(z)
    assert stopped.value.time == pytest.approx(0.5, abs=1e-3)
    assert stopped.value.step is not None and abs(stopped.value.step) < 1e-3
    assert "h = " in str(stopped.value)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_nan_is_reported_where_it_appears(method):
    class Broken(nn.Module):
        def forward(self, t, z):
            return z if t < 0.6 else z * math.nan

    options = {"n_steps": 10} if method == "rk4" else None
    flow = flows.CNF(Broken(), flows.Gaussian(2), method=method, options=options)
    with pytest.raises(solvers.SolverError) as stopped:
        flow(torch.ones(1, 2, dtype=torch.float64))
    assert stopped.value.time == pytest.approx(0.6, abs=0.01)
    assert stopped.value.step is not None


# ------------------------------------------------------------------ grid and targets


def test_the_grid_and_its_integral():
    box = (-1.0, 3.0, 0.0, 2.0)
    x, y, points = flows.grid(box, 50, torch.float64)
    values = points[:, 0] ** 2 * points[:, 1]
    assert flows.integrate(values, box).item() == pytest.approx(28 / 3 * 2, rel=1e-3)
    image = values.reshape(50, 50)
    assert image[3, 7] == pytest.approx((x[7] ** 2 * y[3]).item())


def test_the_reverse_divergence_of_two_gaussians():
    s, n = 0.6, 200_000
    q = flows.Gaussian(2, s)
    z = q.sample((n,), rng(0), torch.float64)
    kl = flows.reverse_kl(z, q.log_prob(z), lambda y: 0.5 * y.square().sum(-1))
    exact = s**2 - 1 - 2 * math.log(s)  # KL(N(0, s^2 I) || N(0, I)) in two dimensions
    assert kl.item() + math.log(2 * math.pi) == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("name", toy.POTENTIALS)
def test_confined_potentials_can_be_normalised(name):
    potential = study.confined(toy.POTENTIALS[name])
    fine, coarse = (study.log_normaliser(potential, n) for n in (900, 450))
    assert fine == pytest.approx(coarse, abs=1e-3)
    edge = torch.tensor([[6.0, 0.0], [-6.0, 0.0], [0.0, 6.0], [0.0, -6.0]])
    assert (potential(edge) > 40).all(), "nothing is left outside of the walls"
    inside = 8 * torch.rand(50, 2, generator=rng(0)) - 4
    assert (potential(inside) == toy.POTENTIALS[name](inside)).all()
    box = toy.DENSITY_BOX
    _, _, points = flows.grid(box, 900, torch.float64)
    within = flows.integrate(torch.exp(-potential(points)), box).item()
    assert within == pytest.approx(toy.NORMALISERS[name], rel=1e-3)
    assert within < math.exp(fine) < 1.15 * within


# ------------------------------------------------------------------ studies

POTENTIALS = [study.confined(toy.U1), study.confined(toy.U2)]


def small_flow(kind):
    torch.manual_seed(1)
    return study.planar_nf(4, (2,)) if kind == "nf" else study.planar_cnf(4, (2,), 4)


@pytest.mark.parametrize("kind", ["nf", "cnf"])
def test_matching_comes_closer_and_stays_above_zero(kind):
    flow = small_flow(kind)
    history = study.match_densities(flow, POTENTIALS, 120, energy=0.01, epochs=6)
    assert len(history["loss"]) == len(history["kl1"]) == 6
    assert history["kl1"][-1] < 0.8 * history["kl1"][0]
    assert min(history["kl0"] + history["kl1"]) > 0


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("kind", ["nf", "cnf"])
def test_an_interrupted_run_goes_on_bit_for_bit(kind, tmp_path):
    def train(checkpoint, stop_after=None):
        calls = []

        def potential(z):
            calls.append(None)
            if stop_after is not None and len(calls) > stop_after:
                raise Interrupt
            return toy.U2(z)

        flow = small_flow(kind)
        study.match_densities(
            flow,
            [potential, toy.U1],
            24,
            epochs=4,
            batch_size=32,
            checkpoint=checkpoint,
        )
        return flow

    whole = train(tmp_path / "whole.pt")
    with pytest.raises(Interrupt):
        train(tmp_path / "broken.pt", stop_after=20)
    assert (tmp_path / "broken.pt").exists()
    resumed = train(tmp_path / "broken.pt")
    for one, other in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(one, other)


def test_maximum_likelihood_learns():
    train, test = study.circles_and_moons(1000, 0), study.circles_and_moons(1000, 1)
    assert train.shape == (2, 1000, 2) and not torch.equal(train, test)
    torch.manual_seed(0)
    flow = study.planar_cnf(16, (2,), 6)
    before = study.mean_log_prob(flow, test)
    study.fit_densities(flow, train, 60, energy=0.02, epochs=3)
    assert (study.mean_log_prob(flow, test) > before + 0.3).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", ["nf", "cnf"])
def test_gpu_steps_of_a_flow_are_recorded_and_are_those_of_a_cpu(kind, capsys):
    train, losses = study.circles_and_moons(1000, 0), []
    for device in ("cpu", "cuda"):
        flow = small_flow(kind)
        fitted = study.fit_densities(flow, train, 20, epochs=2, device=device)
        losses.append(fitted["loss"])
    assert capsys.readouterr().err == ""  # no notice that it could not be recorded
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_the_recorded_runs_are_complete_and_make_sense():
    results = study.recorded()
    assert {job for job, _ in results} == set(study.NAMES)
    for (job, quantity), values in results.items():
        if quantity == "kl, 64 steps" or (job, quantity) == ("match-nf-32", "kl"):
            assert min(values.values()) > -0.01, "a divergence is not negative"
    cnf, mixture = (
        results["likelihood-cnf", key]
        for key in ("test log-likelihood", "mixture of 10 Gaussians")
    )
    assert all(cnf[name] > mixture[name] for name in ("circles", "moons"))


def test_the_baseline_is_the_mixture_of_scikit_learn():
    train, test = study.circles_and_moons(600, 0), study.circles_and_moons(600, 1)
    scores = study.mixture_log_prob(train, test)
    assert scores.shape == (2,)
    assert (scores > torch.tensor([-3.9, -2.9])).all()
    assert (scores < torch.tensor([-3.2, -2.2])).all()


def test_the_command_line(tmp_path, capsys):
    arguments = ["match-nf-2", "--out", str(tmp_path), "--fraction", "1e-4"]
    study.STUDY.main(arguments)
    first = capsys.readouterr().out
    assert first.startswith("job match-nf-2, steps 100, quantity kl")
    (result,) = study.STUDY.results(tmp_path)
    assert set(result["found"]["kl"]) == {"U1", "U2", "U3", "U4"}
    study.STUDY.main(["table", "--out", str(tmp_path)])
    assert capsys.readouterr().out == first
    path = study.STUDY.record(
        study.jobs(["match-nf-2"], fraction=1e-4), tmp_path, tmp_path / "flows.csv"
    )
    assert study.recorded(path) == {("match-nf-2", "kl"): result["found"]["kl"]}
    assert (
        path.read_text().split("\n")[0] == study.STUDY.kept.read_text().split("\n")[0]
    )


def test_jobs_of_both_tasks_are_measured(monkeypatch):
    draw, kl = study.circles_and_moons, study.kl_divergences
    monkeypatch.setattr(study, "EPOCHS", 5)
    monkeypatch.setattr(study, "circles_and_moons", lambda n, seed: draw(200, seed))
    monkeypatch.setattr(
        study, "kl_divergences", lambda f, U, z, n: kl(f, U, z[:, :9], n)
    )
    monkeypatch.setattr(study, "log_normaliser", lambda U: 0.0)
    for kind in (("match", "cnf"), ("likelihood", "cnf")):
        plan = study.PLANS[kind]._replace(n_steps=5, solver_steps=1)
        monkeypatch.setitem(study.PLANS, kind, plan)
    matched, fitted = study.STUDY.run(study.jobs(["match-cnf-2", "likelihood-cnf"]))
    assert set(matched["found"]) == {"kl", "kl, 64 steps"}
    assert set(matched["found"]["kl"]) == {"U1", "U2", "U3", "U4"}
    assert set(fitted["found"]) == {"test log-likelihood", "mixture of 10 Gaussians"}
    test = study.circles_and_moons(0, 1)
    mixture = study.mixture_log_prob(study.circles_and_moons(0, 0), test)
    found = fitted["found"]["mixture of 10 Gaussians"]
    assert [found["circles"], found["moons"]] == pytest.approx(
        mixture.tolist(), abs=1e-4
    )
    kept = {(row["job"], row["quantity"]) for row in study.STUDY.recorded()}
    assert ("match-cnf-2", "kl, 64 steps") in kept


def test_matching_finds_a_gaussian_target():
    """Potential of N((1, -1), 0.25 I): an affine flow can be exact, loss = -log Z."""
    scale = torch.ones(2, requires_grad=True)
    shift = torch.zeros(2, requires_grad=True)
    centre, base = torch.tensor([1.0, -1.0]), flows.Gaussian(2)

    def flow(z):
        return shift + scale * z, base.log_prob(z) - scale.abs().log().sum()

    def kl(x, log_q):
        return flows.reverse_kl(x, log_q, lambda y: 2 * (y - centre).square().sum(-1))

    noise = base.sample((200, 64), torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam([scale, shift], lr=0.05)
    losses = flows.match(flow, kl, iter(noise), optimiser)
    assert len(losses) == 200
    assert losses[-1] == pytest.approx(-math.log(math.pi / 2), abs=0.02)
    assert torch.allclose(scale.abs(), torch.full((2,), 0.5), atol=0.02)
    assert torch.allclose(shift, centre, atol=0.02)
