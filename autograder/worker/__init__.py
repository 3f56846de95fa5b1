"""The untrusted step, alone: it knows code and limits, and nothing of grades."""
