"""`python -m odenets train | evaluate`: see `odenets.studies.continuous`."""

from odenets.studies.continuous import main

if __name__ == "__main__":
    raise SystemExit(main())
