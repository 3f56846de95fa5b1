# Named answers to the exercises of notebook 09: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.

# %% wrong: projectile -- the flight is taken as q instead of q - p
def projectile(p, q, v, gravity):
    return v * q - gravity * q**2 / 2

# %% wrong: projectile -- the factor 1/2 is missing
def projectile(p, q, v, gravity):
    return v * (q - p) - gravity * (q - p) ** 2

# %% wrong: projectile -- gravity pulls upwards
def projectile(p, q, v, gravity):
    return v * (q - p) + gravity * (q - p) ** 2 / 2

# %% wrong: projectile -- start and end are exchanged: the flight is p - q
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

# %% wrong: transport_residual -- the difference is one-sided, towards p + dp
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return (z(p + dp, x) - z(p, x)) / dp + slope

# %% wrong: transport_residual -- the difference is divided by dp instead of 2 dp
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / dp + slope

# %% wrong: transport_residual -- the Jacobian is transposed
def transport_residual(z, f, p, x, dp):
    pulled = torch.func.vjp(lambda x: z(p, x), x)[1](f(p, x))[0]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + pulled

# %% wrong: transport_residual -- the result is detached: it carries no gradients
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return ((z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope).detach()

# %% wrong: transport_residual -- the field is added without the Jacobian
def transport_residual(z, f, p, x, dp):
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + f(p, x)

# %% wrong: transport_residual -- the field is read at depth 1 instead of p
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

# %% wrong: inimnet_forward -- phis[0] is taken as the deepest layer
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

# %% wrong: inimnet_forward -- it is a residual network, phis[0] first
def inimnet_forward(phis, x):
    z = [x]
    for phi in phis:
        z.append(z[-1] + phi(z[-1]))
    return z

# %% wrong: inimnet_forward -- the Jacobian is approximated by a sum of the layers' Jacobians
def inimnet_forward(phis, x):
    z = [x]
    for l, phi in enumerate(phis):
        step = phi(x)
        for earlier in phis[:l]:
            step = step + torch.func.jvp(earlier, (x,), (phi(x),))[1]
        z.append(z[-1] + step)
    return z

# %% wrong: inimnet_forward -- only the deepest output is returned
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

# %% wrong: inimnet_forward -- the outputs are detached: they carry no gradients
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return [depth(l, x).detach() for l in range(len(phis) + 1)]

# %% wrong: inimnet_forward -- the last layer never acts
def inimnet_forward(phis, x):
    def depth(l, x):
        if l <= 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return [depth(min(l, len(phis) - 1), x) for l in range(len(phis) + 1)]

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

# %% wrong: resnet_forward_from -- it is the path through the deepest network, not the outputs of all depths
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

# %% wrong: inimnet_adjoint -- the signs of the continuous equation stand in the steps
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value - slope - pull(value)[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the term with the transposed Jacobian is missing
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the Jacobian of Lambda is missing
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

# %% wrong: inimnet_adjoint -- it is the gradient through residual networks
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        end, pull = torch.func.vjp(lambda x: x + phis[l - 1](x), x)
        return pull(depth(l - 1, end))[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- phis[0] is taken as the deepest layer
def inimnet_adjoint(phis, x, loss_grad):
    def depth(layers, x):
        if not layers:
            return loss_grad(x)
        direction, pull = torch.func.vjp(layers[0], x)
        value, slope = torch.func.jvp(lambda x: depth(layers[1:], x), (x,), (direction,))
        return value + slope + pull(value)[0]

    return [depth(phis[:l], x) for l in range(len(phis) + 1)]

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

# %% wrong: parameter_gradient -- Lambda of the whole network is used, one layer too many
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis, x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- Lambda_0 is used, the gradient of the loss with no layers behind it
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

# %% wrong: parameter_gradient -- it is the gradient of the loss of the output
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

# %% wrong: projectile -- the flight is not squared
def projectile(p, q, v, gravity):
    return v * (q - p) - gravity * (q - p) / 2

# %% wrong: projectile -- the half is squared too
def projectile(p, q, v, gravity):
    return v * (q - p) - gravity * ((q - p) / 2) ** 2

# %% wrong: projectile -- gravity does not act
def projectile(p, q, v, gravity):
    return v * (q - p)

# %% wrong: projectile -- q^2 - p^2 stands for (q - p)^2
def projectile(p, q, v, gravity):
    return v * (q - p) - gravity * (q**2 - p**2) / 2

# %% wrong: projectile -- it is the speed at the end, not the height
def projectile(p, q, v, gravity):
    return v - gravity * (q - p)

# %% wrong: projectile -- the flight is taken as |q - p|
def projectile(p, q, v, gravity):
    flight = abs(q - p)
    return v * flight - gravity * flight**2 / 2

# %% wrong: projectile -- numbers give a tensor
def projectile(p, q, v, gravity):
    p, q, v, gravity = map(torch.as_tensor, (p, q, v, gravity))
    flight = q - p
    return v * flight - gravity * flight**2 / 2

# %% wrong: projectile -- numbers give a tensor
def projectile(p, q, v, gravity):
    flight = torch.as_tensor(q) - torch.as_tensor(p)
    return v * flight - gravity * torch.square(flight) / 2

# %% wrong: projectile -- tensors cannot be put in: math.pow takes numbers only
def projectile(p, q, v, gravity):
    import math

    return v * (q - p) - gravity * math.pow(q - p, 2) / 2

# %% wrong: projectile -- the division // rounds down
def projectile(p, q, v, gravity):
    return v * (q - p) - gravity * (q - p) ** 2 // 2

# %% wrong: projectile -- the whole is halved
def projectile(p, q, v, gravity):
    return (v * (q - p) - gravity * (q - p) ** 2) / 2

# %% wrong: projectile -- start and end are exchanged: the flight is p - q
def projectile(p, q, v, gravity):
    T = p - q
    return v * T - 0.5 * gravity * T * T

# %% wrong: projectile -- the tensor of starts is changed in place
def projectile(p, q, v, gravity):
    p -= q
    p *= -1
    return v * p - gravity * p**2 / 2

# %% wrong: projectile -- the height is printed, not returned
def projectile(p, q, v, gravity):
    flight = q - p
    height = v * flight - gravity * flight**2 / 2

# %% right: projectile -- with tensors that stay tensors and numbers that stay numbers
def projectile(start, end, speed, g):
    duration = end - start
    fall = 0.5 * g * duration * duration
    return -fall + speed * duration

# %% wrong: transport_residual -- only the difference in p is there
def transport_residual(z, f, p, x, dp):
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp)

# %% wrong: transport_residual -- only the term with the Jacobian is there
def transport_residual(z, f, p, x, dp):
    return torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]

# %% wrong: transport_residual -- "/ 2 * dp" multiplies by dp
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / 2 * dp + slope

# %% wrong: transport_residual -- the difference is one-sided, towards p - dp
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return (z(p, x) - z(p - dp, x)) / dp + slope

# %% wrong: transport_residual -- the difference has the wrong sign
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return (z(p - dp, x) - z(p + dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the first result of jvp is taken, z itself, not its slope
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[0]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the gradient of the sum of z is multiplied entry by entry
def transport_residual(z, f, p, x, dp):
    gradient = torch.func.grad(lambda x: z(p, x).sum())(x)
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + gradient * f(p, x)

# %% wrong: transport_residual -- the direction is z instead of the field
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (z(p, x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the direction is x instead of the field
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (x,))[1]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the direction is all ones instead of the field
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (torch.ones_like(x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the field is read at p + dp
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p + dp, x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the Jacobian is taken at p + dp
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p + dp, x), (x,), (f(p, x),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the field is read at z instead of x
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, z(p, x)),))[1]
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the derivative by x is a difference quotient, not exact
def transport_residual(z, f, p, x, dp):
    slope = (z(p, x + dp * f(p, x)) - z(p, x - dp * f(p, x))) / (2 * dp)
    return (z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope

# %% wrong: transport_residual -- the result is detached: it carries no gradients
def transport_residual(z, f, p, x, dp):
    with torch.no_grad():
        slope_in_p = (z(p + dp, x) - z(p - dp, x)) / (2 * dp)
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1].detach()
    return slope_in_p + slope

# %% wrong: transport_residual -- one number comes, the largest, instead of a tensor
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return ((z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope).abs().max()

# %% wrong: transport_residual -- absolute values are returned
def transport_residual(z, f, p, x, dp):
    slope = torch.func.jvp(lambda x: z(p, x), (x,), (f(p, x),))[1]
    return ((z(p + dp, x) - z(p - dp, x)) / (2 * dp) + slope).abs()

# %% right: transport_residual -- the pullback of the pullback
def transport_residual(z, f, p, x, dp):
    difference = z(p + dp, x) / (2 * dp) - z(p - dp, x) / (2 * dp)
    along = torch.autograd.functional.jvp(lambda y: z(p, y), x, f(p, x), create_graph=True)[1]
    return difference + along

# %% wrong: inimnet_forward -- z_0 is missing
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return [depth(l, x) for l in range(1, len(phis) + 1)]

# %% wrong: inimnet_forward -- the deepest output is missing
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return [depth(l, x) for l in range(len(phis))]

# %% wrong: inimnet_forward -- the deepest depth comes first in the list
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return [depth(l, x) for l in range(len(phis), -1, -1)]

# %% wrong: inimnet_forward -- it is a residual network, the deepest layer first
def inimnet_forward(phis, x):
    def depth(l, x):
        return x if l == 0 else depth(l - 1, x + phis[l - 1](x))

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_forward -- the lambdas bind late: all of them call the last function
def inimnet_forward(phis, x):
    z = lambda x: x
    outputs = [x]
    for phi in phis:
        deeper = lambda x: sum(torch.func.jvp(z, (x,), (phi(x),)))
        z = deeper
        outputs.append(z(x))
    return outputs

# %% wrong: inimnet_forward -- the lambdas bind late: all of them call the last function
def inimnet_forward(phis, x):
    z, outputs = (lambda y: y), [x]
    for phi in phis:
        def new_z(y):
            value, slope = torch.func.jvp(z, (y,), (phi(y),))
            return value + slope
        z = new_z
        outputs.append(z(x))
    return outputs

# %% wrong: inimnet_forward -- the layer reads the output z_l instead of x
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        direction = phis[l - 1](depth(l - 1, x))
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_forward -- the Jacobian is transposed: vjp stands for jvp
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, pull = torch.func.vjp(lambda x: depth(l - 1, x), x)
        return value + pull(phis[l - 1](x))[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_forward -- the old output is forgotten: only the slope is kept
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        return torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))[1]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_forward -- a tensor is differentiated, not a function
def inimnet_forward(phis, x):
    z = [x]
    for phi in phis:
        current = z[-1]
        value, slope = torch.func.jvp(lambda x: current, (x,), (phi(x),))
        z.append(value + slope)
    return z

# %% wrong: inimnet_forward -- phi_1 is the direction at every depth
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[0](x),))
        return value + slope

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_forward -- the sign of the Jacobian term is turned
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value - slope

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_forward -- the layer's own Jacobian is used, not that of z
def inimnet_forward(phis, x):
    z = [x]
    for l, phi in enumerate(phis):
        if l == 0:
            z.append(x + phi(x))
        else:
            z.append(z[-1] + torch.func.jvp(phi, (x,), (phis[l - 1](x),))[1])
    return z

# %% wrong: inimnet_forward -- one tensor comes instead of a list
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[l - 1](x),))
        return value + slope

    return torch.stack([depth(l, x) for l in range(len(phis) + 1)])

# %% right: inimnet_forward -- all depths in a tuple, by recursion on the list
def inimnet_forward(phis, x):
    if len(phis) == 0:
        return [x]
    *before, last = phis
    values, slopes = torch.func.jvp(lambda y: tuple(inimnet_forward(before, y)), (x,), (last(x),))
    return list(values) + [values[-1] + slopes[-1]]

# %% wrong: resnet_forward_from -- only the deepest output is returned
def resnet_forward_from(phis, x):
    for phi in reversed(phis):
        x = x + phi(x)
    return x

# %% wrong: resnet_forward_from -- it is the path through the deepest network, not the outputs of all depths
def resnet_forward_from(phis, x):
    z = [x]
    for l in range(1, len(phis) + 1):
        state = x
        for phi in list(reversed(phis))[:l]:
            state = state + phi(state)
        z.append(state)
    return z

# %% wrong: resnet_forward_from -- the deepest output is missing
def resnet_forward_from(phis, x):
    z = []
    for l in range(len(phis)):
        state = x
        for phi in reversed(phis[:l]):
            state = state + phi(state)
        z.append(state)
    return z

# %% wrong: resnet_forward_from -- the list of layers is reversed in place
def resnet_forward_from(phis, x):
    def network(layers):
        state = x
        for phi in layers:
            state = state + phi(state)
        return state

    phis.reverse()
    return [network(phis[len(phis) - l :]) for l in range(len(phis) + 1)]

# %% wrong: resnet_forward_from -- the skip connection comes from the input, not from the state
def resnet_forward_from(phis, x):
    z = [x]
    for l in range(1, len(phis) + 1):
        state = x
        for phi in reversed(phis[:l]):
            state = x + phi(state)
        z.append(state)
    return z

# %% wrong: resnet_forward_from -- the state is not reset: each network goes on where the last one ended
def resnet_forward_from(phis, x):
    z, state = [x], x
    for l in range(1, len(phis) + 1):
        for phi in reversed(phis[:l]):
            state = state + phi(state)
        z.append(state)
    return z

# %% wrong: resnet_forward_from -- it is InImNet
def resnet_forward_from(phis, x):
    return inimnet.inimnet_forward(phis, x)

# %% wrong: resnet_forward_from -- the outputs are detached: they carry no gradients
def resnet_forward_from(phis, x):
    def depth(l, x):
        return x if l == 0 else depth(l - 1, x + phis[l - 1](x))

    return [depth(l, x).detach() for l in range(len(phis) + 1)]

# %% wrong: resnet_forward_from -- the outputs are detached: they carry no gradients
@torch.no_grad()
def resnet_forward_from(phis, x):
    def depth(l, x):
        return x if l == 0 else depth(l - 1, x + phis[l - 1](x))

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: resnet_forward_from -- the deepest depth comes first in the list
def resnet_forward_from(phis, x):
    def depth(l, x):
        return x if l == 0 else depth(l - 1, x + phis[l - 1](x))

    return [depth(l, x) for l in range(len(phis), -1, -1)]

# %% wrong: resnet_forward_from -- one tensor comes instead of a list
def resnet_forward_from(phis, x):
    def depth(l, x):
        return x if l == 0 else depth(l - 1, x + phis[l - 1](x))

    return torch.stack([depth(l, x) for l in range(len(phis) + 1)])

# %% wrong: resnet_forward_from -- phi_1 acts after every layer
def resnet_forward_from(phis, x):
    z = [x]
    for phi in phis:
        state = x + phi(x)
        z.append(state if phi is phis[0] else state + phis[0](state))
    return z

# %% right: resnet_forward_from -- networks as functions, built from the output
def resnet_forward_from(phis, x):
    networks = [lambda y: y]
    for phi in phis:
        networks.append(lambda y, phi=phi, rest=networks[-1]: rest(y + phi(y)))
    return [network(x) for network in networks]

# %% wrong: inimnet_adjoint -- Lambda_0 is missing
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope + pull(value)[0]

    return [depth(l, x) for l in range(1, len(phis) + 1)]

# %% wrong: inimnet_adjoint -- only the deepest Lambda is returned
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope + pull(value)[0]

    return depth(len(phis), x)

# %% wrong: inimnet_adjoint -- the term Lambda_l itself is forgotten
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return slope + pull(value)[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the pullback is applied to Lambda_0 at every depth
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope + pull(loss_grad(x))[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the pullback is applied to the slope as well
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope + pull(value + slope)[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the sign of the pulled-back term is turned
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope - pull(value)[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- it is the gradient of the loss of the output z_l
def inimnet_adjoint(phis, x, loss_grad):
    def gradient(l):
        end, pull = torch.func.vjp(lambda x: inimnet.inimnet_forward(phis[:l], x)[-1], x)
        return pull(loss_grad(end))[0]

    return [gradient(l) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the loss is taken as constant along the layers: its gradient is computed once
def inimnet_adjoint(phis, x, loss_grad):
    start = loss_grad(x)

    def depth(l, x):
        if l == 0:
            return start
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope + pull(value)[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the list of layers is emptied
def inimnet_adjoint(phis, x, loss_grad):
    functions = [loss_grad]
    while phis:
        phi = phis.pop(0)

        def deeper(x, phi=phi, before=functions[-1]):
            direction, pull = torch.func.vjp(phi, x)
            value, slope = torch.func.jvp(before, (x,), (direction,))
            return value + slope + pull(value)[0]

        functions.append(deeper)
    return [Lambda(x) for Lambda in functions]

# %% wrong: inimnet_adjoint -- the results are detached: they carry no gradients
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        direction, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (direction,))
        return value + slope + pull(value)[0]

    return [depth(l, x).detach() for l in range(len(phis) + 1)]

# %% wrong: inimnet_adjoint -- the lambdas bind late: all of them call the last function
def inimnet_adjoint(phis, x, loss_grad):
    current, found = loss_grad, [loss_grad(x)]
    for phi in phis:
        def deeper(y):
            direction, pull = torch.func.vjp(phi, y)
            value, slope = torch.func.jvp(current, (y,), (direction,))
            return value + slope + pull(value)[0]
        current = deeper
        found.append(current(x))
    return found

# %% wrong: inimnet_adjoint -- the direction is x instead of phi(x)
def inimnet_adjoint(phis, x, loss_grad):
    def depth(l, x):
        if l == 0:
            return loss_grad(x)
        _, pull = torch.func.vjp(phis[l - 1], x)
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (x,))
        return value + slope + pull(value)[0]

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% right: inimnet_adjoint -- the gradient of a transported loss of one's own
def inimnet_adjoint(phis, x, loss_grad):
    def shallower(l):
        if l == 0:
            return loss_grad
        before, phi = shallower(l - 1), phis[l - 1]

        def gradient(y):
            # d/dx of <Lambda, phi>: half of it moves Lambda, half of it moves phi
            moved = torch.func.jvp(before, (y,), (phi(y),))[1]
            here = before(y)
            turned = torch.func.vjp(phi, y)[1](here)[0]
            return here + moved + turned

        return gradient

    return [shallower(l)(x) for l in range(len(phis) + 1)]

# %% wrong: parameter_gradient -- a list comes instead of a tuple
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(params, grads)]

# %% wrong: parameter_gradient -- Lambda_0 is used, the gradient of the loss with no layers behind it
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[0].detach()
    grads = torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- the first layer is differentiated instead of the deepest
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[1:], x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(phis[0](x), params, v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- parameters that are not used are left out of the result
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)
    return tuple(g for g in grads if g is not None)

# %% wrong: parameter_gradient -- autograd refuses a parameter that is not used
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    return torch.autograd.grad(phis[-1](x), params, v)

# %% wrong: parameter_gradient -- a parameter that is not used gets the number 0
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)
    return tuple(torch.tensor(0.0) if g is None else g for g in grads)

# %% wrong: parameter_gradient -- Lambda is forgotten: the layer's outputs are summed
def parameter_gradient(phis, params, x, loss_grad):
    grads = torch.autograd.grad(phis[-1](x).sum(), params, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- the gradient of the loss at the output of the others is used
def parameter_gradient(phis, params, x, loss_grad):
    v = loss_grad(inimnet.inimnet_forward(phis[:-1], x)[-1]).detach()
    grads = torch.autograd.grad(phis[-1](x), params, v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- the gradients are written into .grad and gather there
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    (v * phis[-1](x)).sum().backward()
    return tuple(torch.zeros_like(p) if p.grad is None else p.grad for p in params)

# %% wrong: parameter_gradient -- the deepest layer is taken out of the list
def parameter_gradient(phis, params, x, loss_grad):
    deepest = phis.pop()
    v = inimnet.inimnet_adjoint(phis, x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(deepest(x), params, v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% wrong: parameter_gradient -- the sign is turned, as for a descent
def parameter_gradient(phis, params, x, loss_grad):
    v = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    grads = torch.autograd.grad(phis[-1](x), params, -v, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(params, grads))

# %% right: parameter_gradient -- one product per sample, summed
def parameter_gradient(phis, params, x, loss_grad):
    Lambda = inimnet.inimnet_adjoint(list(phis[:-1]), x, loss_grad)[-1].detach()
    total = [torch.zeros_like(p) for p in params]
    for sample, weight in zip(x, Lambda):
        out = phis[-1](sample[None])[0]
        for i, g in enumerate(torch.autograd.grad(out, params, weight, allow_unused=True)):
            if g is not None:
                total[i] = total[i] + g
    return tuple(total)

# %% wrong: projectile -- gravity acts for the time q instead of the flight q - p
def projectile(p, q, v, gravity):
    return v * (q - p) - gravity * q**2 / 2

# %% wrong: projectile -- the body stops at the ground
def projectile(p, q, v, gravity):
    return max(0, v * (q - p) - gravity * (q - p) ** 2 / 2)

# %% wrong: transport_residual -- z and the field are exchanged in the Jacobian-vector product
def transport_residual(z, f, p, x, dp):
    slope_in_p = (z(p + dp, x) - z(p - dp, x)) / (2 * dp)
    _, slope_in_x = torch.func.jvp(lambda x: f(p, x), (x,), (z(p, x),))
    return slope_in_p + slope_in_x

# %% wrong: inimnet_forward -- the layer is differentiated in the direction of the output, not the output in that of the layer
def inimnet_forward(phis, x):
    out = [x]
    for phi in phis:
        out.append(out[-1] + torch.func.jvp(phi, (x,), (out[-1],))[1])
    return out

# %% wrong: inimnet_forward -- the recursion starts with the last layer of the list
def inimnet_forward(phis, x):
    def depth(l, x):
        if l == 0:
            return x
        value, slope = torch.func.jvp(lambda x: depth(l - 1, x), (x,), (phis[-l](x),))
        return value + slope

    return [depth(l, x) for l in range(len(phis) + 1)]

# %% wrong: resnet_forward_from -- the input is changed in place: the state is no copy of it
def resnet_forward_from(phis, x):
    depths = [x]
    for count in range(1, len(phis) + 1):
        state = x
        for phi in reversed(phis[:count]):
            state += phi(state)
        depths.append(state)
    return depths

# %% wrong: parameter_gradient -- backward gathers the gradients in .grad, and they are returned from there
def parameter_gradient(phis, params, x, loss_grad):
    sensitivity = inimnet.inimnet_adjoint(phis[:-1], x, loss_grad)[-1].detach()
    (phis[-1](x) * sensitivity).sum().backward()
    return tuple(param.grad for param in params)
