# Named answers to the exercises of notebook 07: the wrong ones must lose points,
# the right ones must get them all. Parsed by `tests/notebooks.py`.


# %% wrong: train_and_test -- the momentum is missing
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the momentum is missing
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- a new optimiser is made in each epoch, which forgets the momentum
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    losses = []
    for _ in range(n_epoch):
        optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the gradients are never set to zero
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the gradients are set to zero once in each epoch only
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        optimizer.zero_grad()
        for inputs, labels in loader:
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the gradients are set to zero once in each epoch only
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        optimizer.zero_grad()
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the optimiser never takes a step
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the optimiser never takes a step
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the optimiser never takes a step
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            optimizer.step()
            loss.backward()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- each step is taken with the gradient of the batch before
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            loss = criterion(net(inputs), labels)
            optimizer.step()
            optimizer.zero_grad()
            loss.backward()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the losses are tensors, not Python floats
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss)
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the losses are tensors, not Python floats
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the losses of the last epoch only come back
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    for _ in range(n_epoch):
        losses = []
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- one loss comes back for each epoch, that of its last batch
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- one loss comes back for each epoch, the mean over its batches
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        of_epoch = []
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            of_epoch.append(loss.item())
        losses.append(sum(of_epoch) / len(of_epoch))
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- only the last loss comes back
def train(net, loader, n_epoch=40, learning_rate=0.05):
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
    return losses[-1]


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the learning rate is not the one that is asked for
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the losses of a batch are summed, not averaged
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss(reduction="sum")
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- a softmax stands before the cross-entropy, which takes one itself
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs).softmax(1), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the softmax is missing in the loss: the scores are taken for log-probabilities
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.NLLLoss()
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the loss is computed again after the step
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(criterion(net(inputs), labels).item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- each loss is multiplied by the size of its batch
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item() * len(labels))
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the mean of all losses so far is stored
def train(net, loader, n_epoch=40, learning_rate=0.05):
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
    return [sum(losses[: k + 1]) / (k + 1) for k in range(len(losses))]


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- Adam takes the steps instead of SGD
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the momentum is that of Nesterov
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9, nesterov=True)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the gradient is damped by 1 - 0.9 before it is added to the momentum
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9, dampening=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the weights decay
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9, weight_decay=1e-4)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the batches of the first epoch are used again in every epoch
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    batches = list(loader)
    for _ in range(n_epoch):
        for inputs, labels in batches:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- training ends after the first epoch
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- training ends after the first step
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- training takes one epoch too many
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch + 1):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- only the first batch of each epoch is used
def train(net, loader, n_epoch=40, learning_rate=0.05):
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
            break
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- backward is called on a number: .item() comes too early
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels).item()
            loss.backward()
            optimizer.step()
            losses.append(loss)
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- labels and scores are exchanged in the cross-entropy
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(labels, net(inputs))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the squared error to the one-hot labels is minimised, not the cross-entropy
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = ((net(inputs) - torch.nn.functional.one_hot(labels, 3)) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the losses come back as one tensor
def train(net, loader, n_epoch=40, learning_rate=0.05):
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
    return torch.tensor(losses)


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- train returns nothing
def train(net, loader, n_epoch=40, learning_rate=0.05):
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



def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the accuracies of the batches are averaged
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).float().mean().item()
                total += 1
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the fraction is in per cent
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return 100 * correct / total


# %% wrong: train_and_test -- the hits are counted, but not divided
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct


# %% wrong: train_and_test -- the hits are divided by the number of batches
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += 1
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- only the last batch counts
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct = (net(inputs).argmax(1) == labels).sum().item()
                total = len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the hits of all batches are divided by the size of the last
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total = len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- only the first batch counts
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
                return correct / total
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the wrong ones are counted instead of the right ones
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) != labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the fraction is rounded down to an integer
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct // total


# %% wrong: train_and_test -- the largest score is sought along the batch, not along the classes
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(0) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the largest score is sought in the whole batch: argmax has no axis
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax() == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- testing does not switch to eval mode
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- gradients are recorded while testing
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        for inputs, labels in loader:
            correct += (net(inputs).argmax(1) == labels).sum().item()
            total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- gradients are not recorded any more after the test
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    torch.set_grad_enabled(False)
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- testing neither switches to eval mode nor stops recording gradients
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    correct = total = 0
    for inputs, labels in loader:
        correct += (net(inputs).argmax(1) == labels).sum().item()
        total += len(labels)
    return correct / total


# %% wrong: train_and_test -- all modules are left in eval mode
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (net(inputs).argmax(1) == labels).sum().item()
            total += len(labels)
    return correct / total


# %% wrong: train_and_test -- all modules are left in training mode
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (net(inputs).argmax(1) == labels).sum().item()
            total += len(labels)
    net.train()
    return correct / total


# %% wrong: train_and_test -- the net's mode is given to all of its modules afterwards, and not after an error
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    was_training = net.training
    net.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (net(inputs).argmax(1) == labels).sum().item()
            total += len(labels)
    net.train(was_training)
    return correct / total


# %% wrong: train_and_test -- the net's mode is given to all of its modules afterwards
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


# %% wrong: train_and_test -- after an error the modules stay in eval mode
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


# %% wrong: train_and_test -- only the net itself is switched to eval mode, not its parts
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.training = False
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the mode of the net is restored, but not that of its parts
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        net.training = modes[0][1]
    return correct / total


# %% wrong: train_and_test -- all modules are left in eval mode
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    net.eval()
    modes = [(module, module.training) for module in net.modules()]
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- an error of the net is not passed on
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    except ValueError:
        pass
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- the net is switched to training mode for the test
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.train()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: train_and_test -- test returns nothing
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    correct / total


# %% wrong: train_and_test -- the result is a pair: the hits and their fraction
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct, correct / total


# %% right: train_and_test -- the update written out by hand, the largest score by topk
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


# %% right: train_and_test -- gradients emptied by the net, modes in a dict, a decorator against gradients
def train(net, loader, n_epoch=40, learning_rate=0.05):
    optimizer = torch.optim.SGD(net.parameters(), learning_rate, 0.9)
    losses = []
    net.train()
    for _ in range(n_epoch):
        for batch in loader:
            net.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(batch[0]), batch[1])
            loss.backward()
            optimizer.step()
            losses += [loss.detach().item()]
    return losses


@torch.no_grad()
def test(net, loader):
    modes = {module: module.training for module in net.modules()}
    try:
        net.train(False)
        hits = [net(x).argmax(dim=-1).eq(y) for x, y in loader]
        return torch.cat(hits).double().mean().item()
    finally:
        for module in modes:
            module.training = modes[module]


# %% right: train_and_test -- zeroed at the end of the step, the loss with its logarithm written out
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        for inputs, labels in loader:
            scores = net(inputs)
            loss = (scores.logsumexp(1) - scores.gather(1, labels[:, None])[:, 0]).mean()
            loss.backward()
            losses.append(loss.tolist())
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total


# %% wrong: coupling -- the halves do not swap, neither forward nor back
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x_tilde = x_tilde + f(x)
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y_tilde = y_tilde - f(y)
    return y, y_tilde


# %% wrong: coupling -- the halves do not swap in the forward pass
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x_tilde = x_tilde + f(x)
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- forward swaps the halves before F reads one
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde, x + f(x_tilde)
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the last function of the list acts first, forward and back
def coupling_forward(fs, x, x_tilde):
    for f in reversed(fs):
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in fs:
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the last function of the list acts first in the forward pass
def coupling_forward(fs, x, x_tilde):
    for f in fs[::-1]:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse takes the functions in the order of the forward pass
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in fs:
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse adds F instead of subtracting it
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y + f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- forward subtracts F, and the inverse adds it
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde - f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y + f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse takes the difference the wrong way round
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, f(y_tilde) - y
    return y, y_tilde


# %% wrong: coupling -- F reads the half to which it is added
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x_tilde), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- F replaces the other half instead of being added to it
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse reads the first half, not the second, which the layer has kept
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y)
    return y, y_tilde


# %% wrong: coupling -- the layer is that of the lab, equation (5), instead of equation (2)
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde, x + f(x_tilde)
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde - f(y), y
    return y, y_tilde


# %% wrong: coupling -- the inverse is that of the lab's layer, equation (5), instead of equation (3)
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde - f(y), y
    return y, y_tilde


# %% wrong: coupling -- the inverse does not swap the halves
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y = y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the halves come back from the inverse in the wrong order
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y_tilde, y


# %% wrong: coupling -- the halves come out of the forward pass in the wrong order
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x_tilde, x


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- x is overwritten before it is handed on: both halves are the same
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x = x_tilde + f(x)
        x_tilde = x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- y is overwritten in the inverse before it is used
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y = y_tilde
        y_tilde = y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- F reads the half to which it is added
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde, x
        x = x + f(x)
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- only the first layer acts in the forward pass
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
        return x, x_tilde
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse ends after one layer, the last of the list
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
        return y, y_tilde
    return y, y_tilde


# %% wrong: coupling -- the last layer is left out of the forward pass
def coupling_forward(fs, x, x_tilde):
    for f in fs[:-1]:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse leaves the first layer of the list out
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for j in range(len(fs) - 1, 0, -1):
        f = fs[j]
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the same function, the first of the list, is used in every layer
def coupling_forward(fs, x, x_tilde):
    for f in [fs[0] for _ in fs]:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in [fs[0] for _ in fs]:
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse walks the forward pass once more
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in fs:
        y, y_tilde = y_tilde + f(y), y
    return y, y_tilde


# %% wrong: coupling -- the inverse remembers what went into the forward pass
def coupling_forward(fs, x, x_tilde):
    coupling_forward.seen = x, x_tilde
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    return coupling_forward.seen


# %% wrong: coupling -- forward changes a half of the caller in place
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x_tilde += f(x)
        x, x_tilde = x_tilde, x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse changes a half of the caller in place
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y -= f(y_tilde)
        y, y_tilde = y_tilde, y
    return y, y_tilde


# %% wrong: coupling -- the inverse reverses the caller's list in place
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    fs.reverse()
    for f in fs:
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse empties the caller's list
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    while fs:
        f = fs.pop()
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- forward empties the caller's list
def coupling_forward(fs, x, x_tilde):
    while fs:
        f = fs.pop(0)
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- gradients stop in each layer of the forward pass
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = (x_tilde + f(x)).detach(), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the functions are detached in the forward pass: their weights get no gradient
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x).detach(), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the functions are detached in the inverse: their weights get no gradient
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde).detach()
    return y, y_tilde


# %% wrong: coupling -- the inverse records no gradients
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    with torch.no_grad():
        for f in reversed(fs):
            y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- only the first half comes out of the forward pass
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- only the first half comes back from the inverse
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y


# %% wrong: coupling -- the two halves are joined into one tensor, forward and back
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return torch.cat([x, x_tilde], dim=-1)


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return torch.cat([y, y_tilde], dim=-1)


# %% wrong: coupling -- all layers come back from the forward pass, not the last halves only
def coupling_forward(fs, x, x_tilde):
    halves = [(x, x_tilde)]
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
        halves.append((x, x_tilde))
    return halves


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse returns nothing
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)


# %% wrong: coupling -- forward returns nothing
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x



def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


# %% wrong: coupling -- the inverse reads and changes the same half, the second
def coupling_forward(fs, x, x_tilde):
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(fs, y, y_tilde):
    for f in reversed(fs):
        y, y_tilde = y_tilde - f(y_tilde), y
    return y, y_tilde


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


# %% right: coupling -- folded, with a layer of its own
def coupling_forward(fs, x, x_tilde):
    from functools import reduce

    return reduce(lambda X, f: (X[1] + f(X[0]), X[0]), fs, (x, x_tilde))


def coupling_inverse(fs, y, y_tilde):
    X = (y, y_tilde)
    for f in list(fs)[::-1]:
        x_tilde = X[0].clone()
        x_tilde -= f(X[1])
        X = (X[1], x_tilde)
    return X


# %% wrong: inverse_element -- the minus is missing
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the minus is missing
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, f, torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the swaps do not stand around -F, one before it and one after it
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [lambda v, f=f: -f(v)]
    return gs


# %% wrong: inverse_element -- the swaps do not stand around -F, one before it and one after it
def inverse_element(fs):
    return [lambda v, f=f: -f(v) for f in fs[::-1]]


# %% wrong: inverse_element -- the order is not reversed
def inverse_element(fs):
    gs = []
    for f in fs:
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the lambdas share one f, the last of the loop
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the lambdas share one f, the last of the loop
def inverse_element(fs):
    gs = []
    for f in reversed(fs):

        def negative(v):
            return -f(v)

        gs += [torch.zeros_like, negative, torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the swap before each layer is missing
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [lambda v, f=f: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the swap after each layer is missing
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: -f(v)]
    return gs


# %% wrong: inverse_element -- the swaps do not stand around -F, one before it and one after it
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [lambda v, f=f: -f(v), torch.zeros_like, torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the swaps do not stand around -F, one before it and one after it
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, torch.zeros_like, lambda v, f=f: -f(v)]
    return gs


# %% wrong: inverse_element -- the caller's list is emptied
def inverse_element(fs):
    gs = []
    while fs:
        f = fs.pop()
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the caller's list is reversed in place
def inverse_element(fs):
    gs = []
    fs.reverse()
    for f in fs:
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the minus stands at the argument: f(-v) instead of -f(v)
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: f(-v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the reciprocal 1 / f(v) stands for -f(v)
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: 1 / f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the difference v - f(v) stands for -f(v)
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: v - f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the functions give their argument back: a swap adds zeros, not v
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [(lambda v: v), lambda v, f=f: -f(v), (lambda v: v)]
    return gs


# %% wrong: inverse_element -- ones are added where a swap adds zeros
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.ones_like, lambda v, f=f: -f(v), torch.ones_like]
    return gs


# %% wrong: inverse_element -- the result of f is changed in place, and with it the argument that f hands over
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: f(v).neg_(), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the functions are detached: their weights get no gradient
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: -f(v).detach(), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the functions are detached: their weights get no gradient
def inverse_element(fs):
    @torch.no_grad()
    def minus(f, v):
        return -f(v)

    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: minus(f, v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- only the last layer is undone
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]
        return gs
    return gs


# %% wrong: inverse_element -- the first layer of the list is not undone
def inverse_element(fs):
    gs = []
    for f in fs[:0:-1]:
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]
    return gs


# %% wrong: inverse_element -- the order is not reversed
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]
    return gs[::-1]


# %% wrong: inverse_element -- one list for each layer comes back, not one list of functions
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs.append([torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like])
    return gs


# %% wrong: inverse_element -- the functions of fs come back, not their inverse
def inverse_element(fs):
    return list(reversed(fs))


# %% wrong: inverse_element -- one function comes back, not a list
def inverse_element(fs):
    def undo(y, y_tilde):
        for f in reversed(fs):
            y, y_tilde = y_tilde, y - f(y_tilde)
        return y, y_tilde

    return undo


# %% wrong: inverse_element -- a generator comes back: it is used up after the first pass
def inverse_element(fs):
    for f in reversed(fs):
        yield torch.zeros_like
        yield lambda v, f=f: -f(v)
        yield torch.zeros_like


# %% wrong: inverse_element -- nothing is returned
def inverse_element(fs):
    gs = []
    for f in reversed(fs):
        gs += [torch.zeros_like, lambda v, f=f: -f(v), torch.zeros_like]


# %% wrong: inverse_element -- only one swap stands at the start, none at the end
def inverse_element(fs):
    return [torch.zeros_like] + [lambda v, f=f: -f(v) for f in reversed(fs)]


# %% wrong: inverse_element -- only one swap stands at the end, none at the start
def inverse_element(fs):
    return [lambda v, f=f: -f(v) for f in reversed(fs)] + [torch.zeros_like]


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


# %% right: inverse_element -- a class for the negative function, zeros by new_zeros
class Negative:
    def __init__(self, f):
        self.f = f

    def __call__(self, v):
        return -1 * self.f(v)


def inverse_element(fs):
    def swap(v):
        return v.new_zeros(v.shape)

    gs = []
    for j in range(len(fs)):
        gs.append(swap)
        gs.append(Negative(fs[len(fs) - 1 - j]))
        gs.append(swap)
    return gs


# %% wrong: split_along_channels -- the batch is cut, and put together, instead of the channels
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = len(x) // 2
        return x[:half], x[half:]

    def inverse(self, X):
        return torch.cat(X, dim=0)


# %% wrong: split_along_channels -- the batch is cut instead of the channels
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return x.chunk(2)

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the last axis is cut instead of the channels
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return x.chunk(2, -1)

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the height is cut instead of the channels
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return x.chunk(2, 2)

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- even and odd channels are separated, and interleaved again
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return x[:, ::2], x[:, 1::2]

    def inverse(self, X):
        return torch.stack(X, 2).flatten(1, 2)


# %% wrong: split_along_channels -- even and odd channels are separated
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return x[:, ::2], x[:, 1::2]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the halves are exchanged
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, half:], x[:, :half]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the halves are exchanged, and exchanged again when they are put together
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, half:], x[:, :half]

    def inverse(self, X):
        return torch.cat([X[1], X[0]], dim=1)


# %% wrong: split_along_channels -- the inverse exchanges the halves
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat([X[1], X[0]], dim=1)


# %% wrong: split_along_channels -- an odd number of channels is not refused
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- an odd number of channels is not refused
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        return x.chunk(2, dim=1)

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the ValueError is returned, not raised
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            return ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- an odd number is refused with an AssertionError, not a ValueError
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        assert x.shape[1] % 2 == 0
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- an odd number is refused with a RuntimeError, not a ValueError
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        s, channels, *size = x.shape
        halves = x.reshape(s, 2, channels // 2, *size)
        return halves[:, 0], halves[:, 1]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- an odd number is refused with a TypeError, not a ValueError
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise TypeError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- an odd batch is refused, not an odd number of channels
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[0] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- an odd width is refused, not an odd number of channels
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[-1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- an even number of channels is refused, and an odd one is not
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2 == 0:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- a number that four does not divide is refused, too
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 4:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the inverse stacks the halves along a new axis
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.stack(X, dim=1)


# %% wrong: split_along_channels -- the inverse joins along the batch
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X)


# %% wrong: split_along_channels -- the inverse joins along the last axis
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=-1)


# %% wrong: split_along_channels -- the inverse adds the halves
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return X[0] + X[1]


# %% wrong: split_along_channels -- the inverse interleaves the channels of the halves
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.stack(X, 2).flatten(1, 2)


# %% wrong: split_along_channels -- the inverse returns the pair as it came
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return X


# %% wrong: split_along_channels -- there are always eight channels in the first part, as in the lab
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return x[:, :8], x[:, 8:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- split(2) makes pieces of two channels, not two pieces
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return x.split(2, 1)

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the first half only comes back
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the second part starts one channel too late
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half + 1 :]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the halves overlap in one channel
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half - 1 :]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the second part is the first one again
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, :half]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the halves are detached: they carry no gradients
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half].detach(), x[:, half:].detach()

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the inverse is detached: it carries no gradients
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1).detach()


# %% wrong: split_along_channels -- the halves are joined into one tensor with a new axis
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return torch.stack([x[:, :half], x[:, half:]])

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: split_along_channels -- the inverse returns nothing
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        torch.cat(X, dim=1)


# %% wrong: split_along_channels -- forward returns nothing
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        half = x.shape[1] // 2
        first, second = x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% right: split_along_channels -- torch.split, hstack
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


# %% right: split_along_channels -- chunk, as a tuple
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise ValueError("an odd number of channels")
        return tuple(x.chunk(2, 1))

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% right: split_along_channels -- an error class of its own, narrow
class Odd(ValueError):
    pass


class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.size(1) & 1:
            raise Odd(x.size(1))
        half = x.size(1) // 2
        return [x.narrow(1, 0, half), x.narrow(1, half, half)]

    def inverse(self, X):
        return torch.cat(X, dim=1)


# %% wrong: invertible_layer -- the halves do not swap, neither forward nor back
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return a + torch.relu(self.conv(b)), b

    def inverse(self, X):
        c, d = X
        return c - torch.relu(self.conv(d)), d


# %% wrong: invertible_layer -- the halves come out of forward in the wrong order
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return a + torch.relu(self.conv(b)), b

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the halves come back from the inverse in the wrong order
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return c, d - torch.relu(self.conv(c))


# %% wrong: invertible_layer -- the ReLU is missing
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + self.conv(b)

    def inverse(self, X):
        c, d = X
        return d - self.conv(c), c


# %% wrong: invertible_layer -- the ReLU is missing in forward
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + self.conv(b)

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the ReLU is missing in the inverse
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - self.conv(c), c


# %% wrong: invertible_layer -- the ReLU covers the sum
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, torch.relu(a + self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the ReLU covers the sum, and the difference
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, torch.relu(a + self.conv(b))

    def inverse(self, X):
        c, d = X
        return torch.relu(d - self.conv(c)), c


# %% wrong: invertible_layer -- the ReLU covers the difference in the inverse
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return torch.relu(d - self.conv(c)), c


# %% wrong: invertible_layer -- the ReLU stands before the convolution
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + self.conv(torch.relu(b))

    def inverse(self, X):
        c, d = X
        return d - self.conv(torch.relu(c)), c


# %% wrong: invertible_layer -- the inverse adds instead of subtracting
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d + torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- forward subtracts and the inverse adds
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a - torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d + torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the convolution reads the half to which it is added
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(a))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse convolves the changed half, not the kept one
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(d)), c


# %% wrong: invertible_layer -- the half is not added: the convolution replaces it
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the layer is that of equation (2), forward and back
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b + torch.relu(self.conv(a)), a

    def inverse(self, X):
        c, d = X
        return d, c - torch.relu(self.conv(d))


# %% wrong: invertible_layer -- forward is that of equation (2) instead of (5)
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b + torch.relu(self.conv(a)), a

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse is that of equation (2) instead of (5)
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d, c - torch.relu(self.conv(d))


# %% wrong: invertible_layer -- the inverse takes the difference the wrong way round
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return torch.relu(self.conv(c)) - d, c


# %% wrong: invertible_layer -- forward changes the given half in place
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        a += torch.relu(self.conv(b))
        return b, a

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse changes the given half in place
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        d -= torch.relu(self.conv(c))
        return d, c


# %% wrong: invertible_layer -- forward detaches the convolution: its weights get no gradient
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b)).detach()

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse detaches the convolution: its weights get no gradient
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)).detach(), c


# %% wrong: invertible_layer -- the inverse records no gradients
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        with torch.no_grad():
            return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse detaches the kept half
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        c = c.detach()
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- forward returns the changed half only
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse returns the restored half only
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c))


# %% wrong: invertible_layer -- the halves are joined into one tensor
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return torch.cat([b, a + torch.relu(self.conv(b))], dim=1)

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse is the forward pass once more
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d, c + torch.relu(self.conv(d))


# %% wrong: invertible_layer -- forward hands the changed half on twice
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        a = a + torch.relu(self.conv(b))
        return a, a

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the names of the pair are exchanged in forward
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        b, a = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the names of the pair are exchanged in the inverse
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        d, c = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- a leaky ReLU takes the place of the ReLU
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.nn.functional.leaky_relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.nn.functional.leaky_relu(self.conv(c)), c


# %% wrong: invertible_layer -- a tanh takes the place of the ReLU
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.tanh(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.tanh(self.conv(c)), c


# %% wrong: invertible_layer -- the bias is left out
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(torch.nn.functional.conv2d(b, self.conv.weight, padding=1))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(torch.nn.functional.conv2d(c, self.conv.weight, padding=1)), c


# %% wrong: invertible_layer -- the image is continued periodically at its edges
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2, padding_mode="circular")

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- forward returns nothing
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        b, a = b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse returns nothing
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        d, c = d - torch.relu(self.conv(c)), c


# %% wrong: invertible_layer -- the inverse remembers what went into forward
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = self.seen = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X):
        c, d = X
        return getattr(self, 'seen', X)


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


# %% right: invertible_layer -- the ReLU as a module, the sum in a copy
class InvertibleLayer(torch.nn.Module):
    def __init__(self, kernel_size=7):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 8, kernel_size, padding=kernel_size // 2)

    def forward(self, X):
        a, b = X
        new = a.clone()
        new += torch.nn.ReLU()(self.conv(b))
        return b, new

    def inverse(self, X):
        c, d = X
        a = d.sub(torch.maximum(self.conv(c), torch.zeros_like(c)))
        return a, c


# %% wrong: irevnet -- the halves are joined in the wrong order
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = torch.cat([X[1], X[0]], 1)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the inverse exchanges the halves before the first layer
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)[::-1]
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the inverse exchanges the halves after the last layer
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return torch.cat([X[1], X[0]], 1)


# %% wrong: irevnet -- the inverse takes the layers in the order of the forward pass
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- forward takes the layers in the reverse order
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- both ways take the layers in the reverse order
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4) :
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the inverse applies the layers instead of undoing them
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the classifier reads the image instead of the features
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(x.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- classif is ignored: scores come always
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1))

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- classif is ignored: features come always
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- classif is turned round: scores come when features are asked for
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if not classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- scores and features come together
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)), features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- only three of the four layers act, forward and back
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

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


# %% wrong: irevnet -- the last layer is left out of the forward pass
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the inverse leaves the last layer out
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the inverse leaves the first layer out
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the first layer acts four times
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in [self.conv1] * 4:
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in [self.conv1] * 4:
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the first layer acts four times in the forward pass
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in [self.conv1] * 4:
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the results of the layers are not kept: the features are the image itself
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the results of the layers are not kept in the inverse
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the inverse remembers the image it saw last
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        self.seen = x
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        return getattr(self, 'seen', x)


# %% wrong: irevnet -- a softmax is applied to the scores: the cross-entropy does that
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)).softmax(1) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- a log-softmax is applied to the scores: the cross-entropy does that
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)).log_softmax(1) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- a ReLU is applied to the scores
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return torch.relu(self.fc(features.flatten(1))) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- a ReLU is applied to the features before the classifier
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(torch.relu(features).flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the features are flattened
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features.flatten(1)

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the features come back as two halves, not joined
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else X

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the image comes back as two halves, not joined
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return X


# %% wrong: irevnet -- the features are detached before the classifier: the layers get no gradient
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.detach().flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the inverse records no gradients
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        with torch.no_grad():
            X = self.split(x)
            for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
                X = layer.inverse(X)
            return self.split.inverse(X)


# %% wrong: irevnet -- the features are detached when they are asked for
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features.detach()

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the features are not flattened for the classifier
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the batch is flattened, too, for the classifier
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten()) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- nothing comes back when features are asked for
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        if classif:
            return self.fc(features.flatten(1))

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- nothing comes back from the inverse
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        self.split.inverse(X)


# %% wrong: irevnet -- the pixels are mixed: the channels come last before the classifier
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.permute(0, 2, 3, 1).flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- the halves change places between the layers
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)[::-1]
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- each layer adds the features of before once more
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            a, b = layer(X)
            X = (a + X[0], b + X[1])
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: irevnet -- a further ReLU follows each layer
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = tuple(torch.relu(half) for half in layer(X))
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


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
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    def forward(self, x, classif=True):
        a, b = x[:, :8], x[:, 8:]
        for layer in [self.conv1, self.conv2, self.conv3, self.conv4]:
            a, b = b, a + layer.conv(b).relu()
        z = torch.cat([a, b], 1)
        if not classif:
            return z
        return torch.nn.functional.linear(z.flatten(start_dim=1), self.fc.weight, self.fc.bias)

    def inverse(self, x):
        return self.split.inverse(
            self.conv1.inverse(self.conv2.inverse(self.conv3.inverse(self.conv4.inverse(self.split(x)))))
        )


# %% right: irevnet -- a property that lists the layers
class iRevNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.split = irevnet.SplitAlongChannels()
        self.conv1 = irevnet.InvertibleLayer()
        self.conv2 = irevnet.InvertibleLayer()
        self.conv3 = irevnet.InvertibleLayer()
        self.conv4 = irevnet.InvertibleLayer()
        self.fc = torch.nn.Linear(28 * 28, 10)

    @property
    def layers(self):
        return [self.conv1, self.conv2, self.conv3, self.conv4]

    def forward(self, x, classif=True):
        X = self.split(x)
        for layer in self.layers:
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x):
        X = self.split(x)
        for layer in reversed(self.layers):
            X = layer.inverse(X)
        return self.split.inverse(X)


# %% wrong: roundtrip_error -- the error is absolute: it is not divided by the largest entry
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return (came - x).abs().max().item()


# %% wrong: roundtrip_error -- the absolute value is missing in the error: the largest signed one is taken
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the absolute value is missing in what is divided by
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.max()).item()


# %% wrong: roundtrip_error -- the mean of the errors is taken, not the largest
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().mean() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the norm of the error is divided by the norm of x
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).norm() / x.norm()).item()


# %% wrong: roundtrip_error -- the largest error is divided by the norm of x
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.norm()).item()


# %% wrong: roundtrip_error -- each error is divided by its own entry, not all by the largest
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs() / x.abs()).max().item()


# %% wrong: roundtrip_error -- the error is divided by the largest entry of what came back, not of x
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / came.abs().max()).item()


# %% wrong: roundtrip_error -- the error is divided by the mean size of the entries, not the largest
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().mean()).item()


# %% wrong: roundtrip_error -- the smallest error is taken, not the largest
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().min() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the errors are added up
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().sum() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the root of the mean square is taken, not the largest error
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).square().mean().sqrt() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the error is squared
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).square().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- a tensor comes back, not a Python float
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return (came - x).abs().max() / x.abs().max()


# %% wrong: roundtrip_error -- one error for each row comes back
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().amax(-1) / x.abs().max()).tolist()


# %% wrong: roundtrip_error -- the differences come back, not their largest size
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return (came - x) / x.abs().max()


# %% wrong: roundtrip_error -- the error is given in percent
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return 100 * ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the largest entries are compared, not entry by entry
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came.abs().max() - x.abs().max()).abs() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the difference of the norms is taken, not the norm of the difference
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came.norm() - x.norm()).abs() / x.norm()).item()


# %% wrong: roundtrip_error -- the error is rounded to a few digits
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return round(((came - x).abs().max() / x.abs().max()).item(), 1)


# %% wrong: roundtrip_error -- nothing comes back: the return is missing
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- there and back are exchanged
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = there(back(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- only the way there is taken
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = there(x.clone())
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- only the way back is taken
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(x.clone())
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the way there is taken twice
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(there(x.clone())))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- what comes back is compared with what there returned
def roundtrip_error(there, back, x):
    with torch.no_grad():
        sent = there(x.clone())
        came = back(sent.clone())
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - sent).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- x itself is sent, and a map that overwrites it spoils the comparison
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- x itself is sent, and put back only afterwards: a copy is compared, but x is changed
def roundtrip_error(there, back, x):
    kept = x.clone()
    with torch.no_grad():
        came = back(there(x))
        if came.shape != kept.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - kept).abs().max() / kept.abs().max()).item()


# %% wrong: roundtrip_error -- nan comes back where one entry is not finite, not inf
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- nan comes back where one entry is not finite, not inf
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if torch.isinf(came).any():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- only nan is looked for: -inf and inf give inf by themselves, but nan gives 0
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        return (torch.nan_to_num(came - x, nan=0.0, posinf=float('inf'), neginf=float('-inf')).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- entries that are not finite are left out
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        return ((came - x)[torch.isfinite(came)].abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- what is not finite ends in an error, not in inf
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            raise ValueError("not finite")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- what is not finite gives nan, not inf
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("nan")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- nan comes back where one entry is not finite, not inf
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).any():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- gradients are recorded on the way
def roundtrip_error(there, back, x):
    if True:
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- gradients are switched off and stay so
def roundtrip_error(there, back, x):
    torch.set_grad_enabled(False)
    if True:
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the trip is made in float64, whatever the dtype of x
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.double()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the trip is made in float32, whatever the dtype of x
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.float()))
        if came.shape != x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the sizes are not compared: PyTorch spreads a column over a matrix
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- a wrong shape ends in an AssertionError, not in a ValueError
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        assert came.shape == x.shape
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- a wrong shape gives inf, not an error
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            return float("inf")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- the sizes are not compared: PyTorch spreads a column over a matrix
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.ndim != x.ndim:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- only the first size is compared
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape[:1] != x.shape[:1]:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- only the number of entries is compared
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.numel() != x.numel():
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% wrong: roundtrip_error -- a shape that is right is refused
def roundtrip_error(there, back, x):
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape == x.shape:
            raise ValueError("another shape")
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# %% right: roundtrip_error -- written with the largest norm
def roundtrip_error(there, back, x):
    import math

    start = x.detach().clone()
    with torch.no_grad():
        end = back(there(x.detach().clone()))
    if end.shape != start.shape:
        raise ValueError("the shapes differ")
    if torch.isnan(end).any() or torch.isinf(end).any():
        return math.inf
    return float(torch.linalg.vector_norm(end - start, float("inf"))) / float(start.abs().max())


# %% right: roundtrip_error -- in a loop over the entries, other argument names
@torch.no_grad()
def roundtrip_error(forward, inverse, images):
    result = inverse(forward(torch.clone(images)))
    if list(result.shape) != list(images.shape):
        raise ValueError(f"{result.shape}")
    worst = 0.0
    for one, other in zip(result.flatten().tolist(), images.flatten().tolist()):
        if one != one or one in (float("inf"), float("-inf")):
            return float("inf")
        worst = max(worst, abs(one - other))
    return worst / max(abs(value) for value in images.flatten().tolist())


# %% right: roundtrip_error -- in inference mode, entry by entry
def roundtrip_error(there, back, x):
    with torch.inference_mode():
        came = back(there(torch.empty_like(x).copy_(x)))
        if came.size() != x.size():
            raise ValueError(str(came.size()))
        error = torch.abs(came - x) / torch.max(torch.abs(x))
        largest = torch.where(torch.isfinite(error), error, torch.inf).max()
    return largest.item()

# %% wrong: train_and_test -- one loss comes back for each epoch, the sum over its batches
def train(net, loader, n_epoch=40, learning_rate=0.05):
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    losses = []
    for _ in range(n_epoch):
        running_loss = 0.0
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        losses.append(running_loss)
    return losses


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total

# %% wrong: train_and_test -- the largest scores are compared with the labels, not their places
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = total = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).max(1)[0] == labels).sum().item()
                total += len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / total

# %% wrong: train_and_test -- the samples are counted by loader.dataset, which not every loader has
def train(net, loader, n_epoch=40, learning_rate=0.05):
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


def test(net, loader):
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    correct = 0
    try:
        with torch.no_grad():
            for inputs, labels in loader:
                correct += (net(inputs).argmax(1) == labels).sum().item()
    finally:
        for module, mode in modes:
            module.training = mode
    return correct / len(loader.dataset)

# %% wrong: split_along_channels -- an odd number is refused with an Exception that is no ValueError
class SplitAlongChannels(torch.nn.Module):
    def forward(self, x):
        if x.shape[1] % 2:
            raise Exception("an odd number of channels")
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def inverse(self, X):
        return torch.cat(X, dim=1)
