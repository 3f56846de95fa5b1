# %% [markdown]
# # 10 - Predicting video at every depth
#
# **The question.** A network sees the first frame of a video, or the first three, and predicts the others.
# InImNet gives one prediction for every depth. Where does depth help, where does it stop helping,
# and what happens beyond the depth that was trained?
#
# **Time** about 100 minutes - **points** 22 - **you need** notebook 09 (InImNet)
# and a first course on classical mechanics (momentum, kinetic energy).
#
# After this notebook you can
#
# 1. *generate* videos whose laws you know, and *test* that the laws hold,
# 2. *hold out* a frame so that it is really held out, and *show* how a published mask was not one,
# 3. *build* InImNet for codes that move in time, and *read* its predictions at every depth,
# 4. *extrapolate* a network with coupled weights beyond its trained depth,
# 5. *train* a convolutional InImNet from pixels to pixels.
#
# **Sources.** A. Corbett and D. Kangin, *Imbedding deep neural networks*, ICLR 2022,
# [arXiv 2202.00113](https://arxiv.org/abs/2202.00113), sections 4.1, 4.2 and F: the experiments.
# C. Yildiz et al., *ODE2VAE*, NeurIPS 2019, [arXiv 1905.10994](https://arxiv.org/abs/1905.10994), and
# F.-X. Vialard et al., *A shooting formulation of deep learning*, NeurIPS 2020,
# [arXiv 2006.10330](https://arxiv.org/abs/2006.10330): the tasks and most published numbers.
# I. Sutskever, G. Hinton and G. Taylor, *The recurrent temporal restricted Boltzmann machine*, NeurIPS 2008: the balls.

# %%
import importlib.util, os, torch, matplotlib.pyplot as plt; from dataclasses import replace
if importlib.util.find_spec("odenets") is None:  # on Colab: install the helper package
    get_ipython().run_line_magic("pip", "install -q " + os.environ.get("ODENETS_PACKAGE", "git+REPOSITORY"))
from odenets import check, plots, scale, training; from odenets.data import video; from odenets.nets import inimnet; from odenets.studies import video as study
scale.use("lesson"), plots.style(), training.set_seed(0);

# %% [markdown]
# ## 1. Rotating digits, and a frame that nobody may see
#
# Take a handwritten three and turn it once around in 16 steps: that is a video.
# The model sees frame 0 and has to draw the others.
# Frame 4, the quarter turn, is **held out**: no model is ever trained on it, of no digit.
# It is the exam.
# At this scale the digits are the small ones of scikit-learn; at full scale they are MNIST's threes,
# 500 videos to train on and 542 to test.

# %%
source, n_train, n_test = scale.pick(quick=("digits", 30, 10), lesson=("digits", 120, 63), full=("mnist", 500, 542))
digits, test_digits = study.rotating_videos(source, 3, n_train, n_test)
print(f"{len(digits)} videos to train on, {len(test_digits)} to test, each of {digits.shape[1]} frames of {digits.shape[2]} x {digits.shape[3]} pixels")
fig = plots.image_rows({f"digit {k}": digits[k] for k in range(3)}, [str(k) for k in range(16)], width=8.5)
plt.show()

# %% [markdown]
# *Figure: three training videos; the numbers are frame indices. Column 4 is held out.*
#
# In each training step, each video is shown with some frames missing: the held-out one, and a few
# others that change every time, so that the model has to fill gaps in general.

# %% [markdown]
# ### Exercise 10.1 - A mask that masks (3 points, ~6 min)
# Draw which frames of one video are trained on.
#
# <details><summary>Hint 1 - a nudge</summary>
# The random ones are drawn from the <i>other</i> frames: list these first.</details>
# <details><summary>Hint 2 - the idea</summary>
# <code>torch.randperm(m, generator=generator)</code> is a random order of 0 .. m - 1; its first
# <code>n_random</code> entries say which of the others are dropped.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Start with <code>torch.ones(n_frames, dtype=torch.bool)</code>; make a tensor <code>others</code> of the indices other than
# <code>held_out</code>; set the mask to False at <code>held_out</code> and at
# <code>others[torch.randperm(len(others), generator=generator)[:n_random]]</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "frame_mask", "locked": false, "schema_version": 3, "solution": true, "task": false}
def frame_mask(n_frames, held_out, n_random, generator):
    """Draw which frames of one video are trained on.

    Args:
        n_frames: length of the video.
        held_out: 0-based index of the frame that is never trained on.
        n_random: exactly so many of the other frames are dropped too, each choice
            equally likely, anew at each call.
        generator: `torch.Generator`, the only source of randomness.

    Returns:
        Booleans, shape `(n_frames,)`: True where a frame is trained on.
    """
    ### BEGIN SOLUTION
    mask = torch.ones(n_frames, dtype=torch.bool)
    others = torch.tensor([k for k in range(n_frames) if k != held_out])
    order = torch.randperm(len(others), generator=generator)
    mask[held_out] = False
    mask[others[order[:n_random]]] = False
    return mask
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_frame_mask", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def drawn(n_frames, held_out, n_random, calls=400, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([frame_mask(n_frames, held_out, n_random, generator) for _ in range(calls)])

with check.exercise("frame_mask", points=3) as exercise:
    exercise.equal(
        "16 frames, frame 4 held out, 3 others dropped: how often frame 4 is trained on in 400 draws",
        lambda: int(drawn(16, 4, 3)[:, 4].sum()),
        0,
        mistakes={"nothing is masked at all": 400},
    )
    exercise.equal(
        "exactly 12 of the 16 frames are trained on, in every draw",
        lambda: drawn(16, 4, 3).sum(dim=1),
        torch.full((400,), 12),
        mistakes={
            "only the random frames are dropped": torch.full((400,), 13),
            "only the held-out frame is dropped": torch.full((400,), 15),
            "True and False are exchanged": torch.full((400,), 4),
        },
    )
    exercise.between(
        "how often each other frame is trained on, of 400 draws (320 expected)",
        lambda: torch.cat([drawn(16, 4, 3)[:, :4], drawn(16, 4, 3)[:, 5:]], dim=1).sum(dim=0),
        320 - 5 * 8,
        320 + 5 * 8,
        hint="every other frame must be equally likely to be dropped, anew at each call",
    )
    ### BEGIN HIDDEN TESTS
    exercise.equal("no random frames, the first frame held out", lambda: drawn(5, 0, 0, 3), torch.tensor([[False, True, True, True, True]] * 3))
    exercise.equal("all others dropped, the last frame held out", lambda: drawn(4, 3, 3, 2), torch.zeros(2, 4, dtype=torch.bool))
    exercise.equal(
        "the same seed draws the same masks, whatever the global seed",
        lambda: bool([torch.manual_seed(1), a := drawn(12, 7, 4, 20), torch.manual_seed(2), b := drawn(12, 7, 4, 20), (a == b).all()][4]),
        True,
    )
    exercise.at_least(
        "different masks in 50 draws: how many",
        lambda: len({tuple(row.tolist()) for row in drawn(16, 4, 3, 50)}),
        30,
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown]
# **A mask that masks nothing.** The published code of InImNet means to do the same.
# For every frame to be dropped it makes a row of ones with a zero at that frame, *adds* these rows, and keeps the frames
# where the sum is positive. Let us see.

# %%
dropped = [4, 1, 9, 12]  # the held-out frame and three random ones
rows = torch.stack([1 - torch.nn.functional.one_hot(torch.tensor(k), 16) for k in dropped])
added, multiplied = rows.sum(dim=0), rows.prod(dim=0)
print("sum of the rows:    ", added.tolist())
print("trained on by '> 0':", int((added > 0).sum()), "of 16 frames")
print("product of the rows:", multiplied.tolist(), "->", int((multiplied > 0).sum()), "of 16 frames")

# %% [markdown]
# **Reading the numbers.** A sum of four such rows is never zero: all 16 frames were trained on, the exam included.
# A *product* would have been right. The published errors of that code at the held-out frame are therefore
# errors on a frame that the model has practised on (on other digits). Keep it in mind when they appear below.
# A mask deserves a test of its own: *is there a gradient path from the held-out frame into the loss?*

# %%
task = study.TASKS["rotating"]
probe = digits[:8].clone().requires_grad_()
small = study.build(task, study.Settings(latent_dim=4, width=8, depth=1, channels=8))
frames = study.draw_frames(task, 8, torch.Generator().manual_seed(3))
(path,) = torch.autograd.grad(study.training_loss(small, task, probe, frames), probe)
reached = path.abs().amax(dim=(0, 2, 3)) > 0
print("frames with a path into the loss:", [k for k in range(16) if reached[k]])

# %% [markdown]
# ## 2. Bouncing balls
#
# The second data set obeys mechanics. Balls of radius 1.2 live in a box of side 10, without friction.
# In each frame there are two sub-steps of length one half: move, turn velocities inwards at the walls, and collide.
# Two equal balls that touch exchange the parts of their velocities *along the line of their centres*:
#
# $$ n = \frac{x_i - x_j}{|x_i - x_j|}, \qquad w = (v_i - v_j)\cdot n, \qquad
# v_i \leftarrow v_i - w\, n, \quad v_j \leftarrow v_j + w\, n. \tag{1} $$

# %% [markdown]
# ### Exercise 10.2 - Elastic collisions (4 points, ~10 min)
# Give the velocities after the collisions of equation (1).
# Only pairs that are nearer than two radii *and* approach each other collide:
# a pair that touches but already flies apart must be left alone.
#
# <details><summary>Hint 1 - a nudge</summary>
# What is the sign of w for two balls that approach each other?</details>
# <details><summary>Hint 2 - the idea</summary>
# n points from j to i. If i and j approach, v<sub>i</sub> - v<sub>j</sub> points against n, so w is negative.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>v = v.clone()</code>; for all pairs j &lt; i: <code>line = x[i] - x[j]</code>, <code>n = line / line.norm()</code>,
# <code>w = (v[i] - v[j]) @ n</code>; if <code>line.norm() &lt; 2 * radius and w &lt; 0</code>:
# <code>v[i] -= w * n</code> and <code>v[j] += w * n</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "collide", "locked": false, "schema_version": 3, "solution": true, "task": false}
def collide(x, v, radius):
    """Return the velocities after elastic collisions between equal balls.

    Args:
        x, v: positions and velocities, `(n, 2)`; both are left unchanged.
        radius: of each ball. A pair collides if its centres are nearer than 2 * radius
            and if it approaches. No two centres coincide, and no ball meets two others.

    Returns:
        New velocities, `(n, 2)`: momentum and kinetic energy are what they were.
    """
    ### BEGIN SOLUTION
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            normal = line / line.norm()
            w = (v[i] - v[j]) @ normal
            if line.norm() < 2 * radius and w < 0:
                v[i] -= w * normal
                v[j] += w * normal
    return v
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_collide", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
two = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
meet = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
parting = torch.tensor([[-1.0, -0.5], [0.2, 0.3]], dtype=torch.float64)
generator = torch.Generator().manual_seed(2)
centres = 10 * torch.rand(4, 2, generator=generator, dtype=torch.float64)
offsets = torch.nn.functional.normalize(torch.randn(4, 2, generator=generator, dtype=torch.float64), dim=1)
crowd = torch.cat([20 * torch.arange(4.0)[:, None] + centres, 20 * torch.arange(4.0)[:, None] + centres + 2 * offsets])
rushing = torch.randn(8, 2, generator=generator, dtype=torch.float64)

with check.exercise("collide", points=4) as exercise:
    exercise.close(
        "an oblique hit: only the parts along the line of centres are exchanged",
        lambda: collide(two, meet, 1.2),
        torch.tensor([[0.5, -0.5], [0.5, 0.5]], dtype=torch.float64),
        mistakes={
            "the whole velocities are exchanged": meet.flip(0),
            "nothing happens": meet,
            "the line of centres is not normalised": torch.tensor([[0.0, -1.0], [1.0, 1.0]], dtype=torch.float64),
            "only one of the two balls changes": torch.tensor([[0.5, -0.5], [0.0, 0.0]], dtype=torch.float64),
        },
    )
    exercise.close(
        "a pair that touches but flies apart is left alone",
        lambda: collide(two, parting, 1.2),
        parting,
        mistakes={"it is turned around again": video.collide(two, parting, 1.2, approaching_only=False)},
    )
    exercise.close("a pair that approaches from afar is left alone", lambda: collide(two, meet, 0.6), meet)
    exercise.close(
        "four pairs at once: momentum and kinetic energy of the whole crowd",
        lambda: [(after := collide(crowd, rushing, 1.2)).sum(dim=0), (after**2).sum(), (after - rushing).abs().max() > 0.1],
        [rushing.sum(dim=0), (rushing**2).sum(), torch.tensor(True)],
    )
    ### BEGIN HIDDEN TESTS
    exercise.close("four pairs at once: all velocities", lambda: collide(crowd, rushing, 1.2), video.collide(crowd, rushing, 1.2))
    exercise.close(
        "float32, balls in another order",
        lambda: collide(crowd.flip(0).float(), rushing.flip(0).float(), 1.2),
        video.collide(crowd, rushing, 1.2).flip(0).float(),
    )
    exercise.close(
        "the given velocities are left unchanged",
        lambda: [mine := meet.clone(), collide(two, mine, 1.2), mine][2],
        torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64),
    )
    exercise.close("one ball alone", lambda: collide(two[:1], meet[:1], 1.2), meet[:1])
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown]
# Now a long run of the package's simulation, and its energy and momentum.

# %%
generator = torch.Generator().manual_seed(6)
positions, velocities = video.ball_paths(1, 80, generator=generator)
energy = velocities[0].square().sum(dim=(1, 2)) / 2
momentum = velocities[0].sum(dim=1)
drift = (energy - energy[0]).abs().max().item()
print("largest change of the kinetic energy in 80 frames:", "below 1e-12" if drift < 1e-12 else "too large")
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=[1, 1.7])
for ball, colour in zip(range(3), plots.PALETTE):
    path = positions[0, :, ball]
    left.plot(path[:, 1], path[:, 0], ".-", ms=3, lw=1, color=colour)
    left.add_patch(plt.Circle(path[0].flip(0).tolist(), video.RADIUS, fill=False, color=colour))
left.set(xlim=(0, 10), ylim=(10, 0), aspect="equal", title="paths; circles show the start")
right.plot(energy, color=plots.BLACK, label="kinetic energy")
right.plot(momentum[:, 1], color=plots.PALETTE[0], label="momentum to the right")
right.plot(momentum[:, 0], color=plots.PALETTE[1], label="momentum downwards")
right.set(xlabel="frame", title="what is kept, and by whom", ylim=(-0.8, 1.1))
right.legend(loc="upper right", fontsize=9)
plt.show()

# %% [markdown]
# *Figure: three balls in their box for 80 frames; their kinetic energy and their momentum.*
#
# **Reading the picture.** The energy never changes. The momentum does, in jumps of one component at a time:
# that is a wall. Collisions between balls bend the paths and leave both lines flat.

# %%
films = video.draw_balls(positions[0, :40])
print(f"frames of {films.shape[1]} x {films.shape[2]} pixels")
fig = plots.image_rows({"balls": films[:10]}, [str(k) for k in range(10)], width=8)
plt.show()
fig, ax = plt.subplots(figsize=(2.4, 2.4), dpi=50)
shown = ax.imshow(films[0], cmap="gray", vmin=0, vmax=1)
ax.set(xticks=[], yticks=[])
plots.animate(fig, lambda k: shown.set_data(films[k]), scale.pick(quick=4, lesson=30, full=40), alt="three balls bounce in a box")

# %% [markdown]
# *Figure: the first ten frames as a strip, and the whole film in motion.*

# %% [markdown]
# ## 3. Codes that move
#
# A video model in three parts. The **encoder** turns the frames that are given (the context) into a code $x \in \mathbb R^d$.
# **InImNet** moves the code to the time $t$ that is asked for. The **decoder** draws the frame that belongs to a code.
#
# Time is one more coordinate of the state: $u = (x, t) \in \mathbb R^{d+1}$, every $\varphi$ maps $\mathbb R^{d+1}$ to itself,
# and the recursion of notebook 09 runs on $u$,
#
# $$z_0(u) = u, \qquad z_{l+1}(u) = z_l(u) + \frac{\partial z_l}{\partial u}(u)\, \varphi_{l+1}(u), \qquad
# \text{prediction at depth } l:\ \text{the first } d \text{ entries of } z_l(u). \tag{2}$$
#
# At depth 0 the code comes out as it went in: that network knows nothing about time.

# %% [markdown]
# ### Exercise 10.3 - InImNet for codes (5 points, ~12 min)
# Write the module. `inimnet.DenseField(dim, width)` of the package is a $\varphi$ for states of `dim` entries, and
# `inimnet.inimnet_forward(phis, u)` is the recursion of notebook 09.
#
# <details><summary>Hint 1 - a nudge</summary>
# Where do the layers go so that PyTorch finds their parameters? How many are there with coupled weights?</details>
# <details><summary>Hint 2 - the idea</summary>
# An <code>nn.ModuleList</code> with one field, or with <code>depth</code> of them. In <code>forward</code> the list of layers
# always has <code>depth</code> entries; with coupled weights all are the same module.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>u = torch.cat([x, t[:, None]], dim=1)</code>; <code>layers = [self.phis[0]] * self.depth</code> if coupled, else
# <code>list(self.phis)</code>; <code>torch.stack(inimnet.inimnet_forward(layers, u))[..., :-1]</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "LatentInImNet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class LatentInImNet(torch.nn.Module):
    """Where a code is at time t, predicted by the networks of all depths.

    Args:
        latent_dim: size d of the code.   width: hidden units of each phi.
        depth: number of layers.   coupled: one phi acts at all depths.

    Attributes:
        phis: `torch.nn.ModuleList` of `inimnet.DenseField(latent_dim + 1, width)`; phis[0] is
            phi_1. It has `depth` entries, or a single one with coupled weights.
    """

    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        ### BEGIN SOLUTION
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(
            inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth)
        )
        ### END SOLUTION

    def forward(self, x, t):
        """Map codes `x (s, latent_dim)` and times `t (s,)` to `(depth + 1, s, latent_dim)`."""
        ### BEGIN SOLUTION
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward(layers, u))[..., :-1]
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_LatentInImNet", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def with_weights(model, seed=4):  # the same weights whoever drew them first
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    with torch.no_grad():
        for phi in model.phis:
            for param in phi.parameters():
                param.copy_(0.6 * torch.randn(param.shape, generator=generator, dtype=torch.float64))
    return model

generator = torch.Generator().manual_seed(3)
x, t = torch.randn(5, 3, generator=generator, dtype=torch.float64), torch.rand(5, generator=generator, dtype=torch.float64)

def reference(depth, coupled=False):
    return with_weights(inimnet.LatentInImNet(3, 6, depth, coupled=coupled))(x, t).detach()

def variant(depth, change):  # what wrong networks of the same weights would say
    return change(list(with_weights(inimnet.LatentInImNet(3, 6, depth)).phis), torch.cat([x, t[:, None]], dim=1)).detach()

with check.exercise("LatentInImNet", points=5) as exercise:
    exercise.close(
        "three layers with given weights: predictions at all depths",
        lambda: with_weights(LatentInImNet(3, 6, 3))(x, t),
        reference(3),
        mistakes={
            "the layers act in the other order": variant(3, lambda phis, u: torch.stack(inimnet.inimnet_forward(phis[::-1], u))[..., :-1]),
            "the time is returned with the code": variant(3, lambda phis, u: torch.stack(inimnet.inimnet_forward(phis, u))),
            "the first coordinate is dropped, not the time": variant(3, lambda phis, u: torch.stack(inimnet.inimnet_forward(phis, u))[..., 1:]),
            "only the deepest prediction is returned": reference(3)[-1],
            "depth 0 is missing": reference(3)[1:],
            "it is a residual network": variant(3, lambda phis, u: torch.stack(inimnet.resnet_forward_from(phis, u))[..., :-1]),
        },
    )
    exercise.equal(
        "number of weights: three layers of their own, then coupled",
        lambda: [sum(p.numel() for p in LatentInImNet(3, 6, 3, coupled=c).parameters()) for c in (False, True)],
        [3 * (4 * 6 + 6 + 6 * 4 + 4), 4 * 6 + 6 + 6 * 4 + 4],
        mistakes={"coupled weights are drawn per layer": [174, 174], "the time is no input of phi": [3 * 45, 45]},
    )
    exercise.close(
        "coupled weights, depth 3",
        lambda: with_weights(LatentInImNet(3, 6, 3, coupled=True))(x, t),
        reference(3, coupled=True),
        mistakes={"the single layer acts only once": reference(1, coupled=True)},
    )
    ### BEGIN HIDDEN TESTS
    exercise.close(
        "keyword calls, one sample, one layer",
        lambda: with_weights(LatentInImNet(latent_dim=3, width=6, depth=1))(x=x[:1], t=t[:1]),
        reference(1)[:, :1],
    )
    exercise.close(
        "the derivative of the depth-2 prediction by time",
        lambda: torch.autograd.functional.jvp(lambda t: with_weights(LatentInImNet(3, 6, 2))(x, t)[2], t, torch.ones_like(t))[1],
        torch.autograd.functional.jvp(lambda t: with_weights(inimnet.LatentInImNet(3, 6, 2))(x, t)[2], t, torch.ones_like(t))[1],
    )
    exercise.close(
        "the gradient that each weight gets, largest entries",
        lambda: [
            model := with_weights(LatentInImNet(3, 6, 2)),
            model(x, t)[2].square().sum().backward(),
            [p.grad.abs().max() for phi in model.phis for p in phi.parameters()],
        ][2],
        [
            model := with_weights(inimnet.LatentInImNet(3, 6, 2)),
            model(x, t)[2].square().sum().backward(),
            [p.grad.abs().max() for phi in model.phis for p in phi.parameters()],
        ][2],
    )
    exercise.close(
        "float32, and a second network of another depth beside the first",
        lambda: [LatentInImNet(2, 4, 3), LatentInImNet(2, 4, 1)][1](torch.ones(4, 2), torch.zeros(4))[0],
        torch.ones(4, 2),
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %% [markdown]
# ## 4. Every depth draws the digit
#
# For speed, this lesson takes an encoder and a decoder that need no training: the code of a frame holds its first principal
# components (the held-out frame is left aside when they are computed), and the decoder adds the components up again.
# So only InImNet learns, and at depth 0 the frame that was given comes out unmoved.
# At full scale both are convolutional networks that are trained with the rest (`inimnet.VideoInImNet`).
#
# A full turn brings everything back. The model is told so: $\varphi$ reads the time as a point on a circle.
# The loss is the mean over *all* depths, over the frames that the mask lets through.
#
# *Predict first:* will the error at the held-out frame be as small as at its neighbours?

# %%
settings = scale.pick(
    quick=study.Settings(width=16, depth=2, batch=4, steps=20, lr=1e-2, decay=0.5),
    lesson=study.Settings(width=64, depth=4, batch=10, steps=1000, lr=1e-2, decay=0.98),
    full=study.FULL["rotating"],
)
n_components = scale.pick(quick=10, lesson=40, full=None)
device = training.pick_device("cpu" if scale.current() != "full" else None)


def principal(task, videos, settings):
    """Return a function that makes the untrained model of this scale."""
    if scale.current() == "full":
        return None  # the convolutional one
    return lambda: study.PrincipalVideo(task, videos, n_components, settings)


turning = study.train(task, settings, digits, device, make=principal(task, digits, settings), desc="digits").model.cpu()
p_max = settings.depth
every = list(range(1, 16))
wrong = study.errors(turning, task, test_digits, every)
held_out = wrong[:, every.index(task.held_out)]
if scale.current() != "quick":
    factor = held_out[0] / held_out[1:].max()
    print("each depth p >= 1 is better than p = 0 at the held-out frame by a factor of 2 or more:", bool(factor >= 2))
    neighbours = wrong[p_max, [every.index(3), every.index(5)]].mean()
    print("deepest network: the error at the held-out frame is larger than at its neighbours:", bool(held_out[p_max] > neighbours))

# %% tags=["nbval-ignore-output"]
print("mean squared error per pixel, test videos")
print("depth p      held-out frame 4   frames 3 and 5   all other frames")
for p in range(p_max + 1):
    near = wrong[p, [every.index(3), every.index(5)]].mean()
    rest = wrong[p, [k for k, frame in enumerate(every) if frame not in (3, 4, 5)]].mean()
    print(f"{p:5d} {held_out[p]:19.4f} {near:16.4f} {rest:18.4f}")


# %%
@torch.no_grad()
def prediction(model, task, videos, depth=None):
    """Return frames for all depths and times, `(depths, videos, n_frames, h, w)`."""
    t = task.times(torch.arange(task.n_frames)).expand(len(videos), -1)
    return model(videos[:, : task.n_context], t, depth)


with torch.no_grad():
    predicted = prediction(turning, task, test_digits[5:6])[:, 0]
rows = {"truth": test_digits[5]} | {f"p = {p}": predicted[p] for p in range(p_max + 1)}
fig = plots.image_rows(rows, [str(k) for k in range(16)], width=8.5)
plt.show()

# %% [markdown]
# *Figure: a test video (top) and what the networks of the depths p = 0, 1, ... predict from its frame 0.
# No model was trained on column 4.*
#
# **Reading the picture.** At $p = 0$ nothing moves. At $p = 1$ a disc appears: the mean over all angles,
# the best answer of a network that does not use the time. From $p = 2$ on the digit turns, and the last depths sharpen it.
# A network of depth 1 *alone* could turn it as well (try `depth=1`); trained together, the first layer serves all depths,
# because its Jacobian multiplies every layer that follows.
# In column 4 the digit is blurred: the model *interpolates* there, between angles 45 degrees apart.
# A mask that masks shows what a leaking one would have hidden.

# %%
fig, axes = plt.subplots(1, p_max + 2, figsize=(1.3 * (p_max + 2), 1.6), dpi=50)
shown = []
for ax, (name, frames) in zip(axes, rows.items()):
    shown.append(ax.imshow(frames[0], cmap="gray", vmin=0, vmax=1))
    ax.set(title=name, xticks=[], yticks=[])


def draw(k):
    for picture, frames in zip(shown, rows.values()):
        picture.set_data(frames[k])


plots.animate(fig, draw, scale.pick(quick=3, lesson=16, full=16), interval=150, alt="a three turns; predictions of several depths beside the truth")

# %% [markdown]
# *Figure: the same in motion.*
#
# ## 5. Every depth throws the ball
#
# Now the balls: three frames of context, ten to predict. Three frames are enough to tell velocities.
# With principal components, at this scale, one ball is what we can afford; at full scale there are three.
# Depth 0 repeats the latest frame of the context.

# %%
n_balls, n_train, n_test = scale.pick(quick=(1, 60, 20), lesson=(1, 2000, 100), full=(3, 10_000, 500))
generator = torch.Generator().manual_seed(0)
balls = video.bouncing_balls(n_train + n_test, 13, n_balls, generator=generator)
balls, test_balls = balls[:n_train], balls[n_train:]
ball_task = replace(study.TASKS["balls"], n_frames=13, n_draw=scale.pick(quick=2, lesson=2, full=6))
settings = scale.pick(
    quick=study.Settings(width=16, depth=3, batch=8, steps=10, lr=1e-2, decay=0.5),
    lesson=study.Settings(width=128, depth=3, batch=64, steps=1000, lr=1e-2, decay=0.98),
    full=study.FULL["balls"],
)
flying = study.train(ball_task, settings, balls, device, make=principal(ball_task, balls, settings), desc="balls").model.cpu()
wrong_balls = study.errors(flying, ball_task, test_balls)
mean_of_ten = wrong_balls.mean(dim=1)
if scale.current() != "quick":
    print("each depth p >= 1 is better than p = 0 over ten frames by a factor of 1.5 or more:", bool(mean_of_ten[0] / mean_of_ten[1:].max() >= 1.5))

# %%
every_video = torch.stack([study.errors(flying, ball_task, clip[None]).mean(dim=1)[-1] for clip in test_balls[:25]])
typical = every_video.argsort()[len(every_video) // 2]  # neither the best nor the worst
predicted = prediction(flying, ball_task, test_balls[typical : typical + 1])[:, 0]
rows = {"truth": test_balls[typical]} | {f"p = {p}": predicted[p] for p in range(4)}
fig = plots.image_rows(rows, ["context"] * 3 + [str(k) for k in range(3, 13)], width=8.5)
plt.show()
fig, ax = plt.subplots(figsize=(6.5, 3.4))
for p, colour in zip(range(4), plots.PALETTE):
    ax.plot(range(1, 11), wrong_balls[p], "o-", color=colour, label=f"p = {p}")
ax.set(xlabel="predicted frame", ylabel="mean squared error", ylim=(0, None), xticks=range(1, 11))
ax.legend()
plt.show()

# %% [markdown]
# *Figure: a typical test video (the median error) and the predictions of the depths 0 to 3 (top); the error by predicted frame,
# for each depth (bottom).*
#
# **Reading the picture.** At depth 0 the ball stands still, and the error is that of standing still.
# The deeper networks move it. Errors grow with the horizon: a small error of the velocity becomes a large one
# of the place, and a blurred ball is the best answer to doubt.
# Principal components and half a minute are little for this task: section 8 shows what convolutions and a GPU reach,
# and section 7 what convolutions reach here, for three balls and a short horizon.

# %% [markdown]
# ## 6. Beyond the trained depth
#
# With coupled weights the same $\varphi$ acts in every layer, so that nothing stops us from going on:
# depth 5, 6, 7, 8 with a network that was trained up to 3.

# %% [markdown]
# ### Exercise 10.4 - Extrapolation (3 points, ~6 min)
# Return the predictions at the depths that were never trained.
# `model` is an `inimnet.LatentInImNet` of the package: it has `depth`, `coupled` and `phis` as in exercise 10.3,
# and `model(x, t, depth=k)` runs its recursion to depth `k`.
#
# <details><summary>Hint 1 - a nudge</summary>
# Which entries of the result for a larger depth are new?</details>
# <details><summary>Hint 2 - the idea</summary>
# Run to <code>model.depth + extra_depth</code>; the entry with index l belongs to depth l.</details>
# <details><summary>Hint 3 - almost the code</summary>
# Raise <code>ValueError</code> if not <code>model.coupled</code>; then
# <code>model(x, t, depth=model.depth + extra_depth)[model.depth + 1:]</code>.</details>

# %% nbgrader={"grade": false, "grade_id": "extrapolate", "locked": false, "schema_version": 3, "solution": true, "task": false}
def extrapolate(model, x, t, extra_depth):
    """Return the predictions at the depths depth + 1 .. depth + extra_depth.

    Args:
        model: an `inimnet.LatentInImNet`; it is left unchanged.
        x, t: codes `(s, latent_dim)` and times `(s,)`.
        extra_depth: so many depths beyond the trained one, at least 1.

    Returns:
        A tensor `(extra_depth, s, latent_dim)`.

    Raises:
        ValueError: if every layer has weights of its own: then there is nothing beyond.
    """
    ### BEGIN SOLUTION
    if not model.coupled:
        raise ValueError("a network whose layers have weights of their own ends at its depth")
    return model(x, t, depth=model.depth + extra_depth)[model.depth + 1 :]
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_extrapolate", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def trained(depth, coupled=True, seed=5):
    generator = torch.Generator().manual_seed(seed)
    model = inimnet.LatentInImNet(3, 6, depth, coupled=coupled).double()
    with torch.no_grad():
        for param in model.parameters():
            param.copy_(0.5 * torch.randn(param.shape, generator=generator, dtype=torch.float64))
    return model

generator = torch.Generator().manual_seed(4)
x, t = torch.randn(4, 3, generator=generator, dtype=torch.float64), torch.rand(4, generator=generator, dtype=torch.float64)

def to_depth(depth):
    return trained(2)(x, t, depth=depth).detach()

with check.exercise("extrapolate", points=3) as exercise:
    exercise.close(
        "trained to depth 2: the depths 3, 4 and 5",
        lambda: extrapolate(trained(2), x, t, 3),
        to_depth(5)[3:],
        mistakes={
            "all depths from 0 on are returned": to_depth(5),
            "the trained depth is among them": to_depth(5)[2:],
            "only the deepest is returned": to_depth(5)[-1],
            "the code at depth 2 is sent through the whole network again": trained(2)(to_depth(2)[2], t, depth=3).detach()[1:],
            "they are counted from depth 0": to_depth(3)[1:],
        },
    )
    exercise.raises("weights of their own: refused", lambda: extrapolate(trained(2, coupled=False), x, t, 1), ValueError)
    ### BEGIN HIDDEN TESTS
    exercise.close("one depth more, one sample", lambda: extrapolate(trained(3), x[:1], t[:1], 1), trained(3)(x[:1], t[:1], depth=4).detach()[4:])
    exercise.close(
        "keyword calls; the model still has its own depth afterwards",
        lambda: [model := trained(1), extrapolate(model=model, x=x, t=t, extra_depth=2), torch.tensor(model(x, t).shape)][1:],
        [trained(1)(x, t, depth=3).detach()[2:], torch.tensor([2, 4, 3])],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
settings = scale.pick(
    quick=study.Settings(width=16, depth=2, coupled=True, batch=4, steps=10, lr=1e-2, decay=0.5),
    lesson=study.Settings(width=64, depth=3, coupled=True, batch=10, steps=800, lr=1e-2, decay=0.98),
    full=replace(study.FULL["rotating"], coupled=True, steps=5000),
)
deepest = scale.pick(quick=3, lesson=8, full=8)
coupled = study.train(task, settings, digits, device, make=principal(task, digits, settings), desc="coupled").model.cpu()
by_depth = study.errors(coupled, task, test_digits[:40], every, deepest).mean(dim=1)
predicted = prediction(coupled, task, test_digits[5:6], deepest)[:, 0]
chosen = [settings.depth - 1, settings.depth, *range(settings.depth + 1, deepest + 1)]
rows = {"truth": test_digits[5]} | {f"p = {p}" + (" (new)" if p > settings.depth else ""): predicted[p] for p in chosen}
fig = plots.image_rows(rows, [str(k) for k in range(16)], width=8.5)
plt.show()
fig, ax = plt.subplots(figsize=(6.5, 3.2))
depths = range(deepest + 1)
ax.semilogy(depths, by_depth, "o-", color=plots.COLOURS["inimnet"])
ax.axvspan(settings.depth + 0.5, deepest + 0.5, color="0.92", zorder=0)
ax.text(deepest + 0.4, 1.05 * by_depth[settings.depth], "never trained", ha="right", va="bottom", color="0.4")
ax.set(xlabel="depth p", ylabel="mean squared error, all frames", xticks=depths)
plt.show()
if scale.current() != "quick":
    print("the first depth that was never trained is worse than the trained one:", bool(by_depth[settings.depth + 1] > by_depth[settings.depth]))

# %% [markdown]
# *Figure: predictions at trained and at new depths (top), and the error against the depth (bottom).*
#
# **Reading the picture.** In notebook 09 the throw of a ball could be continued, because both the network and the truth
# are polynomials in the depth. Here nothing says what depth 8 *should* look like: all depths were asked for the same frames.
# The prediction is a polynomial in the depth that was pinned down at a few trained depths;
# beyond them it leaves, slowly at first and then faster.

# %% [markdown]
# ## 7. From pixels to pixels
#
# No codes now. The state is a stack of images: the three context frames, the latest first.
# Each $\varphi$ is a small convolutional network on this stack, and the output is read as the *next three* frames.
# At $p = 0$ the context itself comes out.
# The authors count depth downwards from $q = 0$: their $p_{\min} = -1, -2, -3$ are our depths 1, 2 and 3.

# %% [markdown]
# ### Exercise 10.5 - A convolutional InImNet (4 points, ~8 min)
# Write the module. `inimnet.ConvField(channels)` of the package is a $\varphi$ for images.
# The recursion is that of exercise 10.3, without a time.
#
# <details><summary>Hint 1 - a nudge</summary>
# The recursion does not care about the shape of x, as long as phi keeps it.</details>
# <details><summary>Hint 2 - the idea</summary>
# Take your answer to 10.3, leave out the time, and put the other field in.</details>
# <details><summary>Hint 3 - almost the code</summary>
# <code>torch.stack(inimnet.inimnet_forward(layers, x))</code>, with <code>layers</code> as in 10.3.</details>

# %% nbgrader={"grade": false, "grade_id": "ConvInImNet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class ConvInImNet(torch.nn.Module):
    """Images at all depths.

    Args:
        channels: of the images.   depth: number of layers.
        coupled: one phi acts at all depths.

    Attributes:
        phis: `torch.nn.ModuleList` of `inimnet.ConvField(channels)`; phis[0] is phi_1. It has
            `depth` entries, or a single one with coupled weights.
    """

    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        ### BEGIN SOLUTION
        self.depth, self.coupled = depth, coupled
        count = 1 if coupled else depth
        self.phis = torch.nn.ModuleList(inimnet.ConvField(channels) for _ in range(count))
        ### END SOLUTION

    def forward(self, x):
        """Map images `x (s, channels, H, W)` to `(depth + 1, s, channels, H, W)`."""
        ### BEGIN SOLUTION
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward(layers, x))
        ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "test_ConvInImNet", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def with_weights(model, seed=7):
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    with torch.no_grad():
        for phi in model.phis:
            for param in phi.parameters():
                param.copy_(0.15 * torch.randn(param.shape, generator=generator, dtype=torch.float64))
    return model

generator = torch.Generator().manual_seed(6)
x = torch.randn(2, 2, 6, 5, generator=generator, dtype=torch.float64)

def reference(depth, coupled=False):
    return with_weights(inimnet.ConvInImNet(2, depth, coupled=coupled))(x).detach()

def variant(depth, change):
    return change(list(with_weights(inimnet.ConvInImNet(2, depth)).phis)).detach()

with check.exercise("ConvInImNet", points=4) as exercise:
    exercise.close(
        "two layers with given weights: images at all depths",
        lambda: with_weights(ConvInImNet(2, 2))(x),
        reference(2),
        mistakes={
            "the layers act in the other order": variant(2, lambda phis: torch.stack(inimnet.inimnet_forward(phis[::-1], x))),
            "only the deepest image is returned": reference(2)[-1],
            "depth 0 is missing": reference(2)[1:],
            "it is a residual network": variant(2, lambda phis: torch.stack(inimnet.resnet_forward_from(phis, x))),
        },
    )
    exercise.close(
        "coupled weights, depth 3",
        lambda: with_weights(ConvInImNet(2, 3, coupled=True))(x),
        reference(3, coupled=True),
        mistakes={"the single layer acts only once": reference(1, coupled=True)},
    )
    exercise.equal(
        "number of fields: three layers of their own, then coupled",
        lambda: [len(ConvInImNet(1, 3, coupled=c).phis) for c in (False, True)],
        [3, 1],
    )
    ### BEGIN HIDDEN TESTS
    exercise.close("keyword calls, one image, one layer", lambda: with_weights(ConvInImNet(channels=2, depth=1))(x=x[:1]), reference(1)[:, :1])
    exercise.close(
        "another size of images with the same weights, coupled",
        lambda: with_weights(ConvInImNet(2, 2, coupled=True))(x[..., :4]),
        with_weights(inimnet.ConvInImNet(2, 2, coupled=True))(x[..., :4]).detach(),
    )
    exercise.close(
        "the gradient that the input gets through depth 2",
        lambda: torch.autograd.functional.vjp(lambda x: with_weights(ConvInImNet(2, 2))(x)[2], x, x)[1],
        torch.autograd.functional.vjp(lambda x: with_weights(inimnet.ConvInImNet(2, 2))(x)[2], x, x)[1],
    )
    ### END HIDDEN TESTS
check.score(exercise)

# %%
n_train, n_test, n_steps, hidden, batch = scale.pick(
    quick=(30, 10, 3, 4, 4), lesson=(300, 100, 150, 8, 8), full=(10_000, 500, 6000, 32, 32)
)
generator = torch.Generator().manual_seed(0)
clips = video.bouncing_balls(n_train + n_test, 6, generator=generator)  # three balls


def train_pixels(depth):
    """Train a convolutional InImNet of one depth; return it and its error by depth and frame."""
    training.set_seed(depth)
    net = inimnet.ConvInImNet(3, depth, hidden=hidden, kernel_size=5).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, n_steps)
    draws = torch.Generator().manual_seed(depth)
    for _ in training.progress(range(n_steps), f"depth {depth}"):
        chosen = clips[torch.randint(n_train, (batch,), generator=draws)].to(device)
        optimizer.zero_grad()
        (net(chosen[:, :3].flip(1))[1:] - chosen[:, 3:]).square().mean().backward()
        optimizer.step()
        schedule.step()
    net = net.cpu()
    with torch.no_grad():
        error = (net(clips[n_train:, :3].flip(1)) - clips[n_train:, 3:]).square().mean(dim=(1, 3, 4))
    return net, error


pixels = {depth: train_pixels(depth) for depth in (1, 2, 3)}
if scale.current() != "quick":
    better = min((error[0].mean() / error[1:].mean(dim=1).max()).item() for _, error in pixels.values())
    print("every depth of every network beats the context by a factor of 2 or more:", better >= 2)

# %%
fig, axes = plt.subplots(1, 2, figsize=(7.4, 6.2))
for ax, k, name in ((axes[0], n_train, "testing"), (axes[1], 0, "training")):
    strips, labels = [clips[k, 3:]], ["truth"]
    with torch.no_grad():
        for depth, (net, _) in pixels.items():
            images = net(clips[k : k + 1, :3].flip(1))[:, 0].clamp(0, 1)
            strips += [images[p] for p in range(depth + 1)]
            labels += [f"$p_{{min}}$ = -{depth}:  p = {-p}" for p in range(depth + 1)]
    ax.imshow(torch.cat([torch.nn.functional.pad(torch.cat(list(s), dim=1), (0, 0, 1, 1), value=0.5) for s in strips]), cmap="gray", vmin=0, vmax=1)
    ax.set(title=f"{name}: the next three frames", xticks=[], yticks=[17 + 34 * k for k in range(len(labels))])
    ax.set_yticklabels(labels, fontsize=9)
    ax.grid(False)
plt.show()

# %% [markdown]
# *Figure: a testing and a training video. First row: the three frames to be predicted. Below: the outputs
# of three networks, trained to depths 1, 2 and 3, for every depth that each of them has.*
#
# **Reading the picture.** At $p = 0$ the context comes out, in reversed order. All other rows show the balls moved on.
# Testing and training rows look alike: a network that sees only a neighbourhood of each pixel has little to overfit.

# %% tags=["nbval-ignore-output"]
print("mean squared error of the next three frames, test videos")
for depth, (_, error) in pixels.items():
    for p, row in enumerate(error):
        print(f"p_min = {-depth}, p = {-p:2d}:", "  ".join(f"{value:.4f}" for value in row))

# %% [markdown]
# ## 8. At full size
#
# The full experiments ran on one GPU: 500 rotating threes of MNIST with a mask that masks, and 10 000 videos of three balls.
# The command for one of the runs, which can be stopped and started again, is
#
#     python -m odenets.studies.video rotating --data mnist --minutes 8 --seed 0 --out results
#
# and `balls` in place of `rotating` for the other task. What it measured is stored in the package;
# the cell below prints it beside what others have published.

# %%
runs = study.recorded()
print("rotating digits: mean squared error at the held-out frame, 542 test videos")
for run in (run for run in runs if run["task"] == "rotating"):
    name = f"{run['tag']}, seed {run['seed']}, {run['steps']} steps"
    print(f"  ours, {name:28s} p = 0..4: " + "  ".join(f"{value:.4f}" for value in run["mse"]))
for name, values in study.PUBLISHED["rotating"].items():
    print(f"  {name:34s}" + "  ".join(f"{value:.4f}" for value in values))
print("bouncing balls: mean over the 10 predicted frames, 500 test videos")
for run in (run for run in runs if run["task"] == "balls"):
    name = f"{run['tag']}, seed {run['seed']}, {run['steps']} steps"
    print(f"  ours, {name:28s} p = 0..3: " + "  ".join(f"{value:.4f}" for value in run["mse"]))
for name, values in study.PUBLISHED["balls"].items():
    print(f"  {name:34s}{sum(values) / len(values):.4f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
for run in (run for run in runs if run["task"] == "rotating"):
    label = f"{run['tag']}, seed {run['seed']} ({run['steps']} steps)"
    left.plot(range(1, 5), run["mse"][1:], "o-", label=label)
left.plot(range(1, 5), study.PUBLISHED["rotating"]["InImNet, 2 layers, depths 1 to 4"], "k--", label="published InImNet (mask leaks)")
left.axhline(study.PUBLISHED["rotating"]["Vialard et al."][0], color="0.5", ls=":", label="Vialard et al.")
left.set(xlabel="depth p", ylabel="error at the held-out frame", xticks=range(1, 5), ylim=(0.008, 0.018), title="rotating digits")
left.legend(fontsize=7.5, loc="upper right", ncols=2)
for run in (run for run in runs if run["task"] == "balls"):
    right.plot(range(1, 11), run["mse_by_frame"][-1], "o-", label=f"{run['tag']}, seed {run['seed']} ({run['steps']} steps)")
for (name, values), style in zip(study.PUBLISHED["balls"].items(), ("k--", "k:")):
    right.plot(range(1, 11), values, style, label=name)
right.set(xlabel="predicted frame", ylabel="mean squared error", title="bouncing balls, deepest network")
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# *Figure: full-size results. Left: the held-out frame of rotating digits by depth; "plain" is trained without deformed digits,
# "wide" is a larger network, and two of its runs were cut short. Right: balls, by predicted frame.*
#
# **Reading the picture.** Two things decide on the left, and depth is none of them: deformed training digits
# ("plain" has none) and enough steps. From $p = 1$ on the curves of long runs are flat: one layer and a good
# encoder are enough, and further depth changes nothing that one could see through the spread between runs.
# The published curve is flat from $p = 2$ on, too; its mask leaks, ours does not, so that the two are not the same exam.
# The published numbers also come from other sets of digits and balls, made by the same recipe.
# The numbers on the right are for videos of the same laws; those of Vialard et al. were drawn at 28 x 28 pixels.

# %% [markdown] nbgrader={"grade": false, "grade_id": "question_depth_table", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": true}
# ### Question 10.6 - Where does depth stop helping? (3 points, ~10 min)
# Look at the depth tables: yours of section 4, and that of section 8.
# In five or six sentences: between which depths does the error fall, and from where on does it not?
# Is the difference between the deepest two larger than the difference between seeds?
# Why can the held-out frame behave differently from the others, and what do the published numbers at that frame prove?
#
# ### BEGIN MARK SCHEME
# One point for each of these three, half of it for an incomplete answer:
#
# * **Where it stops.** The large step is from $p = 0$ (no motion, or the mean frame) to $p = 1$; in the small network of section 4
#   $p = 2$ still helps; at full size it is over at $p = 1$ or 2 (long runs: changes in the fourth decimal).
# * **Against what it must be measured.** Differences between the deepest depths are far smaller than those between seeds, numbers of
#   steps, or with and without deformed digits; so they are no evidence that depth 4 is better than depth 2.
#   All depths share layers and losses, so the depths of one run are not independent either.
# * **The held-out frame.** It needs interpolation between angles 45 degrees apart; the other frames were trained on (for other digits).
#   (It is also a quarter turn, which bilinear interpolation does not blur.) The published code masked nothing, so its numbers
#   at that frame measure generalisation to new digits, not to a new angle; they cannot be compared with ours directly.
# ### END MARK SCHEME

# %% [markdown]
# *Your answer to question 10.6: double-click here and write.*

# %% [markdown]
# ## 9. Turn the knob
#
# With `scale.use("full")` in the set-up cell, or `ODENETS_SCALE=full`, this notebook itself runs on MNIST and on three balls,
# with convolutional encoders and decoders; that takes a GPU and the better part of an hour.
# Smaller things to try here: turn another digit (`study.rotating_videos("digits", 5)`); give $\varphi$ the time as a plain number
# (`clock=False` in the settings) and look at the last frames; train with two balls; set `n_random` to 0.

# %% [markdown]
# ## Recap
#
# * Videos from a seed have laws that can be tested: energy, momentum, quarter turns.
# * A held-out frame is held out when no gradient path leads from it into the loss. A sum is not a product.
# * InImNet moves codes: the time is one more coordinate, and each depth makes its own prediction.
# * The first layers do nearly all the work. With coupled weights one can go deeper than one has trained, at one's own risk.
# * Convolutional layers do the same from pixels to pixels, trained from end to end.
#
# **Left out:** uncertainty (a blurred ball is the mean of sharp ones), longer horizons, and video in the wild.
#
# **Read on:** Corbett and Kangin 2022; Vialard et al. 2020; Yildiz et al. 2019.
#
# **Next:** this is the last notebook of the course. Back to the first:
# [01 - A residual network is Euler's method](../01_resnets_as_euler/01_resnets_as_euler.ipynb)
