"""A file job's places in the exchange area: sealed inputs are opened into a private folder, results are sealed for the client.

Run config and events hold references only. What is opened is deleted at the end, and so is what was sent; results stay until the client
has fetched them, or for a week.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_assets.api.file_requests import FileReply, FileRequest, GenerateReply
from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError
from synth_assets.storage.exchange import Area, FolderArea, is_reference, purge, reference, split_reference
from synth_assets.storage.exchange_opening import open_area
from synth_assets.storage.sealing import PrivateKey, seal, unseal
from synth_assets.storage.secrets import master_key

PURPOSE = "exchange"


@dataclass(frozen=True)
class Handover:
    """A request whose places are local, and how its results go back.

    Args:
        request: The request, with local paths in place of references.
        give_back: Puts results into the exchange area where the request says so, and names the places in the reply.
    """

    request: FileRequest
    give_back: Callable[[FileReply], FileReply]


def service_key(settings: Settings) -> PrivateKey:
    """The key that opens what clients send, derived from the home's master key."""
    return PrivateKey(master_key(settings.keys_folder).derive(PURPOSE).value)


def area_of(settings: Settings) -> Area:
    """The exchange area of a home: what SYNTH_ASSETS_EXCHANGE names, else a folder below var/."""
    if settings.exchange is None:
        return FolderArea(settings.var / "exchange")
    return open_area(settings.exchange)


@contextmanager
def exchanged(request: FileRequest, settings: Settings) -> Iterator[Handover]:
    """Open what a client sent, and give results back to it.

    Raises:
        InputError: a file is not there, was not sealed for this service, or no key was given for the result.
    """
    sent = [name for name in request.inputs if is_reference(getattr(request, name) or "")]
    out = getattr(request, "out", "")
    if not sent and not is_reference(out):
        yield Handover(request, lambda reply: reply)
        return
    if is_reference(out) and request.reply_key is None:
        raise InputError("a result in the exchange area needs the client's public key.", key="reply_key")
    area = area_of(settings)
    purge(area)
    requests = {split_reference(getattr(request, name))[0] for name in sent}
    with tempfile.TemporaryDirectory(prefix="synth-assets-") as folder:
        scratch = Path(folder)
        try:
            local: dict[str, str] = {
                name: str(_received(getattr(request, name), scratch / name, area, service_key(settings)))
                for name in sent
            }
            if is_reference(out):
                local["out"] = str(scratch / "out" / split_reference(out)[1])
                (scratch / "out").mkdir()
            yield Handover(request.model_copy(update=local), _giver(request, area, scratch))
        finally:
            for one in requests:
                area.delete(one)


def _received(place: str, folder: Path, area: Area, key: PrivateKey) -> Path:
    request, name = split_reference(place)
    folder.mkdir()
    sealed, opened = folder / "sealed", folder / name
    if not area.get(f"{request}/{name}", sealed):
        raise InputError(
            "there is no such file in the exchange area.",
            file=place,
            remedy="A request's files are deleted when it is done; send them again.",
        )
    unseal(sealed, opened, key, place)
    sealed.unlink()
    return opened


def _giver(request: FileRequest, area: Area, scratch: Path) -> Callable[[FileReply], FileReply]:
    out = getattr(request, "out", "")
    if not is_reference(out):
        return lambda reply: reply
    name, key = split_reference(out)[0], str(request.reply_key)

    def send(path: str) -> str:
        file = Path(path)
        place = reference(name, re.sub(r"[^A-Za-z0-9_.]", "_", file.name))
        sealed = scratch / "sealed"
        seal(file, sealed, key, place)
        area.put(sealed, f"{name}/{split_reference(place)[1]}")
        sealed.unlink()
        return place

    def give_back(reply: FileReply) -> FileReply:
        if isinstance(reply, GenerateReply):
            return reply.model_copy(update={"tables": {table: send(path) for table, path in reply.tables.items()}})
        path: Any = getattr(reply, "path", None)
        update: Mapping[str, str] = {} if path is None else {"path": send(path)}
        return reply.model_copy(update=update)

    return give_back
