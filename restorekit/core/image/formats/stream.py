"""What the readers read from: a file opened in binary mode, or bytes in memory."""

import io

__all__ = ["Stream"]

Stream = io.BufferedReader | io.BytesIO
