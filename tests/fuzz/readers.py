"""All readers by name."""

from tests.fuzz import answers, models, persons, pictures, records, requests, weights

READERS = {
    name: reader
    for module in (pictures, persons, records, weights, models, requests, answers)
    for name, reader in module.READERS.items()
}
