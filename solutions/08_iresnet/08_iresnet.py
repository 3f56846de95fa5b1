# %% [markdown]
# # 08 - Invertible by contraction: the i-ResNet
#
# **The question.** When can a residual network be undone as it stands,
# and what does it cost to make sure of that?
#
# **Time** about 100 minutes - **points** 24 - **you need** notebook 07, the Fourier transform
# of a signal, eigenvalues and singular values.
#
# After this notebook you can
#
# 1. *invert* a residual layer by fixed-point iteration, and predict the number of iterations,
# 2. *compute* the norm of a convolution, exactly or as a safe bound,
# 3. *constrain* a network while it is trained,
# 4. *verify* its invertibility, and look at images between two images,
# 5. *estimate* a log-determinant without a determinant, and train a density with it.
#
# **Sources.** The second half of the lab *i-RevNet and i-ResNet*: its questions 10 to 17,
# marked Q10 to Q17 here; names and sizes are the lab's.
# J. Behrmann, W. Grathwohl, R. Chen, D. Duvenaud and J.-H. Jacobsen, *Invertible residual networks*,
# ICML 2019, [arXiv 1811.00995](https://arxiv.org/abs/1811.00995): theorem 1 (condition), algorithm 1
# (inverse), section 3 (log-determinant). H. Sedghi, V. Gupta and P. Long, *The singular values of
# convolutional layers*, ICLR 2019, [arXiv 1805.10408](https://arxiv.org/abs/1805.10408).

# %%
import importlib.util
import math
import time
import matplotlib.pyplot as plt
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+REPOSITORY#subdirectory=course")
from odenets import check, plots, scale, training
from odenets.data import images, toy
from odenets.nets import iresnet, irevnet
from odenets.studies import invertible
scale.use("lesson")
plots.style()
training.set_seed(0)

# %% [markdown]
# ## 1. A residual network (Q10)
#
# Notebook 07 made layers invertible by keeping one half of the features aside.
# Most networks have no halves. The lab's residual network is
#
# $$x_{j+1} = x_j - F_j(x_j), \qquad F_j(x) = \mathrm{ReLU}(W_j * x + b_j), \qquad j = 0, \dots, 3, \tag{1}$$
#
# with kernels of $7\times7$ from 16 to 16 channels, on images seen as `(16, 7, 7)`, and a linear
# classifier. (The minus is the lab's; with a plus everything below holds as well.)
# The data are those of notebook 07: 500 images to learn from, all others to test.

# %%
dataset = scale.pick(quick="digits", lesson="digits", full="mnist")
data = invertible.seen(invertible.load(dataset), irevnet.lab_view)
(train_images, train_labels), (test_images, test_labels) = data
print(f"{dataset}: {len(train_images)} images to learn from, {len(test_images)} to test")

# %% tags=["nbval-ignore-output"]
n_epoch = scale.pick(quick=1, lesson=40, full=40)
seeds = scale.pick(quick=[0], lesson=[0, 1, 2], full=[0, 1, 2, 3, 4])
learning_rate = 0.02 if dataset == "digits" else 0.05  # the lab's 0.05 is for MNIST
losses, accuracies = {}, {}


def run(name, make, train):
    """Train one net per seed; keep the losses and accuracies, return the first net."""
    losses[name], accuracies[name], nets = [], [], []
    for seed in training.progress(seeds, name):
        training.set_seed(seed)
        nets.append(make())
        train_loader, test_loader = images.loaders(data, batch_size=64, generator=seed)
        losses[name].append(train(nets[-1], train_loader, n_epoch, learning_rate))
        accuracies[name].append(irevnet.test(nets[-1], test_loader))
    rates = torch.tensor(accuracies[name])
    print(
        f"{name:9} accuracy {rates.mean():.1%} on average, "
        f"from {rates.min():.1%} to {rates.max():.1%} over {len(rates)} seeds"
    )
    return nets[0]


res_net = run("ResNet", iresnet.LabResNet, irevnet.train)

# %% [markdown]
# ## 2. When can it be undone? (Q11)
#
# Given $y = x - F(x)$, which $x$ was it? Write the equation as $x = y + F(x)$:
# the $x$ that we look for is a *fixed point* of the map $x \mapsto y + F(x)$.
# If $F$ is a **contraction**,
#
# $$\|F(x) - F(x')\| \le \rho\, \|x - x'\| \quad\text{with } \rho < 1, \tag{2}$$
#
# Banach's theorem says that there is exactly one fixed point, for every $y$, and that the iteration
#
# $$x^0 = y, \qquad x^{k+1} = y + F(x^k) \tag{3}$$
#
# finds it, with the error
#
# $$\|x^k - x\| \;\le\; \rho^k\, \|x^0 - x\| \;=\; \rho^k\, \|F(x)\|. \tag{4}$$
#
# So $\mathrm{Lip}(F_j) < 1$ for all $j$ is **sufficient** for $\Phi$ to be invertible
# (Behrmann et al. 2019, theorem 1). One dimension shows what goes wrong otherwise.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4))
s = torch.linspace(-3, 3, 400)
for ax, rho in zip(axes, (0.8, 2.5)):
    colour = plots.COLOURS["iresnet" if rho < 1 else "resnet"]
    ax.plot(s, s - rho * torch.sin(s), color=colour, label=f"$x - F(x)$, $F(x) = {rho} \\sin x$")
    y, walk = 0.5, [0.5]
    ax.axhline(y, color="0.6", lw=1, ls="--", label=f"the given value $y = {y}$")
    for k in range(11):
        walk.append(y + rho * math.sin(walk[-1]))
    heights = [x - rho * math.sin(x) for x in walk]
    ax.plot(walk, heights, "-", color="k", lw=0.6, alpha=0.6)
    ax.plot(walk, heights, "o", color="k", ms=4, label="the iterates $x^0, x^1, ...$")
    ax.plot(walk[0], heights[0], "o", color="k", ms=7, mfc="w", label="the first of them")
    ax.set(xlabel="$x$", ylabel="$y$", title=f"$\\rho = {rho}$", ylim=(-4.2, 4.2))
    ax.legend(fontsize=9, loc="upper left")
plt.show()

# %% [markdown]
# *Figure: a residual layer in one dimension, $x - \rho\sin x$, with $\rho = 0.8$ and $\rho = 2.5$; the dots are the
# first twelve iterates of (3) for the dashed value of $y$, and thin lines join each to the next.*
#
# **Reading the picture.** On the left the graph rises everywhere: each $y$ belongs to one $x$,
# and the dots walk to the dashed line. On the right the graph turns back, three $x$ share the same $y$,
# and the iteration jumps to and fro; in twelve steps it does not settle.
# The condition is not *necessary*: $F(x) = 3x$ gives $x - F(x) = -2x$, which is perfectly invertible.

# %% [markdown]
# ### Exercise 8.1 - Undo a residual layer [Q11] (3 points, ~5 min)
# Write the iteration (3).
#
# <details><summary>Hint 1 - a nudge</summary>
# What is the first guess, and how often is F applied?</details>
# <details><summary>Hint 2 - the idea</summary>
# The layer subtracts F, so the way back adds it, and always to <em>y</em>, never to the last guess.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>x = y</code>; repeat <code>n_iter</code> times <code>x = y + residual(x)</code>; return <code>x</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "fixed_point_inverse", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fixed_point_inverse(residual, y, n_iter):
    """Solve `x - residual(x) = y` by the iteration (3).

    Args:
        residual: the function F.   y: any shape, left unchanged.
        n_iter: how often the residual is applied; the first guess is `y` itself.

    Returns:
        The guess after `n_iter` iterations, of the shape of `y`; it carries gradients.
    """
    ### BEGIN SOLUTION
    x = y
    for _ in range(n_iter):
        x = y + residual(x)
    return x
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_fixed_point_inverse", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "fixed_point_inverse",
    points=3,
    answer=lambda: fixed_point_inverse,
    package=iresnet.fixed_point_inverse,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(81)
    A = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    A = 0.6 * A / torch.linalg.matrix_norm(A, 2)
    x = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    two = torch.tensor([1.0, -2.0], dtype=torch.float64)

    def contraction(x):
        return torch.tanh(x @ A + 0.3)

    class Counted:  # a residual that counts how often it is applied
        calls = 0

        def __call__(self, x):
            self.calls += 1
            return 0.25 * torch.cos(x)

    def slopes(function):  # the gradients by A and by y; 0 where none flows
        at = [A.clone().requires_grad_(), x.clone().requires_grad_()]
        return torch.autograd.grad((function(*at) ** 2).sum() + 0 * sum(part.sum() for part in at), at)

    checks.close(
        "three iterations for y = (1, -2) and F(x) = x / 2; two for F(x) = x^2 / 5 + 0.3",
        lambda: [
            fixed_point_inverse(lambda x: 0.5 * x, two, 3),
            fixed_point_inverse(lambda x: 0.2 * x**2 + 0.3, two, 2),
        ],
        [1.875 * two, torch.tensor([1.75, -1.538], dtype=torch.float64)],
    )
    checks.close(
        "one iteration, and none: the first guess",
        lambda: [fixed_point_inverse(contraction, x, 1), fixed_point_inverse(contraction, x, 0)],
        [x + contraction(x), x],
    )
    checks.close(
        "sixty iterations with a contraction find what went in; five come near it",
        lambda: [fixed_point_inverse(contraction, x - contraction(x), k) for k in (60, 5)],
        [x, iresnet.fixed_point_inverse(contraction, x - contraction(x), 5)],
    )
    checks.close(
        "seven iterations and forty: the guess, and how often F was applied",
        lambda: [[F := Counted(), fixed_point_inverse(F, two, n), F.calls][1:] for n in (7, 40)],
        [[iresnet.fixed_point_inverse(Counted(), two, n), n] for n in (7, 40)],
    )
    checks.close(
        "images in float32, twice from one y, and y afterwards: it is left unchanged",
        lambda: [
            y := x.float().view(2, 1, 3, 2),
            fixed_point_inverse(lambda x: 0.25 * torch.relu(x), y, 4),
            fixed_point_inverse(lambda x: 0.5 * torch.sin(x), y, 3),
            y,
        ][1:],
        [
            iresnet.fixed_point_inverse(lambda x: 0.25 * torch.relu(x), x.float().view(2, 1, 3, 2), 4),
            iresnet.fixed_point_inverse(lambda x: 0.5 * torch.sin(x), x.float().view(2, 1, 3, 2), 3),
            x.float().view(2, 1, 3, 2),
        ],
    )
    checks.close(
        "four iterations: the gradients by a matrix in F, and by y",
        lambda: slopes(lambda A, y: fixed_point_inverse(lambda x: torch.tanh(x @ A), y, 4)),
        slopes(lambda A, y: iresnet.fixed_point_inverse(lambda x: torch.tanh(x @ A), y, 4)),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "six iterations for three vectors",
        lambda: fixed_point_inverse(contraction, 2 * x, 6),
        iresnet.fixed_point_inverse(contraction, 2 * x, 6),
    )
    checks.close(
        "no contraction: the guesses run away, and eight of them are made",
        lambda: fixed_point_inverse(lambda x: 3 * x, two, 8),
        sum(3.0**k for k in range(9)) * two,
    )
    checks.close(
        "a number without axes",
        lambda: fixed_point_inverse(torch.cos, torch.tensor(0.5), 3),
        iresnet.fixed_point_inverse(torch.cos, torch.tensor(0.5), 3),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_fixed_point_inverse = check.yours(exercise)

# %% [markdown]
# ### Exercise 8.2 - How many iterations? [Q11] (2 points, ~5 min)
# From (4): which $k$ is enough for a precision $\varepsilon$?
#
# <details><summary>Hint 1 - a nudge</summary>
# Solve $\rho^k \|F(x)\| \le \varepsilon$ for $k$. Mind the sign of $\log\rho$.</details>
# <details><summary>Hint 2 - the idea</summary>
# $k \ge \log(\varepsilon / \|F(x)\|) / \log\rho$: both logarithms are negative.
# Round up; and if $\|F(x)\| \le \varepsilon$ nothing has to be done.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Check <code>0 &lt; rho &lt; 1</code>. If <code>residual_norm &lt;= eps</code> return 0, else
# <code>math.ceil(math.log(eps / residual_norm) / math.log(rho))</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "iterations_needed", "locked": false, "schema_version": 3, "solution": true, "task": false}
def iterations_needed(residual_norm, rho, eps):
    """Return the smallest integer k >= 0 with `rho**k * residual_norm <= eps`.

    Args:
        residual_norm: the norm of F(x), a float >= 0.   rho: Lipschitz constant of F.
        eps: the precision, a float > 0.

    Raises:
        ValueError: if `rho` is not strictly between 0 and 1.
    """
    ### BEGIN SOLUTION
    if not 0 < rho < 1:
        raise ValueError(f"rho is {rho}, and the bound needs 0 < rho < 1")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_iterations_needed", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "iterations_needed",
    points=2,
    answer=lambda: iterations_needed,
    package=iresnet.iterations_needed,
    further=3,
)
def exercise(checks):
    def refusal(call):  # the kind of the error that a call ends in
        try:
            came = call()
        except NotImplementedError:
            raise
        except Exception as error:
            return "ValueError" if isinstance(error, ValueError) else type(error).__name__
        return f"no error, but {type(came).__name__}"

    def number(value):  # a number as it came, with its kind
        return [type(value).__name__, value]

    checks.equal(
        "the norm of F(x) is 1, rho = 0.9, precision 1e-6; the norm is 20, rho = 0.5, precision 0.03",
        lambda: [number(iterations_needed(1.0, 0.9, 1e-6)), number(iterations_needed(20.0, 0.5, 0.03))],
        [["int", 132], ["int", 10]],
    )
    checks.equal(
        "the norm of F(x) is 3, precision 1e-4, rho = 0.03, 0.3, 0.7, 0.99",
        lambda: [iterations_needed(3.0, rho, 1e-4) for rho in (0.03, 0.3, 0.7, 0.99)],
        [iresnet.iterations_needed(3.0, rho, 1e-4) for rho in (0.03, 0.3, 0.7, 0.99)],
    )
    checks.equal(
        "a precision of 10: the norm of F(x) is 15000 and 11, rho = 0.6",
        lambda: [iterations_needed(15000.0, 0.6, 10.0), iterations_needed(11.0, 0.6, 10.0)],
        [15, 1],
    )
    checks.equal(
        "nothing to do: the norm of F(x) is 1e-8 and 0.04, precision 1e-6 and 0.05; 200 times that norm",
        lambda: [iterations_needed(1e-8, 0.5, 1e-6), iterations_needed(0.04, 0.9, 0.05), iterations_needed(8.0, 0.9, 0.05)],
        [0, 0, 49],
    )
    checks.equal(
        "F(x) = 0; and a norm of 2, rho = 0.2, precision 1e-3",
        lambda: [iterations_needed(0.0, 0.5, 1e-6), iterations_needed(2.0, 0.2, 1e-3)],
        [0, 5],
    )
    checks.equal(
        "rho = 1, 1.5, 0 and -0.5 are refused, rho = 0.8 is not",
        lambda: [
            *[refusal(lambda rho=rho: iterations_needed(2.0, rho, 1e-6)) for rho in (1.0, 1.5, 0.0, -0.5)],
            iterations_needed(2.0, 0.8, 1e-6),
        ],
        ["ValueError"] * 4 + [66],
    )
    checks.equal(
        "rho = 1, 0 and -2 are refused also where nothing is to be done, rho = 0.7 is not",
        lambda: [
            *[refusal(lambda rho=rho: iterations_needed(1e-8, rho, 1e-6)) for rho in (1.0, 0.0, -2.0)],
            iterations_needed(5e-6, 0.7, 1e-6),
        ],
        ["ValueError"] * 3 + [5],
    )
    ### BEGIN HIDDEN TESTS
    checks.equal(
        "rho = 0 and nothing to do, rho = 2 and much to do; the same with rho = 0.3",
        lambda: [
            refusal(lambda: iterations_needed(0.0, 0.0, 1e-6)),
            refusal(lambda: iterations_needed(7.0, 2.0, 1e-6)),
            iterations_needed(7.0, 0.3, 1e-6),
        ],
        ["ValueError", "ValueError", 14],
    )
    checks.equal(
        "keyword arguments",
        lambda: [iterations_needed(residual_norm=4.0, rho=rho, eps=1e-5) for rho in (0.05, 0.45, 0.95)],
        [iresnet.iterations_needed(4.0, rho, 1e-5) for rho in (0.05, 0.45, 0.95)],
    )
    checks.equal(
        "precisions from 1e-2 to 1e-12",
        lambda: [iterations_needed(1.7, 0.85, 10.0**-k) for k in range(2, 13)],
        [iresnet.iterations_needed(1.7, 0.85, 10.0**-k) for k in range(2, 13)],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_iterations_needed = check.yours(exercise)

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_contraction", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": true}
# ### Question 8.3 - In your own words [Q11] (no points, ~5 min)
# Answer question 11 of the lab in a few sentences: a condition on $F$ under which $\Phi$ is invertible
# (is it necessary?), an iteration that computes the inverse, and how the number of iterations
# depends on the precision $\varepsilon$. Why does the iteration converge?
# Write first, then compare with your neighbour or your instructor: this is the heart of the notebook.
#
# ### BEGIN MARK SCHEME
# No points, but a good answer makes these four:
#
# * sufficient: $\mathrm{Lip}(F_j) \le \rho < 1$ for every layer; not necessary ($F(x) = 3x$);
# * $x^{k+1} = y + F_j(x^k)$ from $x^0 = y$, layer by layer from the last one to the first;
# * it converges since $x \mapsto y + F_j(x)$ is a contraction of a complete space (Banach), with the error $\le \rho^k \|F_j(x)\|$;
# * so $k \ge \log(\varepsilon / \|F_j(x)\|) / \log\rho$: proportional to $\log(1/\varepsilon)$, one more digit costs the same number
#   of iterations every time, and to $1/\log(1/\rho)$, which explodes as $\rho \to 1$.
#
# A full answer: If every $F_j$ has a Lipschitz constant at most $\rho < 1$, then each layer, and so
# their composition, is invertible. This is sufficient, not necessary: $F(x) = 3x$ gives $-2x$.
# To invert a layer iterate $x^{k+1} = y + F_j(x^k)$ from $x^0 = y$. The map is a contraction, so by
# Banach's fixed-point theorem there is exactly one fixed point and the error shrinks by $\rho$ in
# each iteration: it is at most $\rho^k\|F_j(x)\|$ after $k$ of them.
# A precision $\varepsilon$ needs $k \ge \log(\varepsilon/\|F_j(x)\|)/\log\rho =
# O(\log(1/\varepsilon)/\log(1/\rho))$ iterations: a fixed number for each further digit. The whole
# network is undone layer by layer, starting with the last.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 8.3: double-click here and write.*

# %% [markdown]
# Is the network that we have just trained invertible in this way?
# *Predict first:* what does the iteration do, layer by layer, on the features of test images?

# %% tags=["nbval-ignore-output"]
def residual_of(conv):
    return lambda x: torch.relu(conv(x))


def inverse_errors(convs, x, counts):
    """Largest error of the whole inverse over all images, for each number of iterations."""
    errors = []
    with torch.no_grad():
        y = x
        for conv in convs:
            y = y - torch.relu(conv(y))
        for n_iter in counts:
            back = y
            for conv in reversed(convs):
                back = my_fixed_point_inverse(residual_of(conv), back, n_iter)
            errors.append((back - x).abs().max().item())
    return errors


some = test_images[: scale.pick(quick=10, lesson=50, full=200)]
res_convs = [res_net.conv1, res_net.conv2, res_net.conv3, res_net.conv4]
counts = [0, 1, 2, 5, 10, 20]
for n_iter, error in zip(counts, inverse_errors(res_convs, some, counts)):
    print(f"ResNet, {n_iter:2d} iterations per layer: largest error {error:.1e}")

# %% [markdown]
# It does not come back: the guesses wander about or run away, and more iterations do not help.
# Nothing in the training has asked for contractions,
# and to see how far the layers are from being some we need their Lipschitz constants.

# %% [markdown]
# ## 3. The norm of a convolution (Q12)
#
# ReLU is 1-Lipschitz and the bias does not matter, so $\mathrm{Lip}(F_j) \le \|W_j\|$: the largest factor
# by which the convolution, as a linear map between images, stretches anything.
# (For ReLU networks "$\|DF_j\| \le \rho$" of the lab means the same, wherever the derivative exists.)
#
# Take one dimension first, and a circle of $N$ points: $W: y \mapsto x \circledast y$,
# $(x \circledast y)_i = \sum_m x_{m}\, y_{i-m \bmod N}$.
# The discrete Fourier transform turns the convolution into a product,
# $\widehat{x \circledast y}(\omega) = \hat x(\omega)\, \hat y(\omega)$, and it preserves norms up to a factor.
# So $W$ stretches the wave of frequency $\omega$ by $|\hat x(\omega)|$, and
#
# $$\|W\| = \max_\omega |\hat x(\omega)|, \qquad \hat x(\omega) = \sum_m x_m\, e^{-2\pi i \omega m / N}. \tag{5}$$

# %% [markdown]
# ### Exercise 8.4 - One dimension [Q12] (2 points, ~4 min)
# Compute (5).
#
# <details><summary>Hint 1 - a nudge</summary>
# The values of the transform are complex. What is "large" for a complex number?</details>
# <details><summary>Hint 2 - the idea</summary>
# Take the transform without any normalisation (the default of <code>torch.fft.fft</code>), the moduli, and the
# largest of them.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>torch.fft.fft(x).abs().max()</code></details>

# %% nbgrader={"grade": false, "grade_id": "circular_conv_norm", "locked": false, "schema_version": 3, "solution": true, "task": false}
def circular_conv_norm(x):
    """Return the operator norm of `y -> x (*) y` on a circle of N points.

    Args:
        x: real signal, `(N,)`.

    Returns:
        A tensor without axes, or a float.
    """
    ### BEGIN SOLUTION
    return torch.fft.fft(x).abs().max()
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_circular_conv_norm", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "circular_conv_norm",
    points=2,
    answer=lambda: circular_conv_norm,
    package=iresnet.circular_conv_norm,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(84)
    nine = torch.randn(9, generator=generator, dtype=torch.float64)
    six = torch.randn(6, generator=generator, dtype=torch.float64)
    difference = torch.tensor([1.0, -1, 0, 0], dtype=torch.float64)
    turning = torch.tensor([2.0, 3, -1, 0, 0], dtype=torch.float64)

    def by_matrix(x):  # the norm of the explicit matrix of the convolution
        return torch.linalg.matrix_norm(torch.stack([x.roll(i) for i in range(len(x))], 1), 2).item()

    checks.close(
        "(1, -1, 0, 0), which doubles an alternating signal; (2, 3, -1, 0, 0), against the explicit matrix",
        lambda: [circular_conv_norm(difference), circular_conv_norm(turning)],
        [2.0, by_matrix(turning)],
    )
    checks.close(
        "nine random numbers, and six, against the explicit matrix",
        lambda: [circular_conv_norm(nine), circular_conv_norm(six)],
        [by_matrix(nine), by_matrix(six)],
    )
    checks.close(
        "signals of one number and of two: (-3) and (0.5, -0.25)",
        lambda: [circular_conv_norm(torch.tensor([-3.0])), circular_conv_norm(torch.tensor([0.5, -0.25]))],
        [3.0, 0.75],
    )
    checks.close(
        "a constant signal is what (-1, -2, -4) stretches most",
        lambda: [circular_conv_norm(torch.tensor([-1.0, -2, -4])), circular_conv_norm(torch.tensor([1.0, 0, -4]))],
        [7.0, 21**0.5],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "thirty random numbers",
        lambda: circular_conv_norm(torch.sin(torch.arange(30.0, dtype=torch.float64) ** 2)),
        by_matrix(torch.sin(torch.arange(30.0, dtype=torch.float64) ** 2)),
    )
    checks.close(
        "in float32",
        lambda: circular_conv_norm(nine.float()[:7]),
        by_matrix(nine.float()[:7].double()),
        rtol=1e-5,
    )
    checks.close(
        "every second entry of a longer signal, and its opposite",
        lambda: [circular_conv_norm(nine[::2]), circular_conv_norm(-2 * nine[::2])],
        [by_matrix(nine[::2]), 2 * by_matrix(nine[::2])],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_circular_conv_norm = check.yours(exercise)

# %%
signals = torch.randn(1000, 16, generator=torch.Generator().manual_seed(84))
filters = {"smooth (1, 2, 1) / 4": [0.25, 0.5, 0.25], "difference (1, -1)": [1.0, -1.0], "sharpen (-1, 3, -1)": [-1.0, 3.0, -1.0]}
for name, entries in filters.items():
    x = torch.tensor(entries + [0.0] * (16 - len(entries)))
    stretched = torch.fft.ifft(torch.fft.fft(x) * torch.fft.fft(signals)).real
    factor = (stretched.norm(dim=1) / signals.norm(dim=1)).max()
    print(f"{name:20} norm {my_circular_conv_norm(x):.2f}, the most that 1000 random signals are stretched {factor:.2f}")

# %% [markdown]
# One wave alone is stretched by the full norm. A random signal is a mixture of all waves, so trying signals out tells too little.

# %% [markdown]
# A layer has images instead of signals and 16 channels on either side.
# The two-dimensional transform does the same for every pair of channels: at the frequency
# $\omega = (\omega_1, \omega_2)$ the kernel becomes a small matrix $\hat K(\omega) \in \mathbb C^{C_{out} \times C_{in}}$, and
#
# $$\|W\| = \max_\omega \sigma_{\max}\bigl(\hat K(\omega)\bigr) \qquad\text{(circular padding)}. \tag{6}$$
#
# PyTorch's "convolution" is a correlation, so that $\hat K(\omega)$ comes out conjugated: same singular values.
#
# **A trap.** The lab's layers pad with *zeros*, and (6) is for images on a torus.
# A convolution with zero padding is a *window* of a circular one on a larger grid:
# put the $N\times N$ image into the corner of $N+k-1$ points per side, fill up with zeros; nothing wraps around now;
# convolve, and cut a window out. Neither filling up nor cutting out enlarges a norm. Hence
#
# $$\|W_{zeros}\| \;\le\; \max_{\omega \,\in\, \text{grid of } N+k-1} \sigma_{\max}\bigl(\hat K(\omega)\bigr). \tag{7}$$
#
# On the grid of $N$ points the maximum may be missed: it is **not a bound**.
# *Predict first:* which kernel has its largest frequency just between the points of a grid with $N = 7$?

# %% [markdown]
# ### Exercise 8.5 - Many channels, both paddings [Q12] (4 points, ~12 min)
# Compute (6) for circular padding and (7) for zero padding.
# (The package's `conv_norm` and `conv_norms` are this exercise.)
#
# <details><summary>Hint 1 - a nudge</summary>
# <code>torch.fft.fft2(weight, s=(n, n))</code> fills each kernel up with zeros to <code>n</code> points per side
# and transforms its last two axes.</details>
# <details><summary>Hint 2 - the idea</summary>
# The result has the shape <code>(C_out, C_in, n, n)</code>. The small matrices live in the <em>first</em> two axes;
# move these to the end, where <code>torch.linalg</code> expects matrices.
# The two paddings differ in <code>n</code> only.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>n = image_size</code> or <code>image_size + weight.shape[-1] - 1</code>;
# <code>symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)</code>;
# <code>torch.linalg.matrix_norm(symbols, 2).max()</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "conv_norm", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conv_norm(weight, image_size, padding):
    """Return the operator norm of a convolution with stride 1, or a bound on it.

    Args:
        weight: kernels `(C_out, C_in, k, k)`, not larger than the images.
        image_size: N, for images of N x N pixels.
        padding: `"circular"`: the norm is exact. `"zeros"`: an upper bound that is no
            larger than the supremum of sigma_max over all real frequencies.

    Returns:
        A tensor without axes, or a float.

    Raises:
        ValueError: if `padding` is neither of the two.
    """
    ### BEGIN SOLUTION
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_conv_norm", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "conv_norm",
    points=4,
    answer=lambda: conv_norm,
    package=(iresnet.conv_norm, iresnet.conv_norms),
    further=4,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(111)
    three_by_two = torch.randn(3, 2, 3, 3, generator=generator, dtype=torch.float64)
    two_by_three = torch.randn(2, 3, 3, 3, generator=generator, dtype=torch.float64)
    rows, columns = torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij")
    chessboard = ((-1.0) ** (rows + columns)).double()[None, None]
    point = torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.5, 1.0]], dtype=torch.float64)[:, :, None, None]

    def true_norm(weight, size, mode):  # the norm of the explicit matrix of the convolution
        conv = torch.nn.Conv2d(*weight.shape[1::-1], weight.shape[-1], padding=weight.shape[-1] // 2, padding_mode=mode)
        conv.weight = torch.nn.Parameter(weight)
        return torch.linalg.matrix_norm(iresnet.conv_matrix(conv, size), 2).item()

    def refusal(call):  # the kind of the error that a call ends in
        try:
            came = call()
        except NotImplementedError:
            raise
        except Exception as error:
            return "ValueError" if isinstance(error, ValueError) else type(error).__name__
        return f"no error, but {type(came).__name__}"

    checks.close(
        "circular padding: from two channels to three on 5 x 5 pixels, from three to two on 4 x 4, against the explicit matrix",
        lambda: [conv_norm(three_by_two, 5, "circular"), conv_norm(two_by_three, 4, "circular")],
        [true_norm(three_by_two, 5, "circular"), true_norm(two_by_three, 4, "circular")],
    )
    true = [true_norm(chessboard, size, "zeros") for size in (7, 8)]
    checks.between(
        "the chessboard kernel with zero padding on 7 x 7 and on 8 x 8 pixels, divided by the true norm: a bound, at most the largest frequency",
        lambda: [conv_norm(chessboard, 7, "zeros") / true[0], conv_norm(chessboard, 8, "zeros") / true[1]],
        1 - 1e-9,
        49 / true[0] * (1 + 1e-9),
    )
    checks.close(
        "the chessboard kernel with circular padding on 7 x 7 and on 9 x 9 pixels, against the explicit matrix",
        lambda: [conv_norm(chessboard, 7, "circular"), conv_norm(chessboard, 9, "circular")],
        [true_norm(chessboard, 7, "circular"), true_norm(chessboard, 9, "circular")],
    )
    checks.between(
        "from two channels to three with zero padding on 5 x 5 pixels: a bound from the true norm to the largest frequency",
        lambda: conv_norm(3 * three_by_two, 5, "zeros"),
        3 * true_norm(three_by_two, 5, "zeros") * (1 - 1e-9),
        3.003 * iresnet.conv_norm(three_by_two, 300, "circular").item(),
    )
    checks.close(
        "kernels of one pixel are a matrix between channels, whatever the padding",
        lambda: [conv_norm(point, 3, "zeros"), conv_norm(2 * point, 4, "circular")],
        [torch.linalg.matrix_norm(point[:, :, 0, 0], 2), 2 * torch.linalg.matrix_norm(point[:, :, 0, 0], 2)],
    )
    checks.close(
        "the padding 'reflect' is refused with a ValueError, 'circular' is not",
        lambda: [refusal(lambda: conv_norm(two_by_three, 6, "reflect")), conv_norm(two_by_three, 6, "circular")],
        ["ValueError", true_norm(two_by_three, 6, "circular")],
    )
    ### BEGIN HIDDEN TESTS
    checks.between(
        "a chessboard of 3 x 3 on 5 x 5 pixels with zero padding",
        lambda: conv_norm(10 * chessboard[..., :3, :3], 5, "zeros"),
        10 * true_norm(chessboard[..., :3, :3], 5, "zeros") * (1 - 1e-9),
        90 * (1 + 1e-9),
    )
    checks.between(
        "from three channels to two on 4 x 4 pixels with zero padding",
        lambda: conv_norm(0.1 * two_by_three, 4, "zeros"),
        0.1 * true_norm(two_by_three, 4, "zeros") * (1 - 1e-9),
        0.1001 * iresnet.conv_norm(two_by_three, 300, "circular").item(),
    )
    checks.close(
        "twice the kernel has twice the norm, in float32",
        lambda: conv_norm(2 * three_by_two.float(), 6, "circular"),
        2 * iresnet.conv_norm(three_by_two.float(), 6, "circular"),
    )
    checks.equal(
        "other paddings",
        lambda: [refusal(lambda: conv_norm(point, 6, "replicate")), refusal(lambda: conv_norm(point, 6, "same"))],
        ["ValueError", "ValueError"],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_conv_norm = check.yours(exercise)

# %% [markdown]
# Four recipes for the number that we need are in use. Which of them can be trusted?
# The truth comes from the explicit matrix of the convolution, $784\times784$ for the lab's layers.
#
# * the Fourier transform on $N = 7$ points (exact for circular padding, *often used for zero padding*),
# * the transform on $N + k - 1 = 13$ points, equation (7),
# * five power iterations $v \leftarrow W^\top W v$ with the true padding, as in the i-ResNet code,
# * the norm of the kernel reshaped to a matrix $C_{out} \times C_{in}k^2$, which is what PyTorch's `spectral_norm` does.

# %% tags=["nbval-ignore-output"]
training.set_seed(1)
board = torch.nn.Conv2d(1, 1, 7, padding=3)
board.weight.data = ((-1.0) ** torch.arange(49)).view(1, 1, 7, 7)
single = torch.nn.Conv2d(1, 1, 7, padding=3)
kernels = {
    "chessboard": board,
    "one channel,\nrandom": single,
    "16 channels,\nuntrained": torch.nn.Conv2d(16, 16, 7, padding=3),
    "ResNet,\nlayer 1": res_net.conv1,
    "ResNet,\nlayer 4": res_net.conv4,
}
recipes = {
    "transform, 7 points": lambda conv: my_conv_norm(conv.weight, 7, "circular"),
    "transform, 13 points": lambda conv: my_conv_norm(conv.weight, 7, "zeros"),
    "5 power iterations": lambda conv: iresnet.power_iteration_norm(conv, 7, 5, torch.Generator().manual_seed(0)),
    "reshaped kernel": lambda conv: iresnet.reshaped_kernel_norm(conv.weight),
}
ratios = {recipe: [] for recipe in recipes}
for name, conv in kernels.items():
    truth = torch.linalg.matrix_norm(iresnet.conv_matrix(conv, 7), 2).item()
    found = {recipe: norm(conv).item() for recipe, norm in recipes.items()}
    for recipe, value in found.items():
        ratios[recipe].append(value / truth)
    words = ", ".join(f"{recipe} {value:.2f}" for recipe, value in found.items())
    print(f"{name.replace(chr(10), ' ')}: truth {truth:.2f}; {words}")

# %%
fig, ax = plt.subplots(figsize=(8.5, 4))
for k, (recipe, values) in enumerate(ratios.items()):
    places = [i + 0.12 * (k - 1.5) for i in range(len(values))]
    ax.semilogy(places, values, plots.MARKERS[k], color=plots.PALETTE[k], ms=8, label=recipe)
ax.axhline(1, color="k", lw=1)
ax.text(len(kernels) - 0.45, 1.03, "the truth", ha="right", va="bottom")
ax.axhspan(0.18, 1, color="0.92", zorder=0)
ax.set(xticks=range(len(kernels)), xticklabels=kernels, ylabel="estimate / true norm")
ax.set(yticks=[0.2, 0.5, 1, 2], yticklabels=["0.2", "0.5", "1", "2"], ylim=(0.18, 2.2), xlim=(-0.5, len(kernels) - 0.4))
ax.minorticks_off()
ax.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
plt.show()

# %% [markdown]
# *Figure: four estimates of the norm of a convolution with zero padding, divided by the true norm, for five
# kernels; what lies in the grey part is too small to guarantee anything.*
#
# **Reading the picture.** Only the transform on 13 points lies above the truth for all five, and it must: (7) is a theorem.
# The one on 7 points fails for the chessboard, whose largest frequency it misses.
# On the trained layers the two agree, since there the frequency zero dominates, which both grids contain;
# both are larger than the truth, because an image has edges and a constant image feels the zeros outside.
# The power iteration comes close, and *from below*.
# The reshaped kernel is far off: it answers another question. Multiplied by the kernel's width 7 it is a bound, but a crude one.

# %% [markdown]
# ## 4. Normalise while training (Q12, Q13)
#
# If a layer is too strong, scale it:
#
# $$W \;\leftarrow\; W \min\Bigl(1, \frac{\rho}{\|W\|}\Bigr), \tag{8}$$
#
# after *every* step of the optimiser. Layers that are weak enough are left alone.
# The lab proposes $\rho = 0.9$; we train with $0.85$, for a reason that section 6 gives.

# %% [markdown]
# ### Exercise 8.6 - Scale a layer in place [Q13] (3 points, ~8 min)
# Write (8) for a `torch.nn.Conv2d`. The optimiser holds on to the *parameter*, so change the
# numbers in it, not the object; and keep the change out of autograd's graph.
# `iresnet.conv_norm(weight, image_size, padding)` is the norm, and may be used.
#
# <details><summary>Hint 1 - a nudge</summary>
# <code>conv.padding_mode</code> is <code>"zeros"</code> or <code>"circular"</code>. Who decides which norm is the right one?</details>
# <details><summary>Hint 2 - the idea</summary>
# Under <code>torch.no_grad()</code>, or on <code>conv.weight.data</code>, compute the norm and multiply in place,
# but only if the norm exceeds rho.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)</code>;
# <code>if norm &gt; rho: conv.weight.data.mul_(rho / norm)</code>; <code>return conv</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "normalize_", "locked": false, "schema_version": 3, "solution": true, "task": false}
def normalize_(conv, rho, image_size):
    """Scale the kernel of `conv` in place so that its norm is at most `rho`.

    Args:
        conv: `torch.nn.Conv2d`; the norm is the one of its `padding_mode`, as
            `iresnet.conv_norm` gives it. `conv.weight` stays the same `Parameter`.
        rho: the largest norm that is allowed.   image_size: N, images are N x N.

    Returns:
        `conv`, whose bias is as before.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        norm = iresnet.conv_norm(conv.weight, image_size, conv.padding_mode)
        if norm > rho:
            conv.weight.mul_(rho / norm)
    return conv
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_normalize_", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "normalize_",
    points=3,
    answer=lambda: normalize_,
    package=(iresnet.normalize_, iresnet.InvertibleResidual.normalize, iresnet.iResNet.normalize),
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(86)
    kernel = torch.randn(3, 3, 3, 3, generator=generator, dtype=torch.float64)
    shift = torch.randn(3, generator=generator, dtype=torch.float64)
    board = ((-1.0) ** torch.arange(49, dtype=torch.float64)).view(1, 1, 7, 7)
    unit = kernel / iresnet.conv_norm(kernel, 5, "circular")

    def layer(mode, kernel=kernel):  # a convolution with this kernel
        outside, inside, k, _ = kernel.shape
        conv = torch.nn.Conv2d(inside, outside, k, padding=k // 2, padding_mode=mode).to(kernel.dtype)
        conv.weight.data.copy_(kernel)
        conv.bias.data.copy_(shift[:outside])
        return conv

    def norm(size, mode, kernel=kernel):
        return iresnet.conv_norm(kernel, size, mode)

    def went_on(conv):  # one step of an optimiser with momentum that was made before
        optimizer = torch.optim.SGD(conv.parameters(), lr=0.1, momentum=0.9)
        normalize_(conv, 0.9, 5)
        conv(torch.ones(1, 3, 5, 5, dtype=torch.float64)).sum().backward()
        optimizer.step()
        return [conv.weight, conv.bias]

    checks.close(
        "circular padding: the new kernel for rho = 0.9 and images of 5 x 5 pixels, for rho = 0.5 and 4 x 4",
        lambda: [
            [conv := layer("circular"), normalize_(conv, 0.9, 5), conv.weight][2],
            [conv := layer("circular"), normalize_(conv, 0.5, 4), conv.weight][2],
        ],
        [0.9 * kernel / norm(5, "circular"), 0.5 * kernel / norm(4, "circular")],
    )
    checks.close(
        "zero padding: the new kernel for rho = 0.9 and images of 5 x 5; the chessboard for rho = 0.5 and 7 x 7",
        lambda: [
            [conv := layer("zeros"), normalize_(conv, 0.9, 5), conv.weight][2],
            [conv := layer("zeros", board), normalize_(conv, 0.5, 7), conv.weight][2],
        ],
        [0.9 * kernel / norm(5, "zeros"), 0.5 * board / norm(7, "zeros", board)],
    )
    checks.close(
        "kernels with the norms 3, 0.8 and 0.2 for rho = 0.5: two are scaled, the weak one is left alone",
        lambda: [[conv := layer("circular", factor * unit), normalize_(conv, 0.5, 5), conv.weight][2] for factor in (3, 0.8, 0.2)],
        [0.5 * unit, 0.5 * unit, 0.2 * unit],
    )
    checks.close(
        "norms 3 and 1.1 for rho = 1.5",
        lambda: [[conv := layer("circular", factor * unit), normalize_(conv, 1.5, 5), conv.weight][2] for factor in (3, 1.1)],
        [1.5 * unit, 1.1 * unit],
    )
    checks.equal(
        "has the kernel changed, is it the same parameter, a leaf that wants gradients; is conv returned?",
        lambda: [
            conv := layer("zeros"),
            before := conv.weight,
            out := normalize_(conv, 0.9, 5),
            {
                "changed": not torch.equal(conv.weight, kernel),
                "the same parameter": conv.weight is before,
                "a leaf": conv.weight.is_leaf,
                "wants gradients": conv.weight.requires_grad,
                "conv is returned": out is conv,
                "what is returned": type(out).__name__,
            },
        ][3],
        {
            **dict.fromkeys(["changed", "the same parameter", "a leaf", "wants gradients", "conv is returned"], True),
            "what is returned": "Conv2d",
        },
    )
    checks.close(
        "the new kernel, and the bias: it is as before",
        lambda: [conv := layer("circular", 2 * kernel), normalize_(conv, 0.7, 5), conv.weight, conv.bias][2:],
        [0.7 * kernel / norm(5, "circular"), shift],
    )
    checks.close(
        "an optimiser goes on with the scaled kernel: kernel and bias after one step",
        lambda: went_on(layer("circular")),
        [0.9 * kernel / norm(5, "circular") - 0.1 * 25, shift - 0.1 * 25],
    )
    checks.close(
        "a frozen layer in float32 from three channels to two",
        lambda: [
            conv := layer("zeros", 5 * kernel[:2].float()).requires_grad_(False),
            normalize_(conv, 0.6, 6),
            conv.weight,
        ][2],
        0.6 * kernel[:2].float() / norm(6, "zeros", kernel[:2].float()),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "a layer without a bias",
        lambda: [
            conv := torch.nn.Conv2d(3, 3, 3, padding=1, bias=False).double(),
            conv.weight.data.copy_(kernel),
            normalize_(conv, 0.8, 6),
            conv.weight,
        ][3],
        0.8 * kernel / norm(6, "zeros"),
    )
    checks.close(
        "twice, with another rho the second time",
        lambda: [conv := layer("zeros"), normalize_(normalize_(conv, 0.9, 5), 0.3, 5), conv.weight][2],
        0.3 * kernel / norm(5, "zeros"),
    )
    checks.close(
        "in float32, a second time with the same rho: the kernel stays",
        lambda: [conv := layer("zeros", 3 * kernel.float()), normalize_(conv, 0.7, 5), normalize_(conv, 0.7, 5), conv.weight][3],
        0.7 * kernel.float() / norm(5, "zeros", kernel.float()),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_normalize_ = check.yours(exercise)

# %% tags=["nbval-ignore-output"]
scaled_net = iresnet.LabResNet()
scaled_net.load_state_dict(res_net.state_dict())
scaled_convs = [my_normalize_(conv, 0.85, 7) for conv in (scaled_net.conv1, scaled_net.conv2, scaled_net.conv3, scaled_net.conv4)]
for n_iter, error in zip(counts, inverse_errors(scaled_convs, some, counts)):
    print(f"ResNet, scaled afterwards, {n_iter:2d} iterations per layer: largest error {error:.1e}")
test_loader = images.loaders(data, batch_size=64, generator=0)[1]
print(f"accuracy as it was trained {irevnet.test(res_net, test_loader):.1%}, scaled afterwards {irevnet.test(scaled_net, test_loader):.1%}")

# %% [markdown]
# Scaled once, after the training, the ResNet can be undone. But it is another function now, which nobody has trained, and it
# classifies worse than before. So the constraint has to be there *while* the network learns.

# %% [markdown]
# What does it cost? At each step the norm needs the singular values of $16\times16$ matrices at many
# frequencies, four times. The package computes them for all layers and frequencies at once,
# uses that real kernels have the same singular values at $\omega$ and $-\omega$, and leaves out frequencies
# that cannot hold the maximum. Compared with a step without normalisation:

# %% tags=["nbval-ignore-output"]
training.set_seed(2)
trial = iresnet.iResNet()
optimizer = torch.optim.SGD(trial.parameters(), lr=0.05, momentum=0.9)


def seconds(normalised):
    start = time.perf_counter()
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(trial(train_images[:64]), train_labels[:64]).backward()
    optimizer.step()
    if normalised:
        trial.normalize(0.85)
    return time.perf_counter() - start


pairs = torch.tensor([[seconds(False), seconds(True)] for _ in range(scale.pick(quick=5, lesson=30, full=60))])
plain, normalised = pairs.median(0).values.tolist()
print(f"a plain step {1e3 * plain:.1f} ms, with normalisation {1e3 * normalised:.1f} ms: {normalised / plain:.2f} times")

# %% [markdown]
# ## 5. The i-ResNet (Q13, Q14)

# %% [markdown]
# ### Exercise 8.7 - Layer and network [Q13, Q14] (5 points, ~12 min)
# Write the invertible layer and the network out of four of them, with the lab's names.
# Of the package use `iresnet.normalize_` and `iresnet.fixed_point_inverse`. The images have $7\times7$ pixels.
# Features, scores and inverse images carry gradients.
#
# <details><summary>Hint 1 - a nudge</summary>
# The inverse of a composition takes the layers in which order?</details>
# <details><summary>Hint 2 - the idea</summary>
# The residual that is handed to the fixed-point iteration is <code>relu(conv(x))</code>, without the identity
# and without a sign. Both <code>normalize</code> methods return <code>self</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>return x - torch.relu(self.conv(x))</code>;
# <code>iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)</code>;
# in the network loop over <code>(self.conv1, ..., self.conv4)</code>, for the inverse from the last to the first.</details>

# %% nbgrader={"grade": false, "grade_id": "iresnet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class InvertibleResidual(torch.nn.Module):
    """One layer `x - relu(conv(x))` on images `(s, 16, 7, 7)`."""

    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        """Return `x - F(x)`."""
        ### BEGIN SOLUTION
        return x - torch.relu(self.conv(x))
        ### END SOLUTION

    def normalize(self, rho=0.9):
        """Make the Lipschitz constant of F at most `rho`, in place; return `self`."""
        ### BEGIN SOLUTION
        iresnet.normalize_(self.conv, rho, 7)
        return self
        ### END SOLUTION

    def inverse(self, y, n_iter=100):
        """Return x with `x - F(x) = y`, by `n_iter` fixed-point iterations from `y`."""
        ### BEGIN SOLUTION
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)
        ### END SOLUTION


class iResNet(torch.nn.Module):
    """Four invertible residual layers and a linear classifier."""

    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        """Normalise all four layers, each by its own norm, in place; return `self`."""
        ### BEGIN SOLUTION
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self
        ### END SOLUTION

    def forward(self, x, classif=True):
        """Return scores `(s, 10)`, or the features `(s, 16, 7, 7)` if not `classif`."""
        ### BEGIN SOLUTION
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x
        ### END SOLUTION

    def inverse(self, x, n_iter=100):
        """Return the images that have the features `x`, `n_iter` iterations a layer."""
        ### BEGIN SOLUTION
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_iresnet", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "iresnet",
    points=5,
    answer=lambda: iResNet,
    package=(iresnet.iResNet, iresnet.InvertibleResidual),
    further=4,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(87)
    weights = {
        name: 0.06 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in iresnet.iResNet().state_dict().items()
    }
    weights["conv3.conv.weight"] *= 0.001  # a layer that is weak enough already
    board = (-1.0) ** torch.arange(49, dtype=torch.float64)  # 7 points a side miss its norm
    weights["conv2.conv.weight"] += 0.02 * board.view(7, 7)
    x = torch.randn(3, 16, 7, 7, generator=generator, dtype=torch.float64)
    y = torch.randn(2, 16, 7, 7, generator=generator, dtype=torch.float64)
    small = {
        "conv.weight": 0.1 * torch.randn(16, 16, 3, 3, generator=generator, dtype=torch.float64),
        "conv.bias": torch.randn(16, generator=generator, dtype=torch.float64),
    }

    def filled(net, state=weights):  # the same weights for all that has the lab's attributes
        net = net.double()
        net.load_state_dict(state)
        return net

    contractive = filled(iresnet.iResNet()).normalize(0.8).state_dict()
    weak = {"conv.weight": 0.1 * small["conv.weight"], "conv.bias": small["conv.bias"]}

    def norms(*layers):
        return [iresnet.conv_norm(layer.conv.weight.detach(), 7, "zeros").item() for layer in layers]

    def slopes(net, call):  # by the image, by two layers and by the classifier; 0 where none flows
        at = [y.clone().requires_grad_(), net.conv1.conv.weight, net.conv4.conv.bias, net.fc.weight]
        total = (call(net, at[0]) ** 2).sum() + 0 * sum(part.sum() for part in at)
        return torch.autograd.grad(total, at)

    checks.close(
        "a layer with a 3x3 kernel on three images and on two, one with a 7x7 kernel on two",
        lambda: [*[filled(InvertibleResidual(3), small)(images) for images in (x, y)], filled(iResNet()).conv1(y)],
        [*[filled(iresnet.InvertibleResidual(3), small)(images) for images in (x, y)], filled(iresnet.iResNet()).conv1(y)],
    )
    checks.close(
        "the inverse of one layer: two iterations with a 3x3 kernel, one with a 7x7 kernel, a hundred by default",
        lambda: [
            filled(InvertibleResidual(3), weak).inverse(x, 2),
            filled(iResNet(), contractive).conv2.inverse(y, 1),
            filled(InvertibleResidual(3), weak).inverse(y),
        ],
        [
            filled(iresnet.InvertibleResidual(3), weak).inverse(x, 2),
            filled(iresnet.iResNet(), contractive).conv2.inverse(y, 1),
            filled(iresnet.InvertibleResidual(3), weak).inverse(y),
        ],
    )
    checks.close(
        "the features of three images, and of two",
        lambda: [filled(iResNet())(x, False), filled(iResNet())(y, False)],
        [filled(iresnet.iResNet())(x, False), filled(iresnet.iResNet())(y, False)],
    )
    checks.close(
        "their scores, asked for with classif and by default",
        lambda: [filled(iResNet())(x, True), filled(iResNet())(y)],
        [filled(iresnet.iResNet())(x, True), filled(iresnet.iResNet())(y)],
    )
    checks.close(
        "the inverse of the network, three iterations a layer and one",
        lambda: [filled(iResNet(), contractive).inverse(x, 3), filled(iResNet(), contractive).inverse(y, 1)],
        [filled(iresnet.iResNet(), contractive).inverse(x, 3), filled(iresnet.iResNet(), contractive).inverse(y, 1)],
    )
    checks.close(
        "from images to features and back, with the default number of iterations",
        lambda: [net := filled(iResNet(), contractive), z := net(x, False), net.inverse(z)][1:],
        [filled(iresnet.iResNet(), contractive)(x, False), x],
        atol=1e-6,
    )
    checks.between(
        "normalize(0.8) and normalize(): the norms of the three strong layers, divided by 0.8 and 0.9",
        lambda: [
            [net := filled(iResNet()), net.normalize(0.8), [n / 0.8 for n in norms(net.conv1, net.conv2, net.conv4)]][2],
            [net := filled(iResNet()), net.normalize(), [n / 0.9 for n in norms(net.conv1, net.conv2, net.conv4)]][2],
        ],
        0.9,
        1.06,
    )
    checks.close(
        "the weak layer after normalize(0.8): it is as before; and whether a strong one is weaker",
        lambda: [net := filled(iResNet()), net.normalize(0.8), net.conv3.conv.weight, norms(net.conv1)[0] < 0.85][2:],
        [weights["conv3.conv.weight"], True],
    )
    checks.between(
        "normalize(0.5) of one layer with a 3x3 kernel: its norm",
        lambda: [layer := filled(InvertibleResidual(3), small), layer.normalize(0.5), norms(layer)[0]][2],
        0.45,
        0.53,
    )
    checks.equal(
        "normalize of net and layer: does each return itself, with the same parameter, made weaker?",
        lambda: [
            net := filled(iResNet()),
            layer := filled(InvertibleResidual(3), small),
            before := [net.conv1.conv.weight, layer.conv.weight],
            out := [net.normalize(0.4), layer.normalize(0.3)],
            {
                "the net": [out[0] is net, type(out[0]).__name__],
                "the layer": [out[1] is layer, type(out[1]).__name__],
                "same parameters": [net.conv1.conv.weight is before[0], layer.conv.weight is before[1]],
                "weaker": [n < 0.43 for n in norms(net.conv1, layer)],
            },
        ][4],
        {"the net": [True, "iResNet"], "the layer": [True, "InvertibleResidual"], "same parameters": [True, True], "weaker": [True, True]},
    )
    checks.close(
        "gradients of scores by the image, by two layers and by the classifier",
        lambda: slopes(filled(iResNet()), lambda net, y: net(y)),
        slopes(filled(iresnet.iResNet()), lambda net, y: net(y)),
    )
    checks.close(
        "gradients of features and, after two iterations a layer, of images by what they were made from, and by two layers",
        lambda: [
            slopes(filled(iResNet()), lambda net, y: net(y, False))[:3],
            slopes(filled(iResNet(), contractive), lambda net, y: net.inverse(y, 2))[:3],
        ],
        [
            slopes(filled(iresnet.iResNet()), lambda net, y: net(y, False))[:3],
            slopes(filled(iresnet.iResNet(), contractive), lambda net, y: net.inverse(y, 2))[:3],
        ],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "after normalize(0.7): from one image to its features and back, in float32",
        lambda: [
            net := filled(iResNet()).float().normalize(0.7),
            z := net(x[:1].float(), classif=False),
            (z - x[:1].float()).abs().max() > 0.1,
            net.inverse(z),
        ][2:],
        [torch.tensor(True), x[:1].float()],
        atol=1e-4,
    )
    checks.close(
        "no iteration at all, then two",
        lambda: [filled(iResNet(), contractive).inverse(x, 0), filled(iResNet(), contractive).inverse(x, 2)],
        [x, filled(iresnet.iResNet(), contractive).inverse(x, 2)],
    )
    checks.close(
        "a layer with a 5x5 kernel on its own",
        lambda: [
            layer := InvertibleResidual(5).double(),
            layer.load_state_dict({"conv.weight": torch.full((16, 16, 5, 5), 0.002), "conv.bias": torch.ones(16)}),
            layer(x),
            layer.inverse(layer(x), 60),
        ][2:],
        [
            layer := iresnet.InvertibleResidual(5).double(),
            layer.load_state_dict({"conv.weight": torch.full((16, 16, 5, 5), 0.002), "conv.bias": torch.ones(16)}),
            layer(x),
            x,
        ][2:],
        atol=1e-6,
    )
    checks.close(
        "features of an image and the inverse, and the image: it is left unchanged",
        lambda: [kept := x[1:].clone(), net := filled(iResNet(), contractive), net(kept, False), net.inverse(kept, 4), kept][2:],
        [net := filled(iresnet.iResNet(), contractive), net(x[1:], False), net.inverse(x[1:], 4), x[1:]][1:],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
MyiResNet = check.yours(exercise)

# %% [markdown]
# `iresnet.train_norm` is the training loop of notebook 07 with `net.normalize(rho)` after each step
# (and once before the first).
# *Predict first:* what does the constraint do to the accuracy?

# %% tags=["nbval-ignore-output"]
rho = 0.85
inv_net = run("i-ResNet", MyiResNet, lambda *a: iresnet.train_norm(*a, rho=rho))
rev_net = run("i-RevNet", irevnet.iRevNet, irevnet.train)

# %%
fig, axes = plt.subplots(1, 2, figsize=(10.5, 3.8), width_ratios=[1.7, 1])
keys = {"ResNet": "resnet", "i-ResNet": "iresnet", "i-RevNet": "irevnet"}
for name, key in keys.items():
    for k, curve in enumerate(losses[name]):
        axes[0].semilogy(curve, color=plots.COLOURS[key], lw=1, alpha=0.8, label=name if k == 0 else None)
axes[0].set(xlabel="step (8 steps make an epoch)", ylabel="training loss", ylim=(1e-4, 20))
axes[0].legend()
for k, (name, key) in enumerate(keys.items()):
    axes[1].plot([k] * len(seeds), accuracies[name], "o", color=plots.COLOURS[key], alpha=0.8)
axes[1].set(xticks=range(3), xticklabels=keys, xlim=(-0.5, 2.5), ylabel="accuracy on the test images")
axes[1].margins(y=0.5)
plt.show()

# %% [markdown]
# *Figure: left, training losses of the three networks, one line per seed; right, accuracy on the
# test images, one dot per seed.*
#
# **Reading the picture.** The constraint slows the fit of the training images down, by much,
# and costs little on the test images.
# It also buys something that nobody asked for: a network whose layers cannot amplify is hard to blow up.
# Here are both with the lab's larger learning rate of 0.05, for ten epochs:

# %% tags=["nbval-ignore-output"]
for name, make, train in (
    ("ResNet", iresnet.LabResNet, irevnet.train),
    ("i-ResNet", MyiResNet, lambda *a: iresnet.train_norm(*a, rho=rho)),
):
    worst = []
    for seed in seeds:
        training.set_seed(seed)
        net = make()
        worst.append(max(train(net, images.loaders(data, 64, generator=seed)[0], min(n_epoch, 10), 0.05)))
    print(f"{name:8} largest training loss, by seed:", ", ".join(f"{loss:.3g}" for loss in worst))

# %% [markdown]
# ## 6. Does the inverse work? (Q15)
#
# For one layer, (4) bounds the error of $k$ iterations by $\rho^k \|F_j(x_j)\|$.
# For the whole network the error $e_{j+1}$ of what comes back from the layers above is the
# input of the next iteration, which amplifies it by at most $1 + \rho + \dots + \rho^k$:
#
# $$e_j \;\le\; \rho^k\,\|F_j(x_j)\| + \frac{1 - \rho^{k+1}}{1 - \rho}\; e_{j+1}, \qquad e_4 = 0. \tag{9}$$
#
# We compare with the truth for test images, in float64 so that rounding stays out of the picture.

# %%
counts = [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40]
double_net = MyiResNet().double()
double_net.load_state_dict(inv_net.state_dict())
double_net.normalize(rho)  # the last rounding of float32
layers = [double_net.conv1, double_net.conv2, double_net.conv3, double_net.conv4]
safe = True
with torch.no_grad():
    stages = [some.double()]
    for layer in layers:
        stages.append(layer(stages[-1]))
    sizes, alone = [], []
    for layer, x, y in zip(layers, stages, stages[1:]):  # each layer alone
        residual, guess = residual_of(layer.conv), y
        sizes.append(residual(x).flatten(1).norm(dim=1))
        alone.append([])
        for k in range(41):
            error = (guess - x).flatten(1).norm(dim=1)
            safe = safe and bool((error <= rho**k * sizes[-1] + 1e-12).all())
            alone[-1].append(error.max().item())
            guess = y + residual(guess)
    error_of, bound_of = [], []
    for k in counts:  # the whole network
        bound = torch.zeros(len(some), dtype=torch.float64)
        for size in reversed(sizes):
            bound = rho**k * size + (1 - rho ** (k + 1)) / (1 - rho) * bound
        error = (double_net.inverse(stages[-1], k) - some).flatten(1).norm(dim=1)
        safe = safe and bool((error <= bound + 1e-12).all())
        error_of.append(error.max().item())
        bound_of.append(bound.max().item())
print("every error within its bound, for all images, layers and iterations:", safe)
for j, (errors, size) in enumerate(zip(alone, sizes)):
    enough = my_iterations_needed(size.max().item(), rho, 1e-4)
    took = next(k for k, error in enumerate(errors) if error <= 1e-4)
    print(f"layer {j + 1} to a precision of 1e-4: {enough} iterations are enough by (4), {took} were")

# %% tags=["nbval-ignore-output"]
steps = [0, 1, 2, 3, 5, 7, 10, 15, 20]
res_errors = inverse_errors(res_convs, some, steps)
many = test_images[: scale.pick(quick=20, lesson=1000, full=1000)]
inv_convs = [layer.conv for layer in (inv_net.conv1, inv_net.conv2, inv_net.conv3, inv_net.conv4)]
print(f"i-ResNet in float32, {len(many)} test images, largest error of a pixel:")
for k, error in zip((5, 10, 20), inverse_errors(inv_convs, many, (5, 10, 20))):
    print(f"  {k:2d} iterations {error:.1e}")
norms = [torch.linalg.matrix_norm(iresnet.conv_matrix(conv, 7), 2).item() for conv in inv_convs]
print("true norms of its layers:", ", ".join(f"{norm:.2f}" for norm in norms), f"- the bound that was enforced: {rho}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(10.5, 4), sharey=True)
for j, (errors, size) in enumerate(zip(alone, sizes)):
    axes[0].semilogy(errors, color=plots.COLOURS["iresnet"], alpha=0.4 + 0.2 * j, label=f"layer {j + 1}")
largest = max(size.max().item() for size in sizes)
axes[0].semilogy([rho**k * largest for k in range(41)], "k--", lw=1.2, label="bound (4), the largest of four")
axes[0].set(xlabel="fixed-point iterations", ylabel="largest error of the inverse", title="one layer of the i-ResNet")
axes[1].semilogy(steps, res_errors, "o-", ms=4, color=plots.COLOURS["resnet"], label="ResNet")
axes[1].semilogy(counts, error_of, "o-", ms=4, color=plots.COLOURS["iresnet"], label="i-ResNet")
axes[1].semilogy(counts, bound_of, "k--", lw=1.2, label="i-ResNet, bound (9)")
axes[1].set(xlabel="fixed-point iterations per layer", title="the whole network", ylim=(1e-14, 1e10))
for ax in axes:
    ax.legend(fontsize=9, loc="upper right")
plt.show()

# %% [markdown]
# *Figure: the largest error of the inverse over the test images against the number of fixed-point iterations:
# left for each layer of the i-ResNet alone, right for both whole networks; dashed what the theory guarantees.*
#
# **Reading the picture.** The unconstrained ResNet is not undone by any of the numbers of iterations tried here.
# For the i-ResNet the error falls on a straight line, by a constant factor per iteration.
# It falls *faster* than the bound says (the numbers of iterations above), because the true norms are well below the
# number that was enforced (the 13-point transform overestimates, section 3) and because ReLU switches a part of each layer off.
# For the whole network the guarantee (9) is very cautious: it assumes that each layer amplifies the
# errors of the next one as much as it possibly can. The error does not.
# With $\rho = 0.9$ instead of $0.85$, twenty iterations did not always reach a precision of $10^{-5}$ on MNIST: this is why we took $0.85$.
# Section 10 prints errors and accuracies for both.

# %% [markdown]
# ## 7. Between two images (Q16)
#
# With an inverse one can walk in the space of *features*, and look at every point as an image:
#
# $$x_t = \Phi^{-1}\bigl((1-t)\,\Phi(x_0) + t\,\Phi(x_1)\bigr), \qquad 0 < t < 1. \tag{10}$$
#
# *Predict first:* will the images between a 3 and an 8 be digits?

# %% tags=["nbval-ignore-output"]
def between(net, x0, x1, times):
    """The images x_t of equation (10), as `(len(times), 28, 28)`."""
    with torch.no_grad():
        z0, z1 = net(x0[None], classif=False), net(x1[None], classif=False)
        mixed = torch.cat([(1 - t) * z0 + t * z1 for t in times])
        return net.inverse(mixed).view(-1, 28, 28)


times = [0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1]
x0, x1 = (test_images[int((test_labels == digit).nonzero()[2])] for digit in (3, 8))
cross_fade = torch.stack([((1 - t) * x0 + t * x1).view(28, 28) for t in times])
strips = {
    "cross-fade\nof pixels": cross_fade,
    "i-ResNet": between(inv_net, x0, x1, times),
    "i-RevNet": between(rev_net, x0, x1, times),
}
for name, strip in strips.items():
    away = (strip[3] - cross_fade[3]).norm() / cross_fade[3].norm()
    words = name.replace("\n", " ")
    print(f"{words:20} values from {strip.min():.2f} to {strip.max():.2f}, at t = 1/2 {away:.0%} away from the cross-fade")

# %%
fig = plots.image_rows(strips, [f"t = {t:.2f}" for t in times])
plt.show()

# %% [markdown]
# *Figure: images on the way from a 3 to an 8: the mixture of the pixels, and the inverse images of mixtures of
# features, for the two invertible networks. Grey values are cut off at black and white.*
#
# **Reading the picture.** Both end points are exact up to rounding. In between, the i-ResNet shows nearly the cross-fade:
# its layers are the identity minus something smaller, and the inverse of a nearly linear map is nearly linear.
# The i-RevNet leaves the range of images: strokes of both digits, and noise around them.
# Neither path consists of digits. There is no reason why it should: nobody has told these features that a
# mixture of features should look like something. They were trained to separate classes.
# Meaningful interpolation needs a training that puts probability on images, which is what section 8 is about.

# %% [markdown]
# ## 8. How it reaches further: log-determinants and densities
#
# ### 8a. The series
# A map $\Phi$ carries a density along with the change of variables (notebook 06),
# $\log p(x) = \log q(\Phi(x)) + \log|\det D\Phi(x)|$. For an additive coupling the last term is zero.
# For a layer $x - F(x)$ with the Jacobian $J = DF(x)$, $\|J\| < 1$, it has a power series,
#
# $$\ln\det(I - J) = \mathrm{tr}\,\ln(I - J) = -\sum_{k=1}^{\infty} \frac{\mathrm{tr}(J^k)}{k}
#   \;\approx\; -\sum_{k=1}^{n} \frac{v^\top J^k v}{k}. \tag{11}$$
#
# (With a plus in the layer the signs alternate, as in equation 4 of Behrmann et al. 2019.) The last step is Hutchinson's:
# $\mathbb E[v^\top A v] = \mathrm{tr}\,A$ when the entries of $v$ have mean zero and are uncorrelated with variance one.
# And $v^\top J^k$ needs no matrix: $k$ vector-Jacobian products, each as cheap as a step of backpropagation.

# %% [markdown]
# ### Exercise 8.8 - A log-determinant without a determinant (3 points, ~12 min)
# Compute the right-hand side of (11), with the noise $v$ that is given.
#
# <details><summary>Hint 1 - a nudge</summary>
# How does $v^\top J^{k+1}$ follow from $v^\top J^k$?</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>torch.autograd.grad(value, x, w)</code> is $w^\top J$, for <code>value = residual(x)</code>. Start with
# <code>w = noise</code> and apply it once per term; the graph is needed again (<code>retain_graph</code>), also for
# gradients of the result (<code>create_graph</code>).</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>_, vjp = torch.func.vjp(residual, x)</code>; then for each k
# <code>w = vjp(w)[0]; total = total - (w * noise).flatten(1).sum(1) / k</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "log_det_series", "locked": false, "schema_version": 3, "solution": true, "task": false}
def log_det_series(residual, x, n_terms, noise):
    """Estimate `ln det(I - dF/dx)` for every sample with `n_terms` terms of (11).

    Args:
        residual: the function F; it treats the samples of a batch independently.
        x: where the derivative is taken, `(s, ...)`.   n_terms: at least 1.
        noise: the vectors v, of the shape of `x`, the same ones for all terms.
            `x` and `noise` are left as they are.

    Returns:
        One value per sample, `(s,)`; gradients flow through it to the weights of F.
    """
    ### BEGIN SOLUTION
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_log_det_series", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "log_det_series",
    points=3,
    answer=lambda: log_det_series,
    package=iresnet.log_det_series,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(88)
    A = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    A = 0.7 * A / torch.linalg.matrix_norm(A, 2)
    x = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    v = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    pictures, static = torch.randn(2, 2, 2, 3, 5, generator=generator, dtype=torch.float64)
    kernel = 0.1 * torch.randn(2, 2, 3, 3, generator=generator, dtype=torch.float64)

    def linear(x):  # J = A for every sample
        return x @ A.T

    def curved(x):
        return torch.sin(x @ A.T + 0.2)

    def convolved(x):
        return torch.nn.functional.elu(torch.nn.functional.conv2d(x, kernel, padding=1))

    def slope(function):  # the gradient by a matrix in F; 0 where none flows
        at = A.clone().requires_grad_()
        weighted = (function(at) * torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)).sum()
        return torch.autograd.grad(weighted + 0 * at.sum(), at)[0]

    checks.close(
        "one dimension: F(x) = x / 2, v = 1, three terms; F(x) = x / 4, v = 2, two terms",
        lambda: [
            log_det_series(lambda x: 0.5 * x, torch.full((1, 1), 3.0), 3, torch.ones(1, 1)),
            log_det_series(lambda x: 0.25 * x, torch.full((1, 1), 3.0), 2, torch.full((1, 1), 2.0)),
        ],
        [torch.tensor([-(0.5 + 0.25 / 2 + 0.125 / 3)]), torch.tensor([-(1.0 + 0.25 / 2)])],
    )
    checks.close(
        "a linear F with four features: six terms, and one, for three samples",
        lambda: [log_det_series(linear, x, 6, v), log_det_series(linear, x, 1, v)],
        [
            -sum(((v @ torch.matrix_power(A, k)) * v).sum(1) / k for k in range(1, 7)),
            -((v @ A) * v).sum(1),
        ],
    )
    checks.close(
        "a curved F, five terms: for three samples, and for the last two of them",
        lambda: [log_det_series(curved, x, 5, v), log_det_series(curved, x[1:], 5, v[1:])],
        [iresnet.log_det_series(curved, x, 5, v), iresnet.log_det_series(curved, x[1:], 5, v[1:])],
    )
    checks.close(
        "two images of two channels and 3 x 5 pixels, four terms",
        lambda: log_det_series(convolved, pictures, 4, static),
        iresnet.log_det_series(convolved, pictures, 4, static),
    )
    checks.close(
        "the gradient by a matrix in F",
        lambda: slope(lambda A: log_det_series(lambda x: torch.sin(x @ A.T + 0.2), x, 4, v)),
        slope(lambda A: iresnet.log_det_series(lambda x: torch.sin(x @ A.T + 0.2), x, 4, v)),
    )
    checks.close(
        "three terms; x and the noise afterwards, and whether they want gradients: they are left as they were",
        lambda: [given := [x.clone(), v.clone()], log_det_series(curved, *given[:1], 3, given[1]), given, [g.requires_grad for g in given]][1:],
        [iresnet.log_det_series(curved, x, 3, v), [x, v], [False, False]],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "all unit vectors as noise, fifty terms: the exact log-determinant",
        lambda: sum(
            log_det_series(curved, x, 50, e.expand(3, 4)) for e in torch.eye(4, dtype=torch.float64)
        ),
        iresnet.log_det_exact(curved, x),
        atol=1e-7,
    )
    checks.close(
        "images in float32, one sample, two terms",
        lambda: log_det_series(lambda x: 0.3 * torch.tanh(x.roll(1, -1) + x.flip(1)), pictures[:1].float(), 2, static[:1].float()),
        iresnet.log_det_series(lambda x: 0.3 * torch.tanh(x.roll(1, -1) + x.flip(1)), pictures[:1].float(), 2, static[:1].float()),
    )
    checks.close(
        "the gradient with respect to a factor of F",
        lambda: [
            scale_of := torch.tensor(0.8, dtype=torch.float64, requires_grad=True),
            log_det_series(lambda x: scale_of * curved(x), x, 4, v).sum().backward(),
            scale_of.grad,
        ][2],
        [
            scale_of := torch.tensor(0.8, dtype=torch.float64, requires_grad=True),
            iresnet.log_det_series(lambda x: scale_of * curved(x), x, 4, v).sum().backward(),
            scale_of.grad,
        ][2],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_log_det_series = check.yours(exercise)

# %% [markdown]
# How many terms are enough? If $\mathrm{Lip}(F) \le L$, what is left out after $n$ terms is at most
#
# $$d\,\Bigl(-\ln(1 - L) - \sum_{k=1}^{n} \frac{L^k}{k}\Bigr) \tag{12}$$
#
# in $d$ dimensions (after Behrmann et al. 2019, theorem 3). Hutchinson's spread comes on top.
# We look at one layer on $2 \times 3 \times 3 = 18$ numbers, where the exact determinant is cheap.

# %%
training.set_seed(5)
small = iresnet.InvertibleResidual(3, channels=2).double()
small.conv.weight.data.mul_(10)
small.conv.bias.data.add_(1)
small.normalize(0.8, 3)
point = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
terms = list(range(1, 21))
exact = iresnet.log_det_exact(small.residual, point).item()
draws = torch.randn(400, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
estimates = torch.stack(
    [my_log_det_series(small.residual, point.expand(400, 2, 3, 3), n, draws).detach() for n in terms]
)
units = 18**0.5 * torch.eye(18, dtype=torch.float64).view(18, 2, 3, 3)  # exact traces
traces = torch.stack(
    [my_log_det_series(small.residual, point.expand(18, 2, 3, 3), n, units).mean().detach() for n in terms]
)
bounds = [iresnet.log_det_truncation_bound(18, 0.8, n) for n in terms]
inside = all(abs(t - exact) <= b for t, b in zip(traces.tolist(), bounds))
z = (estimates[-1].mean() - traces[-1]) / (estimates[-1].std() / 20)
print(f"exact log-determinant {exact:.4f}; series with exact traces, 20 terms: {traces[-1]:.4f}")
print(f"every truncation error within the bound (12): {inside}")
print(f"mean of 400 estimates off by {abs(z):.1f} of its standard errors")

# %%
fig, axes = plt.subplots(1, 2, figsize=(10.5, 3.8))
spread = estimates.std(1)
axes[0].axhline(exact, color=plots.COLOURS["determinant"], lw=1.2, label="exact determinant")
axes[0].plot(terms, traces, "o-", color=plots.COLOURS["trace"], ms=4, label="series, exact traces")
low, high = estimates.mean(1) - spread / 10, estimates.mean(1) + spread / 10
axes[0].fill_between(terms, low, high, color=plots.COLOURS["hutchinson"], alpha=0.25, lw=0,
                     label="mean of 400 Hutchinson samples,\nplus and minus two standard errors")
axes[0].set(xlabel="number of terms", ylabel="$\\ln\\det(I - J)$", xticks=[1, 5, 10, 15, 20])
axes[0].margins(y=0.6)
axes[0].legend(fontsize=9, loc="upper right")
axes[1].semilogy(terms, (traces - exact).abs(), "o-", color=plots.COLOURS["trace"], ms=4, label="truncation error")
axes[1].semilogy(terms, bounds, "--", color="k", lw=1.2, label="bound (12)")
axes[1].semilogy(terms, spread, color=plots.COLOURS["hutchinson"], label="spread of one sample")
axes[1].set(xlabel="number of terms", ylabel="error", xticks=[1, 5, 10, 15, 20])
axes[1].legend(fontsize=9)
plt.show()

# %% [markdown]
# *Figure: left, the log-determinant of a small layer against the number of terms of the series; right, the truncation error, its
# bound, and the spread of Hutchinson's estimate.*
#
# **Reading the picture.** The truncation error falls by about the same factor per term, and stays below the bound.
# After a few terms it is far smaller than the spread of a single random sample: more terms do not help then, more samples do.
# Two different errors: the spread averages out over a batch; the truncation does not, it is a **bias**.

# %% [markdown]
# ### 8b. A density in the plane
# Ten lines turn the i-ResNet into a density model: a stack of layers $z - F(z)$, small fully connected $F$ with a
# smooth activation (ELU: the gradient of (11) needs second derivatives), normalised after each step, trained to make the data probable.
# In two dimensions the determinant itself is cheap, and we train with it, without bias.
# Then we ask what the series would have said.

# %% tags=["nbval-ignore-output"]
moons = toy.two_moons(3000, noise=0.08, generator=8).X
moons = moons[torch.randperm(3000, generator=torch.Generator().manual_seed(0))]
centre, width = moons.mean(0), moons.std(0)
learn, held_out = ((part - centre) / width for part in (moons[:2000], moons[2000:]))
training.set_seed(8)
flow = iresnet.iResNetDensity(dim=2, n_layers=16, width=32).normalize(0.99)
n_steps = scale.pick(quick=5, lesson=400, full=3000)
optimizer = torch.optim.Adam(flow.parameters(), lr=3e-2)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
pick = torch.Generator().manual_seed(1)
for _ in training.progress(range(n_steps), "density"):
    optimizer.zero_grad()
    batch = learn[torch.randint(len(learn), (256,), generator=pick)]
    (-flow.log_prob(batch).mean()).backward()
    optimizer.step()
    schedule.step()
    flow.normalize(0.99)
with torch.no_grad():
    gauss = torch.distributions.MultivariateNormal(learn.mean(0), learn.T.cov()).log_prob(held_out).mean()
    print(f"mean log-density of held-out points: {flow.log_prob(held_out).mean():.2f} (a Gaussian fitted to the same points: {gauss:.2f})")
    noise = [torch.randn(held_out.shape, generator=pick) for _ in flow.layers]
    for n_terms in (1, 2, 5, 10, 20, 40):
        print(f"  the same by the series with {n_terms:2d} terms: {flow.log_prob(held_out, n_terms, noise).mean():.2f}")
    base = torch.randn(2000, 2, generator=pick)
    drawn = flow.inverse(base, 200)
    print(f"largest error of the inverse at 2000 samples: {(flow(drawn) - base).abs().max():.0e}")

# %%
box = (-2.6, 2.6, -2.6, 2.6)
fig, axes = plt.subplots(1, 4, figsize=(12, 3.3), sharey=True)
plots.scatter(axes[0], held_out, s=4)
plots.density(axes[1], lambda x: flow.log_prob(x).exp(), box, n=100)
plots.scatter(axes[2], drawn, s=4)
with torch.no_grad():
    plots.scatter(axes[3], flow(held_out), s=4)
titles = ("data", "learned density", "samples: noise, carried back", "data, carried to the noise")
for ax, title in zip(axes, titles):
    ax.set(title=title, xlim=box[:2], ylim=box[2:], aspect="equal", xlabel="$x_1$")
axes[0].set_ylabel("$x_2$")
axes[3].set_xlabel("$z_1$")
plt.show()

# %% [markdown]
# *Figure: held-out points of the two moons, the learned density, samples drawn from it, and the data in the space of the noise.*
#
# **Reading the picture.** The density follows the two moons, unevenly, and gives held-out points a higher mean log-density
# than the Gaussian fitted to the same training points (printed above).
# It keeps a bridge between them:
# an invertible continuous map cannot tear the plane, so that what was connected stays connected.
# Each layer changes distances by factors between $1 - \rho$ and $1 + \rho$ only, so that sharp densities need many layers
# and a longer training than we have time for here (at full scale it is longer).
# The printed table shows the bias of a short series: with few terms it does not report the density that the network has.
# A network that is *trained* on such a report learns to please it; unbiased series exist (R. Chen et al., *Residual flows*, 2019).
# Notebook 06 moves probability with differential equations, where the determinant becomes a trace and no contraction is needed.

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_two_roads", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": true}
# ## 9. Two roads (Q17)
#
# ### Question 8.9 - By construction or by contraction? [Q17] (2 points, ~8 min)
# Explain the major differences between i-RevNets and i-ResNets, with the pros and cons of each.
# Refer to what you have measured in notebooks 07 and 08.
#
# ### BEGIN MARK SCHEME
# Two points for an answer that makes at least six of these points, with at least one pro and one con for each network;
# one point for at least three.
#
# * i-RevNet: the inverse is a formula, exact up to rounding, as cheap as the forward pass, for any weights.
# * i-RevNet: $F$ is arbitrary, with no Lipschitz limit and nothing to check during training.
# * i-RevNet: needs halves and mixing, an unusual architecture; each $F$ sees half of the channels (a third of the parameters here, and no worse).
# * i-RevNet: preserves volume, no use as a density without scaling; its inverse may be badly conditioned (deep stacks lose digits, interpolations leave the range of images).
# * i-ResNet: the usual residual architecture, all channels at once; only the training changes.
# * i-ResNet: forward map and inverse are Lipschitz with known constants ($1 + \rho$ and $1/(1-\rho)$ per layer), hence stable; training did not blow up.
# * i-ResNet: the inverse is iterative, 20 iterations and more per layer, and approximate; it exists only as long as the norms are controlled.
# * i-ResNet: norms have to be computed in every step (with the padding in mind), and the bound costs expressiveness: more layers for the same effect.
# * i-ResNet: changes volume, with a log-determinant that must be estimated by a series: densities are possible.
# * Both can recompute activations instead of storing them (memory), the one exactly, the other approximately.
#
# A full answer: **i-RevNet.** Invertible by its architecture. Pro: the inverse is a formula, exact up
# to rounding, costs as much as a forward pass, and holds for any weights and any $F$; nothing has to
# be watched in training; with a third of the parameters it was no worse than the plain network. Con:
# features must be split and mixed, each $F$ sees one half; volume is preserved, so it gives no
# flexible density by itself; nothing bounds the condition of the inverse: deep stacks lost digits,
# and the interpolation left the range of images.
#
# **i-ResNet.** Invertible by a bound on its weights. Pro: the usual residual network, only trained
# differently; map and inverse have known Lipschitz constants, so it is stable and did not blow up;
# volume changes, and the log-determinant has a series, so densities can be learned. Con: the inverse
# is an iteration, many evaluations per layer and never exact; the norm of every layer has to be
# computed in every step, with the right padding; a small Lipschitz constant makes each layer weak,
# training fits more slowly and accuracy suffers a little.
#
# Both allow activations to be recomputed instead of stored.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 8.9: double-click here and write.*

# %% [markdown]
# ## 10. Turn the knob
#
# **Full size.** Put `scale.use("full")` into the set-up cell, or set the environment variable
# `ODENETS_SCALE=full`: the same cells then learn from the first 500 training images of MNIST and are tested on its
# 10 000 test images, with five seeds. It takes a few minutes on a CPU.
# The next cell reads the stored table of what we measured in the same way, shows it next to your run, and what $\rho$ does.
# The command `python -m odenets.studies.invertible` makes that table, on one thread.

# %% tags=["nbval-ignore-output"]
measured = invertible.recorded()  # one row per network and seed


def column(quantity, net, rho=None):
    """The recorded values of a quantity over the seeds."""
    chosen = [row for row in measured if (row["net"], row.get("rho")) == (net, rho)]
    return torch.tensor([row[quantity] for row in chosen])


for name in ("ResNet", "i-ResNet", "i-RevNet"):
    values = column("accuracy", name, 0.85 if name == "i-ResNet" else None)
    yours = torch.tensor(accuracies[name])
    print(
        f"{name:9} MNIST {values.mean():.1%} ({values.min():.1%} to {values.max():.1%}), "
        f"your run on {dataset} {yours.mean():.1%} ({yours.min():.1%} to {yours.max():.1%})"
    )
print("the largest error of the inverse of 1000 images of MNIST, after 10 and 20 iterations per layer:")
after = [column(f"error_at_{k}", "ResNet").min() for k in (10, 20)]
print(f"ResNet: at least {after[0]:.1e} and {after[1]:.1e} with each of five seeds")
for value in invertible.RHOS:
    rates = column("accuracy", "i-ResNet", value)
    after = [column(f"error_at_{k}", "i-ResNet", value).max() for k in (10, 20)]
    print(f"i-ResNet, rho = {value:.2f}: at most {after[0]:.1e} and {after[1]:.1e}; its accuracy {rates.mean():.1%} on average")

# %% [markdown]
# Things to try: `padding_mode="circular"` (the norm is exact then, and the bound (4) nearly sharp);
# $\rho = 0.5$ and $\rho = 0.99$; the norm on 7 points in `normalize`, and whether the inverse still converges;
# $x + F(x)$ instead of $x - F(x)$.

# %% [markdown]
# ## Recap
#
# * A residual layer $x - F(x)$ is invertible if $F$ is a contraction; the iteration (3) gains a fixed number of digits per step.
# * The norm of a convolution is a maximum over frequencies (6). With zero padding take the grid of $N + k - 1$ points (7);
#   on $N$ points it is no bound, and a reshaped kernel is not even close.
# * Scaling after each step (8) keeps a network contractive, at a modest cost in time and accuracy.
# * The inverse converged as predicted (9); walks between features do not show digits, and why should they.
# * A power series of traces (11) replaces the determinant, with a bias and a spread; it makes i-ResNets density models.
#
# **Left out:** actnorm and multi-scale architectures for images, unbiased estimators of the series, spectral normalisation with momentum.
#
# **Read on:** Behrmann et al. 2019, sections 2 to 4; R. Chen, J. Behrmann, D. Duvenaud and J.-H. Jacobsen, *Residual flows for invertible
# generative modeling*, NeurIPS 2019, [arXiv 1906.02735](https://arxiv.org/abs/1906.02735).
#
# **Next:** [09 - Depth as a variable](../09_inimnet/09_inimnet.ipynb). **Densities:** [06 - Moving probability](../06_normalizing_flows/06_normalizing_flows.ipynb)
