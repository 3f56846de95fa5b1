"""Predictions before a result, and the comparison with it after; nothing is graded."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """What may be typed: a number between `low` and `high`."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


def number(low: float, high: float) -> Number:
    """Let a prediction be any number between `low` and `high`."""
    return Number(low, high)


@dataclass(frozen=True)
class Prediction:
    """What someone expects; made by `predict`, compared by `reveal`."""

    mine: str | float | None  # None: nothing that can be compared
    within: float

    def reveal(self, answer: str | float, because: str) -> None:
        """Compare with what came out, and say why; silent without a prediction.

        Args:
            answer: the word or the number that is right.
            because: why, in one sentence.
        """
        if self.mine is None:
            return
        if isinstance(self.mine, str):
            right = self.mine == str(answer)
        else:
            right = abs(self.mine - float(answer)) <= 1e-9 * abs(float(answer)) or (
                self.mine * float(answer) > 0
                and 1 / self.within <= self.mine / float(answer) <= self.within
            )
        mine, came = (
            repr(value) if isinstance(value, str) else f"{float(value):.4g}"
            for value in (self.mine, answer)
        )
        said = "as you said" if right else f"you said {mine}, the answer is {came}"
        print(f"{said}: {because}")


def predict(
    question: str,
    among: Sequence[str] | Number,
    mine: str | float = "",
    within: float = 1.5,
) -> Prediction:
    """Take a prediction; with nothing typed nothing is printed, now and later.

    Args:
        question: what comes out?
        among: the words to choose from, or `number(low, high)`.
        mine: the prediction, to be typed between the quotes.
        within: by which factor a number may be off and still count.
    """
    typed = str(mine).strip()
    if not typed:
        return Prediction(None, within)
    if isinstance(among, Number):
        try:
            value = float(typed)
        except ValueError:
            value = float("nan")
        if among.low <= value <= among.high:
            return Prediction(value, within)
        print(f"{question} - type {among}, not {typed!r}")
        return Prediction(None, within)
    for word in among:
        if typed.casefold() == str(word).casefold():
            return Prediction(str(word), within)
    words = ", ".join(repr(str(word)) for word in among)
    print(f"{question} - type one of {words}, not {typed!r}")
    return Prediction(None, within)
