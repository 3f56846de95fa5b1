# %% wrong: fixed_point_inverse -- the first guess is zero
def fixed_point_inverse(residual, y, n_iter):
    x = torch.zeros_like(y)
    for _ in range(n_iter):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- F is subtracted
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y - residual(x)
    return x


# %% wrong: fixed_point_inverse -- F is added to the last guess
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = x + residual(x)
    return x


# %% wrong: fixed_point_inverse -- one iteration too many
def fixed_point_inverse(residual, y, n_iter):
    x = y + residual(y)
    for _ in range(n_iter):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- always a hundred iterations
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(100):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- y is changed in place
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y.add_(residual(x))
    return x


# %% right: fixed_point_inverse -- by recursion
def fixed_point_inverse(residual, y, n_iter):
    if n_iter == 0:
        return y
    return torch.add(residual(fixed_point_inverse(residual, y, n_iter - 1)), y)


# %% right: fixed_point_inverse -- a while loop on a copy
def fixed_point_inverse(residual, y, n_iter):
    guess, left = y.clone(), n_iter
    while left > 0:
        guess = residual(guess) + y
        left -= 1
    return guess


# %% wrong: iterations_needed -- rounded down
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("rho")
    if residual_norm <= eps:
        return 0
    return math.floor(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the norm of F(x) is not used
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("rho")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps) / math.log(rho))


# %% wrong: iterations_needed -- no contraction is asked for
def iterations_needed(residual_norm, rho, eps):
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- negative when there is nothing to do
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("rho")
    return math.ceil(math.log(eps / max(residual_norm, 1e-300)) / math.log(rho))


# %% wrong: iterations_needed -- the logarithm of F(x) = 0
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("rho")
    return max(0, math.ceil((math.log(eps) - math.log(residual_norm)) / math.log(rho)))


# %% wrong: iterations_needed -- the a-posteriori factor 1 / (1 - rho) is put in
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("rho")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps * (1 - rho) / residual_norm) / math.log(rho))


# %% right: iterations_needed -- counting
def iterations_needed(residual_norm, rho, eps):
    if rho <= 0 or rho >= 1:
        raise ValueError("no contraction")
    k = 0
    while rho**k * residual_norm > eps:
        k += 1
    return k


# %% right: iterations_needed -- logarithms to the base of rho, clamped
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm == 0:
        return 0
    return max(0, math.ceil(math.log(eps / residual_norm, rho)))


# %% wrong: circular_conv_norm -- the length of the vector
def circular_conv_norm(x):
    return x.norm()


# %% wrong: circular_conv_norm -- the sum of the moduli
def circular_conv_norm(x):
    return x.abs().sum()


# %% wrong: circular_conv_norm -- a normalised transform
def circular_conv_norm(x):
    return torch.fft.fft(x, norm="ortho").abs().max()


# %% wrong: circular_conv_norm -- the real part
def circular_conv_norm(x):
    return torch.fft.fft(x).real.max()


# %% wrong: circular_conv_norm -- the frequency zero only
def circular_conv_norm(x):
    return x.sum().abs()


# %% wrong: circular_conv_norm -- the mean over the frequencies
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().mean()


# %% right: circular_conv_norm -- the explicit circulant matrix
def circular_conv_norm(x):
    matrix = torch.stack([x.roll(i) for i in range(len(x))], dim=1)
    return torch.linalg.svdvals(matrix)[0]


# %% right: circular_conv_norm -- a sum over waves, a float
def circular_conv_norm(x):
    N = len(x)
    m = torch.arange(N)
    moduli = []
    for omega in range(N):
        wave = torch.exp(-2j * math.pi * omega * m / N)
        moduli.append((x.to(wave.dtype) * wave).sum().abs().item())
    if x.dtype == torch.float64:
        moduli = torch.fft.rfft(x).abs().tolist()
    return max(moduli)


# %% wrong: conv_norm -- the grid of the image for zero padding
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    return iresnet.conv_norm(weight, image_size, "circular")


# %% wrong: conv_norm -- the larger grid for circular padding, too
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    return iresnet.conv_norm(weight, image_size, "zeros")


# %% wrong: conv_norm -- the largest entry instead of the largest singular value
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    n = image_size if padding == "circular" else image_size + weight.shape[-1] - 1
    return torch.fft.fft2(weight, s=(n, n)).abs().max()


# %% wrong: conv_norm -- the Frobenius norm
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    n = image_size if padding == "circular" else image_size + weight.shape[-1] - 1
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols).max()


# %% wrong: conv_norm -- matrices of frequencies
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    n = image_size if padding == "circular" else image_size + weight.shape[-1] - 1
    return torch.linalg.matrix_norm(torch.fft.fft2(weight, s=(n, n)), 2).max()


# %% wrong: conv_norm -- the reshaped kernel
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    return torch.linalg.matrix_norm(weight.flatten(1), 2)


# %% wrong: conv_norm -- the reshaped kernel times its width, a bound that is too crude
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    return weight.shape[-1] * torch.linalg.matrix_norm(weight.flatten(1), 2)


# %% wrong: conv_norm -- the transform over the wrong axes
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    n = image_size if padding == "circular" else image_size + weight.shape[-1] - 1
    symbols = torch.fft.fft2(weight, s=(n, n), dim=(0, 1))
    return torch.linalg.svdvals(symbols.permute(0, 1, 2, 3)).max()


# %% wrong: conv_norm -- five power iterations, a lower bound
def conv_norm(weight, image_size, padding):
    if padding not in ("circular", "zeros"):
        raise ValueError(padding)
    k = weight.shape[-1]
    conv = torch.nn.Conv2d(
        weight.shape[1], weight.shape[0], k, padding=k // 2, padding_mode=padding
    )
    conv.weight = torch.nn.Parameter(weight)
    generator = torch.Generator().manual_seed(0)
    return iresnet.power_iteration_norm(conv, image_size, 5, generator)


# %% wrong: conv_norm -- any padding is accepted
def conv_norm(weight, image_size, padding):
    n = image_size if padding == "circular" else image_size + weight.shape[-1] - 1
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% right: conv_norm -- half of the frequencies, Gram matrices
def conv_norm(weight, image_size, padding):
    grids = {"circular": image_size, "zeros": image_size + weight.size(-1) - 1}
    if padding not in grids:
        raise ValueError(f"no padding {padding}")
    n = grids[padding]
    symbols = torch.fft.rfftn(weight, s=(n, n), dim=(2, 3))
    gram = torch.einsum("oihw,pihw->hwop", symbols, symbols.conj())
    return torch.linalg.eigvalsh(gram)[..., -1].max().sqrt()


# %% right: conv_norm -- frequency by frequency, padded by hand, the smallest safe grid
def conv_norm(weight, image_size, padding):
    k = weight.shape[-1]
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = max(image_size + k // 2, k)
    else:
        raise ValueError(f"no padding {padding}")
    padded = torch.nn.functional.pad(weight, (0, n - k, 0, n - k))
    symbols = torch.fft.fft2(padded)
    norm = 0.0
    for i in range(n):
        for j in range(n):
            norm = max(norm, torch.linalg.svdvals(symbols[:, :, i, j])[0].item())
    return norm


# %% right: conv_norm -- a fine grid, close to the supremum over all frequencies
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = 4 * (image_size + weight.shape[-1])
    else:
        raise ValueError(f"no padding {padding}")
    symbols = torch.fft.fft2(weight, s=(n, n)).flatten(2).movedim(2, 0)
    return torch.linalg.matrix_norm(symbols, ord=2).amax()


# %% wrong: normalize_ -- weak kernels are scaled up
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- a new parameter
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight = torch.nn.Parameter(conv.weight.data * rho / norm)
    return conv


# %% wrong: normalize_ -- rho is missing
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.div_(norm)
    return conv


# %% wrong: normalize_ -- always the norm of circular padding
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, "circular")
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- in autograd's graph
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- the bias is scaled, too
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
        conv.bias.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- nothing is returned
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)


# %% wrong: normalize_ -- the norm of the reshaped kernel
def normalize_(conv, rho, image_size):
    norm = iresnet.reshaped_kernel_norm(conv.weight.data)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% right: normalize_ -- a clamped factor, the data replaced
def normalize_(conv, rho, image_size):
    weight = conv.weight.detach()
    norm = iresnet.conv_norm(weight, image_size, conv.padding_mode)
    conv.weight.data = weight * torch.clamp(rho / norm, max=1.0)
    return conv


# %% right: normalize_ -- with a copy, in the inference of a float
def normalize_(conv, rho, image_size):
    with torch.no_grad():
        norm = float(iresnet.conv_norm(conv.weight, image_size, conv.padding_mode))
        factor = min(1.0, rho / norm)
        conv.weight.copy_(factor * conv.weight)
    return conv


# %% wrong: iresnet -- the residual is added
class InvertibleResidual(iresnet.InvertibleResidual):
    def forward(self, x):
        return x + self.residual(x)


class iResNet(iresnet.iResNet):
    def __init__(self):
        super().__init__()
        for name in ("conv1", "conv2", "conv3", "conv4"):
            setattr(self, name, InvertibleResidual())


# %% wrong: iresnet -- the inverse takes the layers in the forward order
InvertibleResidual = iresnet.InvertibleResidual


class iResNet(iresnet.iResNet):
    def inverse(self, x, n_iter=100):
        for layer in self.layers:
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- rho is not handed on
InvertibleResidual = iresnet.InvertibleResidual


class iResNet(iresnet.iResNet):
    def normalize(self, rho=0.9):
        return super().normalize()


# %% wrong: iresnet -- only the first layer is normalised
InvertibleResidual = iresnet.InvertibleResidual


class iResNet(iresnet.iResNet):
    def normalize(self, rho=0.9):
        self.conv1.normalize(rho)
        return self


# %% wrong: iresnet -- every layer is scaled, also weak ones
class InvertibleResidual(iresnet.InvertibleResidual):
    def normalize(self, rho=0.9):
        norm = iresnet.conv_norm(self.conv.weight.data, 7, "zeros")
        self.conv.weight.data.mul_(rho / norm)
        return self


class iResNet(iresnet.iResNet):
    def normalize(self, rho=0.9):
        for layer in self.layers:
            norm = iresnet.conv_norm(layer.conv.weight.data, 7, "zeros")
            layer.conv.weight.data.mul_(rho / norm)
        return self


# %% wrong: iresnet -- the fixed point of the whole layer instead of the residual
class InvertibleResidual(iresnet.InvertibleResidual):
    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(self.forward, y, n_iter)


class iResNet(iresnet.iResNet):
    def inverse(self, x, n_iter=100):
        for layer in reversed(self.layers):
            x = iresnet.fixed_point_inverse(layer.forward, x, n_iter)
        return x


# %% wrong: iresnet -- the number of iterations is ignored
InvertibleResidual = iresnet.InvertibleResidual


class iResNet(iresnet.iResNet):
    def inverse(self, x, n_iter=100):
        return super().inverse(x, 100)


# %% wrong: iresnet -- normalize returns nothing
class InvertibleResidual(iresnet.InvertibleResidual):
    def normalize(self, rho=0.9):
        super().normalize(rho)


class iResNet(iresnet.iResNet):
    def normalize(self, rho=0.9):
        super().normalize(rho)


# %% wrong: iresnet -- classif is ignored
InvertibleResidual = iresnet.InvertibleResidual


class iResNet(iresnet.iResNet):
    def forward(self, x, classif=True):
        return super().forward(x)


# %% wrong: iresnet -- the ReLU is missing
class InvertibleResidual(iresnet.InvertibleResidual):
    def residual(self, x):
        return self.conv(x)


class iResNet(iresnet.iResNet):
    def __init__(self):
        super().__init__()
        for name in ("conv1", "conv2", "conv3", "conv4"):
            setattr(self, name, InvertibleResidual())


# %% right: iresnet -- clamp, own loops, layers by name
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding="same")

    def F(self, x):
        return self.conv(x).clamp(min=0)

    def forward(self, x):
        return x - self.F(x)

    def normalize(self, rho=0.9):
        norm = iresnet.conv_norm(self.conv.weight.data, 7, "zeros")
        self.conv.weight.data *= min(1.0, rho / norm.item())
        return self

    def inverse(self, y, n_iter=100):
        x = y.clone()
        for _ in range(n_iter):
            x = self.F(x) + y
        return x


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for j in range(1, 5):
            self.add_module(f"conv{j}", InvertibleResidual())
        self.fc = torch.nn.Linear(784, 10)

    def normalize(self, rho=0.9):
        for module in self.children():
            if isinstance(module, InvertibleResidual):
                module.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for j in range(1, 5):
            x = getattr(self, f"conv{j}")(x)
        if classif:
            x = self.fc(x.reshape(-1, 784))
        return x

    def inverse(self, x, n_iter=100):
        for j in range(4, 0, -1):
            x = getattr(self, f"conv{j}").inverse(x, n_iter)
        return x


# %% right: iresnet -- the constructor of the lab, all in one expression
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return torch.sub(x, torch.nn.functional.relu(self.conv(x)))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho=rho, image_size=7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: x - self(x), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        [
            layer.normalize(rho)
            for layer in (self.conv1, self.conv2, self.conv3, self.conv4)
        ]
        return self

    def forward(self, x, classif=True):
        features = self.conv4(self.conv3(self.conv2(self.conv1(x))))
        return self.fc(torch.flatten(features, 1)) if classif else features

    def inverse(self, x, n_iter=100):
        x = self.conv3.inverse(self.conv4.inverse(x, n_iter), n_iter)
        return self.conv1.inverse(self.conv2.inverse(x, n_iter), n_iter)


# %% wrong: log_det_series -- the sign of the sum
def log_det_series(residual, x, n_terms, noise):
    return -iresnet.log_det_series(residual, x, n_terms, noise)


# %% wrong: log_det_series -- alternating signs, as for x + F(x)
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total + (-1) ** (k + 1) * (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the division by k is missing
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1)
    return total


# %% wrong: log_det_series -- off by one term
def log_det_series(residual, x, n_terms, noise):
    return iresnet.log_det_series(residual, x, n_terms - 1, noise)


# %% wrong: log_det_series -- the noise is drawn anew for each term
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    total = 0
    for k in range(1, n_terms + 1):
        v = w = torch.randn_like(noise)
        for _ in range(k):
            w = vjp(w)[0]
        total = total - (w * v).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- one number for the whole batch
def log_det_series(residual, x, n_terms, noise):
    return iresnet.log_det_series(residual, x, n_terms, noise).sum()


# %% wrong: log_det_series -- only the last axis of an image is summed
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).sum(-1) / k
    return total


# %% wrong: log_det_series -- the power of J stays one
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    total = 0
    for k in range(1, n_terms + 1):
        total = total - (vjp(noise)[0] * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- no gradients flow through it
def log_det_series(residual, x, n_terms, noise):
    return iresnet.log_det_series(residual, x, n_terms, noise).detach()


# %% wrong: log_det_series -- the layer x - F(x) is taken for F
def log_det_series(residual, x, n_terms, noise):
    return iresnet.log_det_series(lambda x: x - residual(x), x, n_terms, noise)


# %% right: log_det_series -- Jacobian-vector products, forward
def log_det_series(residual, x, n_terms, noise):
    w = noise
    total = torch.zeros(len(x), dtype=x.dtype)
    for k in range(1, n_terms + 1):
        w = torch.func.jvp(residual, (x,), (w,))[1]
        total = total - torch.einsum("sd,sd->s", w.flatten(1), noise.flatten(1)) / k
    return total


# %% right: log_det_series -- autograd.grad with a graph for each term
def log_det_series(residual, x, n_terms, noise):
    x = x.clone().requires_grad_()
    value = residual(x)
    terms, w = [], noise
    for k in range(1, n_terms + 1):
        w = torch.autograd.grad(value, x, w, retain_graph=True, create_graph=True)[0]
        terms.append((w * noise).reshape(len(x), -1).sum(dim=1) / k)
    return -torch.stack(terms).sum(dim=0)
