"""How PNG, JPEG, TIFF and WebP files are read and written; everything outside uses ``core.image.files`` instead."""
