"""Made-up identities: CPU seconds and peak memory for each locale, beside Faker, one call per value.

Both make first and last name, sex, birth date, e-mail, telephone, street address, city, postcode and national number.
Run: python benchmarks/people.py
"""

from __future__ import annotations

import argparse
import resource
import time

from synth_assets.generation import people
from synth_assets.generation.locales import LOCALES

FAKERS = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL")


def by_faker(rows: int, locale: str) -> float:
    """CPU seconds of Faker for some people."""
    from faker import Faker

    fake = Faker(locale)
    fake.seed_instance(7)
    started = time.process_time()
    for _ in range(rows):
        _ = (
            fake.first_name(), fake.last_name(), fake.random_element(("F", "M")), fake.date_of_birth(), fake.email(),
            fake.phone_number(), fake.street_address(), fake.city(), fake.postcode(), fake.ssn(),
        )  # fmt: skip
    return time.process_time() - started


def main() -> None:
    """Print a line per locale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--faker-rows", type=int, default=5_000, help="0 leaves Faker out")
    args = parser.parse_args()
    people(1000, 1)
    print(f"{args.rows:,} people; Faker: {args.faker_rows:,}")
    print(f"{'locale':8}{'CPU s':>8}{'a second':>12}{'Faker, a second':>18}{'times':>8}")
    for locale in LOCALES:
        started = time.process_time()
        people(args.rows, 7, locale=locale)
        rate = args.rows / (time.process_time() - started)
        line = f"{locale:8}{args.rows / rate:8.2f}{rate:12,.0f}"
        if args.faker_rows and locale in FAKERS:
            other = args.faker_rows / by_faker(args.faker_rows, locale)
            line += f"{other:18,.0f}{rate / other:8.0f}"
        print(line)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
