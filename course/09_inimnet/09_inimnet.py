# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 - Depth as a variable
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/odenets/odenets-course/blob/main/course/09_inimnet/09_inimnet.ipynb)
#
# **The question.** A network of depth $L$ is trained, and then it has depth $L$.
# Can one computation give the outputs of the networks of *all* depths at once,
# and can depth be a variable that one differentiates by?
# Whoever knows that can choose the depth last.
#
# **Time** about 100 minutes - **points** 24 - **you need** notebook 01 (a residual network
# is Euler's method), notebook 05 (the adjoint), and the chain rule in several variables.
#
# **Short of time?** Do exercises 9.2, 9.3 and 9.5.
#
# After this notebook you can
#
# 1. *test* whether a function obeys the equation of the output as a function of its depth,
# 2. *build* a network that solves it layer by layer with Jacobian-vector products,
# 3. *compare* it with the residual networks of all depths,
# 4. *derive* and *compute* gradients at every depth without any backward pass,
# 5. *say* what is learned at every depth at once, and what it costs.
#
# **Sources.** A. Corbett and D. Kangin, *Imbedding deep neural networks*, ICLR 2022,
# [arXiv 2202.00113](https://arxiv.org/abs/2202.00113): invariant imbedding, InImNet, its adjoint,
# the projectile, the approximate Jacobian. Older: R. Bellman and G. M. Wing,
# *An introduction to invariant imbedding*, 1975.

# %%
import importlib.util
import matplotlib.pyplot as plt
import numpy as np
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/odenets/odenets-course#subdirectory=course")
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
# How high is it at the fixed time $q$? Here the **start** $p$ is the variable, not the end.
#
# Write $z(q; p, x)$ for the state at time $q$ of the motion that is in the state $x$ at time $p$.
# A network is such a map as well: time runs through its layers, the output is read at $q$, and
# $q - p$ is its **depth**. Starting later means a shallower network.
#
# ### Exercise 9.1 - A projectile (2 points, ~3 min, difficulty 1 of 5)
# Give the height at time $q$ of a body that is thrown upwards at time $p$ from height 0 with speed
# $v$. It falls with the acceleration `gravity`; there is no air.
#
# <details><summary>Hint 1 - a nudge</summary>
# How long has it been flying at time <code>q</code>?</details>
# <details><summary>Hint 2 - the idea</summary>
# After a flight of length T the height is v T minus half of gravity times T squared.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>flight = q - p</code>, then <code>v * flight - gravity * flight**2 / 2</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "6985b4efa4d84e022940be621aee4d77", "grade": false, "grade_id": "projectile", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "3bcd3c3cd10d406de32c975959db935c", "grade": true, "grade_id": "test_projectile", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
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
        "from p = 0.5 with 10 m/s to q = 2 on the earth; from 1 with 3 m/s to 4 on the moon",
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
            torch.tensor([[0.0], [0.25], [0.5]], dtype=torch.float64),
            1.0,
            torch.tensor([1.0, 4.0], dtype=torch.float64),
            2.0,
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


check.score(exercise)

# %% [markdown]
# **Predict.** Two balls are thrown with 8 m/s, one at $p = 0$, the other at $p = 0.25$ s.
# Which is higher at $q = 1$ s?

# %%
higher = check.predict("Which ball is higher?", among=["the early one", "the late one"], mine="")

# %%
my_projectile = check.yours(exercise)
q, gravity = 1.0, 9.81
starts = torch.linspace(0, q, 9)[:-1]


def picture(v=8, g=9.81):
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4), sharey=True)
    for p, marker in zip(starts, plots.MARKERS):
        t = torch.linspace(float(p), q, 60)
        (line,) = left.plot(t, my_projectile(p, t, v, g), lw=1)
        for ax, place in ((left, q), (right, p)):
            ax.plot(place, my_projectile(p, q, v, g), marker, color=line.get_color())
    fine = torch.linspace(0, q, 100)
    right.plot(fine, my_projectile(fine, q, v, g), color="0.6", zorder=0)
    left.set(xlabel="time t (s)", ylabel="height (m)", title="one throw at many starts p")
    right.set(xlabel="start p (s)", title="the height at q = 1 s, by the start")
    return fig


words = "Left, eight parabolas that start at different times; right, their heights at q = 1 s, "
words += "on one curve over the start: 3.1 m for p = 0, highest near p = 0.2, 0 at p = 1."
plots.live(picture, words, v=[4, 6, 8, 10], g=[1.62, 3.71, 9.81])
early, late = (my_projectile(p, q, 8.0, gravity) for p in (0.0, 0.25))
print(f"heights at q = 1 s: {early:.2f} m and {late:.2f} m")
higher.reveal("the late one" if late > early else "the early one", "the early one is falling again")


# %% [markdown]
# *Figure: left, flights of a ball thrown at different times p; right, its places at q against p.*
#
# **Reading the picture.** On the right one curve holds the ends of *all* flights. It begins at
# $p = q$, where nothing has happened yet, and runs to the left, into longer and longer flights.
#
# ## 2. An equation for the start
#
# The motion obeys $\dot z = f(t, z)$ with $z = x$ at $t = p$.
# Follow it for a short time $\delta$, and call that the new start. The end stays where it was:
#
# $$z(q;\, p+\delta,\, x + \delta f(p, x) + O(\delta^2)) = z(q;\, p,\, x). \tag{1}$$
#
# So the change with $p$ and the change with $x$ cancel. Divide by $\delta$ and let it go to zero:
#
# $$\frac{\partial}{\partial p} z(q; p, x) = -\nabla_x z(q; p, x)\, f(p, x), \qquad z(q; q, x) = x. \tag{2}$$
#
# This **invariant imbedding** (Corbett and Kangin 2022, theorem 1), a *transport equation*, is an
# initial value problem in the *depth*: it starts at $p = q$ and runs downwards, for all $x$ at once.
# The outputs of all shallower networks come on the way.
#
# ### Exercise 9.2 - The residual of the transport equation (3 points, ~8 min, difficulty 2 of 5, important)
# Somebody hands you `z(p, x)` (the end $q$ is fixed inside) and a field `f(p, x)`.
# Does `z` solve (2)? Compute
#
# $$r(p, x) = \frac{z(p + dp, x) - z(p - dp, x)}{2\, dp} + \nabla_x z(p, x)\, f(p, x), \tag{3}$$
#
# which vanishes for a solution, up to $O(dp^2)$. The second term is a Jacobian-vector product:
# `torch.func.jvp(g, (x,), (v,))` returns the pair `g(x)`, $\nabla g(x)\, v$.
# Everything of `torch` is allowed, nothing of `inimnet`.
#
# <details><summary>Hint 1 - a nudge</summary>
# There are three calls of <code>z</code>: two for the difference, one inside of <code>jvp</code>.</details>
# <details><summary>Hint 2 - the idea</summary>
# For <code>jvp</code> the depth is fixed: its function is <code>lambda x: z(p, x)</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>_, slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))</code>; return the
# central difference plus <code>slope</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "4f0859e940f233bf1e6e4f67a12d4ee4", "grade": false, "grade_id": "transport_residual", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "9198d3d3083c9405ea8f40b90fe46f40", "grade": true, "grade_id": "test_transport_residual", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
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
        lambda: [
            transport_residual(bend, wind, 0.7, x, 0.25),
            transport_residual(bend, wind, -0.4, x, 0.5),
        ],
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
            transport_residual(pole, lambda p, x: p * x**2, 0.6, x.abs() / 3, 1e-3).abs().max()
            < 1e-5,
            transport_residual(
                lambda p, x: pole(p, 2 * x), lambda p, x: p * x**2, 0.6, x.abs() / 3, 1e-3
            )
            .abs()
            .max()
            > 1e-2,
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
            lambda p, x: torch.sin(p * x) * x,
            lambda p, x: torch.cos(x + p),
            -0.4,
            x[:1].float(),
            0.5,
        ),
        (
            lambda y: (
                (torch.sin(0.1 * y) - torch.sin(-0.9 * y)) * y
                + torch.cos(y - 0.4) * (torch.sin(-0.4 * y) - 0.4 * y * torch.cos(-0.4 * y))
            )
        )(x[:1].float()),
    )
    checks.close(
        "the residual carries gradients: its derivative by a number in the field",
        lambda: slope(
            lambda a: transport_residual(bend, lambda p, x: a * wind(p, x), 0.7, x, 0.25)[0, 1]
        )(torch.tensor(1.5, dtype=torch.float64)),
        (by_matrices(0.7, x, 0.25) - (bend(0.95, x) - bend(0.45, x)) / 0.5)[0, 1],
    )


check.score(exercise)

# %%
my_transport_residual = check.yours(exercise)
fall = inimnet.projectile_field(gravity)


def thrown(p, x):  # the state at q of a body that is in the state x at time p
    height = x[:, 0] + my_projectile(p, q, x[:, 1], gravity)
    return torch.stack([height, x[:, 1] - gravity * (q - p)], dim=1)


def slowed(p, x, drag=1.0):  # the same with air: dv/dt = -g - drag * v
    flight, v = torch.tensor(q - p), x[:, 1] + gravity / drag
    left = torch.exp(-drag * flight)
    height = x[:, 0] + v * (1 - left) / drag - gravity / drag * flight
    return torch.stack([height, v * left - gravity / drag], dim=1)


def drag_field(p, x, drag=1.0):
    return torch.stack([x[:, 1], -gravity - drag * x[:, 1]], dim=1)


states = torch.tensor([[0.0, 8.0], [1.0, -2.0]], dtype=torch.float64)
halves = [0.2, 0.1, 0.05, 0.025]
print("largest residual for dp =", halves)
for name, z, f in (
    ("parabola, field of free fall", thrown, fall),
    ("drag, field with drag", slowed, drag_field),
    ("drag, field of free fall", slowed, fall),
):
    found = [my_transport_residual(z, f, 0.3, states, dp).abs().max().item() for dp in halves]
    print(f"{name:30s}", " ".join("below 1e-9" if r < 1e-9 else f"{r:10.1e}" for r in found))

# %% [markdown]
# **Reading the numbers.** For a true solution only the error of the central difference is left: a
# quarter when `dp` is halved, none for a parabola. The wrong pair keeps its residual.
#
# ### Explore - Weigh the air
# Flights through air of unknown drag: *choose a drag for the field so that the residual falls below
# 0.01.*

# %%
secret = float(0.5 + torch.rand(1, generator=torch.Generator().manual_seed(9)))
drag = 1.0  # yours, from 0.5 to 1.5


def flights(p, x):
    return slowed(p, x, secret)


def believed(p, x):
    return drag_field(p, x, drag)


left = my_transport_residual(flights, believed, 0.3, states, 1e-3).abs().max().item()
print(f"residual with drag {drag}: {left:.3f}")
print("the aim is met" if left < 0.01 else "the aim is not met yet")


# %% [markdown]
# <details><summary>What others found</summary> 1.156: the residual is a straight line in the drag on
# each side.</details>
#
# ## 3. Layers: the discrete InImNet
#
# Solve (2) by Euler's method, from $p = q$ downwards with steps of length one.
# Write $\varphi_{l+1}$ for the field at depth $l$ and $z_l(x)$ for $z(q; q - l, x)$. A step *down*
# turns the minus of (2) into a plus:
#
# $$z_0(x) = x, \qquad z_{l+1}(x) = z_l(x) + \frac{\partial z_l}{\partial x}(x)\, \varphi_{l+1}(x). \tag{4}$$
#
# In this **InImNet** all $\varphi_l$ are evaluated at the *input*: there are no hidden states. And $z_l$
# is a *function*: its Jacobian at $x$ is needed, and the Jacobian of that.
#
# ### Exercise 9.3 - InImNet (5 points, ~15 min, difficulty 4 of 5, important)
# Compute $z_0(x), \dots, z_L(x)$ of (4) with Jacobian-vector products only.
# Everything of `torch` is allowed, nothing of `inimnet`. The list of layers stays as it is.
# (A `lambda` in a loop sees the *last* value of the loop's variable.)
#
# <details><summary>Hint 1 - a nudge</summary>
# <code>torch.func.jvp</code> wants a function. Can you write one that returns z<sub>l</sub>(x) for
# given <code>x</code> and the first l of the phis?</details>
# <details><summary>Hint 2 - the idea</summary>
# Recursion: depth l + 1 is made from depth l, read at the same <code>x</code>, and its derivative in the
# direction phi<sub>l+1</sub>(x). <code>jvp</code> returns both.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>def depth(l, x)</code>: return <code>x</code> for l = 0; else
# <code>value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))</code>
# and return <code>value + slope</code>. List it for l = 0 .. L.</details>

# %% nbgrader={"cell_type": "code", "checksum": "c56c1f8724a826db1cf9444152434882", "grade": false, "grade_id": "inimnet_forward", "locked": false, "schema_version": 3, "solution": true, "task": false}
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

    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "b8e720b642febc8b78debef89d24b038", "grade": true, "grade_id": "test_inimnet_forward", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "inimnet_forward",
    points=5,
    answer=lambda: inimnet_forward,
    package=(
        inimnet.inimnet_forward,
        inimnet.inimnet_forward_parts,
        inimnet.inimnet_forward_jacobian,
        inimnet.transported_loss,  # with the identity as its loss
    ),
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
        lambda: [
            layers := curved[:3],
            inimnet_forward(layers, x[:1])[-1],
            inimnet_forward(layers, x[1:2])[-1],
            len(layers),
        ][1:],
        [whole(curved[:3], x[:1])[-1], whole(curved[:3], x[1:2])[-1], 3],
    )
    checks.close(
        "the gradient of z_3 with respect to the weights of each layer",
        lambda: slope(
            lambda V: inimnet_forward([lambda x, A=A: torch.tanh(x @ A) for A in V], x)[3][0, 1]
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


check.score(exercise)

# %% [markdown]
# Eight layers of the ball: Euler steps of length $h$ in $p$ are layers $\varphi = h f$.

# %%
my_inimnet_forward = check.yours(exercise)
h, speeds = q / 8, [4.0, 6.0, 8.0, 10.0]
throws = torch.tensor([[0.0, speed] for speed in speeds], dtype=torch.float64)
depths = my_inimnet_forward([lambda x: h * fall(0.0, x)] * 8, throws)
fine = torch.linspace(0, q, 100)
fig, ax = plt.subplots(figsize=(6.8, 3.4))
for k, (speed, marker) in enumerate(zip(speeds, plots.MARKERS)):
    (line,) = ax.plot(fine, my_projectile(fine, q, speed, gravity), label=f"{speed:.0f} m/s")
    places = [q - l * h for l in range(9)]
    ax.plot(places, [z[k, 0].item() for z in depths], marker, color=line.get_color())
ax.set(xlabel="start p (s)", ylabel="height at q = 1 s (m)", ylim=(-3.2, 6.5))
ax.invert_xaxis()
ax.legend(title="lines: exact; marks: InImNet", loc="lower left", ncols=2)
plots.show(
    fig,
    "Height at q against the start, p falling to the right: four exact parabolas and the marks of "
    "eight layers, each a little above its line, the more the deeper.",
)
exact = my_projectile(0.0, q, throws[:, 1], gravity)
print("error at depth 8, in m:", [round(float(e), 3) for e in depths[-1][:, 0] - exact])
print(f"gravity * q * h / 2 = {gravity * q * h / 2:.3f} m")


# %% [markdown]
# *Figure: heights at q as the depth grows, to the right.*
#
# **Reading the picture.** One recursion gave all marks. They lie above the parabolas by $g\,T h/2$
# after a flight $T$, whatever the speed: Euler's error, of order one.
#
# ## 4. Is it a residual network?
#
# A residual network takes the same Euler steps for the ODE itself, forwards in time:
# it starts at depth $p$ and applies the deepest layer *first*. As functions of the input,
#
# $$z_{l+1}(x) = z_l(x + \varphi_{l+1}(x)). \tag{5}$$
#
# Expanded, $z_l(x) + \frac{\partial z_l}{\partial x}\varphi_{l+1} + \dots$, this is (4) and more. For
# affine $z_l$ there is no more.
#
# ### Exercise 9.4 - The residual networks of all depths (3 points, ~8 min, difficulty 2 of 5)
# Compute $z_0(x), \dots, z_L(x)$ of (5).
# No derivative is needed, but every depth needs a pass of its own.
# Nothing of `inimnet` is allowed. The list of layers stays as it is.
#
# <details><summary>Hint 1 - a nudge</summary>
# For depth 2: which layer sees the input itself, and what does the other one see?</details>
# <details><summary>Hint 2 - the idea</summary>
# Depth l applies phi<sub>l</sub> first and phi<sub>1</sub> last: <code>phis[:l]</code> from its end.</details>
# <details><summary>Hint 3 - almost the code</summary>
# For each l = 0 .. L: <code>state = x</code>; <code>for phi in reversed(phis[:l]): state = state + phi(state)</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "c52f50fd2aa130e61a1e19934854516d", "grade": false, "grade_id": "resnet_forward_from", "locked": false, "schema_version": 3, "solution": true, "task": false}
def resnet_forward_from(phis, x):
    """Return the outputs of the residual networks of all depths.

    Args:
        phis: list of L callables; `phis[0]` is phi_1, the layer next to the output.
        x: a batch, any shape; it is left unchanged.

    Returns:
        A list of L + 1 tensors of the shape of `x`: z_{l+1}(x) = z_l(x + phi_{l+1}(x)),
        which carry gradients.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "39ea83c82e5f8426acfd9deb5c017e93", "grade": true, "grade_id": "test_resnet_forward_from", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
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
        lambda: [
            resnet_forward_from(list(curved), x),
            resnet_forward_from(list(curved), 2 * x)[-1],
        ],
        [
            [x, after(one)(x), after(two, one)(x), after(three, two, one)(x)],
            after(three, two, one)(2 * x),
        ],
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
        lambda: [
            layers := curved[:2],
            resnet_forward_from(layers, x)[-1],
            resnet_forward_from(layers, 2 * x)[-1],
        ][1:],
        [after(two, one)(x), after(two, one)(2 * x)],
    )
    checks.close(
        "pictures in float32, and the input afterwards: it is left unchanged",
        lambda: [
            kept := x.float().view(2, 2, 3),
            resnet_forward_from([torch.sin, torch.cos, torch.tanh], kept)[-1],
            kept,
        ][1:],
        [after(torch.tanh, torch.cos, torch.sin)(x.float().view(2, 2, 3)), x.float().view(2, 2, 3)],
    )
    checks.close(
        "the gradient of z_2 with respect to the weights",
        lambda: slope(
            lambda V: resnet_forward_from([lambda x, A=A: torch.tanh(x @ A) for A in V], x)[2][0, 1]
        )(W[:2]),
        slope(
            lambda V: (x + torch.tanh(x @ V[1]) + torch.tanh((x + torch.tanh(x @ V[1])) @ V[0]))[
                0, 1
            ]
        )(W[:2]),
    )


check.score(exercise)

# %% [markdown]
# **Predict.** Shrink all layers by a factor $\varepsilon$. With which power of $\varepsilon$ goes the
# difference between InImNet and residual network, at depth 3? Equation (4) keeps the first
# derivative of $z_l$ and drops the second.

# %%
power = check.predict("the power of epsilon", among=check.number(0, 6), mine="", within=1.1)

# %%
my_resnet_forward_from = check.yours(exercise)
generator = torch.Generator().manual_seed(5)
x = torch.randn(32, 3, generator=generator, dtype=torch.float64)
matrices = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
sizes = [0.2, 0.1, 0.05, 0.025, 0.0125]


def gap(bend, size):
    """Return the largest difference between InImNet and residual network at depth 3."""
    phis = [lambda x, A=A: size * bend(x @ A) for A in matrices]
    return (
        (my_inimnet_forward(phis, x)[-1] - my_resnet_forward_from(phis, x)[-1]).abs().max().item()
    )


gaps = [gap(torch.tanh, size) for size in sizes]
slope = np.polyfit(np.log(sizes), np.log(gaps), 1)[0]
affine = max(gap(lambda y: y + 1, size) for size in sizes)
print(f"curved layers: slope {slope:.1f}; affine layers:", end=" ")
print("below 1e-12" if affine < 1e-12 else f"{affine:.1e}")
fig, ax = plt.subplots(figsize=(6, 3.2))
ax.loglog(sizes, gaps, "o-")
plots.slope_triangle(ax, 0.03, gaps[2] / 4, 3)
ax.set(xlabel="size $\\varepsilon$ of the layers", ylabel="largest difference at depth 3")
ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
ax.minorticks_off()
plots.show(fig, "The difference against the size of the layers, a line of slope 3 on log axes.")
power.reveal(round(slope), "what is dropped is a second derivative of layers, times two layers")


# %% [markdown]
# *Figure: InImNet against the residual network with the same curved layers.*
#
# **Reading the picture.** They agree up to the second order: two discretisations of one network.
#
# ## 5. Gradients at every depth, without going back
#
# Notebook 05 solved an equation *backwards*. Here a loss $L$ can be **transported** like the output,
#
# $$E_0 = L, \qquad E_{l+1}(x) = E_l(x) + \nabla E_l(x) \cdot \varphi_{l+1}(x). \tag{6}$$
#
# For a linear loss $E_l = L(z_l(x))$ (why?). What is its gradient at the input,
# $\Lambda_l = \nabla E_l$? **Differentiate (6) by $x$**, and find a recursion for $\Lambda_{l+1}$ that knows
# only $\Lambda_l$ and $\varphi_{l+1}$.
#
# ### Exercise 9.5 - The adjoint of all depths (5 points, ~18 min, difficulty 4 of 5, important)
# Compute $\Lambda_0(x), \dots, \Lambda_L(x)$ by your recursion. Besides `jvp` you need a
# *vector-Jacobian* product: `value, pull = torch.func.vjp(phi, x)`, then `pull(v)[0]` is
# $(\partial\varphi/\partial x)^\top v$.
# Everything of `torch` is allowed, and of `inimnet` only what earlier exercises asked for.
# The list of layers stays as it is.
#
# <details><summary>Hint 1 - a nudge</summary>
# By the product rule there is exercise 9.3 with another beginning, and one term more: phi depends on
# x, too.</details>
# <details><summary>Hint 2 - the idea</summary>
# Lambda<sub>l+1</sub> = Lambda<sub>l</sub> + (dLambda<sub>l</sub>/dx) phi + (dphi/dx)<sup>T</sup> Lambda<sub>l</sub>, for
# the Jacobian of a gradient is symmetric.</details>
# <details><summary>Hint 3 - almost the code</summary>
# In <code>adjoint(l, x)</code>: for l = 0 return <code>loss_grad(x)</code>; else
# <code>direction, pull = torch.func.vjp(phis[l - 1], x)</code>,
# <code>value, slope = torch.func.jvp(lambda x: adjoint(l - 1, x), (x,), (direction,))</code>,
# and return <code>value + slope + pull(value)[0]</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "1529201d2f5f332f6cb6fc3060e4adb5", "grade": false, "grade_id": "inimnet_adjoint", "locked": false, "schema_version": 3, "solution": true, "task": false}
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

    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "838abd45e6efff8c733c5ca4b5eb9e16", "grade": true, "grade_id": "test_inimnet_adjoint", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
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

    def by_autograd(phis, x, loss):  # the gradients of the losses that equation (6) transports
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
        lambda: [
            inimnet_adjoint(curved[:1], x, grad_cubic)[1],
            inimnet_adjoint(curved[1:2], x, grad_cubic)[1],
        ],
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
            inimnet_adjoint(
                [torch.sin, lambda x: 0.2 * x.roll(1, -1) ** 2], x[:1].float(), grad_cubic
            ),
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
        lambda: slope(
            lambda V: inimnet_adjoint([lambda x, A=A: torch.tanh(x @ A) for A in V], x, grad_cubic)[
                2
            ][0, 1]
        )(W[:2]),
        slope(
            lambda V: by_autograd([lambda x, A=A: torch.tanh(x @ A) for A in V], x, cubic)[2][0, 1]
        )(W[:2]),
    )


check.score(exercise)

# %% [markdown]
# In continuous depth, with $\Lambda(q, x) = \nabla L(x)$ (Corbett and Kangin 2022, theorem 2),
#
# $$\frac{\partial \Lambda}{\partial p} = -(\nabla_x \Lambda)\, f - (\nabla_x f)^\top \Lambda. \tag{7}$$
#
# It runs in the *same* direction as the outputs: no backward pass.
#
# **Predict.** For a loss that is *not* linear: is $\Lambda_3$ the gradient of $L(z_3(x))$?

# %%
same = check.predict("Lambda_3 and the gradient of L(z_3)", among=["equal", "different"], mine="")

# %%
my_inimnet_adjoint = check.yours(exercise)


def gap_of_gradients(size):
    phis = [lambda x, A=A: size * torch.tanh(x @ A) for A in matrices]
    carried = my_inimnet_adjoint(phis, x, lambda x: (x - 1) ** 3)[-1]
    end, pull = torch.func.vjp(lambda x: my_inimnet_forward(phis, x)[-1], x)
    return ((carried - pull((end - 1) ** 3)[0]).norm() / carried.norm()).item()


differ = [gap_of_gradients(size) for size in sizes]
slope = np.polyfit(np.log(sizes), np.log(differ), 1)[0]
print(f"relative difference for layers of size 0.2: {differ[0]:.3f}, power {slope:.1f}")
same.reveal("different" if differ[0] > 1e-6 else "equal", "a bent loss is not transported as it is")


# %% [markdown]
# For training we want the gradient for the weights. Those of the deepest layer, $\theta_L$, occur in
# $\varphi_L$ only, so that (6) gives
#
# $$\frac{dE_L}{d\theta_L} = \Big(\frac{\partial \varphi_L}{\partial \theta_L}(x)\Big)^{\!\top} \Lambda_{L-1}(x) \quad\text{exactly.} \tag{8}$$
#
# ### Exercise 9.6 - The gradient for the weights (3 points, ~8 min, difficulty 3 of 5)
# Compute (8), summed over the samples. For $\Lambda$ you may use `inimnet.inimnet_adjoint`;
# layers, parameters and the gradients that parameters hold in `.grad` stay as they are.
#
# <details><summary>Hint 1 - a nudge</summary>
# Which of the Lambdas stands in (8)? Count the layers behind it.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>torch.autograd.grad(outputs, inputs, grad_outputs=v)</code> computes v<sup>T</sup> d outputs / d inputs
# and sums over all entries, the samples included.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>sensitivity = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1]</code>, then
# <code>torch.autograd.grad(phis[-1](x), params, sensitivity.detach(), allow_unused=True)</code>;
# zeros where the result is <code>None</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "ae8c88f9de8ddab6cc0ca68689b721b9", "grade": false, "grade_id": "parameter_gradient", "locked": false, "schema_version": 3, "solution": true, "task": false}
def parameter_gradient(phis, params, x, loss_grad):
    """Return the gradient of the transported loss for the deepest layer.

    Args:
        phis, x, loss_grad: as in `inimnet_adjoint`; there is at least one phi.
        params: list of parameters (tensors that require gradients) of `phis[-1]`.

    Returns:
        A tuple with one tensor per parameter, summed over the samples; zeros for a
        parameter that `phis[-1]` does not use.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "4c02a67f4374ef4ee0c764d105f36293", "grade": true, "grade_id": "test_parameter_gradient", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
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
        "asked twice, with the list of layers and all .grad left as they were",
        lambda: [
            layers := curved[:2],
            parameter_gradient(layers, [W[1]], x, loss_grad),
            parameter_gradient(layers, [W[1]], 2 * x, loss_grad),
            len(layers),
            W[1].grad is None,
        ][1:],
        [by_autograd(curved[:2], [W[1]], x), by_autograd(curved[:2], [W[1]], 2 * x), 2, True],
    )


check.score(exercise)

# %% [markdown]
# **And the weights of all layers?** With *coupled* weights, one $\varphi$ at every depth, (8) misses what
# the shallower layers do. Differentiate (6) by $\theta$: $G_l = dE_l/d\theta$ obeys
#
# $$G_{l+1} = G_l + \frac{\partial G_l}{\partial x}\, \varphi_{l+1} + \Big(\frac{\partial\varphi_{l+1}}{\partial\theta}\Big)^{\!\top} \Lambda_l, \qquad G_0 = 0, \tag{9}$$
#
# with the last term wherever $\theta$ occurs in $\varphi_{l+1}$: all weights, all depths, one sweep
# (`inimnet.parameter_gradients`).

# %%
my_parameter_gradient = check.yours(exercise)


def quartic(x):
    return (x - 1).pow(4).sum(dim=-1) / 4


def cube(x):
    return (x - 1) ** 3


def apart(ours, theirs):
    """Return the largest difference, relative to the largest entry, in words."""
    wrong = max((a - b).abs().max() / b.abs().max() for a, b in zip(ours, theirs))
    return "below 1e-9" if wrong < 1e-9 else f"{wrong:.2f}"


training.set_seed(8)
makers = [inimnet.DenseField(3, 8, gain=0.5).double() for _ in range(3)]
for name, phis in (("own weights", makers), ("coupled weights", makers[:1] * 3)):
    theta = list(phis[-1].parameters())
    E = inimnet.transported_loss(phis, x, quartic)[-1].sum()
    exact = torch.autograd.grad(E, theta)
    print(
        f"{name}: (8) differs by", apart(my_parameter_gradient(phis, theta, x, cube), exact), end=""
    )
    print(", (9) by", apart(inimnet.parameter_gradients(phis, x, cube)[-1][-len(theta) :], exact))

# %% [markdown]
# **Reading the numbers.** With coupled weights (8) is not the gradient of the transported loss, and (9)
# is. And the loss of the output itself? Take the linear loss $v \cdot z_l$ with $v = \nabla L$ at
# $z_l(x)$: (9) is then the exact gradient of $L(z_l(x))$, for one sweep more.
#
# ## 6. What does it cost?
#
# Every layer asks for one more derivative of everything below it. For layers of width 50 and a batch
# of 64 we count evaluations of $\varphi$, the time of a forward and a backward pass, and memory held
# between them:
#
# * **nested products**: exercise 9.3 as it stands;
# * **in parts**: the same numbers; a value and its mixed derivatives, $2^k$ parts, go through each
#   matrix together (`inimnet_forward_parts`);
# * **whole Jacobians**: $\partial z_l / \partial x$ as a matrix for each sample;
# * **approximate Jacobian**: with $J_l = \partial z_l / \partial x$, the exact rule
#   $J_{l+1} = J_l + \partial (J_l \varphi_{l+1})/\partial x$ is cut down to
#
# $$J_{l+1} \approx J_l + \frac{\partial \varphi_{l+1}}{\partial x}; \tag{10}$$
#
# * **residual networks**: all depths by (5).
#
# **Predict.** In parts, one layer is 1 evaluation, two are 3, three are 7. And eight?

# %%
eight = check.predict(
    "evaluations for eight layers", among=check.number(8, 5000), mine="", within=1.1
)

# %% tags=["nbval-ignore-output"]
contestants = {
    "nested products": (my_inimnet_forward, scale.pick(quick=3, lesson=6, full=8)),
    "in parts": (inimnet.inimnet_forward_parts, scale.pick(quick=3, lesson=8, full=10)),
    "whole Jacobians": (inimnet.inimnet_forward_jacobian, scale.pick(quick=2, lesson=3, full=3)),
    "approximate Jacobian": (
        inimnet.inimnet_forward_approximate,
        scale.pick(quick=3, lesson=8, full=16),
    ),
    "residual networks": (my_resnet_forward_from, scale.pick(quick=3, lesson=8, full=16)),
}
costs = {
    name: [imbedding_cost.measure(forward, depth) for depth in range(1, deepest + 1)]
    for name, (forward, deepest) in training.progress(contestants.items(), "costs")
}
print(f"{'all depths up to':22s}" + "".join(f"{depth:>9d}" for depth in range(1, 9)))
for name, values in costs.items():
    print(f"{name:22s}" + "".join(f"{cost.work:9.1f}" for cost in values[:8]))
both = [costs[name][3] for name in ("in parts", "approximate Jacobian") if len(costs[name]) > 3]
if both:
    print("depth 4, in parts and approximate:", end=" ")
    print(*(f"{1e3 * c.seconds:.1f} ms, {c.megabytes:.1f} MB" for c in both), sep="; ")
if len(costs["in parts"]) > 7:
    eight.reveal(round(costs["in parts"][7].work), "every layer doubles the parts")

# %%
fig, axes = plt.subplots(1, 3, figsize=(12, 3.6))
for (name, values), style, marker in zip(costs.items(), ("-", "-", "--", ":", "-."), plots.MARKERS):
    ways = (
        [c.work for c in values],
        [1e3 * c.seconds for c in values],
        [c.megabytes for c in values],
    )
    for ax, numbers in zip(axes, ways):
        ax.semilogy(range(1, len(numbers) + 1), numbers, style, marker=marker, label=name)
for ax, title in zip(axes, ("evaluations of $\\varphi$", "time of a step (ms)", "held (MB)")):
    ax.set(xlabel="depth L", title=title)
axes[0].legend(fontsize=8, handlelength=3.2)
plots.show(
    fig,
    "Work, time and memory against the depth on log axes: whole Jacobians shoot up by depth 3, "
    "nested products and parts rise as straight lines, the approximate Jacobian and residual "
    "networks bend below them; in time the parts and the approximate rule are close up to depth 4.",
)

# %% [markdown]
# *Figure: what the outputs of all depths up to L cost, on logarithmic axes.*
#
# **Reading the picture.** Exact products are exponential in the depth: in parts $2^L - 1$ evaluations,
# nested `jvp`s more, as they multiply with derivatives of the weights, which are zero. The approximate
# Jacobian takes $L^2$, all residual networks $L(L+1)/2$. In *time* parts are about as fast as
# the approximation up to depth 4, at more memory. The published notebooks use (10)
# throughout, for depths up to 4, and 8 where they extrapolate; notebook 10 measures both rules.
#
# ## 7. Learning to throw
#
# The network is not told the law of gravity. It sees throws $x = (0, v)$ and the heights after flights
# of 1, 2, 3 and 4 quarters of a second. The law is the same at all times: one $\varphi$ acts at every
# depth. Lengths are in units of 10 m.
#
# **Predict.** Flights of 6 quarters, longer than any that it has seen: how far off, at most?

# %%
beyond = check.predict("off at depth 6", among=["below 1 m", "1 m or more"], mine="")

# %%
unit, quarter, asked = 10.0, 0.25, torch.tensor(speeds) / 10.0


def heights(v, depth):  # closed form, for all depths
    starts = -quarter * torch.arange(depth + 1)[:, None]
    return my_projectile(starts, 0.0, v, gravity / unit)


def learn(trained_depth, variant="exact"):
    """Train a coupled InImNet on throws; return its heights at depths 0 to 6, in m."""
    training.set_seed(10)
    net = inimnet.InImNet(lambda: inimnet.DenseField(2, 16), trained_depth, True, variant)
    v = (3 + 10 * torch.rand(64, generator=torch.Generator().manual_seed(10))) / unit
    x = torch.stack([torch.zeros(64), v], dim=1)
    n_steps = scale.pick(quick=20, lesson=800, full=6000)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in training.progress(range(n_steps), "throws"):
        optimizer.zero_grad()
        (net(x)[..., 0] - heights(v, trained_depth)).square().mean().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return unit * net(torch.stack([torch.zeros(4), asked], dim=1), depth=6)[..., 0]


def off(answer):
    """Return the largest error at each depth, in m."""
    return (answer - unit * heights(asked, 6)).abs().amax(dim=1)


# %% tags=["nbval-ignore-output"]
answer = learn(4)
wrong = off(answer)
print("largest error by depth, in m:", *(f"{w:.2f}" for w in wrong))
fig, ax = plt.subplots(figsize=(7.5, 3.6))
long = torch.linspace(0, 6 * quarter, 100)
for k, (speed, marker) in enumerate(zip(speeds, plots.MARKERS)):
    (line,) = ax.plot(long, my_projectile(0.0, long, speed, gravity), label=f"{speed:.0f} m/s")
    colour = line.get_color()
    ax.plot(quarter * torch.arange(5), answer[:5, k], marker, color=colour)
    ax.plot(quarter * torch.arange(5, 7), answer[5:, k], marker, mfc="white", color=colour)
ax.axvspan(4.5 * quarter, 6.4 * quarter, color="0.92", zorder=0)
ax.text(5.4 * quarter, 5.6, "never trained", ha="center", color="0.4")
ax.set(xlabel="flight q - p (s)", ylabel="height (m)", xlim=(-0.1, 6.4 * quarter), ylim=(-6, 6.3))
ax.legend(title="lines: exact; marks: learned", loc="lower left", ncols=2)
plots.show(
    fig,
    "Heights against the length of the flight for four speeds: full marks at depths 0 to 4 on the "
    "exact parabolas, open marks at the untrained depths 5 and 6 close to them.",
)
beyond.reveal(
    "below 1 m" if wrong[6] < 1 else "1 m or more", "a parabola needs two differences only"
)

# %% [markdown]
# *Figure: open marks come from depths never trained.*
#
# **Reading the picture.** The marks are on the parabolas, better than Euler's: $\varphi$ has learned a
# step that is right for its length. With one $\varphi$ the recursion is $z_{l+1} = (1 + D)\, z_l$,
# $D g = (\nabla g)\, \varphi$, so that $z_l = \sum_k \binom{l}{k} D^k x$: Newton's series. Free fall needs its
# first two differences only; where the others stay small, the series follows the parabola.
#
# ### Explore - Fewer depths, farther out
# *Choose the trained depth and the rule so that the error at depth 6 is below 0.4 m, with as few
# trained depths as you can.*

# %% tags=["nbval-ignore-output"]
trained_depth = 3  # yours, from 1 to 5
rule = "exact"  # yours: exact, approximate

assert trained_depth in range(1, 6), "the trained depth is 1, 2, 3, 4 or 5"
far = off(learn(trained_depth, rule))
print(
    f"{trained_depth} depths, {rule}: error at depth {trained_depth} {far[trained_depth]:.2f} m",
    end="",
)
print(f", at depth 6 {far[6]:.2f} m")
print("the aim is met" if far[6] < 0.4 else "the aim is not met yet")


# %% [markdown]
# <details><summary>What others found</summary> Two depths, approximate: 0.28 m. Its z<sub>l</sub> is a
# parabola in l, as a throw is; the exact rule needs five.</details>

# %% [markdown] nbgrader={"cell_type": "markdown", "checksum": "d434e2090b6558782db7603246000507", "grade": false, "grade_id": "question_all_depths", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 9.7 - What is learned at every depth at once? (3 points, ~10 min)
# Compare training an InImNet of depth 4 on the sum of the losses of all depths with training four
# residual networks of the depths 1 to 4. In five or six sentences:
# which weights occur in the output of depth 2? What does training the depth-4 output do to it?
# What becomes of this with coupled weights? And what does the sum of the losses cost you, in
# accuracy and in time?
#

# %% [markdown]
# *Your answer to question 9.7: double-click here and write.*

# %% [markdown]
# ## Further
#
# **Continuous depth, better methods.** `inimnet.imbed` solves (2) by any explicit Runge-Kutta method of
# this course. Its state is a whole function of $x$, and each stage is one more derivative of it.

# %%
def pendulum(p, x):  # angle and angular velocity, driven by a force that grows with time
    return torch.stack([x[:, 1], -torch.sin(x[:, 0]) + 0.3 * p], dim=1)


start = torch.tensor([[1.0, 0.0], [2.0, 0.5]], dtype=torch.float64)
truth = solvers.solve(pendulum, start, 0.0, 1.0, rtol=1e-11, atol=1e-12)
plans = scale.pick(
    quick={"euler": [1, 2, 4], "heun": [1, 2]},
    lesson={"euler": [1, 2, 4, 8], "heun": [1, 2, 4], "rk4": [1, 2]},
    full={"euler": [1, 2, 4, 8, 12], "heun": [1, 2, 4, 6], "rk4": [1, 2, 3]},
)
fig, ax = plt.subplots(figsize=(6.5, 3.4))
for (method, counts), marker in zip(plans.items(), plots.MARKERS):
    ends = [inimnet.imbed(pendulum, start, [1.0, 0.0], method, n)[-1] for n in counts]
    errors = [(end - truth).abs().max().item() for end in ends]
    ax.loglog(counts, errors, marker + "-", color=plots.COLOURS[method], label=method)
    print(f"{method:6s} error with {counts[-1]} steps in p: {errors[-1]:.1e}")
ax.set(xlabel="steps in p", ylabel="error of z(q; 0, x)")
ax.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
ax.minorticks_off()
ax.legend()
plots.show(fig, "Error against steps in p: euler falls with slope 1, heun with 2, rk4 with 4.")

# %% [markdown]
# *Figure: a driven pendulum, solved in its depth p by three methods.*
#
# The higher the order, the steeper the line. But $n$ stages cost $(3^n - 1)/2$ multiplications by the
# field's weights, so that more than a dozen are out of reach. There is another way. Along a path
# $y$ of $\dot y = f(t, y)$, a *characteristic* of (2), $z(q; p, y(p))$ does not change, and (7) is the
# ordinary adjoint equation of notebook 05. `inimnet.ContinuousInImNet` solves all depths along paths, by
# any solver, adaptive ones included: paths that start at each $p_i$ go up to $q$ together, and for
# gradients $(y, \Lambda, G)$ go from $q$ down, a path leaving where it began. No graph is kept. The price
# is that $z$ has to be known at $q$ first. We train one network to be a pendulum at depths
# 0, 1/2 and 1, by all four ways to its gradients.

# %% tags=["nbval-ignore-output"]
n_steps = scale.pick(quick=2, lesson=40, full=400)
runs = {way: imbedding_cost.train(way, n_steps=n_steps) for way in imbedding_cost.WAYS}
reference = runs["imbedded, autograd"].gradient
print(f"{n_steps} steps of Adam", " " * 14, "loss: first, last   gradient off by      ms      kB")
for way, run in runs.items():
    wrong = float((run.gradient - reference).norm() / reference.norm())
    print(f"{way:32s} {run.losses[0]:8.4f} {run.losses[-1]:8.4f} {wrong:15.0e}", end="")
    print(f" {run.milliseconds:10.1f} {run.kilobytes:7.0f}")

# %% [markdown]
# **Reading the numbers.** Four ways, one training: the losses agree, the gradients too, up to rounding
# (imbedded) or to the difference between two Heun steps and a tolerance (paths). In function space the sweep
# forwards saves no memory, for the nested derivatives are all alive at once, and it costs several
# times as much as autograd. Along paths it takes about twice the time of autograd and a fraction of its
# memory, which does not grow with the steps.
#
# **Depth eight** wants the approximate variant. Does it train? The target turns each input in the plane
# of its first two coordinates, further the longer the input is.

# %% tags=["nbval-ignore-output"]
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
    print("error relative to depth 0, at depths 1 to 8:", *(f"{value:.2f}" for value in left[1:]))

# %% [markdown]
# **Reading the numbers.** One optimiser trained the networks of all depths together, and from the first
# layer on each does better than doing nothing.
#
# **At full scale**, `scale.use("full")`, the cost figure goes to depth 10 (exact) and 16 (approximate);
# expect some minutes. Try a drag that is quadratic in the speed in section 2, or
# `activation="relu"` in section 7.

# %% [markdown]
# ## Recap
#
# **Can one computation give the outputs of all depths, and is depth a variable?** Yes to both: the output
# obeys the transport equation (2) in its start, and one recursion (4) gives all depths; coupled, it
# went on to depths of the throws that nobody trained. It is not free: 255 evaluations for depth 8,
# where the approximate Jacobian takes 64 and the residual networks 36.
#
# * A residual under refinement tells a solution of (2) from the rest.
# * InImNet is Euler's method for it, by nested Jacobian-vector products.
# * It equals a residual network for affine layers; for curved ones the difference is of third order.
# * The adjoint runs in the same direction as the outputs: the exact gradient of the transported loss
#   (6), for the input and, by (9), for all weights, coupled ones included.
# * The sum of the losses of all depths trains a family of networks, at a price.
#
# **Left out:** the boundary value problems that invariant imbedding was invented for,
# running costs in the loss, and training with higher-order methods in $p$.
#
# **Read on:** Corbett and Kangin 2022; Bellman and Wing 1975.
#
# **Next:** [10 - Predicting video at every depth](../10_inimnet_video/10_inimnet_video.ipynb)
