"""One way to train: seeds, device, progress bar, loop, checkpoints, evaluation."""

import contextlib
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from odenets import scale

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

    `ODENETS_PROGRESS=off` says no; so does the quick scale, and with it nbgrader.
    """
    if os.environ.get("ODENETS_PROGRESS", "").lower() in ("off", "0", "no", "false"):
        return False
    if scale.current() == "quick":
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
            inputs, *targets = _parts(_moved(batch, device))
            # On the CPU first: not every device has float64.
            value = metric(model(inputs), *targets).cpu().double()
            total += value.sum().item() * (len(inputs) / value.numel())
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
        return scores.argmax(dim=1) == labels

    return evaluate(model, batches, hit, device)


# ------------------------------------------------------------------- checkpoints


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or belongs to something else."""


_FORMAT = "odenets checkpoint 1"


def random_states() -> dict[str, Any]:
    """Return the states of all global generators, as tensors and plain Python."""
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    kind, keys, position, has_gauss, gauss = numpy_state
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
    also: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return all that training goes on from: weights, optimiser, random numbers.

    Args: as in `fit`.
    """
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict() if scheduler is not None else None,
        "random": random_states(),
        "order": None,
        "also": {name: part.state_dict() for name, part in (also or {}).items()},
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
    also: dict[str, Any] | None = None,
) -> None:
    """Put back what `training_state` returned.

    Raises:
        CheckpointError: if it belongs to another model, optimiser or kind of device.
    """
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if scheduler is not None:
            scheduler.load_state_dict(state["scheduler"])
        for name, part in (also or {}).items():
            part.load_state_dict(state["also"][name])
        generator = getattr(batches, "generator", None)
        if state.get("order") is not None and isinstance(generator, torch.Generator):
            generator.set_state(state["order"].cpu())
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(
            "the checkpoint belongs to another model, optimiser or kind of device "
            f"({first}); the file was left as it is"
        ) from error
    restore_random_states(state["random"])


# ---------------------------------------------------------------------- the loop

History = dict[str, list[float]]


class Step:
    """One step of the optimiser: called with a batch, it returns the loss.

    The order is: forward, backward, clip, optimiser, scheduler, `after_step`. Nothing
    waits for the device; the loss is a tensor that stays there.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[..., Tensor] | None,
        optimizer: torch.optim.Optimizer,
        *,
        batch_loss: Callable[[Any], Tensor] | None = None,
        scheduler: Any = None,
        clip: float | None = None,
        after_step: Callable[[nn.Module], Any] | None = None,
        device: torch.device | str | None = None,
        mixed_precision: bool = False,
        capture: bool = False,
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            model: trained in place; the caller moves it to `device`.
            loss_fn: the loss to minimise is `loss_fn(model(inputs), *targets)`.
            optimizer: holds the model's parameters.
            batch_loss: any other loss, `batch_loss(batch)`, in place of `loss_fn`,
                which is then None.
            scheduler: learning rate schedule that is stepped after every step.
            clip: the longest that the gradient of all parameters together may be; a
                longer one is scaled down to this norm.
            after_step: called with the model after every step, e.g. to normalise
                weights or to keep a running mean of them.
            device: where the batches are moved to; None leaves them.
            mixed_precision: compute in bfloat16 what bears it (`torch.autocast`);
                weights and their updates stay float32. Not for a solver that meets a
                tolerance: a step of it cannot be more exact than its field.
            capture: record forward and backward pass of each shape of batch once as a
                CUDA graph and play it back, where there is such a device: a small net
                is bound by launching its kernels, and a graph is one launch. For losses
                that do the same for every batch: what Python decided or drew while
                recording stays as it was. Where recording fails, a notice goes to
                stderr and the steps are taken one kernel at a time.
        Raises:
            ValueError: if there is not exactly one of `loss_fn` and `batch_loss`.
        """
        if (loss_fn is None) == (batch_loss is None):
            raise ValueError("give either loss_fn or batch_loss, and not both")
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        if loss_fn is not None:
            batch_loss = partial(_supervised, model, loss_fn)
        self.loss: Any = batch_loss
        self.clip, self.after_step, self.device = clip, after_step, device
        self.mixed_precision, self.capture = mixed_precision, capture
        self._graphs: dict[Any, _Captured] = {}

    def __call__(self, batch: Any) -> Tensor:
        """Take one step; return the loss, without a graph."""
        batch = _moved(batch, self.device)
        loss = self._captured(batch) if self.capture else self.gradients(batch)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        if self.after_step is not None:
            self.after_step(self.model)
        return loss

    def epoch(self, batches: Iterable, desc: str | None = None) -> float:
        """Go through the batches once, in train mode; return the mean loss.

        Args:
            batches: as in `fit`.
            desc: words next to a progress bar over the batches; None shows none.
        Raises:
            ValueError: if there is no batch.
            FloatingPointError: if the mean loss is not finite.
        """
        self.model.train()
        total: Tensor | float = 0.0
        count = 0
        for batch in batches if desc is None else progress(batches, desc):
            size = _size(batch)
            # Stays on the device: asking for the number would wait for the GPU.
            total = total + self(batch) * size
            count += size
        if not count:
            raise ValueError("there are no batches to train on")
        mean = float(total) / count
        if not np.isfinite(mean):
            raise FloatingPointError(
                f"the loss became {mean}: try a smaller learning rate or smaller steps"
            )
        return mean

    def gradients(self, batch: Any) -> Tensor:
        """Set the gradients of all parameters; return the loss, without a graph."""
        self.optimizer.zero_grad()
        with _autocast(self.model) if self.mixed_precision else _NOTHING:
            loss = self.loss(batch)
        loss.backward()
        return loss.detach()

    def _captured(self, batch: Any) -> Tensor:
        """Set the gradients as `gradients` does, from a recording if there can be."""
        parts = [batch] if isinstance(batch, Tensor) else batch
        if not (isinstance(parts, (tuple, list)) and all(map(_on_gpu, parts))):
            return self.gradients(batch)
        shape = tuple((part.shape, part.dtype) for part in parts)
        if shape not in self._graphs:
            try:
                self._graphs[shape] = _Captured(self, batch)
            except RuntimeError as error:
                why = str(error).strip().splitlines()[0]
                print(f"Notice: no CUDA graph of the step: {why}", file=sys.stderr)
                self.capture = False
                return self.gradients(batch)
        return self._graphs[shape](batch)


class _Captured:
    """Forward and backward pass for one shape of batch, recorded as a CUDA graph."""

    def __init__(self, step: Step, batch: Any) -> None:
        """Record; weights, statistics and random numbers are left as they were.

        Raises:
            RuntimeError: if the step cannot be recorded, e.g. as it asks for a number.
        """
        self.batch = _each(torch.clone, batch)
        buffers = [(b, b.clone()) for b in step.model.buffers()]
        random = torch.cuda.get_rng_state()
        waiting = torch.cuda.get_sync_debug_mode()
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        try:
            # What is allocated or chosen at the first runs must not be in the record,
            # and a step that waits for the device is told here, before recording.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that this mode is a prototype
                torch.cuda.set_sync_debug_mode("error")
            with torch.cuda.stream(aside):
                for _ in range(3):
                    step.gradients(self.batch)
            here.wait_stream(aside)
            step.optimizer.zero_grad()  # the record makes gradients of its own
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.loss = step.gradients(self.batch)
        finally:
            torch.cuda.set_sync_debug_mode(waiting)
            torch.cuda.set_rng_state(random)
            for buffer, before in buffers:
                buffer.copy_(before)
        self.parameters = list(step.model.parameters())
        self.grads = [parameter.grad for parameter in self.parameters]

    def __call__(self, batch: Any) -> Tensor:
        for ours, theirs in zip(_parts(self.batch), _parts(batch)):
            ours.copy_(theirs)
        self.graph.replay()
        for parameter, grad in zip(self.parameters, self.grads):
            parameter.grad = grad  # another shape of batch has others
        return self.loss.clone()


def fit(
    model: nn.Module,
    batches: Iterable,
    loss_fn: Callable[..., Tensor] | None,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    *,
    scheduler: Any = None,
    per_step: bool = False,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
    also: dict[str, Any] | None = None,
    callback: Callable[[int, nn.Module], dict[str, float] | None] | None = None,
    desc: str = "training",
    **step: Any,
) -> History:
    """Train, and return what happened.

    Args:
        model: trained in place, in train mode; the caller moves it to `device`.
        batches: gone through once per epoch (a DataLoader, or a list). A batch is a
            tuple `(inputs, *targets)` or a tensor; for `batch_loss` anything. What its
            attribute `generator` draws goes on from the checkpoint, too.
        loss_fn: the loss to minimise is `loss_fn(model(inputs), *targets)`; None where
            there is a `batch_loss`.
        optimizer: holds the model's parameters.
        epochs: number of epochs in all, those of an earlier run included.
        scheduler: learning rate schedule, stepped after every epoch.
        per_step: step it after every step of the optimiser instead.
        device: where the batches are moved to; None leaves them.
        checkpoint: a file that is written after every epoch. When it exists already,
            training goes on from it, bit for bit as if it had never stopped.
        also: what else changes while training, such as a running mean of the weights
            that `after_step` keeps: objects with `state_dict` and `load_state_dict`,
            by name, that are stored in the checkpoint.
        callback: called as `callback(epoch, model)` after every epoch, from 0; numbers
            that it returns in a dict are noted in the history.
        desc: words next to the progress bar.
        **step: `batch_loss`, `clip`, `after_step`, `mixed_precision`, `capture`, as in
            `Step`.
    Returns: the history, `{"loss": [one mean per epoch], ..}` and the callback's keys.
    Raises:
        FloatingPointError: if the loss is no longer finite.
        CheckpointError: if the checkpoint is damaged or belongs to something else; the
            file is left as it is.
    """
    history: History = {"loss": []}
    if checkpoint is not None and Path(checkpoint).exists():
        state = load_checkpoint(checkpoint)
        restore_training_state(state, model, optimizer, scheduler, batches, also)
        history = state["history"]
    each_step, each_epoch = (scheduler, None) if per_step else (None, scheduler)
    take = Step(model, loss_fn, optimizer, device=device, scheduler=each_step, **step)
    bar = progress(range(len(history["loss"]), epochs), desc)
    for epoch in bar:
        loss = take.epoch(batches)
        if each_epoch is not None:
            each_epoch.step()
        history["loss"].append(loss)
        noted = (callback(epoch, model) if callback is not None else None) or {}
        for name, value in noted.items():
            history.setdefault(name, []).append(value)
        bar.set_postfix_str(f"loss {loss:.3g}")
        if checkpoint is not None:
            state = training_state(model, optimizer, scheduler, batches, also)
            save_checkpoint(checkpoint, state | {"history": history})
    return history


# ------------------------------------------------------------------------- batches

_NOTHING = contextlib.nullcontext()


def _parts(batch: Any) -> list:
    """Return the inputs of a batch and then its targets."""
    return [batch] if isinstance(batch, Tensor) else list(batch)


def _supervised(model: nn.Module, loss_fn: Callable[..., Tensor], batch: Any) -> Tensor:
    inputs, *targets = _parts(batch)
    return loss_fn(model(inputs), *targets)


def _each(change: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """Apply `change` to the tensors of a batch; anything else is left as it is."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, (tuple, list)):
        parts = [change(part) if isinstance(part, Tensor) else part for part in batch]
        return batch._make(parts) if hasattr(batch, "_make") else parts
    return batch


def _moved(batch: Any, device: torch.device | str | None) -> Any:
    return batch if device is None else _each(lambda part: part.to(device), batch)


def _size(batch: Any) -> int:
    """Return the number of samples of a batch; 1 where it is no tensor or tuple."""
    if isinstance(batch, (tuple, list)):
        batch = batch[0]
    return len(batch) if isinstance(batch, Tensor) else 1


def _on_gpu(part: Any) -> bool:
    return isinstance(part, Tensor) and part.is_cuda


def _autocast(model: nn.Module) -> torch.autocast:
    return torch.autocast(next(model.parameters()).device.type, torch.bfloat16)
