# %% [markdown]
# # 10 - Predicting video at every depth
#
# **The question.** Notebook 09 made depth a variable.
# Is it good for anything? We let networks of all depths predict the frames of a film,
# look at their answers side by side, and ask for depths that were never trained.
#
# **Time** about 100 minutes - **points** 22 - **you need** notebook 09 (InImNet),
# convolutional networks, and a little mechanics.
#
# After this notebook you can
#
# 1. *hold out* a frame of a film so that it is really held out,
# 2. *simulate* colliding balls that keep momentum and energy,
# 3. *build* a network that predicts a code at any time with all its depths at once,
# 4. *ask* a network with coupled weights for depths that it was never trained for,
# 5. *train* a convolutional InImNet end to end,
# 6. *read* a table of errors by depth, and *say* where depth stops helping.
#
# **Sources.** A. Corbett and D. Kangin, *Imbedding deep neural networks*, ICLR 2022,
# [arXiv 2202.00113](https://arxiv.org/abs/2202.00113): the experiments of sections 4.1, 4.2 and F.4.
# F. P. Casale et al., *Gaussian process prior variational autoencoders*, NeurIPS 2018, and
# C. Yildiz, M. Heinonen, H. Lahdesmaki, *ODE2VAE*, NeurIPS 2019,
# [arXiv 1905.10994](https://arxiv.org/abs/1905.10994): rotating digits.
# I. Sutskever, G. Hinton, G. Taylor, *The recurrent temporal restricted Boltzmann machine*,
# NeurIPS 2008: bouncing balls.

# %%
import importlib.util
from dataclasses import replace
import matplotlib.pyplot as plt
import numpy as np
import torch
if importlib.util.find_spec("odenets") is None:  # on Colab: install the course's package
    get_ipython().run_line_magic("pip", "install -q git+REPOSITORY#subdirectory=course")
from odenets import check, plots, scale, training
from odenets.data import video
from odenets.nets import inimnet
from odenets.studies import video as study
scale.use("lesson")
plots.style()
training.set_seed(0)

# %% [markdown]
# ## 1. Two kinds of films
#
# *Rotating digits*: a handwritten 3 turns once around in 16 frames.
# The network sees the first frame only and has to draw all the others.
#
# *Bouncing balls*: three balls in a box, 20 frames.
# The network sees three frames (from one frame nobody could tell a velocity)
# and has to draw the next ten.
#
# Both are made here, from a seed. The digits come from scikit-learn, or from MNIST at full scale.
# The scenes below are there to be looked at; sections 5 and 7 make their own, for training.

# %%
digits = scale.pick(quick="digits", lesson="digits", full="mnist")
n_train, n_test = scale.pick(quick=(60, 20), lesson=(123, 60), full=(500, 542))
turning, turning_test = study.rotating_videos(digits, digit=3, n_train=n_train, n_test=n_test)
scenes, _ = study.balls_videos(8, n_test=0)
print("rotating digits:", len(turning), "videos for training and", len(turning_test), "for testing, each", " x ".join(map(str, turning.shape[1:])))
print("bouncing balls: ", len(scenes), "scenes to look at, each", " x ".join(map(str, scenes.shape[1:])))

# %%
fig = plots.image_rows({f"digit {k + 1}": turning[k] for k in range(2)}, titles=[str(k) for k in range(16)], width=7.5)
plt.show()
fig = plots.image_rows({f"scene {k + 1}": scenes[k, :16] for k in range(2)}, titles=[str(k) for k in range(16)], width=7.5)
plt.show()

# %% [markdown]
# *Figure: two rotating digits, all 16 frames, and the first 16 frames of two scenes with bouncing balls;
# the numbers count the frames.*

# %%
fig, axes = plt.subplots(2, 3, figsize=(1.6, 1.1))
for ax in axes.flat:
    ax.set_axis_off()
shown = [ax.imshow(np.zeros((2, 2)), cmap="gray", vmin=0, vmax=1, interpolation="nearest") for ax in axes.flat]


def draw(k):
    for j in range(3):
        shown[j].set(data=turning[j, k].numpy(), extent=(0, 1, 0, 1))
        shown[3 + j].set(data=scenes[j, k].numpy(), extent=(0, 1, 0, 1))


plots.animate(fig, draw, n_frames=16, interval=120, alt="three digits that turn and three boxes with three balls each", zoom=3)

# %% [markdown]
# *Animation: the same as films, 16 frames each.*
#
# **Reading the pictures.** The digit turns counter-clockwise by 22.5 degrees from frame to frame;
# after 16 of them it would be back.
# The balls move on straight lines until they meet a wall or each other.

# %% [markdown]
# ## 2. A frame that is really held out
#
# How good is a network at a time that it was never trained on?
# Frame 4 of the digits (the first one is number 0) is a quarter of the whole turn. It is **held out**:
# it is never compared with a prediction during training, for no video.
# Of the others three are dropped at random from each video, anew in each step,
# so that the network sees many different gaps.
# A *mask* says for each frame of a video whether it is trained on.

# %% [markdown]
# ### Exercise 10.1 - An honest mask (3 points, ~8 min)
# Draw a mask: False at the held-out frame, False at `n_random` further frames, all different,
# and True everywhere else. All frames but the held-out one have the same chance to be dropped.
# Everything of `torch` is allowed.
#
# <details><summary>Hint 1 - a nudge</summary>
# How many True does the mask hold? If your count varies from call to call, a frame was drawn twice,
# or the held-out frame was drawn.</details>
# <details><summary>Hint 2 - the idea</summary>
# Make a list of the other frames, bring it into a random order, and drop the first few of it.
# <code>torch.randperm(n, generator=generator)</code> is a random order.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Start with <code>mask = torch.ones(n_frames, dtype=torch.bool)</code> and set the held-out entry to False.
# <code>others = mask.nonzero()[:, 0]</code>; set
# <code>mask[others[order[:n_random]]] = False</code> with an <code>order</code> of <code>len(others)</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "frame_mask", "locked": false, "schema_version": 3, "solution": true, "task": false}
def frame_mask(n_frames, held_out, n_random, generator):
    """Draw which frames of one video are trained on.

    Args:
        n_frames: length of the video.
        held_out: index of the frame that is never trained on, 0 for the first.
        n_random: exactly so many of the other frames are dropped too, at most
            `n_frames - 1`; they are drawn anew at each call.
        generator: a `torch.Generator`, the only source of chance.

    Returns:
        Booleans `(n_frames,)`, True where a frame is trained on.
    """
    ### BEGIN SOLUTION
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    others = mask.nonzero()[:, 0]
    order = torch.randperm(len(others), generator=generator)
    mask[others[order[:n_random]]] = False
    return mask
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_frame_mask", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "frame_mask",
    points=3,
    answer=lambda: frame_mask,
    package=video.frame_mask,
    further=3,
)
def exercise(checks):
    def seeded(seed):
        return torch.Generator().manual_seed(seed)

    def many(count, n_frames=16, held_out=4, n_random=3, seed=1):  # drawn one after the other
        generator = seeded(seed)
        return torch.stack([frame_mask(n_frames, held_out, n_random, generator) for _ in range(count)])

    checks.equal(
        "6 frames, frame 2 held out and no other dropped; 4 frames, frame 1 held out and all others dropped",
        lambda: [frame_mask(6, 2, 0, seeded(0)), frame_mask(4, 1, 3, seeded(0))],
        [torch.tensor([True, True, False, True, True, True]), torch.zeros(4, dtype=torch.bool)],
    )
    checks.equal(
        "200 masks of 16 frames with 3 dropped: the numbers of frames left, how often the held-out one is among them",
        lambda: [masks := many(200), sorted({int(row.sum()) for row in masks}), int(masks[:, 4].sum())][1:],
        [[12], 0],
    )
    checks.equal(
        "50 masks of 5 frames with 2 dropped: how often the first, then the last one is trained on when it is held out",
        lambda: [int(many(50, 5, 0, 2)[:, 0].sum()), int(many(50, 5, 4, 2)[:, 4].sum()), int(many(50, 5, 4, 2).sum())],
        [0, 0, 100],
    )
    checks.between(
        "how often each of the other 15 frames is dropped in 600 masks, 3 in each",
        lambda: [600 - int(count) for k, count in enumerate(many(600, seed=2).sum(dim=0)) if k != 4],
        80,
        160,
    )
    checks.at_least(
        "drawn anew at each call: the number of different masks among 200",
        lambda: len({tuple(row.tolist()) for row in many(200)}),
        100,
    )
    checks.equal(
        "the generator is the only source of chance: the same seed gives the same 20 masks, another seed others",
        lambda: [
            list(many(20, seed=5).shape),
            torch.equal(many(20, seed=5), many(20, seed=5)),
            torch.equal(many(20, seed=5), many(20, seed=6)),
        ],
        [[20, 16], True, False],
    )
    ### BEGIN HIDDEN TESTS
    checks.between(
        "how often each of the other frames is dropped when the first one is held out, 400 masks with 2 of 8",
        lambda: [400 - int(count) for count in many(400, 9, 0, 2, seed=3).sum(dim=0)[1:]],
        60,
        140,
    )
    checks.equal(
        "100 masks with 7 of 11 dropped: the numbers of frames left",
        lambda: sorted({int(row.sum()) for row in many(100, 12, 11, 7, seed=4)}),
        [4],
    )
    checks.equal(
        "one frame and nothing to drop; two frames",
        lambda: [frame_mask(1, 0, 0, seeded(1)), frame_mask(2, 0, 0, seeded(1)), frame_mask(2, 1, 1, seeded(1))],
        [torch.tensor([False]), torch.tensor([False, True]), torch.tensor([False, False])],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_frame_mask = check.yours(exercise)

# %% [markdown]
# Why so much ado about a mask? In the code that was published with the paper the frames to drop are
# one-hot vectors. It adds up $1 - \text{one-hot}$ over the four frames and keeps what is greater than 0.
# Four frames are added up: what is left where one of them was dropped?

# %%
def published_mask(n_frames, held_out, n_random, generator):
    others = torch.tensor([k for k in range(n_frames) if k != held_out])
    drawn = others[torch.randperm(len(others), generator=generator)[:n_random]]
    one_hot = torch.nn.functional.one_hot(torch.cat([torch.tensor([held_out]), drawn]), n_frames)
    return (1 - one_hot).sum(dim=0) > 0


generator = torch.Generator().manual_seed(3)
honest = torch.stack([my_frame_mask(16, 4, 3, generator) for _ in range(8)])
published = torch.stack([published_mask(16, 4, 3, generator) for _ in range(8)])
fig, axes = plt.subplots(1, 2, figsize=(9, 2.7), sharey=True)
for ax, mask, title in zip(axes, (honest, published), ("an honest mask", "the published arithmetic")):
    ax.imshow(mask.numpy(), cmap="gray", vmin=-0.5, vmax=1.2, aspect="auto")
    ax.axvspan(3.5, 4.5, fill=False, ec=plots.RED, lw=2)
    ax.set(xlabel="frame", title=title, xticks=range(0, 16, 2), yticks=range(8))
    ax.grid(False)
axes[0].set_ylabel("video")
plt.show()
print("frames trained on, of 16: ", honest.sum(dim=1).tolist(), "honest,", published.sum(dim=1).tolist(), "published")

# %% [markdown]
# *Figure: the masks of eight videos; bright frames are trained on. The coloured box is the held-out frame.*
#
# **Reading the picture.** On the right nothing is dark. The sum is 3 where a frame was dropped and 4 elsewhere,
# and both are greater than 0: **all frames are trained on**, the held-out one included.
# The published errors of InImNet at the "held-out" frame are then errors at a time that was trained on.
# It is a mistake that no error message ever shows; only a test does.
# Keep it in mind when you see those numbers in section 8.

# %% [markdown]
# ## 3. Balls that bounce
#
# Between two frames the balls make two small moves. After each one the walls are looked at
# (a velocity that points outwards is turned inwards), and then each pair of balls.
# All balls have the same mass. Two discs at $x_i$, $x_j$ that touch exchange the parts of their velocities
# along the line of their centres,
#
# $$n = \frac{x_i - x_j}{\|x_i - x_j\|}, \qquad a = (v_i - v_j) \cdot n, \qquad
# v_i \leftarrow v_i - a\, n, \quad v_j \leftarrow v_j + a\, n. \tag{1}$$
#
# What is perpendicular to the line stays. They approach each other if $a < 0$;
# a pair that is flying apart already must be left alone.

# %% [markdown]
# ### Exercise 10.2 - Elastic collisions (4 points, ~12 min)
# Return the velocities after all collisions. Take the pairs one after the other,
# each with the velocities that the pairs before it have left.
# Momentum and energy stay what they were. Everything of `torch` is allowed, nothing of `video`.
#
# <details><summary>Hint 1 - a nudge</summary>
# Two loops over the balls, with each pair only once. Two discs touch when their centres are nearer than two radii.</details>
# <details><summary>Hint 2 - the idea</summary>
# Work on a copy of the velocities, and read from the copy: a ball may collide twice.
# The direction <code>n</code> has length 1.</details>
# <details><summary>Hint 3 - almost the code</summary>
# For <code>i</code> and <code>j &lt; i</code>: <code>line = x[i] - x[j]</code>, <code>distance = line.norm()</code>,
# <code>n = line / distance</code>, <code>a = (v[i] - v[j]) @ n</code>. If <code>distance &lt; 2 * radius and a &lt; 0</code>:
# <code>v[i] = v[i] - a * n</code> and <code>v[j] = v[j] + a * n</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "collide", "locked": false, "schema_version": 3, "solution": true, "task": false}
def collide(x, v, radius):
    """Return the velocities after elastic collisions between equal discs, equation (1).

    Args:
        x: positions of the centres, `(n, 2)`, no two of them equal.
        v: velocities, `(n, 2)`; left unchanged.
        radius: of each disc. Only pairs nearer than `2 * radius` that approach each
            other collide; pairs are treated one after the other, in any order.

    Returns:
        New velocities `(n, 2)`, dtype of `v`.
    """
    ### BEGIN SOLUTION
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            distance = line.norm()
            n = line / distance
            a = (v[i] - v[j]) @ n
            if distance < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_collide", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "collide",
    points=4,
    answer=lambda: collide,
    package=video.collide,
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(22)
    crowd_x = 3 * torch.rand(6, 2, generator=generator, dtype=torch.float64)
    crowd_v = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    head_on = torch.tensor([[4.0, 5.0], [6.0, 5.0]]), torch.tensor([[1.0, 0.3], [-0.5, 0.1]])
    oblique = torch.tensor([[0.0, 0.0], [1.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    both = torch.tensor([[4.0, 5.0], [14.0, 5.0], [5.0, 5.0], [16.0, 5.0]])

    def energy_and_momentum(v):
        return [(v**2).sum() / 2, v.sum(dim=0)]

    checks.close(
        "head-on, radius 1.2, centres 2.0 apart, along the first and along the second axis: the parts along the line are exchanged",
        lambda: [collide(head_on[0], head_on[1].clone(), 1.2), collide(head_on[0].flip(1), 2 * head_on[1].flip(1), 1.2)],
        [torch.tensor([[-0.5, 0.3], [1.0, 0.1]]), torch.tensor([[0.6, -1.0], [0.2, 2.0]])],
    )
    checks.close(
        "oblique: one ball at rest, the line of centres along (1, 2)",
        lambda: collide(oblique[0], oblique[1].clone(), 1.2),
        torch.tensor([[0.8, -0.4], [0.2, 0.4]]),
    )
    checks.close(
        "a near pair that flies apart is left alone, another pair meets head-on",
        lambda: collide(both, torch.tensor([[-1.0, 0.0], [1.0, 0.3], [1.0, 0.0], [-0.5, 0.1]]), 1.2),
        torch.tensor([[-1.0, 0.0], [-0.5, 0.3], [1.0, 0.0], [1.0, 0.1]]),
    )
    checks.close(
        "centres 2.0 apart with the radii 0.9 and 1.1: only the second pair touches; 0.5 apart with radius 0.2: none does",
        lambda: [collide(head_on[0], head_on[1].clone(), radius) for radius in (0.9, 1.1)]
        + [collide(head_on[0] / 4, head_on[1].clone(), 0.2)],
        [torch.tensor([[1.0, 0.3], [-0.5, 0.1]]), torch.tensor([[-0.5, 0.3], [1.0, 0.1]]), torch.tensor([[1.0, 0.3], [-0.5, 0.1]])],
    )
    checks.close(
        "a crowd of six: energy and momentum after many collisions, and whether velocities have changed",
        lambda: [new := collide(crowd_x, crowd_v.clone(), 1.2), *energy_and_momentum(new), bool((new - crowd_v).abs().max() > 0.5)][1:],
        [*energy_and_momentum(crowd_v), True],
    )
    checks.close(
        "the new velocities, and the given ones: they are left unchanged",
        lambda: [kept := oblique[1].clone(), collide(oblique[0], kept, 1.2), kept][1:],
        [torch.tensor([[0.8, -0.4], [0.2, 0.4]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])],
    )
    checks.close(
        "two pairs, far from each other",
        lambda: collide(torch.tensor([[0.0, 0.0], [9.0, 9.0], [0.0, 1.5], [9.0, 7.5]]), torch.tensor([[0.2, 1.0], [0.1, 0.0], [0.0, -1.0], [0.3, 0.5]]), 0.8),
        torch.tensor([[0.2, -1.0], [0.1, 0.5], [0.0, 1.0], [0.3, 0.0]]),
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "from a moving train the collisions look the same",
        lambda: [
            (collide(crowd_x, crowd_v + 3, 1.0) - collide(crowd_x, crowd_v.clone(), 1.0) - 3).abs().max() < 1e-9,
            (collide(crowd_x, crowd_v.clone(), 1.0) - crowd_v).abs().max() > 0.5,
        ],
        [torch.tensor(True), torch.tensor(True)],
    )
    checks.close(
        "an oblique pair in float64, the second ball faster",
        lambda: collide(torch.tensor([[1.0, 0.0], [0.0, 0.5]]).double(), torch.tensor([[0.0, 1.0], [3.0, 1.0]]).double(), 0.6),
        torch.tensor([[2.4, -0.2], [0.6, 2.2]], dtype=torch.float64),
    )
    checks.close(
        "a single ball, and a pair",
        lambda: [collide(crowd_x[:1], crowd_v[:1].clone(), 1.2), collide(head_on[0], head_on[1].clone(), 1.5)],
        [crowd_v[:1], torch.tensor([[-0.5, 0.3], [1.0, 0.1]])],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_collide = check.yours(exercise)

# %% [markdown]
# The package moves whole batches of scenes at once (`video.ball_paths`).
# The original generator of these films does not ask whether a pair approaches, and turns around again
# a pair that is still too near one move after its collision. The films of this notebook keep that rule,
# so that they are the same kind of data. Here your rule moves the balls: we follow one scene for a long time.
#
# *Predict first:* which of the two, the energy or the momentum, survives a wall?

# %%
def scene(x, v, n_frames):
    """Follow balls from positions and velocities `(n, 2)`; return those of all frames."""
    frames = [(x, v)]
    for _ in range(n_frames - 1):
        for _ in range(video.SUB_STEPS):
            x = x + v / video.SUB_STEPS
            v = torch.where(x < video.RADIUS, v.abs(), v)
            v = torch.where(x > video.BOX - video.RADIUS, -v.abs(), v)
            v = my_collide(x, v, video.RADIUS)
        frames.append((x, v))
    return map(torch.stack, zip(*frames))


start, speeds = video.ball_paths(1, 1, generator=torch.Generator().manual_seed(5))
x, v = scene(start[0, 0], speeds[0, 0], 120)
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.3), width_ratios=(1, 1.6))
for k, colour in enumerate(plots.PALETTE[:3]):
    left.plot(x[:41, k, 1], x[:41, k, 0], ".-", ms=3, lw=1, color=colour)
    left.add_patch(plt.Circle(x[40, k].flip(0).tolist(), video.RADIUS, color=colour, alpha=0.3))
left.set(xlim=(0, 10), ylim=(10, 0), aspect="equal", title="the first 40 frames", xlabel="second coordinate", ylabel="first coordinate")
momentum = v.sum(dim=1).norm(dim=1)
right.plot(v.square().sum(dim=(1, 2)) / 2, color=plots.BLUE, label="energy")
right.plot(momentum, color=plots.ORANGE, label="length of the momentum")
right.set(xlabel="frame", ylim=(0, 1.05), title="what is conserved")
right.legend(loc="upper right", ncols=2)
plt.show()
drift = (v.square().sum(dim=(1, 2)) - video.SPEED**2).abs().max()
print("energy is the same in all frames, up to 1e-12:", bool(drift < 1e-12))

# %% [markdown]
# *Figure: left, the centres of three balls for 40 frames, with the discs where they end;
# right, energy and momentum of the scene.*
#
# **Reading the picture.** The energy never changes. The momentum is a staircase:
# constant during flights and through collisions of two balls, with a step at each wall, which takes up the difference.

# %% [markdown]
# ## 4. A network for all depths and all times
#
# The film is predicted in three parts:
#
# $$\text{first frames} \xrightarrow{\;\text{encoder}\;} x \in \mathbb R^d
# \xrightarrow{\;\text{InImNet at }(x, t)\;} z_0, z_1, \dots, z_L
# \xrightarrow{\;\text{decoder}\;} \text{the frame at time } t, \text{ by each depth}.$$
#
# Encoder and decoder are ordinary convolutional networks, and they are given.
# In the middle is InImNet of notebook 09, on the state $u = (x, t)$, a code with the time as one more coordinate:
#
# $$z_{l+1}(u) = z_l(u) + \frac{\partial z_l}{\partial u}(u)\, \varphi_{l+1}(u), \qquad z_0(u) = u, \qquad l = 0, \dots, L - 1. \tag{2}$$
#
# Of each $z_l$ we keep the code and drop the last coordinate.
# In the notation of the paper, depth $l$ is $p = -l$ and the output is read at $q = 0$.
# Note what $z_0$ is: the code itself, whatever $t$ is. **Depth 0 does not know the time.**

# %% [markdown]
# ### Exercise 10.3 - InImNet on codes (5 points, ~15 min)
# Build the middle part. The recursion is given: `inimnet.inimnet_forward_parts(phis, u)` returns the list
# $z_0(u), \dots, z_L(u)$, where `phis[0]` is $\varphi_1$.
# So is the field: `inimnet.DenseField(dim, width)` maps `(s, dim)` to `(s, dim)`.
# With *coupled* weights one and the same $\varphi$ serves all layers.
# Of `inimnet` the functions of notebook 09 and `DenseField` are allowed, its classes of networks are not.
#
# <details><summary>Hint 1 - a nudge</summary>
# How many numbers does the field see, and how many does it return? The state has one coordinate more than the code.</details>
# <details><summary>Hint 2 - the idea</summary>
# With coupled weights the module owns one field, and the list for the recursion holds it <code>depth</code> times.
# A plain Python list of fields would not be found by an optimiser: use <code>torch.nn.ModuleList</code>.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>u = torch.cat([x, t[:, None]], dim=1)</code>; the layers are <code>[self.phis[0]] * self.depth</code>
# or <code>list(self.phis)</code>; then <code>torch.stack</code> what the recursion returns, and
# keep <code>[..., :-1]</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "LatentInImNet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class LatentInImNet(torch.nn.Module):
    """Where a latent code is at time t, predicted by the networks of all depths.

    Args:
        latent_dim: size d of the code.   width: hidden units of each field.
        depth: number L of layers.
        coupled: one field for all layers.

    Attributes:
        phis: a `torch.nn.ModuleList` of `inimnet.DenseField`s for states of size d + 1,
            phi_1 first: L of them, or a single one with coupled weights. They are all
            the parameters that there are.
    """

    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        ### BEGIN SOLUTION
        self.depth, self.coupled = depth, coupled
        count = 1 if coupled else depth
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(count))
        ### END SOLUTION

    def forward(self, x, t):
        """Map codes `x (s, d)` and times `t (s,)` to predictions `(L + 1, s, d)`."""
        ### BEGIN SOLUTION
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_LatentInImNet", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "LatentInImNet",
    points=5,
    answer=lambda: LatentInImNet,
    package=(inimnet.LatentInImNet, inimnet.InImNet),
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(30)
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    t = torch.rand(5, generator=generator, dtype=torch.float64)

    def filled(model, seed=31):  # weights that do not depend on how they were drawn
        generator = torch.Generator().manual_seed(seed)
        model = model.double()
        with torch.no_grad():
            for weights in model.phis.parameters():
                weights.copy_(0.5 * torch.randn(weights.shape, generator=generator, dtype=torch.float64))
        return model

    def sizes(model):  # and what the model says in float32
        return [len(model.phis), sum(weights.numel() for weights in model.parameters()), filled(model).float()(x.float(), t.float())]

    def influence(model, depth, layer):  # of the weights of one layer on the output of one depth
        weights = list(model.phis[layer].parameters())
        grads = torch.autograd.grad(model(x, t)[depth].square().sum(), weights, allow_unused=True)
        return sum(0.0 if grad is None else grad.abs().sum().item() for grad in grads)

    reference = filled(inimnet.LatentInImNet(3, 8, 3))
    checks.close(
        "all depths of networks with given weights, depth 3 and depth 2",
        lambda: [filled(LatentInImNet(3, 8, 3))(x, t), filled(LatentInImNet(3, 8, 2), 32)(x, t)],
        [reference(x, t), filled(inimnet.LatentInImNet(3, 8, 2), 32)(x, t)],
    )
    checks.close(
        "the same with coupled weights",
        lambda: [filled(LatentInImNet(3, 8, 3, coupled=True))(x, t), filled(LatentInImNet(3, 8, 2, coupled=True), 32)(x, t)],
        [
            filled(inimnet.LatentInImNet(3, 8, 3, coupled=True))(x, t),
            filled(inimnet.LatentInImNet(3, 8, 2, coupled=True), 32)(x, t),
        ],
    )
    checks.close(
        "depth 3, coupled and not: the numbers of fields and of parameters, and the predictions in float32",
        lambda: [sizes(LatentInImNet(3, 8, 3, coupled=True)), sizes(LatentInImNet(3, 8, 3))],
        [[1, 76, sizes(inimnet.LatentInImNet(3, 8, 3, coupled=True))[2]], [3, 228, sizes(inimnet.LatentInImNet(3, 8, 3))[2]]],
    )
    checks.close(
        "depth 0 is the code itself, depth 1 is not",
        lambda: filled(LatentInImNet(3, 8, 1))(x, t),
        torch.stack([x, filled(inimnet.LatentInImNet(3, 8, 1))(x, t)[1]]),
    )
    checks.close(
        "the times belong to their codes: both in another order",
        lambda: filled(LatentInImNet(3, 8, 3))(x.flip(0), t.flip(0)),
        reference(x, t).flip(1),
    )
    checks.close(
        "the influence of each layer's weights on the depths 2 and 3",
        lambda: [[influence(filled(LatentInImNet(3, 8, 3)), depth, layer) for layer in range(3)] for depth in (2, 3)],
        [[influence(reference, depth, layer) for layer in range(3)] for depth in (2, 3)],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "one code, another width",
        lambda: filled(LatentInImNet(3, 5, 1, coupled=False), 33)(x[:1], t[:1]),
        filled(inimnet.LatentInImNet(3, 5, 1), 33)(x[:1], t[:1]),
    )
    checks.close(
        "float32 stays float32, codes of size 2",
        lambda: filled(LatentInImNet(2, 8, 2)).float()(x[:, 1:].float(), t.float()),
        filled(inimnet.LatentInImNet(2, 8, 2)).float()(x[:, 1:].float(), t.float()),
    )
    checks.close(
        "coupled, depth 4",
        lambda: filled(LatentInImNet(3, 8, 4, True))(x, t),
        filled(inimnet.LatentInImNet(3, 8, 4, True))(x, t),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
MyLatentInImNet = check.yours(exercise)

# %% [markdown]
# Before the films, your network alone, on codes of two numbers that turn with the time:
# the code at time $t$ is the code at time 0, turned by $\pi t$ radians. All depths are trained together.

# %%
def turned(x, t):
    cos, sin = torch.cos(torch.pi * t), torch.sin(torch.pi * t)
    return torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], dim=1)


def codes_and_times(count, generator):
    return torch.randn(count, 2, generator=generator), torch.rand(count, generator=generator)


training.set_seed(4)
codes_net = MyLatentInImNet(2, 32, 3)
optimizer = torch.optim.Adam(codes_net.parameters(), lr=1e-2)
generator = torch.Generator().manual_seed(4)
for _ in training.progress(range(scale.pick(quick=3, lesson=800, full=4000)), "turning codes"):
    x, t = codes_and_times(128, generator)
    optimizer.zero_grad()
    (codes_net(x, t) - turned(x, t)).square().mean().backward()
    optimizer.step()
x, t = codes_and_times(2000, generator)
with torch.no_grad():
    code_errors = (codes_net(x, t) - turned(x, t)).square().mean(dim=(1, 2))
if scale.current() != "quick":
    print(f"mean squared error at depth 0: {code_errors[0]:.1f}")
    print("depth 1, 2 and 3 each have less than a tenth of it:", bool((code_errors[1:] < code_errors[0] / 10).all()))
    print("depth 2 and 3 have less than half the error of depth 1:", bool((code_errors[2:] < code_errors[1] / 2).all()))

# %% [markdown]
# **Reading the numbers.** Depth 0 returns the code as it came, which is right at $t = 0$ only: an error of 2, the mean of
# $|x|^2\,(1 - \cos \pi t)$ over times and entries. One layer knows the time, and the second one improves on it.
#
# Now the films. The package's `inimnet.VideoInImNet` puts encoder, `LatentInImNet` and decoder together,
# and `study.train` trains it: the mean squared error of all depths together, AdamW,
# and a running mean of the weights. For the digits time runs on a circle: the field sees
# $\cos$ and $\sin$ of the angle instead of $t$, since frame 16 would be frame 0 again.
# Training videos are stretched and slanted a little at random (`study.deform_digits`), frame by frame, so that
# nothing of the held-out frame gets into another one. The weights are coupled, for the sake of section 6.
# At lesson scale the decoder is a small perceptron, because the convolutions that draw at full scale
# would take too long on a processor.
#
# *Predict first:* what will depth 0 draw, which does not know the time?

# %%
task = study.TASKS["rotating"]
settings = scale.pick(
    quick=study.Settings(latent_dim=8, width=16, channels=8, dense_decoder=16, batch=4, steps=2, coupled=True),
    lesson=study.Settings(latent_dim=16, width=32, channels=8, dense_decoder=256, batch=8, steps=1200, lr=3e-3, augment=0.1, decay=0.98, coupled=True),
    full=replace(study.FULL["rotating"], coupled=True),
)
device = training.pick_device("cpu" if scale.current() != "full" else None)
digits_net = study.train(task, settings, turning, device, desc="digits").model
test_errors = study.errors(digits_net, task, turning_test.to(device), range(16)).numpy()
if scale.current() != "quick":
    ratio = test_errors[0, 4] / test_errors[1:, 4]
    print("held-out frame: depth 1 to 4 at least twice as good as depth 0:", bool((ratio >= 2).all()))
    print(f"mean squared error at depth 0: {test_errors[0, 4]:.2f}")

# %%
def red_box(fig, column, size):
    """Frame one column of a figure that `plots.image_rows` has made."""
    for ax in fig.axes:
        ax.add_patch(plt.Rectangle((column * (size + 2) - 1, -0.5), size + 2, size + 1, fill=False, ec=plots.RED, lw=2, clip_on=False))


@torch.no_grad()
def films(net, task, videos, frames, depth=None):
    """Return the predicted frames of each video, by depth: `(depth + 1, s, k, h, w)`."""
    times = task.times(torch.as_tensor(frames)).expand(len(videos), -1)
    return net(videos[:, : task.n_context].to(device), times.to(device), depth).cpu()


for name, videos in {"training": turning, "test": turning_test}.items():
    predicted = films(digits_net, task, videos[3:4], range(0, 16, 2))
    rows = {"truth": videos[3, ::2]} | {f"p = {-depth}" if depth else "p = 0": predicted[depth, 0] for depth in range(5)}
    fig = plots.image_rows(rows, titles=[str(k) for k in range(0, 16, 2)], width=5.8)
    red_box(fig, 2, 28)
    fig.suptitle(f"a {name} video", x=0.02, ha="left")
    plt.show()

# %% [markdown]
# *Figure: a digit from the training videos, and one from the test videos: the truth, and the predictions by all depths p = 0, -1, .., -4, every second frame.
# The coloured box is the frame that was held out.*

# %%
predicted = films(digits_net, task, turning_test[:2], range(16))
fig, axes = plt.subplots(2, 2, figsize=(1.45, 1.2))
for ax, name in zip(axes[:, 0], ("truth", "p = -4")):
    ax.set_ylabel(name)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
shown = [ax.imshow(np.zeros((28, 28)), cmap="gray", vmin=0, vmax=1, interpolation="nearest") for ax in axes.flat]


def draw(k):
    for j in range(2):
        shown[j].set_data(turning_test[j, k].numpy())
        shown[2 + j].set_data(predicted[4, j, k].numpy())


plots.animate(fig, draw, n_frames=16, interval=120, alt="two test digits that turn, above the truth and below the prediction", zoom=3)

# %% [markdown]
# *Animation: two test digits, the truth above and the prediction of depth 4 below.*
#
# **Reading the pictures.** Depth 0 draws the same smudge at all times, the mean over all angles:
# that is the best answer of one who does not know the time.
# One layer is enough to turn the digit, and the next ones change little.
# The held-out frame is there, too: frame 4 was never shown to the network,
# but it has learned how digits turn. At this scale it draws a typical three rather than this very one.

# %%
fig, ax = plt.subplots(figsize=(7.5, 3.6))
shades = plt.cm.viridis(np.linspace(0, 0.85, 5))
for depth in range(5):
    ax.semilogy(range(16), test_errors[depth], ".-", color=shades[depth], label=f"p = {-depth}" if depth else "p = 0")
ax.axvspan(3.5, 4.5, color=plots.RED, alpha=0.15)
ax.text(4, 1.15 * test_errors.max(), "held out", color=plots.RED, ha="center", va="bottom")
ax.set(xlabel="frame", ylabel="mean squared error per pixel", ylim=(None, 1.5 * test_errors.max()))
ax.legend(ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# *Figure: errors by frame on the test videos, for each depth.*
#
# **Reading the picture.** The curves of the depths 1 to 4 lie nearly on each other, far below depth 0.
# They have a peak at the held-out frame. That peak is what an honest mask is for:
# it is the difference between remembering and knowing.

# %% [markdown]
# ## 5. Bouncing balls at all depths
#
# The same network, with three frames as its input, draws the next ten.
# At lesson scale we make it easy, so that it is learned in a minute: one ball, 16 x 16 pixels.
# A scene of three balls has to pass through the code as well, all positions and velocities of it,
# and that takes far more videos and steps; at full scale there are three balls in 32 x 32 pixels.
# One more help at lesson scale: the field sees $\cos$ and $\sin$ of the time here, too
# (`period=1.0`; ten frames take about half of a turn, and nothing comes back).

# %%
n_balls, size = scale.pick(quick=(1, 16), lesson=(1, 16), full=(3, 32))
n_scenes, n_test = scale.pick(quick=(60, 20), lesson=(2000, 100), full=(10_000, 500))
scenes = video.bouncing_balls(n_scenes + n_test, n_balls=n_balls, resolution=size, generator=torch.Generator().manual_seed(0))
bouncing, bouncing_test = scenes[:n_scenes], scenes[n_scenes:]
balls = replace(study.TASKS["balls"], size=size, n_draw=scale.pick(quick=1, lesson=3, full=6), period=scale.pick(quick=1.0, lesson=1.0, full=0.0))
settings = scale.pick(
    quick=study.Settings(latent_dim=8, width=16, depth=3, channels=8, dense_decoder=16, batch=4, steps=2),
    lesson=study.Settings(latent_dim=16, width=64, depth=3, channels=8, dense_decoder=128, batch=32, steps=2700, lr=3e-3, augment=1.0, decay=0.98, coupled=True),
    full=study.FULL["balls"],
)
balls_net = study.train(balls, settings, bouncing, device, desc="balls").model
balls_errors = study.errors(balls_net, balls, bouncing_test.to(device)).numpy()
print(f"{n_balls} ball(s), {size} x {size} pixels: {len(bouncing)} videos for training, {len(bouncing_test)} for testing")
if scale.current() != "quick":
    means = balls_errors.mean(axis=1)
    print("mean error over ten frames: depth 1 to 3 at least twice as good as depth 0:", bool((means[1:] < means[0] / 2).all()))
    print("mean squared error by depth:", *(f"{error:.3f}" for error in means))

# %%
for name, videos in {"training": bouncing, "test": bouncing_test}.items():
    predicted = films(balls_net, balls, videos[1:2], range(3, 13))
    rows = {"truth": videos[1, :13]}
    for depth in range(4):
        rows[f"p = {-depth}" if depth else "p = 0"] = torch.cat([torch.ones(3, size, size), predicted[depth, 0]])
    fig = plots.image_rows(rows, titles=["seen"] * 3 + [str(k) for k in range(1, 11)], width=7.5)
    fig.suptitle(f"a {name} video", x=0.02, ha="left")
    plt.show()

# %% [markdown]
# *Figure: bouncing balls. The first three frames are seen; below each other the truth and the predictions
# of the depths p = 0 .. -3 for the next ten.*

# %%
predicted = films(balls_net, balls, bouncing_test[:2], range(3, 13))
fig, axes = plt.subplots(2, 2, figsize=(1.45, 1.2))
for ax, name in zip(axes[:, 0], ("truth", "p = -3")):
    ax.set_ylabel(name)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
shown = [ax.imshow(np.zeros((size, size)), cmap="gray", vmin=0, vmax=1, interpolation="nearest") for ax in axes.flat]


def draw(k):
    for j in range(2):
        shown[j].set_data(bouncing_test[j, 3 + k].numpy())
        shown[2 + j].set_data(predicted[3, j, k].numpy())


plots.animate(fig, draw, n_frames=10, interval=200, alt="two boxes with balls, above the truth and below the prediction", zoom=3)

# %% [markdown]
# *Animation: two test videos, the truth above and the prediction of depth 3 below.*
#
# **Reading the pictures.** Depth 0 draws one smear for all times, which covers the place where the ball will be.
# The deeper ones draw a ball that moves with the true one, blurred where they are not sure:
# a mean squared error prefers a blur to a sharp ball at a wrong place.
# At full scale, in section 8, the errors grow from the second frame on:
# with time a small error of the velocity becomes a large error of the place.

# %% [markdown]
# ## 6. Beyond the trained depth
#
# With coupled weights there is one $\varphi$, and nothing stops the recursion (2) at $l = L$.
# What do the depths $L + 1, L + 2, \dots$ say, which no loss has ever seen?

# %% [markdown]
# ### Exercise 10.4 - Depths that were never trained (3 points, ~8 min)
# Return the predictions at the depths `depth + 1` .. `depth + extra_depth` of a trained network.
# The models of the package take the number of layers as an argument: `model(x, t, depth=7)` returns
# the predictions at the depths 0 to 7, `(8, s, d)`.
# A network whose layers have weights of their own has nothing to go on with: refuse.
# The functions of notebook 09 are allowed as well.
#
# <details><summary>Hint 1 - a nudge</summary>
# How many predictions does <code>model(x, t, depth=model.depth + extra_depth)</code> return,
# and how many of them do you want?</details>
# <details><summary>Hint 2 - the idea</summary>
# Depth 0 is entry 0, so depth L is entry L, the last trained one. Feeding the last output in again
# would be something else: it is InImNet of a different input.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>if not model.coupled: raise ValueError("...")</code>, then cut the answer:
# <code>[model.depth + 1 :]</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "extrapolate", "locked": false, "schema_version": 3, "solution": true, "task": false}
def extrapolate(model, x, t, extra_depth):
    """Return predictions at the depths `model.depth + 1 .. model.depth + extra_depth`.

    Args:
        model: an `inimnet.LatentInImNet`; `model.depth` is its trained depth, and
            `model.coupled` says whether one field serves all layers. Left unchanged.
        x: codes, `(s, d)`.   t: times, `(s,)`.
        extra_depth: how many depths beyond the trained one, at least 1.

    Returns:
        A tensor `(extra_depth, s, d)`, which carries gradients.

    Raises:
        ValueError: if the layers of `model` have weights of their own.
    """
    ### BEGIN SOLUTION
    if not model.coupled:
        raise ValueError("only a network with coupled weights goes on beyond its depth")
    return model(x, t, depth=model.depth + extra_depth)[model.depth + 1 :]
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_extrapolate", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "extrapolate",
    points=3,
    answer=lambda: extrapolate,
    package=inimnet.extrapolate,
    further=2,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(40)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    t = torch.rand(4, generator=generator, dtype=torch.float64)

    def trained(depth, coupled=True, seed=41):  # as if trained: weights from a seed
        generator = torch.Generator().manual_seed(seed)
        model = inimnet.LatentInImNet(3, 8, depth, coupled=coupled).double()
        with torch.no_grad():
            for weights in model.parameters():
                weights.copy_(0.4 * torch.randn(weights.shape, generator=generator, dtype=torch.float64))
        return model

    def refusal(call):  # the kind of the error that a call raises
        try:
            call()
        except NotImplementedError:
            raise
        except Exception as error:
            return type(error).__name__
        return "no error"

    checks.close(
        "trained depth 2: the predictions at the depths 3, 4 and 5; trained depth 3: at depth 4",
        lambda: [extrapolate(trained(2), x, t, 3), extrapolate(trained(3, seed=42), x, t, 1)],
        [trained(2)(x, t, depth=5)[3:], trained(3, seed=42)(x, t, depth=4)[4:]],
    )
    checks.close(
        "a network whose layers have weights of their own is refused, a coupled one is not",
        lambda: [refusal(lambda: extrapolate(trained(2, coupled=False), x, t, 1)), extrapolate(trained(1), x, t, 1)],
        ["ValueError", trained(1)(x, t, depth=2)[2:]],
    )
    checks.close(
        "twice in a row, and the model is still what it was",
        lambda: [model := trained(1), extrapolate(model, x, t, 2), extrapolate(model, x, t, 4), model.depth, model(x, t)][1:],
        [trained(1)(x, t, depth=3)[2:], trained(1)(x, t, depth=5)[2:], 1, trained(1)(x, t)],
    )
    checks.close(
        "one code in float32",
        lambda: extrapolate(trained(2).float(), x[:1].float(), t[:1].float(), 2),
        trained(2).float()(x[:1].float(), t[:1].float(), depth=4)[3:],
    )
    codes = x.clone().requires_grad_()
    checks.close(
        "the predictions carry gradients: that of one of them by the codes",
        lambda: torch.autograd.grad(extrapolate(trained(2), codes, t, 2)[1, 0, 0], codes)[0],
        torch.autograd.grad(trained(2)(codes, t, depth=4)[4, 0, 0], codes)[0],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "trained depth 4, one more",
        lambda: extrapolate(trained(4, seed=43), x, t, 1),
        trained(4, seed=43)(x, t, depth=5)[5:],
    )
    checks.close(
        "a network of one layer with weights of its own, and a coupled one of one layer",
        lambda: [refusal(lambda: extrapolate(trained(1, coupled=False), x, t, 2)), extrapolate(trained(1), x[:2], t[:2], 3)],
        ["ValueError", trained(1)(x[:2], t[:2], depth=4)[2:]],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
my_extrapolate = check.yours(exercise)

# %% [markdown]
# The network of section 4 has coupled weights, and it was trained at the depths 0 to 4. We ask it for depth 8.
#
# *Predict first:* will the digit stay, fade, or be torn?

# %%
coupled_errors = study.errors(digits_net, task, turning_test.to(device), depth=8)[:, 0].numpy()
seen, times = turning_test[3:4].to(device), task.times(torch.arange(0, 10, 2)).to(device)
with torch.no_grad():
    code = digits_net.encoder(seen[:, : task.n_context]).expand(len(times), -1)
    beyond = my_extrapolate(digits_net.imbedding, code, times, 4)  # the codes at the depths 5 to 8
    predicted = digits_net.decoder(beyond.flatten(0, 1)).unflatten(0, beyond.shape[:2]).cpu()
rows = {"truth": turning_test[3, :10:2], "p = -4": films(digits_net, task, turning_test[3:4], range(0, 10, 2))[4, 0]}
rows |= {f"p = {-depth}": frames for depth, frames in zip(range(5, 9), predicted)}
fig = plots.image_rows(rows, titles=[str(k) for k in range(0, 10, 2)], width=4.2)
red_box(fig, 2, 28)
plt.show()

# %% tags=["nbval-ignore-output"]
fig, ax = plt.subplots(figsize=(8, 3.4))
ax.semilogy(range(4, 9), coupled_errors[4:], "o--", mfc="white", color=plots.BLUE, label="depths that were never trained")
ax.semilogy(range(5), coupled_errors[:5], "o-", color=plots.BLUE, label="trained depths")
ax.set(xlabel="depth (minus p)", ylabel="error at the held-out frame", xticks=range(9))
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
if scale.current() != "quick":
    for depth in range(5, 9):
        print(f"depth {depth}, never trained: error {coupled_errors[depth] / coupled_errors[4]:.1f} times that of depth 4")

# %% [markdown]
# *Figures: above, a test digit on the first half of its turn; the rows p = -5 .. -8 come from depths that were never trained.
# Below, the error at the held-out frame by depth.*
#
# **Reading the pictures.** The first untrained depth draws as well as the last trained one.
# The next one nearly falls back to the smudge of depth 0; then come digits again, and torn ones.
# There is a reason to be careful. With one $\varphi$, and $D z = (\partial z / \partial u)\, \varphi$, the recursion (2) is
# $z_l = (1 + D)^l z_0 = \sum_k \binom{l}{k} D^k z_0$. Training taught the depths 1 to 4 the same film. If they drew it exactly,
# $D z_0,\ -D^2 z_0,\ D^3 z_0,\ -D^4 z_0$ would all be one difference $z_1 - z_0$. No loss has ever looked at $D^5 z_0$, which
# enters at depth 5, or $D^6 z_0$; and what is wrong with $D^5 z_0$ counts six times at depth 6, for $\binom{6}{5} = 6$.
# The paper reports depths that work beyond the trained ones; here the first one does. Another seed may tear elsewhere.

# %% [markdown]
# ## 7. Convolutions, end to end
#
# Encoder and decoder did the drawing so far. Now there are none: the state of InImNet is the *picture*.
# Three frames go in as three channels, and the three frames that follow come out,
#
# $$x = (\text{frames } k, k+1, k+2) \;\longmapsto\; z_l(x) \approx (\text{frames } k+3, k+4, k+5),$$
#
# with a $\varphi$ made of convolutions. Depth 0 repeats what it has seen.
# In (2) only Jacobian-vector products occur, so it does not matter that the state now has more than a thousand entries.

# %% [markdown]
# ### Exercise 10.5 - A convolutional InImNet (4 points, ~12 min)
# Build it, field included: three convolutions with a tanh after the first and the second one,
# from `channels` to 16, to 16, and back to `channels`.
# The kernels are 3 x 3, and the picture keeps its size.
# Of `inimnet` the functions of notebook 09 are allowed, its classes are not.
#
# <details><summary>Hint 1 - a nudge</summary>
# The field is added to the state, so it must have exactly its shape: which padding does a 3 x 3 kernel need?</details>
# <details><summary>Hint 2 - the idea</summary>
# It is exercise 10.3 without the time. A <code>torch.nn.Sequential</code> of five modules is a field that the
# recursion can differentiate.</details>
# <details><summary>Hint 3 - almost the code</summary>
# A function <code>field()</code> returns <code>nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), ...)</code>;
# <code>self.phis = nn.ModuleList(field() for _ in range(...))</code>; in <code>forward</code>
# <code>torch.stack(inimnet.inimnet_forward_parts(layers, x))</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "ConvInImNet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class ConvInImNet(torch.nn.Module):
    """Pictures at all depths, with convolutional fields.

    Args:
        channels: of the pictures.   depth: number L of layers.
        coupled: one field for all layers.

    Attributes:
        phis: a `torch.nn.ModuleList` of fields, phi_1 first: L of them, or a single one
            with coupled weights. A field is conv - tanh - conv - tanh - conv, with 3 x 3
            kernels, biases, 16 hidden channels, and zeros around the picture.
    """

    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        ### BEGIN SOLUTION
        self.depth, self.coupled = depth, coupled

        def field():
            return torch.nn.Sequential(
                torch.nn.Conv2d(channels, 16, 3, padding=1),
                torch.nn.Tanh(),
                torch.nn.Conv2d(16, 16, 3, padding=1),
                torch.nn.Tanh(),
                torch.nn.Conv2d(16, channels, 3, padding=1),
            )

        self.phis = torch.nn.ModuleList(field() for _ in range(1 if coupled else depth))
        ### END SOLUTION

    def forward(self, x):
        """Map pictures `(s, channels, H, W)` to `(L + 1, s, channels, H, W)`."""
        ### BEGIN SOLUTION
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_ConvInImNet", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
@check.exercise(
    "ConvInImNet",
    points=4,
    answer=lambda: ConvInImNet,
    package=(inimnet.ConvInImNet, inimnet.InImNet),
    further=3,
)
def exercise(checks):
    generator = torch.Generator().manual_seed(50)
    x = torch.randn(2, 2, 6, 9, generator=generator, dtype=torch.float64)

    def filled(model, seed=51):  # weights that do not depend on how they were drawn
        generator = torch.Generator().manual_seed(seed)
        model = model.double()
        with torch.no_grad():
            for weights in model.phis.parameters():
                size = 0.7 / weights[0].numel() ** 0.5
                weights.copy_(size * torch.randn(weights.shape, generator=generator, dtype=torch.float64))
        return model

    def sizes(model):  # and what the model says in float32
        return [len(model.phis), sum(weights.numel() for weights in model.parameters()), filled(model).float()(three)]

    def first_gradient(net):  # of the deepest output, by the first weights
        return torch.autograd.grad(net(x)[-1].square().sum(), next(net.phis.parameters()))[0]

    three = torch.cat([x, x[:, :1] ** 2], dim=1).float()
    checks.close(
        "all depths of networks with given weights, depth 3 and depth 1",
        lambda: [filled(ConvInImNet(2, 3))(x), filled(ConvInImNet(2, 1), 52)(x)],
        [filled(inimnet.ConvInImNet(2, 3))(x), filled(inimnet.ConvInImNet(2, 1), 52)(x)],
    )
    checks.close(
        "the same with coupled weights, depth 2",
        lambda: filled(ConvInImNet(2, 2, coupled=True))(x),
        filled(inimnet.ConvInImNet(2, 2, coupled=True))(x),
    )
    checks.close(
        "three channels, depth 2, coupled and not: the numbers of fields and of parameters, and the outputs in float32",
        lambda: [sizes(ConvInImNet(3, 2, coupled=True)), sizes(ConvInImNet(3, 2))],
        [[1, 3203, sizes(inimnet.ConvInImNet(3, 2, coupled=True))[2]], [2, 6406, sizes(inimnet.ConvInImNet(3, 2))[2]]],
    )
    checks.close(
        "a single small picture: at its edges there are zeros around it",
        lambda: [filled(ConvInImNet(2, 1))(x[:1, :, :4, :3]), filled(ConvInImNet(2, 1))(x[1:, :, :1, :2])],
        [filled(inimnet.ConvInImNet(2, 1))(x[:1, :, :4, :3]), filled(inimnet.ConvInImNet(2, 1))(x[1:, :, :1, :2])],
    )
    checks.close(
        "the gradient of the deepest output with respect to the first weights, depth 2 and depth 1",
        lambda: [first_gradient(filled(ConvInImNet(2, 2))), first_gradient(filled(ConvInImNet(2, 1)))],
        [first_gradient(filled(inimnet.ConvInImNet(2, 2))), first_gradient(filled(inimnet.ConvInImNet(2, 1)))],
    )
    ### BEGIN HIDDEN TESTS
    checks.close(
        "coupled weights, depth 3, one channel",
        lambda: filled(ConvInImNet(1, 3, True))(x[:1, :1, :4, :3]),
        filled(inimnet.ConvInImNet(1, 3, True))(x[:1, :1, :4, :3]),
    )
    checks.close(
        "each picture is treated by itself",
        lambda: filled(ConvInImNet(2, 2))(x)[:, 1:],
        filled(inimnet.ConvInImNet(2, 2))(x[1:]),
    )
    checks.close(
        "float32, another size",
        lambda: filled(ConvInImNet(2, 2)).float()(x[..., :5].float()),
        filled(inimnet.ConvInImNet(2, 2)).float()(x[..., :5].float()),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
MyConvInImNet = check.yours(exercise)

# %% [markdown]
# Three networks are trained, with $p_{\min} = -1$, $-2$ and $-3$, each at all of its depths.
# There are three balls again: a convolution treats every place in the same way and need not squeeze
# a scene into a code, so that less training does. The boxes have 20 x 20 pixels at lesson scale
# and 32 x 32 at full scale. The fields of the package have kernels of 5 x 5 here,
# because each channel has to be moved on by three frames.

# %%
resolution = scale.pick(quick=12, lesson=20, full=32)
n_videos, n_steps = scale.pick(quick=(20, 2), lesson=(500, 250), full=(5000, 5000))
make = dict(n_frames=20, resolution=resolution)
small = video.bouncing_balls(n_videos, **make, generator=torch.Generator().manual_seed(0)).to(device)
small_test = video.bouncing_balls(100, **make, generator=torch.Generator().manual_seed(1)).to(device)


def train_conv(depth, net=None):
    training.set_seed(depth)
    net = (net or inimnet.ConvInImNet(3, depth, hidden=12, kernel_size=5)).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=n_steps)
    generator = torch.Generator().manual_seed(depth)
    for _ in training.progress(range(n_steps), f"convolutions, p_min = {-depth}"):
        rows = torch.randint(len(small), (8,), generator=generator).to(device)
        start = int(torch.randint(15, (1,), generator=generator))
        six = small[rows, start : start + 6]
        optimizer.zero_grad()
        (net(six[:, :3]) - six[:, 3:]).square().mean().backward()
        optimizer.step()
        schedule.step()
    return net


conv_nets = {depth: train_conv(depth) for depth in (1, 2, 3)}
my_conv_net = train_conv(1, MyConvInImNet(3, 1))  # yours, with kernels of 3 x 3


@torch.no_grad()
def conv_errors(net, films):
    return (net(films[:, :3]) - films[:, 3:6]).square().mean(dim=(1, 3, 4)).cpu().numpy()


conv_table = {depth: conv_errors(net, small_test) for depth, net in conv_nets.items()}
if scale.current() != "quick":
    for depth, table in conv_table.items():
        print(f"p_min = {-depth}: every deeper p at least twice as good as p = 0 over three frames:", bool((table[1:].mean(axis=1) < table[0].mean() / 2).all()))

# %%
@torch.no_grad()
def conv_rows(net, film):
    rows = {"truth": film[:6].cpu()}
    for depth, frames in enumerate(net(film[None, :3])[:, 0].cpu()):
        rows[f"p = {-depth}" if depth else "p = 0"] = torch.cat([torch.ones(3, resolution, resolution), frames])
    return rows


for depth, net in conv_nets.items():
    fig, axes = plt.subplots(depth + 2, 2, figsize=(9.5, 0.78 * (depth + 2) + 0.5))
    for column, (name, films_of) in zip(axes.T, {"testing": small_test, "training": small}.items()):
        for k, (label, frames) in enumerate(conv_rows(net, films_of[2]).items()):
            titles = ["seen"] * 3 + ["1", "2", "3"] if k == 0 else ()
            plots.image_row(column[k], frames, titles, label)
    fig.suptitle(f"$p_{{\\min}}$ = {-depth}: a test video on the left, a training video on the right")
    plt.show()

# %% [markdown]
# *Figures: three convolutional networks, trained end to end with p_min = -1, -2 and -3; left a test video, right a training video.
# Three frames are seen, three are predicted; below the truth the outputs of all depths.*

# %% tags=["nbval-ignore-output"]
print("mean squared error by predicted frame; the last two rows: kernels of 3 x 3, your network")
print("               test videos                  training videos")
print("p_min    p     frame 1  frame 2  frame 3    frame 1  frame 2  frame 3")
for depth, net in [*conv_nets.items(), (1, my_conv_net)]:
    for row, values in enumerate(np.hstack([conv_errors(net, small_test), conv_errors(net, small[:100])])):
        cells = [f"{value:7.3f}" for value in values]
        print(f"{-depth:5d} {-row:4d}     " + "  ".join(cells[:3]) + "    " + "  ".join(cells[3:]))

# %% [markdown]
# **Reading the pictures.** Depth 0 shows the three frames that were seen: the balls stand where they were.
# One convolutional layer sets them in motion. The next frame is sharp, the third one is blurred:
# it is further from what was seen, so that a small error of a velocity weighs more.
# The table says it by numbers: in each network the first layer does nearly all, and the error grows with the predicted frame.
# The errors on training and on test videos are nearly the same: nothing was learned by heart.
# Your network, with kernels of 3 x 3 and 16 channels, does as well as those with 5 x 5 and 12:
# the size of the kernels is not what limits them here.

# %% [markdown]
# ## 8. At full size
#
# The next cells show what was measured at full size, with the honest mask and on MNIST's threes.
# Nothing is computed here: the numbers were recorded from runs of `odenets.studies.video`
# on a GPU that several runs shared, and section 9 says how to repeat them.
# Each run had the minutes and got as far as the steps that its row names.
# The published errors of the digits are from table 1 of Corbett and Kangin (2022).

# %%
def show_runs(task):
    """Print the recorded errors by depth, with mean and range over the seeds of a setting."""
    groups = {}
    for run in sorted(study.recorded(), key=lambda run: (run["tag"], run["seed"])):
        if run["task"] == task:
            groups.setdefault(run["tag"], []).append(run)
    for tag, group in groups.items():
        one = group[0]
        print(f"{tag}: code {one['latent_dim']}, width {one['width']}, {one['n_layers']} layers in each field" + (", videos not deformed" if one["augment"] == 0 else ""))
        rows = {f"seed {run['seed']}, {run['seconds'] / 60:.0f} minutes, {run['steps']} steps": run["mse"] for run in group}
        errors = np.array(list(rows.values()))
        if len(group) > 1:
            rows |= {f"mean of {len(group)}": errors.mean(axis=0), "smallest": errors.min(axis=0), "largest": errors.max(axis=0)}
        for name, values in rows.items():
            print(f"  {name:32s}" + "".join(f"{value:8.4f}" for value in values))
    return {tag: np.array([run["mse_by_frame"] for run in group]) for tag, group in groups.items()}


published = study.PUBLISHED["rotating"]
by_depth = {name: errors for name, errors in published.items() if len(errors) > 1}
print("error at the held-out frame        depth 0       1       2       3       4")
recorded = show_runs("rotating")
print("published, the frame was trained on")
for name, errors in by_depth.items():
    print(f"  {name.split(', depths')[0]:40s}" + "".join(f"{error:8.4f}" for error in errors))
print("published, networks without a depth:", ", ".join(f"{name} {errors[0]:.4f}" for name, errors in published.items() if len(errors) == 1))

# %%
tones = {"base": plots.BLUE, "wide": plots.GREEN, "plain": plots.SKY}
fig, ax = plt.subplots(figsize=(7.5, 3.6))
for k, (tag, runs) in enumerate(recorded.items()):
    errors = runs[:, 1:, 0]
    mean = errors.mean(axis=0)
    spread = np.abs(np.array([errors.min(axis=0), errors.max(axis=0)]) - mean)
    ax.errorbar(np.arange(1, 5) + 0.06 * (k - len(recorded) / 2), mean, spread, fmt="o-", capsize=4, color=tones.get(tag, plots.PURPLE), label=f"{tag}, mean and range, seeds: {len(runs)}")
for (name, errors), marker in zip(by_depth.items(), "sD"):
    ax.plot(range(1, 5), errors, marker + "--", color=plots.ORANGE, mfc="white", label=name.split(", depths")[0] + ", published")
ax.set(xlabel="depth (minus p)", ylabel="error at the held-out frame", xticks=range(1, 5), ylim=(0, None))
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# *Figure: rotating digits at full size, errors at the held-out frame by depth, beside the published ones,
# for which that frame was among the training frames. Depth 0 is far above the picture.*

# %%
print("mean over ten predicted frames     depth 0       1       2       3")
recorded = show_runs("balls")
fig, ax = plt.subplots(figsize=(7.5, 4))
for tag, runs in recorded.items():
    deepest, frames = runs[:, 3], range(1, 11)
    ax.plot(frames, deepest.mean(axis=0), "o-", color=tones.get(tag, plots.PURPLE), label=f"depth 3, {tag}, mean, seeds: {len(runs)}")
    ax.fill_between(frames, deepest.min(axis=0), deepest.max(axis=0), color=tones.get(tag, plots.PURPLE), alpha=0.3, label="their range")
    ax.plot(frames, runs[:, 0].mean(axis=0), ":", color=plots.GREY, label=f"depth 0, {tag}")
for (name, errors), marker in zip(study.PUBLISHED["balls"].items(), "sD"):
    ax.plot(range(1, 11), errors, marker + "--", color=plots.ORANGE, mfc="white", label=f"{name}, published")
    print(f"published: {name:24s} {np.mean(errors):.4f}")
ax.set(xlabel="predicted frame", ylabel="mean squared error per pixel", xticks=range(1, 11), ylim=(0, None))
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# *Figure: bouncing balls at full size, errors by predicted frame on 500 test videos, beside published values.*
#
# **Reading the numbers, with care.**
#
# * *The mask.* The published InImNet numbers were measured with the arithmetic of section 2, which masks nothing:
#   their network had been trained on the frame at which it is scored. Ours had not. The two are not the same measurement.
# * *The data.* Our films are generated by the published recipe, but they are not the same files: other digits, other balls.
#   And in *base* and *wide* the training videos are deformed, or mirrored and turned, of which the paper does not speak.
# * *The seeds.* In *base* and in *wide* the seeds lie further apart than the depths 2 to 4 of any one run:
#   with one run each, a table of depths would be a table of chance.
#   The ranges of the two settings do not meet; the wider network also took more steps in its minutes.
# * *The balls.* The three seeds are nearly one line. From the second frame on the errors grow.
#   The line is below that of ODE2VAE in the frames 2 to 7 and ends above it, with nearly the same mean over ten frames.
# * *What stands out* is the gap between depth 0 and all others, in every run.
#   Depth 0 of the balls is best in the middle of the ten frames: its one picture for all times is right there, if anywhere.

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_where_depth_stops", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 10.6 - Where does depth stop helping? (3 points, ~10 min)
# Read the tables of section 8 by depth.
# (a) From which depth on does a deeper network gain nothing, for the digits (*base* and *wide*) and for the balls?
# What is the largest gain beyond depth 1, in which run, and how does it compare with the differences between seeds?
# (b) Why is the step from depth 0 to depth 1 so large, and the next ones so small?
# Think of what depth 0 knows, of who else can do the work, and of the loss.
# (c) A colleague concludes that the published InImNet is worse than ours, since our best run has the smaller error.
# Name two reasons why this does not follow from the table.
#
# ### BEGIN MARK SCHEME
# One point for each part; half a point where the idea is there but the numbers or one of two reasons are missing.
#
# * (a) From depth 2 on (base), or already from depth 1 on (wide, balls): beyond it nothing changes by more than 0.0001.
#   The largest gain beyond depth 1 is that of base, seed 0, about 0.0004 from depth 1 to depth 2; it is smaller than
#   the differences between the seeds of base, 0.0119 to 0.0127 at the same depth.
#   In the published rows, too, the step from depth 1 to depth 2 is the last one that counts.
# * (b) Depth 0 returns the code without the time, so its best answer is the mean over all times. One layer sees the time
#   and is followed by a decoder, which can be as nonlinear as it needs to be: together they can already represent the motion. The loss is the
#   mean over all depths, so that the first layer is trained to be good on its own; the deeper outputs add corrections of the second order.
#   (Any two of these three.)
# * (c) Two of: the published frame was trained on (mask); other data files and digits; other training time, deformed training videos
#   and model size; the best of several runs was picked, and the spread over seeds of the published one is not known to us.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 10.6: double-click here and write.*

# %% [markdown]
# ## 9. Turn the knob
#
# **In this notebook.** `scale.use("full")` in the set-up cell, or `ODENETS_SCALE=full` in the environment, trains
# on MNIST's threes (500 videos for training, 542 for testing), on 10 000 videos of balls and at 32 x 32 pixels; take a GPU.
# Other knobs: `replace(task, n_random=9)`; `settings.clock=False`, which takes the circle away from the time;
# `settings.augment=0`; `variant="approximate"`; `n_balls=3` in section 5; and `approaching_only=True` in `video.bouncing_balls`.
#
# **On the command line.** The runs of section 8, with the seeds 0, 1 and 2. They write a checkpoint every minute and go on where they were stopped:
#
# ```
# python -m odenets.studies.video rotating --tag base --seed 0 --minutes 8 --out results
# python -m odenets.studies.video rotating --tag wide --seed 0 --minutes 8 --width 128 --n-layers 3 --latent-dim 32 --channels 32 --out results
# python -m odenets.studies.video balls --tag base --seed 0 --minutes 8 --out results
# python -m odenets.studies.video table --out results
# ```
#
# With `--tag plain --augment 0` the training videos are not deformed: try what that does to the held-out frame.
# A machine of its own does more steps in the same time; at most 10 000 are taken for the digits and 15 000 for the balls.

# %% [markdown]
# ## Recap
#
# * A mask is code, and code can be wrong: an honest one holds back what it says it does, and a test shows it.
# * Elastic collisions act along the line of centres; momentum and energy are the test.
# * With the time as one more coordinate, one recursion predicts every frame at every depth;
#   depth 0 does not know the time.
# * Coupled weights define all depths; what is found beyond the trained ones is a measurement, not a promise.
# * InImNet needs Jacobian-vector products only, so its state may be a picture and its field a stack of convolutions.
# * Depth stops helping early where a decoder can do the rest. Read tables by seed, by training time, and by what was really held out.
#
# **Left out:** uncertainty (the variational autoencoders of the sources predict distributions),
# frames far beyond the trained times, and learned dynamics that conserve energy.
#
# **Read on:** Corbett and Kangin 2022; Yildiz, Heinonen and Lahdesmaki 2019;
# F.-X. Vialard et al., *A shooting formulation of deep learning*, NeurIPS 2020, [arXiv 2006.10330](https://arxiv.org/abs/2006.10330).
#
# **This is the last notebook.** Back to the beginning: [01 - A residual network is Euler's method](../01_resnets_as_euler/01_resnets_as_euler.ipynb)
