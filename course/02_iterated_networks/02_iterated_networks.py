# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 - One layer, over and over
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/odenets/odenets-course/blob/main/course/02_iterated_networks/02_iterated_networks.ipynb)
#
# **The question.** How much of a deep network is *many different layers*,
# and how much is merely *doing the same thing again*?
# Whoever may repeat can choose the depth when the network is used.
#
# **Time** about 95 minutes - **points** 20 - **you need** notebook 01, convolutions,
# and how a classifier is trained in PyTorch.
#
# **Short of time?** Do exercises 2.1, 2.4 and 2.5.
#
# After this notebook you can
#
# 1. *build* a network that applies one convolution as often as its caller wishes,
# 2. *measure* it at any depth, and judge a difference beside the spread of the seeds,
# 3. *untie* its layers without changing its function, and count their parameters,
# 4. *find* its fixed points, and say what an operator norm tells about them,
# 5. *explain* why training it is backpropagation through time.
#
# **Sources.** *Iterated Networks*,
# [github.com/tahsmith/iterated-networks](https://github.com/tahsmith/iterated-networks): the
# recipe, two tables and five open questions. S. Bai, J. Z. Kolter and V. Koltun, *Deep
# equilibrium models*, [arXiv 1909.01377](https://arxiv.org/abs/1909.01377), section 3.

# %%
import copy
import importlib.util
import math
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/odenets/odenets-course#subdirectory=course")
from odenets import check, plots, scale, training
from odenets.nets import iterated
scale.use("lesson")
plots.style()
training.set_seed(0)


# %% [markdown]
# ## 1. Does it help to do the same thing again?
#
# The recipe: *make a layer whose output looks like its input;
# apply it over and over; add the first input back each time.*
# For an image $x$ with one colour, a $1\times1$ convolution first makes $c$ channels of it,
#
# $$a_0 = \mathrm{relu}(W_{1\times1} * x + b_1). \tag{1}$$
#
# Then one convolution, the same every time, acts on the features. What comes out of it passes
# a ReLU, and to that the start $a_0$ is added (not the features before, as in a residual
# network): one iteration. At last a head: flatten, a dense layer
# with ReLU, dropout with rate 0.4, and a dense layer with one output per class.
#
# ### Exercise 2.1 - The iterated network (4 points, ~15 min, difficulty 3 of 5, important)
# Write one iteration down as a formula $a_{j+1} = \dots$, then write the network.
# The number of iterations is chosen anew at every call.
#
# <details><summary>Hint 1 - a nudge</summary>
# Which size must the padding have, so that an odd kernel leaves the image as large as it is?
# And how many numbers does the head receive?</details>
# <details><summary>Hint 2 - the idea</summary> One convolution
# <code>recurrent</code> from <code>channels</code> to <code>channels</code>, and a loop that
# calls it. With 0 iterations the head sees <code>a_0</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>a0 = a = F.relu(self.lift(x))</code>, then in the loop
# <code>a = F.relu(self.recurrent(a)) + a0</code>, at last <code>self.head(a)</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "aa4839aed25294055c226e1f355256ff", "grade": false, "grade_id": "iterated_net", "locked": false, "schema_version": 3, "solution": true, "task": false}
class IteratedNet(nn.Module):
    """A network that applies one convolution over and over.

    Args:
        channels: number of feature maps.   kernel_size: odd, of the repeated convolution.
        image_size: height and width of the images, in pixels.
        hidden: units of the head's dense layer.   n_classes: number of outputs.

    Its modules are named `lift` (equation 1, before the ReLU), `recurrent` (the repeated
    convolution, with zero padding that keeps the image size) and `head` (dense, ReLU,
    dropout 0.4, dense; no softmax).
    """

    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        # YOUR CODE HERE
        raise NotImplementedError()

    def forward(self, x, iterations):
        """Return the outputs `(s, n_classes)` for images `x (s, 1, image_size, image_size)`.

        Args:
            iterations: how often the repeated convolution acts, 0 or more. Gradients flow
                back through all of them.
        """
        # YOUR CODE HERE
        raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "a7a5a5ed3bb217cb718589b50c084ce4", "grade": true, "grade_id": "test_iterated_net", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "iterated_net",
    points=4,
    answer=lambda: IteratedNet,
    package=(iterated.IteratedNet, iterated.dense_head),
    further=3,
)
def exercise(checks):
    def squares(size):  # three images
        pixels = torch.arange(3.0 * size**2, dtype=torch.float64)
        return torch.sin(pixels).view(3, 1, size, size)

    images = squares(5)

    def filled(net, dtype=torch.float64):  # weights that depend on nothing but the shapes
        net = net.to(dtype).eval()
        with torch.no_grad():
            for p in net.parameters():
                generator = torch.Generator().manual_seed(p.numel() + p.ndim)
                p.copy_(0.5 * torch.randn(p.shape, generator=generator))
        torch.manual_seed(0)
        return net

    def shapes(net):
        parts = {
            name: part
            for name, part in net.named_children()
            if name in ("lift", "recurrent", "head")
        }
        return {
            name: sorted(tuple(p.shape) for p in part.parameters()) for name, part in parts.items()
        }

    def gradients(net):  # of the repeated convolution and of the lift
        net(images, 3).square().sum().backward()
        return [net.recurrent.weight.grad, net.lift.weight.grad]

    def spread(net):  # features and hidden units are 1, the output is their mean
        dense = [m for m in net.modules() if isinstance(m, nn.Linear)]
        with torch.no_grad():
            for p in net.parameters():
                p.zero_()
            net.lift.bias.fill_(1.0)
            dense[0].weight.fill_(1 / 4)
            dense[1].weight.fill_(1 / 1000)
        torch.manual_seed(0)
        return net.train()(torch.zeros(2000, 1, 2, 2), 1).var().item() / (0.4 / 0.6 / 1000)

    def looked_at(net, images):  # its parameters and its outputs
        return [shapes(net), filled(net)(images, 1), net(2 * images, 1)]

    small = {"kernel_size": 3, "image_size": 6, "hidden": 8, "n_classes": 4}
    checks.close(
        "3 channels, kernel 3, images 6 x 6, 8 hidden units, 4 classes: "
        "shapes of the parameters, outputs after one iteration",
        lambda: looked_at(IteratedNet(3, **small), squares(6)),
        looked_at(iterated.IteratedNet(3, **small), squares(6)),
    )
    checks.close(
        "2 channels, everything else as it is by default: shapes, outputs after one iteration",
        lambda: looked_at(IteratedNet(2), squares(28)),
        looked_at(iterated.IteratedNet(2), squares(28)),
    )
    checks.close(
        "no iteration: the head sees a_0",
        lambda: [net := filled(IteratedNet(2, 3, 5, 6, 3)), net(images, 0), net(-images, 0)][1:],
        [filled(iterated.IteratedNet(2, 3, 5, 6, 3))(x, 0) for x in (images, -images)],
    )
    checks.close(
        "one network, called with three iterations, with one, and with three again",
        lambda: [
            net := filled(IteratedNet(2, 3, 5, 6, 3)),
            net(images, 3),
            net(images, 1),
            net(images, 3),
        ][1:],
        [filled(iterated.IteratedNet(2, 3, 5, 6, 3))(images, k) for k in (3, 1, 3)],
    )
    checks.close(
        "a kernel of 5 x 5, one channel, two iterations",
        lambda: filled(IteratedNet(1, 5, 5, 4, 2))(images, 2),
        filled(iterated.IteratedNet(1, 5, 5, 4, 2))(images, 2),
    )
    checks.close(
        "the gradients that reach the repeated convolution and the lift in three iterations",
        lambda: gradients(filled(IteratedNet(2, 3, 5, 6, 3))),
        gradients(filled(iterated.IteratedNet(2, 3, 5, 6, 3))),
    )
    checks.close(
        "dropout: the output's variance in train mode, in units of 0.4 / 0.6 / 1000",
        lambda: spread(IteratedNet(1, image_size=2, hidden=1000, n_classes=1)),
        1.0,
        atol=0.16,
    )


check.score(exercise)

# %%
MyIteratedNet = check.yours(exercise)


def bright(net):
    """Let the lift start as bright copies of the image: a dark channel would never learn."""
    with torch.no_grad():
        net.lift.weight.abs_()
        net.lift.bias.zero_()
    return net


def features(net, x, iterations):
    """Return a_0, ..., a_iterations of a network like yours, for images x."""
    stages = [F.relu(net.lift(x))]
    for _ in range(iterations):
        stages.append(F.relu(net.recurrent(stages[-1])) + stages[0])
    return stages


# %% [markdown]
# Your formula should read
#
# $$a_{j+1} = \mathrm{relu}(W * a_j + b) + a_0, \qquad j = 0, \dots, k-1. \tag{2}$$
#
# The weights $W, b$ carry no index $j$: they are *tied*. So a network can be tested at *any*
# depth $k$, whatever it was trained with.
#
# ### Exercise 2.2 - Accuracy at many depths (3 points, ~8 min, difficulty 3 of 5)
# Measure the accuracy for several numbers of iterations; every experiment below lives on it.
# Of the package, the context manager `training.evaluating(model)` is allowed.
#
# <details><summary>Hint 1 - a nudge</summary> Dropout must be off while you measure. Which
# modules were in which mode before?</details>
# <details><summary>Hint 2 - the idea</summary> Add up right answers and samples: the last
# batch may be smaller. Restore in a <code>finally</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>modes = {m: m.training for m in model.modules()}</code>, <code>model.eval()</code>,
# the loops in <code>try:</code> and <code>torch.no_grad()</code>,
# <code>finally:</code> put the modes back.</details>

# %% nbgrader={"cell_type": "code", "checksum": "86a0e27292159e431ebd3a58c4e8c1e9", "grade": false, "grade_id": "iteration_study", "locked": false, "schema_version": 3, "solution": true, "task": false}
def iteration_study(model, loader, iterations):
    """Measure the accuracy for several numbers of test iterations.

    Args:
        model: called as `model(x, k)`, returns outputs `(s, n_classes)`.
        loader: an iterable of batches `(x, labels)`; the last batch may be smaller.
        iterations: the numbers `k` to test with.

    Returns:
        `{k: accuracy}`, accuracies as fractions, Python floats. The model is in eval mode
        meanwhile, no gradients are recorded, and every module's mode is restored after,
        also after an error.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "c02a62f1d365a40da90a39a57d9301c7", "grade": true, "grade_id": "test_iteration_study", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
from odenets.studies import iterated as study


@check.exercise(
    "iteration_study",
    points=3,
    answer=lambda: iteration_study,
    package=(study.iteration_study, study.deployed, training.accuracy),
    further=3,
)
def exercise(checks):
    class Shifted(nn.Module):
        """Guesses the class x + k; in train mode, or while gradients are recorded, it errs."""

        def __init__(self, modes=(True, True, True, False)):  # of itself and of its parts
            super().__init__()
            self.part = nn.Sequential(nn.Dropout(0.4), nn.Dropout(0.4))
            for m, mode in zip((self, self.part, *self.part), modes):
                m.training = mode

        def forward(self, x, k):
            if k > 90:
                raise ArithmeticError("too deep")
            wrong = 1 * (self.training or self.part[0].training) + 2 * torch.is_grad_enabled()
            return F.one_hot((x + k + wrong) % 5, 5).double()

        def modes(self):
            return [m.training for m in (self, self.part, *self.part)]

    def after_an_error(model):
        try:
            iteration_study(model, batches, [1, 99])
        except ArithmeticError:
            return model.modes()
        return "no error came through"

    x = torch.arange(11)
    batches = [(x[:8], torch.tensor([0, 1, 2, 3, 4, 0, 1, 3])), (x[8:], torch.tensor([4, 4, 3]))]
    checks.close(
        "batches of 8 and 3 samples, tested with 0, 1, 3 and 4 iterations; the second batch alone",
        lambda: [
            iteration_study(Shifted(), batches, [0, 1, 3, 4]),
            iteration_study(Shifted(), batches[1:], [1, 3]),
        ],
        [{0: 8 / 11, 1: 2 / 11, 3: 1 / 11, 4: 0.0}, {1: 1 / 3, 3: 1 / 3}],
        rtol=1e-6,
    )
    checks.close(
        "keys, accuracies, the types of the accuracies, and whether gradients are recorded "
        "afterwards",
        lambda: [
            came := iteration_study(Shifted(), batches, [0, 1]),
            [
                list(came),
                came,
                [type(value).__name__ for value in came.values()],
                torch.is_grad_enabled(),
            ],
        ][1],
        [[0, 1], {0: 8 / 11, 1: 2 / 11}, ["float", "float"], True],
        rtol=1e-6,
    )
    checks.close(
        "the accuracies, and the modes afterwards of a model in train mode with a part in eval "
        "mode, and the other way round",
        lambda: [
            [iteration_study(model, batches, [0, 1]), model.modes()]
            for model in (Shifted(), Shifted((False, True, True, False)))
        ],
        [
            [{0: 8 / 11, 1: 2 / 11}, [True, True, True, False]],
            [{0: 8 / 11, 1: 2 / 11}, [False, True, True, False]],
        ],
        rtol=1e-6,
    )
    checks.equal(
        "the modes after an error in the model",
        lambda: after_an_error(Shifted()),
        [True, True, True, False],
    )


check.score(exercise)

# %% [markdown]
# **The experiment.** Handwritten digits of 8 x 8 pixels, each turned by up to 30 degrees,
# scaled by 0.8 to 1.2 and shifted by up to a tenth of its width.
# We train your network with 0, 1, 2, 5, 10 and 20 iterations. All else is
# equal, the number of parameters included, and every training is made with several
# *seeds*: of the weights, the order of the images, the dropout.
#
# *Predict first:* of 100 test images, how many more are recognised with ten iterations than
# with none?

# %%
my_iteration_study = check.yours(exercise)
gain = check.predict(
    "How many more of 100 images?", among=["less than 1", "2 to 10", "more than 20"], mine=""
)

dataset = scale.pick(quick="digits", lesson="digits", full="mnist")
recipe = scale.pick(
    quick=study.Recipe(1, 256, 1e-2, 3, 16, 4),
    lesson=study.RECIPES["digits"],
    full=study.RECIPES["mnist"],
)
seeds = scale.pick(quick=(0,), lesson=(0, 1, 2, 3, 4), full=(0, 1, 2))
device = training.pick_device(None if scale.current() == "full" else "cpu")

plain = study.load(dataset)
chance = torch.Generator().manual_seed(0)
moved = type(plain)(*(study.moved(part, chance) for part in plain))
fig = plots.image_rows(
    {"as they are": plain.test.images[:10], "moved": moved.test.images[:10]},
    titles=[str(label.item()) for label in plain.test.labels[:10]],
    gap=1,
)
plots.show(fig, "Ten small digits in the upper row; below, the same ones turned and shifted.")
plain, moved = study.to(plain, device), study.to(moved, device)
sizes = [len(part.labels) for part in moved]
print(f"{dataset}: {sizes[0]} images to learn from, {sizes[1]} to test")


# %% tags=["nbval-ignore-output"]
def build(job, size):
    """Return an untrained network for images of size x size: yours, where it is one."""
    if job.net not in ("iterated", "untied"):
        return study.build(job, size)
    net = bright(MyIteratedNet(job.channels, recipe.kernel_size, size, recipe.hidden))
    return net if job.net == "iterated" else my_untie(net, job.iterations)


def train(data=moved, **settings):
    """Return one trained network per seed; the settings are those of `study.Job`."""
    jobs = [study.Job(seed=seed, recipe=recipe, **settings) for seed in seeds]
    return [study.train(job, data, device, build)[0] for job in jobs]


def reached(nets, k, data=moved):
    """Return the test accuracy of each network with k iterations, in %."""
    test = list(zip(data.test.images.split(500), data.test.labels.split(500)))
    return torch.tensor([100 * my_iteration_study(net, test, [k])[k] for net in nets])


deep = scale.pick(quick=2, lesson=10, full=10)
depths = scale.pick(quick=(0, 1, 2), lesson=study.ITERATIONS, full=study.ITERATIONS)
nets = {k: train(iterations=k) for k in depths}
accuracy = {k: reached(nets[k], k) for k in depths}
for k, found in accuracy.items():
    low, high = found.min(), found.max()
    print(f"{k:2d} iterations: {found.mean():.1f} %, seeds from {low:.1f} to {high:.1f}")

# %% tags=["nbval-ignore-output"]
fig, ax = plt.subplots(figsize=(7.5, 3.8))
table = torch.stack([accuracy[k] for k in depths])
for seed, marker in zip(range(len(seeds)), plots.MARKERS):
    ax.plot(depths, table[:, seed], marker + ":", color=plots.GREY, lw=1, ms=5)
ax.plot(depths, table.mean(dim=1), "o-", color=plots.COLOURS["iterated"], lw=2.5, ms=8)
ax.annotate("mean", (depths[-1], table[-1].mean()), (8, 0), textcoords="offset points")
ax.set(xlabel="iterations", ylabel="test accuracy in %, moved images", xticks=depths)
plots.show(
    fig,
    "Accuracy against 0 to 20 iterations, a dotted line per seed and their mean. "
    "All lines climb up to two iterations and wander after.",
)
more = accuracy[deep] - accuracy[0]
print(f"{deep} iterations instead of none, each seed against itself, in points:")
print(", ".join(f"{gained:+.1f}" for gained in more), f"- mean {more.mean():+.1f}")
size = "less than 1" if more.mean() < 1 else "2 to 10" if more.mean() < 15 else "more than 20"
gain.reveal(size, "every seed gains, by shapes that a pixel learns from its neighbours")


# %% [markdown]
# *Figure: ten of the images, above as they are, below moved. Then the test accuracy of your
# network against the number of iterations; dotted, the seeds.*
#
# **Reading the picture.** The seeds differ about as much as the depths: a table with one run
# per line would be worth little. But each seed can be compared with itself, and every one
# gains. Most of it has come after two iterations; after that the lines go up and down without
# an order. Doing the same thing again helps, without one parameter more.

# %% [markdown]
# ## 2. The same layer, or different ones?
#
# With weights of its own for each iteration it would be an ordinary deep network. What would
# that cost?
#
# ### Exercise 2.3 - The parameter budget (2 points, ~5 min, difficulty 1 of 5)
# Count the trainable numbers of each part.
#
# <details><summary>Hint 1 - a nudge</summary>
# Every module knows its <code>parameters()</code>, every tensor its
# <code>numel()</code>.</details>
# <details><summary>Hint 2 - the idea</summary> With <code>c</code> channels and a 5 x 5 kernel
# there are 25 c c weights and c biases. Does your count agree?</details>
# <details><summary>Hint 3 - almost the code</summary> For each of the three names:
# <code>sum(p.numel() for p in getattr(model, name).parameters())</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "fd41c94f2877f8ecd148b472602b0bd7", "grade": false, "grade_id": "parameter_budget", "locked": false, "schema_version": 3, "solution": true, "task": false}
def parameter_budget(model):
    """Return how many trainable parameters the parts of a network have.

    Args:
        model: a network with modules `lift`, `recurrent` and `head`.

    Returns:
        `{"lift": int, "recurrent": int, "head": int, "total": int}`, biases included.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "cd1cfe168f97e782d7398373e6cbf512", "grade": true, "grade_id": "test_parameter_budget", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "parameter_budget",
    points=2,
    answer=lambda: parameter_budget,
    package=(iterated.parameter_budget, iterated.count),
    further=2,
)
def exercise(checks):
    checks.equal(
        "five channels, and one: kernel 5, images 28 x 28, 1024 hidden units, 10 classes",
        lambda: [parameter_budget(iterated.IteratedNet(channels)) for channels in (5, 1)],
        [
            {"lift": 10, "recurrent": 630, "head": 4025354, "total": 4025994},
            {"lift": 2, "recurrent": 26, "head": 814090, "total": 814118},
        ],
    )
    checks.equal(
        "three channels, kernel 3, images 6 x 6, 8 hidden units, 4 classes",
        lambda: parameter_budget(iterated.IteratedNet(3, 3, 6, 8, 4)),
        {"lift": 6, "recurrent": 84, "head": 908, "total": 998},
    )
check.score(exercise)

# %%
my_parameter_budget = check.yours(exercise)
budgets = {f"{c} channels": my_parameter_budget(MyIteratedNet(c)) for c in study.CHANNELS}
fig, ax = plt.subplots(figsize=(8, 2.8))
for row, (name, budget) in enumerate(budgets.items()):
    for part, shift, hatch, colour in (("recurrent", -0.2, "//", 1), ("head", 0.2, "", 0)):
        bar = ax.barh(row + shift, budget[part], 0.38, color=plots.PALETTE[colour], hatch=hatch)
        ax.bar_label(bar, [f"{part}: {budget[part]}"], padding=3, fontsize=9)
    print(f"{name:>11s}: {budget['recurrent'] / budget['total']:.3%} in the repeated layer")
ax.set(xscale="log", xlim=(10, 1e9), xlabel="parameters (logarithmic), images of 28 x 28 pixels")
ax.set(yticks=range(len(budgets)), yticklabels=budgets)
ax.invert_yaxis()
plots.show(
    fig,
    "Two bars for each of 1, 2, 5, 10 and 20 channels: 26 to 10020 parameters in the repeated "
    "layer, 814090 to 16067594 in the head.",
)


# %% [markdown]
# *Figure: parameters of the repeated layer (hatched) and of the head, on a logarithmic axis.*
#
# **Reading the picture.** "Few parameters", the recipe says. Few are *repeated*: the head sees
# every pixel of every channel, and holds nearly everything. So layers of their own would cost
# hardly anything: a fair contest.
#
# ### Exercise 2.4 - Untie a network (3 points, ~12 min, difficulty 3 of 5, important)
# Make an untied network that computes the same as `model`, but whose layers can then
# learn to differ.
#
# <details><summary>Hint 1 - a nudge</summary>
# How many times does a weight appear in a list like <code>[layer] * 3</code>?</details>
# <details><summary>Hint 2 - the idea</summary> <code>copy.deepcopy</code> makes a module with
# weights of its own. A plain list hides its modules from <code>parameters()</code>:
# use <code>nn.ModuleList</code>. Copy the lift and the head too.</details>
# <details><summary>Hint 3 - almost the code</summary> A class with
# <code>lift</code>, <code>layers = nn.ModuleList(...)</code> and <code>head</code>, and the
# loop of exercise 2.1 over <code>self.layers[:iterations]</code>.</details>

# %% nbgrader={"cell_type": "code", "checksum": "ec3c051a7f057df0af641b8b4e90c142", "grade": false, "grade_id": "untie", "locked": false, "schema_version": 3, "solution": true, "task": false}
def untie(model, iterations):
    """Return an untied network with the same function as `model`.

    Args:
        model: a network with `lift`, `recurrent`, `head`, called as `model(x, iterations)`,
            equations (1) and (2). It is left unchanged and shares no weight with the result.
        iterations: the number of layers, each with weights of its own that are those of
            `model.recurrent` at first.

    Returns:
        A module `net` that is called like the original: `net(x, k)` applies its first
        `k` layers. All its weights are found by `net.parameters()`.
        For `k` greater than `iterations` it raises `ValueError`.
    """

    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "5a7ae486cbaf68e6d6ac22cb13f26140", "grade": true, "grade_id": "test_untie", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "untie",
    points=3,
    answer=lambda: untie,
    package=(iterated.untie, iterated.UntiedNet),
    further=3,
)
def exercise(checks):
    images = torch.sin(torch.arange(75.0, dtype=torch.float64)).view(3, 1, 5, 5)

    def tied(size=0.5):  # a network with the same weights at every call
        net = iterated.IteratedNet(2, 3, 5, 6, 3).double().eval()
        with torch.no_grad():
            for p in net.parameters():
                generator = torch.Generator().manual_seed(p.numel() + p.ndim)
                p.copy_(size * torch.randn(p.shape, generator=generator))
        return net

    def blanked(net):  # every weight that the network owns becomes zero
        with torch.no_grad():
            for p in net.parameters():
                p.zero_()

    def sizes(model):  # of the weights of its parts
        parts = {"lift": model.lift, "recurrent": model.recurrent, "head": model.head}
        return {
            name: sum(p.norm().item() for p in part.parameters()) for name, part in parts.items()
        }

    def layer_gradients(net, iterations):  # of the weights shaped like the repeated convolution
        net(images, iterations).square().sum().backward()
        grads = [p.grad for p in net.parameters() if p.shape == (2, 2, 3, 3)]
        return [None if grad is None else grad.norm().item() for grad in grads]

    checks.close(
        "three layers compute what three iterations do, for two networks",
        lambda: [untie(tied(size), 3).eval()(images, 3) for size in (0.4, 0.5)],
        [tied(size)(images, 3) for size in (0.4, 0.5)],
    )
    checks.close(
        "of four layers, net(x, k) applies the first k: k = 0, 1, 3",
        lambda: [net := untie(tied(), 4).eval(), net(images, 0), net(images, 1), net(images, 3)][
            1:
        ],
        [tied()(images, k) for k in (0, 1, 3)],
    )
    checks.close(
        "number of parameters with three layers, two more than the tied network has; the output",
        lambda: [
            net := untie(tied(), 3).eval(),
            sum(p.numel() for p in net.parameters()),
            net(images, 2),
        ][1:],
        [iterated.count(tied()) + 2 * 38, tied()(images, 2)],
    )
    checks.close(
        "sizes of the gradients in three layers of which two are used: None for the third",
        lambda: layer_gradients(untie(tied(), 3).eval(), 2),
        layer_gradients(iterated.untie(tied(), 3), 2),
    )
    checks.close(
        "the output, and the sizes of the model's weights after those of the untied network "
        "became zero",
        lambda: [
            model := tied(),
            net := untie(model, 2).eval(),
            net(images, 2),
            blanked(net),
            sizes(model),
        ][2::2],
        [tied()(images, 2), sizes(tied())],
    )
    checks.close(
        "the output of the untied network after the model's weights became zero",
        lambda: [model := tied(), net := untie(model, 2).eval(), blanked(model), net(images, 2)][3],
        tied()(images, 2),
    )
    checks.raises(
        "net(x, 3) of a network with two layers", lambda: untie(tied(), 2)(images, 3), ValueError
    )


check.score(exercise)

# %% [markdown]
# *Predict first:* of what ten different layers gain over none, which part does one layer
# gain that is used ten times?

# %%
part = check.predict(
    "Which part of the gain?",
    among=["less than a third", "about half", "more than three quarters"],
    mine="",
)

# %% tags=["nbval-ignore-output"]
my_untie = check.yours(exercise)
untied = reached(train(net="untied", iterations=deep), deep)
none, tied = accuracy[0], accuracy[deep]
share = (tied.mean() - none.mean()) / (untied.mean() - none.mean())
each = (tied - none) / (untied - none)
print(f"none {none.mean():.1f} %, one layer {deep} times {tied.mean():.1f} %,", end=" ")
print(f"{deep} layers {untied.mean():.1f} %")
print(f"one layer gains {share:.0%} of it; seed by seed {each.min():.0%} to {each.max():.0%}")


def of(net="iterated", moved=False, **settings):
    """Pick rows of the MNIST record by what was trained, without the two cures."""
    settings |= {"net": net, "moved": moved, "any_depth": False, "max_norm": 0.0}
    return [row for row in recorded if all(row[name] == value for name, value in settings.items())]


recorded = study.recorded()
for images in (True, False):
    ends = of(iterations=0, moved=images, channels=5) + of(iterations=10, moved=images, channels=5)
    (row,) = of("untied", iterations=10, moved=images)
    a, b, c = (row["accuracy"] for row in (*ends, row))
    print(f"recorded on {'moved' if images else 'plain'} MNIST: {(b - a) / (c - a):.0%}")
steps = ["less than a third", "about half", "more than three quarters"]
part.reveal(steps[(share > 0.33) + (share > 0.75)], "the layers hardly need to differ here")

# %% [markdown]
# **Reading the numbers.** On the small digits one layer used ten times gains all that ten
# layers gain, as far as five seeds can tell. With 60000 images the seeds agree better, and it
# is three quarters to four fifths; the rest is what *different* layers are worth.
#
# ## 3. What happens between the iterations?
#
# Let us look, also beyond the ten iterations that a network was trained with.

# %% tags=["nbval-ignore-output"]
net, image = nets[deep][0], moved.test.images[3:4]
shown = [0, 1, 2, 3, 5, 10, 20, 40]
with torch.no_grad():
    stages = [stage.cpu() for stage in features(net, image, max(shown))]
rows = {f"channel {c}": torch.stack([stages[k][0, c] for k in shown]) for c in range(5)}
names = [f"$a_{{{k}}}$" for k in shown]
fig = plots.image_rows(rows, titles=names, width=8, cmap="viridis", vmax=None, gap=1)
plots.show(
    fig,
    "Five channels in rows, iterations 0 to 40 in columns: the first columns differ, those from "
    "ten on look alike; channel 0 starts dark and fills from the lower edge.",
)
for k in (1, 5, 10, 20, 40):
    change = (stages[k] - stages[k - 1]).norm() / stages[k - 1].norm()
    print(f"iteration {k:2d} changes the features by {change:.2%} of their size")


# %% [markdown]
# *Figure: the feature maps of one test image after 0 to 40 iterations, each row with a
# colour scale of its own.*
#
# **Reading the picture.** $a_0$ holds copies of the digit; channel 0 starts dark, and fills from
# the lower edge. The first iterations change everything, the later ones less and less: the
# maps *settle*. Equation (2) is a step of Euler's method with $h = 1$,
#
# $$a_{j+1} = a_j + h\,f(a_j), \qquad f(a) = \mathrm{relu}(W * a + b) + a_0 - a, \tag{3}$$
#
# and the field is *autonomous*: the same wind blows all the time. Where it is still there is a
# *fixed point* $z = g(z)$ of $g(a) = \mathrm{relu}(W * a + b) + a_0$. ReLU never stretches a
# distance, so
#
# $$\|g(a) - g(a')\| \le \|W\|\, \|a - a'\| \tag{4}$$
#
# with the operator norm $\|W\|$, the largest factor by which the convolution stretches an
# image. Banach's theorem: if $\|W\| < 1$ there is one fixed point, every start leads to it,
# and the error shrinks at least by the factor $\|W\|$ in each iteration.
#
# ### Exercise 2.5 - Find the fixed point (5 points, ~12 min, difficulty 4 of 5, important)
# Iterate until the features hardly move, measured by the relative residual
#
# $$r_k = \frac{\|a_{k+1} - a_k\|}{\|a_k\|}, \tag{5}$$
#
# and refuse a map whose iteration runs away.
#
# <details><summary>Hint 1 - a nudge</summary> For the map <code>2 a + 1</code> the
# relative residual (5) tends to 1, it does not grow. What does grow?</details>
# <details><summary>Hint 2 - the idea</summary> Remember the length of the first step: a step
# that is far longer means divergence, and one that is not finite, too.</details>
# <details><summary>Hint 3 - almost the code</summary> In the loop: <code>new =
# step(a)</code>, <code>length = (new - a).norm().item()</code>, <code>size = a.norm().item()
# or 1.0</code>; compare, append <code>length / size</code>, go on.</details>

# %% nbgrader={"cell_type": "code", "checksum": "6e637e8e230613d0e03323bf60655b3a", "grade": false, "grade_id": "fixed_point", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fixed_point(step, a0, tol, max_iter):
    """Iterate `a_{k+1} = step(a_k)` until the features hardly move.

    Args:
        step: the map, from a tensor to one of the same shape.
        a0: where to start, any shape; left unchanged.
        tol: stop as soon as the residual (5) is at most this. Norms are Euclidean, over
            all entries; where the current iterate `a_k` is zero, divide by 1.
        max_iter: stop after so many applications of `step` at the latest.

    Returns:
        `(a, residuals)`: the last iterate `a_{k+1}`, through which gradients flow back, and
        the list of all residuals `r_0, ..., r_k` as Python floats. At `max_iter` it returns
        what it has.

    Raises:
        ValueError: with the word "diverges" in its message, when a step
            `a_{k+1} - a_k` is not finite or is more than 1000 times as long as the
            first one.
    """
    # YOUR CODE HERE
    raise NotImplementedError()


# %% nbgrader={"cell_type": "code", "checksum": "491fc7bb6cd8a45f408aaffdadd7b71e", "grade": true, "grade_id": "test_fixed_point", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "fixed_point",
    points=5,
    answer=lambda: fixed_point,
    package=iterated.fixed_point,
    further=4,
)
def exercise(checks):
    jacobian = torch.autograd.functional.jacobian

    def halve(a):  # its fixed point is 2 in every entry
        return 0.5 * a + 1

    def ease(a):  # steps of 0.1, then of 90, then shorter and shorter ones towards 3
        return a - torch.where(a >= 1000, 0.1, (0.5 * (a - 3)).clamp(max=90.0))

    def outcome(step, start, max_iter):  # which error stops the iteration
        try:
            fixed_point(step, start, 1e-9, max_iter)
        except NotImplementedError:
            raise
        except (ValueError, ArithmeticError, RuntimeError) as error:
            kind = "ValueError" if isinstance(error, ValueError) else type(error).__name__
            return kind if "diverge" in str(error).lower() else f"{kind}, not a word of divergence"
        return "no error"

    one = torch.ones(1, dtype=torch.float64)
    wide = torch.tensor([[3.0, 0.0, 1.0], [0.0, 4.0, -2.0]], dtype=torch.float64)
    checks.close(
        "the residuals of a -> a / 2 + 1 from two matrices, tol = 0, max_iter = 3",
        lambda: [fixed_point(halve, -wide, 0.0, 3)[1], fixed_point(halve, wide.clone(), 0.0, 3)[1]],
        [
            [
                ((a - 2) / 2 ** (k + 1)).norm().item() / (2 + (a - 2) / 2**k).norm().item()
                for k in range(3)
            ]
            for a in (-wide, wide)
        ],
    )
    checks.close(
        "a -> a / 2 + 1 from 1, tol = 0.01: the iterate, the number of residuals, their type",
        lambda: [
            came := fixed_point(halve, one.clone(), 0.01, 100),
            [came[0], len(came[1]), type(came[1][0]).__name__],
        ][1],
        [torch.tensor([2 - 0.5**6], dtype=torch.float64), 6, "float"],
    )
    checks.close(
        "a -> a / 2 from (2, -4), tol = 0.5: the first residual is exactly that, and it stops",
        lambda: list(fixed_point(lambda a: 0.5 * a, torch.tensor([2.0, -4.0]), 0.5, 5)),
        [torch.tensor([1.0, -2.0]), [0.5]],
    )
    checks.close(
        "a -> a / 2 + 0.1 from (0, 0), tol = 0, max_iter = 2: the first norm is 0",
        lambda: list(fixed_point(lambda a: 0.5 * a + 0.1, torch.zeros(2).double(), 0.0, 2)),
        [torch.full((2,), 0.15, dtype=torch.float64), [0.1 * 2**0.5, 0.5]],
    )
    checks.equal(
        "a -> 2 a + 1 from 50, at most 2, 5, 6, 10, 11, 40, 1200 iterations: "
        "step 11 is 1024 times as long as the first",
        lambda: [outcome(lambda a: 2 * a + 1, 50 * one, n) for n in (2, 5, 6, 10, 11, 40, 1200)],
        ["no error"] * 4 + ["ValueError"] * 3,
    )
    checks.equal(
        "a -> 3000 a + 1 from 1, at most 1 and 2 iterations: the second step is too long",
        lambda: [outcome(lambda a: 3000 * a + 1, one.clone(), n) for n in (1, 2)],
        ["no error", "ValueError"],
    )
    checks.equal(
        "a first step that is inf, and one that is nan",
        lambda: [
            outcome(lambda a: a / 0, one.clone(), 1),
            outcome(lambda a: (a - 2).sqrt(), one.clone(), 1),
        ],
        ["ValueError", "ValueError"],
    )
    checks.close(
        "steps that are 900 times as long as the first for a while, and then settle at 3",
        lambda: fixed_point(ease, 1000 * one, 1e-8, 300)[0],
        3 * one,
        atol=1e-6,
    )
    checks.close(
        "the third iterate, and the start: it is left unchanged",
        lambda: [mine := wide.clone(), fixed_point(halve, mine, 0.0, 3)[0], mine][1:],
        [2 + (wide - 2) / 8, wide],
    )
    checks.close(
        "the gradient of the third iterate of a -> a / 2 + c with respect to c",
        lambda: jacobian(lambda c: fixed_point(lambda a: 0.5 * a + c, one.clone(), 0.0, 3)[0], one),
        torch.tensor([[1.75]], dtype=torch.float64),
    )


check.score(exercise)

# %% [markdown]
# Try it on a layer with two features, whose $W$ turns the plane by an angle and stretches it:
# the stretch is its operator norm.
#
# *Predict first:* the angle is 100 degrees. Who comes to rest: stretch 0.8, stretch 1.15?

# %%
my_fixed_point = check.yours(exercise)
rest = check.predict("Who comes to rest?", among=["both", "only 0.8", "neither"], mine="")


def layer(stretch, angle):
    """Return a_0 and one iteration of a layer with two features."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    W = float(stretch) * torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    a0, b = torch.tensor([[1.0, 0.5], [4.0, 0.5]], dtype=torch.float64)
    return a0, lambda a: F.relu(a.double() @ W.T + b) + a0


def picture(stretch=1.15, angle=100):
    a0, step = layer(stretch, angle)
    path = [a0]
    for _ in range(40):
        path.append(step(path[-1]))
    try:
        residuals = my_fixed_point(step, a0, 1e-6, 200)[1]
        found = f"last residual {residuals[-1]:.0e}"
    except ValueError:
        residuals, found = [], "it diverges"
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    plots.slope_field(left, lambda t, a: step(a) - a, (0, 6), (0, 6))
    left.plot(*torch.stack(path).T, "o-", ms=4, lw=0.8, color=plots.COLOURS["iterated"])
    left.plot(*a0, "ks", ms=8)
    left.set(xlabel="feature 1", ylabel="feature 2", title="from the square: 40 iterations")
    right.semilogy(range(1, len(residuals) + 1), residuals, color=plots.COLOURS["iterated"])
    right.set(xlabel="iteration", ylabel="residual", title=found, xlim=(0, 200), ylim=(1e-7, 10))
    return fig


# %%
words = "The features circle through the plane; beside it, the residual stays near one half."
stretches, angles = [0.8, 0.95, 1.15, 1.5, 2, 3], [0, 30, 60, 90, 100, 135, 180]
plots.live(picture, words, stretch=stretches, angle=angles)
still = 0
for stretch in (0.8, 1.15):
    a0, step = layer(stretch, 100)
    residuals = my_fixed_point(step, a0, 1e-6, 200)[1]
    still += residuals[-1] <= 1e-6
    print(f"stretch {stretch}: {len(residuals)} iterations, last residual {residuals[-1]:.1e}")
answers = ("neither", "only 0.8", "both")
rest.reveal(answers[still], "above norm one Euler's step h = 1 may overshoot the still point")

# %% [markdown]
# *Figure: forty iterations on the field (3), and the residual (5); move stretch and angle.*
#
# **Reading the picture.** With 0.8 the features wind inwards. With 1.15 they circle for ever,
# although the arrows point inwards there too: Euler's step is too long. Which steps can be
# trusted is the subject of notebook 03.
#
# ### Explore - Above one, and still at rest
# Above norm one (4) promises nothing, which is not the same as unrest. *Find a stretch of 2 or
# more that comes to rest within 200 iterations.* The settings stored here fail.

# %%
stretch, angle = 1.15, 100  # yours
a0, step = layer(stretch, angle)
try:
    z, residuals = my_fixed_point(step, a0, 1e-6, 200)
    print(f"{len(residuals)} iterations, last residual {residuals[-1]:.1e}")
    met = stretch >= 2 and residuals[-1] <= 1e-6
except ValueError as error:
    met = print(error)
if met:
    J = torch.autograd.functional.jacobian(step, z)
    print(f"spectral radius of the Jacobian: {torch.linalg.eigvals(J).abs().max():.2f}")
print("the aim is met" if met else "the aim is not met yet")


# %% [markdown]
# <details><summary>What others found</summary> An angle of 90 degrees, with any stretch from 2
# on: ReLU switches one feature off, and what is left of the Jacobian has spectral radius 0.
# The last cell of "Further" has the numbers.</details>
#
# Near a fixed point the map is linear: ReLU is zero for some pixels and the identity for the
# others, and the Jacobian is $J = \mathrm{diag}(\text{mask})\, W$. In the long run the error
# shrinks by its *spectral radius*, the largest modulus of its eigenvalues, and that may be
# far below $\|W\|$.
#
# **Trained networks.** How does the residual decay on 200 test images? We add networks that
# were *kept* below norm 0.9 while they were trained.

# %% tags=["nbval-ignore-output"]
def residuals_of(net, iterations=40):
    """Return the relative residuals (5) on 200 test images."""
    with torch.no_grad():
        stages = features(net, moved.test.images[:200], iterations)
    return torch.stack([(b - a).norm() / a.norm() for b, a in zip(stages[1:], stages)]).cpu()


contracting = train(iterations=deep, max_norm=0.9)
side = moved.test.images.shape[-1]
groups = {f"trained with {k}": nets[k] for k in depths if k > 0} | {"kept below 0.9": contracting}
fig, axes = plt.subplots(1, 2, figsize=(11, 4))
for (name, group), colour, marker in zip(groups.items(), plots.PALETTE, plots.MARKERS):
    decay = torch.stack([residuals_of(net) for net in group])
    norms = [iterated.operator_norm(net.recurrent, side) for net in group]
    factors = (decay[:, 15] / decay[:, 5]) ** 0.1
    style = {"color": colour, "marker": marker}
    axes[0].semilogy(range(1, 41), decay.mean(dim=0), label=name, markevery=6, **style)
    axes[1].plot(norms, factors, ls="", ms=7, label=name, **style)
    print(f"{name:>15s}: norm {sum(norms) / len(norms):.2f}, factor {factors.mean():.2f},", end=" ")
    print(f"residual {decay[:, -1].mean():.0e} after 40 iterations")
axes[0].set(xlabel="iteration $k$", ylabel="relative residual $r_k$", ylim=(1e-8, 100))
axes[1].plot([0, 1], [0, 1], "k:")
axes[1].text(0.3, 0.36, "bound (4)", rotation=45, ha="center")
axes[1].axvline(1, color=plots.GREY, lw=1)
axes[1].set(xlabel="operator norm of $W$", ylabel="factor per iteration", ylim=(0, 1.2))
axes[0].legend(fontsize=9, ncol=2, loc="upper right")
plots.show(
    fig,
    "Residuals: flat near 0.5 after training with one, falling to 1e-8 below norm 0.9.",
)

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    a0 = F.relu(net.lift(image))
z, residuals = my_fixed_point(lambda a: F.relu(net.recurrent(a)) + a0, a0, 1e-6, 300)
z = z.detach()
print(f"one image, one network: {len(residuals)} iterations, last residual {residuals[-1]:.0e}")
print(f"operator norm of W                     {iterated.operator_norm(net.recurrent, side):.2f}")
print(f"share of the pixels that ReLU lets on  {(net.recurrent(z) > 0).double().mean():.2f}")
if z.numel() <= 1000:  # at full scale the Jacobian has fifteen million entries
    jacobian = torch.autograd.functional.jacobian
    J = jacobian(lambda a: F.relu(net.recurrent(a.view_as(z))).flatten(), z.flatten())
    print(f"operator norm of the Jacobian          {torch.linalg.matrix_norm(J, 2):.2f}")
    print(f"spectral radius of the Jacobian        {torch.linalg.eigvals(J).abs().max():.2f}")

# %% [markdown]
# *Figure: left, the relative residual over forty iterations, mean over the seeds; right, the
# factor per iteration (from the fifth to the fifteenth) against the operator norm, a marker
# per seed; dotted, the bound (4).*
#
# **Reading the picture.** The networks kept below norm 0.9 settle, faster than their bound, a
# worst case. Trained freely, *all* norms exceed one; with one iteration they never come to
# rest, and the more a network knew, up to ten, the further its residual falls. So the
# training decides: a norm below one is sufficient for
# coming to rest, and not necessary: ReLU switches off two thirds of the pixels, and the
# spectral radius is below one though both norms are not.
#
# ## 4. Train with few, deploy with many?
#
# *Predict first:* networks were trained with one iteration. At the test they are given forty.

# %%
surprise = check.predict(
    "Trained with one, deployed with forty: the accuracy is",
    among=["higher", "about the same", "close to guessing"],
    mine="",
)


def draw_matrix(rows, words):
    """Draw accuracies in %, a row per training, a column per depth in `study.DEPLOYED`."""
    table = torch.tensor(list(rows.values()))
    fig, ax = plt.subplots(figsize=(8.5, 4.2))
    drawn = ax.imshow(table.numpy(), vmin=0, vmax=100, cmap="viridis", aspect="auto")
    for i, j in torch.cartesian_prod(*map(torch.arange, table.shape)).tolist():
        colour = "black" if table[i, j] > 60 else "white"
        ax.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", size=10, color=colour)
    ax.set(xticks=range(table.shape[1]), xticklabels=study.DEPLOYED)
    ax.set(yticks=range(len(rows)), yticklabels=rows)
    ax.set(xlabel="iterations when deployed", ylabel="iterations when trained")
    ax.grid(False)
    fig.colorbar(drawn, label="test accuracy in %")
    plots.show(fig, words)


# %% tags=["nbval-ignore-output"]
groups = {str(k): nets[k] for k in depths}
groups[f"1 to {deep} at random"] = train(iterations=deep, any_depth=True)
groups[f"{deep}, norm below 0.9"] = contracting
rows = {
    name: [reached(group, k).mean().item() for k in study.DEPLOYED]
    for name, group in groups.items()
}
draw_matrix(rows, "A table of accuracies; the row of one iteration falls from 68 to 11 %.")
print("recorded on plain MNIST, deployed with forty:")
for k in (1, 2, 5, 10):
    (row,) = of(iterations=k, channels=5)
    print(f"  trained with {k:2d}: {100 * row['deployed']['40']:.0f} %")
then, now = rows["1"][1], rows["1"][-1]
outcome = "close to guessing" if now < 20 else "higher" if now > then + 1 else "about the same"
surprise.reveal(outcome, "the map does not settle, and the head never saw such features")

# %% [markdown]
# *Figure: test accuracy of networks that were trained with one number of iterations (rows)
# and deployed with another (columns); mean over the seeds.*
#
# **Reading the picture.** *Few while training and many when deployed* does not work by itself.
# Here the networks that knew one iteration fall to guessing, those that knew two to 45 %, and
# those that knew five or more lose nothing. At full size five is not enough, and those that
# knew two end below those that knew one (37 % against 51 %): "the fewer, the worse" is no law.
# (The repeated layer of the first row was never trained.)
# The last two rows are cures. With a depth *drawn at random* in each training step every depth
# is a trained one; with a norm below one depth is only a matter of precision, the
# idea of the deep equilibrium models. Both cost two to three points at ten iterations.
#
# ### Explore - A contest of your own
# Choose one. Both sides are of equal size (but for "channels") and trained alike. *Your aim is
# a verdict: does every seed of one side beat every seed of the other?* Then say how it
# ends with 60000 images instead of 1442.

# %% tags=["nbval-ignore-output"]
contests = {
    "CNN": ({"net": "iterated"}, {"net": "cnn_equal"}, True),
    "MLP": ({"net": "iterated"}, {"net": "mlp"}, True),
    "dense": ({"net": "dense", "iterations": 0}, {"net": "dense"}, False),
    "channels": ({"iterations": 5}, {"iterations": 5, "channels": 10}, False),
    "deeper": ({"iterations": 10}, {"iterations": 20}, False),
}  # first side, second side, on moved images?
contest = "MLP"  # yours: a name from the list

*sides, is_moved = contests[contest]
jobs = [study.Job(moved=is_moved, **side) for side in sides]
data = moved if is_moved else plain
test = list(zip(data.test.images.split(500), data.test.labels.split(500)))
ranges = []
for place, job, settings in zip(("first ", "second"), jobs, sides):
    came = train(data, **settings)
    found = [100 * training.accuracy(study.AtDepth(net, job.iterations), test) for net in came]
    ranges.append((min(found), max(found)))
    print(f"{place} {job.net}, {job.channels} channels, {job.iterations} iterations:", end=" ")
    print(f"mean {sum(found) / len(found):.1f} %, seeds from {min(found):.1f} to {max(found):.1f}")


def verdict_on(one, other):
    """Name the side of which every seed is better; "open" if the ranges overlap."""
    return "first" if one[0] > other[1] else "second" if other[0] > one[1] else "open"


print("verdict on the small digits:", verdict_on(*ranges))

# %% [markdown]
# *Your verdict: double-click here. What does this contest show, and what not?*

# %%
full_size = check.predict("The verdict on MNIST?", among=["first", "second", "open"], mine="")

# %%
sizes = ("net", "channels", "iterations", "moved")
found = [of(**{name: getattr(job, name) for name in sizes})[0] for job in jobs]
for row in found:
    low, high = 100 * row["lowest"], 100 * row["highest"]
    print(f"{row['net']}, {row['channels']} channels, {row['iterations']} iterations:", end=" ")
    print(f"mean {100 * row['accuracy']:.2f} %, seeds from {low:.2f} to {high:.2f}")
answer = verdict_on(*((row["lowest"], row["highest"]) for row in found))
print("verdict on MNIST:", answer)
full_size.reveal(
    answer,
    "even then the seeds differ as much as the sides"
    if answer == "open"
    else "more images make the seeds agree, and smaller differences show",
)

# %% [markdown]
# **Reading the numbers.** On the small digits the ranges of MLP and iterated network overlap. On
# MNIST the seeds agree to a few tenths of a percent, and the order is clear.
#
# <details><summary>All verdicts of the record</summary> CNN: second. MLP: first. Dense (fully
# connected, none against ten iterations): open. Channels (five against ten): second. Deeper
# (ten iterations against twenty): open. Choose one, and the cell above prints its
# numbers.</details>
#
# ## 5. Is this a recurrent network?
#
# Unroll equation (2) in time: the same weights act on the state $a_j$ at each step. How does a
# gradient reach weights that are used $k$ times? Give each use a copy of its own, as in
# exercise 2.4; the chain rule then says
#
# $$\frac{\partial L}{\partial W} =
# \sum_{j=1}^{k} \frac{\partial L}{\partial W_j}\Big|_{W_1 = \dots = W_k = W}, \tag{6}$$
#
# and the terms can be measured one by one.
#
# *Predict first:* the trained network has an operator norm of about two. On its way back from
# the last iteration to the first, does the gradient grow or fade?

# %%
fade = check.predict("Backwards, the gradient", among=["grows", "fades"], mine="")


def unrolled_gradients(net, iterations, x, labels):
    """Return the terms of equation (6), the tied gradient, and the size of dL/da_j for each j."""
    net, x = copy.deepcopy(net).double().eval(), x.double()
    twin = my_untie(net, iterations)
    F.cross_entropy(twin(x, iterations), labels).backward()
    _, *stages = features(net, x, iterations)
    [stage.retain_grad() for stage in stages]
    F.cross_entropy(net.head(stages[-1]), labels).backward()
    shape = net.recurrent.weight.shape
    terms = torch.stack([p.grad for p in twin.parameters() if p.shape == shape])
    return terms, net.recurrent.weight.grad, torch.stack([stage.grad.norm() for stage in stages])


# %%
x, labels = moved.test.images[:100], moved.test.labels[:100]
networks = {"trained": net}
for norm in (0.5, 10.0):
    training.set_seed(5)
    fresh = bright(MyIteratedNet(5, recipe.kernel_size, side, recipe.hidden)).to(device)
    with torch.no_grad():
        fresh.recurrent.weight.mul_(norm / iterated.operator_norm(fresh.recurrent, side))
    networks[f"untrained, norm {norm:g}"] = fresh

fig, ax = plt.subplots(figsize=(7, 3.6))
for style, (name, network) in zip(("o-", "s--", "^:"), networks.items()):
    terms, whole, signal = unrolled_gradients(network, deep, x, labels)
    agree = torch.allclose(terms.sum(0), whole, rtol=1e-6, atol=1e-12)
    ratio = (signal[0] / signal[-1]).item()
    print(f"{name:19s}: the terms add up to the tied gradient: {agree};", end=" ")
    print(f"first against last iteration: {'above' if ratio > 1 else 'below'} 1")
    if name == "trained":
        fade.reveal("grows" if ratio > 1 else "fades", "what counts is the masked Jacobian, not W")
    ax.semilogy(range(1, deep + 1), (signal / signal[-1]).cpu(), style, label=name)
ax.set(xlabel="iteration $j$", ylabel=r"$\|\partial L / \partial a_j\|$, relative to the last")
ax.set_xticks(range(1, deep + 1))
ax.legend()
plots.show(
    fig,
    "Gradients over ten iterations, relative to the last one: from 1e-6 (norm 0.5), from 0.07 "
    "(trained), from 3e4 (norm 10).",
)

# %% [markdown]
# *Figure: how strongly the loss depends on the features after each iteration, relative to the
# last one, for the trained network and for two untrained ones with operator norms 0.5 and 10.*
#
# **Reading the picture.** It is a recurrent network, and unrolling its loop is
# *backpropagation through time*; equation (6) holds to rounding. So it has the same two
# diseases. A gradient that travels back through $k - j$ iterations is multiplied by as many
# Jacobians: with a small norm it *vanishes*, with a large one it *explodes*. In the trained
# network it fades, as it must when the features settle and forget where they came from.

# %% [markdown] nbgrader={"cell_type": "markdown", "checksum": "0dfe1c6b7bdbf66197025139d26b43d0", "grade": false, "grade_id": "question_recurrent", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 2.6 - The recurrent network that this is (3 points, ~10 min)
# Write the iterated network as a recurrent network $s_{j+1} = \phi(s_j, u_{j+1})$.
#
# 1. What are the state, the input at each step, the weights, the output, and the length
#    of the sequence?
# 2. How is the gradient with respect to $W$ computed, what does the computation keep in
#    memory, and how does that grow with $k$?
# 3. Name one property of the operator norm of $W$ that decides whether gradients vanish
#    or explode, and one cure.
#

# %% [markdown]
# *Your answer to question 2.6: double-click here and write.*

# %% [markdown]
# ## Further
#
# **MNIST at full size.** `scale.use("full")` in the set-up cell runs this notebook on MNIST,
# best on a GPU. The record below was made by the command line, which can be interrupted and
# goes on where it was:
#
#     python -m odenets.studies.iterated --dataset mnist --workers 8 --out results
#
# The networks are exactly those of the original, the recipe is not: instead of hundreds of
# epochs of plain gradient descent there are a few epochs of Adam, with one cycle of the
# learning rate. Ten processes shared the GPU, so the times in the channel table say nothing.

# %%
original = study.SEED_TABLE
mnist = {
    "iterations": of(channels=5),
    "channels": sorted(of(iterations=5), key=lambda row: row["channels"]),
}
first = recorded[0]
print(f"machine: {first['machine']}")
print(f"{first['seeds']} seeds, {first['epochs']} epochs, batches of {first['batch_size']}")
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
for ax, (name, rows) in zip(axes, mnist.items()):
    print(f"\n{name:>10s}   the original: accuracy, s   ours: accuracy (seeds), s")
    for row in rows:
        accuracy_there, seconds = original[name][row[name]]
        low, mean, high = (100 * row[key] for key in ("lowest", "accuracy", "highest"))
        reach = [[mean - low], [high - mean]]
        ax.errorbar(row[name], mean, reach, fmt="o", capsize=4, color=plots.COLOURS["iterated"])
        ax.plot(row[name], 100 * accuracy_there, "k^")
        print(f"{row[name]:10d} {100 * accuracy_there:16.2f} % {seconds:7.1f}", end="")
        print(f" {mean:12.2f} % ({low:.2f} to {high:.2f}) {row['seconds']:6.1f}")
    ax.set(xlabel=name, ylabel="test accuracy in %, MNIST", xticks=[0, 5, 10, 20])
axes[0].annotate("original, one run", (10, 98.3), ha="center", va="top")
axes[0].annotate("ours, three seeds", (10, 99), ha="center")
plots.show(
    fig,
    "Accuracy on MNIST against iterations (ours 98.0 to 98.8 %, the original 93.8 to 98.6) and "
    "against channels (ours 97.4 to 99.2, the original 97.5 to 98.6).",
)

# %% [markdown]
# *Figure: MNIST accuracy against iterations (five channels) and against channels (five
# iterations): circles with the range of our seeds, triangles for the original's single runs.*
#
# **Reading the picture.** *True or false: "more iterations, better results"?* True for the
# first two; after that the seeds differ more than the depths. The original's steep start was
# mostly unfinished training: with a better optimiser the network without any iteration is far
# above it, and the rest gains less. More channels are worth more than more iterations.

# %%
titles = {
    "iterated": "iterated network",
    "untied": "untied network",
    "cnn_equal": "CNN",
    "mlp": "MLP",
    "dense": "fully connected, iterated",
}
fig, axes = plt.subplots(1, 2, figsize=(11, 3.2))
for ax, images, title in zip(axes, (False, True), ("plain MNIST", "turned, scaled, shifted")):
    found = [row for net in titles for row in of(net, moved=images, channels=5, iterations=10)]
    print(title)
    for y, row in enumerate(found):
        low, mean, high = (100 * row[key] for key in ("lowest", "accuracy", "highest"))
        ax.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt="o", capsize=4, color="black")
        print(f"  {titles[row['net']]:26s} {row['parameters']} parameters, {mean:.2f} %", end=" ")
        print(f"({low:.2f} to {high:.2f}), {row['seconds']:.1f} s")
    ax.set(yticks=range(len(found)), yticklabels=[titles[row["net"]] for row in found])
    ax.set(title=title, xlabel="test accuracy in %")
    ax.invert_yaxis()
(unmoved,) = of("dense", iterations=0)
print(f"plain, fully connected without iterations: {100 * unmoved['accuracy']:.2f} %")
print(f"the original's CNN, in the original: {100 * original['cnn'][0]:.2f} %")
plots.show(
    fig, "Networks of equal size. Plain MNIST: CNN 99.4 %, MLP 98.2. Moved: CNN 98.2, MLP 94.8."
)

# %% [markdown]
# *Figure: networks of equal size, ten iterations; mean and range over three seeds. The fully
# connected version was trained on plain images only.*
#
# **Reading the picture.** Against a fair competitor of equal size the iterated network loses:
# the CNN makes about half as many errors, on plain images and on moved ones, in a fraction of
# the time. The comparison in the original went the other way because its CNN was not trained
# to its end. But the repeated kernel is not useless: it beats the MLP, most clearly on moved
# images. Untying helps there with every seed. Fully connected networks can be
# iterated too, but it buys almost nothing: a dense layer sees the whole image at once, and
# nothing is left that would have to spread from pixel to pixel.

# %%
cures = [row for row in recorded if row["any_depth"] or row["max_norm"]]
cures.sort(key=lambda row: row["max_norm"])
labels = [str(row["iterations"]) for row in mnist["iterations"]]
labels += ["1 to 10 at random", "10, norm below 0.9"]
rows = {
    label: [100 * row["deployed"][str(k)] for k in study.DEPLOYED]
    for label, row in zip(labels, [*mnist["iterations"], *cures])
}
draw_matrix(rows, "On MNIST, deployed with forty: 51 % after one iteration, 37 % after two.")
norms = ", ".join(f"{row['norm']:.1f}" for row in mnist["iterations"][1:])
print(f"operator norms after training with 1, 2, 5, 10, 20 iterations: {norms}")
(ten,) = of(iterations=10, channels=5)
prices = (f"{100 * (ten['accuracy'] - row['accuracy']):.1f}" for row in cures)
print("price of the cures with ten iterations, in points:", *prices)

# %% [markdown]
# *Figure: train with few, deploy with many, on MNIST; mean over the seeds.*
#
# **Reading the picture.** As on the small digits, networks trained with one, two or five
# iterations fall when they are iterated on, the one with five only far beyond its depth; but
# the one that knew two falls lower than the one that knew one.
# Those trained with ten or twenty lose nothing, with operator norms above two. Both cures
# work, and both have a small price at the depth that they were compared at.
#
# **At rest above norm one.** At 90 degrees, for the exploration of section 3:

# %%
for stretch in (2, 3, 100):
    a0, step = layer(stretch, 90)
    z, residuals = my_fixed_point(step, a0, 1e-6, 200)
    J = torch.autograd.functional.jacobian(step, z)
    norms = torch.linalg.matrix_norm(J, 2), torch.linalg.eigvals(J).abs().max()
    print(f"stretch {stretch}: {len(residuals)} iterations;", end=" ")
    print("norm of the Jacobian {:.2f}, its spectral radius {:.2f}".format(*norms))

# %% [markdown]
# ## Recap
#
# **How much of a deep network is doing the same thing again?** Of the 5.8 points that ten
# different layers gain over none on moved digits, one layer used ten times gains all (100 %,
# seed by seed 78 to 121 %). On MNIST it is 76 % with moved images and 80 % with plain ones: at
# least three quarters.
#
# * *Build:* the iterated network is Euler's method with step one for an autonomous field.
# * *Measure:* a difference counts only beside the spread of the seeds; each seed against
#   itself shows what two ranges hide.
# * *Untie:* a copy per iteration changes no output, and the head holds nearly all parameters.
# * *Find:* a norm below one is sufficient for coming to rest, not necessary. A network
#   is good at the depth it was trained for; random depths or a small norm carry it further.
# * *Explain:* the tied gradient is the sum over the untied layers; it vanishes or explodes.
#
# **Left out:** differentiating the fixed point implicitly, learned stopping times, colours.
#
# **Read on:** S. Bai and others, *Deep equilibrium models*; M. Liang and X. Hu, *Recurrent
# convolutional neural network for object recognition*, CVPR 2015; Q. Liao and T. Poggio,
# *Bridging the gaps between residual learning, recurrent neural networks and visual cortex*,
# [arXiv 1604.03640](https://arxiv.org/abs/1604.03640).
#
# **Next:** [03 - Which depth can be trusted](../03_stability/03_stability.ipynb)
