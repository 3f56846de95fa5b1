# Named answers to the exercises of notebook 04: the wrong ones must lose points,
# the right ones must get them all. A title is what a student reads.

# %% wrong: runge_kutta_step -- the stages are built without the step size h
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the step size h is missing at the end
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the step size h is missing everywhere in front of the slopes
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the nodes c are not used: all stages are at the time of the start
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the nodes c are not multiplied by h
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- all stages are at the end of the step
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the times of the stages pile up: each starts from t
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        t = t + c * h
        slopes.append(f(t, y + h * sum(a * k for a, k in zip(row, slopes))))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- a stage uses only the slope before, with the last weight of its row
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * row[-1] * slopes[-1] if row else y
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- a stage uses only the slope before, moved by its node: true of rk4 only
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * c * slopes[-1] if row else y
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- each stage starts from the stage before instead of y
def runge_kutta_step(tableau, f, t, y, h):
    slopes, stage = [], y
    for row, c in zip(tableau.a, tableau.c):
        stage = stage + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the slopes are added to the last stage instead of y
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return stage + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- all stages are taken at y
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, y))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- this is Euler's step, whatever the tableau says
def runge_kutta_step(tableau, f, t, y, h):
    return y + h * f(t, y)

# %% wrong: runge_kutta_step -- this is the classical method, whatever the tableau says
def runge_kutta_step(tableau, f, t, y, h):
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    k3 = f(t + h / 2, y + h / 2 * k2)
    k4 = f(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

# %% wrong: runge_kutta_step -- the slopes are weighted with the nodes c instead of b
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.c, slopes))

# %% wrong: runge_kutta_step -- the slopes are averaged, the weights b are not used
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(slopes) / len(slopes)

# %% wrong: runge_kutta_step -- the last slope alone makes the step
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * slopes[-1]

# %% wrong: runge_kutta_step -- the increment comes back, y is not added
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the stages are built from slopes in reverse order
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.insert(0, f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the last stage is left out: the loop ends too early
def runge_kutta_step(tableau, f, t, y, h):
    s, slopes = len(tableau.b), []
    for i in range(s - 1):
        stage = y + h * sum(tableau.a[i][j] * slopes[j] for j in range(i))
        slopes.append(f(t + tableau.c[i] * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the loop returns after its first stage
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        slopes.append(f(t + c * h, y + h * sum(a * k for a, k in zip(row, slopes))))
        return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- y is changed in place
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        slopes.append(f(t + c * h, y + h * sum(a * k for a, k in zip(row, slopes))))
    for b, k in zip(tableau.b, slopes):
        y += h * b * k
    return y

# %% wrong: runge_kutta_step -- the stage is y itself and is changed in place: y moves with it
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y
        for a, k in zip(row, slopes):
            stage += h * a * k
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the slopes are kept in float32, whatever y is
def runge_kutta_step(tableau, f, t, y, h):
    s = len(tableau.b)
    k = torch.zeros(s, *y.shape)
    for i in range(s):
        stage = y.clone()
        for j in range(i):
            stage = stage + h * tableau.a[i][j] * k[j]
        k[i] = f(t + tableau.c[i] * h, stage)
    return y + h * torch.einsum("s,s...->...", torch.tensor(tableau.b, dtype=torch.float32), k)

# %% wrong: runge_kutta_step -- the gradient is cut: the slopes are detached
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage).detach())
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the field is evaluated again for every slope that a stage needs: once a stage is enough
def runge_kutta_step(tableau, f, t, y, h):
    def slope(i):
        stage = y + h * sum(a * slope(j) for j, a in enumerate(tableau.a[i]))
        return f(t + tableau.c[i] * h, stage)

    return y + h * sum(b * slope(i) for i, b in enumerate(tableau.b))

# %% wrong: runge_kutta_step -- the weights of a row meet the slopes in reverse order
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes[::-1]))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the time is float32
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(torch.tensor(t + c * h), stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the nodes are taken to be the sums of the rows of a
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + sum(row) * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- a step back in time goes forward: the sign of h is lost
def runge_kutta_step(tableau, f, t, y, h):
    h, slopes = abs(h), []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- c times h is added to the state instead of the time
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t, stage + c * h))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- h is multiplied twice: the slopes hold it already
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(h * f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- h is multiplied twice at the end: the slopes hold it already
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + sum(a * k for a, k in zip(row, slopes))
        slopes.append(h * f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.b, slopes))

# %% wrong: runge_kutta_step -- the weights of the last stage are used instead of b
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        stage = y + h * sum(a * k for a, k in zip(row, slopes))
        slopes.append(f(t + c * h, stage))
    return y + h * sum(b * k for b, k in zip(tableau.a[-1], slopes))

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

# %% right: runge_kutta_step -- in place on copies
def runge_kutta_step(tableau, f, t, y, h):
    slopes, new = [], y.clone()
    for row, c, b in zip(tableau.a, tableau.c, tableau.b):
        stage = y.clone()
        for a, k in zip(row, slopes):
            stage += (h * a) * k
        slopes.append(f(t + h * c, stage))
        new = new + h * b * slopes[-1]
    return new

# %% wrong: adaptive_solve -- the error is not compared with 1: every step is accepted
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if True:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the step size does not follow the error: all steps are equal
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if True:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- steps with an error above 1 are accepted, those below are rejected
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size >= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the last step is not cut and runs over the end
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = t + h, new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the last step is left out: the loop ends before t1
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        if t + h >= t1:
            break
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = t + h, new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- time moves on after a rejected step
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        t = t1 if last else t + h
        if size <= 1:
            y = new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the state moves on after a rejected step
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t = t1 if last else t + h
            ts.append(t)
            ys.append(new)
        else:
            n_rejected += 1
        y = new
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- rejected steps are kept among the points
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
        else:
            n_rejected += 1
        ts.append(t)
        ys.append(y)
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the step size stays as it is after a rejected step: the same step is tried for ever
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
            h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
        else:
            n_rejected += 1
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the step size changes after a rejected step only
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
            h *= min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the loop never ends: at t = t1 it still goes on
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t <= t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the exponent has the wrong sign: a large error makes the step longer
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the exponent is -1/2 instead of -1/3
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 2)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the exponent is -1/4 instead of -1/3
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 4)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- min and max are exchanged in (3): the factor is 0.2 always
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(0.2, max(10.0, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the factor 0.9 is missing in (3)
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- 0.9 stands inside of the power
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, (0.9 * size) ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the limits of (3) are missing: the step grows by more than 10
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else 0.9 * size ** (-1 / 3)
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the limits of (3) are missing: the step grows by more than 10
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else max(0.2, 0.9 * size ** (-1 / 3))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the lower limit 0.2 is missing in (3)
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, 0.9 * size ** (-1 / 3))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the step is halved and doubled, whatever the size of the error
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 2.0 if size <= 1 else 0.5
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- (3) sets the step to the factor instead of multiplying it
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h = 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- rtol is left out of (2)
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- atol is left out of (2)
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- rtol and atol are exchanged
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = rtol + atol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the scale of (2) is |y| alone
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * y.abs()
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the scale of (2) is |y_new| alone
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * new.abs()
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the scale of (2) is |y| + |y_new| instead of the larger one
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * (y.abs() + new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the absolute values are missing in (2)
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y, new)
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the scale of (2) is one number, the largest entry of all
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs()).max()
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- Python's max compares whole tensors: torch.maximum works entry by entry
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * max(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the largest entry is taken instead of the root mean square
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).abs().max().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the norm in (2) is a sum: its mean is missing
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).norm().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the root of the mean square is missing
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the mean of the absolute values is taken instead of the root mean square
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).abs().mean().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- norms are divided instead of entries
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error.norm() / allowed.norm()).item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the standard deviation is taken instead of the root mean square
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).std().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- every entry must be within its tolerance: the root mean square is not what decides
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if bool(((error / allowed).abs() <= 1).all()):
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the last time is cut, the last step is not
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = min(t1, t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- a rejected step is halved instead of rescaled by (3)
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
            h *= 0.5
            continue
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the step size changes after a rejected step only
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 1.0 if size <= 1 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the points before the steps are kept, not those after them
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            ts.append(t)
            ys.append(y)
            t, y = (t1 if last else t + h), new
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- an error of zero is divided by: the factor is then 10
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- rejected steps are not counted
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            pass
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- all tries are counted, not the rejected ones alone
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        n_rejected += 1
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- accepted steps are counted instead of rejected ones
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the first step is 1/100 whatever t0 and t1 are
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, 0.01
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the first step is a tenth of the interval instead of a hundredth
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 10
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the field is always asked at t0
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t0, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- every step starts from y0
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y0, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- time starts at 0 instead of t0
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = 0.0, y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the start is not among the times and states
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [], [], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the times are float32
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the states come as a list, not as one tensor
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), ys, n_rejected

# %% wrong: adaptive_solve -- only the last state comes back
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), y, n_rejected

# %% wrong: adaptive_solve -- states and times are exchanged in the result
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.stack(ys), torch.tensor(ts, dtype=torch.float64), n_rejected

# %% wrong: adaptive_solve -- the count of rejected steps is not returned
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys)

# %% wrong: adaptive_solve -- the states are changed in place: all of them are the last one, y0 too
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t = t1 if last else t + h
            y.copy_(new)
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- the gradient is cut
BOSH3 = solvers.TABLEAUS["bosh3"]


def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = float(t0), y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y0], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, error = solvers.embedded_step(BOSH3, f, t, y, h)
        allowed = atol + rtol * torch.maximum(y.abs(), new.abs())
        size = (error / allowed).pow(2).mean().sqrt().item()
        if size <= 1:
            t, y = (t1 if last else t + h), new
            ts.append(t)
            ys.append(y.detach())
        else:
            n_rejected += 1
        h *= 10.0 if size == 0 else min(10.0, max(0.2, 0.9 * size ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

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
        h *= np.clip(0.9 * max(size, 1e-12) ** (-1 / 3), 0.2, 10.0)
    return torch.tensor(times, dtype=torch.float64), torch.stack(states), thrown_away

# %% wrong: adaptive_solve -- the step size is a tensor that carries gradients: .item() makes a plain number of the error
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    BOSH3 = solvers.TABLEAUS["bosh3"]
    t, y, h = t0, y0, (t1 - t0) / 100
    ts, ys, rejected = [t0], [y0], 0
    while t < t1:
        h = min(h, t1 - t)
        new, e = solvers.embedded_step(BOSH3, f, t, y, h)
        eps = torch.sqrt(torch.mean((e / (atol + rtol * torch.maximum(y.abs(), new.abs()))) ** 2))
        if eps <= 1:
            t = t + h
            y = new
            ts.append(t)
            ys.append(y)
        else:
            rejected += 1
        h = h * min(10, max(0.2, 0.9 * eps ** (-1 / 3)))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), rejected

# %% right: adaptive_solve -- t + h all the way
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    BOSH3 = solvers.TABLEAUS["bosh3"]
    t, y, h = t0, y0, (t1 - t0) / 100
    ts, ys, rejected = [t0], [y0], 0
    while t < t1:
        h = min(h, t1 - t)
        new, e = solvers.embedded_step(BOSH3, f, t, y, h)
        eps = torch.sqrt(torch.mean((e / (atol + rtol * torch.maximum(y.abs(), new.abs()))) ** 2))
        if eps <= 1:
            t = t + h
            y = new
            ts.append(t)
            ys.append(y)
        else:
            rejected += 1
        h = h * min(10, max(0.2, 0.9 * eps.item() ** (-1 / 3) if eps > 0 else 10))
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), rejected

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
        factor = 10.0 if size == 0 else 0.9 / size ** (1 / 3)
        h = h * max(0.2, min(10.0, factor))
    return torch.as_tensor(np.array(ts)), torch.stack(ys), tries - len(ts) + 1

# %% right: adaptive_solve -- tensors all the way, grown by cat
def adaptive_solve(f, y0, t0, t1, rtol, atol):
    ts, ys = torch.tensor([t0], dtype=torch.float64), y0.unsqueeze(0)
    h, rejected = torch.tensor((t1 - t0) / 100, dtype=torch.float64), 0
    while ts[-1] < t1:
        reaches = bool(ts[-1] + h >= t1)
        h = t1 - ts[-1] if reaches else h
        new, e = solvers.embedded_step(solvers.TABLEAUS["bosh3"], f, ts[-1].item(), ys[-1], h.item())
        with torch.no_grad():
            ratio = e / (atol + rtol * torch.where(new.abs() > ys[-1].abs(), new.abs(), ys[-1].abs()))
            size = ratio.square().mean().sqrt().double()
        if size > 1:
            rejected += 1
        else:
            end = torch.tensor(t1, dtype=torch.float64) if reaches else ts[-1] + h
            ts, ys = torch.cat([ts, end[None]]), torch.cat([ys, new[None]])
        h = h * (0.9 * size.pow(-1 / 3)).clamp(0.2, 10.0)
    return ts, ys, rejected

# %% wrong: cell_index -- a stage at the end of its step reads the next cell
def cell_index(step, n_steps, n_cells, stage_c):
    return min(int(np.floor((step + stage_c) * n_cells / n_steps + 1e-9)), n_cells - 1)

# %% wrong: cell_index -- a stage at the end of its step reads the next cell, and after the last one there is none
def cell_index(step, n_steps, n_cells, stage_c):
    return int((step + stage_c) * n_cells / n_steps)

# %% wrong: cell_index -- a stage at the end of its step reads the next cell, and after the last one there is none
def cell_index(step, n_steps, n_cells, stage_c):
    return int(np.floor((step + stage_c) * n_cells / n_steps + 1e-9))

# %% wrong: cell_index -- every stage reads the cell in which its step starts
def cell_index(step, n_steps, n_cells, stage_c):
    return step * n_cells // n_steps

# %% wrong: cell_index -- a stage with c = 1 reads the cell in which its step starts, not the one just before its end
def cell_index(step, n_steps, n_cells, stage_c):
    if stage_c == 1:
        return step * n_cells // n_steps
    return int((step + stage_c) * n_cells / n_steps + 1e-9)

# %% wrong: cell_index -- the end of a step always reads one cell back, also inside of a cell
def cell_index(step, n_steps, n_cells, stage_c):
    position = round((step + stage_c) * n_cells / n_steps, 6)
    return int(position) - 1 if stage_c == 1 else int(position)

# %% wrong: cell_index -- the end of a step is rounded up without taking one off
def cell_index(step, n_steps, n_cells, stage_c):
    position = round((step + stage_c) * n_cells / n_steps, 6)
    return min(int(np.ceil(position)), n_cells - 1) if stage_c == 1 else int(position)

# %% wrong: cell_index -- rounding picks the neighbour: a third of a step misses the edge of its cell
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * n_cells / n_steps
    return int(np.ceil(position)) - 1 if stage_c == 1 else int(np.floor(position))

# %% wrong: cell_index -- rounding picks the neighbour: a third of a step misses the edge of its cell
def cell_index(step, n_steps, n_cells, stage_c):
    return int((step + min(stage_c, 1 - 1e-9)) * n_cells / n_steps)

# %% wrong: cell_index -- rounding picks the neighbour: a third of a step misses the edge of its cell
def cell_index(step, n_steps, n_cells, stage_c):
    if stage_c == 1:
        return ((step + 1) * n_cells - 1) // n_steps
    return int((step + stage_c) / n_steps * n_cells)

# %% wrong: cell_index -- all stages on an edge read the cell on the left, not only those with c = 1
def cell_index(step, n_steps, n_cells, stage_c):
    return max(int((step + stage_c) * n_cells / n_steps - 1e-9), 0)

# %% wrong: cell_index -- all stages on an edge read the cell on the left, not only those with c = 1
def cell_index(step, n_steps, n_cells, stage_c):
    return max(int(np.ceil((step + stage_c) * n_cells / n_steps - 1e-9)) - 1, 0)

# %% wrong: cell_index -- stages with 0 < c < 1 on an edge read the cell on the left
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * n_cells / n_steps
    return int(np.floor(position)) if stage_c == 0 else int(np.ceil(position - 1e-9)) - 1

# %% wrong: cell_index -- a stage at the end of its step reads the next cell
def cell_index(step, n_steps, n_cells, stage_c):
    t = torch.tensor((step + stage_c) / n_steps, dtype=torch.float32)
    return min(int((t - 1e-15) * n_cells), n_cells - 1) if stage_c == 1 else int(t * n_cells)

# %% wrong: cell_index -- whole steps per cell are counted: steps and cells need not divide each other
def cell_index(step, n_steps, n_cells, stage_c):
    return min(step // max(1, n_steps // n_cells), n_cells - 1)

# %% wrong: cell_index -- whole cells per step are counted: steps and cells need not divide each other
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * max(1, n_cells // n_steps)
    return min(int(position) - (stage_c == 1), n_cells - 1)

# %% wrong: cell_index -- the position is rounded to the nearest cell
def cell_index(step, n_steps, n_cells, stage_c):
    return min(round((step + stage_c) * n_cells / n_steps), n_cells - 1)

# %% wrong: cell_index -- n_steps and n_cells are exchanged
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * n_steps / n_cells
    return int(np.ceil(position - 1e-9)) - 1 if stage_c == 1 else int(np.floor(position + 1e-9))

# %% wrong: cell_index -- the number of the step is taken for the cell
def cell_index(step, n_steps, n_cells, stage_c):
    return step

# %% wrong: cell_index -- c is taken as a part of all of depth-time, not of a step
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step / n_steps + stage_c) * n_cells
    index = int(np.ceil(position - 1e-9)) - 1 if stage_c == 1 else int(np.floor(position + 1e-9))
    return min(index, n_cells - 1)

# %% wrong: cell_index -- a float comes back, not an int
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * n_cells / n_steps
    return np.ceil(position - 1e-9) - 1 if stage_c == 1 else np.floor(position + 1e-9)

# %% wrong: cell_index -- a tensor comes back, not an int
def cell_index(step, n_steps, n_cells, stage_c):
    position = torch.tensor((step + stage_c) * n_cells / n_steps, dtype=torch.float64)
    return (torch.ceil(position - 1e-9) - 1 if stage_c == 1 else torch.floor(position + 1e-9)).long()

# %% wrong: cell_index -- the position is moved too far: an index just beside an edge is misread
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * n_cells / n_steps
    return int(np.ceil(position - 1e-3)) - 1 if stage_c == 1 else int(position + 1e-3)

# %% wrong: cell_index -- a stage at the end of its step reads the next cell
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * n_cells / n_steps
    return n_cells - 1 if position >= n_cells else int(position + 1e-9)

# %% wrong: cell_index -- cells are counted from 1
def cell_index(step, n_steps, n_cells, stage_c):
    position = (step + stage_c) * n_cells / n_steps
    return int(np.ceil(position - 1e-9)) if stage_c == 1 else int(np.floor(position + 1e-9)) + 1

# %% right: cell_index -- with fractions
def cell_index(step, n_steps, n_cells, stage_c):
    from fractions import Fraction
    
    node = Fraction(stage_c).limit_denominator(1000)
    position = (step + node) * n_cells / n_steps
    return (position.__ceil__() - 1) if node == 1 else position.__floor__()

# %% right: cell_index -- one back where the end stands on an edge
def cell_index(step, n_steps, n_cells, stage_c):
    position = round((step + stage_c) * n_cells / n_steps, 9)
    return int(position) - 1 if stage_c == 1 and position % 1 == 0 else int(position)

# %% right: cell_index -- whole numbers for the end of a step, counting cells
def cell_index(step, n_steps, n_cells, stage_c):
    if stage_c == 1:
        return ((step + 1) * n_cells - 1) // n_steps
    index = 0
    while (index + 1) * n_steps <= (step + stage_c) * n_cells + 1e-9 * n_steps:
        index += 1
    return index

# %% right: cell_index -- a rounded position, the node 1 moved back
def cell_index(step, n_steps, n_cells, stage_c):
    node = 1 - 1e-7 if stage_c == 1 else stage_c
    return int(round((step + node) * n_cells / n_steps, 8))

# %% wrong: refine -- the whole sequence is repeated: A, B, A, B instead of A, A, B, B
def refine(theta):
    return torch.cat([theta, theta])

# %% wrong: refine -- the values are interpolated, but they live on cells
def refine(theta):
    middle = torch.cat([(theta[:-1] + theta[1:]) / 2, theta[-1:]])
    return torch.stack([theta, middle], dim=1).flatten(0, 1)

# %% wrong: refine -- the values are halved, but both halves of a cell keep its weights
def refine(theta):
    return theta.repeat_interleave(2, dim=0) / 2

# %% wrong: refine -- the gradient is cut
def refine(theta):
    return theta.detach().repeat_interleave(2, dim=0)

# %% wrong: refine -- the gradient is cut
def refine(theta):
    return torch.as_tensor(np.repeat(theta.detach().numpy(), 2, axis=0))

# %% wrong: refine -- the last axis is doubled instead of the first
def refine(theta):
    return theta.repeat_interleave(2, dim=-1)

# %% wrong: refine -- the second axis is doubled instead of the first
def refine(theta):
    return theta.repeat_interleave(2, dim=min(1, theta.ndim - 1))

# %% wrong: refine -- without dim the tensor is flattened first
def refine(theta):
    return theta.repeat_interleave(2)

# %% wrong: refine -- repeat(2) repeats the whole sequence along the last axis
def refine(theta):
    return theta.repeat(2)

# %% wrong: refine -- the second child is zero
def refine(theta):
    return torch.stack([theta, torch.zeros_like(theta)], dim=1).flatten(0, 1)

# %% wrong: refine -- the cells come in reverse order
def refine(theta):
    return theta.flip(0).repeat_interleave(2, dim=0)

# %% wrong: refine -- the copies stand along a new last axis, which is not the axis of the cells
def refine(theta):
    return torch.stack([theta, theta], dim=-1).reshape(2 * theta.shape[0], *theta.shape[1:])

# %% wrong: refine -- the pairs of children are not flattened: an axis is left over
def refine(theta):
    return torch.stack([theta, theta], dim=1)

# %% wrong: refine -- there are 2 n - 1 cells: the last one is not cut
def refine(theta):
    return theta.repeat_interleave(2, dim=0)[:-1]

# %% wrong: refine -- each cell is cut in three
def refine(theta):
    return theta.repeat_interleave(3, dim=0)

# %% wrong: refine -- every cell is doubled n times: the factor is the number of cells
def refine(theta):
    return theta.repeat_interleave(len(theta), dim=0)

# %% wrong: refine -- theta comes back as it is, with no cell cut
def refine(theta):
    return theta

# %% wrong: refine -- a list comes back, not a tensor
def refine(theta):
    children = []
    for parent in theta:
        children += [parent, parent]
    return children

# %% wrong: refine -- the result is float32 whatever theta is
def refine(theta):
    fine = torch.zeros(2 * len(theta), *theta.shape[1:])
    fine[0::2] = theta
    fine[1::2] = theta
    return fine

# %% wrong: refine -- the gradient reaches the first child only
def refine(theta):
    return torch.stack([theta, theta.detach()], dim=1).flatten(0, 1)

# %% wrong: refine -- a single cell comes back as a view: the result shares its memory
def refine(theta):
    return theta.unsqueeze(1).expand(-1, 2, *theta.shape[1:]).flatten(0, 1)

# %% wrong: refine -- theta is changed in place
def refine(theta):
    fine = theta.repeat_interleave(2, dim=0)
    theta *= 0
    return fine

# %% wrong: refine -- the whole sequence is repeated: A, B, A, B instead of A, A, B, B
def refine(theta):
    return theta.repeat(2, *[1] * (theta.ndim - 1))

# %% wrong: refine -- the gradient is cut
def refine(theta):
    return torch.tensor([value for value in theta.tolist() for _ in range(2)], dtype=theta.dtype)

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

# %% right: refine -- filled into an empty tensor
def refine(theta):
    fine = theta.new_empty(2 * len(theta), *theta.shape[1:])
    fine[::2], fine[1::2] = theta, theta
    return fine

# %% wrong: manifestation_table -- the model keeps the last scheme and number of steps
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    for scheme in schemes:
        for n in steps:
            model.scheme, model.n_steps = scheme, n
            table[scheme, n] = evaluate(model)
    return table

# %% wrong: manifestation_table -- the model is not restored when an evaluation fails
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    for scheme in schemes:
        for n in steps:
            model.scheme, model.n_steps = scheme, n
            table[scheme, n] = evaluate(model)
    model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the error of an evaluation is swallowed, its entry is nan
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

# %% wrong: manifestation_table -- the error of an evaluation is swallowed, its entry is left out
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    for scheme in schemes:
        for n in steps:
            model.scheme, model.n_steps = scheme, n
            try:
                table[scheme, n] = evaluate(model)
            except Exception:
                continue
    model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- an evaluation that fails ends the table, and its error is swallowed
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
        return table

# %% wrong: manifestation_table -- an evaluation that fails ends the table, and its error is swallowed
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    except Exception:
        pass
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the error of an evaluation comes back as another one
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    except Exception as error:
        raise RuntimeError(f"the evaluation failed: {error}")
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- after an error the model is restored, without one it is not
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    except Exception:
        model.scheme, model.n_steps = own
        raise
    return table

# %% wrong: manifestation_table -- the number of steps stays as it was
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme = scheme
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the scheme stays as it was
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.n_steps = n
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the model has its own scheme and steps while it is evaluated
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- scheme and number of steps are exchanged in the keys
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

# %% wrong: manifestation_table -- the keys are words, not pairs
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[f"{scheme}, {n}"] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the two attributes are remembered inside of the loop, where they are no longer the model's own
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                own = model.scheme, model.n_steps
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the numbers of steps are words in the keys
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, str(n)] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the dict is nested: one dict for each scheme
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table.setdefault(scheme, {})[n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- schemes and steps are taken in pairs, not in all combinations
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

# %% wrong: manifestation_table -- only the scheme is restored
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme = own[0]
    return table

# %% wrong: manifestation_table -- only the number of steps is restored
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    finally:
        model.n_steps = own[1]
    return table

# %% wrong: manifestation_table -- the two attributes are exchanged when they are restored
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    finally:
        model.n_steps, model.scheme = own
    return table

# %% wrong: manifestation_table -- the model gets Euler and one step in the end, not what it had
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = "euler", 1
    return table

# %% wrong: manifestation_table -- the model keeps the last scheme and number of steps
def manifestation_table(model, evaluate, schemes, steps):
    own = model
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own.scheme, own.n_steps
    return table

# %% wrong: manifestation_table -- the model has its own scheme and steps while it is evaluated
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    for scheme in schemes:
        for n in steps:
            try:
                model.scheme, model.n_steps = scheme, n
            finally:
                model.scheme, model.n_steps = own
            table[scheme, n] = evaluate(model)
    return table

# %% wrong: manifestation_table -- the loop returns after its first evaluation
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate(model)
                return table
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- the numbers come in a list, without their keys
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = []
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table.append(evaluate(model))
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- evaluate is stored, not called
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                table[scheme, n] = evaluate
    finally:
        model.scheme, model.n_steps = own
    return table

# %% wrong: manifestation_table -- each pair is evaluated twice
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n in steps:
                model.scheme, model.n_steps = scheme, n
                evaluate(model)
                table[scheme, n] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table

# %% right: manifestation_table -- with itertools and setattr
def manifestation_table(model, evaluate, schemes, steps):
    import itertools

    kept = {name: getattr(model, name) for name in ("scheme", "n_steps")}
    results = {}
    try:
        for pair in itertools.product(schemes, steps):
            model.scheme, model.n_steps = pair
            results[pair] = evaluate(model)
        return results
    finally:
        for name, value in kept.items():
            setattr(model, name, value)

# %% right: manifestation_table -- a deep copy for each pair, the model itself is never touched
import copy


def manifestation_table(model, evaluate, schemes, steps):
    table = {}
    for scheme in schemes:
        for n in steps:
            m = copy.deepcopy(model)
            m.scheme, m.n_steps = scheme, n
            table[scheme, n] = evaluate(m)
    return table

# %% right: manifestation_table -- restored after every evaluation
def manifestation_table(model, evaluate, schemes, steps):
    def one(scheme, n):
        own_scheme, own_steps = model.scheme, model.n_steps
        model.scheme = scheme
        model.n_steps = n
        try:
            return evaluate(model)
        finally:
            model.scheme = own_scheme
            model.n_steps = own_steps

    return {(scheme, n): one(scheme, n) for scheme in schemes for n in steps}

# %% wrong: runge_kutta_step -- the weights b are made a float32 tensor: digits are lost
def runge_kutta_step(tableau, f, t, y, h):
    slopes = []
    for row, c in zip(tableau.a, tableau.c):
        slopes.append(f(t + c * h, y + h * sum(a * k for a, k in zip(row, slopes))))
    weights = torch.tensor(tableau.b).view(-1, *[1] * y.dim())
    return y + h * (weights * torch.stack(slopes)).sum(0)

# %% wrong: adaptive_solve -- steps that are too wrong are counted, and kept all the same
BOSH3 = solvers.TABLEAUS["bosh3"]

def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = t0, y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, e = solvers.embedded_step(BOSH3, f, t, y, h)
        size = (e / (atol + rtol * torch.maximum(y.abs(), new.abs()))).pow(2).mean().sqrt().item()
        if size > 1:
            n_rejected += 1
        t, y = t1 if last else t + h, new
        ts.append(t)
        ys.append(y)
        h = h * (min(10, max(0.2, 0.9 * size ** (-1 / 3))) if size else 10)
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: adaptive_solve -- one largest error over one largest state, not entry by entry
BOSH3 = solvers.TABLEAUS["bosh3"]

def adaptive_solve(f, y0, t0, t1, rtol, atol):
    t, y, h = t0, y0, (t1 - t0) / 100
    ts, ys, n_rejected = [t], [y], 0
    while t < t1:
        last = t + h >= t1
        if last:
            h = t1 - t
        new, e = solvers.embedded_step(BOSH3, f, t, y, h)
        size = (e.abs().max() / (atol + rtol * max(y.abs().max(), new.abs().max()))).item()
        if size <= 1:
            t, y = t1 if last else t + h, new
            ts.append(t)
            ys.append(y)
        else:
            n_rejected += 1
        h = h * (min(10, max(0.2, 0.9 * size ** (-1 / 3))) if size else 10)
    return torch.tensor(ts, dtype=torch.float64), torch.stack(ys), n_rejected

# %% wrong: cell_index -- only the last cell is held on to: other stages with c = 1 read the next cell
def cell_index(step, n_steps, n_cells, stage_c):
    return min(int((step + stage_c) * n_cells / n_steps), n_cells - 1)

# %% wrong: manifestation_table -- the keys have the number of steps first
def manifestation_table(model, evaluate, schemes, steps):
    own = model.scheme, model.n_steps
    table = {}
    try:
        for n in steps:
            for scheme in schemes:
                model.scheme, model.n_steps = scheme, n
                table[n, scheme] = evaluate(model)
    finally:
        model.scheme, model.n_steps = own
    return table
