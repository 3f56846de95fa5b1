# Named answers to the exercises of notebook 06: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: planar_flow -- u is used as it is, u-hat is not made
def planar_flow(z, w, u, b):
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u, torch.log((1 + (w @ u) * (1 - h**2)).abs())

# %% wrong: planar_flow -- u is used as it is, u-hat is not made
def planar_flow(z, w, u, b):
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u, torch.log(1 + (w @ u) * (1 - h**2))

# %% wrong: planar_flow -- u is replaced by u-hat only where w.u is below -1
def planar_flow(z, w, u, b):
    dot = w @ u
    if dot < -1:
        u = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u, torch.log1p((w @ u) * (1 - h**2))

# %% wrong: planar_flow -- the samples are moved with u, not with u-hat
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the determinant is made with u, not with u-hat
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 + (w @ u) * (1 - h**2)).abs())

# %% wrong: planar_flow -- the determinant is made with u, not with u-hat
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log(1 + (w @ u) * (1 - h**2))

# %% wrong: planar_flow -- the log-determinant has the wrong sign
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, -torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the determinant itself is returned, not its logarithm
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, 1 + (w @ u_hat) * (1 - h**2)

# %% wrong: planar_flow -- 1 + is missing in the determinant
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log(((w @ u_hat) * (1 - h**2)).abs())

# %% wrong: planar_flow -- the determinant is 1 - ..., not 1 + ...
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 - (w @ u_hat) * (1 - h**2)).abs())

# %% wrong: planar_flow -- the absolute value is taken of the logarithm
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2)).abs()

# %% wrong: planar_flow -- the derivative of tanh is taken to be tanh
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 + (w @ u_hat) * h).abs())

# %% wrong: planar_flow -- the derivative of tanh is taken to be 1 - tanh, without the square
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 + (w @ u_hat) * (1 - h)).abs())

# %% wrong: planar_flow -- the derivative of tanh is taken to be 1 + tanh^2
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 + (w @ u_hat) * (1 + h**2)).abs())

# %% wrong: planar_flow -- the derivative of tanh is missing in the determinant
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 + w @ u_hat).abs()).expand(len(z))

# %% wrong: planar_flow -- 1 - a^2 is taken with a = w.z + b itself, not with tanh(a)
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log((1 + (w @ u_hat) * (1 - (z @ w + b) ** 2)).abs())

# %% wrong: planar_flow -- the determinant is read at the moved sample
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    z = z + torch.tanh(z @ w + b)[:, None] * u_hat
    h = torch.tanh(z @ w + b)
    return z, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the samples' log-determinants are added up
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2)).sum()

# %% wrong: planar_flow -- the mean of the samples' log-determinants is taken
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2)).mean()

# %% wrong: planar_flow -- the log-determinants are a column
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))[:, None]

# %% wrong: planar_flow -- w is divided by its length in (3), not by the square of it
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / w.norm()
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- w is not divided by its squared length in (3)
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- w is divided by the squared length of u in (3)
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (u @ u)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- u is bent along u, not along w
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * u / (u @ u)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- m is without -1
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- m is +1 + log(1 + e^x), the sign of the 1 is wrong
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) + 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- m(w.u) stands in place of m(w.u) - w.u
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- w.u is added to m(w.u), not subtracted
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 + dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- u itself is missing in u-hat
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the bend is subtracted from u, not added
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u - (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- m is -1 + e^x, without the logarithm
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.exp(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- m is -1 + max(x, 0), a relu in place of log(1 + e^x)
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.relu(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the offset b is missing
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the offset b stands outside of tanh
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w) + b
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the offset b is subtracted
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w - b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the displacement is subtracted
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z - h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the old sample is missing: only the displacement is returned
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- w and u-hat are exchanged in the layer
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ u_hat + b)
    return z + h[:, None] * w, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the samples are pushed along w, not along u-hat
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * w, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- tanh is missing in the displacement
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + (z @ w + b)[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- a sigmoid stands in place of tanh
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.sigmoid(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the two results are exchanged
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return torch.log1p((w @ u_hat) * (1 - h**2)), z + h[:, None] * u_hat

# %% wrong: planar_flow -- only the moved samples are returned
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat

# %% wrong: planar_flow -- nothing is returned
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    moved = z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the samples are changed in place
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    z += h[:, None] * u_hat
    return z, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the caller's u is changed in place
def planar_flow(z, w, u, b):
    dot = w @ u
    u += (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u, torch.log1p((w @ u) * (1 - h**2))

# %% wrong: planar_flow -- u-hat is detached: u gets no gradient through it
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    u_hat = u_hat.detach()
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- w.u is turned into a float: no gradient passes through it
def planar_flow(z, w, u, b):
    dot = torch.tensor((w @ u).item(), dtype=w.dtype)
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the log-determinant is detached
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2)).detach()

# %% wrong: planar_flow -- both results are detached: they carry no gradients
def planar_flow(z, w, u, b):
    with torch.no_grad():
        dot = w @ u
        u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
        h = torch.tanh(z @ w + b)
        return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- only two dimensions are taken
def planar_flow(z, w, u, b):
    dot = w[0] * u[0] + w[1] * u[1]
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w[0] ** 2 + w[1] ** 2)
    h = torch.tanh(z[:, 0] * w[0] + z[:, 1] * w[1] + b)
    return z + h[:, None] * u_hat, torch.log((1 + (w[0] * u_hat[0] + w[1] * u_hat[1]) * (1 - h**2)).abs())

# %% wrong: planar_flow -- the offset has to be a tensor: a float is refused
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b.reshape(1))
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- m(w.u) is not taken as a number along w: the whole of u is scaled
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u * (torch.nn.functional.softplus(dot) - 1)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

# %% wrong: planar_flow -- the result is in float64 whatever came
def planar_flow(z, w, u, b):
    z, w, u = z.double(), w.double(), u.double()
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log1p((w @ u_hat) * (1 - h**2))

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

# %% wrong: divergence -- all entries of the Jacobian are added, not the diagonal alone
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row.sum(dim=1)
    return total

# %% wrong: divergence -- all entries of the Jacobian are added, not the diagonal alone
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        return torch.autograd.grad(f(z).sum(), z, create_graph=True)[0].sum(dim=1)

# %% wrong: divergence -- the result carries no gradients
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, retain_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- the result carries no gradients
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total.detach()

# %% wrong: divergence -- gradients are not switched on: it fails where they are off
def divergence(f, z):
    z = z if z.requires_grad else z.detach().requires_grad_()
    value = f(z)
    return sum(torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(z.shape[1]))

# %% wrong: divergence -- the samples are added up
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total.sum()

# %% wrong: divergence -- the samples are added up
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total.sum().expand(len(z))

# %% wrong: divergence -- the samples are added up
def divergence(f, z):
    s, d = z.shape
    jacobian = torch.autograd.functional.jacobian(f, z, create_graph=True)
    return jacobian.reshape(s * d, s * d).trace()

# %% wrong: divergence -- the mean over the samples is taken
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total.mean()

# %% wrong: divergence -- the mean over the dimensions is taken
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total / z.shape[1]

# %% wrong: divergence -- the gradient is taken of the mean over the samples, not of the sum
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].mean(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- the sign is wrong
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return -total

# %% wrong: divergence -- only the first two dimensions are taken
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(min(2, z.shape[1])):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- the number of samples is taken for the number of dimensions
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[0]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- only the first dimension is taken
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(1):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- the last dimension is left out
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1] - 1):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- the first dimension is left out
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(1, z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- only the last dimension is kept: the sum is overwritten
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = row[:, i]
    return total

# %% wrong: divergence -- the first column of each row is taken, not column i
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, 0]
    return total

# %% wrong: divergence -- row i of the gradient is taken, not column i
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[i]
    return total

# %% wrong: divergence -- the gradient is taken of a sample, not of a coordinate of all samples
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- all entries of the Jacobian are added, not the diagonal alone
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value.sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- the diagonal is multiplied, not added
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 1.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total * row[:, i]
    return total

# %% wrong: divergence -- the absolute values of the diagonal are added
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i].abs()
    return total

# %% wrong: divergence -- the squares of the diagonal are added
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i] ** 2
    return total

# %% wrong: divergence -- the diagonal is not added up: a number for each dimension comes back
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        columns = []
        for i in range(z.shape[1]):
            columns.append(torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i])
    return torch.stack(columns, dim=1)

# %% wrong: divergence -- the determinant of the Jacobian is returned, not its trace
def divergence(f, z):
    jacobians = torch.func.vmap(torch.func.jacrev(lambda y: f(y[None])[0]))(z)
    return torch.linalg.det(jacobians)

# %% wrong: divergence -- the logarithm of the determinant is returned, not the trace
def divergence(f, z):
    jacobians = torch.func.vmap(torch.func.jacrev(lambda y: f(y[None])[0]))(z)
    return torch.linalg.slogdet(jacobians)[1]

# %% wrong: divergence -- the whole Jacobian is returned
def divergence(f, z):
    return torch.func.vmap(torch.func.jacrev(lambda y: f(y[None])[0]))(z)

# %% wrong: divergence -- the field's components are added up, nothing is differentiated
def divergence(f, z):
    return f(z).sum(dim=1)

# %% wrong: divergence -- the result is a column
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i : i + 1]
    return total

# %% wrong: divergence -- z is made to require gradients in place
def divergence(f, z):
    with torch.enable_grad():
        z.requires_grad_()
        value = f(z)
        return sum(torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(z.shape[1]))

# %% wrong: divergence -- z is cut off from what came before: no gradient with respect to the samples
def divergence(f, z):
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- z is cut off from what came before: no gradient with respect to the samples
def divergence(f, z):
    with torch.enable_grad():
        z = z.clone().detach().requires_grad_(True)
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- backward() collects the gradients of all dimensions in one `.grad`
def divergence(f, z):
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            value[:, i].sum().backward(retain_graph=True)
            total = total + z.grad[:, i]
    return total

# %% wrong: divergence -- backward() leaves gradients in the parameters of f, and the result carries none
def divergence(f, z):
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        total = 0.0
        for i in range(z.shape[1]):
            z.grad = None
            f(z)[:, i].sum().backward()
            total = total + z.grad[:, i]
    return total

# %% wrong: divergence -- it is a random estimate, not the trace
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        noise = flows.rademacher(z.shape, dtype=z.dtype)
        return (torch.autograd.grad(f(z), z, noise, create_graph=True)[0] * noise).sum(dim=1)

# %% wrong: divergence -- the derivatives are finite differences: not exact
def divergence(f, z):
    h = 1e-4
    steps = h * torch.eye(z.shape[1], dtype=z.dtype)
    return sum((f(z + s)[:, i] - f(z - s)[:, i]) / (2 * h) for i, s in enumerate(steps))

# %% wrong: divergence -- the derivatives are finite differences: not exact
def divergence(f, z):
    h = 1e-4
    with torch.no_grad():
        steps = h * torch.eye(z.shape[1], dtype=z.dtype)
        return sum((f(z + s)[:, i] - f(z - s)[:, i]) / (2 * h) for i, s in enumerate(steps))

# %% wrong: divergence -- the graph is freed after the first dimension
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- the samples are turned into float32
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        z = z.detach().float().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    return total

# %% wrong: divergence -- nothing is returned
def divergence(f, z):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(value[:, i].sum(), z, create_graph=True)
            total = total + row[:, i]
    total

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
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return pulled.sum(dim=1)

# %% wrong: hutchinson_divergence -- the first product with the noise is missing: ones stand in place of it
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z).sum(), z, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the vector-Jacobian product is returned as it is, a row for each sample
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return pulled

# %% wrong: hutchinson_divergence -- the products are not summed over the dimensions
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return pulled * noise

# %% wrong: hutchinson_divergence -- the products are summed over the samples, not over the dimensions
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=0)

# %% wrong: hutchinson_divergence -- the mean over the dimensions is taken
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).mean(dim=1)

# %% wrong: hutchinson_divergence -- the samples are added up
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum()

# %% wrong: hutchinson_divergence -- the mean over the samples is taken
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1).mean()

# %% wrong: hutchinson_divergence -- the result is a column
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1, keepdim=True)

# %% wrong: hutchinson_divergence -- the sign is wrong
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return -(pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the absolute value is taken
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1).abs()

# %% wrong: hutchinson_divergence -- new noise is drawn inside
def hutchinson_divergence(f, z, noise):
    noise = torch.randn_like(z)
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- new noise is drawn inside
def hutchinson_divergence(f, z, noise):
    noise = flows.rademacher(z.shape, dtype=z.dtype)
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- new noise is drawn for the second product
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * torch.randn_like(noise)).sum(dim=1)

# %% wrong: hutchinson_divergence -- the noise is turned into signs
def hutchinson_divergence(f, z, noise):
    noise = torch.sign(noise)
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the estimate is divided by the squared length of the noise
def hutchinson_divergence(f, z, noise):
    noise = noise / noise.norm(dim=1, keepdim=True)
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the estimate is divided by the squared length of the noise, times the dimension
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1) / noise.pow(2).sum(dim=1) * z.shape[1]

# %% wrong: hutchinson_divergence -- the estimate is divided by the squared length of the noise
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1) / noise.pow(2).sum(dim=1)

# %% wrong: hutchinson_divergence -- the noise of the first sample is used for all
def hutchinson_divergence(f, z, noise):
    noise = noise[:1].expand_as(z)
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the noise enters squared on one side
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise**2).sum(dim=1)

# %% wrong: hutchinson_divergence -- the products are squared
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return ((pulled * noise) ** 2).sum(dim=1)

# %% wrong: hutchinson_divergence -- something is added that does not depend on the Jacobian
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1) + noise.mean(dim=1) ** 2

# %% wrong: hutchinson_divergence -- the vector-Jacobian product meets the samples, not the noise
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * z).sum(dim=1)

# %% wrong: hutchinson_divergence -- the samples stand in place of the noise in the vector-Jacobian product
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, z, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the field itself is multiplied with the noise, nothing is differentiated
def hutchinson_divergence(f, z, noise):
    return (f(z) * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the field is read at the noise, not at the samples
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = noise.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the field is read at the samples plus the noise
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z + noise), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- it is the exact trace: the noise is not used
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        return sum(torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i] for i in range(z.shape[1]))

# %% wrong: hutchinson_divergence -- it is the exact trace: the noise is not used
def hutchinson_divergence(f, z, noise):
    return flows.divergence(f, z)

# %% wrong: hutchinson_divergence -- only the diagonal is multiplied with the squared noise
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(z)
        return sum(
            torch.autograd.grad(value[:, i].sum(), z, create_graph=True)[0][:, i] * noise[:, i] ** 2
            for i in range(z.shape[1])
        )

# %% wrong: hutchinson_divergence -- all entries of the Jacobian are added: the noise is not used
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        return torch.autograd.grad(f(z).sum(), z, create_graph=True)[0].sum(dim=1)

# %% wrong: hutchinson_divergence -- the result carries no gradients
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1).detach()

# %% wrong: hutchinson_divergence -- the result carries no gradients
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the result carries no gradients
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        (f(z) * noise).sum().backward(inputs=[z])
    return (z.grad * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- gradients are not switched on: it fails where they are off
def hutchinson_divergence(f, z, noise):
    z = z if z.requires_grad else z.detach().requires_grad_()
    return (torch.autograd.grad(f(z), z, noise, create_graph=True)[0] * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- z is cut off from what came before: no gradient with respect to the samples
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- z is made to require gradients in place
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z.requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the noise is changed in place
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return noise.mul_(pulled.detach()).sum(dim=1) + 0 * (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the field is evaluated twice
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        f(z)
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- the field is evaluated once for each dimension
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        total = 0.0
        for i in range(z.shape[1]):
            (row,) = torch.autograd.grad(f(z)[:, i].sum(), z, create_graph=True)
            total = total + noise[:, i] * (row * noise).sum(dim=1)
    return total

# %% wrong: hutchinson_divergence -- only the first two dimensions are taken
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return (pulled * noise)[:, :2].sum(dim=1)

# %% wrong: hutchinson_divergence -- only the first two dimensions are taken
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    return pulled[:, 0] * noise[:, 0] + pulled[:, 1] * noise[:, 1]

# %% wrong: hutchinson_divergence -- the derivative along the noise is a finite difference: not exact
def hutchinson_divergence(f, z, noise):
    h = 1e-4
    return ((f(z + h * noise) - f(z)) / h * noise).sum(dim=1)

# %% wrong: hutchinson_divergence -- nothing is returned
def hutchinson_divergence(f, z, noise):
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(f(z), z, noise, create_graph=True)
    (pulled * noise).sum(dim=1)

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

# %% wrong: cnf_dynamics -- the minus in front of the trace is missing
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the trace is read at time 0
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(0.0, y), z)

# %% wrong: cnf_dynamics -- the trace is read at time 1
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(1.0, y), z)

# %% wrong: cnf_dynamics -- the velocity is read at time 0
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(0.0, z), -flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the time is left out: the field is read at time 0 everywhere
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(0.0, z), -flows.divergence(lambda y: f(0.0, y), z)

# %% wrong: cnf_dynamics -- time runs backwards: the field is read at -t
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(-t, z), -flows.divergence(lambda y: f(-t, y), z)

# %% wrong: cnf_dynamics -- time is reflected: the field is read at 1 - t
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(1 - t, z), -flows.divergence(lambda y: f(1 - t, y), z)

# %% wrong: cnf_dynamics -- both rates are negated, as if the solve went backwards
def cnf_dynamics(f, t, state):
    z, log_p = state
    return -f(t, z), flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the velocity has the wrong sign
def cnf_dynamics(f, t, state):
    z, log_p = state
    return -f(t, z), -flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the rate of the log-density is a column
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z)[:, None]

# %% wrong: cnf_dynamics -- it is the rate of the density, not of its logarithm
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z) * log_p.exp()

# %% wrong: cnf_dynamics -- the trace is multiplied with the log-density
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z) * log_p

# %% wrong: cnf_dynamics -- the trace is divided by the density
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z) / log_p.exp()

# %% wrong: cnf_dynamics -- the samples are added up
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z).sum().expand(len(z))

# %% wrong: cnf_dynamics -- the samples are added up
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z).sum()

# %% wrong: cnf_dynamics -- the mean over the samples is taken
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z).mean().expand(len(z))

# %% wrong: cnf_dynamics -- the mean over the samples is taken
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z).mean()

# %% wrong: cnf_dynamics -- the trace is divided by the dimension
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z) / z.shape[1]

# %% wrong: cnf_dynamics -- the states after a step are returned, not the rates
def cnf_dynamics(f, t, state):
    z, log_p = state
    return z + f(t, z), log_p - flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the old log-density is added to its rate
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), log_p - flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the logarithm of the trace is taken
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -torch.log(flows.divergence(lambda y: f(t, y), z).abs())

# %% wrong: cnf_dynamics -- the absolute value of the trace is taken
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z).abs()

# %% wrong: cnf_dynamics -- the velocity's components are added up in place of the trace
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -f(t, z).sum(dim=1)

# %% wrong: cnf_dynamics -- all entries of the Jacobian are added, not the diagonal alone
def cnf_dynamics(f, t, state):
    z, log_p = state
    with torch.enable_grad():
        y = z if z.requires_grad else z.detach().requires_grad_()
        return f(t, z), -torch.autograd.grad(f(t, y).sum(), y, create_graph=True)[0].sum(dim=1)

# %% wrong: cnf_dynamics -- log |det| of the Jacobian stands in place of the trace
def cnf_dynamics(f, t, state):
    z, log_p = state
    jacobians = torch.func.vmap(torch.func.jacrev(lambda y: f(t, y[None])[0]))(z)
    return f(t, z), -torch.linalg.slogdet(jacobians)[1]

# %% wrong: cnf_dynamics -- the trace is read at the velocity, not at the samples
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), f(t, z))

# %% wrong: cnf_dynamics -- the trace is read at the moved samples
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z + f(t, z))

# %% wrong: cnf_dynamics -- the log-density does not change: its rate is zero
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), torch.zeros_like(log_p)

# %% wrong: cnf_dynamics -- the current log-density is returned, not its rate
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -log_p

# %% wrong: cnf_dynamics -- the current log-density is returned, not its rate
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), log_p

# %% wrong: cnf_dynamics -- the trace is an estimate with noise
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.hutchinson_divergence(lambda y: f(t, y), z, flows.rademacher(z.shape, dtype=z.dtype))

# %% wrong: cnf_dynamics -- the trace is an estimate with noise
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.hutchinson_divergence(lambda y: f(t, y), z, torch.randn_like(z))

# %% wrong: cnf_dynamics -- all entries of the Jacobian are added, not the diagonal alone
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.hutchinson_divergence(lambda y: f(t, y), z, torch.ones_like(z))

# %% wrong: cnf_dynamics -- the gradients of both rates are cut
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z).detach(), -flows.divergence(lambda y: f(t, y), z).detach()

# %% wrong: cnf_dynamics -- the gradients of both rates are cut
def cnf_dynamics(f, t, state):
    z, log_p = state
    with torch.no_grad():
        return f(t, z), -flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the gradients of the log-density's rate are cut
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -flows.divergence(lambda y: f(t, y), z).detach()

# %% wrong: cnf_dynamics -- the gradients of the velocity are cut
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z).detach(), -flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the samples are cut off from what came before
def cnf_dynamics(f, t, state):
    z = state[0].detach()
    return f(t, z), -flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- only two dimensions are taken
def cnf_dynamics(f, t, state):
    z, log_p = state
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(t, z)
        a = torch.autograd.grad(value[:, 0].sum(), z, create_graph=True)[0][:, 0]
        b = torch.autograd.grad(value[:, 1].sum(), z, create_graph=True)[0][:, 1]
    return value, -(a + b)

# %% wrong: cnf_dynamics -- only the first dimension is taken in the trace
def cnf_dynamics(f, t, state):
    z, log_p = state
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = f(t, z)
        return value, -torch.autograd.grad(value[:, 0].sum(), z, create_graph=True)[0][:, 0]

# %% wrong: cnf_dynamics -- the trace is written for one field, not taken from f
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z), -(t * torch.cos(t * z[:, 0]) + z[:, 0] - 2 * t * z[:, 1])

# %% wrong: cnf_dynamics -- gradients are not switched on: it fails where they are off
def cnf_dynamics(f, t, state):
    z, log_p = state
    y = z if z.requires_grad else z.detach().requires_grad_()
    value = f(t, y)
    return value, -sum(torch.autograd.grad(value[:, i].sum(), y, create_graph=True)[0][:, i] for i in range(z.shape[1]))

# %% wrong: cnf_dynamics -- the two rates are exchanged
def cnf_dynamics(f, t, state):
    z, log_p = state
    return -flows.divergence(lambda y: f(t, y), z), f(t, z)

# %% wrong: cnf_dynamics -- both rates are glued into one tensor
def cnf_dynamics(f, t, state):
    z, log_p = state
    return torch.cat([f(t, z), -flows.divergence(lambda y: f(t, y), z)[:, None]], dim=1)

# %% wrong: cnf_dynamics -- only the velocity is returned
def cnf_dynamics(f, t, state):
    z, log_p = state
    return f(t, z)

# %% wrong: cnf_dynamics -- only the rate of the log-density is returned
def cnf_dynamics(f, t, state):
    z, log_p = state
    return -flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- nothing is returned
def cnf_dynamics(f, t, state):
    z, log_p = state
    rates = f(t, z), -flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the samples of the state are changed in place
def cnf_dynamics(f, t, state):
    z, log_p = state
    z += 0.1 * f(t, z)
    return f(t, z), -flows.divergence(lambda y: f(t, y), z)

# %% wrong: cnf_dynamics -- the samples of the state are made to require gradients
def cnf_dynamics(f, t, state):
    z, log_p = state
    z.requires_grad_()
    return f(t, z), -flows.divergence(lambda y: f(t, y), z)

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

# %% right: cnf_dynamics -- the time bound as a default argument
def cnf_dynamics(f, t, state):
    z, _ = state
    return f(t, z), -flows.divergence(lambda y, t=t: f(t, y), z)

# %% wrong: cnf_log_prob -- the change of the log-density is added, not subtracted
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) + end[:, -1]

# %% wrong: cnf_log_prob -- the change of the log-density is added, not subtracted
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, -dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the solve goes from t0 to t1
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t0, t1)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the solve goes from t0 to t1, and the change is added
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t0, t1)
    return base.log_prob(end[:, :-1]) + end[:, -1]

# %% wrong: cnf_log_prob -- the base is evaluated at x, not at z(t0)
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(x) - end[:, -1]

# %% wrong: cnf_log_prob -- the base is evaluated at x, and the change on the way back is added to it
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(x) + end[:, -1]

# %% wrong: cnf_log_prob -- the change of the log-density is missing
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1])

# %% wrong: cnf_log_prob -- the change of the log-density is missing
def cnf_log_prob(f, x, base, t0, t1, solve):
    return base.log_prob(solve(f, x, t1, t0))

# %% wrong: cnf_log_prob -- the base's density is missing: only the change is returned
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return -end[:, -1]

# %% wrong: cnf_log_prob -- the base's density is missing: only the change is returned, with the wrong sign
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return end[:, -1]

# %% wrong: cnf_log_prob -- the times are taken to be 0 and 1
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, 1.0, 0.0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the solve ends at time 0, not at t0
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, 0.0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the solve starts at time 1, not at t1
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, 1.0, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the solve runs over t1 - t0 from time 0, as if the field did not depend on time
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1 - t0, 0.0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the field is negated although the solver goes backwards
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(lambda t, z: -f(t, z), t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the field is negated although the solver goes backwards
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return -torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the way back reads the field at t0 first and at t1 last
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return -torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t0, t1)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the field is negated, and the solve goes from t0 to t1: the time inside is not reversed, and the change has the wrong sign
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(lambda t, z: -f(t, z), t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t0, t1)
    return base.log_prob(end[:, :-1]) + end[:, -1]

# %% wrong: cnf_log_prob -- the way back reads the field at t0 first and at t1 last
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(lambda t, z: -f(t, z), t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t0, t1)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the way back reads the field at t0 first and at t1 last
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t0 + t1 - t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the field is read at t1 all the way
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t1, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the field is read at t0 all the way
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t0, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the trace is read at one point only, times the duration
def cnf_log_prob(f, x, base, t0, t1, solve):
    _, rate = flows.cnf_dynamics(f, t1, (x, torch.zeros_like(x[:, 0])))
    return base.log_prob(solve(f, x, t1, t0)) + rate * (t1 - t0)

# %% wrong: cnf_log_prob -- the trace is read at one point only, times the duration: at the base
def cnf_log_prob(f, x, base, t0, t1, solve):
    z = solve(f, x, t1, t0)
    _, rate = flows.cnf_dynamics(f, t0, (z, torch.zeros_like(x[:, 0])))
    return base.log_prob(z) + rate * (t1 - t0)

# %% wrong: cnf_log_prob -- the change is divided by the duration
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1] / (t1 - t0)

# %% wrong: cnf_log_prob -- the change is multiplied with the duration
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1] * (t1 - t0)

# %% wrong: cnf_log_prob -- the samples are added up
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return (base.log_prob(end[:, :-1]) - end[:, -1]).sum()

# %% wrong: cnf_log_prob -- the mean over the samples is taken
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return (base.log_prob(end[:, :-1]) - end[:, -1]).mean()

# %% wrong: cnf_log_prob -- the result is a column
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return (base.log_prob(end[:, :-1]) - end[:, -1])[:, None]

# %% wrong: cnf_log_prob -- a column meets a row: a matrix comes out
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1:]

# %% wrong: cnf_log_prob -- a standard normal base stands in place of the one that is given
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return flows.Gaussian(x.shape[1]).log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the sign of the base's log-density is wrong
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return -base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the negative log-density is returned
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return -(base.log_prob(end[:, :-1]) - end[:, -1])

# %% wrong: cnf_log_prob -- the density is returned, not its logarithm
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return (base.log_prob(end[:, :-1]) - end[:, -1]).exp()

# %% wrong: cnf_log_prob -- the trace is an estimate, with new noise at each evaluation
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        z = state[:, :-1]
        noise = flows.rademacher(z.shape, dtype=z.dtype)
        trace = flows.hutchinson_divergence(lambda y: f(t, y), z, noise)
        return torch.cat([f(t, z), -trace[:, None]], dim=1)

    end = solve(augmented, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the trace is an estimate with noise
def cnf_log_prob(f, x, base, t0, t1, solve):
    noise = torch.randn_like(x)

    def augmented(t, state):
        z = state[:, :-1]
        trace = flows.hutchinson_divergence(lambda y: f(t, y), z, noise)
        return torch.cat([f(t, z), -trace[:, None]], dim=1)

    end = solve(augmented, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the base is evaluated at x, and the change on the way back is added to it
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, base.log_prob(x)[:, None]], dim=1)
    end = solve(augmented, start, t1, t0)
    return end[:, -1]

# %% wrong: cnf_log_prob -- the solve starts with the base's log-density at x in place of zero
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, base.log_prob(x)[:, None]], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the solve starts with one in place of zero
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the log-density is taken from the first column, but stands in the last
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, 1:]) - end[:, 0]

# %% wrong: cnf_log_prob -- the base is given the whole state, with the log-density's column
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end) - end[:, -1]

# %% wrong: cnf_log_prob -- only two dimensions are taken
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :2], state[:, 2]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :2]) - end[:, 2]

# %% wrong: cnf_log_prob -- the result carries no gradients
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return (base.log_prob(end[:, :-1]) - end[:, -1]).detach()

# %% wrong: cnf_log_prob -- the result carries no gradients
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0).detach()
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the result carries no gradients
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    with torch.no_grad():
        start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
        end = solve(augmented, start, t1, t0)
        return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the gradient of the change of the log-density is cut
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None].detach()], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the gradient of the change of the log-density is cut
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1].detach()

# %% wrong: cnf_log_prob -- the data are detached: no gradient with respect to them
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x.detach(), torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the data are made to require gradients
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    x.requires_grad_()
    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the data are changed in place
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    x.copy_(end[:, :-1].detach())
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the solver gets a tuple: it takes one tensor
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        return flows.cnf_dynamics(f, t, state)

    z, change = solve(augmented, (x, torch.zeros_like(x[:, 0])), t1, t0)
    return base.log_prob(z) - change

# %% wrong: cnf_log_prob -- the state is kept in float64, and so is the result
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    x = x.double()
    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- the state and the answer are both returned
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    return end[:, :-1], base.log_prob(end[:, :-1]) - end[:, -1]

# %% wrong: cnf_log_prob -- every base is accepted: an error of it is hidden
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    try:
        return base.log_prob(end[:, :-1]) - end[:, -1]
    except ValueError:
        return -end[:, -1]

# %% wrong: cnf_log_prob -- nothing is returned
def cnf_log_prob(f, x, base, t0, t1, solve):
    def augmented(t, state):
        dz, dlog_p = flows.cnf_dynamics(f, t, (state[:, :-1], state[:, -1]))
        return torch.cat([dz, dlog_p[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    end = solve(augmented, start, t1, t0)
    log_p = base.log_prob(end[:, :-1]) - end[:, -1]

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

# %% right: cnf_log_prob -- zeros of the default dtype, which cat promotes
def cnf_log_prob(f, x, base, t0, t1, solve):
    def g(t, s):
        dz, dl = flows.cnf_dynamics(f, t, (s[:, :-1], s[:, -1]))
        return torch.cat([dz, dl[:, None]], 1)

    s = torch.cat([x, torch.zeros(len(x), 1)], 1)
    e = solve(g, s, t1, t0)
    return base.log_prob(e[:, :-1]) - e[:, -1]

# %% right: cnf_log_prob -- forwards in reversed time, the field negated and its time reversed
def cnf_log_prob(f, x, base, t0, t1, solve):
    def reversed_rate(s, y):
        dz, dl = flows.cnf_dynamics(f, t1 - s, (y[:, :-1], y[:, -1]))
        return -torch.cat([dz, dl[:, None]], dim=1)

    y = solve(reversed_rate, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), 0.0, t1 - t0)
    return base.log_prob(y[:, :-1]) - y[:, -1]

# %% wrong: reverse_kl -- the potential has the wrong sign
def reverse_kl(samples, log_q, potential):
    return (log_q - potential(samples)).mean()

# %% wrong: reverse_kl -- log q has the wrong sign
def reverse_kl(samples, log_q, potential):
    return (potential(samples) - log_q).mean()

# %% wrong: reverse_kl -- both signs are wrong
def reverse_kl(samples, log_q, potential):
    return -(log_q + potential(samples)).mean()

# %% wrong: reverse_kl -- the sum is taken, not the mean
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).sum()

# %% wrong: reverse_kl -- log q is missing
def reverse_kl(samples, log_q, potential):
    return potential(samples).mean()

# %% wrong: reverse_kl -- the potential is missing
def reverse_kl(samples, log_q, potential):
    return log_q.mean()

# %% wrong: reverse_kl -- the terms are weighted with q once more
def reverse_kl(samples, log_q, potential):
    return (log_q.exp() * (log_q + potential(samples))).mean()

# %% wrong: reverse_kl -- the terms are weighted with q once more, and summed
def reverse_kl(samples, log_q, potential):
    return (log_q.exp() * (log_q + potential(samples))).sum()

# %% wrong: reverse_kl -- the terms are weighted with exp(-U)
def reverse_kl(samples, log_q, potential):
    return ((-potential(samples)).exp() * (log_q + potential(samples))).mean()

# %% wrong: reverse_kl -- the terms are weighted with p, KL(p || q) is meant
def reverse_kl(samples, log_q, potential):
    return ((-potential(samples)).exp() * (-potential(samples) - log_q)).mean()

# %% wrong: reverse_kl -- q stands in place of log q
def reverse_kl(samples, log_q, potential):
    return (log_q.exp() + potential(samples)).mean()

# %% wrong: reverse_kl -- the logarithm of log q is taken
def reverse_kl(samples, log_q, potential):
    return (torch.log(log_q.abs()) + potential(samples)).mean()

# %% wrong: reverse_kl -- exp(-U) stands in place of U
def reverse_kl(samples, log_q, potential):
    return (log_q - torch.exp(-potential(samples))).mean()

# %% wrong: reverse_kl -- the logarithm of the potential is taken
def reverse_kl(samples, log_q, potential):
    return (log_q - torch.log(potential(samples).abs())).mean()

# %% wrong: reverse_kl -- log q is held fixed: it is detached
def reverse_kl(samples, log_q, potential):
    return (log_q.detach() + potential(samples)).mean()

# %% wrong: reverse_kl -- the potential is held fixed: no gradient passes through the samples
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples).detach()).mean()

# %% wrong: reverse_kl -- the potential is held fixed: no gradient passes through the samples
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples.detach())).mean()

# %% wrong: reverse_kl -- the result is detached: it carries no gradients
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).mean().detach()

# %% wrong: reverse_kl -- the result is detached: it carries no gradients
def reverse_kl(samples, log_q, potential):
    with torch.no_grad():
        return (log_q + potential(samples)).mean()

# %% wrong: reverse_kl -- a Python number is returned: it carries no gradients
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).mean().item()

# %% wrong: reverse_kl -- no mean is taken: a number for each sample comes back
def reverse_kl(samples, log_q, potential):
    return log_q + potential(samples)

# %% wrong: reverse_kl -- an axis too many: the mean keeps its axis
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).mean(dim=0, keepdim=True)

# %% wrong: reverse_kl -- the largest term is taken, not the mean
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).max()

# %% wrong: reverse_kl -- the median is taken, not the mean
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).median()

# %% wrong: reverse_kl -- the sum is divided by n - 1
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).sum() / (len(samples) - 1)

# %% wrong: reverse_kl -- the mean is divided by the dimension
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).mean() / samples.shape[1]

# %% wrong: reverse_kl -- the mean is divided by the dimension
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).sum() / samples.numel()

# %% wrong: reverse_kl -- the sum is divided by the dimension
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).sum() / samples.shape[1]

# %% wrong: reverse_kl -- the sum is divided by the number of samples only in the potential
def reverse_kl(samples, log_q, potential):
    return log_q.sum() + potential(samples).mean()

# %% wrong: reverse_kl -- the sum is divided by the number of samples only in log q
def reverse_kl(samples, log_q, potential):
    return log_q.mean() + potential(samples).sum()

# %% wrong: reverse_kl -- negative values are cut off at zero
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).mean().clamp_min(0)

# %% wrong: reverse_kl -- the absolute value of the result is taken
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).mean().abs()

# %% wrong: reverse_kl -- the absolute value of each term is taken
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).abs().mean()

# %% wrong: reverse_kl -- the terms are squared
def reverse_kl(samples, log_q, potential):
    return ((log_q + potential(samples)) ** 2).mean()

# %% wrong: reverse_kl -- log q and the potential are multiplied
def reverse_kl(samples, log_q, potential):
    return (log_q * potential(samples)).mean()

# %% wrong: reverse_kl -- the potential is read at the mean of the samples
def reverse_kl(samples, log_q, potential):
    return log_q.mean() + potential(samples.mean(dim=0, keepdim=True)).mean()

# %% wrong: reverse_kl -- log(2 pi) is added: the constant of one target
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples)).mean() + math.log(2 * math.pi)

# %% wrong: reverse_kl -- the potential |x|^2 / 2 stands in place of the one that is given
def reverse_kl(samples, log_q, potential):
    return (log_q + 0.5 * samples.square().sum(dim=1)).mean()

# %% wrong: reverse_kl -- the density of a standard normal stands in place of log q
def reverse_kl(samples, log_q, potential):
    return (flows.Gaussian(samples.shape[1]).log_prob(samples) + potential(samples)).mean()

# %% wrong: reverse_kl -- the terms are weighted with a softmax of log q
def reverse_kl(samples, log_q, potential):
    return (torch.softmax(log_q, dim=0) * (log_q + potential(samples))).sum()

# %% wrong: reverse_kl -- only the first sample is used
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples))[0]

# %% wrong: reverse_kl -- only the last sample is used
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples))[-1]

# %% wrong: reverse_kl -- the first sample is left out
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples))[1:].mean()

# %% wrong: reverse_kl -- the logarithm of a mean is taken
def reverse_kl(samples, log_q, potential):
    return torch.logsumexp(log_q + potential(samples), dim=0) - math.log(len(samples))

# %% wrong: reverse_kl -- log q is changed in place
def reverse_kl(samples, log_q, potential):
    return log_q.add_(potential(samples)).mean()

# %% wrong: reverse_kl -- the samples are changed in place
def reverse_kl(samples, log_q, potential):
    samples.mul_(1.0).sub_(samples.mean(dim=0))
    return (log_q + potential(samples)).mean()

# %% wrong: reverse_kl -- the samples are centred first
def reverse_kl(samples, log_q, potential):
    return (log_q + potential(samples - samples.mean(dim=0))).mean()

# %% wrong: reverse_kl -- the result is in float64 whatever came
def reverse_kl(samples, log_q, potential):
    return (log_q.double() + potential(samples)).mean()

# %% wrong: reverse_kl -- nothing is returned
def reverse_kl(samples, log_q, potential):
    (log_q + potential(samples)).mean()

# %% right: reverse_kl -- two means
def reverse_kl(samples, log_q, potential):
    return torch.mean(potential(samples)) + torch.mean(log_q)

# %% right: reverse_kl -- log q minus log p, a sum divided by the number of samples
def reverse_kl(samples, log_q, potential):
    log_p = -potential(samples)
    return torch.sum(log_q - log_p) / len(samples)

# %% right: reverse_kl -- sample by sample
def reverse_kl(samples, log_q, potential):
    total = 0
    for row, value in zip(samples, log_q):
        total = total + value + potential(row[None])[0]
    return total / samples.shape[0]

# %% wrong: match -- gradients add up from step to step: they are never forgotten
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- old gradients are forgotten only once, before the loop
def match(flow, kl, batches, optimiser):
    losses = []
    optimiser.zero_grad()
    for z in batches:
        loss = kl(*flow(z))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- gradients from before the first step are taken along
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the parameters never change: no step with gradients is taken
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        loss.backward()
        optimiser.zero_grad()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the parameters never change: no step with gradients is taken
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the parameters never change: no step with gradients is taken
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        optimiser.zero_grad()
        losses.append(kl(*flow(z)).item())
        optimiser.step()
    return losses

# %% wrong: match -- the parameters never change: no step with gradients is taken
def match(flow, kl, batches, optimiser):
    with torch.no_grad():
        return [kl(*flow(z)).item() for z in batches]

# %% wrong: match -- the losses are those after the step
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        optimiser.zero_grad()
        kl(*flow(z)).backward()
        optimiser.step()
        losses.append(kl(*flow(z)).item())
    return losses

# %% wrong: match -- the losses are tensors, not floats
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss)
    return losses

# %% wrong: match -- the losses are tensors, not floats
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return losses

# %% wrong: match -- the losses are one tensor, not a list
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64)

# %% wrong: match -- only the last loss is returned
def match(flow, kl, batches, optimiser):
    loss = torch.zeros(())
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()

# %% wrong: match -- only the last loss is returned
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses = [loss.item()]
    return losses

# %% wrong: match -- it comes back after the first batch
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        return losses
    return losses

# %% wrong: match -- the mean of the losses is returned
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return sum(losses) / max(1, len(losses))

# %% wrong: match -- the losses are added up
def match(flow, kl, batches, optimiser):
    losses, total = [], 0.0
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item()
        losses.append(total)
    return losses

# %% wrong: match -- nothing is returned
def match(flow, kl, batches, optimiser):
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

# %% wrong: match -- the loss is climbed, not descended: its sign is turned before backward
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        (-loss).backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the loss has the wrong sign
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = -kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the first batch is used in every step
def match(flow, kl, batches, optimiser):
    losses = []
    batches = list(batches)
    for _ in batches:
        loss = kl(*flow(batches[0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- all batches are joined to one
def match(flow, kl, batches, optimiser):
    batches = list(batches)
    if not batches:
        return []
    loss = kl(*flow(torch.cat(batches)))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return [loss.item()]

# %% wrong: match -- the last batch is left out
def match(flow, kl, batches, optimiser):
    losses = []
    for z in list(batches)[:-1]:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the first batch is left out
def match(flow, kl, batches, optimiser):
    losses = []
    for z in list(batches)[1:]:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the batches are taken in reverse order
def match(flow, kl, batches, optimiser):
    losses = []
    for z in reversed(list(batches)):
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- each batch is used twice
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        for _ in range(2):
            loss = kl(*flow(z))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    return losses

# %% wrong: match -- two steps are taken with each gradient
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- there is one step, at the end, with all gradients added up
def match(flow, kl, batches, optimiser):
    losses = []
    optimiser.zero_grad()
    for z in batches:
        loss = kl(*flow(z))
        loss.backward()
        losses.append(loss.item())
    optimiser.step()
    return losses

# %% wrong: match -- the optimiser that is given is not used
def match(flow, kl, batches, optimiser):
    held = [p for group in optimiser.param_groups for p in group["params"]]
    optimiser = torch.optim.Adam(held, lr=1e-2)
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the steps are written by hand with rate 0.1: the optimiser is not used
def match(flow, kl, batches, optimiser):
    held = [p for group in optimiser.param_groups for p in group["params"]]
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        gradients = torch.autograd.grad(loss, held)
        with torch.no_grad():
            for parameter, gradient in zip(held, gradients):
                parameter -= 0.1 * gradient
        losses.append(loss.item())
    return losses

# %% wrong: match -- the optimiser is made anew in every step: what Adam remembers is lost
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z))
        fresh = type(optimiser)(optimiser.param_groups[0]["params"], lr=optimiser.param_groups[0]["lr"])
        fresh.zero_grad()
        loss.backward()
        fresh.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- noise is drawn anew: the batches only say how much
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(torch.randn_like(z)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- log q is held fixed: it is detached
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        samples, log_q = flow(z)
        loss = kl(samples, log_q.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the samples are held fixed: no gradient passes through them
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        samples, log_q = flow(z)
        loss = kl(samples.detach(), log_q)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the noise goes through the flow twice
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(flow(z)[0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the noise stands in place of the samples
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(z, flow(z)[1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the loss is divided by the number of samples once more
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        loss = kl(*flow(z)) / len(z)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the batches are counted with len(), which a generator does not have
def match(flow, kl, batches, optimiser):
    losses = []
    for k in range(len(batches)):
        loss = kl(*flow(batches[k]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the batches are centred in place
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        z -= z.mean(dim=0)
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the gradients are cut to a length of 1
def match(flow, kl, batches, optimiser):
    losses = []
    held = [p for group in optimiser.param_groups for p in group["params"]]
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(held, 1.0)
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% wrong: match -- the flow and the optimiser are returned, not the losses
def match(flow, kl, batches, optimiser):
    for z in batches:
        loss = kl(*flow(z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return flow, optimiser

# %% wrong: match -- the graph of the steps before is kept: the loss is the mean of all so far
def match(flow, kl, batches, optimiser):
    losses, seen = [], []
    for z in batches:
        seen.append(z)
        loss = torch.stack([kl(*flow(y)) for y in seen]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

# %% right: match -- through a closure
def match(flow, kl, batches, optimiser):
    losses = []
    for noise in batches:
        def closure():
            optimiser.zero_grad(set_to_none=False)
            loss = kl(*flow(noise))
            loss.backward()
            return loss

        losses.append(float(optimiser.step(closure)))
    return losses

# %% right: match -- gradients set by hand
def match(flow, kl, batches, optimiser):
    held = [p for group in optimiser.param_groups for p in group["params"]]
    losses = []
    for z in batches:
        samples, log_q = flow(z)
        loss = kl(samples, log_q)
        for parameter, gradient in zip(held, torch.autograd.grad(loss, held)):
            parameter.grad = gradient
        optimiser.step()
        losses.append(loss.detach().item())
    return losses

# %% right: match -- an inner function and a comprehension
def match(flow, kl, batches, optimiser):
    def step(z):
        optimiser.zero_grad()
        loss = kl(*flow(z))
        loss.backward()
        optimiser.step()
        return loss.item()

    return [step(z) for z in batches]

# %% wrong: planar_flow -- the square of tanh is missing in its derivative
def planar_flow(z, w, u, b):
    dot = w @ u
    u_hat = u + (torch.nn.functional.softplus(dot) - 1 - dot) * w / (w @ w)
    h = torch.tanh(z @ w + b)
    return z + h[:, None] * u_hat, torch.log(1 + (w @ u_hat) * (1 - h))

# %% wrong: reverse_kl -- the potential is taken for the density: log p is -U, not log U
def reverse_kl(samples, log_q, potential):
    return (log_q - torch.log(potential(samples))).mean()

# %% wrong: match -- only the last loss comes back
def match(flow, kl, batches, optimiser):
    for z in batches:
        optimiser.zero_grad()
        loss = kl(*flow(z))
        loss.backward()
        optimiser.step()
    return [loss.item()]

# %% wrong: match -- it returns after the first batch
def match(flow, kl, batches, optimiser):
    losses = []
    for z in batches:
        optimiser.zero_grad()
        loss = kl(*flow(z))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        return losses
