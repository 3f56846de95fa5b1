# Named answers to the exercises of notebook 03: the wrong ones must lose points,
# the right ones must get them all. A title is what a student reads.

# %% wrong: jacobian_eigenvalues -- the slopes are missing: these are the eigenvalues of K
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    values = torch.linalg.eigvals(K)
    return values if y.ndim == 1 else values.expand(len(y), -1)

# %% wrong: jacobian_eigenvalues -- the derivative of tanh is built in
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    slope = 1 - torch.tanh(y @ K + b) ** 2
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- one minus the square of the activation is its derivative for tanh only
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    slope = 1 - activation(y @ K + b) ** 2
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the slopes are taken at K y + b instead of K^T y + b
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K.mT + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the bias is missing
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the slopes are taken at y instead of K^T y + b
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = y.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the activation is used instead of its derivative
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    slope = activation(y @ K + b)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the automatic Jacobian of a batch has four axes: it works for one state only
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    jacobian = torch.autograd.functional.jacobian(lambda u: activation(u @ K + b), y)
    return torch.linalg.eigvals(jacobian)

# %% wrong: jacobian_eigenvalues -- torch.diag makes a matrix of one state only: a batch needs diag_embed
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(torch.diag(slope) @ K.T)

# %% wrong: jacobian_eigenvalues -- K.T @ y works for one state: the rows of a batch need y @ K
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (K.T @ y + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.T)

# %% wrong: jacobian_eigenvalues -- slope * K.mT lacks an axis: for a batch the slopes are (s, n, 1)
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope * K.mT)

# %% wrong: jacobian_eigenvalues -- 1 is added: these are eigenvalues of I + J, the Jacobian of a whole layer
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return 1 + torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the mean of the activation is differentiated instead of its sum
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).mean(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- one mean slope stands for all neurons of a state
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return slope.mean(-1, keepdim=True) * torch.linalg.eigvals(K)

# %% wrong: jacobian_eigenvalues -- the slopes of all states of the batch are averaged
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    if y.ndim == 2:
        slope = slope.mean(0, keepdim=True).expand(len(y), -1)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- eigvalsh is for symmetric matrices, this one is not
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvalsh(slope.unsqueeze(-1) * K.mT) + 0j

# %% wrong: jacobian_eigenvalues -- the imaginary parts are dropped
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT).real

# %% wrong: jacobian_eigenvalues -- these are singular values, not eigenvalues
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.svdvals(slope.unsqueeze(-1) * K.mT) + 0j

# %% wrong: jacobian_eigenvalues -- the matrix J comes back, not its eigenvalues
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return slope.unsqueeze(-1) * K.mT

# %% wrong: jacobian_eigenvalues -- the eigenvalues of all states come in one long row
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT).flatten()

# %% wrong: jacobian_eigenvalues -- the caller's y records gradients afterwards: differentiate a copy
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    y.requires_grad_()
    argument = y @ K + b
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT).detach()

# %% wrong: jacobian_eigenvalues -- activation' is evaluated at y @ K @ K.mT: K is multiplied twice
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(activation(argument @ K.mT).sum(), argument)
    return torch.linalg.eigvals(gradient.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the activation is differentiated with respect to y, not to K^T y + b
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    x = y.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(activation(x @ K + b).sum(), x)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- torch.linalg.eig returns values and vectors: eigvals the values alone
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eig(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the result is single precision, whatever K is
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().float().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT.float())

# %% right: jacobian_eigenvalues -- the slopes scale the columns: K^T D has the eigenvalues of D K^T
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    u = (y @ K + b).detach().requires_grad_(True)
    slope = torch.autograd.grad(activation(u).sum(), u)[0]
    return torch.linalg.eigvals(K.mT * slope[..., None, :])

# %% right: jacobian_eigenvalues -- a diagonal matrix by diag_embed
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(torch.diag_embed(slope) @ K.mT)

# %% right: jacobian_eigenvalues -- the automatic Jacobian, state by state
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    if y.ndim == 1:
        J = torch.autograd.functional.jacobian(lambda u: activation(u @ K + b), y)
        return torch.linalg.eigvals(J)
    return torch.stack([jacobian_eigenvalues(K, b, row, activation) for row in y])

# %% right: jacobian_eigenvalues -- torch.func
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    J = torch.func.jacrev(lambda u: activation(u @ K + b))
    return torch.linalg.eigvals(J(y) if y.ndim == 1 else torch.func.vmap(J)(y))

# %% right: jacobian_eigenvalues -- diag(slopes) K without the transpose has the same eigenvalues
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    u = y @ K + b
    slope = torch.func.jvp(activation, (u,), (torch.ones_like(u),))[1]
    return torch.linalg.eigvals(slope[..., :, None] * K)

# %% wrong: max_stable_step -- the factor 2 is missing
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((-values.real / values.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- the imaginary part is left out
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((-2 / values.real).min()), 0.0)

# %% wrong: max_stable_step -- 2 / |lambda| holds for negative real eigenvalues only
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return float((2 / values.abs()).min())

# %% wrong: max_stable_step -- the square of |lambda| is missing
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((-2 * values.real / values.abs()).min()), 0.0)

# %% wrong: max_stable_step -- the largest of the bounds is taken, but all eigenvalues must be stable
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((-2 * values.real / values.abs() ** 2).max()), 0.0)

# %% wrong: max_stable_step -- the bounds are averaged, but all eigenvalues must be stable
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((-2 * values.real / values.abs() ** 2).mean()), 0.0)

# %% wrong: max_stable_step -- only the eigenvalue of largest modulus is asked
def max_stable_step(eigenvalues):
    values = eigenvalues.flatten()
    value = values[values.abs().argmax()]
    if value == 0:
        return float("inf")
    return max(float(-2 * value.real / value.abs() ** 2), 0.0)

# %% wrong: max_stable_step -- only the eigenvalue with the largest real part is asked
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    value = values[values.real.round(decimals=9).argmax()]
    return max(float(-2 * value.real / value.abs() ** 2), 0.0)

# %% wrong: max_stable_step -- the real part of one eigenvalue meets the modulus of another
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float(-2 * values.real.max() / values.abs().max() ** 2), 0.0)

# %% wrong: max_stable_step -- only the first eigenvalue is asked
def max_stable_step(eigenvalues):
    for value in eigenvalues.flatten().tolist():
        if value == 0:
            continue
        return max(-2 * value.real / abs(value) ** 2, 0.0)
    return float("inf")

# %% wrong: max_stable_step -- the bound may become negative: where no step will do the answer is 0
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return float((-2 * values.real / values.abs() ** 2).min())

# %% wrong: max_stable_step -- the sign of the real part is lost: an unstable eigenvalue looks stable
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return float((2 * values.real.abs() / values.abs() ** 2).min())

# %% wrong: max_stable_step -- unstable eigenvalues are skipped
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.real < 0]
    if len(values) == 0:
        return float("inf") if bool((eigenvalues == 0).all()) else 0.0
    return float((-2 * values.real / values.abs() ** 2).min())

# %% wrong: max_stable_step -- imaginary eigenvalues are skipped like zeros
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.real.abs() > 1e-12]
    if len(values) == 0:
        return float("inf")
    return max(float((-2 * values.real / values.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- a zero eigenvalue gives 0 / 0, which is not a number
def max_stable_step(eigenvalues):
    return max(float((-2 * eigenvalues.real / eigenvalues.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- a zero eigenvalue counts as unstable
def max_stable_step(eigenvalues):
    values = eigenvalues.flatten()
    if bool((values.real >= 0).any()):
        return 0.0
    return float((-2 * values.real / values.abs() ** 2).min())

# %% wrong: max_stable_step -- one zero eigenvalue is taken for all zero
def max_stable_step(eigenvalues):
    if bool((eigenvalues == 0).any()):
        return float("inf")
    return max(float((-2 * eigenvalues.real / eigenvalues.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- nothing but zeros leaves no bound to take the smallest of
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    return max(float((-2 * values.real / values.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- a tensor comes back, not a float
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return torch.tensor(float("inf"))
    return (-2 * values.real / values.abs() ** 2).min().clamp(min=0)

# %% wrong: max_stable_step -- a loop over the first axis only: the eigenvalues of a batch have two
def max_stable_step(eigenvalues):
    h = float("inf")
    for value in eigenvalues:
        if value.abs() > 0:
            h = min(h, float(-2 * value.real / value.abs() ** 2))
    return max(h, 0.0)

# %% wrong: max_stable_step -- one bound for each eigenvalue comes back, not the smallest
def max_stable_step(eigenvalues):
    bounds = -2 * eigenvalues.real / eigenvalues.abs() ** 2
    return bounds.clamp(min=0)

# %% wrong: max_stable_step -- the sign of the real part is lost: an unstable eigenvalue looks stable
def max_stable_step(v):
    v = v[v.abs() > 0]
    return (2 * v.real.abs() / v.abs() ** 2).min().item() if len(v) else float("inf")

# %% wrong: max_stable_step -- unstable eigenvalues are skipped
def max_stable_step(v):
    v = v[v.real < 0]
    return float((-2 * v.real / v.abs() ** 2).min()) if len(v) else float("inf")

# %% wrong: max_stable_step -- nothing but zeros gives 0 instead of infinity
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return 0.0
    return max(float((-2 * values.real / values.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- the smallest real part of one eigenvalue meets the modulus of another
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float(-2 * values.real.min() / values.abs().max() ** 2), 0.0)

# %% wrong: max_stable_step -- 2 / |Re lambda|: the imaginary part and the sign are left out
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return float((2 / values.real.abs()).min())

# %% wrong: max_stable_step -- min(..., 0) where max(..., 0) is meant: never a positive step
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return min(float((-2 * values.real / values.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- the sign of the bound is wrong: 2 Re instead of -2 Re
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((2 * values.real / values.abs() ** 2).min()), 0.0)

# %% right: max_stable_step -- the bounds collected in a tensor
def max_stable_step(eigenvalues):
    bounds = [float("inf")]
    for row in torch.atleast_2d(eigenvalues.flatten()):
        for v in row.tolist():
            bounds += [-2 * v.real / (v.real**2 + v.imag**2)] if v else []
    return torch.relu(torch.tensor(bounds).min()).item()

# %% right: max_stable_step -- a loop over Python numbers
def max_stable_step(eigenvalues):
    h = float("inf")
    for value in eigenvalues.flatten().tolist():
        if value != 0:
            h = min(h, max(-2 * value.real / abs(value) ** 2, 0.0))
    return float(h)

# %% right: max_stable_step -- the bound as 2 Re(-1 / lambda)
def max_stable_step(eigenvalues):
    values = eigenvalues.flatten()
    values = values[values != 0]
    bounds = torch.cat([2 * (-1 / values).real, torch.tensor([float("inf")])])
    return bounds.clamp(min=0.0).min().item()

# %% right: max_stable_step -- real and imaginary parts, zeros replaced by infinity
def max_stable_step(eigenvalues):
    a, w = eigenvalues.real, eigenvalues.imag
    square = a**2 + w**2
    bounds = torch.where(square == 0, torch.inf, -2 * a / torch.where(square == 0, 1.0, square))
    return max(0.0, bounds.min().item())

# %% right: max_stable_step -- unstable spectra first
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues != 0].numpy()
    if values.size == 0:
        return np.inf
    if (values.real >= -1e-13 * abs(values)).any():
        return 0.0
    return float(min(2 * -values.real / abs(values) ** 2))

# %% wrong: antisymmetric -- the factor 1/2 is missing
def antisymmetric(K, gamma):
    return K - K.mT - gamma * torch.eye(K.shape[-1], dtype=K.dtype)

# %% wrong: antisymmetric -- gamma is not halved
def antisymmetric(K, gamma):
    return (K - K.mT) / 2 - gamma * torch.eye(K.shape[-1], dtype=K.dtype)

# %% wrong: antisymmetric -- gamma is added instead of subtracted
def antisymmetric(K, gamma):
    return (K - K.mT + gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- gamma is subtracted from every entry, not from the diagonal alone
def antisymmetric(K, gamma):
    return (K - K.mT - gamma) / 2

# %% wrong: antisymmetric -- the damping gamma is missing
def antisymmetric(K, gamma):
    return (K - K.mT) / 2

# %% wrong: antisymmetric -- this is the symmetric part of K: K^T is added instead of subtracted
def antisymmetric(K, gamma):
    return (K + K.mT - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- K^T - K has the other sign
def antisymmetric(K, gamma):
    return (K.mT - K - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- K is halved, K^T and gamma are not: the bracket is missing
def antisymmetric(K, gamma):
    return K / 2 - K.mT - gamma * torch.eye(K.shape[-1], dtype=K.dtype)

# %% wrong: antisymmetric -- gamma multiplies K instead of the identity
def antisymmetric(K, gamma):
    return (K - K.mT - gamma * K) / 2

# %% wrong: antisymmetric -- K.T of a stack reverses all axes: K.mT swaps the last two
def antisymmetric(K, gamma):
    turned = K.permute(*range(K.ndim - 1, -1, -1))
    return (K - turned - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- the first two axes of a stack are swapped instead of the last two
def antisymmetric(K, gamma):
    return (K - K.transpose(0, 1) - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- the identity is as large as the first axis: for a stack this is the number of layers
def antisymmetric(K, gamma):
    return (K - K.mT - gamma * torch.eye(len(K), dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- the identity is float32: gamma is rounded, or the dtype changes
def antisymmetric(K, gamma):
    return (K - K.mT - gamma * torch.eye(K.shape[-1])) / 2

# %% wrong: antisymmetric -- the identity is float64 whatever K is
def antisymmetric(K, gamma):
    return (K - K.mT - gamma * torch.eye(K.shape[-1], dtype=torch.float64)) / 2

# %% wrong: antisymmetric -- K is changed in place
def antisymmetric(K, gamma):
    K -= K.mT.clone()
    return (K - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- the damping is written into the caller's K
def antisymmetric(K, gamma):
    result = (K - K.mT) / 2
    K.diagonal(dim1=-2, dim2=-1).sub_(gamma / 2)
    return result + torch.diag_embed(K.diagonal(dim1=-2, dim2=-1)) * 0 - gamma / 2 * torch.eye(K.shape[-1], dtype=K.dtype)

# %% wrong: antisymmetric -- the gradient is cut: K does not learn
def antisymmetric(K, gamma):
    K = K.detach()
    return (K - K.mT - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- only the upper triangle of K is used
def antisymmetric(K, gamma):
    U = torch.triu(K, 1)
    return U - U.mT - gamma / 2 * torch.eye(K.shape[-1], dtype=K.dtype)

# %% wrong: antisymmetric -- gamma is halved twice
def antisymmetric(K, gamma):
    return (K - K.mT - gamma / 2 * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- this is the symmetric part of K: K^T is added instead of subtracted
def antisymmetric(K, gamma):
    return K - (K - K.mT) / 2 - gamma / 2 * torch.eye(K.shape[-1], dtype=K.dtype)

# %% right: antisymmetric -- transpose and diag_embed
def antisymmetric(K, gamma):
    diagonal = torch.diag_embed(torch.full(K.shape[:-1], gamma, dtype=K.dtype))
    return 0.5 * (K - torch.transpose(K, -2, -1) - diagonal)

# %% right: antisymmetric -- einsum
def antisymmetric(K, gamma):
    half = (K - torch.einsum("...ij->...ji", K)) / 2
    return half - gamma / 2 * torch.eye(K.shape[-1]).to(K)

# %% right: antisymmetric -- the diagonal of a new tensor
def antisymmetric(K, gamma):
    A = K - K.swapaxes(-1, -2)
    A.diagonal(dim1=-2, dim2=-1).sub_(gamma)
    return A / 2

# %% wrong: verlet_step -- the minus sign of z is lost
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the two signs are exchanged
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(y @ K + b)
    y = y - h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- both signs are negative
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y - h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- y is computed from the old z
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    return y + h * activation(z @ K.mT + b), z - h * activation(y @ K + b)

# %% wrong: verlet_step -- y is advanced before z
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    y = y + h * activation(z @ K.mT + b)
    z = z - h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step -- K is not transposed in the line of y
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K + b)
    return y, z

# %% wrong: verlet_step -- K is transposed in the line of z
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K.mT + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- K and K^T are exchanged
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K.mT + b)
    y = y + h * activation(z @ K + b)
    return y, z

# %% wrong: verlet_step -- K stands on the left, as for columns: in rows it is y @ K
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(K.mT @ y + b)
    y = y + h * activation(K @ z + b)
    return y, z

# %% wrong: verlet_step -- the minus of z stands in front of y K inside of the activation, without the bias
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(-y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the minus stands inside of the activation: this is the same for odd functions only
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(-(y @ K + b))
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the bias is missing
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K)
    y = y + h * activation(z @ K.mT)
    return y, z

# %% wrong: verlet_step -- the bias is missing in the line of y
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT)
    return y, z

# %% wrong: verlet_step -- the bias is subtracted in the line of y
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT - b)
    return y, z

# %% wrong: verlet_step -- the bias stands outside of the activation
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * (activation(y @ K) + b)
    y = y + h * (activation(z @ K.mT) + b)
    return y, z

# %% wrong: verlet_step -- the step size is missing
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - activation(y @ K + b)
    y = y + activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the step size is missing in the line of y
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the step size stands inside of the activation
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - activation(h * (y @ K + b))
    y = y + activation(h * (z @ K.mT + b))
    return y, z

# %% wrong: verlet_step -- tanh is built in
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * torch.tanh(y @ K + b)
    y = y + h * torch.tanh(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the activation is missing
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * (y @ K + b)
    y = y + h * (z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the given tensors are changed in place
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z -= h * activation(y @ K + b)
    y += h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the pair comes back as (z, y)
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return z, y

# %% wrong: verlet_step -- only the new y comes back
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    return y + h * activation(z @ K.mT + b)

# %% wrong: verlet_step -- the gradient is cut between the two lines
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z.detach() @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- z is advanced in two halves: this is velocity Verlet, not (8)
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h / 2 * activation(y @ K + b)
    y = y + h * activation(z @ K.T + b)
    z = z - h / 2 * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step -- the bias is missing in the line of z
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the step size is missing in the line of z
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - activation(y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the old z comes back beside the new y
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z_new = z - h * activation(y @ K + b)
    y = y + h * activation(z_new @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the old y comes back beside the new z
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y_new = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- y is advanced with y itself instead of z
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(y @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the increments come back, the old pair is not added
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = -h * activation(y @ K + b)
    y = h * activation(z @ K.mT + b)
    return y, z

# %% right: verlet_step -- new names and torch.add
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z_new = torch.sub(z, activation(torch.matmul(y, K) + b), alpha=h)
    y_new = torch.add(y, activation(torch.matmul(z_new, K.T) + b), alpha=h)
    return y_new, z_new

# %% right: verlet_step -- einsum
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - activation(torch.einsum("si,ij->sj", y, K) + b) * h
    return y + activation(torch.einsum("sj,ij->si", z, K) + b) * h, z

# %% wrong: verlet_step -- y is changed in place after the first line has used it: autograd cannot go back
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z, y = z.clone(), y.clone()
    z -= h * activation(y @ K + b)
    y += h * activation(z @ K.mT + b)
    return y, z

# %% right: verlet_step -- columns, transposed back
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(K.T @ y.T + b).T
    return y.add(activation((K @ z.T).T + b) * h), z

# %% wrong: verlet_step_back -- this is a step with -h: its lines come in the wrong order
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(y @ K + b)
    y = y - h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step_back -- this is the step forth once more
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step_back -- the order is right, the signs are those of the way forth
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y + h * activation(z @ K.mT + b)
    z = z - h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- z is undone with the new y instead of the old one
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    return y - h * activation(z @ K.mT + b), z + h * activation(y @ K + b)

# %% wrong: verlet_step_back -- the sign of z is wrong
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * activation(z @ K.mT + b)
    z = z - h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- the sign of y is wrong
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y + h * activation(z @ K.mT + b)
    z = z + h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- the pair comes back as it went in
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    return y, z

# %% wrong: verlet_step_back -- y is undone, z is left as it was
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    return y - h * activation(z @ K.mT + b), z

# %% wrong: verlet_step_back -- the pair comes back as (z, y)
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * activation(z @ K.mT + b)
    z = z + h * activation(y @ K + b)
    return z, y

# %% wrong: verlet_step_back -- K and K^T are exchanged
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * activation(z @ K + b)
    z = z + h * activation(y @ K.mT + b)
    return y, z

# %% wrong: verlet_step_back -- K is not transposed in the line of y
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * activation(z @ K + b)
    z = z + h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- the bias is missing
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * activation(z @ K.mT)
    z = z + h * activation(y @ K)
    return y, z

# %% wrong: verlet_step_back -- the sign of the bias is turned as well
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * activation(z @ K.mT - b)
    z = z + h * activation(y @ K - b)
    return y, z

# %% wrong: verlet_step_back -- the step size is missing
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - activation(z @ K.mT + b)
    z = z + activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- the minus stands inside of the activation: this is the same for odd functions only
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y + h * activation(-(z @ K.mT + b))
    z = z + h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- tanh is built in
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * torch.tanh(z @ K.mT + b)
    z = z + h * torch.tanh(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- the given tensors are changed in place
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y -= h * activation(z @ K.mT + b)
    z += h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- the gradient is cut
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    with torch.no_grad():
        y = y - h * activation(z @ K.mT + b)
        z = z + h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- z is undone with the old y, but y is returned as it was
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    old = y - h * activation(z @ K.mT + b)
    return y, z + h * activation(old @ K + b)

# %% wrong: verlet_step_back -- the order is right, the signs are those of the way forth
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    h = -h
    y = y - h * activation(z @ K.mT + b)
    z = z + h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- the bias is missing in the line of z
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * activation(z @ K.mT + b)
    z = z + h * activation(y @ K)
    return y, z

# %% right: verlet_step_back -- other names
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y_before = y - activation(z @ K.T + b) * h
    z_before = z + activation(y_before @ K + b) * h
    return y_before, z_before

# %% right: verlet_step_back -- torch.sub and einsum
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = torch.sub(y, activation(torch.einsum("sj,ij->si", z, K) + b), alpha=h)
    return y, torch.add(z, activation(torch.einsum("si,ij->sj", y, K) + b), alpha=h)

# %% right: verlet_step_back -- the step with exchanged roles
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    def shear(u, v, W, strength):
        return u + strength * activation(v @ W + b)

    y = shear(y, z, K.T, -h)
    return [y, shear(z, y, K, h)]

# %% wrong: leapfrog_forward -- h is not squared
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        K = -C_j.mT @ C_j
        previous, y = y, 2 * y - previous + h * activation(y @ K + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the step size is missing
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- h^2 stands inside of the activation
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + activation(h**2 * (y @ (-C_j.mT @ C_j) + b_j))
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the minus of K = -C^T C is lost
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ C_j.mT @ C_j + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- C C^T is used instead of C^T C
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(b_j - y @ C_j @ C_j.mT)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- C is used as K
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ C_j + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- C^T * C multiplies entry by entry: @ is the product of matrices
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C_j.mT * C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the biases are missing
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j in C:
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C_j.mT @ C_j))
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the minus of K reaches the bias too
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(-(y @ C_j.mT @ C_j + b_j))
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the minus of K stands outside of the activation
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous - h**2 * activation(y @ C_j.mT @ C_j + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the first step does nothing: with Y_{-1} = Y_0 it has a kick already
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    stages = [y0, y0]
    for C_j, b_j in zip(C[:-1], b[:-1]):
        slope = activation(stages[-1] @ (-C_j.mT @ C_j) + b_j)
        stages.append(2 * stages[-1] - stages[-2] + h**2 * slope)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- y_0 stands twice in the result
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    stages = [y0, y0]
    for C_j, b_j in zip(C, b):
        slope = activation(stages[-1] @ (-C_j.mT @ C_j) + b_j)
        stages.append(2 * stages[-1] - stages[-2] + h**2 * slope)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the first step is halved, a start with Y_{-1} = Y_1
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    stages = [y0]
    for j, (C_j, b_j) in enumerate(zip(C, b)):
        kick = h**2 * activation(stages[-1] @ (-C_j.mT @ C_j) + b_j)
        stages.append(y0 + kick / 2 if j == 0 else 2 * stages[-1] - stages[-2] + kick)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the stage before the first one is zero instead of y_0
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = torch.zeros_like(y0), y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the previous stage is overwritten too early: it is the new one already
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        y = 2 * y - previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        previous = y
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the previous stage stays y_0
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        y = 2 * y - previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the factor 2 of the present stage is missing
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, y - previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- a first-order step, y + h act: the previous stage is not used
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    y, stages = y0, [y0]
    for C_j, b_j in zip(C, b):
        y = y + h * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- every layer uses the first weights
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for _ in range(len(C)):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C[0].mT @ C[0]) + b[0])
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the stages start with y_1: y_0 is missing
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, []
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the last layer is left out
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for j in range(len(C) - 1):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C[j].mT @ C[j]) + b[j])
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- only the last stage comes back
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y = y0, y0
    for C_j, b_j in zip(C, b):
        K = -C_j.mT @ C_j
        previous, y = y, 2 * y - previous + h**2 * activation(y @ K + b_j)
    return y

# %% wrong: leapfrog_forward -- the stages are joined along the samples: stack gives them an axis of their own
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.cat(stages)

# %% wrong: leapfrog_forward -- tanh is built in
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * torch.tanh(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the input is changed in place
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    velocity, y, stages = torch.zeros_like(y0), y0, [y0.clone()]
    for C_j, b_j in zip(C, b):
        velocity += h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        y += velocity
        stages.append(y.clone())
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the stages are changed in place: all of them are the last one
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    velocity, y = torch.zeros_like(y0), y0.clone()
    stages = [y]
    for C_j, b_j in zip(C, b):
        velocity += h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        y += velocity
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the gradient is cut: the stages are copied without it
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0.detach()]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y.detach())
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- C.T of the whole stack reverses all its axes
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for j in range(len(C)):
        K = -(C.permute(2, 1, 0) @ C)[j]
        previous, y = y, 2 * y - previous + h**2 * activation(y @ K + b[j])
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the layers come in reverse order
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C.flip(0), b.flip(0)):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the biases are one layer late
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for j in range(len(C)):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C[j].mT @ C[j]) + b[j - 1])
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- 2 (Y_j - Y_{j-1}) doubles the previous stage too
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * (y - previous) + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the previous stage is added instead of subtracted
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y + previous + h**2 * activation(y @ (-C_j.mT @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- C C is used instead of C^T C: the transpose is missing
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ (-C_j @ C_j) + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% right: leapfrog_forward -- with velocities
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    y, velocity, stages = y0, torch.zeros_like(y0), [y0]
    for j in range(len(C)):
        velocity = velocity + h * activation(b[j] - y @ C[j].T @ C[j])
        y = y + h * velocity
        stages.append(y)
    return torch.stack(stages)

# %% right: leapfrog_forward -- all weights at once, a list with y_{-1}
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    K = -torch.einsum("jki,jkl->jil", C, C)
    stages = [y0, y0]
    for j in range(K.shape[0]):
        bend = activation(stages[-1] @ K[j] + b[j])
        stages.append(2 * stages[-1] - stages[-2] + h * h * bend)
    return torch.stack(stages[1:])

# %% right: leapfrog_forward -- the first step apart, torch.cat
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    def kick(y, j):
        return h**2 * activation(b[j] - (y @ C[j].mT) @ C[j])

    path = torch.stack([y0, y0 + kick(y0, 0)])
    for j in range(1, len(b)):
        after = 2 * path[j] - path[j - 1] + kick(path[j], j)
        path = torch.cat([path, after.unsqueeze(0)])
    return path

# %% wrong: prolong -- every value is repeated: piecewise constant, not linear
def prolong(theta):
    return theta.repeat_interleave(2, dim=0)

# %% wrong: prolong -- the whole sequence is repeated
def prolong(theta):
    return torch.cat([theta, theta])

# %% wrong: prolong -- the last value is extrapolated instead of held
def prolong(theta):
    after = torch.cat([theta[1:], 2 * theta[-1:] - theta[-2:-1]])
    after = after if len(after) == len(theta) else theta
    return torch.stack([theta, (theta + after) / 2], dim=1).flatten(0, 1)

# %% wrong: prolong -- the end is joined to the beginning
def prolong(theta):
    return torch.stack([theta, (theta + theta.roll(-1, 0)) / 2], dim=1).flatten(0, 1)

# %% wrong: prolong -- after the last sample comes zero instead of the value that is held
def prolong(theta):
    fine = torch.zeros(2 * len(theta), *theta.shape[1:], dtype=theta.dtype)
    fine[0::2] = theta
    fine[1:-1:2] = (theta[:-1] + theta[1:]) / 2
    return fine

# %% wrong: prolong -- after the last sample comes half of it: its neighbour was taken for zero
def prolong(theta):
    following = torch.cat([theta[1:], torch.zeros_like(theta[:1])])
    return torch.stack([theta, (theta + following) / 2], dim=1).flatten(0, 1)

# %% wrong: prolong -- the last layer is missing: there are 2 N - 1
def prolong(theta):
    fine = theta.repeat_interleave(2, dim=0)[:-1].clone()
    fine[1::2] = (theta[1:] + theta[:-1]) / 2
    return fine

# %% wrong: prolong -- the samples are spread over the whole interval, the last one stands at its end
def prolong(theta):
    places = torch.linspace(0, len(theta) - 1, 2 * len(theta), dtype=theta.dtype)
    left = places.floor().long().clamp(max=max(len(theta) - 2, 0))
    right = (left + 1).clamp(max=len(theta) - 1)
    share = (places - left).reshape(-1, *[1] * (theta.ndim - 1))
    return (1 - share) * theta[left] + share * theta[right]

# %% wrong: prolong -- the samples stand in the middle of their intervals: quarters, as F.interpolate has them
def prolong(theta):
    before = torch.cat([theta[:1], theta[:-1]])
    following = torch.cat([theta[1:], theta[-1:]])
    pairs = [(before + 3 * theta) / 4, (3 * theta + following) / 4]
    return torch.stack(pairs, dim=1).flatten(0, 1)

# %% wrong: prolong -- the mean comes before its sample
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.stack([(theta + following) / 2, theta], dim=1).flatten(0, 1)

# %% wrong: prolong -- the first value is held instead of the last
def prolong(theta):
    before = torch.cat([theta[:1], theta[:-1]])
    return torch.stack([(before + theta) / 2, theta], dim=1).flatten(0, 1)

# %% wrong: prolong -- all samples come first and all means after them
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.cat([theta, (theta + following) / 2])

# %% wrong: prolong -- the sum of two neighbours is not halved
def prolong(theta):
    following = torch.cat([theta[1:], torch.zeros_like(theta[-1:])])
    return torch.stack([theta, theta + following], dim=1).flatten(0, 1)

# %% wrong: prolong -- half of the difference stands between two samples, not their mean
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.stack([theta, (following - theta) / 2], dim=1).flatten(0, 1)

# %% wrong: prolong -- samples and means stay in pairs: an axis is left over
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.stack([theta, (theta + following) / 2], dim=1)

# %% wrong: prolong -- the interpolation runs along the last axis
def prolong(theta):
    theta = theta.movedim(-1, 0)
    following = torch.cat([theta[1:], theta[-1:]])
    fine = torch.stack([theta, (theta + following) / 2], dim=1).flatten(0, 1)
    return fine.movedim(0, -1)

# %% wrong: prolong -- the result is float32 whatever theta is
def prolong(theta):
    fine = torch.empty(2 * len(theta), *theta.shape[1:])
    fine[0::2] = theta
    fine[1:-1:2] = (theta[:-1] + theta[1:]) / 2
    fine[-1] = theta[-1]
    return fine

# %% wrong: prolong -- a list comes back, not a tensor
def prolong(theta):
    fine = []
    for j in range(len(theta)):
        after = theta[min(j + 1, len(theta) - 1)]
        fine += [theta[j], (theta[j] + after) / 2]
    return fine

# %% wrong: prolong -- the last difference is read before the first layer: a single layer has no neighbour
def prolong(theta):
    fine = theta.repeat_interleave(2, dim=0)
    for j in range(len(theta) - 1):
        fine[2 * j + 1] = (theta[j] + theta[j + 1]) / 2
    fine[-1] = theta[-1] + 0 * theta[1]
    return fine

# %% wrong: prolong -- the gradient is cut
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.stack([theta, (theta + following) / 2], dim=1).flatten(0, 1).detach()

# %% wrong: prolong -- everything is halved, the samples too
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.stack([theta, (theta + following) / 2], dim=1).flatten(0, 1) / 2

# %% right: prolong -- filled into an empty tensor
def prolong(theta):
    fine = torch.empty(2 * len(theta), *theta.shape[1:], dtype=theta.dtype)
    fine[0::2] = theta
    fine[1:-1:2] = (theta[:-1] + theta[1:]) / 2
    fine[-1] = theta[-1]
    return fine

# %% right: prolong -- a list
def prolong(theta):
    fine = []
    for j in range(len(theta)):
        after = theta[min(j + 1, len(theta) - 1)]
        fine += [theta[j], 0.5 * theta[j] + 0.5 * after]
    return torch.stack(fine)

# %% right: prolong -- places on the line, torch.lerp
def prolong(theta):
    k = torch.arange(2 * len(theta))
    left, right = k // 2, ((k + 1) // 2).clamp(max=len(theta) - 1)
    return torch.lerp(theta[left], theta[right], 0.5)
