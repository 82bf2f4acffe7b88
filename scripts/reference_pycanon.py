"""Reference figures of k-anonymity, l-diversity and t-closeness from pycanon, for the tests.

pycanon pins other versions than this project, so it has an environment of its own and this file imports nothing of the project:

    python3.11 -m venv /tmp/pycanon && /tmp/pycanon/bin/pip install pycanon==1.3.6
    /tmp/pycanon/bin/python scripts/reference_pycanon.py DATA

DATA is the folder with the public tables (`adult/train.csv`). Writes pycanon.json and its made table to synth_assets_tests/reference.
"""

import hashlib
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from pycanon import anonymity

OUT = Path(__file__).resolve().parents[1] / "synth_assets_tests" / "reference"
MADE = OUT / "pycanon_table.csv"
COMMAND = "python scripts/reference_pycanon.py DATA"
ADULT = {
    "sex, race": ["income", "occupation", "hours-per-week", "age"],
    "marital-status, sex": ["income", "occupation", "hours-per-week", "age"],
    "age, sex, race, education, marital-status, native-country": ["income", "hours-per-week"],
    "age, workclass, education, marital-status, occupation, race, sex, native-country": ["income"],
}
TABLE = {"age, sex": ["ill", "pay"], "sex": ["ill", "pay"], "age, sex, area": ["ill", "pay"]}


def made_table() -> pd.DataFrame:
    """240 rows whose classes are uneven, by formula."""
    rows = range(240)
    return pd.DataFrame(
        {
            "age": [20 + 10 * ((i * i) % 5) for i in rows],
            "sex": ["F" if (i * 7) % 11 < 6 else "M" for i in rows],
            "area": [f"A{(i * 3) % 4}" for i in rows],
            "ill": [("flu", "cold", "asthma", "none")[(i * i + i // 9) % 4] for i in rows],
            "pay": [1000 + 250 * ((i * 13) % 17) for i in rows],
        }
    )


def figures(frame: pd.DataFrame, quasi: list[str], sensitive: list[str]) -> dict[str, object]:
    """What pycanon says, one sensitive column at a time."""
    return {
        "k": int(anonymity.k_anonymity(frame, quasi)),
        "sensitive": {
            name: {
                "l": int(anonymity.l_diversity(frame, quasi, [name])),
                "entropy_l": int(anonymity.entropy_l_diversity(frame, quasi, [name])),
                "t": float(anonymity.t_closeness(frame, quasi, [name])),
            }
            for name in sensitive
        },
    }


def main(data: Path) -> None:
    """Write the figures and what they are of."""
    warnings.simplefilter("ignore")
    OUT.mkdir(exist_ok=True)
    made_table().to_csv(MADE, index=False)
    adult = data / "adult" / "train.csv"
    frames = {"table": (MADE, TABLE), "adult": (adult, ADULT)}
    result: dict[str, object] = {
        "tool": "pycanon",
        "version": version("pycanon"),
        "command": COMMAND,
        "inputs": {},
        "figures": {},
    }
    for name, (path, cases) in frames.items():
        frame = pd.read_csv(path, keep_default_na=False)
        result["inputs"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
        result["figures"][name] = {q: figures(frame, q.split(", "), sensitive) for q, sensitive in cases.items()}
    (OUT / "pycanon.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
