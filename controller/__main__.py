"""`python -m controller` is `linegate`."""

from controller.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
