"""InImNet: a network whose depth is a variable (Corbett and Kangin, ICLR 2022).

Let z(q; p, x) be where the ODE z' = f(t, z) arrives at time q when it starts from x at
time p. Read as a function of the *start* p it solves the transport equation

    d/dp z(q; p, x) = -(grad_x z(q; p, x)) f(p, x),        z(q; q, x) = x,

which is solved from p = q downwards. One step of Euler's method, of length one, is
a layer of the discrete InImNet,

    z_{l+1}(x) = z_l(x) + (dz_l/dx)(x) phi_{l+1}(x),       z_0(x) = x,

so that one recursion gives the outputs of the networks of all depths 0 .. L.

Everywhere `phis` is a list of callables `phi(x)` that act on each sample of a batch by
itself and keep the shape of `x`; `phis[0]` is phi_1, the first to act in the recursion.
The recursion differentiates every phi up to L - 1 times: a smooth one bends, one of
ReLUs is straight wherever it has a derivative, so that only its slope remains.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from odenets import solvers
from odenets.adjoint import adjoint_dynamics
from odenets.solvers import TABLEAUS

# The types of torch name a third result, which is there on request only.
jvp: Any = torch.func.jvp
vjp: Any = torch.func.vjp

Map = Callable[[Tensor], Tensor]

# ------------------------------------------------------------------ the recursion


def inimnet_forward(phis: Sequence[Map], x: Tensor) -> list[Tensor]:
    """Return `[z_0(x), ..., z_L(x)]` of the discrete InImNet, exactly.

    Only Jacobian-vector products are taken, never a Jacobian. They are nested, so phi_l
    is evaluated once, but with 2 ** (L - l) parts (its value and all mixed derivatives
    that the deeper layers ask for): time and memory grow like 2 ** L.

    Args:
        phis: L callables, one per layer.
        x: a batch of inputs, the first axis counts the samples.
    Returns: L + 1 tensors of the shape of `x`.
    """

    def all_depths(layers: Sequence[Map], x: Tensor) -> tuple[Tensor, ...]:
        if not layers:
            return (x,)
        *shallower, phi = layers
        direction = phi(x)
        depths, slopes = jvp(lambda x: all_depths(shallower, x), (x,), (direction,))
        return (*depths, depths[-1] + slopes[-1])

    return list(all_depths(phis, x))


def inimnet_forward_approximate(phis: Sequence[Map], x: Tensor) -> list[Tensor]:
    """Return the depths `[z_0(x), ..., z_L(x)]` with an approximate Jacobian.

    J_l = dz_l/dx obeys J_{l+1} = J_l + d(J_l phi_{l+1})/dx. Without the terms in which
    two layers meet, J_{l+1} ~ J_l + dphi_{l+1}/dx, so that

        z_{l+1} ~ z_l + phi_{l+1} + sum_{j <= l} (dphi_j/dx) phi_{l+1}.

    First derivatives are enough: L (L - 1) / 2 Jacobian-vector products. The first two
    depths are exact, the others differ from the exact ones in the third order of phi.
    """
    directions = [phi(x) for phi in phis]
    depths = [x]
    for layer, direction in enumerate(directions):
        step = direction
        for phi in phis[:layer]:
            step = step + phi_in_parts(phi, torch.stack([x, direction]))[1]
        depths.append(depths[-1] + step)
    return depths


def inimnet_forward_jacobian(phis: Sequence[Map], x: Tensor) -> list[Tensor]:
    """Return the same depths as `inimnet_forward` through whole Jacobians.

    This is the recursion taken literally: the n x n Jacobian of every sample is built
    row by row, which multiplies the work by n for each level of nesting. It is here as
    a reference and to show the cost; `x` is `(s, n)`.
    """

    def depth(layers: Sequence[Map], sample: Tensor) -> Tensor:
        if not layers:
            return sample
        *shallower, phi = layers
        jacobian = jacrev(lambda sample: depth(shallower, sample))(sample)
        return depth(shallower, sample) + jacobian @ phi(sample[None])[0]

    return [
        vmap(lambda sample, count=count: depth(phis[:count], sample))(x)
        for count in range(len(phis) + 1)
    ]


# ------------------------------------------------------------------ in parts
#
# Nested Jacobian-vector products are dual numbers of dual numbers: a value of level k
# has 2 ** k parts, itself and its mixed derivatives along k directions. Kept in one
# tensor `(2 ** k, *x.shape)`, the first half being the value and the second half its
# derivative along the last direction, all parts go through a linear map at once.


def times(a: Tensor, b: Tensor) -> Tensor:
    """Multiply two values in parts, entry by entry: the product rule."""
    if len(a) == 1:
        return a * b
    (a0, a1), (b0, b1) = a.chunk(2), b.chunk(2)
    return torch.cat([times(a0, b0), times(a0, b1) + times(a1, b0)])


def one_minus(a: Tensor) -> Tensor:
    """Return 1 - a for a value in parts; a constant has no derivatives."""
    return torch.cat([1 - a[:1], -a[1:]])


def tanh(a: Tensor) -> Tensor:
    """Return tanh of a value in parts: the chain rule, tanh' = 1 - tanh^2."""
    if len(a) == 1:
        return a.tanh()
    a0, a1 = a.chunk(2)
    y = tanh(a0)
    return torch.cat([y, times(one_minus(times(y, y)), a1)])


def relu(a: Tensor) -> Tensor:
    """Return ReLU of a value in parts: all go through, or none does."""
    return a * (a[:1] > 0)


def cos_sin(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of a value in parts."""
    if len(a) == 1:
        return a.cos(), a.sin()
    a0, a1 = a.chunk(2)
    cos, sin = cos_sin(a0)
    return torch.cat([cos, -times(sin, a1)]), torch.cat([sin, times(cos, a1)])


def layers_in_parts(layers: Iterable[Any], a: Tensor) -> Tensor:
    """Send a value in parts `(2 ** k, s, ...)` through affine layers, tanh and ReLU."""
    for layer in layers:
        if isinstance(layer, nn.Tanh):
            a = tanh(a)
        elif isinstance(layer, nn.ReLU):
            a = relu(a)
        else:
            value = layer(a.flatten(0, 1)).unflatten(0, a.shape[:2])
            # A bias moves the value but not the derivatives.
            bias = layer.bias.view(-1, *[1] * (a.ndim - 3))
            a = torch.cat([value[:1], value[1:] - bias])
    return a


def phi_in_parts(phi: Map, a: Tensor) -> Tensor:
    """Return phi of a value in parts, by its own `parts` or else by nested products."""
    if hasattr(phi, "parts"):
        return phi.parts(a)
    if len(a) == 1:
        return phi(a[0])[None]
    a0, a1 = a.chunk(2)
    return torch.cat(jvp(lambda a0: phi_in_parts(phi, a0), (a0,), (a1,)))


def inimnet_forward_parts(phis: Sequence[Map], x: Tensor) -> list[Tensor]:
    """Return the same depths as `inimnet_forward`, with few and large operations.

    phi_{l+1} is evaluated in parts; its value is the direction along which everything
    below is differentiated once more.
    """

    def all_depths(layers: Sequence[Map], a: Tensor) -> list[Tensor]:
        if not layers:
            return [a]
        *shallower, phi = layers
        direction = phi_in_parts(phi, a)
        depths = all_depths(shallower, torch.cat([a, direction]))
        values, slopes = zip(*(z.chunk(2) for z in depths))
        return [*values, values[-1] + slopes[-1]]

    return [z[0] for z in all_depths(phis, x[None])]


VARIANTS = {
    "exact": inimnet_forward_parts,
    "nested": inimnet_forward,
    "approximate": inimnet_forward_approximate,
    "jacobian": inimnet_forward_jacobian,
}
"""The ways to run the recursion, by name."""


def resnet_forward_from(phis: Sequence[Map], x: Tensor) -> list[Tensor]:
    """Return the same depths as residual nets: `z_{l+1}(x) = z_l(x + phi_{l+1}(x))`.

    The deepest layer acts first on the input. This is the forward Euler method for the
    ODE itself; it equals InImNet where all phi are affine, and agrees with it up to
    the second order of phi otherwise.
    """
    depths = [x]
    for count in range(1, len(phis) + 1):
        state = x
        for phi in reversed(phis[:count]):
            state = state + phi(state)
        depths.append(state)
    return depths


# ------------------------------------------------------------------ the adjoint


def inimnet_adjoint(phis: Sequence[Map], x: Tensor, loss_grad: Map) -> list[Tensor]:
    """Return `[Lambda_0(x), ..., Lambda_L(x)]`, the gradient of a loss at every depth.

    Lambda_{l+1} = Lambda_l + (dLambda_l/dx) phi_{l+1} + (dphi_{l+1}/dx)^T Lambda_l

    starts from Lambda_0 = grad L and is one recursion forwards in the layers: there is
    no backward pass. Lambda_l is exactly the gradient of `transported_loss`.

    Args:
        phis, x: as in `inimnet_forward`.
        loss_grad: the gradient of a scalar loss of one sample, `loss_grad(x)` has the
            shape of `x`.
    """

    def all_depths(layers: Sequence[Map], x: Tensor) -> tuple[Tensor, ...]:
        if not layers:
            return (loss_grad(x),)
        *shallower, phi = layers
        direction, transposed = vjp(phi, x)
        depths, slopes = jvp(lambda x: all_depths(shallower, x), (x,), (direction,))
        (pulled_back,) = transposed(depths[-1])
        return (*depths, depths[-1] + slopes[-1] + pulled_back)

    return list(all_depths(phis, x))


def transported_loss(phis: Sequence[Map], x: Tensor, loss: Map) -> list[Tensor]:
    """Return `[E_0(x), ..., E_L(x)]`: `E_{l+1} = E_l + grad E_l . phi_{l+1}`.

    E_0 is the loss, `loss(x)` gives one number per sample, shape `(s,)`. E_l is the
    loss carried along by the transport equation; it differs from L(z_l(x)) in the
    second order of phi.
    """

    def all_depths(layers: Sequence[Map], x: Tensor) -> tuple[Tensor, ...]:
        if not layers:
            return (loss(x),)
        *shallower, phi = layers
        direction = phi(x)
        depths, slopes = jvp(lambda x: all_depths(shallower, x), (x,), (direction,))
        return (*depths, depths[-1] + slopes[-1])

    return list(all_depths(phis, x))


def parameter_gradient(
    phis: Sequence[Map],
    params: Iterable[Tensor],
    x: Tensor,
    loss_grad: Map,
) -> tuple[Tensor, ...]:
    """Return the gradient of the summed transported loss for the deepest layer.

    dE_L/dtheta_L = Lambda_{L-1}(x)^T dphi_L/dtheta_L: what the layer does at the input,
    weighted by the sensitivity that the network behind it hands over.

    Args:
        phis, x, loss_grad: as in `inimnet_adjoint`; at least one phi.
        params: parameters of `phis[-1]`.
    Returns: one tensor per parameter, zeros where a parameter is not used.
    """
    params = tuple(params)
    sensitivity = inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    with torch.enable_grad():
        grads = torch.autograd.grad(
            phis[-1](x.detach()), params, sensitivity, allow_unused=True
        )
    return tuple(
        torch.zeros_like(param) if grad is None else grad
        for param, grad in zip(params, grads)
    )


def parameter_gradients(
    phis: Sequence[nn.Module], x: Tensor, loss_grad: Map
) -> list[tuple[Tensor, ...]]:
    """Return the gradients of the summed transported loss for all weights, all depths.

    G_l = dE_l/dtheta, summed over the samples, is one more function of the input that
    the recursion carries along, beside Lambda_l of `inimnet_adjoint`:

        G_{l+1} = G_l + (dG_l/dx) phi_{l+1} + (dphi_{l+1}/dtheta)^T Lambda_l,   G_0 = 0.

    The last term is there for the weights of phi_{l+1} alone. Where layers share their
    weights it comes back at each of them: coupled weights need nothing else. Nothing is
    kept for a backward pass, there is none.

    With a `loss_grad` that does not depend on `x`, v say, E_l is the linear function
    v . z_l; for v = the gradient of any loss L at z_l(x) therefore, G_l is the exact
    gradient of L(z_l(x)).

    Args:
        phis: L modules; one that stands at several layers has coupled weights.
        x, loss_grad: as in `inimnet_adjoint`.
    Returns: for each depth 0 .. L one tensor per parameter of `nn.ModuleList(phis)`.
    """
    modules = list(dict.fromkeys(phis))
    weights = [_detached(module) for module in modules]

    def all_depths(layers: Sequence[nn.Module], x: Tensor) -> list[tuple]:
        if not layers:
            zeros = [[torch.zeros_like(w) for w in ws.values()] for ws in weights]
            return [(loss_grad(x), zeros)]
        *shallower, phi = layers
        own = modules.index(phi)
        direction, transposed = vjp(
            lambda theta, x: functional_call(phi, theta, (x,)), weights[own], x
        )
        depths, slopes = jvp(lambda x: all_depths(shallower, x), (x,), (direction,))
        (Lambda, G), (dLambda, dG) = depths[-1], slopes[-1]
        theta, pulled_back = transposed(Lambda)
        G = [[g + dg for g, dg in zip(gs, dgs)] for gs, dgs in zip(G, dG)]
        G[own] = [g + dg for g, dg in zip(G[own], theta.values())]
        return [*depths, (Lambda + dLambda + pulled_back, G)]

    depths = all_depths(list(phis), x.detach())
    return [tuple(g for gs in G for g in gs) for _, G in depths]


def _detached(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a module by name, cut off from autograd."""
    return {name: weight.detach() for name, weight in module.named_parameters()}


# ------------------------------------------------------------------ continuous depth


def transport_residual(
    z: Callable[[Any, Tensor], Tensor],
    f: Callable[[Any, Tensor], Tensor],
    p: float,
    x: Tensor,
    dp: float,
) -> Tensor:
    """Return `d/dp z(p, x) + (grad_x z(p, x)) f(p, x)`, which vanishes for a solution.

    The first term is a central difference with half-width `dp`, the second an exact
    Jacobian-vector product; `z(p, x)` has q fixed inside and the shape of `x`.
    """
    slope_in_p = (z(p + dp, x) - z(p - dp, x)) / (2 * dp)
    _, slope_in_x = jvp(lambda x: z(p, x), (x,), (f(p, x),))
    return slope_in_p + slope_in_x


MOST_STAGES = 14
"""So many stages `imbed` nests at most."""


State = tuple[Tensor, ...]


def imbed(
    f: Callable[[Any, Tensor], Tensor],
    x: Tensor,
    p: Sequence[float] | Tensor,
    method: str = "euler",
    n_steps: int = 1,
) -> Tensor:
    """Solve the transport equation in the depth p by an explicit Runge-Kutta method.

    The state of this initial value problem is not a vector but the whole function
    x -> z(q; p, x), and each stage K_i = -(grad Y_i) f(p_i, .) is such a function too.
    The stages of a step are carried together through one nested Jacobian-vector
    product each. Such a product multiplies with the zero tangents of the weights too,
    so that n stages in all cost as much as (3^n - 1) / 2 evaluations of the field.

    Args:
        f: the field, `f(p, x)` has the shape of `x` and treats each sample by itself.
        x: the inputs, a batch.
        p: the depths at which z is wanted, the first is q; falling or rising.
        method: a name in `solvers.TABLEAUS`; its step size is fixed.
        n_steps: steps between two entries of `p`.
    Returns: `z(q; p_i, x)` stacked, shape `(len(p), *x.shape)`.
    Raises:
        ValueError: where the stages would be more than `MOST_STAGES`.
    """
    depths = _transport(f, lambda x: (x,), None, x, p, method, n_steps)
    return torch.stack([z for (z,) in depths])


def imbed_adjoint(
    field: nn.Module,
    x: Tensor,
    p: Sequence[float] | Tensor,
    loss_grad: Map,
    method: str = "euler",
    n_steps: int = 1,
) -> tuple[Tensor, list[State]]:
    """Return gradients at every depth by one sweep forwards in depth.

    With E(p, x) the loss carried along by the transport equation, Lambda = grad_x E and
    G = dE/dtheta solve, from p = q on, what one gets by differentiating that equation:

        dLambda/dp = -(grad_x Lambda) f - (df/dx)^T Lambda,     Lambda(q, x) = grad L,
        dG/dp      = -(grad_x G) f - (df/dtheta)^T Lambda,      G(q, x) = 0.

    They are solved as in `imbed`, so that they are the exact gradients of what the same
    method makes of E. As in `parameter_gradients`, a constant `loss_grad` gives those
    of a loss of z itself. All layers share the weights; nothing is kept.

    Args:
        field: `field(p, x)`, a module.   loss_grad: as in `inimnet_adjoint`.
        x, p, method, n_steps: as in `imbed`.
    Returns: Lambda, `(len(p), *x.shape)`, and for each p one tensor per parameter,
        summed over the samples.
    """
    weights = _detached(field)

    def called(theta: dict[str, Tensor], p: Any, x: Tensor) -> Tensor:
        return functional_call(field, theta, (p, x))

    def start(x: Tensor) -> State:
        return loss_grad(x), *(torch.zeros_like(w) for w in weights.values())

    def source(p: Any, x: Tensor, state: State) -> State:
        _, transposed = vjp(lambda theta, x: called(theta, p, x), weights, x)
        theta, pulled_back = transposed(state[0])
        return pulled_back, *theta.values()

    depths = _transport(
        partial(called, weights), start, source, x.detach(), p, method, n_steps
    )
    return torch.stack([state[0] for state in depths]), [state[1:] for state in depths]


def imbed_gradients(
    field: nn.Module,
    x: Tensor,
    p: Sequence[float] | Tensor,
    loss: Map,
    method: str = "euler",
    n_steps: int = 1,
) -> tuple[Tensor, Tensor, State]:
    """Return a loss of z at all depths and its gradients, by sweeps forwards in depth.

    One sweep for z, and one for each depth with v_i = dloss/dz_i for a gradient that
    does not depend on `x`: the results are those of autograd through `imbed`.

    Args:
        loss: of the outputs `(len(p), *x.shape)`, a number.
        field, x, p, method, n_steps: as in `imbed_adjoint`.
    Returns: the loss, its gradient with respect to `x`, and one tensor for each
        parameter of the field.
    """
    with torch.no_grad():
        z = imbed(field, x, p, method, n_steps)
    value, v = _value_and_slope(loss, z)
    grad_x, grads = v[0], [torch.zeros_like(w) for w in field.parameters()]
    for depth in range(1, len(p)):
        Lambda, G = imbed_adjoint(
            field, x, p[: depth + 1], partial(_constant, v[depth]), method, n_steps
        )
        grad_x = grad_x + Lambda[-1]
        grads = [total + more for total, more in zip(grads, G[-1])]
    return value, grad_x, tuple(grads)


def _constant(v: Tensor, x: Tensor) -> Tensor:
    return v


def _value_and_slope(loss: Map, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return loss(z) and its gradient, both without a graph."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = loss(z)
        (slope,) = torch.autograd.grad(value, z)
    return value.detach(), slope


def _transport(
    f: Callable[[Any, Tensor], Tensor],
    start: Callable[[Tensor], State],
    source: Callable[[Any, Tensor, State], State] | None,
    x: Tensor,
    p: Sequence[float] | Tensor,
    method: str,
    n_steps: int,
) -> list[State]:
    """Solve dS/dp = -(grad_x S) f - source(p, x, S), S(q, x) = start(x)."""
    tableau = TABLEAUS[method]
    a, b, c = tableau.a, tableau.b, tableau.c
    depths = [float(depth) for depth in p]
    nested = (len(depths) - 1) * n_steps * len(b)
    if nested > MOST_STAGES:
        raise ValueError(
            f"{nested} stages in all would cost (3 ** {nested} - 1) / 2 evaluations of "
            f"the field; take at most {MOST_STAGES}: fewer depths, fewer steps or "
            "another method, or a ContinuousInImNet"
        )
    walls = [depths[0]]
    for begin, end in pairwise(depths):
        walls += [begin + (end - begin) * k / n_steps for k in range(1, n_steps + 1)]

    def combine(parts: Sequence[State], weights: Sequence[float], h: float) -> State:
        """Add the weighted stages to the state: `parts` is (S, K_1, ..., K_i)."""
        total = parts[0]
        for weight, stage in zip(weights, parts[1:]):
            if weight:
                total = tuple(t + h * weight * k for t, k in zip(total, stage))
        return total

    def stages(step: int, count: int, x: Tensor) -> tuple[State, ...]:
        """Return all depths so far, then S and K_1 .. K_count of the step, at x."""
        if count == 0:
            return walk(step, x)
        begin, h = walls[step], walls[step + 1] - walls[step]
        time, row = begin + c[count - 1] * h, a[count - 1]
        values, slopes = jvp(lambda x: stages(step, count - 1, x), (x,), (f(time, x),))
        done = step + 1  # so many depths stand in front of S, K_1, ...
        stage = tuple(-slope for slope in combine(slopes[done:], row, h))
        if source is not None:
            more = source(time, x, combine(values[done:], row, h))
            stage = tuple(k - g for k, g in zip(stage, more))
        return (*values, stage)

    def walk(steps: int, x: Tensor) -> tuple[State, ...]:
        """Return the states at walls 0 .. steps, and the last of them once more."""
        if steps == 0:
            return (start(x),) * 2
        values = stages(steps - 1, len(b), x)
        state = combine(values[steps:], b, walls[steps] - walls[steps - 1])
        return (*values[:steps], state, state)

    return list(walk(len(walls) - 1, x)[: len(walls)][::n_steps])


class ContinuousInImNet(nn.Module):
    """The outputs z(q; p_i, x) at all depths, by any solver; `x` of any shape.

    A transport equation is solved along its characteristics, and those of this one are
    the paths of y' = f(t, y): z(q; p, x) is where the path arrives at q that is in x at
    p. So the paths start one after the other, the deepest first, and walk up to q
    together. Unlike `imbed`, whose cost triples with every stage, this takes steps as
    the solver likes, adaptive ones included; what is gone is the sweep that needs no
    other start than p = q.

    Args:
        field: `field(p, x)`, a module that keeps the shape of `x` and treats each
            sample by itself; its weights serve all depths. A smooth one: across the
            kinks of a ReLU no solver keeps its order, in gradients least of all.
        p: the depths at which z is wanted, falling from q = p[0].
        method, rtol, atol, options: as in `solvers.odeint`.
    Raises:
        ValueError: if `p` does not fall.
    """

    def __init__(
        self,
        field: nn.Module,
        p: Sequence[float],
        method: str = "dopri5",
        rtol: float = 1e-6,
        atol: float = 1e-8,
        options: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.field, self.p = field, [float(depth) for depth in p]
        if any(end >= start for start, end in pairwise(self.p)):
            raise ValueError(f"the depths must fall from q = p[0] on, not {self.p}")
        self.settings = solvers.Settings(
            method=method, rtol=rtol, atol=atol, options=options
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `x (s, ...)` to `(len(p), s, ...)`, depth 0 first, which is `x`."""
        paths = x[None][:0]
        for end, start in reversed(list(pairwise(self.p))):
            paths = torch.cat([x[None], paths])  # a path starts here
            paths = solvers.solve(self._slopes, paths, start, end, **self.settings)
        return torch.cat([x[None], paths])

    def gradients(
        self, x: Tensor, loss: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, State]:
        """Return a loss and its gradients by one sweep forwards in depth.

        Along a path y the equations of `imbed_adjoint` are ordinary ones,

            Lambda' = -(df/dx)^T Lambda,    G' = -(df/dtheta)^T Lambda,    y' = f,

        with y = z(q; p_i, x) and Lambda = dloss/dy at p = q. They are solved from there
        towards falling p, for all depths together; a path that has come to its p_i is
        in x again, and leaves. Nothing is kept. What this costs is that z has to be
        known at p = q, for which all depths are solved once before.

        Args:
            x: inputs `(s, ...)`.   loss: of the outputs `(len(p), s, ...)`, a number.
        Returns: the loss, its gradient with respect to `x`, and one tensor for each
            parameter of the field.
        """
        params = tuple(self.field.parameters())
        with torch.no_grad():
            z = self(x)
        value, a = _value_and_slope(loss, z)
        y, a, grad_x = z[1:], a[1:], a[0]
        total = x.new_zeros(sum(w.numel() for w in params))

        def sweep(p: float, state: State) -> State:
            dy, da, dparams = adjoint_dynamics(self._slopes, params, p, *state[:2])
            return dy, da, torch.cat([w.reshape(-1) for w in dparams])

        for start, end in pairwise(self.p):
            y, a, total = solvers.solve(
                sweep, (y, a, total), start, end, **self.settings
            )
            y, a, grad_x = y[1:], a[1:], grad_x + a[0]
        grads = total.split([w.numel() for w in params])
        shaped = tuple(grad.view_as(w) for grad, w in zip(grads, params))
        return value, grad_x, shaped

    def _slopes(self, p: float, paths: Tensor) -> Tensor:
        return self.field(p, paths.flatten(0, 1)).view_as(paths)


# ------------------------------------------------------------------ networks


ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
"""What stands between the affine layers of a field, by name."""


class Field(nn.Module):
    """phi(x): affine layers with activations between them, `x` to its own shape.

    The last layer starts small, so that an untrained network is near the identity.

    Args:
        affine: the affine layers, in their order.
        activation: a name in `ACTIVATIONS`.
        gain: the last layer is multiplied by it.
    """

    def __init__(
        self,
        affine: Sequence[nn.Module],
        activation: str = "tanh",
        gain: float = 0.1,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation {activation!r} is not one of {sorted(ACTIVATIONS)}"
            )
        layers: list[nn.Module] = []
        for layer in affine:
            layers += [layer, ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1])
        with torch.no_grad():
            for param in self.layers[-1].parameters():
                param.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def parts(self, a: Tensor) -> Tensor:
        return layers_in_parts(self.layers, a)


class DenseField(Field):
    """phi(x): a perceptron of `n_layers` linear maps, `(s, dim)` to `(s, dim)`."""

    def __init__(
        self,
        dim: int,
        width: int,
        n_layers: int = 2,
        gain: float = 0.1,
        activation: str = "tanh",
    ):
        sizes = [dim] + [width] * (n_layers - 1) + [dim]
        super().__init__(
            [nn.Linear(*ends) for ends in pairwise(sizes)], activation, gain
        )


class ConvField(Field):
    """phi(x) of three convolutions, `(s, channels, H, W)` to the same shape."""

    def __init__(
        self,
        channels: int,
        hidden: int = 16,
        gain: float = 0.1,
        activation: str = "tanh",
    ):
        widths = [channels, hidden, hidden, channels]
        convs = [nn.Conv2d(*ends, 3, padding=1) for ends in pairwise(widths)]
        super().__init__(convs, activation, gain)


class HourglassField(Field):
    """phi(x) that sees far: convolutions to a quarter of the size, and back.

    `(s, channels, H, W)` to the same shape; H and W are multiples of 4.
    """

    def __init__(
        self,
        channels: int,
        hidden: int = 32,
        gain: float = 0.1,
        activation: str = "tanh",
    ):
        wide = 2 * hidden
        super().__init__(
            [
                nn.Conv2d(channels, hidden, 5, stride=2, padding=2),
                nn.Conv2d(hidden, wide, 5, stride=2, padding=2),
                nn.Conv2d(wide, wide, 5, padding=2),
                nn.ConvTranspose2d(wide, hidden, 4, stride=2, padding=1),
                nn.ConvTranspose2d(hidden, channels, 4, stride=2, padding=1),
            ],
            activation,
            gain,
        )


class InImNet(nn.Module):
    """The outputs at all depths 0 .. L, `x` of any shape to `(L + 1, *x.shape)`.

    Args:
        make_phi: called once per layer, or only once with coupled weights.
        depth: the number L of layers to train.
        coupled: one phi for all layers; only then is there a network of any depth.
        variant: a name in `VARIANTS`.
    """

    def __init__(
        self,
        make_phi: Callable[[], nn.Module],
        depth: int,
        coupled: bool = False,
        variant: str = "exact",
    ):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is not one of {sorted(VARIANTS)}")
        self.depth, self.coupled, self.variant = depth, coupled, variant
        self.phis = nn.ModuleList(make_phi() for _ in range(1 if coupled else depth))

    def layers(self, depth: int | None = None) -> list[nn.Module]:
        """Return phi_1 .. phi_depth.

        Raises:
            ValueError: where layers of their own were never made for that depth, and
                for a negative one.
        """
        depth = self.depth if depth is None else depth
        if depth < 0:
            raise ValueError(f"depth is {depth}, but it counts layers: 0 or more")
        if self.coupled:
            return [self.phis[0]] * depth
        if depth > self.depth:
            raise ValueError(
                f"this network has {self.depth} layers with weights of their own, so "
                f"there is none of depth {depth}; couple the weights to go deeper"
            )
        return list(self.phis[:depth])

    def forward(self, x: Tensor, depth: int | None = None) -> Tensor:
        """Return z_0(x) .. z_depth(x), by default up to the trained depth."""
        return torch.stack(VARIANTS[self.variant](self.layers(depth), x))


class OnCircle(nn.Module):
    """A field for states (x, t) in which time runs on a circle.

    `phi` sees (x, cos a, sin a) with a = 2 pi t / period, and so it is the same again
    one period later; of its outputs, those for x and one for t are kept.
    """

    def __init__(self, phi: "DenseField", period: float):
        super().__init__()
        self.phi, self.period = phi, period

    def forward(self, u: Tensor) -> Tensor:
        angle = u[:, -1:] * (2 * math.pi / self.period)
        around = torch.cat([u[:, :-1], angle.cos(), angle.sin()], dim=1)
        return self.phi(around)[:, :-1]

    def parts(self, a: Tensor) -> Tensor:
        cos, sin = cos_sin(a[..., -1:] * (2 * math.pi / self.period))
        return self.phi.parts(torch.cat([a[..., :-1], cos, sin], dim=-1))[..., :-1]


class LatentInImNet(InImNet):
    """Where a latent code is at time t, predicted by the networks of all depths.

    The state of the imbedding is u = (x, t), the code with the time as one more
    coordinate; phi acts on u, and the code is what is read at the end. At depth 0 the
    code comes out as it went in: that network knows nothing about time.

    Args:
        latent_dim: size of the code.   width: hidden units of each phi.
        depth: trained depth.   coupled: one phi for all layers.
        n_layers: linear maps in each phi.   variant: a name in `VARIANTS`.
        period: of the time, where everything comes back; 0 if nothing does.
        activation: a name in `ACTIVATIONS`.
    """

    def __init__(
        self,
        latent_dim: int,
        width: int,
        depth: int,
        coupled: bool = False,
        n_layers: int = 2,
        variant: str = "exact",
        period: float = 0.0,
        activation: str = "tanh",
    ):
        def make_phi() -> nn.Module:
            dim = latent_dim + (2 if period else 1)
            phi = DenseField(dim, width, n_layers, activation=activation)
            return OnCircle(phi, period) if period else phi

        super().__init__(make_phi, depth, coupled, variant)

    def forward(  # type: ignore[override]  # the time is one argument more
        self, x: Tensor, t: Tensor, depth: int | None = None
    ) -> Tensor:
        """Map codes `x (s, latent_dim)` and times `t (s,)` to `(depth + 1, s, dim)`."""
        state = torch.cat([x, t[:, None]], dim=1)
        return super().forward(state, depth)[..., :-1]


class ConvInImNet(InImNet):
    """Images at all depths: `x (s, channels, H, W)` to `(depth + 1, *x.shape)`."""

    def __init__(self, channels: int, depth: int, coupled: bool = False):
        super().__init__(partial(ConvField, channels), depth, coupled)


def extrapolate(model: InImNet, x: Tensor, t: Tensor, extra_depth: int) -> Tensor:
    """Return the predictions at the depths `depth + 1 .. depth + extra_depth`.

    Nothing is trained for them: with coupled weights the recursion simply goes on.

    Raises:
        ValueError: if every layer of `model` has weights of its own.
    """
    if not model.coupled:
        raise ValueError("only a network with coupled weights goes on beyond its depth")
    return model(x, t, depth=model.depth + extra_depth)[model.depth + 1 :]


# ------------------------------------------------------------------ a known case


def projectile(p: Any, q: Any, v: Any, gravity: float) -> Any:
    """Return the height at time q of a body thrown upwards at time p from height 0.

    All in SI units: times in s, speed `v` in m/s, `gravity` in m/s^2, height in m.
    """
    flight = q - p
    return v * flight - gravity * flight**2 / 2


def projectile_field(gravity: float) -> Callable[[Any, Tensor], Tensor]:
    """Return f(t, x) of free fall for states x = (height, speed), shape `(s, 2)`."""

    def fall(t: Any, x: Tensor) -> Tensor:
        height, speed = x[..., 0], x[..., 1]
        return torch.stack([speed, torch.full_like(height, -gravity)], dim=-1)

    return fall


# ------------------------------------------------------------------ video


class FrameEncoder(nn.Module):
    """Turn the first frames of a video `(s, n_context, size, size)` into a code."""

    def __init__(self, n_context: int, size: int, latent_dim: int, channels: int = 16):
        super().__init__()
        widths = [n_context, channels, 2 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise(widths):
            layers += [
                nn.Conv2d(c_in, c_out, 5, stride=2, padding=2),
                nn.GroupNorm(8, c_out),
                nn.ReLU(),
            ]
        cells = math.ceil(size / 8) ** 2
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(widths[-1] * cells, latent_dim)
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(frames)


class FrameDecoder(nn.Module):
    """Turn codes `(s, latent_dim)` into images `(s, size, size)` with values in [0, 1].

    The picture grows from a 4 x 4 grid by doublings, and its middle is kept.
    """

    def __init__(self, latent_dim: int, size: int, channels: int = 16):
        super().__init__()
        self.size = size
        doublings = math.ceil(math.log2(size / 4))
        self.edge = (4 * 2**doublings - size) // 2
        widths = [channels * 2**k for k in range(doublings, -1, -1)]
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, widths[0] * 16),
            nn.Unflatten(1, (widths[0], 4, 4)),
        ]
        for c_in, c_out in pairwise(widths):
            layers += [
                nn.GroupNorm(8, c_in),
                nn.ReLU(),
                nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1),
            ]
        layers += [
            nn.GroupNorm(8, channels),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 5, padding=2),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, codes: Tensor) -> Tensor:
        image = torch.sigmoid(self.layers(codes))[:, 0]
        inside = slice(self.edge, self.edge + self.size)
        return image[:, inside, inside]


class DenseDecoder(nn.Module):
    """Turn codes `(s, latent_dim)` into images `(s, size, size)` without convolutions.

    Worse than `FrameDecoder` in the end, but many times faster on a processor. Grey
    values are not confined to [0, 1]: where most pixels are black, a sigmoid would
    saturate and hardly learn.
    """

    def __init__(self, latent_dim: int, size: int, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, size * size),
            nn.Unflatten(1, (size, size)),
        )

    def forward(self, codes: Tensor) -> Tensor:
        return self.layers(codes)


class VideoInImNet(nn.Module):
    """Predict frames at given times by networks of all depths.

    encoder: first frames -> code x;  InImNet: (x, t) -> code at time t, for every
    depth;  decoder: code -> image, one decoder for all depths.

    Args:
        n_context: frames that the encoder sees.   size: height and width, at most 32.
        latent_dim, width, depth, coupled, n_layers, variant, period, activation: see
            `LatentInImNet`.
        channels: of the first convolution.
        dense_decoder: hidden units of a `DenseDecoder`; 0 for a `FrameDecoder`.
    """

    def __init__(
        self,
        n_context: int,
        size: int,
        latent_dim: int = 20,
        width: int = 40,
        depth: int = 4,
        coupled: bool = False,
        n_layers: int = 2,
        channels: int = 16,
        variant: str = "exact",
        period: float = 0.0,
        dense_decoder: int = 0,
        activation: str = "tanh",
    ):
        super().__init__()
        self.encoder = FrameEncoder(n_context, size, latent_dim, channels)
        self.imbedding = LatentInImNet(
            latent_dim, width, depth, coupled, n_layers, variant, period, activation
        )
        self.decoder = (
            DenseDecoder(latent_dim, size, dense_decoder)
            if dense_decoder
            else FrameDecoder(latent_dim, size, channels)
        )

    def forward(
        self,
        context: Tensor,
        t: Tensor,
        depth: int | None = None,
        deepest: bool = False,
    ) -> Tensor:
        """Return frames for all depths.

        Args:
            context: `(s, n_context, size, size)`.   t: times `(s, k)`, k per video.
            depth: deepest network, by default the trained depth.
            deepest: draw for the deepest network only.
        Returns: `(depth + 1, s, k, size, size)`, or `(1, s, k, size, size)`.
        """
        code = self.encoder(context).repeat_interleave(t.shape[1], dim=0)
        asked = () if depth is None else (depth,)  # not every imbedding takes one
        codes = self.imbedding(code, t.flatten(), *asked)
        codes = codes[-1:] if deepest else codes
        frames = self.decoder(codes.flatten(0, 1))
        return frames.unflatten(0, (len(codes), *t.shape))


class ConvVideoInImNet(nn.Module):
    """Predict frames at given times without encoder and decoder: the state is a film.

    The state is the first frames as channels and one channel more, which is filled with
    the time; the prediction is read where the last of the frames stood. At depth 0 that
    is this frame itself, whatever the time.

    Args:
        n_context: frames that are seen.   depth, coupled, variant: see `InImNet`.
        hidden, activation: see `HourglassField`.
    """

    def __init__(
        self,
        n_context: int,
        depth: int,
        coupled: bool = False,
        hidden: int = 32,
        variant: str = "exact",
        activation: str = "tanh",
    ):
        super().__init__()

        def make_phi() -> nn.Module:
            return HourglassField(n_context + 1, hidden, activation=activation)

        self.imbedding = InImNet(make_phi, depth, coupled, variant)

    def forward(
        self,
        context: Tensor,
        t: Tensor,
        depth: int | None = None,
        deepest: bool = False,
    ) -> Tensor:
        """Return frames for all depths; as `VideoInImNet`."""
        films = context.repeat_interleave(t.shape[1], dim=0)
        times = t.flatten()[:, None, None, None].expand_as(films[:, :1])
        z = self.imbedding(torch.cat([films, times], dim=1), depth)
        z = z[-1:] if deepest else z
        return z[:, :, -2].unflatten(1, t.shape)
