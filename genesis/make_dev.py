#!/usr/bin/env python3
"""Write dev.json from the genesis file of an OP chain with all forks at genesis.

usage: make_dev.py SOURCE.json[.gz] > dev.json

Keeps the predeploys and preinstalled contracts of SOURCE as they are, replaces its funded accounts
(those without code) by the ten well-known development accounts and sets a fixed timestamp.
"""
import gzip
import json
import sys

TIMESTAMP = 0x6553F100  # 2023-11-14, long past, so that any wall clock is ahead of genesis
BALANCE = 10_000 * 10**18
# The mnemonic "test test test test test test test test test test test junk", m/44'/60'/0'/0/0..9.
ACCOUNTS = """
f39fd6e51aad88f6f4ce6ab8827279cfffb92266 70997970c51812dc3a010c7d01b50e0d17dc79c8
3c44cdddb6a900fa2b585dd299e03d12fa4293bc 90f79bf6eb2c4f870365e785982e1f101e93b906
15d34aaf54267db7d7c367839aaf71a00a2c6a65 9965507d1a55bcc2695c58ba16fb37d819b0a4dc
976ea74026e726554db657fa54763abd0c3a0aa9 14dc79964da2c08b23698b3d3cc7ca32193d9955
23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f a0ee7a142d267c1f36714e4a8f75612f20a79720
""".split()


def main():
    path = sys.argv[1]
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt") as file:
        genesis = json.load(file)
    alloc = {a: v for a, v in genesis.pop("alloc").items() if v.get("code")}
    for account in alloc.values():
        if int(account.get("balance", "0"), 0) == 0:
            account["balance"] = "0x0"
    alloc.update({a: {"balance": hex(BALANCE)} for a in ACCOUNTS})
    genesis["timestamp"] = hex(TIMESTAMP)
    head = {key: value for key, value in genesis.items() if value is not None}
    print("{")
    for key, value in head.items():
        print(f"{json.dumps(key)}: {json.dumps(value)},")
    print('"alloc": {')
    lines = [f"{json.dumps(a)}: {json.dumps(alloc[a], separators=(',', ':'))}" for a in sorted(alloc)]
    print(",\n".join(lines))
    print("}}")


if __name__ == "__main__":
    main()
