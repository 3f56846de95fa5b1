"""The networks of the course, one family a file; each is a plain `nn.Module`."""
