# Named answers to the exercises of notebook 10: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: frame_mask -- nothing is masked: the sum over one-hot vectors is positive everywhere
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

# %% wrong: frame_mask -- the mask is True where a frame is dropped
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

# %% wrong: frame_mask -- the generator is not used: chance comes from elsewhere
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

# %% wrong: collide -- the direction n has not length 1
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

# %% wrong: collide -- only half of the velocity along the line is exchanged: the balls stick together
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

# %% wrong: LatentInImNet -- the layers come in the reverse order
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers[::-1], u))[..., :-1]

# %% wrong: LatentInImNet -- the time is not dropped from the predictions
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

# %% wrong: LatentInImNet -- there are always as many fields as layers: coupled is ignored
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        return torch.stack(inimnet.inimnet_forward_parts(list(self.phis), u))[..., :-1]

# %% wrong: LatentInImNet -- one field serves all layers, coupled or not
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

# %% wrong: LatentInImNet -- the fields are in a plain list, where no optimiser finds them
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = [inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth)]

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- the Jacobian is left out: the fields are added up
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

# %% wrong: LatentInImNet -- the approximate Jacobian is used
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

# %% wrong: extrapolate -- the trained depths are returned as well
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)

# %% wrong: extrapolate -- the deepest trained depth is among them
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)[model.depth :]

# %% wrong: extrapolate -- they are the predictions one depth too early
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)[model.depth : -1]

# %% wrong: extrapolate -- the last output is fed in again
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(model(x, t)[-1], t, depth=extra_depth)[1:]

# %% wrong: extrapolate -- a network with weights of its own is not refused
def extrapolate(model, x, t, extra_depth):
    layers = list(model.phis)
    layers += [layers[-1]] * (model.depth + extra_depth - len(layers))
    u = torch.cat([x, t[:, None]], dim=1)
    return torch.stack(inimnet.inimnet_forward_parts(layers, u))[model.depth + 1 :, :, :-1]

# %% wrong: extrapolate -- the depth of the model is changed, and stays so
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

# %% wrong: ConvInImNet -- there is no padding: the pictures shrink
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

# %% wrong: ConvInImNet -- relu stands in the place of tanh
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

# %% wrong: ConvInImNet -- there are always as many fields as layers: coupled is ignored
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

# %% wrong: ConvInImNet -- the convolutions have no biases
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

# %% wrong: ConvInImNet -- residual networks take the place of InImNet
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

# %% wrong: LatentInImNet -- one field stands in the list as often as there are layers
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList([inimnet.DenseField(latent_dim + 1, width)] * depth)

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- the time comes first in the state, and is dropped there
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([t[:, None], x], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., 1:]

# %% wrong: LatentInImNet -- the first coordinate is dropped instead of the last
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., 1:]

# %% wrong: LatentInImNet -- the time is always 0
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, torch.zeros_like(t)[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- the predictions are detached: they carry no gradients
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1].detach()

# %% wrong: LatentInImNet -- only the deepest output comes
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return inimnet.inimnet_forward_parts(layers, u)[-1][..., :-1]

# %% wrong: LatentInImNet -- the samples come before the depths
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u), dim=1)[..., :-1]

# %% wrong: LatentInImNet -- there is one field too many
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth + 1))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- the fields have the size of the code, without the time
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- the deepest depth comes first
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u)).flip(0)[..., :-1]

# %% wrong: LatentInImNet -- latent_dim and width are exchanged in the field
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(width, latent_dim + 1) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- super().__init__() is missing
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        return torch.stack(inimnet.inimnet_forward_parts(list(self.phis), u))[..., :-1]

# %% wrong: LatentInImNet -- a decoder of its own adds parameters
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))
        self.read = torch.nn.Linear(latent_dim + 1, latent_dim)

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return self.read(torch.stack(inimnet.inimnet_forward_parts(layers, u)))

# %% right: LatentInImNet -- with zeros and times written into one state
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        u = torch.nn.functional.pad(x, (0, 1)).index_copy(1, torch.tensor([x.shape[1]]), t[:, None])
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: frame_mask -- the held-out frame is not masked
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    others = torch.tensor([k for k in range(n_frames) if k != held_out], dtype=torch.long)
    mask[others[torch.randperm(n_frames - 1, generator=generator)[:n_random]]] = False
    return mask

# %% wrong: frame_mask -- the mask holds numbers, not booleans
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames)
    mask[held_out] = 0
    others = mask.nonzero()[:, 0]
    mask[others[torch.randperm(len(others), generator=generator)[:n_random]]] = 0
    return mask

# %% wrong: frame_mask -- the same frames are dropped at each call: the generator is seeded anew
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    others = mask.nonzero()[:, 0]
    generator.manual_seed(0)
    mask[others[torch.randperm(len(others), generator=generator)[:n_random]]] = False
    return mask

# %% wrong: frame_mask -- the held-out frame counts among the random ones: one too few is dropped
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    others = mask.nonzero()[:, 0]
    mask[others[torch.randperm(len(others), generator=generator)[: max(n_random - 1, 0)]]] = False
    return mask

# %% wrong: frame_mask -- places among the others are taken for frames: the held-out one is not skipped
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    mask[torch.randperm(n_frames - 1, generator=generator)[:n_random]] = False
    return mask

# %% wrong: frame_mask -- each frame is dropped with a probability, not a fixed number of them
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.rand(n_frames, generator=generator) >= n_random / max(n_frames - 1, 1)
    mask[held_out] = False
    return mask

# %% wrong: frame_mask -- the indices of the frames are returned, not a mask
def frame_mask(n_frames, held_out, n_random, generator):
    others = torch.tensor([k for k in range(n_frames) if k != held_out], dtype=torch.long)
    return others[torch.randperm(n_frames - 1, generator=generator)[n_random:]].sort().values

# %% wrong: frame_mask -- a list comes instead of a tensor
def frame_mask(n_frames, held_out, n_random, generator):
    others = [k for k in range(n_frames) if k != held_out]
    dropped = {others[int(i)] for i in torch.randperm(len(others), generator=generator)[:n_random]}
    return [k != held_out and k not in dropped for k in range(n_frames)]

# %% wrong: frame_mask -- the last frame is never dropped
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    others = mask.nonzero()[:, 0]
    order = torch.randperm(max(len(others) - 1, 0), generator=generator)
    mask[others[order[:n_random]]] = False
    return mask

# %% right: frame_mask -- drawn again until the number is right
def frame_mask(n_frames, held_out, n_random, generator):
    while True:
        m = torch.rand(n_frames, generator=generator) > (n_random + 0.5) / (n_frames + 0.5)
        m[held_out] = False
        if m.sum() == n_frames - 1 - n_random:
            return m

# %% wrong: collide -- the line of centres is taken along the difference of the velocities
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            d = v[i] - v[j]
            r = (x[i] - x[j]).norm()
            n = d / r
            a = (v[i] - v[j]) @ n
            if r < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- the line of centres is taken along the difference of the velocities
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            n = (v[i] - v[j]) / ((v[i] - v[j]).norm() + 1e-12)
            a = (v[i] - v[j]) @ n
            if (x[i] - x[j]).norm() < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- pairs that approach are left alone, pairs that fly apart are turned
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a > 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- both signs are turned: the balls speed each other up
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] + a * n
                v[j] = v[j] - a * n
    return v

# %% wrong: collide -- the same part is taken from both balls
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] - a * n
    return v

# %% wrong: collide -- the exchange is doubled
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] - 2 * a * n
                v[j] = v[j] + 2 * a * n
    return v

# %% wrong: collide -- both balls turn round
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            if line.norm() < 2 * radius and (v[i] - v[j]) @ n < 0:
                v[i] = -v[i]
                v[j] = -v[j]
    return v

# %% wrong: collide -- the parts along the line are not exchanged, each ball is mirrored
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            if line.norm() < 2 * radius and (v[i] - v[j]) @ n < 0:
                v[i] = v[i] - 2 * (v[i] @ n) * n
                v[j] = v[j] - 2 * (v[j] @ n) * n
    return v

# %% wrong: collide -- the squared distance is compared with 2 * radius
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line @ line < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- the velocities are read as the positions were: a is taken from x
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = line @ (v[i] - v[j])
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
    return v

# %% wrong: collide -- only neighbours in the list are looked at
def collide(x, v, radius):
    v = v.clone()
    for i in range(1, len(x)):
        j = i - 1
        line = x[i] - x[j]
        n = line / line.norm()
        a = (v[i] - v[j]) @ n
        if line.norm() < 2 * radius and a < 0:
            v[i] = v[i] - a * n
            v[j] = v[j] + a * n
    return v

# %% wrong: collide -- it ends after the first collision
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n
                return v
    return v

# %% wrong: collide -- v[i] is changed before v[j] reads it
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            if line.norm() < 2 * radius and (v[i] - v[j]) @ n < 0:
                v[i] = v[i] - ((v[i] - v[j]) @ n) * n
                v[j] = v[j] + ((v[i] - v[j]) @ n) * n
    return v

# %% wrong: collide -- the result is not returned
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            a = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and a < 0:
                v[i] = v[i] - a * n
                v[j] = v[j] + a * n

# %% right: collide -- with projections, the pairs from the last to the first
def collide(x, v, radius):
    out = v.clone()
    for i in reversed(range(len(x))):
        for j in reversed(range(i)):
            gap = x[j] - x[i]
            if gap.pow(2).sum().sqrt() >= 2 * radius:
                continue
            P = torch.outer(gap, gap) / gap.dot(gap)
            closing = out[j] - out[i]
            if closing.dot(gap) < 0:
                step = P @ closing
                out[i], out[j] = out[i] + step, out[j] - step
    return out

# %% wrong: extrapolate -- an AssertionError comes instead of a ValueError
def extrapolate(model, x, t, extra_depth):
    assert model.coupled
    return model(x, t, depth=model.depth + extra_depth)[model.depth + 1 :]

# %% wrong: extrapolate -- only the deepest prediction comes
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)[-1]

# %% wrong: extrapolate -- depth is set to extra_depth alone
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=extra_depth)[1:]

# %% wrong: extrapolate -- a network with weights of its own is not refused
def extrapolate(model, x, t, extra_depth):
    if model.coupled:
        return model(x, t, depth=model.depth + extra_depth)[model.depth + 1 :]

# %% wrong: extrapolate -- coupled networks are refused, the others are not
def extrapolate(model, x, t, extra_depth):
    if model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)[model.depth + 1 :]

# %% wrong: extrapolate -- the predictions carry no gradients
@torch.no_grad()
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)[model.depth + 1 :]

# %% wrong: extrapolate -- a list comes instead of a tensor
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    depths = model(x, t, depth=model.depth + extra_depth)
    return [depths[model.depth + k] for k in range(1, extra_depth + 1)]

# %% wrong: extrapolate -- the time goes on with the depth
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return torch.stack([model(x, t + k, depth=model.depth + k)[-1] for k in range(1, extra_depth + 1)])

# %% wrong: extrapolate -- the last output is fed in again, step by step
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    z, found = model(x, t)[-1], []
    for _ in range(extra_depth):
        z = model(z, t, depth=1)[1]
        found.append(z)
    return torch.stack(found)

# %% wrong: extrapolate -- the trained predictions are continued on a straight line
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    z = model(x, t)
    slope = z[-1] - z[-2]
    return torch.stack([z[-1] + k * slope for k in range(1, extra_depth + 1)])

# %% right: extrapolate -- each depth asked for by itself
def extrapolate(model, x, t, extra_depth):
    if model.coupled is False:
        raise ValueError("there is no layer to go on with")
    return torch.stack([model(x, t, depth=model.depth + k)[model.depth + k] for k in range(1, extra_depth + 1)])

# %% wrong: ConvInImNet -- a third tanh stands after the last convolution
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1), nn.Tanh()) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- the tanh between the second and the third convolution is missing
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- there is no activation at all
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- the layers come in the reverse order
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers[::-1], x))

# %% wrong: ConvInImNet -- depth 0 is missing
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x)[1:])

# %% wrong: ConvInImNet -- only the deepest output comes
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return inimnet.inimnet_forward_parts(layers, x)[-1]

# %% wrong: ConvInImNet -- one field serves all layers, coupled or not
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts([self.phis[0]] * self.depth, x))

# %% wrong: ConvInImNet -- one field stands in the list as often as there are layers
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList([nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1))] * depth)

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- the kernels are 5 x 5
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, channels, 5, padding=2)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- there are 8 hidden channels instead of 16
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- the edge of the picture is repeated around it, instead of zeros
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1, padding_mode='replicate'), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1, padding_mode='replicate'), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1, padding_mode='replicate')) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- the approximate Jacobian is used
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_approximate(layers, x))

# %% wrong: ConvInImNet -- the outputs are detached: they carry no gradients
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x)).detach()

# %% wrong: ConvInImNet -- the samples come before the depths
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x), dim=1)

# %% wrong: ConvInImNet -- the fields are in a plain list, where no optimiser finds them
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = [nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth)]

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, x))

# %% wrong: ConvInImNet -- a residual sum of fields that all read the picture: the Jacobian is left out
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack([x + sum(phi(x) for phi in layers[:l]) for l in range(len(layers) + 1)])

# %% right: ConvInImNet -- by the nested recursion, depth by depth
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn
        self.depth, self.coupled = depth, coupled
        self.phis = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1)) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack([inimnet.inimnet_forward(layers[:l], x)[-1] for l in range(len(layers) + 1)])

# %% wrong: frame_mask -- n_random + 1 frames are drawn from all, and the held-out one need not be among them
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[torch.randperm(n_frames, generator=generator)[: n_random + 1]] = False
    return mask

# %% wrong: collide -- v[i], v[j] = v[j], v[i] exchanges nothing: a row is a view, overwritten before it is read
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            if line.norm() < 2 * radius and (v[i] - v[j]) @ n < 0:
                v[i], v[j] = v[j], v[i]
    return v

# %% wrong: LatentInImNet -- the time comes first in the state, and the last coordinate is dropped
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        count = 1 if coupled else depth
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(count))

    def forward(self, x, t):
        u = torch.cat([t[:, None], x], dim=1)
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward_parts(layers, u))[..., :-1]

# %% wrong: LatentInImNet -- with coupled weights the field acts once, not once for each layer
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        count = 1 if coupled else depth
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(count))

    def forward(self, x, t):
        u = torch.cat([x, t[:, None]], dim=1)
        return torch.stack(inimnet.inimnet_forward_parts(list(self.phis), u))[..., :-1]

# %% wrong: extrapolate -- the depths 0 to extra_depth are returned, none of them beyond the trained one
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("the layers have weights of their own")
    return model(x, t, depth=extra_depth)

# %% wrong: extrapolate -- the depths 0 to extra_depth are returned, none of them beyond the trained one
def extrapolate(model, x, t, extra_depth):
    return model(x, t, depth=extra_depth)

# %% wrong: extrapolate -- the last output is fed in again, and nothing is refused
def extrapolate(model, x, t, extra_depth):
    out = []
    for _ in range(extra_depth):
        x = model(x, t)[-1]
        out.append(x)
    return torch.stack(out)

# %% wrong: ConvInImNet -- with coupled weights the field acts once, not once for each layer
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        nn = torch.nn

        def field():
            return nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, channels, 3, padding=1))

        self.phis = nn.ModuleList(field() for _ in range(1 if coupled else depth))

    def forward(self, x):
        return torch.stack(inimnet.inimnet_forward_parts(list(self.phis), x))
