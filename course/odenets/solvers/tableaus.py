"""Explicit Runge-Kutta methods as data (HNW, chapter II)."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method with s stages (HNW, II.1.8).

    k_i = f(t + c_i h, y + h sum_j a_ij k_j),   y_new = y + h sum_i b_i k_i.

    Attributes:
        a: s rows; row i holds the i weights of the stages before it.
        b: s weights of the new state.
        c: s nodes.
        order: the local error is of size h^(order + 1).
        b_error: s weights of the error estimate h sum_i b_error_i k_i, which is the
            difference to an embedded method of lower order.
        dense: s rows of polynomial coefficients; between the ends of a step,
            y(t + x h) = y + h sum_i (dense_i0 x + dense_i1 x^2 + ...) k_i.
    """

    name: str
    order: int
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    b_error: tuple[float, ...] | None = None
    dense: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        """Check that the method is explicit and consistent.

        Raises:
            ValueError: it names the row that is wrong.
        """
        n = len(self.b)
        sums = [("b", self.b, 1.0), ("b_error", self.b_error or (), 0.0)]
        for i, (row, node) in enumerate(zip(self.a, self.c)):
            if len(row) != i:
                raise ValueError(
                    f"{self.name}: row {i} of a holds {len(row)} weights, not {i}; an "
                    "explicit method uses the stages before it"
                )
            sums.append((f"row {i} of a", row, node))
        for i, row in enumerate(self.dense or ()):  # at x = 1 the new state itself
            sums.append((f"row {i} of dense", row, self.b[i]))
        if not len(self.a) == len(self.c) == n or len(self.b_error or self.b) != n:
            raise ValueError(f"{self.name}: a, b, c and b_error need one entry a stage")
        for what, weights, total in sums:
            if abs(math.fsum(weights) - total) > 1e-12:
                raise ValueError(
                    f"{self.name}: {what} adds up to {math.fsum(weights):.6g}, not to "
                    f"{total:.6g}"
                )

    @cached_property
    def dense_matrix(self) -> Tensor:
        """`dense` as a tensor of double precision, `(s, degree)`."""
        return torch.tensor(self.dense, dtype=torch.float64)

    @property
    def last_is_next(self) -> bool:
        """Whether the last stage is the first stage of the next step ("FSAL")."""
        return self.b[-1] == 0 and self.a[-1] == self.b[:-1]


TABLEAUS = {
    tableau.name: tableau
    for tableau in (
        Tableau(name="euler", order=1, a=((),), b=(1,), c=(0,)),
        # Runge 1895
        Tableau(name="midpoint", order=2, a=((), (1 / 2,)), b=(0, 1), c=(0, 1 / 2)),
        # The trapezoidal rule, made explicit.
        Tableau(name="heun", order=2, a=((), (1,)), b=(1 / 2, 1 / 2), c=(0, 1)),
        Tableau(
            name="rk4",  # "the" Runge-Kutta method, HNW table II.1.2
            order=4,
            a=((), (1 / 2,), (0, 1 / 2), (0, 0, 1)),
            b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
            c=(0, 1 / 2, 1 / 2, 1),
        ),
        Tableau(
            name="rk4_38",  # Kutta's 3/8 rule, HNW table II.1.2
            order=4,
            a=((), (1 / 3,), (-1 / 3, 1), (1, -1, 1)),
            b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
            c=(0, 1 / 3, 2 / 3, 1),
        ),
        Tableau(
            name="bosh3",  # Bogacki and Shampine 1989; cubic Hermite between the ends
            order=3,
            a=((), (1 / 2,), (0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
            b=(2 / 9, 1 / 3, 4 / 9, 0),
            c=(0, 1 / 2, 3 / 4, 1),
            b_error=(-5 / 72, 1 / 12, 1 / 9, -1 / 8),
            dense=((1, -4 / 3, 5 / 9), (0, 1, -2 / 3), (0, 4 / 3, -8 / 9), (0, -1, 1)),
        ),
        Tableau(
            name="dopri5",  # Dormand and Prince 1980, HNW table II.5.2
            order=5,
            a=(
                (),
                (1 / 5,),
                (3 / 40, 9 / 40),
                (44 / 45, -56 / 15, 32 / 9),
                (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
                (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
                (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
            ),
            b=(35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0),
            c=(0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1),
            b_error=(
                71 / 57600,
                0,
                -71 / 16695,
                71 / 1920,
                -17253 / 339200,
                22 / 525,
                -1 / 40,
            ),
            dense=(  # Shampine 1986, of order 4
                (
                    1,
                    -8048581381 / 2820520608,
                    8663915743 / 2820520608,
                    -12715105075 / 11282082432,
                ),
                (0, 0, 0, 0),
                (
                    0,
                    131558114200 / 32700410799,
                    -68118460800 / 10900136933,
                    87487479700 / 32700410799,
                ),
                (
                    0,
                    -1754552775 / 470086768,
                    14199869525 / 1410260304,
                    -10690763975 / 1880347072,
                ),
                (
                    0,
                    127303824393 / 49829197408,
                    -318862633887 / 49829197408,
                    701980252875 / 199316789632,
                ),
                (
                    0,
                    -282668133 / 205662961,
                    2019193451 / 616988883,
                    -1453857185 / 822651844,
                ),
                (0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423),
            ),
        ),
    )
}
