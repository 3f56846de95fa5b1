"""Figures: what is drawn, and that they can be told apart."""

import base64
import io
import re
import sys

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from PIL import Image

from odenets import plots


@pytest.fixture(autouse=True)
def figure():
    with plt.rc_context():
        plots.style()
        fig, ax = plt.subplots()
        yield fig, ax
        plt.close("all")


def test_style_sets_the_palette():
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert colours == plots.PALETTE


def dichromat(rgb):
    """Red-green blindness (deuteranopia), after Machado et al. 2009, table 1."""
    matrix = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
    linear = np.asarray(rgb) ** 2.2
    return np.clip(matrix @ linear, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize(
    "group",
    [
        ("exact", "euler", "midpoint", "heun", "rk4", "rk4_38", "bosh3", "dopri5"),
        ("resnet", "antisymmetric", "hamiltonian", "continuous"),
        ("iterated", "untied", "cnn"),
        ("cnf", "nf", "exact"),
        ("backprop", "adjoint", "exact"),
        ("vgg", "irevnet", "iresnet", "resnet"),
        ("K+", "K-", "K0"),
    ],
)
@pytest.mark.parametrize("eyes", [np.asarray, dichromat])
def test_methods_of_one_figure_differ(group, eyes):
    seen = [eyes(to_rgb(plots.COLOURS[name])) for name in group]
    for k, one in enumerate(seen):
        for other in seen[k + 1 :]:
            assert np.abs(one - other).max() > 0.12


def test_slope_field_and_trajectories(figure):
    fig, ax = figure
    K = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    plots.slope_field(ax, lambda t, y: y @ K, (-1, 1), (-2, 2), n=5)
    (arrows,) = ax.collections
    lengths = np.hypot(arrows.U, arrows.V).reshape(5, 5)
    assert lengths[2, 2] == 0 and lengths[0, 0] == pytest.approx(1)
    # At (1, 0), the middle of the right edge, the field points up.
    assert arrows.V.reshape(5, 5)[2, 4] == pytest.approx(1)
    assert ax.get_ylim() == (-2, 2)
    plots.trajectories(ax, torch.rand(7, 3, 2), plots.PALETTE[:3], label="paths")
    assert len(ax.lines) == 9
    plots.trajectories(ax, torch.rand(7, 2, requires_grad=True), marker=".")
    assert len(ax.lines) == 12
    fig.canvas.draw()


@pytest.mark.parametrize("kind", ["labels", "scores", "column"])
def test_decision_regions(figure, kind):
    _, ax = figure

    def predict(X):
        right = X[:, 0] > 0
        if kind == "labels":
            return right.long()
        if kind == "scores":
            return torch.stack([-X[:, 0], X[:, 0]], dim=1)
        return torch.sigmoid(5 * X[:, :1])

    X = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    plots.decision_regions(ax, predict, X, torch.tensor([0, 1]), n=50)
    (image,) = ax.images
    values = image.get_array()
    assert (values[:, :25] == 0).all() and (values[:, 25:] == 1).all()
    assert len(ax.collections) == 2
    left, right = ax.get_xlim()
    assert left < -1 and right > 1


def test_stability_region_of_euler_is_the_disc(figure):
    _, ax = figure
    plots.stability_region(ax, lambda z: 1 + z, label="Euler", n=400)
    edge = ax.collections[-1].get_paths()[0].vertices
    assert np.hypot(edge[:, 0] + 1, edge[:, 1]) == pytest.approx(1, abs=1e-3)


def test_images(figure):
    _, ax = figure
    plots.image_row(ax, torch.rand(4, 1, 5, 6), titles=list("abcd"), ylabel="some")
    assert len(ax.images) == 4 and ax.images[1].get_extent() == [8, 14, 5, 0]
    fig = plots.image_rows(
        {"grey": torch.rand(3, 5, 6), "colour": torch.rand(3, 3, 5, 6)}
    )
    assert len(fig.axes) == 2 and fig.axes[1].images[0].get_array().shape == (5, 6, 3)
    fig.canvas.draw()


def test_density_and_histogram(figure):
    _, ax = figure
    box = (-2, 2, -1, 1)
    plots.density(ax, lambda z: torch.exp(-((z - 0.5) ** 2).sum(1)), box, n=41)
    values = ax.images[0].get_array()
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert (column, row) == (25, 30)  # the point (0.5, 0.5)
    plots.histogram(ax, torch.randn(100, 2), box)


def test_slope_triangle_has_the_slope(figure):
    _, ax = figure
    plots.convergence(ax, [0.1, 0.2], {"rk4": [1e-4, 16e-4], "mine": [1, 2]})
    assert ax.lines[0].get_color() == plots.COLOURS["rk4"]
    plots.slope_triangle(ax, 0.1, 1e-4, 4)
    x, y = ax.lines[-1].get_data()
    assert np.log(y[2] / y[0]) / np.log(x[2] / x[0]) == pytest.approx(4)


def test_animation_is_a_gif_with_all_frames(figure):
    fig, ax = figure
    fig.set_size_inches(2, 1.5)
    (line,) = ax.plot([0, 1], [0, 0])
    ax.set(xlim=(0, 1), ylim=(0, 5))
    html = plots.animate(
        fig, lambda k: line.set_ydata([0, k]), 4, 50, alt="a line turns", zoom=2
    )
    assert 'alt="a line turns"' in html.data
    data = html.data.split("base64,")[1].split('"')[0]
    film = Image.open(io.BytesIO(base64.b64decode(data)))
    assert film.n_frames == 4 and film.info["duration"] == 50
    assert f'width="{2 * film.width}"' in html.data  # shown larger than it is stored
    assert not plt.fignum_exists(fig.number)


def test_animation_with_controls(figure):
    fig, ax = figure
    (line,) = ax.plot([0, 1], [0, 0])
    html = plots.animate(fig, lambda k: line.set_ydata([0, k]), 2, controls=True)
    assert "<input" in html.data and "data:image/png" in html.data


# ------------------------------------------------------- pictures with their words


@pytest.fixture
def shown(monkeypatch):
    """What is displayed: the HTML of each picture, newest last, and the widgets."""
    seen = []

    class Handle:
        def update(self, picture):
            seen.append(picture.data)

    def display(thing, display_id=False, include=()):
        seen.append(getattr(thing, "data", thing))
        return Handle() if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return seen


def pixels(page):
    data = re.search(r'base64,([^"]+)"', page)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))


def test_show_gives_the_picture_its_words_and_closes_it(figure, shown):
    fig, ax = figure
    ax.plot([0, 1])
    plots.show(fig, 'A line <b> from "0"\nto 1.')
    assert 'alt="A line &lt;b&gt; from &quot;0&quot; to 1."' in shown[0]
    assert pixels(shown[0]).min() < 200 and not plt.fignum_exists(fig.number)
    with pytest.raises(ValueError, match="words"):
        plots.show(plt.figure(), " ")


def picture(h=0.5, field="sine"):
    fig, ax = plt.subplots(figsize=(2, 2))
    ax.plot([0, h], ls="-" if field == "sine" else ":")
    ax.set(ylim=(0, 1), title=f"the end is {h:g}")
    return fig


CHOICES = {"h": [0.25, 0.5, 1.0], "field": ["sine", "line"]}


def test_live_shows_the_defaults_and_follows_the_slider(shown):
    plots.live(picture, "A line that rises to h.", **CHOICES)
    controls, first = shown
    slider, buttons = controls.children
    assert slider.value == 0.5 and buttons.value == "sine"
    slider.value = 1.0
    buttons.value = "line"
    assert 'alt="A line that rises to h."' in first
    assert "Now with h = 1.0, field = sine." in shown[2]
    assert "Now with h = 1.0, field = line. the end is 1. At first:" in shown[3]
    assert len({pixels(page).tobytes() for page in shown[1:]}) == 3


def test_live_without_ipywidgets_is_the_still_picture(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    plots.live(picture, "A line that rises to h.", **CHOICES)
    assert len(shown) == 1 and "A line that rises to h." in shown[0]


@pytest.mark.parametrize("choices", [{"h": [1, 2]}, {"steps": [1, 2]}])
def test_live_asks_for_a_default_among_the_values(choices):
    with pytest.raises(ValueError, match="default among"):
        plots.live(picture, "A line that rises to h.", **choices)
