"""One thread for numerical libraries, where a result must not depend on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Numerical libraries use one thread inside.

    The figures then do not depend on the machine, and small models do not wait for threads that other processes hold up.
    """
    import sklearn.ensemble  # noqa: F401  a limit holds for the libraries that are loaded
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

    with threadpool_limits(limits=1):
        yield
