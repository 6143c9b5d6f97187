"""`python -m billing.sandbox`: the sandbox without Django."""

import sys
from argparse import ArgumentParser

from billing.sandbox import commands


def main() -> None:
    """Parse the flags and serve."""
    parser = ArgumentParser(prog="python -m billing.sandbox", description=__doc__)
    commands.add_arguments(parser)
    try:
        commands.run(vars(parser.parse_args()))
    except commands.SettingsError as error:
        sys.exit(f"stripe sandbox: {error}")


if __name__ == "__main__":
    main()
