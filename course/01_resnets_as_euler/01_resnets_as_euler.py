# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 - A residual network is Euler's method
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/odenets/odenets-course/blob/main/course/01_resnets_as_euler/01_resnets_as_euler.ipynb)
#
# **The question.** What does a residual network compute, and what is left of it
# when its layers become infinitely many and infinitely thin?
#
# **Time** about 90 minutes - **points** 20 - **you need** matrix products, gradients,
# a first course on differential equations, and PyTorch tensors.
#
# After this notebook you can
#
# 1. *read* a residual block as one step of Euler's method,
# 2. *build* the vector field that a given residual network discretises,
# 3. *measure* the order of convergence when the steps shrink,
# 4. *state* the learning problem of a residual network with a smooth depth,
# 5. *train* such a network by block coordinate descent and look at its layers.
#
# **Sources.** E. Haber and L. Ruthotto, *Stable architectures for deep neural networks*,
# Inverse Problems 34 (2017) 014004, [arXiv 1705.03341](https://arxiv.org/abs/1705.03341):
# the network, its classifier, the learning problem, the ODE, and the ellipses
# (*the slides* are those of a talk about this article, which notebook 03 follows).
# R. Chen et al., *Neural ordinary differential equations*, NeurIPS 2018,
# [arXiv 1806.07366](https://arxiv.org/abs/1806.07366): from layers to an ODE.

# %%
import importlib.util
import math
import matplotlib.pyplot as plt
import numpy as np
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/odenets/odenets-course#subdirectory=course")
from odenets import check, optimise, plots, scale, solvers, training
from odenets.data import images, toy
from odenets.nets import resnet
scale.use("lesson")
plots.style()
training.set_seed(0)


# %% [markdown]
# ## 1. One block, one step
#
# A plain layer replaces its input.
# A *residual* layer keeps it and adds a correction: $Y_{j+1} = Y_j + F_j(Y_j)$.
# Why should that be better? One answer is that it can do nothing at all ($F_j = 0$),
# so that more layers never hurt.
# A second answer is the subject of this course:
# **the correction is a small step along a curve**.
#
# Take a vector field $f(t, y)$, which says at each time and place where to go.
# The curve that follows it solves the *ordinary differential equation* (ODE)
#
# $$\dot y(t) = f(t, y(t)), \qquad y(0) = y_0. \tag{1}$$
#
# Euler's method follows the tangent for a time $h$, and then looks again.

# %% [markdown]
# ### Exercise 1.1 - One Euler step (2 points, ~3 min)
# Walk along the tangent for a time $h$:
#
# $$y_{j+1} = y_j + h\, f(t_j, y_j). \tag{2}$$
#
# Below, `euler_step` is the only thing that a residual block does.
#
# Write the exercises with PyTorch, and with NumPy where you like. The package has a version
# of each of them, to compare with afterwards; inside an exercise it refuses to work.
# Where a helper of the package is allowed, the exercise names it.
# Once all its checks are passed, your own function drives the rest of the notebook.
#
# <details><summary>Hint 1 - a nudge</summary>
# The tangent at the point <code>y</code> at time <code>t</code> is <code>f(t, y)</code>.
# How far do you walk along it?</details>
# <details><summary>Hint 2 - the idea</summary>
# Distance is speed times time: the displacement is <code>h</code> times the field.
# It is added to where you are.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Return a new tensor: the state, plus <code>h</code> times the field at the state.
# Do not write <code>y += ...</code>: that changes the caller's tensor.</details>

# %% nbgrader={"cell_type": "code", "checksum": "32c1c531357ccbb28d956bbf20b90b3b", "grade": false, "grade_id": "euler_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def euler_step(f, t, y, h):
    """Advance `y` from time `t` to `t + h` with one step of Euler's method.

    Args:
        f: vector field; `f(t, y)` returns a tensor of the shape of `y`.
        t: time, a float.   y: state, any shape.   h: step size, may be negative.

    Returns:
        The new state, same shape and dtype as `y`; `y` itself is left unchanged.
        Gradients flow from the new state to the old one.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "263d8fdc859a938f49d014660a660e15", "grade": true, "grade_id": "test_euler_step", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "euler_step",
    points=2,
    answer=lambda: euler_step,
    package=(solvers.euler_step, solvers.runge_kutta_step, solvers.odeint, solvers.solve),
    further=3,
)
def exercise(checks):
    jacobian = torch.autograd.functional.jacobian

    def swirl(t, y):  # time and state do not separate, and no two features are alike
        return (1 + t) * y.roll(1, dims=-1) - y**2

    y = torch.tensor([1.0, 0.5, -2.0])
    checks.close(
        "steps of three features: from t = 3 with h = 0.5, slope (-9, 3.75, -2), "
        "and from t = 1 with h = 0.25, slope (-5, 1.75, -3)",
        lambda: [euler_step(swirl, 3.0, y.clone(), 0.5), euler_step(swirl, 1.0, y.clone(), 0.25)],
        [torch.tensor([-3.5, 2.375, -3.0]), torch.tensor([-0.25, 0.9375, -2.75])],
    )
    states = torch.stack([y, y + 1]).double()
    checks.close(
        "a step back, h = -0.25, of a float64 state of shape (2, 3)",
        lambda: euler_step(swirl, 1.0, states.clone(), -0.25),
        states - 0.25 * swirl(1.0, states),
    )
    checks.close(
        "the new state, and the one that was handed in: it is left unchanged",
        lambda: [mine := y.clone(), euler_step(swirl, 1.0, mine, 0.5), mine][1:],
        [y + 0.5 * swirl(1.0, y), torch.tensor([1.0, 0.5, -2.0])],
    )
    checks.close(
        "the gradient of the new state with respect to the old one, t = 0.5, h = 0.2",
        lambda: jacobian(
            lambda y: euler_step(swirl, 0.5, y, 0.2), y.double()
        ),
        torch.tensor([[0.6, 0.0, 0.3], [0.3, 0.8, 0.0], [0.0, 0.3, 1.8]], dtype=torch.float64),
    )
check.score(exercise)

# %%
my_euler_step = check.yours(exercise)

# %% [markdown]
# What does repeating the step look like?
# We take the field $f(y) = \tanh(K^\top y)$ with a fixed matrix $K$,
# a residual layer whose weights never change, and walk along it with `my_euler_step`.
# The exact curve is computed by `solvers.odeint`, a method with adaptive steps.
#
# *Predict first:* the true curve turns to the left.
# On which side of it will large Euler steps end up?

# %%
K_turn = torch.tensor([[-0.2, 1.0], [-1.0, -0.2]], dtype=torch.float64)
y_start = torch.tensor([1.5, 0.0], dtype=torch.float64)
T = 6.0


def field(t, y):
    return torch.tanh(y @ K_turn)


def path(n_steps):
    h, states = T / n_steps, [y_start]
    for j in range(n_steps):
        states.append(my_euler_step(field, j * h, states[-1], h))
    return torch.stack(states)


fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharex=True, sharey=True)
exact = solvers.odeint(field, y_start, torch.linspace(0, T, 201, dtype=torch.float64))
for ax, n_steps in zip(axes, (8, 48)):
    plots.slope_field(ax, field, (-2.6, 2.6), (-2.6, 2.6))
    ax.plot(*exact.T, color=plots.COLOURS["exact"], label="the exact curve")
    ax.plot(
        *path(n_steps).T, "o-", ms=3.5, color=plots.COLOURS["euler"],
        label=f"{n_steps} residual layers, h = {T / n_steps:.3g}",
    )
    ax.set(xlabel="feature $y_1$", ylabel="feature $y_2$", aspect="equal")
    ax.legend(loc="upper right")
plt.show()
gap = {n: (path(n)[-1] - exact[-1]).norm().item() for n in (8, 48)}
print(f"distance from the exact end point: {gap[8]:.2f} with 8 layers, {gap[48]:.2f} with 48")


# %% [markdown]
# *Figure: the path of one sample through a residual network with constant weights,
# on top of the slope field that its layers follow; 8 coarse steps on the left,
# 48 fine ones on the right.*
#
# **Reading the picture.** Each layer leaves along the tangent, and the tangent of a curve
# that turns left lies on its right: the coarse network drifts outwards.
# The fine network stays close. Both have the same weights: the layers are *samples*
# of one continuous motion, and $h$ says how densely it is sampled.

# %% [markdown]
# ## 2. Many blocks: forward propagation
#
# Real networks change their weights from layer to layer.
# For $s$ samples with $n$ features each, written as the rows of $Y_j \in \mathbb R^{s\times n}$,
# forward propagation is (Haber and Ruthotto 2017)
#
# $$Y_{j+1} = Y_j + h\,\sigma(Y_j K_j + b_j), \qquad j = 0, \dots, N-1, \tag{3}$$
#
# with $K_j \in \mathbb R^{n\times n}$, a scalar bias $b_j$, and $\sigma = \tanh$ entry by entry.
# The network has $N$ layers; its *final time* is $T = N h$.

# %% [markdown]
# ### Exercise 1.2 - Forward propagation (3 points, ~6 min)
# Run equation (3) and keep every stage: the features before the first layer,
# and after each layer, in one tensor. We look inside the network with it later.
#
# <details><summary>Hint 1 - a nudge</summary>
# N layers make N + 1 stages: the input is one of them.</details>
# <details><summary>Hint 2 - the idea</summary>
# Samples are rows, so the matrix stands on the right: <code>Y @ K[j]</code>.
# The step size multiplies the activated value, not its argument.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Start a list with <code>Y0</code>. For each layer append the last entry plus
# <code>h * activation(last @ K[j] + b[j])</code>. End with <code>torch.stack</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "fa5f9a94599fbbf17bed5c7babef987e", "grade": false, "grade_id": "resnet_forward", "locked": false, "schema_version": 3, "solution": true, "task": false}
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    """Propagate features through all layers of a residual network, equation (3).

    Args:
        Y0: features, `(s, n)`, one sample a row; left unchanged.
        K: weights, `(N, n, n)`.   b: biases, `(N,)`, one number a layer.
        h: step size.   activation: applied entry by entry.

    Returns:
        All stages `Y_0, ..., Y_N` in one tensor, `(N + 1, s, n)`, of the dtype of `Y0`.
        Gradients flow back to `Y0`, `K` and `b`.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "9c0903a8dd2d6935b2996e4c7ab62f2e", "grade": true, "grade_id": "test_resnet_forward", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "resnet_forward",
    points=3,
    answer=lambda: resnet_forward,
    package=(resnet.propagate, resnet.vector_field),
    further=3,
)
def exercise(checks):
    jacobian = torch.autograd.functional.jacobian

    generator = torch.Generator().manual_seed(12)
    Y0 = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    K = torch.randn(5, 3, 3, generator=generator, dtype=torch.float64)
    b = torch.randn(5, generator=generator, dtype=torch.float64)
    weights = torch.tensor([2.0, -1.0]).view(2, 1, 1)
    checks.close(
        "by hand: one feature, weights 2 and -1, biases 1 and 3, no activation, h = 0.5 and h = 1",
        lambda: [
            resnet_forward(torch.ones(1, 1), weights, torch.tensor([1.0, 3.0]), h, lambda y: y)
            for h in (0.5, 1.0)
        ],
        [torch.tensor([1.0, 2.5, 2.75]).view(3, 1, 1), torch.tensor([1.0, 4.0, 3.0]).view(3, 1, 1)],
    )
    checks.close(
        "the six stages of two samples with three features in five layers",
        lambda: resnet_forward(Y0.clone(), K, b, 0.1),
        resnet.propagate(Y0, K, b, 0.1),
    )
    checks.close(
        "another activation, torch.sin",
        lambda: resnet_forward(Y0.clone(), K, b, 0.2, torch.sin),
        resnet.propagate(Y0, K, b, 0.2, torch.sin),
    )
    checks.close(
        "the stages, and the input that was handed in: it is left unchanged",
        lambda: [mine := Y0.clone(), resnet_forward(mine, K, b, 0.1), mine][1:],
        [resnet.propagate(Y0, K, b, 0.1), Y0],
    )
    checks.close(
        "the gradient of the last stage's sum with respect to K",
        lambda: jacobian(
            lambda A: resnet_forward(Y0, A, b, 0.1)[-1].sum(), K
        ),
        jacobian(lambda A: resnet.propagate(Y0, A, b, 0.1)[-1].sum(), K),
    )
check.score(exercise)

# %%
my_resnet_forward = check.yours(exercise)

# %% [markdown]
# ## 3. From layers to a vector field
#
# Equation (3) is Euler's method (2). For which ODE?
# Let the weights be functions of the *depth-time* $t \in [0, T]$ that are constant on $N$ cells,
#
# $$K(t) = K_j, \quad b(t) = b_j \qquad \text{for } jh \le t < (j+1)h, \qquad h = T/N, \tag{4}$$
#
# and follow $\dot y = \sigma(K(t)^\top y + b(t))$, or with samples as rows $f(t, Y) = \sigma(Y K(t) + b(t))$.
# The cells are *half-open*: at its left edge a cell has begun, at its right edge it has ended,
# so that every time belongs to exactly one cell. Only $t = T$ has no cell to its right; it reads the last one.
#
# A small trap lies in "which cell holds $t$?". Times on a grid carry rounding errors.

# %%
wrong = [
    N
    for N in range(1, 33)
    if any(int(t * N) != j for j, t in enumerate(torch.linspace(0, 1, N + 1)[:-1].tolist()))
]
print("int(t * N) reads a wrong cell of a network with 3 layers:", 3 in wrong)
print("and for more than half of the numbers of layers up to 32:", len(wrong) > 16)


# %% [markdown]
# For such depths a network built with `int(t * N)` uses one layer twice and another one never;
# the ContinuousNet code (Queiruga et al. 2020) had this error, with 3 cells as its default.
# The times are float32 numbers, as they come out of `torch.linspace`; which depths go wrong depends on the processor, too.

# %% [markdown]
# ### Exercise 1.3 - The vector field of a residual network (4 points, ~12 min)
# Return the field $f(t, y) = \sigma(y\,K(t) + b(t))$ of equation (4).
# Euler's method with $N$ steps must give the network back, for every $N$.
#
# <details><summary>Hint 1 - a nudge</summary>
# <code>t * N / T</code> is the position in units of cells. Where may rounding have put
# a time that should stand exactly on the edge 3: at 2.9999998 or at 3.0000002?</details>
# <details><summary>Hint 2 - the idea</summary>
# When the position is very close to a whole number, take this whole number; otherwise round down.
# "Very close" has to grow with N: the error of a float32 time is relative.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>position = float(t) * N / T; nearest = round(position)</code>.
# If they differ by less than about <code>1e-6 * N</code> use <code>nearest</code>, else
# <code>math.floor(position)</code>; at last clamp to 0 ... N - 1.</details>

# %% nbgrader={"cell_type": "code", "checksum": "d44ee9cf31bab0b4df054eae29ec07a9", "grade": false, "grade_id": "resnet_vector_field", "locked": false, "schema_version": 3, "solution": true, "task": false}
def resnet_vector_field(K, b, T, activation=torch.tanh):
    """Return the vector field whose Euler discretisation is the residual network.

    Args:
        K: weights, `(N, n, n)`.   b: biases, `(N,)`.   T: final time, `h = T / N`.
        activation: applied entry by entry.

    Returns:
        `f(t, y)` with `y` of shape `(s, n)`: `activation(y @ K_j + b_j)`, where the
        half-open cell `[j h, (j + 1) h)` holds `t`; at `t = T` the last cell is read.
        The time is a Python float, a sum `t += h` of them, or an entry of a float32
        `linspace`: rounding must not pick a neighbouring cell, for any N up to 1000, but
        a time that lies a hundredth of a cell before an edge has not reached it yet.
        Gradients flow back to `y`, `K` and `b`.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "9866ff0b9191504c7143b700f7ef6ac9", "grade": true, "grade_id": "test_resnet_vector_field", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "resnet_vector_field",
    points=4,
    answer=lambda: resnet_vector_field,
    package=(resnet.vector_field, resnet.layer_index, resnet.propagate),
    further=5,
)
def exercise(checks):
    jacobian = torch.autograd.functional.jacobian

    def cells_read(N, T, times):  # bias j in layer j, no weights: the field tells its cell
        f = resnet_vector_field(torch.zeros(N, 1, 1), torch.arange(N) + 0.0, T, lambda y: y)
        return [int(f(t, torch.zeros(1, 1)).item()) for t in times]

    def not_their_own(N, T, times):  # the left edges that read another cell than theirs
        return [j for j, cell in enumerate(cells_read(N, T, times)) if cell != j]

    def grid(N, T):  # the left edges of N cells in float32
        return torch.linspace(0, T, N + 1)[:-1]

    def summed(N, h):  # 0, h, h + h, ...: what a loop with `t += h` sees
        return [sum([h] * j, 0.0) for j in range(N)]

    generator = torch.Generator().manual_seed(13)
    y = torch.randn(4, 3, generator=generator)
    K = torch.randn(7, 3, 3, generator=generator)
    b = torch.randn(7, generator=generator)
    checks.equal(
        "the cells of 4 layers over T = 2, at 0.1, 0.49, 0.6, 0.99, 1.4, 1.9, "
        "and of 3 layers over T = 9, at 2.9, 3.1, 8.9",
        lambda: [
            cells_read(4, 2.0, [0.1, 0.49, 0.6, 0.99, 1.4, 1.9]),
            cells_read(3, 9.0, [2.9, 3.1, 8.9]),
        ],
        [[0, 0, 1, 1, 2, 3], [0, 1, 2]],
    )
    checks.equal(
        "the left edges 0, 0.5, 1, 1.5 of 4 cells and t = T = 2, those of 2 cells and t = T = 1",
        lambda: [
            cells_read(4, 2.0, [0.0, 0.5, 1.0, 1.5, 2.0]),
            cells_read(2, 1.0, [0.0, 0.5, 1.0]),
        ],
        [[0, 1, 2, 3, 3], [0, 1, 1]],
    )
    checks.equal(
        "the left edges of 7 layers over T = 1 in float32",
        lambda: cells_read(7, 1.0, grid(7, 1.0)),
        [0, 1, 2, 3, 4, 5, 6],
    )
    checks.equal(
        "which left edges of 1000 layers over T = 50, in float32, read another cell",
        lambda: not_their_own(1000, 50.0, grid(1000, 50.0)),
        [],
    )
    checks.equal(
        "the left edges of 10 layers over T = 0.3, summed up with t += h",
        lambda: cells_read(10, 0.3, summed(10, 0.03)),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    )
    checks.close(
        "the field at t = 1.4 of 7 layers over T = 3, with ReLU",
        lambda: resnet_vector_field(K, b, 3.0, torch.relu)(1.4, y),
        torch.relu(y @ K[3] + b[3]),
    )
    checks.close(
        "Euler's 7 steps over T = 1 give the network back",
        lambda: solvers.odeint(
            resnet_vector_field(K, b, 1.0), y, torch.linspace(0, 1, 8), method="euler"
        ),
        resnet.propagate(y, K, b, 1 / 7),
    )
    checks.close(
        "the gradient of the field's sum at t = 1.4 with respect to K",
        lambda: jacobian(
            lambda A: resnet_vector_field(A, b, 3.0)(1.4, y).sum(), K
        ),
        jacobian(lambda A: torch.tanh(y @ A[3] + b[3]).sum(), K),
    )
check.score(exercise)

# %%
my_resnet_vector_field = check.yours(exercise)


# %% [markdown]
# ## 4. What happens when $h \to 0$?
#
# A network with 4 layers defines *one* field (4). We keep this field and refine only the steps:
# each layer is applied $r$ times with the step $h/r$. That is a network with $4r$ layers
# whose weights come in groups of $r$ equal ones.
# If the error of a method is $E(h) \approx c\,h^p$, then $\log E = \log c + p \log h$:
# on logarithmic axes the errors lie on a line, and its slope is the *order* $p$.

# %% [markdown]
# ### Exercise 1.4 - Observed order (2 points, ~5 min)
# Fit a line through the points $(\log h_i, \log E_i)$ by least squares and return its slope.
#
# <details><summary>Hint 1 - a nudge</summary>
# The slope of the line through all points, not through the first and the last.</details>
# <details><summary>Hint 2 - the idea</summary>
# With centred values x and y the least-squares slope is
# <code>sum(x * y) / sum(x * x)</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>x = log(h) - mean(log(h))</code>, the same for the errors, in float64;
# return <code>float((x * y).sum() / (x * x).sum())</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "5f1bfe2996ee3f6b503187a442c3f00e", "grade": false, "grade_id": "observed_order", "locked": false, "schema_version": 3, "solution": true, "task": false}
def observed_order(errors, step_sizes):
    """Return the slope of the least-squares line through (log h, log error).

    Args:
        errors: positive numbers, a list or a tensor `(m,)` with m >= 2.
        step_sizes: as many positive numbers, in any order.

    Returns:
        The slope, a float.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "410ab1f79d5936784cf0730d0b092912", "grade": true, "grade_id": "test_observed_order", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "observed_order",
    points=2,
    answer=lambda: observed_order,
    package=solvers.observed_order,
    further=2,
)
def exercise(checks):
    errors, steps = [0.08, 0.011, 0.1, 0.03, 0.02], [0.2, 0.05, 0.4, 0.07, 0.1]
    checks.close(
        "five errors with some noise, in no order: all points count; and the first four of them",
        lambda: [observed_order(errors, steps), observed_order(errors[:4], steps[:4])],
        [1.030966, 0.9982972],  # from scipy.stats.linregress
        rtol=1e-5,
    )
    checks.close(
        "tensors, and two points only: errors 8e-3 and 1e-3 for steps 0.2 and 0.1",
        lambda: observed_order(torch.tensor([8e-3, 1e-3]), torch.tensor([0.2, 0.1])),
        3.0,
        rtol=1e-5,
    )
    checks.equal(
        "the slope of errors 1, 4 for steps 1, 2, rounded, and whether it is a float",
        lambda: [
            slope := observed_order([1.0, 4.0], [1.0, 2.0]),
            [round(float(slope), 4), isinstance(slope, float)],
        ][1],
        [2.0, True],
    )
check.score(exercise)

# %%
my_observed_order = check.yours(exercise)

# %% [markdown]
# Now the experiment: one field with 4 cells, more and more steps.
# *Predict first:* Euler's error halves when the steps do.
# What will the midpoint rule do, which looks at the field half a step ahead as well?

# %%
generator = torch.Generator().manual_seed(4)
n_cells, T = 4, 2.0
K = torch.randn(n_cells, 2, 2, generator=generator, dtype=torch.float64)
b = torch.randn(n_cells, generator=generator, dtype=torch.float64)
Y0 = torch.randn(10, 2, generator=generator, dtype=torch.float64)


def end_point(method, steps_per_cell):
    Y, h = Y0, T / n_cells
    for j in range(n_cells):  # cell by cell, so that no step crosses an edge
        times = j * h + torch.linspace(0, 1, steps_per_cell + 1, dtype=torch.float64) * h
        cell = my_resnet_vector_field(K[j : j + 1], b[j : j + 1], T)  # one cell for all times
        Y = solvers.odeint(cell, Y, times, method=method)[-1]
    return Y


reference = end_point("rk4", 256)
refinements = [1, 2, 4, 8, 16, 32, 64]
step_sizes = (T / n_cells / np.array(refinements)).tolist()
fig, ax = plt.subplots(figsize=(6, 4))
for method in ("euler", "midpoint"):
    errors = [(end_point(method, r) - reference).abs().max().item() for r in refinements]
    slope = my_observed_order(errors, step_sizes)
    ax.loglog(
        step_sizes, errors, "o-",
        color=plots.COLOURS[method], label=f"{method}, slope {slope:.2f}",
    )
    print(
        f"{method}: error {errors[0]:.1e} with 4 layers, "
        f"{errors[-1]:.1e} with 256, slope {slope:.2f}"
    )
ax.set(xlabel="step size h", ylabel="largest error of the features at T")
ax.legend()
plt.show()


# %% [markdown]
# *Figure: distance between the output of the refined network and the solution of its ODE,
# against the step size, on logarithmic axes, for Euler's method and the midpoint rule.*
#
# **Reading the picture.** Both errors are straight lines: the network has a limit,
# and this limit is the solution of the ODE (1) with the field (4).
# Euler, the residual network, comes near it with order 1.
# The midpoint rule asks the same layers for directions and is far closer at equal $h$:
# better integrators are the subject of notebook 04.

# %% [markdown]
# ## 5. Classification
#
# The last features $Y_N$ go into a linear classifier with weights $W \in \mathbb R^{n\times m}$
# and offsets $\mu \in \mathbb R^m$ (Haber and Ruthotto 2017):
#
# $$P = \mathrm{h}(Y_N W + e_s \mu^\top), \tag{5}$$
#
# where $\mathrm h$ is the logistic function $\mathrm h(x) = e^x / (1 + e^x)$ for a single column ($m = 1$, two classes)
# and the softmax of each row for more.

# %% [markdown]
# ### Exercise 1.5 - Probabilities (2 points, ~5 min)
# Turn features into class probabilities, equation (5).
# Large scores must not overflow: in float32 $e^{1000}$ is infinite, and $\infty/\infty$ is not a number.
#
# <details><summary>Hint 1 - a nudge</summary>
# The number of columns of W decides between two formulas.</details>
# <details><summary>Hint 2 - the idea</summary>
# PyTorch has both functions in a form that does not overflow.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>torch.sigmoid(scores)</code> when <code>W.shape[1] == 1</code>, else
# <code>torch.softmax(scores, dim=1)</code>: each row of samples sums to one.</details>

# %% nbgrader={"cell_type": "code", "checksum": "eab435b5a2398681114cedd758f67f30", "grade": false, "grade_id": "predict_proba", "locked": false, "schema_version": 3, "solution": true, "task": false}
def predict_proba(Y, W, mu):
    """Turn features into class probabilities, equation (5).

    Args:
        Y: features, `(s, n)`.   W: weights, `(n, m)`.   mu: offsets, `(m,)`.

    Returns:
        Probabilities, `(s, m)`: the logistic function for one column (m = 1), so that
        the entry is the probability of class one; softmax of each row for more.
        They are numbers for scores of size 1000 too, and gradients flow back.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "7d7256fef891caa00399262be0822ed3", "grade": true, "grade_id": "test_predict_proba", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "predict_proba",
    points=2,
    answer=lambda: predict_proba,
    package=resnet.predict_proba,
    further=2,
)
def exercise(checks):
    jacobian = torch.autograd.functional.jacobian

    Y = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.0, 3.0]], dtype=torch.float64)
    w = torch.tensor([[1.0], [-0.5]], dtype=torch.float64)
    W = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.5]], dtype=torch.float64)
    mu = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    powers = torch.exp(Y @ W + mu)
    checks.close(
        "one column, three samples: the logistic function, for two classifiers",
        lambda: [predict_proba(Y, w, mu[:1]), predict_proba(Y, 2 * w, mu[1:2])],
        [1 / (1 + torch.exp(-(Y @ w + 0.1))), 1 / (1 + torch.exp(-(2 * Y @ w - 0.2)))],
    )
    checks.close(
        "three columns: softmax of each row",
        lambda: predict_proba(Y, W, mu),
        powers / powers.sum(dim=1, keepdim=True),
    )
    checks.close(
        "the scores 1000 and -1000 of two samples in float32, one column",
        lambda: predict_proba(torch.tensor([[1.0], [-1.0]]), torch.tensor([[1000.0]]), torch.zeros(1)),
        torch.tensor([[1.0], [0.0]]),
    )
    checks.close(
        "the scores 1000 and 998 of one sample in float32, two columns",
        lambda: predict_proba(torch.tensor([[1.0]]), torch.tensor([[1000.0, 998.0]]), torch.zeros(2)),
        torch.tensor([[0.8807971, 0.1192029]]),
        rtol=1e-3,  # scores of 1000 keep few digits in float32
    )
    checks.close(
        "the gradient with respect to W of the probabilities of class one, three columns",
        lambda: jacobian(
            lambda A: predict_proba(Y, A, mu)[:, 1].sum(), W
        ),
        jacobian(lambda A: torch.softmax(Y @ A + mu, dim=1)[:, 1].sum(), W),
    )
check.score(exercise)

# %%
my_predict_proba = check.yours(exercise)


# %% [markdown]
# ## 6. What learning minimises
#
# Learning chooses $W, \mu$ and all $K_j, b_j$ such that (Haber and Ruthotto 2017)
#
# $$\frac1s\, S(Y_N, W, \mu, C) + \alpha\, R(K, b) \quad\text{is small,} \tag{6}$$
#
# where row $i$ of $C$ holds the probability of each class for sample $i$
# and $S$ is the cross-entropy $-\sum_{i,k} C_{ik} \log P_{ik}$
# (for one column $-\sum_i [\,C_i \log P_i + (1-C_i)\log(1-P_i)\,]$).
# The slides use $\frac12\|P - C\|_F^2$ as an example of $S$;
# the cross-entropy has the advantage that the problem for $W$ and $\mu$ alone is convex.
#
# What should $R$ be? Weight decay pulls the weights to zero.
# For an ODE, something else is natural: neighbouring layers should be *similar*,
# so that $K(t)$ has a limit when the layers become more. That is
#
# $$R(K, b) = \frac1{2h}\sum_{j=1}^{N-1} \|K_j - K_{j-1}\|_F^2 + \frac1{2h}\sum_{j=1}^{N-1} (b_j - b_{j-1})^2
# \;\approx\; \frac12\int_0^T \|\dot K\|_F^2 + \dot b^2 \, dt. \tag{7}$$

# %% [markdown]
# ### Exercise 1.6 - The objective (2 points, ~8 min)
# Compute (6) with the smoothness (7). `Y` is the last stage $Y_N$.
# `torch.nn.functional` may help, the package's losses may not.
#
# <details><summary>Hint 1 - a nudge</summary>
# Two terms: one looks at the samples only, the other one at the layers only.</details>
# <details><summary>Hint 2 - the idea</summary>
# The logarithm of a probability that was rounded to 0 is minus infinity. Compute the
# cross-entropy from the scores <code>Y @ W + mu</code>: <code>torch.nn.functional</code> has
# <code>binary_cross_entropy_with_logits</code> and <code>cross_entropy</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Both functions average over the samples already.
# <code>K.diff(dim=0).square().sum()</code> is the first sum of (7); <code>b</code> likewise;
# divide by <code>2 * h</code> and multiply by <code>alpha</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "791b8f98880d2a8a94bf64e5c778114f", "grade": false, "grade_id": "objective", "locked": false, "schema_version": 3, "solution": true, "task": false}
def objective(Y, W, mu, C, K, b, h, alpha):
    """Return what learning minimises, equation (6): S / s + alpha * R.

    Args:
        Y: features after the last layer, `(s, n)`.
        W, mu: classifier, `(n, m)` and `(m,)`.
        C: labels, `(s, m)`; each row holds class probabilities. With one column the
            entry is the probability of class one.
        K, b: weights `(N, n, n)` and biases `(N,)` of the layers.
        h: step size.   alpha: weight of the smoothness R of equation (7), which
            covers both K and b.

    Returns:
        A tensor without axes, finite also for scores of size 1000; gradients flow back
        to all tensors.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "dcc6899a92efaad7b5f41f2757b60031", "grade": true, "grade_id": "test_objective", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "objective",
    points=2,
    answer=lambda: objective,
    package=(resnet.objective, resnet.misfit, resnet.smoothness, resnet.cross_entropy),
    further=3,
)
def exercise(checks):
    jacobian = torch.autograd.functional.jacobian

    generator = torch.Generator().manual_seed(16)
    Y = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    W = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    mu = torch.tensor([0.5, 0.0, -1.0], dtype=torch.float64)
    C = torch.rand(6, 3, generator=generator, dtype=torch.float64)
    C = C / C.sum(dim=1, keepdim=True)
    K = torch.randn(4, 2, 2, generator=generator, dtype=torch.float64)
    b = torch.randn(4, generator=generator, dtype=torch.float64)
    squares = sum(((K[j] - K[j - 1]) ** 2).sum() + (b[j] - b[j - 1]) ** 2 for j in (1, 2, 3))
    log_P = torch.log_softmax(Y @ W + mu, dim=1)
    p = torch.sigmoid(Y @ W[:, :1] + mu[:1])
    c = C[:, :1]
    checks.close(
        "four layers; all scores are 0 in two classes, so that S / s is ln 2; "
        "h = 0.25 with alpha = 0.1, h = 2 with alpha = 3",
        lambda: [
            objective(Y, 0 * W[:, :2], 0 * mu[:2], 0 * C[:, :2] + 0.5, K, b, h, alpha)
            for h, alpha in ((0.25, 0.1), (2.0, 3.0))
        ],
        [math.log(2) + 0.1 * squares.item() / (2 * 0.25), math.log(2) + 3 * squares.item() / (2 * 2)],
        rtol=1e-6,
    )
    checks.close(
        "three classes, six samples, alpha = 0: the cross-entropy alone",
        lambda: objective(Y, W, mu, C, K, b, 0.5, 0.0),
        -(C * log_P).sum().item() / 6,
        rtol=1e-6,
    )
    checks.close(
        "one column, six samples, alpha = 0",
        lambda: objective(Y, W[:, :1], mu[:1], c, K, b, 0.5, 0.0),
        -(c * p.log() + (1 - c) * (1 - p).log()).sum().item() / 6,
        rtol=1e-6,
    )
    checks.close(
        "one column, scores 1000 and -1000 in float32, both labels 0: losses 1000 and 0",
        lambda: objective(
            torch.tensor([[1.0], [-1.0]]), torch.tensor([[1000.0]]), torch.zeros(1),
            torch.zeros(2, 1), torch.zeros(2, 1, 1), torch.zeros(2), 1.0, 1.0,
        ),
        500.0,
    )
    checks.close(
        "two columns, scores 1000 and -1000 in float32, the label is the second class",
        lambda: objective(
            torch.tensor([[1.0]]), torch.tensor([[1000.0, -1000.0]]), torch.zeros(2),
            torch.tensor([[0.0, 1.0]]), torch.zeros(2, 1, 1), torch.zeros(2), 1.0, 1.0,
        ),
        2000.0,
    )
    checks.close(
        "the gradients with respect to W and K, h = 0.5, alpha = 0.1",
        lambda: jacobian(
            lambda V, A: objective(Y, V, mu, C, A, b, 0.5, 0.1), (W, K)
        ),
        jacobian(lambda V, A: resnet.objective(Y, V, mu, C, A, b, 0.5, 0.1), (W, K)),
        rtol=1e-6,
        atol=1e-8,
    )
check.score(exercise)

# %%
my_objective = check.yours(exercise)

# %% [markdown]
# ## 7. Learning the ellipses
#
# The first test problem of Haber and Ruthotto: points in an ellipse belong to class zero,
# points in the ring around it to class one. No straight line separates them.
# A network can only bend the plane step by step until a line does.

# %%
n_per_class = scale.pick(quick=100, lesson=250, full=500)
points = toy.ellipses(n_per_class, generator=1, dtype=torch.float64)
held_out = toy.ellipses(100, generator=2, dtype=torch.float64)
print(f"{len(points.X)} points to learn from, {len(held_out.X)} held out")
fig, ax = plt.subplots(figsize=(7.5, 3.2))
plots.scatter(ax, *points, names=("inside", "ring"))
ax.set(xlabel="feature $y_1$", ylabel="feature $y_2$", aspect="equal")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()


# %% [markdown]
# *Figure: the concentric ellipses, two classes that touch each other.*
#
# **How to learn.** The objective (6) is difficult in $K, b$ and easy (convex) in $W, \mu$.
# *Block coordinate descent* takes turns: it minimises over $W, \mu$ with the propagation fixed,
# then over $K, b$ with the classifier fixed, and again.
# Each half-step can only lower the objective.
#
# The package gives you `optimise.minimise(loss, variables)`: it starts at the given tensors,
# lowers `loss(*variables)` by L-BFGS with a line search, never ends higher than it began,
# and returns the new tensors as a list. The given ones stay as they are.

# %% [markdown]
# ### Exercise 1.7 - Block coordinate descent (4 points, ~15 min)
# Take turns `n_sweeps` times: first $W, \mu$, then $K, b$.
# Record the objective at the start and after each half-step.
# Allowed helpers of the package: `optimise.minimise`, and `resnet.propagate` and
# `resnet.objective` for (3) and (6).
#
# <details><summary>Hint 1 - a nudge</summary>
# In the first half-step <code>Y_N</code> does not change: propagate once, outside of the loss.
# In the second one it does: propagate inside the loss.</details>
# <details><summary>Hint 2 - the idea</summary>
# The loss of the first half is a function of <code>W, mu</code>, everything else is fixed;
# the loss of the second half is a function of <code>K, b</code>.
# <code>history</code> has <code>2 * n_sweeps + 1</code> entries.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>Y = resnet.propagate(Y0, K, b, h)[-1]</code>, then
# <code>W, mu = optimise.minimise(lambda W, mu: resnet.objective(Y, W, mu, C, K, b, h, alpha), (W, mu))</code>,
# and the second half in the same way with <code>lambda K, b: ...</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "dd534ecc7a06adbce22922b8f230e6a3", "grade": false, "grade_id": "block_coordinate_descent", "locked": false, "schema_version": 3, "solution": true, "task": false}
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    """Minimise the objective over (W, mu) and over (K, b) in turns.

    Args:
        Y0: features, `(s, n)`.   C: labels, `(s, m)`.
        K, b, W, mu: where to start, `(N, n, n)`, `(N,)`, `(n, m)`, `(m,)`; these tensors
            are left unchanged.
        h: step size.   alpha: weight of the smoothness.
        n_sweeps: number of sweeps, each of two half-steps: (W, mu) first, then (K, b).

    Returns:
        `(K, b, W, mu, history)`; `history` is a list of floats, the objective at the
        start and after each half-step. It never rises.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "acab4140f670e4fed780d4957f49d0bc", "grade": true, "grade_id": "test_block_coordinate_descent", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "block_coordinate_descent",
    points=4,
    answer=lambda: block_coordinate_descent,
    package=(resnet.block_coordinate_descent, optimise.minimise_in_turns),
    further=2,
)
def exercise(checks):
    import functools

    generator = torch.Generator().manual_seed(19)
    Y0 = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    noise = 0.3 * torch.randn(60, 1, generator=generator, dtype=torch.float64)
    C = (Y0.norm(dim=1, keepdim=True) + noise < 1.1).double()
    K = torch.randn(4, 2, 2, generator=generator, dtype=torch.float64)
    b = torch.zeros(4, dtype=torch.float64)
    W = torch.ones(2, 1, dtype=torch.float64)
    mu = torch.zeros(1, dtype=torch.float64)

    sweeps = {1.0: 2, 0.5: 3}  # two networks, by their step size h

    def objective_at(h, K, b, W, mu):
        Y = resnet.propagate(Y0, K, b, h)[-1]
        return resnet.objective(Y, W, mu, C, K, b, h, 0.005).item()

    @functools.cache  # each descent is computed once and looked at from several sides
    def descend(h):
        start = [variable.clone() for variable in (K, b, W, mu)]
        came = block_coordinate_descent(Y0, C, *start, h=h, alpha=0.005, n_sweeps=sweeps[h])
        return came, start

    def history(h):
        return descend(h)[0][4]

    def differ(some, others):  # which of K, b, W and mu
        return [not torch.equal(one, other) for one, other in zip(some, others)]

    checks.close(
        "what two sweeps of a network with h = 1 and three with h = 0.5 record: a list of five "
        "and of seven floats, first the value at the start",
        lambda: [
            [type(history(h)).__name__, [type(value).__name__ for value in history(h)], history(h)[0]]
            for h in sweeps
        ],
        [["list", ["float"] * (1 + 2 * sweeps[h]), objective_at(h, K, b, W, mu)] for h in sweeps],
    )
    checks.close(
        "after the first half-step W and mu are best for the given K and b: the values",
        lambda: [history(h)[1] for h in sweeps],
        [0.716668, 0.753692],  # with scikit-learn's LogisticRegression without penalty
        rtol=1e-4,
    )
    checks.at_most(
        "the value after the first sweep, divided by that after its first half-step; "
        "the objective of what comes back, divided by the value after the first sweep",
        lambda: [
            [history(h)[2] / history(h)[1], objective_at(h, *descend(h)[0][:4]) / history(h)[2]]
            for h in sweeps
        ],
        0.975,
    )
    checks.close(
        "in which half-steps the value rises: it never should; "
        "and the objective of what comes back, less the last value recorded",
        lambda: [
            [
                [k for k in range(1, len(history(h))) if history(h)[k] > history(h)[k - 1] + 1e-9],
                objective_at(h, *descend(h)[0][:4]) - history(h)[-1],
            ]
            for h in sweeps
        ],
        [[[], 0.0], [[], 0.0]],
        atol=1e-8,
    )
    checks.equal(
        "which of K, b, W, mu come back changed, which were changed where they were given, "
        "and which differ between h = 1 and h = 0.5",
        lambda: [
            differ(descend(1.0)[0][:4], (K, b, W, mu)),
            differ(descend(1.0)[1], (K, b, W, mu)),
            differ(descend(1.0)[0][:4], descend(0.5)[0][:4]),
        ],
        [[True] * 4, [False] * 4, [True] * 4],
    )
check.score(exercise)

# %%
my_block_coordinate_descent = check.yours(exercise)

# %% [markdown]
# Now we learn the ellipses with `my_block_coordinate_descent`, one sweep at a time.
# The final time is $T = 20$ and the smoothness has the weight $\alpha = 10^{-3}$, as in the slides.

# %%
N = scale.pick(quick=4, lesson=8, full=32)
n_sweeps = scale.pick(quick=2, lesson=8, full=20)
T, alpha = 20.0, 1e-3
generator = torch.Generator().manual_seed(4)
K, b = torch.randn(N, 2, 2, generator=generator, dtype=torch.float64), torch.zeros(N, dtype=torch.float64)
W, mu = torch.zeros(2, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
C, C_held_out = (part.labels[:, None].double() for part in (points, held_out))
history = []
for _ in range(n_sweeps):
    K, b, W, mu, values = my_block_coordinate_descent(points.X, C, K, b, W, mu, T / N, alpha, 1)
    history += values if not history else values[1:]


def last_features(X):
    return my_resnet_forward(X.double(), K, b, T / N)[-1]


def predict(X):
    return (my_predict_proba(last_features(X), W, mu)[:, 0] > 0.5).long()


start = history[0]
unseen = my_objective(last_features(held_out.X), W, mu, C_held_out, K, b, T / N, alpha)
print(f"objective: {start:.2f} at the start; a third of it or less")
print(f"  after {n_sweeps} sweeps: {history[-1] < start / 3}; with the points held out: {bool(unseen < start / 3)}")
for name, (X, labels) in {"learned from": points, "held out": held_out}.items():
    rate = (predict(X) == labels).double().mean().item()
    print(f"more than 90% of the points {name} are on the right side: {rate > 0.9}")

# %%
fig, ax = plt.subplots(figsize=(7, 3.2))
half_steps = range(len(history))
ax.plot(half_steps, history, color=plots.COLOURS["resnet"], lw=1)
ax.plot(half_steps[1::2], history[1::2], "s", color=plots.PALETTE[1], label="after a half-step on W and $\\mu$")
ax.plot(half_steps[::2], history[::2], "o", color=plots.PALETTE[0], label="start, then after a half-step on K and b")
ax.set(xlabel="half-step", ylabel="objective", ylim=(0, None))
ax.legend()
plt.show()

# %% [markdown]
# *Figure: the objective before the first and after each half-step.*
#
# **Reading the picture.** It never rises, as it must.
# The first half-step hardly helps: behind layers that have learned nothing yet,
# no line separates the classes.
# Then the layers move the features a little, the line follows, and the two blocks take turns
# in paying each other's way; after a few sweeps both earn less and less.

# %%
stages = my_resnet_forward(points.X, K, b, T / N)
shown = [0, N // 4, N // 2, 3 * N // 4, N]
fig, axes = plt.subplots(1, 5, figsize=(13, 3))
for ax, j in zip(axes, shown):
    plots.scatter(ax, stages[j], points.labels)
    ax.set_title(f"after layer {j}, t = {j * T / N:.3g}" if j else "input, t = 0")
    ax.set(xlabel="feature $y_1$", ylabel="feature $y_2$" if j == 0 else "")
low, high = axes[-1].get_xlim()
line = torch.tensor([low, high], dtype=torch.float64)
if abs(W[1, 0]) > 1e-12:
    bottom, top = axes[-1].get_ylim()
    axes[-1].plot(line, -(mu[0] + W[0, 0] * line) / W[1, 0], "k--", lw=1, label="$y^\\top w + \\mu = 0$")
    axes[-1].set(xlim=(low, high), ylim=(bottom, top))
    axes[-1].legend(loc="lower center", bbox_to_anchor=(0.5, 1.12), fontsize=8)
plt.show()

# %% [markdown]
# *Figure: the features of all samples on their way through the layers;
# the dashed line in the last panel is the classifier.*
#
# **Reading the picture.** The layers push the ring to one side and squeeze the inner points
# into a corner, until a line cuts the two apart.
# How can that be? A continuous flow of the plane could not take the ring off the points that
# it surrounds without tearing it. This network has only a few large steps:
# it can *fold* the plane, and it does so in the first layers.

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.6))
plots.decision_regions(
    ax,
    predict,
    held_out.X,
    held_out.labels,
    box=toy.ELLIPSES_BOX,
)
ax.set(xlabel="feature $y_1$", ylabel="feature $y_2$")
plt.show()

# %% [markdown]
# *Figure: the class that the network gives to each point of the plane, and the held-out points.*
#
# **Reading the picture.** Where there are samples the boundary follows the ellipse.
# Its thin double lines are the folds of the plane.
# Where there are no samples, in a corner, an island of the wrong class may appear:
# nothing was asked of the network there.
# How far such answers can be trusted is the question of notebook 03.

# %% [markdown] nbgrader={"cell_type": "markdown", "checksum": "a5d6aae530a4b2224c62f7496946fa6d", "grade": false, "grade_id": "question_double_depth", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": true}
# ### Question 1.8 - Twice as deep (1 point, ~5 min)
# The number of layers doubles from $N$ to $2N$ while the final time $T$ stays the same,
# and each new pair of layers starts with the weights of the old layer it replaces.
# In three or four sentences: what changes, and what does not?
# Name the step size, the vector field, the output, the objective (think of $R$), and the cost.
#

# %% [markdown]
# *Your answer to question 1.8: double-click here and write.*

# %% [markdown]
# ## 8. Turn the knob
#
# **Full size.** Put `scale.use("full")` into the set-up cell, or set the environment variable
# `ODENETS_SCALE=full`, and run the notebook again: the ellipses then have the 1000 + 200
# points of the slides and the network has 32 layers.
# The cell below trains the module `resnet.VectorResNet`, this notebook's network with an opening
# layer in front, on images: scikit-learn's small digits here, MNIST at full scale.
# On a GPU it uses the GPU.

# %%
dataset = scale.pick(quick="digits", lesson="digits", full="mnist")
data = images.load(dataset)
train_batches, test_batches = images.loaders(data, batch_size=64)
training.set_seed(8)
device = training.pick_device("cpu" if scale.current() != "full" else None)
model = resnet.VectorResNet(n_features=28 * 28, width=32, n_layers=6, T=3.0, n_classes=10).to(device)
training.fit(
    model,
    train_batches,
    torch.nn.functional.cross_entropy,
    torch.optim.Adam(model.parameters(), lr=3e-3),
    epochs=scale.pick(quick=1, lesson=10, full=10),
    device=device,
)
rate = training.accuracy(model, test_batches, device=device)
print(f"{dataset}: {rate:.0%} of the test images right")

# %% [markdown]
# ## Recap
#
# * A residual block is one step of Euler's method (2); its correction is a step size times a vector field.
# * A residual network is the discretisation of an ODE whose weights are constant on half-open cells (4).
#   Rounding decides which cell a time belongs to, unless you take care.
# * When the steps shrink, the network converges to the solution of this ODE, with order 1.
# * Learning minimises the cross-entropy plus a smoothness in depth-time (6), which survives refinement.
# * Block coordinate descent never lets the objective rise, and the features can be watched on their way.
#
# **Left out:** which weights make the propagation stable (notebook 03), better integrators (04),
# and gradients without stored layers (05).
#
# **Read on:** Haber and Ruthotto 2017, sections 1 to 3; W. E, *A proposal on machine learning via
# dynamical systems*, Commun. Math. Stat. 5 (2017) 1-11; K. He et al., *Deep residual learning*,
# CVPR 2016, [arXiv 1512.03385](https://arxiv.org/abs/1512.03385).
#
# **Next:** [02 - One layer, over and over](../02_iterated_networks/02_iterated_networks.ipynb)
