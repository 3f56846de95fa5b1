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
# **Time** about 110 minutes - **points** 24 - **you need** notebook 01, eigenvalues,
# and the chain rule for matrices.
#
# After this notebook you can
#
# 1. *compute* the eigenvalues that decide whether forward propagation is stable,
# 2. *tell* which step of Euler's method is stable, and for which spectra none is,
# 3. *build* layers whose equation is stable by construction (antisymmetric, Hamiltonian,
#    leapfrog), and *name* the steps for which the network is stable too,
# 4. *train* networks from 4 layers up to 64 by prolongation, with weights smooth in time,
# 5. *judge* from singular values and from accuracies which depth can be trusted.
#
# **Sources.** E. Haber and L. Ruthotto, *Stable architectures for deep neural networks*,
# Inverse Problems 34 (2017) 014004, [arXiv 1705.03341](https://arxiv.org/abs/1705.03341):
# the networks, the regularisation, the multilevel training and the three data sets.
# B. Chang et al., *Reversible architectures for arbitrarily deep residual neural networks*,
# AAAI 2018, [arXiv 1709.03698](https://arxiv.org/abs/1709.03698): the two-sided layers of section 5.
# A talk about the first article is followed closely; where its slides slip, a box marked
# **Slip** gives the right statement and a cell that shows it.

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
# Samples are the rows of $Y_j$; written for a column $y$, the same layer has $K^\top$.
# Take $\sigma = \tanh$, $b = 0$, $h = 0.1$, $N = 10$, one $K$ for all layers, and three of them:
#
# $$K_+ = \begin{pmatrix} 2 & -2 \\ 0 & 2 \end{pmatrix}, \qquad
# K_- = \begin{pmatrix} -2 & 0 \\ 2 & -1 \end{pmatrix}, \qquad
# K_0 = \begin{pmatrix} 0 & -1 \\ 1 & 0 \end{pmatrix}. \tag{2}$$
#
# *Predict first:* two of the three inputs below are close together.
# After which network are they farthest apart, and after which one can you no longer tell them apart?

# %%
signs = {
    "K+": torch.tensor([[2.0, -2.0], [0.0, 2.0]], dtype=torch.float64),
    "K-": torch.tensor([[-2.0, 0.0], [2.0, -1.0]], dtype=torch.float64),
    "K0": torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64),
}
inputs = torch.tensor([[0.1, 0.1], [-0.1, -0.1], [0.0, 0.5]], dtype=torch.float64)


def constant_net(K, N, h=0.1, kind=stable.ResidualNet):
    return kind(K.expand(N, *K.shape), torch.zeros(N, dtype=K.dtype), N * h)


fig, axes = plt.subplots(1, 3, figsize=(10, 3.6))
for ax, (name, K), reach in zip(axes, signs.items(), (2.0, 0.6, 0.75)):
    with torch.no_grad():
        paths = constant_net(K, 10).trajectory(inputs)
    plots.slope_field(ax, lambda t, y: torch.tanh(y @ K.to(y)), (-reach, reach), (-reach, reach), n=9)
    plots.trajectories(ax, paths, plots.COLOURS[name], marker=".")
    values = stable.in_order(torch.linalg.eigvals(K))
    shown = ", ".join(f"{v.real:g}{v.imag:+g}i" if v.imag else f"{v.real:g}" for v in values)
    before, after = (inputs[0] - inputs[1]).norm(), (paths[-1, 0] - paths[-1, 1]).norm()
    ax.set(title=f"{name}: eigenvalues {shown}", xlabel="feature $y_1$", ylabel="feature $y_2$", aspect="equal")
    print(f"{name}: eigenvalues {shown}; distance of the first two inputs {before:.3f}, of their outputs {after:.3f}")
plt.show()


# %% [markdown]
# *Figure: three inputs (dots) on their way through ten residual layers (crosses at the end),
# on top of the slope field of the layer, for the three weights (2).*
#
# **Reading the picture.** Under $K_+$ the two neighbours are torn apart: a small error of the input
# becomes a large one of the output. Under $K_-$ everything shrinks towards the origin:
# the inputs can hardly be told apart afterwards, and no classifier can bring back what is lost.
# Under $K_0$ they rotate and keep their distance, nearly: the printed distance has grown a little. Section 3 says why.
#
# > **Slip.** The slide gives $\lambda(K_-) = -2$ twice. The matrix is triangular, and its eigenvalues
# > $-2$ and $-1$ stand on the diagonal; the cell prints them.

# %% [markdown]
# ## 2. Which eigenvalues decide
#
# When is the differential equation (1) stable? (The talk has an empty slide with this title; here is what belongs on it.)
# A small difference $\delta$ of two solutions obeys
# $\dot\delta = J(t)\,\delta$ with the Jacobian of the right-hand side,
#
# $$J = \operatorname{diag}\big(\sigma'(K^\top y + b)\big)\, K^\top. \tag{3}$$
#
# If the weights change slowly in time and every eigenvalue has $\operatorname{Re}\lambda(J) \le 0$,
# small differences stay small. The slopes $\sigma'$ are not negative, but they are not equal either:
# each neuron has its own.

# %% [markdown]
# ### Exercise 3.1 - Eigenvalues of the Jacobian (3 points, ~8 min)
# Return the eigenvalues of the matrix (3), at one state or at each state of a batch.
# The activation is any function that acts on every entry alone; do not assume that it is $\tanh$.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# The slopes depend on the state: they are <code>activation'</code>, evaluated at <code>y @ K + b</code>.</details>
# <details><summary>Hint 2 - the idea</summary>
# For a function that acts entry by entry, autograd gives all the derivatives at once:
# differentiate the sum of its outputs, or take <code>torch.func.jvp</code> along a tensor of ones.
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

# %%
my_jacobian_eigenvalues = check.yours(exercise)

# %% [markdown]
# It would be convenient to look at $K$ alone. Is $\operatorname{Re}\lambda(K) \le 0$ enough?
#
# > **Slip.** The slide concludes "$\to \max \operatorname{Re} \lambda_i(K) \le 0$", because the slopes are not negative.
# > This does not follow: slopes that differ from neuron to neuron can move eigenvalues across the axis.
#
# The cell draws random slopes $d \in (0, 1]^2$ and looks at $\operatorname{diag}(d)\,K^\top$ for two matrices whose own
# eigenvalues have no positive real part. The second one is antisymmetric, $K^\top = -K$.

# %%
K_trap = torch.tensor([[1.0, -4.0], [1.0, -3.0]], dtype=torch.float64)
K_anti = torch.tensor([[0.0, 2.0], [-2.0, 0.0]], dtype=torch.float64)
slopes = torch.rand(600, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

fig, axes = plt.subplots(1, 2, figsize=(9, 3.8))
for ax, K, name in zip(axes, (K_trap, K_anti), ("Re $\\lambda(K) < 0$", "antisymmetric K")):
    values = torch.linalg.eigvals(slopes[:, :, None] * K.T).flatten()
    own = torch.linalg.eigvals(K)
    ax.plot(values.real, values.imag, ".", ms=4, color=plots.GREY, alpha=0.6, label="diag(d) $K^\\top$, random d")
    ax.plot(own.real, own.imag, "X", ms=10, color=plots.BLUE, label="K")
    ax.axvline(0, color="k", lw=1)
    ax.set(title=name, xlabel="Re $\\lambda$", ylabel="Im $\\lambda$", xlim=(-3, 1), ylim=(-2.4, 2.4))
    ax.legend(loc="lower left")
plt.show()

# A state at which the layer really has these slopes: 1 for one neuron, 0.1 for the other.
argument = torch.tensor([0.0, np.arctanh(np.sqrt(0.9))], dtype=torch.float64)
state = torch.linalg.solve(K_trap.T, argument)
print("eigenvalues of K:         ", *[f"{v:.2f}" for v in torch.linalg.eigvals(K_trap).real])
print("of J at the state", [round(v, 2) for v in state.tolist()], ":", *[f"{v:.2f}" for v in stable.in_order(my_jacobian_eigenvalues(K_trap, 0.0, state)).real])


# %% [markdown]
# *Figure: eigenvalues of the Jacobian for 600 random slopes of the two neurons (dots)
# and of the matrix alone (crosses), in the complex plane; the black line is the imaginary axis.*
#
# **Reading the picture.** On the left many dots lie to the right of the axis although $K$ is
# stable, and the printed state shows a layer that really has two growing directions.
# On the right every dot is *on* the axis: with $D$ diagonal and positive, $D K^\top$ has the eigenvalues of
# $D^{1/2} K^\top D^{1/2}$, which is antisymmetric again. **For antisymmetric weights the activation cannot spoil
# stability.** This is why they deserve a section of their own.

# %% [markdown]
# ## 3. Euler's method has a stability of its own
#
# A stable equation is not yet a stable network: the layers are steps.
# For one eigenvalue, $\dot\delta = \lambda\delta$, a step of Euler's method multiplies $\delta$ by $1 + h\lambda$. The network is stable when
#
# $$\max_i |1 + h\,\lambda_i(J_j)| \le 1 \qquad\text{for every layer } j = 0, \dots, N-1. \tag{4}$$
#
# > **Slip.** The slide writes $J_i$, with the index of the eigenvalue; the Jacobian belongs to the layer, $J_j$.

# %% [markdown]
# ### Exercise 3.2 - The largest stable step (3 points, ~10 min)
# Return the largest $h$ for which (4) holds. Square it: $|1 + h\lambda|^2 \le 1$ is an inequality for $h$ that you can solve.
# It is enough to think about one eigenvalue and then about all of them.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# With <code>lambda = a + i w</code>: <code>|1 + h lambda|^2 = (1 + h a)^2 + (h w)^2</code>.</details>
# <details><summary>Hint 2 - the idea</summary>
# Subtract 1 and divide by h: <code>2 a + h (a^2 + w^2) &lt;= 0</code>. Each eigenvalue gives a bound, the smallest one counts.
# What does the bound say when a is zero, or positive? And what if the eigenvalue is zero?</details>
# <details><summary>Hint 3 - almost the code</summary>
# Drop the zero eigenvalues; if none is left return infinity. The bounds are
# <code>-2 * values.real / values.abs() ** 2</code>; return the smallest one, but never less than 0.
# <code>float(...)</code> makes a plain number of it.</details>

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


# %% nbgrader={"cell_type": "code", "checksum": "375142b7e8d190a0c5d722ac0654695e", "grade": true, "grade_id": "test_max_stable_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "max_stable_step",
    points=3,
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


# %% [markdown]
# Is it only Euler's method that fails on the imaginary axis? A Runge-Kutta method of order $p \le 4$ with $p$ stages
# multiplies $\delta$ by the Taylor polynomial of the exponential function,
#
# $$R_p(h\lambda) = \sum_{k=0}^{p} \frac{(h\lambda)^k}{k!}, \qquad\text{stable where } |R_p| \le 1. \tag{5}$$

# %%
def growth(p):
    coefficients = [1 / np.prod(np.arange(1, k + 1)) for k in range(p, -1, -1)]
    return lambda z: np.polyval(coefficients, z)


methods = {1: "euler", 2: "heun", 3: "bosh3", 4: "rk4"}
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.8), width_ratios=(1, 1.2))
frequencies = np.linspace(0.001, 3.2, 3200)
for p, name in methods.items():
    plots.stability_region(left, growth(p), plots.COLOURS[name], f"$R_{p}$", fill=p == 4)
    size = np.abs(growth(p)(1j * frequencies))
    right.plot(frequencies, size, color=plots.COLOURS[name], label=f"$R_{p}$")
    limit = frequencies[size <= 1 + 1e-14].max(initial=0.0)
    print(f"order {p}: stable on the imaginary axis up to |h lambda| = {limit:.2f}")
right.axhline(1, color="k", lw=1)
right.set(xlabel="$h\\,\\omega$ for $\\lambda = i\\omega$", ylabel="growth $|R_p|$ in one step", ylim=(0.5, 1.6))
right.legend(loc="upper left")
plt.show()


# %% [markdown]
# *Figure: where Runge-Kutta methods of order 1 to 4 are stable (inside of the curves; order 4 is tinted),
# and their growth factors along the imaginary axis.*
#
# **Reading the picture.** Euler's disc touches the imaginary axis in the origin only: with $\gamma = 0$ *no* step is stable,
# and this is the outward drift under $K_0$. Order 2 leaves the axis as well, but so slowly that the picture hardly shows it.
# Order 4 is stable for $h|\omega| \le 2\sqrt2$, order 3 for $h|\omega| \le \sqrt3$ (compare the printed numbers).

# %% [markdown]
# ## 4. Antisymmetric weights
#
# Two ways out: a better integrator (notebook 04), or a little damping:
#
# $$\dot y = \sigma\Big(\tfrac12\big(K - K^\top - \gamma I\big)\,y + b\Big). \tag{6}$$
#
# The matrix has the eigenvalues $-\gamma/2 \pm i\omega$, whatever $K$ is.

# %% [markdown]
# ### Exercise 3.3 - Antisymmetric layer (2 points, ~4 min)
# Return the matrix $\tfrac12 (K - K^\top - \gamma I)$, for one matrix or for a stack of them.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# Everything stands inside the bracket: the damping is halved too.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>K.T</code> of a stack would reverse all axes. <code>K.mT</code> swaps the last two.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>torch.eye(n, dtype=K.dtype)</code> is broadcast over the layers: half of
# <code>K - K.mT - gamma * identity</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "3448036b546577ad12ee35721cb2a2e3", "grade": false, "grade_id": "antisymmetric", "locked": false, "schema_version": 3, "solution": true, "task": false}
def antisymmetric(K, gamma):
    """Return (K - K^T - gamma I) / 2, the matrix of equation (6).

    Args:
        K: `(n, n)`, or a stack `(..., n, n)`.   gamma: damping, a float, at least 0.

    Returns:
        A new tensor with the shape and dtype of `K`, which is left unchanged. Gradients
        flow through.
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

# %% [markdown]
# How much damping does Euler's method need? For $\lambda = -\gamma/2 \pm i\omega$ the bound of exercise 3.2 reads
# $h \le \gamma / (\gamma^2/4 + \omega^2)$. The cell compares both for one random matrix,
# and checks how the row form of the layer belongs to the column form.

# %%
generator = torch.Generator().manual_seed(4)
K = torch.randn(4, 4, generator=generator, dtype=torch.float64)
omega = torch.linalg.eigvals(my_antisymmetric(K, 0.0)).imag.max().item()
for gamma in (0.0, 0.1, 0.5):
    step = my_max_stable_step(torch.linalg.eigvals(my_antisymmetric(K, gamma)))
    print(f"gamma = {gamma}: largest stable step {step:.4f}, formula {gamma / (gamma**2 / 4 + omega**2):.4f}")

Y = torch.randn(1, 4, generator=generator, dtype=torch.float64)
print("row form: Y (K - K^T) is the column form (K^T - K) y:", torch.allclose(Y @ (K - K.T), ((K.T - K) @ Y.T).T))

# %% [markdown]
# > **Slip.** The slide has $\tfrac12(K - K^\top - \gamma I)\,y$ for the equation and $\tfrac12 Y_j (K_j - K_j^\top - \gamma I)$ for the network.
# > In rows the latter is $\tfrac12(K^\top - K - \gamma I)\,y$, as the last line checks: the network belongs to $-K$, or $K^\top$.
# > Since $K$ is learned it does not matter; when you compare numbers it does.
#
# ## 5. Hamiltonian networks
#
# A second way to imaginary eigenvalues: give every feature $y$ a partner $z$.
# In a Hamiltonian system $\dot y = -\nabla_z H$, $\dot z = \nabla_y H$ the energy $H$ is kept *if $H$ does not depend on the time explicitly*.
# The network with this structure is
#
# $$\dot y = \sigma(K z + b), \qquad \dot z = -\sigma(K^\top y + b), \qquad y(0) = y_0,\ z(0) = 0. \tag{7}$$
#
# Its steps alternate (Verlet's scheme): first $z$ with the old $y$, then $y$ with the *new* $z$.
# In rows, with $Z$ half a step behind:
#
# $$Z_{j+1/2} = Z_{j-1/2} - h\,\sigma(Y_j K_j + b_j), \qquad Y_{j+1} = Y_j + h\,\sigma(Z_{j+1/2} K_j^\top + b_j). \tag{8}$$
#
# > **Slip.** The slide writes $\dot z = \sigma(K^\top y + b)$: the minus sign is lost there, though not in its Verlet scheme.
# > Without it the matrix of the pair is symmetric instead of antisymmetric, with real eigenvalues of both signs.
# > Its block form $\sigma\big(\begin{smallmatrix} 0 & K \\ -K^\top & 0 \end{smallmatrix}\, u + b\big)$ is right up to the sign of the bias in the second row:
# > $-\sigma(K^\top y + b) = \sigma(-K^\top y - b)$.

# %%
generator = torch.Generator().manual_seed(5)
K = torch.randn(3, 3, generator=generator, dtype=torch.float64)
zero = torch.zeros(3, 3, dtype=torch.float64)
for name, sign in (("slide, z' = +act", 1), ("right, z' = -act", -1)):
    block = torch.cat([torch.cat([zero, K], 1), torch.cat([sign * K.T, zero], 1)])
    values = torch.linalg.eigvals(block)
    print(f"{name}: largest real part {values.real.max():.2f}, largest imaginary part {values.imag.max():.2f}")

h, N = 0.1, 60
pairs = 0.05 * torch.randn(2, 3, generator=generator, dtype=torch.float64)  # two inputs, near each other
fig, ax = plt.subplots(figsize=(6.5, 3.6))
for name, sign, colour in (("slide: $\\dot z = +\\sigma$", 1, plots.RED), ("right: $\\dot z = -\\sigma$", -1, plots.COLOURS["hamiltonian"])):
    y, z, distances = pairs, torch.zeros_like(pairs), []
    for _ in range(N + 1):
        distances.append((y[0] - y[1]).norm())
        z = z + sign * h * torch.tanh(y @ K)
        y = y + h * torch.tanh(z @ K.T)
    ax.semilogy(h * np.arange(N + 1), distances, color=colour, label=name)
ax.set(xlabel="time", ylabel="distance of the two signals")
ax.legend()
plt.show()


# %% [markdown]
# *Figure: the distance of two neighbouring signals on their way through 60 layers,
# with the sign of the slide and with the right one; logarithmic scale.*
#
# **Reading the picture.** With the slide's sign the distance grows exponentially until the activation saturates.
# With the right sign it oscillates.

# %% [markdown]
# ### Exercise 3.4 - One Verlet step (4 points, ~8 min)
# Advance the pair $(y, z)$ by one layer, equation (8). $K$ need not be square: $y$ has $n$ features, $z$ has $m$.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# Two lines. The second one uses the result of the first.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>y @ K</code> has m columns, like <code>z</code>; the way back is <code>z @ K.T</code> with n columns.
# Only one of the two signs is negative.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>z = z - h * activation(...)</code> with <code>y</code>, then <code>y = y + h * activation(...)</code> with the new <code>z</code>;
# return <code>(y, z)</code> in this order.</details>

# %% nbgrader={"cell_type": "code", "checksum": "a315cebbb5cd2a1306d4a9a8db30da79", "grade": false, "grade_id": "verlet_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    """Advance a Hamiltonian network by one layer, equation (8): first z, then y.

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


# %% nbgrader={"cell_type": "code", "checksum": "ee8bf8c18c9aceaef42702a7d871339e", "grade": true, "grade_id": "test_verlet_step", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "verlet_step",
    points=4,
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
# ### Exercise 3.5 - And back (2 points, ~5 min)
# Undo one step: given the new pair, return the old one. No equation has to be solved.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# What was done last is undone first.</details>
# <details><summary>Hint 2 - the idea</summary>
# The last line of the step changed y and left z alone: the z that it used is still here.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Subtract from <code>y</code> what the second line added; then add to <code>z</code> what the first line subtracted,
# computed with the old <code>y</code>. A step with <code>-h</code> is not the same: its lines come in the wrong order.</details>

# %% nbgrader={"cell_type": "code", "checksum": "4708f135ece8900d015881c42dcb9c06", "grade": false, "grade_id": "verlet_step_back", "locked": false, "schema_version": 3, "solution": true, "task": false}
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    """Undo one step of equation (8): the exact inverse of `verlet_step`.

    Args:
        y, z: the pair after the step, `(s, n)` and `(s, m)`.
        K, b, h, activation: those of the step.

    Returns:
        The pair `(y, z)` before the step; the given tensors are left unchanged.
        Gradients flow through.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "46cb69f5d7e3984e1f750e272c24e166", "grade": true, "grade_id": "test_verlet_step_back", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "verlet_step_back",
    points=2,
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

# %% [markdown]
# The slides call (8) *symplectic*: with $\Omega = \begin{psmallmatrix} 0 & I \\ -I & 0 \end{psmallmatrix}$ the Jacobian $M$ of a step would satisfy $M^\top \Omega M = \Omega$.
# Is it? The cell compares it with the *two-sided* layers of Chang et al. (2018),
# $\dot y = K\sigma(K^\top z + b)$ and $\dot z = -K\sigma(K^\top y + b)$, which come, up to the sign, from the energy
# $H = \sum_i \ell\big((K^\top y + b)_i\big) + \sum_i \ell\big((K^\top z + b)_i\big)$ with $\ell' = \tanh$, that is $\ell(x) = \log\cosh x$.

# %%
n = 3
Omega = torch.zeros(2 * n, 2 * n, dtype=torch.float64)
Omega[:n, n:], Omega[n:, :n] = torch.eye(n), -torch.eye(n)


def two_sided_step(y, z, K, b, h):
    z = z - h * torch.tanh(y @ K + b) @ K.mT
    y = y + h * torch.tanh(z @ K + b) @ K.mT
    return y, z


generator = torch.Generator().manual_seed(6)
u = torch.randn(2 * n, generator=generator, dtype=torch.float64)
K = torch.randn(n, n, generator=generator, dtype=torch.float64)
for name, step in (("one-sided, equation (8)", my_verlet_step), ("two-sided", two_sided_step)):
    M = torch.autograd.functional.jacobian(lambda u: torch.cat(step(u[:n], u[n:], K, 0.1, 0.5)), u)
    error = (M.T @ Omega @ M - Omega).norm()
    print(f"{name:24s} |M^T Omega M - Omega| = {error:.6f}, det M = {torch.linalg.det(M):.6f}")


def energy(y, z, K, b):
    return (torch.cosh(y @ K + b).log() + torch.cosh(z @ K + b).log()).sum().item()


h, N = 0.02, 1000
for name, strength in (("K constant", 0.0), ("K(t) = (1 + 0.5 sin t) K", 0.5)):
    y, z = u[None, :n], u[None, n:]
    history = []
    for j in range(N):
        K_t = (1 + strength * np.sin(j * h)) * K
        y, z = two_sided_step(y, z, K_t, 0.1, h)
        history.append(energy(y, z, K_t, 0.1))
    print(f"energy over {N} two-sided layers, {name}: from {min(history):.2f} to {max(history):.2f}")

pair = start = u[None, :n], u[None, n:]
for _ in range(N):
    pair = my_verlet_step(*pair, K, 0.1, h)
moved = max((a - b).abs().max().item() for a, b in zip(pair, start))
for _ in range(N):
    pair = my_verlet_step_back(*pair, K, 0.1, h)
error = max((a - b).abs().max().item() for a, b in zip(pair, start))
print(f"{N} one-sided layers move an entry by up to {moved:.2f}; back again, all are within 1e-10: {error < 1e-10}")


# %% [markdown]
# > **Slip.** "Symplectic integrator". The one-sided step is *not* symplectic, as the first line shows.
# > It has what the network needs: its determinant is one (each line shears one half of the variables by a function of the other),
# > so no volume is lost, and exercise 3.5 inverts it exactly. The two-sided layers are symplectic up to rounding.
# > And "energy conserved" holds for weights that do not change in time; with $K(t)$ the energy moves, as it does in every trained network.
#
# ## 6. Second order in time: leapfrog
#
# With $H = \tfrac12 z^\top z - f(y)$ the Hamiltonian system of section 5 says $\dot y = -z$, $\dot z = -\nabla f(y)$, so $\ddot y = \nabla f(y)$
# (these equations of the slides are right). A network in this spirit is
#
# $$\ddot y = \sigma(K^\top y + b), \qquad y(0) = y_0,\ \dot y(0) = 0, \qquad K = -C^\top C. \tag{9}$$
#
# The matrix $-C^\top C$ has real eigenvalues $-\omega^2 \le 0$, and $\ddot\delta = -\omega^2\delta$ oscillates; a positive eigenvalue would grow.
# Central differences in time give the *leapfrog* scheme, in rows
#
# $$Y_{j+1} = 2Y_j - Y_{j-1} + h^2\,\sigma(Y_j K_j + b_j), \qquad Y_{-1} = Y_0. \tag{10}$$

# %% [markdown]
# ### Exercise 3.6 - Leapfrog (3 points, ~8 min)
# Propagate (10) with $K_j = -C_j^\top C_j$ and keep all stages.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# A step needs the last two stages. What are they for the very first step?</details>
# <details><summary>Hint 2 - the idea</summary>
# With <code>Y_{-1} = Y_0</code> the first step gives <code>Y_0 + h^2 activation(...)</code>.
# The step size is squared: it is a second derivative.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Keep <code>previous, y = y0, y0</code>. In each layer compute <code>K = -C_j.T @ C_j</code>, then
# <code>previous, y = y, 2 * y - previous + h**2 * activation(y @ K + b_j)</code>, and append <code>y</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "75b311b0b273f057bc887361e09f5793", "grade": false, "grade_id": "leapfrog_forward", "locked": false, "schema_version": 3, "solution": true, "task": false}
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    """Propagate features from rest by the leapfrog scheme (10) with K_j = -C_j^T C_j.

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

# %%
my_leapfrog_forward = check.yours(exercise)

# %% [markdown]
# **How long may a step be?** Euler's method has no stable step on the imaginary axis. Verlet and leapfrog have.
# For $\ddot\delta = -\omega^2\delta$ leapfrog (10) says
#
# $$\delta_{j+1} = \big(2 - (h\omega)^2\big)\,\delta_j - \delta_{j-1}, \qquad\text{with solutions } \delta_j = \mu^j, \quad \mu + \frac1\mu = 2 - (h\omega)^2.$$
#
# The product of the two roots is one. For $h\omega < 2$ they are a pair $e^{\pm i\varphi}$ on the unit circle: nothing grows, nothing is lost.
# For $h\omega > 2$ they are real, and one of them is larger than one in modulus.
# At $h\omega = 2$ both are $-1$, the edge, where $\delta$ may still grow like $j$. As a condition on the step, like (4) for Euler's method:
#
# $$|\mu| \le 1 \quad\Longleftrightarrow\quad h\,\omega \le 2.$$
#
# Verlet's scheme has the same limit: with one $K$ for all layers and slope 1, eliminating $Z$ from (8) leaves (10) with $-KK^\top$.
# The frequencies are the singular values of $K$ in (8) and of $C$ in (10).
# An activation with slopes between 0 and 1, such as tanh, does not raise the largest of them.
# The cell takes slope 1, the worst case, and the largest singular value as $\omega$; it goes just below and just above the limit.

# %%
generator = torch.Generator().manual_seed(5)
K = torch.randn(3, 3, generator=generator, dtype=torch.float64)
start, layers = torch.randn(1, 3, generator=generator, dtype=torch.float64), 200
omega = torch.linalg.matrix_norm(K, 2).item()
for h in (1.0 / omega, 1.95 / omega, 2.05 / omega):
    y, z, verlet = start, torch.zeros_like(start), []
    for _ in range(layers):
        y, z = my_verlet_step(y, z, K, 0.0, h, lambda u: u)
        verlet.append(y.norm().item())
    leapfrog = my_leapfrog_forward(start, K.expand(layers, 3, 3), torch.zeros(layers, dtype=K.dtype), h, lambda u: u)
    growth_of = [max(verlet) / start.norm().item(), leapfrog.norm(dim=(1, 2)).max().item() / start.norm().item()]
    print("h omega = {:.2f}: largest growth in {} layers, Verlet {:.2g}, leapfrog {:.2g}".format(h * omega, layers, *growth_of))

# %% [markdown]
# **Reading the numbers.** Below the limit the features stay near the size of the input, through all layers.
# A little above it they explode. A trained network needs an $h$ that is small enough for its largest weights, that is, enough layers,
# and weights that change slowly from layer to layer (section 8), since the argument holds one $K$ fixed.

# %% [markdown]
# ## 7. How much does a network stretch?
#
# A network is *well posed* when small changes of its input cause changes of its output that are neither huge nor invisible.
# The singular values of $\partial Y_N / \partial Y_0$ measure it: the largest one says how much a difference can grow,
# the smallest one how much can get lost. The same numbers scale the gradients on their way back.
#
# We fix $T = 20$, draw one random smooth function $K(t)$, and sample it with more and more layers.
# *Predict first:* which network forgets, and which curves become flat as the network gets deeper?

# %%
generator = torch.Generator().manual_seed(3)
A, B, C = (torch.randn(4, 4, generator=generator, dtype=torch.float64) / 2 for _ in range(3))
y = torch.randn(4, generator=generator, dtype=torch.float64)
T, I = 20.0, torch.eye(4, dtype=torch.float64)


def sampled(N):
    t = 2 * np.pi * torch.arange(N, dtype=torch.float64)[:, None, None] / N
    return A + B * torch.cos(t) + C * torch.sin(t)


families = {
    "ResNet, K(t) - 2 I": (plots.COLOURS["K-"], lambda K: stable.ResidualNet(K - 2 * I, torch.zeros(len(K), dtype=K.dtype), T)),
    "ResNet, K(t)": (plots.COLOURS["resnet"], lambda K: stable.ResidualNet(K, torch.zeros(len(K), dtype=K.dtype), T)),
    "antisymmetric": (plots.COLOURS["antisymmetric"], lambda K: stable.AntisymmetricNet(K, torch.zeros(len(K), dtype=K.dtype), T)),
    "Hamiltonian": (plots.COLOURS["hamiltonian"], lambda K: stable.HamiltonianNet(K, torch.zeros(len(K), dtype=K.dtype), T)),
}
depths = [4 * 2**k for k in range(scale.pick(quick=3, lesson=9, full=9))]
fig, axes = plt.subplots(1, 4, figsize=(11, 3))
for ax, (name, (colour, build)) in zip(axes, families.items()):
    values = torch.stack([stable.sensitivity(build(sampled(N)), y) for N in depths])
    ax.loglog(depths, values.clamp(min=1e-30), "o-", ms=3, lw=1, color=colour)
    ax.fill_between(depths, values[:, -1].clamp(min=1e-30), values[:, 0], color=colour, alpha=0.15)
    ax.axhline(1, color="k", lw=0.8)
    ax.set(title=name, xlabel="layers N", ylim=(1e-2, 1e3) if "2 I" not in name else (1e-30, 1e3))
    last = values[-1]
    print(f"{name:18s} N = {depths[-1]}: from {last[0]:.2g} down to {last[-1]:.2g}")
axes[0].set_ylabel("singular values of $\\partial Y_N/\\partial Y_0$")
plt.show()
print("h omega at most:", ", ".join(f"{T / N * torch.linalg.matrix_norm(sampled(N), 2).max():.1f} for N = {N}" for N in depths[:5]))


# %% [markdown]
# *Figure: all four singular values of the derivative of the output with respect to the input, against the number of layers,
# for one smooth function K(t) and four networks; the first panel has a far longer scale than the others.*
#
# **Reading the picture.** The contracting network has lost everything: its gradients vanish, its inputs cannot be told apart.
# A ResNet with weights of any kind stretches most in one direction and squeezes in another.
# The antisymmetric and the Hamiltonian network stay nearer to one, and for many layers the curves flatten:
# this is the network's *continuous* behaviour, which further layers hardly change. For few layers the steps are too long:
# the Hamiltonian network explodes as long as $h\omega$, printed above the figure, may exceed Verlet's limit of 2, and calms down as soon as it cannot.
# Around one does not mean equal to one: eigenvalues on the axis exclude exponential growth, a shear may still stretch a little.

# %% [markdown]
# ## 8. Weights that are functions of time
#
# Forward propagation is stable if the weights change *slowly*. Learning has to be told so, by the regularisation
#
# $$R(K, b) = \frac{1}{2h}\sum_{j=1}^{N-1} \Big( \|K_j - K_{j-1}\|_F^2 + |b_j - b_{j-1}|^2 \Big)
# \approx \frac12\int_0^T \|\dot K\|_F^2 + |\dot b|^2\; dt. \tag{11}$$
#
# Weight decay $\tfrac12\|K\|_F^2$ would do something else: it pulls the weights to zero, where the network does nothing.

# %% [markdown]
# ### Exercise 3.7 - Smoothness (2 points, ~4 min)
# Return the sum (11) over $K$ and $b$.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# There are N - 1 differences of neighbours.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>K[1:] - K[:-1]</code> has all of them. The square of the Frobenius norm is the sum of the squares of all entries.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Sum the squares for <code>K</code> and for <code>b</code>, add both, divide by <code>2 * h</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "073d38a9703f67a5af445ed1213daaa2", "grade": false, "grade_id": "smoothness", "locked": false, "schema_version": 3, "solution": true, "task": false}
def smoothness(K, b, h):
    """Return the smoothness of the weights in time, equation (11).

    Args:
        K: weights, `(N, n, n)`.   b: biases, `(N,)`.   h: step size.

    Returns:
        The sum over K and b, a tensor without axes; zero for a single layer. Gradients
        flow through, and the weights are left unchanged.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "1b14db95963eb41649ad91b2e74030e9", "grade": true, "grade_id": "test_smoothness", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "smoothness",
    points=2,
    answer=lambda: smoothness,
    package=(stable.smoothness, stable.StableNet),
    further=2,
)
def exercise(checks):
    K = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 1.0]], [[3.0, 1.0], [0.0, 1.0]]])
    b = torch.tensor([0.0, 3.0, 4.0])
    generator = torch.Generator().manual_seed(37)
    random_K = torch.randn(5, 3, 3, generator=generator, dtype=torch.float64)
    random_b = torch.randn(5, generator=generator, dtype=torch.float64)
    right = stable.smoothness(random_K, random_b, 0.1)
    checks.close(
        "the squares add up to 4 + 1 for K and 9 + 1 for b; h = 0.25 and then 0.5",
        lambda: (smoothness(K, b, 0.25), smoothness(K, b, 0.5)),
        (30.0, 15.0),
    )
    checks.close(
        "five layers with random weights", lambda: smoothness(random_K, random_b, 0.1), right
    )
    checks.close(
        "two layers and then a single one, which is smooth",
        lambda: (smoothness(K[:2], b[:2], 0.25), smoothness(K[:1], b[:1], 0.25)),
        (26.0, 0.0),
    )

    def unchanged():
        mine = random_K.clone(), random_b.clone()
        return smoothness(*mine, 0.1), mine

    checks.close(
        "the sum and then K and b, which are left unchanged",
        unchanged,
        (right, (random_K, random_b)),
    )

    def gradient(of):
        A, c = random_K.clone().requires_grad_(), random_b.clone().requires_grad_()
        return torch.autograd.grad(of(A, c, 0.1), (A, c))

    slopes = gradient(stable.smoothness)
    checks.close("the gradients with respect to K and b", lambda: gradient(smoothness), slopes)
check.score(exercise)

# %%
my_smoothness = check.yours(exercise)

# %% [markdown]
# The classifier of *images* has smoothness as well, in space: neighbouring pixels should have similar weights.
#
# > **Slip.** The slide replaces $y^\top w$ by $\operatorname{vol}(\Omega)\int_\Omega y(x)\,w(x)\,dx$. A sum over pixels of the volume $\Delta V$ approximates the integral
# > *divided* by this volume, $\sum_i y_i w_i \approx \frac{1}{\Delta V}\int_\Omega y\,w\,dx$: it grows with the number of pixels.

# %%
for pixels in (8, 16, 32):
    x = (torch.arange(pixels, dtype=torch.float64) + 0.5) * 2 / pixels  # midpoints of the domain [0, 2]
    y_x, w_x, volume = torch.sin(x), torch.exp(-x), 2 / pixels
    integral = (1 - np.exp(-2) * (np.sin(2) + np.cos(2))) / 2  # of sin(x) exp(-x) from 0 to 2
    print(f"{pixels:2d} pixels: sum {float(y_x @ w_x):.3f}, integral / pixel {integral / volume:.3f}, slide: 2 * integral {2 * integral:.3f}")


# %% [markdown]
# ## 9. Multilevel learning
#
# A deep network is expensive to train from nothing. If its weights are samples of a function of time, then
# a *shallow* network is a coarse sampling of the same function: train 4 layers first, then read off the weights of 8, then of 16 ...
# The coarse weights belong to the times $0, h, \dots, (N-1)h$, the fine ones to $0, h/2, h, \dots$: half of them are known, the others are interpolated.

# %% [markdown]
# ### Exercise 3.8 - Prolongation (3 points, ~6 min)
# Return the weights of a network with twice the layers: linear interpolation in time.
# After the last sample there is nothing to interpolate; hold its value.
# Write it with PyTorch; nothing from `odenets` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# Write down the fine sequence for three coarse values a, b, c. How many entries does it have?</details>
# <details><summary>Hint 2 - the idea</summary>
# a, (a+b)/2, b, (b+c)/2, c, c. The even places are copies, the odd ones are means of neighbours, and c is its own last neighbour.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Make an empty tensor of twice the length; <code>fine[0::2] = theta</code>, <code>fine[1:-1:2]</code> gets the means of
# <code>theta[:-1]</code> and <code>theta[1:]</code>, and <code>fine[-1] = theta[-1]</code>. Or stack the copies and the means and flatten.</details>

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

# %%
my_prolong = check.yours(exercise)

# %% [markdown]
# What does a prolongation do to the sum (11)? We sample the smooth $K(t)$ of section 7 with four layers and prolong these weights
# again and again; beside them stands the same function, sampled with as many layers from the start.

# %%
K, b = sampled(4), torch.zeros(4)
for N in (4, 8, 16, 32, 64):
    anew = my_smoothness(sampled(N), torch.zeros(N), T / N)
    print(f"{N:2d} layers: R = {my_smoothness(K, b, T / N):.3f} prolonged, {anew:.3f} sampled anew")
    K, b = my_prolong(K), my_prolong(b)

# %% [markdown]
# **Reading the numbers.** Prolonged weights keep the value of (11): where there was one difference there are two of half the size, over half the step.
# The sampled ones approach the integral. A finer network starts with weights that are as smooth as those that it was handed.

# %% [markdown]
# Now everything together. On every level we minimise
#
# $$\frac1s S(Y_N W + e_s\mu^\top, C) + \alpha R(K, b) + \frac{\alpha_W}{2} \|W\|_F^2, \tag{12}$$
#
# with the cross-entropy $S$. For given $K, b$ the best $W, \mu$ solve a small *convex* problem; Newton's method finds them in a few steps.
# What remains is a function of $K, b$ alone, and the envelope theorem says that its gradient is the partial one: the derivative of the best $W, \mu$ drops out.
# `multilevel.train_level` minimises it by L-BFGS; `net.refined()` prolongs the weights and halves the step.
#
# Three data sets (notebook 01 has met the first), with the sizes of the talk:
#
# | data | training + validation points | T | features of ResNet, antisymmetric, Hamiltonian | $\alpha$ |
# |---|---|---|---|---|
# | ellipses | 1000 + 200 | 20 | 2, 2, 2 | $10^{-3}$ |
# | swiss roll | 513 + 513 | 20 | 4, 4, 2 | $5\cdot10^{-3}$ |
# | peaks, 5 classes | 4000 + 1000 | 5 | 8, 8, 2 | $5\cdot10^{-6}$ |
#
# The swiss roll starts with 16 layers, as the authors' code does, the others with 4.

# %% tags=["nbval-ignore-output"]
last = scale.pick(quick=8, lesson=64, full=1024)
iterations = scale.pick(
    quick={"ellipses": 4, "swiss roll": 4, "peaks": 2},
    lesson={"ellipses": 100, "swiss roll": 150, "peaks": 25},
    full={"ellipses": 300, "swiss roll": 300, "peaks": 60},
)
points = {name: stability.load(problem) for name, problem in stability.PROBLEMS.items()}
levels = {}
jobs = [(data, net) for data in points for net in stable.NETS]
for data, net in training.progress(jobs, "training"):
    problem = stability.PROBLEMS[data]
    levels[data, net] = list(stability.train(problem, net, max(last, problem.first), iterations[data], points[data]))

print(f"{'validation accuracy in %':26s}", *[f"{n:>6d}" for n in (4, 8, 16, 32, 64)], "layers")
for (data, net), trained in levels.items():
    found = {t.level.layers: f"{100 * t.level.val_accuracy[-1]:6.1f}" for t in trained}
    print(f"{data + ', ' + net:26s}", *[found.get(n, "     -") for n in (4, 8, 16, 32, 64)])

# %% tags=["nbval-ignore-output"]
reached = {key: [100 * t.level.val_accuracy[-1] for t in trained] for key, trained in levels.items()}
if scale.current() != "quick":
    print("ellipses, Hamiltonian, deepest level: at least 98.5 %:", reached["ellipses", "Hamiltonian"][-1] >= 98.5)
    print("swiss roll, Hamiltonian, every level: at least 99 %:  ", min(reached["swiss roll", "Hamiltonian"]) >= 99)
    print("peaks, antisymmetric, deepest level: at least 98.5 %: ", reached["peaks", "antisymmetric"][-1] >= 98.5)
rises = [max(np.diff(t.level.objective), default=0.0) for trained in levels.values() for t in trained]
print("largest rise of the objective within a level:", max(0.0, max(rises)))


# %% [markdown]
# How did the three networks solve the tasks? The pictures show the input, the features $Y_N$ of the deepest level, and the class of each point of the plane.
# For two classes the features are turned such that the classifier's line is vertical; for five classes, and in the other direction, we look along the directions of largest spread.

# %%
def view(trained, Y):
    """Two coordinates of the features: across the separating line and along it."""
    W, mu = trained.classifier.W, trained.classifier.mu
    centred = Y - Y.mean(dim=0)
    if W.shape[1] > 1:
        return centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
    normal = W[:, 0] / W.norm()
    along = centred - (centred @ normal)[:, None] * normal
    direction = torch.linalg.svd(along, full_matrices=False).Vh[0]
    return torch.stack([Y @ normal + mu[0] / W.norm(), along @ direction], dim=1)


def portrait(data):
    d, problem = points[data], stability.PROBLEMS[data]
    some = slice(None, None, max(1, len(d.points) // 500))  # enough for a picture
    _, axes = plt.subplots(2, 4, figsize=(10.5, 5.6))
    plots.scatter(axes[0, 0], d.points[some], d.labels[some], s=5, alpha=1)
    axes[0, 0].set(title=f"{data}: the input", xlabel="$y_1$", ylabel="$y_2$", xlim=problem.box[:2], ylim=problem.box[2:], aspect="equal")
    for column, net in enumerate(stable.NETS, 1):
        trained = levels[data, net][-1]
        with torch.no_grad():
            features = view(trained, trained.net(d.points))[some]
        ax = axes[0, column]
        plots.scatter(ax, features, d.labels[some], s=5, alpha=1)
        ax.set(title=f"{net}, {trained.level.layers} layers", xlabel="across the line" if d.n_classes == 2 else "main direction", ylabel="along the line" if d.n_classes == 2 else "second direction")
        if d.n_classes == 2:
            ax.axvline(0, color="k", ls="--", lw=1)
        def predict(X):
            return trained.classifier.predict(trained.net(X.double()))
        plots.decision_regions(axes[1, column], predict, d.val_points[::2], d.val_labels[::2], box=problem.box, n=scale.pick(quick=30, lesson=120, full=200), s=5, alpha=1)
        axes[1, column].set(title=f"{100 * trained.level.val_accuracy[-1]:.1f} % right", xlabel="$y_1$", ylabel="$y_2$")
        layers = [t.level.layers for t in levels[data, net]]
        axes[1, 0].semilogx(layers, reached[data, net], "o-", color=plots.COLOURS[net.lower()], label=net, base=2)
    lowest = min(min(reached[data, net]) for net in stable.NETS)
    axes[1, 0].set(title="validation accuracy", xlabel="layers", ylabel="%", ylim=(lowest - 0.6 * (101 - lowest), 101))
    axes[1, 0].set_xticks(layers, layers)
    axes[1, 0].legend(loc="lower right", fontsize=8)
    plt.show()


portrait("ellipses")

# %% [markdown]
# *Figure: ellipses. Top: the input, and the propagated features of the deepest networks with the line of the classifier (dashed).
# Bottom: validation accuracy of each level, and, for the deepest networks, the share of the validation points that is right and the class of each point of the plane with half of the validation points on top.*
#
# **Reading the picture.** A flow of the plane can neither tear nor cross: a ring cannot leave the points it surrounds.
# The two first-order networks have only two features here and must cheat, with large steps or thin bridges; their accuracies go up and down from level to level.
# The Hamiltonian network has the partners $z$, four dimensions in all, and there the inner points can be lifted out of the ring.

# %%
portrait("swiss roll")

# %% [markdown]
# *Figure: swiss roll; panels as before.*
#
# **Reading the picture.** The hardest of the three: two arms, wound twice around each other.
# The Hamiltonian network, with two features and their two partners, takes it apart at every level;
# the first-order networks have four features and need more layers, or never get all points right.

# %%
portrait("peaks")

# %% [markdown]
# *Figure: peaks, five classes by height; panels as before.*
#
# **Reading the picture.** Eight features make it easy for the two first-order networks, with few layers already.
# The Hamiltonian network works with two features instead of eight; it needs the depth to catch up.

# %%
fig, (top, bottom) = plt.subplots(2, 1, figsize=(8.5, 4.6), sharex=True)
for net in stable.NETS:
    start = 0
    for k, trained in enumerate(levels["ellipses", net]):
        level = trained.level
        steps = start + np.arange(len(level.objective))
        colour, label = plots.COLOURS[net.lower()], net if k == 0 else None
        top.semilogy(steps, level.objective, color=colour, label=label)
        bottom.plot(steps, 100 * np.array(level.val_accuracy), color=colour, lw=1)
        start += iterations["ellipses"] + 1
        if net == "ResNet":
            for ax in (top, bottom):
                ax.axvline(start, color="0.7", lw=0.8, ls=":")
            bottom.annotate(f"{level.layers} layers", (steps[0] + 3, 47), fontsize=9)
top.set(ylabel="objective (12)")
top.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], [0.02, 0.05, 0.1, 0.2, 0.5])
top.minorticks_off()
top.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=3)
bottom.set(xlabel="iteration, all levels one after the other", ylabel="validation accuracy, %", ylim=(44, 101))
plt.show()

# %% [markdown]
# *Figure: ellipses; objective and validation accuracy against the iterations of L-BFGS over all levels; the dotted lines are prolongations.*
#
# **Reading the picture.** Within a level the objective only falls. At a prolongation it jumps up again:
# the weights are the same function of time, but the fine network is not the same map as the coarse one.
# With $T = 20$ even 32 layers take steps of length 0.6. Is it really the step? The next cell compares the jumps
# with those for the peaks, where $T = 5$.

# %% tags=["nbval-ignore-output"]
for data in ("ellipses", "peaks"):
    print(f"{data}, antisymmetric: objective before and after each prolongation")
    for coarse, fine in zip(levels[data, "antisymmetric"], levels[data, "antisymmetric"][1:]):
        n, before, after = coarse.level.layers, coarse.level.objective[-1], fine.level.objective[0]
        print(f"  {n:3d} -> {2 * n:3d} layers, step {coarse.net.h:.2f} -> {fine.net.h:.2f}: {before:.3f} -> {after:.3f}")

# %% [markdown]
# **Reading the numbers.** For the peaks the jump gets smaller from level to level, because the steps resolve the differential equation
# better and better; on the deeper levels the prolonged weights are a good start. For the ellipses the steps are four times as long, and little is handed on but the weights' size and smoothness.
# Multilevel learning pays where a deeper network is nearly the same map.

# %% [markdown]
# ## 10. Images: 4, 8 and 16 layers of convolutions
#
# For images the product $Y K$ becomes a convolution with zero padding; its transpose is the convolution with swapped channels and the kernel turned by 180 degrees.
# With it all formulas above stay as they are. The talk's network for MNIST: an opening convolution to 6 channels, so that $n = 6 \cdot 28^2 = 4704$,
# stable layers of $3\times3$ convolutions with $T = 6$ and $\alpha = 0.005$, and a linear classifier.
# Here we take the 8 x 8 digits of scikit-learn, $n = 384$, and all weights learn together by Adam, because Newton's method does not reach that far.

# %% tags=["nbval-ignore-output"]
dataset = scale.pick(quick="digits", lesson="digits", full="mnist")
epochs = scale.pick(quick=1, lesson=6, full=12)
train_part, val_part = stability.split_images(dataset, size=8)[:2]
size, subset = train_part[0].shape[-1], scale.pick(quick=200, lesson=None, full=None)
device = training.pick_device() if scale.current() == "full" else torch.device("cpu")
train_part, val_part = ([x[:subset].to(device) for x in part] for part in (train_part, val_part))
print(f"{dataset}, errors in % (training / validation)", *[f"{n:>12d}" for n in (4, 8, 16)], "layers")
handed_on = {}
for name in stable.NETS:
    net, row = stability.initial_image_net(name, size).to(device), []
    handed_on[name] = [100 * multilevel.error_rate(net, *val_part)]
    for level in range(3):
        if level:
            net.body = net.body.refined()
            handed_on[name].append(100 * multilevel.error_rate(net, *val_part))
        multilevel.train_images(net, *train_part, stability.IMAGE_ALPHA, epochs, lr=scale.pick(quick=1e-2, lesson=1e-2, full=5e-3))
        errors = [100 * multilevel.error_rate(net, *part) for part in (train_part, val_part)]
        row.append("{:.1f} / {:.1f}".format(*errors))
    print(f"{name:41s}", *[f"{entry:>12s}" for entry in row])
print("validation errors in % before the training of each level: untrained, prolonged to 8, prolonged to 16 layers")
for name, errors in handed_on.items():
    print(f"{name:41s}", *[f"{error:12.1f}" for error in errors])

# %% [markdown]
# **Reading the tables.** All three learn the training digits; on so few validation images the differences between them are a handful of digits,
# so do not rank them by this table. It shows that the stable networks are not worse on images.
# The lower table says what a prolongation hands on before any further training. From 8 to 16 layers nearly all of what was learned survives.
# From 4 to 8 layers the ResNet keeps it, but the other two lose much of it; the reason is probably that of section 9, steps that are too long for the deeper network to be nearly the same map.

# %% [markdown]
# ## 11. Turn the knob: 1024 layers, and MNIST
#
# **Full size.** `scale.use("full")` in the set-up cell, or `ODENETS_SCALE=full`, trains the toy data to 1024 layers and takes MNIST
# (that is long for a notebook). The same experiments run from the command line; they can be stopped and started again,
# and they write one line of JSON per level:
#
#     python -m odenets.studies.stability toy --data ellipses "swiss roll" --iterations 300 --out results
#     python -m odenets.studies.stability toy --data peaks --iterations 60 --out results
#     python -m odenets.studies.stability images --dataset mnist --device cuda --epochs 12 --seeds 0 1 2 --out results
#
# The package keeps what these commands gave us: the toy data on CPU cores, MNIST on one H100 GPU that other runs shared,
# so that not every seed got to its end. The next cells only show it.

# %%
toy_rows = stability.recorded("toy")
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4))
for ax, data in zip(axes, stability.PROBLEMS):
    for net in stable.NETS:
        rows = [row for row in toy_rows if (row["data"], row["net"]) == (data, net)]
        ax.semilogx([row["layers"] for row in rows], [100 * row["val_accuracy"] for row in rows], "o-", base=2, color=plots.COLOURS[net.lower()], label=net)
    ticks = sorted({row["layers"] for row in toy_rows if row["data"] == data})[::2]
    ax.set(title=data, xlabel="layers", ylabel="validation accuracy, %")
    ax.set_xticks(ticks, ticks)
axes[-1].legend(loc="lower right")
plt.show()
depth = max(row["layers"] for row in toy_rows)
for row in toy_rows:
    if row["layers"] in (64, depth):
        print(f"{row['data']:10s} {row['net']:13s} {row['layers']:4d} layers: training {100 * row['train_accuracy']:.1f} %, validation {100 * row['val_accuracy']:.1f} %")

# %% [markdown]
# *Figure: validation accuracy against the number of layers at full scale, one training per network and data set.*
#
# **Reading the picture.** One run each, so a zigzag of a per cent or two is luck.
# *Ellipses:* with few layers the ResNet's long steps can jump, and jumping takes a ring off the points inside.
# From 32 layers on its steps have become a flow of the plane, and it stays behind; more layers do not help.
# The Hamiltonian network has the dimensions that the task needs, and is the best from 16 layers to the deepest level.
# *Swiss roll:* the Hamiltonian network gets it right at every depth. *Peaks:* all three agree from 32 layers on.
# A depth can be trusted when going deeper does not change the answer.

# %%
image_rows = stability.recorded("images")
print("MNIST, errors in %: training / validation / test, mean over the seeds (spread of the test error)")
for net in stable.NETS:
    for layers in (4, 8, 16):
        rows = [row for row in image_rows if (row["net"], row["layers"]) == (net, layers)]
        errors = 100 * np.array([[row[f"{part}_error"] for part in ("train", "val", "test")] for row in rows])
        means = " / ".join(f"{e:.2f}" for e in errors.mean(axis=0))
        print(f"{net:13s} {layers:2d} layers, seeds {sorted(row['seed'] for row in rows)}: {means}  ({errors[:, 2].min():.2f} to {errors[:, 2].max():.2f})")

# %% [markdown]
# **Reading the table.** Six channels and one linear classifier are a small network, and the training errors are near zero: what is left is generalisation.
# In these few runs the Hamiltonian network makes the fewest errors on new digits at each depth. Depth itself matters little for all three: 4 layers are nearly as good as 16.

# %% [markdown] nbgrader={"cell_type": "markdown", "checksum": "6e77485f565239f36ea76093492009b9", "grade": false, "grade_id": "question_near_zero", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": true}
# ### Question 3.9 - Why near zero? (2 points, ~6 min)
# "$\operatorname{Re}\lambda \approx 0$ for all eigenvalues of the Jacobian, in all layers": explain why from both sides.
# In four to six sentences: what goes wrong for $\operatorname{Re}\lambda \gg 0$, what goes wrong for $\operatorname{Re}\lambda \ll 0$,
# each time for the *signal* on its way forth and for the *gradient* on its way back; and why $\operatorname{Re}\lambda = 0$ exactly is not good enough for Euler's method.
#

# %% [markdown]
# *Your answer to question 3.9: double-click here and write.*

# %% [markdown]
# ## Recap
#
# * The eigenvalues of $\operatorname{diag}(\sigma')K^\top$ decide, not those of $K$; for antisymmetric $K$ both lie on the imaginary axis.
# * Euler's method is stable for $h \le -2\operatorname{Re}\lambda/|\lambda|^2$, and for no step on the imaginary axis.
# * The *equations* of antisymmetric, Hamiltonian and leapfrog networks are stable by construction; the networks need a step that is short enough:
#   Verlet and leapfrog $h\omega \le 2$, Euler's method some damping, $h \le \gamma/(\gamma^2/4 + \omega^2)$.
# * The Verlet step can be inverted exactly and keeps the volume; it is not symplectic.
# * Weights that are smooth functions of time can be prolonged from 4 layers to 8, 16, ...; the classifier is a convex problem inside.
# * Singular values near one and accuracies that do not depend on depth mark a depth that can be trusted.
#
# **Left out:** better integrators for the same layers (notebook 04), and what the exact inverse is good for:
# training without stored layers (05) and invertible networks (07, 08).
#
# **Read on:** Haber and Ruthotto 2017, sections 3 to 6; Chang et al. 2018 for reversible networks on images;
# E. Hairer, C. Lubich and G. Wanner, *Geometric Numerical Integration*, Springer 2006, chapters I and VI, for symplectic methods.
#
# **Next:** [04 - Better integrators](../04_continuous_in_depth/04_continuous_in_depth.ipynb)
