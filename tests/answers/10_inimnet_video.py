# Named answers to the exercises of notebook 10: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: frame_mask -- nothing is masked: a sum of rows is always positive
def frame_mask(n_frames, held_out, n_random, generator):
    others = torch.tensor([k for k in range(n_frames) if k != held_out])
    dropped = others[torch.randperm(len(others), generator=generator)[:n_random]].tolist()
    rows = [1 - torch.nn.functional.one_hot(torch.tensor(k), n_frames) for k in [held_out, *dropped]]
    return torch.stack(rows).sum(dim=0) > 0

# %% wrong: frame_mask -- the held-out frame is only dropped by chance
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[torch.randperm(n_frames, generator=generator)[: n_random + 1]] = False
    return mask

# %% wrong: frame_mask -- the random frames may hit the held-out one or each other
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    mask[held_out] = False
    mask[torch.randint(n_frames, (n_random,), generator=generator)] = False
    return mask

# %% wrong: frame_mask -- True and False exchanged
def frame_mask(n_frames, held_out, n_random, generator):
    return ~video.frame_mask(n_frames, held_out, n_random, generator)

# %% wrong: frame_mask -- the same frames at each call
def frame_mask(n_frames, held_out, n_random, generator):
    return video.frame_mask(n_frames, held_out, n_random, torch.Generator().manual_seed(0))

# %% wrong: frame_mask -- the global generator is used
def frame_mask(n_frames, held_out, n_random, generator):
    mask = torch.ones(n_frames, dtype=torch.bool)
    others = torch.tensor([k for k in range(n_frames) if k != held_out])
    mask[held_out] = False
    mask[others[torch.randperm(len(others))[:n_random]]] = False
    return mask

# %% wrong: frame_mask -- the held-out index is counted from one
def frame_mask(n_frames, held_out, n_random, generator):
    return video.frame_mask(n_frames, (held_out - 1) % n_frames, n_random, generator)

# %% right: frame_mask -- by ranks of random numbers
def frame_mask(n_frames, held_out, n_random, generator):
    scores = torch.rand(n_frames, generator=generator)
    scores[held_out] = -1.0
    mask = torch.zeros(n_frames, dtype=torch.bool)
    mask[scores.argsort(descending=True)[: n_frames - 1 - n_random]] = True
    return mask

# %% right: frame_mask -- one frame after the other
def frame_mask(n_frames, held_out, n_random, generator):
    kept = [k for k in range(n_frames) if k != held_out]
    for _ in range(n_random):
        kept.pop(int(torch.randint(len(kept), (1,), generator=generator)))
    return torch.tensor([k in kept for k in range(n_frames)])

# %% wrong: collide -- the whole velocities are exchanged
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            if line.norm() < 2 * radius and (v[i] - v[j]) @ line < 0:
                v[[i, j]] = v[[j, i]]
    return v

# %% wrong: collide -- a parting pair is turned around again
def collide(x, v, radius):
    return video.collide(x, v, radius, approaching_only=False)

# %% wrong: collide -- the line of centres is not normalised
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            w = (v[i] - v[j]) @ line
            if line.norm() < 2 * radius and w < 0:
                v[i] -= w * line
                v[j] += w * line
    return v

# %% wrong: collide -- balls touch at one radius
def collide(x, v, radius):
    return video.collide(x, v, radius / 2)

# %% wrong: collide -- balls touch at any distance
def collide(x, v, radius):
    return video.collide(x, v, 1e6)

# %% wrong: collide -- only one ball changes
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            w = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and w < 0:
                v[i] -= w * n
    return v

# %% wrong: collide -- an inelastic collision: both go on with the mean
def collide(x, v, radius):
    v = v.clone()
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            w = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and w < 0:
                v[i] -= w * n / 2
                v[j] += w * n / 2
    return v

# %% wrong: collide -- the given velocities are changed in place
def collide(x, v, radius):
    for i in range(len(x)):
        for j in range(i):
            line = x[i] - x[j]
            n = line / line.norm()
            w = (v[i] - v[j]) @ n
            if line.norm() < 2 * radius and w < 0:
                v[i] -= w * n
                v[j] += w * n
    return v

# %% right: collide -- all pairs at once
def collide(x, v, radius):
    line = x[:, None] - x[None]
    distance = line.norm(dim=-1, keepdim=True)
    normal = line / distance.clamp_min(1e-12)
    w = ((v[:, None] - v[None]) * normal).sum(dim=-1, keepdim=True)
    hit = (distance < 2 * radius) & (w < 0)
    return v - torch.where(hit, w * normal, torch.zeros_like(normal)).sum(dim=1)

# %% right: collide -- by reflection in the frame of the pair
def collide(x, v, radius):
    v = [row for row in v]
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            n = torch.nn.functional.normalize(x[j] - x[i], dim=0)
            near = (x[j] - x[i]).square().sum() < 4 * radius**2
            if near and (v[i] - v[j]) @ n > 0:
                mean = (v[i] + v[j]) / 2
                half = (v[i] - v[j]) / 2
                half = half - 2 * (half @ n) * n
                v[i], v[j] = mean + half, mean - half
    return torch.stack(v)

# %% wrong: LatentInImNet -- the layers act in the other order
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)[::-1]
        return torch.stack(inimnet.inimnet_forward(layers, torch.cat([x, t[:, None]], dim=1)))[..., :-1]

# %% wrong: LatentInImNet -- the time is returned with the code
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.inimnet_forward(layers, torch.cat([x, t[:, None]], dim=1)))

# %% wrong: LatentInImNet -- coupled weights are drawn per layer
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(depth))

    def forward(self, x, t):
        return torch.stack(inimnet.inimnet_forward(list(self.phis), torch.cat([x, t[:, None]], dim=1)))[..., :-1]

# %% wrong: LatentInImNet -- the single coupled layer acts only once
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        return torch.stack(inimnet.inimnet_forward(list(self.phis), torch.cat([x, t[:, None]], dim=1)))[..., :-1]

# %% wrong: LatentInImNet -- the parameters are hidden in a list
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = [inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth)]

    def forward(self, x, t):
        layers = self.phis * self.depth if self.coupled else self.phis
        return torch.stack(inimnet.inimnet_forward(layers, torch.cat([x, t[:, None]], dim=1)))[..., :-1]

# %% wrong: LatentInImNet -- a residual network
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        self.depth, self.coupled = depth, coupled
        self.phis = torch.nn.ModuleList(inimnet.DenseField(latent_dim + 1, width) for _ in range(1 if coupled else depth))

    def forward(self, x, t):
        layers = [self.phis[0]] * self.depth if self.coupled else list(self.phis)
        return torch.stack(inimnet.resnet_forward_from(layers, torch.cat([x, t[:, None]], dim=1)))[..., :-1]

# %% right: LatentInImNet -- the recursion written out
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        fields = []
        for _ in range(depth):
            if not coupled or not fields:
                fields.append(inimnet.DenseField(latent_dim + 1, width))
        self.phis = torch.nn.ModuleList(fields)
        self.depth = depth

    def at(self, l, u):
        if l == 0:
            return u
        phi = self.phis[(l - 1) % len(self.phis)]
        value, slope = torch.func.jvp(lambda u: self.at(l - 1, u), (u,), (phi(u),))
        return value + slope

    def forward(self, x, t):
        u = torch.hstack([x, t.unsqueeze(1)])
        return torch.stack([self.at(l, u)[:, : x.shape[1]] for l in range(self.depth + 1)])

# %% right: LatentInImNet -- with values in parts, coupled by sharing
class LatentInImNet(torch.nn.Module):
    def __init__(self, latent_dim, width, depth, coupled=False):
        super().__init__()
        count = depth
        if coupled:
            count = 1
        self.phis = torch.nn.ModuleList([inimnet.DenseField(latent_dim + 1, width) for _ in range(count)])
        self.times = depth // count

    def forward(self, x, t):
        u = torch.cat((x, t.reshape(-1, 1)), 1)
        return torch.stack([z[:, :-1] for z in inimnet.inimnet_forward_parts(list(self.phis) * self.times, u)])

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

# %% wrong: extrapolate -- the result is sent through the network again
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(model(x, t)[-1], t, depth=extra_depth)[1:]

# %% wrong: extrapolate -- layers of their own are repeated instead of refused
def extrapolate(model, x, t, extra_depth):
    layers = (list(model.phis) * (model.depth + extra_depth))[: model.depth + extra_depth]
    z = inimnet.inimnet_forward(layers, torch.cat([x, t[:, None]], dim=1))
    return torch.stack(z)[model.depth + 1 :, :, :-1]

# %% wrong: extrapolate -- only the deepest
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    return model(x, t, depth=model.depth + extra_depth)[-1:]

# %% wrong: extrapolate -- the model's depth is changed
def extrapolate(model, x, t, extra_depth):
    if not model.coupled:
        raise ValueError("coupled weights only")
    trained = model.depth
    model.depth += extra_depth
    return model(x, t)[trained + 1 :]

# %% right: extrapolate -- by the recursion
def extrapolate(model, x, t, extra_depth):
    if len(model.phis) != 1 or not model.coupled:
        raise ValueError("no weights beyond the trained depth")
    u = torch.cat([x, t[:, None]], dim=1)
    z = inimnet.inimnet_forward([model.phis[0]] * (model.depth + extra_depth), u)
    return torch.stack(z[-extra_depth:])[..., :-1]

# %% right: extrapolate -- the error of the model itself
def extrapolate(model, x, t, extra_depth):
    if model.coupled:
        everything = model(x, t, model.depth + extra_depth)
        return everything[-extra_depth:]
    raise ValueError("layers with weights of their own")

# %% wrong: ConvInImNet -- the layers act in the other order
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        self.depth = depth
        self.phis = torch.nn.ModuleList(inimnet.ConvField(channels) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = (list(self.phis) * self.depth)[: self.depth]
        return torch.stack(inimnet.inimnet_forward(layers[::-1], x))

# %% wrong: ConvInImNet -- a residual network
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        self.depth = depth
        self.phis = torch.nn.ModuleList(inimnet.ConvField(channels) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = (list(self.phis) * self.depth)[: self.depth]
        return torch.stack(inimnet.resnet_forward_from(layers, x))

# %% wrong: ConvInImNet -- only the deepest image
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        self.depth = depth
        self.phis = torch.nn.ModuleList(inimnet.ConvField(channels) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = (list(self.phis) * self.depth)[: self.depth]
        return inimnet.inimnet_forward(layers, x)[-1]

# %% wrong: ConvInImNet -- coupled weights are ignored
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        self.phis = torch.nn.ModuleList(inimnet.ConvField(channels) for _ in range(depth))

    def forward(self, x):
        return torch.stack(inimnet.inimnet_forward(list(self.phis), x))

# %% wrong: ConvInImNet -- the approximate Jacobian
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        self.depth = depth
        self.phis = torch.nn.ModuleList(inimnet.ConvField(channels) for _ in range(1 if coupled else depth))

    def forward(self, x):
        layers = (list(self.phis) * self.depth)[: self.depth]
        z = [x]
        for l, phi in enumerate(layers):
            z.append(z[-1] + phi(x))
        return torch.stack(z)

# %% right: ConvInImNet -- the recursion written out
class ConvInImNet(torch.nn.Module):
    def __init__(self, channels, depth, coupled=False):
        super().__init__()
        self.depth = depth
        self.phis = torch.nn.ModuleList([inimnet.ConvField(channels) for _ in range(1 if coupled else depth)])

    def at(self, l, x):
        if l == 0:
            return x
        phi = self.phis[min(l, len(self.phis)) - 1]
        value, slope = torch.func.jvp(lambda x: self.at(l - 1, x), (x,), (phi(x),))
        return value + slope

    def forward(self, x):
        return torch.stack([self.at(l, x) for l in range(self.depth + 1)])

# %% right: ConvInImNet -- a child of the package's general network
class ConvInImNet(inimnet.InImNet):
    def __init__(self, channels, depth, coupled=False):
        super().__init__(lambda: inimnet.ConvField(channels), depth, coupled, variant="nested")

    def forward(self, x):
        return super().forward(x)
