"""`python -m kcseg` is `kcseg`."""

from kcseg.cli import main

if __name__ == "__main__":
    main(prog_name="kcseg")
