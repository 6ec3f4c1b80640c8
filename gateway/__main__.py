"""``python -m gateway``: the ``sluice`` command."""

from gateway.cli import main

if __name__ == "__main__":
    main()
