# Named answers to the exercises of notebook 03: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: jacobian_eigenvalues -- the eigenvalues of K alone
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    values = torch.linalg.eigvals(K)
    return values if y.ndim == 1 else values.expand(len(y), -1)

# %% wrong: jacobian_eigenvalues -- the derivative of tanh is built in
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    slope = 1 - torch.tanh(y @ K + b) ** 2
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- K y instead of K^T y
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K.mT + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the bias is missing
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- the activation instead of its derivative
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    slope = activation(y @ K + b)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% wrong: jacobian_eigenvalues -- only one state, not a batch
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    jacobian = torch.autograd.functional.jacobian(lambda u: activation(u @ K + b), y)
    return torch.linalg.eigvals(jacobian)

# %% wrong: jacobian_eigenvalues -- the Jacobian of the layer, I + h J
def jacobian_eigenvalues(K, b, y, activation=torch.tanh):
    argument = (y @ K + b).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return 1 + torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)

# %% right: jacobian_eigenvalues -- autograd of the sum
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

# %% wrong: max_stable_step -- the factor 2 is missing
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((-values.real / values.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- real parts only
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((-2 / values.real).min()), 0.0)

# %% wrong: max_stable_step -- two over the modulus
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return float((2 / values.abs()).min())

# %% wrong: max_stable_step -- the largest of the bounds
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return max(float((-2 * values.real / values.abs() ** 2).max()), 0.0)

# %% wrong: max_stable_step -- negative steps
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return float("inf")
    return float((-2 * values.real / values.abs() ** 2).min())

# %% wrong: max_stable_step -- a zero eigenvalue gives not a number
def max_stable_step(eigenvalues):
    return max(float((-2 * eigenvalues.real / eigenvalues.abs() ** 2).min()), 0.0)

# %% wrong: max_stable_step -- a tensor comes back
def max_stable_step(eigenvalues):
    values = eigenvalues[eigenvalues.abs() > 0]
    if len(values) == 0:
        return torch.tensor(float("inf"))
    return (-2 * values.real / values.abs() ** 2).min().clamp(min=0)

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

# %% wrong: antisymmetric -- the factor 1/2 is missing
def antisymmetric(K, gamma):
    return K - K.mT - gamma * torch.eye(K.shape[-1], dtype=K.dtype)

# %% wrong: antisymmetric -- gamma is not halved
def antisymmetric(K, gamma):
    return (K - K.mT) / 2 - gamma * torch.eye(K.shape[-1], dtype=K.dtype)

# %% wrong: antisymmetric -- gamma with the wrong sign
def antisymmetric(K, gamma):
    return (K - K.mT + gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- gamma from every entry
def antisymmetric(K, gamma):
    return (K - K.mT - gamma) / 2

# %% wrong: antisymmetric -- the symmetric part
def antisymmetric(K, gamma):
    return (K + K.mT - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- all axes of a stack are reversed
def antisymmetric(K, gamma):
    turned = K.permute(*range(K.ndim - 1, -1, -1))
    return (K - turned - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% wrong: antisymmetric -- K is changed in place
def antisymmetric(K, gamma):
    K -= K.mT.clone()
    return (K - gamma * torch.eye(K.shape[-1], dtype=K.dtype)) / 2

# %% right: antisymmetric -- transpose and diag_embed
def antisymmetric(K, gamma):
    diagonal = torch.diag_embed(torch.full(K.shape[:-1], gamma, dtype=K.dtype))
    return 0.5 * (K - torch.transpose(K, -2, -1) - diagonal)

# %% right: antisymmetric -- einsum
def antisymmetric(K, gamma):
    half = (K - torch.einsum("...ij->...ji", K)) / 2
    return half - gamma / 2 * torch.eye(K.shape[-1]).to(K)

# %% wrong: verlet_step -- the minus sign is lost, as on the slide
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- y is computed from the old z
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    return y + h * activation(z @ K.mT + b), z - h * activation(y @ K + b)

# %% wrong: verlet_step -- y first
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    y = y + h * activation(z @ K.mT + b)
    z = z - h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step -- K is not transposed for y
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K + b)
    return y, z

# %% wrong: verlet_step -- both signs are negative
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y - h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the sign of the bias is turned as well
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(-y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the minus goes inside the activation
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(-(y @ K + b))
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the given tensors are changed
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z -= h * activation(y @ K + b)
    y += h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step -- the pair in the wrong order
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return z, y

# %% right: verlet_step -- new names and torch.add
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z_new = torch.sub(z, activation(torch.matmul(y, K) + b), alpha=h)
    y_new = torch.add(y, activation(torch.matmul(z_new, K.T) + b), alpha=h)
    return y_new, z_new

# %% right: verlet_step -- einsum
def verlet_step(y, z, K, b, h, activation=torch.tanh):
    z = z - activation(torch.einsum("si,ij->sj", y, K) + b) * h
    return y + activation(torch.einsum("sj,ij->si", z, K) + b) * h, z

# %% wrong: verlet_step_back -- a step with -h
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    z = z + h * activation(y @ K + b)
    y = y - h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step_back -- the step forth once more
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z

# %% wrong: verlet_step_back -- both lines from the given pair
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    return y - h * activation(z @ K.mT + b), z + h * activation(y @ K + b)

# %% wrong: verlet_step_back -- the sign of z is wrong
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * activation(z @ K.mT + b)
    z = z - h * activation(y @ K + b)
    return y, z

# %% wrong: verlet_step_back -- the activation is built in
def verlet_step_back(y, z, K, b, h, activation=torch.tanh):
    y = y - h * torch.tanh(z @ K.mT + b)
    z = z + h * torch.tanh(y @ K + b)
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

# %% wrong: leapfrog_forward -- h is not squared
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        K = -C_j.mT @ C_j
        previous, y = y, 2 * y - previous + h * activation(y @ K + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- K = +C^T C
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ C_j.mT @ C_j + b_j)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- C C^T instead of C^T C
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous + h**2 * activation(b_j - y @ C_j @ C_j.mT)
        stages.append(y)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the first step does nothing
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    stages = [y0, y0]
    for C_j, b_j in zip(C[:-1], b[:-1]):
        slope = activation(stages[-1] @ (-C_j.mT @ C_j) + b_j)
        stages.append(2 * stages[-1] - stages[-2] + h**2 * slope)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- the first step is halved
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    stages = [y0]
    for j, (C_j, b_j) in enumerate(zip(C, b)):
        kick = h**2 * activation(stages[-1] @ (-C_j.mT @ C_j) + b_j)
        stages.append(y0 + kick / 2 if j == 0 else 2 * stages[-1] - stages[-2] + kick)
    return torch.stack(stages)

# %% wrong: leapfrog_forward -- only the end comes back
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y = y0, y0
    for C_j, b_j in zip(C, b):
        K = -C_j.mT @ C_j
        previous, y = y, 2 * y - previous + h**2 * activation(y @ K + b_j)
    return y

# %% wrong: leapfrog_forward -- the minus stands outside of the activation
def leapfrog_forward(y0, C, b, h, activation=torch.tanh):
    previous, y, stages = y0, y0, [y0]
    for C_j, b_j in zip(C, b):
        previous, y = y, 2 * y - previous - h**2 * activation(y @ C_j.mT @ C_j + b_j)
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

# %% wrong: smoothness -- the biases are left out
def smoothness(K, b, h):
    return (K[1:] - K[:-1]).square().sum() / (2 * h)

# %% wrong: smoothness -- h multiplies
def smoothness(K, b, h):
    return h / 2 * ((K[1:] - K[:-1]).square().sum() + (b[1:] - b[:-1]).square().sum())

# %% wrong: smoothness -- the factor 1/2 is missing
def smoothness(K, b, h):
    return ((K[1:] - K[:-1]).square().sum() + (b[1:] - b[:-1]).square().sum()) / h

# %% wrong: smoothness -- the norms are not squared
def smoothness(K, b, h):
    change = (K[1:] - K[:-1]).flatten(1).norm(dim=1) + (b[1:] - b[:-1]).abs()
    return change.sum() / (2 * h)

# %% wrong: smoothness -- weight decay
def smoothness(K, b, h):
    return (K.square().sum() + b.square().sum()) / (2 * h)

# %% wrong: smoothness -- the last layer is joined to the first
def smoothness(K, b, h):
    change = (K - K.roll(1, 0)).square().sum() + (b - b.roll(1, 0)).square().sum()
    return change / (2 * h)

# %% right: smoothness -- torch.diff
def smoothness(K, b, h):
    return 0.5 / h * (torch.diff(K, dim=0).pow(2).sum() + torch.diff(b).pow(2).sum())

# %% right: smoothness -- a loop
def smoothness(K, b, h):
    total = torch.zeros((), dtype=K.dtype)
    for j in range(1, len(K)):
        total = total + torch.linalg.norm(K[j] - K[j - 1]) ** 2 + (b[j] - b[j - 1]) ** 2
    return total / (2 * h)

# %% wrong: prolong -- piecewise constant
def prolong(theta):
    return theta.repeat_interleave(2, dim=0)

# %% wrong: prolong -- the last value is extrapolated
def prolong(theta):
    after = torch.cat([theta[1:], 2 * theta[-1:] - theta[-2:-1]])
    after = after if len(after) == len(theta) else theta
    return torch.stack([theta, (theta + after) / 2], dim=1).flatten(0, 1)

# %% wrong: prolong -- the end is joined to the beginning
def prolong(theta):
    return torch.stack([theta, (theta + theta.roll(-1, 0)) / 2], dim=1).flatten(0, 1)

# %% wrong: prolong -- one layer is missing
def prolong(theta):
    fine = theta.repeat_interleave(2, dim=0)[:-1].clone()
    fine[1::2] = (theta[1:] + theta[:-1]) / 2
    return fine

# %% wrong: prolong -- the means come first
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.stack([(theta + following) / 2, theta], dim=1).flatten(0, 1)

# %% wrong: prolong -- copies first, means after them
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.cat([theta, (theta + following) / 2])

# %% wrong: prolong -- the gradient is cut
def prolong(theta):
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.stack([theta, (theta + following) / 2], dim=1).flatten(0, 1).detach()

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
