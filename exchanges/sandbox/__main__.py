"""`python -m exchanges.sandbox`: the sandbox without Django."""

import argparse
import sys

from exchanges.sandbox import commands, config


def main() -> None:
    """Parse the flags and serve."""
    parser = argparse.ArgumentParser(prog="python -m exchanges.sandbox", description=__doc__)
    config.add_arguments(parser)
    try:
        commands.run(config.from_options(vars(parser.parse_args())))
    except commands.SettingsError as error:
        sys.exit(f"sandbox exchange: {error}")


if __name__ == "__main__":
    main()
