# %% [markdown]
# # 01 - A residual network is Euler's method
#
# **The question.** What does a residual network compute, and what is left of it
# when its layers become infinitely many and infinitely thin?
# Whoever can answer this may choose depth, steps and memory afterwards, as the later notebooks do.
#
# **Time** about 80 minutes - **points** 20 - **you need** matrix products, gradients,
# a first course on differential equations, and PyTorch tensors.
# **Short of time?** Do exercises 1.1, 1.2, 1.3 and 1.7.
#
# After this notebook you can
#
# 1. *read* a residual block as one step of Euler's method (1.1, 1.2),
# 2. *build* the vector field that a given residual network discretises (1.3),
# 3. *measure* the order of convergence when the steps shrink (1.4),
# 4. *compute* what learning minimises (1.5, 1.6),
# 5. *train* a network by block coordinate descent (1.7),
# 6. *judge* what changes when layers are added (1.8).
#
# **Sources.** E. Haber and L. Ruthotto, *Stable architectures for deep neural networks*,
# Inverse Problems 34 (2017) 014004, [arXiv 1705.03341](https://arxiv.org/abs/1705.03341): network, learning problem, ODE and ellipses.
# R. Chen et al., *Neural ordinary differential equations*, NeurIPS 2018,
# [arXiv 1806.07366](https://arxiv.org/abs/1806.07366).
# E. Dupont et al., *Augmented neural ODEs*, NeurIPS 2019,
# [arXiv 1904.01681](https://arxiv.org/abs/1904.01681): what a flow cannot do.

# %%
import importlib.util
import math
import matplotlib.pyplot as plt
import numpy as np
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+REPOSITORY#subdirectory=course")
from odenets import check, optimise, plots, scale, solvers, training
from odenets.data import images, toy
from odenets.nets import resnet
scale.use("lesson")
plots.style()
training.set_seed(0)

# %% [markdown]
# ## 1. One block, one step
#
# A plain layer replaces its input; a *residual* layer adds a correction to it, $Y_{j+1} = Y_j + F_j(Y_j)$.
# It can do nothing at all ($F_j = 0$), so that more layers need not hurt.
# And, the subject of this course, **the correction is a small step along a curve**.
#
# A vector field $f(t, y)$ says at each time and place where to go; the curve that follows it solves the *ordinary differential equation* (ODE)
#
# $$\dot y(t) = f(t, y(t)), \qquad y(0) = y_0. \tag{1}$$
#
# ### Exercise 1.1 - One Euler step (2 points, ~3 min, difficulty 1 of 5, important)
# You stand at $y$ at the time $t$. Read the field there, once, and walk straight on with this velocity for a time $h$.
# Where are you? This is Euler's method, and the only thing that a residual block does.
#
# Write the exercises with PyTorch; the package's own versions refuse to work inside of them, and helpers that are allowed are named.
# Once all its checks are passed, your function drives the rest of the notebook.
#
# <details><summary>Hint 1 - a nudge</summary>
# Your velocity is <code>f(t, y)</code>. How far does it take you in a time <code>h</code>?</details>
# <details><summary>Hint 2 - the idea</summary>
# Distance is speed times time; add it to where you are.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Return the state, plus <code>h</code> times the field at the state.
# <code>y += ...</code> would change the caller's tensor.</details>

# %% nbgrader={"grade": false, "grade_id": "euler_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def euler_step(f, t, y, h):
    """Advance `y` from time `t` to `t + h` with one step of Euler's method.

    Args:
        f: vector field; `f(t, y)` returns a tensor of the shape of `y`.
        t: time, a float.   y: state, any shape.   h: step size, may be negative.

    Returns:
        The new state, same shape and dtype as `y`; `y` itself is left unchanged.
        Gradients flow from the new state to the old one.
    """
    ### BEGIN SOLUTION
    return y + h * f(t, y)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_euler_step", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
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
    ### BEGIN HIDDEN TESTS
    checks.close(
        "a state without axes",
        lambda: euler_step(lambda t, y: t - y**2, 2.0, torch.tensor(3.0), 0.1),
        2.3,
    )
    checks.close(
        "features that are not contiguous in memory, at a negative time",
        lambda: euler_step(swirl, -1.5, states.T, 0.3),
        states.T + 0.3 * swirl(-1.5, states.T),
    )
    checks.close(
        "the gradient with respect to a weight inside the field",
        lambda: jacobian(
            lambda w: euler_step(lambda t, y: w * y + t, 1.0, y, 0.5), y
        ),
        torch.diag(0.5 * y),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown]
# In a formula, with $t_{j+1} = t_j + h$:
#
# $$y_{j+1} = y_j + h\, f(t_j, y_j). \tag{2}$$
#
# Now repeat it, in the field $f(y) = \tanh(K^\top y)$ with a fixed matrix $K$:
# a residual layer whose weights never change. Its curves turn to the left, and inwards.
# *Predict first*: type your answers between the empty quotes.

# %%
my_euler_step = check.yours(exercise)
side = check.predict(
    "On which side of the curve do long steps end up?", among=["inside", "outside"], mine=""
)
half = check.predict(
    "Half the step, twice the layers: what becomes of the distance from the curve's end?",
    among=["the same", "halved", "quartered"], mine="",
)

# %%
t_end = 6.0
y_start = torch.tensor([1.3, 0.8], dtype=torch.float64)
matrices = {
    "turn": [[-0.2, 1.0], [-1.0, -0.2]],
    "saddle": [[0.0, -0.4], [-0.4, 0.0]],
    "stiff": [[-0.4, 0.0], [0.0, -5.0]],
}
fields = {k: lambda t, y, K=K: torch.tanh(y @ y.new_tensor(K)) for k, K in matrices.items()}
times = torch.linspace(0, t_end, 201, dtype=torch.float64)
curves = {k: solvers.odeint(f, y_start, times) for k, f in fields.items()}  # adaptive steps


def walk(field, n_layers):
    h, states = t_end / n_layers, [y_start]
    for j in range(n_layers):
        states.append(my_euler_step(fields[field], j * h, states[-1], h))
    return torch.stack(states)


def distance(field, n_layers):
    return (walk(field, n_layers)[-1] - curves[field][-1]).norm().item()

# %%
def picture(h=0.75, field="turn"):
    n_layers = round(t_end / h)
    fig, ax = plt.subplots(figsize=(5.6, 4.8))
    plots.slope_field(ax, fields[field], (-2.6, 2.6), (-2.6, 2.6))
    ax.plot(*curves[field].T, color=plots.COLOURS["exact"], label="the exact curve")
    name = f"{n_layers} layers, h = {h:g}"
    ax.plot(*walk(field, n_layers).T, "o--", color=plots.COLOURS["euler"], label=name)
    ax.set(xlabel="feature $y_1$", ylabel="feature $y_2$", aspect="equal")
    ax.set_title(f"{field}: {distance(field, n_layers):.2f} from the end of the curve")
    ax.legend(loc="upper right")
    return fig


words = "A curve that spirals inwards to the left; eight straight steps run outside of it."
plots.live(picture, words, h=[1.5, 1.0, 0.75, 0.5, 0.25, 0.125], field=list(fields))
for n_layers in (8, 48, 96):
    print(f"turn, {n_layers:2d} layers: {distance('turn', n_layers):.3f} from the end of the curve")
out = walk("turn", 8)[-1].norm() > curves["turn"][-1].norm()
side.reveal("outside" if out else "inside", "a tangent leaves a curve on its outer side.")
ratio = distance("turn", 48) / distance("turn", 96)
half.reveal(
    min({"the same": 1, "halved": 2, "quartered": 4}.items(), key=lambda e: abs(e[1] - ratio))[0],
    "each step errs by about h squared, and there are 1 / h as many.",
)

# %% [markdown]
# *Figure: the path of one sample through the layers (dashed), the exact curve (solid), and the slope field. Move the slider, change the field.*
#
# **Reading the picture.** The tangent of a curve that turns left lies on its right: the coarse network drifts outwards.
# The layers are *samples* of one continuous motion, and $h$ says how densely it is sampled.
# In the stiff field long steps overshoot, to and fro (notebook 03).
#
# ### Explore - The cheapest network
# What is the smallest number of layers that ends within 0.05 of the curve's end in *all three* fields?
# <details><summary>What others found</summary>
# The turning field decides: 128 layers miss the aim by little, about 165 reach it.
# The stiff field is content with 16 layers, but not with 12.</details>

# %%
n_layers = 64  # yours

ends = {field: distance(field, n_layers) for field in fields}
for field, end in ends.items():
    print(f"{field:6s} {n_layers} layers: {end:.3f} from the end of the curve")
print("all within 0.05:", max(ends.values()) <= 0.05)

# %% [markdown]
# ## 2. Many blocks: forward propagation
#
# Real networks change their weights from layer to layer.
# For one sample with $n$ features, a column $y$, layer $j$ of the network of Haber and Ruthotto (2017) is
#
# $$y_{j+1} = y_j + h\,\sigma(K_j^\top y_j + b_j), \qquad j = 0, \dots, N-1, \tag{3}$$
#
# with $K_j \in \mathbb R^{n\times n}$, a scalar bias $b_j$, and $\sigma = \tanh$ entry by entry.
# The network has $N$ layers; its *final time* is $T = N h$.
#
# ### Exercise 1.2 - Forward propagation (3 points, ~7 min, difficulty 2 of 5, important)
# Samples come in batches: $s$ of them, as the *rows* of $Y_j \in \mathbb R^{s\times n}$.
# What does (3) say for all rows at once? Run it and keep every stage, the input too.
#
# <details><summary>Hint 1 - a nudge</summary>
# N layers make N + 1 stages. What becomes of <code>K_j.T @ y</code> when y is a row?</details>
# <details><summary>Hint 2 - the idea</summary>
# The matrix stands on the right: <code>Y @ K[j]</code>. The step size multiplies the activated value, not its argument.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Start a list with <code>Y0</code>. For each layer append the last entry plus
# <code>h * activation(last @ K[j] + b[j])</code>. End with <code>torch.stack</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "resnet_forward", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
    ### BEGIN SOLUTION
    stages = [Y0]
    for K_j, b_j in zip(K, b):
        stages.append(stages[-1] + h * activation(stages[-1] @ K_j + b_j))
    return torch.stack(stages)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_resnet_forward", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
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
    ### BEGIN HIDDEN TESTS
    checks.close(
        "one sample, a negative step",
        lambda: resnet_forward(Y0[:1], K, b, -0.3, torch.relu),
        resnet.propagate(Y0[:1], K, b, -0.3, torch.relu),
    )
    seven = Y0.T.float().repeat(3, 1)[:7]
    checks.close(
        "one layer, seven samples, float32, inputs that are not contiguous in memory",
        lambda: resnet_forward(seven, K[:1, :2, :2].float().mT, b[:1].float(), 0.1),
        resnet.propagate(seven, K[:1, :2, :2].float().mT, b[:1].float(), 0.1),
    )
    checks.close(
        "the gradient with respect to the biases and the input",
        lambda: jacobian(
            lambda c, Y: resnet_forward(Y, K, c, 0.1)[3].square().sum(), (b, Y0)
        ),
        jacobian(lambda c, Y: resnet.propagate(Y, K, c, 0.1)[3].square().sum(), (b, Y0)),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown]
# ## 3. From layers to a vector field
#
# Equation (3) is Euler's method (2). For which ODE?
# Let the weights be functions of the *depth-time* $t \in [0, T]$ that are constant on $N$ cells,
#
# $$K(t) = K_j, \quad b(t) = b_j \qquad \text{for } jh \le t < (j+1)h, \qquad h = T/N, \tag{4}$$
#
# and follow $\dot y = \sigma(K(t)^\top y + b(t))$.
# The cells are *half-open*: every time belongs to exactly one of them. Only $t = T$ has no cell to its right; it reads the last one.
#
# Which cell holds $t$? For $T = 1$, `int(t * N)` looks right. *Predict:* we ask it for the left edges of all cells.
# For how many of the networks with 1 to 32 layers is an answer wrong?

# %%
my_resnet_forward = check.yours(exercise)
missed = check.predict(
    "How many of the 32 networks?", among=["none", "one or two", "more than half"], mine=""
)

# %%
wrong = [
    N
    for N in range(1, 33)
    if any(int(t * N) != j for j, t in enumerate(torch.linspace(0, 1, N + 1)[:-1].tolist()))
]
print("int(t * N) reads a wrong cell of a network with 3 layers:", 3 in wrong)
print("and for more than half of the numbers of layers up to 32:", len(wrong) > 16)
many = "more than half" if len(wrong) > 16 else "one or two" if wrong else "none"
missed.reveal(many, "a time that rounding put just below its edge is cut off to the cell before.")

# %% [markdown]
# Such a network uses some layer twice and another one never;
# the ContinuousNet code (Queiruga et al. 2020) had this error, with 3 cells as its default.
#
# ### Exercise 1.3 - The vector field of a residual network (4 points, ~12 min, difficulty 4 of 5, important)
# Return the field of (4), $f(t, Y) = \sigma(Y K(t) + b(t))$ for samples in rows.
# Euler's method with $N$ steps must give the network back, for every $N$.
#
# <details><summary>Hint 1 - a nudge</summary>
# <code>t * N / T</code> counts cells. Rounding may have put a time on the edge 3 to 2.9999998 or to 3.0000002.</details>
# <details><summary>Hint 2 - the idea</summary>
# Very close to a whole number, take it; otherwise round down.
# "Very close" grows with N: the error of a float32 time is relative.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>position = float(t) * N / T; nearest = round(position)</code>.
# Closer than <code>1e-6 * N</code>: <code>nearest</code>, else
# <code>math.floor(position)</code>; clamp to 0 ... N - 1.</details>

# %% nbgrader={"grade": false, "grade_id": "resnet_vector_field", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
    ### BEGIN SOLUTION
    N = len(K)

    def f(t, y):
        position = float(t) * N / T
        j = round(position)
        if abs(position - j) > 1e-6 * max(1, N):
            j = int(position // 1)
        j = min(max(j, 0), N - 1)
        return activation(y @ K[j] + b[j])

    return f
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_resnet_vector_field", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
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
    ### BEGIN HIDDEN TESTS
    checks.equal(
        "the float32 grids of 1 to 64 layers",
        lambda: [not_their_own(N, 1.0, grid(N, 1.0)) for N in range(1, 65)],
        [[]] * 64,
    )
    checks.equal(
        "the float32 grids of 300, 500 and 999 layers over T = 70",
        lambda: [not_their_own(N, 70.0, grid(N, 70.0)) for N in (300, 500, 999)],
        [[], [], []],
    )
    checks.equal(
        "times that were summed up, t += h, for 3, 49, 100 and 1000 layers",
        lambda: [not_their_own(N, 0.3, summed(N, 0.3 / N)) for N in (3, 49, 100, 1000)],
        [[], [], [], []],
    )
    checks.equal(
        "times near the right edge are still inside the cell, and T ends the last one",
        lambda: cells_read(10, 1.0, [0.0985, 0.4985, 0.95, torch.tensor(1.0)]),
        [0, 4, 9, 9],
    )
    checks.close(
        "one layer, one sample, float64",
        lambda: resnet_vector_field(K[:1].double(), b[:1].double(), 3.0)(2.9, y[:1].double()),
        torch.tanh(y[:1].double() @ K[0].double() + b[0].double()),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_resnet_vector_field = check.yours(exercise)

# %% [markdown]
# ## 4. What happens when $h \to 0$?
#
# We keep the field (4) of a network with 4 layers and refine the steps: each layer is applied $r$ times with the step $h/r$.
# How fast does the output come near that of the ODE? If the error is $E(h) \approx c\,h^p$, the exponent $p$ is the method's *order*.
#
# ### Exercise 1.4 - Observed order (2 points, ~6 min, difficulty 2 of 5)
# Errors $E_i$ were measured for steps $h_i$. On which axes do they lie on a line?
# Return the slope of the best line through *all* of them, by least squares.
#
# <details><summary>Hint 1 - a nudge</summary>
# Take the logarithm of the formula for E.</details>
# <details><summary>Hint 2 - the idea</summary>
# With centred values x and y the least-squares slope is
# <code>sum(x * y) / sum(x * x)</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>x = log(h) - mean(log(h))</code>, the same for the errors, in float64;
# return <code>float((x * y).sum() / (x * x).sum())</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "observed_order", "locked": false, "schema_version": 3, "solution": true, "task": false}
def observed_order(errors, step_sizes):
    """Return the slope of the least-squares line through (log h, log error).

    Args:
        errors: positive numbers, a list or a tensor `(m,)` with m >= 2.
        step_sizes: as many positive numbers, in any order.

    Returns:
        The slope, a float.
    """
    ### BEGIN SOLUTION
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_observed_order", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
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
    ### BEGIN HIDDEN TESTS
    checks.close(
        "tensors, unevenly spaced steps, any order",
        lambda: observed_order(torch.tensor([2.0, 0.1, 0.7]), torch.tensor([0.9, 0.04, 0.5])),
        0.905011,
        rtol=1e-5,
    )
    checks.close(
        "errors that grow when the steps shrink",
        lambda: observed_order([1e-3, 1e-2, 1e-1], [1e-1, 1e-3, 1e-5]),
        -0.5,
        rtol=1e-5,
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown]
# Now the experiment. Beside Euler's method stands the midpoint rule: it walks half a step, reads the field there,
# and takes the whole step with that velocity. *Predict* its order.

# %%
my_observed_order = check.yours(exercise)
order = check.predict("The order of the midpoint rule?", among=["1", "2", "4"], mine="")

# %%
generator = torch.Generator().manual_seed(4)
K = torch.randn(4, 2, 2, generator=generator, dtype=torch.float64)
b = torch.randn(4, generator=generator, dtype=torch.float64)
Y0 = torch.randn(10, 2, generator=generator, dtype=torch.float64)


def end_point(method, r, h=0.5):
    Y, times = Y0, torch.linspace(0, h, r + 1, dtype=torch.float64)
    for j in range(4):  # cell by cell: some methods look ahead, but not across an edge
        cell = my_resnet_vector_field(K[j : j + 1], b[j : j + 1], h)
        Y = solvers.odeint(cell, Y, times, method=method)[-1]
    return Y


reference = end_point("rk4", 256)
refinements = [1, 2, 4, 8, 16, 32, 64]
steps = (0.5 / np.array(refinements)).tolist()
fig, ax = plt.subplots(figsize=(6, 4))
for method, line in (("euler", "o-"), ("midpoint", "s--")):
    errors = [(end_point(method, r) - reference).abs().max().item() for r in refinements]
    slope = my_observed_order(errors, steps)
    label = f"{method}, slope {slope:.2f}"
    ax.loglog(steps, errors, line, color=plots.COLOURS[method], label=label)
    first, last = errors[0], errors[-1]
    print(f"{method}: error {first:.1e} with 4 layers, {last:.1e} with 256; slope {slope:.2f}")
ax.set(xlabel="step size h", ylabel="largest error of the features at T")
ax.legend()
plots.show(fig, "Two straight lines on logarithmic axes: Euler's errors fall with slope 1, "
           "those of the midpoint rule with slope 2 and far below.")
order.reveal(f"{slope:.0f}", "the slope halfway is right up to a term with the square of h.")

# %% [markdown]
# *Figure: distance between the output of the refined network and the solution of its ODE, against the step size.*
#
# **Reading the picture.** Both errors are nearly straight lines: the network has a limit, the solution of its ODE.
# Euler, the residual network, comes near it with order 1.
# The midpoint rule is far closer at equal $h$. Its price: two evaluations of the field a step;
# at equal cost, with twice the $h$, it is still ahead (notebook 04).
#
# ## 5. Classification
#
# A linear classifier, weights $W \in \mathbb R^{n\times m}$ and offsets $\mu \in \mathbb R^m$, reads the last features $Y_N$:
#
# $$P = \mathrm{h}(Y_N W + e_s \mu^\top), \tag{5}$$
#
# with the logistic function $\mathrm h(x) = e^x / (1 + e^x)$ for one column ($m = 1$, two classes)
# and the softmax of each row for more.
#
# ### Exercise 1.5 - Probabilities (2 points, ~5 min, difficulty 2 of 5)
# Turn features into class probabilities. Typed as it stands, (5) fails:
# in float32 $e^{1000}$ is infinite, and $\infty/\infty$ is not a number. Which form of $\mathrm h$ does not?
#
# <details><summary>Hint 1 - a nudge</summary>
# The columns of W decide between two formulas. Both may be multiplied, above and below, by the same power.</details>
# <details><summary>Hint 2 - the idea</summary>
# PyTorch has both functions in a form that does not overflow.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>torch.sigmoid(scores)</code> when <code>W.shape[1] == 1</code>, else
# <code>torch.softmax(scores, dim=1)</code>: each row of samples sums to one.</details>

# %% nbgrader={"grade": false, "grade_id": "predict_proba", "locked": false, "schema_version": 3, "solution": true, "task": false}
def predict_proba(Y, W, mu):
    """Turn features into class probabilities, equation (5).

    Args:
        Y: features, `(s, n)`.   W: weights, `(n, m)`.   mu: offsets, `(m,)`.

    Returns:
        Probabilities, `(s, m)`: the logistic function for one column (m = 1), so that
        the entry is the probability of class one; softmax of each row for more.
        They are numbers for scores of size 1000 too, and gradients flow back.
    """
    ### BEGIN SOLUTION
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return torch.sigmoid(scores)
    return torch.softmax(scores, dim=1)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_predict_proba", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
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
        lambda: predict_proba(
            torch.tensor([[1.0], [-1.0]]), torch.tensor([[1000.0]]), torch.zeros(1)
        ),
        torch.tensor([[1.0], [0.0]]),
    )
    checks.close(
        "the scores 1000 and 998 of one sample in float32, two columns",
        lambda: predict_proba(
            torch.tensor([[1.0]]), torch.tensor([[1000.0, 998.0]]), torch.zeros(2)
        ),
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
    ### BEGIN HIDDEN TESTS
    checks.close(
        "one sample with one feature, one column, float32",
        lambda: predict_proba(torch.tensor([[2.0]]), torch.tensor([[-0.5]]), torch.tensor([3.0])),
        torch.tensor([[0.8807971]]),
    )
    checks.close(
        "the scores -1000 and 1000 of one sample, two columns, float64",
        lambda: predict_proba(Y[:1, :1], torch.tensor([[-1000.0, 1000.0]]).double(), 0 * mu[:2]),
        torch.tensor([[0.0, 1.0]], dtype=torch.float64),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_predict_proba = check.yours(exercise)

# %% [markdown]
# ## 6. What learning minimises
#
# Learning chooses $W, \mu$ and all $K_j, b_j$ such that
#
# $$\frac1s\, S(Y_N, W, \mu, C) + \alpha\, R(K, b) \quad\text{is small,} \tag{6}$$
#
# where row $i$ of $C$ holds the probabilities of the classes of sample $i$ and $S$ is the cross-entropy, convex in $W$ and $\mu$:
# $-\sum_{i,k} C_{ik} \log P_{ik}$, for one column $-\sum_i [\,C_i \log P_i + (1-C_i)\log(1-P_i)\,]$.
#
# Neighbouring layers should be *similar*, so that $K(t)$ has a limit when there are more of them: a function with a small derivative,
# samples with small differences,
#
# $$R(K, b) = \frac1{2h}\sum_{j=1}^{N-1} \|K_j - K_{j-1}\|_F^2 + (b_j - b_{j-1})^2
# \;\approx\; \frac12\int_0^T \|\dot K\|_F^2 + \dot b^2 \, dt. \tag{7}$$
#
# ### Exercise 1.6 - The objective (2 points, ~8 min, difficulty 3 of 5)
# Compute (6) with the smoothness (7). `Y` is the last stage $Y_N$. A sample far on the wrong side has $P = 0$ in float32:
# its loss must still be a number. `torch.nn.functional` may help.
#
# <details><summary>Hint 1 - a nudge</summary>
# One term looks at the samples only, the other at the layers only.</details>
# <details><summary>Hint 2 - the idea</summary>
# Start from the scores <code>Y @ W + mu</code>, not from their probabilities: <code>torch.nn.functional</code> has
# <code>binary_cross_entropy_with_logits</code> and <code>cross_entropy</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Both average over the samples already.
# <code>K.diff(dim=0).square().sum()</code> is the first sum of (7); <code>b</code> likewise.</details>

# %% nbgrader={"grade": false, "grade_id": "objective", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
    ### BEGIN SOLUTION
    scores = Y @ W + mu
    if W.shape[1] == 1:
        misfit = torch.nn.functional.binary_cross_entropy_with_logits(scores, C)
    else:
        misfit = torch.nn.functional.cross_entropy(scores, C)
    roughness = K.diff(dim=0).square().sum() + b.diff(dim=0).square().sum()
    return misfit + alpha * roughness / (2 * h)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_objective", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
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
        [
            math.log(2) + 0.1 * squares.item() / (2 * 0.25),
            math.log(2) + 3 * squares.item() / (2 * 2),
        ],
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
    ### BEGIN HIDDEN TESTS
    checks.close(
        "one column and the smoothness together, labels 0 and 1, float32",
        lambda: objective(
            Y.float(), W[:, :1].float(), mu[:1].float(), c.round().float(),
            K.float(), b.float(), 0.3, 0.02,
        ),
        resnet.objective(Y, W[:, :1], mu[:1], c.round(), K, b, 0.3, 0.02).item(),
    )
    checks.close(
        "one layer has no neighbours: no smoothness",
        lambda: objective(Y, W, mu, C, K[:1], b[:1], 0.5, 10.0),
        -(C * log_P).sum().item() / 6,
        rtol=1e-6,
    )
    checks.close(
        "the gradient with respect to b and the features, one column",
        lambda: jacobian(
            lambda X, a: objective(X, W[:, :1], mu[:1], c, K, a, 0.5, 0.1), (Y, b)
        ),
        jacobian(lambda X, a: resnet.objective(X, W[:, :1], mu[:1], c, K, a, 0.5, 0.1), (Y, b)),
        rtol=1e-6,
        atol=1e-8,
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown]
# ## 7. Learning the ellipses
#
# Haber and Ruthotto's first test: points in an ellipse are class zero, points in the ring around it class one.
# No line separates them; the network has to bend the plane until one does.

# %%
my_objective = check.yours(exercise)
points = toy.ellipses(scale.pick(quick=100, lesson=250, full=500), generator=1, dtype=torch.float64)
held_out = toy.ellipses(100, generator=2, dtype=torch.float64)
print(f"{len(points.X)} points to learn from, {len(held_out.X)} held out")
fig, ax = plt.subplots(figsize=(7.5, 3.2))
plots.scatter(ax, *points, names=("inside", "ring"))
ax.set(xlabel="feature $y_1$", ylabel="feature $y_2$", aspect="equal")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plots.show(fig, "Dots fill an ellipse; triangles fill a ring that touches it all around.")

# %% [markdown]
# *Figure: the concentric ellipses, two classes that touch each other.*
#
# *Block coordinate descent* minimises (6) in turns: over $W, \mu$ with the propagation fixed, which is convex,
# then over $K, b$ with the classifier fixed, and again.
#
# `optimise.minimise(loss, variables)` starts at the given tensors, lowers `loss(*variables)` by L-BFGS,
# never ends higher than it began, and returns new tensors as a list.
#
# ### Exercise 1.7 - Block coordinate descent (4 points, ~15 min, difficulty 4 of 5, important)
# Take turns `n_sweeps` times: first $W, \mu$, then $K, b$.
# Record the objective at the start and after each half-step.
# Which of the two losses has to propagate anew each time?
# Allowed helpers: `optimise.minimise`; for (3) and (6) your `my_resnet_forward` and `my_objective`,
# or `resnet.propagate` and `resnet.objective`.
#
# <details><summary>Hint 1 - a nudge</summary>
# While <code>W, mu</code> move, <code>Y_N</code> stays: propagate once, outside of the loss.</details>
# <details><summary>Hint 2 - the idea</summary>
# The first loss is a function of <code>W, mu</code>, the second one of <code>K, b</code>.
# <code>history</code> has <code>2 * n_sweeps + 1</code> entries.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>Y = my_resnet_forward(Y0, K, b, h)[-1]</code>, then
# <code>W, mu = optimise.minimise(lambda W, mu: my_objective(Y, W, mu, C, K, b, h, alpha), (W, mu))</code>,
# and the second half in the same way with <code>lambda K, b: ...</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "block_coordinate_descent", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
    ### BEGIN SOLUTION
    def value(K, b, W, mu):
        Y = resnet.propagate(Y0, K, b, h)[-1]
        return resnet.objective(Y, W, mu, C, K, b, h, alpha)

    history = [value(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        Y = resnet.propagate(Y0, K, b, h)[-1]
        W, mu = optimise.minimise(
            lambda W, mu: resnet.objective(Y, W, mu, C, K, b, h, alpha), (W, mu)
        )
        history.append(value(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: value(K, b, W, mu), (K, b))
        history.append(value(K, b, W, mu).item())
    return K, b, W, mu, history
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_block_coordinate_descent", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "block_coordinate_descent",
    points=4,
    answer=lambda: block_coordinate_descent,
    package=(resnet.block_coordinate_descent, optimise.minimise_in_turns),
    further=2,
)
def exercise(checks):
    import functools

    generator = torch.Generator().manual_seed(17)
    Y0 = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    noise = 0.3 * torch.randn(60, 1, generator=generator, dtype=torch.float64)
    C = (Y0.norm(dim=1, keepdim=True) + noise < 1.1).double()
    K = torch.randn(2, 2, 2, generator=generator, dtype=torch.float64)
    b = torch.zeros(2, dtype=torch.float64)
    W = torch.ones(2, 1, dtype=torch.float64)
    mu = torch.zeros(1, dtype=torch.float64)

    sweeps = {1.0: 2, 0.5: 1}  # two networks, by their step size h

    def objective_at(h, K, b, W, mu):
        Y = resnet.propagate(Y0, K, b, h)[-1]
        return resnet.objective(Y, W, mu, C, K, b, h, 0.02).item()

    @functools.cache  # each descent is computed once and looked at from several sides
    def descend(h):
        start = [variable.clone() for variable in (K, b, W, mu)]
        came = block_coordinate_descent(Y0, C, *start, h=h, alpha=0.02, n_sweeps=sweeps[h])
        return came, start

    def history(h):
        return descend(h)[0][4]

    def differ(some, others):  # which of K, b, W and mu
        return [not torch.equal(one, other) for one, other in zip(some, others)]

    checks.close(
        "what two sweeps of a network with h = 1 and one with h = 0.5 record: a list of five "
        "and of three floats, first the value at the start",
        lambda: [
            [
                type(history(h)).__name__,
                [type(value).__name__ for value in history(h)],
                history(h)[0],
            ]
            for h in sweeps
        ],
        [["list", ["float"] * (1 + 2 * sweeps[h]), objective_at(h, K, b, W, mu)] for h in sweeps],
    )
    checks.close(
        "after the first half-step W and mu are best for the given K and b: the values",
        lambda: [history(h)[1] for h in sweeps],
        [0.720250, 0.807824],  # with scikit-learn's LogisticRegression without penalty
        rtol=1e-4,
    )
    checks.at_most(
        "h = 1: the value after the first sweep in parts of that after its first half-step, and "
        "the objective of what comes back in parts of that after the first sweep; "
        "h = 0.5: the objective of what comes back in parts of that after the first half-step",
        lambda: [
            history(1.0)[2] / history(1.0)[1],
            objective_at(1.0, *descend(1.0)[0][:4]) / history(1.0)[2],
            objective_at(0.5, *descend(0.5)[0][:4]) / history(0.5)[1],
        ],
        0.9,
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
    ### BEGIN HIDDEN TESTS
    three_classes = torch.eye(3).double()[Y0.argmax(1) + (Y0.sum(1) > 1)]
    checks.at_most(
        "three classes, one sweep: the largest rise; the last value in parts of the first, "
        "less 0.7; and how far it lies from the objective of what comes back",
        lambda: [
            came := block_coordinate_descent(
                Y0, three_classes, K[:1], b[:1],
                torch.zeros(2, 3).double(), torch.zeros(3).double(), 0.25, 0.002, 1,
            ),
            values := came[4],
            end := resnet.propagate(Y0, came[0], came[1], 0.25)[-1],
            value := resnet.objective(
                end, came[2], came[3], three_classes, came[0], came[1], 0.25, 0.002
            ).item(),
            [
                torch.tensor(values).diff().max().item(),
                values[2] / values[0] - 0.7,
                abs(value - values[2]),
            ],
        ][-1],
        1e-9,
    )
    checks.close(
        "no sweep at all: the objective of the start",
        lambda: block_coordinate_descent(Y0, C, K, b, W, mu, 0.5, 0.02, 0)[4],
        [objective_at(0.5, K, b, W, mu)],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %% tags=["nbval-ignore-output"]
my_block_coordinate_descent = check.yours(exercise)
n_sweeps = scale.pick(quick=2, lesson=8, full=20)
C, C_held_out = (part.labels[:, None].double() for part in (points, held_out))


def widened(X, n_features):  # further features start as zeros
    return torch.nn.functional.pad(X.double(), (0, n_features - X.shape[1]))


def learn(N, T, n_features=2, alpha=1e-3):
    """Return the network (K, b, W, mu) that has learned the ellipses, and the history."""
    generator = torch.Generator().manual_seed(4)
    K = torch.randn(N, n_features, n_features, generator=generator, dtype=torch.float64)
    b, mu = torch.zeros(N, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    net, history = (K, b, torch.zeros(n_features, 1, dtype=torch.float64), mu), []
    X = widened(points.X, n_features)
    for _ in range(n_sweeps):
        *net, values = my_block_coordinate_descent(X, C, *net, T / N, alpha, 1)
        history += values[1:] if history else values
    return net, history


N, T = scale.pick(quick=4, lesson=8, full=32), 20.0
net, history = learn(N, T)
K, b, W, mu = net
last = my_resnet_forward(held_out.X, K, b, T / N)[-1]
unseen = my_objective(last, W, mu, C_held_out, K, b, T / N, 1e-3).item()
print(f"objective: {history[0]:.2f} at first, {history[-1]:.2f} in the end; held out {unseen:.2f}")

# %%
fig, ax = plt.subplots(figsize=(7, 3.2))
half_steps = range(len(history))
ax.plot(half_steps, history, color=plots.COLOURS["resnet"], lw=1)
on_W, on_K = "after a half-step on W and $\\mu$", "start, then after a half-step on K and b"
ax.plot(half_steps[1::2], history[1::2], "s", color=plots.PALETTE[1], label=on_W)
ax.plot(half_steps[::2], history[::2], "o", color=plots.PALETTE[0], label=on_K)
ax.set(xlabel="half-step", ylabel="objective", ylim=(0, None))
ax.legend()
plots.show(fig, "The objective falls in steps, fast at first and then slowly, and never rises.")

stages = my_resnet_forward(points.X, K, b, T / N)
fig, axes = plt.subplots(1, 5, figsize=(13, 3))
for ax, j in zip(axes, [0, N // 4, N // 2, 3 * N // 4, N]):
    plots.scatter(ax, stages[j], points.labels)
    ax.set_title(f"after layer {j}, t = {j * T / N:.3g}" if j else "input, t = 0")
    ax.set(xlabel="feature $y_1$", ylabel="" if j else "feature $y_2$")
line = torch.tensor(axes[-1].get_xlim(), dtype=torch.float64)
box = dict(xlim=axes[-1].get_xlim(), ylim=axes[-1].get_ylim())
axes[-1].plot(line, -(mu[0] + W[0, 0] * line) / W[1, 0], "k--", lw=1)
axes[-1].set(**box)
plots.show(fig, "Five panels: the ring around the inner points is folded and pushed aside "
           "until a dashed line separates most of it from them.")

# %% [markdown]
# *Figures: the objective at the start and after each half-step; the features on their way through the layers
# (dots: inside, triangles: ring; dashed: the classifier's line).*
#
# **Reading the pictures.** The objective never rises.
# The first half-step hardly helps: behind layers that have learned nothing, no line separates the classes.
# Then the layers push the ring to one side, until a line cuts the two apart.
#
# Can the *ODE* do that? Cut each layer into 16 steps of $h/16$, as in section 4:
# 128 layers that follow the same field. *Predict* their accuracy on the held-out points.

# %%
refined = check.predict(
    "8 layers become 128, same field, shorter steps: what is the accuracy, compared with before?",
    among=["higher", "the same", "lower"], mine="",
)

# %% tags=["nbval-ignore-output"]
def in_short_steps(X, net, T, r):
    """Return the class of each point, with every layer cut into r steps."""
    K, b, W, mu = net
    field, h = my_resnet_vector_field(K, b, T), T / len(K) / r
    Y = widened(X, K.shape[1])
    for j in range(r * len(K)):
        Y = my_euler_step(field, j * h, Y, h)
    return (my_predict_proba(Y, W, mu)[:, 0] > 0.5).long()


def accuracy(net, T, r=1):
    right = in_short_steps(held_out.X, net, T, r) == held_out.labels
    return right.double().mean().item()


rates = {r: accuracy(net, T, r) for r in (1, 2, 4, 16)}
for r, rate in rates.items():
    print(f"{r * N:3d} layers, h = {T / N / r:<6.4g}: {rate:.0%} of the held-out points right")
change = rates[16] - rates[1]
refined.reveal(
    "lower" if change < -0.02 else "higher" if change > 0.02 else "the same",
    "what was learned are 8 long steps, not the field between them.",
)

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True)
for ax, r in zip(axes, (1, 16)):
    plots.decision_regions(
        ax, lambda X: in_short_steps(X, net, T, r), *held_out, box=toy.ELLIPSES_BOX, n=120
    )
    ax.set(xlabel="feature $y_1$", ylabel="feature $y_2$", title=f"{r * N} layers")
plots.show(fig, "Left, eight layers: the boundary follows the ellipse. "
           "Right, the same weights in 128 short steps: no trace of the ellipse is left.")

# %% [markdown]
# *Figure: the class that each point of the plane gets, and the held-out points.*
#
# **Reading the picture.** On the left the boundary follows the ellipse where there are samples; on the right nothing of it is left.
# A flow of the plane neither tears nor folds: the ring still surrounds the inner points, and no line cuts it off
# (Dupont et al. 2019). The trained network gets around this *because* its steps are long:
# neighbours jump across each other. It is made of Euler steps, and yet far from its ODE.
#
# ### Explore - A network that is its ODE
# Choose layers, final time and features (a third one, zero at the start, is a way out of the plane).
# Aim: at least 95% of the held-out points right, *and* at least 85% when each layer is cut into 16.
# <details><summary>What others found</summary>
# Shorter steps, and a third feature, which lifts the inner points out of the ring:
# 16 layers, T = 3 and 3 features did it. With 2 features it took 64 layers and T = 5: a flow cannot cut the ring,
# but can stretch it until few points lie in the way.</details>

# %% tags=["nbval-ignore-output"]
my_layers, my_T, my_features = 16, 5.0, 2  # yours

mine, _ = learn(my_layers, my_T, my_features)
whole, cut = accuracy(mine, my_T), accuracy(mine, my_T, 16)
print(f"right: {whole:.1%} with {my_layers} layers, {cut:.1%} with {16 * my_layers}")
print("aim met:", whole >= 0.95 and cut >= 0.85)

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_double_depth", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": true}
# ### Question 1.8 - Twice as deep (1 point, ~5 min)
# The number of layers doubles from $N$ to $2N$ while the final time $T$ stays the same,
# and each new pair of layers has the weights of the old layer it replaces.
# In three to five sentences: what becomes of the step size, the vector field, the output (when does it change little?), the smoothness $R$, and the cost?
#
# ### BEGIN MARK SCHEME
# One point for at least four of these five, half a point for two or three:
#
# * the step size is halved, $h = T / (2N)$;
# * the vector field (4) and its exact solution stay, since $K(t)$ and $b(t)$ are the same functions;
# * with short steps the output changes little, its distance from the exact solution is about halved (order 1); with long ones, as in section 7, it may change completely;
# * $R$ (7) doubles, until the weights are smoothed: differences are zero within a pair, as before between pairs, and $1/(2h)$ is doubled;
# * time and memory double, and the number of parameters once the pairs are free to differ.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 1.8: double-click here and write.*

# %% [markdown]
# ## Further
#
# **Full size.** Put `scale.use("full")` into the set-up cell, or set the environment variable
# `ODENETS_SCALE=full`, and run the notebook again: the ellipses then have 1000 points to learn from,
# and the network has 32 layers.
# The cell below trains the module `resnet.VectorResNet`, this notebook's network with an opening
# layer in front, on images: scikit-learn's small digits here, MNIST at full scale.
# On a GPU it uses the GPU.

# %%
dataset = scale.pick(quick="digits", lesson="digits", full="mnist")
data = images.load(dataset)
train_batches, test_batches = images.loaders(data, batch_size=64)
training.set_seed(8)
device = training.pick_device("cpu" if scale.current() != "full" else None)
model = resnet.VectorResNet(n_features=28 * 28, width=32, n_layers=6, T=3.0, n_classes=10)
training.fit(
    model.to(device),
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
# **What does a residual network compute?** Steps of Euler's method through a vector field, one a layer.
# **What is left of it in the limit?** The flow of this field: our 4-layer network came near it with order 1.
# But training sees the steps only: with 8 long ones the ellipses were learned; in 128 short ones the same weights were wrong for half of the points.
#
# * A block is a step (2); its correction is a step size times a vector field.
# * The field's weights are constant on half-open cells (4); beware of rounding at their edges.
# * The observed order is a slope: 1 for Euler, 2 for the midpoint rule at twice the price.
# * Learning minimises the cross-entropy plus a smoothness in depth-time (6), here in turns (1.7).
# * More layers mean shorter steps through the same field; the output stays only where the steps were short already.
#
# **Left out:** which weights are stable (notebook 03), better integrators (04), gradients without stored layers (05).
#
# **Read on:** Haber and Ruthotto 2017, sections 1 to 3; W. E, *A proposal on machine learning via
# dynamical systems*, Commun. Math. Stat. 5 (2017) 1-11; K. He et al., *Deep residual learning*,
# CVPR 2016, [arXiv 1512.03385](https://arxiv.org/abs/1512.03385).
#
# **Next:** [02 - One layer, over and over](../02_iterated_networks/02_iterated_networks.ipynb)
