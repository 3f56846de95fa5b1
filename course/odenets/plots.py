"""One look for all figures of the course.

The colours can be told apart with colour-blind eyes (Okabe and Ito 2008), and a method
keeps its colour from the first notebook to the last: `COLOURS["rk4"]`.
"""

import base64
import html
import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import torch
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from torch import Tensor

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, WINE = "#7F7F7F", "#882255"

PALETTE = [BLUE, RED, GREEN, ORANGE, PURPLE, SKY, WINE, BLACK]
"""For lines that are no method: take them in this order."""

CLASSES = [BLUE, ORANGE, GREEN, PURPLE, RED, SKY, WINE, BLACK, YELLOW, GREY]
"""One colour per class label, 0 to 9."""

MARKERS = ["o", "^", "s", "D", "v", "P", "X", "*", "<", ">"]
"""One marker per class label, for those who print in grey."""

COLOURS = {
    "exact": BLACK,
    "truth": BLACK,
    "data": GREY,
    # solvers
    "euler": RED,
    "midpoint": ORANGE,
    "heun": SKY,
    "rk4": BLUE,
    "rk4_38": PURPLE,
    "bosh3": WINE,
    "dopri5": GREEN,
    "leapfrog": PURPLE,
    "verlet": GREEN,
    # networks whose layers are steps
    "resnet": RED,
    "antisymmetric": SKY,
    "hamiltonian": GREEN,
    "continuous": BLUE,
    "iterated": BLUE,
    "untied": ORANGE,
    "cnn": GREY,
    "mlp": GREY,
    # networks that solve, flow, or go back
    "neural_ode": BLUE,
    "latent_ode": BLUE,
    "rnn": ORANGE,
    "backprop": RED,
    "adjoint": BLUE,
    "cnf": BLUE,
    "nf": ORANGE,
    "planar": ORANGE,
    "trace": BLUE,
    "determinant": RED,
    "hutchinson": GREEN,
    "vgg": BLACK,
    "irevnet": PURPLE,
    "iresnet": GREEN,
    "inimnet": BLUE,
    "approximate": ORANGE,
    # three signs of K
    "K+": RED,
    "K-": BLUE,
    "K0": GREEN,
}
"""The colour of each method, the same in all notebooks."""

SEQUENTIAL = "viridis"

Box = tuple[float, float, float, float]


def style() -> None:
    """Set the look of all figures that follow."""
    plt.rcParams.update(
        {
            "figure.figsize": (7.0, 4.0),
            "figure.dpi": 80,  # keeps a notebook with fifteen figures below 1 MB
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=PALETTE),
            "grid.alpha": 0.3,
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "legend.frameon": True,
            "legend.framealpha": 0.85,
            "legend.edgecolor": "none",
            "image.cmap": SEQUENTIAL,
            "animation.embed_limit": 10,
        }
    )


def _numpy(values: Any) -> np.ndarray:
    """Return tensors, arrays and lists alike as an array."""
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values)


def _grid(box: Box, n: int) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Return the coordinates `x`, `y` of an n x n grid and its points `(n * n, 2)`."""
    x, y = np.meshgrid(np.linspace(*box[:2], n), np.linspace(*box[2:], n))
    points = torch.from_numpy(np.stack([x.ravel(), y.ravel()], axis=1))
    return x, y, points.float()


def _within(ax: Axes, box: Box) -> None:
    ax.set(xlim=box[:2], ylim=box[2:], aspect="equal")


# ------------------------------------------------------------- points and fields


def scatter(
    ax: Axes, X: Any, labels: Any = None, names: Sequence[str] = (), **kwargs: Any
) -> None:
    """Draw points `(s, 2)`, one colour and marker per class; `names` for a legend."""
    X = _numpy(X)
    labels = np.zeros(len(X), dtype=int) if labels is None else _numpy(labels)
    options = {"s": 10, "alpha": 0.8, "linewidths": 0} | kwargs
    for label in np.unique(labels):
        name = names[label] if len(names) > label else None
        ax.scatter(
            *X[labels == label].T,
            color=CLASSES[label % len(CLASSES)],
            marker=MARKERS[label % len(MARKERS)],
            label=name,
            **options,
        )
    if len(names):
        ax.legend()


def slope_field(
    ax: Axes,
    f: Callable[[Any, Tensor], Tensor],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    t: float = 0.0,
    n: int = 19,
    **kwargs: Any,
) -> None:
    """Draw the direction of `f(t, y)` at an n x n grid of states, without its length.

    Args:
        f: vector field in the plane; called with all states at once, `(n * n, 2)`.
        xlim, ylim: what the picture shows.
        t: the time at which the field is read.
        n: arrows per side.
    """
    box = (*xlim, *ylim)
    x, y, points = _grid(box, n)
    with torch.no_grad():
        try:
            slope = _numpy(f(t, points))
        except RuntimeError:  # a field with float64 weights
            slope = _numpy(f(t, points.double()))
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    slope = np.divide(slope, length, out=np.zeros_like(slope), where=length > 0)
    options: dict[str, Any] = {"color": "0.7", "pivot": "mid", "scale": 1.4 * n}
    arrows = slope.T.reshape(2, n, n)
    ax.quiver(x, y, *arrows, **(options | {"width": 0.003} | kwargs))
    ax.set(xlim=xlim, ylim=ylim)


def trajectories(
    ax: Axes,
    paths: Any,
    color: str | Sequence[str] = BLUE,
    label: str | None = None,
    marker: str | None = None,
    **kwargs: Any,
) -> None:
    """Draw paths through the plane: a dot where they start, a cross where they end.

    Args:
        paths: `(N + 1, 2)` or `(N + 1, s, 2)`, as `solvers.odeint` returns them.
        color: one for all paths or one for each.
        label: for the legend.
        marker: also mark every step, for example ".".
    """
    paths = _numpy(paths)
    if paths.ndim == 2:
        paths = paths[:, None]
    for k in range(paths.shape[1]):
        colour = color if isinstance(color, str) else color[k]
        x, y = paths[:, k].T
        name = label if k == 0 else None
        ax.plot(x, y, marker=marker, color=colour, label=name, **kwargs)
        ax.plot(x[0], y[0], "o", color=colour, ms=6)
        ax.plot(x[-1], y[-1], "X", color=colour, ms=8, mec="white")


def decision_regions(
    ax: Axes,
    predict: Callable[[Tensor], Any],
    X: Any = None,
    labels: Any = None,
    box: Box | None = None,
    n: int = 200,
    **kwargs: Any,
) -> None:
    """Colour the plane by the class that a classifier gives to each point.

    Args:
        predict: takes float32 points `(m, 2)`; returns integer labels `(m,)`, or scores
            `(m, classes)` of which the largest wins, or the probabilities of class 1 in
            one column `(m, 1)`.
        X, labels: points to draw on top.
        box: `(left, right, bottom, top)`; by default a little more than the points.
        n: pixels per side.
    """
    if box is None:
        low, high = _numpy(X).min(axis=0), _numpy(X).max(axis=0)
        edge = 0.08 * (high - low)
        low, high = low - edge, high + edge
        box = (low[0], high[0], low[1], high[1])
    _, _, points = _grid(box, n)
    with torch.no_grad():
        answer = _numpy(predict(points))
    if answer.ndim == 2:
        one = answer.shape[1] == 1
        answer = answer[:, 0] > 0.5 if one else answer.argmax(axis=1)
    pale = [tuple(0.65 + 0.35 * c for c in to_rgb(name)) for name in CLASSES]
    ax.imshow(
        answer.astype(int).reshape(n, n),
        origin="lower",
        extent=box,
        cmap=ListedColormap(pale),
        vmin=-0.5,
        vmax=len(pale) - 0.5,
        interpolation="nearest",
    )
    ax.grid(False)
    if X is not None:
        scatter(ax, X, labels, **kwargs)
    _within(ax, box)


def stability_region(
    ax: Axes,
    growth: Callable[[np.ndarray], np.ndarray],
    color: str = BLUE,
    label: str | None = None,
    box: Box = (-3.5, 1.5, -3.5, 3.5),
    n: int = 300,
    fill: bool = True,
) -> None:
    """Draw where a solver is stable: the complex h lambda with `|growth| <= 1`.

    Args:
        growth: factor of one step for y' = lambda y, takes complex arrays `h lambda`.
        color, label: of the region's edge.
        box: `(left, right, bottom, top)`.
        n: grid points per side.
        fill: also tint the inside.
    """
    x, y = np.meshgrid(np.linspace(*box[:2], n), np.linspace(*box[2:], n))
    size = np.abs(_numpy(growth(x + 1j * y)))
    if fill:
        ax.contourf(x, y, size, levels=[0, 1], colors=[color], alpha=0.15)
    ax.contour(x, y, size, levels=[1], colors=[color], linewidths=1.8)
    ax.axhline(0, color="0.5", lw=0.8)
    ax.axvline(0, color="0.5", lw=0.8)
    if label:
        ax.plot([], [], color=color, label=label)
    ax.set(xlabel=r"Re $h\lambda$", ylabel=r"Im $h\lambda$")
    _within(ax, box)


# ------------------------------------------------------------------------ images


def image_row(
    ax: Axes,
    images: Any,
    titles: Sequence[str] = (),
    ylabel: str = "",
    vmin: float | None = 0.0,
    vmax: float | None = 1.0,
    cmap: str = "gray",
    gap: int = 2,
) -> None:
    """Draw images side by side in one axes.

    Args:
        images: `(k, h, w)`, `(k, 1, h, w)`, or `(k, 3, h, w)` in colour.
        titles: one above each image.
        ylabel: what the row is.
        vmin, vmax: values that are drawn black and white; None: the smallest, largest.
        cmap: colour map of grey images.
        gap: white pixels between the images.
    """
    images = _numpy(images).astype(float)
    if images.ndim == 4:
        grey, coloured = images[:, 0], images.clip(0, 1).transpose(0, 2, 3, 1)
        images = grey if images.shape[1] == 1 else coloured
    height, width = images.shape[1:3]
    for k, image in enumerate(images):
        left = k * (width + gap)
        ax.imshow(
            image,
            extent=(left, left + width, height, 0),
            cmap=cmap,
            vmin=images.min() if vmin is None else vmin,
            vmax=images.max() if vmax is None else vmax,
            interpolation="nearest",
        )
        if k < len(titles):
            ax.text(left + width / 2, -1, titles[k], ha="center", va="bottom", size=9)
    ax.set(xlim=(0, len(images) * (width + gap) - gap), ylim=(height, 0))
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(ylabel, rotation=0, ha="right", va="center")
    ax.grid(False)
    ax.spines[:].set_visible(False)


def image_rows(
    rows: Mapping[str, Any],
    titles: Sequence[str] = (),
    width: float = 9.0,
    **kwargs: Any,
) -> Figure:
    """Return a figure with one `image_row` per entry, its key on the left.

    Args:
        rows: images as in `image_row`, by the words that say what they are.
        titles: one above each column.
        width: of the figure, in inches.
        kwargs: for `image_row`.
    """
    shapes = [_numpy(images).shape for images in rows.values()]
    columns = max(shape[0] for shape in shapes)
    height = width / (columns + 1.5) * shapes[0][-2] / shapes[0][-1] * 1.12
    fig, axes = plt.subplots(
        len(rows), 1, figsize=(width, height * len(rows) + 0.3), squeeze=False
    )
    for k, (name, images) in enumerate(rows.items()):
        image_row(axes[k, 0], images, titles if k == 0 else (), name, **kwargs)
        axes[k, 0].set_xlim(0, columns * (shapes[0][-1] + kwargs.get("gap", 2)))
    return fig


# --------------------------------------------------------------------- densities


def density(
    ax: Axes,
    p: Callable[[Tensor], Tensor],
    box: Box,
    n: int = 150,
    cmap: str = SEQUENTIAL,
    **kwargs: Any,
) -> None:
    """Draw a density of the plane as a heat map.

    Args:
        p: takes float32 points `(m, 2)`, returns values `(m,)`, normalised or not.
        box: `(left, right, bottom, top)`.
        n: pixels per side.
        cmap: colour map.
    """
    _, _, points = _grid(box, n)
    with torch.no_grad():
        values = _numpy(p(points)).reshape(n, n)
    ax.imshow(values, origin="lower", extent=box, cmap=cmap, **({"vmin": 0} | kwargs))
    ax.grid(False)
    _within(ax, box)


def histogram(
    ax: Axes, X: Any, box: Box, n: int = 80, cmap: str = SEQUENTIAL, **kwargs: Any
) -> None:
    """Draw samples `(s, 2)` as a heat map of how many fall into each of n x n cells."""
    x, y = _numpy(X).T
    ax.hist2d(x, y, bins=n, range=(box[:2], box[2:]), cmap=cmap, **kwargs)
    ax.set_facecolor(mpl.colormaps[cmap](0.0))
    ax.grid(False)
    _within(ax, box)


# ------------------------------------------------------------------- convergence


def convergence(ax: Axes, x: Any, errors: Mapping[str, Any], marker: str = "o") -> None:
    """Draw errors against `x` (steps, step sizes) on logarithmic axes.

    Args:
        x: one value per measurement.
        errors: the measurements by method; methods of `COLOURS` get their colour.
        marker: of the measurements.
    """
    for name, values in errors.items():
        ax.loglog(
            _numpy(x),
            _numpy(values),
            marker=marker,
            color=COLOURS.get(name),
            label=name,
        )
    ax.legend()


def slope_triangle(
    ax: Axes, x: float, y: float, slope: float, width: float = 2.0, color: str = GREY
) -> None:
    """Draw a triangle that shows what a slope looks like on logarithmic axes.

    Args:
        x, y: its left corner.
        slope: of its long side; the order of a method, for example 4 or -1.
        width: ratio between the right and the left corner.
        color: of lines and number.
    """
    right, top = x * width, y * width**slope
    ax.plot([x, right, right, x], [y, y, top, y], color=color, lw=1)
    middle = (y * top) ** 0.5
    ax.annotate(
        f"{slope:g}",
        (right, middle),
        (4, 0),
        textcoords="offset points",
        color=color,
        va="center",
    )


# ------------------------------------------------------- pictures with their words


def show(fig: Figure, alt: str) -> None:
    """Show a finished figure below the cell, with words for those who cannot see it.

    Args:
        fig: the figure; it is closed.
        alt: what is to be seen, in a sentence or two, without "figure of".

    Raises:
        ValueError: if `alt` is empty.
    """
    from IPython.display import display

    display(_with_words(fig, alt))


def live(
    draw: Callable[..., Figure], alt: str, **choices: Sequence[float | str]
) -> None:
    """Show a figure whose settings can be changed with sliders and buttons.

    The picture is there without them too: where no kernel runs (GitHub, the printed
    page) or ipywidgets is missing, it shows the defaults of `draw`.

    Args:
        draw: returns a new figure; an argument, with a default, for each choice.
        alt: what the first picture shows, in words. Later ones are described by the
            titles of their axes: put what is measured into a title.
        choices: the values of each argument, in order: numbers become a slider, words
            buttons.

    Raises:
        ValueError: if a choice is no argument of `draw`, or its default not among the
            values.
    """
    from IPython.display import display

    now: dict[str, Any] = {}
    parameters = inspect.signature(draw).parameters
    for name, values in choices.items():
        start = parameters[name].default if name in parameters else None
        if start not in values:
            raise ValueError(
                f"live: draw needs an argument {name!r} with a default among "
                f"{list(values)}, not {start!r}"
            )
        now[name] = start
    picture = _with_words(draw(**now), alt)
    controls = _controls(choices, now)
    if controls is not None:
        # Only the widget itself: a frontend without widgets shows nothing in its place.
        display(controls, include=["application/vnd.jupyter.widget-view+json"])
    shown = display(picture, display_id=True)

    def changed(name: str, value: Any) -> None:
        now[name] = value
        state = ", ".join(f"{key} = {setting}" for key, setting in now.items())
        fig = draw(**now)
        titles = [ax.get_title() for ax in fig.axes if ax.get_title()]
        words = ". ".join([f"Now with {state}", *titles, f"At first: {alt}"])
        shown.update(_with_words(fig, words))

    for control in controls.children if controls is not None else ():
        control.observe(
            lambda change: changed(change["owner"].description, change["new"]), "value"
        )


def _controls(choices: Mapping[str, Sequence], now: Mapping[str, Any]) -> Any:
    """Return a slider for numbers, buttons for words; None without ipywidgets."""
    try:
        import ipywidgets
    except ImportError:
        return None
    made = []
    for name, values in choices.items():
        words = any(isinstance(value, str) for value in values)
        kind = ipywidgets.ToggleButtons if words else ipywidgets.SelectionSlider
        options = {} if words else {"continuous_update": False}
        made.append(
            kind(options=list(values), value=now[name], description=name, **options)
        )
    return ipywidgets.VBox(made)


def _with_words(fig: Figure, alt: str) -> Any:
    """Return the figure as an image with a description, and close it.

    It is HTML, since JupyterLab shows a bare image without its description.
    """
    from IPython.display import HTML

    if not alt.strip():
        raise ValueError("a figure needs words that say what is to be seen")
    file = io.BytesIO()
    fig.savefig(file, format="png", facecolor="white", bbox_inches="tight")
    plt.close(fig)
    data = base64.b64encode(file.getvalue()).decode()
    return HTML(f'<img src="data:image/png;base64,{data}" alt="{_words(alt)}">')


def _words(alt: str) -> str:
    return html.escape(" ".join(alt.split()))


# -------------------------------------------------------------------- animations


def animate(
    fig: Figure,
    draw: Callable[[int], Any],
    n_frames: int,
    interval: int = 100,
    controls: bool = False,
    alt: str = "animation",
    zoom: float = 1,
) -> Any:
    """Return a small animation that plays in a notebook, and close the figure.

    It needs no ffmpeg. The result is HTML with an animated GIF in it, or with buttons
    to stop and step (`controls`). Keep the figure small: every frame is stored.

    Args:
        fig: the figure that `draw` draws on.
        draw: `draw(k)` puts the figure into the state of frame k.
        n_frames: number of frames, at least 1.
        interval: milliseconds from frame to frame.
        controls: with a slider and buttons instead of a GIF.
        alt: what is to be seen, in words.
        zoom: the GIF is shown this many times larger than it is stored; without a
            slider only.
    Returns: an `IPython.display.HTML`; let it be the last expression of the cell.
    """
    from IPython.display import HTML

    if controls:
        film = FuncAnimation(fig, draw, frames=n_frames, interval=interval)
        page = film.to_jshtml(fps=cast(int, 1000 / interval))  # a float will do
        page = page.replace("<img ", f'<img alt="{_words(alt)}" ')
    else:
        frames = []
        for k in range(n_frames):
            draw(k)
            frames.append(_picture(fig))
        page = _gif(frames, interval, alt, zoom)
    plt.close(fig)
    return HTML(page)


def _picture(fig: Figure) -> Any:
    """Return the figure as a picture with few colours."""
    from PIL import Image

    file = io.BytesIO()
    fig.savefig(file, format="png", facecolor="white")
    file.seek(0)
    return Image.open(file).convert("RGB").quantize(64)


def _gif(frames: list, interval: int, alt: str, zoom: float) -> str:
    file = io.BytesIO()
    frames[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=interval,
        loop=0,
    )
    data = base64.b64encode(file.getvalue()).decode()
    size = ""
    if zoom != 1:
        width = round(zoom * frames[0].width)
        size = f' width="{width}" style="image-rendering: pixelated"'
    return f'<img src="data:image/gif;base64,{data}" alt="{_words(alt)}"{size}>'
