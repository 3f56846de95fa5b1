# Named answers to the exercises of notebook 02: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: iterated_net -- the previous features are added, as in a residual network
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a
        return self.head(a)

# %% wrong: iterated_net -- a_0 is added inside the ReLU
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a) + a0)
        return self.head(a)

# %% wrong: iterated_net -- off by one: the lift counts as an iteration
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations - 1):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the ReLU after the lift is missing
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = self.lift(x)
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the layer sees a_0 every time
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a0)) + a0
        return self.head(a)

# %% wrong: iterated_net -- dropout is forgotten
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Linear(hidden, n_classes))

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- dropout stays on in eval mode
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.ModuleList([nn.Linear(channels * image_size**2, hidden), nn.Linear(hidden, n_classes)])

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head[1](F.dropout(F.relu(self.head[0](a.flatten(1))), 0.4))

# %% wrong: iterated_net -- no padding: the images shrink
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the gradient is cut at every iteration
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a.detach())) + a0
        return self.head(a)

# %% right: iterated_net -- padding "same", a while loop, functional dropout
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(in_channels=1, out_channels=channels, kernel_size=1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding="same")
        self.head = nn.ModuleDict(
            {"wide": nn.Linear(channels * image_size * image_size, hidden), "last": nn.Linear(hidden, n_classes)}
        )

    def forward(self, x, iterations):
        start = self.lift(x).clamp(min=0)
        state, done = start, 0
        while done < iterations:
            state = start + self.recurrent(state).relu()
            done += 1
        h = self.head["wide"](state.reshape(len(x), -1)).relu()
        return self.head["last"](F.dropout(h, p=0.4, training=self.training))

# %% right: iterated_net -- by functools.reduce
import functools

class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.head = nn.Sequential()
        self.head.append(nn.Flatten())
        self.head.append(nn.Linear(channels * image_size**2, hidden))
        self.head.append(nn.ReLU())
        self.head.append(nn.Dropout(p=0.4))
        self.head.append(nn.Linear(hidden, n_classes))
        self.recurrent = nn.Conv2d(channels, channels, (kernel_size, kernel_size), padding=(kernel_size - 1) // 2)
        self.lift = nn.Conv2d(1, channels, (1, 1))

    def forward(self, x, iterations):
        a0 = torch.relu(self.lift(x))
        return self.head(functools.reduce(lambda a, _: torch.relu(self.recurrent(a)) + a0, range(iterations), a0))

# %% wrong: parameter_budget -- the biases are missing
def parameter_budget(model):
    def count(module):
        return sum(p.numel() for name, p in module.named_parameters() if "bias" not in name)
    return {"lift": count(model.lift), "recurrent": count(model.recurrent), "head": count(model.head), "total": count(model)}

# %% wrong: parameter_budget -- tensors are counted, not numbers
def parameter_budget(model):
    budget = {name: len(list(getattr(model, name).parameters())) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- the total is the head alone
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": max(budget.values())}

# %% wrong: parameter_budget -- always five channels
def parameter_budget(model):
    return {"lift": 10, "recurrent": 630, "head": 4025354, "total": 4025994}

# %% wrong: parameter_budget -- bytes instead of numbers
def parameter_budget(model):
    budget = {name: sum(p.numel() * p.element_size() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% right: parameter_budget -- from the named parameters
def parameter_budget(model):
    budget = dict.fromkeys(("lift", "recurrent", "head", "total"), 0)
    for name, p in model.named_parameters():
        budget[name.split(".")[0]] += p.numel()
        budget["total"] += p.numel()
    return budget

# %% right: parameter_budget -- with math.prod of the shapes
import math

def parameter_budget(model):
    sizes = {}
    for part in ["lift", "recurrent", "head"]:
        sizes[part] = 0
        for p in getattr(model, part).parameters():
            sizes[part] += math.prod(p.shape)
    sizes["total"] = sizes["lift"] + sizes["recurrent"] + sizes["head"]
    return sizes

# %% wrong: untie -- the layers share their weights
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList([copy.deepcopy(model.recurrent)] * iterations)
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()
import copy

# %% wrong: untie -- the layers are hidden in a plain list
import copy
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = [copy.deepcopy(model.recurrent) for _ in range(iterations)]
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- lift and head are the model's own
import copy
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = model.lift, model.head
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- fresh random layers
import copy
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            c, k = model.recurrent.in_channels, model.recurrent.kernel_size
            self.layers = nn.ModuleList(
                nn.Conv2d(c, c, k, padding=model.recurrent.padding).to(model.recurrent.weight.dtype) for _ in range(iterations)
            )
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the model itself comes back
def untie(model, iterations):
    return model

# %% wrong: untie -- all layers run, whatever the number of iterations
import copy
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- one layer too few
import copy
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations - 1))
        def forward(self, x, iterations):
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% right: untie -- a copy of the whole model whose recurrent part is a list
import copy, types
def untie(model, iterations):
    net = copy.deepcopy(model)
    net.recurrent = nn.ModuleList([copy.deepcopy(model.recurrent) for _ in range(iterations)])
    def forward(self, x, iterations):
        if iterations > len(self.recurrent):
            raise ValueError("not so many layers")
        a0 = F.relu(self.lift(x))
        a = a0
        for k in range(iterations):
            a = a0 + torch.relu(self.recurrent[k](a))
        return self.head(a)
    net.forward = types.MethodType(forward, net)
    return net

# %% right: untie -- layers under names of their own, weights loaded from a state dict
def untie(model, iterations):
    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            import copy
            self.first, self.last = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            old = model.recurrent
            for k in range(iterations):
                layer = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, padding=old.padding)
                layer.to(old.weight.dtype).load_state_dict(old.state_dict())
                self.add_module(f"layer{k}", layer)
        def forward(self, x, iterations):
            a0 = a = self.first(x).relu()
            for k in range(iterations):
                if not hasattr(self, f"layer{k}"):
                    raise ValueError(f"there is no layer {k}")
                a = getattr(self, f"layer{k}")(a).relu() + a0
            return self.last(a)
    return Layers()

# %% wrong: iteration_study -- the batches' accuracies are averaged
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            result = {}
            for k in iterations:
                rates = [(model(x, k).argmax(1) == y).double().mean().item() for x, y in loader]
                result[k] = sum(rates) / len(rates)
            return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the model stays in eval mode
def iteration_study(model, loader, iterations):
    model.eval()
    result = {}
    with torch.no_grad():
        for k in iterations:
            hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
            result[k] = hits / sum(len(y) for _, y in loader)
    return result

# %% wrong: iteration_study -- model.train() at the end wakes the frozen module
def iteration_study(model, loader, iterations):
    model.eval()
    result = {}
    with torch.no_grad():
        for k in iterations:
            hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
            result[k] = hits / sum(len(y) for _, y in loader)
    model.train()
    return result

# %% wrong: iteration_study -- only the top module's mode is restored
def iteration_study(model, loader, iterations):
    mode = model.training
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
                result[k] = hits / sum(len(y) for _, y in loader)
        return result
    finally:
        model.train(mode)

# %% wrong: iteration_study -- not restored after an error
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    result = {}
    with torch.no_grad():
        for k in iterations:
            hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
            result[k] = hits / sum(len(y) for _, y in loader)
    for m, mode in modes.items():
        m.training = mode
    return result

# %% wrong: iteration_study -- measured in train mode
def iteration_study(model, loader, iterations):
    result = {}
    with torch.no_grad():
        for k in iterations:
            hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
            result[k] = hits / sum(len(y) for _, y in loader)
    return result

# %% wrong: iteration_study -- gradients are recorded
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        for k in iterations:
            hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
            result[k] = hits / sum(len(y) for _, y in loader)
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- accuracies in percent
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
                result[k] = 100 * hits / sum(len(y) for _, y in loader)
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% right: iteration_study -- with the package's context manager
def iteration_study(model, loader, iterations):
    result = {}
    with training.evaluating(model):
        for k in iterations:
            guesses = [(model(x, k).argmax(dim=-1), y) for x, y in loader]
            right = torch.cat([guess == y for guess, y in guesses])
            result[k] = right.double().mean().item()
    return result

# %% right: iteration_study -- one pass through the loader, all depths at once
@torch.no_grad()
def iteration_study(model, loader, iterations):
    iterations = list(iterations)
    before = [(m, m.training) for m in model.modules()]
    model.train(False)
    hits, n = dict.fromkeys(iterations, 0), 0
    try:
        for x, y in loader:
            n += y.shape[0]
            for k in iterations:
                hits[k] += int((model(x, k).max(dim=1).indices == y).sum())
    finally:
        for m, mode in before:
            m.training = mode
    return {k: float(hits[k] / n) for k in iterations}

# %% wrong: fixed_point -- the residuals are not relative
import math
def fixed_point(step, a0, tol, max_iter):
    a, residuals = a0, []
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        if not math.isfinite(length) or (residuals and length > 1000 * residuals[0]):
            raise ValueError("diverges")
        a = new
        residuals.append(length)
        if length <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- relative to the new iterate
import math
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        a = new
        residuals.append(length / (new.norm().item() or 1.0))
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the iterate before the last one is returned
import math
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        if residuals[-1] <= tol:
            break
        a = new
    return a, residuals

# %% wrong: fixed_point -- divergence is not noticed
def fixed_point(step, a0, tol, max_iter):
    a, residuals = a0, []
    for k in range(max_iter):
        new = step(a)
        residuals.append((new - a).norm().item() / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- only overflow counts as divergence
import math
def fixed_point(step, a0, tol, max_iter):
    a, residuals = a0, []
    for k in range(max_iter):
        new = step(a)
        r = (new - a).norm().item() / (a.norm().item() or 1.0)
        if not math.isfinite(r):
            raise ValueError("diverges")
        a = new
        residuals.append(r)
        if r <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- any growth of the step counts as divergence
import math
def fixed_point(step, a0, tol, max_iter):
    a, residuals, last = a0, [], math.inf
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        if not math.isfinite(length) or length > last * 1.0001:
            raise ValueError("diverges")
        last = length
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the error has another type
import math
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise RuntimeError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the start is changed in place
import math
def fixed_point(step, a0, tol, max_iter):
    residuals, first = [], None
    for k in range(max_iter):
        new = step(a0)
        length = (new - a0).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a0.norm().item() or 1.0))
        a0.copy_(new)
        if residuals[-1] <= tol:
            break
    return a0.clone(), residuals

# %% wrong: fixed_point -- zero divided by zero
import math
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / a.norm().item())
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% right: fixed_point -- a while loop and a flat norm
import math
def fixed_point(step, a0, tol, max_iter):
    current, residuals, lengths = a0, [], []
    while len(residuals) < max_iter and (not residuals or residuals[-1] > tol):
        following = step(current)
        lengths.append(float((following - current).detach().square().sum().sqrt()))
        if math.isnan(lengths[-1]) or math.isinf(lengths[-1]) or lengths[-1] > 1e3 * lengths[0]:
            raise ValueError(f"this map diverges after {len(lengths)} iterations")
        size = float(current.detach().square().sum().sqrt())
        residuals.append(lengths[-1] / (size if size > 0 else 1.0))
        current = following
    return current, residuals

# %% right: fixed_point -- an error class of its own, by recursion
class Divergence(ValueError):
    pass

def fixed_point(step, a0, tol, max_iter, first=None, residuals=()):
    if len(residuals) == max_iter:
        return a0, list(residuals)
    a1 = step(a0)
    moved, size = torch.dist(a1, a0).item(), torch.linalg.norm(a0.flatten()).item()
    first = moved if first is None else first
    if not moved <= min(1000 * first, 1e300):
        raise Divergence("Diverges: the steps become longer and longer")
    residuals = [*residuals, moved / (size or 1.0)]
    if residuals[-1] <= tol:
        return a1, residuals
    return fixed_point(step, a1, tol, max_iter, first, residuals)
