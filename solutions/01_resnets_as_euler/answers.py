# Named answers to the exercises of notebook 01: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: euler_step -- the step size h is missing
def euler_step(f, t, y, h):
    return y + f(t, y)

# %% wrong: euler_step -- the old state is forgotten
def euler_step(f, t, y, h):
    return h * f(t, y)

# %% wrong: euler_step -- the field is read at the end of the step
def euler_step(f, t, y, h):
    return y + h * f(t + h, y)

# %% wrong: euler_step -- the state is changed in place
def euler_step(f, t, y, h):
    y += h * f(t, y)
    return y

# %% wrong: euler_step -- the direction is reversed
def euler_step(f, t, y, h):
    return y - h * f(t, y)

# %% wrong: euler_step -- the gradient is cut
def euler_step(f, t, y, h):
    return (y + h * f(t, y)).detach()

# %% wrong: euler_step -- a midpoint step instead
def euler_step(f, t, y, h):
    return y + h * f(t + h / 2, y + h / 2 * f(t, y))

# %% right: euler_step -- with torch.add
def euler_step(f, t, y, h):
    return torch.add(y, f(t, y), alpha=h)

# %% right: euler_step -- in two statements, other names
def euler_step(f, t, y, h):
    slope = f(t, y)
    displacement = slope * h
    return displacement + y

# %% wrong: resnet_forward -- the step size h is missing
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the weights are transposed
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j].T + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the input is not among the stages
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys, Y = [], Y0
    for j in range(len(K)):
        Y = Y + h * activation(Y @ K[j] + b[j])
        Ys.append(Y)
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the skip connection is missing
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- tanh whatever the activation
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * torch.tanh(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- one layer too few
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K) - 1):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the step multiplies the argument
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + activation(h * (Ys[-1] @ K[j] + b[j])))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the input is changed in place
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0.clone()]
    for j in range(len(K)):
        Y0 += h * activation(Y0 @ K[j] + b[j])
        Ys.append(Y0.clone())
    return torch.stack(Ys)

# %% right: resnet_forward -- written into one tensor of float stages
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Y, stages = Y0, Y0[None]
    for matrix, bias in zip(K.unbind(), b.unbind()):
        Y = torch.add(Y, activation(torch.einsum("sn,nm->sm", Y, matrix) + bias), alpha=h)
        stages = torch.cat([stages, Y[None]])
    return stages

# %% right: resnet_forward -- by recursion
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    if len(K) == 0:
        return Y0.unsqueeze(0)
    Y1 = Y0 + h * activation(torch.matmul(Y0, K[0]).add(b[0]))
    return torch.cat([Y0.unsqueeze(0), resnet_forward(Y1, K[1:], b[1:], h, activation)])

# %% wrong: resnet_vector_field -- int(t * N / T) meets rounding errors
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(t * len(K) / T), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- an absolute nudge of 1e-6
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the nearest edge instead of the cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(round(float(t) * len(K) / T), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the right edge belongs to the cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    import math
    def f(t, y):
        j = min(max(math.ceil(float(t) * len(K) / T - 1e-5) - 1, 0), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the final time is taken to be 1
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- t = T has no cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = int(float(t) * len(K) / T + 1e-6 * len(K))
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the weights are interpolated
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        x = min(max(float(t) * len(K) / T, 0.0), len(K) - 1.0)
        j = min(int(x), len(K) - 2) if len(K) > 1 else 0
        s = x - j
        k = min(j + 1, len(K) - 1)
        return activation(y @ ((1 - s) * K[j] + s * K[k]) + (1 - s) * b[j] + s * b[k])
    return f

# %% wrong: resnet_vector_field -- the step size is inside the field
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return T / len(K) * activation(y @ K[j] + b[j])
    return f

# %% right: resnet_vector_field -- searching among the edges
def resnet_vector_field(K, b, T, activation=torch.tanh):
    n = K.shape[0]
    edges = torch.arange(1, n, dtype=torch.float64) * (T / n)
    def f(t, y):
        j = int((float(t) >= edges * (1 - 4e-7) - 1e-9).sum())
        return activation(torch.addmm(b[j], y, K[j]))
    return f

# %% right: resnet_vector_field -- a relative nudge
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        cell = int(float(t) / T * len(K) * (1 + 5e-7) + 1e-9)
        cell = max(0, min(cell, len(K) - 1))
        return activation(y @ K[cell] + b[cell])
    return f


# %% right: resnet_vector_field -- another order of the sums, equal up to rounding
def resnet_vector_field(K, b, T, activation=torch.tanh):
    N = len(K)
    edges = [T * (j + 1 - 1e-6 * N) / N for j in range(N - 1)]

    def f(t, y):
        j = sum(float(t) >= edge for edge in edges)
        return activation(b[j] + torch.einsum("ij,si->sj", K[j], y))

    return f


# %% wrong: observed_order -- the axes are swapped
def observed_order(errors, step_sizes):
    x = torch.as_tensor(errors, dtype=torch.float64).log()
    y = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())

# %% wrong: observed_order -- only the first and the last point count
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float((y[-1] - y[0]) / (x[-1] - x[0]))

# %% wrong: observed_order -- the line is forced through the origin
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float((x * y).sum() / (x * x).sum())

# %% wrong: observed_order -- the logarithms are missing
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64)
    y = torch.as_tensor(errors, dtype=torch.float64)
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())

# %% wrong: observed_order -- the sign is turned
def observed_order(errors, step_sizes):
    import numpy
    return float(-numpy.polyfit(numpy.log(step_sizes), numpy.log(errors), 1)[0])

# %% wrong: observed_order -- the mean of the slopes between neighbours
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float((y.diff() / x.diff()).mean())

# %% right: observed_order -- with numpy.polyfit
def observed_order(errors, step_sizes):
    import numpy
    slope, _ = numpy.polyfit(numpy.log(step_sizes), numpy.log(errors), deg=1)
    return float(slope)

# %% right: observed_order -- from the normal equations
def observed_order(errors, step_sizes):
    import math
    points = [(math.log(float(h)), math.log(float(e))) for h, e in zip(step_sizes, errors)]
    m = len(points)
    sx, sy = sum(x for x, _ in points), sum(y for _, y in points)
    sxy, sxx = sum(x * y for x, y in points), sum(x * x for x, _ in points)
    return (m * sxy - sx * sy) / (m * sxx - sx**2)

# %% wrong: predict_proba -- softmax of a single column
def predict_proba(Y, W, mu):
    return torch.softmax(Y @ W + mu, dim=1)

# %% wrong: predict_proba -- the logistic function for each column
def predict_proba(Y, W, mu):
    return torch.sigmoid(Y @ W + mu)

# %% wrong: predict_proba -- each column is normalised instead of each row
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=0)

# %% wrong: predict_proba -- the exponentials overflow
def predict_proba(Y, W, mu):
    e = torch.exp(Y @ W + mu)
    return e / (1 + e) if W.shape[1] == 1 else e / e.sum(dim=1, keepdim=True)

# %% wrong: predict_proba -- the offset is missing
def predict_proba(Y, W, mu):
    scores = Y @ W
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- one column loses its axis
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(scores)[:, 0] if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the class instead of its probability
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return (scores > 0).to(Y) if W.shape[1] == 1 else torch.eye(W.shape[1]).to(Y)[scores.argmax(1)]

# %% right: predict_proba -- log-sum-exp by hand
def predict_proba(Y, W, mu):
    scores = torch.einsum("sn,nm->sm", Y, W) + mu
    if scores.shape[1] == 1:
        scores = torch.cat([scores, torch.zeros_like(scores)], dim=1)
        return torch.exp(scores - torch.logsumexp(scores, 1, keepdim=True))[:, :1]
    return torch.exp(scores - scores.logsumexp(dim=1, keepdim=True))

# %% right: predict_proba -- shifted by the largest score
def predict_proba(Y, W, mu):
    scores = torch.addmm(mu, Y, W)
    if W.shape[1] == 1:
        return 1 / (1 + torch.exp(-scores.clamp(-80, 80)))
    e = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
    return e / e.sum(dim=1, keepdim=True)

# %% wrong: objective -- S is not divided by the number of samples
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C, reduction="sum") + alpha * R

# %% wrong: objective -- the smoothness leaves out b
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    return loss(scores, C) + alpha * K.diff(dim=0).square().sum() / (2 * h)

# %% wrong: objective -- h multiplies the smoothness
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) * h / 2
    return loss(scores, C) + alpha * R

# %% wrong: objective -- weight decay instead of smoothness
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    return loss(scores, C) + alpha * 0.5 * (K.square().sum() + b.square().sum())

# %% wrong: objective -- the squared distance instead of the cross-entropy
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    P = torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, 1)
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return 0.5 * (P - C).square().sum() / len(Y) + alpha * R

# %% wrong: objective -- the logarithm of a rounded probability
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        S = -(C * P.log() + (1 - C) * (1 - P).log()).sum()
    else:
        S = -(C * torch.softmax(scores, 1).log()).sum()
    return S / len(Y) + alpha * R

# %% wrong: objective -- alpha is forgotten
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    return loss(scores, C) + (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)

# %% wrong: objective -- only the class-one half of the logistic loss
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return -(C * F.logsigmoid(scores)).mean() + alpha * R
    return F.cross_entropy(scores, C) + alpha * R

# %% right: objective -- with log-softmax and loops over the layers
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    if scores.shape[1] == 1:
        both = torch.cat([scores, 0 * scores], dim=1)
        targets = torch.cat([C, 1 - C], dim=1)
    else:
        both, targets = scores, C
    S = -(targets * torch.log_softmax(both, dim=1)).sum()
    R = 0.0
    for j in range(1, len(K)):
        R = R + ((K[j] - K[j - 1]) ** 2).sum() + (b[j] - b[j - 1]) ** 2
    return S / len(Y) + alpha / (2 * h) * R

# %% right: objective -- with softplus
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = torch.addmm(mu, Y, W)
    if W.shape[1] == 1:
        misfit = (torch.nn.functional.softplus(scores) - C * scores).mean()
    else:
        misfit = (scores.logsumexp(dim=1) - (C * scores).sum(dim=1)).mean()
    steps = torch.cat([K.flatten(1), b[:, None]], dim=1).diff(dim=0)
    return misfit + 0.5 * alpha * torch.sum(steps**2) / h

# %% wrong: block_coordinate_descent -- only the classifier learns
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    Y = resnet.propagate(Y0, K, b, h)[-1]
    loss = lambda W, mu: resnet.objective(Y, W, mu, C, K, b, h, alpha)
    history = [loss(W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(loss, (W, mu))
        history += [loss(W, mu).item()] * 2
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the old propagation is used again
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    Y = resnet.propagate(Y0, K, b, h)[-1]
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: resnet.objective(Y, W, mu, C, K, b, h, alpha), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the propagation first
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- only whole sweeps are recorded
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- plain gradient steps of a fixed length
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        gW, gmu = torch.func.grad(full, argnums=(2, 3))(K, b, W, mu)
        W, mu = W - gW, mu - gmu
        history.append(full(K, b, W, mu).item())
        gK, gb = torch.func.grad(full, argnums=(0, 1))(K, b, W, mu)
        K, b = K - gK, b - gb
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- b is not learned
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        (K,) = optimise.minimise(lambda K: full(K, b, W, mu), (K,))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the given tensors are overwritten
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        newW, newmu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        W.copy_(newW), mu.copy_(newmu)
        history.append(full(K, b, W, mu).item())
        newK, newb = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        K.copy_(newK), b.copy_(newb)
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% right: block_coordinate_descent -- with the package's minimise_in_turns
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    def loss(W, mu, K, b):
        return resnet.objective(resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    ((W, mu), (K, b)), history = optimise.minimise_in_turns(loss, [(W, mu), (K, b)], n_sweeps)
    return K, b, W, mu, history

# %% right: block_coordinate_descent -- with an optimiser of its own
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    K, b, W, mu = (x.detach().clone().requires_grad_() for x in (K, b, W, mu))
    def value():
        return resnet.objective(resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    def half_step(block):
        optimiser = torch.optim.LBFGS(block, max_iter=80, line_search_fn="strong_wolfe")
        def closure():
            optimiser.zero_grad()
            loss = value()
            loss.backward()
            return loss
        optimiser.step(closure)
        return value().item()
    history = [value().item()]
    for _ in range(n_sweeps):
        history.append(half_step([W, mu]))
        history.append(half_step([K, b]))
    return K.detach(), b.detach(), W.detach(), mu.detach(), history
