"""`python -m exchanges.sandbox`: the sandbox without Django."""

import sys

from exchanges.sandbox import commands, config


def main() -> None:
    """Parse the flags and serve."""
    try:
        commands.run(config.parsed())
    except commands.SettingsError as error:
        sys.exit(f"sandbox exchange: {error}")


if __name__ == "__main__":
    main()
