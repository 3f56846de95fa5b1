# %% [markdown]
# # 07 - Invertible by construction: the i-RevNet
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
    get_ipython().run_line_magic("pip", "install -q git+REPOSITORY#subdirectory=course")
from odenets import check, plots, scale, training
from odenets.data import images
from odenets.nets import iresnet, irevnet
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
# testing counts. All of `torch` may be used; the package's own loops (`irevnet`, `iresnet`, `training`) may not.
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

# %% nbgrader={"grade": false, "grade_id": "train_and_test", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train(net, loader, n_epoch=40, learning_rate=0.05):
    """Train with the cross-entropy (the mean over a batch) and SGD with momentum 0.9.

    Args:
        net: maps inputs to scores `(s, n_classes)`; trained in place.
        loader: yields pairs `(inputs, labels)`, and is read once per epoch.

    Returns:
        The losses of all steps, each before its step, a list of Python floats.
    """
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            ### BEGIN SOLUTION
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            ### END SOLUTION
    return losses


def test(net, loader):
    """Return the fraction of samples in `loader` that the net classifies correctly.

    The net is evaluated in eval mode without recording gradients. Afterwards, also after
    an error of the net (which is passed on), each of its modules is in the mode in which
    it came.
    """
    ### BEGIN SOLUTION
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_train_and_test", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "train_and_test",
    points=3,
    answer=lambda: (train, test),
    package=(irevnet.train, irevnet.test, iresnet.train_norm, training.Step, training.train_epoch,
             training.fit, training.accuracy, training.evaluate),
    further=5,
)
def exercise(checks):
    def small_net():  # scores are linear in two inputs, with fixed weights
        net = torch.nn.Linear(2, 3).double()
        net.weight.data = torch.tensor([[1.0, 0], [0, 1], [-1, -1]], dtype=torch.float64)
        net.bias.data.zero_()
        return net

    class Alternating(list):  # batches that come in another order in every second epoch
        reads = 0

        def __iter__(self):
            self.reads += 1
            return super().__iter__() if self.reads % 2 else reversed(self)

    class Reader(torch.nn.Module):  # hands its input over as scores, and notes how it was called
        def forward(self, x):
            self.seen = [self.training, torch.is_grad_enabled()]
            if len(x) == 1:
                raise ValueError("a batch of one")
            return x

    def tested(net, loader):  # the fraction; gradients are recorded again afterwards
        try:
            return test(net, loader)
        finally:
            torch.set_grad_enabled(True)

    def modes_after(way, loader):  # the modes of a net with one frozen part, after a test
        net = torch.nn.Sequential(torch.nn.Identity(), reader := Reader()).train(way)
        net[0].train(not way)
        try:
            came = test(net, loader)
        except ValueError as error:
            came = str(error)
        after = [module.training for module in net.modules()]
        recording = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        return [came, reader.seen, after, recording]

    first = torch.tensor([[1.0, 2], [0, 1], [2, -1], [-1, -1]], dtype=torch.float64)
    second = torch.tensor([[0.0, 3], [1, 1]], dtype=torch.float64)
    batches = [(first, torch.tensor([0, 1, 0, 2])), (second, torch.tensor([2, 1]))]
    scores = torch.eye(4)[[0, 1, 2, 3, 0]]
    unequal = [(scores[:4], torch.tensor([0, 1, 2, 0])), (scores[3:], torch.tensor([1, 1]))]
    alone = [*unequal, (scores[:1], torch.tensor([0]))]
    more = [(scores[:2], torch.tensor([0, 1])), (scores[1:], torch.tensor([1, 2, 0, 1]))]

    checks.close(
        "the losses of two epochs with two batches at the learning rate 0.1, of one epoch at 0.3",
        lambda: [train(small_net(), batches, 2, 0.1), train(small_net(), batches, 1, 0.3)],
        [irevnet.train(small_net(), batches, 2, 0.1), irevnet.train(small_net(), batches, 1, 0.3)],
        rtol=1e-8,
    )
    checks.close(
        "the weights and the bias after two epochs",
        lambda: [net := small_net(), train(net, batches, 2, 0.2), net.weight, net.bias][2:],
        [net := small_net(), irevnet.train(net, batches, 2, 0.2), net.weight, net.bias][2:],
    )
    checks.close(
        "a loader that gives its batches in another order in every second epoch: the losses, and how often it is read",
        lambda: [loader := Alternating(batches), train(small_net(), loader, 3, 0.1), loader.reads][1:],
        [irevnet.train(small_net(), Alternating(batches), 3, 0.1), 3],
    )
    checks.close(
        "the losses, and of which kind each is",
        lambda: [[loss, type(loss).__name__] for loss in train(small_net(), batches, 1, 0.1)],
        [[loss, "float"] for loss in irevnet.train(small_net(), batches, 1, 0.1)],
        rtol=1e-8,
    )
    checks.close(
        "three of six samples are right, in batches of four and two; four of six, in batches of two and four",
        lambda: [tested(torch.nn.Identity(), unequal), tested(torch.nn.Identity(), more)],
        [3 / 6, 4 / 6],
    )
    checks.equal(
        "while testing: the fraction, and whether the net, or its part, is in training mode and gradients are recorded",
        lambda: [
            [net := Reader(), tested(net, unequal), net.seen][1:],
            [net := torch.nn.Sequential(Reader()), tested(net, more[:1]), net[0].seen][1:],
        ],
        [[1 / 2, [False, False]], [1.0, [False, False]]],
    )
    checks.equal(
        "after testing a net with a frozen part: the mode of the net and of each part, and whether gradients are recorded",
        lambda: [modes_after(way, unequal[:1]) for way in (True, False)],
        [[3 / 4, [False, False], [True, False, True], True], [3 / 4, [False, False], [False, True, False], True]],
    )
    checks.equal(
        "the same when the net raises an error in the third batch, and a further test",
        lambda: [modes_after(True, alone), tested(Reader(), unequal)],
        [["a batch of one", [False, False], [True, False, True], True], 1 / 2],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "the weights after one epoch",
        lambda: [net := small_net(), train(net, batches[::-1], 1, 0.2), net.weight][2],
        [net := small_net(), irevnet.train(net, batches[::-1], 1, 0.2), net.weight][2],
    )
    checks.close(
        "a net of two layers in float32, the first and the last of the losses of ten epochs",
        lambda: [
            torch.manual_seed(5),
            net := torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)),
            train(net, [(x.float(), y) for x, y in batches], 10, 0.05)[::19],
        ][2],
        [
            torch.manual_seed(5),
            net := torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)),
            irevnet.train(net, [(x.float(), y) for x, y in batches], 10, 0.05)[::19],
        ][2],
        rtol=1e-4,
    )
    checks.close(
        "what is not said: 40 epochs at 0.05",
        lambda: [losses := train(small_net(), batches), len(losses), losses[-1]][1:],
        [80, irevnet.train(small_net(), batches)[-1]],
        rtol=1e-6,
    )
    checks.equal(
        "all wrong, and all right",
        lambda: [tested(torch.nn.Identity(), unequal[1:]), tested(torch.nn.Identity(), more[:1])],
        [0.0, 1.0],
    )
    checks.close(
        "an error in the second batch, where the net came in eval mode",
        lambda: [modes_after(False, alone[1:]), tested(Reader(), more)],
        [["a batch of one", [False, False], [False, True, False], True], 4 / 6],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_train, my_test = check.yours(exercise, irevnet.train, irevnet.test)

# %% [markdown]
# Now the plain network learns its 500 images.
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
        losses[name].append(my_train(net, train_loader, n_epoch, learning_rate))
        accuracies[name].append(my_test(net, test_loader))
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
# The list and the halves that are given stay as they are, and results carry gradients.
#
# <details><summary>Hint 1 - a nudge</summary>
# To undo putting on socks and then shoes, which comes off first?</details>
# <details><summary>Hint 2 - the idea</summary>
# The inverse walks through the list backwards, and in each step it reads the half that
# the layer has kept: the second one.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Forward: <code>x, x_tilde = x_tilde + f(x), x</code>. Backward, for
# <code>f in reversed(fs)</code>: <code>y, y_tilde = y_tilde, y - f(y_tilde)</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "coupling", "locked": false, "schema_version": 3, "solution": true, "task": false}
def coupling_forward(fs, x, x_tilde):
    """Apply the layers `(x, x~) -> (x~ + F(x), x)`, equation (2), `fs[0]` first.

    Args:
        fs: list of functions; `fs[j]` maps the half that stands first at layer j to the
            shape of the other half, which may differ.
        x, x_tilde: the two halves, left unchanged.

    Returns:
        The two halves after the last layer, a tuple.
    """
    ### BEGIN SOLUTION
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde
    ### END SOLUTION


def coupling_inverse(fs, y, y_tilde):
    """Undo `coupling_forward(fs, ...)`, equation (3), with the same functions.

    Returns:
        The two halves before the first layer, a tuple, for any two halves `y`, `y_tilde`.
    """
    ### BEGIN SOLUTION
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_coupling", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "coupling",
    points=4,
    answer=lambda: (coupling_forward, coupling_inverse),
    package=(irevnet.coupling_forward, irevnet.coupling_inverse),
    further=4,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(72)
    A = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    B = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    x_tilde = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    fs = [lambda v: torch.tanh(v @ A), lambda v: torch.relu(v @ B), lambda v: (v @ A) ** 2]

    def number(value):
        return torch.tensor([value])

    def double(v):
        return 2 * v

    def plus_one(v):
        return v + 1

    def square(v):
        return v**2

    def slopes(function, *at):  # the gradients of a weighted sum of both halves; 0 where none flows
        at = [part.clone().requires_grad_() for part in at]
        total = sum(((j + 1) * half**2).sum() for j, half in enumerate(function(*at)))
        total = total + 0 * sum(part.sum() for part in at)
        return torch.autograd.grad(total, at)

    def bent(A):  # three functions with the weights A
        return [lambda v: torch.tanh(v @ A), lambda v: torch.sin(v @ A.T), lambda v: (v @ A) ** 2]

    checks.close(
        "forward from (1, 10) and from (3, -2) with F_0(v) = 2 v and F_1(v) = v + 1",
        lambda: [
            coupling_forward([double, plus_one], number(1.0), number(10.0)),
            coupling_forward([double, plus_one], number(3.0), number(-2.0)),
        ],
        [(number(14.0), number(12.0)), (number(8.0), number(4.0))],
    )
    checks.close(
        "backward from (14, 12) and from (3, -2) with the same functions",
        lambda: [
            coupling_inverse([double, plus_one], number(14.0), number(12.0)),
            coupling_inverse([double, plus_one], number(3.0), number(-2.0)),
        ],
        [(number(1.0), number(10.0)), (number(4.0), number(-10.0))],
    )
    checks.close(
        "halves of different sizes, three functions that cannot be inverted; two of them",
        lambda: [coupling_forward(list(fs), x, x_tilde), coupling_forward(fs[:2], 2 * x, x_tilde)],
        [irevnet.coupling_forward(fs, x, x_tilde), irevnet.coupling_forward(fs[:2], 2 * x, x_tilde)],
    )
    checks.close(
        "the way back from any two halves, with three functions and with two",
        lambda: [coupling_inverse(list(fs), x_tilde, x), coupling_inverse(fs[:2], x, 2 * x_tilde)],
        [irevnet.coupling_inverse(fs, x_tilde, x), irevnet.coupling_inverse(fs[:2], x, 2 * x_tilde)],
    )
    checks.close(
        "one layer, F(v) = v^2, from (3, -2) forward and backward; no layer at all",
        lambda: [
            coupling_forward([square], number(3.0), number(-2.0)),
            coupling_inverse([square], number(3.0), number(-2.0)),
            coupling_forward([], number(3.0), number(-2.0)),
            coupling_inverse([], number(3.0), number(-2.0)),
        ],
        [
            (number(7.0), number(3.0)),
            (number(-2.0), number(-1.0)),
            (number(3.0), number(-2.0)),
            (number(3.0), number(-2.0)),
        ],
    )
    checks.close(
        "forward twice with one list, then list and halves: they are left unchanged",
        lambda: [
            given := list(fs),
            kept := (x.clone(), x_tilde.clone()),
            coupling_forward(given, *kept)[0],
            coupling_forward(given, *kept)[0],
            [fs.index(f) for f in given],
            kept,
        ][2:],
        [*[irevnet.coupling_forward(fs, x, x_tilde)[0]] * 2, [0, 1, 2], (x, x_tilde)],
    )
    checks.close(
        "backward twice with one list, then list and halves: they are left unchanged",
        lambda: [
            given := list(fs),
            kept := (x_tilde.clone(), x.clone()),
            coupling_inverse(given, *kept)[1],
            coupling_inverse(given, *kept)[1],
            [fs.index(f) for f in given],
            kept,
        ][2:],
        [*[irevnet.coupling_inverse(fs, x_tilde, x)[1]] * 2, [0, 1, 2], (x_tilde, x)],
    )
    checks.close(
        "forward: gradients by both halves, and by the weights of the functions",
        lambda: slopes(lambda A, u, v: coupling_forward(bent(A), u, v), A, x, x_tilde),
        slopes(lambda A, u, v: irevnet.coupling_forward(bent(A), u, v), A, x, x_tilde),
    )
    checks.close(
        "backward: gradients by both halves, and by the weights of the functions",
        lambda: slopes(lambda A, u, v: coupling_inverse(bent(A), u, v), A, x_tilde, x),
        slopes(lambda A, u, v: irevnet.coupling_inverse(bent(A), u, v), A, x_tilde, x),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "there, and back again",
        lambda: [halves := coupling_forward(fs, 3 * x, x_tilde), coupling_inverse(fs, *halves)],
        [irevnet.coupling_forward(fs, 3 * x, x_tilde), (3 * x, x_tilde)],
    )
    pictures = torch.randn(2, 1, 2, 3, 4, generator=generator)
    checks.close(
        "images in float32, one sample, four functions",
        lambda: coupling_forward([torch.cos, torch.exp, torch.sin, torch.tanh], *pictures),
        irevnet.coupling_forward([torch.cos, torch.exp, torch.sin, torch.tanh], *pictures),
    )
    checks.close(
        "and back",
        lambda: coupling_inverse([torch.cos, torch.exp, torch.sin, torch.tanh], *pictures),
        irevnet.coupling_inverse([torch.cos, torch.exp, torch.sin, torch.tanh], *pictures),
    )
    checks.close(
        "both results, forward and backward in turn",
        lambda: [coupling_forward(fs, x, x_tilde), coupling_inverse(fs, 2 * x_tilde, x), coupling_forward(fs, -x, x_tilde)],
        [irevnet.coupling_forward(fs, x, x_tilde), irevnet.coupling_inverse(fs, 2 * x_tilde, x), irevnet.coupling_forward(fs, -x, x_tilde)],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_coupling_forward, my_coupling_inverse = check.yours(
    exercise, irevnet.coupling_forward, irevnet.coupling_inverse
)

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
            ends = my_coupling_forward(wiggles[:depth], x, y)
            ax.plot(*ends, color=plots.COLOURS["irevnet"], lw=0.7, alpha=0.7)
    edge = torch.cat([torch.stack([across[0], up[0]]), torch.stack([across[:, -1], up[:, -1]]),
                      torch.stack([across[-1], up[-1]]).flip(1), torch.stack([across[:, 0], up[:, 0]]).flip(1)], 1)
    corner = torch.stack(my_coupling_forward(wiggles[:depth], *edge))
    ax.fill(*corner, color=plots.GREY)
    u, v = corner
    area = 0.5 * abs((u * v.roll(-1) - v * u.roll(-1)).sum())
    ax.set(title=f"after {depth} layers", xlabel="first half $x$", aspect="equal")
    print(f"after {depth} layers: area of the filled square {area:.4f}")
axes[0].set_ylabel("second half $\\tilde x$")
plt.show()
back = torch.stack(my_coupling_inverse(wiggles, *corner))
print(f"the square after 4 layers, taken back by (3): largest distance from the start {(back - edge).abs().max():.0e}")

# %% [markdown]
# *Figure: a grid in the plane before, between and after four couplings; one small square is
# filled.*
#
# **Reading the picture.** The squares bend and stretch, but none folds over another one,
# and the filled one keeps its area. Equation (3) brings it home up to rounding.
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
# Both halves have the same shape here. The list `fs` and the halves stay as they are, and results carry gradients.
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

# %% nbgrader={"grade": false, "grade_id": "inverse_element", "locked": false, "schema_version": 3, "solution": true, "task": false}
def inverse_element(fs):
    """Return functions `gs` such that `coupling_forward(gs, ...)` undoes that of `fs`.

    Args:
        fs: list of functions that keep the shape of their argument.

    Returns:
        A list of functions of one tensor. A swap is the layer of the zero function,
        which returns zeros of the shape of its argument. Any list that composes
        with `fs` to the identity is right.
    """
    ### BEGIN SOLUTION
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]
    return gs
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_inverse_element", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "inverse_element",
    points=2,
    answer=lambda: inverse_element,
    package=irevnet.inverse_element,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(73)
    M = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    x = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    x_tilde = torch.randn(5, 4, generator=generator, dtype=torch.float64)

    def curved(M):  # three functions with the weights M, neither odd nor even
        return [lambda v: torch.relu(v @ M[0]), lambda v: torch.tanh(v @ M[1] + 1), lambda v: v**2 @ M[2]]

    fs = curved(M)

    def apply(gs, u, v):  # the layers of gs; where gs is no list of functions, what it is
        if not isinstance(gs, (list, tuple)) or not all(map(callable, gs)):
            inside = [type(g).__name__ for g in gs] if isinstance(gs, (list, tuple)) else []
            return [type(gs).__name__, *inside]
        return irevnet.coupling_forward(gs, u, v)

    def slopes(function):  # the gradients of a weighted sum of both halves; 0 where none flows
        at = [part.clone().requires_grad_() for part in (M, x, x_tilde)]
        total = sum(((j + 1) * half**2).sum() for j, half in enumerate(function(*at)))
        total = total + 0 * sum(part.sum() for part in at)
        return torch.autograd.grad(total, at)

    checks.close(
        "one layer: the layers of gs, applied to two pairs of halves, do what equation (3) says",
        lambda: [
            apply(inverse_element(fs[:1]), x, x_tilde),
            apply(inverse_element(fs[2:]), x_tilde, 2 * x),
        ],
        [irevnet.coupling_inverse(fs[:1], x, x_tilde), irevnet.coupling_inverse(fs[2:], x_tilde, 2 * x)],
    )
    checks.close(
        "three layers, then their inverse: back at the start",
        lambda: irevnet.coupling_forward([*fs, *inverse_element(list(fs))], x, x_tilde),
        (x, x_tilde),
    )
    checks.close(
        "the other way round: first the inverse, then two layers; no layer at all",
        lambda: [
            irevnet.coupling_forward([*inverse_element(fs[1:]), *fs[1:]], x, x_tilde),
            irevnet.coupling_forward(inverse_element([]), x, x_tilde),
        ],
        [(x, x_tilde), (x, x_tilde)],
    )
    checks.close(
        "one list of gs, used twice, and the list of fs afterwards: it is left unchanged",
        lambda: [
            given := list(fs),
            gs := inverse_element(given),
            apply(gs, x, x_tilde),
            apply(gs, x_tilde, x),
            [fs.index(f) for f in given],
        ][2:],
        [irevnet.coupling_inverse(fs, x, x_tilde), irevnet.coupling_inverse(fs, x_tilde, x), [0, 1, 2]],
    )
    checks.close(
        "F(v) = v, which hands its argument over: the result, and the halves: they are left unchanged",
        lambda: [
            kept := (x.clone(), x_tilde.clone()),
            irevnet.coupling_forward(inverse_element([lambda v: v]), *kept),
            kept,
        ][1:],
        [(x_tilde, x - x_tilde), (x, x_tilde)],
    )
    checks.close(
        "gradients by both halves and by the weights of the functions",
        lambda: slopes(lambda M, u, v: irevnet.coupling_forward(inverse_element(curved(M)), u, v)),
        slopes(lambda M, u, v: irevnet.coupling_inverse(curved(M), u, v)),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "images as halves, one sample, float32",
        lambda: irevnet.coupling_forward(
            [torch.cos, torch.exp, *inverse_element([torch.cos, torch.exp])],
            x.float()[:1].view(1, 1, 2, 2),
            x_tilde.float()[:1].view(1, 1, 2, 2),
        ),
        (x.float()[:1].view(1, 1, 2, 2), x_tilde.float()[:1].view(1, 1, 2, 2)),
        atol=1e-5,
    )
    checks.close(
        "the inverse of the inverse",
        lambda: irevnet.coupling_forward(inverse_element(inverse_element(list(fs))), x, x_tilde),
        irevnet.coupling_forward(fs, x, x_tilde),
    )
    checks.close(
        "four layers",
        lambda: irevnet.coupling_forward(inverse_element([torch.cos, *fs[:2], torch.sin]), x, x_tilde),
        irevnet.coupling_inverse([torch.cos, *fs[:2], torch.sin], x, x_tilde),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_inverse_element = check.yours(exercise)

# %%
undo = my_inverse_element(wiggles)
for name, layers in (("four layers", wiggles), ("then those that undo them", [*wiggles, *undo])):
    u, v = my_coupling_forward(layers, *edge)
    area = 0.5 * abs((u * v.roll(-1) - v * u.roll(-1)).sum())
    distance = (torch.stack([u, v]) - edge).abs().max()
    print(f"{name}: area of the square {area:.4f}, largest distance from the start {distance:.0e}")

# %% [markdown]
# The square of the picture is back in its place, with layers of the form (2) alone: a longer network of the same kind
# is the inverse of a shorter one.

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_group", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 7.4 - When is it a group? [Q4] (3 points, ~10 min)
# Give a necessary and sufficient condition on the widths $n_j$, $m_j$ for $\mathcal F$ to be a group
# under composition, and say what the class of the functions $F$ must contain for your proof to work.
# Then look at the layers of the lab, $F = \mathrm{ReLU}\circ\mathrm{conv}$, biases included:
# do *they* generate a group?
#
# ### BEGIN MARK SCHEME
# One point for each of these three; half a point where it is stated without a reason.
#
# * **Composition.** Any two networks must compose, so all halves have one common size, $n_j = m_j = n$
#   for all $j$. It is necessary, as otherwise some products are not defined (with a fixed total
#   dimension there remains a groupoid), and it is sufficient for closure and associativity.
# * **Neutral element and inverse.** $B_0$ is a swap, $B_0^2 = \mathrm{id}$ and
#   $B_F^{-1} = B_0 B_{-F} B_0$, so that the inverse of a product is again a product of layers.
#   The class of functions has to contain $0$, and $-F$ together with $F$.
# * **The lab's layers.** $F = \mathrm{ReLU}\circ\mathrm{conv} \ge 0$, so a layer never lowers the sum of all
#   coordinates. A network that raises it somewhere has no inverse of the same kind: these networks are a
#   monoid only. (They are invertible as maps; a linear last map or a sign in $F$ restores the group.)
#
# A full answer: $\mathcal F$ is a group if and only if all halves have one common size, $n_j = m_j =
# n$.
# Necessary: if two layers of different sizes occur, some two networks cannot be composed, and closure
# fails (for a fixed total dimension one still has a groupoid, whose arrows go between the possible
# splits).
# Sufficient, if the class of functions contains $0$ and with $F$ also $-F$: composition is
# concatenation of lists, hence closed and associative; $B_0$ is the swap, so $B_0 B_0 = \mathrm{id}$
# is the neutral element; and $B_F^{-1} = B_0 B_{-F} B_0$ since $(x, \tilde x) \mapsto (\tilde x + F
# x, x) \mapsto (x, \tilde x + F x) \mapsto (\tilde x + Fx - Fx, x) \mapsto (x, \tilde x)$.
# With $F = \mathrm{ReLU}\circ\mathrm{conv}$ the class is not closed under negation, and no detour
# helps: $F \ge 0$, so the sum of all coordinates never falls from layer to layer. A network that
# makes it grow for some input has no inverse among them. They form a monoid, although each of them is
# an invertible map.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 7.4: double-click here and write.*

# %% [markdown]
# ## 4. The parts of the i-RevNet (Q5, Q6)
#
# For images the two halves are halves of the channels.

# %% [markdown]
# ### Exercise 7.5 - Split along the channels [Q5] (2 points, ~5 min)
# A tensor of size `(batch, chan, N, N)` becomes two of size `(batch, chan // 2, N, N)`,
# the first channels in the first one; `inverse` puts them together. Results carry gradients.
#
# <details><summary>Hint 1 - a nudge</summary>
# Which axis holds the channels?</details>
# <details><summary>Hint 2 - the idea</summary>
# Slice the axis 1 at its middle, and concatenate along the axis 1.
# Slicing does not complain about an odd number: you have to.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>half = x.shape[1] // 2</code>; return <code>x[:, :half], x[:, half:]</code>.
# The inverse is <code>torch.cat(X, dim=1)</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "split_along_channels", "locked": false, "schema_version": 3, "solution": true, "task": false}
class SplitAlongChannels(torch.nn.Module):
    """Cut images into the first and the second half of their channels."""

    def forward(self, x):
        """Map `(s, C, H, W)` to two tensors `(s, C // 2, H, W)`.

        Raises:
            ValueError: if the number of channels C is odd.
        """
        ### BEGIN SOLUTION
        if x.shape[1] % 2:
            raise ValueError(f"{x.shape[1]} channels have no two equal halves")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]
        ### END SOLUTION

    def inverse(self, X):
        """Map a pair of halves to the tensor they were cut from."""
        ### BEGIN SOLUTION
        return torch.cat(X, dim=1)
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_split_along_channels", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "split_along_channels",
    points=2,
    answer=lambda: SplitAlongChannels,
    package=irevnet.SplitAlongChannels,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(75)
    x = torch.randn(4, 6, 3, 5, generator=generator)
    z = torch.randn(3, 2, 4, 2, generator=generator)
    a, b = torch.randn(2, 2, 5, 3, 4, generator=generator)
    weights = torch.randn(4, 3, 3, 5, generator=generator)

    def refusal(call):  # the kind of the error that a call ends in
        try:
            came = call()
        except NotImplementedError:
            raise
        except Exception as error:
            return "ValueError" if isinstance(error, ValueError) else type(error).__name__
        return f"no error, but {type(came).__name__}"

    def slope(function, at):  # the gradient of a number; 0 where none flows
        at = at.clone().requires_grad_()
        return torch.autograd.grad(function(at) + 0 * at.sum(), at)[0]

    checks.equal(
        "the halves of four images with six channels, and of three with two",
        lambda: [SplitAlongChannels()(x), SplitAlongChannels()(z)],
        [(x[:, :3], x[:, 3:]), (z[:, :1], z[:, 1:])],
    )
    checks.equal(
        "two pairs, put together",
        lambda: [SplitAlongChannels().inverse((x[:, :3], x[:, 3:])), SplitAlongChannels().inverse((b, a))],
        [x, torch.cat([b, a], 1)],
    )
    checks.equal(
        "five channels and one channel are refused with a ValueError; four channels are not",
        lambda: [
            refusal(lambda: SplitAlongChannels()(a)),
            refusal(lambda: SplitAlongChannels()(b[:2, :1])),
            SplitAlongChannels()(b[:, :4]),
        ],
        ["ValueError", "ValueError", (b[:, :2], b[:, 2:4])],
    )
    checks.close(
        "gradients by the image through each half, by the half through the image",
        lambda: [
            slope(lambda x: (weights * SplitAlongChannels()(x)[0] ** 2).sum(), x),
            slope(lambda x: (weights * SplitAlongChannels()(x)[1] ** 2).sum(), x),
            slope(lambda a: (SplitAlongChannels().inverse((a, b)) ** 2).sum(), a),
        ],
        [
            torch.cat([2 * weights * x[:, :3], 0 * weights], 1),
            torch.cat([0 * weights, 2 * weights * x[:, 3:]], 1),
            2 * a,
        ],
    )
    ### BEGIN HIDDEN TESTS
    checks.equal(
        "one sample, two channels, float64, one pixel",
        lambda: SplitAlongChannels()(x[:1, :2, :1, :1].double()),
        (x[:1, :1, :1, :1].double(), x[:1, 1:2, :1, :1].double()),
    )
    checks.equal(
        "the halves of a tensor that is not contiguous, and together again",
        lambda: [
            SplitAlongChannels()(x.transpose(2, 3)),
            SplitAlongChannels().inverse(list(SplitAlongChannels()(x.transpose(2, 3)))),
        ],
        [(x.transpose(2, 3)[:, :3], x.transpose(2, 3)[:, 3:]), x.transpose(2, 3)],
    )
    checks.equal(
        "sixteen channels, as in the lab",
        lambda: SplitAlongChannels()(torch.cat([x, x, x[:, :4]], 1)),
        (torch.cat([x, x[:, :2]], 1), torch.cat([x[:, 2:], x[:, :4]], 1)),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
MySplitAlongChannels = check.yours(exercise)

# %% [markdown]
# ### Exercise 7.6 - The invertible layer [Q6] (3 points, ~8 min)
# The lab swaps the halves in the other order than (2), which is the same up to names:
#
# $$(a, b) \;\mapsto\; (b,\; a + \mathrm{ReLU}(W * b + \beta)). \tag{5}$$
#
# The pair that is given stays as it is, and results carry gradients.
#
# <details><summary>Hint 1 - a nudge</summary>
# After the layer, in which place stands the half that the convolution has read?</details>
# <details><summary>Hint 2 - the idea</summary>
# Given <code>(c, d)</code>, you know that <code>c</code> is the old <code>b</code>. Compute the same
# activated convolution of it and take it away from <code>d</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>a, b = X; return b, a + torch.relu(self.conv(b))</code>, and backwards
# <code>c, d = X; return d - torch.relu(self.conv(c)), c</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "invertible_layer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class InvertibleLayer(torch.nn.Module):
    """One additive coupling of images, equation (5)."""

    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        """Map a pair `(a, b)` of tensors `(s, 8, H, W)` to the pair of equation (5)."""
        ### BEGIN SOLUTION
        a, b = X
        return b, a + torch.relu(self.conv(b))
        ### END SOLUTION

    def inverse(self, X):
        """Map what `forward` returns back to the pair it was given."""
        ### BEGIN SOLUTION
        c, d = X
        return d - torch.relu(self.conv(c)), c
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_invertible_layer", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "invertible_layer",
    points=3,
    answer=lambda: InvertibleLayer,
    package=irevnet.InvertibleLayer,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(76)
    kernel = 0.2 * torch.randn(8, 8, 3, 3, generator=generator, dtype=torch.float64)
    shift = torch.randn(8, generator=generator, dtype=torch.float64)
    a, b, c = torch.randn(3, 3, 8, 5, 6, generator=generator, dtype=torch.float64)

    def filled(layer, kernel=kernel, shift=shift):  # any layer with an attribute `conv`
        layer = layer.to(kernel.dtype)
        layer.load_state_dict({"conv.weight": kernel, "conv.bias": shift})
        return layer

    def slopes(layer, call):  # by both images, by the kernel and by the bias; 0 where none flows
        at = [a.clone().requires_grad_(), b.clone().requires_grad_(), layer.conv.weight, layer.conv.bias]
        total = sum(((j + 1) * half**2).sum() for j, half in enumerate(call(layer, at[:2])))
        total = total + 0 * sum(part.sum() for part in at)
        return torch.autograd.grad(total, at)

    checks.close(
        "two pairs of three images each, through a layer with a 3x3 kernel",
        lambda: [filled(InvertibleLayer(3))((a, b)), filled(InvertibleLayer(3))((2 * c, a))],
        [filled(irevnet.InvertibleLayer(3))((a, b)), filled(irevnet.InvertibleLayer(3))((2 * c, a))],
    )
    checks.close(
        "the inverse of any two pairs",
        lambda: [filled(InvertibleLayer(3)).inverse((a, b)), filled(InvertibleLayer(3)).inverse((2 * c, a))],
        [filled(irevnet.InvertibleLayer(3)).inverse((a, b)), filled(irevnet.InvertibleLayer(3)).inverse((2 * c, a))],
    )
    checks.close(
        "forward: both results, and the given pair: it is left unchanged",
        lambda: [kept := [c.clone(), b.clone()], filled(InvertibleLayer(3))(kept), kept][1:],
        [filled(irevnet.InvertibleLayer(3))((c, b)), (c, b)],
    )
    checks.close(
        "backward: both results, and the given pair: it is left unchanged",
        lambda: [kept := [c.clone(), b.clone()], filled(InvertibleLayer(3)).inverse(kept), kept][1:],
        [filled(irevnet.InvertibleLayer(3)).inverse((c, b)), (c, b)],
    )
    checks.close(
        "forward: gradients by both images, by the kernel and by the bias",
        lambda: slopes(filled(InvertibleLayer(3)), lambda layer, X: layer(X)),
        slopes(filled(irevnet.InvertibleLayer(3)), lambda layer, X: layer(X)),
    )
    checks.close(
        "backward: gradients by both images, by the kernel and by the bias",
        lambda: slopes(filled(InvertibleLayer(3)), lambda layer, X: layer.inverse(X)),
        slopes(filled(irevnet.InvertibleLayer(3)), lambda layer, X: layer.inverse(X)),
    )
    ### BEGIN HIDDEN TESTS
    large = 0.05 * torch.randn(8, 8, 7, 7, generator=generator)
    checks.close(
        "there and back in float32 with the kernel of the lab, one sample",
        lambda: [
            layer := filled(InvertibleLayer(), large, shift.float()),
            layer.inverse(layer((a.float()[:1], b.float()[:1]))),
        ][1],
        (a.float()[:1], b.float()[:1]),
        atol=1e-4,
    )
    checks.close(
        "the same layer forward",
        lambda: filled(InvertibleLayer(), large, shift.float())((a.float()[:1], b.float()[:1])),
        filled(irevnet.InvertibleLayer(), large, shift.float())((a.float()[:1], b.float()[:1])),
        rtol=1e-4,
        atol=1e-4,
    )
    checks.close(
        "two layers with weights of their own",
        lambda: [
            one := filled(InvertibleLayer(3)),
            two := filled(InvertibleLayer(3), -kernel, 2 * shift),
            two(one((a, b))),
            one.inverse(two.inverse((a, b))),
        ][2:],
        [
            one := filled(irevnet.InvertibleLayer(3)),
            two := filled(irevnet.InvertibleLayer(3), -kernel, 2 * shift),
            two(one((a, b))),
            one.inverse(two.inverse((a, b))),
        ][2:],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
MyInvertibleLayer = check.yours(exercise)

# %% [markdown]
# ## 5. The i-RevNet (Q7, Q8)

# %% [markdown]
# ### Exercise 7.7 - Put it together [Q7] (3 points, ~8 min)
# Split, four layers, join: these are the *features*, of the same shape as the image.
# A linear classifier reads them. The parts are given, with the lab's names: of the package you may
# use `irevnet.SplitAlongChannels` and `irevnet.InvertibleLayer`. Results carry gradients.
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

# %% nbgrader={"grade": false, "grade_id": "irevnet", "locked": false, "schema_version": 3, "solution": true, "task": false}
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
        ### BEGIN SOLUTION
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features
        ### END SOLUTION

    def inverse(self, x):
        """Return the images `(s, 16, 7, 7)` that have the features `x`."""
        ### BEGIN SOLUTION
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_irevnet", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "irevnet",
    points=3,
    answer=lambda: iRevNet,
    package=irevnet.iRevNet,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(77)
    weights = {
        name: 0.1 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in irevnet.iRevNet().state_dict().items()
    }
    x = torch.randn(3, 16, 7, 7, generator=generator, dtype=torch.float64)
    y = torch.randn(2, 16, 7, 7, generator=generator, dtype=torch.float64)

    def filled(net):  # the same weights for every net with the lab's attributes
        net = net.double()
        net.load_state_dict(weights)
        return net

    def slopes(net, call):  # by the image, by two layers and by the classifier; 0 where none flows
        at = [y.clone().requires_grad_(), net.conv1.conv.weight, net.conv4.conv.bias, net.fc.weight]
        total = (call(net, at[0]) ** 2).sum() + 0 * sum(part.sum() for part in at)
        return torch.autograd.grad(total, at)

    checks.close(
        "the features of three images and of two",
        lambda: [filled(iRevNet())(x, False), filled(iRevNet())(y, False)],
        [filled(irevnet.iRevNet())(x, False), filled(irevnet.iRevNet())(y, False)],
    )
    checks.close(
        "their scores, asked for with classif and by default",
        lambda: [filled(iRevNet())(x, True), filled(iRevNet())(y)],
        [filled(irevnet.iRevNet())(x, True), filled(irevnet.iRevNet())(y)],
    )
    checks.close(
        "the images that have given features, three and two",
        lambda: [filled(iRevNet()).inverse(x), [net := filled(iRevNet()), net(y[:1]), net.inverse(y)][2]],
        [filled(irevnet.iRevNet()).inverse(x), filled(irevnet.iRevNet()).inverse(y)],
    )
    checks.close(
        "gradients of scores by the image, by two layers and by the classifier",
        lambda: slopes(filled(iRevNet()), lambda net, y: net(y)),
        slopes(filled(irevnet.iRevNet()), lambda net, y: net(y)),
    )
    checks.close(
        "gradients of features and of images by what they were made from, and by two layers",
        lambda: [
            slopes(filled(iRevNet()), lambda net, y: net(y, False))[:3],
            slopes(filled(iRevNet()), lambda net, y: net.inverse(y))[:3],
        ],
        [
            slopes(filled(irevnet.iRevNet()), lambda net, y: net(y, False))[:3],
            slopes(filled(irevnet.iRevNet()), lambda net, y: net.inverse(y))[:3],
        ],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "there and back, one sample, in float32",
        lambda: [
            net := filled(iRevNet()).float(),
            features := net(x[:1].float(), classif=False),
            net.inverse(features),
        ][1:],
        [filled(irevnet.iRevNet()).float()(x[:1].float(), False), x[:1].float()],
        rtol=1e-4,
        atol=1e-4,
    )
    checks.close(
        "the trip back from any features and forward again",
        lambda: [net := filled(iRevNet()), image := net.inverse(x.transpose(2, 3)), net(image, classif=False)][1:],
        [filled(irevnet.iRevNet()).inverse(x.transpose(2, 3)), x.transpose(2, 3)],
    )
    checks.close(
        "features and scores of an image, and the image: it is left unchanged",
        lambda: [kept := x[1:].clone(), net := filled(iRevNet()), net(kept, False), net(kept), net.inverse(kept), kept][2:],
        [net := filled(irevnet.iRevNet()), net(x[1:], False), net(x[1:]), net.inverse(x[1:]), x[1:]][1:],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
MyiRevNet = check.yours(exercise)

# %% [markdown]
# Both networks see the same 500 images with the same optimiser (Q8).
# *Predict first:* the i-RevNet has about a third of the parameters, since its kernels map 8 channels
# to 8 instead of 16 to 16, and it may not forget anything. How much accuracy does that cost?

# %% tags=["nbval-ignore-output"]
reversible_net = run("i-RevNet", MyiRevNet)
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
    for name, net in (("untrained", MyiRevNet()), ("trained", reversible_net)):
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
deep = [MyInvertibleLayer() for _ in range(128)]
split = MySplitAlongChannels()
start = torch.randn(16, 16, 7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
depths = [1, 2, 4, 8, 16, 32, 64, 128]
error_at, size_at = {torch.float32: [], torch.float64: []}, []
with torch.no_grad():
    for dtype in error_at:
        for depth in depths:
            layers = [layer.to(dtype) for layer in deep[:depth]]
            X = split(start.to(dtype))
            for layer in layers:
                X = layer(X)
            size_at += [max(half.abs().max().item() for half in X)] if dtype == torch.float64 else []
            for layer in reversed(layers):
                X = layer.inverse(X)
            error_at[dtype].append((split.inverse(X) - start).abs().max().item())
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
squeezed_net = run("i-RevNet, squeezed", MyiRevNet, squeeze4)
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
my_train(bottleneck_net, train_loader, scale.pick(quick=1, lesson=25, full=40))
count = sum(parameter.numel() for parameter in bottleneck_net.parameters())
print(f"i-RevNet with bottlenecks: {count} parameters, accuracy {my_test(bottleneck_net, test_loader):.1%}")
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
