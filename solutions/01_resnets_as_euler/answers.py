# Named answers to the exercises of notebook 01: the wrong ones must lose points,
# the right ones must get them all. A title is what the student is told.

# %% wrong: euler_step -- the step size h is missing
def euler_step(f, t, y, h):
    return y + f(t, y)

# %% wrong: euler_step -- the old state is forgotten: the displacement alone comes back
def euler_step(f, t, y, h):
    return h * f(t, y)

# %% wrong: euler_step -- the field is read at time t + h instead of t
def euler_step(f, t, y, h):
    return y + h * f(t + h, y)

# %% wrong: euler_step -- the field is read at time 0 instead of t
def euler_step(f, t, y, h):
    return y + h * f(0.0, y)

# %% wrong: euler_step -- the field is read at time h instead of t
def euler_step(f, t, y, h):
    return y + h * f(h, y)

# %% wrong: euler_step -- the state that was handed in is changed in place
def euler_step(f, t, y, h):
    y += h * f(t, y)
    return y

# %% wrong: euler_step -- the state that was handed in is changed in place
def euler_step(f, t, y, h):
    return y.add_(h * f(t, y))

# %% wrong: euler_step -- the displacement is subtracted
def euler_step(f, t, y, h):
    return y - h * f(t, y)

# %% wrong: euler_step -- the sign of h is lost: a step back goes forwards
def euler_step(f, t, y, h):
    return y + abs(h) * f(t, y)

# %% wrong: euler_step -- the gradient is cut
def euler_step(f, t, y, h):
    return (y + h * f(t, y)).detach()

# %% wrong: euler_step -- the gradient is cut
def euler_step(f, t, y, h):
    with torch.no_grad():
        return y + h * f(t, y)

# %% wrong: euler_step -- the field is cut off from the gradient
def euler_step(f, t, y, h):
    return y + h * f(t, y).detach()

# %% wrong: euler_step -- the work is handed to NumPy, which knows no gradients
def euler_step(f, t, y, h):
    return torch.from_numpy(y.numpy() + h * f(t, y).numpy())

# %% wrong: euler_step -- a midpoint step is made, not Euler's
def euler_step(f, t, y, h):
    return y + h * f(t + h / 2, y + h / 2 * f(t, y))

# %% wrong: euler_step -- two slopes are averaged: that is Heun's method
def euler_step(f, t, y, h):
    slope = f(t, y)
    return y + h / 2 * (slope + f(t + h, y + h * slope))

# %% wrong: euler_step -- the slope is that of the end of the step, in time and in state
def euler_step(f, t, y, h):
    return y + h * f(t + h, y + h * f(t, y))

# %% wrong: euler_step -- state and time are exchanged in the call of f
def euler_step(f, t, y, h):
    return y + h * f(y, t)

# %% wrong: euler_step -- h multiplies the old state too
def euler_step(f, t, y, h):
    return h * (y + f(t, y))

# %% wrong: euler_step -- the time stands where the step size should
def euler_step(f, t, y, h):
    return y + t * f(t, y)

# %% wrong: euler_step -- the new time stands where the step size should
def euler_step(f, t, y, h):
    return y + (t + h) * f(t, y)

# %% wrong: euler_step -- h is added to the state inside the field
def euler_step(f, t, y, h):
    return y + f(t, y + h)

# %% wrong: euler_step -- the slope alone comes back
def euler_step(f, t, y, h):
    return f(t, y)

# %% wrong: euler_step -- the time comes back too, where the new state alone is wanted
def euler_step(f, t, y, h):
    return t + h, y + h * f(t, y)

# %% wrong: euler_step -- nothing comes back: the return is missing
def euler_step(f, t, y, h):
    y = y + h * f(t, y)

# %% wrong: euler_step -- the state comes back as it was
def euler_step(f, t, y, h):
    y + h * f(t, y)
    return y

# %% wrong: euler_step -- the result is float32, whatever the dtype of the state
def euler_step(f, t, y, h):
    return (y + h * f(t, y)).float()

# %% wrong: euler_step -- the result is float32, whatever the dtype of the state
def euler_step(f, t, y, h):
    return torch.as_tensor((y + h * f(t, y)).tolist())

# %% wrong: euler_step -- the result is float64, whatever the dtype of the state
def euler_step(f, t, y, h):
    return y + torch.tensor(h, dtype=torch.float64).reshape(1) * f(t, y)

# %% wrong: euler_step -- two steps of h / 2 are made, not one of h
def euler_step(f, t, y, h):
    half = y + h / 2 * f(t, y)
    return half + h / 2 * f(t + h / 2, half)

# %% wrong: euler_step -- the slope is read at the predicted state, not at y
def euler_step(f, t, y, h):
    return y + h * f(t, y + h * f(t, y))

# %% wrong: euler_step -- the time is added to the displacement
def euler_step(f, t, y, h):
    return y + t + h * f(t, y)

# %% right: euler_step -- with torch.add
def euler_step(f, t, y, h):
    return torch.add(y, f(t, y), alpha=h)

# %% right: euler_step -- in two statements, other names
def euler_step(f, t, y, h):
    slope = f(t, y)
    displacement = slope * h
    return displacement + y

# %% right: euler_step -- a copy is moved
def euler_step(f, t, y, h):
    new = y.clone()
    new += f(t, y) * h
    return new

# %% wrong: resnet_forward -- the step size h is missing
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- K is transposed
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j].T + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- K is transposed
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation((K[j] @ Ys[-1].T).T + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- K stands on the left, but samples are rows: Y @ K
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(K[j] @ Ys[-1] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- K multiplies entry by entry, not as a matrix
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(K[j] * Ys[-1] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the input is not among the stages
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys, Y = [], Y0
    for j in range(len(K)):
        Y = Y + h * activation(Y @ K[j] + b[j])
        Ys.append(Y)
    return torch.stack(Ys)

# %% wrong: resnet_forward -- only the last stage comes back
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Y = Y0
    for j in range(len(K)):
        Y = Y + h * activation(Y @ K[j] + b[j])
    return Y

# %% wrong: resnet_forward -- the return stands inside the loop: it ends after one layer
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
        return torch.stack(Ys)

# %% wrong: resnet_forward -- nothing comes back: the return is missing
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    torch.stack(Ys)

# %% wrong: resnet_forward -- a list of stages comes back, not one tensor
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return Ys

# %% wrong: resnet_forward -- the stages are joined along the samples: torch.stack makes a new axis, torch.cat does not
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.cat(Ys)

# %% wrong: resnet_forward -- the stages are stacked along the second axis, not the first
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys, dim=1)

# %% wrong: resnet_forward -- the stages are collected in a float32 tensor, whatever the dtype of the features
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    stages = torch.zeros(len(K) + 1, *Y0.shape)
    stages[0] = Y = Y0
    for j in range(len(K)):
        Y = Y + h * activation(Y @ K[j] + b[j])
        stages[j + 1] = Y
    return stages

# %% wrong: resnet_forward -- the skip connection is missing
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the input is added back in each layer, not the previous stage
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Y0 + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- each layer reads the input, not the previous stage
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Y0 @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- each layer starts at the input: no layer sees another one's result
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    return torch.stack([Y0] + [Y0 + h * activation(Y0 @ K_j + b_j) for K_j, b_j in zip(K, b)])

# %% wrong: resnet_forward -- tanh is applied, whatever the activation
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * torch.tanh(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the activation is missing
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * (Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the activation is applied after the addition, to the whole stage
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(activation(Ys[-1] + h * (Ys[-1] @ K[j] + b[j])))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- one layer is missing
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K) - 1):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- one layer is missing: the first
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(1, len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- there are as many layers as samples
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(Y0)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- there are as many layers as features
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(K.shape[-1]):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- an index runs past the end: N layers make N + 1 stages
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K) + 1):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the layers act in the reverse order
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in reversed(range(len(K))):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- every layer uses the weights of the first
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[0] + b[0]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- every layer adds all biases, not its own one
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- h stands inside the activation
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + activation(h * (Ys[-1] @ K[j] + b[j])))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- h multiplies the matrix product only, inside the activation
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + activation(h * Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- h multiplies the previous stage too
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(h * (Ys[-1] + activation(Ys[-1] @ K[j] + b[j])))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the correction is subtracted
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] - h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the bias is missing
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the bias stands outside the activation
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * (activation(Ys[-1] @ K[j]) + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the bias stands outside the activation, and h does not multiply it
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j]) + b[j])
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the input that was handed in is changed in place
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0.clone()]
    for j in range(len(K)):
        Y0 += h * activation(Y0 @ K[j] + b[j])
        Ys.append(Y0.clone())
    return torch.stack(Ys)

# %% wrong: resnet_forward -- one tensor is changed in place: all stages are the same one, and the input too
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Y = Y0
    Ys = [Y]
    for j in range(len(K)):
        Y += h * activation(Y @ K[j] + b[j])
        Ys.append(Y)
    return torch.stack(Ys)

# %% wrong: resnet_forward -- a copy is changed in place: all stages are the same tensor
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Y = Y0.clone()
    Ys = [Y]
    for j in range(len(K)):
        Y += h * activation(Y @ K[j] + b[j])
        Ys.append(Y)
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the gradient is cut
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    with torch.no_grad():
        Ys = [Y0]
        for j in range(len(K)):
            Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
        return torch.stack(Ys)

# %% wrong: resnet_forward -- each stage is detached: only the last layer gets a gradient
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Y = Ys[-1].detach()
        Ys.append(Y + h * activation(Y @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- the activation acts on the features before K
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * (activation(Ys[-1]) @ K[j] + b[j]))
    return torch.stack(Ys)

# %% wrong: resnet_forward -- torch.tensor does not take a list of tensors: torch.stack does
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Ys = [Y0]
    for j in range(len(K)):
        Ys.append(Ys[-1] + h * activation(Ys[-1] @ K[j] + b[j]))
    return torch.tensor(Ys)

# %% wrong: resnet_forward -- the stages are written into one tensor, whose old entries the gradient still needs
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Y = torch.zeros(len(K) + 1, *Y0.shape, dtype=Y0.dtype)
    Y[0] = Y0
    for j in range(len(K)):
        Y[j + 1] = Y[j] + h * activation(Y[j] @ K[j] + b[j])
    return Y

# %% wrong: resnet_forward -- the stages are collected in a float32 tensor, whatever the dtype of the features
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Y = torch.zeros(len(K) + 1, *Y0.shape)
    Y[0] = Y0
    for j in range(len(K)):
        Y[j + 1] = Y[j] + h * activation(Y[j] @ K[j] + b[j])
    return Y

# %% wrong: resnet_forward -- an index runs past the end: N layers make N + 1 stages
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    Y = torch.zeros(len(K), *Y0.shape, dtype=Y0.dtype)
    Y[0] = Y0
    for j in range(len(K)):
        Y[j + 1] = Y[j] + h * activation(Y[j] @ K[j] + b[j])
    return Y

# %% right: resnet_forward -- unbound weights, einsum, and torch.cat of stages with a new axis
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

# %% right: resnet_forward -- written into a tensor that is there before
def resnet_forward(Y0, K, b, h, activation=torch.tanh):
    stages = Y0.new_empty(K.shape[0] + 1, *Y0.shape)
    stages[0] = Y = Y0
    for j in range(K.shape[0]):
        Y = Y + h * activation(b[j] + Y @ K[j])
        stages[j + 1] = Y
    return stages

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(t * len(K) / T), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    N = len(K)
    def f(t, y):
        j = min(int(float(t) * N / T), N - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    h = T / len(K)
    def f(t, y):
        j = min(int(t / h), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    h = T / len(K)
    def f(t, y):
        j = min(int(t // h), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    import math
    h = T / len(K)
    def f(t, y):
        j = min(math.floor(float(t) / h), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    edges = torch.linspace(0, T, len(K) + 1)
    def f(t, y):
        j = min(int((edges <= float(t)).sum()) - 1, len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    N = len(K)
    h = T / N
    def f(t, y):
        j = min(int(t / h + 1e-9), N - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the nudge is too small where N and the times are large: rounding grows with them
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the nudge is too small where N and the times are large: rounding grows with them
def resnet_vector_field(K, b, T, activation=torch.tanh):
    h = T / len(K)
    def f(t, y):
        j = min(int((float(t) + 1e-6) / h), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- times well before an edge are pushed over it into the next cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    N = len(K)
    def f(t, y):
        j = min(int(float(t) * N / T + 0.05), N - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- times well before an edge are pushed over it into the next cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    N = len(K)
    def f(t, y):
        j = min(int(round(float(t) * N / T, 1)), N - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the nearest edge is taken instead of the cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(round(float(t) * len(K) / T), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the right edge belongs to the cell, instead of the left one
def resnet_vector_field(K, b, T, activation=torch.tanh):
    import math
    def f(t, y):
        j = min(max(math.ceil(float(t) * len(K) / T - 1e-6 * len(K)) - 1, 0), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the final time is taken to be 1
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the time is multiplied by T, not divided
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) * T + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the time is used as the number of the cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) + 1e-6), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the cells are too wide: N points have N - 1 cells between them
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        N = len(K)
        j = min(int(float(t) * (N - 1) / T + 1e-6 * N), N - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the cell before the right one is read
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1) - 1
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the cell after the right one is read
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)) + 1, len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- t = T finds no cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = int(float(t) * len(K) / T + 1e-6 * len(K))
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- t = T reads the first cell again
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = int(float(t) * len(K) / T + 1e-6 * len(K)) % len(K)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the weights are interpolated, not constant on a cell
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

# %% wrong: resnet_vector_field -- a whole step comes back, not the slope
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return y + T / len(K) * activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the state is added to the slope
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return y + activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- K is transposed
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j].T + b[j])
    return f

# %% wrong: resnet_vector_field -- K stands on the left, but samples are rows: y @ K
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return activation(K[j] @ y + b[j])
    return f

# %% wrong: resnet_vector_field -- the bias is missing
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j])
    return f

# %% wrong: resnet_vector_field -- the bias stands outside the activation
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j]) + b[j]
    return f

# %% wrong: resnet_vector_field -- tanh is applied, whatever the activation
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return torch.tanh(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the activation is missing
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return y @ K[j] + b[j]
    return f

# %% wrong: resnet_vector_field -- every time reads the first cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        return activation(y @ K[0] + b[0])
    return f

# %% wrong: resnet_vector_field -- every time reads the last cell: f looks the number up only when it is called
def resnet_vector_field(K, b, T, activation=torch.tanh):
    for j in range(len(K)):
        f = lambda t, y: activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the gradient is cut: none reaches the weights
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        with torch.no_grad():
            return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the gradient is cut: none reaches the weights
def resnet_vector_field(K, b, T, activation=torch.tanh):
    K, b = K.detach(), b.detach()
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the inner function is not returned
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j] + b[j])

# %% wrong: resnet_vector_field -- the field returns nothing: its return is missing
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the field takes the state first: it is called as f(t, y)
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(y, t):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(t / T * len(K)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) / T * len(K)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(t * (len(K) / T)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * (len(K) / T)), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    h = T / len(K)
    def f(t, y):
        j = min(int(float(t) // h), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-12), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-8), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- rounding puts some times of the grid into the neighbouring cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int((t + 1e-9) * len(K) / T), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the nudge is too small where N and the times are large: rounding grows with them
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-5), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the nudge is too small where N and the times are large: rounding grows with them
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(t * len(K) / T + 1e-6), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- times well before an edge are pushed over it into the next cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 0.1), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- at an edge, round(x - 1/2) goes to the even neighbour
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(max(round(float(t) * len(K) / T - 0.5), 0), len(K) - 1)
        return activation(y @ K[j] + b[j])
    return f

# %% wrong: resnet_vector_field -- the activation acts on the features before K
def resnet_vector_field(K, b, T, activation=torch.tanh):
    def f(t, y):
        j = min(int(float(t) * len(K) / T + 1e-6 * len(K)), len(K) - 1)
        return activation(y) @ K[j] + b[j]
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

# %% right: resnet_vector_field -- the nearest edge where it is very near, otherwise the floor
def resnet_vector_field(K, b, T, activation=torch.tanh):
    N = len(K)

    def f(t, y):
        pos = float(t) * N / T
        near = round(pos)
        j = near if abs(pos - near) < 1e-6 * max(1, near) else int(pos // 1)
        j = min(max(j, 0), N - 1)
        return activation(y @ K[j] + b[j])

    return f

# %% right: resnet_vector_field -- a nudge of a thousandth of a cell
def resnet_vector_field(K, b, T, activation=torch.tanh):
    import math
    def f(t, y):
        cell = min(math.floor(float(t) * len(K) / T + 1e-3), len(K) - 1)
        return activation(y.matmul(K[cell]).add(b[cell]))
    return f

# %% wrong: observed_order -- the axes are exchanged
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

# %% wrong: observed_order -- only the first two points count
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float((y[1] - y[0]) / (x[1] - x[0]))

# %% wrong: observed_order -- only the last two points count
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float((y[-1] - y[-2]) / (x[-1] - x[-2]))

# %% wrong: observed_order -- the line is forced through the origin
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float((x * y).sum() / (x * x).sum())

# %% wrong: observed_order -- the line is forced through the origin
def observed_order(errors, step_sizes):
    x, y = np.log(np.asarray(step_sizes)), np.log(np.asarray(errors))
    return float(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0])

# %% wrong: observed_order -- the logarithms are missing
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64)
    y = torch.as_tensor(errors, dtype=torch.float64)
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())

# %% wrong: observed_order -- the step sizes have no logarithm
def observed_order(errors, step_sizes):
    return float(np.polyfit(np.asarray(step_sizes), np.log(np.asarray(errors)), 1)[0])

# %% wrong: observed_order -- the errors have no logarithm
def observed_order(errors, step_sizes):
    return float(np.polyfit(np.log(np.asarray(step_sizes)), np.asarray(errors), 1)[0])

# %% wrong: observed_order -- the sign is turned
def observed_order(errors, step_sizes):
    return float(-np.polyfit(np.log(step_sizes), np.log(errors), 1)[0])

# %% wrong: observed_order -- the mean of the slopes between neighbours
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float((y.diff() / x.diff()).mean())

# %% wrong: observed_order -- the mean of log E / log h, point by point
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float((y / x).mean())

# %% wrong: observed_order -- the intercept comes back, not the slope
def observed_order(errors, step_sizes):
    return float(np.polyfit(np.log(np.asarray(step_sizes)), np.log(np.asarray(errors)), 1)[1])

# %% wrong: observed_order -- slope and intercept come back, where the slope alone is wanted
def observed_order(errors, step_sizes):
    return np.polyfit(np.log(np.array(step_sizes)), np.log(np.array(errors)), 1)

# %% wrong: observed_order -- it is the correlation, not the slope
def observed_order(errors, step_sizes):
    return float(np.corrcoef(np.log(np.asarray(step_sizes)), np.log(np.asarray(errors)))[0, 1])

# %% wrong: observed_order -- the covariance is divided by m - 1 and the variance by m
def observed_order(errors, step_sizes):
    x, y = np.log(np.asarray(step_sizes)), np.log(np.asarray(errors))
    return float(np.cov(x, y)[0, 1] / np.var(x))

# %% wrong: observed_order -- the standard deviation divides, not the variance
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum().sqrt())

# %% wrong: observed_order -- errors and step sizes are sorted each on their own: the pairs are lost
def observed_order(errors, step_sizes):
    return float(np.polyfit(np.log(sorted(step_sizes)), np.log(sorted(errors)), 1)[0])

# %% wrong: observed_order -- a tensor comes back, not a float
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean()
    return (x * y).sum() / (x * x).sum()

# %% wrong: observed_order -- lists are not accepted: they have no log()
def observed_order(errors, step_sizes):
    x, y = step_sizes.log(), errors.log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())

# %% wrong: observed_order -- lists are not accepted: torch.log takes tensors only
def observed_order(errors, step_sizes):
    x, y = torch.log(step_sizes), torch.log(errors)
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())

# %% wrong: observed_order -- nothing comes back: the return is missing
def observed_order(errors, step_sizes):
    float(np.polyfit(np.log(step_sizes), np.log(errors), 1)[0])

# %% wrong: observed_order -- the line is forced through the origin
def observed_order(errors, step_sizes):
    x = torch.log(torch.tensor(step_sizes))
    y = torch.log(torch.tensor(errors))
    return (x @ y / (x @ x)).item()

# %% wrong: observed_order -- lists are not accepted: torch.log takes tensors only
def observed_order(errors, step_sizes):
    x, y = torch.log(step_sizes), torch.log(errors)
    return float(((x - x.mean()) * (y - y.mean())).mean() / x.var())

# %% wrong: observed_order -- the covariance is divided by m and the variance by m - 1
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    return float(((x - x.mean()) * (y - y.mean())).mean() / x.var())

# %% right: observed_order -- a NumPy number, which is a float too
def observed_order(errors, step_sizes):
    return np.polyfit(np.log(np.array(step_sizes)), np.log(np.array(errors)), 1)[0]

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

# %% right: observed_order -- logarithms to base 2, a matrix with a column of ones
def observed_order(errors, step_sizes):
    x = torch.as_tensor(step_sizes).double().log2()
    y = torch.as_tensor(errors).double().log2()
    A = torch.stack([x, torch.ones_like(x)], dim=1)
    return torch.linalg.lstsq(A, y[:, None]).solution[0].item()

# %% right: observed_order -- in float32
def observed_order(errors, step_sizes):
    x, y = (torch.log(torch.as_tensor(v).float()) for v in (step_sizes, errors))
    return float(((x - x.mean()) * y).sum() / (x - x.mean()).square().sum())

# %% wrong: predict_proba -- softmax of a single column is always one
def predict_proba(Y, W, mu):
    return torch.softmax(Y @ W + mu, dim=1)

# %% wrong: predict_proba -- the logistic function is used for each of several columns
def predict_proba(Y, W, mu):
    return torch.sigmoid(Y @ W + mu)

# %% wrong: predict_proba -- the logistic function of each column is divided by its sum: that is not softmax
def predict_proba(Y, W, mu):
    P = torch.sigmoid(Y @ W + mu)
    return P if W.shape[1] == 1 else P / P.sum(dim=1, keepdim=True)

# %% wrong: predict_proba -- each column is normalised instead of each row
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=0)

# %% wrong: predict_proba -- one softmax over all entries, samples and all
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return torch.sigmoid(scores)
    return torch.softmax(scores.flatten(), dim=0).view_as(scores)

# %% wrong: predict_proba -- one softmax over all entries, samples and all
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return torch.sigmoid(scores)
    e = torch.exp(scores - scores.max())
    return e / e.sum()

# %% wrong: predict_proba -- the sum over the classes has lost its axis: keepdim is missing
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return torch.sigmoid(scores)
    e = torch.exp(scores - scores.max())
    return e / e.sum(dim=1)

# %% wrong: predict_proba -- the exponentials of large scores overflow
def predict_proba(Y, W, mu):
    e = torch.exp(Y @ W + mu)
    return e / (1 + e) if W.shape[1] == 1 else e / e.sum(dim=1, keepdim=True)

# %% wrong: predict_proba -- the exponential of a large score overflows, for one column
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    e = torch.exp(scores)
    return e / (1 + e) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the exponentials of large scores overflow, for several columns
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    e = torch.exp(scores)
    return torch.sigmoid(scores) if W.shape[1] == 1 else e / e.sum(dim=1, keepdim=True)

# %% wrong: predict_proba -- the exponentials of large scores overflow, for several columns
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return 1 / (1 + torch.exp(-scores))
    return torch.exp(scores) / torch.exp(scores).sum(dim=1, keepdim=True)

# %% wrong: predict_proba -- the offset is missing
def predict_proba(Y, W, mu):
    scores = Y @ W
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the offset is subtracted
def predict_proba(Y, W, mu):
    scores = Y @ W - mu
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the offset is added to the probabilities, not to the scores
def predict_proba(Y, W, mu):
    scores = Y @ W
    return (torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)) + mu

# %% wrong: predict_proba -- the sign of the scores is turned, for one column
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(-scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the scores come back, not probabilities
def predict_proba(Y, W, mu):
    return Y @ W + mu

# %% wrong: predict_proba -- the scores of one column come back, not probabilities
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return scores if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- one column has lost its axis
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(scores)[:, 0] if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- one column has lost its axis
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return torch.sigmoid(scores).squeeze()
    return torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- two columns come back for one, one for each class
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        return torch.cat([1 - P, P], dim=1)
    return torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- two columns come back for one, one for each class
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        return torch.cat([P, 1 - P], dim=1)
    return torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the class comes back as 0 or 1, not its probability
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return (scores > 0).to(Y) if W.shape[1] == 1 else torch.eye(W.shape[1]).to(Y)[scores.argmax(1)]

# %% wrong: predict_proba -- the number of the likeliest class comes back, not probabilities
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(scores) if W.shape[1] == 1 else scores.argmax(dim=1)

# %% wrong: predict_proba -- the logarithm of the probabilities comes back
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return torch.nn.functional.logsigmoid(scores)
    return torch.log_softmax(scores, dim=1)

# %% wrong: predict_proba -- the logarithm of the probabilities comes back, for several columns
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.log_softmax(scores, dim=1)

# %% wrong: predict_proba -- the number of features decides between the formulas, not the columns of W
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(scores) if W.shape[0] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the number of samples decides between the formulas, not the columns of W
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.sigmoid(scores) if scores.shape[0] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- W is transposed
def predict_proba(Y, W, mu):
    scores = Y @ W.T + mu
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the two formulas are exchanged
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    return torch.softmax(scores, dim=1) if W.shape[1] == 1 else torch.sigmoid(scores)

# %% wrong: predict_proba -- large scores are cut off, so that sure answers are less sure
def predict_proba(Y, W, mu):
    scores = (Y @ W + mu).clamp(-10, 10)
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the gradient is cut
def predict_proba(Y, W, mu):
    scores = (Y @ W + mu).detach()
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- nothing comes back for several columns: a return is missing
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return torch.sigmoid(scores)
    torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- one softmax over all entries, samples and all
def predict_proba(Y, W, mu):
    S = Y @ W + mu
    if S.shape[1] == 1:
        return torch.sigmoid(S)
    E = torch.exp(S)
    return E / E.sum()

# %% wrong: predict_proba -- softmax runs over the samples, of one column too: dim=0
def predict_proba(Y, W, mu):
    return torch.softmax(Y @ W + mu, dim=0)

# %% wrong: predict_proba -- the offset is added to W, not to the scores
def predict_proba(Y, W, mu):
    scores = Y @ (W + mu)
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)

# %% wrong: predict_proba -- the largest score is subtracted in the denominator only
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if W.shape[1] == 1:
        return torch.sigmoid(scores)
    m = scores.max(dim=1, keepdim=True).values
    return torch.exp(scores) / torch.exp(scores - m).sum(dim=1, keepdim=True)

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

# %% right: predict_proba -- 1 / (1 + exp(-x)), whose overflow does no harm
def predict_proba(Y, W, mu):
    scores = Y @ W + mu
    if len(mu) == 1:
        return 1 / (1 + torch.exp(-scores))
    return torch.nn.Softmax(dim=-1)(scores)

# %% wrong: objective -- S is not divided by the number of samples
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C, reduction="sum") + alpha * R

# %% wrong: objective -- S is divided by the number of classes too
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(scores, C) + alpha * R
    return -(C * F.log_softmax(scores, dim=1)).mean() + alpha * R

# %% wrong: objective -- b is left out of the smoothness
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = K.diff(dim=0).square().sum() / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- K is left out of the smoothness
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = b.diff().square().sum() / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- h multiplies the smoothness instead of dividing it
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) * h / 2
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the factor 1 / (2 h) of the smoothness is missing
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = K.diff(dim=0).square().sum() + b.diff().square().sum()
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the factor 1/2 of the smoothness is missing
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / h
    return loss(scores, C) + alpha * R

# %% wrong: objective -- h is missing in the smoothness
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / 2
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the smoothness is divided by h once too often
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = ((K.diff(dim=0) / h).square().sum() + (b.diff() / h).square().sum()) / 2
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the factor 1 / (2 h) covers only one of the two sums
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = K.diff(dim=0).square().sum() / (2 * h) + b.diff().square().sum()
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the factor 1 / (2 h) covers only one of the two sums
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = K.diff(dim=0).square().sum() + b.diff().square().sum() / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the factor 1/2 covers the sum of K only
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = K.diff(dim=0).square().sum() / (2 * h) + b.diff().square().sum() / h
    return loss(scores, C) + alpha * R

# %% wrong: objective -- it is weight decay: the weights are squared, not their differences
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = 0.5 * (K.square().sum() + b.square().sum())
    return loss(scores, C) + alpha * R

# %% wrong: objective -- it is weight decay: the weights are squared, not their differences
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.square().sum() + b.square().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the norms of the differences are not squared
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (torch.linalg.matrix_norm(K[1:] - K[:-1]).sum() + (b[1:] - b[:-1]).abs().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the norm of the differences is not squared
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).norm() + b.diff().norm()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- absolute values are summed, not squares
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).abs().sum() + b.diff().abs().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the differences are summed without being squared
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).sum() + b.diff().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the largest singular value stands where the Frobenius norm should
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (torch.linalg.matrix_norm(K.diff(dim=0), 2).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the squared differences are averaged, not summed
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().mean() + b.diff().square().mean()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the squared differences are averaged over the layers, not summed
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h) / (len(K) - 1)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the differences are taken inside each matrix, not between layers: diff needs dim=0
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff().square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the first layer is compared with the last one too
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = ((K - K.roll(1, 0)).square().sum() + (b - b.roll(1)).square().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the first layer's own weights count as a difference
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0, prepend=0 * K[:1]).square().sum() + b.diff(prepend=0 * b[:1]).square().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- layers two apart are compared, not neighbours
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = ((K[2:] - K[:-2]).square().sum() + (b[2:] - b[:-2]).square().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- only the first difference counts: one pair is missing
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = 0.0
    for j in range(1, len(K) - 1):
        R = R + ((K[j] - K[j - 1]).square().sum() + (b[j] - b[j - 1]).square()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- h multiplies the smoothness instead of dividing it
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / 2 * h
    return loss(scores, C) + alpha * R

# %% wrong: objective -- alpha is missing
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C) + R

# %% wrong: objective -- alpha multiplies S, not R
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return alpha * loss(scores, C) + R

# %% wrong: objective -- alpha multiplies both terms
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return alpha * (loss(scores, C) + R)

# %% wrong: objective -- the smoothness is subtracted
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C) - alpha * R

# %% wrong: objective -- the smoothness is missing
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C)

# %% wrong: objective -- the smoothness is divided by the number of samples too
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return (loss(scores, C, reduction="sum") + alpha * R) / len(Y)

# %% wrong: objective -- the offset mu is missing
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- it is the squared distance, not the cross-entropy
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    P = torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, 1)
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return 0.5 * (P - C).square().sum() / len(Y) + alpha * R

# %% wrong: objective -- it is the squared distance, not the cross-entropy
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    P = torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, 1)
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return torch.nn.functional.mse_loss(P, C) + alpha * R

# %% wrong: objective -- it takes the logarithm of a probability that was rounded to 0
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        S = -(C * P.log() + (1 - C) * (1 - P).log()).sum()
    else:
        P = torch.softmax(scores, 1)
        S = -(C * P.log()).sum()
    return S / len(Y) + alpha * R

# %% wrong: objective -- it takes the logarithm of a probability that was rounded to 0, for several columns
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(scores, C) + alpha * R
    return -(C * torch.softmax(scores, 1).log()).sum() / len(Y) + alpha * R

# %% wrong: objective -- it takes the logarithm of a probability that was rounded to 0, for one column
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        return -(C * P.log() + (1 - C) * (1 - P).log()).mean() + alpha * R
    return F.cross_entropy(scores, C) + alpha * R

# %% wrong: objective -- it takes the logarithm of a probability that was rounded to 0, for one column
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy(torch.sigmoid(scores), C) + alpha * R
    return F.cross_entropy(scores, C) + alpha * R

# %% wrong: objective -- a small number inside the logarithm limits the loss of large scores
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        S = -(C * (P + 1e-12).log() + (1 - C) * (1 - P + 1e-12).log()).sum()
    else:
        P = torch.softmax(scores, 1)
        S = -(C * (P + 1e-12).log()).sum()
    return S / len(Y) + alpha * R

# %% wrong: objective -- a small number inside the logarithm limits the loss of large scores
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        S = -(C * (P + 1e-10).log() + (1 - C) * (1 - P + 1e-10).log()).sum()
    else:
        P = torch.softmax(scores, 1)
        S = -(C * (P + 1e-10).log()).sum()
    return S / len(Y) + alpha * R

# %% wrong: objective -- a small number inside the logarithm limits the loss of large scores
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        S = -(C * (P + 1e-8).log() + (1 - C) * (1 - P + 1e-8).log()).sum()
    else:
        P = torch.softmax(scores, 1)
        S = -(C * (P + 1e-8).log()).sum()
    return S / len(Y) + alpha * R

# %% wrong: objective -- a small number inside the logarithm limits the loss of large scores
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        S = -(C * (P + 1e-7).log() + (1 - C) * (1 - P + 1e-7).log()).sum()
    else:
        P = torch.softmax(scores, 1)
        S = -(C * (P + 1e-7).log()).sum()
    return S / len(Y) + alpha * R

# %% wrong: objective -- a small number inside the logarithm limits the loss of large scores
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        P = torch.sigmoid(scores)
        S = -(C * P.clamp(min=1e-12).log() + (1 - C) * (1 - P).clamp(min=1e-12).log()).sum()
    else:
        P = torch.softmax(scores, 1)
        S = -(C * P.clamp(min=1e-12).log()).sum()
    return S / len(Y) + alpha * R

# %% wrong: objective -- softmax acts twice: cross_entropy wants the scores
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(scores, C) + alpha * R
    return F.cross_entropy(torch.softmax(scores, dim=1), C) + alpha * R

# %% wrong: objective -- the logistic function acts twice: binary_cross_entropy_with_logits wants the scores
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(torch.sigmoid(scores), C) + alpha * R
    return F.cross_entropy(scores, C) + alpha * R

# %% wrong: objective -- softmax and the logistic function act twice: the losses want the scores
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    P = torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)
    return loss(P, C) + alpha * R

# %% wrong: objective -- for one column the half of class zero, (1 - C) log(1 - P), is missing
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return -(C * F.logsigmoid(scores)).mean() + alpha * R
    return F.cross_entropy(scores, C) + alpha * R

# %% wrong: objective -- softmax of a single column is always one, and its logarithm zero
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return F.cross_entropy(scores, C) + alpha * R

# %% wrong: objective -- the logistic loss is used for each of several columns
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return F.binary_cross_entropy_with_logits(scores, C) + alpha * R

# %% wrong: objective -- the logistic loss is used for each of several columns
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return F.binary_cross_entropy_with_logits(scores, C, reduction="sum") / len(Y) + alpha * R

# %% wrong: objective -- only the likeliest class of each row of C counts
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(scores, C) + alpha * R
    return F.cross_entropy(scores, C.argmax(dim=1)) + alpha * R

# %% wrong: objective -- the labels of one column are rounded to 0 or 1
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        C = (C > 0.5).to(Y)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- (s,) and (s, 1) are broadcast to (s, s): every sample meets every label
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        p = scores[:, 0]
        return -(C * F.logsigmoid(p) + (1 - C) * F.logsigmoid(-p)).mean() + alpha * R
    return F.cross_entropy(scores, C) + alpha * R

# %% wrong: objective -- the sign of the cross-entropy is turned
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return -loss(scores, C) + alpha * R

# %% wrong: objective -- the number is taken out of its tensor: no gradient is left
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return (loss(scores, C) + alpha * R).item()

# %% wrong: objective -- the number is taken out of its tensor: no gradient is left
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return float(loss(scores, C) + alpha * R)

# %% wrong: objective -- the smoothness is taken out of its tensor: its gradient is lost
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C) + alpha * R.item()

# %% wrong: objective -- the two terms come back one by one, not their sum
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return (loss(scores, C), alpha * R)

# %% wrong: objective -- nothing comes back: the return is missing
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    loss(scores, C) + alpha * R

# %% wrong: objective -- S is divided by s twice: both losses average already
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C) / len(Y) + alpha * R

# %% wrong: objective -- the smoothness is divided by h once too often
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h * h)
    return loss(scores, C) + alpha * R

# %% wrong: objective -- the factor 1/2 is counted twice
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    loss = F.binary_cross_entropy_with_logits if W.shape[1] == 1 else F.cross_entropy
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return loss(scores, C) + alpha / 2 * R

# %% wrong: objective -- the axis of the scores is dropped and that of the labels is not
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(scores.squeeze(), C) + alpha * R
    return F.cross_entropy(scores, C) + alpha * R

# %% wrong: objective -- an axis is left: the sum of C log P runs over the classes only
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(scores, C) + alpha * R
    return -(C * F.log_softmax(scores, dim=1)).sum(dim=1) / len(Y) + alpha * R

# %% wrong: objective -- the cross-entropy's probabilities and labels are exchanged
def objective(Y, W, mu, C, K, b, h, alpha):
    import torch.nn.functional as F
    scores = Y @ W + mu
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    if W.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(scores, C) + alpha * R
    return F.cross_entropy(C, torch.softmax(scores, 1)) + alpha * R

# %% wrong: objective -- it is the squared distance, not the cross-entropy
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    P = torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, 1)
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return ((P - C) ** 2).sum() / len(Y) + alpha * R

# %% wrong: objective -- it is the squared distance, not the cross-entropy
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    P = torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, 1)
    R = (K.diff(dim=0).square().sum() + b.diff().square().sum()) / (2 * h)
    return 0.5 * ((P - C) ** 2).sum() + alpha * R

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

# %% right: objective -- with loss modules, the integral of the squared derivative
def objective(Y, W, mu, C, K, b, h, alpha):
    scores = Y @ W + mu
    loss = torch.nn.BCEWithLogitsLoss() if C.shape[1] == 1 else torch.nn.CrossEntropyLoss()
    dK, db = (K[1:] - K[:-1]) / h, (b[1:] - b[:-1]) / h
    R = 0.5 * h * (torch.sum(dK * dK) + torch.dot(db, db))
    return loss(scores, C) + alpha * R

# %% wrong: block_coordinate_descent -- only the classifier learns
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    Y = resnet.propagate(Y0, K, b, h)[-1]
    loss = lambda W, mu: resnet.objective(Y, W, mu, C, K, b, h, alpha)
    history = [loss(W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(loss, (W, mu))
        history += [loss(W, mu).item()] * 2
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- only the propagation learns
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history += [full(K, b, W, mu).item()] * 2
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- in every sweep W and mu are fitted to the features of the start
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

# %% wrong: block_coordinate_descent -- K and b are learned first
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

# %% wrong: block_coordinate_descent -- the value at the start is not recorded
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = []
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- values are recorded before each half-step, and the last one is missing
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = []
    for _ in range(n_sweeps):
        history.append(full(K, b, W, mu).item())
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- only the last value is recorded
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
    return K, b, W, mu, [full(K, b, W, mu).item()]

# %% wrong: block_coordinate_descent -- the start is recorded anew in each sweep
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = []
    for _ in range(n_sweeps):
        history.append(full(K, b, W, mu).item())
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- plain gradient steps of a fixed length stand where optimise.minimise should
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

# %% wrong: block_coordinate_descent -- mu is not learned
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        (W,) = optimise.minimise(lambda W: full(K, b, W, mu), (W,))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the given tensors are overwritten
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        new_W, new_mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        W.copy_(new_W), mu.copy_(new_mu)
        history.append(full(K, b, W, mu).item())
        new_K, new_b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        K.copy_(new_K), b.copy_(new_b)
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the second half-step does not propagate inside its loss: the features stay fixed
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        Y = resnet.propagate(Y0, K, b, h)[-1]
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: resnet.objective(Y, W, mu, C, K, b, h, alpha), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the second half-step does not propagate inside its loss: the features stay fixed
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    Y = resnet.propagate(Y0, K, b, h)[-1]
    history = [float(resnet.objective(Y, W, mu, C, K, b, h, alpha))]
    for _ in range(n_sweeps):
        Y = resnet.propagate(Y0, K, b, h)[-1]
        W, mu = optimise.minimise(lambda W, mu: resnet.objective(Y, W, mu, C, K, b, h, alpha), (W, mu))
        history.append(float(resnet.objective(Y, W, mu, C, K, b, h, alpha)))
        K, b = optimise.minimise(lambda K, b: resnet.objective(Y, W, mu, C, K, b, h, alpha), (K, b))
        history.append(float(resnet.objective(Y, W, mu, C, K, b, h, alpha)))
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the features are propagated once only, before the first sweep
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    Y = resnet.propagate(Y0, K, b, h)[-1]
    full = lambda K, b, W, mu: resnet.objective(Y, W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- all four are learned at once in every half-step
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(2 * n_sweeps):
        K, b, W, mu = optimise.minimise(full, (K, b, W, mu))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- n_sweeps counts half-steps, not pairs of them
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for turn in range(n_sweeps):
        if turn % 2 == 0:
            W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        else:
            K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the return stands inside the loop: it ends after one sweep
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
        return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- there is one sweep too few
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(1, n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- W and mu come back before K and b
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return W, mu, K, b, history

# %% wrong: block_coordinate_descent -- the history comes back first
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return history, K, b, W, mu

# %% wrong: block_coordinate_descent -- the history is missing in what comes back
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu

# %% wrong: block_coordinate_descent -- the history holds tensors, not floats
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu)]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu))
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu))
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the history is a tensor, not a list of floats
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, torch.tensor(history)

# %% wrong: block_coordinate_descent -- the history leaves the smoothness out
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    value = lambda: resnet.objective(resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, 0.0).item()
    history = [value()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(value())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(value())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the smoothness is left out of what is minimised
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    misfit = lambda K, b, W, mu: resnet.objective(resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, 0.0)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: misfit(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: misfit(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the step size is left out of the propagation
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, 1.0)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the second half-step still uses the old W and mu
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        new_W, new_mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, new_W, new_mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        W, mu = new_W, new_mu
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- each sweep starts at the given K and b again
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    K0, b0 = K, b
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K0, b0))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- what optimise.minimise returns is not used: the variables stay as they were
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the classifier reads all stages, not the last one alone
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h), W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- the loss is called, not handed over: optimise.minimise wants a function
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- optimise.minimise wants the variables as one tuple
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), W, mu)
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), K, b)
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- nothing comes back: the return is missing
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())

# %% wrong: block_coordinate_descent -- the classifier reads the input, not the features
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(Y0, W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- in every sweep W and mu are fitted to the features of the start
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
    for _ in range(n_sweeps):
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- h and alpha are exchanged in the objective
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, alpha, h)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return K, b, W, mu, history

# %% wrong: block_coordinate_descent -- each sweep records a list, where single values are wanted
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        first = full(K, b, W, mu).item()
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append([first, full(K, b, W, mu).item()])
    return K, b, W, mu, history

# %% right: block_coordinate_descent -- one function for both losses
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    full = lambda K, b, W, mu: resnet.objective(
        resnet.propagate(Y0, K, b, h)[-1], W, mu, C, K, b, h, alpha)
    history = [full(K, b, W, mu).item()]
    for _ in range(n_sweeps):
        W, mu = optimise.minimise(lambda W, mu: full(K, b, W, mu), (W, mu))
        history.append(full(K, b, W, mu).item())
        K, b = optimise.minimise(lambda K, b: full(K, b, W, mu), (K, b))
        history.append(full(K, b, W, mu).item())
    return [K, b, W, mu, history]

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

# %% right: block_coordinate_descent -- the objective written out, a dict of variables
def block_coordinate_descent(Y0, C, K, b, W, mu, h, alpha, n_sweeps):
    now = {"K": K, "b": b, "W": W, "mu": mu}

    def value(**changed):
        v = now | changed
        Y = Y0
        for K_j, b_j in zip(v["K"], v["b"]):
            Y = Y + h * torch.tanh(Y @ K_j + b_j)
        scores = Y @ v["W"] + v["mu"]
        if scores.shape[1] == 1:
            S = torch.nn.functional.binary_cross_entropy_with_logits(scores, C)
        else:
            S = torch.nn.functional.cross_entropy(scores, C)
        return S + alpha * (v["K"].diff(dim=0).square().sum() + v["b"].diff().square().sum()) / (2 * h)

    history = [float(value())]
    for turn in range(2 * n_sweeps):
        names = ("W", "mu") if turn % 2 == 0 else ("K", "b")
        loss = lambda *block: value(**dict(zip(names, block)))
        now |= dict(zip(names, optimise.minimise(loss, [now[name] for name in names])))
        history.append(float(value()))
    return now["K"], now["b"], now["W"], now["mu"], history
