"""`python -m fastcli`: the command line."""

from fastcli.cli import main

if __name__ == "__main__":
    main()
