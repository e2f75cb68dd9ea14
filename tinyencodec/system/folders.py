"""Where a user's programs keep what they can make or fetch again."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The platform's folder for caches of this program. Raises `OSError` for a user who has no home, as in a container
    that runs under any number.
    """
    try:
        if sys.platform == "darwin":
            cache = Path.home() / "Library" / "Caches"
        elif sys.platform == "win32":
            cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        else:
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise OSError("this user has no home") from None
    return cache / "tinyencodec"
