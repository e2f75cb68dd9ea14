"""`python -m tinyencodec` is the command `tinyencodec`."""

import sys

from tinyencodec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
