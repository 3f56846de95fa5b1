# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 - Which depth can be trusted
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/odenets/odenets-course/blob/main/course/03_stability/03_stability.ipynb)
#
# **The question.** A signal passes through hundreds of layers.
# For which weights does it neither blow up nor die out on the way?
#
# **Time** about 100 minutes - **points** 24 - **you need** notebook 01, eigenvalues,
# and the chain rule for matrices.
# **Short of time?** Do exercises 3.1, 3.2, 3.3 and 3.4.
#
# After this notebook you can
#
# 1. *compute* the eigenvalues that decide whether forward propagation is stable (3.1),
# 2. *tell* which step of Euler's method is stable, and for which spectra none is (3.2),
# 3. *build* antisymmetric, Hamiltonian and leapfrog layers, and invert one (3.3 to 3.6),
# 4. *prolong* the weights of a trained network to twice the depth (3.7),
# 5. *explain* from both sides why eigenvalues should be near the imaginary axis (3.8).
#
# **Sources.** E. Haber and L. Ruthotto, *Stable architectures for deep neural networks*,
# Inverse Problems 34 (2017) 014004, [arXiv 1705.03341](https://arxiv.org/abs/1705.03341).
# B. Chang et al., *Reversible architectures for arbitrarily deep residual neural networks*,
# AAAI 2018, [arXiv 1709.03698](https://arxiv.org/abs/1709.03698).

# %%
import importlib.util
import matplotlib.pyplot as plt
import numpy as np
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/odenets/odenets-course#subdirectory=course")
from odenets import check, plots, scale, training
from odenets.nets import stable
from odenets.studies import multilevel, stability
scale.use("lesson")
plots.style()
training.set_seed(0)

# %% [markdown]
# ## 1. Three networks with the same weight in every layer
#
# Forward propagation of a residual network is Euler's method (notebook 01):
#
# $$Y_{j+1} = Y_j + h\,\sigma(Y_j K_j + b_j)
# \quad\longleftrightarrow\quad
# \dot y = \sigma\big(K(t)^\top y + b(t)\big), \qquad h = T/N. \tag{1}$$
#
# Take $\sigma = \tanh$, $b = 0$, $h = 0.1$, and one $K$ for all layers:
#
# $$K_+ = \begin{pmatrix} 2 & -2 \\ 0 & 2 \end{pmatrix}, \qquad
# K_- = \begin{pmatrix} -2 & 0 \\ 2 & -1 \end{pmatrix}, \qquad
# K_0 = \begin{pmatrix} 0 & -1 \\ 1 & 0 \end{pmatrix}. \tag{2}$$
#
# *Predict first:* two inputs are 0.28 apart. Under which $K$ are they farthest apart after ten layers?
# And how much does $K_-$ leave after a hundred?

# %%
farthest = check.predict("Farthest apart after ten layers?", among=["K+", "K-", "K0"], mine="")
left = check.predict(
    "Left by K- after 100 layers?", among=["a half", "a tenth", "less than a thousandth"], mine=""
)

# %%
signs = {
    "K+": torch.tensor([[2.0, -2.0], [0.0, 2.0]], dtype=torch.float64),
    "K-": torch.tensor([[-2.0, 0.0], [2.0, -1.0]], dtype=torch.float64),
    "K0": torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64),
}
inputs = torch.tensor([[0.1, 0.1], [-0.1, -0.1], [0.0, 0.5]], dtype=torch.float64)
fig, axes = plt.subplots(1, 4, figsize=(13, 3.4))
gaps = {}
for ax, (name, K), reach, dash in zip(axes, signs.items(), (2.0, 0.6, 0.75), ("-", "--", "-.")):
    net = stable.ResidualNet(K.expand(100, 2, 2), torch.zeros(100, dtype=K.dtype), 10.0)
    with torch.no_grad():
        paths = net.trajectory(inputs)
    box = (-reach, reach)
    plots.slope_field(ax, lambda t, y: torch.tanh(y @ K.to(y)), box, box, n=9)
    plots.trajectories(ax, paths[:11], plots.COLOURS[name], marker=".")
    ax.set(title=f"{name}: ten layers", xlabel="feature $y_1$", ylabel="feature $y_2$")
    gaps[name] = (paths[:, 0] - paths[:, 1]).norm(dim=1)
    axes[3].semilogy(gaps[name], dash, color=plots.COLOURS[name], label=name)
    far = ", ".join(f"{gaps[name][n]:.2g} after {n}" for n in (0, 10, 100))
    print(f"{name}: eigenvalues {torch.linalg.eigvals(K).tolist()}; distance {far} layers")
axes[3].set(xlabel="layer", title="distance of the first two")
axes[3].legend()
plots.show(fig, "Under K+ two neighbours are torn apart, under K- all inputs shrink to the origin, "
           "under K0 they turn; the distances grow, fall to 1e-5, and grow slowly.")
farthest.reveal(max(gaps, key=lambda name: gaps[name][10]), "its eigenvalues are positive.")
part = gaps["K-"][100] / gaps["K-"][0]
words = "less than a thousandth" if part < 1e-3 else "a tenth" if part < 0.3 else "a half"
left.reveal(words, "what shrinks a little in each layer has vanished after many.")


# %% [markdown]
# *Figure: three inputs (dots) on their way to the output (crosses), each panel with its own scale; on the right
# the distance of the first two.*
#
# **Reading the picture.** Under $K_+$ a small error becomes a large one.
# Under $K_-$ the distance is halved in ten layers, and after a hundred no classifier can bring it back.
# Under $K_0$ the inputs rotate; their distance grows, slowly (why: section 3).
#
# ## 2. Which eigenvalues decide
#
# A small difference $\delta$ of two solutions of (1) obeys
# $\dot\delta = J(t)\,\delta$ with the Jacobian of the right-hand side,
#
# $$J = \operatorname{diag}\big(\sigma'(K^\top y + b)\big)\, K^\top. \tag{3}$$
#
# For a constant $J$, an eigenvalue with $\operatorname{Re}\lambda > 0$ makes differences grow exponentially.
# If all have $\operatorname{Re}\lambda \le 0$ and $J$ is *normal* (orthogonal eigenvectors), none grows;
# for other $J$ they may grow for a while, or like a power of $t$. The same holds, nearly, while $J$ changes slowly.
#
# ### Exercise 3.1 - Eigenvalues of the Jacobian (3 points, ~8 min, difficulty 3 of 5, important)
# Return the eigenvalues of (3), at one state or at each state of a batch.
# The activation is any function that acts on every entry alone, not only $\tanh$.
# Nothing from `odenets` is needed for the exercises.
#
# <details><summary>Hint 1 - a nudge</summary>
# The slopes are <code>activation'</code>, evaluated at <code>y @ K + b</code>.</details>
# <details><summary>Hint 2 - the idea</summary>
# Autograd gives all the slopes at once: differentiate the sum of the activation's outputs.
# A diagonal matrix times a matrix scales its rows.</details>
# <details><summary>Hint 3 - almost the code</summary>
# With <code>slope</code> shaped like <code>y</code>:
# <code>torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)</code> works for one state and for a batch.</details>

# %% nbgrader={"cell_type": "code", "checksum": "6ec09a2403cac84808b03197c30cc941", "grade": false, "grade_id": "jacobian_eigenvalues", "locked": false, "schema_version": 3, "solution": true, "task": false}
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    """Return the eigenvalues of J = diag(activation'(K^T y + b)) K^T, equation (3).

    Args:
        K: weights, `(n, n)`.   b: bias, a number or a tensor without axes.
        y: one state `(n,)`, or a batch of states `(s, n)`, one a row.
        activation: acts on every entry alone; differentiable by PyTorch.

    Returns:
        Complex eigenvalues in any order, with the shape of `y`. They need not
        carry gradients; the given tensors are left unchanged.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "d75f7d8f96929518d71fda2d5b27d4ce", "grade": true, "grade_id": "test_jacobian_eigenvalues", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "jacobian_eigenvalues",
    points=3,
    answer=lambda: jacobian_eigenvalues,
    package=stable.jacobian_eigenvalues,
    further=3,
)
def exercise(checks):
    K = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.5, 1.0], [-1.0, 0.5, -2.0]], dtype=torch.float64)
    Y = torch.randn(5, 3, generator=torch.Generator().manual_seed(31), dtype=torch.float64)
    slopes = 1 - torch.tanh(Y @ K + 0.4) ** 2
    logistic = torch.sigmoid(Y @ K - 0.2)
    rotation = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)

    def in_order(eigenvalues):  # any order is right
        return stable.in_order(eigenvalues + 0j)

    checks.close(
        "K = a rotation and K = twice a rotation, at y = 0, where tanh has the slope 1",
        lambda: [
            in_order(jacobian_eigenvalues(k * rotation, 0.0, torch.zeros(2).double()))
            for k in (1, 2)
        ],
        [torch.tensor([-k * 1j, k * 1j], dtype=torch.complex128) for k in (1, 2)],
    )
    checks.close(
        "one state, with a bias; the neurons have different slopes",
        lambda: in_order(jacobian_eigenvalues(K, 0.4, Y[0])),
        in_order(torch.linalg.eigvals(slopes[0].diag() @ K.T)),
    )
    checks.close(
        "a batch of five states",
        lambda: in_order(jacobian_eigenvalues(K, 0.4, Y)),
        in_order(torch.linalg.eigvals(slopes[:, :, None] * K.T)),
    )
    checks.close(
        "another activation, the logistic function, and a bias that is a tensor",
        lambda: in_order(jacobian_eigenvalues(K, torch.tensor(-0.2), Y, torch.sigmoid)),
        in_order(torch.linalg.eigvals((logistic * (1 - logistic))[:, :, None] * K.T)),
        rtol=1e-6,
    )

    def unchanged():
        y = Y[1].clone()
        return in_order(jacobian_eigenvalues(K, 0.4, y)), y, y.requires_grad

    checks.close(
        "the eigenvalues and then y, which is left unchanged and records no gradients",
        unchanged,
        (in_order(torch.linalg.eigvals(slopes[1].diag() @ K.T)), Y[1], False),
    )
check.score(exercise)

# %% [markdown]
# *True or false?* "The slopes $\sigma'$ are not negative, so it is enough that $\max\operatorname{Re}\lambda(K) \le 0$."
# The cell draws random slopes for two such matrices; one is antisymmetric, $K^\top = -K$.

# %%
my_jacobian_eigenvalues = check.yours(exercise)
enough = check.predict("Is Re lambda(K) <= 0 enough?", among=["true", "false"], mine="")

# %%
K_trap = torch.tensor([[1.0, -4.0], [1.0, -3.0]], dtype=torch.float64)
K_anti = torch.tensor([[0.0, 2.0], [-2.0, 0.0]], dtype=torch.float64)
slopes = torch.rand(600, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.8))
for ax, K, name in zip(axes, (K_trap, K_anti), ("Re $\\lambda(K) < 0$", "antisymmetric K")):
    values = torch.linalg.eigvals(slopes[:, :, None] * K.T).flatten()
    own = torch.linalg.eigvals(K)
    ax.axvline(0, color="k", lw=1)
    ax.plot(values.real, values.imag, ".", ms=5, color=plots.ORANGE, label="random slopes")
    ax.plot(own.real, own.imag, "X", ms=10, color=plots.BLUE, label="K")
    ax.set(title=name, xlabel="Re $\\lambda$", ylabel="Im $\\lambda$")
    ax.set(xlim=(-3, 1), ylim=(-2.4, 2.4))
    ax.legend(loc="lower left")
plots.show(fig, "Left: K's eigenvalue is -1, but many dots for random slopes lie right of the "
           "imaginary axis. Right, antisymmetric K: all dots lie on the axis.")
# A state at which the layer really has these slopes: 1 for one neuron, 0.1 for the other.
argument = torch.tensor([0.0, np.arctanh(np.sqrt(0.9))], dtype=torch.float64)
state = torch.linalg.solve(K_trap.T, argument)
found = my_jacobian_eigenvalues(K_trap, 0.0, state).real.sort()[0]
print("real parts of K:", *[f"{v:.2f}" for v in torch.linalg.eigvals(K_trap).real])
print("of J at", [round(v, 2) for v in state.tolist()], *[f"{v:.2f}" for v in found])
verdict = "false" if found.max() > 0 else "true"
enough.reveal(verdict, "unequal slopes move eigenvalues over the axis.")


# %% [markdown]
# *Figure: eigenvalues of the Jacobian for 600 random slopes of the two neurons (dots)
# and of the matrix alone (crosses).*
#
# **Reading the picture.** False, although a slide of the authors' talk concludes it: on the left many dots lie right of the axis,
# and the printed state shows a layer with two growing directions.
# On the right every dot is *on* the axis: $D K^\top$ has the eigenvalues of
# $D^{1/2} K^\top D^{1/2}$, antisymmetric again. **For antisymmetric weights the activation cannot spoil stability.**
#
# ## 3. Euler's method has a stability of its own
#
# The layers are steps. For one eigenvalue, $\dot\delta = \lambda\delta$, a step of Euler's method multiplies $\delta$ by $1 + h\lambda$. No eigenvector grows when
#
# $$\max_i |1 + h\,\lambda_i(J_j)| \le 1 \qquad\text{for every layer } j = 0, \dots, N-1. \tag{4}$$
#
# ### Exercise 3.2 - The largest stable step (4 points, ~10 min, difficulty 3 of 5, important)
# Solve (4) for $h$, and return the largest one. Think of one eigenvalue, then of all, then of the odd ones.
#
# <details><summary>Hint 1 - a nudge</summary>
# With <code>lambda = a + i w</code>: <code>|1 + h lambda|^2 = (1 + h a)^2 + (h w)^2</code>.</details>
# <details><summary>Hint 2 - the idea</summary>
# Subtract 1 and divide by h: <code>2 a + h (a^2 + w^2) &lt;= 0</code>. The smallest bound counts. What if a or lambda is zero?</details>
# <details><summary>Hint 3 - almost the code</summary>
# Drop the zero eigenvalues; if none is left return infinity. The bounds are
# <code>-2 * values.real / values.abs() ** 2</code>; return the smallest, never less than 0, as a <code>float</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "610d3a9fd59a7e53cdcc82457626a7b0", "grade": false, "grade_id": "max_stable_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def max_stable_step(eigenvalues):
    """Return the largest step size of Euler's method that is stable, inequality (4).

    Args:
        eigenvalues: complex tensor of any shape.

    Returns:
        A float: the largest h with |1 + h lambda| <= 1 for all of them. 0.0 when no
        positive step will do; this includes spectra that are imaginary up to rounding.
        A zero eigenvalue sets no limit; when all are zero the answer is infinity.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "68b9de64052f95f630e6903855d16a8b", "grade": true, "grade_id": "test_max_stable_step", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "max_stable_step",
    points=4,
    answer=lambda: max_stable_step,
    package=stable.max_stable_step,
    further=3,
)
def exercise(checks):
    def spectrum(*values):
        return torch.tensor(values, dtype=torch.complex128)

    def steps(*spectra):
        return [max_stable_step(values) for values in spectra]

    pair = spectrum(-1 + 2j, -1 - 2j)
    checks.close(
        "one real eigenvalue: -4, and then -1",
        lambda: steps(spectrum(-4), spectrum(-1)),
        [0.5, 2.0],
    )
    checks.close(
        "the pair -1 + 2i, -1 - 2i, and then three times these",
        lambda: steps(pair, 3 * pair),
        [0.4, 0.4 / 3],
        rtol=1e-6,
    )
    checks.close(
        "-0.5, -1 + 2i, -1 - 2i and -3: all of them must be stable",
        lambda: max_stable_step(spectrum(-0.5, -1 + 2j, -1 - 2j, -3)),
        0.4,
        rtol=1e-6,
    )
    checks.close(
        "-1 alone, and then together with 8, which lies in the right half plane",
        lambda: steps(spectrum(-1), spectrum(-1, 8)),
        [2.0, 0.0],
    )
    checks.close(
        "a pair that is imaginary up to rounding, and then the same, moved to the left by 1",
        lambda: steps(1e-17 * pair.real + 1j * pair.imag, pair),
        [0.0, 0.4],
        rtol=1e-6,
    )
    checks.close(
        "a zero among others sets no limit: 0 and -1; nothing but zeros",
        lambda: steps(spectrum(0, -1), spectrum(0, 0)),
        [2.0, float("inf")],
    )

    def of_two_states():
        step = max_stable_step(spectrum(-1, -3 + 1j, -2, -0.25).reshape(2, 2))
        return step, type(step).__name__

    checks.close(
        "the eigenvalues of two states, `(2, 2)`: a float", of_two_states, (0.6, "float"), rtol=1e-6
    )
check.score(exercise)

# %%
my_max_stable_step = check.yours(exercise)
for name, K in signs.items():
    step = my_max_stable_step(my_jacobian_eigenvalues(K, 0.0, torch.zeros(2, dtype=K.dtype)))
    print(f"{name}: largest stable step {step:.2f} at the origin")


# %% [markdown]
# For $K_0$ *no* step is stable: this is the growth that we saw.
#
# ## 4. Antisymmetric weights, and a knob
#
# Two ways out: a better integrator (notebook 04), or a little damping,
#
# $$\dot y = \sigma(A\,y + b), \qquad A \text{ antisymmetric, but for a damping } \gamma \ge 0. \tag{5}$$
#
# ### Exercise 3.3 - Antisymmetric layer (2 points, ~5 min, difficulty 2 of 5, important)
# Every $K$ is the sum of a symmetric and an antisymmetric matrix. Take the antisymmetric one, and shift it
# such that all its eigenvalues get the real part $-\gamma/2$; for one matrix or for a stack of them.
#
# <details><summary>Hint 1 - a nudge</summary>
# What is left of K when its symmetric part is subtracted?
# What does a multiple of the identity do to eigenvalues?</details>
# <details><summary>Hint 2 - the idea</summary>
# Half of <code>K - K^T - gamma I</code>.
# <code>K.T</code> of a stack would reverse all axes. <code>K.mT</code> swaps the last two.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>torch.eye(n, dtype=K.dtype)</code> is broadcast over the layers: half of
# <code>K - K.mT - gamma * identity</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "429b36250c6d083102dfa0219bc189c6", "grade": false, "grade_id": "antisymmetric", "locked": false, "schema_version": 3, "solution": true, "task": false}
def antisymmetric(K, gamma):
    """Return the antisymmetric part of K, damped: the matrix of equation (5).

    Args:
        K: `(n, n)`, or a stack `(..., n, n)`.   gamma: damping, a float, at least 0.

    Returns:
        A new tensor with the shape and dtype of `K`, which is left unchanged: each matrix
        has eigenvalues with the real part -gamma/2. Gradients flow through.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "ca23f337aa98e2fc6862eef7812cf62c", "grade": true, "grade_id": "test_antisymmetric", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "antisymmetric",
    points=2,
    answer=lambda: antisymmetric,
    package=(stable.antisymmetric, stable.AntisymmetricNet),
    further=3,
)
def exercise(checks):
    K = torch.tensor([[1.0, 2.0, 4.0], [5.0, -3.0, 0.0], [1.0, 7.0, 2.0]], dtype=torch.float64)
    layers = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(33), dtype=torch.float64)
    expected = torch.tensor(
        [[-0.15, -1.5, 1.5], [1.5, -0.15, -3.5], [-1.5, 3.5, -0.15]], dtype=torch.float64
    )
    checks.close(
        "a 3 x 3 matrix with gamma = 0.3, and then twice the matrix with gamma = 0.6",
        lambda: (antisymmetric(K, 0.3), antisymmetric(2 * K, 0.6)),
        (expected, 2 * expected),
    )
    checks.close(
        "the weights of two layers at once, with gamma = 0.8",
        lambda: antisymmetric(layers, 0.8),
        torch.stack([(A - A.T) / 2 - torch.diag(torch.full((3,), 0.4).double()) for A in layers]),
        atol=1e-8,
    )
    three = torch.stack([K, 2 * K, -K]).float()
    checks.close(
        "the weights of three layers in float32, which stay float32",
        lambda: antisymmetric(three, 0.3),
        torch.stack([(A - A.T - 0.3 * torch.eye(3)) / 2 for A in three]),
    )

    def unchanged():
        mine = 3 * K
        return antisymmetric(mine, 0.9), mine

    checks.close(
        "the new matrix and then K, which is left unchanged", unchanged, (3 * expected, 3 * K)
    )

    def gradient():
        A = K.clone().requires_grad_()
        (antisymmetric(A, 0.3) * layers[0]).sum().backward()
        return A.grad

    checks.close("the gradient through the result", gradient, (layers[0] - layers[0].T) / 2)
check.score(exercise)

# %%
my_antisymmetric = check.yours(exercise)
twice = check.predict(
    "Twice the (small) gamma: the largest stable step is ...?",
    among=["halved", "the same", "doubled"], mine="",
)


# %%
def longest(gamma, K=2 * signs["K0"]):  # the frequency omega is 2
    return my_max_stable_step(torch.linalg.eigvals(my_antisymmetric(K, gamma)))


def picture(h=0.2, gamma=0.0):
    A = my_antisymmetric(2 * signs["K0"], gamma)
    states = [torch.tensor([0.5, 0.0], dtype=torch.float64)]
    for _ in range(round(20 / h)):
        states.append(states[-1] + h * torch.tanh(states[-1] @ A.T))
    fig, ax = plt.subplots(figsize=(4.8, 4.4))
    box = (-3, 3)
    plots.slope_field(ax, lambda t, y: torch.tanh(y @ A.T.to(y)), box, box)
    plots.trajectories(ax, torch.stack(states), plots.COLOURS["antisymmetric"], marker=".")
    size = states[-1].norm() / states[0].norm()
    ax.set(xlabel="feature $y_1$", ylabel="feature $y_2$", aspect="equal")
    ax.set_title(f"stable up to h = {longest(gamma):.3g}; at T = 20: {size:.2g} times the start")
    return fig


words = "Without damping the path of 100 layers spirals outwards, from 0.5 to 2.4."
plots.live(picture, words, h=[0.05, 0.1, 0.2, 0.4], gamma=[0.0, 0.1, 0.2, 0.4, 0.8, 1.6])
for gamma in (0.0, 0.1, 0.2, 0.4):
    formula = gamma / (gamma**2 / 4 + 4)
    print(f"gamma = {gamma}: largest stable step {longest(gamma):.4f}, formula {formula:.4f}")
ratio = longest(0.2) / longest(0.1)
twice.reveal("doubled" if ratio > 1.5 else "the same", "the bound is nearly gamma / omega^2.")


# %% [markdown]
# *Figure: a signal (dot) on its way through layers with $\omega = 2$ to time 20 (cross). Move $h$ and $\gamma$.*
#
# **Reading the picture.** Undamped, the signal spirals outwards; a shorter step only slows it down.
# With enough damping it stays bounded, but fades, like $e^{-\gamma T/2}$ at worst.
#
# For $-\gamma/2 \pm i\omega$ the bound of exercise 3.2 reads $h \le \gamma / (\gamma^2/4 + \omega^2)$. Slopes $\le 1$ do it no harm: an
# eigenvalue of $DA$ is $d(-\gamma/2 + i\theta)$ with $d \le 1$, $|\theta| \le \omega$. Solved for the damping,
#
# $$\gamma = \tfrac2h\Big(1 - \sqrt{1 - h^2\omega^2}\Big) \approx h\,\omega^2, \qquad\text{and none will do if } h\omega > 1.$$
#
# ## 5. Hamiltonian networks
#
# A second way to imaginary eigenvalues: every feature $y$ gets a partner $z$ (Haber and Ruthotto 2017),
#
# $$\dot y = \sigma(K z + b), \qquad \dot z = -\sigma(K^\top y + b), \qquad y(0) = y_0,\ z(0) = 0. \tag{6}$$
#
# ### Exercise 3.4 - One Verlet step (3 points, ~8 min, difficulty 3 of 5, important)
# Euler's method uses the old pair in both equations. In Verlet's scheme first $z$ moves, by the old $y$; then $y$, by the *new* $z$.
# Write it for samples in rows. $K$ need not be square: $y$ has $n$ features, $z$ has $m$.
#
# <details><summary>Hint 1 - a nudge</summary>
# The second line uses the result of the first.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>y @ K</code> has m columns, like <code>z</code>; the way back is <code>z @ K.T</code>.
# Only one of the two signs is negative.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>z = z - h * activation(...)</code> with <code>y</code>, then <code>y = y + h * activation(...)</code> with the new <code>z</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "28112e629edecd63abd2b570af6e77e9", "grade": false, "grade_id": "verlet_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    """Advance a Hamiltonian network by one layer of (6): first z, then y with the new z.

    Args:
        y: features, `(s, n)`.   z: their partners, `(s, m)`.   K: weights, `(n, m)`.
        b: bias, a number.   h: step size, may be negative.
        activation: applied entry by entry.

    Returns:
        The new pair `(y, z)`; the given tensors are left unchanged. Gradients flow
        through.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "a7035a081c3f5547124b5e6478af76b2", "grade": true, "grade_id": "test_verlet_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "verlet_step",
    points=3,
    answer=lambda: verlet_step,
    package=(stable.verlet_step, stable.HamiltonianNet),
    further=2,
)
def exercise(checks):
    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    generator = torch.Generator().manual_seed(34)
    y, z, K = random(5, 3), random(5, 3), random(3, 3)
    wide_z, wide_K = random(5, 4), random(3, 4)
    new_z = z - 0.7 * torch.tanh(y @ K + 0.3)
    new_y = y + 0.7 * torch.tanh(new_z @ K.T + 0.3)
    one = torch.ones(1, 1)
    checks.close(
        "by hand: y = 1, z = 4, K = 2, b = 1, the identity as activation, h = 0.5 and then 1",
        lambda: [verlet_step(one, 4 * one, 2 * one, 1.0, h, lambda u: u) for h in (0.5, 1.0)],
        [(4 * one, 2.5 * one), (4 * one, 1 * one)],
    )
    checks.close("random weights: the partners z", lambda: verlet_step(y, z, K, 0.3, 0.7)[1], new_z)
    checks.close("random weights: the features y", lambda: verlet_step(y, z, K, 0.3, 0.7)[0], new_y)
    checks.close(
        "three features, four partners, another activation, a step back in time",
        lambda: verlet_step(y, wide_z, wide_K, -0.1, -0.2, torch.relu),
        stable.verlet_step(y, wide_z, wide_K, -0.1, -0.2, torch.relu),
    )

    def unchanged():
        mine = y.clone(), z.clone()
        return verlet_step(*mine, K, 0.3, 0.7), mine

    checks.close(
        "the new pair and then the given one, which is left unchanged",
        unchanged,
        ((new_y, new_z), (y, z)),
    )

    def gradient(step):
        A = K.clone().requires_grad_()
        new = step(y, z, A, 0.3, 0.7)
        return torch.autograd.grad(new[0].sum() + (new[1] ** 2).sum(), A)[0]

    right = gradient(stable.verlet_step)
    checks.close("the gradient through the new pair", lambda: gradient(verlet_step), right)
check.score(exercise)

# %%
my_verlet_step = check.yours(exercise)


# %% [markdown]
# In a formula, with $Z$ half a step behind:
#
# $$Z_{j+1/2} = Z_{j-1/2} - h\,\sigma(Y_j K_j + b_j), \qquad Y_{j+1} = Y_j + h\,\sigma(Z_{j+1/2} K_j^\top + b_j). \tag{7}$$
#
# ### Exercise 3.5 - And back (3 points, ~6 min, difficulty 3 of 5)
# Given the new pair, return the old one. No equation has to be solved. Why is a step with $-h$ not the answer?
#
# <details><summary>Hint 1 - a nudge</summary>
# What was done last is undone first.</details>
# <details><summary>Hint 2 - the idea</summary>
# The last line of the step changed y and left z alone: the z that it used is still here.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Subtract from <code>y</code> what the second line added; then add to <code>z</code> what the first line subtracted,
# computed with the old <code>y</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "82af931fb3263229050331535da13603", "grade": false, "grade_id": "verlet_step_back", "locked": false, "schema_version": 3, "solution": true, "task": false}
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    """Undo one step of equation (7): the exact inverse of `verlet_step`.

    Args:
        y, z: the pair after the step, `(s, n)` and `(s, m)`.
        K, b, h, activation: those of the step.

    Returns:
        The pair `(y, z)` before the step; the given tensors are left unchanged.
        Gradients flow through.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "36b2ffcf9f41b90e4cb1527d23631c44", "grade": true, "grade_id": "test_verlet_step_back", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "verlet_step_back",
    points=3,
    answer=lambda: verlet_step_back,
    package=stable.verlet_step_back,
    further=2,
)
def exercise(checks):
    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    generator = torch.Generator().manual_seed(35)
    y, z, K, wide_z, wide_K = random(5, 3), random(5, 3), random(3, 3), random(5, 4), random(3, 4)
    befores = [(y, z), (z, -y)]
    afters = [stable.verlet_step(*pair, K, 0.3, 0.7) for pair in befores]
    wide_after = stable.verlet_step(y, wide_z, wide_K, 0.3, 0.7, torch.relu)
    far = 2 * y, z
    for _ in range(100):
        far = stable.verlet_step(*far, K, 0.3, 0.1)
    checks.close(
        "the way back from one step, for two pairs",
        lambda: [verlet_step_back(*pair, K, 0.3, 0.7) for pair in afters],
        befores,
    )
    checks.close(
        "three features, four partners, another activation",
        lambda: verlet_step_back(*wide_after, wide_K, 0.3, 0.7, torch.relu),
        (y, wide_z),
    )

    def a_hundred_steps_back():
        pair = far
        for _ in range(100):
            pair = verlet_step_back(*pair, K, 0.3, 0.1)
        return pair

    checks.close("a hundred steps forth and back", a_hundred_steps_back, (2 * y, z))

    def unchanged():
        mine = [x.clone() for x in afters[1]]
        return verlet_step_back(*mine, K, 0.3, 0.7), mine

    checks.close(
        "the old pair and then the given one, which is left unchanged",
        unchanged,
        (befores[1], afters[1]),
    )

    def gradient(step_back):
        A = K.clone().requires_grad_()
        old = step_back(*afters[0], A, 0.3, 0.7)
        return torch.autograd.grad(old[0].sum() + (old[1] ** 2).sum(), A)[0]

    right = gradient(stable.verlet_step_back)
    checks.close("the gradient through the old pair", lambda: gradient(verlet_step_back), right)
check.score(exercise)

# %%
my_verlet_step_back = check.yours(exercise)
generator = torch.Generator().manual_seed(6)
pair = start = torch.randn(2, 1, 3, generator=generator, dtype=torch.float64).unbind()
K = torch.randn(3, 3, generator=generator, dtype=torch.float64)
for _ in range(1000):
    pair = my_verlet_step(*pair, K, 0.1, 0.02)
moved = max((a - b).abs().max().item() for a, b in zip(pair, start))
for _ in range(1000):
    pair = my_verlet_step_back(*pair, K, 0.1, 0.02)
error = max((a - b).abs().max().item() for a, b in zip(pair, start))
print(f"1000 layers move an entry by up to {moved:.2f}; back again, within 1e-10: {error < 1e-10}")


# %% [markdown]
# Nothing is lost on the way: 1000 layers are undone up to rounding. And each line of (7) is a shear, so volumes are kept.
#
# ## 6. Second order in time: leapfrog
#
# A network may also be a system of springs,
#
# $$\ddot y = \sigma(K^\top y + b), \qquad y(0) = y_0,\ \dot y(0) = 0, \qquad K = -C^\top C. \tag{8}$$
#
# $-C^\top C$ has real eigenvalues $-\omega^2 \le 0$, and $\ddot\delta = -\omega^2\delta$ oscillates.
#
# ### Exercise 3.6 - Leapfrog (3 points, ~8 min, difficulty 3 of 5)
# Central differences in time say $\ddot y \approx (Y_{j+1} - 2Y_j + Y_{j-1}) / h^2$. Solve for the next stage, and propagate (8) with
# $K_j = -C_j^\top C_j$ from rest, $Y_{-1} = Y_0$. Keep all stages.
#
# <details><summary>Hint 1 - a nudge</summary>
# A step needs the last two stages. What are they for the very first step?</details>
# <details><summary>Hint 2 - the idea</summary>
# The first step gives <code>Y_0 + h^2 activation(...)</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Keep <code>previous, y = y0, y0</code>. In each layer compute <code>K = -C_j.T @ C_j</code>, then
# <code>previous, y = y, 2 * y - previous + h**2 * activation(y @ K + b_j)</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "eb575eb08b4973f8848ed9483f85d943", "grade": false, "grade_id": "leapfrog_forward", "locked": false, "schema_version": 3, "solution": true, "task": false}
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    """Propagate features from rest by central differences of (8), K_j = -C_j^T C_j.

    Args:
        y0: features, `(s, n)`; left unchanged.
        C: factors of the weights, `(N, n, n)`.   b: biases, `(N,)`.   h: step size.
        activation: applied entry by entry.

    Returns:
        All stages `y_0, ..., y_N`, `(N + 1, s, n)`; the first step starts from rest,
        y_1 = y_0 + h^2 activation(y_0 K_0 + b_0). Gradients flow through.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "4d0031e6cb52b580b794ba2f6bead209", "grade": true, "grade_id": "test_leapfrog_forward", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "leapfrog_forward",
    points=3,
    answer=lambda: leapfrog_forward,
    package=(stable.leapfrog_forward, stable.LeapfrogNet),
    further=2,
)
def exercise(checks):
    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    generator = torch.Generator().manual_seed(36)
    y0, C, b = random(4, 3), random(6, 3, 3), random(6)
    right = stable.leapfrog_forward(y0, C, b, 0.3)
    ones, two, biases = torch.ones(1, 1), torch.full((3, 1, 1), 2.0), torch.tensor([0.0, 4.0, 8.0])

    def column(*values):  # the stages of one sample with one feature
        return torch.tensor(values).reshape(-1, 1, 1)

    checks.close(
        "by hand: y0 = 1, C = 2, b = 0, 4, 8, the identity as activation, h = 0.5 and then 1",
        lambda: [leapfrog_forward(ones, two, biases, h, lambda u: u) for h in (0.5, 1.0)],
        [column(1.0, 0.0, 0.0, 2.0), column(1.0, -3.0, 9.0, -7.0)],
    )
    checks.close("six layers with random weights", lambda: leapfrog_forward(y0, C, b, 0.3), right)
    checks.close(
        "another activation, the logistic function",
        lambda: leapfrog_forward(y0, C, b, 0.3, torch.sigmoid),
        stable.leapfrog_forward(y0, C, b, 0.3, torch.sigmoid),
    )

    def unchanged():
        mine = y0.clone()
        return leapfrog_forward(mine, C, b, 0.3), mine

    checks.close("the stages and then y0, which is left unchanged", unchanged, (right, y0))

    def gradient(forward):
        A = C.clone().requires_grad_()
        return torch.autograd.grad(forward(y0, A, b, 0.3)[1:].square().sum(), A)[0]

    slope = gradient(stable.leapfrog_forward)
    checks.close("the gradient through the stages", lambda: gradient(leapfrog_forward), slope)
check.score(exercise)

# %% [markdown]
# **How long may a step be?** For $\ddot\delta = -\omega^2\delta$ leapfrog has the solutions $\delta_j = \mu^j$ with $\mu + 1/\mu = 2 - (h\omega)^2$.
# For $h\omega < 2$ the two roots are $e^{\pm i\varphi}$: nothing grows, nothing is lost.
# For $h\omega > 2$ one is larger than one in modulus. Verlet's scheme, with one $K$ for all layers, has the same limit;
# $\omega$ is at most the largest singular value of $K$ in (7), of $C$ in (8). The cell takes 200 layers below and above it.

# %%
my_leapfrog_forward = check.yours(exercise)
generator = torch.Generator().manual_seed(5)
K = torch.randn(3, 3, generator=generator, dtype=torch.float64)
first, n = torch.randn(1, 3, generator=generator, dtype=torch.float64), 200
omega = torch.linalg.matrix_norm(K, 2).item()
for h in (1.0 / omega, 1.95 / omega, 2.05 / omega):
    y, z, verlet = first, torch.zeros_like(first), 0.0
    for _ in range(n):
        y, z = my_verlet_step(y, z, K, 0.0, h, lambda u: u)  # slope 1, the worst case
        verlet = max(verlet, (y.norm() / first.norm()).item())
    b = torch.zeros(n, dtype=K.dtype)
    stages = my_leapfrog_forward(first, K.expand(n, 3, 3), b, h, lambda u: u)
    leapfrog = (stages.norm(dim=(1, 2)) / first.norm()).max().item()
    print(f"h omega = {h * omega:.2f}: growth {verlet:.2g} (Verlet), {leapfrog:.2g} (leapfrog)")


# %% [markdown]
# ## 7. How much does a network stretch?
#
# The singular values of $\partial Y_N / \partial Y_0$ say how much a difference can grow (the largest) or fade (the smallest),
# and the gradient on its way back.
# We fix $T = 20$ and sample one random smooth $K(t)$ with 4 to 1024 layers of *your* steps.
# $\gamma$ is what section 4 derives for the largest frequency of $K(t)$ and 256 layers. *Predict:* which network stays nearest to one?

# %%
class Antisymmetric(stable.ResidualNet):
    def weights(self):
        return my_antisymmetric(self.K, self.gamma)


class Hamiltonian(stable.StableNet):
    def layers(self, Y):
        Z = torch.zeros_like(Y)
        for K, b in zip(self.K, self.b):
            Y, Z = my_verlet_step(Y, Z, K, b, self.h, self.activation)
            yield Y


class Leapfrog(stable.StableNet):
    def layers(self, Y):
        yield from my_leapfrog_forward(Y, self.K, self.b, self.h, self.activation)[1:]


nearest = check.predict(
    "With 1024 layers, nearest to one?", mine="",
    among=["ResNet", "antisymmetric", "damped", "Hamiltonian", "leapfrog"],
)

# %%
generator = torch.Generator().manual_seed(3)
A0, A1, A2 = (torch.randn(4, 4, generator=generator, dtype=torch.float64) / 2 for _ in range(3))
y0 = torch.randn(4, generator=generator, dtype=torch.float64)


def sampled(N):
    t = 2 * np.pi * torch.arange(N, dtype=torch.float64)[:, None, None] / N
    return A0 + A1 * torch.cos(t) + A2 * torch.sin(t)


def needed(h, omega):  # damping that makes Euler's method stable
    return 2 / h * (1 - (1 - (h * omega) ** 2) ** 0.5)


def stretch(kind, N, gamma=0.0, shift=0.0):
    K = sampled(N) - shift * torch.eye(4, dtype=torch.float64)
    return stable.sensitivity(kind(K, torch.zeros(N, dtype=K.dtype), 20.0, gamma=gamma), y0)


omega = torch.linalg.eigvals(my_antisymmetric(sampled(256), 0.0)).imag.max().item()
gamma = needed(20 / 256, omega)
print(f"omega = {omega:.2f}, gamma = {gamma:.3f}")
kinds = {
    "ResNet": (stable.ResidualNet, 0.0, plots.COLOURS["resnet"]),
    "antisymmetric": (Antisymmetric, 0.0, plots.COLOURS["antisymmetric"]),
    "damped": (Antisymmetric, gamma, plots.BLUE),
    "Hamiltonian": (Hamiltonian, 0.0, plots.COLOURS["hamiltonian"]),
    "leapfrog": (Leapfrog, 0.0, plots.COLOURS["leapfrog"]),
}

# %%
depths = [4 * 2**k for k in range(scale.pick(quick=3, lesson=9, full=9))]
contracting = torch.stack([stretch(stable.ResidualNet, N, shift=2.0) for N in depths])
print(f"ResNet, K(t) - 2 I: at {depths[-1]} layers at most {contracting[-1, 0]:.1g}")
fig, axes = plt.subplots(1, 5, figsize=(13, 3), sharey=True)
distance = {}
for ax, (name, (kind, damping, colour)) in zip(axes, kinds.items()):
    values = torch.stack([stretch(kind, N, damping) for N in depths])
    ax.loglog(depths, values, "o-", ms=3, lw=1, color=colour)
    ax.fill_between(depths, values[:, -1], values[:, 0], color=colour, alpha=0.15)
    ax.axhline(1, color="k", lw=0.8)
    ax.set(title=name, xlabel="layers N", ylim=(3e-2, 1e3))
    shown = [f"{N}: {s[0]:.2g} to {s[-1]:.2g}" for N, s in zip(depths, values) if N >= 64]
    print(f"{name:14s}", "; ".join(shown))
    distance[name] = values[-1].log().abs().max().item()
axes[0].set_ylabel("singular values")
plots.show(fig, "Singular values against depth. The ResNet stretches 26-fold at all large depths; "
           "the Hamiltonian network stays between 0.3 and 1.7 from 64 layers on.")
sizes = torch.linalg.matrix_norm(sampled(max(depths)), 2).max().item()
print("h omega at most:", ", ".join(f"{20 / N * sizes:.1f} for N = {N}" for N in depths[:5]))
nearest.reveal(min(distance, key=distance.get), "its steps neither grow nor fade.")

# %% [markdown]
# *Figure: all four singular values of $\partial Y_N / \partial Y_0$ against the number of layers.*
#
# **Reading the picture.** The contracting network (printed only) has lost everything.
# The ResNet is *flat* from 64 layers on, and stretches 26- to 29-fold whatever the depth.
# Flat are also the Hamiltonian network and leapfrog, once $h\omega$, printed below, is under 2; before, they explode.
# The undamped antisymmetric network is the least flat: Euler's growth fades slowly with $h$.
# Damping tames it, and fades the signal. Around one is not one: a shear may still stretch.
#
# ### Explore - Which gamma, and at what price?
# Choose damping and depth: no difference may grow more than 4 times, none shrink below 0.15. With how few layers?
# <details><summary>What others found</summary>
# 256 layers with gamma = 0.1 meet it. With 64 layers the formula asks for 0.54, and then the smallest value is 0.009:
# what damping saves in layers it takes from the signal. The Hamiltonian network meets the aim with 64 layers.</details>

# %%
my_gamma, my_depth = 0.0, 64  # yours

values = stretch(Antisymmetric, my_depth, my_gamma)
h_omega = 20 / my_depth * omega
asked = f"{needed(20 / my_depth, omega):.2f}" if h_omega <= 1 else "none would do"
print(f"{my_depth} layers, gamma = {my_gamma}: from {values[0]:.3g} down to {values[-1]:.2g}")
print("gamma by the formula:", asked)
print("aim met:", bool(values[0] <= 4 and values[-1] >= 0.15))


# %% [markdown]
# ## 8. Shallow first: weights that are functions of time
#
# The objective has the smoothness of notebook 01,
# $R = \frac{1}{2h}\sum_j \|K_j - K_{j-1}\|_F^2 + |b_j - b_{j-1}|^2$, so that weights change *slowly*.
# Then a shallow network is a coarse sampling of a function: train 4 layers, read off the weights of 8, train these ...
# The coarse weights belong to the times $0, h, \dots, (N-1)h$, the fine ones to $0, h/2, h, \dots$
#
# ### Exercise 3.7 - Prolongation (3 points, ~6 min, difficulty 2 of 5)
# Return the weights of a network with twice the layers: linear interpolation in time.
# After the last sample there is nothing to interpolate; hold its value.
#
# <details><summary>Hint 1 - a nudge</summary>
# Write down the fine sequence for three coarse values a, b, c.</details>
# <details><summary>Hint 2 - the idea</summary>
# a, (a+b)/2, b, (b+c)/2, c, c: copies and means of neighbours, and c is its own last neighbour.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Make an empty tensor of twice the length; <code>fine[0::2] = theta</code>, <code>fine[1:-1:2]</code> gets the means of
# <code>theta[:-1]</code> and <code>theta[1:]</code>, and <code>fine[-1] = theta[-1]</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "d5597e27d3d04c1a26b61ecdd25286b6", "grade": false, "grade_id": "prolong", "locked": false, "schema_version": 3, "solution": true, "task": false}
def prolong(theta):
    """Return the weights of a network with twice the layers, linear in time.

    Args:
        theta: `(N, ...)`, one slice a layer, samples at the times 0, h, ..., (N - 1) h.

    Returns:
        `(2 N, ...)`, samples at 0, h/2, h, ...; the last value is held. The dtype is that
        of `theta`, which is left unchanged; gradients flow through.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "f079f9f2de0a37ef1a447f750682f63a", "grade": true, "grade_id": "test_prolong", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "prolong",
    points=3,
    answer=lambda: prolong,
    package=(stable.prolong, stable.StableNet),
    further=2,
)
def exercise(checks):
    theta = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(38), dtype=torch.float64)
    right = stable.prolong(theta)
    checks.close(
        "the samples 1, 3, 7 become six, and then the samples 2, 6, -2",
        lambda: [prolong(torch.tensor(x)) for x in ([1.0, 3.0, 7.0], [2.0, 6.0, -2.0])],
        [torch.tensor([1.0, 2, 3, 5, 7, 7]), torch.tensor([2.0, 4, 6, 2, -2, -2])],
    )
    checks.close("the matrices of five layers", lambda: prolong(theta), right)
    checks.close("a single layer", lambda: prolong(theta[:1]), theta[[0, 0]])

    def unchanged():
        mine = theta.clone()
        return prolong(mine), mine

    checks.close(
        "the finer layers and then theta, which is left unchanged", unchanged, (right, theta)
    )

    def gradient(of):
        coarse = theta.clone().requires_grad_()
        return torch.autograd.grad((of(coarse) ** 2).sum(), coarse)[0]

    slope = gradient(stable.prolong)
    checks.close("the gradient through the prolongation", lambda: gradient(prolong), slope)
check.score(exercise)

# %% [markdown]
# Now everything together, on the ellipses of notebook 01 ($T = 20$). On every level `multilevel.train_level` minimises
#
# $$\frac1s S(Y_N W + e_s\mu^\top, C) + \alpha R(K, b) + \frac{\alpha_W}{2} \|W\|_F^2, \tag{9}$$
#
# where for given $K, b$ the best $W, \mu$ solve a *convex* problem.
# All networks have 2 features; the Hamiltonian one has 2 partners as well, leapfrog a velocity.
# The damped network gets the $\gamma$ for 64 layers and frequencies up to 1. *Predict* the best one at 64 layers.

# %%
my_prolong = check.yours(exercise)
best = check.predict("Best on the held-out points at 64 layers?", among=list(kinds), mine="")
ellipses = stability.PROBLEMS["ellipses"]
data = [stability.load(ellipses, seed) for seed in range(3)]  # 1000 points, 200 held out


def learn(kind, last, gamma=0.0, seed=0, n_features=2):
    """Yield what was trained with 4, 8, ... and `last` layers."""
    generator = torch.Generator().manual_seed(1000 + seed)
    K = torch.randn(1, n_features, n_features, generator=generator, dtype=torch.float64) / 2
    if kind in (Hamiltonian, Leapfrog):  # start as an oscillator, with some noise
        K = torch.eye(n_features, dtype=torch.float64) + 0.2 * K
    K, b, classifier = K.repeat(4, 1, 1), torch.zeros(4, dtype=torch.float64), None
    iterations = scale.pick(quick=3, lesson=60, full=300)
    while len(K) <= last:
        net = kind(K, b, ellipses.T, gamma=gamma)
        trained = multilevel.train_level(
            net, data[seed], ellipses.alpha, iterations, classifier, ellipses.alpha_W
        )
        yield trained
        K, b = my_prolong(net.K.detach()), my_prolong(net.b.detach())
        classifier = trained.classifier


# %% tags=["nbval-ignore-output"]
last = scale.pick(quick=8, lesson=64, full=64)
damping_64 = needed(20 / 64, 1.0)
nets = kinds | {"damped": (Antisymmetric, damping_64, plots.BLUE)}
print(f"damped: gamma = {damping_64:.2f}. Held-out accuracy in %, mean of 3 seeds (range)")
runs, rates = {}, {}
for name, (kind, damping, _) in training.progress(nets.items(), "training"):
    runs[name] = [list(learn(kind, last, damping, seed)) for seed in range(3)]
    rates[name] = 100 * np.array([[t.level.val_accuracy[-1] for t in run] for run in runs[name]])
    means = " ".join(f"{rate:6.1f}" for rate in rates[name].mean(axis=0))
    worst, top = rates[name][:, -1].min(), rates[name][:, -1].max()
    print(f"{name:14s}{means}  ({worst:.1f} to {top:.1f})")
learned = runs["antisymmetric"][0][-1].net
frequency = torch.linalg.eigvals(my_antisymmetric(learned.K.detach(), 0.0)).imag.max().item()
print(f"antisymmetric, {last} layers: h omega = {learned.h * frequency:.2f} after training")
winner = max(rates, key=lambda name: rates[name][:, -1].mean())
best.reveal(winner, "it has room besides the plane.")

# %%
fig, axes = plt.subplots(1, 4, figsize=(13.5, 3.2), width_ratios=(1.3, 1, 1, 1))
layers = [4 * 2**k for k in range(rates["ResNet"].shape[1])]
for marker, (name, (_, _, colour)) in zip("o^svD", nets.items()):
    axes[0].semilogx(
        layers, rates[name].mean(axis=0), marker + "-", base=2, color=colour, label=name
    )
axes[0].set(xlabel="layers", ylabel="held-out accuracy, %")
axes[0].set_xticks(layers, layers)
axes[0].legend(fontsize=8)
for ax, name in zip(axes[1:], ("ResNet", "damped", "Hamiltonian")):
    trained, some = runs[name][0][-1], data[0].val_points
    plots.decision_regions(
        ax, lambda X: trained.classifier.predict(trained.net(X.double())),
        some, data[0].val_labels, box=ellipses.box, n=100,
    )
    ax.set(title=f"{name}, {last} layers", xlabel="$y_1$", ylabel="$y_2$")
plots.show(fig, "Accuracy against depth for five networks; and the classes that three of them give "
           "to the plane: the ResNet leaves a band open, the damped network has thin cuts, "
           "the Hamiltonian one encloses the ellipse.")

# %% [markdown]
# *Figure: left, accuracy on the held-out points, mean of three seeds; right, the class of each point of the plane.*
#
# **Reading the picture.** A flow of the plane cannot take a ring off the points inside (Dupont et al. 2019), but it can cut it thinly where few points lie.
# The ResNet and both antisymmetric networks have two features only: they jump with long steps, or cut.
# Partners and velocities lead out of the plane: Hamiltonian and leapfrog win at 64 layers.
# Damping makes no clear difference here, inside the range of the seeds: training has driven $h\omega$ (printed, first seed) beyond 1,
# where *no* $\gamma$ is enough. Training need not keep to the frequencies for which a layer is stable.
#
# ### Explore - A depth to trust
# At least 98% for each of three seeds: with how few layers? Choose network, damping, features.
# <details><summary>What others found</summary>
# Antisymmetric, gamma = 0, with 5 features (zeros appended) and 4 layers: room matters more than depth.
# With two features only leapfrog did it, with 64 layers and barely; such close calls differ between processors.</details>

# %% tags=["nbval-ignore-output"]
my_kind, my_layers, my_gamma, my_features = Antisymmetric, 16, 0.1, 2  # yours

last_levels = [list(learn(my_kind, my_layers, my_gamma, s, my_features))[-1] for s in range(3)]
found = [100 * trained.level.val_accuracy[-1] for trained in last_levels]
print(f"{my_layers} layers:", ", ".join(f"{rate:.1f} %" for rate in found))
print("aim met:", min(found) >= 98)


# %% [markdown] nbgrader={"cell_type": "markdown", "checksum": "676cc5a3a1d840f2fd6a8f4076a70a64", "grade": false, "grade_id": "question_near_zero", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 3.8 - Why near zero? (3 points, ~7 min)
# "$\operatorname{Re}\lambda \approx 0$ for all eigenvalues of the Jacobian, in all layers": explain why from both sides.
# In four to six sentences: what goes wrong for $\operatorname{Re}\lambda \gg 0$, and for $\operatorname{Re}\lambda \ll 0$,
# for the *signal* on its way forth and for the *gradient* on its way back; and why $\operatorname{Re}\lambda = 0$ exactly is not enough for Euler's method.
#

# %% [markdown]
# *Your answer to question 3.8: double-click here and write.*

# %% [markdown]
# ## Further
#
# **Other integrators.** A Runge-Kutta method of order $p \le 4$ with $p$ stages multiplies $\delta$ by the Taylor polynomial
# $R_p(h\lambda) = \sum_{k=0}^{p} (h\lambda)^k / k!$ of the exponential function; it is stable where $|R_p| \le 1$.

# %%
def growth(p):
    coefficients = [1 / np.prod(np.arange(1, k + 1)) for k in range(p, -1, -1)]
    return lambda z: np.polyval(coefficients, z)


fig, (region, axis) = plt.subplots(1, 2, figsize=(8.5, 3.8), width_ratios=(1, 1.2))
frequencies = np.linspace(0.001, 3.2, 3200)
methods = {1: ("euler", "-"), 2: ("heun", "--"), 3: ("bosh3", "-."), 4: ("rk4", ":")}
for p, (name, dash) in methods.items():
    plots.stability_region(region, growth(p), plots.COLOURS[name], fill=p == 4)
    size = np.abs(growth(p)(1j * frequencies))
    axis.plot(frequencies, size, dash, color=plots.COLOURS[name], label=f"$R_{p}$")
    limit = frequencies[size <= 1 + 1e-14].max(initial=0.0)
    at_one = abs(growth(p)(1j))
    print(f"order {p}: stable up to h omega = {limit:.2f}; growth at h omega = 1: {at_one:.2f}")
axis.axhline(1, color="k", lw=1)
axis.set(xlabel="$h\\,\\omega$ for $\\lambda = i\\omega$", ylabel="growth $|R_p|$ in one step")
axis.set_ylim(0.5, 1.6)
axis.legend(loc="upper left")
plots.show(fig, "Nested stability regions of orders 1 to 4; on the imaginary axis orders 1 and 2 "
           "grow at once, orders 3 and 4 stay below one up to 1.73 and 2.83.")

# %% [markdown]
# *Figure: where Runge-Kutta methods of order 1 to 4 are stable (inside of the nested curves; order 4 is tinted),
# and their growth along the imaginary axis.*
#
# **Reading the picture.** Orders 1 and 2 leave the axis at once, order 2 more slowly: in the left panel it can hardly be seen, in the right one it can.
# Orders 3 and 4 are stable for $h|\omega| \le \sqrt3$ and $2\sqrt2$.
#
# *True or false?* "The step (7) is symplectic": its Jacobian $M$ satisfies $M^\top \Omega M = \Omega$ with
# $\Omega = \left(\begin{smallmatrix} 0 & I \\ -I & 0 \end{smallmatrix}\right)$. The next cell compares it with the *two-sided* layers of Chang et al. (2018),
# $\dot y = K\sigma(K^\top z + b)$, $\dot z = -K\sigma(K^\top y + b)$.

# %%
symplectic = check.predict("Is the step (7) symplectic?", among=["true", "false"], mine="")

# %%
Omega = torch.kron(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), torch.eye(3)).double()


def two_sided_step(y, z, K, b, h):
    z = z - h * torch.tanh(y @ K + b) @ K.mT
    y = y + h * torch.tanh(z @ K + b) @ K.mT
    return y, z


u, K = torch.cat(start, dim=1)[0], torch.randn(3, 3, dtype=torch.float64)
errors = {}
for name, step in (("equation (7)", my_verlet_step), ("two-sided", two_sided_step)):
    M = torch.autograd.functional.jacobian(lambda u: torch.cat(step(u[:3], u[3:], K, 0.1, 0.5)), u)
    errors[name] = (M.T @ Omega @ M - Omega).norm().item()
    determinant = torch.linalg.det(M).item()
    print(f"{name:12s} |M' Omega M - Omega| = {errors[name]:.3f}, det M = {determinant:.3f}")
verdict = "true" if errors["equation (7)"] < 1e-9 else "false"
symplectic.reveal(verdict, "two shears keep the volume, which is less than being symplectic.")

# %% [markdown]
# **Reading the numbers.** False, although the talk says so: both keep the volume, only the two-sided layers are symplectic.
#
# **What else its slides get wrong.** They give $\lambda(K_-) = -2$ twice (the matrix is triangular: $-2$ and $-1$);
# write $J_i$ in (4), with the index of the eigenvalue, where the layer's $J_j$ belongs; lose the minus sign of $\dot z$ in (6);
# write $\tfrac12 Y_j(K_j - K_j^\top - \gamma I)$ for the network of $\tfrac12(K - K^\top - \gamma I)\,y$, which in rows is that of $-K$;
# and replace the sum over pixels $y^\top w$ by $\operatorname{vol}(\Omega)\int_\Omega y\,w\,dx$, where it is the integral *divided* by the pixel's volume.
# "Energy conserved", finally, holds for symplectic layers with constant weights, and for an energy *near* $H$: as $Z$ stands half a step behind,
# $H$ itself, $\sum \log\cosh(K^\top y + b) + \sum\log\cosh(K^\top z + b)$, wiggles by $O(h)$.

# %%
K = torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
for name, sign in (("z' = +act", 1), ("z' = -act", -1)):
    block = torch.cat([torch.cat([0 * K, K], 1), torch.cat([sign * K.T, 0 * K], 1)])
    largest = torch.linalg.eigvals(block).real.max().item()
    print(f"{name}: largest real part of the pair's matrix {largest:.2f}")
Y = torch.randn(1, 3, dtype=torch.float64)
same = torch.allclose(Y @ (K - K.T), ((K.T - K) @ Y.T).T)
print("rows Y (K - K^T) are columns (K^T - K) y:", same)
for pixels in (8, 16, 32):
    x = (torch.arange(pixels, dtype=torch.float64) + 0.5) * 2 / pixels  # midpoints of [0, 2]
    total, integral = float(torch.sin(x) @ torch.exp(-x)), 0.466630
    print(f"{pixels:2d} pixels: sum {total:.3f}, integral / pixel {integral * pixels / 2:.3f}, "
          f"slide {2 * integral:.3f}")

K = torch.randn(6, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
for strength in (0.0, 0.5):
    for h in (0.04, 0.02, 0.01):
        y, z, energies = K[None, 0], K[None, 1], []
        for j in range(round(20 / h)):
            K_t = (1 + strength * np.sin(j * h)) * K[3:]
            y, z = two_sided_step(y, z, K_t, 0.1, h)
            energies.append(sum(torch.cosh(x @ K_t + 0.1).log().sum().item() for x in (y, z)))
        width = max(energies) - min(energies)
        print(f"K(t) = (1 + {strength} sin t) K, h = {h}: the energy varies by {width:.3f}")

# %% [markdown]
# **Reading the numbers.** Without the minus sign there are growing directions. With constant weights the wiggle halves with $h$;
# with $K(t)$, as in every trained network, the energy moves whatever the step.
#
# **Images.** For images the product $Y K$ becomes a convolution with zero padding; its transpose is the convolution with swapped channels and the kernel turned by 180 degrees.
# An opening convolution makes 6 channels, then come stable layers with $T = 6$, $\alpha = 0.005$, and a linear classifier.
# Here the 8 x 8 digits of scikit-learn; all weights learn together by Adam. The damped network has $\gamma = 0.3$.

# %% tags=["nbval-ignore-output"]
dataset = scale.pick(quick="digits", lesson="digits", full="mnist")
epochs, lr = scale.pick(quick=1, lesson=4, full=12), scale.pick(quick=1e-2, lesson=1e-2, full=5e-3)
parts = stability.split_images(dataset, size=8)[:2]
device = training.pick_device() if scale.current() == "full" else torch.device("cpu")
some = slice(scale.pick(quick=200, lesson=None, full=None))
train_part, val_part = ([x[some].to(device) for x in part] for part in parts)
image_nets = {name: (name, 0.0) for name in stable.NETS} | {"damped": ("antisymmetric", 0.3)}
print(f"{dataset}: validation errors in % (before training that level)", "4, 8 and 16 layers")
for name, (kind, damping) in image_nets.items():
    net, row = stability.initial_image_net(kind, train_part[0].shape[-1]).to(device), []
    net.body.gamma = damping
    for level in range(3):
        net.body = net.body.refined() if level else net.body
        before = 100 * multilevel.error_rate(net, *val_part)
        multilevel.train_images(net, *train_part, stability.IMAGE_ALPHA, epochs, lr=lr)
        row.append(f"{100 * multilevel.error_rate(net, *val_part):5.1f} ({before:4.1f})")
    print(f"{name:14s}", *row)

# %% [markdown]
# **Reading the table.** All learn the digits; the differences are a handful of images, so do not rank them. The brackets show what a prolongation hands on:
# from 8 to 16 layers most survives (but for the damped network), from 4 to 8 only the ResNet keeps nearly all.
# Long steps alone do not explain it, since all share $h$: the reason is open.
#
# **Full size.** The package keeps records of 4 to 1024 layers and of MNIST; $\gamma = 0$ throughout.
# These commands make them; they can be stopped and started again:
#
#     python -m odenets.studies.stability toy --data ellipses "swiss roll" --iterations 300 --out results
#     python -m odenets.studies.stability toy --data peaks --iterations 60 --out results
#     python -m odenets.studies.stability images --dataset mnist --device cuda --epochs 12 --seeds 0 1 2 --out results
#
# | data | training + validation points | T | features of ResNet, antisymmetric, Hamiltonian | $\alpha$ |
# |---|---|---|---|---|
# | ellipses | 1000 + 200 | 20 | 2, 2, 2 | $10^{-3}$ |
# | swiss roll | 513 + 513 | 20 | 4, 4, 2 | $5\cdot10^{-3}$ |
# | peaks, 5 classes | 4000 + 1000 | 5 | 8, 8, 2 | $5\cdot10^{-6}$ |

# %%
toy_rows = stability.recorded("toy")
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4))
for ax, data_name in zip(axes, stability.PROBLEMS):
    for marker, net in zip("o^v", stable.NETS):
        rows = [row for row in toy_rows if (row["data"], row["net"]) == (data_name, net)]
        rates_of = [100 * row["val_accuracy"] for row in rows]
        depths_of = [row["layers"] for row in rows]
        colour = plots.COLOURS[net.lower()]
        ax.semilogx(depths_of, rates_of, marker + "-", base=2, color=colour, label=net)
    ax.set(title=data_name, xlabel="layers", ylabel="validation accuracy, %")
    ax.set_xticks(depths_of[::2], depths_of[::2])
axes[-1].legend(loc="lower right")
plots.show(fig, "Validation accuracy against depth for three data sets and three networks; "
           "for the ellipses the ResNet stays near 93 percent, the others reach 99 and 100.")
for row in toy_rows:
    if row["layers"] in (16, 64, 1024):
        rate = f"{100 * row['val_accuracy']:5.1f} %"
        print(f"{row['data']:10s} {row['net']:13s} {row['layers']:4d} layers: validation {rate}")

# %% [markdown]
# *Figure: validation accuracy against the number of layers at full size, one training per network and data set.*
#
# **Reading the picture.** One run each, so a zigzag of a per cent or two is luck.
# *Ellipses:* the ResNet stays behind at every large depth. The antisymmetric network, a plane flow as well, gets to 99 % with 1024 layers:
# a flow cannot take the ring off, but thin cuts through it, in which few points lie, are allowed.
# *Swiss roll:* Hamiltonian right at every depth, the others at 64 layers nearly so. *Peaks:* all agree in the end; the Hamiltonian network, with 2 features for 8, needs the depth.
# A depth can be trusted when going deeper does not change the answer.

# %%
image_rows = stability.recorded("images")
print("MNIST, errors in %: training / validation / test, mean over the seeds (range of the test)")
for net in stable.NETS:
    for layers in (4, 8, 16):
        rows = [row for row in image_rows if (row["net"], row["layers"]) == (net, layers)]
        parts = ("train", "val", "test")
        errors = 100 * np.array([[row[f"{part}_error"] for part in parts] for row in rows])
        means = " / ".join(f"{e:.2f}" for e in errors.mean(axis=0))
        low, high = errors[:, 2].min(), errors[:, 2].max()
        print(f"{net:13s} {layers:2d} layers, seeds: {len(rows)}; {means} ({low:.2f}-{high:.2f})")

# %% [markdown]
# **Reading the table.** With 16 layers the training errors are near zero: what is left is generalisation.
# At each depth the Hamiltonian network makes the fewest errors on new digits: in all three seeds fewer than any run of the other two.
# Depth itself matters little for it and for the ResNet. The antisymmetric one gains by it, but one seed, 4.18 % with 4 layers, is most of that.

# %% [markdown]
# ## Recap
#
# **For which weights does a signal neither blow up nor die out?** For those whose Jacobians have eigenvalues near the imaginary axis, in layers whose step suits the axis:
# with 1024 layers a ResNet stretched 26-fold, the undamped antisymmetric network still 5-fold, the Hamiltonian one 1.6-fold; $K_-$ left $10^{-5}$ after a hundred layers.
#
# * The eigenvalues of $\operatorname{diag}(\sigma')K^\top$ decide, not those of $K$.
# * Euler's method is stable for $h \le -2\operatorname{Re}\lambda/|\lambda|^2$, for no step on the axis: it needs $\gamma \approx h\omega^2$, and pays with a fading signal.
# * Verlet and leapfrog are stable for $h\omega < 2$; the Verlet step can be inverted exactly.
# * Weights that are smooth in time can be prolonged.
# * Near the axis both signal and gradient survive.
#
# **Left out:** better integrators (notebook 04), and what the exact inverse is good for (05, 07, 08).
#
# **Read on:** Haber and Ruthotto 2017, sections 3 to 6; Chang et al. 2018;
# E. Hairer, C. Lubich and G. Wanner, *Geometric Numerical Integration*, Springer 2006, chapters I and VI.
#
# **Next:** [04 - Better integrators](../04_continuous_in_depth/04_continuous_in_depth.ipynb)
