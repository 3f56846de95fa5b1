"""Speed beside diffrax, jitted, in pairs and at equal error: `-m benchmark -s`.

diffrax solves with dopri5 at a tolerance. Ours takes rk4 with the fewest steps whose
error is not larger, compiled into one piece: recorded in a CUDA graph on a GPU, by
`torch.compile` on a CPU, where C++ calls the kernels. Beside it our dopri5, as one
calls it. What is timed is a whole solve, until the result is there; with gradients for
the state and all weights, or not.
Here 'cnf' is a flow with the log-density beside the points, its trace written out.

Measured: on an H200 in one piece .27 (MLP) and .52 (CNF) of diffrax's time forwards,
.20 and .50 with gradients; dopri5 takes 2.5 to 7 times its time there.
On one core of such a machine's CPU in one piece 1.5 and 1.9 times its time forwards, .6
(MLP) with gradients. Where Python calls the kernels, as by default, it was 1.6 and 2.5,
.7 beside these, and 1.8 and 2.6, .7 and 1.6 (CNF) on the first machine; on another CPU
1.7, 2.5, 1.0 and .8.
"""

import os
import shutil
import statistics
import time

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import pytest
import torch

from odenets.solvers import odeint

jax = pytest.importorskip("jax")
diffrax = pytest.importorskip("diffrax")
jnp = jax.numpy
jax.config.update("jax_default_matmul_precision", "float32")

RTOL, ATOL, ROUNDS = 1e-5, 1e-6, 40
STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)


def problem(kind):
    """Return the weights and the start as arrays: 64 points, 32 hidden units."""
    generator = torch.Generator().manual_seed(0)
    shapes = (32, 2), (32,), (2, 32), (2,)
    weights = [torch.randn(shape, generator=generator) * 0.5 for shape in shapes]
    y0 = torch.randn(64, 2, generator=generator)
    if kind == "cnf":
        y0 = torch.cat([y0, torch.zeros(64, 1)], dim=1)
    return [w.numpy() for w in weights], y0.numpy()


def field(kind, library, y, weights):
    """One formula for both libraries."""
    A, b, B, c = weights
    hidden = library.tanh(y[:, :2] @ A.T + b)
    slope = hidden @ B.T + c
    if kind == "mlp":
        return slope
    trace = (1 - hidden**2) @ (A * B.T).sum(1)
    join = library.concatenate if library is jnp else library.cat
    return join([slope, -trace[:, None]], 1)


def ours(kind, device, gradients):
    """Return a solve of `(method, options)`."""
    weights, y0 = problem(kind)
    weights = [torch.tensor(w, device=device, requires_grad=gradients) for w in weights]
    y0 = torch.tensor(y0, device=device, requires_grad=gradients)

    def solve(method, options):
        def f(t, y):
            return field(kind, torch, y, weights)

        end = odeint(f, y0, (0.0, 1.0), method, RTOL, ATOL, options)[-1]
        if not gradients:
            return [end]
        return [end, *torch.autograd.grad(end.square().sum(), [y0, *weights])]

    return solve


def compiled(solve, device, n_steps):
    """Return a function without arguments that does the solve in one piece."""
    if device == "cpu":
        quick = {"cpp_wrapper": True}
        return torch.compile(lambda: solve("rk4", {"n_steps": n_steps}), options=quick)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            solve("rk4", {"n_steps": n_steps})
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = solve("rk4", {"n_steps": n_steps})

    def replay():
        graph.replay()
        return found

    return replay


def theirs(kind, device, gradients):
    place = jax.devices("gpu" if device == "cuda" else "cpu")[0]
    weights, y0 = jax.device_put(problem(kind), place)

    def end(y0, weights):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: field(kind, jnp, y, args)),
            diffrax.Dopri5(),
            *(0.0, 1.0, None, y0, weights),
            saveat=diffrax.SaveAt(t1=True),
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=ATOL),
        ).ys[-1]

    def loss(y0, weights):
        found = end(y0, weights)
        return (found**2).sum(), found

    both = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    forwards = jax.jit(end)

    def solve():
        if not gradients:
            return [jax.block_until_ready(forwards(y0, weights))]
        (_, found), (start, rest) = jax.block_until_ready(both(y0, weights))
        return [found, start, *rest]

    return solve


def exact(kind, gradients):
    weights, y0 = problem(kind)
    weights = [torch.tensor(w).double().requires_grad_() for w in weights]
    y0 = torch.tensor(y0).double().requires_grad_()

    def f(t, y):
        return field(kind, torch, y, weights)

    end = odeint(f, y0, (0.0, 1.0), "dopri5", 1e-11, 1e-12)[-1]
    return [end, *torch.autograd.grad(end.square().sum(), [y0, *weights])]


def error(found, expected):
    """Return the largest error, in units of the largest entry, over all that came."""
    tensors = [torch.as_tensor(x.tolist()).double() for x in found]
    return max(
        ((a - b).abs().max() / b.abs().max()).item() for a, b in zip(tensors, expected)
    )


def seconds(solve, device):
    start = time.perf_counter()
    solve()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


@pytest.mark.benchmark
@pytest.mark.parametrize("gradients", [False, True], ids=["forward", "and-backward"])
@pytest.mark.parametrize("kind", ["mlp", "cnf"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_beside_diffrax(device, kind, gradients):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    if device == "cpu" and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a compiler")
    torch.set_num_threads(1)
    expected = exact(kind, gradients)
    jitted, solve = theirs(kind, device, gradients), ours(kind, device, gradients)
    allowed = error(jitted(), expected)
    n_steps = next(
        n
        for n in STEPS
        if error(solve("rk4", {"n_steps": n}), expected) <= max(allowed, 1e-6)
    )
    ways = {
        "rk4 in one piece": compiled(solve, device, n_steps),
        "dopri5": lambda: solve("dopri5", None),
        "diffrax": jitted,
    }
    for way in ways.values():
        for _ in range(3):
            way()
    rounds = [
        {n: seconds(way, device) for n, way in ways.items()} for _ in range(ROUNDS)
    ]
    medians = {n: 1e3 * statistics.median(r[n] for r in rounds) for n in ways}
    ratio = medians["rk4 in one piece"] / medians["diffrax"]
    card = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(f"\n{kind} on {card}, gradients={gradients}, {n_steps} steps of rk4")
    for name, way in ways.items():
        print(f"{name}: {medians[name]:.3f} ms, error {error(way(), expected):.0e}")
    print(f"ratio {ratio:.2f}")
    if device == "cuda":
        assert ratio <= 1.1
