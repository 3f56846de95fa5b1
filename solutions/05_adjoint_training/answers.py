# Named answers to the exercises of notebook 05: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: count_nfe -- the counter starts at one
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 1
        return f(t, y)
    counted.nfe = 1
    return counted

# %% wrong: count_nfe -- all wrapped fields share one counter
class Counted:
    nfe = 0
    def __init__(self, f):
        self.f = f
    def __call__(self, t, y):
        Counted.nfe += 1
        return self.f(t, y)

def count_nfe(f):
    Counted.nfe = 0
    return Counted(f)

# %% wrong: count_nfe -- a call after a reset is not counted
def count_nfe(f):
    calls = []
    def counted(t, y):
        calls.append(t)
        counted.nfe = len(calls)
        return f(t, y)
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- the field's value is not returned
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 1
        f(t, y)
        return y
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- the value is detached: no gradient flows through
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 1
        return f(t, y).detach()
    counted.nfe = 0
    return counted

# %% right: count_nfe -- a class with a call
class Counter:
    def __init__(self, f):
        self.f, self.nfe = f, 0
    def __call__(self, *arguments, **named):
        self.nfe += 1
        return self.f(*arguments, **named)

def count_nfe(f):
    return Counter(f)

# %% right: count_nfe -- other names, setattr
def count_nfe(field):
    def wrapped(time, state):
        setattr(wrapped, "nfe", getattr(wrapped, "nfe") + 1)
        slope = field(time, state)
        return slope
    setattr(wrapped, "nfe", 0)
    return wrapped

# %% wrong: adjoint_dynamics -- the minus of the adjoint is missing
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), a, allow_unused=True, materialize_grads=True)
    return dy.detach(), da, tuple(-d for d in dp)

# %% wrong: adjoint_dynamics -- the minus of the parameters is missing
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), a, allow_unused=True, materialize_grads=True)
    return dy.detach(), -da, tuple(dp)

# %% wrong: adjoint_dynamics -- the state runs backwards too: f has a minus
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return -dy.detach(), da, tuple(dp)

# %% wrong: adjoint_dynamics -- the Jacobian is transposed
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    da = -torch.func.jvp(lambda y: f(t, y), (y.detach(),), (a,))[1]
    return dy.detach(), da.detach(), tuple(dp)

# %% wrong: adjoint_dynamics -- a is not used
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(-dy.sum(), (y, *params), allow_unused=True, materialize_grads=True)
    return dy.detach(), da, tuple(dp)

# %% wrong: adjoint_dynamics -- unused parameters give None
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True)
    return dy.detach(), da, tuple(dp)

# %% wrong: adjoint_dynamics -- the field is read at time 0
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(0.0, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return dy.detach(), da, tuple(dp)

# %% wrong: adjoint_dynamics -- recording is not switched on inside torch.no_grad()
def adjoint_dynamics(f, params, t, y, a):
    y = y.detach().requires_grad_()
    dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return dy.detach(), da, tuple(dp)

# %% wrong: adjoint_dynamics -- the gradients pile up in the parameters
def adjoint_dynamics(f, params, t, y, a):
    for p in params:
        p.grad = None
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
        dy.backward(-a)
    return dy.detach(), y.grad, tuple(torch.zeros_like(p) if p.grad is None else p.grad for p in params)

# %% right: adjoint_dynamics -- with torch.func.vjp for the state
def adjoint_dynamics(f, params, t, y, a):
    dy, back = torch.func.vjp(lambda y: f(t, y), y.detach())
    da = -back(a)[0]
    with torch.enable_grad():
        value = (a.detach() * f(t, y.detach())).sum()
    grads = [None] * len(params)
    if params:
        grads = torch.autograd.grad(value, params, allow_unused=True)
    dparams = tuple(torch.zeros_like(p) if g is None else -g for p, g in zip(params, grads))
    return dy.detach(), da.detach(), dparams

# %% right: adjoint_dynamics -- the gradient of a scalar product
def adjoint_dynamics(f, params, t, y, a):
    torch_y = y.clone().detach()
    with torch.set_grad_enabled(True):
        torch_y.requires_grad_(True)
        slope = f(t, torch_y)
        scalar = -(a * slope).sum()
        found = torch.autograd.grad(scalar, [torch_y] + list(params), allow_unused=True)
    full = [torch.zeros_like(x) if g is None else g for x, g in zip([torch_y] + list(params), found)]
    return slope.detach(), full[0].detach(), tuple(g.detach() for g in full[1:])

# %% wrong: adjoint_gradients -- the way back starts at y0 instead of y(t1)
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    def apart(v):
        return [x.view(l.shape) for x, l in zip(v.split(sizes), like)]
    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return torch.cat([x.reshape(-1) for x in (dy, da, *dp)])
    start = torch.cat([x.reshape(-1) for x in (y0, grad_y1, *(torch.zeros_like(p) for p in params))])
    _, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the way back starts at y0 and runs forwards
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    def apart(v):
        return [x.view(l.shape) for x, l in zip(v.split(sizes), like)]
    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return torch.cat([x.reshape(-1) for x in (dy, da, *dp)])
    start = torch.cat([x.reshape(-1) for x in (y0, grad_y1, *(torch.zeros_like(p) for p in params))])
    _, a, *grads = apart(solve(augmented, start, t0, t1))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- y stays at y(t1) on the way back
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    y1 = solve(f, y0, t0, t1)
    like = (y0, *params)
    sizes = [x.numel() for x in like]
    def augmented(t, v):
        a = v.split(sizes)[0].view(y0.shape)
        _, da, dp = adjoint.adjoint_dynamics(f, params, t, y1, a)
        return torch.cat([x.reshape(-1) for x in (da, *dp)])
    start = torch.cat([x.reshape(-1) for x in (grad_y1, *(torch.zeros_like(p) for p in params))])
    a, *grads = [x.view(l.shape) for x, l in zip(solve(augmented, start, t1, t0).split(sizes), like)]
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- a solver of its own is used instead of the given one
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    leaf = y0.detach().clone().requires_grad_()
    y1 = solvers.solve(f, leaf, t0, t1, rtol=1e-9, atol=1e-9)
    grads = torch.autograd.grad(y1, (leaf, *params), grad_y1, allow_unused=True, materialize_grads=True)
    return grads[0], grads[1:]

# %% right: adjoint_gradients -- slices instead of split, loops
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    n = y0.numel()
    end = solve(f, y0, t0, t1)
    pieces = [end.flatten(), grad_y1.flatten()]
    for p in params:
        pieces.append(torch.zeros(p.numel(), dtype=y0.dtype))
    def rhs(t, vector):
        dy, da, dp = adjoint.adjoint_dynamics(
            f, params, t, vector[:n].reshape(y0.shape), vector[n : 2 * n].reshape(y0.shape)
        )
        out = [dy.flatten(), da.flatten()]
        for d in dp:
            out.append(d.flatten())
        return torch.cat(out)
    start = solve(rhs, torch.cat(pieces), t1, t0)
    grads, position = [], 2 * n
    for p in params:
        grads.append(start[position : position + p.numel()].reshape(p.shape))
        position += p.numel()
    return start[n : 2 * n].reshape(y0.shape), tuple(grads)

# %% right: adjoint_gradients -- time reversed: s = t1 - t, all rates with the other sign
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    def rhs(s, v):
        parts = [x.view(l.shape) for x, l in zip(v.split(sizes), like)]
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t1 - s, parts[0], parts[1])
        return -torch.cat([x.reshape(-1) for x in (dy, da, *dp)])
    start = [solve(f, y0, t0, t1), grad_y1] + [torch.zeros_like(p) for p in params]
    end = solve(rhs, torch.cat([x.reshape(-1) for x in start]), 0.0, t1 - t0)
    _, a, *grads = [x.view(l.shape) for x, l in zip(end.split(sizes), like)]
    return a, tuple(grads)

# %% wrong: adjoint_at_observations -- only the last observation counts
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    if times[-1] == t0:
        return grad_ys[-1], tuple(torch.zeros_like(p) for p in params)
    return adjoint.adjoint_gradients(f, params, y0, t0, times[-1], grad_ys[-1], solve)

# %% wrong: adjoint_at_observations -- the jump replaces the adjoint instead of adding to it
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], None
    for i in range(len(times), 0, -1):
        a = grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the parameters' gradients are not added up over the intervals
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    grads, a = tuple(torch.zeros_like(p) for p in params), torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
    return a, grads

# %% wrong: adjoint_at_observations -- every interval starts from y0
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes = [t0, *times]
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, y0, nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the given gradients are changed in place
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], grad_ys[-1]
    for i in range(len(times), 0, -1):
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
        if i > 1:
            grad_ys[i - 2].add_(a)
            a = grad_ys[i - 2]
    return a, tuple(total)

# %% right: adjoint_at_observations -- the sum over the observations, one solve for each
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    grad_y0 = torch.zeros_like(y0)
    totals = tuple(torch.zeros_like(p) for p in params)
    for time, grad in zip(times, grad_ys):
        if time == t0:
            grad_y0 = grad_y0 + grad
            continue
        one, more = adjoint.adjoint_gradients(f, params, y0, t0, time, grad, solve)
        grad_y0 = grad_y0 + one
        totals = tuple(a + b for a, b in zip(totals, more))
    return grad_y0, totals

# %% right: adjoint_at_observations -- one augmented state, the path only backwards
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]
    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))
    end = solve(f, y0, t0, times[-1]) if times[-1] != t0 else y0
    vector = join((end, torch.zeros_like(y0), *(torch.zeros_like(p) for p in params)))
    for i in reversed(range(len(times))):
        y, a, *g = apart(vector)
        vector = join((y, a + grad_ys[i], *g))
        earlier = times[i - 1] if i else t0
        if earlier != times[i]:
            vector = solve(augmented, vector, times[i], earlier)
    _, a, *grads = apart(vector)
    return a, tuple(grads)

# %% wrong: reverse_reconstruction_error -- the mean difference is returned, not the largest
def reverse_reconstruction_error(f, y0, t1, solve):
    return (solve(f, solve(f, y0, 0.0, t1), t1, 0.0) - y0).abs().mean().item()

# %% wrong: reverse_reconstruction_error -- the error is relative to y0
def reverse_reconstruction_error(f, y0, t1, solve):
    back = solve(f, solve(f, y0, 0.0, t1), t1, 0.0)
    return ((back - y0).abs().max() / y0.abs().max()).item()

# %% wrong: reverse_reconstruction_error -- the second solve goes forwards again
def reverse_reconstruction_error(f, y0, t1, solve):
    return (solve(f, solve(f, y0, 0.0, t1), 0.0, t1) - y0).abs().max().item()

# %% wrong: reverse_reconstruction_error -- the end is compared with the start: there is no way back
def reverse_reconstruction_error(f, y0, t1, solve):
    return (solve(f, y0, 0.0, t1) - y0).abs().max().item()

# %% wrong: reverse_reconstruction_error -- absolute values are missing
def reverse_reconstruction_error(f, y0, t1, solve):
    return (solve(f, solve(f, y0, 0.0, t1), t1, 0.0) - y0).max().item()

# %% wrong: reverse_reconstruction_error -- the way back has times from 0 to -t1
def reverse_reconstruction_error(f, y0, t1, solve):
    return (solve(f, solve(f, y0, 0.0, t1), 0.0, -t1) - y0).abs().max().item()

# %% wrong: reverse_reconstruction_error -- a tensor is returned
def reverse_reconstruction_error(f, y0, t1, solve):
    return (solve(f, solve(f, y0, 0.0, t1), t1, 0.0) - y0).abs().max()

# %% right: reverse_reconstruction_error -- with norms
def reverse_reconstruction_error(f, y0, t1, solve):
    there = solve(f, y0, 0.0, t1)
    return float(torch.linalg.vector_norm(y0 - solve(f, there, t1, 0.0), ord=math.inf))

# %% right: reverse_reconstruction_error -- a loop over the entries
def reverse_reconstruction_error(f, y0, t1, solve):
    back = solve(f, solve(f, y0, 0.0, t1), t1, 0.0)
    return max(abs(p - q) for p, q in zip(back.flatten().tolist(), y0.flatten().tolist()))

# %% wrong: elbo -- the Gaussian's constant is missing
def elbo(x, x_hat, mean, log_var, sigma):
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return (-0.5 * ((x - x_hat) / sigma) ** 2).flatten(1).sum(1) - kl

# %% wrong: elbo -- sigma is taken for the variance
def elbo(x, x_hat, mean, log_var, sigma):
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    ll = -0.5 * ((x - x_hat) ** 2 / sigma + math.log(2 * math.pi * sigma))
    return ll.flatten(1).sum(1) - kl

# %% wrong: elbo -- the divergence is added
def elbo(x, x_hat, mean, log_var, sigma):
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    ll = -0.5 * (((x - x_hat) / sigma) ** 2 + math.log(2 * math.pi * sigma**2))
    return ll.flatten(1).sum(1) + kl

# %% wrong: elbo -- log_var is taken for the logarithm of the standard deviation
def elbo(x, x_hat, mean, log_var, sigma):
    kl = 0.5 * (mean**2 + (2 * log_var).exp() - 1 - 2 * log_var).sum(1)
    ll = -0.5 * (((x - x_hat) / sigma) ** 2 + math.log(2 * math.pi * sigma**2))
    return ll.flatten(1).sum(1) - kl

# %% wrong: elbo -- it is the mean over the values of a series, not the sum
def elbo(x, x_hat, mean, log_var, sigma):
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    ll = -0.5 * (((x - x_hat) / sigma) ** 2 + math.log(2 * math.pi * sigma**2))
    return ll.flatten(1).mean(1) - kl

# %% wrong: elbo -- it is one number, the mean over all series
def elbo(x, x_hat, mean, log_var, sigma):
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    ll = -0.5 * (((x - x_hat) / sigma) ** 2 + math.log(2 * math.pi * sigma**2))
    return (ll.flatten(1).sum(1) - kl).mean()

# %% wrong: elbo -- the divergence is taken in the other direction
def elbo(x, x_hat, mean, log_var, sigma):
    posterior = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    kl = torch.distributions.kl_divergence(prior, posterior).sum(1)
    ll = -0.5 * (((x - x_hat) / sigma) ** 2 + math.log(2 * math.pi * sigma**2))
    return ll.flatten(1).sum(1) - kl

# %% right: elbo -- with torch.distributions
def elbo(x, x_hat, mean, log_var, sigma):
    posterior = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    divergence = torch.distributions.kl_divergence(posterior, prior).sum(dim=-1)
    return torch.distributions.Normal(x_hat, sigma).log_prob(x).sum(dim=(1, 2)) - divergence

# %% right: elbo -- series by series
def elbo(x, x_hat, mean, log_var, sigma):
    bounds = []
    for i in range(x.shape[0]):
        squares = (x[i] - x_hat[i]).pow(2).sum() / (2 * sigma * sigma)
        constant = x[i].numel() * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
        kl = sum((m * m + torch.exp(v) - 1 - v) / 2 for m, v in zip(mean[i], log_var[i]))
        bounds.append(-squares - constant - kl)
    return torch.stack(bounds)

# %% wrong: count_nfe -- the count of the wrapped field stays at zero
def count_nfe(f):
    def counted(t, y):
        return f(t, y)
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- each call counts twice
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 2
        return f(t, y)
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- each call counts twice
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 2
        f(t, y)
        return f(t, y)
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- the counter is set to 1 at each call
def count_nfe(f):
    def counted(t, y):
        counted.nfe = 1
        return f(t, y)
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- the counter is a tensor, not an integer
def count_nfe(f):
    def counted(t, y):
        counted.nfe = counted.nfe + 1
        return f(t, y)
    counted.nfe = torch.tensor(0)
    return counted

# %% wrong: count_nfe -- time and state are exchanged
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 1
        return f(y, t)
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- only calls with a new time are counted
def count_nfe(f):
    def counted(t, y):
        counted.nfe += t != getattr(counted, 'last', None)
        counted.last = t
        return f(t, y)
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- the counter is kept on f itself
def count_nfe(f):
    f.nfe = 0

    def counted(t, y):
        f.nfe += 1
        counted.nfe = f.nfe
        return f(t, y)

    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- the count of the wrapped field stays at zero
def count_nfe(f):
    nfe = 0

    def counted(t, y):
        nonlocal nfe
        nfe += 1
        return f(t, y)

    counted.nfe = nfe
    return counted

# %% wrong: count_nfe -- the wrapped field is called at once: a value comes instead of a function
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 1
        return f(t, y)

    counted.nfe = 0
    return counted(0.0, torch.zeros(1))

# %% wrong: count_nfe -- the function is not returned
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 1
        return f(t, y)

    counted.nfe = 0

# %% right: count_nfe -- functools.wraps
def count_nfe(f):
    import functools

    @functools.wraps(f)
    def counted(*args):
        counted.nfe = counted.nfe + 1
        return f(*args)

    counted.nfe = 0
    return counted

# %% wrong: adjoint_dynamics -- both minus signs are missing
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), a, allow_unused=True, materialize_grads=True)
    return dy.detach(), da, tuple(dp)

# %% wrong: adjoint_dynamics -- a is all ones
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -torch.ones_like(a), allow_unused=True, materialize_grads=True)
    return dy.detach(), da, tuple(dp)

# %% wrong: adjoint_dynamics -- the parameters' rates come in a list
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return dy.detach(), da, list(dp)

# %% wrong: adjoint_dynamics -- the rates of state and adjoint are exchanged
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return da, dy.detach(), tuple(dp)

# %% wrong: adjoint_dynamics -- the rate of the state still carries a gradient
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return dy, da, tuple(dp)

# %% wrong: adjoint_dynamics -- only the first parameter gets a rate
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return dy.detach(), da, tuple(dp[:1])

# %% wrong: adjoint_dynamics -- the parameters' rates are not in the tuple, one after the other
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return (dy.detach(), da, *dp)

# %% wrong: adjoint_dynamics -- the parameters' rates are a mean over the samples
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return dy.detach(), da, tuple(d / len(y) for d in dp)

# %% wrong: adjoint_dynamics -- the rate of the adjoint is multiplied by the state
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True, materialize_grads=True)
    return dy.detach(), da * y.detach(), tuple(dp)

# %% wrong: adjoint_dynamics -- unused parameters are not allowed for
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
        grads = torch.autograd.grad(dy, (y, *params), -a)
    da, *dp = grads
    return dy.detach(), da, tuple(dp)

# %% wrong: adjoint_dynamics -- parameters that are not used are left out
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy, (y, *params), -a, allow_unused=True)
    return dy.detach(), da, tuple(d for d in dp if d is not None)

# %% wrong: adjoint_dynamics -- the gradients pile up in the parameters
def adjoint_dynamics(f, params, t, y, a):
    before = [None if p.grad is None else p.grad.clone() for p in params]
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
        dy.backward(-a)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in params]
    grads = [g if b is None else g - b for g, b in zip(grads, before)]
    return dy.detach(), y.grad, tuple(grads)

# %% wrong: adjoint_dynamics -- the adjoint is not the vector of the product: it multiplies the sum of the Jacobian
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
    da, *dp = torch.autograd.grad(dy.sum(), (y, *params), allow_unused=True, materialize_grads=True)
    return dy.detach(), -a * da, tuple(-d * a.mean() for d in dp)

# %% right: adjoint_dynamics -- with zeros put in by hand, one gradient at a time
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        state = y.detach().clone().requires_grad_(True)
        slope = f(t, state)
        product = (slope * a.detach()).sum()
        rates = []
        for x in (state, *params):
            (g,) = torch.autograd.grad(product, x, retain_graph=True, allow_unused=True)
            rates.append(torch.zeros_like(x) if g is None else -g)
    return slope.detach(), rates[0].detach(), tuple(r.detach() for r in rates[1:])

# %% wrong: adjoint_gradients -- the sign of the parameters' gradients is wrong
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(-g for g in grads)

# %% wrong: adjoint_gradients -- a(t1) is returned instead of a(t0)
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return grad_y1, tuple(grads)

# %% wrong: adjoint_gradients -- the state is returned instead of the adjoint
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return y, tuple(grads)

# %% wrong: adjoint_gradients -- the way back runs forwards: from t0 to t1 again
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t0, t1))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- y and a are exchanged at the start of the way back
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((grad_y1, y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the parameters' gradients start at one
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.ones_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the parameters' gradients start at the parameters
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(p.detach() for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the adjoint starts with ones instead of grad_y1
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, torch.ones_like(grad_y1), *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the adjoint starts with the minus of grad_y1
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, -grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the rates are negated although time already runs backwards
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return -join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the field is negated and solved from t0 to t1, but its time is not reversed
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return -join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t0, t1))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the field is read at t0 on the whole way back
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t0, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the field is read at t1 on the whole way back
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t1, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the parameters' gradients are not in a tuple of their own
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return (a, *grads)

# %% wrong: adjoint_gradients -- the state is left out on the way back: the adjoint's field reads zeros
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((torch.zeros_like(y1), grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1, t0))
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the time runs from 0 to t1 - t0, but the field is read at this clock
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, t1 - t0, 0.0))
    return a, tuple(grads)

# %% right: adjoint_gradients -- the way back in two pieces
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, t, y, a)
        return join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    middle = (t0 + t1) / 2
    y, a, *grads = apart(solve(augmented, solve(augmented, start, t1, middle), middle, t0))
    return a, tuple(grads)

# %% right: adjoint_gradients -- time with the other sign, s = -t, and all rates too
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    like = (y0, y0, *params)
    sizes = [x.numel() for x in like]
    join = lambda parts: torch.cat([x.reshape(-1) for x in parts])
    apart = lambda v: [x.view(l.shape) for x, l in zip(v.split(sizes), like)]

    def augmented(t, v):
        y, a, *_ = apart(v)
        dy, da, dp = adjoint.adjoint_dynamics(f, params, -t, y, a)
        return -join((dy, da, *dp))

    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    y, a, *grads = apart(solve(augmented, start, -t1, -t0))
    return a, tuple(grads)

# %% wrong: adjoint_at_observations -- the gradients of the observations are taken in the wrong order
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[len(times) - i]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the intervals are gone through from the first to the last
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(1, len(times) + 1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the last observation is left out
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times) - 1, 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the first observation is left out
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 1, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- each interval starts from the state at its end
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the adjoint is not carried over the intervals
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            _, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the intervals are exchanged: each is solved from its end to its start
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i], nodes[i - 1], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the parameters' gradients are not added up over the intervals
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = list(grads)
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the parameters' gradients are averaged over the intervals
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(g / len(times) for g in total)

# %% wrong: adjoint_at_observations -- every interval starts at t0
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], t0, nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the gradient that comes back is the jump at the first observation alone
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return grad_ys[0], tuple(total)

# %% wrong: adjoint_at_observations -- the jumps are doubled
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + 2 * grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the parameters' gradients come in a list, one for each interval
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
            total = [*total, *grads]
    return a, tuple(total[len(params):])

# %% wrong: adjoint_at_observations -- the observation at t0 is left out
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(states[-1] if after == before else solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        if nodes[i] == nodes[i - 1]:
            continue
        a = a + grad_ys[i - 1]
        a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
        total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- an empty interval is solved: an observation at t0 fails
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, nodes[1:]):
        states.append(solve(f, states[-1], before, after))
    total, a = [torch.zeros_like(p) for p in params], torch.zeros_like(y0)
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]
        a, grads = adjoint.adjoint_gradients(f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve)
        total = [g + m for g, m in zip(total, grads)]
    return a, tuple(total)

# %% wrong: adjoint_at_observations -- the gradients of all observations are added up at the last one
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    if times[-1] == t0:
        return sum(grad_ys), tuple(torch.zeros_like(p) for p in params)
    return adjoint.adjoint_gradients(f, params, y0, t0, times[-1], sum(grad_ys), solve)

# %% right: adjoint_at_observations -- recursion over the first interval
def adjoint_at_observations(f, params, y0, t0, times, grad_ys, solve):
    first, *later = times
    y1 = y0 if first == t0 else solve(f, y0, t0, first)
    if later:
        a, total = adjoint_at_observations(f, params, y1, first, later, grad_ys[1:], solve)
    else:
        a, total = torch.zeros_like(y0), tuple(torch.zeros_like(p) for p in params)
    a = a + grad_ys[0]
    if first != t0:
        a, grads = adjoint.adjoint_gradients(f, params, y0, t0, first, a, solve)
        total = tuple(g + m for g, m in zip(total, grads))
    return a, total

# %% wrong: reverse_reconstruction_error -- the norm of the difference is returned
def reverse_reconstruction_error(f, y0, t1, solve):
    y1 = solve(f, y0, 0.0, t1)
    return (solve(f, y1, t1, 0.0) - y0).norm().item()

# %% wrong: reverse_reconstruction_error -- the sum of the differences is returned
def reverse_reconstruction_error(f, y0, t1, solve):
    y1 = solve(f, y0, 0.0, t1)
    return (solve(f, y1, t1, 0.0) - y0).abs().sum().item()

# %% wrong: reverse_reconstruction_error -- the smallest difference is returned
def reverse_reconstruction_error(f, y0, t1, solve):
    y1 = solve(f, y0, 0.0, t1)
    return (solve(f, y1, t1, 0.0) - y0).abs().min().item()

# %% wrong: reverse_reconstruction_error -- the way back starts at y0
def reverse_reconstruction_error(f, y0, t1, solve):
    return (solve(f, y0, t1, 0.0) - y0).abs().max().item()

# %% wrong: reverse_reconstruction_error -- the way back is compared with the end
def reverse_reconstruction_error(f, y0, t1, solve):
    y1 = solve(f, y0, 0.0, t1)
    return (solve(f, y1, t1, 0.0) - y1).abs().max().item()

# %% wrong: reverse_reconstruction_error -- the field is negated, but its time is not reversed
def reverse_reconstruction_error(f, y0, t1, solve):
    y1 = solve(f, y0, 0.0, t1)
    return (solve(lambda t, y: -f(t, y), y1, 0.0, t1) - y0).abs().max().item()

# %% wrong: reverse_reconstruction_error -- the difference of the largest entries is returned
def reverse_reconstruction_error(f, y0, t1, solve):
    back = solve(f, solve(f, y0, 0.0, t1), t1, 0.0)
    return abs(back.max().item() - y0.max().item())

# %% wrong: reverse_reconstruction_error -- the start is changed in place
def reverse_reconstruction_error(f, y0, t1, solve):
    back = solve(f, solve(f, y0, 0.0, t1), t1, 0.0)
    y0 -= back
    return y0.abs().max().item()

# %% wrong: reverse_reconstruction_error -- the squared difference is returned
def reverse_reconstruction_error(f, y0, t1, solve):
    back = solve(f, solve(f, y0, 0.0, t1), t1, 0.0)
    return ((back - y0) ** 2).max().item()

# %% wrong: reverse_reconstruction_error -- a tensor is returned
def reverse_reconstruction_error(f, y0, t1, solve):
    y1 = solve(f, y0, 0.0, t1)
    back = solve(f, y1, t1, 0.0)
    return torch.max(torch.abs(back - y0))

# %% right: reverse_reconstruction_error -- the negated field with its time reversed
def reverse_reconstruction_error(f, y0, t1, solve):
    y1 = solve(f, y0, 0.0, t1)
    return (solve(lambda t, y: -f(t1 - t, y), y1, 0.0, t1) - y0).abs().max().item()

# %% wrong: elbo -- the mean is not squared
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean + log_var.exp() - 1 - log_var).sum(1)
    return ll - kl

# %% wrong: elbo -- it is summed over all series
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return (ll - kl).sum()

# %% wrong: elbo -- the 2 pi is missing in the constant
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - math.log(sigma)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return ll - kl

# %% wrong: elbo -- the factor 1/2 of the divergence is missing
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return ll - kl

# %% wrong: elbo -- the factor 1/2 of the squares is missing
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return ll - kl

# %% wrong: elbo -- the constant is counted once a series, not once a value
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2).sum((1, 2)) - 0.5 * math.log(2 * math.pi * sigma**2)
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return ll - kl

# %% wrong: elbo -- the divergence is a mean over the latent dimensions
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).mean(1)
    return ll - kl

# %% wrong: elbo -- the divergence is missing
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return ll

# %% wrong: elbo -- the likelihood is missing
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return -kl

# %% wrong: elbo -- it is the loss: the bound with a minus
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return kl - ll

# %% wrong: elbo -- the -1 of the divergence is missing
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - log_var).sum(1)
    return ll - kl

# %% wrong: elbo -- log_var is used as the variance itself
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.abs() - 1 - log_var.abs().log()).sum(1)
    return ll - kl

# %% wrong: elbo -- the divergence is the same for all series: it is summed over them
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum()
    return ll - kl

# %% wrong: elbo -- the sign of the constant is wrong
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 + 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return ll - kl

# %% wrong: elbo -- the gradient to the encoder is cut
def elbo(x, x_hat, mean, log_var, sigma):
    ll = (-0.5 * ((x - x_hat) / sigma) ** 2 - 0.5 * math.log(2 * math.pi * sigma**2)).sum((1, 2))
    kl = 0.5 * (mean.detach()**2 + log_var.detach().exp() - 1 - log_var.detach()).sum(1)
    return ll - kl

# %% right: elbo -- with einsum and a log-density
def elbo(x, x_hat, mean, log_var, sigma):
    ll = torch.distributions.Normal(x_hat, sigma).log_prob(x).reshape(len(x), -1).sum(-1)
    kl = 0.5 * torch.einsum('sk,sk->s', mean, mean) + 0.5 * (torch.expm1(log_var) - log_var).sum(-1)
    return ll - kl

# %% wrong: latent_step -- the optimiser goes down the bound: the minus is missing
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the loss has the right value, but the optimiser goes the other way
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    (-loss).backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the bound is returned, not the loss
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return -loss.item()

# %% wrong: latent_step -- the variance stands in place of the standard deviation in the draw
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- log_var itself multiplies the noise
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + log_var * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the standard deviation is doubled: exp(log_var) / 2
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var) / 2 * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the draw is left out: z0 is the mean
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the mean is left out of the draw
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the noise is added without the standard deviation
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the noise is subtracted
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean - torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the noise stands in place of the draw
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- new noise is drawn, the given one is not used
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * torch.randn_like(mean)
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the first times of the grid are taken, not the observed ones
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = model.decode(path)[:, : data.x.shape[1]]
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the loss is not divided by the number of observations
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- it is divided by the number of values a moment, not of observations
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[2]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- it is divided by the number of series once more
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[0]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- it is divided by the number of all times, not of observations
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / len(data.grid)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- it is divided by the number of all observed values
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x[0].numel()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the bounds are added up over the series, not averaged
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).sum() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- gradients from before the step are taken along
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the weights never change: no step with gradients is taken
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    loss.backward()
    optimiser.zero_grad()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the weights never change: no step with gradients is taken
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    return loss.item()

# %% wrong: latent_step -- the weights never change: no step with gradients is taken
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the optimiser takes two steps
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the given optimiser is not used
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser = torch.optim.Adam(model.weights, lr=0.01)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the encoder gets no gradient: mean and variance are detached
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    mean, log_var = mean.detach(), log_var.detach()
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- no gradient passes through the draw
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0.detach(), data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the reconstruction is held fixed: it is detached
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat.detach(), mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- mean and log_var are exchanged in the bound
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, log_var, mean).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the encoder's two results are exchanged
def latent_step(model, optimiser, data, noise, bound):
    log_var, mean = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the loss is a tensor, not a float
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss

# %% wrong: latent_step -- the loss is a tensor, not a float
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()

# %% wrong: latent_step -- nothing is returned
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

# %% wrong: latent_step -- the loss after the step is returned
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    z0 = (lambda m, v: m + torch.exp(v / 2) * noise)(*model.encode(data.times, data.x))
    x_hat = spirals.take(model.decode(model.latent_path(z0, data.grid)), data.index)
    mean, log_var = model.encode(data.times, data.x)
    return -bound(data.x, x_hat, mean, log_var).mean().item() / data.x.shape[1]

# %% wrong: latent_step -- the path is asked at the times of the first series only
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.times[0])
    x_hat = model.decode(path)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the latent path is not decoded at its own values: the path is shifted by one time
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), (data.index - 1).clamp_min(0))
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the times are read backwards
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path.flip(1)), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the noise is changed in place
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    noise *= torch.exp(log_var / 2).detach()
    z0 = mean + noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: latent_step -- the noise is changed in place: it is centred
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    noise -= noise.mean(dim=0)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% right: latent_step -- indices by advanced indexing
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = model.decode(path)[torch.arange(len(data.x))[:, None], data.index]
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% right: latent_step -- pick before decoding, std by sqrt
def latent_step(model, optimiser, data, noise, bound):
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + log_var.exp().sqrt() * noise
    path = model.latent_path(z0, data.grid)
    x_hat = model.decode(spirals.take(path, data.index))
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()

# %% right: latent_step -- a sum over series, zero_grad first
def latent_step(model, optimiser, data, noise, bound):
    optimiser.zero_grad()
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(log_var / 2) * noise
    path = model.latent_path(z0, data.grid)
    x_hat = spirals.take(model.decode(path), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).sum() / (data.x.shape[0] * data.x.shape[1])
    loss.backward()
    optimiser.step()
    return loss.item()

# %% wrong: count_nfe -- all wrapped fields share one counter, and no reset reaches it
nfe = 0
def count_nfe(f):
    def counted(t, y):
        global nfe
        nfe += 1
        counted.nfe = nfe
        return f(t, y)
    counted.nfe = 0
    return counted

# %% wrong: count_nfe -- the value of f is not returned: None comes
def count_nfe(f):
    def counted(t, y):
        counted.nfe += 1
        f(t, y)
    counted.nfe = 0
    return counted

# %% wrong: adjoint_dynamics -- the gradients pile up in the parameters
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
        dy.backward(-a)
    return dy.detach(), y.grad, tuple(p.grad for p in params)

# %% wrong: adjoint_dynamics -- a multiplies the sum of the Jacobian, and the parameters' rates not at all
def adjoint_dynamics(f, params, t, y, a):
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
        da, *dparams = torch.autograd.grad(dy.sum(), (y, *params), allow_unused=True, materialize_grads=True)
    return dy.detach(), -a * da, tuple(-p for p in dparams)

# %% wrong: adjoint_gradients -- the parts come back flat: they need their shapes again
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    tensors = (y0, y0, *params)
    sizes = [p.numel() for p in tensors]
    def join(parts):
        return torch.cat([p.reshape(-1) for p in parts])
    def augmented(t, v):
        y, a, *_ = v.split(sizes)
        dy, da, dparams = adjoint.adjoint_dynamics(f, params, t, y.view_as(y0), a.view_as(y0))
        return join((dy, da, *dparams))
    y1 = solve(f, y0, t0, t1)
    start = join((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    _, a, *grads = solve(augmented, start, t1, t0).split(sizes)
    return a, tuple(grads)

# %% wrong: adjoint_gradients -- the gradients of the parameters are zeros: (5) has a third part
def adjoint_gradients(f, params, y0, t0, t1, grad_y1, solve):
    def augmented(t, v):
        y, a = v.chunk(2)
        dy, da, _ = adjoint.adjoint_dynamics(f, params, t, y, a)
        return torch.cat([dy, da])
    y1 = solve(f, y0, t0, t1)
    _, a = solve(augmented, torch.cat([y1, grad_y1]), t1, t0).chunk(2)
    return a, tuple(torch.zeros_like(p) for p in params)

# %% wrong: reverse_reconstruction_error -- each difference is relative to its start
def reverse_reconstruction_error(f, y0, t1, solve):
    return ((solve(f, solve(f, y0, 0.0, t1), t1, 0.0) - y0).abs() / y0.abs()).max().item()

# %% wrong: elbo -- the Gaussian's constant has sigma in place of its square
def elbo(x, x_hat, mean, log_var, sigma):
    log_p = -0.5 * (((x - x_hat) / sigma) ** 2 + math.log(2 * math.pi * sigma))
    return log_p.flatten(1).sum(1) - 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
