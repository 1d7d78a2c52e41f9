"""``python -m workbench`` is the command ``workbench``."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `main` sees to it there is nothing to say

from workbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
