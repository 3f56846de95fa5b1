# Named answers to the exercises of notebook 06: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: planar_flow -- u is used as it is, so that the layer may fold
def planar_flow(z, w, u, b):
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u, torch.log((1 + (w @ u) * (1 - h**2)).abs())

# %% wrong: planar_flow -- u is bent only where w.u is below -1
def planar_flow(z, w, u, b):
    dot = w @ u
    if dot < -1:
        u = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u, torch.log1p((w @ u) * (1 - h**2))

# %% wrong: planar_flow -- the sign of the log-determinant
def planar_flow(z, w, u, b):
    z_new, log_det = flows.planar_flow(z, w, u, b)
    return z_new, -log_det

# %% wrong: planar_flow -- w is divided by its length, not by the square of it
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / w.norm()
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 + (w @ u_hat) * (1 - h**2)).abs())

# %% wrong: planar_flow -- the derivative of tanh is missing
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 + (w @ u_hat) * h).abs())

# %% wrong: planar_flow -- the determinant itself, not its logarithm
def planar_flow(z, w, u, b):
    z_new, log_det = flows.planar_flow(z, w, u, b)
    return z_new, log_det.exp()

# %% wrong: planar_flow -- the samples are moved in place
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    z += h[:, None] * u_hat
    return z, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- one log-determinant for the whole batch
def planar_flow(z, w, u, b):
    z_new, log_det = flows.planar_flow(z, w, u, b)
    return z_new, log_det.sum()

# %% wrong: planar_flow -- the offset is forgotten
def planar_flow(z, w, u, b):
    return flows.planar_flow(z, w, u, torch.zeros_like(b))

# %% right: planar_flow -- with einsum and an outer product
def planar_flow(z, w, u, b):
    inner = torch.einsum("i,i->", w, u)
    m = torch.log(1 + torch.exp(inner)) - 1
    u = u + (m - inner) * w / torch.einsum("i,i->", w, w)
    a = torch.einsum("si,i->s", z, w) + b
    moved = z + torch.einsum("s,i->si", torch.tanh(a), u)
    slope = 1 / torch.cosh(a) ** 2
    return moved, torch.log(torch.abs(1 + slope * torch.einsum("i,i->", w, u)))

# %% right: planar_flow -- sample by sample
def planar_flow(z, w, u, b):
    inner = (w * u).sum()
    u_hat = u + (-1 + torch.log1p(torch.exp(inner)) - inner) / (w * w).sum() * w
    moved, logs = [], []
    for row in z:
        h = torch.tanh((row * w).sum() + b)
        moved.append(row + u_hat * h)
        logs.append(torch.log(1 + (w * u_hat).sum() * (1 - h * h)))
    return torch.stack(moved), torch.stack(logs)

# %% right: planar_flow -- the determinant of the matrix I + slope * outer(u, w)
def planar_flow(z, w, u, b):
    inner = w.dot(u)
    u_hat = u + (torch.nn.functional.softplus(inner) - 1 - inner) * w / w.dot(w)
    h = torch.tanh(z.matmul(w).add(b))
    eye = torch.eye(len(w), dtype=z.dtype)
    matrices = eye + (1 - h**2)[:, None, None] * torch.outer(u_hat, w)
    return z + torch.outer(h, u_hat), torch.linalg.slogdet(matrices)[1]

# %% wrong: divergence -- all entries of the Jacobian are added
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        return torch.autograd.grad(f(z).sum(), z, create_graph=True)[0].sum(dim=1)

# %% wrong: divergence -- the graph is not kept, the result carries no gradients
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        return sum(torch.autograd.grad(value[:, i].sum(), z, retain_graph=True)[0][:, i] for i in range(z.shape[1]))

# %% wrong: divergence -- gradients may be switched off around it
def divergence(f, z):
    z = z if z.requires_grad else z.detach().requires_grad_()
    value = f(z)
    return sum(torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(z.shape[1]))

# %% wrong: divergence -- the samples are added up
def divergence(f, z):
    return flows.divergence(f, z).sum()

# %% wrong: divergence -- only two dimensions
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        return sum(torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(2))

# %% wrong: divergence -- z is made to require gradients in place
def divergence(f, z):
    with torch.enable_grad():
        z.requires_grad_()
        value = f(z)
        return sum(torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(z.shape[1]))

# %% wrong: divergence -- z is cut off from what came before
def divergence(f, z):
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        value = f(z)
        return sum(torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(z.shape[1]))

# %% wrong: divergence -- a random estimate instead of the trace
def divergence(f, z):
    return flows.hutchinson_divergence(f, z, flows.rademacher(z.shape, dtype=z.dtype))

# %% wrong: divergence -- finite differences in z without gradients
def divergence(f, z):
    h = 1e-4
    with torch.no_grad():
        steps = h * torch.eye(z.shape[1], dtype=z.dtype)
        return sum((f(z + s)[:, i] - f(z - s)[:, i]) / (2 * h) for i, s in enumerate(steps))

# %% right: divergence -- whole Jacobians by torch.func
def divergence(f, z):
    jacobians = torch.func.vmap(torch.func.jacrev(lambda y: f(y[None])[0]))(z)
    return jacobians.diagonal(dim1=1, dim2=2).sum(dim=1)

# %% right: divergence -- forward mode, one dimension after the other
def divergence(f, z):
    total = 0
    for i, direction in enumerate(torch.eye(z.shape[1], dtype=z.dtype)):
        total = total + torch.func.jvp(f, (z,), (direction.expand_as(z),))[1][:, i]
    return total

# %% right: divergence -- a loop with unit vectors as grad_outputs
def divergence(f, z):
    with torch.enable_grad():
        if not z.requires_grad:
            z = z.clone().requires_grad_(True)
        out = f(z)
        columns = []
        for i in range(z.size(1)):
            pick = torch.zeros_like(out)
            pick[:, i] = 1
            columns.append(torch.autograd.grad(out, z, grad_outputs=pick, create_graph=True)[0][:, i])
    return torch.stack(columns).sum(0)

# %% wrong: hutchinson_divergence -- the second product with the noise is missing
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        return torch.autograd.grad(f(z), z, noise, create_graph=True)[0].sum(dim=1)

# %% wrong: hutchinson_divergence -- new noise is drawn inside
def hutchinson_divergence(f, z, noise):
    fresh = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype)
    return flows.hutchinson_divergence(f, z, fresh)

# %% wrong: hutchinson_divergence -- the noise is turned into signs
def hutchinson_divergence(f, z, noise):
    return flows.hutchinson_divergence(f, z, torch.sign(noise))

# %% wrong: hutchinson_divergence -- biased: the noise stands on one side only
def hutchinson_divergence(f, z, noise):
    return flows.hutchinson_divergence(f, z, noise) + noise.mean(dim=1) ** 2

# %% wrong: hutchinson_divergence -- the mean over the dimensions
def hutchinson_divergence(f, z, noise):
    return flows.hutchinson_divergence(f, z, noise) / z.shape[1]

# %% wrong: hutchinson_divergence -- the exact trace
def hutchinson_divergence(f, z, noise):
    return flows.divergence(f, z)

# %% wrong: hutchinson_divergence -- no gradients in the result
def hutchinson_divergence(f, z, noise):
    return flows.hutchinson_divergence(f, z, noise).detach()

# %% wrong: hutchinson_divergence -- gradients may be switched off around it
def hutchinson_divergence(f, z, noise):
    z = z if z.requires_grad else z.detach().requires_grad_()
    return (torch.autograd.grad(f(z), z, noise, create_graph=True)[0] * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the samples are added up
def hutchinson_divergence(f, z, noise):
    return flows.hutchinson_divergence(f, z, noise).sum()

# %% right: hutchinson_divergence -- forward mode
def hutchinson_divergence(f, z, noise):
    _, pushed = torch.func.jvp(f, (z,), (noise,))
    return torch.einsum("si,si->s", noise, pushed)

# %% right: hutchinson_divergence -- torch.func.vjp
def hutchinson_divergence(f, z, noise):
    _, pull = torch.func.vjp(f, z)
    (row,) = pull(noise)
    return (row * noise).sum(-1)

# %% right: hutchinson_divergence -- the gradient of an inner product
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        here = z if z.requires_grad else z.clone().requires_grad_(True)
        scalar = (f(here) * noise).sum()
        slope = torch.autograd.grad(scalar, here, create_graph=True)[0]
        return torch.sum(slope * noise, dim=1)

# %% wrong: cnf_dynamics -- the minus sign is missing
def cnf_dynamics(f, t, state):
    z, _ = state
    return f(t, z), flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the trace is read at time zero
def cnf_dynamics(f, t, state):
    z, _ = state
    return f(t, z), -flows.divergence(lambda y: f(0.0, y), z)

# %% wrong: cnf_dynamics -- both signs are reversed, for a solve backwards
def cnf_dynamics(f, t, state):
    z, _ = state
    return -f(t, z), flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the log-density gets an axis too many
def cnf_dynamics(f, t, state):
    z, _ = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z)[:, None]

# %% wrong: cnf_dynamics -- the density's rate, not that of its logarithm
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z) * log_p.exp()

# %% wrong: cnf_dynamics -- the samples are added up
def cnf_dynamics(f, t, state):
    z, _ = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z).sum().expand(len(z))

# %% wrong: cnf_dynamics -- the result of an Euler step, not the rate
def cnf_dynamics(f, t, state):
    z, log_p = state
    return z + f(t, z), log_p - flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the gradients are cut
def cnf_dynamics(f, t, state):
    z, _ = state
    return f(t, z).detach(), -flows.divergence(lambda y: f(t, y), z).detach()

# %% right: cnf_dynamics -- whole Jacobians by torch.func
def cnf_dynamics(f, t, state):
    samples, _log = state
    trace = torch.func.vmap(lambda y: torch.func.jacfwd(lambda v: f(t, v[None])[0])(y).trace())(samples)
    return f(t, samples), trace.neg()

# %% right: cnf_dynamics -- a named inner function and indices
def cnf_dynamics(f, t, state):
    def frozen(y):
        return f(t, y)

    rate = flows.divergence(frozen, state[0]) * (-1)
    return (frozen(state[0]), rate)

# %% wrong: cnf_log_prob -- the change of the density has the wrong sign
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    end = solve(augmented, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), t1, t0)
    return base.log_prob(end[:, :-1]) + end[:, -1]

# %% wrong: cnf_log_prob -- the solve goes from t0 to t1
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    end = solve(augmented, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), t0, t1)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the base is evaluated at the data
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    end = solve(augmented, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), t1, t0)
    return base.log_prob(x) - end[:, -1]

# %% wrong: cnf_log_prob -- the change of the density is forgotten
def cnf_log_prob(f, x, base, t0, t1, solve):
    return base.log_prob(solve(f, x, t1, t0))

# %% wrong: cnf_log_prob -- the times are taken to be one and zero
def cnf_log_prob(f, x, base, t0, t1, solve):
    return flows.cnf_log_prob(f, x, base, 0.0, 1.0, solve)

# %% wrong: cnf_log_prob -- the field is negated although the solver goes backwards
def cnf_log_prob(f, x, base, t0, t1, solve):
    return flows.cnf_log_prob(lambda t, z: -f(t, z), x, base, t0, t1, solve)

# %% wrong: cnf_log_prob -- one sum for the whole batch
def cnf_log_prob(f, x, base, t0, t1, solve):
    return flows.cnf_log_prob(f, x, base, t0, t1, solve).sum()

# %% wrong: cnf_log_prob -- a standard normal base whatever is given
def cnf_log_prob(f, x, base, t0, t1, solve):
    return flows.cnf_log_prob(f, x, flows.Gaussian(x.shape[1]), t0, t1, solve)

# %% wrong: cnf_log_prob -- noise at each evaluation instead of the trace
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        z = state[:, :-1]
        noise = flows.rademacher(z.shape, dtype=z.dtype)
        trace = flows.hutchinson_divergence(lambda y: f(t, y), z, noise)
        return torch.cat([f(t, z), -trace[:, None]], dim=1)

    end = solve(augmented, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% right: cnf_log_prob -- a flat state, the trace added up with its own sign
def cnf_log_prob(f, x, base, t0, t1, solve):
    s, d = x.shape

    def rate(t, flat):
        z = flat[: s * d].reshape(s, d)
        trace = flows.divergence(lambda y: f(t, y), z)
        return torch.cat([f(t, z).reshape(-1), trace])

    flat = solve(rate, torch.cat([x.reshape(-1), x.new_zeros(s)]), t1, t0)
    return base.log_prob(flat[: s * d].reshape(s, d)) + flat[s * d :]

# %% right: cnf_log_prob -- the log-density column comes first
def cnf_log_prob(f, x, base, t0, t1, solve):
    def both(t, y):
        dz, dl = flows.cnf_dynamics(f, t, (y[:, 1:], y[:, 0]))
        return torch.column_stack([dl, dz])

    y = solve(both, torch.column_stack([torch.zeros(len(x), dtype=x.dtype), x]), t1, t0)
    change = y[:, 0]
    return base.log_prob(y[:, 1:]) - change

# %% right: cnf_log_prob -- the place first, then the integral along a second solve
def cnf_log_prob(f, x, base, t0, t1, solve):
    z0 = solve(f, x, t1, t0)

    def pair(t, y):
        dz, dl = flows.cnf_dynamics(f, t, (y[:, :-1], y[:, -1]))
        return torch.cat([dz, dl.unsqueeze(1)], 1)

    start = torch.cat([z0, base.log_prob(z0).unsqueeze(1)], 1)
    return solve(pair, start, t0, t1)[:, -1]

# %% wrong: reverse_kl -- the potential has the wrong sign
def reverse_kl(samples, log_q, potential):
    return (log_q - potential(samples)).mean()

# %% wrong: reverse_kl -- the sum instead of the mean
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).sum()

# %% wrong: reverse_kl -- log q is forgotten
def reverse_kl(samples, log_q, potential):
    return potential(samples).mean()

# %% wrong: reverse_kl -- the terms are weighted with q a second time
def reverse_kl(samples, log_q, potential):
    return (log_q.exp() * (log_q + potential(samples))).mean()

# %% wrong: reverse_kl -- the other way round, KL(p || q)
def reverse_kl(samples, log_q, potential):
    return -(log_q + potential(samples)).mean()

# %% wrong: reverse_kl -- log q is held fixed
def reverse_kl(samples, log_q, potential):
    return (log_q.detach() + potential(samples)).mean()

# %% wrong: reverse_kl -- no mean at all
def reverse_kl(samples, log_q, potential):
    return log_q + potential(samples)

# %% right: reverse_kl -- two means
def reverse_kl(samples, log_q, potential):
    return torch.mean(potential(samples)) + torch.mean(log_q)

# %% right: reverse_kl -- log q minus log p, a sum divided by the number of samples
def reverse_kl(samples, log_q, potential):
    log_p = -potential(samples)
    return torch.sum(log_q - log_p) / len(samples)
