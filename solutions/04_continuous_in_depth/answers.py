# Named answers to the exercises of notebook 04: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: runge_kutta_step -- the stages are built without the step size
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the step size is missing at the end
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- all stages at the time of the start
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row in tableau.a:
        slopes.append(f(t, y + h * sum(a * k for a, k in zip(row, slopes))))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the nodes are not multiplied by h
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        slopes.append(f(t + c, y + h * sum(a * k for a, k in zip(row, slopes))))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- only the slope before is used
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * row[-1] * slopes[-1] if row else y
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- each stage starts from the stage before
def runge_kutta_step(tableau, f, t, y, h):
    slopes, stage = [], y
    for row, c in zip(tableau.a, tableau.c):
        stage = stage + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- Euler, whatever the tableau
def runge_kutta_step(tableau, f, t, y, h):
    return y + h * f(t, y)

# %% wrong: runge_kutta_step -- always the classical method
def runge_kutta_step(tableau, f, t, y, h):
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    k3 = f(t + h / 2, y + h / 2 * k2)
    k4 = f(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

# %% wrong: runge_kutta_step -- the state is changed in place
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        slopes.append(f(t + c * h, y + h * sum(a * k for a, k in zip(row, slopes))))
    for b, k in zip(tableau.b, slopes):
        y += h * b * k
    return y

# %% right: runge_kutta_step -- with sums and other names
def runge_kutta_step(tableau, f, t, y, h):
    ks = []
    for i in range(len(tableau.b)):
        shift = sum(tableau.a[i][j] * ks[j] for j in range(i))
        ks.append(f(t + h * tableau.c[i], y + h * shift))
    return y + h * sum(weight * k for weight, k in zip(tableau.b, ks))

# %% right: runge_kutta_step -- with stacked slopes
def runge_kutta_step(tableau, f, t, y, h):
    ks = torch.empty(0, *y.shape, dtype=y.dtype)
    for row, c in zip(tableau.a, tableau.c):
        weights = torch.tensor(row, dtype=y.dtype)
        stage = y + h * torch.tensordot(weights, ks, dims=1)
        ks = torch.cat([ks, f(t + c * h, stage)[None]])
    return y + h * torch.tensordot(torch.tensor(tableau.b, dtype=y.dtype), ks, dims=1)

# %% wrong: adaptive_solve -- every step is accepted
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys = [t], [y]
    while t < t1:
        h = min(h, t1 - t)
        y_new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, t, y, h)
        size = (e / (atol + rtol * torch.maximum(y.abs(), y_new.abs()))).square().mean().sqrt().item()
        t, y = (t1 if t1 - t <= h else t + h), y_new
        ts.append(t), ys.append(y)
        h *= 5 if size == 0 else min(5, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), 0

# %% wrong: adaptive_solve -- equal steps
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    n = 1000
    ts, ys, y = [t0], [y0], y0
    for j in range(n):
        y = solvers.runge_kutta_step(solvers.TABLEAUS["rk4"], f, t0 + j * (t1 - t0) / n, y, (t1 - t0) / n)
        ts.append(t0 + (j + 1) * (t1 - t0) / n), ys.append(y)
    ts[-1] = t1
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), 0

# %% wrong: adaptive_solve -- the last step runs over the end
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, rejected = [t], [y], 0
    while t < t1:
        y_new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, t, y, h)
        size = (e / (atol + rtol * torch.maximum(y.abs(), y_new.abs()))).square().mean().sqrt().item()
        if size <= 1:
            t, y = t + h, y_new
            ts.append(t), ys.append(y)
        else:
            rejected += 1
        h *= 5 if size == 0 else min(5, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), rejected

# %% wrong: adaptive_solve -- time moves on after a rejected step
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, rejected = [t], [y], 0
    while t < t1:
        h = min(h, t1 - t)
        y_new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, t, y, h)
        size = (e / (atol + rtol * torch.maximum(y.abs(), y_new.abs()))).square().mean().sqrt().item()
        t = t1 if t1 - t <= h else t + h
        if size <= 1:
            y = y_new
            ts.append(t), ys.append(y)
        else:
            rejected += 1
        h *= 5 if size == 0 else min(5, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), rejected

# %% wrong: adaptive_solve -- the absolute tolerance only
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, rejected = [t], [y], 0
    while t < t1:
        last = t + h >= t1
        h = t1 - t if last else h
        y_new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, t, y, h)
        size = (e / max(atol, 1e-7)).square().mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), y_new
            ts.append(t), ys.append(y)
        else:
            rejected += 1
        h *= 5 if size == 0 else min(5, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), rejected

# %% wrong: adaptive_solve -- an error of zero divides by zero
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, rejected = [t], [y], 0
    while t < t1:
        last = t + h >= t1
        h = t1 - t if last else h
        y_new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, t, y, h)
        size = (e / (atol + rtol * torch.maximum(y.abs(), y_new.abs()))).square().mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), y_new
            ts.append(t), ys.append(y)
        else:
            rejected += 1
        h *= min(5, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), rejected

# %% wrong: adaptive_solve -- rejected steps are not counted
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys = [t], [y]
    while t < t1:
        last = t + h >= t1
        h = t1 - t if last else h
        y_new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, t, y, h)
        size = (e / (atol + rtol * torch.maximum(y.abs(), y_new.abs()))).square().mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), y_new
            ts.append(t), ys.append(y)
        h *= 5 if size == 0 else min(5, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), 0

# %% wrong: adaptive_solve -- the step is halved and doubled, whatever the tolerance asks
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, rejected = [t], [y], 0
    while t < t1:
        last = t + h >= t1
        h = t1 - t if last else h
        y_new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, t, y, h)
        size = (e / 1e-4).square().mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), y_new
            ts.append(t), ys.append(y)
            h *= 2
        else:
            rejected += 1
            h /= 2
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), rejected

# %% right: adaptive_solve -- without the variable for the last step
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    times, states, thrown_away = [float(t0)], [y0], 0
    h = (t1 - t0) / 100
    while times[-1] < t1:
        t, y = times[-1], states[-1]
        h = min(h, t1 - t)
        y_new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, t, y, h)
        scale_of_error = atol + rtol * torch.max(abs(y), abs(y_new))
        size = float(torch.sqrt(torch.mean((e / scale_of_error) ** 2)))
        if size > 1:
            thrown_away += 1
        else:
            times.append(t1 if h == t1 - t else t + h)
            states.append(y_new)
        h *= np.clip(0.9 * max(size, 1e-12) ** (-1 / 3), 0.2, 5.0)
    return torch.tensor(times, dtype=torch.float64), torch.stack(states), thrown_away

# %% right: adaptive_solve -- with a function for one try
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    pair = solvers.TABLEAUS["bosh3"]

    def attempt(t, y, h):
        new, e = solvers.embedded_step(pair, f, t, y, h)
        ratio = e / (atol + rtol * torch.maximum(y.abs(), new.abs()))
        return new, (ratio.norm() / ratio.numel() ** 0.5).item()

    ts, ys = [float(t0)], [y0]
    h, tries = (t1 - t0) / 100, 0
    while True:
        rest = t1 - ts[-1]
        if rest <= 0:
            break
        ends = h >= rest
        new, size = attempt(ts[-1], ys[-1], rest if ends else h)
        h = rest if ends else h
        tries += 1
        if size <= 1:
            ts.append(t1 if ends else ts[-1] + h)
            ys.append(new)
        factor = 5.0 if size == 0 else 0.9 / size ** (1 / 3)
        h = h * max(0.2, min(5.0, factor))
    return torch.as_tensor(np.array(ts)), torch.stack(ys), tries - len(ts) + 1

# %% wrong: cell_index -- a stage at the end of its step reads the next cell
def cell_index(step, n_steps, n_cells, stage_c):
    return min(int(np.floor((step + stage_c) * n_cells / n_steps + 1e-9)), n_cells - 1)

# %% wrong: cell_index -- every stage reads the cell in which its step starts
def cell_index(step, n_steps, n_cells, stage_c):
    return step * n_cells // n_steps

# %% wrong: cell_index -- the time in float32, moved by 1e-15
def cell_index(step, n_steps, n_cells, stage_c):
    t = torch.tensor((step + stage_c) / n_steps, dtype=torch.float32)
    return min(int((t - 1e-15) * n_cells), n_cells - 1) if stage_c == 1 else int(t * n_cells)

# %% wrong: cell_index -- whole steps per cell
def cell_index(step, n_steps, n_cells, stage_c):
    return min(step // max(1, n_steps // n_cells), n_cells - 1)

# %% wrong: cell_index -- rounded to the nearest cell
def cell_index(step, n_steps, n_cells, stage_c):
    return min(round((step + stage_c) * n_cells / n_steps), n_cells - 1)

# %% wrong: cell_index -- always rounded up
def cell_index(step, n_steps, n_cells, stage_c):
    return max(int(np.ceil((step + stage_c) * n_cells / n_steps - 1e-9)) - 1, 0)

# %% wrong: cell_index -- thirds fall to the left of an edge
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * n_cells / n_steps - 1e-9
    return max(int(np.ceil(position)) - 1 if stage_c == 1 else int(np.floor(position)), 0)

# %% right: cell_index -- with fractions
def cell_index(step, n_steps, n_cells, stage_c):
    from fractions import Fraction

    node = Fraction(stage_c).limit_denominator(1000)
    position = (step + node) * n_cells / n_steps
    return (position.__ceil__() - 1) if node == 1 else position.__floor__()

# %% right: cell_index -- whole numbers for the end of a step, counting cells
def cell_index(step, n_steps, n_cells, stage_c):
    if stage_c == 1:
        return ((step + 1) * n_cells - 1) // n_steps
    index = 0
    while (index + 1) * n_steps <= (step + stage_c) * n_cells + 1e-9 * n_steps:
        index += 1
    return index

# %% wrong: refine -- the whole sequence is repeated
def refine(theta):
    return torch.cat([theta, theta])

# %% wrong: refine -- interpolated linearly
def refine(theta):
    middle = torch.cat([(theta[:-1] + theta[1:]) / 2, theta[-1:]])
    return torch.stack([theta, middle], dim=1).flatten(0, 1)

# %% wrong: refine -- the values are shared out
def refine(theta):
    return theta.repeat_interleave(2, dim=0) / 2

# %% wrong: refine -- the gradient is cut
def refine(theta):
    return theta.detach().repeat_interleave(2, dim=0)

# %% wrong: refine -- along the last axis
def refine(theta):
    return theta.repeat_interleave(2, dim=-1)

# %% wrong: refine -- the second child is zero
def refine(theta):
    return torch.stack([theta, torch.zeros_like(theta)], dim=1).flatten(0, 1)

# %% wrong: refine -- in reverse order
def refine(theta):
    return theta.flip(0).repeat_interleave(2, dim=0)

# %% right: refine -- with an index
def refine(theta):
    return theta[torch.arange(2 * len(theta)) // 2]

# %% right: refine -- a loop and a stack
def refine(theta):
    children = []
    for parent in theta:
        children += [parent, parent]
    return torch.stack(children)

# %% right: refine -- stacked and flattened
def refine(theta):
    return torch.stack([theta, theta], dim=1).reshape(2 * theta.shape[0], *theta.shape[1:])

# %% wrong: manifestation_table -- nothing is restored
def manifestation_table(model, evaluate, schemes, steps):
    table = {}
    for scheme in schemes:
        for n in steps:
            model.scheme, model.n_steps = scheme, n
            table[scheme, n] = evaluate(model)
    return table

# %% wrong: manifestation_table -- not restored after an error
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    for scheme in schemes:
        for n in steps:
            model.scheme, model.n_steps = scheme, n
            table[scheme, n] = evaluate(model)
    model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- errors are swallowed
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    for scheme in schemes:
        for n in steps:
            model.scheme, model.n_steps = scheme, n
            try:
                table[scheme, n] = evaluate(model)
            except Exception:
                table[scheme, n] = float("nan")
    model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the number of steps stays
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme
    table = {}
    try:
        for scheme in schemes:
            model.scheme = scheme
            for n in steps:
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme = own
    return table

# %% wrong: manifestation_table -- the keys are the other way round
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[n, scheme] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- schemes and steps in pairs, not all combinations
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme, n in zip(schemes, steps):
            model.scheme, model.n_steps = scheme, n
            table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% right: manifestation_table -- with itertools and setattr
def manifestation_table(model, evaluate, schemes, steps):
    import itertools

    before = {name: getattr(model, name) for name in ("scheme", "n_steps")}
    result = {}
    try:
        for pair in itertools.product(schemes, steps):
            model.scheme, model.n_steps = pair
            result[pair] = evaluate(model)
        return result
    finally:
        for name, value in before.items():
            setattr(model, name, value)

# %% right: manifestation_table -- with a context manager and a comprehension
def manifestation_table(model, evaluate, schemes, steps):
    import contextlib

    @contextlib.contextmanager
    def borrowed():
        scheme, n_steps = model.scheme, model.n_steps
        try:
            yield
        finally:
            model.scheme = scheme
            model.n_steps = n_steps

    def one(scheme, n):
        model.scheme = scheme
        model.n_steps = n
        return evaluate(model)

    with borrowed():
        return {(scheme, n): one(scheme, n) for scheme in schemes for n in steps}
