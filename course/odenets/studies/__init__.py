"""The experiments of the notebooks at any size: resumable, with results in files."""
