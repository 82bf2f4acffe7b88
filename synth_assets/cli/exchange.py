"""Command about the exchange area: the key that clients seal their tables for."""

from __future__ import annotations

from synth_assets.cli.options import HomeOption, JsonOption, home_of, telling_of_first_key
from synth_assets.cli.output import emit_json, facts, show
from synth_assets.config.runtime import Settings
from synth_assets.storage.rooms import temporary


def exchange(home: HomeOption = None, as_json: JsonOption = False) -> int:
    """Publish and show the key that clients seal for."""
    from synth_assets.automation.exchanged import area_of, service_key
    from synth_assets.storage.exchange import PUBLIC_KEY_FILE

    base = home_of(home)
    settings = Settings.from_environment(base)
    with telling_of_first_key(base):
        key = service_key(settings).public
    with temporary() as folder:
        file = folder / PUBLIC_KEY_FILE
        file.write_text(key)
        area_of(settings).put(file, PUBLIC_KEY_FILE)
    place = settings.exchange or str(settings.var / "exchange")
    if as_json:
        emit_json({"exchange": place, "public_key": key})
    else:
        show(facts("Exchange", [("area", place), ("public key", key)]))
    return 0


COMMANDS = (exchange,)
