"""Data sets: toy problems in the plane, images, and videos made from a seed."""
