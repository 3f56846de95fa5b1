"""One way to train: seeds, device, progress bar, loop, checkpoints, evaluation."""

import contextlib
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# ------------------------------------------------------------- seeds and devices


def set_seed(seed: int) -> None:
    """Seed every global source of randomness: torch, numpy and Python's random."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 -- the global generator is meant
    torch.manual_seed(seed)
    # The fastest convolution of a GPU may differ from run to run; take a fixed one.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def pick_device(name: str | None = None) -> torch.device:
    """Return the device to compute on.

    Args:
        name: `cuda`, `cuda:1`, `mps`, `cpu`; None or `auto` takes the first of cuda,
            mps and cpu that this machine has. Where a named device is missing, a notice
            goes to stderr and the choice is automatic.
    Raises:
        ValueError: if the name is none of a device.
    """
    best = "cpu"
    if torch.backends.mps.is_available():
        best = "mps"
    if torch.cuda.is_available():
        best = "cuda"
    if name in (None, "auto"):
        return torch.device(best)
    try:
        wanted = torch.device(name)
    except RuntimeError:
        raise ValueError(f"{name!r} is not a device; use cuda, mps or cpu") from None
    here = {
        "cpu": True,
        "cuda": (wanted.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted.type not in here:
        raise ValueError(f"{name!r} is not supported; use cuda, mps or cpu")
    if here[wanted.type]:
        return wanted
    print(f"Notice: no device {name} on this machine, using {best}.", file=sys.stderr)
    return torch.device(best)


# ------------------------------------------------------------------ progress bar


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ in ("ZMQInteractiveShell", "Shell")


def shows_progress() -> bool:
    """Tell whether somebody watches: a terminal or a notebook, and nobody said no.

    `ODENETS_PROGRESS=off` says no; so do the quick scale and nbgrader.
    """
    if os.environ.get("ODENETS_PROGRESS", "").lower() in ("off", "0", "no", "false"):
        return False
    if os.environ.get("ODENETS_SCALE") == "quick":
        return False
    if os.environ.get("NBGRADER_EXECUTION"):
        return False
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def progress(
    iterable: Iterable | None, desc: str = "", total: int | None = None
) -> Any:
    """Return `iterable` with a progress bar that disappears when it is done.

    For None it is a context manager, whose `update()` counts one of `total`.

    The bar goes to stderr or to a widget, never to stdout. When nobody watches (see
    `shows_progress`) there is none.

    Returns: an iterable; its `set_postfix_str(text)` shows a number next to the bar.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "IProgress not found": text will do
        from tqdm.auto import tqdm
        from tqdm.notebook import tqdm as notebook_tqdm
    options = {"desc": desc, "total": total, "leave": False}
    if not shows_progress():
        return tqdm(iterable, disable=True, **options)
    if issubclass(tqdm, notebook_tqdm):
        return _widget(tqdm, iterable, options)
    return tqdm(iterable, **options)


def _widget(tqdm: type, iterable: Iterable | None, options: dict[str, Any]) -> Any:
    """Return a bar in a notebook that leaves nothing in the stored output.

    By itself tqdm only hides its widget. A saved notebook that is opened again then
    says "model not found" in its place, and a loop left early keeps a red bar.
    """
    from IPython.display import display

    class Bar(tqdm):
        def close(self) -> None:
            if not self.disable:
                super().close()
                place.update({"text/plain": ""}, raw=True)

    bar = Bar(iterable, display=False, **options)
    place = display(bar.container, display_id=True)
    return bar


# -------------------------------------------------------------------- evaluation


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within: eval mode, no gradients. After, also after an error: modes as before."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def evaluate(
    model: nn.Module,
    batches: Iterable,
    metric: Callable[..., Tensor],
    device: torch.device | str | None = None,
) -> float:
    """Return the mean over all samples of `metric(model(inputs), *targets)`.

    Args:
        model: evaluated in eval mode; the mode of every module is restored.
        batches: tensors or tuples `(inputs, *targets)`; sizes may differ.
        metric: returns one value per sample, shape `(s,)`, or the mean of the batch.
        device: where the batches are moved to; None leaves them.
    Raises:
        ValueError: if there is no batch.
    """
    total, count = 0.0, 0
    with evaluating(model):
        for batch in batches:
            inputs, targets = _split(batch, device)
            value = metric(model(inputs), *targets)
            total += value.double().mean().item() * len(inputs)
            count += len(inputs)
    if not count:
        raise ValueError("there are no batches to evaluate on")
    return total / count


def accuracy(
    model: nn.Module, batches: Iterable, device: torch.device | str | None = None
) -> float:
    """Return the fraction of samples whose largest output is at their label.

    Args:
        model: returns scores `(s, n_classes)`; evaluated as in `evaluate`.
        batches: tuples `(inputs, labels)`.
        device: where the batches are moved to; None leaves them.
    """

    def hit(scores: Tensor, labels: Tensor) -> Tensor:
        return (scores.argmax(dim=1) == labels).float().cpu()

    return evaluate(model, batches, hit, device)


def _split(batch: Any, device: torch.device | str | None) -> tuple[Tensor, list]:
    """Return the inputs and the list of targets of a batch, on the device."""
    parts = [batch] if isinstance(batch, Tensor) else list(batch)
    if device is not None:
        parts = [p.to(device) if isinstance(p, Tensor) else p for p in parts]
    return parts[0], parts[1:]


# ------------------------------------------------------------------- checkpoints


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or belongs to something else."""


_FORMAT = "odenets checkpoint 1"


def random_states() -> dict[str, Any]:
    """Return the states of all global generators, as tensors and plain Python."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    states = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), position, has_gauss, gauss),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put all global generators back to what `random_states` returned."""
    torch.set_rng_state(states["torch"].cpu())
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    np.random.set_state(tuple(states["numpy"]))  # noqa: NPY002
    if "cuda" in states and torch.cuda.is_available():
        saved = [state.cpu() for state in states["cuda"]]
        torch.cuda.set_rng_state_all(saved[: torch.cuda.device_count()])


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write `state` so that a crash at any moment leaves the old or the new file.

    Args:
        path: the file; its folder is made when missing.
        state: tensors, numbers, strings, lists and dicts of them: no code is stored.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name per process: two runs that share a path do not write into each other.
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            torch.save({"format": _FORMAT} | state, file)
            file.flush()
            os.fsync(file.fileno())  # on the disk before it takes the name
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; the file is only read, and runs no code.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is truncated or not one of ours.
    """
    path = Path(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as e:
        raise CheckpointError(
            f"{path} cannot be read: it is truncated or not a checkpoint of odenets. "
            "It was left as it is; move it away to start anew."
        ) from e
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of odenets. It was left as it is; give "
            "another path."
        )
    return state


def training_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any = None,
    batches: Any = None,
) -> dict[str, Any]:
    """Return all that training goes on from: weights, optimiser, random numbers."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict() if scheduler is not None else None,
        "random": random_states(),
        "order": None,
    }
    generator = getattr(batches, "generator", None)
    if isinstance(generator, torch.Generator):
        state["order"] = generator.get_state()
    return state


def restore_training_state(
    state: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any = None,
    batches: Any = None,
) -> None:
    """Put back what `training_state` returned.

    Raises:
        CheckpointError: if it belongs to another model or optimiser.
    """
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if scheduler is not None:
            scheduler.load_state_dict(state["scheduler"])
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"the checkpoint belongs to another model or optimiser ({first}); the file "
            "was left as it is"
        ) from error
    generator = getattr(batches, "generator", None)
    if state.get("order") is not None and isinstance(generator, torch.Generator):
        generator.set_state(state["order"].cpu())
    restore_random_states(state["random"])


# ---------------------------------------------------------------------- the loop

History = dict[str, list[float]]


def train_epoch(
    model: nn.Module,
    batches: Iterable,
    loss_fn: Callable[..., Tensor],
    optimizer: torch.optim.Optimizer,
    device: torch.device | str | None = None,
    desc: str | None = None,
) -> float:
    """Go through the batches once, one optimiser step each; return the mean loss.

    Args: as in `fit`; with `desc` there is a progress bar over the batches.
    Raises:
        FloatingPointError: if the mean loss is not finite.
    """
    model.train()
    total, count = 0.0, 0
    for batch in batches if desc is None else progress(batches, desc):
        inputs, targets = _split(batch, device)
        optimizer.zero_grad()
        loss = loss_fn(model(inputs), *targets)
        loss.backward()
        optimizer.step()
        # Stays on the device: asking for the number would wait for the GPU.
        total = total + loss.detach() * len(inputs)
        count += len(inputs)
    if not count:
        raise ValueError("there are no batches to train on")
    mean = float(total) / count
    if not np.isfinite(mean):
        raise FloatingPointError(
            f"the loss became {mean}: try a smaller learning rate or smaller steps"
        )
    return mean


def fit(
    model: nn.Module,
    batches: Iterable,
    loss_fn: Callable[..., Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: int,
    *,
    scheduler: Any = None,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
    callback: Callable[[int, nn.Module], dict[str, float] | None] | None = None,
    desc: str = "training",
) -> History:
    """Train, and return what happened.

    Args:
        model: trained in place, in train mode; the caller moves it to `device`.
        batches: gone through once per epoch (a DataLoader, or a list). A batch is a
            tuple `(inputs, *targets)` or a tensor.
        loss_fn: the loss to minimise is `loss_fn(model(inputs), *targets)`.
        optimizer: holds the model's parameters.
        epochs: number of epochs in all, those of an earlier run included.
        scheduler: learning rate schedule, stepped after every epoch.
        device: where the batches are moved to; None leaves them.
        checkpoint: a file that is written after every epoch. When it exists already,
            training goes on from it, bit for bit as if it had never stopped.
        callback: called as `callback(epoch, model)` after every epoch, from 0; numbers
            that it returns in a dict are noted in the history.
        desc: words next to the progress bar.
    Returns: the history, `{"loss": [one mean per epoch], ..}` and the callback's keys.
    Raises:
        FloatingPointError: if the loss is no longer finite.
        CheckpointError: if the checkpoint is damaged or belongs to something else; the
            file is left as it is.
    """
    history: History = {"loss": []}
    if checkpoint is not None and Path(checkpoint).exists():
        state = load_checkpoint(checkpoint)
        restore_training_state(state, model, optimizer, scheduler, batches)
        history = state["history"]
    bar = progress(range(len(history["loss"]), epochs), desc)
    for epoch in bar:
        loss = train_epoch(model, batches, loss_fn, optimizer, device)
        if scheduler is not None:
            scheduler.step()
        history["loss"].append(loss)
        noted = (callback(epoch, model) if callback is not None else None) or {}
        for name, value in noted.items():
            history.setdefault(name, []).append(value)
        bar.set_postfix_str(f"loss {loss:.3g}")
        if checkpoint is not None:
            state = training_state(model, optimizer, scheduler, batches)
            save_checkpoint(checkpoint, state | {"history": history})
    return history
