"""The only writer of the package: atomic files and folders, content hashes, the artifact store, keys."""
