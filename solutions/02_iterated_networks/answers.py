# Named answers to the exercises of notebook 02: the wrong ones must lose points,
# the right ones must get them all. A title is what the student is told.

# %% wrong: iterated_net -- the previous features are added, as in a residual network, not a_0
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a
        return self.head(a)

# %% wrong: iterated_net -- a_0 is added inside the ReLU
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a) + a0)
        return self.head(a)

# %% wrong: iterated_net -- a_0 is not added back
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a))
        return self.head(a)

# %% wrong: iterated_net -- the ReLU in the loop is missing
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = self.recurrent(a) + a0
        return self.head(a)

# %% wrong: iterated_net -- the layer sees a_0 every time, not the features before it
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a0)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the image is added back, not a_0
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + x
        return self.head(a)

# %% wrong: iterated_net -- a_0 and the previous features are both added
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a + a0
        return self.head(a)

# %% wrong: iterated_net -- the lift is added inside the ReLU, before a ReLU of its own
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a) + self.lift(x))
        return self.head(a)

# %% wrong: iterated_net -- what is added back is the lift before its ReLU
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + self.lift(x)
        return self.head(a)

# %% wrong: iterated_net -- the features are averaged with a_0, not added
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = 0.5 * (F.relu(self.recurrent(a)) + a0)
        return self.head(a)

# %% wrong: iterated_net -- the features are added to a_0 twice
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0 + a0
        return self.head(a)

# %% wrong: iterated_net -- tanh stands in the loop where ReLU should
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = torch.tanh(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- sigmoid stands in the loop where ReLU should
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = torch.sigmoid(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the lift acts in the loop too, where the image alone enters it
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + F.relu(self.lift(a))
        return self.head(a)

# %% wrong: iterated_net -- everything is added into a_0 itself
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = a0.add_(F.relu(self.recurrent(a)))
        return self.head(a)

# %% wrong: iterated_net -- everything is added into a_0 itself
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a += F.relu(self.recurrent(a))
        return self.head(a)

# %% wrong: iterated_net -- the gradient is cut at every iteration
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a.detach())) + a0
        return self.head(a)

# %% wrong: iterated_net -- one iteration is missing: the lift is counted as one
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations - 1):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- one iteration is missing: the lift is counted as one
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(1, iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- there is one iteration too many
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations + 1):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the number of iterations is ignored: one is made
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = F.relu(self.lift(x))
        return self.head(F.relu(self.recurrent(a0)) + a0)

# %% wrong: iterated_net -- the number of iterations is ignored: the head sees a_0
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a0)

# %% wrong: iterated_net -- the return stands inside the loop: it ends after one iteration
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
            return self.head(a)

# %% wrong: iterated_net -- the ReLU after the lift is missing
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = self.lift(x)
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- what is added back is the lift before its ReLU
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = self.lift(x)
        a = F.relu(a0)
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the features come back, not the outputs of the head
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return a

# %% wrong: iterated_net -- nothing comes back: the return is missing
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        self.head(a)

# %% wrong: iterated_net -- there is a softmax at the end
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return torch.softmax(self.head(a), dim=1)

# %% wrong: iterated_net -- there is a softmax at the end
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes), nn.Softmax(dim=1)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- there is a log-softmax at the end
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return F.log_softmax(self.head(a), dim=1)

# %% wrong: iterated_net -- there is a ReLU behind the last layer
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes), nn.ReLU()
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- gradients are switched off in forward
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        with torch.no_grad():
            a0 = a = F.relu(self.lift(x))
            for _ in range(iterations):
                a = F.relu(self.recurrent(a)) + a0
            return self.head(a)

# %% wrong: iterated_net -- there is no dropout
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- dropout has rate 0.5
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- dropout has rate 0.6: 0.4 is kept, not dropped
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.6), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- dropout acts on the head's input, not before its last layer
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.4), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- dropout acts on the outputs, behind the last layer
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Linear(hidden, n_classes), nn.Dropout(0.4)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- dropout acts twice
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.4), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- dropout stays on in eval mode
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.ModuleList([nn.Linear(channels * image_size**2, hidden), nn.Linear(hidden, n_classes)])

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head[1](F.dropout(F.relu(self.head[0](a.flatten(1))), 0.4))

# %% wrong: iterated_net -- the head's ReLU is missing
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the head has one dense layer instead of two
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.4), nn.Linear(channels * image_size**2, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- there are always 1024 hidden units
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, 1024), nn.ReLU(), nn.Dropout(0.4), nn.Linear(1024, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- there are always 10 outputs
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, 10)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the images are always 28 x 28
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * 28 * 28, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the head expects the features of one channel only
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the head expects one number a row: the image size is not squared
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the features are not flattened before the head
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the repeated kernel is always 5 x 5
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, 5, padding=2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the repeated kernel is always 3 x 3
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, 3, padding=1)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- there is no padding: the images shrink
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the padding is 2, whatever the kernel
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the padding is 1, whatever the kernel
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=1)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the padding is the whole kernel size: the images grow
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the padding is one pixel too wide: the images grow
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=(kernel_size + 1) // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the repeated convolution takes one channel, but gets all of them
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(1, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the padding is circular, not zero
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, padding_mode="circular")
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the padding repeats the border, instead of zeros
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, padding_mode="replicate")
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the padding mirrors the image, instead of zeros
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, padding_mode="reflect")
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the repeated convolution has no bias
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- each channel is convolved on its own
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the lift has the large kernel
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, kernel_size, padding=kernel_size // 2)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the lift has no bias
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1, bias=False)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the lift expects as many colours as there are channels
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(channels, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the repeated convolution is not named recurrent
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.conv(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- the parts of the head are not gathered in one module named head
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.dense = nn.Linear(channels * image_size**2, hidden)
        self.dropout = nn.Dropout(0.4)
        self.last = nn.Linear(hidden, n_classes)

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.last(self.dropout(F.relu(self.dense(a.flatten(1)))))

# %% wrong: iterated_net -- a new random convolution is made at every call, and never learned
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.channels, self.kernel_size = channels, kernel_size
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        recurrent = nn.Conv2d(self.channels, self.channels, self.kernel_size, padding=self.kernel_size // 2).to(x)
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(recurrent(a)) + a0
        return self.head(a)

# %% right: iterated_net -- padding "same", a while loop, functional dropout
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(in_channels=1, out_channels=channels, kernel_size=1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding="same")
        self.head = nn.ModuleDict(
            {"wide": nn.Linear(channels * image_size * image_size, hidden), "last": nn.Linear(hidden, n_classes)}
        )

    def forward(self, x, iterations):
        start = self.lift(x).clamp(min=0)
        state, done = start, 0
        while done < iterations:
            state = start + self.recurrent(state).relu()
            done += 1
        h = self.head["wide"](state.reshape(len(x), -1)).relu()
        return self.head["last"](F.dropout(h, p=0.4, training=self.training))

# %% right: iterated_net -- by functools.reduce
import functools

class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.head = nn.Sequential()
        self.head.append(nn.Flatten())
        self.head.append(nn.Linear(channels * image_size**2, hidden))
        self.head.append(nn.ReLU())
        self.head.append(nn.Dropout(p=0.4))
        self.head.append(nn.Linear(hidden, n_classes))
        self.recurrent = nn.Conv2d(channels, channels, (kernel_size, kernel_size), padding=(kernel_size - 1) // 2)
        self.lift = nn.Conv2d(1, channels, (1, 1))

    def forward(self, x, iterations):
        a0 = torch.relu(self.lift(x))
        return self.head(functools.reduce(lambda a, _: torch.relu(self.recurrent(a)) + a0, range(iterations), a0))

# %% right: iterated_net -- the start is computed anew in each turn, other parts beside the three
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, kernel_size=1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, 1, kernel_size // 2)
        self.relu = nn.ReLU()
        dense = [nn.Linear(image_size * image_size * channels, hidden), nn.Linear(hidden, n_classes)]
        self.head = nn.Sequential(nn.Flatten(1), dense[0], nn.ReLU(inplace=True), nn.Dropout(0.4, inplace=True), dense[1])

    def forward(self, x, iterations=1):
        a = self.relu(self.lift(x))
        for k in range(iterations):
            a = self.relu(self.recurrent(a)) + self.relu(self.lift(x))
        y = self.head(a)
        return y

# %% wrong: parameter_budget -- the biases are missing
def parameter_budget(model):
    def count(module):
        return sum(p.numel() for name, p in module.named_parameters() if "bias" not in name)
    return {"lift": count(model.lift), "recurrent": count(model.recurrent), "head": count(model.head), "total": count(model)}

# %% wrong: parameter_budget -- the biases are missing
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters() if p.ndim > 1) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- the weights are missing: only biases are counted
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters() if p.ndim == 1) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- tensors are counted, not the numbers in them
def parameter_budget(model):
    budget = {name: len(list(getattr(model, name).parameters())) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- tensors are counted, not the numbers in them
def parameter_budget(model):
    budget = {name: sum(1 for _ in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- only the first axis of each tensor is counted
def parameter_budget(model):
    budget = {name: sum(len(p) for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- only the first axis of each tensor is counted
def parameter_budget(model):
    budget = {name: sum(p.shape[0] for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- the axes of each tensor are added, not multiplied
def parameter_budget(model):
    budget = {name: sum(sum(p.shape) for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- bytes are counted, not numbers
def parameter_budget(model):
    budget = {name: sum(p.numel() * p.element_size() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- the values of the parameters are added, not their number
def parameter_budget(model):
    budget = {name: sum(p.sum().item() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- only the first tensor of each part is counted
def parameter_budget(model):
    budget = {name: next(getattr(model, name).parameters()).numel() for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- the total is the largest part, not the sum
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": max(budget.values())}

# %% wrong: parameter_budget -- the total is missing
def parameter_budget(model):
    return {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}

# %% wrong: parameter_budget -- the total leaves the lift out
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": budget["recurrent"] + budget["head"]}

# %% wrong: parameter_budget -- the total leaves the head out
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": budget["lift"] + budget["recurrent"]}

# %% wrong: parameter_budget -- the total counts tensors
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": len(list(model.parameters()))}

# %% wrong: parameter_budget -- the total counts every part twice
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    budget["total"] = 0
    for p in model.parameters():
        budget["total"] += p.numel()
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- every part is given the whole network's number
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in model.parameters()) for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(p.numel() for p in model.parameters())}

# %% wrong: parameter_budget -- the numbers of five channels come back, whatever the network
def parameter_budget(model):
    return {"lift": 10, "recurrent": 630, "head": 4025354, "total": 4025994}

# %% wrong: parameter_budget -- 28 x 28 images, 1024 hidden units and 10 classes are taken for granted
def parameter_budget(model):
    c, k = model.recurrent.out_channels, model.recurrent.kernel_size[0]
    budget = {"lift": 2 * c, "recurrent": k * k * c * c + c, "head": (784 * c + 1) * 1024 + 1025 * 10}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- the head is searched for a weight of its own, but its layers hold them
def parameter_budget(model):
    budget = {name: getattr(model, name).weight.numel() + getattr(model, name).bias.numel() for name in ("lift", "recurrent", "head")}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- the numbers come back without their names
def parameter_budget(model):
    sizes = [sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")]
    return sizes + [sum(sizes)]

# %% wrong: parameter_budget -- the numbers come back without their names
def parameter_budget(model):
    sizes = [sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")]
    return (*sizes, sum(sizes))

# %% wrong: parameter_budget -- the numbers are those of the modules below, named differently
def parameter_budget(model):
    budget = {name: p.numel() for name, p in model.named_parameters()}
    return budget | {"total": sum(budget.values())}

# %% wrong: parameter_budget -- the budget is printed and not returned
def parameter_budget(model):
    budget = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in ("lift", "recurrent", "head")}
    print(budget | {"total": sum(budget.values())})

# %% right: parameter_budget -- from the named parameters
def parameter_budget(model):
    budget = dict.fromkeys(("lift", "recurrent", "head", "total"), 0)
    for name, p in model.named_parameters():
        budget[name.split(".")[0]] += p.numel()
        budget["total"] += p.numel()
    return budget

# %% right: parameter_budget -- with math.prod of the shapes
import math

def parameter_budget(model):
    sizes = {}
    for part in ["lift", "recurrent", "head"]:
        sizes[part] = 0
        for p in getattr(model, part).parameters():
            sizes[part] += math.prod(p.shape)
    sizes["total"] = sizes["lift"] + sizes["recurrent"] + sizes["head"]
    return sizes

# %% right: parameter_budget -- one flat vector of the trainable parameters, the total first
def parameter_budget(model):
    flat = lambda module: torch.nn.utils.parameters_to_vector(p for p in module.parameters() if p.requires_grad)
    budget = {"total": len(flat(model))}
    budget.update(lift=len(flat(model.lift)), recurrent=len(flat(model.recurrent)), head=len(flat(model.head)))
    return budget

# %% wrong: untie -- the layers share their weights: [layer] * n holds one layer n times
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList([copy.deepcopy(model.recurrent)] * iterations)
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the layers share their weights: [layer] * n holds one layer n times
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(layer for layer in [copy.deepcopy(model.recurrent)] * iterations)
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the layers still share the model's weights
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList([model.recurrent] * iterations)
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the layers still share the model's weights
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(model.recurrent for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the layers still share the model's weights
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.copy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the layers are hidden in a plain list
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = [copy.deepcopy(model.recurrent) for _ in range(iterations)]
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the lift and the head are the model's own
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = model.lift, model.head
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the head is the model's own
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), model.head
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the lift is the model's own
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = model.lift, copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- nothing is copied: every part is the model's own
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = model.lift, model.head
            self.layers = nn.ModuleList([model.recurrent] * iterations)
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the first layer is the model's own
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList([model.recurrent] + [copy.deepcopy(model.recurrent) for _ in range(iterations - 1)])
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the layers start with new random weights
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            old = model.recurrent
            self.layers = nn.ModuleList(
                nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, padding=old.padding).to(old.weight.dtype)
                for _ in range(iterations)
            )
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the weights are copied, but not the biases
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
            for layer in self.layers:
                nn.init.zeros_(layer.bias)
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the new layers have no padding
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            old = model.recurrent
            self.layers = nn.ModuleList()
            for _ in range(iterations):
                layer = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size).to(old.weight.dtype)
                layer.load_state_dict(old.state_dict())
                self.layers.append(layer)
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- one layer is missing
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations - 1))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- there is one layer too many
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations + 1))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- all layers run, whatever number is asked for
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- all layers run, whatever number is asked for
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- too many iterations raise no error
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- too many iterations raise IndexError, not ValueError
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            a0 = a = F.relu(self.lift(x))
            for k in range(iterations):
                a = F.relu(self.layers[k](a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- too many iterations raise AssertionError, not ValueError
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            assert iterations <= len(self.layers)
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- too many iterations raise no error
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- as many iterations as there are layers are refused already
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations >= len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- fewer iterations than layers are refused
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations != len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the last layers are used, not the first
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[-iterations:]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the last layers are used, not the first
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[len(self.layers) - iterations:]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the first layer is used again and again
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for _ in range(iterations):
                a = F.relu(self.layers[0](a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- a_0 is not added back
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a))
            return self.head(a)
    return Untied()

# %% wrong: untie -- the previous features are added, not a_0
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a
            return self.head(a)
    return Untied()

# %% wrong: untie -- a_0 is added inside the ReLU
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a) + a0)
            return self.head(a)
    return Untied()

# %% wrong: untie -- the ReLU of the layers is missing
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = layer(a) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the ReLU after the lift is missing
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = self.lift(x)
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the gradient is cut between the layers
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a.detach())) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- the features come back, not the outputs of the head
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return a
    return Untied()

# %% wrong: untie -- forward takes no number of iterations
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x):
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: untie -- forward still calls the model's own lift and head
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, iterations):
            if iterations > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(model.lift(x))
            for layer in self.layers[:iterations]:
                a = F.relu(layer(a)) + a0
            return model.head(a)
    return Untied()

# %% wrong: untie -- the model itself comes back
def untie(model, iterations):
    return model

# %% wrong: untie -- a copy of the tied network comes back
def untie(model, iterations):
    return copy.deepcopy(model)

# %% wrong: untie -- a copy of the tied layer stays in the network, unused
def untie(model, iterations):
    net = copy.deepcopy(model)
    net.layers = nn.ModuleList([copy.deepcopy(model.recurrent) for _ in range(iterations)])

    def forward(x, iterations):
        if iterations > len(net.layers):
            raise ValueError("too deep")
        a = a0 = F.relu(net.lift(x))
        for layer in net.layers[:iterations]:
            a = F.relu(layer(a)) + a0
        return net.head(a)

    net.forward = forward
    return net

# %% wrong: untie -- the model itself is changed
def untie(model, iterations):
    model.layers = nn.ModuleList([copy.deepcopy(model.recurrent) for _ in range(iterations)])
    del model.recurrent

    def forward(x, iterations):
        if iterations > len(model.layers):
            raise ValueError("too deep")
        a = a0 = F.relu(model.lift(x))
        for layer in model.layers[:iterations]:
            a = F.relu(layer(a)) + a0
        return model.head(a)

    model.forward = forward
    return model

# %% wrong: untie -- a function comes back, not a module
def untie(model, iterations):
    lift, head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
    layers = [copy.deepcopy(model.recurrent) for _ in range(iterations)]

    def net(x, iterations):
        if iterations > len(layers):
            raise ValueError("too deep")
        a = a0 = F.relu(lift(x))
        for layer in layers[:iterations]:
            a = F.relu(layer(a)) + a0
        return head(a)

    return net

# %% wrong: untie -- nothing comes back: the return is missing
def untie(model, iterations):
    net = copy.deepcopy(model)
    net.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))

# %% right: untie -- a copy of the whole model whose recurrent part is a list
def untie(model, iterations):
    import types
    net = copy.deepcopy(model)
    net.recurrent = nn.ModuleList([copy.deepcopy(model.recurrent) for _ in range(iterations)])
    def forward(self, x, iterations):
        if iterations > len(self.recurrent):
            raise ValueError("not so many layers")
        a0 = F.relu(self.lift(x))
        a = a0
        for k in range(iterations):
            a = a0 + torch.relu(self.recurrent[k](a))
        return self.head(a)
    net.forward = types.MethodType(forward, net)
    return net

# %% right: untie -- layers under names of their own, weights loaded from a state dict
def untie(model, iterations):
    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            old = model.recurrent
            for k in range(iterations):
                layer = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, padding=old.padding)
                layer.to(old.weight.dtype).load_state_dict(old.state_dict())
                self.add_module(f"layer{k}", layer)
        def forward(self, x, iterations):
            a0 = a = self.first(x).relu()
            for k in range(iterations):
                if not hasattr(self, f"layer{k}"):
                    raise ValueError(f"there is no layer {k}")
                a = getattr(self, f"layer{k}")(a).relu() + a0
            return self.last(a)
    return Layers()

# %% right: untie -- forward(x, k), as the docstring writes the call
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift, self.head = copy.deepcopy(model.lift), copy.deepcopy(model.head)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
        def forward(self, x, k):
            if k > len(self.layers):
                raise ValueError("too deep")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:k]:
                a = F.relu(layer(a)) + a0
            return self.head(a)
    return Untied()

# %% wrong: iteration_study -- the batches' accuracies are averaged, whatever their sizes
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                rates = [(model(x, k).argmax(1) == y).double().mean().item() for x, y in loader]
                result[k] = sum(rates) / len(rates)
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the right answers are divided by the number of batches
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / len(loader)
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the right answers are counted, but not divided
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the accuracies are percentages, not fractions
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = 100 * hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- wrong answers are counted, not right ones
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) != y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- only the last batch counts
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                for x, y in loader:
                    hits = (model(x, k).argmax(dim=1) == y).sum().item()
                    n = len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- only the last batch's right answers count, but all samples
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                n = 0
                for x, y in loader:
                    hits = (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- only the first batch counts
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                x, y = next(iter(loader))
                result[k] = (model(x, k).argmax(dim=1) == y).double().mean().item()
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- all batches are taken to be as large as the last one
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += 1
                result[k] = hits / (n * len(y))
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the counts are not set back to zero between two depths
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            hits = n = 0
            for k in iterations:
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the samples are counted over all depths
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            n = 0
            for k in iterations:
                hits = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- after the first depth the model is in train mode again
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
                model.train()
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the accuracy of the last depth is given to all
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return dict.fromkeys(result, result[k])
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- every depth is measured with the first number of iterations
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, iterations[0]).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the model gets the whole list of depths, not one number
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, iterations).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the model is called without the number of iterations
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- argmax runs over the samples, not over the classes
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=0) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- argmax runs over everything, samples and classes
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax() == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the largest output is compared with the label, not its place
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).max(dim=1).values == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the loader is asked for its dataset, which a list of batches does not have
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / len(loader.dataset)
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the accuracies come back without their depths
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = []
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result.append(hits / n)
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- only the last depth comes back
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result = {k: hits / n}
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the return stands inside the loop: it ends after one depth
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
                return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the depths are turned into strings
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[str(k)] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the accuracies are tensors, not floats
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the accuracies are rounded
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = round(hits / n, 2)
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the accuracies are rounded
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = round(hits / n, 3)
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the model is measured in train mode
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- gradients are recorded while it is measured
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        if True:
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- gradients stay switched off afterwards
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        torch.set_grad_enabled(False)
        if True:
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- everything stays in eval mode afterwards
def iteration_study(model, loader, iterations):
    model.eval()
    result = {}
    with torch.no_grad():
        for k in iterations:
            hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
            result[k] = hits / sum(len(y) for _, y in loader)
    return result

# %% wrong: iteration_study -- model.train() at the end wakes every module, whatever its mode was
def iteration_study(model, loader, iterations):
    model.eval()
    result = {}
    with torch.no_grad():
        for k in iterations:
            hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
            result[k] = hits / sum(len(y) for _, y in loader)
    model.train()
    return result

# %% wrong: iteration_study -- model.train() at the end wakes every module, whatever its mode was
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        model.train()

# %% wrong: iteration_study -- the mode of the whole model is given to all its modules
def iteration_study(model, loader, iterations):
    mode = model.training
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        model.train(mode)

# %% wrong: iteration_study -- the mode of the whole model alone comes back: its modules stay in eval mode
def iteration_study(model, loader, iterations):
    mode = model.training
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        model.training = mode

# %% wrong: iteration_study -- everything stays in eval mode afterwards
def iteration_study(model, loader, iterations):
    model.eval()
    modes = {m: m.training for m in model.modules()}
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the mode of the whole model is given to all its modules
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in reversed(modes.items()):
            m.train(mode)

# %% wrong: iteration_study -- only the direct children's modes are restored, not the modules below them
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in [model, *model.children()]}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
        return result
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% wrong: iteration_study -- the modes are not restored after an error
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    result = {}
    with torch.no_grad():
        for k in iterations:
            hits = sum((model(x, k).argmax(1) == y).sum().item() for x, y in loader)
            result[k] = hits / sum(len(y) for _, y in loader)
    for m, mode in modes.items():
        m.training = mode
    return result

# %% wrong: iteration_study -- the error is swallowed
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
    except Exception:
        pass
    finally:
        for m, mode in modes.items():
            m.training = mode
    return result

# %% wrong: iteration_study -- nothing comes back: the return is missing
def iteration_study(model, loader, iterations):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        result = {}
        with torch.no_grad():
            for k in iterations:
                hits = n = 0
                for x, y in loader:
                    hits += (model(x, k).argmax(dim=1) == y).sum().item()
                    n += len(y)
                result[k] = hits / n
    finally:
        for m, mode in modes.items():
            m.training = mode

# %% right: iteration_study -- two functions: one measures, one keeps the modes
def iteration_study(model, loader, iterations):
    def rate(k):
        guesses = [(model(x, k).argmax(dim=-1), y) for x, y in loader]
        return torch.cat([guess == y for guess, y in guesses]).double().mean().item()

    kept = [(m, m.training) for m in model.modules()]
    with torch.inference_mode():
        try:
            return {k: rate(k) for k in iterations if model.eval() is model}
        finally:
            [m.train(mode) for m, mode in kept]

# %% right: iteration_study -- one pass through the loader, all depths at once
@torch.no_grad()
def iteration_study(model, loader, iterations):
    iterations = list(iterations)
    before = [(m, m.training) for m in model.modules()]
    model.train(False)
    hits, n = dict.fromkeys(iterations, 0), 0
    try:
        for x, y in loader:
            n += y.shape[0]
            for k in iterations:
                hits[k] += int((model(x, k).max(dim=1).indices == y).sum())
    finally:
        for m, mode in before:
            m.training = mode
    return {k: float(hits[k] / n) for k in iterations}

# %% right: iteration_study -- with the package's context manager
def iteration_study(model, loader, iterations):
    result = {}
    with training.evaluating(model):
        for k in iterations:
            outcome = [(hit := model(x, k).argmax(dim=1).eq(y)).sum().item() / 1 for x, y in loader]
            result[k] = sum(outcome) / sum(y.numel() for _, y in loader)
    return result

# %% wrong: fixed_point -- the residuals are not relative
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length)
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the residuals are relative to the new iterate
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (new.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the residuals are relative to the new iterate
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        a = new
        residuals.append(length / (a.norm().item() or 1.0))
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the residuals are relative to the start
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a0.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the residuals are relative to the first step
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (first or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the residual is the ratio of two steps after each other
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (last if k else first or 1.0))
        a, last = new, length or 1.0
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the residual is turned upside down
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append((a.norm().item() or 1.0) / length)
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the norms are squared
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length**2 / (a.norm().item() ** 2 or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the largest entry stands where the Euclidean norm should
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).abs().max().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.abs().max().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- absolute values are summed: that is not the Euclidean norm
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).abs().sum().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.abs().sum().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the norm is taken of each row, and the largest of them
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm(dim=-1).max().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm(dim=-1).max().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the largest singular value stands where the Euclidean norm over all entries should
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = torch.linalg.matrix_norm(torch.atleast_2d(new - a), 2).item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (torch.linalg.matrix_norm(torch.atleast_2d(a), 2).item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the mean stands where the sum over all entries should: where a_k is zero, that shows
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).square().mean().sqrt().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.square().mean().sqrt().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- where a_k is zero it divides by zero
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / a.norm().item())
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- where a_k is zero it divides by zero
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append((length / a.norm()).item())
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- where a_k is zero it divides by a small number, not by 1
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() + 1e-8))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- where a_k is zero it divides by a small number, not by 1
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() + 1e-12))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- where a_k is zero it divides by a small number, not by 1
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / max(a.norm().item(), 1e-12))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- norms below 1 count as 1
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / max(a.norm().item(), 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the residual where a_k is zero is set to 0, and it stops at once
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / a.norm().item() if a.norm() > 0 else 0.0)
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- when the tolerance is reached, the iterate before comes back
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        if residuals[-1] <= tol:
            break
        a = new
    return a, residuals

# %% wrong: fixed_point -- the start comes back
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a0, residuals

# %% wrong: fixed_point -- it stops one iteration late
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if len(residuals) > 1 and residuals[-2] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- it stops only below tol, not at tol itself
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] < tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the tolerance is compared with the length of the step, not with the residual
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if length <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the tolerance is ignored: it runs to max_iter
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
    return a, residuals

# %% wrong: fixed_point -- it stops while the residual is still large: the comparison is turned
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] >= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- there is one iteration too many
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter + 1):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- there is one iteration too few
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(1, max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- max_iter is ignored
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    while True:
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the last residual is missing in the list
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        r = length / (a.norm().item() or 1.0)
        a = new
        if r <= tol:
            break
        residuals.append(r)
    return a, residuals

# %% wrong: fixed_point -- the last residual is missing in the list
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        r = length / (a.norm().item() or 1.0)
        a = new
        if r <= tol:
            return a, residuals
        residuals.append(r)
    return a, residuals

# %% wrong: fixed_point -- only the last residual comes back, not the list of all
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals[-1] if residuals else 0.0

# %% wrong: fixed_point -- the number of iterations comes back, not the residuals
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, len(residuals)

# %% wrong: fixed_point -- the iterate comes back alone, without the residuals
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a

# %% wrong: fixed_point -- the residuals come back before the iterate
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return residuals, a

# %% wrong: fixed_point -- all iterates come back, not the last one
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first, iterates = a0, [], None, [a0]
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        iterates.append(a)
        if residuals[-1] <= tol:
            break
    return iterates, residuals

# %% wrong: fixed_point -- the residuals are tensors, not floats
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append((new - a).norm() / (a.norm() if a.norm() > 0 else 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the gradient is cut
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a).detach()
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the gradient is cut
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        with torch.no_grad():
            new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the step is applied to the start every time
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    new = step(a)
    for k in range(max_iter):
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the step is applied to the start every time
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a0)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the result of step is added to the iterate
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = a + step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a map that runs away raises no error
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- only a step that is not finite counts as divergence
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length):
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a first step that is not finite is not noticed
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- only nan is noticed, not inf
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if math.isnan(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- only inf is noticed, not nan
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if math.isinf(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a step that grows at all counts as divergence
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = math.inf if first is None else first
        if not math.isfinite(length) or length > 1.0001 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a, first = new, length
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a step that grows at all counts as divergence
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1.0001 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- it is refused too early: the limit is 1000 times the first step
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 100 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- it is refused too early: the limit is 1000 times the first step
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 10 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a step is refused only when it is a million times as long as the first
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1e6 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a step 1000 long is refused, however long the first one was
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- each step is compared with the one before it, not with the first
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a, first = new, length
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- relative residuals are compared with each other, not the lengths of the steps
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if not math.isfinite(residuals[-1]) or residuals[-1] > 1000 * residuals[0]:
            raise ValueError("diverges")
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the iterate is compared with the start, not the step with the first step
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or new.norm().item() > 1000 * (a0.norm().item() or 1.0):
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the length of a step is compared with the first residual, not with the first step
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if not math.isfinite(length) or length > 1000 * residuals[0]:
            raise ValueError("diverges")
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the iterate before the last one comes back
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        before, a = a, new
        if residuals[-1] <= tol:
            break
    return before if residuals else a, residuals

# %% wrong: fixed_point -- a residual above 1000 counts as divergence
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length / (a.norm().item() or 1.0) > 1000:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the error is a RuntimeError, not a ValueError
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise RuntimeError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the error is an ArithmeticError, not a ValueError
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise OverflowError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the message does not say diverges
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("no convergence")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- the message does not say diverges
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a map that runs away raises no error
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a map that runs away raises no error
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            break
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- a map that runs away raises no error
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            print("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- at max_iter it raises an error, where what it has should come back
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a = new
        if residuals[-1] <= tol:
            break
    if not residuals or residuals[-1] > tol:
        raise ValueError("no convergence within max_iter")
    return a, residuals

# %% wrong: fixed_point -- the start is changed in place
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a.copy_(new)
        if residuals[-1] <= tol:
            break
    return a.clone(), residuals

# %% wrong: fixed_point -- the start is changed in place
def fixed_point(step, a0, tol, max_iter):
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = (new - a).norm().item()
        first = length if first is None else first
        if not math.isfinite(length) or length > 1000 * first:
            raise ValueError("diverges")
        residuals.append(length / (a.norm().item() or 1.0))
        a += new - a
        if residuals[-1] <= tol:
            break
    return a.clone(), residuals

# %% right: fixed_point -- a while loop and a flat norm
def fixed_point(step, a0, tol, max_iter):
    current, residuals, lengths = a0, [], []
    while len(residuals) < max_iter and (not residuals or residuals[-1] > tol):
        following = step(current)
        lengths.append(float((following - current).detach().square().sum().sqrt()))
        if math.isnan(lengths[-1]) or math.isinf(lengths[-1]) or lengths[-1] > 1e3 * lengths[0]:
            raise ValueError(f"this map diverges after {len(lengths)} iterations")
        size = float(current.detach().square().sum().sqrt())
        residuals.append(lengths[-1] / (size if size > 0 else 1.0))
        current = following
    return current, residuals

# %% right: fixed_point -- an error class of its own, by recursion
class Divergence(ValueError):
    pass

def fixed_point(step, a0, tol, max_iter, first=None, residuals=()):
    if len(residuals) == max_iter:
        return a0, list(residuals)
    a1 = step(a0)
    moved, size = torch.dist(a1, a0).item(), torch.linalg.norm(a0.flatten()).item()
    first = moved if first is None else first
    if not moved <= min(1000 * first, 1e300):
        raise Divergence("Diverges: the steps become longer and longer")
    residuals = [*residuals, moved / (size or 1.0)]
    if residuals[-1] <= tol:
        return a1, residuals
    return fixed_point(step, a1, tol, max_iter, first, residuals)

# %% right: fixed_point -- all iterates and steps kept, torch.isfinite
def fixed_point(step, a0, tol, max_iter):
    iterates, steps, residuals = [a0], [], []
    for _ in range(max_iter):
        iterates.append(step(iterates[-1]))
        steps.append(torch.linalg.vector_norm(iterates[-1] - iterates[-2]))
        if not torch.isfinite(steps[-1]) or steps[-1] > 1000 * steps[0]:
            raise ValueError("The iteration diverges: " + str(steps[-1].item()))
        size = torch.linalg.vector_norm(iterates[-2])
        residuals.append((steps[-1] / torch.where(size == 0, torch.ones_like(size), size)).item())
        if residuals[-1] <= tol:
            return iterates[-1], residuals
    return iterates[-1], residuals

# %% wrong: iterated_net -- the iterations start from zero, not from a_0
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = F.relu(self.lift(x))
        a = torch.zeros_like(a0)
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- a += changes the ReLU's result in place, and its gradient needs it
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a))
            a += a0
        return self.head(a)

# %% wrong: iterated_net -- a ReLU is a part of lift: lift and recurrent are convolutions alone
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Sequential(nn.Conv2d(1, channels, 1), nn.ReLU())
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * image_size**2, hidden), nn.ReLU(), nn.Dropout(0.4), nn.Linear(hidden, n_classes)
        )

    def forward(self, x, iterations):
        a0 = a = self.lift(x)
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.head(a)

# %% wrong: iterated_net -- there is no module named head, and F.dropout stays on without training=self.training
class IteratedNet(nn.Module):
    def __init__(self, channels, kernel_size=5, image_size=28, hidden=1024, n_classes=10):
        super().__init__()
        self.lift = nn.Conv2d(1, channels, 1)
        self.recurrent = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.dense = nn.Linear(channels * image_size**2, hidden)
        self.out = nn.Linear(hidden, n_classes)

    def forward(self, x, iterations):
        a0 = a = F.relu(self.lift(x))
        for _ in range(iterations):
            a = F.relu(self.recurrent(a)) + a0
        return self.out(F.dropout(F.relu(self.dense(a.flatten(1))), 0.4))

# %% wrong: iteration_study -- the mean of the batches' accuracies, and model.train() wakes every module
def iteration_study(model, loader, iterations):
    model.eval()
    result = {}
    with torch.no_grad():
        for k in iterations:
            found = [(model(x, k).argmax(1) == labels).float().mean().item() for x, labels in loader]
            result[k] = sum(found) / len(found)
    model.train()
    return result

# %% wrong: parameter_budget -- of each part only the last parameter counts: they have to be added up
def parameter_budget(model):
    budget = {}
    for name, p in model.named_parameters():
        budget[name.split(".")[0]] = p.numel()
    budget["total"] = sum(budget.values())
    return budget

# %% wrong: untie -- the layers are new convolutions, no copies of the model's
def untie(model, iterations):
    net, old = copy.deepcopy(model), model.recurrent
    del net.recurrent
    net.layers = nn.ModuleList(
        nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, padding=old.padding) for _ in range(iterations)
    )

    def forward(x, k):
        if k > iterations:
            raise ValueError("too few layers")
        a0 = a = F.relu(net.lift(x))
        for layer in net.layers[:k]:
            a = F.relu(layer(a)) + a0
        return net.head(a)

    net.forward = forward
    return net

# %% wrong: untie -- all layers at once are refused, too: only more than there are is an error
def untie(model, iterations):
    class Untied(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift = copy.deepcopy(model.lift)
            self.layers = nn.ModuleList(copy.deepcopy(model.recurrent) for _ in range(iterations))
            self.head = copy.deepcopy(model.head)

        def forward(self, x, k):
            if k >= iterations:
                raise ValueError("too few layers")
            a0 = a = F.relu(self.lift(x))
            for layer in self.layers[:k]:
                a = F.relu(layer(a)) + a0
            return self.head(a)

    return Untied()

# %% wrong: fixed_point -- residuals (5) are compared with the first one, not the lengths of the steps
def fixed_point(step, a0, tol, max_iter):
    a, residuals = a0, []
    for _ in range(max_iter):
        new = step(a)
        r = ((new - a).norm() / a.norm()).item()
        residuals.append(r)
        if not math.isfinite(r) or r > 1000 * residuals[0]:
            raise ValueError("the iteration diverges")
        a = new
        if r <= tol:
            break
    return a, residuals

# %% wrong: fixed_point -- it runs away where a residual, not a step, is 1000 times the first
def fixed_point(step, a0, tol, max_iter):
    a, residuals = a0, []
    for _ in range(max_iter):
        new = step(a)
        r = (new - a).norm().item() / (a.norm().item() or 1.0)
        residuals.append(r)
        if not math.isfinite(r) or r > 1000 * residuals[0]:
            raise ValueError("the iteration diverges")
        a = new
        if r <= tol:
            break
    return a, residuals
