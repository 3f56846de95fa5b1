"""Normalizing flows: maps that move samples and know what they do to the density.

A flow takes a simple base density to a complicated one. With x = T(z) invertible,

    log p(x) = log p0(z) - log |det dT/dz|.

Two families are here. `PlanarFlow` stacks maps with a cheap determinant (Rezende and
Mohamed 2015). `CNF` is the flow of an ODE dz/dt = f(t, z), along which

    d log p(z(t)) / dt = -trace(df/dz)

(Chen et al. 2018, theorem 1): a trace takes the place of the determinant.

Shapes: samples are rows, `z (..., s, d)`; what belongs to a sample, such as a
log-density or a divergence, is `(..., s)`. The leading axes are there for several flows
of the same size that are trained side by side (`copies`): much faster than in turn.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from odenets import solvers
from odenets.solvers import Field, Settings

# ------------------------------------------------------------------ base densities


class Base(Protocol):
    """What a flow asks of its base: any object with these two methods will do."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of each sample, `(..., s, d)` -> `(..., s)`."""

    def sample(self, shape: tuple[int, ...]) -> Tensor:
        """Draw samples, `shape` -> `(*shape, d)`."""


class Gaussian:
    """Normal density N(0, std^2 I) in `dim` dimensions."""

    def __init__(self, dim: int, std: float = 1.0) -> None:
        self.dim, self.std = dim, std

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(z; 0, std^2 I), `(..., s, dim)` -> `(..., s)`.

        Raises:
            ValueError: if the samples have another dimension.
        """
        if z.shape[-1] != self.dim:
            raise ValueError(
                f"the base density has {self.dim} dimensions, "
                f"but the samples have {z.shape[-1]}"
            )
        constant = self.dim * (0.5 * math.log(2 * math.pi) + math.log(self.std))
        return -0.5 * (z / self.std).square().sum(-1) - constant

    def sample(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Draw samples, `shape` -> `(*shape, dim)`."""
        noise = torch.randn(
            *shape, self.dim, generator=generator, dtype=dtype, device=device
        )
        return self.std * noise


def check_base(base: Base, dim: int) -> None:
    """Refuse a base that is not a density on `dim` dimensions, one value a sample.

    Raises:
        ValueError: it says what is wrong. `torch.distributions.Normal(0.0, 1.0)` is
            refused too: its `log_prob` gives one value a coordinate, not one a sample.
    """
    try:
        shape = tuple(base.log_prob(torch.zeros(3, dim)).shape)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the base density does not fit a flow in {dim} dimensions: {error}"
        ) from None
    if shape != (3,):
        raise ValueError(
            f"base.log_prob must give one value per sample: 3 samples in {dim} "
            f"dimensions gave the shape {shape} instead of (3,)"
        )


def _drawn(
    base: Base, shape: tuple[int, ...], generator: torch.Generator | None
) -> Tensor:
    sample: Callable[..., Tensor] = base.sample
    if generator is None:
        return sample(shape)
    if "generator" in inspect.signature(sample).parameters:
        return sample(shape, generator=generator)
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    with torch.random.fork_rng():  # a base such as those of torch.distributions
        torch.manual_seed(int(seed))
        return sample(shape)


# ------------------------------------------------------------------ planar flows


def invertible_u(w: Tensor, u: Tensor) -> Tensor:
    """Return u-hat, the nearest u along w for which the planar map is invertible.

    The map z + u tanh(w.z + b) is invertible when w.u > -1. With
    m(x) = -1 + log(1 + e^x), u-hat = u + (m(w.u) - w.u) w / |w|^2 has w.u-hat = m(w.u).
    Source: Rezende and Mohamed (2015), appendix A.1. Shapes: `(..., d)`.
    """
    dot = (w * u).sum(-1, keepdim=True)
    square = w.square().sum(-1, keepdim=True).clamp_min(torch.finfo(w.dtype).tiny)
    return u + (functional.softplus(dot) - 1 - dot) * w / square


def planar_flow(z: Tensor, w: Tensor, u: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Push samples through one planar layer, made invertible by `invertible_u`.

    z' = z + u-hat tanh(w.z + b),  log |det dz'/dz| = log |1 + u-hat.w tanh'(w.z + b)|.
    Source: Rezende and Mohamed (2015), equations 10 to 12.

    Args:
        z: samples, `(..., s, d)`.
        w, u: direction and displacement, `(..., d)`.   b: offset, `(...)`.
    Returns: `(z_new, log_det)` of shapes `(..., s, d)` and `(..., s)`.
    """
    return _planar_layer(z, w, invertible_u(w, u), b)


def _planar_layer(z: Tensor, w: Tensor, u_hat: Tensor, b: Tensor):
    h = torch.tanh(_project(z, w) + b[..., None])
    stretch = (w * u_hat).sum(-1)[..., None] * (1 - h.square())
    return z + h[..., None] * u_hat[..., None, :], torch.log1p(stretch)


def planar_inverse(
    z_new: Tensor, w: Tensor, u: Tensor, b: Tensor, n_bisections: int = 60
) -> Tensor:
    """Undo `planar_flow`.

    Along w the map is the increasing function a -> a + w.u-hat tanh(a + b) of one
    number. It has no inverse in closed form; bisection finds it, because the answer is
    never further than |w.u-hat| from w.z'.

    Args: as in `planar_flow`; n_bisections: halvings of that interval at the most.
    Returns: z, `(..., s, d)`.
    """
    u_hat = invertible_u(w, u)
    slope, b = (w * u_hat).sum(-1)[..., None], b[..., None]
    target = _project(z_new, w)
    low, high = target - slope.abs(), target + slope.abs()
    for _ in range(n_bisections):
        middle = 0.5 * (low + high)
        below = middle + slope * torch.tanh(middle + b) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    h = torch.tanh(0.5 * (low + high) + b)
    return z_new - h[..., None] * u_hat[..., None, :]


def _project(z: Tensor, w: Tensor) -> Tensor:
    """Return w.z of every sample, `(..., s, d)` and `(..., d)` -> `(..., s)`."""
    return (z @ w[..., None]).squeeze(-1)


class PlanarFlow(nn.Module):
    """K planar layers, one after the other, in the direction z -> z_new.

    The same stack serves two ends. Read from base to data it samples and knows the
    density of its own samples: what density matching needs. Read from data to base it
    gives the density of any point: what maximum likelihood needs.
    """

    def __init__(self, dim: int, depth: int, copies: tuple[int, ...] = ()) -> None:
        """Args:
        dim: dimension of the samples.
        depth: number K of layers.
        copies: leading axes of the parameters: flows trained side by side.
        """
        super().__init__()
        self.dim, self.depth = dim, depth
        shape = (*copies, depth, dim)
        self.w = nn.Parameter(torch.randn(shape))
        self.u = nn.Parameter(0.1 * torch.randn(shape))
        self.b = nn.Parameter(torch.randn(shape[:-1]))

    def forward(self, z: Tensor, layers: range | None = None) -> tuple[Tensor, Tensor]:
        """Apply all layers (or those in `layers`) and add up their log-determinants."""
        log_det = torch.zeros_like(z[..., 0])
        u_hat = invertible_u(self.w, self.u)  # of all layers at once
        for k in range(self.depth) if layers is None else layers:
            w, u, b = self.w[..., k, :], u_hat[..., k, :], self.b[..., k]
            z, change = _planar_layer(z, w, u, b)
            log_det = log_det + change
        return z, log_det

    def inverse(self, z_new: Tensor, layers: range | None = None) -> Tensor:
        """Undo `forward`, last layer first."""
        for k in reversed(range(self.depth) if layers is None else layers):
            w, u, b = self.w[..., k, :], self.u[..., k, :], self.b[..., k]
            z_new = planar_inverse(z_new, w, u, b)
        return z_new


# ------------------------------------------------------------------ divergences


def divergence(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the exact divergence of a field, the trace of its Jacobian.

    One backward pass per dimension. The result carries gradients with respect to z and
    to the parameters of f; where gradients are switched off, it is the value alone.

    Args:
        f: field, `(..., s, d)` -> the same; each row of the result depends on its row.
        z: samples, `(..., s, d)`.
    Returns: sum_i df_i/dz_i, `(..., s)`.
    """
    wanted = torch.is_grad_enabled()  # a graph of the gradients takes time and memory
    with torch.enable_grad():
        z, value = _evaluated(f, z)
        total = torch.zeros_like(z[..., 0])
        for i in range(z.shape[-1]):
            (row,) = torch.autograd.grad(
                value[..., i].sum(),
                z,
                retain_graph=True,
                create_graph=wanted,
                materialize_grads=True,
            )
            total = total + row[..., i]
    return total


def hutchinson_divergence(
    f: Callable[[Tensor], Tensor], z: Tensor, noise: Tensor
) -> Tensor:
    """Estimate the divergence by noise^T (df/dz) noise: one backward pass for any d.

    The mean over the noise is the divergence when its entries are independent with mean
    0 and variance 1 (Hutchinson 1990). Inside an ODE solve the noise has to be drawn
    once and kept: redrawn at each evaluation, the right-hand side is no function of the
    state any more.

    Args:
        f, z: as in `divergence`.   noise: shaped like z.
    Returns: `(..., s)`.
    """
    wanted = torch.is_grad_enabled()
    with torch.enable_grad():
        z, value = _evaluated(f, z)
        (pulled,) = torch.autograd.grad(
            value, z, noise, create_graph=wanted, materialize_grads=True
        )
    return (pulled * noise).sum(-1)


def _evaluated(f: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    # A view of z that requires gradients: z itself, a leaf perhaps, is left as it is.
    z = z.view_as(z) if z.requires_grad else z.detach().requires_grad_()
    value = f(z)
    if not value.requires_grad:  # a constant field: its divergence is zero
        value = value + 0.0 * z
    return z, value


def rademacher(
    shape: tuple[int, ...],
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw +1 or -1 with equal probability: the noise of the least variance."""
    coin = torch.randint(2, shape, generator=generator, device=device)
    return (2 * coin - 1).to(dtype)


# ------------------------------------------------------------------ continuous flows


def cnf_dynamics(
    f: Field, t: float, state: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the time derivatives of a sample and of its log-density.

    dz/dt = f(t, z),  d log p / dt = -trace(df/dz).  Chen et al. (2018), theorem 1.

    Args:
        f: field, `f(t, z)` shaped like z.   t: time.
        state: `(z, log_p)` of shapes `(..., s, d)` and `(..., s)`.
    Returns: `(dz, dlog_p)` of the same shapes.
    """
    z, _ = state
    return f(t, z), -divergence(lambda y: f(t, y), z)


def cnf_log_prob(
    f: Field,
    x: Tensor,
    base: Base,
    t0: float,
    t1: float,
    solve: Callable[[Field, Tensor, float, float], Tensor],
) -> Tensor:
    """Return the log-density of data under a continuous flow.

    The data sit at t1; the solve runs back to t0, where the base density is known:
    log p(x) = log p0(z(t0)) - integral from t0 to t1 of trace(df/dz).

    Args:
        f: field, `f(t, z)` shaped like z.   x: data, `(s, d)`.
        base: density at t0.   t0, t1: times of the base and of the data.
        solve: `solve(f, y0, t_start, t_end)` returns the state at `t_end`, one tensor.
    Returns: `(s,)`.
    Raises:
        ValueError: if the base does not fit the dimension of x.
    """
    check_base(base, x.shape[-1])

    def augmented(t: float, state: Tensor) -> Tensor:
        dz, dlog_p = cnf_dynamics(f, t, (state[..., :-1], state[..., -1]))
        return torch.cat([dz, dlog_p[..., None]], dim=-1)

    end = solve(augmented, functional.pad(x, (0, 1)), t1, t0)
    return base.log_prob(end[..., :-1]) - end[..., -1]


def reverse_kl(
    samples: Tensor, log_q: Tensor, potential: Callable[[Tensor], Tensor]
) -> Tensor:
    """Estimate KL(q || p) - log Z from samples of q, for p = exp(-potential) / Z.

    Args:
        samples: drawn from q, `(..., s, d)`.   log_q: their log-density, `(..., s)`.
        potential: `(..., s, d)` -> `(..., s)`.
    Returns: the mean over the samples, `(...)`.
    """
    return (log_q + potential(samples)).mean(-1)


def match(
    flow: Callable[[Tensor], tuple[Tensor, Tensor]],
    kl: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[Tensor],
    optimiser: torch.optim.Optimizer,
) -> list[float]:
    """Train a flow by density matching: one step of the optimiser per batch of noise.

    Args:
        flow: noise `(s, d)` -> samples `(s, d)` and their log-density `(s,)`.
        kl: the loss of both, a number; `reverse_kl` with a potential, for example.
        batches: noise, each `(s, d)`.
        optimiser: holds the parameters of the flow.
    Returns: the loss of each batch, before its step.
    """
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


class Dense(nn.Module):
    """An affine map per copy: `(*copies, s, n_in)` -> `(*copies, s, n_out)`."""

    def __init__(self, n_in: int, n_out: int, copies: tuple[int, ...] = ()) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(
            torch.empty(*copies, n_in, n_out).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(*copies, 1, n_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class PlanarField(nn.Module):
    """A field of M planar units whose weights are functions of time.

    f(t, z) = sum_n g_n(t) u_n(t) tanh(w_n(t).z + b_n(t)) with gates g_n in (0, 1).
    A small network, the hypernetwork, maps t to all w, b, u and g.
    Source: Chen et al. (2018), section 4 and equation 11.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        hidden: int = 32,
        copies: tuple[int, ...] = (),
        gain: float = 1.0,
    ) -> None:
        """Args:
        dim: dimension of the samples.
        width: number M of units.
        hidden: width of the two hidden layers of the hypernetwork.
        copies: leading axes of all parameters: fields trained side by side.
        gain: factor on the initial weights of the first and the last layer of the
            hypernetwork. With 3 the units bend the field from the start and change
            with time; wide fields then learn in half the steps.
        """
        super().__init__()
        self.dim, self.width, self.copies = dim, width, copies
        first = Dense(1, hidden, copies)
        middle = Dense(hidden, hidden, copies)
        last = Dense(hidden, width * (2 * dim + 2), copies)
        self.hypernetwork = nn.Sequential(first, nn.Tanh(), middle, nn.Tanh(), last)
        with torch.no_grad():
            for parameter in (first.weight, last.weight, last.bias):
                parameter.mul_(gain)

    def weights(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights at several times, `(n,)` -> three tensors.

        Returns: w `(n, *copies, d, M)`, b `(n, *copies, 1, M)`, and the gated u
            `(n, *copies, M, d)`.
        """
        d, m = self.dim, self.width
        rows = self.hypernetwork(times.reshape(-1, 1).expand(*self.copies, -1, -1))
        rows = rows.movedim(-2, 0)
        w, u, b, gate = rows.split([d * m, d * m, m, m], dim=-1)
        u = u.unflatten(-1, (m, d)) * torch.sigmoid(gate)[..., None]
        return w.unflatten(-1, (d, m)), b[..., None, :], u

    def forward(self, t: float | Tensor, z: Tensor) -> Tensor:
        """Return f(t, z), shaped like `z (*copies, s, d)`."""
        return self.with_divergence(t, z)[0]

    def with_divergence(self, t: float | Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(t, z) and its exact divergence, which is cheap here.

        trace(df/dz) = sum_n g_n (u_n.w_n) tanh'(w_n.z + b_n).
        """
        times = torch.as_tensor(t, dtype=z.dtype, device=z.device)
        return _planar_units(z, *(part[0] for part in self.weights(times)))

    def tabulate(self, first: float, last: float, n: int) -> "TabulatedField":
        """Return the same field for use at `n` evenly spaced times only, all at once.

        A fixed-step solver reads the weights at times that are known beforehand. One
        call of the hypernetwork for all of them halves the time of a training step.
        """
        like = next(self.parameters())
        times = torch.linspace(first, last, n, dtype=like.dtype, device=like.device)
        return TabulatedField(first, (last - first) / (n - 1), self.weights(times))


class TabulatedField:
    """A `PlanarField` at evenly spaced times, increasing or decreasing."""

    def __init__(
        self, first: float, spacing: float, weights: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        self.first, self.spacing = first, spacing
        w, b, u = weights
        # w and b, u and u.w are the same at every visit: prepare them once.
        trace = (w.mT * u).sum(-1, keepdim=True)
        self.table = list(zip(w, b, u, trace))

    def with_divergence(self, t: float | Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(t, z) and its divergence.

        Raises:
            ValueError: if t is not one of the times of the table.
        """
        place = (float(t) - self.first) / self.spacing
        k = round(place)
        if abs(place - k) > 1e-3 or not 0 <= k < len(self.table):
            raise ValueError(f"time {float(t):g} is not in the table of weights")
        return _planar_units(z, *self.table[k])


def _planar_units(
    z: Tensor, w: Tensor, b: Tensor, u: Tensor, trace: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    if trace is None:
        trace = (w.mT * u).sum(-1, keepdim=True)
    h = torch.tanh(z @ w + b)
    return h @ u, ((1 - h.square()) @ trace).squeeze(-1)


class CNF(nn.Module):
    """A continuous normalizing flow: the base at `t0`, the data at `t1`, f between.

    Both directions are one solve, and the density comes with either of them.
    """

    def __init__(
        self,
        field: nn.Module,
        base: Base,
        dim: int = 2,
        t0: float = 0.0,
        t1: float = 1.0,
        trace: str = "exact",
        **solver: Unpack[Settings],
    ) -> None:
        """Args:
            field: `field(t, z)` shaped like z. Where it has a method `with_divergence`,
                that gives the exact trace; else the trace comes from autograd.
            base: density at t0, such as `Gaussian(dim)`.
            dim: dimension of the samples.
            t0, t1: times of the base and of the data.
            trace: "exact" or "hutchinson".
            solver: settings of `solvers.odeint`: `method`, `rtol`, `atol`, `options`.
        Raises:
            ValueError: if the base does not fit the dimension, or the trace is unknown.
        """
        super().__init__()
        check_base(base, dim)
        if trace not in ("exact", "hutchinson"):
            raise ValueError(f"trace is 'exact' or 'hutchinson', not {trace!r}")
        self.field, self.base, self.dim = field, base, dim
        self.t0, self.t1, self.trace = t0, t1, trace
        self.solver: Settings = {"method": "dopri5", "rtol": 1e-6, "atol": 1e-6}
        self.solver.update(solver)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Push samples of the base to the data: `z` -> `(x, log_p)`, log p(x) each."""
        x, integral, _ = self.transport(z, self.t0, self.t1)
        return x, self.base.log_prob(z) - integral

    def inverse(self, x: Tensor) -> Tensor:
        """Pull data back to the base, shapes as x."""
        return self.transport(x, self.t1, self.t0)[0]

    def log_prob(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return log p(x), `(..., s, d)` -> `(..., s)`.

        Args:
            x: data.
            noise: for the Hutchinson trace, shaped like x; None draws it, once.
        Raises:
            ValueError: if the data have another dimension.
            SolverError: if a solution blows up; with the time and the step size.
        """
        return self.log_prob_and_energy(x, noise)[0]

    def log_prob_and_energy(
        self, x: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return log p(x) and the kinetic energy of the paths that lead to x.

        The energy is the integral of |f|^2 over time. A little of it in the loss keeps
        the paths straight and hence the solver accurate (Finlay et al. 2020).
        """
        z, integral, energy = self.transport(x, self.t1, self.t0, noise)
        return self.base.log_prob(z) + integral, -energy

    def sample(
        self, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw samples, `shape` -> `(*shape, d)`, without gradients.

        Args:
            generator: of the draw, whether or not the base takes one itself.
        """
        with torch.no_grad():
            return self.path(_drawn(self.base, shape, generator), 2)[-1]

    def path(self, z: Tensor, n_times: int) -> Tensor:
        """Return samples of the base on their way, `(n_times, *z.shape)`."""
        times = torch.linspace(self.t0, self.t1, n_times, dtype=torch.float64)
        return solvers.odeint(self.field, z, times, **self.solver)

    def transport(
        self, z: Tensor, start: float, end: float, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Solve from `start` to `end`, in either direction of time.

        Returns: the samples at `end`, and the integrals from `start` to `end` of the
            divergence and of |f|^2 along their paths: `(..., s, d)`, twice `(..., s)`.
        Raises:
            ValueError: if the samples have another dimension.
            SolverError: if a solution blows up; with the time and the step size.
        """
        if z.shape[-1] != self.dim:
            raise ValueError(
                f"the flow has {self.dim} dimensions, the samples have {z.shape[-1]}"
            )
        if self.trace == "exact":
            noise = None
        elif noise is None:
            # Here, before the solve, and nowhere else: the noise is fixed per solve.
            noise = rademacher(z.shape, dtype=z.dtype, device=z.device)
        evaluate = self._field_and_trace(start, end, z, noise)

        def augmented(t: float, state: Tensor) -> Tensor:
            dz, trace = evaluate(t, state[..., :-2])
            speed = dz.square().sum(-1)
            return torch.cat([dz, trace[..., None], speed[..., None]], dim=-1)

        state = functional.pad(z, (0, 2))  # both integrals start at zero
        state = solvers.solve(augmented, state, start, end, **self.solver)
        return state[..., :-2], state[..., -2], state[..., -1]

    def _field_and_trace(
        self, start: float, end: float, z: Tensor, noise: Tensor | None
    ) -> Callable[[float, Tensor], tuple[Tensor, Tensor]]:
        """Choose how f and its trace are evaluated in this solve."""
        n_steps = (self.solver.get("options") or {}).get("n_steps")
        field: Any = self.field
        if self.trace == "exact" and hasattr(field, "with_divergence"):
            on_half_steps = "euler", "midpoint", "heun", "rk4"
            if self.solver["method"] in on_half_steps and hasattr(field, "tabulate"):
                # Any other number of steps is refused by the solver, in its own words.
                if isinstance(n_steps, int) and n_steps > 0:
                    field = field.tabulate(start, end, 2 * n_steps + 1)
            return field.with_divergence

        def by_autograd(t: float, y: Tensor) -> tuple[Tensor, Tensor]:
            values = []

            def f(y: Tensor) -> Tensor:
                values.append(field(t, y))  # one evaluation serves both
                return values[-1]

            if noise is None:
                trace = divergence(f, y)
            else:
                trace = hutchinson_divergence(f, y, noise)
            return values[0], trace

        return by_autograd


# ------------------------------------------------------------------ densities on a grid


def grid(
    box: tuple[float, float, float, float], n: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the midpoints of n x n cells of a box, for plots and for integrals.

    Args:
        box: `(x_low, x_high, y_low, y_high)`.   n: cells along each side.
    Returns: `(x, y, points)` of shapes `(n,)`, `(n,)` and `(n * n, 2)`; a function of
        the points, reshaped to `(n, n)`, has one y in each row, as images do.
    """
    axis = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    x = (box[0] + (box[1] - box[0]) * axis).to(dtype)
    y = (box[2] + (box[3] - box[2]) * axis).to(dtype)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return x, y, torch.stack([columns.reshape(-1), rows.reshape(-1)], dim=1)


def integrate(values: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """Integrate values at the points of `grid` over the box (midpoint rule).

    Args:
        values: `(..., n * n)`.   box: as in `grid`.
    Returns: `(...)`.
    """
    return values.mean(-1) * (box[1] - box[0]) * (box[3] - box[2])
