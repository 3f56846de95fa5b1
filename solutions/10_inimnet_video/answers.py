# Named answers to the exercises of notebook 10: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: frame_mask -- the published arithmetic, which masks nothing
def frame_mask(n_frames, held_out, n_random, generator):
    others = torch.tensor([k for k in range(n_frames) if k != held_out])
    drawn = others[torch.randperm(n_frames - 1, generator=generator)[:n_random]]
    dropped = torch.cat([torch.tensor([held_out]), drawn])
    one_hot = torch.nn.functional.one_hot(dropped, n_frames)
    return (1 - one_hot).sum(dim=0) > 0

# %% wrong: frame_mask -- the held-out frame may be drawn once more
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[torch.randperm(n_frames, generator=generator)[:n_random]] = False
    mask[held_out] = False
    return mask

# %% wrong: frame_mask -- a frame may be drawn twice
def frame_mask(n_frames, held_out, n_random, generator):
    others = torch.tensor([k for k in range(n_frames) if k != held_out])
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    mask[others[torch.randint(n_frames - 1, (n_random,), generator=generator)]] = False
    return mask

# %% wrong: frame_mask -- True where a frame is dropped
def frame_mask(n_frames, held_out, n_random, generator):
    others = torch.tensor([k for k in range(n_frames) if k != held_out])
    mask = torch.zeros(n_frames, dtype=torch.bool)
    mask[held_out] = True
    mask[others[torch.randperm(n_frames - 1, generator=generator)[:n_random]]] = True
    return mask

# %% wrong: frame_mask -- frames are counted from 1
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out - 1] = False
    others = mask.nonzero()[:, 0]
    mask[others[torch.randperm(n_frames - 1, generator=generator)[:n_random]]] = False
    return mask

# %% wrong: frame_mask -- the generator is not used
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    others = mask.nonzero()[:, 0]
    mask[others[torch.randperm(n_frames - 1)[:n_random]]] = False
    return mask

# %% wrong: frame_mask -- always the first frames are dropped
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    mask[mask.nonzero()[:n_random, 0]] = False
    return mask

# %% wrong: frame_mask -- a gap of neighbouring frames is dropped
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    others = mask.nonzero()[:, 0]
    start = int(torch.randint(len(others) - n_random + 1, (1,), generator=generator))
    mask[others[start : start + n_random]] = False
    return mask

# %% right: frame_mask -- the smallest of random scores
def frame_mask(n_frames, held_out, n_random, generator):
    scores = torch.rand(n_frames, generator=generator)
    scores[held_out] = -1.0
    mask = torch.full((n_frames,), True)
    mask[scores.argsort()[: n_random + 1]] = False
    return mask

# %% right: frame_mask -- drawn one by one without repetition
def frame_mask(n_frames, held_out, n_random, generator):
    left = [k for k in range(n_frames) if k != held_out]
    for _ in range(n_random):
        left.pop(int(torch.randint(len(left), (1,), generator=generator)))
    return torch.tensor([k in left for k in range(n_frames)])

# %% wrong: collide -- the whole velocities are exchanged
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            if line.norm() < 2 * radius and (v[i] - v[j]) @ line < 0:
                v[i], v[j] = v[j].clone(), v[i].clone()
    return v

# %% wrong: collide -- the direction has not length 1
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            n = x[i] - x[j]
            a = (v[i] - v[j]) @ n
            if n.norm() < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- pairs that fly apart are turned back
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- the distance is compared with one radius
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- all pairs at once, each with the old velocities
def collide(x, v, radius):
    new = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                new[i] = new[i] - a * n
                new[j] = new[j] + a * n
    return new

# %% wrong: collide -- the given velocities are changed in place
def collide(x, v, radius):
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- an inelastic collision, half of the exchange
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] - a / 2 * n
                v[j] = v[j] + a / 2 * n
    return v

# %% wrong: collide -- only one ball of each pair is moved
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] - 2 * a * n
    return v

# %% right: collide -- pairs by combinations, the exchange divided by the squared distance
def collide(x, v, radius):
    import itertools

    v = v.detach().clone()
    for i, j in itertools.combinations(range(len(x)), 2):
        line = x[j] - x[i]
        towards = torch.dot(v[j] - v[i], line)
        if line @ line < 4 * radius**2 and towards < 0:
            exchange = towards / (line @ line) * line
            v[i] += exchange
            v[j] -= exchange
    return v

# %% right: collide -- the velocities as a list, each pair looked at twice
def collide(x, v, radius):
    speeds = list(v)
    for i in range(len(x)):
        for j in range(len(x)):
            if i == j:
                continue
            n = torch.nn.functional.normalize(x[i] - x[j], dim=0)
            a = torch.sum((speeds[i] - speeds[j]) * n)
            if torch.linalg.norm(x[i] - x[j]) < 2 * radius and a < 0:
                speeds[i], speeds[j] = speeds[i] - a * n, speeds[j] + a * n
    return torch.stack(speeds)

# %% right: collide -- the package's version
def collide(x, v, radius):
    return video.collide(x, v, radius)

# %% wrong: LatentInImNet -- residual networks take the place of InImNet
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.resnet_forward_from(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- the layers in the reverse order
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers[::-1], u))[..., :-1]

# %% wrong: LatentInImNet -- the time is not dropped
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))

# %% wrong: LatentInImNet -- depth 0 is missing
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u)[1:])[..., :-1]

# %% wrong: LatentInImNet -- coupled weights are ignored
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        return torch.stack(inimnet.inimnet_forward_parts(list(self.phis), u))[..., :-1]

# %% wrong: LatentInImNet -- weights are always coupled
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth = depth
        self.phis = torch.nn.ModuleList([inimnet.DenseField(latent_dim + 1, width)])

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        return torch.stack(inimnet.inimnet_forward_parts([self.phis[0]] * self.depth, u))[..., :-1]

# %% wrong: LatentInImNet -- the fields do not see the time
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: LatentInImNet -- fields in a plain list, which no optimiser finds
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = [inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth)]

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- the Jacobian is forgotten
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        depths = [u]
        for phi in [self.phis[0]] * self.depth if self.coupled else self.phis:
            depths.append(depths[-1] + phi(u))
        return torch.stack(depths)[..., :-1]

# %% wrong: LatentInImNet -- the approximate Jacobian
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_approximate(layers, u))[..., :-1]

# %% right: LatentInImNet -- nested products written out
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.d, self.L = latent_dim, depth
        fields = [inimnet.DenseField(latent_dim + 1, width)]
        while not coupled and len(fields) < depth:
            fields.append(inimnet.DenseField(latent_dim + 1, width))
        self.phis = torch.nn.ModuleList(fields)

    def output(self, depth, u):
        if depth == 0:
            return u
        phi = self.phis[(depth - 1) % len(self.phis)]
        z, slope = torch.func.jvp(lambda u: self.output(depth - 1, u), (u,), (phi(u),))
        return z + slope

    def forward(self, x, t):
        u = torch.hstack([x, t.unsqueeze(1)])
        return torch.stack([self.output(depth, u)[:, : self.d] for depth in range(self.L + 1)])

# %% right: LatentInImNet -- by the nested recursion of the package
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        first = inimnet.DenseField(latent_dim + 1, width)
        self.order = [0] * depth if coupled else list(range(depth))
        rest = [inimnet.DenseField(latent_dim + 1, width) for _ in range(0 if coupled else depth - 1)]
        self.phis = torch.nn.ModuleList([first, *rest])

    def forward(self, x, t):
        depths = inimnet.inimnet_forward([self.phis[k] for k in self.order], torch.column_stack([x, t]))
        return torch.stack([z[:, :-1] for z in depths])

# %% wrong: extrapolate -- all depths are returned
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)

# %% wrong: extrapolate -- the trained depth is among them
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)[model.depth :]

# %% wrong: extrapolate -- one depth too early
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)[model.depth : -1]

# %% wrong: extrapolate -- the last output is fed in again
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(model(x, t)[-1], t, depth=extra_depth)[1:]

# %% wrong: extrapolate -- networks with weights of their own repeat the last layer
def extrapolate(model, x, t, extra_depth):
    layers = list(model.phis)
    layers += [layers[-1]] * (model.depth + extra_depth - len(layers))
    u = torch.cat([x, t[:, None]], dim=1)
    return torch.stack(inimnet.inimnet_forward_parts(layers, u))[model.depth + 1 :, :, :-1]

# %% wrong: extrapolate -- the trained depth of the model is changed
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    trained = model.depth
    model.depth = trained + extra_depth
    return model(x, t)[trained + 1 :]

# %% right: extrapolate -- the last of all depths, the refusal left to the model
def extrapolate(model, x, t, extra_depth):
    return model(x, t, model.depth + extra_depth)[-extra_depth:]

# %% right: extrapolate -- the recursion by hand
def extrapolate(model, x, t, extra_depth):
    if len(model.phis) > 1 or not model.coupled:
        raise ValueError("every layer has weights of its own")
    deepest = model.depth + extra_depth
    depths = inimnet.inimnet_forward([model.phis[0]] * deepest, torch.cat([x, t[:, None]], dim=1))
    return torch.stack([depths[l][:, :-1] for l in range(model.depth + 1, deepest + 1)])

# %% wrong: ConvInImNet -- no padding
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 16, 3), nn.Tanh(), nn.Conv2d(16, 16, 3), nn.Tanh(), nn.Conv2d(16, channels, 3))
            for _ in range(1 if coupled else depth)
        )

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- relu in the place of tanh
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, channels, 3, padding=1))
            for _ in range(1 if coupled else depth)
        )

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- the picture is continued as on a torus
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        same = {"padding": 1, "padding_mode": "circular"}
        self.phis = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 16, 3, **same), nn.Tanh(), nn.Conv2d(16, 16, 3, **same), nn.Tanh(), nn.Conv2d(16, channels, 3, **same))
            for _ in range(1 if coupled else depth)
        )

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- coupled weights are ignored
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.phis = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1))
            for _ in range(depth)
        )

    def forward(self, x):
        return torch.stack(inimnet.inimnet_forward_parts(list(self.phis), x))

# %% wrong: ConvInImNet -- no biases
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        same = {"padding": 1, "bias": False}
        self.phis = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 16, 3, **same), nn.Tanh(), nn.Conv2d(16, 16, 3, **same), nn.Tanh(), nn.Conv2d(16, channels, 3, **same))
            for _ in range(1 if coupled else depth)
        )

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward(layers, x))

# %% wrong: ConvInImNet -- a residual network
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1))
            for _ in range(1 if coupled else depth)
        )

    def forward(self, x):
        depths = [x]
        for phi in [self.phis[0]] * self.depth if self.coupled else self.phis:
            depths.append(depths[-1] + phi(depths[-1]))
        return torch.stack(depths)

# %% wrong: ConvInImNet -- the third convolution is missing
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1))
            for _ in range(1 if coupled else depth)
        )

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% right: ConvInImNet -- a field with padding by its name, and the nested recursion
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        self.order = [0] * depth if coupled else list(range(depth))
        self.phis = torch.nn.ModuleList()
        for _ in set(self.order):
            sizes, layers = (channels, 16, 16, channels), []
            for c_in, c_out in zip(sizes, sizes[1:]):
                layers += [torch.nn.Conv2d(c_in, c_out, 3, padding="same"), torch.nn.Tanh()]
            self.phis.append(torch.nn.Sequential(*layers[:-1]))

    def forward(self, x):
        return torch.stack(inimnet.inimnet_forward([self.phis[k] for k in self.order], x))

# %% right: ConvInImNet -- a field as a class of its own
class Field(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels, 16, (3, 3), padding=(1, 1))
        self.conv2 = torch.nn.Conv2d(16, 16, (3, 3), padding=(1, 1))
        self.conv3 = torch.nn.Conv2d(16, channels, (3, 3), padding=(1, 1))

    def forward(self, x):
        return self.conv3(torch.tanh(self.conv2(torch.tanh(self.conv1(x)))))


class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        self.depth = depth
        self.phis = torch.nn.ModuleList([Field(channels) for _ in range(1 if coupled else depth)])

    def forward(self, x):
        layers = list(self.phis)
        while len(layers) < self.depth:
            layers.append(layers[0])
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))
