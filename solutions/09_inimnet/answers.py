# Named answers to the exercises of notebook 09: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: projectile -- the flight is taken as q
def projectile(p, q, v, gravity):
    return v * q - gravity * q**2 / 2

# %% wrong: projectile -- the factor 1/2 is missing
def projectile(p, q, v, gravity):
    return v * (q - p) - gravity * (q - p) ** 2

# %% wrong: projectile -- gravity pulls upwards
def projectile(p, q, v, gravity):
    return v * (q - p) + gravity * (q - p) ** 2 / 2

# %% wrong: projectile -- the flight is p - q
def projectile(p, q, v, gravity):
    return v * (p - q) - gravity * (p - q) ** 2 / 2

# %% wrong: projectile -- gravity is always that of the earth
def projectile(p, q, v, gravity):
    return v * (q - p) - 9.8 * (q - p) ** 2 / 2

# %% wrong: projectile -- the body stops at the ground
def projectile(p, q, v, gravity):
    height = torch.as_tensor(v * (q - p) - gravity * (q - p) ** 2 / 2)
    return height.clamp_min(0)

# %% right: projectile -- mean speed times flight
def projectile(p, q, v, gravity):
    T = q - p
    return T * (v + (v - gravity * T)) / 2

# %% right: projectile -- factored
def projectile(p, q, v, gravity):
    return (q - p) * (v - 0.5 * gravity * (q - p))

# %% wrong: transport_residual -- the second term has the wrong sign
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) - slope

# %% wrong: transport_residual -- a one-sided difference
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return (z(p + dp, x) - z(p, x)) / dp + slope

# %% wrong: transport_residual -- divided by dp
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / dp + slope

# %% wrong: transport_residual -- the Jacobian is transposed
def transport_residual(z, f, p, x, dp):
    pulled = torch.func.vjp(lambda x: z(p, x), x)[1](f(p, x))[0]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + pulled

# %% wrong: transport_residual -- the gradients are cut
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return ((z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope).detach()

# %% wrong: transport_residual -- the field without the Jacobian
def transport_residual(z, f, p, x, dp):
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + f(p, x)

# %% wrong: transport_residual -- the field is read at the end
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(1.0, x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% right: transport_residual -- with the whole Jacobian
def transport_residual(z, f, p, x, dp):
    def row(x):
        return z(p, x[None])[0]

    J = torch.func.vmap(torch.func.jacrev(row))(x)
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + torch.einsum("sij,sj->si", J, f(p, x))

# %% right: transport_residual -- by steps, other names
def transport_residual(z, f, p, x, dp):
    later, earlier = z(p + dp, x), z(p - dp, x)

    def end(start):
        return z(p, start)

    value, along = torch.func.jvp(end, (x,), (f(p, x),))
    return along + 0.5 * (later - earlier) / dp

# %% wrong: inimnet_forward -- phis[0] is taken as the deepest
def inimnet_forward(phis, x):
    def depth(layers, x):
        if not layers:
            return x
        value, slope = torch.func.jvp(lambda x: depth(layers[1:], x), (x,), (layers[0](x),))
        return value + slope

    return [depth(phis[:l], x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_forward -- the Jacobian is left out
def inimnet_forward(phis, x):
    z = [x]
    for phi in phis:
        z.append(z[-1] + phi(x))
    return z

# %% wrong: inimnet_forward -- a residual network
def inimnet_forward(phis, x):
    z = [x]
    for phi in phis:
        z.append(z[-1] + phi(z[-1]))
    return z

# %% wrong: inimnet_forward -- the approximate Jacobian
def inimnet_forward(phis, x):
    z = [x]
    for l, phi in enumerate(phis):
        step = phi(x)
        for earlier in phis[:l]:
            step = step + torch.func.jvp(earlier, (x,), (phi(x),))[1]
        z.append(z[-1] + step)
    return z

# %% wrong: inimnet_forward -- only the deepest
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return depth(len(phis), x)

# %% wrong: inimnet_forward -- the list of layers is emptied
def inimnet_forward(phis, x):
    if not phis:
        return [x]
    phi = phis.pop()

    def shallower(x):
        return tuple(inimnet_forward(list(phis), x))

    values, slopes = torch.func.jvp(shallower, (x,), (phi(x),))
    return [*values, values[-1] + slopes[-1]]

# %% wrong: inimnet_forward -- the gradients are cut
def inimnet_forward(phis, x):
    return [z.detach() for z in inimnet.inimnet_forward(phis, x)]

# %% wrong: inimnet_forward -- off by one, the last layer never acts
def inimnet_forward(phis, x):
    z = inimnet.inimnet_forward(phis[:-1], x)
    return [*z, z[-1]]

# %% right: inimnet_forward -- one depth at a time
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% right: inimnet_forward -- a list of functions, built upwards
def inimnet_forward(phis, x):
    functions = [lambda x: x]
    for phi in phis:

        def deeper(x, phi=phi, z=functions[-1]):
            value, slope = torch.func.jvp(z, (x,), (phi(x),))
            return value + slope

        functions.append(deeper)
    return [z(x) for z in functions]

# %% wrong: resnet_forward_from -- phis[0] acts first
def resnet_forward_from(phis, x):
    z = [x]
    for phi in phis:
        z.append(z[-1] + phi(z[-1]))
    return z

# %% wrong: resnet_forward_from -- every layer reads the input
def resnet_forward_from(phis, x):
    z = [x]
    for phi in phis:
        z.append(z[-1] + phi(x))
    return z

# %% wrong: resnet_forward_from -- the path of the deepest network
def resnet_forward_from(phis, x):
    z = [x]
    for phi in reversed(phis):
        z.append(z[-1] + phi(z[-1]))
    return z

# %% wrong: resnet_forward_from -- z_0 is missing
def resnet_forward_from(phis, x):
    z = []
    for l in range(1, len(phis) + 1):
        state = x
        for phi in reversed(phis[:l]):
            state = state + phi(state)
        z.append(state)
    return z

# %% wrong: resnet_forward_from -- the skip connection is missing
def resnet_forward_from(phis, x):
    z = [x]
    for l in range(1, len(phis) + 1):
        state = x
        for phi in reversed(phis[:l]):
            state = phi(state)
        z.append(state)
    return z

# %% wrong: resnet_forward_from -- the input is changed in place
def resnet_forward_from(phis, x):
    z = [x.clone()]
    for l in range(1, len(phis) + 1):
        state = x
        for phi in reversed(phis[:l]):
            state += phi(state)
        z.append(state.clone())
    return z

# %% right: resnet_forward_from -- recursion
def resnet_forward_from(phis, x):
    def depth(l, x):
        return x if l == 0 else depth(l - 1, x + phis[l - 1](x))

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% right: resnet_forward_from -- with an index that counts down
def resnet_forward_from(phis, x):
    outputs = []
    for L in range(len(phis) + 1):
        y = x.clone()
        while L > 0:
            L -= 1
            y = y + phis[L](y)
        outputs.append(y)
    return outputs

# %% wrong: inimnet_adjoint -- the signs of the continuous equation
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value - slope - pull(value)[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the transposed Jacobian is missing
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- Lambda is not carried along
def inimnet_adjoint(phis, x, loss_grad):
    Lambda = [loss_grad(x)]
    for phi in phis:
        Lambda.append(Lambda[-1] + torch.func.vjp(phi, x)[1](Lambda[-1])[0])
    return Lambda

# %% wrong: inimnet_adjoint -- the Jacobian of phi is not transposed
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        phi = phis[l - 1]
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phi(x),))
        return value + slope + torch.func.jvp(phi, (x,), (value,))[1]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the ordinary gradient, through residual networks
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        end, pull = torch.func.vjp(lambda x: x + phis[l - 1](x), x)
        return pull(depth(l - 1, end))[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the layers in the other order
def inimnet_adjoint(phis, x, loss_grad):
    return [inimnet.inimnet_adjoint(phis[::-1][:l], x, loss_grad)[-1] for l in range(len(phis) + 1)]

# %% right: inimnet_adjoint -- one depth at a time
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope + pull(value)[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% right: inimnet_adjoint -- functions built upwards, whole Jacobian of phi
def inimnet_adjoint(phis, x, loss_grad):
    functions = [loss_grad]
    for phi in phis:

        def deeper(x, phi=phi, before=functions[-1]):
            value, slope = torch.func.jvp(before, (x,), (phi(x),))
            J = torch.func.vmap(torch.func.jacfwd(lambda r: phi(r[None])[0]))(x)
            return value + slope + (J.mT @ value[..., None])[..., 0]

        functions.append(deeper)
    return [Lambda(x) for Lambda in functions]

# %% wrong: parameter_gradient -- the adjoint of the whole network
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis, x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- the gradient of the loss, no layers
def parameter_gradient(phis, params, x, loss_grad):
    grads = torch.autograd.grad(phis[-1](x), params, loss_grad(x), allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- the mean over the samples
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach() / len(x)
    grads = torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- None where a parameter is not used
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    return torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)

# %% wrong: parameter_gradient -- the ordinary gradient
def parameter_gradient(phis, params, x, loss_grad):
    z = inimnet.inimnet_forward(phis, x)[-1]
    grads = torch.autograd.grad(z, params, loss_grad(z.detach()), allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- the layer is read at the output of the others
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    z = inimnet.inimnet_forward(phis[:-1], x)[-1].detach()
    grads = torch.autograd.grad(phis[-1](z), params, v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% right: parameter_gradient -- by the gradient of a sum
def parameter_gradient(phis, params, x, loss_grad):
    weight = inimnet.inimnet_adjoint(list(phis)[:-1], x, loss_grad)[-1].detach()
    value = (weight * phis[-1](x)).sum()
    found = []
    for param in params:
        (grad,) = torch.autograd.grad(value, param, allow_unused=True, retain_graph=True)
        found.append(torch.zeros_like(param) if grad is None else grad)
    return tuple(found)

# %% right: parameter_gradient -- materialised zeros
def parameter_gradient(phis, params, x, loss_grad):
    deepest, behind = phis[-1], phis[: len(phis) - 1]
    sensitivity = inimnet.inimnet_adjoint(behind, x, loss_grad)[len(behind)]
    return torch.autograd.grad(
        deepest(x), tuple(params), grad_outputs=sensitivity.detach(), allow_unused=True, materialize_grads=True
    )
