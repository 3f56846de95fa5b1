"""Who handed in what, and what they got."""
