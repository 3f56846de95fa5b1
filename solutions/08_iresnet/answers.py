# Named answers to the exercises of notebook 08: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.


# %% wrong: fixed_point_inverse -- the first guess is 0 instead of y
def fixed_point_inverse(residual, y, n_iter):
    x = torch.zeros_like(y)
    for _ in range(n_iter):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- the first guess is 1 instead of y
def fixed_point_inverse(residual, y, n_iter):
    x = torch.ones_like(y)
    for _ in range(n_iter):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- F is subtracted
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y - residual(x)
    return x


# %% wrong: fixed_point_inverse -- F is added to the last guess instead of y
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = x + residual(x)
    return x


# %% wrong: fixed_point_inverse -- F is added to the last guess instead of y
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        y = y + residual(y)
    return y


# %% wrong: fixed_point_inverse -- F is subtracted from the last guess: the layer is applied once more instead of undone
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = x - residual(x)
    return x


# %% wrong: fixed_point_inverse -- one iteration too many is made
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter + 1):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- one iteration too many is made
def fixed_point_inverse(residual, y, n_iter):
    x = y + residual(y)
    for _ in range(n_iter):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- one iteration too few is made
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(1, n_iter):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- one iteration is made, whatever is asked
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y + residual(x)
        return x
    return x


# %% wrong: fixed_point_inverse -- one iteration is made, whatever is asked
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y + residual(y)
    return x


# %% wrong: fixed_point_inverse -- a hundred iterations are made, whatever is asked
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(100):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- it stops early, when the guess hardly moves
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        new = y + residual(x)
        if (new - x).norm() < 1e-3:
            break
        x = new
    return x


# %% wrong: fixed_point_inverse -- it stops early, when the guess hardly moves
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        old, x = x, y + residual(x)
        if torch.allclose(old, x, atol=1e-4):
            break
    return x


# %% wrong: fixed_point_inverse -- half of the old guess is kept in each iteration
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = 0.5 * (x + y + residual(x))
    return x


# %% wrong: fixed_point_inverse -- y is missing: only F is iterated
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = residual(x)
    return x


# %% wrong: fixed_point_inverse -- F(x) comes back instead of x
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        value = residual(x)
        x = y + value
    return residual(x)


# %% wrong: fixed_point_inverse -- what is left of the equation, x - F(x), comes back instead of x
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y + residual(x)
    return x - residual(x)


# %% wrong: fixed_point_inverse -- y is changed in place
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y.add_(residual(x))
    return x


# %% wrong: fixed_point_inverse -- y is changed in place
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x += residual(x)
    return x


# %% wrong: fixed_point_inverse -- no gradients are recorded
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = (y + residual(x)).detach()
    return x


# %% wrong: fixed_point_inverse -- the guess is detached before F reads it
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y + residual(x.detach())
    return x


# %% wrong: fixed_point_inverse -- no gradients are recorded
def fixed_point_inverse(residual, y, n_iter):
    with torch.no_grad():
        x = y
        for _ in range(n_iter):
            x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- no gradients are recorded
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y + residual(x)
    return x.detach()


# %% wrong: fixed_point_inverse -- y is cut off from the graph: gradients reach F only
def fixed_point_inverse(residual, y, n_iter):
    y = y.detach()
    x = y
    for _ in range(n_iter):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- all guesses come back, not the last one only
def fixed_point_inverse(residual, y, n_iter):
    x, guesses = y, [y]
    for _ in range(n_iter):
        x = y + residual(x)
        guesses.append(x)
    return guesses


# %% wrong: fixed_point_inverse -- the change in the last iteration comes back
def fixed_point_inverse(residual, y, n_iter):
    x = old = y
    for _ in range(n_iter):
        old, x = x, y + residual(x)
    return x - old


# %% wrong: fixed_point_inverse -- nothing is returned
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y + residual(x)


# %% wrong: fixed_point_inverse -- F is applied once more than there are iterations: the result is thrown away
def fixed_point_inverse(residual, y, n_iter):
    x = y
    for _ in range(n_iter):
        x = y + residual(x)
        residual(x)
    return x


# %% wrong: fixed_point_inverse -- a guess in float32 is iterated
def fixed_point_inverse(residual, y, n_iter):
    x = y.float()
    y = y.float()
    for _ in range(n_iter):
        x = y + residual(x)
    return x


# %% wrong: fixed_point_inverse -- a guess and a step are paired: both are iterated, in turn
def fixed_point_inverse(residual, y, n_iter):
    x = new = y
    for _ in range(n_iter):
        x, new = new, y + residual(x)
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


# %% right: fixed_point_inverse -- folded, a generator of guesses
def fixed_point_inverse(residual, y, n_iter):
    from functools import reduce

    return reduce(lambda x, _: y.add(residual(x)), range(n_iter), y)


# %% wrong: iterations_needed -- the result is rounded down, not up: one iteration too few
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.floor(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the result is rounded down, not up: one iteration too few
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return int(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the result is rounded to the nearest integer
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return round(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the result is not rounded
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.log(eps / residual_norm) / math.log(rho)


# %% wrong: iterations_needed -- the result is a float, not an integer
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return float(math.ceil(math.log(eps / residual_norm) / math.log(rho)))


# %% wrong: iterations_needed -- one is added after rounding up
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho)) + 1


# %% wrong: iterations_needed -- the quotient of the logarithms is turned over
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(rho) / math.log(eps / residual_norm))


# %% wrong: iterations_needed -- one logarithm is natural, the other one has the base 10
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log10(rho))


# %% wrong: iterations_needed -- one logarithm has the base 10, the other one is natural
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log10(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the norm of F(x) is not used
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps) / math.log(rho))


# %% wrong: iterations_needed -- eps is multiplied by the norm of F(x) instead of divided
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps * residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the norm is divided by eps: the result is negative
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(residual_norm / eps) / math.log(rho))


# %% wrong: iterations_needed -- the result is rounded down, not up: one iteration too few
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return abs(math.ceil(math.log(residual_norm / eps) / math.log(rho)))


# %% wrong: iterations_needed -- rho is not checked
def iterations_needed(residual_norm, rho, eps):
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- a rho that is negative or 0 is not refused
def iterations_needed(residual_norm, rho, eps):
    if rho >= 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- rho = 1 is not refused
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho <= 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- rho = 0 is not refused
def iterations_needed(residual_norm, rho, eps):
    if not 0 <= rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- rho of 1 and more is not refused
def iterations_needed(residual_norm, rho, eps):
    if rho <= 0:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- a rho that is no contraction is refused with an AssertionError, not a ValueError
def iterations_needed(residual_norm, rho, eps):
    assert 0 < rho < 1
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the ValueError is returned, not raised
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        return ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- None comes back where rho is no contraction
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        return None
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- rho is checked too late: not where nothing is to be done
def iterations_needed(residual_norm, rho, eps):
    if residual_norm <= eps:
        return 0
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the result is negative where nothing is to be done
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm == 0:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the logarithm of F(x) = 0 is taken
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    return max(0, math.ceil((math.log(eps) - math.log(residual_norm)) / math.log(rho)))


# %% wrong: iterations_needed -- the result is at least 1, also where nothing is to be done
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 1
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the factor 1 / (1 - rho) of the textbook's bound is put in
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps * (1 - rho) / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- 1 - rho stands for rho
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(1 - rho))


# %% wrong: iterations_needed -- one is added after rounding up
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    k = 1
    while rho ** (k - 1) * residual_norm > eps:
        k += 1
    return k


# %% wrong: iterations_needed -- the result is rounded down, not up: one iteration too few
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / math.log(rho)) - 1


# %% wrong: iterations_needed -- the result is rounded down, not up: one iteration too few
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return len([k for k in range(1, 10000) if rho**k * residual_norm > eps])


# %% wrong: iterations_needed -- the norm is squared
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm**2) / math.log(rho))


# %% wrong: iterations_needed -- the squared error is compared with eps: half as many iterations
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / residual_norm) / (2 * math.log(rho)))


# %% wrong: iterations_needed -- rho is multiplied k times to the norm, not its power: k rho instead of rho^k
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(residual_norm / (eps * rho))


# %% wrong: iterations_needed -- nothing is returned
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    k = math.ceil(math.log(eps / residual_norm) / math.log(rho))


# %% wrong: iterations_needed -- the result is rounded down, not up: one iteration too few
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("no contraction")
    if residual_norm <= eps:
        return 0
    return math.ceil(math.log(eps / (rho * residual_norm)) / math.log(rho))


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


# %% right: iterations_needed -- a negated floor, log2
def iterations_needed(residual_norm, rho, eps):
    if rho < 1 and rho > 0:
        return -math.floor(math.log2(max(residual_norm, eps) / eps) / math.log2(rho))
    raise ValueError(f"rho = {rho}")


# %% right: iterations_needed -- the error shrinks step by step
def iterations_needed(residual_norm, rho, eps):
    if not (rho > 0 and rho < 1):
        raise ValueError("rho")
    error, k = residual_norm, 0
    while error > eps:
        error, k = rho * error, k + 1
    return k


# %% wrong: circular_conv_norm -- the length of the vector x is taken
def circular_conv_norm(x):
    return x.norm()


# %% wrong: circular_conv_norm -- the length of the vector x is taken
def circular_conv_norm(x):
    return torch.fft.fft(x, norm='ortho').norm()


# %% wrong: circular_conv_norm -- the length of the vector of moduli is taken
def circular_conv_norm(x):
    return torch.fft.fft(x).norm()


# %% wrong: circular_conv_norm -- the sum of the moduli of x is taken, which is only a bound
def circular_conv_norm(x):
    return x.abs().sum()


# %% wrong: circular_conv_norm -- the sum over the frequencies is taken, not the maximum
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().sum()


# %% wrong: circular_conv_norm -- the mean over the frequencies is taken, not the maximum
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().mean()


# %% wrong: circular_conv_norm -- the smallest modulus is taken
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().min()


# %% wrong: circular_conv_norm -- the transform is divided by the root of N
def circular_conv_norm(x):
    return torch.fft.fft(x, norm="ortho").abs().max()


# %% wrong: circular_conv_norm -- the transform is divided by N
def circular_conv_norm(x):
    return torch.fft.fft(x, norm="forward").abs().max()


# %% wrong: circular_conv_norm -- the transform is divided by N
def circular_conv_norm(x):
    return torch.fft.ifft(x).abs().max()


# %% wrong: circular_conv_norm -- the real part is taken instead of the modulus
def circular_conv_norm(x):
    return torch.fft.fft(x).real.max()


# %% wrong: circular_conv_norm -- the modulus of the real part only is taken
def circular_conv_norm(x):
    return torch.fft.fft(x).real.abs().max()


# %% wrong: circular_conv_norm -- the imaginary part is taken instead of the modulus
def circular_conv_norm(x):
    return torch.fft.fft(x).imag.abs().max()


# %% wrong: circular_conv_norm -- only the frequency 0 is looked at: the sum of x
def circular_conv_norm(x):
    return x.sum().abs()


# %% wrong: circular_conv_norm -- only the frequency 0 is looked at: the sum of x
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().select(0, 0)


# %% wrong: circular_conv_norm -- the largest entry of x is taken, without a transform
def circular_conv_norm(x):
    return x.abs().max()


# %% wrong: circular_conv_norm -- the square of the norm is taken: the power spectrum
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().max() ** 2


# %% wrong: circular_conv_norm -- the frequency comes back, not the modulus that belongs to it
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().argmax()


# %% wrong: circular_conv_norm -- the sum of the moduli of x is taken, which is only a bound
def circular_conv_norm(x):
    return torch.fft.fft(x.abs()).abs().max()


# %% wrong: circular_conv_norm -- all moduli come back, not the largest
def circular_conv_norm(x):
    return torch.fft.fft(x).abs()


# %% wrong: circular_conv_norm -- value and place come back as a pair
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().max(dim=0)


# %% wrong: circular_conv_norm -- the highest frequency is left out
def circular_conv_norm(x):
    return torch.fft.fft(x)[: (len(x) + 1) // 2].abs().max()


# %% wrong: circular_conv_norm -- the frequency 0 is left out
def circular_conv_norm(x):
    return torch.fft.fft(x)[1:].abs().amax() if len(x) > 1 else x.abs().amax()


# %% wrong: circular_conv_norm -- the square root of the norm is taken
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().max().sqrt()


# %% wrong: circular_conv_norm -- the length of the vector of moduli is taken
def circular_conv_norm(x):
    return torch.linalg.matrix_norm(torch.stack([x.roll(i) for i in range(len(x))]))


# %% wrong: circular_conv_norm -- twice as many points are taken: the signal is filled up with zeros
def circular_conv_norm(x):
    return torch.fft.fft(x, n=2 * len(x)).abs().max()


# %% wrong: circular_conv_norm -- nothing is returned
def circular_conv_norm(x):
    torch.fft.fft(x).abs().max()


# %% wrong: circular_conv_norm -- the convolution of x with itself is looked at
def circular_conv_norm(x):
    return torch.fft.ifft(torch.fft.fft(x) ** 2).abs().max()


# %% wrong: circular_conv_norm -- the difference of the largest and the smallest modulus is taken
def circular_conv_norm(x):
    return torch.fft.fft(x).abs().max() - torch.fft.fft(x).abs().min()


# %% right: circular_conv_norm -- the explicit circulant matrix
def circular_conv_norm(x):
    matrix = torch.stack([x.roll(i) for i in range(len(x))], dim=1)
    return torch.linalg.svdvals(matrix)[0]


# %% right: circular_conv_norm -- a sum over waves, a float
def circular_conv_norm(x):
    N = len(x)
    m = torch.arange(N, dtype=torch.float64)
    moduli = []
    for omega in range(N):
        wave = torch.exp(-2j * math.pi * omega * m / N)
        moduli.append((x.to(wave.dtype) * wave).sum().abs().item())
    return max(moduli)


# %% right: circular_conv_norm -- half of the frequencies, modulus from real and imaginary part
def circular_conv_norm(x):
    transform = torch.fft.rfft(x)
    return (transform.real**2 + transform.imag**2).amax().sqrt()


# %% wrong: conv_norm -- the grid of the image is taken for zero padding, too
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the larger grid of the zero padding is taken for circular padding, too
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size + weight.shape[-1] - 1
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the grids of the two paddings are exchanged
def conv_norm(weight, image_size, padding):
    if padding == "zeros" :
        n = image_size
    elif padding == "circular":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the largest entry of the small matrices is taken, not their largest singular value
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return symbols.abs().max()


# %% wrong: conv_norm -- the Frobenius norm of the small matrices is taken
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols).max()


# %% wrong: conv_norm -- the largest sum over a column is taken: the 1-norm, not the 2-norm
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 1).max()


# %% wrong: conv_norm -- the sum of the singular values is taken, not the largest
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, "nuc").max()


# %% wrong: conv_norm -- the smallest singular value is taken, not the largest
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, -2).max()


# %% wrong: conv_norm -- the mean over the frequencies is taken, not the maximum
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).mean()


# %% wrong: conv_norm -- the minimum over the frequencies is taken, not the maximum
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).min()


# %% wrong: conv_norm -- the sum over the frequencies is taken, not the maximum
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).sum()


# %% wrong: conv_norm -- only the frequency 0 is looked at
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols[0, 0], 2)


# %% wrong: conv_norm -- the numbers of all frequencies come back, not the largest
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2)


# %% wrong: conv_norm -- matrices of frequencies are taken instead of matrices of channels
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n))
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the axes are reshaped, not permuted: entries of different channels are mixed
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).reshape(n, n, *weight.shape[:2])
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- channels and frequencies are mixed: the axes are permuted to (out, n, in, n)
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(0, 2, 1, 3)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the kernel is read as one matrix
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    return torch.linalg.matrix_norm(weight.flatten(1), 2)


# %% wrong: conv_norm -- the kernel is read as one matrix, times its width: a bound that is too crude
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    return weight.shape[-1] * torch.linalg.matrix_norm(weight.flatten(1), 2)


# %% wrong: conv_norm -- the transform is taken over the channels instead of the pixels
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n), dim=(0, 1))
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the transform is taken along one axis of the pixels only
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft(weight, n=n).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the kernel is not filled up to the size of the grid
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the modulus is taken before the singular values
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols.abs(), 2).max()


# %% wrong: conv_norm -- the real part is taken before the singular values
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols.real, 2).max()


# %% wrong: conv_norm -- the transform is divided by n
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n), norm="ortho").permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the square of the norm comes out: a root is missing
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.eigvalsh(symbols @ symbols.mH).max()


# %% wrong: conv_norm -- a quarter of the frequencies is looked at: real kernels allow half of them to be left out, not more
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)[: (n + 1) // 2, : (n + 1) // 2]
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- a few power iterations give a number that is too small
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    k = weight.shape[-1]
    conv = torch.nn.Conv2d(weight.shape[1], weight.shape[0], k, padding=k // 2, padding_mode=padding)
    conv.weight = torch.nn.Parameter(weight)
    return iresnet.power_iteration_norm(conv, image_size, 2, torch.Generator().manual_seed(0))


# %% wrong: conv_norm -- any padding is accepted
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    else:
        n = image_size + weight.shape[-1] - 1
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- any padding is accepted
def conv_norm(weight, image_size, padding):
    n = image_size
    if padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- an unknown padding is refused with an AssertionError, not a ValueError
def conv_norm(weight, image_size, padding):
    assert padding in ("circular", "zeros")
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- an unknown padding is refused with a KeyError, not a ValueError
def conv_norm(weight, image_size, padding):
    n = {"circular": image_size, "zeros": image_size + weight.shape[-1] - 1}[padding]
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- an unknown padding gives an UnboundLocalError: there is no else
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the ValueError is returned, not raised
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        return ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- None comes back for an unknown padding
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        return None
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- zero padding takes the kernel's size alone for the grid
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = weight.shape[-1]
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- zero padding takes a grid that is one point smaller than the image
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- only the first channels are looked at
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight[:1, :1], s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- the channels are summed up before the transform
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight.sum(1, keepdim=True), s=(n, n)).permute(2, 3, 0, 1)
    return torch.linalg.matrix_norm(symbols, 2).max()


# %% wrong: conv_norm -- nothing is returned
def conv_norm(weight, image_size, padding):
    if padding == "circular":
        n = image_size
    elif padding == "zeros":
        n = image_size + weight.shape[-1] - 1
    else:
        raise ValueError(f"unknown padding {padding!r}")
    symbols = torch.fft.fft2(weight, s=(n, n)).permute(2, 3, 0, 1)
    torch.linalg.matrix_norm(symbols, 2).max()


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


# %% wrong: normalize_ -- kernels that are weak enough are scaled up to rho
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- a new parameter takes the place of the old one: an optimiser does not know it
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight = torch.nn.Parameter(conv.weight.data * rho / norm)
    return conv


# %% wrong: normalize_ -- rho is missing in the factor
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.div_(norm)
    return conv


# %% wrong: normalize_ -- the kernel is divided by the larger of 1 and its norm: rho is not used
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    conv.weight.data.div_(max(1.0, norm))
    return conv


# %% wrong: normalize_ -- the factor is turned over: norm / rho
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(norm / rho)
    return conv


# %% wrong: normalize_ -- the kernel is divided by rho and by its norm
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(1 / (rho * norm))
    return conv


# %% wrong: normalize_ -- the norm is always that of circular padding
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, "circular")
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- the norm is always that of zero padding
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, "zeros")
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- the images always have 7 x 7 pixels
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, 7, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- the change is recorded in autograd's graph, which a leaf that wants gradients does not allow
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
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


# %% wrong: normalize_ -- the bias is set to zero
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
        conv.bias.data.zero_()
    return conv


# %% wrong: normalize_ -- conv is not returned
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)


# %% wrong: normalize_ -- the kernel comes back, not conv
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv.weight


# %% wrong: normalize_ -- the norm comes back, not conv
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return norm


# %% wrong: normalize_ -- the norm is that of the kernel read as a matrix
def normalize_(conv, rho, image_size):
    norm = iresnet.reshaped_kernel_norm(conv.weight.data)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- the norm is the length of the kernel as a vector
def normalize_(conv, rho, image_size):
    norm = conv.weight.data.norm()
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- the norm is compared with 1 instead of rho
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > 1:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- weak kernels are scaled, and strong ones are left alone
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm < rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- weak kernels are scaled, and strong ones are left alone
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    conv.weight.data.mul_(max(1.0, rho / norm))
    return conv


# %% wrong: normalize_ -- the kernel is not changed: the result is not kept
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data * (rho / norm)
    return conv


# %% wrong: normalize_ -- the kernel is not changed: the result is not kept
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        weight = conv.weight.data
        weight = weight * rho / norm
    return conv


# %% wrong: normalize_ -- a copy of conv is scaled
def normalize_(conv, rho, image_size):
    from copy import deepcopy

    conv = deepcopy(conv)
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
    return conv


# %% wrong: normalize_ -- single entries are cut off at rho, instead of scaling all by one factor
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.clamp_(-rho, rho)
    return conv


# %% wrong: normalize_ -- the square root of the factor is taken
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_((rho / norm) ** 0.5)
    return conv


# %% wrong: normalize_ -- the factor is applied twice
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_((rho / norm) ** 2)
    return conv


# %% wrong: normalize_ -- the weights do not want gradients any more
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_(rho / norm)
        conv.weight.requires_grad_(False)
    return conv


# %% wrong: normalize_ -- each channel that comes out is scaled by its own norm
def normalize_(conv, rho, image_size):
    norms = torch.stack([iresnet.conv_norm(row[None], image_size, conv.padding_mode) for row in conv.weight.data])
    conv.weight.data.mul_((rho / norms).clamp(max=1)[:, None, None, None])
    return conv


# %% wrong: normalize_ -- the norm is subtracted until rho is left, instead of scaling
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.sub_(norm - rho)
    return conv


# %% wrong: normalize_ -- one is the bound: the kernel gets the norm 1 - rho
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.data, image_size, conv.padding_mode)
    if norm > rho:
        conv.weight.data.mul_((1 - rho) / norm)
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


# %% right: normalize_ -- conv.weight *= under no_grad
def normalize_(conv, rho, image_size):
    norm = iresnet.conv_norm(conv.weight.detach(), image_size, conv.padding_mode)
    if norm > rho:
        with torch.no_grad():
            conv.weight *= rho / norm
    return conv


# %% wrong: iresnet -- the residual is added in the layer
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x + torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the residual is added in the layer, and the inverse follows: its sign is turned, too
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x + torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: -torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the identity is missing in the layer: F(x) comes out
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the layer gives F(x) - x
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return torch.relu(self.conv(x)) - x

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the ReLU is missing in the layer
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - self.conv(x)

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the ReLU is missing, in the layer and in its inverse
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - self.conv(x)

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: self.conv(x), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the ReLU covers the difference
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return torch.relu(x - self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the ReLU is missing in the inverse of the layer
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(self.conv, y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the whole layer is iterated in the inverse, not its residual
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(self, y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the sign of the residual is turned in the inverse
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: -torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the layer ignores n_iter: always 100 iterations
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, 100)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the net does not hand n_iter on: always 100 iterations
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x)
        return x


# %% wrong: iresnet -- the inverse of the layer applies the residual once
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return y + torch.relu(self.conv(y))


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the inverse of the net takes the layers in the order of the forward pass
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the net takes the layers in the reverse order, forward
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the inverse of the net applies the layers instead of undoing them
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer(x)
        return x


# %% wrong: iresnet -- rho is not handed on by the net: always the default
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize()
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- rho is ignored by the layer: always 0.9
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, 0.9, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- only the first layer is normalised
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        self.conv1.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- only the first layer is normalised
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
            return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the last layer is not normalised
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- weak layers are scaled up, too
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        norm = iresnet.conv_norm(self.conv.weight.data, 7, "zeros")
        self.conv.weight.data.mul_(rho / norm)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- all layers are scaled by the factor of the strongest
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        layers = (self.conv1, self.conv2, self.conv3, self.conv4)
        largest = max(iresnet.conv_norm(layer.conv.weight.data, 7, "zeros") for layer in layers)
        for layer in layers:
            layer.conv.weight.data.mul_(min(1.0, rho / largest))
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the norm is that of circular padding
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        norm = iresnet.conv_norm(self.conv.weight.data, 7, "circular")
        self.conv.weight.data.mul_(min(1.0, rho / norm))
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- normalize of the layer does nothing
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- normalize of the net does nothing
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- both normalize methods return nothing
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- normalize of the layer returns the convolution, not the layer
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        return iresnet.normalize_(self.conv, rho, 7)

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- normalize of the net returns nothing
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- normalize of the layer returns nothing
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- normalize makes a new parameter
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        norm = iresnet.conv_norm(self.conv.weight.data, 7, "zeros").item()
        self.conv.weight = torch.nn.Parameter(self.conv.weight.data * min(1.0, rho / norm))
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- rho is shared by the four layers: each gets its fourth root
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho**0.25)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- classif is ignored: scores come always
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1))

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- classif is ignored: features come always
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- classif is turned round: scores come when features are asked for
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if not classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- scores and features come together
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)), x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- a softmax is applied to the scores: the cross-entropy does that
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)).softmax(1) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- a ReLU is applied to the scores
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return torch.relu(self.fc(x.flatten(1))) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the features are flattened
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x.flatten(1)

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the results of the layers are not kept: the features are the image itself
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the results of the layers are not kept in the inverse of the net
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the last layer is left out of the forward pass
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the inverse of the net leaves the first layer out
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the inverse of the net leaves the last layer out
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the inverse of the net ends after one layer
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            return layer.inverse(x, n_iter)


# %% wrong: iresnet -- the first layer acts four times
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in [self.conv1] * 4:
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in [self.conv1] * 4:
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the layers read the image, not the features of the layer before
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        image = x
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = x - torch.relu(layer.conv(image))
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the features are detached before the classifier: the layers get no gradient
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.detach().flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the inverse of the layer records no gradients
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        with torch.no_grad():
            return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- the residual is detached: the layers get no gradient
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x)).detach()

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: iresnet -- nothing comes back from the inverse of the net
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)


# %% wrong: iresnet -- the iterations are shared by the layers: a quarter for each
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter // 4)
        return x


# %% wrong: iresnet -- the inverse of the net goes through all layers n_iter times
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return x - torch.relu(self.conv(x))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(lambda x: torch.relu(self.conv(x)), y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def normalize(self, rho=0.9):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for _ in range(n_iter):
            for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
                x = layer.inverse(x, 1)
        return x


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


# %% right: iresnet -- the residual by a difference, all in one expression
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return torch.sub(x, torch.nn.functional.relu(self.conv(x)))

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
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
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        features = self.conv4(self.conv3(self.conv2(self.conv1(x))))
        return self.fc(torch.flatten(features, 1)) if classif else features

    def inverse(self, x, n_iter=100):
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            x = layer.inverse(x, n_iter)
        return x


# %% right: iresnet -- a property that lists the layers, a method for the residual
class InvertibleResidual(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(16, 16, kernel_size, padding=kernel_size // 2)

    def residual(self, x):
        return torch.nn.functional.relu(self.conv(x))

    def forward(self, x):
        return x - self.residual(x)

    def normalize(self, rho=0.9):
        iresnet.normalize_(self.conv, rho, 7)
        return self

    def inverse(self, y, n_iter=100):
        return iresnet.fixed_point_inverse(self.residual, y, n_iter)


class iResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = InvertibleResidual()
        self.conv2 = InvertibleResidual()
        self.conv3 = InvertibleResidual()
        self.conv4 = InvertibleResidual()
        self.fc = torch.nn.Linear(28 * 28, 10)

    @property
    def layers(self):
        return [self.conv1, self.conv2, self.conv3, self.conv4]

    def normalize(self, rho=0.9):
        for layer in self.layers:
            layer.normalize(rho)
        return self

    def forward(self, x, classif=True):
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x, n_iter=100):
        for layer in reversed(self.layers):
            x = layer.inverse(x, n_iter)
        return x


# %% wrong: log_det_series -- the minus before the sum is missing
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total + (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the signs alternate, as for x + F(x)
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total + (-1) ** (k + 1) * (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the signs alternate, with a minus at the first term
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total + (-1) ** k * (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the division by k is missing
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1)
    return total


# %% wrong: log_det_series -- each term is divided by the factorial of k
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / math.factorial(k)
    return total


# %% wrong: log_det_series -- each term is divided by k + 1
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / (k + 1)
    return total


# %% wrong: log_det_series -- the last term is missing
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- there is one term too many
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 2):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- each power of J is used one term too late
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        total = total - (w * noise).flatten(1).sum(1) / k
        w = vjp(w)[0]
    return total


# %% wrong: log_det_series -- the power of J stays 1
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(noise)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the power of J grows too fast: k steps are made for each term, from where the last one ended
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        for _ in range(k):
            w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- only the last term comes back
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = -(w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- only the first term comes back
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
        return total


# %% wrong: log_det_series -- noise is drawn anew for each term
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        noise = torch.randn_like(noise)
        w = noise
        for _ in range(k):
            w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- noise is drawn anew: the given one is not used
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    noise = torch.randn_like(x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the samples are summed up to one number
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).sum() / k
    return total


# %% wrong: log_det_series -- only the last axis of an image is summed
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).sum(-1) / k
    return total


# %% wrong: log_det_series -- only the channels of an image are summed
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).sum(1) / k
    return total


# %% wrong: log_det_series -- the samples are summed up, and the features are kept
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(0) / k
    return total


# %% wrong: log_det_series -- the mean over the features is taken, not the sum
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).mean(1) / k
    return total


# %% wrong: log_det_series -- the noise is not multiplied at the end: v^T J^k is summed up
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - w.flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- w is multiplied by x instead of the noise
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * x).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- w is multiplied by itself instead of the noise
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * w).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- w is overwritten by its product with the noise
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        w = w * noise
        total = total - w.flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the derivative is taken at the noise instead of x
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, noise)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- x and the noise are exchanged
def log_det_series(residual, x, n_terms, noise):
    x, noise = noise, x
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the series starts from x instead of the noise
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = x, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- F itself is applied, not its Jacobian
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = residual(w)
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the Jacobian of the layer x - F(x) is taken instead of that of F
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(lambda x: x - residual(x), x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the result is detached: no gradient flows through it
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total.detach()


# %% wrong: log_det_series -- the result is detached: no gradient flows through it
def log_det_series(residual, x, n_terms, noise):
    x = x.detach().clone().requires_grad_()
    value = residual(x)
    w, total = noise, torch.zeros(len(x), dtype=x.dtype)
    for k in range(1, n_terms + 1):
        w = torch.autograd.grad(value, x, w, retain_graph=True)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- each power of J is detached: gradients flow through the last factor only
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w.detach())[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- x wants gradients afterwards: it is changed
def log_det_series(residual, x, n_terms, noise):
    x.requires_grad_()
    value = residual(x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = torch.autograd.grad(value, x, w, create_graph=True)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the noise is scaled to length 1 in each sample
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    noise = noise / noise.flatten(1).norm(dim=1).view(-1, *[1] * (noise.ndim - 1))
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the products of w and the noise are squared
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - ((w * noise) ** 2).flatten(1).sum(1) / k
    return total


# %% wrong: log_det_series -- the result has one axis too many
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1, keepdim=True) / k
    return total


# %% wrong: log_det_series -- the exact log-determinant comes back, not the series
def log_det_series(residual, x, n_terms, noise):
    return iresnet.log_det_exact(residual, x)


# %% wrong: log_det_series -- the terms come back as a list, not their sum
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, terms = noise, []
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        terms.append(-(w * noise).flatten(1).sum(1) / k)
    return terms


# %% wrong: log_det_series -- nothing is returned
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(w)[0]
        total = total - (w * noise).flatten(1).sum(1) / k


# %% wrong: log_det_series -- J is squared in each step
def log_det_series(residual, x, n_terms, noise):
    _, vjp = torch.func.vjp(residual, x)
    w, total = noise, 0
    for k in range(1, n_terms + 1):
        w = vjp(vjp(w)[0])[0]
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


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


# %% right: log_det_series -- whole Jacobians, sample by sample
def log_det_series(residual, x, n_terms, noise):
    results = []
    for one, v in zip(x, noise):
        J = torch.func.jacrev(lambda z: residual(z[None])[0].flatten())(one).reshape(v.numel(), -1)
        w, total = v.flatten(), 0.0
        for k in range(1, n_terms + 1):
            w = J @ w
            total = total - w @ v.flatten() / k
        results.append(total)
    return torch.stack(results)


# %% wrong: train_norm -- the net is never normalised
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the net is normalised before the first step only
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the net is not normalised before the first step
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the net is normalised once in each epoch, not after every step
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        net.normalize(rho)
    return losses


# %% wrong: train_norm -- the net is normalised in the end only
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    net.normalize(rho)
    return losses


# %% wrong: train_norm -- the net is normalised before every step, so that the last step is never made good
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            net.normalize(rho)
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the net is normalised after backward, but before the step that spoils it
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            net.normalize(rho)
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- rho is ignored: normalize uses its default
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize()
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize()
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- rho is ignored after the first step: normalize uses its default there
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize()
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- rho is ignored before the first step: normalize uses its default there
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize()
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the learning rate is handed to normalize, not rho
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(learning_rate)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(learning_rate)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the gradients are not set to zero
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the gradients are set to zero in each epoch, not in each step
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        optimizer.zero_grad()
        for inputs, labels in loader:
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the momentum is missing
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the learning rate is ignored
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- Adam takes the place of SGD
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the sum over a batch is minimised, not the mean
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss(reduction="sum")
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- there is a softmax before the cross-entropy
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs).softmax(1), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- tensors come back, not Python floats
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.detach())
    return losses


# %% wrong: train_norm -- the loss is taken after the step, not before
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(criterion(net(inputs), labels).item())
    return losses


# %% wrong: train_norm -- one loss for each epoch comes back, not one for each step
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
        losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the mean of the losses comes back
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return sum(losses) / len(losses)


# %% wrong: train_norm -- nothing comes back: the return is missing
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())


# %% wrong: train_norm -- the net comes back, not the losses
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return net


# %% wrong: train_norm -- only the first epoch is made: the return stands inside the loop
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
        return losses
    return losses


# %% wrong: train_norm -- one epoch too many is made
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch + 1):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the loader is read once, and its batches are used again in the same order
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    batches = list(loader)
    for _ in range(n_epoch):
        for inputs, labels in batches:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- only the first batch of each epoch is used
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in [next(iter(loader))]:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the weights never learn: no gradient, or no step
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the weights never learn: no gradient, or no step
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- the optimiser is made anew in each epoch, and its momentum lost
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    net.normalize(rho)
    for _ in range(n_epoch):
        optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: train_norm -- a copy is trained, not the net
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    import copy

    net = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    net.normalize(rho)
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            net.normalize(rho)
            losses.append(loss.item())
    return losses


# %% wrong: inverse_errors -- the absolute value is missing: the largest signed difference is taken
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the difference is taken the other way round, without its size
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (x - back).max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the mean of the differences is taken, not the largest
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().mean().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the norm of the difference is taken, not its largest entry
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).norm().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the largest norm of an image is taken, not the largest entry
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).flatten(1).norm(dim=1).max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the smallest difference is taken
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().min().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the differences are added up
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().sum().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the mean square of the differences is taken
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).square().mean().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the largest difference is squared
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).square().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the error is divided by the largest entry of x
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = ((back - x).abs().max() / x.abs().max()).item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the error is divided by the norm of x
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = ((back - x).abs().max() / x.norm()).item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- what comes back is compared with the features, not with the images
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - features).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the inverse is applied to the images, not to their features
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(x, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the scores are inverted, not the features
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the features are computed anew for each count
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        for n_iter in counts:
            features = net(x, classif=False)
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- gradients are recorded
def inverse_errors(net, x, counts):
    errors = []
    if True:
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- only the features are computed without gradients
def inverse_errors(net, x, counts):
    with torch.no_grad():
        features = net(x, classif=False)
    errors = []
    for n_iter in counts:
        back = net.inverse(features, n_iter)
        error = (back - x).abs().max().item()
        errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- gradients are switched off and stay so
def inverse_errors(net, x, counts):
    errors = []
    torch.set_grad_enabled(False)
    if True:
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- tensors come back, not Python floats
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max()
            errors.append(error if torch.isfinite(back).all() else torch.tensor(float('inf')))
    return errors


# %% wrong: inverse_errors -- one tensor comes back, not a list of floats
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return torch.tensor(errors)


# %% wrong: inverse_errors -- a dictionary comes back, not a list
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append((n_iter, error if torch.isfinite(back).all() else float('inf')))
    return dict(errors)


# %% wrong: inverse_errors -- only the error of the last count comes back
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors[-1]


# %% wrong: inverse_errors -- the return stands inside the loop: only the first count is tried
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float('inf'))
            return errors
    return errors


# %% wrong: inverse_errors -- nothing comes back: the return is missing
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))


# %% wrong: inverse_errors -- the counts are ignored: the inverse always makes its hundred iterations
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the counts are sorted first, and so are the errors
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in sorted(counts):
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- one iteration too many is made
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter + 1)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the largest count is tried for all
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, max(counts))
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- the inverse goes on from what the count before gave
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        back = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(back, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- nan comes back where one entry is not finite, not inf
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error)
    return errors


# %% wrong: inverse_errors -- nan comes back where one entry is not finite, not inf
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(float('inf') if torch.isinf(back).any() else error)
    return errors


# %% wrong: inverse_errors -- nan comes back where one entry is not finite, not inf
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).any() else float('inf'))
    return errors


# %% wrong: inverse_errors -- what is not finite gives nan, not inf
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float('nan'))
    return errors


# %% wrong: inverse_errors -- entries that are not finite are left out
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = torch.nan_to_num(back - x, 0.0, 0.0, 0.0).abs().max().item()
            errors.append(error)
    return errors


# %% wrong: inverse_errors -- what is not finite is left out of the list
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors += [error] if torch.isfinite(back).all() else []
    return errors


# %% wrong: inverse_errors -- entries that are not finite are left out
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x)[torch.isfinite(back)].abs().max().item()
            errors.append(error)
    return errors


# %% wrong: inverse_errors -- what is not finite ends in an error
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().max().item()
            errors.append(error)
            if not torch.isfinite(back).all(): raise ValueError('not finite')
    return errors


# %% wrong: inverse_errors -- only the first image is looked at
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x)[0].abs().max().item()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% wrong: inverse_errors -- one error for each image comes back
def inverse_errors(net, x, counts):
    errors = []
    with torch.no_grad():
        features = net(x, classif=False)
        for n_iter in counts:
            back = net.inverse(features, n_iter)
            error = (back - x).abs().flatten(1).amax(1).tolist()
            errors.append(error if torch.isfinite(back).all() else float("inf"))
    return errors


# %% right: train_norm -- the update written out by hand
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    losses, speed = [], [torch.zeros_like(p) for p in net.parameters()]
    net.normalize(rho)
    for _ in range(n_epoch):
        for x, y in loader:
            scores = net(x)
            loss = -scores.log_softmax(1).gather(1, y[:, None]).mean()
            grads = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for p, v, g in zip(net.parameters(), speed, grads):
                    v.mul_(0.9).add_(g)
                    p.sub_(learning_rate * v)
            net.normalize(rho)
            losses += [float(loss)]
    return losses


# %% right: train_norm -- normalised before each evaluation and in the end
def train_norm(net, loader, n_epoch=40, learning_rate=0.05, rho=0.9):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            net.normalize(rho)
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    net.normalize(rho)
    return losses


# %% right: train_norm -- other argument names, a generator over all batches
def train_norm(model, data, epochs=40, rate=0.05, bound=0.9):
    descent = torch.optim.SGD(model.parameters(), rate, 0.9)
    model.normalize(bound)

    def step(inputs, labels):
        value = torch.nn.functional.cross_entropy(model(inputs), labels)
        model.zero_grad()
        value.backward()
        descent.step()
        model.normalize(bound)
        return value.item()

    return [step(*batch) for _ in range(epochs) for batch in data]


# %% right: inverse_errors -- with the largest norm of vector_norm
@torch.no_grad()
def inverse_errors(net, x, counts):
    y = net(x, classif=False)
    errors = []
    for n in counts:
        error = float(torch.linalg.vector_norm(net.inverse(y, n) - x, float("inf")))
        errors.append(error if math.isfinite(error) else math.inf)
    return errors


# %% right: inverse_errors -- other argument names, entry by entry
def inverse_errors(network, images, numbers):
    with torch.inference_mode():
        z = network(images, False)
        came = [network.inverse(z, n).flatten().tolist() for n in numbers]
    start = images.flatten().tolist()
    result = []
    for back in came:
        if all(map(math.isfinite, back)):
            result.append(max(abs(a - b) for a, b in zip(back, start)))
        else:
            result.append(float("inf"))
    return result


# %% right: inverse_errors -- by where
def inverse_errors(net, x, counts):
    with torch.no_grad():
        y = net(x, classif=False)
        backs = [net.inverse(y, n_iter=n) for n in counts]
    gaps = [torch.where(torch.isfinite(b), (b - x).abs(), torch.inf).max() for b in backs]
    return [gap.item() for gap in gaps]

# %% wrong: iterations_needed -- int(...) + 1 is one too many where the bound meets the precision
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("rho has to be between 0 and 1")
    if residual_norm <= eps:
        return 0
    return int(math.log(eps / residual_norm) / math.log(rho)) + 1

# %% wrong: iterations_needed -- where nothing has to be done no 0 is returned: the logarithms decide
def iterations_needed(residual_norm, rho, eps):
    if not 0 < rho < 1:
        raise ValueError("rho has to be between 0 and 1")
    return math.ceil(math.log(eps / residual_norm) / math.log(rho))

# %% wrong: normalize_ -- the factor is norm / rho instead of rho / norm
def normalize_(conv, rho, image_size):
    with torch.no_grad():
        norm = iresnet.conv_norm(conv.weight, image_size, conv.padding_mode)
        conv.weight.mul_(min(1, norm / rho))
    return conv
