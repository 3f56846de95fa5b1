# %% wrong: train_and_test -- the momentum is missing
def train(net, loader, n_epoch=40, learning_rate=0.05):
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


test = irevnet.test


# %% wrong: train_and_test -- the gradients are never set to zero
def train(net, loader, n_epoch=40, learning_rate=0.05):
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            loss = torch.nn.functional.cross_entropy(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


test = irevnet.test


# %% wrong: train_and_test -- the losses are stored as tensors with their graphs
def train(net, loader, n_epoch=40, learning_rate=0.05):
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss)
    return losses


test = irevnet.test


# %% wrong: train_and_test -- only the losses of the last epoch come back
def train(net, loader, n_epoch=40, learning_rate=0.05):
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    for _ in range(n_epoch):
        losses = []
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


test = irevnet.test


# %% wrong: train_and_test -- the optimiser never takes its step
def train(net, loader, n_epoch=40, learning_rate=0.05):
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(inputs), labels)
            loss.backward()
            losses.append(loss.item())
    return losses


test = irevnet.test
# %% wrong: train_and_test -- the accuracies of the batches are averaged
train = irevnet.train


def test(net, loader):
    rates = []
    was_training = net.training
    net.eval()
    with torch.no_grad():
        for inputs, labels in loader:
            rates.append((net(inputs).argmax(1) == labels).float().mean().item())
    net.train(was_training)
    return sum(rates) / len(rates)


# %% wrong: train_and_test -- the accuracy is in per cent
train = irevnet.train


def test(net, loader):
    return 100 * irevnet.test(net, loader)


# %% wrong: train_and_test -- testing leaves the net in eval mode
train = irevnet.train


def test(net, loader):
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (net(inputs).argmax(1) == labels).sum().item()
            total += len(labels)
    return correct / total


# %% wrong: train_and_test -- testing switches to training mode afterwards, whatever it was
train = irevnet.train


def test(net, loader):
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (net(inputs).argmax(1) == labels).sum().item()
            total += len(labels)
    net.train()
    return correct / total


# %% wrong: train_and_test -- testing gives the net's mode to all of its modules
train = irevnet.train


def test(net, loader):
    was_training = net.training
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        net.train(was_training)
    return correct / total


# %% wrong: train_and_test -- after an error the net stays in eval mode
train = irevnet.train


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (net(inputs).argmax(1) == labels).sum().item()
            total += len(labels)
    for module, mode in modes:
        module.training = mode
    return correct / total


# %% wrong: train_and_test -- testing records gradients and stays in training mode
train = irevnet.train


def test(net, loader):
    correct = total = 0
    for inputs, labels in loader:
        correct += (net(inputs).argmax(1) == labels).sum().item()
        total += len(labels)
    return correct / total


# %% right: train_and_test -- the update written out by hand, argmax by topk
def train(net, loader, n_epoch=40, learning_rate=0.05):
    parameters = list(net.parameters())
    speeds = [torch.zeros_like(p) for p in parameters]
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            log_p = net(inputs).log_softmax(1)
            loss = -log_p[range(len(labels)), labels].mean()
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, v, g in zip(parameters, speeds, gradients):
                    v.mul_(0.9).add_(g)
                    p.sub_(learning_rate * v)
            losses.append(float(loss))
    return losses


def test(net, loader):
    from contextlib import ExitStack

    hits = []
    with ExitStack() as stack, torch.inference_mode():
        for module in net.modules():
            stack.callback(setattr, module, "training", module.training)
        net.eval()
        for inputs, labels in loader:
            hits += (net(inputs).topk(1).indices[:, 0] == labels).tolist()
    return sum(hits) / len(hits)


# %% right: train_and_test -- the package's evaluation, gradients set to None by the net
def train(net, loader, n_epoch=40, learning_rate=0.05):
    optimizer = torch.optim.SGD(net.parameters(), learning_rate, 0.9)
    losses = []
    for _ in range(n_epoch):
        for batch in loader:
            net.zero_grad()
            loss = torch.nn.CrossEntropyLoss()(net(batch[0]), batch[1])
            loss.backward()
            optimizer.step()
            losses += [loss.detach().item()]
    return losses


def test(net, loader):
    return training.accuracy(net, loader)


# %% wrong: coupling -- the halves do not swap
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x_tilde = x_tilde + f(x)
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y_tilde = y_tilde - f(y)
    return y, y_tilde


# %% wrong: coupling -- F reads the half to which it is added
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x_tilde), x
    return x, x_tilde


coupling_inverse = irevnet.coupling_inverse


# %% wrong: coupling -- the last function acts first, and the inverse mirrors it
def coupling_forward(fs, x, x_tilde):
    for f in reversed(fs):
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in fs:
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse takes the functions in the order of the forward pass
coupling_forward = irevnet.coupling_forward


def coupling_inverse(fs, y, y_tilde):
    for f in fs:
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse adds
coupling_forward = irevnet.coupling_forward


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y + f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse remembers what went in
def coupling_forward(fs, x, x_tilde):
    coupling_forward.seen = x, x_tilde
    return irevnet.coupling_forward(fs, x, x_tilde)


def coupling_inverse(fs, y, y_tilde):
    return coupling_forward.seen


# %% wrong: coupling -- the half is changed in place
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x_tilde += f(x)
        x, x_tilde = x_tilde, x
    return x, x_tilde


coupling_inverse = irevnet.coupling_inverse


# %% wrong: coupling -- gradients stop at each layer
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = (x_tilde + f(x)).detach(), x
    return x, x_tilde


coupling_inverse = irevnet.coupling_inverse


# %% right: coupling -- by recursion
def coupling_forward(fs, x, x_tilde):
    if not fs:
        return x, x_tilde
    return coupling_forward(fs[1:], torch.add(fs[0](x), x_tilde), x)


def coupling_inverse(fs, y, y_tilde):
    if not fs:
        return y, y_tilde
    return coupling_inverse(fs[:-1], y_tilde, y.sub(fs[-1](y_tilde)))


# %% right: coupling -- by index, a list for the result
def coupling_forward(fs, x, x_tilde):
    halves = [x, x_tilde]
    for j in range(len(fs)):
        new = halves[1] + fs[j](halves[0])
        halves = [new, halves[0]]
    return halves


def coupling_inverse(fs, y, y_tilde):
    halves = [y, y_tilde]
    for j in range(len(fs) - 1, -1, -1):
        kept = halves[1]
        halves = [kept, halves[0] - fs[j](kept)]
    return halves


# %% wrong: inverse_element -- the minus is missing
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, f, torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the swaps are missing
def inverse_element(fs):
    return [lambda v, f=f: -f(v) for f in reversed(fs)]


# %% wrong: inverse_element -- the order is not reversed
def inverse_element(fs):
    gs = []
    for f in fs:
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the lambdas share the last function of the loop
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- only the swap after the layer
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [lambda v, f=f: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the caller's list is reversed in place
def inverse_element(fs):
    gs = []
    while fs:
        gs += [torch.zeros_like, lambda v, f=fs.pop(): -f(v), torch.zeros_like]
    return gs


# %% right: inverse_element -- neighbouring swaps cancelled
def inverse_element(fs):
    def negative(f):
        return lambda v: f(v).neg()

    zero = lambda v: 0 * v
    return [zero] + [negative(f) for f in fs[::-1]] + [zero]


# %% right: inverse_element -- by recursion with partial application
def inverse_element(fs):
    from functools import partial

    def minus(f, v):
        return torch.zeros_like(v) - f(v)

    if not fs:
        return []
    return [
        torch.zeros_like,
        partial(minus, fs[-1]),
        torch.zeros_like,
    ] + inverse_element(fs[:-1])


# %% wrong: split_along_channels -- the batch is cut
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("odd")
        return x[: len(x) // 2], x[len(x) // 2 :]

    def inverse(self, X):
        return torch.cat(X, dim=0)


# %% wrong: split_along_channels -- even and odd channels
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("odd")
        return x[:, ::2], x[:, 1::2]

    def inverse(self, X):
        return torch.stack(X, 2).flatten(1, 2)


# %% wrong: split_along_channels -- an odd number is not refused
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the inverse stacks
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("odd")
        return x.chunk(2, 1)

    def inverse(self, X):
        return torch.stack(X, dim=1)


# %% wrong: split_along_channels -- the inverse exchanges the halves
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("odd")
        return x.chunk(2, 1)

    def inverse(self, X):
        return torch.cat([X[1], X[0]], dim=1)


# %% wrong: split_along_channels -- always eight channels, as in the lab
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("odd")
        return x[:, :8], x[:, 8:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% right: split_along_channels -- torch.split
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        half, rest = divmod(x.size(1), 2)
        if rest:
            raise ValueError("the number of channels is odd")
        return torch.split(x, half, dim=1)

    def inverse(self, X):
        first, second = X
        return torch.hstack([first, second])


# %% right: split_along_channels -- a view with an axis of two, and a copy
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        s, channels, *size = x.shape
        if channels % 2 != 0:
            raise ValueError("odd")
        halves = x.reshape(s, 2, channels // 2, *size)
        return halves[:, 0].clone(), halves[:, 1].clone()

    def inverse(self, X):
        return torch.stack(list(X), dim=1).flatten(1, 2)


# %% wrong: invertible_layer -- the halves do not swap
class InvertibleLayer(irevnet.InvertibleLayer):
    def forward(self, X):
        a, b = X
        return a + torch.relu(self.conv(b)), b

    def inverse(self, X):
        a, b = X
        return a - torch.relu(self.conv(b)), b


# %% wrong: invertible_layer -- the ReLU is missing
class InvertibleLayer(irevnet.InvertibleLayer):
    def forward(self, X):
        a, b = X
        return b, a + self.conv(b)

    def inverse(self, X):
        c, d = X
        return d - self.conv(c), c


# %% wrong: invertible_layer -- the ReLU covers the sum
class InvertibleLayer(irevnet.InvertibleLayer):
    def forward(self, X):
        a, b = X
        return b, torch.relu(a + self.conv(b))


# %% wrong: invertible_layer -- the inverse adds
class InvertibleLayer(irevnet.InvertibleLayer):
    def inverse(self, X):
        c, d = X
        return d + torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the convolution reads the half that it changes
class InvertibleLayer(irevnet.InvertibleLayer):
    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(a))


# %% wrong: invertible_layer -- the inverse convolves the changed half
class InvertibleLayer(irevnet.InvertibleLayer):
    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(d)), c


# %% wrong: invertible_layer -- the half is changed in place
class InvertibleLayer(irevnet.InvertibleLayer):
    def forward(self, X):
        a, b = X
        a += torch.relu(self.conv(b))
        return b, a


# %% wrong: invertible_layer -- the weights are detached
class InvertibleLayer(irevnet.InvertibleLayer):
    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b)).detach()


# %% right: invertible_layer -- clamp, and a method for F
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def F(self, half):
        return self.conv(half).clamp(min=0)

    def forward(self, X):
        return X[1], self.F(X[1]) + X[0]

    def inverse(self, X):
        return X[1] - self.F(X[0]), X[0]


# %% right: invertible_layer -- a list for the pair, functional convolution
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding="same")

    def forward(self, X):
        kernel, bias = self.conv.weight, self.conv.bias
        size = kernel.shape[-1] // 2
        more = torch.nn.functional.conv2d(X[1], kernel, bias, padding=size)
        return [X[1], torch.nn.functional.relu(more) + X[0]]

    def inverse(self, X):
        old_a, old_b = X[1] - torch.nn.functional.relu(self.conv(X[0])), X[0]
        return [old_a, old_b]


# %% wrong: irevnet -- the halves are joined in the wrong order
class iRevNet(irevnet.iRevNet):
    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = torch.cat([X[1], X[0]], 1)
        return self.fc(features.flatten(1)) if classif else features


# %% wrong: irevnet -- the inverse takes the layers in the forward order
class iRevNet(irevnet.iRevNet):
    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the classifier is applied to the image
class iRevNet(irevnet.iRevNet):
    def forward(self, x, classif=True):
        if classif:
            return self.fc(x.flatten(1))
        return super().forward(x, classif=False)


# %% wrong: irevnet -- classif is ignored
class iRevNet(irevnet.iRevNet):
    def forward(self, x, classif=True):
        return super().forward(x)


# %% wrong: irevnet -- only three layers
class iRevNet(irevnet.iRevNet):
    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the inverse returns the image it saw last
class iRevNet(irevnet.iRevNet):
    def forward(self, x, classif=True):
        self.seen = x
        return super().forward(x, classif)

    def inverse(self, x):
        return self.seen if hasattr(self, "seen") else x


# %% wrong: irevnet -- a softmax on the scores
class iRevNet(irevnet.iRevNet):
    def forward(self, x, classif=True):
        out = super().forward(x, classif)
        return out.softmax(1) if classif else out


# %% wrong: irevnet -- the features are flattened
class iRevNet(irevnet.iRevNet):
    def forward(self, x, classif=True):
        out = super().forward(x, classif)
        return out if classif else out.flatten(1)


# %% right: irevnet -- one method for the features, layers by name
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        for j in range(1, 5):
            setattr(self, f"conv{j}", irevnet.InvertibleLayer())
        self.fc = torch.nn.Linear(784, 10)

    def features(self, x):
        X = self.split(x)
        for j in range(1, 5):
            X = getattr(self, f"conv{j}")(X)
        return self.split.inverse(X)

    def forward(self, x, classif=True):
        z = self.features(x)
        if classif:
            z = self.fc(z.reshape(-1, 784))
        return z

    def inverse(self, x):
        X = self.split(x)
        for j in range(4, 0, -1):
            X = getattr(self, f"conv{j}").inverse(X)
        return self.split.inverse(X)


# %% right: irevnet -- without the split module, in one expression each
class iRevNet(irevnet.iRevNet):
    def forward(self, x, classif=True):
        a, b = x[:, :8], x[:, 8:]
        for layer in [self.conv1, self.conv2, self.conv3, self.conv4]:
            a, b = b, a + layer.conv(b).relu()
        z = torch.cat([a, b], 1)
        if not classif:
            return z
        return torch.nn.functional.linear(
            z.flatten(start_dim=1), self.fc.weight, self.fc.bias
        )

    def inverse(self, x):
        return self.split.inverse(
            self.conv1.inverse(
                self.conv2.inverse(
                    self.conv3.inverse(self.conv4.inverse(self.split(x)))
                )
            )
        )
