# %% [markdown]
# # 09 - Depth as a variable
#
# **The question.** A network of depth $L$ is trained, and then it has depth $L$.
# Can one computation give the outputs of the networks of *all* depths at once,
# and can depth be a variable that one differentiates by?
#
# **Time** about 110 minutes - **points** 24 - **you need** notebook 01 (a residual network
# is Euler's method), notebook 05 (the adjoint), and the chain rule in several variables.
#
# After this notebook you can
#
# 1. *derive* and *test* the equation that the output of a network obeys as a function of its depth,
# 2. *build* a network that solves it layer by layer with Jacobian-vector products,
# 3. *say* exactly when that network is a residual network, and how far it is from one otherwise,
# 4. *compute* gradients at every depth without any backward pass,
# 5. *measure* what all this costs, and name the approximation that makes it cheap.
#
# **Sources.** A. Corbett and D. Kangin, *Imbedding deep neural networks*, ICLR 2022,
# [arXiv 2202.00113](https://arxiv.org/abs/2202.00113): invariant imbedding, InImNet, its adjoint,
# the projectile, the approximate Jacobian.
# Invariant imbedding itself is older: V. Ambarzumian (1943), R. Bellman and G. M. Wing,
# *An introduction to invariant imbedding*, 1975.

# %%
import importlib.util
import matplotlib.pyplot as plt
import numpy as np
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+REPOSITORY#subdirectory=course")
from odenets import check, plots, scale, solvers, training
from odenets.nets import inimnet
from odenets.studies import imbedding_cost
scale.use("lesson")
plots.style()
training.set_seed(0)

# %% [markdown]
# ## 1. Where do I arrive, if I start later?
#
# A ball is thrown straight up at time $p$, from height 0 and with speed $v$.
# How high is it at the fixed time $q$?
# The usual question lets the *end* time run and keeps the start.
# Here it is the other way round: $q$ is fixed, and the **start** $p$ is the variable.
#
# Write $z(q; p, x)$ for the state at time $q$ of the motion that is in the state $x$ at time $p$.
# For the ball the state is $x = (\text{height}, \text{speed})$.
# A network that maps features $x$ to an output is such a map as well:
# time runs through its layers, the output is read at $q$,
# and $q - p$ is its **depth**. Starting later means a shallower network.

# %% [markdown]
# ### Exercise 9.1 - A projectile (2 points, ~3 min)
# Give the height at time $q$ of a body that is thrown upwards at time $p$ from height 0 with speed $v$.
# It falls with the acceleration `gravity`; there is no air.
#
# <details><summary>Hint 1 - a nudge</summary>
# How long has it been flying at time <code>q</code>?</details>
# <details><summary>Hint 2 - the idea</summary>
# After a flight of length T the height is v T minus half of gravity times T squared.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>flight = q - p</code>, then <code>v * flight - gravity * flight**2 / 2</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "projectile", "locked": false, "schema_version": 3, "solution": true, "task": false}
def projectile(p, q, v, gravity):
    """Return the height at time q of a body thrown upwards at time p from height 0.

    Args:
        p, q: start and end in s; numbers or tensors. An end before the start is allowed:
            the same motion, followed back.
        v: speed at time p in m/s, positive upwards.   gravity: in m/s^2, positive.

    Returns:
        The height in m, negative below the ground; numbers give a number, tensors
        broadcast, stay as they are and carry gradients.
    """
    ### BEGIN SOLUTION
    flight = q - p
    return v * flight - gravity * flight**2 / 2
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_projectile", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "projectile",
    points=2,
    answer=lambda: projectile,
    package=inimnet.projectile,
    further=2,
)
def exercise(checks):
    def number(value):  # a number as it came, with its kind
        return ["a number" if isinstance(value, (int, float)) else type(value).__name__, value]

    def slope(function):  # the gradient of a function that gives a number
        def gradient(at):
            at = at.clone().requires_grad_()
            return torch.autograd.grad(function(at), at)[0]
        return gradient

    checks.close(
        "thrown at p = 0.5 with 10 m/s, height at q = 2 on the earth; at p = 1 with 3 m/s, q = 4, on the moon",
        lambda: [projectile(0.5, 2.0, 10.0, 9.8), projectile(1.0, 4.0, 3.0, 1.6)],
        [10.0 * 1.5 - 4.9 * 1.5**2, 3.0 * 3.0 - 0.8 * 3.0**2],
    )
    checks.close(
        "numbers give a number, in m",
        lambda: [*number(projectile(0.25, 1.0, 7.0, 9.8)), *number(projectile(1.0, 3.0, 4.0, 2.0))],
        ["a number", 7.0 * 0.75 - 4.9 * 0.75**2, "a number", 4.0],
    )
    checks.close(
        "the end before the start: the same motion, followed back",
        lambda: [projectile(3.0, 2.0, 5.0, 2.0), projectile(3.0, 2.5, -4.0, 2.0)],
        [-6.0, 1.75],
    )
    checks.close(
        "a height below the ground, where the body has fallen past it",
        lambda: [projectile(0.0, 2.0, 1.0, 9.8), projectile(0.0, 2.0, -1.0, 9.8)],
        [-17.6, -21.6],
    )
    checks.close(
        "three starts in rows, two speeds in columns",
        lambda: projectile(
            torch.tensor([[0.0], [0.25], [0.5]], dtype=torch.float64), 1.0,
            torch.tensor([1.0, 4.0], dtype=torch.float64), 2.0,
        ),
        torch.tensor([[0.0, 3.0], [0.1875, 2.4375], [0.25, 1.75]], dtype=torch.float64),
    )
    checks.close(
        "starts in a tensor, and this tensor afterwards: it is left unchanged",
        lambda: [p := torch.tensor([0.0, 1.0, 2.0]), projectile(p, 2.0, 3.0, 1.6), p][1:],
        [torch.tensor([6.0 - 3.2, 3.0 - 0.8, 0.0]), torch.tensor([0.0, 1.0, 2.0])],
    )
    checks.close(
        "the slope by the start p, at p = 0.5",
        lambda: slope(lambda p: projectile(p, 2.0, 10.0, 9.8))(torch.tensor(0.5)),
        -10.0 + 9.8 * 1.5,
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "gravities in a tensor, thrown downwards",
        lambda: projectile(0.0, 1.5, -2.0, torch.tensor([1.6, 9.8, 24.8])),
        torch.tensor([-3.0 - 0.8 * 2.25, -3.0 - 4.9 * 2.25, -3.0 - 12.4 * 2.25]),
    )
    checks.close(
        "ends in a tensor",
        lambda: projectile(1.0, torch.tensor([1.0, 2.0, 0.0]), 3.0, 4.0),
        torch.tensor([0.0, 1.0, -5.0]),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_projectile = check.yours(exercise)

# %% [markdown]
# *Predict first:* two balls are thrown with the same speed, one of them a quarter of a second later.
# Which of them is higher at time $q$?

# %%
q, gravity = 1.0, 9.81
starts = torch.linspace(0, q, 9)
speeds = [4.0, 6.0, 8.0, 10.0]
fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4), sharey=True)
shades = plt.cm.viridis(np.linspace(0, 0.9, len(starts)))
for p, shade in zip(starts[:-1], shades):
    t = torch.linspace(float(p), q, 60)
    left.plot(t, my_projectile(p, t, 8.0, gravity), color=shade, lw=1.3)
    left.plot(q, my_projectile(p, q, 8.0, gravity), "o", color=shade)
left.axvline(q, color="0.5", lw=1)
left.set(xlabel="time t (s)", ylabel="height (m)", title="the same throw, 8 m/s, at many starts p")
fine = torch.linspace(0, q, 100)
for v in speeds:
    right.plot(fine, my_projectile(fine, q, v, gravity), label=f"v = {v:.0f} m/s")
right.scatter(starts[:-1], my_projectile(starts[:-1], q, 8.0, gravity), color=shades[:-1], zorder=3)
right.set(xlabel="start p (s)", title="the height at q = 1 s as a function of p")
right.legend()
plt.show()

# %% [markdown]
# *Figure: left, the flights of a ball thrown at different times p; dots mark where each is at
# time q = 1 s. Right, the height at q against the start p, for four speeds; the dots are those of the left.*
#
# **Reading the picture.** On the left the variable is the time, and every start needs a flight of its own.
# On the right the variable is the start: one curve holds the ends of *all* flights.
# All curves begin on the right, at $p = q$, where nothing has happened yet and the height is 0,
# and they are followed to the left, into longer and longer flights.
# The later ball may well be the higher one: after its top, an early ball is already falling.

# %% [markdown]
# ## 2. An equation for the start
#
# The motion obeys $\dot z = f(t, z)$ with $z = x$ at $t = p$.
# Follow it for a short time $\delta$, and call that the new start.
# The end stays where it was (the **flow property**):
#
# $$z(q;\, p+\delta,\, x + \delta f(p, x) + O(\delta^2)) = z(q;\, p,\, x). \tag{1}$$
#
# So the change with $p$ and the change with $x$ cancel. Divide by $\delta$ and let it go to zero:
#
# $$\frac{\partial}{\partial p} z(q; p, x) = -\nabla_x z(q; p, x)\, f(p, x), \qquad z(q; q, x) = x. \tag{2}$$
#
# This is the **invariant imbedding** of the problem (Corbett and Kangin 2022, theorem 1):
# an initial value problem in the *depth*, which starts at $p = q$ and runs downwards,
# for all $x$ at once. Mathematicians call it a transport equation.
# There is no boundary to wait for: the outputs of all shallower networks come on the way.

# %% [markdown]
# ### Exercise 9.2 - The residual of the transport equation (3 points, ~8 min)
# Somebody hands you a function `z(p, x)` (the end $q$ is fixed inside) and a field `f(p, x)`.
# Does `z` solve equation (2)? Compute
#
# $$r(p, x) = \frac{z(p + dp, x) - z(p - dp, x)}{2\, dp} + \nabla_x z(p, x)\, f(p, x), \tag{3}$$
#
# which vanishes for a solution, up to $O(dp^2)$.
# The second term is a Jacobian-vector product: `torch.func.jvp(g, (x,), (v,))` returns
# the pair `g(x)`, $\nabla g(x)\, v$, without ever building the matrix $\nabla g$.
# Everything of `torch` is allowed, nothing of `inimnet`.
#
# <details><summary>Hint 1 - a nudge</summary>
# There are three calls of <code>z</code>: two for the difference, one inside of <code>jvp</code>.</details>
# <details><summary>Hint 2 - the idea</summary>
# For <code>jvp</code> the depth is fixed: its function is <code>lambda x: z(p, x)</code>,
# and its direction is the field at the same place.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>_, slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))</code>; return the
# central difference plus <code>slope</code>. The sign is plus: both terms are on one side.</details>

# %% nbgrader={"grade": false, "grade_id": "transport_residual", "locked": false, "schema_version": 3, "solution": true, "task": false}
def transport_residual(z, f, p, x, dp):
    """Return d/dp z(p, x) + (grad_x z(p, x)) f(p, x), which vanishes for a solution.

    Args:
        z: `z(p, x)` has the shape of `x`; the end q is fixed inside. Each sample of the
            batch is treated by itself.
        f: the field; `f(p, x)` has the shape of `x`.
        p: depth, a float.   x: a batch, `(s, n)`.
        dp: half-width of the central difference in p; the derivative by x is exact.

    Returns:
        A tensor of the shape of `x`, which carries gradients.
    """
    ### BEGIN SOLUTION
    slope_in_p = (z(p + dp, x) - z(p - dp, x)) / (2 * dp)
    _, slope_in_x = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))
    return slope_in_p + slope_in_x
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_transport_residual", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "transport_residual",
    points=3,
    answer=lambda: transport_residual,
    package=inimnet.transport_residual,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    M = torch.randn(3, 3, generator=generator, dtype=torch.float64)

    def bend(p, x):  # solves nothing: curved in p and in x, and it mixes the components
        return torch.sin(p**2 * x @ M) * x

    def wind(p, x):
        return torch.cos(x @ M.T + p)

    def pole(p, x):  # z' = t z^2 is solved by z(1; p, x) = x / (1 - x (1 - p^2) / 2)
        return x / (1 - x * (1 - p**2) / 2)

    def by_matrices(p, x, dp):  # the same, with the whole Jacobian of each sample
        J = torch.stack([torch.func.jacrev(lambda r: bend(p, r[None])[0])(row) for row in x])
        slope = (bend(p + dp, x) - bend(p - dp, x)) / (2 * dp)
        return slope + torch.einsum("sij,sj->si", J, wind(p, x))

    def slope(function):  # the gradient of a function that gives a number
        def gradient(at):
            at = at.clone().requires_grad_()
            return torch.autograd.grad(function(at), at)[0]
        return gradient

    checks.close(
        "a function that is no solution, at p = 0.7 with dp = 0.25 and at p = -0.4 with dp = 0.5",
        lambda: [transport_residual(bend, wind, 0.7, x, 0.25), transport_residual(bend, wind, -0.4, x, 0.5)],
        [by_matrices(0.7, x, 0.25), by_matrices(-0.4, x, 0.5)],
    )
    checks.close(
        "a function that moves with p only, and one that moves with x only",
        lambda: [
            transport_residual(lambda p, x: p**3 * torch.ones_like(x), wind, 0.5, x, 0.25),
            transport_residual(lambda p, x: x**3, lambda p, x: p * x, 0.5, x, 0.25),
        ],
        [torch.full((5, 3), 0.8125, dtype=torch.float64), 1.5 * x**3],
    )
    checks.close(
        "z' = t z^2 at p = 0.6: the solution leaves nothing at dp = 0.001, twice the solution does",
        lambda: [
            transport_residual(pole, lambda p, x: p * x**2, 0.6, x.abs() / 3, 1e-3).abs().max() < 1e-5,
            transport_residual(lambda p, x: pole(p, 2 * x), lambda p, x: p * x**2, 0.6, x.abs() / 3, 1e-3).abs().max() > 1e-2,
            transport_residual(pole, lambda p, x: p * x**2, 0.6, x.abs() / 3, 0.2),
        ],
        [
            torch.tensor(True),
            torch.tensor(True),
            (pole(0.8, x.abs() / 3) - pole(0.4, x.abs() / 3)) / 0.4
            + 0.6 * (x.abs() / 3) ** 2 / (1 - x.abs() / 3 * 0.32) ** 2,
        ],
    )
    checks.close(
        "one sample in float32",
        lambda: transport_residual(
            lambda p, x: torch.sin(p * x) * x, lambda p, x: torch.cos(x + p), -0.4, x[:1].float(), 0.5
        ),
        (lambda y: (torch.sin(0.1 * y) - torch.sin(-0.9 * y)) * y
            + torch.cos(y - 0.4) * (torch.sin(-0.4 * y) - 0.4 * y * torch.cos(-0.4 * y)))(x[:1].float()),
    )
    checks.close(
        "the residual carries gradients: its derivative by a number in the field",
        lambda: slope(lambda a: transport_residual(bend, lambda p, x: a * wind(p, x), 0.7, x, 0.25)[0, 1]
        )(torch.tensor(1.5, dtype=torch.float64)),
        (by_matrices(0.7, x, 0.25) - (bend(0.95, x) - bend(0.45, x)) / 0.5)[0, 1],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "another batch, another depth, a small dp",
        lambda: transport_residual(bend, wind, 1.3, 0.5 * x[1:4], 0.125),
        by_matrices(1.3, 0.5 * x[1:4], 0.125),
    )
    checks.close(
        "a pair of samples, a wide dp",
        lambda: transport_residual(bend, wind, 0.2, x[3:], 1.0),
        by_matrices(0.2, x[3:], 1.0),
    )
    checks.close(
        "the derivative of the residual by a number inside z",
        lambda: slope(lambda a: transport_residual(lambda p, x: torch.sin(a * p * x), lambda p, x: a * x, 0.5, x, 0.1).sum()
        )(torch.tensor(1.5, dtype=torch.float64)),
        slope(lambda a: (
                (torch.sin(a * 0.6 * x) - torch.sin(a * 0.4 * x)) / 0.2 + a * 0.5 * torch.cos(a * 0.5 * x) * a * x
            ).sum()
        )(torch.tensor(1.5, dtype=torch.float64)),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_transport_residual = check.yours(exercise)

# %% [markdown]
# Now the ball: does the height of exercise 9.1 solve the transport equation?
# We look at it for a few `dp`, next to a function that is *not* a solution.

# %%
fall = inimnet.projectile_field(gravity)


def thrown(p, x):  # the state at q of a body that is in the state x at time p
    flight = q - p
    return torch.stack([x[:, 0] + my_projectile(p, q, x[:, 1], gravity), x[:, 1] - gravity * flight], dim=1)


def with_drag(p, x):  # the state at q of a body that is slowed down by air: dv/dt = -g - v
    v, flight = x[:, 1] + gravity, torch.tensor(q - p)
    return torch.stack([x[:, 0] + v * (1 - torch.exp(-flight)) - gravity * flight, v * torch.exp(-flight) - gravity], dim=1)


def drag_field(p, x):
    return torch.stack([x[:, 1], -gravity - x[:, 1]], dim=1)


states = torch.tensor([[0.0, 8.0], [1.0, -2.0]], dtype=torch.float64)
halves = [0.2, 0.1, 0.05, 0.025]
cases = {
    "parabola, field of free fall": (thrown, fall),
    "drag, field with drag": (with_drag, drag_field),
    "drag, field of free fall": (with_drag, fall),
}
print("largest residual for dp =", halves)
residuals = {
    name: [my_transport_residual(z, f, 0.3, states, dp).abs().max().item() for dp in halves]
    for name, (z, f) in cases.items()
}
for name, values in residuals.items():
    print(f"{name:30s}", "  ".join("below 1e-9" if v < 1e-9 else f"{v:10.2e}" for v in values))

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.6))
for name, colour in zip(list(cases)[1:], plots.PALETTE):
    ax.loglog(halves, residuals[name], "o-", color=colour, label=name)
plots.slope_triangle(ax, 0.06, residuals["drag, field with drag"][2] / 3, 2)
ax.set(xlabel="half-width dp of the difference", ylabel="largest residual")
ax.set_xticks(halves, [f"{dp:g}" for dp in halves])
ax.minorticks_off()
ax.legend(loc="upper left", bbox_to_anchor=(0, 0.88))
plt.show()

# %% [markdown]
# *Figure: the residual (3) under refinement of dp, for a true solution and for a function that solves
# the equation of another field.*
#
# **Reading the picture.** For the solution only the error of the central difference is left:
# it falls with slope 2. For a parabola it vanishes at once, because the central difference of a parabola is exact.
# The wrong pair keeps its residual whatever `dp` is: that is how a wrong solution is told from a coarse one.

# %% [markdown]
# ## 3. Layers: the discrete InImNet
#
# Solve equation (2) by Euler's method, from $p = q$ downwards with steps of length one.
# Write $\varphi_{l+1}$ for the field at depth $l$ and $z_l(x)$ for $z(q; q - l, x)$:
#
# $$z_0(x) = x, \qquad z_{l+1}(x) = z_l(x) + \frac{\partial z_l}{\partial x}(x)\, \varphi_{l+1}(x). \tag{4}$$
#
# This is the **InImNet**. Notice what is unusual.
#
# * All $\varphi_l$ are evaluated at the *input* $x$. There are no hidden states.
# * $z_l$ is a *function*. Its Jacobian at $x$ is needed, and the Jacobian of that, and so on.
# * $z_0, z_1, \dots, z_L$ are the outputs of networks of the depths $0, 1, \dots, L$,
#   and each of them can be trained.

# %% [markdown]
# ### Exercise 9.3 - InImNet (5 points, ~15 min)
# Compute $z_0(x), \dots, z_L(x)$ of equation (4) with Jacobian-vector products only.
# Everything of `torch` is allowed, nothing of `inimnet`. The list of layers stays as it is.
#
# <details><summary>Hint 1 - a nudge</summary>
# <code>torch.func.jvp</code> wants a function. Which function is z<sub>l</sub>?
# Can you write one that returns z<sub>l</sub>(x) for given <code>x</code> and the first l of the phis?</details>
# <details><summary>Hint 2 - the idea</summary>
# Recursion: the network with the layers phi<sub>1</sub> .. phi<sub>l+1</sub> is made from the network with the layers
# phi<sub>1</sub> .. phi<sub>l</sub>, read at the same <code>x</code>, and its derivative in the direction
# phi<sub>l+1</sub>(x). <code>jvp</code> returns both.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>def depth(l, x)</code>: return <code>x</code> for l = 0; else
# <code>value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))</code>
# and return <code>value + slope</code>. Then list <code>depth(l, x)</code> for l = 0 .. L.</details>

# %% nbgrader={"grade": false, "grade_id": "inimnet_forward", "locked": false, "schema_version": 3, "solution": true, "task": false}
def inimnet_forward(phis, x):
    """Return the outputs of InImNet at all depths.

    Args:
        phis: list of L callables; `phis[0]` is phi_1, the first to act in the recursion.
            `phi(x)` has the shape of `x` and treats each sample by itself.
        x: a batch, the first axis counts the samples.

    Returns:
        A list of L + 1 tensors of the shape of `x`: z_0(x), .., z_L(x). They carry
        gradients for the parameters of the phis.
    """
    ### BEGIN SOLUTION
    def all_depths(count, x):
        if count == 0:
            return (x,)
        direction = phis[count - 1](x)
        values, slopes = torch.func.jvp(lambda x: all_depths(count - 1, x), (x,), (direction,))
        return (*values, values[-1] + slopes[-1])

    return list(all_depths(len(phis), x))
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_inimnet_forward", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "inimnet_forward",
    points=5,
    answer=lambda: inimnet_forward,
    package=(inimnet.inimnet_forward, inimnet.inimnet_forward_parts, inimnet.inimnet_forward_jacobian),
    further=4,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    W = torch.randn(4, 3, 3, generator=generator, dtype=torch.float64)
    curved = [lambda x, A=A: torch.tanh(x @ A) + 0.3 * x.flip(-1) ** 2 for A in W]

    def by_hand(x, one, two):  # depth 2, with the whole Jacobian of one
        J = torch.stack([torch.func.jacfwd(lambda r: one(r[None])[0])(row) for row in x])
        return x + one(x) + two(x) + torch.einsum("sij,sj->si", J, two(x))

    def whole(phis, x):  # all depths, with whole Jacobians
        return list(inimnet.inimnet_forward_jacobian(phis, x))

    def slope(function):  # the gradient of a function that gives a number
        def gradient(at):
            at = at.clone().requires_grad_()
            return torch.autograd.grad(function(at), at)[0]
        return gradient

    checks.close(
        "two layers: z_2 with the Jacobian of z_1 worked out by hand, for two such pairs",
        lambda: [inimnet_forward(curved[:2], x)[2], inimnet_forward(curved[2:], x)[2]],
        [by_hand(x, curved[0], curved[1]), by_hand(x, curved[2], curved[3])],
    )
    checks.close(
        "four layers: all depths z_0 .. z_4",
        lambda: inimnet_forward(list(curved), x),
        whole(curved, x),
    )
    checks.close(
        "one layer, and no layer at all: z_0 is the input",
        lambda: [inimnet_forward(curved[1:2], x), inimnet_forward([], x)],
        [[x, x + curved[1](x)], [x]],
    )
    checks.close(
        "called twice with one list, one sample: the list is left as it was",
        lambda: [layers := curved[:3], inimnet_forward(layers, x[:1])[-1], inimnet_forward(layers, x[1:2])[-1], len(layers)][1:],
        [whole(curved[:3], x[:1])[-1], whole(curved[:3], x[1:2])[-1], 3],
    )
    checks.close(
        "the gradient of z_3 with respect to the weights of each layer",
        lambda: slope(lambda V: inimnet_forward([lambda x, A=A: torch.tanh(x @ A) for A in V], x)[3][0, 1]
        )(W[:3]),
        slope(lambda V: whole([lambda x, A=A: torch.tanh(x @ A) for A in V], x)[3][0, 1])(W[:3]),
    )
    pictures = x.float().view(1, 2, 3, 2)
    layers = [lambda x: torch.sin(x.flip(1)), lambda x: 0.5 * x.roll(1, -1) ** 2, torch.tanh]
    checks.close(
        "pictures of 2 channels in float32, three layers",
        lambda: inimnet_forward(layers, pictures),
        list(inimnet.inimnet_forward(layers, pictures)),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "three other layers, a batch of two",
        lambda: inimnet_forward([curved[3], curved[1], curved[0]], 0.5 * x[2:]),
        whole([curved[3], curved[1], curved[0]], 0.5 * x[2:]),
    )
    checks.close(
        "one layer three times",
        lambda: inimnet_forward([curved[2]] * 3, x),
        whole([curved[2]] * 3, x),
    )
    checks.close(
        "a tuple of layers, in float32",
        lambda: inimnet_forward((torch.sin, torch.cos), x.float())[2],
        by_hand(x.float(), torch.sin, torch.cos),
    )
    checks.close(
        "the gradient of z_2 with respect to the input",
        lambda: slope(lambda x: inimnet_forward(curved[1:3], x)[2][0, 0])(x),
        slope(lambda x: whole(curved[1:3], x)[2][0, 0])(x),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_inimnet_forward = check.yours(exercise)

# %% [markdown]
# One layer of the ball. Free fall has the field $f(x) = (v, -g)$; take Euler steps of length $h$ in $p$,
# that is $\varphi = h f$, and compare with the parabola.

# %%
h = 0.125
layers = [lambda x: h * fall(None, x)] * int(q / h)
throws = torch.tensor([[0.0, v] for v in speeds])
depths = my_inimnet_forward(layers, throws)
fig, ax = plt.subplots(figsize=(7, 3.8))
for k, v in enumerate(speeds):
    line, = ax.plot(fine, my_projectile(fine, q, v, gravity), label=f"exact, v = {v:.0f} m/s")
    heights = [z[k, 0].item() for z in depths]
    ax.plot([q - l * h for l in range(len(heights))], heights, "o", color=line.get_color())
ax.set(xlabel="start p (s)", ylabel="height at q = 1 s (m)", ylim=(-3.2, 6.5))
ax.invert_xaxis()
ax.legend(title="dots: InImNet, depths 0 to 8", loc="lower left", ncols=2)
plt.show()
exact = my_projectile(0.0, q, throws[:, 1], gravity)
print(f"error at depth 8 for the four speeds: {np.array2string((depths[-1][:, 0] - exact).numpy(), precision=3)} m")
print(f"gravity * q * h / 2 = {gravity * q * h / 2:.3f} m")

# %% [markdown]
# *Figure: heights at time q as the depth grows, to the right; lines are exact, dots are the
# outputs of one InImNet with eight layers.*
#
# **Reading the picture.** One forward recursion gave all dots, for all four balls.
# The dots lie above the parabolas by $g\,T h/2$ after a flight $T$, the same for every speed.
# That is Euler's error, of order one in the step $h$; a better method in $p$ makes it smaller.
# `inimnet.imbed` solves equation (2) by any explicit Runge-Kutta method of this course.

# %%
def pendulum(p, x):  # angle and angular velocity, driven by a force that grows with time
    return torch.stack([x[:, 1], -torch.sin(x[:, 0]) + 0.3 * p], dim=1)


start = torch.tensor([[1.0, 0.0], [2.0, 0.5]], dtype=torch.float64)
times = torch.tensor([0.0, 1.0], dtype=torch.float64)
truth = solvers.odeint(pendulum, start, times, method="dopri5", rtol=1e-11, atol=1e-12)[-1]
plans = scale.pick(
    quick={"euler": [1, 2, 4], "heun": [1, 2]},
    lesson={"euler": [1, 2, 4, 8], "heun": [1, 2, 4], "rk4": [1, 2]},
    full={"euler": [1, 2, 4, 8, 12], "heun": [1, 2, 4, 6], "rk4": [1, 2, 3]},
)
fig, ax = plt.subplots(figsize=(6.5, 3.8))
for method, counts in plans.items():
    errors = [(inimnet.imbed(pendulum, start, [1.0, 0.0], method, n)[-1] - truth).abs().max().item() for n in counts]
    ax.loglog(counts, errors, "o-", color=plots.COLOURS[method], label=method)
    print(f"{method:6s} error with {counts[-1]} steps in p: {errors[-1]:.1e}")
ax.set(xlabel="steps in p", ylabel="error of z(q; 0, x)", xticks=[1, 2, 4, 8], xticklabels=["1", "2", "4", "8"])
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# *Figure: the error of a driven pendulum, solved in its depth p by three methods.*
#
# **Reading the picture.** The transport equation is an ODE in $p$, so the methods of notebook 04 apply,
# and the higher the order of a method, the steeper its line. Its state is a whole function of $x$, however, and each stage
# is one more derivative of it: $n$ stages cost $(3^n - 1)/2$ multiplications by the field's weights, three times as much
# with each further stage (section 6 says why). More than a dozen stages are out of reach.

# %% [markdown]
# ## 4. Is it a residual network?
#
# A residual network takes the same Euler steps for the ODE itself, forwards in time:
# it starts at depth $p$ and applies the deepest layer *first*. As functions of the input,
#
# $$z_{l+1}(x) = z_l(x + \varphi_{l+1}(x)). \tag{5}$$
#
# Expand the right-hand side: $z_l(x) + \frac{\partial z_l}{\partial x}\varphi_{l+1} + \dots$,
# which is equation (4) and more. For affine $z_l$ there is no more.

# %% [markdown]
# ### Exercise 9.4 - The residual networks of all depths (3 points, ~8 min)
# Compute $z_0(x), \dots, z_L(x)$ of equation (5).
# No derivative is needed, but every depth needs a pass of its own.
# Nothing of `inimnet` is allowed. The list of layers stays as it is.
#
# <details><summary>Hint 1 - a nudge</summary>
# For depth 2: which layer sees the input itself, and what does the other one see?</details>
# <details><summary>Hint 2 - the idea</summary>
# The network of depth l applies phi<sub>l</sub> first, then phi<sub>l-1</sub>, and phi<sub>1</sub> last:
# that is the list <code>phis[:l]</code> from its end.</details>
# <details><summary>Hint 3 - almost the code</summary>
# For each l = 0 .. L: <code>state = x</code>; <code>for phi in reversed(phis[:l]): state = state + phi(state)</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "resnet_forward_from", "locked": false, "schema_version": 3, "solution": true, "task": false}
def resnet_forward_from(phis, x):
    """Return the outputs of the residual networks of all depths.

    Args:
        phis: list of L callables; `phis[0]` is phi_1, the layer next to the output.
        x: a batch, any shape; it is left unchanged.

    Returns:
        A list of L + 1 tensors of the shape of `x`: z_{l+1}(x) = z_l(x + phi_{l+1}(x)),
        which carry gradients.
    """
    ### BEGIN SOLUTION
    depths = [x]
    for count in range(1, len(phis) + 1):
        state = x
        for phi in reversed(phis[:count]):
            state = state + phi(state)
        depths.append(state)
    return depths
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_resnet_forward_from", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "resnet_forward_from",
    points=3,
    answer=lambda: resnet_forward_from,
    package=inimnet.resnet_forward_from,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    W = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
    one, two, three = curved = [lambda x, A=A: torch.tanh(x @ A) for A in W]
    affine = [lambda x, A=A: x @ A + A[0] for A in W]

    def after(*layers):  # a residual network, the first of the layers first
        def network(x):
            for phi in layers:
                x = x + phi(x)
            return x
        return network

    def slope(function):  # the gradient of a function that gives a number
        def gradient(at):
            at = at.clone().requires_grad_()
            return torch.autograd.grad(function(at), at)[0]
        return gradient

    checks.close(
        "three curved layers, all depths; and the last of them from 2 x",
        lambda: [resnet_forward_from(list(curved), x), resnet_forward_from(list(curved), 2 * x)[-1]],
        [[x, after(one)(x), after(two, one)(x), after(three, two, one)(x)], after(three, two, one)(2 * x)],
    )
    checks.close(
        "affine layers: the deepest output is that of InImNet",
        lambda: [resnet_forward_from(list(affine), x)[-1], resnet_forward_from(affine[1:], x)[-1]],
        [inimnet.inimnet_forward(affine, x)[-1], inimnet.inimnet_forward(affine[1:], x)[-1]],
    )
    checks.close(
        "one layer, and no layer at all: z_0 is the input",
        lambda: [resnet_forward_from([two], x), resnet_forward_from([], x)],
        [[x, x + two(x)], [x]],
    )
    checks.close(
        "called twice with one list: the list is left as it was",
        lambda: [layers := curved[:2], resnet_forward_from(layers, x)[-1], resnet_forward_from(layers, 2 * x)[-1]][1:],
        [after(two, one)(x), after(two, one)(2 * x)],
    )
    checks.close(
        "pictures in float32, and the input afterwards: it is left unchanged",
        lambda: [kept := x.float().view(2, 2, 3), resnet_forward_from([torch.sin, torch.cos, torch.tanh], kept)[-1], kept][1:],
        [after(torch.tanh, torch.cos, torch.sin)(x.float().view(2, 2, 3)), x.float().view(2, 2, 3)],
    )
    checks.close(
        "the gradient of z_2 with respect to the weights",
        lambda: slope(lambda V: resnet_forward_from([lambda x, A=A: torch.tanh(x @ A) for A in V], x)[2][0, 1]
        )(W[:2]),
        slope(lambda V: (x + torch.tanh(x @ V[1]) + torch.tanh((x + torch.tanh(x @ V[1])) @ V[0]))[0, 1])(W[:2]),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "five layers, one sample",
        lambda: resnet_forward_from([one, three, two, one, two], x[:1]),
        [x[:1], after(one)(x[:1]), after(three, one)(x[:1]), after(two, three, one)(x[:1]),
         after(one, two, three, one)(x[:1]), after(two, one, two, three, one)(x[:1])],
    )
    checks.close(
        "a tuple of layers, in float32",
        lambda: resnet_forward_from((torch.sin, torch.cos), x.float()),
        [x.float(), after(torch.sin)(x.float()), after(torch.cos, torch.sin)(x.float())],
    )
    checks.close(
        "the gradient of z_3 with respect to the input",
        lambda: slope(lambda x: resnet_forward_from(list(curved), x)[3][0, 0])(x),
        slope(lambda x: after(three, two, one)(x)[0, 0])(x),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_resnet_forward_from = check.yours(exercise)

# %% [markdown]
# How far apart are the two when the layers bend? We shrink all layers by a factor $\varepsilon$
# and watch the difference at depth 3, together with the approximation of section 6.
#
# *Predict first:* equation (4) keeps the first derivative of $z_l$ and drops the second.
# With which power of $\varepsilon$ will the difference go?

# %%
generator = torch.Generator().manual_seed(5)
x = torch.randn(32, 3, generator=generator, dtype=torch.float64)
matrices = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
sizes = [0.2, 0.1, 0.05, 0.025, 0.0125]


def gaps(bend):
    found = {"InImNet and residual network": [], "exact and approximate Jacobian": []}
    for size in sizes:
        phis = [lambda x, A=A, size=size: size * bend(x @ A) for A in matrices]
        exact = my_inimnet_forward(phis, x)[-1]
        others = my_resnet_forward_from(phis, x)[-1], inimnet.inimnet_forward_approximate(phis, x)[-1]
        for name, other in zip(found, others):
            found[name].append((exact - other).abs().max().item())
    return found


fig, ax = plt.subplots(figsize=(6.5, 3.8))
for (name, values), colour, marker in zip(gaps(torch.tanh).items(), ("resnet", "approximate"), "o^"):
    slope = np.polyfit(np.log(sizes), np.log(values), 1)[0]
    print(f"curved layers, {name}: slope {slope:.1f}")
    ax.loglog(sizes, values, marker + "-", color=plots.COLOURS[colour], label=name)
affine_gap = max(gaps(lambda y: y + 1)["InImNet and residual network"])
print(f"affine layers, InImNet and residual network: {'below 1e-12' if affine_gap < 1e-12 else 'not equal'}")
plots.slope_triangle(ax, 0.03, 1e-5, 3)
ax.set(xlabel="size $\\varepsilon$ of the layers", ylabel="largest difference at depth 3")
ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
ax.minorticks_off()
ax.legend()
plt.show()

# %% [markdown]
# *Figure: two differences at depth 3 against the size of the layers.*
#
# **Reading the picture.** Both have slope 3: the networks agree up to the second order.
# The dropped term is $\tfrac12\, \partial^2 z_l\, [\varphi_{l+1}, \varphi_{l+1}]$, and $\partial^2 z_l$ is itself of the size of a layer.
# For affine layers the difference is rounding error.
# So InImNet is another discretisation of the same continuous network, neither better nor worse in order.

# %% [markdown]
# ## 5. Gradients at every depth, without going back
#
# Notebook 05 computed gradients by solving an equation *backwards*.
# Invariant imbedding turns that around as well.
# Let $L$ be a loss of the output and $\Lambda(p, x) = \nabla_x L(z(q; p, x))$ its gradient at the input
# of the network that starts at $p$. Differentiate the transport equation of $L(z(q; p, x))$ by $x$:
#
# $$\frac{\partial \Lambda}{\partial p} = -(\nabla_x \Lambda)\, f - (\nabla_x f)^\top \Lambda, \qquad \Lambda(q, x) = \nabla L(x). \tag{6}$$
#
# It starts at $p = q$ too, and runs in the *same* direction as the outputs:
# there is one sweep, and no backward pass (Corbett and Kangin 2022, theorem 2). In layers,
#
# $$\Lambda_0 = \nabla L, \qquad
# \Lambda_{l+1} = \Lambda_l + \frac{\partial \Lambda_l}{\partial x}\varphi_{l+1} + \Big(\frac{\partial\varphi_{l+1}}{\partial x}\Big)^{\!\top} \Lambda_l. \tag{7}$$

# %% [markdown]
# ### Exercise 9.5 - The adjoint of all depths (5 points, ~15 min)
# Compute $\Lambda_0(x), \dots, \Lambda_L(x)$ of equation (7).
# The second term is a Jacobian-vector product as before, now of the function $\Lambda_l$.
# The third is a *vector-Jacobian* product: `value, pull = torch.func.vjp(phi, x)`, then `pull(v)[0]`
# is $(\partial\varphi/\partial x)^\top v$.
# Everything of `torch` is allowed, and of `inimnet` only what earlier exercises asked for.
# The list of layers stays as it is.
#
# <details><summary>Hint 1 - a nudge</summary>
# It is the recursion of exercise 9.3 with another beginning and one more term.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>jvp</code> of the shallower Lambda in the direction phi(x) gives Lambda<sub>l</sub>(x) and the
# second term at once. The first result of <code>vjp</code> is phi(x), the direction.</details>
# <details><summary>Hint 3 - almost the code</summary>
# In <code>adjoint(l, x)</code>: for l = 0 return <code>loss_grad(x)</code>; else
# <code>direction, pull = torch.func.vjp(phis[l - 1], x)</code>,
# <code>value, slope = torch.func.jvp(lambda x: adjoint(l - 1, x), (x,), (direction,))</code>,
# and return <code>value + slope + pull(value)[0]</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "inimnet_adjoint", "locked": false, "schema_version": 3, "solution": true, "task": false}
def inimnet_adjoint(phis, x, loss_grad):
    """Return the gradient of a loss at the input of InImNet, for all depths.

    Args:
        phis, x: as in `inimnet_forward`.
        loss_grad: `loss_grad(x)` is the gradient of a scalar loss, of the shape of `x`;
            each sample by itself.

    Returns:
        A list of L + 1 tensors of the shape of `x`: Lambda_0(x), .., Lambda_L(x). They
        carry gradients for the parameters of the phis.
    """
    ### BEGIN SOLUTION
    def all_depths(count, x):
        if count == 0:
            return (loss_grad(x),)
        direction, pull = torch.func.vjp(phis[count - 1], x)
        values, slopes = torch.func.jvp(lambda x: all_depths(count - 1, x), (x,), (direction,))
        return (*values, values[-1] + slopes[-1] + pull(values[-1])[0])

    return list(all_depths(len(phis), x))
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_inimnet_adjoint", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "inimnet_adjoint",
    points=5,
    answer=lambda: inimnet_adjoint,
    package=(inimnet.inimnet_adjoint, inimnet.transported_loss),
    further=4,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    W = torch.randn(4, 3, 3, generator=generator, dtype=torch.float64)
    curved = [lambda x, A=A: 0.5 * torch.tanh(x @ A) for A in W]
    linear = [lambda x, A=A: x @ A for A in W]
    target = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)

    def cubic(x):
        return x[:, 0] ** 2 * x[:, 1] + torch.sin(x[:, 2])

    def grad_cubic(x):
        return torch.stack([2 * x[:, 0] * x[:, 1], x[:, 0] ** 2, torch.cos(x[:, 2])], dim=1)

    def by_autograd(phis, x, loss):  # the gradients of the losses that equation (8) transports
        return [
            torch.func.grad(lambda x, l=l: inimnet.transported_loss(phis, x, loss)[l].sum())(x)
            for l in range(len(phis) + 1)
        ]

    def slope(function):  # the gradient of a function that gives a number
        def gradient(at):
            at = at.clone().requires_grad_()
            return torch.autograd.grad(function(at), at)[0]
        return gradient

    checks.close(
        "one layer and a cubic loss: Lambda_1, for two such layers",
        lambda: [inimnet_adjoint(curved[:1], x, grad_cubic)[1], inimnet_adjoint(curved[1:2], x, grad_cubic)[1]],
        [by_autograd(curved[:1], x, cubic)[1], by_autograd(curved[1:2], x, cubic)[1]],
    )
    products = [target]
    for A in W:
        products.append((eye + A) @ products[-1])
    checks.close(
        "linear layers x A_l, linear loss c: products of the 1 + A_l",
        lambda: inimnet_adjoint(list(linear), x, lambda x: target.expand_as(x)),
        [product.expand(4, 3) for product in products],
    )
    checks.close(
        "three curved layers, all depths",
        lambda: inimnet_adjoint(curved[:3], x, grad_cubic),
        by_autograd(curved[:3], x, cubic),
    )
    checks.close(
        "two layers in float32, and no layer: the gradient of the loss",
        lambda: [
            inimnet_adjoint([torch.sin, lambda x: 0.2 * x.roll(1, -1) ** 2], x[:1].float(), grad_cubic),
            inimnet_adjoint([], x, grad_cubic),
        ],
        [
            by_autograd([torch.sin, lambda x: 0.2 * x.roll(1, -1) ** 2], x[:1].float(), cubic),
            [grad_cubic(x)],
        ],
    )
    checks.close(
        "called twice with one list: the list is left as it was",
        lambda: [
            layers := curved[1:3],
            inimnet_adjoint(layers, x, grad_cubic)[-1],
            inimnet_adjoint(layers, 2 * x, grad_cubic)[-1],
        ][1:],
        [by_autograd(curved[1:3], x, cubic)[-1], by_autograd(curved[1:3], 2 * x, cubic)[-1]],
    )
    checks.close(
        "the gradient of Lambda_2 with respect to the weights of its layers",
        lambda: slope(lambda V: inimnet_adjoint([lambda x, A=A: torch.tanh(x @ A) for A in V], x, grad_cubic)[2][0, 1]
        )(W[:2]),
        slope(lambda V: by_autograd([lambda x, A=A: torch.tanh(x @ A) for A in V], x, cubic)[2][0, 1]
        )(W[:2]),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "four curved layers, all depths, a square loss",
        lambda: inimnet_adjoint(list(curved), x, lambda x: x - target),
        by_autograd(curved, x, lambda x: (x - target).square().sum(dim=1) / 2),
    )
    checks.close(
        "one layer twice, one sample",
        lambda: inimnet_adjoint([curved[3]] * 2, x[2:3], grad_cubic),
        by_autograd([curved[3]] * 2, x[2:3], cubic),
    )
    checks.close(
        "curved layers of another size, a linear loss",
        lambda: inimnet_adjoint([torch.sin, torch.cos], x[:, :2].float(), lambda x: torch.ones_like(x)),
        by_autograd([torch.sin, torch.cos], x[:, :2].float(), lambda x: x.sum(dim=1)),
    )
    checks.close(
        "a tuple of layers",
        lambda: inimnet_adjoint((linear[0], curved[1]), x, grad_cubic)[-1],
        by_autograd((linear[0], curved[1]), x, cubic)[-1],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_inimnet_adjoint = check.yours(exercise)

# %% [markdown]
# **What exactly is $\Lambda_l$?** It is the gradient of a loss that is *transported* like the output is,
#
# $$E_0 = L, \qquad E_{l+1}(x) = E_l(x) + \nabla E_l(x) \cdot \varphi_{l+1}(x), \qquad \Lambda_l = \nabla E_l, \tag{8}$$
#
# and not of $L(z_l(x))$: a curved loss of the output is not the same as the transported loss.
# The two agree to the first order of $\varphi$ and differ in the second. Your $\Lambda$ measures it,
# for the loss $\sum (x - 1)^4 / 4$ at depth 3.

# %%
def gap_of_gradients(size):
    phis = [lambda x, A=A: size * torch.tanh(x @ A) for A in matrices]
    carried = my_inimnet_adjoint(phis, x, lambda x: (x - 1) ** 3)[-1]
    end, pull = torch.func.vjp(lambda x: my_inimnet_forward(phis, x)[-1], x)
    return (carried - pull((end - 1) ** 3)[0]).abs().max().item()


slope = np.polyfit(np.log(sizes), np.log([gap_of_gradients(size) for size in sizes]), 1)[0]
print(f"Lambda_3 and the gradient of the loss of z_3: the gap goes with the power {slope:.1f} of the size of the layers")

# %% [markdown]
# For training we want the gradient for the weights $\theta_L$ of the deepest layer.
# They occur in $\varphi_L$ only, and $E_{L-1}$ does not depend on them, so equation (8) gives
#
# $$\frac{dE_L}{d\theta_L} = \Lambda_{L-1}(x)^\top\, \frac{\partial \varphi_L}{\partial \theta_L}(x) \quad\text{exactly.} \tag{9}$$
#
# Each layer can be trained as the deepest one of its own network.

# %% [markdown]
# ### Exercise 9.6 - The gradient for the weights (3 points, ~8 min)
# Compute equation (9), summed over the samples. For $\Lambda$ you may use `inimnet.inimnet_adjoint` of the package;
# layers, parameters and the gradients that parameters hold in `.grad` stay as they are.
#
# <details><summary>Hint 1 - a nudge</summary>
# Which of the Lambdas stands in (9)? Count the layers that it has behind it.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>torch.autograd.grad(outputs, inputs, grad_outputs=v)</code> computes v<sup>T</sup> d outputs / d inputs
# and sums over all entries, the samples included.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>sensitivity = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1]</code>, then
# <code>torch.autograd.grad(phis[-1](x), params, sensitivity.detach(), allow_unused=True)</code>;
# put <code>torch.zeros_like(param)</code> where the result is <code>None</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "parameter_gradient", "locked": false, "schema_version": 3, "solution": true, "task": false}
def parameter_gradient(phis, params, x, loss_grad):
    """Return the gradient of the transported loss for the deepest layer.

    Args:
        phis, x, loss_grad: as in `inimnet_adjoint`; there is at least one phi.
        params: list of parameters (tensors that require gradients) of `phis[-1]`.

    Returns:
        A tuple with one tensor per parameter, summed over the samples; zeros for a
        parameter that `phis[-1]` does not use.
    """
    ### BEGIN SOLUTION
    sensitivity = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(phis[-1](x), params, sensitivity, allow_unused=True)
    return tuple(
        torch.zeros_like(param) if grad is None else grad
        for param, grad in zip(params, grads)
    )
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_parameter_gradient", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "parameter_gradient",
    points=3,
    answer=lambda: parameter_gradient,
    package=(inimnet.parameter_gradient, inimnet.transported_loss),
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    W = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
    b = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    W, b = ([part.clone().requires_grad_() for part in whole] for whole in (W, b))
    curved = [lambda x, A=A, c=c: 0.5 * torch.tanh(x @ A + c) for A, c in zip(W, b)]
    unused = torch.ones(2, requires_grad=True)

    def loss(x):
        return torch.sin(x).sum(dim=-1) + x[..., 0] ** 2 * x[..., 1]

    def loss_grad(x):
        return torch.func.grad(lambda x: loss(x).sum())(x)

    def by_autograd(phis, params, x):
        total = inimnet.transported_loss(phis, x, loss)[-1].sum()
        return torch.autograd.grad(total, params)

    checks.close(
        "three layers and two layers, against autograd through the transported loss",
        lambda: [
            parameter_gradient(list(curved), [W[2], b[2]], x, loss_grad),
            parameter_gradient(curved[:2], [b[1], W[1]], x, loss_grad),
        ],
        [by_autograd(curved, [W[2], b[2]], x), by_autograd(curved[:2], [b[1], W[1]], x)],
    )
    checks.close(
        "a single layer: the gradient of the loss is the sensitivity",
        lambda: parameter_gradient(curved[:1], [W[0]], x, loss_grad),
        torch.autograd.grad(curved[0](x), [W[0]], loss_grad(x)),
    )
    checks.close(
        "a parameter that the layer does not use, in the middle: zeros of its shape and dtype",
        lambda: parameter_gradient(list(curved), [b[2], unused, W[2]], x, loss_grad),
        [by_autograd(curved, [b[2]], x)[0], torch.zeros(2), by_autograd(curved, [W[2]], x)[0]],
    )
    checks.close(
        "one sample, in a tuple with one tensor per parameter",
        lambda: [
            type(parameter_gradient(list(curved), [b[2], W[2]], x[:1], loss_grad)).__name__,
            parameter_gradient(list(curved), [b[2], W[2]], x[:1], loss_grad),
        ],
        ["tuple", by_autograd(curved, [b[2], W[2]], x[:1])],
    )
    checks.close(
        "asked twice, with the list of layers and the gradients of the parameters left as they were",
        lambda: [
            layers := curved[:2],
            parameter_gradient(layers, [W[1]], x, loss_grad),
            parameter_gradient(layers, [W[1]], 2 * x, loss_grad),
            len(layers),
            W[1].grad is None,
        ][1:],
        [by_autograd(curved[:2], [W[1]], x), by_autograd(curved[:2], [W[1]], 2 * x), 2, True],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "other parameters of the deepest layer, three samples",
        lambda: parameter_gradient([curved[2], curved[0], curved[1]], [W[1]], x[1:4], loss_grad),
        by_autograd([curved[2], curved[0], curved[1]], [W[1]], x[1:4]),
    )
    single = torch.tensor([[0.5, -1.0]], requires_grad=True)
    scaled = [torch.sin, lambda x: x * single]
    total = inimnet.transported_loss(scaled, x[:, :2].float(), lambda x: x.sin().sum(dim=1))[-1].sum()
    checks.close(
        "float32, a parameter that is multiplied with the input",
        lambda: parameter_gradient(list(scaled), [single], x[:, :2].float(), torch.cos),
        torch.autograd.grad(total, [single]),
    )
    checks.close(
        "only parameters that the layer does not use",
        lambda: [parameter_gradient(curved[:1], [unused, b[0]], x, loss_grad)[0], parameter_gradient(curved[:1], [W[0]], x[:2], loss_grad)[0]],
        [torch.zeros(2), torch.autograd.grad(curved[0](x[:2]), W[0], loss_grad(x[:2]))[0]],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_parameter_gradient = check.yours(exercise)

# %% [markdown]
# The difference to the ordinary gradient, in numbers: we shrink the layers once more.

# %%
generator = torch.Generator().manual_seed(8)
x = torch.randn(32, 3, generator=generator, dtype=torch.float64)


def quartic(x):
    return (x - 1).pow(4).sum(dim=-1) / 4


def ratio_of_gap(size):
    theta = matrices[2].clone().requires_grad_()
    phis = [lambda x, A=A: size * torch.tanh(x @ A) for A in (*matrices[:2], theta)]
    ours = my_parameter_gradient(phis, [theta], x, lambda x: (x - 1) ** 3)[0]
    output = my_inimnet_forward(phis, x)[-1]
    (ordinary,) = torch.autograd.grad(quartic(output).sum(), theta, retain_graph=True)
    transported = inimnet.transported_loss(phis, x, quartic)[-1].sum()
    (exact,) = torch.autograd.grad(transported, theta)
    return (ours - exact).abs().max().item(), (ours - ordinary).abs().max().item()


small = [0.02, 0.01, 0.005]
found = [ratio_of_gap(size) for size in small]
print("gradient of the transported loss, largest difference:", "below 1e-10" if max(f[0] for f in found) < 1e-10 else "too large")
slope = np.polyfit(np.log(small), np.log([f[1] for f in found]), 1)[0]
print(f"gradient of the loss of the output: the difference goes with the power {slope:.1f} of the size of the layers")

# %% [markdown]
# **Reading the numbers.** $\Lambda$ gives the gradient of the transported loss to the last digit.
# The ordinary gradient is another quantity; for small layers the difference shrinks with about the second power of their size.

# %% [markdown]
# ## 6. What does it cost?
#
# Every layer asks for one more derivative of everything below it.
# We count, for dense layers of width 50 and a batch of 64, three things:
# multiplications in units of one evaluation of $\varphi$, time of a forward and a backward pass,
# and memory that is held for the backward pass. The contestants:
#
# * **nested products**: exercise 9.3 as it stands;
# * **in parts**: the same numbers, by hand-made dual numbers: $2^k$ parts (a value and its mixed
#   derivatives along $k$ directions) lie in one tensor and go through each matrix together; that is
#   what the package uses (`inimnet_forward_parts`);
# * **whole Jacobians**: $\partial z_l / \partial x$ as a matrix for each sample;
# * **approximate Jacobian**: with $J_l = \partial z_l / \partial x$, the exact rule
#   $J_{l+1} = J_l + \partial (J_l \varphi_{l+1})/\partial x$ is cut down to
#
# $$J_{l+1} \approx J_l + \frac{\partial \varphi_{l+1}}{\partial x}, \tag{10}$$
#
#   which drops the terms in which two layers meet. First derivatives are enough then;
# * **residual networks**: all depths by equation (5).

# %% tags=["nbval-ignore-output"]
contestants = {
    "nested products": (my_inimnet_forward, scale.pick(quick=3, lesson=6, full=8), plots.COLOURS["inimnet"], "--"),
    "in parts": (inimnet.inimnet_forward_parts, scale.pick(quick=3, lesson=8, full=10), plots.COLOURS["inimnet"], "-"),
    "whole Jacobians": (inimnet.inimnet_forward_jacobian, scale.pick(quick=2, lesson=3, full=3), plots.GREEN, "-"),
    "approximate Jacobian": (inimnet.inimnet_forward_approximate, scale.pick(quick=3, lesson=8, full=16), plots.COLOURS["approximate"], "-"),
    "residual networks": (my_resnet_forward_from, scale.pick(quick=3, lesson=8, full=16), plots.COLOURS["resnet"], "-"),
}
costs = {
    name: [imbedding_cost.measure(forward, depth) for depth in training.progress(range(1, deepest + 1), name)]
    for name, (forward, deepest, _, _) in contestants.items()
}
print(f"{'all depths up to':22s}" + "".join(f"{depth:>9d}" for depth in range(1, 9)))
for name, values in costs.items():
    print(f"{name:22s}" + "".join(f"{cost.work:9.1f}" for cost in values[:8]))

# %%
fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.9))
for name, values in costs.items():
    _, _, colour, style = contestants[name]
    depths = range(1, len(values) + 1)
    axes[0].semilogy(depths, [cost.work for cost in values], style, marker="o", color=colour, label=name)
    axes[1].semilogy(depths, [1e3 * cost.seconds for cost in values], style, marker="o", color=colour)
    axes[2].semilogy(depths, [cost.megabytes for cost in values], style, marker="o", color=colour)
for ax, title in zip(axes, ("multiplications, in evaluations of $\\varphi$", "time of a step (ms)", "held for the backward pass (MB)")):
    ax.set(xlabel="depth L", title=title)
axes[0].legend(fontsize=8, handlelength=3.2)
plt.show()

# %% [markdown]
# *Figure: work, time and memory for the outputs of all depths up to L, on logarithmic axes.*
#
# **Reading the picture.** Whole Jacobians are hopeless beyond depth 3.
# Exact products are exponential in the depth, straight lines here:
# in parts it is $2^L - 1$ evaluations; the nested products of `torch.func.jvp` do more than that,
# because they also multiply with derivatives of the weights, which are zero.
# The approximate Jacobian takes $L^2$ evaluations, and all the residual networks $L(L+1)/2$.
# Exact depth is affordable up to four or five layers, and that is what the authors use, or less.

# %% [markdown]
# Depth eight, then, wants the approximate variant. Does it train?
# The data are made up: the target turns each input in the plane of its first two coordinates,
# further the longer the input is.

# %%
n_steps = scale.pick(quick=10, lesson=150, full=1000)
training.set_seed(9)
net = inimnet.InImNet(lambda: inimnet.DenseField(50, 50), depth=8, variant="approximate")
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
generator = torch.Generator().manual_seed(9)


def turned(x):
    angle = x.norm(dim=1) / 7
    first = angle.cos() * x[:, 0] - angle.sin() * x[:, 1]
    second = angle.sin() * x[:, 0] + angle.cos() * x[:, 1]
    return torch.cat([first[:, None], second[:, None], x[:, 2:]], dim=1)


def misfit(x):  # per depth, relative to doing nothing
    error = (net(x) - turned(x)).square().sum(dim=(1, 2))
    return error / error[0].detach()


for _ in training.progress(range(n_steps), "depth 8"):
    optimizer.zero_grad()
    misfit(torch.randn(64, 50, generator=generator)).mean().backward()
    optimizer.step()
with torch.no_grad():
    left = misfit(torch.randn(1000, 50, generator=generator))
if scale.current() != "quick":
    print("error relative to depth 0 is below one half at depths:", [l for l in range(9) if left[l] < 0.5])

# %% [markdown]
# **Reading the numbers.** One optimiser trained the networks of all depths together.
# From the first layer on each of them does better than doing nothing.

# %% [markdown]
# ## 7. Learning to throw
#
# Now we do not tell the network the law of gravity.
# It sees throws: a start $x = (0, v)$ and the height at time $q$, for flights of 1, 2, 3 and 4 quarters of a second.
# The same $\varphi$ acts at every depth (**coupled weights**), because the law is the same at all times.
# Lengths are in units of 10 m.
#
# *Predict first:* what will this network say at depths 5 and 6, flights longer than any it has seen?

# %%
unit, h, trained_depth, extra = 10.0, 0.25, 4, 2
training.set_seed(10)
net = inimnet.InImNet(lambda: inimnet.DenseField(2, 16), depth=trained_depth, coupled=True)
generator = torch.Generator().manual_seed(10)
v = (3 + 10 * torch.rand(64, generator=generator)) / unit
x = torch.stack([torch.zeros(64), v], dim=1)


def heights(v, depth):  # closed form, for all depths
    return torch.stack([my_projectile(-l * h, 0.0, v, gravity / unit) for l in range(depth + 1)])


optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
n_steps = scale.pick(quick=40, lesson=1200, full=6000)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
for _ in training.progress(range(n_steps), "throws"):
    optimizer.zero_grad()
    (net(x)[..., 0] - heights(v, trained_depth)).square().mean().backward()
    optimizer.step()
    schedule.step()

asked = torch.tensor(speeds) / unit
with torch.no_grad():
    answer = net(torch.stack([torch.zeros(4), asked], dim=1), depth=trained_depth + extra)[..., 0]
wrong = unit * (answer - heights(asked, trained_depth + extra)).abs().amax(dim=1)
if scale.current() != "quick":
    print("largest error at the trained depths 1 to 4 below 0.1 m:", bool((wrong[1:5] < 0.1).all()))
    print("largest error at the depths 5 and 6, never trained, below 1.5 m:", bool((wrong[5:] < 1.5).all()))

# %%
fig, ax = plt.subplots(figsize=(7.5, 4))
flights = torch.linspace(0, (trained_depth + extra) * h, 100)
for k, speed in enumerate(speeds):
    line, = ax.plot(flights, my_projectile(0.0, flights, speed, gravity), label=f"exact, v = {speed:.0f} m/s")
    learned = unit * answer[:, k]
    ax.plot(h * torch.arange(5), learned[:5], "o", color=line.get_color())
    ax.plot(h * torch.arange(5, 7), learned[5:], "o", mfc="white", color=line.get_color())
ax.axvspan(4.5 * h, 6.4 * h, color="0.92", zorder=0)
ax.text(5.4 * h, 5.6, "never trained", ha="center", color="0.4")
ax.set(xlabel="flight q - p (s)", ylabel="height (m)", xlim=(-0.1, 6.4 * h), ylim=(-6, 6.3))
ax.legend(title="dots: learned, depths 0 to 6", loc="lower left", ncols=2)
plt.show()

# %% [markdown]
# *Figure: heights against the length of the flight; lines are exact, filled dots are learned,
# open dots come from the same network at depths that were never trained.*
#
# **Reading the picture.** The learned dots are on the parabolas, better than the Euler steps of section 3 were:
# $\varphi$ has learned a step that is right for its length.
# With coupled weights the recursion can go on beyond the trained depth, and here it follows the parabolas,
# at least for a while. Why? With one $\varphi$ the recursion is $z_{l+1} = (1 + D)\, z_l$ with $D g = (\nabla g)\, \varphi$,
# so that $z_l = \sum_k \binom{l}{k} D^k x$: Newton's series, with the differences $D^k x$.
# The law of free fall needs only the first two of them, and where the trained $\varphi$ keeps the further ones small,
# the series goes on along the parabola. Notebook 10 asks videos the same question.

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_all_depths", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 9.7 - What is learned at every depth at once? (3 points, ~10 min)
# Compare training an InImNet of depth 4 on the sum of the losses of all depths with training four residual
# networks of the depths 1 to 4. In five or six sentences:
# which weights occur in the output of depth 2? What does training the depth-4 output do to it?
# What becomes of this with coupled weights? And what does the sum of the losses cost you, in accuracy and in time?
#
# ### BEGIN MARK SCHEME
# One point for each of these three, half of it for an incomplete answer:
#
# * **Who depends on whom.** $z_2$ contains $\varphi_1$ and $\varphi_2$ only; $z_4$ contains all four.
#   Training $z_4$ alone therefore also changes $z_2$ (through $\varphi_1, \varphi_2$), but nothing makes it a good
#   network of its own; the sum of the losses does. Four separate residual networks share nothing.
# * **Coupled weights.** One $\varphi$ has to serve all depths: the outputs of the depths are then samples of one
#   function of the depth (Newton's series in $l$), there are fewer parameters, and the recursion can be read beyond the
#   trained depth; without coupling there is nothing beyond it.
# * **The price.** The layers next to the output ($\varphi_1$ above all) have to satisfy all losses at once, so the deepest
#   output can be worse than when trained alone; the time of exact products is exponential in the depth
#   ($2^L - 1$ evaluations for all depths together) against $1 + 2 + 3 + 4$ for four residual networks, so that the gain is in
#   having one consistent family and one forward sweep, not in speed; the approximate Jacobian takes $L^2$.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 9.7: double-click here and write.*

# %% [markdown]
# ## 8. Turn the knob
#
# **Full size.** With `scale.use("full")` in the set-up cell, or `ODENETS_SCALE=full`, the cost figure goes to depth 10
# (exact) and 16 (approximate), the orders in $p$ are measured with more steps, and the throws are trained longer.
# Expect some minutes. InImNet on real images, with a GPU if you have one, is the subject of notebook 10.
# Things to try here: give the ball a drag that is quadratic in its speed; let every depth have weights of its own
# in section 7 and see what it learns and what is lost; give the net of section 7 `variant="approximate"`.

# %% [markdown]
# ## Recap
#
# * Seen as a function of its start, the output of a continuous network obeys a transport equation (2):
#   an initial value problem in the depth. A residual (3) under refinement tells solutions from the rest.
# * InImNet (4) is Euler's method for it; nested Jacobian-vector products give the outputs of all depths.
# * It equals a residual network for affine layers and agrees with it up to the second order otherwise.
# * The adjoint (7) runs in the same direction as the outputs. It is the exact gradient of the transported loss (8).
# * Exact depth costs $2^L - 1$ evaluations of a layer; the approximate Jacobian (10) costs $L^2$.
#
# **Left out:** the general non-linear boundary value problem that invariant imbedding was invented for,
# running costs in the loss, and higher-order methods in $p$ for training.
#
# **Read on:** Corbett and Kangin 2022; R. Bellman and G. M. Wing, *An introduction to
# invariant imbedding*, 1975.
#
# **Next:** [10 - Predicting video at every depth](../10_inimnet_video/10_inimnet_video.ipynb)
