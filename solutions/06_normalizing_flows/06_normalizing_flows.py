# %% [markdown]
# # 06 - Moving probability
#
# **The question.** If a network moves points, what does it do to the density of the points,
# and why is that cheaper to know in continuous time?
#
# **Time** about 100 minutes - **points** 24 - **you need** the change of variables in an integral,
# gradients and Jacobians in PyTorch, notebook 05 up to the augmented ODE.
#
# After this notebook you can
#
# 1. *compute* the density behind an invertible layer, and make a planar layer invertible,
# 2. *prove* the instantaneous change of variables and *check* it numerically,
# 3. *estimate* a trace without bias by a single backward pass,
# 4. *evaluate* the log-density of a continuous normalizing flow,
# 5. *train* flows by density matching and by maximum likelihood, and *tell* when one cheats.
#
# **Sources.** R. Chen et al., *Neural ordinary differential equations*, NeurIPS 2018,
# [arXiv 1806.07366](https://arxiv.org/abs/1806.07366): section 4, theorem 1, figures 4 and 5.
# D. Rezende and S. Mohamed, *Variational inference with normalizing flows*, ICML 2015,
# [arXiv 1505.05770](https://arxiv.org/abs/1505.05770): planar flows (equations 10 to 12, appendix A)
# and the potentials of table 1.
# W. Grathwohl et al., *FFJORD*, ICLR 2019, [arXiv 1810.01367](https://arxiv.org/abs/1810.01367):
# the trace estimator.

# %%
import importlib.util
import math
import time
import matplotlib.pyplot as plt
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+REPOSITORY#subdirectory=course")
from odenets import check, plots, scale, solvers, training
from odenets.data import toy
from odenets.nets import flows
from odenets.studies import flows as study
scale.use("lesson")
plots.style()
training.set_seed(0)

# %% [markdown]
# ## 1. One layer moves probability
#
# A *normalizing flow* starts with points $z$ of a simple density $p_0$, the *base*,
# and pushes them through an invertible map $x = T(z)$.
# Probability is neither made nor lost: what was in a small cell around $z$ is in the image of
# this cell. Where $T$ makes the cell larger, the density falls by the same factor,
#
# $$\log p(x) = \log p_0(z) - \log\left|\det \frac{\partial T}{\partial z}\right|, \qquad x = T(z). \tag{1}$$
#
# For a general layer in $d$ dimensions the determinant costs $O(d^3)$.
# Rezende and Mohamed take a layer for which it costs $O(d)$, the **planar** layer
#
# $$T(z) = z + \hat u \tanh(w\cdot z + b), \qquad
#   \det \frac{\partial T}{\partial z} = 1 + (w\cdot\hat u)\,\tanh'(w\cdot z + b). \tag{2}$$
#
# It pushes along one direction $\hat u$, by an amount that depends on one number, $w\cdot z$.
# The determinant is that of the identity plus a matrix of rank one.
#
# Is it invertible? Only the coordinate $a = w\cdot z$ matters: it becomes
# $a + (w\cdot\hat u)\tanh(a + b)$. As $0 < \tanh' \le 1$, this grows with $a$ whenever $w\cdot\hat u > -1$.
# A free parameter $u$ is bent so that this always holds:
#
# $$\hat u = u + \bigl(m(w\cdot u) - w\cdot u\bigr)\frac{w}{|w|^2}, \qquad m(x) = -1 + \log(1 + e^x). \tag{3}$$
#
# *Predict first:* what would happen to a sheet of grid paper if $u$ were used as it is, with $w\cdot u < -1$?

# %%
w, b = torch.tensor([1.4, 0.7]), torch.tensor(0.2)
u = torch.tensor([-2.4, 0.9])
print(f"w.u = {w @ u:.2f}, w.u-hat = {w @ flows.invertible_u(w, u):.2f}")

lines = torch.linspace(-3, 3, 61)
sheet = torch.stack(torch.meshgrid(lines, lines, indexing="ij"), dim=-1)
folded = sheet + torch.tanh(sheet @ w + b)[..., None] * u
bent, _ = flows.planar_flow(sheet, w.expand(61, 2), u.expand(61, 2), b.expand(61))

fig, axes = plt.subplots(1, 3, figsize=(11, 3.7), sharex=True, sharey=True)
for ax, points, title in zip(axes, (sheet, folded, bent), ("before", "u as it is: it folds", "u-hat: it only bends")):
    for family in (points[::3], points.transpose(0, 1)[::3]):
        for line in family:
            ax.plot(*line.T, color=plots.COLOURS["nf"], lw=0.7)
    ax.set(title=title, xlabel="$x_1$", aspect="equal")
    ax.grid(False)
axes[0].set_ylabel("$x_2$")
plt.show()

# %% [markdown]
# *Figure: a sheet of grid paper before and after one planar layer, with $u$ as it is and with $\hat u$.*
#
# **Reading the picture.** In the middle panel the sheet lies three times over itself around a diagonal:
# such a point has three pre-images, and formula (1) does not hold.
# With $\hat u$ the sheet is squeezed towards the same diagonal, but no line crosses another of its family.

# %% [markdown]
# ### Exercise 6.1 - A planar layer (4 points, ~12 min)
# Return the moved samples (2) and the logarithm of the absolute determinant, always with $\hat u$ of (3).
# The derivative is $\tanh' = 1 - \tanh^2$. Everything of `torch` is allowed, nothing of `flows`.
#
# <details><summary>Hint 1 - a nudge</summary>
# Samples are rows: <code>z @ w</code> has one number per sample. Which parts of (2) depend on the sample?</details>
# <details><summary>Hint 2 - the idea</summary>
# Compute <code>u_hat</code> once. Let <code>h = tanh(z @ w + b)</code>, shape <code>(s,)</code>;
# the displacement is the outer product of <code>h</code> and <code>u_hat</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>dot = w @ u</code>; <code>u_hat = u + (softplus(dot) - 1 - dot) * w / (w @ w)</code>;
# return <code>z + h[:, None] * u_hat</code> and <code>log(1 + (w @ u_hat) * (1 - h ** 2))</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "planar_flow", "locked": false, "schema_version": 3, "solution": true, "task": false}
def planar_flow(z, w, u, b):
    """Push samples through one planar layer, equations (2) and (3), with tanh.

    Args:
        z: samples, `(s, d)`, one a row, in any number d of dimensions.
        w: direction, `(d,)`, not zero.   u: free displacement, `(d,)`; it is always
            replaced by u-hat.   b: offset, a tensor without axes or a float.
            All four are left unchanged.

    Returns:
        `(z_new, log_det)`: the moved samples `(s, d)` and log |det dT/dz| for each of
        them, `(s,)`, both with gradients with respect to z, w, u and b.
    """
    ### BEGIN SOLUTION
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_planar_flow", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "planar_flow",
    points=4,
    answer=lambda: planar_flow,
    package=(flows.planar_flow, flows.invertible_u, flows._planar_layer, flows.PlanarFlow),
    further=3,
)
def exercise(checks):
    def layer(d, seed, dtype=torch.float64):  # z, w, u, b at random; u has to be bent
        draw = torch.Generator().manual_seed(seed)
        z, w, u, b = (torch.randn(shape, generator=draw, dtype=torch.float64) for shape in ((6, d), (d,), (d,), ()))
        return [part.to(dtype) for part in (z, w, u - 2 * w, b)]

    def moved(z, w, u, b):  # one sample, (2) and (3) as they stand
        dot = sum(w * u)
        u_hat = u + (torch.log(1 + torch.exp(dot)) - 1 - dot) * w / sum(w * w)
        return z + u_hat * torch.tanh(sum(w * z) + b)

    def by_jacobians(z, w, u, b):  # log |det| from the whole Jacobian of each sample
        jacobian = torch.func.jacrev(moved)
        return torch.stack([torch.linalg.slogdet(jacobian(row, w, u, b))[1] for row in z])

    def reference(z, w, u, b):
        return [torch.stack([moved(row, w, u, b) for row in z]), by_jacobians(z, w, u, b)]

    def slopes(function, *at):  # the gradients of a function that gives a number
        at = [part.clone().requires_grad_() for part in at]
        return list(torch.autograd.grad(function(*at), at, allow_unused=True))

    def both(parts):  # a number of both results, with a weight for each entry
        z_new, log_det = parts
        weights = torch.linspace(1, 2, z_new.numel(), dtype=z_new.dtype)
        return (weights.view(z_new.shape) * z_new).sum() + (weights[: len(log_det)] * log_det).sum()

    first, second, five = layer(3, 61), layer(4, 62), layer(5, 64)
    checks.close(
        "six samples in three dimensions, six in four: where they go",
        lambda: [planar_flow(*first)[0], planar_flow(*second)[0]],
        [reference(*first)[0], reference(*second)[0]],
    )
    checks.close(
        "the same: log |det| is that of autograd's Jacobians",
        lambda: [planar_flow(*first)[1], planar_flow(*second)[1]],
        [reference(*first)[1], reference(*second)[1]],
    )
    axis = torch.tensor([1.0, 0.0], dtype=torch.float64)
    m = math.log(2) - 1
    checks.close(
        "one sample z = w = (1, 0), u = (0, 2), and the offset a float: b = 0 and b = -1",
        lambda: [planar_flow(axis[None], axis, 2 * axis.flip(0), 0.0), planar_flow(axis[None], axis, 2 * axis.flip(0), -1.0)],
        [
            [
                torch.tensor([[1 + m * math.tanh(1), 2 * math.tanh(1)]], dtype=torch.float64),
                torch.tensor([math.log(1 + m * (1 - math.tanh(1) ** 2))], dtype=torch.float64),
            ],
            [axis[None], torch.tensor([math.log(1 + m)], dtype=torch.float64)],
        ],
    )
    steep, back = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64), torch.tensor([-3.0, 1.0, 0.5], dtype=torch.float64)
    line = torch.linspace(-3, 3, 121, dtype=torch.float64)[:, None] * steep / 5**0.5
    ends = [x + (math.log(1 + math.exp(-5)) - 1) * math.tanh(x + 0.3) for x in (-3 * 5**0.5, 3 * 5**0.5)]
    checks.close(
        "w.u = -5: along w the points keep their order; w.z of the first and the last",
        lambda: [
            after := planar_flow(line, steep, back, torch.tensor(0.3, dtype=torch.float64))[0] @ steep,
            bool((after.diff() > 0).all()), after[0], after[-1],
        ][1:],
        [True, *ends],
    )
    z, w, _, b = first
    checks.close(
        "u is always replaced by u-hat, also where w.u > -1: u = 3 w and u = -w / (2 |w|^2)",
        lambda: [planar_flow(z, w, 3 * w, b), planar_flow(z, w, -w / (2 * w @ w), b)],
        [reference(z, w, 3 * w, b), reference(z, w, -w / (2 * w @ w), b)],
    )
    checks.close(
        "the gradients of both results with respect to z, w, u and b",
        lambda: slopes(lambda *parts: both(planar_flow(*parts)), *five),
        slopes(lambda *parts: both(reference(*parts)), *five),
        rtol=1e-7,
    )
    checks.close(
        "one sample in five dimensions in float32, and the four tensors: they are left unchanged",
        lambda: [mine := [five[0][:1].float(), *layer(5, 64, torch.float32)[1:]], planar_flow(*mine), mine][1:],
        [reference(five[0][:1].float(), *layer(5, 64, torch.float32)[1:]), [five[0][:1].float(), *layer(5, 64, torch.float32)[1:]]],
        atol=1e-5,
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "seven dimensions in float32",
        lambda: planar_flow(*layer(7, 65, torch.float32)),
        reference(*layer(7, 65, torch.float32)),
        atol=1e-5,
    )
    checks.close(
        "one dimension, arguments by name",
        lambda: planar_flow(**dict(zip("zwub", layer(1, 63)))),
        reference(*layer(1, 63)),
    )
    checks.close(
        "samples that are not contiguous in memory, and what they are afterwards",
        lambda: [mine := z.T.contiguous().T, planar_flow(mine, w, 2 * w, b), mine][1:],
        [reference(z, w, 2 * w, b), z],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_planar_flow = check.yours(exercise)

draw = torch.Generator().manual_seed(12)
layers = [[torch.randn(shape, generator=draw, dtype=torch.float64) for shape in ((2,), (2,), ())] for _ in range(6)]
z = torch.randn(4, 2, generator=draw, dtype=torch.float64)


def six_layers(z):  # the moved samples, and the sum of the log-determinants on the way
    total = 0.0
    for w, u, b in layers:
        z, log_det = my_planar_flow(z, w, 2 * u, b)
        total = total + log_det
    return z, total


jacobians = torch.stack([torch.autograd.functional.jacobian(lambda y: six_layers(y[None])[0][0], row) for row in z])
print("sum of the log-determinants of six layers:", *(f"{v:9.6f}" for v in six_layers(z)[1]))
print("log |det| of all six in one:              ", *(f"{v:9.6f}" for v in torch.linalg.slogdet(jacobians)[1]))

# %% [markdown]
# **A row of layers.** Your layer, six times with other weights: a determinant of a product is the product of determinants,
# so the logarithms add up, each read at the place where the sample has come to. The rows agree, and only the second needed a Jacobian.
# This is what makes deep flows affordable, and their densities exact.

# %% [markdown]
# ## 2. From layers to a flow: the trace takes the place of the determinant
#
# Now make the layers thin: $T_\epsilon(y) = y + \epsilon f(t, y) + O(\epsilon^2)$, one step along the ODE
#
# $$\dot y(t) = f(t, y(t)). \tag{4}$$
#
# **Theorem** (instantaneous change of variables). Let $f$ be Lipschitz in $y$, continuous in $t$, and differentiable.
# Then along every solution of (4)
#
# $$\frac{d}{dt} \log p(y(t)) = -\operatorname{tr}\frac{\partial f}{\partial y}(t, y(t)). \tag{5}$$
#
# **Proof.** By (1), $\log p(y(t + \epsilon)) - \log p(y(t)) = -\log \det \partial_y T_\epsilon$.
# For small $\epsilon$ this determinant is near one, hence positive.
# Divide by $\epsilon$ and let $\epsilon \to 0^+$. At $\epsilon = 0$ the map is the identity, its determinant is one and the logarithm zero,
# so that the limit is a derivative:
#
# $$\frac{d}{dt}\log p = -\left.\frac{\partial}{\partial\epsilon} \log\det \partial_y T_\epsilon\right|_{\epsilon=0}
#   = -\left.\frac{1}{\det \partial_y T_\epsilon}\,\frac{\partial}{\partial\epsilon}\det\partial_y T_\epsilon\right|_{\epsilon=0}. $$
#
# The factor in front is $1/1$. Jacobi's formula $\frac{d}{d\epsilon}\det A = \operatorname{tr}(\operatorname{adj}(A)\, \frac{dA}{d\epsilon})$ with
# $A = \partial_y T_\epsilon = I + \epsilon\,\partial_y f + O(\epsilon^2)$ and $\operatorname{adj}(I) = I$ leaves
# $-\operatorname{tr}(I \cdot \partial_y f)$. $\square$
#
# <details><summary>If you compare with lecture slides that prove this theorem</summary>
# Some in use have the right theorem, with slips on the way: the Lipschitz condition is needed in $y$ (not in $t$);
# the second factor of the product after l'Hôpital's rule is <i>one over</i> the determinant;
# $-\lim \operatorname{Adj} = I$ should read $\lim \operatorname{Adj} = I$, with the minus in front of the trace;
# the last line loses the derivative, $\operatorname{tr}(f)$ for $\operatorname{tr}(\partial f/\partial y)$;
# $\log p(y(y))$ means $\log p(y(t))$; and the density of a normalizing flow, $q = \log p_0 - \dots$, is $\log q$.</details>
#
# Two things have become simpler. The trace is *linear* in the Jacobian, which Section 3 uses.
# And $f$ need not be invertible in any way: solutions of (4) do not cross, so the flow can always be undone by solving backwards.

# %% [markdown]
# ### Exercise 6.2 - The exact divergence (3 points, ~10 min)
# $\operatorname{tr}(\partial f/\partial z) = \sum_i \partial f_i/\partial z_i$ is called the *divergence* of the field.
# Compute it for every sample by automatic differentiation.
# Later it stands inside a solver that may have switched gradients off, and it is differentiated again in training.
# Everything of `torch` is allowed, nothing of `flows`.
#
# <details><summary>Hint 1 - a nudge</summary>
# The value of one sample depends on that sample only: the gradient of <code>f(z)[:, i].sum()</code>
# holds one row of the Jacobian for each sample.</details>
# <details><summary>Hint 2 - the idea</summary>
# Work on a copy of <code>z</code> that requires gradients, inside <code>torch.enable_grad()</code>.
# One call of <code>torch.autograd.grad</code> for each dimension; from its result only column <code>i</code> is needed.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>z = z if z.requires_grad else z.detach().requires_grad_()</code>, <code>value = f(z)</code>, then sum over <code>i</code> the
# <code>torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i]</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "divergence", "locked": false, "schema_version": 3, "solution": true, "task": false}
def divergence(f, z):
    """Return the exact trace of the Jacobian of a field, for each sample.

    Args:
        f: field without time, `f(z)` is `(s, d)`; each row depends on the same row of z
            only.
        z: samples, `(s, d)`, in any number d of dimensions; left unchanged, also in
            whether it requires gradients.

    Returns:
        The divergence, `(s,)`. It carries gradients with respect to z (where z requires
        them) and to whatever f uses, but puts nothing into their `.grad`; its value is
        right also under `torch.no_grad()`.
    """
    ### BEGIN SOLUTION
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_divergence", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "divergence",
    points=3,
    answer=lambda: divergence,
    package=(flows.divergence, flows.hutchinson_divergence),
    further=4,
)
def exercise(checks):
    draw = torch.Generator().manual_seed(64)
    z, wide, A, B = (torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in ((5, 3), (3, 4), (4, 4), (4, 4)))
    half = torch.tensor(0.5, dtype=torch.float64)

    def curved(y, c=1.0):
        x, y, z = y.unbind(1)
        return torch.stack([c * x**2 * y + z, torch.sin(x + 2 * y) + x * z, torch.exp(c * z) * y - x], dim=1)

    def its_divergence(y, c=1.0):
        x, y, z = y.unbind(1)
        return 2 * c * x * y + 2 * torch.cos(x + 2 * y) + c * torch.exp(c * z) * y

    def layers(y):  # a network on four dimensions
        return torch.tanh(y @ A) @ B + y**2

    def its_trace(y):
        return ((1 - torch.tanh(y @ A) ** 2) * (B @ A).diagonal()).sum(dim=1) + 2 * y.sum(dim=1)

    def slope(function, at):  # the gradient of a function that gives a number
        at = at.clone().requires_grad_()
        return torch.autograd.grad(function(at), at)[0]

    def without_gradients(f, z):
        with torch.no_grad():
            return divergence(f, z)

    checks.close(
        "a field with a full Jacobian in three dimensions, a network in four",
        lambda: [divergence(curved, z), divergence(layers, wide)],
        [its_divergence(z), its_trace(wide)],
    )
    checks.close(
        "while gradients are switched off: twice the samples",
        lambda: [without_gradients(curved, 2 * z), without_gradients(layers, 2 * wide)],
        [its_divergence(2 * z), its_trace(2 * wide)],
    )
    checks.close(
        "the derivative of the divergence with respect to a parameter of f",
        lambda: slope(lambda c: divergence(lambda y: curved(y, c), z)[:3].sum(), half),
        slope(lambda c: its_divergence(z, c)[:3].sum(), half),
    )
    checks.close(
        "the derivative of the divergence with respect to the samples",
        lambda: [slope(lambda y: divergence(curved, y).square().sum(), z), slope(lambda y: divergence(layers, y)[0], wide)],
        [slope(lambda y: its_divergence(y).square().sum(), z), slope(lambda y: its_trace(y)[0], wide)],
    )
    checks.close(
        "the divergence, and z and the parameter as they were: z requires no gradient, nothing in `.grad`",
        lambda: [
            y := 0.5 * z, c := torch.tensor(0.7, dtype=torch.float64, requires_grad=True),
            divergence(lambda y: curved(y, c), y), y, y.requires_grad, y.grad is None, c.grad is None,
        ][2:],
        [its_divergence(0.5 * z, 0.7), 0.5 * z, False, True, True],
    )
    checks.close(
        "one dimension and one sample in float32, at 0.5 and at 2",
        lambda: [divergence(torch.sin, torch.tensor([[0.5]])), divergence(torch.sin, torch.tensor([[2.0]]))],
        [torch.tensor([math.cos(0.5)]), torch.tensor([math.cos(2.0)])],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "a linear field in four dimensions",
        lambda: divergence(lambda y: y @ A, wide),
        A.trace().repeat(3),
    )
    checks.close(
        "samples that are not contiguous in memory",
        lambda: divergence(curved, (3 * z).T.contiguous().T),
        its_divergence(3 * z),
    )
    checks.close(
        "samples that come out of a computation",
        lambda: slope(lambda y: divergence(curved, y**2).sum(), z),
        slope(lambda y: its_divergence(y**2).sum(), z),
    )
    checks.close(
        "a network in float32, arguments by name, samples that require gradients",
        lambda: [y := torch.tensor([[0.3, -0.2], [1.0, 0.5]], requires_grad=True),
                 divergence(f=lambda y: torch.sin(y.flip(1)) * y, z=y), y.grad is None][1:],
        [torch.tensor([math.sin(-0.2) + math.sin(0.3), math.sin(0.5) + math.sin(1.0)]), True],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_divergence = check.yours(exercise)

# %% [markdown]
# **The theorem, checked.** We follow a few samples through a planar field with random weights,
# once with the whole Jacobian of the flow map from autograd, once with your divergence along the way.
# The field is that of Chen et al. (section 4, their equation 10 with gates): $M$ planar units with gates $\sigma_n$,
# all weights being functions of time that a small *hypernetwork* computes,
#
# $$f(t, z) = \sum_{n=1}^{M} \sigma_n(t)\, u_n(t) \tanh\bigl(w_n(t)\cdot z + b_n(t)\bigr), \qquad
#   \operatorname{tr}\frac{\partial f}{\partial z} = \sum_{n=1}^{M} \sigma_n\,(u_n\cdot w_n) \tanh'(w_n\cdot z + b_n). \tag{6}$$

# %%
training.set_seed(6)
field = flows.PlanarField(dim=2, width=8).double()
samples = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
with torch.no_grad():
    for weight in field.parameters():
        weight.mul_(2.2)  # far enough from the identity to see something


def flow_map(y):
    return solvers.solve(field, y[None], 0.0, 1.0, rtol=1e-9, atol=1e-9)[0]


def with_trace(t, state):  # the samples, and beside them the integral of the trace
    z = state[:, :2]
    return torch.cat([field(t, z), my_divergence(lambda y: field(t, y), z)[:, None]], dim=1)


jacobians = torch.stack([torch.autograd.functional.jacobian(flow_map, y) for y in samples])
start = torch.cat([samples, torch.zeros(4, 1, dtype=torch.float64)], dim=1)
integral = solvers.solve(with_trace, start, 0.0, 1.0, rtol=1e-9, atol=1e-9)[:, 2]
print("log det of the flow map:", *(f"{v:9.6f}" for v in torch.linalg.slogdet(jacobians)[1]))
print("integral of the trace:  ", *(f"{v:9.6f}" for v in integral.detach()))

# %% [markdown]
# The two rows agree in all digits shown. What do they cost?
# We time them for a network on $d$ dimensions with a hidden layer of width $d$:
# the determinant of a layer with its Jacobian, the exact trace, and the estimate of the next section;
# and, dashed, the determinant and the trace of a matrix that is already there.

# %% tags=["nbval-ignore-output"]
def seconds(call, repeats=5):
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return sorted(times)[repeats // 2]


dims = scale.pick(quick=[2, 8], lesson=[2, 8, 32, 128, 256], full=[2, 8, 32, 128, 512, 1024])
names = {
    "whole determinant": ("determinant", "o-", "Jacobian and determinant"),
    "whole trace": ("trace", "o-", "exact trace"),
    "estimate": ("hutchinson", "o-", "estimated trace"),
    "determinant": ("determinant", "s--", "determinant of a known matrix"),
    "trace": ("trace", "s--", "trace of a known matrix"),
}
cost = {name: [] for name in names}
draw = torch.Generator().manual_seed(5)
for d in dims:
    W, V = (torch.randn(d, d, generator=draw) / d**0.5 for _ in range(2))
    z, noise = torch.randn(16, d, generator=draw), flows.rademacher((16, d), draw)

    def f(y):
        return torch.tanh(y @ W) @ V

    def jacobians():
        return torch.func.vmap(torch.func.jacrev(lambda y: y + 0.1 * f(y[None])[0]))(z)

    matrices = jacobians()
    cost["whole determinant"].append(1e3 * seconds(lambda: torch.linalg.slogdet(jacobians())))
    cost["whole trace"].append(1e3 * seconds(lambda: flows.divergence(f, z)))
    cost["estimate"].append(1e3 * seconds(lambda: flows.hutchinson_divergence(f, z, noise)))
    cost["determinant"].append(1e3 * seconds(lambda: torch.linalg.slogdet(matrices)))
    cost["trace"].append(1e3 * seconds(lambda: matrices.diagonal(dim1=1, dim2=2).sum(dim=1)))

fig, ax = plt.subplots(figsize=(8.4, 3.8))
for name, (key, marks, label) in names.items():
    ax.loglog(dims, cost[name], marks, color=plots.COLOURS[key], label=label)
    print(f"{label}: {cost[name][-1]:.3f} ms at d = {dims[-1]}")
ax.set(xlabel="dimension d", ylabel="milliseconds for 16 samples")
ax.set_xticks(dims, dims)
ax.minorticks_off()
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# *Figure: time for the log-determinant of a layer, the exact trace and the estimated trace,
# against the dimension, on logarithmic axes; dashed, the same for a given matrix.*
#
# **Reading the picture.** For a given matrix the trace is far cheaper than the determinant, as promised.
# But the exact trace of a general network needs one backward pass per dimension, as the whole Jacobian does,
# and grows like it. Only the estimate hardly grows.
# The trace alone is no miracle. What it buys is that it can be *estimated*, and that for fields such as (6)
# it is known in closed form, for any number of units $M$.

# %% [markdown]
# ## 3. Hutchinson's trace estimator
#
# Let $\varepsilon$ be a random vector with independent entries of mean 0 and variance 1. Then for any matrix $J$
#
# $$\mathbb E\,[\varepsilon^\top J\, \varepsilon] = \sum_{ij} J_{ij}\, \mathbb E[\varepsilon_i\varepsilon_j] = \operatorname{tr} J, \tag{7}$$
#
# and $\varepsilon^\top J$ is what a single backward pass gives: a vector-Jacobian product.

# %% [markdown]
# ### Exercise 6.3 - The estimated divergence (3 points, ~7 min)
# Return $\varepsilon^\top \frac{\partial f}{\partial z}\varepsilon$ for each sample, with the noise that the caller gives.
# The function draws nothing itself: within one ODE solve the same noise must be used at every step.
# Everything of `torch` is allowed; nothing of `flows` is needed.
#
# <details><summary>Hint 1 - a nudge</summary>
# <code>torch.autograd.grad(outputs, inputs, grad_outputs)</code> computes a vector-Jacobian product.</details>
# <details><summary>Hint 2 - the idea</summary>
# With <code>grad_outputs=noise</code> the result holds a row of noise<sup>T</sup>J for each sample.
# One more product with the noise, and a sum over the dimensions, gives one number per sample.</details>
# <details><summary>Hint 3 - almost the code</summary>
# As in 6.2 up to <code>value = f(z)</code>; then
# <code>pulled = torch.autograd.grad(value, z, noise, create_graph=True)[0]</code> and <code>(pulled * noise).sum(dim=1)</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "hutchinson_divergence", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hutchinson_divergence(f, z, noise):
    """Return noise^T (df/dz) noise for each sample, an unbiased estimate of the trace.

    Args:
        f: field without time, `f(z)` is `(s, d)`; each row depends on the same row of z
            only. It is evaluated once.
        z: samples, `(s, d)`.   noise: `(s, d)`; used as it is given. Both are left
            unchanged, also in whether they require gradients.

    Returns:
        The estimates, `(s,)`; with gradients with respect to z and to what f uses, and
        right under `torch.no_grad()`, as in `divergence`.
    """
    ### BEGIN SOLUTION
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_hutchinson_divergence", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "hutchinson_divergence",
    points=3,
    answer=lambda: hutchinson_divergence,
    package=flows.hutchinson_divergence,
    further=3,
)
def exercise(checks):
    draw = torch.Generator().manual_seed(65)
    A, B, z, noise = (torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in ((4, 4), (4, 4), (5, 4), (5, 4)))
    signs = torch.randint(2, (8192, 2), generator=draw).double() * 2 - 1
    here, half = torch.tensor([[0.8, -0.5]], dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)

    def turn(y):  # its Jacobian is A
        return y @ A.T

    def bend(y, c=1.0):  # a network
        return torch.tanh(c * y @ A) @ B + y**2

    def its_form(y, noise, c=1.0):  # its Jacobian at each sample, between the noise
        slopes = c * (1 - torch.tanh(c * y @ A) ** 2)
        return torch.einsum("si,ji,sj,ik,sk->s", slopes, A, noise, B, noise) + 2 * (y * noise**2).sum(dim=1)

    def plane(y):
        return torch.stack([y[:, 0] ** 2 * y[:, 1], torch.sin(y[:, 0] + 2 * y[:, 1]) + y[:, 0]], dim=1)

    def slope(function, at):  # the gradient of a function that gives a number
        at = at.clone().requires_grad_()
        return torch.autograd.grad(function(at), at)[0]

    def without_gradients(f, z, noise):
        with torch.no_grad():
            return hutchinson_divergence(f, z, noise)

    def evaluations(f, z, noise):
        calls = []
        came = hutchinson_divergence(lambda y: [calls.append(1), f(y)][1], z, noise)
        return [len(calls), came]

    checks.close(
        "a linear field, the quadratic form of its matrix; a network in four dimensions",
        lambda: [hutchinson_divergence(turn, z, noise), hutchinson_divergence(bend, z, noise)],
        [torch.einsum("si,ij,sj->s", noise, A, noise), its_form(z, noise)],
    )
    # At `here`: trace and symmetric off-diagonal of the Jacobian of `plane`, by hand.
    trace = 2 * 0.8 * -0.5 + 2 * math.cos(0.8 - 1.0)
    spread = abs(0.8**2 + math.cos(0.8 - 1.0) + 1)
    checks.close(
        "8192 draws of random signs: their mean is the trace, within four standard errors",
        lambda: hutchinson_divergence(plane, here.repeat(8192, 1), signs).mean(),
        trace,
        atol=4 * spread / 8192**0.5,
    )
    checks.close(
        "random signs, two samples: the estimates, which are not the trace",
        lambda: hutchinson_divergence(plane, here.repeat(2, 1), torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)),
        torch.tensor([trace + spread, trace - spread], dtype=torch.float64),
    )
    checks.close(
        "the noise is used as it is given: half of it, three times of it in one entry, one sample",
        lambda: [hutchinson_divergence(bend, z[:1], noise[:1] / 2), hutchinson_divergence(torch.sin, half.view(1, 1), 6 * half.view(1, 1))],
        [its_form(z[:1], noise[:1]) / 4, 9 * torch.cos(half).view(1)],
    )
    checks.close(
        "while gradients are switched off: twice the samples, in float32",
        lambda: without_gradients(lambda y: bend(y.double()).float(), 2 * z.float(), noise.float()),
        its_form(2 * z, noise).float(),
        atol=1e-4,
    )
    checks.close(
        "the field is evaluated once: the count and the estimates, for three times the samples",
        lambda: evaluations(bend, 3 * z, noise),
        [1, its_form(3 * z, noise)],
    )
    checks.close(
        "the derivatives with respect to a parameter of f and to the samples",
        lambda: [
            slope(lambda c: hutchinson_divergence(lambda y: bend(y, c), z, noise)[:3].sum(), half),
            slope(lambda y: hutchinson_divergence(bend, y, noise).square().sum(), z),
        ],
        [slope(lambda c: its_form(z, noise, c)[:3].sum(), half), slope(lambda y: its_form(y, noise).square().sum(), z)],
    )
    checks.close(
        "the estimates, and the samples and the noise: they are left as they were",
        lambda: [y := z / 2, e := noise.flip(0), hutchinson_divergence(bend, y, e), y, e, y.requires_grad, y.grad is None][2:],
        [its_form(z / 2, noise.flip(0)), z / 2, noise.flip(0), False, True],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "three dimensions, arguments by name",
        lambda: hutchinson_divergence(f=lambda y: torch.sin(y) * y.roll(1, 1), z=z[:, :3], noise=noise[:, :3]),
        torch.einsum("si,sij,sj->s", noise[:, :3],
                     torch.func.vmap(torch.func.jacfwd(lambda y: torch.sin(y) * y.roll(1)))(z[:, :3]), noise[:, :3]),
    )
    checks.close(
        "samples and noise that are not contiguous in memory",
        lambda: hutchinson_divergence(bend, z.T.contiguous().T / 3, noise.T.contiguous().T),
        its_form(z / 3, noise),
    )
    checks.close(
        "samples that come out of a computation",
        lambda: slope(lambda y: hutchinson_divergence(bend, y**2, noise).sum(), z),
        slope(lambda y: its_form(y**2, noise).sum(), z),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_hutchinson_divergence = check.yours(exercise)

# %% [markdown]
# Two kinds of noise are in use: Gaussian, and *Rademacher*, which is $\pm 1$ with equal probability.
# Both are unbiased. *Predict first:* which one spreads less?

# %%
n = scale.pick(quick=2000, lesson=20_000, full=200_000)
draw = torch.Generator().manual_seed(9)
B, C = (torch.randn(12, 12, generator=draw, dtype=torch.float64) for _ in range(2))
place = 0.2 * torch.randn(1, 12, generator=draw, dtype=torch.float64)


def network(y):
    return torch.tanh(y @ B / 12**0.5) @ C + 2 * y


noises = {
    "Gaussian": torch.randn(n, 12, generator=draw, dtype=torch.float64),
    "Rademacher": flows.rademacher((n, 12), draw, torch.float64),
}
exact = my_divergence(network, place).item()
fig, ax = plt.subplots(figsize=(6.4, 3.6))
for (name, noise), colour in zip(noises.items(), (plots.PALETTE[3], plots.COLOURS["hutchinson"])):
    estimates = my_hutchinson_divergence(network, place.repeat(n, 1), noise).detach()
    score = (estimates.mean() - exact) / estimates.std() * n**0.5
    print(f"{name}: bias {score:+.1f} standard errors, spread {estimates.std():.1f}")
    ax.hist(estimates.numpy(), bins=70, range=(exact - 50, exact + 50), density=True, histtype="step", lw=1.6, color=colour, label=name)
ax.axvline(exact, color=plots.COLOURS["exact"], label=f"exact trace {exact:.1f}")
ax.set(xlabel="estimate of the trace", ylabel="density of the estimates")
ax.legend()
plt.show()

# %% [markdown]
# *Figure: distribution of Hutchinson's estimate for one Jacobian of size 12, with Gaussian and with Rademacher noise.*
#
# **Reading the picture.** Both are centred at the trace: no bias beyond the standard error.
# A single estimate is far off, though. Rademacher noise spreads less, because the diagonal of the Jacobian,
# which is multiplied by $\varepsilon_i^2 = 1$, adds nothing to its spread.
# (Its outline is ragged because twelve signs give only $2^{11}$ different estimates: $\varepsilon$ and $-\varepsilon$ give the same.)
#
# **Why the noise must be fixed.** A solver looks at its right-hand side as a function of $t$ and $y$.
# With new noise at every evaluation it is no function: an adaptive solver takes the jitter for error.

# %% tags=["nbval-ignore-output"]
def evaluations_needed(redraw):
    draw = torch.Generator().manual_seed(1)
    noise = flows.rademacher((4, 2), draw, torch.float64)

    def augmented(t, state):
        e = flows.rademacher((4, 2), draw, torch.float64) if redraw else noise
        trace = my_hutchinson_divergence(lambda y: field(t, y), state[:, :2], e)
        return torch.cat([field(t, state[:, :2]), trace[:, None]], dim=1).detach()

    stats = solvers.Stats()
    start = torch.cat([samples, torch.zeros(4, 1, dtype=torch.float64)], dim=1)
    try:
        solvers.solve(augmented, start, 0.0, 1.0, rtol=1e-5, atol=1e-5, stats=stats, options={"max_steps": scale.pick(quick=50, lesson=300, full=1000)})
    except solvers.SolverError as error:
        return f"gave up after {stats.nfe} evaluations at t = {error.time:.4f}, step size {error.step:.1e}"
    return f"{stats.nfe} evaluations, {stats.rejected} steps rejected"


print("noise fixed for the solve: ", evaluations_needed(redraw=False))
print("noise redrawn at each call:", evaluations_needed(redraw=True))

# %% [markdown]
# ## 4. A continuous normalizing flow
#
# Take the base density at time $t_0$ and the data at time $t_1$, and follow sample and density together:
#
# $$\frac{d}{dt}\begin{pmatrix} z \\ \log p\end{pmatrix} = \begin{pmatrix} f(t, z) \\ -\operatorname{tr}\,\partial f/\partial z \end{pmatrix}. \tag{8}$$
#
# This is the augmented ODE of a **continuous normalizing flow** (CNF).

# %% [markdown]
# ### Exercise 6.4 - The augmented dynamics (3 points, ~5 min)
# Return the right-hand side of (8). Use `flows.divergence(f, z)` of the package for the trace; it wants a field without time.
#
# <details><summary>Hint 1 - a nudge</summary>
# The right-hand side does not depend on the current <code>log_p</code> at all.</details>
# <details><summary>Hint 2 - the idea</summary>
# Freeze the time with a small function: <code>lambda y: f(t, y)</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>z, log_p = state</code>, then return the tuple of <code>f(t, z)</code> and minus <code>flows.divergence(lambda y: f(t, y), z)</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "cnf_dynamics", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cnf_dynamics(f, t, state):
    """Return the time derivatives of samples and of their log-density, equation (8).

    Args:
        f: field, `f(t, z)` is shaped like z.   t: time, a float or a tensor without axes.
        state: `(z, log_p)` of shapes `(s, d)` and `(s,)`, in any number d of dimensions;
            left unchanged.

    Returns:
        `(dz, dlog_p)` of shapes `(s, d)` and `(s,)`, both with gradients with respect to
        z and to what f uses; the values are right also under `torch.no_grad()`.
    """
    ### BEGIN SOLUTION
    z, _ = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_cnf_dynamics", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "cnf_dynamics",
    points=3,
    answer=lambda: cnf_dynamics,
    package=flows.cnf_dynamics,
    further=3,
)
def exercise(checks):
    draw = torch.Generator().manual_seed(66)
    z, log_p, wide, A = (torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in ((5, 3), (5,), (2, 4), (4, 4)))
    c = torch.tensor(0.4, dtype=torch.float64)

    def swirl(t, y, c=1.0):  # time and place do not separate
        x, y, z = y.unbind(1)
        return torch.stack([c * torch.sin(t * x) + y, x * y - t * y**2 + z, torch.cos(t + z) * x], dim=1)

    def its_trace(t, y, c=1.0):
        x, y, z = y.unbind(1)
        return c * t * torch.cos(t * x) + x - 2 * t * y - torch.sin(t + z) * x

    def network(t, y):  # four dimensions
        return torch.tanh(y @ A + t) * y

    def its_rate(t, y):
        h = torch.tanh(y @ A + t)
        return -(h + (1 - h**2) * A.diagonal() * y).sum(dim=1)

    def slope(function, at):  # the gradient of a function that gives a number
        at = at.clone().requires_grad_()
        return torch.autograd.grad(function(at), at)[0]

    def without_gradients(*arguments):
        with torch.no_grad():
            return cnf_dynamics(*arguments)

    weights = torch.linspace(0.5, 1.5, 5, dtype=torch.float64)
    checks.close(
        "the velocity of samples in three dimensions, at t = 0.7 and at t = -0.4",
        lambda: [cnf_dynamics(swirl, 0.7, (z, log_p))[0], cnf_dynamics(swirl, -0.4, (z, log_p))[0]],
        [swirl(0.7, z), swirl(-0.4, z)],
    )
    checks.close(
        "the rate of the log-density, at t = 0.7 and at t = -0.4",
        lambda: [cnf_dynamics(swirl, 0.7, (z, log_p))[1], cnf_dynamics(swirl, -0.4, (z, log_p))[1]],
        [-its_trace(0.7, z), -its_trace(-0.4, z)],
    )
    checks.close(
        "a network in four dimensions: the pair of both",
        lambda: cnf_dynamics(network, 1.5, (wide, log_p[:2])),
        [network(1.5, wide), its_rate(1.5, wide)],
    )
    checks.close(
        "one sample in float32, time as a tensor without axes",
        lambda: cnf_dynamics(swirl, torch.tensor(1.3), (z[1:2].float(), log_p[1:2].float())),
        [swirl(1.3, z[1:2].float()), -its_trace(1.3, z[1:2].float())],
    )
    checks.close(
        "while gradients are switched off, t = 2",
        lambda: without_gradients(swirl, 2.0, (z, log_p)),
        [swirl(2.0, z), -its_trace(2.0, z)],
    )
    checks.close(
        "the derivatives of the velocity with respect to a parameter and to the samples",
        lambda: [
            slope(lambda c: cnf_dynamics(lambda t, y: swirl(t, y, c), 0.7, (z, log_p))[0].square().sum(), c),
            slope(lambda y: cnf_dynamics(swirl, 0.9, (y, log_p))[0].square().sum(), z),
        ],
        [slope(lambda c: swirl(0.7, z, c).square().sum(), c), slope(lambda y: swirl(0.9, y).square().sum(), z)],
    )
    checks.close(
        "the derivatives of the rate with respect to a parameter and to the samples",
        lambda: [
            slope(lambda c: (weights * cnf_dynamics(lambda t, y: swirl(t, y, c), 0.7, (z, log_p))[1]).sum(), c),
            slope(lambda y: (weights * cnf_dynamics(swirl, 0.9, (y, log_p))[1]).sum(), z),
        ],
        [
            slope(lambda c: -(weights * its_trace(0.7, z, c)).sum(), c),
            slope(lambda y: -(weights * its_trace(0.9, y)).sum(), z),
        ],
    )
    checks.close(
        "the rates at t = 0.2, and the state: it is left unchanged",
        lambda: [mine := (z.clone(), log_p.clone()), cnf_dynamics(swirl, 0.2, mine), mine, mine[0].requires_grad][1:],
        [[swirl(0.2, z), -its_trace(0.2, z)], [z, log_p], False],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "one sample in one dimension",
        lambda: cnf_dynamics(lambda t, y: torch.sin(t * y), 1.7, (z[:1, :1], log_p[:1])),
        [torch.sin(1.7 * z[:1, :1]), -1.7 * torch.cos(1.7 * z[:1, 0])],
    )
    checks.close(
        "five dimensions, arguments by name",
        lambda: cnf_dynamics(f=lambda t, y: torch.sin(t * y) + y.flip(1), t=0.3, state=(torch.cat([z, z[:, :2]], dim=1), log_p)),
        [
            torch.sin(0.3 * torch.cat([z, z[:, :2]], dim=1)) + torch.cat([z, z[:, :2]], dim=1).flip(1),
            -0.3 * torch.cos(0.3 * torch.cat([z, z[:, :2]], dim=1)).sum(dim=1) - 1,
        ],
    )
    checks.close(
        "the parts of one tensor as the state, three times the samples",
        lambda: [both := torch.cat([3 * z, log_p[:, None]], dim=1), cnf_dynamics(swirl, 1.1, (both[:, :-1], both[:, -1]))][1],
        [swirl(1.1, 3 * z), -its_trace(1.1, 3 * z)],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_cnf_dynamics = check.yours(exercise)


def push(z, log_p, t0, t1):  # samples and log-density, side by side through one solve
    def augmented(t, state):
        dz, dlog_p = my_cnf_dynamics(field, t, (state[:, :2], state[:, 2]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    end = solvers.solve(augmented, torch.cat([z, log_p[:, None]], dim=1), t0, t1)
    return end[:, :2], end[:, 2]


base = flows.Gaussian(2)
z = base.sample((2000,), torch.Generator().manual_seed(2), torch.float64)
log_p = base.log_prob(z)
with torch.no_grad():
    for t in (0.0, 0.5, 1.0):
        if t:
            z, log_p = push(z, log_p, t - 0.5, t)
        print(f"t = {t:.1f}: spread {z.std(dim=0)[0]:.2f} by {z.std(dim=0)[1]:.2f}, mean of log p {log_p.mean():6.3f}")

# %% [markdown]
# **A cloud that knows its density.** 2000 samples of a Gaussian follow the field with random weights, and your dynamics carry
# $\log p$ along. Its mean is minus the entropy of the cloud: it falls while the cloud spreads, and rises when it is squeezed,
# at the end above the value at the start. No histogram was needed to know this.
#
# Forwards in time, (8) turns samples of the base into samples of the flow and knows their density.
# For the density of a *given* point $x$, go the other way: start at $t_1$ with $x$ and the unknown $\log p(x)$,
# and solve back to $t_0$, where the density is known. With $\Delta$ the change of $\log p$ on the way back, $t_1 \to t_0$,
#
# $$\log p(x) = \log p_0(z(t_0)) - \Delta, \qquad \Delta = -\int_{t_1}^{t_0} \operatorname{tr}\frac{\partial f}{\partial z}\, dt
#  = \int_{t_0}^{t_1} \operatorname{tr}\frac{\partial f}{\partial z}\, dt. \tag{9}$$

# %% [markdown]
# ### Exercise 6.5 - The log-density of data (4 points, ~12 min)
# Compute (9). The solver is a black box: `solve(f, y0, t_start, t_end)` takes *one* tensor `y0`, of any shape,
# and returns the state at `t_end`, also when `t_end` lies before `t_start`.
# Use `flows.cnf_dynamics` of the package for (8); it is the only part of `flows` that you need.
#
# <details><summary>Hint 1 - a nudge</summary>
# You do not know log p(x) at the start of the solve. Only its change is needed: start with zero.</details>
# <details><summary>Hint 2 - the idea</summary>
# Put samples and log-density side by side in one tensor of <code>d + 1</code> columns.
# Inside the field cut it apart, call <code>flows.cnf_dynamics</code>, and glue the result together again.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)</code>;
# <code>end = solve(augmented, start, t1, t0)</code>; return <code>base.log_prob(end[:, :-1]) - end[:, -1]</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "cnf_log_prob", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cnf_log_prob(f, x, base, t0, t1, solve):
    """Return the log-density of data under a continuous normalizing flow, equation (9).

    Args:
        f: field, `f(t, z)` is shaped like z.
        x: data at time t1, `(s, d)`, in any number d of dimensions; left unchanged.
        base: density at time t0; `base.log_prob(z)` is `(s,)`, and raises a ValueError
            where the dimension is wrong: let it reach the caller.
        t0, t1: times of the base and of the data, floats; t1 may lie before t0.
        solve: `solve(f, y0, t_start, t_end)` returns the state at `t_end` of the ODE
            with the state `y0`, one tensor, at `t_start`.

    Returns:
        log p(x), `(s,)`. Where `solve` lets gradients pass, it carries them, with respect
        to x and to what f uses.
    """
    ### BEGIN SOLUTION
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_cnf_log_prob", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "cnf_log_prob",
    points=4,
    answer=lambda: cnf_log_prob,
    package=(flows.cnf_log_prob, flows.CNF),
    further=3,
)
def exercise(checks):
    draw = torch.Generator().manual_seed(67)
    x, A, plane = (torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in ((5, 3), (3, 3), (4, 2)))
    A, rates = A / 2, torch.tensor([0.5, -0.3, 0.8], dtype=torch.float64)

    def recording(f, y0, t_start, t_end, n_steps=12):  # gradients pass through
        if not isinstance(y0, torch.Tensor):
            raise TypeError(f"solve takes one tensor as y0, not a {type(y0).__name__}")
        return solvers.solve(f, y0, t_start, t_end, method="rk4", options={"n_steps": n_steps})

    def solve(f, y0, t_start, t_end):  # a black box; it records no gradients
        with torch.no_grad():
            return recording(f, y0, t_start, t_end, n_steps=40)

    class Shifted:  # a base of another kind: N(1, I), not centred at zero
        def log_prob(self, z):
            return flows.Gaussian(z.shape[1]).log_prob(z - 1)

    def linear(t, z):  # from t0 to t1 the flow map is the matrix exponential of (t1^2 - t0^2) / 2 A
        return t * z @ A.T

    def known(t0, t1, base):
        time = (t1**2 - t0**2) / 2
        return base.log_prob(x @ torch.linalg.matrix_exp(-time * A).T) - time * A.trace()

    def whirl(t, z, rates=rates[:2]):  # not linear; time and place do not separate
        return torch.stack([torch.sin(z[:, 1] + t) + rates[0] * z[:, 0], torch.cos(z[:, 0] * t) * z[:, 1] + rates[1]], dim=1)

    def spin(t, z, rates=rates):  # three dimensions
        return torch.sin(z.roll(1, 1) + t) + torch.cos(t * z) * rates

    def its_trace(t, z, rates=rates):
        return -(t * torch.sin(t * z) * rates).sum(dim=1)

    def reference(x, base, t0, t1, solve, rates=rates):  # the trace by hand
        def both(t, state):
            z = state[:, :-1]
            return torch.cat([spin(t, z, rates), its_trace(t, z, rates)[:, None]], dim=1)

        end = solve(both, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), t1, t0)
        return base.log_prob(end[:, :-1]) + end[:, -1]

    def slope(function, at):  # the gradient of a function that gives a number
        at = at.clone().requires_grad_()
        return torch.autograd.grad(function(at), at)[0]

    def refusal(call):  # the kind of the error
        try:
            call()
        except NotImplementedError:
            raise
        except Exception as error:
            return type(error).__name__
        return "none"

    cells = torch.stack(torch.meshgrid(*[torch.arange(50) / 50 * 16 - 8 + 8 / 50] * 2, indexing="ij"), -1).reshape(-1, 2)
    normal, narrow, weights = flows.Gaussian(3), flows.Gaussian(3, 0.7), torch.linspace(0.5, 1.5, 5, dtype=torch.float64)
    checks.close(
        "a linear field in three dimensions, from t0 = 0 to t1 = 1.5 and from 0.5 to 1",
        lambda: [cnf_log_prob(linear, x, normal, 0.0, 1.5, solve), cnf_log_prob(linear, x, narrow, 0.5, 1.0, solve)],
        [known(0.0, 1.5, normal), known(0.5, 1.0, narrow)],
        atol=1e-6,
    )
    checks.close(
        "a curved field, from t0 = 0.2 to t1 = 1.1; and from 1 back to -0.5, with a base that is not centred",
        lambda: [cnf_log_prob(spin, x, narrow, 0.2, 1.1, solve), cnf_log_prob(spin, x, Shifted(), 1.0, -0.5, solve)],
        [reference(x, narrow, 0.2, 1.1, solve), reference(x, Shifted(), 1.0, -0.5, solve)],
        atol=1e-6,
    )
    checks.close(
        "a swirling field in two dimensions: the density integrates to one, and has its value at a point",
        lambda: [
            log_p := cnf_log_prob(whirl, cells, flows.Gaussian(2), 0.0, 1.0, recording),
            16.0**2 * log_p.exp().mean(), log_p[1275],
        ][1:],
        [1.0, flows.cnf_log_prob(whirl, cells[1275:1276], flows.Gaussian(2), 0.0, 1.0, solve).item()],
        atol=1e-2,
    )
    checks.close(
        "with a solver that lets gradients pass: the gradients with respect to the data and to parameters of f",
        lambda: [
            slope(lambda x: (weights * cnf_log_prob(spin, x, normal, 0.0, 1.0, recording)).sum(), x),
            slope(lambda r: cnf_log_prob(lambda t, z: spin(t, z, r), x, normal, 0.0, 1.0, recording)[:3].sum(), rates),
        ],
        [
            slope(lambda x: (weights * reference(x, normal, 0.0, 1.0, recording)).sum(), x),
            slope(lambda r: reference(x, normal, 0.0, 1.0, recording, r)[:3].sum(), rates),
        ],
        atol=1e-3,
    )
    checks.close(
        "z' = -z^3 in one dimension, one sample in float32: at 0.3 and at -0.6",
        lambda: [
            cnf_log_prob(lambda t, z: -(z**3), torch.tensor([[0.3]]), flows.Gaussian(1, 0.8), 0.0, 1.0, solve),
            cnf_log_prob(lambda t, z: -(z**3), torch.tensor([[-0.6]]), flows.Gaussian(1, 0.8), 0.0, 1.0, solve),
        ],
        [  # from 0 to 1 the flow map is z -> z / sqrt(1 + 2 z^2)
            flows.Gaussian(1, 0.8).log_prob(torch.tensor([[0.3 / 0.82**0.5]])) - 1.5 * math.log(0.82),
            flows.Gaussian(1, 0.8).log_prob(torch.tensor([[-0.6 / 0.28**0.5]])) - 1.5 * math.log(0.28),
        ],
        atol=1e-4,
    )
    checks.close(
        "the log-density of half the data, and the data: they are left unchanged",
        lambda: [mine := x / 2, cnf_log_prob(spin, mine, normal, 0.0, 1.0, solve), mine, mine.requires_grad][1:],
        [reference(x / 2, normal, 0.0, 1.0, solve), x / 2, False],
        atol=1e-6,
    )
    checks.close(
        "a base of another dimension: its ValueError reaches the caller; twice the data with one that fits",
        lambda: [
            refusal(lambda: cnf_log_prob(spin, x, flows.Gaussian(2), 0.0, 1.0, solve)),
            cnf_log_prob(spin, 2 * x, normal, 0.0, 1.0, solve),
        ],
        ["ValueError", reference(2 * x, normal, 0.0, 1.0, solve)],
        atol=1e-6,
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "the swirling field at four points of the plane",
        lambda: cnf_log_prob(whirl, plane, flows.Gaussian(2, 0.7), 0.2, 1.1, solve),
        flows.cnf_log_prob(whirl, plane, flows.Gaussian(2, 0.7), 0.2, 1.1, solvers.solve),
        atol=1e-4,
    )
    checks.close(
        "a single sample in float32, arguments by name",
        lambda: cnf_log_prob(f=lambda t, z: spin(t, z, rates.float()), x=x[:1].float(), base=normal, t0=0.0, t1=1.0, solve=solve),
        reference(x[:1], normal, 0.0, 1.0, solve).float(),
        atol=1e-4,
    )
    checks.close(
        "four dimensions, data that are not contiguous in memory, an adaptive solver",
        lambda: cnf_log_prob(lambda t, z: torch.sin(z.flip(1) * t) - z, plane.repeat(1, 2).T.contiguous().T, flows.Gaussian(4), 0.3, 1.0, solvers.solve),
        flows.cnf_log_prob(lambda t, z: torch.sin(z.flip(1) * t) - z, plane.repeat(1, 2), flows.Gaussian(4), 0.3, 1.0, solve),
        atol=1e-4,
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_cnf_log_prob = check.yours(exercise)

# %% [markdown]
# This is a continuous flow in both directions: `push` for samples, your `cnf_log_prob` for the density of any point.
# They make two promises, which we check on the field with random weights from above:
# the density integrates to one, and a sample has the same density on its way forth and back.
# The package's `flows.CNF` is the same as a module, which also returns the samples to the base.

# %%
box = (-6.0, 6.0, -6.0, 6.0)
_, _, points = flows.grid(box, 120, torch.float64)
flow = flows.CNF(field, base)
with torch.no_grad():
    mass = flows.integrate(my_cnf_log_prob(field, points, base, 0.0, 1.0, solvers.solve).exp(), box).item()
    z = base.sample((1000,), torch.Generator().manual_seed(2), torch.float64)
    x, log_p = push(z, base.log_prob(z), 0.0, 1.0)
    back = flow.inverse(x)
    again = my_cnf_log_prob(field, x, base, 0.0, 1.0, solvers.solve)
print(f"integral of the density: {mass:.3f}")
print(f"largest error of the inverse below 1e-4: {(back - z).abs().max().item() < 1e-4}")
print(f"both directions give the same density: {(again - log_p).abs().max().item() < 1e-4}")

# %% [markdown]
# ## 5. Density matching
#
# Suppose that a target $p(z) = e^{-U(z)}/Z$ is known as a formula, up to the constant $Z$, and samples of it are wanted.
# We push noise through a flow, which knows the density $q$ of its own samples, and minimise
#
# $$\mathrm{KL}(q\,\|\,p) = \mathbb E_{x\sim q}\bigl[\log q(x) + U(x)\bigr] + \log Z. \tag{10}$$
#
# Gradients reach the flow through the samples, since $x = T(z)$ with fixed noise $z$.

# %% [markdown]
# ### Exercise 6.6 - The reverse KL divergence (3 points, ~5 min)
# Estimate (10) without the constant $\log Z$, which does not matter for training.
# Everything of `torch` is allowed, nothing of `flows`.
#
# <details><summary>Hint 1 - a nudge</summary>
# The samples come from q: an expectation under q is a plain mean over them.</details>
# <details><summary>Hint 2 - the idea</summary>
# log q - log p, and log p is minus the potential, up to a constant.</details>
# <details><summary>Hint 3 - almost the code</summary>
# The mean of <code>log_q + potential(samples)</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "reverse_kl", "locked": false, "schema_version": 3, "solution": true, "task": false}
def reverse_kl(samples, log_q, potential):
    """Estimate KL(q || p) - log Z for the target p = exp(-potential) / Z.

    Args:
        samples: drawn from q, `(s, d)`.   log_q: their log-density under q, `(s,)`.
            Both are left unchanged.
        potential: `(s, d)` -> `(s,)`.

    Returns:
        The mean over the samples, a tensor without axes, with gradients with respect to
        the samples, to log_q and to what the potential uses.
    """
    ### BEGIN SOLUTION
    return (log_q + potential(samples)).mean()
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_reverse_kl", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "reverse_kl",
    points=3,
    answer=lambda: reverse_kl,
    package=flows.reverse_kl,
    further=3,
)
def exercise(checks):
    draw = torch.Generator().manual_seed(68)
    three = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]], dtype=torch.float64)
    log_q = torch.tensor([-1.0, -2.5, -0.25], dtype=torch.float64)
    noise = torch.randn(7, 4, generator=draw, dtype=torch.float64)
    small = 0.5 * torch.randn(20_000, 2, generator=draw, dtype=torch.float64)
    spread = torch.tensor([0.6, 1.1, 0.9, 1.4], dtype=torch.float64)

    def bowl(y):  # p is the standard normal density, log Z = log(2 pi) in the plane
        return 0.5 * (y**2).sum(dim=1)

    def trough(y):  # neither symmetric nor positive
        return y[:, 0] ** 2 - 2 * y[:, -1] + torch.sin(y[:, 1])

    def slope(function, at):  # the gradient of a function that gives a number
        at = at.clone().requires_grad_()
        return torch.autograd.grad(function(at), at)[0]

    def flow(spread):  # samples of N(0, diag(spread^2)) and their log-density, as a flow gives them
        return noise * spread, -0.5 * (noise**2).sum(dim=1) - 2 * math.log(2 * math.pi) - spread.log().sum()

    checks.close(
        "three samples in the plane and the potential |x|^2 / 2; two samples in three dimensions, a potential with a slope",
        lambda: [reverse_kl(three, log_q, bowl), reverse_kl(noise[:2, :3], log_q[:2], trough)],
        [(0.5 + 2.0 + 1.0 - 3.75) / 3, (trough(noise[:2, :3]).sum().item() - 3.5) / 2],
    )
    checks.close(
        "samples of N(0, 0.25 I) against N(0, I), with log Z: the known divergence, from 20 000 and from 5 000",
        lambda: [
            reverse_kl(part, flows.Gaussian(2, 0.5).log_prob(part), bowl) + math.log(2 * math.pi)
            for part in (small, small[:5000])
        ],
        [0.25 - 1 - 2 * math.log(0.5)] * 2,
        atol=0.03,
    )
    checks.close(
        "the gradients with respect to the samples and to log q",
        lambda: [
            slope(lambda y: reverse_kl(y, log_q, bowl), three),
            slope(lambda q: reverse_kl(three, q, bowl).square(), log_q),
        ],
        [three / 3, torch.full((3,), 2 * (3.5 - 3.75) / 9, dtype=torch.float64)],
    )
    checks.close(
        "samples and log q that both come out of a flow: the gradient with respect to its parameters",
        lambda: slope(lambda s: reverse_kl(*flow(s), bowl), spread),
        (noise**2).mean(dim=0) * spread - 1 / spread,
    )
    checks.close(
        "one sample in float32: a tensor without axes",
        lambda: [came := reverse_kl(noise[:1].float(), log_q[1:2].float(), trough), list(came.shape), str(came.dtype), came][1:],
        [[], "torch.float32", trough(noise[:1].float()).item() - 2.5],
    )
    checks.close(
        "the estimate for twice the samples, and samples and log q: they are left unchanged",
        lambda: [y := 2 * three, q := log_q.clone(), reverse_kl(y, q, bowl), y, q][2:],
        [(2.0 + 8.0 + 4.0 - 3.75) / 3, 2 * three, log_q],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "a potential of the package in float32, arguments by name",
        lambda: reverse_kl(samples=three.float(), log_q=log_q.float(), potential=toy.U1),
        (toy.U1(three.float()) + log_q.float()).mean().item(),
    )
    checks.close(
        "seven samples in four dimensions",
        lambda: reverse_kl(noise, noise[:, 0], trough),
        (noise[:, 0] + trough(noise)).mean().item(),
    )
    checks.close(
        "the gradient with respect to a parameter of the potential",
        lambda: slope(lambda c: reverse_kl(three, log_q, lambda y: c * bowl(y)), spread[0]),
        3.5 / 3,
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown]
# **A flow of your own.** Eight of your planar layers, one after the other, learn $U_1$ with your divergence:
# this is all that density matching needs. $Z = 6.54$ is known here, so that the true divergence can be printed.
# *Predict first:* the target has two modes, left and right. Which KL is left if a flow covers one of them, and that perfectly?

# %% tags=["nbval-ignore-output"]
my_reverse_kl = check.yours(exercise)

draw = torch.Generator().manual_seed(1)
weights = [0.5 * torch.randn(shape, generator=draw) for _ in range(8) for shape in ((2,), (2,), ())]
weights = [weight.requires_grad_() for weight in weights]


def eight_layers(z):  # samples and their log-density (1)
    log_q = base.log_prob(z)
    for w, u, b in zip(weights[0::3], weights[1::3], weights[2::3]):
        z, log_det = my_planar_flow(z, w, u, b)
        log_q = log_q - log_det
    return z, log_q


optimiser = torch.optim.Adam(weights, lr=2e-2)
steps = scale.pick(quick=10, lesson=300, full=5000)
for step in range(steps + 1):
    z = base.sample((256,), draw)
    loss = my_reverse_kl(*eight_layers(z), toy.U1)
    if step % (steps // 5) == 0:
        print(f"step {step:3d}: KL = {loss.item() + math.log(toy.NORMALISERS['U1']):5.2f}")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

# %%
fig, axes = plt.subplots(1, 2, figsize=(6, 3.1), sharex=True, sharey=True)
with torch.no_grad():
    x, _ = eight_layers(base.sample((20_000,), draw))
plots.density(axes[0], lambda y: torch.exp(-toy.U1(y)), toy.DENSITY_BOX, n=80)
plots.histogram(axes[1], x, toy.DENSITY_BOX, n=50)
for ax, title in zip(axes, ("target $U_1$", "eight layers of your own")):
    ax.set(xticks=[], yticks=[], title=title)
plt.show()

# %% [markdown]
# *Figure: the target $e^{-U_1}/Z$, and 20 000 samples of the eight layers, on the square $[-4, 4]^2$.*
#
# **Reading the picture.** The training comes down to a KL of about 0.7 and stays there. Eight layers are not too few
# for a better fit: they cover *one* of the two modes, and to miss one of two equal halves costs $\log 2 \approx 0.69$.
# *Planar layers against planar units*, below, comes back to this.

# %% [markdown]
# **The targets** are the four potentials of Rezende and Mohamed.
# $U_2$, $U_3$ and $U_4$ are waves that go on along $z_1$ for ever: $e^{-U}$ has no finite integral, and (10) no lower bound.
# We therefore build a steep wall around the square $[-4, 4]^2$, for the target and for the training alike.
# Then $Z$ is a number that we can integrate, and the divergence below is the true one: it must not be negative.

# %%
names = list(toy.POTENTIALS)
targets = [study.confined(U) for U in toy.POTENTIALS.values()]
log_Z = torch.tensor([study.log_normaliser(U) for U in targets])
for name, value in zip(names, log_Z.exp().tolist()):
    print(f"{name}: Z = {value:.2f} with the wall, {toy.NORMALISERS[name]:.2f} on the square alone")

# %% [markdown]
# ### A flow that cheats
#
# A first try: a CNF with 8 units on $U_1$, solved with a single step of RK4 because that is fast.
# The gradient is taken through the solver: what is minimised is (10) *as this one step sees it*.

# %% tags=["nbval-ignore-output"]
steps = scale.pick(quick=10, lesson=200, full=200)
noise = flows.Gaussian(2).sample((1, 5000), torch.Generator().manual_seed(3))


def kl_on_U1(flow):  # (10) of the only copy
    x, log_q, _ = study.push(flow, noise)
    return (my_reverse_kl(x[0], log_q[0], targets[0]) + log_Z[0]).item()


for n_steps, energy in ((1, 0.0), (8, 0.01)):
    training.set_seed(0)
    flow = study.planar_cnf(width=8, copies=(1,), n_steps=n_steps)
    study.match_densities(flow, targets[:1], steps, lr=3e-2, energy=energy, epochs=10)
    seen = kl_on_U1(flow)
    flow.solver["options"] = {"n_steps": 64}
    true = kl_on_U1(flow)
    print(f"price on the energy {energy:g}: KL = {seen:5.2f} as trained (RK4, n = {n_steps}), {true:5.2f} with 64 steps")

# %% [markdown]
# A divergence below zero does not exist.
# The first flow has learned a field so violent that one step integrates the trace wrongly, and in its favour.
# More steps tell the truth. Two remedies: train with enough steps, and put a small price on the *kinetic energy*
# $\int |f|^2 dt$ of the paths, which keeps them straight and the solver accurate
# (C. Finlay et al., *How to train your neural ODE*, ICML 2020). We do both from now on,
# and every divergence in the rest of this section is computed with more steps than the training had.

# %% [markdown]
# ### Planar layers against planar units
#
# As in figure 4 of Chen et al. we compare $K$ planar layers with a CNF of $M$ planar units, $K = M = 2, 8, 32$.
# The four targets are learned side by side, which is four times as fast as one after the other.
# *Predict first:* a planar layer squeezes or stretches along one direction. How well can two of them do?

# %% tags=["nbval-ignore-output"]
nf_steps = scale.pick(quick=3, lesson=500, full=50_000)
cnf_steps = scale.pick(quick=2, lesson=300, full=10_000)
epochs = scale.pick(quick=2, lesson=10, full=100)
sizes, learned, kl, history = study.SIZES, {}, {"nf": [], "cnf": []}, {}
noise = flows.Gaussian(2).sample((4, scale.pick(quick=300, lesson=20_000, full=20_000)), torch.Generator().manual_seed(11))
for size in training.progress(sizes, "density matching"):
    training.set_seed(1)
    nf = study.planar_nf(size, copies=(4,))
    history["nf", size] = study.match_densities(nf, targets, nf_steps, epochs=epochs)
    training.set_seed(1)
    cnf = study.planar_cnf(size, copies=(4,), n_steps=scale.pick(quick=4, lesson=8, full=16))
    history["cnf", size] = study.match_densities(
        cnf, targets, cnf_steps, epochs=epochs, energy=scale.pick(quick=0.0, lesson=5e-3, full=2e-3),
        lr=scale.pick(quick=2e-2, lesson=2e-2, full=5e-3),
    )
    cnf.solver["options"] = {"n_steps": scale.pick(quick=4, lesson=24, full=64)}
    for key, flow in (("nf", nf), ("cnf", cnf)):
        learned[key, size] = flow
        kl[key].append(study.kl_divergences(flow, targets, noise[:, :5000], log_Z))
    print(
        f"K = M = {size:2d}:  planar layers", *(f"{v:5.2f}" for v in kl["nf"][-1]),
        "   CNF", *(f"{v:5.2f}" for v in kl["cnf"][-1]),
    )

# %%
with torch.no_grad():
    drawn = {key: study.push(flow, noise)[0] for key, flow in learned.items()}
fig, axes = plt.subplots(4, 7, figsize=(11, 6.6))
for row, (name, target) in enumerate(zip(names, targets)):
    plots.density(axes[row, 0], lambda y: torch.exp(-target(y)), toy.DENSITY_BOX, n=80)
    axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    for column, (key, size) in enumerate([("nf", s) for s in sizes] + [("cnf", s) for s in sizes], start=1):
        plots.histogram(axes[row, column], drawn[key, size][row], toy.DENSITY_BOX, n=50)
        axes[0, column].set_title(f"{size} layers" if key == "nf" else f"CNF, {size} units")
axes[0, 0].set_title("target")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# *Figure: the four targets (left) and 20 000 samples of each flow that was fitted to them:
# planar layers with $K = 2, 8, 32$ and continuous flows with $M = 2, 8, 32$ units, on the square $[-4, 4]^2$.*
#
# **Reading the picture.** Two layers can cut a Gaussian in two or squeeze it into a streak, not more.
# A CNF with two units, whose weights change with time, bends already.
# On $U_1$ many layers may still choose *one* of the two modes: the reverse KL divergence punishes samples where the
# target is small, not places where samples are missing. Such a flow loses about $\log 2 \approx 0.69$.

# %%
fig, axes = plt.subplots(2, 4, figsize=(11, 5.2), sharex="row", sharey="row")
for i, name in enumerate(names):
    for key, label in (("nf", "K planar layers"), ("cnf", "CNF with M units")):
        values = [v[i].item() for v in kl[key]]
        axes[0, i].loglog(sizes, values, "o-", color=plots.COLOURS[key], label=label)
        steps = nf_steps if key == "nf" else cnf_steps
        curve = history[key, 32][f"kl{i}"]
        done = [steps * (k + 1) / len(curve) for k in range(len(curve))]
        axes[1, i].semilogy(done, curve, color=plots.COLOURS[key], label=label.replace("K", "32").replace("M", "32"))
    axes[0, i].set(title=name, xlabel="K or M")
    axes[0, i].set_xticks(sizes, sizes)
    axes[0, i].minorticks_off()
    axes[1, i].set(xlabel="training step")
axes[0, 0].set_ylabel("KL(q || p)")
axes[1, 0].set_ylabel("KL(q || p)")
axes[0, 0].legend(loc="center right", fontsize=8)
axes[1, 1].legend(loc="upper right")
plt.show()

# %% [markdown]
# *Figure: the divergence from the target after training against the number of layers or units (top),
# and during the training of the largest flows (bottom), for the four targets.*
#
# **Reading the picture.** Both families gain from size, most of all from 2 to 8. Small CNFs mostly come closer to the target
# than equally few layers, in fewer steps of training, each of which is more expensive because it calls the field many times.
# On the waves 32 layers catch up; on $U_1$ a flow that has lost one mode stays where it is.
# But for $U_1$ and $U_3$ the widest CNF is no better than the one with 8 units: it has not yet learned to use its width.
# At full scale the layers train for 50 000 steps and the CNF for 10 000; Chen et al. gave theirs 500 000 and 10 000.

# %% [markdown]
# ## 6. Maximum likelihood: from noise to data
#
# Now only samples of the target are known. Then maximise the mean log-density (9) of the data:
# solve from the data back to the base, and improve the field.
# New samples come from the same flow, solved forwards.
#
# For the CNF both directions cost the same. A planar layer has a cheap determinant at its *input*:
# we let 64 layers run from data to base, and invert each by bisection when samples are wanted.
# The baseline is a mixture of 10 Gaussians from scikit-learn. All of them see the same training points.

# %% tags=["nbval-ignore-output"]
n_train = scale.pick(quick=200, lesson=4000, full=20_000)
train, test = study.circles_and_moons(n_train, seed=0), study.circles_and_moons(n_train, seed=1)
epochs = scale.pick(quick=2, lesson=20, full=100)
training.set_seed(2)
cnf = study.planar_cnf(64, copies=(2,), n_steps=scale.pick(quick=4, lesson=8, full=32), gain=scale.pick(quick=1, lesson=3, full=1))
study.fit_densities(
    cnf, train, scale.pick(quick=2, lesson=460, full=10_000), epochs=epochs,
    lr=scale.pick(quick=1e-2, lesson=1e-2, full=5e-3),
    energy=scale.pick(quick=0.03, lesson=0.03, full=5e-3),
)
cnf.solver = {"method": "dopri5", "rtol": 1e-5, "atol": 1e-5}  # the truth, not what the training saw
nf = study.planar_nf(64, copies=(2,))
study.fit_densities(
    nf, train, scale.pick(quick=2, lesson=300, full=10_000), epochs=epochs,
    lr=scale.pick(quick=1e-2, lesson=3e-2, full=1e-2),
)
mixture = study.mixture_log_prob(train, test)
results = {"CNF, 64 units": study.mean_log_prob(cnf, test), "64 planar layers": study.mean_log_prob(nf, test), "mixture of 10 Gaussians": mixture}
print("log-likelihood per test point, nats (higher is better)")
for name, values in results.items():
    print(f"{name:24s} circles {values[0]:.2f}   moons {values[1]:.2f}")

# %% [markdown]
# The CNF comes first on the circles, and is about level with the mixture on the moons.
# The planar layers come last. Where does the difference come from? We look at the way of the samples.

# %%
shown = scale.pick(quick=300, lesson=8000, full=8000)
noise = flows.Gaussian(2).sample((2, shown), torch.Generator().manual_seed(4))
with torch.no_grad():
    path = cnf.path(noise, 13)
    layers, x = [noise], noise
    for last in (64, 48, 32, 16):  # undo the layers, last one first
        x = nf.inverse(x, range(last - 16, last))
        layers.append(x)
boxes = {"circles": (-4.5, 4.5, -4.5, 4.5), "moons": (-4.5, 4.5, -4.5, 4.5)}
fig, axes = plt.subplots(4, 5, figsize=(9, 7.4))
for i, (name, box) in enumerate(boxes.items()):
    for k in range(5):
        plots.histogram(axes[2 * i, k], path[3 * k, i], box, n=50)
        (x_mid, y_mid), half = layers[k][i].median(dim=0).values.tolist(), 3.2 * layers[k][i].std(dim=0).max().item()
        plots.histogram(axes[2 * i + 1, k], layers[k][i], (x_mid - half, x_mid + half, y_mid - half, y_mid + half), n=50)
        axes[2 * i, k].set_title(f"t = {k / 4:g}")
        axes[2 * i + 1, k].set_title(f"{16 * k} layers undone")
    axes[2 * i, 0].set_ylabel(f"CNF\n{name}", rotation=0, ha="right", va="center")
    axes[2 * i + 1, 0].set_ylabel(f"planar\n{name}", rotation=0, ha="right", va="center")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# *Figure: noise on its way to two circles and to two moons: samples of the CNF at five times,
# on the square $[-4.5, 4.5]^2$, and of the 64 planar layers after every 16 layers, each panel as large as its samples.*
#
# **Reading the picture.** The CNF opens the blob smoothly and smoothly forms the sets.
# The planar layers cut, squeeze and shear; halfway their samples look like neither the noise nor the data,
# and what they reach is a rougher copy.

# %%
fig, axes = plt.subplots(1, 2, figsize=(4.2, 2.3))


def draw(k):
    for ax, i, name in zip(axes, range(2), boxes):
        ax.clear()
        plots.histogram(ax, path[k, i], boxes[name], n=40)
        ax.set(xticks=[], yticks=[], title=f"{name}, t = {k / 12:.2f}")


plots.animate(fig, draw, 13, interval=200, alt="samples of the CNF move from one round blob to two circles and to two moons")

# %% [markdown]
# *Animation: 8000 samples of the CNF from $t = 0$ to $t = 1$.*

# %% tags=["nbval-ignore-output"]
n = scale.pick(quick=24, lesson=120, full=200)
box = (-5.0, 5.0, -5.0, 5.0)
_, _, points = flows.grid(box, n)
with torch.no_grad():
    log_p = cnf.log_prob(points.expand(2, -1, 2))
mass = flows.integrate(log_p.exp(), box)
fig, axes = plt.subplots(1, 4, figsize=(12, 3.3))
for i, name in enumerate(boxes):
    ax = axes[2 * i]
    picture = ax.imshow(log_p[i].reshape(n, n).numpy(), origin="lower", extent=box, vmin=-12, vmax=-1)
    ax.set(title=f"{name}: learned log-density", xlabel="$x_1$", ylabel="$x_2$")
    ax.grid(False)
    fig.colorbar(picture, ax=ax, shrink=0.75, label="nats")
    ax = axes[2 * i + 1]
    plots.scatter(ax, path[-1, i, :1500], s=2)
    ax.set(title="samples of the flow", xlabel="$x_1$", aspect="equal", xlim=box[:2], ylim=box[2:])
plt.show()
print(f"integrals of the densities: {mass[0]:.2f} and {mass[1]:.2f}")

# %% [markdown]
# *Figure: the learned log-density of both sets, on a scale from -12 to -1 nats, beside samples of the same flow.*
#
# **Reading the picture.** The density integrates to one, and the samples lie where it is high.
# On the logarithmic scale the price of continuity shows: the outer circle, the inner circle and the gap between them
# are one connected piece of the base, stretched. A bridge or a veil of low density is always left between the parts.

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_trace_topology", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": true}
# ### Question 6.7 - What the trace buys, and what a flow cannot do (4 points, ~15 min)
# (a) Compare a normalizing flow made of general layers with a continuous one in $d$ dimensions.
# What does the trace in (5) buy, and what does it not buy? Name costs, restrictions on the layers, and what can be estimated without bias.
#
# (b) The base is a Gaussian in the plane, the data are uniform on two separate discs, or on a ring.
# Can a flow (1) or (9) produce exactly this density? Give the reason, say what a trained flow does instead, and name one way out.
#
# ### BEGIN MARK SCHEME
# One point for each of the following:
#
# * (a) cost: the determinant of a general layer costs $O(d^3)$ after $d$ backward passes for the Jacobian, unless the layer is restricted (planar, triangular, coupling); the trace is linear, so one vector-Jacobian product estimates it without bias (Hutchinson), or a closed form exists for sums of units; no restriction on the layer is needed, the inverse is the same solve backwards;
# * (a) what it does not buy: the exact trace of a general network still needs $d$ backward passes; the ODE has to be solved (many evaluations, solver error can make the density wrong); the unbiased estimate of $\log p$ has variance, and the noise has to be fixed within a solve. Two of these suffice;
# * (b) reason: the map is a homeomorphism (solutions do not cross, the inverse is continuous), so the image of the connected, simply connected plane is again so; two discs are not connected, a ring has a hole;
# * (b) instead: thin bridges of low density between the parts, or a veil in the hole, with steep fields (large Lipschitz constant, more solver steps) as the gap becomes emptier; one way out: extra dimensions (augmented flows), a mixture of flows, a base with the right topology, stochastic steps.
#
# A full answer to (a): a general layer needs its whole Jacobian ($d$ backward passes) and a determinant, $O(d^3)$;
# discrete flows therefore restrict their layers, as the planar one does.
# In continuous time the determinant becomes an integral of traces. The trace is linear in the Jacobian: it adds up over units in closed form,
# and one vector-Jacobian product with random noise estimates it without bias. No layer has to be invertible by design; the inverse is the solve backwards.
# It does not make the exact trace of a general network cheap ($d$ backward passes still), the ODE has to be solved accurately,
# at the cost of many evaluations, or the density is wrong, and the estimate brings variance.
#
# To (b): no. A flow is continuous with a continuous inverse, so it keeps what is connected connected and makes no holes.
# The Gaussian lives on the whole plane; two discs are not connected, and a ring has a hole.
# A trained flow leaves a thin bridge between the discs or a veil inside the ring, and needs a steeper field the thinner they are.
# Ways out: add dimensions, mix several flows, or start from a base with the right topology.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 6.7: double-click here and write.*

# %% [markdown]
# ## 7. Turn the knob
#
# **Full size.** Put `scale.use("full")` into the set-up cell, or set the environment variable `ODENETS_SCALE=full`, and run the notebook again.
# The flows then train 10 000 steps (planar layers 50 000 for density matching) with finer solvers and 20 000 training points.
# The same runs are available from the command line, where they can be interrupted and resumed; the nets are so small that a CPU is as good as a GPU:
#
#     python -m odenets.studies.flows all --out results/flows
#     python -m odenets.studies.flows table --out results/flows
#
# Expect five to ten minutes on one idle core for each of the eight jobs. The package holds what they gave when this course was made.

# %%
for (job, quantity), values in study.recorded().items():
    print(f"{job:15s} {quantity:24s}", *(f"{case} {value:6.3f}  " for case, value in values.items()))

# %% [markdown]
# For the continuous flows believe the rows `kl, 64 steps`: there the solver is finer than in training.
# The row above each of them shows the 16 steps of the training. After so many training steps the CNF with two units
# has cheated on $U_3$ once more, in spite of the price on the energy: its divergence seems to be negative.
#
# With so much training, and with a target that warms up slowly, the layers find both modes of $U_1$,
# and 32 layers end about as close to the targets as 32 units, a little less so on $U_3$:
# the advantage of the CNF was one of speed and of small sizes.
# In maximum likelihood the CNF stays ahead, and is better than the mixture of 10 Gaussians, clearly on the circles and by a hair on the moons.
#
# **Try.** Replace the exact trace by `flows.CNF(..., trace="hutchinson")`: training still works, as the estimate is unbiased.
# Draw the number of solver steps anew for every training step, so that no fixed grid of times can be exploited: does the CNF with two units still cheat?
# Give `study.planar_cnf` more units, take the price on the energy away, and look at the step counts of `dopri5`.

# %% [markdown]
# ## Recap
#
# * A density divides by what a map does to volumes (1). A planar layer makes this cheap and is invertible once $u$ is bent to $\hat u$.
# * In continuous time the log-determinant becomes an integral of traces (5), which the proof and the numbers agree on.
# * The trace can be estimated without bias by one backward pass (7), with noise that is fixed within a solve.
# * One augmented solve backwards gives the log-density of any point (9); the same solve forwards gives samples.
# * Density matching needs a formula, maximum likelihood needs data. A solver that is too coarse lets a flow cheat: check with more steps.
#
# **Left out:** coupling and autoregressive flows, flow matching (training without solving the ODE), images.
#
# **Read on:** G. Papamakarios et al., *Normalizing flows for probabilistic modeling and inference*, JMLR 22 (2021), [arXiv 1912.02762](https://arxiv.org/abs/1912.02762);
# E. Dupont et al., *Augmented neural ODEs*, NeurIPS 2019, [arXiv 1904.01681](https://arxiv.org/abs/1904.01681), for the topology.
#
# **Next:** [07 - Invertible by construction](../07_irevnet/07_irevnet.ipynb)
