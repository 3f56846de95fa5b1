"""Networks with an ODE inside: a classifier of images and a model of time series.

Source: R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, *Neural ordinary differential
equations*, NeurIPS 2018: section 3 (`ODENet`) and section 5 (`LatentODE`).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from odenets.adjoint import odeint_adjoint
from odenets.solvers import Field, Settings, Stats, odeint


class ODEBlock(nn.Module):
    """A layer of continuous depth: the state at time 1 of y' = f(t, y), y(0) = x.

    Attributes:
        forward_stats, backward_stats: evaluations and steps since they were last reset.
            The second one counts only with `adjoint`.
        tolerance: relative and absolute; may be changed at any time.
    """

    def __init__(
        self,
        field: nn.Module,
        method: str = "dopri5",
        tolerance: float = 1e-3,
        options: dict[str, Any] | None = None,
        adjoint: bool = True,
    ) -> None:
        super().__init__()
        self.field, self.method, self.tolerance = field, method, tolerance
        self.options, self.adjoint = options, adjoint
        self.reset_stats()

    def reset_stats(self) -> None:
        self.forward_stats, self.backward_stats = Stats(), Stats()

    def forward(self, x: Tensor) -> Tensor:
        """Return the state at time 1, same shape as `x`."""
        settings = Settings(
            method=self.method,
            rtol=self.tolerance,
            atol=self.tolerance,
            options=self.options,
            stats=self.forward_stats,
        )
        solve: Any = odeint
        if self.adjoint:
            solve = partial(odeint_adjoint, adjoint_stats=self.backward_stats)
        return solve(self.field, x, (0.0, 1.0), **settings)[-1]


class ImageField(nn.Module):
    """A field of images: twice normalise, ReLU, convolve with the time as a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Group norm treats each sample alone: batch statistics would be a hidden state.
        groups = math.gcd(channels, 8)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, channels) for _ in range(3))
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + 1, channels, 3, padding=1) for _ in range(2)
        )

    def forward(self, t: float, y: Tensor) -> Tensor:
        """Return the speed of images `(s, channels, h, w)`."""
        time = torch.full_like(y[:, :1], t)
        for norm, conv in zip(self.norms, self.convs):
            y = conv(torch.cat([time, torch.relu(norm(y))], dim=1))
        return self.norms[-1](y)


class ODENet(nn.Module):
    """A classifier of images with one `ODEBlock` where others have residual blocks.

    With 64 channels it is the paper's net for MNIST: 208 266 parameters.
    """

    def __init__(
        self,
        channels: int = 64,
        n_classes: int = 10,
        image_channels: int = 1,
        **settings: Any,
    ) -> None:
        """`settings` are those of `ODEBlock`."""
        super().__init__()
        self.block = ODEBlock(ImageField(channels), **settings)
        groups = math.gcd(channels, 8)
        self.net = nn.Sequential(
            nn.Conv2d(image_channels, channels, 3),
            nn.GroupNorm(groups, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 4, stride=2, padding=1),
            nn.GroupNorm(groups, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 4, stride=2, padding=1),
            self.block,
            nn.GroupNorm(groups, channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return scores `(s, n_classes)` of images `(s, image_channels, h, w)`."""
        return self.net(x)


# ------------------------------------------------------------------- time series


class LatentField(nn.Module):
    """An autonomous field on the latent space, with two hidden layers."""

    def __init__(self, latent: int = 3, hidden: int = 20) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ELU(),
            nn.Linear(hidden, hidden),
            nn.ELU(),
            nn.Linear(hidden, latent),
        )

    def forward(self, t: float, z: Tensor) -> Tensor:
        return self.net(z)


class Encoder(nn.Module):
    """A recurrent net that reads a series backwards and guesses the state at time 0.

    It sees each value together with the time since the one before it, for the first
    value since time 0: the way that is still to go back. It is a GRU of 14 units, as
    large as the 25 plain ones of the paper, and reads long series better.
    """

    def __init__(self, n_values: int = 2, latent: int = 3, hidden: int = 14) -> None:
        super().__init__()
        self.rnn = nn.GRU(n_values + 1, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2 * latent)
        # With noise as large as the prior's a decoder learns at first to ignore z.
        with torch.no_grad():
            self.head.bias[latent:] = -4.0

    def forward(self, times: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of z(0), `(s, latent)` each.

        Args:
            times: when the values were observed, `(s, n)`, increasing, from 0 on.
            x: values, `(s, n, n_values)`.
        """
        gaps = torch.diff(times, dim=1, prepend=torch.zeros_like(times[:, :1]))
        series = torch.cat([x, gaps[:, :, None]], dim=2).flip(1)
        last = self.rnn(series)[1][0]
        mean, log_var = self.head(last).chunk(2, dim=1)
        return mean, log_var


class LatentODE(nn.Module):
    """A variational autoencoder whose latent state follows an ODE (Chen et al., 5).

    A series begins with a latent state z(0), drawn from N(0, I), moves along
    z' = f(z), and is seen through a decoder with Gaussian noise at any time at all.

    The paper has 4 latent dimensions and a hidden layer in the decoder. Then nothing
    makes the paths of different series share one picture, and after a short training
    they may lead anywhere beyond the last observation. Here the decoder is linear: as
    many dimensions of z as there are values are what is seen, few are left.
    """

    def __init__(
        self,
        n_values: int = 2,
        latent: int = 3,
        hidden: int = 20,
        encoder_hidden: int = 14,
        decoder_hidden: int | None = None,
        unit: float = 5.0,
        tolerance: float = 1e-4,
        adjoint: bool = False,
    ) -> None:
        """Make a model whose values have the size of `unit`.

        With `decoder_hidden` the decoder has a hidden layer of so many ReLU units; with
        `adjoint` gradients come from the adjoint equation, see `ODEBlock`.
        """
        super().__init__()
        self.encoder = Encoder(n_values, latent, encoder_hidden)
        self.field = LatentField(latent, hidden)
        self.decoder: nn.Module = nn.Linear(latent, n_values)
        if decoder_hidden is not None:
            self.decoder = nn.Sequential(
                nn.Linear(latent, decoder_hidden),
                nn.ReLU(),
                nn.Linear(decoder_hidden, n_values),
            )
        self.unit, self.tolerance, self.adjoint = unit, tolerance, adjoint

    def encode(self, times: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of z(0), `(s, latent)`, as `forward` asks."""
        return self.encoder(times, x / self.unit)

    def latent_path(self, z0: Tensor, times: Tensor) -> Tensor:
        """Follow latent states from time 0: `(s, latent)` -> `(s, n, latent)`.

        Args:
            z0: states at time 0.
            times: `(n,)`, strictly monotone from there on; before 0 they decrease.
        """
        starts_now = times[0].item() == 0
        grid = times if starts_now else torch.cat([times.new_zeros(1), times])
        solve: Any = odeint_adjoint if self.adjoint else odeint
        path = solve(self.field, z0, grid, rtol=self.tolerance, atol=self.tolerance)
        return (path if starts_now else path[1:]).transpose(0, 1)

    def forward(
        self,
        times: Tensor,
        x: Tensor,
        ahead: Tensor,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read a series and say what it is at the times `ahead`.

        Args:
            times: when the values were observed, `(s, n)`, increasing.
            x: values, `(s, n, n_values)`.
            ahead: times from 0 on, `(m,)`, the same for all series.
            generator: of the noise; without one the mean of z(0) is used.
        Returns: values `(s, m, n_values)`; mean, log-variance of z(0), `(s, latent)`.
        """
        mean, log_var = self.encode(times, x)
        z0 = mean
        if generator is not None:
            noise = torch.randn(
                mean.shape, generator=generator, dtype=mean.dtype, device="cpu"
            )
            z0 = mean + torch.exp(0.5 * log_var) * noise.to(mean.device)
        return self.decode(self.latent_path(z0, ahead)), mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        """Return the values that latent states `(.., latent)` stand for."""
        return self.unit * self.decoder(z)


def elbo(
    x: Tensor, x_hat: Tensor, mean: Tensor, log_var: Tensor, sigma: float
) -> Tensor:
    """Return the evidence lower bound of each series (Chen et al., section 5).

    log N(x; x_hat, sigma^2 I), summed over all values of a series, minus
    KL(N(mean, exp(log_var)) || N(0, I)), summed over the latent dimensions.

    Args:
        x, x_hat: values and their reconstruction, `(s, ..)`.
        mean, log_var: of the latent state, `(s, d)`.
        sigma: standard deviation of the noise on each value.
    Returns: `(s,)`.
    """
    constant = math.log(2 * math.pi * sigma**2)
    log_likelihood = -0.5 * (((x - x_hat) / sigma) ** 2 + constant).flatten(1).sum(1)
    divergence = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return log_likelihood - divergence


class Forecaster(nn.Module):
    """A plain RNN that predicts the next value from this one and the time between.

    With 35 hidden units it has 1472 parameters; `LatentODE` has 1459. `cell` may be
    `nn.GRU`, of which 20 units have 1542.
    """

    def __init__(
        self,
        n_values: int = 2,
        hidden: int = 35,
        cell: Callable[..., nn.RNNBase] = nn.RNN,
    ) -> None:
        super().__init__()
        self.rnn = cell(n_values + 1, hidden, batch_first=True)
        self.head = nn.Linear(hidden, n_values)

    def forward(self, times: Tensor, x: Tensor) -> Tensor:
        """Predict values 1, .., n - 1, each from those before it.

        Args:
            times: `(s, n)`.   x: values, `(s, n, n_values)`.
        Returns: `(s, n - 1, n_values)`.
        """
        gaps = times.diff(dim=1)[:, :, None]
        return self.head(self.rnn(torch.cat([x[:, :-1], gaps], dim=2))[0])

    def extrapolate(self, times: Tensor, x: Tensor, ahead: Tensor) -> Tensor:
        """Read a series and go on from there, feeding each prediction back.

        Args:
            times: `(s, n)`.   x: values, `(s, n, n_values)`.
            ahead: later times, `(m,)`.
        Returns: `(s, m, n_values)`.
        """
        gaps = times.diff(dim=1)[:, :, None]
        state = None
        if x.shape[1] > 1:
            state = self.rnn(torch.cat([x[:, :-1], gaps], dim=2))[1]
        value, before, values = x[:, -1], times[:, -1], []
        for time in ahead:
            gap = (time - before)[:, None]
            seen, state = self.rnn(torch.cat([value, gap], dim=1)[:, None], state)
            value, before = self.head(seen[:, 0]), time.expand_as(before)
            values.append(value)
        return torch.stack(values, dim=1)


def reverse_reconstruction_error(f: Field, y0: Tensor, t1: float, solve: Any) -> float:
    """Go from 0 to t1 and back; return the largest absolute difference to `y0`.

    The adjoint method walks backwards like this: where the error is large, so is the
    error of its gradient.
    """
    return (solve(f, solve(f, y0, 0.0, t1), t1, 0.0) - y0).abs().max().item()
