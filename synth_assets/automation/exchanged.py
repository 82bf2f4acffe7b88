"""A file job's places in the exchange area: sealed inputs are opened into a private folder, results are sealed for the client.

Run config and events hold references only. What is opened is deleted at the end, and so is what was sent; results stay until the client
has fetched them, or for a week.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_assets.api.file_requests import FileReply, FileRequest, GenerateReply
from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError
from synth_assets.ledger.events import Action, AuditEvent, Detail
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.storage.exchange import Area, FolderArea, is_reference, purge, reference, split_reference
from synth_assets.storage.exchange_opening import open_area
from synth_assets.storage.hashing import hash_file, hash_parts
from synth_assets.storage.rooms import standing_for, temporary
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
    sent = {name: getattr(request, name) or "" for name in request.inputs}
    out = getattr(request, "out", "")
    if is_reference(out) and request.reply_key is None:
        raise InputError("a result in the exchange area needs the client's public key.", key="reply_key")
    with received(sent, settings) as local:
        if not is_reference(out):
            yield Handover(request.model_copy(update=local), lambda reply: reply)
            return
        with temporary() as folder:
            made = folder / "out"
            made.mkdir()
            places = local | {"out": str(made / split_reference(out)[1])}
            yield Handover(request.model_copy(update=places), _giver(request, settings, folder))


@contextmanager
def received(places: Mapping[str, str], settings: Settings) -> Iterator[dict[str, str]]:
    """Open what a client sent, into a private folder that is deleted at the end, as is what was sent; both are recorded.

    Args:
        places: Name to place; only those in the exchange area matter here.
        settings: Of the home.

    Returns:
        Name to local path, of those that were sent.

    Raises:
        InputError: a file is not there, or was not sealed for this service.
    """
    sent = {name: place for name, place in places.items() if is_reference(place)}
    if not sent:
        yield {}
        return
    area, ledger = area_of(settings), open_audit_ledger(settings)
    purge(area)
    with temporary() as folder, ExitStack() as named:
        for name, place in sent.items():
            named.enter_context(standing_for(folder / name, place))
        try:
            local = {name: _received(place, folder / name, area, service_key(settings)) for name, place in sent.items()}
            ledger.record_all(_told(Action.UPLOADED, sent[name], file) for name, file in local.items())
            yield {name: str(file) for name, file in local.items()}
        finally:
            requests = sorted({split_reference(place)[0] for place in sent.values()})
            for request in requests:
                area.delete(request)
            ledger.record_all(AuditEvent(Action.DELETED, f"{PURPOSE}/{request}") for request in requests)


def _told(action: Action, place: str, file: Path, **more: str) -> AuditEvent:
    """A file that came in or goes out, by its content."""
    details: dict[str, Detail] = {"sha256": hash_file(file), "size_bytes": file.stat().st_size, **more}
    return AuditEvent(action, f"{PURPOSE}/{split_reference(place)[0]}", details=details)


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


def _giver(request: FileRequest, settings: Settings, scratch: Path) -> Callable[[FileReply], FileReply]:
    area, ledger = area_of(settings), open_audit_ledger(settings)
    name, key = split_reference(getattr(request, "out", ""))[0], str(request.reply_key)

    def send(path: str) -> str:
        file = Path(path)
        place = reference(name, re.sub(r"[^A-Za-z0-9_.]", "_", file.name))
        sealed = scratch / "sealed"
        seal(file, sealed, key, place)
        ledger.record(
            _told(Action.EXPORTED, place, file, sealed_for=hash_parts(key)[:16])
        )  # before anybody can open it
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
