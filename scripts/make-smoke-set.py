#!/usr/bin/env python3
"""Chooses the smoke set of testdata/conformance out of all fixtures.

usage: make-smoke-set.py FIXTURES

FIXTURES is a folder with the unpacked archives (the conformance runner leaves one in
target/fixtures). The choice is deterministic: cases are taken in the order of a hash of their
names, so that the same fixtures give the same set.
"""
import collections
import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile

OUT = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "conformance"
MAX_CASE_BYTES = 200_000
STATE_CASES_PER_FORK = 25
BLOCKCHAIN_CASES_PER_FORK = 10
ENGINE_CASES_PER_FORK = 4


def in_order(names):
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def cases(folder):
    """name -> case of every fixture file below a folder; the `_info` is left out."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        for name, case in json.loads(path.read_text()).items():
            case.pop("_info", None)
            found[name] = case
    return found


def choose(found, fork_of, traits_of, per_fork):
    """`per_fork` cases of each fork, and one case for every trait that none of them has."""
    chosen, seen, count = {}, set(), collections.Counter()
    for name in in_order(found):
        case = found[name]
        if len(compact(case)) > MAX_CASE_BYTES:
            continue
        fork, traits = fork_of(case), set(traits_of(case))
        if count[fork] < per_fork or not traits <= seen:
            chosen[name] = case
            seen |= traits
            count[fork] += 1
    return chosen


def by_fork(chosen, fork_of):
    files = collections.defaultdict(dict)
    for name in sorted(chosen):
        files[fork_of(chosen[name]) + ".json"][name] = chosen[name]
    return {name: compact(content) for name, content in files.items()}


def pack(name, files):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(files):
            info = tarfile.TarInfo(path)
            info.size = len(files[path])
            tar.addfile(info, io.BytesIO(files[path]))
    packed = gzip.compress(raw.getvalue(), 9, mtime=0)
    (OUT / f"{name}.tar.gz").write_bytes(packed)
    print(f"{name}: {len(files)} files, {len(raw.getvalue())} bytes, packed {len(packed)}")


def network(case):
    return case["network"]


def exceptions(items, key):
    return [item[key] for item in items if key in item]


def engine(root):
    chosen = cases(root / "engine-smoke")
    more = {}
    for folder in sorted(root.glob("engine-*")):
        if folder.name not in ("engine-smoke", "engine-benchmark"):
            more.update(cases(folder))

    def traits(case):
        payloads = case["engineNewPayloads"]
        codes = [str(code) for code in exceptions(payloads, "errorCode")]
        return exceptions(payloads, "validationError") + [network(case) + c for c in codes]

    chosen.update(choose(more, network, traits, ENGINE_CASES_PER_FORK))
    pack("engine", by_fork(chosen, network))


def state(root):
    def fork(case):
        return next(iter(case["post"]))

    def traits(case):
        return [e for posts in case["post"].values() for e in exceptions(posts, "expectException")]

    def without_states(case):
        for posts in case["post"].values():
            for post in posts:
                post.pop("state", None)
        return case

    found = {name: without_states(case) for name, case in cases(root / "state").items()}
    pack("state", by_fork(choose(found, fork, traits, STATE_CASES_PER_FORK), fork))


def blockchain(root):
    def traits(case):
        return exceptions(case["blocks"], "expectException")

    def bare(case):
        for block in case["blocks"]:
            for key in set(block) - {"rlp", "expectException"}:
                block.pop(key)
        return case

    found = {name: bare(case) for name, case in cases(root / "blockchain").items()}
    chosen = choose(found, network, traits, BLOCKCHAIN_CASES_PER_FORK)
    pack("blockchain", by_fork(chosen, network))


def smallest(folder, pattern, number):
    return sorted(folder.rglob(pattern), key=lambda path: path.stat().st_size)[:number]


def op(root):
    folder = root / "op" / "op"
    paths = smallest(folder / "blocks", "*.json", 2)
    paths += sorted(folder.glob("l1_fee_*.json")) + sorted((folder / "upgrades").glob("*.hex"))
    # Code without a transaction that deploys it cannot be checked; figures without one neither.
    paths = [path for path in paths if not path.name.startswith("jovian-")]
    files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    published = [e for e in json.loads(files["l1_fee_published.json"]) if checkable(e)]
    files["l1_fee_published.json"] = compact(published)
    pack("op", files)


def checkable(entry):
    return entry["rule"].startswith(("operator", "fastlz")) or entry.get("raw_tx", "")[:4] == "0x02"


def mainnet(root):
    files = {path.name: path.read_bytes() for path in smallest(root / "mainnet-blocks", "eth-*", 8)}
    pack("mainnet-blocks", files)


def misc(root):
    folder, files = root / "ethereum-misc", {}
    for path in sorted(folder.glob("TransactionTests/**/*.json")):
        case = json.loads(path.read_text())
        for entry in case.values():
            entry.pop("_info", None)
        files[str(path.relative_to(folder))] = compact(case)
    for path in sorted(folder.glob("RLPTests/**/*.json")):
        files[str(path.relative_to(folder))] = path.read_bytes()
    for path in sorted(folder.glob("TrieTests/*secure*.json")):
        files[str(path.relative_to(folder))] = path.read_bytes()
    pack("ethereum-misc", files)


def main(arguments):
    if len(arguments) != 1:
        sys.exit(__doc__)
    root = pathlib.Path(arguments[0])
    OUT.mkdir(parents=True, exist_ok=True)
    for part in (engine, state, blockchain, op, mainnet, misc):
        part(root)


if __name__ == "__main__":
    main(sys.argv[1:])
