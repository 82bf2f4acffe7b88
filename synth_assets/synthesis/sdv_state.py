"""Fitted SDV objects without pickle: plain values as JSON, arrays and weights as safetensors, both under a hash.

What belongs here: which classes may be stored, which of their attributes stay behind (row ids, losses), writing and reading. Reading
runs no code of the file: it makes empty objects of classes on a short list and gives them their attributes. What does not: training.
"""

from __future__ import annotations

import datetime as dt
import importlib
import importlib.metadata
import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import pandas as pd

from synth_assets.errors import InputError, UnexpectedError
from synth_assets.storage import atomic
from synth_assets.storage.hashing import hash_file
from synth_assets.synthesis.marginals.measurements import read_arrays, read_record, write_arrays

FORMAT_VERSION = 1
RECORD, STATE, ARRAYS = "model.json", "state.json", "state.safetensors"
REMEDY = "Train the model again."
PACKAGES = ("sdv", "rdt", "ctgan", "copulas", "deepecho")
TRUSTED = (*(f"{p}." for p in PACKAGES), "sklearn.mixture.", "torch.nn.modules.")
PLAIN_TYPES = {t.__name__: t for t in (int, float, str, bool, object, dict, list, set, tuple)}
LEFT_BEHIND: Mapping[
    str, Any
] = {  # attributes that sampling does not need: row ids, losses, clocks, random states, made-up people
    "_rid_by_cat_cols": [],
    "loss_values": None,
    "_transformers_by_sdtype": {},
    "_synthesizer_id": "",
    "_creation_date": "",
    "_fitted_date": "",
    "random_state": None,
    "random_states": None,
    "_numpy_random_state": None,
    "_torch_random_state": None,
    "faker": None,
    "_faker_random_seed": None,
}


def as_stored(model: Any) -> Any:
    """A copy of a fitted object as it would come back from a file.

    A model is the same before and after it is stored. SDV's models change when they sample, so every sample is drawn from a copy.
    """
    writer = _Writer()
    state = writer.write(model)
    return _Reader(writer.arrays).read(state)


def save_state(folder: Path, models: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Write `state.json`, `state.safetensors`, and `model.json` with the record, the hashes of both and the versions of the libraries.

    Raises:
        UnexpectedError: an object is none that can be stored; its class is named.
    """
    writer = _Writer()
    state = writer.write(dict(models))
    write_arrays(folder / ARRAYS, writer.arrays)
    atomic.write_text(folder / STATE, json.dumps(state, allow_nan=False))
    head = {
        "format_version": FORMAT_VERSION,
        "libraries": _libraries(),
        "sha256": {name: hash_file(folder / name) for name in (STATE, ARRAYS)},
    }
    atomic.write_text(folder / RECORD, json.dumps({**record, **head}, indent=1))


def load_state(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The models and the record that `save_state` wrote.

    Raises:
        MissingArtifactError: a file is not there.
        InputError: a file is not the one that was saved, or was saved by another version of this package or of SDV.
    """
    record = read_record(folder / RECORD, FORMAT_VERSION, remedy=REMEDY)
    if record["libraries"] != _libraries():
        raise InputError(
            "the model was saved with other versions of SDV's libraries.", file=str(folder / RECORD), remedy=REMEDY
        )
    arrays = read_arrays(folder / ARRAYS)
    for name, expected in record["sha256"].items():
        if hash_file(folder / name) != expected:
            raise InputError(
                "the model is not the one that was saved: a hash differs.", file=str(folder / name), remedy=REMEDY
            )
    models: dict[str, Any] = _Reader(arrays).read(json.loads((folder / STATE).read_text()))
    return models, record


def _libraries() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


class _Writer:
    """Values to JSON; an object that is met again is a reference to its first place."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # so that no id is given twice

    def write(self, value: Any) -> Any:
        """One value as JSON."""
        if value is None or isinstance(value, bool | str) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"t": "float", "v": repr(value)}
        for kinds, method in self._leaves():
            if isinstance(value, kinds):
                return method(value)
        return self._shared(value)

    def _leaves(self) -> tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...]:
        import torch

        return (
            (np.ndarray, self._array),
            (torch.Tensor, self._tensor),
            (np.generic, lambda v: {"t": "scalar", "dtype": str(v.dtype), "v": self._array(np.asarray(v))}),
            (pd.DataFrame, self._frame),
            (pd.Series, lambda v: {"t": "series", "name": self.write(v.name), **self._column(v), "index": self._column(v.index)}),
            (pd.Index, lambda v: {"t": "index", "name": self.write(v.name), **self._column(v)}),
            ((np.dtype, pd.api.extensions.ExtensionDtype), lambda v: {"t": "dtype", "v": str(v)}),
            ((dt.datetime, pd.Timedelta), lambda v: {"t": type(v).__name__, "v": v.isoformat()}),
            (type(pd.NaT), lambda _: {"t": "NaT"}),
            (torch.device, lambda _: {"t": "device"}),
            (type, lambda v: {"t": "class", "v": _name_of(v)}),
            (MethodType, lambda v: {"t": "method", "of": self.write(v.__self__), "v": v.__name__}),
        )  # fmt: skip

    def _array(self, value: np.ndarray[Any, Any]) -> dict[str, Any]:
        shape = list(value.shape)
        if value.dtype == object:
            return {"t": "objects", "shape": shape, "v": [self.write(v) for v in value.ravel()]}
        dtype = str(value.dtype)
        name = f"{len(self.arrays):05d}"
        self.arrays[name] = (value.view(np.int64) if value.dtype.kind in "mM" else value).reshape(-1)
        return {"t": "array", "at": name, "dtype": dtype, "shape": shape}

    def _tensor(self, value: Any) -> dict[str, Any]:
        import torch

        parameter = isinstance(value, torch.nn.Parameter)
        return {"t": "tensor", "parameter": parameter, "v": self._array(value.detach().cpu().numpy())}

    def _column(self, value: Any) -> dict[str, Any]:
        return {"dtype": str(value.dtype), "v": [self.write(v) for v in value.tolist()]}

    def _frame(self, value: pd.DataFrame) -> dict[str, Any]:
        columns = [self._column(value.iloc[:, i]) for i in range(value.shape[1])]
        return {"t": "frame", "names": self._column(value.columns), "index": self._column(value.index), "v": columns}

    def _shared(self, value: Any) -> dict[str, Any]:
        if id(value) in self.seen:
            return {"t": "ref", "v": self.seen[id(value)]}
        number = self.seen[id(value)] = len(self.seen)
        self.alive.append(value)
        return {"n": number, **self._container(value)}

    def _container(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            items = [[self.write(k), self.write(v)] for k, v in value.items()]
            factory = self.write(value.default_factory) if isinstance(value, defaultdict) else None
            return {"t": _dict_kind(value), "factory": factory, "v": items}
        if isinstance(value, list | tuple):
            if hasattr(value, "_fields"):
                return {"t": "named", "class": _name_of(type(value)), "v": [self.write(v) for v in value]}
            return {"t": "list" if isinstance(value, list) else "tuple", "v": [self.write(v) for v in value]}
        if isinstance(value, set | frozenset):
            return {"t": "set", "v": [self.write(v) for v in sorted(value, key=repr)]}
        state = {k: LEFT_BEHIND.get(k, v) for k, v in _state_of(value).items()}
        return {"t": "object", "class": _name_of(type(value)), "v": [[k, self.write(v)] for k, v in state.items()]}


def _dict_kind(value: dict[Any, Any]) -> str:
    return "defaultdict" if isinstance(value, defaultdict) else "ordered" if isinstance(value, OrderedDict) else "dict"


def _state_of(value: Any) -> dict[str, Any]:
    """The attributes of an object, by its own `__getstate__` where it has one."""
    state = value.__getstate__() if _has_own(type(value), "__getstate__") else getattr(value, "__dict__", None)
    if not isinstance(state, dict):
        raise UnexpectedError(f"an object of class {type(value).__name__} cannot be stored without pickle.")
    return state


def _has_own(kind: type, method: str) -> bool:
    return getattr(kind, method, None) is not getattr(object, method, None)


def _name_of(kind: type) -> str:
    """`module:name` of a class that may be stored.

    Raises:
        UnexpectedError: it may not.
    """
    if PLAIN_TYPES.get(kind.__name__) is kind:
        return f"builtins:{kind.__name__}"
    if not f"{kind.__module__}.".startswith(TRUSTED):
        raise UnexpectedError(
            f"an object of class {kind.__module__}.{kind.__qualname__} cannot be stored without pickle."
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_of(name: str) -> type:
    """The class of a name that `_name_of` may have written.

    Raises:
        InputError: it is none of those.
    """
    module, _, qualname = name.partition(":")
    if module == "builtins" and qualname in PLAIN_TYPES:
        return PLAIN_TYPES[qualname]
    found = None
    if f"{module}.".startswith(TRUSTED):
        found = getattr(importlib.import_module(module), qualname, None)
    if not isinstance(found, type) or found.__module__ != module:
        raise InputError("the model names a class that no model has.", remedy=REMEDY)
    return found


class _Reader:
    """The way back."""

    def __init__(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.arrays = arrays
        self.made: dict[int, Any] = {}

    def read(self, stored: Any) -> Any:
        """One value."""
        if not isinstance(stored, dict):
            return stored
        return getattr(self, f"_read_{stored['t'].lower()}")(stored)

    def _read_float(self, stored: dict[str, Any]) -> float:
        return float(stored["v"])

    def _read_array(self, stored: dict[str, Any]) -> np.ndarray[Any, Any]:
        dtype, values = np.dtype(stored["dtype"]), np.array(self.arrays[stored["at"]])
        values = values.view(dtype) if dtype.kind in "mM" else values.astype(dtype, copy=False)
        return values.reshape(stored["shape"])

    def _read_objects(self, stored: dict[str, Any]) -> np.ndarray[Any, Any]:
        values = np.empty(len(stored["v"]), dtype=object)
        values[:] = [self.read(v) for v in stored["v"]]
        return values.reshape(stored["shape"])

    def _read_tensor(self, stored: dict[str, Any]) -> Any:
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(self._read_array(stored["v"]))).reshape(stored["v"]["shape"])
        return torch.nn.Parameter(tensor) if stored["parameter"] else tensor

    def _read_scalar(self, stored: dict[str, Any]) -> Any:
        return self.read(stored["v"])[()]

    def _values(self, stored: dict[str, Any]) -> tuple[list[Any], Any]:
        return [self.read(v) for v in stored["v"]], pd.api.types.pandas_dtype(stored["dtype"])

    def _read_series(self, stored: dict[str, Any]) -> pd.Series[Any]:
        values, dtype = self._values(stored)
        made: pd.Series[Any] = pd.Series(
            values, dtype=dtype, index=self._index(stored["index"]), name=self.read(stored["name"])
        )
        return made

    def _index(self, stored: dict[str, Any]) -> pd.Index[Any]:
        values, dtype = self._values(stored)
        made: pd.Index[Any] = pd.Index(values, dtype=dtype)
        return made

    def _read_index(self, stored: dict[str, Any]) -> pd.Index[Any]:
        return self._index(stored).rename(self.read(stored["name"]))

    def _read_frame(self, stored: dict[str, Any]) -> pd.DataFrame:
        index = self._index(stored["index"])
        columns = {}
        for i, column in enumerate(stored["v"]):
            values, dtype = self._values(column)
            columns[i] = pd.Series(values, dtype=dtype, index=index)
        frame = pd.DataFrame(columns, index=index)
        frame.columns = self._index(stored["names"])
        return frame

    def _read_dtype(self, stored: dict[str, Any]) -> Any:
        return pd.api.types.pandas_dtype(stored["v"])

    def _read_datetime(self, stored: dict[str, Any]) -> dt.datetime:
        return dt.datetime.fromisoformat(stored["v"])

    def _read_timestamp(self, stored: dict[str, Any]) -> pd.Timestamp:
        return pd.Timestamp(stored["v"])

    def _read_timedelta(self, stored: dict[str, Any]) -> pd.Timedelta:
        return pd.Timedelta(stored["v"])

    def _read_nat(self, _: dict[str, Any]) -> Any:
        return pd.NaT

    def _read_device(self, _: dict[str, Any]) -> Any:
        import torch

        return torch.device("cpu")

    def _read_class(self, stored: dict[str, Any]) -> type:
        return _class_of(stored["v"])

    def _read_method(self, stored: dict[str, Any]) -> Any:
        found = getattr(self.read(stored["of"]), stored["v"], None)
        if not isinstance(found, MethodType):
            raise InputError("the model names a method that its object does not have.", remedy=REMEDY)
        return found

    def _read_ref(self, stored: dict[str, Any]) -> Any:
        return self.made[stored["v"]]

    def _read_dict(self, stored: dict[str, Any]) -> dict[Any, Any]:
        return self._fill(stored, {})

    def _read_ordered(self, stored: dict[str, Any]) -> dict[Any, Any]:
        return self._fill(stored, OrderedDict())

    def _read_defaultdict(self, stored: dict[str, Any]) -> dict[Any, Any]:
        return self._fill(stored, defaultdict(self.read(stored["factory"])))

    def _fill(self, stored: dict[str, Any], into: dict[Any, Any]) -> dict[Any, Any]:
        self.made[stored["n"]] = into
        for key, value in stored["v"]:
            into[self.read(key)] = self.read(value)
        return into

    def _read_list(self, stored: dict[str, Any]) -> list[Any]:
        made: list[Any] = []
        self.made[stored["n"]] = made
        made += [self.read(v) for v in stored["v"]]
        return made

    def _read_tuple(self, stored: dict[str, Any]) -> tuple[Any, ...]:
        made = self.made[stored["n"]] = tuple(self.read(v) for v in stored["v"])
        return made

    def _read_named(self, stored: dict[str, Any]) -> Any:
        kind: Any = _class_of(stored["class"])
        made = self.made[stored["n"]] = kind(*(self.read(v) for v in stored["v"]))
        return made

    def _read_set(self, stored: dict[str, Any]) -> set[Any]:
        made = self.made[stored["n"]] = {self.read(v) for v in stored["v"]}
        return made

    def _read_object(self, stored: dict[str, Any]) -> Any:
        kind: Any = _class_of(stored["class"])
        made = self.made[stored["n"]] = kind.__new__(kind)
        state = {key: self.read(value) for key, value in stored["v"]}
        if _has_own(kind, "__setstate__"):
            made.__setstate__(state)
        else:
            vars(made).update(state)
        return made
