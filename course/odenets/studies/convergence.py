"""The convergence test on CIFAR-10: nets trained with one scheme, solved with another.

    python -m odenets.studies.convergence --out results

The nets are those of `odenets.studies.tables`: what that study has trained in the same
folder is not trained again. See `odenets.studies.study`.
"""

from collections.abc import Sequence
from pathlib import Path

from odenets.studies import continuous, tables
from odenets.studies.study import Row, Study

STEPS = {2: (1, 2, 3, 4, 6, 8, 16), 8: (1, 2, 4, 6, 8, 10, 12, 16, 24, 32)}
"""Numbers of steps per stage, for nets with so many cells."""


def jobs(
    names: Sequence[str] = ("euler-2", "rk4-2", "euler-8", "rk4-8"),
    /,
    recipe: str = "best",
    seeds: Sequence[int] = (1,),
) -> list[tables.Job]:
    """Return the nets that are solved anew.

    Args:
        names: rows of the tables.
        recipe: how they are trained
        seeds: of their training
    """
    return tables.jobs(names, [recipe], seeds)


def work(job: tables.Job, out: Path, device: str | None) -> Row:
    """Solve a trained net with every scheme and many numbers of steps."""
    folder, _ = tables.train(job, out, device)
    steps = STEPS[job.run.initial_time_d]
    found = continuous.evaluate(
        folder, steps=steps, test_batch_size=2000, device=device
    )
    return {"accuracies": found}


def one_accuracy_a_row(results: list[Row]) -> list[Row]:
    """Return a row for each net, scheme and number of steps."""
    return [
        {name: result[name] for name in ("row", "recipe", "seed")} | found
        for result in results
        for found in result["accuracies"]
    ]


STUDY = Study("convergence", jobs, work, one_accuracy_a_row)
recorded = STUDY.recorded
"""What was measured: rows with `row`, `recipe`, `seed`, `scheme`, `n_steps` and the
`accuracy` of the test."""

if __name__ == "__main__":
    STUDY.main()
