"""`python -m odenets train | evaluate`: see `odenets.cli`."""

from odenets.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
