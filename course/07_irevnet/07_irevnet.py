# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 - Invertible by construction: the i-RevNet
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/odenets/odenets-course/blob/main/course/07_irevnet/07_irevnet.ipynb)
#
# **The question.** Can a network that classifies keep everything it was shown,
# so that the input comes back from the features without being stored?
#
# **Time** about 75 minutes - **points** 20 - **you need** convolutions in PyTorch,
# how a classifier is trained, and the idea of a residual layer (notebook 01).
#
# After this notebook you can
#
# 1. *train and test* a small classifier with a loop of your own,
# 2. *build* an invertible layer out of any function whatsoever,
# 3. *decide* when such networks form a group, and write the inverse down,
# 4. *assemble* an i-RevNet and compare it with a plain network,
# 5. *verify* that it is invertible, and tell exact arithmetic from floating point.
#
# **Sources.** The first half of the lab *i-RevNet and i-ResNet*: its questions 1 to 9,
# marked Q1 to Q9 here; names and sizes are the lab's.
# J.-H. Jacobsen, A. Smeulders and E. Oyallon, *i-RevNet: deep invertible networks*,
# ICLR 2018, [arXiv 1802.07088](https://arxiv.org/abs/1802.07088): the couplings and
# the squeeze of section 3. L. Dinh, D. Krueger and Y. Bengio, *NICE*, 2015,
# [arXiv 1410.8516](https://arxiv.org/abs/1410.8516): additive couplings (section 3.2).

# %%
import importlib.util
import matplotlib.pyplot as plt
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/odenets/odenets-course#subdirectory=course")
from odenets import check, plots, scale, training
from odenets.data import images
from odenets.nets import irevnet
from odenets.studies import invertible
scale.use("lesson")
plots.style()
training.set_seed(0)

# %% [markdown]
# ## 1. The data, and a plain network (Q1)
#
# Few images make the task interesting: **500 images to learn from**, all others to test.
# The lab reads an image of $28\times28$ pixels as $16$ channels of $7\times7$ pixels,
# simply by `view(16, 7, 7)`. What does a channel show then?

# %%
dataset = scale.pick(quick="digits", lesson="digits", full="mnist")
data = invertible.load(dataset)  # a small set: what is not learnt from is tested on
(train_images, train_labels), (test_images, test_labels) = data


def loaders(view, seed):
    """The 500 images in shuffled batches of 64, and the others, seen through `view`."""
    return images.loaders(invertible.seen(data, view), batch_size=64, generator=seed)


print(f"{dataset}: {len(train_images)} images to learn from, {len(test_images)} to test")
print("images of each class to learn from:", *train_labels.bincount().tolist())

# %%
fig, axes = plt.subplots(2, 1, figsize=(9, 1.9), height_ratios=[1, 0.62])
chosen = [int((train_labels == digit).nonzero()[0]) for digit in range(10)]
plots.image_row(axes[0], train_images[chosen], [str(digit) for digit in range(10)])
axes[0].set_ylabel("images", rotation=0, ha="right")
plots.image_row(axes[1], irevnet.lab_view(train_images[chosen[3]])[0], gap=1)
axes[1].set_ylabel("the 3 in\n16 channels", rotation=0, ha="right", va="center")
plt.show()


# %% [markdown]
# *Figure: one training image of each class, and below it the 16 channels of $7\times7$
# pixels that the lab's view makes of the 3.*
#
# **Reading the picture.** A channel holds 49 pixels in a row, one and three quarter rows
# of the image, wrapped into a square. No digit can be recognised in it.
# The network has to put the pieces together; section 7 shows a kinder way to cut.

# %% [markdown]
# The plain network of the lab is "VGG-like": convolution, ReLU, and again, four times,
#
# $$x_{j+1} = \mathrm{ReLU}(W_j * x_j + b_j), \qquad j = 0, \dots, 3, \tag{1}$$
#
# with kernels of $7\times7$ from 16 to 16 channels, and a linear classifier on top.
# It is `irevnet.Net`. Each ReLU forgets the negative half of what it sees.

# %% [markdown]
# ### Exercise 7.1 - Train and test [Q2] (3 points, ~10 min)
# Write the two routines that the whole lab uses.
# Training minimises the cross-entropy with stochastic gradient descent, **momentum 0.9**;
# testing counts.
#
# <details><summary>Hint 1 - a nudge</summary>
# PyTorch <em>adds</em> each new gradient to the old one. Who empties it?</details>
# <details><summary>Hint 2 - the idea</summary>
# For each batch: zero the gradients, compute scores and loss, go backward, step.
# For testing, count hits and samples separately and divide once at the end:
# the last batch may be smaller than the others.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>optimizer.zero_grad(); loss = criterion(net(inputs), labels); loss.backward();
# optimizer.step(); losses.append(loss.item())</code>.
# In <code>test</code>: note <code>modes = [(module, module.training) for module in net.modules()]</code>, then
# <code>net.eval()</code> and, in a <code>try</code> and under <code>torch.no_grad()</code>,
# <code>correct += (net(inputs).argmax(1) == labels).sum().item()</code>;
# <code>finally: for module, mode in modes: module.training = mode</code>.
# (<code>net.train(...)</code> would give one mode to all modules, also to those that somebody froze.)</details>

# %% nbgrader={"cell_type": "code", "checksum": "612c31679016afae7e3ec57ae9511505", "grade": false, "grade_id": "train_and_test", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train(net, loader, n_epoch=40, learning_rate=0.05):
    """Train with the cross-entropy and SGD with momentum 0.9.

    Args:
        net: maps inputs to scores `(s, n_classes)`.
        loader: yields pairs `(inputs, labels)`, and is read once per epoch.

    Returns:
        The losses of all steps, a list of Python floats.
    """
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            # YOUR CODE HERE
            raise NotImplementedError()
    return losses


def test(net, loader):
    """Return the fraction of samples in `loader` that the net classifies correctly.

    The net is evaluated in eval mode without recording gradients. Afterwards, also after
    an error, each of its modules is in the mode in which it came.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "431afd1ce7ac8f3526175f8e1bdf56e7", "grade": true, "grade_id": "test_train_and_test", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def small_net():  # scores are linear in two inputs, with fixed weights
    net = torch.nn.Linear(2, 3).double()
    net.weight.data = torch.tensor([[1.0, 0], [0, 1], [-1, -1]], dtype=torch.float64)
    net.bias.data.zero_()
    return net

class Spy(torch.nn.Module):  # hands its input over as scores, and notes how it was called
    def forward(self, x):
        self.seen = [self.training, torch.is_grad_enabled()]
        return x

class Choosy(torch.nn.Module):  # an error on the way: it refuses a batch of one
    def forward(self, x):
        if len(x) == 1:
            raise ValueError("a batch of one")
        return x

def modes_after(way, loader):  # the modes of a net with one frozen part, after a test
    net = torch.nn.Sequential(torch.nn.Identity(), Choosy()).train(way)
    net[0].train(not way)
    try:
        came = test(net, loader)
    except ValueError:
        came = "the error of the net"
    return [came, *[module.training for module in net.modules()]]

first = torch.tensor([[1.0, 2], [0, 1], [2, -1], [-1, -1]], dtype=torch.float64)
second = torch.tensor([[0.0, 3], [1, 1]], dtype=torch.float64)
batches = [(first, torch.tensor([0, 1, 0, 2])), (second, torch.tensor([2, 1]))]
scores = torch.eye(4)[[0, 1, 2, 3, 0]]
unequal = [(scores[:4], torch.tensor([0, 1, 2, 0])), (scores[4:], torch.tensor([1]))]
with check.exercise("train_and_test", points=3) as exercise:
    exercise.close(
        "the losses of two epochs with two batches",
        lambda: train(small_net(), batches, 2, 0.1),
        irevnet.train(small_net(), batches, 2, 0.1),
        mistakes={
            "the momentum is missing": [0.4789068266, 3.382504132, 0.4543859612, 2.979898577],
            "the gradients are never set to zero": [0.4789068266, 3.382504132, 0.4105630067, 2.301524061],
            "the losses of the last epoch only are returned": [0.4326241684, 2.631918307],
        },
        rtol=1e-8,
    )
    exercise.equal(
        "every loss is a Python float",
        lambda: [type(loss).__name__ for loss in train(small_net(), batches, 1, 0.1)],
        ["float", "float"],
        mistakes={"tensors are stored, and a whole graph with each": ["Tensor", "Tensor"]},
    )
    exercise.close(
        "three of five samples are right, in batches of four and one",
        lambda: test(torch.nn.Identity(), unequal),
        3 / 5,
        mistakes={
            "the batches' accuracies are averaged": 3 / 8,
            "the hits are counted, but not divided": 3.0,
            "it is in per cent": 60.0,
            "the hits are divided by the number of batches": 3 / 2,
        },
    )
check.score(exercise)

# %% [markdown]
# Now the plain network learns its 500 images.
# (The package's `irevnet.train` and `irevnet.test` do the same as yours.)
# The lab's learning rate is 0.05, for MNIST. The small digits are brighter, their gradients larger,
# and with 0.05 the plain network often ends with all its ReLUs dead, so that 0.02 is used for them.
# Try it: put 0.05 in.

# %% tags=["nbval-ignore-output"]
n_epoch = scale.pick(quick=2, lesson=40, full=40)
seeds = scale.pick(quick=[0], lesson=[0, 1, 2], full=[0, 1, 2, 3, 4])
learning_rate = 0.02 if dataset == "digits" else 0.05
losses, accuracies = {}, {}


def run(name, make, view=irevnet.lab_view):
    """Train one net per seed; keep the losses and accuracies, return the last net."""
    losses[name], accuracies[name] = [], []
    for seed in training.progress(seeds, name):
        training.set_seed(seed)
        net = make()
        train_loader, test_loader = loaders(view, seed)
        losses[name].append(irevnet.train(net, train_loader, n_epoch, learning_rate))
        accuracies[name].append(irevnet.test(net, test_loader))
    return net


def report(name, net):
    count = sum(parameter.numel() for parameter in net.parameters())
    rates = torch.tensor(accuracies[name])
    print(
        f"{name:22} {count:6d} parameters, accuracy {rates.mean():.1%} on average, "
        f"from {rates.min():.1%} to {rates.max():.1%} over {len(rates)} seeds"
    )


plain_net = run("plain net", irevnet.Net)
report("plain net", plain_net)

# %%
fig, ax = plt.subplots(figsize=(7, 3.6))
for k, curve in enumerate(losses["plain net"]):
    ax.semilogy(curve, color=plots.COLOURS["vgg"], alpha=0.9 ** (3 * k), lw=1.2, label=f"seed {seeds[k]}")
ax.set(xlabel="step (8 steps make an epoch)", ylabel="training loss", ylim=(1e-4, 20))
ax.legend()
plt.show()


# %% [markdown]
# *Figure: the training loss of the plain network at every step, for each seed.*
#
# **Reading the picture.** The loss stays at $\ln 10 \approx 2.3$, which is guessing, until the
# network finds a way out, and some runs are thrown back later.
# A deep plain network is hard to train. Keep this picture for later.

# %% [markdown]
# ## 2. Additive couplings (Q3)
#
# How can a layer be invertible when it contains a function $F$ that is not?
# Cut the features into two halves $x$ and $\tilde x$. Change one by a function of the other,
# and let them swap places:
#
# $$\Phi_F:\quad (x_j, \tilde x_j) \;\mapsto\; (x_{j+1}, \tilde x_{j+1})
#   = (\tilde x_j + F_j(x_j),\; x_j). \tag{2}$$
#
# The half $x_j$ that $F_j$ has read is still there, as $\tilde x_{j+1}$.
# So $F_j(x_j)$ can be computed *again* and taken away:
#
# $$x_j = \tilde x_{j+1}, \qquad \tilde x_j = x_{j+1} - F_j(\tilde x_{j+1}). \tag{3}$$
#
# $F_j$ itself is never inverted. It may be a ReLU, a constant, a whole network.
# Dimensions: if $x_j \in \mathbb R^{n_j}$ and $\tilde x_j \in \mathbb R^{m_j}$, then
# $F_j: \mathbb R^{n_j} \to \mathbb R^{m_j}$, and the swap gives $n_{j+1} = m_j$, $m_{j+1} = n_j$.

# %% [markdown]
# ### Exercise 7.2 - A network out of additions only [Q3] (4 points, ~10 min)
# Write equations (2) and (3) for a list of functions, the first of the list first.
#
# <details><summary>Hint 1 - a nudge</summary>
# To undo putting on socks and then shoes, which comes off first?</details>
# <details><summary>Hint 2 - the idea</summary>
# The inverse walks through the list backwards, and in each step it reads the half that
# the layer has kept: the second one.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Forward: <code>x, x_tilde = x_tilde + f(x), x</code>. Backward, for
# <code>f in reversed(fs)</code>: <code>y, y_tilde = y_tilde, y - f(y_tilde)</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "3929dedc8ca6172c04742b21f0f269d2", "grade": false, "grade_id": "coupling", "locked": false, "schema_version": 3, "solution": true, "task": false}
def coupling_forward(fs, x, x_tilde):
    """Apply the layers `(x, x~) -> (x~ + F(x), x)`, equation (2), `fs[0]` first.

    Args:
        fs: list of functions; `fs[j]` maps the half that stands first at layer j to the
            shape of the other half, which may differ.
        x, x_tilde: the two halves, left unchanged.

    Returns:
        The two halves after the last layer, a tuple.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


def coupling_inverse(fs, y, y_tilde):
    """Undo `coupling_forward(fs, ...)`, equation (3), with the same functions."""
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "2c35b8c2f9194f7f3d468708394cba51", "grade": true, "grade_id": "test_coupling", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
double, plus_one = (lambda v: 2 * v), (lambda v: v + 1)
one, ten = torch.tensor([1.0]), torch.tensor([10.0])
generator = torch.Generator().manual_seed(72)
A = torch.randn(3, 5, generator=generator, dtype=torch.float64)
B = torch.randn(5, 3, generator=generator, dtype=torch.float64)
x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
x_tilde = torch.randn(4, 5, generator=generator, dtype=torch.float64)
fs = [lambda v: torch.tanh(v @ A), lambda v: torch.relu(v @ B), lambda v: (v @ A) ** 2]
with check.exercise("coupling", points=4) as exercise:
    exercise.close(
        "forward from (1, 10) with F_0(v) = 2 v and F_1(v) = v + 1",
        lambda: coupling_forward([double, plus_one], one, ten),
        (torch.tensor([14.0]), torch.tensor([12.0])),
        mistakes={
            "the halves do not swap": (torch.tensor([1.0]), torch.tensor([14.0])),
            "F reads the half to which it is added": (torch.tensor([4.0]), torch.tensor([30.0])),
            "the last function of the list acts first": (torch.tensor([25.0]), torch.tensor([12.0])),
            "F replaces the other half instead of being added": (torch.tensor([3.0]), torch.tensor([2.0])),
        },
    )
    exercise.close(
        "backward from (14, 12) with the same functions",
        lambda: coupling_inverse([double, plus_one], torch.tensor([14.0]), torch.tensor([12.0])),
        (torch.tensor([1.0]), torch.tensor([10.0])),
        mistakes={
            "the functions act in the order of the forward pass": (torch.tensor([-10.0]), torch.tensor([11.0])),
            "F is added instead of subtracted": (torch.tensor([27.0]), torch.tensor([66.0])),
            "the halves come back in the wrong order": (torch.tensor([10.0]), torch.tensor([1.0])),
        },
    )
    exercise.close(
        "halves of different sizes, three functions that cannot be inverted",
        lambda: coupling_forward(fs, x, x_tilde),
        irevnet.coupling_forward(fs, x, x_tilde),
    )
    exercise.close(
        "back from there",
        lambda: coupling_inverse(fs, *irevnet.coupling_forward(fs, x, x_tilde)),
        (x, x_tilde),
    )
check.score(exercise)

# %% [markdown]
# What does such a network do to space?
# With one number in each half we can draw it.
# *Predict first:* each layer adds to one coordinate something that depends on the other.
# What happens to the area of the small squares?

# %%
training.set_seed(4)
wiggles = [
    lambda v, s=s: s * torch.sin(2 * v + 0.5 * s) for s in (0.8, -0.7, 0.6, -0.9)
]
lines = torch.linspace(-1.5, 1.5, 13, dtype=torch.float64)
fine = torch.linspace(-1.5, 1.5, 200, dtype=torch.float64)
cell = torch.tensor([0.25, 0.5], dtype=torch.float64)
across, up = torch.meshgrid(*[torch.linspace(0.25, 0.5, 40, dtype=torch.float64)] * 2, indexing="ij")

fig, axes = plt.subplots(1, 3, figsize=(11, 4), sharex=True, sharey=True)
for ax, depth in zip(axes, (0, 2, 4)):
    for value in lines:
        for x, y in ((fine, value.expand(200)), (value.expand(200), fine)):
            ends = irevnet.coupling_forward(wiggles[:depth], x, y)
            ax.plot(*ends, color=plots.COLOURS["irevnet"], lw=0.7, alpha=0.7)
    edge = torch.cat([torch.stack([across[0], up[0]]), torch.stack([across[:, -1], up[:, -1]]),
                      torch.stack([across[-1], up[-1]]).flip(1), torch.stack([across[:, 0], up[:, 0]]).flip(1)], 1)
    corner = torch.stack(irevnet.coupling_forward(wiggles[:depth], *edge))
    ax.fill(*corner, color=plots.GREY)
    u, v = corner
    area = 0.5 * abs((u * v.roll(-1) - v * u.roll(-1)).sum())
    ax.set(title=f"after {depth} layers", xlabel="first half $x$", aspect="equal")
    print(f"after {depth} layers: area of the filled square {area:.4f}")
axes[0].set_ylabel("second half $\\tilde x$")
plt.show()

# %% [markdown]
# *Figure: a grid in the plane before, between and after four couplings; one small square is
# filled.*
#
# **Reading the picture.** The squares bend and stretch, but none folds over another one,
# and the filled one keeps its area.
# Each layer is a shear followed by a swap. In the coordinates of (2) its Jacobian is
#
# $$\begin{pmatrix} DF_j & I \\ I & 0 \end{pmatrix}, \qquad
#   \bigl|\det\bigr| = 1 \quad\text{whatever } F_j \text{ is.} \tag{4}$$
#
# So $\log|\det D\Phi| = 0$: an additive coupling *preserves volume*.
# Here is the same for a small convolutional network with 18 numbers in and out.

# %%
training.set_seed(7)
small = irevnet.iRevNet(channels=2, image_size=3, kernel_size=3).double()
point = torch.randn(1, 2, 3, 3, dtype=torch.float64)
jacobian = torch.func.jacrev(lambda v: small(v, classif=False))(point).reshape(18, 18)
singular = torch.linalg.svdvals(jacobian)
print(f"largest and smallest singular value: {singular[0]:.3f}, {singular[-1]:.3f}")
print(f"log |det| = {abs(torch.linalg.slogdet(jacobian)[1]):.10f}")


# %% [markdown]
# The network stretches some directions and shrinks others, and the two balance exactly.
# For a classifier this is a mere curiosity. For a *density* it is a limit:
# a network that preserves volume cannot pile probability up (notebooks 06 and 08).

# %% [markdown]
# ## 3. The group question (Q4)
#
# Write $B_F(x, \tilde x) = (\tilde x + F(x), x)$ for one layer.
# Let $\mathcal F_J$ be the set of all networks $B_{F_J} \cdots B_{F_1}$ of depth $J$, for all widths,
# and $\mathcal F = \cup_J \mathcal F_J$. When is $\mathcal F$ a group?
#
# One layer deserves a look: that of the function $F = 0$.
# It is a swap, $B_0(x, \tilde x) = (\tilde x, x)$, and a swap undoes itself.

# %% [markdown]
# ### Exercise 7.3 - The inverse is a network, too [Q4] (2 points, ~8 min)
# Equation (3) is not of the form (2): it reads the second half, and subtracts.
# Find layers **of the form (2)** whose product is the inverse of `coupling_forward(fs, ...)`.
# Both halves have the same shape here.
#
# <details><summary>Hint 1 - a nudge</summary>
# Write down what the swap <code>B_0</code> does before and after a layer.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>B_F</code> is undone by three layers: swap, then <code>B_{-F}</code>, then swap.
# Check it by hand on <code>(x, x~)</code>. For more layers do this in reversed order.</details>
# <details><summary>Hint 3 - almost the code</summary>
# For each <code>f</code> in <code>reversed(fs)</code> append <code>torch.zeros_like</code>,
# a function that returns <code>-f(v)</code>, and <code>torch.zeros_like</code> again.
# Beware: in <code>lambda v: -f(v)</code> the name <code>f</code> is looked up when the lambda is
# <em>called</em>, after the loop; write <code>lambda v, f=f: -f(v)</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "e0eb0341b6986dc4077515b39c2cefde", "grade": false, "grade_id": "inverse_element", "locked": false, "schema_version": 3, "solution": true, "task": false}
def inverse_element(fs):
    """Return functions `gs` such that `coupling_forward(gs, ...)` undoes that of `fs`.

    Args:
        fs: list of functions that keep the shape of their argument.

    Returns:
        A list of functions of one tensor. A swap is the layer of the zero function,
        which returns zeros of the shape of its argument. Any list that composes
        with `fs` to the identity is right.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "b04e25fc4fcc844efdc1d00e4a0634e4", "grade": true, "grade_id": "test_inverse_element", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
generator = torch.Generator().manual_seed(73)
M = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
x = torch.randn(5, 4, generator=generator, dtype=torch.float64)
x_tilde = torch.randn(5, 4, generator=generator, dtype=torch.float64)
fs = [lambda v: torch.tanh(v @ M[0]), lambda v: torch.relu(v @ M[1]), lambda v: v**2 @ M[2]]
with check.exercise("inverse_element", points=2) as exercise:
    exercise.close(
        "one layer, then its inverse: back at the start",
        lambda: irevnet.coupling_forward([fs[0], *inverse_element(fs[:1])], x, x_tilde),
        (x, x_tilde),
        mistakes={
            "a swap is missing, and the halves come back in the wrong order": (x_tilde, x),
            "the minus is missing": irevnet.coupling_forward(
                [fs[0], torch.zeros_like, fs[0], torch.zeros_like], x, x_tilde
            ),
        },
    )
    exercise.close(
        "three layers, then their inverse",
        lambda: irevnet.coupling_forward([*fs, *inverse_element(fs)], x, x_tilde),
        (x, x_tilde),
        mistakes={
            "all layers are undone with one and the same function, the last one of the loop": irevnet.coupling_forward(
                [*fs, *[torch.zeros_like, lambda v: -fs[0](v), torch.zeros_like] * 3], x, x_tilde
            ),
        },
    )
check.score(exercise)


# %% [markdown] nbgrader={"cell_type": "markdown", "checksum": "22bc9407cf479400b4857cbaf08a7159", "grade": false, "grade_id": "question_group", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 7.4 - When is it a group? [Q4] (3 points, ~10 min)
# Give a necessary and sufficient condition on the widths $n_j$, $m_j$ for $\mathcal F$ to be a group
# under composition, and say what the class of the functions $F$ must contain for your proof to work.
# Then look at the layers of the lab, $F = \mathrm{ReLU}\circ\mathrm{conv}$, biases included:
# do *they* generate a group?
#

# %% [markdown]
# *Your answer to question 7.4: double-click here and write.*

# %% [markdown]
# ## 4. The parts of the i-RevNet (Q5, Q6)
#
# For images the two halves are halves of the channels.

# %% [markdown]
# ### Exercise 7.5 - Split along the channels [Q5] (2 points, ~5 min)
# A tensor of size `(batch, chan, N, N)` becomes two of size `(batch, chan // 2, N, N)`,
# the first channels in the first one; `inverse` puts them together.
#
# <details><summary>Hint 1 - a nudge</summary>
# Which axis holds the channels?</details>
# <details><summary>Hint 2 - the idea</summary>
# Slice the axis 1 at its middle, and concatenate along the axis 1.
# Slicing does not complain about an odd number: you have to.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>half = x.shape[1] // 2</code>; return <code>x[:, :half], x[:, half:]</code>.
# The inverse is <code>torch.cat(X, dim=1)</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "eb2bb9fa4cbd334943e94ea17792c57c", "grade": false, "grade_id": "split_along_channels", "locked": false, "schema_version": 3, "solution": true, "task": false}
class SplitAlongChannels(torch.nn.Module):
    """Cut images into the first and the second half of their channels."""

    def forward(self, x):
        """Map `(s, C, H, W)` to two tensors `(s, C // 2, H, W)`.

        Raises:
            ValueError: if the number of channels C is odd.
        """
        # YOUR CODE HERE
        raise NotImplementedError()

    def inverse(self, X):
        """Map a pair of halves to the tensor they were cut from."""
        # YOUR CODE HERE
        raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "e0f73ddf43053270ef31998146304002", "grade": true, "grade_id": "test_split_along_channels", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
generator = torch.Generator().manual_seed(75)
x = torch.randn(4, 6, 3, 5, generator=generator)
with check.exercise("split_along_channels", points=2) as exercise:
    exercise.equal(
        "four images with six channels: the halves",
        lambda: SplitAlongChannels()(x),
        (x[:, :3], x[:, 3:]),
        mistakes={
            "the batch is cut instead of the channels": (x[:2], x[2:]),
            "even and odd channels are separated": (x[:, ::2], x[:, 1::2]),
            "the halves are exchanged": (x[:, 3:], x[:, :3]),
        },
    )
    exercise.equal(
        "together again",
        lambda: SplitAlongChannels().inverse((x[:, :3], x[:, 3:])),
        x,
        mistakes={"they are put together along another axis": torch.cat([x[:, :3], x[:, 3:]])},
    )
    exercise.raises(
        "an odd number of channels is refused",
        lambda: SplitAlongChannels()(x[:, :5]),
        ValueError,
        hint="a slice at the middle does not mind, and makes unequal halves",
    )
check.score(exercise)


# %% [markdown]
# ### Exercise 7.6 - The invertible layer [Q6] (3 points, ~8 min)
# The lab swaps the halves in the other order than (2), which is the same up to names:
#
# $$(a, b) \;\mapsto\; (b,\; a + \mathrm{ReLU}(W * b + \beta)). \tag{5}$$
#
# <details><summary>Hint 1 - a nudge</summary>
# After the layer, in which place stands the half that the convolution has read?</details>
# <details><summary>Hint 2 - the idea</summary>
# Given <code>(c, d)</code>, you know that <code>c</code> is the old <code>b</code>. Compute the same
# activated convolution of it and take it away from <code>d</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>a, b = X; return b, a + torch.relu(self.conv(b))</code>, and backwards
# <code>c, d = X; return d - torch.relu(self.conv(c)), c</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "d5f20939db2d8901b82483ac47636072", "grade": false, "grade_id": "invertible_layer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class InvertibleLayer(torch.nn.Module):
    """One additive coupling of images, equation (5)."""

    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        """Map a pair `(a, b)` of tensors `(s, 8, H, W)` to the pair of equation (5)."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def inverse(self, X):
        """Map what `forward` returns back to the pair it was given."""
        # YOUR CODE HERE
        raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "4d4597b1e925de0dfa8c7cf9976ec088", "grade": true, "grade_id": "test_invertible_layer", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
generator = torch.Generator().manual_seed(76)
kernel = 0.2 * torch.randn(8, 8, 3, 3, generator=generator, dtype=torch.float64)
shift = torch.randn(8, generator=generator, dtype=torch.float64)
a, b = torch.randn(2, 3, 8, 5, 5, generator=generator, dtype=torch.float64)

def same_weights(layer):  # any layer with an attribute `conv`
    layer = layer.double()
    layer.load_state_dict({"conv.weight": kernel, "conv.bias": shift})
    return layer

with check.exercise("invertible_layer", points=3) as exercise:
    exercise.close(
        "three pairs of images through a layer with a 3x3 kernel",
        lambda: same_weights(InvertibleLayer(3))((a, b)),
        same_weights(irevnet.InvertibleLayer(3))((a, b)),
        mistakes={
            "the halves do not swap": same_weights(irevnet.InvertibleLayer(3))((a, b))[::-1],
            "the ReLU is missing": (b, a + same_weights(irevnet.InvertibleLayer(3)).conv(b)),
            "the convolution reads the half to which it is added": (
                b,
                a + torch.relu(same_weights(irevnet.InvertibleLayer(3)).conv(a)),
            ),
            "the ReLU covers the sum": (
                b,
                torch.relu(a + same_weights(irevnet.InvertibleLayer(3)).conv(b)),
            ),
        },
    )
    exercise.close(
        "the inverse of any pair",
        lambda: same_weights(InvertibleLayer(3)).inverse((a, b)),
        same_weights(irevnet.InvertibleLayer(3)).inverse((a, b)),
        mistakes={
            "it adds instead of subtracting": (
                b + torch.relu(same_weights(irevnet.InvertibleLayer(3)).conv(a)),
                a,
            ),
            "the halves come back in the wrong order": same_weights(
                irevnet.InvertibleLayer(3)
            ).inverse((a, b))[::-1],
        },
    )
check.score(exercise)


# %% [markdown]
# ## 5. The i-RevNet (Q7, Q8)

# %% [markdown]
# ### Exercise 7.7 - Put it together [Q7] (3 points, ~8 min)
# Split, four layers, join: these are the *features*, of the same shape as the image.
# A linear classifier reads them. The parts are given, with the lab's names.
#
# <details><summary>Hint 1 - a nudge</summary>
# Only the classifier throws information away. Where does it stand?</details>
# <details><summary>Hint 2 - the idea</summary>
# Compute the features first. If <code>classif</code> is false return them, otherwise flatten them
# and apply <code>fc</code>. The inverse takes features, not scores.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>X = self.split(x)</code>, then <code>X = layer(X)</code> for the four layers,
# <code>features = self.split.inverse(X)</code>. For the inverse: split again, call
# <code>layer.inverse</code> from <code>conv4</code> to <code>conv1</code>, join.</details>

# %% nbgrader={"cell_type": "code", "checksum": "20b6f08f08cdcc8871fbb45f93a96e7a", "grade": false, "grade_id": "irevnet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class iRevNet(torch.nn.Module):
    """Four additive couplings and a linear classifier, for images `(s, 16, 7, 7)`."""

    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        """Return scores `(s, 10)`, or the features `(s, 16, 7, 7)` if not `classif`."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def inverse(self, x):
        """Return the images `(s, 16, 7, 7)` that have the features `x`."""
        # YOUR CODE HERE
        raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "bfa0e8efb5bfd944e760737c6727a3a1", "grade": true, "grade_id": "test_irevnet", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
generator = torch.Generator().manual_seed(77)
weights = {
    name: 0.1 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    for name, value in irevnet.iRevNet().state_dict().items()
}
x = torch.randn(3, 16, 7, 7, generator=generator, dtype=torch.float64)

def filled(net):  # the same weights for every net with the lab's attributes
    net = net.double()
    net.load_state_dict(weights)
    return net

with check.exercise("irevnet", points=3) as exercise:
    exercise.close(
        "the features of three images",
        lambda: filled(iRevNet())(x, classif=False),
        filled(irevnet.iRevNet())(x, classif=False),
        mistakes={
            "the halves are joined in the wrong order": filled(irevnet.iRevNet())(
                x, classif=False
            ).roll(8, 1),
            "the features are flattened": filled(irevnet.iRevNet())(x, classif=False).flatten(1),
        },
    )
    exercise.close(
        "their scores",
        lambda: filled(iRevNet())(x),
        filled(irevnet.iRevNet())(x),
        mistakes={
            "the classifier reads the image instead of the features": filled(irevnet.iRevNet()).fc(
                x.flatten(1)
            ),
            "a softmax is applied: the cross-entropy does that": filled(irevnet.iRevNet())(x).softmax(1),
        },
    )
    exercise.close(
        "the images that have given features",
        lambda: filled(iRevNet()).inverse(x),
        filled(irevnet.iRevNet()).inverse(x),
        mistakes={
            "the layers act in the order of the forward pass": [
                net := filled(irevnet.iRevNet()),
                X := net.split(x),
                [X := layer.inverse(X) for layer in (net.conv1, net.conv2, net.conv3, net.conv4)],
                net.split.inverse(X),
            ][3],
        },
    )
check.score(exercise)

# %% [markdown]
# Both networks see the same 500 images with the same optimiser (Q8).
# *Predict first:* the i-RevNet has about a third of the parameters, since its kernels map 8 channels
# to 8 instead of 16 to 16, and it may not forget anything. How much accuracy does that cost?

# %% tags=["nbval-ignore-output"]
reversible_net = run("i-RevNet", irevnet.iRevNet)
report("plain net", plain_net)
report("i-RevNet", reversible_net)

# %%
fig, axes = plt.subplots(1, 2, figsize=(10.5, 3.8), width_ratios=[1.7, 1])
for name, colour in (("plain net", plots.COLOURS["vgg"]), ("i-RevNet", plots.COLOURS["irevnet"])):
    for k, curve in enumerate(losses[name]):
        axes[0].semilogy(curve, color=colour, lw=1, alpha=0.8, label=name if k == 0 else None)
axes[0].set(xlabel="step (8 steps make an epoch)", ylabel="training loss", ylim=(1e-4, 20))
axes[0].legend()
counts = {"plain net": plain_net, "i-RevNet": reversible_net}
for name, net in counts.items():
    count = sum(parameter.numel() for parameter in net.parameters())
    colour = plots.COLOURS["vgg" if name == "plain net" else "irevnet"]
    axes[1].plot([count] * len(seeds), accuracies[name], "o", color=colour, alpha=0.8, label=name)
axes[1].set(xlabel="parameters", ylabel="accuracy on the test images", xlim=(0, 65000))
axes[1].set(xticks=[0, 20000, 40000, 60000], xticklabels=["0", "20 000", "40 000", "60 000"])
axes[1].legend(loc="lower left")
plt.show()

# %% [markdown]
# *Figure: left, training losses of the two networks, one line per seed; right, test accuracy
# against the number of parameters, one dot per seed.*
#
# **Reading the picture.** Here it costs nothing: the smaller, invertible network is the better one on average.
# Its loss falls at once, while the plain network's stands still for many steps; later both are jagged.
# With (5) written as $a + \dots$, the layers of the i-RevNet are residual:
# a signal, and a gradient, can pass all four of them unharmed.
# The losses suggest that the plain network is short of a good way to be trained rather than of information.

# %% [markdown]
# **Exactly? (Q9)** We take a network, trained or not, and bring features back to images.

# %% tags=["nbval-ignore-output"]
generator = torch.Generator().manual_seed(9)
x = torch.randn(1, 16, 7, 7, generator=generator)
with torch.no_grad():
    for name, net in (("untrained", irevnet.iRevNet()), ("trained", reversible_net)):
        for dtype in (torch.float32, torch.float64):
            net = net.to(dtype)
            error = (net.inverse(net(x.to(dtype), classif=False)) - x.to(dtype)).abs().max()
            print(f"{name:9} net in {str(dtype)[6:]}: largest error {error:.0e}")
reversible_net = reversible_net.float()

# %% [markdown]
# The inverse is a *formula*, exact in exact arithmetic, for any weights, without any iteration.
# What remains is rounding, and float64 rounds more finely.
# Can it add up in a deep network? The next cell stacks up to 128 untrained layers.

# %%
training.set_seed(3)
deep = [irevnet.InvertibleLayer() for _ in range(128)]
start = torch.randn(16, 16, 7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
depths = [1, 2, 4, 8, 16, 32, 64, 128]
error_at, size_at = {torch.float32: [], torch.float64: []}, []
with torch.no_grad():
    for dtype in error_at:
        for depth in depths:
            layers = [layer.to(dtype) for layer in deep[:depth]]
            X = tuple(start.to(dtype).chunk(2, 1))
            for layer in layers:
                X = layer(X)
            size_at += [max(half.abs().max().item() for half in X)] if dtype == torch.float64 else []
            for layer in reversed(layers):
                X = layer.inverse(X)
            error_at[dtype].append((torch.cat(X, 1) - start).abs().max().item())
print(f"largest feature after 1 layer {size_at[0]:.0f}, after 128 layers {size_at[-1]:.0e}")

# %%
fig, ax = plt.subplots(figsize=(7, 4))
for (dtype, errors), marker, colour in zip(error_at.items(), "os", plots.PALETTE):
    ax.loglog(depths, errors, marker + "-", color=colour, label=f"error of the inverse, {str(dtype)[6:]}")
    grain = [torch.finfo(dtype).eps * size for size in size_at]
    ax.loglog(depths, grain, ":", color=colour, label=f"largest feature x grain of {str(dtype)[6:]}")
ax.set(xlabel="number of layers", ylabel="largest absolute error", xticks=depths, xticklabels=depths)
ax.minorticks_off()
ax.legend(fontsize=9)
plt.show()

# %% [markdown]
# *Figure: the largest error of the inverse against the number of layers, with untrained weights, and the
# grain of the numbers: the distance of neighbouring floating-point numbers where the largest
# feature lies.*
#
# **Reading the picture.** Rounding errors are relative: once features have grown to a size $S$,
# everything below $S$ times the machine's grain ($10^{-7}$ or $10^{-16}$) is lost.
# $\mathrm{ReLU} \ge 0$ adds something non-negative in every layer, so features grow without end,
# and the error follows them, even a little faster, since the way back stretches old errors, too.
# "Exactly invertible" is a statement about formulas;
# in float32 it needs features of moderate size. (Batch normalisation helps with that; see section 7.)

# %% [markdown]
# ## 6. What is it good for?
#
# * **Memory.** Backpropagation stores the features of each layer.
#   An invertible layer can *recompute* them from its output, so that memory does not grow with depth.
#   Notebook 05 does the same with a differential equation solved backwards in time, where the way back
#   is only approximate. Here it is exact up to rounding.
# * **Insight.** A classifier need not forget to be good: everything that the network ever does to an
#   image can be looked at in the space of images (notebook 08, interpolation).
# * **Densities.** An invertible map with a known determinant transports probability (notebooks 06 and 08).

# %% [markdown]
# ## 7. How the pieces reach further
#
# ### 7a. The squeeze
# The lab's `view(16, 7, 7)` cuts across rows. The i-RevNet paper has a better way to trade resolution
# for channels: **space to depth**. Every square of $r\times r$ pixels becomes $r^2$ channels of one pixel.
# This replaces pooling, and it loses nothing: it only sorts.

# %%
tiny = torch.arange(16).view(1, 1, 4, 4).double()
squeeze = irevnet.SpaceToDepth(2)
print("an image\n", tiny[0, 0].long().numpy())
print("its four channels", *squeeze(tiny)[0].long().tolist())
print("back again:", torch.equal(squeeze.inverse(squeeze(tiny)), tiny))

# %%
squeeze4 = irevnet.SpaceToDepth(4)
three = train_images[chosen[3]][None]
fig = plots.image_rows(
    {"rows cut\n(the lab)": irevnet.lab_view(three)[0], "squeeze\n(the paper)": squeeze4(three)[0]}, gap=1
)
plt.show()

# %% [markdown]
# *Figure: the same 3 as 16 channels of $7\times7$ pixels, by cutting rows and by the squeeze.*
#
# **Reading the picture.** Each squeezed channel is a small copy of the image, so that neighbours stay
# neighbours and a $7\times7$ kernel sees the whole digit at once.
# Does the network care? Same network, same data, only the view differs:

# %% tags=["nbval-ignore-output"]
squeezed_net = run("i-RevNet, squeezed", irevnet.iRevNet, squeeze4)
report("i-RevNet", reversible_net)
report("i-RevNet, squeezed", squeezed_net)

# %% [markdown]
# Compare the difference of the averages with the spread over the seeds before you believe in it.
# With kernels as large as the picture, the order of the pixels
# matters less than one would think. It should matter more for the small kernels of real networks;
# try `lambda: irevnet.iRevNet(kernel_size=3)`.

# %% [markdown]
# ### 7b. The pre-activation bottleneck
# The blocks of the paper are couplings like (5), with more inside:
# $F$ = batch norm, ReLU, $3\times3$ convolution to *few* channels, batch norm, ReLU, $3\times3$ convolution,
# batch norm, ReLU, $3\times3$ convolution back to all channels. At stride 2 both halves are squeezed as well:
#
# $$(x_1, x_2) \mapsto (S x_2,\; S x_1 + F(x_2)), \qquad
#   x_2 = S^{-1} y_1, \quad x_1 = S^{-1}\bigl(y_2 - F(x_2)\bigr). \tag{6}$$
#
# Where more channels are wanted than a squeeze makes, channels of zeros are appended: injective, and undone
# by dropping them. `irevnet.BottleneckiRevNet` is a small network of this kind; it takes whole images,
# squeezes and splits them, and pads *both* halves.
# (Had one half nothing but zeros, batch normalisation would divide by the root of a variance near zero,
# and the formula of the inverse would still be right but useless in float32.)

# %% tags=["nbval-ignore-output"]
training.set_seed(0)
bottleneck_net = irevnet.BottleneckiRevNet(n_layers=4, pad=6)
train_loader, test_loader = loaders(lambda x: x, 0)
irevnet.train(bottleneck_net, train_loader, scale.pick(quick=1, lesson=25, full=40))
count = sum(parameter.numel() for parameter in bottleneck_net.parameters())
print(f"i-RevNet with bottlenecks: {count} parameters, accuracy {irevnet.test(bottleneck_net, test_loader):.1%}")
with torch.no_grad():
    batch, part = test_images[:64], test_images[:8]
    for mode in (False, True):
        bottleneck_net.train(mode)
        features = bottleneck_net(batch, classif=False)
        error = (bottleneck_net.inverse(features[:8]) - part).abs().max()
        print(f"largest error of the inverse of 8 of 64 images, {'training' if mode else 'eval'} mode: {error:.0e}")

# %% [markdown]
# In eval mode the inverse is exact up to rounding.
# In training mode batch normalisation uses the statistics of *the batch that it sees*.
# The way back of 8 images sees others than the forward pass of 64 did, and the inverse fails:
# a layer that mixes the samples of a batch is a function of the batch, not of the image.

# %% [markdown]
# ### 7c. Densities
# A volume-preserving $\Phi$ gives $\log p(x) = \log q(\Phi(x))$ with no determinant at all, which is the
# NICE model of 2015. Its limit is what we saw in section 2; scaling couplings and flows
# (notebook 06) and the i-ResNet (notebook 08) overcome it.

# %% [markdown]
# ## 8. Turn the knob
#
# **Full size.** Put `scale.use("full")` into the set-up cell, or set the environment variable
# `ODENETS_SCALE=full`: the same cells then learn from the first 500 training images of MNIST and
# are tested on its 10 000 test images, with five seeds. It takes a few minutes on a CPU.
# The next cell reads the stored table of what we measured in the same way, and shows it next to your run.
# The command `python -m odenets.studies.invertible` makes that table, on one thread.

# %% tags=["nbval-ignore-output"]
measured = invertible.recorded()  # one row per network and seed
for name in ("plain net", "i-RevNet", "i-RevNet, squeezed"):
    values = torch.tensor([row["accuracy"] for row in measured if row["net"] == name])
    yours = torch.tensor(accuracies[name])
    print(
        f"{name:19} MNIST {values.mean():.1%} ({values.min():.1%} to {values.max():.1%}), "
        f"your run on {dataset} {yours.mean():.1%} ({yours.min():.1%} to {yours.max():.1%})"
    )

# %% [markdown]
# Things to try: other kernel sizes, eight layers instead of four, a learning rate of 0.1;
# a tanh in place of the ReLU, whose features do not grow (repeat the picture of Q9).

# %% [markdown]
# ## Recap
#
# * A training loop is five lines; an accuracy is one division, at the end.
# * An additive coupling (2) is invertible for *any* function $F$: the half that $F$ read is still there (3).
# * With halves of one size, and $0$ and $-F$ allowed, such networks form a group: $B_F^{-1} = B_0 B_{-F} B_0$.
# * On both data sets the i-RevNet classified better on average than a plain network with nearly three times its parameters,
#   and it forgets nothing.
# * The inverse is a formula. Rounding limits it, in proportion to the size of the features.
#
# **Left out:** recomputing features during backpropagation (A. Gomez et al., *The reversible residual network*,
# NeurIPS 2017, [arXiv 1707.04585](https://arxiv.org/abs/1707.04585)), affine couplings, masks other than channels.
#
# **Read on:** the i-RevNet paper, sections 3 and 4; L. Dinh, J. Sohl-Dickstein and S. Bengio, *Density
# estimation using Real NVP*, ICLR 2017, [arXiv 1605.08803](https://arxiv.org/abs/1605.08803).
#
# **Next:** [08 - Invertible by contraction](../08_iresnet/08_iresnet.ipynb)
