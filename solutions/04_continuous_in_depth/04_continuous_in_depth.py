# %% [markdown]
# # 04 - Better integrators: networks that are continuous in depth
#
# **The question.** If a residual network is Euler's method, what happens when a better
# method takes its place: in the equation, in training, and when the network is used?
#
# **Time** about 110 minutes - **points** 22 - **you need** notebooks 01 and 03,
# convolutional networks, and loops over layers.
#
# After this notebook you can
#
# 1. *program* any explicit Runge-Kutta method from its tableau, and *measure* its order,
# 2. *choose* step sizes by an error estimate, and *say* when this pays,
# 3. *read* weights that are constant on cells of depth-time without losing the order,
# 4. *refine* a network while it is being trained, without changing its weights as a function of depth-time,
# 5. *test* whether a trained network is a function of its equation or of its step size.
#
# **Sources.** A. Queiruga, N. B. Erichson, D. Taylor, M. W. Mahoney,
# *Continuous-in-depth neural networks*, 2020,
# [arXiv 2008.02389](https://arxiv.org/abs/2008.02389): ContinuousNet, its refinement,
# and the convergence test under other schemes ("manifestation invariance").
# E. Hairer, S. P. Norsett, G. Wanner, *Solving ordinary differential equations I*,
# chapter II: Runge-Kutta methods (formula II.1.8), embedded pairs and step control (II.4).

# %%
import importlib.util
from types import SimpleNamespace
import matplotlib.pyplot as plt
import numpy as np
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+REPOSITORY#subdirectory=course")
from odenets import check, plots, scale, solvers, training
from odenets.data import images
from odenets.nets import continuous
scale.use("lesson")
plots.style()
training.set_seed(0)

# %% [markdown]
# ## 1. A method is a table of numbers
#
# Euler's method looks at the slope once and walks.
# Better methods look several times before they walk:
# they try a few *stages*, which are not kept, and combine their slopes.
# With $s$ stages, one step from $(t, y)$ to time $t + h$ is
#
# $$k_i = f\Big(t + c_i h,\; y + h \sum_{j < i} a_{ij} k_j\Big), \quad i = 1, \dots, s,
# \qquad y_{\text{new}} = y + h \sum_{i=1}^{s} b_i k_i. \tag{1}$$
#
# The numbers $a$, $b$, $c$ are the *tableau* of the method; everything else is always the same.
# So a solver is data plus one small loop. Here are four tableaus of the package.

# %%
for name in ("euler", "midpoint", "rk4", "rk4_38"):
    tableau = solvers.TABLEAUS[name]
    print(f"{name}, order {tableau.order}")
    for c, row in zip(tableau.c, tableau.a):
        print(f"  c = {c:.3f}   a = " + "  ".join(f"{a:6.3f}" for a in row))
    print("              b = " + "  ".join(f"{b:6.3f}" for b in tableau.b))

# %% [markdown]
# The row of $a$ for stage $i$ has only the $i - 1$ entries to the left of the diagonal:
# an explicit method uses slopes that it has already.

# %% [markdown]
# ### Exercise 4.1 - One step of any Runge-Kutta method (4 points, ~12 min)
# Program formula (1) for an arbitrary tableau. With Euler's tableau it must be
# Euler's step, with `rk4` the classical method, and it must work for methods that
# you have never seen. Each stage evaluates the field once.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# Keep the slopes in a list. When you are at stage <code>i</code> the list has exactly as many
# entries as the row <code>tableau.a[i]</code>.</details>
# <details><summary>Hint 2 - the idea</summary>
# The state of a stage starts from <code>y</code>, never from the state of the stage before.
# It may need all slopes so far, not only the last one: compare the rows of rk4_38.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>for row, c in zip(tableau.a, tableau.c)</code>: build
# <code>stage = y + h * (sum of a * k over zip(row, slopes))</code> and append
# <code>f(t + c * h, stage)</code>. At last add the slopes to <code>y</code> in the same way,
# with the weights <code>tableau.b</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "runge_kutta_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def runge_kutta_step(tableau, f, t, y, h):
    """Advance `y` from time `t` to `t + h` with one step of an explicit method.

    Args:
        tableau: has the fields `a` (one row per stage; row i has i entries, the first
            row is empty), `b` and `c` (one number per stage), all Python floats.
        f: field; `f(t, y)` returns a tensor of the shape of `y`. It is called once
            for each stage, in their order.
        t: time, a float.   y: state, any shape.   h: step size, may be negative.

    Returns:
        The new state, same shape and dtype as `y`; `y` itself is left unchanged.
        Gradients flow through.
    """
    ### BEGIN SOLUTION
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y
        for a, k in zip(row, slopes):
            stage = stage + h * a * k
        slopes.append(f(t + c * h, stage))
    new = y
    for b, k in zip(tableau.b, slopes):
        new = new + h * b * k
    return new
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_runge_kutta_step", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "runge_kutta_step",
    points=4,
    answer=lambda: runge_kutta_step,
    package=(solvers.runge_kutta_step, solvers.embedded_step, solvers.odeint),
    further=3,
)
def exercise(checks):
    euler, rk4, rule_38 = (solvers.TABLEAUS[name] for name in ("euler", "rk4", "rk4_38"))
    invented = SimpleNamespace(
        a=((), (0.3,), (-1.0, 1.5)), b=(0.2, 0.1, 0.7), c=(0.0, 0.4, 0.9)
    )
    start = torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)

    def growth(t, y):
        return y

    def turning(t, y):  # mixes time and state, and the components with each other
        return torch.stack([torch.cos(t + y[..., 1]), y[..., 0] * (1 + t)], dim=-1)

    checks.close(
        "Euler: one step of y' = y from 2 with h = 0.5, and then with h = 1",
        lambda: [runge_kutta_step(euler, growth, 0.0, torch.full((3,), 2.0), h) for h in (0.5, 1)],
        [torch.full((3,), 3.0), torch.full((3,), 4.0)],
    )
    checks.close(
        "rk4: one step of y' = y from 1 with h = 0.5 is 1 + h + h²/2 + h³/6 + h⁴/24",
        lambda: runge_kutta_step(rk4, growth, 0.0, one, 0.5),
        one * (1 + 0.5 + 0.5**2 / 2 + 0.5**3 / 6 + 0.5**4 / 24),
    )

    def times_of_the_stages():
        seen = []
        new = runge_kutta_step(
            rule_38, lambda t, y: [y, seen.append(float(t))][0], 1.0, one, 0.6
        )
        return seen, new

    checks.close(
        "the 3/8 rule from t = 1 with h = 0.6: the times at which it asks, and the new state",
        times_of_the_stages,
        ([1.0, 1.2, 1.4, 1.6], one * (1 + 0.6 + 0.6**2 / 2 + 0.6**3 / 6 + 0.6**4 / 24)),
    )
    checks.close(
        "the 3/8 rule on a field that mixes time and state",
        lambda: runge_kutta_step(rule_38, turning, 0.7, start, 0.3),
        solvers.runge_kutta_step(rule_38, turning, 0.7, start, 0.3),
    )
    checks.close(
        "an invented tableau, and a step back in time",
        lambda: runge_kutta_step(invented, turning, 0.7, start, -0.3),
        solvers.runge_kutta_step(invented, turning, 0.7, start, -0.3),
    )

    def unchanged():
        y = start.float()
        return runge_kutta_step(rk4, growth, 0.0, y, 0.5), y

    checks.close(
        "the new state and then y, which is left unchanged, in float32",
        unchanged,
        (start.float() * 1.6484375, start.float()),
    )

    def gradient():
        y = one.clone().requires_grad_()
        runge_kutta_step(rule_38, growth, 0.0, y, 0.6).sum().backward()
        return y.grad

    checks.close("the gradient through the step", gradient, one * 1.8214)
    ### BEGIN HIDDEN TESTS
    third_order = SimpleNamespace(
        a=((), (1 / 3,), (0.0, 2 / 3)), b=(0.25, 0.0, 0.75), c=(0.0, 1 / 3, 2 / 3)
    )

    def observed_order(tableau):  # three step sizes; the exact solution is not needed
        ends = []
        for n in (10, 20, 40):
            y = torch.tensor([0.3, -0.2], dtype=torch.float64)
            for j in range(n):
                y = runge_kutta_step(tableau, turning, j / n, y, 1 / n)
            ends.append(y)
        return ((ends[0] - ends[1]).norm() / (ends[1] - ends[2]).norm()).log2()

    checks.between("the observed order of rk4", lambda: observed_order(rk4), 3.7, 4.3)
    checks.between(
        "the observed order of a method of order three",
        lambda: observed_order(third_order),
        2.7,
        3.3,
    )
    checks.close(
        "a state without axes, the time a tensor",
        lambda: runge_kutta_step(
            rule_38, lambda t, y: torch.cos(t + y), torch.tensor(0.5).double(), one[0], h=0.4
        ),
        solvers.runge_kutta_step(rule_38, lambda t, y: torch.cos(t + y), torch.tensor(0.5).double(), one[0], 0.4),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_runge_kutta_step = check.yours(exercise)

# %% [markdown]
# How much is gained? We solve $\dot y = \cos(t + y)$, $y(0) = 0$, whose solution
# is $y = 2\arctan(t) - t$, up to $t = 4$ with four methods.
#
# *Predict first:* with ten times as many steps, how many more digits does rk4 get right, and how many does Euler?

# %%
def swing(t, y):
    return torch.cos(t + y)


def swing_exact(t):
    return 2 * torch.atan(torch.as_tensor(t, dtype=torch.float64)) - t


def error_of(method, n_steps):
    y, h = torch.zeros(1, dtype=torch.float64), 4 / n_steps
    for j in range(n_steps):
        y = my_runge_kutta_step(solvers.TABLEAUS[method], swing, j * h, y, h)
    return (y - swing_exact(4.0)).abs().item()


counts = [8, 16, 32, 64, 128, 256]
methods = ("euler", "midpoint", "bosh3", "rk4")
errors = {method: [error_of(method, n) for n in counts] for method in methods}

fig, ax = plt.subplots(figsize=(6.5, 4.2))
h = [4 / n for n in counts]
plots.convergence(ax, h, errors)
for method, order in (("euler", 1), ("midpoint", 2), ("bosh3", 3), ("rk4", 4)):
    plots.slope_triangle(ax, h[3], errors[method][3] * 0.45, order, width=1.7)
ax.set_xscale("log", base=2)
ax.set_xticks(h, [f"1/{round(1 / size)}" for size in h])
ax.set(xlabel="step size h", ylabel="error at t = 4")
plt.show()
for method in errors:
    slope = np.polyfit(np.log(h[2:]), np.log(errors[method][2:]), 1)[0]
    print(f"{method:9} observed order {slope:.1f}")

# %% [markdown]
# *Figure: error against step size for four methods on logarithmic axes, with triangles that have
# the slopes 1 to 4.*
#
# **Reading the picture.** The slope of a line is the order $p$ of its method:
# the error behaves like $C h^p$. Ten times as many steps give Euler one more digit, and rk4 four.
# A method of order four that halves its step gains a factor of
# about $2^4$; a step costs four evaluations instead of one, which is soon paid back.

# %% [markdown]
# ## 2. Let the error choose the step
#
# Nobody knows the right step size beforehand, and often no single one is right:
# a comet spends most of its time far from the sun, where nothing happens, and rushes past it.
#
# An *embedded pair* computes two results of different orders from the same stages.
# Their difference estimates the error $e$ of the step. Measure it in units of
# what is tolerated,
#
# $$\epsilon = \Big\| \frac{e}{\mathrm{atol} + \mathrm{rtol}\,\max(|y|, |y_{\text{new}}|)} \Big\|_{\mathrm{rms}}, \tag{2}$$
#
# where the division, the maximum and the absolute value are taken entry by entry.
# If $\epsilon \le 1$ the step is *accepted*; otherwise it is *rejected* and tried again from the same place.
# Either way the next step size follows from the order $p$ of the pair,
#
# $$h \leftarrow h \cdot \min\big(10, \max(0.2,\; 0.9\, \epsilon^{-1/p})\big), \tag{3}$$
#
# because the error of one step behaves like $h^{p}$.
# We use the pair of Bogacki and Shampine, of orders 3 and 2, with $p = 3$:
# `solvers.embedded_step(BOSH3, f, t, y, h)` returns the new state and $e$.

# %% [markdown]
# ### Exercise 4.2 - Adaptive steps (5 points, ~20 min)
# Solve $\dot y = f(t, y)$ from $t_0$ to $t_1 > t_0$ with steps that follow (2) and (3),
# and keep all accepted points. The last step is cut so that it ends at $t_1$ exactly.
# `solvers.embedded_step` is yours to use; the other solvers of the package are not.
#
# <details><summary>Hint 1 - a nudge</summary>
# A <code>while</code> loop, not a <code>for</code> loop: you do not know how many steps there will be.
# What changes when a step is rejected, and what does not?</details>
# <details><summary>Hint 2 - the idea</summary>
# Rejected: only <code>h</code> changes. Accepted: time and state move on, and <code>h</code> changes.
# When the error is exactly zero, (3) divides by zero: the factor is then 10.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>last = t + h >= t1</code>; if so <code>h = t1 - t</code>. Get <code>new, error</code>, compute
# <code>size = (error / (atol + rtol * torch.maximum(y.abs(), new.abs()))).pow(2).mean().sqrt()</code>.
# If it is at most 1: <code>t = t1 if last else t + h</code>, <code>y = new</code>, and append both.
# Else count. Then rescale <code>h</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "adaptive_solve", "locked": false, "schema_version": 3, "solution": true, "task": false}
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    """Solve y' = f(t, y) from `t0` to `t1` with steps that control their own error.

    Args:
        f: field; `f(t, y)` returns a tensor of the shape of `y`.
        y0: state at `t0`, any shape; left unchanged.
        t0, t1: floats, `t1 > t0`; the first step that is tried is (t1 - t0) / 100.
        rtol, atol: relative and absolute tolerance, positive floats. Where the error is
            exactly zero, (3) multiplies the step by 10.

    Returns:
        `(ts, ys, n_rejected)`: the accepted times from `t0` to `t1`, both included,
        a float64 tensor `(n,)`; the states there, `(n, *y0.shape)`, dtype of `y0`, with
        gradients; and how many steps were rejected, an int.
    """
    ### BEGIN SOLUTION
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_adaptive_solve", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "adaptive_solve",
    points=5,
    answer=lambda: adaptive_solve,
    package=(solvers.adaptive_solve, solvers.odeint),
    further=3,
)
def exercise(checks):
    def limited(f):  # an endless loop ends here
        count = 0

        def field(t, y):
            nonlocal count
            count += 1
            if count > 10_000:
                raise RuntimeError(
                    f"more than 10 000 evaluations, the last one at t = {float(t):.4g}: "
                    "does the loop ever end?"
                )
            return f(t, y)

        return field

    def passing(t, y):  # something happens around t = 1.2
        return torch.cos(t * y) - 0.3 * y.flip(1) + 100 * np.exp(-200 * (float(t) - 1.2) ** 2)

    def cosine(t, y):  # y' = cos(t + y): from 0 the solution is 2 arctan(t) - t
        return torch.cos(t + y)

    def switched(t, y):  # nothing happens, then suddenly a lot
        return 0 * y if t < 1 else 0 * y + 40 * float(np.cos(40 * (float(t) - 1)))

    start = torch.tensor([[1.0, -2.0, 0.1], [0.0, -30.0, 4.0]], dtype=torch.float64)
    times = [
        *(0.5, 0.515, 0.665, 0.76629119, 0.93927466, 0.979458076, 1.02657524, 1.05790629),
        *(1.08474476, 1.10941405, 1.13737603, 1.17265327, 1.21793675, 1.26076246),
        *(1.3329581, 1.39916103, 1.53346016, 1.9833776, 2.0),
    ]
    zero, one = torch.zeros(2, 3, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    checks.close(
        "y' = 0, so the error is zero, from t = -1 to 3 and from 0 to 2: times, states, rejected",
        lambda: [
            adaptive_solve(limited(lambda t, y: 0 * y), start, *ends, 1e-3, 1e-6)
            for ends in ((-1.0, 3.0), (0.0, 2.0))
        ],
        [
            (torch.tensor(ts, dtype=torch.float64), start.expand(4, 2, 3), 0)
            for ts in ([-1, -0.96, -0.56, 3], [0, 0.02, 0.22, 2])
        ],
    )
    checks.close(
        "the accepted times by (2) and (3), and the rejected steps, on a field of six entries",
        lambda: adaptive_solve(limited(passing), start, 0.5, 2.0, 1e-2, 1e-3)[::2],
        (torch.tensor(times, dtype=torch.float64), 9),
        rtol=1e-6,
    )

    def against_the_solution():
        ts, ys, _ = adaptive_solve(limited(cosine), zero, 0.0, 4.0, 1e-6, 1e-8)
        error = (ys - (2 * torch.atan(ts) - ts)[:, None, None]).abs().max()
        return ts[0], ts[-1], len(ts) == len(ys), error

    checks.close(
        "y' = cos(t + y): first time, last time, a state for each, and their largest error",
        against_the_solution,
        (0.0, 4.0, True, 0.0),
        atol=3e-5,
    )

    def after_the_switch():
        ts, ys, n_rejected = adaptive_solve(limited(switched), zero, 0.0, 2.0, 1e-6, 1e-6)
        return ys[-1], n_rejected > 0, bool((ts.diff() > 0).all())

    checks.close(
        "a field that switches on: the last state, whether steps were rejected, times that move on",
        after_the_switch,
        (zero + float(np.sin(40.0)), True, True),
        atol=1e-3,
    )

    def in_float32():
        y0 = one.float().expand(3).clone()
        ts, ys, _ = adaptive_solve(limited(lambda t, y: -y), y0, 0.0, 1.0, 1e-3, 1e-5)
        return str(ts.dtype), str(ys.dtype), ys[-1], y0

    checks.close(
        "dtypes of times and states in float32, the last state, and y0, which is left unchanged",
        in_float32,
        ("torch.float64", "torch.float32", torch.full((3,), np.exp(-1.0)).float(), torch.ones(3)),
        atol=1e-3,
    )

    def gradient():
        y0 = one.clone().requires_grad_()
        adaptive_solve(limited(lambda t, y: -y), y0, 0.0, 2.0, 1e-5, 1e-8)[1][-1].backward()
        return y0.grad

    checks.close(
        "the gradient of the last state of y' = -y", gradient, one * np.exp(-2.0), atol=1e-4
    )
    ### BEGIN HIDDEN TESTS
    other_times = [
        0.25, 0.2675, 0.369345799, 0.514211885, 0.638693552, 0.749865666, 0.861207229, 0.977760718,
        1.07419763, 1.14702737, 1.20456203, 1.25320208, 1.29455322, 1.33159625, 1.3686063,
        1.40370778, 1.43799479, 1.47071353, 1.49647916, 1.52152046, 1.54860097, 1.58580314,
        1.63759584, 1.68817562, 1.74757263, 1.82244734, 1.92171343, 2.0,
    ]
    checks.close(
        "the accepted times of another field, with smaller tolerances",
        lambda: adaptive_solve(
            limited(lambda t, y: torch.cos(3 * t + y) - 0.3 * y.flip(0) + 6 / (1 + 100 * (float(t) - 1.5) ** 2)),
            start[1] / 10, 0.25, 2.0, 1e-3, 1e-4,
        )[::2],
        (torch.tensor(other_times, dtype=torch.float64), 11),
        rtol=1e-6,
    )
    def steps_and_end(tol):
        ts, ys, _ = adaptive_solve(limited(cosine), zero, 0.0, 20.0, tol, tol)
        return len(ts), ys[-1, 0, 0]

    def finer():
        (few, _), (many, end) = steps_and_end(1e-5), steps_and_end(1e-8)
        return 5 * few < many < 20 * few, end

    checks.close(
        "the end for a tolerance a thousand times smaller, with about ten times the steps",
        finer,
        (True, 2 * np.arctan(20.0) - 20.0),
        atol=1e-6,
    )
    checks.close(
        "y' = -y from 1000 and from 1: a relative error does not mind",
        lambda: [
            len(adaptive_solve(limited(lambda t, y: -y), size * one, 0.0, 3.0, 1e-4, 1e-12)[0]) > 9
            and adaptive_solve(limited(lambda t, y: -y), size * one, 0.0, 3.0, 1e-4, 1e-12)[1][-1] / size
            for size in (1000.0, 1.0)
        ],
        [one * np.exp(-3.0)] * 2,
        rtol=1e-3,
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_adaptive_solve = check.yours(exercise)

# %% [markdown]
# The comet of the test moves on an ellipse with eccentricity 0.8, and returns to its start
# after one period. We give the same pair of Bogacki and Shampine equal steps on the left
# and adaptive ones on the right, at the same number of evaluations of the field.

# %%
def comet(t, y):
    return torch.cat([y[2:], -y[:2] / y[:2].norm() ** 3])


near = torch.tensor([0.2, 0.0, 0.0, 3.0], dtype=torch.float64)
period = 2 * np.pi
grid = torch.linspace(0, period, 400, dtype=torch.float64)
smooth = solvers.odeint(comet, near, grid, "dopri5", rtol=1e-10, atol=1e-12)
counted = solvers.count_nfe(comet)
times, adaptive, n_rejected = my_adaptive_solve(counted, near, 0.0, period, 2e-4, 1e-6)
n_fixed = counted.nfe // 4  # a step of the pair has four stages
fixed = [near]
for _ in range(n_fixed):
    fixed.append(my_runge_kutta_step(solvers.TABLEAUS["bosh3"], comet, 0.0, fixed[-1], period / n_fixed))
fixed = torch.stack(fixed)

fig, axes = plt.subplots(1, 3, figsize=(12, 3.8))
for ax, path, name in zip(axes, (fixed, adaptive), ("equal steps", "adaptive steps")):
    ax.plot(*smooth[:, :2].T, color=plots.COLOURS["exact"], lw=1, label="the exact orbit")
    ax.plot(*path[:, :2].T, ".-", color=plots.COLOURS["bosh3"], lw=0.8, label=f"{len(path) - 1} {name}")
    ax.plot(0, 0, "*", ms=12, color=plots.ORANGE)
    ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=(-2, 0.6), ylim=(-0.8, 1.4))
    ax.legend(loc="upper left", fontsize=9)
axes[2].semilogy(times[1:], times.diff(), ".-", color=plots.COLOURS["bosh3"], label="adaptive")
axes[2].axhline(period / n_fixed, color=plots.GREY, ls="--", label="equal")
axes[2].set(xlabel="time t", ylabel="step size h")
axes[2].legend()
plt.show()
print(f"evaluations: {4 * n_fixed} with equal steps, {counted.nfe} with adaptive ones ({n_rejected} steps rejected)")
print(f"distance from the start after one period: {(fixed[-1] - near)[:2].norm():.3f} and {(adaptive[-1] - near)[:2].norm():.3f}")
print(f"adaptive steps from {times.diff()[2:-1].min():.4f} to {times.diff().max():.3f}, the first two and the last one apart")

# %% [markdown]
# *Figure: one period of a comet around its star, with equal steps and with adaptive ones,
# each at the same cost; on the right the step size over time.*
#
# **Reading the picture.** The equal steps are too long where the comet is fast and wasted where it is slow;
# the path is thrown off the ellipse at the star. The adaptive ones shrink there to about a fiftieth of the longest.
# For a network the lesson is two-sided: adaptive steps go where the work is,
# but nobody knows beforehand how many there will be. Notebook 05 uses them; the rest of this one
# keeps the number of steps fixed, since it *is* the depth.

# %% [markdown]
# ## 3. Weights that are functions of depth-time
#
# A residual network has a list of layers. Its equation has weights $\theta(t)$,
# a function of the depth-time $t \in [0, 1]$. The simplest one is constant on $M$ equal cells,
#
# $$\dot x = \varepsilon\, R(x; \theta(t)), \qquad \theta(t) = \theta_i \quad\text{for } \tfrac iM \le t < \tfrac{i+1}M. \tag{4}$$
#
# Euler's method with one step per cell and $\varepsilon = M$ is $x \leftarrow x + R(x; \theta_i)$: a residual network again.
# What is new is the freedom: any method, and any number $n$ of steps, for the same weights.
#
# But which weights does a *stage* read? A stage with $c = 1$ looks at the end of its step,
# and if a cell ends there, the weights jump. The method walks in cell $i$;
# behind the jump lies another equation, which it must not see.

# %% [markdown]
# ### Exercise 4.3 - Which cell does a stage read? (4 points, ~15 min)
# Step number `step` of `n_steps` equal steps reads its stage with node $c$ at
# $t = (\text{step} + c) / n$, from the half-open cells of (4); only a stage with $c = 1$ reads
# the cell that it came from: the one just before its time.
# Write it with Python's numbers; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# Count in units of cells: the position is <code>(step + c) * n_cells / n_steps</code>.
# Where on this line is rounding dangerous?</details>
# <details><summary>Hint 2 - the idea</summary>
# For <code>c &lt; 1</code> round the position down; for <code>c = 1</code> round it up and subtract one.
# A third is no floating-point number, so a position that should be a whole number may miss it by a
# rounding error: move it by a tiny amount first, or compute with fractions.</details>
# <details><summary>Hint 3 - almost the code</summary>
# With <code>from math import ceil, floor</code>:
# <code>ceil(position - 1e-9) - 1</code> if the node is one, else <code>floor(position + 1e-9)</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "cell_index", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cell_index(step, n_steps, n_cells, stage_c):
    """Return the cell whose weights a stage of a Runge-Kutta step reads.

    Args:
        step: number of the step, 0 .. n_steps - 1.
        n_steps, n_cells: positive ints; neither needs to divide the other.
        stage_c: node of the stage, a float from 0 to 1. Rounding (1/3!) must not
            pick the neighbour when a stage with c < 1 stands on the edge of a cell:
            there the cell to the right has begun. A stage with c = 1 reads the cell
            just before its time, also when it stands inside of a cell.

    Returns:
        An int, 0 .. n_cells - 1.
    """
    ### BEGIN SOLUTION
    position = (step + stage_c) * n_cells / n_steps
    if stage_c == 1:
        return int(np.ceil(position - 1e-9)) - 1
    return int(np.floor(position + 1e-9))
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_cell_index", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "cell_index",
    points=4,
    answer=lambda: cell_index,
    package=continuous.cell_index,
    further=3,
)
def exercise(checks):
    checks.equal(
        "the four stages of rk4, one step per cell, 4 cells",
        lambda: [[cell_index(j, 4, 4, c) for c in (0.0, 0.5, 0.5, 1.0)] for j in range(4)],
        [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]],
    )
    checks.equal(
        "Euler with two steps per cell, 3 cells",
        lambda: [cell_index(j, 6, 3, 0.0) for j in range(6)],
        [0, 0, 1, 1, 2, 2],
    )
    checks.equal(
        "Euler with 5 steps on 4 cells: steps and cells do not match",
        lambda: [cell_index(j, 5, 4, 0.0) for j in range(5)],
        [0, 0, 1, 2, 3],
    )
    checks.equal(
        "start, middle and end of 3 steps on 8 cells: ends that stand inside of a cell",
        lambda: [[cell_index(j, 3, 8, c) for c in (0.0, 0.5, 1.0)] for j in range(3)],
        [[0, 1, 2], [2, 4, 5], [5, 6, 7]],
    )
    checks.equal(
        "the stages of the 3/8 rule, 3 steps on 9 cells: thirds that stand on an edge",
        lambda: [[cell_index(j, 3, 9, c) for c in (0.0, 1 / 3, 2 / 3, 1.0)] for j in range(3)],
        [[0, 1, 2, 2], [3, 4, 5, 5], [6, 7, 8, 8]],
    )

    def in_a_deep_network():
        index = cell_index(42_857, 100_000, 7, 0.0)
        return index, type(index).__name__, cell_index(57_142, 100_000, 7, 1.0)

    checks.equal(
        "100 000 steps on 7 cells: an int just before an edge, and an index just behind one",
        in_a_deep_network,
        (2, "int", 4),
    )
    ### BEGIN HIDDEN TESTS
    aligned = [(j, k * M, M, c) for M in range(1, 41) for k in (1, 2, 3) for j in range(k * M) for c in (0.0, 0.5, 1.0)]
    checks.equal(
        "starts, middles and ends of aligned steps, 1 to 40 cells, up to 3 steps per cell",
        lambda: [cell_index(*args) for args in aligned],
        [j // (n // M) for j, n, M, c in aligned],
    )
    thirds = [(j, n, M, k) for M in (1, 3, 6, 7, 12) for n in (1, 2, 3, 5, 7, 14) for j in range(n) for k in range(4)]
    checks.equal(
        "many cells",
        lambda: [cell_index(99_998, 100_000, 50_000, 1.0), cell_index(99_999, 100_000, 50_000, 0.0)],
        [49_999, 49_999],
    )
    checks.equal(
        "the stages of the 3/8 rule, any number of steps and cells",
        lambda: [cell_index(j, n, M, k / 3) for j, n, M, k in thirds],
        [((3 * j + k) * M) // (3 * n) if k < 3 else -(-((j + 1) * M) // n) - 1 for j, n, M, k in thirds],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_cell_index = check.yours(exercise)

# %% [markdown]
# Does it matter? The published code reads the weights at the time $t$ of the stage, and to stay in the half-open cell
# it first moves $t$ by $10^{-15}$ to the left. But $t$ is a float32 number, whose neighbours near 1 are
# about $6\cdot10^{-8}$ apart: nothing moves, and the fourth stage of rk4 reads the next cell.
#
# We test both readings on $\dot y = \tanh(K(t)^\top y)$ with $M = 4$ random matrices.
#
# *Predict first:* rk4 is of order 4. One of its four stages, with weight one sixth, now reads
# a wrong matrix in some steps. Which order is left?

# %%
generator = torch.Generator().manual_seed(4)
K = torch.randn(4, 3, 3, generator=generator, dtype=torch.float64)
y_start = torch.ones(1, 3, dtype=torch.float64)


def nudged_float32(step, n_steps, n_cells, c):
    """Read the cell at the time of the stage, moved by 1e-15, in float32."""
    t = torch.tensor(step / n_steps, dtype=torch.float32) + torch.tensor(c / n_steps, dtype=torch.float32)
    return min(int((t - 1e-15) * n_cells), n_cells - 1) if c == 1 else int(t * n_cells)


def solve_on_cells(weights, n_steps, read, method="rk4"):
    tableau = solvers.TABLEAUS[method]
    y = y_start
    for step in range(n_steps):
        cells = iter([read(step, n_steps, len(weights), c) for c in tableau.c])
        y = my_runge_kutta_step(tableau, lambda t, y: torch.tanh(y @ weights[next(cells)]), 0.0, y, 1 / n_steps)
    return y


reference = solve_on_cells(K, 4 * 512, my_cell_index)
aligned = [4, 8, 16, 32, 64, 128]
every = list(range(4, 41))


def errors_of(steps, read, method="rk4"):
    return [(solve_on_cells(K, n, read, method) - reference).norm().item() for n in steps]


half_open = errors_of(aligned, my_cell_index)
broken = errors_of(aligned, nudged_float32)
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
left.loglog(aligned, half_open, "o-", color=plots.COLOURS["rk4"], label="rk4, half-open cells")
left.loglog(aligned, broken, "s--", color=plots.COLOURS["rk4"], mfc="white", label="rk4, nudge lost in float32")
plots.slope_triangle(left, 16, half_open[2] * 2.5, -4, width=2)
plots.slope_triangle(left, 16, broken[2] * 1.6, -1, width=2)
left.set(xlabel="number of steps n", ylabel="error at t = 1")
left.legend(loc="lower left")
for method in ("euler", "midpoint", "rk4"):
    right.semilogy(every, errors_of(every, my_cell_index, method), ".-", color=plots.COLOURS[method], label=method)
right.set(xlabel="number of steps n", ylabel="error at t = 1", xticks=range(4, 41, 4))
right.legend(loc="lower left")
plt.show()
for name, e in (("half-open cells", half_open), ("nudge lost in float32", broken)):
    print(f"{name:22} observed order {-np.polyfit(np.log(aligned[1:]), np.log(e[1:]), 1)[0]:.1f}")

# %% [markdown]
# *Figure: left, rk4 on weights that are constant on four cells, with the half-open reading
# and with the reading of the published code; right, three methods with every number of steps
# from 4 to 40, all with the half-open reading.*
#
# **Reading the picture.** One misread stage turns a method of order four into one of order one:
# the wrong slope enters once per cell, with weight $h/6$.
# On the right, rk4 is accurate only when the number of steps is a multiple of the four cells.
# Otherwise some step runs across a jump, and every method is thrown back there.
# Remember this saw-tooth: a trained network has it too.

# %% [markdown]
# ## 4. ContinuousNet
#
# Now images. ContinuousNet has a stem (convolution, batch norm, ReLU), then stages of growing width.
# Each stage begins with a *stitch*, one ordinary residual block that changes the width,
# and goes on with an equation (4), whose unit $R$ is two 3 x 3 convolutions, each followed by ReLU and batch norm.
# With three stages, $M$ cells each, Euler and one step per cell it is a residual network with $M + 1$ blocks per stage.
# The package has it in `nets/continuous.py`; open it and find formulas (1) and (4).

# %%
def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


print("cells M   ContinuousNet   78330 + 97440 M   ResNet of as many blocks")
for n_cells in (1, 2, 4, 8):
    net, plain = continuous.ContinuousNet(n_cells), continuous.ResNet(6 * (n_cells + 1) + 2)
    print(f"{n_cells:7}   {n_parameters(net):13}   {78330 + 97440 * n_cells:15}   {n_parameters(plain):12}")

# %% [markdown]
# The sizes agree up to the biases of the convolutions and the shortcuts.
# The number of *steps* is not in the table: it costs time, but no parameters.

# %% [markdown]
# ### Exercise 4.4 - Refinement (3 points, ~6 min)
# Training can start shallow and become deep on the way: from $M$ to $2M$ cells,
# $1 \to 2 \to 4 \to \dots$ The new network must begin with *the same function of depth-time*:
# each cell is cut in the middle, and both halves keep its weights.
# (Notebook 03 interpolates linearly instead, because there the weights live on the nodes of a grid.)
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# For three cells A, B, C write down the six new ones in the order of time.</details>
# <details><summary>Hint 2 - the idea</summary>
# A, A, B, B, C, C: new cell number <code>k</code> has the parent <code>k // 2</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>torch.repeat_interleave</code> along the first axis, or an index tensor
# <code>torch.arange(2 * n) // 2</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "refine", "locked": false, "schema_version": 3, "solution": true, "task": false}
def refine(theta):
    """Cut every cell of a piecewise constant function of depth-time in two.

    Args:
        theta: values on the cells, `(n_cells, ...)`; left unchanged, and it shares no
            memory with the result. Gradients flow through.

    Returns:
        The values on the cells of half the size, `(2 * n_cells, ...)`, same dtype.
    """
    ### BEGIN SOLUTION
    return theta.repeat_interleave(2, dim=0)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_refine", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "refine",
    points=3,
    answer=lambda: refine,
    package=continuous.refine,
    further=2,
)
def exercise(checks):
    theta = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    stages = [(j, c) for j in range(20) for c in (0.0, 0.5, 1.0)]
    coarse, fine = ([continuous.cell_index(j, 20, n, c) for j, c in stages] for n in (5, 10))
    checks.close(
        "three cells with the values 10, 20 and 40, and then with 3, 1 and 2",
        lambda: [refine(torch.tensor(x)) for x in ([10.0, 20.0, 40.0], [3.0, 1.0, 2.0])],
        [torch.tensor([10.0, 10, 20, 20, 40, 40]), torch.tensor([3.0, 3, 1, 1, 2, 2])],
    )
    checks.close(
        "five cells with a matrix each", lambda: refine(theta), theta[torch.arange(10) // 2]
    )
    checks.close(
        "the stages of 20 steps read the same weights before and after",
        lambda: refine(theta)[fine],
        theta[coarse],
    )

    def apart():
        mine = theta[:1].clone()
        children = refine(mine)
        came = children.clone()
        children.zero_()
        return came, mine

    checks.close(
        "a single cell; its children are set to zero, and it is left unchanged",
        apart,
        (theta[[0, 0]], theta[:1]),
    )

    def gradient():
        parents = torch.ones(2, requires_grad=True)
        (refine(parents) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
        return parents.grad

    checks.close(
        "the gradient of a parent collects those of its children",
        gradient,
        torch.tensor([3.0, 7.0]),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "twice refined, in float32",
        lambda: refine(refine(theta.float())),
        theta.float()[torch.arange(20) // 4],
    )
    checks.close(
        "kernels that are not contiguous",
        lambda: refine(theta.transpose(1, 2)[:, None]),
        theta.transpose(1, 2)[:, None][torch.arange(10) // 2],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_refine = check.yours(exercise)

# %% [markdown]
# Is it still the same network? We refine the four matrices of section 3, keep the number of steps at first, and then double it.

# %%
K_fine = my_refine(K)
for method in ("euler", "midpoint", "rk4"):
    before = solve_on_cells(K, 4, my_cell_index, method)
    kept, doubled = (solve_on_cells(K_fine, n, my_cell_index, method) for n in (4, 8))
    changes = [100 * ((y - before).norm() / before.norm()).item() for y in (kept, doubled)]
    print("{:9} 8 cells, 4 steps: changed by {:.2f} %; 8 steps: by {:.2f} %".format(method, *changes))

# %% [markdown]
# **Reading the numbers.** The refined weights are the same function of depth-time, so nothing changes as long as the steps stay.
# `net.refined()` doubles the steps as well: then what the network computes changes by the error of its solver, most with Euler and least with rk4.

# %% [markdown]
# Training from coarse to fine. The data are scikit-learn's digits in their native size of 8 x 8 pixels,
# and the network has a single stage: all the depth is in one equation.
# We train with rk4 and start with one cell; at two epochs every cell is cut in two.
# Beside it runs a network that has four cells from the start, with the same $\varepsilon$.

# %%
full = scale.current() == "full"
device = training.pick_device(None if full else "cpu")
data = images.mnist() if full else images.digits(size=8)
mean, std = data.train.images.mean(), data.train.images.std()
n_train = scale.pick(quick=128, lesson=None, full=None)
train_part, test_part = (
    images.Labelled((x - mean).div(std).to(device), y.to(device))
    for x, y in (data.train.first(n_train), data.test.first(n_train))
)
tests = images.Batches(test_part, 1000)
print(f"{len(train_part.labels)} images to learn from, {len(test_part.labels)} held out, shape {tuple(train_part.images.shape[1:])}")


def train(scheme, n_cells, epochs, refine_at=(), seed=0, **settings):
    """Train a net; return it and its history. Cells are cut before the epochs `refine_at`."""
    training.set_seed(seed)
    settings = {"alpha": 8, "stages": 1, "in_channels": 1} | settings
    net = continuous.ContinuousNet(n_cells, scheme, **settings).to(device)
    batches = images.Batches(train_part, scale.pick(quick=32, lesson=64, full=128), generator=seed)
    history = {"loss": [], "accuracy": []}
    borders = [0, *refine_at, epochs]
    for k, first in enumerate(borders[:-1]):
        if first:
            net = net.refined()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        for epoch in training.progress(range(first, borders[k + 1]), f"{scheme}, {net.n_cells} cells"):
            for group in optimizer.param_groups:  # a cosine from 0.1 down to 0
                group["lr"] = 0.05 * (1 + np.cos(np.pi * epoch / epochs))
            loss = training.train_epoch(net, batches, torch.nn.functional.cross_entropy, optimizer)
            history["loss"].append(loss)
            history["accuracy"].append(training.accuracy(net, tests))
    return net, history


epochs = scale.pick(quick=3, lesson=9, full=15)
cuts = scale.pick(quick=(1, 2), lesson=(3, 6), full=(5, 10))
_, grown = train("rk4", 1, epochs, cuts, time_epsilon=2.0)
_, direct = train("rk4", 4, epochs, time_epsilon=2.0)

# %% tags=["nbval-ignore-output"]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for ax, key in zip(axes, ("loss", "accuracy")):
    ax.plot(range(1, epochs + 1), direct[key], "s--", color=plots.GREY, label="4 cells from the start")
    ax.plot(range(1, epochs + 1), grown[key], "o-", color=plots.COLOURS["rk4"], label="1, then 2, then 4 cells")
    for cut in cuts:
        ax.axvline(cut + 0.5, color=plots.GREY, ls=":")
    ax.set(xlabel="epoch", xticks=range(1, epochs + 1))
axes[0].set(ylabel="training loss", yscale="log")
axes[1].set(ylabel="test accuracy")
axes[1].legend(loc="lower right")
plt.show()
print(f"test accuracy in the end: refined {grown['accuracy'][-1]:.3f}, direct {direct['accuracy'][-1]:.3f}")

# %% [markdown]
# *Figure: training loss and test accuracy of a network that is refined twice (dotted lines),
# and of one that has its four cells from the start.*
#
# **Reading the picture.** The loss goes on falling where the cells are cut:
# the refined network goes on from the same function of depth-time, and it ends where the deep one ends.
# In its first epochs the equation costs a quarter of the deep network's, as one step is a quarter of four.
# Early in training a test accuracy may be far off while the loss is fine:
# the statistics of the batch norms are still catching up with the weights.

# %% [markdown]
# ## 5. One set of weights, many networks
#
# A trained ContinuousNet has a `scheme` and a number of `n_steps`, and both can be changed without touching a weight.
# The paper calls the result a *manifestation* of the same equation.
# If the network has learned an equation, then better solvers and more steps must leave its
# answers as they are. If it has learned a residual network, they are something else.

# %% [markdown]
# ### Exercise 4.5 - The convergence test (3 points, ~8 min)
# Evaluate a model under all pairs of schemes and numbers of steps.
# The model is borrowed: give it back as it came, even when an evaluation fails.
# Nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# What happens to your last line, which restores the model, when <code>evaluate</code> raises an error?</details>
# <details><summary>Hint 2 - the idea</summary>
# Remember both attributes first; set them in two nested loops;
# put the restoring lines into <code>finally</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>own = model.scheme, model.n_steps</code>, then <code>try:</code> two loops that fill
# <code>table[scheme, n] = evaluate(model)</code>, <code>finally:
# model.scheme, model.n_steps = own</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "manifestation_table", "locked": false, "schema_version": 3, "solution": true, "task": false}
def manifestation_table(model, evaluate, schemes, steps):
    """Evaluate one set of weights under several solvers and numbers of steps.

    Args:
        model: has the attributes `scheme` and `n_steps`. Both are as before in the
            end, also when an evaluation raises an error, which is passed on.
        evaluate: `evaluate(model)` returns a number, for example the accuracy.
        schemes: names of solvers.   steps: numbers of steps. Lists, tuples or ranges.

    Returns:
        A dict `{(scheme, n_steps): number}`, one evaluation and one entry per pair.
    """
    ### BEGIN SOLUTION
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n_steps in steps:
                model.scheme, model.n_steps = scheme, n_steps
                table[scheme, n_steps] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_manifestation_table", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "manifestation_table",
    points=3,
    answer=lambda: manifestation_table,
    package=continuous.manifestation_table,
    further=2,
)
def exercise(checks):
    def borrowed():  # solves y' = y from 1 over [0, 1]: the limit is e
        return SimpleNamespace(scheme="heun", n_steps=3, y0=torch.ones(1, dtype=torch.float64))

    def growth(model):
        options = {"n_steps": model.n_steps}
        times = [0.0, 1.0]
        return solvers.odeint(lambda t, y: y, model.y0, times, model.scheme, options=options)[-1].item()

    def fails_at_four(model):
        return 1 / (model.n_steps - 4)

    euler = {("euler", n): (1 + 1 / n) ** n for n in (1, 2, 4)}
    bosh3 = {("bosh3", n): (1 + 1 / n + 1 / n**2 / 2 + 1 / n**3 / 6) ** n for n in (1, 2, 4)}
    checks.close(
        "the end value of y' = y by two schemes with 1, 2 and 4 steps, and then by one with 2",
        lambda: [
            manifestation_table(borrowed(), growth, ["euler", "bosh3"], [1, 2, 4]),
            manifestation_table(borrowed(), growth, ["euler"], [2]),
        ],
        [euler | bosh3, {("euler", 2): euler["euler", 2]}],
    )

    def and_the_model(evaluate, schemes, steps):
        model = borrowed()
        try:
            came = manifestation_table(model, evaluate, schemes, steps)
        except ZeroDivisionError:
            came = "the error of the evaluation"
        return came, model.scheme, model.n_steps

    checks.close(
        "the table and then the model, which is as before",
        lambda: and_the_model(growth, ["euler"], [4, 1]),
        ({key: euler[key] for key in (("euler", 4), ("euler", 1))}, "heun", 3),
    )
    checks.close(
        "an evaluation that fails: what is passed on, and the model, which is as before",
        lambda: and_the_model(fails_at_four, ["euler", "rk4"], [5, 4, 6]),
        ("the error of the evaluation", "heun", 3),
    )

    def evaluations():
        asked = []
        table = manifestation_table(
            borrowed(),
            lambda model: [len(model.scheme) * model.n_steps, asked.append(model.scheme)][0],
            ("rk4", "euler"),
            range(2, 4),
        )
        return table, len(asked)

    checks.close(
        "a tuple of schemes and a range of steps: the table, and how often evaluate was called",
        evaluations,
        ({("rk4", 2): 6, ("rk4", 3): 9, ("euler", 2): 10, ("euler", 3): 15}, 4),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "one scheme, one number of steps",
        lambda: manifestation_table(borrowed(), growth, schemes=["rk4"], steps=[1]),
        {("rk4", 1): 65 / 24},
    )
    checks.close(
        "another error, at the first evaluation",
        lambda: and_the_model(lambda model: 1 / (model.n_steps - 5), ["euler", "rk4"], [5, 4, 6]),
        ("the error of the evaluation", "heun", 3),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_manifestation_table = check.yours(exercise)

# %% [markdown]
# Now the experiment of the paper, on digits: two networks with two cells each,
# the same data, the same start. One is trained with Euler's method, which makes it a residual network, the other one with rk4,
# both with one step per cell. Then both are solved with other schemes and other numbers of steps.
# We do it twice, from two seeds, and draw the first pair.
#
# *Predict first:* which of the two will mind?

# %%
epochs = scale.pick(quick=1, lesson=12, full=15)
steps = scale.pick(quick=[2, 3, 16], lesson=[*range(1, 11), 12, 16], full=[*range(1, 13), 16, 32])
schemes, seeds = ["euler", "midpoint", "rk4"], scale.pick(quick=(1,), lesson=(1, 2), full=(1, 2, 3))
tables = {}
for seed in seeds:
    for trained_with in ("euler", "rk4"):
        net, _ = train(trained_with, 2, epochs, seed=seed)
        tables[trained_with, seed] = my_manifestation_table(
            net, lambda model: training.accuracy(model, tests), schemes, steps
        )

# %% tags=["nbval-ignore-output"]
fig, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
for ax, trained_with in zip(axes, ("euler", "rk4")):
    table = tables[trained_with, seeds[0]]
    for scheme in schemes:
        ax.plot(steps, [table[scheme, n] for n in steps], ".-", color=plots.COLOURS[scheme], label=f"solved with {scheme}")
    ax.plot(2, table[trained_with, 2], "o", ms=11, mfc="none", mec="black", label="as trained")
    ax.set(xscale="log", xlabel="number of steps n", title=f"trained with {trained_with}, 2 steps on 2 cells", ylim=(0, 1.03))
    ax.set_xticks([1, 2, 3, 4, 6, 8, 16], [1, 2, 3, 4, 6, 8, 16])
    ax.minorticks_off()
axes[0].set_ylabel("test accuracy")
axes[1].legend(loc="lower right")
plt.show()
lost = {}
for (trained_with, seed), table in tables.items():
    own, fine = table[trained_with, 2], table[trained_with, 16]
    lost[trained_with, seed] = 100 * (own - fine)
    print(f"seed {seed}, trained with {trained_with:5}: {own:.3f} as trained, {fine:.3f} with 8 times the steps")

# %%
if scale.current() != "quick":  # a hundred images and one epoch say nothing
    print("Euler-trained, 8 times the steps: every seed loses at least 5 points:", all(lost["euler", seed] >= 5 for seed in seeds))
    print("rk4-trained, 8 times the steps: every seed loses at most 1 point:", all(lost["rk4", seed] <= 1 for seed in seeds))

# %% [markdown]
# *Figure: test accuracy against the number of steps for three solvers; on the left a network
# that was trained with Euler's method, on the right one that was trained with rk4. The circle marks the way it was trained.*
#
# **Reading the picture.** Both networks work the way they were trained.
# The Euler-trained one is *tied* to its step size. More steps are nearer to the equation (4),
# and the equation is not what it has learned: it has learned the step.
# Better solvers only take it to the equation sooner.
# The rk4-trained one has converged already: with rk4 hardly anything changes from its own steps on, and
# midpoint and Euler climb to the same limit.
# The saw-tooth of section 3 is there too: on the left, an odd number of steps, which runs across the jump
# between the two cells, leaves the neighbouring even ones by many points.
# (All of this is evaluated in eval mode. There the batch norms are fixed maps, so that $R$ is one function;
# in training mode their statistics would depend on the solver.)
#
# What is it good for? An equation can be solved as finely as the moment asks:
# fewer steps on a slow device, more where it counts.
# A residual network has one depth, the one it was trained with.

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_two_depths", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 4.6 - Two depths (3 points, ~10 min)
# A network may have one depth when it is trained and another when it is deployed.
# (a) Why does the rk4-trained network keep its accuracy when it gets more steps, and the Euler-trained one not,
# although both were trained with the same number of steps?
# (b) You want to train a network once and to deploy it on devices of different speed.
# How do you train it, and which numbers of steps do you offer?
# (c) What does this cost, and name one thing that the test does *not* show.
#
# ### BEGIN MARK SCHEME
# One point for each part; half a point where the idea is there but a step is missing.
#
# * (a) Both optimise the output of the *discrete* network. With rk4 the discretisation error is already
#   small at the training step, so that the discrete output is nearly that of the equation, and finer steps change little.
#   Euler's error is large at the training step; the weights have adapted to it (it is part of the model that was fitted),
#   and finer steps take it away.
# * (b) Train with a method of higher order, with steps small enough (check that halving them changes nothing); offer
#   multiples of the number of cells, because steps that run across a jump lose accuracy, and cheaper schemes
#   where they have converged; measure the accuracy for each. Refinement during training is a plus, not required.
# * (c) Training with rk4 costs about four evaluations per step (three to four times the time and memory
#   of Euler with as many steps); deployment may be cheaper or not. Not shown: that the accuracy itself becomes better (it does not),
#   that batch norm statistics would fit another depth, that weights keep the property when trained on, results on other data;
#   any sensible one counts.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 4.6: double-click here and write.*

# %% [markdown]
# ## 6. Turn the knob
#
# **In this notebook.** `scale.use("full")` in the set-up cell, or `ODENETS_SCALE=full` in the environment,
# runs sections 4 and 5 on MNIST; take a GPU.
# Other knobs: `n_cells`, `stages=3` (then the stitches do a good part of the work, and the effect is smaller),
# and `time_epsilon`: the larger it is, the coarser are the steps.
#
# **On the command line.** The full-size experiments of the paper, three stages and real data, are one command each:
#
# ```
# python -m odenets train --dataset cifar10 --scheme euler --initial-time-d 8 --epochs 120 --out results/euler8
# python -m odenets train --dataset cifar10 --scheme rk4 --initial-time-d 1 --refine 30 50 70 --epochs 120 --out results/rk4-1-8
# python -m odenets evaluate results/euler8
# python -m odenets evaluate results/rk4-1-8 --schemes euler midpoint rk4 --steps 1 2 4 8 16 32
# ```
#
# They show a progress bar, write a checkpoint after every epoch, and go on where they were stopped with `--resume`.
# `python -m odenets train --help` names all options; without `--dataset` they use the small digits, which works offline.
#
# **Measured.** The package keeps the results of five such runs on MNIST (60 000 images to learn from,
# 10 000 for the test, 4 cells, seed 1, batches of 128, the learning rate 0.1 cut by ten three times or twice;
# one H100 GPU that several runs shared). With one stage:
#
# ```
# python -m odenets train --dataset mnist --scheme euler --initial-time-d 4 --stages 1 --epochs 10 --out results/euler1
# python -m odenets evaluate results/euler1 --steps 1 2 3 4 6 8 12 16 32
# ```
#
# The next cell reads the stored table. Each network takes its own scheme with more and more steps.

# %%
from odenets.studies import continuous as full_size

measured = full_size.recorded()
trained = list(dict.fromkeys(row["trained"] for row in measured))
shown = (1, 2, 4, 8, 16, 32)
print(f"{'test accuracy on MNIST with ... steps':40s}" + "".join(f"{n:>8}" for n in shown))
fig, ax = plt.subplots(figsize=(8, 4))
for name in trained:
    own = [r for r in measured if r["trained"] == name and r["scheme"] == name.split(",")[0]]
    rates = {r["n_steps"]: r["accuracy"] for r in own}
    print(f"{name:40s}" + "".join(f"{rates[n]:8.1%}" for n in shown))
    dash = {"one stage": "-", "three stages": "--"}.get(name.split(", ", 1)[1], ":")
    ax.semilogx(list(rates), list(rates.values()), dash, marker="o", ms=4, base=2,
                color=plots.COLOURS[name.split(",")[0]], label=name)
ax.axvline(4, color="0.6", lw=1)
ax.set_xticks([1, 2, 4, 8, 16, 32], [1, 2, 4, 8, 16, 32])
ax.set(xlabel="steps at test time (trained with 4, grey line)", ylabel="test accuracy")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# *Figure: test accuracy on MNIST against the number of steps at test time, each network with its own scheme.*
#
# **Reading the picture.** With one stage, all the work is done by the ODE:
# the Euler-trained network falls when the steps are made finer, by nearly a quarter of all images with 32 steps,
# and the rk4-trained one loses less than a point.
# With three stages the stitches between them are trained layers of their own; there, on a data set as easy as MNIST,
# both hold. More than one seed was not run, and the two rk4 networks with three stages had 6 epochs, the others 10.

# %% [markdown]
# ## Recap
#
# * A Runge-Kutta method is a table; one loop runs them all, and the slope of its error on logarithmic axes is its order.
# * An embedded pair knows its own error, and adapted steps go where the work is; their number is not known beforehand.
# * Weights that are constant on cells must be read half-open, with whole numbers; one misread stage costs three orders, and so do steps that run across a jump.
# * Cutting the cells in two leaves the function as it is, and lets a network grow while it is trained.
# * A network that was trained with Euler's method is tied to its step; one that was trained with a good solver has learned an equation, and converges under every solver.
#
# **Left out:** weights that are smooth in depth-time, implicit methods, and how to train without storing
# the stages (notebook 05).
#
# **Read on:** Queiruga et al. 2020; E. Hairer, S. P. Norsett, G. Wanner, chapter II;
# K. Ott et al., *ResNet after all?*, ICLR 2021, [arXiv 2007.15386](https://arxiv.org/abs/2007.15386),
# who find the same tie to the step size in neural ODEs.
#
# **Next:** [05 - Gradients without stored layers](../05_adjoint_training/05_adjoint_training.ipynb)
